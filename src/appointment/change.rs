//! What happens to an appointment after it was booked: confirmed, changed, called off, missed.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::choice::find_service;
use crate::appointment::{
    Appointment, AppointmentId, CancellationCode, NoshowCause, Priority, Row, affected,
    check_reason, expiry, find_row, lock, occupy, sealed, show,
};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::appointments;
use crate::base::tx::Tx;
use crate::calendar::external;
use crate::encounter::lifecycle::{self, Act, AppointmentStatus};
use crate::encounter::{self, finish};
use crate::message;
use crate::patient;
use crate::practitioner::{self, gone};
use crate::schedule::leave::{self, offer};
use crate::schedule::wall_clock::Span;
use crate::schedule::{self, absence, closure};
use crate::waitlist::{self, follow};

/// What can be changed about a booked visit.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditAppointment {
    /// Why the patient comes; empty removes it.
    pub reason: String,
}

/// Changes the reason of a visit that is not over. 412 when it was changed meanwhile.
pub fn edit(
    tx: &mut Tx,
    id: AppointmentId,
    version: i32,
    change: &EditAppointment,
) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::EditAppointment, &row.facts())?;
    check_reason(Some(&change.reason))?;
    if is_over(row.status) || row.is_dead(tx.now) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    let reason = sealed(tx, id, "reason", Some(&change.reason))?;
    let changed = diesel::update(
        appointments::table
            .filter(appointments::id.eq(id))
            .filter(appointments::version.eq(version)),
    )
    .set((
        appointments::reason_sealed.eq(reason),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(version.saturating_add(1)),
    ))
    .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditAppointment, "Appointment", id.0, &row.facts());
    show(tx, id)
}

/// Takes a held time for good. 410 `hold_over` when it was not confirmed in time; 409 `practitioner_gone` or
/// 422 `outside_hours` when nobody would hold the visit any more: the hold stays until it runs out.
pub fn confirm(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ConfirmAppointment, &row.facts())?;
    if row.status == AppointmentStatus::Booked {
        return show(tx, id);
    }
    if row.status == AppointmentStatus::Cancelled
        || (row.status == AppointmentStatus::Pending && row.is_dead(tx.now))
    {
        return Err(Error::from(&problem::HOLD_OVER));
    }
    // A time that is offered is taken by answering, not by itself.
    if is_offered(tx, id)? {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if row.status == AppointmentStatus::Pending {
        check_there(tx, &row)?;
    }
    let wish = follow::make_way(tx, row.patient_id, row.service_id, row.starts_at)?;
    encounter::advance(tx, id, Act::Confirm, None)?;
    follow::met(tx, &wish, id)?;
    tx.record(Action::ConfirmAppointment, "Appointment", id.0, &row.facts());
    let booked = show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::confirm_booking(tx, &booked, account)?;
    Ok(booked)
}

/// Whether an appointment is a time that is held until somebody answers: in place of another visit,
/// or because they wait for one.
pub(crate) fn is_offered(tx: &mut Tx, id: AppointmentId) -> Result<bool, Error> {
    Ok(offer::is_offered(tx, id)? || waitlist::offer::entry_of_hold(tx, id)?.is_some())
}

/// Takes on a visit that was asked for. 410 `hold_over` when its time ran out meanwhile, 422
/// `outside_hours` when somebody who takes part is away then, or the clinic is closed.
pub fn accept(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::AnswerRequest, &row.facts())?;
    if row.status == AppointmentStatus::Booked {
        return show(tx, id);
    }
    still_asked(tx, &row)?;
    if row.status == AppointmentStatus::Proposed {
        check_there(tx, &row)?;
    }
    let wish = follow::make_way(tx, row.patient_id, row.service_id, row.starts_at)?;
    encounter::advance(tx, id, Act::Accept, None)?;
    follow::met(tx, &wish, id)?;
    tx.record(Action::AnswerRequest, "Appointment", id.0, &row.facts());
    let booked = show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::tell_accepted(tx, &booked, account)?;
    Ok(booked)
}

/// 410 `hold_over` when nobody answered a request in time, whether or not that is written down already.
fn still_asked(tx: &Tx, row: &Row) -> Result<(), Error> {
    if row.is_dead(tx.now) { Err(Error::from(&problem::HOLD_OVER)) } else { Ok(()) }
}

/// Why a visit that was asked for is not taken on.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclineAppointment {
    /// In the caller's words.
    pub reason: Option<String>,
}

/// Does not take on a visit that was asked for; its time is free at once, and the patient is told.
pub fn decline(
    tx: &mut Tx,
    id: AppointmentId,
    why: &DeclineAppointment,
) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::AnswerRequest, &row.facts())?;
    check_reason(why.reason.as_deref())?;
    still_asked(tx, &row)?;
    encounter::advance(tx, id, Act::Decline, None)?;
    let reason = sealed(tx, id, "cancellation", why.reason.as_deref())?;
    diesel::update(appointments::table.find(id))
        .set(appointments::cancellation_sealed.eq(reason))
        .execute(tx.conn)?;
    tx.record(Action::AnswerRequest, "Appointment", id.0, &row.facts());
    let declined = show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::tell_declined(tx, &declined, account)?;
    Ok(declined)
}

/// Notes that the patient has said that they will come. Saying it twice is saying it once.
pub fn attend(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::Attend, &row.facts())?;
    encounter::advance(tx, id, Act::Attend, None)?;
    let noted = diesel::update(
        appointments::table
            .filter(appointments::id.eq(id))
            .filter(appointments::confirmed_at.is_null()),
    )
    .set((
        appointments::confirmed_at.eq(tx.now),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(appointments::version + 1),
    ))
    .execute(tx.conn)?;
    if noted == 1 {
        tx.record(Action::Attend, "Appointment", id.0, &row.facts());
    }
    show(tx, id)
}

/// Takes back that somebody did not come, or came, or that a visit to come was called off: it is
/// booked again. 409 `slot_taken` when its time was given away meanwhile, `bad_state` while somebody
/// is there or when it was only held, `too_late` a day after its start, or past it when it was called
/// off, `note_signed` once a note about it is signed; 409 `day_full` and 422 `outside_hours` of what was
/// called off, when the day has as many as it may, or somebody is away then. What was missed, no cap binds.
pub fn undo(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::UndoAppointment, &row.facts())?;
    leave::wait_to_bring_back(tx, &row)?;
    lock(tx, id)?;
    let row = find_row(tx, id)?;
    tx.allow(Action::UndoAppointment, &row.facts())?;
    if row.status == AppointmentStatus::Cancelled {
        return bring_back(tx, &row);
    }
    let visit = encounter::of_appointment(tx, id)?;
    if lifecycle::next((row.status, visit.status), Act::Undo).is_none()
        || encounter::is_entered(tx, visit.id)?
    {
        return Err(Error::from(&problem::BAD_STATE));
    }
    // No cap binds it: that a visit was missed is a word about what was promised and has had its time, and
    // a day that has filled up since makes a wrong word no truer. What is called off is promised anew.
    occupy::bury_the_dead(tx, id, TimeDelta::zero())?;
    tx.attempt(|tx| encounter::advance(tx, id, Act::Undo, None))?;
    affected::go_by_their_clock(tx, id)?;
    tx.record(Action::UndoAppointment, "Appointment", id.0, &row.facts());
    show(tx, id)
}

/// Books a visit again that was called off; what an absence called off comes back with the absence.
fn bring_back(tx: &mut Tx, row: &Row) -> Result<Appointment, Error> {
    use AppointmentStatus::{Arrived, Booked};
    let id = row.id;
    let was: Option<AppointmentStatus> =
        appointments::table.find(id).select(appointments::cancelled_from).get_result(tx.conn)?;
    // Who calls a visit off by hand may say that it is for a leave.
    let by_leave =
        row.cancellation_code == Some(CancellationCode::Leave) && leave::has_settled(tx, id)?;
    if by_leave || !was.is_some_and(|was| matches!(was, Booked | Arrived)) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    check_there(tx, row)?;
    // Who cannot wait is bound by no cap.
    if row.priority == Priority::Routine {
        let practitioner = practitioner::find_row(tx, row.practitioner_id)?;
        let service = find_service(tx, row.service_id)?;
        schedule::check_cap(tx, &service, &practitioner, row.starts_at, id)?;
    }
    affected::stand_again(tx, id, Act::Undo)?;
    tx.record(Action::UndoAppointment, "Appointment", id.0, &row.facts());
    let booked = show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::tell_booked_again(tx, &booked, account)?;
    Ok(booked)
}

/// Nobody is promised again what cannot be: 409 `practitioner_gone` or `resource_busy` when somebody who
/// takes part has left, 422 `outside_hours` when somebody is known to be away then, or the clinic to be
/// closed. Weekly hours that have changed since are not asked about.
fn check_there(tx: &mut Tx, row: &Row) -> Result<(), Error> {
    gone::check_there(tx, row)?;
    let visit = Span { start: row.starts_at, end: row.ends_at };
    let people = row.who_takes_part(tx)?;
    let practitioner = practitioner::find_row(tx, row.practitioner_id)?;
    let away = !absence::of(tx, &people, visit)?.is_empty()
        || !external::busy_of(tx, &people, visit.start, visit.end)?.is_empty()
        || closure::covers(tx, &practitioner, visit)?;
    if away { Err(Error::from(&problem::OUTSIDE_HOURS)) } else { Ok(()) }
}

/// Why a visit is called off.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelAppointment {
    /// As a code: `clinic`, `technical` or `leave`; the patient's own is always `patient`.
    pub code: Option<CancellationCode>,
    /// In the caller's words.
    pub reason: Option<String>,
}

/// Calls a visit off that has not begun; its time is free at once. A patient who counts on it and
/// did not say so themselves is told.
pub fn cancel(
    tx: &mut Tx,
    id: AppointmentId,
    why: &CancelAppointment,
) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::CancelAppointment, &row.facts())?;
    check_reason(why.reason.as_deref())?;
    if row.status == AppointmentStatus::Cancelled {
        return show(tx, id);
    }
    // What has run out is called off already, though nobody may have written it down.
    if row.is_dead(tx.now) && !is_offered(tx, id)? {
        expiry::expire(tx, id)?;
        return show(tx, id);
    }
    let code = cancellation_code(tx, &row, why.code)?;
    let by_patient = code == CancellationCode::Patient;
    if follow::gives_back(tx, &row, by_patient)? {
        tx.record(Action::CancelAppointment, "Appointment", id.0, &row.facts());
        return show(tx, id);
    }
    follow::calling_off(tx, id, by_patient)?;
    // A patient who waits can be in other hands by now, and only whose visit it is calls it off.
    // Wishes are locked before visits, so it could not be asked under the lock at once.
    lock(tx, id)?;
    let row = find_row(tx, id)?;
    tx.allow(Action::CancelAppointment, &row.facts())?;
    encounter::advance(tx, id, Act::Cancel, None)?;
    offer::withdraw(tx, id)?;
    let reason = sealed(tx, id, "cancellation", why.reason.as_deref())?;
    diesel::update(appointments::table.find(id))
        .set((
            appointments::cancellation_sealed.eq(reason),
            appointments::cancellation_code.eq(code),
        ))
        .execute(tx.conn)?;
    tx.record(Action::CancelAppointment, "Appointment", id.0, &row.facts());
    empty_room(tx, id)?;
    let cancelled = show(tx, id)?;
    // Nobody has told them yet of a time that was only held.
    if !by_patient && row.status != AppointmentStatus::Pending {
        let account = patient::find_row(tx, row.patient_id)?.account_id;
        message::tell_called_off(tx, &cancelled, account)?;
    }
    Ok(cancelled)
}

/// A patient calls off for themselves; staff may say for whom, but not what only time says.
fn cancellation_code(
    tx: &Tx,
    row: &Row,
    said: Option<CancellationCode>,
) -> Result<CancellationCode, Error> {
    use CancellationCode::{Clinic, Declined, Expired, Patient};
    let own = tx.person().is_ok_and(|person| person.patient == Some(row.patient_id));
    // Who booked at another clinic does not speak for that clinic.
    let speaks_for_the_patient = tx.person().is_ok_and(|person| {
        row.created_by == Some(person.account) && !person.works_in(row.organization_id)
    });
    match said {
        Some(Declined | Expired) => Err(Error::field(&problem::INVALID_BODY, "/code")),
        Some(code) if own && code != Patient => Err(Error::field(&problem::INVALID_BODY, "/code")),
        Some(code) => Ok(code),
        None if own || speaks_for_the_patient => Ok(Patient),
        None => Ok(Clinic),
    }
}

/// What is said about a missed visit.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkNoshow {
    /// Left out: the patient did not come.
    pub cause: Option<NoshowCause>,
}

/// Records that a visit did not take place, and whose fault it was. Not before it should have
/// begun.
pub fn mark_noshow(
    tx: &mut Tx,
    id: AppointmentId,
    missed: &MarkNoshow,
) -> Result<Appointment, Error> {
    // Locked first: a patient who waits may be in other hands at this moment.
    lock(tx, id)?;
    let row = find_row(tx, id)?;
    tx.allow(Action::MarkNoshow, &row.facts())?;
    encounter::advance(tx, id, Act::Noshow, None)?;
    if let Some(cause) = missed.cause {
        diesel::update(appointments::table.find(id))
            .set(appointments::noshow_cause.eq(cause))
            .execute(tx.conn)?;
    }
    tx.record(Action::MarkNoshow, "Appointment", id.0, &row.facts());
    empty_room(tx, id)?;
    show(tx, id)
}

/// Moves an appointment; 409 when it is no longer in the state it was read in. Whoever has more
/// to say about an end than the act itself says it afterwards.
pub(crate) fn set_status(
    tx: &mut Tx,
    row: &Row,
    to: AppointmentStatus,
    act: Act,
) -> Result<(), Error> {
    if row.status == to {
        return Ok(());
    }
    let cancelled = match act {
        _ if to != AppointmentStatus::Cancelled => None,
        Act::Expire => Some(CancellationCode::Expired),
        Act::Decline => Some(CancellationCode::Declined),
        _ => Some(CancellationCode::Clinic),
    };
    let missed = (to == AppointmentStatus::Noshow).then_some(NoshowCause::Patient);
    // Whoever brings back what was only held says until when; nobody's word holds it for a moment.
    let is_held = matches!(to, AppointmentStatus::Proposed | AppointmentStatus::Pending);
    let held_until = is_held.then_some(tx.now);
    let moved = diesel::update(
        appointments::table
            .filter(appointments::id.eq(row.id))
            .filter(appointments::status.eq(row.status)),
    )
    .set((
        appointments::status.eq(to),
        appointments::hold_expires_at.eq(held_until),
        appointments::cancellation_code.eq(cancelled),
        appointments::cancelled_from.eq(cancelled.map(|_| row.status)),
        appointments::noshow_cause.eq(missed),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(appointments::version + 1),
    ))
    .execute(tx.conn)?;
    if moved == 0 { Err(Error::from(&problem::CONFLICT)) } else { Ok(()) }
}

fn is_over(status: AppointmentStatus) -> bool {
    matches!(
        status,
        AppointmentStatus::Fulfilled | AppointmentStatus::Cancelled | AppointmentStatus::Noshow
    )
}

fn empty_room(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    let encounter = encounter::of_appointment(tx, id)?;
    finish::over(tx, encounter.id)
}
