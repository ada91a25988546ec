//! How much somebody may do: a token bucket, and one per network address for those who knock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant as Stopwatch;

/// Wrong first frames from one address at once.
pub const KNOCKS_BURST: f64 = 30.0;
/// Wrong first frames from one address per second in the long run.
pub const KNOCKS_PER_SECOND: f64 = 0.5;
/// Addresses remembered at once.
const ADDRESSES_MAX: usize = 10_000;

/// A token bucket.
#[derive(Debug)]
pub struct Budget {
    burst: f64,
    per_second: f64,
    left: f64,
    at: Stopwatch,
}

impl Budget {
    /// A full one.
    pub fn full(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, left: burst, at: Stopwatch::now() }
    }

    /// Takes one; `false` when nothing was left.
    pub fn spend(&mut self) -> bool {
        self.spend_all(1)
    }

    /// Takes so much; `false` when less was left.
    pub fn spend_all(&mut self, much: u32) -> bool {
        self.refill(Stopwatch::now());
        self.left -= f64::from(much);
        self.left >= 0.0
    }

    fn refill(&mut self, now: Stopwatch) {
        let earned = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left.max(-1.0) + earned).min(self.burst);
        self.at = now;
    }
}

/// Who was wrong about a ticket or a seat, and how often, by network address.
#[derive(Debug, Default)]
pub struct Knocks(Mutex<HashMap<String, Budget>>);

impl Knocks {
    /// Somebody was refused.
    pub fn count(&self, address: &str) {
        let mut addresses = self.lock();
        if addresses.len() >= ADDRESSES_MAX {
            let now = Stopwatch::now();
            addresses.retain(|_, budget| {
                budget.refill(now);
                budget.left < budget.burst
            });
        }
        if addresses.len() >= ADDRESSES_MAX {
            // So many wrong at once are not stopped one by one; memory must not grow with them.
            addresses.clear();
        }
        addresses
            .entry(address.to_owned())
            .or_insert_with(|| Budget::full(KNOCKS_BURST, KNOCKS_PER_SECOND))
            .spend();
    }

    /// Whether an address was wrong too often of late.
    pub fn are_too_many(&self, address: &str) -> bool {
        self.lock().get_mut(address).is_some_and(|budget| {
            budget.refill(Stopwatch::now());
            budget.left < 1.0
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Budget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_wrong_too_often_is_known_and_no_other() {
        let knocks = Knocks::default();
        let mut counted = 0;
        while !knocks.are_too_many("198.51.100.7") {
            knocks.count("198.51.100.7");
            counted += 1;
            assert!(counted <= 40);
        }
        assert!(counted >= 30);
        assert!(!knocks.are_too_many("198.51.100.8"));
    }

    #[test]
    fn the_memory_for_addresses_is_bounded() {
        let knocks = Knocks::default();
        for number in 0..ADDRESSES_MAX * 3 {
            knocks.count(&number.to_string());
        }
        assert!(knocks.lock().len() <= ADDRESSES_MAX);
    }

    #[test]
    fn a_budget_is_spent_and_earned_again() {
        let mut budget = Budget::full(3.0, 1000.0);
        assert_eq!([(); 3].map(|()| budget.spend()), [true; 3]);
        budget.left = -1.0;
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(budget.spend());
    }
}
