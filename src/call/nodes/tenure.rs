//! For how long a process may speak as the one that has a room.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Stopwatch, SystemTime};

use tokio::sync::watch;

/// How often a node says that it lives, in milliseconds.
pub const BEAT_MS: u64 = 1000;
/// How long a heartbeat is good for, counted from before it was sent, in milliseconds.
pub const GOOD_MS: u64 = 3000;
/// How long another must have seen the same heartbeat, by its own clock, to take a node for dead, in
/// milliseconds. More than [`GOOD_MS`], so that it has fallen silent by then.
pub const DEAD_MS: u64 = 4000;

/// A moment by two clocks: the steady one may stand still while a machine sleeps, the other can be
/// set. What has passed is what the one says that says more.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    steady: Stopwatch,
    wall: SystemTime,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { steady: Stopwatch::now(), wall: SystemTime::now() }
    }

    /// How long ago it was.
    pub fn elapsed(&self) -> Duration {
        // A clock that was set back says nothing.
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// One life of this process among the nodes: from its number to the end of that number.
#[derive(Debug)]
pub struct Tenure {
    /// Its number; 0 where there are no others.
    pub node: i64,
    is_alone: bool,
    /// When the last heartbeat that was taken had been sent.
    beat: Mutex<Option<Moment>>,
    over: AtomicBool,
    changed: watch::Sender<()>,
}

impl Tenure {
    /// The life of a node whose first heartbeat was sent at `asked`.
    pub fn of(node: i64, asked: Moment) -> Self {
        Self::new(node, false, Some(asked))
    }

    /// The life of a process that has all rooms to itself.
    pub fn alone() -> Self {
        Self::new(0, true, None)
    }

    /// Before a process has a number: it says nothing.
    pub fn unborn() -> Self {
        Self::new(0, false, None)
    }

    fn new(node: i64, is_alone: bool, beat: Option<Moment>) -> Self {
        let over = AtomicBool::new(false);
        Self { node, is_alone, beat: Mutex::new(beat), over, changed: watch::Sender::new(()) }
    }

    /// A heartbeat that was sent at `asked` has been taken.
    pub fn renew(&self, asked: Moment) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
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
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |beat: Moment| beat.elapsed() < Duration::from_millis(GOOD_MS);
        !self.is_over() && (self.is_alone || beat.is_some_and(is_good))
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

/// A room as this node has it, until it turns out that it has it no more.
#[derive(Debug, Default)]
pub struct Pin(AtomicBool);

impl Pin {
    /// Another has the room, or may have.
    pub fn take_away(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is this node's as far as this node knows.
    pub fn is_good(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }
}

/// The right to speak for one room. While one is held the room is not given up.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) tenure: Arc<Tenure>,
    pub(super) pin: Arc<Pin>,
}

impl Lease {
    /// As [`Tenure::speaks`], for this room.
    pub fn speaks(&self) -> bool {
        self.pin.is_good() && self.tenure.speaks()
    }

    /// As [`Tenure::sure`], for this room.
    pub async fn sure(&self) -> bool {
        self.pin.is_good() && self.tenure.sure().await && self.pin.is_good()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ago(steady_ms: u64, wall_ms: u64) -> Moment {
        let back = Duration::from_millis;
        Moment {
            steady: Stopwatch::now().checked_sub(back(steady_ms)).unwrap(),
            wall: SystemTime::now().checked_sub(back(wall_ms)).unwrap(),
        }
    }

    #[test]
    fn a_heartbeat_is_good_for_less_than_the_others_wait() {
        const { assert!(GOOD_MS + BEAT_MS <= DEAD_MS) };
        let tenure = Tenure::of(7, ago(GOOD_MS, 0));
        assert!(!tenure.speaks());
        tenure.renew(Moment::now());
        assert!(tenure.speaks());
        tenure.end();
        tenure.renew(Moment::now());
        assert!(!tenure.speaks(), "what is over stays over");
    }

    #[test]
    fn a_machine_that_slept_is_not_sure_and_a_clock_that_was_set_lasts_until_the_next_heartbeat() {
        let tenure = Tenure::of(7, ago(100, GOOD_MS));
        assert!(!tenure.speaks(), "its steady clock stood still");
        tenure.renew(Moment::now());
        assert!(tenure.speaks());
        let set_back = Moment { steady: Stopwatch::now(), wall: SystemTime::now() + HOUR };
        tenure.renew(set_back);
        assert!(tenure.speaks());
        let set_back = Moment { wall: SystemTime::now() + HOUR, ..ago(GOOD_MS, 0) };
        tenure.renew(set_back);
        assert!(!tenure.speaks());
    }

    #[actix_web::test]
    async fn a_room_that_was_taken_away_is_not_spoken_for_though_its_node_lives() {
        let tenure = Arc::new(Tenure::of(7, Moment::now()));
        let [kept, lost] = [Arc::default(), Arc::default()];
        let [kept, lost] = [kept, lost].map(|pin| Lease { tenure: Arc::clone(&tenure), pin });
        lost.pin.take_away();
        assert!(kept.speaks() && kept.sure().await);
        assert!(!lost.speaks() && !lost.clone().sure().await);
    }

    #[actix_web::test]
    async fn whoever_is_not_sure_waits_until_it_is_known() {
        let (kept, lost) = (Arc::new(Tenure::unborn()), Arc::new(Tenure::unborn()));
        let (one, other) = (Arc::clone(&kept), Arc::clone(&lost));
        let waiting = actix_web::rt::spawn(async move { (one.sure().await, other.sure().await) });
        actix_web::rt::task::yield_now().await;
        kept.renew(Moment::now());
        lost.end();
        assert_eq!(waiting.await.unwrap(), (true, false));
        assert!(Tenure::alone().speaks());
    }
}
