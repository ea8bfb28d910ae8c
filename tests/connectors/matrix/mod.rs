//! Every misbehavior of shops on every platform: a whole service in virtual time, and the number in the shop as the
//! verdict. `src/doc/misbehaving_shops.md` has the table; a cell without a test has its reason there.
mod access;
mod catalog;
mod faces;
mod marketplaces;
mod quotas;
mod shop;
mod stories;

use crate::World;
use faces::Face;
use shop::FakeShop;
use std::sync::Arc;
use std::time::Duration;
use stocktide::db::listings::NewListing;
use stocktide::db::runs::RunFilter;
use stocktide::db::stores::Store;
use stocktide::domain::Sku;
use stocktide::domain::push::{PushState, Record};
use stocktide::platforms::transport::Transport;
use stocktide::service::stores::StoreChange;
use stocktide::service::{self, Caller, Service};

/// The number of the first listing.
const FIRST: u64 = 1001;

/// A shop with this many listings, each of which shows 10, and as many are available.
pub struct Stage<'w> {
    world: &'w World,
    pub shop: FakeShop,
    face: Face,
    count: u64,
}

/// Plays a story with a shop of this platform.
fn play(face: Face, count: u64, story: impl AsyncFn(&Stage<'_>)) {
    let shop = FakeShop::new(&face, (0..count).map(|n| (FIRST + n, 10)));
    let transport: Arc<dyn Transport> = Arc::new(shop.clone());
    let base_url = if face.platform == "simulated" { "http://shop" } else { "https://shop.example.com" };
    crate::story_over(transport, face.platform, base_url, face.config.clone(), face.credentials.clone(), async |world| {
        let stage = Stage { world, shop: shop.clone(), face: face.clone(), count };
        stage.pair().await;
        // The buckets fill, also those of a day, and the first units are counted without being sent.
        stage.sleep(2 * 3600).await;
        stage.add_quietly(10).await;
        story(&stage).await;
    });
}

impl Stage<'_> {
    fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        FIRST..FIRST + self.count
    }

    fn skus(&self) -> Vec<String> {
        self.numbers().map(|n| n.to_string()).collect()
    }

    async fn pair(&self) {
        let row = |n: u64| {
            let (external_id, _) = (self.face.listing)(n);
            NewListing {
                sku: Sku::parse(&n.to_string()).unwrap(),
                external_id,
                extra: faces::extra(&self.face, n),
                units: None,
                pass: None,
            }
        };
        let (rows, now): (Vec<NewListing>, _) = (self.numbers().map(row).collect(), self.world.clock.now());
        let store = self.store().await.id;
        self.world.db.write(move |t| t.save_listings(store, &rows, Default::default(), now).map(drop)).await.unwrap();
    }

    pub async fn store(&self) -> Store {
        self.world.db.read(|t| t.stores(None, 1)).await.unwrap().remove(0)
    }

    pub async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Units that are in the warehouse and in the shop already: auto-sync is off for a moment.
    async fn add_quietly(&self, units: i64) {
        let now = self.world.clock.now();
        let switch = async |on: bool| {
            let save = move |t: &mut stocktide::db::Tenant<'_>| {
                let mut settings = t.sync_settings()?;
                settings.auto_sync = on;
                t.save_sync_settings(&settings, now)
            };
            self.world.db.write(save).await.unwrap();
        };
        switch(false).await;
        self.world.purchase(&self.skus(), units).await;
        switch(true).await;
        self.sleep(1).await;
    }

    /// So many units of every SKU arrive.
    pub async fn arrive(&self, units: i64) {
        self.world.purchase(&self.skus(), units).await;
    }

    pub fn service(&self) -> Service {
        self.world.handle.service(Default::default(), true)
    }

    pub fn caller(&self) -> Caller {
        Caller { db: self.world.db.clone(), name: "matrix".to_owned() }
    }

    /// Every listing is overwritten with its target.
    pub async fn overwrite(&self) {
        service::syncs::start(&self.service(), &self.caller(), RunFilter::default()).await.unwrap();
    }

    pub async fn check(&self) -> Option<String> {
        service::stores::check(&self.service(), &self.caller(), self.store().await.id).await.unwrap().reason
    }

    pub async fn retry_held(&self) {
        let held = service::pushes::Retry { state: Some(PushState::Held), ..Default::default() };
        service::pushes::retry(&self.service(), &self.caller(), held).await.unwrap();
    }

    pub async fn change(&self, change: StoreChange) {
        service::stores::change(&self.service(), &self.caller(), self.store().await.id, change).await.unwrap();
    }

    pub async fn pushes(&self) -> Vec<Record> {
        self.world.pushes().await
    }

    /// What the shop sells of every listing.
    pub fn shown(&self) -> Vec<i64> {
        self.numbers().map(|n| self.shop.shown(n)).collect()
    }

    /// Asserts that every listing shows this, and that nothing is on its way.
    pub async fn all_show(&self, units: i64) {
        let open: Vec<Record> = self.pushes().await.into_iter().filter(|push| push.state.is_active()).collect();
        assert!(self.shown().iter().all(|shown| *shown == units), "not {units}: {:?}; open: {open:#?}", self.shown());
        assert!(open.is_empty(), "{open:#?}");
    }

    pub async fn in_state(&self, state: PushState) -> Vec<Record> {
        self.pushes().await.into_iter().filter(|push| push.state == state).collect()
    }

    /// How many writes the shop has received, and how many other requests.
    pub fn calls(&self) -> (usize, usize) {
        let state = self.shop.state();
        let writes = state.log.iter().filter(|(_, ask)| ask.writes()).count();
        (writes, state.log.len() - writes)
    }
}

/// Every platform's face.
mod all {
    pub use super::faces::{medusa, shopify, simulated, vendure, woocommerce};
    pub use super::marketplaces::{amazon, ebay, lazada, shopee, shopline, shopline_open, tiktok_shop};
}

/// All stories of the table.
mod told {
    pub use super::access::a_token_that_may_only_read;
    pub use super::catalog::a_listing_paired_where_the_store_was;
    pub use super::stories::*;
}

/// One test for each misbehavior and each of these platforms.
macro_rules! matrix {
    ($($story:ident: $($platform:ident)*;)*) => {
        $(mod $story {
            $(#[test]
            fn $platform() {
                super::told::$story(super::all::$platform());
            })*
        })*
    };
}

matrix! {
    a_503_after_applying: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_502_page_of_a_proxy_after_applying: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_5xx_after_an_overwrite: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_sale_after_an_overwrite: simulated shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    one_bad_listing: simulated shopee woocommerce lazada tiktok_shop ebay vendure medusa;
    a_silent_cache: simulated shopee woocommerce tiktok_shop amazon ebay vendure medusa;
    a_cache_that_says_so: simulated shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    slow_rows: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    answers_larger_than_the_bound: simulated shopee woocommerce lazada tiktok_shop ebay vendure medusa;
    a_quantity_written_as_text: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    one_empty_quantity: simulated shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    ids_written_as_numbers: simulated shopline shopline_open shopee woocommerce lazada tiktok_shop vendure;
    a_byte_order_mark: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_php_notice: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_challenge: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_maintenance_page_after_applying: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_firewall: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    a_retry_after_that_is_a_date: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
    reserved_units: vendure medusa;
    an_untracked_listing: shopify woocommerce vendure;
    a_listing_that_comes_back_to_life: shopify woocommerce vendure;
    a_token_that_may_only_read: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop ebay vendure medusa;
    a_listing_paired_where_the_store_was: shopify shopline vendure medusa;
    an_inactive_listing: shopify;
    a_corrected_address: simulated shopify shopline shopline_open shopee woocommerce lazada tiktok_shop amazon ebay vendure medusa;
}
