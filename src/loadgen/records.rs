//! Waits until the service has nothing under way any more, then reads its records of every push.
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

/// States in which a push is not at its end.
const UNDER_WAY: [&str; 5] = ["queued", "sending", "retrying", "uncertain", "held"];
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pushes in one page.
const PAGE: usize = 1000;
/// Reasons that are told word by word.
pub(super) const REASONS_TOLD: usize = 5;

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
    Overwrite,
}

/// A confirmed overwrite of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overwrite {
    pub(super) quantity: i64,
    pub(super) created_us: i64,
    pub(super) confirmed_us: i64,
    id: String,
}

/// What the records say of one listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The sum of the confirmed increases.
    pub(super) increases: i64,
    /// The last confirmed overwrite.
    pub(super) overwrite: Option<Overwrite>,
}

/// The records of one seller.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// By store and SKU, both by number.
    pub(super) listings: BTreeMap<(usize, usize), Recorded>,
    /// Pushes by state.
    pub(super) states: BTreeMap<String, u64>,
    /// Why pushes were rejected or are not at their end, the first few.
    pub(super) reasons: Vec<String>,
}

/// Waits until none of the sellers has a push under way. Answers whether that came within the plan's time.
///
/// A seller that is quiet stays quiet, since nothing is sent to it any more.
pub(super) async fn wait_until_quiet(plan: &Plan, api: &Api, sellers: &[Seller], progress: &Progress) -> Result<bool, Error> {
    let began = Instant::now();
    let mut busy: Vec<(&Seller, usize)> = sellers.iter().map(|seller| (seller, 0)).collect();
    loop {
        let look = |(seller, first)| async move { Ok::<_, Error>(busy_state(api, seller, first).await?.map(|state| (seller, state))) };
        let looked: Vec<Option<(&Seller, usize)>> =
            futures_util::stream::iter(busy).map(look).buffer_unordered(plan.connections).try_collect().await?;
        busy = looked.into_iter().flatten().collect();
        progress.at(sellers.len() - busy.len(), format!("{} sellers have pushes under way", busy.len()));
        if busy.is_empty() {
            return Ok(true);
        }
        if began.elapsed() >= plan.quiet_within {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A state in which the seller has a push under way; looked for from `first` on, where there was one the last time.
async fn busy_state(api: &Api, seller: &Seller, first: usize) -> Result<Option<usize>, Error> {
    for place in (0..UNDER_WAY.len()).map(|n| (first + n) % UNDER_WAY.len()) {
        let Some(state) = UNDER_WAY.get(place) else { continue };
        let page: Page = api.get(&format!("/v1/pushes?state={state}&limit=1"), Some(&seller.key)).await?;
        if !page.items.is_empty() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Reads the records of all sellers, in their order.
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
                return Err(Error::Internal(format!("the records tell of a push to {} that nobody paired", push.external_id)));
            };
            records.note(listing, push);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(records),
        }
    }
}

impl Records {
    fn note(&mut self, listing: (usize, usize), push: Push) {
        *self.states.entry(push.state.clone()).or_default() += 1;
        let recorded = self.listings.entry(listing).or_default();
        match (push.state.as_str(), push.kind, push.quantity, push.confirmed_at) {
            ("confirmed", PushKind::Increase, Some(quantity), _) => recorded.increases += quantity,
            ("confirmed", PushKind::Overwrite, Some(quantity), Some(confirmed_at)) => {
                let confirmed_us = confirmed_at.timestamp_micros();
                let overwrite = Overwrite { quantity, created_us: push.created_at.timestamp_micros(), confirmed_us, id: push.id };
                let last = recorded.overwrite.as_ref();
                if last.is_none_or(|last| (last.confirmed_us, &last.id) < (overwrite.confirmed_us, &overwrite.id)) {
                    recorded.overwrite = Some(overwrite);
                }
            }
            ("confirmed" | "superseded", ..) => {}
            (state, ..) if self.reasons.len() < REASONS_TOLD => {
                self.reasons.push(format!("{state}: {}", push.reason.unwrap_or_else(|| "no reason given".to_owned())));
            }
            _ => {}
        }
    }

    /// Pushes in any of the states in which one is not at its end.
    pub(super) fn under_way(&self) -> u64 {
        UNDER_WAY.iter().filter_map(|state| self.states.get(*state)).sum()
    }
}

#[cfg(test)]
impl Overwrite {
    /// For tests of others.
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
    fn the_last_confirmed_overwrite_counts_and_every_confirmed_increase() {
        let mut records = Records::default();
        let (early, late) = (Some("2026-11-01T00:00:01Z"), Some("2026-11-01T00:00:02Z"));
        records.note((0, 1), push("4", "overwrite", 9, "confirmed", late));
        records.note((0, 1), push("3", "increase", 2, "confirmed", early));
        records.note((0, 1), push("2", "increase", 5, "superseded", None));
        records.note((0, 1), push("1", "overwrite", 7, "confirmed", early));
        records.note((0, 1), push("0", "increase", 1, "uncertain", None));
        let recorded = &records.listings[&(0, 1)];
        assert_eq!((recorded.increases, recorded.overwrite.as_ref().unwrap().quantity), (2, 9));
        assert_eq!((records.under_way(), records.states["confirmed"], records.reasons.len()), (1, 3, 1));
    }
}
