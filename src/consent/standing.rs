//! What a visit may have only while the patient consents to it: a trainee, another person.

use diesel::prelude::*;

use crate::account::AccountId;
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::schema::{appointments, consents, encounter_participants, encounters};
use crate::base::tx::Tx;
use crate::consent::ConsentRow;
use crate::consent::form::{self, ConsentKind};
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::{self, EncounterId, EncounterRow, ParticipantRole, ParticipantState, guest};
use crate::patient::{self, PatientId};

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

/// To what the patient must agree before somebody hears them; `None` for whoever comes for the
/// patient: family, the feldsher beside them, an interpreter whom they have asked to come themselves.
/// It is asked when somebody is let in, or is asked to a device that is in; and whoever is named by
/// it goes when the last such consent is withdrawn.
pub fn needed(role: ParticipantRole, brought: bool) -> Option<ConsentKind> {
    match role {
        ParticipantRole::Trainee => Some(ConsentKind::Trainee),
        ParticipantRole::Specialist => Some(ConsentKind::ThirdParty),
        ParticipantRole::Interpreter => (!brought).then_some(ConsentKind::ThirdParty),
        ParticipantRole::Patient
        | ParticipantRole::Practitioner
        | ParticipantRole::Relative
        | ParticipantRole::Feldsher => None,
    }
}

/// The consent that the patient has not given, and without which somebody may not be there.
pub fn missing(
    tx: &mut Tx,
    visit: &EncounterRow,
    (role, brought): (ParticipantRole, bool),
) -> Result<Option<ConsentKind>, Error> {
    match needed(role, brought) {
        Some(kind) if !stands(tx, visit, kind)? => Ok(Some(kind)),
        _ => Ok(None),
    }
}

/// 409 `consent_missing`, with its kind as `consent`, for somebody whom the patient has not agreed
/// to. The caller has waited for a withdrawal.
pub fn check(tx: &mut Tx, visit: &EncounterRow, who: (ParticipantRole, bool)) -> Result<(), Error> {
    match missing(tx, visit, who)? {
        Some(kind) => Err(Error::from(&problem::CONSENT_MISSING).with("consent", kind)),
        None => Ok(()),
    }
}

/// Whoever lets somebody in does so before the patient withdraws, or hears of it. Before the visit
/// is locked: a withdrawal locks many.
pub fn wait_for_a_withdrawal(tx: &mut Tx, visit: EncounterId) -> Result<(), Error> {
    let patient = encounter::find_row(tx, visit)?.patient_id;
    Ok(take_turns(tx.conn, &[Turn::Together(patient.0)])?)
}

/// Whoever withdraws does so alone, see [`wait_for_a_withdrawal`].
pub(super) fn withdraw_alone(tx: &mut Tx, patient: PatientId) -> Result<(), Error> {
    Ok(take_turns(tx.conn, &[Turn::Alone(patient.0)])?)
}

/// Whom the patient no longer wants there leaves every visit of theirs that is not over. The caller
/// has made the access decision. Index: appointments_by_patient.
pub(super) fn send_out(tx: &mut Tx, withdrawn: &ConsentRow) -> Result<(), Error> {
    let mut open = encounters::table
        .inner_join(appointments::table)
        .inner_join(
            encounter_participants::table
                .on(encounter_participants::encounter_id.eq(encounters::id)),
        )
        .filter(appointments::patient_id.eq(withdrawn.patient_id))
        .filter(encounters::status.ne_all([EncounterStatus::Finished, EncounterStatus::Cancelled]))
        .filter(encounter_participants::state.ne(ParticipantState::Removed))
        .select((encounters::id, encounter_participants::role, encounter_participants::brought))
        .into_boxed();
    if let Some(visit) = withdrawn.encounter_id {
        open = open.filter(encounters::id.eq(visit));
    }
    let people: Vec<(EncounterId, ParticipantRole, bool)> = open.load(tx.conn)?;
    let needs_it = |role, brought| needed(role, brought) == Some(withdrawn.kind);
    let mut visits: Vec<EncounterId> =
        people.iter().filter(|one| needs_it(one.1, one.2)).map(|one| one.0).collect();
    // In one order, so that two who do this at once wait for each other and not in a circle.
    visits.sort_unstable();
    visits.dedup();
    for visit in visits {
        guest::send_out_all(tx, visit, withdrawn.kind)?;
    }
    Ok(())
}
