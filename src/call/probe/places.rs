//! Who measures at present: so many connections at once, and one probe of an account. Pure but
//! for its lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::account::AccountId;
use crate::call::probe::{Leg, ProbeId};

struct Taken {
    account: AccountId,
    probe: ProbeId,
    leg: Leg,
    /// Dropped, it tells the connection to end.
    stop: Option<oneshot::Sender<()>>,
}

/// All places of this process.
#[derive(Default)]
pub struct Places {
    taken: Mutex<HashMap<usize, Taken>>,
}

/// A place; it is free again when this is gone.
pub struct Place {
    places: Arc<Places>,
    /// Which one, from 0.
    pub number: usize,
    /// Ends when whoever sits here is to go.
    pub stopped: oneshot::Receiver<()>,
}

impl Places {
    /// Takes one of `count` places that is not in `without`; `None` when there is none. Whoever
    /// begins another probe, or tries the same way anew, ends the connection before; its place is
    /// free once it has really closed, since its port is taken until then.
    pub fn take(
        self: &Arc<Self>,
        (account, probe, leg): (AccountId, ProbeId, Leg),
        count: usize,
        without: &[usize],
    ) -> Option<Place> {
        let mut taken = self.lock();
        let former =
            |one: &&mut Taken| one.account == account && (one.probe != probe || one.leg == leg);
        taken.values_mut().filter(former).for_each(|one| one.stop = None);
        let is_free = |number: &usize| !taken.contains_key(number) && !without.contains(number);
        let number = (0..count).find(is_free)?;
        let (stop, stopped) = oneshot::channel();
        taken.insert(number, Taken { account, probe, leg, stop: Some(stop) });
        Some(Place { places: Arc::clone(self), number, stopped })
    }

    /// How many are taken.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Tells every connection to end.
    pub fn clear(&self) {
        self.lock().values_mut().for_each(|one| one.stop = None);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Taken>> {
        // Nothing panics under it, and a place too many would be the worst.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn who(account: u128, probe: u128, leg: Leg) -> (AccountId, ProbeId, Leg) {
        (AccountId(Uuid::from_u128(account)), ProbeId(Uuid::from_u128(probe)), leg)
    }

    fn is_stopped(place: &mut Place) -> bool {
        place.stopped.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn there_are_so_many_places_and_one_that_is_left_is_free_again() {
        let places = Arc::new(Places::default());
        let take = |account| places.take(who(account, account, Leg::Direct), 2, &[]);
        let (first, second) = (take(1).unwrap(), take(2).unwrap());
        assert_eq!((first.number, second.number), (0, 1));
        assert!(take(3).is_none());
        drop(first);
        assert_eq!(take(3).unwrap().number, 0);
        assert_eq!(places.count(), 1);
        drop(second);
        assert!(places.take(who(4, 4, Leg::Direct), 2, &[0, 1]).is_none(), "their ports are taken");
    }

    #[test]
    fn another_probe_of_an_account_ends_the_one_before_and_no_other() {
        let places = Arc::new(Places::default());
        let take = |account, probe, leg| places.take(who(account, probe, leg), 9, &[]).unwrap();
        let mut other = take(1, 1, Leg::Direct);
        let mut direct = take(2, 2, Leg::Direct);
        let mut relayed = take(2, 2, Leg::RelayUdp);
        assert!(!is_stopped(&mut direct), "the ways of one probe are tried side by side");
        let mut again = take(2, 2, Leg::Direct);
        assert!(is_stopped(&mut direct) && !is_stopped(&mut relayed));
        let mut next = take(2, 3, Leg::Direct);
        assert!(is_stopped(&mut relayed) && is_stopped(&mut again));
        assert!(!is_stopped(&mut other) && !is_stopped(&mut next));
        places.clear();
        assert!(is_stopped(&mut other) && is_stopped(&mut next));
        assert_eq!(places.count(), 5, "a place is taken until its connection has closed");
    }
}
