//! Mails about what happens: sellers' addresses, what they want, and when a mail is made and sent again.
//!
//! An address gets nothing but a request to confirm it until somebody has followed the link in that. Then what is urgent is mailed
//! at once, and everything else once a day, but never more than one mail an hour. `news` says what a line of a mail is,
//! `letter` how a mail reads.
use super::Timestamp;
use super::schedule::instant_of;
use super::topic::Topic;
use super::webhook::next_attempt;
use chrono::{Days, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde::Serialize;
use std::time::Duration;

/// Addresses per seller.
pub const MAX_ADDRESSES: usize = 5;
/// News that wait for one address; further ones are only counted.
pub const MAX_NEWS: i64 = 200;
/// The most lines of a mail; further ones are only counted.
pub const MAX_LISTED: usize = 40;
/// When a digest comes unless the seller says otherwise.
pub const DIGEST_HOUR: i64 = 8;
/// The least time between two mails to one address.
pub const BETWEEN_MAILS: Duration = Duration::from_secs(3600);
/// How long the link that confirms an address works.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(48 * 3600);
/// How long the link that unsubscribes one works.
pub const UNSUBSCRIBE_WITHIN: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long requests to confirm an address are counted.
pub const COUNTED_FOR: Duration = Duration::from_secs(24 * 3600);
/// The most requests to confirm one address in that time, whoever made them.
pub const MAX_TO_ONE: i64 = 3;
/// The most of one seller in that time.
pub const MAX_OF_SELLER: i64 = 20;
/// How long it is remembered that whoever reads an address has unsubscribed it.
pub const DECLINED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Once may be a mistake. Whoever has unsubscribed an address of one seller so often is not asked again in that time.
pub const MAX_DECLINED: i64 = 2;
/// News are kept no shorter, because they may wait for a digest, and their mail for its server.
pub const NEWS_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// What a seller reads of a mail that was not sent for a reason that is the operator's business.
pub const NOT_SENT: &str = "The last mail could not be sent. The operator of this service must act.";
/// For how long a mail that is being sent is nobody else's to send.
pub const SENDING: Duration = Duration::from_secs(180);
/// The pause after a mail server has refused an address for good: it may have been a mistake of the server's.
const AFTER_REFUSAL: Duration = Duration::from_secs(3600);
/// What waits for a pause that ends later was saved before the clock was set back, and waits no longer. That is twice the longest pause, because
/// it may have been saved after whoever looks has read the clock.
pub const TOO_FAR_AHEAD: Duration = Duration::from_secs(2 * 3600);
/// An address that was refused so often in a row gets no more mails.
pub const MAX_REFUSALS: i32 = 3;
/// A mail that may have waited for long before it was sent at first, because its seller was suspended or no mail server was set, is
/// not given up before: about a day's attempts.
const MIN_ATTEMPTS: i32 = 100;
/// No news waits longer for its digest, except where a zone skips a date.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::hours(49);

/// The most characters in an address, by RFC 5321.
const MAX_CHARS: usize = 254;
const MAX_LOCAL_CHARS: usize = 64;
/// What the part before the @ may have beside letters and digits.
const LOCAL_SIGNS: &str = "!#$%&'*+-/=?^_`{|}~.";

/// Checks an address and returns it with its domain in lower case. Only ASCII: a domain in another script has its form in `xn--`.
///
/// # Errors
/// What it must be.
pub fn parse_address(text: &str) -> Result<String, &'static str> {
    const ERROR: &str = "must be an e-mail address, such as ada@example.com";
    let (local, domain) = text.trim().rsplit_once('@').ok_or(ERROR)?;
    let is_local = !local.is_empty()
        && local.len() <= MAX_LOCAL_CHARS
        && local.chars().all(|c| c.is_ascii_alphanumeric() || LOCAL_SIGNS.contains(c))
        && local.split('.').all(|part| !part.is_empty());
    let is_label = |label: &str| {
        let fits = !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && !label.starts_with('-') && !label.ends_with('-')
    };
    let ends_in_letters = domain.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
    let is_domain = domain.contains('.') && domain.split('.').all(is_label) && ends_in_letters;
    let whole = format!("{local}@{}", domain.to_ascii_lowercase());
    if is_local && is_domain && whole.len() <= MAX_CHARS { Ok(whole) } else { Err(ERROR) }
}

/// Whose mailbox an address is, as most mail servers see it: whatever its case, and without what follows a plus sign.
pub fn mailbox_of(address: &str) -> String {
    let lower = address.to_ascii_lowercase();
    match lower.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().filter(|name| !name.is_empty()).unwrap_or(local)),
        None => lower,
    }
}

/// Whether an address gets mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = EmailAddressState)]
#[serde(rename_all = "snake_case")]
pub enum AddressState {
    /// Not before somebody has followed the link in the mail that asks for it.
    Unconfirmed,
    /// It does.
    Confirmed,
    /// Not any more, at the wish of whoever reads them.
    Unsubscribed,
    /// Not any more, because its mail server refuses it.
    Refused,
}

impl AddressState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unconfirmed, Self::Confirmed, Self::Unsubscribed, Self::Refused];
}

/// What an address wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// What it is mailed about.
    pub topics: Vec<Topic>,
    /// Everything is mailed at once, not only what is urgent.
    pub at_once: bool,
    /// The hour of the digest in the seller's zone.
    pub digest_hour: i64,
}

impl Wishes {
    /// When news that come in at `now` are to be mailed, but for the pause between two mails.
    pub fn due_at(&self, urgent: bool, zone: Tz, now: Timestamp) -> Timestamp {
        if urgent || self.at_once {
            return now;
        }
        let time = u32::try_from(self.digest_hour).ok().and_then(|hour| NaiveTime::from_hms_opt(hour, 0, 0)).unwrap_or_default();
        let today = now.in_zone(zone).date_naive();
        let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
        let days = yesterday.iter_days().take(4).map(|date| instant_of(date, time, zone));
        days.into_iter().find(|at| *at > now).unwrap_or(now + TimeDelta::days(1))
    }
}

/// What came of sending a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The mail server has it.
    Accepted,
    /// It refuses this recipient for good.
    Refused(String),
    /// It does not take mails for this recipient now.
    PutOff(String),
    /// It was not sent, whoever the recipient.
    Failed(String),
    /// It may have been sent: there was no answer after its last byte.
    Unanswered(String),
}

impl Posted {
    /// One word for it, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::PutOff(_) => "put_off",
            Self::Failed(_) => "failed",
            Self::Unanswered(_) => "unanswered",
        }
    }

    /// Why it is not known to have been sent.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Refused(why) | Self::PutOff(why) | Self::Failed(why) | Self::Unanswered(why) => Some(why),
        }
    }

    /// What the seller reads of that. What a mail server says about itself and about the operator is not for sellers.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Refused(why) | Self::PutOff(why) => Some(why),
            Self::Failed(_) | Self::Unanswered(_) => Some(NOT_SENT),
        }
    }

    /// Whether nobody can have the mail.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::PutOff(_) | Self::Failed(_))
    }
}

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was sent.
    Sent,
    /// It is sent again.
    Again(Timestamp),
    /// It is given up.
    GivenUp,
    /// It is given up, and so is its address.
    EndsAddress,
}

/// What becomes of a mail that was made at `made_at`, sent `attempts` times, and whose recipient was refused `refusals` times in a
/// row, each with the present one. `draw` is a random number from 0 to 1.
pub fn after(posted: &Posted, (made_at, attempts, refusals): (Timestamp, i32, i32), draw: f64, now: Timestamp) -> Next {
    match posted {
        Posted::Accepted => Next::Sent,
        Posted::Refused(_) if refusals >= MAX_REFUSALS => Next::EndsAddress,
        Posted::Refused(_) => Next::Again(now + AFTER_REFUSAL),
        Posted::PutOff(_) | Posted::Failed(_) | Posted::Unanswered(_) => {
            let made_at = if attempts < MIN_ATTEMPTS { now } else { made_at };
            next_attempt(made_at, u32::try_from(attempts).unwrap_or(u32::MAX), draw, now).map_or(Next::GivenUp, Next::Again)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Berlin;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_taken_with_its_domain_in_lower_case_and_nothing_else_is() {
        assert_eq!(parse_address(" Ada.Lovelace+stock@Example.COM "), Ok("Ada.Lovelace+stock@example.com".to_owned()));
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("ada@{}.com", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60), "e".repeat(60)].join("."));
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@example..com",
            "ada@-example.com",
            "ada@127.0.0.1",
            "a da@example.com",
            "ada@exam ple.com",
            "ada..b@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "ada\r\n@example.com",
            "Ada <ada@example.com>",
            "ada@example.com,eve@example.com",
            "\"a b\"@example.com",
            "äda@example.com",
            "ada@exämple.com",
            &long,
            &longer,
        ] {
            assert!(parse_address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_that_lead_to_one_mailbox_count_as_one() {
        for same in ["ada@example.com", "Ada@example.com", "aDA+stock@Example.COM", "ada+a+b@example.com"] {
            assert_eq!(mailbox_of(same), "ada@example.com", "{same}");
        }
        assert_eq!(
            (mailbox_of("+ada@example.com").as_str(), mailbox_of("b+ada@example.com").as_str()),
            ("+ada@example.com", "b@example.com")
        );
    }

    #[test]
    fn sellers_read_what_is_said_of_their_address_and_nothing_that_is_said_of_the_operators_server() {
        let why = || "535 stock@mail.internal".to_owned();
        for (posted, shown, unsent) in [
            (Posted::Accepted, None, false),
            (Posted::Refused(why()), Some(why()), true),
            (Posted::PutOff(why()), Some(why()), true),
            (Posted::Failed(why()), Some(NOT_SENT.to_owned()), true),
            (Posted::Unanswered(why()), Some(NOT_SENT.to_owned()), false),
        ] {
            assert_eq!((posted.problem(), posted.is_unsent()), (shown.as_deref(), unsent), "{posted:?}");
        }
    }

    #[test]
    fn a_digest_comes_at_its_hour_in_the_sellers_zone_and_what_is_urgent_at_once() {
        let wishes = Wishes { topics: Vec::new(), at_once: false, digest_hour: 8 };
        let daily = |now: &str| wishes.due_at(false, Berlin, at(now));
        assert_eq!(daily("2026-03-02T06:59:59Z"), at("2026-03-02T07:00:00Z"));
        assert_eq!(daily("2026-03-02T07:00:00Z"), at("2026-03-03T07:00:00Z"), "not twice in one day");
        assert_eq!(daily("2026-03-28T12:00:00Z"), at("2026-03-29T06:00:00Z"), "summer time begins");
        let skipped = Wishes { digest_hour: 2, ..wishes.clone() };
        assert_eq!(skipped.due_at(false, Berlin, at("2026-03-28T12:00:00Z")), at("2026-03-29T01:00:00Z"), "02:00 does not exist");
        let now = at("2026-03-02T12:00:00Z");
        assert_eq!(wishes.due_at(true, Berlin, now), now);
        assert_eq!(Wishes { at_once: true, ..wishes }.due_at(false, Berlin, now), now);
    }

    #[test]
    fn a_mail_is_sent_again_until_it_is_accepted_and_a_refused_address_is_given_up_after_a_few() {
        let (made, refused) = (at("2026-03-02T12:00:00Z"), Posted::Refused("550".to_owned()));
        let failed = Posted::Failed("no connection".to_owned());
        assert!(BETWEEN_MAILS.max(AFTER_REFUSAL) * 2 <= TOO_FAR_AHEAD);
        assert_eq!(after(&Posted::Accepted, (made, 1, 0), 0.5, made), Next::Sent);
        assert_eq!(after(&refused, (made, 1, 1), 0.5, made), Next::Again(made + AFTER_REFUSAL));
        assert_eq!(after(&refused, (made, 3, MAX_REFUSALS), 0.5, made), Next::EndsAddress);
        let Next::Again(next) = after(&failed, (made, 1, 0), 0.5, made) else { panic!("it is sent again") };
        assert!(next > made && next <= made + AFTER_REFUSAL);
        let later = made + Duration::from_secs(3 * 24 * 3600);
        assert_eq!(after(&failed, (made, MIN_ATTEMPTS, 0), 0.5, later), Next::GivenUp);
        assert!(matches!(after(&failed, (made, 1, 0), 0.5, later), Next::Again(_)), "it has waited for three days to be sent at all");
    }
}
