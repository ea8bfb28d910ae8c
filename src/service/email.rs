//! Sellers' addresses for mails: added, confirmed by whoever reads them, changed, unsubscribed, deleted.
//! [`domain::mail`](crate::domain::mail) says who gets a mail, and when.
use super::context::{Caller, Error, Result, Service, audited};
use crate::db::email::{Address, Purpose};
use crate::db::{self, SellerDb};
use crate::domain::mail::{AddressState, DIGEST_HOUR, Wishes, parse_address};
use crate::domain::problem::Checks;
use crate::domain::webhook::Topic;
use crate::domain::{EmailId, SellerId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Why no address can be added where mails cannot be sent.
pub const NO_MAIL: &str = "the operator of this service has not set up e-mail (smtp_host)";
/// Who acts by a link in a mail, in the audit log.
const READER: &str = "link in a mail";
/// The bytes of a token that follow the seller's id.
const TOKEN_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// An address as it was entered; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct EnteredAddress {
    /// The address; it cannot be changed later.
    pub address: Option<String>,
    /// What it is mailed about; at first everything.
    pub topics: Option<Vec<String>>,
    /// Whether everything is mailed at once; at first only what is urgent is.
    pub at_once: Option<bool>,
    /// The hour of the digest.
    pub digest_hour: Option<i64>,
}

impl EnteredAddress {
    /// What it wants, where `before` is what it has wanted.
    fn check(&self, checks: &mut Checks, before: Wishes) -> Wishes {
        checks.within("/digest_hour", self.digest_hour, 0, 23);
        let topics = match &self.topics {
            None => before.topics,
            Some(words) => {
                let (found, errors) = Topic::parse_all(words);
                checks.extend(errors);
                found
            }
        };
        Wishes { topics, at_once: self.at_once.unwrap_or(before.at_once), digest_hour: self.digest_hour.unwrap_or(before.digest_hour) }
    }
}

fn shown(address: &Address) -> Value {
    let Wishes { topics, at_once, digest_hour } = &address.wishes;
    json!({ "address": address.address, "topics": topics, "at_once": at_once, "digest_hour": digest_hour })
}

fn needs_mail(service: &Service) -> Result<()> {
    if service.post.is_some() { Ok(()) } else { Err(Error::conflict(NO_MAIL)) }
}

/// Adds an address, which is asked to confirm itself.
///
/// # Errors
/// Every invalid field; or a conflict if there are too many, the same is there already, too many mails have asked the same, or
/// the operator has not set up e-mail.
pub async fn add(service: &Service, caller: &Caller, entered: EnteredAddress) -> Result<Address> {
    let mut checks = Checks::default();
    let address = entered.address.as_deref().ok_or("is required").and_then(parse_address);
    let address = checks.take("/address", address);
    let everything = Wishes { topics: Topic::ALL.to_vec(), at_once: false, digest_hour: DIGEST_HOUR };
    let wishes = entered.check(&mut checks, everything);
    checks.done()?;
    needs_mail(service)?;
    let (now, actor) = (service.now(), caller.actor());
    let (id, address, state) = (EmailId::new(now), address.unwrap_or_default(), AddressState::Unconfirmed);
    let new = Address { id, address, wishes, state, created_at: now, confirmed_at: None, problem: None };
    let added = caller.db.write(move |t| {
        t.add_email_address(&new)?;
        t.ask_to_confirm(&new, now)?;
        let subject = format!("email:{id}");
        let mut entry = audited(&actor, "email.added", &subject);
        entry.after = Some(shown(&new));
        t.append_audit(&entry, now)?;
        Ok(new.clone())
    });
    Ok(added.await?)
}

/// Changes what an address wants.
///
/// # Errors
/// No such address, or every invalid field.
pub async fn change(service: &Service, caller: &Caller, id: EmailId, entered: EnteredAddress) -> Result<Address> {
    let (now, actor) = (service.now(), caller.actor());
    let changed = caller.db.write(move |t| {
        let before = t.email_address(id)?;
        let mut checks = Checks::default();
        let after = Address { wishes: entered.check(&mut checks, before.wishes.clone()), ..before.clone() };
        checks.done().map_err(db::Error::Invalid)?;
        t.save_email_wishes(id, &after.wishes, now)?;
        let subject = format!("email:{id}");
        let mut entry = audited(&actor, "email.changed", &subject);
        (entry.before, entry.after) = (Some(shown(&before)), Some(shown(&after)));
        t.append_audit(&entry, now)?;
        Ok(after)
    });
    Ok(changed.await?)
}

/// Sends an address that gets no mails another one that asks to confirm it.
///
/// # Errors
/// No such address; or a conflict if it is confirmed, too many mails have asked the same, or the operator has not set up e-mail.
pub async fn ask_again(service: &Service, caller: &Caller, id: EmailId) -> Result<()> {
    let now = service.now();
    caller.db.read(move |t| t.email_address(id)).await?;
    needs_mail(service)?;
    let asked = caller.db.write(move |t| {
        let address = t.email_address(id)?;
        if address.state == AddressState::Confirmed {
            return Err(db::Error::Conflict("this address is confirmed".to_owned()));
        }
        t.ask_to_confirm(&address, now)
    });
    Ok(asked.await?)
}

/// Deletes an address and what waits for it.
///
/// # Errors
/// No such address.
pub async fn remove(service: &Service, caller: &Caller, id: EmailId) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let removed = caller.db.write(move |t| {
        let before = t.email_address(id)?;
        t.delete_email_address(id, now)?;
        let subject = format!("email:{id}");
        let mut entry = audited(&actor, "email.removed", &subject);
        entry.before = Some(shown(&before));
        t.append_audit(&entry, now)
    });
    Ok(removed.await?)
}

/// A new token of a link, and its digest. It begins with the seller's id, so that its link is looked up among that seller's.
pub(super) fn new_token(seller: SellerId) -> db::Result<(SecretString, Vec<u8>)> {
    let mut bytes = seller.bytes();
    let mut random = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|_| db::Error::Unavailable("no random numbers are available".to_owned()))?;
    bytes.extend(random);
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(&bytes));
    let hash = digest(&token);
    Ok((token, hash))
}

fn digest(token: &SecretString) -> Vec<u8> {
    Sha256::digest(token.expose_secret().as_bytes()).to_vec()
}

/// What a link in a mail leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The address.
    pub address: Address,
    /// The name of the seller whose it is.
    pub seller: String,
}

/// The rows of the seller whose link has this token, and its digest.
fn owner(service: &Service, token: &SecretString) -> Result<(SellerDb, Vec<u8>)> {
    let text = token.expose_secret();
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == ID_BYTES + TOKEN_BYTES);
    let seller = bytes.as_deref().and_then(|bytes| bytes.get(..ID_BYTES)).and_then(SellerId::from_bytes);
    Ok((service.db.seller(seller.ok_or(db::Error::NotFound)?), digest(token)))
}

/// What the link with this token leads to. Changes nothing: mail programs open links before people do.
///
/// # Errors
/// Not found if the link is unknown, has expired, or does something else.
pub async fn look(service: &Service, token: &SecretString, purpose: Purpose) -> Result<Linked> {
    let ((db, hash), now) = (owner(service, token)?, service.now());
    let read = db.read(move |t| Ok(Linked { address: t.email_link(&hash, purpose, now)?, seller: t.seller_name()? }));
    Ok(read.await?)
}

/// Does what the link with this token is for, and nothing if it was done before: a link to unsubscribe works as often as it is opened.
///
/// # Errors
/// Those of [`look`].
pub async fn follow(service: &Service, token: &SecretString, purpose: Purpose) -> Result<Linked> {
    // Whoever guesses takes no seller's lock.
    let linked = look(service, token, purpose).await?;
    let is_done = move |address: &Address| purpose == Purpose::Unsubscribe && address.state == AddressState::Unsubscribed;
    if is_done(&linked.address) {
        return Ok(linked);
    }
    let ((db, hash), now) = (owner(service, token)?, service.now());
    let followed = db.write(move |t| {
        let (address, action) = match purpose {
            Purpose::Confirm => (t.confirm_email(&hash, now)?, "email.confirmed"),
            Purpose::Unsubscribe => (t.unsubscribe_email(&hash, now)?, "email.unsubscribed"),
        };
        if is_done(&address) {
            return Ok(Linked { address, seller: t.seller_name()? });
        }
        let subject = format!("email:{}", address.id);
        let mut entry = audited(READER, action, &subject);
        entry.after = Some(shown(&address));
        t.append_audit(&entry, now)?;
        Ok(Linked { address, seller: t.seller_name()? })
    });
    Ok(followed.await?)
}
