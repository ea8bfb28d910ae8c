//! Ids, codes and names, each with its own type, parsed once where they come in. Ids are UUIDv7, so they sort by age.
use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id created at `now`; later ids sort after earlier ones.
            pub fn new(now: Timestamp) -> Self {
                Self(new_uuid(now))
            }
            /// The time part of the id; `None` if it is another kind of UUID.
            pub fn created_at(&self) -> Option<Timestamp> {
                let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
                let ms = i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_add(i64::from(nanos / 1_000_000))?;
                Some(Timestamp::from_millis(ms))
            }
            /// The 16 bytes stored in the database.
            pub fn bytes(&self) -> Vec<u8> {
                self.0.as_bytes().to_vec()
            }
            /// Reads what [`Self::bytes`] returned; `None` unless it is 16 bytes long.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> { Uuid::parse_str(s).map(Self) }
        }
    )+};
}

uuid_id! {
    /// A seller: the tenant.
    SellerId,
    /// A store of one seller.
    StoreId,
    /// A listing in one store.
    ListingId,
    /// A push to one listing.
    PushId,
    /// A sync run.
    RunId,
    /// One request to a platform, carrying up to one page of pushes; its text form is the idempotency key.
    CallId,
    /// An allocation rule.
    RuleId,
    /// An API key (identifies it without revealing its secret).
    KeyId,
    /// One run of the service's process, among those that share a database.
    NodeId,
    /// A seller's address for messages about what happens.
    WebhookId,
    /// A message for a webhook.
    MessageId,
    /// A seller's address for mails about what happens.
    EmailId,
    /// A mail.
    MailId,
    /// Something that happened, for one address.
    NewsId,
    /// A check of a store's listings for drift.
    DriftCheckId,
    /// A time during which nothing is sent to a seller's stores.
    FrozenWindowId,
}

impl PushId {
    /// The first of up to 65,536 ids that follow each other; see [`Self::nth`]. All of them sort between ids that are made
    /// before and after.
    pub fn first_of_many(now: Timestamp) -> Self {
        // The last four bytes of a new id are random, the counter that orders ids comes before them.
        Self(Uuid::from_u128(new_uuid(now).as_u128() & !0xffff))
    }

    /// The id that comes `n` after this one among ids that were made together.
    #[must_use]
    pub fn nth(self, n: usize) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_add(n as u128)))
    }

    /// How many ids after `first` this one comes, if they were made together.
    pub fn place_after(self, first: Self) -> Option<usize> {
        let distance = self.0.as_u128().checked_sub(first.0.as_u128())?;
        usize::try_from(distance).ok().filter(|place| *place <= 0xffff)
    }
}

thread_local! {
    static OWN_ORDER: RefCell<Option<IdOrder>> = const { RefCell::new(None) };
}

/// For simulations, each of which has its own thread and its own time: from now on, ids created on this thread are ordered
/// among themselves only, unaffected by earlier ids and those of other threads.
pub fn start_id_order_of_this_thread() {
    OWN_ORDER.set(Some(IdOrder::default()));
}

/// An order of ids of its own. A simulation of several nodes gives each node one.
#[derive(Debug, Clone, Default)]
pub struct IdOrder {
    context: Arc<Mutex<uuid::ContextV7>>,
    /// What the random part is drawn from instead.
    draws: Option<Arc<AtomicU64>>,
}

impl IdOrder {
    /// The random part of these ids, which decides the node that works for a seller, follows from `seed`.
    pub fn drawn_from(seed: u64) -> Self {
        Self { draws: Some(Arc::new(AtomicU64::new(seed))), ..Self::default() }
    }

    /// Ids created on this thread belong to it from now on.
    pub fn take_over_this_thread(&self) {
        OWN_ORDER.set(Some(self.clone()));
    }

    fn draw(&self) -> Option<u128> {
        // SplitMix64.
        let step = 0x9e37_79b9_7f4a_7c15;
        let next = self.draws.as_ref()?.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Some(u128::from((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32))
    }
}

/// A UUIDv7 whose time part is `now`. A process-wide counter keeps ids of the same millisecond in order.
fn new_uuid(now: Timestamp) -> Uuid {
    static CONTEXT: LazyLock<Mutex<uuid::ContextV7>> = LazyLock::new(|| Mutex::new(uuid::ContextV7::new()));
    let ms = u64::try_from(now.as_millis()).unwrap_or(0);
    let (seconds, nanos) = (ms / 1000, u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000);
    let (timestamp, random) = OWN_ORDER.with_borrow(|own| match own {
        Some(own) => (uuid::Timestamp::from_unix(&*own.context, seconds, nanos), own.draw()),
        None => (uuid::Timestamp::from_unix(&*CONTEXT, seconds, nanos), None),
    });
    let uuid = Uuid::new_v7(timestamp);
    random.map_or(uuid, |random| Uuid::from_u128(uuid.as_u128() & !u128::from(u32::MAX) | random))
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident, $max:literal, $what:literal);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The maximum length in characters.
            pub const MAX_CHARS: usize = $max;
            /// Checks length and characters as [`check_text`] does, and returns what is wrong as a sentence fragment.
            pub fn parse(text: &str) -> Result<Self, String> {
                check_text(text, $what, $max).map(|()| Self(text.to_owned()))
            }
            /// Exactly as the client sent it.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str { &self.0 }
        }
    )+};
}

text_id! {
    /// The seller's own stock-keeping unit.
    Sku, 128, "a SKU";
    /// The client's own id for a stock event.
    EventId, 128, "an event_id";
    /// The seller's code for a warehouse.
    WarehouseCode, 64, "a warehouse code";
}

impl EventId {
    /// When the client made the id, if it is a UUIDv7: other ids do not tell.
    pub fn created_at(&self) -> Option<Timestamp> {
        let uuid = Uuid::parse_str(&self.0).ok().filter(|uuid| uuid.get_version_num() == 7)?;
        CallId(uuid).created_at()
    }
}

impl WarehouseCode {
    /// The warehouse that always exists.
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

/// Checks a short text: not empty, at most `max` characters, no control characters, no leading or trailing whitespace.
/// Any script is accepted. The error is a sentence fragment for people, with `what` as its subject.
pub fn check_text(text: &str, what: &str, max: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} must not be empty"));
    }
    let count = text.chars().count();
    if count > max {
        return Err(format!("{what} may have at most {max} characters; this one has {count}"));
    }
    if text.chars().any(|c| c.is_control() || ('\u{fdd0}'..='\u{fdef}').contains(&c) || (c as u32 & 0xfffe) == 0xfffe) {
        return Err(format!("{what} must not contain control characters"));
    }
    if text.trim() != text {
        return Err(format!("{what} must not start or end with whitespace"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_sort_in_order_of_creation() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ids: Vec<_> = (0..1000).map(|_| PushId::new(now)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        let half_a_second_later = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_800_000_000, 500_000_000));
        assert_eq!(PushId(half_a_second_later).created_at(), Some(now + std::time::Duration::from_millis(500)));
    }

    #[test]
    fn an_id_tells_when_it_was_made_to_the_millisecond_and_a_thread_may_have_an_order_of_its_own() {
        let (now, earlier) = (Timestamp::from_millis(1_800_000_000_000), Timestamp::from_millis(1_234_567));
        let first = PushId::new(now);
        let made_at = |of: PushId| of.created_at();
        assert!(made_at(PushId::new(earlier)) >= made_at(first), "ids of the process never go back");
        start_id_order_of_this_thread();
        let alone = [made_at(PushId::new(earlier)), made_at(PushId::new(now))];
        OWN_ORDER.set(None);
        assert_eq!(alone, [Some(earlier), Some(now)]);
    }

    #[test]
    fn a_thread_may_draw_the_random_part_of_its_ids_from_a_seed() {
        let drawn = |seed| {
            IdOrder::drawn_from(seed).take_over_this_thread();
            let ids = [1, 1, 2].map(|ms| SellerId::new(Timestamp::from_millis(ms)));
            OWN_ORDER.set(None);
            assert!(ids.is_sorted());
            ids.map(|id| id.0.as_u128() & u128::from(u32::MAX))
        };
        assert_eq!(drawn(7), drawn(7));
        let [a, b, c] = drawn(7);
        assert!(a != b && b != c && drawn(8) != [a, b, c]);
    }

    #[test]
    fn a_sku_may_use_any_script_but_no_control_characters_or_outer_whitespace() {
        for good in ["赤い靴-42 ½ 👟", "\u{fdcf}\u{fdf0}\u{fffd}\u{1fffd}", &"靴".repeat(128)] {
            assert!(Sku::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " a", "a ", "a\0b", "a\nb", "\u{fdd0}", "\u{fdef}", "a\u{fffe}", "a\u{1ffff}", &"x".repeat(129)] {
            assert!(Sku::parse(bad).is_err(), "{bad:?}");
        }
    }
}
