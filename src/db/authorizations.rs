//! Authorizations that sellers have begun and not yet ended. A row is found by the digest of its state, which is as good as a
//! key: whoever comes back from a platform is not signed in to this service by anything else.
use super::connection::on;
use super::schema::authorizations;
use super::{Conn, Error, Result, Tenant, id_of};
use crate::domain::authorization::{Begun, Digest, MAX_UNDER_WAY};
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use std::time::Duration;

/// How long an authorization is kept after it has ended, so that whoever comes back a second time learns why it no longer counts.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// An authorization as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Whose it is.
    pub seller: SellerId,
    /// Who may end it, and until when.
    pub begun: Begun,
    /// Who began it, for the audit log.
    pub actor: String,
    /// The store to be authorized again; `None` for a new one.
    pub store: Option<StoreId>,
    /// What the seller entered beforehand, a JSON object.
    pub asked: String,
    /// What the platform has sent apart from the visitor, sealed.
    pub keys: Option<Vec<u8>>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = authorizations)]
struct Row {
    state_hash: Vec<u8>,
    seller_id: Vec<u8>,
    session_hash: Option<Vec<u8>>,
    actor: String,
    platform: String,
    store_id: Option<Vec<u8>>,
    asked: String,
    keys: Option<Vec<u8>>,
    created_at: Timestamp,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
}

impl Row {
    fn read(self) -> Result<Authorization> {
        let session = self.session_hash.map(|hash| Digest::try_from(hash).map_err(|_| Error::Corrupt("authorizations".to_owned())));
        let begun = Begun {
            platform: self.platform,
            session: session.transpose()?,
            created_at: self.created_at,
            expires_at: self.expires_at,
            used: self.used_at.is_some(),
        };
        Ok(Authorization {
            seller: id_of(&self.seller_id, SellerId::from_bytes, "authorizations.seller_id")?,
            begun,
            actor: self.actor,
            store: self.store_id.map(|id| id_of(&id, StoreId::from_bytes, "authorizations.store_id")).transpose()?,
            asked: self.asked,
            keys: self.keys,
        })
    }
}

impl Tenant<'_> {
    /// Begins an authorization with this state. Ends the seller's oldest ones if there are too many, and deletes everybody's
    /// that ended a while ago.
    pub fn begin_authorization(&mut self, state: &Digest, new: &Authorization) -> Result<()> {
        let (now, seller) = (new.begun.created_at, self.key());
        prune(self.conn, now)?;
        let surplus: Vec<Vec<u8>> = on!(self.conn, c => authorizations::table.select(authorizations::state_hash)
            .filter(authorizations::seller_id.eq(&seller)).order((authorizations::created_at.desc(), authorizations::state_hash))
            .offset(MAX_UNDER_WAY - 1).limit(1000).load(c))?;
        if !surplus.is_empty() {
            on!(self.conn, c => diesel::delete(authorizations::table.filter(authorizations::state_hash.eq_any(&surplus))).execute(c))?;
        }
        let row = Row {
            state_hash: state.to_vec(),
            seller_id: seller,
            session_hash: new.begun.session.map(|session| session.to_vec()),
            actor: new.actor.clone(),
            platform: new.begun.platform.clone(),
            store_id: new.store.map(|store| store.bytes()),
            asked: new.asked.clone(),
            keys: None,
            created_at: now,
            expires_at: new.begun.expires_at,
            used_at: None,
        };
        on!(self.conn, c => diesel::insert_into(authorizations::table).values(&row).execute(c))?;
        Ok(())
    }
}

/// Deletes the authorizations that ended a while ago, and those that began before the clock was set back.
pub fn prune(conn: &mut Conn, now: Timestamp) -> Result<()> {
    let over = authorizations::expires_at.lt(now - KEPT_FOR).or(authorizations::created_at.gt(now + KEPT_FOR));
    on!(conn, c => diesel::delete(authorizations::table.filter(over)).execute(c))?;
    Ok(())
}

/// The authorization with this state; `None` if there is none.
pub fn find(conn: &mut Conn, state: &Digest) -> Result<Option<Authorization>> {
    let row: Option<Row> = on!(conn, c => authorizations::table.find(state.to_vec()).get_result(c).optional())?;
    row.map(Row::read).transpose()
}

/// Notes that somebody has come back with this state. Returns whether nobody had before: only one of several goes on.
pub fn take(conn: &mut Conn, state: &Digest, now: Timestamp) -> Result<bool> {
    let taken = on!(conn, c => diesel::update(authorizations::table.find(state.to_vec())).filter(authorizations::used_at.is_null())
        .set(authorizations::used_at.eq(now)).execute(c))?;
    Ok(taken > 0)
}

/// Keeps what the platform has sent apart from the visitor. Returns whether it is the first time, and nobody has come back yet.
pub fn keep_keys(conn: &mut Conn, state: &Digest, sealed: &[u8]) -> Result<bool> {
    let kept = on!(conn, c => diesel::update(authorizations::table.find(state.to_vec())).filter(authorizations::used_at.is_null())
        .filter(authorizations::keys.is_null()).set(authorizations::keys.eq(sealed)).execute(c))?;
    Ok(kept > 0)
}
