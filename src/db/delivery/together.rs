//! The plain success of many calls of increases, of many stores and sellers, saved together: one statement reads what they
//! carried, another saves their success. A call of which more is to be noted is left to [`Tenant::finish_call`].
use super::outcome::Finished;
use crate::db::Tenant;
use crate::db::connection::{Backend, Conn};
use crate::db::error::{Error, Result};
use crate::db::kept::{Key, kept, kept_as};
use crate::db::pushes::{CONFIRMED, is_in_flight, is_increase, is_overwrite, is_sending, pack_is_queued};
use crate::domain::circuit::probe_is_due;
use crate::domain::claim::{ClaimTerms, ClaimedCall, Next};
use crate::domain::delivery::Outcome;
use crate::domain::leases::Lease;
use crate::domain::push::{Account, LatestNumbers, SentIncrease, all_applied};
use crate::domain::{CallId, SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The shortest time between two writes of `last_success_at`: people compare it with what has just been confirmed.
pub(super) const SUCCESS_EVERY: Duration = Duration::from_secs(1);

/// A call that has ended, to be saved.
#[derive(Debug, Clone)]
pub struct EndedCall {
    /// The seller whose store was called.
    pub seller: SellerId,
    /// The store that was called.
    pub store: StoreId,
    /// The call.
    pub call: CallId,
    /// Whether it carried overwrites.
    is_overwrite: bool,
    /// How many pushes it carried.
    pub items: usize,
    /// What their listings show, if they are increases and all of them were applied.
    applied: Option<Vec<Option<i64>>>,
    /// The answer.
    pub outcome: Arc<Outcome>,
    /// The platform's words, shortened.
    pub raw: Option<Arc<str>>,
    /// Those of its claim.
    pub terms: ClaimTerms,
    /// When the answer came.
    pub now: Timestamp,
    /// By what lease it was made.
    lease: Option<Lease>,
}

impl EndedCall {
    /// A call of this seller to this store.
    pub fn new(
        (seller, store): (SellerId, StoreId),
        of: &ClaimedCall,
        (outcome, raw): (Arc<Outcome>, Option<Arc<str>>),
        terms: ClaimTerms,
        now: Timestamp,
    ) -> Self {
        let (items, is_overwrite) = (of.items.len(), of.kind.is_overwrite());
        let applied = all_applied(of.kind, items, &outcome);
        Self { seller, store, call: of.id, is_overwrite, items, applied, outcome, raw, terms, now, lease: None }
    }

    /// The same, made by this lease: nothing is saved if it is not held any more.
    pub(in crate::db) fn under(self, lease: Option<Lease>) -> Self {
        Self { lease, ..self }
    }

    /// Whether it may have succeeded plainly: only the rows can tell.
    pub(in crate::db) fn may_be_plain(&self) -> bool {
        self.applied.is_some()
    }

    /// Saves it on its own, whatever its outcome.
    pub(in crate::db) fn save(&self, conn: &mut Conn) -> Result<Finished> {
        let mut tenant = Tenant::under(conn, self.seller, self.lease);
        tenant.lock()?;
        let (store, call, outcome, raw) = (self.store, self.call, &self.outcome, self.raw.as_deref());
        match self.is_overwrite {
            true => tenant.finish_overwrites(store, call, outcome, raw, &self.terms, self.now),
            false => tenant.finish_call(store, call, outcome, raw, &self.terms, self.now),
        }
    }
}

/// An increase that one of the calls carries, with what is known of its store.
#[derive(QueryableByName)]
struct SentRow {
    /// The number of its call.
    #[diesel(sql_type = BigInt)]
    n: i64,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    listing_id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    quantity: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    base: Option<i64>,
    #[diesel(sql_type = Bool)]
    in_doubt: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    shown: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    doubt_until: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    shown_earlier: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    changed_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    owed_since: Option<Timestamp>,
    /// Whether a success changes more about its store than when it last had one, or the store has packs to send.
    #[diesel(sql_type = Bool)]
    more: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_success_at: Option<Timestamp>,
    /// When the store needs attention next, beside `probe_at`.
    #[diesel(sql_type = Nullable<BigInt>)]
    increase: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    overwrite: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    look: Option<Timestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    probe_at: Option<Timestamp>,
}

impl SentRow {
    fn sent(&self) -> SentIncrease {
        let before = self.shown_earlier.as_deref().map(LatestNumbers::parse).unwrap_or_default();
        let (doubt_until, changed_at, owed_since) = (self.doubt_until, self.changed_at, self.owed_since);
        let account = Account { shown: self.shown, doubt_until, before, changed_at, owed_since, ..Account::default() };
        SentIncrease { quantity: self.quantity, base: self.base, in_doubt: self.in_doubt, account }
    }

    /// When the store needs attention after this.
    fn attention(&self, now: Timestamp) -> Option<Timestamp> {
        let probe_at = self.probe_at.map(|at| if probe_is_due(at, now) { at.min(now) } else { at });
        self.increase.into_iter().chain(self.overwrite).chain(self.look).chain(probe_at).min()
    }
}

/// The calls of `from` (`n`, `seller`, `store`, `call`), each with what is known of its store, and the increases that they
/// carry. Nothing is due because of these, so what is due next is the same before and after.
fn read_text(from: &str, [held, lock]: [&str; 2]) -> String {
    let due = |kind: &str| {
        format!("(SELECT MIN(due_at) FROM pushes WHERE seller_id = v.seller AND store_id = v.store AND {kind} AND due_at IS NOT NULL)")
    };
    let (increase, overwrite) = (due(is_increase().sql()), due(is_overwrite().sql()));
    let queued = pack_is_queued().sql();
    let (in_flight, sending, of_kind) = (is_in_flight().sql(), is_sending().sql(), is_increase().sql());
    format!(
        "WITH c AS MATERIALIZED (SELECT v.n, v.seller, v.store, v.call, s.last_success_at, s.probe_at, \
         s.write_refused OR EXISTS (SELECT 1 FROM listings WHERE seller_id = v.seller AND store_id = v.store AND marked) \
         OR EXISTS (SELECT 1 FROM push_packs WHERE seller_id = v.seller AND store_id = v.store AND {queued}) AS more, \
         {increase} AS increase, {overwrite} AS overwrite, \
         (SELECT MIN(look_at) FROM listings WHERE seller_id = v.seller AND store_id = v.store AND look_at IS NOT NULL) AS look \
         FROM {from} JOIN sellers o ON o.id = v.seller AND o.deleted_at IS NULL \
         JOIN stores s ON s.seller_id = v.seller AND s.id = v.store {held} {lock}) \
         SELECT c.n, pushes.id, pushes.listing_id, pushes.quantity, pushes.base, pushes.in_doubt, l.shown, l.doubt_until, \
         l.shown_earlier, l.changed_at, l.owed_since, c.more, c.last_success_at, c.increase, c.overwrite, c.look, c.probe_at \
         FROM c JOIN pushes ON pushes.seller_id = c.seller AND pushes.store_id = c.store AND {in_flight} AND {sending} \
         AND pushes.call_id = c.call AND {of_kind} \
         LEFT JOIN listings l ON l.seller_id = pushes.seller_id AND l.id = pushes.listing_id"
    )
}

static READ_ONE: LazyLock<String> = LazyLock::new(|| read_text("(SELECT ?1 AS seller, ?2 AS store, ?3 AS call, ?4 AS n) v", ["", ""]));
/// The same of a call that was made by a lease, if that is still held.
static READ_ONE_HELD: LazyLock<String> = LazyLock::new(|| {
    let from = "(SELECT ?1 AS seller, ?2 AS store, ?3 AS call, ?4 AS n, ?5 AS shard, ?6 AS epoch) v";
    read_text(from, [STILL_HELD, ""])
});
/// What leaves out a call whose shard has changed hands.
const STILL_HELD: &str = "JOIN shards h ON h.shard = v.shard AND h.epoch = v.epoch";
/// Locks the sellers in the order of their ids, as everything does that concerns several.
static READ_MANY: LazyLock<String> = LazyLock::new(|| {
    let from = "unnest($1, $2, $3) WITH ORDINALITY AS v (seller, store, call, n)";
    read_text(from, ["", "ORDER BY o.id FOR UPDATE OF o"])
});
/// The same of calls that were made by leases: those that are still held, whose shards do not change hands before the commit.
static READ_HELD: LazyLock<String> = LazyLock::new(|| {
    let from = "unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS v (seller, store, call, shard, epoch, n)";
    read_text(from, [STILL_HELD, "ORDER BY o.id FOR UPDATE OF o FOR SHARE OF h"])
});

/// A listing after a plain success.
struct Noted<'a> {
    seller: &'a [u8],
    id: Vec<u8>,
    shown: i64,
    before: Option<String>,
    units: i64,
    now: Timestamp,
}

/// A row of a table that is changed: its seller, its id, and when.
type Changed<'a> = (&'a [u8], Vec<u8>, Timestamp);

/// What is saved of all plain successes.
#[derive(Default)]
struct Successes<'a> {
    pushes: Vec<Changed<'a>>,
    stores: Vec<Changed<'a>>,
    listings: Vec<Noted<'a>>,
}

/// Saves those of these calls that have succeeded plainly. `None` for each other one, of which nothing was saved.
pub(in crate::db) fn finish_together(conn: &mut Conn, calls: &[EndedCall]) -> Result<Vec<Option<Finished>>> {
    let candidates: Vec<(usize, &EndedCall)> = calls.iter().enumerate().filter(|(_, call)| call.may_be_plain()).collect();
    let mut finished = vec![None; calls.len()];
    if candidates.is_empty() {
        return Ok(finished);
    }
    let mut carried: Vec<Vec<SentRow>> = calls.iter().map(|_| Vec::new()).collect();
    for row in read(conn, &candidates)? {
        if let Some(of_call) = usize::try_from(row.n).ok().and_then(|n| carried.get_mut(n)) {
            of_call.push(row);
        }
    }
    let keys: Vec<Vec<u8>> = calls.iter().map(|call| call.seller.bytes()).collect();
    let mut all = Successes::default();
    for (((call, key), mut rows), finished) in calls.iter().zip(&keys).zip(carried).zip(&mut finished) {
        // In the order of the call's items.
        rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let (Some(shown), Some(first)) = (&call.applied, rows.first()) else { continue };
        if rows.len() != call.items || first.more {
            continue;
        }
        let next = Next::DueAt(first.attention(call.now));
        let is_news = first.last_success_at.is_none_or(|at| at < call.now - SUCCESS_EVERY || at > call.now);
        let success = |(row, shown): (&SentRow, &Option<i64>)| row.sent().success(*shown, call.now);
        let Some(successes) = rows.iter().zip(shown).map(success).collect::<Option<Vec<_>>>() else { continue };
        for (row, success) in rows.into_iter().zip(successes) {
            all.pushes.push((key, row.id, call.now));
            let (before, units) = (success.before.and_then(LatestNumbers::text), success.units);
            let noted = |shown| Noted { seller: key, id: row.listing_id, shown, before, units, now: call.now };
            all.listings.extend(success.shown.map(noted));
        }
        if is_news {
            all.stores.push((key, call.store.bytes(), call.now));
        }
        *finished = Some(Finished { confirmed: call.items, next });
    }
    write(conn, &all)?;
    Ok(finished)
}

fn read(conn: &mut Conn, calls: &[(usize, &EndedCall)]) -> Result<Vec<SentRow>> {
    match &mut conn.backend {
        Backend::Sqlite(c) => {
            let mut rows = Vec::with_capacity(calls.len());
            for (place, call) in calls {
                let text = if call.lease.is_some() { &READ_ONE_HELD } else { &READ_ONE };
                let query = diesel::sql_query(text.as_str()).bind::<Binary, _>(call.seller.bytes()).bind::<Binary, _>(call.store.bytes());
                let query = query.bind::<Binary, _>(call.call.bytes()).bind::<BigInt, _>(i64::try_from(*place).unwrap_or(i64::MAX));
                rows.extend(match call.lease {
                    None => kept_as::<ReadOne, _>(query).load::<SentRow>(c)?,
                    Some(lease) => kept(query.bind::<SmallInt, _>(lease.shard).bind::<BigInt, _>(lease.epoch)).load(c)?,
                });
            }
            Ok(rows)
        }
        Backend::Postgres(c) => {
            let leases: Vec<Option<Lease>> = calls.iter().map(|(_, call)| call.lease).collect();
            let by_lease = leases.iter().any(Option::is_some);
            let mut query = diesel::sql_query(if by_lease { READ_HELD.as_str() } else { READ_MANY.as_str() })
                .into_boxed()
                .bind::<Array<Binary>, _>(calls.iter().map(|(_, call)| call.seller.bytes()).collect::<Vec<_>>())
                .bind::<Array<Binary>, _>(calls.iter().map(|(_, call)| call.store.bytes()).collect::<Vec<_>>())
                .bind::<Array<Binary>, _>(calls.iter().map(|(_, call)| call.call.bytes()).collect::<Vec<_>>());
            if by_lease {
                query = query
                    .bind::<Array<Nullable<SmallInt>>, _>(leases.iter().map(|lease| lease.map(|l| l.shard)).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(leases.iter().map(|lease| lease.map(|l| l.epoch)).collect::<Vec<_>>());
            }
            let mut rows: Vec<SentRow> = kept(query).load(c)?;
            // From the number among those that were asked for, counted from 1, to the number among all.
            for row in &mut rows {
                let place = usize::try_from(row.n - 1).ok().and_then(|n| calls.get(n)).map(|(place, _)| *place);
                row.n = place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1);
            }
            Ok(rows)
        }
    }
}

/// The statement that confirms the push of seller `$1` with id `$2` at `$3`, where these are columns of `from`, or values.
fn confirm_text(from: &str, [seller, id, now]: [&str; 3]) -> String {
    let sending = is_sending().sql();
    format!(
        "UPDATE pushes SET state = {CONFIRMED}, updated_at = {now}, confirmed_at = {now}, due_at = NULL, failing_since = NULL, \
         in_doubt = FALSE, reason = NULL, next_step = NULL, raw_answer = NULL{from} \
         WHERE pushes.seller_id = {seller} AND pushes.id = {id} AND {sending}"
    )
}

/// The same for a store that works.
fn success_text(from: &str, [seller, id, now]: [&str; 3]) -> String {
    format!("UPDATE stores SET last_success_at = {now}{from} WHERE stores.seller_id = {seller} AND stores.id = {id}")
}

/// The same for what a listing shows, and what it showed `earlier`.
fn shown_text(from: &str, [seller, id, now, shown, earlier, units]: [&str; 6]) -> String {
    format!(
        "UPDATE listings SET shown = {shown}, shown_at = {now}, shown_earlier = COALESCE({earlier}, listings.shown_earlier), \
         changed_at = CASE WHEN {earlier} IS NULL THEN listings.changed_at ELSE {now} END, \
         expected = listings.expected + {units} * listings.units, \
         expected_otherwise = listings.expected_otherwise + {units} * listings.units, \
         sold_when_shown = listings.sold, increased = listings.increased + {units}{from} \
         WHERE listings.seller_id = {seller} AND listings.id = {id}"
    )
}

/// One of the statements of [`WRITE_ONE`].
struct Write<const PLACE: usize>;

impl<const PLACE: usize> Key for Write<PLACE> {}

/// [`READ_ONE`].
struct ReadOne;

impl Key for ReadOne {}

/// On SQLite, one row in each of three statements. Its `$3` is only a name, and would be the first value if it came first.
static WRITE_ONE: LazyLock<[String; 3]> = LazyLock::new(|| {
    let row = ["?1", "?2", "?3"];
    let confirm = format!("{} RETURNING 1 AS confirmed", confirm_text("", row));
    [confirm, success_text("", row), shown_text("", ["?1", "?2", "?3", "?4", "?5", "?6"])]
});
/// On PostgreSQL, everything in one statement.
static WRITE_ALL: LazyLock<String> = LazyLock::new(|| {
    let row = ["v.seller", "v.id", "v.now"];
    let ended = confirm_text(" FROM unnest($1, $2, $3) AS v (seller, id, now)", row);
    let worked = success_text(" FROM unnest($4, $5, $6) AS v (seller, id, now)", row);
    let columns = ["v.seller", "v.id", "v.now", "v.shown", "v.earlier", "v.units"];
    let shown = shown_text(" FROM unnest($7, $8, $9, $10, $11, $12) AS v (seller, id, now, shown, earlier, units)", columns);
    format!("WITH ended AS ({ended} RETURNING 1), worked AS ({worked}), noted AS ({shown}) SELECT count(*) AS confirmed FROM ended")
});

#[derive(QueryableByName)]
struct ConfirmedRow {
    #[diesel(sql_type = BigInt)]
    confirmed: i64,
}

/// # Errors
/// [`Error::Corrupt`] if not exactly these pushes were `sending`.
fn write(conn: &mut Conn, all: &Successes<'_>) -> Result<()> {
    if all.pushes.is_empty() {
        return Ok(());
    }
    let confirmed: Vec<ConfirmedRow> = match &mut conn.backend {
        Backend::Sqlite(c) => {
            let [confirm, note_success, note_shown] = &*WRITE_ONE;
            let mut confirmed = Vec::with_capacity(all.pushes.len());
            for (seller, id, now) in &all.pushes {
                let one = diesel::sql_query(confirm.as_str()).bind::<Binary, _>(*seller).bind::<Binary, _>(id).bind::<BigInt, _>(now);
                confirmed.extend(kept_as::<Write<0>, _>(one).load::<ConfirmedRow>(c)?);
            }
            for (seller, id, now) in &all.stores {
                let one = diesel::sql_query(note_success.as_str()).bind::<Binary, _>(*seller).bind::<Binary, _>(id);
                kept_as::<Write<1>, _>(one.bind::<BigInt, _>(now)).run(c)?;
            }
            for noted in &all.listings {
                let one = diesel::sql_query(note_shown.as_str()).bind::<Binary, _>(noted.seller).bind::<Binary, _>(&noted.id);
                let one = one.bind::<BigInt, _>(noted.now).bind::<BigInt, _>(noted.shown);
                let one = one.bind::<Nullable<Text>, _>(noted.before.as_deref()).bind::<BigInt, _>(noted.units);
                kept_as::<Write<2>, _>(one).run(c)?;
            }
            confirmed
        }
        Backend::Postgres(c) => {
            let sellers = |rows: &[Changed<'_>]| rows.iter().map(|(seller, ..)| seller.to_vec()).collect::<Vec<_>>();
            let ids = |rows: &[Changed<'_>]| rows.iter().map(|(_, id, _)| id.clone()).collect::<Vec<_>>();
            let times = |rows: &[Changed<'_>]| rows.iter().map(|(.., now)| *now).collect::<Vec<_>>();
            let query = diesel::sql_query(WRITE_ALL.as_str())
                .bind::<Array<Binary>, _>(sellers(&all.pushes))
                .bind::<Array<Binary>, _>(ids(&all.pushes))
                .bind::<Array<BigInt>, _>(times(&all.pushes))
                .bind::<Array<Binary>, _>(sellers(&all.stores))
                .bind::<Array<Binary>, _>(ids(&all.stores))
                .bind::<Array<BigInt>, _>(times(&all.stores))
                .bind::<Array<Binary>, _>(all.listings.iter().map(|noted| noted.seller).collect::<Vec<_>>())
                .bind::<Array<Binary>, _>(all.listings.iter().map(|noted| noted.id.as_slice()).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(all.listings.iter().map(|noted| noted.now).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(all.listings.iter().map(|noted| noted.shown).collect::<Vec<_>>())
                .bind::<Array<Nullable<Text>>, _>(all.listings.iter().map(|noted| noted.before.as_deref()).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(all.listings.iter().map(|noted| noted.units).collect::<Vec<_>>());
            kept(query).load(c)?
        }
    };
    let confirmed: i64 = confirmed.iter().map(|row| row.confirmed).sum();
    if usize::try_from(confirmed) == Ok(all.pushes.len()) {
        return Ok(());
    }
    Err(Error::Corrupt(format!("{confirmed} of {} pushes were being sent as their calls ended", all.pushes.len())))
}
