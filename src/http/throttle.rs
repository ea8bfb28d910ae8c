//! Slows down whoever tries keys: what fails is counted by address, on each node for itself. Keys have 256 random bits, so
//! this is about noise and load, not about guessing.
use crate::platforms::transport::is_public;
use actix_web::HttpRequest;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Addresses remembered at most.
const MOST_ADDRESSES: usize = 10_000;

/// The failures of each address.
#[derive(Debug)]
pub struct Throttle {
    most: u32,
    window: Duration,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

/// Who tries. A proxy beside us tells for whom; from anywhere else that header is anybody's word.
pub fn address(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let told = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
    let told = told.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
    if is_public(peer) { peer } else { told.unwrap_or(peer) }
}

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
    /// So many failures of one address within `window`; then it waits for the rest of it.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, failures: Mutex::default() }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address may try.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Duration> {
        let map = self.map();
        let Some((_, since)) = map.get(&network(address)).filter(|(failures, _)| *failures >= self.most) else { return Ok(()) };
        // Asked once: between two looks at the clock the window may end.
        match self.window.checked_sub(since.elapsed()) {
            Some(left) if !left.is_zero() => Err(left),
            _ => Ok(()),
        }
    }

    /// It tried a key that opens nothing.
    pub fn failed(&self, address: IpAddr) {
        let mut map = self.map();
        if map.len() >= MOST_ADDRESSES {
            map.retain(|_, (_, since)| since.elapsed() < self.window);
        }
        if map.len() >= MOST_ADDRESSES {
            // Whoever has that many addresses is not stopped by counting them.
            map.clear();
        }
        let entry = map.entry(network(address)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= self.window {
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
        let (most, window) = (10, Duration::from_secs(300));
        let throttle = Throttle::new(most, window);
        let (bad, neighbour, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..most {
            assert_eq!(throttle.check(bad), Ok(()));
            throttle.failed(bad);
        }
        assert!(throttle.check(bad).is_err() && throttle.check(neighbour).is_err());
        assert_eq!(throttle.check(other), Ok(()));
        tokio::time::sleep(window).await;
        assert_eq!(throttle.check(bad), Ok(()));
    }
}
