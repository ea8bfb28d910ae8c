//! Stocktide keeps the stock shown in sellers' online stores accurate. A seller's system reports stock events; when one of
//! them raises the quantity that a store should show, Stocktide sends the increase to the store's platform. **An increase
//! is never lost and never applied twice**, whatever crashes, times out or is throttled on the way.
//!
//! # The picture
//! There are seven levels. A module imports only from lower levels, never from higher ones and never across a `|`.
//! `tests/architecture.rs` checks every path in the source against this, and also finds import cycles between files.
//!
//! ```text
//! 6   main cli app demo ready config telemetry doc   wire everything together; nothing else imports them
//! 5   http nats | loadgen                        parse, call a use case, answer  |  synthetic events, sent by an outside client
//! 4   actors | simulator                         who works, and when  |  the platform used by tests, demo and load
//! 3   service                                    use cases: load, decide, save; shared by all entry points
//! 2   db | platforms | mail                      rows  |  outbound HTTP  |  outbound mail
//! 1   clock metrics traces                       the only source of "now", and what the service measures
//! 0   domain                                     values and decisions: no async, no I/O, no framework
//! ```
//!
//! # One event, from end to end
//! 1. The handler of `POST /v1/stock-events` ([`http`]) identifies the seller, parses each event separately and passes the
//!    valid ones to a use case ([`service`]). A message from NATS takes the same way ([`nats`]).
//! 2. A use case loads rows, decides in [`domain`], saves, and writes the audit log, in one transaction. This one hands its
//!    events to [`db::Db::record`], which commits many requests together. For each event, the ledger ([`db::ledger`])
//!    recognizes repeats, updates available, computes each listing's increase as target after − target before
//!    ([`domain::allocation`]), and inserts a row into `pushes` or adds to one that is waiting. The request is answered
//!    only after the commit.
//! 3. After the commit, a hint goes to the seller's node, its supervisor and its stores' actors ([`actors`]). A lost hint
//!    costs only seconds, because nodes also poll the rows for work.
//! 4. A store's actor claims the pushes that are due ([`db::delivery`]): they are `sending` in the database before the
//!    first byte leaves. A store that has nothing else to do offers a call beforehand, which the ledger fills in step 2: then
//!    there is neither a hint nor a claim ([`domain::offer`]). [`platforms::client`] waits for the rate limits, sends, and classifies what the answer proves.
//! 5. The push changes its state accordingly ([`domain::push`]): it is confirmed; or known not to have been applied, and
//!    retried; or uncertain, and checked with the platform first. It is never sent again on a guess.
//!
//! # Invariants
//! * Available = the sum of the deltas of the distinct events accepted. Only the ledger changes it.
//! * For every listing, once no work is left: increases confirmed = increases computed, except those that an overwrite with
//!   the target replaced, which the records show.
//! * At most one push of a listing is in flight or uncertain, and the order of each listing's pushes is kept.
//! * Exclusive mode: if a seller's stores share one pool, their parts and the unallocated part add up to it.
//! * There is at most one daily run per store and local date.
//! * A seller's rows are reached only through that seller's [`db::Tenant`].
//! * An acknowledged event is on disk, and so are the pushes that follow from it.
//! * "Now" comes from [`clock::Clock`]; the rules receive it as an argument.
//!
//! # Where to start reading
//! Start with [`domain`] for the vocabulary, then [`domain::stock`] and [`domain::allocation`] for what is pushed, then
//! [`domain::delivery`] and [`domain::push`] for how an unknown outcome is resolved. These are pure: each file states its
//! rule first and tests it at the end. Then read [`db::ledger`] and [`db::delivery`], which apply the rules to rows;
//! [`service`], which offers them as use cases; and [`actors`], which decide only who looks at the rows, and when.
//! [`platforms`] explains how to add a platform, and [`doc`] why things are the way they are.
pub mod actors;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod doc;
pub mod domain;
pub mod http;
pub mod loadgen;
pub mod mail;
pub mod metrics;
pub mod nats;
pub mod platforms;
pub mod ready;
pub mod service;
pub mod simulator;
pub mod telemetry;
pub mod traces;
