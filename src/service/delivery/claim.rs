//! One claim for one store, from reading the rows to saving the outcome.
use super::items::platform_call;
use super::outbound::Outbound;
use super::proof::{self, Proof, Recover};
use super::traced::{Permitted, Traced};
use crate::db::delivery::{Begun, EndedCall, Finished, ReadBefore};
use crate::db::{Error, SellerDb, Tenant};
use crate::domain::claim::outcome::Answer;
use crate::domain::claim::{CheckReading, CheckStep, ClaimTerms, ClaimedCall, Next, ProtectedPage, Work};
use crate::domain::delivery::Outcome;
use crate::domain::push::Addressee;
use crate::domain::{CallId, ListingId, PushId, Timestamp};
use crate::platforms::call::{Action, Call, StoreConnection};
use crate::platforms::client::Sent;
use crate::platforms::limits::Permit;
use crate::platforms::{RESERVED, timings};
use crate::service::connection::Stale;
use crate::traces;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A claimed call may wait this long for its permit; until then nothing is claimed, so that increases still merge.
const CLAIM_AHEAD: Duration = Duration::from_millis(30);
/// The longest pause between two attempts to save an outcome.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_secs(5);

/// One claim for one store.
pub struct Claim {
    pub(super) outbound: Outbound,
    db: SellerDb,
    pub(super) connection: StoreConnection,
    pub(super) terms: ClaimTerms,
    stop: CancellationToken,
    /// The calls in flight here.
    under_way: Vec<CallId>,
    recover: Recover,
    check_times: bool,
    renewed: bool,
    /// How long the limits have made the next call wait so far.
    waited: Duration,
    /// The latest permit.
    permitted: Permitted,
    /// What is reserved of the listings that were read just before, where the platform sets the stock on hand.
    pub(super) reserved: HashMap<PushId, i64>,
    /// That the transaction which claimed the call was made by the lease.
    pub(super) claimed: Proof,
}

/// The result of a claim.
pub enum Claimed {
    /// Nothing is due until this instant.
    Nothing(Option<Timestamp>),
    /// Listings were read, or the read failed.
    Read {
        /// Whether the platform answered.
        answered: bool,
    },
    /// This call may be sent now, and must be [delivered](Claim::deliver). Then there is this to do.
    Call(ClaimedCall, Option<Permit>, Next),
}

impl Claim {
    /// With `recover`, the claim first looks for pushes that were cut off in flight, in calls that are not `under_way` here; with
    /// `check_times`, it does so if there are any, and looks for pushes that were written before the clock was set back.
    pub fn new(
        outbound: Outbound,
        db: SellerDb,
        connection: StoreConnection,
        terms: ClaimTerms,
        stop: CancellationToken,
        (under_way, recover): (Vec<CallId>, Recover),
        check_times: bool,
    ) -> Self {
        let claimed = Proof::now(&outbound.clock);
        Self {
            outbound,
            db,
            connection,
            terms,
            stop,
            under_way,
            recover,
            check_times,
            renewed: false,
            waited: Duration::ZERO,
            permitted: Permitted { at: Instant::now(), waited: Duration::ZERO },
            reserved: HashMap::new(),
            claimed,
        }
    }

    /// The connection with renewed tokens, if this claim has renewed them.
    pub fn renewed(&self) -> Option<&StoreConnection> {
        Some(&self.connection).filter(|_| self.renewed)
    }

    /// What it has not recovered.
    pub fn left_to_recover(&self) -> Recover {
        self.recover
    }

    fn now(&self) -> Timestamp {
        self.outbound.clock.now()
    }

    /// Claims what is due.
    ///
    /// # Errors
    /// If the database fails; anything already claimed must then be recovered.
    pub async fn run(&mut self) -> Result<Claimed, Error> {
        let store = self.connection.store_id;
        if self.recover == Recover::Nothing {
            let (now, check_times, clock, under_way) = (self.now(), self.check_times, self.outbound.clock.clone(), self.under_way.clone());
            // The time is that of the read itself: what others write while it waits for its turn is not ahead of it.
            let look = move |t: &mut Tenant<'_>| {
                let is_lost = check_times && t.has_lost_pushes(store, &under_way)?;
                Ok((is_lost, check_times && t.has_pushes_ahead(store, clock.now())?, t.next_attention(store, now)?))
            };
            let (is_lost, ahead, next_due) = self.db.read(look).await?;
            self.recover = if is_lost { Recover::CutOff } else { Recover::Nothing };
            if !is_lost && !ahead && next_due.is_none_or(|at| at > now) {
                return Ok(Claimed::Nothing(next_due));
            }
        }
        if !self.until_permit_is_near().await {
            return Ok(Claimed::Nothing(None));
        }
        match self.renew(false).await {
            Ok(_) => {}
            Err(Stale::Database(error)) => return Err(error),
            Err(Stale::TryAgain(reason)) => {
                tracing::warn!(store.id = %store, reason, "a store's tokens could not be renewed; trying again");
                return Ok(Claimed::Read { answered: false });
            }
            Err(Stale::Refused(reason)) => {
                let (outcome, now) = (Outcome::Unauthorized { reason }, self.now());
                self.db.write(move |t| t.note_outcome(store, &outcome, now)).await?;
                return Ok(Claimed::Nothing(None));
            }
        }
        let overwrites_at = self.outbound.client.next_overwrite(&self.connection);
        self.terms.overwrites_wait = overwrites_at.is_some();
        let (terms, check_times, clock, recover) = (self.terms, self.check_times, self.outbound.clock.clone(), self.recover);
        let under_way = self.under_way.clone();
        let recovery = proof::recovery(&self.db, terms.policy, self.outbound.send_within);
        self.claimed = Proof::now(&self.outbound.clock);
        let find = move |t: &mut Tenant<'_>| {
            let now = clock.now();
            recover.recover(t, store, &under_way, (&terms.policy, &recovery), now)?;
            if check_times {
                t.start_times_anew(store, &terms.policy, now)?;
            }
            t.next_work(store, &terms, now)
        };
        let work = self.db.write(find).await?;
        self.recover = Recover::Nothing;
        match work {
            Work::Nothing { next_due } => Ok(Claimed::Nothing(next_due.into_iter().chain(overwrites_at).min())),
            Work::ReadBack(page) => {
                let Some((sent, ids)) = self.read(&page).await else { return Ok(Claimed::Nothing(None)) };
                let (terms, now, answered) = (self.terms, self.now(), sent.answered);
                self.db.write(move |t| t.decide_by_read(store, &ids, &sent.outcome, sent.raw.as_deref(), &terms, now)).await?;
                Ok(Claimed::Read { answered })
            }
            Work::Look(page) => self.look(page).await,
            Work::Compare(step) => self.compare(step).await,
            Work::ReadFirst(page, next) => {
                let Some((sent, ids)) = self.read_to_send(&page).await else { return Ok(Claimed::Nothing(None)) };
                let (terms, now, answered, read) = (self.terms, self.now(), sent.answered, ids.len());
                let call = self.db.write(move |t| t.claim_after_read(store, &ids, &sent.outcome, sent.raw.as_deref(), &terms, now)).await?;
                // Those that could not be read wait for their time.
                let is_whole = call.as_ref().is_some_and(|call| call.items.len() == read);
                self.permitted_if(call, answered, if is_whole { next } else { Next::Unknown }).await
            }
            Work::ReadThenOverwrite(ProtectedPage { page, beside, before: expected }) => {
                let Some(beside) = self.read_beside(beside).await else { return Ok(Claimed::Nothing(None)) };
                let before = ReadBefore { expected, beside };
                let Some((sent, ids)) = self.read_to_send(&page).await else { return Ok(Claimed::Nothing(None)) };
                let (terms, now, answered) = (self.terms, self.now(), sent.answered);
                let claim = move |t: &mut Tenant<'_>| {
                    let answer = Answer { outcome: &sent.outcome, raw: sent.raw.as_deref(), now };
                    t.claim_overwrites_after_read(store, &ids, &before, answer, &terms)
                };
                let call = self.db.write(claim).await?;
                self.permitted_if(call, answered, Next::Unknown).await
            }
            Work::Send(call, next) => self.permitted(call, next).await,
        }
    }

    /// [`Self::permitted`] if there is a call.
    async fn permitted_if(&mut self, call: Option<ClaimedCall>, answered: bool, next: Next) -> Result<Claimed, Error> {
        match call {
            Some(call) => self.permitted(call, next).await,
            None => Ok(Claimed::Read { answered }),
        }
    }

    /// Reads listings to which nothing is to be sent. If the read is refused because of one of them, or its answer is too
    /// large, the others are read without it.
    async fn look(&mut self, page: Vec<Addressee>) -> Result<Claimed, Error> {
        let store = self.connection.store_id;
        let mut pages = vec![page];
        while let Some(mut page) = pages.pop() {
            let Some(sent) = self.read_listings(&page).await else { return Ok(Claimed::Nothing(None)) };
            if sent.answered && page.len() > 1 && matches!(sent.outcome, Outcome::Refused { .. } | Outcome::Unknown { .. }) {
                let rest = page.split_off(page.len().div_ceil(2));
                pages.extend([rest, page]);
                continue;
            }
            let listings: Vec<ListingId> = page.iter().map(|to| to.listing_id).collect();
            let (now, answered) = (self.now(), sent.answered);
            self.db.write(move |t| t.finish_look(store, &listings, &sent.outcome, now)).await?;
            if !answered {
                return Ok(Claimed::Read { answered });
            }
        }
        Ok(Claimed::Read { answered: true })
    }

    /// Reads the listings of a step of a check.
    async fn compare(&mut self, step: CheckStep) -> Result<Claimed, Error> {
        let mut reading = CheckReading::new(&step);
        while let Some(page) = reading.next_page() {
            let Some(sent) = self.read_listings(&page).await else { return Ok(Claimed::Nothing(None)) };
            reading.answered(page, sent.outcome, sent.answered);
        }
        let (store, terms, now, (read, outcome, answered)) = (self.connection.store_id, self.terms, self.now(), reading.end());
        self.db.write(move |t| t.finish_compare(store, (&step, &read), &outcome, &terms, now)).await?;
        Ok(Claimed::Read { answered })
    }

    /// Waits for the limits. If delivery is stopped meanwhile, the claim is returned, because not one byte of it was sent.
    async fn permitted(&mut self, call: ClaimedCall, next: Next) -> Result<Claimed, Error> {
        timings::claimed(&self.connection.platform, call.items.iter().map(|item| item.due_for));
        let outbound = platform_call(&call, self.terms.abilities.idempotency);
        if let Some(permit) = self.permit(&outbound).await {
            return Ok(Claimed::Call(call, permit, next));
        }
        self.give_back(call.id).await
    }

    /// Prepares a call that was begun without a claim, as it was recorded.
    ///
    /// # Errors
    /// If the database fails; the call must then be recovered.
    pub async fn begun(&mut self, Begun { mut call, since, begun_at }: Begun) -> Result<Claimed, Error> {
        // The events are older than the transaction. The time is not read here: the machine may have been suspended since.
        self.claimed = Proof::at(begun_at, since);
        let waited = (self.now() - since).to_std().unwrap_or_default();
        call.items.iter_mut().for_each(|item| item.due_for += waited);
        match self.renew(false).await {
            Ok(_) => self.permitted(call, Next::Unknown).await,
            // The next claim finds out what that means for the store.
            Err(_) => self.give_back(call.id).await,
        }
    }

    /// Returns a call of which not one byte was sent.
    async fn give_back(&self, call: CallId) -> Result<Claimed, Error> {
        let (store, now) = (self.connection.store_id, self.now());
        self.db.write(move |t| t.release_call(store, call, now)).await?;
        Ok(Claimed::Nothing(None))
    }

    /// Waits, with nothing claimed, for most of the time that the limits demand. False if it was stopped.
    pub(super) async fn until_permit_is_near(&mut self) -> bool {
        let asked_at = Instant::now();
        let near = self.unless_stopped(self.outbound.client.until_permit_is_near(&self.connection, CLAIM_AHEAD)).await;
        self.waited += asked_at.elapsed();
        near.is_some()
    }

    /// Waits for the rest of the time that the limits demand. `None` if it was stopped.
    pub(super) async fn permit(&mut self, call: &Call) -> Option<Option<Permit>> {
        let (waited, asked_at) = (std::mem::take(&mut self.waited), Instant::now());
        let permit = self.unless_stopped(self.outbound.client.permit_after(&self.connection, call, waited)).await;
        self.permitted = Permitted { at: Instant::now(), waited: waited + asked_at.elapsed() };
        permit
    }

    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            value = wait => Some(value),
        }
    }

    /// Renews the tokens if necessary; returns whether there are new ones.
    async fn renew(&mut self, refused: bool) -> Result<bool, Stale> {
        match self.outbound.renewals.renew(&self.db, &self.connection, refused).await? {
            None => Ok(false),
            Some(connection) => {
                (self.connection, self.renewed) = (connection, true);
                Ok(true)
            }
        }
    }

    /// Sends. If the token has expired, it is renewed, and the call, which was not applied, is due again at once.
    pub(super) async fn exchange(&mut self, call: &Call, permit: Option<Permit>) -> Sent {
        let mut sent = match call.action {
            Action::Read | Action::Check => self.outbound.client.send(&self.connection, call, permit).await,
            Action::Adjust | Action::Set => {
                let may_send = proof::may_send(self.db.clone(), &self.outbound, self.claimed);
                self.outbound.client.asking(may_send).send(&self.connection, call, permit).await
            }
        };
        if let Outcome::TokenExpired { reason } = sent.outcome {
            let renewed;
            (sent.outcome, renewed) = self.outbound.renewals.after_refusal(&self.db, &mut self.connection, reason).await;
            self.renewed |= renewed;
        }
        let changed;
        (sent.outcome, changed) = self.outbound.renewals.unless_changed(&self.db, &mut self.connection, sent.outcome).await;
        self.renewed |= changed;
        sent
    }

    /// Sends the call and saves its outcome, however long the database takes. Returns whether the platform answered, and what
    /// came of it.
    pub async fn deliver(&mut self, claimed: &ClaimedCall, permit: Option<Permit>) -> (bool, Finished) {
        let mut traced = Traced::begin(&self.connection, claimed, self.permitted);
        let in_log = traces::in_log(traced.as_ref().map(Traced::context));
        let (answered, finished) = self.deliver_call(claimed, permit, &mut traced).instrument(in_log).await;
        traced.into_iter().for_each(|traced| traced.saved(finished.confirmed));
        (answered, finished)
    }

    async fn deliver_call(&mut self, claimed: &ClaimedCall, permit: Option<Permit>, traced: &mut Option<Traced>) -> (bool, Finished) {
        let store = self.connection.store_id;
        let mut call = platform_call(claimed, self.terms.abilities.idempotency);
        for (item, claimed) in call.items.iter_mut().zip(&claimed.items) {
            let units = self.reserved.get(&claimed.push).map(i64::to_string);
            item.extra.extend(units.map(|units| (RESERVED.to_owned(), units)));
        }
        let sent = self.exchange(&call, permit).await;
        traced.iter_mut().for_each(|traced| traced.answered(&sent.outcome));
        let (outcome, raw): (_, Option<Arc<str>>) = (Arc::new(sent.outcome), sent.raw.map(Arc::from));
        let mut pause = Duration::from_millis(100);
        loop {
            let answer = (Arc::clone(&outcome), raw.clone());
            match self.db.finish(EndedCall::new((self.db.id(), store), claimed, answer, self.terms, self.now())).await {
                Ok(finished) => return (sent.answered, finished),
                // It is for the next node to find out what has become of the call.
                Err(Error::NotFound | Error::Fenced) => return (sent.answered, Finished { confirmed: 0, next: Next::Unknown }),
                Err(error) => {
                    tracing::warn!(%error, store.id = %store, "could not save the outcome of a call; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_WRITE_PAUSE);
                }
            }
        }
    }
}
