//! The dry run of a manual sync: what would be sent, without sending it. Used by `POST /v1/syncs` and the console.
//!
//! Targets are read like a run's. What a listing shows now is asked of its platform where that can be asked, within a
//! number of calls and a time, and through the store's rate limit; otherwise it is what was known last. Nothing is
//! written down: what a read says here decides over no push.
use super::context::{Caller, Result, Service};
use super::stores;
use crate::db::listings::Listing;
use crate::db::runs::{EXPAND_PAGE, RunFilter};
use crate::db::stores::Store;
use crate::domain::delivery::ItemResult;
use crate::domain::limits::MAX_STORES;
use crate::domain::{ListingId, StoreId, Timestamp};
use crate::platforms::by_name;
use crate::platforms::call::{Action, Call, CallItem};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Listings that are answered one by one, at most; all are counted.
const MOST_ITEMS: usize = 1000;
/// Calls to one store at most.
const MOST_CALLS: usize = 10;
/// All the platforms together are given this long.
const ASK_WITHIN: Duration = Duration::from_secs(8);

/// Where `shown` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShownFrom {
    /// The platform said so just now.
    Platform,
    /// From the last confirmed answer or read.
    LastKnown,
    /// It was never seen.
    Unknown,
}

/// What would happen to one listing.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PreviewItem {
    /// The listing.
    pub listing: ListingId,
    /// Where it is sold.
    pub store_id: StoreId,
    /// The store's name.
    pub store: String,
    /// The SKU that it shows.
    pub sku: String,
    /// The platform's id of it.
    pub external_id: String,
    /// What it shows now.
    pub shown: Option<i64>,
    /// Where that is known from.
    pub shown_from: ShownFrom,
    /// When it was seen.
    pub shown_at: Option<Timestamp>,
    /// What it would show.
    pub target: i64,
    /// `target` less `shown`; null where that is not known.
    pub change: Option<i64>,
}

impl PreviewItem {
    fn saw(&mut self, shown: i64, at: Timestamp) {
        (self.shown, self.shown_from, self.shown_at) = (Some(shown), ShownFrom::Platform, Some(at));
        self.change = Some(self.target.saturating_sub(shown));
    }

    /// Whether it would go to 0 from something else.
    pub fn goes_to_zero(&self) -> bool {
        self.target == 0 && self.shown != Some(0)
    }
}

/// A store that could not be asked.
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
    /// Of these, known to show their target already.
    pub unchanged: usize,
    /// Of these, nothing is known of what they show.
    pub unknown: usize,
    /// Of these, would show 0 and do not show 0 now, as far as is known.
    pub to_zero: usize,
    /// Listings that the rules keep from being pushed.
    pub left_out: usize,
    /// Stores whose listings could not be asked, or not all of them; what was known last stands for them.
    pub not_asked: Vec<NotAsked>,
    /// Whether there are more listings than `items` has.
    pub truncated: bool,
    /// The first thousand: those that would go to 0 first, then by age.
    pub items: Vec<PreviewItem>,
}

/// Looks at what a run with this filter would send.
///
/// # Errors
/// If the database fails.
pub async fn preview(service: &Service, caller: &Caller, filter: RunFilter) -> Result<Preview> {
    let (mut items, left_out, by_id) = targets(caller, filter).await?;
    let total = items.len();
    // Stable, so age decides within both parts.
    items.sort_by_key(|item| !item.goes_to_zero());
    let rest = items.split_off(total.min(MOST_ITEMS));
    let not_asked = ask(service, caller, &mut items, by_id).await;
    let count = |which: fn(&PreviewItem) -> bool| items.iter().chain(&rest).filter(|item| which(item)).count();
    let (unchanged, unknown) = (count(|item| item.change == Some(0)), count(|item| item.change.is_none()));
    let to_zero = count(PreviewItem::goes_to_zero);
    items.sort_by_key(|item| !item.goes_to_zero());
    Ok(Preview { dry_run: true, total, unchanged, unknown, to_zero, left_out, not_asked, truncated: !rest.is_empty(), items })
}

type Stores = HashMap<StoreId, Store>;
type Extras = HashMap<ListingId, Listing>;

/// Every listing with its target and what is known of it, how many are left out, and where they are.
async fn targets(caller: &Caller, filter: RunFilter) -> Result<(Vec<PreviewItem>, usize, (Stores, Extras))> {
    let stores: Stores = caller.db.read(|t| t.stores(None, MAX_STORES)).await?.into_iter().map(|s| (s.id, s)).collect();
    let (mut items, mut left_out, mut listings, mut after) = (Vec::new(), 0, Extras::new(), None);
    loop {
        let filter = filter.clone();
        let (page, targets) = caller
            .db
            .read(move |t| {
                let page = t.covered_listings(&filter, after, EXPAND_PAGE)?;
                let ids: Vec<ListingId> = page.iter().map(|listing| listing.id).collect();
                let targets = t.targets_of(&ids)?;
                Ok((page, targets))
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let more = page.len() >= usize::try_from(EXPAND_PAGE).unwrap_or(usize::MAX);
        for listing in page {
            let (Some(target), Some(store)) = (targets.get(&listing.id).copied().flatten(), stores.get(&listing.store_id)) else {
                left_out += 1;
                continue;
            };
            items.push(PreviewItem {
                listing: listing.id,
                store_id: store.id,
                store: store.name.clone(),
                sku: listing.sku.clone(),
                external_id: listing.external_id.clone(),
                shown: listing.shown,
                shown_from: if listing.shown.is_some() { ShownFrom::LastKnown } else { ShownFrom::Unknown },
                shown_at: listing.shown_at,
                target,
                change: listing.shown.map(|shown| target.saturating_sub(shown)),
            });
            listings.insert(listing.id, listing);
        }
        if !more {
            break;
        }
    }
    Ok((items, left_out, (stores, listings)))
}

/// Asks the platforms what `items` show, all stores at once.
async fn ask(service: &Service, caller: &Caller, items: &mut [PreviewItem], (stores, listings): (Stores, Extras)) -> Vec<NotAsked> {
    let deadline = Instant::now() + ASK_WITHIN.min(service.client.timeout());
    let mut by_store: HashMap<StoreId, Vec<CallItem>> = HashMap::new();
    for item in items.iter() {
        let extra = listings.get(&item.listing).map(|listing| listing.extra.clone()).unwrap_or_default();
        let asked = CallItem { external_id: item.external_id.clone(), extra, quantity: 0, expected: None };
        by_store.entry(item.store_id).or_default().push(asked);
    }
    let asked = by_store.into_iter().filter_map(|(id, asked)| Some((stores.get(&id)?, asked)));
    let answers = futures_util::future::join_all(asked.map(|(store, asked)| ask_store(service, caller, store, asked, deadline))).await;
    let now = service.now();
    let (mut not_asked, mut seen) = (Vec::new(), HashMap::new());
    for (store, shown, reason) in answers {
        seen.extend(shown.into_iter().map(|(external_id, quantity)| ((store.id, external_id), quantity)));
        not_asked.extend(reason.map(|reason| NotAsked { store_id: store.id, store: store.name.clone(), reason }));
    }
    for item in items {
        if let Some(shown) = seen.get(&(item.store_id, item.external_id.clone())) {
            item.saw(*shown, now);
        }
    }
    not_asked.sort_by_key(|store| store.store_id);
    not_asked
}

/// Cuts what is asked into calls as a platform takes them: so many items at most and, where it wants that, all of one
/// product.
fn calls(mut asked: Vec<CallItem>, group_by: Option<&str>, max_items: usize) -> Vec<Vec<CallItem>> {
    let product = |item: &CallItem| group_by.and_then(|field| item.extra.get(field).cloned());
    asked.sort_by_key(product);
    let of_one_product = asked.chunk_by(|a, b| product(a) == product(b));
    of_one_product.flat_map(|items| items.chunks(max_items.max(1))).map(<[CallItem]>::to_vec).collect()
}

/// What a store's listings show, as far as it could be asked in time, and why not all of it.
async fn ask_store<'s>(
    service: &Service,
    caller: &Caller,
    store: &'s Store,
    asked: Vec<CallItem>,
    deadline: Instant,
) -> (&'s Store, Vec<(String, i64)>, Option<String>) {
    let mut seen = Vec::new();
    let mut connection = match stores::connect(service, caller, store) {
        Ok(connection) => connection,
        Err(reason) => return (store, seen, Some(reason)),
    };
    let Some(facts) = by_name(&store.platform).map(|platform| platform.facts(&connection)).filter(|facts| facts.abilities.read) else {
        return (store, seen, Some("This platform cannot be asked what it shows.".to_owned()));
    };
    if store.needs_reauthorisation {
        return (store, seen, Some("The store needs re-authorisation.".to_owned()));
    }
    for (sent, page) in calls(asked, facts.group_by, facts.abilities.max_items).into_iter().enumerate() {
        if sent == MOST_CALLS {
            let reason = format!("Only the first {} listings were asked.", seen.len());
            return (store, seen, Some(reason));
        }
        let call = Call { action: Action::Read, items: page.clone(), idempotency_key: None };
        let answer = tokio::time::timeout_at(deadline, stores::ask(service, caller, &mut connection, &call)).await;
        match answer {
            Err(_) => return (store, seen, Some("The store's rate limit or its answer took too long.".to_owned())),
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
    fn a_call_asks_for_so_many_items_and_where_wanted_for_one_product_alone() {
        let item = |id: &str, product: Option<&str>| CallItem {
            external_id: id.to_owned(),
            extra: product.map(|product| ("parent_id".to_owned(), product.to_owned())).into_iter().collect(),
            quantity: 0,
            expected: None,
        };
        let asked = vec![item("1", Some("a")), item("2", Some("b")), item("3", None), item("4", Some("a")), item("5", Some("a"))];
        let ids = |calls: Vec<Vec<CallItem>>| -> Vec<Vec<String>> {
            calls.into_iter().map(|call| call.into_iter().map(|item| item.external_id).collect()).collect()
        };
        assert_eq!(ids(calls(asked.clone(), Some("parent_id"), 2)), [vec!["3"], vec!["1", "4"], vec!["5"], vec!["2"]]);
        assert_eq!(ids(calls(asked, None, 4)), [vec!["1", "2", "3", "4"], vec!["5"]]);
    }
}
