//! What is written while one waits: between the patient and the practitioner, or with the clinic's
//! office. A few lines for each visit, sealed with the patient's key.
//!
//! What is meant for the practitioner is read by the two of them only; what is meant for the office
//! (a wrong number, a broken camera, "I am late") is read by the practitioner as well. Whoever reads
//! something leaves a row in the audit log; the words themselves stand nowhere else.

pub mod http;
pub mod list;

use chrono::TimeDelta;
use diesel::dsl::max;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::access::{self, Decision, Facts};
use crate::account::limit::{self, Limit};
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{accounts, chat_messages};
use crate::base::seal::Key;
use crate::base::tx::{Event, Tx};
use crate::encounter::{self, EncounterId, EncounterRow, admission, facts, lock_row};
use crate::patient;

id!(
    /// Something that was written in a visit.
    ChatMessageId
);

text_enum!(
    /// Whom something that is written is meant for; the patient reads everything.
    Audience {
        /// The practitioner, and nobody else of the clinic.
        Practitioner = "practitioner",
        /// The clinic's office, and the practitioner.
        Office = "office",
    }
);

text_enum!(
    /// Who writes.
    Side {
        /// The patient, or whoever is with them.
        Patient = "patient",
        /// The practitioner of the visit.
        Practitioner = "practitioner",
        /// The clinic's office.
        Office = "office",
    }
);

/// The longest text, in characters.
pub const TEXT_CHARS_MAX: usize = 500;
/// How much is written in one visit; the schema holds the same.
const MESSAGES_MAX: i32 = 200;
/// How many are listed at once.
const LIST_MAX: i64 = 100;
/// How fast one person may write in one visit.
const PACE: Limit = Limit { name: "chat", hits_max: 10, window: TimeDelta::minutes(1) };

/// What somebody writes.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteMessage {
    /// 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub text: String,
    /// Whom it is meant for; the office writes to `office`.
    pub to: Audience,
}

/// Something that was written in a visit.
#[derive(Clone, Serialize, ToSchema)]
pub struct ChatMessage {
    /// Which.
    pub id: ChatMessageId,
    /// As what its author writes.
    pub from: Side,
    /// Their name.
    pub name: String,
    /// Whom it is meant for.
    pub to: Audience,
    /// What it says.
    pub text: String,
    /// When.
    pub at: Instant,
    /// Whether the caller wrote it.
    pub own: bool,
}

/// Words have no place in a log.
macro_rules! silent {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("to", &self.to).finish_non_exhaustive()
            }
        }
    )+};
}
silent!(WriteMessage, ChatMessage);

type Row = ((ChatMessageId, Side, Audience), (crate::account::AccountId, String), Vec<u8>, Instant);

/// Which part of what was written is wanted.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// What was written after this one; left out: from the beginning.
    pub after: Option<ChatMessageId>,
}

/// Lists what was written in a visit and the caller may read, at most a hundred lines, in order. It
/// leaves a row in the audit log when there is anything.
pub fn list(tx: &mut Tx, id: EncounterId, wanted: &Wanted) -> Result<Page<ChatMessage>, Error> {
    let visit = encounter::find_row(tx, id)?;
    let facts = facts(&visit);
    tx.allow(Action::ReadChat, &facts)?;
    let after: Option<i32> = match wanted.after {
        None => None,
        Some(after) => chat_messages::table
            .filter(chat_messages::encounter_id.eq(id))
            .filter(chat_messages::id.eq(after))
            .select(chat_messages::seq)
            .first(tx.conn)
            .optional()?,
    };
    let mut query = chat_messages::table
        .inner_join(accounts::table)
        .filter(chat_messages::encounter_id.eq(id))
        .filter(chat_messages::seq.gt(after.unwrap_or(0)))
        .order(chat_messages::seq)
        .limit(LIST_MAX)
        .select((
            (chat_messages::id, chat_messages::side, chat_messages::audience),
            (accounts::id, accounts::name),
            chat_messages::text_sealed,
            chat_messages::created_at,
        ))
        .into_boxed();
    if !reads_all(tx, &facts) {
        query = query.filter(chat_messages::audience.eq(Audience::Office));
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    if rows.is_empty() {
        return Ok(Page::whole(Vec::new()));
    }
    let key = patient::key(tx, visit.patient_id)?;
    let me = tx.person()?.account;
    let mut items = Vec::new();
    for ((message, from, to), (author, name), sealed, at) in rows {
        let plain = key.open(&place(id, message), &sealed)?;
        let text = String::from_utf8(plain.to_vec())
            .map_err(|_not_text| Error::Internal("a message is not text"))?;
        items.push(ChatMessage { id: message, from, name, to, text, at, own: author == me });
    }
    tx.record(Action::ReadChat, "Encounter", id.0, &facts);
    Ok(Page::whole(items))
}

/// The last line that the caller may read; its number would tell how many there are that they may
/// not. `None` when there is none, or they may read
/// nothing. The caller of this has asked the policy about the visit.
pub fn newest(tx: &mut Tx, visit: &EncounterRow) -> Result<Option<ChatMessageId>, Error> {
    let facts = facts(visit);
    if access::decide(&tx.caller, Action::ReadChat, &facts) != Decision::Allow {
        return Ok(None);
    }
    let mut query = chat_messages::table
        .filter(chat_messages::encounter_id.eq(visit.id))
        .order(chat_messages::seq.desc())
        .select(chat_messages::id)
        .into_boxed();
    if !reads_all(tx, &facts) {
        query = query.filter(chat_messages::audience.eq(Audience::Office));
    }
    Ok(query.first(tx.conn).optional()?)
}

fn reads_all(tx: &Tx, facts: &Facts) -> bool {
    access::decide(&tx.caller, Action::ReadPrivateChat, facts) == Decision::Allow
}

/// How long somebody waits for the office's answer, in hours.
pub const ANSWER_HOURS: i64 = 12;

/// Writes a line while the door of a visit is open; what the patient has asked the office may be
/// answered when it is over as well. 409 `too_early`, `chat_full`; 410 `visit_over`; 429 when it is
/// too fast.
pub fn write(tx: &mut Tx, id: EncounterId, new: &WriteMessage) -> Result<ChatMessage, Error> {
    let visit = encounter::find_row(tx, id)?;
    let facts = facts(&visit);
    tx.allow(Action::WriteChat, &facts)?;
    if new.to == Audience::Practitioner {
        tx.allow(Action::ReadPrivateChat, &facts)?;
    }
    let text = new.text.trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/text"));
    }
    lock_row(tx, id)?;
    let person = tx.person()?.clone();
    let from = if person.active_practitioner() == Some(visit.practitioner_id) {
        Side::Practitioner
    } else if reads_all(tx, &facts) {
        Side::Patient
    } else {
        Side::Office
    };
    let answers = from != Side::Patient && new.to == Audience::Office;
    if !answers || !is_asked(tx, id)? {
        admission::check_door(tx, id)?;
    }
    limit::take(tx, &PACE, &format!("{}|{id}", person.account))?;
    let last: Option<i32> = chat_messages::table
        .filter(chat_messages::encounter_id.eq(id))
        .select(max(chat_messages::seq))
        .get_result(tx.conn)?;
    let seq = last.unwrap_or(0).saturating_add(1);
    if seq > MESSAGES_MAX {
        return Err(Error::from(&problem::CHAT_FULL));
    }
    let message = ChatMessageId::new(tx.now);
    let key: Key = patient::key(tx, visit.patient_id)?;
    diesel::insert_into(chat_messages::table)
        .values((
            chat_messages::id.eq(message),
            chat_messages::encounter_id.eq(id),
            chat_messages::organization_id.eq(visit.organization_id),
            chat_messages::seq.eq(seq),
            chat_messages::audience.eq(new.to),
            chat_messages::side.eq(from),
            chat_messages::author_id.eq(person.account),
            chat_messages::text_sealed.eq(key.seal(&place(id, message), text.as_bytes())?),
            chat_messages::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.tell(Event::Wrote(id));
    tx.record(Action::WriteChat, "Encounter", id.0, &facts);
    let text = text.to_owned();
    Ok(ChatMessage {
        id: message,
        from,
        name: person.name,
        to: new.to,
        text,
        at: tx.now,
        own: true,
    })
}

/// Whether the patient has asked the office something, not too long ago.
fn is_asked(tx: &mut Tx, id: EncounterId) -> Result<bool, Error> {
    let asked = chat_messages::table
        .filter(chat_messages::encounter_id.eq(id))
        .filter(chat_messages::audience.eq(Audience::Office))
        .filter(chat_messages::side.eq(Side::Patient))
        .filter(chat_messages::created_at.gt(tx.now.minus(TimeDelta::hours(ANSWER_HOURS))));
    Ok(diesel::select(diesel::dsl::exists(asked)).get_result(tx.conn)?)
}

fn place(visit: EncounterId, id: ChatMessageId) -> String {
    format!("chat_messages|text|{visit}|{id}")
}
