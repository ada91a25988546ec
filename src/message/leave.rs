//! What a patient hears when their doctor is away: once, of all their visits.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::appointment::{self, Appointment, AppointmentId, promise};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::tx::{Event, Tx};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message::outbox::{self, Payload};
use crate::message::{NEWS_HOURS_MIN, reader, text, untold};
use crate::patient;
use crate::schedule::leave::{lapsed, offer};
use crate::waitlist;

/// What is told in the morning is told so long before, in hours.
const MORNING_HOURS: i64 = 3;

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It has another place.
    Moved,
    /// Other times are held until then.
    Offered(Instant),
    /// It was called off.
    CalledOff,
    /// What was offered is not to be had any more, and it does not take place as it was booked.
    OfferOver,
}

/// A visit of which a patient shall hear.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl News {
    /// What became of a visit as it is now.
    pub fn of(visit: &Appointment, fate: Fate) -> Self {
        Self {
            appointment: visit.id,
            code: visit.code.clone(),
            start: visit.start,
            local_start: visit.local_start.clone(),
            fate,
        }
    }
}

/// Tells a patient with one SMS that leaves at `due_at`; `key` makes a repetition harmless. Of who has no
/// telephone the office hears then, and tells them. The caller has made the access decision.
pub fn tell(
    tx: &mut Tx,
    account: Option<AccountId>,
    news: &[News],
    key: &str,
    due_at: Instant,
) -> Result<(), Error> {
    if news.is_empty() {
        return Ok(());
    }
    let due_at = by_day(tx, news, due_at)?;
    let times = (due_at, worth_until(news, due_at));
    let Some(reader) = reader(tx, account)? else { return untold::put(tx, news, key, times) };
    let leave = Parts { language: reader.language, news: news.to_vec() };
    let text = said(leave.language, &leave.news)?;
    let to = Some(reader.phone.as_str().to_owned());
    let payload = Payload { to, text, promise: None, leave: Some(leave) };
    if outbox::put_for(tx, &payload, key, times)? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}

/// Until when it is worth telling.
pub(super) fn worth_until(news: &[News], due_at: Instant) -> Instant {
    let worth = due_at.plus(TimeDelta::hours(NEWS_HOURS_MIN));
    let until = news.iter().map(|one| match one.fate {
        Fate::Moved => one.start,
        Fate::Offered(until) => until,
        Fate::OfferOver => one.start,
        Fate::CalledOff => one.start.max(worth),
    });
    until.max().unwrap_or(worth)
}

/// Nobody is woken for what can wait until the morning: visits that do not take place, all of them
/// later than that. One that was moved may have been about to begin.
fn by_day(tx: &mut Tx, news: &[News], due_at: Instant) -> Result<Instant, Error> {
    let Some(first) = news.first() else { return Ok(due_at) };
    let of = appointment::find_row(tx, first.appointment)?.patient_id;
    let zone = patient::find_row(tx, of)?.time_zone;
    let morning = waitlist::offer::awake(tx, due_at, zone, TimeDelta::zero());
    let least = morning.plus(TimeDelta::hours(MORNING_HOURS));
    let can_wait = news.iter().all(|one| one.fate != Fate::Moved && one.start >= least);
    Ok(if can_wait { morning } else { due_at })
}

/// What a text tells of, kept until it leaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    /// The language of its reader.
    pub language: Language,
    /// What became of each visit.
    pub news: Vec<News>,
}

/// What is to be said when a text leaves: only what is so still. Of what somebody has changed since, the
/// patient has heard. `None`: nothing is.
pub(super) fn words(tx: &mut Tx, parts: &Parts) -> Result<Option<String>, Error> {
    let mut news = Vec::with_capacity(parts.news.len());
    for one in &parts.news {
        if still_so(tx, one)? {
            news.push(one.clone());
        }
    }
    if news.is_empty() { Ok(None) } else { said(parts.language, &news).map(Some) }
}

/// Whether what a text would tell is still so.
pub(super) fn still_so(tx: &mut Tx, one: &News) -> Result<bool, Error> {
    let row = match appointment::find_row(tx, one.appointment) {
        Err(error) if error.is(&problem::NOT_FOUND) => return Ok(false),
        row => row?,
    };
    Ok(match one.fate {
        Fate::CalledOff => row.status == AppointmentStatus::Cancelled,
        Fate::Moved => {
            let is_ahead =
                matches!(row.status, AppointmentStatus::Booked | AppointmentStatus::Arrived);
            is_ahead && row.starts_at == one.start
        }
        Fate::Offered(_) => offer::is_open(tx, one.appointment)?,
        // Later it is no news: they were there, or the office has called.
        Fate::OfferOver => row.starts_at > tx.now && lapsed::is_over(tx, one.appointment)?,
    })
}

fn said(language: Language, news: &[News]) -> Result<String, Error> {
    match news {
        [one] => alone(language, one),
        several => {
            let parts = several.iter().map(|one| part(language, one));
            Ok(text::several(language, &parts.collect::<Result<Vec<String>, Error>>()?))
        }
    }
}

fn alone(language: Language, one: &News) -> Result<String, Error> {
    let start = promise::told(&one.local_start)?;
    Ok(match one.fate {
        Fate::Moved => text::moved(language, &start, &one.code),
        Fate::Offered(_) => text::offered(language, &one.code),
        Fate::OfferOver => text::offer_over(language, &one.code),
        Fate::CalledOff => text::away(language, &start, &one.code),
    })
}

fn part(language: Language, one: &News) -> Result<String, Error> {
    let start = promise::told(&one.local_start)?;
    Ok(match one.fate {
        Fate::Moved => text::part_moved(language, &start, &one.code),
        Fate::Offered(_) => text::part_offered(language, &one.code),
        Fate::OfferOver => text::part_offer_over(language, &one.code),
        Fate::CalledOff => text::part_away(language, &one.code),
    })
}
