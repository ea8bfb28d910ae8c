//! Pushes of one seller as people view them: counted, filtered, or as they change. For the console and `/v1/stream`.
use super::connection::{Backend, on};
use super::packs::{PackFilter, with_packed};
use super::pushes::{
    PushFilter, PushRow, codes_of_interest, failure_codes, has_ended, is_active, is_held, read_pushes, state_code, state_of,
};
use super::runs::Run;
use super::schema::pushes;
use super::{Result, Tenant};
use crate::domain::push::{Push, PushState};
use crate::domain::{RunId, Timestamp};
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    /// How many pushes are in each state that somebody may have to look at.
    pub fn open_counts(&mut self) -> Result<HashMap<PushState, i64>> {
        let scope = self.scope();
        let rows: Vec<(i16, i64)> = on!(self.conn, c => scope.pushes().filter(pushes::state.eq_any(codes_of_interest())).group_by(pushes::state).select((pushes::state, count_star())).load(c))?;
        let mut counts: HashMap<PushState, i64> = rows.into_iter().filter_map(|(code, count)| Some((state_of(code)?, count))).collect();
        for load in self.packed_loads()? {
            *counts.entry(load.state).or_default() += load.pushes;
        }
        Ok(counts)
    }

    /// How many pushes this filter finds; counting stops at `at_most`.
    pub fn count_pushes(&mut self, filter: &PushFilter, at_most: i64) -> Result<i64> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => {
            let mut query = scope.pushes().select(pushes::id).limit(at_most).into_boxed();
            if let Some(state) = filter.state { query = query.filter(pushes::state.eq(state_code(state))); }
            if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
            if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
            query.load(c)?
        });
        let packed = self.count_packed(&filter.in_packs(), at_most)?;
        Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX).saturating_add(packed).min(at_most))
    }

    /// The failures of one run, newest first.
    pub fn failed_of_run(&mut self, run: RunId, limit: i64) -> Result<Vec<Push>> {
        let states = PushState::ALL.into_iter().filter(|state| state.is_failure_of_run()).collect();
        let packed = self.packed_pushes(&PackFilter { states, run: Some(run), ..PackFilter::default() }, None, limit)?;
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::run_id.eq(run.bytes())).filter(pushes::state.eq_any(failure_codes()))
            // Not by the id alone, in whose order SQLite would scan all the pushes that the seller ever had.
            .order((pushes::created_at.desc(), pushes::id.desc())).limit(limit).load(c))?;
        let mut found = with_packed(read_pushes(rows)?, packed);
        found.sort_unstable_by_key(|push| std::cmp::Reverse(push.id()));
        found.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(found)
    }

    /// Each of these runs with the number of its pushes that are held, as long as the run is open.
    pub fn with_held(&mut self, runs: Vec<Run>) -> Result<Vec<(Run, i64)>> {
        let scope = self.scope();
        let open: Vec<Vec<u8>> = runs.iter().filter(|run| run.finished_at.is_none()).map(|run| run.id.bytes()).collect();
        let mut held: HashMap<Vec<u8>, i64> = HashMap::new();
        if !open.is_empty() {
            let rows: Vec<(Option<Vec<u8>>, i64)> = on!(self.conn, c => scope.pushes().filter(pushes::run_id.eq_any(open)).filter(is_held())
                .group_by(pushes::run_id).select((pushes::run_id, count_star())).load(c))?;
            held.extend(rows.into_iter().filter_map(|(run, count)| Some((run?, count))));
            for load in self.packed_loads()?.into_iter().filter(|load| load.state.is_held()) {
                *held.entry(load.run.bytes()).or_default() += load.pushes;
            }
        }
        let with_held = |run: Run| {
            let held = held.get(&run.id.bytes()).copied().unwrap_or(0);
            (run, held)
        };
        Ok(runs.into_iter().map(with_held).collect())
    }

    /// Pushes that changed after `since` and not after `until`, latest change first.
    pub fn pushes_changed_between(&mut self, since: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Push>> {
        let packed = self.packed_changed_between(since, until, limit)?;
        let scope = self.scope();
        // Two statements, so that each has its index: by seller for active pushes, by age for those that have ended.
        let mut rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(is_active())
            .filter(pushes::updated_at.gt(since)).filter(pushes::updated_at.le(until)).order(pushes::updated_at.desc()).limit(limit).load(c))?;
        macro_rules! ended {
            ($pushes:expr) => {
                $pushes
                    .filter(pushes::updated_at.gt(since))
                    .filter(pushes::updated_at.le(until))
                    .filter(has_ended())
                    .order(pushes::updated_at.desc())
                    .limit(limit)
            };
        }
        rows.extend(match &mut self.conn.backend {
            Backend::Sqlite(c) => ended!(scope.pushes_by_age()).load::<PushRow>(c)?,
            Backend::Postgres(c) => ended!(scope.pushes()).load::<PushRow>(c)?,
        });
        let mut found = with_packed(read_pushes(rows)?, packed);
        found.sort_by_key(|push| std::cmp::Reverse(push.updated_at()));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}
