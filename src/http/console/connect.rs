//! Connecting a shop by its platform's consent page: what is asked beforehand, and the way there.
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors};
use super::session::SellerVisit;
use crate::db::stores::Store;
use crate::domain::StoreId;
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::platforms::authorize::{Asked, Consent, Entry};
use crate::platforms::form::form_of;
use crate::platforms::{consent_of, consents};
use crate::service::connect::{self, Wanted};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;

/// One value to choose from.
struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

/// A field that is asked before the visitor leaves.
struct AskedField {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    value: String,
    required: bool,
    choices: Vec<Choice>,
    error: Option<String>,
}

impl AskedField {
    fn new(entry: &Entry, value: &str, errors: &FormErrors) -> Self {
        let choice = |(of, label): &(&'static str, &'static str)| Choice { value: of, label, chosen: *of == value };
        Self {
            name: entry.name,
            label: entry.label,
            help: entry.help,
            value: value.to_owned(),
            required: entry.required,
            choices: entry.choices.iter().map(choice).collect(),
            error: errors.at(&format!("/{}", entry.name)),
        }
    }
}

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    platform: &'static str,
    label: &'static str,
    /// The id and the name of the store that is authorized again; `None` for a new one.
    store: Option<(String, String)>,
    fields: Vec<AskedField>,
    /// Why it cannot be connected now, for people.
    missing: Option<String>,
    errors: Vec<String>,
}

#[derive(Template)]
#[template(path = "leave.html")]
struct LeavePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    label: &'static str,
    url: String,
}

#[derive(Deserialize)]
pub(super) struct StoreQuery {
    store: Option<StoreId>,
}

fn flow_of(platform: &str) -> Result<&'static dyn Consent, ApiError> {
    consent_of(platform).ok_or_else(|| ApiError::not_found("platform"))
}

/// What keeps this platform's shops from being connected by consent now, and whom to ask; `None` if nothing does.
pub(super) async fn missing(state: &State, platform: &str, label: &str) -> Result<Option<String>, ApiError> {
    if state.settings.public_url.is_none() {
        return Ok(Some("The operator of this service hasn't said where browsers reach it (public_url). Ask the operator.".to_owned()));
    }
    let is_available = connect::available(&state.service).await?.contains(&platform);
    Ok((!is_available).then(|| format!("The operator of this service hasn't set up an app for {label} yet. Ask the operator.")))
}

fn page_of<'a>(
    frame: &'a Frame,
    flow: &dyn Consent,
    store: Option<&Store>,
    typed: &Asked,
    errors: &FormErrors,
    missing: Option<String>,
) -> ConnectPage<'a> {
    let asked = if store.is_some() { &[] } else { flow.asked() };
    let pointers: Vec<String> = asked.iter().map(|entry| format!("/{}", entry.name)).collect();
    let value = |entry: &Entry| typed.get(entry.name).map(String::as_str).unwrap_or_default();
    ConnectPage {
        frame,
        here: "stores",
        platform: flow.platform(),
        label: form_of(flow.platform()).map_or(flow.platform(), |form| form.label),
        store: store.map(|store| (store.id.to_string(), store.name.clone())),
        fields: asked.iter().map(|entry| AskedField::new(entry, value(entry), errors)).collect(),
        missing,
        errors: errors.elsewhere(&pointers.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

async fn store_of(visit: &SellerVisit, id: Option<StoreId>) -> Result<Option<Store>, ApiError> {
    match id {
        None => Ok(None),
        Some(id) => Ok(Some(visit.caller.db.read(move |t| t.store(id)).await?)),
    }
}

/// What is asked before the visitor leaves for the platform.
pub(super) async fn page(visit: SellerVisit, state: State, platform: Path<String>, query: Query<StoreQuery>) -> PageAnswer {
    let flow = flow_of(&platform)?;
    let store = store_of(&visit, query.store).await?;
    let label = form_of(flow.platform()).map_or(flow.platform(), |form| form.label);
    let missing = missing(&state, flow.platform(), label).await?;
    let page = page_of(&visit.frame, flow, store.as_ref(), &Asked::new(), &FormErrors::default(), missing);
    visit.frame.page(&page)
}

/// Begins the authorization. A form's answer may not redirect to another site (the content policy), so a page does.
pub(super) async fn leave(posted: Posted<SellerVisit>, state: State, platform: Path<String>) -> PageAnswer {
    let (visit, flow) = (&posted.visit, flow_of(&platform)?);
    let id = posted.fields.some("store").map(|id| id.parse::<StoreId>().map_err(|_| ApiError::not_found("store"))).transpose()?;
    let store = store_of(visit, id).await?;
    let asked = if store.is_some() { &[] } else { flow.asked() };
    let typed: Asked = asked.iter().map(|entry| (entry.name.to_owned(), posted.fields.text(entry.name).to_owned())).collect();
    let wanted = Wanted {
        platform: flow.platform().to_owned(),
        asked: typed.clone(),
        store: id,
        session: Some(visit.session),
        public_url: state.settings.public_url.clone(),
    };
    match field_errors(connect::begin(&state.service, &visit.caller, wanted).await)? {
        Err(errors) => visit.frame.rejected(&page_of(&visit.frame, flow, store.as_ref(), &typed, &errors, None)),
        Ok(connect::Leave { url, .. }) => {
            let label = form_of(flow.platform()).map_or(flow.platform(), |form| form.label);
            visit.frame.page(&LeavePage { frame: &visit.frame, here: "stores", label, url })
        }
    }
}

/// The platforms whose shops can be connected by consent now, each with its label, and what to ask the operator for.
pub(super) async fn connectable(state: &State) -> Result<(Vec<(&'static str, &'static str)>, Option<String>), ApiError> {
    let available = if state.settings.public_url.is_some() { connect::available(&state.service).await? } else { Vec::new() };
    let label = |platform: &'static str| form_of(platform).map_or(platform, |form| form.label);
    let others: Vec<&str> = consents().iter().map(|c| c.platform()).filter(|p| !available.contains(p)).map(label).collect();
    let missing =
        format!("Shops on {} could be connected without credentials, if the operator of this service sets that up.", others.join(", "));
    Ok((available.into_iter().map(|platform| (platform, label(platform))).collect(), (!others.is_empty()).then_some(missing)))
}
