//! Beginning to connect a shop by consent, for clients other than the console. The visitor comes back to the console's pages.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::domain::problem::{Checks, pointer_to};
use crate::domain::{StoreId, Timestamp};
use crate::platforms::authorize::{Consent, Entry};
use crate::platforms::consents;
use crate::platforms::form::form_of;
use crate::service::connect::{self, Leave, Wanted};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A field that a platform's flow asks beforehand.
#[derive(Serialize, utoipa::ToSchema)]
struct AskedField {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    /// The values to choose from; empty for any text.
    choices: Vec<&'static str>,
    required: bool,
}

impl From<&Entry> for AskedField {
    fn from(entry: &Entry) -> Self {
        let choices = entry.choices.iter().map(|(value, _)| *value).collect();
        Self { name: entry.name, label: entry.label, help: entry.help, choices, required: entry.required }
    }
}

/// A platform whose shops can be connected by consent.
#[derive(Serialize, utoipa::ToSchema)]
struct ConnectablePlatform {
    platform: &'static str,
    label: &'static str,
    /// Whether the operator has set up what it takes.
    available: bool,
    /// What to send beside `platform`.
    asked: Vec<AskedField>,
}

/// Lists the platforms whose shops are connected by consent, by name, and what each asks beforehand.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<ConnectablePlatform>), (status = 401, body = Problem)))]
#[get("/v1/connections")]
pub async fn list_connectable(_caller: Caller, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let available = connect::available(&state.service).await?;
    let is_set_up = state.settings.public_url.is_some();
    let platform = |consent: &&dyn Consent| ConnectablePlatform {
        platform: consent.platform(),
        label: form_of(consent.platform()).map_or(consent.platform(), |form| form.label),
        available: is_set_up && available.contains(&consent.platform()),
        asked: consent.asked().iter().map(AskedField::from).collect(),
    };
    let mut found: Vec<ConnectablePlatform> = consents().iter().map(platform).collect();
    found.sort_by_key(|found| found.platform);
    found.retain(|found| after.as_deref().is_none_or(|after| found.platform > after));
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |found| text_cursor(found.platform), |found| found)))
}

/// A shop to be connected. What else its platform asks beforehand is a text beside these, such as Shopify's `shop`.
#[derive(Deserialize, utoipa::ToSchema)]
struct ConnectionFields {
    /// The connector's name.
    #[schema(example = "shopify")]
    platform: String,
    /// A store that is to be authorized again; a new one is added without it.
    store_id: Option<StoreId>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    asked: Map<String, Value>,
}

/// Where to send the shop's owner.
#[derive(Serialize, utoipa::ToSchema)]
struct ConnectionAnswer {
    /// The platform's consent page, to be opened in the owner's browser.
    url: String,
    /// When it is too late to come back.
    expires_at: Timestamp,
}

/// Begins to connect a shop by consent. Open the address in the browser of the shop's owner: the platform asks for permission and
/// sends the owner back to this service, which shows whose account the shop is connected to, and connects it on a click.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = ConnectionFields,
    responses((status = 201, body = ConnectionAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/connections")]
pub async fn create_connection(caller: Caller, state: State, body: Body) -> Answer {
    let ConnectionFields { platform, store_id, asked } = body.object().await?;
    let mut checks = Checks::default();
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Some((name, text)),
        _ => {
            checks.note(pointer_to(&name), "must be text");
            None
        }
    };
    let asked = asked.into_iter().filter_map(text).collect();
    checks.done()?;
    let wanted = Wanted { platform, asked, store: store_id, session: None, public_url: state.settings.public_url.clone() };
    let Leave { url, expires_at } = connect::begin(&state.service, &caller, wanted).await?;
    Ok(HttpResponse::Created().json(ConnectionAnswer { url, expires_at }))
}
