//! Sellers and their API keys: what has to be known before there is a tenant. Used by the operator's API and to
//! authenticate callers. Of a key only the SHA-256 is stored.
use super::connection::on;
use super::schema::{api_keys, sellers, sync_settings, warehouses};
use super::scope::Scope;
use super::sets::among_ids;
use super::settings::SettingsRow;
use super::{Changed, Conn, Error, Result, Tenant, id_of};
use crate::domain::limits::MAX_KEYS;
use crate::domain::seller_limits::SellerLimits;
use crate::domain::settings::{SyncSettings, parse_timezone};
use crate::domain::{KeyId, SellerId, Timestamp, WarehouseCode};
use diesel::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use subtle::ConstantTimeEq;

/// A seller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// Sorts by age.
    pub id: SellerId,
    /// Its display name.
    pub name: String,
    /// The initial time zone; the sync settings have a copy that the seller may change.
    pub timezone: chrono_tz::Tz,
    /// While suspended, its keys are refused and nothing is sent for it.
    pub suspended: bool,
    /// The number of its SKUs.
    pub sku_count: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// What the operator allows it in the place of what all sellers may.
    pub limits: SellerLimits,
}

impl Seller {
    /// A new seller, without SKUs and with the limits of all.
    pub fn new(id: SellerId, name: impl Into<String>, timezone: chrono_tz::Tz, now: Timestamp) -> Self {
        let limits = SellerLimits::default();
        Self { id, name: name.into(), timezone, suspended: false, sku_count: 0, created_at: now, limits }
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key in the API and in the audit log.
    pub id: KeyId,
    /// What the operator calls it.
    pub name: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked; `None` while it is valid.
    pub revoked_at: Option<Timestamp>,
}

/// The owner of a key, and whether the key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// The seller.
    pub seller: SellerId,
    /// The key.
    pub key: KeyId,
    /// Whether the key was revoked.
    pub revoked: bool,
    /// Whether the seller is suspended.
    pub suspended: bool,
    /// Stock events per second that the operator allows the seller in the place of what all sellers may.
    pub events_per_second: Option<i64>,
}

/// The digest under which a key is stored.
pub fn key_hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[derive(Queryable, Selectable, Insertable, Debug)]
#[diesel(table_name = sellers)]
struct SellerRow {
    id: Vec<u8>,
    name: String,
    timezone: String,
    suspended: bool,
    sku_count: i64,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
    events_per_second: Option<i64>,
    max_skus: Option<i64>,
    max_stores: Option<i64>,
    records_kept_days: Option<i64>,
}

impl SellerRow {
    fn seller(self) -> Result<Seller> {
        let limits = SellerLimits {
            events_per_second: self.events_per_second,
            skus: self.max_skus,
            stores: self.max_stores,
            records_kept_days: self.records_kept_days,
        };
        Ok(Seller {
            limits,
            id: id_of(&self.id, SellerId::from_bytes, "sellers.id")?,
            name: self.name,
            timezone: parse_timezone(&self.timezone).map_err(|_| Error::Corrupt("sellers.timezone".to_owned()))?,
            suspended: self.suspended,
            sku_count: self.sku_count,
            created_at: self.created_at,
        })
    }
}

/// Adds a seller with default settings, its first warehouse and its first key.
pub fn create_seller(conn: &mut Conn, seller: &Seller, key: KeyId, hash: &[u8; 32]) -> Result<()> {
    let row = SellerRow {
        id: seller.id.bytes(),
        name: seller.name.clone(),
        timezone: seller.timezone.name().to_owned(),
        suspended: seller.suspended,
        sku_count: 0,
        created_at: seller.created_at,
        deleted_at: None,
        events_per_second: None,
        max_skus: None,
        max_stores: None,
        records_kept_days: None,
    };
    on!(conn, c => diesel::insert_into(sellers::table).values(&row).execute(c))?;
    let settings = SyncSettings::new(seller.timezone, seller.created_at);
    let settings = SettingsRow::new(seller.id.bytes(), &settings, seller.created_at);
    on!(conn, c => diesel::insert_into(sync_settings::table).values(&settings).execute(c))?;
    on!(conn, c => diesel::insert_into(warehouses::table).values((
        warehouses::seller_id.eq(seller.id.bytes()), warehouses::code.eq(WarehouseCode::main().as_str()),
        warehouses::name.eq("Main"), warehouses::created_at.eq(seller.created_at),
    )).execute(c))?;
    insert_key(conn, seller.id, key, hash, None, seller.created_at)
}

/// One seller.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn seller(conn: &mut Conn, id: SellerId) -> Result<Seller> {
    let row: SellerRow = on!(conn, c => sellers::table.find(id.bytes()).filter(sellers::deleted_at.is_null())
        .select(SellerRow::as_select()).get_result(c))?;
    row.seller()
}

/// The sellers added after `after`, oldest first.
pub fn sellers(conn: &mut Conn, after: Option<SellerId>, limit: i64) -> Result<Vec<Seller>> {
    let after = after.map(|id| id.bytes()).unwrap_or_default();
    let rows: Vec<SellerRow> = on!(conn, c => sellers::table.select(SellerRow::as_select()).filter(sellers::id.gt(&after))
        .filter(sellers::deleted_at.is_null()).order(sellers::id).limit(limit).load(c))?;
    rows.into_iter().map(SellerRow::seller).collect()
}

/// The names of these sellers; those that were deleted are left out.
pub fn names(conn: &mut Conn, ids: &[SellerId]) -> Result<HashMap<SellerId, String>> {
    let keys: Vec<Vec<u8>> = ids.iter().map(SellerId::bytes).collect();
    let rows: Vec<(Vec<u8>, String)> = on!(conn, c => sellers::table.filter(among_ids(sellers::id, keys.clone()))
        .filter(sellers::deleted_at.is_null()).select((sellers::id, sellers::name)).load(c))?;
    rows.into_iter().map(|(id, name)| Ok((id_of(&id, SellerId::from_bytes, "sellers.id")?, name))).collect()
}

/// Saves name, time zone and suspension.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn save_seller(conn: &mut Conn, seller: &Seller) -> Result<()> {
    if !seller.suspended {
        conn.note(seller.id, Changed::Configuration);
    }
    let changed = on!(conn, c => diesel::update(sellers::table.find(seller.id.bytes())).filter(sellers::deleted_at.is_null()).set((
        sellers::name.eq(&seller.name), sellers::timezone.eq(seller.timezone.name()), sellers::suspended.eq(seller.suspended),
    )).execute(c))?;
    if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Saves what the operator allows a seller.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn save_limits(conn: &mut Conn, id: SellerId, limits: SellerLimits) -> Result<()> {
    let changed = on!(conn, c => diesel::update(sellers::table.find(id.bytes())).filter(sellers::deleted_at.is_null()).set((
        sellers::events_per_second.eq(limits.events_per_second), sellers::max_skus.eq(limits.skus),
        sellers::max_stores.eq(limits.stores), sellers::records_kept_days.eq(limits.records_kept_days),
    )).execute(c))?;
    if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Adds a key to a seller.
///
/// # Errors
/// [`Error::NotFound`] when there is no such seller; [`Error::Conflict`] when it has too many keys.
pub fn create_key(conn: &mut Conn, seller: SellerId, key: KeyId, hash: &[u8; 32], name: Option<&str>, now: Timestamp) -> Result<()> {
    self::seller(conn, seller)?;
    let count: i64 = on!(conn, c => Scope::of(seller).api_keys().count().get_result(c))?;
    if count >= MAX_KEYS {
        return Err(Error::Conflict(format!("a seller may have at most {MAX_KEYS} keys, revoked ones included")));
    }
    insert_key(conn, seller, key, hash, name, now)
}

fn insert_key(conn: &mut Conn, seller: SellerId, key: KeyId, hash: &[u8; 32], name: Option<&str>, now: Timestamp) -> Result<()> {
    on!(conn, c => diesel::insert_into(api_keys::table).values((
        api_keys::seller_id.eq(seller.bytes()), api_keys::id.eq(key.bytes()), api_keys::hash.eq(&hash[..]), api_keys::created_at.eq(now),
        api_keys::name.eq(name),
    )).execute(c))?;
    Ok(())
}

/// Revokes a key. Revoking it again is no error.
///
/// # Errors
/// [`Error::NotFound`] when that seller has no such key.
pub fn revoke_key(conn: &mut Conn, seller: SellerId, key: KeyId, now: Timestamp) -> Result<()> {
    let row = Scope::of(seller).api_keys().filter(api_keys::id.eq(key.bytes()));
    let revoked: Option<Timestamp> = on!(conn, c => row.clone().select(api_keys::revoked_at).get_result(c))?;
    if revoked.is_none() {
        on!(conn, c => diesel::update(row).set(api_keys::revoked_at.eq(now)).execute(c))?;
    }
    Ok(())
}

/// A seller's keys, oldest first.
pub fn keys(conn: &mut Conn, seller: SellerId) -> Result<Vec<ApiKey>> {
    Tenant::of(conn, seller).keys()
}

impl Tenant<'_> {
    /// What the operator allows the seller in the place of what all sellers may.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the seller was deleted.
    pub fn limits(&mut self) -> Result<SellerLimits> {
        Ok(seller(self.conn, self.seller())?.limits)
    }

    /// The seller's keys, oldest first.
    pub fn keys(&mut self) -> Result<Vec<ApiKey>> {
        type Row = (Vec<u8>, Option<String>, Timestamp, Option<Timestamp>);
        let scope = self.scope();
        let columns = (api_keys::id, api_keys::name, api_keys::created_at, api_keys::revoked_at);
        let rows: Vec<Row> = on!(self.conn, c => scope.api_keys().select(columns).order(api_keys::id).load(c))?;
        let key = |(id, name, created_at, revoked_at): Row| {
            Ok(ApiKey { id: id_of(&id, KeyId::from_bytes, "api_keys.id")?, name, created_at, revoked_at })
        };
        rows.into_iter().map(key).collect()
    }
}

/// The owner of the key with this digest.
///
/// # Errors
/// [`Error::NotFound`] when there is no such key.
pub fn find_key(conn: &mut Conn, hash: &[u8; 32]) -> Result<KeyOwner> {
    type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Option<Timestamp>, bool, Option<i64>);
    let columns = (api_keys::seller_id, api_keys::id, api_keys::hash, api_keys::revoked_at, sellers::suspended, sellers::events_per_second);
    let row: Row = on!(conn, c => api_keys::table
        .inner_join(sellers::table.on(sellers::id.eq(api_keys::seller_id))).filter(api_keys::hash.eq(&hash[..]))
        .filter(sellers::deleted_at.is_null()).select(columns).get_result(c))?;
    // The index has already compared, but not in constant time.
    if !bool::from(row.2.ct_eq(&hash[..])) {
        return Err(Error::NotFound);
    }
    Ok(KeyOwner {
        seller: id_of(&row.0, SellerId::from_bytes, "api_keys.seller_id")?,
        key: id_of(&row.1, KeyId::from_bytes, "api_keys.id")?,
        revoked: row.3.is_some(),
        suspended: row.4,
        events_per_second: row.5,
    })
}
