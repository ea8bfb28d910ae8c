//! Which traced requests have caused which pushes: a bounded memory, in which new pushes take the place of the oldest.
use super::span::{Context, MAX_IDS};
use crate::domain::PushId;
use std::collections::{HashMap, VecDeque};
use tokio::time::Instant;

/// The most pushes that are remembered.
const MAX_PUSHES: usize = 10_000;
/// The most causes of one push.
const MAX_CAUSES: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    causes: HashMap<PushId, Vec<(Context, Instant)>>,
    /// In the order in which they came.
    order: VecDeque<PushId>,
}

impl Memory {
    pub fn add(&mut self, cause: Context, pushes: &[PushId], now: Instant) {
        for push in pushes {
            let causes = self.causes.entry(*push).or_default();
            if causes.is_empty() {
                self.order.push_back(*push);
            }
            if causes.len() < MAX_CAUSES {
                causes.push((cause, now));
            }
            if self.order.len() > MAX_PUSHES
                && let Some(oldest) = self.order.pop_front()
            {
                self.causes.remove(&oldest);
            }
        }
    }

    /// The causes of these pushes, each once, and when they were noted.
    pub fn causes_of(&self, pushes: impl IntoIterator<Item = PushId>) -> Vec<(Context, Instant)> {
        let mut found: Vec<(Context, Instant)> = Vec::new();
        if self.causes.is_empty() {
            return found;
        }
        for (cause, at) in pushes.into_iter().filter_map(|push| self.causes.get(&push)).flatten() {
            if found.len() <= MAX_IDS && found.iter().all(|(other, _)| other != cause) {
                found.push((*cause, *at));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn cause(n: u8) -> Context {
        Context { trace: [n; 16], span: [n; 8] }
    }

    fn push(n: usize) -> PushId {
        PushId(Uuid::from_u128(n as u128))
    }

    fn causes(memory: &Memory, of: &[usize]) -> Vec<Context> {
        memory.causes_of(of.iter().map(|n| push(*n))).into_iter().map(|(cause, _)| cause).collect()
    }

    #[test]
    fn pushes_lead_to_what_has_caused_them_each_cause_once() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.add(cause(1), &[push(1), push(2)], now);
        memory.add(cause(2), &[push(2), push(3)], now);
        assert_eq!(causes(&memory, &[2, 1]), [cause(1), cause(2)]);
        assert_eq!(causes(&memory, &[3]), [cause(2)]);
        assert_eq!(causes(&memory, &[4]), []);
        for n in 3..100 {
            memory.add(cause(n), &[push(2)], now);
        }
        assert_eq!(causes(&memory, &[2]).len(), MAX_CAUSES);
    }

    #[test]
    fn the_oldest_pushes_are_forgotten() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for n in 0..2 * MAX_PUSHES {
            memory.add(cause(1), &[push(n)], now);
        }
        assert_eq!((memory.causes.len(), memory.order.len()), (MAX_PUSHES, MAX_PUSHES));
        assert_eq!((causes(&memory, &[MAX_PUSHES - 1]), causes(&memory, &[MAX_PUSHES])), (vec![], vec![cause(1)]));
    }
}
