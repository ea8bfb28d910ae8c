//! Counts what sellers have used, across all of them: the rows are read in the order of their age, in bounded steps, and what they
//! come to is added in the transaction that notes how far counting has come. So each row counts once, whatever is interrupted and
//! however many nodes count.
use crate::db::connection::on;
use crate::db::kept::{inserted, put};
use crate::db::ledger::is_reported;
use crate::db::pushes::{has_ended, is_confirmed, pack_has_ended, pack_is_confirmed};
use crate::db::schema::{push_packs, pushes, sellers, stock_events, usage_progress};
use crate::db::sets::among_ids;
use crate::db::{Conn, Result, id_of};
use crate::domain::usage::{Span, Tally, Usage, continues_at, start_of};
use crate::domain::{CallId, SellerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use std::collections::{BTreeMap, HashSet};

/// The most rows of each table that are counted in one step, but for those of one millisecond.
const STEP: i64 = 5_000;
/// The id of the only row about the progress.
const PROGRESS: i16 = 1;

/// What one step has counted.
#[derive(Debug, Clone)]
pub struct Step {
    /// Up to where everything was counted before; `None` before the first step.
    before: Option<Timestamp>,
    /// What it covers.
    pub span: Span,
    usage: BTreeMap<SellerId, Usage>,
}

/// What comes next.
#[derive(Debug, Clone)]
pub enum Next {
    /// This is to be saved.
    Save(Step),
    /// Nothing: everything up to this instant is counted.
    Nothing(Timestamp),
}

/// Up to which instant everything is counted; `None` before the first step.
///
/// # Errors
/// If the database cannot be read.
pub fn counted_to(conn: &mut Conn) -> Result<Option<Timestamp>> {
    Ok(on!(conn, c => usage_progress::table.find(PROGRESS).select(usage_progress::counted_to).get_result(c).optional())?)
}

/// Counts the next rows that are older than `until`.
///
/// # Errors
/// If the database cannot be read.
pub fn next(conn: &mut Conn, until: Timestamp) -> Result<Next> {
    let before = counted_to(conn)?;
    let oldest = if before.is_none() { oldest(conn)? } else { None };
    let from = continues_at(before, || oldest, until);
    let full = full_at(conn, from)?;
    match Span::next(from, full, until) {
        None => Ok(Next::Nothing(from)),
        Some(span) => Ok(Next::Save(Step { before, span, usage: tally(conn, span)?.usage() })),
    }
}

fn oldest(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let event: Option<Timestamp> = on!(conn, c => stock_events::table.select(diesel::dsl::min(stock_events::accepted_at)).get_result(c))?;
    let push: Option<Timestamp> =
        on!(conn, c => pushes::table.filter(has_ended()).select(diesel::dsl::min(pushes::updated_at)).get_result(c))?;
    let pack: Option<Timestamp> =
        on!(conn, c => push_packs::table.filter(pack_has_ended()).select(diesel::dsl::min(push_packs::updated_at)).get_result(c))?;
    Ok(event.into_iter().chain(push).chain(pack).min())
}

/// Where a step would have too many rows of a table, for each table.
fn full_at(conn: &mut Conn, from: Timestamp) -> Result<Vec<Timestamp>> {
    let event: Option<Timestamp> = on!(conn, c => stock_events::table.select(stock_events::accepted_at)
        .filter(stock_events::accepted_at.ge(from)).order(stock_events::accepted_at).offset(STEP).limit(1).get_result(c).optional())?;
    let push: Option<Timestamp> = on!(conn, c => pushes::table.select(pushes::updated_at).filter(has_ended())
        .filter(pushes::updated_at.ge(from)).order(pushes::updated_at).offset(STEP).limit(1).get_result(c).optional())?;
    let pack: Option<Timestamp> = on!(conn, c => push_packs::table.select(push_packs::updated_at).filter(pack_has_ended())
        .filter(push_packs::updated_at.ge(from)).order(push_packs::updated_at).offset(STEP).limit(1).get_result(c).optional())?;
    Ok(event.into_iter().chain(push).chain(pack).collect())
}

/// Sums are made here and not by the database, whose planner may prefer the order of the sellers to the few rows of a time.
fn tally(conn: &mut Conn, Span { from, to }: Span) -> Result<Tally> {
    let mut tally = Tally::default();
    let events: Vec<Vec<u8>> = on!(conn, c => stock_events::table.select(stock_events::seller_id)
        .filter(stock_events::accepted_at.ge(from)).filter(stock_events::accepted_at.lt(to)).filter(is_reported()).load(c))?;
    for seller in events {
        tally.event(id_of(&seller, SellerId::from_bytes, "stock_events.seller_id")?);
    }
    type Row = (Vec<u8>, Option<Vec<u8>>, Timestamp);
    // What is confirmed does not change any more, so it was changed last when it was confirmed.
    let alone: Vec<Row> = on!(conn, c => pushes::table.select((pushes::seller_id, pushes::call_id, pushes::updated_at))
        .filter(is_confirmed()).filter(pushes::updated_at.ge(from)).filter(pushes::updated_at.lt(to)).load(c))?;
    let packed: Vec<(Row, i32)> = on!(conn, c => push_packs::table
        .select(((push_packs::seller_id, push_packs::call_id, push_packs::updated_at), push_packs::size))
        .filter(pack_is_confirmed()).filter(push_packs::updated_at.ge(from)).filter(push_packs::updated_at.lt(to)).load(c))?;
    for ((seller, call, at), size) in alone.into_iter().map(|row| (row, 1)).chain(packed) {
        let call = call.map(|call| id_of(&call, CallId::from_bytes, "pushes.call_id")).transpose()?;
        tally.confirmed(id_of(&seller, SellerId::from_bytes, "pushes.seller_id")?, i64::from(size), call, at);
    }
    Ok(tally)
}

struct DayRow {
    seller_id: Vec<u8>,
    day: Timestamp,
    events: i64,
    pushes: i64,
    calls: i64,
}

inserted! {
    DayRow, into "usage_days"
    "ON CONFLICT (seller_id, day) DO UPDATE SET events = usage_days.events + excluded.events, \
     pushes = usage_days.pushes + excluded.pushes, calls = usage_days.calls + excluded.calls";
    seller_id: Binary, day: BigInt, events: BigInt, pushes: BigInt, calls: BigInt
}

/// Saves what a step has counted. False if another node was first: then nothing is saved.
///
/// # Errors
/// If the database fails.
pub fn save(conn: &mut Conn, step: &Step) -> Result<bool> {
    let (id, counted_to) = (usage_progress::id.eq(PROGRESS), usage_progress::counted_to.eq(step.span.to));
    let saved = match step.before {
        None => on!(conn, c => diesel::insert_into(usage_progress::table).values((id, counted_to)).on_conflict_do_nothing().execute(c))?,
        Some(before) => on!(conn, c => diesel::update(usage_progress::table.find(PROGRESS).filter(usage_progress::counted_to.eq(before)))
            .set(counted_to).execute(c))?,
    };
    if saved == 0 {
        return Ok(false);
    }
    let keys: Vec<Vec<u8>> = step.usage.keys().map(SellerId::bytes).collect();
    let there: Vec<Vec<u8>> = match keys.is_empty() {
        true => Vec::new(),
        false => on!(conn, c => sellers::table.select(sellers::id).filter(among_ids(sellers::id, keys.clone()))
            .filter(sellers::deleted_at.is_null()).load(c))?,
    };
    let there: HashSet<Vec<u8>> = there.into_iter().collect();
    let row = |(seller, usage): (&SellerId, &Usage)| {
        let Usage { events, pushes, calls } = *usage;
        DayRow { seller_id: seller.bytes(), day: start_of(step.span.day()), events, pushes, calls }
    };
    let rows: Vec<DayRow> = step.usage.iter().map(row).filter(|row| there.contains(&row.seller_id)).collect();
    put(conn, &rows)?;
    Ok(true)
}
