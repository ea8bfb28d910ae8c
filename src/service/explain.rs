//! Why each listing of a SKU shows what it shows: the formula of its target, what was sent to it, and the history behind both.
use super::context::{Caller, Result};
use crate::db::explain::Place;
use crate::db::pushes::PushFilter;
use crate::db::stock::{ComponentStock, ListingStock};
use crate::db::{self, Tenant};
use crate::domain::allocation::{AllocationMode, DecidedBy, ListingRules, targets};
use crate::domain::explain::{Formula, KnownLevels, PastEvent, Replay, Sent, formulas};
use crate::domain::ledger::ComponentEvent;
use crate::domain::push::Push;
use crate::domain::stock::{Levels, StockEvent};
use crate::domain::{ListingId, Sku, StoreId, Timestamp};

/// The most listings that are explained at once; more are asked about store by store.
pub const MAX_LISTINGS: usize = 100;
/// The most listings of which the history has a target for each event.
const MAX_TARGETS: usize = 10;
/// How often everything is read again because the stock changed meanwhile.
const ATTEMPTS: usize = 3;

/// A listing, explained.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The listing, its rules and its target.
    pub stock: ListingStock,
    /// The numbers that lead to the target.
    pub formula: Formula,
    /// The most specific rule that has a say in it.
    pub decided_by: DecidedBy,
    /// What was sent to it.
    pub sent: Sent,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a page has a thousand of them at most")]
pub enum Happened {
    /// A stock event.
    Event {
        /// The event.
        past: PastEvent,
        /// What was available after everything that was recorded in the same instant.
        after: KnownLevels,
        /// What the first listings should have shown then, by today's rules; none where levels are not known.
        targets: Vec<(ListingId, i64)>,
    },
    /// A push.
    Push(Push),
}

/// A SKU, explained.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Its name.
    pub name: Option<String>,
    /// What is available.
    pub levels: Levels,
    /// What it is made of, if it is a bundle.
    pub components: Vec<ComponentStock>,
    /// How stores share it.
    pub mode: AllocationMode,
    /// Its listings, by store.
    pub listings: Vec<Explained>,
    /// How many more it has.
    pub listings_omitted: usize,
    /// Its history, newest first.
    pub history: Vec<Happened>,
    /// Where the next page of it begins, if there is one.
    pub next: Option<Place>,
}

/// Explains a SKU in all stores or in one, with this part of its history.
///
/// # Errors
/// No such SKU or store.
pub async fn explain(caller: &Caller, sku: Sku, store: Option<StoreId>, before: Place, limit: i64) -> Result<Explanation> {
    let read = caller.db.read(move |t| {
        for _ in 1..ATTEMPTS {
            let found = read(t, &sku, store, &before, limit)?;
            // A read sees what is committed while it goes on, and the numbers have to fit each other.
            let has_bundles = t.sync_settings()?.has_bundles;
            if t.levels_and_components(&sku, has_bundles)? == (found.levels.clone(), found.components.clone()) {
                return Ok(found);
            }
        }
        read(t, &sku, store, &before, limit)
    });
    Ok(read.await?)
}

fn read(t: &mut Tenant<'_>, sku: &Sku, store: Option<StoreId>, before: &Place, limit: i64) -> db::Result<Explanation> {
    store.map_or(Ok(()), |id| t.store(id).map(drop))?;
    let (stock, mode) = (t.stock(sku)?, t.sync_settings()?.allocation_mode);
    let rules: Vec<ListingRules> = stock.listings.iter().map(|listing| listing.rules.clone()).collect();
    let formulas = formulas(mode, stock.stock(), &rules);
    let of_all = stock.listings.into_iter().zip(formulas).enumerate();
    let mut wanted: Vec<(usize, (ListingStock, Formula))> =
        of_all.filter(|(_, (listing, _))| store.is_none_or(|id| listing.store.id == id)).collect();
    let listings_omitted = wanted.len().saturating_sub(MAX_LISTINGS);
    wanted.truncate(MAX_LISTINGS);
    let followed: Vec<(usize, ListingId)> =
        wanted.iter().take(MAX_TARGETS).map(|(place, (listing, _))| (*place, listing.listing.id)).collect();
    let ids: Vec<ListingId> = wanted.iter().map(|(_, (listing, _))| listing.listing.id).collect();
    let (mut sent, sales) = (t.sent_to(sku, &ids)?, t.named_sales(sku)?);
    let deciding = t.deciding_rules(&wanted.iter().map(|(_, (listing, _))| listing.listing.clone()).collect::<Vec<_>>())?;
    let explained = |(_, (stock, formula)): (usize, (ListingStock, Formula))| {
        let id = stock.listing.id;
        let (shown, target, units) = (stock.listing.shown, stock.target.shown, stock.listing.units);
        let sent = Sent { shown, target, units, pushed: stock.rules.is_pushed(), ..sent.remove(&id).unwrap_or_default() };
        let is_since = |at: Timestamp| sent.set_at.is_some_and(|set_at| at > set_at);
        let own = sales.iter().filter(|(store, at, _)| *store == stock.store.id && is_since(*at)).map(|(.., units)| *units);
        let sent = Sent { reported_sales: own.fold(0, i64::saturating_add), ..sent };
        Explained { stock, formula, decided_by: deciding.get(&id).copied().unwrap_or(DecidedBy::Seller), sent }
    };
    let listings = wanted.into_iter().map(explained).collect();
    let events = t.past_events(sku, before.event.as_ref(), limit + 1)?;
    let filter = PushFilter { sku: Some(sku.clone()), store_id: store, ..PushFilter::default() };
    let pushes = t.list_pushes(&filter, before.push, limit + 1)?;
    let is_bundle = !stock.components.is_empty();
    // What there was of the components is not followed.
    let (now, followed) = if is_bundle { (Levels::new(), Vec::new()) } else { (stock.levels.clone(), followed) };
    let targets_at = |levels: &Levels| {
        let all = targets(mode, levels, &rules);
        followed.iter().filter_map(|(place, id)| Some((*id, all.get(*place)?.shown))).collect()
    };
    let events = replay(t, sku, &now, events, targets_at)?;
    let (history, next) = merge(events, pushes, before.clone(), usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Explanation {
        name: stock.name,
        levels: stock.levels,
        components: stock.components,
        mode,
        listings,
        listings_omitted,
        history,
        next,
    })
}

/// Follows the levels back over these events, which are in the order of the history.
fn replay(
    t: &mut Tenant<'_>,
    sku: &Sku,
    now: &Levels,
    events: Vec<PastEvent>,
    targets_at: impl Fn(&Levels) -> Vec<(ListingId, i64)>,
) -> db::Result<Vec<Happened>> {
    let mut happened = Vec::with_capacity(events.len());
    let groups: Vec<&[PastEvent]> = events.chunk_by(|a, b| a.accepted_at == b.accepted_at).collect();
    let mut replay = Replay::new(now);
    for (index, group) in groups.iter().enumerate() {
        let Some(first) = group.first() else { continue };
        // Some events of the first instant may be on an earlier page, so what came after the second is summed up, too.
        if index < 2 {
            replay = Replay::new(now);
            replay.go_back_over(&t.events_after(sku, first.accepted_at)?);
        } else if let Some(later) = groups.get(index - 1) {
            replay.go_back_over(later);
        }
        let (after, targets) = (replay.levels().clone(), replay.all_levels().map(|levels| targets_at(&levels)).unwrap_or_default());
        happened.extend(group.iter().map(|past| Happened::Event { past: past.clone(), after: after.clone(), targets: targets.clone() }));
    }
    Ok(happened)
}

/// The newest of both, each of which is in its order, up to `limit`; and where the next page begins, if there is more.
fn merge(events: Vec<Happened>, pushes: Vec<Push>, before: Place, limit: usize) -> (Vec<Happened>, Option<Place>) {
    let (mut events, mut pushes) = (events.into_iter().peekable(), pushes.into_iter().peekable());
    let (mut history, mut place) = (Vec::new(), before);
    while history.len() < limit {
        let event_at =
            events.peek().and_then(|happened| if let Happened::Event { past, .. } = happened { Some(past.accepted_at) } else { None });
        let push_at = pushes.peek().map(|push| push.record().created_at);
        // Pushes come after the event of the same instant that has led to them.
        let next = if push_at >= event_at { pushes.next().map(Happened::Push) } else { events.next() };
        match &next {
            Some(Happened::Event { past, .. }) => {
                let StockEvent { event_id, sku, .. } = &past.event;
                let row = if past.of_bundle { ComponentEvent::row_id(event_id, sku) } else { event_id.to_string() };
                place.event = Some((past.accepted_at, row));
            }
            Some(Happened::Push(push)) => place.push = Some(push.id()),
            None => return (history, None),
        }
        history.extend(next);
    }
    let has_more = events.peek().is_some() || pushes.peek().is_some();
    (history, has_more.then_some(place))
}
