//! What a transaction has changed for sellers, noted as it is written and reported after the commit.
//!
//! The actors learn of changes from here, so no code that writes has to remember to wake them. Changes noted in a failed
//! transaction or savepoint are discarded with it.
use crate::domain::SellerId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What has changed for a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// Pushes may be due.
    Work,
    /// Settings, stores, rules or runs: they have to be read again, and pushes may be due.
    Configuration,
}

/// Called after a commit for each seller whose rows it changed.
pub type Hook = Arc<dyn Fn(SellerId, Changed) + Send + Sync>;

/// What has changed for each seller.
pub(super) type Changes = BTreeMap<SellerId, Changed>;

/// Notes another change; of two changes for one seller, the larger counts.
pub(super) fn merge(changes: &mut Changes, seller: SellerId, changed: Changed) {
    let entry = changes.entry(seller).or_insert(changed);
    *entry = (*entry).max(changed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn of_two_changes_for_one_seller_the_larger_counts() {
        let [a, b] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let mut changes = Changes::new();
        for (seller, changed) in [(a, Changed::Configuration), (b, Changed::Work), (a, Changed::Work)] {
            merge(&mut changes, seller, changed);
        }
        assert_eq!(changes.into_iter().collect::<Vec<_>>(), [(a, Changed::Configuration), (b, Changed::Work)]);
    }
}
