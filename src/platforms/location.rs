//! Where stock is kept: a store that names its location is written to there and nowhere else.
//!
//! A listing keeps the location that it was paired at. If its store has moved since, writing there would fill a location
//! that the store no longer sells from, so such a listing is rejected with the step to take, and its neighbors go on.
use super::call::{Call, CallItem, StoreConnection};
use crate::domain::delivery::{ItemResult, Outcome};
use std::collections::BTreeMap;

/// A location's own part of an id such as `gid://shopify/Location/7`.
fn own_part(id: &str) -> &str {
    id.trim().rsplit('/').next().unwrap_or(id)
}

/// The location of a listing with these fields, if its store names another one. `field` is
/// [`Facts::location`](super::Facts::location).
pub fn elsewhere<'a>(field: Option<&str>, store: &StoreConnection, own: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let (here, own) = (store.setting(field?)?, own.get(field?)?);
    (!own.is_empty() && own_part(own) != own_part(here)).then_some(own)
}

/// A call without the listings that are paired elsewhere, and what is said of those: one entry for each item of the whole
/// call. `None` if there are none.
pub(super) fn split(field: Option<&'static str>, store: &StoreConnection, call: &Call) -> Option<(Call, Vec<Option<ItemResult>>)> {
    let result = |item: &CallItem| Some(misplaced(field?, elsewhere(field, store, &item.extra)?, store));
    let misplaced: Vec<Option<ItemResult>> = call.items.iter().map(result).collect();
    if misplaced.iter().all(Option::is_none) {
        return None;
    }
    let here = call.items.iter().zip(&misplaced).filter(|(_, result)| result.is_none()).map(|(item, _)| item.clone());
    Some((Call { items: here.collect(), ..call.clone() }, misplaced))
}

fn misplaced(field: &str, own: &str, store: &StoreConnection) -> ItemResult {
    ItemResult::Rejected {
        reason: format!(
            "This listing is paired at another location ({}) than the one its store sells from ({}).",
            own_part(own),
            own_part(store.setting(field).unwrap_or_default())
        ),
        next_step: format!(
            "Discover the store's listings again, which pairs this one at the store's location, or remove {field} from the listing. If \
             the store sells from several locations, remove {field} from the store instead."
        ),
    }
}

/// What is known of each item of the whole call after its smaller one was sent: the outcome, and what is reserved.
pub(super) fn joined(outcome: Outcome, reserved: Vec<Option<i64>>, misplaced: Vec<Option<ItemResult>>) -> (Outcome, Vec<Option<i64>>) {
    let here = misplaced.iter().filter(|result| result.is_none()).count();
    let results = match outcome {
        Outcome::Answered(results) if results.len() == here => results,
        outcome => return (outcome, reserved),
    };
    let (mut results, mut reserved) = (results.into_iter(), reserved.into_iter());
    let (mut all, mut all_reserved) = (Vec::new(), Vec::new());
    for result in misplaced {
        let is_here = result.is_none();
        all.extend(result.or_else(|| results.next()));
        all_reserved.push(if is_here { reserved.next().flatten() } else { None });
    }
    (Outcome::Answered(all), all_reserved)
}

#[cfg(test)]
mod tests {
    use super::super::call::Action;
    use super::super::fixtures::test_store;
    use super::*;
    use serde_json::json;

    fn item(id: &str, location: &str) -> CallItem {
        let extra = BTreeMap::from([("location_id".to_owned(), location.to_owned())]);
        CallItem { external_id: id.to_owned(), extra, quantity: 1, expected: None }
    }

    #[test]
    fn a_listing_is_elsewhere_if_its_store_names_another_location() {
        let at = |store: &str, own: &str| {
            let config = if store.is_empty() { json!({}) } else { json!({ "location_id": store }) };
            elsewhere(Some("location_id"), &test_store("x", config, &[]), &item("1", own).extra).is_some()
        };
        for (store, own, is_elsewhere) in [
            ("1", "2", true),
            ("1", "1", false),
            ("1", "gid://shopify/Location/1", false),
            ("gid://shopify/Location/1", "gid://shopify/Location/2", true),
            ("1", "", false),
            ("", "2", false),
        ] {
            assert_eq!(at(store, own), is_elsewhere, "{store:?} {own:?}");
        }
        assert_eq!(elsewhere(None, &test_store("x", json!({"location_id": "1"}), &[]), &item("1", "2").extra), None);
    }

    #[test]
    fn the_others_are_sent_and_every_item_has_its_own_result() {
        let store = test_store("x", json!({"location_id": "1"}), &[]);
        let items = vec![item("a", "1"), item("b", "2"), item("c", "1")];
        let call = Call { action: Action::Set, items, idempotency_key: Some("k".into()) };
        let (smaller, misplaced) = split(Some("location_id"), &store, &call).unwrap();
        let ids: Vec<&str> = smaller.items.iter().map(|item| item.external_id.as_str()).collect();
        assert_eq!((ids, smaller.idempotency_key.as_deref()), (vec!["a", "c"], Some("k")));
        let applied = |shown| ItemResult::Applied { shown: Some(shown) };
        let answered = Outcome::Answered(vec![applied(3), applied(4)]);
        let (outcome, reserved) = joined(answered, vec![Some(7), None], misplaced.clone());
        let Outcome::Answered(results) = outcome else { panic!("it was answered") };
        assert_eq!((&results[0], &results[2], reserved), (&applied(3), &applied(4), vec![Some(7), None, None]));
        assert!(matches!(&results[1], ItemResult::Rejected { reason, .. } if reason.contains("(2)") && reason.contains("(1)")));
        let unknown = Outcome::Unknown { reason: "?".into() };
        assert_eq!(joined(unknown.clone(), vec![], misplaced), (unknown, vec![]));
        assert_eq!(split(Some("location_id"), &store, &smaller), None);
    }
}
