//! Waits for the rate limits, sends, measures and classifies. The only place that sends, and where the store's credentials
//! are masked in whatever comes back.
use super::call::{Action, Call, Reply, Request, StoreConnection};
use super::codes::unreadable;
use super::connector::{Platform, RESERVED, Renewal, Stamp, VariantPage};
use super::fields::with_smaller_pages;
use super::limits::{Book, Limits, Permit, Quotas, Slept};
use super::mask::Mask;
use super::registry::by_name;
use super::transport::Transport;
use super::{interference, location, timings};
use crate::clock::Clock;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::{StoreId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

mod counters;
mod exchange;
mod replies;
mod sent;

use counters::Counters;
pub use counters::{CallCounts, outcome_label};
pub use exchange::MaySend;
use exchange::{is_too_large, post};
use replies::{HALVINGS_AT_ONCE, MOST_HALVINGS, fresh, halvings, nothing_sent, read_outcome, reason_of, with_halvings};
pub(super) use replies::{read_renewal, read_variants};
pub use sent::Sent;

/// The longest excerpt of an answer that is stored with a push, in bytes.
const MAX_EXCERPT_BYTES: usize = 1024;
/// How long the read before a set may wait for the limits, which may be those of a day.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The pause after a 429 without a usable `Retry-After`.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(1);

/// Sends calls to platforms. Clones share rate limits and connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    limits: Arc<Limits>,
    quotas: Arc<Quotas>,
    timeout: Duration,
    clock: Clock,
    counters: Arc<Counters>,
    /// Asked before each request.
    may_send: Option<MaySend>,
}

impl Client {
    /// Sends over `transport`, allowing each request `timeout`.
    pub fn new(transport: Arc<dyn Transport>, limits: Arc<Limits>, timeout: Duration, clock: Clock) -> Self {
        let quotas = Arc::new(Quotas::new(clock.clone()));
        Self { transport, limits, quotas, timeout, clock, counters: Arc::default(), may_send: None }
    }

    /// The same client, which asks before each request whether it may be sent.
    #[must_use]
    pub fn asking(&self, may_send: MaySend) -> Self {
        Self { may_send: Some(may_send), ..self.clone() }
    }

    /// The longest that a request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls since the process started, shared by all clones.
    pub fn call_counts(&self) -> CallCounts {
        self.counters.read()
    }

    /// Waits for the app's and the store's rate limits. `None` when there is no such connector, as [`Self::send`] reports.
    pub async fn permit(&self, store: &StoreConnection, call: &Call) -> Option<Permit> {
        let platform = by_name(&store.platform)?;
        let facts = platform.facts(store);
        loop {
            if let Some(app) = &facts.per_app {
                self.quotas.until_free(app).await;
            }
            let permit = self.limits.acquire(store.store_id, &facts, platform.cost(call)).await;
            match &facts.per_app {
                // Another store of the app has been faster.
                Some(app) if !self.quotas.take(app).await => {}
                _ => return Some(permit),
            }
        }
    }

    /// Writes down in `book` what apps call in a day, so that it outlives the process.
    pub fn keep_quotas_in(&self, book: Arc<dyn Book>) {
        self.quotas.keep_in(book);
    }

    /// Writes down what apps have called today, when no more calls follow.
    pub async fn settle_quotas(&self) {
        self.quotas.settle().await;
    }

    /// When an overwrite may be sent to this store, if its app has to keep what is left of its day for increases until then.
    pub fn next_overwrite(&self, store: &StoreConnection) -> Option<Timestamp> {
        self.quotas.next_overwrite(by_name(&store.platform)?.facts(store).per_app.as_ref()?)
    }

    /// Waits for most of the time until this store's next permit: what remains is at most `ahead`, or unknown.
    pub async fn until_permit_is_near(&self, store: &StoreConnection, ahead: Duration) {
        let Some(facts) = by_name(&store.platform).map(|platform| platform.facts(store)) else { return };
        if let Some(app) = &facts.per_app {
            self.quotas.until_free(app).await;
        }
        loop {
            // The next call is not known yet, but it costs at least one point.
            let wait = self.limits.expected_wait(store.store_id, &facts, 1).saturating_sub(ahead);
            if self.limits.sleep(wait).await == Slept::Whole {
                return;
            }
        }
    }

    /// The nodes that share this database may call the platforms' apps together as often as one alone.
    pub fn share_among(&self, nodes: usize) {
        self.limits.share_among(nodes);
    }

    /// Under this epoch of its seller's shard, this store's limit counts anew from `since` on: another node may have called the store
    /// just before.
    pub fn begin_under(&self, store: StoreId, epoch: i64, since: Option<Instant>) {
        self.limits.begin_under(store, epoch, since.unwrap_or_else(Instant::now));
    }

    /// Whether this store's limits allow a call now, as far as can be said without waiting.
    pub fn has_room(&self, store: &StoreConnection) -> bool {
        by_name(&store.platform).is_some_and(|platform| self.limits.have_room(store.store_id, &platform.facts(store)))
    }

    /// [`Self::permit`], measured; `waited` is how long the limits have made this call wait already.
    pub async fn permit_after(&self, store: &StoreConnection, call: &Call, waited: Duration) -> Option<Permit> {
        let asked_at = Instant::now();
        let permit = self.permit(store, call).await?;
        timings::permitted(&store.platform, waited + asked_at.elapsed());
        Some(permit)
    }

    /// [`Self::permit_after`], or what to answer if the limits make the call wait for longer than this.
    async fn permit_within(&self, longest: Duration, store: &StoreConnection, call: &Call) -> Result<Option<Permit>, Outcome> {
        let permit = tokio::time::timeout(longest, self.permit_after(store, call, Duration::ZERO)).await;
        let reason = || "The store's rate limit is used up at the moment. Try again.".to_owned();
        permit.map_err(|_| Outcome::TryAgain { reason: reason(), after: None, throttled: false })
    }

    /// Ends the pause that this store's platform has asked for, because the seller wants to try again now.
    pub fn end_pause(&self, store: StoreId) {
        self.limits.end_pause(store);
    }

    /// Sends a call that is permitted, without the listings that are paired at another location than their store's.
    pub async fn send(&self, store: &StoreConnection, call: &Call, permit: Option<Permit>) -> Sent {
        let field = by_name(&store.platform).and_then(|platform| platform.facts(store).location);
        let Some((here, elsewhere)) = location::split(field, store, call) else { return self.send_whole(store, call, permit).await };
        let mut sent = match here.items.is_empty() {
            true => Sent { answered: true, ..Sent::without_answer(Outcome::Answered(Vec::new())) },
            false => self.send_whole(store, &here, permit).await,
        };
        (sent.outcome, sent.reserved) = location::joined(sent.outcome, sent.reserved, elsewhere);
        sent
    }

    async fn send_whole(&self, store: &StoreConnection, call: &Call, permit: Option<Permit>) -> Sent {
        let Some(platform) = by_name(&store.platform) else {
            let reason = format!("There is no connector for the platform {}.", store.platform);
            let next_step = "Remove this store.".to_owned();
            return Sent { answered: true, ..Sent::without_answer(Outcome::Refused { reason, next_step }) };
        };
        let prepared;
        let call = match call.action == Action::Set && platform.facts(store).reads_before_set {
            false => call,
            // Its caller has just read them.
            true if call.items.iter().all(|item| item.extra.contains_key(RESERVED)) => call,
            true => match self.with_reserved(platform, store, call).await {
                Ok(with_reserved) => {
                    prepared = with_reserved;
                    &prepared
                }
                Err(sent) => return sent,
            },
        };
        let request = match platform.request(store, call, &self.stamp()) {
            Ok(request) => request,
            Err(reason) => {
                let reason = Mask::of(store, None).text(&reason).into_owned();
                let next_step = "Check the settings of the store and of the listing.".to_owned();
                return Sent { answered: true, ..Sent::without_answer(Outcome::Refused { reason, next_step }) };
            }
        };
        let mask = Mask::of(store, Some(&request));
        exchange::depart(permit.as_ref(), self.may_send.as_ref()).await;
        let started = Instant::now();
        let sent = match self.exchange(fresh(request, call.action)).await {
            Ok(reply) => {
                if let (Some(permit), Some(quota)) = (&permit, platform.quota(&reply)) {
                    permit.learn(quota);
                }
                self.pause_if_asked(store, &reply);
                let is_base = call.action == Action::Read && platform.facts(store).reads_before_set;
                let reserved = if is_base { platform.reserved(store, call, &reply) } else { Vec::new() };
                let outcome = mask.outcome(&reply, |reply| read_outcome(platform, store, call, reply));
                let shop = if call.action == Action::Check { platform.shop(&reply) } else { None };
                Sent { outcome, raw: Some(mask.excerpt(&reply, MAX_EXCERPT_BYTES)), answered: reply.status < 500, reserved, shop }
            }
            Err(outcome) => Sent { answered: is_too_large(&outcome), ..Sent::without_answer(mask.in_texts(outcome)) },
        };
        let took = started.elapsed();
        self.pause_if_throttled(store, &sent.outcome);
        self.counters.add(&sent.outcome);
        crate::metrics::note(|metrics| metrics.platform_call(platform.name(), outcome_label(&sent.outcome)));
        timings::called(platform.name(), took);
        tracing::debug!(store.id = %store.store_id, platform = platform.name(), outcome = outcome_label(&sent.outcome), items = call.items.len(), duration_ms = took.as_millis(), "called a platform");
        sent
    }

    /// The call with what is reserved of each item, as a read says now. If that cannot be found out for every item, the
    /// call is not sent: nothing was applied.
    async fn with_reserved(&self, platform: &dyn Platform, store: &StoreConnection, call: &Call) -> Result<Call, Sent> {
        let read = Call { action: Action::Read, idempotency_key: None, ..call.clone() };
        let unsent = |outcome, raw| Sent { raw, answered: true, ..Sent::without_answer(outcome) };
        let request = platform.request(store, &read, &self.stamp()).map_err(|reason| {
            let next_step = "Check the settings of the store and of the listing.".to_owned();
            unsent(Outcome::Refused { reason, next_step }, None)
        })?;
        let mask = Mask::of(store, Some(&request));
        let permit = self.permit_within(LONGEST_WAIT, store, &read).await.map_err(|outcome| unsent(outcome, None))?;
        let reply = match self.exchange(fresh(request, Action::Read)).await {
            Ok(reply) => reply,
            Err(outcome) => {
                let answered = is_too_large(&outcome);
                return Err(Sent { answered, ..Sent::without_answer(nothing_sent(mask.in_texts(outcome), call)) });
            }
        };
        drop(permit);
        self.pause_if_asked(store, &reply);
        let outcome = mask.outcome(&reply, |reply| read_outcome(platform, store, &read, reply));
        self.pause_if_throttled(store, &outcome);
        let stopped = |outcome| Sent {
            answered: reply.status < 500,
            ..unsent(nothing_sent(outcome, call), Some(mask.excerpt(&reply, MAX_EXCERPT_BYTES)))
        };
        let Outcome::Answered(results) = outcome else { return Err(stopped(outcome)) };
        let mut prepared = call.clone();
        let reserved = platform.reserved(store, &read, &reply);
        if reserved.len() == results.len() && reserved.iter().all(Option::is_some) {
            for (item, units) in prepared.items.iter_mut().zip(reserved.iter().flatten()) {
                item.extra.insert(RESERVED.to_owned(), units.to_string());
            }
            return Ok(prepared);
        }
        let unread = |(result, units): (ItemResult, Option<i64>)| match (result, units) {
            (rejected @ ItemResult::Rejected { .. }, _) => rejected,
            (_, Some(_)) => ItemResult::RefusedWithOthers { reason: "Another listing of the same call cannot be read.".to_owned() },
            (ItemResult::Unknown { reason }, None) => ItemResult::TryAgain { reason },
            (_, None) => ItemResult::TryAgain { reason: "The store does not say how much of this listing is reserved.".to_owned() },
        };
        let reserved = reserved.into_iter().chain(std::iter::repeat(None));
        Err(stopped(Outcome::Answered(results.into_iter().zip(reserved).map(unread).collect())))
    }

    /// Reads a page of the store's variants, within the same rate limits.
    ///
    /// # Errors
    /// What the platform's answer means when it is not a page, or that there was no answer.
    pub async fn variants(&self, store: &StoreConnection, cursor: Option<&str>) -> Result<VariantPage, Outcome> {
        let refused = |reason: String| {
            let reason = Mask::of(store, None).text(&reason).into_owned();
            Outcome::Refused { reason, next_step: "Check the settings of the store.".to_owned() }
        };
        let platform =
            by_name(&store.platform).ok_or_else(|| refused(format!("There is no connector for the platform {}.", store.platform)))?;
        let (mut halvings, cursor) = halvings(cursor);
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        loop {
            let store = &with_smaller_pages(store, halvings);
            let request = platform.variants_request(store, cursor, &self.stamp()).map_err(refused)?;
            let mask = Mask::of(store, Some(&request));
            let permit = self.permit_within(self.timeout, store, &call).await?;
            let reply = match self.exchange(fresh(request, Action::Read)).await {
                // Too large, or too slow: a smaller page may not be.
                Err(Outcome::Unknown { .. }) if halvings < MOST_HALVINGS => {
                    halvings += HALVINGS_AT_ONCE;
                    continue;
                }
                reply => reply.map_err(|outcome| mask.in_texts(outcome))?,
            };
            if let (Some(permit), Some(quota)) = (&permit, platform.quota(&reply)) {
                permit.learn(quota);
            }
            let read = |reply: &Reply| match interference::recognize(Action::Read, reply) {
                // A page of variants may be a little out of date.
                None | Some(Outcome::TryAgain { .. }) => read_variants(platform, store, cursor, reply),
                Some(outcome) => Err(outcome),
            };
            return match read(&reply) {
                Ok(page) => {
                    let page = mask.page(page);
                    Ok(VariantPage { next: page.next.map(|next| with_halvings(halvings, &next)), ..page })
                }
                Err(_) => {
                    let outcome = mask.outcome(&reply, |reply| read(reply).err().unwrap_or_else(unreadable));
                    self.pause_if_throttled(store, &outcome);
                    Err(outcome)
                }
            };
        }
    }

    /// After a check, the shop's own name by a call of its own, within the same rate limits. `None` if the platform has no such call or
    /// does not answer it: a check does not fail for that.
    pub async fn shop(&self, store: &StoreConnection) -> Option<String> {
        let platform = by_name(&store.platform)?;
        let request = platform.shop_request(store, &self.stamp())?.ok()?;
        let call = Call { action: Action::Check, items: Vec::new(), idempotency_key: None };
        let _permit = self.permit_within(self.timeout, store, &call).await.ok()?;
        let reply = self.exchange(fresh(request, Action::Check)).await.ok()?;
        self.pause_if_asked(store, &reply);
        let is_answer = reply.status == 200 && interference::recognize(Action::Check, &reply).is_none();
        if is_answer { platform.shop(&reply) } else { None }
    }

    /// Sends a message to a receiver that is no store and has no limits. Returns the status of the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn notify(&self, request: Request) -> Result<u16, String> {
        post(request, (&*self.transport, self.timeout)).await
    }

    /// Asks a platform about a shop with its new tokens, and reads the answer.
    ///
    /// # Errors
    /// Why there is none, in plain words without the store's secrets.
    pub async fn ask<T>(
        &self,
        store: &StoreConnection,
        request: Result<Request, String>,
        read: impl Fn(&Reply) -> Result<T, String>,
    ) -> Result<T, String> {
        let request = request?;
        let mask = Mask::of(store, Some(&request));
        let call = Call { action: Action::Check, items: Vec::new(), idempotency_key: None };
        let _permit = self.permit_within(self.timeout, store, &call).await.map_err(reason_of)?;
        match self.exchange(fresh(request, Action::Check)).await {
            Ok(reply) => read(&reply).map_err(|reason| mask.text(&reason).into_owned()),
            Err(outcome) => Err(reason_of(mask.in_texts(outcome))),
        }
    }

    /// Whether [`Self::renew`] would send a request.
    pub fn can_renew(&self, store: &StoreConnection, refused: bool) -> bool {
        by_name(&store.platform).is_some_and(|platform| platform.renewal_request(store, &self.stamp(), refused).is_some())
    }

    /// Requests new tokens if the old ones have expired, soon will, or were `refused`. `None` when there is nothing to
    /// renew.
    pub async fn renew(&self, store: &StoreConnection, refused: bool) -> Option<Renewal> {
        let platform = by_name(&store.platform)?;
        let stamp = self.stamp();
        let request = platform.renewal_request(store, &stamp, refused)?;
        let mask = Mask::of(store, Some(&request));
        Some(match self.exchange(request).await {
            Ok(reply) => mask.renewal(&reply, |reply| read_renewal(platform, store, reply, &stamp)),
            Err(outcome) => Renewal::TryAgain { reason: reason_of(mask.in_texts(outcome)) },
        })
    }

    /// The complete reply, or what its absence means.
    async fn exchange(&self, request: Request) -> Result<Reply, Outcome> {
        exchange::exchange(request, (&*self.transport, self.timeout), self.may_send.as_ref(), &self.clock).await
    }

    /// The time and randomness of a request that is made now.
    pub fn stamp(&self) -> Stamp {
        Stamp { now: self.clock.now().to_utc(), nonce: format!("{:032x}", rand::random::<u128>()) }
    }

    /// A 503 may have been applied, but its `Retry-After` is obeyed like that of a 429.
    fn pause_if_asked(&self, store: &StoreConnection, reply: &Reply) {
        if let Some(after) = reply.retry_after().filter(|_| reply.status == 503) {
            self.limits.pause(store.store_id, after);
        }
    }

    fn pause_if_throttled(&self, store: &StoreConnection, outcome: &Outcome) {
        if let Outcome::TryAgain { throttled: true, after, .. } = outcome {
            self.limits.pause(store.store_id, after.unwrap_or(DEFAULT_THROTTLE));
        }
    }
}

#[cfg(test)]
mod tests;
