//! One lifetime of the service's process: where it can die, and the faults of its database.
//!
//! There is a point before and after every piece of database work and every request to a platform. A fuse counts down
//! these points and then ends the process: nothing that it was about to do happens.
use crate::nodes::{Cut, Ties, rung};
use crate::story::{DbFault, Rng};
use futures_util::future::BoxFuture;
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use stocktide::db::fault_injection::FaultInjection;
use stocktide::db::{Error, Result};
use tokio::sync::Notify;

/// Outlives the process: random delays and planned faults of its database.
pub struct FaultPlan {
    rng: Rng,
    /// (pieces of work before it starts, the fault, how often it occurs).
    faults: Vec<(u64, DbFault, u64)>,
    pub counts: BTreeMap<String, u64>,
    /// The longest ordinary delay, in milliseconds.
    pub slowest_ms: u64,
    /// Points passed in all lifetimes since the story started.
    pub points: u64,
    /// Pieces of database work since then.
    pub works: u64,
    /// Processes that were started, and faults of their databases: each may have forgotten an answer.
    pub disturbances: u64,
}

impl FaultPlan {
    pub fn new(rng: Rng) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { rng, faults: Vec::new(), counts: BTreeMap::new(), slowest_ms: 3, points: 0, works: 0, disturbances: 0 }))
    }

    pub fn plan(&mut self, fault: DbFault, after: u64, times: u64) {
        self.faults.push((after, fault, times));
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub fn clear(&mut self) {
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
            self.disturbances += 1;
            let word = match fault {
                DbFault::Fails => "database: failed",
                DbFault::AnswerLost => "database: commit answer lost",
                DbFault::Slow { .. } => "database: slow",
            };
            *self.counts.entry(word.to_owned()).or_default() += 1;
        }
        found
    }
}

#[derive(Default)]
struct Status {
    dead: bool,
    fuse: Option<u64>,
    /// The answer to the current work will be lost. Set in `before`, read in `after`.
    answer_lost: bool,
    /// The fuse does not end the process, but freezes it for so long.
    freezes_for_ms: Option<u64>,
}

pub struct Life {
    status: Mutex<Status>,
    pub died: Notify,
    fault_plan: Arc<Mutex<FaultPlan>>,
    /// Of a node among several.
    pub ties: Option<Arc<Ties>>,
}

impl Life {
    pub fn new(fault_plan: &Arc<Mutex<FaultPlan>>, ties: Option<Arc<Ties>>) -> Arc<Self> {
        fault_plan.lock().unwrap().disturbances += 1;
        Arc::new(Self { status: Mutex::default(), died: Notify::new(), fault_plan: Arc::clone(fault_plan), ties })
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap()
    }

    pub fn disturbances(&self) -> u64 {
        self.fault_plan.lock().unwrap().disturbances
    }

    /// The process will die at this point, counted from now.
    pub fn light_fuse(&self, points: u64) {
        self.status().fuse = Some(points);
    }

    /// The process will be frozen at this point, counted from now.
    pub fn light_fuse_to_freeze(&self, points: u64, for_ms: u64) {
        let mut status = self.status();
        (status.fuse, status.freezes_for_ms) = (Some(points), Some(for_ms));
    }

    pub fn has_fuse(&self) -> bool {
        self.status().fuse.is_some()
    }

    pub fn put_out_fuse(&self) {
        self.status().fuse = None;
    }

    pub fn die(&self) {
        self.status().dead = true;
        if let Some(ties) = &self.ties {
            ties.die();
        }
    }

    /// Passes a point; whether the process is still alive.
    fn pass(&self) -> bool {
        let mut status = self.status();
        if status.dead {
            return false;
        }
        self.fault_plan.lock().unwrap().points += 1;
        let burns_out = |fuse: &mut u64| {
            *fuse = fuse.saturating_sub(1);
            *fuse == 0
        };
        if status.fuse.as_mut().is_some_and(burns_out) {
            let (Some(ties), Some(ms)) = (&self.ties, status.freezes_for_ms.take()) else {
                status.dead = true;
                self.died.notify_one();
                return false;
            };
            status.fuse = None;
            ties.freeze(ms);
        }
        true
    }

    /// A request leaves for this store, unless the node is cut off.
    pub fn sends(&self, store: &str, changes_something: bool) -> Option<Cut> {
        let ties = self.ties.as_ref()?;
        ties.log().note_sent(ties.number, store, changes_something);
        ties.platforms()
    }

    /// A point at which the process may die; if so, this never returns.
    pub async fn crash_point(&self) {
        if !self.pass() {
            std::future::pending::<()>().await;
        }
    }
}

/// The process's access to its database.
pub struct DatabaseAccess(pub Arc<Life>);

/// The error in a dead process, which nobody will see.
fn dead() -> Error {
    Error::Unavailable("the process is dead".to_owned())
}

impl DatabaseAccess {
    fn delay(&self) -> u64 {
        let mut fault_plan = self.0.fault_plan.lock().unwrap();
        let slowest = fault_plan.slowest_ms;
        if fault_plan.rng.random_bool(0.6) { 0 } else { fault_plan.rng.random_range(0..=slowest) }
    }
}

impl FaultInjection for DatabaseAccess {
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
            let fault = life.fault_plan.lock().unwrap().fault();
            match fault {
                Some(DbFault::Fails) => Err(Error::Unavailable("the database failed".to_owned())),
                Some(DbFault::Slow { ms }) => {
                    tokio::time::sleep(Duration::from_millis(ms.into())).await;
                    if life.status().dead { Err(dead()) } else { Ok(()) }
                }
                Some(DbFault::AnswerLost) => {
                    life.status().answer_lost = true;
                    Ok(())
                }
                None => Ok(()),
            }?;
            match &life.ties {
                Some(ties) => ties.reach_database().await,
                None => Ok(()),
            }
        })
    }

    fn after(&self) -> BoxFuture<'static, Result<()>> {
        let life = Arc::clone(&self.0);
        if let Some(ties) = &life.ties {
            // Before anything else happens.
            let mut log = ties.log();
            let position = log.position();
            log.note_work(ties.number, position);
        }
        let delay = self.delay();
        Box::pin(async move {
            let lost = std::mem::take(&mut life.status().answer_lost);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if !life.pass() {
                return Err(dead());
            }
            if let Some(ties) = &life.ties {
                ties.hear_from_database().await?;
            }
            if lost { Err(Error::Unavailable("the answer to the commit was lost".to_owned())) } else { Ok(()) }
        })
    }

    fn before_leases(&self) -> BoxFuture<'static, Result<()>> {
        let (life, delay) = (Arc::clone(&self.0), self.delay());
        Box::pin(async move {
            let Some(ties) = &life.ties else { return Ok(()) };
            if ties.bus.is_idle() {
                ties.bus.until_busy().await;
                return Err(Error::Unavailable("nobody looks after the leases for a while".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(delay)).await;
            ties.reach_database().await?;
            if life.status().dead { Err(dead()) } else { Ok(()) }
        })
    }

    fn exchange(&self, said: Vec<String>) -> Vec<String> {
        self.0.ties.as_ref().map_or_else(Vec::new, |ties| ties.bus.exchange(ties, &said))
    }

    fn rung(&self) -> BoxFuture<'static, ()> {
        self.0.ties.as_ref().map_or_else(|| Box::pin(std::future::pending()) as BoxFuture<'static, ()>, rung)
    }
}
