//! The HTTP interface: authenticates and parses requests, calls use cases, and formats answers. No SQL and no business
//! rules here.
//!
//! The [routes](configure) are one table; the description at `/openapi.json` is generated from the same table, so the two
//! cannot differ. Every handler for sellers takes an [`auth::Caller`], which gives access only to that seller's rows.
pub mod auth;
pub mod bodies;
pub mod body;
mod bundles;
pub mod console;
pub mod error;
mod every_error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod json;
pub mod quota;
pub mod request;
pub mod stock_events;

mod admin;
mod apps;
mod audit;
mod behind;
mod client_address;
mod columns;
mod connections;
mod description;
mod discover;
mod docs;
mod drift;
mod email;
mod explain;
mod failed_keys;
mod frozen_windows;
mod health;
mod hooks;
mod late;
mod limits;
mod listings;
mod numbers;
mod open_streams;
mod pauses;
mod platform_calls;
mod platforms;
mod proxies;
mod pushes;
mod rules;
mod settings;
mod skus;
mod spreadsheet;
mod state;
mod stock;
mod stores;
mod stream;
mod syncs;
mod throttle;
mod usage;
mod warehouses;
mod webhooks;

use actix_web::dev::Service;
use actix_web::error::InternalError;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderName, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, ResponseError, guard, web};
use description::Common;
use error::ApiError;
use std::sync::LazyLock;
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;

pub use late::refuse_late;
pub use platform_calls::PlatformCalls;
pub use proxies::TrustedProxies;
pub use state::{AppState, Settings};

/// Defines the routes and their description from one list.
macro_rules! routes {
    ($($module:ident :: $handler:ident),+ $(,)?) => {
        #[derive(OpenApi)]
        #[openapi(
            info(title = "Stocktide", description = "Keeps the stock shown in sellers' online stores accurate. \
                Errors are problem documents (RFC 9457); lists take `limit` and `cursor`; overload answers 429 or 503 with `Retry-After`.",
                license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
            paths($($module::$handler),+),
            components(schemas(error::Problem)),
            modifiers(&Common),
        )]
        struct Description;

        fn services(config: &mut web::ServiceConfig) {
            $(config.service($module::$handler);)+
        }
    };
}

routes![
    admin::create_seller,
    admin::sync_all,
    admin::list_sellers,
    admin::get_seller,
    admin::patch_seller,
    admin::delete_seller,
    admin::create_key,
    admin::list_keys,
    admin::revoke_key,
    admin::overview,
    behind::list_stores_behind,
    limits::get_seller_limits,
    limits::patch_seller_limits,
    limits::get_limits,
    usage::get_seller_usage,
    usage::export_usage,
    usage::get_usage,
    apps::list_apps,
    apps::put_app,
    apps::delete_app,
    apps::list_operator_audit,
    platforms::list_platforms,
    platforms::pause_platform,
    platforms::resume_platform,
    settings::get_sync_settings,
    settings::put_sync_settings,
    warehouses::list_warehouses,
    warehouses::create_warehouse,
    warehouses::patch_warehouse,
    warehouses::delete_warehouse,
    stores::list_stores,
    stores::create_store,
    stores::get_store,
    stores::patch_store,
    stores::go_live,
    stores::delete_store,
    stores::check_store,
    connections::list_connectable,
    connections::create_connection,
    discover::discover_store,
    listings::put_listings,
    listings::list_listings,
    listings::delete_listing,
    skus::put_skus,
    skus::list_skus,
    bundles::put_bundle,
    bundles::list_bundles,
    bundles::get_bundle,
    bundles::delete_bundle,
    rules::put_rules,
    rules::list_rules,
    stock_events::post_stock_events,
    stock::get_stock,
    explain::explain_stock,
    syncs::create_sync,
    syncs::list_syncs,
    syncs::get_sync,
    syncs::answer_sync,
    syncs::cancel_sync,
    syncs::undo_sync,
    pauses::list_pauses,
    pauses::pause_everything,
    pauses::resume_everything,
    pauses::pause_sku,
    pauses::resume_sku,
    frozen_windows::list_frozen_windows,
    frozen_windows::create_frozen_window,
    frozen_windows::delete_frozen_window,
    drift::create_drift_check,
    drift::list_drift_checks,
    drift::list_drifts,
    pushes::list_pushes,
    pushes::get_push,
    pushes::retry_pushes,
    stream::stream,
    email::list_email_addresses,
    email::create_email_address,
    email::get_email_address,
    email::patch_email_address,
    email::delete_email_address,
    email::ask_to_confirm_email_address,
    webhooks::list_webhooks,
    webhooks::create_webhook,
    webhooks::get_webhook,
    webhooks::patch_webhook,
    webhooks::delete_webhook,
    webhooks::test_webhook,
    webhooks::list_webhook_messages,
    audit::list_audit,
    health::healthz,
    health::readyz,
    health::metrics,
];

/// The OpenAPI 3.1 description of the interface.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Adds all routes, the description, its browsable form, and problem documents for every other path.
pub fn configure(config: &mut web::ServiceConfig) {
    services(config);
    config.route(
        "/",
        web::get()
            .guard(guard::fn_guard(wants_a_page))
            .to(|| async { HttpResponse::Found().insert_header((LOCATION, "/console")).finish() }),
    );
    console::configure(config);
    docs::configure(config, &openapi());
    config.route("/hooks/{platform}", web::post().to(hooks::hear));
    config.default_service(web::to(|request: HttpRequest| async move { no_route(&methods_of(request.path())) }));
    config.app_data(web::PathConfig::default().error_handler(|error, request| {
        let methods = methods_of(request.path());
        // A literal segment of the table is never an id: `/v1/pushes/retry` does not name a missing push.
        let response = if methods.contains(&request.method().as_str()) {
            ApiError::not_found("resource").error_response()
        } else {
            no_route(&methods)
        };
        InternalError::from_response(error, response).into()
    }));
}

/// Whether a browser asks, which is taken to the console. A program gets the problem that nothing is here.
fn wants_a_page(context: &guard::GuardContext<'_>) -> bool {
    let accepted = context.head().headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// The paths of the table by their segments, with the allowed methods of each.
static ADDRESSES: LazyLock<Vec<(Vec<String>, Vec<&str>)>> = LazyLock::new(|| {
    let address = |(template, item): (String, PathItem)| {
        let methods = [("GET", item.get), ("PUT", item.put), ("POST", item.post), ("PATCH", item.patch), ("DELETE", item.delete)];
        let there = methods.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name).collect();
        (template.split('/').map(str::to_owned).collect(), there)
    };
    openapi().paths.paths.into_iter().map(address).collect()
});

/// The allowed methods of this path; a literal path takes precedence over one with a variable.
fn methods_of(path: &str) -> Vec<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    let matches = |parts: &[String]| {
        parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, given)| if part.starts_with('{') { !given.is_empty() } else { part == given })
    };
    let literal = ADDRESSES.iter().find(|(parts, _)| *parts == segments);
    let address = literal.or_else(|| ADDRESSES.iter().find(|(parts, _)| matches(parts)));
    address.map(|(_, methods)| methods.clone()).unwrap_or_default()
}

/// Answers requests that no route matches: 405 if the path allows other methods, 404 otherwise.
fn no_route(methods: &[&str]) -> HttpResponse {
    if methods.is_empty() {
        return ApiError::not_found("address").error_response();
    }
    let methods = methods.join(", ");
    let mut response = ApiError::method_not_allowed(format!("Allowed: {methods}.")).error_response();
    if let Ok(value) = HeaderValue::try_from(methods) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// For whatever has no policy of its own: should a browser show such an answer as a page, it may load and do nothing.
const NO_CONTENT: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer: no caching, no content sniffing, no framing, and no content of a page unless it says so.
pub fn harden<S, B>(
    request: actix_web::dev::ServiceRequest,
    next: &S,
) -> impl Future<Output = Result<actix_web::dev::ServiceResponse<B>, actix_web::Error>> + use<S, B>
where
    S: Service<actix_web::dev::ServiceRequest, Response = actix_web::dev::ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
{
    let answer = next.call(request);
    async move {
        let mut answer = answer.await?;
        let headers = answer.headers_mut();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", NO_CONTENT),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            // The console and the browsable description have policies of their own.
            if !headers.contains_key(name) {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        if !headers.contains_key(actix_web::http::header::CACHE_CONTROL) {
            headers.insert(actix_web::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(answer)
    }
}
