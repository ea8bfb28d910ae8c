//! Stocktide keeps the stock shown in sellers' online stores true. A seller's system reports stock events; for each one
//! that raises what a store should show, the store's platform is told, once. **An increase is never lost and never
//! applied twice**, whatever crashes, times out or is throttled on the way.
//!
//! # The picture
//! Seven levels. Arrows only point down: a module imports from lower levels, never from higher ones and never across
//! a `|`. `tests/architecture.rs` reads every path in the source and enforces this; it also finds circles of files.
//!
//! ```text
//! 6   main cli app demo config telemetry doc     wire everything together; nothing below imports them
//! 5   http | loadgen                             parse, call a service, answer  |  synthetic events, as an outside client
//! 4   actors | simulator                         who runs, and when  |  the platform used by tests, demo and load
//! 3   service                                    use cases: load, decide, save; every way in goes through it
//! 2   db | platforms                             rows  |  outbound HTTP
//! 1   clock                                      the only source of "now"
//! 0   domain                                     values and decisions: no async, no I/O, no framework
//! ```
//!
//! # One event, from end to end
//! 1. `POST /v1/stock-events` checks each event by itself and hands the good ones to [`db::Db::record`].
//! 2. Whatever waits in a lane is recorded in one transaction ([`db::ledger`]): repeats are told apart, available is
//!    moved, the increase of each listing is target after − target before ([`domain::allocation`]), and a row in
//!    `pushes` is written or a waiting one is raised. Only after the commit is the request answered.
//! 3. A hint goes to the seller's node, from there to its supervisor and to its stores' actors ([`actors`]). A hint
//!    that is lost costs seconds: nodes look through the rows for work themselves.
//! 4. A store's actor claims what is due ([`db::delivery`]): the pushes are `sending` in the database before the first
//!    byte leaves. [`platforms::client`] waits for the rate limits, sends, and sorts the answer into what is *known*.
//! 5. The push takes that in ([`domain::push`]): confirmed, surely not applied and tried again, or perhaps applied and
//!    found out. It is never sent again on a guess.
//!
//! # Invariants
//! * Available = the sum of the deltas of the distinct events accepted. Nothing but the ledger changes it.
//! * For every listing, once all is quiet: increases confirmed = increases computed, save those that an overwrite with
//!   the target took the place of, and the records say which.
//! * At most one push of a listing is on its way or uncertain. Order per listing is kept.
//! * Exclusive mode: where a seller's stores have one pool, their parts and the unallocated part are that pool.
//! * At most one daily run for each store and local date.
//! * A seller's row is reached through that seller's [`db::Tenant`] alone.
//! * What was acknowledged is on disk, and so is the push that follows from it.
//! * "Now" comes from [`clock::Clock`]; the rules get it as an argument.
//!
//! # Start reading here
//! [`domain`] for the words, then [`domain::stock`] and [`domain::allocation`] for what is pushed, then
//! [`domain::delivery`] and [`domain::push`] for how an unknown outcome is found out. Those are pure; each says its rule
//! first and tries it at its end. Then [`db::ledger`] and [`db::delivery`], where the rules meet the rows; then
//! [`actors`], which only says who looks at the rows, and when. [`platforms`] says how to add a platform, [`doc`] why
//! things are as they are.
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
pub mod platforms;
pub mod service;
pub mod simulator;
pub mod telemetry;
