//! Booking: who may, which doctor, what else the visit needs, and the row itself.
//!
//! The code here only chooses and explains; what makes double booking impossible is in
//! [`occupy`](crate::appointment::occupy) and the schema.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::candidates::{
    Visit, candidates, leave_alone, look_around, take_others, take_people,
};
use crate::appointment::choice::{
    bookable_patient, check_followed, check_minute, check_start, find_service, working_for,
};
use crate::appointment::code::new_code;
use crate::appointment::needed::Taken;
use crate::appointment::series::SeriesId;
use crate::appointment::supply::Moving;
use crate::appointment::{
    self, Appointment, AppointmentId, Priority, Row, check_reason, hours, minutes, sealed,
};
use crate::base::column::Instant;
use crate::base::db::{Turn, direct, kept, take_turns};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::appointments;
use crate::base::tx::Tx;
use crate::base::zone;
use crate::encounter;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::location::LocationId;
use crate::message;
use crate::organization::service::Mode;
use crate::organization::{Service, ServiceId};
use crate::patient::{self, PatientId, PatientRow};
use crate::practitioner::{PractitionerId, PractitionerRow};
use crate::schedule::free::Asker;
use crate::schedule::leave;
use crate::waitlist::{self, follow};

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
    /// Ask the clinic for it: it takes the time until the clinic accepts or declines.
    #[serde(default)]
    pub request: bool,
    /// How the visit shall be held; left out: the first way that the service names.
    pub mode: Option<Mode>,
    /// Where the patient shall be seen: the room, the device and the feldsher that the service
    /// needs must be there. Left out: where the patient lives, or else wherever the clinic has all
    /// of it at one place.
    pub location: Option<LocationId>,
    /// Which rooms, devices, feldshers and interpreters; left out: whichever are free.
    #[serde(default)]
    pub resources: Vec<uuid::Uuid>,
    /// How soon it must be. Staff only, and only today, when it is not `routine`.
    pub priority: Option<Priority>,
    /// A second visit into a time that is taken. Staff only, where the services of both allow it.
    #[serde(default)]
    pub overbook: bool,
    /// The visit of the same patient after which it is booked; it has begun.
    pub follows: Option<AppointmentId>,
}

/// Books a visit, holds its time, or asks for it. 409 when somebody was faster;
/// [`alternatives`](crate::appointment::choice::alternatives) says what is free instead.
pub fn book(tx: &mut Tx, wanted: BookAppointment) -> Result<Appointment, Error> {
    book_of(tx, &wanted, None)
}

/// As [`book`], for one visit of a series.
pub(crate) fn book_of(
    tx: &mut Tx,
    wanted: &BookAppointment,
    series: Option<SeriesId>,
) -> Result<Appointment, Error> {
    let (patient, facts) = bookable_patient(tx, wanted.patient)?;
    check_reason(wanted.reason.as_deref())?;
    check_start(tx, wanted.start)?;
    check_minute(wanted.start)?;
    let service = find_service(tx, wanted.service)?;
    let facts = Facts { organization: Some(service.organization_id), ..facts };
    check_kind(tx, wanted, &service, &facts)?;
    check_followed(tx, wanted.follows, patient.id)?;
    let status = wanted_status(wanted);
    queue_up(tx, status, patient.id, &service)?;
    check_holds(tx, status, patient.id)?;
    let mode = chosen_mode(wanted, &service)?;
    let id = AppointmentId::new(tx.now);
    let visit = Visit::of(wanted, &service);
    // A wish is locked before any time, and what is held for it makes way.
    let wish = match status {
        AppointmentStatus::Booked => {
            Some(follow::make_way(tx, patient.id, service.id, visit.start)?)
        }
        _ => None,
    };
    let mut candidates = candidates(tx, &service, wanted, patient.id, visit)?;
    let look = look_around(tx, &service, wanted, &patient, visit, &mut candidates)?;
    if visit.overbook {
        leave_alone(tx, id, &mut candidates, visit)?;
    }
    let (practitioner, visit) = take_people(tx, id, &candidates, &patient, visit)?;
    let others = take_others(tx, id, wanted, look, practitioner)?;
    let row = New { id, status, mode, series, others, practitioner, patient: &patient, by: None };
    insert(tx, &row, wanted, &service, visit)?;
    encounter::plan(tx, id, patient.id, practitioner.id, service.organization_id, visit.start)?;
    let booked = appointment::show(tx, id)?;
    let facts = Facts { practitioner: Some(practitioner.id), ..facts };
    tx.record(Action::Book, "Appointment", id.0, &facts);
    if let Some(wish) = wish {
        follow::met(tx, &wish, id)?;
        message::confirm_booking(tx, &booked, patient.account_id)?;
    }
    Ok(booked)
}

/// A time that is held for a patient until they answer: in place of another visit, or because they
/// wait for one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPlace<'a> {
    /// For what.
    pub service: &'a Service,
    /// For whom.
    pub patient: &'a PatientRow,
    /// How soon it must be.
    pub priority: Priority,
    /// How it shall be held.
    pub mode: Mode,
    /// Until when the time is held.
    pub until: Instant,
    /// What binds the start.
    pub asker: Asker,
    /// Where the patient shall be seen; `None`: near where they live.
    pub location: Option<LocationId>,
    /// On whose account; `None`: the caller's.
    pub by: Option<AccountId>,
    /// The visit that is put there if they take it.
    pub moving: Option<Row>,
}

/// Holds a time that is offered, however many the patient holds already. `None` when the time
/// is taken. The caller has made the access decision.
pub(crate) fn hold_in_place(
    tx: &mut Tx,
    held: InPlace,
    practitioner: PractitionerId,
    start: Instant,
) -> Result<Option<AppointmentId>, Error> {
    let wanted = BookAppointment {
        service: held.service.id,
        practitioner: Some(practitioner),
        start,
        patient: Some(held.patient.id),
        reason: None,
        hold: true,
        request: false,
        mode: Some(held.mode),
        location: held.location,
        resources: Vec::new(),
        priority: Some(held.priority),
        overbook: false,
        follows: None,
    };
    let id = AppointmentId::new(tx.now);
    let visit = Visit::of(&wanted, held.service);
    let visit = held.moving.as_ref().map_or(visit, |row| visit.in_place_of(row));
    let moving = held.moving.as_ref().map(Moving::of);
    let taken = tx.attempt(|tx| {
        let when = (visit.start, held.asker);
        let mut candidates = working_for(tx, held.service, Some(practitioner), when, moving)?;
        let look = look_around(tx, held.service, &wanted, held.patient, visit, &mut candidates)?;
        let (practitioner, visit) = take_people(tx, id, &candidates, held.patient, visit)?;
        let others = take_others(tx, id, &wanted, look, practitioner)?;
        let (status, series) = (AppointmentStatus::Pending, None);
        let (mode, patient) = (held.mode, held.patient);
        let by = held.by;
        let row = New { id, status, mode, series, others, practitioner, patient, by };
        insert(tx, &row, &wanted, held.service, visit)?;
        let clinic = held.service.organization_id;
        encounter::plan(tx, id, patient.id, practitioner.id, clinic, visit.start)?;
        diesel::update(appointments::table.find(id))
            .set(appointments::hold_expires_at.eq(held.until))
            .execute(tx.conn)?;
        Ok(id)
    });
    let in_the_way = [
        &problem::SLOT_TAKEN,
        &problem::PATIENT_BUSY,
        &problem::RESOURCE_BUSY,
        &problem::OUTSIDE_HOURS,
        &problem::TOO_SOON,
        &problem::TOO_FAR,
        &problem::OFF_GRID,
        &problem::DAY_FULL,
        &problem::SERVICE_INACTIVE,
    ];
    match taken {
        Ok(id) => Ok(Some(id)),
        Err(error) if in_the_way.into_iter().any(|problem| error.is(problem)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether this may be urgent, or a second visit at its time.
fn check_kind(
    tx: &mut Tx,
    wanted: &BookAppointment,
    service: &Service,
    facts: &Facts,
) -> Result<(), Error> {
    let urgent = wanted.priority.is_some_and(|priority| priority != Priority::Routine);
    if urgent || wanted.overbook {
        tx.allow(Action::BookOver, facts)?;
    }
    if urgent && wanted.overbook {
        return Err(Error::field(&problem::INVALID_BODY, "/overbook"));
    }
    if wanted.hold && wanted.request {
        return Err(Error::field(&problem::INVALID_BODY, "/request"));
    }
    if wanted.overbook && !service.terms.overbook {
        return Err(Error::from(&problem::NO_OVERBOOKING));
    }
    Ok(())
}

fn wanted_status(wanted: &BookAppointment) -> AppointmentStatus {
    match (wanted.hold, wanted.request) {
        (true, _) => AppointmentStatus::Pending,
        (_, true) => AppointmentStatus::Proposed,
        (false, false) => AppointmentStatus::Booked,
    }
}

/// Waits for whoever else holds a time for the patient, and where rooms or others are needed, for
/// whoever moves such a visit: a move cannot step back from a room that a booking is taking.
fn queue_up(
    tx: &mut Tx,
    status: AppointmentStatus,
    patient: PatientId,
    service: &Service,
) -> Result<(), Error> {
    let holds = status != AppointmentStatus::Booked;
    let needs = !service.resources()?.is_empty();
    let turns = [
        holds.then_some(Turn::Alone(patient.0)),
        needs.then_some(Turn::Together(service.organization_id.0)),
    ];
    let turns: Vec<Turn> = turns.into_iter().flatten().collect();
    Ok(take_turns(tx.conn, &turns)?)
}

/// 409 `too_many_holds` when too many times are held, or asked for, for the patient already.
/// Index: appointments_held.
fn check_holds(tx: &mut Tx, status: AppointmentStatus, patient: PatientId) -> Result<(), Error> {
    if status == AppointmentStatus::Booked {
        return Ok(());
    }
    let held: Vec<AppointmentId> = appointments::table
        .filter(appointments::patient_id.eq(patient))
        .filter(appointments::hold_expires_at.gt(tx.now))
        .select(appointments::id)
        .load(tx.conn)?;
    let count = |ids: usize| i64::try_from(ids).unwrap_or(i64::MAX);
    // What was offered to them, they did not ask for.
    let mut own = count(held.len());
    if own > 0 {
        own -= leave::offer::count_of(tx, &held)? + waitlist::offer::count_of(tx, &held)?;
    }
    if own >= i64::from(tx.config.booking.holds_max) {
        return Err(Error::from(&problem::TOO_MANY_HOLDS));
    }
    Ok(())
}

fn chosen_mode(wanted: &BookAppointment, service: &Service) -> Result<Mode, Error> {
    let modes = service.modes()?;
    match wanted.mode {
        Some(mode) if modes.contains(&mode) => Ok(mode),
        Some(_) => Err(Error::field(&problem::INVALID_BODY, "/mode")),
        None => modes.first().copied().ok_or(Error::Internal("a service without a mode")),
    }
}

/// What a new row needs besides the wish.
struct New<'a> {
    id: AppointmentId,
    status: AppointmentStatus,
    mode: Mode,
    series: Option<SeriesId>,
    others: Taken,
    practitioner: &'a PractitionerRow,
    patient: &'a PatientRow,
    by: Option<AccountId>,
}

fn insert(
    tx: &mut Tx,
    new: &New,
    wanted: &BookAppointment,
    service: &Service,
    visit: Visit,
) -> Result<(), Error> {
    let zone = patient::keep_zone(tx, new.patient)?;
    let hold_expires_at = match new.status {
        AppointmentStatus::Pending => Some(tx.now.plus(minutes(tx.config.booking.hold_minutes))),
        AppointmentStatus::Proposed => {
            Some(tx.now.plus(hours(tx.config.booking.request_hours)).min(visit.end))
        }
        _ => None,
    };
    let reason = sealed(tx, new.id, "reason", wanted.reason.as_deref())?;
    let account = new.by.or(tx.actor().account);
    // 30^6 codes: a collision is rare, and then the next code is tried.
    for _ in 0..20 {
        let code = new_code()?;
        let row = diesel::insert_into(appointments::table)
            .values((
                appointments::id.eq(new.id),
                appointments::code.eq(code),
                appointments::status.eq(new.status),
                appointments::service_id.eq(service.id),
                appointments::organization_id.eq(service.organization_id),
                appointments::practitioner_id.eq(new.practitioner.id),
                appointments::patient_id.eq(new.patient.id),
                appointments::starts_at.eq(visit.start),
                appointments::ends_at.eq(visit.end),
                appointments::busy_from.eq(visit.busy_from),
                appointments::busy_to.eq(visit.busy_to),
                appointments::priority.eq(visit.priority),
                appointments::overbooked.eq(visit.overbook),
                appointments::mode.eq(new.mode),
                appointments::location_id.eq(new.others.location),
                appointments::time_zone.eq(zone.to_string()),
                appointments::local_start.eq(zone::local(visit.start, zone)),
                appointments::hold_expires_at.eq(hold_expires_at),
                appointments::reason_sealed.eq(&reason),
                appointments::series_id.eq(new.series),
                appointments::follows_id.eq(wanted.follows),
                appointments::moves.eq(0),
                appointments::resources.eq(new.others.count),
                appointments::created_by.eq(account),
                appointments::created_at.eq(tx.now),
                appointments::updated_at.eq(tx.now),
                appointments::version.eq(1),
            ))
            .on_conflict(appointments::code)
            .do_nothing();
        let inserted = direct!(tx.conn, |conn| kept!(row).execute(conn))?;
        if inserted == 1 {
            return Ok(());
        }
    }
    Err(Error::Internal("no booking code is free"))
}
