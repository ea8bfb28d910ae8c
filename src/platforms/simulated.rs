//! The simulated platform's connector, which is also a generic HTTP bridge: a seller can point a store of this kind at a
//! service of their own that speaks this small protocol.
//!
//! - `POST {base_url}/stores/{store}/adjust` with `{items: [{external_id, delta}]}`
//! - `POST …/set` with `{items: [{external_id, quantity, expected?}]}`
//! - `GET …/items?fresh=…&external_id=…`; `fresh` differs in each request, so that no cache answers it
//!
//! All three answer `{items: [{external_id, quantity} | {external_id, error}]}`. For pairing, `GET …/items?limit=…&after=…`
//! without ids lists the items: `{items: [{external_id, sku?}], next?}`. An item without a SKU is given its external id as
//! its SKU.
//!
//! Source: the project's own interface page, November 2026. Limits: the store's own settings, by default 50 calls/s with a
//! burst of 50, and 100 items a call.
use super::call::{Action, Call, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{by_status, unreadable};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{object, page_size, rate_limit};
use super::lenient::{self, Units};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

const DEFAULT_RATE: RateLimit = RateLimit { per_second: 50.0, burst: 50 };
const MAX_ITEMS: usize = 1000;
const VARIANTS_PER_PAGE: usize = 512;

/// The connector for the simulated platform and for HTTP bridges.
#[derive(Debug)]
pub struct Simulated;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AbilitiesConfig {
    adjust: Option<bool>,
    idempotency: Option<bool>,
    compare_and_set: Option<bool>,
    read: Option<bool>,
    max_items: Option<usize>,
}

fn abilities(store: &StoreConnection) -> Result<Abilities, FieldError> {
    let given: AbilitiesConfig = object(store, "abilities")?.unwrap_or_default();
    let max_items = given.max_items.unwrap_or(100);
    if !(1..=MAX_ITEMS).contains(&max_items) {
        return Err(FieldError::new("/abilities/max_items", format!("must be from 1 to {MAX_ITEMS}")));
    }
    Ok(Abilities {
        adjust: given.adjust.unwrap_or(true),
        idempotency: given.idempotency.unwrap_or(true),
        compare_and_set: given.compare_and_set.unwrap_or(false),
        read: given.read.unwrap_or(true),
        max_items,
    })
}

#[derive(Serialize)]
struct OutItem<'a> {
    external_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<i64>,
}

#[derive(Serialize)]
struct OutBody<'a> {
    items: Vec<OutItem<'a>>,
}

#[derive(Deserialize)]
struct InBody {
    #[serde(deserialize_with = "lenient::rows")]
    items: Vec<InItem>,
    /// The cursor of the next page, when listing.
    next: Option<String>,
}

#[derive(Deserialize)]
struct InItem {
    #[serde(deserialize_with = "lenient::id")]
    external_id: String,
    #[serde(default)]
    quantity: Units,
    error: Option<String>,
    sku: Option<String>,
}

fn store_url(store: &StoreConnection, resource: &str) -> Result<reqwest::Url, String> {
    let base = store.base_url.as_deref().ok_or("The store has no base_url.")?;
    let mut url = reqwest::Url::parse(base).map_err(|e| format!("The store's base_url is not a valid address: {e}."))?;
    let our_id = store.store_id.to_string();
    let name = store.config.get("external_store").and_then(|v| v.as_str()).unwrap_or(&our_id);
    url.path_segments_mut().map_err(|()| "The store's base_url cannot have a path.")?.pop_if_empty().extend(["stores", name, resource]);
    Ok(url)
}

fn request_to(store: &StoreConnection, url: reqwest::Url) -> Request {
    let request = Request::get(url);
    match store.credentials.get("token") {
        None => request,
        Some(token) => request.secret_header("authorization", format!("Bearer {}", token.expose_secret())),
    }
}

impl Platform for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Required)
            .text("external_store", Need::Optional)
            .read("abilities", abilities(store))
            .rate_limit()
            .secret("token", Need::Optional)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        // The settings were checked when the store was saved; if they have since become invalid, assume the least.
        let minimal = Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: 1 };
        Facts {
            reads_before_set: false,
            proves_writes: false,
            abilities: abilities(store).unwrap_or(minimal),
            group_by: None,
            location: None,
            per_store: rate_limit(store, DEFAULT_RATE).unwrap_or(DEFAULT_RATE),
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        let resource = match call.action {
            Action::Adjust => "adjust",
            Action::Set => "set",
            Action::Read | Action::Check => "items",
        };
        let mut url = store_url(store, resource)?;
        if matches!(call.action, Action::Read | Action::Check) {
            let mut query = url.query_pairs_mut();
            query.append_pair("fresh", &stamp.nonce);
            for item in &call.items {
                query.append_pair("external_id", &item.external_id);
            }
            if call.items.is_empty() {
                query.append_pair("external_id", "stocktide-check");
            }
            drop(query);
            return Ok(request_to(store, url));
        }
        let items = call.items.iter().map(|item| OutItem {
            external_id: &item.external_id,
            delta: (call.action == Action::Adjust).then_some(item.quantity),
            quantity: (call.action == Action::Set).then_some(item.quantity),
            expected: item.expected,
        });
        let mut request = request_to(store, url);
        request.method = Method::Post;
        request.body = Some(serde_json::to_string(&OutBody { items: items.collect() }).map_err(|e| e.to_string())?);
        request.headers.push(("content-type", "application/json".to_owned()));
        request.headers.extend(call.idempotency_key.iter().map(|key| ("idempotency-key", key.clone())));
        Ok(request)
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, _: &Reply) -> Option<String> {
        None
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let mut url = store_url(store, "items")?;
        url.query_pairs_mut()
            .append_pair("limit", &page_size(store, VARIANTS_PER_PAGE).to_string())
            .extend_pairs(cursor.map(|after| ("after", after)));
        Ok(request_to(store, url))
    }

    fn variants(&self, _: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = by_status(reply) {
            return Err(outcome);
        }
        let body: InBody = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let variant = |item: InItem| Variant {
            sku: item.sku.or_else(|| Some(item.external_id.clone())),
            title: item.external_id.clone(),
            external_id: item.external_id,
            extra: BTreeMap::new(),
        };
        Ok(VariantPage { variants: body.items.into_iter().map(variant).collect(), next: body.next })
    }

    fn renewal_request(&self, _: &StoreConnection, _: &Stamp, _: bool) -> Option<Request> {
        None
    }

    fn renewal(&self, _: &StoreConnection, _: &Reply, _: &Stamp) -> Renewal {
        Renewal::Refused { reason: "This store's token cannot be renewed.".to_owned() }
    }

    fn outcome(&self, _: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if let Some(outcome) = by_status(reply) {
            return outcome;
        }
        if call.action == Action::Check {
            return Outcome::Answered(Vec::new());
        }
        let Ok(body) = serde_json::from_str::<InBody>(&reply.body) else {
            return unreadable();
        };
        let mut answers: HashMap<String, InItem> = body.items.into_iter().map(|item| (item.external_id.clone(), item)).collect();
        let result = |answer: Option<InItem>| match answer.map(|item| (item.error, item.quantity)) {
            None => ItemResult::Unknown { reason: "The store's answer does not mention this listing.".to_owned() },
            Some((None, Units::Known(shown))) => ItemResult::Applied { shown: Some(shown) },
            Some((Some(error), Units::Known(shown))) if error == "stale" => ItemResult::Stale { shown },
            Some((Some(error), _)) => ItemResult::Rejected {
                reason: format!("The store refused this listing: {}.", error.chars().take(200).collect::<String>()),
                next_step: "Check that the listing exists in the store, pair it again, then retry.".to_owned(),
            },
            Some(_) => ItemResult::Unknown { reason: "The store's answer gives no quantity for this listing.".to_owned() },
        };
        Outcome::Answered(call.items.iter().map(|item| result(answers.remove(&item.external_id))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::CallItem;
    use super::*;
    use crate::domain::StoreId;
    use serde_json::json;
    use std::time::Duration;

    fn store(config: serde_json::Value) -> StoreConnection {
        StoreConnection {
            store_id: StoreId(uuid::Uuid::nil()),
            platform: "simulated".into(),
            base_url: Some("http://127.0.0.1:9/base/".into()),
            config: config.as_object().unwrap().clone(),
            credentials: [("token".to_owned(), "t0ken".into())].into(),
        }
    }
    fn call(action: Action) -> Call {
        let item = |id: &str, quantity| CallItem { external_id: id.into(), extra: [].into(), quantity, expected: None };
        Call { action, items: vec![item("a", 3), item("b/ü", 4)], idempotency_key: Some("key".into()) }
    }
    fn stamp() -> Stamp {
        Stamp { now: chrono::DateTime::UNIX_EPOCH, nonce: "0".repeat(32) }
    }
    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: vec![("retry-after".into(), "2".into())], body: body.into() }
    }

    #[test]
    fn requests_follow_the_protocol_and_hide_the_token() {
        let request = Simulated.request(&store(json!({"external_store": "my shop/1"})), &call(Action::Adjust), &stamp()).unwrap();
        assert_eq!(request.url, "http://127.0.0.1:9/base/stores/my%20shop%2F1/adjust");
        assert_eq!(request.body.as_deref(), Some(r#"{"items":[{"external_id":"a","delta":3},{"external_id":"b/ü","delta":4}]}"#));
        assert!(request.headers.contains(&("idempotency-key", "key".into())));
        assert!(!format!("{request:?}").contains("t0ken"));
        let read = Simulated.request(&store(json!({})), &call(Action::Read), &stamp()).unwrap();
        assert!(read.url.ends_with("/items?fresh=00000000000000000000000000000000&external_id=a&external_id=b%2F%C3%BC"), "{}", read.url);
    }

    #[test]
    fn success_failure_and_stale_are_reported_item_by_item() {
        let body = r#"{"items":[{"external_id":"b/ü","error":"unknown item"},{"external_id":"a","quantity":7}]}"#;
        let Outcome::Answered(results) = Simulated.outcome(&store(json!({})), &call(Action::Adjust), &reply(200, body)) else { panic!() };
        assert_eq!(results[0], ItemResult::Applied { shown: Some(7) });
        assert!(matches!(&results[1], ItemResult::Rejected { reason, .. } if reason.contains("unknown item")));
        let body = r#"{"items":[{"external_id":"a","error":"stale","quantity":7}]}"#;
        let Outcome::Answered(results) = Simulated.outcome(&store(json!({})), &call(Action::Set), &reply(200, body)) else { panic!() };
        assert_eq!(results[0], ItemResult::Stale { shown: 7 });
        assert!(matches!(results[1], ItemResult::Unknown { .. }), "an item that is not mentioned may have been applied");
    }

    #[test]
    fn statuses_are_classified() {
        let outcome = |status, body| Simulated.outcome(&store(json!({})), &call(Action::Adjust), &reply(status, body));
        assert!(
            matches!(outcome(429, ""), Outcome::TryAgain { after: Some(after), throttled: true, .. } if after == Duration::from_secs(2))
        );
        assert!(matches!(outcome(401, ""), Outcome::Unauthorized { .. }));
        assert!(matches!(outcome(400, ""), Outcome::Refused { .. }));
        assert!(matches!(outcome(500, ""), Outcome::Unknown { .. }));
        assert!(matches!(outcome(200, "rubbish"), Outcome::Unknown { .. }));
    }

    #[test]
    fn bad_settings_are_named_by_their_pointers() {
        let bad = StoreConnection {
            base_url: Some("ftp://x".into()),
            ..store(json!({"abilities": {"max_items": 0}, "rate_limit": {"per_second": 0.0, "burst": 1}, "external_store": 3, "colour": 1}))
        };
        let mut named: Vec<String> = Simulated.check_config(&bad).unwrap_err().into_iter().map(|e| e.pointer).collect();
        named.sort();
        assert_eq!(named, ["/abilities/max_items", "/base_url", "/colour", "/external_store", "/rate_limit/per_second"]);
        assert!(Simulated.check_config(&store(json!({"abilities": {"adjust": false}}))).is_ok());
    }
}
