//! Beginning to connect a shop by consent: a visitor leaves for the platform's consent page. The way back is in
//! [`connected`](super::connected).
use super::apps::opened;
use super::context::{Caller, Error, Result, Service};
use crate::db::apps::app;
use crate::db::authorizations::Authorization;
use crate::db::stores::Store;
use crate::db::{self, Conn};
use crate::domain::authorization::{Begun, Digest, VALID_FOR};
use crate::domain::ids::check_text;
use crate::domain::problem::Checks;
use crate::domain::{FieldError, StoreId, Timestamp};
use crate::platforms::authorize::{App, Asked, Consent, Entry, Leaving};
use crate::platforms::form::form_of;
use crate::platforms::{consent_of, consents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The bytes of a state.
const STATE_BYTES: usize = 32;
/// The most characters in what a seller enters beforehand.
const MAX_ENTERED: usize = 300;

/// Why nothing can be connected by consent while nobody knows where to come back to.
pub const NO_PUBLIC_URL: &str = "the operator of this service has not set public_url, the address to which platforms send people back; \
    ask the operator, or enter credentials of your own";

/// An authorization that a seller wants to begin.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The connector's name.
    pub platform: String,
    /// What the platform's flow asks beforehand, by name.
    pub asked: Asked,
    /// The store to be authorized again; `None` for a new one.
    pub store: Option<StoreId>,
    /// The console's session that begins it; `None` over HTTP.
    pub session: Option<Digest>,
    /// The public address of this service, if its operator has set one.
    pub public_url: Option<String>,
}

/// An authorization that has begun.
#[derive(Debug, Clone)]
pub struct Leave {
    /// The consent page.
    pub url: String,
    /// When it is too late to come back.
    pub expires_at: Timestamp,
}

/// Where the platform sends visitors back to.
pub fn callback(public_url: &str, platform: &str) -> String {
    format!("{}/connect/{platform}/callback", public_url.trim_end_matches('/'))
}

/// The platforms that can be connected now: those that need no app, and those whose app the operator has entered.
///
/// # Errors
/// If the database cannot be read.
pub async fn available(service: &Service) -> Result<Vec<&'static str>> {
    let apps = service.db.read(crate::db::apps::apps).await?;
    let can = |consent: &&&dyn Consent| consent.app_fields().is_none() || apps.iter().any(|app| app.platform == consent.platform());
    Ok(consents().iter().filter(can).map(|consent| consent.platform()).collect())
}

pub(super) fn hash(state: &str) -> Digest {
    Sha256::digest(state.as_bytes()).into()
}

fn flow_of(platform: &str) -> Result<&'static dyn Consent, Vec<FieldError>> {
    consent_of(platform).ok_or_else(|| {
        let known: Vec<&str> = consents().iter().map(|consent| consent.platform()).collect();
        vec![FieldError::new("/platform", format!("must be one of: {}", known.join(", ")))]
    })
}

/// The platform's name for people.
pub(super) fn label(platform: &str) -> &str {
    form_of(platform).map_or(platform, |form| form.label)
}

/// The app of this platform; an empty one if the platform needs none.
pub(super) fn app_of(service: &Service, conn: &mut Conn, flow: &dyn Consent) -> db::Result<Option<App>> {
    match (app(conn, flow.platform())?, flow.app_fields()) {
        (Some(row), _) => opened(&row, &service.sealer).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => {
            let (client_id, secret) = (String::new(), SecretString::from(""));
            let (scopes, settings) = (Vec::new(), BTreeMap::new());
            Ok(Some(App { client_id, secret, scopes, sandbox: false, base_url: None, settings }))
        }
    }
}

fn check_asked(flow: &dyn Consent, given: Asked) -> Result<Asked, Vec<FieldError>> {
    let mut checks = Checks::default();
    for entry in flow.asked() {
        let pointer = format!("/{}", entry.name);
        match given.get(entry.name).map(|text| text.trim()) {
            None | Some("") if entry.required => checks.note(pointer, format!("is required: {}", entry.help)),
            Some(text) if !entry.choices.is_empty() && !text.is_empty() && entry.choices.iter().all(|(value, _)| *value != text) => {
                let known: Vec<&str> = entry.choices.iter().map(|(value, _)| *value).collect();
                checks.note(pointer, format!("must be one of: {}", known.join(", ")));
            }
            Some(text) if !text.is_empty() => drop(checks.take(&pointer, check_text(text, "it", MAX_ENTERED))),
            None | Some(_) => {}
        }
    }
    for name in given.keys().filter(|name| flow.asked().iter().all(|entry| entry.name != name.as_str())) {
        let detail = format!("is not asked before {} is connected", label(flow.platform()));
        checks.extend([FieldError::named("", "member", name, detail)]);
    }
    checks.done()?;
    flow.check(given.into_iter().map(|(name, text)| (name, text.trim().to_owned())).filter(|(_, text)| !text.is_empty()).collect())
}

/// What an existing store's settings answer to what is asked beforehand: it is this shop that is authorized again.
fn asked_of(flow: &dyn Consent, store: &Store) -> Asked {
    let config: Map<String, Value> = serde_json::from_str(&store.config).unwrap_or_default();
    let text = |name: &str| match name {
        "base_url" => store.base_url.clone(),
        name => match config.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        },
    };
    let is_choice = |entry: &Entry, text: &str| entry.choices.is_empty() || entry.choices.iter().any(|(value, _)| *value == text);
    let answer = |entry: &Entry| Some((entry.name.to_owned(), text(entry.name).filter(|text| is_choice(entry, text))?));
    flow.asked().iter().filter_map(answer).collect()
}

/// Begins an authorization. The visitor who follows the address has to come back in the same browser, within minutes.
///
/// # Errors
/// Every invalid field, no such store, or a conflict if the operator has entered no app for the platform.
pub async fn begin(service: &Service, caller: &Caller, wanted: Wanted) -> Result<Leave> {
    let store = match wanted.store {
        None => None,
        Some(id) => match caller.db.read(move |t| t.store(id)).await {
            Err(db::Error::NotFound) => return Err(Error::NoSuch { pointer: "/store_id".to_owned(), what: "store" }),
            store => Some(store?),
        },
    };
    let flow = flow_of(&wanted.platform)?;
    let asked = match store {
        None => wanted.asked,
        Some(store) => {
            if store.platform != wanted.platform {
                return Err(Error::field("/platform", format!("must be {}, as this store's", store.platform)));
            }
            asked_of(flow, &store).into_iter().chain(wanted.asked).collect()
        }
    };
    let asked = check_asked(flow, asked)?;
    let public_url = wanted.public_url.ok_or_else(|| Error::conflict(NO_PUBLIC_URL))?;
    let of_service = service.clone();
    let app = service.db.read(move |conn| app_of(&of_service, conn, flow)).await?;
    let app = app.ok_or_else(|| {
        let name = label(flow.platform());
        Error::conflict(format!(
            "the operator of this service has not set up an app for {name} yet; ask the operator, or enter credentials of your own"
        ))
    })?;
    let mut bytes = [0u8; STATE_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomNumbers)?;
    let state = URL_SAFE_NO_PAD.encode(bytes);
    let callback = callback(&public_url, flow.platform());
    let leaving = Leaving { app: &app, asked: &asked, callback: &callback, state: &state };
    let url = flow.page(&leaving, &service.client.stamp()).map_err(Error::conflict)?;
    let now = service.now();
    let begun = Begun { platform: wanted.platform, session: wanted.session, created_at: now, expires_at: now + VALID_FOR, used: false };
    let expires_at = begun.expires_at;
    let asked = serde_json::to_string(&asked).map_err(|error| db::Error::Corrupt(error.to_string()))?;
    let (seller, actor, store) = (caller.db.id(), caller.actor(), wanted.store);
    let new = Authorization { seller, begun, actor, store, asked, keys: None };
    let state = hash(&state);
    caller.db.write(move |t| t.begin_authorization(&state, &new)).await?;
    Ok(Leave { url, expires_at })
}
