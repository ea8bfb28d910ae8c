//! Reads the journal.
use super::{Database, Entry, entry};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, SqliteConnection};

diesel::table! {
    sim_journal (seq) {
        seq -> BigInt,
        entry -> Text,
    }
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    entry: String,
}

/// The last entry of the journal.
pub fn position(conn: &mut SqliteConnection) -> i64 {
    // A prepared statement, because this runs at every network event.
    let last = sim_journal::table.select(diesel::dsl::max(sim_journal::seq)).first::<Option<i64>>(conn);
    last.unwrap().unwrap_or(0)
}

/// Reads the journal, and reports its current position so that events elsewhere can be ordered relative to it.
pub struct JournalReader(SqliteConnection);

impl JournalReader {
    pub fn on(database: &Database) -> Self {
        Self(SqliteConnection::establish(database.path.to_str().unwrap()).unwrap())
    }

    pub fn position(&mut self) -> i64 {
        position(&mut self.0)
    }

    /// The number that this query returns as `seq`.
    pub fn count(&mut self, query: &str) -> i64 {
        let row: Position = diesel::sql_query(query).get_result(&mut self.0).unwrap();
        row.seq
    }

    pub fn read(&mut self, after: i64) -> Vec<(i64, Entry)> {
        let query = diesel::sql_query("SELECT seq, entry FROM sim_journal WHERE seq > ? ORDER BY seq").bind::<BigInt, _>(after);
        let lines: Vec<Line> = query.load(&mut self.0).unwrap();
        lines.into_iter().filter_map(|line| Some((line.seq, entry(&line.entry)?))).collect()
    }
}
