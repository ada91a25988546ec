//! What a patient hears when the practitioner is late, or less late than was said: the time by
//! their own clock, and that they may choose another. No name, no specialty.

use crate::account::AccountId;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::{Event, Tx};
use crate::base::zone::{self, Zone};
use crate::message::outbox::{self, MessageState, Payload};
use crate::message::{Promise, Word, reader, screen, text};

/// When a visit will probably begin.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// The practitioner's word, and the visit.
    pub word: Word,
    /// What must still hold when the text leaves.
    pub promise: Promise,
    /// The visit's booking code.
    pub code: &'a str,
    /// Between which times it will probably begin.
    pub times: (Instant, Instant),
    /// The zone of the patient's clock.
    pub zone: Zone,
    /// Whether they were told a later time before.
    pub sooner: bool,
    /// When the text leaves: nobody is woken.
    pub tell_at: Instant,
}

/// Tells a patient with one SMS, which is worth sending until the visit begins; `false` when they
/// have no telephone, or when it could only leave after that. The caller has made the access
/// decision.
pub fn tell(tx: &mut Tx, patient: Option<AccountId>, news: &News) -> Result<bool, Error> {
    let Some(reader) = reader(tx, patient)? else { return Ok(false) };
    let (earliest, latest) = news.times;
    let expires_at = latest.max(news.promise.starts_at);
    if news.tell_at >= expires_at {
        return Ok(false);
    }
    let times = (zone::wall(earliest, news.zone), zone::wall(latest, news.zone));
    // There the wait is shown, and another time can be chosen.
    let link = screen(tx, &format!("#/visit/{}", news.word.encounter));
    let words = if news.sooner { text::sooner } else { text::late };
    let text = words(reader.language, (&times.0, &times.1), news.code, link.as_deref());
    let payload = Payload { promise: Some(news.promise), ..Payload::text(&reader.phone, text) };
    if outbox::put_for(tx, &payload, &key(news.word), (news.tell_at, expires_at))? {
        tx.tell(Event::MessageQueued);
    }
    Ok(true)
}

/// Where the text that told of a word stands; `None` when there was none. The caller has made the
/// access decision.
pub fn state(tx: &mut Tx, word: Word) -> Result<Option<MessageState>, Error> {
    outbox::state(tx, &key(word))
}

/// Gives up the text of an earlier word; `false` when it has left, or may have.
pub fn withdraw(tx: &mut Tx, word: Word) -> Result<bool, Error> {
    outbox::withdraw(tx, &key(word))
}

fn key(Word { delay, encounter }: Word) -> String {
    format!("late|{delay}|{encounter}")
}
