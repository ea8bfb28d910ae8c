//! What bundles have to do with the events of a group. A seller without bundles has nothing to do with this.
use crate::db::Result;
use crate::db::connection::Conn;
use crate::db::ledger::request::RecordRequest;
use crate::db::ledger::setups::Setups;
use crate::domain::SellerId;
use crate::domain::bundle::Ties;
use crate::domain::falls::Cause;
use crate::domain::ledger::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// SKUs by seller.
type Skus = BTreeMap<SellerId, BTreeSet<String>>;

/// The SKUs of which an event of this SKU changes what is available: itself or, if it is a bundle, its components.
fn moved_by<'a>(facts: &'a Facts, sku: &'a str) -> impl Iterator<Item = &'a str> {
    let bundle = facts.ties.get(sku).and_then(|ties| ties.is.as_deref());
    let own = bundle.is_none().then_some(sku);
    own.into_iter().chain(bundle.into_iter().flat_map(|bundle| &bundle.components).map(|component| component.sku.as_str()))
}

/// Adds the SKUs whose targets an event of this SKU may raise: what it moves, and the bundles of that.
pub(super) fn raise(facts: &Facts, sku: &str, raised: &mut BTreeSet<String>) {
    for moved in moved_by(facts, sku) {
        raised.insert(moved.to_owned());
        let ties = facts.ties.get(moved);
        raised.extend(ties.into_iter().flat_map(|ties| &ties.part_of).map(|bundle| bundle.sku.to_string()));
    }
}

/// Loads [`Facts::ties`]. Returns the components whose levels have to be known.
pub(super) fn load(
    conn: &mut Conn,
    setups: &mut Setups,
    requests: &[RecordRequest],
    found: &mut BTreeMap<SellerId, Facts>,
) -> Result<Skus> {
    let has_bundles = |seller: SellerId| found.get(&seller).is_some_and(|facts| facts.setup.rules.settings().has_bundles);
    let mut of_events = Skus::new();
    for request in requests.iter().filter(|request| has_bundles(request.seller)) {
        of_events.entry(request.seller).or_default().extend(request.events.iter().map(|new| new.event.sku.to_string()));
    }
    let mut needed = Skus::new();
    if of_events.is_empty() {
        return Ok(needed);
    }
    let mut components = Skus::new();
    for (seller, sku, ties) in setups.ties(conn, &of_events)? {
        if let Some(bundle) = &ties.is {
            components.entry(seller).or_default().extend(bundle.components.iter().map(|component| component.sku.to_string()));
        }
        note(found, seller, sku, ties);
    }
    if !components.is_empty() {
        for (seller, sku, ties) in setups.ties(conn, &components)? {
            note(found, seller, sku, ties);
        }
    }
    for request in requests {
        let Some(facts) = found.get(&request.seller).filter(|facts| !facts.ties.is_empty()) else { continue };
        let needed = needed.entry(request.seller).or_default();
        for new in &request.events {
            let pushes = facts.setup.rules.may_push(&Cause::new(&new.event, new.store));
            for moved in moved_by(facts, new.event.sku.as_str()) {
                needed.insert(moved.to_owned());
                let bundles = facts.ties.get(moved).filter(|_| pushes).into_iter().flat_map(|ties| &ties.part_of);
                needed.extend(bundles.flat_map(|bundle| &bundle.components).map(|component| component.sku.to_string()));
            }
        }
    }
    Ok(needed)
}

fn note(found: &mut BTreeMap<SellerId, Facts>, seller: SellerId, sku: String, ties: Arc<Ties>) {
    if let Some(facts) = found.get_mut(&seller).filter(|_| !ties.is_free()) {
        facts.ties.insert(sku, ties);
    }
}
