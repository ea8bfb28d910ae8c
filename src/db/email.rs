//! A seller's addresses for mails, what is to be mailed to them, and the mails.
mod addresses;
pub mod due;
pub mod mails;
mod news;

pub use addresses::{Address, Purpose};
