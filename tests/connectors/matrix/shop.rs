//! A shop that misbehaves in the same ways whatever platform it runs on: a [`Transport`] with a [`Face`].
use super::faces::Face;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::platforms::call::{Reply, Request};
use stocktide::platforms::transport::{MAX_REPLY_BYTES, SendError, Transport};
use tokio::time::Instant;

/// What a request asks of the shop.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Read(Vec<u64>),
    ReadAll,
    Set(Vec<(u64, i64)>),
    Add(Vec<(u64, i64)>),
}

impl Ask {
    pub fn writes(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Add(_))
    }

    /// How many listings it is about.
    pub fn rows(&self) -> usize {
        self.ids().len()
    }

    fn ids(&self) -> Vec<u64> {
        match self {
            Self::Read(ids) => ids.clone(),
            Self::ReadAll => Vec::new(),
            Self::Set(rows) | Self::Add(rows) => rows.iter().map(|(n, _)| *n).collect(),
        }
    }
}

/// One listing in an answer.
#[derive(Debug, Clone)]
pub struct Row {
    pub n: u64,
    /// What can be sold.
    pub quantity: Value,
    pub on_hand: Value,
    pub reserved: i64,
    pub tracked: bool,
    pub active: bool,
    pub in_two_warehouses: bool,
    id_as_number: bool,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            n: 0,
            quantity: json!(0),
            on_hand: json!(0),
            reserved: 0,
            tracked: true,
            active: true,
            in_two_warehouses: false,
            id_as_number: false,
        }
    }
}

impl Row {
    /// Its id, as text unless the shop writes ids as numbers.
    pub fn id(&self) -> Value {
        if self.id_as_number { json!(self.n) } else { json!(self.n.to_string()) }
    }
}

#[derive(Debug, Clone)]
pub struct Item {
    pub on_hand: i64,
    pub reserved: i64,
    pub tracked: bool,
    pub active: bool,
}

/// An answer as it is: status, headers and body.
pub type Canned = (u16, &'static [(&'static str, &'static str)], &'static str);

/// What goes wrong.
#[derive(Default, Clone)]
pub struct Trouble {
    /// Writes are applied and answered with this status and body.
    pub after_writing: Option<Canned>,
    /// Every request is answered so, and nothing is applied.
    pub instead: Option<Canned>,
    /// Reads are answered for so long with what they were answered first; the cache ignores the query's `fresh`.
    pub cached_for: Option<Duration>,
    /// The cache says so.
    pub says_cached: bool,
    /// Each row of a write takes so long, and is applied even if nobody waits for the answer.
    pub per_row: Duration,
    /// Each row makes an answer so much longer, in bytes.
    pub weight: usize,
    /// How this listing's quantity is written.
    pub odd: Option<(u64, OddQuantity)>,
    /// Ids are written as numbers.
    pub ids_as_numbers: bool,
    /// What stands before every answer.
    pub noise: &'static str,
    /// The listing because of which calls are refused.
    pub bad: Option<u64>,
    /// Only keys in the address arrive.
    pub drops_authorization: bool,
    /// This listing is in two warehouses.
    pub in_two_warehouses: Option<u64>,
    /// Reads work, and every write is answered so.
    pub writes_denied: Option<Canned>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OddQuantity {
    Text,
    Empty,
}

pub struct Inner {
    pub items: BTreeMap<u64, Item>,
    pub trouble: Trouble,
    /// Each request: when it came and what it asked.
    pub log: Vec<(Instant, Ask)>,
    cache: HashMap<String, (Instant, Reply)>,
    /// When the call of each key is done.
    keys: HashMap<String, Instant>,
}

#[derive(Clone)]
pub struct FakeShop {
    face: Face,
    inner: Arc<Mutex<Inner>>,
}

impl FakeShop {
    pub fn new(face: &Face, items: impl Iterator<Item = (u64, i64)>) -> Self {
        let item = |(n, on_hand)| (n, Item { on_hand, reserved: 0, tracked: true, active: true });
        let inner = Inner {
            items: items.map(item).collect(),
            trouble: Trouble::default(),
            log: Vec::new(),
            cache: HashMap::new(),
            keys: HashMap::new(),
        };
        Self { face: face.clone(), inner: Arc::new(Mutex::new(inner)) }
    }

    pub fn state(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// What the shop sells of a listing.
    pub fn shown(&self, n: u64) -> i64 {
        let state = self.state();
        let item = &state.items[&n];
        item.on_hand - item.reserved
    }

    pub fn sells(&self, n: u64, units: i64) {
        self.state().items.get_mut(&n).unwrap().on_hand -= units;
    }

    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.state().trouble);
    }

    /// All is well from now on.
    pub fn recovers(&self) {
        self.state().trouble = Trouble::default();
    }
}

impl Inner {
    fn apply(&mut self, ask: &Ask, index: usize) {
        let (n, quantity, adds) = match ask {
            Ask::Set(rows) => (rows[index].0, rows[index].1, false),
            Ask::Add(rows) => (rows[index].0, rows[index].1, true),
            _ => return,
        };
        if let Some(item) = self.items.get_mut(&n) {
            item.on_hand = if adds { item.on_hand + quantity } else { quantity };
        }
    }

    fn row(&self, n: u64) -> Option<Row> {
        let item = self.items.get(&n)?;
        let odd = self.trouble.odd.filter(|(odd, _)| *odd == n).map(|(_, how)| how);
        let written = |units: i64| match odd {
            None => json!(units),
            Some(OddQuantity::Text) => json!(units.to_string()),
            Some(OddQuantity::Empty) => json!(""),
        };
        Some(Row {
            n,
            quantity: written(item.on_hand - item.reserved),
            on_hand: written(item.on_hand),
            reserved: item.reserved,
            tracked: item.tracked,
            active: item.active,
            in_two_warehouses: self.trouble.in_two_warehouses == Some(n),
            id_as_number: self.trouble.ids_as_numbers,
        })
    }

    fn rows(&self, ask: &Ask) -> Vec<Row> {
        match ask {
            Ask::ReadAll => self.items.keys().filter_map(|n| self.row(*n)).collect(),
            ask => ask.ids().into_iter().filter_map(|n| self.row(n)).collect(),
        }
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: String) -> Reply {
    Reply { status, headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), body }
}

/// The address of a read without what makes it unique.
fn cache_key(request: &Request) -> String {
    let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    let unique = ["fresh=", "timestamp=", "sign=", "oauth_"];
    let kept: Vec<&str> = query.split('&').filter(|pair| !unique.iter().any(|name| pair.starts_with(name))).collect();
    format!("{path}?{}{}", kept.join("&"), request.body.as_deref().unwrap_or_default())
}

impl Transport for FakeShop {
    fn send(&self, request: Request, timeout: Duration) -> futures_util::future::BoxFuture<'static, Result<Reply, SendError>> {
        let shop = self.clone();
        Box::pin(async move {
            let ask = (shop.face.ask)(&request);
            let (trouble, count) = {
                let mut state = shop.state();
                state.log.push((Instant::now(), ask.clone()));
                (state.trouble.clone(), ask.ids().len())
            };
            if let Some((status, headers, body)) = trouble.instead {
                return Ok(reply(status, headers, body.to_owned()));
            }
            if let Some(kept_for) = trouble.cached_for.filter(|_| !ask.writes()) {
                let known = shop.state().cache.get(&cache_key(&request)).cloned();
                if let Some((at, mut known)) = known.filter(|(at, _)| at.elapsed() < kept_for) {
                    if trouble.says_cached {
                        known.headers.push(("age".to_owned(), at.elapsed().as_secs().max(1).to_string()));
                    }
                    return Ok(known);
                }
            }
            let bad = trouble.bad.filter(|bad| ask.ids().contains(bad));
            if let (Some(bad), Some(refusal), true) = (bad, shop.face.refusal, ask.writes()) {
                let (status, body) = refusal(bad);
                return Ok(reply(status, &[], body.to_string()));
            }
            if trouble.drops_authorization && !request.url.contains("consumer_key=") {
                let body = r#"{"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot list resources."}"#;
                return Ok(reply(401, &[], body.to_owned()));
            }
            if let Some((status, headers, body)) = trouble.writes_denied.filter(|_| ask.writes()) {
                return Ok(reply(status, headers, body.to_owned()));
            }
            let key = shop.face.keyed.then(|| key_of(&request)).flatten().filter(|_| ask.writes());
            let known = key.as_ref().and_then(|key| shop.state().keys.get(key).copied());
            if ask.writes() {
                let takes = trouble.per_row * u32::try_from(count).unwrap_or(u32::MAX);
                let done_at = known.unwrap_or(Instant::now() + takes);
                if known.is_none() {
                    shop.state().keys.extend(key.map(|key| (key, done_at)));
                    if takes.is_zero() {
                        let mut state = shop.state();
                        (0..count).for_each(|index| state.apply(&ask, index));
                    } else {
                        let (writer, ask) = (shop.clone(), ask.clone());
                        tokio::spawn(async move {
                            for index in 0..count {
                                tokio::time::sleep(trouble.per_row).await;
                                writer.state().apply(&ask, index);
                            }
                        });
                    }
                }
                let rest = done_at.saturating_duration_since(Instant::now());
                tokio::time::sleep(rest.min(timeout)).await;
                if rest > timeout {
                    return Err(SendError::Lost("timeout".to_owned()));
                }
            }
            if let Some((status, headers, body)) = trouble.after_writing.filter(|_| ask.writes()) {
                return Ok(reply(status, headers, body.to_owned()));
            }
            let rows = shop.state().rows(&ask);
            let mut text = format!("{}{}", trouble.noise, (shop.face.reply)(&ask, &rows));
            // What is read as a whole has its descriptions once.
            let heavy = if ask == Ask::ReadAll { 1 } else { rows.len() };
            text.push_str(&" ".repeat(trouble.weight * heavy));
            if text.len() > MAX_REPLY_BYTES {
                return Err(SendError::TooLarge);
            }
            let answer = reply(200, &[], text);
            if trouble.cached_for.is_some() && !ask.writes() {
                shop.state().cache.insert(cache_key(&request), (Instant::now(), answer.clone()));
            }
            Ok(answer)
        })
    }
}

fn key_of(request: &Request) -> Option<String> {
    let body: Value = serde_json::from_str(request.body.as_deref()?).ok()?;
    body["variables"]["key"].as_str().map(str::to_owned)
}
