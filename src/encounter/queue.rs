//! The practitioner's visits of today, one behind the other: whose turn it is, and when it will be
//! somebody's. Names nobody, and says nothing of anybody else but how many there are.

use std::collections::HashMap;

use chrono::{NaiveTime, TimeDelta};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::{AppointmentId, Priority};
use crate::base::column::Instant;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::schema::{appointments, encounter_participants, encounters};
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::chat::{self, ChatMessageId};
use crate::encounter::claim::{self, TakenOver};
use crate::encounter::delay::{self, Declared};
use crate::encounter::door::{Closed, Door, door};
use crate::encounter::interruption;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus, State};
use crate::encounter::notice::Promises;
use crate::encounter::wait::{self, Ahead, Lengths, Range, Standing};
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantRole, ParticipantState, facts, find_row, notice,
};
use crate::organization::ServiceId;
use crate::patient::PatientId;
use crate::practitioner::{self, PractitionerId};
use crate::ring::{self, Ring, RingState};
use crate::schedule::leave::lapsed;
use crate::schedule::wall_clock::{Span, WallClock};
use crate::task::{self, TaskCode};

/// The most visits of one day that are looked at.
const VISITS_MAX: i64 = 500;
/// Visits that ended longer ago than this say nothing of today, in days.
const MEASURED_DAYS: i64 = 90;
/// How many finished visits are looked at, of all services.
const MEASURED_ROWS: i64 = 200;
/// How many of one service count, the newest first.
const MEASURED_MAX: usize = 40;
/// Whoever has ended a visit not longer ago than this is at work, in minutes.
const AT_WORK_MINUTES: i64 = 15;
/// When to ask again, in seconds: when it may be soon, and when it may not.
const POLL_SOON_SECS: u32 = 15;
const POLL_LATER_SECS: u32 = 60;
/// The same, while it rings.
const POLL_RINGING_SECS: u32 = 5;
/// What is soon, in minutes.
const SOON_MINUTES: i64 = 20;

/// Somebody's place among the practitioner's visits of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Queued {
    /// 1: nobody comes before. A visit that runs counts.
    pub position: u32,
    /// Hardly seen before; never before the planned time.
    pub earliest: Instant,
    /// Probably seen by then; left out while nobody knows, because the practitioner should have
    /// come, has not, and has said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Instant>,
    /// By how many minutes the practitioner has said to be late, if that moves this visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_minutes: Option<i32>,
    /// When they have said it: another time is another word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_declared_at: Option<Instant>,
    /// Whether the range rests on visits that were measured; otherwise on planned lengths.
    pub measured: bool,
}

impl Queued {
    /// The same as minutes from `now`.
    fn minutes_from(&self, now: Instant) -> Minutes {
        let latest = self.latest.unwrap_or(self.earliest);
        let (low, high) = Range { earliest: self.earliest, latest }.minutes_from(now);
        Minutes { low, high: self.latest.map(|_| high) }
    }
}

/// What a patient who waits asks for again and again. It has no time of the server's, so that an
/// unchanged answer is the same answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Waiting {
    /// Where the visit stands.
    pub status: EncounterStatus,
    /// Whether one can come in now.
    pub can_join: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Closed>,
    /// When the door opens, or opened.
    pub opens_at: Instant,
    /// The place among the practitioner's visits of today; not before that day, and not once the
    /// visit has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queued>,
    /// The same range as minutes from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_minutes: Option<Minutes>,
    /// Who sees the patient instead of the practitioner for whom they waited; until they are let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// The last time that the caller was rung, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<Ring>,
    /// What the clinic must still do about this visit, so that nobody is forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Promised>,
    /// Whether it does not take place as it was booked: the practitioner is away then, and no other time is
    /// held any more. The clinic calls, and the patient may move it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offer_over: bool,
    /// The last line that was written and the caller may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<ChatMessageId>,
    /// Ask again after this many seconds.
    pub poll_after: u32,
}

/// What the clinic must still do about a visit.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Promised {
    /// `callback`: somebody calls. `interrupted`: the visit broke off, and somebody sees to it.
    pub code: TaskCode,
    /// By when.
    pub due_at: Instant,
}

/// How long the wait is, in minutes, in steps of five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Minutes {
    /// Hardly less.
    pub low: i64,
    /// Probably not more; left out as `latest` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<i64>,
}

/// How somebody's visit stands, and how long it is until then.
pub fn waiting(tx: &mut Tx, id: EncounterId) -> Result<Waiting, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadEncounter, &facts(&row))?;
    let (status, times): (AppointmentStatus, (Instant, Instant)) = appointments::table
        .find(row.appointment_id)
        .select((appointments::status, (appointments::starts_at, appointments::ends_at)))
        .get_result(tx.conn)?;
    let times = notice::times(tx, id, times)?;
    let door = door((status, row.status), times, tx.now, &tx.config.visit);
    let queue = place(tx, &row)?;
    let minutes = queue.map(|place| place.minutes_from(tx.now));
    let account = tx.person()?.account;
    let ring = ring::newest_for(tx, id, account)?;
    let is_ringing = ring.as_ref().is_some_and(|ring| ring.state == RingState::Ringing);
    let poll_after = poll_after(&door, minutes.map(|wait| wait.low));
    let tasks = task::open_of(tx, id)?;
    Ok(Waiting {
        status: row.status,
        can_join: door.can_join,
        reason: door.reason,
        opens_at: door.opens_at,
        queue,
        wait_minutes: minutes,
        taken_over: claim::taken_over(tx, &row)?,
        ring,
        tasks: tasks.into_iter().map(|(code, due_at)| Promised { code, due_at }).collect(),
        offer_over: lapsed::is_over(tx, row.appointment_id)?,
        last_message: chat::newest(tx, &row)?,
        poll_after: if is_ringing { poll_after.min(POLL_RINGING_SECS) } else { poll_after },
    })
}

fn poll_after(door: &Door, low: Option<i64>) -> u32 {
    let Some(low) = low else { return door.poll_after };
    // Whoever may come in can be rung, however long the wait, and it does not ring for a minute.
    if door.can_join {
        return POLL_SOON_SECS;
    }
    let secs = if low <= SOON_MINUTES { POLL_SOON_SECS } else { POLL_LATER_SECS };
    // Nobody stands before a door that has opened.
    if door.reason == Some(Closed::TooEarly) { secs.min(door.poll_after) } else { secs }
}

/// Somebody's place now; `None` when the visit is not today, has begun or is over.
fn place(tx: &mut Tx, row: &EncounterRow) -> Result<Option<Queued>, Error> {
    if !matches!(row.status, EncounterStatus::Planned | EncounterStatus::Arrived) {
        return Ok(None);
    }
    let Some(queue) = Queue::of(tx, row.practitioner_id, row.starts_at)? else { return Ok(None) };
    let declared = delay::current(tx, row.practitioner_id)?;
    Ok(queue.place(row.id, declared, tx.now))
}

/// The places of several visits, with as few questions as there are practitioners.
pub fn places(
    tx: &mut Tx,
    visits: &[EncounterId],
    of: Option<&[PractitionerId]>,
) -> Result<Vec<(EncounterId, Option<Queued>)>, Error> {
    tx.scope(Action::ReadEncounter)?;
    let mut query = encounters::table
        .filter(among(encounters::id, visits))
        .select((encounters::id, encounters::practitioner_id, encounters::starts_at))
        .into_boxed();
    if let Some(of) = of {
        query = query.filter(among(encounters::practitioner_id, of));
    }
    let rows: Vec<(EncounterId, PractitionerId, Instant)> = query.load(tx.conn)?;
    // `None`: that day has no queue yet.
    type Known = (PractitionerId, Instant, Option<(Queue, Option<Declared>)>);
    let mut known: Vec<Known> = Vec::new();
    let mut found = Vec::new();
    for (id, practitioner, start) in rows {
        let is_same = |(of, at, queue): &&Known| {
            let same_day = queue.as_ref().map_or(*at == start, |(queue, _)| queue.has(start));
            *of == practitioner && same_day
        };
        if known.iter().find(is_same).is_none() {
            let queue = match Queue::of(tx, practitioner, start)? {
                Some(queue) => Some((queue, delay::current(tx, practitioner)?)),
                None => None,
            };
            known.push((practitioner, start, queue));
        }
        let queue = known.iter().find(is_same).and_then(|(.., queue)| queue.as_ref());
        found.push((id, queue.and_then(|(queue, said)| queue.place(id, *said, tx.now))));
    }
    Ok(found)
}

/// One visit of the day that is not over.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The visit.
    pub encounter: EncounterId,
    /// Its appointment.
    pub appointment: AppointmentId,
    /// Whose it is.
    pub patient: PatientId,
    /// Its booking code.
    pub code: String,
    /// The zone of the patient's clock.
    pub time_zone: Zone,
    ahead: Ahead,
    measured: bool,
    /// Goes before the others once its promised time has come.
    urgent: bool,
    /// By when it will begin, as its patient was told when the practitioner was late.
    told: Option<Instant>,
}

impl Visit {
    /// When it is planned to begin.
    pub fn start(&self) -> Instant {
        self.ahead.start
    }

    /// Whether its patient need not be here yet: it is planned for later, or they were told a later
    /// time.
    pub fn is_still_to_come(&self, now: Instant) -> bool {
        self.start() > now || self.told.is_some_and(|told| told > now)
    }

    /// Whether the practitioner has begun it, and is in it or may go on.
    pub fn is_running(&self) -> bool {
        matches!(self.ahead.standing, Standing::Running(_))
    }

    /// Whether its patient is there and waits.
    pub fn is_here(&self) -> bool {
        self.ahead.standing == Standing::Here
    }
}

type Row = (
    (EncounterId, EncounterStatus, Option<Instant>),
    (AppointmentId, PatientId, ServiceId, AppointmentStatus),
    (Instant, Instant),
    (String, Zone, Priority),
);

/// The visits of a practitioner on one day that are not over: those that run, then urgent ones whose
/// time has come, then the others by their planned start. One that was interrupted is among them only
/// while it goes on ([`interruption::left`]).
#[derive(Debug, Clone)]
pub struct Queue {
    day: Span,
    visits: Vec<Visit>,
    /// Whether the practitioner is with one of them or in its room, or has just ended a visit.
    attended: bool,
}

impl Queue {
    /// The visits on the day of `at`, as the practitioner's clock counts days; `None` before it.
    /// Index: appointments_by_practitioner.
    pub fn of(
        tx: &mut Tx,
        practitioner: PractitionerId,
        at: Instant,
    ) -> Result<Option<Self>, Error> {
        let zone = practitioner::find_row(tx, practitioner)?.time_zone;
        let day = day_of(at, zone);
        // The door of the first visit can open before midnight.
        let opens = TimeDelta::minutes(i64::from(tx.config.visit.opens_before_minutes).min(60));
        if tx.now < day.start.minus(opens) {
            return Ok(None);
        }
        let (lengths, last_ended) = lengths(tx, practitioner)?;
        let running = [EncounterStatus::InProgress, EncounterStatus::Onleave];
        let rows: Vec<Row> = appointments::table
            .inner_join(encounters::table)
            .filter(appointments::practitioner_id.eq(practitioner))
            .filter(appointments::starts_at.ge(day.start.minus(TimeDelta::days(1))))
            .filter(appointments::starts_at.lt(day.end))
            // What still runs after midnight is before those of the new day.
            .filter(appointments::starts_at.ge(day.start).or(encounters::status.eq_any(running)))
            .filter(
                appointments::status
                    .eq_any([AppointmentStatus::Booked, AppointmentStatus::Arrived]),
            )
            .order((appointments::starts_at, appointments::id))
            .limit(VISITS_MAX)
            .select((
                (encounters::id, encounters::status, encounters::started_at),
                (
                    appointments::id,
                    appointments::patient_id,
                    appointments::service_id,
                    appointments::status,
                ),
                (appointments::starts_at, appointments::ends_at),
                (appointments::code, appointments::time_zone, appointments::priority),
            ))
            .load(tx.conn)?;
        let ids: Vec<EncounterId> = rows.iter().map(|((id, ..), ..)| *id).collect();
        let here = patients_here(tx, &ids)?;
        let is_seated = !here_as(tx, ParticipantRole::Practitioner, &ids)?.is_empty();
        let promises = Promises::of(tx, &ids)?;
        let left = interruption::left(tx, rows.iter().map(|((id, status, _), ..)| (*id, *status)))?;
        let rules = &tx.config.visit;
        let alive = |(mut visit, state, times): (Visit, State, _)| {
            // Nobody is in it, or expected back: whoever comes after all is in front again.
            if left.contains(&visit.encounter) {
                return None;
            }
            // Whose time has run out comes before nobody, even if nobody has said so.
            let times = promises.times(visit.encounter, times);
            visit.told = times.told;
            let over = door(state, times, tx.now, rules).reason == Some(Closed::Over);
            (!over).then_some(visit)
        };
        let mut visits: Vec<Visit> =
            rows.into_iter().map(|row| visit(row, &lengths, &here)).filter_map(alive).collect();
        visits.sort_by_key(|visit| turn(visit.is_running(), visit.urgent, visit.start(), tx.now));
        let lately = tx.now.minus(TimeDelta::minutes(AT_WORK_MINUTES));
        let is_at_work = last_ended.is_some_and(|ended| ended > lately);
        let attended = is_seated || is_at_work || visits.iter().any(Visit::is_running);
        Ok(Some(Self { day, visits, attended }))
    }

    fn has(&self, start: Instant) -> bool {
        self.day.start <= start && start < self.day.end
    }

    /// Those that have not begun, in their order.
    pub fn to_come(&self) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(|visit| !visit.is_running())
    }

    /// When a visit of the queue will begin if the practitioner is free at `free_at`.
    pub fn range(&self, id: EncounterId, free_at: Option<Instant>, now: Instant) -> Option<Range> {
        let at = self.visits.iter().position(|visit| visit.encounter == id)?;
        let own = self.visits.get(at).filter(|visit| !visit.is_running())?;
        let ahead: Vec<Ahead> = self.visits.iter().take(at).map(|visit| visit.ahead).collect();
        Some(wait::range(&ahead, own.start(), free_at, now))
    }

    /// Whether nobody knows when a visit will begin at the latest: the practitioner should have
    /// begun it, or one before it whose patient waits, and is nowhere. A gap still swallows that.
    fn is_unsure(&self, at: usize, range: Range, now: Instant) -> bool {
        let Some(own) = self.visits.get(at) else { return false };
        let is_late = |visit: &Visit| visit.start() < now;
        let in_vain = |visit: &Visit| visit.is_here() && is_late(visit);
        let waits = is_late(own) || self.visits.iter().take(at).any(in_vain);
        !self.attended && waits && range.latest > own.start()
    }

    /// The place of a visit that has not begun, as it is told.
    pub fn place(
        &self,
        id: EncounterId,
        declared: Option<Declared>,
        now: Instant,
    ) -> Option<Queued> {
        let at = self.visits.iter().position(|visit| visit.encounter == id)?;
        let own = self.visits.get(at)?;
        let range = self.range(id, declared.map(|declared| declared.free_at), now)?;
        let unsaid = self.range(id, None, now)?;
        let moved = range.latest.since(unsaid.latest) >= TimeDelta::minutes(wait::STEP_MINUTES);
        let told = range.told(own.start());
        let said = declared.filter(|_| moved);
        let unsure = declared.is_none() && self.is_unsure(at, range, now);
        Some(Queued {
            position: u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1),
            earliest: told.earliest,
            latest: (!unsure).then_some(told.latest),
            late_minutes: said.map(|declared| declared.minutes),
            late_declared_at: said.map(|declared| declared.declared_at),
            measured: at > 0 && self.visits.iter().take(at).all(|visit| visit.measured),
        })
    }
}

/// A visit, where it stands, and its planned times.
fn visit(
    row: Row,
    lengths: &HashMap<ServiceId, Lengths>,
    here: &[EncounterId],
) -> (Visit, State, (Instant, Instant)) {
    let ((encounter, status, began_at), known, times, (code, time_zone, priority)) = row;
    let (appointment, patient, service, booked) = known;
    let standing = match (status, began_at) {
        (EncounterStatus::InProgress | EncounterStatus::Onleave, Some(since)) => {
            Standing::Running(since)
        }
        // Whoever looked in and went again is waited for like anybody who may still come.
        (EncounterStatus::Arrived, _) if here.contains(&encounter) => Standing::Here,
        _ => Standing::Expected,
    };
    let measured = lengths.get(&service).copied();
    let lengths = measured.unwrap_or_else(|| Lengths::planned(times.1.since(times.0)));
    let ahead = Ahead { start: times.0, standing, lengths };
    let measured = measured.is_some();
    let urgent = priority != Priority::Routine;
    let visit = Visit {
        encounter,
        appointment,
        patient,
        code,
        time_zone,
        ahead,
        measured,
        urgent,
        told: None,
    };
    (visit, (booked, status), times)
}

/// What orders a practitioner's visits: those that run; of those who should have been seen by now,
/// as `claimable` has it, an urgent one; the others as they are planned.
pub(super) fn turn(
    running: bool,
    urgent: bool,
    start: Instant,
    now: Instant,
) -> (bool, bool, Instant) {
    (!running, !(urgent && start <= now), start)
}

/// Those of some visits whose patient is there, and sees it on the page.
pub(super) fn patients_here(
    tx: &mut Tx,
    visits: &[EncounterId],
) -> Result<Vec<EncounterId>, Error> {
    here_as(tx, ParticipantRole::Patient, visits)
}

fn here_as(
    tx: &mut Tx,
    role: ParticipantRole,
    visits: &[EncounterId],
) -> Result<Vec<EncounterId>, Error> {
    Ok(encounter_participants::table
        .filter(among(encounter_participants::encounter_id, visits))
        .filter(encounter_participants::role.eq(role))
        .filter(encounter_participants::state.eq_any(ParticipantState::HERE))
        .select(encounter_participants::encounter_id)
        .load(tx.conn)?)
}

/// How long the practitioner's visits of each service really lasted, where enough were measured;
/// and when the last of them ended.
/// Index: encounters_waiting.
fn lengths(
    tx: &mut Tx,
    practitioner: PractitionerId,
) -> Result<(HashMap<ServiceId, Lengths>, Option<Instant>), Error> {
    let since = tx.now.minus(TimeDelta::days(MEASURED_DAYS));
    let rows: Vec<(ServiceId, Option<Instant>, Option<Instant>)> = encounters::table
        .inner_join(appointments::table)
        .filter(encounters::practitioner_id.eq(practitioner))
        .filter(encounters::status.eq(EncounterStatus::Finished))
        .filter(encounters::arrived_at.gt(since))
        .filter(encounters::started_at.is_not_null())
        .order(encounters::arrived_at.desc())
        .limit(MEASURED_ROWS)
        .select((appointments::service_id, encounters::started_at, encounters::ended_at))
        .load(tx.conn)?;
    let last_ended = rows.iter().filter_map(|(.., ended)| *ended).max();
    let mut measured: HashMap<ServiceId, Vec<TimeDelta>> = HashMap::new();
    for (service, began, ended) in rows {
        let (Some(began), Some(ended)) = (began, ended) else { continue };
        let lengths = measured.entry(service).or_default();
        if lengths.len() < MEASURED_MAX {
            lengths.push(ended.since(began));
        }
    }
    let enough = measured.into_iter().filter_map(|(service, lengths)| {
        Lengths::measured(lengths).map(|lengths| (service, lengths))
    });
    Ok((enough.collect(), last_ended))
}

/// The day of an instant, as a clock in `zone` counts days.
pub fn day_of(at: Instant, zone: Zone) -> Span {
    let midnight = zone::wall(at, zone).date_naive().and_time(NaiveTime::MIN).and_utc().timestamp();
    let around = Span { start: at, end: at.plus(TimeDelta::seconds(1)) };
    let pieces = WallClock::of(zone, around).pieces(midnight, midnight + 24 * 60 * 60);
    match (pieces.first(), pieces.last()) {
        (Some(first), Some(last)) => Span { start: first.start, end: last.end },
        // A day that no clock shows; whoever is asked about it sees the hours around.
        _ => Span { start: at.minus(TimeDelta::hours(12)), end: at.plus(TimeDelta::hours(12)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encounter::door::Times;

    #[test]
    fn a_day_begins_and_ends_where_the_clock_says() {
        let zone: Zone = "Asia/Krasnoyarsk".parse().unwrap();
        let day = day_of("2026-11-23T16:59:59Z".parse().unwrap(), zone);
        assert_eq!(day.start.to_string(), "2026-11-22T17:00:00Z");
        assert_eq!(day.end.to_string(), "2026-11-23T17:00:00Z");
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let day = day_of("2026-10-25T12:00:00Z".parse().unwrap(), berlin);
        assert_eq!(day.end.since(day.start), TimeDelta::hours(25));
    }

    #[test]
    fn who_may_be_seen_soon_asks_oftener() {
        let rules = crate::base::config::Config::defaults().unwrap().visit;
        let at = |text: &str| text.parse().unwrap();
        let (start, end) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T02:30:00Z"));
        let times = Times { start, end, told: None };
        let state = (AppointmentStatus::Booked, EncounterStatus::Planned);
        let early = door(state, times, at("2026-11-24T01:00:00Z"), &rules);
        let open = door(state, times, at("2026-11-24T01:50:00Z"), &rules);
        assert_eq!(poll_after(&early, Some(60)), POLL_LATER_SECS);
        assert_eq!(poll_after(&open, Some(10)), POLL_SOON_SECS);
        assert_eq!(poll_after(&open, Some(60)), POLL_SOON_SECS);
        assert_eq!(poll_after(&open, None), open.poll_after);
        let at_once = door(state, times, at("2026-11-24T01:44:58Z"), &rules);
        assert_eq!(poll_after(&at_once, Some(60)), 2);
    }
}
