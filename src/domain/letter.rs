//! How mails read: a digest, a request to confirm an address, a test. Each as text and as plain HTML that says the same.
//!
//! What sellers and platforms write reaches the lines of a mail only through [`plain`], and HTML only through [`escaped`].
use super::acting::{MustAct, Trouble};
use super::mail::MAX_LISTED;
use super::news::News;
use super::{MailId, Timestamp};
use chrono_tz::Tz;

/// The most characters of a name or a reason.
const MAX_CHARS: usize = 300;

/// A mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is known by to mail servers; the same each time it is sent.
    pub id: MailId,
    /// The recipient's address.
    pub to: String,
    /// What it is about: only words of this file and numbers.
    pub subject: String,
    /// The content as text.
    pub text: String,
    /// The content as HTML.
    pub html: String,
    /// Where to unsubscribe.
    pub unsubscribe: Option<String>,
    /// Its date.
    pub at: Timestamp,
}

/// What a digest is made of.
#[derive(Debug, Clone)]
pub struct Digest<'a> {
    /// The seller's name.
    pub seller: &'a str,
    /// The seller's zone.
    pub zone: Tz,
    /// Where browsers reach this service.
    pub public_url: &'a str,
    /// What has happened.
    pub news: Vec<News>,
    /// How much more has happened.
    pub omitted: i64,
}

/// Puts a mail together, line by line.
#[derive(Default)]
struct Page {
    text: String,
    html: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        self.text.push_str(&format!("{}\n{}\n\n", heading, "-".repeat(heading.chars().count())));
        self.html.push_str(&format!("<h2>{}</h2>\n", escaped(heading)));
    }

    fn paragraph(&mut self, line: &str) {
        self.text.push_str(&format!("{line}\n\n"));
        self.html.push_str(&format!("<p>{}</p>\n", escaped(line)));
    }

    /// A line with a link below it.
    fn link(&mut self, line: &str, label: &str, url: &str) {
        self.text.push_str(&format!("{line}\n{url}\n\n"));
        let line = if line.is_empty() { String::new() } else { format!("{}<br>", escaped(line)) };
        self.html.push_str(&format!("<p>{line}<a href=\"{}\">{}</a></p>\n", escaped(url), escaped(label)));
    }

    fn item(&mut self, lines: &[String], url: &str) {
        let mut lines = lines.iter();
        let first = lines.next().map(String::as_str).unwrap_or_default();
        self.text.push_str(&format!("* {first}\n"));
        self.html.push_str(&format!("<p><strong>{}</strong>", escaped(first)));
        for line in lines {
            self.text.push_str(&format!("  {line}\n"));
            self.html.push_str(&format!("<br>{}", escaped(line)));
        }
        self.text.push_str(&format!("  {url}\n\n"));
        self.html.push_str(&format!("<br><a href=\"{}\">Open in the console</a></p>\n", escaped(url)));
    }

    fn letter(self, (id, to, at): (MailId, &str, Timestamp), subject: String, unsubscribe: Option<String>) -> Letter {
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title></head><body>\n{}</body></html>\n",
            escaped(&subject),
            self.html
        );
        Letter { id, to: to.to_owned(), subject, text: self.text, html, unsubscribe, at }
    }
}

/// A digest. `unsubscribe` is the link that does so.
pub fn digest(mail: (MailId, &str, Timestamp), digest: &Digest<'_>, unsubscribe: String) -> Letter {
    let mut page = Page::default();
    let mut listed: Vec<&News> = digest.news.iter().collect();
    listed.sort_by_key(|news| (place(news), news.since));
    let yours = listed.iter().filter(|news| must_act(news) == Some(MustAct::Seller)).count();
    let more = listed.len().saturating_sub(MAX_LISTED);
    let mut section = None;
    for news in listed.iter().take(MAX_LISTED) {
        if section != Some(place(news)) {
            section = Some(place(news));
            page.heading(heading(must_act(news)));
        }
        let since = news.since.in_zone(digest.zone).format("%-d %B %Y, %H:%M (%Z)");
        let mut lines = vec![plain(&news.sentence()), format!("Since {since}.")];
        lines.extend(news.detail.as_deref().map(plain));
        lines.extend(news.what.trouble().map(|trouble| format!("Next step: {}", trouble.next_step())));
        page.item(&lines, &format!("{}{}", digest.public_url, news.path));
    }
    let more = i64::try_from(more).unwrap_or(i64::MAX).saturating_add(digest.omitted);
    if more > 0 {
        page.paragraph(&format!("And {more} more."));
    }
    let why = format!("You get this mail because this address was confirmed for {} at Stocktide.", plain(digest.seller));
    page.link(&why, "Unsubscribe", &unsubscribe);
    let subject = match (yours, listed.len()) {
        (0, 1) => "Stocktide: 1 message about your stores".to_owned(),
        (0, all) => format!("Stocktide: {all} messages about your stores"),
        (1, _) => "Stocktide: 1 thing needs you".to_owned(),
        (yours, _) => format!("Stocktide: {yours} things need you"),
    };
    page.letter(mail, subject, Some(unsubscribe))
}

/// Asks whoever reads an address whether it is to get mails.
pub fn confirmation(mail: (MailId, &str, Timestamp), seller: &str, confirm: &str, unsubscribe: String) -> Letter {
    let mut page = Page::default();
    let seller = plain(seller);
    page.paragraph(&format!("{seller} wants mails about its stores to be sent to this address by Stocktide."));
    page.link("If that is right, open this page and confirm it within two days:", "Confirm this address", confirm);
    page.paragraph("If you do nothing, no such mails are sent.");
    page.link("To have no further requests sent to you:", "Unsubscribe", &unsubscribe);
    page.letter(mail, "Stocktide: confirm this address".to_owned(), Some(unsubscribe))
}

/// A mail by which an operator sees whether mails arrive.
pub fn test(mail: (MailId, &str, Timestamp)) -> Letter {
    let mut page = Page::default();
    page.paragraph("This mail was sent by `stocktide check-mail`. Mails of this service arrive at this address.");
    page.letter(mail, "Stocktide: a test".to_owned(), None)
}

fn must_act(news: &News) -> Option<MustAct> {
    news.what.trouble().map(Trouble::must_act)
}

/// The order of the sections: what nobody must do anything about comes last.
fn place(news: &News) -> (bool, Option<MustAct>) {
    (must_act(news).is_none(), must_act(news))
}

fn heading(must_act: Option<MustAct>) -> &'static str {
    match must_act {
        Some(MustAct::Seller) => "You must act",
        Some(MustAct::Shop) => "The shop must act",
        Some(MustAct::Operator) => "The operator of this service must act",
        None => "For your information",
    }
}

/// The text on one line, without what could pass for something else, and not too long.
fn plain(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut line: String = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).take(MAX_CHARS + 1).collect();
    if line.chars().count() > MAX_CHARS {
        line.pop();
        line.push('…');
    }
    line
}

/// The text as part of HTML, also within quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::StoreId;
    use uuid::Uuid;

    const AT: Timestamp = Timestamp::from_millis(1_772_452_800_000);

    fn mail() -> (MailId, &'static str, Timestamp) {
        (MailId(Uuid::from_u128(1)), "ada@example.com", AT)
    }

    fn store(n: u128) -> StoreId {
        StoreId(Uuid::from_u128(n))
    }

    fn of(news: Vec<News>, omitted: i64) -> Letter {
        let zone = chrono_tz::Europe::Berlin;
        let made = Digest { seller: "Ada's", zone, public_url: "https://stock.example.com", news, omitted };
        digest(mail(), &made, "https://stock.example.com/email/unsubscribe/x".to_owned())
    }

    #[test]
    fn a_digest_lists_what_happened_by_who_must_act_since_when_and_with_the_next_step() {
        let refused = News { since: AT, ..News::needs_reauthorization(store(1), "Corner", "401.") };
        let unreadable = News::needs_reauthorization(store(2), "Till", super::super::access::CREDENTIALS_UNREADABLE);
        let letter = of(vec![unreadable, refused], 0);
        assert_eq!(letter.subject, "Stocktide: 1 thing needs you");
        for (text, name) in [(&letter.text, "text"), (&letter.html, "html")] {
            let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in the {name}: {text}"));
            assert!(place("You must act") < place("Corner refuses its credentials"));
            assert!(place("Corner refuses its credentials") < place("2 March 2026, 13:00 (CET)"));
            assert!(place("connect it again, or enter new credentials") < place("The operator of this service must act"));
            assert!(place("The operator of this service must act") < place("The credentials of Till cannot be opened"));
            place(&format!("https://stock.example.com/console/stores/{}", store(1)));
            place("https://stock.example.com/email/unsubscribe/x");
        }
    }

    #[test]
    fn a_long_digest_names_some_and_counts_the_others() {
        let news = (0..u128::try_from(MAX_LISTED).unwrap() + 12).map(|n| News::rejected(store(n), "Corner", 1, None)).collect();
        let letter = of(news, 200);
        assert_eq!(letter.text.matches("has rejected 1 update.").count(), MAX_LISTED);
        assert!(letter.text.contains("And 212 more.") && letter.html.contains("And 212 more."));
    }

    #[test]
    fn what_others_write_can_neither_break_lines_nor_become_markup() {
        let name = "<b>Corner</b> & \"co\"\r\nBcc: eve@example.com\u{202e}";
        let letter = of(vec![News::rejected(store(1), name, 1, Some(format!("{}\n<script>", "x".repeat(400))))], 0);
        assert!(letter.html.contains("&lt;b&gt;Corner&lt;/b&gt; &amp; &quot;co&quot;  Bcc: eve@example.com "), "{}", letter.html);
        assert!(!letter.html.contains("<b>") && !letter.html.contains("<script>") && !letter.text.contains('\u{202e}'));
        assert!(!letter.text.contains("\nBcc:") && letter.text.contains("xx…"), "{}", letter.text);
        assert!(letter.subject.is_ascii() && !letter.subject.contains("Corner"));
    }

    #[test]
    fn a_request_to_confirm_an_address_says_who_wants_it_and_how_to_decline() {
        let letter =
            confirmation(mail(), "Ada's shop", "https://a.example/email/confirm/t", "https://a.example/email/unsubscribe/u".into());
        assert!(letter.text.contains("Ada's shop wants") && letter.text.contains("\nhttps://a.example/email/confirm/t\n"));
        assert!(letter.html.contains("<a href=\"https://a.example/email/confirm/t\">Confirm this address</a>"), "{}", letter.html);
        assert_eq!(letter.unsubscribe.as_deref(), Some("https://a.example/email/unsubscribe/u"));
    }
}
