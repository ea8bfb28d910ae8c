//! What Shopee's replies mean: for a call as a whole, and for each of its listings.
use super::super::call::{Call, CallItem, Reply, StoreConnection};
use super::super::codes::by_status;
use super::super::codes::{Class, UNKNOWN_CODE, find, item, outcome, said, unreadable};
use super::super::fields::listing_or_store_setting;
use super::super::lenient::Units;
use super::codes::{CODES, PAIR_AGAIN};
use super::fields::LOCATION_ID;
use super::requests::ids;
use super::wire::{Envelope, InItems, InLists, InStockInfo, InWarehouse};
use crate::domain::delivery::{ItemResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::time::Duration;

/// The pause after the app's daily limit if the reply does not say what time it is.
pub(super) const DAILY_LIMIT_PAUSE: Duration = Duration::from_secs(3600);

/// The time until the daily limit ends, at midnight in UTC+8, by the reply's own `Date`.
fn until_midnight(reply: &Reply) -> Option<Duration> {
    let now = DateTime::parse_from_rfc2822(reply.header("date")?).ok()?.with_timezone(&Utc);
    let local = now + TimeDelta::hours(8);
    let midnight = local.date_naive().succ_opt()?.and_time(chrono::NaiveTime::MIN);
    (midnight - local.naive_utc()).to_std().ok()
}

/// The code without its module.
pub(super) fn without_module(code: &str) -> &str {
    code.trim().rsplit('.').next().unwrap_or_default()
}

/// What an error code means for the call.
fn failure(code: &str, message: &str, call: &Call, reply: &Reply) -> Outcome {
    let said = said("Shopee", code, message);
    match find(CODES, without_module(code), message) {
        Some(Class::Throttled) if without_module(code) == "error_limit" => Outcome::TryAgain {
            reason: format!("{said} The app has reached its daily limit, which ends at midnight, UTC+8."),
            after: until_midnight(reply).or(Some(DAILY_LIMIT_PAUSE)),
            throttled: true,
        },
        Some(class) => outcome(class, said, call, reply, LOCATION_ID),
        None => by_status(reply).unwrap_or(Outcome::Unknown { reason: format!("{said} {UNKNOWN_CODE}") }),
    }
}

/// The body of a reply to a call that succeeded at least in part.
pub(super) fn envelope(call: &Call, reply: &Reply) -> Result<Envelope, Outcome> {
    let Ok(mut body) = serde_json::from_str::<Envelope>(&reply.body) else {
        return Err(by_status(reply).unwrap_or_else(unreadable));
    };
    let partial = body.response.get("failure_list").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if without_module(&body.error) == "error_busi_update_stock_failed" && partial {
        // If the status is not a success, it contradicts the list of successes, so these are unknown.
        if let Some(response) = body.response.as_object_mut().filter(|_| !(200..300).contains(&reply.status)) {
            response.remove("success_list");
        }
        return Ok(body);
    }
    if !body.error.is_empty() {
        return Err(failure(&body.error, &body.message, call, reply));
    }
    by_status(reply).map_or(Ok(body), Err)
}

/// The result of each model, which is in one of two lists or in neither.
pub(super) fn set_results(store: &StoreConnection, call: &Call, response: Value) -> Outcome {
    let Ok(lists) = serde_json::from_value::<InLists>(response) else { return unreadable() };
    let result = |listing: &CallItem| {
        let Ok((_, model_id)) = ids(listing) else { return ItemResult::Unknown { reason: "This is not a Shopee listing.".to_owned() } };
        if let Some(failed) = lists.failure_list.iter().find(|failed| failed.model_id == model_id) {
            return failed_model(&failed.failed_reason);
        }
        let location = listing_or_store_setting(listing, store, LOCATION_ID);
        let mut done = lists.success_list.iter().filter(|done| done.model_id == model_id);
        match done.find(|done| location.is_none() || done.location_id.is_none() || done.location_id.as_deref() == location) {
            Some(done) => ItemResult::Applied { shown: done.stock.known() },
            None => ItemResult::Unknown { reason: "Shopee's response does not mention this variation.".to_owned() },
        }
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

/// The result of a model that Shopee did not update.
fn failed_model(reason: &str) -> ItemResult {
    let said = said("Shopee", "", reason);
    let words = reason.to_lowercase();
    if ["later", "busy", "timeout", "system error"].iter().any(|word| words.contains(word)) {
        return ItemResult::TryAgain { reason: said };
    }
    item(find(CODES, "", reason).unwrap_or(Class::Listing("Fix the variation in Shopee Seller Centre as Shopee says, then retry.")), said)
}

pub(super) fn read_results(store: &StoreConnection, call: &Call, response: Value) -> Outcome {
    let Ok(items) = serde_json::from_value::<InItems>(response) else { return unreadable() };
    let result = |listing: &CallItem| {
        let Ok((item_id, model_id)) = ids(listing) else { return unknown("This is not a Shopee listing.") };
        let location = listing_or_store_setting(listing, store, LOCATION_ID);
        if model_id != 0 {
            let model = items.model.iter().find(|model| model.model_id == model_id);
            return model.map_or_else(
                || unknown("Shopee does not know this variation of the item."),
                |model| seller_stock(&model.stock_info_v2, location),
            );
        }
        match items.item_list.iter().find(|item| item.item_id == item_id) {
            None => unknown("Shopee does not know this item."),
            Some(item) if item.has_model => ItemResult::Rejected {
                reason: "This item now has variations in Shopee, so it has no stock of its own.".to_owned(),
                next_step: "Pair its variations instead, then retry.".to_owned(),
            },
            Some(item) => seller_stock(&item.stock_info_v2, location),
        }
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn unknown(reason: &str) -> ItemResult {
    ItemResult::Rejected { reason: reason.to_owned(), next_step: PAIR_AGAIN.to_owned() }
}

fn quantity(stock: Units) -> ItemResult {
    match stock.known() {
        Some(shown) => ItemResult::Applied { shown: Some(shown) },
        None => ItemResult::Unknown { reason: "Shopee's response has no quantity for this listing.".to_owned() },
    }
}

fn seller_stock(info: &Option<InStockInfo>, location: Option<&str>) -> ItemResult {
    let stock = info.as_ref().map(|info| info.seller_stock.as_slice()).unwrap_or_default();
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    match (location, stock) {
        (_, []) => rejected(
            "Shopee shows no seller stock for this listing: Shopee keeps the stock itself, or it is not tracked.",
            "Move the item to seller stock in Shopee, or unpair the listing.",
        ),
        (None, [only]) => quantity(only.stock),
        (None, _) => rejected(
            "This shop has several warehouses, and no location_id selects one.",
            "Set location_id, in the store or in the listing, then retry.",
        ),
        (Some(location), stock) => match stock.iter().find(|at| at.location_id.as_deref() == Some(location)) {
            Some(at) => quantity(at.stock),
            None => rejected(
                "Shopee has no stock of this listing at the given location_id.",
                "Check location_id. If the location is new, overwrite the listing once with a sync, then retry.",
            ),
        },
    }
}

/// The outcome of a check: whether the store's location, if it has one, is among those of the shop.
pub(super) fn check_result(location: Option<&str>, response: Value) -> Outcome {
    let Some(location) = location else { return Outcome::Answered(Vec::new()) };
    let found: Vec<InWarehouse> = serde_json::from_value(response).unwrap_or_default();
    if found.iter().any(|warehouse| warehouse.location_id == location) {
        return Outcome::Answered(Vec::new());
    }
    let known: Vec<String> = found.into_iter().map(|warehouse| warehouse.location_id).collect();
    Outcome::Closed {
        reason: format!("The shop has no location {location}. Its locations are: {}.", known.join(", ")),
        next_step: "Set the store's location_id to one of them, then check the store.".to_owned(),
    }
}
