//! Looks: listings that are read although nothing is to be sent to them, because a request that was given up may have
//! arrived, or because they are owed what the platform refused.
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::schema::listings;
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of};
use crate::domain::claim::outcome::{self, Answer};
use crate::domain::claim::{self, ClaimTerms, Work};
use crate::domain::delivery::Outcome;
use crate::domain::push::{Addressee, LatestNumbers, ListingUpdate, Push};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::BTreeSet;

impl Tenant<'_> {
    /// The listings to look at now. Nothing is looked at while auto-sync is off, for nothing would follow from it. If these needed no
    /// read, the store is due again at once: for those after them, and for what was queued instead.
    pub(super) fn look_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Work>> {
        let scope = self.scope();
        let limit = i64::try_from(terms.rows()).unwrap_or(i64::MAX);
        let due: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(store.bytes()))
            .filter(listings::look_at.le(now)).order(listings::look_at).limit(limit).load(c))?;
        if due.is_empty() {
            return Ok(None);
        }
        let due = due.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect::<Result<Vec<_>>>()?;
        if !self.sync_settings()?.auto_sync {
            self.end_looks(&due)?;
            return Ok(Some(Work::Nothing { next_due: Some(now) }));
        }
        if !terms.abilities.read {
            let accounts = self.accounts(due.iter().copied())?;
            self.end_looks(&due)?;
            self.update_listings(store, outcome::looked_blindly(&due, &accounts), now)?;
            return Ok(Some(Work::Nothing { next_due: Some(now) }));
        }
        let mut found = self.addressees(&due)?;
        let due: Vec<Addressee> = due.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Some(Work::Look(claim::look_page(due, terms))))
    }

    /// Saves what a look found: `outcome` is the answer to a read of `page`, in order.
    pub fn finish_look(&mut self, store: StoreId, page: &[ListingId], outcome: &Outcome, now: Timestamp) -> Result<()> {
        let active = self.active_pushes(page)?;
        let busy: BTreeSet<ListingId> = active.iter().map(Push::listing_id).collect();
        let accounts = self.accounts(page.iter().copied())?;
        let updates = outcome::looked(page, &busy, &accounts, Answer { outcome, raw: None, now });
        self.end_looks(page)?;
        self.note_outcome(store, outcome, now)?;
        self.update_listings(store, updates, now)
    }

    fn end_looks(&mut self, of: &[ListingId]) -> Result<()> {
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        on!(self.conn, c => kept(diesel::update(scope.listings().filter(among_ids(listings::id, ids.clone())))
            .set(listings::look_at.eq(None::<Timestamp>))).run(c))?;
        Ok(())
    }

    /// Saves what an answer says about late requests, about what is owed, and about the next look.
    pub(super) fn note_look(&mut self, id: &[u8], update: &ListingUpdate, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.listings().filter(listings::id.eq(id));
        if let Some(number) = update.late {
            // None of its own: the listing may have been unpaired in the meantime.
            let known: Option<Option<String>> = on!(self.conn, c => one().select(listings::late_numbers).get_result(c).optional())?;
            let known = known.flatten();
            let numbers = known.as_deref().map(LatestNumbers::parse).unwrap_or_default().with(number).text();
            on!(self.conn, c => kept(diesel::update(one()).set(listings::late_numbers.eq(numbers))).run(c))?;
        }
        if update.owed {
            on!(self.conn, c => kept(diesel::update(one().filter(listings::owed_since.is_null())).set(listings::owed_since.eq(now))).run(c))?;
        }
        if update.settled {
            on!(self.conn, c => kept(diesel::update(one()).set(listings::owed_since.eq(None::<Timestamp>))).run(c))?;
        }
        if update.look_at.is_some() {
            on!(self.conn, c => kept(diesel::update(one()).set(listings::look_at.eq(update.look_at))).run(c))?;
        }
        Ok(())
    }
}
