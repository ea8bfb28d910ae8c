//! The network between the service and the platforms: carries each request and its answer in virtual time, applies the
//! story's faults to them, and records everything in the order in which it happened.
//!
//! Each store has its own simulated platform, which itself has no faults. A request sent before the service died still
//! arrives.
mod cache;
mod fate;
mod keys;
mod request;

use crate::journal::JournalReader;
use crate::life::Life;
use crate::story::{Ability, NetFault, Outage, Rng};
use cache::Cache;
use fate::{Fate, Seen};
use futures_util::future::BoxFuture;
use request::{Outgoing, parse, shown_in};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::platforms::call::{Reply, Request};
use stocktide::platforms::transport::{SendError, Transport};
use stocktide::simulator::{Answer, Decision, Faults, Incoming, Misbehavior, Simulator, in_process};
use tokio::time::Instant;

/// Longer than the service waits for an answer, in milliseconds.
const TOO_SLOW_MS: u64 = 10_000;

/// Something that happened at a platform.
#[derive(Debug, Clone)]
pub enum NetworkEvent {
    /// A request left the service.
    Sent { request: usize, store: String, action: String, items: Vec<Item>, key: Option<String> },
    /// A platform applied a request to one item.
    Applied { request: usize, item: usize, before: i64, after: i64 },
    /// The answer to a read came back, with quantities in the order of the request's items. A cache may have kept it since
    /// the request `from`.
    ReadAnswered { request: usize, from: usize, shown: Vec<Option<i64>> },
    /// A platform was asked what items show.
    Looked { request: usize },
    /// The store made a sale of its own, which is reported, if ever, under this id.
    Sold { store: String, external_id: String, quantity: i64, report: Option<String> },
}

#[derive(Debug, Clone)]
pub struct Item {
    pub external_id: String,
    /// The change, for an adjustment; the new quantity, for a set.
    pub quantity: Option<i64>,
    pub expected: Option<i64>,
}

/// An event with its position in the history: after this entry of the journal.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    pub after: i64,
    pub at: Instant,
    pub what: NetworkEvent,
}

/// What the network did to a request.
#[derive(Debug, Clone, Copy)]
pub struct SentRequest {
    pub fault: Option<NetFault>,
}

pub struct Shop {
    pub simulator: Simulator,
    pub ability: Ability,
    faults: VecDeque<NetFault>,
    down: Option<(Outage, Instant)>,
    /// Until when the platform has asked for a pause, as far as the service may believe it.
    paused_until: Instant,
    /// When each request was sent, for the check of the rate limit.
    pub sent_at: Vec<Instant>,
    /// The host at which it answers. At any other, a firewall does.
    host: String,
    cache: Cache,
    /// A request was sent to it that is applied late.
    may_be_late: bool,
}

pub struct State {
    pub shops: BTreeMap<String, Shop>,
    pub history: Vec<HistoryEntry>,
    pub sent_requests: Vec<SentRequest>,
    pub faults: BTreeMap<String, u64>,
    journal_reader: JournalReader,
    rng: Rng,
    /// The story is over, so there are no more faults.
    pub calm: bool,
    /// The answer to this request is lost.
    pub lose_answer_of: Option<usize>,
    /// When each store received each idempotency key first, and how often it has forgotten it.
    keys: BTreeMap<(String, String), (Instant, u32)>,
}

#[derive(Clone)]
pub struct Network {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl Network {
    pub fn new(clock: Clock, journal_reader: JournalReader, rng: Rng) -> Self {
        let state = State {
            shops: BTreeMap::new(),
            history: Vec::new(),
            sent_requests: Vec::new(),
            faults: BTreeMap::new(),
            journal_reader,
            rng,
            calm: false,
            lose_answer_of: None,
            keys: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn open(&self, name: &str, ability: Ability, token: &str) {
        let simulator = Simulator::new(0);
        simulator.set_faults(Faults {
            idempotency: ability.keys(),
            compare_and_set: ability.compare(),
            adjust: ability.adjust(),
            token: Some(token.to_owned()),
            ..Faults::default()
        });
        let shop = Shop {
            simulator,
            ability,
            faults: VecDeque::new(),
            down: None,
            paused_until: Instant::now(),
            sent_at: Vec::new(),
            host: "platform".to_owned(),
            cache: Cache::default(),
            may_be_late: false,
        };
        self.state().shops.insert(name.to_owned(), shop);
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Faults)) {
        let state = self.state();
        let simulator = &state.shops[name].simulator;
        let mut faults = simulator.faults();
        change(&mut faults);
        simulator.set_faults(faults);
    }

    pub fn plan(&self, name: &str, fault: NetFault, calls: u8) {
        let mut state = self.state();
        let shop = state.shops.get_mut(name).unwrap();
        shop.faults.extend(std::iter::repeat_n(fault, calls.into()));
    }

    pub fn take_down(&self, name: &str, how: Outage, for_ms: u64) {
        let mut state = self.state();
        state.shops.get_mut(name).unwrap().down = Some((how, Instant::now() + Duration::from_millis(for_ms)));
    }

    /// This platform works again.
    pub fn heal(&self, name: &str) {
        let mut state = self.state();
        let shop = state.shops.get_mut(name).unwrap();
        shop.faults.clear();
        shop.down = None;
        shop.end_cache();
    }

    /// The shop answers at this host from now on.
    pub fn move_to(&self, name: &str, host: String) {
        self.state().shops.get_mut(name).unwrap().host = host;
    }

    /// Whether a request to this store may arrive late, or has been known to.
    pub fn may_be_late(&self, name: &str) -> bool {
        self.state().shops[name].may_be_late
    }

    pub fn has_asked_for_a_pause(&self, name: &str) -> bool {
        self.state().shops[name].paused_until > Instant::now()
    }

    pub fn sell(&self, name: &str, external_id: &str, quantity: i64, report: Option<String>) {
        let mut state = self.state();
        state.shops[name].simulator.sell(name, external_id, quantity);
        state.note(NetworkEvent::Sold { store: name.to_owned(), external_id: external_id.to_owned(), quantity, report });
    }

    pub fn quantity(&self, name: &str, external_id: &str) -> i64 {
        self.state().shops[name].simulator.quantity(name, external_id)
    }

    /// Everything works from now on; delayed requests still arrive.
    pub fn end_faults(&self) {
        let mut state = self.state();
        state.calm = true;
        for shop in state.shops.values_mut() {
            shop.faults.clear();
            shop.down = None;
            shop.end_cache();
        }
    }

    pub fn transport(&self, life: Arc<Life>) -> Arc<dyn Transport> {
        Arc::new(Wire { network: self.clone(), life })
    }
}

impl State {
    fn note(&mut self, what: NetworkEvent) {
        let after = self.journal_reader.position();
        self.history.push(HistoryEntry { after, at: Instant::now(), what });
    }

    fn count(&mut self, fault: &str) {
        *self.faults.entry(fault.to_owned()).or_default() += 1;
    }

    /// The platform's answer, and the request that it was first given to.
    fn arrive(
        &mut self,
        request: usize,
        name: &str,
        now_us: i64,
        incoming: &Incoming,
        items: &[Item],
        disturbances: u64,
    ) -> (Answer, usize) {
        let shop = self.shops.get_mut(name).unwrap();
        shop.check_cache(disturbances);
        let simulator = shop.simulator.clone();
        let ids: Vec<&str> = items.iter().map(|item| item.external_id.as_str()).collect();
        let shown = |id: &&str| simulator.quantity(name, id);
        let before: Vec<i64> = ids.iter().map(shown).collect();
        let receipts = simulator.stats().items;
        let key = incoming.key.clone().map(|key| self.remembered(name, key));
        let decision = simulator.decide(now_us, &Incoming { key, ..incoming.clone() });
        let Decision::Answer(answer) = decision else { unreachable!("the simulator itself injects no faults") };
        if incoming.post && simulator.stats().items > receipts {
            for receipt in simulator.receipts(receipts, usize::MAX) {
                let item = ids.iter().position(|id| **id == receipt.external_id).unwrap();
                self.note(NetworkEvent::Applied { request, item, before: before[item], after: receipt.quantity });
            }
        }
        match answer.status {
            401 => self.count("401"),
            403 => self.count("write refused, read allowed"),
            400 if items.len() > 1 => self.count("one bad listing in a batch"),
            _ => {}
        }
        let cache = &mut self.shops.get_mut(name).unwrap().cache;
        let mut from = request;
        let is_looked_at = !incoming.post;
        if cache.until.is_some() && !incoming.post {
            let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            if answer.is_kept {
                from = cache.kept_since[&ids];
                let stale = items.iter().zip(&before).any(|(item, now)| shown_in(&answer.body, item) != Some(*now));
                if stale {
                    self.count("silent cache");
                }
            } else {
                cache.unseen.insert(request);
                cache.kept_since.insert(ids, request);
            }
        }
        if is_looked_at {
            self.note(NetworkEvent::Looked { request });
        }
        (answer, from)
    }

    /// The service has read what these items show, unless the answer cannot be read.
    fn note_read(&mut self, request: usize, from: usize, name: &str, answer: &Answer, items: &[Item]) {
        let shown = items.iter().map(|item| shown_in(&answer.body, item)).collect();
        self.shops.get_mut(name).unwrap().cache.unseen.remove(&request);
        self.note(NetworkEvent::ReadAnswered { request, from, shown });
    }
}

struct Wire {
    network: Network,
    life: Arc<Life>,
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Transport for Wire {
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
        let (network, life) = (self.network.clone(), Arc::clone(&self.life));
        Box::pin(async move {
            life.crash_point().await;
            let Outgoing { host, name, action, items, incoming } = parse(&request);
            let (id, fate) = {
                let mut state = network.state();
                let (fate, fault) = match life.sends(&name, incoming.post) {
                    Some(cut) => (state.cut_off(cut), None),
                    None => state.fate(&name, &host, incoming.post, items.len()),
                };
                let id = state.sent_requests.len();
                state.sent_requests.push(SentRequest { fault });
                state.shops.get_mut(&name).unwrap().sent_at.push(Instant::now());
                // Nothing was sent over a connection that was refused.
                if !matches!(fate, Fate::Refused) {
                    let key = incoming.key.clone();
                    let how = format!("{:?}: {action}", state.shops[&name].ability);
                    state.count(&how);
                    state.note(NetworkEvent::Sent { request: id, store: name.clone(), action, items: items.clone(), key });
                }
                (id, fate)
            };
            let exchange = async {
                let (arrived, seen) = match fate {
                    Fate::Refused => return Err(SendError::NotConnected("connection refused".to_owned())),
                    Fate::Status(status, retry_after) => {
                        pause(10).await;
                        let headers = retry_after.map(|s| ("retry-after".to_owned(), s.to_string())).into_iter().collect();
                        return Ok(Reply { status, headers, body: r#"{"error":"no"}"#.to_owned() });
                    }
                    Fate::Instead(kind) => {
                        pause(10).await;
                        return in_process::reply(&kind.instead(network.clock.now_us()).unwrap());
                    }
                    Fate::Lost { seen } => (None, seen),
                    Fate::Arrives { after_ms, seen } => {
                        let (sender, receiver) = tokio::sync::oneshot::channel();
                        let (network, name, items, incoming) = (network.clone(), name.clone(), items.clone(), incoming.clone());
                        let life = Arc::clone(&life);
                        // Not part of the process: the request arrives even if its sender dies.
                        tokio::spawn(async move {
                            pause(after_ms).await;
                            let now_us = network.clock.now_us();
                            let disturbances = life.disturbances();
                            sender.send(network.state().arrive(id, &name, now_us, &incoming, &items, disturbances)).ok();
                        });
                        (Some(receiver), seen)
                    }
                };
                match (seen, arrived) {
                    (Seen::Cut { after_ms }, Some(_)) if after_ms == 5 => pause(after_ms).await,
                    (Seen::Cut { after_ms }, arrived) => {
                        if let Some(arrived) = arrived {
                            arrived.await.ok();
                        }
                        pause(after_ms).await;
                    }
                    (Seen::Nothing, _) | (_, None) => pause(3_600_000).await,
                    (seen, Some(arrived)) => {
                        let (answer, from) = arrived.await.map_err(|_| SendError::Lost("the request was dropped".to_owned()))?;
                        let reply = |status, body: String| Ok(Reply { status, headers: Vec::new(), body });
                        let is_read = !incoming.post && answer.status == 200;
                        return match seen {
                            Seen::Status(status) => reply(status, String::new()),
                            Seen::Garbage => reply(200, "<html>".to_owned()),
                            Seen::TooLarge => Err(SendError::TooLarge),
                            Seen::Answer { after_ms } => {
                                pause(after_ms).await;
                                if is_read {
                                    network.state().note_read(id, from, &name, &answer, &items);
                                }
                                in_process::reply(&answer)
                            }
                            Seen::Odd { kind, after_ms } => {
                                pause(after_ms).await;
                                if let Some(instead) = kind.instead(network.clock.now_us()) {
                                    return in_process::reply(&instead);
                                }
                                // These are not read: the answer comes from a cache, or something else stands before it.
                                let is_read = is_read && !matches!(kind, Misbehavior::SaysCached | Misbehavior::PhpNotice);
                                let plain = if kind == Misbehavior::EmptyQuantity { kind.disguise(answer.clone()) } else { answer.clone() };
                                if is_read {
                                    network.state().note_read(id, from, &name, &plain, &items);
                                }
                                in_process::reply(&kind.disguise(answer))
                            }
                            Seen::Cut { .. } | Seen::Nothing => unreachable!("handled above"),
                        };
                    }
                }
                Err(SendError::Lost("connection cut".to_owned()))
            };
            let reply = tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(SendError::Lost("timeout".to_owned())));
            life.crash_point().await;
            reply
        })
    }
}
