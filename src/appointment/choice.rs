//! What a booking can be made of: for whom, for what, with whom then, and what is free instead.

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment;
use crate::appointment::AppointmentId;
use crate::appointment::book::BookAppointment;
use crate::appointment::supply::{Moving, Sought};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::{self, OrganizationId, Service, ServiceId};
use crate::patient::{self, PatientId, PatientRow};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule;
use crate::schedule::free::Asker;
use crate::schedule::slots::Slot;

/// How many free times a refusal proposes.
const ALTERNATIVES: usize = 3;

/// The next times that are free for the patient, for the doctor, or any doctor, whom a refused
/// booking asked for, and for all that the service needs. It is a deed of its own, so that those
/// who came second do not keep the database's writer from those who come next.
pub fn alternatives(tx: &mut Tx, wanted: &BookAppointment) -> Result<Vec<Slot>, Error> {
    let (patient, _) = bookable_patient(tx, wanted.patient)?;
    let service = find_service(tx, wanted.service)?;
    let sought = Sought { named: &wanted.resources, ..Sought::of(&patient, wanted.location) };
    free_for(tx, &service, wanted.practitioner, &sought, wanted.start)
}

/// Whether a refusal says that it cannot be at this time: there are others.
pub(crate) fn is_elsewhere_free(refusal: &Error) -> bool {
    [
        &problem::SLOT_TAKEN,
        &problem::DAY_FULL,
        &problem::PATIENT_BUSY,
        &problem::RESOURCE_BUSY,
        &problem::PRACTITIONER_GONE,
        &problem::OUTSIDE_HOURS,
        &problem::OFF_GRID,
        &problem::TOO_SOON,
    ]
    .into_iter()
    .any(|problem| refusal.is(problem))
}

/// The next times that are free for a patient and a doctor, or any doctor; for a deed that has
/// decided on access itself.
pub(crate) fn free_after(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    patient: &PatientRow,
    after: Instant,
) -> Result<Vec<Slot>, Error> {
    free_for(tx, service, practitioner, &Sought::of(patient, None), after)
}

/// As [`free_after`], with a word on where, with what, or instead of which visit.
pub(crate) fn free_for(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    sought: &Sought,
    after: Instant,
) -> Result<Vec<Slot>, Error> {
    let after = after.max(tx.now);
    let patient = sought.patient.ok_or(Error::Internal("alternatives for nobody"))?;
    let when = (after, patient.time_zone, ALTERNATIVES);
    schedule::next_free_for(tx, service, practitioner, sought, when)
}

/// A service that is asked for; 422 `unknown_reference` when it is not there.
pub(crate) fn find_service(tx: &mut Tx, id: ServiceId) -> Result<Service, Error> {
    organization::find_service(tx, id).map_err(|error| error.as_unknown_reference("/service"))
}

/// The patient for whom a visit shall be booked, or the caller; refused as [`patient_for`] refuses.
pub(crate) fn bookable_patient(
    tx: &mut Tx,
    wanted: Option<PatientId>,
) -> Result<(PatientRow, Facts), Error> {
    patient_for(tx, wanted, Action::Book)
}

/// The patient for whom something shall be done, or the caller; 422 `unknown_reference` when there
/// is none for whom they may.
pub(crate) fn patient_for(
    tx: &mut Tx,
    wanted: Option<PatientId>,
    action: Action,
) -> Result<(PatientRow, Facts), Error> {
    let id = match wanted {
        Some(id) => id,
        None => tx
            .person()?
            .patient
            .ok_or_else(|| Error::field(&problem::UNKNOWN_REFERENCE, "/patient"))?,
    };
    // A patient who is not there and one who is not yours to see answer alike.
    let unknown = |error: Error| error.as_unknown_reference("/patient");
    let row = patient::find_row(tx, id).map_err(unknown)?;
    let facts = patient::facts_of(tx, &row)?;
    tx.allow(action, &facts).map_err(unknown)?;
    Ok((row, facts))
}

/// 422 `in_the_past` on a start that is over.
pub(crate) fn check_start(tx: &Tx, start: Instant) -> Result<(), Error> {
    if start <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/start"));
    }
    Ok(())
}

/// 422 `off_minute` on a start within a minute: what is promised is told in minutes.
pub(crate) fn check_minute(start: Instant) -> Result<(), Error> {
    match start.micros().rem_euclid(60_000_000) {
        0 => Ok(()),
        _ => Err(Error::field(&problem::OFF_MINUTE, "/start")),
    }
}

/// 422 `unknown_reference` when the visit before is not there, not the caller's to see or another
/// patient's; 409 `bad_state` when it has not begun.
pub(crate) fn check_followed(
    tx: &mut Tx,
    follows: Option<AppointmentId>,
    patient: PatientId,
) -> Result<(), Error> {
    let Some(before) = follows else { return Ok(()) };
    let unknown = |error: Error| error.as_unknown_reference("/follows");
    let row = appointment::find_row(tx, before).map_err(unknown)?;
    tx.allow(Action::ReadAppointment, &row.facts()).map_err(unknown)?;
    if row.patient_id != patient {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/follows"));
    }
    match row.status {
        AppointmentStatus::Arrived | AppointmentStatus::Fulfilled => Ok(()),
        _ => Err(Error::from(&problem::BAD_STATE)),
    }
}

/// How a caller is bound when booking for a patient at a clinic: patients take what is offered, and so
/// does the staff of another clinic.
pub(crate) fn asker(tx: &Tx, patient: PatientId, clinic: OrganizationId) -> Asker {
    let is_bound =
        tx.person().is_ok_and(|person| person.patient == Some(patient) || !person.works_in(clinic));
    if is_bound { Asker::Patient } else { Asker::Staff }
}

/// Who offers a service, or whether this one does, and can begin a visit at a start. The refusal
/// says why nobody can, as [`schedule::who_works`] does.
pub(crate) fn working(
    tx: &mut Tx,
    service: &Service,
    wanted: Option<PractitionerId>,
    when: (Instant, Asker),
) -> Result<Vec<PractitionerRow>, Error> {
    working_for(tx, service, wanted, when, None)
}

/// What is said of an offered time that is answered when nobody works then any more.
pub(crate) fn gone(error: Error) -> Error {
    let in_the_way =
        [&problem::OUTSIDE_HOURS, &problem::SERVICE_INACTIVE, &problem::UNKNOWN_REFERENCE];
    let is_gone = in_the_way.into_iter().any(|problem| error.is(problem));
    if is_gone { Error::from(&problem::OFFER_OVER) } else { error }
}

/// As [`working`], for a visit that is moved: it does not count among the visits of its day, and is as
/// long as it was.
pub(crate) fn working_for(
    tx: &mut Tx,
    service: &Service,
    wanted: Option<PractitionerId>,
    when: (Instant, Asker),
    moving: Option<Moving>,
) -> Result<Vec<PractitionerRow>, Error> {
    let mut offering = practitioner::of_service(tx, service.id, wanted)?;
    if wanted.is_some() && offering.is_empty() {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    let working = schedule::who_works(tx, service, &offering, when, moving)?;
    offering.retain(|practitioner| working.contains(&practitioner.id));
    Ok(offering)
}
