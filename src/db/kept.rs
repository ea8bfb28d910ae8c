//! Statements that stay prepared.
//!
//! diesel prepares some statements anew each time: updates, upserts, inserts of several rows and, on SQLite, those with a list
//! of values. Planning an update of `pushes`, which has a dozen indexes, takes SQLite several times as long as running it, and
//! costs PostgreSQL another round trip. A statement whose text does not depend on its values is [`kept`]; a list of values is
//! a [`set`](super::sets), which is one bound value.
use diesel::backend::Backend;
use diesel::connection::{DefaultLoadingMode, LoadConnection};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, SqliteConnection};

/// A statement that stays prepared; see [`kept`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<S>(S);

/// Keeps a statement prepared. Its text must be one of a few, whatever its values: a connection keeps each for good.
pub(super) fn kept<S>(statement: S) -> Kept<S> {
    Kept(statement)
}

impl<S> Kept<S> {
    /// Runs a statement that returns nothing.
    pub(super) fn run<C: RunsKept<S>>(self, conn: &mut C) -> QueryResult<()> {
        conn.run_kept(self)
    }
}

/// A connection that runs kept statements.
pub(super) trait RunsKept<S> {
    fn run_kept(&mut self, statement: Kept<S>) -> QueryResult<()>;
}

macro_rules! runs_kept {
    ($($connection:ty: $backend:ty),+) => {$(
        impl<S: QueryFragment<$backend>> RunsKept<S> for $connection {
            fn run_kept(&mut self, statement: Kept<S>) -> QueryResult<()> {
                // By `load`, although there are no rows: `execute` takes a reference to the statement, and a reference does not
                // pass on `is_safe_to_cache_prepared`.
                LoadConnection::<DefaultLoadingMode>::load(self, statement)?.try_for_each(|row| row.map(drop))
            }
        }
    )+};
}
runs_kept!(SqliteConnection: Sqlite, PgConnection: Pg);

impl<S: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for Kept<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

/// It has none of its own: prepared statements are distinguished by their text.
impl<S> QueryId for Kept<S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// What it returns, if anything, is read by name.
impl<S> Query for Kept<S> {
    type SqlType = Untyped;
}

impl<S, C> RunQueryDsl<C> for Kept<S> {}

/// How rows are inserted into a table.
pub(super) struct Insert {
    /// On SQLite, one row: there a statement costs no round trip.
    pub(super) one: String,
    /// On PostgreSQL, any number of rows: each parameter is a column of theirs, as an array.
    pub(super) many: String,
}

impl Insert {
    pub(super) fn new(table: &str, columns: &[&str], conflict: &str) -> Self {
        let parameters: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        let (columns, parameters) = (columns.join(", "), parameters.join(", "));
        Self {
            one: format!("INSERT INTO {table} ({columns}) VALUES ({parameters}) {conflict}"),
            many: format!("INSERT INTO {table} ({columns}) SELECT * FROM unnest({parameters}) {conflict}"),
        }
    }
}

/// Makes a function that inserts rows; `$conflict` is what is done where there is such a row already. Written as text, because
/// diesel's builder takes longer for these than SQLite does to run them.
macro_rules! inserts {
    ($(#[$doc:meta])* $vis:vis fn $name:ident(&[$row:ty]) into $table:literal $conflict:expr; $($column:ident: $type:ty),+ $(,)?) => {
        $(#[$doc])*
        $vis fn $name(conn: &mut $crate::db::Conn, rows: &[$row]) -> $crate::db::Result<()> {
            use $crate::db::connection::Backend;
            use $crate::db::kept::{Insert, kept};
            static INSERT: std::sync::LazyLock<Insert> =
                std::sync::LazyLock::new(|| Insert::new($table, &[$(stringify!($column)),+], $conflict));
            match &mut conn.backend {
                Backend::Sqlite(c) => {
                    for row in rows {
                        let one = diesel::sql_query(INSERT.one.as_str())$(.bind::<$type, _>(&row.$column))+;
                        kept(one).run(c)?;
                    }
                }
                Backend::Postgres(c) => {
                    for rows in rows.chunks($crate::db::ROWS_PER_STATEMENT) {
                        let many = diesel::sql_query(INSERT.many.as_str())
                            $(.bind::<diesel::sql_types::Array<$type>, _>(rows.iter().map(|row| &row.$column).collect::<Vec<_>>()))+;
                        kept(many).run(c)?;
                    }
                }
            }
            Ok(())
        }
    };
}
pub(super) use inserts;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::schema::sellers;
    use diesel::connection::{InstrumentationEvent, SimpleConnection};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_kept_update_is_prepared_once_and_stays_so() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE sellers (id BLOB, name TEXT); INSERT INTO sellers VALUES (x'01', 'a')").unwrap();
        let kept_now = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&kept_now);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { .. } = event {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        for name in ["b", "c"] {
            let rename = diesel::update(sellers::table.filter(sellers::id.eq(vec![1]))).set(sellers::name.eq(name));
            kept(rename).run(&mut conn).unwrap();
            assert_eq!(kept_now.load(Ordering::Relaxed), 1);
        }
        let text = || diesel::sql_query("UPDATE sellers SET name = $1").bind::<diesel::sql_types::Text, _>("d");
        text().execute(&mut conn).unwrap();
        assert_eq!(kept_now.load(Ordering::Relaxed), 1, "diesel alone does not keep it");
        kept(text()).run(&mut conn).unwrap();
        assert_eq!(kept_now.load(Ordering::Relaxed), 2);
    }
}
