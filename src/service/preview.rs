//! The dry run of a manual sync: what would be sent, without sending it. Used by `POST /v1/syncs` and the console.
//!
//! Targets are read like those of a run. Platforms that support reads are asked what a listing shows now, with a limited
//! number of calls, in limited time and within the store's rate limit; otherwise the last known quantity is used. Nothing
//! is saved: reads made here affect no push.
use super::context::{Caller, Result, Service};
use super::stores;
use crate::db::runs::{EXPAND_PAGE, RunFilter};
use crate::db::stores::Store;
use crate::domain::allocation::DecidedBy;
use crate::domain::delivery::ItemResult;
use crate::domain::limits::MAX_STORES;
use crate::domain::unseen;
use crate::domain::{ListingId, StoreId, Timestamp};
use crate::platforms::by_name;
use crate::platforms::call::{Action, Call, CallItem};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// The most listings in the answer; all are counted.
const MAX_ITEMS: usize = 1000;
/// The most calls to one store.
const MAX_CALLS: usize = 10;
/// How long to wait for all the platforms together.
const ASK_WITHIN: Duration = Duration::from_secs(8);

/// Where `shown` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShownFrom {
    /// The platform said so just now.
    Platform,
    /// From the last confirmed answer or read.
    LastKnown,
    /// Unknown: the listing was never read or confirmed.
    Unknown,
}

/// What would happen to one listing.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PreviewItem {
    /// The listing.
    pub listing: ListingId,
    /// The listing's store.
    pub store_id: StoreId,
    /// The store's name.
    pub store: String,
    /// The SKU paired with it.
    pub sku: String,
    /// The platform's id of the listing.
    pub external_id: String,
    /// The quantity it shows now.
    pub shown: Option<i64>,
    /// The source of `shown`.
    pub shown_from: ShownFrom,
    /// When `shown` was read or confirmed.
    pub shown_at: Option<Timestamp>,
    /// How many units of the SKU one of the listing is.
    pub units: i64,
    /// Its target by the rules.
    pub target: i64,
    /// Units that the store has sold and nobody has reported yet, which are left out of the target; null where these are not known,
    /// because they are not protected or the platform was not asked.
    pub unseen: Option<i64>,
    /// The quantity that would be sent: the target less `unseen`.
    pub quantity: i64,
    /// The most specific rule that has a say in the target.
    pub decided_by: DecidedBy,
    /// `quantity` minus `shown`; null if `shown` is unknown.
    pub change: Option<i64>,
}

impl PreviewItem {
    fn saw(&mut self, shown: i64, at: Timestamp) {
        (self.shown, self.shown_from, self.shown_at) = (Some(shown), ShownFrom::Platform, Some(at));
        self.change = Some(self.quantity.saturating_sub(shown));
    }

    fn leaves_out(&mut self, unseen: i64) {
        (self.unseen, self.quantity) = (Some(unseen), unseen::quantity(self.target, unseen));
        self.change = self.shown.map(|shown| self.quantity.saturating_sub(shown));
    }

    /// Whether it would drop to 0.
    pub fn goes_to_zero(&self) -> bool {
        self.quantity == 0 && self.shown != Some(0)
    }
}

/// A store whose listings could not all be read.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct NotAsked {
    /// The store.
    pub store_id: StoreId,
    /// Its name.
    pub store: String,
    /// Why, in plain words.
    pub reason: String,
}

/// What a manual sync would do. Nothing was sent and nothing was changed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// Always true.
    pub dry_run: bool,
    /// Listings that would be overwritten.
    pub total: usize,
    /// Those of them known to show their target already.
    pub unchanged: usize,
    /// Those of them whose shown quantity is unknown.
    pub unknown: usize,
    /// Those of them that would show 0 and, as far as is known, do not show 0 now.
    pub to_zero: usize,
    /// Listings that the rules exclude from being pushed.
    pub left_out: usize,
    /// Stores whose listings could not all be read; the last known quantities are used for them.
    pub not_asked: Vec<NotAsked>,
    /// Whether there are more listings than `items` contains.
    pub truncated: bool,
    /// The first thousand: first those that would drop to 0, then the rest, each by age.
    pub items: Vec<PreviewItem>,
}

/// Determines what a run with this filter would send.
///
/// # Errors
/// If the database fails, or too many dry runs are under way.
pub async fn preview(service: &Service, caller: &Caller, filter: RunFilter) -> Result<Preview> {
    let _place = service.outbound_place(caller)?;
    let Found { first, later, mut counts, left_out, stores } = targets(caller, filter).await?;
    let mut items: Vec<(PreviewItem, Extra)> = first.into_iter().chain(later).collect();
    items.split_off(items.len().min(MAX_ITEMS)).iter().for_each(|(item, _)| counts.add(item));
    let not_asked = ask(service, caller, &mut items, &stores).await;
    leave_out_unseen(service, caller, &mut items, &stores).await?;
    let truncated = counts.total > 0;
    let mut items: Vec<PreviewItem> = items.into_iter().map(|(item, _)| item).collect();
    items.iter().for_each(|item| counts.add(item));
    // Stable, so age decides within both parts.
    items.sort_by_key(|item| !item.goes_to_zero());
    let Counts { total, unchanged, unknown, to_zero } = counts;
    Ok(Preview { dry_run: true, total, unchanged, unknown, to_zero, left_out, not_asked, truncated, items })
}

/// Listings by what would happen to them.
#[derive(Default)]
struct Counts {
    total: usize,
    unchanged: usize,
    unknown: usize,
    to_zero: usize,
}

impl Counts {
    fn add(&mut self, item: &PreviewItem) {
        self.total += 1;
        self.unchanged += usize::from(item.change == Some(0));
        self.unknown += usize::from(item.change.is_none());
        self.to_zero += usize::from(item.goes_to_zero());
    }
}

type Stores = HashMap<StoreId, Store>;
/// What else the connector needs to address a listing.
type Extra = BTreeMap<String, String>;

/// Every listing's target and last known quantity. Only as many listings are kept as an answer shows.
#[derive(Default)]
struct Found {
    /// The first of those that would drop to 0, by age.
    first: Vec<(PreviewItem, Extra)>,
    /// The first of the others, by age.
    later: Vec<(PreviewItem, Extra)>,
    /// What was counted without being kept.
    counts: Counts,
    left_out: usize,
    stores: Stores,
}

async fn targets(caller: &Caller, filter: RunFilter) -> Result<Found> {
    let stores: Stores = caller.db.read(|t| t.stores(None, MAX_STORES)).await?.into_iter().map(|s| (s.id, s)).collect();
    let (mut found, mut after) = (Found::default(), None);
    loop {
        let filter = filter.clone();
        let (page, targets, deciding) = caller
            .db
            .read(move |t| {
                let page = t.covered_listings(&filter, after, EXPAND_PAGE)?;
                let ids: Vec<ListingId> = page.iter().map(|listing| listing.id).collect();
                let (targets, deciding) = (t.targets_of(&ids)?, t.deciding_rules(&page)?);
                Ok((page, targets, deciding))
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let more = page.len() >= usize::try_from(EXPAND_PAGE).unwrap_or(usize::MAX);
        for listing in page {
            let (Some(target), Some(store)) = (targets.get(&listing.id).copied().flatten(), stores.get(&listing.store_id)) else {
                found.left_out += 1;
                continue;
            };
            let item = PreviewItem {
                listing: listing.id,
                store_id: store.id,
                store: store.name.clone(),
                sku: listing.sku,
                external_id: listing.external_id,
                shown: listing.shown,
                shown_from: if listing.shown.is_some() { ShownFrom::LastKnown } else { ShownFrom::Unknown },
                shown_at: listing.shown_at,
                units: listing.units.get(),
                target,
                unseen: None,
                quantity: target,
                decided_by: deciding.get(&listing.id).copied().unwrap_or(DecidedBy::Seller),
                change: listing.shown.map(|shown| target.saturating_sub(shown)),
            };
            let kept = if item.goes_to_zero() { &mut found.first } else { &mut found.later };
            if kept.len() < MAX_ITEMS { kept.push((item, listing.extra)) } else { found.counts.add(&item) }
        }
        if !more {
            break;
        }
    }
    Ok(Found { stores, ..found })
}

/// Asks the platforms what `items` show, all stores at once.
async fn ask(service: &Service, caller: &Caller, items: &mut [(PreviewItem, Extra)], stores: &Stores) -> Vec<NotAsked> {
    let deadline = Instant::now() + ASK_WITHIN.min(service.client.timeout());
    let mut by_store: HashMap<StoreId, Vec<CallItem>> = HashMap::new();
    for (item, extra) in items.iter() {
        let call_item = CallItem { external_id: item.external_id.clone(), extra: extra.clone(), quantity: 0, expected: None };
        by_store.entry(item.store_id).or_default().push(call_item);
    }
    let requested = by_store.into_iter().filter_map(|(id, items)| Some((stores.get(&id)?, items)));
    let answers = futures_util::future::join_all(requested.map(|(store, items)| ask_store(service, caller, store, items, deadline))).await;
    let now = service.now();
    let (mut not_asked, mut seen) = (Vec::new(), HashMap::new());
    for (store, shown, reason) in answers {
        seen.extend(shown.into_iter().map(|(external_id, quantity)| ((store.id, external_id), quantity)));
        not_asked.extend(reason.map(|reason| NotAsked { store_id: store.id, store: store.name.clone(), reason }));
    }
    for (item, _) in items {
        if let Some(shown) = seen.get(&(item.store_id, item.external_id.clone())) {
            item.saw(*shown, now);
        }
    }
    not_asked.sort_by_key(|store| store.store_id);
    not_asked
}

/// Takes off what stores have sold and nobody has reported yet, as an overwrite would after the same read.
async fn leave_out_unseen(service: &Service, caller: &Caller, items: &mut [(PreviewItem, Extra)], stores: &Stores) -> Result<()> {
    for store in stores.values().filter(|store| store.protect_unseen_sales && store.sales_named_at.is_some()) {
        let of_store = items.iter().filter(|(item, _)| item.store_id == store.id && item.shown_from == ShownFrom::Platform);
        let shown: HashMap<ListingId, i64> = of_store.filter_map(|(item, _)| Some((item.listing, item.shown?))).collect();
        if shown.is_empty() {
            continue;
        }
        let (limit, now) = (unseen::for_hours(store.unseen_sales_hours), service.now());
        let id = store.id;
        let unseen = caller.db.read(move |t| t.unseen_sales(id, &shown, limit, now)).await?;
        for (item, _) in items.iter_mut() {
            if let Some(units) = unseen.get(&item.listing) {
                item.leaves_out(*units);
            }
        }
    }
    Ok(())
}

/// Splits the items into calls that the platform accepts: at most so many items and, where it requires that, all of one
/// product.
pub(super) fn calls(mut items: Vec<CallItem>, group_by: Option<&str>, max_items: usize) -> Vec<Vec<CallItem>> {
    let product = |item: &CallItem| group_by.and_then(|field| item.extra.get(field).cloned());
    items.sort_by_key(product);
    let of_one_product = items.chunk_by(|a, b| product(a) == product(b));
    of_one_product.flat_map(|items| items.chunks(max_items.max(1))).map(<[CallItem]>::to_vec).collect()
}

/// What a store's listings show, as far as they could be read in time, and why some could not.
async fn ask_store<'s>(
    service: &Service,
    caller: &Caller,
    store: &'s Store,
    items: Vec<CallItem>,
    deadline: Instant,
) -> (&'s Store, Vec<(String, i64)>, Option<String>) {
    let mut seen = Vec::new();
    let mut connection = match stores::connect(service, caller, store) {
        Ok(connection) => connection,
        Err(reason) => return (store, seen, Some(reason)),
    };
    let Some(facts) = by_name(&store.platform).map(|platform| platform.facts(&connection)).filter(|facts| facts.abilities.read) else {
        return (store, seen, Some("This platform doesn't report what its listings show.".to_owned()));
    };
    if store.needs_reauthorisation {
        return (store, seen, Some("The store needs reauthorization.".to_owned()));
    }
    for (sent, page) in calls(items, facts.group_by, facts.abilities.max_items).into_iter().enumerate() {
        if sent == MAX_CALLS {
            let reason = format!("Only the first {} listings were read.", seen.len());
            return (store, seen, Some(reason));
        }
        let call = Call { action: Action::Read, items: page.clone(), idempotency_key: None };
        let answer = tokio::time::timeout_at(deadline, stores::ask(service, caller, &mut connection, &call)).await;
        match answer {
            Err(_) => return (store, seen, Some("Reading took too long, because of the store's rate limit or slow responses.".to_owned())),
            Ok(Err(reason)) => return (store, seen, Some(reason)),
            Ok(Ok(results)) => seen.extend(page.iter().zip(results).filter_map(|(item, result)| match result {
                ItemResult::Applied { shown: Some(shown) } => Some((item.external_id.clone(), shown)),
                _ => None,
            })),
        }
    }
    (store, seen, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_limited_number_of_items_and_if_required_only_one_product() {
        let item = |id: &str, product: Option<&str>| CallItem {
            external_id: id.to_owned(),
            extra: product.map(|product| ("parent_id".to_owned(), product.to_owned())).into_iter().collect(),
            quantity: 0,
            expected: None,
        };
        let items = vec![item("1", Some("a")), item("2", Some("b")), item("3", None), item("4", Some("a")), item("5", Some("a"))];
        let ids = |calls: Vec<Vec<CallItem>>| -> Vec<Vec<String>> {
            calls.into_iter().map(|call| call.into_iter().map(|item| item.external_id).collect()).collect()
        };
        assert_eq!(ids(calls(items.clone(), Some("parent_id"), 2)), [vec!["3"], vec!["1", "4"], vec!["5"], vec!["2"]]);
        assert_eq!(ids(calls(items, None, 4)), [vec!["1", "2", "3", "4"], vec!["5"]]);
    }
}
