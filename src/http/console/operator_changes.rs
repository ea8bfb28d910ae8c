//! What the operator has changed: apps, sellers and their keys.
use super::changed;
use super::page::{Frame, PageAnswer};
use super::seller_page::address_of;
use super::session::OperatorVisit;
use super::show::{Stamp, sentence_case};
use crate::db::apps::OperatorEntry;
use crate::db::sellers::names;
use crate::domain::SellerId;
use crate::http::state::State;
use crate::platforms::form::form_of;
use crate::service::apps::history;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Changes per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;

struct ChangeRow {
    at: Stamp,
    action: String,
    subject: String,
    /// The page of the subject.
    address: Option<String>,
    lines: Vec<String>,
}

impl ChangeRow {
    fn new(frame: &Frame, entry: OperatorEntry, sellers: &HashMap<SellerId, String>) -> Self {
        let seller: Option<SellerId> = entry.subject.parse().ok();
        let name = seller.and_then(|id| sellers.get(&id));
        let subject = match seller {
            Some(_) => name.cloned().unwrap_or_else(|| format!("Deleted seller {}", entry.subject)),
            None => form_of(&entry.subject).map_or(entry.subject, |form| form.label.to_owned()),
        };
        Self {
            at: frame.stamp(entry.at),
            action: sentence_case(&entry.action.replace(['_', '.'], " ")),
            subject,
            address: seller.filter(|_| name.is_some()).map(address_of),
            lines: changed::lines(entry.before.as_ref(), entry.after.as_ref()),
        }
    }
}

#[derive(Template)]
#[template(path = "operator_changes.html")]
struct ChangesPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    changes: Vec<ChangeRow>,
    first: bool,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ChangesQuery {
    after: Option<Uuid>,
}

pub(super) async fn page(visit: OperatorVisit, state: State, query: Query<ChangesQuery>) -> PageAnswer {
    let mut found = history(&state.service, visit.operator, query.after, PAGE_AND_ONE).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let next = found.last().filter(|_| more).map(|last| format!("/console/operator/changes?after={}", last.id));
    let ids: Vec<SellerId> = found.iter().filter_map(|entry| entry.subject.parse().ok()).collect();
    let sellers = state.db.read(move |conn| names(conn, &ids)).await?;
    visit.frame.page(&ChangesPage {
        frame: &visit.frame,
        here: "changes",
        changes: found.into_iter().map(|entry| ChangeRow::new(&visit.frame, entry, &sellers)).collect(),
        first: query.after.is_none(),
        next,
    })
}
