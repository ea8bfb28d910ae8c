//! A cache in front of the simulated platform that ignores what a caller asks of it.
use super::exchange::{Answer, Incoming};
use std::collections::HashMap;

/// Answers by the reads that they answer, each with its time in microseconds since 1970.
#[derive(Default)]
pub(super) struct Cache(HashMap<String, (i64, Answer)>);

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

    pub(super) fn keep(&mut self, incoming: &Incoming, now_us: i64, answer: &Answer) {
        self.0.insert(key(incoming), (now_us, answer.clone()));
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
