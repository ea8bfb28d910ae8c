//! Calls from platforms. They are signed, so no key is asked for. They are answered at once: what they say about a shop is found
//! out afterwards, by asking the shop.
use super::body::Body;
use super::client_address::address;
use super::error::ApiError;
use super::state::{Answer, State};
use crate::platforms::notice::{PlatformCall, Unheard};
use crate::service::hooks::{self, NotHeard};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;

/// The most bytes of a call.
const MAX_BODY: usize = 256 * 1024;
/// Hears a call of a platform. One that is repeated changes nothing.
pub(super) async fn hear(request: HttpRequest, state: State, platform: Path<String>, body: Body) -> Answer {
    let address = address(&request);
    let _attempt = state.platform_calls.failed.attempt(address).await.map_err(ApiError::too_many_invalid_keys)?;
    let content = body.read_up_to(MAX_BODY).await?;
    // Before anything is changed, so that the platform calls again.
    let busy = || ApiError::unavailable("Too many calls are being looked into at the moment.");
    let place = Arc::clone(&state.platform_calls.asked).try_acquire_owned().map_err(|_| busy())?;
    let url = format!("{}/hooks/{platform}", state.public_url()?);
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let call = PlatformCall { url: &url, header: &header, body: &content.bytes };
    match hooks::hear(&state.service, &platform, call).await {
        Ok(stores) => {
            state.platform_calls.failed.succeeded(address);
            let service = state.service.clone();
            actix_web::rt::spawn(async move {
                let _place = place;
                for (seller, store) in stores {
                    if let Err(error) = hooks::look_at(&service, seller, store).await {
                        tracing::warn!(%error, store.id = %store, "a store whose app is said to be removed could not be looked at");
                    }
                }
            });
            Ok(HttpResponse::Ok().finish())
        }
        Err(NotHeard::NoApp) => Err(ApiError::not_found("app for this platform")),
        Err(NotHeard::Unheard(why)) => {
            state.platform_calls.failed.failed(address);
            Err(match why {
                Unheard::Forged => ApiError::unauthorized("The call is not signed by the platform with the app's secret."),
                Unheard::Unreadable => ApiError::malformed("The call is signed, but it is not what the platform documents."),
            })
        }
        Err(NotHeard::Rows(error)) => Err(error.into()),
    }
}
