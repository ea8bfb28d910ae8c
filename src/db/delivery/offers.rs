//! The calls that stores offer, and the ledger's transaction that takes them: increases that are `sending`, in a call, from the
//! moment they are recorded.
//!
//! An offer is taken by one transaction and used once. After the commit the call is handed to the store's actor, which waits
//! for it. If the transaction fails, or its answer is lost, the actor learns that too: then it looks for pushes that are
//! `sending` although nothing sends them, as after a crash.
use crate::db::connection::{Backend, Conn};
use crate::db::error::Result;
use crate::db::kept::kept;
use crate::db::pushes::{is_active, is_in_flight, pack_is_sending};
use crate::domain::claim::ClaimedCall;
use crate::domain::offer::{Offer, may_go};
use crate::domain::push::Push;
use crate::domain::{CallId, ListingId, SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Whether the rate limits allow a store a call at this moment.
pub type HasRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// A call that a store offers.
#[expect(missing_debug_implementations, reason = "holds a callback")]
pub struct Offered {
    /// The offer.
    pub offer: Offer,
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
}

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

    fn find(&self, store: StoreId) -> Option<(Offer, HasRoom)> {
        self.lock().get(&store).filter(|offered| !offered.to.is_closed()).map(|offered| (offered.offer, Arc::clone(&offered.has_room)))
    }
}

/// The offers that a group of stock events has taken.
pub(in crate::db) struct Taken {
    offers: Arc<Offers>,
    /// The calls whose pushes are in the transaction under way.
    calls: Vec<(StoreId, Offered, Begun)>,
    /// Taken by an attempt that was rolled back.
    spare: HashMap<StoreId, Offered>,
}

impl Taken {
    pub(in crate::db) fn new(offers: Arc<Offers>) -> Self {
        Self { offers, calls: Vec::new(), spare: HashMap::new() }
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

    fn find(&self, store: StoreId) -> Option<(Offer, HasRoom)> {
        match self.spare.get(&store) {
            Some(offered) => Some((offered.offer, Arc::clone(&offered.has_room))),
            // A second call of a store in one transaction would go beyond what it has offered.
            None if self.calls.iter().any(|(other, ..)| *other == store) => None,
            None => self.offers.find(store),
        }
    }

    /// Puts those of these new or changed pushes on their way whose stores offer a call; they are saved after this. `now` is
    /// the time of the events.
    pub(in crate::db) fn begin(&mut self, conn: &mut Conn, pushes: &mut [(SellerId, Push)]) -> Result<()> {
        let mut due: BTreeMap<StoreId, Vec<&mut (SellerId, Push)>> = BTreeMap::new();
        for push in pushes.iter_mut().filter(|(_, push)| may_go(push, push.updated_at())) {
            due.entry(push.1.store_id()).or_default().push(push);
        }
        let mut offers: BTreeMap<StoreId, (Offer, Timestamp)> = BTreeMap::new();
        due.retain(|store, due| {
            let now = due.iter().map(|(_, push)| push.updated_at()).max().unwrap_or(Timestamp::MIN);
            let found = self.find(*store).filter(|(offer, has_room)| offer.is_valid(now) && has_room());
            found.is_some_and(|(offer, _)| offers.insert(*store, (offer, now)).is_none())
        });
        if due.is_empty() {
            return Ok(());
        }
        let busy = busy(conn, due.values().flatten().map(|(seller, push)| (*seller, push.listing_id(), push.updated_at())))?;
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
            self.calls.push((store, offered, Begun { call, since: *now }));
        }
        Ok(())
    }
}

/// Of a seller's listing: whether something of it is in flight, or a request may still arrive at it. Of what is being sent in a pack,
/// only the first and the last listing are known, so one in between counts as well.
fn busy_text(from: &str) -> String {
    let (active, in_flight, sent) = (is_active().sql(), is_in_flight().sql(), pack_is_sending().sql());
    format!(
        "SELECT listings.id FROM {from} JOIN listings ON listings.seller_id = v.seller AND listings.id = v.listing \
         WHERE listings.settles_at > v.now OR EXISTS (SELECT 1 FROM pushes WHERE pushes.seller_id = v.seller \
         AND pushes.listing_id = v.listing AND {active} AND {in_flight}) \
         OR EXISTS (SELECT 1 FROM push_packs WHERE push_packs.seller_id = v.seller AND push_packs.store_id = listings.store_id AND {sent} \
         AND push_packs.first_listing <= v.listing AND push_packs.last_listing >= v.listing)"
    )
}

static IS_BUSY: LazyLock<String> = LazyLock::new(|| busy_text("(SELECT ?1 AS seller, ?2 AS listing, ?3 AS now) AS v"));
static ARE_BUSY: LazyLock<String> = LazyLock::new(|| busy_text("unnest($1, $2, $3) AS v (seller, listing, now)"));

#[derive(QueryableByName)]
struct BusyRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// Those of these listings to which nothing may be sent.
fn busy(conn: &mut Conn, of: impl Iterator<Item = (SellerId, ListingId, Timestamp)>) -> Result<BTreeSet<ListingId>> {
    let mut rows: Vec<BusyRow> = Vec::new();
    match &mut conn.backend {
        Backend::Sqlite(c) => {
            for (seller, listing, now) in of {
                let query = diesel::sql_query(IS_BUSY.as_str()).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(listing.bytes());
                rows.extend(kept(query.bind::<BigInt, _>(now)).load::<BusyRow>(c)?);
            }
        }
        Backend::Postgres(c) => {
            let mut all: (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<Timestamp>) = Default::default();
            for (seller, listing, now) in of {
                all.0.push(seller.bytes());
                all.1.push(listing.bytes());
                all.2.push(now);
            }
            let query = diesel::sql_query(ARE_BUSY.as_str()).bind::<Array<Binary>, _>(all.0).bind::<Array<Binary>, _>(all.1);
            rows.extend(kept(query.bind::<Array<BigInt>, _>(all.2)).load::<BusyRow>(c)?);
        }
    }
    rows.into_iter().map(|row| crate::db::id_of(&row.id, ListingId::from_bytes, "listings.id")).collect()
}
