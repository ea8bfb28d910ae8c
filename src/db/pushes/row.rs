//! A push as a row, and the conditions by which its indices find it.
use crate::db::connection::{Conn, on};
use crate::db::literal::{Literal, is};
use crate::db::schema::pushes;
use crate::db::{Error, ROWS_PER_STATEMENT, Result, id_of};
use crate::domain::delivery::Resolution;
use crate::domain::push::{Push, PushKind, PushState};
use crate::domain::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::upsert::excluded;

/// Pushes that are neither at their end nor rejected: the partial index's own condition.
pub(in crate::db) fn is_active() -> Literal<Bool> {
    is("pushes.state IN (0, 1, 3, 4, 6)")
}

/// Pushes that are on their way or perhaps applied: likewise.
pub(in crate::db) fn is_in_flight() -> Literal<Bool> {
    is("pushes.state IN (1, 4)")
}

/// Pushes that wait for their store: likewise.
pub(in crate::db) fn is_held() -> Literal<Bool> {
    is("pushes.state = 6")
}

/// Pushes at their end, or rejected: likewise.
pub(in crate::db) fn has_ended() -> Literal<Bool> {
    is("pushes.state IN (2, 5, 7, 8)")
}

/// Pushes that are confirmed, by the index of those at their end.
pub(in crate::db) fn is_confirmed() -> Literal<Bool> {
    is("pushes.state IN (2, 5, 7, 8) AND pushes.state = 2")
}

/// Pushes that are on their way.
pub(in crate::db) fn is_sending() -> Literal<Bool> {
    is("pushes.state = 1")
}

/// Pushes that are perhaps applied.
pub(in crate::db) fn is_uncertain() -> Literal<Bool> {
    is("pushes.state = 4")
}

/// Increases that were rejected: the partial index's own condition.
pub(super) fn is_rejected_increase() -> Literal<Bool> {
    is("pushes.state = 5 AND pushes.kind = 0")
}

pub(in crate::db) fn is_increase() -> Literal<Bool> {
    is("pushes.kind = 0")
}

pub(in crate::db) fn is_not_held() -> Literal<Bool> {
    is("pushes.state <> 6")
}

/// Pushes of this kind.
pub(in crate::db) fn is_of_kind(kind: PushKind) -> Literal<Bool> {
    match kind {
        PushKind::Increase => is("pushes.kind = 0"),
        PushKind::Overwrite => is("pushes.kind = 1"),
    }
}

/// The number of a kind in the database.
fn kind_code(kind: PushKind) -> i16 {
    match kind {
        PushKind::Increase => 0,
        PushKind::Overwrite => 1,
    }
}

const RESOLUTIONS: [Resolution; 4] = [Resolution::SameCallAgain, Resolution::ReadBack, Resolution::Overwrite, Resolution::AwaitShown];

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = pushes, treat_none_as_default_value = false)]
pub(in crate::db) struct PushRow {
    pub(in crate::db) seller_id: Vec<u8>,
    id: Vec<u8>,
    store_id: Vec<u8>,
    listing_id: Vec<u8>,
    sku: String,
    external_id: String,
    extra: Option<String>,
    kind: i16,
    quantity: Option<i64>,
    pub(super) state: i16,
    attempts: i32,
    reason: Option<String>,
    next_step: Option<String>,
    raw_answer: Option<String>,
    created_at: Timestamp,
    pub(in crate::db) updated_at: Timestamp,
    pub(super) due_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
    pub(super) call_id: Option<Vec<u8>>,
    base: Option<i64>,
    pub(super) resolution: Option<i16>,
    failing_since: Option<Timestamp>,
    batch_limit: Option<i32>,
    cancel_requested: bool,
    run_id: Option<Vec<u8>>,
    in_doubt: bool,
    contained: bool,
}

impl PushRow {
    pub(in crate::db) fn new(seller: &[u8], push: &Push) -> Self {
        Self {
            seller_id: seller.to_vec(),
            id: push.id.bytes(),
            store_id: push.store_id.bytes(),
            listing_id: push.listing_id.bytes(),
            sku: push.sku.clone(),
            external_id: push.external_id.clone(),
            extra: push.extra.clone(),
            kind: kind_code(push.kind),
            quantity: push.quantity,
            state: push.state.code(),
            attempts: push.attempts,
            reason: push.reason.clone(),
            next_step: push.next_step.clone(),
            // PostgreSQL keeps no NUL in text, and platforms may answer anything.
            raw_answer: push.raw_answer.as_ref().map(|text| text.replace('\0', "\u{fffd}")),
            created_at: push.created_at,
            updated_at: push.updated_at,
            due_at: push.due_at,
            confirmed_at: push.confirmed_at,
            call_id: push.call_id.map(|id| id.bytes()),
            base: push.base,
            resolution: push.resolution.and_then(|r| RESOLUTIONS.iter().position(|x| *x == r)).and_then(|i| i16::try_from(i).ok()),
            failing_since: push.failing_since,
            batch_limit: push.batch_limit,
            cancel_requested: push.cancel_requested,
            run_id: push.run_id.map(|id| id.bytes()),
            in_doubt: push.in_doubt,
            contained: push.contained,
        }
    }

    pub(in crate::db) fn push(self) -> Result<Push> {
        let corrupt = |column: &str| Error::Corrupt(format!("pushes.{column}"));
        Ok(Push {
            id: id_of(&self.id, PushId::from_bytes, "pushes.id")?,
            store_id: id_of(&self.store_id, StoreId::from_bytes, "pushes.store_id")?,
            listing_id: id_of(&self.listing_id, ListingId::from_bytes, "pushes.listing_id")?,
            sku: self.sku,
            external_id: self.external_id,
            extra: self.extra,
            kind: match self.kind {
                0 => PushKind::Increase,
                1 => PushKind::Overwrite,
                _ => return Err(corrupt("kind")),
            },
            quantity: self.quantity,
            state: PushState::from_code(self.state).ok_or_else(|| corrupt("state"))?,
            attempts: self.attempts,
            reason: self.reason,
            next_step: self.next_step,
            raw_answer: self.raw_answer,
            created_at: self.created_at,
            updated_at: self.updated_at,
            due_at: self.due_at,
            confirmed_at: self.confirmed_at,
            call_id: self.call_id.map(|b| id_of(&b, CallId::from_bytes, "pushes.call_id")).transpose()?,
            base: self.base,
            resolution: self
                .resolution
                .map(|code| usize::try_from(code).ok().and_then(|i| RESOLUTIONS.get(i).copied()).ok_or_else(|| corrupt("resolution")))
                .transpose()?,
            failing_since: self.failing_since,
            batch_limit: self.batch_limit,
            cancel_requested: self.cancel_requested,
            run_id: self.run_id.map(|b| id_of(&b, RunId::from_bytes, "pushes.run_id")).transpose()?,
            in_doubt: self.in_doubt,
            contained: self.contained,
        })
    }
}

/// Adds pushes, or saves changed ones.
pub(in crate::db) fn put_pushes(conn: &mut Conn, rows: &[PushRow]) -> Result<()> {
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        on!(conn, c => diesel::insert_into(pushes::table).values(chunk)
            .on_conflict((pushes::seller_id, pushes::id)).do_update().set((
                pushes::quantity.eq(excluded(pushes::quantity)),
                pushes::state.eq(excluded(pushes::state)),
                pushes::attempts.eq(excluded(pushes::attempts)),
                pushes::reason.eq(excluded(pushes::reason)),
                pushes::next_step.eq(excluded(pushes::next_step)),
                pushes::raw_answer.eq(excluded(pushes::raw_answer)),
                pushes::updated_at.eq(excluded(pushes::updated_at)),
                pushes::due_at.eq(excluded(pushes::due_at)),
                pushes::confirmed_at.eq(excluded(pushes::confirmed_at)),
                pushes::call_id.eq(excluded(pushes::call_id)),
                pushes::base.eq(excluded(pushes::base)),
                pushes::resolution.eq(excluded(pushes::resolution)),
                pushes::failing_since.eq(excluded(pushes::failing_since)),
                pushes::batch_limit.eq(excluded(pushes::batch_limit)),
                pushes::cancel_requested.eq(excluded(pushes::cancel_requested)),
                pushes::run_id.eq(excluded(pushes::run_id)),
                pushes::in_doubt.eq(excluded(pushes::in_doubt)),
                pushes::contained.eq(excluded(pushes::contained)),
            )).execute(c))?;
    }
    Ok(())
}

pub(in crate::db) fn read_pushes(rows: Vec<PushRow>) -> Result<Vec<Push>> {
    rows.into_iter().map(PushRow::push).collect()
}
