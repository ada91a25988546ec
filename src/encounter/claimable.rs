//! Who waits for a practitioner who is not free, and could be seen by another of the clinic: in the
//! order in which they are taken. Names no patient.

use std::collections::HashSet;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::handover::{self, Commitments, from_now};
use crate::appointment::{AppointmentId, Priority};
use crate::base::column::{Instant, text_enum};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::schema::{
    appointments, encounter_participants, encounters, healthcare_services, practitioners,
};
use crate::base::tx::Tx;
use crate::call::record;
use crate::encounter::delay;
use crate::encounter::door::{Closed, Door, Times, door};
use crate::encounter::interruption;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::notice::Promises;
use crate::encounter::party::comes_as_patient;
use crate::encounter::queue::patients_here;
use crate::encounter::show::Reference;
use crate::encounter::{
    EncounterId, PARTICIPANT, ParticipantRole, ParticipantRow, ParticipantState,
};
use crate::organization::{OrganizationId, ServiceId};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::wall_clock::Span;
use crate::schedule::{absence, rules};

/// How many who wait are looked at.
const VISITS_MAX: i64 = 100;
/// Whose visit was to begin longer ago than this does not wait any more, in hours.
const WAIT_HOURS_MAX: i64 = 24;

/// Whoever is so little late has not stayed away, in minutes; nor whoever has just taken somebody
/// and is on the way to them.
const ON_THE_WAY_MINUTES: i64 = 3;

text_enum!(
    /// Why somebody's own practitioner does not see them.
    Because {
        /// They are in another visit, or wait for it to go on.
        InVisit = "in_visit",
        /// They are away.
        Absent = "absent",
        /// They have said that they are late.
        Late = "late",
        /// They have not come, and it is some minutes past the time.
        NotHere = "not_here",
    }
);

/// Who waits for a colleague who is not free.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Claimable {
    /// Whether the practitioner is free: with nobody, and nobody of their own waits past the
    /// planned time.
    pub free: bool,
    /// Who waits, in the order in which they are taken.
    pub items: Vec<Unseen>,
}

/// Somebody who waits for a practitioner who is not free. Not who: that is said to whoever takes
/// them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Unseen {
    /// The visit.
    pub encounter: Reference<EncounterId>,
    /// When it was to begin.
    pub start: Instant,
    /// How long it is planned to last.
    pub minutes: i64,
    /// Since when they are here.
    pub since: Instant,
    /// What was booked.
    pub service: Named<ServiceId>,
    /// Whose patient it is.
    pub practitioner: Named<PractitionerId>,
    /// Why that one does not see them.
    pub because: Because,
    /// How soon it must be.
    pub priority: Priority,
    /// Whether their line is silent at present; their seat is kept.
    pub silent: bool,
    /// Whether the practitioner could take them now: is free, and has nothing else meanwhile.
    pub fits: bool,
    #[serde(skip)]
    pub(super) appointment: AppointmentId,
}

impl Unseen {
    /// Whoever cannot be talked to comes behind those who can, an urgent visit before the others;
    /// then whoever has waited longest past their planned time.
    fn turn(&self) -> (bool, bool, Instant, EncounterId) {
        let waits_from = self.start.max(self.since);
        (self.silent, self.priority == Priority::Routine, waits_from, self.encounter.id)
    }
}

/// Lists who waits for a colleague of the practitioner's clinic who is not free, for a service that
/// the practitioner gives.
pub fn list(tx: &mut Tx, practitioner: PractitionerId) -> Result<Claimable, Error> {
    let row = practitioner::find_row(tx, practitioner)?;
    tx.allow(Action::ReadClaims, &rules::facts(&row))?;
    find(tx, &row)
}

/// The same for a deed that has decided on access itself.
pub(super) fn find(tx: &mut Tx, me: &PractitionerRow) -> Result<Claimable, Error> {
    let free = engaged(tx, vec![me.id])?.is_empty();
    let services = practitioner::services_of(tx, me.id)?;
    // Before their time nobody waits in vain.
    let all = waiting(tx, vec![me.organization_id], tx.now, Some(services))?;
    let in_vain = all.into_iter().filter(|one| one.practitioner.id != me.id);
    let in_vain: Vec<(Waits, Because)> =
        in_vain.filter_map(|one| one.because.map(|because| (one, because))).collect();
    if in_vain.is_empty() {
        return Ok(Claimable { free, items: Vec::new() });
    }
    let commitments = handover::commitments(tx, me.id)?;
    let unseen = |(one, because): (Waits, Because)| Unseen {
        fits: free && one.fits_into(&commitments, tx.now),
        encounter: Reference { id: one.encounter },
        start: one.times.0,
        minutes: one.minutes(),
        since: one.since,
        service: one.service,
        practitioner: one.practitioner,
        because,
        priority: one.priority,
        silent: one.silent,
        appointment: one.appointment,
    };
    let mut items: Vec<Unseen> = in_vain.into_iter().map(unseen).collect();
    items.sort_by_key(Unseen::turn);
    Ok(Claimable { free, items })
}

/// A patient who is there, and whom nobody has let in.
pub(super) struct Waits {
    pub(super) encounter: EncounterId,
    pub(super) appointment: AppointmentId,
    pub(super) priority: Priority,
    /// When it begins and ends, and until when the practitioner is kept free.
    pub(super) times: (Instant, Instant, Instant),
    pub(super) since: Instant,
    pub(super) service: Named<ServiceId>,
    pub(super) practitioner: Named<PractitionerId>,
    /// Why their own practitioner does not see them; `None` when they do, or may be on the way.
    pub(super) because: Option<Because>,
    pub(super) silent: bool,
}

impl Waits {
    /// How long the visit is planned to last.
    pub(super) fn minutes(&self) -> i64 {
        self.times.1.since(self.times.0).num_minutes()
    }

    /// Whether it could begin now beside what else is to be done.
    pub(super) fn fits_into(&self, commitments: &Commitments, now: Instant) -> bool {
        commitments.leave_room(from_now(self.times, now), self.priority)
    }
}

type Row = (
    (EncounterId, AppointmentId, Priority),
    (Instant, Instant, Instant),
    (ServiceId, String, String),
    (PractitionerId, String),
);

/// Who waits at some clinics for a visit that is to begin until then, for one of these services, or
/// for any; the first planned first. Makes no access decision. Index: appointments_by_organization.
pub(super) fn waiting(
    tx: &mut Tx,
    clinics: Vec<OrganizationId>,
    until: Instant,
    services: Option<Vec<ServiceId>>,
) -> Result<Vec<Waits>, Error> {
    let earliest = tx.now.minus(TimeDelta::hours(WAIT_HOURS_MAX));
    let mut query = encounters::table
        .inner_join(
            appointments::table
                .inner_join(practitioners::table)
                .inner_join(healthcare_services::table),
        )
        .filter(among(appointments::organization_id, clinics))
        .filter(appointments::starts_at.gt(earliest))
        .filter(appointments::starts_at.le(until))
        .filter(appointments::status.eq(AppointmentStatus::Arrived))
        .filter(encounters::status.eq(EncounterStatus::Arrived))
        .order((appointments::starts_at, appointments::id))
        .limit(VISITS_MAX)
        .select((
            (encounters::id, appointments::id, appointments::priority),
            (appointments::starts_at, appointments::ends_at, appointments::busy_to),
            (healthcare_services::id, healthcare_services::name_en, healthcare_services::name_ru),
            (practitioners::id, practitioners::name),
        ))
        .into_boxed();
    if let Some(services) = services {
        query = query.filter(among(appointments::service_id, services));
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    let visits: Vec<EncounterId> = rows.iter().map(|((id, ..), ..)| *id).collect();
    if visits.is_empty() {
        return Ok(Vec::new());
    }
    let people: Vec<ParticipantRow> = encounter_participants::table
        .filter(among(encounter_participants::encounter_id, visits.clone()))
        .select(PARTICIPANT)
        .load(tx.conn)?;
    let promises = Promises::of(tx, &visits)?;
    let busy = Busy::of(tx, rows.iter().map(|(.., practitioner)| practitioner.0).collect())?;
    let silent = record::show::silent(tx, &visits)?;
    let mut found = Vec::new();
    for ((encounter, appointment, priority), times, service, practitioner) in rows {
        let state = (AppointmentStatus::Arrived, EncounterStatus::Arrived);
        let planned = promises.times(encounter, (times.0, times.1));
        let is_open = door(state, planned, tx.now, &tx.config.visit).can_join;
        let people: Vec<ParticipantRow> =
            people.iter().filter(|one| one.encounter_id == encounter).cloned().collect();
        let Some(patient) = who_waits(&people).filter(|_| is_open) else { continue };
        let past = tx.now.since(times.0);
        let in_vain = past >= TimeDelta::zero() && {
            // Whoever has just taken somebody is on the way to them, whatever was said of them before.
            let is_fresh = past < TimeDelta::minutes(ON_THE_WAY_MINUTES);
            !is_fresh || handover::last_handover(tx, appointment)?.is_none()
        };
        found.push(Waits {
            encounter,
            appointment,
            priority,
            times,
            since: patient.waiting_since.unwrap_or(times.0),
            service: Named { id: service.0, name: tx.language.choose(service.1, service.2) },
            because: busy.because(practitioner.0, &people, past).filter(|_| in_vain),
            practitioner: Named { id: practitioner.0, name: practitioner.1 },
            silent: silent.contains(&patient.id),
        });
    }
    Ok(found)
}

/// Who of some practitioners is with somebody, in a visit that runs or goes on after a break, or has
/// somebody of their own who waits past the planned time. Asks for that alone: it is asked again and again.
/// Makes no access decision.
/// Index: encounters_waiting.
pub(super) fn engaged(
    tx: &mut Tx,
    practitioners: Vec<PractitionerId>,
) -> Result<HashSet<PractitionerId>, Error> {
    let (mut engaged, mut arrived) = (HashSet::new(), Vec::new());
    let begun =
        vec![EncounterStatus::Arrived, EncounterStatus::InProgress, EncounterStatus::Onleave];
    for live in live(tx, practitioners, begun)? {
        // Whose time has run out keeps nobody, even if nobody has said so.
        let over = live.door(tx).reason == Some(Closed::Over);
        match live.status {
            _ if over || live.is_left => {}
            EncounterStatus::Arrived if live.times.start > tx.now => {}
            EncounterStatus::Arrived => arrived.push((live.practitioner, live.encounter)),
            _ => drop(engaged.insert(live.practitioner)),
        }
    }
    let visits: Vec<EncounterId> = arrived.iter().map(|(_, visit)| *visit).collect();
    if visits.is_empty() {
        return Ok(engaged);
    }
    let here = patients_here(tx, &visits)?;
    let waited_for = arrived.into_iter().filter(|(_, visit)| here.contains(visit));
    engaged.extend(waited_for.map(|(practitioner, _)| practitioner));
    Ok(engaged)
}

/// A visit of today in one of these states.
struct Live {
    practitioner: PractitionerId,
    encounter: EncounterId,
    status: EncounterStatus,
    times: Times,
    /// It is interrupted, and does not go on: nobody is in it, or expected back.
    is_left: bool,
}

impl Live {
    fn door(&self, tx: &Tx) -> Door {
        let state = (AppointmentStatus::Arrived, self.status);
        door(state, self.times, tx.now, &tx.config.visit)
    }
}

/// Index: encounters_waiting.
fn live(
    tx: &mut Tx,
    practitioners: Vec<PractitionerId>,
    states: Vec<EncounterStatus>,
) -> Result<Vec<Live>, Error> {
    type Line = (PractitionerId, EncounterId, EncounterStatus, Instant, Instant);
    let earliest = tx.now.minus(TimeDelta::hours(WAIT_HOURS_MAX));
    let lines: Vec<Line> = encounters::table
        .inner_join(appointments::table)
        .filter(among(encounters::practitioner_id, practitioners))
        .filter(among(encounters::status, states))
        .filter(encounters::arrived_at.is_not_null())
        .filter(encounters::starts_at.gt(earliest))
        .select((
            encounters::practitioner_id,
            encounters::id,
            encounters::status,
            appointments::starts_at,
            appointments::ends_at,
        ))
        .load(tx.conn)?;
    let ids: Vec<EncounterId> = lines.iter().map(|(_, id, ..)| *id).collect();
    let promises = Promises::of(tx, &ids)?;
    let left = interruption::left(tx, lines.iter().map(|(_, id, status, ..)| (*id, *status)))?;
    let live = |(practitioner, encounter, status, start, end)| Live {
        practitioner,
        encounter,
        status,
        times: promises.times(encounter, (start, end)),
        is_left: left.contains(&encounter),
    };
    Ok(lines.into_iter().map(live).collect())
}

/// Whose coming is the patient's, if they wait and nobody has let them in.
pub(super) fn who_waits(people: &[ParticipantRow]) -> Option<&ParticipantRow> {
    let mut side = people.iter().filter(|one| comes_as_patient(one.role, people));
    if side.clone().any(|one| one.state == ParticipantState::Admitted) {
        return None;
    }
    side.find(|one| one.state == ParticipantState::Waiting)
}

/// What keeps some practitioners from their patients.
struct Busy {
    in_progress: HashSet<PractitionerId>,
    /// Their visit is interrupted and goes on, and its door is still open.
    interrupted: HashSet<PractitionerId>,
    absent: HashSet<PractitionerId>,
    late: HashSet<PractitionerId>,
}

impl Busy {
    /// Index: absences_by_practitioner.
    fn of(tx: &mut Tx, mut practitioners: Vec<PractitionerId>) -> Result<Self, Error> {
        practitioners.sort_unstable();
        practitioners.dedup();
        let running = vec![EncounterStatus::InProgress, EncounterStatus::Onleave];
        let (mut in_progress, mut interrupted) = (HashSet::new(), HashSet::new());
        for live in live(tx, practitioners.clone(), running)? {
            if live.status == EncounterStatus::InProgress {
                in_progress.insert(live.practitioner);
            } else if !live.is_left && live.door(tx).can_join {
                interrupted.insert(live.practitioner);
            }
        }
        let moment = Span { start: tx.now, end: tx.now.plus(TimeDelta::microseconds(1)) };
        let absent = absence::of(tx, &practitioners, moment)?;
        let mut late = HashSet::new();
        for practitioner in practitioners {
            if delay::current(tx, practitioner)?.is_some() {
                late.insert(practitioner);
            }
        }
        Ok(Self {
            in_progress,
            interrupted,
            absent: absent.into_iter().map(|(practitioner, _)| practitioner).collect(),
            late,
        })
    }

    /// Why somebody's own practitioner does not see them, so long past their time; `None` when that
    /// one is there, and with nobody else, or may be on the way.
    fn because(
        &self,
        own: PractitionerId,
        people: &[ParticipantRow],
        past: TimeDelta,
    ) -> Option<Because> {
        let is_there = people.iter().any(|one| {
            one.role == ParticipantRole::Practitioner && one.state == ParticipantState::Admitted
        });
        if self.in_progress.contains(&own) {
            return Some(Because::InVisit);
        }
        if is_there {
            return None;
        }
        if self.interrupted.contains(&own) {
            return Some(Because::InVisit);
        }
        if self.absent.contains(&own) {
            return Some(Because::Absent);
        }
        if self.late.contains(&own) {
            return Some(Because::Late);
        }
        (past >= TimeDelta::minutes(ON_THE_WAY_MINUTES)).then_some(Because::NotHere)
    }
}
