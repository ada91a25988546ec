//! The last SMS of a demonstration, where a person can read the patient's code.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::base::column::Instant;

/// How many SMS are kept.
pub const SMS_MAX: usize = 200;

/// An SMS that has left.
#[derive(Debug, Clone, Serialize)]
pub struct Sms {
    /// The number.
    pub to: String,
    /// What it says.
    pub text: String,
    /// When it left.
    pub at: Instant,
}

/// Keeps the last SMS, in memory only; a closed one keeps none.
pub struct Inbox {
    kept: Option<Mutex<VecDeque<Sms>>>,
}

impl Inbox {
    /// For a demonstration.
    pub fn open() -> Self {
        Self { kept: Some(Mutex::new(VecDeque::new())) }
    }

    /// For everything else.
    pub fn closed() -> Self {
        Self { kept: None }
    }

    /// Keeps an SMS; the oldest gives way.
    pub fn keep(&self, sms: Sms) {
        let Some(mut kept) = self.lock() else { return };
        kept.push_front(sms);
        kept.truncate(SMS_MAX);
    }

    /// What is kept, the newest first.
    pub fn newest_first(&self) -> Vec<Sms> {
        self.lock().map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }

    fn lock(&self) -> Option<MutexGuard<'_, VecDeque<Sms>>> {
        // Whatever panicked under the lock left whole messages behind.
        Some(self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(number: usize) -> Sms {
        let at = "2026-11-23T02:00:00Z".parse().unwrap();
        Sms { to: "+70000000001".to_owned(), text: number.to_string(), at }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_give_way() {
        let inbox = Inbox::open();
        (0..SMS_MAX + 5).for_each(|number| inbox.keep(sms(number)));
        let kept = inbox.newest_first();
        assert_eq!((kept.len(), kept[0].text.as_str()), (SMS_MAX, "204"));
    }

    #[test]
    fn outside_a_demonstration_nothing_is_kept() {
        let inbox = Inbox::closed();
        inbox.keep(sms(1));
        assert!(inbox.newest_first().is_empty());
    }
}
