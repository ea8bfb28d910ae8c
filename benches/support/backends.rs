//! Which databases a bench runs on: those that there are.

/// SQLite, and PostgreSQL where `STOCKTIDE_TEST_POSTGRES` names a server; says what is left out.
pub fn backends() -> Vec<Option<String>> {
    let server = std::env::var("STOCKTIDE_TEST_POSTGRES").ok();
    if server.is_none() {
        println!("skipped: PostgreSQL, because STOCKTIDE_TEST_POSTGRES names no server");
    }
    std::iter::once(None).chain(server.map(Some)).collect()
}
