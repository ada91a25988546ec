//! What somebody hears who was rung and did not come, and of a visit that broke off: that it is open
//! until then, and that the clinic calls otherwise; of one that was ended by mistake, and still is open; and who waited
//! and was not seen: that it calls. No name, no specialty.

use crate::account::AccountId;
use crate::appointment;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::{Event, Tx};
use crate::base::zone::{self, Zone};
use crate::encounter::EncounterRow;
use crate::message::outbox::{self, Payload};
use crate::message::{Promise, reader, screen, text};
use crate::ring::RingId;

/// A visit that somebody shall come back to.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// The visit.
    pub visit: &'a EncounterRow,
    /// Until when coming helps; the text is not worth sending afterwards.
    pub until: Instant,
    /// The zone of the patient's clock.
    pub zone: Zone,
    /// They are asked to another's visit: its code, with which it is moved, is not theirs.
    pub is_guest: bool,
}

/// Tells somebody that they are rung and until when they can come, with one SMS for a ring; `false`
/// when they have no telephone. The caller has made the access decision.
pub fn tell_rung(
    tx: &mut Tx,
    account: AccountId,
    ring: RingId,
    news: &News,
) -> Result<bool, Error> {
    tell(tx, account, news, (text::rung, &format!("rung|{ring}")))
}

/// Tells a patient that their visit is interrupted and not over, once for a visit; `false` when they
/// have no telephone. The caller has made the access decision.
pub fn tell_interrupted(tx: &mut Tx, account: AccountId, news: &News) -> Result<bool, Error> {
    tell(tx, account, news, (text::interrupted, &format!("interrupted|{}", news.visit.id)))
}

/// Tells a patient that their visit was ended by mistake and is open again; `false` when they have no
/// telephone. The caller has made the access decision.
pub fn tell_reopened(tx: &mut Tx, account: AccountId, news: &News) -> Result<bool, Error> {
    // It can be ended by mistake twice.
    let key = format!("reopened|{}|{}", news.visit.id, tx.now.micros());
    tell(tx, account, news, (text::reopened, &key))
}

/// Tells a patient who has not come back since that it is still open, and that the clinic calls otherwise;
/// `false` when they have no telephone. The caller has made the access decision.
pub fn tell_still_open(tx: &mut Tx, account: AccountId, news: &News) -> Result<bool, Error> {
    let key = format!("still_open|{}|{}", news.visit.id, tx.now.micros());
    tell(tx, account, news, (text::still_open, &key))
}

/// Tells a patient who waited that nobody came and that the clinic calls them, once for a visit;
/// `false` when they have no telephone. The caller has made the access decision.
pub fn tell_unseen(tx: &mut Tx, account: AccountId, news: &News) -> Result<bool, Error> {
    tell(tx, account, news, (text::unseen, &format!("unseen|{}", news.visit.id)))
}

fn tell(
    tx: &mut Tx,
    account: AccountId,
    news: &News,
    (words, key): (text::Care, &str),
) -> Result<bool, Error> {
    let Some(reader) = reader(tx, Some(account))? else { return Ok(false) };
    let code = match news.is_guest {
        true => None,
        false => Some(appointment::code_of(tx, news.visit.appointment_id)?),
    };
    let page = if news.is_guest { "guest" } else { "visit" };
    let link = screen(tx, &format!("#/{page}/{}", news.visit.id));
    let until = zone::wall(news.until, news.zone);
    let text = words(reader.language, &until, code.as_deref(), link.as_deref());
    let promise = Promise {
        appointment: news.visit.appointment_id,
        starts_at: news.visit.starts_at,
        word: None,
    };
    let payload = Payload { promise: Some(promise), ..Payload::text(&reader.phone, text) };
    if outbox::put_for(tx, &payload, key, (tx.now, news.until))? {
        tx.tell(Event::MessageQueued);
    }
    Ok(true)
}
