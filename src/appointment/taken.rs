//! What visits take of a practitioner's time, as the schedule must know it.

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::appointment::AppointmentId;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::schema::{appointments, patients};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

/// The longest visit, in hours (the schema knows it too): what reaches into a range began at most
/// so long before, which lets the index bound the search on both sides.
pub(crate) const VISIT_HOURS_MAX: i64 = 8;
/// The longest time that a visit takes of its practitioner, with what it keeps clear around it.
pub(crate) const OCCUPIED_HOURS_MAX: i64 = VISIT_HOURS_MAX + 2 * BUFFER_HOURS_MAX;
/// The longest buffer, in hours.
const BUFFER_HOURS_MAX: i64 = 2;
/// How many visits an absence names.
const HITS_MAX: i64 = 100;

/// The time that visits, with their buffers, take of some practitioners within a range; second
/// visits in a time that is taken take none, and holds that have run out take
/// none. Makes no access decision. Index: appointments_by_practitioner.
pub fn by_visits(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    from: Instant,
    to: Instant,
) -> Result<Vec<(PractitionerId, Instant, Instant)>, Error> {
    use AppointmentStatus::{Arrived, Booked, Fulfilled};
    let visits = appointments::table
        .filter(appointments::practitioner_id.eq_any(practitioners.to_vec()))
        .filter(appointments::starts_at.ge(from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(appointments::starts_at.lt(to.plus(TimeDelta::hours(BUFFER_HOURS_MAX))))
        .filter(appointments::busy_from.lt(to))
        .filter(appointments::busy_to.gt(from))
        .filter(appointments::overbooked.eq(false))
        .filter(
            appointments::status
                .eq_any([Booked, Arrived, Fulfilled])
                .or(appointments::hold_expires_at.gt(tx.now)),
        )
        .select((appointments::practitioner_id, appointments::busy_from, appointments::busy_to));
    Ok(visits.load(tx.conn)?)
}

/// A visit that an absence hits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Hit {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// When it begins.
    pub start: Instant,
    /// The local time that the patient was promised.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
    /// For whom.
    pub patient: Named<PatientId>,
}

/// The visits to come of a practitioner within a range that the caller may see: the first hundred
/// by start, and how many there are. Index: appointments_by_practitioner.
pub fn hits(
    tx: &mut Tx,
    practitioner: PractitionerId,
    from: Instant,
    to: Instant,
) -> Result<(Vec<Hit>, i64), Error> {
    use AppointmentStatus::{Arrived, Booked};
    let Scope { all, patient, practitioner: own, organizations } =
        tx.scope(Action::ReadAppointment)?;
    let now = tx.now;
    let hit = || {
        let mut hit = appointments::table
            .inner_join(patients::table)
            .filter(appointments::practitioner_id.eq(practitioner))
            .filter(appointments::starts_at.ge(earliest(from)))
            .filter(appointments::starts_at.lt(to))
            .filter(appointments::ends_at.gt(from.max(now)))
            .filter(
                appointments::status
                    .eq_any([Booked, Arrived])
                    .or(appointments::hold_expires_at.gt(now)),
            )
            .into_boxed();
        if !all && own != Some(practitioner) {
            let none = PatientId(uuid::Uuid::nil());
            hit = hit.filter(
                appointments::patient_id
                    .eq(patient.unwrap_or(none))
                    .or(appointments::organization_id.eq_any(organizations.clone())),
            );
        }
        hit
    };
    let count = hit().select(count_star()).first(tx.conn)?;
    let rows: Vec<(AppointmentId, String, Instant, String, String, PatientId, String)> = hit()
        .order((appointments::starts_at, appointments::id))
        .limit(HITS_MAX)
        .select((
            appointments::id,
            appointments::code,
            appointments::starts_at,
            appointments::local_start,
            appointments::time_zone,
            patients::id,
            patients::name,
        ))
        .load(tx.conn)?;
    let hits = rows.into_iter().map(|(id, code, start, local_start, time_zone, patient, name)| {
        Hit { id, code, start, local_start, time_zone, patient: Named { id: patient, name } }
    });
    Ok((hits.collect(), count))
}

fn earliest(from: Instant) -> Instant {
    from.minus(TimeDelta::hours(VISIT_HOURS_MAX))
}
