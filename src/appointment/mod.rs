//! Appointments: what was promised to a patient.

pub mod affected;
pub mod answer;
pub mod board;
pub mod book;
mod broken;
mod candidates;
pub mod change;
pub mod choice;
pub(crate) mod code;
pub mod expiry;
pub mod handover;
pub mod http;
pub mod lookup;
pub mod needed;
pub mod occupy;
pub mod promise;
pub mod request;
pub mod reschedule;
pub mod series;
pub mod show;
pub(crate) mod supply;
pub mod taken;
pub(crate) mod wrong_zone;

use chrono::TimeDelta;
use diesel::prelude::*;

pub(crate) use self::show::show;
pub use self::show::{Appointment, EncounterState, Filter, find, list};
use crate::access::Facts;
use crate::account::AccountId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, patients};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::location::LocationId;
use crate::organization::service::Mode;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

id!(
    /// A visit that was booked (FHIR Appointment).
    AppointmentId
);

text_enum!(
    /// How soon a visit must be (FHIR RequestPriority).
    Priority {
        /// In its turn.
        Routine = "routine",
        /// Before the routine ones.
        Urgent = "urgent",
        /// As soon as possible.
        Asap = "asap",
        /// At once.
        Stat = "stat",
    }
);

text_enum!(
    /// Why a visit was called off, as a code.
    CancellationCode {
        /// The patient called it off.
        Patient = "patient",
        /// The clinic called it off.
        Clinic = "clinic",
        /// The clinic did not take on a visit that was asked for.
        Declined = "declined",
        /// A hold or a request that nobody answered in time.
        Expired = "expired",
        /// The line or a device failed.
        Technical = "technical",
        /// The practitioner is away.
        Leave = "leave",
    }
);

text_enum!(
    /// Why a visit did not take place.
    NoshowCause {
        /// The patient did not come.
        Patient = "patient",
        /// The line or a device failed: no fault of the patient.
        Link = "link",
        /// The practitioner did not come.
        Practitioner = "practitioner",
        /// The clinic could not hold it.
        Clinic = "clinic",
    }
);

/// What the deeds here know of an appointment before they change it.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Row {
    /// Its id.
    pub id: AppointmentId,
    /// Where it stands.
    pub status: AppointmentStatus,
    /// The clinic.
    pub organization_id: OrganizationId,
    /// With whom.
    pub practitioner_id: PractitionerId,
    /// For whom.
    pub patient_id: PatientId,
    /// When it begins.
    pub starts_at: Instant,
    /// When it is planned to end.
    pub ends_at: Instant,
    /// What was booked.
    pub service_id: ServiceId,
    /// From when it takes the practitioner's time.
    pub busy_from: Instant,
    /// Until when.
    pub busy_to: Instant,
    /// Where the patient is seen, if that is known.
    pub location_id: Option<LocationId>,
    /// How soon it must be.
    pub priority: Priority,
    /// How many others take part.
    pub resources: i32,
    /// How often it was moved.
    pub moves: i32,
    /// Until when it is held, or was asked for.
    pub hold_expires_at: Option<Instant>,
    /// Why it was called off.
    pub cancellation_code: Option<CancellationCode>,
    /// Counts the changes.
    pub version: i32,
    /// Who booked it; `None`: Feldsher itself.
    pub created_by: Option<AccountId>,
    /// The patient's own clinic.
    pub home: OrganizationId,
}

impl Row {
    /// What the access decision must know.
    pub fn facts(&self) -> Facts {
        Facts {
            organization: Some(self.organization_id),
            patient: Some(self.patient_id),
            practitioner: Some(self.practitioner_id),
            booked: self.created_by.map(|account| (account, self.home)),
            ..Facts::NONE
        }
    }

    /// Whoever of the clinic takes part in it, also as feldsher or interpreter.
    pub(crate) fn who_takes_part(&self, tx: &mut Tx) -> Result<Vec<PractitionerId>, Error> {
        use occupy::ResourceKind::{Feldsher, Interpreter};
        let held = supply::held(tx, self.id)?.into_iter();
        let helpers = held.filter(|(kind, _)| matches!(kind, Feldsher | Interpreter));
        Ok([self.practitioner_id]
            .into_iter()
            .chain(helpers.map(|(_, id)| PractitionerId(id)))
            .collect())
    }

    /// Whether it is held, or was asked for, and nobody answered in time.
    pub fn is_dead(&self, now: Instant) -> bool {
        // Whoever needed the time may have ended the hold meanwhile.
        self.cancellation_code == Some(CancellationCode::Expired)
            || self.hold_expires_at.is_some_and(|until| until <= now)
    }
}

/// Counts a change of what is not in the appointment's own row. 409 `conflict` when it is not as `row`
/// says any more.
pub(crate) fn count_change(tx: &mut Tx, row: &Row) -> Result<(), Error> {
    let same = appointments::table
        .filter(appointments::id.eq(row.id))
        .filter(appointments::version.eq(row.version));
    let counted = diesel::update(same)
        .set((
            appointments::updated_at.eq(tx.now),
            appointments::version.eq(row.version.saturating_add(1)),
        ))
        .execute(tx.conn)?;
    if counted == 0 { Err(Error::from(&problem::CONFLICT)) } else { Ok(()) }
}

/// Waits until no other transaction moves the appointment or its visit, and keeps them from it.
pub fn lock(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    if let Conn::Postgres(conn) = tx.conn {
        let row = appointments::table.find(id).select(appointments::id);
        row.for_update().get_result::<AppointmentId>(conn).optional()?;
    }
    // SQLite has one writer: nothing to wait for.
    Ok(())
}

/// The booking code of an appointment; the caller has made the access decision.
pub fn code_of(tx: &mut Tx, id: AppointmentId) -> Result<String, Error> {
    Ok(appointments::table.find(id).select(appointments::code).get_result(tx.conn)?)
}

/// The row of an appointment. 404 when there is none.
pub fn find_row(tx: &mut Tx, id: AppointmentId) -> Result<Row, Error> {
    appointments::table
        .inner_join(patients::table)
        .filter(appointments::id.eq(id))
        .select((
            appointments::id,
            appointments::status,
            appointments::organization_id,
            appointments::practitioner_id,
            appointments::patient_id,
            appointments::starts_at,
            appointments::ends_at,
            appointments::service_id,
            appointments::busy_from,
            appointments::busy_to,
            appointments::location_id,
            appointments::priority,
            appointments::resources,
            appointments::moves,
            appointments::hold_expires_at,
            appointments::cancellation_code,
            appointments::version,
            appointments::created_by,
            patients::organization_id,
        ))
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// How a visit shall be held; the caller has made the access decision. 404 when there is none.
pub(crate) fn mode(tx: &mut Tx, id: AppointmentId) -> Result<Mode, Error> {
    appointments::table
        .find(id)
        .select(appointments::mode)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Whether this practitioner has, or had, a visit with the patient that was not called off.
pub fn treats(
    tx: &mut Tx,
    practitioner: PractitionerId,
    patient: PatientId,
) -> Result<bool, Error> {
    let visits = treated_by(practitioner).filter(appointments::patient_id.eq(patient));
    Ok(diesel::select(diesel::dsl::exists(visits)).get_result(tx.conn)?)
}

/// The patients that [`treats`] holds for, as a part of a larger query.
/// Index: appointments_by_practitioner.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn treated_by(practitioner: PractitionerId) -> _ {
    let cancelled: AppointmentStatus = AppointmentStatus::Cancelled;
    let pending: AppointmentStatus = AppointmentStatus::Pending;
    let proposed: AppointmentStatus = AppointmentStatus::Proposed;
    appointments::table
        .filter(appointments::practitioner_id.eq(practitioner))
        .filter(appointments::status.ne(cancelled))
        .filter(appointments::status.ne(pending))
        .filter(appointments::status.ne(proposed))
        .select(appointments::patient_id)
}

fn place(id: AppointmentId, what: &str) -> String {
    format!("appointments|{what}|{id}")
}

fn unsealed(
    tx: &Tx,
    id: AppointmentId,
    what: &str,
    sealed: Option<Vec<u8>>,
) -> Result<Option<String>, Error> {
    Ok(tx.seal.open_text(&place(id, what), sealed.as_deref())?)
}

fn sealed(
    tx: &Tx,
    id: AppointmentId,
    what: &str,
    text: Option<&str>,
) -> Result<Option<Vec<u8>>, Error> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    Ok(text.map(|text| tx.seal.seal(&place(id, what), text.as_bytes())).transpose()?)
}

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 2000;

pub(crate) fn check_reason(reason: Option<&str>) -> Result<(), Error> {
    match reason {
        Some(reason) if reason.chars().count() > REASON_CHARS_MAX => {
            Err(Error::field(&problem::INVALID_BODY, "/reason"))
        }
        _ => Ok(()),
    }
}

fn minutes(count: u32) -> TimeDelta {
    TimeDelta::minutes(i64::from(count))
}

fn hours(count: u32) -> TimeDelta {
    TimeDelta::hours(i64::from(count))
}
