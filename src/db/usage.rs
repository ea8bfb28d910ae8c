//! What sellers have used, by day.
pub mod counting;

use super::connection::on;
use super::schema::usage_days;
use super::{Conn, Result, Tenant, id_of};
use crate::domain::usage::{Range, Usage, UsageOfDay, day_of, start_of};
use crate::domain::{SellerId, Timestamp};
use chrono::NaiveDate;
use diesel::prelude::*;

/// What the sellers after `after` have used on a day, in the order of their ids; those who have used nothing are left out.
///
/// # Errors
/// If the database cannot be read.
pub fn usage_of_day(conn: &mut Conn, day: NaiveDate, after: Option<SellerId>, limit: i64) -> Result<Vec<(SellerId, Usage)>> {
    let after = after.map(|id| id.bytes()).unwrap_or_default();
    let rows: Vec<(Vec<u8>, i64, i64, i64)> = on!(conn, c => usage_days::table
        .select((usage_days::seller_id, usage_days::events, usage_days::pushes, usage_days::calls))
        .filter(usage_days::day.eq(start_of(day))).filter(usage_days::seller_id.gt(&after)).order(usage_days::seller_id).limit(limit).load(c))?;
    let read = |(seller, events, pushes, calls): (Vec<u8>, i64, i64, i64)| {
        Ok((id_of(&seller, SellerId::from_bytes, "usage_days.seller_id")?, Usage { events, pushes, calls }))
    };
    rows.into_iter().map(read).collect()
}

impl Tenant<'_> {
    /// What the seller has used on each day of a range, and up to which instant that is counted. Days without any are left out.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn usage(&mut self, range: Range) -> Result<(Vec<UsageOfDay>, Option<Timestamp>)> {
        // Before the rows, so that they hold at least as much.
        let counted_to = counting::counted_to(self.conn)?;
        let scope = self.scope();
        let rows: Vec<(Timestamp, i64, i64, i64)> = on!(self.conn, c => scope.usage_days()
            .select((usage_days::day, usage_days::events, usage_days::pushes, usage_days::calls))
            .filter(usage_days::day.ge(start_of(range.from))).filter(usage_days::day.le(start_of(range.to))).order(usage_days::day).load(c))?;
        let read = |(day, events, pushes, calls)| UsageOfDay { day: day_of(day), usage: Usage { events, pushes, calls } };
        Ok((rows.into_iter().map(read).collect(), counted_to))
    }
}
