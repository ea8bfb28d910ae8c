//! Pages that are not about one file: [why things are as they are](decisions), [what an error means](errors), [what goes
//! wrong and what then happens](faults), [how the promise is tried out](simulation), [what a build costs](build_time),
//! [what has changed](changes). Prose only; the texts are Markdown files beside this one.

/// What each kind of problem answer means, and what a client does next.
#[doc = include_str!("errors.md")]
pub mod errors {}

/// Fault by fault: what has to happen, and the test that shows it.
#[doc = include_str!("faults.md")]
pub mod faults {}

/// Whole services in a world that goes wrong: what is simulated, what is checked, how a failure is repeated.
#[doc = include_str!("simulation.md")]
pub mod simulation {}

/// What a release build costs, what dominated it, and what was tried to make it shorter.
#[doc = include_str!("build-time.md")]
pub mod build_time {}

/// What has changed from release to release, for those who run it and for those who call it.
#[doc = include_str!("changes.md")]
pub mod changes {}

/// Decisions: context, decision, consequences, half a page each. A decision that is changed keeps its page, which
/// then names its successor.
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
}
