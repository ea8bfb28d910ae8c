//! What must hold once all is quiet.
use super::{Checker, Excuse, Wrong};
use crate::journal::{Listing, Run, Settings, Store};
use crate::model;
use crate::world::{Verdict, fail};
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    /// The ledger: available is the sum of the distinct events accepted, and all that were acknowledged are there.
    pub fn check_ledger(&self, stock: &BTreeMap<(String, String, String), i64>) -> Verdict {
        for client in &self.world.sellers {
            for id in &client.acknowledged {
                if !self.recorded.contains(&(client.id.clone(), id.clone())) {
                    return fail("acknowledged event is gone", id.as_str());
                }
            }
            for ((sku, warehouse), available) in &self.sellers[&client.id].available {
                let kept = stock.get(&(client.id.clone(), sku.clone(), warehouse.clone())).copied().unwrap_or(0);
                if kept != *available {
                    return fail("available is not the sum of its events", format!("{sku} in {warehouse}: {kept}, should be {available}"));
                }
            }
        }
        if self.recorded.iter().any(|(seller, id)| !self.world.sellers.iter().any(|c| c.id == *seller && c.acknowledged.contains(id))) {
            return fail("event that nobody knows of", "recorded, never acknowledged, though asked until answered");
        }
        Ok(())
    }

    /// Nothing is owed; what is shown wrong may only be so where one more answer is still to come.
    pub fn check_owed(&self, answers_are_in: bool) -> Verdict {
        for (id, listed) in &self.listed {
            let Some(seller) = self.sellers.values().find(|s| s.listings.contains_key(id)) else { continue };
            let listing = &seller.listings[id];
            let name = format!("{} of {}", listing.external_id, seller.stores[&listing.store].name);
            // To a listing that is not to be pushed nothing is owed, and it stays as it is until it is pushed again.
            if seller.targets(&listing.sku)[&listing.id].is_none() {
                continue;
            }
            if listing.marked {
                return fail("marked listing was not overwritten", name);
            }
            if listed.owed != 0 {
                return fail(
                    if listed.owed > 0 { "increase lost" } else { "increase applied twice" },
                    format!("{name}: {} owed", listed.owed),
                );
            }
            let unseen = |wrong: &Wrong| wrong.excuse == Excuse::AppliedLate && wrong.told && wrong.sold != wrong.units;
            if answers_are_in && listed.wrong.as_ref().is_some_and(unseen) {
                return fail("request applied late was not healed", format!("{name}: {} owed", listed.owed));
            }
        }
        Ok(())
    }

    /// After an overwrite of everything with nothing else going on.
    pub fn check_shown(&self) -> Verdict {
        for seller in self.sellers.values() {
            for listing in seller.listings.values() {
                let store = &seller.stores[&listing.store];
                let Some(target) = seller.targets(&listing.sku)[&listing.id] else { continue };
                let shown = self.world.network.quantity(&store.name, &listing.external_id);
                if shown != target {
                    return fail(
                        "shown is not the target",
                        format!("{} of {}: {shown}, should be {target}", listing.external_id, store.name),
                    );
                }
            }
        }
        Ok(())
    }

    /// In exclusive mode nothing is shown twice, and where the shares make a whole nothing is left over: said without the
    /// rule of how it is split.
    pub fn check_exclusive(&self) -> Verdict {
        for seller in self.sellers.values().filter(|s| s.settings.as_ref().is_some_and(|s| s.exclusive)) {
            let skus: BTreeSet<&str> = seller.listings.values().map(|l| l.sku.as_str()).collect();
            for sku in skus {
                let listings: Vec<&Listing> = seller.listings.values().filter(|l| l.sku == sku).collect();
                let rules: Vec<_> = listings.iter().map(|l| (l, seller.resolved(&seller.stores[&l.store], sku))).collect();
                let buffer = rules.first().map_or(0, |(_, r)| r.buffer);
                let plain = rules.iter().all(|(l, r)| {
                    r.buffer == buffer
                        && r.enabled
                        && r.threshold.is_none()
                        && r.max_shown.is_none()
                        && r.share.is_some()
                        && seller.stores[&l.store].warehouses.is_none()
                });
                if !plain {
                    continue;
                }
                let sum: i64 = seller.available.iter().filter(|((s, _), _)| s == sku).map(|(_, n)| n).sum();
                let pool = (sum - buffer).max(0);
                let shown: i64 = listings.iter().map(|l| self.world.network.quantity(&seller.stores[&l.store].name, &l.external_id)).sum();
                let whole = rules.iter().filter_map(|(_, r)| r.share).sum::<i64>() == 10_000;
                if shown > pool || (whole && shown != pool) {
                    return fail("exclusive stores show another sum than the pool", format!("{sku}: {shown} of {pool}"));
                }
            }
        }
        Ok(())
    }

    /// A bucket that starts full must never run dry: that is the same as "no window holds more than burst + rate × time".
    pub fn check_rates(&self) -> Verdict {
        let setups = self.world.setup().sellers.iter().enumerate().flat_map(|(s, seller)| {
            seller.stores.iter().enumerate().map(move |(p, store)| (format!("s{s}x{p}"), store.per_second, store.burst))
        });
        let state = self.world.network.state();
        for (name, per_second, burst) in setups {
            let Some(shop) = state.shops.get(&name) else { continue };
            let mut tokens = f64::from(burst);
            let mut last: Option<tokio::time::Instant> = None;
            for at in &shop.sent_at {
                let passed = last.map_or(0.0, |last| (*at - last).as_secs_f64());
                tokens = (tokens + passed * per_second).min(f64::from(burst)) - 1.0;
                last = Some(*at);
                // Timers and instants are exact to a microsecond here.
                if tokens < -1e-3 {
                    return fail(
                        "more requests than the rate allows",
                        format!("{name}: {per_second}/s, burst {burst}, at {at:?}: {tokens}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Every store of a timed seller that is switched on had its run of the last day, and shows its targets.
    pub fn check_timed(&self) -> Verdict {
        let now = self.world.now();
        for seller in self.sellers.values() {
            let settings = seller.settings.as_ref().unwrap();
            if !settings.auto_sync || settings.incremental {
                continue;
            }
            for store in seller.stores.values().filter(|store| store.enabled) {
                let ran = |run: &&Run| {
                    run.store == store.id
                        && run.kind == "daily"
                        && run.state == "finished"
                        && (now.timestamp_millis() - run.started_at) < 26 * 3_600_000
                };
                if let Some(date) = self.date_without_run(settings, store) {
                    return fail("a day without its run", format!("{} has none of {date}, not even a missed one", store.name));
                }
                if !self.runs.values().any(|run| ran(&run)) {
                    // In a zone to the west, or at a later time, the next date begins more than a day after the last.
                    if now.timestamp_millis() - settings.timed_since < 50 * 3_600_000 {
                        continue;
                    }
                    return fail(
                        "a day without its run",
                        format!("{} by {now}: {:?}", store.name, self.runs.values().filter(|r| r.store == store.id).collect::<Vec<_>>()),
                    );
                }
                for listing in seller.listings.values().filter(|l| l.store == store.id) {
                    let Some(target) = seller.targets(&listing.sku)[&listing.id] else { continue };
                    let shown = self.world.network.quantity(&store.name, &listing.external_id);
                    if shown != target {
                        return fail(
                            "shown is not the target after a daily run",
                            format!("{} of {}: {shown}, should be {target}", listing.external_id, store.name),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// Of all dates that began since the schedule was set, and ended a while ago, each has a run, if only as missed.
    fn date_without_run(&self, settings: &Settings, store: &Store) -> Option<String> {
        let since = model::local_date(settings, settings.timed_since.max(store.created_at));
        let today = model::local_date(settings, self.world.now().timestamp_millis() - model::ON_TIME_MS);
        let dates = since.iter_days().skip(1).take_while(|date| *date < today).map(|date| date.to_string());
        let mut dates = dates.filter(|date| !self.run_of_date.contains_key(&(store.id.clone(), date.clone())));
        dates.next()
    }

    /// How everything stands: what is shown, what is available, which runs there were.
    pub fn end(&self) -> Vec<String> {
        let mut end = Vec::new();
        for seller in self.sellers.values() {
            end.extend(seller.available.iter().map(|((sku, warehouse), n)| format!("{n} of {sku} in {warehouse}")));
            for listing in seller.listings.values() {
                let store = &seller.stores[&listing.store].name;
                let shown = self.world.network.quantity(store, &listing.external_id);
                end.push(format!("{} of {store} shows {shown}", listing.external_id));
            }
        }
        // A manual sync whose answer was lost is asked for again, and is another then. Whether a run is still open to be
        // called off by a switch depends on how long the process was down.
        let lasting = self.runs.values().filter(|r| r.state != "cancelled");
        let runs: BTreeSet<String> = lasting.map(|r| format!("{} {:?} {}", r.kind, r.date, r.state)).collect();
        end.extend(runs);
        end
    }
}
