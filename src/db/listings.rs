//! Listings of one seller: sellable variants in stores, each paired with one SKU.
//!
//! A bulk upsert is keyed by (store, external_id). Within a store a SKU has one listing, after all rows: two rows may swap
//! their SKUs. A row that conflicts is rejected without affecting the rest.
mod conflicts;

use super::connection::{containing, lower, on};
use super::ledger::Limits;
use super::schema::{listings, rules};
use super::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::{FieldError, ListingId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A sellable variant in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its id.
    pub id: ListingId,
    /// The store that sells it.
    pub store_id: StoreId,
    /// The SKU it is paired with.
    pub sku: String,
    /// The platform's id for it.
    pub external_id: String,
    /// What else the connector needs to address it.
    pub extra: BTreeMap<String, String>,
    /// The quantity that the store last showed, as far as known.
    pub shown: Option<i64>,
    /// When `shown` was learned.
    pub shown_at: Option<Timestamp>,
    /// It needs an overwrite once its store works again.
    pub marked: bool,
    /// When it was paired.
    pub created_at: Timestamp,
    /// The pass of a discovery that has paired it, by when that began; `None` if somebody has paired it by hand.
    pub paired_by_pass: Option<Timestamp>,
}

/// A row of a bulk upsert, already validated on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewListing {
    /// The SKU to pair it with.
    pub sku: Sku,
    /// The platform's id for it.
    pub external_id: String,
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
    /// The listing was already like this.
    Unchanged(ListingId),
    /// The row conflicts with others. Pointers are relative to the row.
    Rejected(Vec<FieldError>),
}

#[derive(Queryable, Insertable, Debug, Clone)]
#[diesel(table_name = listings, treat_none_as_default_value = false)]
pub(super) struct ListingRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    store_id: Vec<u8>,
    sku: String,
    external_id: String,
    extra: Option<String>,
    shown: Option<i64>,
    shown_at: Option<Timestamp>,
    doubt_until: Option<Timestamp>,
    marked: bool,
    created_at: Timestamp,
    settles_at: Option<Timestamp>,
    late_numbers: Option<String>,
    changed_at: Option<Timestamp>,
    owed_since: Option<Timestamp>,
    look_at: Option<Timestamp>,
    shown_earlier: Option<String>,
    paired_by_pass: Option<Timestamp>,
    expected: Option<i64>,
    expected_otherwise: Option<i64>,
    unseen: i64,
    unseen_since: Option<Timestamp>,
}

impl ListingRow {
    pub(super) fn listing(self) -> Result<Listing> {
        let extra = self.extra.as_deref().map(serde_json::from_str).transpose();
        Ok(Listing {
            id: id_of(&self.id, ListingId::from_bytes, "listings.id")?,
            store_id: id_of(&self.store_id, StoreId::from_bytes, "listings.store_id")?,
            sku: self.sku,
            external_id: self.external_id,
            extra: extra.map_err(|_| Error::Corrupt("listings.extra".to_owned()))?.unwrap_or_default(),
            shown: self.shown,
            shown_at: self.shown_at,
            marked: self.marked,
            created_at: self.created_at,
            paired_by_pass: self.paired_by_pass,
        })
    }
}

/// What a row of a bulk upsert would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingPreview {
    /// The result.
    pub change: ListingChange,
    /// The SKU that the listing is paired with now, if it would be another one.
    pub moved_from: Option<String>,
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
    /// A store's listings added after `after`, oldest first.
    pub fn listings(&mut self, store: StoreId, after: Option<ListingId>, limit: i64) -> Result<Vec<Listing>> {
        let scope = self.scope();
        let after = after.map(|id| id.bytes()).unwrap_or_default();
        let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
            .filter(listings::store_id.eq(store.bytes())).filter(listings::id.gt(&after)).order(listings::id).limit(limit).load(c))?;
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// A store's listings with a SKU after `after` whose SKU or external id contains `text`, in the order of their SKUs; with
    /// `own_rules` only those whose SKU has rules of its own.
    pub fn search_listings(
        &mut self,
        store: StoreId,
        text: &str,
        own_rules: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Listing>> {
        let (scope, pattern, after) = (self.scope(), containing(text), after.unwrap_or_default().to_owned());
        let found =
            lower(listings::sku).like(lower(&pattern)).escape('\\').or(lower(listings::external_id).like(lower(&pattern)).escape('\\'));
        // The unique index of seller, store and SKU has this order.
        let rows: Vec<ListingRow> = on!(self.conn, c => {
            let mut query = scope.listings().filter(listings::store_id.eq(store.bytes()))
                .filter(listings::sku.gt(&after)).order(listings::sku).limit(limit).into_boxed();
            if !text.is_empty() { query = query.filter(found.clone()); }
            if own_rules {
                let of_store = rules::store_id.is_null().or(rules::store_id.eq(store.bytes()));
                query = query.filter(listings::sku.nullable().eq_any(scope.rules().filter(of_store).select(rules::sku)));
            }
            query.load(c)?
        });
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// One listing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when that store has no such listing.
    pub fn listing(&mut self, store: StoreId, id: ListingId) -> Result<Listing> {
        let scope = self.scope();
        let row: ListingRow = on!(self.conn, c => scope.listings().filter(listings::id.eq(id.bytes()))
            .filter(listings::store_id.eq(store.bytes())).get_result(c))?;
        row.listing()
    }

    /// This store's listings of these SKUs, by SKU.
    pub fn paired(&mut self, store: StoreId, skus: &[&str]) -> Result<HashMap<String, Listing>> {
        let scope = self.scope();
        let mut found = HashMap::new();
        for chunk in skus.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
                .filter(listings::store_id.eq(store.bytes())).filter(listings::sku.eq_any(chunk)).load(c))?;
            for row in rows {
                found.insert(row.sku.clone(), row.listing()?);
            }
        }
        Ok(found)
    }

    /// Unpairs a listing and cancels its pushes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when that store has no such listing.
    pub fn delete_listing(&mut self, store: StoreId, id: ListingId, now: Timestamp) -> Result<Listing> {
        let scope = self.scope();
        let row: ListingRow = on!(self.conn, c => scope.listings().filter(listings::id.eq(id.bytes()))
            .filter(listings::store_id.eq(store.bytes())).get_result(c))?;
        self.note(Changed::Work);
        self.cancel_pushes_of(&[id], "The listing was unpaired.", now)?;
        self.scatter_packs(&[(store, id)])?;
        on!(self.conn, c => diesel::delete(scope.listings().filter(listings::id.eq(id.bytes()))).execute(c))?;
        row.listing()
    }

    /// Pairs many listings of one store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such store.
    pub fn save_listings(&mut self, store: StoreId, rows: &[NewListing], limits: Limits, now: Timestamp) -> Result<Vec<ListingChange>> {
        self.note(Changed::Work);
        let Plan { results, new_skus, write, repaired, released } = self.plan_listings(store, rows, limits, now)?;
        self.insert_skus(new_skus.iter().map(String::as_str), now)?;
        self.cancel_pushes_of(&repaired, "The listing was paired with another SKU.", now)?;
        self.forget_expectations(&repaired)?;
        self.scatter_packs(&repaired.iter().map(|id| (store, *id)).collect::<Vec<_>>())?;
        if write.iter().any(|row| released.contains(&row.sku)) {
            self.set_aside(&repaired)?;
        }
        for chunk in write.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::insert_into(listings::table).values(chunk)
                .on_conflict((listings::seller_id, listings::store_id, listings::external_id)).do_update()
                .set((listings::sku.eq(excluded(listings::sku)), listings::extra.eq(excluded(listings::extra)),
                    listings::paired_by_pass.eq(excluded(listings::paired_by_pass)))).execute(c))?;
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
            });
            return Ok(ListingChange::Created(id));
        };
        let id = id_of(&old.id, ListingId::from_bytes, "listings.id")?;
        let other_sku = old.sku != row.sku.as_str();
        let other_extra = row.extra.is_some() && old.extra != extra;
        if !other_sku && !other_extra {
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
        plan.write.push(old.clone());
        Ok(ListingChange::Updated(id))
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
