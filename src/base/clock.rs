//! The one place that reads the wall clock.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::base::column::Instant;

/// Where the time comes from: the system, or the hand of a test.
pub trait Clock: Send + Sync + 'static {
    /// The current moment, cut to microseconds.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the clock everyone else is given")]
        Instant::from_utc(chrono::Utc::now())
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `now`.
    pub fn new(now: Instant) -> Self {
        Self(AtomicI64::new(now.micros()))
    }

    /// Moves the time forward (or back, with a negative delta).
    pub fn advance(&self, delta: chrono::TimeDelta) {
        self.0.fetch_add(delta.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// Sets the time.
    pub fn set(&self, now: Instant) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        let micros = self.0.load(Ordering::SeqCst);
        Instant::from_micros(micros).unwrap_or_else(|| SystemClock.now())
    }
}
