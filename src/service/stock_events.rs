//! Stock events: checked separately, recorded together.
use super::context::{Caller, Result, Service};
use crate::db::ledger::{EventResult, NewEvent, RecordRequest};
use crate::domain::stock::StockEvent;
use sha2::{Digest, Sha256};

/// Distinguishes a repeat from another event with the same id: covers every field, with defaults filled in.
pub fn body_hash(event: &StockEvent) -> [u8; 32] {
    let canonical = serde_json::json!([
        event.event_id,
        event.sku,
        event.kind,
        event.quantity,
        event.warehouse,
        event.to_warehouse,
        event.occurred_at,
        event.note
    ]);
    Sha256::digest(canonical.to_string().as_bytes()).into()
}

/// Records events in their order and returns a result for each, once they are durable. An event is applied once per
/// id, however often it is recorded.
///
/// # Errors
/// If nothing could be committed, or too many requests are waiting.
pub async fn record(service: &Service, caller: &Caller, events: Vec<StockEvent>) -> Result<Vec<EventResult>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let events = events.into_iter().map(|event| NewEvent { hash: body_hash(&event), event }).collect();
    let request = RecordRequest { seller: caller.db.id(), now: service.now(), events };
    Ok(service.db.record(request).await?.results)
}
