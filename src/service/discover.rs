//! Pairing by discovery: reads a store's variants and proposes listings where a SKU is equal on both sides.
use super::connection::{Stale, Unanswered, connection};
use super::context::{Caller, Error, Result, Service, audited};
use super::listings::ROWS_PER_STEP;
use super::stores::reason_of;
use crate::db::listings::{ListingChange, NewListing};
use crate::domain::delivery::Outcome;
use crate::domain::{Sku, StoreId};
use crate::platforms::Variant;
use crate::platforms::call::StoreConnection;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// The most pages read in one request; the answer says where to continue.
const MAX_PAGES: usize = 40;
/// The longest that one request keeps reading; the answer says where to continue.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// A variant of the store.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Found {
    /// Its SKU in the store.
    pub sku: Option<String>,
    /// The platform's id of the variant.
    pub external_id: String,
    /// A display name.
    pub title: String,
    /// The connector's own fields of its listing.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: BTreeMap<String, String>,
    /// Why it was not matched, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Found {
    fn new(variant: Variant, reason: Option<String>) -> Self {
        Self { sku: variant.sku, external_id: variant.external_id, title: variant.title, extra: variant.extra, reason }
    }
}

/// The variants found in the part of the store that was read.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Proposal {
    /// Exactly one variant has the SKU.
    pub matched: Vec<Found>,
    /// Several variants with the same SKU: the seller has to choose.
    pub ambiguous: Vec<Found>,
    /// Without a SKU, or with one that does not exist here.
    pub unmatched: Vec<Found>,
    /// How many of the unmatched could be paired if their SKUs were created.
    pub creatable: usize,
    /// Matched, and already paired that way.
    pub already_paired: usize,
    /// Pairs made by this request.
    pub paired: usize,
    /// Where to continue; null once the whole store has been read.
    pub next_cursor: Option<String>,
}

/// What to do with the matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Apply {
    /// Pair them.
    pub pair: bool,
    /// Create the SKUs of variants that nothing else speaks against, and pair those, too.
    pub create_skus: bool,
}

/// Reads the store's variants and proposes listings by equal SKU; pairs them as `apply` says.
///
/// # Errors
/// No such store, a conflict if the store does not answer, an invalid cursor, or too many discoveries at once.
pub async fn discover(service: &Service, caller: &Caller, id: StoreId, cursor: Option<String>, apply: Apply) -> Result<Proposal> {
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > 1000 || cursor.chars().any(char::is_control)) {
        return Err(Error::field("/cursor", "is not a cursor of this store"));
    }
    let _place = service.outbound_place(caller)?;
    let store = caller.db.read(move |t| t.store(id)).await?;
    let connection = connection(caller.db.id(), &store, &service.sealer)
        .map_err(|error| Error::conflict(format!("The store's credentials cannot be used: {error}.")))?;
    let (variants, next_cursor) = read_variants(service, caller, connection, cursor).await?;
    let mut proposal = propose(caller, id, variants, apply.create_skus).await?;
    proposal.next_cursor = next_cursor;
    if apply.pair && !proposal.matched.is_empty() {
        proposal.paired = pair(service, caller, id, store.name, &proposal.matched).await?;
    }
    Ok(proposal)
}

async fn read_variants(
    service: &Service,
    caller: &Caller,
    mut connection: StoreConnection,
    mut cursor: Option<String>,
) -> Result<(Vec<Variant>, Option<String>)> {
    let deadline = Instant::now() + READ_WITHIN;
    let (mut found, mut pages) = (Vec::new(), 0);
    // By id and fields: while products are added or sorted anew, one variant may appear on two pages.
    let mut seen: HashSet<(String, BTreeMap<String, String>)> = HashSet::new();
    let mut cursors: HashSet<Option<String>> = HashSet::from([cursor.clone()]);
    loop {
        let read = async |connection: &StoreConnection| service.client.variants(connection, cursor.as_deref()).await;
        match service.renewals.exchange(&caller.db, &mut connection, read).await {
            Ok(page) => {
                pages += 1;
                let on_page = page.variants.len();
                let new: Vec<Variant> =
                    page.variants.into_iter().filter(|v| seen.insert((v.external_id.clone(), v.extra.clone()))).collect();
                // A list that ignores the page it is asked for, or leads back to an earlier one, would go on for ever.
                let repeats = on_page > 0 && new.is_empty();
                found.extend(new);
                cursor = page.next.filter(|_| !repeats);
                if cursor.is_some() && !cursors.insert(cursor.clone()) {
                    cursor = None;
                }
            }
            // Throttled: the limiter waits as long as the store demands before the next call.
            Err(Unanswered::Outcome(Outcome::TryAgain { throttled: true, .. })) if Instant::now() < deadline => {}
            Err(Unanswered::Outcome(outcome)) => return Err(Error::conflict(reason_of(outcome))),
            Err(Unanswered::NotRenewable { reason } | Unanswered::Stale(Stale::Refused(reason) | Stale::TryAgain(reason))) => {
                return Err(Error::conflict(reason));
            }
            Err(Unanswered::Stale(Stale::Database(error))) => return Err(error.into()),
        }
        if pages > 0 && (cursor.is_none() || pages >= MAX_PAGES || Instant::now() >= deadline) {
            return Ok((found, cursor));
        }
    }
}

/// Sorts the variants into the groups of a proposal.
async fn propose(caller: &Caller, id: StoreId, variants: Vec<Variant>, create_skus: bool) -> Result<Proposal> {
    let mut count: HashMap<String, usize> = HashMap::new();
    for sku in variants.iter().filter_map(|variant| variant.sku.clone()) {
        *count.entry(sku).or_default() += 1;
    }
    let wanted: Vec<String> = count.keys().filter(|sku| Sku::parse(sku).is_ok()).cloned().collect();
    let (known, paired) = caller
        .db
        .read(move |t| {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            Ok((t.sku_names(&wanted)?, t.paired(id, &wanted)?))
        })
        .await?;
    let mut proposal = Proposal::default();
    for variant in variants {
        let Some(sku) = variant.sku.clone().filter(|sku| !sku.is_empty()) else {
            proposal.unmatched.push(Found::new(variant, Some("It has no SKU in the store.".to_owned())));
            continue;
        };
        let is_one = count.get(&sku).copied().unwrap_or(0) == 1;
        if !known.contains_key(&sku) && is_one && Sku::parse(&sku).is_ok() {
            if create_skus {
                proposal.matched.push(Found::new(variant, None));
            } else {
                proposal.creatable += 1;
                proposal.unmatched.push(Found::new(variant, Some("This SKU doesn't exist here.".to_owned())));
            }
        } else if !known.contains_key(&sku) {
            let reason =
                if is_one { "This SKU cannot be used here." } else { "This SKU doesn't exist here, and several variants have it." };
            proposal.unmatched.push(Found::new(variant, Some(reason.to_owned())));
        } else if count.get(&sku).copied().unwrap_or(0) > 1 {
            let reason = "Several variants of the store have this SKU; pair the right one by hand.".to_owned();
            proposal.ambiguous.push(Found::new(variant, Some(reason)));
        } else {
            match paired.get(&sku) {
                Some(external_id) if *external_id == variant.external_id => proposal.already_paired += 1,
                Some(other) => {
                    let reason = format!(
                        "This SKU is already paired with the listing {other} of the store. Check which of the two is the right one."
                    );
                    proposal.ambiguous.push(Found::new(variant, Some(reason)));
                }
                None => proposal.matched.push(Found::new(variant, None)),
            }
        }
    }
    Ok(proposal)
}

async fn pair(service: &Service, caller: &Caller, id: StoreId, name: String, matched: &[Found]) -> Result<usize> {
    let new = |found: &Found| {
        let sku = Sku::parse(found.sku.as_deref()?).ok()?;
        let extra = (!found.extra.is_empty()).then(|| found.extra.clone());
        Some(NewListing { sku, external_id: found.external_id.clone(), extra })
    };
    let rows: Vec<NewListing> = matched.iter().filter_map(new).collect();
    let mut paired = 0;
    // Each part has a transaction of its own, so that no other write waits for all of them.
    for part in rows.chunks(ROWS_PER_STEP) {
        let (rows, name) = (part.to_vec(), name.clone());
        let (limits, now, actor) = (service.limits, service.now(), caller.actor());
        let saved = caller.db.write(move |t| {
            let changes = t.save_listings(id, &rows, limits, now)?;
            let mut entry = audited(&actor, "listings.discovered", &name);
            entry.after = Some(json!({ "store_id": id, "paired": changes.len() }));
            t.append_audit(&entry, now)?;
            Ok(changes)
        });
        paired += saved.await?.iter().filter(|change| matches!(change, ListingChange::Created(_) | ListingChange::Updated(_))).count();
    }
    Ok(paired)
}
