//! What all requests together may occupy on this node: the bytes of their bodies, and the threads that parse large ones.
//!
//! Bytes are reserved before they are read, by the declared length, or as they arrive if none is declared, and freed when the
//! request is done. Small bodies have a part of the budget to themselves, so that no upload delays a single stock event, and
//! nobody gets more than half of either part.
use super::error::ApiError;
use crate::domain::SellerId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Up to this many bytes a body is small, and parsed where it was read.
pub const SMALL: usize = 64 * 1024;

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A seller, whichever key or session it used.
    Seller(SellerId),
    /// Anybody else, by IP address.
    Address(IpAddr),
}

/// The budget and the parsers.
#[derive(Debug)]
pub struct Bodies {
    small: Arc<Part>,
    large: Arc<Part>,
    parsers: Arc<Semaphore>,
}

/// A part of the budget.
#[derive(Debug)]
struct Part {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_owner: HashMap<Owner, usize>,
}

/// Bytes taken from the budget, freed when dropped.
#[derive(Debug)]
pub struct Reservation {
    part: Arc<Part>,
    owner: Owner,
    bytes: usize,
}

impl Bodies {
    /// A budget of so many bytes, a quarter of them for small bodies. Half of the machine's cores may parse.
    pub fn new(most: usize) -> Self {
        let part = |most| Arc::new(Part { most, taken: Mutex::default() });
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { small: part(most / 4), large: part(most - most / 4), parsers: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// Reserves the bytes of a body.
    ///
    /// # Errors
    /// 429 if this owner would have too large a share, 503 if the budget is used up.
    pub fn reserve(&self, owner: Owner, bytes: usize) -> Result<Reservation, ApiError> {
        let part = if bytes <= SMALL { &self.small } else { &self.large };
        part.take(owner, bytes, 0)?;
        Ok(Reservation { part: Arc::clone(part), owner, bytes })
    }

    /// Reserves more bytes for a body that turns out to be longer.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn grow(&self, reservation: &mut Reservation, bytes: usize) -> Result<(), ApiError> {
        if reservation.bytes <= SMALL && bytes > SMALL {
            *reservation = self.reserve(reservation.owner, bytes)?;
        } else if bytes > reservation.bytes {
            reservation.part.take(reservation.owner, bytes - reservation.bytes, reservation.bytes)?;
            reservation.bytes = bytes;
        }
        Ok(())
    }

    /// Parses a body of this length: here if it is small, otherwise on a thread of its own, where parsers wait for their turn,
    /// so that no HTTP worker stands still meanwhile.
    ///
    /// # Errors
    /// Those of `parse`.
    pub async fn parse<T: Send + 'static>(
        &self,
        bytes: usize,
        parse: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= SMALL {
            return parse();
        }
        let stopped = "The service is stopping; nothing was changed.";
        let turn = Arc::clone(&self.parsers).acquire_owned().await.map_err(|_| ApiError::unavailable(stopped))?;
        // The turn ends with the work, even if the client no longer waits for it.
        let work = move || {
            let _turn = turn;
            parse()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(ApiError::unavailable(stopped)))
    }
}

impl Part {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes for a body that already holds `held`. A single body always fits, however small the budget is.
    fn take(&self, owner: Owner, bytes: usize, held: usize) -> Result<(), ApiError> {
        let mut taken = self.taken();
        let own = taken.by_owner.get(&owner).copied().unwrap_or(0);
        if own > held && own + bytes > self.most / 2 {
            return Err(ApiError::bodies_too_large());
        }
        if taken.total > held && taken.total + bytes > self.most {
            return Err(ApiError::unavailable("Too much is being uploaded at the moment; nothing was changed."));
        }
        if bytes > 0 {
            taken.total += bytes;
            taken.by_owner.insert(owner, own + bytes);
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut taken = self.part.taken();
        taken.total = taken.total.saturating_sub(self.bytes);
        if let Some(own) = taken.by_owner.get_mut(&self.owner) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    const MB: usize = 1 << 20;

    fn seller(number: u128) -> Owner {
        Owner::Seller(SellerId(uuid::Uuid::from_u128(number)))
    }

    fn status(result: Result<Reservation, ApiError>) -> u16 {
        result.map_or_else(|error| error.status_code().as_u16(), |_| 200)
    }

    #[test]
    fn nobody_gets_more_than_half_and_everybody_together_no_more_than_all() {
        let bodies = Bodies::new(16 * MB);
        let first = bodies.reserve(seller(1), 6 * MB).unwrap();
        assert_eq!(status(bodies.reserve(seller(1), MB)), 429);
        let second = bodies.reserve(seller(2), 6 * MB).unwrap();
        assert_eq!(status(bodies.reserve(seller(3), MB)), 503);
        assert_eq!(status(bodies.reserve(seller(3), SMALL)), 200, "small bodies have a part of their own");
        drop(first);
        assert_eq!(status(bodies.reserve(seller(3), 6 * MB)), 200);
        drop(second);
        assert!(bodies.large.taken().by_owner.is_empty() && bodies.small.taken().by_owner.is_empty());
        assert_eq!((bodies.large.taken().total, bodies.small.taken().total), (0, 0));
    }

    #[test]
    fn a_body_of_unknown_length_is_counted_as_it_grows() {
        let bodies = Bodies::new(16 * MB);
        let mut growing = bodies.reserve(seller(1), 0).unwrap();
        for bytes in [100, SMALL, SMALL + 1, MB, 2 * MB] {
            bodies.grow(&mut growing, bytes).unwrap();
        }
        assert_eq!((bodies.large.taken().total, bodies.small.taken().total), (2 * MB, 0));
        let _other = bodies.reserve(seller(2), 6 * MB).unwrap();
        let _third = bodies.reserve(seller(3), 4 * MB).unwrap();
        assert_eq!(bodies.grow(&mut growing, 3 * MB).unwrap_err().status_code().as_u16(), 503);
        drop(growing);
        assert_eq!(bodies.large.taken().total, 10 * MB);
    }

    #[test]
    fn a_single_body_fits_even_a_budget_that_is_too_small_for_it() {
        let bodies = Bodies::new(MB);
        let only = bodies.reserve(seller(1), 16 * MB).unwrap();
        assert_eq!(status(bodies.reserve(seller(2), MB)), 503);
        drop(only);
        assert_eq!(status(bodies.reserve(seller(2), MB)), 200);
    }

    #[actix_web::test]
    async fn large_bodies_are_parsed_elsewhere_and_no_more_at_once_than_allowed() {
        let bodies = Arc::new(Bodies::new(16 * MB));
        let here = std::thread::current().id();
        let is_here = move || Ok(std::thread::current().id() == here);
        assert_eq!(bodies.parse(SMALL, is_here).await, Ok(true));
        assert_eq!(bodies.parse(SMALL + 1, is_here).await, Ok(false));
        let busy = bodies.parsers.available_permits();
        let turns = Arc::clone(&bodies.parsers).acquire_many_owned(u32::try_from(busy).unwrap()).await.unwrap();
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), bodies.parse(SMALL + 1, is_here)).await;
        assert!(waiting.is_err(), "it waits for its turn");
        drop(turns);
        assert_eq!(bodies.parse(SMALL + 1, is_here).await, Ok(false));
    }
}
