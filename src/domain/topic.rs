//! What sellers can be notified of, by webhook and by mail.
use super::FieldError;
use serde::{Deserialize, Serialize};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WebhookTopic)]
pub enum Topic {
    /// A sync run has ended.
    #[serde(rename = "run.finished")]
    RunFinished,
    /// A sync run would change more than the seller's limits allow, and waits for an answer.
    #[serde(rename = "run.waiting_for_answer")]
    RunWaitingForAnswer,
    /// A store refuses its credentials.
    #[serde(rename = "store.needs_reauthorization")]
    StoreNeedsReauthorization,
    /// A store has refused updates for good.
    #[serde(rename = "pushes.rejected")]
    PushesRejected,
    /// A check has found listings that show something other than expected.
    #[serde(rename = "drift.found")]
    DriftFound,
    /// Sent on request, to see whether messages arrive.
    #[serde(rename = "webhook.test")]
    Test,
}

impl Topic {
    /// Those that a webhook can ask for; a test comes on request.
    pub const ALL: [Self; 5] =
        [Self::RunFinished, Self::RunWaitingForAnswer, Self::StoreNeedsReauthorization, Self::PushesRejected, Self::DriftFound];

    /// The word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunFinished => "run.finished",
            Self::RunWaitingForAnswer => "run.waiting_for_answer",
            Self::StoreNeedsReauthorization => "store.needs_reauthorization",
            Self::PushesRejected => "pushes.rejected",
            Self::DriftFound => "drift.found",
            Self::Test => "webhook.test",
        }
    }

    /// The topic that this word stands for, if a webhook can ask for it.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }

    /// The topics that these words stand for, each once, and what is wrong at which pointer.
    pub fn parse_all(words: &[String]) -> (Vec<Self>, Vec<FieldError>) {
        let known = Self::ALL.map(Self::as_str).join(", ");
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for (at, word) in words.iter().enumerate() {
            match Self::parse(word) {
                Some(topic) if found.contains(&topic) => {}
                Some(topic) => found.push(topic),
                None => errors.push(FieldError::new(format!("/topics/{at}"), format!("must be one of: {known}"))),
            }
        }
        if words.is_empty() {
            errors.push(FieldError::new("/topics", format!("must name at least one of: {known}")));
        }
        (found, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_topic_is_found_by_its_word_except_the_test() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
            assert_eq!(json!(topic), json!(topic.as_str()));
        }
        assert_eq!(Topic::parse(Topic::Test.as_str()), None);
    }
}
