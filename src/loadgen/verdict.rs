//! Compares what each listing shows with what the model says it must show.
//!
//! A listing that only received increases must show their sum. A listing that was overwritten (because the outcome of an
//! increase could not be determined) must show its target at the time of the overwrite plus the increases of all later
//! events. That time lies somewhere between the overwrite's creation and its confirmation, so the model decides: some
//! event of that interval must have led to exactly the target that was sent, and the increases after that event must
//! have been added.
use super::model::Step;
use super::records::{Overwrite, Recorded};
use serde::{Deserialize, Serialize};

/// The service reports times in whole milliseconds.
const TIMESTAMP_PRECISION_US: i64 = 1_000;

/// The comparison of all listings of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Listings compared.
    pub listings: u64,
    /// Units due as increases, over all listings.
    pub units_due: i64,
    /// Units missing from what the platform shows.
    pub units_lost: i64,
    /// Units that the platform shows in excess.
    pub units_twice: i64,
    /// Listings that show a wrong quantity.
    pub listings_off: u64,
    /// Listings overwritten with their target because the outcome of an increase was unknown.
    pub healed: u64,
    /// Those of them whose overwrite carried a quantity that was not their target at that time.
    pub healed_off_target: u64,
    /// Listings without an overwrite whose recorded increases do not add up to what was due.
    pub records_off: u64,
    /// Whether records were not compared, because the service keeps only the newest.
    pub records_pruned: bool,
}

impl Verdict {
    /// Whether there were listings, and all of them are right.
    pub fn is_right(&self) -> bool {
        self.listings > 0 && self.units_lost == 0 && self.units_twice == 0 && self.healed_off_target == 0 && self.records_off == 0
    }

    /// Adds one listing: its accepted events, what the platform shows, and what the records say.
    pub(super) fn add(&mut self, trace: &[Step], shown: i64, recorded: Option<&Recorded>) {
        let due = trace.last().map_or(0, |step| step.due);
        self.listings += 1;
        self.units_due += due;
        let difference = match recorded.and_then(|recorded| recorded.overwrite.as_ref()) {
            None => {
                let recorded = recorded.map_or(0, |recorded| recorded.increases);
                self.records_off += u64::from(!self.records_pruned && recorded != due);
                shown - due
            }
            Some(overwrite) => {
                self.healed += 1;
                let (difference, on_target) = after_overwrite(trace, shown, overwrite);
                self.healed_off_target += u64::from(!on_target);
                difference
            }
        };
        self.listings_off += u64::from(difference != 0);
        self.units_lost += (-difference).max(0);
        self.units_twice += difference.max(0);
    }
}

/// How much more is shown than must be, and whether the overwrite's quantity was the target at some point in its interval.
fn after_overwrite(trace: &[Step], shown: i64, overwrite: &Overwrite) -> (i64, bool) {
    let due = trace.last().map_or(0, |step| step.due);
    // Events accepted before the overwrite was created are part of its target; events sent after its confirmation are not.
    let first = trace.partition_point(|step| step.times.accepted_us < overwrite.created_us);
    let last = trace.partition_point(|step| step.times.sent_us < overwrite.confirmed_us + TIMESTAMP_PRECISION_US).max(first);
    let before_all = std::iter::once((0, 0));
    let moments = before_all.chain(trace.iter().map(|step| (step.target, step.due))).take(last + 1).skip(first);
    let excess = |due_then: i64| shown - (overwrite.quantity + due - due_then);
    let nearest = |found: &mut dyn Iterator<Item = (i64, i64)>| found.map(|(_, due_then)| excess(due_then)).min_by_key(|d| d.abs());
    let on_target = nearest(&mut moments.clone().filter(|(target, _)| *target == overwrite.quantity));
    match on_target {
        Some(difference) => (difference, true),
        None => (nearest(&mut moments.clone()).unwrap_or(0), false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Times;
    use super::*;

    /// Events at 1000, 2000, … ms, each sent 1 ms before it was accepted.
    fn trace(steps: &[(i64, i64)]) -> Vec<Step> {
        let times = |n: usize| {
            let accepted_us = (i64::try_from(n).unwrap() + 1) * 1_000_000;
            Times { sent_us: accepted_us - 1000, accepted_us }
        };
        steps.iter().enumerate().map(|(n, (target, due))| Step { times: times(n), target: *target, due: *due }).collect()
    }
    fn judge(trace: &[Step], shown: i64, increases: i64, overwrite: Option<Overwrite>) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.add(trace, shown, Some(&Recorded { increases, overwrite }));
        verdict
    }

    #[test]
    fn lost_and_excess_units_are_counted_separately_and_do_not_cancel_out() {
        let trace = trace(&[(5, 5), (3, 5), (7, 9)]);
        assert!(judge(&trace, 9, 9, None).is_right());
        let mut both = judge(&trace, 6, 9, None);
        both.add(&trace, 13, Some(&Recorded { increases: 9, overwrite: None }));
        assert_eq!((both.units_lost, both.units_twice, both.listings_off, both.units_due), (3, 4, 2, 18));
        assert!(!both.is_right());
        assert_eq!(judge(&trace, 9, 8, None).records_off, 1);
        let mut pruned = Verdict { records_pruned: true, ..Verdict::default() };
        pruned.add(&trace, 9, Some(&Recorded { increases: 8, overwrite: None }));
        assert!(pruned.is_right());
        pruned.add(&trace, 8, None);
        assert_eq!(pruned.units_lost, 1);
    }

    #[test]
    fn a_listing_without_events_must_show_zero() {
        let mut verdict = Verdict::default();
        verdict.add(&[], 0, None);
        assert!(verdict.is_right());
        verdict.add(&[], 1, None);
        assert_eq!((verdict.listings, verdict.units_twice), (2, 1));
    }

    #[test]
    fn an_overwritten_listing_shows_its_target_at_that_time_plus_later_increases() {
        // Targets 10, 4 (sold), 9, 2 (sold), 6: increases 10, 5, 4.
        let trace = trace(&[(10, 10), (4, 10), (9, 15), (2, 15), (6, 19)]);
        let at = |quantity, ms: i64| Some(Overwrite::new(quantity, ms * 1000, (ms + 10) * 1000));
        assert!(judge(&trace, 4 + 9, 10, at(4, 2500)).is_right(), "the two later increases were added");
        assert_eq!(judge(&trace, 4 + 4, 10, at(4, 2500)).units_lost, 5, "the increase of 5 was treated as part of the target");
        assert_eq!(judge(&trace, 9, 10, at(9, 2500)).healed_off_target, 1, "9 was not the target then");
        assert!(judge(&trace, 6, 10, at(6, 9000)).is_right());
        assert_eq!(judge(&trace, 10, 10, at(6, 9000)).units_twice, 4);
    }

    #[test]
    fn an_overwrite_concurrent_with_an_event_may_include_it_or_not_but_not_in_part() {
        let trace = trace(&[(10, 10), (15, 15)]);
        let overlapping = |quantity| Some(Overwrite::new(quantity, 1_500_000, 2_500_000));
        assert!(judge(&trace, 15, 10, overlapping(15)).is_right());
        assert!(judge(&trace, 15, 10, overlapping(10)).is_right());
        assert_eq!(judge(&trace, 10, 10, overlapping(10)).units_lost, 5);
        assert_eq!(judge(&trace, 20, 10, overlapping(15)).units_twice, 5);
    }
}
