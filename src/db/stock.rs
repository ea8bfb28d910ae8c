//! Reads the stock of a SKU: what is available, and what each of its listings should show and does show.
use super::connection::on;
use super::listings::{Listing, ListingRow};
use super::schema::{listings, skus, stock_levels};
use super::scope::store_of;
use super::stores::{Store, StoreRow};
use super::{Error, Result, Tenant};
use crate::domain::allocation::{ListingRules, Target, targets};
use crate::domain::bundle::{Component, Stock};
use crate::domain::push::Push;
use crate::domain::settings::Rules;
use crate::domain::stock::Levels;
use crate::domain::{ListingId, Sku, WarehouseCode};
use diesel::prelude::*;

/// The stock of one SKU.
#[derive(Debug, Clone)]
pub struct StockOfSku {
    /// The SKU's name.
    pub name: Option<String>,
    /// Units available, by warehouse; of a bundle, as [`Stock::by_warehouse`] has them.
    pub levels: Levels,
    /// What it is made of, if it is a bundle.
    pub components: Vec<ComponentStock>,
    /// The bundles that it is a component of.
    pub part_of: Vec<String>,
    /// Its listings, by store.
    pub listings: Vec<ListingStock>,
}

/// A component of a bundle, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentStock {
    /// The component.
    pub component: Component,
    /// Units available of it, by warehouse.
    pub levels: Levels,
    /// The other bundles that it is a component of.
    pub shared_with: Vec<String>,
}

/// What there is of a SKU with these levels, or of a bundle of these components.
fn stock_of<'a>(levels: &'a Levels, components: &'a [ComponentStock]) -> Stock<'a> {
    if components.is_empty() {
        return Stock::Own(levels);
    }
    Stock::OfComponents(components.iter().map(|of| (&of.levels, of.component.quantity)).collect())
}

impl StockOfSku {
    /// What there is of it.
    pub fn stock(&self) -> Stock<'_> {
        stock_of(&self.levels, &self.components)
    }
}

/// What one listing should show and does show.
#[derive(Debug, Clone)]
pub struct ListingStock {
    /// The listing.
    pub listing: Listing,
    /// Its store.
    pub store: Store,
    /// The rules that apply to it.
    pub rules: ListingRules,
    /// What it should show, and how that comes about.
    pub target: Target,
    /// Its newest push.
    pub last_push: Option<Push>,
    /// Its newest confirmed push.
    pub last_confirmed: Option<Push>,
}

impl Tenant<'_> {
    /// Units available of one SKU, by warehouse.
    pub fn levels(&mut self, sku: &Sku) -> Result<Levels> {
        let scope = self.scope();
        let rows: Vec<(String, i64)> = on!(self.conn, c => scope.stock_levels()
            .filter(stock_levels::sku.eq(sku.as_str())).select((stock_levels::warehouse, stock_levels::available)).load(c))?;
        rows.into_iter()
            .map(|(code, available)| {
                let code = WarehouseCode::parse(&code).map_err(|_| Error::Corrupt("stock_levels.warehouse".to_owned()))?;
                Ok((code, available))
            })
            .collect()
    }

    /// Units available of one SKU, as [`StockOfSku::levels`] has them, and its components if it is a bundle.
    pub fn levels_and_components(&mut self, sku: &Sku, has_bundles: bool) -> Result<(Levels, Vec<ComponentStock>)> {
        let bundle = if has_bundles { self.bundle(sku)? } else { None };
        let Some(bundle) = bundle else { return Ok((self.levels(sku)?, Vec::new())) };
        let skus: Vec<String> = bundle.components.iter().map(|component| component.sku.to_string()).collect();
        let (mut stocks, mut others) = (self.stocks(&skus, false)?, self.bundles_with(&skus)?);
        let of = |component: &Component| {
            let mut shared_with = others.remove(component.sku.as_str()).unwrap_or_default();
            shared_with.retain(|other| other != sku.as_str());
            let levels = stocks.levels.remove(component.sku.as_str()).unwrap_or_default();
            ComponentStock { component: component.clone(), levels, shared_with }
        };
        let components: Vec<ComponentStock> = bundle.components.iter().map(of).collect();
        Ok((stock_of(&Levels::new(), &components).by_warehouse(), components))
    }

    /// What is available of one SKU, and the targets of its listings.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such SKU.
    pub fn stock(&mut self, sku: &Sku) -> Result<StockOfSku> {
        let scope = self.scope();
        let name: Option<String> = on!(self.conn, c => scope.skus().filter(skus::sku.eq(sku.as_str())).select(skus::name).get_result(c))?;
        let settings = self.sync_settings()?;
        let (levels, components) = self.levels_and_components(sku, settings.has_bundles)?;
        let part_of = if settings.has_bundles { self.bundles_with(&[sku.to_string()])?.remove(sku.as_str()) } else { None };
        let of_sku: Rules = self.rules_of(&[sku.to_string()])?.into_iter().collect();
        let rows: Vec<(ListingRow, StoreRow)> = on!(self.conn, c => scope.listings()
            .inner_join(store_of!(listings)).filter(listings::sku.eq(sku.as_str())).load(c))?;
        let mut found = Vec::with_capacity(rows.len());
        for (listing, store) in rows {
            let (listing, store) = (listing.listing()?, store.store()?);
            let resolved = of_sku.resolve(&settings, &store.rules(), sku.as_str(), listing.units);
            found.push(ListingStock { listing, store, rules: resolved, target: Target::default(), last_push: None, last_confirmed: None });
        }
        // Sorted here: to return them in order, SQLite would scan all the seller's listings.
        found.sort_by_key(|found| (found.store.id, found.listing.id));
        let resolved: Vec<ListingRules> = found.iter().map(|l| l.rules.clone()).collect();
        let ids: Vec<ListingId> = found.iter().map(|l| l.listing.id).collect();
        let mut last = self.last_pushes(sku, &ids)?;
        let mut confirmed = self.last_confirmed_pushes(sku, &ids)?;
        for (listing, target) in found.iter_mut().zip(targets(settings.allocation_mode, stock_of(&levels, &components), &resolved)) {
            listing.target = target;
            listing.last_push = last.remove(&listing.listing.id);
            listing.last_confirmed = confirmed.remove(&listing.listing.id);
        }
        Ok(StockOfSku { name, levels, components, part_of: part_of.unwrap_or_default(), listings: found })
    }
}
