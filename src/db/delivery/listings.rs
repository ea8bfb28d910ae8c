//! What the service knows about listings: accounts, settle times, marks, and the overwrites that heal them.
use super::expectations;
use crate::db::connection::{Backend, on};
use crate::db::kept::{Key, kept, kept_as};
use crate::db::pushes::is_rejected_increase;
use crate::db::schema::{listings, pushes, stores};
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of};
use crate::domain::circuit::PROBE_AFTER;
use crate::domain::claim::outcome::Updates;
use crate::domain::claim::waiting;
use crate::domain::push::{Account, Addressee, LatestNumbers};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

/// What a listing shows by an answer, and what it showed before the change that the answer confirms.
struct Shown {
    id: Vec<u8>,
    shown: i64,
    before: Option<String>,
    /// By how much that changes what is expected, in units of the listing; `None` if nothing can be expected any more.
    change: Option<i64>,
    /// By how much an increase has raised it.
    increased: Option<i64>,
    /// The overwrite that is confirmed by it.
    set_by: Option<Vec<u8>>,
}

/// The statement that saves it on SQLite.
struct NoteShown;

impl Key for NoteShown {}

/// The columns of [`AccountRow`].
macro_rules! account_columns {
    () => {
        (
            listings::id,
            listings::shown,
            listings::doubt_until,
            listings::late_numbers,
            listings::shown_earlier,
            listings::changed_at,
            listings::owed_since,
            listings::sold_when_shown,
            listings::increased,
        )
    };
}
pub(super) use account_columns;

/// What is believed of a listing.
#[derive(Queryable)]
pub(super) struct AccountRow {
    id: Vec<u8>,
    shown: Option<i64>,
    doubt_until: Option<Timestamp>,
    late_numbers: Option<String>,
    shown_earlier: Option<String>,
    changed_at: Option<Timestamp>,
    owed_since: Option<Timestamp>,
    sold_when_shown: i64,
    increased: i64,
}

impl AccountRow {
    /// Without whether an increase was refused; see [`Tenant::read_accounts`].
    fn account(self) -> Result<(ListingId, Account)> {
        let numbers = |text: Option<String>| text.as_deref().map(LatestNumbers::parse).unwrap_or_default();
        let account = Account {
            shown: self.shown,
            doubt_until: self.doubt_until,
            late: numbers(self.late_numbers),
            before: numbers(self.shown_earlier),
            changed_at: self.changed_at,
            owed_since: self.owed_since,
            has_refused: false,
            sold_when_shown: self.sold_when_shown,
            increased: self.increased,
        };
        Ok((id_of(&self.id, ListingId::from_bytes, "listings.id")?, account))
    }
}

impl Tenant<'_> {
    pub(super) fn accounts(&mut self, of: impl Iterator<Item = ListingId>) -> Result<HashMap<ListingId, Account>> {
        let (scope, ids) = (self.scope(), of.map(|id| id.bytes()).collect::<Vec<_>>());
        let rows: Vec<AccountRow> =
            on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids)).select(account_columns!()).load(c))?;
        self.read_accounts(rows)
    }

    pub(super) fn read_accounts(&mut self, rows: Vec<AccountRow>) -> Result<HashMap<ListingId, Account>> {
        let mut accounts: HashMap<_, _> = rows.into_iter().map(AccountRow::account).collect::<Result<_>>()?;
        let owed: Vec<Vec<u8>> = accounts.iter().filter(|(_, account)| account.owed_since.is_some()).map(|(id, _)| id.bytes()).collect();
        if owed.is_empty() {
            return Ok(accounts);
        }
        let scope = self.scope();
        let refused: Vec<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::listing_id).filter(among_ids(pushes::listing_id, owed))
            .filter(is_rejected_increase()).filter(pushes::contained.eq(false)).load(c))?;
        for id in refused {
            if let Some(account) = accounts.get_mut(&id_of(&id, ListingId::from_bytes, "pushes.listing_id")?) {
                account.has_refused = true;
            }
        }
        Ok(accounts)
    }

    pub(super) fn addressees(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Addressee>> {
        type Row = (Vec<u8>, Vec<u8>, String, String, Option<String>);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids))
            .select((listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra)).load(c))?;
        let read = |(id, store, sku, external_id, extra): Row| {
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            Ok((listing_id, Addressee { store_id, listing_id, sku, external_id, extra }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Saves what answers say about listings, and queues the overwrites that heal them.
    pub(super) fn update_listings(&mut self, store: StoreId, updates: Updates, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let mut heal: Vec<(ListingId, String)> = Vec::new();
        let shown = updates.iter().filter_map(|(id, update)| {
            let change = expectations::change(update.expected);
            let before = update.before.and_then(LatestNumbers::text);
            let set_by = update.set_by.map(|push| push.bytes());
            Some(Shown { id: id.bytes(), shown: update.shown?, before, change, increased: update.increased, set_by })
        });
        self.note_shown(&shown.collect::<Vec<_>>(), now)?;
        for (id, update) in updates {
            let id_bytes = id.bytes();
            if update.doubt_until.is_some() {
                on!(self.conn, c => kept(diesel::update(scope.listings().filter(listings::id.eq(&id_bytes)))
                    .set(listings::doubt_until.eq(update.doubt_until))).run(c))?;
            }
            if update.settles_at.is_some() {
                on!(self.conn, c => kept(diesel::update(scope.listings().filter(listings::id.eq(&id_bytes)))
                    .set(listings::settles_at.eq(update.settles_at))).run(c))?;
            }
            self.note_look(&id_bytes, &update, now)?;
            self.note_perhaps(&id_bytes, &update)?;
            if update.mark {
                on!(self.conn, c => kept(diesel::update(scope.listings().filter(listings::id.eq(&id_bytes))).set(listings::marked.eq(true))).run(c))?;
                on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).filter(stores::probe_at.is_null())
                    .set(stores::probe_at.eq(now + PROBE_AFTER))).run(c))?;
            }
            heal.extend(update.heal.map(|reason| (id, reason)));
        }
        self.overwrite_listings(&heal, now)
    }

    /// Saves what listings show.
    fn note_shown(&mut self, shown: &[Shown], now: Timestamp) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
        let key = self.key();
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for Shown { id, shown, before, change, increased, set_by } in shown {
                    let update = diesel::sql_query(
                        "UPDATE listings SET shown = $1, shown_at = $2, shown_earlier = COALESCE($3, shown_earlier), \
                         changed_at = CASE WHEN $3 IS NULL THEN changed_at ELSE $2 END, expected = expected + $4 * units, \
                         expected_otherwise = expected_otherwise + $4 * units, sold_when_shown = sold, increased = increased + COALESCE($5, 0), \
                         set_by = COALESCE($6, set_by) WHERE seller_id = $7 AND id = $8",
                    );
                    let update = update.bind::<BigInt, _>(shown).bind::<BigInt, _>(now).bind::<Nullable<Text>, _>(before.as_deref());
                    let update = update.bind::<Nullable<BigInt>, _>(change).bind::<Nullable<BigInt>, _>(increased);
                    let update = update.bind::<Nullable<Binary>, _>(set_by.as_deref()).bind::<Binary, _>(&key).bind::<Binary, _>(id);
                    kept_as::<NoteShown, _>(update).run(c)?;
                }
            }
            // One statement, since each costs a round trip.
            Backend::Postgres(c) => {
                let update = diesel::sql_query(
                    "UPDATE listings SET shown = v.shown, shown_at = $1, shown_earlier = COALESCE(v.before, listings.shown_earlier), \
                     changed_at = CASE WHEN v.before IS NULL THEN listings.changed_at ELSE $1 END, \
                     expected = listings.expected + v.change * listings.units, \
                     expected_otherwise = listings.expected_otherwise + v.change * listings.units, \
                     sold_when_shown = listings.sold, increased = listings.increased + COALESCE(v.increased, 0), \
                     set_by = COALESCE(v.set_by, listings.set_by) \
                     FROM unnest($2, $3, $4, $6, $7, $8) AS v (id, shown, before, change, increased, set_by) WHERE listings.seller_id = $5 AND listings.id = v.id",
                );
                let update = update
                    .bind::<BigInt, _>(now)
                    .bind::<Array<Binary>, _>(shown.iter().map(|row| &row.id).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(shown.iter().map(|row| row.shown).collect::<Vec<_>>())
                    .bind::<Array<Nullable<Text>>, _>(shown.iter().map(|row| row.before.as_deref()).collect::<Vec<_>>())
                    .bind::<Binary, _>(&key)
                    .bind::<Array<Nullable<BigInt>>, _>(shown.iter().map(|row| row.change).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(shown.iter().map(|row| row.increased).collect::<Vec<_>>())
                    .bind::<Array<Nullable<Binary>>, _>(shown.iter().map(|row| row.set_by.as_deref()).collect::<Vec<_>>());
                kept(update).run(c)?;
            }
        }
        Ok(())
    }

    /// Queues an overwrite for each of these listings that has none waiting.
    fn overwrite_listings(&mut self, of: &[(ListingId, String)], now: Timestamp) -> Result<()> {
        if of.is_empty() {
            return Ok(());
        }
        let ids: Vec<ListingId> = of.iter().map(|(id, _)| *id).collect();
        let active = self.active_pushes(&ids)?;
        let addressees = self.addressees(&ids)?;
        let held = self.held_stores(addressees.values().map(|to| to.store_id), now)?;
        let queued = waiting::heal(of, &active, addressees, &held, now);
        self.put(&queued)
    }

    /// Overwrites marked listings, whose pushes were given up. Returns how many overwrites were queued.
    pub fn heal_marked(&mut self, store: StoreId, limit: i64, now: Timestamp) -> Result<usize> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(store.bytes())).filter(listings::marked)
            .limit(limit).load(c))?;
        if ids.is_empty() {
            return Ok(0);
        }
        let why = "An earlier increase was given up while the store did not work; overwritten with the target.";
        let of = ids.iter().map(|id| Ok((id_of(id, ListingId::from_bytes, "listings.id")?, why.to_owned()))).collect::<Result<Vec<_>>>()?;
        self.overwrite_listings(&of, now)?;
        on!(self.conn, c => kept(diesel::update(scope.listings().filter(among_ids(listings::id, ids.clone())))
            .set(listings::marked.eq(false))).run(c))?;
        Ok(ids.len())
    }
}
