//! What use cases are given: who asks, and the means to do it.
use super::connection::Renewals;
use crate::clock::Clock;
use crate::db::audit::Change;
use crate::db::ledger::Limits;
use crate::db::sealing::Sealer;
use crate::db::{self, Db, SellerDb};
use crate::domain::{FieldError, KeyId, SellerId, Timestamp};
use crate::platforms::client::Client;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Ends whatever runs for a seller; completes when nothing is on its way any more.
pub type Forget = Arc<dyn Fn(SellerId) -> BoxFuture<'static, ()> + Send + Sync>;

/// What use cases need. Cheap to clone.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds keys and callbacks")]
pub struct Service {
    /// Rows.
    pub db: Db,
    /// The current time.
    pub clock: Clock,
    /// Seals credentials.
    pub sealer: Arc<Sealer>,
    /// Calls stores.
    pub client: Client,
    /// Renews stores' tokens.
    pub renewals: Arc<Renewals>,
    /// Bounds of the ledger.
    pub limits: Limits,
    /// Whether stores may point at loopback and private addresses.
    pub allow_private_targets: bool,
    /// Called when a seller is suspended or deleted. Everything else that runs learns of a change from the database's
    /// hook; this one must be waited for, as afterwards nothing may be sent.
    pub forget: Forget,
}

impl Service {
    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A seller who asks for something.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The way to its rows.
    pub db: SellerDb,
    /// Its name in the audit log.
    pub name: String,
}

impl Caller {
    /// A seller that proved itself with one of its keys.
    pub fn by_key(db: SellerDb, key: KeyId) -> Self {
        Self { db, name: format!("key:{key}") }
    }

    /// The name in the audit log.
    pub(super) fn actor(&self) -> String {
        self.name.clone()
    }
}

/// The operator, once it has proved itself.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

/// The operator's name in the audit log.
pub(super) const OPERATOR: &str = "operator";

/// Why a use case did nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The rows do not allow it, or cannot be reached.
    #[error(transparent)]
    Rows(#[from] db::Error),
    /// The field at `pointer` names something that this seller does not have.
    #[error("there is no such {what}")]
    NoSuch {
        /// JSON pointer to the field.
        pointer: String,
        /// Such as `store`.
        what: &'static str,
    },
    /// The machine has no random numbers to make a key of.
    #[error("no random numbers can be had")]
    NoRandomNumbers,
}

/// What a use case returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One bad field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        vec![FieldError::new(pointer, detail)].into()
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        db::Error::Conflict(detail.into()).into()
    }
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        db::Error::Invalid(errors).into()
    }
}

/// An entry of the audit log without details.
pub(super) fn audited<'a>(actor: &'a str, action: &'a str, subject: &'a str) -> Change<'a> {
    Change { actor, action, subject, before: None, after: None }
}
