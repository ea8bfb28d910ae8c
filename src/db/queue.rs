//! What waits in a lane, and which of it comes next: the sellers take turns, for jobs and for stock events separately.
use super::connection::Conn;
use super::delivery::{EndedCall, Finished};
use super::error::{Error, Result};
use super::ledger::{EventResult, NewEvent, RecordRequest, Recorded};
use super::traced::Traced;
use super::turns::Turns;
use crate::domain::{SellerId, Timestamp};
use crate::metrics;
use std::collections::HashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The most requests waiting in one lane; further callers get [`Error::Busy`].
pub(super) const LANE_CAPACITY: usize = 2048;
/// The most requests of one seller among them, so that its own crowd out no others'.
const SELLER_CAPACITY: usize = LANE_CAPACITY / 4;
/// The most stock events in one transaction, and the most pushes of calls that have ended, apart from those of the last.
const GROUP_EVENTS: usize = 1000;
/// The most stock events of one seller in one transaction.
const SELLER_EVENTS: usize = 500;
/// The most work of one seller in one transaction, in events and listings that they concern.
const SELLER_WORK: usize = 2000;
/// How many events to take from a seller of whom it is unknown how much work each is.
const FIRST_EVENTS: usize = 32;
/// The most sellers whose pace is remembered.
const MAX_PACES: usize = 10_000;

/// A piece of work that shares a transaction with others.
pub(super) trait Job: Send {
    /// Runs in a savepoint; an error ends the whole transaction.
    fn run(&mut self, conn: &mut Conn) -> Result<()>;
    /// Runs as the first of its transaction, without a savepoint: any error ends the transaction.
    fn run_first(&mut self, conn: &mut Conn) -> Result<()>;
    /// Called once, when it is known whether the transaction was committed.
    fn answer(self: Box<Self>, committed: Result<()>);
}

/// A job that waits for its transaction.
struct Waiting {
    job: Box<dyn Job>,
    since: Instant,
}

/// A call that has ended, whose caller waits until that is saved.
pub(super) struct Ended {
    pub(super) call: EndedCall,
    since: Instant,
    reply: oneshot::Sender<Result<Finished>>,
}

impl Ended {
    pub(super) fn new(call: EndedCall, reply: oneshot::Sender<Result<Finished>>) -> Self {
        Self { call, since: Instant::now(), reply }
    }

    /// Called once, when it is known whether it was saved.
    pub(super) fn answer(self, finished: Result<Finished>) {
        self.reply.send(finished).ok();
    }
}

/// The stock events of one request, recorded in one or more transactions, in their order.
pub(super) struct Events {
    seller: SellerId,
    now: Timestamp,
    /// `None` once its first event was taken up.
    waiting_since: Option<Instant>,
    rest: std::vec::IntoIter<NewEvent>,
    results: Vec<EventResult>,
    has_pushes: bool,
    listings: usize,
    traced: Option<Box<Traced>>,
    reply: oneshot::Sender<Result<Recorded>>,
}

impl Events {
    pub(super) fn new(request: RecordRequest, reply: oneshot::Sender<Result<Recorded>>) -> Self {
        let RecordRequest { seller, now, events, trace } = request;
        let traced = trace.map(|context| Box::new(Traced::new(context, seller, &events)));
        let results = Vec::with_capacity(events.len());
        let waiting_since = Some(Instant::now());
        Self { seller, now, waiting_since, rest: events.into_iter(), results, has_pushes: false, listings: 0, traced, reply }
    }

    pub(super) fn seller(&self) -> SellerId {
        self.seller
    }

    fn part(&mut self, at_most: usize) -> RecordRequest {
        let trace = self.traced.as_ref().map(|traced| traced.context);
        RecordRequest { seller: self.seller, now: self.now, events: self.rest.by_ref().take(at_most).collect(), trace }
    }

    /// A part was committed by a transaction that began then.
    pub(super) fn trace(&mut self, part: &Recorded, began: Instant) {
        if let Some(traced) = &mut self.traced {
            traced.committed(part, began);
        }
    }

    /// Notes the results of a part that was committed. Answers if it was the last, otherwise returns the request.
    pub(super) fn note(mut self, part: Recorded) -> Option<Self> {
        self.results.extend(part.results);
        self.has_pushes |= part.has_pushes;
        self.listings += part.listings;
        if self.rest.len() > 0 {
            return Some(self);
        }
        let Self { seller, results, has_pushes, listings, reply, .. } = self;
        reply.send(Ok(Recorded { seller, results, has_pushes, listings, pushes: Vec::new() })).ok();
        None
    }

    /// Answers that it failed. Events of earlier parts remain recorded, so the answer must not promise that none are.
    pub(super) fn fail(self, error: Error) {
        let error = match error {
            Error::Busy if !self.results.is_empty() => Error::Unavailable("only a part of a request was recorded".to_owned()),
            error => error,
        };
        self.reply.send(Err(error)).ok();
    }
}

/// What waits in one lane.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Turns<Waiting>,
    ended: Turns<Ended>,
    events: Turns<Events>,
    /// How many events to take from a seller at a time, by how much work its latest ones were.
    paces: HashMap<SellerId, usize>,
}

fn has_room<T>(turns: &Turns<T>, seller: SellerId) -> Result<()> {
    if turns.len() < LANE_CAPACITY && turns.of(seller) < SELLER_CAPACITY { Ok(()) } else { Err(Error::Busy) }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.len() == 0 && self.ended.len() == 0 && self.events.len() == 0
    }

    pub(super) fn push_job(&mut self, seller: SellerId, job: Box<dyn Job>) -> Result<()> {
        has_room(&self.jobs, seller)?;
        self.jobs.push(seller, Waiting { job, since: Instant::now() });
        Ok(())
    }

    pub(super) fn push_ended(&mut self, ended: Ended) -> Result<()> {
        has_room(&self.ended, ended.call.seller)?;
        self.ended.push(ended.call.seller, ended);
        Ok(())
    }

    pub(super) fn push_events(&mut self, events: Events) -> Result<()> {
        has_room(&self.events, events.seller)?;
        self.events.push(events.seller, events);
        Ok(())
    }

    /// Puts back a request of which events are left.
    pub(super) fn put_back(&mut self, events: Events) {
        self.events.put_back(events.seller, events);
    }

    pub(super) fn next_job(&mut self) -> Option<Box<dyn Job>> {
        let (_, waiting) = self.jobs.next()?;
        metrics::note(|metrics| metrics.other_writes_wait.add(waiting.since.elapsed()));
        Some(waiting.job)
    }

    /// The calls whose ends are saved next.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        let (mut taken, mut pushes) = (Vec::new(), 0);
        while pushes < GROUP_EVENTS {
            let Some((_, ended)) = self.ended.next() else { break };
            metrics::note(|metrics| metrics.other_writes_wait.add(ended.since.elapsed()));
            pushes += ended.call.items;
            taken.push(ended);
        }
        taken
    }

    /// The requests whose events come next, each with the part to record now.
    pub(super) fn take_events(&mut self) -> Vec<(Events, RecordRequest)> {
        let mut taken = Vec::new();
        let mut room = GROUP_EVENTS;
        let mut left: HashMap<SellerId, usize> = HashMap::new();
        let now = Instant::now();
        // How many sellers in a row could add nothing.
        let mut passed = 0;
        while room > 0 && passed < self.events.sellers() {
            let Some((seller, mut request)) = self.events.next() else { break };
            let pace = self.paces.get(&seller).copied().unwrap_or(FIRST_EVENTS);
            let left = left.entry(seller).or_insert(pace);
            let part = request.part(room.min(*left));
            if part.events.is_empty() && request.rest.len() > 0 {
                self.events.put_back(seller, request);
                passed += 1;
                continue;
            }
            passed = 0;
            if let Some(since) = request.waiting_since.take() {
                metrics::note(|metrics| metrics.stock_events_wait.add(now - since));
            }
            room -= part.events.len();
            // What comes after the rest of a request waits for it.
            *left = if request.rest.len() > 0 { 0 } else { *left - part.events.len() };
            taken.push((request, part));
        }
        taken
    }

    /// Notes how many listings a seller's events concerned: those of few listings are recorded in larger groups.
    pub(super) fn note_cost(&mut self, seller: SellerId, events: usize, listings: usize) {
        let pace = self.paces.get(&seller).copied().unwrap_or(FIRST_EVENTS);
        let fitting = (SELLER_WORK * events).checked_div(events + listings).unwrap_or(SELLER_EVENTS);
        let pace = fitting.min(2 * pace).clamp(1, SELLER_EVENTS);
        if self.paces.len() >= MAX_PACES {
            self.paces.clear();
        }
        self.paces.insert(seller, pace);
    }

    /// Everything that waits.
    pub(super) fn take_all(&mut self) -> (Vec<Box<dyn Job>>, Vec<Ended>, Vec<Events>) {
        let jobs = std::iter::from_fn(|| self.jobs.next()).map(|(_, waiting)| waiting.job).collect();
        let ended = std::iter::from_fn(|| self.ended.next()).map(|(_, ended)| ended).collect();
        (jobs, ended, std::iter::from_fn(|| self.events.next()).map(|(_, events)| events).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::InCount;
    use crate::domain::stock::{EventKind, StockEvent};
    use crate::domain::{EventId, Sku, WarehouseCode};
    use uuid::Uuid;

    fn seller(n: u128) -> SellerId {
        SellerId(Uuid::from_u128(n))
    }

    fn request(seller: SellerId, events: usize) -> (Events, oneshot::Receiver<Result<Recorded>>) {
        let event = |n: usize| StockEvent {
            event_id: EventId::parse(&n.to_string()).unwrap(),
            sku: Sku::parse("A").unwrap(),
            kind: EventKind::Purchase,
            quantity: 1,
            warehouse: WarehouseCode::main(),
            to_warehouse: None,
            occurred_at: None,
            note: None,
        };
        let events = (0..events).map(|n| NewEvent { event: event(n), hash: [0; 32], may_create_sku: true, store: None }).collect();
        let (reply, answer) = oneshot::channel();
        (Events::new(RecordRequest { seller, now: Timestamp::default(), events, trace: None }, reply), answer)
    }

    fn accepted() -> EventResult {
        EventResult::Accepted { at: Timestamp::default(), remark: None, in_count: InCount::default() }
    }

    /// Records what the queue gives next, as if each event concerned so many listings; returns how many of each seller.
    fn record(queue: &mut Queue, listings_of_each: usize) -> Vec<(SellerId, usize)> {
        let taken = queue.take_events();
        let sizes = taken.iter().map(|(request, part)| (request.seller, part.events.len())).collect();
        for (request, part) in taken {
            let results: Vec<_> = part.events.iter().map(|_| accepted()).collect();
            let listings = results.len() * listings_of_each;
            queue.note_cost(request.seller, results.len(), listings);
            if let Some(rest) = request.note(Recorded { seller: part.seller, results, has_pushes: false, listings, pushes: Vec::new() }) {
                queue.put_back(rest);
            }
        }
        sizes
    }

    #[test]
    fn a_single_event_shares_the_next_transaction_with_a_part_of_a_large_batch_that_came_before_it() {
        let mut queue = Queue::default();
        let ((batch, mut of_batch), (more, _more)) = (request(seller(1), 10_000), request(seller(1), 10_000));
        for one in [batch, more] {
            queue.push_events(one).unwrap();
        }
        record(&mut queue, 0);
        let (single, mut of_single) = request(seller(2), 1);
        queue.push_events(single).unwrap();
        let sizes = record(&mut queue, 0);
        assert!(sizes.contains(&(seller(2), 1)), "{sizes:?}");
        assert_eq!(of_single.try_recv().unwrap().unwrap().results.len(), 1);
        assert!(of_batch.try_recv().is_err(), "the batch is answered after its last event");
        let parts = std::iter::from_fn(|| Some(record(&mut queue, 0)).filter(|sizes| !sizes.is_empty())).collect::<Vec<_>>();
        assert!(parts.iter().flatten().all(|(_, size)| *size <= SELLER_EVENTS));
        assert_eq!(of_batch.try_recv().unwrap().unwrap().results.len(), 10_000);
        assert!(queue.is_empty());
    }

    #[test]
    fn events_of_many_listings_are_recorded_in_small_parts_and_others_in_large_ones() {
        let steady = |listings_of_each| {
            let mut queue = Queue::default();
            let (batch, _answer) = request(seller(1), 10_000);
            queue.push_events(batch).unwrap();
            (0..8).map(|_| record(&mut queue, listings_of_each)[0].1).last()
        };
        assert_eq!([steady(0), steady(3), steady(9), steady(1000), steady(10_000)], [500, 500, 200, 1, 1].map(Some));
    }

    #[test]
    fn many_small_requests_of_one_seller_fill_a_transaction_but_leave_room_for_others() {
        let mut queue = Queue::default();
        let _answers: Vec<_> = (0..SELLER_CAPACITY)
            .map(|_| {
                let (single, answer) = request(seller(1), 1);
                queue.push_events(single).unwrap();
                answer
            })
            .collect();
        assert_eq!(queue.push_events(request(seller(1), 1).0), Err(Error::Busy));
        queue.push_events(request(seller(2), 1).0).unwrap();
        let sizes = record(&mut queue, 0);
        assert_eq!((sizes.len(), sizes[1]), (FIRST_EVENTS + 1, (seller(2), 1)));
    }

    #[test]
    fn a_request_that_fails_after_a_part_of_it_was_recorded_does_not_promise_that_nothing_was() {
        let (mut whole, mut of_whole) = request(seller(1), 2);
        whole.part(1);
        whole.fail(Error::Busy);
        assert_eq!(of_whole.try_recv().unwrap().unwrap_err(), Error::Busy);
        let (mut begun, mut of_begun) = request(seller(1), 2);
        begun.part(1);
        let results = vec![accepted()];
        let begun = begun.note(Recorded { seller: seller(1), results, has_pushes: false, listings: 0, pushes: Vec::new() }).unwrap();
        begun.fail(Error::Busy);
        assert!(matches!(of_begun.try_recv().unwrap(), Err(Error::Unavailable(_))));
    }
}
