//! The invariants that must hold once all is quiet.
use super::{Checker, Excuse, ListingState, Wrong};
use crate::journal::{Listing, Run, Settings, Store};
use crate::model;
use crate::world::{Verdict, fail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A listing that had been refused for no longer than this when all faults ended has been looked at by the time of the check.
const LOOKED_AT_WITHIN: Duration = Duration::from_secs(90 * 60);

impl Checker<'_> {
    /// Available is the sum of the distinct events accepted, and every acknowledged event is in the ledger.
    pub fn check_ledger(&self, stock: &BTreeMap<(String, String, String), i64>) -> Verdict {
        for client in &self.world.sellers {
            for id in &client.acknowledged {
                if !self.recorded.contains(&(client.id.clone(), id.clone())) {
                    return fail("acknowledged event lost", id.as_str());
                }
            }
            for ((sku, warehouse), available) in &self.sellers[&client.id].available {
                let kept = stock.get(&(client.id.clone(), sku.clone(), warehouse.clone())).copied().unwrap_or(0);
                if kept != *available {
                    return fail("available is not the sum of the events", format!("{sku} in {warehouse}: {kept}, should be {available}"));
                }
            }
        }
        if self.recorded.iter().any(|(seller, id)| !self.world.sellers.iter().any(|c| c.id == *seller && c.acknowledged.contains(id))) {
            return fail("unknown event", "recorded but never acknowledged, although every request is repeated until it is answered");
        }
        Ok(())
    }

    /// The listings that are synchronized now.
    fn synchronized(&self) -> impl Iterator<Item = &ListingState> {
        self.listed.iter().filter_map(|(id, listed)| {
            let seller = self.sellers.values().find(|seller| seller.listings.contains_key(id))?;
            let on = seller.settings.as_ref().is_some_and(|settings| settings.auto_sync);
            (on && seller.targets(&seller.listings[id].sku)[id].is_some()).then_some(listed)
        })
    }

    /// What was given up after a day is part of an overwrite by now, although nobody has retried it.
    pub fn check_given_up(&self) -> Verdict {
        for listed in self.synchronized() {
            if let Some(push) = listed.given_up.iter().find(|push| listed.rejected.contains_key(*push)) {
                return fail("given up and not healed", format!("{:?}", self.pushes[push]));
            }
        }
        Ok(())
    }

    /// What was refused because of the listing itself is part of an overwrite by now, although nobody has retried it. Looks at
    /// the listing become rarer while it is refused: they may be up to half of that time apart.
    pub fn check_refused(&self) -> Verdict {
        let Some(calm_since) = self.world.calm_since else { return Ok(()) };
        for listed in self.synchronized() {
            let looked_at = |since: Instant| {
                let stepped = self.world.clock_steps.iter().any(|(at, _)| *at >= since);
                !stepped && calm_since - since < LOOKED_AT_WITHIN
            };
            let is_due = listed.owed_since.is_some_and(looked_at);
            if let Some(push) = listed.refused.iter().find(|push| is_due && listed.rejected.contains_key(*push)) {
                return fail("refused and never brought to its target", format!("{:?}", self.pushes[push]));
            }
        }
        Ok(())
    }

    /// Nothing is owed. A listing may still show a wrong quantity only if one more answer is to come.
    pub fn check_owed(&self, all_answers_received: bool) -> Verdict {
        for (id, listed) in &self.listed {
            let Some(seller) = self.sellers.values().find(|s| s.listings.contains_key(id)) else { continue };
            let listing = &seller.listings[id];
            let name = format!("{} of {}", listing.external_id, seller.stores[&listing.store].name);
            // A listing that must not be pushed is owed nothing and stays as it is until it may be pushed again.
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
            // A rise is a contradiction. A fall is a sale, unless it leaves exactly the number of a late request, which several of
            // them need not do together.
            let can_be_seen = |wrong: &Wrong| wrong.units > wrong.sold;
            let unseen = |wrong: &Wrong| wrong.excuse == Excuse::AppliedLate && wrong.reported && can_be_seen(wrong);
            if all_answers_received && listed.wrong.as_ref().is_some_and(unseen) {
                return fail("request applied late was not healed", format!("{name}: {} owed", listed.owed));
            }
        }
        Ok(())
    }

    /// After an overwrite of everything with nothing else going on, every listing shows its target.
    pub fn check_shown(&self) -> Verdict {
        for seller in self.sellers.values() {
            for listing in seller.listings.values() {
                let store = &seller.stores[&listing.store];
                let Some(target) = seller.targets(&listing.sku)[&listing.id] else { continue };
                let shown = self.world.network.quantity(&store.name, &listing.external_id);
                let target = self.shown_by_rules(listing, &store.name, target);
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

    /// In exclusive mode no unit is shown twice, and if the shares sum to 100% none is left over. Checked without knowing
    /// how the pool is split.
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
                        && self.left_out(l, &seller.stores[&l.store].name) == 0
                });
                if !plain {
                    continue;
                }
                let pool = (seller.there(None, sku) - buffer).max(0);
                // A store counts once, however many of its listings show the SKU.
                let (mut of_stores, mut shares): (BTreeMap<&str, i64>, BTreeMap<&str, i64>) = Default::default();
                for (l, r) in &rules {
                    let shown = l.units * self.world.network.quantity(&seller.stores[&l.store].name, &l.external_id);
                    let most = of_stores.entry(&l.store).or_default();
                    *most = shown.max(*most);
                    shares.insert(&l.store, r.share.unwrap_or(0));
                }
                let shown: i64 = of_stores.values().sum();
                // What is no whole pack is shown nowhere.
                let whole = listings.iter().all(|l| l.units == 1) && shares.values().sum::<i64>() == 10_000;
                if shown > pool || (whole && shown != pool) {
                    return fail("exclusive stores do not add up to the pool", format!("{sku}: {shown} of {pool}"));
                }
            }
        }
        Ok(())
    }

    /// A bucket that starts full never runs dry, which is equivalent to "no window has more than burst + rate × time".
    pub fn check_rates(&self) -> Verdict {
        let setups = self.world.setup().sellers.iter().enumerate().flat_map(|(s, seller)| {
            seller.stores.iter().enumerate().map(move |(p, store)| (format!("s{s}x{p}"), store.per_second, store.burst))
        });
        let state = self.world.network.state();
        for (name, per_second, burst) in setups {
            let Some(shop) = state.shops.get(&name) else { continue };
            let mut tokens = f64::from(burst);
            let mut last: Option<tokio::time::Instant> = None;
            for at in &self.sent_within_limit(&name, shop) {
                let passed = last.map_or(0.0, |last| (*at - last).as_secs_f64());
                tokens = (tokens + passed * per_second).min(f64::from(burst)) - 1.0;
                last = Some(*at);
                // Timers and instants are accurate to a microsecond here.
                if tokens < -1e-3 {
                    return fail("rate limit exceeded", format!("{name}: {per_second}/s, burst {burst}, at {at:?}: {tokens}"));
                }
            }
        }
        Ok(())
    }

    /// Every enabled store of a seller with timed full coverage had its run of today or yesterday and shows its targets.
    pub fn check_timed(&self) -> Verdict {
        let now = self.world.now();
        for seller in self.sellers.values() {
            let settings = seller.settings.as_ref().unwrap();
            if !settings.auto_sync || !settings.timed {
                continue;
            }
            for store in seller.stores.values().filter(|store| store.enabled) {
                // By their dates, not by when they started: a date that comes again because the clock was set back has no second run.
                let yesterday = model::local_date(settings, now.timestamp_millis()).pred_opt().unwrap().to_string();
                let ran = |run: &&Run| {
                    let is_recent = run.date.as_ref().is_some_and(|date| *date >= yesterday);
                    run.store == store.id && run.kind == "daily" && run.state == "finished" && is_recent
                };
                if let Some(date) = self.date_without_run(settings, store) {
                    return fail("daily run missing", format!("{} has none for {date}, not even a missed one", store.name));
                }
                if !self.runs.values().any(|run| ran(&run)) {
                    // After a change to a zone further west or to a later time, the next run is more than a day after the last.
                    if now.timestamp_millis() - settings.timed_since < 50 * 3_600_000 {
                        continue;
                    }
                    return fail(
                        "daily run missing",
                        format!("{} by {now}: {:?}", store.name, self.runs.values().filter(|r| r.store == store.id).collect::<Vec<_>>()),
                    );
                }
                for listing in seller.listings.values().filter(|l| l.store == store.id) {
                    let Some(target) = seller.targets(&listing.sku)[&listing.id] else { continue };
                    let shown = self.world.network.quantity(&store.name, &listing.external_id);
                    let target = self.shown_by_rules(listing, &store.name, target);
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

    /// The first date without a run, not even a missed one, among those that started after the schedule was set and have
    /// ended.
    fn date_without_run(&self, settings: &Settings, store: &Store) -> Option<String> {
        let since = model::local_date(settings, settings.timed_since.max(store.created_at));
        let today = model::local_date(settings, self.world.now().timestamp_millis() - model::ON_TIME_MS);
        let dates = since.iter_days().skip(1).take_while(|date| *date < today).map(|date| date.to_string());
        let mut dates = dates.filter(|date| !self.run_of_date.contains_key(&(store.id.clone(), date.clone())));
        dates.next()
    }

    /// What is shown, what is available, and which runs there were.
    pub fn final_state(&self) -> Vec<String> {
        let mut end = Vec::new();
        for seller in self.sellers.values() {
            end.extend(seller.available.iter().map(|((sku, warehouse), n)| format!("{n} of {sku} in {warehouse}")));
            for listing in seller.listings.values() {
                let store = &seller.stores[&listing.store].name;
                let shown = self.world.network.quantity(store, &listing.external_id);
                end.push(format!("{} of {store} shows {shown}", listing.external_id));
            }
        }
        // A manual sync whose answer was lost is requested again and becomes another run. Whether a run is still open when
        // a setting cancels it depends on how long the process was down.
        let kept = self.runs.values().filter(|r| r.state != "cancelled");
        let runs: BTreeSet<String> = kept.map(|r| format!("{} {:?} {}", r.kind, r.date, r.state)).collect();
        end.extend(runs);
        end
    }
}
