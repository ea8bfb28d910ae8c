//! A store that can be called.
use crate::domain::claim::ClaimTerms;
use crate::domain::retry::RetryPolicy;
use crate::platforms::call::StoreConnection;
use crate::platforms::client::Client;
use crate::platforms::{Facts, Platform, by_name};

/// A store that can be reached, and the connector for its platform.
pub struct Reach {
    /// The address, settings and credentials of the store.
    pub connection: StoreConnection,
    platform: &'static dyn Platform,
}

impl Reach {
    /// Finds the connector for the store's platform.
    ///
    /// # Errors
    /// A reason for people, if there is no such connector.
    pub fn new(connection: StoreConnection) -> Result<Self, String> {
        let platform = by_name(&connection.platform).ok_or_else(|| format!("There is no connector for {}.", connection.platform))?;
        Ok(Self { connection, platform })
    }

    /// Whether a call may be sent at once: no token has to be renewed first.
    pub fn is_at_hand(&self, client: &Client) -> bool {
        !client.can_renew(&self.connection, false)
    }

    /// The limits of the next call; a probe carries one item.
    pub fn terms(&self, probe: bool, overwrites_first: bool, policy: RetryPolicy, jitter: f64) -> ClaimTerms {
        let Facts { abilities, group_by, .. } = self.platform.facts(&self.connection);
        let limit = if probe { 1 } else { abilities.max_items.max(1) };
        ClaimTerms { abilities, limit, group_by, overwrites_first, overwrites_wait: false, policy, jitter }
    }
}
