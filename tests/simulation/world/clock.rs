//! The clock is set, as an operator or NTP may set a real one.
use super::{Verdict, World, fail, hex_of};
use crate::story::{Event, EventId, NetFault};
use chrono::TimeDelta;
use stocktide::domain::push::{CACHED, CAN_BE_WRITTEN_AGAIN};

/// Stores of which nothing is paused, nor planned to be.
pub(super) const UNPAUSED: &str = "NOT paused AND NOT seller_paused AND NOT platform_paused AND frozen IS NULL \
    AND NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.seller_id = stores.seller_id AND level = 3)";

impl World {
    pub(super) fn set_clock(&mut self, ms: i64) {
        // The answer of a cache may be under way, and nobody could tell its age once the clock is ahead.
        if ms > 0 && self.network.has_cache() {
            return;
        }
        self.clock.step(TimeDelta::milliseconds(ms));
        self.set_clocks_of_nodes(TimeDelta::milliseconds(ms));
        self.network.forget_cached();
        self.clock_steps.push((tokio::time::Instant::now(), ms));
        self.count(if ms < 0 { "clock stepped back" } else { "clock stepped forward" });
    }

    /// Whether nothing keeps this store from being sent what is due: it works, is not held, and its circuit is closed.
    pub(super) fn is_open(&mut self, id: &str) -> bool {
        let works = format!(
            "SELECT count(*) AS seq FROM stores WHERE hex(id) = '{id}' AND sync_enabled AND {UNPAUSED} AND NOT needs_reauthorisation"
        );
        let circuits = format!("SELECT count(*) AS seq FROM store_circuits WHERE hex(store_id) = '{id}'");
        let calm = self.fault_plan.lock().unwrap().is_empty() && !self.is_in_danger();
        calm && self.journal_reader.count(&works) == 1 && self.journal_reader.count(&circuits) == 0
    }

    /// Sets the clock while an increase waits for a store that works.
    pub(super) async fn clock_trial(&mut self, seller: usize, store: usize, before_ms: i64, after_ms: i64, id: u32) -> Verdict {
        let (store_id, name) = self.shop(seller, store);
        let (store_id, processes) = (hex_of(&store_id), self.processes);
        // A listing that was sold down to what it showed before its last change looks as if a cache had answered for it. One that was
        // refused is overwritten as soon as a look finds that it can be written again, which may be just now.
        let waiting = format!(
            "SELECT (SELECT count(*) FROM pushes WHERE hex(store_id) = '{store_id}' AND state IN (0, 1, 3, 4) AND coalesce(reason, '') NOT IN ('{CACHED}', '{CAN_BE_WRITTEN_AGAIN}')) \
             + (SELECT count(*) FROM push_packs WHERE hex(store_id) = '{store_id}' AND state IN (0, 1)) AS seq"
        );
        self.network.heal(&name);
        let ready = self.is_open(&store_id) && !self.network.has_asked_for_a_pause(&name) && self.journal_reader.count(&waiting) == 0;
        if before_ms != 0 {
            self.set_clock(before_ms);
        }
        let sku = self.story.setup.sellers[seller].stores[store].skus[0];
        let event = Event { kind: "purchase", sku, warehouse: 0, quantity: 40, id: EventId::Fresh(id) };
        self.network.plan(&name, NetFault::Throttled { retry_after_s: 20 }, 1);
        self.record(seller, vec![vec![event]], false).await?;
        self.advance(1_000).await;
        let waits = self.journal_reader.count(&waiting) > 0;
        self.set_clock(after_ms);
        self.advance(60_000 + 1_000 * self.story.setup.poll_s).await;
        if !ready || !waits || self.processes != processes || !self.is_open(&store_id) {
            return Ok(());
        }
        self.count("clock set while an increase waits");
        match self.journal_reader.count(&waiting) {
            0 => Ok(()),
            n => fail(
                "not delivered after the clock was set",
                format!("{n} pushes of {name} still wait after {before_ms} and {after_ms} ms"),
            ),
        }
    }
}
