//! Who has consented to what: rows that are added and withdrawn once, never changed.
//!
//! Nobody is recorded who has not consented: [`recording`] says whether everybody who is there has,
//! and the schema refuses a recording otherwise, whatever this code believes.

pub mod form;
pub mod give;
pub mod http;
pub mod recording;
pub mod standing;

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::consents;
use crate::base::tx::Tx;
use crate::consent::form::ConsentKind;
use crate::consent::recording::Recording;
use crate::encounter::show::Reference;
use crate::encounter::{self, EncounterId};
use crate::organization::OrganizationId;
use crate::patient::{self, PatientId};

id!(
    /// What somebody has consented to (FHIR R4 Consent).
    ConsentId
);

text_enum!(
    /// Who speaks for the person whose consent it is.
    GivenBy {
        /// The person.
        Own = "self",
        /// A relative.
        Relative = "relative",
        /// Whoever decides for them by law.
        Guardian = "guardian",
    }
);

text_enum!(
    /// What whoever speaks for somebody is to them.
    Relationship {
        /// Mother or father.
        Parent = "parent",
        /// Wife or husband.
        Spouse = "spouse",
        /// Daughter or son.
        Child = "child",
        /// Sister or brother.
        Sibling = "sibling",
        /// Grandmother or grandfather.
        Grandparent = "grandparent",
        /// Appointed by law.
        Guardian = "guardian",
        /// Anything else.
        Other = "other",
    }
);

/// A consent as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// To what.
    pub kind: ConsentKind,
    /// The version of the form that was shown.
    pub form_version: i32,
    /// In which language it was shown.
    pub language: crate::base::language::Language,
    /// For which visit; left out: all of the patient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Reference<EncounterId>>,
    /// Whose it is; left out: the patient's, who cannot sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Reference<AccountId>>,
    /// Who spoke.
    pub given_by: GivenBy,
    /// What they are to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relationship: Option<Relationship>,
    /// When it was given.
    pub given_at: Instant,
    /// When it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Instant>,
    /// Whether it counts: it was not withdrawn, and the form is the newest.
    pub counts: bool,
}

/// A row of `consents`.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct ConsentRow {
    /// Its id.
    pub id: ConsentId,
    /// To what.
    pub kind: ConsentKind,
    /// Which version of the form.
    pub form_version: i32,
    /// In which language.
    pub language: crate::base::language::Language,
    /// At which clinic.
    pub organization_id: OrganizationId,
    /// Whose visit, or visits.
    pub patient_id: PatientId,
    /// Which visit.
    pub encounter_id: Option<EncounterId>,
    /// Whose it is.
    pub person_id: Option<AccountId>,
    /// Who spoke.
    pub given_by: GivenBy,
    /// What they are to the person.
    pub relationship: Option<Relationship>,
    /// Who wrote it down.
    pub recorded_by: AccountId,
    /// When.
    pub given_at: Instant,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Instant>,
    /// Who wrote that down.
    pub withdrawn_by: Option<AccountId>,
}

impl ConsentRow {
    /// Whether it counts: it was not withdrawn, and the form is the newest.
    pub fn counts(&self) -> bool {
        let newest = form::current(self.kind, self.language).version;
        self.withdrawn_at.is_none() && self.form_version == newest
    }
}

impl From<ConsentRow> for Consent {
    fn from(row: ConsentRow) -> Self {
        Self {
            counts: row.counts(),
            id: row.id,
            kind: row.kind,
            form_version: row.form_version,
            language: row.language,
            encounter: row.encounter_id.map(|id| Reference { id }),
            person: row.person_id.map(|id| Reference { id }),
            given_by: row.given_by,
            relationship: row.relationship,
            given_at: row.given_at,
            withdrawn_at: row.withdrawn_at,
        }
    }
}

/// The consents of a visit, and whether it could be recorded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VisitConsents {
    /// Those for this visit, and the patient's for all of theirs, the oldest first.
    pub items: Vec<Consent>,
    /// Whether the visit can be recorded, and if not, why.
    pub recording: Recording,
}

/// Lists the consents of a visit. Indexes: consents_by_encounter, consents_by_patient.
pub fn list_of_encounter(tx: &mut Tx, id: EncounterId) -> Result<VisitConsents, Error> {
    let visit = encounter::find_row(tx, id)?;
    tx.allow(Action::ReadConsents, &encounter::facts(&visit))?;
    let of_patient =
        consents::patient_id.eq(visit.patient_id).and(consents::encounter_id.is_null());
    let rows: Vec<ConsentRow> = consents::table
        .filter(consents::encounter_id.eq(id).or(of_patient))
        .order((consents::given_at, consents::id))
        .limit(200)
        .load(tx.conn)?;
    let recording = recording::of_visit(tx, id)?;
    Ok(VisitConsents { items: rows.into_iter().map(Consent::from).collect(), recording })
}

/// Lists what a patient has consented to, for all visits and for single ones, the newest first.
pub fn list_of_patient(tx: &mut Tx, id: PatientId) -> Result<Page<Consent>, Error> {
    let facts = patient::facts(tx, id)?;
    tx.allow(Action::ReadConsents, &facts)?;
    let rows: Vec<ConsentRow> = consents::table
        .filter(consents::patient_id.eq(id))
        .order((consents::given_at.desc(), consents::id.desc()))
        .limit(100)
        .load(tx.conn)?;
    Ok(Page::whole(rows.into_iter().map(Consent::from).collect()))
}

fn find_row(tx: &mut Tx, id: ConsentId) -> Result<ConsentRow, Error> {
    consents::table
        .find(id)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// What the access decision must know of a consent.
fn facts_of(tx: &mut Tx, row: &ConsentRow) -> Result<Facts, Error> {
    let facts = match row.encounter_id {
        Some(visit) => encounter::facts(&encounter::find_row(tx, visit)?),
        None => patient::facts(tx, row.patient_id)?,
    };
    Ok(Facts { account: row.person_id, ..facts })
}
