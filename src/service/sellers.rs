//! Sellers and their keys, as the operator changes them.
use super::context::{Error, OPERATOR, Operator, Result, Service, audited};
use super::removal::{self, Removed};
use super::settings::move_to_zone;
use crate::db::apps::append_operator_audit;
use crate::db::audit::Change;
use crate::db::removal::mark_seller_deleted;
use crate::db::sellers::{self, Seller, key_hash};
use crate::db::{self, Conn, Tenant};
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::domain::problem::Checks;
use crate::domain::seller_limits::{CommonLimits, LimitsChange, SellerLimits};
use crate::domain::settings::parse_timezone;
use crate::domain::{FieldError, KeyId, SellerId, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A change of a seller as it was entered; omitted fields stay as they are. A new seller needs a name.
#[derive(Debug, Clone, Default)]
pub struct EnteredSeller {
    /// A display name.
    pub name: Option<String>,
    /// The IANA time zone of its daily runs and of its console.
    pub timezone: Option<String>,
    /// While it is suspended, its requests are refused and nothing is pushed.
    pub suspended: Option<bool>,
}

impl EnteredSeller {
    /// A new seller.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The time zone, once each field was checked.
    fn check(&self) -> Result<Option<chrono_tz::Tz>, Vec<FieldError>> {
        let mut checks = Checks::default();
        if let Some(name) = &self.name {
            checks.take("/name", check_text(name, "a name", MAX_NAME_CHARS));
        }
        let timezone = self.timezone.as_deref().and_then(|text| checks.take("/timezone", parse_timezone(text)));
        checks.done().map(|()| timezone)
    }
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

/// Writes a change to the operator's log and to the seller's.
fn audit(conn: &mut Conn, seller: SellerId, change: Change<'_>, now: Timestamp) -> db::Result<()> {
    append_operator_audit(conn, (change.action, &seller.to_string()), change.before.as_ref(), change.after.as_ref(), now)?;
    Tenant::of(conn, seller).append_audit(&change, now)
}

/// The same for a key, which only the seller's log has as its subject.
fn audit_key(conn: &mut Conn, seller: SellerId, (action, key): (&str, KeyId), name: Option<&str>, now: Timestamp) -> db::Result<()> {
    let of_operator = json!({ "key_id": key, "name": name });
    append_operator_audit(conn, (action, &seller.to_string()), None, Some(&of_operator), now)?;
    let after = name.map(|name| json!({ "name": name }));
    Tenant::of(conn, seller).append_audit(&Change { after, ..audited(OPERATOR, action, &key.to_string()) }, now)
}

/// What the logs keep of a seller.
fn values(seller: &Seller) -> Option<Value> {
    Some(json!({ "name": seller.name, "timezone": seller.timezone.name(), "suspended": seller.suspended }))
}

/// Adds a seller with its first key.
///
/// # Errors
/// Every invalid field; the database fails, or no key can be generated.
pub async fn create(service: &Service, _: Operator, new: EnteredSeller) -> Result<(Seller, NewKey)> {
    let now = service.now();
    let timezone = new.check()?.unwrap_or(chrono_tz::UTC);
    let name = new.name.ok_or_else(|| Error::field("/name", "is required"))?;
    let seller = Seller::new(SellerId::new(now), name, timezone, now);
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

/// Renames a seller, moves it to another time zone, suspends it or lifts the suspension. Once this returns, nothing more is sent for a
/// suspended seller.
///
/// # Errors
/// Every invalid field, or no such seller.
pub async fn change(service: &Service, _: Operator, id: SellerId, entered: EnteredSeller) -> Result<Seller> {
    let now = service.now();
    let timezone = entered.check()?;
    let change = move |conn: &mut Conn| {
        let old = sellers::seller(conn, id)?;
        let new = Seller {
            name: entered.name.clone().unwrap_or_else(|| old.name.clone()),
            timezone: timezone.unwrap_or(old.timezone),
            suspended: entered.suspended.unwrap_or(old.suspended),
            ..old.clone()
        };
        if let Some(timezone) = timezone {
            // The seller may have moved since, by its own settings.
            move_to_zone(&mut Tenant::of(conn, id), OPERATOR, timezone, now)?;
        }
        if new != old {
            sellers::save_seller(conn, &new)?;
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

/// Changes what the operator allows a seller. It holds at once, on other nodes within a second.
///
/// # Errors
/// Every invalid limit, or no such seller.
pub async fn change_limits(
    service: &Service,
    _: Operator,
    id: SellerId,
    common: &CommonLimits,
    change: LimitsChange,
) -> Result<SellerLimits> {
    change.check(common)?;
    let now = service.now();
    let saved = service.db.write(move |conn| {
        let seller = sellers::seller(conn, id)?;
        let (old, new) = (seller.limits, change.apply(seller.limits));
        if new != old {
            sellers::save_limits(conn, id, new)?;
            let entry = audited(OPERATOR, "seller.limits_changed", &seller.name);
            audit(conn, id, Change { before: Some(json!(old)), after: Some(json!(new)), ..entry }, now)?;
        }
        Ok(new)
    });
    Ok(saved.await?)
}

/// Deletes a seller and all its data. Once this returns, the seller is gone for everybody, but of a large one some rows are
/// left, which the housekeeping deletes.
///
/// # Errors
/// No such seller.
pub async fn delete(service: &Service, _: Operator, id: SellerId) -> Result<()> {
    let now = service.now();
    let delete = move |conn: &mut Conn| {
        let seller = sellers::seller(conn, id)?;
        mark_seller_deleted(conn, id, now)?;
        append_operator_audit(conn, ("seller.deleted", &id.to_string()), values(&seller).as_ref(), None, now)
    };
    service.db.write(delete).await?;
    (service.forget)(id).await;
    removal::begin(&service.db, Removed::Seller(id), now).await;
    tracing::info!(seller.id = %id, "a seller was deleted with all its data");
    Ok(())
}

/// Adds a key to a seller.
///
/// # Errors
/// An invalid name, no such seller, or a conflict if it has too many keys.
pub async fn create_key(service: &Service, _: Operator, id: SellerId, name: Option<String>) -> Result<NewKey> {
    let now = service.now();
    if let Some(name) = &name {
        check_text(name, "a name", MAX_NAME_CHARS).map_err(|error| Error::field("/name", error))?;
    }
    let key = NewKey::random(now)?;
    let (key_id, hash) = (key.id, key_hash(key.secret.expose_secret()));
    let create = move |conn: &mut Conn| {
        sellers::create_key(conn, id, key_id, &hash, name.as_deref(), now)?;
        audit_key(conn, id, ("key.created", key_id), name.as_deref(), now)
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
        audit_key(conn, id, ("key.revoked", key), None, now)
    };
    Ok(service.db.write(revoke).await?)
}
