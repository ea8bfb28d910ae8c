//! Mails that are to be made and sent, of all sellers: only read. Each is made and taken under the lock of its seller, as everything of
//! a seller is written, or two transactions with several sellers each would wait for one another.
use super::addresses::{ASKS, state_code};
use crate::db::connection::on;
use crate::db::schema::{email_addresses, email_mails, email_news, sellers};
use crate::db::{Conn, Result, id_of};
use crate::domain::mail::{AddressState, LONGEST_WAIT, TOO_FAR_AHEAD};
use crate::domain::{EmailId, MailId, SellerId, Timestamp};
use diesel::prelude::*;

/// Mails that are looked at to find those to send, and addresses to find those to make.
const LOOKED_AT: i64 = 200;

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
    let may = next.is_null().or(next.le(now)).or(next.gt(now + TOO_FAR_AHEAD));
    let is_due = email_news::due_at.le(now).or(email_news::due_at.gt(now + LONGEST_WAIT));
    Ok(on!(conn, c => email_news::table.inner_join(of_address).inner_join(of_seller)
        .filter(is_due).filter(may).filter(diesel::dsl::not(on_its_way)).filter(sellers::suspended.eq(false))
        .filter(email_addresses::state.eq(state_code(AddressState::Confirmed)))
        .select((email_news::seller_id, email_news::address_id)).distinct().order((email_news::seller_id, email_news::address_id))
        .limit(limit).load(c))?)
}

/// Addresses for which a mail is to be made of the news that are due.
pub fn mails_to_make(conn: &mut Conn, now: Timestamp) -> Result<Vec<(SellerId, EmailId)>> {
    let ids = |(seller, address): (Vec<u8>, Vec<u8>)| {
        let seller = id_of(&seller, SellerId::from_bytes, "email_news.seller_id")?;
        Ok((seller, id_of(&address, EmailId::from_bytes, "email_news.address_id")?))
    };
    with_news(conn, LOOKED_AT, now)?.into_iter().map(ids).collect()
}

/// The seller, the mail, and when it is due.
type Due = (Vec<u8>, Vec<u8>, Option<Timestamp>);

fn due(conn: &mut Conn, limit: i64, now: Timestamp) -> Result<Vec<Due>> {
    let of_seller = sellers::table.on(sellers::id.eq(email_mails::seller_id));
    let is_due = email_mails::due_at.le(now).or(email_mails::due_at.gt(now + TOO_FAR_AHEAD));
    Ok(on!(conn, c => email_mails::table.inner_join(of_seller).filter(is_due).filter(sellers::suspended.eq(false))
        .order((email_mails::due_at, email_mails::id)).limit(limit)
        .select((email_mails::seller_id, email_mails::id, email_mails::due_at)).load(c))?)
}

/// Mails that are to be sent, those that wait longest first, and when each is due.
pub fn mails_to_send(conn: &mut Conn, now: Timestamp) -> Result<Vec<(SellerId, MailId, Option<Timestamp>)>> {
    let ids = |(seller, id, due_at): Due| {
        let seller = id_of(&seller, SellerId::from_bytes, "email_mails.seller_id")?;
        Ok((seller, id_of(&id, MailId::from_bytes, "email_mails.id")?, due_at))
    };
    due(conn, LOOKED_AT, now)?.into_iter().map(ids).collect()
}

/// How many mails have asked this mailbox to confirm an address since then, whoever's it was.
pub(super) fn confirmations_to(conn: &mut Conn, mailbox: &str, since: Timestamp) -> Result<i64> {
    Ok(on!(conn, c => email_mails::table.filter(email_mails::mailbox.eq(mailbox)).filter(email_mails::kind.eq(ASKS))
        .filter(email_mails::created_at.gt(since)).count().get_result(c))?)
}
