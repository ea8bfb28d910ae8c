//! The network between the service and the platforms: carries each request and its answer in virtual time, applies the
//! story's faults to them, and records everything in the order in which it happened.
//!
//! Each store has its own simulated platform, which itself has no faults. A request sent before the service died still
//! arrives.
mod request;

use crate::journal::JournalReader;
use crate::life::Life;
use crate::story::{Ability, NetFault, Outage, Rng};
use futures_util::future::BoxFuture;
use rand::RngExt;
use request::parse;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::platforms::call::{Reply, Request};
use stocktide::platforms::transport::{SendError, Transport};
use stocktide::simulator::{Decision, Faults, Incoming, Simulator};
use tokio::time::Instant;

/// The service relies on a key for 23 hours by its own clock, which may be set back without anybody noticing.
const KEYS_REMEMBERED_FOR: Duration = Duration::from_secs(23 * 3600 + 1800);

/// Something that happened at a platform.
#[derive(Debug, Clone)]
pub enum NetworkEvent {
    /// A request left the service.
    Sent { request: usize, store: String, action: String, items: Vec<Item>, key: Option<String> },
    /// A platform applied a request to one item.
    Applied { request: usize, item: usize, before: i64, after: i64 },
    /// The answer to a read came back, with quantities in the order of the request's items.
    ReadAnswered { request: usize, shown: Vec<Option<i64>> },
    /// The store made a sale of its own.
    Sold { store: String, external_id: String, quantity: i64 },
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

enum Fate {
    Refused,
    Status(u16, Option<u64>),
    /// Reaches the platform after this delay, then the service sees this.
    Arrives {
        after_ms: u64,
        seen: Seen,
    },
    Lost {
        seen: Seen,
    },
}

#[derive(Clone, Copy)]
enum Seen {
    Answer { after_ms: u64 },
    Status(u16),
    Garbage,
    Cut { after_ms: u64 },
    Nothing,
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
        let shop = Shop { simulator, ability, faults: VecDeque::new(), down: None, paused_until: Instant::now(), sent_at: Vec::new() };
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
    }

    pub fn has_asked_for_a_pause(&self, name: &str) -> bool {
        self.state().shops[name].paused_until > Instant::now()
    }

    pub fn sell(&self, name: &str, external_id: &str, quantity: i64) {
        let mut state = self.state();
        state.shops[name].simulator.sell(name, external_id, quantity);
        state.note(NetworkEvent::Sold { store: name.to_owned(), external_id: external_id.to_owned(), quantity });
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

    fn fate(&mut self, name: &str, post: bool) -> (Fate, Option<NetFault>) {
        let way = self.rng.random_range(0..60);
        let back = self.rng.random_range(0..60);
        let calm = self.calm;
        let shop = self.shops.get_mut(name).unwrap();
        if let Some((how, until)) = shop.down {
            if until > Instant::now() {
                let (word, fate) = match how {
                    Outage::Refused => ("outage: refused", Fate::Refused),
                    Outage::Errors => ("outage: 503", Fate::Status(503, None)),
                    Outage::Silence => ("outage: silence", Fate::Lost { seen: Seen::Nothing }),
                    Outage::Throttled => ("outage: 429", Fate::Status(429, Some(5))),
                };
                self.count(word);
                return (fate, None);
            }
            shop.down = None;
        }
        let of_this = (self.lose_answer_of == Some(self.sent_requests.len())).then_some(NetFault::LostAnswer);
        let Some(fault) = of_this.or_else(|| shop.faults.pop_front().filter(|_| !calm)) else {
            return (Fate::Arrives { after_ms: way, seen: Seen::Answer { after_ms: back } }, None);
        };
        if let NetFault::Throttled { retry_after_s } = fault {
            shop.paused_until = Instant::now() + Duration::from_secs(retry_after_s.min(3600));
        }
        let (word, fate) = match fault {
            NetFault::Refused => ("connection refused", Fate::Refused),
            NetFault::Throttled { retry_after_s } => ("429", Fate::Status(429, Some(retry_after_s))),
            NetFault::ErrorBefore => ("5xx before applying", Fate::Status(500, None)),
            NetFault::ErrorAfter => ("5xx after applying", Fate::Arrives { after_ms: way, seen: Seen::Status(502) }),
            NetFault::CutBefore => ("cut before applying", Fate::Lost { seen: Seen::Cut { after_ms: back } }),
            NetFault::LostAnswer => ("answer lost", Fate::Arrives { after_ms: way, seen: Seen::Cut { after_ms: back } }),
            NetFault::Silence => ("silence", Fate::Lost { seen: Seen::Nothing }),
            NetFault::Garbage => ("garbage", Fate::Arrives { after_ms: way, seen: Seen::Garbage }),
            NetFault::Slow { ms } => ("slow answer", Fate::Arrives { after_ms: way, seen: Seen::Answer { after_ms: ms.into() } }),
            NetFault::LateWithin { ms } if post => {
                ("applied late, within the settle time", Fate::Arrives { after_ms: ms.into(), seen: Seen::Cut { after_ms: 5 } })
            }
            NetFault::LateAfter { ms } if post => {
                ("applied late, after the settle time", Fate::Arrives { after_ms: ms.into(), seen: Seen::Cut { after_ms: 5 } })
            }
            NetFault::LateWithin { .. } | NetFault::LateAfter { .. } => {
                ("cut before applying", Fate::Lost { seen: Seen::Cut { after_ms: 5 } })
            }
        };
        self.count(word);
        (fate, Some(fault))
    }

    /// The key as the platform knows it: another one each time it has forgotten it.
    fn remembered(&mut self, name: &str, key: String) -> String {
        let now = Instant::now();
        let (since, forgotten) = self.keys.entry((name.to_owned(), key.clone())).or_insert((now, 0));
        let forget = now - *since > KEYS_REMEMBERED_FOR;
        if forget {
            (*since, *forgotten) = (now, *forgotten + 1);
        }
        let known = if *forgotten == 0 { key } else { format!("{key} {forgotten}") };
        if forget {
            self.count("key forgotten");
        }
        known
    }

    fn arrive(&mut self, request: usize, name: &str, now_us: i64, incoming: &Incoming, items: &[Item]) -> (u16, Value) {
        let simulator = self.shops[name].simulator.clone();
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
        if answer.status == 401 {
            self.count("401");
        }
        (answer.status, answer.body)
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
            let (name, action, items, incoming) = parse(&request);
            let (id, fate) = {
                let mut state = network.state();
                let (fate, fault) = state.fate(&name, incoming.post);
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
                    Fate::Lost { seen } => (None, seen),
                    Fate::Arrives { after_ms, seen } => {
                        let (sender, receiver) = tokio::sync::oneshot::channel();
                        let (network, name, items, incoming) = (network.clone(), name.clone(), items.clone(), incoming.clone());
                        // Not part of the process: the request arrives even if its sender dies.
                        tokio::spawn(async move {
                            pause(after_ms).await;
                            let now_us = network.clock.now_us();
                            sender.send(network.state().arrive(id, &name, now_us, &incoming, &items)).ok();
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
                        let (status, body) = arrived.await.map_err(|_| SendError::Lost("the request was dropped".to_owned()))?;
                        let reply = |status, body: String| Ok(Reply { status, headers: Vec::new(), body });
                        return match seen {
                            Seen::Status(status) => reply(status, String::new()),
                            Seen::Garbage => reply(200, "<html>".to_owned()),
                            Seen::Answer { after_ms } => {
                                pause(after_ms).await;
                                if !incoming.post && status == 200 {
                                    let shown = |item: &Item| {
                                        let all = body["items"].as_array()?;
                                        all.iter().find(|i| i["external_id"] == item.external_id)?["quantity"].as_i64()
                                    };
                                    let shown = items.iter().map(shown).collect();
                                    network.state().note(NetworkEvent::ReadAnswered { request: id, shown });
                                }
                                reply(status, body.to_string())
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
