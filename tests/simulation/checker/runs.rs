//! Sync runs: one for each store and date, at its time.
use super::Checker;
use crate::journal::Run;
use crate::model;
use crate::world::{Verdict, fail};

impl Checker<'_> {
    pub(super) fn run(&mut self, run: Run) -> Verdict {
        if let Some(date) = &run.date {
            let key = (run.store.clone(), date.get(..10).unwrap_or(date).to_owned());
            let first = self.run_of_date.entry(key).or_insert_with(|| run.id.clone());
            if *first != run.id {
                // It counted as missed before the clock was set back, and was forgotten as its time was still to come.
                let was_set_back = self.world.clock_steps.iter().any(|(_, ms)| *ms < 0);
                let missed_ahead = was_set_back && self.runs.get(first).is_some_and(|first| first.state == "missed");
                if !missed_ahead {
                    return fail("two runs of one store and date", first.to_string());
                }
                first.clone_from(&run.id);
            }
        }
        if run.done + run.failed > run.total {
            return fail("run with more results than listings", format!("{run:?}"));
        }
        let before = self.runs.insert(run.id.clone(), run.clone());
        if before.is_none() && run.kind == "daily" {
            self.on_time(&run)?;
        }
        match before {
            Some(before) if before.state != "running" && before.state != run.state => fail("run left a final state", format!("{before:?}")),
            _ => Ok(()),
        }
    }

    /// A daily run starts at its local time or, within the catch-up window, later.
    fn on_time(&mut self, run: &Run) -> Verdict {
        let seller = self.sellers.values().find(|s| s.stores.contains_key(&run.store));
        let (Some(settings), Some(date)) = (seller.and_then(|s| s.settings.as_ref()), &run.date) else {
            return fail("daily run without a store", format!("{run:?}"));
        };
        let time = model::daily_time(settings, date.get(..10).unwrap_or(date));
        let late_ms = run.started_at - time.at_ms;
        let window_ms = (settings.catch_up_hours * 3_600_000).max(model::ON_TIME_MS);
        if late_ms < 0 || (run.state != "missed" && late_ms > window_ms) {
            return fail("daily run at the wrong time", format!("{late_ms} ms late: {settings:?}"));
        }
        let kind = match (run.state.as_str(), time.skipped, time.repeated) {
            ("missed", ..) => "daily run missed",
            (_, true, _) => "daily run at a skipped hour",
            (_, _, true) => "daily run at a repeated hour",
            _ if late_ms > model::ON_TIME_MS => "daily run caught up",
            _ => "daily run",
        };
        *self.counts.entry(kind).or_default() += 1;
        Ok(())
    }
}
