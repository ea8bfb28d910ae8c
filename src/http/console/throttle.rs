//! Slows down whoever tries keys: failed sign-ins are counted by address, on each node for itself. Keys have 256 random
//! bits, so this is about noise and load, not about guessing.
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failed sign-ins from one address within [`WINDOW`].
const MOST_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(300);
/// Addresses remembered at most.
const MOST_ADDRESSES: usize = 10_000;

/// The failures of each address.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, (u32, Instant)>>);

/// A whole IPv6 network belongs to one customer of a provider.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            v6.to_ipv4_mapped().map_or(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), IpAddr::V4)
        }
    }
}

impl Throttle {
    fn map(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address may try.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Duration> {
        match self.map().get(&network(address)) {
            Some((failures, since)) if *failures >= MOST_FAILURES && since.elapsed() < WINDOW => Err(WINDOW - since.elapsed()),
            _ => Ok(()),
        }
    }

    /// It tried a key that opens nothing.
    pub fn failed(&self, address: IpAddr) {
        let mut map = self.map();
        if map.len() >= MOST_ADDRESSES {
            map.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        if map.len() >= MOST_ADDRESSES {
            // Whoever has that many addresses is not stopped by counting them.
            map.clear();
        }
        let entry = map.entry(network(address)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= WINDOW {
            *entry = (0, Instant::now());
        }
        entry.0 = entry.0.saturating_add(1);
    }

    /// It signed in.
    pub fn succeeded(&self, address: IpAddr) {
        self.map().remove(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn an_address_that_keeps_failing_waits_and_others_do_not() {
        tokio::time::pause();
        let throttle = Throttle::default();
        let (bad, neighbour, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..MOST_FAILURES {
            assert_eq!(throttle.check(bad), Ok(()));
            throttle.failed(bad);
        }
        assert!(throttle.check(bad).is_err() && throttle.check(neighbour).is_err());
        assert_eq!(throttle.check(other), Ok(()));
        tokio::time::sleep(WINDOW).await;
        assert_eq!(throttle.check(bad), Ok(()));
    }
}
