//! Stores of one seller, and whether they can be reached.
use super::connection::on;
use super::packs::PackedLoad;
use super::pushes::is_held;
use super::schema::{listings, pushes, store_circuits, stores};
use super::{Changed, Error, Result, Tenant, id_of};
use crate::domain::allocation::Share;
use crate::domain::circuit::Circuit;
use crate::domain::falls::{Falls, Restocks};
use crate::domain::frozen::Frozen;
use crate::domain::pause::{self, Above, Hold, Pause};
use crate::domain::settings::StoreRules;
use crate::domain::{StoreId, Timestamp, WarehouseCode};
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::{HashMap, HashSet};

/// A store as stored: the credentials are sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// The seller's name for it.
    pub name: String,
    /// The connector's name.
    pub platform: String,
    /// The address of the shop, where the platform has no common one.
    pub base_url: Option<String>,
    /// The connector's own settings, a JSON object.
    pub config: String,
    /// The connector's own secrets, sealed; `None` without any.
    pub credentials: Option<Vec<u8>>,
    /// The warehouses whose stock it shows; all when `None`.
    pub warehouses: Option<Vec<WarehouseCode>>,
    /// Its share of the stock in exclusive mode.
    pub share: Option<Share>,
    /// Whether its listings are pushed.
    pub sync_enabled: bool,
    /// Whether the seller has paused it; its pushes are held until it is resumed.
    pub paused: bool,
    /// Whether the platform refused its credentials; its pushes are held until they work again.
    pub needs_reauthorisation: bool,
    /// What is wrong with it, for the seller to read.
    pub problem: Option<String>,
    /// When to check it again: refused credentials are tried, marked listings overwritten.
    pub probe_at: Option<Timestamp>,
    /// When a push was last confirmed, to the second.
    pub last_success_at: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Identifies the shop, which a seller connects only once; `None` where that is unknown.
    pub shop: Option<String>,
    /// With `needs_reauthorisation`: it was a write that the platform refused, so a read that works proves nothing.
    pub write_refused: bool,
    /// Whether its overwrites leave out what it has sold without a report, where the platform can be read.
    pub protect_unseen_sales: bool,
    /// For how many hours they do so.
    pub unseen_sales_hours: i64,
    /// When the first sale was reported that names it. Before that, nothing is known of its sales.
    pub sales_named_at: Option<Timestamp>,
    /// Whether some of its listings are, or were, more than one unit of their SKU.
    pub has_multiples: bool,
    /// The pauses that come from above it.
    pub above: Above,
    /// When to look again at what was held during a pause.
    pub resumes_at: Option<Timestamp>,
    /// It is paused because it is new: nothing has been sent to it yet.
    pub rehearsal: bool,
    /// For which reasons falls are pushed to it.
    pub falls: Falls,
    /// What it puts back on sale by itself.
    pub restocks: Restocks,
    /// Whether several of its listings show, or have shown, the same SKU.
    pub repeats_skus: bool,
}

impl Store {
    /// What its own row says about allocation.
    pub fn rules(&self) -> StoreRules {
        StoreRules {
            store_id: self.id,
            share: self.share,
            sync_enabled: self.sync_enabled,
            warehouses: self.warehouses.clone(),
            has_multiples: self.has_multiples,
            falls: self.falls,
            restocks: self.restocks,
            repeats_skus: self.repeats_skus,
        }
    }

    /// What holds its pushes.
    pub fn hold(&self) -> Hold {
        Hold { refused: self.needs_reauthorisation, paused: self.paused, above: self.above.clone() }
    }

    /// Whether its pushes are held at `now`.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.needs_reauthorisation || self.pause(now).is_some()
    }

    /// The pause that is on at `now`.
    pub fn pause(&self, now: Timestamp) -> Option<Pause> {
        pause::of_store(self.paused, &self.above, now)
    }
}

#[derive(Queryable, Insertable, AsChangeset, Debug)]
#[diesel(table_name = stores, treat_none_as_null = true)]
pub(super) struct StoreRow {
    pub(super) seller_id: Vec<u8>,
    id: Vec<u8>,
    name: String,
    platform: String,
    base_url: Option<String>,
    config: String,
    credentials: Option<Vec<u8>>,
    warehouses: Option<String>,
    share: Option<i64>,
    sync_enabled: bool,
    paused: bool,
    needs_reauthorisation: bool,
    problem: Option<String>,
    probe_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    shop: Option<String>,
    write_refused: bool,
    protect_unseen_sales: bool,
    unseen_sales_hours: i64,
    sales_named_at: Option<Timestamp>,
    has_multiples: bool,
    seller_paused: bool,
    platform_paused: bool,
    frozen: Option<String>,
    resumes_at: Option<Timestamp>,
    rehearsal: bool,
    falls: i16,
    restocks_returns: bool,
    restocks_cancellations: bool,
    repeats_skus: bool,
}

impl StoreRow {
    fn new(seller_id: Vec<u8>, store: &Store) -> Result<Self> {
        let warehouses = store.warehouses.as_ref().map(serde_json::to_string).transpose();
        Ok(Self {
            seller_id,
            id: store.id.bytes(),
            name: store.name.clone(),
            platform: store.platform.clone(),
            base_url: store.base_url.clone(),
            config: store.config.clone(),
            credentials: store.credentials.clone(),
            warehouses: warehouses.map_err(|e| Error::Corrupt(e.to_string()))?,
            share: store.share.map(Share::hundredths),
            sync_enabled: store.sync_enabled,
            paused: store.paused,
            needs_reauthorisation: store.needs_reauthorisation,
            problem: store.problem.clone(),
            probe_at: store.probe_at,
            last_success_at: store.last_success_at,
            created_at: store.created_at,
            updated_at: store.updated_at,
            shop: store.shop.clone(),
            write_refused: store.write_refused,
            protect_unseen_sales: store.protect_unseen_sales,
            unseen_sales_hours: store.unseen_sales_hours,
            sales_named_at: store.sales_named_at,
            has_multiples: store.has_multiples,
            seller_paused: store.above.seller,
            platform_paused: store.above.platform,
            frozen: store.above.frozen.text(),
            resumes_at: store.resumes_at,
            rehearsal: store.rehearsal,
            falls: store.falls.bits(),
            restocks_returns: store.restocks.returns,
            restocks_cancellations: store.restocks.cancellations,
            repeats_skus: store.repeats_skus,
        })
    }

    pub(super) fn store(self) -> Result<Store> {
        let corrupt = |column: &str| Error::Corrupt(format!("stores.{column}"));
        let warehouses = self.warehouses.map(|text| serde_json::from_str::<Vec<String>>(&text)).transpose();
        let warehouses = warehouses.map_err(|_| corrupt("warehouses"))?;
        let warehouses =
            warehouses.map(|codes| codes.iter().map(|code| WarehouseCode::parse(code)).collect::<std::result::Result<Vec<_>, _>>());
        Ok(Store {
            id: id_of(&self.id, StoreId::from_bytes, "stores.id")?,
            name: self.name,
            platform: self.platform,
            base_url: self.base_url,
            config: self.config,
            credentials: self.credentials,
            warehouses: warehouses.transpose().map_err(|_| corrupt("warehouses"))?,
            share: self.share.map(|s| Share::from_hundredths(s).ok_or_else(|| corrupt("share"))).transpose()?,
            sync_enabled: self.sync_enabled,
            paused: self.paused,
            needs_reauthorisation: self.needs_reauthorisation,
            problem: self.problem,
            probe_at: self.probe_at,
            last_success_at: self.last_success_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            shop: self.shop,
            write_refused: self.write_refused,
            protect_unseen_sales: self.protect_unseen_sales,
            unseen_sales_hours: self.unseen_sales_hours,
            sales_named_at: self.sales_named_at,
            has_multiples: self.has_multiples,
            above: Above { seller: self.seller_paused, platform: self.platform_paused, frozen: frozen_of(self.frozen.as_deref())? },
            resumes_at: self.resumes_at,
            // A former version resumes without knowing of rehearsals.
            rehearsal: self.rehearsal && self.paused,
            falls: Falls::from_bits(self.falls),
            restocks: Restocks { returns: self.restocks_returns, cancellations: self.restocks_cancellations },
            repeats_skus: self.repeats_skus,
        })
    }
}

/// Reads the frozen windows of a store's row.
pub(super) fn frozen_of(column: Option<&str>) -> Result<Frozen> {
    let read = |text| Frozen::parse(text).ok_or_else(|| Error::Corrupt("stores.frozen".to_owned()));
    column.map_or(Ok(Frozen::default()), read)
}

/// What a store has waiting, held and listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreLoad {
    /// Pushes that are due now or later.
    pub waiting: i64,
    /// Pushes held until the store is resumed or reauthorized.
    pub held: i64,
    /// Paired listings.
    pub listings: i64,
}

impl Tenant<'_> {
    /// Waiting pushes, held pushes and listings, counted by store.
    pub fn store_loads(&mut self) -> Result<HashMap<StoreId, StoreLoad>> {
        let scope = self.scope();
        let waiting: Vec<(Vec<u8>, i64)> = on!(self.conn, c => scope.pushes()
            .filter(pushes::due_at.is_not_null()).group_by(pushes::store_id).select((pushes::store_id, count_star())).load(c))?;
        let held: Vec<(Vec<u8>, i64)> = on!(self.conn, c => scope.pushes()
            .filter(is_held()).group_by(pushes::store_id).select((pushes::store_id, count_star())).load(c))?;
        let listed: Vec<(Vec<u8>, i64)> = on!(self.conn, c => scope.listings()
            .group_by(listings::store_id).select((listings::store_id, count_star())).load(c))?;
        let mut loads: HashMap<StoreId, StoreLoad> = HashMap::new();
        let mut add = |rows: Vec<(Vec<u8>, i64)>, field: fn(&mut StoreLoad) -> &mut i64| -> Result<()> {
            for (id, count) in rows {
                *field(loads.entry(id_of(&id, StoreId::from_bytes, "store_id")?).or_default()) = count;
            }
            Ok(())
        };
        add(waiting, |load| &mut load.waiting)?;
        add(held, |load| &mut load.held)?;
        add(listed, |load| &mut load.listings)?;
        for PackedLoad { state, store, pushes, .. } in self.packed_loads()? {
            let load = loads.entry(store).or_default();
            if state.is_held() {
                load.held += pushes;
            } else if state.is_waiting() {
                load.waiting += pushes;
            }
        }
        Ok(loads)
    }

    /// The stores whose circuit is open after `now`, and until when. What was noted before the clock was set back is later
    /// than any such time can be.
    pub fn open_circuits(&mut self, now: Timestamp) -> Result<HashMap<StoreId, Timestamp>> {
        let scope = self.scope();
        let rows: Vec<(Vec<u8>, Timestamp)> = on!(self.conn, c => scope.store_circuits()
            .filter(store_circuits::open_until.gt(now)).filter(store_circuits::open_until.le(now + Circuit::LONGEST_PAUSE)).select((store_circuits::store_id, store_circuits::open_until)).load(c))?;
        rows.into_iter().map(|(id, until)| Ok((id_of(&id, StoreId::from_bytes, "store_circuits.store_id")?, until))).collect()
    }

    /// Records until when a store's circuit is open, or that it is closed; only for people to see.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the store was deleted.
    pub fn note_circuit(&mut self, store: StoreId, open_until: Option<Timestamp>) -> Result<()> {
        let scope = self.scope();
        self.store(store)?;
        let row = (store_circuits::seller_id.eq(self.key()), store_circuits::store_id.eq(store.bytes()));
        match open_until {
            Some(until) => on!(self.conn, c => diesel::insert_into(store_circuits::table)
                .values((row.0.clone(), row.1.clone(), store_circuits::open_until.eq(until)))
                .on_conflict((store_circuits::seller_id, store_circuits::store_id)).do_update()
                .set(store_circuits::open_until.eq(until)).execute(c))?,
            None => on!(self.conn, c => diesel::delete(scope.store_circuits().filter(row.1.clone())).execute(c))?,
        };
        Ok(())
    }

    /// One store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this seller has no such store.
    pub fn store(&mut self, id: StoreId) -> Result<Store> {
        let scope = self.scope();
        let row: StoreRow = on!(self.conn, c => scope.stores().filter(stores::id.eq(id.bytes())).get_result(c))?;
        row.store()
    }

    /// The position of the first id that is not one of this seller's stores.
    pub fn missing_store(&mut self, ids: &[StoreId]) -> Result<Option<usize>> {
        if ids.is_empty() {
            return Ok(None);
        }
        let scope = self.scope();
        let known: Vec<Vec<u8>> = on!(self.conn, c => scope.stores().select(stores::id).load(c))?;
        let known: HashSet<Vec<u8>> = known.into_iter().collect();
        Ok(ids.iter().position(|id| !known.contains(&id.bytes())))
    }

    /// The stores added after `after`, oldest first.
    pub fn stores(&mut self, after: Option<StoreId>, limit: i64) -> Result<Vec<Store>> {
        let scope = self.scope();
        let after = after.map(|id| id.bytes()).unwrap_or_default();
        let rows: Vec<StoreRow> = on!(self.conn, c => scope.stores().filter(stores::id.gt(&after))
            .order(stores::id).limit(limit).load(c))?;
        rows.into_iter().map(StoreRow::store).collect()
    }

    /// Inserts or updates a store.
    pub fn save_store(&mut self, store: &Store) -> Result<()> {
        let row = StoreRow::new(self.key(), store)?;
        self.note(Changed::Configuration);
        on!(self.conn, c => diesel::insert_into(stores::table).values(&row)
            .on_conflict((stores::seller_id, stores::id)).do_update().set(&row).execute(c))?;
        Ok(())
    }
}
