//! Warehouses: created, renamed, deleted.
use super::context::{Caller, Result, Service, audited};
use crate::db::warehouses::Warehouse;
use crate::domain::WarehouseCode;
use serde_json::json;

/// Adds a warehouse.
///
/// # Errors
/// A conflict if the code is taken or there are too many warehouses.
pub async fn create(service: &Service, caller: &Caller, code: WarehouseCode, name: String) -> Result<Warehouse> {
    let (now, actor) = (service.now(), caller.actor());
    let warehouse = Warehouse { code, name, created_at: now };
    let row = warehouse.clone();
    let created = caller.db.write(move |t| {
        t.create_warehouse(&row)?;
        let mut entry = audited(&actor, "warehouse.created", row.code.as_str());
        entry.after = Some(json!({ "name": row.name }));
        t.append_audit(&entry, now)
    });
    created.await?;
    Ok(warehouse)
}

/// Renames a warehouse.
///
/// # Errors
/// No such warehouse.
pub async fn rename(service: &Service, caller: &Caller, code: WarehouseCode, name: String) -> Result<Warehouse> {
    let (now, actor) = (service.now(), caller.actor());
    let renamed = caller.db.write(move |t| {
        let before = t.warehouse(&code)?;
        t.rename_warehouse(&code, &name)?;
        let mut entry = audited(&actor, "warehouse.renamed", code.as_str());
        (entry.before, entry.after) = (Some(json!({ "name": before.name })), Some(json!({ "name": name })));
        t.append_audit(&entry, now)?;
        t.warehouse(&code)
    });
    Ok(renamed.await?)
}

/// Deletes an empty warehouse that no store ships from. `main` cannot be deleted.
///
/// # Errors
/// No such warehouse, or a conflict if it is in use.
pub async fn delete(service: &Service, caller: &Caller, code: WarehouseCode) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let deleted = caller.db.write(move |t| {
        let before = t.warehouse(&code)?;
        t.delete_warehouse(&code)?;
        let mut entry = audited(&actor, "warehouse.deleted", code.as_str());
        entry.before = Some(json!({ "name": before.name }));
        t.append_audit(&entry, now)
    });
    Ok(deleted.await?)
}
