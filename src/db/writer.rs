//! Group commit: every write goes through a lane, and the writes waiting in a lane share one transaction.
//!
//! Waiting for the disk makes a commit cost more than all the statements in it, so the writes that arrive during one
//! commit form the next. Each job runs in its own savepoint, except for one that is the first in its transaction, whose failure
//! takes nothing else with it. Jobs are answered only after the commit. A seller always uses the same lane. SQLite has one lane
//! because it allows one writer; PostgreSQL has a few. Each lane has a connection of its own, for which it never has to wait.
//!
//! In a lane the sellers take turns, and a group is limited in size and time: a seller that writes a lot uses the time that
//! others leave, and does not delay them by more than one group. The stock events of one request may need several groups;
//! the request is answered after the last.
mod care;

use super::changed::{Changed, Changes, Hook, merge};
use super::connection::Conn;
use super::delivery::{EndedCall, Finished, Offers, Taken};
use super::error::{Error, Result};
use super::fault_injection::Blocking;
use super::held::Held;
use super::ledger::{self, RecordRequest, Recorded, Repeats};
use super::pool::Connector;
use super::queue::{Ended, Events, Job, Queue};
use crate::domain::SellerId;
use crate::metrics;
use care::{Care, finish, record};
use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most jobs in one transaction.
const GROUP_JOBS: usize = 256;
/// After a repeat has come, how many groups of stock events are checked for repeats before anything is written.
const WARY_GROUPS: u32 = 32;
/// After this time no further job joins a transaction; the remaining ones form the next.
const GROUP_TIME: Duration = Duration::from_millis(10);

struct Work<T, F> {
    work: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut Conn) -> Result<T> + Send> Job for Work<T, F> {
    fn run(&mut self, conn: &mut Conn) -> Result<()> {
        let result = conn.transaction(&mut self.work);
        let fatal = result.as_ref().err().filter(|e| e.is_fatal()).cloned();
        self.result = Some(result);
        fatal.map_or(Ok(()), Err)
    }

    fn run_first(&mut self, conn: &mut Conn) -> Result<()> {
        let result = (self.work)(conn);
        let error = result.as_ref().err().cloned();
        self.result = Some(result);
        error.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let result = match (committed, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Busy),
        };
        // Fails if the caller was cancelled; the rows are correct regardless.
        self.reply.send(result).ok();
    }
}

/// Sends writes to the lanes.
#[derive(Clone)]
pub(super) struct Writer {
    lanes: Arc<[Entrance]>,
}

/// Where writes enter a lane.
struct Entrance {
    queue: Arc<Mutex<Queue>>,
    /// Wakes the lane; closed when the last handle is dropped.
    bell: mpsc::Sender<()>,
}

fn open(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Starts the lanes on the current runtime; they end when the last handle is dropped.
    pub(super) fn start(
        connector: &Connector,
        lanes: usize,
        limits: ledger::Limits,
        hook: &Arc<OnceLock<Hook>>,
        (offers, held, blocking): (&Arc<Offers>, &Arc<Held>, &Blocking),
    ) -> Self {
        let lanes = (0..lanes.max(1))
            .map(|_| {
                let (bell, rung) = mpsc::channel(1);
                let queue = Arc::new(Mutex::new(Queue::default()));
                let lane = Lane {
                    connector: connector.clone(),
                    queue: Arc::clone(&queue),
                    limits,
                    hook: Arc::clone(hook),
                    offers: Arc::clone(offers),
                    held: Arc::clone(held),
                    blocking: blocking.clone(),
                };
                tokio::spawn(lane.run(rung));
                Entrance { queue, bell }
            })
            .collect();
        Self { lanes }
    }

    fn lane_of(&self, seller: SellerId) -> Result<&Entrance> {
        let number = usize::from(seller.0.as_bytes().last().copied().unwrap_or(0)) % self.lanes.len().max(1);
        self.lanes.get(number).ok_or(Error::Busy)
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        seller: SellerId,
        work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let lane = self.lane_of(seller)?;
        open(&lane.queue).push_job(seller, Box::new(Work { work, result: None, reply }))?;
        // If it is full, the lane is awake already.
        lane.bell.try_send(()).ok();
        answer.await.unwrap_or(Err(Error::Busy))
    }

    /// Saves the end of a call.
    pub(super) async fn finish(&self, call: EndedCall) -> Result<Finished> {
        if !call.may_be_plain() {
            return self.write(call.seller, move |conn| call.save(conn)).await;
        }
        let (reply, answer) = oneshot::channel();
        let lane = self.lane_of(call.seller)?;
        open(&lane.queue).push_ended(Ended::new(call, reply))?;
        lane.bell.try_send(()).ok();
        answer.await.unwrap_or(Err(Error::Busy))
    }

    pub(super) async fn record(&self, request: RecordRequest) -> Result<Recorded> {
        let (reply, answer) = oneshot::channel();
        let lane = self.lane_of(request.seller)?;
        open(&lane.queue).push_events(Events::new(request, reply))?;
        lane.bell.try_send(()).ok();
        answer.await.unwrap_or(Err(Error::Busy))
    }
}

struct Lane {
    connector: Connector,
    queue: Arc<Mutex<Queue>>,
    limits: ledger::Limits,
    hook: Arc<OnceLock<Hook>>,
    offers: Arc<Offers>,
    held: Arc<Held>,
    blocking: Blocking,
}

impl Lane {
    async fn run(self, mut rung: mpsc::Receiver<()>) {
        let mut kept = Kept::default();
        loop {
            if open(&self.queue).is_empty() {
                if rung.recv().await.is_none() {
                    return;
                }
                continue;
            }
            let (connector, queue, limits) = (self.connector.clone(), Arc::clone(&self.queue), self.limits);
            let (before, taken) = (std::mem::take(&mut kept), Taken::new(Arc::clone(&self.offers), Arc::clone(&self.held)));
            let done = self.blocking.run(move || commit_group(&connector, before, &queue, limits, taken)).await;
            match done {
                Ok((group, after)) => {
                    kept = after;
                    let changes = group.answer(&self.queue);
                    if let Some(hook) = self.hook.get() {
                        changes.into_iter().for_each(|(seller, changed)| hook(seller, changed));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a group of writes was lost; its callers got an error and may try again");
                    // What is still waiting fails as well, so that a lasting failure does not keep this loop busy.
                    refused(Group::default(), &self.queue, error).answer(&self.queue);
                }
            }
        }
    }
}

/// What a lane keeps from one group to the next.
#[derive(Default)]
struct Kept {
    conn: Option<Conn>,
    setups: ledger::Setups,
    /// How many groups are still to be checked for repeats.
    wary: u32,
}

/// A group whose transaction has ended, and whose callers wait for their answers.
#[derive(Default)]
struct Group {
    jobs: Vec<Box<dyn Job>>,
    ended: Vec<Ended>,
    finished: Vec<Result<Finished>>,
    events: Vec<Events>,
    recorded: Vec<Result<Recorded>>,
    /// The calls that its events have begun; `None` if it was not committed.
    begun: Option<Taken>,
    /// When its transaction began.
    began: Option<Instant>,
    /// What the jobs have changed.
    changes: Changes,
    failed: Option<Error>,
}

impl Group {
    /// Before anybody goes on with what was recorded.
    fn trace(&mut self) {
        let Some(began) = self.began.filter(|_| self.failed.is_none()) else { return };
        for (request, part) in self.events.iter_mut().zip(&self.recorded) {
            if let Ok(part) = part {
                request.trace(part, began);
            }
        }
    }

    /// Answers all callers whose work is done, and puts back requests of which events are left. Returns what was changed
    /// for each seller.
    fn answer(mut self, queue: &Mutex<Queue>) -> Changes {
        self.trace();
        let mut changes = self.changes;
        let committed = self.failed.map_or(Ok(()), Err);
        if let Some(begun) = self.begun.filter(|_| committed.is_ok()) {
            begun.hand_over();
        }
        let mut recorded = self.recorded.into_iter();
        for request in self.events {
            let seller = request.seller();
            match committed.clone().and_then(|()| recorded.next().unwrap_or(Err(Error::Busy))) {
                Err(error) => request.fail(error),
                Ok(part) => {
                    if part.has_pushes {
                        merge(&mut changes, seller, Changed::Work);
                    }
                    let mut queue = open(queue);
                    queue.note_cost(seller, part.results.len(), part.listings);
                    if let Some(rest) = request.note(part) {
                        queue.put_back(rest);
                    }
                }
            }
        }
        let mut finished = self.finished.into_iter();
        for ended in self.ended {
            ended.answer(committed.clone().and_then(|()| finished.next().unwrap_or(Err(Error::Busy))));
        }
        for job in self.jobs {
            job.answer(committed.clone());
        }
        changes
    }
}

/// Runs a group in one transaction on the lane's connection, which is opened if there is none. Keeps what is still usable.
fn commit_group(connector: &Connector, kept: Kept, queue: &Mutex<Queue>, limits: ledger::Limits, mut taken: Taken) -> (Group, Kept) {
    let Kept { conn, mut setups, mut wary } = kept;
    let mut group = Group::default();
    let (events, requests): (Vec<_>, Vec<_>) = open(queue).take_events().into_iter().unzip();
    group.events = events;
    group.ended = open(queue).take_ended();
    let calls: Vec<EndedCall> = group.ended.iter().map(|ended| ended.call.clone()).collect();
    let mut conn = match conn.map_or_else(|| connector.connect(), Ok) {
        Ok(conn) => conn,
        Err(error) => return (refused(group, queue, error), Kept::default()),
    };
    conn.take_changes();
    let (has_begun, taken_up_at) = (Cell::new(false), Instant::now());
    let mut done_at = taken_up_at;
    let first = Care::Together(if wary > 0 { Repeats::LookedFor } else { Repeats::NotExpected });
    // Another one after the first has failed because of some rows.
    let care = Cell::new(first);
    let only_first_failed = Cell::new(false);
    let mut work = |conn: &mut Conn| {
        has_begun.set(true);
        taken.roll_back(0);
        // First, so that increases of the same listings need not wait for these.
        group.finished = finish(conn, &calls, &care)?;
        group.recorded = record(conn, (&mut setups, &mut taken), &requests, limits, &care)?;
        let started = Instant::now();
        while group.jobs.len() < GROUP_JOBS && started.elapsed() <= GROUP_TIME {
            let Some(mut job) = open(queue).next_job() else { break };
            let is_first = requests.is_empty() && calls.is_empty() && group.jobs.is_empty();
            let done = if is_first { job.run_first(conn) } else { job.run(conn) };
            only_first_failed.set(is_first && done.as_ref().is_err_and(|error| !error.is_fatal()));
            group.jobs.push(job);
            done?;
        }
        done_at = Instant::now();
        Ok(())
    };
    let mut committed = conn.transaction(&mut work);
    if committed.is_err() && !has_begun.get() {
        // The server may have closed an idle connection; nothing was done yet.
        committed = connector.connect().and_then(|fresh| {
            conn = fresh;
            conn.transaction(&mut work)
        });
    }
    let mut tried = first;
    while committed.is_err() && care.get() != tried {
        tried = care.get();
        committed = conn.transaction(&mut work);
    }
    wary = if tried == first { wary.saturating_sub(u32::from(!requests.is_empty())) } else { WARY_GROUPS };
    match committed {
        Ok(()) => {
            metrics::note(|metrics| {
                metrics.transaction.add(done_at - taken_up_at);
                metrics.commit.add(done_at.elapsed());
            });
            group.changes = conn.take_changes();
            (group.begun, group.began) = (Some(taken), Some(taken_up_at));
            (group, Kept { conn: Some(conn), setups, wary })
        }
        // It gets its own error, and nothing else was in the transaction.
        Err(_) if only_first_failed.get() && !conn.is_broken() => (group, Kept { conn: Some(conn), setups, wary }),
        Err(error) => (refused(group, queue, error), Kept { wary, ..Kept::default() }),
    }
}

/// The group, whose transaction failed. What is waiting fails as well rather than wait for the same error.
fn refused(mut group: Group, queue: &Mutex<Queue>, error: Error) -> Group {
    tracing::warn!(%error, jobs = group.jobs.len(), requests = group.events.len(), "a group of writes was not committed");
    let (jobs, ended, events) = open(queue).take_all();
    group.jobs.extend(jobs);
    group.ended.extend(ended);
    group.events.extend(events);
    group.failed = Some(error);
    group
}
