//! The operator's view of all sellers: counts, queues and recent activity, but none of any seller's data.
use super::connection::on;
use super::ledger::is_reported;
use super::pushes::{
    is_confirmed, is_held, is_in_flight, is_increase, pack_is_active, pack_is_confirmed, pack_is_held, pack_is_queued, pack_is_sending,
};
use super::schema::{grants, push_packs, pushes, sellers, stock_events, stores, sync_runs, sync_settings};
use super::scope::store_of;
use super::sellers::Seller;
use super::{Conn, Result, id_of};
use crate::domain::access::CREDENTIALS_UNREADABLE;
use crate::domain::grant::WARN_BEFORE;
use crate::domain::{SellerId, Timestamp};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use std::collections::{BTreeMap, HashMap};

/// The most confirmed pushes whose duration is measured for one sample.
const MAX_TIMES: i64 = 5_000;

/// The size of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// All sellers.
    pub sellers: i64,
    /// How many of them are suspended.
    pub suspended: i64,
    /// All stores.
    pub stores: i64,
    /// Pushes that have not ended, by platform.
    pub queue: Vec<(String, i64)>,
    /// Stock events accepted since the given instant.
    pub events: i64,
    /// Pushes confirmed since then.
    pub pushes: i64,
    /// When the oldest push that has not ended was created; held ones do not count.
    pub oldest_waiting: Option<Timestamp>,
    /// Stores whose credentials cannot be opened.
    pub unreadable_credentials: i64,
}

/// Counts everything, and events and pushes since `since`.
pub fn overview(conn: &mut Conn, since: Timestamp) -> Result<Overview> {
    let sql = queues();
    let queue: Vec<Queue> = on!(conn, c => diesel::sql_query(sql.as_str()).load(c))?;
    Ok(Overview {
        sellers: on!(conn, c => sellers::table.filter(sellers::deleted_at.is_null()).count().get_result(c))?,
        suspended: on!(conn, c => sellers::table.filter(sellers::suspended.eq(true)).filter(sellers::deleted_at.is_null()).count().get_result(c))?,
        stores: on!(conn, c => stores::table.count().get_result(c))?,
        queue: queue.into_iter().map(|queue| (queue.platform, queue.pushes)).collect(),
        events: on!(conn, c => stock_events::table.filter(stock_events::accepted_at.gt(since)).filter(is_reported()).count().get_result(c))?,
        pushes: confirmed_since(conn, since)?,
        oldest_waiting: oldest_waiting(conn)?,
        unreadable_credentials: unreadable_credentials(conn)?,
    })
}

fn confirmed_since(conn: &mut Conn, since: Timestamp) -> Result<i64> {
    let alone: i64 = on!(conn, c => pushes::table.filter(is_confirmed()).filter(pushes::updated_at.gt(since)).count().get_result(c))?;
    let packed: Option<i64> = on!(conn, c => push_packs::table.filter(pack_is_confirmed()).filter(push_packs::updated_at.gt(since))
        .select(diesel::dsl::sum(push_packs::size)).get_result(c))?;
    Ok(alone + packed.unwrap_or_default())
}

fn unreadable_credentials(conn: &mut Conn) -> Result<i64> {
    Ok(on!(conn, c => stores::table.filter(stores::problem.eq(CREDENTIALS_UNREADABLE)).count().get_result(c))?)
}

/// When the oldest push that has not ended was created; held ones do not count. However many wait, this looks at the first
/// entry of an index, and at the few that are in flight.
fn oldest_waiting(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let waiting: Option<Timestamp> =
        on!(conn, c => pushes::table.filter(pushes::due_at.is_not_null()).select(diesel::dsl::min(pushes::created_at)).get_result(c))?;
    let in_flight: Option<Timestamp> =
        on!(conn, c => pushes::table.filter(is_in_flight()).select(diesel::dsl::min(pushes::created_at)).get_result(c))?;
    let mut oldest = waiting.into_iter().chain(in_flight).min();
    for is_one in [pack_is_queued(), pack_is_sending()] {
        let packed: Option<Timestamp> =
            on!(conn, c => push_packs::table.filter(is_one).select(diesel::dsl::min(push_packs::created_at)).get_result(c))?;
        oldest = oldest.into_iter().chain(packed).min();
    }
    Ok(oldest)
}

/// Counts the pushes that have not ended by platform: those that wait for their time, those that are held, those in flight.
/// Each is counted by store in a partial index, whose condition it repeats, before the few stores are looked up.
fn queues() -> String {
    let count = |condition: &str| {
        format!("SELECT seller_id, store_id, COUNT(*) AS pushes FROM pushes WHERE {condition} GROUP BY seller_id, store_id")
    };
    let (held, in_flight) = (count(is_held().sql()), count(&format!("{} AND due_at IS NULL", is_in_flight().sql())));
    let packed = format!(
        "SELECT seller_id, store_id, SUM(size) AS pushes FROM push_packs WHERE {} GROUP BY seller_id, store_id",
        pack_is_active().sql()
    );
    format!(
        "SELECT stores.platform, CAST(SUM(queue.pushes) AS BIGINT) AS pushes \
         FROM ({} UNION ALL {held} UNION ALL {in_flight} UNION ALL {packed}) AS queue \
         JOIN stores ON stores.seller_id = queue.seller_id AND stores.id = queue.store_id \
         GROUP BY stores.platform ORDER BY stores.platform",
        count("due_at IS NOT NULL")
    )
}

#[derive(QueryableByName)]
struct Queue {
    #[diesel(sql_type = Text)]
    platform: String,
    #[diesel(sql_type = BigInt)]
    pushes: i64,
}

/// What happened since the last sample, for the operator's charts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Stock events accepted.
    pub events: i64,
    /// Pushes confirmed, by platform.
    pub confirmed: Vec<(String, i64)>,
    /// When the oldest push that has not ended was created; held ones do not count.
    pub oldest_waiting: Option<Timestamp>,
    /// Stores whose credentials cannot be opened.
    pub unreadable_credentials: i64,
    /// Milliseconds from creation to confirmation, for each increase confirmed; latest first.
    pub times_ms: Vec<i64>,
}

/// Takes a sample of what happened since `since`.
pub fn sample(conn: &mut Conn, since: Timestamp) -> Result<Sample> {
    let times: Vec<(Timestamp, Option<Timestamp>)> = on!(conn, c => pushes::table.filter(is_confirmed()).filter(pushes::updated_at.gt(since))
        .filter(is_increase())
        .select((pushes::created_at, pushes::confirmed_at)).order(pushes::updated_at.desc()).limit(MAX_TIMES).load(c))?;
    Ok(Sample {
        events: on!(conn, c => stock_events::table.filter(stock_events::accepted_at.gt(since)).filter(is_reported()).count().get_result(c))?,
        confirmed: confirmed_by_platform(conn, since)?,
        oldest_waiting: oldest_waiting(conn)?,
        unreadable_credentials: unreadable_credentials(conn)?,
        times_ms: times.into_iter().filter_map(|(from, to)| Some((to? - from).num_milliseconds())).collect(),
    })
}

/// What a database holds, for somebody who has to recognize it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Sellers that were not deleted.
    pub sellers: i64,
    /// Their stores.
    pub stores: i64,
    /// When its latest stock event was accepted.
    pub latest_event: Option<Timestamp>,
}

/// Counts what a database holds.
pub fn held(conn: &mut Conn) -> Result<Held> {
    Ok(Held {
        sellers: on!(conn, c => sellers::table.filter(sellers::deleted_at.is_null()).count().get_result(c))?,
        stores: on!(conn, c => stores::table.count().get_result(c))?,
        latest_event: on!(conn, c => stock_events::table.select(diesel::dsl::max(stock_events::accepted_at)).get_result(c))?,
    })
}

/// What somebody has to look at. Suspended sellers do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Stores that let nobody in until their seller authorizes again.
    pub needing_reauthorization: i64,
    /// Stores whose tokens end within a week and cannot be renewed beyond that, unless their seller authorizes again.
    pub authorizations_ending: i64,
    /// When the most overdue daily run should have begun.
    pub overdue_since: Option<Timestamp>,
    /// When the sync run that has been open longest began.
    pub open_since: Option<Timestamp>,
}

/// Finds what somebody has to look at.
pub fn concerns(conn: &mut Conn, now: Timestamp) -> Result<Concerns> {
    let suspended: Vec<Vec<u8>> = on!(conn, c => sellers::table.select(sellers::id).filter(sellers::suspended).load(c))?;
    Ok(Concerns {
        needing_reauthorization: on!(conn, c => stores::table.filter(stores::needs_reauthorisation)
            .filter(stores::seller_id.ne_all(&suspended)).count().get_result(c))?,
        authorizations_ending: on!(conn, c => grants::table.filter(grants::ends_at.le(now + WARN_BEFORE))
            .filter(grants::seller_id.ne_all(&suspended)).count().get_result(c))?,
        overdue_since: on!(conn, c => sync_settings::table.filter(sync_settings::next_run_at.le(now))
            .filter(sync_settings::seller_id.ne_all(&suspended))
            .select(diesel::dsl::min(sync_settings::next_run_at)).get_result(c))?,
        open_since: on!(conn, c => sync_runs::table.filter(sync_runs::finished_at.is_null()).filter(sync_runs::answer_by.is_null())
            .filter(sync_runs::seller_id.ne_all(&suspended))
            .select(diesel::dsl::min(sync_runs::started_at)).get_result(c))?,
    })
}

fn confirmed_by_platform(conn: &mut Conn, since: Timestamp) -> Result<Vec<(String, i64)>> {
    let alone: Vec<(String, i64)> = on!(conn, c => pushes::table
        .inner_join(store_of!(pushes)).filter(is_confirmed()).filter(pushes::updated_at.gt(since)).group_by(stores::platform)
        .select((stores::platform, count_star())).load(c))?;
    let packed: Vec<(String, Option<i64>)> = on!(conn, c => push_packs::table
        .inner_join(store_of!(push_packs)).filter(pack_is_confirmed()).filter(push_packs::updated_at.gt(since)).group_by(stores::platform)
        .select((stores::platform, diesel::dsl::sum(push_packs::size))).load(c))?;
    let mut confirmed: BTreeMap<String, i64> = alone.into_iter().collect();
    for (platform, pushes) in packed {
        *confirmed.entry(platform).or_default() += pushes.unwrap_or_default();
    }
    Ok(confirmed.into_iter().collect())
}

/// A seller with its stores and queue counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellerLoad {
    /// The seller itself.
    pub seller: Seller,
    /// How many stores it has.
    pub stores: i64,
    /// How many of its pushes are due now or later, or held.
    pub waiting: i64,
}

/// The sellers added after `after`, oldest first.
pub fn seller_loads(conn: &mut Conn, after: Option<SellerId>, limit: i64) -> Result<Vec<SellerLoad>> {
    let found = super::sellers::sellers(conn, after, limit)?;
    let ids: Vec<Vec<u8>> = found.iter().map(|seller| seller.id.bytes()).collect();
    let read = |rows: Vec<(Vec<u8>, i64)>| -> Result<HashMap<SellerId, i64>> {
        rows.into_iter().map(|(id, count)| Ok((id_of(&id, SellerId::from_bytes, "seller_id")?, count))).collect()
    };
    let stores = read(on!(conn, c => stores::table.filter(stores::seller_id.eq_any(&ids)).group_by(stores::seller_id)
        .select((stores::seller_id, count_star())).load(c))?)?;
    let due = read(on!(conn, c => pushes::table.filter(pushes::seller_id.eq_any(&ids)).filter(pushes::due_at.is_not_null())
        .group_by(pushes::seller_id).select((pushes::seller_id, count_star())).load(c))?)?;
    let held = read(on!(conn, c => pushes::table.filter(pushes::seller_id.eq_any(&ids)).filter(is_held())
        .group_by(pushes::seller_id).select((pushes::seller_id, count_star())).load(c))?)?;
    let mut packed: HashMap<SellerId, i64> = HashMap::new();
    for is_one in [pack_is_queued(), pack_is_held()] {
        let sizes: Vec<(Vec<u8>, i32)> = on!(conn, c => push_packs::table.filter(push_packs::seller_id.eq_any(&ids)).filter(is_one)
            .select((push_packs::seller_id, push_packs::size)).load(c))?;
        for (id, size) in sizes {
            *packed.entry(id_of(&id, SellerId::from_bytes, "seller_id")?).or_default() += i64::from(size);
        }
    }
    let count = |of: &HashMap<SellerId, i64>, id| of.get(&id).copied().unwrap_or(0);
    let waiting = |id| count(&due, id) + count(&held, id) + count(&packed, id);
    Ok(found.into_iter().map(|seller| SellerLoad { stores: count(&stores, seller.id), waiting: waiting(seller.id), seller }).collect())
}
