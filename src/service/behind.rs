//! The stores of all sellers that are behind, worst first, for the operator.
use super::{Operator, Result, Service};
use crate::db::behind::{Busy, busy_stores};
use crate::domain::behind::{BEHIND_BY, Behind, Place};
use crate::domain::circuit::Circuit;
use crate::domain::{SellerId, StoreId, Timestamp};
use std::time::Duration;

/// Which stores are asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How old a store's work may be.
    pub by: Duration,
    /// Only the stores of this platform.
    pub platform: Option<String>,
    /// Only those after this one in the list.
    pub after: Option<Position>,
    /// The most stores.
    pub limit: usize,
}

impl Asked {
    /// The worst stores of all platforms.
    pub fn worst(limit: usize) -> Self {
        Self { by: BEHIND_BY, platform: None, after: None, limit }
    }
}

/// Where a store is in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Place, SellerId, StoreId);

impl Position {
    /// As a text, from which [`Self::parse`] makes it again.
    pub fn text(&self) -> String {
        let Self((rank, has_nothing_waiting, since), seller, store) = self;
        format!("{rank} {has_nothing_waiting} {} {seller} {store}", since.as_millis())
    }

    /// `None` if no list has such a position.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, Timestamp::from_millis(parts.next()?.parse().ok()?));
        let position = Self(place, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(position)
    }
}

/// A store that is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The store and its seller.
    pub store: Busy,
    /// Why and since when.
    pub behind: Behind,
}

impl Late {
    /// Where it is in the list.
    pub fn position(&self) -> Position {
        Position(self.behind.place(), self.store.seller, self.store.store)
    }
}

/// The stores that are behind, worst first.
///
/// # Errors
/// If the database cannot be read.
pub async fn worst(service: &Service, _: Operator, asked: Asked) -> Result<Vec<Late>> {
    let now = service.now();
    let busy = service.db.read(move |conn| busy_stores(conn, now, now - Circuit::TRIAL)).await?;
    let wanted = |store: &Busy| asked.platform.as_ref().is_none_or(|platform| store.platform == *platform);
    let late = |store: Busy| Behind::of(&store.facts, asked.by, now).map(|behind| Late { store, behind });
    let mut found: Vec<Late> = busy.into_iter().filter(wanted).filter_map(late).collect();
    found.retain(|late| asked.after.is_none_or(|after| late.position() > after));
    found.sort_by_key(Late::position);
    found.truncate(asked.limit);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_from_its_text_and_nothing_else_is() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let position = Position((1, true, now), SellerId::new(now), StoreId::new(now));
        assert_eq!(Position::parse(&position.text()), Some(position));
        for text in ["", "1", "1 true 5", &format!("{} x", position.text()), &position.text().replace("true", "yes")] {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }
}
