//! One listing: how many units of its SKU it is.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, go_saying};
use super::session::SellerVisit;
use crate::db::listings::{Listing, NewListing};
use crate::db::stores::Store;
use crate::domain::units::UnitsEach;
use crate::domain::{FieldError, ListingId, Sku, StoreId};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::listings::pair;
use actix_web::web::Path;
use askama::Template;

#[derive(Template)]
#[template(path = "listing.html")]
struct ListingPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    store: &'a Store,
    listing: &'a Listing,
    units: Field,
    errors: Vec<String>,
}

impl<'a> ListingPage<'a> {
    fn new(frame: &'a Frame, store: &'a Store, listing: &'a Listing, typed: &str, errors: &FormErrors) -> Self {
        let units = Field::new("units", "Units of the SKU in each", "number")
            .value(typed)
            .within(1, UnitsEach::MAX, "1")
            .help("6 for a six-pack. The listing shows how many whole packs there are; threshold and maximum count units of the SKU.")
            .checked(errors, "/units");
        Self { frame, here: "stores", store, listing, units, errors: errors.elsewhere(&["/units"]) }
    }
}

async fn found(visit: &SellerVisit, (store, id): (StoreId, ListingId)) -> Result<(Store, Listing), crate::db::Error> {
    visit.caller.db.read(move |t| Ok((t.store(store)?, t.listing(store, id)?))).await
}

pub(super) async fn page(visit: SellerVisit, path: Path<(StoreId, ListingId)>) -> PageAnswer {
    let (store, listing) = found(&visit, path.into_inner()).await?;
    let typed = listing.units.get().to_string();
    visit.frame.page(&ListingPage::new(&visit.frame, &store, &listing, &typed, &FormErrors::default()))
}

/// Saves the units; while auto-sync is on, the listing is overwritten at once.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State, path: Path<(StoreId, ListingId)>) -> PageAnswer {
    let (visit, typed) = (&posted.visit, posted.fields.text("units"));
    let (store, listing) = found(visit, path.into_inner()).await?;
    let refused =
        |errors: Vec<FieldError>| visit.frame.rejected(&ListingPage::new(&visit.frame, &store, &listing, typed, &FormErrors(errors)));
    // 0 is out of bounds, so text that is not a number gets the same error.
    let units = match UnitsEach::check(typed.parse().unwrap_or(0)) {
        Ok(units) => units,
        Err(error) => return refused(vec![FieldError::new("/units", error)]),
    };
    let sku = Sku::parse(&listing.sku).map_err(|_| ApiError::not_found("listing"))?;
    let row = NewListing { sku, external_id: listing.external_id.clone(), units: Some(units), extra: None, pass: None };
    let paired = pair(&state.service, &visit.caller, store.id, vec![Ok(row)]).await.map_err(ApiError::from)?;
    if let Some(rejected) = paired.results.into_iter().find(|row| row.status == "rejected") {
        return refused(rejected.reason.into_iter().map(|reason| FieldError::new("", reason)).collect());
    }
    let next = match (paired.sync_id, paired.overwrite) {
        (Some(_), _) => " Its quantity is being overwritten.",
        (None, Some(_)) => " It keeps its current quantity until the next overwrite.",
        (None, None) => "",
    };
    let notice = format!("Each of {} is {}.{next}", listing.external_id, super::show::count(units.get(), "unit", "units"));
    Ok(go_saying(&format!("/console/stores/{}", store.id), &notice))
}
