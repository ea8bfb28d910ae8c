//! Sellers and their keys, as the operator changes them.
use super::context::{Error, OPERATOR, Operator, Result, Service, audited};
use super::removal::{self, Removed};
use crate::db::audit::Change;
use crate::db::removal::mark_seller_deleted;
use crate::db::sellers::{self, Seller, key_hash};
use crate::db::{self, Conn, Tenant};
use crate::domain::{KeyId, SellerId, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// A new seller, whose name is already checked.
#[derive(Debug, Clone)]
pub struct NamedSeller {
    /// A display name.
    pub name: String,
    /// The time zone of its daily runs.
    pub timezone: chrono_tz::Tz,
}

/// A new key. Only a digest of the secret is stored, so this is the only time that it can be shown.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Identifies the key without revealing it.
    pub id: KeyId,
    /// What requests send to authenticate.
    pub secret: SecretString,
    /// When it was created.
    pub created_at: Timestamp,
}

impl NewKey {
    fn random(now: Timestamp) -> Result<Self> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomNumbers)?;
        let secret = SecretString::from(format!("stk_{}", URL_SAFE_NO_PAD.encode(bytes)));
        Ok(Self { id: KeyId::new(now), secret, created_at: now })
    }
}

fn audit(conn: &mut Conn, seller: SellerId, change: Change<'_>, now: Timestamp) -> db::Result<()> {
    Tenant::of(conn, seller).append_audit(&change, now)
}

/// Adds a seller with its first key.
///
/// # Errors
/// If the database fails, or no key can be generated.
pub async fn create(service: &Service, _: Operator, new: NamedSeller) -> Result<(Seller, NewKey)> {
    let now = service.now();
    let NamedSeller { name, timezone } = new;
    let seller = Seller { id: SellerId::new(now), name, timezone, suspended: false, sku_count: 0, created_at: now };
    let key = NewKey::random(now)?;
    let (row, key_id, hash) = (seller.clone(), key.id, key_hash(key.secret.expose_secret()));
    let create = move |conn: &mut Conn| {
        sellers::create_seller(conn, &row, key_id, &hash)?;
        let after = json!({ "name": row.name, "timezone": row.timezone.name(), "key_id": key_id });
        audit(conn, row.id, Change { after: Some(after), ..audited(OPERATOR, "seller.created", &row.name) }, row.created_at)
    };
    service.db.write(create).await?;
    Ok((seller, key))
}

/// Renames a seller, suspends it or lifts the suspension. Once this returns, nothing more is sent for a suspended seller.
///
/// # Errors
/// No such seller.
pub async fn change(service: &Service, _: Operator, id: SellerId, name: Option<String>, suspended: Option<bool>) -> Result<Seller> {
    let now = service.now();
    let change = move |conn: &mut Conn| {
        let old = sellers::seller(conn, id)?;
        let name = name.clone().unwrap_or_else(|| old.name.clone());
        let new = Seller { name, suspended: suspended.unwrap_or(old.suspended), ..old.clone() };
        if new != old {
            sellers::save_seller(conn, &new)?;
            let values = |seller: &Seller| Some(json!({ "name": seller.name, "suspended": seller.suspended }));
            let entry = Change { before: values(&old), after: values(&new), ..audited(OPERATOR, "seller.changed", &new.name) };
            audit(conn, id, entry, now)?;
        }
        Ok(new)
    };
    let seller = service.db.write(change).await?;
    if seller.suspended {
        (service.forget)(id).await;
    }
    Ok(seller)
}

/// Deletes a seller and all its data. Once this returns, the seller is gone for everybody, but of a large one some rows are
/// left, which the housekeeping deletes.
///
/// # Errors
/// No such seller.
pub async fn delete(service: &Service, _: Operator, id: SellerId) -> Result<()> {
    let now = service.now();
    service.db.write(move |conn| mark_seller_deleted(conn, id, now)).await?;
    (service.forget)(id).await;
    removal::begin(&service.db, Removed::Seller(id), now).await;
    tracing::info!(seller.id = %id, "a seller was deleted with all its data");
    Ok(())
}

/// Adds a key to a seller.
///
/// # Errors
/// No such seller, or a conflict if it has too many keys.
pub async fn create_key(service: &Service, _: Operator, id: SellerId, name: Option<String>) -> Result<NewKey> {
    let now = service.now();
    let key = NewKey::random(now)?;
    let (key_id, hash) = (key.id, key_hash(key.secret.expose_secret()));
    let create = move |conn: &mut Conn| {
        sellers::create_key(conn, id, key_id, &hash, name.as_deref(), now)?;
        let after = name.as_ref().map(|name| json!({ "name": name }));
        audit(conn, id, Change { after, ..audited(OPERATOR, "key.created", &key_id.to_string()) }, now)
    };
    service.db.write(create).await?;
    Ok(key)
}

/// Revokes a key at once. Revoking it again is not an error.
///
/// # Errors
/// No such seller or key.
pub async fn revoke_key(service: &Service, _: Operator, id: SellerId, key: KeyId) -> Result<()> {
    let now = service.now();
    let revoke = move |conn: &mut Conn| {
        sellers::revoke_key(conn, id, key, now)?;
        audit(conn, id, audited(OPERATOR, "key.revoked", &key.to_string()), now)
    };
    Ok(service.db.write(revoke).await?)
}
