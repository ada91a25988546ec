//! Booking: who may, which doctor, and the row that makes double booking impossible.
//!
//! The `occupancies` rows are the lock: the database refuses a second live one for the same
//! practitioner or patient and time. The code here only chooses and explains.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken::{self, VISIT_HOURS_MAX};
use crate::appointment::{self, Appointment, AppointmentId, check_reason, minutes, sealed};
use crate::base::column::{self, Instant, text_enum};
use crate::base::db::{self, Each};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, occupancies};
use crate::base::seal;
use crate::base::tx::Tx;
use crate::base::zone;
use crate::encounter;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::message;
use crate::organization::{self, Service, ServiceId};
use crate::patient::{self, PatientId, PatientRow};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule;
use crate::schedule::free::Asker;
use crate::schedule::slots::Slot;

text_enum!(
    /// What a visit holds for itself.
    ResourceKind {
        /// The doctor's time.
        Practitioner = "practitioner",
        /// The patient's time.
        Patient = "patient",
    }
);

/// How many free times a refusal proposes.
const ALTERNATIVES: usize = 3;
/// No O, 0, I, 1, L, U: a code is read out on a bad line.
const CODE_LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LEN: usize = 6;

/// What a patient wants.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookAppointment {
    /// The service.
    pub service: ServiceId,
    /// With whom; left out: any doctor of the service who is free.
    pub practitioner: Option<PractitionerId>,
    /// When, RFC 3339 with an offset.
    pub start: Instant,
    /// For whom; left out: the caller.
    pub patient: Option<PatientId>,
    /// Why, in the patient's words.
    pub reason: Option<String>,
    /// Only hold the time; `confirm` takes it for good.
    #[serde(default)]
    pub hold: bool,
}

/// Books a visit, or holds its time. 409 when somebody was faster; [`alternatives`] says what is
/// free instead.
pub fn book(tx: &mut Tx, wanted: BookAppointment) -> Result<Appointment, Error> {
    let (patient, facts) = bookable_patient(tx, wanted.patient)?;
    check_reason(wanted.reason.as_deref())?;
    check_start(tx, wanted.start)?;
    let service = find_service(tx, wanted.service)?;
    let (start, end) = (wanted.start, wanted.start.plus(duration(&service)));
    let asker = if tx.person().is_ok_and(|person| person.patient == Some(patient.id)) {
        Asker::Patient
    } else {
        Asker::Staff
    };
    let candidates = candidates(tx, &service, wanted.practitioner, (start, asker))?;
    let id = AppointmentId::new(tx.now);
    let practitioner = first_free(tx, id, &candidates, start, end)?
        .ok_or_else(|| Error::from(&problem::SLOT_TAKEN))?;
    if !occupy(tx, id, ResourceKind::Patient, patient.id.0, start, end)? {
        return Err(Error::from(&problem::PATIENT_BUSY));
    }
    insert(tx, id, &wanted, &service, practitioner, &patient, end)?;
    encounter::plan(tx, id, patient.id, practitioner.id, service.organization_id, start)?;
    let booked = appointment::show(tx, id)?;
    let facts = Facts {
        organization: Some(service.organization_id),
        practitioner: Some(practitioner.id),
        ..facts
    };
    tx.record(Action::Book, "Appointment", id.0, &facts);
    if !wanted.hold {
        message::confirm_booking(tx, &booked, patient.account_id)?;
    }
    Ok(booked)
}

/// The next times that are free for both the patient and the doctor, or any doctor, whom a
/// refused booking asked for. It is a deed of its own, so that those who came second do not keep
/// the database's writer from those who come next.
pub fn alternatives(tx: &mut Tx, wanted: &BookAppointment) -> Result<Vec<Slot>, Error> {
    let (patient, _) = bookable_patient(tx, wanted.patient)?;
    let service = find_service(tx, wanted.service)?;
    let busy: Vec<(Instant, Instant)> = occupancies::table
        .filter(occupancies::resource_id.eq(column::Uuid(patient.id.0)))
        .filter(occupancies::live)
        .filter(occupancies::ends_at.gt(wanted.start))
        .order(occupancies::starts_at)
        .limit(50)
        .select((occupancies::starts_at, occupancies::ends_at))
        .load(tx.conn)?;
    let (after, zone) = (wanted.start, patient.time_zone);
    let mut slots =
        schedule::next_free(tx, &service, wanted.practitioner, after, zone, ALTERNATIVES * 8)?;
    slots.retain(|slot| !busy.iter().any(|(start, end)| *start < slot.end && slot.start < *end));
    slots.truncate(ALTERNATIVES);
    Ok(slots)
}

fn find_service(tx: &mut Tx, id: ServiceId) -> Result<Service, Error> {
    organization::find_service(tx, id).map_err(|error| error.as_unknown_reference("/service"))
}

fn duration(service: &Service) -> TimeDelta {
    TimeDelta::minutes(i64::from(service.duration_minutes))
}

fn bookable_patient(tx: &mut Tx, wanted: Option<PatientId>) -> Result<(PatientRow, Facts), Error> {
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
    tx.allow(Action::Book, &facts).map_err(unknown)?;
    Ok((row, facts))
}

fn check_start(tx: &Tx, start: Instant) -> Result<(), Error> {
    if start <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/start"));
    }
    Ok(())
}

/// Who works then and offers the service; with any doctor, the least busy of the day first.
fn candidates(
    tx: &mut Tx,
    service: &Service,
    wanted: Option<PractitionerId>,
    (start, asker): (Instant, Asker),
) -> Result<Vec<PractitionerRow>, Error> {
    let mut offering = practitioner::of_service(tx, service.id, wanted)?;
    if wanted.is_some() && offering.is_empty() {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    let working = schedule::who_works(tx, service, &offering, start, asker)?;
    offering.retain(|practitioner| working.contains(&practitioner.id));
    if offering.len() > 1 {
        let half_day = TimeDelta::hours(12);
        let around = (start.minus(half_day), start.plus(half_day));
        let loads = taken::loads(tx, &working, around)?;
        offering.sort_by_key(|practitioner| {
            (loads.get(&practitioner.id).copied().unwrap_or_default(), practitioner.id)
        });
    }
    Ok(offering)
}

fn first_free<'a>(
    tx: &mut Tx,
    id: AppointmentId,
    candidates: &'a [PractitionerRow],
    start: Instant,
    end: Instant,
) -> Result<Option<&'a PractitionerRow>, Error> {
    for practitioner in candidates {
        if occupy(tx, id, ResourceKind::Practitioner, practitioner.id.0, start, end)? {
            return Ok(Some(practitioner));
        }
    }
    Ok(None)
}

/// Takes a resource's time; `false` when it is taken. Holds that have run out give way.
fn occupy(
    tx: &mut Tx,
    id: AppointmentId,
    kind: ResourceKind,
    resource: uuid::Uuid,
    start: Instant,
    end: Instant,
) -> Result<bool, Error> {
    if try_occupy(tx, id, kind, resource, start, end)? {
        return Ok(true);
    }
    if release_expired(tx, resource, start, end)? == 0 {
        return Ok(false);
    }
    try_occupy(tx, id, kind, resource, start, end)
}

fn try_occupy(
    tx: &mut Tx,
    id: AppointmentId,
    kind: ResourceKind,
    resource: uuid::Uuid,
    start: Instant,
    end: Instant,
) -> Result<bool, Error> {
    // PostgreSQL would deadlock two plain inserts for one doctor; DO NOTHING waits and yields.
    // SQLite's guard is a trigger, which undoes its statement only.
    let inserted = Each(
        diesel::insert_into(occupancies::table)
            .values((
                occupancies::appointment_id.eq(id),
                occupancies::resource_kind.eq(kind),
                occupancies::resource_id.eq(column::Uuid(resource)),
                occupancies::starts_at.eq(start),
                occupancies::ends_at.eq(end),
                occupancies::live.eq(true),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn);
    match inserted {
        Ok(rows) => Ok(rows == 1),
        Err(error) if db::refusal(&error).as_deref() == Some("resource_busy") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends the holds on a resource that nobody confirmed in time. Returns how many.
fn release_expired(
    tx: &mut Tx,
    resource: uuid::Uuid,
    start: Instant,
    end: Instant,
) -> Result<usize, Error> {
    let expired: Vec<AppointmentId> = appointments::table
        .inner_join(occupancies::table.on(occupancies::appointment_id.eq(appointments::id)))
        .filter(occupancies::resource_id.eq(column::Uuid(resource)))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(start.minus(TimeDelta::hours(VISIT_HOURS_MAX))))
        .filter(occupancies::starts_at.lt(end))
        .filter(occupancies::ends_at.gt(start))
        .filter(appointments::status.eq(AppointmentStatus::Pending))
        .filter(appointments::hold_expires_at.le(tx.now))
        .select(appointments::id)
        .load(tx.conn)?;
    for id in &expired {
        match encounter::advance(tx, *id, Act::Expire, None) {
            Ok(_) => {}
            // Another booking has just ended the same hold.
            Err(error) if error.is(&problem::CONFLICT) || error.is(&problem::BAD_STATE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(expired.len())
}

fn insert(
    tx: &mut Tx,
    id: AppointmentId,
    wanted: &BookAppointment,
    service: &Service,
    practitioner: &PractitionerRow,
    patient: &PatientRow,
    end: Instant,
) -> Result<(), Error> {
    let zone = patient.time_zone;
    let hold_expires_at = wanted.hold.then(|| tx.now.plus(minutes(tx.config.booking.hold_minutes)));
    let status = if wanted.hold { AppointmentStatus::Pending } else { AppointmentStatus::Booked };
    let reason = sealed(tx, id, "reason", wanted.reason.as_deref())?;
    let account = tx.actor().account;
    // 30^6 codes: a collision is rare, and then the next code is tried.
    for _ in 0..20 {
        let code = new_code()?;
        let inserted = Each(
            diesel::insert_into(appointments::table)
                .values((
                    appointments::id.eq(id),
                    appointments::code.eq(code),
                    appointments::status.eq(status),
                    appointments::service_id.eq(service.id),
                    appointments::organization_id.eq(service.organization_id),
                    appointments::practitioner_id.eq(practitioner.id),
                    appointments::patient_id.eq(patient.id),
                    appointments::starts_at.eq(wanted.start),
                    appointments::ends_at.eq(end),
                    appointments::time_zone.eq(zone.to_string()),
                    appointments::local_start.eq(zone::local(wanted.start, zone)),
                    appointments::hold_expires_at.eq(hold_expires_at),
                    appointments::reason_sealed.eq(&reason),
                    appointments::created_by.eq(account),
                    appointments::created_at.eq(tx.now),
                    appointments::updated_at.eq(tx.now),
                    appointments::version.eq(1),
                ))
                .on_conflict(appointments::code)
                .do_nothing(),
        )
        .execute(tx.conn)?;
        if inserted == 1 {
            return Ok(());
        }
    }
    Err(Error::Internal("no booking code is free"))
}

fn new_code() -> Result<String, Error> {
    let mut code = String::with_capacity(CODE_LEN);
    while code.len() < CODE_LEN {
        for byte in seal::random::<16>()? {
            // 240 is the largest multiple of 30 in a byte: no letter is likelier than another.
            if byte < 240
                && code.len() < CODE_LEN
                && let Some(letter) = CODE_LETTERS.get(usize::from(byte) % CODE_LETTERS.len())
            {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_out_on_a_bad_line() {
        for _ in 0..200 {
            let code = new_code().unwrap();
            assert_eq!(code.len(), CODE_LEN);
            assert!(
                code.chars().all(|c| c.is_ascii_alphanumeric() && !"OI01LU".contains(c)),
                "{code}"
            );
        }
    }
}
