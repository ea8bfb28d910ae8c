//! What each listing must show, written from the contract alone and without a line of the service's own rules.
//!
//! * pool of a store = sum of available over the warehouses that feed it, not under 0
//! * shared: target = floor(pool × share); exclusive: the store's part of its pool, split by Sainte-Laguë among all
//!   stores and the unallocated rest, one unit at a time, ties to the earlier store
//! * the increase of an event = target after − target before, if above 0 and the event's kind triggers
use super::plan::{Kind, Plan};
use super::workload::Event;

/// Which warehouses feed a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeds {
    All,
    Only(usize),
}

impl Feeds {
    /// With two warehouses every second store is fed by one of them alone.
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

    /// The targets by store, given what is available by warehouse.
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

/// A split by Sainte-Laguë. Whom each next unit goes to depends on the shares alone, so it is found once.
#[derive(Debug, Clone)]
struct Split {
    /// Shares, the unallocated rest last.
    weights: Vec<i64>,
    /// For every pool from 0 up, the parts.
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
            // The largest share / (2 × part + 1) gets the unit; compared crosswise.
            let mut winner: Option<(usize, i64, i64)> = None;
            for (party, (weight, part)) in self.weights.iter().zip(&next).enumerate() {
                let divisor = 2 * part + 1;
                if winner.is_none_or(|(_, best, its_divisor)| weight * its_divisor > best * divisor) {
                    winner = Some((party, *weight, divisor));
                }
            }
            if let Some(part) = winner.and_then(|(party, ..)| next.get_mut(party)) {
                *part += 1;
            }
            self.parts.push(next);
        }
        self.parts.get(pool).and_then(|parts| parts.get(store)).copied().unwrap_or(0)
    }
}

/// When an event was sent first and when its acceptance was known, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Times {
    pub(super) sent_us: i64,
    pub(super) accepted_us: i64,
}

/// One accepted event, as one listing sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) times: Times,
    /// The listing's target after it.
    pub(super) target: i64,
    /// All increases of the listing so far, this one's among them.
    pub(super) due: i64,
}

/// Replays one SKU's accepted events, in the order of acceptance; answers the steps of each store's listing.
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
    fn an_oversold_sku_pushes_only_what_rises_above_nothing() {
        let mut rules = rules(&[10_000, 6_000], &[Feeds::All; 2], false);
        let events = [event(Kind::Sale, 5, 0), event(Kind::Purchase, 10, 0)];
        assert_eq!(due(&mut rules, &events), [5, 3]);
    }

    #[test]
    fn rounding_does_not_drift_and_sales_take_nothing_away() {
        let mut rules = rules(&[3_500], &[Feeds::All], false);
        let ones = vec![event(Kind::Return, 1, 0); 20];
        assert_eq!(due(&mut rules, &ones), [7]);
        assert_eq!(due(&mut rules, &[event(Kind::Count, 20, 0), event(Kind::Sale, 20, 0), event(Kind::Cancellation, 20, 0)]), [7]);
        assert_eq!(due(&mut rules, &[event(Kind::Adjustment, 20, 0), event(Kind::Adjustment, -20, 0), event(Kind::Count, 3, 0)]), [8]);
    }

    #[test]
    fn a_transfer_raises_only_the_store_that_the_goods_arrive_for() {
        let mut rules = rules(&[10_000; 3], &[Feeds::All, Feeds::Only(0), Feeds::Only(1)], false);
        let events = [event(Kind::Purchase, 6, 0), event(Kind::Transfer, 4, 0), event(Kind::Transfer, 1, 1)];
        assert_eq!(due(&mut rules, &events), [6, 7, 4]);
    }

    #[test]
    fn an_exclusive_split_leaves_the_last_unit_to_the_largest_quotient() {
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
