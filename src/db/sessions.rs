//! Who is signed in to the console. A session is found by the digest of its token; the token itself is only in the
//! browser. A seller's session ends with its key, an operator's with the operator key.
use super::connection::on;
use super::schema::{api_keys, sessions, sync_settings};
use super::sellers::{Seller, seller};
use super::{Conn, Error, Result, id_of};
use crate::domain::settings::parse_timezone;
use crate::domain::{KeyId, SellerId, Timestamp};
use diesel::prelude::*;

/// The digest under which something secret is kept.
pub type Digest = [u8; 32];

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOf {
    /// A seller, by one of its keys.
    Seller {
        /// The seller.
        seller: SellerId,
        /// The key.
        key: KeyId,
    },
    /// The operator. The proof binds the session to the operator key of the day it began.
    Operator {
        /// A digest of the session's token and the operator key.
        proof: Digest,
    },
}

/// A session that holds, with what every page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A seller's.
    Seller {
        /// The seller.
        seller: Seller,
        /// By which key.
        key: KeyId,
        /// The zone in which it reads times.
        zone: chrono_tz::Tz,
    },
    /// The operator's; the caller compares the proof.
    Operator {
        /// See [`SessionOf::Operator`].
        proof: Vec<u8>,
    },
}

/// Begins a session, and forgets those that have expired.
///
/// # Errors
/// Those of the database.
pub fn begin_session(conn: &mut Conn, token: &Digest, of: &SessionOf, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    on!(conn, c => diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(c))?;
    let (seller, key, proof) = match of {
        SessionOf::Seller { seller, key } => (Some(seller.bytes()), Some(key.bytes()), None),
        SessionOf::Operator { proof } => (None, None, Some(proof.to_vec())),
    };
    on!(conn, c => diesel::insert_into(sessions::table).values((
        sessions::token_hash.eq(token.to_vec()), sessions::seller_id.eq(seller), sessions::key_id.eq(key),
        sessions::operator_proof.eq(proof), sessions::created_at.eq(now), sessions::expires_at.eq(expires_at),
    )).execute(c))?;
    Ok(())
}

type SessionRow = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The session with this token, while it holds.
///
/// # Errors
/// [`Error::NotFound`] when there is none, it has expired, or its key was revoked.
pub fn find_session(conn: &mut Conn, token: &Digest, now: Timestamp) -> Result<Session> {
    let row: SessionRow = on!(conn, c => sessions::table.find(token.to_vec()).filter(sessions::expires_at.gt(now))
        .select((sessions::seller_id, sessions::key_id, sessions::operator_proof)).get_result(c))?;
    let (of, key) = match row {
        (Some(of), Some(key), None) => (of, key),
        (None, None, Some(proof)) => return Ok(Session::Operator { proof }),
        _ => return Err(Error::Corrupt("sessions".to_owned())),
    };
    let revoked: Option<Timestamp> = on!(conn, c => api_keys::table.find((&of, &key)).select(api_keys::revoked_at).get_result(c))?;
    if revoked.is_some() {
        return Err(Error::NotFound);
    }
    let zone: String = on!(conn, c => sync_settings::table.find(&of).select(sync_settings::timezone).get_result(c))?;
    Ok(Session::Seller {
        seller: seller(conn, id_of(&of, SellerId::from_bytes, "sessions.seller_id")?)?,
        key: id_of(&key, KeyId::from_bytes, "sessions.key_id")?,
        zone: parse_timezone(&zone).map_err(|_| Error::Corrupt("sync_settings.timezone".to_owned()))?,
    })
}

/// Ends a session; again is no error.
///
/// # Errors
/// Those of the database.
pub fn end_session(conn: &mut Conn, token: &Digest) -> Result<()> {
    on!(conn, c => diesel::delete(sessions::table.find(token.to_vec())).execute(c))?;
    Ok(())
}
