//! The intake from NATS JetStream, off unless `nats_url` is set: a message is what `POST /v1/stock-events` takes, and its subject
//! names the seller.
//!
//! All nodes pull from one durable consumer. A message is acknowledged once its events are committed; put back with a delay if
//! they cannot be recorded now; and terminated if they never can be, with the reason published for its seller. Whatever is lost on
//! the way (an acknowledgment, a connection, a process), the message comes again, and its events are repeats.
//!
//! * [`settings`]: what an operator sets, and what is refused.
//! * [`subject`]: which seller a subject names.
//! * [`connection`]: connects again for good, and says so once.
//! * [`intake`]: pulls, and stops.
//! * [`stall`]: notices that NATS delivers nothing of what it has.
//! * [`lanes`]: a seller's messages one after another, those of different sellers at once.
//! * [`message`]: what becomes of one message.
mod connection;
mod intake;
mod lanes;
mod message;
mod settings;
mod stall;
mod subject;

pub use intake::start;
pub use settings::{Given, Settings};
