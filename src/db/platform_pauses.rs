//! Platforms that the operator has paused for all sellers.
use super::connection::{Backend, Conn, on};
use super::schema::{platform_pauses, sellers, stores};
use super::{Changed, Result, id_of};
use crate::domain::{SellerId, Timestamp};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// A pause of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPause {
    /// The connector's name.
    pub platform: String,
    /// Since when it is paused.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// The platforms that are paused.
///
/// # Errors
/// If the database fails.
pub fn platform_pauses(conn: &mut Conn) -> Result<Vec<PlatformPause>> {
    let rows: Vec<(String, Timestamp, Option<String>)> = on!(conn, c => platform_pauses::table.order(platform_pauses::platform).load(c))?;
    Ok(rows.into_iter().map(|(platform, since, reason)| PlatformPause { platform, since, reason }).collect())
}

/// Whether this platform is paused.
pub(super) fn is_platform_paused(conn: &mut Conn, platform: &str) -> Result<bool> {
    let found: Option<String> = on!(conn, c => platform_pauses::table.select(platform_pauses::platform)
        .filter(platform_pauses::platform.eq(platform)).get_result(c).optional())?;
    Ok(found.is_some())
}

/// How many stores of each platform there are.
///
/// # Errors
/// If the database fails.
pub fn stores_by_platform(conn: &mut Conn) -> Result<BTreeMap<String, i64>> {
    let rows: Vec<(String, i64)> =
        on!(conn, c => stores::table.group_by(stores::platform).select((stores::platform, diesel::dsl::count_star())).load(c))?;
    Ok(rows.into_iter().collect())
}

/// Pauses a platform that is not paused.
///
/// # Errors
/// If the database fails.
pub fn pause_platform(conn: &mut Conn, new: &PlatformPause) -> Result<()> {
    on!(conn, c => diesel::insert_into(platform_pauses::table).values((platform_pauses::platform.eq(&new.platform),
        platform_pauses::paused_at.eq(new.since), platform_pauses::reason.eq(&new.reason)))
        .on_conflict(platform_pauses::platform).do_nothing().execute(c))?;
    let of = lock_sellers_of(conn, &new.platform)?;
    on!(conn, c => diesel::update(stores::table.filter(stores::platform.eq(&new.platform))).set(stores::platform_paused.eq(true)).execute(c))?;
    note(conn, of)
}

/// Ends the pause of a platform. What was held because of it is looked at at once.
///
/// # Errors
/// If the database fails.
pub fn resume_platform(conn: &mut Conn, platform: &str, now: Timestamp) -> Result<()> {
    on!(conn, c => diesel::delete(platform_pauses::table.filter(platform_pauses::platform.eq(platform))).execute(c))?;
    let of = lock_sellers_of(conn, platform)?;
    on!(conn, c => diesel::update(stores::table.filter(stores::platform.eq(platform)))
        .set((stores::platform_paused.eq(false), stores::resumes_at.eq(now))).execute(c))?;
    note(conn, of)
}

/// Locks the sellers with stores on this platform in the order of their ids, as everything does that concerns several.
fn lock_sellers_of(conn: &mut Conn, platform: &str) -> Result<Vec<Vec<u8>>> {
    let with_stores = stores::table.filter(stores::platform.eq(platform)).select(stores::seller_id);
    let of = sellers::table.filter(sellers::id.eq_any(with_stores)).select(sellers::id).order(sellers::id);
    Ok(match &mut conn.backend {
        Backend::Sqlite(c) => of.load(c)?,
        Backend::Postgres(c) => of.for_update().load(c)?,
    })
}

fn note(conn: &mut Conn, of: Vec<Vec<u8>>) -> Result<()> {
    for id in of {
        conn.note(id_of(&id, SellerId::from_bytes, "sellers.id")?, Changed::Configuration);
    }
    Ok(())
}
