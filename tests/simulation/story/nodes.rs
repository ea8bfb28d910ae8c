//! Several nodes, and what is done to them. Drawn on its own and woven into a story, so that everything else of it stays as it was.
use super::{Rng, Setup, Step, Story, pick};
use crate::nodes::Cut;
use rand::{RngExt, SeedableRng};

/// The most nodes at a time.
pub const MOST_NODES: usize = 5;
/// One of these things happens in so many steps.
const STEPS_PER_EVENT: usize = 6;
/// How far a node's clock may be off, in milliseconds.
const SKEW_MS: i64 = 300_000;

/// The nodes of a story.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// How many there are in the beginning.
    pub count: usize,
    /// By how much the clock of each is off, in milliseconds.
    pub skews_ms: [i64; MOST_NODES],
    /// The limit that all stores share, if they do: calls a second, and at once.
    pub app: Option<(f64, u32)>,
}

/// What is done to a node, or what it does. The number is drawn, and counts those that are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStep {
    /// It dies, and comes back after a while, perhaps under another name.
    Kill {
        node: usize,
        down_ms: u64,
        renamed: bool,
    },
    /// It stops as one that is upgraded does.
    Drain {
        node: usize,
        down_ms: u64,
    },
    /// Another one joins.
    Join,
    /// It stands still, as by SIGSTOP.
    Freeze {
        node: usize,
        for_ms: u64,
    },
    /// It stands still at this point of its work, counted from now.
    FreezeAt {
        node: usize,
        points: u64,
        for_ms: u64,
    },
    CutFromDatabase {
        node: usize,
        how: Cut,
        for_ms: u64,
    },
    CutFromPlatforms {
        node: usize,
        how: Cut,
        for_ms: u64,
    },
    /// Most of what nodes say to one another is lost.
    LoseNotices {
        for_ms: u64,
    },
}

impl Story {
    /// [`Self::draw`] with several nodes.
    pub fn draw_nodes(seed: u64, steps: usize) -> Self {
        let mut story = Self::draw(seed, steps);
        draw(seed, &mut story.setup);
        if story.setup.nodes.as_ref().is_some_and(|nodes| nodes.skews_ms != [0; MOST_NODES]) {
            // How old a cache's answer may be is known by the clock alone, and the next owner's may be ahead.
            story.steps.retain(|step| !matches!(step, Step::Caches { .. }));
        }
        weave_in(seed, &mut story.steps);
        story
    }
}

fn draws(seed: u64) -> Rng {
    Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(17))
}

fn draw(seed: u64, setup: &mut Setup) {
    let mut rng = draws(seed);
    let skewed = rng.random_bool(0.6);
    let skews_ms = std::array::from_fn(|_| if skewed { rng.random_range(-SKEW_MS..=SKEW_MS) } else { 0 });
    let app = rng.random_bool(0.6).then(|| (pick(&mut rng, &[0.5, 2.0, 4.0]), pick(&mut rng, &[5, 10, 20])));
    setup.nodes = Some(Nodes { count: rng.random_range(2..=MOST_NODES), skews_ms, app });
}

/// Adds what happens to the nodes to the steps.
fn weave_in(seed: u64, steps: &mut Vec<Step>) {
    let mut rng = draws(seed.wrapping_add(1 << 32));
    for _ in 0..steps.len().div_ceil(STEPS_PER_EVENT) {
        let step = Step::Node(node_step(&mut rng));
        let mut sequence = vec![step];
        if rng.random_bool(0.3) {
            // What follows meets the others while they find out.
            sequence.push(Step::Sleep { ms: rng.random_range(0..8_000) });
        }
        let at = rng.random_range(0..=steps.len());
        steps.splice(at..at, sequence);
    }
}

fn node_step(rng: &mut Rng) -> NodeStep {
    let node = rng.random_range(0..60);
    let while_ms = |rng: &mut Rng| match rng.random_range(0..10) {
        0..=3 => rng.random_range(100..5_000),
        4..=8 => rng.random_range(5_000..30_000),
        _ => rng.random_range(30_000..600_000),
    };
    let how = pick(rng, &[Cut::Refused, Cut::Silent]);
    match rng.random_range(0..100) {
        0..=17 => NodeStep::Kill { node, down_ms: while_ms(rng), renamed: rng.random_bool(0.6) },
        18..=32 => NodeStep::Drain { node, down_ms: while_ms(rng) },
        33..=39 => NodeStep::Join,
        40..=49 => NodeStep::Freeze { node, for_ms: while_ms(rng) },
        50..=66 => NodeStep::FreezeAt { node, points: rng.random_range(1..30), for_ms: while_ms(rng) },
        67..=78 => NodeStep::CutFromDatabase { node, how, for_ms: while_ms(rng) },
        79..=88 => NodeStep::CutFromPlatforms { node, how, for_ms: while_ms(rng) },
        _ => NodeStep::LoseNotices { for_ms: while_ms(rng) },
    }
}
