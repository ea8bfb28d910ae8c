//! Mails that are to be made and sent, of all sellers. A process takes those that it sends, so that no other one does.
use super::addresses::{ASKS, state_code};
use crate::db::connection::on;
use crate::db::schema::{email_addresses, email_mails, email_news, sellers};
use crate::db::scope::Scope;
use crate::db::{Conn, Result, Tenant, id_of};
use crate::domain::mail::{AddressState, BETWEEN_MAILS, LONGEST_PAUSE, LONGEST_WAIT, SENDING};
use crate::domain::{EmailId, MailId, SellerId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

/// Mails that are looked at to find those to send, and addresses to find those to make.
const LOOKED_AT: i64 = 200;
/// The most mails of one seller that are sent at once.
const OF_ONE_SELLER: usize = 4;

/// Whether any mail is to be made or sent.
pub fn any_due(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    Ok(!due(conn, 1, now)?.is_empty() || !with_news(conn, 1, now)?.is_empty())
}

/// Addresses with news that are due, if there is no mail on its way to them and the last one is long enough ago.
fn with_news(conn: &mut Conn, limit: i64, now: Timestamp) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let of_address =
        email_addresses::table.on(email_addresses::seller_id.eq(email_news::seller_id).and(email_addresses::id.eq(email_news::address_id)));
    let of_seller = sellers::table.on(sellers::id.eq(email_news::seller_id));
    let on_its_way = diesel::dsl::exists(
        email_mails::table
            .filter(email_mails::seller_id.eq(email_news::seller_id))
            .filter(email_mails::address_id.eq(email_news::address_id))
            .filter(email_mails::due_at.is_not_null()),
    );
    let next = email_addresses::next_mail_at;
    // A mail that is further ahead was due before the clock was set back.
    let may = next.is_null().or(next.le(now)).or(next.gt(now + BETWEEN_MAILS));
    let is_due = email_news::due_at.le(now).or(email_news::due_at.gt(now + LONGEST_WAIT));
    Ok(on!(conn, c => email_news::table.inner_join(of_address).inner_join(of_seller)
        .filter(is_due).filter(may).filter(diesel::dsl::not(on_its_way)).filter(sellers::suspended.eq(false))
        .filter(email_addresses::state.eq(state_code(AddressState::Confirmed)))
        .select((email_news::seller_id, email_news::address_id)).distinct().limit(limit).load(c))?)
}

/// Makes mails of the news that are due. Returns how many addresses were looked at.
pub fn make_mails(conn: &mut Conn, now: Timestamp) -> Result<usize> {
    let found = with_news(conn, LOOKED_AT, now)?;
    for (seller, address) in &found {
        let seller = id_of(seller, SellerId::from_bytes, "email_news.seller_id")?;
        let address = id_of(address, EmailId::from_bytes, "email_news.address_id")?;
        Tenant::of(conn, seller).make_mail(address, now)?;
    }
    Ok(found.len())
}

/// The seller, the mail, and when it is due.
type Due = (Vec<u8>, Vec<u8>, Option<Timestamp>);

fn due(conn: &mut Conn, limit: i64, now: Timestamp) -> Result<Vec<Due>> {
    let of_seller = sellers::table.on(sellers::id.eq(email_mails::seller_id));
    let is_due = email_mails::due_at.le(now).or(email_mails::due_at.gt(now + LONGEST_PAUSE));
    Ok(on!(conn, c => email_mails::table.inner_join(of_seller).filter(is_due).filter(sellers::suspended.eq(false))
        .order((email_mails::due_at, email_mails::id)).limit(limit)
        .select((email_mails::seller_id, email_mails::id, email_mails::due_at)).load(c))?)
}

/// Takes at most so many mails that are due, and not many of one seller. Whoever takes one has to send it within [`SENDING`].
pub fn take_due(conn: &mut Conn, most: usize, now: Timestamp) -> Result<Vec<(SellerId, MailId)>> {
    let mut taken = Vec::new();
    let mut of_one: HashMap<SellerId, usize> = HashMap::new();
    for (seller, id, due_at) in due(conn, LOOKED_AT, now)? {
        let seller = id_of(&seller, SellerId::from_bytes, "email_mails.seller_id")?;
        let count = of_one.entry(seller).or_default();
        if taken.len() == most || *count == OF_ONE_SELLER {
            continue;
        }
        // Unless another process has taken it.
        let changed = on!(conn, c => diesel::update(Scope::of(seller).email_mails().filter(email_mails::id.eq(&id))
            .filter(email_mails::due_at.eq(due_at))).set(email_mails::due_at.eq(now + SENDING)).execute(c))?;
        if changed > 0 {
            *count += 1;
            taken.push((seller, id_of(&id, MailId::from_bytes, "email_mails.id")?));
        }
    }
    Ok(taken)
}

/// How many mails have asked this mailbox to confirm an address since then, whoever's it was.
pub(super) fn confirmations_to(conn: &mut Conn, mailbox: &str, since: Timestamp) -> Result<i64> {
    Ok(on!(conn, c => email_mails::table.filter(email_mails::mailbox.eq(mailbox)).filter(email_mails::kind.eq(ASKS))
        .filter(email_mails::created_at.gt(since)).count().get_result(c))?)
}
