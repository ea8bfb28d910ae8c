//! The context of every use case: the caller, and the resources it works with.
use super::connection::Renewals;
use crate::clock::Clock;
use crate::db::audit::Change;
use crate::db::ledger::Limits;
use crate::db::places::{Place, Places};
use crate::db::sealing::Sealer;
use crate::db::{self, Db, SellerDb};
use crate::domain::seller_limits::CommonLimits;
use crate::domain::{FieldError, KeyId, SellerId, StoreId, Timestamp};
use crate::mail::Post;
use crate::platforms::client::Client;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// The most checks, discoveries and dry runs of one seller at once. Each waits for a platform, for seconds if it is slow.
pub const OUTBOUND_AT_ONCE: usize = 4;

/// Stops all activity for a seller; completes when nothing is in flight any more.
pub type Forget = Arc<dyn Fn(SellerId) -> BoxFuture<'static, ()> + Send + Sync>;

/// Has these stores of a seller called at once, whatever pauses they are in.
pub type TryNow = Arc<dyn Fn(SellerId, Vec<StoreId>) + Send + Sync>;

/// The resources that use cases need. Cheap to clone.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds keys and callbacks")]
pub struct Service {
    /// The database.
    pub db: Db,
    /// The current time.
    pub clock: Clock,
    /// Seals credentials.
    pub sealer: Arc<Sealer>,
    /// Calls stores.
    pub client: Client,
    /// Sends mails; `None` if the operator has not set that up.
    pub post: Option<Post>,
    /// Renews stores' tokens.
    pub renewals: Arc<Renewals>,
    /// Bounds the calls to platforms that requests of one seller wait for.
    pub outbound: Arc<Places>,
    /// Limits of the ledger.
    pub limits: Limits,
    /// How long finished pushes, runs and the audit log of most sellers are kept.
    pub records_kept_for: Duration,
    /// Whether stores may point at loopback and private addresses.
    pub allow_private_targets: bool,
    /// Called when a seller is suspended or deleted. Other changes reach running actors through the database's hook; this
    /// one must be awaited, because nothing may be sent afterwards.
    pub forget: Forget,
    /// Called when a seller retries pushes by hand.
    pub try_now: TryNow,
}

impl Service {
    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What all sellers may who have no limits of their own; `events_per_second` is the business of those who take events in.
    pub fn common_limits(&self, events_per_second: i64) -> CommonLimits {
        CommonLimits { events_per_second, skus: self.limits.skus_per_seller, records_kept_for: self.records_kept_for }
    }

    /// A place for a request that calls a platform and waits for the answer.
    ///
    /// # Errors
    /// If [`OUTBOUND_AT_ONCE`] such requests of the same seller are under way.
    pub(super) fn outbound_place(&self, caller: &Caller) -> Result<Place> {
        Ok(self.outbound.try_take(caller.db.id()).ok_or(db::Error::TooMuchAtOnce)?)
    }
}

/// An authenticated seller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Access to its rows.
    pub db: SellerDb,
    /// Its name in the audit log.
    pub name: String,
}

impl Caller {
    /// A seller that authenticated with one of its keys.
    pub fn by_key(db: SellerDb, key: KeyId) -> Self {
        Self { db, name: format!("key:{key}") }
    }

    /// The name in the audit log.
    pub(super) fn actor(&self) -> String {
        self.name.clone()
    }
}

/// The authenticated operator.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

/// The operator's name in the audit log.
pub(super) const OPERATOR: &str = "operator";

/// Why a use case failed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The database does not allow it or cannot be reached.
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
    /// The operating system supplied no random numbers for a new key.
    #[error("no random numbers are available")]
    NoRandomNumbers,
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One invalid field.
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
