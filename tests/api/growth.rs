//! What a page or a list costs as a seller grows, in numbers that are the same on every machine: steps of SQLite's virtual
//! machine, statements, and bytes of the answer. Each is measured with n, 2n and 4n rows in every table.
//!
//! What answers one thing or one page of a list must cost the same at any size. Everything else may grow with the rows
//! themselves, but no faster: a page whose cost is listings × rules goes unnoticed with ten rows, and with a hundred
//! thousand it stops the service.
mod notices;

use crate::client::{exchange, request};
use crate::database::Backend;
use crate::support::{Api, Caller, DOCUMENT, Expect, OPERATOR_KEY, Platform};
use crate::work;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};
use std::fmt::Write as _;
use stocktide::db::{DatabaseUrl, Db, Settings};
use stocktide::domain::Timestamp;

/// The number of rows at each size: more than fit into one statement, so that repeated statements show.
const SIZES: [usize; 3] = [1000, 2000, 4000];
/// Rows for each of a seller's stores, of which there may be a thousand at most.
const ROWS_PER_STORE: usize = 100;
/// How often a read is measured, and a change, which causes work in the background itself: the least counts.
const ROUNDS: [usize; 2] = [3, 10];
/// What may differ, such as the wider nodes of a deeper index.
const SLACK: Cost = Cost { steps: 600, statements: 4, bytes: 600 };

/// Answers that may grow with the seller or the service, though they are not pages for people.
const GROWING: [&str; 4] = ["/admin/overview", "/admin/stores?limit=10", "/v1/skus?unpaired=true&limit=10", "/v1/stores/{id}"];
/// Also those that go through all stores, of a seller or of all.
const BY_STORE: [&str; 2] = ["/admin/platforms?limit=10", "/v1/pauses?limit=10"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cost {
    steps: u64,
    statements: u64,
    bytes: u64,
}

impl Cost {
    fn each(self, then: impl Fn(u64) -> u64) -> Self {
        Self { steps: then(self.steps), statements: then(self.statements), bytes: then(self.bytes) }
    }

    fn exceeds(self, bound: Self) -> bool {
        self.steps > bound.steps + SLACK.steps
            || self.statements > bound.statements + SLACK.statements
            || self.bytes > bound.bytes + SLACK.bytes
    }
}

/// How the cost of an answer may depend on the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Constant,
    /// With the rows. The depth of an index hardly shows: to descend it is one step.
    WithRows,
}

impl Growth {
    fn is_kept(self, costs: &[Cost]) -> bool {
        let [first, middle, last] = costs else { return false };
        match self {
            Self::Constant => [first, middle].iter().any(|before| !last.exceeds(before.each(|n| n * 12 / 10))),
            // There are four times as many; if it were quadratic, it would be sixteen times as much.
            Self::WithRows => !last.exceeds(first.each(|n| n * 44 / 10)),
        }
    }
}

/// A seller that grows, and everything that is needed to ask about it.
struct Grown<'a> {
    api: &'a Api,
    ada: Caller<'a>,
    /// A seller of whom nothing waits: all that grows is what was.
    cyd: Caller<'a>,
    cookies: [String; 2],
    store: String,
    other_store: String,
    file: String,
    rows: usize,
    asked: usize,
}

impl<'a> Grown<'a> {
    fn new(api: &'a Api, platform: &Platform) -> Self {
        let (ada, cyd) = (api.seller("Ada"), api.seller("Cyd"));
        let [store, other_store] =
            ["large", "small"].map(|name| ada.store(name, platform.address, json!({ "paused": true, "share_percent": 1 })));
        ada.put("/v1/sync-settings", &json!({ "allocation_mode": "exclusive" })).is(200);
        ada.pair(&other_store, &["S000001", "S000002"]);
        let cookies = [&ada.key, OPERATOR_KEY].map(|key| sign_in(api, key));
        let file = api.database_file().to_str().unwrap().to_owned();
        Self { api, ada, cyd, cookies, store, other_store, file, rows: 0, asked: 0 }
    }

    /// Adds rows to every table that grows with a seller, up to this many.
    fn grow(&mut self, rows: usize) {
        let mut conn = SqliteConnection::establish(&self.file).unwrap();
        let id = |uuid: &str| format!("x'{}'", uuid.replace('-', ""));
        let (seller, store, store_text) = (id(&self.ada.id), id(&self.store), &self.store);
        let cyd = id(&self.cyd.id);
        let numbers = format!("WITH RECURSIVE n (i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {rows})", self.rows + 1);
        let blob = |prefix: &str| format!("CAST(printf('{prefix}%0{}d', i) AS BLOB)", 16 - prefix.len());
        let sku = "printf('S%06d', i)";
        let of_stores = rows / ROWS_PER_STORE;
        let mut sql = String::from("BEGIN IMMEDIATE; UPDATE sync_settings SET has_bundles = TRUE;");
        let mut insert = |table: &str, columns: &str, values: String, condition: &str| {
            write!(sql, "INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM n WHERE {condition} ON CONFLICT DO NOTHING;")
                .unwrap();
        };
        insert("skus", "seller_id, sku, name, created_at", format!("{seller}, {sku}, 'name', i"), "true");
        insert("stock_levels", "seller_id, sku, warehouse, available", format!("{seller}, {sku}, 'main', i"), "true");
        insert(
            "listings",
            "seller_id, id, store_id, sku, external_id, marked, created_at",
            format!("{seller}, {}, {store}, {sku}, {sku}, FALSE, i", blob("listing")),
            "true",
        );
        insert(
            "rules",
            "seller_id, scope, sku, store_id, share, buffer, sync_enabled",
            format!("{seller}, '{store_text}/' || {sku}, {sku}, {store}, 200, 1, TRUE"),
            "true",
        );
        insert(
            "stock_events",
            "seller_id, event_id, body_hash, sku, kind, quantity, warehouse, accepted_at",
            format!("{seller}, 'e' || i, zeroblob(32), {sku}, 'purchase', 1, 'main', i"),
            "true",
        );
        // Confirmed, rejected, held, and queued for a time that never comes; four of them belong to the first run.
        insert(
            "pushes",
            "seller_id, id, store_id, listing_id, sku, external_id, kind, quantity, state, attempts, created_at, updated_at, due_at, \
             confirmed_at, cancel_requested, run_id, in_doubt",
            format!(
                "{seller}, {}, {store}, {}, {sku}, {sku}, 0, 1, CASE i % 4 WHEN 0 THEN 2 WHEN 1 THEN 5 WHEN 2 THEN 6 ELSE 0 END, 1, i, i, \
                 CASE i % 4 WHEN 3 THEN 9000000000000 END, CASE i % 4 WHEN 0 THEN i END, FALSE, CASE WHEN i <= 4 THEN {} END, FALSE",
                blob("push"),
                blob("listing"),
                blob("run").replace(", i)", ", 1)"),
            ),
            "true",
        );
        insert(
            "pushes",
            "seller_id, id, store_id, listing_id, sku, external_id, kind, quantity, state, attempts, created_at, updated_at, confirmed_at, \
             cancel_requested, in_doubt",
            format!("{cyd}, {}, {store}, {}, {sku}, {sku}, 0, 1, 2, 1, i, i, i, FALSE, FALSE", blob("past"), blob("listing")),
            "true",
        );
        let columns =
            "seller_id, id, store_id, run_id, size, state, created_at, updated_at, confirmed_at, first_listing, last_listing, items";
        let to = blob("listing");
        let item = format!("json_array(json_array(lower(hex({to})), {sku}, {sku}, NULL))");
        let values = format!("{seller}, {}, {store}, {}, 1, 2, i, i, i, {to}, {to}, {item}", blob("pack"), blob("run"));
        insert("push_packs", columns, values, "true");
        for owner in [&seller, &cyd] {
            insert(
                "sync_runs",
                "seller_id, id, kind, state, total, done, failed, expanded, started_at, finished_at",
                format!("{owner}, {}, 'manual', 'finished', 1, 1, 0, TRUE, i, i", blob("run")),
                "true",
            );
        }
        for (table, columns, values, condition) in notices::rows(&seller, blob) {
            insert(table, columns, values, condition);
        }
        insert(
            "drift_checks",
            "seller_id, id, store_id, policy, compared, skipped, corrected, counts, started_at, finished_at, progressed_at, tries",
            format!("{seller}, {}, {store}, 'report', 1, 0, 0, '{{}}', i, i, i, 0", blob("check")),
            "true",
        );
        insert(
            "drifts",
            "seller_id, listing_id, store_id, cause, difference, shown, since",
            format!("{seller}, {}, {store}, 0, 1, 5, i", blob("listing")),
            "true",
        );
        insert("bundle_components", "seller_id, bundle, component, quantity", format!("{seller}, 'B' || {sku}, {sku}, 2"), "true");
        insert("usage_days", "seller_id, day, events, pushes, calls", format!("{seller}, i * 86400000, 1, 1, 1"), "true");
        insert("pauses", "seller_id, level, subject, paused_at, paused_by", format!("{seller}, 3, {sku}, i, 'ada'"), "i <= 10");
        let columns = "seller_id, id, name, from_local, to_local, created_at, created_by";
        let values = format!("{seller}, {}, 'sale', '2020-01-01T00:00', '2020-01-02T00:00', i, 'ada'", blob("window"));
        insert("frozen_windows", columns, values, "i <= 10");
        insert(
            "audit",
            "seller_id, id, at, actor, action, subject",
            format!("{seller}, {}, i, 'operator', 'a.b', 'c'", blob("audit")),
            "true",
        );
        insert(
            "sellers",
            "id, name, timezone, suspended, sku_count, created_at",
            format!("{}, 'Bob', 'UTC', FALSE, 0, i", blob("seller")),
            "true",
        );
        insert(
            "stores",
            "seller_id, id, name, platform, base_url, config, share, sync_enabled, paused, needs_reauthorisation, created_at, updated_at",
            format!("{seller}, {}, 'shop', 'simulated', 'http://127.0.0.1:9', '{{}}', 1, TRUE, TRUE, FALSE, i, i", blob("store")),
            &format!("i <= {of_stores}"),
        );
        insert("warehouses", "seller_id, code, name, created_at", format!("{seller}, 'w' || i, 'w', i"), &format!("i <= {of_stores}"));
        // Otherwise what is held would be sent.
        write!(sql, "UPDATE stores SET needs_reauthorisation = TRUE WHERE id = {store}; COMMIT;").unwrap();
        conn.batch_execute(&sql).unwrap();
        self.rows = rows;
    }

    /// The cost of a request with everything that it causes in the background, which the service may do before it answers or
    /// after, as the machine has time: the least of a few.
    fn cost(&mut self, rounds: usize, ask: impl Fn(&Self) -> u64) -> Cost {
        let once = |grown: &mut Self| {
            grown.asked += 1;
            let before = work::taken_once_quiet(&grown.file);
            let bytes = ask(grown);
            let after = work::taken_once_quiet(&grown.file);
            Cost { steps: after.0 - before.0, statements: after.1 - before.1, bytes }
        };
        (0..rounds).map(|_| once(self)).min_by_key(|cost| cost.steps).unwrap()
    }

    fn get(&self, path: &str) -> u64 {
        let operators = path.starts_with("/admin") || path.starts_with("/console/operator");
        let key = if operators { OPERATOR_KEY } else { &self.ada.key };
        let bearer = format!("Bearer {key}");
        let cookie = &self.cookies[usize::from(operators)];
        let header = if path.starts_with("/console") { ("cookie", cookie.as_str()) } else { ("authorization", bearer.as_str()) };
        let answer = exchange(self.api.address, &request("GET", path, &[header], None)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.body.len().try_into().unwrap()
    }

    /// This address with ids of things that exist.
    fn address(&self, template: &str) -> String {
        let uuid = |prefix: &str| {
            let bytes = format!("{prefix}{:0width$}", 1, width = 16 - prefix.len());
            uuid::Uuid::from_slice(bytes.as_bytes()).unwrap().to_string()
        };
        let id = match template {
            _ if template.contains("/sellers/") => self.ada.id.clone(),
            _ if template.contains("/pushes/") => uuid("push"),
            _ if template.contains("/webhooks/") => uuid("hook"),
            _ if template.contains("/emails/") || template.contains("/email-addresses/") => uuid("email"),
            _ if template.contains("/frozen-windows/") => uuid("window"),
            _ if template.contains("/syncs/") || template.contains("/runs/") => uuid("run"),
            _ => self.store.clone(),
        };
        template
            .replace("{id}", &id)
            .replace("{listing}", &uuid("listing"))
            .replace("{key}", &self.ada.key_id)
            .replace("{platform}", "shopify")
    }
}

fn sign_in(api: &Api, key: &str) -> String {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = exchange(api.address, &request("POST", "/console/sign-in", &headers, Some(format!("key={key}").as_bytes()))).unwrap();
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// Every route that answers `GET`, with the growth that it may have.
fn routes() -> Vec<(String, Growth)> {
    let mut found = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let is_paged = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "limit"));
        match path.as_str() {
            // Endless; see `look_of_a_stream`. And not about any seller.
            "/v1/stream" | "/metrics" => {}
            "/v1/stock" => found.push("/v1/stock?sku=S000001".to_owned()),
            path if is_paged => found.push(format!("{}?limit=10", path.replace("{sku}", "S000001"))),
            path => found.push(path.replace("{sku}", "BS000001")),
        }
    }
    found.push("/v1/bundles?component=S000001&limit=10".to_owned());
    for more in ["pushes?state=rejected", "pushes?state=confirmed", "pushes?sku=S000001", "skus?unpaired=true"] {
        found.push(format!("/v1/{more}&limit=10"));
    }
    let growth = |path: &str| if GROWING.contains(&path) || BY_STORE.contains(&path) { Growth::WithRows } else { Growth::Constant };
    let mut found: Vec<_> = found.into_iter().map(|path| (path.clone(), growth(&path))).collect();
    let table_of_pages = include_str!("../../src/http/console/mod.rs");
    let pages = table_of_pages.lines().filter(|line| line.contains(", get()")).filter_map(|line| line.split('"').nth(1));
    let others =
        ["", "/", "/sign-in", "/stock/explain", "/stock/sku/bundle", "/{platform}/callback", "/confirm/{token}", "/unsubscribe/{token}"];
    let pages = pages.filter(|page| !others.contains(page) && !page.starts_with("/assets"));
    found.extend(pages.map(|page| (if page == "/stock/sku" { "/stock/sku?sku=S000001" } else { page }, Growth::WithRows)).map(page));
    for more in [
        "/stock?search=zzz",
        "/stock/explain?sku=S000001",
        "/stock/sku/bundle?sku=S000001",
        "/stores/{id}?search=zzz",
        "/records?show=runs",
        "/records?show=changes",
        "/records?state=rejected&store={id}",
    ] {
        found.push(page((more, Growth::WithRows)));
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

fn page((path, growth): (&str, Growth)) -> (String, Growth) {
    (format!("/console{path}"), growth)
}

/// What a stream reads each time it looks for changes, of which there are none. Not through a stream, since that would keep looking meanwhile.
fn look_of_a_stream(grown: &Grown<'_>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = DatabaseUrl::parse(&grown.api.database.url).unwrap();
    let (seller, since) = (grown.cyd.id.parse().unwrap(), Timestamp::from_millis(1_000_000_000_000));
    runtime.block_on(async {
        let rows = Db::open(&Settings::new(url)).seller(seller);
        let look = rows.read(move |t| {
            let changed = (t.pushes_changed_between(since, since, 200)?.len(), t.live_runs(since, 200)?.len());
            Ok((changed, t.stores(None, 1000)?.len(), t.open_circuits(since)?.len()))
        });
        look.await.unwrap();
    });
    0
}

/// A request that is measured, by name.
type Ask = (&'static str, Growth, fn(&Grown<'_>) -> u64);

/// What else has to stay cheap: changes, for nobody else can write meanwhile, and what takes a body to ask.
const OTHERS: [Ask; 8] = [
    ("a dry run", Growth::WithRows, |grown| {
        let preview = grown.ada.post("/v1/syncs", &json!({ "dry_run": true })).is(200);
        assert!(preview["total"].as_u64().unwrap() > grown.rows as u64, "{preview}");
        Value::to_string(&preview).len().try_into().unwrap()
    }),
    ("one stock event", Growth::Constant, |grown| {
        grown.ada.event(&format!("x{}", grown.asked), "S000001", "purchase", 1);
        0
    }),
    ("one rule of a SKU", Growth::Constant, |grown| {
        grown.ada.put("/v1/rules", &json!([{ "sku": "S000001", "buffer": grown.asked }])).is(200);
        0
    }),
    ("one listing", Growth::Constant, |grown| {
        let rows = json!([{ "sku": "S000003", "external_id": format!("x{}", grown.asked % 2) }]);
        grown.ada.put(&format!("/v1/stores/{}/listings", grown.other_store), &rows).is(200);
        0
    }),
    ("one SKU", Growth::Constant, |grown| {
        grown.ada.put("/v1/skus", &json!([{ "sku": "S000001", "name": grown.asked.to_string() }])).is(200);
        0
    }),
    ("a rule of a store", Growth::WithRows, |grown| {
        grown.ada.put("/v1/rules", &json!([{ "store_id": grown.store, "buffer": grown.asked }])).is(200);
        0
    }),
    ("a change of a store", Growth::WithRows, |grown| {
        grown.ada.patch(&format!("/v1/stores/{}", grown.store), &json!({ "name": grown.asked.to_string() })).is(200);
        0
    }),
    ("a look of a stream", Growth::Constant, look_of_a_stream),
];

#[test]
fn what_a_page_costs_does_not_grow_faster_than_its_rows_and_one_page_of_a_list_not_at_all() {
    work::count_from_now_on();
    let settings = [("poll_every_s", "600"), ("prune_every_s", "86400"), ("requests_per_second", "100000")];
    let (api, platform) = (Api::start_with(Backend::Sqlite, &settings), Platform::start());
    let mut grown = Grown::new(&api, &platform);
    let mut costs: Vec<(String, Growth, Vec<Cost>)> =
        routes().into_iter().map(|(path, growth)| (grown.address(&path), growth, Vec::new())).collect();
    let routes = costs.len();
    costs.extend(OTHERS.map(|(name, growth, _)| (name.to_owned(), growth, Vec::new())));
    for rows in SIZES {
        grown.grow(rows);
        for (index, (path, _, costs)) in costs.iter_mut().enumerate() {
            let path = path.clone();
            costs.push(match OTHERS.get(index.wrapping_sub(routes)) {
                None => grown.cost(ROUNDS[0], |grown| grown.get(&path)),
                Some((_, _, ask)) => grown.cost(ROUNDS[1], ask),
            });
        }
    }
    let mut table = String::new();
    for (path, growth, costs) in &costs {
        let numbers: Vec<String> = costs.iter().map(|c| format!("{}/{}/{}", c.steps, c.statements, c.bytes)).collect();
        let verdict = if growth.is_kept(costs) { "" } else { "  <- grows too fast" };
        writeln!(table, "{path} ({growth:?}): {}{verdict}", numbers.join("  ")).unwrap();
    }
    assert!(costs.iter().all(|(_, growth, costs)| growth.is_kept(costs)), "steps/statements/bytes with {SIZES:?} rows:\n{table}");
    println!("{table}");
}
