//! What a store's actor does next: a state machine without I/O, driven by the actor.
//!
//! It makes one claim at a time, allows a few calls in flight, and sends nothing while the circuit is open; a probe is sent
//! only on its own. It asks to be woken when the next work is due. Once stopping, it only waits for calls in flight.
use super::Timestamp;
use super::circuit::Circuit;
use super::claim::Next;
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
    Sending {
        /// What the claim has left.
        next: Next,
    },
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
        /// What was left as its outcome was saved.
        next: Next,
    },
    /// A call that counted as under way was not sent: it was given back, or nobody knows whether its pushes are on their way.
    NotSent,
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
            Input::Sending { next } => {
                self.claim_ended();
                // A claim that was waiting for the pause to end has gone ahead.
                self.asked_under_way |= std::mem::take(&mut self.asked);
                self.under_way += 1;
                match next {
                    Next::Unknown => self.hinted = true,
                    Next::DueAt(at) => self.next_due = at,
                }
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
            Input::CallEnded { answered, next } => {
                self.under_way = self.under_way.saturating_sub(1);
                self.asked_under_way &= self.under_way > 0;
                self.note(now, answered);
                match next {
                    // A claim that is under way may have read the rows before, and says last what is due next.
                    Next::DueAt(at) if !self.claiming => {
                        self.next_due = self.next_due.into_iter().chain(at).min();
                        self.hinted |= self.next_due.is_some_and(|due| due <= now);
                    }
                    _ => self.hinted = true,
                }
            }
            Input::NotSent => {
                self.under_way = self.under_way.saturating_sub(1);
                self.asked_under_way &= self.under_way > 0;
                self.hinted = true;
            }
            Input::Stop => self.stopping = true,
        }
        self.next(now)
    }

    /// Whether a call may be offered to increases that are not recorded yet: nothing that is known waits for a claim, and
    /// nothing forbids to send at once.
    pub fn may_offer(&self, now: Timestamp) -> bool {
        let is_busy = self.stopping || self.claiming || self.hinted || self.asked || self.asked_under_way;
        let is_paused = self.circuit != Circuit::default() || self.db_pause.is_some();
        !is_busy && !is_paused && self.under_way < self.max_in_flight && self.next_due.is_none_or(|due| due > now)
    }

    /// A call that was offered has been taken.
    pub fn offer_taken(&mut self) {
        self.under_way += 1;
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
mod tests;
