//! The calls that stores offer, and the ledger's transaction that takes them: increases that are `sending`, in a call, from the
//! moment they are recorded.
//!
//! An offer is taken by one transaction and used once. After the commit the call is handed to the store's actor, which waits
//! for it. If the transaction fails, or its answer is lost, the actor learns that too: then it looks for pushes that are
//! `sending` although nothing sends them, as after a crash.
use crate::db::error::Result;
use crate::db::held::{Held, Place};
use crate::domain::claim::ClaimedCall;
use crate::domain::leases::Lease;
use crate::domain::offer::{Offer, may_go};
use crate::domain::push::Push;
use crate::domain::{CallId, ListingId, SellerId, StoreId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Whether the rate limits allow a store a call at this moment.
pub type HasRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// A call that a store offers.
#[expect(missing_debug_implementations, reason = "holds a callback")]
pub struct Offered {
    /// The offer.
    pub offer: Offer,
    /// By what lease the store is called: it has to be held until the pushes are saved.
    pub lease: Option<Lease>,
    /// Asked before it is taken.
    pub has_room: HasRoom,
    /// Where the call goes. Dropped if it is not made, or if nobody knows whether its pushes are in the database.
    pub to: oneshot::Sender<Begun>,
}

/// A call whose pushes are `sending` since they were recorded.
#[derive(Debug)]
pub struct Begun {
    /// The call.
    pub call: ClaimedCall,
    /// The time of its events.
    pub since: Timestamp,
    /// An instant before the transaction that has begun it.
    pub begun_at: Instant,
}

/// What an offer is taken by.
type Found = (Offer, HasRoom, Option<Lease>);

/// The epochs of the sellers whose shards are held here, locked until the commit.
pub(in crate::db) type Epochs = BTreeMap<SellerId, i64>;

/// The calls that the stores of this process offer, at most one for each.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "holds callbacks")]
pub struct Offers(Mutex<HashMap<StoreId, Offered>>);

impl Offers {
    fn lock(&self) -> MutexGuard<'_, HashMap<StoreId, Offered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a call of this store, instead of any that it has offered before.
    pub fn put(&self, store: StoreId, offered: Offered) {
        self.lock().insert(store, offered);
    }

    /// Takes an offer back; `None` if a transaction has taken it.
    pub fn withdraw(&self, store: StoreId, call: CallId) -> Option<Offered> {
        self.take(store, call)
    }

    fn take(&self, store: StoreId, call: CallId) -> Option<Offered> {
        let mut all = self.lock();
        if all.get(&store)?.offer.call == call { all.remove(&store) } else { None }
    }

    fn find(&self, store: StoreId) -> Option<Found> {
        self.lock().get(&store).filter(|offered| !offered.to.is_closed()).map(Offered::found)
    }
}

impl Offered {
    fn found(&self) -> Found {
        (self.offer, Arc::clone(&self.has_room), self.lease)
    }
}

/// The offers that a group of stock events has taken.
pub(in crate::db) struct Taken {
    offers: Arc<Offers>,
    held: Arc<Held>,
    begun_at: Instant,
    /// The calls whose pushes are in the transaction under way.
    calls: Vec<(StoreId, Offered, Begun)>,
    /// Taken by an attempt that was rolled back.
    spare: HashMap<StoreId, Offered>,
}

impl Taken {
    /// For the transaction that begins now.
    pub(in crate::db) fn new(offers: Arc<Offers>, held: Arc<Held>) -> Self {
        Self { offers, held, begun_at: Instant::now(), calls: Vec::new(), spare: HashMap::new() }
    }

    /// Whether an offer of this seller's stores may hold only as long as a lease does.
    pub(in crate::db) fn needs_lease(&self, seller: SellerId) -> bool {
        matches!(self.held.place_of(seller), Place::Here(Some(_)))
    }

    /// How many calls have been begun.
    pub(in crate::db) fn len(&self) -> usize {
        self.calls.len()
    }

    /// What was begun after the first `len` calls is rolled back.
    pub(in crate::db) fn roll_back(&mut self, len: usize) {
        let undone = self.calls.drain(len.min(self.calls.len())..);
        self.spare.extend(undone.map(|(store, offered, _)| (store, offered)));
    }

    /// After the commit: the stores' actors send these calls.
    pub(in crate::db) fn hand_over(self) {
        for (_, offered, begun) in self.calls {
            // If the actor has died, its successor finds the pushes as it starts.
            offered.to.send(begun).ok();
        }
    }

    fn find(&self, store: StoreId) -> Option<Found> {
        match self.spare.get(&store) {
            Some(offered) => Some(offered.found()),
            // A second call of a store in one transaction would go beyond what it has offered.
            None if self.calls.iter().any(|(other, ..)| *other == store) => None,
            None => self.offers.find(store),
        }
    }

    /// Puts those of these new or changed pushes on their way whose stores offer a call; they are saved after this. Nothing may
    /// be sent to the listings that are `busy`, nor by a lease with another epoch than these.
    pub(in crate::db) fn begin(&mut self, pushes: &mut [(SellerId, Push)], busy: &BTreeSet<ListingId>, epochs: &Epochs) -> Result<()> {
        let mut due: BTreeMap<StoreId, Vec<&mut (SellerId, Push)>> = BTreeMap::new();
        for push in pushes.iter_mut().filter(|(_, push)| may_go(push, push.updated_at())) {
            due.entry(push.1.store_id()).or_default().push(push);
        }
        let mut offers: BTreeMap<StoreId, (Offer, Timestamp)> = BTreeMap::new();
        due.retain(|store, due| {
            let now = due.iter().map(|(_, push)| push.updated_at()).max().unwrap_or(Timestamp::MIN);
            let epoch = due.first().and_then(|(seller, _)| epochs.get(seller).copied());
            let is_held = |lease: Option<Lease>| lease.is_none_or(|lease| epoch == Some(lease.epoch));
            let found = self.find(*store).filter(|(offer, has_room, lease)| offer.is_valid(now) && is_held(*lease) && has_room());
            found.is_some_and(|(offer, ..)| offers.insert(*store, (offer, now)).is_none())
        });
        if due.is_empty() {
            return Ok(());
        }
        for (store, due) in due {
            let Some((offer, now)) = offers.get(&store) else { continue };
            let free = due.iter().filter(|(_, push)| !busy.contains(&push.listing_id())).map(|(_, push)| push.clone()).collect();
            let Some((page, call)) = offer.take(free, *now)? else { continue };
            // It may have been withdrawn meanwhile.
            let Some(offered) = self.spare.remove(&store).or_else(|| self.offers.take(store, offer.call)) else { continue };
            let mut page: HashMap<_, Push> = page.into_iter().map(|push| (push.id(), push)).collect();
            for (_, push) in due {
                if let Some(begun) = page.remove(&push.id()) {
                    *push = begun;
                }
            }
            self.calls.push((store, offered, Begun { call, since: *now, begun_at: self.begun_at }));
        }
        Ok(())
    }
}
