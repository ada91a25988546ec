//! How a visit ends: only by the practitioner's word.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::{Event, Tx};
use crate::encounter::lifecycle::{Act, EncounterStatus};
use crate::encounter::show::{Encounter, show};
use crate::encounter::{EncounterId, Outcome, advance, facts, find_row, lock_row, presence};

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
        FinishOutcome::PatientAbsent if row.starts_at > tx.now => {
            return Err(Error::from(&problem::TOO_EARLY).with("opens_at", row.starts_at));
        }
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
    over(tx, id)?;
    tx.record(Action::FinishEncounter, "Encounter", id.0, &facts(&row));
    Ok(())
}

/// Everybody leaves a visit that has ended, and hears it.
pub(crate) fn over(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    presence::clear(tx, id)?;
    tx.tell(Event::EncounterOver(id));
    Ok(())
}
