//! Runs that undo others, as rows: the overwrites that they take back, page by page. [`undo_run`](crate::domain::undo_run) decides.
use super::row::{filter_from_json, word_of};
use super::weighing::WeighPage;
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::literal::literal;
use crate::db::packs::{PackFilter, with_packed};
use crate::db::pushes::{CONFIRMED, PushRow, read_pushes, state_of};
use crate::db::schema::{listings, push_packs, pushes, sync_runs};
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of, units_of};
use crate::domain::guard::Guard;
use crate::domain::push::{Addressee, Push};
use crate::domain::run::{EXPAND_PAGE, Expansion, Run, RunFilter};
use crate::domain::undo::Found;
use crate::domain::undo_run::{Listed, Undone, next_page};
use crate::domain::{ListingId, PushId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::SmallInt;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Overwrites of a run, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndonePage {
    /// Those whose listings still exist.
    pub undone: Vec<Undone>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PushId>,
}

impl UndonePage {
    /// Whether there is nothing left to undo, neither here nor on another page.
    pub fn is_empty(&self) -> bool {
        self.undone.is_empty() && self.next.is_none()
    }
}

impl Tenant<'_> {
    /// Starts a run that undoes this one.
    pub fn start_undo(&mut self, of: &Run, now: Timestamp) -> Result<Run> {
        let (scope, covered) = (self.scope(), self.stores_of_run(of)?);
        let undone = scope.sync_runs().filter(sync_runs::id.eq(of.id.bytes()));
        let run = Run::undo(of.id, now);
        // A former version that goes on with it finds no listing of no SKU.
        self.insert_run(&run, &RunFilter { skus: Some(Vec::new()), ..covered })?;
        on!(self.conn, c => kept(diesel::update(undone).set(sync_runs::undone_by.eq(Some(run.id.bytes())))).run(c))?;
        Ok(run)
    }

    /// The stores that a run covers, without its SKUs.
    fn stores_of_run(&mut self, of: &Run) -> Result<RunFilter> {
        let scope = self.scope();
        let filter: Option<String> =
            on!(self.conn, c => scope.sync_runs().filter(sync_runs::id.eq(of.id.bytes())).select(sync_runs::filter).get_result(c))?;
        let filter = filter.as_deref().map(filter_from_json).transpose()?.unwrap_or_default();
        Ok(RunFilter { store_ids: of.store_id.map(|store| vec![store]).or(filter.store_ids), skus: None })
    }

    /// The stores of which this run has overwritten listings.
    pub fn stores_overwritten_by(&mut self, run: RunId) -> Result<BTreeSet<StoreId>> {
        let scope = self.scope();
        let confirmed = || literal::<SmallInt>("+state").eq(CONFIRMED);
        let mut found: Vec<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::store_id).distinct()
            .filter(pushes::run_id.eq(run.bytes())).filter(confirmed()).load(c))?;
        found.extend(on!(self.conn, c => scope.push_packs().select(push_packs::store_id).distinct()
            .filter(push_packs::run_id.eq(run.bytes())).filter(confirmed()).load::<Vec<u8>>(c))?);
        found.iter().map(|id| id_of(id, StoreId::from_bytes, "pushes.store_id")).collect()
    }

    /// The next overwrites of this run that were confirmed, newest first, starting below `after`.
    pub fn undone_page(&mut self, of: RunId, after: Option<PushId>, limit: i64) -> Result<UndonePage> {
        let filter = PackFilter { states: state_of(CONFIRMED).into_iter().collect(), run: Some(of), ..PackFilter::default() };
        let packed = self.packed_pushes(&filter, after, limit)?;
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => {
            // Not by the state, nor by the id alone, by whose indexes SQLite would scan all the pushes that the seller ever had.
            let mut query = scope.pushes().filter(pushes::run_id.eq(of.bytes())).filter(literal::<SmallInt>("+pushes.state").eq(CONFIRMED))
                .order((pushes::kind, pushes::id.desc())).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(pushes::id.lt(after.bytes())); }
            query.load(c)?
        });
        let mut page = with_packed(read_pushes(rows)?, packed);
        page.sort_unstable_by_key(|push| std::cmp::Reverse(push.id()));
        page.truncate(usize::try_from(limit).unwrap_or_default());
        let is_last = i64::try_from(page.len()).is_ok_and(|pushes| pushes < limit);
        let next = page.last().map(Push::id).filter(|_| !is_last);
        let mut listed = self.listed_now(&page.iter().map(Push::listing_id).collect::<Vec<_>>())?;
        let undone = page.into_iter().filter_map(|push| Some(Undone { listed: listed.remove(&push.listing_id())?, push }));
        Ok(UndonePage { undone: undone.collect(), next })
    }

    fn listed_now(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Listed>> {
        type Row = ((Vec<u8>, Vec<u8>, String, String, Option<String>), Option<i64>, Option<Vec<u8>>, i64, i64, i64);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let to = (listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra);
        let columns = (to, listings::shown, listings::set_by, listings::sold, listings::increased, listings::units);
        let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids)).select(columns).load(c))?;
        let read = |((id, store, sku, external_id, extra), shown, set_by, sold, increased, units): Row| {
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            let set_by = set_by.map(|id| id_of(&id, PushId::from_bytes, "listings.set_by")).transpose()?;
            let found = Found { set_by, sold, increased, waiting: 0, units: units_of(units)? };
            Ok((listing_id, Listed { to: Addressee { store_id, listing_id, sku, external_id, extra }, shown, found }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Turns the next page of overwrites of the run that this one undoes into overwrites that take them back.
    pub(super) fn expand_undo(&mut self, of: Expansion, undone: RunId, now: Timestamp) -> Result<()> {
        let Expansion { mut run, expanded_to, .. } = of;
        let state_before = run.state;
        // Of such a run, that is a push.
        let page = self.undone_page(undone, expanded_to.map(|id| PushId(id.0)), EXPAND_PAGE)?;
        let held = self.held_stores(page.undone.iter().map(|undone| undone.listed.to.store_id), now)?;
        let made = next_page(&mut run, page.undone, page.next.is_none(), &held, now);
        self.put(&made)?;
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.sync_runs().filter(sync_runs::id.eq(run.id.bytes())))
            .set((sync_runs::total.eq(run.total), sync_runs::failed.eq(run.failed), sync_runs::expanded.eq(run.expanded),
                sync_runs::expanded_to.eq(page.next.map(|id| id.bytes())), sync_runs::state.eq(word_of(run.state)),
                sync_runs::finished_at.eq(run.finished_at)))).run(c))?;
        self.notify_of_run(state_before, &run, now)
    }

    /// As far as they matter to this guard, the listings that an undo of this run would set back.
    pub(super) fn weigh_undo(&mut self, of: RunId, guard: Guard, after: Option<Uuid>) -> Result<WeighPage> {
        let page = self.undone_page(of, after.map(PushId), EXPAND_PAGE)?;
        let weight = |undone: &Undone| {
            let shown = undone.listed.shown.filter(|shown| guard.concerns(*shown))?;
            Some((undone.listed.to.store_id, shown, undone.restored().ok().map(|restored| restored.target(0))))
        };
        Ok(WeighPage { listings: page.undone.iter().filter_map(weight).collect(), next: page.next.map(|id| id.0) })
    }
}
