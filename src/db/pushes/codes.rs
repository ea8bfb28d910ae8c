//! The numbers of kinds, states and resolutions in the database. They are never reused.
use crate::domain::delivery::Resolution;
use crate::domain::push::{PushKind, PushState};

/// The codes that bulk statements write.
pub(super) const QUEUED: i16 = state_code(PushState::Queued);
pub(super) const RETRYING: i16 = state_code(PushState::Retrying);
pub(in crate::db) const CONFIRMED: i16 = state_code(PushState::Confirmed);
pub(super) const HELD: i16 = state_code(PushState::Held);

pub(in crate::db) const fn state_code(state: PushState) -> i16 {
    match state {
        PushState::Queued => 0,
        PushState::Sending => 1,
        PushState::Confirmed => 2,
        PushState::Retrying => 3,
        PushState::Uncertain => 4,
        PushState::Rejected => 5,
        PushState::Held => 6,
        PushState::Superseded => 7,
        PushState::Cancelled => 8,
    }
}

pub(in crate::db) fn state_of(code: i16) -> Option<PushState> {
    PushState::ALL.into_iter().find(|state| state_code(*state) == code)
}

pub(super) const fn kind_code(kind: PushKind) -> i16 {
    match kind {
        PushKind::Increase => 0,
        PushKind::Overwrite => 1,
    }
}

pub(super) fn kind_of(code: i16) -> Option<PushKind> {
    [PushKind::Increase, PushKind::Overwrite].into_iter().find(|kind| kind_code(*kind) == code)
}

pub(super) const fn resolution_code(resolution: Resolution) -> i16 {
    match resolution {
        Resolution::SameCallAgain => 0,
        Resolution::ReadBack => 1,
        Resolution::Overwrite => 2,
        Resolution::AwaitShown => 3,
    }
}

pub(super) fn resolution_of(code: i16) -> Option<Resolution> {
    let all = [Resolution::SameCallAgain, Resolution::ReadBack, Resolution::Overwrite, Resolution::AwaitShown];
    all.into_iter().find(|resolution| resolution_code(*resolution) == code)
}

pub(super) fn codes_of(is: impl Fn(PushState) -> bool) -> Vec<i16> {
    PushState::ALL.into_iter().filter(|state| is(*state)).map(state_code).collect()
}

/// The states that can be retried: all of them, or only this one.
pub(super) fn retryable_codes(only: Option<PushState>) -> Vec<i16> {
    codes_of(|state| state.is_retryable() && only.is_none_or(|only| only == state))
}

pub(super) fn active_codes() -> Vec<i16> {
    codes_of(PushState::is_active)
}

pub(super) fn claimable_codes() -> Vec<i16> {
    codes_of(PushState::is_claimable)
}

pub(in crate::db) fn codes_of_interest() -> Vec<i16> {
    codes_of(PushState::is_of_interest)
}

pub(in crate::db) fn failure_codes() -> Vec<i16> {
    codes_of(PushState::is_failure_of_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_kind_and_resolution_has_its_own_number() {
        let states: Vec<i16> = PushState::ALL.into_iter().map(state_code).collect();
        assert_eq!(states, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(PushState::ALL.into_iter().all(|state| state_of(state_code(state)) == Some(state)));
        assert_eq!((state_of(-1), state_of(9), kind_of(2), resolution_of(4)), (None, None, None, None));
        assert_eq!([0, 1].map(kind_of), [Some(PushKind::Increase), Some(PushKind::Overwrite)]);
        let resolutions = [Resolution::SameCallAgain, Resolution::ReadBack, Resolution::Overwrite, Resolution::AwaitShown];
        assert_eq!([0, 1, 2, 3].map(resolution_of), resolutions.map(Some));
    }
}
