//! Addresses for mails about what happens: added, changed, asked again to confirm themselves, deleted.
use super::field::Field;
use super::form::{Fields, Posted};
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Badge, Stamp};
use super::webhooks::{TopicBox, boxes, label};
use crate::db::email::Address;
use crate::domain::EmailId;
use crate::domain::mail::{AddressState, DIGEST_HOUR};
use crate::domain::webhook::Topic;
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service;
use crate::service::email::{self, EnteredAddress};
use actix_web::web::Path;
use askama::Template;

const LIST: &str = "/console/emails";

fn page_of(id: EmailId) -> String {
    format!("{LIST}/{id}")
}

fn badge(address: &Address) -> Badge {
    match address.state {
        AddressState::Unconfirmed => Badge::new("Not confirmed yet", "wait"),
        AddressState::Confirmed if address.problem.is_some() => Badge::new("Failing", "bad"),
        AddressState::Confirmed => Badge::new("On", "good"),
        AddressState::Unsubscribed => Badge::new("Unsubscribed", "quiet"),
        AddressState::Refused => Badge::new("Refused", "bad"),
    }
}

struct Row {
    page: String,
    address: String,
    topics: String,
    when: String,
    state: Badge,
    problem: Option<String>,
}

impl Row {
    fn new(address: &Address) -> Self {
        Self {
            page: page_of(address.id),
            address: address.address.clone(),
            topics: address.wishes.topics.iter().map(|topic| label(*topic)).collect::<Vec<_>>().join("; "),
            when: match address.wishes.at_once {
                true => "At once".to_owned(),
                false => format!("Daily at {:02}:00", address.wishes.digest_hour),
            },
            state: badge(address),
            problem: address.problem.clone(),
        }
    }
}

/// What a form was filled in with.
fn entered(fields: &Fields) -> EnteredAddress {
    EnteredAddress {
        address: fields.has("address").then(|| fields.text("address").to_owned()),
        topics: Some(fields.all("topic").map(str::to_owned).collect()),
        at_once: Some(fields.has("at_once")),
        // What is no number is out of bounds, too.
        digest_hour: Some(fields.text("digest_hour").parse().unwrap_or(-1)),
    }
}

fn ticked(fields: &Fields, topic: Topic) -> bool {
    fields.all("topic").any(|word| word == topic.as_str())
}

fn hour_field(value: &str, errors: &FormErrors) -> Field {
    let help = "In your time zone, from 0 to 23. The digest comes only if there is something to say.";
    Field::new("digest_hour", "Hour of the daily digest", "number")
        .value(value)
        .help(help)
        .within(0, 23, "1")
        .checked(errors, "/digest_hour")
}

#[derive(Template)]
#[template(path = "emails.html")]
struct ListPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    addresses: Vec<Row>,
    possible: bool,
    address: Field,
    topics: Vec<TopicBox>,
    topics_error: Option<String>,
    at_once: bool,
    digest_hour: Field,
    errors: Vec<String>,
}

async fn show(visit: &SellerVisit, state: &State, fields: Option<&Fields>, errors: FormErrors) -> PageAnswer {
    let addresses = visit.caller.db.read(|t| t.email_addresses()).await?;
    let value = |name| fields.map_or("", |fields: &Fields| fields.text(name));
    let hour = fields.map_or_else(|| DIGEST_HOUR.to_string(), |fields| fields.text("digest_hour").to_owned());
    let page = ListPage {
        frame: &visit.frame,
        here: "emails",
        addresses: addresses.iter().map(Row::new).collect(),
        possible: state.service.post.is_some(),
        address: Field::new("address", "Address", "email").value(value("address")).checked(&errors, "/address"),
        topics: boxes(|topic| fields.is_none_or(|fields| ticked(fields, topic))),
        topics_error: errors.at("/topics"),
        at_once: fields.is_some_and(|fields| fields.has("at_once")),
        digest_hour: hour_field(&hour, &errors),
        errors: errors.elsewhere(&["/address", "/topics", "/digest_hour"]),
    };
    if errors.0.is_empty() { visit.frame.page(&page) } else { visit.frame.rejected(&page) }
}

pub(super) async fn list(visit: SellerVisit, state: State) -> PageAnswer {
    show(&visit, &state, None, FormErrors::default()).await
}

pub(super) async fn add(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    match field_errors(email::add(&state.service, &visit.caller, entered(fields)).await)? {
        Err(errors) => show(visit, &state, Some(fields), errors).await,
        Ok(added) => Ok(go_saying(LIST, &format!("A mail to {} asks to confirm it.", added.address))),
    }
}

#[derive(Template)]
#[template(path = "email.html")]
struct OnePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    page: String,
    address: String,
    asks: bool,
    state: Badge,
    created: Stamp,
    confirmed: Option<Stamp>,
    problem: Option<String>,
    topics: Vec<TopicBox>,
    topics_error: Option<String>,
    at_once: bool,
    digest_hour: Field,
    errors: Vec<String>,
}

async fn show_one(visit: &SellerVisit, id: EmailId, fields: Option<&Fields>, errors: FormErrors) -> PageAnswer {
    let frame = &visit.frame;
    let address = visit.caller.db.read(move |t| t.email_address(id)).await?;
    let wishes = &address.wishes;
    let hour = fields.map_or_else(|| wishes.digest_hour.to_string(), |fields| fields.text("digest_hour").to_owned());
    let page = OnePage {
        frame,
        here: "emails",
        page: page_of(id),
        asks: address.state != AddressState::Confirmed,
        state: badge(&address),
        created: frame.day(address.created_at),
        confirmed: address.confirmed_at.map(|at| frame.day(at)),
        problem: address.problem.clone(),
        topics: boxes(|topic| fields.map_or_else(|| wishes.topics.contains(&topic), |fields| ticked(fields, topic))),
        topics_error: errors.at("/topics"),
        at_once: fields.map_or(wishes.at_once, |fields| fields.has("at_once")),
        digest_hour: hour_field(&hour, &errors),
        errors: errors.elsewhere(&["/topics", "/digest_hour"]),
        address: address.address,
    };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn one(visit: SellerVisit, id: Path<EmailId>) -> PageAnswer {
    show_one(&visit, id.into_inner(), None, FormErrors::default()).await
}

pub(super) async fn save(posted: Posted<SellerVisit>, state: State, id: Path<EmailId>) -> PageAnswer {
    let (id, visit) = (id.into_inner(), &posted.visit);
    match field_errors(email::change(&state.service, &visit.caller, id, entered(&posted.fields)).await)? {
        Err(errors) => show_one(visit, id, Some(&posted.fields), errors).await,
        Ok(_) => Ok(go_saying(&page_of(id), "The address is saved.")),
    }
}

pub(super) async fn ask_again(posted: Posted<SellerVisit>, state: State, id: Path<EmailId>) -> PageAnswer {
    let id = id.into_inner();
    match email::ask_again(&state.service, &posted.visit.caller, id).await {
        Ok(()) => Ok(go_saying(&page_of(id), "Another mail asks to confirm the address.")),
        Err(error @ service::Error::Rows(crate::db::Error::Conflict(_))) => {
            Ok(go_warning(&page_of(id), &super::show::sentence_case(ApiError::from(error).detail())))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "delete_email.html")]
struct DeletePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    address: String,
    page: String,
}

pub(super) async fn delete_page(visit: SellerVisit, id: Path<EmailId>) -> PageAnswer {
    let id = id.into_inner();
    let address = visit.caller.db.read(move |t| t.email_address(id)).await?.address;
    visit.frame.page(&DeletePage { frame: &visit.frame, here: "emails", address, page: page_of(id) })
}

pub(super) async fn delete(posted: Posted<SellerVisit>, state: State, id: Path<EmailId>) -> PageAnswer {
    email::remove(&state.service, &posted.visit.caller, id.into_inner()).await?;
    Ok(go_saying(LIST, "The address is deleted."))
}
