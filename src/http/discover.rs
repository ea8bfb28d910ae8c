//! Pairing by discovery: reads a store's variants and proposes listings where a SKU is equal on both sides.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::request::Body;
use super::state::{Answer, AppState, State, audited};
use crate::db::listings::{ListingChange, NewListing};
use crate::domain::delivery::Outcome;
use crate::domain::{Sku, StoreId};
use crate::platforms::Variant;
use crate::platforms::call::StoreConnection;
use crate::service::connection::{Stale, connection};
use actix_web::web::Path;
use actix_web::{HttpResponse, post};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Pages read in one request at most; the answer says where to go on.
const MAX_PAGES: usize = 40;
/// How long one request reads at most; the answer says where to go on.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// What to do with what was found.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Discover {
    /// Pairs what matched; without it nothing is changed.
    apply: Option<bool>,
    /// Goes on where an earlier answer's `next_cursor` says.
    cursor: Option<String>,
}

/// A variant of the store.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub(super) struct Found {
    /// Its SKU in the store.
    pub(super) sku: Option<String>,
    pub(super) external_id: String,
    pub(super) title: String,
    /// The connector's own fields of its listing.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(super) extra: BTreeMap<String, String>,
    /// Why it was not matched, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Found {
    fn new(variant: Variant, reason: Option<String>) -> Self {
        Self { sku: variant.sku, external_id: variant.external_id, title: variant.title, extra: variant.extra, reason }
    }
}

/// What was found in the part of the store that was read.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub(super) struct Proposal {
    /// One variant, one SKU of the same name.
    pub(super) matched: Vec<Found>,
    /// Several variants with the same SKU: the seller has to choose.
    pub(super) ambiguous: Vec<Found>,
    /// No SKU, or none of that name here.
    pub(super) unmatched: Vec<Found>,
    /// Matched and paired so already.
    pub(super) already_paired: usize,
    /// Pairs made by this request.
    pub(super) paired: usize,
    /// Where to go on; null when the whole store was read.
    pub(super) next_cursor: Option<String>,
}

/// Reads the store's variants and proposes listings by equal SKU. Nothing is paired without `apply: true`.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = Discover,
    responses((status = 200, body = Proposal), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/stores/{id}/discover")]
pub async fn discover_store(caller: Caller, state: State, id: Path<StoreId>, body: Body) -> Answer {
    let asked: Discover = if body.bytes.is_empty() { Discover::default() } else { body.object()? };
    let proposal = discover(&caller, &state, id.into_inner(), asked.cursor, asked.apply.unwrap_or(false)).await?;
    Ok(HttpResponse::Ok().json(proposal))
}

/// What stands behind [`discover_store`].
///
/// # Errors
/// 404 without that store, 409 when the store does not answer, 422 for a cursor that is not one.
pub(super) async fn discover(
    caller: &Caller,
    state: &State,
    id: StoreId,
    cursor: Option<String>,
    apply: bool,
) -> Result<Proposal, ApiError> {
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > 1000 || cursor.chars().any(char::is_control)) {
        return Err(ApiError::field("/cursor", "is not a cursor of this store"));
    }
    let store = caller.db.read(move |t| t.store(id)).await?;
    let connection = connection(caller.db.id(), &store, &state.sealer)
        .map_err(|error| ApiError::conflict(format!("The store's credentials cannot be used: {error}.")))?;
    let (variants, next_cursor) = read_variants(caller, state, connection, cursor).await?;
    let mut proposal = propose(caller, id, variants).await?;
    proposal.next_cursor = next_cursor;
    if apply && !proposal.matched.is_empty() {
        proposal.paired = pair(caller, state, id, store.name, &proposal.matched).await?;
    }
    Ok(proposal)
}

async fn read_variants(
    caller: &Caller,
    state: &AppState,
    mut connection: StoreConnection,
    mut cursor: Option<String>,
) -> Result<(Vec<Variant>, Option<String>), ApiError> {
    let deadline = tokio::time::Instant::now() + READ_WITHIN;
    let mut found = Vec::new();
    let mut refused = false;
    let mut pages = 0;
    loop {
        match state.renewals.renew(&caller.db, &connection, refused).await {
            Ok(Some(renewed)) => connection = renewed,
            Ok(None) => {}
            Err(Stale::Refused(reason) | Stale::TryAgain(reason)) => return Err(ApiError::conflict(reason)),
            Err(Stale::Database(error)) => return Err(error.into()),
        }
        match state.client.variants(&connection, cursor.as_deref()).await {
            Ok(page) => {
                refused = false;
                pages += 1;
                found.extend(page.variants);
                cursor = page.next;
            }
            Err(Outcome::TokenExpired { .. }) if !refused => refused = true,
            // Throttled: the limiter waits as long as the store says before the next call.
            Err(Outcome::TryAgain { throttled: true, .. }) if tokio::time::Instant::now() < deadline => {}
            Err(outcome) => return Err(ApiError::conflict(reason_of(outcome))),
        }
        if pages > 0 && (cursor.is_none() || pages >= MAX_PAGES || tokio::time::Instant::now() >= deadline) {
            return Ok((found, cursor));
        }
    }
}

fn reason_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(_) => "The store did not list its variants.".to_owned(),
        Outcome::Refused { reason, .. } | Outcome::TryAgain { reason, .. } | Outcome::Unauthorized { reason } => reason,
        Outcome::TokenExpired { reason } | Outcome::Closed { reason, .. } | Outcome::Unknown { reason } => reason,
    }
}

/// Sorts the variants by what of them is known here.
async fn propose(caller: &Caller, id: StoreId, variants: Vec<Variant>) -> Result<Proposal, ApiError> {
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
        if !known.contains_key(&sku) {
            proposal.unmatched.push(Found::new(variant, Some("There is no such SKU here.".to_owned())));
        } else if count.get(&sku).copied().unwrap_or(0) > 1 {
            let reason = "Several variants of the store have this SKU; pair the right one by hand.".to_owned();
            proposal.ambiguous.push(Found::new(variant, Some(reason)));
        } else {
            match paired.get(&sku) {
                Some(external_id) if *external_id == variant.external_id => proposal.already_paired += 1,
                Some(_) => {
                    let reason = "This SKU is paired with another listing of the store already.".to_owned();
                    proposal.ambiguous.push(Found::new(variant, Some(reason)));
                }
                None => proposal.matched.push(Found::new(variant, None)),
            }
        }
    }
    Ok(proposal)
}

async fn pair(caller: &Caller, state: &State, id: StoreId, name: String, matched: &[Found]) -> Result<usize, ApiError> {
    let new = |found: &Found| {
        let sku = Sku::parse(found.sku.as_deref()?).ok()?;
        let extra = (!found.extra.is_empty()).then(|| found.extra.clone());
        Some(NewListing { sku, external_id: found.external_id.clone(), extra })
    };
    let rows: Vec<NewListing> = matched.iter().filter_map(new).collect();
    let (limits, now, actor) = (state.settings.limits, state.clock.now(), caller.actor());
    let changes = caller
        .db
        .write(move |t| {
            let changes = t.save_listings(id, &rows, limits, now)?;
            let mut entry = audited(&actor, "listings.discovered", &name);
            entry.after = Some(json!({ "store_id": id, "paired": changes.len() }));
            t.append_audit(&entry, now)?;
            Ok(changes)
        })
        .await?;
    Ok(changes.iter().filter(|change| matches!(change, ListingChange::Created(_) | ListingChange::Updated(_))).count())
}
