//! How real shops, their proxies and their firewalls misbehave. Each kind was seen at real shops;
//! `src/doc/misbehaving_shops.md` says what the service does about it.
use super::exchange::Answer;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a pause given as a date is, in seconds.
pub const DATED_PAUSE_S: i64 = 90;

const PROXY: &str = "<html><h1>502 Bad Gateway</h1><hr>nginx</html>";
const MAINTENANCE: &str = "<h1>Briefly unavailable for scheduled maintenance. Check back in a minute.</h1>";
const ROBOT: &str = "<html><title>Robot Check</title>To continue, please confirm that you are not a robot.</html>";
const FIREWALL: &str = "<html><h1>403 Forbidden</h1></html>";
const NOTICE: &str = "<br />\n<b>Notice</b>:  Undefined index: tax in <b>/srv/shop/plugin.php</b> on line <b>12</b><br />\n";

/// Members of answers that hold quantities and ids, in any of the faces.
const QUANTITIES: [&str; 4] = ["quantity", "stock", "total_available_stock", "available"];
const IDS: [&str; 3] = ["external_id", "item_id", "model_id"];

/// What a shop does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehavior {
    /// Carries out the request and answers 503.
    UnavailableAfter,
    /// Carries out the request; a proxy answers 502 with a page of its own.
    ProxyPageAfter,
    /// Carries out the request and answers with its maintenance page.
    MaintenanceAfter,
    /// Answers with its maintenance page instead.
    MaintenanceBefore,
    /// A bot protection demands a challenge, and says so in a header.
    Challenge,
    /// A bot protection shows a page with a robot check.
    RobotCheck,
    /// A firewall refuses the request with a page of its own.
    Firewall,
    /// Refuses the request as one too many, and gives the pause as a date.
    RetryAfterDate,
    /// Puts a byte order mark before its answer.
    ByteOrderMark,
    /// Puts a message of PHP before its answer.
    PhpNotice,
    /// A cache answers a read, and says so.
    SaysCached,
    /// Writes quantities as text.
    QuantityAsText,
    /// Leaves the first quantity of its answer empty.
    EmptyQuantity,
    /// Writes ids that are text as numbers, and those that are numbers as text.
    OddIds,
}

/// The part of a call that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing arrives at the platform.
    Way,
    /// The request is carried out, and something else is answered.
    WayBack,
    /// The platform's own answer is written strangely.
    Answer,
}

impl Misbehavior {
    /// Every kind, with its name in the options.
    pub const ALL: [(Self, &str); 14] = [
        (Self::UnavailableAfter, "unavailable_after"),
        (Self::ProxyPageAfter, "proxy_page_after"),
        (Self::MaintenanceAfter, "maintenance_after"),
        (Self::MaintenanceBefore, "maintenance_before"),
        (Self::Challenge, "challenge"),
        (Self::RobotCheck, "robot_check"),
        (Self::Firewall, "firewall"),
        (Self::RetryAfterDate, "retry_after_date"),
        (Self::ByteOrderMark, "byte_order_mark"),
        (Self::PhpNotice, "php_notice"),
        (Self::SaysCached, "says_cached"),
        (Self::QuantityAsText, "quantity_as_text"),
        (Self::EmptyQuantity, "empty_quantity"),
        (Self::OddIds, "odd_ids"),
    ];

    /// Its name in the options and in the counts.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Which part of a call it concerns.
    pub fn part(self) -> Part {
        match self {
            Self::MaintenanceBefore | Self::Challenge | Self::RobotCheck | Self::Firewall | Self::RetryAfterDate => Part::Way,
            Self::UnavailableAfter | Self::ProxyPageAfter | Self::MaintenanceAfter => Part::WayBack,
            Self::ByteOrderMark | Self::PhpNotice | Self::SaysCached | Self::QuantityAsText | Self::EmptyQuantity | Self::OddIds => {
                Part::Answer
            }
        }
    }

    /// Whether it can befall a call that reads, or one that writes.
    pub fn befalls(self, reads: bool) -> bool {
        match self {
            Self::SaysCached => reads,
            _ => !reads || self.part() != Part::WayBack,
        }
    }

    /// What is answered instead of the platform; `None` if the platform itself answers.
    pub fn instead(self, now_us: i64) -> Option<Answer> {
        let page = |status: u16, text: &str| Answer { headers: vec![("content-type", "text/html".to_owned())], ..empty(status, text) };
        Some(match self {
            Self::UnavailableAfter => empty(503, ""),
            Self::ProxyPageAfter => page(502, PROXY),
            Self::MaintenanceAfter | Self::MaintenanceBefore => page(503, MAINTENANCE),
            Self::Challenge => {
                let mut challenge = page(202, "<html></html>");
                challenge.headers.push(("sg-captcha", "challenge".to_owned()));
                challenge
            }
            Self::RobotCheck => page(503, ROBOT),
            Self::Firewall => page(403, FIREWALL),
            Self::RetryAfterDate => {
                let at = |us: i64| DateTime::from_timestamp_micros(us).map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
                let dates = [("date", at(now_us)), ("retry-after", at(now_us.saturating_add(DATED_PAUSE_S * 1_000_000)))];
                let headers = dates.into_iter().filter_map(|(name, date)| Some((name, date?))).collect();
                Answer { headers, ..empty(429, "") }
            }
            _ => return None,
        })
    }

    /// The platform's own answer as it arrives.
    pub fn disguise(self, mut answer: Answer) -> Answer {
        match self {
            Self::ByteOrderMark => answer.text = Some(format!("\u{feff}{}", answer.text())),
            Self::PhpNotice => answer.text = Some(format!("{NOTICE}{}", answer.text())),
            Self::SaysCached => answer.headers.extend([("age", "35".to_owned()), ("x-cache", "HIT".to_owned())]),
            Self::QuantityAsText => {
                members(&mut answer.body, &QUANTITIES, &mut |value| {
                    if value.is_i64() {
                        *value = json!(value.to_string());
                    }
                    true
                });
            }
            Self::EmptyQuantity => {
                members(&mut answer.body, &QUANTITIES, &mut |value| {
                    let is_quantity = value.is_i64();
                    if is_quantity {
                        *value = json!("");
                    }
                    !is_quantity
                });
            }
            Self::OddIds => {
                members(&mut answer.body, &IDS, &mut |value| {
                    let number = value.as_str().and_then(|text| text.parse::<u64>().ok());
                    *value = number.map_or_else(|| json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned)), Value::from);
                    true
                });
            }
            _ => {}
        }
        answer
    }
}

fn empty(status: u16, text: &str) -> Answer {
    Answer { status, text: Some(text.to_owned()), ..Answer::ok(Value::Null) }
}

/// Calls `change` with every member of one of these names, until it returns false. Returns whether it went through all.
fn members(value: &mut Value, names: &[&str], change: &mut impl FnMut(&mut Value) -> bool) -> bool {
    match value {
        Value::Array(list) => list.iter_mut().all(|value| members(value, names, change)),
        Value::Object(object) => object.iter_mut().all(|(name, value)| {
            let is_leaf = !value.is_object() && !value.is_array();
            if is_leaf && names.contains(&name.as_str()) { change(value) } else { members(value, names, change) }
        }),
        _ => true,
    }
}

/// A kind and its probability, as `KIND:P`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance(pub Misbehavior, pub f64);

impl std::str::FromStr for Chance {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Misbehavior::ALL.map(|(_, name)| name).join(", ");
        let wrong = || format!("must be KIND:P with a probability from 0 to 1, and one of these kinds: {}", names());
        let (name, probability) = text.split_once(':').ok_or_else(wrong)?;
        let (kind, _) = Misbehavior::ALL.iter().find(|(_, known)| *known == name).ok_or_else(wrong)?;
        let probability = probability.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(wrong)?;
        Ok(Self(*kind, probability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer::ok(json!({"items": [{"external_id": "12", "quantity": 7}, {"external_id": "b", "quantity": 0}], "item_id": 4}))
    }

    fn disguised(kind: Misbehavior) -> String {
        kind.disguise(answer()).text()
    }

    #[test]
    fn every_kind_either_answers_instead_or_changes_the_answer() {
        for (kind, name) in Misbehavior::ALL {
            let instead = kind.instead(1_772_366_400_000_000);
            assert_eq!(instead.is_none(), kind.part() == Part::Answer, "{name}");
            assert_eq!(kind.disguise(answer()) != answer(), kind.part() == Part::Answer, "{name}");
            assert_eq!(json!(kind), json!(name));
            assert_eq!(format!("{name}:0.5").parse(), Ok(Chance(kind, 0.5)));
        }
        assert!("challenge:1.5".parse::<Chance>().unwrap_err().contains("php_notice"));
        assert!("sleepy:0.5".parse::<Chance>().is_err());
    }

    #[test]
    fn answers_are_written_strangely_in_the_way_that_was_asked_for() {
        assert!(disguised(Misbehavior::ByteOrderMark).starts_with("\u{feff}{"));
        assert!(disguised(Misbehavior::PhpNotice).contains("on line <b>12</b>"));
        let text = disguised(Misbehavior::QuantityAsText);
        assert!(text.contains(r#""quantity":"7""#) && text.contains(r#""quantity":"0""#), "{text}");
        let text = disguised(Misbehavior::EmptyQuantity);
        assert!(text.contains(r#""quantity":"""#) && text.contains(r#""quantity":0"#), "{text}");
        let text = disguised(Misbehavior::OddIds);
        assert!(
            text.contains(r#""external_id":12"#) && text.contains(r#""external_id":"b""#) && text.contains(r#""item_id":"4""#),
            "{text}"
        );
    }

    #[test]
    fn a_pause_as_a_date_is_90_seconds_ahead_of_the_answers_own_date() {
        let dated = Misbehavior::RetryAfterDate.instead(1_772_366_400_000_000).unwrap();
        assert_eq!(
            dated.headers,
            [("date", "Sun, 01 Mar 2026 12:00:00 GMT".to_owned()), ("retry-after", "Sun, 01 Mar 2026 12:01:30 GMT".to_owned())]
        );
    }
}
