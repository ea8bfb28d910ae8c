//! Whether anything may be sent to a listing now, and if not, by whose word and until when.
//!
//! A *pause* holds at one of four levels: a platform, paused by the operator; all stores of a seller, one store, or one SKU, paused
//! by the seller. A *frozen window* is a pause of stores that begins and ends by the clock. What becomes due during a pause waits, and
//! increases of one listing merge meanwhile; it is sent once the last of the pauses that concern it has ended. What is on its way when
//! one begins ends by the usual rules.
//!
//! Claims, the ledger and with it offers, daily runs, manual syncs, checks, and whatever people read ask here.
use super::Timestamp;
use super::frozen::Frozen;
use serde::Serialize;

/// The most SKUs of a seller that may be paused at the same time: all of them are looked at wherever increases are recorded.
pub const MAX_PAUSED_SKUS: i64 = 1000;
/// Characters in the reason of a pause.
pub const MAX_REASON_CHARS: usize = 200;

/// By whose word nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PauseLevel)]
pub enum Level {
    /// The operator has paused the store's platform.
    Platform,
    /// The seller has paused everything.
    Seller,
    /// The seller has paused the store.
    Store,
    /// The seller has paused the SKU.
    Sku,
    /// One of the seller's frozen windows.
    Window,
}

/// What keeps a listing from being sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Pause {
    /// By whose word. Of several pauses, the widest of those that end last.
    pub level: Level,
    /// When it ends by itself; `None` if somebody has to end it.
    pub until: Option<Timestamp>,
}

/// The pauses of a store that come from above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Above {
    /// The seller has paused everything.
    pub seller: bool,
    /// The operator has paused its platform.
    pub platform: bool,
    /// Its frozen windows.
    pub frozen: Frozen,
}

/// Whether anything may be sent to a store at `now`; `paused` tells whether the seller has paused it.
pub fn of_store(paused: bool, above: &Above, now: Timestamp) -> Option<Pause> {
    let lasting = [(above.platform, Level::Platform), (above.seller, Level::Seller), (paused, Level::Store)];
    let lasting = lasting.into_iter().find(|(is_on, _)| *is_on).map(|(_, level)| Pause { level, until: None });
    lasting.or_else(|| above.frozen.until(now).map(|until| Pause { level: Level::Window, until: Some(until) }))
}

/// Whether anything may be sent to a listing, given the pause of its store.
pub fn of_listing(of_store: Option<Pause>, is_sku_paused: bool) -> Option<Pause> {
    match of_store {
        Some(pause) if pause.until.is_none() || !is_sku_paused => Some(pause),
        _ => is_sku_paused.then_some(Pause { level: Level::Sku, until: None }),
    }
}

/// Whatever keeps pushes to a store waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hold {
    /// The store lets nobody in.
    pub refused: bool,
    /// The seller has paused it.
    pub paused: bool,
    /// The pauses from above it.
    pub above: Above,
}

impl Hold {
    /// The pause that is on at `now`.
    pub fn pause(&self, now: Timestamp) -> Option<Pause> {
        of_store(self.paused, &self.above, now)
    }

    /// Whether they wait at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.refused || self.pause(now).is_some()
    }
}

impl From<bool> for Hold {
    fn from(paused: bool) -> Self {
        Self { paused, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn of_several_pauses_the_widest_of_those_that_end_last_counts() {
        let frozen = Frozen::of([(at(10), at(20))]);
        let lasting = |level| Some(Pause { level, until: None });
        let window = Some(Pause { level: Level::Window, until: Some(at(20)) });
        for (platform, seller, store, sku, expected) in [
            (false, false, false, false, window),
            (false, false, false, true, lasting(Level::Sku)),
            (false, false, true, true, lasting(Level::Store)),
            (false, true, true, true, lasting(Level::Seller)),
            (true, true, true, true, lasting(Level::Platform)),
        ] {
            let above = Above { seller, platform, frozen: frozen.clone() };
            assert_eq!(of_listing(of_store(store, &above, at(15)), sku), expected);
            let without = expected.filter(|pause| pause.level != Level::Window);
            assert_eq!(of_listing(of_store(store, &above, at(20)), sku), without, "the window is over");
        }
    }

    #[test]
    fn a_store_that_lets_nobody_in_holds_its_pushes_without_being_paused() {
        let refused = Hold { refused: true, ..Hold::default() };
        assert!(refused.holds(at(0)) && Hold::from(true).holds(at(0)) && !Hold::default().holds(at(0)));
    }
}
