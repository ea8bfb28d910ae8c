//! Gives the pages that deleted rows have left free in an SQLite file back to the file system.
//!
//! SQLite uses free pages again before the file grows, so giving back each one at once would only be work for nothing. Some
//! are kept: a file shrinks only after it has lost a good part of its rows. Files that a former version has created cannot
//! shrink; a backup of one can, once it is put in its place.
use super::connection::{Conn, on};
use super::error::Result;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

/// Free pages that are always kept, of 4 kB each.
const KEPT: i64 = 4096;
/// One free page in this many is kept, too.
const KEPT_SHARE: i64 = 4;
/// Pages given back in one transaction: a few milliseconds for which other writes wait.
const STEP: i64 = 250;
/// What SQLite calls incremental.
const INCREMENTAL: i64 = 2;

#[derive(QueryableByName)]
struct Pages {
    #[diesel(sql_type = BigInt)]
    free: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    mode: i64,
}

fn pages(conn: &mut Conn) -> Result<Pages> {
    let sql = "SELECT f.freelist_count AS free, p.page_count AS total, a.auto_vacuum AS mode \
        FROM pragma_freelist_count AS f, pragma_page_count AS p, pragma_auto_vacuum AS a";
    Ok(on!(conn, c => diesel::sql_query(sql).get_result(c))?)
}

/// Takes one step. Returns whether another one is due. Nothing to do on PostgreSQL.
///
/// # Errors
/// If the database fails.
pub fn give_back(conn: &mut Conn) -> Result<bool> {
    if !conn.is_sqlite() {
        return Ok(false);
    }
    let Pages { free, total, mode } = pages(conn)?;
    let kept = KEPT.max(total / KEPT_SHARE);
    if mode != INCREMENTAL || free <= kept {
        return Ok(false);
    }
    let step = STEP.min(free - kept);
    on!(conn, c => c.batch_execute(&format!("PRAGMA incremental_vacuum({step})")))?;
    Ok(free - step > kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DatabaseUrl;

    fn execute(conn: &mut Conn, sql: &str) {
        on!(conn, c => c.batch_execute(sql)).unwrap();
    }

    #[test]
    fn a_file_shrinks_after_most_of_its_rows_are_deleted_and_not_after_few() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        let url = DatabaseUrl::Sqlite(file.display().to_string());
        let mut conn = Conn::establish(&url).unwrap();
        execute(&mut conn, "CREATE TABLE filler (id INTEGER PRIMARY KEY, text TEXT)");
        execute(
            &mut conn,
            "INSERT INTO filler SELECT value, hex(randomblob(1900)) FROM (WITH RECURSIVE n (value) AS \
             (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 12000) SELECT value FROM n)",
        );
        let size = |conn: &mut Conn| {
            execute(conn, "PRAGMA wal_checkpoint(TRUNCATE)");
            std::fs::metadata(&file).unwrap().len()
        };
        let full = size(&mut conn);
        execute(&mut conn, "DELETE FROM filler WHERE id <= 2000");
        assert!(!conn.transaction(give_back).unwrap());
        assert_eq!(size(&mut conn), full, "what is free will be used again");
        execute(&mut conn, "DELETE FROM filler WHERE id <= 11000");
        let steps = (0..1000).take_while(|_| conn.transaction(give_back).unwrap()).count();
        assert!(steps > 10, "{steps}");
        let shrunk = size(&mut conn);
        assert!(shrunk < full / 2, "{full} bytes became {shrunk}");
    }
}
