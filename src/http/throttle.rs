//! Throttles clients that keep sending invalid keys: failures are counted by IP address, separately on each node. Keys have
//! 256 random bits, so this limits noise and load; guessing is hopeless anyway. Many people may share an address, so one with
//! too many failures is not locked out: its keys are checked one after another, and a valid one still gets in.
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The most addresses remembered.
const MAX_ADDRESSES: usize = 10_000;

/// How long a key waits for those before it, if its address has too many failures.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Recent failures by address.
#[derive(Debug)]
pub struct Throttle {
    max_failures: u32,
    window: Duration,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    turns: Arc<Mutex<Turns>>,
}

/// For each address with too many failures: who may check a key now. There is an entry only as long as someone does.
type Turns = HashMap<IpAddr, Arc<Semaphore>>;

/// What a key has to respect while it is checked. Ends the turn when dropped.
#[derive(Debug, Default)]
pub struct Attempt {
    /// If the address has too many failures: how long until that is forgotten.
    pub throttled: Option<Duration>,
    _turn: Option<Turn>,
}

#[derive(Debug)]
struct Turn {
    address: IpAddr,
    turns: Arc<Mutex<Turns>>,
    permit: Option<OwnedSemaphorePermit>,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        drop(self.permit.take());
        // Whoever waits or has the turn holds the queue, too.
        if turns.get(&self.address).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            turns.remove(&self.address);
        }
    }
}

impl Throttle {
    /// Allows `max_failures` by one address within `window`; after that it has to wait for the rest of the window.
    pub fn new(max_failures: u32, window: Duration) -> Self {
        Self { max_failures, window, failures: Mutex::default(), turns: Arc::default() }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<IpAddr, (u32, Instant)>> {
        lock(&self.failures)
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

    /// Begins to check a key from this address, after those before it if the address has too many failures.
    ///
    /// # Errors
    /// If too many are before it: how long to wait.
    pub async fn attempt(&self, address: IpAddr) -> Result<Attempt, Duration> {
        let Err(wait) = self.check(address) else { return Ok(Attempt::default()) };
        let address = network(address);
        let queue = Arc::clone(lock(&self.turns).entry(address).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // Made before the turn comes, so that a client that no longer waits leaves nothing behind.
        let mut turn = Turn { address, turns: Arc::clone(&self.turns), permit: None };
        let permit = tokio::time::timeout(MAX_WAIT, queue.acquire_owned()).await;
        turn.permit = Some(permit.ok().and_then(Result::ok).ok_or(wait)?);
        Ok(Attempt { throttled: Some(wait), _turn: Some(turn) })
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

    #[actix_web::test]
    async fn keys_from_a_throttled_address_are_checked_one_after_another() {
        tokio::time::pause();
        let throttle = Throttle::new(1, Duration::from_secs(300));
        let (bad, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (first, second) = (throttle.attempt(bad).await.unwrap(), throttle.attempt(bad).await.unwrap());
        assert!(first.throttled.is_none() && second.throttled.is_none(), "an address without failures is not held up");
        throttle.failed(bad);
        let first = throttle.attempt(bad).await.unwrap();
        assert!(first.throttled.is_some());
        assert!(throttle.attempt(bad).await.is_err(), "the second gives up");
        assert!(throttle.attempt(other).await.is_ok());
        let waiting = throttle.attempt(bad);
        let after_a_while = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(waiting, after_a_while);
        assert!(second.is_ok(), "the next one has its turn");
        drop(second);
        assert!(lock(&throttle.turns).is_empty());
    }
}
