//! What somebody hears who is asked to come to a visit of another: when, and where to open it. No
//! name, no reason, no specialty.

use crate::account::AccountId;
use crate::appointment::promise;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::encounter::ParticipantId;
use crate::encounter::show::Encounter;
use crate::message::outbox::Payload;
use crate::message::{Promise, put, queue, reader, screen, text};

/// Tells with one SMS, which is worth sending until the door closes and while the visit stands for
/// that time. Who has no telephone hears nothing. The caller has made the access decision.
pub fn tell(
    tx: &mut Tx,
    guest: AccountId,
    (visit, participant): (&Encounter, ParticipantId),
) -> Result<(), Error> {
    let Some(reader) = reader(tx, Some(guest))? else { return Ok(()) };
    let start = promise::told(&visit.local_start)?;
    let link = screen(tx, &format!("#/guest/{}", visit.id));
    let text = text::invited(reader.language, &start, link.as_deref());
    let promise = Promise { appointment: visit.appointment.id, starts_at: visit.start, word: None };
    let payload = Payload { promise: Some(promise), ..Payload::text(&reader.phone, text) };
    // Somebody who was sent out and is asked again hears it again, and so does whoever is expected at
    // another time.
    let (start, now) = (visit.start.utc(), tx.now.utc().timestamp_millis());
    let key = format!("invited|{participant}|{}|{now}", start.timestamp());
    put(tx, &payload, &key, visit.door.closes_at.since(tx.now))
}

/// Tells that the visit will not be, unless its time has passed. Who has no telephone hears nothing.
/// The caller has made the access decision.
pub fn tell_off(
    tx: &mut Tx,
    guest: AccountId,
    (visit, participant): (&Encounter, ParticipantId),
) -> Result<(), Error> {
    let reader = reader(tx, Some(guest))?;
    let (Some(reader), true) = (reader, visit.start > tx.now) else { return Ok(()) };
    let text = text::called_off(reader.language, &promise::told(&visit.local_start)?);
    queue(tx, &reader.phone, &text, &format!("off|{participant}"), visit.start.since(tx.now))
}
