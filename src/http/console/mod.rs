//! The web console at `/console`: pages written on the server, one style sheet, a little script.
//!
//! Handlers here read what a page shows and turn forms into the requests of the interface; what is checked, saved and
//! audited is decided where the interface decides it, so both always agree. Without JavaScript everything works; with
//! it, pages keep themselves up to date by `/v1/stream`.
//!
//! A seller's pages take a [`session::SellerVisit`], the operator's a [`session::OperatorVisit`]; what changes
//! something takes a [`form::Posted`], which proves that the form came from the visitor's own page.
mod assets;
mod components;
mod field;
mod figures;
mod form;
mod manual_sync;
mod operator;
mod page;
mod pairing;
mod plot;
mod records;
mod sales_channel;
pub(super) mod session;
mod show;
mod sign_in;
mod split;
mod stock;
mod store_form;
mod stores;

use super::error::ApiError;
use super::open_streams::Streams;
use super::throttle::Throttle;
use actix_web::dev::Service;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use actix_web::web::{self, get, post};
pub use figures::keep as keep_figures;
use page::Refusal;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Scripts, styles and pictures from here alone, none of them within a page; forms go nowhere else; nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Failed sign-ins from one address; then it waits.
const MOST_FAILED_SIGN_INS: u32 = 10;
const FAILED_SIGN_INS_WITHIN: Duration = Duration::from_secs(300);

/// What the console keeps while the service runs.
#[derive(Debug)]
pub struct Console {
    /// Whether browsers come by https, whatever a proxy says.
    pub https: bool,
    /// Ends what would go on for ever: streams and looks.
    pub stopping: CancellationToken,
    /// Open streams.
    pub(super) streams: Streams,
    throttle: Throttle,
    figures: figures::Figures,
}

impl Console {
    /// With nothing remembered yet.
    pub fn new(https: bool, stopping: CancellationToken) -> Self {
        let throttle = Throttle::new(MOST_FAILED_SIGN_INS, FAILED_SIGN_INS_WITHIN);
        Self { https, stopping, streams: Streams::default(), throttle, figures: figures::Figures::default() }
    }
}

/// The pages, as one table.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let scope = web::scope("/console")
        .app_data(web::PathConfig::default().error_handler(|_, _| Refusal::from(ApiError::not_found("page")).into()))
        .app_data(web::QueryConfig::default().error_handler(|_, _| Refusal::from(ApiError::not_found("page")).into()))
        .wrap_fn(|request, next| {
            let answer = next.call(request);
            async move {
                let mut answer = answer.await?;
                let headers = answer.headers_mut();
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                // Forms must say where they come from, so not "no-referrer"; to other sites nothing is told.
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
                Ok(answer)
            }
        })
        .route("", get().to(sign_in::start))
        .route("/", get().to(sign_in::start))
        .route("/assets/{version}/{name}", get().to(assets::asset))
        .route("/sign-in", get().to(sign_in::page))
        .route("/sign-in", post().to(sign_in::sign_in))
        .route("/sign-out", post().to(sign_in::sign_out))
        .route("/sales-channel", get().to(sales_channel::page))
        .route("/sales-channel/off", get().to(sales_channel::switch_off_page))
        .route("/sales-channel/auto-sync", post().to(sales_channel::switch))
        .route("/sales-channel/frequency", get().to(sales_channel::frequency_page))
        .route("/sales-channel/frequency", post().to(sales_channel::frequency))
        .route("/sales-channel/allocation", get().to(split::page))
        .route("/sales-channel/allocation", post().to(split::save))
        .route("/stores", get().to(stores::list))
        .route("/stores/new", get().to(store_form::new_page))
        .route("/stores/new", post().to(store_form::create))
        .route("/stores/{id}", get().to(stores::one))
        .route("/stores/{id}/edit", get().to(store_form::edit_page))
        .route("/stores/{id}/edit", post().to(store_form::edit))
        .route("/stores/{id}/check", post().to(stores::check))
        .route("/stores/{id}/pause", post().to(stores::pause))
        .route("/stores/{id}/delete", get().to(stores::delete_page))
        .route("/stores/{id}/delete", post().to(stores::delete))
        .route("/stores/{id}/listings.csv", get().to(pairing::export))
        .route("/stores/{id}/import", get().to(pairing::import_form))
        .route("/stores/{id}/import", post().to(pairing::import))
        .route("/stores/{id}/discover", get().to(pairing::discover_form))
        .route("/stores/{id}/discover", post().to(pairing::discovered))
        .route("/stores/{id}/listings/{listing}/unpair", get().to(stores::unpair_page))
        .route("/stores/{id}/listings/{listing}/unpair", post().to(stores::unpair))
        .route("/stock", get().to(stock::search))
        .route("/stock/sku", get().to(stock::one))
        .route("/records", get().to(records::list))
        .route("/records/retry", post().to(records::retry_all))
        .route("/records/pushes/{id}", get().to(records::push))
        .route("/records/pushes/{id}/retry", post().to(records::retry_one))
        .route("/records/runs/{id}", get().to(records::run))
        .route("/manual-sync", get().to(manual_sync::page))
        .route("/manual-sync/preview", post().to(manual_sync::preview_page))
        .route("/manual-sync/overwrite", post().to(manual_sync::overwrite))
        .route("/operator", get().to(operator::figures))
        .route("/operator/sellers", get().to(operator::sellers))
        .route("/operator/sellers/{id}", get().to(operator::seller))
        .default_service(web::to(|| async { Err::<&str, _>(Refusal::from(ApiError::not_found("page"))) }));
    config.service(scope);
}
