//! One record: a push, or a run with the pushes that failed.
use super::components::{RunRow, run_kind, stores_text};
use super::guard::QuestionPart;
use super::page::{Frame, PageAnswer};
use super::records::{PushRow, by_id};
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp, query_value};
use crate::domain::limits::MAX_STORES;
use crate::domain::push::Effect;
use crate::domain::undo_run::{MayUndo, may_undo};
use crate::domain::{PushId, RunId};
use crate::http::error::ApiError;
use actix_web::web::Path;
use askama::Template;

/// How many failed pushes the page of a run shows.
const MAX_FAILURES: i64 = 100;

#[derive(Template)]
#[template(path = "push.html")]
struct PushPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    id: String,
    title: String,
    kind: &'static str,
    /// How its quantity came about, where that is not just the target.
    arithmetic: Option<String>,
    sku: String,
    sku_query: String,
    external_id: String,
    store: Option<(String, String)>,
    state: Badge,
    meaning: &'static str,
    reason: Option<String>,
    next_step: Option<String>,
    raw: Option<String>,
    attempts: i32,
    created: Stamp,
    changed: Stamp,
    due: Option<Stamp>,
    confirmed: Option<Stamp>,
    took: Option<String>,
    run: Option<(String, &'static str)>,
    retryable: bool,
}

pub(super) async fn push(visit: SellerVisit, id: Path<PushId>) -> PageAnswer {
    let id = id.into_inner();
    let (push, store, run) = visit
        .caller
        .db
        .read(move |t| {
            let push = t.push(id)?.into_record();
            let store = t.store(push.store_id).ok();
            let run = push.run_id.and_then(|id| t.run(id).ok());
            Ok((push, store, run))
        })
        .await?;
    let frame = &visit.frame;
    frame.page(&PushPage {
        frame,
        here: "records",
        id: push.id.to_string(),
        title: format!("{}: {}", push.sku, show::effect(push.kind, push.quantity)),
        kind: match push.effect().0 {
            Effect::Decrease => "Decrease: takes units off the quantity in the store",
            Effect::Increase => "Increase: adds to the quantity in the store",
            Effect::Overwrite => "Overwrite: replaces the quantity in the store",
        },
        arithmetic: push.arithmetic(),
        sku_query: query_value(&push.sku),
        sku: push.sku,
        external_id: push.external_id,
        store: store.map(|store| (store.id.to_string(), store.name)),
        state: show::push_state(push.state),
        meaning: show::push_state_meaning(push.state),
        reason: push.reason.or(push.cause),
        next_step: push.next_step,
        raw: push.raw_answer,
        attempts: push.attempts,
        created: frame.stamp(push.created_at),
        changed: frame.stamp(push.updated_at),
        due: frame.stamp_of(push.due_at),
        confirmed: frame.stamp_of(push.confirmed_at),
        took: push.confirmed_at.map(|at| show::span(at - push.created_at)),
        run: run.map(|run| (run.id.to_string(), run_kind(run.kind))),
        retryable: push.state.is_retryable(),
    })
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    run: RunRow,
    pushes: Vec<PushRow>,
    question: Option<QuestionPart>,
    running: bool,
    undoable: bool,
}

pub(super) async fn run(visit: SellerVisit, id: Path<RunId>) -> PageAnswer {
    let id = id.into_inner();
    let (run, failed, stores, of_run, undoable) = visit
        .caller
        .db
        .read(move |t| {
            let run = t.run(id)?;
            let undo = run.undone_by.and_then(|id| t.run(id).ok());
            let undoable = may_undo(&run, undo.as_ref()) == Ok(MayUndo::Start);
            let failed = t.failed_of_run(id, MAX_FAILURES)?;
            Ok((t.with_held(vec![run])?, failed, t.stores(None, MAX_STORES)?, t.stores_of_runs(&[id])?, undoable))
        })
        .await?;
    let (run, held) = run.into_iter().next().ok_or_else(|| ApiError::not_found("run"))?;
    let stores = by_id(stores, visit.frame.now);
    let frame = &visit.frame;
    let covered = stores_text(of_run.get(&run.id), |id| stores.get(id).map(|store| store.name().to_owned()));
    let question = QuestionPart::of(frame, &run, &stores);
    let run = RunRow::new(frame, run, held, covered);
    let pushes = failed.into_iter().map(|push| PushRow::new(frame, push, &stores)).collect();
    frame.page(&RunPage { frame, here: "records", running: run.progress.running || run.waiting, question, run, pushes, undoable })
}
