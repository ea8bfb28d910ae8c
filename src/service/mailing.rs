//! Sends the mails that are due. What a mail says is put together each time, with links of its own, so that no link is stored.
use super::email::new_token;
use crate::clock::Clock;
use crate::db::email::Purpose;
use crate::db::email::due::{mails_to_make, mails_to_send};
use crate::db::email::mails::{Content, ToSend};
use crate::db::{self, Db, SellerDb};
use crate::domain::letter::{self, Letter};
use crate::domain::mail::{CONFIRM_WITHIN, Posted, UNSUBSCRIBE_WITHIN};
use crate::domain::{MailId, SellerId};
use crate::mail::Post;
use crate::metrics;
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use std::collections::HashMap;

/// The most mails that one process sends at once.
const AT_ONCE: usize = 8;
/// The most mails of one seller that are sent at once.
const OF_ONE_SELLER: usize = 4;

/// What came of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Mails that were to be sent.
    pub due: usize,
    /// Those that the mail server has taken.
    pub taken: usize,
}

/// Makes mails of what is due, and sends those of all sellers that are, only so many at once.
///
/// # Errors
/// If the database cannot be reached. What was sent meanwhile is sent again, as the same mail.
pub async fn send_due(db: &Db, (post, clock): (&Post, &Clock), draw: fn() -> f64) -> db::Result<Round> {
    make_due(db, clock).await?;
    let due = take_due(db, post, clock).await?;
    let sent = join_all(due.iter().map(|(seller, id)| send(db, (post, clock), (*seller, *id), draw))).await;
    let mut round = Round { due: due.len(), taken: 0 };
    for result in sent {
        match result {
            Ok(taken) => round.taken += usize::from(taken),
            // Suspended or deleted meanwhile.
            Err(db::Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(round)
}

/// Makes mails of the news that are due.
async fn make_due(db: &Db, clock: &Clock) -> db::Result<()> {
    let now = clock.now();
    for (seller, address) in db.read(move |conn| mails_to_make(conn, now)).await? {
        let clock = clock.clone();
        let made = db.seller(seller).write(move |t| t.make_mail(address, clock.now())).await;
        unless_deleted(made)?;
    }
    Ok(())
}

/// Takes a few mails that are due, and not many of one seller.
async fn take_due(db: &Db, post: &Post, clock: &Clock) -> db::Result<Vec<(SellerId, MailId)>> {
    let now = clock.now();
    let mut taken = Vec::new();
    let mut of_one: HashMap<SellerId, usize> = HashMap::new();
    for (seller, id, due_at) in db.read(move |conn| mails_to_send(conn, now)).await? {
        if taken.len() == AT_ONCE || !post.is_free() {
            break;
        }
        let count = of_one.entry(seller).or_default();
        if *count == OF_ONE_SELLER {
            continue;
        }
        // Its time begins when it is taken, however long that has waited for the database.
        let clock = clock.clone();
        let took = db.seller(seller).write(move |t| t.take_mail(id, due_at, clock.now())).await;
        if unless_deleted(took)?.unwrap_or(false) {
            *count += 1;
            post.note();
            taken.push((seller, id));
        }
    }
    Ok(taken)
}

/// `None` if the seller was deleted meanwhile.
fn unless_deleted<T>(result: db::Result<T>) -> db::Result<Option<T>> {
    match result {
        Err(db::Error::NotFound) => Ok(None),
        result => result.map(Some),
    }
}

/// Whether the mail server has taken it.
async fn send(db: &Db, (post, clock): (&Post, &Clock), (seller, id): (SellerId, MailId), draw: fn() -> f64) -> db::Result<bool> {
    let rows = db.seller(seller);
    let Some(mail) = rows.read(move |t| t.mail_to_send(id)).await? else { return Ok(false) };
    if matches!(&mail.content, Content::News(news, 0) if news.is_empty()) {
        // It has waited for so long that its lines are gone, since its seller was suspended.
        let now = clock.now();
        rows.write(move |t| t.end_mail(id, now)).await?;
        return Ok(false);
    }
    let (letter, links) = compose(&rows, post, clock, id, mail).await?;
    let posted = post.mailer.send(letter).await;
    metrics::note(|metrics| metrics.mail(posted.word()));
    if let Some(why) = posted.why() {
        tracing::warn!(seller.id = %seller, mail.id = %id, why, "a mail was not sent; trying again");
    }
    let (now, taken) = (clock.now(), posted == Posted::Accepted);
    let noted = rows.write(move |t| {
        // An attempt that fails every few minutes must not leave links behind.
        if posted.is_unsent() {
            t.forget_email_links(&links)?;
        }
        t.mail_posted(id, &posted, draw(), now)
    });
    noted.await?;
    Ok(taken)
}

/// Keeps the links of a mail and puts it together. Returns the digests of their tokens, too.
async fn compose(rows: &SellerDb, post: &Post, clock: &Clock, id: MailId, mail: ToSend) -> db::Result<(Letter, Vec<Vec<u8>>)> {
    let ((confirm, confirm_hash), (leave, leave_hash)) = (new_token(rows.id())?, new_token(rows.id())?);
    let (address, now, asks) = (mail.address, clock.now(), mail.content == Content::Asks);
    let links = vec![confirm_hash.clone(), leave_hash.clone()];
    let kept = rows.write(move |t| {
        if asks {
            t.keep_email_link(&confirm_hash, (address, Purpose::Confirm), now + CONFIRM_WITHIN)?;
        }
        t.keep_email_link(&leave_hash, (address, Purpose::Unsubscribe), now + UNSUBSCRIBE_WITHIN)
    });
    kept.await?;
    let to = (id, mail.recipient.as_str(), mail.created_at);
    let unsubscribe = format!("{}/email/unsubscribe/{}", post.public_url, leave.expose_secret());
    let letter = match mail.content {
        Content::Asks => {
            let confirm = format!("{}/email/confirm/{}", post.public_url, confirm.expose_secret());
            letter::confirmation(to, &mail.seller, &confirm, unsubscribe)
        }
        Content::News(news, omitted) => {
            let made = letter::Digest { seller: &mail.seller, zone: mail.zone, public_url: &post.public_url, news, omitted };
            letter::digest(to, &made, unsubscribe)
        }
    };
    Ok((letter, links))
}
