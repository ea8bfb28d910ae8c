//! Requests of one seller for another's data.
use super::{Verdict, World, fail};
use serde_json::{Value, json};

impl World {
    /// Requests for another seller's data are answered as if it did not exist, and change nothing.
    pub(super) async fn trespass(&mut self, seller: usize, victim: usize) -> Verdict {
        if seller == victim {
            return Ok(());
        }
        let pushes = self.expect(victim, "GET", "/v1/pushes?limit=1", None).await?;
        let runs = self.expect(victim, "GET", "/v1/syncs?limit=1", None).await?;
        let first = |list: &Value| list["items"][0]["id"].as_str().map(str::to_owned);
        let id = self.shop(victim, 0).0;
        let mut tries = vec![
            ("GET", format!("/v1/stores/{id}"), None),
            ("PATCH", format!("/v1/stores/{id}"), Some(json!({ "paused": true }))),
            ("DELETE", format!("/v1/stores/{id}"), None),
            ("POST", format!("/v1/stores/{id}/check"), None),
            ("GET", format!("/v1/stores/{id}/listings"), None),
            ("PUT", format!("/v1/stores/{id}/listings"), Some(json!([{ "sku": "A", "external_id": "A" }]))),
            ("POST", "/v1/syncs".to_owned(), Some(json!({ "store_ids": [id] }))),
            ("PUT", "/v1/rules".to_owned(), Some(json!([{ "store_id": id, "buffer": 3 }]))),
            ("GET", format!("/v1/pushes?store_id={id}"), None),
        ];
        if let Some(push) = first(&pushes) {
            tries.push(("GET", format!("/v1/pushes/{push}"), None));
            tries.push(("POST", "/v1/pushes/retry".to_owned(), Some(json!({ "ids": [push] }))));
        }
        if let Some(run) = first(&runs) {
            tries.push(("GET", format!("/v1/syncs/{run}"), None));
        }
        for (method, path, body) in tries {
            let (status, answer) = self.as_seller(seller, method, &path, body).await;
            if status != 404 {
                return fail("another seller's data was reachable", format!("{method} {path}: {status} {answer}"));
            }
        }
        self.count("trespass");
        Ok(())
    }
}
