//! What the service wrote, in the order of its commits, recorded by triggers that the service knows nothing about.
//!
//! The triggers run within the service's own transactions, so an entry exists if and only if the change was committed.
mod calls;
mod change;
mod columns;
mod reader;
mod rules;

use crate::nodes::LEASE_TRIGGERS;
pub use calls::never_claimed;
use columns::COLUMNS;
use diesel::{Connection, SqliteConnection};
pub use reader::{JournalReader, position};
pub use rules::{Component, Rule};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use stocktide::db::{self, DatabaseUrl};

/// One change of a row.
#[derive(Debug, Clone)]
pub enum Entry {
    Event { seller: String, event_id: String },
    Settings { seller: String, settings: Settings },
    Rule { seller: String, rule: Rule, deleted: bool },
    Store { seller: String, store: Store },
    Listing { seller: String, listing: Listing, deleted: bool },
    Push { seller: String, push: Push },
    Run { run: Run },
    Pause { seller: String, sku: Option<String>, deleted: bool },
    Component { seller: String, component: Component, deleted: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub auto_sync: bool,
    pub incremental: bool,
    pub timed: bool,
    pub daily_at: String,
    pub zone: String,
    pub catch_up_hours: i64,
    pub exclusive: bool,
    pub buffer: i64,
    pub cancellations: bool,
    pub timed_since: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    pub id: String,
    pub name: String,
    pub warehouses: Option<Vec<String>>,
    pub share: Option<i64>,
    pub enabled: bool,
    pub paused: bool,
    pub unauthorised: bool,
    pub created_at: i64,
    pub frozen: Option<String>,
    pub protects: bool,
    pub unseen_hours: i64,
    /// For which reasons falls are sent to it: a bit for each.
    pub falls: i64,
    /// Whether it puts returned goods back on sale by itself.
    pub restocks: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    pub id: String,
    pub store: String,
    pub sku: String,
    pub external_id: String,
    pub marked: bool,
    pub shown: Option<i64>,
    /// How many units of the SKU one of it is.
    pub units: i64,
    /// When that was learned.
    pub shown_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Queued,
    Sending,
    Confirmed,
    Retrying,
    Uncertain,
    Rejected,
    Held,
    Superseded,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    pub id: String,
    pub store: String,
    pub listing: String,
    pub external_id: String,
    pub overwrite: bool,
    pub quantity: Option<i64>,
    pub state: State,
    pub call: String,
    pub base: Option<i64>,
    pub cancel_requested: bool,
    pub run: String,
    pub reason: Option<String>,
    /// Of an overwrite that was read first: what its listing showed, and the units that were taken off its target.
    pub shown_before: Option<i64>,
    pub unseen: Option<i64>,
    pub updated_at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: String,
    pub kind: String,
    pub state: String,
    pub store: String,
    pub date: Option<String>,
    pub total: i64,
    pub done: i64,
    pub failed: i64,
    pub started_at: i64,
    /// The run that it undoes.
    pub undoes: String,
}

/// The SQL of the triggers, each of which appends a JSON array to the journal.
fn triggers() -> String {
    let mut sql = "CREATE TABLE sim_journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL);".to_owned();
    for (word, table, columns) in COLUMNS {
        let columns: Vec<&str> = columns.split(", ").collect();
        let value = |row: &str, column: &str| match column.strip_prefix("hex:") {
            Some(column) => format!("hex({row}.{column})"),
            None => format!("{row}.{}", column.trim_start_matches("with:")),
        };
        let row = |row: &str| columns.iter().map(|c| value(row, c)).collect::<Vec<_>>().join(", ");
        let plain = |c: &&str| c.strip_prefix("hex:").unwrap_or(c).to_owned();
        let changed: Vec<String> =
            columns.iter().filter(|c| !c.starts_with("with:")).map(|c| format!("NEW.{0} IS NOT OLD.{0}", plain(c))).collect();
        let changed = changed.join(" OR ");
        for (when, of, condition, prefix) in [
            ("INSERT", "NEW", String::new(), ""),
            ("UPDATE", "NEW", format!("WHEN {changed}"), ""),
            ("DELETE", "OLD", String::new(), "no "),
        ] {
            sql += &format!(
                "CREATE TRIGGER sim_{table}_{when} AFTER {when} ON {table} {condition} BEGIN \
                 INSERT INTO sim_journal (entry) VALUES (json_array('{prefix}{word}', hex({of}.seller_id), {})); END;",
                row(of)
            );
        }
    }
    sql + &pack_triggers()
}

/// A pack is written to the journal as the pushes that it holds. When it is unpacked they become rows of their own, in the
/// state that they had, so that nothing changes for a reader of the journal.
fn pack_triggers() -> String {
    let digit = |place: u32| format!("instr('123456789ABCDEF', substr(hex(NEW.id), {place}, 1))");
    let first = format!("4096 * {} + 256 * {} + 16 * {} + {}", digit(29), digit(30), digit(31), digit(32));
    let id = format!("substr(hex(NEW.id), 1, 28) || printf('%04X', {first} + item.key)");
    let quantity = "json_extract(NEW.quantities, '$[' || item.key || ']')";
    let insert = format!(
        "INSERT INTO sim_journal (entry) SELECT json_array('push', hex(NEW.seller_id), {id}, hex(NEW.store_id), \
         upper(item.value ->> 0), item.value ->> 2, 1, {quantity}, NEW.state, hex(NEW.call_id), NULL, 0, hex(NEW.run_id), NEW.reason, NULL, NULL, NEW.updated_at) \
         FROM json_each(NEW.items) AS item ORDER BY item.key;"
    );
    let changed = "NEW.state IS NOT OLD.state OR NEW.quantities IS NOT OLD.quantities OR NEW.call_id IS NOT OLD.call_id OR \
                   NEW.reason IS NOT OLD.reason";
    format!(
        "CREATE TRIGGER sim_push_packs_INSERT AFTER INSERT ON push_packs BEGIN {insert} END; \
         CREATE TRIGGER sim_push_packs_UPDATE AFTER UPDATE ON push_packs WHEN {changed} BEGIN {insert} END;"
    )
}

/// A database file with all tables and triggers, copied for each story.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir_in(fast_folder()).unwrap();
        let path = folder.path().join("template.db");
        db::migrate(&DatabaseUrl::Sqlite(path.display().to_string())).unwrap();
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        diesel::connection::SimpleConnection::batch_execute(&mut conn, &triggers()).unwrap();
        diesel::connection::SimpleConnection::batch_execute(&mut conn, LEASE_TRIGGERS).unwrap();
        diesel::connection::SimpleConnection::batch_execute(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
        drop(conn);
        (folder, path)
    });
    path
}

/// In memory if possible: the files must be real, but the disk need not be.
fn fast_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// A fresh database with a journal; removed when dropped.
pub struct Database {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Database {
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir_in(fast_folder()).unwrap();
        let path = folder.path().join("stocktide.db");
        std::fs::copy(template(), &path).unwrap();
        Self { _folder: folder, path }
    }

    pub fn url(&self) -> DatabaseUrl {
        DatabaseUrl::Sqlite(self.path.display().to_string())
    }
}

fn entry(text: &str) -> Option<Entry> {
    let row: Vec<Value> = serde_json::from_str(text).unwrap();
    let text = |i: usize| row[i].as_str().unwrap_or_default().to_owned();
    let some = |i: usize| row[i].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let number = |i: usize| row[i].as_i64();
    let flag = |i: usize| row[i].as_i64() == Some(1);
    let seller = text(1);
    let word = text(0);
    let deleted = word.starts_with("no ");
    Some(match word.trim_start_matches("no ") {
        "event" => Entry::Event { seller, event_id: text(2) },
        "settings" => Entry::Settings {
            seller,
            settings: Settings {
                auto_sync: flag(2),
                incremental: text(3) != "timed_full",
                timed: text(3) != "incremental",
                daily_at: text(4),
                zone: text(5),
                catch_up_hours: number(6).unwrap(),
                exclusive: text(7) == "exclusive",
                buffer: number(8).unwrap(),
                cancellations: flag(9),
                timed_since: number(10).unwrap(),
            },
        },
        "rule" => Entry::Rule {
            seller,
            deleted,
            rule: Rule {
                sku: some(2),
                store: some(3),
                share: number(4),
                buffer: number(5),
                threshold: number(6),
                max_shown: number(7),
                enabled: number(8).map(|n| n == 1),
            },
        },
        "store" if deleted => return None,
        "store" => Entry::Store {
            seller,
            store: Store {
                id: text(2),
                name: text(3),
                warehouses: some(4).map(|t| serde_json::from_str(&t).unwrap()),
                share: number(5),
                enabled: flag(6),
                paused: flag(7) || flag(12) || flag(13),
                frozen: some(14),
                unauthorised: flag(8),
                created_at: number(9).unwrap(),
                protects: flag(10),
                unseen_hours: number(11).unwrap(),
                falls: number(15).unwrap(),
                restocks: flag(16),
            },
        },
        "listing" => Entry::Listing {
            seller,
            deleted,
            listing: Listing {
                id: text(2),
                store: text(3),
                sku: text(4),
                external_id: text(5),
                marked: flag(6),
                shown: number(7),
                units: number(8).unwrap(),
                shown_at: number(9),
            },
        },
        // Finished pushes are pruned eventually.
        "push" if deleted => return None,
        "push" => Entry::Push {
            seller,
            push: Push {
                id: text(2),
                store: text(3),
                listing: text(4),
                external_id: text(5),
                overwrite: number(6) == Some(1),
                quantity: number(7),
                state: state(number(8).unwrap()),
                call: text(9),
                base: number(10),
                cancel_requested: flag(11),
                run: text(12),
                reason: some(13),
                shown_before: number(14),
                unseen: number(15),
                updated_at: number(16).unwrap(),
            },
        },
        "component" => {
            Entry::Component { seller, component: Component { bundle: text(2), sku: text(3), quantity: number(4).unwrap() }, deleted }
        }
        "pause" => Entry::Pause { seller, sku: (number(2) == Some(3)).then(|| text(3)), deleted },
        "run" if deleted => return None,
        "run" => Entry::Run {
            run: Run {
                id: text(2),
                kind: text(3),
                state: text(4),
                store: text(5),
                date: some(6),
                total: number(7).unwrap(),
                done: number(8).unwrap(),
                failed: number(9).unwrap(),
                started_at: number(10).unwrap(),
                undoes: text(11),
            },
        },
        other => panic!("unknown journal entry: {other}"),
    })
}

fn state(code: i64) -> State {
    use State::{Cancelled, Confirmed, Held, Queued, Rejected, Retrying, Sending, Superseded, Uncertain};
    [Queued, Sending, Confirmed, Retrying, Uncertain, Rejected, Held, Superseded, Cancelled][usize::try_from(code).unwrap()]
}
