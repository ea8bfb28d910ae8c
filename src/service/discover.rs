//! Pairing by discovery: reads a store's variants and proposes listings where a SKU is equal on both sides.
//!
//! A large catalog is read in several requests, which make one pass: the cursor says when it began. A SKU that an earlier
//! request of the same pass has paired, and that another variant has as well, is a duplicate as if both stood on one page.
use super::connection::{Stale, Unanswered, connection};
use super::context::{Caller, Error, Result, Service, audited};
use super::listings::ROWS_PER_STEP;
use super::preview::calls;
use super::store_figures::{OverwriteOffer, after_pairing, overwrite_offer};
use super::stores::{ask, reason_of};
use crate::db::listings::{Listing, ListingChange, NewListing, Pass};
use crate::db::stores::Store;
use crate::db::{self, Tenant};
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::{Sku, StoreId, Timestamp};
use crate::platforms::call::{Action, Call, CallItem, StoreConnection};
use crate::platforms::location::elsewhere;
use crate::platforms::{Variant, by_name};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// The most pages read in one request; the answer says where to continue.
const MAX_PAGES: usize = 40;
/// The most former listings that one request reads, to find out whether the store still has them.
const MAX_READ: usize = 200;
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
    /// Exactly one variant has the SKU; on demand, also those of which several have it.
    pub matched: Vec<Found>,
    /// Several variants with the same SKU: the seller has to choose, or pairs all of them on demand.
    pub ambiguous: Vec<Found>,
    /// Their SKUs are paired with listings that the store does not have any more: products that were created anew. Paired
    /// only on demand.
    pub replacing: Vec<Found>,
    /// Without a SKU, or with one that does not exist here.
    pub unmatched: Vec<Found>,
    /// How many of the unmatched could be paired if their SKUs were created.
    pub creatable: usize,
    /// Matched, and already paired that way.
    pub already_paired: usize,
    /// Pairs made by this request.
    pub paired: usize,
    /// An overwrite that is offered because listings of the store do not show their targets; only after pairing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<OverwriteOffer>,
    /// Where to continue; null once the whole store has been read.
    pub next_cursor: Option<String>,
    /// Paired by an earlier request of the same pass, before another variant with the same SKU was found.
    #[serde(skip)]
    #[schema(ignore)]
    undone: Vec<Listing>,
    /// The listings that the store does not have any more, whose SKUs are those of [`Self::replacing`].
    #[serde(skip)]
    #[schema(ignore)]
    gone: Vec<Listing>,
}

/// What to do with the matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Apply {
    /// Pair them.
    pub pair: bool,
    /// Create the SKUs of variants that nothing else speaks against, and pair those, too.
    pub create_skus: bool,
    /// Pair variants in place of listings that the store does not have any more.
    pub replace: bool,
    /// Match all variants that have the same SKU, instead of none of them.
    pub all_with_same_sku: bool,
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
    let (began_at, cursor) = pass(cursor).map_or_else(|own| (None, own), |(at, own)| (Some(at), Some(own)));
    let (variants, next) = read_variants(service, caller, connection.clone(), cursor).await?;
    let whole = began_at.is_none() && next.is_none();
    let this_pass = began_at.unwrap_or(service.now());
    let (mut proposal, former) = propose(caller, &connection, variants, began_at, apply).await?;
    sort_out(service, caller, connection, &mut proposal, former, whole).await;
    proposal.next_cursor = next.map(|next| format!("{}{PASS}{next}", this_pass.as_millis()));
    if apply.pair {
        let pass = Pass { began_at: this_pass, beside_others: apply.all_with_same_sku };
        proposal.paired = pair(service, caller, &store, &proposal, apply.replace, pass).await?;
        proposal.overwrite = after_pairing(&caller.db, move |t| overwrite_offer(t, id)).await;
    }
    Ok(proposal)
}

/// Separates the beginning of a pass from the platform's own cursor.
const PASS: char = '!';

/// When the pass of this cursor began, and the platform's own cursor; or only the latter.
fn pass(cursor: Option<String>) -> std::result::Result<(Timestamp, String), Option<String>> {
    let parsed = cursor.as_deref().and_then(|text| text.split_once(PASS));
    let read = parsed.and_then(|(at, own)| Some((Timestamp::from_millis(at.parse().ok()?), own.to_owned())));
    read.ok_or(cursor)
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

/// A variant whose SKU is paired with another listing, and that listing.
type Former = (Variant, Listing);

/// Sorts the variants into the groups of a proposal. What is paired with another listing is left to [`sort_out`].
async fn propose(
    caller: &Caller,
    store: &StoreConnection,
    variants: Vec<Variant>,
    began_at: Option<Timestamp>,
    apply: Apply,
) -> Result<(Proposal, Vec<Former>)> {
    let mut count: HashMap<String, usize> = HashMap::new();
    for sku in variants.iter().filter_map(|variant| variant.sku.clone()) {
        *count.entry(sku).or_default() += 1;
    }
    let wanted: Vec<String> = count.keys().filter(|sku| Sku::parse(sku).is_ok()).cloned().collect();
    let id = store.store_id;
    let (known, paired) = caller
        .db
        .read(move |t| {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            Ok((t.sku_names(&wanted)?, t.paired(id, &wanted)?))
        })
        .await?;
    let field = by_name(&store.platform).and_then(|platform| platform.facts(store).location);
    // What somebody has paired by hand meanwhile stays as it is.
    let of_this_pass = |listing: &Listing| began_at.is_some() && listing.paired_by_pass == began_at;
    let (mut proposal, mut former) = (Proposal::default(), Vec::new());
    let mut matched: HashSet<String> = HashSet::new();
    for mut variant in variants {
        let Some(sku) = variant.sku.clone().filter(|sku| !sku.is_empty()) else {
            proposal.unmatched.push(Found::new(variant, Some("It has no SKU in the store.".to_owned())));
            continue;
        };
        let is_one = count.get(&sku).copied().unwrap_or(0) == 1;
        // A variant that is found in several places has one listing.
        let is_taken = is_one || (apply.all_with_same_sku && !matched.contains(bare(&variant.external_id)));
        let listings = paired.get(&sku).map(Vec::as_slice).unwrap_or_default();
        let own = listings.iter().find(|listing| bare(&listing.external_id) == bare(&variant.external_id));
        if !known.contains_key(&sku) && is_taken && Sku::parse(&sku).is_ok() {
            if apply.create_skus {
                matched.insert(bare(&variant.external_id).to_owned());
                proposal.matched.push(Found::new(variant, None));
            } else {
                proposal.creatable += 1;
                proposal.unmatched.push(Found::new(variant, Some("This SKU doesn't exist here.".to_owned())));
            }
        } else if !known.contains_key(&sku) {
            let reason =
                if is_one { "This SKU cannot be used here." } else { "This SKU doesn't exist here, and several variants have it." };
            proposal.unmatched.push(Found::new(variant, Some(reason.to_owned())));
        } else if let Some(listing) = own.filter(|_| is_taken || listings.len() > 1) {
            if elsewhere(field, store, &listing.extra).is_some() {
                // The store has moved: the listing goes on without a location of its own.
                let own = listing.extra.iter().filter(|(name, _)| Some(name.as_str()) != field);
                variant.extra = own.map(|(name, value)| (name.clone(), value.clone())).chain(variant.extra).collect();
                proposal.matched.push(Found::new(variant, None));
            } else {
                proposal.already_paired += 1;
            }
        } else if !is_taken {
            undo(&mut proposal, listings, of_this_pass);
            proposal.ambiguous.push(Found::new(variant, Some(SEVERAL.to_owned())));
        } else if listings.is_empty() || apply.all_with_same_sku {
            matched.insert(bare(&variant.external_id).to_owned());
            proposal.matched.push(Found::new(variant, None));
        } else if undo(&mut proposal, listings, of_this_pass) {
            proposal.ambiguous.push(Found::new(variant, Some(SEVERAL.to_owned())));
        } else if let Some(listing) = listings.first() {
            former.push((variant, listing.clone()));
        }
    }
    Ok((proposal, former))
}

/// Unpairs the only listing of a SKU, if an earlier request of the same pass has paired it: it is not the only variant with the SKU.
fn undo(proposal: &mut Proposal, listings: &[Listing], of_this_pass: impl Fn(&Listing) -> bool) -> bool {
    let [listing] = listings else { return false };
    let is_undone = of_this_pass(listing);
    if is_undone && !proposal.undone.contains(listing) {
        proposal.undone.push(listing.clone());
    }
    is_undone
}

/// An id without what Shopify puts in front of it: `gid://shopify/ProductVariant/7` and `7` are the same variant.
fn bare(id: &str) -> &str {
    id.strip_prefix("gid://").map_or(id, |rest| rest.rsplit('/').next().unwrap_or(rest))
}

/// The reason why nothing is paired with a SKU that several variants have.
const SEVERAL: &str = "Several variants of the store have this SKU; pair the right one by hand.";

/// Finds out which former listings are not in the store any more: those that were not found although the whole catalog was
/// read, and otherwise those that cannot be read.
async fn sort_out(
    service: &Service,
    caller: &Caller,
    mut connection: StoreConnection,
    proposal: &mut Proposal,
    former: Vec<Former>,
    whole: bool,
) {
    let Some(facts) = by_name(&connection.platform).map(|platform| platform.facts(&connection)) else { return };
    let seen: HashSet<&str> = former.iter().map(|(variant, _)| bare(&variant.external_id)).collect();
    let mut gone: HashSet<String> = HashSet::new();
    if whole {
        let found = [&proposal.matched, &proposal.ambiguous, &proposal.unmatched].into_iter().flatten();
        let found: HashSet<&str> = found.map(|found| bare(&found.external_id)).chain(seen).collect();
        gone = former.iter().map(|(_, listing)| &listing.external_id).filter(|id| !found.contains(bare(id))).cloned().collect();
    } else if facts.abilities.read {
        let read = |(_, listing): &Former| CallItem {
            external_id: listing.external_id.clone(),
            extra: listing.extra.clone(),
            quantity: 0,
            expected: None,
        };
        let items: Vec<CallItem> = former.iter().take(MAX_READ).map(read).collect();
        for items in calls(items, facts.group_by, facts.abilities.max_items) {
            let call = Call { action: Action::Read, items, idempotency_key: None };
            let Ok(results) = ask(service, caller, &mut connection, &call).await else { break };
            let rejected = call.items.into_iter().zip(results).filter(|(_, result)| matches!(result, ItemResult::Rejected { .. }));
            gone.extend(rejected.map(|(item, _)| item.external_id));
        }
    }
    for (variant, listing) in former {
        let other = listing.external_id.clone();
        let (group, reason) = match gone.contains(&other) {
            true => {
                proposal.gone.push(listing);
                (&mut proposal.replacing, format!("This SKU is paired with the listing {other}, which the store does not have any more."))
            }
            false => {
                let reason = "Check which of the two is the right one.";
                (&mut proposal.ambiguous, format!("This SKU is already paired with the listing {other} of the store. {reason}"))
            }
        };
        group.push(Found::new(variant, Some(reason)));
    }
}

/// Pairs the matches, and unpairs what the same pass has paired before it found a second variant with the SKU.
async fn pair(service: &Service, caller: &Caller, store: &Store, proposal: &Proposal, replace: bool, pass: Pass) -> Result<usize> {
    let new = |found: &Found| {
        let sku = Sku::parse(found.sku.as_deref()?).ok()?;
        Some(NewListing { sku, external_id: found.external_id.clone(), units: None, extra: Some(found.extra.clone()), pass: Some(pass) })
    };
    let replacing = if replace { proposal.replacing.as_slice() } else { &[] };
    let rows: Vec<NewListing> = proposal.matched.iter().chain(replacing).filter_map(new).collect();
    let gone: HashMap<String, Listing> =
        if replace { proposal.gone.iter().map(|listing| (listing.sku.clone(), listing.clone())).collect() } else { HashMap::new() };
    let (id, mut paired) = (store.id, 0);
    let undone: Vec<Listing> = proposal.undone.clone();
    if !undone.is_empty() {
        let (name, now, actor) = (store.name.clone(), service.now(), caller.actor());
        let unpair = move |t: &mut Tenant<'_>| {
            for listing in &undone {
                match t.delete_listing(id, listing.id, now) {
                    Ok(_) | Err(db::Error::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            let mut entry = audited(&actor, "listings.discovered", &name);
            entry.after = Some(json!({ "store_id": id, "unpaired": undone.len() }));
            t.append_audit(&entry, now)
        };
        caller.db.write(unpair).await?;
    }
    // Each part has a transaction of its own, so that no other write waits for all of them.
    for part in rows.chunks(ROWS_PER_STEP) {
        let (rows, name, gone) = (part.to_vec(), store.name.clone(), gone.clone());
        let (limits, now, actor) = (service.limits, service.now(), caller.actor());
        let saved = caller.db.write(move |t| {
            let mut replaced = 0;
            for former in rows.iter().filter_map(|row| gone.get(row.sku.as_str())) {
                match t.delete_listing(id, former.id, now) {
                    Ok(_) => replaced += 1,
                    // Somebody has unpaired it meanwhile.
                    Err(db::Error::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            let changes = t.save_listings(id, &rows, limits, now)?;
            let is_lost = |(row, change): (&NewListing, &ListingChange)| {
                matches!(change, ListingChange::Rejected(_)) && gone.contains_key(row.sku.as_str())
            };
            if rows.iter().zip(&changes).any(is_lost) {
                return Err(db::Error::Conflict("Listings were changed meanwhile; nothing was replaced. Search again.".to_owned()));
            }
            let mut entry = audited(&actor, "listings.discovered", &name);
            entry.after = Some(json!({ "store_id": id, "paired": changes.len(), "replaced": replaced }));
            t.append_audit(&entry, now)?;
            Ok(changes)
        });
        paired += saved.await?.iter().filter(|change| matches!(change, ListingChange::Created(_) | ListingChange::Updated(_))).count();
    }
    Ok(paired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_of_shopify_is_the_same_with_and_without_what_stands_before_its_number() {
        assert_eq!(bare("gid://shopify/ProductVariant/7"), bare("7"));
        assert_ne!(bare("parent/7"), bare("7"));
    }

    #[test]
    fn a_cursor_of_a_pass_is_taken_apart_and_one_without_stays_as_it_is() {
        let taken = |text: &str| pass(Some(text.to_owned()));
        assert_eq!(taken("17!2~abc!d"), Ok((Timestamp::from_millis(17), "2~abc!d".to_owned())));
        for whole in ["abc", "x!abc", "!abc"] {
            assert_eq!(taken(whole), Err(Some(whole.to_owned())));
        }
        assert_eq!(pass(None), Err(None));
    }
}
