//! Queues in which sellers take turns: however much of one seller's waits, another's first is served in the next round.
use crate::domain::SellerId;
use std::collections::{HashMap, VecDeque};

/// What waits, in the order of arrival within each seller.
pub(super) struct Turns<T> {
    /// The sellers with something waiting; the first is next.
    order: VecDeque<SellerId>,
    waiting: HashMap<SellerId, VecDeque<T>>,
    len: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), len: 0 }
    }
}

impl<T> Turns<T> {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many sellers have something waiting.
    pub(super) fn sellers(&self) -> usize {
        self.order.len()
    }

    /// How many of this seller's wait.
    pub(super) fn of(&self, seller: SellerId) -> usize {
        self.waiting.get(&seller).map_or(0, VecDeque::len)
    }

    /// Adds one behind all others of this seller.
    pub(super) fn push(&mut self, seller: SellerId, one: T) {
        self.queue(seller).push_back(one);
    }

    /// Puts one back in front of all others of this seller.
    pub(super) fn put_back(&mut self, seller: SellerId, one: T) {
        self.queue(seller).push_front(one);
    }

    fn queue(&mut self, seller: SellerId) -> &mut VecDeque<T> {
        self.len += 1;
        let queue = self.waiting.entry(seller).or_default();
        if queue.is_empty() {
            self.order.push_back(seller);
        }
        queue
    }

    /// Takes the first of the seller whose turn it is; that seller's next turn comes after everyone else's.
    pub(super) fn next(&mut self) -> Option<(SellerId, T)> {
        let seller = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&seller)?;
        let one = queue.pop_front()?;
        self.len -= 1;
        if queue.is_empty() {
            self.waiting.remove(&seller);
        } else {
            self.order.push_back(seller);
        }
        Some((seller, one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn sellers_take_turns_and_what_each_has_waiting_keeps_its_order() {
        let [busy, other] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let mut turns = Turns::default();
        for (seller, one) in [(busy, 1), (busy, 2), (busy, 3), (other, 1), (other, 2)] {
            turns.push(seller, one);
        }
        assert_eq!((turns.len(), turns.sellers(), turns.of(busy)), (5, 2, 3));
        let first = turns.next();
        assert_eq!(first, Some((busy, 1)));
        turns.put_back(busy, 1);
        let served: Vec<_> = std::iter::from_fn(|| turns.next()).collect();
        assert_eq!(served, [(other, 1), (busy, 1), (other, 2), (busy, 2), (busy, 3)]);
        assert_eq!((turns.len(), turns.sellers(), turns.of(busy)), (0, 0, 0));
    }
}
