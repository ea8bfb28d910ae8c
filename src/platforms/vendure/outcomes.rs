//! What Vendure's replies mean: for a call as a whole, and for each of its rows.
use super::super::call::{Action, Call, CallItem, Reply, StoreConnection};
use super::super::codes::{self, Class, Row, said};
use super::super::fields::{listing_or_store_setting, on_hand};
use super::super::lenient::Units;
use super::wire::{Found, GlobalSettings, Level, Me, Page, ReplyBody};
use crate::domain::delivery::{ItemResult, Outcome};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// The code for a wrong channel token (unconfirmed).
pub(super) const WRONG_CHANNEL: &str = "CHANNEL_NOT_FOUND";
const PAIR_AGAIN: &str = "Pair the listing again, or remove it if the variant was deleted in Vendure.";
const CHECK_LISTING: &str =
    "Check the listing's external_id, location_id and quantity. If they are correct, contact the operator of this service.";
/// Codes that apply to a whole call. A refused mutation has written nothing.
const CODES: &[Row] = &[
    (WRONG_CHANNEL, "", Class::Store("Set channel_token to the token of a channel in Vendure (Settings > Channels).")),
    ("ILLEGAL_OPERATION", "", Class::Store("Fix in Vendure what the message describes, then check the store.")),
    // The database's error message for a stock location that does not exist.
    ("", "foreign key", Class::Location("Set location_id, in the listing or in the store, to the ID of a stock location in Vendure.")),
    ("USER_INPUT_ERROR", "", Class::Listing("Fix the variant in Vendure, or its quantity here, as the message says, then retry.")),
    ("BAD_USER_INPUT", "", Class::Listing(CHECK_LISTING)),
    (
        "GRAPHQL_PARSE_FAILED",
        "",
        Class::Listing("This server does not accept the requests of Vendure 3. Contact the operator of this service."),
    ),
    (
        "GRAPHQL_VALIDATION_FAILED",
        "",
        Class::Listing("This server does not accept the requests of Vendure 3. Contact the operator of this service."),
    ),
    ("ENTITY_NOT_FOUND", "", Class::Listing(PAIR_AGAIN)),
];

/// The listing's stock location; `None` is Vendure's default location.
pub(super) fn location<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Option<&'a str> {
    listing_or_store_setting(item, store, "location_id").filter(|id| !id.is_empty())
}

/// The body of a reply, or the outcome if its status rules the body out.
pub(super) fn parse(reply: &Reply) -> Result<ReplyBody, Outcome> {
    let body = serde_json::from_str::<ReplyBody>(&reply.body).ok().filter(|body| body.data.is_some() || !body.errors.is_empty());
    let status = reply.status;
    Err(match status {
        200..=299 => return body.ok_or_else(codes::unreadable),
        400 if body.is_some() => return body.ok_or_else(codes::unreadable),
        300..=399 | 404 => Outcome::Closed {
            reason: format!("There is no Vendure Admin API at this address ({status})."),
            next_step: "Set base_url to the address of the Vendure server, without /admin-api.".to_owned(),
        },
        401 | 403 => Outcome::Unauthorized {
            reason: format!("Something in front of the Vendure server, such as a proxy, denies access ({status})."),
        },
        429 => Outcome::TryAgain {
            reason: "The shop's host limited our requests (429).".to_owned(),
            after: reply.retry_after(),
            throttled: true,
        },
        // A body above the server's limit also gets 500, with an empty message; ours are at most a seventh of that limit.
        408 | 500.. => Outcome::Unknown { reason: format!("The Vendure server failed ({status}).") },
        _ => Outcome::Refused { reason: format!("Vendure refused the request ({status})."), next_step: CHECK_LISTING.to_owned() },
    })
}

/// The outcome of a reply that has errors and no data. Nothing was written.
pub(super) fn failure(store: &StoreConnection, call: &Call, reply: &Reply, body: &ReplyBody) -> Outcome {
    let Some((code, message)) = body.first_error() else { return codes::unreadable() };
    let said = said("Vendure", code, message);
    match code {
        "FORBIDDEN" if store.credentials.contains_key("api_key") => {
            Outcome::Unauthorized { reason: format!("{said} The API key is wrong, or its role may not read and update the catalog.") }
        }
        // An expired session and a missing permission look the same; a new login distinguishes them.
        "FORBIDDEN" => Outcome::TokenExpired { reason: format!("{said} The session has expired, or the user may not update the catalog.") },
        "ENTITY_NOT_FOUND" if call.action == Action::Set && message.contains("ProductVariant") => reject_unknown(call, &said, message),
        "" | "INTERNAL_SERVER_ERROR" => match codes::find(CODES, code, message) {
            Some(class) => codes::outcome(class, said, call, reply, "location_id"),
            // A single row may be the cause, so the call is split until that row is alone.
            None if call.items.len() > 1 => {
                Outcome::Refused { reason: said, next_step: "Nothing to do: it will be retried automatically.".to_owned() }
            }
            None => codes::outcome(Class::Again, said, call, reply, "location_id"),
        },
        _ => codes::outcome(codes::find(CODES, code, message).unwrap_or(Class::Listing(CHECK_LISTING)), said, call, reply, "location_id"),
    }
}

/// Rejects the variant that the message names; the other rows were rolled back.
fn reject_unknown(call: &Call, said: &str, message: &str) -> Outcome {
    let is_in_message = |item: &CallItem| message.contains(&format!("\"{}\"", item.external_id));
    if !call.items.iter().any(is_in_message) {
        return Outcome::Refused { reason: said.to_owned(), next_step: PAIR_AGAIN.to_owned() };
    }
    let result = |item: &CallItem| match is_in_message(item) {
        true => unknown_variant(),
        false => ItemResult::RefusedWithOthers { reason: "Another listing in the same call is unknown to Vendure.".to_owned() },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn unknown_variant() -> ItemResult {
    ItemResult::Rejected { reason: "Vendure does not know this product variant.".to_owned(), next_step: PAIR_AGAIN.to_owned() }
}

fn not_tracked() -> ItemResult {
    ItemResult::Rejected {
        reason: "This variant does not track inventory in Vendure.".to_owned(),
        next_step: "Turn on 'Track inventory' for the variant in Vendure (or in the global settings, if it inherits them), then retry."
            .to_owned(),
    }
}

/// The permissions that allow changing stock; one of them is enough.
const WRITES: [&str; 3] = ["SuperAdmin", "UpdateCatalog", "UpdateProduct"];

/// The outcome of a check: whether the channel is the user's, and whether the user may change stock in it.
pub(super) fn check_result(store: &StoreConnection, body: &ReplyBody) -> Outcome {
    let Some(me) = body.field("me").and_then(|data| Me::deserialize(data).ok()) else { return Outcome::Answered(Vec::new()) };
    let closed = |reason: &str, next_step: &str| Outcome::Closed { reason: reason.to_owned(), next_step: next_step.to_owned() };
    let token = store.setting("channel_token");
    let mut channels = me.channels.iter().filter(|channel| token.is_none_or(|token| channel.token == token)).peekable();
    if channels.peek().is_none() {
        return closed(
            "The user has no channel with this channel_token in Vendure.",
            "Set channel_token to the token of one of the user's channels (Settings > Channels), then check the store.",
        );
    }
    if !channels.flat_map(|channel| &channel.permissions).any(|permission| WRITES.contains(&permission.as_str())) {
        return closed(
            "The user or key may read the catalog in Vendure, but not change it.",
            "Give its role the permission UpdateCatalog in Vendure, then check the store.",
        );
    }
    Outcome::Answered(Vec::new())
}

/// The results of a set; `None` if the data cannot be read.
pub(super) fn set_results(store: &StoreConnection, call: &Call, data: &Value) -> Option<Outcome> {
    let found: Vec<Option<Found>> = Deserialize::deserialize(data).ok()?;
    let by_id: HashMap<String, Found> = found.into_iter().flatten().map(|found| (found.id.clone(), found)).collect();
    let unknown = |reason: &str| ItemResult::Unknown { reason: reason.to_owned() };
    let result = |item: &CallItem| match by_id.get(&item.external_id) {
        None => unknown("Vendure's response does not mention this listing."),
        Some(found) if found.is_untracked() => not_tracked(),
        Some(found) => {
            let written = Units::Known(on_hand(item));
            let is_there = match location(store, item) {
                Some(location) => found.at(location).is_some_and(|level| level.stock_on_hand == written),
                // The reply does not say which location is the default.
                None => found.stock_levels.iter().any(|level| level.stock_on_hand == written),
            };
            match is_there {
                true => ItemResult::Applied { shown: Some(item.quantity) },
                false => unknown("Vendure shows a different number from the one written: it was changed at the same time."),
            }
        }
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

/// The channel's oldest location, where the reply names it.
pub(super) fn default_location(body: &ReplyBody) -> Option<&str> {
    body.field("stockLocations").and_then(|data| data.pointer("/items/0/id")?.as_str())
}

/// The results of a read; `None` if the reply has no data.
pub(super) fn read_results(store: &StoreConnection, call: &Call, body: &ReplyBody) -> Option<Outcome> {
    let page = Page::deserialize(body.field("productVariants")?).ok()?;
    let global_settings = body.field("globalSettings").and_then(|data| GlobalSettings::deserialize(data).ok());
    let untracked_by_default = global_settings.is_some_and(|settings| !settings.track_inventory);
    let default = default_location(body);
    let by_id: HashMap<&str, &Found> = page.items.iter().map(|found| (found.id.as_str(), found)).collect();
    let result = |item: &CallItem| match by_id.get(item.external_id.as_str()) {
        None => unknown_variant(),
        Some(found) if found.is_untracked() || (untracked_by_default && found.inherits_tracking()) => not_tracked(),
        Some(found) => match location(store, item).or(default) {
            // Without a level, no stock is on hand at that location.
            Some(location) => match found.at(location).map_or(Some(0), Level::sellable) {
                Some(shown) => ItemResult::Applied { shown: Some(shown) },
                None => ItemResult::Unknown { reason: "Vendure's response has no quantity for this listing.".to_owned() },
            },
            None => ItemResult::Unknown { reason: "Vendure does not say which stock location is its default.".to_owned() },
        },
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}
