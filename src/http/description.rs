//! The part of the OpenAPI description that all routes share, so that no route has to repeat it: the kinds of keys, and the
//! problems that any request may run into. Also adds what the macros omit from OpenAPI 3.1.
use super::error::KINDS;
use super::request::MAX_PAGE_SIZE;
use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Required, Response};

/// How a client that repeats requests stays right; part of the description's text.
const REPEATING: &str = "

### Repeating requests
Send every stock event with an `event_id` of your own, and repeat the request unchanged whenever you got no answer, a 429 or a 503: \
an event is applied once for each `event_id`, and a repeat is answered `duplicate` with the first result. Wait for `Retry-After` \
first; what was answered with 429 or 503 has not been done. Use a UUIDv7 as `event_id` if you may repeat after weeks: an id that is \
older than the events that are kept is refused instead of applied a second time. The same id with another SKU, kind, quantity or \
warehouse is a conflict (409) and changes nothing; another note or time does not matter.

`PUT` requests and bulk upserts may be repeated as they are. `POST` requests that create something (a store, a sync) may not: look \
at the list first.

### Order
Events are applied in the order in which they are accepted. Say when something happened with `occurred_at`, so that a count that \
arrives late does not undo what happened after it.";

/// A body for each schema of a request, which the service accepts; the page at `/docs` starts with it.
fn examples() -> [(&'static str, Value); 27] {
    [
        ("NewSeller", json!({ "name": "Ada's shop", "timezone": "Asia/Taipei" })),
        ("NamedKey", json!({ "name": "warehouse system" })),
        ("SellerChange", json!({ "name": "Ada's other shop", "timezone": "Asia/Taipei" })),
        ("LimitsFields", json!({ "events_per_second": 50, "skus": 20_000, "stores": null, "records_kept_days": 14 })),
        (
            "SettingsChange",
            json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": "03:30", "timezone": "Asia/Taipei", "guard": { "zero_percent": 20 } }),
        ),
        ("NewWarehouse", json!({ "code": "north", "name": "North" })),
        ("NewWebhook", json!({ "url": "https://example.com/stock", "topics": ["run.finished", "pushes.rejected"] })),
        ("WebhookChange", json!({ "enabled": true })),
        ("NewEmailAddress", json!({ "address": "ada@example.com", "topics": ["store.needs_reauthorization"], "digest_hour": 7 })),
        ("EmailAddressChange", json!({ "at_once": true })),
        ("WarehouseChange", json!({ "name": "Far north" })),
        (
            "StoreFields",
            json!({ "name": "Corner shop", "platform": "simulated", "base_url": "https://bridge.example.com", "external_store": "corner",
                "credentials": { "token": "the-bridges-token" }, "share_percent": 50 }),
        ),
        (
            "AppFields",
            json!({ "client_id": "0a1b2c3d4e5f", "client_secret": "the-apps-secret",
                "scopes": ["read_products", "read_inventory", "write_inventory"] }),
        ),
        ("ConnectionFields", json!({ "platform": "shopify", "shop": "acme.myshopify.com" })),
        ("Discover", json!({ "apply": false })),
        ("ListingRow", json!({ "sku": "MUG-BLUE", "external_id": "48912345678901", "units": 6 })),
        ("NewSku", json!({ "sku": "MUG-BLUE", "name": "Blue mug" })),
        ("NewBundle", json!({ "components": [{ "sku": "MUG-BLUE", "quantity": 2 }] })),
        ("RuleFields", json!({ "sku": "MUG-BLUE", "buffer": 2, "max_shown": 50 })),
        (
            "EventFields",
            json!({ "event_id": "order-1001-line-1", "sku": "MUG-BLUE", "kind": "purchase", "quantity": 10,
                "occurred_at": "2026-03-02T12:00:00Z", "note": "Delivery 4711" }),
        ),
        ("NewSync", json!({ "skus": ["MUG-BLUE"], "dry_run": true })),
        ("SyncGo", json!({ "go": true })),
        ("GoLive", json!({ "overwrite": true })),
        ("Retry", json!({ "state": "rejected" })),
        ("NoChoice", json!({})),
        ("NewPause", json!({ "reason": "Stocktaking" })),
        ("NewFrozenWindow", json!({ "name": "Holiday sale", "from": "2027-12-24T18:00", "to": "2027-12-27T06:00" })),
    ]
}

/// The same for bodies that are not JSON, by media type.
const TEXTS: [(&str, &str); 2] = [
    ("text/csv", "sku,external_id,units\nMUG-BLUE,48912345678901,6\n"),
    ("application/x-ndjson", "{\"event_id\":\"order-1002-line-1\",\"sku\":\"MUG-BLUE\",\"kind\":\"sale\",\"quantity\":1}\n"),
];

/// Where a body may be left out, because each of its fields may be.
const OPTIONAL_BODIES: [&str; 7] = [
    "/admin/syncs",
    "/v1/syncs",
    "/v1/stores/{id}/discover",
    "/admin/sellers/{id}/keys",
    "/v1/pause",
    "/v1/skus/{sku}/pause",
    "/admin/platforms/{platform}/pause",
];

/// Adds the shared part to the description.
pub(super) struct Common;

impl utoipa::Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        for (name, example) in examples() {
            match components.schemas.get_mut(name) {
                Some(RefOr::T(Schema::Object(schema))) => schema.examples = vec![example],
                Some(RefOr::T(Schema::AllOf(schema))) => schema.examples = vec![example],
                _ => {}
            }
        }
        openapi.info.description.get_or_insert_default().push_str(REPEATING);
        let bearer = |what: &str| SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(what)).build());
        components.add_security_scheme("operator_key", bearer("The operator's key."));
        components.add_security_scheme("seller_key", bearer("One of the seller's API keys."));
        for (path, item) in &mut openapi.paths.paths {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                add_path_parameters(path, operation);
                bound_pages(operation);
                add_texts(operation);
                if OPTIONAL_BODIES.contains(&path.as_str()) {
                    allow_no_body(operation);
                }
                add_common_problems(path, operation);
                operation.responses.responses.iter_mut().for_each(|(status, response)| complete(status, response));
            }
        }
    }
}

/// The macros recognize path parameters only if the handler takes them as a tuple.
fn add_path_parameters(path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    for name in path.split(['{', '}']).skip(1).step_by(2) {
        if parameters.iter().any(|p| matches!(p, RefOr::T(p) if p.name == name)) {
            continue;
        }
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let schema =
            if matches!(name, "code" | "sku") { schema } else { schema.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))) };
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).schema(Some(schema));
        parameters.push(parameter.build().into());
    }
}

/// The page size has the same bounds in every list.
fn bound_pages(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.parameter_in == ParameterIn::Query && parameter.name == "limit" {
            let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_PAGE_SIZE));
            parameter.schema = Some(schema.into());
        }
    }
}

fn add_texts(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for (media_type, text) in TEXTS {
        if let Some(RefOr::T(content)) = body.content.get_mut(media_type) {
            content.example = Some(json!(text));
        }
    }
}

fn allow_no_body(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(Required::False);
    }
}

fn add_common_problems(path: &str, operation: &mut Operation) {
    let of_seller = path.starts_with("/v1/");
    let with_body = operation.request_body.is_some();
    let with_query = operation.parameters.iter().flatten().any(|p| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Query));
    for (status, ..) in KINDS {
        let possible = match status {
            401 | 429 | 503 => of_seller || path.starts_with("/admin/"),
            403 => of_seller,
            400 | 408 | 413 | 415 => with_body,
            422 => with_body || with_query,
            _ => false,
        };
        if possible {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            let response = Response::builder().content(PROBLEM, content).build();
            operation.responses.responses.insert(status.to_string(), response.into());
        }
    }
}

const PROBLEM: &str = "application/problem+json";

/// Every response needs a description, and problem documents have their own media type.
fn complete(status: &str, response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    if response.description.is_empty() {
        let kind = KINDS.iter().find(|(known, ..)| known.to_string() == status);
        let success = match status {
            "201" => "The new resource.",
            "202" => "The work that was started.",
            _ => "The result.",
        };
        response.description = kind.map_or(success, |(_, _, title)| title).to_owned();
    }
    let problem = RefOr::from(Ref::from_schema_name("Problem"));
    let named_json = matches!(response.content.get("application/json"), Some(RefOr::T(content)) if content.schema == Some(problem));
    if named_json && let Some(content) = response.content.shift_remove("application/json") {
        response.content.insert(PROBLEM.to_owned(), content);
    }
}
