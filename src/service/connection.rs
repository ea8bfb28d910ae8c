//! A store's row in the form that its connector needs: settings parsed, credentials decrypted, tokens renewed before they
//! expire. Used by deliveries and by everything else that calls stores.
use crate::clock::Clock;
use crate::db::sealing::{SealError, Sealer};
use crate::db::stores::Store;
use crate::db::{Error, SellerDb};
use crate::domain::delivery::Outcome;
use crate::domain::{SellerId, StoreId};
use crate::platforms::Renewal;
use crate::platforms::call::StoreConnection;
use crate::platforms::client::Client;
use crate::platforms::identity::tidy_address;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A connector's own secrets by name.
pub type Credentials = BTreeMap<String, SecretString>;

/// A token that is refused this soon after its renewal is not renewed again: the seller must reauthorize the app.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The most stores whose last renewals are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Why there is no connection for a store's row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// Its credentials cannot be decrypted.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// The row contains something that was not written by this service.
    #[error("the store's {0} cannot be read")]
    Unreadable(&'static str),
}

/// Reads the connection from a store's row.
///
/// # Errors
/// If the credentials cannot be decrypted or the row cannot be read.
pub fn connection(seller: SellerId, store: &Store, sealer: &Sealer) -> Result<StoreConnection, ConnectionError> {
    let config = serde_json::from_str(&store.config).map_err(|_| ConnectionError::Unreadable("settings"))?;
    let credentials: BTreeMap<String, String> = match &store.credentials {
        None => BTreeMap::new(),
        Some(sealed) => {
            let plain = sealer.open(seller, store.id, sealed)?;
            serde_json::from_slice(&plain).map_err(|_| ConnectionError::Unreadable("credentials"))?
        }
    };
    Ok(StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.as_deref().map(tidy_address),
        config,
        credentials: credentials.into_iter().map(|(name, secret)| (name, secret.into())).collect(),
    })
}

/// Encrypts credentials for the row; `None` if there are none.
///
/// # Errors
/// If no random numbers are available.
pub fn seal(seller: SellerId, store: StoreId, credentials: &Credentials, sealer: &Sealer) -> Result<Option<Vec<u8>>, SealError> {
    if credentials.is_empty() {
        return Ok(None);
    }
    let plain: BTreeMap<&str, &str> = credentials.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret())).collect();
    let text = serde_json::to_vec(&plain).map_err(|_| SealError::Damaged)?;
    sealer.seal(seller, store, &text).map(Some)
}

fn same(a: &Credentials, b: &Credentials) -> bool {
    a.len() == b.len() && a.iter().all(|(name, secret)| b.get(name).is_some_and(|other| other.expose_secret() == secret.expose_secret()))
}

/// Why a store has no working tokens.
#[derive(Debug)]
pub enum Stale {
    /// The seller must reauthorize the app.
    Refused(String),
    /// It may work later.
    TryAgain(String),
    /// The new tokens could not be saved, so they are not used.
    Database(Error),
}

/// Why an exchange with a store had no result.
#[derive(Debug)]
pub enum Unanswered {
    /// The store's tokens do not work, and no others could be obtained.
    Stale(Stale),
    /// The store refused its token, and its platform has no way to renew it.
    NotRenewable {
        /// The platform's words.
        reason: String,
    },
    /// The call failed, or got no answer.
    Outcome(Outcome),
}

/// Renews tokens, one renewal at a time for each store. New tokens are saved before anything uses them, because many
/// platforms revoke the old ones when the new ones are first used.
pub struct Renewals {
    client: Client,
    sealer: Arc<Sealer>,
    clock: Clock,
    /// When each store's tokens were last renewed; holding the lock is having the turn.
    turns: Mutex<HashMap<StoreId, Arc<tokio::sync::Mutex<Option<Instant>>>>>,
}

impl Renewals {
    /// Renews through `client`.
    pub fn new(client: Client, sealer: Arc<Sealer>, clock: Clock) -> Self {
        Self { client, sealer, clock, turns: Mutex::default() }
    }

    fn turn(&self, store: StoreId) -> Arc<tokio::sync::Mutex<Option<Instant>>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= MAX_REMEMBERED {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(store).or_default())
    }

    /// Returns the connection to use from now on if the tokens of `old` have expired, soon will, or were `refused`; `None`
    /// if there is nothing to renew.
    ///
    /// # Errors
    /// See [`Stale`].
    pub async fn renew(&self, db: &SellerDb, old: &StoreConnection, refused: bool) -> Result<Option<StoreConnection>, Stale> {
        if !self.client.can_renew(old, refused) {
            return Ok(None);
        }
        let turn = self.turn(old.store_id);
        let mut renewed_at = turn.lock().await;
        let id = old.store_id;
        let row = db.read(move |t| t.store(id)).await.map_err(Stale::Database)?;
        let current = connection(db.id(), &row, &self.sealer).map_err(|error| Stale::Refused(error.to_string()))?;
        if !same(&current.credentials, &old.credentials) {
            // Another call has renewed them, or the seller has entered new ones.
            return Ok(Some(current));
        }
        if refused && renewed_at.is_some_and(|at| at.elapsed() < RENEW_AGAIN_AFTER) {
            return Err(Stale::Refused("The store also refuses the new access token.".to_owned()));
        }
        let credentials = match self.client.renew(&current, refused).await {
            None => return Ok(None),
            Some(Renewal::Renewed(credentials)) => credentials,
            Some(Renewal::Refused { reason }) => {
                // If another node has renewed them at the same moment, its tokens are the ones that work.
                let row = db.read(move |t| t.store(id)).await.map_err(Stale::Database)?;
                let latest = connection(db.id(), &row, &self.sealer).map_err(|error| Stale::Refused(error.to_string()))?;
                return if same(&latest.credentials, &current.credentials) { Err(Stale::Refused(reason)) } else { Ok(Some(latest)) };
            }
            Some(Renewal::TryAgain { reason }) => return Err(Stale::TryAgain(reason)),
        };
        let sealed = seal(db.id(), id, &credentials, &self.sealer).map_err(|error| Stale::TryAgain(error.to_string()))?;
        let (before, now) = (row.credentials, self.clock.now());
        let (sealer, seller) = (Arc::clone(&self.sealer), db.id());
        // By no lease: the old tokens are gone, whichever node works for the seller now.
        let db = db.under(None);
        let saved = db.write(move |t| {
            let mut store = t.store(id)?;
            // Meanwhile they may have been sealed again under another key.
            let open = |sealed: &Option<Vec<u8>>| sealed.as_ref().and_then(|sealed| sealer.open(seller, id, sealed).ok());
            if store.credentials == before || (before.is_some() && open(&store.credentials) == open(&before)) {
                (store.credentials, store.updated_at) = (sealed.clone(), now);
                t.save_store(&store)?;
            }
            Ok(store)
        });
        let saved = saved.await.map_err(Stale::Database)?;
        *renewed_at = Some(Instant::now());
        tracing::info!(store.id = %id, platform = current.platform, "a store's tokens were renewed");
        connection(db.id(), &saved, &self.sealer).map(Some).map_err(|error| Stale::Refused(error.to_string()))
    }

    /// One exchange with a store: tokens about to expire are renewed first, and a token that the store refuses is
    /// renewed and `send` is called once more. Only for calls that change nothing or may be repeated immediately; a
    /// delivery has to start from its rows again, see [`Self::after_refusal`]. `connection` receives the new tokens.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn exchange<T>(
        &self,
        db: &SellerDb,
        connection: &mut StoreConnection,
        mut send: impl AsyncFnMut(&StoreConnection) -> Result<T, Outcome>,
    ) -> Result<T, Unanswered> {
        let mut refused: Option<String> = None;
        loop {
            match (self.renew(db, connection, refused.is_some()).await.map_err(Unanswered::Stale)?, &refused) {
                (Some(renewed), _) => *connection = renewed,
                (None, Some(reason)) => return Err(Unanswered::NotRenewable { reason: reason.clone() }),
                (None, None) => {}
            }
            match send(connection).await {
                Ok(answer) => return Ok(answer),
                Err(Outcome::TokenExpired { reason }) if refused.is_none() => refused = Some(reason),
                Err(outcome) => return Err(Unanswered::Outcome(outcome)),
            }
        }
    }

    /// The outcome of a delivery whose token the store refused, and whether the token was renewed. The delivery is known
    /// not to have been applied, so with a renewed token, which replaces the one in `connection`, it is due again at once.
    pub async fn after_refusal(&self, db: &SellerDb, connection: &mut StoreConnection, reason: String) -> (Outcome, bool) {
        let again = |reason, after| Outcome::TryAgain { reason, after, throttled: false };
        match self.renew(db, connection, true).await {
            Ok(Some(renewed)) => {
                *connection = renewed;
                (again(reason, Some(Duration::ZERO)), true)
            }
            Ok(None) => (Outcome::Unauthorized { reason }, false),
            Err(Stale::Refused(reason)) => (Outcome::Unauthorized { reason }, false),
            Err(Stale::TryAgain(reason)) => (again(reason, None), false),
            Err(Stale::Database(_)) => (again("The renewed tokens could not be saved.".to_owned(), None), false),
        }
    }
}
