//! Rows: diesel on SQLite or PostgreSQL, blocking, reached only through [`Db`].
//!
//! Everything that belongs to a seller is a method of [`Tenant`], which holds the seller's id and starts each query from
//! a builder that adds it (`scope.rs`): a query without its tenant does not compile, and `tests/architecture.rs` rejects
//! one that names a seller's table directly. Queries across sellers are in [`fleet`], [`sellers`] and [`overview`] alone;
//! [`ledger`] reads the rows of several sellers in one query, each by its id.
//!
//! Instants are milliseconds since 1970, ids sixteen bytes. Writes go through a few lanes and share commits. A single row
//! is read with `get_result` where there can be only one: `first` binds a `LIMIT`, for which SQLite plans the statement
//! again each time.
pub mod apps;
pub mod audit;
pub mod authorizations;
mod backup;
pub mod behind;
mod bounds;
pub mod bundles;
mod changed;
pub mod connection;
mod cure;
mod database;
pub mod delivery;
pub mod drift;
pub mod email;
pub mod error;
pub mod explain;
pub mod fault_injection;
mod files;
pub mod fleet;
pub mod grants;
mod held;
mod kept;
mod key_owner;
mod known_keys;
pub mod leases;
pub mod ledger;
pub mod listings;
mod literal;
mod migrations;
mod notices;
mod only_process;
pub mod overview;
pub mod own_retention;
mod packs;
pub mod pages;
pub mod pauses;
pub mod places;
pub mod platform_pauses;
mod pool;
pub mod pushes;
mod queue;
pub mod quotas;
mod readiness;
pub mod records;
pub mod removal;
mod rows;
pub mod runs;
pub mod schema;
mod scope;
pub mod sealing;
mod seller_db;
mod seller_rules;
pub mod sellers;
mod session;
pub mod sessions;
mod sets;
pub mod settings;
mod sharing;
pub mod skus;
pub mod stock;
pub mod stores;
mod tenant;
mod timestamp;
mod traced;
pub mod troubles;
mod turns;
mod url;
pub mod usage;
pub mod warehouses;
pub mod webhooks;
mod writable;
mod writer;

pub use backup::{Backup, back_up, verify_backup};
pub use changed::{Changed, Hook};
pub use connection::Conn;
pub use database::{Db, Settings};
pub use error::{Error, Result};
pub use files::open_to_others;
pub use held::{Held, Place};
pub use migrations::{migrate, migrate_down, migrations};
pub use notices::Notices;
pub use only_process::OnlyProcess;
pub use readiness::NotReady;
pub use rows::ROWS_PER_STATEMENT;
pub(crate) use rows::{id_of, units_of};
pub use seller_db::SellerDb;
pub use session::Session;
pub use sharing::try_to_connect;
pub use tenant::Tenant;
pub use url::{DatabaseUrl, Pooler, Server};
