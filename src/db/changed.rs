//! What a transaction has changed for sellers, noted as it is written and reported after the commit.
//!
//! Whatever acts on rows learns of a change from here, so that nobody who writes has to remember to wake it. What a
//! failed transaction or savepoint noted is forgotten with it.
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

/// Called after a commit for each seller that it changed something for.
pub type Hook = Arc<dyn Fn(SellerId, Changed) + Send + Sync>;

/// What each seller is to be woken for.
pub(super) type Changes = BTreeMap<SellerId, Changed>;

/// Notes one more change; of two the larger counts.
pub(super) fn merge(changes: &mut Changes, seller: SellerId, changed: Changed) {
    let entry = changes.entry(seller).or_insert(changed);
    *entry = (*entry).max(changed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn of_two_changes_of_a_seller_the_larger_counts() {
        let [a, b] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let mut changes = Changes::new();
        for (seller, changed) in [(a, Changed::Configuration), (b, Changed::Work), (a, Changed::Work)] {
            merge(&mut changes, seller, changed);
        }
        assert_eq!(changes.into_iter().collect::<Vec<_>>(), [(a, Changed::Configuration), (b, Changed::Work)]);
    }
}
