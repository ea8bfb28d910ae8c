//! Stores, replies and stamps for the connectors' tests.
use super::call::{Reply, StoreConnection};
use super::connector::Stamp;
use crate::domain::{FieldError, StoreId};

/// A store with these settings and secrets.
pub(super) fn test_store(platform: &str, config: serde_json::Value, credentials: &[(&str, &str)]) -> StoreConnection {
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: platform.to_owned(),
        base_url: None,
        config: config.as_object().cloned().unwrap_or_default(),
        credentials: credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
    }
}

/// The sorted pointers of the fields that a check rejected.
pub(super) fn test_pointers(checked: Result<(), Vec<FieldError>>) -> Vec<String> {
    let mut pointers: Vec<String> = checked.err().into_iter().flatten().map(|error| error.pointer).collect();
    pointers.sort();
    pointers
}

pub(super) fn test_reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.to_owned() }
}

/// A stamp at this instant, with a fixed nonce.
pub(super) fn test_stamp(now: &str) -> Stamp {
    Stamp { now: now.parse().unwrap_or_default(), nonce: "b7f2a1c4d5e60718293a4b5c6d7e8f90".to_owned() }
}
