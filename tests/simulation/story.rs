//! A story: the initial state of the world and what happens in it, all drawn from one seed before anything runs.
//!
//! Steps refer to things by position ("the second store of the first seller"), so that a story with some of its steps
//! removed is still a valid story: that is how a failing one is shortened.
mod ability;
mod bundles;
mod falls;
mod faults;
mod nodes;
mod packs;
mod pauses;
mod rehearsals;
mod sales;
mod sequences;
mod shops;
mod siblings;
mod undo;

pub use ability::Ability;
pub use bundles::{BUNDLE, OF};
pub use faults::{DbFault, NetFault, Outage, Refusal, WayIn};
pub use nodes::{MOST_NODES, NodeStep, Nodes};
pub use pauses::Paused;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
pub use sales::{Protection, Report};
pub use siblings::{ITEMS, sku_of};
use std::collections::VecDeque;

pub type Rng = ChaCha8Rng;

/// Every seller has these SKUs. They share names on purpose, so that mixing up sellers is noticed.
pub const SKUS: [&str; 5] = ["A", "B", "C", "D", "E"];
pub const WAREHOUSES: [&str; 2] = ["main", "north"];
/// Zones with daylight-saving time on different dates, of an hour and of half an hour, and zones without.
pub const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Asia/Taipei", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"];
/// Instants shortly before the clocks change in one of `ZONES`, given by its index, and one on an ordinary day.
const STARTS: [(&str, usize); 7] = [
    ("2026-03-28T20:00:00Z", 0),
    ("2026-10-24T19:30:00Z", 0),
    ("2026-03-07T23:00:00Z", 1),
    ("2026-10-31T22:00:00Z", 1),
    ("2026-04-04T10:00:00Z", 3),
    ("2026-10-03T10:00:00Z", 3),
    ("2026-06-15T08:00:00Z", 2),
];
const HOUR: u64 = 3_600_000;
/// The part of the stories that end with an outage of more than a day.
const LAST_OUTAGES: f64 = 0.1;
const DAILY: [&str; 6] = ["00:00", "02:30", "01:45", "03:00", "12:15", "23:59"];

#[derive(Debug, Clone)]
pub struct StoreSetup {
    pub ability: Ability,
    pub share: f64,
    pub max_items: usize,
    pub per_second: f64,
    pub burst: u32,
    pub warehouses: Option<Vec<usize>>,
    /// The SKUs it sells, by index.
    pub skus: Vec<usize>,
    /// How many units of each SKU its listings are.
    pub units: [i64; SKUS.len()],
    /// Further items that it sells of them.
    pub siblings: Vec<usize>,
    /// How many units of each SKU these are.
    pub sibling_units: [i64; SKUS.len()],
    /// If its sales are reported in its name: what is done about those that are not reported yet.
    pub named: Option<Protection>,
    /// The reasons for which falls are sent to it.
    pub falls: Vec<&'static str>,
    /// Whether it puts returned goods back on sale by itself.
    pub restocks: bool,
    /// Whether it begins in rehearsal.
    pub rehearsal: bool,
}

#[derive(Debug, Clone)]
pub struct SellerSetup {
    pub zone: usize,
    pub timed: bool,
    pub daily_at: usize,
    pub exclusive: bool,
    pub catch_up_hours: i64,
    pub initial_overwrite: bool,
    pub stores: Vec<StoreSetup>,
    /// If the last SKU is a bundle: how many it takes of each of its components.
    pub bundle: Option<[i64; OF.len()]>,
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub start: &'static str,
    pub poll_s: u64,
    pub calls_under_way: usize,
    pub sellers: Vec<SellerSetup>,
    /// `None`: one process.
    pub nodes: Option<Nodes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: &'static str,
    pub sku: usize,
    pub warehouse: usize,
    pub quantity: i64,
    pub id: EventId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventId {
    /// Drawn with the story, so that it stays the same when other steps are removed.
    Fresh(u32),
    /// Repeats the event sent this many events ago.
    Again(usize),
    /// Uses the id of the event sent this many events ago, with another body.
    Stolen(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    Off,
    Incremental { initial: bool },
    Timed { daily_at: usize },
    Both { daily_at: usize },
    Buffer(i64),
    Zone(usize),
    Cancellations(bool),
    Exclusive(bool),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleChange {
    pub sku: Option<usize>,
    pub store: Option<usize>,
    pub share: Option<f64>,
    pub buffer: Option<i64>,
    pub threshold: Option<i64>,
    pub max_shown: Option<i64>,
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StoreChange {
    Share(f64),
    Enabled(bool),
    Warehouses(Option<Vec<usize>>),
    Paused(bool),
    /// Whether overwrites leave out what it has sold without a report.
    Protection(bool),
    /// For how many hours.
    ReportsAwaited(i64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Events {
        seller: usize,
        events: Vec<Event>,
        ndjson: bool,
    },
    /// Several concurrent requests.
    Burst {
        seller: usize,
        requests: Vec<Vec<Event>>,
    },
    /// A store sells some units.
    Sell {
        seller: usize,
        store: usize,
        sku: usize,
        quantity: i64,
        reported: Report,
    },
    /// The seller's software reports what it has not reported yet of a store.
    ReportSales {
        seller: usize,
        store: usize,
    },
    Sleep {
        ms: u64,
    },
    /// Until this long before a seller's next daily time; if negative, after it.
    ToDailyTime {
        seller: usize,
        before_ms: i64,
    },
    Set {
        seller: usize,
        setting: Setting,
    },
    Rule {
        seller: usize,
        rule: RuleChange,
    },
    Store {
        seller: usize,
        store: usize,
        change: StoreChange,
    },
    /// The seller, or the operator for the platform, pauses something or resumes it.
    Pause {
        seller: usize,
        what: Paused,
        on: bool,
    },
    /// A frozen window, of one store or of all.
    Freeze {
        seller: usize,
        store: Option<usize>,
        from_min: i64,
        for_min: i64,
    },
    /// The seller ends the rehearsal of a store.
    GoLive {
        seller: usize,
        store: usize,
        overwrite: bool,
    },
    /// The seller deletes all windows.
    Thaw {
        seller: usize,
    },
    Sync {
        seller: usize,
        store: Option<usize>,
        sku: Option<usize>,
    },
    /// The bundle takes so many of each of its components from now on.
    Bundle {
        seller: usize,
        takes: [i64; OF.len()],
    },
    /// Undoes one of the runs that have ended, counted from the newest.
    Undo {
        seller: usize,
        back: usize,
    },
    /// Cancels the newest of the runs that have not ended.
    Cancel {
        seller: usize,
    },
    RetryByHand {
        seller: usize,
        state: &'static str,
    },
    Unpair {
        seller: usize,
        store: usize,
        sku: usize,
    },
    Pair {
        seller: usize,
        store: usize,
        sku: usize,
    },
    TokenExpires {
        seller: usize,
        store: usize,
    },
    NewToken {
        seller: usize,
        store: usize,
    },
    CheckDrift {
        seller: usize,
        store: usize,
        policy: &'static str,
    },
    CheckStore {
        seller: usize,
        store: usize,
    },
    Net {
        seller: usize,
        store: usize,
        fault: NetFault,
        calls: u8,
    },
    Down {
        seller: usize,
        store: usize,
        how: Outage,
        for_ms: u64,
    },
    Refuse {
        seller: usize,
        store: usize,
        sku: usize,
        how: Refusal,
    },
    AcceptAgain {
        seller: usize,
        store: usize,
        sku: usize,
    },
    Db {
        fault: DbFault,
        after: u8,
        times: u8,
    },
    /// The process dies at this point, counted from now.
    CrashAt {
        points: u32,
        down_ms: u64,
    },
    Crash {
        down_ms: u64,
    },
    Restart {
        down_ms: u64,
    },
    SetClock {
        ms: i64,
    },
    /// The clock is wrong by `before_ms` while an increase begins to wait at a store that works, and is set by `after_ms`
    /// then: what waits must be delivered within a minute.
    ClockTrial {
        seller: usize,
        store: usize,
        before_ms: i64,
        after_ms: i64,
        id: u32,
    },
    /// Something is sent to a store whose next calls misbehave. The seller checks the store after each of these times.
    Misbehaves {
        seller: usize,
        store: usize,
        faults: Vec<NetFault>,
        /// An overwrite of everything, instead of these events.
        sync: bool,
        events: Vec<Event>,
        checks_ms: Vec<u64>,
    },
    /// A cache answers a store's reads with what they were answered first, while two increases follow each other.
    Caches {
        seller: usize,
        store: usize,
        for_ms: u64,
        first: Vec<Event>,
        between_ms: u64,
        second: Vec<Event>,
    },
    /// A listing is refused while there is something to send to it, and accepted again later: what it is owed must be sent
    /// without anybody asking.
    LiveAgain {
        seller: usize,
        store: usize,
        sku: usize,
        how: Refusal,
        for_ms: u64,
        id: u32,
    },
    /// A store sells while a request that was given up may still arrive: that is no contradiction.
    SaleInDoubt {
        seller: usize,
        store: usize,
        sku: usize,
        id: u32,
    },
    /// The way into a store is wrong while there is something to send, and mended: what waits must be sent at once.
    Mends {
        seller: usize,
        store: usize,
        what: WayIn,
        after_ms: u64,
        id: u32,
    },
    /// One seller requests another's data.
    Trespass {
        seller: usize,
        victim: usize,
    },
    Node(NodeStep),
}

#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub setup: Setup,
    pub steps: Vec<Step>,
}

impl Story {
    pub fn draw(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::seed_from_u64(seed);
        let setup = draw_setup(&mut rng);
        let mut generator = Generator { rng, setup, next_id: 0, upcoming: VecDeque::new() };
        let mut drawn: Vec<Step> = (0..steps).map(|_| generator.step()).collect();
        let last = if generator.rng.random_bool(LAST_OUTAGES) { generator.last_outage() } else { Vec::new() };
        let mut setup = generator.setup;
        packs::draw(seed, &mut setup);
        bundles::draw(seed, &mut setup);
        drawn.truncate(steps.saturating_sub(last.len()));
        sales::weave_in(seed, &mut setup, &mut drawn);
        falls::draw(seed, &mut setup);
        undo::weave_in(seed, &setup, &mut drawn);
        pauses::weave_in(seed, &setup, &mut drawn);
        bundles::weave_in(seed, &setup, &mut drawn);
        undo::cancel_some(seed, &mut drawn);
        rehearsals::weave_in(seed, &mut setup, &mut drawn);
        siblings::weave_in(seed, &mut setup, &mut drawn);
        drawn.extend(last);
        Self { seed, setup, steps: drawn }
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn draw_setup(rng: &mut Rng) -> Setup {
    let (start, zone_of_start) = pick(rng, &STARTS);
    let sellers = (0..rng.random_range(1..=3))
        .map(|_| {
            let count = rng.random_range(1..=3usize);
            let exclusive = rng.random_bool(0.35);
            // The shares of exclusive stores often sum to 100%.
            let whole = exclusive && rng.random_bool(0.5);
            let stores = (0..count)
                .map(|place| {
                    let mut skus: Vec<usize> = (0..SKUS.len()).filter(|_| rng.random_bool(0.8)).collect();
                    if skus.is_empty() {
                        skus.push(0);
                    }
                    let share: f64 = if whole {
                        let each = 10_000 / count;
                        f64::from(u32::try_from(if place == 0 { 10_000 - each * (count - 1) } else { each }).unwrap()) / 100.0
                    } else if exclusive {
                        pick(rng, &[100.0 / 3.0, 20.0, 33.33, 10.5])
                    } else {
                        pick(rng, &[100.0, 100.0, 100.0, 50.0, 33.33, 75.5])
                    };
                    StoreSetup {
                        ability: pick(rng, &Ability::ALL),
                        share: (share * 100.0 + 1e-6).floor() / 100.0,
                        max_items: pick(rng, &[1, 2, 3, 100]),
                        per_second: pick(rng, &[0.5, 2.0, 10.0, 50.0]),
                        burst: pick(rng, &[1, 2, 5, 40]),
                        warehouses: pick(rng, &[None, None, Some(0usize), Some(1)]).map(|w| vec![w]),
                        skus,
                        units: [1; SKUS.len()],
                        siblings: Vec::new(),
                        sibling_units: [1; SKUS.len()],
                        named: None,
                        falls: Vec::new(),
                        restocks: false,
                        rehearsal: false,
                    }
                })
                .collect();
            SellerSetup {
                zone: if rng.random_bool(0.5) { zone_of_start } else { rng.random_range(0..ZONES.len()) },
                timed: rng.random_bool(0.25),
                daily_at: rng.random_range(0..DAILY.len()),
                exclusive,
                catch_up_hours: pick(rng, &[0, 1, 4, 23]),
                initial_overwrite: rng.random_bool(0.7),
                stores,
                bundle: None,
            }
        })
        .collect();
    Setup { start, poll_s: pick(rng, &[60, 300, 600]), calls_under_way: pick(rng, &[1, 2, 4]), sellers, nodes: None }
}

pub fn daily_at(index: usize) -> &'static str {
    DAILY[index]
}

struct Generator {
    rng: Rng,
    setup: Setup,
    next_id: u32,
    /// Steps that must come next because they belong together.
    upcoming: VecDeque<Step>,
}

impl Generator {
    fn seller(&mut self) -> usize {
        self.rng.random_range(0..self.setup.sellers.len())
    }
    fn store(&mut self) -> (usize, usize) {
        let seller = self.seller();
        (seller, self.rng.random_range(0..self.setup.sellers[seller].stores.len()))
    }
    fn store_of(&mut self, seller: usize) -> usize {
        self.rng.random_range(0..self.setup.sellers[seller].stores.len())
    }
    fn sku(&mut self) -> usize {
        self.rng.random_range(0..SKUS.len())
    }
    fn fresh(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn event(&mut self) -> Event {
        let kind = match self.rng.random_range(0..100) {
            0..=34 => "purchase",
            35..=49 => "sale",
            50..=62 => "adjustment",
            63..=72 => "count",
            73..=82 => "return",
            83..=91 => "transfer",
            _ => "cancellation",
        };
        let quantity = match kind {
            "adjustment" => {
                let size = self.rng.random_range(1..=8i64);
                if self.rng.random_bool(0.5) { size } else { -size }
            }
            "count" => self.rng.random_range(0..=20),
            _ => pick(&mut self.rng, &[1, 1, 2, 3, 5, 7, 10]),
        };
        let id = match self.rng.random_range(0..100) {
            0..=7 => EventId::Again(self.rng.random_range(0..6)),
            8..=9 => EventId::Stolen(self.rng.random_range(0..6)),
            _ => EventId::Fresh(self.fresh()),
        };
        Event { kind, sku: self.sku(), warehouse: self.rng.random_range(0..WAREHOUSES.len()), quantity, id }
    }

    fn events(&mut self, most: usize) -> Vec<Event> {
        (0..self.rng.random_range(1..=most)).map(|_| self.event()).collect()
    }

    fn down_ms(&mut self) -> u64 {
        match self.rng.random_range(0..10) {
            0..=6 => self.rng.random_range(1..2_000),
            7..=8 => self.rng.random_range(2_000..600_000),
            _ => self.rng.random_range(600_000..8 * 3_600_000),
        }
    }

    fn net_fault(&mut self) -> NetFault {
        match self.rng.random_range(0..14) {
            0 => NetFault::Refused,
            1 if self.rng.random_bool(0.05) => NetFault::Throttled { retry_after_s: 99_999_999_999 },
            1 => NetFault::Throttled { retry_after_s: self.rng.random_range(0..30) },
            2 => NetFault::ErrorBefore,
            3 | 4 => NetFault::ErrorAfter,
            5 => NetFault::CutBefore,
            6 | 7 => NetFault::LostAnswer,
            8 => NetFault::Silence,
            9 => NetFault::Garbage,
            10 => NetFault::Slow { ms: self.rng.random_range(100..15_000) },
            11 | 12 => NetFault::LateWithin { ms: self.rng.random_range(100..9_900) },
            _ => NetFault::LateAfter { ms: self.rng.random_range(10_700..600_000) },
        }
    }

    fn setting(&mut self) -> Setting {
        match self.rng.random_range(0..12) {
            0 | 1 => Setting::Off,
            2..=5 => Setting::Incremental { initial: self.rng.random_bool(0.7) },
            6 => Setting::Timed { daily_at: self.rng.random_range(0..DAILY.len()) },
            7 => Setting::Both { daily_at: self.rng.random_range(0..DAILY.len()) },
            8 => Setting::Buffer(self.rng.random_range(0..4)),
            9 => Setting::Zone(self.rng.random_range(0..ZONES.len())),
            10 => Setting::Cancellations(self.rng.random_bool(0.5)),
            _ => Setting::Exclusive(self.rng.random_bool(0.5)),
        }
    }

    fn rule(&mut self, seller: usize) -> RuleChange {
        let mut rule = RuleChange {
            sku: self.rng.random_bool(0.6).then(|| self.sku()),
            store: self.rng.random_bool(0.6).then(|| self.store_of(seller)),
            ..RuleChange::default()
        };
        let r = &mut self.rng;
        rule.share = r.random_bool(0.25).then(|| pick(r, &[100.0, 60.0, 12.34, 0.0, 20.0]));
        rule.buffer = r.random_bool(0.25).then(|| r.random_range(0..5));
        rule.threshold = r.random_bool(0.25).then(|| r.random_range(0..6));
        rule.max_shown = r.random_bool(0.25).then(|| r.random_range(0..30));
        rule.enabled = r.random_bool(0.2).then(|| r.random_bool(0.6));
        rule
    }

    fn step(&mut self) -> Step {
        if let Some(step) = self.upcoming.pop_front() {
            return step;
        }
        match self.rng.random_range(0..10_000) {
            0..=99 => return self.cancelled_in_flight(),
            100..=199 => return self.mixed_call(),
            200..=219 => return self.outage_of_days(),
            220..=239 => return self.forgotten_key(),
            240..=319 => return self.clock_trial(),
            320..=1319 => return self.misbehaves(),
            1320..=1539 => return self.caches(),
            1540..=1839 => return self.live_again(),
            1840..=2239 => return self.sale_in_doubt(),
            2240..=2839 => return self.mends(),
            2840..=2999 => return self.check_drift(),
            _ => {}
        }
        match self.rng.random_range(0..1000) {
            0..=299 => {
                let seller = self.seller();
                Step::Events { seller, events: self.events(4), ndjson: self.rng.random_bool(0.2) }
            }
            300..=339 => {
                let seller = self.seller();
                Step::Burst { seller, requests: (0..self.rng.random_range(2..5)).map(|_| self.events(3)).collect() }
            }
            340..=419 => {
                let (seller, store) = self.store();
                let reported = if self.rng.random_bool(0.5) { Report::AtOnce(self.fresh()) } else { Report::Never };
                Step::Sell { seller, store, sku: self.sku(), quantity: self.rng.random_range(1..=3), reported }
            }
            420..=519 => Step::Sleep { ms: self.rng.random_range(0..300) },
            520..=599 => Step::Sleep { ms: self.rng.random_range(300..30_000) },
            600..=624 => Step::Sleep { ms: self.rng.random_range(30_000..2 * 3_600_000) },
            625..=629 => Step::Sleep { ms: self.rng.random_range(2 * 3_600_000..30 * 3_600_000) },
            630..=644 => Step::ToDailyTime { seller: self.seller(), before_ms: self.rng.random_range(-2_000..20_000) },
            645..=669 => Step::Set { seller: self.seller(), setting: self.setting() },
            670..=689 => {
                let seller = self.seller();
                Step::Rule { seller, rule: self.rule(seller) }
            }
            690..=709 => {
                let (seller, store) = self.store();
                let change = match self.rng.random_range(0..6) {
                    0 => StoreChange::Share(pick(&mut self.rng, &[100.0, 33.0, 0.0, 66.67])),
                    1 => StoreChange::Enabled(self.rng.random_bool(0.6)),
                    2 => StoreChange::Warehouses(pick(&mut self.rng, &[None, Some(0), Some(1)]).map(|w| vec![w])),
                    n => StoreChange::Paused(n == 3),
                };
                Step::Store { seller, store, change }
            }
            710..=729 => {
                let seller = self.seller();
                let store = self.rng.random_bool(0.4).then(|| self.store_of(seller));
                Step::Sync { seller, store, sku: self.rng.random_bool(0.4).then(|| self.sku()) }
            }
            730..=739 => {
                Step::RetryByHand { seller: self.seller(), state: pick(&mut self.rng, &["rejected", "rejected", "held", "retrying"]) }
            }
            740..=744 => {
                let (seller, store) = self.store();
                Step::Unpair { seller, store, sku: self.sku() }
            }
            745..=754 => {
                let (seller, store) = self.store();
                Step::Pair { seller, store, sku: self.sku() }
            }
            755..=762 => {
                let (seller, store) = self.store();
                Step::TokenExpires { seller, store }
            }
            763..=774 => {
                let (seller, store) = self.store();
                Step::NewToken { seller, store }
            }
            775..=779 => {
                let (seller, store) = self.store();
                Step::CheckStore { seller, store }
            }
            780..=899 => {
                let (seller, store) = self.store();
                Step::Net { seller, store, fault: self.net_fault(), calls: pick(&mut self.rng, &[1, 1, 1, 2, 3]) }
            }
            900..=914 => {
                let (seller, store) = self.store();
                let how = pick(&mut self.rng, &[Outage::Refused, Outage::Errors, Outage::Silence, Outage::Throttled]);
                let for_ms = match self.rng.random_range(0..10) {
                    0..=5 => self.rng.random_range(1_000..60_000),
                    6..=8 => self.rng.random_range(60_000..3 * 3_600_000),
                    _ => self.rng.random_range(20 * 3_600_000..40 * 3_600_000),
                };
                Step::Down { seller, store, how, for_ms }
            }
            915..=921 => {
                let (seller, store) = self.store();
                Step::Refuse { seller, store, sku: self.sku(), how: self.refusal() }
            }
            922..=931 => {
                let (seller, store) = self.store();
                Step::AcceptAgain { seller, store, sku: self.sku() }
            }
            932..=954 => {
                let fault = match self.rng.random_range(0..3) {
                    0 => DbFault::Fails,
                    1 => DbFault::AnswerLost,
                    _ => DbFault::Slow { ms: self.rng.random_range(5..3_000) },
                };
                Step::Db { fault, after: self.rng.random_range(0..12), times: pick(&mut self.rng, &[1, 1, 2, 5, 20]) }
            }
            955..=974 => Step::CrashAt { points: self.rng.random_range(1..80), down_ms: self.down_ms() },
            975..=981 => Step::Crash { down_ms: self.down_ms() },
            982..=987 => Step::Restart { down_ms: self.down_ms() },
            988..=992 => self.set_clock(),
            _ => {
                let seller = self.seller();
                let sellers = self.setup.sellers.len();
                Step::Trespass { seller, victim: (seller + self.rng.random_range(0..2)) % sellers }
            }
        }
    }
}
