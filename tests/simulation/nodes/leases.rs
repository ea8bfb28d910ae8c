//! Which node held which shard, and when: written by triggers as the journal is, and read as soon as it is committed.
use crate::journal::Database;
use diesel::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

pub const SHARDS: usize = 256;

/// The triggers: a node is renewed, is deleted, or a shard changes hands.
pub const LEASE_TRIGGERS: &str = "
    CREATE TABLE sim_leases (seq INTEGER PRIMARY KEY, node TEXT, shard INTEGER, epoch INTEGER);
    CREATE TRIGGER sim_nodes_INSERT AFTER INSERT ON nodes BEGIN INSERT INTO sim_leases (node) VALUES (hex(NEW.id)); END;
    CREATE TRIGGER sim_nodes_UPDATE AFTER UPDATE ON nodes BEGIN INSERT INTO sim_leases (node) VALUES (hex(NEW.id)); END;
    CREATE TRIGGER sim_nodes_DELETE AFTER DELETE ON nodes BEGIN INSERT INTO sim_leases (node, epoch) VALUES (hex(OLD.id), -1); END;
    CREATE TRIGGER sim_shards_UPDATE AFTER UPDATE ON shards
        BEGIN INSERT INTO sim_leases (node, shard, epoch) VALUES (nullif(hex(NEW.node), ''), NEW.shard, NEW.epoch); END;";

diesel::table! {
    sim_leases (seq) {
        seq -> BigInt,
        node -> Nullable<Text>,
        shard -> Nullable<BigInt>,
        epoch -> Nullable<BigInt>,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseChange {
    /// This process has renewed its leases.
    Renewed { by: u64 },
    /// The row of this process was deleted.
    Deleted { of: u64 },
    /// A process holds a shard from now on, or nobody.
    Holds { shard: usize, by: Option<u64>, epoch: i64 },
}

/// A request, as it left.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Instant,
    pub by: u64,
    pub store: String,
    pub changes_something: bool,
    /// So many changes of leases had happened before.
    pub after: usize,
}

/// The process that has written something.
#[derive(Debug, Clone, Copy)]
pub struct Author {
    pub process: u64,
    /// So many changes of leases had happened before.
    pub after: usize,
}

/// A process that was killed.
#[derive(Debug, Clone, Copy)]
pub struct Killed {
    pub at: Instant,
    pub process: u64,
    pub others_are_well: bool,
}

pub struct LeaseLog {
    conn: SqliteConnection,
    read_to: i64,
    /// The processes behind the ids of nodes.
    processes: BTreeMap<String, u64>,
    pub changes: Vec<(Instant, LeaseChange)>,
    pub sent: Vec<Sent>,
    pub killed: Vec<Killed>,
    /// When something was done to a node, or ended.
    pub disturbed: Vec<Instant>,
    /// Who has written each stretch of the journal, by the last entry of the stretch.
    pub authors: BTreeMap<i64, Author>,
}

impl LeaseLog {
    pub fn on(database: &Database) -> Self {
        Self {
            conn: SqliteConnection::establish(database.path.to_str().unwrap()).unwrap(),
            read_to: 0,
            processes: BTreeMap::new(),
            changes: Vec::new(),
            sent: Vec::new(),
            killed: Vec::new(),
            disturbed: Vec::new(),
            authors: BTreeMap::new(),
        }
    }

    /// Reads what this process has just committed; `position` is that of the journal.
    pub fn note_work(&mut self, by: u64, position: i64) {
        if self.authors.last_key_value().is_none_or(|(to, _)| *to < position) {
            self.authors.insert(position, Author { process: by, after: self.changes.len() });
        }
        type Row = (i64, Option<String>, Option<i64>, Option<i64>);
        // A prepared statement, because this runs after each piece of work.
        let rows: Vec<Row> =
            sim_leases::table.filter(sim_leases::seq.gt(self.read_to)).order(sim_leases::seq).load(&mut self.conn).unwrap();
        for (seq, node, shard, epoch) in rows {
            self.read_to = seq;
            let process = |log: &Self, node: &str| log.processes.get(node).copied().unwrap_or(u64::MAX);
            let change = match (node, shard, epoch) {
                (node, Some(shard), Some(epoch)) => {
                    let by = node.map(|node| process(self, &node));
                    LeaseChange::Holds { shard: usize::try_from(shard).unwrap(), by, epoch }
                }
                (Some(node), None, None) => {
                    self.processes.entry(node).or_insert(by);
                    LeaseChange::Renewed { by }
                }
                (node, ..) => LeaseChange::Deleted { of: process(self, &node.unwrap()) },
            };
            self.changes.push((Instant::now(), change));
        }
    }

    pub fn position(&mut self) -> i64 {
        crate::journal::position(&mut self.conn)
    }

    pub fn note_sent(&mut self, by: u64, store: &str, changes_something: bool) {
        self.sent.push(Sent { at: Instant::now(), by, store: store.to_owned(), changes_something, after: self.changes.len() });
    }

    pub fn note_disturbance(&mut self) {
        self.disturbed.push(Instant::now());
    }

    pub fn note_killed(&mut self, process: u64, others_are_well: bool) {
        self.note_disturbance();
        self.killed.push(Killed { at: Instant::now(), process, others_are_well });
    }

    /// Whether nothing was done to any node for so long.
    pub fn is_undisturbed_for(&self, time: Duration) -> bool {
        self.disturbed.last().is_none_or(|at| at.elapsed() > time)
    }

    /// Who holds each shard now.
    pub fn holders(&self) -> [Option<u64>; SHARDS] {
        let mut holders = [None; SHARDS];
        for (_, change) in &self.changes {
            if let LeaseChange::Holds { shard, by, .. } = change {
                holders[*shard] = *by;
            }
        }
        holders
    }
}
