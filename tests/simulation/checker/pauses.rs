//! Nothing is put on its way during a pause.
use super::Checker;
use crate::journal::Push;
use crate::world::{Verdict, fail};

impl Checker<'_> {
    /// A pause of a SKU begins, or ends if its row is deleted. Stores' own rows show the other levels.
    pub(super) fn sku_pause(&mut self, seller: &str, sku: Option<String>, deleted: bool) {
        let paused = &mut self.seller(seller).paused_skus;
        let Some(sku) = sku else { return };
        if deleted {
            paused.remove(&sku);
        } else {
            paused.insert(sku);
        }
    }

    /// A push is put on its way: neither its store, nor its SKU, may be paused, and no window may be on.
    pub(super) fn is_not_paused(&self, seller: &str, push: &Push) -> Verdict {
        let of_seller = &self.sellers[seller];
        let store = &of_seller.stores[&push.store];
        let ms = |text: &str| text.parse::<i64>().unwrap();
        let intervals = store.frozen.iter().flat_map(|text| text.split(',')).map(|part| part.split_once('-').unwrap());
        let frozen = intervals.into_iter().find(|(from, until)| (ms(from)..ms(until)).contains(&push.updated_at));
        let sku = of_seller.listings.get(&push.listing).map(|listing| &listing.sku);
        let sku = sku.filter(|sku| of_seller.paused_skus.contains(*sku));
        if store.paused || frozen.is_some() || sku.is_some() {
            return fail("sent during a pause", format!("{push:?}: paused {}, frozen {frozen:?}, SKU {sku:?}", store.paused));
        }
        Ok(())
    }
}
