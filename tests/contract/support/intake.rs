//! Stock events that arrive in another way than the usual one: at another process, or with the store that has made a sale.
use super::{Process, Seller, Shop};
use stocktide::db::ledger::EventResult;
use stocktide::db::{self, Db};
use stocktide::domain::Sku;
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::service::stock_events::{self, EnteredEvent};
use stocktide::service::{Caller, Service};

impl Seller<'_> {
    /// The same as [`Self::purchase`], received by this process.
    pub async fn purchase_at(&self, process: &Process, sku: &str, quantity: i64) {
        self.record_by(&process.service, self.an_event(sku, EventKind::Purchase, quantity)).await;
    }

    async fn record_by(&self, service: &Service, event: StockEvent) {
        let caller = Caller { db: service.db.seller(self.id), name: "contract".to_owned() };
        let results = stock_events::record(service, &caller, vec![event]).await.unwrap();
        assert!(matches!(results[..], [EventResult::Accepted { .. }]), "{results:?}");
    }

    /// The same as [`Self::purchase`], recorded by a process without actors, which announces nothing.
    pub async fn purchase_elsewhere(&self, sku: &str, quantity: i64) {
        let db = Db::open(&db::Settings::new(self.world.database_url()));
        let service = Service { db, ..self.world.service() };
        self.record_by(&service, self.an_event(sku, EventKind::Purchase, quantity)).await;
    }

    /// Records a sale that this store has made.
    pub async fn sale_of(&self, shop: &Shop, sku: &str, quantity: i64) -> Vec<EventResult> {
        let sale = EnteredEvent { event: self.an_event(sku, EventKind::Sale, quantity), create: true, store: Some(shop.id) };
        stock_events::record(&self.world.service(), &self.caller(), vec![sale]).await.unwrap()
    }

    /// Units of a SKU in all warehouses.
    pub async fn available(&self, sku: &str) -> i64 {
        let sku = Sku::parse(sku).unwrap();
        self.db().read(move |t| t.levels(&sku)).await.unwrap().values().sum()
    }
}
