//! Walks through the history, journal entries and network events in order, and reports whatever must never happen.
//!
//! For every listing it tracks what is *owed*: the increases that the rules give for the events in the ledger and that the
//! platform has not yet applied. An applied increase reduces it by its units; if it falls below zero, something was applied
//! twice. After an applied overwrite, only what came after its target was read is owed. Once all is quiet nothing may be
//! owed.
//!
//! What no service could know or prevent is excused explicitly, and only where the history shows it: see [`Excuse`].
mod canceled;
mod falls;
mod history;
mod late;
mod listing_state;
mod nodes;
mod pauses;
mod quiet;
mod runs;
mod siblings;
mod undone;
mod unseen;

use crate::journal::{Entry, Listing, Push, Run, State};
use crate::model::Seller;
use crate::network::{HistoryEntry, Item, NetworkEvent, SentRequest};
use crate::story::{Ability, NetFault};
use crate::world::{Failure, Verdict, World, fail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stocktide::simulator::Part;
use tokio::time::Instant;
use undone::Overwritten;
use unseen::OwnSales;

/// The service compares answers with the quantity it expects for 24 hours after it gave up on a request; later answers
/// differ because of the store's own sales. Its clock may be stepped meanwhile, so only the first half is required here.
const WATCHED_FOR: Duration = Duration::from_secs(12 * 3600);

/// Why a listing may show a wrong quantity until its next overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// A request was applied after the settle time, on a platform that gives no way to detect it.
    AppliedLate,
    /// Compare-and-set or a read found the earlier quantity, because exactly as many units were sold as were added.
    SoldAsManyAsAdded,
    /// A read found that units were gone that were to be taken off, because as many were sold.
    SoldAsManyAsTaken,
}

#[derive(Debug, Default)]
struct ListingState {
    owed: i64,
    /// Whether it was to fall, so that less than nothing may be owed.
    falls: bool,
    /// The part of it that came after the target of the overwrite in flight was read.
    since_target: i64,
    wrong: Option<Wrong>,
    /// The store's own sales since an answer last reported what is shown.
    unreported_sales: i64,
    /// Pushes that are neither in a final state nor rejected, by id.
    active: BTreeMap<String, Push>,
    /// Increases that the platform has applied, answered or not, with the units that are therefore no longer owed.
    present: BTreeMap<String, i64>,
    /// Those of them after which a read showed the earlier quantity, because as many units were sold.
    hidden: BTreeSet<String>,
    /// The store's own sales since the platform last applied anything.
    sold_since_applied: i64,
    /// The overwrites in flight when the listing was read last, with what it showed, and with what it would have shown without those
    /// sales.
    read_back: BTreeMap<String, [i64; 2]>,
    /// Rejected increases that no overwrite contains yet: a seller can have them sent again.
    rejected: BTreeMap<String, i64>,
    /// Those of them that were given up and have to be healed, unless the seller switches auto-sync off or the overwrite
    /// that heals them ends otherwise.
    given_up: BTreeSet<String>,
    /// Those of them that were refused because of the listing itself: they have to be made up for in the same way once it can be
    /// written again.
    refused: BTreeSet<String>,
    /// When the platform first refused it since it was last overwritten. From then on the service looks
    /// less and less often, even if pushes are cancelled in the meantime.
    owed_since: Option<Instant>,
    /// Those of them that the overwrite in flight contains.
    rejected_before_target: Vec<String>,
    /// What the store has sold by itself.
    own: OwnSales,
    overwritten: Overwritten,
}

/// A listing shows a wrong quantity, for an excusable reason.
#[derive(Debug)]
struct Wrong {
    excuse: Excuse,
    /// How many units too many are shown because of an increase.
    units: i64,
    /// An increase applied since then, whose answer reports another quantity than the service must expect.
    reported_by: Option<String>,
    /// That answer came while the service was still watching for it.
    reported: bool,
    since: Instant,
    /// The store's own sales since an answer last reported what is shown, before or after this. If they equal the surplus,
    /// nobody can detect it.
    sold: i64,
}

struct Request {
    store: String,
    action: String,
    items: Vec<Item>,
    /// The push behind each item; `None` for reads.
    pushes: Vec<Option<Push>>,
    /// What had happened to each item when this was sent.
    totals: Vec<Totals>,
    /// The last read of each item before this was sent.
    reads: Vec<Option<LastRead>>,
}

/// What has happened to an item so far.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    sold: i64,
    changed: i64,
}

/// A read that was answered.
#[derive(Debug, Clone, Copy)]
struct LastRead {
    shown: i64,
    /// Units sold before the platform was asked for this number, which a cache may have kept since.
    sold: i64,
    /// Units by which requests had changed the item before this read.
    changed: i64,
    /// What had happened to the item when it showed this.
    then: Totals,
    /// Whether a cache had kept the answer.
    kept: bool,
    at: Instant,
}

/// An item of a store.
type ItemKey = (String, String);

impl Wrong {
    fn new(excuse: Excuse, units: i64, since: Instant) -> Self {
        Self { excuse, units, reported_by: None, reported: false, since, sold: 0 }
    }
}

pub struct Checker<'w> {
    world: &'w World,
    sellers: BTreeMap<String, Seller>,
    listed: BTreeMap<String, ListingState>,
    pushes: BTreeMap<String, Push>,
    requests: BTreeMap<usize, Request>,
    /// Requests that carried a push.
    carried: BTreeMap<String, Vec<usize>>,
    last_read: BTreeMap<ItemKey, LastRead>,
    /// What had happened to each item of a read when the platform was asked.
    looked: BTreeMap<usize, Vec<Totals>>,
    /// Stores that a sale has named.
    named: BTreeSet<String>,
    totals: BTreeMap<ItemKey, Totals>,
    /// When each push was made.
    begun_at: BTreeMap<String, Instant>,
    runs: BTreeMap<String, Run>,
    run_of_date: BTreeMap<(String, String), String>,
    /// Pushes that a platform has applied.
    applied: BTreeSet<String>,
    /// Rejected pushes that a seller retried by hand.
    by_hand: BTreeSet<String>,
    /// The pushes of undos, each with the run that it undoes.
    undo_of: BTreeMap<String, String>,
    recorded: BTreeSet<(String, String)>,
    sent_requests: Vec<SentRequest>,
    abilities: BTreeMap<String, Ability>,
    /// Listings that are unpaired at some time: their pending pushes are cancelled just before.
    unpaired: BTreeSet<String>,
    /// When the previous network event happened.
    at: Instant,
    pub excused: BTreeMap<Excuse, u64>,
    pub heals: u64,
    /// The kinds of daily runs that occurred.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Checks the whole history so far.
pub fn walk(world: &mut World) -> Verdict<Checker<'_>> {
    world.read_journal();
    let world: &World = world;
    let journal = &world.journal;
    let (history, sent_requests, abilities) = {
        let state = world.network.state();
        let abilities = state.shops.iter().map(|(name, shop)| (name.clone(), shop.ability)).collect();
        (state.history.clone(), state.sent_requests.clone(), abilities)
    };
    let unpaired = journal.iter().filter_map(|(_, entry)| match entry {
        Entry::Listing { listing, deleted: true, .. } => Some(listing.id.clone()),
        _ => None,
    });
    let mut checker = Checker {
        unpaired: unpaired.collect(),
        world,
        sellers: BTreeMap::new(),
        listed: BTreeMap::new(),
        pushes: BTreeMap::new(),
        requests: BTreeMap::new(),
        carried: BTreeMap::new(),
        last_read: BTreeMap::new(),
        looked: BTreeMap::new(),
        named: BTreeSet::new(),
        totals: BTreeMap::new(),
        begun_at: BTreeMap::new(),
        runs: BTreeMap::new(),
        run_of_date: BTreeMap::new(),
        applied: BTreeSet::new(),
        by_hand: BTreeSet::new(),
        undo_of: BTreeMap::new(),
        recorded: BTreeSet::new(),
        sent_requests,
        abilities,
        at: Instant::now(),
        excused: BTreeMap::new(),
        heals: 0,
        counts: BTreeMap::new(),
    };
    let mut network_events = history.into_iter().peekable();
    for (seq, entry) in journal {
        while let Some(event) = network_events.next_if(|event| event.after < *seq) {
            checker.network_event(event)?;
        }
        checker.entry(entry.clone()).map_err(|f| Failure { detail: format!("{}\n  at entry {seq}: {entry:?}", f.detail), ..f })?;
    }
    for event in network_events {
        checker.network_event(event)?;
    }
    Ok(checker)
}

fn is_active(state: State) -> bool {
    matches!(state, State::Queued | State::Sending | State::Retrying | State::Uncertain | State::Held)
}

fn is_in_flight(state: State) -> bool {
    matches!(state, State::Sending | State::Uncertain)
}

fn is_5xx_after(fault: NetFault) -> bool {
    match fault {
        NetFault::Odd(kind) => kind.part() == Part::WayBack,
        fault => fault == NetFault::ErrorAfter,
    }
}

impl Checker<'_> {
    fn seller(&mut self, id: &str) -> &mut Seller {
        self.sellers.entry(id.to_owned()).or_default()
    }

    fn entry(&mut self, entry: Entry) -> Verdict {
        match entry {
            Entry::Event { seller, event_id } => self.event(&seller, &event_id)?,
            Entry::Settings { seller, settings } => {
                if !settings.auto_sync {
                    self.expect_no_heals(&seller, |_| true);
                }
                self.seller(&seller).settings = Some(settings);
            }
            Entry::Rule { seller, rule, deleted } => {
                let rules = &mut self.seller(&seller).rules;
                rules.retain(|r| (&r.sku, &r.store) != (&rule.sku, &rule.store));
                if !deleted {
                    rules.push(rule);
                }
            }
            Entry::Store { seller, store } => {
                if !store.enabled {
                    self.expect_no_heals(&seller, |listing| listing.store == store.id);
                }
                self.seller(&seller).stores.insert(store.id.clone(), store);
            }
            Entry::Listing { seller, listing, deleted } => {
                self.sibling_changes(&seller, &listing, deleted);
                if deleted {
                    self.seller(&seller).listings.remove(&listing.id);
                    self.listed.remove(&listing.id);
                } else {
                    self.listing_learned(&seller, &listing);
                    self.seller(&seller).listings.insert(listing.id.clone(), listing);
                }
            }
            Entry::Push { seller, push } => self.push(&seller, push)?,
            Entry::Run { run, .. } => self.run(run)?,
            Entry::Pause { seller, sku, deleted } => self.sku_pause(&seller, sku, deleted),
            Entry::Component { seller, component, deleted } => self.seller(&seller).takes(component, deleted),
        }
        Ok(())
    }

    /// A new event in the ledger: it must have been sent and must not be there already; adds the increases it triggers.
    fn event(&mut self, seller: &str, event_id: &str) -> Verdict {
        if let Some((of_bundle, _)) = event_id.split_once('\u{1f}') {
            // What an event of a bundle did to a component, which follows from the event.
            let is_known = self.recorded.contains(&(seller.to_owned(), of_bundle.to_owned()));
            return if is_known { Ok(()) } else { fail("component moved without an event of its bundle", event_id) };
        }
        if !self.recorded.insert((seller.to_owned(), event_id.to_owned())) {
            return fail("event applied twice", event_id);
        }
        let client = self.world.sellers.iter().find(|client| client.id == seller);
        let Some(mut event) = client.and_then(|client| client.events.get(event_id)).cloned() else {
            return fail("event never sent", event_id);
        };
        event.sold_by = event.sold_by.map(|store| crate::world::hex_of(&store));
        if let Some(store) = &event.sold_by {
            self.sale_reported(seller, store, &event.sku, event.quantity, event_id);
        }
        let of_seller = self.seller(seller);
        let touched = of_seller.touched_by(&event.sku);
        let targets = |of_seller: &Seller| touched.iter().flat_map(|sku| of_seller.targets(sku)).collect::<BTreeMap<_, _>>();
        let before = targets(of_seller);
        of_seller.apply(&event);
        let after = targets(of_seller);
        self.owe(seller, &event, &before, after);
        Ok(())
    }

    fn target(&mut self, seller: &str, listing: &str) -> Option<i64> {
        let of_seller = self.seller(seller);
        let sku = of_seller.listings.get(listing)?.sku.clone();
        of_seller.targets(&sku).get(listing).copied().flatten()
    }

    fn push(&mut self, seller: &str, push: Push) -> Verdict {
        let before = self.pushes.insert(push.id.clone(), push.clone());
        let was = before.as_ref().map(|p| p.state);
        self.begun_at.entry(push.id.clone()).or_insert(self.at);
        if was.is_none() && push.overwrite && push.run.is_empty() {
            self.heals += 1;
            if push.reason.as_ref().is_some_and(|reason| reason.starts_with("A check found")) {
                *self.counts.entry("corrected by a check").or_default() += 1;
            }
            if push.reason.is_none() {
                return fail("overwrite without a reason", format!("{push:?}"));
            }
        }
        if was == Some(State::Rejected) && is_active(push.state) {
            self.by_hand.insert(push.id.clone());
        }
        if matches!(was, Some(State::Confirmed | State::Superseded | State::Cancelled)) && was != Some(push.state) {
            return fail("push left a final state", format!("{before:?}"));
        }
        let starts = push.state == State::Sending && matches!(was, None | Some(State::Queued | State::Retrying | State::Held));
        if starts {
            self.is_not_paused(seller, &push)?;
        }
        if starts && !push.overwrite && !self.by_hand.contains(&push.id) {
            let of_seller = &self.sellers[seller];
            let on = of_seller.settings.as_ref().is_some_and(|s| s.auto_sync) && of_seller.stores[&push.store].enabled;
            if !on || push.cancel_requested {
                return fail("cancelled increase sent", format!("{push:?}"));
            }
        }
        let undone = self.taken_back_by(&push);
        if starts && push.overwrite {
            let target = self.aims_at(seller, &push, undone.as_deref())?;
            let Some(target) = target.filter(|target| push.unseen.is_some() || push.quantity == Some(*target)) else {
                return fail("overwrite differs from the target", format!("the target is {target:?}"));
            };
            self.leaves_out_unseen(seller, &push, target)?;
        }
        let left_alone = push.state == State::Cancelled && was != Some(State::Cancelled) && self.is_left_alone(&push, undone.as_deref())?;
        let is_new = push.state == State::Confirmed && was != Some(State::Confirmed);
        let believed = self.sellers.get(seller).and_then(|seller| seller.listings.get(&push.listing)?.shown);
        let read = self.read_last(seller, &push);
        let Some(listed) = self.listed.get_mut(&push.listing) else { return Ok(()) };
        listed.overwritten.moved(was, &push, starts, believed);
        if left_alone {
            listed.active.remove(&push.id);
            return Ok(());
        }
        listed.own.moved(before.as_ref(), &push, self.applied.contains(&push.id));
        // An overwrite whose answer was lost need not have been applied if a read has shown its number, or what sales have left of
        // it: it was there before. Where something else was applied late, a read may show by chance what an increase would show.
        let is_its_number = |quantity| listed.read_back.get(&push.id).is_some_and(|read| read.contains(&quantity));
        let is_read_back = push.overwrite && push.quantity.is_some_and(is_its_number);
        if is_new && falls::takes_off(&push) && !self.applied.contains(&push.id) {
            listed.has_fallen_without(&push, read)?;
            if !push.is_unsent() {
                *self.excused.entry(Excuse::SoldAsManyAsTaken).or_default() += 1;
            }
            self.applied.insert(push.id.clone());
        }
        if let Some(what) = falls::kind(&push, was, starts) {
            *self.counts.entry(what).or_default() += 1;
        }
        if is_new && !self.applied.contains(&push.id) && !is_read_back && listed.wrong.is_none() {
            return fail("confirmed, but never applied", format!("{push:?}"));
        }
        if is_new && is_read_back && !self.applied.contains(&push.id) {
            // The listing shows its number although it never arrived: there is nothing left to send.
            listed.count_as_overwritten();
        }
        if starts {
            if let Some(other) = listed.active.values().find(|p| p.id != push.id && is_in_flight(p.state)) {
                return fail("two pushes of one listing in flight", format!("{other:?}"));
            }
            if push.overwrite {
                listed.since_target = 0;
                listed.rejected_before_target = listed.rejected.keys().cloned().collect();
            }
        }
        let given_up = push.reason.as_deref().is_some_and(|reason| reason.starts_with("Given up after"));
        if push.overwrite && (push.state == State::Cancelled && !canceled::on_request(&push) || push.state == State::Rejected && !given_up)
        {
            listed.expect_no_heal();
        }
        listed.rejected.remove(&push.id);
        listed.refused.remove(&push.id);
        if push.state == State::Rejected && !push.overwrite && given_up {
            listed.given_up.insert(push.id.clone());
        }
        if push.state == State::Rejected && !push.overwrite {
            listed.rejected.insert(push.id.clone(), listed.outstanding(&push));
            if !given_up {
                listed.refused.insert(push.id.clone());
            }
        }
        if push.state == State::Rejected && !given_up {
            listed.owed_since.get_or_insert(self.at);
        }
        if push.overwrite && push.state == State::Confirmed {
            listed.owed_since = None;
        }
        if is_active(push.state) {
            listed.active.insert(push.id.clone(), push);
            return Ok(());
        }
        listed.active.remove(&push.id);
        if push.state == State::Confirmed
            && let Some(wrong) = listed.wrong.as_mut().filter(|wrong| wrong.reported_by.as_ref() == Some(&push.id))
        {
            let (since, at) = (wrong.since, self.at);
            let stepped = self.world.clock_steps.iter().filter(|(when, ms)| *ms > 0 && *when >= since && *when <= at);
            let stepped: i64 = stepped.map(|(_, ms)| ms).sum();
            wrong.reported |= at - since + Duration::from_millis(stepped.unsigned_abs()) < WATCHED_FOR;
            if push.cancel_requested {
                // It was detected, but nothing more may be sent for a cancelled push.
                listed.wrong = None;
            }
        }
        if push.state == State::Cancelled && was != Some(State::Cancelled) {
            if push.overwrite && !canceled::on_request(&push) && listed.wrong.as_ref().is_some_and(|wrong| wrong.reported) {
                // The healing overwrite was cancelled.
                listed.wrong = None;
            }
            self.canceled(seller, &push)?;
        }
        Ok(())
    }

    fn network_event(&mut self, event: HistoryEntry) -> Verdict {
        self.at = event.at;
        let place = format!("\n  after entry {}: {:?}", event.after, event.what);
        self.apply(event.what).map_err(|f| Failure { detail: f.detail + &place, ..f })
    }

    fn apply(&mut self, what: NetworkEvent) -> Verdict {
        match what {
            NetworkEvent::Sent { request, store, action, items, key } => self.sent(request, store, action, items, key),
            NetworkEvent::Applied { request, item, before, after } => self.applied(request, item, before, after),
            NetworkEvent::Looked { request } => {
                let Some(of) = self.requests.get(&request) else { return Ok(()) };
                let totals = |item: &Item| self.totals.get(&(of.store.clone(), item.external_id.clone())).copied().unwrap_or_default();
                self.looked.insert(request, of.items.iter().map(totals).collect());
                Ok(())
            }
            NetworkEvent::ReadAnswered { request: id, from: from_id, shown } => {
                let (Some(request), Some(from)) = (self.requests.get(&id), self.requests.get(&from_id)) else { return Ok(()) };
                let items: Vec<String> = request.items.iter().map(|item| item.external_id.clone()).collect();
                let then = self.looked.get(&from_id).cloned().unwrap_or_default();
                let kept = from_id != id;
                let totals: Vec<(i64, i64, Totals)> =
                    from.totals.iter().zip(&request.totals).zip(then).map(|((old, new), then)| (old.sold, new.changed, then)).collect();
                let store = request.store.clone();
                let found = items.into_iter().zip(totals).zip(shown);
                for ((external_id, (sold, changed, then)), shown) in found.filter_map(|(item, shown)| Some((item, shown?))) {
                    self.listing_of_item(&store, &external_id).for_each(|listed| {
                        listed.unreported_sales = 0;
                        let unsold = shown + listed.sold_since_applied;
                        let unseen = |p: &&Push| is_in_flight(p.state) && p.base == Some(shown) && listed.present.contains_key(&p.id);
                        listed.hidden.extend(listed.active.values().filter(unseen).map(|p| p.id.clone()));
                        let overwritten = listed.active.values().filter(|p| p.overwrite && is_in_flight(p.state));
                        listed.read_back = overwritten.map(|p| (p.id.clone(), [shown, unsold])).collect();
                    });
                    self.last_read.insert((store.clone(), external_id), LastRead { shown, sold, changed, then, kept, at: self.at });
                }
                Ok(())
            }
            NetworkEvent::Sold { store, external_id, quantity, report } => {
                let totals = self.totals.entry((store.clone(), external_id.clone())).or_default();
                totals.sold += quantity;
                let (totals, at) = (*totals, self.at);
                self.listing_of_item(&store, &external_id).for_each(|listed| {
                    listed.own.sold(quantity, totals, at, report.clone());
                    listed.unreported_sales += quantity;
                    listed.sold_since_applied += quantity;
                    if let Some(wrong) = listed.wrong.as_mut().filter(|wrong| !wrong.reported) {
                        wrong.sold += quantity;
                    }
                });
                Ok(())
            }
        }
    }

    /// The listing of an item, if it is paired.
    fn listing_of_item(&mut self, store: &str, external_id: &str) -> impl Iterator<Item = &mut ListingState> {
        let here = |seller: &&Seller| seller.stores.values().any(|s| s.name == store);
        let paired = self.sellers.values().find(here).and_then(|seller| {
            let this = |l: &&Listing| l.external_id == external_id && seller.stores.get(&l.store).is_some_and(|s| s.name == store);
            seller.listings.values().find(this)
        });
        paired.and_then(|listing| self.listed.get_mut(&listing.id)).into_iter()
    }

    /// A request may only carry pushes that are stored as `sending`, with exactly their numbers.
    fn sent(&mut self, id: usize, store: String, action: String, items: Vec<Item>, key: Option<String>) -> Verdict {
        let ability = self.abilities[&store];
        let mut pushes = Vec::new();
        for item in &items {
            if action == "items" {
                pushes.push(None);
                continue;
            }
            let sending = self.pushes.values().filter(|p| {
                p.state == State::Sending
                    && p.external_id == item.external_id
                    && self.sellers.values().any(|s| s.stores.get(&p.store).is_some_and(|s| s.name == store))
            });
            let fits = |push: &Push| {
                let n = push.quantity.unwrap_or(i64::MIN);
                let right = if push.overwrite {
                    action == "set" && item.quantity == Some(n) && item.expected == push.shown_before.filter(|_| ability.compare())
                } else if action == "adjust" {
                    item.quantity == Some(push.change()) && ability.adjust()
                } else {
                    let base = push.base.unwrap_or(i64::MIN);
                    let read = self.last_read.get(&(store.clone(), item.external_id.clone()));
                    // The very same call is repeated whatever a look at the listing has shown meanwhile.
                    let again = item.expected.is_some() && self.carried.contains_key(&push.id);
                    let read = again || read.is_some_and(|read| read.shown == base);
                    item.quantity == Some(base + push.change()) && read && item.expected == ability.compare().then_some(base)
                };
                let under_key = !ability.keys() || key.as_deref().is_some_and(|key| crate::world::hex_of(key) == push.call);
                right && (n >= 0 || !push.overwrite) && under_key
            };
            // There are two if a listing was unpaired with a push in flight and its item was paired again.
            let sending: Vec<&Push> = sending.collect();
            let Some(push) = sending.iter().find(|push| fits(push)) else {
                return fail("request without a push", format!("{item:?} under {key:?}; sending: {sending:?}"));
            };
            let push = Push::clone(push);
            self.carried.entry(push.id.clone()).or_default().push(id);
            pushes.push(Some(push.clone()));
        }
        if pushes.iter().flatten().any(|push| push.overwrite) && self.sent_requests[id].fault.is_some_and(is_5xx_after) {
            *self.counts.entry("5xx after an overwrite").or_default() += 1;
        }
        let key = |item: &Item| (store.clone(), item.external_id.clone());
        let totals = items.iter().map(|item| self.totals.get(&key(item)).copied().unwrap_or_default()).collect();
        let reads = items.iter().map(|item| self.last_read.get(&key(item)).copied()).collect();
        self.requests.insert(id, Request { store, action, items, pushes, totals, reads });
        Ok(())
    }

    fn applied(&mut self, id: usize, item: usize, before: i64, after: i64) -> Verdict {
        let request = &self.requests[&id];
        let (action, store) = (request.action.clone(), request.store.clone());
        let expected = request.items[item].expected;
        let read = request.reads.get(item).copied().flatten();
        let totals = self.totals.entry((store.clone(), request.items[item].external_id.clone())).or_default();
        let then = *totals;
        totals.changed += after - before;
        let Some(push) = request.pushes[item].clone() else { return Ok(()) };
        self.applied.insert(push.id.clone());
        let n = push.quantity.unwrap_or(0);
        let ability = self.abilities[&store];
        let change = after - before;
        if action == "adjust" && change != push.change() {
            return fail("platform applied another change", format!("{push:?}"));
        }
        // Is it still in flight, as far as the service knows?
        let now = self.pushes[&push.id].clone();
        let current = is_in_flight(now.state) && now.call == push.call;
        if let Some(listed) = self.listed.get_mut(&push.listing)
            && listed.own.changed(&push, change, current)
        {
            *self.counts.entry("sold between a read and what followed it").or_default() += 1;
        }
        let of_push = self.carried[&push.id].clone();
        let keyed = ability.keys() && self.keys_hold();
        let any_late = of_push.iter().any(|request| self.may_be_too_late(*request));
        // Keys do not help if the platform refused the repetition: the push was left unresolved and is healed like others.
        let unresolved = matches!(now.state, State::Superseded | State::Cancelled | State::Rejected);
        let believed = self.sellers.values().find_map(|seller| seller.listings.get(&push.listing)?.shown);
        let Some(listed) = self.listed.get_mut(&push.listing) else { return Ok(()) };
        listed.sold_since_applied = 0;
        let healing = now.state == State::Superseded && listed.active.values().any(|p| p.overwrite && !is_in_flight(p.state));
        if push.overwrite {
            if current {
                listed.count_as_overwritten();
                (listed.wrong, listed.unreported_sales) = (None, 0);
                (listed.present, listed.hidden) = Default::default();
            } else if healing || now.state == State::Rejected || any_late && (!keyed || unresolved) {
                // If the platform already shows the number it sets, the change is zero.
                listed.add_late_change(change, self.at);
                *self.excused.entry(Excuse::AppliedLate).or_default() += 1;
            } else {
                return fail("overwrite applied after what followed it", format!("{now:?}"));
            }
            return Ok(());
        }
        // Keys protect additions only; a set with a key is read back instead.
        let weak = ability != Ability::Keys;
        if !current {
            // The service has already resolved it differently, or overwrites the listing because it cannot resolve it.
            if !(healing || any_late && (weak || unresolved)) {
                return fail("increase applied after it was resolved", format!("{now:?}"));
            }
            listed.add_late_change(change, self.at);
            *self.excused.entry(Excuse::AppliedLate).or_default() += 1;
            return Ok(());
        }
        // This is undetectable if the service never knew what is shown, or if a push cancelled unresolved makes up for it.
        if let Some(wrong) = listed.wrong.as_mut().filter(|_| believed.is_some_and(|believed| after != believed + push.change())) {
            wrong.reported_by = Some(push.id.clone());
        }
        listed.unreported_sales = 0;
        // If the push was merged with later ones, only its earlier quantity can have been applied twice.
        let earlier = listed.present.insert(push.id.clone(), n).unwrap_or(0);
        let twice = if listed.falls { earlier } else { earlier.min(n) };
        listed.owed -= n - twice;
        // A comparing request has itself found the earlier quantity.
        let hidden = listed.hidden.contains(&push.id) || expected.is_some();
        if listed.owed < 0 && !listed.falls || twice != 0 && !(weak && hidden) {
            return fail("increase applied twice", format!("{now:?}; owed {}, twice {twice}", listed.owed));
        }
        // What the shop shows rises by exactly these units. A shop that is read and then set gets back what it has sold between
        // the two (the contract says so), and what a cache has not told. Where a request from before arrives between the two,
        // the number is accounted for with that request.
        if action == "set" && expected.is_none() && twice == 0 && listed.wrong.is_none() && !any_late {
            let surplus = change - push.change();
            // A cache may have answered from before an overwrite of unknown outcome, which is repeated after this.
            let is_repeated = |read: LastRead| read.kept && listed.active.values().any(|push| push.overwrite);
            let as_read = |read: LastRead| then.changed != read.changed || (0..=then.sold - read.sold).contains(&surplus);
            let explained = read.is_some_and(|read| as_read(read) || is_repeated(read));
            if !explained {
                return fail(
                    "set to a number that is not the shop's plus the increase",
                    format!("{push:?}: {before} became {after}; {read:?}, {then:?}"),
                );
            }
        }
        if twice != 0 {
            let units = twice + listed.wrong.as_ref().map_or(0, |wrong| wrong.units);
            listed.wrong = (units != 0).then(|| Wrong::new(Excuse::SoldAsManyAsAdded, units, self.at));
            *self.excused.entry(Excuse::SoldAsManyAsAdded).or_default() += 1;
        }
        Ok(())
    }

    pub fn sellers_count(&self) -> usize {
        self.world.sellers.len()
    }

    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    pub fn seller_at(&self, seller: usize) -> &Seller {
        &self.sellers[&self.world.sellers[seller].id]
    }
}
