//! The databases that a bench runs on.

/// SQLite (`None`), and PostgreSQL if `STOCKTIDE_TEST_POSTGRES` names a server; prints a notice if it does not.
pub fn backends() -> Vec<Option<String>> {
    let server = std::env::var("STOCKTIDE_TEST_POSTGRES").ok();
    if server.is_none() {
        println!("skipped: PostgreSQL, because STOCKTIDE_TEST_POSTGRES names no server");
    }
    std::iter::once(None).chain(server.map(Some)).collect()
}
