//! Guard rails: how much an overwrite may change without asking, and the answer to one that asks.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::records::StoresById;
use super::session::SellerVisit;
use super::show::{Stamp, units};
use crate::db::runs::{Run, RunState};
use crate::domain::RunId;
use crate::domain::guard::{Guard, GuardChange};
use crate::domain::settings::MAX_RULE_UNITS;
use crate::http::state::State;
use crate::service::settings::{self, EnteredChange};
use crate::service::{self, guard};
use actix_web::web::Path;
use askama::Template;

const HERE: &str = "/console/sales-channel";

#[derive(Template)]
#[template(path = "guard.html")]
struct GuardPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    zero_percent: Field,
    units: Field,
    errors: Vec<String>,
}

impl<'a> GuardPage<'a> {
    fn new(frame: &'a Frame, zero_percent: &str, units: &str, errors: &FormErrors) -> Self {
        Self {
            frame,
            here: "sales-channel",
            zero_percent: Field::new("zero_percent", "Listings that may go to 0", "number")
                .value(zero_percent)
                .within(0, 100, "1")
                .suffix("%")
                .optional_unmarked()
                .help("Of a store's listings that show stock, from 10 listings on. Leave empty to never ask.")
                .checked(errors, "/guard/zero_percent"),
            units: Field::new("units", "Units that may change", "number")
                .value(units)
                .within(0, MAX_RULE_UNITS, "1")
                .suffix("units")
                .optional_unmarked()
                .help("In one store, up and down together. Leave empty for no limit.")
                .checked(errors, "/guard/units"),
            errors: errors.elsewhere(&["/guard/zero_percent", "/guard/units"]),
        }
    }
}

/// The limits in a few words.
pub(super) fn text_of(guard: Guard) -> String {
    let zero = guard.zero_percent.map(|percent| format!("more than {percent}% of a store's listings would go to 0"));
    let moved = guard.units.map(|most| format!("quantities in a store would change by more than {} units", units(most)));
    match (zero, moved) {
        (None, None) => "Overwrites never ask first.".to_owned(),
        (Some(one), None) | (None, Some(one)) => format!("An overwrite asks first if {one}."),
        (Some(zero), Some(moved)) => format!("An overwrite asks first if {zero}, or if {moved}."),
    }
}

pub(super) async fn page(visit: SellerVisit) -> PageAnswer {
    let guard = visit.caller.db.read(|t| t.sync_settings()).await?.guard;
    let text = |limit: Option<i64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    visit.frame.page(&GuardPage::new(&visit.frame, &text(guard.zero_percent), &text(guard.units), &FormErrors::default()))
}

pub(super) async fn save(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    // -1 is out of bounds, so text that is not a number gets the same error.
    let limit = |name: &str| Some(fields.some(name).map(|text| text.parse().unwrap_or(-1)));
    let change = GuardChange { zero_percent: limit("zero_percent"), units: limit("units") };
    let entered = EnteredChange { guard: change, ..EnteredChange::default() };
    match field_errors(settings::change(&state.service, &visit.caller, entered).await)? {
        Err(errors) => visit.frame.rejected(&GuardPage::new(&visit.frame, fields.text("zero_percent"), fields.text("units"), &errors)),
        Ok((settings, _)) => Ok(go_saying(HERE, &format!("Saved. {}", text_of(settings.guard)))),
    }
}

/// A store that the run of a question would change.
pub(super) struct QuestionRow {
    pub store: String,
    pub showing: String,
    pub to_zero: String,
    pub units: String,
}

/// What a run asks.
pub(super) struct QuestionPart {
    pub rows: Vec<QuestionRow>,
    pub more: Option<String>,
    pub answer_by: Stamp,
}

impl QuestionPart {
    /// `None` unless this run waits for an answer.
    pub fn of(frame: &Frame, run: &Run, stores: &StoresById) -> Option<Self> {
        let question = run.question.as_ref().filter(|_| run.state == RunState::WaitingForAnswer)?;
        let rows = question.stores.iter().map(|asked| QuestionRow {
            store: stores.get(&asked.store_id).map_or_else(|| "Removed store".to_owned(), |store| store.name().to_owned()),
            showing: units(asked.weight.showing),
            to_zero: units(asked.weight.to_zero),
            units: units(asked.weight.units),
        });
        let more = (question.stores_omitted > 0).then(|| question.stores_omitted.to_string());
        Some(Self { rows: rows.collect(), more, answer_by: frame.stamp(question.answer_by) })
    }
}

/// *Overwrite anyway* or *Cancel this overwrite*.
pub(super) async fn answer(posted: Posted<SellerVisit>, state: State, id: Path<RunId>) -> PageAnswer {
    let (id, go) = (id.into_inner(), posted.fields.text("go") == "yes");
    let here = format!("/console/records/runs/{id}");
    match guard::answer(&state.service, &posted.visit.caller, id, go).await {
        Ok(_) if go => Ok(go_saying(&here, "The overwrite has started.")),
        Ok(_) => Ok(go_saying(&here, "The overwrite is canceled. Nothing was sent.")),
        Err(service::Error::Rows(crate::db::Error::Conflict(_))) => Ok(go_warning(&here, "It was answered before, or is over.")),
        Err(error) => Err(error.into()),
    }
}
