//! What bundles are made of.
use super::{Verdict, World};
use crate::story::{BUNDLE, OF, SKUS};
use serde_json::{Value, json};

impl World {
    /// Makes the last SKU a bundle, which takes so many of each of its components.
    pub(super) async fn set_up_bundle(&mut self, seller: usize, takes: Option<[i64; OF.len()]>) -> Verdict {
        let Some(takes) = takes else { return Ok(()) };
        let skus: Vec<Value> = SKUS.iter().map(|sku| json!({ "sku": sku })).collect();
        self.expect(seller, "PUT", "/v1/skus", Some(json!(skus))).await?;
        self.bundle(seller, takes).await
    }

    pub(super) async fn bundle(&mut self, seller: usize, takes: [i64; OF.len()]) -> Verdict {
        let of = OF.iter().zip(takes).filter(|(_, quantity)| *quantity > 0);
        let of: Vec<Value> = of.map(|(sku, quantity)| json!({ "sku": SKUS[*sku], "quantity": quantity })).collect();
        self.count("bundle saved");
        self.expect(seller, "PUT", &format!("/v1/bundles/{}", SKUS[BUNDLE]), Some(json!({ "components": of }))).await.map(drop)
    }
}
