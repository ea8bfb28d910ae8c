//! How long does a page of the console take for a seller with 10,000 listings and 100,000 records?
//!
//! Measured end to end: HTTP, session, queries, rendering. One visitor requests each page several times in a row; the
//! first response of each page is not counted. The target is 100 ms.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing bench should stop at once")]

#[path = "support/backends.rs"]
mod backends;
#[expect(dead_code, reason = "each bench uses only a part of it")]
mod support;

use backends::backends;
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use std::time::Duration;
use stocktide::app;
use stocktide::clock::Clock;
use stocktide::config::Config;
use stocktide::db::sellers::{create_key, key_hash};
use stocktide::db::{DatabaseUrl, Db};
use stocktide::domain::{KeyId, SellerId, Timestamp};
use support::{Database, is_measuring};

const STORES: usize = 10;
const SKUS: usize = 1_000;
const RECORDS: usize = 100_000;
const ROUNDS: usize = 20;
const TARGET: Duration = Duration::from_millis(100);
const KEY: &str = "stk_bench";
const OPERATOR_KEY: &str = "operator-0123456789-0123456789-0123456789";

/// Inserts pushes for every listing: most of them confirmed, some rejected, held, or due tomorrow.
const INSERT_RECORDS: &str = "
    INSERT INTO pushes (seller_id, id, store_id, listing_id, sku, external_id, kind, quantity, state, attempts, reason, created_at,
        updated_at, due_at, confirmed_at, cancel_requested, in_doubt)
    SELECT l.seller_id, {id}, l.store_id, l.id, l.sku, l.external_id, 0, 3,
        CASE WHEN n.n % 50 = 0 THEN 5 WHEN n.n % 50 = 1 THEN 6 WHEN n.n % 50 = 2 THEN 3 ELSE 2 END, 1,
        CASE WHEN n.n % 50 = 0 THEN 'The store refused this listing: unknown item.' END, {now} - n.n, {now} - n.n,
        CASE WHEN n.n % 50 = 2 THEN {now} + 86400000 END, CASE WHEN n.n % 50 > 2 THEN {now} - n.n END, {no}, {no}
    FROM listings l CROSS JOIN (WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {each}) SELECT n FROM n) n";

fn write_records(url: &str, each: usize, now: Timestamp) {
    let sql = INSERT_RECORDS.replace("{now}", &now.as_millis().to_string()).replace("{each}", &each.to_string());
    if let DatabaseUrl::Sqlite(path) = DatabaseUrl::parse(url).unwrap() {
        let mut conn = SqliteConnection::establish(&path).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        diesel::sql_query(sql.replace("{id}", "randomblob(16)").replace("{no}", "0")).execute(&mut conn).unwrap();
    } else {
        let mut conn = PgConnection::establish(url).unwrap();
        diesel::sql_query(sql.replace("{id}", "uuid_send(gen_random_uuid())").replace("{no}", "false")).execute(&mut conn).unwrap();
        conn.batch_execute("ANALYZE").unwrap();
    }
}

async fn sign_in(client: &reqwest::Client, base: &str, key: &str) -> String {
    let request = client.post(format!("{base}/console/sign-in")).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(format!("key={key}")).send().await.unwrap();
    answer.headers().get("set-cookie").expect("the key is accepted").to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn add_key(db: &Db, seller: SellerId, now: Timestamp) {
    db.write(move |conn| create_key(conn, seller, KeyId::new(now), &key_hash(KEY), None, now)).await.unwrap();
}

async fn measure(server: Option<&str>) {
    let database = Database::fresh(server);
    let (url, backend) = match &database.url {
        DatabaseUrl::Sqlite(path) => (format!("sqlite://{path}"), "SQLite"),
        DatabaseUrl::Postgres(server) => (server.url.clone(), "PostgreSQL"),
    };
    let now = Clock::system().now();
    let (stores, skus, records) = if is_measuring() { (STORES, SKUS, RECORDS) } else { (2, 10, 200) };
    let db = database.open(None);
    let (seller, ids) = support::seller(&db, stores, skus, now).await;
    add_key(&db, seller, now).await;
    write_records(&url, records / (stores * skus), now);
    let settings = [
        ("listen", "127.0.0.1:0"),
        ("database_url", &url),
        ("operator_key", OPERATOR_KEY),
        ("credential_key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
        ("requests_per_second", "100000"),
    ];
    let config = Config::load(None, [], settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let service = app::start(&config).await.unwrap();
    let (base, stop) = (format!("http://{}", service.address), service.stop_token());
    let running = tokio::spawn(service.run());
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let seller = sign_in(&client, &base, KEY).await;
    let operator = sign_in(&client, &base, OPERATOR_KEY).await;
    let store = ids.last().unwrap();
    let sku = support::sku(skus / 2);
    let pages = [
        (&seller, "sales-channel".to_owned()),
        (&seller, "sales-channel/allocation".to_owned()),
        (&seller, "stores".to_owned()),
        (&seller, format!("stores/{store}")),
        (&seller, format!("stores/{store}?search=999")),
        (&seller, "stock".to_owned()),
        (&seller, "stock?search=999".to_owned()),
        (&seller, format!("stock/sku?sku={sku}")),
        (&seller, "records".to_owned()),
        (&seller, "records?state=rejected".to_owned()),
        (&seller, format!("records?store={store}")),
        (&seller, format!("records?store={store}&state=held")),
        (&seller, format!("records?sku={sku}&state=rejected")),
        (&seller, "records?show=runs".to_owned()),
        (&seller, "records?show=changes".to_owned()),
        (&seller, "manual-sync".to_owned()),
        (&operator, "operator".to_owned()),
        (&operator, "operator/sellers".to_owned()),
    ];
    println!("{backend}: {} listings, {records} records, median and maximum of {ROUNDS}", stores * skus);
    for (cookie, page) in pages {
        let mut took = Vec::new();
        for round in 0..=if is_measuring() { ROUNDS } else { 1 } {
            let began = tokio::time::Instant::now();
            let response = client.get(format!("{base}/console/{page}")).header("cookie", cookie).send().await.unwrap();
            assert_eq!(response.status(), 200, "{page}");
            response.bytes().await.unwrap();
            if round > 0 {
                took.push(began.elapsed());
            }
        }
        took.sort_unstable();
        let (median, longest) = (took.get(took.len() / 2).unwrap(), took.last().unwrap());
        let page = page.replace(&store.to_string(), "{id}");
        println!("  {page:<44} {median:>9.1?} {longest:>9.1?}{}", if *median > TARGET { "   ABOVE 100 ms" } else { "" });
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

fn main() {
    actix_web::rt::System::new().block_on(async {
        for server in backends() {
            measure(server.as_deref()).await;
        }
    });
}
