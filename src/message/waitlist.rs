//! What somebody on the waiting list hears: a time and until when it is held, and how it ended.
//! No name, no specialty; the link has the code behind its `#`, which no server and no log sees.

use chrono::TimeDelta;

use crate::account::AccountId;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::{Event, Tx};
use crate::base::zone::{self, Zone};
use crate::message::outbox::{self, Payload};
use crate::message::{reader, screen, text};
use crate::waitlist::{EntryId, OfferId};

/// How long the news that an offer or a wish is over is worth sending, in hours.
const NEWS_HOURS: i64 = 12;

/// A time that is held for somebody.
#[derive(Debug, Clone, Copy)]
pub struct Vacancy<'a> {
    /// Which offer.
    pub offer: OfferId,
    /// The code to answer with.
    pub code: &'a str,
    /// When the visit would begin.
    pub start: Instant,
    /// Until when it is held.
    pub until: Instant,
    /// The zone of the patient's clock.
    pub zone: Zone,
    /// When the text leaves: nobody is woken.
    pub tell_at: Instant,
}

/// Tells of a time that is held. Who has no telephone hears nothing. The caller has made the access
/// decision.
pub fn tell_vacancy(
    tx: &mut Tx,
    patient: Option<AccountId>,
    vacancy: &Vacancy,
) -> Result<(), Error> {
    let link = screen(tx, &format!("#offer={}", vacancy.code));
    let (start, until) =
        (zone::wall(vacancy.start, vacancy.zone), zone::wall(vacancy.until, vacancy.zone));
    let times = (vacancy.tell_at, vacancy.until);
    tell(tx, patient, &vacancy_key(vacancy.offer), times, |language| {
        text::vacancy(language, (&start, &until), vacancy.code, link.as_deref())
    })
}

/// Gives up the text of an offer that is answered or over; `false` when it has left already.
pub fn forget_vacancy(tx: &mut Tx, offer: OfferId) -> Result<bool, Error> {
    outbox::withdraw(tx, &vacancy_key(offer))
}

/// Tells that an offered time is not to be had any more, and that the place is kept.
pub fn tell_gone(
    tx: &mut Tx,
    patient: Option<AccountId>,
    (offer, code): (OfferId, &str),
    tell_at: Instant,
) -> Result<(), Error> {
    let times = (tell_at, tell_at.plus(TimeDelta::hours(NEWS_HOURS)));
    let key = format!("vacancy gone|{offer}");
    tell(tx, patient, &key, times, |language| text::vacancy_gone(language, code))
}

/// Tells that a wish has ended without a visit.
pub fn tell_end(
    tx: &mut Tx,
    patient: Option<AccountId>,
    (entry, code): (EntryId, &str),
    tell_at: Instant,
) -> Result<(), Error> {
    let times = (tell_at, tell_at.plus(TimeDelta::hours(NEWS_HOURS)));
    let key = format!("wish over|{entry}");
    tell(tx, patient, &key, times, |language| text::wish_over(language, code))
}

fn tell(
    tx: &mut Tx,
    patient: Option<AccountId>,
    key: &str,
    times: (Instant, Instant),
    words: impl FnOnce(crate::base::language::Language) -> String,
) -> Result<(), Error> {
    let Some(reader) = reader(tx, patient)? else { return Ok(()) };
    let payload = Payload::text(&reader.phone, words(reader.language));
    if outbox::put_for(tx, &payload, key, times)? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}

fn vacancy_key(offer: OfferId) -> String {
    format!("vacancy|{offer}")
}
