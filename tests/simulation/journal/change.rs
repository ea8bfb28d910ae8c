//! What a push does to what its listing shows.
use super::{Push, State};

impl Push {
    /// By how much an increase or a fall is to change what its listing shows. A fall takes no more than the store has answered.
    pub fn change(&self) -> i64 {
        let units = self.quantity.unwrap_or(0);
        match self.base {
            _ if self.is_unsent() => 0,
            Some(base) if units < 0 => units.max(-base.max(0)),
            _ => units,
        }
    }

    /// There was nothing that it could take off.
    pub fn is_unsent(&self) -> bool {
        self.state == State::Confirmed && self.reason.as_deref().is_some_and(|reason| reason.starts_with("The store showed nothing"))
    }
}
