//! A run from beginning to end: prepares the platform, sends, waits, compares, reports.
use super::api::{Api, Error};
use super::face::number_of;
use super::fleet::{self, Seller};
use super::latency::{Arrival, Durations, delays};
use super::model::{Rules, Step, Times, replay};
use super::overwrite;
use super::plan::{Plan, Task};
use super::platform::{Platform, counted};
use super::progress::Progress;
use super::records::{self, Records};
use super::report::{EventsReport, Report, Sending, Setting, Settled};
use super::send::{Sender, Sent};
use super::verdict::Verdict;
use super::workload::{Shape, Workload};
use crate::clock::Clock;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Does what the plan says. The sellers that it creates stay, with all their records.
///
/// # Errors
/// The run could not be done. That it was done and something is wrong stands in the report.
pub async fn run(plan: Plan) -> Result<Report, Error> {
    plan.check().map_err(Error::Plan)?;
    let mut name = [0u8; 4];
    getrandom::fill(&mut name).map_err(|e| Error::Internal(e.to_string()))?;
    let scene = Scene {
        api: Api::new(&plan.service, plan.patience)?,
        platform: Platform::new(&plan)?,
        clock: Clock::system(),
        run: hex::encode(name),
        plan: &plan,
    };
    let before = scene.platform.prepare(&plan).await?;
    let report = match plan.task {
        Task::Events { count, batch, rate, zipf, mix, repeat } => {
            scene.events(&Shape { count, batch, zipf, mix, repeat }, rate).await.map(Report::Events)
        }
        Task::Overwrite { timed } => overwrite::run(&scene, timed).await.map(Report::Overwrite),
    };
    // Whatever came of the run, the platform is left as it was found.
    scene.platform.set_faults(&before).await?;
    report
}

/// What all steps of a run share.
pub(super) struct Scene<'a> {
    pub(super) plan: &'a Plan,
    pub(super) api: Api,
    pub(super) platform: Platform,
    pub(super) clock: Clock,
    /// Begins the names of everything that the run creates.
    pub(super) run: String,
}

impl Scene<'_> {
    async fn events(&self, shape: &Shape, rate: Option<f64>) -> Result<EventsReport, Error> {
        let workload = Workload::draw(self.plan, shape).map_err(Error::Plan)?;
        let stats = self.platform.stats().await?;
        let sellers = self.create().await?;
        let sent = self.send(&sellers, &workload, rate).await?;
        if self.plan.calm_settling {
            self.platform.calm(self.plan).await?;
        }
        let (settled, records) = self.settle(&sellers).await?;
        let shown = self.shown(&sellers).await?;
        let arrivals = self.arrivals(&sellers, stats.items).await?;
        let mut verdict = Verdict { records_pruned: self.plan.records_pruned, ..Verdict::default() };
        let mut delivered_in = Durations::new().map_err(Error::Internal)?;
        let mut not_followed = 0;
        self.each_listing(&workload, &sent.accepted, |at, trace| {
            let (seller, store, sku) = at;
            let recorded = records.get(seller).and_then(|records| records.listings.get(&(store, sku)));
            let shows = shown.get(&(seller, store)).and_then(|items| items.get(&self.plan.face.item(sku))).copied().unwrap_or(0);
            verdict.add(trace, shows, recorded);
            let healed = recorded.is_some_and(|recorded| recorded.overwrite.is_some());
            for delay in delays(trace, arrivals.get(&at).map_or(&[], Vec::as_slice)) {
                match delay.filter(|_| !healed) {
                    Some(us) => delivered_in.add_us(us),
                    None => not_followed += 1,
                }
            }
        });
        let sending = sending(&sent);
        let given_up = ["rejected", "cancelled"].iter().any(|state| settled.states.get(*state).is_some_and(|count| *count > 0));
        Ok(EventsReport {
            passed: settled.quiet
                && settled.left == 0
                && !given_up
                && sending.accepted == sending.events
                && sending.accepted_twice == 0
                && verdict.is_right(),
            setting: self.setting(),
            sending,
            delivered_in: delivered_in.summary(),
            not_followed,
            settled,
            verdict,
            platform: counted(&stats, self.platform.stats().await?),
        })
    }

    pub(super) fn setting(&self) -> Setting {
        let Plan { seed, sellers, stores, skus, face, offers, .. } = *self.plan;
        Setting { run: self.run.clone(), seed, sellers, stores, skus, face, offers }
    }

    pub(super) async fn create(&self) -> Result<Vec<Seller>, Error> {
        let progress = Progress::new(self.plan.progress, "sellers", self.plan.sellers);
        let sellers = fleet::create(self.plan, &self.api, &self.platform, &self.run, &progress).await?;
        progress.done();
        Ok(sellers)
    }

    pub(super) async fn send(&self, sellers: &[Seller], workload: &Workload, rate: Option<f64>) -> Result<Sent, Error> {
        let before = self.api.counts.retries();
        let progress = Progress::new(self.plan.progress, "events", workload.events.len());
        let sender = Sender { api: &self.api, clock: &self.clock, sellers, workload, run: &self.run, rate, progress: &progress };
        let mut sent = sender.send().await?;
        sent.retries = self.api.counts.retries().since(before);
        progress.done();
        Ok(sent)
    }

    /// Waits for quiet and reads the records.
    pub(super) async fn settle(&self, sellers: &[Seller]) -> Result<(Settled, Vec<Records>), Error> {
        let began = Instant::now();
        let progress = Progress::new(self.plan.progress, "settling", sellers.len());
        let quiet = records::wait_until_quiet(self.plan, &self.api, sellers, &progress).await?;
        progress.done();
        let seconds = began.elapsed().as_secs_f64();
        let progress = Progress::new(self.plan.progress, "records", sellers.len());
        let records = records::read(self.plan, &self.api, sellers, &progress).await?;
        progress.done();
        let mut settled = Settled { seconds, quiet, ..Settled::default() };
        for records in &records {
            settled.left += records.under_way();
            for (state, count) in &records.states {
                *settled.states.entry(state.clone()).or_default() += count;
            }
            settled.reasons.extend(records.reasons.iter().cloned());
        }
        settled.reasons.truncate(records::REASONS_TOLD);
        Ok((settled, records))
    }

    /// What every store shows, by seller and store.
    pub(super) async fn shown(&self, sellers: &[Seller]) -> Result<HashMap<(usize, usize), BTreeMap<String, i64>>, Error> {
        let read = |(place, external): ((usize, usize), String)| async move { Ok((place, self.platform.shown(&external).await?)) };
        let stores = places(sellers).map(|(external, place)| (place, external.to_owned()));
        futures_util::stream::iter(stores.collect::<Vec<_>>()).map(read).buffer_unordered(self.plan.connections).try_collect().await
    }

    /// What the platform received for each listing, from behind the receipt `after`. Nothing for any where it has
    /// forgotten some: what came first is then not known, and every later event would seem to have waited for longer.
    async fn arrivals(&self, sellers: &[Seller], after: u64) -> Result<HashMap<(usize, usize, usize), Vec<Arrival>>, Error> {
        let place_of: HashMap<&str, (usize, usize)> = places(sellers).collect();
        let mut arrivals: HashMap<_, Vec<Arrival>> = HashMap::new();
        let take = |receipt: crate::simulator::Receipt| {
            if let Some(((seller, store), sku)) = place_of.get(receipt.store.as_str()).copied().zip(number_of(&receipt.external_id)) {
                arrivals.entry((seller, store, sku)).or_default().push(Arrival { at_us: receipt.at_us, change: receipt.change });
            }
        };
        if !self.platform.receipts(after, take).await? {
            eprintln!("the platform no longer has all receipts of this run: no event is followed to its arrival");
            arrivals.clear();
        }
        Ok(arrivals)
    }

    /// Hands every listing, by seller, store and SKU, and its accepted events to `take`.
    pub(super) fn each_listing(
        &self,
        workload: &Workload,
        accepted: &[(usize, Times)],
        mut take: impl FnMut((usize, usize, usize), &[Step]),
    ) {
        let mut by_sku: BTreeMap<(usize, usize), Vec<(usize, Times)>> = BTreeMap::new();
        for (index, times) in accepted {
            if let Some(event) = workload.events.get(*index) {
                by_sku.entry((event.seller, event.sku)).or_default().push((*index, *times));
            }
        }
        for seller in 0..self.plan.sellers {
            let mut rules = Rules::of(self.plan, seller);
            for sku in 0..self.plan.skus {
                let mut of_sku = by_sku.remove(&(seller, sku)).unwrap_or_default();
                of_sku.sort_unstable_by_key(|(index, _)| *index);
                let events = of_sku.into_iter().filter_map(|(index, times)| workload.events.get(index).map(|event| (*event, times)));
                let traces = replay(&mut rules, events);
                for (store, trace) in traces.iter().enumerate() {
                    take((seller, store, sku), trace);
                }
            }
        }
    }
}

/// The stores by their names at the platform.
pub(super) fn places(sellers: &[Seller]) -> impl Iterator<Item = (&str, (usize, usize))> {
    sellers
        .iter()
        .enumerate()
        .flat_map(|(seller, it)| it.stores.iter().enumerate().map(move |(n, store)| (store.external.as_str(), (seller, n))))
}

#[expect(clippy::cast_precision_loss, reason = "a few million events")]
fn sending(sent: &Sent) -> Sending {
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let seconds = sent.took.max(Duration::from_micros(1)).as_secs_f64();
    let accepted = number(sent.accepted.len());
    let answered_in = sent.answered_in.summary();
    Sending {
        events: accepted + sent.refused,
        accepted,
        refused: sent.refused,
        refusals: sent.refusals.clone(),
        duplicates: sent.duplicates,
        accepted_twice: sent.accepted_twice,
        requests: answered_in.count,
        repeated: sent.repeated,
        retries: sent.retries,
        seconds,
        events_per_second: accepted as f64 / seconds,
        requests_per_second: answered_in.count as f64 / seconds,
        answered_in,
    }
}
