//! The mails of one seller: made, read to be sent, and ended.
use super::addresses::{ASKS, Address, DECLINED, GIVEN_UP, state_code};
use super::due::confirmations_to;
use super::news::{columns, news};
use crate::db::connection::on;
use crate::db::schema::{email_addresses, email_mails, email_news, sellers};
use crate::db::{Error, Result, Tenant, id_of};
use crate::domain::mail::{
    AddressState, BETWEEN_MAILS, COUNTED_FOR, DECLINED_FOR, LONGEST_WAIT, MAX_DECLINED, MAX_OF_SELLER, MAX_TO_ONE, Next, Posted, SENDING,
    TOO_FAR_AHEAD, after, mailbox_of,
};
use crate::domain::news::News;
use crate::domain::{EmailId, MailId, Timestamp};
use chrono_tz::Tz;
use diesel::prelude::*;

const NEWS: i16 = 1;
const WAITING: i16 = 0;
const SENT: i16 = 1;

/// What a mail is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It asks to confirm the address.
    Asks,
    /// It lists what has happened, and says how much more there is.
    News(Vec<News>, i64),
}

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToSend {
    /// To which address.
    pub address: EmailId,
    /// Where it goes.
    pub recipient: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is to say.
    pub content: Content,
    /// The seller's name.
    pub seller: String,
    /// The seller's zone.
    pub zone: Tz,
}

impl Tenant<'_> {
    /// Makes a mail that asks to confirm an address, unless enough of them were made lately, or whoever reads them has declined: nobody
    /// can flood a stranger. The address is unconfirmed from now on, so that unsubscribing it counts again.
    ///
    /// # Errors
    /// [`Error::Conflict`] then.
    pub fn ask_to_confirm(&mut self, address: &Address, now: Timestamp) -> Result<()> {
        let (scope, since) = (self.scope(), now - COUNTED_FOR);
        let mailbox = mailbox_of(&address.address);
        let to_one = confirmations_to(self.conn, &mailbox, since)?;
        let declined: i64 = on!(self.conn, c => scope.email_mails().filter(email_mails::kind.eq(DECLINED))
            .filter(email_mails::mailbox.eq(&mailbox)).filter(email_mails::created_at.gt(now - DECLINED_FOR)).count().get_result(c))?;
        if declined >= MAX_DECLINED {
            let why = "whoever reads this address has unsubscribed it again; it cannot be asked for 30 days";
            return Err(Error::Conflict(why.to_owned()));
        }
        let of_seller: i64 = on!(self.conn, c => scope.email_mails().filter(email_mails::kind.eq(ASKS))
            .filter(email_mails::created_at.gt(since)).count().get_result(c))?;
        if to_one >= MAX_TO_ONE || of_seller >= MAX_OF_SELLER {
            return Err(Error::Conflict("too many mails have asked to confirm an address today; try again tomorrow".to_owned()));
        }
        on!(self.conn, c => diesel::update(scope.email_addresses().filter(email_addresses::id.eq(address.id.bytes())))
            .set(email_addresses::state.eq(state_code(AddressState::Unconfirmed))).execute(c))?;
        self.insert_mail(address.id, &address.address, (ASKS, 0), now).map(drop)
    }

    /// Notes that whoever reads an address has unsubscribed it.
    pub(super) fn note_declined(&mut self, address: &Address, now: Timestamp) -> Result<()> {
        let id = self.insert_mail(address.id, &address.address, (DECLINED, 0), now)?;
        self.end_mail(id, now)
    }

    /// Ends a mail that is not to be sent.
    pub fn end_mail(&mut self, id: MailId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.email_mails().filter(email_mails::id.eq(id.bytes()))).set((
            email_mails::state.eq(GIVEN_UP), email_mails::due_at.eq(None::<Timestamp>), email_mails::ended_at.eq(now))).execute(c))?;
        Ok(())
    }

    fn insert_mail(&mut self, address: EmailId, recipient: &str, (kind, omitted): (i16, i64), now: Timestamp) -> Result<MailId> {
        let (key, id) = (self.key(), MailId::new(now));
        on!(self.conn, c => diesel::insert_into(email_mails::table).values((
            email_mails::seller_id.eq(&key), email_mails::id.eq(id.bytes()), email_mails::address_id.eq(address.bytes()),
            email_mails::recipient.eq(recipient), email_mails::mailbox.eq(mailbox_of(recipient)), email_mails::kind.eq(kind), email_mails::omitted.eq(omitted),
            email_mails::state.eq(WAITING), email_mails::attempts.eq(0), email_mails::created_at.eq(now), email_mails::due_at.eq(now),
        )).execute(c))?;
        Ok(id)
    }

    /// Makes a mail of the news that are due for an address, unless that has changed since it was found: another process may have made
    /// one, or its reader may have unsubscribed it.
    pub fn make_mail(&mut self, address: EmailId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let next = email_addresses::next_mail_at;
        let may = next.is_null().or(next.le(now)).or(next.gt(now + TOO_FAR_AHEAD));
        let one = || scope.email_addresses().filter(email_addresses::id.eq(address.bytes()));
        let found: Option<(String, i64)> = on!(self.conn, c => one().filter(may)
            .filter(email_addresses::state.eq(state_code(AddressState::Confirmed)))
            .select((email_addresses::address, email_addresses::omitted)).get_result(c).optional())?;
        let Some((recipient, omitted)) = found else { return Ok(()) };
        let on_their_way: i64 = on!(self.conn, c => scope.email_mails().filter(email_mails::address_id.eq(address.bytes()))
            .filter(email_mails::due_at.is_not_null()).count().get_result(c))?;
        // Those that wait too long were collected before the clock was set back.
        let is_due = email_news::due_at.le(now).or(email_news::due_at.gt(now + LONGEST_WAIT));
        let news = || scope.email_news().filter(email_news::address_id.eq(address.bytes())).filter(is_due);
        let lines: i64 = on!(self.conn, c => news().count().get_result(c))?;
        if on_their_way > 0 || lines == 0 {
            return Ok(());
        }
        let id = self.insert_mail(address, &recipient, (NEWS, omitted), now)?;
        on!(self.conn, c => diesel::update(one()).set((email_addresses::omitted.eq(0_i64),
            email_addresses::next_mail_at.eq(now + BETWEEN_MAILS))).execute(c))?;
        on!(self.conn, c => diesel::update(news()).set((email_news::mail_id.eq(id.bytes()), email_news::due_at.eq(None::<Timestamp>)))
            .execute(c))?;
        Ok(())
    }

    /// Takes a mail that was found to be due then, unless another process has. Whoever takes it has to send it within [`SENDING`].
    pub fn take_mail(&mut self, id: MailId, due_at: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        let scope = self.scope();
        let taken = on!(self.conn, c => diesel::update(scope.email_mails().filter(email_mails::id.eq(id.bytes()))
            .filter(email_mails::due_at.eq(due_at))).set(email_mails::due_at.eq(now + SENDING)).execute(c))?;
        Ok(taken > 0)
    }

    /// A mail that is to be sent; `None` if it has ended meanwhile.
    pub fn mail_to_send(&mut self, id: MailId) -> Result<Option<ToSend>> {
        type Found = (Vec<u8>, String, i16, i64, Timestamp);
        let scope = self.scope();
        let found: Option<Found> = on!(self.conn, c => scope.email_mails().filter(email_mails::id.eq(id.bytes()))
            .filter(email_mails::due_at.is_not_null()).select((email_mails::address_id, email_mails::recipient, email_mails::kind,
                email_mails::omitted, email_mails::created_at)).get_result(c).optional())?;
        let Some((address, recipient, kind, omitted, created_at)) = found else { return Ok(None) };
        let content = match kind {
            ASKS => Content::Asks,
            _ => {
                let rows: Vec<super::news::Row> = on!(self.conn, c => scope.email_news().filter(email_news::mail_id.eq(id.bytes()))
                    .order(email_news::id).select(columns!()).load(c))?;
                Content::News(
                    rows.into_iter().filter_map(|row| news(row).transpose()).map(|row| Ok(row?.1)).collect::<Result<_>>()?,
                    omitted,
                )
            }
        };
        let address = id_of(&address, EmailId::from_bytes, "email_mails.address_id")?;
        let (seller, zone) = (self.seller_name()?, self.sync_settings()?.timezone);
        Ok(Some(ToSend { address, recipient, created_at, content, seller, zone }))
    }

    /// The seller's name.
    pub fn seller_name(&mut self) -> Result<String> {
        let key = self.key();
        Ok(on!(self.conn, c => sellers::table.find(&key).select(sellers::name).get_result(c))?)
    }

    /// Notes what became of sending a mail. `draw` is a random number from 0 to 1.
    pub fn mail_posted(&mut self, id: MailId, posted: &Posted, draw: f64, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.email_mails().filter(email_mails::id.eq(id.bytes()));
        type Found = (Vec<u8>, i16, i32, Timestamp);
        let found: Option<Found> = on!(self.conn, c => one().filter(email_mails::due_at.is_not_null()).select((email_mails::address_id,
            email_mails::kind, email_mails::attempts, email_mails::created_at)).get_result(c).optional())?;
        // Ended meanwhile.
        let Some((address, kind, attempts, made_at)) = found else { return Ok(()) };
        let of = || scope.email_addresses().filter(email_addresses::id.eq(&address));
        let before: Option<i32> = on!(self.conn, c => of().select(email_addresses::refusals).get_result(c).optional())?;
        let refusals = match posted {
            Posted::Accepted => 0,
            Posted::Refused(_) => before.unwrap_or(0).saturating_add(1),
            Posted::PutOff(_) | Posted::Failed(_) | Posted::Unanswered(_) => before.unwrap_or(0),
        };
        let attempts = attempts.saturating_add(1);
        let next = after(posted, (made_at, attempts, refusals), draw, now);
        let (state, due_at) = match next {
            Next::Sent => (SENT, None),
            Next::Again(at) => (WAITING, Some(at)),
            Next::GivenUp | Next::EndsAddress => (GIVEN_UP, None),
        };
        let answer = posted.why().unwrap_or("accepted");
        on!(self.conn, c => diesel::update(one()).set((email_mails::state.eq(state), email_mails::attempts.eq(attempts),
            email_mails::due_at.eq(due_at), email_mails::ended_at.eq(due_at.is_none().then_some(now)), email_mails::answer.eq(answer)))
            .execute(c))?;
        on!(self.conn, c => diesel::update(of()).set((email_addresses::refusals.eq(refusals), email_addresses::problem.eq(posted.problem()))).execute(c))?;
        if next == Next::Sent && kind == NEWS {
            on!(self.conn, c => diesel::update(of()).set(email_addresses::next_mail_at.eq(now + BETWEEN_MAILS)).execute(c))?;
        }
        if next == Next::EndsAddress {
            on!(self.conn, c => diesel::update(of()).set(email_addresses::state.eq(state_code(AddressState::Refused))).execute(c))?;
            self.end_mails(id_of(&address, EmailId::from_bytes, "email_mails.address_id")?, now)?;
        }
        Ok(())
    }
}
