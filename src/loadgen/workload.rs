//! All events of a run, drawn from the seed before the first is sent, so that a run can be repeated exactly, however fast
//! it goes. Nothing here reads a clock.
//!
//! Every SKU belongs to one lane. A lane is one connection, which sends its requests one after another, so the service
//! accepts the events of one SKU in the order in which they were drawn here.
use super::plan::{Kind, Mix, Plan};
use rand::RngExt;
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;
use rand_distr::Zipf;
use std::collections::BTreeMap;

/// Out of ten requests, how many carry a single event as an object, and how many an array; the rest are NDJSON.
const SINGLE_OF_TEN: u32 = 2;
const ARRAY_OF_TEN: u32 = 4;

/// One stock event, identified by its index in [`Workload::events`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) seller: usize,
    pub(super) sku: usize,
    pub(super) kind: Kind,
    pub(super) quantity: i64,
    /// 0 or 1; a transfer goes from this warehouse to the other.
    pub(super) warehouse: usize,
}

/// The body format of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Single,
    Array,
    Ndjson,
}

/// Whether a request is deliberately sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    No,
    Afterwards,
    AtTheSameTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) seller: usize,
    pub(super) form: Form,
    pub(super) repeat: Repeat,
    /// Indices into [`Workload::events`].
    pub(super) events: Vec<usize>,
}

/// All events of a run, and the requests that carry them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Workload {
    pub(super) events: Vec<Event>,
    /// The requests of each connection, in order.
    pub(super) lanes: Vec<Vec<Batch>>,
}

/// How events are drawn and batched; the fields are those of `Task::Events`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) count: usize,
    pub(super) batch: usize,
    pub(super) zipf: f64,
    pub(super) mix: Mix,
    pub(super) repeat: f64,
}

impl Workload {
    /// Draws all events. Fails if the mix or the Zipf exponent cannot be drawn from.
    pub(super) fn draw(plan: &Plan, shape: &Shape) -> Result<Self, String> {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut weights = shape.mix.0;
        if let (1, Some(transfers)) = (plan.warehouses, weights.last_mut()) {
            *transfers = 0;
        }
        let kinds = WeightedIndex::new(weights).map_err(|e| format!("mix: {e}"))?;
        #[expect(clippy::cast_precision_loss, reason = "at most a hundred thousand")]
        let ranks = Zipf::new(plan.skus as f64, shape.zipf).map_err(|e| format!("zipf: {e}"))?;
        let event = |rng: &mut ChaCha8Rng| {
            let kind = Kind::ALL.get(kinds.sample(rng)).copied().unwrap_or(Kind::Purchase);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank from 1 to the number of SKUs")]
            let sku = (ranks.sample(rng) as usize).clamp(1, plan.skus) - 1;
            let seller = rng.random_range(0..plan.sellers);
            Event { seller, sku, kind, quantity: quantity(kind, rng), warehouse: rng.random_range(0..plan.warehouses) }
        };
        let events = (0..shape.count).map(|_| event(&mut rng)).collect();
        Ok(Self::batched(plan, shape, events, &mut rng))
    }

    /// One purchase of every SKU of every seller.
    pub(super) fn stock(plan: &Plan, shape: &Shape) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let all = (0..plan.sellers).flat_map(|seller| (0..plan.skus).map(move |sku| (seller, sku)));
        let events =
            all.map(|(seller, sku)| Event { seller, sku, kind: Kind::Purchase, quantity: rng.random_range(1..=500), warehouse: 0 });
        let events = events.collect();
        Self::batched(plan, shape, events, &mut rng)
    }

    fn batched(plan: &Plan, shape: &Shape, events: Vec<Event>, rng: &mut ChaCha8Rng) -> Self {
        let mut lanes: Vec<Vec<Batch>> = vec![Vec::new(); plan.connections];
        let mut open: BTreeMap<(usize, usize), Batch> = BTreeMap::new();
        for (index, event) in events.iter().enumerate() {
            let lane = lane_of(plan, event);
            let batch = open.entry((lane, event.seller)).or_insert_with(|| new_batch(event.seller, shape, rng));
            batch.events.push(index);
            if batch.form == Form::Single || batch.events.len() >= shape.batch {
                close(&mut lanes, lane, open.remove(&(lane, event.seller)));
            }
        }
        for ((lane, _), batch) in open {
            close(&mut lanes, lane, Some(batch));
        }
        Self { events, lanes }
    }
}

fn close(lanes: &mut [Vec<Batch>], lane: usize, batch: Option<Batch>) {
    if let (Some(lane), Some(batch)) = (lanes.get_mut(lane), batch) {
        lane.push(batch);
    }
}

fn new_batch(seller: usize, shape: &Shape, rng: &mut ChaCha8Rng) -> Batch {
    let form = match rng.random_range(0..10u32) {
        n if n < SINGLE_OF_TEN => Form::Single,
        n if n < SINGLE_OF_TEN + ARRAY_OF_TEN => Form::Array,
        _ => Form::Ndjson,
    };
    let repeat = match (rng.random_bool(shape.repeat.clamp(0.0, 1.0)), rng.random_bool(0.5)) {
        (false, _) => Repeat::No,
        (true, false) => Repeat::Afterwards,
        (true, true) => Repeat::AtTheSameTime,
    };
    Batch { seller, form, repeat, events: Vec::new() }
}

/// All SKUs of a seller share one lane if there are enough sellers for all lanes; otherwise they are spread over several.
fn lane_of(plan: &Plan, event: &Event) -> usize {
    let groups = (plan.connections / plan.sellers).max(1);
    (event.seller + plan.sellers * (event.sku % groups)) % plan.connections
}

fn quantity(kind: Kind, rng: &mut ChaCha8Rng) -> i64 {
    match kind {
        Kind::Purchase => rng.random_range(1..=24),
        Kind::Return | Kind::Cancellation => rng.random_range(1..=2),
        Kind::Sale => rng.random_range(1..=4),
        Kind::Transfer => rng.random_range(1..=6),
        Kind::Count => rng.random_range(0..=40),
        Kind::Adjustment => {
            let size = rng.random_range(1..=5);
            if rng.random_bool(0.5) { size } else { -size }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn plan(seed: u64, sellers: usize, connections: usize) -> Plan {
        Plan { seed, sellers, skus: 20, warehouses: 2, connections, ..Plan::events("", "".into(), "") }
    }
    const SHAPE: Shape = Shape { count: 5000, batch: 7, zipf: 1.0, mix: Mix([25, 10, 15, 5, 30, 5, 10]), repeat: 0.1 };

    #[test]
    fn the_same_seed_draws_the_same_run_and_another_seed_a_different_one() {
        let draw = |seed| Workload::draw(&plan(seed, 5, 4), &SHAPE).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).events, draw(2).events);
    }

    #[test]
    fn every_event_is_sent_once_and_those_of_one_sku_in_order_by_one_lane() {
        for (sellers, connections) in [(5, 4), (2, 8), (1, 16), (3, 7)] {
            let workload = Workload::draw(&plan(3, sellers, connections), &SHAPE).unwrap();
            let mut seen = HashSet::new();
            let mut lane_of_sku = HashMap::new();
            for (lane, batches) in workload.lanes.iter().enumerate() {
                let mut last = HashMap::new();
                for batch in batches {
                    assert!(batch.events.len() <= SHAPE.batch && (batch.form != Form::Single || batch.events.len() == 1));
                    for index in &batch.events {
                        let event = workload.events[*index];
                        assert_eq!(event.seller, batch.seller);
                        assert!(seen.insert(*index));
                        assert_eq!(*lane_of_sku.entry((event.seller, event.sku)).or_insert(lane), lane);
                        assert!(last.insert((event.seller, event.sku), *index).is_none_or(|before| before < *index));
                    }
                }
            }
            assert_eq!(seen.len(), SHAPE.count);
            assert!(workload.lanes.iter().filter(|lane| !lane.is_empty()).count() >= connections.min(sellers));
        }
    }

    #[test]
    fn a_few_skus_receive_most_of_the_events() {
        let workload = Workload::draw(&plan(1, 1, 1), &SHAPE).unwrap();
        let of = |sku| workload.events.iter().filter(|event| event.sku == sku).count();
        assert!(of(0) > 4 * of(10) && of(10) > 0, "{} {}", of(0), of(10));
        let flat = Workload::draw(&plan(1, 1, 1), &Shape { zipf: 0.0, ..SHAPE }).unwrap();
        assert!(flat.events.iter().filter(|event| event.sku == 0).count() < 400);
        let single = Workload::draw(&Plan { warehouses: 1, ..plan(1, 1, 1) }, &SHAPE).unwrap();
        assert!(single.events.iter().all(|event| event.kind != Kind::Transfer && event.warehouse == 0));
    }
}
