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
pub mod untold;
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
use crate::message::leave::Fate;
use crate::message::outbox::Payload;
use crate::patient;
use crate::practitioner;
use crate::waitlist::offer;

/// How long a sign-in code is worth sending, in minutes.
const CODE_MINUTES: i64 = 5;
/// How long the news that a visit will not be is worth sending at least, in hours.
pub(crate) const NEWS_HOURS_MIN: i64 = 12;

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

/// Somebody whom a text reaches.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Their telephone.
    pub phone: Phone,
    /// The language that they read.
    pub language: Language,
}

/// Whom a text to an account reaches: nobody without an account, or without a telephone.
fn reader(tx: &mut Tx, account: Option<AccountId>) -> Result<Option<Reader>, Error> {
    let Some(account) = account else { return Ok(None) };
    let contact = account::contact(tx, account)?;
    let language = contact.language;
    Ok(contact.phone.map(|phone| Reader { phone, language }))
}

/// Puts an SMS into the outbox; it leaves after the commit. `key` makes a repetition harmless,
/// `life` is how long it is worth sending. The caller has made the access decision.
pub fn queue(tx: &mut Tx, to: &Phone, text: &str, key: &str, life: TimeDelta) -> Result<(), Error> {
    put(tx, &Payload::text(to, text.to_owned()), key, life)
}

/// The SMS that carries a sign-in code. The caller has made the access decision.
pub fn send_code(tx: &mut Tx, to: &Phone, code: &str, language: Language) -> Result<(), Error> {
    let key = format!("code|{}", Uuid::new(tx.now).0);
    queue(tx, to, &text::code(language, code), &key, TimeDelta::minutes(CODE_MINUTES))
}

/// The SMS that confirms a booking, in the patient's language and local time. A patient without
/// a telephone gets none: whoever booked has spoken with them. The caller has made the access decision.
pub fn confirm_booking(
    tx: &mut Tx,
    booked: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let promised = promise::told(&booked.local_start)?;
    tell_time(tx, booked, patient, (promised, text::booked), &format!("booked|{}", booked.id))
}

/// The SMS that tells that the clinic takes on a visit that was asked for. Who has no telephone is told by
/// the office.
pub fn tell_accepted(
    tx: &mut Tx,
    accepted: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    tell_place(tx, accepted, patient, text::booked, &format!("booked|{}", accepted.id))
}

/// The SMS that tells that a visit which was called off will be after all. Who has no telephone is told by
/// the office.
pub fn tell_booked_again(
    tx: &mut Tx,
    booked: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let key = format!("booked|{}|{}", booked.id, booked.version);
    tell_place(tx, booked, patient, text::booked, &key)
}

/// The SMS that tells the new time of a visit that was moved. Who has no telephone is told by the office,
/// unless they have moved it themselves.
pub fn tell_move(
    tx: &mut Tx,
    moved: &Appointment,
    patient: Option<AccountId>,
) -> Result<(), Error> {
    let key = format!("moved|{}|{}", moved.id, moved.version);
    tell_place(tx, moved, patient, text::moved, &key)
}

/// Tells where a visit is by now, by a text or by the office.
fn tell_place(
    tx: &mut Tx,
    visit: &Appointment,
    patient: Option<AccountId>,
    words: Words,
    key: &str,
) -> Result<(), Error> {
    if reader(tx, patient)?.is_none() {
        return untold::tell(tx, visit, Fate::Moved, key);
    }
    let promised = promise::told(&visit.local_start)?;
    tell_time(tx, visit, patient, (promised, words), key)
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

/// Tells that the clinic did not answer in time, and that nothing is booked: by a text whoever has a
/// telephone, and the office whoever has none.
pub fn tell_unanswered(
    tx: &mut Tx,
    over: &Appointment,
    account: Option<AccountId>,
) -> Result<(), Error> {
    // A clock says it and no person, so it wakes nobody.
    let zone = patient::find_row(tx, over.patient.id)?.time_zone;
    let due_at = offer::awake(tx, tx.now, zone, TimeDelta::zero());
    let expires_at = over.start.max(due_at.plus(TimeDelta::hours(NEWS_HOURS_MIN)));
    let key = format!("unanswered|{}|{}", over.id, over.version);
    let Some(reader) = reader(tx, account)? else {
        return untold::tell_from(tx, over, Fate::CalledOff, &key, due_at);
    };
    let payload = Payload::text(&reader.phone, text::unanswered(reader.language, &over.code));
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

/// Tells that a visit will not be: by a text whoever has a telephone, and the office whoever has none.
fn tell_end(
    tx: &mut Tx,
    visit: &Appointment,
    account: Option<AccountId>,
    words: impl FnOnce(Language) -> String,
    key: &str,
) -> Result<(), Error> {
    let Some(reader) = reader(tx, account)? else {
        return untold::tell(tx, visit, Fate::CalledOff, key);
    };
    let life = visit.start.since(tx.now).max(TimeDelta::hours(NEWS_HOURS_MIN));
    queue(tx, &reader.phone, &words(reader.language), key, life)
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
    let Some(reader) = reader(tx, account)? else { return Ok(()) };
    tell_at(tx, visit, &reader, (time, words), key)
}

fn tell_at(
    tx: &mut Tx,
    visit: &Appointment,
    reader: &Reader,
    (time, words): (DateTime<FixedOffset>, Words),
    key: &str,
) -> Result<(), Error> {
    let text = words(reader.language, &time, &visit.code);
    let promise = Promise { appointment: visit.id, starts_at: visit.start, word: None };
    let payload = Payload { promise: Some(promise), ..Payload::text(&reader.phone, text) };
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
    tell_at(tx, kept, &Reader { phone, language }, words, &key("practitioner"))
}

fn put(tx: &mut Tx, payload: &Payload, key: &str, life: TimeDelta) -> Result<(), Error> {
    if outbox::put(tx, payload, key, life)? {
        tx.tell(Event::MessageQueued);
    }
    Ok(())
}
