//! Pushes of one seller as its people look at them: counted, filtered, as they change. For the console and `/v1/stream`.
use super::connection::on;
use super::pushes::{PushFilter, PushRow, has_ended, is_active, is_held, read_pushes};
use super::runs::Run;
use super::schema::pushes;
use super::{Result, Tenant};
use crate::domain::push::{Push, PushState};
use crate::domain::{RunId, Timestamp};
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    /// How many pushes are in each of the states that somebody may have to look at: all but those that ended well.
    ///
    /// # Errors
    /// Those of the database.
    pub fn open_counts(&mut self) -> Result<HashMap<PushState, i64>> {
        use PushState::{Held, Queued, Rejected, Retrying, Sending, Uncertain};
        let key = self.key();
        let of_interest = [Queued, Sending, Retrying, Uncertain, Rejected, Held].map(PushState::code);
        let rows: Vec<(i16, i64)> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key))
            .filter(pushes::state.eq_any(of_interest)).group_by(pushes::state).select((pushes::state, count_star())).load(c))?;
        Ok(rows.into_iter().filter_map(|(code, count)| Some((PushState::from_code(code)?, count))).collect())
    }

    /// How many pushes this filter finds, counted to `at_most`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn count_pushes(&mut self, filter: &PushFilter, at_most: i64) -> Result<i64> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => {
            let mut query = pushes::table.filter(pushes::seller_id.eq(&key)).select(pushes::id).limit(at_most).into_boxed();
            if let Some(state) = filter.state { query = query.filter(pushes::state.eq(state.code())); }
            if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
            if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
            query.load(c)?
        });
        Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX))
    }

    /// Pushes of one run that did not end well, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn failed_of_run(&mut self, run: RunId, limit: i64) -> Result<Vec<Push>> {
        let key = self.key();
        let failed = [PushState::Rejected, PushState::Held, PushState::Cancelled, PushState::Superseded].map(PushState::code);
        let rows: Vec<PushRow> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key))
            .filter(pushes::run_id.eq(run.bytes())).filter(pushes::state.eq_any(failed))
            .order(pushes::id.desc()).limit(limit).load(c))?;
        read_pushes(rows)
    }

    /// These runs with, for each that is still open, how many of its pushes are held.
    ///
    /// # Errors
    /// Those of the database.
    pub fn with_held(&mut self, runs: Vec<Run>) -> Result<Vec<(Run, i64)>> {
        let key = self.key();
        let open: Vec<Vec<u8>> = runs.iter().filter(|run| run.finished_at.is_none()).map(|run| run.id.bytes()).collect();
        let mut held: HashMap<Vec<u8>, i64> = HashMap::new();
        if !open.is_empty() {
            let rows: Vec<(Option<Vec<u8>>, i64)> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key))
                .filter(pushes::run_id.eq_any(open)).filter(is_held())
                .group_by(pushes::run_id).select((pushes::run_id, count_star())).load(c))?;
            held.extend(rows.into_iter().filter_map(|(run, count)| Some((run?, count))));
        }
        let with_held = |run: Run| {
            let held = held.get(&run.id.bytes()).copied().unwrap_or(0);
            (run, held)
        };
        Ok(runs.into_iter().map(with_held).collect())
    }

    /// Pushes that changed after `since`, newest change first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn pushes_changed_since(&mut self, since: Timestamp, limit: i64) -> Result<Vec<Push>> {
        let key = self.key();
        // Two questions, so that each has its index: by seller for what is open, by age for what has ended.
        let mut rows: Vec<PushRow> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key)).filter(is_active())
            .filter(pushes::updated_at.gt(since)).order(pushes::updated_at.desc()).limit(limit).load(c))?;
        rows.extend(on!(self.conn, c => pushes::table.filter(pushes::updated_at.gt(since)).filter(has_ended())
            .filter(pushes::seller_id.eq(&key)).order(pushes::updated_at.desc()).limit(limit).load::<PushRow>(c))?);
        rows.sort_by_key(|row| std::cmp::Reverse(row.updated_at));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        read_pushes(rows)
    }
}
