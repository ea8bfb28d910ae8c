//! Messages that are to be sent, of all sellers. A process takes those that it sends, so that no other one does.
use crate::db::connection::on;
use crate::db::schema::{sellers, webhook_messages, webhooks};
use crate::db::scope::Scope;
use crate::db::{Conn, Error, Result, id_of};
use crate::domain::webhook::{LONGEST_PAUSE, SENDING};
use crate::domain::{MessageId, SellerId, Timestamp, WebhookId};
use diesel::prelude::*;
use std::collections::HashMap;

/// Messages that are looked at to find those to send.
const LOOKED_AT: i64 = 200;
/// The most messages of one seller that are sent at once, so that one with slow receivers does not keep others waiting.
const OF_ONE_SELLER: usize = 4;

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose it is.
    pub seller: SellerId,
    /// For which webhook.
    pub webhook: WebhookId,
    /// The message.
    pub id: MessageId,
    /// Where it goes.
    pub url: String,
    /// What it is signed with, sealed.
    pub secret: Vec<u8>,
    /// Its body.
    pub body: String,
}

type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Option<Timestamp>, String, Vec<u8>, String);

/// Whether any message is to be sent.
pub fn any_due(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    Ok(!due(conn, 1, now)?.is_empty())
}

/// The first messages that are due: of each webhook and subject the oldest that waits.
fn due(conn: &mut Conn, limit: i64, now: Timestamp) -> Result<Vec<Row>> {
    let earlier = diesel::alias!(webhook_messages as earlier);
    let is_behind = diesel::dsl::exists(
        earlier
            .filter(earlier.field(webhook_messages::seller_id).eq(webhook_messages::seller_id))
            .filter(earlier.field(webhook_messages::webhook_id).eq(webhook_messages::webhook_id))
            .filter(earlier.field(webhook_messages::subject).eq(webhook_messages::subject))
            .filter(earlier.field(webhook_messages::due_at).is_not_null())
            .filter(earlier.field(webhook_messages::id).lt(webhook_messages::id)),
    );
    let of_webhook =
        webhooks::table.on(webhooks::seller_id.eq(webhook_messages::seller_id).and(webhooks::id.eq(webhook_messages::webhook_id)));
    let of_seller = sellers::table.on(sellers::id.eq(webhook_messages::seller_id));
    let is_due = webhook_messages::due_at.le(now).or(webhook_messages::due_at.gt(now + LONGEST_PAUSE));
    Ok(on!(conn, c => webhook_messages::table.inner_join(of_webhook).inner_join(of_seller)
        .filter(is_due).filter(diesel::dsl::not(is_behind)).filter(sellers::suspended.eq(false))
        .order((webhook_messages::due_at, webhook_messages::id)).limit(limit)
        .select((webhook_messages::seller_id, webhook_messages::webhook_id, webhook_messages::id, webhook_messages::due_at,
            webhooks::url, webhooks::secret, webhook_messages::body)).load(c))?)
}

/// Takes at most so many messages that are due, and not many of one seller. Whoever takes one has to send it within [`SENDING`].
pub fn take_due(conn: &mut Conn, most: usize, now: Timestamp) -> Result<Vec<Due>> {
    let rows = due(conn, LOOKED_AT, now)?;
    let mut taken: Vec<Due> = Vec::new();
    let mut of_one: HashMap<SellerId, usize> = HashMap::new();
    for (seller, webhook, id, due_at, url, secret, body) in rows {
        let seller = id_of(&seller, SellerId::from_bytes, "webhook_messages.seller_id")?;
        let count = of_one.entry(seller).or_default();
        if taken.len() == most || *count == OF_ONE_SELLER {
            continue;
        }
        // Unless another process has taken it.
        let changed = on!(conn, c => diesel::update(Scope::of(seller).webhook_messages().filter(webhook_messages::id.eq(&id))
            .filter(webhook_messages::due_at.eq(due_at))).set(webhook_messages::due_at.eq(now + SENDING)).execute(c))?;
        if changed > 0 {
            *count += 1;
            let webhook = id_of(&webhook, WebhookId::from_bytes, "webhook_messages.webhook_id")?;
            taken.push(Due { seller, webhook, id: id_of(&id, MessageId::from_bytes, "webhook_messages.id")?, url, secret, body });
        }
    }
    Ok(taken)
}

/// The sealed secrets of all webhooks; none where the tables are those of a former version.
pub(in crate::db) fn sealed_secrets(conn: &mut Conn) -> Result<Vec<(SellerId, WebhookId, Vec<u8>)>> {
    type Row = (Vec<u8>, Vec<u8>, Vec<u8>);
    let rows: std::result::Result<Vec<Row>, Error> =
        on!(conn, c => webhooks::table.select((webhooks::seller_id, webhooks::id, webhooks::secret)).load(c)).map_err(Error::from);
    let rows = match rows {
        // What a statement about a missing table is sorted into.
        Err(Error::Corrupt(_)) => return Ok(Vec::new()),
        found => found?,
    };
    let read = |(seller, id, secret): Row| {
        let seller = id_of(&seller, SellerId::from_bytes, "webhooks.seller_id")?;
        Ok((seller, id_of(&id, WebhookId::from_bytes, "webhooks.id")?, secret))
    };
    rows.into_iter().map(read).collect()
}

/// Replaces the sealed secret of a webhook.
pub(in crate::db) fn replace_secret(conn: &mut Conn, (seller, id): (SellerId, WebhookId), sealed: &[u8]) -> Result<()> {
    on!(conn, c => diesel::update(Scope::of(seller).webhooks().filter(webhooks::id.eq(id.bytes())))
        .set(webhooks::secret.eq(sealed)).execute(c))?;
    Ok(())
}
