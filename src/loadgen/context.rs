//! What all steps of a run share: the two clients, the clock and the plan; and the steps that both kinds of run have.
use super::api::{Api, Error};
use super::fleet::{self, Seller};
use super::model::{Rules, Step, Times, replay};
use super::plan::Plan;
use super::platform::Platform;
use super::progress::Progress;
use super::records::{self, Records};
use super::report::Settled;
use super::send::{Sender, Sent};
use super::setting::{Setting, Surroundings};
use super::workload::Workload;
use crate::clock::Clock;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

pub(super) struct RunContext<'a> {
    pub(super) plan: &'a Plan,
    pub(super) api: Api,
    pub(super) platform: Platform,
    pub(super) clock: Clock,
    /// A random name, the prefix of the names of everything that the run creates.
    pub(super) run: String,
    pub(super) surroundings: Surroundings,
}

impl RunContext<'_> {
    pub(super) fn setting(&self) -> Setting {
        Setting::of(self.plan, &self.run, self.surroundings.clone())
    }

    pub(super) async fn create(&self) -> Result<Vec<Seller>, Error> {
        let progress = Progress::new(self.plan.progress, "sellers", self.plan.sellers);
        let sellers = fleet::create(self.plan, &self.api, &self.platform, &self.run, &progress).await?;
        progress.done();
        Ok(sellers)
    }

    pub(super) async fn send(&self, sellers: &[Seller], workload: &Workload, rate: Option<f64>) -> Result<Sent, Error> {
        let before = self.api.retries.read();
        let progress = Progress::new(self.plan.progress, "events", workload.events.len());
        let sender = Sender { api: &self.api, clock: &self.clock, sellers, workload, run: &self.run, rate, progress: &progress };
        let mut sent = sender.send().await?;
        sent.retries = self.api.retries.read().since(before);
        progress.done();
        Ok(sent)
    }

    /// Waits until no push is under way, then reads the records.
    pub(super) async fn settle(&self, sellers: &[Seller]) -> Result<(Settled, Vec<Records>), Error> {
        let started_at = Instant::now();
        let progress = Progress::new(self.plan.progress, "settling", sellers.len());
        let quiet = records::wait_until_quiet(self.plan, &self.api, sellers, &progress).await?;
        progress.done();
        let seconds = started_at.elapsed().as_secs_f64();
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
        settled.reasons.truncate(records::MAX_REASONS);
        Ok((settled, records))
    }

    /// The quantities that every store shows, by seller and store.
    pub(super) async fn shown(&self, sellers: &[Seller]) -> Result<HashMap<(usize, usize), BTreeMap<String, i64>>, Error> {
        let read = |(place, external): ((usize, usize), String)| async move { Ok((place, self.platform.shown(&external).await?)) };
        let stores = places(sellers).map(|(external, place)| (place, external.to_owned()));
        futures_util::stream::iter(stores.collect::<Vec<_>>()).map(read).buffer_unordered(self.plan.connections).try_collect().await
    }

    /// Passes every listing, by seller, store and SKU, and its accepted events to `take`.
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

/// Every store's name at the platform, with the numbers of its seller and itself.
pub(super) fn places(sellers: &[Seller]) -> impl Iterator<Item = (&str, (usize, usize))> {
    sellers
        .iter()
        .enumerate()
        .flat_map(|(seller, it)| it.stores.iter().enumerate().map(move |(n, store)| (store.external.as_str(), (seller, n))))
}
