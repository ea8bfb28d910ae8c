//! The load generator against a complete service and a simulated platform, all in this process on free ports. It must
//! report no error when calls fail but the service copes, and must detect units that something else added or removed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test should stop at once")]

use secrecy::SecretString;
use stocktide::config::Config;
use stocktide::loadgen::{self, EventsReport, Face, Mix, Offers, Plan, Report, Task};
use stocktide::simulator::args::FaultArgs;
use stocktide::simulator::{Simulator, serve};

const OPERATOR_KEY: &str = "an operator key of 32 characters and more";

struct World {
    plan: Plan,
    simulator: Simulator,
    /// Deletes the database when dropped.
    _files: tempfile::TempDir,
}

async fn world() -> World {
    let files = tempfile::tempdir().unwrap();
    let settings = [
        ("listen", "127.0.0.1:0".to_owned()),
        ("database_url", format!("sqlite://{}", files.path().join("load.db").display())),
        ("operator_key", OPERATOR_KEY.to_owned()),
        ("allow_private_targets", "true".to_owned()),
        ("retry_base_ms", "20".to_owned()),
        ("request_timeout_ms", "2000".to_owned()),
    ];
    let settings: Vec<(String, String)> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = Config::load(None, std::iter::empty(), settings).unwrap();
    stocktide::app::migrate(&config).await.unwrap();
    let service = stocktide::app::start(&config).await.unwrap();
    let address = service.address;
    actix_web::rt::spawn(service.run());
    let simulator = Simulator::new(1);
    let listener = serve::listener("127.0.0.1:0".parse().unwrap()).unwrap();
    let platform = listener.local_addr().unwrap();
    actix_web::rt::spawn(serve::serve(listener, simulator.clone(), std::future::pending()));
    let task = Task::Events { count: 600, batch: 20, rate: None, zipf: 1.0, mix: Mix::default(), repeat: 0.3 };
    let plan = Plan {
        sellers: 3,
        stores: 3,
        skus: 8,
        warehouses: 2,
        connections: 4,
        progress: false,
        task,
        ..Plan::events(&format!("http://{address}"), SecretString::from(OPERATOR_KEY), &format!("http://{platform}"))
    };
    World { plan, simulator, _files: files }
}

async fn events(plan: Plan) -> EventsReport {
    match loadgen::run(plan).await.unwrap() {
        Report::Events(report) => report,
        Report::Overwrite(_) => panic!("expected a report on events"),
    }
}

#[actix_web::test]
async fn every_listing_is_right_although_the_platform_fails_in_every_way() {
    let world = world().await;
    let faults = FaultArgs {
        throttle: Some(0.05),
        retry_after: Some(0.1),
        error_before: Some(0.05),
        error_after: Some(0.05),
        lose_answer: Some(0.05),
        cut: Some(0.05),
        ..FaultArgs::default()
    };
    for offers in [Offers::Keys, Offers::CompareAndSet, Offers::Neither, Offers::Blind] {
        let report = events(Plan { offers, faults: faults.clone(), ..world.plan.clone() }).await;
        assert!(report.passed, "{offers:?}: {report}");
        assert_eq!((report.verdict.listings, report.sending.accepted), (72, 600));
        // Faults are drawn per call. How many calls there are, and so how many kinds of fault occur, depends on the machine's speed.
        assert!(report.platform.faults.len() >= 2 && report.sending.duplicates > 0, "nothing failed: {report}");
        assert!(report.delivered_in.count > 0 && (report.not_followed == 0 || report.verdict.healed > 0), "{report}");
    }
    assert_eq!(world.simulator.faults(), stocktide::simulator::Faults::default(), "the platform's faults were restored");
}

#[actix_web::test]
async fn every_listing_is_right_in_the_wire_formats_of_shopify_and_shopee() {
    let world = world().await;
    let faults = FaultArgs { throttle: Some(0.1), lose_answer: Some(0.1), error_after: Some(0.1), ..FaultArgs::default() };
    for face in [Face::Shopify, Face::Shopee] {
        // Enough SKUs for more than one Shopee item, since a call carries the models of a single item.
        let report = events(Plan { face, skus: 60, faults: faults.clone(), ..world.plan.clone() }).await;
        assert!(report.passed, "{face:?}: {report}");
        assert_eq!((report.verdict.listings, report.platform.over_limit), (540, 0));
        assert!(report.platform.faults.len() >= 2, "nothing failed: {report}");
    }
}

#[actix_web::test]
async fn units_removed_or_added_by_others_are_reported_as_lost_or_applied_twice() {
    let world = world().await;
    let task = Task::Events { count: 600, batch: 20, rate: Some(300.0), zipf: 1.0, mix: Mix::default(), repeat: 0.0 };
    let simulator = world.simulator.clone();
    actix_web::rt::spawn(async move {
        let receipt = loop {
            match simulator.receipts(0, 1).pop() {
                Some(receipt) => break receipt,
                None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        simulator.sell(&receipt.store, "item-00000", 5);
        simulator.sell(&receipt.store, "item-00001", -2);
    });
    let report = events(Plan { task, ..world.plan.clone() }).await;
    assert!(!report.passed, "{report}");
    assert_eq!((report.verdict.units_lost, report.verdict.units_twice, report.verdict.listings_off), (5, 2, 2));
}

#[actix_web::test]
async fn an_overwrite_brings_every_listing_to_its_target() {
    let world = world().await;
    let plan = Plan {
        task: Task::Overwrite { timed: false },
        skus: 250,
        faults: FaultArgs { lose_answer: Some(0.1), ..FaultArgs::default() },
        ..world.plan
    };
    let Report::Overwrite(report) = loadgen::run(plan).await.unwrap() else { panic!("expected a report on an overwrite") };
    assert!(report.passed, "{report}");
    assert_eq!((report.listings, report.done, report.listings_off), (2250, 2250, 0));
}
