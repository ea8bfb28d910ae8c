//! What stores sell by themselves, and when that is reported.
use super::{Verdict, World};
use crate::story::{Event, EventId, ITEMS, Report, sku_of};
use serde_json::json;

/// A sale that is to be reported later.
pub(super) struct Unreported {
    store: usize,
    sku: usize,
    quantity: i64,
    id: u32,
}

impl World {
    pub(super) async fn sells(&mut self, seller: usize, store: usize, sku: usize, quantity: i64, report: Report) -> Verdict {
        let (_, name) = self.shop(seller, store);
        let named = self.story.setup.sellers[seller].stores[store].named.is_some();
        // Sales that are reported in the store's name are counted: it sells what it shows.
        let quantity = if named { quantity.min(self.network.quantity(&name, ITEMS[sku])) } else { quantity };
        if quantity <= 0 {
            return Ok(());
        }
        let id = match report {
            Report::Never => None,
            Report::AtOnce(id) | Report::Later(id) => Some(format!("e{id}")),
        };
        self.network.sell(&name, ITEMS[sku], quantity, id);
        self.count("store sale");
        let sale = |id| Unreported { store, sku, quantity, id };
        match report {
            Report::AtOnce(id) => self.report(seller, sale(id)).await?,
            Report::Later(id) => self.sellers[seller].unreported.push(sale(id)),
            Report::Never => self.count("store sale never reported"),
        }
        Ok(())
    }

    async fn report(&mut self, seller: usize, sale: Unreported) -> Verdict {
        let Unreported { store, sku, quantity, id } = sale;
        if self.story.setup.sellers[seller].stores[store].named.is_some() {
            let (store_id, _) = self.shop(seller, store);
            self.sellers[seller].sold_by.insert(format!("e{id}"), store_id);
        }
        // Of the SKU, whatever the store sells it by.
        let quantity = quantity * self.story.setup.sellers[seller].stores[store].units_of(sku);
        let event = Event { kind: "sale", sku: sku_of(sku), warehouse: 0, quantity, id: EventId::Fresh(id) };
        self.record(seller, vec![vec![event]], false).await
    }

    /// Reports what has not been reported yet of a store.
    pub(super) async fn report_sales(&mut self, seller: usize, store: usize) -> Verdict {
        let all = std::mem::take(&mut self.sellers[seller].unreported);
        let (now, later) = all.into_iter().partition(|sale| sale.store == store);
        self.sellers[seller].unreported = later;
        for sale in now {
            self.report(seller, sale).await?;
            self.count("store sale reported late");
        }
        Ok(())
    }

    /// Reports everything that is to be reported at all.
    pub async fn report_all_sales(&mut self) -> Verdict {
        for seller in 0..self.sellers.len() {
            for store in 0..self.sellers[seller].shops.len() {
                self.report_sales(seller, store).await?;
            }
        }
        Ok(())
    }

    /// No store waits longer than an hour for reports any more.
    pub async fn await_reports_for_an_hour(&mut self) -> Verdict {
        for seller in 0..self.sellers.len() {
            for store in 0..self.sellers[seller].shops.len() {
                let (id, _) = self.shop(seller, store);
                self.expect(seller, "PATCH", &format!("/v1/stores/{id}"), Some(json!({ "unseen_sales_hours": 1 }))).await?;
            }
        }
        Ok(())
    }
}
