//! For how long a process may speak as the one that has a room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::watch;

/// How often a node says that it lives, in milliseconds.
pub const BEAT_MS: u64 = 1000;
/// How long a heartbeat is good for, counted from before it was sent, in milliseconds.
pub const GOOD_MS: u64 = 3000;
/// After how long without one the others take a node for dead, by the database's clock, in
/// milliseconds. More than [`GOOD_MS`], so that it has fallen silent by then.
pub const DEAD_MS: u64 = 4000;

/// One life of this process among the nodes: from its number to the end of that number.
#[derive(Debug)]
pub struct Tenure {
    /// Its number; 0 where there are no others.
    pub node: i64,
    began: Stopwatch,
    good_until_ms: AtomicU64,
    over: AtomicBool,
    changed: watch::Sender<()>,
}

impl Tenure {
    /// The life of a node whose first heartbeat was sent at `asked`.
    pub fn of(node: i64, asked: Stopwatch) -> Self {
        let tenure = Self::new(node, asked, 0);
        tenure.renew(asked);
        tenure
    }

    /// The life of a process that has all rooms to itself.
    pub fn alone() -> Self {
        Self::new(0, Stopwatch::now(), u64::MAX)
    }

    /// Before a process has a number: it says nothing.
    pub fn unborn() -> Self {
        Self::new(0, Stopwatch::now(), 0)
    }

    fn new(node: i64, began: Stopwatch, good_until_ms: u64) -> Self {
        Self {
            node,
            began,
            good_until_ms: AtomicU64::new(good_until_ms),
            over: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        }
    }

    /// A heartbeat that was sent at `asked` has been taken.
    pub fn renew(&self, asked: Stopwatch) {
        let good = asked.saturating_duration_since(self.began) + Duration::from_millis(GOOD_MS);
        let good_ms = u64::try_from(good.as_millis()).unwrap_or(u64::MAX);
        self.good_until_ms.fetch_max(good_ms, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Another has its rooms by now, or may have.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Whether it is over for good.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Whether nobody else can have its rooms at this moment. A process that was stopped for a while
    /// learns here that it does not know.
    pub fn speaks(&self) -> bool {
        let good_ms = self.good_until_ms.load(Ordering::SeqCst);
        let passed = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        !self.is_over() && (good_ms == u64::MAX || passed() < good_ms)
    }

    /// Waits until it is known; `false` when it is over.
    pub async fn sure(&self) -> bool {
        let mut changed = self.changed.subscribe();
        loop {
            if self.is_over() {
                return false;
            }
            if self.speaks() {
                return true;
            }
            // The sender lives as long as this does.
            changed.changed().await.ok();
        }
    }
}

/// The right to speak for one room. While one is held the room is not given up.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) tenure: Arc<Tenure>,
    pub(super) _pin: Arc<()>,
}

impl Lease {
    /// As [`Tenure::speaks`].
    pub fn speaks(&self) -> bool {
        self.tenure.speaks()
    }

    /// As [`Tenure::sure`].
    pub async fn sure(&self) -> bool {
        self.tenure.sure().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_good_for_less_than_the_others_wait() {
        const { assert!(GOOD_MS + BEAT_MS <= DEAD_MS) };
        let long_ago = Stopwatch::now().checked_sub(Duration::from_millis(GOOD_MS)).unwrap();
        let tenure = Tenure::of(7, long_ago);
        assert!(!tenure.speaks());
        tenure.renew(Stopwatch::now());
        assert!(tenure.speaks());
        tenure.end();
        tenure.renew(Stopwatch::now());
        assert!(!tenure.speaks(), "what is over stays over");
    }

    #[actix_web::test]
    async fn whoever_is_not_sure_waits_until_it_is_known() {
        let (kept, lost) = (Arc::new(Tenure::unborn()), Arc::new(Tenure::unborn()));
        let (one, other) = (Arc::clone(&kept), Arc::clone(&lost));
        let waiting = actix_web::rt::spawn(async move { (one.sure().await, other.sure().await) });
        actix_web::rt::task::yield_now().await;
        kept.renew(Stopwatch::now());
        lost.end();
        assert_eq!(waiting.await.unwrap(), (true, false));
        assert!(Tenure::alone().speaks());
    }
}
