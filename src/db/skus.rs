//! SKUs of one seller: created when a listing, a stock event or a request first names them.
use super::connection::{containing, lower, on};
use super::ledger::Limits;
use super::schema::{listings, sellers, skus};
use super::{Error, ROWS_PER_STATEMENT, Result, Tenant};
use crate::domain::look_alikes::fold;
use crate::domain::{Sku, Timestamp};
use diesel::dsl::{count_star, exists, not};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::{HashMap, HashSet};

/// Zeros that a spreadsheet may have removed in front of a SKU.
const MAX_LOST_ZEROS: usize = 12;

/// A SKU in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuItem {
    /// The code.
    pub sku: Sku,
    /// The seller's name for it.
    pub name: Option<String>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// Whether any listing is paired with it.
    pub paired: bool,
}

/// A SKU as a search shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuSummary {
    /// The code.
    pub sku: String,
    /// The seller's name for it.
    pub name: Option<String>,
    /// Units available in all warehouses together.
    pub available: i64,
    /// Whether it is a bundle.
    pub is_bundle: bool,
    /// The number of its listings.
    pub listings: i64,
}

/// The result for one row of a bulk upsert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkuChange {
    /// The SKU is new.
    Created,
    /// Its name changed.
    Updated,
    /// Nothing changed.
    Unchanged,
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = skus, treat_none_as_default_value = false)]
struct SkuRow {
    seller_id: Vec<u8>,
    sku: String,
    name: Option<String>,
    created_at: Timestamp,
    folded: Option<String>,
}

impl SkuRow {
    fn new(seller_id: Vec<u8>, sku: &str, name: Option<String>, created_at: Timestamp) -> Self {
        Self { seller_id, sku: sku.to_owned(), name, created_at, folded: Some(fold(sku)) }
    }
}

impl Tenant<'_> {
    /// The SKUs after `after`, in order; with `unpaired_only`, only those without a listing.
    pub fn skus(&mut self, after: Option<&str>, unpaired_only: bool, limit: i64) -> Result<Vec<SkuItem>> {
        let scope = self.scope();
        let after = after.unwrap_or_default().to_owned();
        let rows: Vec<SkuRow> = if unpaired_only {
            let paired = scope.listings().filter(listings::sku.eq(skus::sku));
            on!(self.conn, c => scope.skus().filter(skus::sku.gt(&after))
                .filter(not(exists(paired))).order(skus::sku).limit(limit).load(c))?
        } else {
            on!(self.conn, c => scope.skus().filter(skus::sku.gt(&after))
                .order(skus::sku).limit(limit).load(c))?
        };
        let names: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
        let paired: Vec<String> = on!(self.conn, c => scope.listings()
            .filter(listings::sku.eq_any(&names)).select(listings::sku).distinct().load(c))?;
        let paired: HashSet<String> = paired.into_iter().collect();
        rows.into_iter()
            .map(|row| {
                let sku = Sku::parse(&row.sku).map_err(|_| Error::Corrupt("skus.sku".to_owned()))?;
                Ok(SkuItem { paired: paired.contains(&row.sku), sku, name: row.name, created_at: row.created_at })
            })
            .collect()
    }

    /// The SKUs after `after` whose code or name contains `text`, in order.
    pub fn search_skus(&mut self, text: &str, after: Option<&str>, limit: i64) -> Result<Vec<SkuSummary>> {
        let (scope, pattern, after) = (self.scope(), containing(text), after.unwrap_or_default().to_owned());
        let found = lower(skus::sku)
            .like(lower(&pattern))
            .escape('\\')
            .or(skus::name.is_not_null().and(lower(skus::name.assume_not_null()).like(lower(&pattern)).escape('\\')));
        let rows: Vec<SkuRow> = on!(self.conn, c => {
            let mut query = scope.skus().filter(skus::sku.gt(&after))
                .order(skus::sku).limit(limit).into_boxed();
            if !text.is_empty() { query = query.filter(found.clone()); }
            query.load(c)?
        });
        let names: Vec<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
        let listed: Vec<(String, i64)> = on!(self.conn, c => scope.listings()
            .filter(listings::sku.eq_any(&names)).group_by(listings::sku).select((listings::sku, count_star())).load(c))?;
        let listed: HashMap<String, i64> = listed.into_iter().collect();
        let has_bundles = self.sync_settings()?.has_bundles;
        let stocks = self.stocks(&rows.iter().map(|row| row.sku.clone()).collect::<Vec<_>>(), has_bundles)?;
        let summary = |row: SkuRow| SkuSummary {
            available: stocks.of(&row.sku).within(None),
            is_bundle: stocks.bundles.contains_key(&row.sku),
            listings: listed.get(&row.sku).copied().unwrap_or(0),
            sku: row.sku,
            name: row.name,
        };
        Ok(rows.into_iter().map(summary).collect())
    }

    /// The names of those of the wanted SKUs that exist.
    pub fn sku_names(&mut self, wanted: &[&str]) -> Result<HashMap<String, Option<String>>> {
        let scope = self.scope();
        let mut found = HashMap::with_capacity(wanted.len());
        for chunk in wanted.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<(String, Option<String>)> = on!(self.conn, c => scope.skus()
                .filter(skus::sku.eq_any(chunk)).select((skus::sku, skus::name)).load(c))?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Those of the wanted SKUs of which units are available, over all warehouses.
    pub fn skus_in_stock(&mut self, wanted: &[&str]) -> Result<HashSet<String>> {
        let wanted: Vec<String> = wanted.iter().map(|sku| (*sku).to_owned()).collect();
        let has_bundles = self.sync_settings()?.has_bundles;
        let stocks = self.stocks(&wanted, has_bundles)?;
        Ok(wanted.into_iter().filter(|sku| stocks.of(sku).within(None) > 0).collect())
    }

    /// For SKUs of digits that do not exist: those that do and differ only by zeros in front.
    pub(super) fn with_leading_zeros<'s>(&mut self, new: impl Iterator<Item = &'s str>) -> Result<HashMap<String, String>> {
        let digits: HashSet<&str> = new.filter(|sku| !sku.is_empty() && sku.bytes().all(|byte| byte.is_ascii_digit())).collect();
        let padded = |sku: &&str| (1..=MAX_LOST_ZEROS).map(|zeros| ("0".repeat(zeros) + sku, (*sku).to_owned())).collect::<Vec<_>>();
        let padded: HashMap<String, String> = digits.iter().flat_map(padded).collect();
        let wanted: Vec<&str> = padded.keys().map(String::as_str).collect();
        let known = self.sku_names(&wanted)?;
        Ok(padded.into_iter().filter(|(with_zeros, _)| known.contains_key(with_zeros)).map(|(with_zeros, sku)| (sku, with_zeros)).collect())
    }

    /// For SKUs that do not exist: the oldest that people may take for it, or one before it in the list.
    pub fn look_alikes(&mut self, skus: &[&str]) -> Result<HashMap<String, String>> {
        let scope = self.scope();
        let known = self.sku_names(skus)?;
        let new: Vec<(&str, String)> = skus.iter().filter(|sku| !known.contains_key(**sku)).map(|sku| (*sku, fold(sku))).collect();
        let mut by_form: HashMap<String, String> = HashMap::new();
        for chunk in new.chunks(ROWS_PER_STATEMENT) {
            let forms: Vec<&str> = chunk.iter().map(|(_, form)| form.as_str()).collect();
            let rows: Vec<(String, Option<String>)> = on!(self.conn, c => scope.skus().filter(skus::folded.eq_any(&forms))
                .order((skus::created_at.desc(), skus::sku.desc())).select((skus::sku, skus::folded)).load(c))?;
            by_form.extend(rows.into_iter().filter_map(|(sku, form)| Some((form?, sku))));
        }
        let mut found = HashMap::new();
        for (sku, form) in new {
            let first = by_form.entry(form).or_insert_with(|| sku.to_owned());
            if first != sku {
                found.insert(sku.to_owned(), first.clone());
            }
        }
        Ok(found)
    }

    /// Creates and names SKUs: `None` keeps a name, `Some(None)` removes it. No SKU may occur twice.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the seller would have too many SKUs.
    pub fn save_skus(&mut self, changes: &[(Sku, Option<Option<String>>)], limits: Limits, now: Timestamp) -> Result<Vec<SkuChange>> {
        let wanted: Vec<&str> = changes.iter().map(|(sku, _)| sku.as_str()).collect();
        let known = self.sku_names(&wanted)?;
        let mut rows = Vec::new();
        let mut results = Vec::with_capacity(changes.len());
        for (sku, name) in changes {
            let before = known.get(sku.as_str());
            let after = name.clone().unwrap_or_else(|| before.cloned().flatten());
            let change = match before {
                None => SkuChange::Created,
                Some(before) if *before == after => SkuChange::Unchanged,
                Some(_) => SkuChange::Updated,
            };
            if change != SkuChange::Unchanged {
                rows.push(SkuRow::new(self.key(), sku.as_str(), after, now));
            }
            results.push(change);
        }
        let new = results.iter().filter(|change| **change == SkuChange::Created).count();
        let (room, most) = self.room_for_skus(limits)?;
        if room < new {
            return Err(Error::Conflict(format!("a seller may have at most {most} SKUs")));
        }
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::insert_into(skus::table).values(chunk)
                .on_conflict((skus::seller_id, skus::sku)).do_update().set(skus::name.eq(excluded(skus::name))).execute(c))?;
        }
        self.count_new_skus(new)?;
        Ok(results)
    }

    /// How many more SKUs this seller may have, and how many in all.
    pub(super) fn room_for_skus(&mut self, limits: Limits) -> Result<(usize, i64)> {
        let key = self.key();
        let (count, own): (i64, Option<i64>) =
            on!(self.conn, c => sellers::table.find(&key).select((sellers::sku_count, sellers::max_skus)).get_result(c))?;
        let most = own.unwrap_or(limits.skus_per_seller);
        Ok((usize::try_from(most.saturating_sub(count)).unwrap_or(0), most))
    }

    /// Inserts SKUs that are known to be new, each once.
    pub(super) fn insert_skus<'s>(&mut self, new: impl Iterator<Item = &'s str>, now: Timestamp) -> Result<()> {
        let rows: Vec<SkuRow> = new.map(|sku| SkuRow::new(self.key(), sku, None, now)).collect();
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::insert_into(skus::table).values(chunk).execute(c))?;
        }
        self.count_new_skus(rows.len())
    }

    fn count_new_skus(&mut self, new: usize) -> Result<()> {
        let (key, new) = (self.key(), i64::try_from(new).unwrap_or(i64::MAX));
        if new > 0 {
            on!(self.conn, c => diesel::update(sellers::table.find(&key))
                .set(sellers::sku_count.eq(sellers::sku_count + new)).execute(c))?;
        }
        Ok(())
    }
}
