//! What is loaded and saved as pushes are claimed.
use super::packed::Packed;
use super::standing::Standing;
use crate::db::connection::on;
use crate::db::literal::{Literal, literal};
use crate::db::packs::Which;
use crate::db::pushes::{PushRow, is_claimable, is_in_flight, is_of_kind, is_sending, is_uncertain, nothing_is_in_flight, read_pushes};
use crate::db::schema::pushes;
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant};
use crate::domain::access::Access;
use crate::domain::circuit::probe_is_due;
use crate::domain::claim::outcome::{self, Answer};
use crate::domain::claim::{self, Aimed, ClaimTerms, ClaimedCall, Next, Step, Uncertain, Work};
use crate::domain::delivery::Outcome;
use crate::domain::push::{Push, PushKind, PushState, SendBy};
use crate::domain::retry::RetryPolicy;
use crate::domain::{CallId, ListingId, PushId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use std::collections::{BTreeSet, HashMap};

/// The most pages of one kind to examine in one claim. If no push of a page can be sent, for instance because its listings
/// no longer have a share, the next page is examined.
const PAGES: usize = 4;

/// Pushes that still wait after their listings were read.
pub(super) struct Waiting {
    pub pushes: HashMap<PushId, Push>,
    /// Their listings.
    pub of: Vec<ListingId>,
    /// Those of the listings to which something else is on its way by now.
    pub busy: BTreeSet<ListingId>,
}

impl Tenant<'_> {
    /// Claims the pushes to send to `store` next, or returns the listings that must be read first.
    pub fn next_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Work> {
        let mut standing = self.standing(store, Timestamp::MIN, now)?;
        if standing.probe_at.is_some_and(|at| probe_is_due(at, now)) {
            let row = self.store(store)?;
            if row.write_refused && row.pause(now).is_none() {
                return self.probe_work(store, terms, now);
            }
            if row.write_refused || row.pause(now).is_some() {
                // During a pause nothing shows whether the store lets anybody in again.
                self.put_off_probe(store, now)?;
            } else {
                self.probe_store(&row, now)?;
            }
            standing = self.standing(store, Timestamp::MIN, now)?;
        }
        standing = self.keep_to_pauses(store, standing, now)?;
        if standing.is_held(now) {
            return Ok(Work::Nothing { next_due: standing.probe_at.into_iter().chain(standing.next_change(now)).min() });
        }
        self.due_work(store, terms, standing, false, now)
    }

    /// One write for a store that has refused one, to find out whether it accepts another. As long as none can be sent, because
    /// an earlier request may still arrive or has to be looked into first, the store stays due for one.
    fn probe_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Work> {
        self.probe_by_writing(store, now)?;
        let of_one = ClaimTerms { limit: 1, overwrites_first: true, ..*terms };
        let mut standing = self.standing(store, Timestamp::MIN, now)?;
        if standing.skus_paused && self.hold_paused_skus(store, now)? {
            standing = self.standing(store, Timestamp::MIN, now)?;
        }
        match self.due_work(store, &of_one, standing, true, now)? {
            Work::Nothing { .. } => Ok(Work::Nothing { next_due: Some(self.probe_once_due(store, terms, now)?) }),
            work @ (Work::ReadBack(_) | Work::Look(_)) => {
                self.probe_at(store, now)?;
                Ok(work)
            }
            work => Ok(work),
        }
    }

    /// What is due of a store that may be called; with `is_probe`, only to find out whether it accepts a write.
    fn due_work(&mut self, store: StoreId, terms: &ClaimTerms, standing: Standing, is_probe: bool, now: Timestamp) -> Result<Work> {
        let (probe_at, protects, repeats_skus) = (standing.probe_at, standing.protects(terms), standing.repeats_skus);
        // What is known to be due, until something is changed here.
        let skus_paused = standing.skus_paused;
        let mut known = Some(standing);
        if known.as_ref().is_some_and(|known| known.uncertain) {
            known = None;
            if let Some(work) = self.uncertain_work(store, terms, now)? {
                return Ok(work);
            }
            if skus_paused {
                // What was given up may have left overwrites of them.
                self.hold_paused_skus(store, now)?;
            }
        }
        if terms.overwrites_first
            && !is_probe
            && known.as_ref().is_none_or(|known| known.has_look(now))
            && let Some(work) = self.look_work(store, terms, now)?
        {
            return Ok(work);
        }
        // Whether there may be more that is due, because only so many pages are examined.
        let mut more = false;
        for kind in terms.kinds() {
            let mut pages = 0;
            loop {
                if pages == PAGES {
                    more = true;
                    break;
                }
                pages += 1;
                let is_due = known.as_ref().is_none_or(|known| known.is_due(kind, now));
                let due = if is_due { self.due(store, kind, terms, now)? } else { Vec::new() };
                let found = due.len();
                let page = claim::page_of(due, terms);
                if page.is_empty() {
                    if !kind.is_overwrite() || is_probe || known.as_ref().is_some_and(|known| !known.packed) {
                        break;
                    }
                    match self.claim_packs(store, terms, known.as_ref(), protects, now)? {
                        Packed::Nothing => break,
                        Packed::Send(call) => return Ok(Work::Send(call, Next::Unknown)),
                        Packed::Unpacked => known = None,
                    }
                    continue;
                }
                let of: Vec<ListingId> = page.iter().map(Push::listing_id).collect();
                if known.as_ref().is_none_or(|known| known.packs_sent) && self.unpack_of(&of, Which::Sending)? {
                    known = None;
                    continue;
                }
                let settling = match &known {
                    Some(known) if !known.settling => HashMap::new(),
                    _ => self.settling(store, &terms.policy, now)?,
                };
                let (page, postponed) = claim::postpone(page, &settling, now);
                self.put(&postponed)?;
                if page.is_empty() {
                    continue;
                }
                let has_all = found < terms.rows() && page.len() == found;
                let next = known.as_ref().filter(|_| has_all).map_or(Next::Unknown, |known| known.after_increases(now));
                let work = match claim::next_step(kind, page, &terms.abilities, now) {
                    Step::Aim(page) if protects => Some(self.read_then_overwrite(store, page, repeats_skus, terms)?),
                    Step::Aim(page) => self.claim_overwrites(page, terms, now)?,
                    Step::ReadFirst(page) => Some(Work::ReadFirst(page, next)),
                    Step::Send(page, method) => Some(Work::Send(self.begin(page, CallId::new(now), SendBy::Increase(method), now)?, next)),
                    Step::OverwriteInstead(page, updates) => {
                        self.put(&page)?;
                        self.update_listings(store, updates, now)?;
                        None
                    }
                };
                if let Some(work) = work {
                    return Ok(work);
                }
                known = None;
            }
        }
        if known.as_ref().is_none_or(|known| known.has_look(now))
            && let Some(work) = self.look_work(store, terms, now)?
        {
            return Ok(work);
        }
        if !more
            && !is_probe
            && !terms.overwrites_wait
            && known.is_none_or(|known| known.has_check(now))
            && let Some(work) = self.check_work(store, terms, now)?
        {
            return Ok(work);
        }
        let next_due = if more { Some(now) } else { self.standing(store, now, now)?.first_due() };
        Ok(Work::Nothing { next_due: next_due.into_iter().chain(probe_at).min() })
    }

    /// When this store needs attention next, without the writer's lock: now or earlier if anything is due.
    pub fn next_attention(&mut self, store: StoreId, now: Timestamp) -> Result<Option<Timestamp>> {
        Ok(self.standing(store, Timestamp::MIN, now)?.attention(now))
    }

    /// Uncertain pushes come before anything else of their listings.
    fn uncertain_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Work>> {
        let scope = self.scope();
        let limit = i64::try_from(terms.uncertain_rows()).unwrap_or(i64::MAX);
        loop {
            let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes()))
                .filter(is_in_flight()).filter(literal::<Nullable<BigInt>>("+pushes.due_at").le(now))
                .filter(is_uncertain()).order((pushes::due_at, pushes::call_id, pushes::id)).limit(limit).load(c))?;
            match claim::resolve_uncertain(read_pushes(rows)?, terms, now) {
                None => return Ok(None),
                Some(Uncertain::ReadBack(page)) => return Ok(Some(Work::ReadBack(page))),
                Some(Uncertain::Repeat(call)) => {
                    let page = self.of_call(store, call, is_uncertain())?;
                    return self
                        .begin(page, call, claim::repetition(&terms.abilities), now)
                        .map(|call| Some(Work::Send(call, Next::Unknown)));
                }
                Some(Uncertain::GiveUp(mut page)) => {
                    let before = page.clone();
                    let updates = claim::give_up(&mut page, terms.context(now, 1));
                    self.put(&page)?;
                    // Pushes that were cancelled meanwhile or are too old end here.
                    self.count_run_progress(&before, &page, now)?;
                    self.notify_rejected(store, &before, &page, now)?;
                    self.update_listings(store, updates, now)?;
                }
            }
        }
    }

    /// Due pushes of one kind, of listings with nothing in flight.
    fn due(&mut self, store: StoreId, kind: PushKind, terms: &ClaimTerms, now: Timestamp) -> Result<Vec<Push>> {
        let scope = self.scope();
        let limit = i64::try_from(terms.rows()).unwrap_or(i64::MAX);
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes()
            .filter(pushes::store_id.eq(store.bytes())).filter(pushes::due_at.le(now))
            .filter(is_claimable()).filter(is_of_kind(kind)).filter(nothing_is_in_flight())
            .order((pushes::due_at, pushes::call_id, pushes::id)).limit(limit).load(c))?;
        read_pushes(rows)
    }

    fn begin(&mut self, mut page: Vec<Push>, id: CallId, by: SendBy, now: Timestamp) -> Result<ClaimedCall> {
        let call = claim::begin(&mut page, id, by, now)?;
        self.put_sending(&page)?;
        Ok(call)
    }

    /// Reads the targets and, in the same transaction, supersedes the waiting increases contained in them.
    fn claim_overwrites(&mut self, page: Vec<Push>, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Work>> {
        let of: Vec<ListingId> = page.iter().map(Push::listing_id).collect();
        let (mut page, mut targets) = (page, self.targets_of(&of)?);
        let left = self.aim_back(&mut page, &mut targets, now)?;
        let mut aimed = claim::aim(page, &targets, now);
        aimed.prepend(left);
        let by = SendBy::Overwrite(claim::overwrite_resolution(&terms.abilities));
        Ok(self.send_aimed(aimed, by, now)?.map(|call| Work::Send(call, Next::Unknown)))
    }

    /// Sends overwrites that have their numbers, and supersedes the waiting increases contained in them.
    pub(super) fn send_aimed(&mut self, mut aimed: Aimed, by: SendBy, now: Timestamp) -> Result<Option<ClaimedCall>> {
        let of: Vec<ListingId> = aimed.claimed.iter().map(Push::listing_id).collect();
        let mut ended = aimed.cancelled;
        let contained = claim::contained(self.waiting_increases(&of)?, now);
        claim::note_contained(&mut aimed.claimed, &contained);
        ended.extend(contained);
        self.put(&ended)?;
        self.count_run_progress(&aimed.before, &ended, now)?;
        if aimed.claimed.is_empty() {
            return Ok(None);
        }
        // What was given up is part of a target, not of what an undo brings back.
        self.unmark(&aimed.claimed.iter().filter(|push| push.undo().is_none()).map(Push::listing_id).collect::<Vec<_>>())?;
        self.begin(aimed.claimed, CallId::new(now), by, now).map(Some)
    }

    /// Claims increases whose listings were read: `outcome` is the answer to a read of `page`'s listings, in order.
    pub fn claim_after_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        outcome: &Outcome,
        raw: Option<&str>,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<Option<ClaimedCall>> {
        let Some(method) = terms.abilities.increase_method() else { return Ok(None) };
        // A store that has refused a write stays held while the push that was released to find out is sent.
        let standing = self.standing(store, now, now)?;
        if standing.accepts_nothing(now) {
            return Ok(None);
        }
        if standing.skus_paused {
            self.hold_paused_skus(store, now)?;
        }
        let Waiting { pushes: waiting, of, busy } = self.still_waiting(store, page, &standing)?;
        let accounts = self.accounts(of.into_iter().filter(|listing| !busy.contains(listing)))?;
        let after = outcome::after_read(page, waiting, &busy, &accounts, Answer { outcome, raw, now }, terms);
        self.put(&after.others)?;
        self.notify_rejected(store, &[], &after.others, now)?;
        self.note_outcome(store, outcome, now)?;
        let in_contradiction: Vec<ListingId> =
            after.updates.iter().filter(|(_, update)| update.heal.is_some()).map(|(id, _)| *id).collect();
        self.update_listings(store, after.updates, now)?;
        if after.claimed.is_empty() {
            if standing.write_refused && Access::after(outcome, false) == Access::Unknown {
                // Nothing is sent, so it is still to be found out whether the store accepts a write.
                self.release_overwrites(&in_contradiction, now)?;
                self.probe_once_due(store, terms, now)?;
            }
            return Ok(None);
        }
        self.begin(after.claimed, CallId::new(now), SendBy::Increase(method), now).map(Some)
    }

    /// Returns a claimed call of which not one byte was sent.
    pub fn release_call(&mut self, store: StoreId, id: CallId, now: Timestamp) -> Result<()> {
        let packs = self.packs_sent_by(store, id)?;
        self.unpack(&packs)?;
        let mut page = self.of_call(store, id, is_sending())?;
        let before = page.clone();
        page.iter_mut().for_each(|push| push.give_back(now));
        self.put(&page)?;
        self.count_run_progress(&before, &page, now)?;
        self.line_up(store, &page, now)?;
        self.probe_again(store, now)
    }

    /// A push that is `sending` although nothing here is sending it was cut off by a crash or by a lost answer from the
    /// database: it becomes `uncertain`. Returns the number of such pushes.
    pub fn recover_store(&mut self, store: StoreId, under_way: &[CallId], policy: &RetryPolicy, now: Timestamp) -> Result<usize> {
        let mut packs = self.sending_packs(store)?;
        packs.retain(|pack| pack.call_id.is_none_or(|id| !under_way.contains(&id)));
        self.unpack(&packs)?;
        let mut lost = self.sending(store)?;
        lost.retain(|push| push.call_id().is_none_or(|id| !under_way.contains(&id)));
        lost.iter_mut().for_each(|push| push.crashed(now, policy));
        self.put(&lost)?;
        Ok(lost.len())
    }

    /// Whether [`Self::recover_store`] would find any.
    pub fn has_lost_pushes(&mut self, store: StoreId, under_way: &[CallId]) -> Result<bool> {
        let scope = self.scope();
        let mut calls: Vec<Option<Vec<u8>>> = on!(self.conn, c => scope.pushes().select(pushes::call_id)
            .filter(pushes::store_id.eq(store.bytes())).filter(is_in_flight()).filter(is_sending()).load(c))?;
        calls.extend(self.calls_of_packs(store)?);
        Ok(calls.iter().any(|call| !under_way.iter().any(|id| call.as_deref() == Some(&id.bytes()[..]))))
    }

    /// Pushes of one call in this state, `sending` or `uncertain`, in the order of its items.
    pub(super) fn of_call(&mut self, store: StoreId, call: CallId, state: Literal<Bool>) -> Result<Vec<Push>> {
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(state).filter(pushes::call_id.eq(call.bytes())).load(c))?;
        read_in_order(rows)
    }

    fn sending(&mut self, store: StoreId) -> Result<Vec<Push>> {
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(is_sending()).load(c))?;
        read_in_order(rows)
    }

    /// The pushes of a page whose listings were read that still wait.
    pub(super) fn still_waiting(&mut self, store: StoreId, page: &[PushId], standing: &Standing) -> Result<Waiting> {
        // What was held meanwhile because its SKU was paused stays here.
        let pushes = self.still(store, page, |state| state.is_waiting() && !(standing.skus_paused && state.is_held()))?;
        let of: Vec<ListingId> = pushes.values().map(Push::listing_id).collect();
        if standing.packs_sent {
            self.unpack_of(&of, Which::Sending)?;
        }
        let busy = self.in_flight_among(&of)?;
        Ok(Waiting { pushes, of, busy })
    }

    /// Those of these listings to which something is on its way, apart from what is in packs.
    pub(super) fn in_flight_among(&mut self, of: &[ListingId]) -> Result<BTreeSet<ListingId>> {
        let active = self.active_alone(of)?;
        Ok(active.iter().filter(|p| p.state().is_in_flight()).map(Push::listing_id).collect())
    }

    pub(super) fn still(&mut self, store: StoreId, ids: &[PushId], wanted: impl Fn(PushState) -> bool) -> Result<HashMap<PushId, Push>> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.bytes()).collect();
        let rows: Vec<PushRow> =
            on!(self.conn, c => scope.pushes().filter(among_ids(pushes::id, ids)).filter(pushes::store_id.eq(store.bytes())).load(c))?;
        Ok(read_pushes(rows)?.into_iter().filter(|push| wanted(push.state())).map(|push| (push.id(), push)).collect())
    }
}

/// Sorts by id. To return them in order, SQLite would scan all the pushes that the store ever had.
pub(super) fn read_in_order(rows: Vec<PushRow>) -> Result<Vec<Push>> {
    let mut read = read_pushes(rows)?;
    read.sort_unstable_by_key(Push::id);
    Ok(read)
}
