//! What is loaded and saved as packs are claimed and finished. Whatever is not simple is left to the delivery of single pushes:
//! the packs concerned are unpacked first.
use super::standing::Standing;
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::pushes::{is_active, is_rejected_increase};
use crate::db::schema::{listings, pushes};
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of};
use crate::domain::access::Access;
use crate::domain::claim::outcome::{self, Answer};
use crate::domain::claim::{self, ClaimTerms, ClaimedCall};
use crate::domain::pack::{self, Next, Pack};
use crate::domain::push::{Addressee, ListingUpdate, Push};
use crate::domain::run::Progress;
use crate::domain::undo::Replaced;
use crate::domain::{CallId, ListingId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What was done about the packs of a store.
pub(super) enum Packed {
    /// None can be sent now.
    Nothing,
    /// Some were unpacked.
    Unpacked,
    /// Send this call.
    Send(ClaimedCall),
}

impl Tenant<'_> {
    /// Claims the next packs of a store, none of whose single overwrites is due. `known` is how the store stands, unless
    /// something was changed since; packs of a store that `protects` its unseen sales are unpacked.
    pub(super) fn claim_packs(
        &mut self,
        store: StoreId,
        terms: &ClaimTerms,
        known: Option<&Standing>,
        protects: bool,
        now: Timestamp,
    ) -> Result<Packed> {
        let queued = self.queued_packs(store, terms.limit)?;
        let Some(run) = queued.first().map(|pack| pack.run_id) else { return Ok(Packed::Nothing) };
        // A run has each listing once, but two runs may have the same one.
        if known.is_none_or(|known| known.packs_sent) && self.runs_being_sent(store)?.iter().any(|other| *other != run) {
            return Ok(Packed::Nothing);
        }
        if protects {
            // Each of them is read, and sent with what it was found to show.
            return self.unpacked(&queued);
        }
        let (mut page, rest) = match pack::next_call(queued, terms) {
            None => return Ok(Packed::Nothing),
            Some(Next::Unpack(pack)) => return self.unpacked(&[pack]),
            Some(Next::Send(page, rest)) => (page, rest),
        };
        if let Some(rest) = rest {
            self.put_packs(page.last().map(std::slice::from_ref).unwrap_or_default())?;
            self.put_packs(&[rest])?;
        }
        let of: Vec<ListingId> = page.iter().flat_map(|pack| &pack.items).map(|to| to.listing_id).collect();
        let mut apart: BTreeSet<ListingId> = BTreeSet::new();
        if known.is_none_or(|known| known.settling) {
            apart.extend(self.settling(store, &terms.policy, now)?.into_keys());
        }
        if known.is_none_or(Standing::has_active) {
            apart.extend(self.with_active(&of)?);
        }
        let paired: Vec<&Addressee> = page.iter().flat_map(|pack| &pack.items).collect();
        let targets = self.targets_of_paired(&paired)?;
        apart.extend(of.iter().filter(|listing| targets.get(listing).copied().flatten().is_none()));
        let (unpacked, rest): (Vec<Pack>, Vec<Pack>) = page.into_iter().partition(|pack| pack.concerns(&apart));
        if !unpacked.is_empty() {
            return self.unpacked(&unpacked);
        }
        page = rest;
        if known.is_none_or(|known| known.marked) {
            self.unmark(&of)?;
        }
        let (id, by) = (CallId::new(now), claim::overwrite_resolution(&terms.abilities));
        let call = pack::begin(&mut page, id, &targets, by, now)?;
        self.put_begun_packs(&page)?;
        Ok(Packed::Send(call))
    }

    fn unpacked(&mut self, packs: &[Pack]) -> Result<Packed> {
        self.unpack(packs)?;
        Ok(Packed::Unpacked)
    }

    /// Those of these listings that have active pushes outside packs.
    fn with_active(&mut self, of: &[ListingId]) -> Result<Vec<ListingId>> {
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let found: Vec<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::listing_id)
            .filter(among_ids(pushes::listing_id, ids)).filter(is_active()).load(c))?;
        found.iter().map(|id| id_of(id, ListingId::from_bytes, "pushes.listing_id")).collect()
    }

    /// The target of each of these listings was read: whatever was given up is part of it.
    pub(super) fn unmark(&mut self, of: &[ListingId]) -> Result<()> {
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        on!(self.conn, c => kept(diesel::update(scope.listings().filter(among_ids(listings::id, ids.clone())).filter(listings::marked))
            .set(listings::marked.eq(false))).run(c))?;
        Ok(())
    }

    /// Applies the outcome of a call to the packs that it carries, if that is nothing but success, or that it came a little too early.
    /// Otherwise unpacks them, so that their pushes are found like any others. Returns how many pushes were confirmed; `None` if
    /// none are in packs any more.
    pub(super) fn finish_packs(&mut self, store: StoreId, id: CallId, answer: Answer<'_>, terms: &ClaimTerms) -> Result<Option<usize>> {
        let mut packs = self.packs_sent_by(store, id)?;
        if packs.is_empty() {
            return Ok(None);
        }
        if pack::wait_again(&mut packs, answer.outcome, answer.now) {
            self.put_packs(&packs)?;
            self.note_access(store, Access::after(answer.outcome, true), answer.now)?;
            if self.store(store)?.is_held(answer.now) {
                self.hold_store(store, answer.now)?;
            }
            return Ok(Some(0));
        }
        let mut page: Vec<Push> = Vec::new();
        for pack in &packs {
            page.extend(pack.pushes()?);
        }
        let accounts = self.accounts(page.iter().map(Push::listing_id))?;
        let updates = outcome::finish(&mut page, &accounts, answer, terms);
        let is_plain = |update: &ListingUpdate| {
            let ListingUpdate { shown, before, expected, set_by, .. } = *update;
            *update == ListingUpdate { shown, before, expected, set_by, ..ListingUpdate::default() }
        };
        if !page.iter().all(Push::is_confirmed) || !updates.iter().all(|(_, update)| is_plain(update)) {
            self.unpack(&packs)?;
            return Ok(None);
        }
        let replaced: Vec<Replaced> = page.iter().map(|push| *push.replaced()).collect();
        self.confirm_packs(&packs, &replaced, answer.now)?;
        let mut done: BTreeMap<RunId, Progress> = BTreeMap::new();
        for pack in &packs {
            done.entry(pack.run_id).or_default().done += i64::try_from(pack.len()).unwrap_or_default();
        }
        for (run, progress) in done {
            self.add_progress(run, progress, answer.now)?;
        }
        self.update_listings(store, updates, answer.now)?;
        if self.has_rejected_increases()? {
            self.note_contained(&outcome::overwritten(&page))?;
        }
        self.note_success(store, answer.now)?;
        Ok(Some(page.len()))
    }

    fn has_rejected_increases(&mut self) -> Result<bool> {
        let key = self.key();
        let answer: Found = on!(self.conn, c => kept(diesel::sql_query(REJECTED.as_str()).bind::<Binary, _>(&key)).get_result(c))?;
        Ok(answer.found)
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Whether a seller ($1) has rejected increases.
static REJECTED: LazyLock<String> =
    LazyLock::new(|| format!("SELECT EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND {}) AS found", is_rejected_increase().sql()));
