//! What became of calls that were begun without a claim.
use super::{Entry, State};
use std::collections::{BTreeMap, BTreeSet};

/// How many increases were on their way as they were recorded, and what became of them next.
pub fn never_claimed(entries: &[(i64, Entry)]) -> BTreeMap<&'static str, u64> {
    let (mut states, mut open, mut counts) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    for (_, entry) in entries {
        let Entry::Push { push, .. } = entry else { continue };
        let is_new = states.insert(&push.id, push.state).is_none();
        let what = if is_new && push.state == State::Sending {
            open.insert(&push.id);
            "increase on its way as it was recorded"
        } else if push.state == State::Sending || !open.remove(&push.id) {
            continue;
        } else if push.state == State::Uncertain && push.reason.as_deref().is_some_and(|reason| reason.starts_with("The service stopped")) {
            "call of a new increase lost on its way"
        } else if push.state == State::Queued {
            "call of a new increase given back"
        } else {
            "call of a new increase answered"
        };
        *counts.entry(what).or_default() += 1;
    }
    counts
}
