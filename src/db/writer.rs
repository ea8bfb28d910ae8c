//! Group commit: every write goes through a lane, and all writes waiting in a lane share one transaction.
//!
//! Waiting for the disk makes a commit cost more than all the statements in it, so the writes that arrive during one
//! commit form the next. Each job runs in its own savepoint and is answered only after the commit. A seller always uses
//! the same lane. SQLite has one lane because it allows one writer; PostgreSQL has a few.
//!
//! In a lane the sellers take turns, and a group has a time limit: a seller that writes a lot uses the time that others
//! leave, and does not delay them by more than one group.
use super::changed::{Changed, Changes, Hook, merge};
use super::connection::Conn;
use super::error::{Error, Result};
use super::fault_injection::Blocking;
use super::ledger::{self, RecordRequest, Recorded};
use super::pool::Pool;
use crate::domain::SellerId;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most requests waiting in one lane; further callers get [`Error::Busy`].
pub const LANE_CAPACITY: usize = 2048;
/// The most jobs in one transaction.
const GROUP_JOBS: usize = 256;
/// The most stock events in one transaction (a single request may bring more).
const GROUP_EVENTS: usize = 10_000;
/// After this time no further job joins a transaction; the remaining ones form the next.
const GROUP_TIME: Duration = Duration::from_millis(10);

trait Job: Send {
    fn run(&mut self, conn: &mut Conn) -> Result<()>;
    fn answer(self: Box<Self>, committed: Result<()>);
}

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

struct Events {
    request: RecordRequest,
    reply: oneshot::Sender<Result<Recorded>>,
}

/// A job that waits for its transaction.
struct Waiting {
    seller: SellerId,
    job: Box<dyn Job>,
}

enum Item {
    Job(Waiting),
    Events(Events),
}

/// Sends writes to the lanes.
#[derive(Clone)]
pub(super) struct Writer {
    lanes: Arc<[mpsc::Sender<Item>]>,
}

impl Writer {
    /// Starts the lanes on the current runtime; they end when the last handle is dropped.
    pub(super) fn start(pool: &Pool, lanes: usize, limits: ledger::Limits, hook: &Arc<OnceLock<Hook>>, blocking: &Blocking) -> Self {
        let lanes = (0..lanes.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(LANE_CAPACITY);
                tokio::spawn(lane(pool.clone(), receiver, limits, Arc::clone(hook), blocking.clone()));
                sender
            })
            .collect();
        Self { lanes }
    }

    fn lane_of(&self, seller: SellerId) -> Result<&mpsc::Sender<Item>> {
        let number = usize::from(seller.0.as_bytes().last().copied().unwrap_or(0)) % self.lanes.len().max(1);
        self.lanes.get(number).ok_or(Error::Busy)
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        seller: SellerId,
        work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Work { work, result: None, reply });
        self.lane_of(seller)?.try_send(Item::Job(Waiting { seller, job })).map_err(|_| Error::Busy)?;
        answer.await.unwrap_or(Err(Error::Busy))
    }

    pub(super) async fn record(&self, request: RecordRequest) -> Result<Recorded> {
        let (reply, answer) = oneshot::channel();
        let lane = self.lane_of(request.seller)?;
        lane.try_send(Item::Events(Events { request, reply })).map_err(|_| Error::Busy)?;
        answer.await.unwrap_or(Err(Error::Busy))
    }
}

async fn lane(pool: Pool, mut receiver: mpsc::Receiver<Item>, limits: ledger::Limits, hook: Arc<OnceLock<Hook>>, blocking: Blocking) {
    let mut jobs: Vec<Waiting> = Vec::new();
    loop {
        let mut next = if jobs.is_empty() { receiver.recv().await } else { receiver.try_recv().ok() };
        if next.is_none() && jobs.is_empty() {
            return;
        }
        let mut events = Vec::new();
        let mut count = 0;
        while let Some(item) = next {
            match item {
                Item::Job(job) => jobs.push(job),
                Item::Events(group) => {
                    count += group.request.events.len();
                    events.push(group);
                }
            }
            next = if jobs.len() + events.len() < GROUP_JOBS && count < GROUP_EVENTS { receiver.try_recv().ok() } else { None };
        }
        let (group_pool, group_jobs) = (pool.clone(), in_turns(std::mem::take(&mut jobs), |waiting| waiting.seller));
        let done = blocking.run(move || commit_group(&group_pool, group_jobs, events, limits)).await;
        match done {
            Ok((group, left)) => {
                jobs = left;
                let changes = group.answer();
                if let Some(hook) = hook.get() {
                    changes.into_iter().for_each(|(seller, changed)| hook(seller, changed));
                }
            }
            Err(error) => tracing::error!(%error, "a group of writes was lost; its callers got an error and may try again"),
        }
    }
}

/// Sorts jobs: the first of each seller, then the second of each, and so on; those of one seller keep their order.
fn in_turns<T>(waiting: Vec<T>, seller_of: impl Fn(&T) -> SellerId) -> Vec<T> {
    let mut turns: BTreeMap<SellerId, usize> = BTreeMap::new();
    let mut in_turns: Vec<(usize, T)> = waiting
        .into_iter()
        .map(|one| {
            let turn = turns.entry(seller_of(&one)).or_default();
            *turn += 1;
            (*turn, one)
        })
        .collect();
    in_turns.sort_by_key(|(turn, _)| *turn);
    in_turns.into_iter().map(|(_, one)| one).collect()
}

/// A group whose transaction has ended, and whose callers wait for their answers.
struct Group {
    jobs: Vec<Box<dyn Job>>,
    replies: Vec<oneshot::Sender<Result<Recorded>>>,
    recorded: Vec<Result<Recorded>>,
    /// What the jobs have changed.
    changes: Changes,
    committed: Result<()>,
}

impl Group {
    /// Answers all callers; returns what was changed for each seller.
    fn answer(self) -> Changes {
        let mut changes = Changes::new();
        if self.committed.is_ok() {
            changes = self.changes;
            for recorded in self.recorded.iter().flatten().filter(|recorded| recorded.has_pushes) {
                merge(&mut changes, recorded.seller, Changed::Work);
            }
        }
        for job in self.jobs {
            job.answer(self.committed.clone());
        }
        let mut recorded = self.recorded.into_iter();
        for reply in self.replies {
            let result = self.committed.clone().and_then(|()| recorded.next().unwrap_or(Err(Error::Busy)));
            reply.send(result).ok();
        }
        changes
    }
}

/// Runs a group in one transaction; also returns the jobs for which there was no time left.
fn commit_group(pool: &Pool, jobs: Vec<Waiting>, events: Vec<Events>, limits: ledger::Limits) -> (Group, Vec<Waiting>) {
    let (requests, replies): (Vec<_>, Vec<_>) = events.into_iter().map(|e| (e.request, e.reply)).unzip();
    let mut recorded: Vec<Result<Recorded>> = Vec::new();
    let mut waiting = jobs.into_iter();
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    let mut changes = Changes::new();
    let committed = pool.get().and_then(|mut conn| {
        conn.take_changes();
        let result = conn.transaction(|conn| {
            recorded = record_all(conn, &requests, limits)?;
            let started = Instant::now();
            for Waiting { mut job, .. } in waiting.by_ref() {
                let done = job.run(conn);
                jobs.push(job);
                done?;
                if started.elapsed() > GROUP_TIME {
                    break;
                }
            }
            Ok(())
        });
        if result.is_err() {
            conn.mark_broken();
        }
        changes = conn.take_changes();
        result
    });
    let mut left: Vec<Waiting> = waiting.collect();
    if let Err(error) = &committed {
        tracing::warn!(%error, jobs = jobs.len(), requests = requests.len(), "a group of writes was not committed");
        // The remaining jobs fail as well rather than wait for the same error.
        jobs.extend(left.drain(..).map(|waiting| waiting.job));
    }
    (Group { jobs, replies, recorded, changes, committed }, left)
}

/// Records all requests together, or each separately if that fails because of the rows of one.
fn record_all(conn: &mut Conn, requests: &[RecordRequest], limits: ledger::Limits) -> Result<Vec<Result<Recorded>>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    match conn.transaction(|conn| ledger::record(conn, requests, limits)) {
        Ok(recorded) => Ok(recorded.into_iter().map(Ok).collect()),
        Err(error) if error.is_fatal() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "stock events of several requests could not be recorded together; trying each separately");
            let mut results = Vec::with_capacity(requests.len());
            for request in requests {
                let one = conn.transaction(|conn| ledger::record(conn, std::slice::from_ref(request), limits));
                match one {
                    Err(error) if error.is_fatal() => return Err(error),
                    Err(error) => results.push(Err(error)),
                    Ok(mut recorded) => results.push(recorded.pop().ok_or(Error::Busy)),
                }
            }
            Ok(results)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_turns;
    use crate::domain::SellerId;
    use uuid::Uuid;

    #[test]
    fn sellers_take_turns_and_the_jobs_of_each_keep_their_order() {
        let [busy, other] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let waiting = vec![(busy, 1), (busy, 2), (busy, 3), (other, 1), (other, 2)];
        let expected = [(busy, 1), (other, 1), (busy, 2), (other, 2), (busy, 3)];
        assert_eq!(in_turns(waiting, |(seller, _)| *seller), expected);
    }
}
