//! The way back from a platform's consent page: a store is made of what a visit brings, or an existing one gets new credentials.
//! Whatever goes wrong on the way, nothing is half connected: the store is saved last, when its tokens are there.
use super::connect::{app_of, callback, hash, label};
use super::connection::Credentials;
use super::context::{Caller, Error, Service};
use super::shares::free_share;
use super::shops::store_to_authorize;
use super::stores::{self, Checked, StoreChange};
use crate::db::authorizations::{self, Authorization};
use crate::db::sealing::Owner;
use crate::db::stores::Store;
use crate::db::{self, sellers};
use crate::domain::StoreId;
use crate::domain::authorization::{Digest, Unfit};
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::platforms::authorize::{Asked, Consent, Granted, Leaving, NotGranted, Parameters, Profile};
use crate::platforms::call::StoreConnection;
use crate::platforms::{Renewal, by_name, consent_of};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most characters in a key that a shop's server sends.
const MAX_KEY: usize = 200;
/// A longer state is none of ours, and is not looked up.
const MAX_STATE: usize = 100;

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

/// The authorization with which a visitor comes back, and the digest of its state.
async fn find(service: &Service, flow: &dyn Consent, parameters: &Parameters) -> Result<(Digest, Authorization), NotConnected> {
    let state = flow.state(parameters).filter(|state| (1..=MAX_STATE).contains(&state.len())).ok_or(NotConnected::Unknown)?;
    let state = hash(state);
    let found = service.db.read(move |conn| authorizations::find(conn, &state)).await?;
    Ok((state, found.ok_or(NotConnected::Unknown)?))
}

/// Keeps what a shop's server has sent apart from the visitor, until the visitor comes back.
///
/// # Errors
/// See [`NotConnected`].
pub async fn receive(service: &Service, platform: &str, sent: &Parameters) -> Result<(), NotConnected> {
    let flow = consent_of(platform).filter(|flow| !flow.keys_sent_apart().is_empty()).ok_or(NotConnected::Unknown)?;
    let (state, found) = find(service, flow, sent).await?;
    // The shop's server has no session: who began it is looked at when the visitor comes back.
    found.begun.admits(platform, found.begun.session.as_ref(), service.now())?;
    let is_key = |(name, _): &&(String, String)| flow.keys_sent_apart().contains(&name.as_str());
    let keys: BTreeMap<&str, &str> = sent.iter().filter(is_key).map(|(name, key)| (name.as_str(), key.as_str())).collect();
    if keys.len() < flow.keys_sent_apart().len() || keys.values().any(|key| key.is_empty() || key.len() > MAX_KEY) {
        return Err(NotConnected::Unfit("The shop has not sent the keys that it should.".to_owned()));
    }
    let plain = serde_json::to_vec(&keys).map_err(|error| db::Error::Corrupt(error.to_string()))?;
    let sealed = service.sealer.seal_for(Owner::Authorization(&state), &plain);
    let sealed = sealed.map_err(|error| db::Error::Unavailable(error.to_string()))?;
    match service.db.write(move |conn| authorizations::keep_keys(conn, &state, &sealed)).await? {
        true => Ok(()),
        false => Err(NotConnected::Used),
    }
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
    // A store that is authorized again keeps its settings, which may say which of an account's shops it is.
    let mut settings: Map<String, Value> = match store {
        Some(id) => serde_json::from_str(&caller.db.read(move |t| t.store(id)).await?.config).unwrap_or_default(),
        None => Map::new(),
    };
    settings.extend(config);
    let config = settings;
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
            let new = StoreChange {
                name: Some(name),
                platform: Some(shop.platform.clone()),
                share_percent: Some(share),
                rehearsal: Some(true),
                ..change
            };
            (stores::create(service, caller, new).await?, false)
        }
    };
    drop(place);
    let checked = stores::check(service, caller, saved.id).await?;
    let id = saved.id;
    let store = caller.db.read(move |t| t.store(id)).await?;
    Ok(Connected { store, again, checked })
}
