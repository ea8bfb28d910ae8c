//! Drift: listings that show something other than expected, the checks that find them, and what is done about it.
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Badge, Stamp, change, count, query_value, units};
use crate::db::drift::Drifted;
use crate::domain::drift::{Cause, DriftCheck, Policy};
use crate::domain::limits::MAX_STORES;
use crate::domain::{ListingId, StoreId};
use crate::http::state::State;
use crate::service::settings::{self, EnteredChange};
use crate::service::{self, drift};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;

const HERE: &str = "/console/drift";
/// Listings per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;
/// Checks of a store that its page shows.
const TREND: i64 = 14;

fn label(cause: Cause) -> &'static str {
    match cause {
        Cause::EditedInStore => "Changed in the store",
        Cause::SaleNotReported => "Sale not reported",
        Cause::PushRejected => "Update rejected",
        Cause::Locked => "Locked by the platform",
        Cause::NotTracked => "Stock not tracked",
        Cause::Unreadable => "Cannot be read",
    }
}

fn badge(cause: Cause) -> Badge {
    match cause {
        Cause::EditedInStore | Cause::SaleNotReported => Badge::new(label(cause), "warn"),
        Cause::Locked => Badge::new(label(cause), "wait"),
        Cause::PushRejected | Cause::NotTracked | Cause::Unreadable => Badge::new(label(cause), "bad"),
    }
}

fn policy_label(policy: Policy) -> &'static str {
    match policy {
        Policy::Off => "No daily check",
        Policy::Report => "Report only",
        Policy::CorrectDown => "Correct listings that show too much",
        Policy::Correct => "Correct listings that show too much or too little",
    }
}

/// A policy to choose.
struct PolicyChoice {
    word: &'static str,
    label: &'static str,
    help: &'static str,
    chosen: bool,
}

fn choices(chosen: Policy) -> Vec<PolicyChoice> {
    let help = |policy: Policy| match policy {
        Policy::Off => "You can check a store at any time.",
        Policy::Report => "Every listing is read once a day, half an hour after the update time. Nothing is corrected.",
        Policy::CorrectDown => "The same; a listing that shows more than expected and more than its target is overwritten.",
        Policy::Correct => {
            "The same; a listing that has shown less than expected for as long as its store waits for reports is overwritten too."
        }
    };
    let choice =
        |policy: Policy| PolicyChoice { word: policy.as_str(), label: policy_label(policy), help: help(policy), chosen: policy == chosen };
    Policy::ALL.map(choice).into()
}

/// "3 of 120 listings differ".
fn found_text(check: &DriftCheck) -> String {
    let differ = check.counts.total();
    let verb = if differ == 1 { "differs" } else { "differ" };
    let mut text = format!("{} of {} {verb}", units(differ), count(check.compared, "listing", "listings"));
    if check.corrected > 0 {
        text.push_str(&format!(", {} corrected", units(check.corrected)));
    }
    if check.skipped > 0 {
        text.push_str(&format!(", {} skipped", units(check.skipped)));
    }
    text
}

fn causes_text(check: &DriftCheck) -> String {
    check.counts.0.iter().map(|(cause, number)| format!("{}: {}", label(*cause), units(*number))).collect::<Vec<_>>().join(", ")
}

struct StoreLine {
    id: String,
    name: String,
    goes_on: bool,
    found: Option<String>,
    causes: String,
    at: Option<Stamp>,
}

struct Row {
    address: String,
    sku: String,
    store: String,
    external_id: String,
    cause: Badge,
    difference: Option<String>,
    shown: Option<String>,
    since: Stamp,
    note: Option<String>,
}

impl Row {
    fn new(frame: &Frame, row: Drifted, store: &str) -> Self {
        let drift = row.drift;
        Self {
            address: format!("/console/stock/sku?sku={}", query_value(&row.sku)),
            sku: row.sku,
            store: store.to_owned(),
            external_id: row.external_id,
            cause: badge(drift.cause),
            difference: drift.difference.map(change),
            shown: drift.shown.map(units),
            since: frame.stamp(drift.since),
            note: drift.note,
        }
    }
}

/// A filter, and whether it is chosen.
struct Filter {
    value: String,
    label: String,
    chosen: bool,
}

struct CheckLine {
    at: Stamp,
    found: String,
    causes: String,
}

#[derive(Template)]
#[template(path = "drift.html")]
struct DriftPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    choices: Vec<PolicyChoice>,
    auto_sync: bool,
    stores: Vec<StoreLine>,
    by_store: Vec<Filter>,
    by_cause: Vec<Filter>,
    filtered: bool,
    rows: Vec<Row>,
    /// The last checks of the chosen store.
    trend: Vec<CheckLine>,
    next: Option<String>,
    first: bool,
    errors: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DriftQuery {
    store: Option<String>,
    cause: Option<String>,
    after: Option<ListingId>,
}

async fn show(visit: &SellerVisit, query: &DriftQuery, chosen: Option<Policy>, errors: FormErrors) -> PageAnswer {
    let frame = &visit.frame;
    let store: Option<StoreId> = query.store.as_deref().and_then(|text| text.parse().ok());
    let cause = query.cause.as_deref().and_then(Cause::parse);
    let after = query.after;
    let read = visit.caller.db.read(move |t| {
        let trend = if store.is_some() { t.drift_checks(store, None, TREND)? } else { Vec::new() };
        let found = t.drifted((store, cause), after, PAGE_AND_ONE)?;
        Ok((t.sync_settings()?, t.stores(None, MAX_STORES)?, t.last_drift_checks()?, found, trend))
    });
    let (settings, stores, last, mut found, trend) = read.await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let name = |id: StoreId| stores.iter().find(|store| store.id == id).map_or("Removed store", |store| store.name.as_str());
    let address = |after: Option<ListingId>| {
        let mut parts: Vec<String> = store.iter().map(|id| format!("store={id}")).collect();
        parts.extend(cause.map(|cause| format!("cause={}", cause.as_str())));
        parts.extend(after.map(|after| format!("after={after}")));
        format!("{HERE}?{}", parts.join("&"))
    };
    let page = DriftPage {
        frame,
        here: "drift",
        choices: choices(chosen.unwrap_or(settings.drift)),
        auto_sync: settings.auto_sync,
        stores: stores
            .iter()
            .map(|store| {
                let check = last.get(&store.id);
                StoreLine {
                    id: store.id.to_string(),
                    name: store.name.clone(),
                    goes_on: check.is_some_and(|check| check.finished_at.is_none()),
                    found: check.map(found_text),
                    causes: check.map(causes_text).unwrap_or_default(),
                    at: check.map(|check| frame.stamp(check.started_at)),
                }
            })
            .collect(),
        by_store: stores
            .iter()
            .map(|each| Filter { value: each.id.to_string(), label: each.name.clone(), chosen: store == Some(each.id) })
            .collect(),
        by_cause: Cause::ALL
            .into_iter()
            .map(|each| Filter { value: each.as_str().to_owned(), label: label(each).to_owned(), chosen: cause == Some(each) })
            .collect(),
        filtered: store.is_some() || cause.is_some(),
        next: found.last().filter(|_| more).map(|last| address(Some(last.listing_id))),
        first: after.is_none(),
        trend: trend
            .iter()
            .map(|check| CheckLine { at: frame.stamp(check.started_at), found: found_text(check), causes: causes_text(check) })
            .collect(),
        rows: found
            .into_iter()
            .map(|row| {
                let store = name(row.store_id).to_owned();
                Row::new(frame, row, &store)
            })
            .collect(),
        errors: errors.elsewhere(&[]),
    };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn page(visit: SellerVisit, query: Query<DriftQuery>) -> PageAnswer {
    show(&visit, &query, None, FormErrors::default()).await
}

/// Saves what daily checks do.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, word) = (&posted.visit, posted.fields.text("drift"));
    let Some(policy) = Policy::parse(word) else {
        let errors = vec![crate::domain::FieldError::new("/drift", "Choose what the daily check does.")];
        return show(visit, &DriftQuery::default(), None, FormErrors(errors)).await;
    };
    let entered = EnteredChange { drift: Some(policy), ..EnteredChange::default() };
    match field_errors(settings::change(&state.service, &visit.caller, entered).await)? {
        Err(errors) => show(visit, &DriftQuery::default(), Some(policy), errors).await,
        Ok(_) => Ok(go_saying(HERE, &format!("Saved: {}.", policy_label(policy).to_lowercase()))),
    }
}

/// *Check now*.
pub(super) async fn check(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    match drift::check(&state.service, &posted.visit.caller, id.into_inner()).await {
        Ok(_) => Ok(go_saying(HERE, "The check has started. It reads the listings once nothing else is due to the store.")),
        Err(service::Error::Rows(crate::db::Error::Conflict(why))) => Ok(go_warning(HERE, &why)),
        Err(error) => Err(error.into()),
    }
}
