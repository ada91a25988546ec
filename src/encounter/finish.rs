//! How a visit ends: only by the practitioner's word, which can be taken back.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::{self, affected, handover};
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::tx::{Event, Tx};
use crate::encounter::door::Closed;
use crate::encounter::lifecycle::{Act, EncounterStatus};
use crate::encounter::show::{Encounter, show};
use crate::encounter::{
    EncounterId, Outcome, advance, facts, find_row, foresee, how_it_ended, interruption, lock_row,
    presence,
};
use crate::message::{self, care};
use crate::organization::service::Mode;
use crate::patient;
use crate::practitioner;
use crate::schedule::leave;
use crate::task::{self, TaskCode, TaskWhy};

text_enum!(
    /// How the practitioner says a visit went.
    FinishOutcome {
        /// As it should.
        Completed = "completed",
        /// The line or a device failed; nobody's fault.
        TechnicalFailure = "technical_failure",
        /// The patient did not come.
        PatientAbsent = "patient_absent",
    }
);

/// The end of a visit.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// Left out: `completed`.
    pub outcome: Option<FinishOutcome>,
}

/// Ends the visit for everybody. Saying it twice is saying it once.
pub fn finish(tx: &mut Tx, id: EncounterId, end: Finish) -> Result<Encounter, Error> {
    // Locked first: whose visit it is may change at this moment, and only that one ends it.
    let row = lock_row(tx, id)?;
    tx.allow(Action::FinishEncounter, &facts(&row))?;
    if row.status == EncounterStatus::Finished {
        return show(tx, id);
    }
    let outcome = end.outcome.unwrap_or(FinishOutcome::Completed);
    let (act, outcome) = match outcome {
        FinishOutcome::Completed => (Act::Finish, Some(Outcome::Completed)),
        FinishOutcome::TechnicalFailure => (Act::Finish, Some(Outcome::TechnicalFailure)),
        FinishOutcome::PatientAbsent => (Act::Noshow, None),
    };
    advance(tx, row.appointment_id, act, outcome)?;
    over(tx, id)?;
    tx.record(Action::FinishEncounter, "Encounter", id.0, &facts(&row));
    show(tx, id)
}

text_enum!(
    /// Where a visit goes on when video does not work.
    ConvertTo {
        /// The practitioner calls the patient's telephone.
        Phone = "phone",
        /// The practitioner answers in writing, later.
        Deferred = "deferred",
    }
);

/// The conversion of a video visit.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// To what.
    pub to: ConvertTo,
}

/// Ends the video part: the visit goes on by telephone, or in writing, and counts as one.
pub fn convert(tx: &mut Tx, id: EncounterId, to: Convert) -> Result<Encounter, Error> {
    let row = lock_row(tx, id)?;
    tx.allow(Action::FinishEncounter, &facts(&row))?;
    convert_unasked(tx, id, to.to)?;
    show(tx, id)
}

/// As [`convert`], by whoever works a task about it. The caller has made the access decision.
pub(crate) fn convert_unasked(tx: &mut Tx, id: EncounterId, to: ConvertTo) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    let outcome = match to {
        ConvertTo::Phone => Outcome::ConvertedToPhone,
        ConvertTo::Deferred => Outcome::ConvertedToDeferred,
    };
    advance(tx, row.appointment_id, Act::Convert, Some(outcome))?;
    if to == ConvertTo::Deferred {
        // The patient waits for words now, and somebody must write them.
        let owner = practitioner::find_reach(tx, row.practitioner_id)?.account;
        task::open(tx, &row, TaskCode::Deferred, TaskWhy::Deferred, owner)?;
    }
    over(tx, id)?;
    tx.record(Action::FinishEncounter, "Encounter", id.0, &facts(&row));
    Ok(())
}

/// Takes back that a visit was finished, or went on otherwise, until a day after its end: its talk is
/// interrupted, and whoever comes back goes on; one that was ended before there was a talk is booked,
/// as before the patient came. A patient who can come in is told, and one whose visit is still ahead
/// that it stands. 409 `bad_state` while it has not ended, `too_late`, `note_signed` once a note about
/// it is signed (`bad_state` to whoever may not know that), `slot_taken` when the rest of its time was
/// given to another patient.
pub fn reopen(tx: &mut Tx, id: EncounterId) -> Result<Encounter, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReopenEncounter, &facts(&row))?;
    let visit = appointment::find_row(tx, row.appointment_id)?;
    leave::wait_to_bring_back(tx, &visit)?;
    let row = lock_row(tx, id)?;
    tx.allow(Action::ReopenEncounter, &facts(&row))?;
    let (began_at, ..) = how_it_ended(tx, id)?;
    let act = if began_at.is_some() { Act::Reopen } else { Act::Expect };
    let appointment = appointment::find_row(tx, row.appointment_id)?;
    foresee(tx, &appointment, &row, act)?;
    handover::take_the_rest_back(tx, row.appointment_id)?;
    advance(tx, row.appointment_id, act, None)?;
    if act == Act::Expect {
        affected::go_by_their_clock(tx, row.appointment_id)?;
    }
    tell_what_now(tx, id, act)?;
    tx.record(Action::ReopenEncounter, "Encounter", id.0, &facts(&row));
    show(tx, id)
}

/// They saw it end, and left: the patient hears what is to be done now, or the office does it.
fn tell_what_now(tx: &mut Tx, id: EncounterId, act: Act) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    let door = show(tx, id)?.door;
    let appointment = appointment::show(tx, row.appointment_id)?;
    if door.can_join {
        return match appointment.mode {
            Mode::Video | Mode::Audio | Mode::Chat => {
                interruption::tell_patient(tx, &row, door.closes_at, care::tell_reopened)
            }
            // Nobody comes in: the practitioner calls, or writes.
            Mode::Phone | Mode::Deferred => Ok(()),
        };
    }
    if door.reason == Some(Closed::TooEarly) {
        let account = patient::find_row(tx, row.patient_id)?.account_id;
        return message::tell_booked_again(tx, &appointment, account);
    }
    if act == Act::Expect {
        // Nobody can come any more: the office calls, as before it was finished.
        task::open(tx, &row, TaskCode::Unseen, TaskWhy::DoorClosed, None)?;
    }
    Ok(())
}

/// Everybody leaves a visit that is put to another time; its room takes them again when they come then.
pub(crate) fn put_off(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    over(tx, id)?;
    tx.tell(Event::EncounterReopened(id));
    Ok(())
}

/// Everybody leaves a visit that has ended, and hears it.
pub(crate) fn over(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    presence::clear(tx, id)?;
    tx.tell(Event::EncounterOver(id));
    Ok(())
}
