//! The path of a push, by SQLite's own plans: nothing on it may walk all that a seller or a store ever had, since that
//! is unnoticed with ten rows and the end of the service with a million.
use crate::support::database::Backend;
use crate::support::*;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use stocktide::db::DatabaseUrl;
use stocktide::db::runs::RunFilter;
use stocktide::domain::settings::Rule;

/// Tables that hold many rows of one seller.
const LARGE: [&str; 5] = ["listings", "pushes", "rules", "stock_events", "stock_levels"];
/// Indices that hold only what is under way or marked: to walk one of these is to look at what there is to do.
const OF_WHAT_IS_OPEN: [&str; 5] = ["pushes_due", "pushes_active", "pushes_in_flight", "pushes_run", "listings_marked"];

/// Every statement that any connection of this process has sent to the database at `url`.
#[derive(Default)]
struct Recorder {
    url: String,
}

static SEEN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

impl Instrumentation for Recorder {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => self.url = url.to_owned(),
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split(" -- binds").next().unwrap_or_default().to_owned();
                SEEN.lock().unwrap().insert((self.url.clone(), sql));
            }
            _ => {}
        }
    }
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The step of this plan that walks a large table, or all that a seller or a store has in one.
fn walks(plan: &[Step]) -> Option<&str> {
    let is_walk = |detail: &&str| {
        let mut words = detail.split(' ');
        let (Some(how), Some(table)) = (words.next(), words.next()) else { return false };
        let is_open = OF_WHAT_IS_OPEN.iter().any(|index| detail.split(' ').any(|word| word == *index));
        let prefix = ["(seller_id=?)", "(seller_id=? AND store_id=?)"].iter().any(|key| detail.ends_with(key));
        let is_few = detail.ends_with("rules_sku (seller_id=? AND sku=?)");
        LARGE.contains(&table) && !is_open && !is_few && (how == "SCAN" || prefix)
    };
    plan.iter().map(|step| step.detail.as_str()).find(is_walk)
}

fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<Step> {
    diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(conn).unwrap()
}

#[test]
fn no_statement_that_delivers_a_push_scans_all_rows_of_a_seller_or_a_store() {
    if !Backend::wanted().contains(&Backend::Sqlite) {
        return;
    }
    set_default_instrumentation(|| Some(Box::new(Recorder::default()))).unwrap();
    let of_story = Arc::new(Mutex::new(String::new()));
    story(async |world| {
        let DatabaseUrl::Sqlite(path) = world.database_url() else { return };
        let seller = world.seller(exclusive).await;
        let stores = [
            platform_that::knows_keys(),
            platform_that::compares_and_sets(),
            platform_that::only_adds(),
            platform_that::only_sets(),
            platform_that::adds_but_cannot_be_read(),
        ];
        for (n, abilities) in stores.into_iter().enumerate() {
            let shop = seller.shop_on(abilities, &format!("shop-{n}"), &["A", "B", "C"]).await;
            seller.share(&shop, 20.0).await;
        }
        seller.rule(Rule { sku: Some(stocktide::domain::Sku::parse("A").unwrap()), buffer: Some(1), ..Rule::default() }).await;
        // What was asked until here set the story up.
        SEEN.lock().unwrap().retain(|(url, _)| *url != path);
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
        world.sleep(minutes(10)).await;
        path.clone_into(&mut of_story.lock().unwrap());
    });
    let path = of_story.lock().unwrap().clone();
    let statements: Vec<String> = SEEN.lock().unwrap().iter().filter(|(url, _)| *url == path).map(|(_, sql)| sql.clone()).collect();
    let asks = |word: &str| statements.iter().filter(|sql| sql.contains(word)).count();
    assert!(asks("`pushes`") > 15 && asks("`stock_levels`") > 1, "the story has asked too little: {statements:#?}");

    // The story's database is gone; an empty one has the same plans, since nothing counts the rows.
    let empty = crate::support::database::TestDatabase::fresh(Backend::Sqlite);
    let DatabaseUrl::Sqlite(path) = empty.url.clone() else { return };
    let mut conn = SqliteConnection::establish(&path).unwrap();
    let is_planned = |sql: &&String| ["SELECT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word));
    let mut walking = Vec::new();
    for sql in statements.iter().filter(is_planned) {
        if let Some(step) = walks(&plan(&mut conn, sql)) {
            walking.push(format!("{step}\n    {sql}"));
        }
    }
    assert!(walking.is_empty(), "{}", walking.join("\n"));

    // Indices have conditions on these columns: with a bound value SQLite plans the statement anew whenever it is asked.
    let binds =
        |sql: &&String| ["`pushes`.`state` = ?", "`pushes`.`state` IN (?", "`pushes`.`kind` = ?"].iter().any(|part| sql.contains(part));
    let binding: Vec<&String> = statements.iter().filter(is_planned).filter(binds).collect();
    assert!(binding.is_empty(), "{binding:#?}");
}
