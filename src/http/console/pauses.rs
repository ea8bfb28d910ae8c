//! Pauses: of everything, and what else is paused; and the calendar of frozen windows.
use super::field::Field;
use super::form::{Fields, Posted};
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Badge, Stamp, query_value};
use crate::db::Tenant;
use crate::db::stores::Store;
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::Level;
use crate::domain::{FrozenWindowId, Sku, StoreId, Timestamp};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::platforms::form::form_of;
use crate::service;
use crate::service::frozen_windows::{self, EnteredWindow, WindowView};
use crate::service::pauses::{self, PauseView};
use actix_web::web::Path;
use askama::Template;

const HERE: &str = "/console/pauses";
/// Paused SKUs that the page lists.
const MAX_SHOWN: usize = 200;

/// Something that is paused, in words.
pub(super) struct PauseLine {
    pub what: String,
    pub address: Option<String>,
    pub since: Option<Stamp>,
    pub until: Option<Stamp>,
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl PauseLine {
    pub fn new(frame: &Frame, pause: PauseView, stores: &[Store]) -> Self {
        let named = |id: &StoreId| stores.iter().find(|store| store.id == *id).map(|store| store.name.clone());
        let (what, address) = match pause.level {
            Level::Platform => {
                let platform = pause.platform.unwrap_or_default();
                (format!("All stores on {}", form_of(&platform).map_or(platform.as_str(), |form| form.label)), None)
            }
            Level::Seller => ("All stores".to_owned(), Some(HERE.to_owned())),
            Level::Store => (
                pause.store_id.as_ref().and_then(named).unwrap_or_else(|| "A store".to_owned()),
                pause.store_id.map(|id| format!("/console/stores/{id}")),
            ),
            Level::Sku => {
                let sku = pause.sku.unwrap_or_default();
                (format!("SKU {sku}"), Some(format!("/console/stock/sku?sku={}", query_value(&sku))))
            }
            Level::Window => (format!("Frozen window “{}”", pause.name.unwrap_or_default()), Some(HERE.to_owned())),
        };
        Self { what, address, since: frame.stamp_of(pause.since), until: frame.stamp_of(pause.until), by: pause.by, reason: pause.reason }
    }
}

/// What is paused, for any page.
pub(super) fn lines(t: &mut Tenant<'_>, frame_now: Timestamp) -> crate::db::Result<(Vec<PauseView>, Vec<Store>)> {
    let mut found = pauses::in_force(t, frame_now)?;
    found.truncate(MAX_SHOWN);
    Ok((found, t.stores(None, MAX_STORES)?))
}

/// The same as a page shows it.
pub(super) fn shown(frame: &Frame, (found, stores): (Vec<PauseView>, Vec<Store>)) -> Vec<PauseLine> {
    found.into_iter().map(|pause| PauseLine::new(frame, pause, &stores)).collect()
}

struct WindowLine {
    id: String,
    name: String,
    from: Stamp,
    to: Stamp,
    stores: String,
    state: Badge,
}

impl WindowLine {
    fn new(frame: &Frame, window: WindowView, stores: &[Store]) -> Self {
        let named = |id: &StoreId| stores.iter().find(|store| store.id == *id).map_or("a removed store", |store| store.name.as_str());
        Self {
            id: window.id.to_string(),
            from: frame.stamp(window.begins_at),
            to: frame.stamp(window.ends_at),
            stores: window.store_ids.map_or_else(|| "All stores".to_owned(), |ids| ids.iter().map(named).collect::<Vec<_>>().join(", ")),
            state: match (window.active, window.ends_at <= frame.now) {
                (true, _) => Badge::new("On", "warn"),
                (false, true) => Badge::new("Over", "quiet"),
                (false, false) => Badge::new("Planned", "wait"),
            },
            name: window.name,
        }
    }
}

struct StoreBox {
    id: String,
    name: String,
    ticked: bool,
}

#[derive(Template)]
#[template(path = "pauses.html")]
struct PausesPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    everything: bool,
    reason: Field,
    pauses: Vec<PauseLine>,
    windows: Vec<WindowLine>,
    name: Field,
    from: Field,
    to: Field,
    stores: Vec<StoreBox>,
    errors: Vec<String>,
}

fn reason_field(value: &str, errors: &FormErrors) -> Field {
    Field::new("reason", "Reason", "text").value(value).optional().checked(errors, "/reason")
}

async fn show(visit: &SellerVisit, fields: &Fields, errors: FormErrors) -> PageAnswer {
    let (frame, now) = (&visit.frame, visit.frame.now);
    let (found, windows) = visit.caller.db.read(move |t| Ok((lines(t, now)?, frozen_windows::list(t, now)?))).await?;
    let (pauses, stores) = found;
    let is_ticked = |store: &Store| fields.all("store").any(|id| id == store.id.to_string());
    let page = PausesPage {
        frame,
        here: "pauses",
        everything: pauses.iter().any(|pause| pause.level == Level::Seller),
        reason: reason_field(fields.text("reason"), &errors),
        windows: windows.into_iter().map(|window| WindowLine::new(frame, window, &stores)).collect(),
        name: Field::new("name", "Name", "text").value(fields.text("name")).checked(&errors, "/name"),
        from: Field::new("from", "Begins", "datetime-local").value(fields.text("from")).checked(&errors, "/from"),
        to: Field::new("to", "Ends", "datetime-local").value(fields.text("to")).checked(&errors, "/to"),
        stores: stores
            .iter()
            .map(|store| StoreBox { id: store.id.to_string(), name: store.name.clone(), ticked: is_ticked(store) })
            .collect(),
        pauses: shown(frame, (pauses, stores)),
        errors: errors.elsewhere(&["/reason", "/name", "/from", "/to"]),
    };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn page(visit: SellerVisit) -> PageAnswer {
    show(&visit, &Fields::default(), FormErrors::default()).await
}

/// *Pause everything* and *Resume*.
pub(super) async fn switch(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    if fields.text("paused") != "on" {
        pauses::resume_all(&state.service, &visit.caller).await?;
        return Ok(go_saying(HERE, "Resumed. What has waited is sent now, except where something else is paused."));
    }
    match field_errors(pauses::pause_all(&state.service, &visit.caller, fields.some("reason").map(str::to_owned)).await)? {
        Err(errors) => show(visit, fields, errors).await,
        Ok(_) => Ok(go_saying(HERE, "All stores are paused. Updates are held, and sent once after you resume.")),
    }
}

/// Adds a frozen window.
pub(super) async fn add_window(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let ids = fields.all("store").map(|id| id.parse().map_err(|_| ApiError::not_found("store")));
    let ids = ids.collect::<Result<Vec<StoreId>, _>>()?;
    let text = |name: &str| fields.text(name).to_owned();
    let store_ids = Some(ids).filter(|ids| !ids.is_empty());
    let entered = EnteredWindow { name: text("name"), from: text("from"), to: text("to"), store_ids };
    match field_errors(frozen_windows::add(&state.service, &visit.caller, entered).await) {
        Ok(Err(errors)) => show(visit, fields, errors).await,
        Ok(Ok(window)) => Ok(go_saying(HERE, &format!("The frozen window “{}” is saved.", window.name))),
        Err(refusal) => Err(refusal),
    }
}

/// Deletes a frozen window.
pub(super) async fn delete_window(posted: Posted<SellerVisit>, state: State, id: Path<FrozenWindowId>) -> PageAnswer {
    frozen_windows::remove(&state.service, &posted.visit.caller, id.into_inner()).await?;
    Ok(go_saying(HERE, "The frozen window is deleted. If it was on, what has waited is sent now."))
}

/// Pauses or resumes a SKU.
pub(super) async fn switch_sku(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (caller, fields) = (&posted.visit.caller, &posted.fields);
    let sku = Sku::parse(fields.text("sku")).map_err(|_| ApiError::not_found("SKU"))?;
    let address = format!("/console/stock/sku?sku={}", query_value(sku.as_str()));
    if fields.text("paused") != "on" {
        pauses::resume_sku(&state.service, caller, sku.as_str()).await?;
        return Ok(go_saying(&address, &format!("{sku} is resumed. What has waited is sent now, except where something else is paused.")));
    }
    match pauses::pause_sku(&state.service, caller, sku.as_str(), fields.some("reason").map(str::to_owned)).await {
        Ok(_) => Ok(go_saying(&address, &format!("{sku} is paused in all stores. Its updates are held until you resume it."))),
        Err(service::Error::Rows(crate::db::Error::Conflict(why))) => Ok(go_warning(&address, &why)),
        Err(error) => match field_errors(Err::<(), _>(error))? {
            Err(errors) => Ok(go_warning(&address, &errors.at("/reason").unwrap_or_default())),
            Ok(()) => Ok(go_saying(&address, "")),
        },
    }
}
