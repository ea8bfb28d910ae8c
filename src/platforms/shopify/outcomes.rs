//! What Shopify's replies mean: for a call as a whole, and for each of its rows.
use super::super::call::{Action, Call, CallItem, Reply, StoreConnection};
use super::requests::{by_location, item_and_location, own_location};
use super::wire::{Change, InVain, Installation, Nodes, Payload, Place, ReadNode, ReplyBody, UserError};
use crate::domain::delivery::{ItemResult, Outcome};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The permissions that increases, overwrites and discovery need.
const SCOPES: [&str; 3] = ["read_inventory", "write_inventory", "read_products"];
const PAIR_AGAIN: &str = "Pair the listing again, or remove it if the variant was deleted in Shopify.";
const TRACK: &str = "Turn on 'Track quantity' for the variant in Shopify, then retry.";

/// The body of a reply, or the outcome if throttling or the status rules the body out.
pub(super) fn parse(store: &StoreConnection, reply: &Reply) -> Result<ReplyBody, Outcome> {
    let body = serde_json::from_str::<ReplyBody>(&reply.body).ok();
    let throttled = body.as_ref().is_some_and(|body| body.has_code("THROTTLED") && body.is_empty());
    if throttled || reply.status == 429 {
        let wait = body.and_then(|body| body.extensions?.cost?.wait());
        return Err(Outcome::TryAgain {
            reason: "Shopify limited our requests.".to_owned(),
            after: wait.or(reply.retry_after()),
            throttled: true,
        });
    }
    let closed = |reason: &str, next_step: &str| Outcome::Closed { reason: reason.to_owned(), next_step: next_step.to_owned() };
    Err(match reply.status {
        200..=299 => return body.ok_or_else(unreadable),
        300..=399 | 404 => closed(
            &format!("There is no Shopify shop at this address ({}).", reply.status),
            "Enter the shop's name in Shopify, as in acme.myshopify.com.",
        ),
        401 if store.credentials.contains_key("refresh_token") => {
            Outcome::TokenExpired { reason: "Shopify reports that the access token has expired (401).".to_owned() }
        }
        401 => Outcome::Unauthorized { reason: "Shopify refused the access token (401).".to_owned() },
        402 => closed("The shop is frozen because a Shopify bill is unpaid (402).", "Pay the shop's Shopify bill."),
        403 => closed(
            "Shopify denies access to this shop (403).",
            "Check in the Shopify admin that the app is still installed and the shop is open.",
        ),
        423 => closed("The shop is locked (423).", "Ask Shopify Support why the shop is locked."),
        430 => closed(
            "Shopify blocks our requests as a suspected attack (430).",
            "Wait, then check the store. If this persists, ask Shopify Support.",
        ),
        408 | 500.. => Outcome::Unknown { reason: format!("Shopify had an internal error ({}).", reply.status) },
        status => invalid_request(&format!("HTTP {status}")),
    })
}

pub(super) fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "Shopify's response could not be read.".to_owned() }
}

fn invalid_request(detail: &str) -> Outcome {
    Outcome::Refused {
        reason: format!("Shopify rejected the request as invalid: {detail}."),
        next_step: "Check the listing's external_id and location_id. If they are correct, contact the operator of this service.".to_owned(),
    }
}

/// The outcome of a reply that has top-level errors and no data.
pub(super) fn failure(body: &ReplyBody) -> Outcome {
    let Some((code, message)) = body.errors().next() else { return unreadable() };
    let message = shortened(message);
    match code {
        "ACCESS_DENIED" => Outcome::Unauthorized { reason: format!("The app lacks a permission in this shop: {message}") },
        "SHOP_INACTIVE" => Outcome::Closed {
            reason: "The shop is not active.".to_owned(),
            next_step: "Reopen the shop in Shopify, or pause this store.".to_owned(),
        },
        "INTERNAL_SERVER_ERROR" | "TIMEOUT" | "" => Outcome::Unknown { reason: format!("Shopify had an internal error: {message}") },
        _ => invalid_request(&format!("{message} ({code})")),
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

/// The results of a mutation.
pub(super) fn mutation_outcome(store: &StoreConnection, call: &Call, data: &Value) -> Outcome {
    let Ok(Payload { group, user_errors }) = Payload::deserialize(data) else { return unreadable() };
    let applied = |item: &CallItem| ItemResult::Applied { shown: (call.action == Action::Set).then_some(item.quantity) };
    if user_errors.is_empty() {
        let locations: Vec<String> = by_location(store, call).unwrap_or_default().into_iter().map(|(location, _)| location).collect();
        let in_vain: HashMap<(String, String), InVain> =
            group.iter().flat_map(|group| &group.changes).filter_map(|change| change.in_vain(&locations)).collect();
        let result = |item: &CallItem| match item_and_location(store, item).ok().and_then(|key| in_vain.get(&key)) {
            Some(InVain::Untracked) => not_tracked(),
            Some(InVain::Inactive) => not_stocked(),
            None => applied(item),
        };
        return Outcome::Answered(call.items.iter().map(result).collect());
    }
    let mut by_row: BTreeMap<usize, Refusal> = BTreeMap::new();
    for error in &user_errors {
        let refusal = refusal(error);
        match (error.row().filter(|row| *row < call.items.len()), refusal) {
            (_, Refusal::Call(outcome)) => return outcome,
            (None, Refusal::Later(reason)) => {
                return Outcome::Answered(call.items.iter().map(|_| ItemResult::NeverApplied { reason: reason.clone() }).collect());
            }
            (None, Refusal::Row { reason, next_step } | Refusal::Location { reason, next_step }) => {
                return Outcome::Refused { reason, next_step };
            }
            // The first error of a row is reported: an unknown item comes before its location.
            (Some(row), refusal) => drop(by_row.entry(row).or_insert(refusal)),
        }
    }
    // A wrong location of the store affects all its listings, so the store is closed instead of refusing them one by one.
    let uses_store_location = |row: &usize| call.items.get(*row).is_some_and(|item| own_location(item).is_none());
    let wrong_location = by_row.iter().find(|(row, refusal)| matches!(refusal, Refusal::Location { .. }) && uses_store_location(row));
    if let (None, Some((_, Refusal::Location { reason, next_step }))) = (&group, wrong_location) {
        return Outcome::Closed { reason: reason.clone(), next_step: next_step.clone() };
    }
    let changed: Option<HashSet<(String, String)>> = group.map(|group| group.changes.into_iter().filter_map(Change::key).collect());
    let result = |(row, item): (usize, &CallItem)| match by_row.remove(&row) {
        Some(Refusal::Row { reason, next_step } | Refusal::Location { reason, next_step }) => ItemResult::Rejected { reason, next_step },
        Some(Refusal::Later(reason)) => ItemResult::NeverApplied { reason },
        Some(Refusal::Call(_)) | None => match &changed {
            None => ItemResult::RefusedWithOthers { reason: "Shopify refused another listing in the same call.".to_owned() },
            Some(changed) if item_and_location(store, item).is_ok_and(|key| changed.contains(&key)) => applied(item),
            // A set can be repeated, whether or not it was applied.
            Some(_) if call.action == Action::Set => {
                ItemResult::NeverApplied { reason: "Shopify's response does not mention this listing.".to_owned() }
            }
            Some(_) => ItemResult::Unknown { reason: "Shopify's response does not mention this listing.".to_owned() },
        },
    };
    Outcome::Answered(call.items.iter().enumerate().map(result).collect())
}

/// What a user error means.
enum Refusal {
    /// The row is rejected until somebody acts.
    Row { reason: String, next_step: String },
    /// The row's location does not exist; it may come from the listing or from the store.
    Location { reason: String, next_step: String },
    /// Not applied. It can be sent again, under another key.
    Later(String),
    /// The outcome of the whole call.
    Call(Outcome),
}

fn refusal(error: &UserError) -> Refusal {
    let message = shortened(&error.message);
    let row = |reason: &str, next_step: &str| Refusal::Row { reason: reason.to_owned(), next_step: next_step.to_owned() };
    match error.code.as_deref().unwrap_or_default() {
        _ if message.to_ascii_lowercase().contains("not track") => row("This variant does not track inventory in Shopify.", TRACK),
        "INVALID_INVENTORY_ITEM" => row("Shopify does not know this inventory item.", PAIR_AGAIN),
        "NON_MUTABLE_INVENTORY_ITEM" => row(
            "Shopify keeps no separate stock for this variant; it may be a bundle.",
            "Pair the components of the bundle instead, and remove this listing.",
        ),
        "ITEM_NOT_STOCKED_AT_LOCATION" => row(
            "This variant is not stocked at its location in Shopify.",
            "Stock the variant at that location in Shopify, or enter another location_id, then retry.",
        ),
        "INVALID_QUANTITY_NEGATIVE" | "INVALID_QUANTITY_TOO_HIGH" | "INVALID_QUANTITY_TOO_LOW" => Refusal::Row {
            reason: format!("Shopify does not accept this quantity: {message}"),
            next_step: "Correct the SKU's stock or its rules so that the quantity is within Shopify's bounds.".to_owned(),
        },
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR" => {
            row("Two listings of this store have the same inventory item and location.", "Remove one of the two listings, then retry.")
        }
        "INVALID_LOCATION" => Refusal::Location {
            reason: "Shopify does not know the location of this stock.".to_owned(),
            next_step: "Correct the location_id: the listing's, if it has its own, and otherwise the store's.".to_owned(),
        },
        "CHANGE_FROM_QUANTITY_STALE" | "COMPARE_QUANTITY_STALE" => {
            Refusal::Later("The quantity in Shopify changed in the meantime.".to_owned())
        }
        "ADJUST_QUANTITIES_FAILED" | "SERVICE_UNAVAILABLE" | "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED" => {
            Refusal::Later(format!("Shopify could not apply this now: {message}"))
        }
        // The first request is still being processed; only repeating the same call reveals its result.
        "IDEMPOTENCY_CONCURRENT_REQUEST" => {
            Refusal::Call(Outcome::Unknown { reason: "Shopify is still processing the same call.".to_owned() })
        }
        // Whether a call with this key was applied is unknown, so no new key may be tried. An overwrite resolves the doubt.
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH" => Refusal::Call(invalid_request("the same idempotency key was used for another call")),
        code => Refusal::Row {
            reason: format!("Shopify refused this listing: {message} ({code})."),
            next_step: "Fix the variant in Shopify as the message says, then retry. If it is not about the variant, contact the operator."
                .to_owned(),
        },
    }
}

/// The results of a read; `None` if the reply has no data for one of the locations.
pub(super) fn read_outcome(store: &StoreConnection, call: &Call, body: &ReplyBody) -> Option<Outcome> {
    let mut shown: HashMap<(String, String), ReadNode> = HashMap::new();
    for (n, (location, _)) in by_location(store, call).ok()?.into_iter().enumerate() {
        let nodes: Vec<Option<ReadNode>> = Deserialize::deserialize(body.field(&format!("at{n}"))?).ok()?;
        shown.extend(nodes.into_iter().flatten().filter_map(|node| Some(((node.id.clone()?, location.clone()), node))));
    }
    let result = |item: &CallItem| match item_and_location(store, item).ok().and_then(|key| shown.get(&key)) {
        None => ItemResult::Rejected { reason: "Shopify does not know this inventory item.".to_owned(), next_step: PAIR_AGAIN.to_owned() },
        Some(ReadNode { tracked: false, .. }) => not_tracked(),
        // Without a level, nothing is shown from that location.
        Some(ReadNode { inventory_level: None, .. }) => ItemResult::Applied { shown: Some(0) },
        Some(ReadNode { inventory_level: Some(level), .. }) => {
            let available = level.quantities.iter().find(|quantity| quantity.name == "available");
            match available.and_then(|quantity| quantity.quantity.known()) {
                _ if level.is_active == Some(false) => not_stocked(),
                Some(shown) => ItemResult::Applied { shown: Some(shown) },
                None => ItemResult::Unknown { reason: "Shopify's response has no quantity for this listing.".to_owned() },
            }
        }
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

fn not_stocked() -> ItemResult {
    ItemResult::Rejected {
        reason: "This variant is not stocked at its location in Shopify, so nothing is sold from there.".to_owned(),
        next_step: "Stock the variant at that location in Shopify, or pair the listing with another location, then retry.".to_owned(),
    }
}

fn not_tracked() -> ItemResult {
    ItemResult::Rejected { reason: "This variant does not track inventory in Shopify.".to_owned(), next_step: TRACK.to_owned() }
}

/// The outcome of a check: whether the app has every permission that it needs, and what else the seller should know.
pub(super) fn check_outcome(store: &StoreConnection, body: &ReplyBody) -> Option<Outcome> {
    body.field("inventoryItems")?;
    let installation = body.field("currentAppInstallation").and_then(|data| Installation::deserialize(data).ok());
    let mut notes = Vec::new();
    match installation {
        None => notes.push("Shopify does not say which permissions the app has, so it is not proved that it may write.".to_owned()),
        Some(Installation { access_scopes }) => {
            let lacks = |scope: &&str| !access_scopes.iter().any(|found| found.handle == **scope);
            let missing: Vec<&str> = SCOPES.iter().copied().filter(lacks).collect();
            if !missing.is_empty() {
                return Some(Outcome::Closed {
                    reason: format!("The app lacks permissions in this shop: {}.", missing.join(", ")),
                    next_step: "Grant them to the app in the Shopify admin, or install it again, then check the store.".to_owned(),
                });
            }
        }
    }
    if store.setting("location_id").is_none() {
        let found = body.field("locations").and_then(|data| Nodes::<Place>::deserialize(data).ok());
        let places: Vec<Place> = found.map_or(Vec::new(), |found| found.nodes).into_iter().filter(Place::sells).collect();
        notes.extend((places.len() > 1).then(|| choose(&places)));
    }
    Some(Outcome::Answered(notes.into_iter().map(|reason| ItemResult::Unknown { reason }).collect()))
}

/// Between which locations the seller has to choose.
fn choose(places: &[Place]) -> String {
    let labels: Vec<String> = places.iter().map(Place::label).collect();
    format!(
        "The shop sells online from several locations: {}. Set the store's location_id to the number of one of them.",
        labels.join(", ")
    )
}

/// The outcome when a variant is stocked at several locations, and the store names none.
pub(super) fn must_choose(places: &[Place]) -> Outcome {
    Outcome::Refused { reason: choose(places), next_step: "Set location_id, then discover the listings again.".to_owned() }
}
