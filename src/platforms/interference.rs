//! Answers that do not come from the platform but from something in front of it or around it: a challenge of a bot
//! protection, a firewall, a maintenance page, PHP notices, a cache. They are recognized here for every connector, before
//! it reads the answer.
//!
//! What such an answer proves depends on who gives it. Only a challenge's own marker, and a 4xx, say that the request went
//! no further. Any other page may stand where the answer to a request would have been that was carried out.
//!
//! Sources (checked November 2026): Cloudflare, "Detecting a challenge page response" (`cf-mitigated: challenge`); AWS WAF,
//! "Challenge and CAPTCHA actions" (`x-amzn-waf-action`); RFC 9111, section 5.1 (`Age`). Seen: SiteGround's
//! `sg-captcha: challenge` under status 202. `X-Cache` and its relatives are conventions of caches, not a standard.
use super::call::{Action, Reply};
use crate::domain::delivery::Outcome;

/// Headers that mark an answer as a challenge: the request was stopped before it reached the shop.
const CHALLENGES: [(&str, &[&str]); 3] =
    [("cf-mitigated", &["challenge"]), ("sg-captcha", &["challenge"]), ("x-amzn-waf-action", &["challenge", "captcha"])];

/// Words in the pages of bot protections and firewalls, in lower case, with the name that the seller knows.
const GUARDS: [(&str, &str); 16] = [
    ("just a moment...", "Cloudflare"),
    ("attention required! | cloudflare", "Cloudflare"),
    ("challenge-platform", "Cloudflare"),
    ("cf-chl", "Cloudflare"),
    ("sgcaptcha", "SiteGround's bot protection"),
    ("_incapsula_resource", "Imperva"),
    ("captcha-delivery.com", "DataDome"),
    ("wordfence", "Wordfence"),
    ("sucuri website firewall", "Sucuri"),
    ("imunify360", "Imunify360"),
    ("mod_security", "ModSecurity"),
    ("modsecurity", "ModSecurity"),
    ("robot check", "a robot check"),
    ("are you a robot", "a robot check"),
    ("not a robot", "a robot check"),
    ("captcha", "a robot check"),
];

/// Words in pages that a shop shows while it is being maintained, in lower case.
const MAINTENANCE: [&str; 3] = ["maintenance", "briefly unavailable", "we'll be back soon"];

/// Beginnings of what PHP prints in front of an answer, in lower case and without markup.
const PHP: [&str; 7] = ["notice:", "warning:", "deprecated:", "fatal error:", "parse error:", "php notice:", "php warning:"];

const ALLOW: &str = "Allow this service in the shop's bot protection or firewall, for the paths of the platform's interface.";
const WAIT: &str = "Nothing to do if the maintenance is intended. Otherwise end the maintenance mode in the shop.";
const HIDE: &str = "Switch off the display of PHP messages in the shop (in WordPress: WP_DEBUG_DISPLAY), or mend the plugin named there.";
const UNLOCK: &str = "Remove the password protection of the shop's server for the paths of the platform's interface.";
const UNCACHE: &str = "Exclude the paths of the platform's interface from the shop's cache.";

/// The text with what may stand before an answer and means nothing: a byte order mark, and blanks.
pub fn without_noise(body: &str) -> &str {
    body.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
}

/// What the answer to `action` means if it does not come from the platform; `None` if the connector is to read it.
pub fn recognize(action: Action, reply: &Reply) -> Option<Outcome> {
    let reads = matches!(action, Action::Read | Action::Check);
    let closed = |reason: String, next_step: &str| Outcome::Closed { reason, next_step: next_step.to_owned() };
    // A page that proves nothing: whatever was asked to be changed may have been.
    let page = |reason: String, next_step: &str| match reads || (400..500).contains(&reply.status) {
        true => closed(reason, next_step),
        false => Outcome::Obscured { reason, next_step: next_step.to_owned() },
    };
    let status = reply.status;
    if is_challenge(reply) {
        return Some(closed(format!("A bot protection in front of the shop demanded a challenge instead of answering ({status})."), ALLOW));
    }
    if reads && let Some(cache) = cached(reply).filter(|_| (200..300).contains(&status)) {
        let reason = format!("A cache in front of the shop answered ({cache}), which says nothing about the present. {UNCACHE}");
        return Some(Outcome::TryAgain { reason, after: None, throttled: false });
    }
    if is_json(reply) {
        return None;
    }
    let text = reply.body.to_lowercase();
    if let Some(message) = php_message(&text) {
        return Some(page(format!("A PHP message stands where the shop's answer should be: {message}"), HIDE));
    }
    if !is_page(reply) {
        return None;
    }
    if let Some((_, guard)) = GUARDS.iter().find(|(words, _)| text.contains(words)) {
        return Some(page(format!("A page of {guard} came instead of the shop's answer ({status})."), ALLOW));
    }
    if !(400..500).contains(&status) && MAINTENANCE.iter().any(|words| text.contains(words)) {
        return Some(page(format!("The shop is under maintenance: it answered with its maintenance page ({status})."), WAIT));
    }
    match status {
        401 => Some(closed("The shop's web server itself asks for a password (401).".to_owned(), UNLOCK)),
        403 | 406 => Some(closed(format!("The shop's firewall blocks this service ({status})."), ALLOW)),
        _ => None,
    }
}

/// A 5xx is a failure on the way or in the middle, unless the platform says itself, in its own format, what it refused.
pub fn proves_nothing(reply: &Reply) -> bool {
    (reply.status == 408 || reply.status >= 500) && !is_json(reply)
}

fn is_challenge(reply: &Reply) -> bool {
    let marks = |(header, values): &(&str, &[&str])| reply.header(header).is_some_and(|found| values.contains(&found.trim()));
    CHALLENGES.iter().any(marks)
}

/// How a cache says that it has answered: the answer's age in seconds, or a hit.
fn cached(reply: &Reply) -> Option<String> {
    if let Some(age) = reply.header("age").and_then(|age| age.trim().parse::<u64>().ok()).filter(|age| *age > 0) {
        return Some(format!("the answer is {age} s old"));
    }
    let hits = ["x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache", "x-litespeed-cache", "x-fastcgi-cache"];
    let is_hit = |name: &&str| reply.header(name).is_some_and(|found| found.to_lowercase().split([' ', ',']).any(|word| word == "hit"));
    hits.iter().find(|name| is_hit(name)).map(|name| format!("{name}: hit"))
}

fn is_json(reply: &Reply) -> bool {
    without_noise(&reply.body).starts_with(['{', '['])
}

fn is_page(reply: &Reply) -> bool {
    let html = reply.header("content-type").is_some_and(|kind| kind.to_lowercase().contains("html"));
    html || without_noise(&reply.body).starts_with('<')
}

/// The first message that PHP printed in front of the answer, without markup.
fn php_message(lower: &str) -> Option<String> {
    let start: String = lower.chars().take(400).collect();
    let mut plain = String::new();
    let mut in_tag = false;
    for c in start.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            _ if !in_tag => plain.push(c),
            _ => {}
        }
    }
    let line = plain.lines().map(str::trim).find(|line| !line.is_empty())?;
    (PHP.iter().any(|word| line.starts_with(word)) && line.contains(" on line ")).then(|| line.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::test_reply;
    use super::*;

    const PAGE: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    /// How a read and a write are affected: `C` closed, `O` obscured, `-` left to the connector.
    fn both(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let reply = test_reply(status, headers, body);
        let letter = |action| match recognize(action, &reply) {
            None => '-',
            Some(Outcome::Closed { .. }) => 'C',
            Some(Outcome::Obscured { .. }) => 'O',
            Some(Outcome::TryAgain { throttled: false, .. }) => 'T',
            Some(other) => panic!("{other:?}"),
        };
        [letter(Action::Read), letter(Action::Set)].iter().collect()
    }

    #[test]
    fn only_a_challenges_marker_or_a_4xx_proves_that_a_write_went_no_further() {
        let page = "<html><title>Just a moment...</title></html>";
        assert_eq!(both(403, &[PAGE, ("cf-mitigated", "challenge")], page), "CC");
        assert_eq!(both(202, &[PAGE, ("sg-captcha", "challenge")], "<html></html>"), "CC");
        assert_eq!(both(202, &[("x-amzn-waf-action", "challenge")], ""), "CC");
        assert_eq!(both(403, &[PAGE], page), "CC");
        for status in [200, 202, 503] {
            assert_eq!(both(status, &[PAGE], page), "CO", "{status}");
            assert_eq!(both(status, &[PAGE], "<h1>Briefly unavailable for scheduled maintenance.</h1>"), "CO", "{status}");
        }
        assert_eq!(both(403, &[PAGE], "<h1>Forbidden</h1>"), "CC");
        assert_eq!(both(401, &[PAGE], "<h1>Authorization required</h1>"), "CC");
    }

    #[test]
    fn an_answer_of_the_platform_is_left_to_its_connector() {
        for (status, body) in
            [(200, "{}"), (503, r#"{"message": "captcha maintenance"}"#), (403, "{}"), (500, "[]"), (502, ""), (200, "rubbish")]
        {
            assert_eq!(both(status, &[], body), "--", "{status} {body}");
        }
        assert_eq!(both(502, &[PAGE], "<h1>Bad gateway</h1>"), "--");
        assert_eq!(both(404, &[PAGE], "<h1>Not found</h1>"), "--");
    }

    #[test]
    fn php_messages_are_quoted() {
        let body = "<br />\n<b>Notice</b>:  Undefined index: x in <b>/var/www/plugin.php</b> on line <b>12</b><br />\n[{\"id\": 1}]";
        assert_eq!(both(200, &[], body), "CO");
        let Some(Outcome::Closed { reason, .. }) = recognize(Action::Read, &test_reply(200, &[], body)) else { panic!() };
        assert!(reason.contains("undefined index: x in /var/www/plugin.php on line 12"), "{reason}");
        assert_eq!(both(200, &[], "PHP Warning: no such file in /a.php on line 3\n{}"), "CO");
        assert_eq!(both(200, &[], "Warning: low stock\n{}"), "--");
    }

    #[test]
    fn an_answer_that_says_it_is_cached_is_no_answer_to_a_read() {
        for header in [
            ("age", "35"),
            ("x-cache", "HIT"),
            ("x-cache", "Hit from cloudfront"),
            ("cf-cache-status", "HIT"),
            ("x-litespeed-cache", "hit"),
        ] {
            assert_eq!(both(200, &[header], "{}"), "T-", "{header:?}");
        }
        for header in [("age", "0"), ("x-cache", "MISS"), ("cf-cache-status", "DYNAMIC")] {
            assert_eq!(both(200, &[header], "{}"), "--", "{header:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(without_noise("\u{feff}\r\n {}"), "{}");
        assert_eq!(both(200, &[], "\u{feff}{}"), "--");
    }
}
