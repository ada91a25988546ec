//! Who waits for a practitioner who is not free, and could be seen by another of the clinic: in the
//! order in which they are taken. Names no patient.

use std::collections::HashSet;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::handover::{self, from_now};
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
use crate::encounter::door::door;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::notice::Promises;
use crate::encounter::party::comes_as_patient;
use crate::encounter::queue::Queue;
use crate::encounter::show::Reference;
use crate::encounter::{
    EncounterId, PARTICIPANT, ParticipantRole, ParticipantRow, ParticipantState,
};
use crate::organization::ServiceId;
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

/// The same for a deed that has decided on access itself. Index: appointments_by_organization.
pub(super) fn find(tx: &mut Tx, me: &PractitionerRow) -> Result<Claimable, Error> {
    let free = is_free(tx, me.id)?;
    let services = practitioner::services_of(tx, me.id)?;
    let earliest = tx.now.minus(TimeDelta::hours(WAIT_HOURS_MAX));
    let rows: Vec<Row> = encounters::table
        .inner_join(
            appointments::table
                .inner_join(practitioners::table)
                .inner_join(healthcare_services::table),
        )
        .filter(appointments::organization_id.eq(me.organization_id))
        .filter(appointments::starts_at.gt(earliest))
        // Before their time nobody waits in vain.
        .filter(appointments::starts_at.le(tx.now))
        .filter(appointments::status.eq(AppointmentStatus::Arrived))
        .filter(appointments::practitioner_id.ne(me.id))
        .filter(among(appointments::service_id, services))
        .filter(encounters::status.eq(EncounterStatus::Arrived))
        .order((appointments::starts_at, appointments::id))
        .limit(VISITS_MAX)
        .select((
            (encounters::id, appointments::id, appointments::priority),
            (appointments::starts_at, appointments::ends_at, appointments::busy_to),
            (healthcare_services::id, healthcare_services::name_en, healthcare_services::name_ru),
            (practitioners::id, practitioners::name),
        ))
        .load(tx.conn)?;
    let visits: Vec<EncounterId> = rows.iter().map(|((id, ..), ..)| *id).collect();
    if visits.is_empty() {
        return Ok(Claimable { free, items: Vec::new() });
    }
    let people: Vec<ParticipantRow> = encounter_participants::table
        .filter(among(encounter_participants::encounter_id, visits.clone()))
        .select(PARTICIPANT)
        .load(tx.conn)?;
    let promises = Promises::of(tx, &visits)?;
    let busy = Busy::of(tx, rows.iter().map(|(.., practitioner)| practitioner.0).collect())?;
    let silent = record::show::silent(tx, &visits)?;
    let commitments = handover::commitments(tx, me.id)?;
    let mut items = Vec::new();
    for ((id, appointment, priority), times, service, practitioner) in rows {
        let state = (AppointmentStatus::Arrived, EncounterStatus::Arrived);
        let planned = promises.times(id, (times.0, times.1));
        let is_open = door(state, planned, tx.now, &tx.config.visit).can_join;
        let people: Vec<ParticipantRow> =
            people.iter().filter(|one| one.encounter_id == id).cloned().collect();
        let Some(patient) = who_waits(&people).filter(|_| is_open) else { continue };
        let past = tx.now.since(times.0);
        // Whoever has just taken somebody is on the way to them, whatever was said of them before.
        let is_fresh = past < TimeDelta::minutes(ON_THE_WAY_MINUTES);
        if is_fresh && handover::last_handover(tx, appointment)?.is_some() {
            continue;
        }
        let Some(because) = busy.because(practitioner.0, &people, past) else { continue };
        items.push(Unseen {
            encounter: Reference { id },
            start: times.0,
            minutes: times.1.since(times.0).num_minutes(),
            since: patient.waiting_since.unwrap_or(times.0),
            service: Named { id: service.0, name: tx.language.choose(service.1, service.2) },
            practitioner: Named { id: practitioner.0, name: practitioner.1 },
            because,
            priority,
            silent: silent.contains(&patient.id),
            fits: free && commitments.leave_room(from_now(times, tx.now), priority),
            appointment,
        });
    }
    items.sort_by_key(Unseen::turn);
    Ok(Claimable { free, items })
}

type Row = (
    (EncounterId, AppointmentId, Priority),
    (Instant, Instant, Instant),
    (ServiceId, String, String),
    (PractitionerId, String),
);

/// Whether a practitioner is with nobody, and nobody of their own waits for them past the planned
/// time. Makes no access decision.
pub(super) fn is_free(tx: &mut Tx, practitioner: PractitionerId) -> Result<bool, Error> {
    let Some(queue) = Queue::of(tx, practitioner, tx.now)? else { return Ok(true) };
    let waits = queue.to_come().any(|visit| visit.start() <= tx.now && visit.is_here());
    Ok(!waits && !queue.is_running())
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
    /// Their visit is interrupted, and its door still open.
    interrupted: HashSet<PractitionerId>,
    absent: HashSet<PractitionerId>,
    late: HashSet<PractitionerId>,
}

impl Busy {
    /// Indexes: encounters_waiting, absences_by_practitioner.
    fn of(tx: &mut Tx, mut practitioners: Vec<PractitionerId>) -> Result<Self, Error> {
        practitioners.sort_unstable();
        practitioners.dedup();
        let running = vec![EncounterStatus::InProgress, EncounterStatus::Onleave];
        let earliest = tx.now.minus(TimeDelta::hours(WAIT_HOURS_MAX));
        type Running = (EncounterId, PractitionerId, EncounterStatus, Instant, Instant);
        let running: Vec<Running> = encounters::table
            .inner_join(appointments::table)
            .filter(among(encounters::practitioner_id, practitioners.clone()))
            .filter(among(encounters::status, running))
            .filter(encounters::starts_at.gt(earliest))
            .select((
                encounters::id,
                encounters::practitioner_id,
                encounters::status,
                appointments::starts_at,
                appointments::ends_at,
            ))
            .load(tx.conn)?;
        let ids: Vec<EncounterId> = running.iter().map(|(id, ..)| *id).collect();
        let promises = Promises::of(tx, &ids)?;
        let (mut in_progress, mut interrupted) = (HashSet::new(), HashSet::new());
        for (id, practitioner, status, starts_at, ends_at) in running {
            let state = (AppointmentStatus::Arrived, status);
            let times = promises.times(id, (starts_at, ends_at));
            if status == EncounterStatus::InProgress {
                in_progress.insert(practitioner);
            } else if door(state, times, tx.now, &tx.config.visit).can_join {
                interrupted.insert(practitioner);
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
