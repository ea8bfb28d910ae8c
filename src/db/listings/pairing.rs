//! Pairing in bulk: an upsert keyed by (store, external_id). Within a store a SKU has one listing, after all rows: two rows may swap
//! their SKUs. A row that conflicts is rejected without affecting the rest.
use super::conflicts;
use super::row::ListingRow;
use crate::db::connection::on;
use crate::db::ledger::Limits;
use crate::db::schema::{listings, stores};
use crate::db::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::units::UnitsEach;
use crate::domain::{FieldError, ListingId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// The pass of a discovery that pairs it, by when that began; `None` if somebody does it by hand.
    pub pass: Option<Timestamp>,
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
    /// The row conflicts with others. Pointers are relative to the row.
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
    /// The SKUs that they had.
    released: HashSet<String>,
}

/// The store's existing listings with an external id or a SKU of the request.
#[derive(Default)]
struct Existing {
    by_external_id: HashMap<String, ListingRow>,
    /// SKU to external id.
    by_sku: HashMap<String, String>,
}

impl Tenant<'_> {
    /// Pairs many listings of one store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such store.
    pub fn save_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Vec<ListingChange>> {
        self.note(Changed::Work);
        let Plan { results, new_skus, write, repaired, resized, released } = self.plan_listings(store, rows, limits, now)?;
        self.insert_skus(new_skus.iter().map(String::as_str), now)?;
        self.cancel_pushes_of(&repaired, "The listing was paired with another SKU.", now)?;
        self.forget_expectations(&[repaired.as_slice(), &resized].concat())?;
        self.scatter_packs(&repaired.iter().map(|id| (store, *id)).collect::<Vec<_>>())?;
        if write.iter().any(|row| released.contains(&row.sku)) {
            self.set_aside(&repaired)?;
        }
        if write.iter().any(|row| row.units != UnitsEach::ONE.get()) {
            let scope = self.scope();
            on!(self.conn, c => diesel::update(scope.stores().filter(stores::id.eq(store.bytes())).filter(stores::has_multiples.eq(false)))
                .set(stores::has_multiples.eq(true)).execute(c))?;
        }
        for chunk in write.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::insert_into(listings::table).values(chunk)
                .on_conflict((listings::seller_id, listings::store_id, listings::external_id)).do_update()
                .set((listings::sku.eq(excluded(listings::sku)), listings::units.eq(excluded(listings::units)),
                    listings::extra.eq(excluded(listings::extra)), listings::paired_by_pass.eq(excluded(listings::paired_by_pass)))).execute(c))?;
        }
        Ok(results)
    }

    /// Which of the rows pass SKUs to each other, compete for one that is passed on, or have SKUs that differ only by zeros
    /// in front; they have to be saved together.
    pub fn passing_rows(&mut self, store: StoreId, rows: &[NewListing]) -> Result<Vec<bool>> {
        let existing = self.existing(store, rows)?;
        let wanted: Vec<_> = rows.iter().map(|row| (row.external_id.as_str(), row.sku.as_str())).collect();
        let passing = conflicts::passing(&wanted, |sku| existing.by_sku.get(sku).map(String::as_str));
        // Saved later, the one without zeros would be taken for the other, of which a spreadsheet has lost some.
        let alike = conflicts::alike_but_for_zeros(&wanted);
        Ok(passing.into_iter().zip(alike).map(|(passing, alike)| passing || alike).collect())
    }

    /// What [`Self::save_listings`] would do with each row, and what it would take the listing away from.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such store.
    pub fn preview_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Vec<ListingPreview>> {
        let before = self.existing(store, rows)?;
        let Plan { results, new_skus, .. } = self.plan_listings(store, rows, limits, now)?;
        let preview = |(row, change): (&NewListing, ListingChange)| {
            let old = before.by_external_id.get(&row.external_id);
            ListingPreview {
                moved_from: old.map(|old| old.sku.clone()).filter(|sku| sku != row.sku.as_str()),
                units_before: old
                    .filter(|old| row.units.is_some_and(|units| units.get() != old.units))
                    .and_then(|old| UnitsEach::new(old.units)),
                shown: old.and_then(|old| old.shown),
                is_new_sku: new_skus.contains(row.sku.as_str()),
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
        let wanted: Vec<_> = rows.iter().map(|row| (row.external_id.as_str(), row.sku.as_str())).collect();
        let holders = existing.by_sku.iter().map(|(sku, holder)| (sku.as_str(), holder.as_str()));
        let conflicts = conflicts::find(&wanted, holders, |listing| Some(existing.by_external_id.get(listing)?.sku.as_str()));
        let (mut room, most) = self.room_for_skus(limits)?;
        let mut plan = Plan::default();
        for (row, conflict) in rows.iter().zip(conflicts) {
            if let Some(error) = conflict {
                plan.results.push(ListingChange::Rejected(vec![error]));
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
            let change = self.apply(store, row, &mut existing, &mut plan, now)?;
            plan.results.push(change);
        }
        Ok(plan)
    }

    /// Gives listings SKUs that no SKU can be called, so that a SKU can pass from one listing to another in any order.
    fn set_aside(&mut self, moved: &[ListingId]) -> Result<()> {
        let scope = self.scope();
        for chunk in moved.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<Vec<u8>> = chunk.iter().map(ListingId::bytes).collect();
            let aside = diesel::dsl::sql::<diesel::sql_types::Text>("'\u{1}' || external_id");
            on!(self.conn, c => diesel::update(scope.listings().filter(listings::id.eq_any(&ids))).set(listings::sku.eq(aside.clone())).execute(c))?;
        }
        Ok(())
    }

    /// Plans one row that conflicts with no other.
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
                paired_by_pass: row.pass,
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
        old.paired_by_pass = row.pass;
        if other_sku {
            plan.repaired.push(id);
            plan.released.insert(std::mem::replace(&mut old.sku, row.sku.to_string()));
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
                existing.by_sku.insert(row.sku.clone(), row.external_id.clone());
                existing.by_external_id.insert(row.external_id.clone(), row);
            }
        }
        Ok(existing)
    }
}

fn rejected(pointer: &str, detail: &str) -> ListingChange {
    ListingChange::Rejected(vec![FieldError::new(pointer, detail)])
}
