//! SKUs: created and named in bulk.
use super::context::{Caller, Result, Service, audited};
use crate::db::skus::SkuChange;
use crate::domain::Sku;
use serde_json::json;

/// Creates SKUs and names them; `None` keeps a name, `Some(None)` removes it. No SKU may appear twice.
///
/// # Errors
/// A conflict if the seller would have too many; nothing was changed then.
pub async fn save(service: &Service, caller: &Caller, changes: Vec<(Sku, Option<Option<String>>)>) -> Result<Vec<(String, SkuChange)>> {
    let (limits, now, actor) = (service.limits, service.now(), caller.actor());
    let saved = caller.db.write(move |t| {
        let results = t.save_skus(&changes, limits, now)?;
        let count = |which| results.iter().filter(|change| **change == which).count();
        let (created, updated) = (count(SkuChange::Created), count(SkuChange::Updated));
        if created + updated > 0 {
            let mut entry = audited(&actor, "skus.changed", "skus");
            entry.after = Some(json!({ "created": created, "updated": updated }));
            t.append_audit(&entry, now)?;
        }
        Ok(changes.iter().map(|(sku, _)| sku.to_string()).zip(results).collect())
    });
    Ok(saved.await?)
}
