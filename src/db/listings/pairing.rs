//! Pairing in bulk: an upsert keyed by (store, external_id). Several listings of a store may show the same SKU. An invalid row is rejected
//! without affecting the rest.
use super::row::ListingRow;
use crate::db::connection::on;
use crate::db::ledger::Limits;
use crate::db::schema::{listings, stores};
use crate::db::sets::among;
use crate::db::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::siblings::MAX_LISTINGS;
use crate::domain::units::UnitsEach;
use crate::domain::{FieldError, ListingId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A row of a bulk upsert, already validated on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewListing {
    /// The SKU to pair it with.
    pub sku: Sku,
    /// The platform's id for it.
    pub external_id: String,
    /// How many units of the SKU one of it is; `None` keeps what is stored, and is one for a new listing.
    pub units: Option<UnitsEach>,
    /// What else the connector needs to address it; `None` keeps what is stored.
    pub extra: Option<BTreeMap<String, String>>,
    /// The pass of a discovery that pairs it; `None` if somebody does it by hand.
    pub pass: Option<Pass>,
}

/// A pass of a discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// When it began.
    pub began_at: Timestamp,
    /// Whether it pairs a SKU that another listing of the store shows by then.
    pub beside_others: bool,
}

/// The result for one row of a bulk upsert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingChange {
    /// The listing is new.
    Created(ListingId),
    /// The listing was changed.
    Updated(ListingId),
    /// The listing shows the same SKU, of which it is another number of units.
    Resized(ListingId),
    /// The listing was already like this.
    Unchanged(ListingId),
    /// The row is invalid. Pointers are relative to the row.
    Rejected(Vec<FieldError>),
}

/// What a row of a bulk upsert would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingPreview {
    /// The result.
    pub change: ListingChange,
    /// The SKU that the listing is paired with now, if it would be another one.
    pub moved_from: Option<String>,
    /// How many units of its SKU the listing is now, if it would be another number.
    pub units_before: Option<UnitsEach>,
    /// What the listing last showed, as far as known.
    pub shown: Option<i64>,
    /// The row's SKU would be created, so nothing of it is in stock.
    pub is_new_sku: bool,
    /// How many other listings of the store show the row's SKU after all rows.
    pub siblings: usize,
}

/// The results of a bulk upsert, and what to write.
#[derive(Default)]
struct Plan {
    results: Vec<ListingChange>,
    new_skus: HashSet<String>,
    write: Vec<ListingRow>,
    /// Listings that get another SKU.
    repaired: Vec<ListingId>,
    /// Listings that are another number of units of their SKU.
    resized: Vec<ListingId>,
    /// The SKUs of which one of these may have sold units that were reported, and not attributed to it yet.
    unsettled: BTreeSet<String>,
    /// How many listings show each SKU after all rows.
    listed: HashMap<String, usize>,
}

/// The store's existing listings with an external id or a SKU of the request.
#[derive(Default)]
struct Existing {
    by_external_id: HashMap<String, ListingRow>,
    /// The external ids of the listings of each SKU of the request.
    by_sku: HashMap<String, BTreeSet<String>>,
}

impl Existing {
    /// Whether one more listing would be too many of a SKU.
    fn is_full(&self, row: &NewListing) -> bool {
        let of_sku = self.by_sku.get(row.sku.as_str());
        of_sku.is_some_and(|listings| listings.len() >= MAX_LISTINGS && !listings.contains(&row.external_id))
    }

    /// Another listing that shows the SKU of this row, which does not yet.
    fn other(&self, row: &NewListing) -> Option<&str> {
        let of_sku = self.by_sku.get(row.sku.as_str())?;
        of_sku.first().filter(|_| !of_sku.contains(&row.external_id)).map(String::as_str)
    }

    fn pair(&mut self, row: &NewListing) {
        if let Some(others) = self.by_external_id.get(&row.external_id).and_then(|old| self.by_sku.get_mut(&old.sku)) {
            others.remove(&row.external_id);
        }
        self.by_sku.entry(row.sku.to_string()).or_default().insert(row.external_id.clone());
    }
}

impl Tenant<'_> {
    /// Pairs many listings of one store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such store.
    pub fn save_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Vec<ListingChange>> {
        self.note(Changed::Work);
        let Plan { results, new_skus, write, repaired, resized, unsettled, listed } = self.plan_listings(store, rows, limits, now)?;
        self.insert_skus(new_skus.iter().map(String::as_str), now)?;
        self.cancel_pushes_of(&repaired, "The listing was paired with another SKU.", now)?;
        self.forget_expectations(&[repaired.as_slice(), &resized].concat())?;
        self.forget_unattributed(store, unsettled)?;
        self.scatter_packs(&repaired.iter().map(|id| (store, *id)).collect::<Vec<_>>())?;
        let scope = self.scope();
        let of_store = || scope.stores().filter(stores::id.eq(store.bytes()));
        if write.iter().any(|row| row.units != UnitsEach::ONE.get()) {
            on!(self.conn, c => diesel::update(of_store().filter(stores::has_multiples.eq(false)))
                .set(stores::has_multiples.eq(true)).execute(c))?;
        }
        if write.iter().any(|row| listed.get(&row.sku).is_some_and(|listings| *listings > 1)) {
            on!(self.conn, c => diesel::update(of_store().filter(stores::repeats_skus.eq(false)))
                .set(stores::repeats_skus.eq(true)).execute(c))?;
        }
        for chunk in write.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::insert_into(listings::table).values(chunk)
                .on_conflict((listings::seller_id, listings::store_id, listings::external_id)).do_update()
                .set((listings::sku.eq(excluded(listings::sku)), listings::units.eq(excluded(listings::units)),
                    listings::extra.eq(excluded(listings::extra)), listings::paired_by_pass.eq(excluded(listings::paired_by_pass)))).execute(c))?;
        }
        Ok(results)
    }

    /// What [`Self::save_listings`] would do with each row, and what it would take the listing away from.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such store.
    pub fn preview_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Vec<ListingPreview>> {
        let before = self.existing(store, rows)?;
        let Plan { results, new_skus, listed, .. } = self.plan_listings(store, rows, limits, now)?;
        let preview = |(row, change): (&NewListing, ListingChange)| {
            let old = before.by_external_id.get(&row.external_id);
            ListingPreview {
                moved_from: old.map(|old| old.sku.clone()).filter(|sku| sku != row.sku.as_str()),
                units_before: old
                    .filter(|old| row.units.is_some_and(|units| units.get() != old.units))
                    .and_then(|old| UnitsEach::new(old.units)),
                shown: old.and_then(|old| old.shown),
                is_new_sku: new_skus.contains(row.sku.as_str()),
                siblings: listed.get(row.sku.as_str()).map_or(0, |listings| listings.saturating_sub(1)),
                change,
            }
        };
        Ok(rows.iter().zip(results).map(preview).collect())
    }

    /// Decides about each row; nothing is written yet.
    fn plan_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Plan> {
        self.store(store)?;
        let mut existing = self.existing(store, rows)?;
        let skus: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
        let known = self.sku_names(&skus)?;
        let with_zeros = self.with_leading_zeros(skus.iter().copied().filter(|sku| !known.contains_key(*sku)))?;
        let (mut room, most) = self.room_for_skus(limits)?;
        let (mut plan, mut seen) = (Plan::default(), HashSet::new());
        for row in rows {
            if !seen.insert(row.external_id.as_str()) {
                plan.results.push(rejected("/external_id", "appears more than once in this request"));
                continue;
            }
            if let Some(known) = with_zeros.get(row.sku.as_str()) {
                let detail = format!(
                    "does not exist, but {known} does: a spreadsheet may have removed the zeros. If {} is meant, create that SKU first",
                    row.sku
                );
                plan.results.push(rejected("/sku", &detail));
                continue;
            }
            if !known.contains_key(row.sku.as_str()) && !plan.new_skus.contains(row.sku.as_str()) {
                if room == 0 {
                    plan.results.push(rejected("/sku", &format!("is new, and a seller may have at most {most} SKUs")));
                    continue;
                }
                room -= 1;
                plan.new_skus.insert(row.sku.to_string());
            }
            if let Some(other) = existing.other(row).filter(|_| row.pass.is_some_and(|pass| !pass.beside_others)) {
                plan.results.push(rejected("/sku", &format!("is paired with the listing {other} of this store by now")));
                continue;
            }
            if existing.is_full(row) {
                let detail = format!("has {MAX_LISTINGS} listings in this store already, and that is the most that one SKU may have");
                plan.results.push(rejected("/sku", &detail));
                continue;
            }
            existing.pair(row);
            let change = self.apply(store, row, &mut existing, &mut plan, now)?;
            plan.results.push(change);
        }
        plan.listed = existing.by_sku.into_iter().map(|(sku, listings)| (sku, listings.len())).collect();
        Ok(plan)
    }

    /// One of the listings of these SKUs leaves the others. What was reported and not attributed yet may be what it has sold, so it is
    /// forgotten, instead of hiding what another one has sold without a report.
    pub(super) fn forget_unattributed(&mut self, store: StoreId, skus: impl IntoIterator<Item = String>) -> Result<()> {
        let (scope, skus) = (self.scope(), skus.into_iter().collect::<Vec<_>>());
        if !skus.is_empty() {
            on!(self.conn, c => diesel::update(scope.listings().filter(listings::store_id.eq(store.bytes())).filter(among(listings::sku, skus.clone())))
                .set(listings::unattributed.eq(0)).execute(c))?;
        }
        Ok(())
    }

    /// Plans one valid row.
    fn apply(&self, store: StoreId, row: &NewListing, existing: &mut Existing, plan: &mut Plan, now: Timestamp) -> Result<ListingChange> {
        let extra = row.extra.as_ref().filter(|extra| !extra.is_empty()).map(serde_json::to_string).transpose();
        let extra = extra.map_err(|e| Error::Corrupt(e.to_string()))?;
        let Some(old) = existing.by_external_id.get_mut(&row.external_id) else {
            let id = ListingId::new(now);
            plan.write.push(ListingRow {
                seller_id: self.key(),
                id: id.bytes(),
                store_id: store.bytes(),
                sku: row.sku.to_string(),
                external_id: row.external_id.clone(),
                extra,
                shown: None,
                shown_at: None,
                doubt_until: None,
                marked: false,
                created_at: now,
                settles_at: None,
                late_numbers: None,
                changed_at: None,
                owed_since: None,
                look_at: None,
                shown_earlier: None,
                paired_by_pass: row.pass.map(|pass| pass.began_at),
                expected: None,
                expected_otherwise: None,
                unseen: 0,
                unseen_since: None,
                units: row.units.unwrap_or_default().get(),
                reports: 0,
                sold: 0,
                sold_when_shown: 0,
                increased: 0,
                set_by: None,
                unattributed: 0,
            });
            return Ok(ListingChange::Created(id));
        };
        let id = id_of(&old.id, ListingId::from_bytes, "listings.id")?;
        let other_sku = old.sku != row.sku.as_str();
        let other_extra = row.extra.is_some() && old.extra != extra;
        let other_units = row.units.map(UnitsEach::get).filter(|units| *units != old.units);
        if !other_sku && !other_extra && other_units.is_none() {
            if row.pass.is_none() && old.paired_by_pass.take().is_some() {
                // Somebody confirms by hand what a discovery has paired.
                plan.write.push(old.clone());
            }
            return Ok(ListingChange::Unchanged(id));
        }
        old.paired_by_pass = row.pass.map(|pass| pass.began_at);
        if old.unattributed != 0 && (other_sku || other_units.is_some()) {
            plan.unsettled.insert(old.sku.clone());
        }
        if other_sku {
            plan.repaired.push(id);
            old.sku = row.sku.to_string();
        }
        if other_extra {
            old.extra = extra;
        }
        if let Some(units) = other_units {
            old.units = units;
            plan.resized.push(id);
        }
        plan.write.push(old.clone());
        Ok(if other_units.is_some() && !other_sku { ListingChange::Resized(id) } else { ListingChange::Updated(id) })
    }

    fn existing(&mut self, store: StoreId, rows: &[NewListing]) -> Result<Existing> {
        let (scope, store) = (self.scope(), store.bytes());
        let mut existing = Existing::default();
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            let external_ids: Vec<&str> = chunk.iter().map(|row| row.external_id.as_str()).collect();
            let skus: Vec<&str> = chunk.iter().map(|row| row.sku.as_str()).collect();
            let of_store = || scope.listings().filter(listings::store_id.eq(&store));
            // Two queries instead of one with OR: each has its own index.
            let mut found: Vec<ListingRow> = on!(self.conn, c => of_store().filter(listings::external_id.eq_any(&external_ids)).load(c))?;
            found.extend(on!(self.conn, c => of_store().filter(listings::sku.eq_any(&skus)).load::<ListingRow>(c))?);
            for row in found {
                existing.by_sku.entry(row.sku.clone()).or_default().insert(row.external_id.clone());
                existing.by_external_id.insert(row.external_id.clone(), row);
            }
        }
        Ok(existing)
    }
}

fn rejected(pointer: &str, detail: &str) -> ListingChange {
    ListingChange::Rejected(vec![FieldError::new(pointer, detail)])
}
