//! Claiming and finishing pushes: the only place where a push gets on its way and comes back.
//!
//! [`Tenant::next_work`] claims; a claimed push is `sending` in the database before its first byte leaves.
//! [`Tenant::finish_call`] takes in the outcome. Both are idempotent by the call's id, so an answer of the database
//! that was lost is harmless: what is `sending` without anybody sending it becomes `uncertain` and is found out.
use super::connection::{Backend, on};
use super::literal::{Literal, is, literal};
use super::pushes::{PushRow, is_in_flight, is_of_kind, is_sending, is_uncertain, read_pushes};
use super::schema::{listings, pushes, stock_levels, stores};
use super::stores::Store;
use super::{Error, Result, Tenant, id_of};
use crate::domain::delivery::{Abilities, ItemResult, Method, Outcome, Resolution};
use crate::domain::push::{Account, ListingChange, Push, PushKind, PushState, Settling, Verdict, verdicts};
use crate::domain::retry::RetryPolicy;
use crate::domain::stock::Levels;
use crate::domain::{CallId, ListingId, PushId, StoreId, Timestamp, WarehouseCode};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How many pushes are looked at for those that go into one call together.
const GROUP_AMONG: usize = 1000;
/// Marked listings that are healed in one step.
const HEAL_PAGE: i64 = 500;
/// How often `last_success_at` is written.
const SUCCESS_EVERY: Duration = Duration::from_secs(30);
/// The pause before refused credentials, or a store with marked listings, are tried again by themselves.
const PROBE_AFTER: Duration = Duration::from_secs(15 * 60);

/// What the next call may look like.
#[derive(Debug, Clone, Copy)]
pub struct ClaimPlan {
    /// What the store can do.
    pub abilities: Abilities,
    /// The most items.
    pub limit: usize,
    /// The listing's own field that all items of one call must share, where the platform takes no others together.
    pub group_by: Option<&'static str>,
    /// Overwrites first this time, so that increases without end do not starve a run.
    pub overwrites_first: bool,
    /// The retry policy.
    pub policy: RetryPolicy,
    /// The draw for backoff.
    pub jitter: f64,
}

/// A call that is `sending` in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedCall {
    /// Its id.
    pub id: CallId,
    /// Relative or absolute; all of one kind.
    pub kind: PushKind,
    /// How increases are brought to the platform.
    pub method: Method,
    /// What it carries, in the order of their ids, which is the order of the call's items.
    pub pushes: Vec<Push>,
}

/// What there is to do for a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing now; something at this instant.
    Nothing {
        /// When the next one is due.
        next_due: Option<Timestamp>,
    },
    /// Send this.
    Send(ClaimedCall),
    /// Read what these listings show, then claim them by [`Tenant::claim_after_read`].
    ReadFirst(Vec<Push>),
    /// Read what these listings show, then decide by [`Tenant::decide_by_read`].
    ReadBack(Vec<Push>),
}

/// What became of a store by an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finished {
    /// Pushes confirmed.
    pub confirmed: usize,
}

struct ListingRow {
    account: Account,
    sku: String,
    store_id: StoreId,
    external_id: String,
    extra: Option<String>,
}

impl Tenant<'_> {
    /// Claims what is to be sent next to `store`, or says what must be read first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn next_work(&mut self, store: StoreId, plan: &ClaimPlan, now: Timestamp) -> Result<Work> {
        let mut row = self.store(store)?;
        if row.probe_at.is_some_and(|at| at <= now) {
            self.probe_store(&row, now)?;
            row = self.store(store)?;
        }
        if row.is_held() {
            return Ok(Work::Nothing { next_due: row.probe_at });
        }
        if let Some(work) = self.uncertain_work(store, plan, now)? {
            return Ok(work);
        }
        // Overwrites are looked at behind increases in any case: an increase that cannot be sent becomes one.
        let kinds = [PushKind::Overwrite, PushKind::Increase, PushKind::Overwrite];
        for kind in kinds.into_iter().skip(usize::from(!plan.overwrites_first)) {
            // Claiming may find that a page cannot be sent at all (no share any more): then the next page is looked at.
            for _ in 0..4 {
                let waiting = self.waiting(store, kind, plan, now)?;
                if waiting.is_empty() {
                    break;
                }
                let waiting = self.postpone(store, waiting, now)?;
                if waiting.is_empty() {
                    continue;
                }
                let work = match kind {
                    PushKind::Overwrite => self.claim_overwrites(waiting, plan, now)?,
                    PushKind::Increase => self.claim_increases(waiting, plan, now)?,
                };
                if let Some(work) = work {
                    return Ok(work);
                }
            }
        }
        let next_due = self.next_due(store, now)?;
        Ok(Work::Nothing { next_due: next_due.into_iter().chain(row.probe_at).min() })
    }

    /// Whether anything is due for this store, and if not, when: without the writer's lock.
    ///
    /// # Errors
    /// Those of the database.
    pub fn peek_work(&mut self, store: StoreId, now: Timestamp) -> Result<(bool, Option<Timestamp>)> {
        let probe_at = self.store(store)?.probe_at;
        let next_due = self.next_due(store, Timestamp::MIN)?.into_iter().chain(probe_at).min();
        Ok((next_due.is_some_and(|at| at <= now), next_due))
    }

    /// When the first push of this store is due behind `after`. Asked kind by kind, as their index stands.
    fn next_due(&mut self, store: StoreId, after: Timestamp) -> Result<Option<Timestamp>> {
        let key = self.key();
        let mut first = None;
        for kind in [PushKind::Increase, PushKind::Overwrite] {
            let due: Option<Timestamp> = on!(self.conn, c => pushes::table.select(diesel::dsl::min(pushes::due_at))
                .filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes()))
                .filter(is_of_kind(kind)).filter(pushes::due_at.gt(after)).get_result(c))?;
            first = first.into_iter().chain(due).min();
        }
        Ok(first)
    }

    /// What is perhaps applied comes before everything else of its listing.
    fn uncertain_work(&mut self, store: StoreId, plan: &ClaimPlan, now: Timestamp) -> Result<Option<Work>> {
        let key = self.key();
        let limit = i64::try_from(plan.limit.max(1000)).unwrap_or(i64::MAX);
        let rows: Vec<PushRow> = on!(self.conn, c => pushes::table
            .filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(literal::<Nullable<BigInt>>("+pushes.due_at").le(now))
            .filter(is_uncertain()).order((pushes::due_at, pushes::call_id, pushes::id)).limit(limit).load(c))?;
        let mut found = read_pushes(rows)?;
        let Some(first) = found.first().cloned() else { return Ok(None) };
        match (first.resolution_at(&plan.abilities, now), first.call_id) {
            (Resolution::SameCallAgain, Some(call_id)) => {
                // All of the call that are still uncertain, due or not: under one key there is one call.
                let mut same = self.of_call(store, call_id, is_uncertain())?;
                let method = if first.base.is_some() { Method::CompareAndSet } else { Method::KeyedAdjust };
                Ok(Some(Work::Send(self.begin(&mut same, call_id, first.kind, method, now)?)))
            }
            (Resolution::ReadBack, _) => {
                let group = |p: &Push| plan.group_by.map(|field| p.extra_field(field));
                let of_first = group(&first);
                found.retain(|push| push.resolution_at(&plan.abilities, now) == Resolution::ReadBack && group(push) == of_first);
                found.truncate(found.iter().filter_map(batch_limit).min().unwrap_or(usize::MAX).min(plan.limit));
                Ok(Some(Work::ReadBack(found)))
            }
            _ => {
                let mut changes = Vec::new();
                found.retain(|push| push.resolution_at(&plan.abilities, now) == Resolution::Overwrite || push.call_id.is_none());
                let before = found.clone();
                for push in &mut found {
                    changes.push((push.listing_id, push.repeat_or_overwrite(settling(plan, now, 1))));
                }
                self.put(&found)?;
                // One that was called off meanwhile, or is too old, ends here.
                self.count_run_progress(&before, &found, now)?;
                self.change_listings(store, changes, now)?;
                self.uncertain_work(store, plan, now)
            }
        }
    }

    /// What is due of one kind and goes into one call: of listings with nothing on its way, one push a listing.
    fn waiting(&mut self, store: StoreId, kind: PushKind, plan: &ClaimPlan, now: Timestamp) -> Result<Vec<Push>> {
        let key = self.key();
        // Where only some go together, those are looked for among more.
        let rows = if plan.group_by.is_some() { plan.limit.max(GROUP_AMONG) } else { plan.limit };
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        let rows: Vec<PushRow> = on!(self.conn, c => {
            let other = diesel::alias!(pushes as other);
            pushes::table
                .filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes())).filter(pushes::due_at.le(now))
                .filter(is("pushes.state IN (0, 3)")).filter(is_of_kind(kind))
                .filter(diesel::dsl::not(diesel::dsl::exists(other
                    .filter(other.field(pushes::seller_id).eq(pushes::seller_id))
                    .filter(other.field(pushes::listing_id).eq(pushes::listing_id))
                    .filter(is("other.state IN (0, 1, 3, 4, 6) AND other.state IN (1, 4)")))))
                .order((pushes::due_at, pushes::call_id, pushes::id)).limit(limit).load(c)?
        });
        let mut page: Vec<Push> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut most = plan.limit.max(1);
        let mut group = None;
        for push in read_pushes(rows)? {
            let own = plan.group_by.map(|field| push.extra_field(field));
            if *group.get_or_insert_with(|| own.clone()) != own {
                continue;
            }
            most = most.min(batch_limit(&push).unwrap_or(usize::MAX));
            if page.len() >= most {
                break;
            }
            if seen.insert(push.listing_id) {
                page.push(push);
            }
        }
        Ok(page)
    }

    /// Has pushes of listings that are settling wait until then; the others stay.
    fn postpone(&mut self, store: StoreId, mut waiting: Vec<Push>, now: Timestamp) -> Result<Vec<Push>> {
        let key = self.key();
        let rows: Vec<(Vec<u8>, Option<Timestamp>)> = on!(self.conn, c => listings::table.select((listings::id, listings::settles_at))
            .filter(listings::seller_id.eq(&key)).filter(listings::store_id.eq(store.bytes())).filter(listings::settles_at.gt(now)).load(c))?;
        let settles_at: HashMap<Vec<u8>, Option<Timestamp>> = rows.into_iter().collect();
        let mut later: Vec<Push> = waiting.extract_if(.., |push| settles_at.contains_key(&push.listing_id.bytes())).collect();
        for push in &mut later {
            push.due_at = settles_at.get(&push.listing_id.bytes()).copied().flatten();
        }
        self.put(&later)?;
        Ok(waiting)
    }

    fn begin(&mut self, page: &mut Vec<Push>, id: CallId, kind: PushKind, method: Method, now: Timestamp) -> Result<ClaimedCall> {
        page.sort_unstable_by_key(|push| push.id);
        for push in page.iter_mut() {
            push.state = PushState::Sending;
            push.attempts = push.attempts.saturating_add(1);
            push.call_id = Some(id);
            push.due_at = None;
            push.updated_at = now;
        }
        self.put_sending(page)?;
        Ok(ClaimedCall { id, kind, method, pushes: std::mem::take(page) })
    }

    fn claim_increases(&mut self, mut page: Vec<Push>, plan: &ClaimPlan, now: Timestamp) -> Result<Option<Work>> {
        match plan.abilities.increase_method() {
            Some(method) if method.reads_first() => Ok(Some(Work::ReadFirst(page))),
            Some(method) => {
                page.iter_mut().for_each(|push| push.resolution = Some(method.resolution()));
                self.begin(&mut page, CallId::new(now), PushKind::Increase, method, now).map(|call| Some(Work::Send(call)))
            }
            None => {
                // It can neither add nor be read: only the target can be brought there.
                let store = page.first().map(|p| p.store_id);
                let heal = "This store can only be overwritten.".to_owned();
                let changes =
                    page.iter().map(|p| (p.listing_id, ListingChange { heal: Some(heal.clone()), ..ListingChange::default() })).collect();
                page.iter_mut()
                    .for_each(|push| push.superseded("This store can only be overwritten; its target contains the increase.", now));
                self.put(&page)?;
                if let Some(store) = store {
                    self.change_listings(store, changes, now)?;
                }
                Ok(None)
            }
        }
    }

    /// Reads the targets and, in the same transaction, takes the place of the increases that wait.
    fn claim_overwrites(&mut self, page: Vec<Push>, plan: &ClaimPlan, now: Timestamp) -> Result<Option<Work>> {
        let of: Vec<ListingId> = page.iter().map(|p| p.listing_id).collect();
        let target_of = self.targets_of(&of)?;
        let resolution = if plan.abilities.idempotency { Resolution::SameCallAgain } else { Resolution::Overwrite };
        let (mut claimed, mut ended, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for mut push in page {
            match target_of.get(&push.listing_id).copied().flatten() {
                Some(target) => {
                    push.quantity = Some(target);
                    push.resolution = Some(resolution);
                    claimed.push(push);
                }
                None => {
                    before.push(push.clone());
                    push.cancel("This listing is not to be pushed: it is unpaired, switched off, or its rules give it no share.", now);
                    ended.push(push);
                }
            }
        }
        let of: Vec<ListingId> = claimed.iter().map(|p| p.listing_id).collect();
        let contained = self.active_pushes(&of)?.into_iter().filter(Push::is_mergeable).map(|mut push| {
            push.superseded("An overwrite of the listing contains this.", now);
            push
        });
        ended.extend(contained);
        self.put(&ended)?;
        self.count_run_progress(&before, &ended, now)?;
        if claimed.is_empty() {
            return Ok(None);
        }
        let key = self.key();
        let ids: Vec<Vec<u8>> = of.iter().map(|id| id.bytes()).collect();
        on!(self.conn, c => diesel::update(listings::table)
            .filter(listings::seller_id.eq(&key)).filter(listings::id.eq_any(ids)).filter(listings::marked)
            .set(listings::marked.eq(false)).execute(c))?;
        let call = self.begin(&mut claimed, CallId::new(now), PushKind::Overwrite, Method::KeyedAdjust, now)?;
        Ok(Some(Work::Send(call)))
    }

    /// The targets of listings by the rules and levels as they are now; `None` for one that is not to be pushed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn targets_of(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Option<i64>>> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = of.iter().map(|id| id.bytes()).collect();
        let mut skus: Vec<String> = on!(self.conn, c => listings::table.select(listings::sku)
            .filter(listings::seller_id.eq(&key)).filter(listings::id.eq_any(ids)).load(c))?;
        skus.sort_unstable();
        skus.dedup();
        let rules = self.seller_rules(&skus)?;
        let mut by_sku: BTreeMap<String, Vec<(StoreId, ListingId)>> = BTreeMap::new();
        let mut siblings: Vec<(Vec<u8>, Vec<u8>, String)> = on!(self.conn, c => listings::table
            .select((listings::store_id, listings::id, listings::sku)).filter(listings::seller_id.eq(&key))
            .filter(listings::sku.eq_any(&skus)).load(c))?;
        // Asked to sort, SQLite walks all the seller's listings in that order instead.
        siblings.sort_unstable();
        for (store, id, sku) in siblings {
            let entry = (id_of(&store, StoreId::from_bytes, "listings.store_id")?, id_of(&id, ListingId::from_bytes, "listings.id")?);
            by_sku.entry(sku).or_default().push(entry);
        }
        let mut levels: HashMap<String, Levels> = HashMap::new();
        let rows: Vec<(String, String, i64)> = on!(self.conn, c => stock_levels::table
            .select((stock_levels::sku, stock_levels::warehouse, stock_levels::available))
            .filter(stock_levels::seller_id.eq(&key)).filter(stock_levels::sku.eq_any(&skus)).load(c))?;
        for (sku, code, available) in rows {
            levels.entry(sku).or_default().insert(WarehouseCode::parse(&code).map_err(Error::Corrupt)?, available);
        }
        let mut found = HashMap::new();
        let none = Levels::new();
        for (sku, listed) in by_sku {
            let listings = rules.listings_of(&sku, listed);
            found.extend(listings.targets(levels.get(&sku).unwrap_or(&none)).map(|(id, target)| (*id, target)));
        }
        Ok(found)
    }

    /// Claims increases whose listings were read: `outcome` is the answer to a read of `page`'s listings, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub fn claim_after_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        outcome: &Outcome,
        raw: Option<&str>,
        plan: &ClaimPlan,
        now: Timestamp,
    ) -> Result<Option<ClaimedCall>> {
        let Some(method) = plan.abilities.increase_method() else { return Ok(None) };
        if self.store(store)?.is_held() {
            return Ok(None);
        }
        let mut waiting = self.still(store, page, PushState::is_waiting)?;
        let in_flight: BTreeSet<ListingId> = {
            let of: Vec<ListingId> = waiting.values().map(|p| p.listing_id).collect();
            self.active_pushes(&of)?.iter().filter(|p| p.state.is_in_flight()).map(|p| p.listing_id).collect()
        };
        waiting.retain(|_, push| !in_flight.contains(&push.listing_id));
        let accounts = self.listing_rows(waiting.values().map(|p| p.listing_id))?;
        let (mut claimed, mut rest, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for (id, verdict) in page.iter().zip(read_verdicts(outcome, page.len())) {
            let Some(mut push) = waiting.remove(id) else { continue };
            let listing = push.listing_id;
            let account = accounts.get(&push.listing_id).map(|row| row.account).unwrap_or_default();
            if let Verdict::Item(ItemResult::Applied { shown: Some(shown) }) = verdict {
                let mut change = ListingChange { shown: Some(shown), ..ListingChange::default() };
                if account.doubt_until.is_some_and(|until| until > now) && account.shown.is_some_and(|known| known != shown) {
                    change.heal =
                        Some("A request that was given up was applied late; the listing is overwritten with its target.".to_owned());
                } else {
                    push.base = Some(shown);
                    push.resolution = Some(method.resolution());
                    claimed.push(push);
                }
                changes.push((listing, change));
                continue;
            }
            push.attempts = push.attempts.saturating_add(1);
            push.raw_answer = raw.map(str::to_owned);
            let change = push.settle(&account, &verdict, settling(plan, now, page.len()));
            changes.push((listing, change));
            rest.push(push);
        }
        self.put(&rest)?;
        self.note_outcome(store, outcome, now)?;
        self.change_listings(store, changes, now)?;
        if claimed.is_empty() {
            return Ok(None);
        }
        self.begin(&mut claimed, CallId::new(now), PushKind::Increase, method, now).map(Some)
    }

    /// Decides uncertain increases by what their listings show: `outcome` is the answer to a read, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub fn decide_by_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        outcome: &Outcome,
        raw: Option<&str>,
        plan: &ClaimPlan,
        now: Timestamp,
    ) -> Result<()> {
        let mut uncertain = self.still(store, page, |state| state == PushState::Uncertain)?;
        let accounts = self.listing_rows(uncertain.values().map(|p| p.listing_id))?;
        let (mut changed, mut changes) = (Vec::new(), Vec::new());
        for (id, verdict) in page.iter().zip(read_verdicts(outcome, page.len())) {
            let Some(mut push) = uncertain.remove(id) else { continue };
            let account = accounts.get(&push.listing_id).map(|row| row.account).unwrap_or_default();
            let change = match verdict {
                Verdict::Item(ItemResult::Applied { shown: Some(shown) }) => push.read_back(&account, shown, settling(plan, now, 1)),
                Verdict::Refused { reason, .. } => push.read_back_refused(&reason, settling(plan, now, page.len())),
                other => {
                    push.attempts = push.attempts.saturating_add(1);
                    push.settle(&account, &other, settling(plan, now, 1))
                }
            };
            push.raw_answer = raw.map(str::to_owned);
            changes.push((push.listing_id, change));
            changed.push(push);
        }
        self.put(&changed)?;
        self.note_contained(&changed)?;
        self.note_outcome(store, outcome, now)?;
        self.change_listings(store, changes, now)?;
        self.line_up(store, &changed, now)
    }

    /// Takes in the outcome of a call.
    ///
    /// # Errors
    /// Those of the database; then it may simply be called again.
    pub fn finish_call(
        &mut self,
        store: StoreId,
        id: CallId,
        outcome: &Outcome,
        raw: Option<&str>,
        plan: &ClaimPlan,
        now: Timestamp,
    ) -> Result<Finished> {
        let mut page = self.of_call(store, id, is_sending())?;
        let before = page.clone();
        let accounts = self.listing_rows(page.iter().map(|p| p.listing_id))?;
        let items = page.len();
        let mut changes = Vec::with_capacity(items);
        for (push, verdict) in page.iter_mut().zip(verdicts(outcome, items)) {
            let account = accounts.get(&push.listing_id).map(|row| row.account).unwrap_or_default();
            changes.push((push.listing_id, push.settle(&account, &verdict, settling(plan, now, items))));
            // What went well needs no answer beside it, and a page's answer beside each push would be most of what is written.
            push.raw_answer = raw.filter(|_| push.state != PushState::Confirmed).map(str::to_owned);
        }
        self.put_settled(&page, now)?;
        changes.extend(self.moved_targets(&before, &page)?);
        let finished = Finished { confirmed: page.iter().filter(|push| push.state == PushState::Confirmed).count() };
        self.count_run_progress(&before, &page, now)?;
        self.change_listings(store, changes, now)?;
        self.note_contained(&page)?;
        self.note_outcome(store, outcome, now)?;
        if finished.confirmed > 0 {
            self.note_success(store, now)?;
        }
        self.line_up(store, &page, now)?;
        Ok(finished)
    }

    /// Overwrites that were in doubt and turn out to be applied, perhaps only by their repetition, which sets what was
    /// the target long before: where the target is another now, and not by increases that wait, they want a fresh one.
    fn moved_targets(&mut self, before: &[Push], page: &[Push]) -> Result<Vec<(ListingId, ListingChange)>> {
        let was_in_doubt = |push: &&Push| before_of(before, push.id).is_some_and(|b| b.in_doubt && !b.cancel_requested);
        let applied = page.iter().filter(|p| p.kind == PushKind::Overwrite && p.state == PushState::Confirmed);
        let doubtful: Vec<&Push> = applied.filter(was_in_doubt).collect();
        if doubtful.is_empty() {
            return Ok(Vec::new());
        }
        let of: Vec<ListingId> = doubtful.iter().map(|p| p.listing_id).collect();
        let targets = self.targets_of(&of)?;
        let mut expected: HashMap<ListingId, i64> = doubtful.iter().map(|p| (p.listing_id, p.quantity.unwrap_or(0))).collect();
        for waiting in self.active_pushes(&of)?.iter().filter(|p| p.is_mergeable()) {
            expected.entry(waiting.listing_id).and_modify(|sum| *sum = sum.saturating_add(waiting.quantity.unwrap_or(0)));
        }
        let why = "The target changed while it was not known whether an overwrite had been applied.";
        let moved = |(listing, expected): (ListingId, i64)| {
            let target = targets.get(&listing).copied().flatten()?;
            (target != expected).then(|| (listing, ListingChange { heal: Some(why.to_owned()), ..ListingChange::default() }))
        };
        Ok(expected.into_iter().filter_map(moved).collect())
    }

    /// What came back to wait: held where its store is held by now, merged with what came behind it.
    fn line_up(&mut self, store: StoreId, page: &[Push], now: Timestamp) -> Result<()> {
        let of: Vec<ListingId> = page.iter().filter(|p| p.state.is_waiting()).map(|p| p.listing_id).collect();
        if of.is_empty() {
            return Ok(());
        }
        if self.store(store)?.is_held() {
            self.hold_store(store, now)?;
        }
        self.merge_waiting(&of, now)
    }

    /// Gives back a claimed call of which surely not one byte was sent.
    ///
    /// # Errors
    /// Those of the database.
    pub fn release_call(&mut self, store: StoreId, id: CallId, now: Timestamp) -> Result<()> {
        let mut page = self.of_call(store, id, is_sending())?;
        let before = page.clone();
        page.iter_mut().for_each(|push| push.unclaimed(now));
        self.put(&page)?;
        self.count_run_progress(&before, &page, now)?;
        self.line_up(store, &page, now)
    }

    /// What is `sending` although nobody here sends it was cut off by a crash or by a lost answer of the database:
    /// it becomes `uncertain`. Returns how many.
    ///
    /// # Errors
    /// Those of the database.
    pub fn recover_store(&mut self, store: StoreId, under_way: &[CallId], policy: &RetryPolicy, now: Timestamp) -> Result<usize> {
        let mut lost = self.sending(store)?;
        lost.retain(|push| push.call_id.is_none_or(|id| !under_way.contains(&id)));
        lost.iter_mut().for_each(|push| push.crashed(now, policy));
        self.put(&lost)?;
        Ok(lost.len())
    }

    /// What is in this state, `sending` or `uncertain`, of one call, in the order of its items.
    fn of_call(&mut self, store: StoreId, call: CallId, state: Literal<Bool>) -> Result<Vec<Push>> {
        let key = self.key();
        let rows: Vec<PushRow> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(state).filter(pushes::call_id.eq(call.bytes())).load(c))?;
        read_in_order(rows)
    }

    fn sending(&mut self, store: StoreId) -> Result<Vec<Push>> {
        let key = self.key();
        let rows: Vec<PushRow> = on!(self.conn, c => pushes::table.filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(is_sending()).load(c))?;
        read_in_order(rows)
    }

    fn still(&mut self, store: StoreId, ids: &[PushId], wanted: impl Fn(PushState) -> bool) -> Result<HashMap<PushId, Push>> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.bytes()).collect();
        let rows: Vec<PushRow> = on!(self.conn, c => pushes::table
            .filter(pushes::seller_id.eq(&key)).filter(pushes::id.eq_any(ids)).filter(pushes::store_id.eq(store.bytes())).load(c))?;
        Ok(read_pushes(rows)?.into_iter().filter(|push| wanted(push.state)).map(|push| (push.id, push)).collect())
    }

    fn listing_rows(&mut self, of: impl Iterator<Item = ListingId>) -> Result<HashMap<ListingId, ListingRow>> {
        type Row = (Vec<u8>, Vec<u8>, String, String, Option<String>, Option<i64>, Option<Timestamp>);
        let key = self.key();
        let ids: Vec<Vec<u8>> = of.map(|id| id.bytes()).collect();
        let rows: Vec<Row> = on!(self.conn, c => listings::table.filter(listings::seller_id.eq(&key)).filter(listings::id.eq_any(ids))
            .select((listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra, listings::shown, listings::doubt_until))
            .load(c))?;
        let read = |(id, store, sku, external_id, extra, shown, doubt_until): Row| {
            let row = ListingRow {
                account: Account { shown, doubt_until },
                sku,
                store_id: id_of(&store, StoreId::from_bytes, "listings.store_id")?,
                external_id,
                extra,
            };
            Ok((id_of(&id, ListingId::from_bytes, "listings.id")?, row))
        };
        rows.into_iter().map(read).collect()
    }

    /// Writes what answers changed about listings, and queues the overwrites that heal them.
    fn change_listings(&mut self, store: StoreId, changes: Vec<(ListingId, ListingChange)>, now: Timestamp) -> Result<()> {
        let key = self.key();
        let mut heal: Vec<(ListingId, String)> = Vec::new();
        let shown: Vec<(Vec<u8>, i64)> = changes.iter().filter_map(|(id, change)| change.shown.map(|shown| (id.bytes(), shown))).collect();
        self.note_shown(&shown, now)?;
        for (id, change) in changes {
            let id_bytes = id.bytes();
            if change.doubt_until.is_some() {
                on!(self.conn, c => diesel::update(listings::table.find((&key, &id_bytes)))
                    .set(listings::doubt_until.eq(change.doubt_until)).execute(c))?;
            }
            if change.settles_at.is_some() {
                on!(self.conn, c => diesel::update(listings::table.find((&key, &id_bytes)))
                    .set(listings::settles_at.eq(change.settles_at)).execute(c))?;
            }
            if change.mark {
                on!(self.conn, c => diesel::update(listings::table.find((&key, &id_bytes))).set(listings::marked.eq(true)).execute(c))?;
                on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes()))).filter(stores::probe_at.is_null())
                    .set(stores::probe_at.eq(now + PROBE_AFTER)).execute(c))?;
            }
            heal.extend(change.heal.map(|reason| (id, reason)));
        }
        self.overwrite_listings(&heal, now)
    }

    /// What listings show: one statement on PostgreSQL, where each costs a round trip.
    fn note_shown(&mut self, shown: &[(Vec<u8>, i64)], now: Timestamp) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary};
        let key = self.key();
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for (id, shown) in shown {
                    diesel::update(listings::table.find((&key, id)))
                        .set((listings::shown.eq(shown), listings::shown_at.eq(now)))
                        .execute(c)?;
                }
            }
            Backend::Postgres(c) => {
                let (ids, values): (Vec<&Vec<u8>>, Vec<i64>) = shown.iter().map(|(id, shown)| (id, *shown)).unzip();
                diesel::sql_query(
                    "UPDATE listings SET shown = v.shown, shown_at = $1 FROM unnest($2, $3) AS v (id, shown) \
                     WHERE listings.seller_id = $4 AND listings.id = v.id",
                )
                .bind::<BigInt, _>(now)
                .bind::<Array<Binary>, _>(ids)
                .bind::<Array<BigInt>, _>(values)
                .bind::<Binary, _>(&key)
                .execute(c)?;
            }
        }
        Ok(())
    }

    /// Queues an overwrite for each of these listings that has none waiting.
    fn overwrite_listings(&mut self, of: &[(ListingId, String)], now: Timestamp) -> Result<()> {
        if of.is_empty() {
            return Ok(());
        }
        let ids: Vec<ListingId> = of.iter().map(|(id, _)| *id).collect();
        let waiting: BTreeSet<ListingId> = self
            .active_pushes(&ids)?
            .iter()
            .filter(|p| p.kind == PushKind::Overwrite && p.state.is_waiting() && !p.cancel_requested)
            .map(|p| p.listing_id)
            .collect();
        let rows = self.listing_rows(ids.into_iter())?;
        let held = self.held_stores(rows.values().map(|row| row.store_id))?;
        let mut queued = Vec::new();
        for (id, reason) in of.iter().filter(|(id, _)| !waiting.contains(id)) {
            let Some(row) = rows.get(id) else { continue };
            let mut push = Push::new(PushKind::Overwrite, *id, row.store_id, &row.sku, &row.external_id, row.extra.as_deref(), now);
            push.reason = Some(reason.clone());
            if held.contains(&row.store_id) {
                push.hold(now);
            }
            queued.push(push);
        }
        self.put(&queued)
    }

    /// A store that refuses its credentials, or takes nothing, is held, and looked at again now and then.
    ///
    /// # Errors
    /// Those of the database.
    pub fn note_outcome(&mut self, store: StoreId, outcome: &Outcome, now: Timestamp) -> Result<()> {
        let (Outcome::Unauthorized { reason } | Outcome::Closed { reason, .. }) = outcome else { return Ok(()) };
        let key = self.key();
        on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes())))
            .set((stores::needs_reauthorisation.eq(true), stores::problem.eq(reason), stores::probe_at.eq(now + PROBE_AFTER))).execute(c))?;
        self.hold_store(store, now).map(drop)
    }

    /// The store works: marked listings get their overwrite.
    fn note_success(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let key = self.key();
        on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes())))
            .filter(stores::last_success_at.is_null().or(stores::last_success_at.lt(now - SUCCESS_EVERY)).assume_not_null())
            .set(stores::last_success_at.eq(now)).execute(c))?;
        self.heal_marked(store, HEAL_PAGE, now).map(drop)
    }

    /// Overwrites listings whose increases were given up. Returns how many were queued.
    ///
    /// # Errors
    /// Those of the database.
    pub fn heal_marked(&mut self, store: StoreId, limit: i64, now: Timestamp) -> Result<usize> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => listings::table.select(listings::id)
            .filter(listings::seller_id.eq(&key)).filter(listings::store_id.eq(store.bytes())).filter(listings::marked)
            .limit(limit).load(c))?;
        if ids.is_empty() {
            return Ok(0);
        }
        let why = "An earlier increase was given up while the store did not work; overwritten with the target.";
        let of = ids.iter().map(|id| Ok((id_of(id, ListingId::from_bytes, "listings.id")?, why.to_owned()))).collect::<Result<Vec<_>>>()?;
        self.overwrite_listings(&of, now)?;
        on!(self.conn, c => diesel::update(listings::table).filter(listings::seller_id.eq(&key)).filter(listings::id.eq_any(&ids))
            .set(listings::marked.eq(false)).execute(c))?;
        Ok(ids.len())
    }

    /// It is time to look at this store again: refused credentials are tried, one marked listing is overwritten.
    fn probe_store(&mut self, row: &Store, now: Timestamp) -> Result<()> {
        let key = self.key();
        let store = row.id;
        if row.needs_reauthorisation {
            self.release_store(store, now)?;
        } else {
            on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes()))).set(stores::probe_at.eq(None::<Timestamp>)).execute(c))?;
        }
        self.heal_marked(store, 1, now)?;
        let more: i64 = on!(self.conn, c => listings::table.filter(listings::seller_id.eq(&key))
            .filter(listings::store_id.eq(store.bytes())).filter(listings::marked).count().get_result(c))?;
        if more > 0 {
            on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes()))).set(stores::probe_at.eq(now + PROBE_AFTER)).execute(c))?;
        }
        Ok(())
    }
}

/// The most items in the next call of this push.
fn batch_limit(push: &Push) -> Option<usize> {
    push.batch_limit.and_then(|n| usize::try_from(n).ok()).map(|n| n.max(1))
}

/// In the order of their ids. Asked to sort, SQLite walks all that the store ever had in that order instead.
fn read_in_order(rows: Vec<PushRow>) -> Result<Vec<Push>> {
    let mut read = read_pushes(rows)?;
    read.sort_unstable_by_key(|push| push.id);
    Ok(read)
}

fn before_of(before: &[Push], id: PushId) -> Option<&Push> {
    before.iter().find(|push| push.id == id)
}

fn settling(plan: &ClaimPlan, now: Timestamp, items: usize) -> Settling<'_> {
    Settling { now, jitter: plan.jitter, policy: &plan.policy, items }
}

/// A read changes nothing at the platform, so whatever it did not answer is simply asked again.
fn read_verdicts(outcome: &Outcome, items: usize) -> Vec<Verdict> {
    let again = |reason: &String| Verdict::TryAgain { reason: reason.clone(), after: None };
    let nothing = "The store did not say what this listing shows.".to_owned();
    let mut all = verdicts(outcome, items);
    for verdict in &mut all {
        match verdict {
            Verdict::Item(ItemResult::Unknown { reason } | ItemResult::NeverApplied { reason }) => *verdict = again(reason),
            Verdict::Item(ItemResult::Applied { shown: None } | ItemResult::Accepted | ItemResult::Stale { .. }) => {
                *verdict = again(&nothing)
            }
            _ => {}
        }
    }
    all
}
