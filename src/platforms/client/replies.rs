//! What the client does to requests and replies for all connectors alike, before and after they read them.
use super::super::call::{Action, Call, Reply, Request, StoreConnection};
use super::super::codes::{by_status, unreadable_status};
use super::super::connector::{Platform, Renewal, Stamp, VariantPage};
use super::super::interference;
use crate::domain::Timestamp;
use crate::domain::delivery::Outcome;

/// What the outcome of the read before a set means for the set, which was not sent.
pub(super) fn nothing_sent(outcome: Outcome, call: &Call) -> Outcome {
    match outcome {
        Outcome::Unknown { reason } | Outcome::Obscured { reason, .. } if call.items.len() > 1 => {
            Outcome::Refused { reason, next_step: "Nothing to do: it is read again among fewer listings.".to_owned() }
        }
        Outcome::Unknown { reason } | Outcome::Obscured { reason, .. } => Outcome::TryAgain { reason, after: None, throttled: false },
        outcome => outcome,
    }
}

/// The longest chain of smaller pages: a 64th of the usual size.
pub(super) const MOST_HALVINGS: u32 = 6;
/// A page that could not be read is tried again in a quarter of its size, because the caller is waiting.
pub(super) const HALVINGS_AT_ONCE: u32 = 2;
/// Separates the number of halvings from the connector's own cursor.
const SMALLER: char = '~';

/// How often the size of pages was halved, by a cursor, and the connector's own cursor.
pub(super) fn halvings(cursor: Option<&str>) -> (u32, Option<&str>) {
    let split = cursor.and_then(|text| text.split_once(SMALLER));
    let read = split.and_then(|(number, own)| Some((number.parse::<u32>().ok().filter(|n| *n <= MOST_HALVINGS)?, Some(own))));
    read.unwrap_or((0, cursor))
}

pub(super) fn with_halvings(halvings: u32, own: &str) -> String {
    if halvings == 0 { own.to_owned() } else { format!("{halvings}{SMALLER}{own}") }
}

/// Asks every cache on the way to let a read through to the shop.
pub(super) fn fresh(request: Request, action: Action) -> Request {
    match action {
        Action::Read | Action::Check => request.header("cache-control", "no-cache").header("pragma", "no-cache"),
        Action::Adjust | Action::Set => request,
    }
}

/// What a reply means: answers of proxies and firewalls are recognized for all connectors alike, and a 5xx that the
/// platform has not written itself never says that nothing was applied.
pub(in crate::platforms) fn read_outcome(platform: &dyn Platform, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
    if let Some(outcome) = interference::recognize(call.action, reply) {
        return outcome;
    }
    match platform.outcome(store, call, reply) {
        outcome @ Outcome::Unknown { .. } => outcome,
        _ if interference::proves_nothing(reply) => unreadable_status(reply),
        outcome => outcome,
    }
}

/// The reply with a `Date` if it asks for a pause and has none, since a pause may be given as a date.
pub(super) fn dated(mut reply: Reply, now: Timestamp) -> Reply {
    if reply.header("retry-after").is_some() && reply.header("date").is_none() {
        reply.headers.push(("date".to_owned(), now.to_utc().to_rfc2822()));
    }
    reply
}

/// Reads a page with its connector, then drops what no page may contain: variants without an id, which no listing could
/// be paired with, and a cursor that leads back to the same page, which would loop forever. An unsuccessful reply is never
/// a page.
pub(in crate::platforms) fn read_variants(
    platform: &dyn Platform,
    store: &StoreConnection,
    cursor: Option<&str>,
    reply: &Reply,
) -> Result<VariantPage, Outcome> {
    let mut page = platform.variants(store, cursor, reply)?;
    if let Some(outcome) = by_status(reply) {
        return Err(outcome);
    }
    page.variants.retain(|variant| !variant.external_id.is_empty());
    page.next = page.next.filter(|next| Some(next.as_str()) != cursor);
    Ok(page)
}

/// Reads a renewal with its connector, but accepts no tokens that fail the store's own checks, because they would replace
/// tokens that work, and none from an unsuccessful reply.
pub(in crate::platforms) fn read_renewal(platform: &dyn Platform, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
    let credentials = match platform.renewal(store, reply, stamp) {
        Renewal::Renewed(credentials) => credentials,
        other => return other,
    };
    let renewed = StoreConnection { credentials: credentials.clone(), ..store.clone() };
    let errors = platform.check_config(&renewed).err().unwrap_or_default();
    if !(200..300).contains(&reply.status) || errors.iter().any(|error| error.pointer.starts_with("/credentials/")) {
        return Renewal::TryAgain { reason: format!("The platform's answer contains no usable tokens ({}).", reply.status) };
    }
    Renewal::Renewed(credentials)
}

/// Why a request that changes nothing has no answer.
pub(super) fn reason_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason } => reason,
        _ => "The platform could not be asked.".to_owned(),
    }
}
