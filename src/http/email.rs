//! Addresses for mails about what happens: listed, added, changed, deleted, and asked again to confirm themselves.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::email::Address;
use crate::domain::mail::AddressState;
use crate::domain::webhook::Topic;
use crate::domain::{EmailId, Timestamp};
use crate::service::email::{self, EnteredAddress};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};

/// An address for mails.
#[derive(Serialize, utoipa::ToSchema)]
struct EmailAddressAnswer {
    id: EmailId,
    address: String,
    /// What it is mailed about.
    topics: Vec<Topic>,
    /// Whether everything is mailed at once, not only what is urgent. There is never more than one mail an hour.
    at_once: bool,
    /// The hour of the daily digest, in the zone of the sync settings.
    digest_hour: i64,
    state: AddressState,
    created_at: Timestamp,
    /// When whoever reads it agreed to get mails.
    confirmed_at: Option<Timestamp>,
    /// Why the last mail has not arrived; null if it has.
    problem: Option<String>,
}

impl From<Address> for EmailAddressAnswer {
    fn from(Address { id, address, wishes, state, created_at, confirmed_at, problem }: Address) -> Self {
        let (topics, at_once, digest_hour) = (wishes.topics, wishes.at_once, wishes.digest_hour);
        Self { id, address, topics, at_once, digest_hour, state, created_at, confirmed_at, problem }
    }
}

/// An address to add.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEmailAddress {
    /// Without a name, such as `ada@example.com`.
    address: String,
    /// What to mail it about; everything by default.
    topics: Option<Vec<String>>,
    /// Whether to mail everything at once; by default only what is urgent is.
    at_once: Option<bool>,
    /// The hour of the daily digest, 0 to 23; 8 by default.
    digest_hour: Option<i64>,
}

/// A change to an address. What is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailAddressChange {
    topics: Option<Vec<String>>,
    at_once: Option<bool>,
    digest_hour: Option<i64>,
}

/// Lists addresses, oldest first.
#[utoipa::path(tag = "email", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<EmailAddressAnswer>), (status = 401, body = Problem)))]
#[get("/v1/email-addresses")]
pub async fn list_email_addresses(caller: Caller, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let mut found = caller.db.read(|t| t.email_addresses()).await?;
    found.retain(|address| after.as_ref().is_none_or(|after| address.id.to_string() > *after));
    let cursor = |address: &Address| text_cursor(&address.id.to_string());
    Ok(HttpResponse::Ok().json(Page::of(found, limit, cursor, EmailAddressAnswer::from)))
}

/// Adds an address for mails about what happens. It gets one that asks to confirm it, and nothing else until somebody has followed the
/// link in that. What is urgent is mailed at once, the rest once a day, and never more than one mail an hour.
#[utoipa::path(tag = "email", security(("seller_key" = [])), request_body = NewEmailAddress,
    responses((status = 201, body = EmailAddressAnswer), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/email-addresses")]
pub async fn create_email_address(caller: Caller, state: State, body: Body) -> Answer {
    let NewEmailAddress { address, topics, at_once, digest_hour } = body.object().await?;
    let entered = EnteredAddress { address: Some(address), topics, at_once, digest_hour };
    let added = email::add(&state.service, &caller, entered).await?;
    Ok(HttpResponse::Created().json(EmailAddressAnswer::from(added)))
}

/// Returns an address.
#[utoipa::path(tag = "email", security(("seller_key" = [])),
    responses((status = 200, body = EmailAddressAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/email-addresses/{id}")]
pub async fn get_email_address(caller: Caller, id: Path<EmailId>) -> Answer {
    let id = id.into_inner();
    let address = caller.db.read(move |t| t.email_address(id)).await?;
    Ok(HttpResponse::Ok().json(EmailAddressAnswer::from(address)))
}

/// Changes what an address is mailed about, and when.
#[utoipa::path(tag = "email", security(("seller_key" = [])), request_body = EmailAddressChange,
    responses((status = 200, body = EmailAddressAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/v1/email-addresses/{id}")]
pub async fn patch_email_address(caller: Caller, state: State, id: Path<EmailId>, body: Body) -> Answer {
    let EmailAddressChange { topics, at_once, digest_hour } = body.object().await?;
    let entered = EnteredAddress { address: None, topics, at_once, digest_hour };
    let changed = email::change(&state.service, &caller, id.into_inner(), entered).await?;
    Ok(HttpResponse::Ok().json(EmailAddressAnswer::from(changed)))
}

/// Deletes an address and what waits to be mailed to it.
#[utoipa::path(tag = "email", security(("seller_key" = [])),
    responses((status = 204, description = "The address was deleted."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/email-addresses/{id}")]
pub async fn delete_email_address(caller: Caller, state: State, id: Path<EmailId>) -> Answer {
    email::remove(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sends an address that is not confirmed another mail that asks for it: at most three a day.
#[utoipa::path(tag = "email", security(("seller_key" = [])),
    responses((status = 204, description = "The mail is on its way."), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/email-addresses/{id}/confirmation")]
pub async fn ask_to_confirm_email_address(caller: Caller, state: State, id: Path<EmailId>) -> Answer {
    email::ask_again(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
