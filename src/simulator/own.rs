//! The simulated platform's own protocol: `GET /stores/{store}/items` to read or list items, `POST …/adjust` and
//! `POST …/set` to change them.
use super::exchange::{Answer, Incoming, decode, problem};
use super::state::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Items in one call, as the protocol says; a bridge that takes more says so in its store's settings.
const MAX_ITEMS: usize = 1000;

#[derive(Deserialize)]
struct Body {
    items: Vec<BodyItem>,
}

#[derive(Deserialize)]
struct BodyItem {
    external_id: String,
    delta: Option<i64>,
    quantity: Option<i64>,
    expected: Option<i64>,
}

impl State {
    pub(super) fn answer_own(&mut self, now_us: i64, store: &str, action: &str, incoming: &Incoming) -> Answer {
        if !incoming.post {
            return self.answer_read(store, incoming);
        }
        let Ok(body) = serde_json::from_str::<Body>(&incoming.body) else { return problem(400, "not the body of this call") };
        if body.items.len() > MAX_ITEMS || !matches!(action, "adjust" | "set") || (action == "adjust" && !self.faults.adjust) {
            return problem(if body.items.len() > MAX_ITEMS { 400 } else { 404 }, "no such call");
        }
        let poison: HashSet<&String> = self.faults.poison_items.iter().collect();
        if body.items.iter().any(|item| poison.contains(&item.external_id)) {
            return problem(400, "bad item");
        }
        let key = incoming.key.clone().filter(|_| self.faults.idempotency).map(|key| (store.to_owned(), key));
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get(key)) {
            self.stats.repeats += 1;
            return Answer::ok(known.clone());
        }
        let items: Vec<Value> = body.items.iter().map(|item| self.apply(now_us, store, action, item)).collect();
        let answer = json!({ "items": items });
        if let Some(key) = key {
            self.remember(key, answer.clone());
        }
        Answer::ok(answer)
    }

    /// The items that the query names, or a page of all items when it names none.
    fn answer_read(&self, store: &str, incoming: &Incoming) -> Answer {
        let (_, query) = incoming.parts();
        let ids: Vec<String> = query.split('&').filter_map(|pair| pair.strip_prefix("external_id=")).map(decode).collect();
        if ids.is_empty() {
            return self.list(store, incoming);
        }
        if ids.iter().any(|id| self.faults.poison_items.contains(id)) {
            return problem(400, "bad item");
        }
        let items = self.stores.get(store).map(|s| &s.items);
        let shown = |id: &String| items.and_then(|items| items.get(id)).copied().unwrap_or(0);
        let row = |id: &String| {
            if let Some(error) = self.refusal(id) {
                json!({"external_id": id, "error": error})
            } else {
                json!({"external_id": id, "quantity": shown(id)})
            }
        };
        Answer::ok(json!({ "items": ids.iter().map(row).collect::<Vec<_>>() }))
    }

    /// A page of the store's items, from which the service pairs listings.
    fn list(&self, store: &str, incoming: &Incoming) -> Answer {
        let limit = incoming.param("limit").and_then(|n| n.parse().ok()).unwrap_or(100).clamp(1, MAX_ITEMS);
        let after = incoming.param("after");
        let items = self.stores.get(store).map(|s| &s.items);
        let follows = |id: &&String| after.as_ref().is_none_or(|after| *id > after);
        let ids: Vec<&String> = items.into_iter().flat_map(|items| items.keys()).filter(follows).take(limit).collect();
        let next = (ids.len() == limit).then(|| ids.last()).flatten();
        let listed: Vec<Value> = ids.iter().map(|id| json!({"external_id": id, "sku": id})).collect();
        Answer::ok(json!({ "items": listed, "next": next }))
    }

    /// Why this item is refused for its own sake.
    fn refusal(&self, id: &String) -> Option<&'static str> {
        let untracked = self.faults.untracked_items.contains(id).then_some("its inventory is not tracked");
        untracked.or_else(|| self.faults.refuses(id).then_some("unknown item"))
    }

    fn apply(&mut self, now_us: i64, store: &str, action: &str, item: &BodyItem) -> Value {
        let id = &item.external_id;
        if let Some(error) = self.refusal(id) {
            return json!({"external_id": id, "error": error});
        }
        let before = self.stores.get(store).and_then(|s| s.items.get(id)).copied().unwrap_or(0);
        let after = match (action, item.delta, item.quantity) {
            ("adjust", Some(delta), None) => before.saturating_add(delta),
            ("set", None, Some(quantity)) => {
                if self.faults.compare_and_set && item.expected.is_some_and(|expected| expected != before) {
                    return json!({"external_id": id, "error": "stale", "quantity": before});
                }
                quantity
            }
            _ => return json!({"external_id": id, "error": "needs delta for adjust, quantity for set"}),
        };
        self.change(now_us, store, id, action, after);
        json!({"external_id": id, "quantity": after})
    }
}
