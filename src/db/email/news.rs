//! Collecting what is to be mailed, in the transaction in which it happens. The same about the same is one row until it is mailed.
use super::addresses::state_code;
use crate::db::connection::on;
use crate::db::schema::{email_addresses, email_news};
use crate::db::webhooks::topics_of;
use crate::db::{Result, Tenant, id_of};
use crate::domain::mail::{AddressState, MAX_NEWS, Wishes};
use crate::domain::news::{News, What};
use crate::domain::webhook::{Message, Topic};
use crate::domain::{EmailId, NewsId, Timestamp};
use diesel::prelude::*;

/// The columns of a line.
pub(super) type Row = (Vec<u8>, String, String, String, Option<String>, String, i64, Timestamp);

macro_rules! columns {
    () => {{
        use $crate::db::schema::email_news;
        (
            email_news::id,
            email_news::what,
            email_news::subject,
            email_news::name,
            email_news::detail,
            email_news::path,
            email_news::count,
            email_news::since,
        )
    }};
}
pub(super) use columns;

/// A line; `None` if only a later version knows what has happened.
pub(super) fn news((id, what, subject, name, detail, path, count, since): Row) -> Result<Option<(NewsId, News)>> {
    let Some(what) = What::parse(&what) else { return Ok(None) };
    Ok(Some((id_of(&id, NewsId::from_bytes, "email_news.id")?, News { what, subject, name, detail, path, count, since })))
}

impl Tenant<'_> {
    /// The confirmed addresses that want to be mailed about this, with what they want.
    pub(in crate::db) fn who_wants_mail(&mut self, topic: Topic) -> Result<Vec<(EmailId, Wishes)>> {
        type Row = (Vec<u8>, String, bool, i16);
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => scope.email_addresses()
            .filter(email_addresses::state.eq(state_code(AddressState::Confirmed))).select((email_addresses::id,
                email_addresses::topics, email_addresses::at_once, email_addresses::digest_hour)).order(email_addresses::id).load(c))?;
        let mut found = Vec::new();
        for (id, topics, at_once, digest_hour) in rows {
            let topics = topics_of(&topics)?;
            if topics.contains(&topic) {
                let id = id_of(&id, EmailId::from_bytes, "email_addresses.id")?;
                found.push((id, Wishes { topics, at_once, digest_hour: i64::from(digest_hour) }));
            }
        }
        Ok(found)
    }

    /// Collects what has happened for every address that wants to be mailed about it.
    pub(in crate::db) fn collect_news(&mut self, message: &Message, now: Timestamp) -> Result<()> {
        let Some(news) = &message.news else { return Ok(()) };
        let wanted = self.who_wants_mail(message.topic)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let zone = self.sync_settings()?.timezone;
        for (id, wishes) in wanted {
            let due_at = wishes.due_at(news.what.is_urgent(), zone, now);
            self.collect_for(id, &News { since: now, ..news.clone() }, due_at, now)?;
        }
        Ok(())
    }

    fn collect_for(&mut self, address: EmailId, new: &News, due_at: Timestamp, now: Timestamp) -> Result<()> {
        let (key, scope) = (self.key(), self.scope());
        let waiting = || scope.email_news().filter(email_news::address_id.eq(address.bytes())).filter(email_news::due_at.is_not_null());
        let same: Option<Row> = on!(self.conn, c => waiting().filter(email_news::what.eq(new.what.as_str()))
            .filter(email_news::subject.eq(&new.subject)).select(columns!()).first(c).optional())?;
        if let Some((id, earlier)) = same.map(news).transpose()?.flatten() {
            let both = earlier.followed_by(new.clone());
            // Unless it has just become part of a mail.
            let changed = on!(self.conn, c => diesel::update(waiting().filter(email_news::id.eq(id.bytes()))).set((
                email_news::name.eq(&both.name), email_news::detail.eq(&both.detail), email_news::path.eq(&both.path),
                email_news::count.eq(both.count), email_news::last_at.eq(now))).execute(c))?;
            if changed > 0 {
                return Ok(());
            }
        }
        let count: i64 = on!(self.conn, c => waiting().count().get_result(c))?;
        if count >= MAX_NEWS {
            on!(self.conn, c => diesel::update(scope.email_addresses().filter(email_addresses::id.eq(address.bytes())))
                .set(email_addresses::omitted.eq(email_addresses::omitted + 1_i64)).execute(c))?;
            return Ok(());
        }
        on!(self.conn, c => diesel::insert_into(email_news::table).values((
            email_news::seller_id.eq(&key), email_news::id.eq(NewsId::new(now).bytes()), email_news::address_id.eq(address.bytes()),
            email_news::what.eq(new.what.as_str()), email_news::subject.eq(&new.subject), email_news::name.eq(&new.name),
            email_news::detail.eq(&new.detail), email_news::path.eq(&new.path), email_news::count.eq(new.count),
            email_news::since.eq(new.since), email_news::last_at.eq(now), email_news::due_at.eq(due_at),
        )).execute(c))?;
        Ok(())
    }

    /// When the same as in this message was last collected between these times, for any address.
    pub(in crate::db) fn last_news(&mut self, message: &Message, (since, until): (Timestamp, Timestamp)) -> Result<Option<Timestamp>> {
        let Some(news) = &message.news else { return Ok(None) };
        let scope = self.scope();
        Ok(on!(self.conn, c => scope.email_news().filter(email_news::subject.eq(&news.subject)).filter(email_news::last_at.gt(since))
            .filter(email_news::last_at.le(until)).filter(email_news::what.eq(news.what.as_str())).select(email_news::last_at)
            .order(email_news::last_at.desc()).first(c).optional())?)
    }
}
