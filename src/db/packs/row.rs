//! A pack as a row.
use crate::db::kept::{inserted, put};
use crate::db::pushes::{resolution_code, resolution_of, state_code, state_of};
use crate::db::{Conn, Error, Result, id_of};
use crate::domain::pack::Pack;
use crate::domain::push::Addressee;
use crate::domain::undo::Replaced;
use crate::domain::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text};
use uuid::Uuid;

#[derive(Queryable, Debug)]
pub(super) struct PackRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    store_id: Vec<u8>,
    run_id: Vec<u8>,
    pub(super) size: i32,
    state: i16,
    reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    due_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
    call_id: Option<Vec<u8>>,
    resolution: Option<i16>,
    first_listing: Vec<u8>,
    last_listing: Vec<u8>,
    scattered: bool,
    quantities: Option<String>,
    items: String,
    replaced: Option<String>,
}

inserted! {
    PackRow, into "push_packs"
    "ON CONFLICT (seller_id, id) DO UPDATE SET size = excluded.size, state = excluded.state, reason = excluded.reason, \
    updated_at = excluded.updated_at, due_at = excluded.due_at, confirmed_at = excluded.confirmed_at, call_id = excluded.call_id, \
    resolution = excluded.resolution, first_listing = excluded.first_listing, last_listing = excluded.last_listing, \
    quantities = excluded.quantities, items = excluded.items, replaced = excluded.replaced";
    seller_id: Binary, id: Binary, store_id: Binary, run_id: Binary, size: Integer, state: SmallInt, reason: Nullable<Text>,
    created_at: BigInt, updated_at: BigInt, due_at: Nullable<BigInt>, confirmed_at: Nullable<BigInt>, call_id: Nullable<Binary>,
    resolution: Nullable<SmallInt>, first_listing: Binary, last_listing: Binary, scattered: Bool, quantities: Nullable<Text>,
    items: Text, replaced: Nullable<Text>
}

/// Adds packs, or saves changed ones.
pub(super) fn put_packs(conn: &mut Conn, rows: &[PackRow]) -> Result<()> {
    put(conn, rows)
}

impl PackRow {
    pub(super) fn new(seller: &[u8], pack: &Pack) -> Result<Self> {
        let corrupt = |error: serde_json::Error| Error::Corrupt(error.to_string());
        let items: Vec<_> =
            pack.items.iter().map(|to| (to.listing_id.0.simple().to_string(), &to.sku, &to.external_id, &to.extra)).collect();
        let (first, last) = pack.span().ok_or_else(|| Error::Corrupt(format!("push_packs {}: it is empty", pack.id)))?;
        Ok(Self {
            seller_id: seller.to_vec(),
            id: pack.id.bytes(),
            store_id: pack.store_id.bytes(),
            run_id: pack.run_id.bytes(),
            size: i32::try_from(pack.len()).unwrap_or(i32::MAX),
            state: state_code(pack.state),
            reason: pack.reason.clone(),
            created_at: pack.created_at,
            updated_at: pack.updated_at,
            due_at: pack.due_at,
            confirmed_at: pack.confirmed_at,
            call_id: pack.call_id.map(|id| id.bytes()),
            resolution: pack.resolution.map(resolution_code),
            first_listing: first.bytes(),
            last_listing: last.bytes(),
            scattered: false,
            quantities: pack.quantities.as_ref().map(serde_json::to_string).transpose().map_err(corrupt)?,
            items: serde_json::to_string(&items).map_err(corrupt)?,
            replaced: pack.replaced.as_deref().map(replaced_text).transpose()?,
        })
    }

    pub(super) fn pack(self) -> Result<Pack> {
        let id = id_of(&self.id, PushId::from_bytes, "push_packs.id")?;
        let corrupt = |column: &str| Error::Corrupt(format!("push_packs {id}: {column}"));
        let no_id = |column: &'static str| move |_| Error::Corrupt(format!("push_packs {id}: {column} is not an id"));
        let store_id = id_of(&self.store_id, StoreId::from_bytes, "").map_err(no_id("store_id"))?;
        let items: Vec<(Uuid, String, String, Option<String>)> = serde_json::from_str(&self.items).map_err(|_| corrupt("items"))?;
        let item = |(listing, sku, external_id, extra)| Addressee { store_id, listing_id: ListingId(listing), sku, external_id, extra };
        Ok(Pack {
            id,
            store_id,
            run_id: id_of(&self.run_id, RunId::from_bytes, "").map_err(no_id("run_id"))?,
            items: items.into_iter().map(item).collect(),
            quantities: self.quantities.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("quantities"))?,
            replaced: self.replaced.as_deref().map(read_replaced).transpose().map_err(|_| corrupt("replaced"))?,
            state: state_of(self.state).ok_or_else(|| corrupt("state"))?,
            reason: self.reason,
            created_at: self.created_at,
            updated_at: self.updated_at,
            due_at: self.due_at,
            confirmed_at: self.confirmed_at,
            call_id: self.call_id.map(|b| id_of(&b, CallId::from_bytes, "").map_err(no_id("call_id"))).transpose()?,
            resolution: self.resolution.map(|code| resolution_of(code).ok_or_else(|| corrupt("resolution"))).transpose()?,
        })
    }
}

/// What was shown, sold and increased before each overwrite: nothing is read before those in packs, and they contain nothing.
pub(super) fn replaced_text(replaced: &[Replaced]) -> Result<String> {
    let numbers = |of: &Replaced| Some((of.shown?, of.sold, of.increased));
    let all: Vec<_> = replaced.iter().map(numbers).collect();
    serde_json::to_string(&all).map_err(|error| Error::Corrupt(error.to_string()))
}

fn read_replaced(text: &str) -> serde_json::Result<Vec<Replaced>> {
    let all: Vec<Option<(i64, i64, i64)>> = serde_json::from_str(text)?;
    let read = |numbers: (i64, i64, i64)| Replaced::plain(numbers.0, numbers.1, numbers.2);
    Ok(all.into_iter().map(|numbers| numbers.map(read).unwrap_or_default()).collect())
}

pub(super) fn read_packs(rows: Vec<PackRow>) -> Result<Vec<Pack>> {
    rows.into_iter().map(PackRow::pack).collect()
}
