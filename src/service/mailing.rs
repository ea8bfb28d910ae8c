//! Sends the mails that are due. What a mail says is put together each time, with links of its own, so that no link is stored.
use super::email::new_token;
use crate::clock::Clock;
use crate::db::email::Purpose;
use crate::db::email::due::{make_mails, take_due};
use crate::db::email::mails::{Content, ToSend};
use crate::db::{self, Db, SellerDb};
use crate::domain::letter::{self, Letter};
use crate::domain::mail::{CONFIRM_WITHIN, Posted, UNSUBSCRIBE_WITHIN};
use crate::domain::{MailId, SellerId};
use crate::mail::Post;
use futures_util::future::join_all;
use secrecy::ExposeSecret;

/// The most mails that one process sends at once.
const AT_ONCE: usize = 8;

/// Makes mails of what is due, and sends those of all sellers that are, only so many at once. Returns how many were sent.
///
/// # Errors
/// If the database cannot be reached. What was sent meanwhile is sent again, as the same mail.
pub async fn send_due(db: &Db, (post, clock): (&Post, &Clock), draw: fn() -> f64) -> db::Result<usize> {
    let now = clock.now();
    db.write(move |conn| make_mails(conn, now)).await?;
    let taken = db.write(move |conn| take_due(conn, AT_ONCE, now)).await?;
    let sent = join_all(taken.iter().map(|(seller, id)| send(db, (post, clock), (*seller, *id), draw))).await;
    for result in sent {
        match result {
            // Suspended or deleted meanwhile.
            Ok(()) | Err(db::Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken.len())
}

async fn send(db: &Db, (post, clock): (&Post, &Clock), (seller, id): (SellerId, MailId), draw: fn() -> f64) -> db::Result<()> {
    let rows = db.seller(seller);
    let Some(mail) = rows.read(move |t| t.mail_to_send(id)).await? else { return Ok(()) };
    let letter = compose(&rows, post, clock, id, mail).await?;
    let posted = post.mailer.send(letter).await;
    if let Posted::Refused(why) | Posted::Failed(why) = &posted {
        tracing::warn!(seller.id = %seller, mail.id = %id, why, "a mail was not sent; trying again");
    }
    let now = clock.now();
    rows.write(move |t| t.mail_posted(id, &posted, draw(), now)).await
}

/// Keeps the links of a mail and puts it together.
async fn compose(rows: &SellerDb, post: &Post, clock: &Clock, id: MailId, mail: ToSend) -> db::Result<Letter> {
    let ((confirm, confirm_hash), (leave, leave_hash)) = (new_token(rows.id())?, new_token(rows.id())?);
    let (address, now, asks) = (mail.address, clock.now(), mail.content == Content::Asks);
    let kept = rows.write(move |t| {
        if asks {
            t.keep_email_link(&confirm_hash, (address, Purpose::Confirm), now + CONFIRM_WITHIN)?;
        }
        t.keep_email_link(&leave_hash, (address, Purpose::Unsubscribe), now + UNSUBSCRIBE_WITHIN)
    });
    kept.await?;
    let to = (id, mail.recipient.as_str(), mail.created_at);
    let unsubscribe = format!("{}/email/unsubscribe/{}", post.public_url, leave.expose_secret());
    Ok(match mail.content {
        Content::Asks => {
            let confirm = format!("{}/email/confirm/{}", post.public_url, confirm.expose_secret());
            letter::confirmation(to, &mail.seller, &confirm, unsubscribe)
        }
        Content::News(news, omitted) => {
            let made = letter::Digest { seller: &mail.seller, zone: mail.zone, public_url: &post.public_url, news, omitted };
            letter::digest(to, &made, unsubscribe)
        }
    })
}
