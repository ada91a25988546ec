//! Who measures at present: so many connections at once, and one probe of an account. Pure but
//! for its lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::account::AccountId;
use crate::call::probe::{Leg, ProbeId};

/// Connections of one account, one that still closes for each way among them.
pub const ACCOUNT_MAX: usize = 6;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The account's own have not closed yet.
    Account,
}

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
    /// Takes one of `count` places that is not in `without`. Whoever
    /// begins another probe, or tries the same way anew, ends the connection before; its place is
    /// free once it has really closed, since its port is taken until then.
    pub fn take(
        self: &Arc<Self>,
        (account, probe, leg): (AccountId, ProbeId, Leg),
        count: usize,
        without: &[usize],
    ) -> Result<Place, Full> {
        let mut taken = self.lock();
        let former =
            |one: &&mut Taken| one.account == account && (one.probe != probe || one.leg == leg);
        taken.values_mut().filter(former).for_each(|one| one.stop = None);
        if taken.values().filter(|one| one.account == account).count() >= ACCOUNT_MAX {
            return Err(Full::Account);
        }
        let is_free = |number: &usize| !taken.contains_key(number) && !without.contains(number);
        let number = (0..count).find(is_free).ok_or(Full::All)?;
        let (stop, stopped) = oneshot::channel();
        taken.insert(number, Taken { account, probe, leg, stop: Some(stop) });
        Ok(Place { places: Arc::clone(self), number, stopped })
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
        assert_eq!(take(3).err(), Some(Full::All));
        drop(first);
        assert_eq!(take(3).unwrap().number, 0);
        assert_eq!(places.count(), 1);
        drop(second);
        let third = places.take(who(4, 4, Leg::Direct), 2, &[0, 1]);
        assert_eq!(third.err(), Some(Full::All), "their ports are taken");
    }

    #[test]
    fn nobody_takes_the_places_of_all_by_trying_anew() {
        let places = Arc::new(Places::default());
        let take = |account, probe| places.take(who(account, probe, Leg::Direct), 9, &[]);
        let mut closing: Vec<Place> = (0..6).map(|probe| take(1, probe).unwrap()).collect();
        assert_eq!(take(1, 7).err(), Some(Full::Account));
        assert!(take(2, 8).is_ok(), "others have places");
        assert!(is_stopped(closing.last_mut().unwrap()), "and the last has made way all the same");
        closing.pop();
        assert!(take(1, 7).is_ok());
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
