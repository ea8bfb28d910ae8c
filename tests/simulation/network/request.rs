//! A request as it leaves the service, and what is in its answer.
use super::Item;
use secrecy::ExposeSecret;
use serde_json::Value;
use stocktide::platforms::call::{Method, Request};
use stocktide::simulator::Incoming;

pub(super) struct Outgoing {
    pub host: String,
    /// The store.
    pub name: String,
    pub action: String,
    pub items: Vec<Item>,
    /// All of it as the simulated platform receives it.
    pub incoming: Incoming,
}

pub(super) fn parse(request: &Request) -> Outgoing {
    let mut parts = request.url.splitn(4, '/').skip(2).map(str::to_owned);
    let (host, target) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut parts = path.split('/').skip(1);
    let (name, action) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
    let post = request.method != Method::Get;
    let items = if post {
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        let item = |item: &Value| Item {
            external_id: item["external_id"].as_str().unwrap().to_owned(),
            quantity: item["delta"].as_i64().or(item["quantity"].as_i64()),
            expected: item["expected"].as_i64(),
        };
        body["items"].as_array().unwrap().iter().map(item).collect()
    } else {
        let ids = query.split('&').filter_map(|pair| pair.strip_prefix("external_id="));
        ids.map(|id| Item { external_id: id.to_owned(), quantity: None, expected: None }).collect()
    };
    let secret = request.secret_headers.iter().find(|(key, _)| *key == "authorization");
    let incoming = Incoming {
        post,
        authorization: secret.map(|(_, value)| value.expose_secret().to_owned()),
        key: request.headers.iter().find(|(key, _)| *key == "idempotency-key").map(|(_, value)| value.clone()),
        body: request.body.clone().unwrap_or_default(),
        target,
    };
    Outgoing { host, name, action, items, incoming }
}

/// What an answer, as the platform gives it, says about an item.
pub(super) fn shown_in(body: &Value, item: &Item) -> Option<i64> {
    let all = body["items"].as_array()?;
    all.iter().find(|i| i["external_id"] == item.external_id)?["quantity"].as_i64()
}
