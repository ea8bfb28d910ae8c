//! What each listing must show, written from the contract alone and without using any of the service's own rules.
//!
//! * Pool of a store = sum of available over the warehouses that feed it, at least 0.
//! * Shared: target = floor(pool × share). Exclusive: the store's part of its pool, split by Sainte-Laguë among all
//!   stores and the unallocated rest, one unit at a time; ties go to the earlier store.
//! * The increase of an event = target after − target before, if positive and the event's kind triggers increases.
use super::plan::{Kind, Plan};
use super::workload::Event;

/// Which warehouses feed a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeds {
    All,
    Only(usize),
}

impl Feeds {
    /// With two warehouses, every second store is fed by just one of them.
    pub(super) fn of(plan: &Plan, store: usize) -> Self {
        if plan.warehouses < 2 || store.is_multiple_of(2) { Self::All } else { Self::Only(store / 2 % 2) }
    }
}

/// The rules of one seller's listings, the same for all its SKUs.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    shares: Vec<i64>,
    feeds: Vec<Feeds>,
    split: Option<Split>,
}

impl Rules {
    pub(super) fn of(plan: &Plan, seller: usize) -> Self {
        let (shares, exclusive) = plan.shares_of(seller);
        let feeds = (0..plan.stores).map(|store| Feeds::of(plan, store)).collect();
        Self { split: exclusive.then(|| Split::new(&shares)), shares, feeds }
    }

    /// The target of each store, given the available quantity of each warehouse.
    pub(super) fn targets(&mut self, available: [i64; 2]) -> Vec<i64> {
        let [main, other] = available;
        let pool = |feeds: &Feeds| match feeds {
            Feeds::All => main + other,
            Feeds::Only(0) => main,
            Feeds::Only(_) => other,
        };
        let pools: Vec<i64> = self.feeds.iter().map(|feeds| pool(feeds).max(0)).collect();
        match &mut self.split {
            None => pools.iter().zip(&self.shares).map(|(pool, share)| pool * share / 10_000).collect(),
            Some(split) => pools.iter().enumerate().map(|(store, pool)| split.part(store, *pool)).collect(),
        }
    }
}

/// A split by Sainte-Laguë. Which store receives the next unit depends only on the shares and the units split so far,
/// so the parts of each pool are computed once.
#[derive(Debug, Clone)]
struct Split {
    /// The shares, followed by the unallocated rest.
    weights: Vec<i64>,
    /// The parts of every pool, by its size.
    parts: Vec<Vec<i64>>,
}

impl Split {
    fn new(shares: &[i64]) -> Self {
        let rest = 10_000 - shares.iter().sum::<i64>();
        let weights: Vec<i64> = shares.iter().copied().chain([rest.max(0)]).collect();
        Self { parts: vec![vec![0; weights.len()]], weights }
    }

    fn part(&mut self, store: usize, pool: i64) -> i64 {
        let pool = usize::try_from(pool).unwrap_or(0);
        while self.parts.len() <= pool {
            let mut next = self.parts.last().cloned().unwrap_or_default();
            // The unit goes to the largest share / (2 × part + 1); compared by cross-multiplication.
            let mut winner: Option<(usize, i64, i64)> = None;
            for (index, (weight, part)) in self.weights.iter().zip(&next).enumerate() {
                let divisor = 2 * part + 1;
                if winner.is_none_or(|(_, best, its_divisor)| weight * its_divisor > best * divisor) {
                    winner = Some((index, *weight, divisor));
                }
            }
            if let Some(part) = winner.and_then(|(index, ..)| next.get_mut(index)) {
                *part += 1;
            }
            self.parts.push(next);
        }
        self.parts.get(pool).and_then(|parts| parts.get(store)).copied().unwrap_or(0)
    }
}

/// When an event was first sent, and when its acceptance was known here, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Times {
    pub(super) sent_us: i64,
    pub(super) accepted_us: i64,
}

/// What one accepted event means for one listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) times: Times,
    /// The listing's target after it.
    pub(super) target: i64,
    /// The sum of the listing's increases so far, including this event's.
    pub(super) due: i64,
}

/// Replays the accepted events of one SKU in the order of acceptance, and returns the steps of each store's listing.
pub(super) fn replay(rules: &mut Rules, events: impl Iterator<Item = (Event, Times)>) -> Vec<Vec<Step>> {
    let mut available = [0i64; 2];
    let mut before = rules.targets(available);
    let mut due = vec![0i64; before.len()];
    let mut traces: Vec<Vec<Step>> = vec![Vec::new(); before.len()];
    for (event, times) in events {
        available = apply(available, &event);
        let after = rules.targets(available);
        let triggers = !matches!(event.kind, Kind::Sale | Kind::Cancellation);
        for (((trace, due), before), after) in traces.iter_mut().zip(&mut due).zip(&before).zip(&after) {
            if triggers {
                *due += (after - before).max(0);
            }
            trace.push(Step { times, target: *after, due: *due });
        }
        before = after;
    }
    traces
}

fn apply([main, other]: [i64; 2], event: &Event) -> [i64; 2] {
    let (here, there) = if event.warehouse == 0 { (main, other) } else { (other, main) };
    let (here, there) = match event.kind {
        Kind::Purchase | Kind::Return | Kind::Cancellation | Kind::Adjustment => (here + event.quantity, there),
        Kind::Sale => (here - event.quantity, there),
        Kind::Count => (event.quantity, there),
        Kind::Transfer => (here - event.quantity, there + event.quantity),
    };
    if event.warehouse == 0 { [here, there] } else { [there, here] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(shares: &[i64], feeds: &[Feeds], exclusive: bool) -> Rules {
        Rules { shares: shares.to_vec(), feeds: feeds.to_vec(), split: exclusive.then(|| Split::new(shares)) }
    }
    fn event(kind: Kind, quantity: i64, warehouse: usize) -> (Event, Times) {
        (Event { seller: 0, sku: 0, kind, quantity, warehouse }, Times::default())
    }
    fn due(rules: &mut Rules, events: &[(Event, Times)]) -> Vec<i64> {
        replay(rules, events.iter().copied()).iter().map(|trace| trace.last().map_or(0, |step| step.due)).collect()
    }

    #[test]
    fn an_oversold_sku_pushes_only_what_rises_above_zero() {
        let mut rules = rules(&[10_000, 6_000], &[Feeds::All; 2], false);
        let events = [event(Kind::Sale, 5, 0), event(Kind::Purchase, 10, 0)];
        assert_eq!(due(&mut rules, &events), [5, 3]);
    }

    #[test]
    fn rounding_does_not_drift_and_sales_push_nothing() {
        let mut rules = rules(&[3_500], &[Feeds::All], false);
        let ones = vec![event(Kind::Return, 1, 0); 20];
        assert_eq!(due(&mut rules, &ones), [7]);
        assert_eq!(due(&mut rules, &[event(Kind::Count, 20, 0), event(Kind::Sale, 20, 0), event(Kind::Cancellation, 20, 0)]), [7]);
        assert_eq!(due(&mut rules, &[event(Kind::Adjustment, 20, 0), event(Kind::Adjustment, -20, 0), event(Kind::Count, 3, 0)]), [8]);
    }

    #[test]
    fn a_transfer_raises_only_stores_fed_by_the_receiving_warehouse() {
        let mut rules = rules(&[10_000; 3], &[Feeds::All, Feeds::Only(0), Feeds::Only(1)], false);
        let events = [event(Kind::Purchase, 6, 0), event(Kind::Transfer, 4, 0), event(Kind::Transfer, 1, 1)];
        assert_eq!(due(&mut rules, &events), [6, 7, 4]);
    }

    #[test]
    fn an_exclusive_split_gives_the_last_unit_to_the_largest_quotient() {
        let mut halves = rules(&[5_000, 5_000], &[Feeds::All; 2], true);
        assert_eq!(halves.targets([1, 0]), [1, 0]);
        assert_eq!(halves.targets([7, 0]), [4, 3]);
        let mut thirds = rules(&[3_333, 3_333, 3_334], &[Feeds::All; 3], true);
        assert_eq!((thirds.targets([1, 0]), thirds.targets([10, 0])), (vec![0, 0, 1], vec![3, 3, 4]));
        let mut unallocated = rules(&[4_000, 2_000], &[Feeds::All; 2], true);
        assert_eq!(unallocated.targets([5, 0]), [2, 1]);
        assert_eq!(unallocated.targets([-3, 0]), [0, 0]);
    }
}
