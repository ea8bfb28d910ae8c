//! Deletes the records of sellers who keep them for a shorter time than all others.
//!
//! Their rows are found by the seller and the age that an id tells, in the primary key: the indexes by age alone lead to everybody's.
use super::connection::on;
use super::fleet::PRUNE_STEP;
use super::pushes::{has_ended, pack_has_ended};
use super::schema::sellers;
use super::{Conn, Result, id_of};
use crate::domain::{SellerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use std::time::Duration;

/// Sellers looked at in one step.
const SELLERS: i64 = 20;
const DAY: Duration = Duration::from_secs(86_400);

/// How far the deleting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Go on with the sellers after this one; `None` when all are done.
    pub next: Option<Option<SellerId>>,
    /// Rows deleted.
    pub pruned: usize,
}

/// Deletes one step of the records that are past their sellers' own retention, of the sellers after `after`. What is younger than
/// `counted_to` stays.
///
/// # Errors
/// If the database fails.
pub fn prune_shorter(conn: &mut Conn, after: Option<SellerId>, counted_to: Timestamp, now: Timestamp) -> Result<Step> {
    let from = after.map(|id| id.bytes()).unwrap_or_default();
    let rows: Vec<(Vec<u8>, Option<i64>)> = on!(conn, c => sellers::table.select((sellers::id, sellers::records_kept_days))
        .filter(sellers::records_kept_days.is_not_null()).filter(sellers::deleted_at.is_null()).filter(sellers::id.gt(&from))
        .order(sellers::id).limit(SELLERS).load(c))?;
    let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < SELLERS);
    let (mut reached, mut pruned) = (after, 0);
    for (id, days) in rows {
        let seller = id_of(&id, SellerId::from_bytes, "sellers.id")?;
        let days = days.and_then(|days| u32::try_from(days).ok()).unwrap_or(u32::MAX);
        pruned += prune_seller(conn, seller, (now - DAY * days).min(counted_to), PRUNE_STEP.saturating_sub(pruned))?;
        if pruned >= PRUNE_STEP {
            // The next step begins with this seller again.
            return Ok(Step { next: Some(reached), pruned });
        }
        reached = Some(seller);
    }
    Ok(Step { next: (!is_last).then_some(reached), pruned })
}

/// Smaller than every id that was made at `at` or later.
fn first_id_at(at: Timestamp) -> Vec<u8> {
    let ms = u128::try_from(at.as_millis()).unwrap_or(0);
    (ms << 80).to_be_bytes().to_vec()
}

fn prune_seller(conn: &mut Conn, seller: SellerId, before: Timestamp, most: usize) -> Result<usize> {
    let (ended, ended_packs) = (has_ended().sql(), pack_has_ended().sql());
    let tables = [
        ("pushes", format!("{ended} AND updated_at < $3")),
        ("push_packs", format!("{ended_packs} AND updated_at < $3")),
        ("sync_runs", "finished_at < $3".to_owned()),
        ("audit", "at < $3".to_owned()),
        ("drift_checks", "finished_at < $3".to_owned()),
    ];
    let mut pruned = 0;
    for (table, old) in tables {
        let limit = most.saturating_sub(pruned);
        // The condition is repeated, because a seller may have retried a push in the meantime.
        let sql = format!(
            "DELETE FROM {table} WHERE seller_id = $1 AND id IN \
             (SELECT id FROM {table} WHERE seller_id = $1 AND id < $2 AND {old} ORDER BY id LIMIT {limit}) AND {old}"
        );
        pruned += on!(conn, c => diesel::sql_query(sql.as_str()).bind::<Binary, _>(seller.bytes())
            .bind::<Binary, _>(first_id_at(before)).bind::<BigInt, _>(before).execute(c))?;
    }
    Ok(pruned)
}
