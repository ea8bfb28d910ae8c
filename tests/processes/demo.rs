//! The demo, run to its end: what it claims last is about something that happened.
use crate::program::output;

#[test]
fn the_demo_ends_with_a_verdict_about_increases_that_were_sent_and_claims_nothing_where_none_were() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display().to_string();
    let ended = output(&["demo", "--listen", "127.0.0.1:0", "--seconds", "4", "--rate", "60", "--folder", &folder], &[]);
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{text}");
    let verdict = |seller: &str| text.lines().rfind(|line| line.contains(seller)).unwrap().to_owned();
    for seller in ["Ada", "Bo"] {
        let line = verdict(seller);
        assert!(line.contains("none lost, none twice") && !line.contains(" 0 increases"), "{line}");
    }
    // The daily run is more than a minute away.
    let line = verdict("Cy");
    assert!(line.contains("sends no increases") && !line.contains("none lost"), "{line}");
}
