#!/usr/bin/env python3
"""Plants bugs in a copy of the sources and shows which test catches each.

    tests/simulation/mutations.py [NAME ...]

Each bug consists of a few replacements in the sources, behind a switch (`planted`), so that one build serves all that are named. (The
one of "no dedupe" is not behind it, and shows in some seeds without any bug.)
The copy is built for release in this repository's target folder (or in CARGO_TARGET_DIR), where only the crate itself has to be
compiled again, under another version; with PROFILE=dev without optimization. For each bug the simulation runs until a seed fails;
if none does, the named test must fail: one of `tests/contract`, unless another suite is named with it (`connectors matrix::...`, or `lib`).
Without BOUNDS, which are taken away to see that the named test notices, no seed is run.
With no bug switched on, the first seeds must pass. Exits with 1 if any of this does not hold.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = os.environ.get("SEEDS", "300")
FIRST = os.environ.get("FIRST", "1")
PROFILE = [] if os.environ.get("PROFILE") == "dev" else ["--release"]

SWITCH = """
/// Whether this bug is switched on.
pub fn planted(bug: &str) -> bool {
    static BUG: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    // A file, because some tests start programs without an environment.
    let switch = concat!(env!("CARGO_MANIFEST_DIR"), "/planted");
    BUG.get_or_init(|| std::fs::read_to_string(switch).ok()).as_deref() == Some(bug)
}
"""

# Name: replacements as (file, original, which must occur exactly once, replacement); a test, with its suite if that is not
# tests/contract.
#
# In stories of several nodes:
OF_NODES = {
    "epoch check left out": (
        [
            (
                "src/db/tenant.rs",
                "return if epoch == lease.epoch {",
                'return if epoch == lease.epoch || crate::planted("epoch check left out") {',
            )
        ],
        "a_transaction_of_a_node_that_was_replaced_changes_nothing",
    ),
    "quota not divided again": (
        [
            (
                "src/actors/keeper.rs",
                "        self.deps.client.share_among(living.len());\n",
                '        if self.renewal == 1 || !crate::planted("quota not divided again") {\n'
                "            self.deps.client.share_among(living.len());\n        }\n",
            )
        ],
        "lib the_limit_of_an_app_is_divided_among_the_nodes_that_live",
    ),
    "lease taken too early": (
        [
            (
                "src/domain/leases.rs",
                "began.saturating_sub(watched.since) < self.lease;",
                'began.saturating_sub(watched.since) < self.lease / if crate::planted("lease taken too early") { 3 } else { 1 };',
            )
        ],
        "lib a_renewal_that_changes_late_is_no_reason_to_take_anything",
    ),
}

# With one process:
MUTATIONS = OF_NODES | {
    "a sale is taken off where it was made": (
        [
            (
                "src/domain/falls.rs",
                "self.reason().filter(|_| !has_sold_it)",
                'self.reason().filter(|_| !has_sold_it || crate::planted("a sale is taken off where it was made"))',
            )
        ],
        "a_sale_is_taken_off_elsewhere_and_not_in_the_store_that_has_sold",
    ),
    "a decrease is taken for lost": (
        [
            (
                "src/domain/push/fall.rs",
                "(shown < base).then_some(shown <= left)",
                '(shown < base).then_some(shown <= left && !crate::planted("a decrease is taken for lost"))',
            )
        ],
        "a_decrease_whose_answer_is_lost_is_applied_once",
    ),
    "a decrease is lost among increases": (
        [
            (
                "src/domain/push/waiting.rs",
                "if self.quantity == Some(0) {",
                'if self.quantity == Some(0) || (crate::planted("a decrease is lost among increases") && self.quantity < Some(0)) {',
            )
        ],
        "increases_and_decreases_that_wait_for_a_paused_store_are_evened_out",
    ),
    "a return is there twice": (
        [
            (
                "src/domain/targets.rs",
                "1.. => self.raises(cause) && !(",
                '1.. => self.raises(cause) && !(!crate::planted("a return is there twice") && ',
            )
        ],
        "a_returned_unit_is_not_there_twice_in_a_store_that_restocks_by_itself",
    ),
    "canceled with the increases": (
        [
            (
                "src/domain/push/waiting.rs",
                "if self.state.is_waiting() && !self.contains_increases() {",
                'if self.state.is_waiting() && (!self.contains_increases() || crate::planted("canceled with the increases")) {',
            )
        ],
        "increases_that_an_overwrite_has_taken_the_place_of_are_not_lost_with_its_run",
    ),
    "healed by a run": (
        [
            (
                "src/domain/claim/waiting.rs",
                "push.is_waiting_overwrite() && push.run_id().is_none());",
                'push.is_waiting_overwrite() && (push.run_id().is_none() || crate::planted("healed by a run")));',
            )
        ],
        "lib a_listing_is_healed_by_one_overwrite",
    ),
    "blind resend": (
        [
            (
                "src/domain/push/outcome.rs",
                "                self.become_uncertain(reason, now, ctx.policy, ctx.jitter);\n"
                "                ListingUpdate::default()\n            }\n            Verdict::Held",
                '                if crate::planted("blind resend") {\n'
                "                    return self.known_not_applied(reason, now, ctx);\n                }\n"
                "                self.become_uncertain(reason, now, ctx.policy, ctx.jitter);\n"
                "                ListingUpdate::default()\n            }\n            Verdict::Held",
            )
        ],
        "an_increase_whose_answer_is_lost_is_not_applied_twice",
    ),
    "stale setup": (
        [
            (
                "src/db/ledger/setups.rs",
                "known.version == *version)",
                'known.version == *version || crate::planted("stale setup"))',
            )
        ],
        "an_increase_follows_what_another_node_has_saved_before_the_event",
    ),
    "no dedupe": (
        [
            (
                "src/domain/ledger.rs",
                "= self.seen.get(event.event_id.as_str()) {",
                '= self.seen.get(event.event_id.as_str()).filter(|_| !crate::planted("no dedupe")) {',
            ),
            (
                "src/db/ledger.rs",
                'into "stock_events" "";',
                'into "stock_events" "ON CONFLICT DO NOTHING";',
            ),
        ],
        "an_event_is_applied_once_however_often_it_is_sent",
    ),
    "supersede without transaction": (
        [
            (
                "src/db/delivery/claim.rs",
                "        ended.extend(contained);\n",
                '        if !crate::planted("supersede without transaction") {\n'
                "            ended.extend(contained);\n        }\n",
            ),
            (
                "src/db/delivery/claim.rs",
                "    /// Returns a claimed call of which not one byte was sent.",
                "    /// Waiting increases of these listings give way.\n"
                "    pub fn supersede_waiting(&mut self, of: &[ListingId], now: Timestamp) -> Result<()> {\n"
                "        let contained = claim::contained(self.waiting_increases(of)?, now);\n"
                "        self.put(&contained)\n    }\n\n"
                "    /// Returns a claimed call of which not one byte was sent.",
            ),
            (
                "src/service/delivery/claim.rs",
                "            Work::Send(call, next) => self.permitted(call, next).await,\n",
                "            Work::Send(call, next) => {\n"
                "                if call.kind == crate::domain::push::PushKind::Overwrite\n"
                '                    && crate::planted("supersede without transaction") {\n'
                "                    let of: Vec<_> = call.items.iter().map(|item| item.listing).collect();\n"
                "                    let now = self.now();\n"
                "                    self.db.write(move |t| t.supersede_waiting(&of, now)).await?;\n"
                "                }\n                self.permitted(call, next).await\n            }\n",
            ),
        ],
        "an_event_recorded_while_an_overwrite_is_claimed",
    ),
    "wrong rounding": (
        [
            (
                "src/domain/allocation.rs",
                "i128::from(pool) * i128::from(share.0) / 10_000;",
                '(i128::from(pool) * i128::from(share.0) + if crate::planted("wrong rounding") { 5_000 } else { 0 }) / 10_000;',
            )
        ],
        "in_shared_mode_each_store_shows_its_share",
    ),
    "part of a pack shown as a whole one": (
        [
            (
                "src/domain/allocation.rs",
                "shown: self.units.whole_in(limited) }",
                'shown: if crate::planted("part of a pack shown as a whole one") '
                "{ self.units.needed_for(limited) } else { self.units.whole_in(limited) } }",
            )
        ],
        "six_packs_telescope",
    ),
    "richest component decides": (
        [
            (
                "src/domain/bundle.rs",
                "    components.into_iter().map(|(available, quantity)| quantity.whole_in(available)).min().unwrap_or(0).max(0)\n",
                "    let of_each = components.into_iter().map(|(available, quantity)| quantity.whole_in(available));\n"
                '    if crate::planted("richest component decides") { of_each.max() } else { of_each.min() }.unwrap_or(0).max(0)\n',
            )
        ],
        "a_purchase_of_a_component_raises_the_bundle",
    ),
    "bundle raised by what arrives of a component": (
        [
            (
                "src/domain/ledger/bundles.rs",
                "    [stock(false), stock(true)]\n",
                "        if let Some(applied) = moved.first()\n"
                '            && crate::planted("bundle raised by what arrives of a component") {\n'
                "            let each = bundle.components.iter().find(|component| component.sku == applied.event.sku);\n"
                "            let each = each.map_or(crate::domain::units::UnitsEach::ONE, |component| component.quantity);\n"
                "            return [Stock::OfComponents(vec![(&applied.before, each)]), Stock::OfComponents(vec![(&applied.after, each)])];\n"
                "        }\n    [stock(false), stock(true)]\n",
            )
        ],
        "a_purchase_of_a_component_raises_the_bundle",
    ),
    "packs overwritten by the piece": (
        [
            (
                "src/db/delivery/targets.rs",
                "rules.has_multiples(to.store_id));",
                'rules.has_multiples(to.store_id) && !crate::planted("packs overwritten by the piece"));',
            )
        ],
        "an_overwrite_of_one_listing_or_of_many",
    ),
    "one tenant filter missing": (
        [
            (
                "src/db/bundles.rs",
                "        let rows: Vec<(String, String, i64)> =",
                "        let own = self.seller().bytes();\n        let rows: Vec<(String, String, i64)> =",
            ),
            (
                "src/db/bundles.rs",
                "on!(self.conn, c => scope.stock_levels()\n",
                "on!(self.conn, c => stock_levels::table.filter(stock_levels::seller_id.eq(own)\n"
                '                .or(crate::db::literal::is(if crate::planted("one tenant filter missing") { "1 = 1" } else { "1 = 0" })))\n',
            )
        ],
        "two_sellers_can_use_the_same_event_ids_skus_and_item_names",
    ),
    "limiter off by one": (
        [
            (
                "src/platforms/limits/bucket.rs",
                "    pub(super) fn new(limit: RateLimit, available: u32) -> Self {\n",
                "    pub(super) fn new(limit: RateLimit, available: u32) -> Self {\n"
                '        let limit = RateLimit { burst: limit.burst.saturating_add(u32::from(crate::planted("limiter off by one"))), ..limit };\n',
            )
        ],
        "no_window_has_more_calls",
    ),
    "lost on restart": (
        [
            (
                "src/domain/push/sending.rs",
                '            self.become_uncertain("The service stopped while this was being sent.", now, policy, 0.0);\n',
                '            if crate::planted("lost on restart") {\n                return self.end(PushState::Superseded, now);\n            }\n'
                '            self.become_uncertain("The service stopped while this was being sent.", now, policy, 0.0);\n',
            )
        ],
        "after_a_crash_an_increase_that_was_being_sent",
    ),
    "double daily run at the repeated hour": (
        [
            (
                "src/domain/schedule.rs",
                "        .map(|date| (date, instant_of(date, settings.daily_at, zone)))\n        .filter(|(_, at)| *at <= now && *at >= since)",
                "        .flat_map(|date| {\n"
                "            let again = zone.from_local_datetime(&date.and_time(settings.daily_at)).latest().map(|at| Timestamp::from(at.to_utc()));\n"
                "            let again = again.filter(|_| crate::planted(\"double daily run at the repeated hour\"));\n"
                "            let first = instant_of(date, settings.daily_at, zone);\n"
                "            [Some(first), again.filter(|at| *at != first)].into_iter().flatten().map(move |at| (date, at))\n"
                "        })\n"
                "        .filter(|(_, at)| *at <= now && *at >= since)",
            ),
            (
                "src/domain/schedule.rs",
                "let first = last.and_then(|date| date.succ_opt()).map_or(first",
                'let first = last.and_then(|date| if crate::planted("double daily run at the repeated hour") { Some(date) } else { date.succ_opt() }).map_or(first',
            ),
            (
                "src/domain/run.rs",
                "            local_date: Some(due.date.to_string()),",
                '            local_date: Some(if crate::planted("double daily run at the repeated hour") {\n'
                '                format!("{} {}", due.date, due.scheduled_for.as_millis())\n'
                "            } else {\n                due.date.to_string()\n            }),",
            ),
            (
                "src/db/runs.rs",
                "latest.map(|text| text.parse().map_err",
                'latest.map(|text| text.get(..10).unwrap_or("").parse().map_err',
            ),
        ],
        "a_run_at_a_local_time_that_occurs_twice",
    ),
    "order of two pushes swapped": (
        [
            (
                "src/db/delivery/claim.rs",
                ".filter(nothing_is_in_flight())\n",
                '.filter(if crate::planted("order of two pushes swapped") { literal::<Bool>("1 = 1") } else { nothing_is_in_flight() })\n',
            )
        ],
        "at_most_one_push_per_listing",
    ),
    "late request not healed": (
        [
            (
                "src/domain/push/account.rs",
                "        self.doubt_until.is_some_and(|until| until > now)\n",
                '        !crate::planted("late request not healed") && self.doubt_until.is_some_and(|until| until > now)\n',
            )
        ],
        "a_request_applied_after_the_settle_time_is_healed",
    ),
    "cancel forgotten": (
        [
            (
                "src/domain/push/waiting.rs",
                "        } else if self.state.is_in_flight() {\n            self.cancel_requested = true;",
                '        } else if self.state.is_in_flight() && !crate::planted("cancel forgotten") {\n            self.cancel_requested = true;',
            )
        ],
        "a_push_in_flight_when_auto_sync_is_switched_off",
    ),
    "merged into what is being sent": (
        [
            (
                "src/domain/push/waiting.rs",
                "        self.kind == PushKind::Increase && self.state.is_waiting() && !self.cancel_requested\n",
                '        let sending = self.state == PushState::Sending && crate::planted("merged into what is being sent");\n'
                "        self.kind == PushKind::Increase && (sending || self.state.is_waiting()) && !self.cancel_requested\n",
            ),
        ],
        "increases_recorded_while_an_outcome_is_unknown",
    ),
    "last item confirmed by its neighbour": (
        [
            (
                "src/domain/claim/outcome.rs",
                "    for (push, verdict) in page.iter_mut().zip(verdicts(answer.outcome, items)) {\n",
                "    let mut given = verdicts(answer.outcome, items);\n"
                '    if crate::planted("last item confirmed by its neighbour") && items > 1 {\n'
                "        let neighbours = given.get(items - 2).cloned();\n"
                "        if let (Some(last), Some(neighbours)) = (given.last_mut(), neighbours) {\n"
                "            *last = neighbours;\n        }\n    }\n"
                "    for (push, verdict) in page.iter_mut().zip(given) {\n",
            )
        ],
        "a_rejected_push_gives_a_reason",
    ),
    "read back before the settle time": (
        [
            (
                "src/domain/push/outcome.rs",
                "            _ => policy.settle_for,\n",
                '            _ if crate::planted("read back before the settle time") => Duration::from_millis(1),\n'
                "            _ => policy.settle_for,\n",
            )
        ],
        "a_read_does_not_decide_before_the_settle_time",
    ),
    "another tenant's event id": (
        [
            (
                "src/db/ledger/load.rs",
                "of_sellers!(stock_events.event_id, pairs(wanted, |w| &w.events))",
                "of_sellers!(stock_events.event_id, pairs(wanted, |w| &w.events))\n            .or_filter(crate::db::literal::is("
                'if crate::planted("another tenant\'s event id") { "1 = 1" } else { "1 = 0" }))',
            ),
            (
                "src/db/ledger/load.rs",
                "    for row in rows {\n        if let Some(facts) = found.of(&row.seller_id)? {\n            let SeenRow {",
                "    for row in rows {\n"
                '        if crate::planted("another tenant\'s event id") {\n'
                "            for facts in found.0.values_mut() {\n"
                "                let SeenRow { event_id, sku, kind, quantity, warehouse, to_warehouse, accepted_at, in_count, .. } = row.clone();\n"
                "                let in_count = InCount::from_bits(in_count);\n"
                "                facts.seen.insert(event_id, Seen { sku, kind, quantity, warehouse, to_warehouse, at: accepted_at, in_count });\n"
                "            }\n        }\n"
                "        if let Some(facts) = found.of(&row.seller_id)? {\n            let SeenRow {",
            ),
            (
                "src/db/ledger/load.rs",
                "#[derive(Queryable, Selectable)]\n#[diesel(table_name = stock_events)]\nstruct SeenRow",
                "#[derive(Clone, Queryable, Selectable)]\n#[diesel(table_name = stock_events)]\nstruct SeenRow",
            ),
        ],
        "two_sellers_can_use_the_same_event_ids_skus_and_item_names",
    ),
    "daily time read as UTC": (
        [
            (
                "src/domain/schedule.rs",
                "    let mut local = date.and_time(time);\n",
                '    let zone = if crate::planted("daily time read as UTC") { chrono_tz::UTC } else { zone };\n'
                "    let mut local = date.and_time(time);\n",
            )
        ],
        "every_listing_is_overwritten_with_its_target_at_the_chosen_local_time",
    ),
    "pause drops what waits": (
        [
            (
                "src/db/pushes/bulk.rs",
                ".set((pushes::state.eq(HELD), pushes::due_at",
                '.set((pushes::state.eq(if crate::planted("pause drops what waits") { 8 } else { HELD }), pushes::due_at',
            )
        ],
        "a_paused_store_holds_pushes",
    ),
    "last item judged by the first": (
        [
            (
                "src/domain/claim/outcome.rs",
                "    let items = page.len();\n    let mut updates = Vec::with_capacity(items);\n",
                "    let items = page.len();\n    let mut updates = Vec::with_capacity(items);\n"
                "    let first_of_all = verdicts(answer.outcome, items).into_iter().next();\n"
                "    let last_of_all = page.last().map(Push::id);\n",
            ),
            (
                "src/domain/claim/outcome.rs",
                "        let account = accounts.get(&push.listing_id()).copied().unwrap_or_default();\n"
                "        updates.push((push.listing_id(), push.apply_verdict(&account, &verdict, terms.context(answer.now, items))));\n",
                "        let account = accounts.get(&push.listing_id()).copied().unwrap_or_default();\n"
                '        let swapped = crate::planted("last item judged by the first") && items > 2 && last_of_all == Some(push.id());\n'
                "        let verdict = first_of_all.clone().filter(|_| swapped).unwrap_or(verdict);\n"
                "        updates.push((push.listing_id(), push.apply_verdict(&account, &verdict, terms.context(answer.now, items))));\n",
            ),
        ],
        "a_rejected_push_gives_a_reason",
    ),
    "given up and not healed": (
        [
            (
                "src/domain/push/outcome.rs",
                "            return ListingUpdate { mark: true, ..ListingUpdate::default() };\n",
                '            return ListingUpdate { mark: !crate::planted("given up and not healed"), ..ListingUpdate::default() };\n',
            )
        ],
        "an_increase_is_rejected_after_a_day_of_failures",
    ),
    "forgotten key trusted": (
        [
            (
                "src/domain/push/sending.rs",
                "        made_at.is_some_and(|made_at| now < made_at || now > made_at + KEYS_TRUSTED_FOR)\n",
                '        made_at.is_some_and(|made_at| now < made_at || now > made_at + KEYS_TRUSTED_FOR) && !crate::planted("forgotten key trusted")\n',
            )
        ],
        "a_key_is_as_old_as_its_call",
    ),
    "key trusted after the clock was set back": (
        [
            (
                "src/domain/push/clock.rs",
                "        if self.is_ahead_of(now) && self.base.is_none() && self.resolution",
                '        if !crate::planted("key trusted after the clock was set back") && self.is_ahead_of(now) && self.base.is_none() && self.resolution',
            )
        ],
        "a_key_whose_age_is_unknown",
    ),
    "clock set back is waited out": (
        [
            (
                "src/db/delivery/clock.rs",
                "        let scope = self.scope();\n        for is_of_kind in [is_increase(), is_overwrite()] {\n            let found",
                '        if crate::planted("clock set back is waited out") {\n            return Ok(false);\n        }\n'
                "        let scope = self.scope();\n        for is_of_kind in [is_increase(), is_overwrite()] {\n            let found",
            )
        ],
        "what_waits_is_delivered_within_a_minute",
    ),
    "overwrite confirmed without an answer": (
        [
            (
                "src/domain/push/outcome.rs",
                "                if self.is_too_old(ctx) && was_in_doubt {\n                    return self.leave_undecided(ctx);\n                }\n",
                "                if self.is_too_old(ctx) && was_in_doubt {\n                    return self.leave_undecided(ctx);\n                }\n"
                '                if self.kind == PushKind::Overwrite && crate::planted("overwrite confirmed without an answer") {\n'
                "                    return self.confirm(account, None, ctx);\n                }\n",
            )
        ],
        "an_overwrite_whose_request_is_lost",
    ),
    "merged units dropped": (
        [
            (
                "src/domain/push/waiting.rs",
                "other.quantity.into_iter().for_each(|units|",
                'other.quantity.into_iter().filter(|_| !crate::planted("merged units dropped")).for_each(|units|',
            )
        ],
        "an_increase_in_flight_when_credentials_are_refused_merges",
    ),
    "given up while in flight forgets the listing": (
        [
            (
                "src/domain/push/outcome.rs",
                "        ListingUpdate { heal: self.give_way_to_overwrite(ctx.now), ..doubt }\n",
                '        let forgotten = crate::planted("given up while in flight forgets the listing");\n'
                "        let heal = self.give_way_to_overwrite(ctx.now).filter(|_| !forgotten);\n"
                "        ListingUpdate { heal, ..doubt }\n",
            )
        ],
        "when_a_read_cannot_decide_the_target_is_written",
    ),
    "503 taken for not applied": (
        [
            (
                "src/platforms/codes.rs",
                "        408 | 500.. => Outcome::Unknown {",
                '        503 if crate::planted("503 taken for not applied") => {\n'
                '            Outcome::TryAgain { reason: "503".to_owned(), after: None, throttled: false }\n        }\n'
                "        408 | 500.. => Outcome::Unknown {",
            ),
            (
                "src/platforms/interference.rs",
                "    (reply.status == 408 || reply.status >= 500) && !is_json(reply)\n",
                '    let believed = reply.status == 503 && crate::planted("503 taken for not applied");\n'
                "    (reply.status == 408 || reply.status >= 500) && !is_json(reply) && !believed\n",
            ),
        ],
        "connectors matrix::a_503_after_applying",
    ),
    "cached read taken as base": (
        [
            (
                "src/domain/push/account.rs",
                "        self.has_changed_lately(now) && self.before.contains(shown)",
                '        !crate::planted("cached read taken as base") && self.has_changed_lately(now) && self.before.contains(shown)',
            )
        ],
        "connectors matrix::a_silent_cache",
    ),
    "fall taken for a contradiction": (
        [
            (
                "src/domain/push/account.rs",
                "        let contradicts = |known: i64| shown > known || (shown < known && self.late.contains(shown));\n",
                '        let fell = |known: i64| shown < known && crate::planted("fall taken for a contradiction");\n'
                "        let contradicts = |known: i64| shown > known || fell(known) || (shown < known && self.late.contains(shown));\n",
            ),
            (
                "src/domain/push/outcome.rs",
                "        let contradicts = |(shown, expected): (i64, i64)| shown > expected || ",
                '        let fell = |shown: i64, expected: i64| shown < expected && crate::planted("fall taken for a contradiction");\n'
                "        let contradicts = |(shown, expected): (i64, i64)| shown > expected || fell(shown, expected) || ",
            ),
        ],
        "connectors matrix::a_sale_after_an_overwrite",
    ),
    "new increase beside one in flight": (
        [
            (
                "src/db/delivery/offers.rs",
                "!busy.contains(&push.listing_id())",
                '(crate::planted("new increase beside one in flight") || !busy.contains(&push.listing_id()))',
            )
        ],
        "an_increase_waits_while_another_of_its_listing_is_on_its_way",
    ),
    "call lost on its way to its actor": (
        [
            (
                "src/actors/store.rs",
                "            _ => {\n                self.recover = self.recover.max(Recover::CutOff);\n                self.input(Input::NotSent, ctx);\n",
                "            _ => {\n"
                '                if !crate::planted("call lost on its way to its actor") {\n'
                "                    self.recover = self.recover.max(Recover::CutOff);\n                }\n"
                "                self.input(Input::NotSent, ctx);\n",
            ),
            (
                "src/service/delivery/claim.rs",
                "let is_lost = check_times && t.has_lost_pushes(store, &under_way)?;",
                'let is_lost = check_times && !crate::planted("call lost on its way to its actor") && t.has_lost_pushes(store, &under_way)?;',
            ),
        ],
        "a_push_that_nothing_sends_is_found",
    ),
    "split that counts as an attempt": (
        [
            (
                "src/domain/push/outcome.rs",
                "        self.attempts = self.attempts.saturating_sub(1).max(0);\n"
                "        self.wait(PushState::Retrying, Some(reason), ctx.now, ctx.now);\n",
                '        let counts = crate::planted("split that counts as an attempt");\n'
                "        let due = if counts { ctx.now + pause(self.attempts, None, ctx) } else { ctx.now };\n"
                "        self.attempts = self.attempts.saturating_sub(i32::from(!counts)).max(0);\n"
                "        self.wait(PushState::Retrying, Some(reason), ctx.now, due);\n",
            )
        ],
        "connectors matrix::one_bad_listing",
    ),
    "reserved unit not added": (
        [
            (
                "src/platforms/fields.rs",
                "    item.quantity.saturating_add(reserved)\n",
                '    if crate::planted("reserved unit not added") { item.quantity } else { item.quantity.saturating_add(reserved) }\n',
            )
        ],
        "connectors matrix::reserved_units",
    ),
    "packed call forgotten after a crash": (
        [
            (
                "src/db/delivery/claim.rs",
                "        packs.retain(|pack| pack.call_id.is_none_or(|id| !under_way.contains(&id)));\n",
                "        packs.retain(|pack| pack.call_id.is_none_or(|id| !under_way.contains(&id)));\n"
                '        packs.retain(|_| !crate::planted("packed call forgotten after a crash"));\n',
            )
        ],
        "packs::an_overwrite_that_a_crash_cut_off",
    ),
    "pack sent beside another push": (
        [
            (
                "src/db/delivery/packed.rs",
                "        if known.is_none_or(Standing::has_active) {\n",
                '        if known.is_none_or(Standing::has_active) && !crate::planted("pack sent beside another push") {\n',
            )
        ],
        "packs::an_increase_waits_for_the_overwrite",
    ),
    "push sent beside its pack": (
        [
            (
                "src/db/delivery/claim.rs",
                "if known.as_ref().is_none_or(|known| known.packs_sent) && self.unpack_of",
                'if !crate::planted("push sent beside its pack") && known.as_ref().is_none_or(|known| known.packs_sent) && self.unpack_of',
            )
        ],
        "packs::an_increase_waits_for_the_overwrite",
    ),
    "partial answer taken for a success of the pack": (
        [
            (
                "src/db/delivery/packed.rs",
                "        if !page.iter().all(Push::is_confirmed) ||",
                '        if !page.iter().all(Push::is_confirmed) && !crate::planted("partial answer taken for a success of the pack") ||',
            )
        ],
        "packs::of_a_call_that_is_answered_in_part",
    ),
    "protection off by one sale": (
        [
            (
                "src/domain/claim/protected.rs",
                "        push.aim_after_read(back.unwrap_or(target), shown, unseen);\n",
                '        let off = i64::from(unseen > 0 && crate::planted("protection off by one sale"));\n'
                "        push.aim_after_read(back.unwrap_or(target), shown, unseen - off);\n",
            )
        ],
        "unseen_sales::units_sold_and_not_reported_yet",
    ),
    "reported sale taken off twice": (
        [
            (
                "src/db/ledger/sold.rs",
                'fn lower_text(from: &str, [seller, store, sku, units]: [&str; 4]) -> String {\n',
                'fn lower_text(from: &str, [seller, store, sku, units]: [&str; 4]) -> String {\n'
                '    let units = if crate::planted("reported sale taken off twice") { format!("0 * {units}") } else { units.to_owned() };\n',
            )
        ],
        "unseen_sales::units_sold_and_not_reported_yet",
    ),
    "store counted once for each listing": (
        [
            (
                "src/domain/allocation.rs",
                "        for listing in listings {\n            parties.places.entry",
                "        for listing in listings {\n"
                '            if crate::planted("store counted once for each listing") && parties.places.contains_key(&listing.store_id) {\n'
                "                parties.shares.push(listing.share.unwrap_or(Share(0)));\n            }\n"
                "            parties.places.entry",
            )
        ],
        "in_exclusive_mode_the_store_is_counted_once",
    ),
    "report taken off every listing of a SKU": (
        [
            (
                "src/db/ledger/sold.rs",
                'format!("{} AND NOT {HAS_SIBLINGS}", lower_text(from, row))',
                'if crate::planted("report taken off every listing of a SKU") { lower_text(from, row) } '
                'else { format!("{} AND NOT {HAS_SIBLINGS}", lower_text(from, row)) }',
            )
        ],
        "a_report_is_taken_off_once_whichever_of_them_has_sold_it",
    ),
    "sales of other listings of a SKU put back": (
        [
            (
                "src/domain/siblings.rs",
                "found.iter().map(|found| found.missing)",
                'found.iter().skip(usize::from(crate::planted("sales of other listings of a SKU put back"))).map(|found| found.missing)',
            )
        ],
        "what_any_of_them_has_sold_without_a_report_is_left_out_of_both",
    ),
}

# What keeps a seller, a client or a platform from harming the service or others, each taken away. As above, but the simulation,
# which has no sockets and no neighbors, is not asked.
BOUNDS = {
    "form without limit": (
        [("src/http/console/sign_in.rs", "body.read_up_to(MAX_FORM)", 'body.read_up_to(if crate::planted("form without limit") { usize::MAX } else { MAX_FORM })')],
        "console security::the_sign_in_form_of_anybody_is_short",
    ),
    "bodies without budget": (
        [
            (
                "src/http/bodies.rs",
                "        let mut taken = self.taken();\n        let own",
                '        if crate::planted("bodies without budget") {\n            return Ok(());\n        }\n'
                "        let mut taken = self.taken();\n        let own",
            )
        ],
        "api bodies::bodies_under_way",
    ),
    "errors without end": (
        [("src/http/error.rs", "        errors.truncate(MAX_ERRORS);", '        if !crate::planted("errors without end") {\n            errors.truncate(MAX_ERRORS);\n        }')],
        "api bodies::a_problem_names_a_hundred_fields",
    ),
    "columns without end": (
        [
            ("src/http/columns.rs", "columns.count > MAX_COLUMNS {", 'columns.count > MAX_COLUMNS && !crate::planted("columns without end") {'),
            ("src/http/columns.rs", "fields > MAX_COLUMNS {", 'fields > MAX_COLUMNS && !crate::planted("columns without end") {'),
        ],
        "api bodies::a_file_with_too_many_columns",
    ),
    "rules of all SKUs": (
        [
            (
                "src/db/settings.rs",
                "        for chunk in skus.chunks(ROWS_PER_STATEMENT) {\n            rows.extend(on!(self.conn, c => scope.rules().filter(among(rules::sku, chunk.to_vec()))",
                '        if crate::planted("rules of all SKUs") {\n'
                "            let all: Vec<RuleRow> = on!(self.conn, c => scope.rules().load(c))?;\n"
                "            return all.iter().map(RuleRow::rule).collect();\n        }\n"
                "        for chunk in skus.chunks(ROWS_PER_STATEMENT) {\n            rows.extend(on!(self.conn, c => scope.rules().filter(among(rules::sku, chunk.to_vec()))",
            )
        ],
        "api growth",
    ),
    "stream outlives its right": (
        [("src/http/stream.rs", "if right.holds(conn, now)? {", 'if right.holds(conn, now)? || crate::planted("stream outlives its right") {')],
        "console stream::a_stream_ends_as_soon",
    ),
    "file not compared": (
        [
            (
                "src/db/files.rs",
                "let (Some(first), Some(file)) = (self.first.get(), &self.file) else {",
                'let (Some(first), Some(file)) = (self.first.get().filter(|_| !crate::planted("file not compared")), &self.file) else {',
            )
        ],
        "processes files::nothing_is_accepted_once",
    ),
    "secret repeated": (
        [
            (
                "src/platforms/mask.rs",
                "        let mut masked = Cow::Borrowed(text);\n        for secret in &self.0 {",
                '        let mut masked = Cow::Borrowed(text);\n        for secret in self.0.iter().filter(|_| !crate::planted("secret repeated")) {',
            )
        ],
        "processes taint",
    ),
    "secret as a name": (
        [("src/domain/names.rs", "    let length = name.chars().count();\n    let is_plain", '    if crate::planted("secret as a name") {\n        return true;\n    }\n    let length = name.chars().count();\n    let is_plain')],
        "api secrets::a_secret_that_is_sent_as_a_name",
    ),
    "no turns": (
        [
            (
                "src/db/turns.rs",
                "        } else {\n            self.order.push_back(seller);\n        }\n        Some((seller, one))",
                '        } else if crate::planted("no turns") {\n            self.order.push_front(seller);\n'
                "        } else {\n            self.order.push_back(seller);\n        }\n        Some((seller, one))",
            )
        ],
        "contract neighbours::a_single_event_is_recorded_before",
    ),
    "rows without quota": (
        [("src/http/quota.rs", "        let Some(rows) = u32::try_from(rows)", '        let rows = if crate::planted("rows without quota") { 0 } else { rows };\n        let Some(rows) = u32::try_from(rows)')],
        "api neighbours::the_rows_of_every_bulk_request",
    ),
    "deleted in one step": (
        [
            (
                "src/db/removal.rs",
                "    let mut left = REMOVAL_STEP;\n    for",
                '    let mut left = if crate::planted("deleted in one step") { i64::MAX } else { REMOVAL_STEP };\n    for',
            )
        ],
        "contract neighbours::a_deleted_seller",
    ),
    "readers without end": (
        [
            (
                "src/db/places.rs",
                "        let places = Arc::new(Semaphore::new(self.at_once));",
                '        let at_once = if crate::planted("readers without end") { 1000 } else { self.at_once };\n'
                "        let places = Arc::new(Semaphore::new(at_once));",
            )
        ],
        "contract neighbours",
    ),
    "calls without end": (
        [
            (
                "src/actors/handle.rs",
                "Places::new(OUTBOUND_AT_ONCE)",
                'Places::new(if crate::planted("calls without end") { 1000 } else { OUTBOUND_AT_ONCE })',
            )
        ],
        "api neighbours::a_seller_makes_a_limited_number",
    ),
    "sessions without end": (
        [("src/db/sessions.rs", "        if !surplus.is_empty() {", '        if !surplus.is_empty() && !crate::planted("sessions without end") {')],
        "api a_key_has_a_limited_number",
    ),
    "address locked out": (
        [
            (
                "src/http/console/sign_in.rs",
                "    let key = Some(fields.text(\"key\"))",
                '    if let Some(wait) = attempt.throttled.filter(|_| crate::planted("address locked out")) {\n'
                "        return Ok(throttled(next, wait));\n    }\n    let key = Some(fields.text(\"key\"))",
            )
        ],
        "console security::wrong_keys_are_throttled",
    ),
    "new key for old credentials": (
        [("src/config/credential_key.rs", "the database does not answer: {error}\"))? {", 'the database does not answer: {error}"))? && !crate::planted("new key for old credentials") {')],
        "processes files::the_start_is_refused_where_the_key_file",
    ),
    "rule of a missing store": (
        [("src/service/rules.rs", "        if let Some(index) = rule_of_missing_store(t, &changed)? {", '        if let Some(index) = rule_of_missing_store(t, &changed)?.filter(|_| !crate::planted("rule of a missing store")) {')],
        "contract races",
    ),
    "files open to others": (
        [("src/db/files.rs", "OpenOptionsExt::mode(&mut options, 0o600)", 'OpenOptionsExt::mode(&mut options, if crate::planted("files open to others") { 0o644 } else { 0o600 })')],
        "processes files::every_file_is_readable_by_its_owner_only",
    ),
    "pause without bound": (
        [
            (
                "src/domain/retry.rs",
                "retry_after.unwrap_or(Duration::ZERO).min(LONGEST_ASKED)",
                'retry_after.unwrap_or(Duration::ZERO).min(if crate::planted("pause without bound") { Duration::MAX } else { LONGEST_ASKED })',
            ),
            (
                "src/platforms/call.rs",
                "let longest = LONGEST_ASKED.as_secs_f64();",
                'let longest = if crate::planted("pause without bound") { 1e9 } else { LONGEST_ASKED.as_secs_f64() };',
            ),
        ],
        "lib pauses_grow_up_to_the_cap",
    ),
    "full log not moved": (
        [("src/db/connection.rs", "        if self.is_sqlite() && self.writable.as_ref().is_some_and(|writable| writable.is_failing()) {\n            self.check_files", '        if self.is_sqlite() && self.writable.as_ref().is_some_and(|writable| writable.is_failing()) && !crate::planted("full log not moved") {\n            self.check_files')],
        "processes files::a_small_disk",
    ),
    "undo that forgets sales": (
        [
            (
                "src/domain/undo.rs",
                "let reported = now.units.needed_for(now.sold.saturating_sub(replaced.sold).max(0));",
                'let reported = if crate::planted("undo that forgets sales") { replaced.unseen } else { now.units.needed_for(now.sold.saturating_sub(replaced.sold).max(0)) };',
            )
        ],
        "an_undone_sync_leaves_what_was_shown_before_less_what_was_sold_since",
    ),
    "docs without policy": (
        [("src/http/docs.rs", "        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_POLICY))", '        .insert_header((CONTENT_SECURITY_POLICY, if crate::planted("docs without policy") { "" } else { CONTENT_POLICY }))')],
        "api http",
    ),
}


def cargo_test(copy, bug, *args):
    """Returns the exit status and the output."""
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    env = dict(os.environ, CARGO_TARGET_DIR=target, CARGO_TERM_COLOR="never")
    (copy / "planted").write_text(bug)
    command = ["cargo", "test", "--locked", *PROFILE, *args]
    run = subprocess.run(command, cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if "could not compile" in run.stdout:
        sys.exit(run.stdout[-4000:] + "\nthe planted bugs no longer compile")
    return run.returncode, run.stdout


def simulate(copy, bug, seeds):
    args = ["--first", FIRST, "--seeds", seeds, "--no-shrink", "--until-failure", "--every-step", "0", "--node-seeds", "0"]
    args += ["--nodes", "--steps", "60"] if bug in OF_NODES else []
    return cargo_test(copy, bug, "--test", "simulation", "--", *args)


def caught_by(copy, bug):
    test = (MUTATIONS | BOUNDS)[bug][1]
    if bug in MUTATIONS:
        code, out = simulate(copy, bug, SEEDS)
        found = re.search(r"^seed (\d+): ([^:\n]+)", out, re.M)
        if code != 0:
            return f"seed {found[1]}: {found[2]}" if found else "the simulation: " + out.strip().splitlines()[-1]
    suite, name = test.split() if " " in test else ("contract", test)
    code, out = cargo_test(copy, bug, *(["--lib"] if suite == "lib" else ["--test", suite]), name)
    ran = re.search(r"^running [1-9]", out, re.M)
    if not ran:
        sys.exit(f"no test of {suite} is called {name}")
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", out, re.M)
    return f"tests/{suite}: " + ", ".join(failed) if code != 0 and failed else None


def plant(copy, wanted):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    for file in filter(None, files):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copy / file)
    # Those of the other bugs are looked for, too: one that does not fit the sources any more should be noticed.
    for file, original, _ in [r for of_bug, _ in (MUTATIONS | BOUNDS).values() for r in of_bug]:
        text = (ROOT / file).read_text()
        if text.count(original) != 1:
            sys.exit(f"{file} contains {text.count(original)} occurrences of {original!r}")
    replacements = [r for bug in wanted for r in (MUTATIONS | BOUNDS)[bug][0]]
    switch = ("src/lib.rs", "pub mod actors;\n", "pub mod actors;\n" + SWITCH)
    # Another version, so that cargo never confuses this build with one of the real sources.
    name = 'name = "stocktide"\nversion = "0.1.0'
    versions = [(file, name, name + "-planted") for file in ("Cargo.toml", "Cargo.lock")]
    for file, original, replacement in [*replacements, switch, *versions]:
        text = (copy / file).read_text()
        if text.count(original) != 1:
            sys.exit(f"{file} contains {text.count(original)} occurrences of {original!r}")
        (copy / file).write_text(text.replace(original, replacement))


def main():
    wanted = sys.argv[1:] or list(MUTATIONS | BOUNDS)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="stocktide-mutations-") as folder:
        copy = pathlib.Path(folder)
        plant(copy, wanted)
        if not BOUNDS.keys() >= set(wanted):
            code, out = simulate(copy, "", "3")
            print("no bug:", "passes" if code == 0 else out[-2000:], flush=True)
            wrong += code != 0
        for bug in wanted:
            started = time.monotonic()
            caught = caught_by(copy, bug)
            wrong += caught is None
            print(f"{bug}: {caught or 'SURVIVED'} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
