//! A rolling upgrade: two versions on one PostgreSQL database under load, the later one with one more migration.
//!
//! `STOCKTIDE_TEST_NEXT` names a build of a later version, which then migrates and takes over node by node. Without it, this build plays
//! both: the migration is applied by hand, and the nodes that follow do not know it, any more than those before.
use crate::database::{Backend, TestDatabase};
use crate::fleet::{Clients, Fleet, assert_right, create_sellers};
use crate::program::{CREDENTIAL_KEY, Program, pause, program};
use crate::recovery::LATER;
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, RunQueryDsl};
use serde_json::json;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Nodes in the fleet, and one more during the upgrade.
const NODES: usize = 2;
const SELLERS: usize = 12;

/// How many migrations were applied to this database.
fn applied(database: &TestDatabase) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let mut conn = PgConnection::establish(&database.url).unwrap();
    diesel::sql_query("SELECT count(*) AS count FROM __diesel_schema_migrations").get_result::<Row>(&mut conn).unwrap().count
}

/// Applies a migration as the service does: it lets others go first where a table is in use, and is tried again.
fn migrate_by_hand(database: &TestDatabase) {
    let mut conn = PgConnection::establish(&database.url).unwrap();
    conn.batch_execute("SET lock_timeout = '2s'").unwrap();
    let tried = (0..20).map(|_| conn.transaction(|conn| conn.batch_execute(LATER)).inspect_err(|error| println!("{error}; again")));
    assert!(tried.into_iter().any(|done| done.is_ok()), "the migration found the tables in use twenty times");
}

fn two_versions_serve_together_through_a_rolling_upgrade(backend: Backend) {
    let next = std::env::var("STOCKTIDE_TEST_NEXT").ok();
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let mut fleet = Fleet::on(&database);
    (0..NODES).for_each(|_| fleet.start());
    let sellers = Arc::new(create_sellers(fleet.any(), &platform, SELLERS));
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.02, "latency_ms": 20, "error_before": 0.01 }));
    let clients = Clients::start(&sellers, &fleet.addresses, Duration::from_millis(20));
    pause(Duration::from_secs(2));
    let before = applied(&database);
    match &next {
        Some(build) => {
            let mut command = Command::new(build);
            command.env_clear().stdin(Stdio::null()).env("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY);
            let migrated = command.args(["migrate", "--database", &database.url]).output().unwrap();
            assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        }
        None => migrate_by_hand(&database),
    }
    assert!(applied(&database) > before, "the later version has a migration that this one does not know");
    pause(Duration::from_secs(2));
    for (name, node) in &fleet.running {
        assert_eq!(node.ask("GET", "/readyz").status, 200, "{name} serves on");
    }
    for _ in 0..NODES {
        match &next {
            Some(build) => fleet.start_of(build),
            None => fleet.start(),
        }
        pause(Duration::from_secs(2));
        fleet.stop(0);
        pause(Duration::from_secs(1));
    }
    // Back again, beside the later version.
    fleet.start();
    pause(Duration::from_secs(2));
    fleet.stop(0);
    pause(Duration::from_secs(1));
    for (name, node) in &fleet.running {
        assert_eq!(node.ask("GET", "/readyz").status, 200, "{name}");
    }
    let (events, repeats) = (Arc::clone(&clients.events), Arc::clone(&clients.repeats));
    let model = clients.stop();
    println!("{} events, {} requests repeated", events.load(Ordering::Relaxed), repeats.load(Ordering::Relaxed));
    assert_right(&platform, &sellers, &model);
}

#[test]
fn two_versions_serve_together_through_a_rolling_upgrade_and_lose_and_duplicate_nothing() {
    Backend::on_postgres(two_versions_serve_together_through_a_rolling_upgrade);
}

#[test]
fn a_migration_lets_others_go_first_while_a_table_is_in_use_and_then_goes_on() {
    Backend::on_postgres(|backend| {
        let database = TestDatabase::fresh(backend);
        let mut migrate = program(&["migrate", "--database", &database.url]);
        migrate.env("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY).stdout(Stdio::null()).stderr(Stdio::piped());
        assert!(migrate.output().unwrap().status.success());
        let mut conn = PgConnection::establish(&database.url).unwrap();
        // A migration that adds columns to a table is due again.
        conn.batch_execute(include_str!("../../migrations/postgres/2026-12-03-020000_seller_limits/down.sql")).unwrap();
        conn.batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261203020000'").unwrap();
        let due = applied(&database);
        conn.batch_execute("BEGIN; SELECT count(*) FROM sellers").unwrap();
        let migrating = migrate.spawn().unwrap();
        pause(Duration::from_secs(1));
        // It waits behind the migration, which waits for the transaction above.
        let mut other = PgConnection::establish(&database.url).unwrap();
        other.batch_execute("SET statement_timeout = '30s'; SELECT count(*) FROM sellers").unwrap();
        pause(Duration::from_secs(3));
        assert_eq!(applied(&database), due, "the transaction is still open");
        conn.batch_execute("COMMIT").unwrap();
        let ended = migrating.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && said.contains("in use"), "{said}");
        assert_eq!(applied(&database), due + 1);
    });
}
