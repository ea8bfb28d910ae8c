//! The web console at `/console`: pages rendered on the server, one style sheet, a little script.
//!
//! Handlers read what a page shows and translate forms into the same requests that the API takes. Validation, saving
//! and auditing happen in one place for both, so they always agree. Everything works without JavaScript; with it, pages
//! refresh themselves from `/v1/stream`.
//!
//! A seller's pages take a `session::SellerVisit`, the operator's pages a `session::OperatorVisit`. Handlers that change
//! something take a `form::Posted`, which proves that the form came from one of the visitor's own pages.
mod allocation;
mod asset_handler;
mod assets;
mod behind;
mod bundle;
mod changed;
mod components;
mod connect;
mod connected;
mod drift;
mod email_links;
mod emails;
mod explain;
mod field;
mod figures;
mod form;
mod guard;
mod listing_form;
mod manual_sync;
mod operator;
mod operator_changes;
mod page;
mod pairing;
mod pauses;
mod platforms;
mod plot;
mod policy;
mod record;
mod records;
mod sales_channel;
mod sampling;
mod seller_keys;
mod seller_limits;
mod seller_page;
mod sellers;
pub(super) mod session;
mod show;
mod sign_in;
mod split;
mod state;
mod stock;
mod store_form;
mod stores;
mod undo;
mod webhooks;

pub use sampling::keep_figures;
pub use state::Console;

use super::error::ApiError;
use actix_web::dev::Service;
use actix_web::web::{self, get, post};
use page::Refusal;

/// A scope whose answers are pages with the console's policy.
macro_rules! pages {
    ($prefix:literal) => {
        web::scope($prefix)
            .app_data(web::PathConfig::default().error_handler(|_, _| no_such_page().into()))
            .app_data(web::QueryConfig::default().error_handler(|_, _| no_such_page().into()))
            .wrap_fn(|request, next| {
                let answer = next.call(request);
                async move {
                    let mut answer = answer.await?;
                    policy::apply(answer.headers_mut());
                    Ok(answer)
                }
            })
    };
}

fn no_such_page() -> Refusal {
    Refusal::from(ApiError::not_found("page"))
}

/// The route table.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let scope = pages!("/console")
        .route("", get().to(sign_in::start))
        .route("/", get().to(sign_in::start))
        .route("/assets/{version}/{name}", get().to(asset_handler::asset))
        .route("/sign-in", get().to(sign_in::page))
        .route("/sign-in", post().to(sign_in::sign_in))
        .route("/sign-out", post().to(sign_in::sign_out))
        .route("/sales-channel", get().to(sales_channel::page))
        .route("/sales-channel/off", get().to(sales_channel::switch_off_page))
        .route("/sales-channel/auto-sync", post().to(sales_channel::switch))
        .route("/sales-channel/frequency", get().to(sales_channel::frequency_page))
        .route("/sales-channel/frequency", post().to(sales_channel::frequency))
        .route("/sales-channel/allocation", get().to(allocation::page))
        .route("/sales-channel/allocation", post().to(allocation::save))
        .route("/sales-channel/guard", get().to(guard::page))
        .route("/sales-channel/guard", post().to(guard::save))
        .route("/stores", get().to(stores::list))
        .route("/stores/new", get().to(store_form::new_page))
        .route("/stores/new", post().to(store_form::create))
        .route("/connect/{platform}", get().to(connect::page))
        .route("/connect/{platform}", post().to(connect::leave))
        .route("/stores/{id}", get().to(stores::one))
        .route("/stores/{id}/edit", get().to(store_form::edit_page))
        .route("/stores/{id}/edit", post().to(store_form::edit))
        .route("/stores/{id}/check", post().to(stores::check))
        .route("/stores/{id}/go-live", post().to(stores::go_live))
        .route("/stores/{id}/pause", post().to(stores::pause))
        .route("/stores/{id}/delete", get().to(stores::delete_page))
        .route("/stores/{id}/delete", post().to(stores::delete))
        .route("/stores/{id}/listings.csv", get().to(pairing::export))
        .route("/stores/{id}/import", get().to(pairing::import_form))
        .route("/stores/{id}/import", post().to(pairing::import))
        .route("/stores/{id}/discover", get().to(pairing::discover_form))
        .route("/stores/{id}/discover", post().to(pairing::discovered))
        .route("/stores/{id}/listings/{listing}/edit", get().to(listing_form::page))
        .route("/stores/{id}/listings/{listing}/edit", post().to(listing_form::save))
        .route("/stores/{id}/listings/{listing}/unpair", get().to(stores::unpair_page))
        .route("/stores/{id}/listings/{listing}/unpair", post().to(stores::unpair))
        .route("/drift", get().to(drift::page))
        .route("/drift", post().to(drift::save))
        .route("/drift/stores/{id}/check", post().to(drift::check))
        .route("/emails", get().to(emails::list))
        .route("/emails", post().to(emails::add))
        .route("/emails/{id}", get().to(emails::one))
        .route("/emails/{id}", post().to(emails::save))
        .route("/emails/{id}/confirmation", post().to(emails::ask_again))
        .route("/emails/{id}/delete", get().to(emails::delete_page))
        .route("/emails/{id}/delete", post().to(emails::delete))
        .route("/pauses", get().to(pauses::page))
        .route("/pauses", post().to(pauses::switch))
        .route("/pauses/windows", post().to(pauses::add_window))
        .route("/pauses/windows/{id}/delete", post().to(pauses::delete_window))
        .route("/webhooks", get().to(webhooks::list))
        .route("/webhooks", post().to(webhooks::add))
        .route("/webhooks/{id}", get().to(webhooks::one))
        .route("/webhooks/{id}", post().to(webhooks::save))
        .route("/webhooks/{id}/switch", post().to(webhooks::switch))
        .route("/webhooks/{id}/test", post().to(webhooks::test))
        .route("/webhooks/{id}/delete", get().to(webhooks::delete_page))
        .route("/webhooks/{id}/delete", post().to(webhooks::delete))
        .route("/stock", get().to(stock::search))
        .route("/stock/sku", get().to(stock::one))
        .route("/stock/sku/bundle", get().to(bundle::page))
        .route("/stock/sku/bundle", post().to(bundle::save))
        .route("/stock/sku/pause", post().to(pauses::switch_sku))
        .route("/stock/explain", get().to(explain::page))
        .route("/records", get().to(records::list))
        .route("/records/retry", post().to(records::retry_all))
        .route("/records/pushes/{id}", get().to(record::push))
        .route("/records/pushes/{id}/retry", post().to(records::retry_one))
        .route("/records/runs/{id}", get().to(record::run))
        .route("/records/runs/{id}/answer", post().to(guard::answer))
        .route("/records/runs/{id}/cancel", post().to(undo::cancel))
        .route("/records/runs/{id}/undo", get().to(undo::page))
        .route("/records/runs/{id}/undo", post().to(undo::start))
        .route("/manual-sync", get().to(manual_sync::page))
        .route("/manual-sync/preview", post().to(manual_sync::preview_page))
        .route("/manual-sync/overwrite", post().to(manual_sync::overwrite))
        .route("/operator", get().to(operator::figures))
        .route("/operator/stores", get().to(behind::page))
        .route("/operator/platforms", get().to(platforms::page))
        .route("/operator/platforms/{platform}", post().to(platforms::switch))
        .route("/operator/changes", get().to(operator_changes::page))
        .route("/operator/sellers", get().to(sellers::list))
        .route("/operator/sellers/new", get().to(sellers::new_page))
        .route("/operator/sellers/new", post().to(sellers::add))
        .route("/operator/sellers/{id}", get().to(seller_page::one))
        .route("/operator/sellers/{id}/edit", get().to(sellers::edit_page))
        .route("/operator/sellers/{id}/edit", post().to(sellers::edit))
        .route("/operator/sellers/{id}/suspend", get().to(sellers::suspend_page))
        .route("/operator/sellers/{id}/suspend", post().to(sellers::suspend))
        .route("/operator/sellers/{id}/limits", get().to(seller_limits::page))
        .route("/operator/sellers/{id}/limits", post().to(seller_limits::save))
        .route("/operator/sellers/{id}/keys", post().to(seller_keys::add))
        .route("/operator/sellers/{id}/keys/{key}/revoke", get().to(seller_keys::revoke_page))
        .route("/operator/sellers/{id}/keys/{key}/revoke", post().to(seller_keys::revoke))
        .default_service(web::to(|| async { Err::<&str, _>(no_such_page()) }));
    config.service(scope);
    // Where platforms send visitors back to; registered with them, so it does not name the console.
    let returns = pages!("/connect")
        .route("/{platform}/callback", get().to(connected::returned))
        .route("/{platform}/callback", post().to(connected::agreed))
        .default_service(web::to(|| async { Err::<&str, _>(no_such_page()) }));
    config.service(returns);
    let links = pages!("/email")
        .route("/confirm/{token}", get().to(email_links::confirm_page))
        .route("/confirm/{token}", post().to(email_links::confirm))
        .route("/unsubscribe/{token}", get().to(email_links::unsubscribe_page))
        .route("/unsubscribe/{token}", post().to(email_links::unsubscribe))
        .default_service(web::to(|| async { Err::<&str, _>(no_such_page()) }));
    config.service(links);
}
