//! A run that sends stock events: sends, waits until everything is delivered, and compares every listing.
use super::api::Error;
use super::context::{RunContext, places};
use super::course::Recording;
use super::face::number_of;
use super::fleet::Seller;
use super::latency::{Arrival, Durations, delays};
use super::platform::stats_between;
use super::report::{EventsReport, Sending};
use super::send::Sent;
use super::verdict::Verdict;
use super::workload::{Shape, Workload};
use std::collections::HashMap;
use std::time::Duration;

pub(super) async fn run(context: &RunContext<'_>, shape: &Shape, rate: Option<f64>) -> Result<EventsReport, Error> {
    let workload = Workload::draw(context.plan, shape).map_err(Error::Plan)?;
    let stats = context.platform.stats().await?;
    let sellers = context.create().await?;
    let sent = context.send(&sellers, &workload, rate).await?;
    if context.plan.calm_settling {
        context.platform.clear_faults(context.plan).await?;
    }
    let (settled, records) = context.settle(&sellers).await?;
    let shown = context.shown(&sellers).await?;
    let arrivals = arrivals(context, &sellers, stats.items).await?;
    let mut verdict = Verdict { records_pruned: context.plan.records_pruned, ..Verdict::default() };
    let mut delivered_in = Durations::new().map_err(Error::Internal)?;
    let mut not_followed = 0;
    let mut recording = Recording::new(sent.accepted.iter().map(|(_, times)| times.sent_us).min().unwrap_or(0));
    sent.accepted.iter().for_each(|(_, times)| recording.event(times.accepted_us));
    context.each_listing(&workload, &sent.accepted, |at, trace| {
        let (seller, store, sku) = at;
        let recorded = records.get(seller).and_then(|records| records.listings.get(&(store, sku)));
        let shows = shown.get(&(seller, store)).and_then(|items| items.get(&context.plan.face.item(sku))).copied().unwrap_or(0);
        verdict.add(trace, shows, recorded);
        let healed = recorded.is_some_and(|recorded| recorded.overwrite.is_some());
        let of_listing = arrivals.as_ref().and_then(|arrivals| arrivals.get(&at));
        for (accepted_us, delay) in delays(trace, of_listing.map_or(&[], Vec::as_slice)) {
            // What was healed did arrive, but in the overwrite.
            if arrivals.is_some() && !healed {
                recording.increase(accepted_us, delay);
            }
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
        setting: context.setting(),
        sending,
        delivered_in: delivered_in.summary(),
        not_followed,
        settled,
        verdict,
        platform: stats_between(&stats, context.platform.stats().await?),
        course: recording.finish(),
    })
}

/// What the platform received for each listing, by seller, store and SKU.
type Arrivals = HashMap<(usize, usize, usize), Vec<Arrival>>;

/// What the platform received after receipt number `after`; `None` if it has forgotten any of these receipts, because then
/// every later event would seem to have waited longer than it did.
async fn arrivals(context: &RunContext<'_>, sellers: &[Seller], after: u64) -> Result<Option<Arrivals>, Error> {
    let place_of: HashMap<&str, (usize, usize)> = places(sellers).collect();
    let mut arrivals = Arrivals::new();
    let take = |receipt: crate::simulator::Receipt| {
        if let Some(((seller, store), sku)) = place_of.get(receipt.store.as_str()).copied().zip(number_of(&receipt.external_id)) {
            arrivals.entry((seller, store, sku)).or_default().push(Arrival { at_us: receipt.at_us, change: receipt.change });
        }
    };
    if !context.platform.receipts(after, take).await? {
        eprintln!("the platform no longer has all receipts of this run, so delivery times cannot be measured");
        return Ok(None);
    }
    Ok(Some(arrivals))
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
