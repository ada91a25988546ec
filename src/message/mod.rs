//! What Feldsher tells people: texts wait in the outbox and leave after the commit.
//!
//! A message is written in the transaction of the deed that it tells of, so there is none
//! without the other. It leaves at least once: a process that dies between the gateway's word
//! and our own mark sends again.

pub mod care;
pub mod gateway;
pub mod guest;
pub mod inbox;
pub mod late;
pub mod leave;
pub mod outbox;
pub mod sender;
pub mod text;
pub mod waitlist;

use chrono::{DateTime, FixedOffset, TimeDelta};

use crate::account;
use crate::account::AccountId;
use crate::account::phone::Phone;
use crate::appointment::promise;
use crate::appointment::{Appointment, AppointmentId};
use crate::base::column::{Instant, Uuid};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::tx::{Event, Tx};
use crate::base::zone;
use crate::encounter::EncounterId;
use crate::encounter::delay::DelayId;
use crate::message::outbox::Payload;
use crate::patient;
use crate::practitioner;
use crate::waitlist::offer;

/// How long a sign-in code is worth sending, in minutes.
const CODE_MINUTES: i64 = 5;
/// How long the news that a visit will not be is worth sending at least, in hours.
const NEWS_HOURS_MIN: i64 = 12;

/// A time that was promised to a patient; a text about it is worth sending while it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Promise {
    /// The appointment.
    pub appointment: AppointmentId,
    /// When it begins.
    pub starts_at: Instant,
    /// The practitioner's word that the text tells of, if it does: another one takes its place.
    pub word: Option<Word>,
}

/// What a practitioner has said of being late, as it was told of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Word {
    /// The word.
    pub delay: DelayId,
    /// The visit.
    pub encounter: EncounterId,
}

/// The address of a screen of the patient's page, for a text; `None` where nobody has said under
/// which address the pages are.
fn screen(tx: &Tx, hash: &str) -> Option<String> {
    let base = match tx.config.http.public_url.trim_end_matches('/') {
        "" => tx.config.demo_url.as_str(),
        base => base,
    };
    (!base.is_empty()).then(|| format!("{base}/{hash}"))
}

/// Puts an SMS into the outbox; it leaves after the commit. `key` makes a repetition harmless,
/// `life` is how long it is worth sending. The caller has made the access decision.
pub fn queue(tx: &mut Tx, to: &Phone, text: &str, key: &str, life: TimeDelta) -> Result<(), Error> {
    let payload =
        Payload { to: to.as_str().to_owned(), text: text.to_owned(), promise: None, leave: None };
    put(tx, &payload, key, life)
}

/// The SMS that carries a sign-in code. The caller has made the access decision.
pub fn send_code(tx: &mut Tx, to: &Phone, code: &str, language: Language) -> Result<(), Error> {
    let key = format!("code|{}", Uuid::new(tx.now).0);
    queue(tx, to, &text::code(language, code), &key, TimeDelta::minutes(CODE_MINUTES))
}

/// The SMS that confirms a booking, in the patient's language and local time. A patient without
/// a telephone gets none. The caller has made the access decision.
pub fn confirm_booking(
    tx: &mut Tx,
    booked: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let promised = promise::told(&booked.local_start)?;
    tell_time(tx, booked, patient, (promised, text::booked), &format!("booked|{}", booked.id))
}

/// The SMS that tells that a visit which was called off will be after all, as [`confirm_booking`].
pub fn tell_booked_again(
    tx: &mut Tx,
    booked: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let promised = promise::told(&booked.local_start)?;
    let key = format!("booked|{}|{}", booked.id, booked.version);
    tell_time(tx, booked, patient, (promised, text::booked), &key)
}

/// The SMS that tells the new time of a visit that was moved, as [`confirm_booking`].
pub fn tell_move(
    tx: &mut Tx,
    moved: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let key = format!("moved|{}|{}", moved.id, moved.version);
    let promised = promise::told(&moved.local_start)?;
    tell_time(tx, moved, patient, (promised, text::moved), &key)
}

/// The SMS that tells that the clinic does not take on a visit that was asked for.
pub fn tell_declined(
    tx: &mut Tx,
    declined: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let words = |language| text::declined(language, &declined.code);
    tell_end(tx, declined, patient, words, &format!("declined|{}", declined.id))
}

/// The SMS that tells that the clinic did not answer in time, and that nothing is booked.
pub fn tell_unanswered(
    tx: &mut Tx,
    over: &Appointment,
    account: Option<AccountId>,
) -> Result<(), Error> {
    let Some(account) = account else { return Ok(()) };
    let contact = account::contact(tx, account)?;
    let Some(phone) = contact.phone else { return Ok(()) };
    // A clock says it and no person, so it wakes nobody.
    let zone = patient::find_row(tx, over.patient.id)?.time_zone;
    let due_at = offer::awake(tx, tx.now, zone, TimeDelta::zero());
    let expires_at = over.start.max(due_at.plus(TimeDelta::hours(NEWS_HOURS_MIN)));
    let (to, text) = (phone.as_str().to_owned(), text::unanswered(contact.language, &over.code));
    let payload = Payload { to, text, promise: None, leave: None };
    let key = format!("unanswered|{}|{}", over.id, over.version);
    if outbox::put_for(tx, &payload, &key, (due_at, expires_at))? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}

/// The SMS that tells that a visit was called off, and not by the patient. The caller has made the
/// access decision.
pub fn tell_called_off(
    tx: &mut Tx,
    cancelled: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let start = promise::told(&cancelled.local_start)?;
    let words = |language| text::away(language, &start, &cancelled.code);
    let key = format!("cancelled|{}|{}", cancelled.id, cancelled.version);
    tell_end(tx, cancelled, patient, words, &key)
}

/// Tells whoever has a telephone that a visit will not be.
fn tell_end(
    tx: &mut Tx,
    visit: &Appointment,
    account: Option<AccountId>,
    words: impl FnOnce(Language) -> String,
    key: &str,
) -> Result<(), Error> {
    let Some(account) = account else { return Ok(()) };
    let contact = account::contact(tx, account)?;
    let Some(phone) = contact.phone else { return Ok(()) };
    let life = visit.start.since(tx.now).max(TimeDelta::hours(NEWS_HOURS_MIN));
    queue(tx, &phone, &words(contact.language), key, life)
}

/// How a text says when a visit begins: language, time on the reader's clock, booking code.
type Words = fn(Language, &DateTime<FixedOffset>, &str) -> String;

/// Tells whoever has a telephone when a visit begins, as their clock shows it.
fn tell_time(
    tx: &mut Tx,
    visit: &Appointment,
    account: Option<AccountId>,
    (time, words): (DateTime<FixedOffset>, Words),
    key: &str,
) -> Result<(), Error> {
    let Some(account) = account else { return Ok(()) };
    let contact = account::contact(tx, account)?;
    let Some(phone) = contact.phone else { return Ok(()) };
    tell_at(tx, visit, (&phone, contact.language), (time, words), key)
}

fn tell_at(
    tx: &mut Tx,
    visit: &Appointment,
    (phone, language): (&Phone, Language),
    (time, words): (DateTime<FixedOffset>, Words),
    key: &str,
) -> Result<(), Error> {
    let payload = Payload {
        to: phone.as_str().to_owned(),
        text: words(language, &time, &visit.code),
        promise: Some(Promise { appointment: visit.id, starts_at: visit.start, word: None }),
        leave: None,
    };
    put(tx, &payload, key, visit.start.since(tx.now))
}

/// Tells that a newer law has moved the clocks and the visit with them: the patient that the local
/// time stands, the practitioner what their own clock will show. The caller has made the access
/// decision.
pub fn keep_promise(
    tx: &mut Tx,
    kept: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let doctor = practitioner::find_reach(tx, kept.practitioner.id)?;
    let key = |whom: &str| format!("clocks|{whom}|{}|{}", kept.id, kept.version);
    let promised = promise::told(&kept.local_start)?;
    tell_time(tx, kept, patient, (promised, text::promise_kept), &key("patient"))?;
    let Some(phone) = doctor.phone else { return Ok(()) };
    let language = match doctor.account {
        Some(account) => account::contact(tx, account)?.language,
        None => tx.language,
    };
    let own_clock = zone::wall(kept.start, doctor.time_zone);
    let words: (_, Words) = (own_clock, text::clocks_moved);
    tell_at(tx, kept, (&phone, language), words, &key("practitioner"))
}

fn put(tx: &mut Tx, payload: &Payload, key: &str, life: TimeDelta) -> Result<(), Error> {
    if outbox::put(tx, payload, key, life)? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}
