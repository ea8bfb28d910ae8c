//! The operator's list of sellers; adds, renames, moves, suspends and reinstates sellers.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::seller_page::{ConfirmPage, KeyPage, LIST, address_of, state_badge};
use super::session::OperatorVisit;
use super::show::{Badge, Stamp, units};
use crate::db::overview::{self, SellerLoad};
use crate::db::sellers::{self, Seller};
use crate::domain::SellerId;
use crate::http::state::State;
use crate::service::sellers::{EnteredSeller, change, create};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;

/// Sellers per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;

struct SellerRow {
    id: String,
    name: String,
    state: Badge,
    stores: String,
    skus: String,
    pending: String,
    created: Stamp,
}

impl SellerRow {
    fn new(frame: &Frame, load: SellerLoad) -> Self {
        Self {
            id: load.seller.id.to_string(),
            state: state_badge(&load.seller),
            name: load.seller.name,
            stores: units(load.stores),
            skus: units(load.seller.sku_count),
            pending: units(load.waiting),
            created: frame.day(load.seller.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "sellers.html")]
struct SellersPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    sellers: Vec<SellerRow>,
    next: Option<String>,
    first: bool,
}

#[derive(Deserialize)]
pub(super) struct SellersQuery {
    after: Option<SellerId>,
}

pub(super) async fn list(visit: OperatorVisit, state: State, query: Query<SellersQuery>) -> PageAnswer {
    let after = query.after;
    let mut found = state.db.read(move |conn| overview::seller_loads(conn, after, PAGE_AND_ONE)).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    visit.frame.page(&SellersPage {
        frame: &visit.frame,
        here: "sellers",
        next: found.last().filter(|_| more).map(|last| format!("{LIST}?after={}", last.seller.id)),
        first: after.is_none(),
        sellers: found.into_iter().map(|load| SellerRow::new(&visit.frame, load)).collect(),
    })
}

#[derive(Template)]
#[template(path = "seller_form.html")]
struct FormPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    /// The seller that is changed, by its address and name; `None` for a new one.
    of: Option<(String, String)>,
    action: String,
    name: Field,
    timezone: Field,
    zones: Vec<&'static str>,
    errors: Vec<String>,
}

impl<'a> FormPage<'a> {
    fn new(frame: &'a Frame, of: Option<&Seller>, name: &str, timezone: &str, errors: &FormErrors) -> Self {
        let of = of.map(|seller| (address_of(seller.id), seller.name.clone()));
        Self {
            frame,
            here: "sellers",
            action: of.as_ref().map_or_else(|| format!("{LIST}/new"), |(address, _)| format!("{address}/edit")),
            of,
            name: Field::new("name", "Name", "text").value(name).checked(errors, "/name"),
            timezone: Field::new("timezone", "Time zone", "text")
                .value(timezone)
                .suggesting("zones")
                .help("Its daily runs and its console use this time zone.")
                .checked(errors, "/timezone"),
            zones: chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect(),
            errors: errors.elsewhere(&["/name", "/timezone"]),
        }
    }
}

pub(super) async fn new_page(visit: OperatorVisit) -> PageAnswer {
    visit.frame.page(&FormPage::new(&visit.frame, None, "", "UTC", &FormErrors::default()))
}

/// Adds a seller and shows its first key, which no other page can.
pub(super) async fn add(posted: Posted<OperatorVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let (name, timezone) = (fields.text("name"), fields.text("timezone"));
    let entered = EnteredSeller { name: Some(name.to_owned()), timezone: Some(timezone.to_owned()), suspended: None };
    match field_errors(create(&state.service, visit.operator, entered).await)? {
        Err(errors) => visit.frame.rejected(&FormPage::new(&visit.frame, None, name, timezone, &errors)),
        Ok((seller, key)) => {
            let title = format!("{} is added", seller.name);
            visit.frame.page(&KeyPage::new(&visit.frame, &seller, title, &key))
        }
    }
}

pub(super) async fn edit_page(visit: OperatorVisit, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    visit.frame.page(&FormPage::new(&visit.frame, Some(&seller), &seller.name, seller.timezone.name(), &FormErrors::default()))
}

/// Saves the name and the time zone.
pub(super) async fn edit(posted: Posted<OperatorVisit>, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let (visit, fields) = (&posted.visit, &posted.fields);
    let (name, timezone) = (fields.text("name"), fields.text("timezone"));
    let before = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    // A zone that is left as it was must not undo the seller's own choice.
    let changed_zone = Some(timezone.to_owned()).filter(|zone| zone != before.timezone.name());
    let entered = EnteredSeller { name: Some(name.to_owned()), timezone: changed_zone, suspended: None };
    match field_errors(change(&state.service, visit.operator, id, entered).await)? {
        Err(errors) => visit.frame.rejected(&FormPage::new(&visit.frame, Some(&before), name, timezone, &errors)),
        Ok(seller) => Ok(go_saying(&address_of(id), &format!("{} is saved.", seller.name))),
    }
}

pub(super) async fn suspend_page(visit: OperatorVisit, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    visit.frame.page(&ConfirmPage {
        frame: &visit.frame,
        here: "sellers",
        question: format!("Suspend {}?", seller.name),
        seller: seller.name,
        consequences: &[
            "Its requests are refused, its keys no longer sign in, and nothing more is sent to its stores.",
            "Nothing is lost: pending updates are sent once you reinstate it. What its stores sell meanwhile is not counted.",
        ],
        field: ("suspended", "on"),
        action: format!("{}/suspend", address_of(id)),
        button: "Suspend",
        back: address_of(id),
    })
}

/// Suspends a seller or reinstates it.
pub(super) async fn suspend(posted: Posted<OperatorVisit>, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let suspended = posted.fields.text("suspended") == "on";
    let entered = EnteredSeller { suspended: Some(suspended), ..EnteredSeller::default() };
    let seller = change(&state.service, posted.visit.operator, id, entered).await?;
    let notice = if suspended {
        format!("{} is suspended. Nothing more is sent for it.", seller.name)
    } else {
        format!("{} is active again. Its pending updates will now be sent.", seller.name)
    };
    Ok(go_saying(&address_of(id), &notice))
}
