//! The search for free times: of a service or a specialty, with whom, where, how, when.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::supply::{Moving, Sought, Where};
use crate::appointment::{self, AppointmentId, Row};
use crate::base::column::{Instant, text_enum};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::location::{self, LocationId};
use crate::organization::service::{Mode, Specialty};
use crate::organization::{self, Service, ServiceId};
use crate::patient::{self, PatientId, PatientRow};
use crate::practitioner::{self, PractitionerId, SpokenLanguage};
use crate::schedule::search::{Free, Position, Search};
use crate::schedule::wall_clock::Span;

/// What a list of free times covers when no end is asked for, in days.
const RANGE_DAYS_DEFAULT: i64 = 7;
/// The widest range of a list of free times, in days.
const RANGE_DAYS_MAX: i64 = 31;

/// A free time (FHIR Slot).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Slot {
    /// When it begins.
    pub start: Instant,
    /// When it ends.
    pub end: Instant,
    /// The beginning as a clock in `time_zone` shows it, RFC 3339.
    pub local_start: String,
    /// The IANA zone of the place, of the patient, or of the practitioner.
    pub time_zone: Zone,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
    /// For what.
    pub service: Named<ServiceId>,
    /// Where the practitioner sits then, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Named<LocationId>>,
}

text_enum!(
    /// A part of the day, as the shown clock tells it.
    PartOfDay {
        /// Before 12:00.
        Morning = "morning",
        /// From 12:00 to before 17:00.
        Afternoon = "afternoon",
        /// From 17:00 on.
        Evening = "evening",
    }
);

impl PartOfDay {
    /// The part to which an hour belongs.
    pub fn of_hour(hour: u32) -> Self {
        match hour {
            0..12 => Self::Morning,
            12..17 => Self::Afternoon,
            _ => Self::Evening,
        }
    }
}

text_enum!(
    /// Which free times come first.
    SlotOrder {
        /// Those that begin first.
        Soonest = "soonest",
        /// Those of practitioners whom the patient has seen before.
        SamePractitioner = "same_practitioner",
        /// Those that begin first, and of these those of who has the fewest visits in the range.
        Fair = "fair",
    }
);

/// Which free times a list shall hold.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SlotFilter {
    /// The service, whose duration a time must fit; this or `specialty`.
    pub service: Option<ServiceId>,
    /// Any service of this specialty, in any clinic.
    #[param(value_type = Option<String>)]
    pub specialty: Option<Specialty>,
    /// With whom; left out: any practitioner of the service.
    pub practitioner: Option<PractitionerId>,
    /// With those who speak this language: its primary code, such as `kk`.
    #[param(value_type = Option<String>)]
    pub language: Option<SpokenLanguage>,
    /// Of services that can be held so.
    pub mode: Option<Mode>,
    /// While the practitioner sits in this place.
    pub practitioner_location: Option<LocationId>,
    /// Those that begin at this instant or later; left out: from now on.
    pub from: Option<Instant>,
    /// Those that begin before this instant, at most 31 days after `from`; left out: 7 days, and
    /// 31 for the first.
    pub to: Option<Instant>,
    /// Those of this part of the day, as the shown clock tells it.
    pub part_of_day: Option<PartOfDay>,
    /// The place whose local time is shown; left out: the patient's.
    pub location: Option<LocationId>,
    /// For whom; left out: the caller. Only times at which they have no other visit.
    pub patient: Option<PatientId>,
    /// Where they shall be seen, and so where the room, the device and the feldsher must be that
    /// the service needs; left out: wherever the clinic has all of it at one place.
    pub visit_location: Option<LocationId>,
    /// For this visit, which shall be moved: what it takes now counts as free, and its patient and
    /// place are meant.
    pub moving: Option<AppointmentId>,
    /// Which come first; left out: those that begin first.
    pub order: Option<SlotOrder>,
    /// Only the first.
    #[serde(default)]
    pub first: bool,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists free times. Writes nothing: a time is taken by booking.
pub fn list(tx: &mut Tx, wanted: &SlotFilter) -> Result<Page<Slot>, Error> {
    tx.allow(Action::ReadSlots, &Facts::NONE)?;
    let limit = if wanted.first { 1 } else { page::limit(wanted.limit)? };
    let after: Option<Position> = page::cursor(wanted.cursor.as_deref())?;
    let range = asked_range(tx, wanted)?;
    let services = services(tx, wanted)?;
    let ids: Vec<ServiceId> = services.iter().map(|service| service.id).collect();
    let offering = practitioner::of_services(tx, &ids, wanted.practitioner)?;
    if offering.is_empty() && wanted.practitioner.is_some() {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    let moved = wanted.moving.map(|id| movable(tx, id)).transpose()?;
    let patient = match &moved {
        Some(row) => Some(patient::find_row(tx, row.patient_id)?),
        None => patient_of(tx, wanted.patient)?,
    };
    let zone = shown_zone(tx, wanted.location, patient.as_ref())?;
    let there = wanted.visit_location.or(moved.and_then(|row| row.location_id));
    let sought = sought(tx, patient.as_ref(), there, moved.as_ref())?;
    let mut search = Search::of(tx, range, zone, &sought);
    search.narrow(wanted.part_of_day, wanted.practitioner_location);
    for (service, practitioner) in offering {
        let is_asked = wanted.language.as_ref().is_none_or(|code| practitioner.speaks(code));
        let service = services.iter().find(|one| one.id == service);
        if let Some(service) = service.filter(|_| is_asked) {
            search.ask(tx, service, practitioner);
        }
    }
    match wanted.order.unwrap_or(SlotOrder::Soonest) {
        SlotOrder::Soonest => {}
        SlotOrder::SamePractitioner => search.prefer_known(tx, patient.as_ref())?,
        SlotOrder::Fair => search.prefer_idle(tx)?,
    }
    let most = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
    let found = search.run(tx, after, most)?;
    let mut page = Page::cut(found, limit, |free| free.position);
    if wanted.first {
        page.next = None;
    }
    let items = shown(tx, &search, &page.items)?;
    Ok(Page { items, next: page.next })
}

/// The services that are asked for and can be booked.
fn services(tx: &mut Tx, wanted: &SlotFilter) -> Result<Vec<Service>, Error> {
    let mut services = match (wanted.service, &wanted.specialty) {
        (Some(service), None) => vec![
            organization::find_service(tx, service)
                .map_err(|error| error.as_unknown_reference("/service"))?,
        ],
        (None, Some(specialty)) => organization::of_specialty(tx, specialty)?,
        _ => return Err(Error::field(&problem::INVALID_QUERY, "/service")),
    };
    if let Some(mode) = wanted.mode {
        let mut held_so = Vec::new();
        for service in services {
            if service.modes()?.contains(&mode) {
                held_so.push(service);
            }
        }
        services = held_so;
    }
    Ok(services)
}

fn asked_range(tx: &Tx, wanted: &SlotFilter) -> Result<Span, Error> {
    let start = wanted.from.unwrap_or(tx.now);
    let days = if wanted.first { RANGE_DAYS_MAX } else { RANGE_DAYS_DEFAULT };
    let end = wanted.to.unwrap_or_else(|| start.plus(TimeDelta::days(days)));
    if end <= start || end.since(start) > TimeDelta::days(RANGE_DAYS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    Ok(Span { start, end })
}

/// For whom times are sought: whom the caller may book for, or the caller.
fn patient_of(tx: &mut Tx, wanted: Option<PatientId>) -> Result<Option<PatientRow>, Error> {
    let Some(id) = wanted else {
        let own = tx.person().ok().and_then(|person| person.patient);
        return own.map(|own| patient::find_row(tx, own)).transpose();
    };
    // A patient who is not there and one who is not yours to see answer alike.
    let unknown = |error: Error| error.as_unknown_reference("/patient");
    let row = patient::find_row(tx, id).map_err(unknown)?;
    let facts = patient::facts_of(tx, &row)?;
    tx.allow(Action::Book, &facts).map_err(unknown)?;
    Ok(Some(row))
}

/// A visit that the caller may move.
fn movable(tx: &mut Tx, id: AppointmentId) -> Result<Row, Error> {
    let unknown = |error: Error| error.as_unknown_reference("/moving");
    let row = appointment::find_row(tx, id).map_err(unknown)?;
    tx.allow(Action::MoveAppointment, &row.facts()).map_err(unknown)?;
    Ok(row)
}

/// Who shall be seen, and where.
fn sought<'a>(
    tx: &mut Tx,
    patient: Option<&'a PatientRow>,
    there: Option<LocationId>,
    moved: Option<&Row>,
) -> Result<Sought<'a>, Error> {
    if let Some(there) = there {
        location::zone(tx, there).map_err(|error| error.as_unknown_reference("/visit_location"))?;
    }
    let near = patient.map_or(Where::Anywhere, |patient| Where::Near(patient.location_id));
    let place = there.map_or(near, Where::At);
    Ok(Sought { patient, place, named: &[], moving: moved.map(Moving::of) })
}

/// The zone in which times are shown to the caller; `None`: each practitioner's own.
fn shown_zone(
    tx: &mut Tx,
    location: Option<LocationId>,
    patient: Option<&PatientRow>,
) -> Result<Option<Zone>, Error> {
    let Some(location) = location else { return Ok(patient.map(|patient| patient.time_zone)) };
    let zone =
        location::zone(tx, location).map_err(|error| error.as_unknown_reference("/location"))?;
    Ok(Some(zone))
}

/// Free times as the API shows them.
pub(crate) fn shown(tx: &mut Tx, search: &Search, found: &[Free]) -> Result<Vec<Slot>, Error> {
    let mut places: Vec<LocationId> = found.iter().filter_map(|free| free.location).collect();
    places.sort_unstable();
    places.dedup();
    let places = location::names(tx, places)?;
    let language = tx.language;
    let slot = |free: &Free| {
        let (service, practitioner) = search.of_free(free)?;
        let time_zone = search.zone.unwrap_or(practitioner.time_zone);
        Some(Slot {
            start: free.span.start,
            end: free.span.end,
            local_start: zone::local(free.span.start, time_zone),
            time_zone,
            practitioner: Named { id: practitioner.id, name: practitioner.name.clone() },
            service: Named { id: service.id, name: service.name(language) },
            location: places.iter().find(|place| Some(place.id) == free.location).cloned(),
        })
    };
    Ok(found.iter().filter_map(slot).collect())
}
