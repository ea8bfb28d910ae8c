//! SKUs: created and named in bulk.
use super::context::{Caller, Result, Service, audited};
use crate::db::skus::SkuChange;
use crate::domain::Sku;
use serde_json::json;

/// The result for one SKU.
#[derive(Debug)]
pub struct Saved {
    /// The SKU.
    pub sku: String,
    /// What happened to it.
    pub change: SkuChange,
    /// An existing SKU that it may be mistaken for, if it is new.
    pub similar: Option<String>,
}

/// Creates SKUs and names them; `None` keeps a name, `Some(None)` removes it. No SKU may appear twice.
///
/// # Errors
/// A conflict if the seller would have too many; nothing was changed then.
pub async fn save(service: &Service, caller: &Caller, changes: Vec<(Sku, Option<Option<String>>)>) -> Result<Vec<Saved>> {
    let (limits, now, actor) = (service.limits, service.now(), caller.actor());
    let saved = caller.db.write(move |t| {
        let mut similar = t.look_alikes(&changes.iter().map(|(sku, _)| sku.as_str()).collect::<Vec<_>>())?;
        let results = t.save_skus(&changes, limits, now)?;
        let count = |which| results.iter().filter(|change| **change == which).count();
        let (created, updated) = (count(SkuChange::Created), count(SkuChange::Updated));
        if created + updated > 0 {
            let mut entry = audited(&actor, "skus.changed", "skus");
            entry.after = Some(json!({ "created": created, "updated": updated }));
            t.append_audit(&entry, now)?;
        }
        let saved =
            |((sku, _), change): (&(Sku, _), SkuChange)| Saved { similar: similar.remove(sku.as_str()), sku: sku.to_string(), change };
        Ok(changes.iter().zip(results).map(saved).collect())
    });
    Ok(saved.await?)
}
