//! Listings of a store: paired with SKUs in bulk, with a result for each row.
use super::context::{Caller, Error, Result, Service, audited};
use super::store_figures::{OverwriteOffer, after_pairing, offer_for};
use super::syncs;
use crate::db;
use crate::db::listings::{ListingChange, ListingPreview, NewListing, alike_but_for_zeros};
use crate::db::runs::RunFilter;
use crate::domain::limits::MAX_BULK;
use crate::domain::names::shortened;
use crate::domain::units::UnitsEach;
use crate::domain::{FieldError, ListingId, RunId, Sku, StoreId};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Rows saved in one transaction, except those whose SKUs differ only by zeros in front.
pub(super) const ROWS_PER_STEP: usize = 1000;
/// How often, and after which pause, a part of a request is tried while the database is busy.
const MAX_ATTEMPTS: usize = 50;
const PAUSE_WHILE_BUSY: Duration = Duration::from_millis(100);

/// The most errors of one row that an answer names.
pub const MAX_ERRORS: usize = 4;
/// The most characters of an invalid row's external id that an answer repeats.
const MAX_SHOWN_ID: usize = 256;

/// A valid row, or the external id of an invalid one, if it could be read, and what is wrong with it.
pub type Row = std::result::Result<NewListing, (Option<String>, Vec<FieldError>)>;

/// The result of a row.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RowResult {
    /// Its index in the request; in CSV the first row after the header is 0.
    pub row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The platform's id of the variant, where it could be read.
    pub external_id: Option<String>,
    /// `created`, `updated`, `unchanged` or `rejected`.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The listing.
    pub id: Option<ListingId>,
    /// An existing SKU that the row's new SKU may be mistaken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar_sku: Option<String>,
    /// In a dry run: the SKU that the listing would be taken away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// In a dry run: how many units of the SKU one of the listing is now, if that would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units_before: Option<i64>,
    /// In a dry run: the listing shows units, and would show none, because nothing of its new SKU is in stock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub set_to_0: bool,
    /// In a dry run: how many other listings of the store would show the same SKU, each of them the same units. Omitted if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_listings: Option<usize>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The invalid fields; pointers are relative to the request's body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl RowResult {
    fn rejected(row: usize, external_id: Option<String>, mut errors: Vec<FieldError>) -> Self {
        // A row may have more unknown fields than an answer should repeat, and an id of any length.
        errors.truncate(MAX_ERRORS);
        let external_id = external_id.map(|id| shortened(&id, MAX_SHOWN_ID));
        let reason = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let errors = errors.into_iter().map(|error| error.under(&format!("/{row}"))).collect();
        Self {
            row,
            external_id,
            status: "rejected",
            id: None,
            similar_sku: None,
            moved_from: None,
            units_before: None,
            set_to_0: false,
            other_listings: None,
            reason: Some(reason),
            errors,
        }
    }

    fn new(row: usize, external_id: String, preview: ListingPreview, similar_sku: Option<String>, in_stock: bool) -> Self {
        let ListingPreview { change, moved_from, units_before, shown, siblings, .. } = preview;
        let units_before = units_before.map(UnitsEach::get);
        let (status, id) = match change {
            ListingChange::Created(id) => ("created", Some(id)),
            ListingChange::Updated(id) | ListingChange::Resized(id) => ("updated", Some(id)),
            ListingChange::Unchanged(id) => ("unchanged", Some(id)),
            ListingChange::Rejected(errors) => return Self::rejected(row, Some(external_id), errors),
        };
        let set_to_0 = moved_from.is_some() && !in_stock && shown.is_some_and(|shown| shown > 0);
        let other_listings = Some(siblings).filter(|others| *others > 0);
        let (external_id, reason, errors) = (Some(external_id), None, Vec::new());
        Self { row, external_id, status, id, similar_sku, moved_from, units_before, set_to_0, other_listings, reason, errors }
    }
}

/// The results of all rows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ListingsAnswer)]
pub struct Paired {
    /// Rows that were paired for the first time.
    pub created: usize,
    /// Rows that were paired differently before.
    pub updated: usize,
    /// Rows that were already paired that way.
    pub unchanged: usize,
    /// Invalid rows.
    pub rejected: usize,
    /// The sync that overwrites the listings of this request whose units were changed; only while auto-sync is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<RunId>,
    /// An overwrite that is offered because listings of this request do not show their targets, as new ones rarely do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<OverwriteOffer>,
    /// One for each row, in order.
    pub results: Vec<RowResult>,
}

/// What is known about the SKUs of a request.
struct OfSkus {
    /// Existing SKUs that new ones may be mistaken for.
    similar: HashMap<String, String>,
    /// SKUs of which units are available.
    in_stock: HashSet<String>,
}

/// Pairs the listings of valid rows with SKUs; SKUs that do not exist yet are created.
///
/// # Errors
/// No such store, or too many rows.
pub async fn pair(service: &Service, caller: &Caller, id: StoreId, rows: Vec<Row>) -> Result<Paired> {
    check_count(&rows)?;
    let rows = without_repeats(rows);
    let good: Vec<NewListing> = rows.iter().filter_map(|row| row.as_ref().ok()).cloned().collect();
    let first = good.clone();
    let similar = caller
        .db
        .read(move |t| {
            t.store(id)?;
            let skus: Vec<&str> = first.iter().map(|row| row.sku.as_str()).collect();
            t.look_alikes(&skus)
        })
        .await?;
    let mut done: Vec<Option<ListingPreview>> = vec![None; good.len()];
    // Saved later, the one without zeros would be taken for the other, of which a spreadsheet has lost some.
    let alike = alike_but_for_zeros(&good.iter().map(|row| row.sku.as_str()).collect::<Vec<_>>());
    let (mut begun, mut resized) = (false, BTreeMap::new());
    for part in parts(&alike) {
        let rows: Vec<NewListing> = part.iter().filter_map(|index| good.get(*index)).cloned().collect();
        let changes = pair_part(service, caller, id, &rows, begun).await?;
        begun = true;
        for (index, change) in part.into_iter().zip(changes) {
            if let (ListingChange::Resized(listing), Some(row)) = (&change, good.get(index)) {
                resized.insert(*listing, row.sku.clone());
            }
            if let Some(slot) = done.get_mut(index) {
                *slot = Some(ListingPreview { change, moved_from: None, units_before: None, shown: None, is_new_sku: false, siblings: 0 });
            }
        }
    }
    let paired = answer(rows, done.into_iter().flatten(), &OfSkus { similar, in_stock: HashSet::new() });
    let mut listings: Vec<ListingId> = paired.results.iter().filter_map(|row| row.id).collect();
    let sync_id = overwrite_resized(service, caller, id, &resized).await;
    if sync_id.is_some() {
        listings.retain(|listing| !resized.contains_key(listing));
    }
    let overwrite = after_pairing(&caller.db, move |t| offer_for(t, id, &listings)).await;
    Ok(Paired { sync_id, overwrite, ..paired })
}

/// Starts to overwrite listings whose units were changed: what they show counts something else from now on. They are saved by
/// then, so a run that cannot be started is no failure of the request; the overwrite is offered instead.
async fn overwrite_resized(service: &Service, caller: &Caller, store: StoreId, resized: &BTreeMap<ListingId, Sku>) -> Option<RunId> {
    if resized.is_empty() {
        return None;
    }
    let filter = RunFilter { store_ids: Some(vec![store]), skus: Some(resized.values().cloned().collect()) };
    let started = async {
        let is_on = caller.db.read(|t| Ok(t.sync_settings()?.auto_sync)).await?;
        Ok(if is_on { Some(syncs::start_waiting(service, caller, filter).await?.id) } else { None })
    };
    started.await.unwrap_or_else(|error: Error| {
        tracing::warn!(?error, seller.id = %caller.db.id(), "could not start to overwrite listings whose units were changed");
        None
    })
}

/// The rows, by index, that are saved in one transaction each: first, and together, those whose SKUs are alike.
fn parts(alike: &[bool]) -> Vec<Vec<usize>> {
    let (first, rest): (Vec<usize>, Vec<usize>) = (0..alike.len()).partition(|index| alike.get(*index) == Some(&true));
    let first = Some(first).filter(|first| !first.is_empty());
    first.into_iter().chain(rest.chunks(ROWS_PER_STEP).map(<[usize]>::to_vec)).collect()
}

/// Says what [`pair`] would do, and changes nothing.
///
/// # Errors
/// No such store, or too many rows.
pub async fn preview(service: &Service, caller: &Caller, id: StoreId, rows: Vec<Row>) -> Result<Paired> {
    check_count(&rows)?;
    let good: Vec<NewListing> = rows.iter().filter_map(|row| row.as_ref().ok()).cloned().collect();
    let (now, limits) = (service.now(), service.limits);
    let read = caller.db.read(move |t| {
        let skus: Vec<&str> = good.iter().map(|row| row.sku.as_str()).collect();
        let of_skus = OfSkus { similar: t.look_alikes(&skus)?, in_stock: t.skus_in_stock(&skus)? };
        Ok((t.preview_listings(id, &good, limits, now)?, of_skus))
    });
    let (previews, of_skus) = read.await?;
    Ok(answer(rows, previews.into_iter(), &of_skus))
}

fn check_count(rows: &[Row]) -> Result<()> {
    if rows.len() > MAX_BULK {
        return Err(Error::field("", format!("may have at most {MAX_BULK} rows; send them in parts")));
    }
    Ok(())
}

/// The results of all rows, given those of the valid ones.
fn answer(rows: Vec<Row>, mut done: impl Iterator<Item = ListingPreview>, of_skus: &OfSkus) -> Paired {
    let mut answer = Paired {
        created: 0,
        updated: 0,
        unchanged: 0,
        rejected: 0,
        sync_id: None,
        overwrite: None,
        results: Vec::with_capacity(rows.len()),
    };
    for (row, read) in rows.into_iter().enumerate() {
        let result = match read {
            Err((external_id, errors)) => RowResult::rejected(row, external_id, errors),
            Ok(new) => match done.next() {
                None => RowResult::rejected(row, Some(new.external_id), Vec::new()),
                Some(preview) => {
                    let (similar, in_stock) = (of_skus.similar.get(new.sku.as_str()), of_skus.in_stock.contains(new.sku.as_str()));
                    RowResult::new(row, new.external_id, preview, similar.cloned(), in_stock)
                }
            },
        };
        match result.status {
            "created" => answer.created += 1,
            "updated" => answer.updated += 1,
            "unchanged" => answer.unchanged += 1,
            _ => answer.rejected += 1,
        }
        answer.results.push(result);
    }
    answer
}

/// Rejects rows whose external id an earlier row has.
fn without_repeats(rows: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    let check = |row: Row| match row {
        Ok(new) if !seen.insert(new.external_id.clone()) => {
            Err((Some(new.external_id), vec![FieldError::new("/external_id", "appears more than once in this request")]))
        }
        row => row,
    };
    rows.into_iter().map(check).collect()
}

/// Pairs a part of a request in a transaction of its own, so that no other write waits for all of them. Once a part was
/// `begun`, it waits for a busy database, because a client takes a 503 to mean that nothing was done.
async fn pair_part(service: &Service, caller: &Caller, id: StoreId, part: &[NewListing], begun: bool) -> Result<Vec<ListingChange>> {
    let mut attempts = 0;
    loop {
        let (now, actor, limits, rows) = (service.now(), caller.actor(), service.limits, part.to_vec());
        let saved = caller.db.write(move |t| {
            let store = t.store(id)?;
            let changes = t.save_listings(id, &rows, limits, now)?;
            let count = |f: fn(&ListingChange) -> bool| changes.iter().filter(|c| f(c)).count();
            let created = count(|c| matches!(c, ListingChange::Created(_)));
            let resized = count(|c| matches!(c, ListingChange::Resized(_)));
            let updated = resized + count(|c| matches!(c, ListingChange::Updated(_)));
            if created + updated > 0 {
                let mut entry = audited(&actor, "listings.changed", &store.name);
                entry.after = Some(json!({ "store_id": id, "created": created, "updated": updated, "other_units": resized }));
                t.append_audit(&entry, now)?;
            }
            Ok(changes)
        });
        match saved.await {
            Err(db::Error::Busy) if begun && attempts < MAX_ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(PAUSE_WHILE_BUSY).await;
            }
            Err(db::Error::Busy) if begun => return Err(db::Error::Unavailable("only a part of the rows was saved".to_owned()).into()),
            saved => return Ok(saved?),
        }
    }
}

/// Unpairs a listing and cancels its waiting pushes.
///
/// # Errors
/// No such listing.
pub async fn unpair(service: &Service, caller: &Caller, store: StoreId, listing: ListingId) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    caller
        .db
        .write(move |t| {
            let removed = t.delete_listing(store, listing, now)?;
            let mut entry = audited(&actor, "listing.unpaired", &removed.external_id);
            entry.before = Some(json!({ "store_id": store, "sku": removed.sku, "external_id": removed.external_id }));
            t.append_audit(&entry, now)
        })
        .await?;
    Ok(())
}
