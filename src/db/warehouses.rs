//! Warehouses of one seller.
use super::connection::on;
use super::schema::{stock_levels, warehouses};
use super::{Error, Result, Tenant};
use crate::domain::limits::MAX_WAREHOUSES;
use crate::domain::{FieldError, Timestamp, WarehouseCode};
use diesel::prelude::*;

/// A place where a seller keeps stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// The seller's code for it.
    pub code: WarehouseCode,
    /// Its display name.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
}

fn warehouse((code, name, created_at): (String, String, Timestamp)) -> Result<Warehouse> {
    let code = WarehouseCode::parse(&code).map_err(|_| Error::Corrupt("warehouses.code".to_owned()))?;
    Ok(Warehouse { code, name, created_at })
}

impl Tenant<'_> {
    /// The warehouses after `after`, in the order of their codes.
    pub fn warehouses(&mut self, after: Option<&str>, limit: i64) -> Result<Vec<Warehouse>> {
        let scope = self.scope();
        let after = after.unwrap_or_default().to_owned();
        let rows: Vec<(String, String, Timestamp)> = on!(self.conn, c => scope.warehouses().filter(warehouses::code.gt(&after))
            .select((warehouses::code, warehouses::name, warehouses::created_at)).order(warehouses::code).limit(limit).load(c))?;
        rows.into_iter().map(warehouse).collect()
    }

    /// One warehouse.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn warehouse(&mut self, code: &WarehouseCode) -> Result<Warehouse> {
        let scope = self.scope();
        let row = on!(self.conn, c => scope.warehouses().filter(warehouses::code.eq(code.as_str()))
            .select((warehouses::code, warehouses::name, warehouses::created_at)).get_result(c))?;
        warehouse(row)
    }

    /// Adds a warehouse.
    ///
    /// # Errors
    /// [`Error::ConflictAt`] when the code is taken, [`Error::Conflict`] when there are too many.
    pub fn create_warehouse(&mut self, warehouse: &Warehouse) -> Result<()> {
        let (key, scope) = (self.key(), self.scope());
        match self.warehouse(&warehouse.code) {
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                let detail = format!("there is already a warehouse with the code {}", warehouse.code);
                return Err(Error::ConflictAt(FieldError::new("/code", detail)));
            }
        }
        let count: i64 = on!(self.conn, c => scope.warehouses().count().get_result(c))?;
        if count >= MAX_WAREHOUSES {
            return Err(Error::Conflict(format!("a seller may have at most {MAX_WAREHOUSES} warehouses")));
        }
        on!(self.conn, c => diesel::insert_into(warehouses::table).values((
            warehouses::seller_id.eq(&key), warehouses::code.eq(warehouse.code.as_str()),
            warehouses::name.eq(&warehouse.name), warehouses::created_at.eq(warehouse.created_at),
        )).execute(c))?;
        Ok(())
    }

    /// Renames a warehouse.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn rename_warehouse(&mut self, code: &WarehouseCode, name: &str) -> Result<()> {
        let scope = self.scope();
        let changed = on!(self.conn, c => diesel::update(scope.warehouses().filter(warehouses::code.eq(code.as_str())))
            .set(warehouses::name.eq(name)).execute(c))?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Deletes a warehouse that holds no stock and that no store names.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Conflict`] when it is in use.
    pub fn delete_warehouse(&mut self, code: &WarehouseCode) -> Result<()> {
        let scope = self.scope();
        self.warehouse(code)?;
        if *code == WarehouseCode::main() {
            return Err(Error::Conflict("the warehouse main always exists".to_owned()));
        }
        let stocked: Option<String> = on!(self.conn, c => scope.stock_levels()
            .filter(stock_levels::warehouse.eq(code.as_str())).filter(stock_levels::available.ne(0))
            .select(stock_levels::sku).first(c).optional())?;
        if let Some(sku) = stocked {
            return Err(Error::Conflict(format!(
                "SKU {sku} has available stock other than 0 in this warehouse; transfer it or set it to 0 first"
            )));
        }
        let fed = self.stores(None, i64::MAX)?.into_iter().find(|s| s.warehouses.as_ref().is_some_and(|codes| codes.contains(code)));
        if let Some(store) = fed {
            return Err(Error::Conflict(format!("this warehouse supplies the store {}; remove it from that store first", store.name)));
        }
        on!(self.conn, c => diesel::delete(scope.stock_levels()
            .filter(stock_levels::warehouse.eq(code.as_str()))).execute(c))?;
        on!(self.conn, c => diesel::delete(scope.warehouses().filter(warehouses::code.eq(code.as_str()))).execute(c))?;
        Ok(())
    }

    /// The codes that no warehouse has.
    pub fn unknown_warehouses(&mut self, codes: &[WarehouseCode]) -> Result<Vec<WarehouseCode>> {
        let known = self.warehouses(None, i64::MAX)?;
        Ok(codes.iter().filter(|code| known.iter().all(|w| w.code != **code)).cloned().collect())
    }
}
