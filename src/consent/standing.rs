//! What a visit may have only while the patient consents to it: a trainee, another person.

use diesel::prelude::*;

use crate::account::AccountId;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::schema::{consents, encounter_participants, encounters};
use crate::base::tx::Tx;
use crate::consent::ConsentRow;
use crate::consent::form::{self, ConsentKind};
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::{EncounterId, EncounterRow, ParticipantRole, ParticipantState, guest};
use crate::patient;

/// Whether the patient of a visit consents to something now, for it or for all of theirs. The caller
/// has made the access decision. Index: consents_by_patient.
pub fn stands(tx: &mut Tx, visit: &EncounterRow, kind: ConsentKind) -> Result<bool, Error> {
    let patients = patient::find_row(tx, visit.patient_id)?.account_id;
    let for_it = consents::encounter_id.eq(visit.id).or(consents::encounter_id.is_null());
    let given: Vec<Option<AccountId>> = consents::table
        .filter(consents::patient_id.eq(visit.patient_id))
        .filter(for_it)
        .filter(consents::kind.eq(kind))
        .filter(consents::form_version.eq(form::current(kind, Language::English).version))
        .filter(consents::withdrawn_at.is_null())
        .select(consents::person_id)
        .load(tx.conn)?;
    Ok(given.contains(&patients))
}

/// 409 `consent_missing` for a trainee whom the patient has not agreed to.
pub fn check(tx: &mut Tx, visit: &EncounterRow, role: ParticipantRole) -> Result<(), Error> {
    if role == ParticipantRole::Trainee && !stands(tx, visit, ConsentKind::Trainee)? {
        return Err(Error::from(&problem::CONSENT_MISSING));
    }
    Ok(())
}

/// Whom the patient no longer wants there leaves every visit of theirs that is not over. The caller
/// has made the access decision.
pub(super) fn send_out(tx: &mut Tx, withdrawn: &ConsentRow) -> Result<(), Error> {
    let roles: &[ParticipantRole] = match withdrawn.kind {
        ConsentKind::Trainee => &[ParticipantRole::Trainee],
        // Relatives come for the patient, and a feldsher is with them.
        ConsentKind::ThirdParty => &[ParticipantRole::Specialist, ParticipantRole::Interpreter],
        ConsentKind::Telehealth | ConsentKind::Recording => return Ok(()),
    };
    let mut open = encounters::table
        .inner_join(
            encounter_participants::table
                .on(encounter_participants::encounter_id.eq(encounters::id)),
        )
        .filter(encounters::patient_id.eq(withdrawn.patient_id))
        .filter(encounters::status.ne_all([EncounterStatus::Finished, EncounterStatus::Cancelled]))
        .filter(encounter_participants::role.eq_any(roles.to_vec()))
        .filter(encounter_participants::state.ne(ParticipantState::Removed))
        .select(encounters::id)
        .distinct()
        .into_boxed();
    if let Some(visit) = withdrawn.encounter_id {
        open = open.filter(encounters::id.eq(visit));
    }
    let mut open: Vec<EncounterId> = open.load(tx.conn)?;
    // In one order, so that two who do this at once wait for each other and not in a circle.
    open.sort_unstable();
    for visit in open {
        guest::send_out_all(tx, visit, roles, withdrawn.kind)?;
    }
    Ok(())
}
