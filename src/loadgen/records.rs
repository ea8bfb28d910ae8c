//! Waits until the service has no push under way, then reads its records of every push.
use super::api::{Api, Error};
use super::face::number_of;
use super::fleet::Seller;
use super::plan::Plan;
use super::progress::Progress;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The states of a push that is not finished.
const UNDER_WAY: [&str; 5] = ["queued", "sending", "retrying", "uncertain", "held"];
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Pushes per page.
const PAGE: usize = 1000;
/// How many reasons a report quotes.
pub(super) const MAX_REASONS: usize = 5;

#[derive(Deserialize)]
struct Page {
    items: Vec<Push>,
    next_cursor: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Push {
    id: String,
    external_id: String,
    store_id: String,
    kind: PushKind,
    quantity: Option<i64>,
    state: String,
    reason: Option<String>,
    created_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PushKind {
    Increase,
    Decrease,
    Overwrite,
}

/// A confirmed overwrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overwrite {
    pub(super) quantity: i64,
    pub(super) created_us: i64,
    pub(super) confirmed_us: i64,
    id: String,
}

/// What the records say about one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The sum of all confirmed increases.
    pub(super) increases: i64,
    /// The last confirmed overwrite.
    pub(super) overwrite: Option<Overwrite>,
}

#[derive(Debug, Default)]
pub(super) struct Records {
    /// By store and SKU, both as numbers.
    pub(super) listings: BTreeMap<(usize, usize), Recorded>,
    /// How many pushes are in each state.
    pub(super) states: BTreeMap<String, u64>,
    /// Why pushes were rejected, cancelled or are not finished: the first few reasons.
    pub(super) reasons: Vec<String>,
}

/// Waits until no seller has a push under way, and returns whether that happened within the plan's time.
///
/// A seller without pushes under way is not checked again, because no more events are sent to it.
pub(super) async fn wait_until_quiet(plan: &Plan, api: &Api, sellers: &[Seller], progress: &Progress) -> Result<bool, Error> {
    let started_at = Instant::now();
    let mut busy: Vec<(&Seller, usize)> = sellers.iter().map(|seller| (seller, 0)).collect();
    loop {
        let check = |(seller, first)| async move { Ok::<_, Error>(busy_state(api, seller, first).await?.map(|state| (seller, state))) };
        let checked: Vec<Option<(&Seller, usize)>> =
            futures_util::stream::iter(busy).map(check).buffer_unordered(plan.connections).try_collect().await?;
        busy = checked.into_iter().flatten().collect();
        progress.set(sellers.len() - busy.len(), format!("{} sellers have pushes under way", busy.len()));
        if busy.is_empty() {
            return Ok(true);
        }
        if started_at.elapsed() >= plan.quiet_within {
            return Ok(false);
        }
        sleep(POLL_EVERY).await;
    }
}

/// Returns a state in which the seller has a push under way, as an index into [`UNDER_WAY`]. Starts with `first`, the
/// state found last time, which most likely still has one.
async fn busy_state(api: &Api, seller: &Seller, first: usize) -> Result<Option<usize>, Error> {
    let forth = (0..UNDER_WAY.len()).map(|n| (first + n) % UNDER_WAY.len());
    // A push may leave a state before it is asked about and be in another one that was asked about already, so all are asked
    // about once more, the other way round.
    for index in forth.clone().chain(forth.rev()) {
        let Some(state) = UNDER_WAY.get(index) else { continue };
        let page: Page = api.get(&format!("/v1/pushes?state={state}&limit=1"), Some(&seller.key)).await?;
        if !page.items.is_empty() {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Reads the records of all sellers, in the order of `sellers`.
pub(super) async fn read(plan: &Plan, api: &Api, sellers: &[Seller], progress: &Progress) -> Result<Vec<Records>, Error> {
    let one = |seller| async move {
        let records = read_seller(api, seller).await?;
        progress.advance(1);
        Ok(records)
    };
    futures_util::stream::iter(sellers).map(one).buffered(plan.connections).try_collect().await
}

async fn read_seller(api: &Api, seller: &Seller) -> Result<Records, Error> {
    let mut records = Records::default();
    let mut cursor: Option<String> = None;
    loop {
        let from = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page: Page = api.get(&format!("/v1/pushes?limit={PAGE}{from}"), Some(&seller.key)).await?;
        for push in page.items {
            let store = seller.stores.iter().position(|store| store.id == push.store_id);
            let Some(listing) = store.zip(number_of(&push.external_id)) else {
                return Err(Error::Internal(format!("the records contain a push to {}, which was never paired", push.external_id)));
            };
            records.add(listing, push);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(records),
        }
    }
}

impl Records {
    fn add(&mut self, listing: (usize, usize), push: Push) {
        *self.states.entry(push.state.clone()).or_default() += 1;
        let recorded = self.listings.entry(listing).or_default();
        match (push.state.as_str(), push.kind, push.quantity, push.confirmed_at) {
            ("confirmed", PushKind::Increase, Some(quantity), _) => recorded.increases += quantity,
            ("confirmed", PushKind::Decrease, Some(quantity), _) => recorded.increases -= quantity,
            ("confirmed", PushKind::Overwrite, Some(quantity), Some(confirmed_at)) => {
                let confirmed_us = confirmed_at.timestamp_micros();
                let overwrite = Overwrite { quantity, created_us: push.created_at.timestamp_micros(), confirmed_us, id: push.id };
                let last = recorded.overwrite.as_ref();
                if last.is_none_or(|last| (last.confirmed_us, &last.id) < (overwrite.confirmed_us, &overwrite.id)) {
                    recorded.overwrite = Some(overwrite);
                }
            }
            ("confirmed" | "superseded", ..) => {}
            (state, ..) if self.reasons.len() < MAX_REASONS => {
                self.reasons.push(format!("{state}: {}", push.reason.unwrap_or_else(|| "no reason given".to_owned())));
            }
            _ => {}
        }
    }

    /// How many pushes are not finished.
    pub(super) fn under_way(&self) -> u64 {
        UNDER_WAY.iter().filter_map(|state| self.states.get(*state)).sum()
    }
}

#[cfg(test)]
impl Overwrite {
    pub(super) fn new(quantity: i64, created_us: i64, confirmed_us: i64) -> Self {
        Self { quantity, created_us, confirmed_us, id: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn push(id: &str, kind: &str, quantity: i64, state: &str, confirmed_at: Option<&str>) -> Push {
        serde_json::from_value(json!({
            "id": id, "external_id": "item-00001", "store_id": "s", "kind": kind, "quantity": quantity, "state": state,
            "created_at": "2026-11-01T00:00:00Z", "confirmed_at": confirmed_at, "attempts": 1
        }))
        .unwrap()
    }

    #[test]
    fn the_last_confirmed_overwrite_and_every_confirmed_increase_count() {
        let mut records = Records::default();
        let (early, late) = (Some("2026-11-01T00:00:01Z"), Some("2026-11-01T00:00:02Z"));
        records.add((0, 1), push("4", "overwrite", 9, "confirmed", late));
        records.add((0, 1), push("3", "increase", 2, "confirmed", early));
        records.add((0, 1), push("2", "increase", 5, "superseded", None));
        records.add((0, 1), push("1", "overwrite", 7, "confirmed", early));
        records.add((0, 1), push("0", "increase", 1, "uncertain", None));
        let recorded = &records.listings[&(0, 1)];
        assert_eq!((recorded.increases, recorded.overwrite.as_ref().unwrap().quantity), (2, 9));
        assert_eq!((records.under_way(), records.states["confirmed"], records.reasons.len()), (1, 3, 1));
    }
}
