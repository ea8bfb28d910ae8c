//! Allocation rules: for a listing, a SKU, a store or the whole seller.
use super::context::{Caller, Error, Result, Service, audited};
use super::shares::{check_shares_of, percent};
use crate::db::settings::rule_scope;
use crate::db::{self, Tenant};
use crate::domain::allocation::Share;
use crate::domain::limits::MAX_STORES;
use crate::domain::settings::Rule;
use crate::domain::{FieldError, Sku, StoreId};
use serde::Serialize;
use serde_json::json;
use std::collections::HashSet;

/// How many rules of one request the audit log shows in full.
const AUDITED: usize = 20;

/// A rule as it appears in the audit log.
#[derive(Serialize)]
struct AuditedRule {
    sku: Option<String>,
    store_id: Option<StoreId>,
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    buffer: Option<i64>,
    threshold: Option<i64>,
    max_shown: Option<i64>,
    sync_enabled: Option<bool>,
}

fn audited_rule(rule: Rule) -> AuditedRule {
    AuditedRule {
        sku: rule.sku.map(|sku| sku.to_string()),
        store_id: rule.store_id,
        share_percent: rule.share.map(Share::percent),
        buffer: rule.buffer,
        threshold: rule.threshold,
        max_shown: rule.max_shown,
        sync_enabled: rule.sync_enabled,
    }
}

/// How many rules were saved and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// Rules that were saved.
    pub saved: usize,
    /// Rules that were removed because they set nothing.
    pub removed: usize,
}

/// Saves rules, each replacing an earlier one for the same SKU and store; a rule that sets nothing is removed. No two of
/// them may be for the same SKU and store. Either all of them are saved or none.
///
/// # Errors
/// No such store or SKU, or shares that would sum to more than 100%; pointers start with the rule's index.
pub async fn save(service: &Service, caller: &Caller, changed: Vec<Rule>) -> Result<Saved> {
    let empty = changed.iter().filter(|rule| **rule == Rule { sku: rule.sku.clone(), store_id: rule.store_id, ..Rule::default() }).count();
    let saved = Saved { saved: changed.len() - empty, removed: empty };
    let (now, actor) = (service.now(), caller.actor());
    let write = caller.db.write(move |t| {
        // A rule for all SKUs concerns the sum of every SKU, the rules of SKUs only their own.
        let skus: Option<Vec<String>> = changed.iter().map(|rule| rule.sku.as_ref().map(ToString::to_string)).collect();
        t.delete_rules_of_missing_stores(skus.as_deref())?;
        if let Some(index) = rule_of_missing_store(t, &changed)? {
            return Ok(Err(Error::NoSuch { pointer: format!("/{index}/store_id"), what: "store" }));
        }
        check_skus(t, &changed)?;
        let scopes: Vec<String> = changed.iter().take(AUDITED).map(rule_scope).collect();
        let before: Vec<AuditedRule> = t.rules_at(&scopes)?.into_iter().map(audited_rule).collect();
        t.save_rules(&changed)?;
        let settings = t.sync_settings()?;
        // The sum covers several rules; the error points to the first share in this request.
        let first = changed.iter().position(|rule| rule.share.is_some()).unwrap_or(0);
        check_shares_of(t, &settings, skus.as_deref(), &format!("/{first}/share_percent"))?;
        let mut entry = audited(&actor, "rules.changed", "rules");
        // Of a bulk upload, the audit log shows the size and the first rules; a few rules appear in full.
        let after: Vec<AuditedRule> = changed.iter().take(AUDITED).cloned().map(audited_rule).collect();
        entry.before = Some(json!({ "first": before }));
        entry.after = Some(json!({ "rules": changed.len(), "first": after }));
        t.append_audit(&entry, now)?;
        Ok(Ok(saved))
    });
    write.await?
}

/// The position of the first rule for a store that does not exist. Looked up in the transaction that saves the rules, since
/// a store may be deleted at any time.
fn rule_of_missing_store(t: &mut Tenant<'_>, rules: &[Rule]) -> db::Result<Option<usize>> {
    let known: HashSet<StoreId> = t.stores(None, MAX_STORES)?.iter().map(|store| store.id).collect();
    Ok(rules.iter().position(|rule| rule.store_id.is_some_and(|id| !known.contains(&id))))
}

/// Rules may be only for SKUs that exist, which also limits how many rules there can be.
fn check_skus(t: &mut Tenant<'_>, rules: &[Rule]) -> db::Result<()> {
    let wanted: Vec<&str> = rules.iter().filter_map(|rule| rule.sku.as_ref()).map(Sku::as_str).collect();
    let known = t.sku_names(&wanted)?;
    let error = |(index, _): (usize, &Rule)| FieldError::new(format!("/{index}/sku"), "does not exist; create the SKU first");
    let unknown = |rule: &Rule| rule.sku.as_ref().is_some_and(|sku| !known.contains_key(sku.as_str()));
    let errors: Vec<FieldError> = rules.iter().enumerate().filter(|(_, rule)| unknown(rule)).map(error).collect();
    if errors.is_empty() { Ok(()) } else { Err(db::Error::Invalid(errors)) }
}
