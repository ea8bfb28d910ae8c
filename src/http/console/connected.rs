//! The way back from a platform's consent page: `/connect/{platform}/callback`. A visitor whose session began the authorization
//! lands on the store's page; any other is first asked, for the link may have come from somebody else.
use super::form::Fields;
use super::page::{PageAnswer, Refusal, go_saying, go_warning, html};
use super::session::session_of;
use super::stores::{WORKS, does_not_work};
use crate::http::body::{Body, Content};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::platforms::form::form_of;
use crate::service::connected::{self, Connected, NotConnected, Visit};
use crate::service::stores::Checked;
use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use std::collections::BTreeMap;

/// The most bytes and parameters that a platform sends somebody back with.
const MAX_QUERY: usize = 8192;
const MAX_PARAMETERS: usize = 40;

/// Asks whether the shop is to be connected to this seller.
#[derive(Template)]
#[template(path = "agree.html")]
struct AgreePage {
    label: String,
    seller: String,
    action: String,
    parameters: Vec<(String, String)>,
}

/// What came of it, for a visitor without a session.
#[derive(Template)]
#[template(path = "connected.html")]
struct OutcomePage {
    title: String,
    detail: String,
    /// Where to go on, and what that is called.
    next: (String, &'static str),
}

fn label(platform: &str) -> String {
    form_of(platform).map_or(platform, |form| form.label).to_owned()
}

fn parameters(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    if text.len() > MAX_QUERY {
        return Err(ApiError::malformed("This address is too long.").into());
    }
    let found: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().take(MAX_PARAMETERS + 1).collect();
    if found.len() > MAX_PARAMETERS {
        return Err(ApiError::malformed("This address has too many parameters.").into());
    }
    Ok(found)
}

/// The page for somebody whose shop was not connected.
fn refused(platform: &str, why: NotConnected) -> HttpResponse {
    let (status, detail) = match why {
        NotConnected::Unknown => (StatusCode::NOT_FOUND, why.to_string()),
        NotConnected::Used | NotConnected::Late | NotConnected::NoApp => (StatusCode::CONFLICT, why.to_string()),
        NotConnected::Declined => (StatusCode::OK, why.to_string()),
        NotConnected::Unfit(_) | NotConnected::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, why.to_string()),
        NotConnected::NotSaved(error) => {
            let error = ApiError::from(error);
            let detail = super::show::sentence_case(error.detail());
            (error.status_code(), format!("{detail}{}", if detail.ends_with('.') { "" } else { "." }))
        }
    };
    let title = format!("{} was not connected", label(platform));
    let page = OutcomePage { title, detail, next: (format!("/console/connect/{platform}"), "Connect again") };
    html(status, &page)
}

/// Somebody comes back.
pub(super) async fn returned(request: HttpRequest, state: State, platform: Path<String>) -> PageAnswer {
    let session = session_of(&state, &request).await?;
    let has_session = session.is_some();
    let platform = platform.into_inner();
    let parameters = parameters(request.query_string())?;
    let public_url = state.public_url()?;
    let visit = Visit { platform: platform.clone(), parameters, session, public_url };
    match connected::look(&state.service, &visit).await {
        Err(why) => Ok(refused(&platform, why)),
        Ok(returning) if returning.asks_first => {
            let action = format!("/connect/{platform}/callback");
            let page = AgreePage { label: label(&platform), seller: returning.seller, action, parameters: visit.parameters };
            Ok(html(StatusCode::OK, &page))
        }
        Ok(_) => end(&state, visit, has_session).await,
    }
}

/// Somebody who was asked agrees, or a shop's server sends its keys.
pub(super) async fn agreed(request: HttpRequest, state: State, platform: Path<String>, body: Body) -> PageAnswer {
    super::form::same_site(request.headers())?;
    let content = body.read_up_to(MAX_QUERY).await?;
    if content.media_type == "application/json" {
        return keys(&state, &platform, &content).await;
    }
    let fields = Fields::read(request.headers(), content, &state.bodies).await?;
    let session = session_of(&state, &request).await?;
    let (platform, public_url) = (platform.into_inner(), state.public_url()?);
    let visit = Visit { platform, parameters: fields.into_pairs(), session, public_url };
    end(&state, visit, false).await
}

/// Keeps a shop's keys until its owner comes back. The answer is for the shop's server, which only looks at its status.
async fn keys(state: &State, platform: &str, content: &Content) -> PageAnswer {
    let sent: BTreeMap<String, serde_json::Value> = content.object()?;
    let text = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Some((name, text)),
        serde_json::Value::Number(number) => Some((name, number.to_string())),
        _ => None,
    };
    let sent: Vec<(String, String)> = sent.into_iter().filter_map(text).take(MAX_PARAMETERS).collect();
    Ok(match connected::receive(&state.service, platform, &sent).await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(why) => refused(platform, why),
    })
}

async fn end(state: &State, visit: Visit, has_session: bool) -> PageAnswer {
    let platform = visit.platform.clone();
    let Connected { store, again, checked: Checked { reason, note } } = match connected::finish(&state.service, visit).await {
        Ok(connected) => connected,
        Err(why) => return Ok(refused(&platform, why)),
    };
    let here = format!("/console/stores/{}", store.id);
    let done = format!("{} is {}.", store.name, if again { "connected again" } else { "connected" });
    let next = if again { "What was held is sent now." } else { "Next, pair its listings with your SKUs." };
    let (works, text) = match reason {
        None => (true, [Some(WORKS.to_owned()), note, Some(next.to_owned())].into_iter().flatten().collect::<Vec<_>>().join(" ")),
        Some(reason) => (false, does_not_work(&reason)),
    };
    if has_session {
        let notice = format!("{done} {text}");
        return Ok(if works { go_saying(&here, &notice) } else { go_warning(&here, &notice) });
    }
    Ok(html(StatusCode::OK, &OutcomePage { title: done, detail: text, next: (here, "Open the store") }))
}
