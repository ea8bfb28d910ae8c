//! Checks that are due, of all sellers.
use crate::db::connection::on;
use crate::db::schema::{drift_checks, sellers, sync_settings};
use crate::db::{Conn, Result, id_of};
use crate::domain::drift::{GIVEN_UP_AFTER, WAITS};
use crate::domain::schedule::LONGEST_DAY;
use crate::domain::{SellerId, Timestamp};
use diesel::prelude::*;

/// The sellers whose daily checks are due; also those planned for a time from before the clock was set back.
pub fn sellers_to_check(conn: &mut Conn, now: Timestamp) -> Result<Vec<SellerId>> {
    let is_due = sync_settings::next_check_at.le(now).or(sync_settings::next_check_at.gt(now + LONGEST_DAY + LONGEST_DAY));
    let found: Vec<Vec<u8>> = on!(conn, c => sync_settings::table.inner_join(sellers::table.on(sellers::id.eq(sync_settings::seller_id)))
        .filter(is_due).filter(sellers::suspended.eq(false)).select(sync_settings::seller_id).load(c))?;
    found.iter().map(|id| id_of(id, SellerId::from_bytes, "sync_settings.seller_id")).collect()
}

/// Has made no progress for too long at this time; also if the clock was set back since.
macro_rules! is_old {
    ($now:expr) => {
        drift_checks::progressed_at.lt($now - GIVEN_UP_AFTER).or(drift_checks::progressed_at.gt($now + GIVEN_UP_AFTER))
    };
}

/// Whether any check has made no progress for too long.
pub fn has_old_checks(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    let found: Option<Vec<u8>> = on!(conn, c => drift_checks::table.select(drift_checks::id)
        .filter(drift_checks::continues_at.is_not_null()).filter(is_old!(now)).first(c).optional())?;
    Ok(found.is_some())
}

/// Ends the checks that have made no progress for too long: their stores cannot be called.
pub fn give_up(conn: &mut Conn, now: Timestamp) -> Result<()> {
    on!(conn, c => diesel::update(drift_checks::table.filter(drift_checks::continues_at.is_not_null()).filter(is_old!(now)))
        .set((drift_checks::continues_at.eq(None::<Timestamp>), drift_checks::finished_at.eq(now))).execute(c))?;
    Ok(())
}

/// The sellers of checks that go on.
pub(in crate::db) fn sellers_with_checks(conn: &mut Conn, now: Timestamp) -> Result<Vec<Vec<u8>>> {
    let is_due = drift_checks::continues_at.le(now).or(drift_checks::continues_at.gt(now + WAITS));
    Ok(on!(conn, c => drift_checks::table.select(drift_checks::seller_id).distinct().filter(is_due).load(c))?)
}
