//! The patient's record: notes, their signatures and addenda.
//!
//! A draft is there for its author only. Once signed, a note never changes; its patient and
//! those who treat the patient may read it. Whoever reads the words of a note leaves a row in
//! the audit log, in the same transaction, so reads run as writes. A list of notes leaves one
//! row, `note.list`, on its patient or visit; an empty list leaves none.

pub mod body;
pub mod http;
pub mod signature;
pub mod write;

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::caller::Caller;
use crate::access::table::Action;
use crate::access::{self, Decision, Facts};
use crate::appointment;
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::AnyBackend;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{note_addenda, notes, patients, practitioners};
use crate::base::seal::Key;
use crate::base::tx::Tx;
use crate::encounter::show::Reference;
use crate::encounter::{self, EncounterId, EncounterRow};
use crate::organization::OrganizationId;
use crate::patient::{self, PatientId};
use crate::practitioner::PractitionerId;
use crate::record::body::Sections;

id!(
    /// What a practitioner wrote about a visit.
    NoteId
);
id!(
    /// What was added to a signed note.
    AddendumId
);

text_enum!(
    /// Where a note stands.
    NoteStatus {
        /// Being written; its author's alone.
        Draft = "draft",
        /// Signed: it never changes again.
        Signed = "signed",
    }
);

impl NoteStatus {
    /// The act of reading such a note.
    fn reading(self) -> Action {
        match self {
            Self::Draft => Action::ReadDraft,
            Self::Signed => Action::ReadNote,
        }
    }
}

/// A note as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// Where it stands.
    pub status: NoteStatus,
    /// Counts the changes; the `ETag`.
    pub version: i32,
    /// The visit it is about.
    pub encounter: Reference<EncounterId>,
    /// The patient it is about.
    pub patient: Named<PatientId>,
    /// Who wrote it.
    pub author: Named<PractitionerId>,
    /// What it says.
    #[serde(flatten)]
    pub sections: Sections,
    /// When it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Instant>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<Named<PractitionerId>>,
    /// The proof that it is what was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What was added later, in the order of time.
    pub addenda: Vec<Addendum>,
    /// When it was begun.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// The proof that a note is what was signed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Signature {
    /// The key, as in `/.well-known/jwks.json`.
    pub kid: String,
    /// Whether the note was found to be what was signed, just now. `false` says that somebody
    /// has changed the stored note; words that no longer open are left out.
    pub verified: bool,
}

/// An addition to a signed note.
#[derive(Clone, Serialize, ToSchema)]
pub struct Addendum {
    /// Its id.
    pub id: AddendumId,
    /// Who added it.
    pub author: Named<PractitionerId>,
    /// What it says.
    pub text: String,
    /// When.
    pub created_at: Instant,
}

impl std::fmt::Debug for Addendum {
    /// Health data has no place in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addendum").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A row of `notes`.
#[derive(Debug, Clone, Queryable)]
pub struct NoteRow {
    /// Its id.
    pub id: NoteId,
    /// The visit.
    pub encounter_id: EncounterId,
    /// The patient.
    pub patient_id: PatientId,
    /// The clinic of the visit.
    pub organization_id: OrganizationId,
    /// Who wrote it.
    pub author_id: PractitionerId,
    /// Where it stands.
    pub status: NoteStatus,
    /// Counts the changes.
    pub version: i32,
    /// The sections, sealed with the patient's key for this id and version.
    pub body_sealed: Vec<u8>,
    /// SHA-256 of the signed statement.
    pub content_hash: Option<Vec<u8>>,
    /// The signature over it.
    pub signature: Option<Vec<u8>>,
    /// The key that signed.
    pub signature_kid: Option<String>,
    /// When it was signed.
    pub signed_at: Option<Instant>,
    /// By whom.
    pub signer_id: Option<PractitionerId>,
    /// When it was begun.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// Whether a note about a visit is signed; the caller has made the access decision. Index:
/// notes_by_encounter.
pub(crate) fn is_signed(tx: &mut Tx, visit: EncounterId) -> Result<bool, Error> {
    let signed = notes::table
        .filter(notes::encounter_id.eq(visit))
        .filter(notes::status.eq(NoteStatus::Signed));
    Ok(diesel::select(diesel::dsl::exists(signed)).get_result(tx.conn)?)
}

/// Whether the caller may know which notes there are about a visit.
pub(crate) fn may_list(tx: &mut Tx, visit: &EncounterRow) -> Result<bool, Error> {
    let facts = Facts { treats: treats(tx, visit.patient_id)?, ..encounter::facts(visit) };
    Ok(access::decide(&tx.caller, Action::ListNotes, &facts) == Decision::Allow)
}

/// The row of a note. 404 when there is none.
pub(crate) fn find_row(tx: &mut Tx, id: NoteId) -> Result<NoteRow, Error> {
    notes::table
        .find(id)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Shows one note, and remembers who read it. 404 when it is not there or not the caller's to
/// read; a draft is there for its author only.
pub fn find(tx: &mut Tx, id: NoteId) -> Result<Note, Error> {
    let row = find_row(tx, id)?;
    let facts = see(tx, &row)?;
    tx.record(row.status.reading(), "Note", id.0, &facts);
    show(tx, row)
}

/// Lists the notes of one visit that the caller may read, by time. Index: notes_by_encounter.
pub fn list_of_encounter(tx: &mut Tx, id: EncounterId) -> Result<Page<Note>, Error> {
    let visit = encounter::find_row(tx, id)?;
    let treats = treats(tx, visit.patient_id)?;
    let facts = Facts { treats, ..encounter::facts(&visit) };
    tx.allow(Action::ListNotes, &facts)?;
    let rows = readable(tx, visit.patient_id, &facts)
        .filter(notes::encounter_id.eq(id))
        .order((notes::created_at, notes::id))
        .limit(i64::from(page::LIMIT_MAX))
        .load(tx.conn)?;
    let items = show_all(tx, visit.patient_id, rows)?;
    if !items.is_empty() {
        tx.record(Action::ListNotes, "Encounter", id.0, &facts);
    }
    Ok(Page::whole(items))
}

/// Which part of a patient's notes is wanted.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the notes of a patient that the caller may read, the newest first; 404 when the
/// patient is none of theirs. Index: notes_by_patient.
pub fn list_of_patient(
    tx: &mut Tx,
    patient: PatientId,
    wanted: &Wanted,
) -> Result<Page<Note>, Error> {
    // A patient who does not exist is nobody's, so both answer alike.
    let treats = treats(tx, patient)?;
    let facts = Facts { patient: Some(patient), treats, ..Facts::NONE };
    tx.allow(Action::ListNotes, &facts)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(Instant, NoteId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = readable(tx, patient, &facts)
        .order((notes::created_at.desc(), notes::id.desc()))
        .limit(limit.saturating_add(1));
    if let Some((at, id)) = after {
        let same_time = notes::created_at.eq(at).and(notes::id.lt(id));
        query = query.filter(notes::created_at.lt(at).or(same_time));
    }
    let rows: Vec<NoteRow> = query.load(tx.conn)?;
    let page = Page::cut(rows, limit, |row| (row.created_at, row.id));
    let items = show_all(tx, patient, page.items)?;
    if !items.is_empty() {
        tx.record(Action::ListNotes, "Patient", patient.0, &facts);
    }
    Ok(Page { items, next: page.next })
}

/// What the access decision must know of a note, once it has said that the caller may read it.
pub(crate) fn see(tx: &mut Tx, row: &NoteRow) -> Result<Facts, Error> {
    let visit = encounter::find_row(tx, row.encounter_id)?;
    let treats = treats(tx, row.patient_id)?;
    let facts = Facts { author: Some(row.author_id), treats, ..encounter::facts(&visit) };
    tx.allow(row.status.reading(), &facts)?;
    Ok(facts)
}

fn treats(tx: &mut Tx, patient: PatientId) -> Result<bool, Error> {
    match calling_practitioner(tx) {
        Some(practitioner) => appointment::treats(tx, practitioner, patient),
        None => Ok(false),
    }
}

pub(crate) fn calling_practitioner(tx: &Tx) -> Option<PractitionerId> {
    match &tx.caller {
        Caller::Person(person) => person.active_practitioner(),
        Caller::Nobody | Caller::System => None,
    }
}

/// The notes of a patient that the caller may read: their own, and the signed ones for those
/// who may read a signed note of this patient.
fn readable<'a>(tx: &Tx, patient: PatientId, facts: &Facts) -> notes::BoxedQuery<'a, AnyBackend> {
    let nobody = PractitionerId(uuid::Uuid::nil());
    let mine = notes::author_id.eq(calling_practitioner(tx).unwrap_or(nobody));
    let query = notes::table.filter(notes::patient_id.eq(patient)).into_boxed();
    match access::decide(&tx.caller, Action::ReadNote, facts) {
        Decision::Allow => query.filter(notes::status.eq(NoteStatus::Signed).or(mine)),
        Decision::SignIn | Decision::Forbid | Decision::Hide => query.filter(mine),
    }
}

/// A note that the caller may see.
pub(crate) fn show(tx: &mut Tx, row: NoteRow) -> Result<Note, Error> {
    let patient = row.patient_id;
    show_all(tx, patient, vec![row])?.pop().ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

type AddendumRow = (AddendumId, NoteId, PractitionerId, Vec<u8>, Instant);

fn show_all(tx: &mut Tx, patient: PatientId, rows: Vec<NoteRow>) -> Result<Vec<Note>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let key = patient::key(tx, patient)?;
    let ids: Vec<NoteId> = rows.iter().map(|row| row.id).collect();
    let addenda: Vec<AddendumRow> = note_addenda::table
        .filter(note_addenda::note_id.eq_any(ids))
        .order((note_addenda::created_at, note_addenda::id))
        .load(tx.conn)?;
    let mut people: Vec<PractitionerId> = rows.iter().map(|row| row.author_id).collect();
    people.extend(rows.iter().filter_map(|row| row.signer_id));
    people.extend(addenda.iter().map(|(_, _, author, ..)| *author));
    let names = names(tx, people)?;
    let patient_name: String =
        patients::table.find(patient).select(patients::name).get_result(tx.conn)?;
    let patient = Named { id: patient, name: patient_name };
    let (mut all, mut addenda) = (Vec::new(), addenda);
    for row in rows {
        let added = addenda.extract_if(.., |(_, note, ..)| *note == row.id).collect();
        all.push(assemble(tx, &key, &names, patient.clone(), row, added)?);
    }
    Ok(all)
}

type Names = HashMap<PractitionerId, String>;

fn names(tx: &mut Tx, people: Vec<PractitionerId>) -> Result<Names, Error> {
    let names: Vec<(PractitionerId, String)> = practitioners::table
        .filter(practitioners::id.eq_any(people))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    Ok(names.into_iter().collect())
}

fn named(names: &Names, id: PractitionerId) -> Named<PractitionerId> {
    Named { id, name: names.get(&id).cloned().unwrap_or_default() }
}

fn assemble(
    tx: &Tx,
    key: &Key,
    names: &Names,
    patient: Named<PatientId>,
    row: NoteRow,
    added: Vec<AddendumRow>,
) -> Result<Note, Error> {
    let opened = body::open(key, row.id, row.version, &row.body_sealed);
    let (sections, mut verified) = match (row.status, opened) {
        (NoteStatus::Draft, sections) => (sections?, false),
        (NoteStatus::Signed, Ok(sections)) => {
            let tokens = &tx.app.tokens;
            let genuine = signature::is_genuine(&row, &sections, |kid, bytes, signature| {
                tokens.verify_signature(kid, bytes, signature)
            })?;
            (sections, genuine)
        }
        // One damaged note must not hide the others: it says plainly that it is damaged.
        (NoteStatus::Signed, Err(_)) => (Sections::default(), false),
    };
    let mut addenda = Vec::new();
    for (id, note, author, sealed, created_at) in added {
        let opened = body::open_addendum(key, note, id, &sealed);
        verified &= opened.is_ok();
        let text = opened.unwrap_or_default();
        addenda.push(Addendum { id, author: named(names, author), text, created_at });
    }
    if row.status == NoteStatus::Signed && !verified {
        tracing::error!(note.id = %row.id, "a signed note is not what was signed");
    }
    Ok(Note {
        id: row.id,
        status: row.status,
        version: row.version,
        encounter: Reference { id: row.encounter_id },
        patient,
        author: named(names, row.author_id),
        sections,
        signed_at: row.signed_at,
        signer: row.signer_id.map(|signer| named(names, signer)),
        signature: row.signature_kid.map(|kid| Signature { kid, verified }),
        addenda,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}
