//! Shops that misbehave while something is sent to them, and what must come of it.
use super::clock::UNPAUSED;
use super::{Verdict, World, fail, hex_of};
use crate::story::{Event, EventId, ITEMS, NetFault, Refusal, SKUS, WayIn};
use serde_json::json;
use stocktide::domain::push::CACHED;

/// Longer than the pause before a look at a listing whose refusal is this recent, and what follows it.
const LOOKED_MS: u64 = 13 * 60_000;
/// Time for everything that a slow bucket lets through.
const SENT_MS: u64 = 60_000;

impl World {
    fn rows(&mut self, of: &str) -> i64 {
        self.journal_reader.count(&format!("SELECT count(*) AS seq FROM {of}"))
    }

    /// Ends the faults of a store. Returns the current process if nothing but the step itself keeps the store from being sent what
    /// is due while that process lives.
    fn is_calm(&mut self, seller: usize, store: usize) -> Option<u64> {
        let (id, name) = self.shop(seller, store);
        self.network.heal(&name);
        let calm = self.is_open(&hex_of(&id)) && !self.network.has_asked_for_a_pause(&name);
        calm.then_some(self.processes)
    }

    /// Whether auto-sync has been on, and the store neither off nor paused.
    fn is_served(&mut self, seller: usize, store: usize) -> bool {
        let (seller_id, store_id) = (self.sellers[seller].id.clone(), hex_of(&self.shop(seller, store).0));
        let on = self.rows(&format!("sync_settings WHERE hex(seller_id) = '{seller_id}' AND auto_sync")) == 1;
        on && self.rows(&format!("stores WHERE hex(id) = '{store_id}' AND sync_enabled AND {UNPAUSED}")) == 1
    }

    /// This store, or the next one that works and to which increases are sent.
    fn working_store(&mut self, seller: usize, store: usize) -> (usize, usize) {
        let all: Vec<(usize, usize)> =
            self.sellers.iter().enumerate().flat_map(|(s, seller)| (0..seller.shops.len()).map(move |p| (s, p))).collect();
        let first = all.iter().position(|place| *place == (seller, store)).unwrap_or(0);
        for (seller, store) in all.iter().cycle().skip(first).take(all.len()).copied() {
            let (seller_id, store_id) = (self.sellers[seller].id.clone(), hex_of(&self.shop(seller, store).0));
            let increases = format!("sync_settings WHERE hex(seller_id) = '{seller_id}' AND auto_sync AND frequency <> 'timed_full'");
            let waiting = format!("pushes WHERE hex(store_id) = '{store_id}' AND state IN (0, 1, 3, 4, 6)");
            let packed = format!("push_packs WHERE hex(store_id) = '{store_id}' AND state IN (0, 1, 6)");
            if self.is_open(&store_id) && self.rows(&increases) == 1 && self.rows(&waiting) + self.rows(&packed) == 0 {
                return (seller, store);
            }
        }
        (seller, store)
    }

    /// One of the SKUs that a store sells.
    fn sold_sku(&self, seller: usize, store: usize, draw: usize) -> usize {
        let skus = &self.story.setup.sellers[seller].stores[store].skus;
        skus[draw % skus.len()]
    }

    fn purchase(sku: usize, quantity: i64, id: u32) -> Event {
        Event { kind: "purchase", sku, warehouse: 0, quantity, id: EventId::Fresh(id) }
    }

    pub(super) async fn check_store(&mut self, seller: usize, store: usize) -> Verdict {
        let (id, _) = self.shop(seller, store);
        self.expect(seller, "POST", &format!("/v1/stores/{id}/check"), None).await.map(drop)
    }

    pub(super) async fn misbehaves(
        &mut self,
        seller: usize,
        store: usize,
        faults: &[NetFault],
        events: Option<&Vec<Event>>,
        checks_ms: &[u64],
    ) -> Verdict {
        let (id, name) = self.shop(seller, store);
        for fault in faults {
            self.network.plan(&name, *fault, 1);
        }
        match events {
            Some(events) => self.record(seller, vec![events.clone()], false).await?,
            // Refused in a frozen window.
            None => drop(self.as_seller(seller, "POST", "/v1/syncs", Some(json!({ "store_ids": [id] }))).await),
        }
        for ms in checks_ms {
            self.advance(*ms).await;
            self.check_store(seller, store).await?;
        }
        Ok(())
    }

    pub(super) async fn caches(&mut self, seller: usize, store: usize, for_ms: u64, events: [&Vec<Event>; 2], between_ms: u64) -> Verdict {
        let (_, name) = self.shop(seller, store);
        self.network.cache(&name, for_ms);
        for events in events {
            self.record(seller, vec![events.clone()], false).await?;
            self.advance(between_ms).await;
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, seller: usize, store: usize, sku: usize, how: Refusal) {
        let (_, name) = self.shop(seller, store);
        let item = ITEMS[sku].to_owned();
        self.network.change(&name, |f| match how {
            Refusal::Item => f.reject_items.push(item),
            Refusal::WholeCall => f.poison_items.push(item),
            Refusal::Untracked => f.untracked_items.push(item),
        });
        self.count(match how {
            Refusal::Item => "item refused",
            Refusal::WholeCall => "call refused as a whole",
            Refusal::Untracked => "item not tracked",
        });
    }

    pub(super) fn accept_again(&mut self, seller: usize, store: usize, sku: usize) {
        let (_, name) = self.shop(seller, store);
        self.network.change(&name, |f| {
            for refused in [&mut f.poison_items, &mut f.reject_items, &mut f.untracked_items] {
                refused.retain(|id| id != ITEMS[sku]);
            }
        });
    }

    /// What a listing is owed is sent soon after it is live again.
    pub(super) async fn live_again(&mut self, seller: usize, store: usize, sku: usize, how: Refusal, for_ms: u64, id: u32) -> Verdict {
        let (seller, store) = self.working_store(seller, store);
        let sku = self.sold_sku(seller, store, sku);
        let skus = (0..).zip(self.story.setup.sellers[seller].stores[store].skus.clone());
        let events = skus.map(|(n, sku)| Self::purchase(sku, 40, 3_000_000 + 10 * id + n)).collect();
        let store_id = hex_of(&self.shop(seller, store).0);
        let processes = self.is_calm(seller, store);
        let listing = format!("listings WHERE hex(store_id) = '{store_id}' AND external_id = '{}' AND owed_since IS NOT NULL", ITEMS[sku]);
        let is_new = self.rows(&listing) == 0;
        self.refuse(seller, store, sku, how);
        self.record(seller, vec![events], false).await?;
        self.advance(for_ms + SENT_MS).await;
        let active = format!("pushes WHERE hex(store_id) = '{store_id}' AND external_id = '{}' AND state IN (0, 1, 3, 4, 6)", ITEMS[sku]);
        let is_owed = self.rows(&listing) == 1 && self.rows(&active) == 0;
        self.accept_again(seller, store, sku);
        // A store at which nothing is going on is found when the service looks for work next.
        let looked_ms = LOOKED_MS + 1_000 * self.story.setup.poll_s;
        self.advance(looked_ms).await;
        // An overwrite may be cancelled: by its rules, the listing may have no target.
        let since = self.clock.now().as_millis() - i64::try_from(looked_ms).unwrap();
        let cancelled = self.rows(&format!(
            "pushes WHERE hex(store_id) = '{store_id}' AND external_id = '{}' AND state = 8 AND updated_at > {since}",
            ITEMS[sku],
        )) + self.rows(&format!("push_packs WHERE hex(store_id) = '{store_id}' AND state = 8 AND updated_at > {since}"));
        let expected = is_new && is_owed && cancelled == 0 && self.is_served(seller, store);
        if !expected || processes != self.is_calm(seller, store) || processes.is_none() {
            return Ok(());
        }
        if self.rows(&listing) == 1 && self.rows(&active) == 0 {
            let now = self.clock.now().as_millis();
            let mut of_listing = |column: &str| {
                let query = format!("SELECT coalesce({column} - {now}, 0) AS seq FROM {listing}");
                format!("{column} in {} s", self.journal_reader.count(&query) / 1000)
            };
            let times = ["owed_since", "look_at", "doubt_until", "changed_at"].map(&mut of_listing);
            let store = self.shop(seller, store).1;
            return fail(
                "refused listing not brought to its target",
                format!("{} of {store} is live again; {how:?} for {for_ms} ms, {}", SKUS[sku], times.join(", ")),
            );
        }
        self.count("live again");
        if how == Refusal::Untracked {
            self.count("untracked listing");
        }
        Ok(())
    }

    /// A fall while a request that was given up may still arrive is a sale, unless it leaves exactly that request's number.
    pub(super) async fn sale_in_doubt(&mut self, seller: usize, store: usize, sku: usize, id: u32) -> Verdict {
        let (seller, store) = self.working_store(seller, store);
        // In a frozen window the overwrite would be refused.
        self.thaw(seller).await?;
        let sku = self.sold_sku(seller, store, sku);
        let (store_id, name) = self.shop(seller, store);
        let hex_id = hex_of(&store_id);
        let processes = self.is_calm(seller, store);
        self.network.plan(&name, NetFault::CutBefore, 1);
        let sync = json!({ "store_ids": [store_id], "skus": [SKUS[sku]] });
        self.expect(seller, "POST", "/v1/syncs", Some(sync)).await?;
        self.advance(30_000).await;
        let now = self.clock.now().as_millis();
        let listing = format!("listings WHERE hex(store_id) = '{hex_id}' AND external_id = '{}'", ITEMS[sku]);
        // Counted, because the clock may have been set back since an earlier one was created.
        let healed =
            format!("pushes WHERE hex(store_id) = '{hex_id}' AND external_id = '{}' AND cause LIKE 'A request that had been%'", ITEMS[sku]);
        let healed_before = self.rows(&healed);
        let in_doubt = self.rows(&format!("{listing} AND doubt_until > {now}")) == 1;
        let left = self.network.quantity(&name, ITEMS[sku]) - 2;
        let explained = self.rows(&format!("{listing} AND ',' || coalesce(late_numbers, '') || ',' LIKE '%,{left},%'")) > 0;
        self.network.sell(&name, ITEMS[sku], 2, None);
        self.record(seller, vec![vec![Self::purchase(sku, 40, id)]], false).await?;
        self.advance(SENT_MS).await;
        let is_calm = processes.is_some() && processes == self.is_calm(seller, store);
        if !in_doubt || !is_calm {
            return Ok(());
        }
        self.count("sale in doubt");
        if explained || self.network.may_be_late(&name) {
            return Ok(());
        }
        if self.rows(&healed) > healed_before {
            return fail("sale taken for a contradiction", format!("{} of {name} showed {left} after it", SKUS[sku]));
        }
        Ok(())
    }

    pub(super) fn expire_token(&mut self, seller: usize, store: usize) {
        let shop = &mut self.sellers[seller].shops[store];
        shop.token += 1;
        let (name, token) = (shop.name.clone(), format!("t{}", shop.token));
        self.network.change(&name, |faults| faults.token = Some(token));
    }

    pub(super) async fn new_address(&mut self, seller: usize, store: usize) -> Verdict {
        let shop = &self.sellers[seller].shops[store];
        if shop.moves == 0 {
            return Ok(());
        }
        let (id, address) = (shop.id.clone(), format!("http://platform{}", shop.moves));
        self.expect(seller, "PATCH", &format!("/v1/stores/{id}"), Some(json!({ "base_url": address }))).await.map(drop)
    }

    /// Whatever way into a store is mended is tried at once.
    pub(super) async fn mends(&mut self, seller: usize, store: usize, what: WayIn, after_ms: u64, id: u32) -> Verdict {
        let (seller, store) = self.working_store(seller, store);
        // Nothing else keeps the service out.
        self.new_address(seller, store).await?;
        self.new_token(seller, store).await?;
        let (store_id, name) = self.shop(seller, store);
        let hex_id = hex_of(&store_id);
        let waiting =
            format!("pushes WHERE hex(store_id) = '{hex_id}' AND state IN (0, 1, 3, 4, 6) AND coalesce(reason, '') <> '{CACHED}'");
        let processes = self.is_calm(seller, store);
        let was_idle = self.rows(&waiting) == 0;
        match what {
            WayIn::Token => self.expire_token(seller, store),
            WayIn::Scopes => self.network.change(&name, |faults| faults.read_only = true),
            WayIn::Address => {
                let shop = &mut self.sellers[seller].shops[store];
                shop.moves += 1;
                self.network.move_to(&name, format!("platform{}", shop.moves));
            }
        }
        let sku = self.sold_sku(seller, store, 0);
        self.record(seller, vec![vec![Self::purchase(sku, 40, id)]], false).await?;
        self.advance(after_ms).await;
        let was_held = self.rows(&format!("stores WHERE hex(id) = '{hex_id}' AND needs_reauthorisation")) == 1;
        // What the service comes to send for another reason meanwhile may have to wait for the limiter.
        let waiting = format!("{waiting} AND created_at <= {}", self.now().timestamp_millis());
        if what == WayIn::Address {
            self.new_address(seller, store).await?;
        } else {
            self.new_token(seller, store).await?;
        }
        self.advance(SENT_MS).await;
        let undisturbed = processes == Some(self.processes) && self.fault_plan.lock().unwrap().is_empty() && !self.is_in_danger();
        if !was_held || !was_idle || !undisturbed || !self.is_served(seller, store) {
            return Ok(());
        }
        self.count(match what {
            WayIn::Token => "mended token",
            WayIn::Scopes => "mended scopes",
            WayIn::Address => "mended address",
        });
        let still_held = self.rows(&format!("stores WHERE hex(id) = '{hex_id}' AND needs_reauthorisation"));
        let waiting = self.rows(&waiting);
        if still_held > 0 || waiting > 0 {
            return fail(
                "not sent at once after the way in was mended",
                format!("{what:?} of {name}: {waiting} pushes wait, {still_held} held"),
            );
        }
        Ok(())
    }
}
