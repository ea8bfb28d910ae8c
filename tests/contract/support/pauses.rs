//! What sellers and the operator pause, beside single stores; frozen windows.
use super::{Seller, Shop, World};
use stocktide::domain::FrozenWindowId;
use stocktide::service::frozen_windows::{EnteredWindow, WindowView};
use stocktide::service::{self, Operator};

impl World {
    /// The operator pauses the simulated platform for all sellers, or resumes it.
    pub async fn pauses_platform(&self, paused: bool) {
        service::platforms::set_paused(&self.service(), Operator, "simulated", paused, None).await.unwrap();
    }
}

impl Seller<'_> {
    pub async fn pauses_everything(&self) {
        service::pauses::pause_all(&self.world.service(), &self.caller(), None).await.unwrap();
    }

    pub async fn resumes_everything(&self) {
        service::pauses::resume_all(&self.world.service(), &self.caller()).await.unwrap();
    }

    pub async fn pauses_sku(&self, sku: &str) {
        service::pauses::pause_sku(&self.world.service(), &self.caller(), sku, None).await.unwrap();
    }

    pub async fn resumes_sku(&self, sku: &str) {
        service::pauses::resume_sku(&self.world.service(), &self.caller(), sku).await.unwrap();
    }

    /// Adds a frozen window, of these shops or of all.
    pub async fn freezes(&self, name: &str, from: &str, to: &str, shops: &[&Shop]) -> WindowView {
        let store_ids = Some(shops.iter().map(|shop| shop.id).collect::<Vec<_>>()).filter(|ids| !ids.is_empty());
        let entered = EnteredWindow { name: name.to_owned(), from: from.to_owned(), to: to.to_owned(), store_ids };
        service::frozen_windows::add(&self.world.service(), &self.caller(), entered).await.unwrap()
    }

    pub async fn thaws(&self, window: FrozenWindowId) {
        service::frozen_windows::remove(&self.world.service(), &self.caller(), window).await.unwrap();
    }
}
