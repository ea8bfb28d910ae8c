//! How many items the next call to a store may have: fewer after one that was not answered in time.
//!
//! A call under a key can only be repeated as it is ([`Resolution::SameCallAgain`](crate::domain::delivery::Resolution)), so
//! what gets smaller is what has not been sent yet.

/// The size of one store's calls. Kept in memory only: after a restart, the first call has the full size again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallSize {
    most: Option<usize>,
}

impl CallSize {
    /// The most items of the next call, if its platform accepts `limit`.
    pub fn of(self, limit: usize) -> usize {
        self.most.map_or(limit, |most| most.min(limit))
    }

    /// Notes whether a call with so many items was answered in time. A repetition of a call that was larger than calls are
    /// now says nothing about these.
    pub fn note(&mut self, items: usize, answered: bool) {
        match self.most {
            Some(most) if items > most => {}
            None if answered => {}
            _ if !answered => self.most = Some((items / 2).max(1)),
            Some(most) if items == most => self.most = most.checked_mul(2),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_halved_until_they_are_answered_and_grow_again_afterwards() {
        let mut size = CallSize::default();
        let mut sizes = Vec::new();
        for answered in [true, false, false, false, true, true, true, true] {
            sizes.push(size.of(250));
            size.note(size.of(250), answered);
        }
        assert_eq!(sizes, [250, 250, 125, 62, 31, 62, 124, 248]);
        assert_eq!(size.of(250), 250);
    }

    #[test]
    fn a_repetition_of_a_larger_call_and_a_smaller_one_change_nothing_and_one_item_stays_one() {
        let mut size = CallSize::default();
        size.note(100, false);
        size.note(100, false);
        size.note(100, true);
        size.note(7, true);
        assert_eq!(size.of(250), 50);
        (0..9).for_each(|_| size.note(size.of(250), false));
        assert_eq!(size.of(250), 1);
        size.note(1, true);
        assert_eq!((size.of(250), size.of(1)), (2, 1));
    }
}
