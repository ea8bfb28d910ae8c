//! Connecting a shop by consent: a visitor leaves for a platform's consent page and comes back, and a store is made of what
//! the visit brings, or an existing one gets new credentials. Whatever goes wrong on the way, nothing is half connected: the
//! store is saved last, when its tokens are there.
use super::apps::opened;
use super::connection::Credentials;
use super::context::{Caller, Error, Result, Service};
use super::shares::free_share;
use super::shops::store_to_authorize;
use super::stores::{self, Checked, StoreChange};
use crate::db::apps::app;
use crate::db::authorizations::{self, Authorization};
use crate::db::sealing::Owner;
use crate::db::stores::Store;
use crate::db::{self, Conn, sellers};
use crate::domain::authorization::{Begun, Digest, Unfit, VALID_FOR};
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::domain::problem::Checks;
use crate::domain::{FieldError, StoreId, Timestamp};
use crate::platforms::authorize::{App, Asked, Consent, Granted, Leaving, NotGranted, Parameters, Profile};
use crate::platforms::call::StoreConnection;
use crate::platforms::form::form_of;
use crate::platforms::{Renewal, by_name, consent_of, consents};
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
/// A longer state is none of ours, and is not looked up.
const MAX_STATE: usize = 100;

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

/// A visitor who has come back.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The connector's name.
    pub platform: String,
    /// The parameters of the address.
    pub parameters: Vec<(String, String)>,
    /// The console's session, if there is one.
    pub session: Option<Digest>,
    /// The public address of this service.
    pub public_url: String,
}

/// A store that was connected.
#[derive(Debug)]
pub struct Connected {
    /// The store as it is now.
    pub store: Store,
    /// Whether it existed before.
    pub again: bool,
    /// What the first call to it has found out.
    pub checked: Checked,
}

/// Why a visit connects nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotConnected {
    /// Nobody has begun it, or somebody else.
    #[error("This link belongs to no authorization that you have begun in this browser. Sign in, and connect the shop again.")]
    Unknown,
    /// It has been used.
    #[error("This authorization has been used already. If the shop isn't among your stores, connect it again.")]
    Used,
    /// It took too long.
    #[error("The authorization took longer than 15 minutes. Connect the shop again.")]
    Late,
    /// The shop's owner has refused.
    #[error("The shop's owner didn't give permission. You can connect the shop again at any time.")]
    Declined,
    /// The operator has removed the app meanwhile.
    #[error("The operator of this service has removed the app for this platform. Ask the operator.")]
    NoApp,
    /// What came back is not what the platform sends, or is about another shop.
    #[error("{0} Connect the shop again.")]
    Unfit(String),
    /// The platform did not hand out tokens, or not for this store.
    #[error("{0} Connect the shop again.")]
    Refused(String),
    /// The seller's other stores or the database do not allow it.
    #[error(transparent)]
    NotSaved(#[from] Error),
}

impl From<db::Error> for NotConnected {
    fn from(error: db::Error) -> Self {
        Self::NotSaved(error.into())
    }
}

impl From<Unfit> for NotConnected {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Unknown => Self::Unknown,
            Unfit::Used => Self::Used,
            Unfit::Late => Self::Late,
        }
    }
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

fn hash(state: &str) -> Digest {
    Sha256::digest(state.as_bytes()).into()
}

fn flow_of(platform: &str) -> Result<&'static dyn Consent, Vec<FieldError>> {
    consent_of(platform).ok_or_else(|| {
        let known: Vec<&str> = consents().iter().map(|consent| consent.platform()).collect();
        vec![FieldError::new("/platform", format!("must be one of: {}", known.join(", ")))]
    })
}

/// The platform's name for people.
fn label(platform: &str) -> &str {
    form_of(platform).map_or(platform, |form| form.label)
}

/// The app of this platform; an empty one if the platform needs none.
fn app_of(service: &Service, conn: &mut Conn, flow: &dyn Consent) -> db::Result<Option<App>> {
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
    flow.asked().iter().filter_map(|entry| Some((entry.name.to_owned(), text(entry.name)?))).collect()
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

/// The authorization with which a visitor comes back, and the digest of its state.
async fn find(service: &Service, flow: &dyn Consent, parameters: &Parameters) -> Result<(Digest, Authorization), NotConnected> {
    let state = flow.state(parameters).filter(|state| (1..=MAX_STATE).contains(&state.len())).ok_or(NotConnected::Unknown)?;
    let state = hash(state);
    let found = service.db.read(move |conn| authorizations::find(conn, &state)).await?;
    Ok((state, found.ok_or(NotConnected::Unknown)?))
}

/// An authorization with which somebody has come back, and who may end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returning {
    /// The seller whose store it becomes.
    pub seller: String,
    /// Whether it was begun over HTTP, so that the visitor may not know that seller: it is ended only if the visitor agrees.
    pub asks_first: bool,
}

/// Looks at an authorization with which somebody has come back, and changes nothing.
///
/// # Errors
/// See [`NotConnected`].
pub async fn look(service: &Service, visit: &Visit) -> Result<Returning, NotConnected> {
    let flow = consent_of(&visit.platform).ok_or(NotConnected::Unknown)?;
    let (_, found) = find(service, flow, &visit.parameters).await?;
    found.begun.admits(&visit.platform, visit.session.as_ref(), service.now())?;
    let seller = found.seller;
    let seller = service.db.read(move |conn| sellers::seller(conn, seller)).await?;
    if seller.suspended {
        return Err(NotConnected::Unknown);
    }
    Ok(Returning { seller: seller.name, asks_first: found.begun.session.is_none() })
}

/// Ends an authorization with what the visitor brings back.
///
/// # Errors
/// See [`NotConnected`].
pub async fn finish(service: &Service, visit: Visit) -> Result<Connected, NotConnected> {
    look(service, &visit).await?;
    let flow = consent_of(&visit.platform).ok_or(NotConnected::Unknown)?;
    let (state, found) = find(service, flow, &visit.parameters).await?;
    let of_service = service.clone();
    let app = service.db.read(move |conn| app_of(&of_service, conn, flow)).await?.ok_or(NotConnected::NoApp)?;
    let asked: Asked = serde_json::from_str(&found.asked).map_err(|_| db::Error::Corrupt("authorizations.asked".to_owned()))?;
    let keys = found.keys.as_ref().and_then(|sealed| service.sealer.open_for(Owner::Authorization(&state), sealed).ok());
    let keys: Option<BTreeMap<String, String>> = keys.and_then(|plain| serde_json::from_slice(&plain).ok());
    let keys: Option<Credentials> = keys.map(|keys| keys.into_iter().map(|(name, key)| (name, key.into())).collect());
    let callback = callback(&visit.public_url, flow.platform());
    let leaving = Leaving { app: &app, asked: &asked, callback: &callback, state: flow.state(&visit.parameters).unwrap_or_default() };
    let granted = flow.returned(&leaving, &visit.parameters, keys.as_ref());
    // What nobody has signed must not end an authorization that somebody else has under way.
    if let Err(NotGranted::Unfit(why)) = granted {
        return Err(NotConnected::Unfit(why));
    }
    let now = service.now();
    if !service.db.write(move |conn| authorizations::take(conn, &state, now)).await? {
        return Err(NotConnected::Used);
    }
    let granted = granted.map_err(|_| NotConnected::Declined)?;
    let caller = Caller { db: service.db.seller(found.seller), name: found.actor };
    let client_id = flow.app_fields().map(|_| app.client_id.clone());
    connect(service, &caller, flow, (granted, client_id), found.store).await
}

/// Exchanges the code, asks the platform about the shop, and saves the store.
async fn connect(
    service: &Service,
    caller: &Caller,
    flow: &dyn Consent,
    (granted, client_id): (Granted, Option<String>),
    store: Option<StoreId>,
) -> Result<Connected, NotConnected> {
    let place = service.outbound_place(caller)?;
    let Granted { base_url, config, credentials } = granted;
    let id = store.unwrap_or_else(|| StoreId::new(service.now()));
    let mut shop = StoreConnection { store_id: id, platform: flow.platform().to_owned(), base_url, config, credentials };
    if shop.credentials.contains_key("auth_code") {
        shop.credentials = match service.client.renew(&shop, true).await {
            Some(Renewal::Renewed(credentials)) => credentials,
            Some(Renewal::Refused { reason } | Renewal::TryAgain { reason }) => return Err(NotConnected::Refused(reason)),
            None => return Err(NotConnected::Refused("The platform can't be asked for tokens.".to_owned())),
        };
    }
    let profile = match flow.profile_request(&shop, &service.client.stamp()) {
        None => Profile::default(),
        Some(request) => {
            let asked = service.client.ask(&shop, request, |reply| flow.profile(&shop, reply)).await;
            asked.map_err(NotConnected::Refused)?
        }
    };
    shop.config.extend(profile.config);
    if let Some(errors) = by_name(&shop.platform).and_then(|platform| platform.check_config(&shop).err()) {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(NotConnected::Refused(format!("What {} says about the shop can't be used ({first}).", label(&shop.platform))));
    }
    let name = profile.name.filter(|name| check_text(name, "a name", MAX_NAME_CHARS).is_ok()).unwrap_or_else(|| flow.fallback_name(&shop));
    let own_name = service.client.shop(&shop).await;
    let probe = shop.clone();
    let same = caller.db.read(move |t| store_to_authorize(t, &probe, own_name.as_deref(), store)).await?;
    let another =
        |store| NotConnected::Refused(format!("You authorized another shop than that of the store {store}. Nothing was changed."));
    let same = same.map_err(another)?;
    let change = StoreChange {
        base_url: Some(shop.base_url.clone()),
        credentials: Some(Some(shop.credentials.clone())),
        config: shop.config.clone(),
        client_id,
        ..StoreChange::default()
    };
    let (saved, again) = match same {
        Some(id) => (stores::change(service, caller, id, change).await?, true),
        None => {
            let share = caller.db.read(free_share).await?;
            let new = StoreChange { name: Some(name), platform: Some(shop.platform.clone()), share_percent: Some(share), ..change };
            (stores::create(service, caller, new).await?, false)
        }
    };
    drop(place);
    let checked = stores::check(service, caller, saved.id).await?;
    let id = saved.id;
    let store = caller.db.read(move |t| t.store(id)).await?;
    Ok(Connected { store, again, checked })
}
