//! Writing a note: begun, saved as it is typed, signed once, added to.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::db::Each;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{note_addenda, notes};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::show::Reference;
use crate::encounter::{self, EncounterId, EncounterRow};
use crate::patient;
use crate::record::body::{self, Sections, WriteNote, check_length};
use crate::record::signature::{Statement, signed_bytes};
use crate::record::{
    Addendum, AddendumId, Note, NoteId, NoteStatus, calling_practitioner, find_row, named, names,
    see, show,
};
use crate::task;

/// Begins a note about a visit that has begun or is over. There is one draft per visit and
/// author: 409 `already_exists` names it. 409 `bad_state` before the patient has come.
pub fn create(tx: &mut Tx, encounter: EncounterId, first: WriteNote) -> Result<Note, Error> {
    let visit = encounter::find_row(tx, encounter)?;
    let facts = encounter::facts(&visit);
    tx.allow(Action::CreateNote, &facts)?;
    let sections = Sections::default().with(first)?;
    check_state(&visit)?;
    let id = insert(tx, &visit, &sections)?;
    tx.record(Action::CreateNote, "Note", id.0, &facts);
    let row = find_row(tx, id)?;
    show(tx, row)
}

/// There is something to write down of a visit whose patient has come.
fn check_state(visit: &EncounterRow) -> Result<(), Error> {
    match visit.status {
        EncounterStatus::Planned | EncounterStatus::Cancelled => {
            Err(Error::from(&problem::BAD_STATE))
        }
        EncounterStatus::Arrived
        | EncounterStatus::InProgress
        | EncounterStatus::Onleave
        | EncounterStatus::Finished => Ok(()),
    }
}

fn insert(tx: &mut Tx, visit: &EncounterRow, sections: &Sections) -> Result<NoteId, Error> {
    let id = NoteId::new(tx.now);
    let key = patient::key(tx, visit.patient_id)?;
    // Only who conducts the visit may begin a note, so that is who writes it.
    let author = visit.practitioner_id;
    let inserted = Each(
        diesel::insert_into(notes::table)
            .values((
                notes::id.eq(id),
                notes::encounter_id.eq(visit.id),
                notes::patient_id.eq(visit.patient_id),
                notes::organization_id.eq(visit.organization_id),
                notes::author_id.eq(author),
                notes::status.eq(NoteStatus::Draft),
                notes::version.eq(1),
                notes::body_sealed.eq(body::seal(&key, id, 1, sections)?),
                notes::created_at.eq(tx.now),
                notes::updated_at.eq(tx.now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    if inserted == 1 {
        return Ok(id);
    }
    let existing: Option<NoteId> = notes::table
        .filter(notes::encounter_id.eq(visit.id))
        .filter(notes::author_id.eq(author))
        .filter(notes::status.eq(NoteStatus::Draft))
        .select(notes::id)
        .get_result(tx.conn)
        .optional()?;
    let refusal = Error::from(&problem::ALREADY_EXISTS);
    Err(match existing {
        Some(id) => refusal.with("note", Reference { id }),
        None => refusal,
    })
}

/// Changes the sections that are given, in a draft. 409 `note_signed` once it is signed, 412
/// when it was changed meanwhile.
pub fn edit(tx: &mut Tx, id: NoteId, version: i32, change: WriteNote) -> Result<Note, Error> {
    let row = find_row(tx, id)?;
    let facts = see(tx, &row)?;
    tx.allow(Action::EditNote, &facts)?;
    if row.status == NoteStatus::Signed {
        return Err(Error::from(&problem::NOTE_SIGNED));
    }
    if row.version != version {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    let key = patient::key(tx, row.patient_id)?;
    let sections = body::open(&key, id, version, &row.body_sealed)?.with(change)?;
    let next = version.saturating_add(1);
    let changed = diesel::update(
        notes::table
            .filter(notes::id.eq(id))
            .filter(notes::status.eq(NoteStatus::Draft))
            .filter(notes::version.eq(version)),
    )
    .set((
        notes::version.eq(next),
        notes::body_sealed.eq(body::seal(&key, id, next, &sections)?),
        notes::updated_at.eq(tx.now),
    ))
    .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditNote, "Note", id.0, &facts);
    let row = find_row(tx, id)?;
    show(tx, row)
}

/// Signs a note: it never changes again. Signing twice is signing once. 422 `note_empty` when
/// no section says anything, 412 when `version` is given and is not the one that is signed, 409
/// `bad_state` while the patient is still expected, or did not come after all.
pub fn sign(tx: &mut Tx, id: NoteId, version: Option<i32>) -> Result<Note, Error> {
    let row = find_row(tx, id)?;
    let facts = see(tx, &row)?;
    tx.allow(Action::SignNote, &facts)?;
    // That the visit took place may be taken back at this moment, or what it is owed may change.
    let visit = encounter::lock_row(tx, row.encounter_id)?;
    let row = find_row(tx, id)?;
    // Signing is a change of its own: who did not hear the answer knows the version before it.
    let signed_already = row.status == NoteStatus::Signed;
    let before = row.version.saturating_sub(1);
    if version.is_some_and(|v| v != row.version && !(signed_already && v == before)) {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    if signed_already {
        tx.record(Action::ReadNote, "Note", id.0, &facts);
        return show(tx, row);
    }
    check_state(&visit)?;
    let key = patient::key(tx, row.patient_id)?;
    let sections = body::open(&key, id, row.version, &row.body_sealed)?;
    if sections.is_blank() {
        return Err(Error::from(&problem::NOTE_EMPTY));
    }
    let content_hash = Statement::of_draft(&row, &sections, tx.now).content_hash()?;
    let (kid, signature) = tx.app.tokens.sign(&signed_bytes(&content_hash))?;
    let next = row.version.saturating_add(1);
    let body_sealed = body::seal(&key, id, next, &sections)?;
    let signed = diesel::update(
        notes::table
            .filter(notes::id.eq(id))
            .filter(notes::status.eq(NoteStatus::Draft))
            .filter(notes::version.eq(row.version)),
    )
    .set((
        notes::status.eq(NoteStatus::Signed),
        notes::version.eq(next),
        notes::body_sealed.eq(body_sealed),
        notes::content_hash.eq(content_hash),
        notes::signature.eq(signature),
        notes::signature_kid.eq(kid),
        notes::signed_at.eq(tx.now),
        notes::signer_id.eq(row.author_id),
        notes::updated_at.eq(tx.now),
    ))
    .execute(tx.conn)?;
    if signed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::SignNote, "Note", id.0, &facts);
    task::answered(tx, row.encounter_id)?;
    let row = find_row(tx, id)?;
    show(tx, row)
}

/// How many addenda a note can have: a note is read whole.
const ADDENDA_LEN_MAX: i64 = 100;

/// What is added to a signed note.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAddendum {
    /// What it says; at most 20,000 characters.
    #[schema(min_length = 1, max_length = 20000)]
    pub text: String,
}

/// Adds to a signed note. 409 `bad_state` while it is a draft, and when it is full.
pub fn add_addendum(tx: &mut Tx, note: NoteId, addition: &AddAddendum) -> Result<Addendum, Error> {
    let row = find_row(tx, note)?;
    let facts = see(tx, &row)?;
    tx.allow(Action::AddAddendum, &facts)?;
    let author = calling_practitioner(tx).ok_or_else(|| Error::from(&problem::FORBIDDEN))?;
    check_length(&addition.text, "/text")?;
    if addition.text.trim().is_empty() {
        return Err(Error::field(&problem::INVALID_BODY, "/text"));
    }
    let added: i64 =
        note_addenda::table.filter(note_addenda::note_id.eq(note)).count().get_result(tx.conn)?;
    if row.status == NoteStatus::Draft || added >= ADDENDA_LEN_MAX {
        return Err(Error::from(&problem::BAD_STATE));
    }
    let id = AddendumId::new(tx.now);
    let created_at = tx.now;
    let key = patient::key(tx, row.patient_id)?;
    diesel::insert_into(note_addenda::table)
        .values((
            note_addenda::id.eq(id),
            note_addenda::note_id.eq(note),
            note_addenda::author_id.eq(author),
            note_addenda::text_sealed.eq(body::seal_addendum(&key, note, id, &addition.text)?),
            note_addenda::created_at.eq(created_at),
        ))
        .execute(tx.conn)?;
    tx.record(Action::AddAddendum, "Note", note.0, &facts);
    let names = names(tx, vec![author])?;
    let text = addition.text.clone();
    Ok(Addendum { id, author: named(&names, author), text, created_at })
}
