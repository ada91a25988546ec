//! Visits as whoever plans a clinic's days must see them: who, when, with whom, in which state,
//! and nothing of why the patient comes.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::appointment::occupy::LANE;
use crate::appointment::taken::{OCCUPIED_HOURS_MAX, VISIT_HOURS_MAX, is_kept};
use crate::appointment::{AppointmentId, CancellationCode, NoshowCause, Priority};
use crate::base::column::{self, Instant};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::schema::{
    appointments, encounters, healthcare_services, occupancies, offered_times, patients,
    waitlist_offers,
};
use crate::base::tx::Tx;
use crate::encounter::EncounterId;
use crate::encounter::lifecycle::{self, Act, AppointmentStatus, EncounterStatus, Times};
use crate::encounter::notice::Promises;
use crate::organization::service::Mode;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::leave;

/// A visit on a clinic's board.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardVisit {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// Where it stands.
    pub status: AppointmentStatus,
    /// Where the visit itself stands.
    pub encounter_status: EncounterStatus,
    /// The visit itself.
    pub encounter: EncounterId,
    /// With whom.
    pub practitioner: PractitionerId,
    /// For whom.
    pub patient: Named<PatientId>,
    /// What was booked.
    pub service: Named<ServiceId>,
    /// When it begins.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// From when it takes the practitioner's time.
    pub busy_from: Instant,
    /// Until when.
    pub busy_to: Instant,
    /// The local time that the patient was promised.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
    /// How it shall be held.
    pub mode: Mode,
    /// How soon it must be.
    pub priority: Priority,
    /// Whether it is the second visit in a time that was taken.
    pub overbooked: bool,
    /// Whether its service lets another visit lie beside it.
    pub overbook: bool,
    /// Whether it is a time that is held for its patient to choose: in place of another visit, or
    /// from the waiting list.
    pub offered: bool,
    /// Whether its practitioner is away then, other times were offered, and none of them is held any
    /// more: its patient is to be called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offer_over: bool,
    /// When it should be over, as planned or as late as its patient was told to come.
    pub over_at: Instant,
    /// Until when it is held, or was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<Instant>,
    /// When the patient said that they will come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Instant>,
    /// Why it did not take place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noshow_cause: Option<NoshowCause>,
    /// Why it was called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_code: Option<CancellationCode>,
    /// Until when it can be put right that it was missed, or called off, or that its patient came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Instant>,
    /// Counts the changes; what `If-Match` wants.
    pub version: i32,
}

/// Which visits a board shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that were not called off.
    Standing,
    /// Those that had been promised and were called off.
    CalledOff,
}

type Row = (
    (AppointmentId, String, AppointmentStatus, PractitionerId, i32),
    (Instant, Instant, Instant, Instant, String, String),
    (Mode, Priority, bool, Option<Instant>, Option<Instant>, Option<NoshowCause>),
    (EncounterId, EncounterStatus),
    (PatientId, String),
    (ServiceId, String, String, bool),
    (Option<AppointmentId>, Option<AppointmentId>),
    Option<CancellationCode>,
);

/// The visits of a clinic that touch a range and that the caller may see, by start: those that stand, but for
/// holds that have run out, or those that were called off; at most `most`. Makes no access decision but that.
/// Index: appointments_by_organization.
pub(crate) fn visits(
    tx: &mut Tx,
    clinic: OrganizationId,
    practitioner: Option<PractitionerId>,
    (from, to): (Instant, Instant),
    (which, most): (Which, i64),
) -> Result<Vec<BoardVisit>, Error> {
    let Scope { all, practitioner: own, organizations, .. } = tx.scope(Action::ReadAppointment)?;
    let mut found = appointments::table
        .inner_join(encounters::table)
        .inner_join(patients::table)
        .inner_join(healthcare_services::table)
        .left_join(offered_times::table.on(offered_times::held_id.eq(appointments::id)))
        .left_join(waitlist_offers::table.on(waitlist_offers::held_id.eq(appointments::id)))
        .filter(appointments::organization_id.eq(clinic))
        .filter(appointments::starts_at.gt(from.minus(TimeDelta::hours(VISIT_HOURS_MAX))))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::ends_at.gt(from))
        .order((appointments::starts_at, appointments::id))
        .limit(most)
        .select((
            (
                appointments::id,
                appointments::code,
                appointments::status,
                appointments::practitioner_id,
                appointments::version,
            ),
            (
                appointments::starts_at,
                appointments::ends_at,
                appointments::busy_from,
                appointments::busy_to,
                appointments::local_start,
                appointments::time_zone,
            ),
            (
                appointments::mode,
                appointments::priority,
                appointments::overbooked,
                appointments::hold_expires_at,
                appointments::confirmed_at,
                appointments::noshow_cause,
            ),
            (encounters::id, encounters::status),
            (patients::id, patients::name),
            (
                healthcare_services::id,
                healthcare_services::name_en,
                healthcare_services::name_ru,
                healthcare_services::overbook,
            ),
            (offered_times::held_id.nullable(), waitlist_offers::held_id.nullable()),
            appointments::cancellation_code,
        ))
        .into_boxed();
    found = match which {
        Which::Standing => found
            .filter(appointments::status.ne(AppointmentStatus::Cancelled))
            .filter(is_kept(tx.now)),
        Which::CalledOff => {
            found.filter(appointments::status.eq(AppointmentStatus::Cancelled)).filter(
                appointments::cancelled_from
                    .eq_any([AppointmentStatus::Booked, AppointmentStatus::Arrived]),
            )
        }
    };
    if !all && !organizations.contains(&clinic) {
        // A doctor sees the hours of the whole clinic, and of visits their own.
        let Some(own) = own else { return Ok(Vec::new()) };
        found = found.filter(appointments::practitioner_id.eq(own));
    }
    if let Some(practitioner) = practitioner {
        found = found.filter(appointments::practitioner_id.eq(practitioner));
    }
    let rows: Vec<Row> = found.load(tx.conn)?;
    let language = tx.language;
    let visit = |(own, times, more, encounter, patient, service, offered, code_of_end): Row| {
        let (id, code, status, practitioner, version) = own;
        let (start, end, busy_from, busy_to, local_start, time_zone) = times;
        let (mode, priority, overbooked, hold_expires_at, confirmed_at, noshow_cause) = more;
        BoardVisit {
            id,
            code,
            status,
            encounter_status: encounter.1,
            encounter: encounter.0,
            practitioner,
            patient: Named { id: patient.0, name: patient.1 },
            service: Named { id: service.0, name: language.choose(service.1, service.2) },
            start,
            end,
            busy_from,
            busy_to,
            local_start,
            time_zone,
            mode,
            priority,
            overbooked,
            overbook: service.3,
            // An accepted offer of the waiting list is a visit like any other.
            offered: offered.0.is_some() || (offered.1.is_some() && hold_expires_at.is_some()),
            offer_over: false,
            over_at: end,
            hold_expires_at,
            confirmed_at,
            noshow_cause,
            cancellation_code: code_of_end,
            undo_until: None,
            version,
        }
    };
    let mut visits: Vec<BoardVisit> = rows.into_iter().map(visit).collect();
    let ids: Vec<EncounterId> = visits.iter().map(|one| one.encounter).collect();
    let told = Promises::of(tx, &ids)?;
    let awaited = visits.iter().filter(|one| leave::lapsed::can_be_over(one.status));
    let over = leave::lapsed::which_are_over(tx, awaited.map(|one| one.id).collect())?;
    for one in &mut visits {
        one.offer_over = over.contains(&one.id);
        one.over_at = told.times(one.encounter, (one.start, one.end)).over_at();
        one.undo_until = undo_until(tx, one)?;
    }
    Ok(visits)
}

/// Until when a visit can be booked again as it was; what an absence called off comes back with the absence.
fn undo_until(tx: &mut Tx, visit: &BoardVisit) -> Result<Option<Instant>, Error> {
    let state = (visit.status, visit.encounter_status);
    let Some((line, _)) = lifecycle::lines(state, Act::Undo).next() else { return Ok(None) };
    if visit.cancellation_code == Some(CancellationCode::Leave) && leave::has_settled(tx, visit.id)?
    {
        return Ok(None);
    }
    let (start, end) = (visit.start, visit.end);
    let times = Times { start, end, held_until: None, ended: None, by_clinic: true };
    Ok(line.when.last_moment(times).filter(|until| *until > tx.now))
}

/// When some practitioners help in visits of others, as feldsher or interpreter, within a range.
/// Makes no access decision. Index: occupancies_live.
pub(crate) fn helping(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    (from, to): (Instant, Instant),
) -> Result<Vec<(PractitionerId, Instant, Instant)>, Error> {
    let ids: Vec<column::Uuid> = practitioners.iter().map(|id| column::Uuid(id.0)).collect();
    type Taken = (column::Uuid, PractitionerId, Instant, Instant);
    let taken: Vec<Taken> = occupancies::table
        .inner_join(appointments::table.on(occupancies::appointment_id.eq(appointments::id)))
        .filter(among(occupancies::resource_id, ids))
        .filter(occupancies::lane.eq(LANE))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(occupancies::starts_at.lt(to))
        .filter(occupancies::ends_at.gt(from))
        .filter(is_kept(tx.now))
        .order(occupancies::starts_at)
        .select((
            occupancies::resource_id,
            appointments::practitioner_id,
            occupancies::starts_at,
            occupancies::ends_at,
        ))
        .load(tx.conn)?;
    let others = taken.into_iter().filter(|(who, conducts, ..)| who.0 != conducts.0);
    Ok(others.map(|(who, _, from, to)| (PractitionerId(who.0), from, to)).collect())
}
