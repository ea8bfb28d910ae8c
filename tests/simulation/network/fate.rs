//! What becomes of a request: planned faults, outages, and a few milliseconds on the way there and back.
use super::{NetFault, State, TOO_SLOW_MS};
use crate::nodes::Cut;
use crate::story::Outage;
use rand::RngExt;
use std::time::Duration;
use stocktide::simulator::{DATED_PAUSE_S, Misbehavior, Part};
use tokio::time::Instant;

/// What becomes of a request.
pub(super) enum Fate {
    Refused,
    Status(u16, Option<u64>),
    /// This is answered instead.
    Instead(Misbehavior),
    /// Reaches the platform after this delay, then the service sees this.
    Arrives {
        after_ms: u64,
        seen: Seen,
    },
    Lost {
        seen: Seen,
    },
}

/// What the service sees of the answer.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    Answer {
        after_ms: u64,
    },
    /// The platform's answer, disguised, or what is answered in its place.
    Odd {
        kind: Misbehavior,
        after_ms: u64,
    },
    TooLarge,
    Status(u16),
    Garbage,
    Cut {
        after_ms: u64,
    },
    Nothing,
}

/// Whether a fault can befall such a call.
fn befalls(fault: NetFault, post: bool, items: usize) -> bool {
    match fault {
        NetFault::Odd(kind) => kind.befalls(!post),
        NetFault::SlowRows { ms } => post && items as u64 * u64::from(ms) > TOO_SLOW_MS,
        NetFault::LargeRows => items > 1,
        _ => true,
    }
}

impl State {
    /// The node is cut off from all platforms.
    pub(super) fn cut_off(&mut self, how: Cut) -> Fate {
        let (word, fate) = match how {
            Cut::Refused => ("node cut off from platforms: refused", Fate::Refused),
            Cut::Silent => ("node cut off from platforms: silence", Fate::Lost { seen: Seen::Nothing }),
        };
        self.count(word);
        fate
    }

    pub(super) fn fate(&mut self, name: &str, host: &str, post: bool, items: usize) -> (Fate, Option<NetFault>) {
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
        if shop.host != host {
            self.count("wrong address");
            return (Fate::Instead(Misbehavior::Firewall), None);
        }
        let of_this = (self.lose_answer_of == Some(self.sent_requests.len())).then_some(NetFault::LostAnswer);
        let next = shop.faults.iter().position(|fault| befalls(*fault, post, items));
        let Some(fault) = of_this.or_else(|| shop.faults.remove(next?).filter(|_| !calm)) else {
            return (Fate::Arrives { after_ms: way, seen: Seen::Answer { after_ms: back } }, None);
        };
        if let NetFault::Throttled { retry_after_s } = fault {
            shop.paused_until = Instant::now() + Duration::from_secs(retry_after_s.min(3600));
        }
        shop.may_be_late |= matches!(fault, NetFault::LateWithin { .. } | NetFault::LateAfter { .. });
        if fault == NetFault::Odd(Misbehavior::RetryAfterDate) {
            shop.paused_until = Instant::now() + Duration::from_secs(DATED_PAUSE_S.unsigned_abs());
        }
        let (word, fate) = match fault {
            NetFault::Odd(kind) if kind.part() == Part::Way => (kind.name(), Fate::Instead(kind)),
            NetFault::Odd(kind) => (kind.name(), Fate::Arrives { after_ms: way, seen: Seen::Odd { kind, after_ms: back } }),
            NetFault::SlowRows { ms } => {
                ("slow rows", Fate::Arrives { after_ms: way, seen: Seen::Answer { after_ms: items as u64 * u64::from(ms) } })
            }
            NetFault::LargeRows => ("answer too large", Fate::Arrives { after_ms: way, seen: Seen::TooLarge }),
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
}
