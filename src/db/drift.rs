//! Checks of one seller's listings for drift, and the listings that differed when they were last checked.
pub mod due;

use super::connection::on;
use super::kept::kept;
use super::schema::{drift_checks, drifts, listings, sync_settings};
use super::scope::listing_of_drift;
use super::sets::among_ids;
use super::{Changed, Error, Result, Tenant, id_of};
use crate::domain::drift::{AFTER_DAILY_TIME, Cause, Counts, Drift, DriftCheck, Policy};
use crate::domain::limits::MAX_STORES;
use crate::domain::schedule::next_run;
use crate::domain::settings::SyncSettings;
use crate::domain::webhook::Message;
use crate::domain::{DriftCheckId, ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

fn cause_code(cause: Cause) -> i16 {
    match cause {
        Cause::EditedInStore => 0,
        Cause::SaleNotReported => 1,
        Cause::PushRejected => 2,
        Cause::Locked => 3,
        Cause::NotTracked => 4,
        Cause::Unreadable => 5,
    }
}

fn cause_of(code: i16) -> Result<Cause> {
    let cause = Cause::ALL.into_iter().find(|cause| cause_code(*cause) == code);
    cause.ok_or_else(|| Error::Corrupt(format!("drifts.cause {code} is unknown")))
}

/// When the next daily checks begin after `now`; `None` if there are none.
pub(super) fn next_check(settings: &SyncSettings, now: Timestamp) -> Option<Timestamp> {
    (settings.auto_sync && settings.drift != Policy::Off).then(|| next_run(settings, now - AFTER_DAILY_TIME) + AFTER_DAILY_TIME)
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = drift_checks)]
struct CheckRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    store_id: Vec<u8>,
    policy: String,
    continues_at: Option<Timestamp>,
    read_to: Option<Vec<u8>>,
    compared: i64,
    skipped: i64,
    corrected: i64,
    counts: String,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    progressed_at: Timestamp,
    tries: i32,
}

impl CheckRow {
    fn check(&self) -> Result<DriftCheck> {
        let corrupt = |column: &str| Error::Corrupt(format!("drift_checks.{column}"));
        Ok(DriftCheck {
            id: id_of(&self.id, DriftCheckId::from_bytes, "drift_checks.id")?,
            store_id: id_of(&self.store_id, StoreId::from_bytes, "drift_checks.store_id")?,
            policy: Policy::parse(&self.policy).ok_or_else(|| corrupt("policy"))?,
            compared: self.compared,
            skipped: self.skipped,
            corrected: self.corrected,
            counts: serde_json::from_str(&self.counts).map_err(|_| corrupt("counts"))?,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

/// The id of the last check of each store of seller `$1`; PostgreSQL has no greatest of several ids.
const LAST_CHECKS: &str = "SELECT (SELECT id FROM drift_checks WHERE seller_id = $1 AND store_id = stores.id ORDER BY id DESC LIMIT 1) AS id \
     FROM stores WHERE seller_id = $1";

#[derive(QueryableByName)]
struct LastCheck {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Binary>)]
    id: Option<Vec<u8>>,
}

/// An open check: when it goes on, the last listing that it has read, and how often those after it were read in vain.
pub(super) struct OpenCheck {
    pub check: DriftCheck,
    pub continues_at: Option<Timestamp>,
    pub read_to: Option<Vec<u8>>,
    pub tries: i32,
}

/// A listing that differed when it was last checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// The listing.
    pub listing_id: ListingId,
    /// Its store.
    pub store_id: StoreId,
    /// Its SKU.
    pub sku: String,
    /// The platform's name of it.
    pub external_id: String,
    /// How it differs.
    pub drift: Drift,
}

impl Tenant<'_> {
    /// Begins a check of a store. `None` if one goes on already.
    pub fn begin_drift_check(&mut self, store: StoreId, policy: Policy, now: Timestamp) -> Result<Option<DriftCheck>> {
        if self.open_drift_check(store)?.is_some() {
            return Ok(None);
        }
        let check = DriftCheck {
            id: DriftCheckId::new(now),
            store_id: store,
            policy,
            compared: 0,
            skipped: 0,
            corrected: 0,
            counts: Counts::default(),
            started_at: now,
            finished_at: None,
        };
        let row = CheckRow {
            seller_id: self.key(),
            id: check.id.bytes(),
            store_id: store.bytes(),
            policy: policy.as_str().to_owned(),
            continues_at: Some(now),
            read_to: None,
            compared: 0,
            skipped: 0,
            corrected: 0,
            counts: counts_text(&check.counts),
            started_at: now,
            finished_at: None,
            progressed_at: now,
            tries: 0,
        };
        on!(self.conn, c => diesel::insert_into(drift_checks::table).values(&row).execute(c))?;
        self.note(Changed::Work);
        Ok(Some(check))
    }

    /// Begins the daily checks that are due, of the stores that can be called, and plans the next ones.
    pub fn begin_daily_drift_checks(&mut self, now: Timestamp) -> Result<()> {
        let (scope, settings) = (self.scope(), self.sync_settings()?);
        let due: Option<Timestamp> =
            on!(self.conn, c => scope.sync_settings().select(sync_settings::next_check_at).get_result::<Option<Timestamp>>(c))?;
        let next = next_check(&settings, now);
        on!(self.conn, c => diesel::update(scope.sync_settings()).set(sync_settings::next_check_at.eq(next)).execute(c))?;
        if due.is_none_or(|at| at > now) || next.is_none() {
            return Ok(());
        }
        for store in self.stores(None, MAX_STORES)? {
            if store.sync_enabled && !store.is_held(now) {
                self.begin_drift_check(store.id, settings.drift, now)?;
            }
        }
        Ok(())
    }

    pub(super) fn open_drift_check(&mut self, store: StoreId) -> Result<Option<OpenCheck>> {
        let scope = self.scope();
        let row: Option<CheckRow> = on!(self.conn, c => scope.drift_checks().filter(drift_checks::store_id.eq(store.bytes()))
            .filter(drift_checks::continues_at.is_not_null()).first(c).optional())?;
        row.map(|row| Ok(OpenCheck { check: row.check()?, continues_at: row.continues_at, read_to: row.read_to, tries: row.tries }))
            .transpose()
    }

    /// The check goes on then, after so many tries in vain.
    pub(super) fn put_off_drift_check(&mut self, id: DriftCheckId, until: Timestamp, tries: i32) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.drift_checks().filter(drift_checks::id.eq(id.bytes())))
            .set((drift_checks::continues_at.eq(until), drift_checks::tries.eq(tries)))).run(c))?;
        Ok(())
    }

    /// Saves how far a check has come.
    pub(super) fn save_drift_check(&mut self, check: &DriftCheck, read_to: ListingId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.drift_checks().filter(drift_checks::id.eq(check.id.bytes()))).set((
            drift_checks::continues_at.eq(now), drift_checks::progressed_at.eq(now), drift_checks::tries.eq(0), drift_checks::read_to.eq(read_to.bytes()), drift_checks::compared.eq(check.compared),
            drift_checks::skipped.eq(check.skipped), drift_checks::corrected.eq(check.corrected),
            drift_checks::counts.eq(counts_text(&check.counts))))).run(c))?;
        Ok(())
    }

    /// Ends a check, and notifies webhooks if it has found anything.
    pub(super) fn end_drift_check(&mut self, check: &DriftCheck, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.drift_checks().filter(drift_checks::id.eq(check.id.bytes())))
            .set((drift_checks::continues_at.eq(None::<Timestamp>), drift_checks::finished_at.eq(now))).execute(c))?;
        if check.counts.total() > 0 {
            let name = self.store(check.store_id)?.name;
            self.notify(&Message::drift_found(check, &name), now)?;
        }
        Ok(())
    }

    /// How these listings differed when they were last checked.
    pub(super) fn drifts_of(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Drift>> {
        type Row = (Vec<u8>, i16, Option<i64>, Option<i64>, Timestamp, Option<String>);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect());
        let rows: Vec<Row> = on!(self.conn, c => scope.drifts().filter(among_ids(drifts::listing_id, ids))
            .select((drifts::listing_id, drifts::cause, drifts::difference, drifts::shown, drifts::since, drifts::note)).load(c))?;
        let read = |(id, cause, difference, shown, since, note): Row| {
            Ok((id_of(&id, ListingId::from_bytes, "drifts.listing_id")?, Drift { cause: cause_of(cause)?, difference, shown, since, note }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Saves how listings differ; `same` do not.
    pub(super) fn save_drifts(&mut self, store: StoreId, same: &[ListingId], differ: &[(ListingId, Drift)]) -> Result<()> {
        let (key, scope) = (self.key(), self.scope());
        let ids: Vec<Vec<u8>> = same.iter().chain(differ.iter().map(|(id, _)| id)).map(ListingId::bytes).collect();
        on!(self.conn, c => kept(diesel::delete(scope.drifts().filter(among_ids(drifts::listing_id, ids)))).run(c))?;
        let rows: Vec<_> = differ
            .iter()
            .map(|(id, Drift { cause, difference, shown, since, note })| {
                (
                    drifts::seller_id.eq(&key),
                    drifts::listing_id.eq(id.bytes()),
                    drifts::store_id.eq(store.bytes()),
                    drifts::cause.eq(cause_code(*cause)),
                    drifts::difference.eq(*difference),
                    drifts::shown.eq(*shown),
                    drifts::since.eq(*since),
                    drifts::note.eq(note.as_deref()),
                )
            })
            .collect();
        if !rows.is_empty() {
            on!(self.conn, c => diesel::insert_into(drifts::table).values(&rows).execute(c))?;
        }
        Ok(())
    }

    /// Checks, newest first, starting below `after`; of one store, if one is given.
    pub fn drift_checks(&mut self, store: Option<StoreId>, after: Option<DriftCheckId>, limit: i64) -> Result<Vec<DriftCheck>> {
        let scope = self.scope();
        let rows: Vec<CheckRow> = on!(self.conn, c => {
            let mut query = scope.drift_checks().order(drift_checks::id.desc()).limit(limit).into_boxed();
            if let Some(store) = store { query = query.filter(drift_checks::store_id.eq(store.bytes())); }
            if let Some(after) = after { query = query.filter(drift_checks::id.lt(after.bytes())); }
            query.load(c)?
        });
        rows.iter().map(CheckRow::check).collect()
    }

    /// Listings that differ, in the order of their ids, starting after `after`; those of one store or one cause, if given.
    pub fn drifted(
        &mut self,
        (store, cause): (Option<StoreId>, Option<Cause>),
        after: Option<ListingId>,
        limit: i64,
    ) -> Result<Vec<Drifted>> {
        type Row = (Vec<u8>, Vec<u8>, i16, Option<i64>, Option<i64>, Timestamp, Option<String>, String, String);
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => {
            let mut query = scope.drifts().inner_join(listing_of_drift!()).order(drifts::listing_id).limit(limit).into_boxed();
            if let Some(store) = store { query = query.filter(drifts::store_id.eq(store.bytes())); }
            if let Some(cause) = cause { query = query.filter(drifts::cause.eq(cause_code(cause))); }
            if let Some(after) = after { query = query.filter(drifts::listing_id.gt(after.bytes())); }
            query.select((drifts::listing_id, drifts::store_id, drifts::cause, drifts::difference, drifts::shown, drifts::since,
                drifts::note, listings::sku, listings::external_id)).load(c)?
        });
        let read = |(listing, store, cause, difference, shown, since, note, sku, external_id): Row| {
            Ok(Drifted {
                listing_id: id_of(&listing, ListingId::from_bytes, "drifts.listing_id")?,
                store_id: id_of(&store, StoreId::from_bytes, "drifts.store_id")?,
                sku,
                external_id,
                drift: Drift { cause: cause_of(cause)?, difference, shown, since, note },
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The last check of each store.
    pub fn last_drift_checks(&mut self) -> Result<HashMap<StoreId, DriftCheck>> {
        let (key, scope) = (self.key(), self.scope());
        let ids: Vec<LastCheck> = on!(self.conn, c => diesel::sql_query(LAST_CHECKS).bind::<diesel::sql_types::Binary, _>(&key).load(c))?;
        let ids = ids.into_iter().filter_map(|last| last.id).collect();
        let rows: Vec<CheckRow> = on!(self.conn, c => scope.drift_checks().filter(among_ids(drift_checks::id, ids)).load(c))?;
        rows.iter().map(|row| row.check().map(|check| (check.store_id, check))).collect()
    }
}

fn counts_text(counts: &Counts) -> String {
    serde_json::json!(counts).to_string()
}
