//! What a store's actor does next: a state machine without I/O, driven by the actor.
//!
//! It makes one claim at a time, allows a few calls in flight, and sends nothing while the circuit is open; a probe is sent
//! only on its own. It asks to be woken when the next work is due. Once stopping, it only waits for calls in flight.
use super::Timestamp;
use super::circuit::Circuit;
use super::retry::Pause;
use chrono::TimeDelta;
use std::time::Duration;

/// The longest timer. After it the schedule is consulted again, because clocks may jump and settings may change.
pub const LONGEST_SLEEP: TimeDelta = TimeDelta::minutes(15);
/// The longest pause after the database failed.
const LONGEST_DB_PAUSE: Duration = Duration::from_secs(5);
/// How often a claim looks for pushes that were written before the clock was set back.
const CHECK_TIMES_EVERY: TimeDelta = TimeDelta::seconds(10);
/// One claim in this many prefers overwrites, so that an endless flow of increases does not starve a run.
const OVERWRITES_EVERY: u64 = 4;

/// Something that happened to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// There may be new work.
    Hint,
    /// The seller has asked for a retry: a single call is sent at once, whatever pause is on.
    Asked,
    /// The timer fired.
    Wake,
    /// The claim found nothing to send now; the next push, if any, is due at this instant.
    NothingDue(Option<Timestamp>),
    /// The claimed pushes are being sent to the platform.
    Sending,
    /// The claim led to a read from the platform, which has ended.
    ReadEnded {
        /// Whether the platform answered with a status below 500.
        answered: bool,
    },
    /// The claim failed because of the database.
    DatabaseFailed,
    /// A call has ended, and its outcome is in the database.
    CallEnded {
        /// Whether the platform answered with a status below 500.
        answered: bool,
    },
    /// Nothing more may be sent.
    Stop,
}

/// Something for the actor to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Claim the pushes of the next call.
    Claim {
        /// Claim a single push, to see whether the store works again.
        probe: bool,
        /// Prefer overwrites to increases.
        overwrites_first: bool,
        /// Look for pushes that were written before the clock was set back, too.
        check_times: bool,
    },
    /// Send [`Input::Wake`] at this instant.
    WakeAt(Timestamp),
    /// No call is in flight, and none will be.
    Stopped,
}

/// The state of one store's actor.
#[derive(Debug, Clone)]
pub struct StoreSync {
    max_in_flight: usize,
    under_way: usize,
    claiming: bool,
    hinted: bool,
    stopping: bool,
    next_due: Option<Timestamp>,
    circuit: Circuit,
    claims: u64,
    db_failures: u32,
    db_pause: Option<Pause>,
    /// The seller has asked for a retry that has not been claimed yet.
    asked: bool,
    /// The call that the seller has asked for is under way: the only one until it is answered.
    asked_under_way: bool,
    /// When anything last happened. Time does not go back unless the clock is set back.
    seen_at: Timestamp,
    times_checked_at: Option<Timestamp>,
}

impl StoreSync {
    /// A new state machine, which looks for work first. At most `max_in_flight` calls run at once.
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            max_in_flight: max_in_flight.max(1),
            under_way: 0,
            claiming: false,
            hinted: true,
            stopping: false,
            next_due: None,
            circuit: Circuit::default(),
            claims: 0,
            db_failures: 0,
            db_pause: None,
            asked: false,
            asked_under_way: false,
            seen_at: Timestamp::MIN,
            times_checked_at: None,
        }
    }

    /// Processes an input and returns what to do.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        if now < self.seen_at {
            // The clock was set back: what was to be due later may be due now.
            (self.hinted, self.times_checked_at) = (true, None);
        }
        self.seen_at = now;
        match input {
            Input::Hint => self.hinted = true,
            Input::Asked => self.asked = true,
            Input::Wake => self.hinted |= self.next_due.is_none_or(|due| due <= now),
            Input::NothingDue(next_due) => {
                self.claim_ended();
                self.asked_under_way = false;
                self.next_due = next_due;
            }
            Input::Sending => {
                self.claim_ended();
                // A claim that was waiting for the pause to end has gone ahead.
                self.asked_under_way |= std::mem::take(&mut self.asked);
                self.under_way += 1;
                self.hinted = true;
            }
            Input::ReadEnded { answered } => {
                self.claim_ended();
                self.asked_under_way = false;
                self.note(now, answered);
                self.hinted = true;
            }
            Input::DatabaseFailed => {
                self.claiming = false;
                self.asked_under_way = false;
                self.hinted = true;
                self.db_failures = self.db_failures.saturating_add(1);
                let pause = Duration::from_millis(100).saturating_mul(1 << self.db_failures.min(6)).min(LONGEST_DB_PAUSE);
                self.db_pause = Some(Pause::new(now, pause));
            }
            Input::CallEnded { answered } => {
                self.under_way = self.under_way.saturating_sub(1);
                self.asked_under_way &= self.under_way > 0;
                self.note(now, answered);
                self.hinted = true;
            }
            Input::Stop => self.stopping = true,
        }
        self.next(now)
    }

    /// The store is reached in another way now, so earlier failures say nothing about it.
    pub fn forget_failures(&mut self) {
        self.circuit.succeeded();
    }

    /// Whether no call is in flight and no work is known to be due by `until`.
    pub fn is_idle(&self, until: Timestamp) -> bool {
        self.under_way == 0 && !self.claiming && !self.hinted && self.next_due.is_none_or(|due| due > until)
    }

    /// The number of calls in flight.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether the circuit was open and the next call is a probe.
    pub fn is_probing(&self, now: Timestamp) -> bool {
        self.circuit.is_probing(now)
    }

    /// The instant until which the circuit is open, if it is.
    pub fn circuit_open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.circuit.open_until(now)
    }

    fn claim_ended(&mut self) {
        self.claiming = false;
        self.db_failures = 0;
        self.db_pause = None;
    }

    fn note(&mut self, now: Timestamp, answered: bool) {
        if answered { self.circuit.succeeded() } else { self.circuit.failed(now) }
    }

    fn next(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.stopping {
            return if self.under_way == 0 && !self.claiming { vec![Effect::Stopped] } else { Vec::new() };
        }
        if self.claiming {
            return Vec::new();
        }
        if std::mem::take(&mut self.asked) {
            self.asked_under_way = true;
            return vec![self.claim(now, true)];
        }
        let pause = self.circuit.open_until(now).or(self.db_pause.and_then(|pause| pause.ends_at(now)));
        let probe = self.circuit.is_probing(now);
        let max_in_flight = if probe || self.asked_under_way { 1 } else { self.max_in_flight };
        if self.hinted && pause.is_none() {
            if self.under_way >= max_in_flight {
                return Vec::new();
            }
            self.hinted = false;
            return vec![self.claim(now, probe)];
        }
        let wake = pause.or(self.next_due).unwrap_or(now + LONGEST_SLEEP);
        vec![Effect::WakeAt(wake.clamp(now + TimeDelta::milliseconds(1), now + LONGEST_SLEEP))]
    }

    fn claim(&mut self, now: Timestamp, probe: bool) -> Effect {
        self.claiming = true;
        self.claims = self.claims.wrapping_add(1);
        let check_times = self.times_checked_at.is_none_or(|at| now - at >= CHECK_TIMES_EVERY);
        if check_times {
            self.times_checked_at = Some(now);
        }
        Effect::Claim { probe, overwrites_first: self.claims.is_multiple_of(OVERWRITES_EVERY), check_times }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Effect = Effect::Claim { probe: false, overwrites_first: false, check_times: false };
    const FIRST_CLAIM: Effect = Effect::Claim { probe: false, overwrites_first: false, check_times: true };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn there_is_one_claim_at_a_time_and_a_few_calls_in_flight() {
        let mut sync = StoreSync::new(2);
        assert_eq!(sync.step(at(0), Input::Hint), [FIRST_CLAIM]);
        assert_eq!(sync.step(at(0), Input::Hint), []);
        assert_eq!(sync.step(at(1), Input::Sending), [CLAIM]);
        assert_eq!(sync.step(at(2), Input::Sending), [], "two calls are in flight");
        assert_eq!(sync.step(at(3), Input::CallEnded { answered: true }), [CLAIM]);
        assert_eq!(sync.step(at(4), Input::NothingDue(Some(at(50)))), [Effect::WakeAt(at(50))]);
        assert!(matches!(sync.step(at(50), Input::Wake)[..], [Effect::Claim { .. }]));
    }

    #[test]
    fn a_hint_during_a_claim_is_not_forgotten() {
        let mut sync = StoreSync::new(1);
        sync.step(at(0), Input::Hint);
        sync.step(at(0), Input::Hint);
        assert_eq!(sync.step(at(1), Input::NothingDue(None)), [CLAIM]);
    }

    #[test]
    fn a_store_that_keeps_failing_is_probed_with_a_single_call() {
        let mut sync = StoreSync::new(4);
        for _ in 0..Circuit::TRIP_AFTER {
            sync.step(at(0), Input::Hint);
            sync.step(at(0), Input::Sending);
            sync.step(at(0), Input::CallEnded { answered: false });
            sync.step(at(0), Input::NothingDue(None));
        }
        assert_eq!(sync.step(at(1), Input::Hint), [Effect::WakeAt(at(2000))]);
        assert!(matches!(sync.step(at(2000), Input::Wake)[..], [Effect::Claim { probe: true, .. }]));
        assert_eq!(sync.step(at(2001), Input::Sending), [], "nothing else is sent during a probe");
    }

    #[test]
    fn a_retry_by_hand_sends_one_call_at_once_even_while_the_circuit_is_open() {
        let mut sync = StoreSync::new(4);
        for _ in 0..Circuit::TRIP_AFTER {
            sync.step(at(0), Input::ReadEnded { answered: false });
        }
        sync.step(at(0), Input::NothingDue(None));
        assert_eq!(sync.step(at(1), Input::Hint), [Effect::WakeAt(at(2_000))]);
        assert!(matches!(sync.step(at(2), Input::Asked)[..], [Effect::Claim { probe: true, .. }]));
        assert_eq!(sync.step(at(3), Input::Sending), [Effect::WakeAt(at(2_000))], "nothing else is sent beside it");
        assert_eq!(sync.step(at(4), Input::CallEnded { answered: false }), [Effect::WakeAt(at(4_004))], "it did not help");
        sync.step(at(5), Input::Asked);
        sync.step(at(6), Input::Sending);
        assert!(matches!(sync.step(at(7), Input::CallEnded { answered: true })[..], [Effect::Claim { probe: false, .. }]), "it did");
    }

    #[test]
    fn after_the_clock_was_set_back_it_looks_for_work_at_once_and_no_pause_of_before_is_waited_out() {
        let mut sync = StoreSync::new(1);
        let looks = |effects: Vec<Effect>| matches!(effects[..], [Effect::Claim { check_times: true, .. }]);
        assert!(looks(sync.step(at(100_000), Input::Hint)));
        sync.step(at(100_001), Input::NothingDue(Some(at(160_000))));
        assert!(looks(sync.step(at(50_000), Input::Wake)));
        assert_eq!(sync.step(at(50_000), Input::DatabaseFailed), [Effect::WakeAt(at(50_200))]);
        assert!(looks(sync.step(at(49_000), Input::Wake)));
        for _ in 0..Circuit::TRIP_AFTER {
            sync.step(at(49_000), Input::ReadEnded { answered: false });
        }
        assert_eq!(sync.step(at(49_000), Input::NothingDue(None)), [Effect::WakeAt(at(51_000))]);
        assert!(looks(sync.step(at(40_000), Input::Wake)), "the open circuit is probed");
    }

    #[test]
    fn it_is_idle_without_claims_calls_hints_or_due_work() {
        let mut sync = StoreSync::new(2);
        let idle = |sync: &StoreSync| (sync.is_idle(at(1_000)), sync.under_way());
        assert_eq!(idle(&sync), (false, 0), "it has not looked for work yet");
        sync.step(at(0), Input::Hint);
        assert_eq!(idle(&sync), (false, 0), "it is looking for work");
        sync.step(at(1), Input::NothingDue(None));
        assert_eq!(idle(&sync), (true, 0));
        for (due, is_idle) in [(999, false), (1_000, false), (1_001, true)] {
            sync.step(at(2), Input::Hint);
            sync.step(at(2), Input::NothingDue(Some(at(due))));
            assert_eq!(idle(&sync), (is_idle, 0), "due at {due}");
        }
        sync.step(at(3), Input::Hint);
        sync.step(at(3), Input::Sending);
        sync.step(at(3), Input::NothingDue(None));
        assert_eq!(idle(&sync), (false, 1), "a call is in flight");
        sync.step(at(4), Input::CallEnded { answered: true });
        sync.step(at(4), Input::NothingDue(None));
        assert_eq!(idle(&sync), (true, 0));
    }

    #[test]
    fn it_wakes_at_once_for_overdue_work_and_after_a_while_without_any() {
        let mut sync = StoreSync::new(1);
        sync.step(at(0), Input::Hint);
        assert_eq!(sync.step(at(10), Input::NothingDue(Some(at(5)))), [Effect::WakeAt(at(11))]);
        sync.step(at(20), Input::Hint);
        assert_eq!(sync.step(at(20), Input::NothingDue(None)), [Effect::WakeAt(at(20) + LONGEST_SLEEP)]);
    }

    #[test]
    fn a_store_that_keeps_failing_reports_until_when_its_circuit_is_open() {
        let mut sync = StoreSync::new(1);
        let circuit = |sync: &StoreSync, ms| (sync.circuit_open_until(at(ms)), sync.is_probing(at(ms)));
        assert_eq!(circuit(&sync, 0), (None, false));
        for _ in 0..Circuit::TRIP_AFTER {
            sync.step(at(0), Input::ReadEnded { answered: false });
        }
        assert_eq!((circuit(&sync, 0), circuit(&sync, 2_000)), ((Some(at(2_000)), false), (None, true)));
        sync.step(at(2_000), Input::ReadEnded { answered: true });
        assert_eq!(circuit(&sync, 2_000), (None, false));
    }

    #[test]
    fn a_stop_waits_for_calls_in_flight() {
        let mut sync = StoreSync::new(1);
        sync.step(at(0), Input::Hint);
        sync.step(at(0), Input::Sending);
        assert_eq!(sync.step(at(1), Input::Stop), []);
        assert_eq!(sync.step(at(2), Input::CallEnded { answered: true }), [Effect::Stopped]);
    }

    #[test]
    fn an_unreachable_database_is_retried_at_growing_intervals() {
        let mut sync = StoreSync::new(1);
        sync.step(at(0), Input::Hint);
        assert_eq!(sync.step(at(0), Input::DatabaseFailed), [Effect::WakeAt(at(200))]);
        assert!(matches!(sync.step(at(200), Input::Wake)[..], [Effect::Claim { .. }]));
        assert_eq!(sync.step(at(200), Input::DatabaseFailed), [Effect::WakeAt(at(600))]);
    }
}
