//! One life of the service's process: where it can die, and what its database does to it meanwhile.
//!
//! Every piece of work on the database and every request to a platform has a point before and a point behind it. A
//! fuse of so many points ends the process there: nothing that it was about to do happens any more.
use crate::story::{DbFault, Rng};
use futures_util::future::BoxFuture;
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::db::fault_injection::FaultInjection;
use stocktide::db::{Error, Result};
use tokio::sync::Notify;

/// What outlives a process: the draws for its database, and the faults that wait.
pub struct Fortune {
    rng: Rng,
    /// Work to skip, the fault, how often.
    faults: Vec<(u64, DbFault, u64)>,
    pub counts: BTreeMap<String, u64>,
    /// How long work takes, in milliseconds, at most.
    pub slowest_ms: u64,
    /// Points passed since the story began, of all lives.
    pub points: u64,
    /// Pieces of work on the database since then.
    pub works: u64,
}

impl Fortune {
    pub fn new(rng: Rng) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { rng, faults: Vec::new(), counts: BTreeMap::new(), slowest_ms: 3, points: 0, works: 0 }))
    }

    pub fn plan(&mut self, fault: DbFault, after: u64, times: u64) {
        self.faults.push((after, fault, times));
    }

    pub fn calms(&mut self) {
        self.faults.clear();
    }

    fn fault(&mut self) -> Option<DbFault> {
        self.works += 1;
        let mut found = None;
        for (skip, fault, times) in &mut self.faults {
            if *skip > 0 {
                *skip -= 1;
            } else if *times > 0 && found.is_none() {
                *times -= 1;
                found = Some(*fault);
            }
        }
        self.faults.retain(|(_, _, times)| *times > 0);
        if let Some(fault) = found {
            let word = match fault {
                DbFault::Fails => "database: failed",
                DbFault::AnswerLost => "database: answer of the commit lost",
                DbFault::Slow { .. } => "database: slow",
            };
            *self.counts.entry(word.to_owned()).or_default() += 1;
        }
        found
    }
}

#[derive(Default)]
struct Thread {
    dead: bool,
    fuse: Option<u64>,
    /// Of the work that is being done, which is done in place between before and after.
    answer_lost: bool,
}

pub struct Life {
    thread: Mutex<Thread>,
    pub died: Notify,
    fortune: Arc<Mutex<Fortune>>,
}

impl Life {
    pub fn new(fortune: &Arc<Mutex<Fortune>>) -> Arc<Self> {
        Arc::new(Self { thread: Mutex::default(), died: Notify::new(), fortune: Arc::clone(fortune) })
    }

    fn thread(&self) -> MutexGuard<'_, Thread> {
        self.thread.lock().unwrap()
    }

    /// Dies at the so many-th point from now.
    pub fn light(&self, points: u64) {
        self.thread().fuse = Some(points);
    }

    pub fn put_out(&self) {
        self.thread().fuse = None;
    }

    pub fn die(&self) {
        self.thread().dead = true;
    }

    /// Whether it goes on from here.
    fn pass(&self) -> bool {
        let mut thread = self.thread();
        if thread.dead {
            return false;
        }
        self.fortune.lock().unwrap().points += 1;
        if let Some(fuse) = &mut thread.fuse {
            *fuse = fuse.saturating_sub(1);
            if *fuse == 0 {
                thread.dead = true;
                self.died.notify_one();
                return false;
            }
        }
        true
    }

    /// A place at which the process may die; then nothing comes behind it.
    pub async fn point(&self) {
        if !self.pass() {
            std::future::pending::<()>().await;
        }
    }
}

/// The process's way to its database.
pub struct Door(pub Arc<Life>);

/// In a dead process; nobody is told.
fn dead() -> Error {
    Error::Unavailable("the process is dead".to_owned())
}

impl Door {
    fn delay(&self) -> u64 {
        let mut fortune = self.0.fortune.lock().unwrap();
        let slowest = fortune.slowest_ms;
        if fortune.rng.random_bool(0.6) { 0 } else { fortune.rng.random_range(0..=slowest) }
    }
}

impl FaultInjection for Door {
    fn before(&self) -> BoxFuture<'static, Result<()>> {
        let life = Arc::clone(&self.0);
        let delay = self.delay();
        Box::pin(async move {
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if !life.pass() {
                return Err(dead());
            }
            let fault = life.fortune.lock().unwrap().fault();
            match fault {
                Some(DbFault::Fails) => Err(Error::Unavailable("the database failed".to_owned())),
                Some(DbFault::Slow { ms }) => {
                    tokio::time::sleep(Duration::from_millis(ms.into())).await;
                    if life.thread().dead { Err(dead()) } else { Ok(()) }
                }
                Some(DbFault::AnswerLost) => {
                    life.thread().answer_lost = true;
                    Ok(())
                }
                None => Ok(()),
            }
        })
    }

    fn after(&self) -> BoxFuture<'static, Result<()>> {
        let life = Arc::clone(&self.0);
        let delay = self.delay();
        Box::pin(async move {
            let lost = std::mem::take(&mut life.thread().answer_lost);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if !life.pass() {
                return Err(dead());
            }
            if lost { Err(Error::Unavailable("the answer of the commit was lost".to_owned())) } else { Ok(()) }
        })
    }
}
