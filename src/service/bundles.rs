//! Bundles: saved, deleted, listed. What their listings show counts something else afterwards, so these are overwritten, where
//! auto-sync is on.
use super::context::{Caller, Error, Result, Service, audited};
use super::syncs;
use crate::db::runs::RunFilter;
use crate::db::{self, Tenant};
use crate::domain::bundle::{Bundle, MAX_BUNDLES};
use crate::domain::bundling::{EnteredComponent, Known, Refusal, check, check_known};
use crate::domain::stock::Levels;
use crate::domain::{RunId, Sku, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most other bundles that are named for a component.
const MAX_SHARED: usize = 20;

/// A component of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BundleComponent)]
pub struct ComponentView {
    /// The SKU.
    pub sku: String,
    /// How many units of it one bundle takes.
    pub quantity: i64,
    /// The other bundles that it is a component of, 20 at most: all of them sell from the same stock.
    pub shared_with: Vec<String>,
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BundleAnswer)]
pub struct BundleView {
    /// Its SKU.
    pub sku: String,
    /// The name of its SKU.
    pub name: Option<String>,
    /// How many can be made of what is available in all warehouses together.
    pub available: i64,
    /// What it is made of, by SKU.
    pub components: Vec<ComponentView>,
    /// The sync that overwrites its listings because of this change; only while auto-sync is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<RunId>,
}

/// These bundles as they are shown.
fn views(t: &mut Tenant<'_>, bundles: &[Arc<Bundle>]) -> db::Result<Vec<BundleView>> {
    let skus: Vec<String> = bundles.iter().map(|bundle| bundle.sku.to_string()).collect();
    let names = t.sku_names(&skus.iter().map(String::as_str).collect::<Vec<_>>())?;
    let stocks = t.stocks(&skus, true)?;
    let components: Vec<String> = bundles.iter().flat_map(|bundle| &bundle.components).map(|component| component.sku.to_string()).collect();
    let with = t.bundles_with(&components)?;
    let view = |bundle: &Arc<Bundle>| {
        let sku = bundle.sku.as_str();
        let others =
            |component: &str| with.get(component).into_iter().flatten().filter(|other| *other != sku).take(MAX_SHARED).cloned().collect();
        let components = bundle.components.iter().map(|component| ComponentView {
            sku: component.sku.to_string(),
            quantity: component.quantity.get(),
            shared_with: others(component.sku.as_str()),
        });
        BundleView {
            sku: sku.to_owned(),
            name: names.get(sku).cloned().flatten(),
            available: stocks.of(sku).within(None),
            components: components.collect(),
            sync_id: None,
        }
    };
    Ok(bundles.iter().map(view).collect())
}

/// A bundle.
///
/// # Errors
/// There is no such bundle.
pub async fn one(caller: &Caller, sku: &Sku) -> Result<BundleView> {
    let sku = sku.clone();
    let found = caller.db.read(move |t| {
        let bundle = t.bundle(&sku)?.ok_or(db::Error::NotFound)?;
        views(t, &[bundle])
    });
    found.await?.pop().ok_or_else(|| db::Error::NotFound.into())
}

/// The bundles after `after`, in order; with `component`, only those that it is a component of.
///
/// # Errors
/// If the database fails.
pub async fn list(caller: &Caller, component: Option<Sku>, after: Option<String>, limit: i64) -> Result<Vec<BundleView>> {
    let found = caller.db.read(move |t| {
        let bundles = t.bundles(component.as_ref(), after.as_deref(), limit)?;
        views(t, &bundles)
    });
    Ok(found.await?)
}

/// As the audit log has it.
fn described(bundle: &Bundle) -> Value {
    let component = |component: &crate::domain::bundle::Component| json!({ "sku": component.sku, "quantity": component.quantity.get() });
    json!({ "components": bundle.components.iter().map(component).collect::<Vec<_>>() })
}

fn known(t: &mut Tenant<'_>, bundle: &Bundle) -> db::Result<Known> {
    let components: Vec<String> = bundle.components.iter().map(|component| component.sku.to_string()).collect();
    let existing = t.sku_names(&components.iter().map(String::as_str).collect::<Vec<_>>())?.into_keys().collect();
    let bundles = t.bundles_among(&components)?;
    let part_of = t.bundles_with(&[components, vec![bundle.sku.to_string()]].concat())?;
    // Levels that a former version has written since do not count.
    let levels = if t.bundle(&bundle.sku)?.is_some() { Levels::new() } else { t.levels(&bundle.sku)? };
    Ok(Known { existing, bundles, part_of, levels })
}

/// Overwrites the listings of a SKU that has become, or ceased to be, this bundle, where auto-sync is on.
fn overwrite(t: &mut Tenant<'_>, actor: &str, sku: &Sku, now: Timestamp) -> db::Result<Option<RunId>> {
    if !t.sync_settings()?.auto_sync || t.listings_of_skus(&[sku.to_string()])?.is_empty() {
        return Ok(None);
    }
    let filter = RunFilter { store_ids: None, skus: Some(vec![sku.clone()]) };
    Ok(Some(syncs::begun(t, actor, &filter, now)?.id))
}

/// Makes a SKU this bundle.
///
/// # Errors
/// No such SKU; every invalid field; a conflict if the SKU has stock of its own, or there would be too many bundles.
pub async fn save(service: &Service, caller: &Caller, sku: Sku, entered: &[EnteredComponent]) -> Result<BundleView> {
    let as_entered = check(sku, entered)?;
    let mut bundle = as_entered.clone();
    bundle.components.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
    let (now, actor) = (service.now(), caller.actor());
    let saved = caller.db.write(move |t| {
        let sku = &bundle.sku;
        if t.sku_names(&[sku.as_str()])?.is_empty() {
            return Err(db::Error::NotFound);
        }
        let before = t.bundle(sku)?;
        let mut sync_id = None;
        if before.as_deref() != Some(&bundle) {
            if let Err(refusal) = check_known(&as_entered, &known(t, &as_entered)?) {
                return Err(match refusal {
                    Refusal::Fields(errors) => db::Error::Invalid(errors),
                    Refusal::HasStock(what_to_do) => db::Error::Conflict(what_to_do),
                });
            }
            if before.is_none() && t.bundle_count()? >= MAX_BUNDLES {
                return Err(db::Error::Conflict(format!("a seller may have at most {MAX_BUNDLES} bundles")));
            }
            t.save_bundle(&bundle)?;
            let mut entry = audited(&actor, "bundle.saved", sku.as_str());
            (entry.before, entry.after) = (before.as_deref().map(described), Some(described(&bundle)));
            t.append_audit(&entry, now)?;
            sync_id = overwrite(t, &actor, sku, now)?;
        }
        let view = views(t, &[Arc::new(bundle.clone())])?.pop().ok_or(db::Error::NotFound)?;
        Ok(BundleView { sync_id, ..view })
    });
    Ok(saved.await?)
}

/// Makes a bundle a SKU with stock of its own, of which there is none yet. Returns the sync that overwrites its listings.
///
/// # Errors
/// There is no such bundle.
pub async fn delete(service: &Service, caller: &Caller, sku: Sku) -> Result<Option<RunId>> {
    let (now, actor) = (service.now(), caller.actor());
    let deleted = caller.db.write(move |t| {
        let before = t.bundle(&sku)?.ok_or(db::Error::NotFound)?;
        t.delete_bundle(&sku)?;
        let mut entry = audited(&actor, "bundle.deleted", sku.as_str());
        entry.before = Some(described(&before));
        t.append_audit(&entry, now)?;
        overwrite(t, &actor, &sku, now)
    });
    deleted.await.map_err(Error::from)
}
