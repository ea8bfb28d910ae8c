//! Statements that stay prepared.
//!
//! diesel prepares some statements anew each time: updates, upserts, inserts of several rows and, on SQLite, those with a list
//! of values. Planning an update of `pushes`, which has a dozen indexes, takes SQLite several times as long as running it, and
//! costs PostgreSQL another round trip. A statement whose text does not depend on its values is [`kept`]; a list of values is
//! a [`set`](super::sets), which is one bound value.
use super::connection::{Backend, Conn};
use super::{ROWS_PER_STATEMENT, Result};
use diesel::backend;
use diesel::connection::{DefaultLoadingMode, LoadConnection};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, BoxedSqlQuery, Query, QueryFragment, QueryId, SqlQuery};
use diesel::sql_types::Untyped;
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, SqliteConnection};
use std::marker::PhantomData;

/// How a connection finds a statement that it has prepared.
pub(super) trait Key: 'static {
    /// Whether this type stands for one text only, so that the text need not be built and compared each time.
    const IS_ONE_TEXT: bool = true;
}

/// By its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text;

impl Key for Text {
    const IS_ONE_TEXT: bool = false;
}

/// A statement that stays prepared; see [`kept`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<S, K = Text>(S, PhantomData<K>);

/// Keeps a statement prepared. Its text must be one of a few, whatever its values: a connection keeps each for good.
pub(super) fn kept<S>(statement: S) -> Kept<S> {
    Kept(statement, PhantomData)
}

/// The same for a statement that runs for each of many rows, and always has the text that `K` stands for.
pub(super) fn kept_as<K: Key, S>(statement: S) -> Kept<S, K> {
    Kept(statement, PhantomData)
}

impl<S, K: Key> Kept<S, K> {
    /// Runs a statement that returns nothing.
    pub(super) fn run<C: RunsKept<S>>(self, conn: &mut C) -> QueryResult<()> {
        conn.run_kept(self)
    }
}

/// A connection that runs kept statements.
pub(super) trait RunsKept<S> {
    fn run_kept<K: Key>(&mut self, statement: Kept<S, K>) -> QueryResult<()>;
}

macro_rules! runs_kept {
    ($($connection:ty: $backend:ty),+) => {$(
        impl<S: QueryFragment<$backend>> RunsKept<S> for $connection {
            fn run_kept<K: Key>(&mut self, statement: Kept<S, K>) -> QueryResult<()> {
                // By `load`, although there are no rows: `execute` takes a reference to the statement, and a reference does not
                // pass on `is_safe_to_cache_prepared`.
                LoadConnection::<DefaultLoadingMode>::load(self, statement)?.try_for_each(|row| row.map(drop))
            }
        }
    )+};
}
runs_kept!(SqliteConnection: Sqlite, PgConnection: Pg);

impl<S: QueryFragment<DB>, K, DB: backend::Backend> QueryFragment<DB> for Kept<S, K> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<S, K: Key> QueryId for Kept<S, K> {
    type QueryId = K;
    const HAS_STATIC_QUERY_ID: bool = K::IS_ONE_TEXT;
}

/// What it returns, if anything, is read by name.
impl<S, K> Query for Kept<S, K> {
    type SqlType = Untyped;
}

impl<S, K, C> RunQueryDsl<C> for Kept<S, K> {}

/// The insertion of one row of a type.
pub(super) struct Insertion<R>(PhantomData<R>);

impl<R: 'static> Key for Insertion<R> {}

/// How rows are inserted into a table.
pub(super) struct Insert {
    table: &'static str,
    columns: &'static [&'static str],
    conflict: &'static str,
    /// On SQLite, one row: there a statement costs no round trip.
    pub(super) one: String,
    /// On PostgreSQL, any number of rows: each parameter is a column of theirs, as an array.
    many: String,
}

impl Insert {
    pub(super) fn new(table: &'static str, columns: &'static [&'static str], conflict: &'static str) -> Self {
        let values = parameters(1, columns);
        let one = format!("INSERT INTO {table} ({}) VALUES ({values}) {conflict}", columns.join(", "));
        let mut insert = Self { table, columns, conflict, one, many: String::new() };
        insert.many = insert.many_from(1);
        insert
    }

    /// As [`Self::many`], with parameters from `$first` on.
    fn many_from(&self, first: usize) -> String {
        let Self { table, columns, conflict, .. } = self;
        format!("INSERT INTO {table} ({}) SELECT * FROM unnest({}) {conflict}", columns.join(", "), parameters(first, columns))
    }
}

fn parameters(first: usize, columns: &[&str]) -> String {
    let parameters: Vec<String> = (first..first + columns.len()).map(|number| format!("${number}")).collect();
    parameters.join(", ")
}

/// A statement on PostgreSQL to which values are still being bound.
pub(super) type Unbound<'r> = BoxedSqlQuery<'r, Pg, SqlQuery>;

/// Rows that are inserted by [`put`]; see [`inserted!`].
pub(super) trait Row: Sized {
    fn insert() -> &'static Insert;
    fn put_one(&self, conn: &mut SqliteConnection) -> QueryResult<()>;
    fn bind<'r>(rows: &'r [Self], statement: Unbound<'r>) -> Unbound<'r>;
}

/// Inserts rows, up to a thousand in each statement on PostgreSQL.
pub(super) fn put<R: Row>(conn: &mut Conn, rows: &[R]) -> Result<()> {
    match &mut conn.backend {
        Backend::Sqlite(c) => rows.iter().try_for_each(|row| row.put_one(c))?,
        Backend::Postgres(c) => {
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                kept(R::bind(rows, diesel::sql_query(R::insert().many.as_str()).into_boxed())).run(c)?;
            }
        }
    }
    Ok(())
}

/// Inserts rows into three tables, on PostgreSQL in one statement if they are not too many: each costs a round trip. No table may
/// depend on the other two, since PostgreSQL inserts in any order.
pub(super) fn put_all<A: Row, B: Row, C: Row>(conn: &mut Conn, a: &[A], b: &[B], c: &[C]) -> Result<()> {
    let small = a.len().max(b.len()).max(c.len()) <= ROWS_PER_STATEMENT;
    let several = [a.is_empty(), b.is_empty(), c.is_empty()].iter().filter(|empty| !**empty).count() > 1;
    let pg = match &mut conn.backend {
        Backend::Postgres(pg) if small && several => pg,
        _ => {
            put(conn, a)?;
            put(conn, b)?;
            return put(conn, c);
        }
    };
    let mut parts: Vec<String> = Vec::new();
    let mut first = 1;
    let mut part = |insert: &Insert, empty: bool| {
        if !empty {
            parts.push(insert.many_from(first));
            first += insert.columns.len();
        }
    };
    part(A::insert(), a.is_empty());
    part(B::insert(), b.is_empty());
    part(C::insert(), c.is_empty());
    let last = parts.pop().unwrap_or_default();
    let parts: Vec<String> = parts.iter().enumerate().map(|(n, part)| format!("part_{n} AS ({part})")).collect();
    let mut statement = diesel::sql_query(format!("WITH {} {last}", parts.join(", "))).into_boxed();
    if !a.is_empty() {
        statement = A::bind(a, statement);
    }
    if !b.is_empty() {
        statement = B::bind(b, statement);
    }
    if !c.is_empty() {
        statement = C::bind(c, statement);
    }
    Ok(kept(statement).run(pg)?)
}

/// Says how the rows of a type are inserted; `$conflict` is what is done where there is such a row already. Written as text,
/// because diesel's builder takes longer for these than SQLite does to run them.
macro_rules! inserted {
    ($row:ty, into $table:literal $conflict:expr; $($column:ident: $type:ty),+ $(,)?) => {
        impl $crate::db::kept::Row for $row {
            fn insert() -> &'static $crate::db::kept::Insert {
                static INSERT: std::sync::LazyLock<$crate::db::kept::Insert> =
                    std::sync::LazyLock::new(|| $crate::db::kept::Insert::new($table, &[$(stringify!($column)),+], $conflict));
                &INSERT
            }

            fn put_one(&self, conn: &mut diesel::SqliteConnection) -> diesel::QueryResult<()> {
                use $crate::db::kept::{Insertion, kept_as};
                let insert = diesel::sql_query(Self::insert().one.as_str())$(.bind::<$type, _>(&self.$column))+;
                kept_as::<Insertion<Self>, _>(insert).run(conn)
            }

            fn bind<'r>(rows: &'r [Self], statement: $crate::db::kept::Unbound<'r>) -> $crate::db::kept::Unbound<'r> {
                statement$(.bind::<diesel::sql_types::Array<$type>, _>(rows.iter().map(|row| &row.$column).collect::<Vec<_>>()))+
            }
        }
    };
}
pub(super) use inserted;

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
        struct Rename;
        impl Key for Rename {}
        for _ in 0..2 {
            kept_as::<Rename, _>(text()).run(&mut conn).unwrap();
            assert_eq!(kept_now.load(Ordering::Relaxed), 3);
        }
    }
}
