//! The limits of one seller, as the operator sets them.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::seller_page::{address_of, days};
use super::session::OperatorVisit;
use super::show::units;
use crate::db::sellers::{self, Seller};
use crate::domain::SellerId;
use crate::domain::limits::MAX_STORES;
use crate::domain::seller_limits::{CommonLimits, LimitsChange, MAX_EVENTS_PER_SECOND, MAX_RECORDS_KEPT_DAYS, MAX_SKUS, SellerLimits};
use crate::http::state::State;
use crate::service::sellers::change_limits;
use actix_web::web::Path;
use askama::Template;

#[derive(Template)]
#[template(path = "seller_limits.html")]
struct LimitsPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    name: String,
    address: String,
    fields: [Field; 4],
    errors: Vec<String>,
}

impl<'a> LimitsPage<'a> {
    fn new(frame: &'a Frame, seller: &Seller, typed: &[String; 4], common: &CommonLimits, errors: &FormErrors) -> Self {
        let all = SellerLimits::default().over(common);
        let [events, skus, stores, kept] = typed;
        let field = |name: &'static str, label: &str, value: &str, max: i64, of_all: &str| {
            Field::new(name, label, "number")
                .value(value)
                .within(1, max, "1")
                .optional_unmarked()
                .help(format!("Empty: {of_all}, as for all sellers."))
                .checked(errors, &format!("/{name}"))
        };
        let fields = [
            field("events_per_second", "Stock events per second", events, MAX_EVENTS_PER_SECOND, &units(all.events_per_second)),
            field("skus", "SKUs", skus, MAX_SKUS, &units(all.skus)),
            field("stores", "Stores", stores, MAX_STORES, &units(all.stores)),
            field("records_kept_days", "Days for which records are kept", kept, MAX_RECORDS_KEPT_DAYS, &days(all.records_kept_days)),
        ];
        let elsewhere = errors.elsewhere(&["/events_per_second", "/skus", "/stores", "/records_kept_days"]);
        Self { frame, here: "sellers", name: seller.name.clone(), address: address_of(seller.id), fields, errors: elsewhere }
    }
}

pub(super) async fn page(visit: OperatorVisit, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    let SellerLimits { events_per_second, skus, stores, records_kept_days } = seller.limits;
    let typed = [events_per_second, skus, stores, records_kept_days].map(|limit| limit.map(|n| n.to_string()).unwrap_or_default());
    visit.frame.page(&LimitsPage::new(&visit.frame, &seller, &typed, &state.common_limits(), &FormErrors::default()))
}

/// Saves the four limits; an empty field is the same as for all sellers.
pub(super) async fn save(posted: Posted<OperatorVisit>, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let (visit, fields) = (&posted.visit, &posted.fields);
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    // -1 is out of bounds, so text that is not a number gets the same error.
    let limit = |name: &str| Some(fields.some(name).map(|text| text.parse().unwrap_or(-1)));
    let change = LimitsChange {
        events_per_second: limit("events_per_second"),
        skus: limit("skus"),
        stores: limit("stores"),
        records_kept_days: limit("records_kept_days"),
    };
    let common = state.common_limits();
    match field_errors(change_limits(&state.service, visit.operator, id, &common, change).await)? {
        Err(errors) => {
            let typed = ["events_per_second", "skus", "stores", "records_kept_days"].map(|name| fields.text(name).to_owned());
            visit.frame.rejected(&LimitsPage::new(&visit.frame, &seller, &typed, &common, &errors))
        }
        Ok(_) => Ok(go_saying(&address_of(id), &format!("The limits of {} are saved.", seller.name))),
    }
}
