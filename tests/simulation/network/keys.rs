//! Idempotency keys, which platforms forget after a while.
use super::State;
use std::time::Duration;
use tokio::time::Instant;

/// The service relies on a key for 23 hours by its own clock, which may be set back without anybody noticing.
const KEYS_REMEMBERED_FOR: Duration = Duration::from_secs(23 * 3600 + 1800);

impl State {
    /// The key as the platform knows it: another one each time it has forgotten it.
    pub(super) fn remembered(&mut self, name: &str, key: String) -> String {
        let now = Instant::now();
        let (since, forgotten) = self.keys.entry((name.to_owned(), key.clone())).or_insert((now, 0));
        let forget = now - *since > KEYS_REMEMBERED_FOR;
        if forget {
            (*since, *forgotten) = (now, *forgotten + 1);
        }
        let known = if *forgotten == 0 { key } else { format!("{key} {forgotten}") };
        if forget {
            self.count("key forgotten");
        }
        known
    }
}
