//! What somebody hears who is asked to come to a visit of another: when, and where to open it. No
//! name, no reason, no specialty.

use crate::account::{self, AccountId};
use crate::appointment::promise;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::encounter::ParticipantId;
use crate::encounter::show::Encounter;
use crate::message::outbox::Payload;
use crate::message::{Promise, put, queue, screen, text};

/// Tells with one SMS, which is worth sending until the door closes and while the visit stands for
/// that time. Who has no telephone hears nothing. The caller has made the access decision.
pub fn tell(
    tx: &mut Tx,
    guest: AccountId,
    (visit, participant): (&Encounter, ParticipantId),
) -> Result<(), Error> {
    let contact = account::contact(tx, guest)?;
    let Some(phone) = contact.phone else { return Ok(()) };
    let start = promise::told(&visit.local_start)?;
    let link = screen(tx, &format!("#/guest/{}", visit.id));
    let payload = Payload {
        to: phone.as_str().to_owned(),
        text: text::invited(contact.language, &start, link.as_deref()),
        promise: Some(Promise {
            appointment: visit.appointment.id,
            starts_at: visit.start,
            word: None,
        }),
        leave: None,
    };
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
    let contact = account::contact(tx, guest)?;
    let (Some(phone), true) = (contact.phone, visit.start > tx.now) else { return Ok(()) };
    let text = text::called_off(contact.language, &promise::told(&visit.local_start)?);
    queue(tx, &phone, &text, &format!("off|{participant}"), visit.start.since(tx.now))
}
