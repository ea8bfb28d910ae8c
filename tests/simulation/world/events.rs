//! Stock events as the sellers' software sends them.
use super::SellerClient;
use crate::model;
use crate::story::{Event, EventId, SKUS, WAREHOUSES};
use serde_json::{Value, json};

impl SellerClient {
    pub(super) fn body(&mut self, event: &Event) -> (String, model::Event) {
        let of = |event: &Event| model::Event {
            sku: SKUS[event.sku].to_owned(),
            kind: event.kind.to_owned(),
            quantity: event.quantity,
            warehouse: WAREHOUSES[event.warehouse].to_owned(),
            to_warehouse: (event.kind == "transfer").then(|| WAREHOUSES[1 - event.warehouse].to_owned()),
            sold_by: match event.id {
                EventId::Fresh(n) => self.sold_by.get(&format!("e{n}")).cloned(),
                _ => None,
            },
        };
        let earlier = |back: usize| self.sent.len().checked_sub(back + 1).and_then(|i| self.sent.get(i)).cloned();
        let body = match event.id {
            EventId::Fresh(n) => (format!("e{n}"), of(event)),
            EventId::Again(back) => earlier(back).unwrap_or_else(|| (format!("again{back}"), of(event))),
            EventId::Stolen(back) => (earlier(back).map_or_else(|| format!("stolen{back}"), |(id, _)| id), of(event)),
        };
        self.sent.push(body.clone());
        body
    }
}

pub(super) fn as_json(id: &str, event: &model::Event) -> Value {
    let mut row = json!({
        "event_id": id, "sku": event.sku, "kind": event.kind, "quantity": event.quantity, "warehouse": event.warehouse,
    });
    if let Some(to) = &event.to_warehouse {
        row["to_warehouse"] = json!(to);
    }
    if let Some(store) = &event.sold_by {
        row["store_id"] = json!(store);
    }
    row
}
