//! Whom no text reaches: when the text would have left, the office has a task to tell them what became of
//! their visit. It waits in the outbox like a text, so that what is taken back, or is not so any more by
//! then, is nobody's task.

use crate::access::Facts;
use crate::access::caller::Caller;
use crate::access::table::Action;
use crate::appointment::{self, Appointment};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::{Event, Tx};
use crate::encounter;
use crate::message::leave::{Fate, News, Parts, still_so, worth_until};
use crate::message::outbox::{self, Claimed, Payload};
use crate::task::{self, TaskCode, TaskWhy};

/// Has the office tell a patient of a visit, unless they have done it themselves: signed in, or with their
/// code. The caller has made the access decision.
pub(super) fn tell(tx: &mut Tx, visit: &Appointment, fate: Fate, key: &str) -> Result<(), Error> {
    let is_own = match &tx.caller {
        Caller::Person(person) => person.patient == Some(visit.patient.id),
        Caller::Nobody => true,
        Caller::System => false,
    };
    if is_own {
        return Ok(());
    }
    tell_from(tx, visit, fate, key, tx.now)
}

/// Has the office tell a patient of a visit from some time on, whoever did it.
pub(super) fn tell_from(
    tx: &mut Tx,
    visit: &Appointment,
    fate: Fate,
    key: &str,
    due_at: Instant,
) -> Result<(), Error> {
    let news = News::of(visit, fate);
    let times = (due_at, worth_until(std::slice::from_ref(&news), due_at));
    put(tx, &[news], key, times)
}

/// Has the office tell a patient of their visits between two times.
pub(super) fn put(
    tx: &mut Tx,
    news: &[News],
    key: &str,
    times: (Instant, Instant),
) -> Result<(), Error> {
    // Who is to be called since their offer is over is told in that call.
    let news: Vec<News> = news.iter().filter(|one| one.fate != Fate::OfferOver).cloned().collect();
    if news.is_empty() {
        return Ok(());
    }
    let leave = Some(Parts { language: tx.language, news });
    let payload = Payload { to: None, text: String::new(), promise: None, leave };
    if outbox::put_for(tx, &payload, key, times)? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}

/// Opens the tasks to tell a patient what is still so, once: together with the mark that they are.
pub(super) fn open(tx: &mut Tx, message: &Claimed, news: &[News]) -> Result<(), Error> {
    tx.allow(Action::WatchVisits, &Facts::NONE)?;
    let mut news: Vec<&News> = news.iter().collect();
    news.sort_unstable_by_key(|one| one.appointment);
    for one in news {
        appointment::lock(tx, one.appointment)?;
        if !still_so(tx, one)? {
            continue;
        }
        let visit = encounter::of_appointment(tx, one.appointment)?;
        task::open(tx, &visit, TaskCode::Untold, TaskWhy::NoTelephone, None)?;
        tx.record(Action::WatchVisits, "Encounter", visit.id.0, &encounter::facts(&visit));
    }
    if outbox::sent(tx, message)? { Ok(()) } else { Err(Error::from(&problem::CONFLICT)) }
}
