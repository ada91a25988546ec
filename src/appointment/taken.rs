//! What visits take of a practitioner's time, as the schedule must know it.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::appointment::AppointmentId;
use crate::appointment::occupy::{LANE, SECOND_LANE};
use crate::base::column::{self, Instant};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::schema::{
    appointments, healthcare_services, occupancies, patients, practitioners,
};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::{OrganizationId, ServiceId};
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

/// What visits, with their buffers, take of some people's time within a range, in some lanes, also
/// as feldsher or interpreter of somebody else's visit, and of rooms and devices; and which visit
/// it is. Holds that have run out take none. Makes no access decision. The index alone answers
/// this; a join would fetch a row for every visit. Index: occupancies_live.
pub fn of_people(
    tx: &mut Tx,
    people: &[uuid::Uuid],
    lanes: &[i32],
    (from, to): (Instant, Instant),
) -> Result<Vec<(uuid::Uuid, AppointmentId, Instant, Instant)>, Error> {
    let ids: Vec<column::Uuid> = people.iter().map(|id| column::Uuid(*id)).collect();
    let earliest = from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX));
    let rows: Vec<(column::Uuid, AppointmentId, Instant, Instant)> = occupancies::table
        .filter(among(occupancies::resource_id, ids))
        .filter(among(occupancies::lane, lanes.to_vec()))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(earliest))
        .filter(occupancies::starts_at.lt(to))
        .filter(occupancies::ends_at.gt(from))
        .select((
            occupancies::resource_id,
            occupancies::appointment_id,
            occupancies::starts_at,
            occupancies::ends_at,
        ))
        .load(tx.conn)?;
    // A visit begins at most a buffer after it takes time.
    let dead = dead(tx, earliest, to.plus(TimeDelta::hours(BUFFER_HOURS_MAX)))?;
    let kept = rows.into_iter().filter(|(_, visit, ..)| !dead.contains(visit));
    Ok(kept.map(|(id, visit, from, to)| (id.0, visit, from, to)).collect())
}

/// The holds between two instants that have run out, and that nothing has put an end to yet.
/// Index: appointments_holds.
fn dead(tx: &mut Tx, from: Instant, to: Instant) -> Result<HashSet<AppointmentId>, Error> {
    let held: Vec<AppointmentId> = appointments::table
        .filter(appointments::hold_expires_at.is_not_null())
        .filter(appointments::hold_expires_at.le(tx.now))
        .filter(appointments::starts_at.gt(from))
        .filter(appointments::starts_at.lt(to))
        .select(appointments::id)
        .load(tx.conn)?;
    Ok(held.into_iter().collect())
}

/// Whether every visit that takes some of a practitioner's time, one aside, is of a service that allows
/// a second one beside it. Index: occupancies_live.
pub(crate) fn allow_second(
    tx: &mut Tx,
    practitioner: PractitionerId,
    but: AppointmentId,
    (from, to): (Instant, Instant),
) -> Result<bool, Error> {
    let taking = occupancies::table
        .filter(occupancies::resource_id.eq(column::Uuid(practitioner.0)))
        .filter(among(occupancies::lane, vec![LANE, SECOND_LANE]))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(occupancies::starts_at.lt(to))
        .filter(occupancies::ends_at.gt(from))
        .filter(occupancies::appointment_id.ne(but))
        .select(occupancies::appointment_id);
    let alone = appointments::table
        .inner_join(healthcare_services::table)
        .filter(appointments::id.eq_any(taking))
        .filter(is_kept(tx.now))
        .filter(healthcare_services::overbook.eq(false));
    Ok(!diesel::select(diesel::dsl::exists(alone)).get_result::<bool>(tx.conn)?)
}

/// Not a hold that has run out.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn is_kept(now: Instant) -> _ {
    appointments::hold_expires_at.is_null().or(appointments::hold_expires_at.gt(now))
}

/// When the visits of one service begin, which some practitioners have within a range.
/// Makes no access decision. Index: appointments_by_practitioner.
pub fn of_service(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    service: ServiceId,
    (from, to): (Instant, Instant),
) -> Result<Vec<(AppointmentId, PractitionerId, Instant)>, Error> {
    use AppointmentStatus::{Cancelled, Noshow};
    let visits = appointments::table
        .filter(among(appointments::practitioner_id, practitioners.to_vec()))
        .filter(appointments::starts_at.ge(from))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::service_id.eq(service))
        .filter(appointments::status.ne(Cancelled))
        .filter(appointments::status.ne(Noshow))
        .filter(is_kept(tx.now))
        .select((appointments::id, appointments::practitioner_id, appointments::starts_at));
    Ok(visits.load(tx.conn)?)
}

/// How many visits some practitioners have that begin within a range; who has none is left out.
/// Makes no access decision. Index: occupancies_live.
pub fn loads(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    (from, to): (Instant, Instant),
) -> Result<HashMap<PractitionerId, i64>, Error> {
    let ids: Vec<column::Uuid> = practitioners.iter().map(|id| column::Uuid(id.0)).collect();
    let counted: Vec<(column::Uuid, i64)> = occupancies::table
        .filter(among(occupancies::resource_id, ids))
        .filter(occupancies::lane.eq(LANE))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.ge(from))
        .filter(occupancies::starts_at.lt(to))
        .group_by(occupancies::resource_id)
        .select((occupancies::resource_id, count_star()))
        .load(tx.conn)?;
    Ok(counted.into_iter().map(|(id, visits)| (PractitionerId(id.0), visits)).collect())
}

/// Whom a patient has seen before. Makes no access decision. Index: appointments_by_patient.
pub fn seen_by(tx: &mut Tx, patient: PatientId) -> Result<Vec<PractitionerId>, Error> {
    use AppointmentStatus::{Arrived, Fulfilled};
    Ok(appointments::table
        .filter(appointments::patient_id.eq(patient))
        .filter(among(appointments::status, vec![Arrived, Fulfilled]))
        .select(appointments::practitioner_id)
        .distinct()
        .load(tx.conn)?)
}

/// A visit that an absence hits, a room that is out of use, or somebody who has left.
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

/// The visits to come within a range in which a practitioner takes part, also as feldsher or
/// interpreter of somebody else, and that the caller may see: the first hundred by start, and how
/// many there are. Index: occupancies_live.
pub fn hits(
    tx: &mut Tx,
    practitioner: PractitionerId,
    from: Instant,
    to: Instant,
) -> Result<(Vec<Hit>, i64), Error> {
    use AppointmentStatus::{Arrived, Booked};
    let resource = practitioner.0;
    let Scope { all, patient, practitioner, organizations } = tx.scope(Action::ReadAppointment)?;
    let own = practitioner == Some(PractitionerId(resource));
    let now = tx.now;
    let first = from.max(now);
    let hit = || {
        let holding = occupancies::table
            .filter(occupancies::resource_id.eq(column::Uuid(resource)))
            .filter(among(occupancies::lane, vec![LANE, SECOND_LANE]))
            .filter(occupancies::live)
            .filter(occupancies::starts_at.gt(first.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
            .filter(occupancies::starts_at.lt(to))
            .select(occupancies::appointment_id);
        let mut hit = appointments::table
            .inner_join(patients::table)
            .filter(appointments::id.eq_any(holding))
            .filter(appointments::starts_at.lt(to))
            .filter(appointments::ends_at.gt(first))
            .filter(
                appointments::status
                    .eq_any([Booked, Arrived])
                    .or(appointments::hold_expires_at.gt(now)),
            )
            .into_boxed();
        if !all && !own {
            let (nobody, no_one) =
                (PatientId(uuid::Uuid::nil()), PractitionerId(uuid::Uuid::nil()));
            hit = hit.filter(
                appointments::patient_id
                    .eq(patient.unwrap_or(nobody))
                    .or(appointments::practitioner_id.eq(practitioner.unwrap_or(no_one)))
                    .or(appointments::organization_id.eq_any(organizations.clone())),
            );
        }
        hit
    };
    let count = hit().select(count_star()).first(tx.conn)?;
    let rows: Vec<HitRow> = hit()
        .order((appointments::starts_at, appointments::id))
        .limit(HITS_MAX)
        .select(HIT)
        .load(tx.conn)?;
    Ok((rows.into_iter().map(Hit::of).collect(), count))
}

type HitRow = (AppointmentId, String, Instant, String, String, PatientId, String);

const HIT: (
    appointments::id,
    appointments::code,
    appointments::starts_at,
    appointments::local_start,
    appointments::time_zone,
    patients::id,
    patients::name,
) = (
    appointments::id,
    appointments::code,
    appointments::starts_at,
    appointments::local_start,
    appointments::time_zone,
    patients::id,
    patients::name,
);

impl Hit {
    fn of(row: HitRow) -> Self {
        let (id, code, start, local_start, time_zone, patient, name) = row;
        Self { id, code, start, local_start, time_zone, patient: Named { id: patient, name } }
    }
}

/// A visit to come, as whoever closes a clinic must know it.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Planned {
    /// The appointment.
    pub id: AppointmentId,
    /// With whom.
    pub practitioner: PractitionerId,
    /// The zone of their working hours.
    pub zone: Zone,
    /// When it begins.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
}

/// The visits to come of a clinic within a range that the caller may see, by start.
/// Index: appointments_by_organization.
pub fn of_clinic(
    tx: &mut Tx,
    clinic: OrganizationId,
    (from, to): (Instant, Instant),
) -> Result<Vec<Planned>, Error> {
    use AppointmentStatus::{Arrived, Booked, Pending, Proposed};
    let Scope { all, patient, practitioner, organizations } = tx.scope(Action::ReadAppointment)?;
    let mut visits = appointments::table
        .inner_join(practitioners::table)
        .filter(appointments::organization_id.eq(clinic))
        .filter(appointments::starts_at.ge(earliest(from)))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::ends_at.gt(from.max(tx.now)))
        .filter(appointments::status.eq_any([Proposed, Pending, Booked, Arrived]))
        .filter(is_kept(tx.now))
        .order((appointments::starts_at, appointments::id))
        .select((
            appointments::id,
            appointments::practitioner_id,
            practitioners::time_zone,
            appointments::starts_at,
            appointments::ends_at,
        ))
        .into_boxed();
    if !all && !organizations.contains(&clinic) {
        let (nobody, no_one) = (PatientId(uuid::Uuid::nil()), PractitionerId(uuid::Uuid::nil()));
        visits = visits.filter(
            appointments::patient_id
                .eq(patient.unwrap_or(nobody))
                .or(appointments::practitioner_id.eq(practitioner.unwrap_or(no_one))),
        );
    }
    Ok(visits.load(tx.conn)?)
}

/// The first hundred of some visits, by start; the caller has made sure that they may be seen.
pub fn named(tx: &mut Tx, visits: &[Planned]) -> Result<Vec<Hit>, Error> {
    let most = usize::try_from(HITS_MAX).unwrap_or(usize::MAX);
    of_ids(tx, visits.iter().take(most).map(|visit| visit.id).collect())
}

/// The first hundred of some visits of a clinic, given by start, as its administrator sees them, and how many
/// there are; nobody's where the caller may not see them.
pub(crate) fn named_at(
    tx: &mut Tx,
    clinic: OrganizationId,
    mut visits: Vec<AppointmentId>,
) -> Result<(Vec<Hit>, i64), Error> {
    let scope = tx.scope(Action::ReadAppointment)?;
    if !scope.all && !scope.organizations.contains(&clinic) {
        return Ok((Vec::new(), 0));
    }
    let count = i64::try_from(visits.len()).unwrap_or(i64::MAX);
    visits.truncate(usize::try_from(HITS_MAX).unwrap_or(usize::MAX));
    Ok((of_ids(tx, visits)?, count))
}

/// Some visits, by start; the caller has made sure that they may be seen.
pub fn of_ids(tx: &mut Tx, ids: Vec<AppointmentId>) -> Result<Vec<Hit>, Error> {
    let rows: Vec<HitRow> = appointments::table
        .inner_join(patients::table)
        .filter(among(appointments::id, ids))
        .order((appointments::starts_at, appointments::id))
        .select(HIT)
        .load(tx.conn)?;
    Ok(rows.into_iter().map(Hit::of).collect())
}

fn earliest(from: Instant) -> Instant {
    from.minus(TimeDelta::hours(VISIT_HOURS_MAX))
}
