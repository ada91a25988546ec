//! Booking: who may, which doctor, and the row that makes double booking impossible.
//!
//! The `occupancies` rows are the lock: the database refuses a second live one for the same
//! practitioner or patient and time. The code here only chooses and explains.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::{self, Appointment, AppointmentId, check_reason, minutes, sealed};
use crate::base::column::{Instant, text_enum};
use crate::base::db::{self, Each};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, occupancies};
use crate::base::seal;
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::encounter;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::message;
use crate::organization::{self, Service, ServiceId};
use crate::patient::{self, PatientId};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::{self, Slot};

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

/// Books a visit, or holds its time. 409 with the next free times when somebody was faster.
pub fn book(tx: &mut Tx, wanted: BookAppointment) -> Result<Appointment, Error> {
    let patient = bookable_patient(tx, wanted.patient)?;
    check_reason(wanted.reason.as_deref())?;
    check_start(tx, wanted.start)?;
    let service = organization::find_service(tx, wanted.service)
        .map_err(|error| unknown_reference(error, "/service"))?;
    let duration = TimeDelta::minutes(i64::from(service.duration_minutes));
    let (start, end) = (wanted.start, wanted.start.plus(duration));
    let candidates = candidates(tx, &service, wanted.practitioner, start, end)?;
    let id = AppointmentId::new(tx.now);
    let zone = patient.time_zone;
    let alternatives =
        |tx: &mut Tx| alternatives(tx, &service, wanted.practitioner, patient.id, start, zone);
    let Some(practitioner) = first_free(tx, id, &candidates, start, end)? else {
        let alternatives = alternatives(tx)?;
        return Err(Error::from(&problem::SLOT_TAKEN).with("alternatives", alternatives));
    };
    if !occupy(tx, id, ResourceKind::Patient, patient.id.0, start, end)? {
        let alternatives = alternatives(tx)?;
        return Err(Error::from(&problem::PATIENT_BUSY).with("alternatives", alternatives));
    }
    insert(tx, id, &wanted, &service, practitioner, patient.id, end, zone)?;
    encounter::plan(tx, id, patient.id, practitioner.id, service.organization_id, start)?;
    let facts = appointment::find_row(tx, id)?.facts();
    tx.record(Action::Book, "Appointment", id.0, &facts);
    if !wanted.hold {
        message::confirm_booking(tx, id)?;
    }
    appointment::show(tx, id)
}

fn bookable_patient(tx: &mut Tx, wanted: Option<PatientId>) -> Result<patient::PatientRow, Error> {
    let id = match wanted {
        Some(id) => id,
        None => tx
            .person()?
            .patient
            .ok_or_else(|| Error::field(&problem::UNKNOWN_REFERENCE, "/patient"))?,
    };
    // A patient who is not there and one who is not yours to see answer alike.
    let facts = patient::facts(tx, id).map_err(|error| unknown_reference(error, "/patient"))?;
    tx.allow(Action::Book, &facts).map_err(|error| unknown_reference(error, "/patient"))?;
    patient::find_row(tx, id)
}

/// A foreign key of the body that does not exist, or must not be seen: 422 on its field.
fn unknown_reference(error: Error, pointer: &str) -> Error {
    if !error.is(&problem::NOT_FOUND) {
        return error;
    }
    let denial = error.denial().cloned();
    let refusal = Error::field(&problem::UNKNOWN_REFERENCE, pointer);
    match denial {
        Some(denial) => refusal.denied(denial.actor, denial.entry),
        None => refusal,
    }
}

fn check_start(tx: &Tx, start: Instant) -> Result<(), Error> {
    if start <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/start"));
    }
    let ahead = TimeDelta::days(i64::from(tx.config.booking.ahead_days_max));
    if start > tx.now.plus(ahead) {
        return Err(Error::field(&problem::TOO_FAR, "/start"));
    }
    Ok(())
}

/// Who works then and offers the service; with any doctor, the least busy of the day first.
fn candidates(
    tx: &mut Tx,
    service: &Service,
    wanted: Option<PractitionerId>,
    start: Instant,
    end: Instant,
) -> Result<Vec<PractitionerRow>, Error> {
    let mut offering = practitioner::of_service(tx, service.id)?;
    if let Some(wanted) = wanted {
        offering.retain(|practitioner| practitioner.id == wanted);
        if offering.is_empty() {
            return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
        }
    }
    let mut working = Vec::new();
    for practitioner in offering {
        if schedule::is_working(tx, practitioner.id, start, end)? {
            let load = if wanted.is_some() { 0 } else { load(tx, practitioner.id, start)? };
            working.push((load, practitioner));
        }
    }
    if working.is_empty() {
        return Err(Error::field(&problem::OUTSIDE_HOURS, "/start"));
    }
    working.sort_by_key(|(load, practitioner)| (*load, practitioner.id));
    Ok(working.into_iter().map(|(_, practitioner)| practitioner).collect())
}

/// How many visits a practitioner has within twelve hours of `start`.
fn load(tx: &mut Tx, practitioner: PractitionerId, start: Instant) -> Result<i64, Error> {
    let half_day = TimeDelta::hours(12);
    Ok(occupancies::table
        .filter(occupancies::resource_id.eq(crate::base::column::Uuid(practitioner.0)))
        .filter(occupancies::live.eq(true))
        .filter(occupancies::starts_at.ge(start.minus(half_day)))
        .filter(occupancies::starts_at.lt(start.plus(half_day)))
        .count()
        .get_result(tx.conn)?)
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
                occupancies::resource_id.eq(crate::base::column::Uuid(resource)),
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
        .filter(occupancies::resource_id.eq(crate::base::column::Uuid(resource)))
        .filter(occupancies::live.eq(true))
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

#[expect(clippy::too_many_arguments, reason = "one row, written in one place")]
fn insert(
    tx: &mut Tx,
    id: AppointmentId,
    wanted: &BookAppointment,
    service: &Service,
    practitioner: &PractitionerRow,
    patient: PatientId,
    end: Instant,
    zone: Zone,
) -> Result<(), Error> {
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
                    appointments::patient_id.eq(patient),
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

/// The next times that are free for both the doctor and the patient.
fn alternatives(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    patient: PatientId,
    after: Instant,
    zone: Zone,
) -> Result<Vec<Slot>, Error> {
    let busy: Vec<(Instant, Instant)> = occupancies::table
        .filter(occupancies::resource_id.eq(crate::base::column::Uuid(patient.0)))
        .filter(occupancies::live.eq(true))
        .filter(occupancies::ends_at.gt(after))
        .order(occupancies::starts_at)
        .limit(50)
        .select((occupancies::starts_at, occupancies::ends_at))
        .load(tx.conn)?;
    let mut slots = schedule::next_free(tx, service, practitioner, after, zone, ALTERNATIVES * 8)?;
    slots.retain(|slot| !busy.iter().any(|(start, end)| *start < slot.end && slot.start < *end));
    slots.truncate(ALTERNATIVES);
    Ok(slots)
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
