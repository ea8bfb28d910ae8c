//! Several nodes: which of them a seller's software talks to, and what becomes of them.
use super::process::{Answer, Launch, Process, stop};
use super::{Verdict, World};
use crate::life::Life;
use crate::nodes::{Bus, LeaseLog, Ties};
use crate::story::{MOST_NODES, NodeStep, Rng};
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use futures_util::future::{LocalBoxFuture, join_all, select_all};
use rand::{RngExt, SeedableRng};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::actors;
use stocktide::clock::Clock;
use stocktide::platforms::RateLimit;
use stocktide::platforms::limits::Limits;
use tokio::time::Instant;

/// How long a node may go without renewing its leases.
pub const LEASE: Duration = Duration::from_secs(5);
/// The least time between two nodes that start.
const APART: Duration = Duration::from_millis(7);
/// A wait that is longer than this is spent with nobody looking after the leases, apart from its beginning and its end.
const LONG: Duration = Duration::from_secs(40);
const AWAKE: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(10)];

/// Where a node runs, or will run again.
struct Place {
    process: Option<Process>,
    back_at: Option<Instant>,
    /// How long it stays down if its fuse ends it.
    down_ms: u64,
    renamed: bool,
    name: String,
}

/// All nodes of a story.
pub(super) struct Fleet {
    places: Vec<Place>,
    bus: Arc<Bus>,
    pub(super) log: Arc<Mutex<LeaseLog>>,
    rng: Rng,
    names: u64,
    /// Notices may have been lost until then.
    deaf_until: Instant,
}

impl World {
    pub(super) async fn start_nodes(&mut self) {
        let Some(nodes) = self.story.setup.nodes.clone() else { return };
        let draws = |n: u64| Rng::seed_from_u64(self.story.seed.wrapping_mul(1_000_003).wrapping_add(n));
        let places = (0..nodes.count).map(|_| Place { process: None, back_at: None, down_ms: 1, renamed: false, name: String::new() });
        let log = Arc::new(Mutex::new(LeaseLog::on(&self.database)));
        let (places, bus) = (places.collect(), Bus::new(draws(18)));
        self.fleet = Some(Fleet { places, bus, log, rng: draws(19), names: 0, deaf_until: Instant::now() });
        for place in 0..nodes.count {
            self.start_node(place).await;
        }
    }

    fn fleet(&mut self) -> &mut Fleet {
        self.fleet.as_mut().unwrap()
    }

    async fn start_node(&mut self, place: usize) {
        tokio::time::sleep(APART).await;
        self.processes += 1;
        let (number, seed, skews) = (self.processes, self.story.seed, self.story.setup.nodes.clone().unwrap());
        let fleet = self.fleet.as_mut().unwrap();
        let at = &mut fleet.places[place];
        if at.name.is_empty() || at.renamed {
            fleet.names += 1;
            at.name = format!("node {}", fleet.names);
        }
        at.back_at = None;
        let sharing = Some(actors::Sharing { lease: LEASE, name: at.name.clone() });
        let ties = Ties::new(number, seed, &fleet.log, &fleet.bus);
        fleet.log.lock().unwrap().note_disturbance();
        let clock = Clock::starting_at(self.clock.now() + TimeDelta::milliseconds(skews.skews_ms[place]));
        let limits = skews.app.map_or_else(Limits::default, |(per_second, burst)| Limits::of_one_app(RateLimit { per_second, burst }));
        let life = Life::new(&self.fault_plan, Some(ties));
        let process = self.launch(Launch { life, clock, limits, sharing }).await;
        self.fleet().places[place].process = Some(process);
    }

    /// The running nodes that nothing was done to.
    fn well(&self) -> Vec<usize> {
        let fleet = self.fleet.as_ref().unwrap();
        let is_well = |place: &Place| place.process.as_ref().is_some_and(|process| process.ties().is_well());
        (0..fleet.places.len()).filter(|place| is_well(&fleet.places[*place])).collect()
    }

    pub(super) fn set_clocks_of_nodes(&self, by: TimeDelta) {
        let places = self.fleet.iter().flat_map(|fleet| &fleet.places);
        places.filter_map(|place| place.process.as_ref()).for_each(|process| process.clock.step(by));
    }

    /// Whether something may be about to happen to the process, or has happened to a node not long ago; or whether the limit of an app, of
    /// which a node has a small part, or a clock that is behind may keep what is due waiting for long.
    pub(super) fn is_in_danger(&self) -> bool {
        let Some(fleet) = &self.fleet else { return self.process().life.has_fuse() };
        let lives = || fleet.places.iter().filter_map(|place| place.process.as_ref());
        let settled = Duration::from_secs(30);
        let deaf_for = settled + Duration::from_secs(2 * self.story.setup.poll_s);
        self.story.setup.nodes.as_ref().is_some_and(|nodes| nodes.app.is_some() || nodes.skews_ms != [0; MOST_NODES])
            || lives().any(|process| process.life.has_fuse() || !process.ties().is_well())
            || fleet.places.iter().any(|place| place.process.is_none())
            || !fleet.log.lock().unwrap().is_undisturbed_for(settled)
            || Instant::now() < fleet.deaf_until + deaf_for
    }

    /// When one of the nodes dies by its fuse.
    fn any_death(&self) -> LocalBoxFuture<'static, usize> {
        let fleet = self.fleet.as_ref().unwrap();
        let life = |place: usize| fleet.places[place].process.as_ref().map(|process| (place, Arc::clone(&process.life)));
        let death = |(place, life): (usize, Arc<Life>)| -> LocalBoxFuture<'static, usize> {
            Box::pin(async move {
                life.died.notified().await;
                place
            })
        };
        let deaths: Vec<_> = (0..fleet.places.len()).filter_map(life).map(death).collect();
        if deaths.is_empty() {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move { select_all(deaths).await.0 })
    }

    /// The process of a node is gone; another one starts later.
    fn gone(&mut self, place: usize, down_ms: u64) {
        self.processes += 1;
        let at = &mut self.fleet().places[place];
        at.back_at = Some(Instant::now() + Duration::from_millis(down_ms));
        if let Some(process) = at.process.take() {
            process.life.die();
            process.actors.abort();
        }
    }

    fn killed(&mut self, place: usize, down_ms: u64) {
        let process = |place: &Place| place.process.as_ref().map(|process| process.ties().number);
        if let Some(number) = process(&self.fleet().places[place]) {
            let well = self.well();
            let others = || self.fleet.iter().flat_map(|fleet| fleet.places.iter().enumerate()).filter(|(other, _)| *other != place);
            let are_well = others().any(|(other, _)| well.contains(&other))
                && others().all(|(other, at)| at.process.is_none() || well.contains(&other));
            self.fleet().log.lock().unwrap().note_killed(number, are_well);
        }
        self.gone(place, down_ms);
    }

    fn died_at_point(&mut self, place: usize) {
        let down_ms = self.fleet().places[place].down_ms;
        self.killed(place, down_ms);
        self.count("crash at a point in its work");
    }

    fn next_start(&self) -> Option<Instant> {
        self.fleet.as_ref().and_then(|fleet| fleet.places.iter().filter_map(|place| place.back_at).min())
    }

    async fn start_those_due(&mut self) {
        let now = Instant::now();
        let due = |place: &Place| place.back_at.is_some_and(|at| at <= now);
        while let Some(place) = self.fleet().places.iter().position(due) {
            self.start_node(place).await;
        }
    }

    async fn pass_until(&mut self, until: Instant) {
        loop {
            self.start_those_due().await;
            let next = self.next_start().map_or(until, |at| at.min(until));
            let death = self.any_death();
            let died = tokio::select! {
                biased;
                place = death => Some(place),
                () = tokio::time::sleep_until(next) => None,
            };
            if let Some(place) = died {
                self.fleet().bus.set_idle(false);
                self.died_at_point(place);
            } else if Instant::now() >= until {
                return;
            }
        }
    }

    /// Lets time pass; nodes that die meanwhile come back later.
    pub(super) async fn advance_nodes(&mut self, ms: u64) {
        let until = Instant::now() + Duration::from_millis(ms);
        let [first, last] = AWAKE;
        if Duration::from_millis(ms) > LONG {
            self.pass_until(Instant::now() + first).await;
            let is_calm = self.lease_log().is_some_and(|log| log.is_undisturbed_for(first));
            self.fleet().bus.set_idle(is_calm);
            self.pass_until(until - last).await;
            self.fleet().bus.set_idle(false);
        }
        self.pass_until(until).await;
    }

    /// Sends requests concurrently, each to some node, and notes the final answers.
    pub(super) async fn ask_nodes(
        &mut self,
        requests: &[Box<dyn Fn() -> TestRequest>],
        open: &[usize],
        answers: &Rc<RefCell<Vec<Option<Answer>>>>,
    ) {
        self.start_those_due().await;
        let fleet = self.fleet.as_mut().unwrap();
        let awake: Vec<&Process> =
            fleet.places.iter().filter_map(|place| place.process.as_ref()).filter(|p| !p.ties().is_frozen()).collect();
        if awake.is_empty() {
            return;
        }
        let mut asked = Vec::new();
        for i in open {
            let process = awake[fleet.rng.random_range(0..awake.len())];
            let (answers, sent, i) = (Rc::clone(answers), (process.call)(requests[*i]()), *i);
            asked.push(async move {
                let (status, body) = sent.await;
                if !matches!(status, 429 | 503) {
                    answers.borrow_mut()[i] = Some((status, body));
                }
            });
        }
        let mut all = std::pin::pin!(join_all(asked));
        loop {
            let next = self.next_start().unwrap_or_else(|| Instant::now() + LONG);
            let death = self.any_death();
            tokio::select! {
                biased;
                place = death => return self.died_at_point(place),
                _ = &mut all => return,
                () = tokio::time::sleep_until(next) => {}
            }
            self.start_those_due().await;
        }
    }

    /// A node stops as one that is upgraded does, while the others go on.
    async fn drain(&mut self, place: usize, down_ms: u64) -> Verdict {
        let Some(process) = self.fleet().places[place].process.as_ref() else { return Ok(()) };
        let handle = process.handle.clone();
        process.ties().log().note_disturbance();
        let disturbances = |world: &Self| world.lease_log().map_or(0, |log| log.disturbed.len());
        let before = disturbances(self);
        self.processes += 1;
        let mut stopping = std::pin::pin!(stop(&handle));
        let stopped = loop {
            let death = self.any_death();
            tokio::select! {
                biased;
                died = death => {
                    self.died_at_point(died);
                    if died == place {
                        return Ok(());
                    }
                }
                stopped = &mut stopping => break stopped,
            }
        };
        self.gone(place, down_ms);
        self.count("graceful restart");
        // One that was frozen meanwhile takes longer than anybody waits.
        if disturbances(self) > before { Ok(()) } else { stopped }
    }

    pub(super) async fn node_step(&mut self, step: NodeStep) -> Verdict {
        if self.fleet.is_none() {
            return Ok(());
        }
        let well = self.well();
        let pick = |node: usize| (!well.is_empty()).then(|| well[node % well.len()]);
        let ties = |world: &Self, place: usize| Arc::clone(world.fleet.as_ref().unwrap().places[place].process.as_ref().unwrap().ties());
        match step {
            NodeStep::Kill { node, down_ms, renamed } => {
                if let Some(place) = pick(node) {
                    self.fleet().places[place].renamed = renamed;
                    self.killed(place, down_ms);
                    self.count("node killed");
                }
            }
            NodeStep::Drain { node, down_ms } => {
                if let Some(place) = pick(node) {
                    self.drain(place, down_ms).await?;
                    self.count("node drained");
                }
            }
            NodeStep::Join => {
                if self.fleet().places.len() < MOST_NODES {
                    let place = Place { process: None, back_at: Some(Instant::now()), down_ms: 1, renamed: false, name: String::new() };
                    self.fleet().places.push(place);
                    self.start_those_due().await;
                    self.count("node joined");
                }
            }
            NodeStep::Freeze { node, for_ms } => {
                if let Some(place) = pick(node) {
                    ties(self, place).freeze(for_ms);
                    self.count("node frozen");
                }
            }
            NodeStep::FreezeAt { node, points, for_ms } => {
                if let Some(place) = pick(node) {
                    self.fleet().places[place].process.as_ref().unwrap().life.light_fuse_to_freeze(points, for_ms);
                    self.count("node frozen at a point in its work");
                }
            }
            NodeStep::CutFromDatabase { node, how, for_ms } => {
                if let Some(place) = pick(node) {
                    ties(self, place).cut_from_database(how, for_ms);
                    self.count(format!("node cut off from the database: {how:?}"));
                }
            }
            NodeStep::CutFromPlatforms { node, how, for_ms } => {
                if let Some(place) = pick(node) {
                    ties(self, place).cut_from_platforms(how, for_ms);
                }
            }
            NodeStep::LoseNotices { for_ms } => {
                let until = Instant::now() + Duration::from_millis(for_ms);
                self.fleet().bus.lose_until(Some(until));
                self.fleet().deaf_until = until;
            }
        }
        self.processes += 1;
        Ok(())
    }

    /// A crash or a restart of one process befalls some node.
    pub(super) async fn befall_a_node(&mut self, down_ms: u64, gracefully: bool) -> Verdict {
        let node = self.fleet().rng.random_range(0..60);
        let step = if gracefully { NodeStep::Drain { node, down_ms } } else { NodeStep::Kill { node, down_ms, renamed: false } };
        self.node_step(step).await
    }

    pub(super) fn light_fuse_of_a_node(&mut self, points: u64, down_ms: u64) {
        let well = self.well();
        if well.is_empty() {
            return;
        }
        let fleet = self.fleet();
        let place = &mut fleet.places[well[fleet.rng.random_range(0..well.len())]];
        place.down_ms = down_ms;
        if let Some(process) = &place.process {
            process.life.light_fuse(points);
        }
    }

    /// All nodes run, and nothing is done to them any more.
    pub(super) async fn end_faults_of_nodes(&mut self) {
        let fleet = self.fleet();
        fleet.bus.lose_until(None);
        for place in &mut fleet.places {
            match &place.process {
                Some(process) => {
                    process.life.put_out_fuse();
                    process.ties().mend();
                }
                None => place.back_at = Some(Instant::now()),
            }
        }
        let lost = *self.fleet().bus.lost.lock().unwrap();
        self.counts.insert("notice lost".to_owned(), lost);
        // What was lost is found when nodes look next.
        self.advance_nodes(30_000 + 1_000 * self.story.setup.poll_s).await;
    }

    pub fn lease_log(&self) -> Option<MutexGuard<'_, LeaseLog>> {
        self.fleet.as_ref().map(|fleet| fleet.log.lock().unwrap())
    }

    /// The processes that run now.
    pub fn running(&self) -> Vec<u64> {
        let places = self.fleet.iter().flat_map(|fleet| &fleet.places);
        places.filter_map(|place| place.process.as_ref()).map(|process| process.ties().number).collect()
    }

    pub(super) async fn shut_down_nodes(&mut self) -> Verdict {
        let places = self.fleet().places.len();
        let mut verdict = Ok(());
        for place in 0..places {
            let stopped = self.drain(place, 1_000_000_000).await;
            verdict = verdict.and(stopped);
        }
        verdict
    }
}
