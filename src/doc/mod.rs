//! Pages about more than one file: [why things are as they are](decisions), [what errors mean](errors), [what can go wrong
//! and what happens then](faults), [how the promise is tested](simulation), [what has changed](changes). Prose only; the
//! texts are Markdown files beside this one.

/// What each kind of problem document means, and what a client should do next.
#[doc = include_str!("errors.md")]
pub mod errors {}

/// Fault by fault: what has to happen, and the test that proves it.
#[doc = include_str!("faults.md")]
pub mod faults {}

/// The whole service in a world full of faults: what is simulated, what is checked, and how to repeat a failure.
#[doc = include_str!("simulation.md")]
pub mod simulation {}

/// What has changed in each release, for operators and API clients.
#[doc = include_str!("../../CHANGELOG.md")]
pub mod changes {}

/// Decisions: context, decision and consequences, half a page each. A decision that is superseded keeps its page, which
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
}
