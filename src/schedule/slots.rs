//! The search for free times: of a service or a specialty, with whom, where, how, when.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{TimeDelta, Timelike};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken;
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
use crate::practitioner::{self, PractitionerId, PractitionerRow, SpokenLanguage};
use crate::schedule::diary::{Day, Diary};
use crate::schedule::free::{self, Taken, Terms};
use crate::schedule::wall_clock::Span;
use crate::schedule::{days_of, diaries_of, grouped, terms};

/// What a list of free times covers when no end is asked for, in days.
const RANGE_DAYS_DEFAULT: i64 = 7;
/// The widest range of a list of free times, in days.
const RANGE_DAYS_MAX: i64 = 31;
/// A search of a few practitioners reads this much at first, then twice as much again and again,
/// in days; a search of many reads one.
const STRIDE_DAYS: i64 = 7;
/// How many are few.
const FEW: usize = 8;

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
    /// For whom; left out: the caller.
    pub patient: Option<PatientId>,
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

/// Where a slot stands in a list: strangers after those whom the patient knows, by start, the
/// less busy first.
type Position = (i64, Instant, i64, PractitionerId, ServiceId);

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
    let patient = patient_of(tx, wanted.patient)?;
    let zone = shown_zone(tx, wanted.location, patient.as_ref())?;
    let mut search = Search::of(tx, range, zone);
    search.part_of_day = wanted.part_of_day;
    search.location = wanted.practitioner_location;
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

/// Somebody who could be booked for a service.
struct Candidate {
    service: ServiceId,
    practitioner: PractitionerRow,
    /// 0 comes before 1.
    rank: i64,
    /// How many visits they have; 0 unless the order is fair.
    load: i64,
}

/// A free time of a candidate.
pub(crate) struct Free {
    span: Span,
    candidate: usize,
    location: Option<LocationId>,
    position: Position,
}

impl Free {
    /// With whom, and when.
    pub(crate) fn place(&self) -> (PractitionerId, Span) {
        (self.position.3, self.span)
    }
}

/// A search for free times.
pub(crate) struct Search {
    range: Span,
    /// In which times are shown; `None`: each practitioner's own.
    zone: Option<Zone>,
    part_of_day: Option<PartOfDay>,
    location: Option<LocationId>,
    services: HashMap<ServiceId, (Terms, Service)>,
    candidates: Vec<Candidate>,
}

impl Search {
    /// Free times that begin within `range` and after now.
    pub(crate) fn of(tx: &Tx, range: Span, zone: Option<Zone>) -> Self {
        let start = range.start.max(tx.now);
        Self {
            range: Span { start, end: range.end },
            zone,
            part_of_day: None,
            location: None,
            services: HashMap::new(),
            candidates: Vec::new(),
        }
    }

    /// Asks somebody for times of a service. One that is not offered now has none.
    pub(crate) fn ask(&mut self, tx: &Tx, service: &Service, practitioner: PractitionerRow) {
        if service.active {
            self.services
                .entry(service.id)
                .or_insert_with(|| (terms(tx, service), service.clone()));
            self.candidates.push(Candidate { service: service.id, practitioner, rank: 0, load: 0 });
        }
    }

    /// Puts those first whom the patient has seen.
    fn prefer_known(&mut self, tx: &mut Tx, patient: Option<&PatientRow>) -> Result<(), Error> {
        let Some(patient) = patient else { return Ok(()) };
        let known = taken::seen_by(tx, patient.id)?;
        for candidate in &mut self.candidates {
            candidate.rank = i64::from(!known.contains(&candidate.practitioner.id));
        }
        Ok(())
    }

    /// Puts those first, among equal starts, who have the fewest visits in the range.
    fn prefer_idle(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let ids = self.practitioners(|_| true);
        let loads = taken::loads(tx, &ids, (self.range.start, self.range.end))?;
        for candidate in &mut self.candidates {
            candidate.load = loads.get(&candidate.practitioner.id).copied().unwrap_or_default();
        }
        Ok(())
    }

    fn practitioners(&self, which: impl Fn(&Candidate) -> bool) -> Vec<PractitionerId> {
        let some = self.candidates.iter().filter(|candidate| which(candidate));
        let mut ids: Vec<PractitionerId> = some.map(|one| one.practitioner.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The first `most` free times that come after a position. Working time is in memory as a
    /// rule; visits cost a query per stride.
    pub(crate) fn run(
        &self,
        tx: &mut Tx,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Free>, Error> {
        self.run_where(tx, after, most, &|_, _| true)
    }

    /// As [`Search::run`], of those times only that somebody has a use for.
    pub(crate) fn run_where(
        &self,
        tx: &mut Tx,
        after: Option<Position>,
        most: usize,
        is_useful: &dyn Fn(PractitionerId, Span) -> bool,
    ) -> Result<Vec<Free>, Error> {
        let all: Vec<&PractitionerRow> =
            self.candidates.iter().map(|candidate| &candidate.practitioner).collect();
        let duration = self.services.values().map(|(terms, _)| terms.duration).max();
        let whole = Span {
            start: self.range.start,
            end: self.range.end.plus(duration.unwrap_or_default()),
        };
        let diaries = diaries_of(tx, &all, whole)?;
        let mut found = Vec::new();
        for rank in [0, 1] {
            if after.is_some_and(|(before, ..)| rank < before) || found.len() >= most {
                continue;
            }
            let start = match after {
                Some((before, start, ..)) if before == rank => start.max(self.range.start),
                _ => self.range.start,
            };
            self.run_rank(tx, &diaries, (rank, start), after, (most, is_useful), &mut found)?;
        }
        found.truncate(most);
        Ok(found)
    }

    fn run_rank(
        &self,
        tx: &mut Tx,
        diaries: &HashMap<PractitionerId, Arc<Diary>>,
        (rank, mut start): (i64, Instant),
        after: Option<Position>,
        (most, is_useful): (usize, &dyn Fn(PractitionerId, Span) -> bool),
        found: &mut Vec<Free>,
    ) -> Result<(), Error> {
        let ids = self.practitioners(|candidate| candidate.rank == rank);
        let mut stride = TimeDelta::days(if ids.len() > FEW { 1 } else { STRIDE_DAYS });
        while !ids.is_empty() && start < self.range.end && found.len() < most {
            // To the end of a day, so that its starts are worked out once.
            let end = Day::of(start).span().start.plus(stride);
            let part = Span { start, end: self.range.end.min(end) };
            let taken = self.taken(tx, &ids, diaries, part)?;
            let nothing = Taken::default();
            let mut free = Vec::new();
            let ranked = self.candidates.iter().enumerate();
            for (at, candidate) in ranked.filter(|(_, candidate)| candidate.rank == rank) {
                let Some(diary) = diaries.get(&candidate.practitioner.id) else { continue };
                let Some((terms, _)) = self.services.get(&candidate.service) else { continue };
                let taken =
                    taken.get(&(candidate.practitioner.id, candidate.service)).unwrap_or(&nothing);
                for day in Day::of_span(part) {
                    let starts = diary.starts(terms, day);
                    free.extend(
                        free::offered(&starts, &diary.hours, terms, taken, part)
                            .filter(|offer| self.is_asked(candidate, offer))
                            .map(|offer| free_of(at, candidate, terms, offer)),
                    );
                }
            }
            free.retain(|free| {
                after.is_none_or(|after| free.position > after)
                    && is_useful(free.position.3, free.span)
            });
            free.sort_unstable_by_key(|free| free.position);
            found.append(&mut free);
            start = part.end;
            stride = stride * 2;
        }
        Ok(())
    }

    fn is_asked(&self, candidate: &Candidate, offer: &free::Offer) -> bool {
        let part = |start: Instant| {
            let zone = self.zone.unwrap_or(candidate.practitioner.time_zone);
            PartOfDay::of_hour(zone::wall(start, zone).hour())
        };
        self.part_of_day.is_none_or(|wanted| part(offer.start) == wanted)
            && self.location.is_none_or(|wanted| offer.location == Some(wanted))
    }

    /// What visits take of the candidates' time in a part of the range.
    fn taken(
        &self,
        tx: &mut Tx,
        practitioners: &[PractitionerId],
        diaries: &HashMap<PractitionerId, Arc<Diary>>,
        part: Span,
    ) -> Result<HashMap<(PractitionerId, ServiceId), Taken>, Error> {
        let reach = |of: fn(&Terms) -> TimeDelta| {
            self.services.values().map(|(terms, _)| of(terms)).max().unwrap_or_default()
        };
        let from = part.start.minus(reach(|terms| terms.before));
        let to = part.end.plus(reach(|terms| terms.duration + terms.after));
        let busy = taken::by_visits(tx, practitioners, from, to)?.into_iter();
        let busy = grouped(busy.map(|(who, start, end)| (who, Span { start, end })));
        let mut days = HashMap::new();
        for (terms, service) in self.services.values().filter(|(terms, _)| terms.daily_cap > 0) {
            for (practitioner, visits) in days_of(tx, practitioners, terms, diaries, part)? {
                days.insert((practitioner, service.id), visits);
            }
        }
        let taken = |candidate: &Candidate| {
            let key = (candidate.practitioner.id, candidate.service);
            let busy = busy.get(&key.0).map(|spans| free::merged(spans)).unwrap_or_default();
            (key, Taken { busy, days: days.remove(&key).unwrap_or_default() })
        };
        Ok(self.candidates.iter().map(taken).collect())
    }
}

fn free_of(at: usize, candidate: &Candidate, terms: &Terms, offer: free::Offer) -> Free {
    let start = offer.start;
    Free {
        span: Span { start, end: start.plus(terms.duration) },
        candidate: at,
        location: offer.location,
        position: (
            candidate.rank,
            start,
            candidate.load,
            candidate.practitioner.id,
            candidate.service,
        ),
    }
}

/// Free times as the API shows them.
pub(crate) fn shown(tx: &mut Tx, search: &Search, found: &[Free]) -> Result<Vec<Slot>, Error> {
    let mut places: Vec<LocationId> = found.iter().filter_map(|free| free.location).collect();
    places.sort_unstable();
    places.dedup();
    let places = location::names(tx, places)?;
    let language = tx.language;
    let slot = |free: &Free| {
        let candidate = search.candidates.get(free.candidate)?;
        let (_, service) = search.services.get(&candidate.service)?;
        let practitioner = &candidate.practitioner;
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
