//! Canceling a run under way, and undoing one that has ended: what that would do, and the confirmation.
use super::components::run_kind;
use super::form::Posted;
use super::page::{Frame, PageAnswer, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Stamp, units};
use crate::db;
use crate::domain::RunId;
use crate::http::state::State;
use crate::service::{self, syncs, undo};
use actix_web::web::Path;
use askama::Template;

#[derive(Template)]
#[template(path = "undo.html")]
struct UndoPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    id: RunId,
    kind: &'static str,
    started: Stamp,
    changed: String,
    /// Those of which there are any, in words.
    others: Vec<String>,
    again: Option<Stamp>,
}

/// Some listings and what becomes of them; `None` if there are none.
fn others(count: i64, one: &str, several: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 listing {one}.")),
        _ => Some(format!("{} listings {several}.", units(count))),
    }
}

pub(super) async fn page(visit: SellerVisit, state: State, id: Path<RunId>) -> PageAnswer {
    let (id, frame) = (id.into_inner(), &visit.frame);
    let run = visit.caller.db.read(move |t| t.run(id)).await?;
    let preview = match undo::preview(&state.service, &visit.caller, id).await {
        Err(service::Error::Rows(db::Error::Conflict(why))) => return Ok(go_warning(&format!("/console/records/runs/{id}"), &why)),
        found => found?,
    };
    let extent = preview.extent;
    let changed = match extent.changed {
        0 => "No listing would change.".to_owned(),
        1 => "1 listing is set back to what it showed before, less what was sold since.".to_owned(),
        many => format!("{} listings are set back to what they showed before, less what was sold since.", units(many)),
    };
    let without_sales = (!preview.without_sales.is_empty()).then(|| {
        let names = preview.without_sales.join(", ");
        format!("No stock event has named {names} as the store of a sale, so what was sold there since the run goes back on sale.")
    });
    let others = [
        others(extent.unchanged, "shows that already", "show that already"),
        others(
            extent.unknown,
            "cannot be restored, because it is not known what it showed",
            "cannot be restored, because it is not known what they showed",
        ),
        others(extent.newer, "was set later and is left alone", "were set later and are left alone"),
    ];
    frame.page(&UndoPage {
        frame,
        here: "records",
        id,
        kind: run_kind(run.kind),
        started: frame.stamp(run.started_at),
        changed,
        others: others.into_iter().flatten().chain(without_sales).collect(),
        again: frame.stamp_of(preview.overwritten_again_at),
    })
}

pub(super) async fn cancel(posted: Posted<SellerVisit>, state: State, id: Path<RunId>) -> PageAnswer {
    let (id, here) = (*id, format!("/console/records/runs/{id}"));
    match syncs::cancel(&state.service, &posted.visit.caller, id).await {
        Ok(_) => Ok(go_saying(&here, "The run is canceled.")),
        Err(service::Error::Rows(db::Error::Conflict(why))) => Ok(go_warning(&here, &why)),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn start(posted: Posted<SellerVisit>, state: State, id: Path<RunId>) -> PageAnswer {
    let id = id.into_inner();
    match undo::start(&state.service, &posted.visit.caller, id).await {
        Ok(started) => Ok(go_saying(&format!("/console/records/runs/{}", started.run.id), "The undo has started.")),
        Err(service::Error::Rows(db::Error::Conflict(why))) => Ok(go_warning(&format!("/console/records/runs/{id}"), &why)),
        Err(error) => Err(error.into()),
    }
}
