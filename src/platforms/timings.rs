//! Where the time of each platform's pushes goes, for `/metrics`. A platform's series begin with its first observation, and
//! are found again without a lock.
use super::registry::registry;
use crate::metrics::{PlatformTimes, note};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

/// In the order of the registry.
static TIMES: LazyLock<Vec<(&str, OnceLock<PlatformTimes>)>> =
    LazyLock::new(|| registry().iter().map(|platform| (platform.name(), OnceLock::new())).collect());

fn with(platform: &str, add: impl FnOnce(&PlatformTimes)) {
    let Some((name, slot)) = TIMES.iter().find(|(name, _)| *name == platform) else { return };
    if slot.get().is_none() {
        note(|metrics| {
            if let Ok(times) = metrics.times_of(name) {
                slot.set(times).ok();
            }
        });
    }
    if let Some(times) = slot.get() {
        add(times);
    }
}

/// Pushes of this platform were claimed, each after it had been due for this long.
pub fn claimed(platform: &str, due_for: impl Iterator<Item = Duration>) {
    with(platform, |times| due_for.for_each(|waited| times.queue.add(waited)));
}

/// A call was permitted after this wait.
pub(super) fn permitted(platform: &str, waited: Duration) {
    with(platform, |times| times.limiter.add(waited));
}

/// A call took this long.
pub(super) fn called(platform: &str, took: Duration) {
    with(platform, |times| times.call.add(took));
}
