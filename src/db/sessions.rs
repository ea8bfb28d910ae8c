//! Who is signed in to the console. A session is found by the digest of its token; only the browser has the token itself.
//! A seller's session ends when its API key is revoked, an operator's when the operator key is changed.
use super::connection::on;
use super::schema::{api_keys, sessions, sync_settings};
use super::scope::Scope;
use super::sellers::{Seller, seller};
use super::{Conn, Error, Result, id_of};
use crate::domain::settings::parse_timezone;
use crate::domain::{KeyId, SellerId, Timestamp};
use diesel::prelude::*;
use std::time::Duration;

/// A session that begins further ahead began before the clock was set back, and would last too long.
const AHEAD: Duration = Duration::from_secs(60);

/// The most sessions of one key; beginning another ends the oldest.
pub const SESSIONS_PER_KEY: i64 = 20;

/// A SHA-256 digest of a secret.
pub type Digest = [u8; 32];

/// The owner of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOf {
    /// A seller, by one of its keys.
    Seller {
        /// The seller.
        seller: SellerId,
        /// The key.
        key: KeyId,
    },
    /// The operator. The proof binds the session to the operator key used to sign in.
    Operator {
        /// A digest of the session's token and the operator key.
        proof: Digest,
    },
}

/// A valid session, with what every page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A seller's.
    Seller {
        /// The seller.
        seller: Seller,
        /// The key used to sign in.
        key: KeyId,
        /// The time zone in which the console shows times.
        zone: chrono_tz::Tz,
    },
    /// The operator's; the caller must compare the proof.
    Operator {
        /// See [`SessionOf::Operator`].
        proof: Vec<u8>,
    },
}

/// Begins a session, and deletes those that have expired and the oldest ones of a key that has too many.
pub fn begin_session(conn: &mut Conn, token: &Digest, of: &SessionOf, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    on!(conn, c => diesel::delete(sessions::table.filter(sessions::expires_at.le(now).or(sessions::created_at.gt(now + AHEAD)))).execute(c))?;
    let (seller, key, proof) = match of {
        SessionOf::Seller { seller, key } => (Some(seller.bytes()), Some(key.bytes()), None),
        SessionOf::Operator { proof } => (None, None, Some(proof.to_vec())),
    };
    on!(conn, c => diesel::insert_into(sessions::table).values((
        sessions::token_hash.eq(token.to_vec()), sessions::seller_id.eq(seller), sessions::key_id.eq(key),
        sessions::operator_proof.eq(proof), sessions::created_at.eq(now), sessions::expires_at.eq(expires_at),
    )).execute(c))?;
    on!(conn, c => {
        let mut surplus = sessions::table.select(sessions::token_hash).into_boxed();
        surplus = match of {
            SessionOf::Seller { seller, key } => surplus.filter(sessions::seller_id.eq(seller.bytes())).filter(sessions::key_id.eq(key.bytes())),
            SessionOf::Operator { .. } => surplus.filter(sessions::seller_id.is_null()),
        };
        let surplus: Vec<Vec<u8>> = surplus.order((sessions::created_at.desc(), sessions::token_hash)).offset(SESSIONS_PER_KEY).limit(1000).load(c)?;
        if !surplus.is_empty() {
            diesel::delete(sessions::table.filter(sessions::token_hash.eq_any(surplus))).execute(c)?;
        }
    });
    Ok(())
}

type SessionRow = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The valid session with this token.
///
/// # Errors
/// [`Error::NotFound`] when there is none, it has expired, its key was revoked, or the clock was set back since it began.
pub fn find_session(conn: &mut Conn, token: &Digest, now: Timestamp) -> Result<Session> {
    let row: SessionRow = on!(conn, c => sessions::table.find(token.to_vec()).filter(sessions::expires_at.gt(now))
        .filter(sessions::created_at.le(now + AHEAD))
        .select((sessions::seller_id, sessions::key_id, sessions::operator_proof)).get_result(c))?;
    let (id, key) = match row {
        (Some(seller), Some(key), None) => (id_of(&seller, SellerId::from_bytes, "sessions.seller_id")?, key),
        (None, None, Some(proof)) => return Ok(Session::Operator { proof }),
        _ => return Err(Error::Corrupt("sessions".to_owned())),
    };
    let scope = Scope::of(id);
    let revoked: Option<Timestamp> =
        on!(conn, c => scope.api_keys().filter(api_keys::id.eq(&key)).select(api_keys::revoked_at).get_result(c))?;
    if revoked.is_some() {
        return Err(Error::NotFound);
    }
    let zone: String = on!(conn, c => scope.sync_settings().select(sync_settings::timezone).get_result(c))?;
    Ok(Session::Seller {
        seller: seller(conn, id)?,
        key: id_of(&key, KeyId::from_bytes, "sessions.key_id")?,
        zone: parse_timezone(&zone).map_err(|_| Error::Corrupt("sync_settings.timezone".to_owned()))?,
    })
}

/// Ends a session. Ending it again is no error.
pub fn end_session(conn: &mut Conn, token: &Digest) -> Result<()> {
    on!(conn, c => diesel::delete(sessions::table.find(token.to_vec())).execute(c))?;
    Ok(())
}
