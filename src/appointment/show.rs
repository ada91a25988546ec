//! An appointment as the API shows it, alone and in lists.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::needed::{self, Other};
use crate::appointment::reschedule::{self, Move};
use crate::appointment::series::SeriesId;
use crate::appointment::taken::is_kept;
use crate::appointment::{
    AppointmentId, CancellationCode, NoshowCause, Priority, find_row, unsealed,
};
use crate::base::column::Instant;
use crate::base::db::{among, direct};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{
    appointments, encounters, healthcare_services, organizations, patients, practitioners,
};
use crate::base::tx::Tx;
use crate::encounter::EncounterId;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::notice::Promises;
use crate::location::{self, LocationId};
use crate::organization::service::Mode;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::leave::offer;

/// The visit of an appointment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EncounterState {
    /// The encounter.
    pub id: EncounterId,
    /// Where it stands.
    pub status: EncounterStatus,
}

/// An appointment as the API shows it (FHIR R4 Appointment).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Appointment {
    /// Its id.
    pub id: AppointmentId,
    /// Six characters that a person can read out on the phone.
    pub code: String,
    /// Where it stands.
    pub status: AppointmentStatus,
    /// When it begins.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// The IANA zone in which the patient was promised the time.
    pub time_zone: String,
    /// The promised local time, RFC 3339 with the offset of that zone.
    pub local_start: String,
    /// What was booked.
    pub service: Named<ServiceId>,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
    /// For whom.
    pub patient: Named<PatientId>,
    /// At which clinic.
    pub organization: Named<OrganizationId>,
    /// Why the patient comes, in their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when a pending appointment is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<Instant>,
    /// Until when the patient can choose another time, since the practitioner is away then: see
    /// `/offer`. When it is read, not when it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_expires_at: Option<Instant>,
    /// Whether the visit does not take place as it was booked: the practitioner is away then, and no
    /// other time is held any more. The clinic calls, and the patient may move it. When it is read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offer_over: bool,
    /// The visit in whose place this time is held; it is chosen there, not confirmed. When it is
    /// read, not when it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_for: Option<AppointmentId>,
    /// Why it was called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
    /// Why, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_code: Option<CancellationCode>,
    /// Why it did not take place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noshow_cause: Option<NoshowCause>,
    /// How it shall be held.
    pub mode: Mode,
    /// Where the patient is seen, and its room, device and feldsher are; left out: nothing of the
    /// visit is bound to a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Named<LocationId>>,
    /// How soon it must be.
    pub priority: Priority,
    /// Whether it is the second visit in a time that was taken.
    pub overbooked: bool,
    /// When the patient said that they will come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Instant>,
    /// The series it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesId>,
    /// The visit after which it was booked (FHIR R5 previousAppointment).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<AppointmentId>,
    /// Who and what else takes part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Other>,
    /// When it should be over, where its patient was told to come later than planned and that is not over yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_at: Option<Instant>,
    /// Where it was before, the first move first. Not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// What the patient was told when it was moved last, while it is to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_reason: Option<String>,
    #[serde(skip)]
    location_id: Option<LocationId>,
    #[serde(skip)]
    resources: i32,
    #[serde(skip)]
    pub(super) moved: i32,
    /// Counts the changes; the `ETag`.
    pub version: i32,
    /// Its visit.
    pub encounter: EncounterState,
}

/// Shows one appointment. 404 when it is not there or not the caller's to see.
pub fn find(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadAppointment, &row.facts())?;
    let mut found = show(tx, id)?;
    offer::mark(tx, std::slice::from_mut(&mut found))?;
    say_when_over(tx, std::slice::from_mut(&mut found))?;
    Ok(found)
}

/// Which appointments a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those that begin at this instant or later.
    pub from: Option<Instant>,
    /// Those that begin before this instant.
    pub to: Option<Instant>,
    /// Those in this state.
    pub status: Option<AppointmentStatus>,
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those of this practitioner.
    pub practitioner: Option<PractitionerId>,
    /// Those of this patient.
    pub patient: Option<PatientId>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists what the caller may see, by start. Indexes: appointments_by_*.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Appointment>, Error> {
    let Scope { all, patient, practitioner, organizations } = tx.scope(Action::ReadAppointment)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(Instant, AppointmentId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = appointments::table
        .select((appointments::id, appointments::starts_at))
        .order((appointments::starts_at, appointments::id))
        .limit(limit.saturating_add(1))
        .into_boxed();
    let booker = booker(tx, wanted.patient)?;
    // One relation is one index; only who is several things at once pays for the union.
    query = match (all, patient, practitioner, organizations.is_empty()) {
        (true, ..) => query,
        (false, None, None, _) if booker.is_some() => query.filter(
            appointments::created_by
                .eq(booker)
                .or(appointments::organization_id.eq_any(organizations)),
        ),
        (false, Some(patient), None, true) => query.filter(appointments::patient_id.eq(patient)),
        (false, None, Some(practitioner), true) => {
            query.filter(appointments::practitioner_id.eq(practitioner))
        }
        (false, None, None, _) => query.filter(appointments::organization_id.eq_any(organizations)),
        (false, patient, practitioner, _) => query.filter(
            appointments::patient_id
                .eq(patient.unwrap_or(PatientId(uuid::Uuid::nil())))
                .or(appointments::practitioner_id
                    .eq(practitioner.unwrap_or(PractitionerId(uuid::Uuid::nil()))))
                .or(appointments::organization_id.eq_any(organizations))
                .or(appointments::created_by.eq(booker)),
        ),
    };
    if let Some(from) = wanted.from {
        query = query.filter(appointments::starts_at.ge(from));
    }
    if let Some(to) = wanted.to {
        query = query.filter(appointments::starts_at.lt(to));
    }
    query = match wanted.status {
        None => query,
        // What has run out is called off, also before anybody has ended it.
        Some(AppointmentStatus::Cancelled) => query.filter(
            appointments::status
                .eq(AppointmentStatus::Cancelled)
                .or(appointments::hold_expires_at.le(tx.now)),
        ),
        Some(status) => query.filter(appointments::status.eq(status)).filter(is_kept(tx.now)),
    };
    if let Some(organization) = wanted.organization {
        query = query.filter(appointments::organization_id.eq(organization));
    }
    if let Some(practitioner) = wanted.practitioner {
        query = query.filter(appointments::practitioner_id.eq(practitioner));
    }
    if let Some(patient) = wanted.patient {
        query = query.filter(appointments::patient_id.eq(patient));
    }
    if let Some((at, id)) = after {
        query = query.filter(
            appointments::starts_at
                .gt(at)
                .or(appointments::starts_at.eq(at).and(appointments::id.gt(id))),
        );
    }
    let found: Vec<(AppointmentId, Instant)> = query.load(tx.conn)?;
    let page = Page::cut(found, limit, |(id, at)| (*at, *id));
    let ids: Vec<AppointmentId> = page.items.iter().map(|(id, _)| *id).collect();
    let rows: Vec<Shown> = shown()
        .filter(among(appointments::id, ids))
        .order((appointments::starts_at, appointments::id))
        .load(tx.conn)?;
    let mut items: Vec<Appointment> =
        rows.into_iter().map(|row| assemble(tx, row)).collect::<Result<_, _>>()?;
    let accompanied: Vec<AppointmentId> =
        items.iter().filter(|item| item.resources > 0).map(|item| item.id).collect();
    if !accompanied.is_empty() {
        for (id, other) in needed::of_visits(tx, &accompanied)? {
            let visit = items.iter_mut().find(|item| item.id == id);
            visit.into_iter().for_each(|visit| visit.participants.push(other.clone()));
        }
    }
    name_places(tx, &mut items)?;
    say_why_moved(tx, &mut items)?;
    offer::mark(tx, &mut items)?;
    say_when_over(tx, &mut items)?;
    Ok(Page { items, next: page.next })
}

/// Who asks for the visits of a patient of their own clinic, and so sees what they booked elsewhere.
fn booker(tx: &mut Tx, patient: Option<PatientId>) -> Result<Option<AccountId>, Error> {
    let (Some(patient), Ok(person)) = (patient, tx.person()) else { return Ok(None) };
    let person = person.clone();
    let home: Option<OrganizationId> = patients::table
        .find(patient)
        .select(patients::organization_id)
        .get_result(tx.conn)
        .optional()?;
    Ok(home.filter(|home| person.books_in(*home)).map(|_| person.account))
}

/// An appointment that the caller may see.
pub(crate) fn show(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = shown().filter(appointments::id.eq(id));
    let row: Option<Shown> = direct!(tx.conn, |conn| row.get_result(conn)).optional()?;
    let mut found = assemble(tx, row.ok_or_else(|| Error::from(&problem::NOT_FOUND))?)?;
    if found.resources > 0 {
        let others = needed::of_visits(tx, &[id])?;
        found.participants = others.into_iter().map(|(_, other)| other).collect();
    }
    name_places(tx, std::slice::from_mut(&mut found))?;
    if found.moved > 0 {
        found.moves = reschedule::moves(tx, id)?;
        let last = found.moves.last().filter(|_| says_why_moved(&found));
        found.moved_reason = last.and_then(|last| last.reason.clone());
    }
    Ok(found)
}

/// Whether a visit that was moved is to come, so that its patient wants to know why.
fn says_why_moved(visit: &Appointment) -> bool {
    let ahead = [AppointmentStatus::Proposed, AppointmentStatus::Booked];
    visit.moved > 0 && ahead.contains(&visit.status)
}

/// Says of visits whose planned end has passed until when their patients were told to come.
fn say_when_over(tx: &mut Tx, visits: &mut [Appointment]) -> Result<(), Error> {
    let waits = |one: &Appointment| one.status == AppointmentStatus::Booked && one.end <= tx.now;
    let late: Vec<EncounterId> =
        visits.iter().filter(|one| waits(one)).map(|one| one.encounter.id).collect();
    if late.is_empty() {
        return Ok(());
    }
    let told = Promises::of(tx, &late)?;
    for visit in visits.iter_mut().filter(|one| late.contains(&one.encounter.id)) {
        let over = told.times(visit.encounter.id, (visit.start, visit.end)).over_at();
        visit.over_at = (over > tx.now).then_some(over);
    }
    Ok(())
}

/// Says of some visits to come why they were moved.
fn say_why_moved(tx: &mut Tx, visits: &mut [Appointment]) -> Result<(), Error> {
    let moved = visits.iter().filter(|visit| says_why_moved(visit));
    let moved: Vec<AppointmentId> = moved.map(|visit| visit.id).collect();
    if moved.is_empty() {
        return Ok(());
    }
    for (id, word) in reschedule::last_words(tx, moved)? {
        let visit = visits.iter_mut().find(|visit| visit.id == id);
        visit.into_iter().for_each(|visit| visit.moved_reason = Some(word.clone()));
    }
    Ok(())
}

/// Says of some visits where they are.
fn name_places(tx: &mut Tx, visits: &mut [Appointment]) -> Result<(), Error> {
    let mut places: Vec<LocationId> = visits.iter().filter_map(|visit| visit.location_id).collect();
    places.sort_unstable();
    places.dedup();
    let names = location::names(tx, places)?;
    for visit in visits {
        visit.location = names.iter().find(|place| Some(place.id) == visit.location_id).cloned();
    }
    Ok(())
}

type Shown = (
    (AppointmentId, String, AppointmentStatus, Instant, Instant, String, String, i32),
    (Option<Vec<u8>>, Option<Instant>, Option<Vec<u8>>),
    (Option<CancellationCode>, Option<NoshowCause>, Option<Instant>),
    (Option<SeriesId>, Option<AppointmentId>),
    (Mode, Option<LocationId>, Priority, bool, i32, i32),
    (ServiceId, String, String),
    (PractitionerId, String),
    (PatientId, String),
    (OrganizationId, String),
    (EncounterId, EncounterStatus),
);

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    appointments::table
        .inner_join(healthcare_services::table)
        .inner_join(practitioners::table)
        .inner_join(patients::table)
        .inner_join(organizations::table)
        .inner_join(encounters::table)
        .select((
            (
                appointments::id,
                appointments::code,
                appointments::status,
                appointments::starts_at,
                appointments::ends_at,
                appointments::time_zone,
                appointments::local_start,
                appointments::version,
            ),
            (
                appointments::reason_sealed,
                appointments::hold_expires_at,
                appointments::cancellation_sealed,
            ),
            (
                appointments::cancellation_code,
                appointments::noshow_cause,
                appointments::confirmed_at,
            ),
            (appointments::series_id, appointments::follows_id),
            (
                appointments::mode,
                appointments::location_id,
                appointments::priority,
                appointments::overbooked,
                appointments::resources,
                appointments::moves,
            ),
            (healthcare_services::id, healthcare_services::name_en, healthcare_services::name_ru),
            (practitioners::id, practitioners::name),
            (patients::id, patients::name),
            (organizations::id, organizations::name),
            (encounters::id, encounters::status),
        ))
}

fn assemble(tx: &Tx, row: Shown) -> Result<Appointment, Error> {
    let (
        own,
        (reason, hold_expires_at, cancellation),
        (cancellation_code, noshow_cause, confirmed_at),
        (series, follows),
        (mode, location_id, priority, overbooked, resources, moved),
        service,
        practitioner,
        patient,
        clinic,
        visit,
    ) = row;
    let (id, code, status, start, end, time_zone, local_start, version) = own;
    // Nobody confirmed it, or answered, in time: that it is over is only not written down yet.
    let is_dead = hold_expires_at.is_some_and(|until| until <= tx.now);
    let (status, visit_status, cancellation_code, hold_expires_at) = match is_dead {
        true => (
            AppointmentStatus::Cancelled,
            EncounterStatus::Cancelled,
            Some(CancellationCode::Expired),
            None,
        ),
        false => (status, visit.1, cancellation_code, hold_expires_at),
    };
    Ok(Appointment {
        id,
        code,
        status,
        start,
        end,
        time_zone,
        local_start,
        service: Named { id: service.0, name: tx.language.choose(service.1, service.2) },
        practitioner: Named { id: practitioner.0, name: practitioner.1 },
        patient: Named { id: patient.0, name: patient.1 },
        organization: Named { id: clinic.0, name: clinic.1 },
        reason: unsealed(tx, id, "reason", reason)?,
        hold_expires_at,
        offer_expires_at: None,
        offer_over: false,
        held_for: None,
        cancellation_reason: unsealed(tx, id, "cancellation", cancellation)?,
        cancellation_code,
        noshow_cause,
        mode,
        location: None,
        priority,
        overbooked,
        confirmed_at,
        series,
        follows,
        participants: Vec::new(),
        over_at: None,
        moves: Vec::new(),
        moved_reason: None,
        location_id,
        resources,
        moved,
        version,
        encounter: EncounterState { id: visit.0, status: visit_status },
    })
}
