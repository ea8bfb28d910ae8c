//! Stock events: checked separately, recorded together.
use super::context::{Caller, Result, Service};
use crate::db::ledger::{EventResult, NewEvent, RecordRequest};
use crate::domain::stock::StockEvent;
use crate::domain::{StoreId, Timestamp};
use crate::traces::Context;
use sha2::{Digest, Sha256};

/// A digest of every field, with defaults filled in. It is stored for former versions, which recognize a repeat by it, so
/// its form never changes; this version compares the substance instead.
pub fn body_hash(event: &StockEvent) -> [u8; 32] {
    let StockEvent { event_id, sku, kind, quantity, warehouse, to_warehouse, occurred_at, note } = event;
    let occurred_at = occurred_at.map(Timestamp::as_millis);
    // Text and numbers always have a JSON form.
    let canonical = serde_json::to_vec(&(event_id, sku, kind, quantity, warehouse, to_warehouse, occurred_at, note));
    Sha256::digest(canonical.unwrap_or_default()).into()
}

/// A stock event as it was entered.
#[derive(Debug, Clone)]
pub struct EnteredEvent {
    /// The event.
    pub event: StockEvent,
    /// Whether its SKU is created if there is none.
    pub create: bool,
    /// The store whose order it was about.
    pub store: Option<StoreId>,
}

impl From<StockEvent> for EnteredEvent {
    fn from(event: StockEvent) -> Self {
        Self { event, create: true, store: None }
    }
}

/// Records events in their order and returns a result for each, once they are durable. An event is applied once per
/// id, however often it is recorded.
///
/// # Errors
/// If nothing could be committed, or too many requests are waiting.
pub async fn record(service: &Service, caller: &Caller, events: Vec<impl Into<EnteredEvent>>) -> Result<Vec<EventResult>> {
    record_in(service, caller, events, None).await
}

/// The same as a part of this span.
///
/// # Errors
/// Those of [`record`].
pub async fn record_in(
    service: &Service,
    caller: &Caller,
    events: Vec<impl Into<EnteredEvent>>,
    trace: Option<Context>,
) -> Result<Vec<EventResult>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let new = |EnteredEvent { event, create, store }| NewEvent { hash: body_hash(&event), event, may_create_sku: create, store };
    let events = events.into_iter().map(Into::into).map(new).collect();
    let request = RecordRequest { seller: caller.db.id(), now: service.now(), events, trace };
    Ok(service.db.record(request).await?.results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stock::EventKind;
    use crate::domain::{EventId, Sku, WarehouseCode};

    /// Computed outside of this program.
    #[test]
    fn an_event_that_a_former_version_recorded_has_the_same_digest() {
        let sale = StockEvent {
            event_id: EventId::parse("e").unwrap(),
            sku: Sku::parse("S").unwrap(),
            kind: EventKind::Sale,
            quantity: 1,
            warehouse: WarehouseCode::main(),
            to_warehouse: None,
            occurred_at: None,
            note: None,
        };
        assert_eq!(hex::encode(body_hash(&sale)), "7c637e719ad18659ff306595ad3646ac5e6185173b93020ee29fa0c8b13ebd04");
        let transfer = StockEvent {
            event_id: EventId::parse("e-2").unwrap(),
            kind: EventKind::Transfer,
            quantity: 7,
            to_warehouse: WarehouseCode::parse("north").ok(),
            occurred_at: "2025-11-29T09:26:17.250Z".parse().ok(),
            note: Some("a \"note\"".to_owned()),
            ..sale
        };
        assert_eq!(hex::encode(body_hash(&transfer)), "4f92507fe6c7752e63a7def60f8812297e32414404659599c53d0061f4297cc4");
    }
}
