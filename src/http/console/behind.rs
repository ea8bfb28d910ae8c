//! The stores of all sellers that are behind: a few on the operator's first page, all of them on a page of their own.
use super::page::{Frame, PageAnswer};
use super::session::OperatorVisit;
use super::show::{self, Badge, Stamp, query_value, units};
use crate::domain::acting::MustAct;
use crate::domain::behind::{BEHIND_BY, Cause, parse_by};
use crate::http::behind::position_of;
use crate::http::error::ApiError;
use crate::http::request::text_cursor;
use crate::http::state::State;
use crate::platforms::form::form_of;
use crate::platforms::{by_name, registry};
use crate::service::behind::{Asked, Late, worst};
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

/// Stores per page.
const PAGE: usize = 50;
/// The times that the page offers.
const TIMES: [(&str, &str); 5] = [("60s", "1 minute"), ("5m", "5 minutes"), ("1h", "1 hour"), ("6h", "6 hours"), ("1d", "1 day")];

pub(super) struct BehindRow {
    pub name: String,
    pub platform: &'static str,
    pub seller: String,
    pub seller_name: String,
    pub cause: Badge,
    pub reason: String,
    pub must_act: &'static str,
    pub since: Option<Stamp>,
    /// How long that is ago.
    pub waits: String,
    pub pending: String,
}

fn badge(cause: Cause) -> Badge {
    match cause {
        Cause::CredentialsUnreadable => Badge::new("Credentials unreadable", "bad"),
        Cause::NeedsReauthorisation => Badge::new("Needs reauthorization", "bad"),
        Cause::NotResponding => Badge::new("Not responding", "bad"),
        Cause::Retrying => Badge::new("Retrying", "warn"),
        Cause::RunOverdue => Badge::new("Daily run overdue", "bad"),
        Cause::NotAttempted => Badge::new("Nothing confirmed lately", "bad"),
        Cause::CatchingUp => Badge::new("Catching up", "wait"),
        Cause::Paused => Badge::new("Paused", "quiet"),
        Cause::PlatformPaused => Badge::new("Platform paused", "quiet"),
        Cause::WaitingForAnswer => Badge::new("Waiting for an answer", "quiet"),
    }
}

fn who(must_act: Option<MustAct>) -> &'static str {
    match must_act {
        Some(MustAct::Seller) => "The seller",
        Some(MustAct::Shop) => "The shop",
        Some(MustAct::Operator) => "You",
        None => "Nobody",
    }
}

impl BehindRow {
    fn new(frame: &Frame, Late { store, behind }: Late) -> Self {
        Self {
            platform: form_of(&store.platform).map_or("Unknown platform", |form| form.label),
            name: store.store_name,
            seller: store.seller.to_string(),
            seller_name: store.seller_name,
            cause: badge(behind.cause),
            must_act: who(behind.cause.must_act()),
            waits: behind.since.map(|since| format!("for {}", show::span(frame.now - since))).unwrap_or_default(),
            since: frame.stamp_of(behind.since),
            reason: behind.reason,
            pending: units(store.pending),
        }
    }

    /// The worst of all stores, and whether there are more than `most`.
    pub async fn worst(visit: &OperatorVisit, state: &State, most: usize) -> Result<(Vec<Self>, bool), ApiError> {
        let mut found = worst(&state.service, visit.operator, Asked::worst(most.saturating_add(1))).await?;
        let more = found.len() > most;
        found.truncate(most);
        Ok((found.into_iter().map(|late| Self::new(&visit.frame, late)).collect(), more))
    }
}

#[derive(Template)]
#[template(path = "behind.html")]
struct BehindPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    times: Vec<(&'static str, &'static str, bool)>,
    platforms: Vec<(&'static str, &'static str, bool)>,
    behind: Vec<BehindRow>,
    first: bool,
    first_page: String,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct BehindQuery {
    by: Option<String>,
    platform: Option<String>,
    after: Option<String>,
}

pub(super) async fn page(visit: OperatorVisit, state: State, query: Query<BehindQuery>) -> PageAnswer {
    let frame = &visit.frame;
    let by = query.by.as_deref().map_or(Ok(BEHIND_BY), parse_by).map_err(|e| ApiError::field("/by", e))?;
    let platform = query.platform.as_deref().filter(|platform| !platform.is_empty());
    if platform.is_some_and(|platform| by_name(platform).is_none()) {
        return Err(ApiError::not_found("platform").into());
    }
    let after = position_of(query.after.as_deref())?;
    let asked = Asked { by, platform: platform.map(str::to_owned), after, limit: PAGE + 1 };
    let mut found = worst(&state.service, visit.operator, asked).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let first_page =
        format!("/console/operator/stores?by={}&platform={}", query_value(query.by.as_deref().unwrap_or("60s")), platform.unwrap_or(""));
    let last = found.last().filter(|_| more).map(|last| text_cursor(&last.position().text()));
    frame.page(&BehindPage {
        frame,
        here: "behind",
        times: TIMES.map(|(value, label)| (value, label, parse_by(value) == Ok(by))).to_vec(),
        platforms: registry()
            .iter()
            .filter_map(|connector| form_of(connector.name()))
            .map(|form| (form.platform, form.label, platform == Some(form.platform)))
            .collect(),
        behind: found.into_iter().map(|late| BehindRow::new(frame, late)).collect(),
        first: after.is_none(),
        next: last.map(|after| format!("{first_page}&after={after}")),
        first_page,
    })
}
