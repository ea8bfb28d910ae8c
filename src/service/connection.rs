//! A store's row in the form that its connector needs: settings parsed, credentials decrypted, tokens renewed before they
//! expire. Used by deliveries and by everything else that calls stores.
use super::grants::grant_of;
use crate::clock::Clock;
use crate::db::sealing::{SealError, Sealer};
use crate::db::stores::Store;
use crate::db::{Error, SellerDb, Tenant};
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
/// How long after the timeout of its request a process may still have the turn to renew a store's tokens.
const TURN_MARGIN: Duration = Duration::from_secs(5);
/// How long to wait before looking whether another process has ended its turn.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
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

/// Whether these are the same credentials.
pub(super) fn same(a: &Credentials, b: &Credentials) -> bool {
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

/// Why tokens are to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// They are about to be used, and have expired or soon will.
    Used,
    /// The store has just refused them.
    Refused,
    /// They would end if nobody used them.
    Ahead,
}

/// The credentials in a row after a renewal of what it had `before`: as they are `now`, with what the renewal has changed. `None`
/// if somebody else has changed that meanwhile. A new secret of the operator's app, for one, stays.
fn merged(before: &Credentials, renewed: &Credentials, mut now: Credentials) -> Option<Credentials> {
    let value = |of: &Credentials, name: &str| of.get(name).map(|secret| secret.expose_secret().to_owned());
    let names: std::collections::BTreeSet<&String> = before.keys().chain(renewed.keys()).collect();
    for name in names {
        if value(before, name) == value(renewed, name) {
            continue;
        }
        if value(&now, name) != value(before, name) {
            return None;
        }
        match renewed.get(name) {
            Some(secret) => drop(now.insert(name.clone(), secret.clone())),
            None => drop(now.remove(name)),
        }
    }
    Some(now)
}

/// Renews tokens, one renewal at a time for each store: in this process by a lock, among processes by the store's row. New tokens
/// are saved before anything uses them, because many platforms revoke the old ones when the new ones are first used.
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

    /// What opens the stores' credentials.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Returns the connection to use from now on if the tokens of `old` have expired, soon will, or were `refused`; `None`
    /// if there is nothing to renew.
    ///
    /// # Errors
    /// See [`Stale`].
    pub async fn renew(&self, db: &SellerDb, old: &StoreConnection, refused: bool) -> Result<Option<StoreConnection>, Stale> {
        self.renew_because(if refused { Why::Refused } else { Why::Used }, db, old).await
    }

    /// The same for tokens that would end if nobody used them.
    ///
    /// # Errors
    /// See [`Stale`].
    pub async fn renew_ahead(&self, db: &SellerDb, old: &StoreConnection) -> Result<Option<StoreConnection>, Stale> {
        self.renew_because(Why::Ahead, db, old).await
    }

    async fn renew_because(&self, why: Why, db: &SellerDb, old: &StoreConnection) -> Result<Option<StoreConnection>, Stale> {
        if !self.client.can_renew(old, why != Why::Used) {
            return Ok(None);
        }
        let turn = self.turn(old.store_id);
        let mut renewed_at = turn.lock().await;
        let id = old.store_id;
        let opened = |row: &Store| connection(db.id(), row, &self.sealer).map_err(|error| Stale::Refused(error.to_string()));
        let row = db.read(move |t| t.store(id)).await.map_err(Stale::Database)?;
        let current = opened(&row)?;
        if !same(&current.credentials, &old.credentials) {
            // Another call has renewed them, or the seller has entered new ones.
            return Ok(Some(current));
        }
        if why == Why::Refused && renewed_at.is_some_and(|at| at.elapsed() < RENEW_AGAIN_AFTER) {
            return Err(Stale::Refused("The store also refuses the new access token.".to_owned()));
        }
        // By no lease: the old tokens are gone once they are renewed, whichever node works for the seller by then.
        let db = &db.under(None);
        let row = self.take_turn(db, id).await.map_err(Stale::Database)?;
        let current = opened(&row)?;
        if !same(&current.credentials, &old.credentials) {
            self.end_turn(db, id).await?;
            return Ok(Some(current));
        }
        let refused = match self.client.renew(&current, why != Why::Used).await {
            Some(Renewal::Renewed(credentials)) => {
                let saved = self.save(db, &current, credentials).await?;
                *renewed_at = Some(Instant::now());
                tracing::info!(store.id = %id, platform = current.platform, "a store's tokens were renewed");
                return opened(&saved).map(Some);
            }
            None => None,
            Some(Renewal::Refused { reason }) => Some(Stale::Refused(reason)),
            Some(Renewal::TryAgain { reason }) => Some(Stale::TryAgain(reason)),
        };
        self.end_turn(db, id).await?;
        refused.map_or(Ok(None), Err)
    }

    /// Waits until no other process renews this store's tokens, and returns its row as it is then.
    async fn take_turn(&self, db: &SellerDb, id: StoreId) -> Result<Store, Error> {
        loop {
            let now = self.clock.now();
            let until = now + self.client.timeout() + TURN_MARGIN;
            let take = move |t: &mut Tenant<'_>| {
                let store = t.store(id)?;
                Ok(t.take_renewal_turn(id, now, until)?.then_some(store))
            };
            if let Some(store) = db.write(take).await? {
                return Ok(store);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    async fn end_turn(&self, db: &SellerDb, id: StoreId) -> Result<(), Stale> {
        db.write(move |t| t.end_renewal_turn(id)).await.map_err(Stale::Database)
    }

    /// Saves the new tokens, with when they are renewed next, and ends the turn. Returns the row as it is now.
    async fn save(&self, db: &SellerDb, before: &StoreConnection, renewed: Credentials) -> Result<Store, Stale> {
        let (id, seller, now, sealer) = (before.store_id, db.id(), self.clock.now(), Arc::clone(&self.sealer));
        let before = before.credentials.clone();
        let save = move |t: &mut Tenant<'_>| {
            let mut store = t.store(id)?;
            let present = connection(seller, &store, &sealer).ok().map(|present| present.credentials);
            if let Some(credentials) = present.and_then(|present| merged(&before, &renewed, present)) {
                let sealed = seal(seller, id, &credentials, &sealer).map_err(|error| Error::Unavailable(error.to_string()))?;
                (store.credentials, store.updated_at) = (sealed, now);
                t.save_store(&store)?;
                let client_id = t.grant(id)?.client_id;
                t.save_grant(id, &grant_of(id, &credentials, client_id, now))?;
            }
            t.end_renewal_turn(id)?;
            Ok(store)
        };
        db.write(save).await.map_err(Stale::Database)
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

    /// What an outcome means of a store that was called as it was `used`: if it was refused, and its address, settings or credentials
    /// have been changed since, it is simply called again as it is now. Returns whether that is so.
    pub async fn unless_changed(&self, db: &SellerDb, used: &mut StoreConnection, outcome: Outcome) -> (Outcome, bool) {
        let (Outcome::Unauthorized { reason } | Outcome::Closed { reason, .. }) = &outcome else { return (outcome, false) };
        let store = used.store_id;
        let Ok(row) = db.read(move |t| t.store(store)).await else { return (outcome, false) };
        let Ok(now) = connection(db.id(), &row, &self.sealer) else { return (outcome, false) };
        if now.base_url == used.base_url && now.config == used.config && same(&now.credentials, &used.credentials) {
            return (outcome, false);
        }
        let again = Outcome::TryAgain { reason: reason.clone(), after: Some(Duration::ZERO), throttled: false };
        *used = now;
        (again, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(pairs: &[(&str, &str)]) -> Credentials {
        pairs.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).into())).collect()
    }

    #[test]
    fn a_renewal_keeps_what_somebody_else_has_changed_and_gives_way_to_other_tokens() {
        let before = credentials(&[("app_secret", "old"), ("access_token", "a1"), ("refresh_token", "r1"), ("auth_code", "c")]);
        let renewed = credentials(&[("app_secret", "old"), ("access_token", "a2"), ("refresh_token", "r2")]);
        let other_secret = credentials(&[("app_secret", "new"), ("access_token", "a1"), ("refresh_token", "r1"), ("auth_code", "c")]);
        let expected = credentials(&[("app_secret", "new"), ("access_token", "a2"), ("refresh_token", "r2")]);
        assert!(same(&merged(&before, &renewed, other_secret).unwrap(), &expected));
        assert!(same(&merged(&before, &renewed, before.clone()).unwrap(), &renewed));
        let other_tokens = credentials(&[("app_secret", "old"), ("access_token", "x"), ("refresh_token", "y"), ("auth_code", "c")]);
        assert!(merged(&before, &renewed, other_tokens).is_none());
    }
}
