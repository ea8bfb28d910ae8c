//! The operator's view over all sellers: counts, queues, and what happened in the last minute. Nothing of any
//! seller's data.
use super::connection::on;
use super::schema::{pushes, sellers, stock_events, stores};
use super::{Conn, Result};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// What the service holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Sellers.
    pub sellers: i64,
    /// Of these, suspended.
    pub suspended: i64,
    /// Stores.
    pub stores: i64,
    /// Pushes that are not at their end, by platform.
    pub queue: Vec<(String, i64)>,
    /// Stock events accepted since the instant asked for.
    pub events: i64,
    /// Pushes confirmed since then.
    pub pushes: i64,
}

/// Counts it all, and what happened since `since`.
///
/// # Errors
/// Those of the database.
pub fn overview(conn: &mut Conn, since: i64) -> Result<Overview> {
    // Written out, so that both backends see that these are the partial indices' own conditions.
    let active = sql::<Bool>("pushes.state IN (0, 1, 3, 4, 6)");
    let ended = sql::<Bool>("state IN (2, 5, 7, 8) AND state = 2");
    Ok(Overview {
        sellers: on!(conn, c => sellers::table.count().get_result(c))?,
        suspended: on!(conn, c => sellers::table.filter(sellers::suspended.eq(true)).count().get_result(c))?,
        stores: on!(conn, c => stores::table.count().get_result(c))?,
        queue: on!(conn, c => pushes::table
            .inner_join(stores::table.on(stores::seller_id.eq(pushes::seller_id).and(stores::id.eq(pushes::store_id))))
            .filter(active).group_by(stores::platform).select((stores::platform, count_star())).order(stores::platform).load(c))?,
        events: on!(conn, c => stock_events::table.filter(stock_events::accepted_at.gt(since)).count().get_result(c))?,
        pushes: on!(conn, c => pushes::table.filter(ended).filter(pushes::updated_at.gt(since)).count().get_result(c))?,
    })
}
