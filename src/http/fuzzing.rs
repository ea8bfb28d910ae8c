//! Fuzz targets for requests: stock events, listings, rules, settings, keys and cursors. `tests/fuzz` runs them guided by
//! coverage; the test at the end replays the inputs stored there, including every one that ever failed. Built only for tests
//! and with the feature `fuzzing`. Each target checks properties beyond not panicking: mostly that an accepted value, written
//! out again, is read as the same value.
use super::auth::key_of;
use super::body::Content;
use super::listings::{Fields, rows_of_csv, rows_of_json};
use super::request::{PageQuery, id_cursor, limit, query_of, read_text_cursor, text_cursor};
use super::rules::{answer, read_rules};
use super::settings::SettingsChange;
use super::stock_events::{read_body, read_event};
use crate::db::listings::NewListing;
use crate::domain::frequency::Frequency;
use crate::domain::schedule::{LOOK_BACK_DAYS, due_runs, next_run};
use crate::domain::settings::{SyncSettings, parse_daily_at, parse_timezone};
use crate::domain::stock::StockEvent;
use crate::domain::{FieldError, PushId, Timestamp};
use crate::platforms::registry;
use crate::service::listings::Row;
use crate::service::settings::EnteredChange;
use crate::service::stock_events::{EnteredEvent, body_hash};
use actix_web::web::Bytes;
use chrono::TimeDelta;
use serde_json::json;
use std::collections::BTreeMap;

pub use crate::platforms::fuzzing::replies;

/// Takes an input and panics if a property does not hold.
pub type Target = fn(&[u8]);

/// All targets by name, which is also the name of their folder in `tests/fuzz/corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("stock_events", stock_events),
    ("listings", listings),
    ("rules", rules),
    ("settings", settings),
    ("keys_and_cursors", keys_and_cursors),
    ("replies", replies),
];

fn body(bytes: &[u8], media_type: &str) -> Content {
    Content { bytes: Bytes::copy_from_slice(bytes), media_type: media_type.to_owned() }
}

fn check_errors(errors: &[FieldError]) {
    assert!(!errors.is_empty(), "rejected without a reason");
    for error in errors {
        assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{:?} is not a JSON pointer", error.pointer);
        assert!(!error.detail.is_empty(), "no reason is given for {:?}", error.pointer);
    }
}

/// Stock events in a body. If the first byte is even, the rest is JSON, otherwise NDJSON.
///
/// # Panics
/// If a property does not hold.
pub fn stock_events(bytes: &[u8]) {
    let Some((form, text)) = bytes.split_first() else { return };
    let media_type = if form % 2 == 0 { "application/json" } else { "application/x-ndjson" };
    let Ok((events, single)) = read_body(&body(text, media_type)) else { return };
    assert!(!single || events.len() == 1);
    for event in events {
        match event {
            Ok(EnteredEvent { event, .. }) => {
                let again = read_event(written(&event).as_bytes()).ok().map(|entered| entered.event);
                assert_eq!(again.as_ref(), Some(&event), "an event written out is read as the same");
                assert_eq!(again.as_ref().map(body_hash), Some(body_hash(&event)), "and is treated as a repeat");
            }
            Err(bad) => check_errors(&bad.errors),
        }
    }
}

fn written(event: &StockEvent) -> String {
    let mut fields = json!({
        "event_id": event.event_id, "sku": event.sku, "kind": event.kind, "quantity": event.quantity, "warehouse": event.warehouse,
        "occurred_at": event.occurred_at, "note": event.note,
    });
    if let (Some(to), Some(fields)) = (&event.to_warehouse, fields.as_object_mut()) {
        fields.insert("to_warehouse".to_owned(), json!(to));
    }
    fields.to_string()
}

/// Rows of listings. The first byte selects the platform (`a` is the first in the registry); if the second is even, the rest
/// is JSON, otherwise CSV.
///
/// # Panics
/// If a property does not hold.
pub fn listings(bytes: &[u8]) {
    let [platform, form, text @ ..] = bytes else { return };
    let Some(platform) = registry().get(usize::from(platform.wrapping_sub(b'a')) % registry().len()) else { return };
    // The first of the connector's own fields, if it has any, is required, so that both cases are covered.
    let fields = Fields { known: platform.listing_fields(), required: platform.listing_fields().first().copied() };
    let read = if form % 2 == 0 { rows_of_json(text, fields) } else { rows_of_csv(text, fields) };
    for row in read.unwrap_or_default() {
        match row {
            Ok(row) => {
                let (json, csv) = (as_json(&row), as_csv(&row));
                assert_eq!(only(rows_of_json(&json, fields).unwrap_or_default()).as_ref(), Some(&row), "the same row as JSON");
                assert_eq!(only(rows_of_csv(&csv, fields).unwrap_or_default()).as_ref(), Some(&row), "the same row as CSV");
            }
            Err((_, errors)) => check_errors(&errors),
        }
    }
}

fn columns(row: &NewListing) -> BTreeMap<&str, &str> {
    let extra = row.extra.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
    extra.chain([("sku", row.sku.as_str()), ("external_id", row.external_id.as_str())]).collect()
}

fn as_json(row: &NewListing) -> Vec<u8> {
    let mut members = json!(columns(row));
    if let (Some(units), Some(members)) = (row.units, members.as_object_mut()) {
        members.insert("units".to_owned(), json!(units.get()));
    }
    json!([members]).to_string().into_bytes()
}

fn as_csv(row: &NewListing) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let units = row.units.map(|units| units.get().to_string());
    let of_units = units.as_deref().map(|units| ("units", units));
    let (names, values): (Vec<&str>, Vec<&str>) = columns(row).into_iter().chain(of_units).unzip();
    // Writing to memory cannot fail; if it did, the row would be missing and the assertion would fail.
    writer.write_record(names).and_then(|()| writer.write_record(values)).ok();
    writer.into_inner().unwrap_or_default()
}

fn only(rows: Vec<Row>) -> Option<NewListing> {
    assert_eq!(rows.len(), 1);
    rows.into_iter().next().and_then(Result::ok)
}

/// Allocation rules.
///
/// # Panics
/// If a property does not hold.
pub fn rules(bytes: &[u8]) {
    let Ok(rules) = read_rules(&body(bytes, "application/json")) else { return };
    let shown: Vec<_> = rules.iter().cloned().map(answer).collect();
    let again = read_rules(&body(json!(shown).to_string().as_bytes(), "application/json"));
    assert_eq!(again.ok(), Some(rules), "rules sent back as they were shown");
}

/// A change of the sync settings and the resulting schedule. The first four bytes are the time in seconds since 1970.
///
/// # Panics
/// If a property does not hold.
pub fn settings(bytes: &[u8]) {
    let Some((seconds, text)) = bytes.split_first_chunk::<4>() else { return };
    let now = Timestamp::from_millis(i64::from(u32::from_be_bytes(*seconds)) * 1000);
    let Ok(change) = body(text, "application/json").object::<SettingsChange>() else { return };
    let Ok(change) = EnteredChange::from(change).check() else { return };
    let usual = SyncSettings::new(change.timezone.unwrap_or(chrono_tz::UTC), now);
    let settings = SyncSettings {
        auto_sync: true,
        frequency: Frequency::TimedFull,
        daily_at: change.daily_at.unwrap_or(usual.daily_at),
        catch_up_hours: change.catch_up_hours.unwrap_or(usual.catch_up_hours),
        ..usual
    };
    assert_eq!(parse_daily_at(&settings.daily_at.format("%H:%M").to_string()), Ok(settings.daily_at));
    assert_eq!(parse_timezone(settings.timezone.name()), Ok(settings.timezone));
    schedule(&settings, now);
}

fn schedule(settings: &SyncSettings, now: Timestamp) {
    let next = next_run(settings, now);
    assert!(next > now && next - now <= TimeDelta::days(2), "{next} is not the next run after {now}");
    let after = next_run(settings, next);
    assert!(after > next && after - next <= TimeDelta::days(2), "{after} is not the next run after {next}");
    let since = now - TimeDelta::days(i64::try_from(LOOK_BACK_DAYS).unwrap_or(31) * 2);
    let due = due_runs(settings, now, since, None);
    assert!(due.len() <= usize::try_from(LOOK_BACK_DAYS).unwrap_or(31) + 1, "{} runs are due", due.len());
    // A run at midnight of a skipped date has the same instant as that of the next date.
    assert!(due.is_sorted_by(|a, b| a.date < b.date && a.scheduled_for <= b.scheduled_for), "{due:?}");
    assert!(due.iter().all(|run| run.scheduled_for <= now) && due.iter().filter(|run| !run.missed).count() <= 1, "{due:?}");
    if let Some(newest) = due.last() {
        assert_eq!(due_runs(settings, now, since, Some(newest.date)), [], "a recorded date is no longer due");
        assert_eq!(next_run(settings, newest.scheduled_for), next, "no run lies between the newest and the next");
    }
}

/// Values of an Authorization header, queries, cursors and page sizes.
///
/// # Panics
/// If a property does not hold.
pub fn keys_and_cursors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(key) = key_of(text) {
        assert!(!key.is_empty() && key.trim() == key);
        assert_eq!(key_of(&format!("Bearer {key}")), Some(key));
    }
    let params = query_of::<PageQuery>(text).unwrap_or(PageQuery { limit: Some(text.to_owned()), cursor: Some(text.to_owned()) });
    if let Ok(limit) = limit(params.limit.as_deref()) {
        assert!((1..=1000).contains(&limit));
    }
    let cursor = params.cursor.as_deref();
    if let Ok(Some(after)) = read_text_cursor(cursor) {
        assert_eq!(read_text_cursor(Some(&text_cursor(&after))).ok().flatten(), Some(after));
    }
    if let Ok(Some(id)) = id_cursor::<PushId>(cursor) {
        assert_eq!(id_cursor(Some(&id.to_string())).ok().flatten(), Some(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// The stored inputs of a target, by path.
    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = [env!("CARGO_MANIFEST_DIR"), "tests/fuzz/corpus", target].iter().collect::<PathBuf>();
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        };
        fs::read_dir(folder).unwrap().map(read).collect()
    }

    #[test]
    fn every_stored_fuzzing_input_passes() {
        for (name, target) in TARGETS {
            let inputs = corpus(name);
            assert!(inputs.len() >= 5, "{name} has too few inputs in tests/fuzz/corpus");
            for (input, bytes) in inputs {
                let passed = std::panic::catch_unwind(|| target(&bytes));
                assert!(passed.is_ok(), "{input} makes {name} fail");
            }
        }
    }
}
