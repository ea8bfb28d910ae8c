//! What bundles have to do with the events of a group. A seller without bundles has nothing to do with this.
use super::{Found, Wanted, triggers};
use crate::db::Result;
use crate::db::connection::Conn;
use crate::db::ledger::request::RecordRequest;
use crate::db::ledger::setups::Setups;
use crate::domain::SellerId;
use crate::domain::bundle::Ties;
use crate::domain::ledger::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

/// Loads [`Facts::ties`], and adds to `wanted` the components whose levels have to be known.
pub(super) fn load(
    conn: &mut Conn,
    setups: &mut Setups,
    requests: &[RecordRequest],
    wanted: &mut BTreeMap<SellerId, Wanted>,
    found: &mut Found,
) -> Result<()> {
    let has_bundles = |seller: &SellerId| found.0.get(seller).is_some_and(|facts| facts.setup.rules.settings().has_bundles);
    let of_events: BTreeMap<SellerId, BTreeSet<String>> =
        wanted.iter().filter(|(seller, _)| has_bundles(seller)).map(|(seller, wants)| (*seller, wants.skus.clone())).collect();
    if of_events.is_empty() {
        return Ok(());
    }
    let mut components: BTreeMap<SellerId, BTreeSet<String>> = BTreeMap::new();
    for (seller, sku, ties) in setups.ties(conn, &of_events)? {
        let of_bundle = ties.is.iter().flat_map(|bundle| &bundle.components).map(|component| component.sku.to_string());
        components.entry(seller).or_default().extend(of_bundle);
        note(found, seller, sku, ties);
    }
    components.retain(|_, skus| !skus.is_empty());
    if !components.is_empty() {
        for (seller, sku, ties) in setups.ties(conn, &components)? {
            note(found, seller, sku, ties);
        }
    }
    for request in requests {
        let Some((facts, wants)) = found.0.get(&request.seller).zip(wanted.get_mut(&request.seller)) else { continue };
        if facts.ties.is_empty() {
            continue;
        }
        for new in &request.events {
            let sku = new.event.sku.as_str();
            for moved in moved_by(facts, sku) {
                wants.skus.insert(moved.to_owned());
                let bundles = facts.ties.get(moved).filter(|_| triggers(facts, new)).into_iter().flat_map(|ties| &ties.part_of);
                wants.skus.extend(bundles.flat_map(|bundle| &bundle.components).map(|component| component.sku.to_string()));
            }
        }
    }
    Ok(())
}

fn note(found: &mut Found, seller: SellerId, sku: String, ties: Arc<Ties>) {
    if let Some(facts) = found.0.get_mut(&seller).filter(|_| !ties.is_free()) {
        facts.ties.insert(sku, ties);
    }
}
