//! Nodes that only share rows: each looks at them about once a second, at a time of its own.
use super::*;
use proptest::prelude::*;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(5);

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn row(n: u128, renewal: i64) -> Renewed {
    Renewed { node: node(n), renewal, is_leaving: false }
}

/// The rows, and what each node believes.
struct World {
    now: Duration,
    rows: Vec<Renewed>,
    shards: Vec<Holding>,
    watches: BTreeMap<NodeId, Watch>,
    /// Do nothing at present.
    frozen: BTreeSet<NodeId>,
    moves: usize,
}

impl World {
    fn new(nodes: u128) -> Self {
        let shard = |shard| Holding { lease: Lease { shard, epoch: 1 }, holder: None };
        let shards = (0..i16::try_from(SHARDS).unwrap()).map(shard).collect();
        let mut world = Self { now: Duration::ZERO, rows: Vec::new(), shards, watches: BTreeMap::new(), frozen: BTreeSet::new(), moves: 0 };
        (1..=nodes).for_each(|n| world.joins(n));
        world
    }

    fn joins(&mut self, n: u128) {
        self.rows.push(row(n, 1));
        self.watches.insert(node(n), Watch::new(LEASE));
    }

    fn holder(&self, shard: i16) -> Option<NodeId> {
        self.shards[usize::try_from(shard).unwrap()].holder
    }

    /// One look of one node, which renews first.
    fn looks(&mut self, me: NodeId) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.node == me) {
            row.renewal += 1;
        }
        let living = self.watches.get_mut(&me).unwrap().look(&self.rows, (self.now, self.now));
        let Plan { take, give_up } = plan(me, &self.rows, &living, &self.shards);
        for lease in take {
            assert_ne!(self.holder(lease.shard), Some(me));
            if let Some(holder) = self.holder(lease.shard) {
                assert!(self.frozen.contains(&holder) || self.rows.iter().all(|row| row.node != holder), "taken from a living node");
            }
            self.moves += 1;
            self.set(lease, Some(me));
        }
        for lease in give_up {
            assert_eq!(self.holder(lease.shard), Some(me));
            self.set(lease, None);
        }
    }

    fn set(&mut self, lease: Lease, holder: Option<NodeId>) {
        let shard = &mut self.shards[usize::try_from(lease.shard).unwrap()];
        assert_eq!(shard.lease, lease, "by the epoch that was read");
        *shard = Holding { lease: Lease { epoch: lease.epoch + 1, ..lease }, holder };
    }

    /// Everybody who is not frozen looks once a second, one after another.
    fn passes(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let nodes: Vec<NodeId> = self.watches.keys().copied().filter(|node| !self.frozen.contains(node)).collect();
            self.now += ms(1000);
            nodes.into_iter().for_each(|node| self.looks(node));
        }
    }

    fn counts(&self) -> Vec<usize> {
        let of = |node: &NodeId| self.shards.iter().filter(|shard| shard.holder == Some(*node)).count();
        self.watches.keys().filter(|node| !self.frozen.contains(*node)).map(of).collect()
    }

    fn is_even(&self) -> bool {
        let counts = self.counts();
        counts.iter().sum::<usize>() == SHARDS && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
    }

    /// The process is gone for good.
    fn dies(&mut self, n: u128) {
        self.frozen.insert(node(n));
    }
}

#[test]
fn a_node_alone_takes_everything_at_once_and_a_second_one_gets_half() {
    let mut world = World::new(1);
    world.passes(1);
    assert_eq!(world.counts(), [256]);
    world.joins(2);
    world.moves = 0;
    world.passes(3);
    assert_eq!((world.counts(), world.moves), (vec![128, 128], 128));
}

#[test]
fn a_third_node_gets_a_third_and_nothing_else_moves() {
    let mut world = World::new(2);
    world.passes(3);
    world.joins(3);
    world.moves = 0;
    world.passes(4);
    assert_eq!((world.counts(), world.moves), (vec![86, 85, 85], 85));
}

#[test]
fn the_shards_of_a_node_that_is_gone_are_shared_out_after_the_lease_time_and_no_others_move() {
    let mut world = World::new(3);
    world.passes(5);
    let (gone, before) = (node(2), world.shards.clone());
    world.dies(2);
    world.moves = 0;
    // Its last renewal was seen within the second before.
    world.passes(4);
    assert_eq!(world.moves, 0, "not before the lease time");
    world.passes(2);
    assert!(world.is_even(), "{:?}", world.counts());
    let moved = before.iter().zip(&world.shards).filter(|(before, after)| before.holder != after.holder);
    assert!(moved.clone().all(|(before, _)| before.holder == Some(gone)), "only what it held");
    assert_eq!((moved.count(), world.moves), (85, 85));
}

#[test]
fn a_node_that_leaves_gives_up_all_and_takes_nothing_and_others_take_nothing_that_it_still_holds() {
    let mut world = World::new(2);
    world.passes(3);
    world.rows[0].is_leaving = true;
    let watch = world.watches.get_mut(&node(2)).unwrap();
    let living = watch.look(&world.rows, (world.now, world.now));
    assert_eq!(plan(node(2), &world.rows, &living, &world.shards), Plan::default(), "the first has not given up anything yet");
    world.passes(2);
    assert_eq!(world.counts(), [0, 256]);
}

#[test]
fn a_renewal_that_changes_late_is_no_reason_to_take_anything() {
    let mut watch = Watch::new(LEASE);
    let at = |at: u64| (ms(at), ms(at));
    watch.look(&[row(1, 7)], at(0));
    for second in 1..=4 {
        assert!(watch.look(&[row(1, 7)], at(second * 1000)).contains(&node(1)));
    }
    assert!(watch.look(&[row(1, 8)], at(4999)).contains(&node(1)));
    (6..=9).for_each(|second| assert!(watch.look(&[row(1, 8)], at(second * 1000)).contains(&node(1))));
    assert_eq!(watch.unchanged_for(node(1), ms(9000)), Some(ms(4001)));
    assert!(watch.look(&[row(1, 8)], at(9998)).contains(&node(1)));
    assert!(!watch.look(&[row(1, 8)], at(9999)).contains(&node(1)), "five seconds after the change was seen");
}

#[test]
fn a_look_that_takes_long_counts_neither_before_it_ended_nor_after_it_began() {
    let mut watch = Watch::new(LEASE);
    watch.look(&[row(1, 7)], (ms(0), ms(2000)));
    assert!(watch.look(&[row(1, 7)], (ms(4000), ms(6000))).contains(&node(1)));
    assert!(watch.look(&[row(1, 7)], (ms(6900), ms(8000))).contains(&node(1)));
    assert!(!watch.look(&[row(1, 7)], (ms(8500), ms(8600))).contains(&node(1)));
}

#[test]
fn time_without_a_look_does_not_count_so_that_an_outage_of_the_database_moves_nothing() {
    let mut world = World::new(3);
    world.passes(5);
    world.moves = 0;
    // Nobody can renew or look.
    world.now += Duration::from_secs(600);
    world.passes(10);
    assert_eq!(world.moves, 0);
}

#[test]
fn a_node_that_was_frozen_takes_nothing_when_it_wakes_and_gets_its_part_again() {
    let mut world = World::new(2);
    world.passes(3);
    world.frozen.insert(node(1));
    world.passes(20);
    assert_eq!(world.counts(), [256], "the other one has taken everything");
    world.frozen.clear();
    world.looks(node(1));
    world.passes(4);
    assert_eq!(world.counts(), [128, 128]);
}

#[test]
fn a_shard_whose_holder_has_no_row_is_free() {
    let shards = [Holding { lease: Lease { shard: 0, epoch: 4 }, holder: Some(node(9)) }];
    let plan = plan(node(1), &[row(1, 1)], &BTreeSet::from([node(1)]), &shards);
    assert_eq!(plan.take, [shards[0].lease]);
}

#[test]
fn sellers_are_spread_over_all_shards_by_what_is_random_in_their_ids() {
    let now = crate::domain::Timestamp::from_millis(1_800_000_000_000);
    let shards: BTreeSet<i16> = (0..5000).map(|_| shard_of(SellerId::new(now))).collect();
    assert!(shards.len() > 250, "{}", shards.len());
    assert!(shards.iter().all(|shard| (0..256).contains(shard)));
}

#[derive(Debug, Clone)]
enum Change {
    Joins,
    Dies(usize),
    Leaves(usize),
    Freezes(usize, u64),
    Outage(u64),
    Waits(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::Joins),
        2 => (0_usize..8).prop_map(Change::Dies),
        2 => (0_usize..8).prop_map(Change::Leaves),
        2 => (0_usize..8, 1_u64..20).prop_map(|(n, s)| Change::Freezes(n, s)),
        1 => (1_u64..100).prop_map(Change::Outage),
        3 => (0_u64..12).prop_map(Change::Waits),
    ]
}

proptest! {
    /// Whatever happens before, the shards are spread evenly soon afterwards, and stay where they are from then on.
    #[test]
    fn shards_are_always_spread_evenly_in_the_end(changes in proptest::collection::vec(change(), 1..30)) {
        let mut world = World::new(1);
        let (mut next, mut gone) = (2, BTreeSet::new());
        for change in changes {
            let here: Vec<NodeId> = world.watches.keys().copied().filter(|node| !gone.contains(node)).collect();
            let pick = |n: usize| here[n % here.len()];
            match change {
                Change::Joins if here.len() < 8 => {
                    world.joins(next);
                    next += 1;
                }
                Change::Dies(n) if here.len() > 1 => {
                    gone.insert(pick(n));
                    world.frozen.insert(pick(n));
                }
                Change::Leaves(n) if here.len() > 1 => {
                    let node = pick(n);
                    world.rows.iter_mut().filter(|row| row.node == node).for_each(|row| row.is_leaving = true);
                    world.looks(node);
                    world.rows.retain(|row| row.node != node);
                    world.watches.remove(&node);
                }
                Change::Freezes(n, seconds) => {
                    world.frozen.insert(pick(n));
                    world.passes(seconds);
                    // Until it renews again, others may still find it gone.
                    world.looks(pick(n));
                    world.frozen.retain(|node| gone.contains(node));
                }
                Change::Outage(seconds) => world.now += Duration::from_secs(seconds),
                Change::Waits(seconds) => world.passes(seconds),
                _ => {}
            }
        }
        world.passes(14);
        prop_assert!(world.is_even(), "{:?}", world.counts());
        world.moves = 0;
        world.passes(30);
        prop_assert_eq!(world.moves, 0);
    }

    /// A node that joins an even spread moves no more shards than it ends up with, which is as few as possible.
    #[test]
    fn no_more_move_than_needed(nodes in 1_u128..12) {
        let mut world = World::new(nodes);
        world.passes(20);
        prop_assert!(world.is_even());
        world.joins(nodes + 1);
        world.moves = 0;
        world.passes(20);
        prop_assert!(world.is_even());
        prop_assert_eq!(world.moves, SHARDS / usize::try_from(nodes + 1).unwrap());
    }
}
