//! How stock events are read, and what is said of those that cannot be.
use super::*;
use crate::service::stock_events::body_hash;

fn errors_of(text: &str) -> Vec<String> {
    read_event(text.as_bytes()).err().map(|bad| bad.errors.into_iter().map(|e| e.pointer).collect()).unwrap_or_default()
}

#[test]
fn each_bad_field_is_named() {
    let event = |fields: &str| format!(r#"{{"event_id":"e","sku":"S","kind":"purchase","quantity":1{fields}}}"#);
    assert!(errors_of(&event("")).is_empty());
    let quantity = |kind: &str, q: &str| errors_of(&format!(r#"{{"event_id":"e","sku":"S","kind":"{kind}","quantity":{q}}}"#));
    for (kind, bad) in [
        ("purchase", "0"),
        ("sale", "-1"),
        ("return", "1.5"),
        ("purchase", "1e30"),
        ("purchase", "1000000000001"),
        ("adjustment", "0"),
        ("count", "-1000000000001"),
        ("purchase", "\"3\""),
        ("purchase", "null"),
    ] {
        assert_eq!(quantity(kind, bad), ["/quantity"], "{kind} {bad}");
    }
    assert!(quantity("adjustment", "-3").is_empty() && quantity("count", "0").is_empty() && quantity("count", "-1").is_empty());
    assert!(quantity("purchase", "5.0").is_empty() && quantity("sale", "5e0").is_empty());
    assert_eq!(errors_of(&event(r#","colour":"red""#)), ["/colour"]);
    assert_eq!(errors_of(&event(r#","to_warehouse":"b""#)), ["/to_warehouse"]);
    assert_eq!(errors_of(r#"{"event_id":"e","sku":"S","kind":"transfer","quantity":1}"#), ["/to_warehouse"]);
    assert_eq!(errors_of(r#"{"event_id":"e","sku":"S","kind":"transfer","quantity":1,"to_warehouse":"main"}"#), ["/to_warehouse"]);
    assert_eq!(errors_of(r#"{"event_id":"","sku":" S","kind":"sale","quantity":0}"#), ["/event_id", "/sku", "/quantity"]);
    assert_eq!(errors_of(r#"{"sku":"S","kind":"sale","quantity":1}"#), ["/event_id"]);
    assert_eq!(errors_of(r#"{"event_id":"e","sku":"S","kind":"gift","quantity":1}"#), ["/kind"]);
}

fn sale(more: &str) -> String {
    format!(r#"{{"event_id":"e","sku":"S","kind":"sale","quantity":1{more}}}"#)
}

/// Whether the quick way accepts it; if so, the careful way must agree.
fn quick_accepts(text: &str) -> bool {
    let Some(quickly) = quick::<EventFields>(text.as_bytes()) else { return false };
    let one = |text: &str| read_event(text.as_bytes()).map(|entered| (entered.event, entered.create)).map_err(|bad| bad.errors);
    let carefully: Vec<_> = match items(text.as_bytes(), "stock events") {
        Ok(items) => items.iter().map(|raw| one(raw.get())).collect(),
        Err(_) => vec![one(text)],
    };
    let quickly: Vec<_> = quickly
        .iter()
        .map(|fields| checked(fields, MOST_OF_ONE).map(|entered| (entered.event, entered.create)).map_err(|bad| bad.errors))
        .collect();
    assert_eq!(quickly, carefully, "{text}");
    true
}

#[test]
fn what_is_read_quickly_is_read_as_if_it_had_been_read_carefully() {
    let plain = sale("");
    let other = sale(r#","occurred_at":"2026-11-29T00:00:00Z","warehouse":"main","note":"a\nb\u00e9""#);
    for usual in [plain.clone(), format!(" {plain} "), format!("[{plain},{other}]"), "[]".to_owned(), sale(r#","create":false"#)] {
        assert!(quick_accepts(&usual), "{usual}");
    }
    for refused_later in
        [r#"{"event_id":"","sku":" S","kind":"sale","quantity":0}"#, r#"{"event_id":"e","sku":"S","kind":"sale","quantity":5.0}"#]
    {
        assert!(quick_accepts(refused_later), "{refused_later}");
    }
    let as_list = r#"["e","S","sale",1,null,null,null,null,null]"#;
    for unusual in [
        as_list.to_owned(),
        format!("[{as_list}]"),
        format!("[[{plain}]]"),
        format!("{plain}{plain}"),
        format!("[{plain}"),
        sale(r#","colour":"red""#),
        sale(r#","sku":"T""#),
        sale(r#","kind":"gift""#),
        "3".to_owned(),
        String::new(),
        format!("[{}{plain}]", format!("{plain},").repeat(MAX_BULK)),
    ] {
        assert!(!quick_accepts(&unusual), "{}", unusual.get(..80).unwrap_or(&unusual));
    }
}

#[test]
fn every_field_that_cannot_be_read_is_named_up_to_a_limit() {
    assert_eq!(errors_of("{}"), ["/event_id", "/sku", "/kind", "/quantity"]);
    assert_eq!(
        errors_of(r#"{"event_id":7,"sku":" S","kind":"gift","quantity":"x","colour":"red","occurred_at":"soon"}"#),
        ["/event_id", "/colour", "/kind", "/occurred_at", "/quantity", "/sku"]
    );
    assert_eq!(errors_of(r#"{"event_id":"e","sku":"S","kind":"gift","quantity":-3}"#), ["/kind"]);
    let many: String = (0..200).map(|n| format!(r#","x{n}":1"#)).collect();
    assert_eq!(errors_of(&format!(r#"{{"event_id":"e","sku":"S","kind":"sale","quantity":1{many}}}"#)).len(), MOST_OF_ONE);
}

#[test]
fn an_id_that_is_a_number_is_refused_and_named_by_its_text() {
    let named = |id: &str| read_event(format!(r#"{{"event_id":{id},"sku":"S","kind":"sale","quantity":1}}"#).as_bytes()).err().unwrap();
    for (id, text) in [("1", "1"), ("-7", "-7"), ("12345678901234567890", "12345678901234567890"), ("1.50", "1.50")] {
        let bad = named(id);
        assert_eq!((bad.event_id.as_deref(), bad.errors[0].pointer.as_str()), (Some(text), "/event_id"));
    }
    for other in ["null", "true", "[1]", "{}"] {
        assert_eq!(named(other).event_id, None, "{other}");
    }
}

#[test]
fn an_event_that_states_a_default_is_the_same_event() {
    let hash = |text: &str| read_event(text.as_bytes()).ok().map(|entered| body_hash(&entered.event));
    let plain = hash(r#"{"event_id":"e","sku":"S","kind":"sale","quantity":1}"#);
    assert!(plain.is_some());
    assert_eq!(plain, hash(r#"{"warehouse":"main","quantity":1,"kind":"sale","sku":"S","event_id":"e"}"#));
    assert_ne!(plain, hash(r#"{"event_id":"e","sku":"S","kind":"sale","quantity":2}"#));
}
