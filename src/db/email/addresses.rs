//! A seller's addresses for mails, and the links in mails. A link is found by the digest of its token, which is as good as a key:
//! whoever opens it need not be signed in.
use crate::db::connection::on;
use crate::db::schema::{email_addresses, email_links, email_mails, email_news};
use crate::db::webhooks::{topics_of, topics_text};
use crate::db::{Error, Result, Tenant, id_of};
use crate::domain::mail::{AddressState, MAX_ADDRESSES, Wishes};
use crate::domain::news::What;
use crate::domain::{EmailId, Timestamp};
use diesel::prelude::*;

/// The reason of mails that were waiting for an address when it was removed or unsubscribed.
const ENDED: &str = "The address was removed or unsubscribed.";
/// `email_mails.kind` of a request to confirm an address.
pub(super) const ASKS: i16 = 0;
/// `email_mails.kind` of the note that a recipient has unsubscribed.
pub(super) const DECLINED: i16 = 2;
/// `email_mails.state` of a mail that is given up.
pub(super) const GIVEN_UP: i16 = 2;

pub(super) fn state_code(state: AddressState) -> i16 {
    match state {
        AddressState::Unconfirmed => 0,
        AddressState::Confirmed => 1,
        AddressState::Unsubscribed => 2,
        AddressState::Refused => 3,
    }
}

/// What a link in a mail does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It confirms the address.
    Confirm,
    /// It unsubscribes it.
    Unsubscribe,
}

impl Purpose {
    fn code(self) -> i16 {
        match self {
            Self::Confirm => 0,
            Self::Unsubscribe => 1,
        }
    }
}

/// An address as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its id.
    pub id: EmailId,
    /// The address.
    pub address: String,
    /// What it wants.
    pub wishes: Wishes,
    /// Whether it gets mails.
    pub state: AddressState,
    /// When it was added.
    pub created_at: Timestamp,
    /// When whoever reads it agreed.
    pub confirmed_at: Option<Timestamp>,
    /// Why the last mail has not arrived.
    pub problem: Option<String>,
}

type Row = (Vec<u8>, String, String, bool, i16, i16, Timestamp, Option<Timestamp>, Option<String>);

macro_rules! columns {
    () => {
        (
            email_addresses::id,
            email_addresses::address,
            email_addresses::topics,
            email_addresses::at_once,
            email_addresses::digest_hour,
            email_addresses::state,
            email_addresses::created_at,
            email_addresses::confirmed_at,
            email_addresses::problem,
        )
    };
}

fn address((id, address, topics, at_once, digest_hour, state, created_at, confirmed_at, problem): Row) -> Result<Address> {
    let id = id_of(&id, EmailId::from_bytes, "email_addresses.id")?;
    let found = AddressState::ALL.into_iter().find(|known| state_code(*known) == state);
    let state = found.ok_or_else(|| Error::Corrupt(format!("email_addresses.state {state} is unknown")))?;
    let wishes = Wishes { topics: topics_of(&topics)?, at_once, digest_hour: i64::from(digest_hour) };
    Ok(Address { id, address, wishes, state, created_at, confirmed_at, problem })
}

fn hour(wishes: &Wishes) -> i16 {
    i16::try_from(wishes.digest_hour).unwrap_or_default()
}

impl Tenant<'_> {
    /// The seller's addresses, oldest first.
    pub fn email_addresses(&mut self) -> Result<Vec<Address>> {
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => scope.email_addresses().select(columns!()).order(email_addresses::id).load(c))?;
        rows.into_iter().map(address).collect()
    }

    /// One address.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn email_address(&mut self, id: EmailId) -> Result<Address> {
        let scope = self.scope();
        address(on!(self.conn, c => scope.email_addresses().filter(email_addresses::id.eq(id.bytes())).select(columns!()).get_result(c))?)
    }

    /// Adds an address.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there are too many, or the same is there already.
    pub fn add_email_address(&mut self, new: &Address) -> Result<()> {
        let there = self.email_addresses()?;
        if there.iter().any(|other| other.address.eq_ignore_ascii_case(&new.address)) {
            return Err(Error::Conflict("this address is there already".to_owned()));
        }
        if there.len() >= MAX_ADDRESSES {
            return Err(Error::Conflict(format!("a seller may have at most {MAX_ADDRESSES} addresses")));
        }
        let key = self.key();
        on!(self.conn, c => diesel::insert_into(email_addresses::table).values((
            email_addresses::seller_id.eq(&key), email_addresses::id.eq(new.id.bytes()), email_addresses::address.eq(&new.address),
            email_addresses::topics.eq(topics_text(&new.wishes.topics)), email_addresses::at_once.eq(new.wishes.at_once),
            email_addresses::digest_hour.eq(hour(&new.wishes)), email_addresses::state.eq(state_code(new.state)),
            email_addresses::created_at.eq(new.created_at), email_addresses::refusals.eq(0), email_addresses::omitted.eq(0_i64),
        )).execute(c))?;
        Ok(())
    }

    /// Saves what an address wants, which also holds for what waits to be mailed.
    pub fn save_email_wishes(&mut self, id: EmailId, wishes: &Wishes, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.email_addresses().filter(email_addresses::id.eq(id.bytes()))).set((
            email_addresses::topics.eq(topics_text(&wishes.topics)), email_addresses::at_once.eq(wishes.at_once),
            email_addresses::digest_hour.eq(hour(wishes)))).execute(c))?;
        let due_at = wishes.due_at(false, self.sync_settings()?.timezone, now);
        let words = |is: &dyn Fn(What) -> bool| What::ALL.into_iter().filter(|what| is(*what)).map(What::as_str).collect::<Vec<_>>();
        let (unwanted, daily) = (words(&|what| !wishes.topics.contains(&what.topic())), words(&|what| !what.is_urgent()));
        let waiting = || scope.email_news().filter(email_news::address_id.eq(id.bytes())).filter(email_news::due_at.is_not_null());
        on!(self.conn, c => diesel::delete(waiting().filter(email_news::what.eq_any(&unwanted))).execute(c))?;
        on!(self.conn, c => diesel::update(waiting().filter(email_news::what.eq_any(&daily)))
            .set(email_news::due_at.eq(due_at)).execute(c))?;
        Ok(())
    }

    /// Deletes an address and what waits for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn delete_email_address(&mut self, id: EmailId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let deleted = on!(self.conn, c => diesel::delete(scope.email_addresses().filter(email_addresses::id.eq(id.bytes()))).execute(c))?;
        if deleted == 0 {
            return Err(Error::NotFound);
        }
        on!(self.conn, c => diesel::delete(scope.email_links().filter(email_links::address_id.eq(id.bytes()))).execute(c))?;
        self.end_mails(id, now)
    }

    /// Nothing more is mailed to this address. Its mails stay, because requests to confirm it are counted.
    pub(super) fn end_mails(&mut self, id: EmailId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.email_news().filter(email_news::address_id.eq(id.bytes()))).execute(c))?;
        on!(self.conn, c => diesel::update(scope.email_mails().filter(email_mails::address_id.eq(id.bytes()))
            .filter(email_mails::due_at.is_not_null())).set((email_mails::state.eq(GIVEN_UP), email_mails::due_at.eq(None::<Timestamp>),
                email_mails::ended_at.eq(now), email_mails::answer.eq(ENDED))).execute(c))?;
        Ok(())
    }

    /// Keeps the digest of a link's token.
    pub fn keep_email_link(&mut self, hash: &[u8], (id, purpose): (EmailId, Purpose), expires_at: Timestamp) -> Result<()> {
        let key = self.key();
        on!(self.conn, c => diesel::insert_into(email_links::table).values((email_links::seller_id.eq(&key),
            email_links::token_hash.eq(hash), email_links::address_id.eq(id.bytes()), email_links::purpose.eq(purpose.code()),
            email_links::expires_at.eq(expires_at))).execute(c))?;
        Ok(())
    }

    /// Forgets links that nobody has got.
    pub fn forget_email_links(&mut self, hashes: &[Vec<u8>]) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.email_links().filter(email_links::token_hash.eq_any(hashes))).execute(c))?;
        Ok(())
    }

    /// The address of a link.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the link is unknown, has expired, or does something else.
    pub fn email_link(&mut self, hash: &[u8], purpose: Purpose, now: Timestamp) -> Result<Address> {
        let scope = self.scope();
        let id: Vec<u8> = on!(self.conn, c => scope.email_links().filter(email_links::token_hash.eq(hash))
            .filter(email_links::purpose.eq(purpose.code())).filter(email_links::expires_at.gt(now))
            .select(email_links::address_id).get_result(c))?;
        self.email_address(id_of(&id, EmailId::from_bytes, "email_links.address_id")?)
    }

    /// Confirms the address of a link. The links by which it can be confirmed end.
    ///
    /// # Errors
    /// Those of [`Self::email_link`].
    pub fn confirm_email(&mut self, hash: &[u8], now: Timestamp) -> Result<Address> {
        let found = self.email_link(hash, Purpose::Confirm, now)?;
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.email_links().filter(email_links::address_id.eq(found.id.bytes()))
            .filter(email_links::purpose.eq(Purpose::Confirm.code()))).execute(c))?;
        on!(self.conn, c => diesel::update(scope.email_addresses().filter(email_addresses::id.eq(found.id.bytes()))).set((
            email_addresses::state.eq(state_code(AddressState::Confirmed)), email_addresses::confirmed_at.eq(now),
            email_addresses::refusals.eq(0), email_addresses::problem.eq(None::<String>))).execute(c))?;
        self.email_address(found.id)
    }

    /// Unsubscribes the address of a link. The link goes on working.
    ///
    /// # Errors
    /// Those of [`Self::email_link`].
    pub fn unsubscribe_email(&mut self, hash: &[u8], now: Timestamp) -> Result<Address> {
        let found = self.email_link(hash, Purpose::Unsubscribe, now)?;
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.email_links().filter(email_links::address_id.eq(found.id.bytes()))
            .filter(email_links::purpose.eq(Purpose::Confirm.code()))).execute(c))?;
        on!(self.conn, c => diesel::update(scope.email_addresses().filter(email_addresses::id.eq(found.id.bytes())))
            .set(email_addresses::state.eq(state_code(AddressState::Unsubscribed))).execute(c))?;
        self.end_mails(found.id, now)?;
        if found.state != AddressState::Unsubscribed {
            self.note_declined(&found, now)?;
        }
        Ok(found)
    }
}
