//! The Shopify face of the simulated platform: each store is a shop at `/shopify/{shop}`, with the GraphQL endpoint
//! `/shopify/{shop}/admin/api/2026-10/graphql.json` and the token endpoint `/shopify/{shop}/admin/oauth/access_token`.
//!
//! It is strict where Shopify is: the idempotency key and `changeFromQuantity` are mandatory, unknown fields and items
//! are refused, a call with one bad row changes nothing, keys are forgotten after 24 h, and points are counted. It
//! understands the documents that a stock service needs rather than all of GraphQL, and does not check documents against
//! the schema. A shop has the items that it was given (named by their inventory item numbers, which are also their SKUs)
//! and a single location, number 1.
use super::exchange::{Answer, Incoming, problem};
use super::state::State;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The API version that is served.
const VERSION: &str = "2026-10";
/// Rows in one mutation.
const MAX_ROWS: usize = 250;
/// Objects on one page.
const MAX_PAGE: usize = 250;
/// The requested cost of a mutation, and its actual cost when it is refused.
const MUTATION_POINTS: f64 = 13.0;
const REFUSED_POINTS: f64 = 10.0;
/// The most that one request may cost.
const MAX_POINTS: f64 = 1000.0;
/// How long an idempotency key is remembered, in microseconds.
pub(super) const KEY_LIFE_US: i64 = 24 * 3600 * 1_000_000;
/// The only location of every shop.
pub(super) const LOCATION: &str = "gid://shopify/Location/1";
/// The first quantities outside Shopify's bounds.
const TOO_MANY: i64 = 1_000_000_001;
const TOO_FEW: i64 = -TOO_MANY;

/// One of a shop's two endpoints.
pub(super) struct Endpoint {
    pub(super) shop: String,
    /// Whether this is the token endpoint.
    pub(super) renews: bool,
}

impl Endpoint {
    pub(super) fn of(shop: &str, rest: &[String]) -> Option<Self> {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let renews = match rest.as_slice() {
            ["admin", "api", version, "graphql.json"] if *version == VERSION => false,
            ["admin", "oauth", "access_token"] => true,
            _ => return None,
        };
        Some(Self { shop: shop.to_owned(), renews })
    }
}

/// A GraphQL request.
struct Query {
    document: String,
    variables: Map<String, Value>,
    operation: Operation,
}

enum Operation {
    /// `inventorySetQuantities` if `sets`, otherwise `inventoryAdjustQuantities`.
    Mutation {
        sets: bool,
    },
    Levels,
    Variants,
    Items,
}

impl Operation {
    fn field(&self) -> &'static str {
        match self {
            Self::Mutation { sets: true } => "inventorySetQuantities",
            Self::Mutation { sets: false } => "inventoryAdjustQuantities",
            Self::Levels => "nodes",
            Self::Variants => "productVariants",
            Self::Items => "inventoryItems",
        }
    }
}

impl Query {
    fn parse(body: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(body).ok()?;
        let document = body.get("query")?.as_str()?.to_owned();
        let variables = body.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
        let all = [
            Operation::Mutation { sets: true },
            Operation::Mutation { sets: false },
            Operation::Variants,
            Operation::Items,
            Operation::Levels,
        ];
        let operation = all.into_iter().find(|operation| document.contains(&format!("{}(", operation.field())))?;
        Some(Self { document, variables, operation })
    }

    /// The rows of a mutation.
    fn rows(&self) -> Option<&Vec<Value>> {
        let list = if matches!(self.operation, Operation::Mutation { sets: true }) { "quantities" } else { "changes" };
        self.variables.get("input")?.get(list)?.as_array()
    }

    /// The page size in this variable, capped as Shopify caps it.
    fn page_size(&self, name: &str) -> usize {
        self.variables.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1).min(MAX_PAGE)
    }

    /// The requested cost: one point for each object, and a fixed sum for a mutation.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred objects")]
    fn points(&self, per_row: f64) -> f64 {
        match self.operation {
            Operation::Mutation { .. } => MUTATION_POINTS + per_row * self.rows().map_or(0, Vec::len) as f64,
            Operation::Levels => {
                let ids = self.variables.values().filter_map(Value::as_array).map(Vec::len).sum::<usize>();
                3.0 * ids as f64
            }
            Operation::Variants => (self.page_size("first") * (2 + 2 * self.page_size("levels"))) as f64,
            Operation::Items => 2.0,
        }
    }
}

fn error(code: &str, message: &str) -> Value {
    json!([{"message": message, "extensions": {"code": code}}])
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The answer to a call that its token may not make.
pub(super) fn read_only() -> Answer {
    Answer::ok(json!({"errors": error("ACCESS_DENIED", "Access denied. Required access: `write_inventory` access scope.")}))
}

/// Whether a call to the GraphQL endpoint changes something.
pub(super) fn writes(incoming: &Incoming) -> bool {
    Query::parse(&incoming.body).is_none_or(|query| matches!(query.operation, Operation::Mutation { .. }))
}

/// The shop's name for the item with this global id.
fn item_of(gid: &str) -> &str {
    gid.strip_prefix("gid://shopify/InventoryItem/").unwrap_or_default()
}

impl State {
    /// Takes the cost of a call from the shop's bucket, and returns an answer if too few points are left.
    pub(super) fn shopify_throttled(&mut self, now_us: i64, endpoint: &Endpoint, incoming: &Incoming) -> Option<Answer> {
        if endpoint.renews {
            return None;
        }
        let query = Query::parse(&incoming.body)?;
        let (points, rate) = (query.points(self.faults.shopify_points_per_row), self.faults.shopify_points);
        // A request that exceeds the maximum cost is refused for that reason later, not throttled.
        if points > MAX_POINTS || self.take_tokens(&endpoint.shop, now_us, rate, points).is_some() {
            return None;
        }
        let body = json!({"errors": error("THROTTLED", "Throttled"), "extensions": {"cost": self.cost(endpoint, points, None)}});
        Some(Answer::ok(body))
    }

    fn cost(&self, endpoint: &Endpoint, requested: f64, actual: Option<f64>) -> Value {
        let rate = self.faults.shopify_points;
        let left = self.stores.get(&endpoint.shop).and_then(|shop| shop.tokens).map_or(rate.burst, |(left, _)| left);
        // Rounded down, so that callers never see more points than there are.
        json!({"requestedQueryCost": requested, "actualQueryCost": actual,
               "throttleStatus": {"maximumAvailable": rate.burst, "currentlyAvailable": left.floor(), "restoreRate": rate.per_second}})
    }

    pub(super) fn answer_shopify(&mut self, now_us: i64, endpoint: &Endpoint, incoming: &Incoming) -> Answer {
        if endpoint.renews {
            return self.renew_token(incoming);
        }
        if !incoming.post {
            return problem(404, "Not Found");
        }
        let Some(query) = Query::parse(&incoming.body) else { return problem(400, "not a document of this shop") };
        let points = query.points(self.faults.shopify_points_per_row);
        if points > MAX_POINTS {
            return Answer::ok(json!({"errors": error("MAX_COST_EXCEEDED", "The query costs more than a single one may.")}));
        }
        let (data, errors) = match query.operation {
            Operation::Mutation { sets } => match self.mutate(now_us, &endpoint.shop, &query, sets) {
                Ok(payload) => (payload, None),
                Err(errors) => (Value::Null, Some(errors)),
            },
            Operation::Levels => {
                let cost = self.cost(endpoint, points, Some(points));
                return Answer::ok(json!({"data": self.levels(&endpoint.shop, &query), "extensions": {"cost": cost}}));
            }
            Operation::Variants => (self.variants(&endpoint.shop, &query), None),
            Operation::Items => {
                let ids =
                    self.known_items(&endpoint.shop).take(1).map(|(id, _)| json!({"id": format!("gid://shopify/InventoryItem/{id}")}));
                (json!({"nodes": ids.collect::<Vec<_>>()}), None)
            }
        };
        let refused = errors.is_some() || data.get("userErrors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty());
        let actual = if refused { REFUSED_POINTS.min(points) } else { points };
        if let Some((left, _)) = self.stores.get_mut(&endpoint.shop).and_then(|shop| shop.tokens.as_mut()) {
            *left = (*left + points - actual).min(self.faults.shopify_points.burst);
        }
        let mut body = json!({"data": {query.operation.field(): data}, "extensions": {"cost": self.cost(endpoint, points, Some(actual))}});
        if let (Some(errors), Some(body)) = (errors, body.as_object_mut()) {
            body.insert("errors".to_owned(), errors);
        }
        Answer::ok(body)
    }

    fn renew_token(&self, incoming: &Incoming) -> Answer {
        let renews = incoming.body.contains("grant_type=refresh_token") && incoming.body.contains("refresh_token=");
        match (&self.faults.token, renews) {
            (Some(token), true) => {
                let body = json!({"access_token": token, "expires_in": 3600, "refresh_token": format!("next-{token}"), "scope": "write_inventory"});
                Answer::ok(body)
            }
            _ => problem(400, "invalid_grant"),
        }
    }

    /// The shop's items, without those that are to be rejected.
    fn known_items(&self, shop: &str) -> impl Iterator<Item = (&String, i64)> {
        let items = self.stores.get(shop).map(|shop| &shop.items);
        items.into_iter().flatten().filter(|(id, _)| !self.faults.reject_items.contains(id)).map(|(id, quantity)| (id, *quantity))
    }

    fn available(&self, shop: &str, id: &str) -> Option<i64> {
        let known = !self.faults.reject_items.iter().any(|refused| refused == id);
        self.stores.get(shop).filter(|_| known)?.items.get(id).copied()
    }

    /// Returns the payload of a mutation, or top-level errors if there is none.
    fn mutate(&mut self, now_us: i64, shop: &str, query: &Query, sets: bool) -> Result<Value, Value> {
        if !query.document.contains("@idempotent(key: $key)") {
            return Err(error("BAD_REQUEST", "The @idempotent directive is required for this mutation but was not provided."));
        }
        let key = query.variables.get("key").and_then(Value::as_str).unwrap_or_default();
        let input = query.variables.get("input").cloned().unwrap_or_default();
        let rows = query.rows().ok_or_else(|| error("INVALID_VARIABLE", "Variable $input was provided invalid value"))?;
        if key.trim().is_empty() {
            return Err(error("BAD_REQUEST", "The idempotency key must not be blank."));
        }
        if rows.len() > MAX_ROWS {
            return Err(error("MAX_INPUT_SIZE_EXCEEDED", "The input array is too large."));
        }
        if rows.iter().any(|row| self.faults.poison_items.iter().any(|id| id == item_of(text(row, "inventoryItemId")))) {
            return Err(error("INVALID_VARIABLE", "Variable $input was provided invalid value"));
        }
        let size = if sets { "quantity" } else { "delta" };
        let fields: BTreeSet<&str> = ["inventoryItemId", "locationId", size, "changeFromQuantity"].into();
        for row in rows {
            let found: BTreeSet<&str> = row.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            if !found.contains("changeFromQuantity") {
                return Err(error("INVALID_FIELD_ARGUMENTS", "The row must include the following argument: changeFromQuantity."));
            }
            if found != fields || !row.get(size).is_some_and(Value::is_i64) {
                return Err(error("INVALID_VARIABLE", "Variable $input was provided invalid value"));
            }
        }
        let key = (shop.to_owned(), key.to_owned());
        if let Some(known) = self.keys.get(&key).filter(|known| self.is_fresh(known, now_us)) {
            if known.get("input") != Some(&input) {
                return Ok(refused(vec![user_error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", Value::Null)]));
            }
            let payload = known.get("payload").cloned().unwrap_or_default();
            self.stats.repeats += 1;
            return Ok(payload);
        }
        let payload = self.apply_rows(now_us, shop, rows, sets, &input);
        self.remember(key, json!({"input": input, "payload": payload, "at_us": now_us}));
        Ok(payload)
    }

    fn is_fresh(&self, known: &Value, now_us: i64) -> bool {
        self.faults.idempotency && known.get("at_us").and_then(Value::as_i64).is_some_and(|at| now_us - at < KEY_LIFE_US)
    }

    /// Applies all rows, or none.
    fn apply_rows(&mut self, now_us: i64, shop: &str, rows: &[Value], sets: bool, input: &Value) -> Value {
        let list = if sets { "quantities" } else { "changes" };
        let mut errors = Vec::new();
        if text(input, "name") != "available" {
            errors.push(user_error(if sets { "INVALID_NAME" } else { "INVALID_QUANTITY_NAME" }, json!(["input", "name"])));
        }
        if text(input, "reason") != "correction" {
            errors.push(user_error("INVALID_REASON", json!(["input", "reason"])));
        }
        let mut planned = Vec::new();
        let mut seen = BTreeSet::new();
        for (n, row) in rows.iter().enumerate() {
            let mut report = |code: &str, field: &str| errors.push(user_error(code, json!(["input", list, n.to_string(), field])));
            let (id, location) = (item_of(text(row, "inventoryItemId")), text(row, "locationId"));
            let before = self.available(shop, id);
            if before.is_none() {
                report("INVALID_INVENTORY_ITEM", "inventoryItemId");
            }
            if location != LOCATION {
                report("INVALID_LOCATION", "locationId");
            }
            if sets && !seen.insert(id) {
                report("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "locationId");
            }
            let Some(before) = before else { continue };
            let units = row.get(if sets { "quantity" } else { "delta" }).and_then(Value::as_i64).unwrap_or_default();
            match units {
                TOO_MANY.. => report("INVALID_QUANTITY_TOO_HIGH", if sets { "quantity" } else { "delta" }),
                ..=TOO_FEW => report("INVALID_QUANTITY_TOO_LOW", if sets { "quantity" } else { "delta" }),
                _ => {}
            }
            if row.get("changeFromQuantity").and_then(Value::as_i64).is_some_and(|expected| expected != before) {
                report("CHANGE_FROM_QUANTITY_STALE", "changeFromQuantity");
            }
            planned.push((id.to_owned(), before, units));
        }
        if !errors.is_empty() {
            return refused(errors);
        }
        let mut changes = Vec::new();
        for (id, before, units) in planned {
            // The same item may appear in several rows of an adjustment.
            let before = if sets { before } else { self.available(shop, &id).unwrap_or(before) };
            let after = if sets { units } else { before.saturating_add(units) };
            let tracked = !self.faults.untracked_items.contains(&id);
            if tracked {
                self.change(now_us, shop, &id, if sets { "set" } else { "adjust" }, after);
            }
            if after != before {
                changes.extend(["available", "on_hand"].map(|name| {
                    let item = json!({"id": format!("gid://shopify/InventoryItem/{id}"), "tracked": tracked});
                    json!({"name": name, "delta": after - before, "item": item, "location": {"id": LOCATION}})
                }));
            }
        }
        let group = json!({"id": format!("gid://shopify/InventoryAdjustmentGroup/{}", self.next_seq), "changes": changes});
        json!({"inventoryAdjustmentGroup": if changes.is_empty() { Value::Null } else { group }, "userErrors": []})
    }

    /// Answers every `alias: nodes(ids: $ids) { … inventoryLevel(locationId: $location …) … }` of the document.
    fn levels(&self, shop: &str, query: &Query) -> Value {
        let mut data = Map::new();
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let mut before = "";
        for part in query.document.split("nodes(ids: $") {
            let alias = before.trim_end().strip_suffix(':').and_then(|rest| rest.rsplit([' ', '{']).next()).unwrap_or("nodes");
            if !before.is_empty() {
                let location = part.split("locationId: $").nth(1).map(name).and_then(|name| query.variables.get(&name));
                let here = location.and_then(Value::as_str) == Some(LOCATION);
                let ids = query.variables.get(&name(part)).and_then(Value::as_array).cloned().unwrap_or_default();
                let node = |gid: &Value| {
                    let item = item_of(gid.as_str().unwrap_or_default());
                    let available = self.available(shop, item)?;
                    let tracked = !self.faults.untracked_items.iter().any(|untracked| untracked == item);
                    let level = json!({"isActive": true, "quantities": [{"name": "available", "quantity": available}]});
                    Some(json!({"id": gid, "tracked": tracked, "inventoryLevel": here.then_some(level)}))
                };
                data.insert(alias.to_owned(), ids.iter().map(node).collect());
            }
            before = part;
        }
        Value::Object(data)
    }

    fn variants(&self, shop: &str, query: &Query) -> Value {
        let (first, after) = (query.page_size("first"), query.variables.get("after").and_then(Value::as_str));
        let follows = |(id, _): &(&String, i64)| after.is_none_or(|after| id.as_str() > after);
        let ids: Vec<&String> = self.known_items(shop).filter(follows).take(first + 1).map(|(id, _)| id).collect();
        let page = ids.get(..first).unwrap_or(&ids);
        let node = |id: &&String| {
            let levels = [json!({"isActive": true, "location": {"id": LOCATION}})];
            json!({"sku": id, "displayName": format!("Item {id}"), "inventoryItem": {
                "id": format!("gid://shopify/InventoryItem/{id}"), "tracked": true,
                "inventoryLevel": {"isActive": true}, "inventoryLevels": {"nodes": levels}}})
        };
        json!({"nodes": page.iter().map(node).collect::<Vec<_>>(),
               "pageInfo": {"hasNextPage": ids.len() > first, "endCursor": page.last()}})
    }
}

fn user_error(code: &str, field: Value) -> Value {
    json!({"code": code, "field": field, "message": code.to_ascii_lowercase().replace('_', " ")})
}

fn refused(errors: Vec<Value>) -> Value {
    json!({"inventoryAdjustmentGroup": null, "userErrors": errors})
}
