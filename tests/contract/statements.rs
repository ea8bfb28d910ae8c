//! How many statements the delivery of pushes takes, which on PostgreSQL is how many round trips. `cargo contract statements
//! -- --nocapture` prints them. A bound may be lowered; whoever raises one says why in `src/doc/performance.md`.
use crate::support::statements::{self, Statements};
use crate::support::*;
use serde_json::Value;
use stocktide::db::DatabaseUrl;
use stocktide::db::runs::RunFilter;

/// What begins and ends transactions and savepoints.
const BRACKETS: [&str; 5] = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"];

/// Parts of what a node does once a second, whatever happens: it renews its leases and looks at the others'.
const OF_KEEPERS: [&str; 4] = ["INTO \"nodes\"", "FROM \"nodes\"", "FROM \"shards\"", "UPDATE shards"];

/// Statements, those that begin and end transactions and those of keepers apart.
fn count(sent: &Statements) -> u64 {
    let is_bracket = |sql: &String| BRACKETS.iter().any(|word| sql.trim_matches('"').starts_with(word));
    let is_keepers = |sql: &String| OF_KEEPERS.iter().any(|part| sql.contains(part));
    sent.iter().filter(|(sql, _)| !is_bracket(sql) && !is_keepers(sql)).map(|(_, times)| times).sum()
}

fn print(name: &str, sent: &Statements) {
    println!("{name}: {} statements", count(sent));
    sent.iter().for_each(|(sql, times)| println!("  {times} x {}", sql.replace('\n', " ")));
}

/// The fewest statements of a few lone increases, from the event to the confirmation; what the service does in the background
/// may add some.
async fn lone_increase(world: &World, platform: Value, shops: usize) -> u64 {
    let seller = world.seller(incremental).await;
    for n in 0..shops {
        seller.shop_on(platform.clone(), &format!("shop-{n}"), &["A"]).await;
    }
    seller.purchase("A", 1).await;
    world.a_moment().await;
    let mut least: Option<Statements> = None;
    for _ in 0..3 {
        statements::take(&world.database_url());
        seller.purchase("A", 1).await;
        world.a_moment().await;
        let sent = statements::take(&world.database_url());
        least = least.filter(|least| count(least) <= count(&sent)).or(Some(sent));
    }
    let least = least.unwrap();
    print(&format!("an increase in {shops} shops"), &least);
    count(&least)
}

#[test]
fn a_lone_increase_takes_no_more_statements_than_it_did() {
    statements::record();
    story(async |world| {
        let keyed =
            [lone_increase(world, platform_that::knows_keys(), 1).await, lone_increase(world, platform_that::knows_keys(), 3).await];
        let read = lone_increase(world, platform_that::only_adds(), 1).await;
        println!("an increase under a key in one shop, and in three: {keyed:?}; one that is read first: {read}");
        // On SQLite, a statement for each row that is written. On PostgreSQL, the ends of three calls may share two statements.
        let bounds = if matches!(world.database_url(), DatabaseUrl::Sqlite(_)) { [10, 20, 21] } else { [6, 10, 17] };
        assert!(keyed[0] <= bounds[0] && keyed[1] <= bounds[1] && read <= bounds[2], "{keyed:?} {read}");
    });
}

#[test]
fn bundles_cost_an_event_of_another_sku_no_statement() {
    statements::record();
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.shop("corner", &["A", "B", "KIT"]).await;
        let least = async || {
            let mut least = u64::MAX;
            for _ in 0..4 {
                statements::take(&world.database_url());
                seller.purchase("A", 1).await;
                world.a_moment().await;
                least = least.min(count(&statements::take(&world.database_url())));
            }
            least
        };
        let before = least().await;
        seller.bundles("KIT", &[("B", 2)]).await;
        world.a_moment().await;
        assert_eq!(least().await, before);
    });
}

#[test]
fn a_lone_increase_takes_no_more_statements_where_others_may_take_over() {
    statements::record();
    story_of_nodes(
        |_| (),
        async |world| {
            world.sleep(seconds(2)).await;
            let keyed = lone_increase(world, platform_that::knows_keys(), 1).await;
            assert!(keyed <= 6, "{keyed}");
        },
    );
}

#[test]
fn an_overwrite_takes_no_more_statements_than_it_did() {
    statements::record();
    story(async |world| {
        let seller = world.seller(off).await;
        let skus: Vec<String> = (0..500).map(|n| format!("S{n:03}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        seller.shop("shop", &skus).await;
        world.a_moment().await;
        statements::take(&world.database_url());
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        let sent = statements::take(&world.database_url());
        print("an overwrite of 500 listings in 5 calls", &sent);
        // On SQLite, a statement for each listing that shows another number. Two ask which webhooks and addresses want to hear that
        // the run has ended, and one, as it starts, which stores are in a frozen window.
        let bound = if matches!(world.database_url(), DatabaseUrl::Sqlite(_)) { 642 } else { 143 };
        assert!(count(&sent) <= bound, "{}", count(&sent));
        assert_eq!(seller.run(&run).await.done, 500);
    });
}
