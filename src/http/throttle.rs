//! Throttles clients that keep sending invalid keys: failures are counted by IP address, separately on each node. Keys have
//! 256 random bits, so this limits noise and load; guessing is hopeless anyway.
use crate::platforms::transport::is_public;
use actix_web::HttpRequest;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most addresses remembered.
const MAX_ADDRESSES: usize = 10_000;

/// Recent failures by address.
#[derive(Debug)]
pub struct Throttle {
    max_failures: u32,
    window: Duration,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

/// The address of the client. A proxy on a private network is trusted to report it in `x-forwarded-for`; anybody else could
/// put any address there.
pub fn address(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let forwarded = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
    let forwarded = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
    if is_public(peer) { peer } else { forwarded.unwrap_or(peer) }
}

/// What is counted as one address: a whole IPv6 /64 network, because providers assign at least that much to one customer.
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
    /// Allows `max_failures` by one address within `window`; after that it has to wait for the rest of the window.
    pub fn new(max_failures: u32, window: Duration) -> Self {
        Self { max_failures, window, failures: Mutex::default() }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address may try; if not, how long it has to wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Duration> {
        let map = self.map();
        let Some((_, since)) = map.get(&network(address)).filter(|(failures, _)| *failures >= self.max_failures) else { return Ok(()) };
        // The clock is read only once, because the window might end between two readings.
        match self.window.checked_sub(since.elapsed()) {
            Some(left) if !left.is_zero() => Err(left),
            _ => Ok(()),
        }
    }

    /// Records that this address used an invalid key.
    pub fn failed(&self, address: IpAddr) {
        let mut map = self.map();
        if map.len() >= MAX_ADDRESSES {
            map.retain(|_, (_, since)| since.elapsed() < self.window);
        }
        if map.len() >= MAX_ADDRESSES {
            // Counting does not stop anyone who has this many addresses.
            map.clear();
        }
        let entry = map.entry(network(address)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= self.window {
            *entry = (0, Instant::now());
        }
        entry.0 = entry.0.saturating_add(1);
    }

    /// Records that this address used a valid key.
    pub fn succeeded(&self, address: IpAddr) {
        self.map().remove(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn an_address_that_keeps_failing_has_to_wait_but_others_do_not() {
        tokio::time::pause();
        let (max_failures, window) = (10, Duration::from_secs(300));
        let throttle = Throttle::new(max_failures, window);
        let (bad, neighbour, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..max_failures {
            assert_eq!(throttle.check(bad), Ok(()));
            throttle.failed(bad);
        }
        assert!(throttle.check(bad).is_err() && throttle.check(neighbour).is_err());
        assert_eq!(throttle.check(other), Ok(()));
        tokio::time::sleep(window).await;
        assert_eq!(throttle.check(bad), Ok(()));
    }
}
