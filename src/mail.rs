//! Outbound mail: how a letter reaches a mail server. Over SMTP ([`smtp`]), or into a list in tests. What letters say is
//! [`domain::letter`](crate::domain::letter), and when they are sent is up to the service.
mod post;
pub mod smtp;

pub use post::{Encryption, Mailer, Post, Settings};
