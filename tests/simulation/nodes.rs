//! Several nodes on one database: what ties each to the rest of the world, what they say to one another, and who held what.
mod leases;
mod notices;
mod ties;

pub use leases::{LEASE_TRIGGERS, LeaseChange, LeaseLog, SHARDS, Sent};
pub use notices::Bus;
pub use ties::{Cut, OfNode, Ties, rung};
