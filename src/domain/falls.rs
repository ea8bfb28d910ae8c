//! What one stock event is pushed to a store for, and what not: falls, which are pushed only for the reasons that a seller has chosen
//! by store, and returns that a store puts back on sale by itself.
use super::StoreId;
use super::stock::{EventKind, StockEvent};

/// Why a target falls. Purchases, returns and cancellations lower none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A correction below 0: damage, loss, own use.
    Adjustment,
    /// A count that found less.
    Count,
    /// Goods moved to a warehouse that does not feed the store.
    Transfer,
    /// A sale that names no store: over the counter, by telephone, to a reseller.
    OfflineSale,
    /// A sale of another store, or through another listing of the same store.
    SaleElsewhere,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Adjustment, Self::Count, Self::Transfer, Self::OfflineSale, Self::SaleElsewhere];

    /// The word used for it in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adjustment => "adjustment",
            Self::Count => "count",
            Self::Transfer => "transfer",
            Self::OfflineSale => "offline_sale",
            Self::SaleElsewhere => "sale_elsewhere",
        }
    }

    /// The reason that this word names.
    ///
    /// # Errors
    /// It names none; says what is possible.
    pub fn parse(word: &str) -> Result<Self, String> {
        let possible = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).ok_or_else(|| format!("must be one of {}", possible()))
    }

    fn bit(self) -> i16 {
        match self {
            Self::Adjustment => 1,
            Self::Count => 2,
            Self::Transfer => 4,
            Self::OfflineSale => 8,
            Self::SaleElsewhere => 16,
        }
    }
}

/// The reasons for which falls are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Falls(i16);

impl Falls {
    /// Those that [`Self::bits`] has saved. What a later version may have saved besides is left out.
    pub fn from_bits(bits: i16) -> Self {
        Reason::ALL.into_iter().filter(|reason| bits & reason.bit() != 0).collect()
    }

    /// As a number, to be saved.
    pub fn bits(self) -> i16 {
        self.0
    }

    /// As words.
    pub fn words(self) -> Vec<&'static str> {
        Reason::ALL.into_iter().filter(|reason| self.contains(*reason)).map(Reason::as_str).collect()
    }

    /// Whether this reason is among them.
    pub fn contains(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// These and others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl FromIterator<Reason> for Falls {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        Self(reasons.into_iter().fold(0, |bits, reason| bits | reason.bit()))
    }
}

/// What a store puts back on sale by itself: an increase for it would be there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restocks {
    /// Returned goods.
    pub returns: bool,
    /// What was sold in an order that is canceled.
    pub cancellations: bool,
}

impl Restocks {
    /// Whether it puts back what comes by an event of this kind.
    pub fn puts_back(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Return => self.returns,
            EventKind::Cancellation => self.cancellations,
            _ => false,
        }
    }
}

/// The event for which a target moves, as far as it matters whether that is pushed.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'e> {
    /// Its kind.
    pub kind: EventKind,
    /// The SKU that it names, which may be a bundle.
    pub sku: &'e str,
    /// The store whose order it was about, where it names one.
    pub store: Option<StoreId>,
}

impl<'e> Cause<'e> {
    /// An event about an order of this store, if it names one.
    pub fn new(event: &'e StockEvent, store: Option<StoreId>) -> Self {
        Self { kind: event.kind, sku: event.sku.as_str(), store }
    }

    /// Why the target of a listing falls; `None` where its store has counted it down by itself, or nothing falls by such an event.
    pub fn of_fall(&self, store: StoreId, sku: &str) -> Option<Reason> {
        let has_sold_it = self.kind == EventKind::Sale && self.store == Some(store) && self.sku == sku;
        self.reason().filter(|_| !has_sold_it)
    }

    /// Whether targets may fall for any of these reasons.
    pub fn may_be_any_of(&self, falls: Falls) -> bool {
        self.reason().is_some_and(|reason| falls.contains(reason))
    }

    fn reason(&self) -> Option<Reason> {
        match self.kind {
            EventKind::Adjustment => Some(Reason::Adjustment),
            EventKind::Count => Some(Reason::Count),
            EventKind::Transfer => Some(Reason::Transfer),
            EventKind::Sale if self.store.is_none() => Some(Reason::OfflineSale),
            EventKind::Sale => Some(Reason::SaleElsewhere),
            EventKind::Purchase | EventKind::Return | EventKind::Cancellation => None,
        }
    }

    /// Whether a return or cancellation is, as far as it says, of an order in this store for this very SKU.
    pub fn is_done_by(&self, store: StoreId, sku: &str) -> bool {
        self.sku == sku && self.store.is_none_or(|of| of == store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use EventKind::{Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};

    fn cause(kind: EventKind, store: Option<StoreId>) -> Cause<'static> {
        Cause { kind, sku: "A", store }
    }

    #[test]
    fn a_sale_is_elsewhere_for_all_listings_but_the_one_that_has_made_it() {
        let (here, there) = (StoreId::new(Timestamp::default()), StoreId::new(Timestamp::default()));
        let sale = cause(Sale, Some(here));
        assert_eq!(sale.of_fall(here, "A"), None, "it has counted down by itself");
        assert_eq!(sale.of_fall(there, "A"), Some(Reason::SaleElsewhere));
        assert_eq!(sale.of_fall(here, "SET"), Some(Reason::SaleElsewhere), "a bundle of what was sold");
        assert_eq!(cause(Sale, None).of_fall(here, "A"), Some(Reason::OfflineSale));
        let reasons = [Adjustment, Count, Transfer, Purchase, Return, Cancellation].map(|kind| cause(kind, None).of_fall(here, "A"));
        assert_eq!(reasons, [Some(Reason::Adjustment), Some(Reason::Count), Some(Reason::Transfer), None, None, None]);
    }

    #[test]
    fn an_event_concerns_stores_that_have_chosen_its_reason() {
        let here = StoreId::new(Timestamp::default());
        for reason in Reason::ALL {
            let chosen = Falls::from_iter([reason]);
            let concerned = [(Adjustment, None), (Count, None), (Transfer, None), (Sale, None), (Sale, Some(here)), (Return, Some(here))]
                .map(|(kind, store)| cause(kind, store).may_be_any_of(chosen));
            let expected: [bool; 6] = std::array::from_fn(|n| Reason::ALL.get(n) == Some(&reason));
            assert_eq!(concerned, expected, "{reason:?}");
        }
    }

    #[test]
    fn reasons_are_words_to_people_and_a_number_to_the_database() {
        let all: Falls = Reason::ALL.into_iter().collect();
        assert_eq!((all.bits(), all.words()), (31, Reason::ALL.map(Reason::as_str).to_vec()));
        assert_eq!(Falls::from_bits(64 + 8).words(), ["offline_sale"], "a later version's reasons are left out");
        assert_eq!(Reason::ALL.map(|reason| Reason::parse(reason.as_str())), Reason::ALL.map(Ok));
        assert_eq!(Reason::parse("theft").unwrap_err(), "must be one of adjustment, count, transfer, offline_sale, sale_elsewhere");
    }

    #[test]
    fn a_return_that_names_no_store_may_be_of_any() {
        let (here, there) = (StoreId::new(Timestamp::default()), StoreId::new(Timestamp::default()));
        assert!(cause(Return, None).is_done_by(here, "A") && cause(Return, Some(here)).is_done_by(here, "A"));
        assert!(!cause(Return, Some(there)).is_done_by(here, "A") && !cause(Return, None).is_done_by(here, "SET"));
        let restocks = Restocks { returns: true, cancellations: false };
        assert_eq!([Return, Cancellation, Purchase].map(|kind| restocks.puts_back(kind)), [true, false, false]);
    }
}
