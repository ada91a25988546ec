//! What a patient hears when their doctor is away: once, of all their visits.

use chrono::TimeDelta;

use crate::account::{self, AccountId};
use crate::appointment::{AppointmentId, promise};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::tx::{Event, Tx};
use crate::message::outbox::{self, Payload};
use crate::message::{NEWS_HOURS_MIN, Promise, text};

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has another place.
    Moved,
    /// Other times are held until then.
    Offered(Instant),
    /// It was called off.
    CalledOff,
}

/// A visit of which a patient shall hear.
#[derive(Debug, Clone)]
pub struct News {
    /// The appointment.
    pub appointment: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// When it begins now, or was to begin.
    pub start: Instant,
    /// The same as the patient's clock shows it, RFC 3339.
    pub local_start: String,
    /// What became of it.
    pub fate: Fate,
}

/// Tells a patient with one SMS that leaves at `due_at`; `key` makes a repetition harmless. Who
/// has no telephone hears nothing. The caller has made the access decision.
pub fn tell(
    tx: &mut Tx,
    patient: Option<AccountId>,
    news: &[News],
    key: &str,
    due_at: Instant,
) -> Result<(), Error> {
    let Some(account) = patient else { return Ok(()) };
    let contact = account::contact(tx, account)?;
    let Some(phone) = contact.phone else { return Ok(()) };
    let (text, promise) = match news {
        [] => return Ok(()),
        [one] => {
            let stands = Promise { appointment: one.appointment, starts_at: one.start, word: None };
            (alone(contact.language, one)?, (one.fate == Fate::Moved).then_some(stands))
        }
        several => {
            let parts = several.iter().map(|one| part(contact.language, one));
            let parts = parts.collect::<Result<Vec<String>, Error>>()?;
            (text::several(contact.language, &parts), None)
        }
    };
    let worth = due_at.plus(TimeDelta::hours(NEWS_HOURS_MIN));
    let until = news.iter().map(|one| match one.fate {
        Fate::Moved => one.start,
        Fate::Offered(until) => until,
        Fate::CalledOff => one.start.max(worth),
    });
    let expires_at = until.max().unwrap_or(worth);
    let payload = Payload { to: phone.as_str().to_owned(), text, promise };
    if outbox::put_for(tx, &payload, key, (due_at, expires_at))? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}

fn alone(language: Language, one: &News) -> Result<String, Error> {
    let start = promise::told(&one.local_start)?;
    Ok(match one.fate {
        Fate::Moved => text::moved(language, &start, &one.code),
        Fate::Offered(_) => text::offered(language, &one.code),
        Fate::CalledOff => text::away(language, &start, &one.code),
    })
}

fn part(language: Language, one: &News) -> Result<String, Error> {
    let start = promise::told(&one.local_start)?;
    Ok(match one.fate {
        Fate::Moved => text::part_moved(language, &start, &one.code),
        Fate::Offered(_) => text::part_offered(language, &one.code),
        Fate::CalledOff => text::part_away(language, &one.code),
    })
}
