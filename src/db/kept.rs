//! Statements that stay prepared.
//!
//! diesel prepares anew, each time, every `UPDATE`, every upsert, every insert of several rows and, on SQLite, every list of
//! values. Planning an update of `pushes`, which has a dozen indexes, takes SQLite several times as long as running it, and
//! costs PostgreSQL another round trip. A statement whose text does not depend on its values is [`kept`]; a list of values is
//! a [`set`](super::sets), which is one bound value.
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement that stays prepared; see [`kept`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<S>(S);

/// Keeps a statement prepared. Its text must be one of a few, whatever its values: a connection keeps each for good.
pub(super) fn kept<S>(statement: S) -> Kept<S> {
    Kept(statement)
}

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

impl<S: Query> Query for Kept<S> {
    type SqlType = S::SqlType;
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
                        kept(one).execute(c)?;
                    }
                }
                Backend::Postgres(c) => {
                    for rows in rows.chunks($crate::db::ROWS_PER_STATEMENT) {
                        let many = diesel::sql_query(INSERT.many.as_str())
                            $(.bind::<diesel::sql_types::Array<$type>, _>(rows.iter().map(|row| &row.$column).collect::<Vec<_>>()))+;
                        kept(many).execute(c)?;
                    }
                }
            }
            Ok(())
        }
    };
}
pub(super) use inserts;
