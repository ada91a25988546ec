//! What happens to an appointment after it was booked: confirmed, changed, called off, missed.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::{Appointment, AppointmentId, check_reason, find_row, sealed, show};
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::appointments;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::encounter::{self, finish};
use crate::message;
use crate::patient;

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
    if is_over(row.status) {
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

/// Takes a held time for good. 410 `hold_over` when it was not confirmed in time.
pub fn confirm(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ConfirmAppointment, &row.facts())?;
    if row.status == AppointmentStatus::Booked {
        return show(tx, id);
    }
    let held = row.hold_expires_at.is_some_and(|until| until > tx.now);
    if row.status == AppointmentStatus::Cancelled
        || (row.status == AppointmentStatus::Pending && !held)
    {
        return Err(Error::from(&problem::HOLD_OVER));
    }
    encounter::advance(tx, id, Act::Confirm, None)?;
    tx.record(Action::ConfirmAppointment, "Appointment", id.0, &row.facts());
    let booked = show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::confirm_booking(tx, &booked, account)?;
    Ok(booked)
}

/// Why a visit is called off.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelAppointment {
    /// In the caller's words.
    pub reason: Option<String>,
}

/// Calls a visit off that has not begun; its time is free at once.
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
    encounter::advance(tx, id, Act::Cancel, None)?;
    let reason = sealed(tx, id, "cancellation", why.reason.as_deref())?;
    diesel::update(appointments::table.find(id))
        .set(appointments::cancellation_sealed.eq(reason))
        .execute(tx.conn)?;
    tx.record(Action::CancelAppointment, "Appointment", id.0, &row.facts());
    empty_room(tx, id)?;
    show(tx, id)
}

text_enum!(
    /// Why a visit did not take place.
    NoshowCause {
        /// The patient did not come.
        Patient = "patient",
        /// The line or a device failed: no fault of the patient.
        Technical = "technical",
    }
);

/// What is said about a missed visit.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkNoshow {
    /// Left out: the patient did not come.
    pub cause: Option<NoshowCause>,
}

/// Records that the patient did not come. Not before the visit should have begun; a failure
/// of the line is not the patient's fault and calls the visit off instead.
pub fn mark_noshow(
    tx: &mut Tx,
    id: AppointmentId,
    missed: &MarkNoshow,
) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::MarkNoshow, &row.facts())?;
    if row.starts_at > tx.now {
        return Err(Error::from(&problem::TOO_EARLY).with("opens_at", row.starts_at));
    }
    let act = match missed.cause {
        Some(NoshowCause::Technical) => Act::Cancel,
        Some(NoshowCause::Patient) | None => Act::Noshow,
    };
    encounter::advance(tx, id, act, None)?;
    tx.record(Action::MarkNoshow, "Appointment", id.0, &row.facts());
    empty_room(tx, id)?;
    show(tx, id)
}

/// Moves an appointment; 409 when it is no longer in the state it was read in.
pub(crate) fn set_status(
    tx: &mut Tx,
    id: AppointmentId,
    from: AppointmentStatus,
    to: AppointmentStatus,
) -> Result<(), Error> {
    if from == to {
        return Ok(());
    }
    let moved = diesel::update(
        appointments::table.filter(appointments::id.eq(id)).filter(appointments::status.eq(from)),
    )
    .set((
        appointments::status.eq(to),
        appointments::hold_expires_at.eq(None::<crate::base::column::Instant>),
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
