//! The rules, as plain values and pure functions: no async, no I/O, no clock of its own.
//!
//! Vocabulary. A *seller* is the tenant. A *store* is one shop of a seller on one *platform*. A *SKU* is the
//! seller's own stock-keeping unit; a *listing* is one sellable variant in one store, paired with one SKU.
//! *Available* is what can be sold of a SKU in a warehouse. A *stock event* came in and changed it; a *push* goes
//! out and changes one listing: an *increase* is relative, an *overwrite* absolute. A *sync run* is one overwrite of
//! many listings. The *target* is what a listing should show; its *units* are how many of the SKU one of the listing is (a six-pack:
//! 6), [`units::UnitsEach`]. A *bundle* is a SKU without stock of its own, made of *components*. A *pack* keeps overwrites of one run together while they are
//! alike.
//!
//! A run is *weighed* before its listings become pushes. One that would change more than its seller's *guard* allows asks a
//! *question*, and waits for the answer.
//!
//! Delivery. A *claim* chooses what is sent to a store next; a *call* is one request with one or more pushes. A
//! *verdict* is what is known of one push after its call. A push is *in doubt* while an earlier sending of its call is
//! unresolved; its *resolution* is how that is resolved, not before the *settle time*, within which a request whose
//! answer was lost may still arrive. The *account* is what the service believes a listing shows. To *heal* a listing is
//! to overwrite it with its target because the account cannot be trusted; a *mark* says that it is healed once its
//! store works again. A rejected increase is *contained* once an overwrite of its listing was confirmed after it.
//!
//! Listings of one store that show the same SKU are *siblings*: they show the same units.
//!
//! *Unseen sales* are units that a store has sold and nobody has reported yet; overwrites leave them out. They are what is missing
//! of what is *expected* of a listing when it is read.
//!
//! A *fall* is a decrease of a target by one event; it is pushed only for reasons that a seller has chosen, by store.
//!
//! *Drift* is a listing that shows something other than expected; a *check* of a store finds it.
//!
//! A *pause* of a platform, a seller, a store or a SKU keeps pushes waiting; a *frozen window* is a pause of stores by the clock.
//!
//! A *webhook* is a seller's address for *messages* about what happens, each on one *topic*. *News* are the same for a seller's
//! address for mails: a *digest* is a mail that lists what has happened, who *must act*, and what to do next.
//!
//! *Usage* is what a seller is metered by: events, pushes and calls by the day in UTC.
//!
//! Nodes. A *node* is one process of the service; several share a PostgreSQL database. Sellers are spread over *shards*. A node
//! holds a shard by a *lease*, which has an *epoch*: another holder has another epoch, and whoever acts under an earlier one is
//! *fenced*.
pub mod access;
pub mod acting;
pub mod allocation;
pub mod authorization;
pub mod behind;
pub mod bundle;
pub mod bundling;
pub mod circuit;
pub mod claim;
pub mod delivery;
pub mod drift;
pub mod explain;
pub mod falls;
pub mod frequency;
pub mod frozen;
pub mod grant;
pub mod guard;
pub mod ids;
pub mod leases;
pub mod ledger;
pub mod letter;
pub mod limits;
pub mod look_alikes;
pub mod mail;
pub mod names;
pub mod news;
pub mod offer;
pub mod pace;
pub mod pack;
pub mod pause;
pub mod per_minute;
pub mod problem;
pub mod push;
pub mod quota;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod seller_limits;
pub mod settings;
pub mod siblings;
pub mod stock;
pub mod switching;
pub mod sync;
pub mod targets;
mod timestamp;
pub mod topic;
pub mod undo;
pub mod undo_run;
pub mod units;
pub mod unseen;
pub mod usage;
pub mod webhook;

pub use ids::{
    CallId, DriftCheckId, EmailId, EventId, FrozenWindowId, KeyId, ListingId, MailId, MessageId, NewsId, NodeId, PushId, RuleId, RunId,
    SellerId, Sku, StoreId, WarehouseCode, WebhookId,
};
pub use problem::FieldError;
pub use timestamp::Timestamp;
