//! Who and what takes part in a visit: the doctors that could, the first who is free, and whatever else
//! it needs.

use crate::appointment::book::BookAppointment;
use crate::appointment::choice::{asker, working};
use crate::appointment::needed::{self, HALF_DAY, Look, Taken};
use crate::appointment::occupy::{self, Claim, LANE, ResourceKind, SECOND_LANE};
use crate::appointment::reschedule::Times;
use crate::appointment::supply::Sought;
use crate::appointment::{AppointmentId, Priority, Row, taken};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::base::zone;
use crate::location;
use crate::organization::Service;
use crate::patient::{PatientId, PatientRow};
use crate::practitioner::{PractitionerId, PractitionerRow};
use crate::schedule::free::Asker;
use crate::schedule::wall_clock::Span;

/// The times of a visit, and beside what it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) busy_from: Instant,
    pub(super) busy_to: Instant,
    pub(super) priority: Priority,
    pub(super) overbook: bool,
}

impl Visit {
    /// As long as a visit that it shall take the place of, with the same buffers.
    pub(super) fn in_place_of(self, row: &Row) -> Self {
        let Times { start, end, busy_from, busy_to, .. } = Times::of(row, self.start);
        Self { start, end, busy_from, busy_to, ..self }
    }

    pub(super) fn of(wanted: &BookAppointment, service: &Service) -> Self {
        let (start, end) = (wanted.start, wanted.start.plus(service.duration()));
        let (before, after) = service.buffers();
        Self {
            start,
            end,
            busy_from: start.minus(before),
            busy_to: end.plus(after),
            priority: wanted.priority.unwrap_or(Priority::Routine),
            overbook: wanted.overbook,
        }
    }

    fn of_practitioner(&self, practitioner: PractitionerId) -> Claim {
        Claim {
            kind: ResourceKind::Practitioner,
            resource: practitioner.0,
            lane: if self.overbook { SECOND_LANE } else { LANE },
            from: self.busy_from,
            to: self.busy_to,
        }
    }

    fn of_patient(&self, patient: PatientId) -> Claim {
        let (kind, resource) = (ResourceKind::Patient, patient.0);
        Claim { kind, resource, lane: LANE, from: self.start, to: self.end }
    }
}

/// Takes the time of the first candidate who is free, and the patient's. Says how it lies then: where nobody
/// is, or what is left of a pair, whoever comes as the second is the first.
pub(super) fn take_people<'a>(
    tx: &mut Tx,
    id: AppointmentId,
    candidates: &'a [PractitionerRow],
    patient: &PatientRow,
    visit: Visit,
) -> Result<(&'a PractitionerRow, Visit), Error> {
    let mut got = Vec::new();
    let urgent = visit.priority != Priority::Routine;
    // Nearly always the first is free, and one statement does.
    if let Some(first) = candidates.first().filter(|_| !urgent && !visit.overbook) {
        let (practitioner, patient) =
            (visit.of_practitioner(first.id), visit.of_patient(patient.id));
        got = occupy::take_both(tx, id, practitioner, patient)?;
        if got.contains(&ResourceKind::Practitioner) && got.contains(&ResourceKind::Patient) {
            return Ok((first, visit));
        }
    }
    let mut chosen = candidates.first().filter(|_| got.contains(&ResourceKind::Practitioner));
    let mut visit = visit;
    for practitioner in candidates {
        if chosen.is_some() {
            break;
        }
        let claim = visit.of_practitioner(practitioner.id);
        let taken = if urgent {
            occupy::take_both_lanes(tx, id, claim)?
        } else if visit.overbook {
            let first = occupy::take(tx, id, Claim { lane: LANE, ..claim })?;
            visit.overbook = !first;
            first || take_beside(tx, id, practitioner, claim)?
        } else if occupy::is_free(tx, id, &Claim { lane: SECOND_LANE, ..claim })? {
            occupy::take(tx, id, claim)?
        } else {
            false
        };
        if taken {
            chosen = Some(practitioner);
        }
    }
    let chosen = chosen.ok_or_else(|| Error::from(&problem::SLOT_TAKEN))?;
    if !got.contains(&ResourceKind::Patient) && !occupy::take(tx, id, visit.of_patient(patient.id))?
    {
        return Err(Error::from(&problem::PATIENT_BUSY));
    }
    Ok((chosen, visit))
}

/// Takes a practitioner's time beside another visit. Whoever wanted the empty time at the same moment wanted
/// the same lane, and one has waited for the other: what is there can be a visit that nobody saw before, and
/// beside which its service allows none. 409 `no_overbooking` then.
fn take_beside(
    tx: &mut Tx,
    id: AppointmentId,
    practitioner: &PractitionerRow,
    claim: Claim,
) -> Result<bool, Error> {
    let taken = occupy::take(tx, id, claim)?;
    if taken && !taken::allow_second(tx, practitioner.id, id, (claim.from, claim.to))? {
        return Err(Error::from(&problem::NO_OVERBOOKING));
    }
    Ok(taken)
}

/// Leaves those out who have a visit then beside which its service allows no second one. 409
/// `no_overbooking` when that is so for all.
pub(super) fn leave_alone(
    tx: &mut Tx,
    id: AppointmentId,
    candidates: &mut Vec<PractitionerRow>,
    visit: Visit,
) -> Result<(), Error> {
    let mut left = Vec::new();
    for one in candidates.drain(..) {
        if taken::allow_second(tx, one.id, id, (visit.busy_from, visit.busy_to))? {
            left.push(one);
        }
    }
    *candidates = left;
    if candidates.is_empty() { Err(Error::from(&problem::NO_OVERBOOKING)) } else { Ok(()) }
}

/// Looks who and what else the visit could have, and leaves those candidates out for whom
/// somebody or something is missing. 409 `resource_busy` when that is so for all.
pub(super) fn look_around(
    tx: &mut Tx,
    service: &Service,
    wanted: &BookAppointment,
    patient: &PatientRow,
    visit: Visit,
    candidates: &mut Vec<PractitionerRow>,
) -> Result<Option<Look>, Error> {
    if let Some(location) = wanted.location {
        location::zone(tx, location).map_err(|error| error.as_unknown_reference("/location"))?;
    }
    let sought = Sought { named: &wanted.resources, ..Sought::of(patient, wanted.location) };
    let span = Span { start: visit.start, end: visit.end };
    let look = needed::look(tx, service, &sought, span)?;
    if let Some(look) = &look {
        candidates.retain(|practitioner| look.serves(practitioner));
        if candidates.is_empty() {
            return Err(Error::from(&problem::RESOURCE_BUSY));
        }
    }
    Ok(look)
}

pub(super) fn take_others(
    tx: &mut Tx,
    id: AppointmentId,
    wanted: &BookAppointment,
    look: Option<Look>,
    practitioner: &PractitionerRow,
) -> Result<Taken, Error> {
    match look {
        Some(look) => needed::take(tx, id, &look, practitioner),
        None => Ok(Taken { count: 0, location: wanted.location }),
    }
}

/// Who works then and offers the service; with any doctor, the least busy of the day first.
pub(super) fn candidates(
    tx: &mut Tx,
    service: &Service,
    wanted: &BookAppointment,
    patient: PatientId,
    visit: Visit,
) -> Result<Vec<PractitionerRow>, Error> {
    let asker = match visit.priority {
        Priority::Routine => asker(tx, patient, service.organization_id),
        _ => Asker::Triage,
    };
    let mut offering = working(tx, service, wanted.practitioner, (visit.start, asker))?;
    if visit.priority != Priority::Routine {
        let (now, start) = (tx.now, visit.start);
        let day = |at, zone| zone::wall(at, zone).date_naive();
        offering.retain(|one| day(now, one.time_zone) == day(start, one.time_zone));
        if offering.is_empty() {
            return Err(Error::field(&problem::NOT_TODAY, "/start"));
        }
    }
    if offering.len() > 1 {
        let ids: Vec<PractitionerId> = offering.iter().map(|one| one.id).collect();
        let around = (visit.start.minus(HALF_DAY), visit.start.plus(HALF_DAY));
        let loads = taken::loads(tx, &ids, around)?;
        offering.sort_by_key(|one| (loads.get(&one.id).copied().unwrap_or_default(), one.id));
    }
    Ok(offering)
}
