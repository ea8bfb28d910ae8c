//! A seller's bundles, and what there is of SKUs that may be bundles.
use super::connection::on;
use super::schema::{bundle_components, stock_levels, sync_settings};
use super::sets::among;
use super::{Changed, Error, Result, Tenant};
use crate::domain::bundle::{Bundle, Component, Stocks};
use crate::domain::stock::Levels;
use crate::domain::units::UnitsEach;
use crate::domain::{Sku, WarehouseCode};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A component of a bundle.
pub(super) type ComponentRow = (String, String, i64);

fn sku_of(text: &str) -> Result<Sku> {
    Sku::parse(text).map_err(|_| Error::Corrupt("bundle_components.component".to_owned()))
}

/// The bundles with these components.
pub(super) fn assembled(mut rows: Vec<ComponentRow>) -> Result<BTreeMap<String, Arc<Bundle>>> {
    rows.sort_unstable();
    let mut found = BTreeMap::new();
    for of_one in rows.chunk_by(|(a, ..), (b, ..)| a == b) {
        let Some((sku, ..)) = of_one.first() else { continue };
        let component = |(_, component, quantity): &ComponentRow| {
            let quantity = UnitsEach::new(*quantity).ok_or_else(|| Error::Corrupt("bundle_components.quantity".to_owned()))?;
            Ok(Component { sku: sku_of(component)?, quantity })
        };
        let components = of_one.iter().map(component).collect::<Result<_>>()?;
        found.insert(sku.clone(), Arc::new(Bundle { sku: sku_of(sku)?, components }));
    }
    Ok(found)
}

impl Tenant<'_> {
    /// Those of these SKUs that are bundles.
    pub fn bundles_among(&mut self, skus: &[String]) -> Result<BTreeMap<String, Arc<Bundle>>> {
        let scope = self.scope();
        assembled(on!(self.conn, c => scope.bundle_components().filter(among(bundle_components::bundle, skus.to_vec()))
            .select((bundle_components::bundle, bundle_components::component, bundle_components::quantity)).load(c))?)
    }

    /// The bundle that this SKU is, if it is one.
    pub fn bundle(&mut self, sku: &Sku) -> Result<Option<Arc<Bundle>>> {
        Ok(self.bundles_among(&[sku.to_string()])?.remove(sku.as_str()))
    }

    /// The bundles after `after`, in order; with `component`, only those that it is a component of.
    pub fn bundles(&mut self, component: Option<&Sku>, after: Option<&str>, limit: i64) -> Result<Vec<Arc<Bundle>>> {
        let scope = self.scope();
        let after = after.unwrap_or_default();
        let skus: Vec<String> = on!(self.conn, c => {
            let mut query = scope.bundle_components().select(bundle_components::bundle).distinct()
                .filter(bundle_components::bundle.gt(after)).order(bundle_components::bundle).limit(limit).into_boxed();
            if let Some(component) = component { query = query.filter(bundle_components::component.eq(component.as_str())); }
            query.load(c)?
        });
        let mut found = self.bundles_among(&skus)?;
        Ok(skus.iter().filter_map(|sku| found.remove(sku)).collect())
    }

    /// The bundles that each of these SKUs is a component of, in order.
    pub fn bundles_with(&mut self, components: &[String]) -> Result<HashMap<String, Vec<String>>> {
        let scope = self.scope();
        let mut rows: Vec<(String, String)> = on!(self.conn, c => scope.bundle_components()
            .filter(among(bundle_components::component, components.to_vec()))
            .select((bundle_components::component, bundle_components::bundle)).load(c))?;
        rows.sort_unstable();
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for (component, bundle) in rows {
            found.entry(component).or_default().push(bundle);
        }
        Ok(found)
    }

    /// How many bundles the seller has.
    pub fn bundle_count(&mut self) -> Result<i64> {
        let scope = self.scope();
        let count = diesel::dsl::count(bundle_components::bundle).aggregate_distinct();
        Ok(on!(self.conn, c => scope.bundle_components().select(count).get_result(c))?)
    }

    /// Saves a bundle instead of what its SKU was. The levels of the SKU do not count from then on, but as of when they were counted does.
    pub fn save_bundle(&mut self, bundle: &Bundle) -> Result<()> {
        let (key, scope, sku) = (self.key(), self.scope(), bundle.sku.as_str());
        on!(self.conn, c => diesel::delete(scope.bundle_components().filter(bundle_components::bundle.eq(sku))).execute(c))?;
        for component in &bundle.components {
            let row = (
                bundle_components::seller_id.eq(&key),
                bundle_components::bundle.eq(sku),
                bundle_components::component.eq(component.sku.as_str()),
                bundle_components::quantity.eq(component.quantity.get()),
            );
            on!(self.conn, c => diesel::insert_into(bundle_components::table).values(row).execute(c))?;
        }
        self.note_bundles()
    }

    /// Makes a bundle a SKU with stock of its own, of which there is none yet.
    pub fn delete_bundle(&mut self, sku: &Sku) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.bundle_components().filter(bundle_components::bundle.eq(sku.as_str()))).execute(c))?;
        self.note_bundles()
    }

    fn note_bundles(&mut self) -> Result<()> {
        let scope = self.scope();
        let first: Option<String> = on!(self.conn, c => scope.bundle_components().select(bundle_components::bundle).first(c).optional())?;
        on!(self.conn, c => diesel::update(scope.sync_settings()).set(sync_settings::has_bundles.eq(first.is_some())).execute(c))?;
        self.note(Changed::Configuration);
        Ok(())
    }

    /// What there is of these SKUs. Without `has_bundles`, none of them is a bundle.
    pub fn stocks(&mut self, skus: &[String], has_bundles: bool) -> Result<Stocks> {
        let bundles = if has_bundles { self.bundles_among(skus)? } else { BTreeMap::new() };
        let mut wanted = skus.to_vec();
        if !bundles.is_empty() {
            wanted.retain(|sku| !bundles.contains_key(sku));
            wanted.extend(bundles.values().flat_map(|bundle| &bundle.components).map(|component| component.sku.to_string()));
            wanted.sort_unstable();
            wanted.dedup();
        }
        let scope = self.scope();
        let mut levels: HashMap<String, Levels> = HashMap::new();
        let rows: Vec<(String, String, i64)> = on!(self.conn, c => scope.stock_levels()
            .select((stock_levels::sku, stock_levels::warehouse, stock_levels::available))
            .filter(among(stock_levels::sku, wanted.clone())).load(c))?;
        for (sku, code, available) in rows {
            levels.entry(sku).or_default().insert(WarehouseCode::parse(&code).map_err(Error::Corrupt)?, available);
        }
        Ok(Stocks { levels, bundles: bundles.into_iter().collect() })
    }
}
