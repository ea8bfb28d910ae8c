//! Subjects: `PREFIX.SELLER.stock-events` is a seller's way in, and on `PREFIX.SELLER.rejected` it reads what was rejected. Who may
//! publish to which is decided by NATS.
use crate::domain::SellerId;

const STOCK_EVENTS: &str = "stock-events";
const REJECTED: &str = "rejected";
/// The longest prefix.
const MAX_PREFIX: usize = 100;

/// The subjects below one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Subjects {
    /// The subjects below this prefix.
    ///
    /// # Errors
    /// What is wrong with the prefix.
    pub fn below(prefix: &str) -> Result<Self, &'static str> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if prefix.len() > MAX_PREFIX || !prefix.split('.').all(is_word) {
            return Err("must be words of letters, digits, - and _ with dots between them, such as stocktide");
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// Matches the way in of every seller.
    pub fn all_ways_in(&self) -> String {
        format!("{}.*.{STOCK_EVENTS}", self.prefix)
    }

    /// The word in place of the seller; `None` if the subject is no way in.
    pub fn addressee<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        let word = rest.strip_suffix(STOCK_EVENTS)?.strip_suffix('.')?;
        (!word.is_empty() && !word.contains('.')).then_some(word)
    }

    /// Where the addressee reads what was rejected.
    pub fn rejected(&self, addressee: &str) -> String {
        format!("{}.{addressee}.{REJECTED}", self.prefix)
    }
}

/// The seller that a word names. There is one way to write an id, so that a right to publish to one subject is a right to nothing else.
pub fn seller(addressee: &str) -> Option<SellerId> {
    addressee.parse().ok().filter(|id: &SellerId| id.to_string() == addressee)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019cae6b-6600-7172-aac1-fbe9bb5a9389";

    #[test]
    fn a_subject_names_its_seller() {
        let subjects = Subjects::below("shop.stock").unwrap();
        assert_eq!(subjects.all_ways_in(), "shop.stock.*.stock-events");
        assert_eq!(subjects.addressee(&format!("shop.stock.{ID}.stock-events")), Some(ID));
        assert_eq!(subjects.rejected(ID), format!("shop.stock.{ID}.rejected"));
        assert_eq!(seller(ID).map(|seller| seller.to_string()).as_deref(), Some(ID));
    }

    #[test]
    fn no_other_subject_is_a_way_in() {
        let subjects = Subjects::below("shop").unwrap();
        for wrong in [
            "shop.a.rejected",
            "shop.a.stock-events.b",
            "shop.a.b.stock-events",
            "shop..stock-events",
            "shop.stock-events",
            "shopa.stock-events",
            "shopping.a.stock-events",
            "a.shop.a.stock-events",
            "stock-events",
            "",
        ] {
            assert_eq!(subjects.addressee(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        let simple = ID.replace('-', "");
        for other in [ID.to_uppercase().as_str(), simple.as_str(), &format!("{{{ID}}}"), &format!("urn:uuid:{ID}"), "ada", ""] {
            assert_eq!(seller(other), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_is_plain_words() {
        for wrong in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "$JS", "ä", &"a".repeat(101)] {
            assert!(Subjects::below(wrong).is_err(), "{wrong}");
        }
        assert!(Subjects::below("A-1.b_2").is_ok());
    }
}
