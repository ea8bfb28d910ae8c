//! SQLite's plans for the statements that deliver a push. None may scan everything a seller or a store has ever had, which
//! goes unnoticed with ten rows and would bring the service to a halt with a million.
use crate::support::database::Backend;
use crate::support::statements;
use crate::support::*;
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use std::sync::{Arc, Mutex};
use stocktide::db::DatabaseUrl;
use stocktide::db::runs::RunFilter;
use stocktide::domain::settings::Rule;
use stocktide::service::drift;

/// Tables that may hold many rows of one seller.
const LARGE: [&str; 7] = ["drifts", "listings", "push_packs", "pushes", "rules", "stock_events", "stock_levels"];
/// Partial indices over open and rejected pushes and marked listings, which may be scanned because they contain only what is
/// still to do.
const PARTIAL_INDICES: [&str; 9] = [
    "pushes_due",
    "pushes_active",
    "pushes_in_flight",
    "pushes_held",
    "pushes_rejected",
    "pushes_run",
    "push_packs_active",
    "listings_marked",
    "listings_look",
];

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The first step of a plan that scans a large table, or all rows of a seller or a store in one.
fn full_scan(plan: &[Step]) -> Option<&str> {
    let is_scan = |detail: &&str| {
        let mut words = detail.split(' ');
        let (Some(how), Some(table)) = (words.next(), words.next()) else { return false };
        let is_open = PARTIAL_INDICES.iter().any(|index| detail.split(' ').any(|word| word == *index));
        let prefix = ["(seller_id=?)", "(seller_id=? AND store_id=?)"].iter().any(|key| detail.ends_with(key));
        let is_few = detail.ends_with("rules_sku (seller_id=? AND sku=?)");
        LARGE.contains(&table) && !is_open && !is_few && (how == "SCAN" || prefix)
    };
    plan.iter().map(|step| step.detail.as_str()).find(is_scan)
}

fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<Step> {
    diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(conn).unwrap()
}

#[test]
fn no_statement_that_delivers_a_push_scans_all_rows_of_a_seller_or_a_store() {
    if !Backend::wanted().contains(&Backend::Sqlite) {
        return;
    }
    statements::record();
    let sent = Arc::new(Mutex::new(Vec::new()));
    story(async |world| {
        if !matches!(world.database_url(), DatabaseUrl::Sqlite(_)) {
            return;
        }
        let seller = world.seller(exclusive).await;
        let stores = [
            platform_that::knows_keys(),
            platform_that::compares_and_sets(),
            platform_that::only_adds(),
            platform_that::only_sets(),
            platform_that::adds_but_cannot_be_read(),
        ];
        let mut shops = Vec::new();
        for (n, abilities) in stores.into_iter().enumerate() {
            let shop = seller.shop_on(abilities, &format!("shop-{n}"), &["A", "B", "C"]).await;
            seller.share(&shop, 20.0).await;
            shops.push(shop);
        }
        seller.rule(Rule { sku: Some(stocktide::domain::Sku::parse("A").unwrap()), buffer: Some(1), ..Rule::default() }).await;
        // One store lists a SKU twice, and leaves out what it has sold.
        seller.pair_as(&shops[3], &[("B again", "B")]).await;
        // The statements so far only set up the story.
        statements::take(&world.database_url());
        for trouble in 0..3 {
            match trouble {
                0 => world.all_is_well(),
                1 => world.loses_answers(),
                _ => world.loses_requests(),
            }
            for sku in ["A", "B", "C"] {
                seller.purchase(sku, 20).await;
            }
            world.sleep(seconds(3)).await;
            seller.sync(RunFilter::default()).await;
            world.sleep(seconds(2)).await;
        }
        world.all_is_well();
        seller.sale_of(&shops[3], "B", 1).await;
        seller.sync(RunFilter::default()).await;
        // Long enough for the looks at listings whose requests were given up.
        world.sleep(minutes(12)).await;
        for shop in &shops {
            world.platform.set_quantity(&shop.external, "A", 99);
            drift::check(&world.service(), &seller.caller(), shop.id).await.unwrap();
        }
        world.sleep(minutes(2)).await;
        *sent.lock().unwrap() = statements::take(&world.database_url()).into_keys().collect();
        assert!(seller.db().read(|t| t.drifted((None, None), None, 10)).await.unwrap().len() >= 3, "stores that can be read differ");
    });
    let statements: Vec<String> = sent.lock().unwrap().clone();
    let count = |word: &str| statements.iter().filter(|sql| sql.contains(word)).count();
    assert!(count("pushes") > 15 && count("stock_levels") > 1, "the story ran too few statements: {statements:#?}");

    // The story's database is gone, but plans do not depend on the rows, so an empty database gives the same ones.
    let empty = crate::support::database::TestDatabase::fresh(Backend::Sqlite);
    let DatabaseUrl::Sqlite(path) = empty.url.clone() else { return };
    let mut conn = SqliteConnection::establish(&path).unwrap();
    let is_planned = |sql: &&String| ["SELECT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word));
    let mut scans = Vec::new();
    for sql in statements.iter().filter(is_planned) {
        if let Some(step) = full_scan(&plan(&mut conn, sql)) {
            scans.push(format!("{step}\n    {sql}"));
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n"));

    // Partial indices have conditions on these columns. With a bound value SQLite plans the statement again each time.
    let binds =
        |sql: &&String| ["`pushes`.`state` = ?", "`pushes`.`state` IN (?", "`pushes`.`kind` = ?"].iter().any(|part| sql.contains(part));
    let binding: Vec<&String> = statements.iter().filter(is_planned).filter(binds).collect();
    assert!(binding.is_empty(), "{binding:#?}");
}
