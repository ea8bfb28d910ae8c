//! Stock events as the sellers' software sends them.
use super::SellerClient;
use crate::model;
use crate::story::{BUNDLE, Event, EventId, SKUS, WAREHOUSES};
use serde_json::{Value, json};

impl SellerClient {
    fn is_of_bundle(&self, event: &Event) -> bool {
        self.has_bundle && event.sku == BUNDLE
    }

    /// The kind of an event. A bundle is sold, and comes back; nothing else can happen to it.
    fn kind(&self, event: &Event) -> &'static str {
        match event.kind {
            kind if !self.is_of_bundle(event) => kind,
            "sale" | "cancellation" | "return" => event.kind,
            "count" | "transfer" => "sale",
            "adjustment" if event.quantity < 0 => "sale",
            _ => "return",
        }
    }

    pub(super) fn body(&mut self, event: &Event) -> (String, model::Event) {
        let of = |event: &Event| model::Event {
            sku: SKUS[event.sku].to_owned(),
            kind: self.kind(event).to_owned(),
            quantity: if self.is_of_bundle(event) { event.quantity.abs().max(1) } else { event.quantity },
            warehouse: WAREHOUSES[event.warehouse].to_owned(),
            to_warehouse: (self.kind(event) == "transfer").then(|| WAREHOUSES[1 - event.warehouse].to_owned()),
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
