//! A cache in front of the simulated platform that ignores what a caller asks of it.
use super::exchange::{Answer, Incoming};
use super::faults::LONGEST_CACHE_S;
use std::collections::HashMap;

/// Answers by the reads that they answer, each with its time in microseconds since 1970.
#[derive(Default)]
pub(super) struct Cache(HashMap<String, (i64, Answer)>);

/// The most answers that are kept.
const MAX_ANSWERS: usize = 10_000;
/// Parts of a query that differ in each request.
const UNIQUE: [&str; 3] = ["fresh=", "timestamp=", "sign="];

fn key(incoming: &Incoming) -> String {
    let (path, query) = incoming.parts();
    let kept: Vec<&str> = query.split('&').filter(|pair| !UNIQUE.iter().any(|name| pair.starts_with(name))).collect();
    format!("{path}?{}\n{}", kept.join("&"), incoming.body)
}

impl Cache {
    /// The answer that was given to the same read within the last `seconds`, with its age.
    pub(super) fn find(&self, incoming: &Incoming, now_us: i64, seconds: f64) -> Option<(i64, Answer)> {
        let (at, answer) = self.0.get(&key(incoming))?;
        let age_s = (now_us - at) / 1_000_000;
        #[expect(clippy::cast_precision_loss, reason = "seconds within minutes")]
        let is_fresh = now_us >= *at && (age_s as f64) < seconds;
        is_fresh.then(|| (age_s, Answer { is_kept: true, ..answer.clone() }))
    }

    /// Keeps an answer, and makes room for it first: no answer is given again after [`LONGEST_CACHE_S`].
    pub(super) fn keep(&mut self, incoming: &Incoming, now_us: i64, answer: &Answer) {
        if self.0.len() >= MAX_ANSWERS {
            #[expect(clippy::cast_possible_truncation, reason = "minutes in microseconds")]
            let longest_us = (LONGEST_CACHE_S * 1e6) as i64;
            self.0.retain(|_, (at, _)| (0..longest_us).contains(&(now_us - *at)));
        }
        if self.0.len() >= MAX_ANSWERS {
            self.0.clear();
        }
        self.0.insert(key(incoming), (now_us, answer.clone()));
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(n: usize) -> Incoming {
        Incoming { target: format!("/stores/s/items?external_id={n}"), post: false, authorization: None, key: None, body: String::new() }
    }

    #[test]
    fn a_cache_keeps_what_may_be_repeated_and_does_not_grow_for_ever() {
        let (mut cache, answer) = (Cache::default(), Answer::ok(json!(1)));
        for n in 0..MAX_ANSWERS {
            cache.keep(&read(n), 0, &answer);
        }
        let later_us = 299_000_000;
        assert!(cache.find(&read(0), later_us, 300.0).is_some(), "none is dropped without need");
        cache.keep(&read(MAX_ANSWERS), 400_000_000, &answer);
        assert_eq!(cache.0.len(), 1, "what is too old to be repeated makes room");
        for n in 0..2 * MAX_ANSWERS {
            cache.keep(&read(n), 400_000_000, &answer);
        }
        assert!(cache.0.len() <= MAX_ANSWERS);
    }
}
