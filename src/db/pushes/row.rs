//! A push as a row.
use super::codes::{kind_code, kind_of, resolution_code, resolution_of, state_code, state_of};
use crate::db::kept::{inserted, put};
use crate::db::{Conn, Error, Result, id_of};
use crate::domain::push::{Invalid, Push, Record};
use crate::domain::undo::Replaced;
use crate::domain::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text};

#[derive(Queryable, Debug)]
pub(in crate::db) struct PushRow {
    pub(in crate::db) seller_id: Vec<u8>,
    pub(super) id: Vec<u8>,
    store_id: Vec<u8>,
    listing_id: Vec<u8>,
    sku: String,
    external_id: String,
    extra: Option<String>,
    kind: i16,
    pub(super) quantity: Option<i64>,
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
    pub(super) base: Option<i64>,
    pub(super) resolution: Option<i16>,
    failing_since: Option<Timestamp>,
    batch_limit: Option<i32>,
    cancel_requested: bool,
    run_id: Option<Vec<u8>>,
    in_doubt: bool,
    contained: bool,
    cause: Option<String>,
    pub(super) shown_before: Option<i64>,
    pub(super) unseen: Option<i64>,
    pub(super) replaced: Option<String>,
    pub(super) undo: Option<String>,
}

impl PushRow {
    pub(in crate::db) fn new(seller: &[u8], push: &Push) -> Self {
        let push = push.record();
        Self {
            seller_id: seller.to_vec(),
            id: push.id.bytes(),
            store_id: push.store_id.bytes(),
            listing_id: push.listing_id.bytes(),
            sku: push.sku,
            external_id: push.external_id,
            extra: push.extra,
            kind: kind_code(push.kind),
            quantity: push.quantity,
            state: state_code(push.state),
            attempts: push.attempts,
            reason: push.reason,
            next_step: push.next_step,
            // PostgreSQL does not accept NUL in text, and platforms may answer anything.
            raw_answer: push.raw_answer.map(|text| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }),
            created_at: push.created_at,
            updated_at: push.updated_at,
            due_at: push.due_at,
            confirmed_at: push.confirmed_at,
            call_id: push.call_id.map(|id| id.bytes()),
            base: push.base,
            resolution: push.resolution.map(resolution_code),
            failing_since: push.failing_since,
            batch_limit: push.batch_limit,
            cancel_requested: push.cancel_requested,
            run_id: push.run_id.map(|id| id.bytes()),
            in_doubt: push.in_doubt,
            contained: push.contained,
            cause: push.cause,
            shown_before: push.shown_before,
            unseen: push.unseen,
            replaced: (push.replaced != Replaced::default()).then(|| text(&push.replaced)),
            undo: push.undo.as_ref().map(text),
        }
    }

    pub(in crate::db) fn push(self) -> Result<Push> {
        let id = id_of(&self.id, PushId::from_bytes, "pushes.id")?;
        let unknown = |column: &str, code: i16| Error::Corrupt(format!("pushes {id}: {column} {code} is unknown"));
        let corrupt = |column: &str| Error::Corrupt(format!("pushes {id}: {column}"));
        let no_id = |column: &'static str| move |_| Error::Corrupt(format!("pushes {id}: {column} is not an id"));
        let record = Record {
            id,
            store_id: id_of(&self.store_id, StoreId::from_bytes, "").map_err(no_id("store_id"))?,
            listing_id: id_of(&self.listing_id, ListingId::from_bytes, "").map_err(no_id("listing_id"))?,
            sku: self.sku,
            external_id: self.external_id,
            extra: self.extra,
            kind: kind_of(self.kind).ok_or_else(|| unknown("kind", self.kind))?,
            quantity: self.quantity,
            state: state_of(self.state).ok_or_else(|| unknown("state", self.state))?,
            attempts: self.attempts,
            reason: self.reason,
            next_step: self.next_step,
            raw_answer: self.raw_answer,
            created_at: self.created_at,
            updated_at: self.updated_at,
            due_at: self.due_at,
            confirmed_at: self.confirmed_at,
            call_id: self.call_id.map(|b| id_of(&b, CallId::from_bytes, "").map_err(no_id("call_id"))).transpose()?,
            base: self.base,
            resolution: self.resolution.map(|code| resolution_of(code).ok_or_else(|| unknown("resolution", code))).transpose()?,
            failing_since: self.failing_since,
            batch_limit: self.batch_limit,
            cancel_requested: self.cancel_requested,
            run_id: self.run_id.map(|b| id_of(&b, RunId::from_bytes, "").map_err(no_id("run_id"))).transpose()?,
            in_doubt: self.in_doubt,
            contained: self.contained,
            cause: self.cause,
            shown_before: self.shown_before,
            unseen: self.unseen,
            replaced: self.replaced.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("replaced"))?.unwrap_or_default(),
            undo: self.undo.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("undo"))?,
        };
        Ok(Push::from_record(record)?)
    }
}

/// A plain record of numbers, which always has a text.
fn text(of: &impl serde::Serialize) -> String {
    serde_json::to_string(of).unwrap_or_default()
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Corrupt(format!("pushes {invalid}"))
    }
}

inserted! {
    PushRow, into "pushes"
    "ON CONFLICT (seller_id, id) DO UPDATE SET quantity = excluded.quantity, state = excluded.state, attempts = \
    excluded.attempts, reason = excluded.reason, next_step = excluded.next_step, raw_answer = excluded.raw_answer, \
    updated_at = excluded.updated_at, due_at = excluded.due_at, confirmed_at = excluded.confirmed_at, call_id = \
    excluded.call_id, base = excluded.base, resolution = excluded.resolution, failing_since = excluded.failing_since, \
    batch_limit = excluded.batch_limit, cancel_requested = excluded.cancel_requested, run_id = excluded.run_id, in_doubt = \
    excluded.in_doubt, contained = excluded.contained, shown_before = excluded.shown_before, unseen = excluded.unseen, \
    replaced = excluded.replaced, undo = excluded.undo";
    seller_id: Binary, id: Binary, store_id: Binary, listing_id: Binary, sku: Text, external_id: Text, extra: Nullable<Text>, kind:
    SmallInt, quantity: Nullable<BigInt>, state: SmallInt, attempts: Integer, reason: Nullable<Text>, next_step: Nullable<Text>,
    raw_answer: Nullable<Text>, created_at: BigInt, updated_at: BigInt, due_at: Nullable<BigInt>, confirmed_at: Nullable<BigInt>,
    call_id: Nullable<Binary>, base: Nullable<BigInt>, resolution: Nullable<SmallInt>, failing_since: Nullable<BigInt>, batch_limit:
    Nullable<Integer>, cancel_requested: Bool, run_id: Nullable<Binary>, in_doubt: Bool, contained: Bool, cause: Nullable<Text>, shown_before:
    Nullable<BigInt>, unseen: Nullable<BigInt>, replaced: Nullable<Text>, undo: Nullable<Text>
}

/// Adds pushes, or saves changed ones.
pub(in crate::db) fn put_pushes(conn: &mut Conn, rows: &[PushRow]) -> Result<()> {
    put(conn, rows)
}

pub(in crate::db) fn read_pushes(rows: Vec<PushRow>) -> Result<Vec<Push>> {
    rows.into_iter().map(PushRow::push).collect()
}
