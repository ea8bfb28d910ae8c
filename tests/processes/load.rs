//! The command `load` as people run it: what it prints, writes and exits with.
use crate::database::{Backend, TestDatabase};
use crate::program::{OPERATOR_KEY, Program, output};
use stocktide::loadgen::Report;

#[test]
fn a_load_run_writes_its_report_as_a_page_and_as_json() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let (service, platform) = (Program::serve(&database, &[]), Program::simulate_platform());
    let folder = tempfile::tempdir().unwrap();
    let [html, json] = ["run.html", "run.json"].map(|name| folder.path().join(name).display().to_string());
    let address = format!("load --service http://{} --platform http://{}", service.address, platform.address);
    let shape = "--seed 3 --sellers 2 --stores 2 --skus 5 --events 60 --batch 10 --rate 200 --connections 2 --cut 0.05";
    let line = format!("{address} {shape} --no-progress --report {html} --json {json}");
    let arguments: Vec<&str> = line.split(' ').collect();
    let ended = output(&arguments, &[("STOCKTIDE_OPERATOR_KEY", OPERATOR_KEY)]);
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{printed}\n{}", String::from_utf8_lossy(&ended.stderr));
    let page = std::fs::read_to_string(html).unwrap();
    for text in [
        "<strong>Passed</strong>: no unit lost, no unit applied twice.",
        "2 × 2 × 5 = 20 listings",
        "<th scope=\"row\">seed</th><td>3</td>",
        "<th scope=\"row\">rate</th><td>200 events/s</td>",
        "<th scope=\"row\">platform: cut</th><td>0.05</td>",
        "<th scope=\"row\">database</th><td>sqlite</td>",
        "<h2>Latency</h2>",
    ] {
        assert!(page.contains(text), "{text} is missing:\n{page}");
    }
    let Report::Events(report) = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap() else {
        panic!("expected a report on events");
    };
    let sum = |of: fn(&stocktide::loadgen::Interval) -> u64| report.course.intervals.iter().map(of).sum::<u64>();
    assert_eq!(sum(|one| one.events), 60);
    assert_eq!(sum(|one| one.arrived), report.delivered_in.count);
    assert!((report.delivered_in.count..=report.delivered_in.count + report.not_followed).contains(&sum(|one| one.accepted)));
    // Some increases arrive before their event is answered.
    let later: u64 = report.course.latencies.iter().map(|bucket| bucket.count).sum();
    assert_eq!(later + report.course.at_once, report.delivered_in.count);
    assert!(page.contains(&format!("<dd>{}</dd>", report.verdict.units_due)), "{page}");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_that_names_its_file() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let (service, platform) = (Program::serve(&database, &[]), Program::simulate_platform());
    let address = format!("load --service http://{} --platform http://{}", service.address, platform.address);
    let line = format!("{address} --sellers 1 --stores 1 --skus 1 --events 2 --no-progress --report /nowhere/at/all.html");
    let arguments: Vec<&str> = line.split(' ').collect();
    let ended = output(&arguments, &[("STOCKTIDE_OPERATOR_KEY", OPERATOR_KEY)]);
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot write /nowhere/at/all.html"), "{error}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("PASSED"), "the verdict is printed all the same");
}
