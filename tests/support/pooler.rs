//! Which tests on PostgreSQL reach it through PgBouncer in transaction mode: every second one, chosen by its name, where
//! `STOCKTIDE_TEST_PGBOUNCER` has the pooler's URL; all of them with `STOCKTIDE_TEST_PGBOUNCER_ALL`. The pooler has to pass all
//! databases on to the server that `STOCKTIDE_TEST_POSTGRES` names.

/// The URL of this database at the pooler, if this test goes through it.
pub fn pooled_url(database: &str) -> Option<String> {
    let pooler = std::env::var("STOCKTIDE_TEST_PGBOUNCER").ok()?;
    let all = std::env::var_os("STOCKTIDE_TEST_PGBOUNCER_ALL").is_some();
    // Tests run on threads that are named after them.
    let thread = std::thread::current();
    let number = thread.name().unwrap_or(database).bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let (front, _) = pooler.rsplit_once('/').expect("the pooler's URL ends with /database");
    (all || number % 2 == 0).then(|| format!("{front}/{database}"))
}
