//! Coming onto the waiting list, and leaving it.

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::choice::{find_service, patient_for};
use crate::appointment::code::new_code;
use crate::appointment::{self, AppointmentId, Row};
use crate::base::column::Instant;
use crate::base::db::{self, Each, direct, take_turns};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::waitlist_entries;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::{Service, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::slots::PartOfDay;
use crate::waitlist::order::Urgency;
use crate::waitlist::{
    Entry, EntryId, EntryRow, VacancyStatus, WaitEnd, WaitStatus, find_row, is_active, lock_row,
    offer, show,
};

/// The notice when none is wished for, in minutes.
const NOTICE_MINUTES: i32 = 120;
/// The longest notice, in minutes: a week. The schema says the same.
const NOTICE_MINUTES_MAX: i32 = 7 * 24 * 60;
/// How often a new code is tried: 30^6 codes, so a collision is rare.
const CODE_TRIES: usize = 20;

/// What somebody waits for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinWaitlist {
    /// The service.
    pub service: ServiceId,
    /// With whom; left out: with anybody.
    pub practitioner: Option<PractitionerId>,
    /// Who waits; left out: the caller.
    pub patient: Option<PatientId>,
    /// The visit begins at this instant or later, RFC 3339 with an offset; left out: now.
    pub earliest: Option<Instant>,
    /// And at this one at the latest; left out: as far ahead as the service can be booked.
    pub latest: Option<Instant>,
    /// In one of these parts of the day where the patient lives; left out: in any.
    #[serde(default)]
    pub parts_of_day: Vec<PartOfDay>,
    /// How long before the visit the answer must be there, 0 to 10080 minutes; left out: 120.
    pub notice_minutes: Option<i32>,
    /// How soon it must be met. Staff only, when it is not `routine`.
    pub priority: Option<Urgency>,
    /// A booked visit that is to be brought forward: accepting an offer moves it there.
    pub appointment: Option<AppointmentId>,
}

/// Puts a patient on the waiting list. When a time that suits is free already, it is offered at
/// once: the answer is `offered`. 409 `already_exists` when the patient waits for the service,
/// `too_many_wishes` when they have as many wishes as they may.
pub fn join(tx: &mut Tx, wanted: &JoinWaitlist) -> Result<Entry, Error> {
    let (patient, patient_facts) = patient_for(tx, wanted.patient, Action::JoinWaitlist)?;
    let service = find_service(tx, wanted.service)?;
    let facts = Facts { organization: Some(service.organization_id), ..patient_facts };
    let priority = wanted.priority.unwrap_or(Urgency::Routine);
    if priority != Urgency::Routine {
        tx.allow(Action::UrgeWaitlist, &Facts { practitioner: wanted.practitioner, ..facts })?;
    }
    if !service.active {
        return Err(Error::field(&problem::SERVICE_INACTIVE, "/service"));
    }
    if let Some(practitioner) = wanted.practitioner
        && practitioner::of_service(tx, service.id, Some(practitioner))?.is_empty()
    {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    let visit =
        wanted.appointment.map(|id| visit_of(tx, id, patient.id, service.id)).transpose()?;
    let (earliest, latest) = window(tx, wanted, &service, visit.as_ref())?;
    let notice = wanted.notice_minutes.unwrap_or(NOTICE_MINUTES);
    if !(0..=NOTICE_MINUTES_MAX).contains(&notice) {
        return Err(Error::field(&problem::INVALID_BODY, "/notice_minutes"));
    }
    check_room(tx, patient.id)?;
    let row = EntryRow {
        id: EntryId::new(tx.now),
        code: String::new(),
        status: WaitStatus::Waiting,
        patient_id: patient.id,
        service_id: service.id,
        organization_id: service.organization_id,
        practitioner_id: wanted.practitioner,
        appointment_id: wanted.appointment,
        earliest_at: earliest,
        latest_at: latest,
        parts_of_day: parts(&wanted.parts_of_day)?,
        notice_minutes: notice,
        priority,
        lapses: 0,
        ended_why: None,
        created_by: tx.person()?.account,
        created_at: tx.now,
        version: 1,
    };
    insert(tx, &row)?;
    tx.record(Action::JoinWaitlist, "WaitlistEntry", row.id.0, &facts);
    offer::fill_now(tx, service.id);
    show(tx, row.id)
}

/// The visit that is to be brought forward: the patient's own, of the service, and still to come.
fn visit_of(
    tx: &mut Tx,
    id: AppointmentId,
    patient: PatientId,
    service: ServiceId,
) -> Result<Row, Error> {
    let unknown = || Error::field(&problem::UNKNOWN_REFERENCE, "/appointment");
    let row = appointment::find_row(tx, id)
        .map_err(|error| error.as_unknown_reference("/appointment"))?;
    tx.allow(Action::MoveAppointment, &row.facts())
        .map_err(|error| error.as_unknown_reference("/appointment"))?;
    if row.patient_id != patient || row.service_id != service {
        return Err(unknown());
    }
    if row.status != AppointmentStatus::Booked || row.starts_at <= tx.now {
        return Err(Error::from(&problem::BAD_STATE));
    }
    Ok(row)
}

fn window(
    tx: &Tx,
    wanted: &JoinWaitlist,
    service: &Service,
    visit: Option<&Row>,
) -> Result<(Instant, Instant), Error> {
    let earliest = wanted.earliest.unwrap_or(tx.now).max(tx.now);
    let days = i64::from(service.terms.horizon_days).min(tx.config.booking.ahead_days_max.into());
    let horizon = tx.now.plus(TimeDelta::days(days));
    if wanted.latest.is_some_and(|latest| latest > horizon) {
        return Err(Error::field(&problem::TOO_FAR, "/latest"));
    }
    let mut latest = wanted.latest.unwrap_or(horizon);
    if let Some(visit) = visit {
        latest = latest.min(visit.starts_at.minus(TimeDelta::microseconds(1)));
    }
    if latest <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/latest"));
    }
    if latest <= earliest {
        return Err(Error::field(&problem::INVALID_BODY, "/latest"));
    }
    Ok((earliest, latest))
}

fn parts(wanted: &[PartOfDay]) -> Result<String, Error> {
    let mut parts = wanted.to_vec();
    parts.sort_unstable();
    parts.dedup();
    if parts.len() != wanted.len() {
        return Err(Error::field(&problem::INVALID_BODY, "/parts_of_day"));
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
    Ok(parts.join(" "))
}

/// 409 `too_many_wishes`. Index: waitlist_entries_by_patient.
fn check_room(tx: &mut Tx, patient: PatientId) -> Result<(), Error> {
    take_turns(tx.conn, &[db::Turn::Alone(patient.0)])?;
    let wishes: i64 = waitlist_entries::table
        .filter(waitlist_entries::patient_id.eq(patient))
        .filter(is_active())
        .select(count_star())
        .get_result(tx.conn)?;
    if wishes >= i64::from(tx.config.booking.waitlist_max) {
        return Err(Error::from(&problem::TOO_MANY_WISHES));
    }
    Ok(())
}

/// Puts a patient on the list with a wish that had ended by mistake, at the place that it had. Nothing, when
/// they wait for the service already.
pub(super) fn again(tx: &mut Tx, was: EntryRow) -> Result<(), Error> {
    let row = EntryRow {
        id: EntryId::new(tx.now),
        status: WaitStatus::Waiting,
        ended_why: None,
        version: 1,
        ..was
    };
    match insert(tx, &row) {
        Ok(()) => tx.record(Action::JoinWaitlist, "WaitlistEntry", row.id.0, &row.facts()),
        Err(error) if error.is(&problem::ALREADY_EXISTS) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn insert(tx: &mut Tx, row: &EntryRow) -> Result<(), Error> {
    for _ in 0..CODE_TRIES {
        let inserted = Each(
            diesel::insert_into(waitlist_entries::table)
                .values((
                    waitlist_entries::id.eq(row.id),
                    waitlist_entries::code.eq(new_code()?),
                    waitlist_entries::status.eq(row.status),
                    waitlist_entries::patient_id.eq(row.patient_id),
                    waitlist_entries::service_id.eq(row.service_id),
                    waitlist_entries::organization_id.eq(row.organization_id),
                    waitlist_entries::practitioner_id.eq(row.practitioner_id),
                    waitlist_entries::appointment_id.eq(row.appointment_id),
                    waitlist_entries::earliest_at.eq(row.earliest_at),
                    waitlist_entries::latest_at.eq(row.latest_at),
                    waitlist_entries::parts_of_day.eq(&row.parts_of_day),
                    waitlist_entries::notice_minutes.eq(row.notice_minutes),
                    waitlist_entries::priority.eq(row.priority),
                    waitlist_entries::lapses.eq(row.lapses),
                    waitlist_entries::created_by.eq(row.created_by),
                    waitlist_entries::created_at.eq(row.created_at),
                    waitlist_entries::updated_at.eq(row.created_at),
                    waitlist_entries::version.eq(row.version),
                ))
                .on_conflict_do_nothing(),
        )
        .execute(tx.conn)?;
        if inserted == 1 {
            return Ok(());
        }
        if active_of(tx, row.patient_id, row.service_id)?.is_some() {
            return Err(Error::from(&problem::ALREADY_EXISTS));
        }
    }
    Err(Error::Internal("no code of the waiting list is free"))
}

/// What a patient waits for of a service, if they do. Index: waitlist_entries_by_patient.
pub(crate) fn active_of(
    tx: &mut Tx,
    patient: PatientId,
    service: ServiceId,
) -> Result<Option<EntryId>, Error> {
    let active = waitlist_entries::table
        .filter(waitlist_entries::patient_id.eq(patient))
        .filter(waitlist_entries::service_id.eq(service))
        .filter(is_active())
        .select(waitlist_entries::id);
    Ok(direct!(tx.conn, |conn| active.get_result(conn)).optional()?)
}

/// Waits no longer; a time that is held goes to the next. Withdrawing twice is once; 409
/// `bad_state` when the wish has ended otherwise.
pub fn withdraw(tx: &mut Tx, id: EntryId) -> Result<Entry, Error> {
    let row = find_row(tx, id)?;
    let facts = row.facts();
    tx.allow(Action::LeaveWaitlist, &facts)?;
    let row = lock_row(tx, id)?;
    match row.status {
        WaitStatus::Withdrawn => return show(tx, id),
        WaitStatus::Booked | WaitStatus::Expired => return Err(Error::from(&problem::BAD_STATE)),
        WaitStatus::Waiting | WaitStatus::Offered => {}
    }
    let row = offer::take_back(tx, row, VacancyStatus::Declined)?;
    offer::finish(tx, &row, WaitStatus::Withdrawn, WaitEnd::Withdrawn, None)?;
    tx.record(Action::LeaveWaitlist, "WaitlistEntry", id.0, &facts);
    show(tx, id)
}
