//! What is known of the stores of all sellers that have work left or let nobody in, for the operator to see which are behind.
use super::connection::{Backend, on};
use super::pushes::{is_held, is_in_flight, pack_is_active};
use super::{Conn, Result, id_of};
use crate::domain::behind::Facts;
use crate::domain::circuit::Circuit;
use crate::domain::frozen::Frozen;
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

/// A store that has work left or lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its seller.
    pub seller: SellerId,
    /// The seller's name.
    pub seller_name: String,
    /// The store.
    pub store: StoreId,
    /// The seller's name for it.
    pub store_name: String,
    /// The connector's name.
    pub platform: String,
    /// Whether its listings are pushed.
    pub sync_enabled: bool,
    /// Its pushes that have not ended, held ones included.
    pub pending: i64,
    /// What else is known.
    pub facts: Facts,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    seller_id: Vec<u8>,
    #[diesel(sql_type = Text)]
    seller_name: String,
    #[diesel(sql_type = Binary)]
    store_id: Vec<u8>,
    #[diesel(sql_type = Text)]
    store_name: String,
    #[diesel(sql_type = Text)]
    platform: String,
    #[diesel(sql_type = Bool)]
    sync_enabled: bool,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Bool)]
    platform_paused: bool,
    #[diesel(sql_type = Nullable<Text>)]
    frozen: Option<Frozen>,
    #[diesel(sql_type = Bool)]
    needs_reauthorisation: bool,
    #[diesel(sql_type = Nullable<Text>)]
    problem: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_success_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pushed_since: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    failure: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    packed_since: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = Bool)]
    circuit_is_open: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    run_due_since: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    run_open_since: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    run_asks: bool,
}

impl Row {
    fn busy(self, now: Timestamp) -> Result<Busy> {
        Ok(Busy {
            seller: id_of(&self.seller_id, SellerId::from_bytes, "stores.seller_id")?,
            seller_name: self.seller_name,
            store: id_of(&self.store_id, StoreId::from_bytes, "stores.id")?,
            store_name: self.store_name,
            platform: self.platform,
            sync_enabled: self.sync_enabled,
            pending: self.pending,
            facts: Facts {
                paused: self.paused || self.frozen.is_some_and(|frozen| frozen.until(now).is_some()),
                platform_paused: self.platform_paused,
                needs_reauthorisation: self.needs_reauthorisation,
                problem: self.problem,
                circuit_is_open: self.circuit_is_open,
                waiting_since: self.pushed_since.into_iter().chain(self.packed_since).min(),
                failure: self.failure,
                run_due_since: self.run_due_since,
                run_open_since: self.run_open_since,
                run_asks: self.run_asks,
                last_success_at: self.last_success_at,
            },
        })
    }
}

/// Everything about stores with work left; circuits that end after $1 and up to $2 are open, and runs due at $3. SQLite numbers parameters
/// as they appear.
///
/// However many pushes wait, they are counted in the partial indexes whose conditions are repeated here; the oldest is the one with
/// the smallest id, because ids sort by age, and only its row is read. `oldest` finds it, which differs by backend.
fn statement(oldest: &str) -> String {
    let count = |condition: &str| {
        format!("SELECT seller_id, store_id, {oldest} AS id, COUNT(*) AS pushes FROM pushes WHERE {condition} GROUP BY seller_id, store_id")
    };
    let (waiting, held) = (count("due_at IS NOT NULL"), count(is_held().sql()));
    let in_flight = count(&format!("{} AND due_at IS NULL", is_in_flight().sql()));
    let packed = pack_is_active().sql();
    format!(
        "WITH queue AS (SELECT seller_id, store_id, {oldest} AS id, SUM(pushes) AS pushes \
             FROM ({waiting} UNION ALL {held} UNION ALL {in_flight}) AS parts GROUP BY seller_id, store_id), \
         packs AS (SELECT seller_id, store_id, MIN(created_at) AS since, SUM(size) AS pushes FROM push_packs \
             WHERE {packed} GROUP BY seller_id, store_id), \
         runs AS (SELECT seller_id, store_id, MIN(started_at) AS since, MAX(answer_by) AS answer_by FROM sync_runs \
             WHERE finished_at IS NULL AND store_id IS NOT NULL GROUP BY seller_id, store_id), \
         circuits AS (SELECT seller_id, store_id FROM store_circuits WHERE open_until > $1 AND open_until <= $2), \
         due AS (SELECT seller_id, next_run_at FROM sync_settings WHERE next_run_at <= $3) \
         SELECT stores.seller_id, sellers.name AS seller_name, stores.id AS store_id, stores.name AS store_name, stores.platform, \
             stores.sync_enabled, stores.paused OR stores.seller_paused AS paused, stores.platform_paused, stores.frozen, \
             stores.needs_reauthorisation, stores.problem, stores.last_success_at, \
             oldest.created_at AS pushed_since, oldest.reason AS failure, packs.since AS packed_since, \
             CAST(COALESCE(queue.pushes, 0) + COALESCE(packs.pushes, 0) AS BIGINT) AS pending, \
             circuits.store_id IS NOT NULL AS circuit_is_open, \
             CASE WHEN stores.sync_enabled THEN due.next_run_at END AS run_due_since, \
             runs.since AS run_open_since, runs.answer_by IS NOT NULL AS run_asks \
         FROM stores JOIN sellers ON sellers.id = stores.seller_id \
         LEFT JOIN queue ON queue.seller_id = stores.seller_id AND queue.store_id = stores.id \
         LEFT JOIN pushes AS oldest ON oldest.seller_id = queue.seller_id AND oldest.id = queue.id \
         LEFT JOIN packs ON packs.seller_id = stores.seller_id AND packs.store_id = stores.id \
         LEFT JOIN runs ON runs.seller_id = stores.seller_id AND runs.store_id = stores.id \
         LEFT JOIN circuits ON circuits.seller_id = stores.seller_id AND circuits.store_id = stores.id \
         LEFT JOIN due ON due.seller_id = stores.seller_id \
         WHERE NOT sellers.suspended AND sellers.deleted_at IS NULL \
             AND (queue.id IS NOT NULL OR packs.since IS NOT NULL OR runs.since IS NOT NULL OR circuits.store_id IS NOT NULL \
                 OR due.next_run_at IS NOT NULL OR stores.needs_reauthorisation)"
    )
}

/// The stores with work left or that let nobody in, at `now`, in no order; those of suspended sellers do not count. A circuit counts as
/// open if its pause ends after `circuits_since`.
///
/// # Errors
/// If the database cannot be read.
pub fn busy_stores(conn: &mut Conn, now: Timestamp, circuits_since: Timestamp) -> Result<Vec<Busy>> {
    // PostgreSQL has no smallest bytes before version 18.
    let oldest = match conn.backend {
        Backend::Sqlite(_) => "MIN(id)",
        Backend::Postgres(_) => "decode(MIN(encode(id, 'hex')), 'hex')",
    };
    let sql = statement(oldest);
    let rows: Vec<Row> = on!(conn, c => diesel::sql_query(sql.as_str()).bind::<BigInt, _>(circuits_since)
        .bind::<BigInt, _>(now + Circuit::LONGEST_PAUSE).bind::<BigInt, _>(now).load(c))?;
    rows.into_iter().map(|row| row.busy(now)).collect()
}
