//! Consenting, and taking it back.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::consents;
use crate::base::tx::{Event, Tx};
use crate::consent::form::{self, ConsentKind};
use crate::consent::standing;
use crate::consent::{Consent, ConsentId, ConsentRow, GivenBy, Relationship, facts_of, find_row};
use crate::encounter::{self, EncounterId, ParticipantId, find_participant, lock_row, presence};
use crate::organization::OrganizationId;
use crate::patient::{self, PatientId};

/// A consent for one visit.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveVisitConsent {
    /// To what.
    pub kind: ConsentKind,
    /// The version of the form that was shown.
    pub form_version: i32,
    /// Whose consent it is; left out: the patient's.
    pub participant: Option<ParticipantId>,
    /// Who speaks; left out: the person.
    pub given_by: Option<GivenBy>,
    /// What they are to the person, when it is somebody else.
    pub relationship: Option<Relationship>,
}

/// A consent for all visits of a patient.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivePatientConsent {
    /// To what; a recording is consented to visit by visit.
    pub kind: ConsentKind,
    /// The version of the form that was shown.
    pub form_version: i32,
    /// Who speaks; left out: the patient.
    pub given_by: Option<GivenBy>,
    /// What they are to the patient, when it is somebody else.
    pub relationship: Option<Relationship>,
}

/// What a new row says.
struct New {
    kind: ConsentKind,
    form_version: i32,
    organization: OrganizationId,
    patient: PatientId,
    encounter: Option<EncounterId>,
    person: Option<AccountId>,
    given_by: GivenBy,
    relationship: Option<Relationship>,
}

/// Consents to something for one visit. What concerns recording, or anybody but the patient, is said
/// by the person alone, signed in as themselves; of the patient's other consents those who care for
/// them can write down what they heard. Saying it twice is saying it once. 409 `consent_form_old`,
/// 410 `visit_over`.
pub fn for_encounter(
    tx: &mut Tx,
    id: EncounterId,
    new: GiveVisitConsent,
) -> Result<Consent, Error> {
    let visit = encounter::find_row(tx, id)?;
    let patients_account = patient::find_row(tx, visit.patient_id)?.account_id;
    let participant = new.participant.map(|participant| find_participant(tx, id, participant));
    let person = match &participant {
        Some(Ok(found)) => Some(found.account_id),
        Some(Err(_)) => None,
        None => patients_account,
    };
    let facts = Facts { account: person, ..encounter::facts(&visit) };
    tx.allow(Action::GiveConsent, &facts)?;
    participant.transpose()?;
    let is_own = person.is_some_and(|person| tx.person().is_ok_and(|me| me.account == person));
    let is_patients = person == patients_account;
    if !is_own && (new.kind == ConsentKind::Recording || !is_patients) {
        return Err(Error::from(&problem::FORBIDDEN));
    }
    // Who else is there, and that it is at a distance, is the patient's to agree to.
    if !is_patients && new.kind != ConsentKind::Recording {
        return Err(Error::field(&problem::INVALID_BODY, "/kind"));
    }
    let visit = lock_row(tx, id)?;
    if presence::is_over(visit.status) {
        return Err(Error::from(&problem::VISIT_OVER));
    }
    let row = insert(
        tx,
        &New {
            kind: new.kind,
            form_version: new.form_version,
            organization: visit.organization_id,
            patient: visit.patient_id,
            encounter: Some(id),
            person,
            given_by: new.given_by.unwrap_or(GivenBy::Own),
            relationship: new.relationship,
        },
    )?;
    tx.tell(Event::CareMoved(id));
    tx.record(Action::GiveConsent, "Consent", row.id.0, &facts);
    Ok(row.into())
}

/// Consents to something for all visits of a patient. 409 `consent_form_old`.
pub fn for_patient(tx: &mut Tx, id: PatientId, new: GivePatientConsent) -> Result<Consent, Error> {
    let patient = patient::find_row(tx, id)?;
    let facts = Facts { account: patient.account_id, ..patient::facts_of(tx, &patient)? };
    tx.allow(Action::GiveConsent, &facts)?;
    if new.kind == ConsentKind::Recording {
        return Err(Error::field(&problem::INVALID_BODY, "/kind"));
    }
    // Two who say it at once say it once.
    take_turns(tx.conn, &[Turn::Alone(id.0)])?;
    let row = insert(
        tx,
        &New {
            kind: new.kind,
            form_version: new.form_version,
            organization: patient.organization_id,
            patient: id,
            encounter: None,
            person: patient.account_id,
            given_by: new.given_by.unwrap_or(GivenBy::Own),
            relationship: new.relationship,
        },
    )?;
    tx.record(Action::GiveConsent, "Consent", row.id.0, &facts);
    Ok(row.into())
}

fn insert(tx: &mut Tx, new: &New) -> Result<ConsentRow, Error> {
    if (new.given_by == GivenBy::Own) != new.relationship.is_none() {
        return Err(Error::field(&problem::INVALID_BODY, "/relationship"));
    }
    if form::current(new.kind, tx.language).version != new.form_version {
        return Err(Error::from(&problem::CONSENT_FORM_OLD));
    }
    if let Some(same) = same(tx, new)? {
        return Ok(same);
    }
    let id = ConsentId::new(tx.now);
    diesel::insert_into(consents::table)
        .values((
            consents::id.eq(id),
            consents::kind.eq(new.kind),
            consents::form_version.eq(new.form_version),
            consents::language.eq(tx.language),
            consents::organization_id.eq(new.organization),
            consents::patient_id.eq(new.patient),
            consents::encounter_id.eq(new.encounter),
            consents::person_id.eq(new.person),
            consents::given_by.eq(new.given_by),
            consents::relationship.eq(new.relationship),
            consents::recorded_by.eq(tx.person()?.account),
            consents::given_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    find_row(tx, id)
}

/// The same consent, when it has been given already.
fn same(tx: &mut Tx, new: &New) -> Result<Option<ConsentRow>, Error> {
    let mut query = consents::table
        .filter(consents::patient_id.eq(new.patient))
        .filter(consents::kind.eq(new.kind))
        .filter(consents::form_version.eq(new.form_version))
        .filter(consents::withdrawn_at.is_null())
        .into_boxed();
    query = match new.encounter {
        Some(visit) => query.filter(consents::encounter_id.eq(visit)),
        None => query.filter(consents::encounter_id.is_null()),
    };
    query = match new.person {
        Some(person) => query.filter(consents::person_id.eq(person)),
        None => query.filter(consents::person_id.is_null()),
    };
    Ok(query.first(tx.conn).optional()?)
}

/// Withdraws a consent, at once and for good; a new one may be given. The patient's can be withdrawn
/// by those who care for them as well, anybody else's by themselves only. Whom the patient no longer
/// agrees to leaves at once. Saying it twice is saying it once.
pub fn withdraw(tx: &mut Tx, id: ConsentId) -> Result<Consent, Error> {
    let row = find_row(tx, id)?;
    let facts = facts_of(tx, &row)?;
    tx.allow(Action::WithdrawConsent, &facts)?;
    let me = tx.person()?.account;
    let patients = patient::find_row(tx, row.patient_id)?.account_id;
    if row.person_id != Some(me) && row.person_id != patients {
        return Err(Error::from(&problem::FORBIDDEN));
    }
    standing::withdraw_alone(tx, row.patient_id)?;
    if let Some(visit) = row.encounter_id {
        lock_row(tx, visit)?;
    }
    let good = consents::table.filter(consents::id.eq(id)).filter(consents::withdrawn_at.is_null());
    let withdrawn = diesel::update(good)
        .set((consents::withdrawn_at.eq(Some(tx.now)), consents::withdrawn_by.eq(Some(me))))
        .execute(tx.conn)?;
    if withdrawn > 0 {
        if let Some(visit) = row.encounter_id {
            tx.tell(Event::CareMoved(visit));
        }
        if row.person_id == patients {
            standing::send_out(tx, &row)?;
        }
        tx.record(Action::WithdrawConsent, "Consent", id.0, &facts);
    }
    Ok(find_row(tx, id)?.into())
}
