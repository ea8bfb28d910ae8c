//! Which bundles may be saved.
use super::bundle::{Bundle, Component, MAX_BUNDLES_OF_COMPONENT, MAX_COMPONENTS};
use super::problem::Checks;
use super::stock::Levels;
use super::units::UnitsEach;
use super::{FieldError, Sku};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A component as it was entered.
#[derive(Debug, Clone)]
pub struct EnteredComponent {
    /// The SKU.
    pub sku: String,
    /// How many units of it one bundle takes.
    pub quantity: i64,
}

fn at(index: usize) -> String {
    format!("/components/{index}/sku")
}

/// The bundle that was entered.
///
/// # Errors
/// Every invalid field, as far as that can be said without knowing other SKUs.
pub fn check(sku: Sku, entered: &[EnteredComponent]) -> Result<Bundle, Vec<FieldError>> {
    let mut checks = Checks::default();
    if entered.is_empty() || entered.len() > MAX_COMPONENTS {
        checks.note("/components", format!("must have from 1 to {MAX_COMPONENTS} components"));
    }
    let (mut seen, mut components) = (HashSet::new(), Vec::new());
    for (index, component) in entered.iter().enumerate().take(MAX_COMPONENTS) {
        let part = checks.take(&at(index), Sku::parse(&component.sku));
        let quantity = checks.take(&format!("/components/{index}/quantity"), UnitsEach::check(component.quantity));
        if component.sku == sku.as_str() {
            checks.note(at(index), "is the bundle itself");
        }
        if !seen.insert(component.sku.as_str()) {
            checks.note(at(index), "appears more than once");
        }
        components.extend(part.zip(quantity).map(|(sku, quantity)| Component { sku, quantity }));
    }
    checks.done()?;
    Ok(Bundle { sku, components })
}

/// What is stored about the SKUs of a bundle.
#[derive(Debug, Default)]
pub struct Known {
    /// Those of its components that exist.
    pub existing: HashSet<String>,
    /// Those of its components that are bundles themselves.
    pub bundles: BTreeMap<String, Arc<Bundle>>,
    /// The bundles that it and its components are components of.
    pub part_of: HashMap<String, Vec<String>>,
    /// Its own levels.
    pub levels: Levels,
}

/// Why a bundle cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// These fields are invalid. Its own SKU is `/sku`.
    Fields(Vec<FieldError>),
    /// Its SKU has stock of its own; what to do about that, in words.
    HasStock(String),
}

/// Whether this bundle may be saved, given what is known of its SKUs.
///
/// # Errors
/// Why not.
pub fn check_known(bundle: &Bundle, known: &Known) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    let sku = bundle.sku.as_str();
    if let Some(of) = known.part_of.get(sku).and_then(|bundles| bundles.first()) {
        checks.note("/sku", format!("is a component of {of}, and a bundle cannot be a component of another one"));
    }
    for (index, component) in bundle.components.iter().enumerate() {
        let part = component.sku.as_str();
        if let Some(other) = known.bundles.get(part) {
            let closes_a_circle = other.components.iter().any(|component| component.sku == bundle.sku);
            let detail = if closes_a_circle {
                format!("is a bundle with {sku} in it, so they would go around in a circle")
            } else {
                "is a bundle itself; name its components instead".to_owned()
            };
            checks.note(at(index), detail);
        } else if !known.existing.contains(part) {
            checks.note(at(index), "there is no such SKU");
        }
        let others = known.part_of.get(part).into_iter().flatten().filter(|other| *other != sku).count();
        if others >= MAX_BUNDLES_OF_COMPONENT {
            checks.note(at(index), format!("is a component of {others} bundles already, the most that a SKU can be"));
        }
    }
    checks.done().map_err(Refusal::Fields)?;
    match known.levels.iter().find(|(_, level)| **level != 0) {
        None => Ok(()),
        Some((warehouse, level)) => Err(Refusal::HasStock(format!(
            "this SKU has stock of its own, and a bundle has none: {level} in the warehouse {warehouse}; count it as 0 there first, and \
             what it is made of for the components"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WarehouseCode;

    fn sku(text: &str) -> Sku {
        Sku::parse(text).unwrap()
    }
    fn entered(parts: &[(&str, i64)]) -> Vec<EnteredComponent> {
        parts.iter().map(|(sku, quantity)| EnteredComponent { sku: (*sku).to_owned(), quantity: *quantity }).collect()
    }
    fn bundle(name: &str, parts: &[(&str, i64)]) -> Bundle {
        check(sku(name), &entered(parts)).unwrap()
    }
    fn refused(parts: &[(&str, i64)]) -> Vec<String> {
        check(sku("KIT"), &entered(parts)).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bundle_has_up_to_20_different_components_of_up_to_10_000_units() {
        let made = bundle("KIT", &[("A", 1), ("B", 10_000)]);
        assert_eq!(
            made.components.iter().map(|part| (part.sku.as_str(), part.quantity.get())).collect::<Vec<_>>(),
            [("A", 1), ("B", 10_000)]
        );
        assert_eq!(refused(&[]), ["components: must have from 1 to 20 components"]);
        let names: Vec<String> = (0..21).map(|n| format!("S{n}")).collect();
        let many: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert!(check(sku("KIT"), &entered(&many[..20])).is_ok());
        assert_eq!(refused(&many), ["components: must have from 1 to 20 components"]);
        assert_eq!(refused(&[("A", 1), ("A", 2)]), ["components/1/sku: appears more than once"]);
        assert_eq!(refused(&[("KIT", 1)]), ["components/0/sku: is the bundle itself"]);
        for quantity in [0, -1, 10_001, i64::MAX] {
            assert_eq!(refused(&[("A", quantity)]), ["components/0/quantity: must be a whole number from 1 to 10000"]);
        }
        assert_eq!(refused(&[("", 1)]), ["components/0/sku: a SKU must not be empty"]);
    }

    fn known() -> Known {
        Known { existing: HashSet::from(["A".to_owned(), "B".to_owned(), "SET".to_owned()]), ..Known::default() }
    }
    fn errors(found: Result<(), Refusal>) -> Vec<String> {
        match found {
            Err(Refusal::Fields(errors)) => errors.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_are_no_bundles_of_bundles_and_no_circles() {
        let kit = bundle("KIT", &[("A", 1), ("SET", 1)]);
        let of_set =
            |parts: &[(&str, i64)]| Known { bundles: BTreeMap::from([("SET".to_owned(), Arc::new(bundle("SET", parts)))]), ..known() };
        assert_eq!(errors(check_known(&kit, &of_set(&[("B", 1)]))), ["components/1/sku: is a bundle itself; name its components instead"]);
        let circle = errors(check_known(&kit, &of_set(&[("B", 1), ("KIT", 1)])));
        assert_eq!(circle, ["components/1/sku: is a bundle with KIT in it, so they would go around in a circle"]);
        let part = Known { part_of: HashMap::from([("KIT".to_owned(), vec!["SET".to_owned()])]), ..known() };
        let found = errors(check_known(&bundle("KIT", &[("A", 1)]), &part));
        assert_eq!(found, ["sku: is a component of SET, and a bundle cannot be a component of another one"]);
    }

    #[test]
    fn components_exist_and_are_in_at_most_100_bundles() {
        assert_eq!(errors(check_known(&bundle("KIT", &[("A", 1), ("C", 1)]), &known())), ["components/1/sku: there is no such SKU"]);
        let part_of = |n: usize| Known { part_of: HashMap::from([("A".to_owned(), (0..n).map(|n| format!("K{n}")).collect())]), ..known() };
        assert_eq!(check_known(&bundle("KIT", &[("A", 1)]), &part_of(99)), Ok(()));
        assert_eq!(check_known(&bundle("K7", &[("A", 1)]), &part_of(100)), Ok(()), "which is one of the hundred");
        let full = errors(check_known(&bundle("KIT", &[("A", 1)]), &part_of(100)));
        assert_eq!(full, ["components/0/sku: is a component of 100 bundles already, the most that a SKU can be"]);
    }

    #[test]
    fn a_sku_with_stock_of_its_own_is_no_bundle_yet() {
        let with = |level| Known { levels: Levels::from([(WarehouseCode::main(), level)]), ..known() };
        let kit = bundle("KIT", &[("A", 1)]);
        assert_eq!(check_known(&kit, &with(0)), Ok(()));
        for level in [3, -3] {
            let Err(Refusal::HasStock(text)) = check_known(&kit, &with(level)) else { panic!("{level}") };
            assert!(text.contains(&format!("{level} in the warehouse main; count it as 0 there first")), "{text}");
        }
    }
}
