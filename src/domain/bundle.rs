//! Bundles: SKUs that have no stock of their own, but are made of *components*, other SKUs of the seller, of each of which they
//! take a quantity.
//!
//! * Available of a bundle, in a pool of warehouses, is what the scarcest component allows: the least of floor(available of the
//!   component in that pool / quantity), never below 0. The components of one bundle may be in different warehouses of the pool.
//! * A sale, a cancellation or a return of n bundles moves each component by n × its quantity. Nothing else can happen to a bundle.
//! * A component is never a bundle ([`bundling`](super::bundling)), so there are neither bundles of bundles nor circles.
use super::stock::{EventKind, Levels};
use super::units::UnitsEach;
use super::{Sku, WarehouseCode};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The most components of a bundle.
pub const MAX_COMPONENTS: usize = 20;
/// The most bundles that one SKU is a component of. This bounds what a single stock event can move.
pub const MAX_BUNDLES_OF_COMPONENT: usize = 100;
/// The most bundles of a seller.
pub const MAX_BUNDLES: i64 = 10_000;

/// A part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The SKU.
    pub sku: Sku,
    /// How many units of it one bundle takes.
    pub quantity: UnitsEach,
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its own SKU.
    pub sku: Sku,
    /// What it is made of, in the order of their SKUs.
    pub components: Vec<Component>,
}

/// How a SKU and bundles belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// The bundle that it is.
    pub is: Option<Arc<Bundle>>,
    /// The bundles that it is a component of.
    pub part_of: Vec<Arc<Bundle>>,
}

impl Ties {
    /// Whether it has nothing to do with any bundle.
    pub fn is_free(&self) -> bool {
        self.is.is_none() && self.part_of.is_empty()
    }
}

/// How many bundles can be made of components of each of which so many units are available and so many are needed.
pub fn available(components: impl IntoIterator<Item = (i64, UnitsEach)>) -> i64 {
    components.into_iter().map(|(available, quantity)| quantity.whole_in(available)).min().unwrap_or(0).max(0)
}

/// Whether an event of this kind can happen to a bundle.
pub fn allows(kind: EventKind) -> bool {
    matches!(kind, EventKind::Sale | EventKind::Cancellation | EventKind::Return)
}

/// What there is of a SKU.
#[derive(Debug, Clone)]
pub enum Stock<'a> {
    /// Its own levels.
    Own(&'a Levels),
    /// The levels of the components of a bundle, and how many units of each it takes.
    OfComponents(Vec<(&'a Levels, UnitsEach)>),
}

impl<'a> From<&'a Levels> for Stock<'a> {
    fn from(levels: &'a Levels) -> Self {
        Self::Own(levels)
    }
}

impl Stock<'_> {
    /// Units available in these warehouses together, or in all. Those of a SKU with stock of its own may be below 0.
    pub fn within(&self, warehouses: Option<&[WarehouseCode]>) -> i64 {
        match self {
            Self::Own(levels) => sum(levels, warehouses),
            Self::OfComponents(components) => available(components.iter().map(|(levels, quantity)| (sum(levels, warehouses), *quantity))),
        }
    }

    /// Units available in each warehouse. Of a bundle, those for which one warehouse has everything, so several of them together may
    /// have more.
    pub fn by_warehouse(&self) -> Levels {
        match self {
            Self::Own(levels) => (*levels).clone(),
            Self::OfComponents(components) => {
                let codes: BTreeSet<&WarehouseCode> = components.iter().flat_map(|(levels, _)| levels.keys()).collect();
                codes.into_iter().map(|code| (code.clone(), self.within(Some(std::slice::from_ref(code))))).collect()
            }
        }
    }
}

fn sum(levels: &Levels, warehouses: Option<&[WarehouseCode]>) -> i64 {
    match warehouses {
        None => levels.values().fold(0, |sum, level| sum.saturating_add(*level)),
        Some(codes) => codes.iter().fold(0, |sum, code| sum.saturating_add(levels.get(code).copied().unwrap_or(0))),
    }
}

static NOTHING: Levels = BTreeMap::new();

/// The levels of SKUs, and which of these are bundles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stocks {
    /// Levels, also of the bundles' components.
    pub levels: HashMap<String, Levels>,
    /// The bundles.
    pub bundles: HashMap<String, Arc<Bundle>>,
}

impl Stocks {
    /// What there is of a SKU.
    pub fn of(&self, sku: &str) -> Stock<'_> {
        match self.bundles.get(sku) {
            Some(bundle) => bundle.stock(|component| self.levels.get(component)),
            None => Stock::Own(self.levels.get(sku).unwrap_or(&NOTHING)),
        }
    }
}

impl Bundle {
    /// What there is of it, given the levels of its components.
    pub fn stock<'a>(&self, levels: impl Fn(&str) -> Option<&'a Levels>) -> Stock<'a> {
        let of = |component: &Component| (levels(component.sku.as_str()).unwrap_or(&NOTHING), component.quantity);
        Stock::OfComponents(self.components.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn each(quantity: i64) -> UnitsEach {
        UnitsEach::check(quantity).unwrap()
    }
    fn code(name: &str) -> WarehouseCode {
        WarehouseCode::parse(name).unwrap()
    }

    #[test]
    fn the_scarcest_component_decides() {
        let cases: [(&[(i64, i64)], i64); 9] = [
            (&[(10, 1)], 10),
            (&[(10, 3)], 3),
            (&[(10, 2), (9, 1)], 5),
            (&[(10, 2), (3, 1)], 3),
            (&[(10, 2), (0, 1)], 0),
            (&[(10, 2), (-7, 3)], 0),
            (&[(1, 2), (100, 1)], 0),
            (&[(i64::MAX, 1), (i64::MAX, 10_000)], i64::MAX / 10_000),
            (&[], 0),
        ];
        for (components, expected) in cases {
            let found = available(components.iter().map(|(available, quantity)| (*available, each(*quantity))));
            assert_eq!(found, expected, "{components:?}");
        }
    }

    #[test]
    fn components_may_be_in_different_warehouses_of_the_pool() {
        let (east, west) = (code("east"), code("west"));
        let (shirts, caps) = (Levels::from([(east.clone(), 4)]), Levels::from([(east.clone(), 1), (west.clone(), 9)]));
        let stock = Stock::OfComponents(vec![(&shirts, each(1)), (&caps, each(2))]);
        assert_eq!(stock.within(None), 4);
        assert_eq!((stock.within(Some(std::slice::from_ref(&east))), stock.within(Some(std::slice::from_ref(&west)))), (0, 0));
        assert_eq!(stock.by_warehouse(), Levels::from([(east, 0), (west, 0)]));
    }

    #[test]
    fn what_is_not_in_stock_anywhere_counts_as_nothing() {
        let sku = |text: &str| Sku::parse(text).unwrap();
        let part = |text: &str, quantity| Component { sku: sku(text), quantity: each(quantity) };
        let kit = Arc::new(Bundle { sku: sku("KIT"), components: vec![part("A", 2), part("B", 1)] });
        let mut stocks = Stocks { levels: HashMap::from([("A".to_owned(), Levels::from([(code("main"), 8)]))]), ..Stocks::default() };
        stocks.bundles.insert("KIT".to_owned(), kit);
        assert_eq!((stocks.of("A").within(None), stocks.of("KIT").within(None), stocks.of("other").within(None)), (8, 0, 0));
        stocks.levels.insert("B".to_owned(), Levels::from([(code("main"), 3)]));
        assert_eq!(stocks.of("KIT").within(None), 3);
    }

    #[test]
    fn a_bundle_is_sold_returned_and_cancelled_and_nothing_else() {
        use EventKind::{Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};
        let allowed = [Purchase, Return, Adjustment, Count, Transfer, Sale, Cancellation].map(allows);
        assert_eq!(allowed, [false, true, false, false, false, true, true]);
    }

    fn components() -> impl Strategy<Value = Vec<(i64, i64)>> {
        proptest::collection::vec((-500i64..5000, 1i64..=20), 1..=MAX_COMPONENTS)
    }

    proptest! {
        #[test]
        fn so_many_can_be_made_and_not_one_more(parts in components()) {
            let made = available(parts.iter().map(|(available, quantity)| (*available, each(*quantity))));
            prop_assert!(made >= 0);
            prop_assert!(made == 0 || parts.iter().all(|(available, quantity)| made * quantity <= *available));
            prop_assert!(parts.iter().any(|(available, quantity)| (made + 1) * quantity > *available));
        }

        #[test]
        fn more_of_a_component_never_means_fewer_bundles(parts in components(), at in 0usize..20, more in 0i64..1000) {
            let of = |parts: &[(i64, i64)]| available(parts.iter().map(|(available, quantity)| (*available, each(*quantity))));
            let mut richer = parts.clone();
            let at = at % richer.len();
            richer[at].0 += more;
            prop_assert!(of(&richer) >= of(&parts));
        }

        #[test]
        fn making_one_leaves_one_less(parts in components()) {
            let of = |parts: &[(i64, i64)]| available(parts.iter().map(|(available, quantity)| (*available, each(*quantity))));
            let made = of(&parts);
            let left: Vec<(i64, i64)> = parts.iter().map(|(available, quantity)| (available - quantity, *quantity)).collect();
            prop_assert_eq!(of(&left), (made - 1).max(0));
        }
    }
}
