//! The local time that a patient was promised, kept whatever the law does to the clocks.
//!
//! A visit keeps its instant, its zone and the wall time that was promised. When a newer tz
//! database moves the zone, instant and wall time part. The wall time is the promise: it stands
//! on the slip of paper and in the SMS, so the instant is what is moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::reschedule::{self, Why};
use crate::appointment::taken::is_kept;
use crate::appointment::{self, Appointment, AppointmentId, occupy};
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::ctx::{as_system, look_as_system};
use crate::base::db::{self, Turn, among, take_turns};
use crate::base::error::Error;
use crate::base::laws;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{appointments, patients, practitioners};
use crate::base::tx::Tx;
use crate::base::zone::{self, Wall, Zone};
use crate::encounter;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message;
use crate::organization::OrganizationId;
use crate::patient::{self, PatientId};
use crate::practitioner::PractitionerId;
use crate::task::{self, TaskCode, TaskWhy};

/// How many visits one look reads.
const BATCH: i64 = 1_000;
/// How many visits one query names.
pub(super) const IDS_MAX: usize = 1_000;
/// How often a server looks by itself, in seconds: once a day.
const WATCH_SECS: u64 = 24 * 60 * 60;
/// How often it looks whether a task about promises still has one, in seconds.
const RECHECK_SECS: u64 = 60;

/// How far two clocks can be apart, in hours: from UTC-12 to UTC+14.
const CLOCKS_HOURS_MAX: i64 = 26;

/// What a visit is in as long as its time is promised.
pub(crate) const PROMISED: [AppointmentStatus; 4] = [
    AppointmentStatus::Proposed,
    AppointmentStatus::Pending,
    AppointmentStatus::Booked,
    AppointmentStatus::Arrived,
];

/// A visit whose promised local time and instant have parted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BrokenPromise {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// The instant it is kept at.
    pub start: Instant,
    /// The IANA zone of the promise.
    pub time_zone: Zone,
    /// The local time that was promised.
    pub promised: String,
    /// What a clock there will show instead.
    pub shown: String,
    /// The instant that keeps the promise; none when the clocks jump over that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Instant>,
}

/// A broken promise as the clinic's office sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClinicPromise {
    /// The visit and its times.
    #[serde(flatten)]
    pub promise: BrokenPromise,
    /// For whom.
    pub patient: Named<PatientId>,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
}

/// What newer laws make of a promise; `None` while it stands.
pub(super) fn parted(
    start: Instant,
    zone: Zone,
    promised: NaiveDateTime,
) -> Option<Option<Instant>> {
    if !zone.is_known() || zone::wall(start, zone).naive_local() == promised {
        return None;
    }
    Some(match zone::resolve(promised, zone) {
        Wall::Once(at) | Wall::Fold(at, _) => Some(at),
        Wall::Gap => None,
    })
}

/// The earliest start of a visit that can still be to come.
pub(super) fn earliest(now: Instant) -> Instant {
    now.minus(TimeDelta::hours(CLOCKS_HOURS_MAX))
}

/// Whether a visit is still to come: by its instant, or, as long as nobody has come, by the time that was
/// promised, whose instant is `proposed`.
pub(super) fn is_to_come(
    status: AppointmentStatus,
    start: Instant,
    proposed: Option<Instant>,
    now: Instant,
) -> bool {
    let is_awaited = status != AppointmentStatus::Arrived;
    start > now || (is_awaited && proposed.is_some_and(|at| at > now))
}

/// A promised local time, as it is kept.
pub(crate) fn told(local_start: &str) -> Result<DateTime<FixedOffset>, Error> {
    DateTime::parse_from_rfc3339(local_start)
        .map_err(|_not_a_time| Error::Internal("a promised local time is not a time"))
}

pub(super) fn read_local(promised: &str) -> Result<NaiveDateTime, Error> {
    told(promised).map(|at| at.naive_local())
}

/// Which broken promises a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BrokenFilter {
    /// How many visits are looked at for one page, 1 to 100 times ten; a page may be empty and
    /// still have a next one.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// The visits to come of a clinic whose promise a newer law has broken, by start.
pub fn list(
    tx: &mut Tx,
    organization: OrganizationId,
    wanted: &BrokenFilter,
) -> Result<Page<ClinicPromise>, Error> {
    tx.allow(Action::KeepPromise, &Facts::of_organization(organization))?;
    let limit = page::limit(wanted.limit)?.saturating_mul(10);
    let after: Option<Position> = page::cursor(wanted.cursor.as_deref())?;
    let (broken, next) = look(tx, Some(organization), after, limit)?;
    let next = next.and_then(|position| page::encode(&position));
    Ok(Page { items: named(tx, broken)?, next })
}

/// Names the two sides of each visit.
fn named(tx: &mut Tx, broken: Vec<BrokenPromise>) -> Result<Vec<ClinicPromise>, Error> {
    type Sides = (AppointmentId, (PatientId, String), (PractitionerId, String));
    let ids: Vec<AppointmentId> = broken.iter().map(|visit| visit.id).collect();
    let sides: Vec<Sides> = appointments::table
        .inner_join(patients::table)
        .inner_join(practitioners::table)
        .filter(appointments::id.eq_any(ids))
        .select((
            appointments::id,
            (patients::id, patients::name),
            (practitioners::id, practitioners::name),
        ))
        .load(tx.conn)?;
    let mut sides: HashMap<AppointmentId, Sides> =
        sides.into_iter().map(|side| (side.0, side)).collect();
    let mut items = Vec::new();
    for promise in broken {
        if let Some((_, patient, practitioner)) = sides.remove(&promise.id) {
            let patient = Named { id: patient.0, name: patient.1 };
            let practitioner = Named { id: practitioner.0, name: practitioner.1 };
            items.push(ClinicPromise { promise, patient, practitioner });
        }
    }
    Ok(items)
}

/// Where a look stands.
type Position = (Instant, AppointmentId);

/// Looks at some visits to come, and says where to go on. Index: appointments_by_organization.
fn look(
    tx: &mut Tx,
    organization: Option<OrganizationId>,
    after: Option<Position>,
    limit: i64,
) -> Result<(Vec<BrokenPromise>, Option<Position>), Error> {
    let mut query = appointments::table
        .filter(appointments::starts_at.gt(earliest(tx.now)))
        .filter(appointments::status.eq_any(PROMISED))
        // A hold that has run out promises nothing.
        .filter(is_kept(tx.now))
        .order((appointments::starts_at, appointments::id))
        .limit(limit)
        .select((
            appointments::id,
            appointments::code,
            appointments::status,
            appointments::starts_at,
            appointments::time_zone,
            appointments::local_start,
        ))
        .into_boxed();
    if let Some(organization) = organization {
        query = query.filter(appointments::organization_id.eq(organization));
    }
    if let Some((at, id)) = after {
        query = query.filter(
            appointments::starts_at
                .gt(at)
                .or(appointments::starts_at.eq(at).and(appointments::id.gt(id))),
        );
    }
    type Promise = (AppointmentId, String, AppointmentStatus, Instant, Zone, String);
    let rows: Vec<Promise> = query.load(tx.conn)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| is_full).map(|(id, _, _, start, ..)| (*start, *id));
    let mut broken = Vec::new();
    for (id, code, status, start, time_zone, promised) in rows {
        let parted = parted(start, time_zone, read_local(&promised)?);
        if let Some(proposed) = parted.filter(|at| is_to_come(status, start, *at, tx.now)) {
            let shown = zone::local(start, time_zone);
            broken.push(BrokenPromise { id, code, start, time_zone, promised, shown, proposed });
        }
    }
    Ok((broken, next))
}

/// Every broken promise of the installation; `progress` hears how many visits were looked at.
/// For the system itself.
pub async fn all_broken(
    app: &Arc<App>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<BrokenPromise>, Error> {
    let (mut found, mut after, mut looked) = (Vec::new(), None, 0_usize);
    loop {
        let (mut broken, next) = as_system(app, move |tx| {
            tx.allow(Action::KeepPromise, &Facts::NONE)?;
            look(tx, None, after, BATCH)
        })
        .await?;
        found.append(&mut broken);
        looked = looked.saturating_add(usize::try_from(BATCH).unwrap_or(0));
        progress(looked);
        match next {
            Some(_) => after = next,
            None => return Ok(found),
        }
    }
}

/// Moves a visit to the instant at which its promised local time is shown, and tells both sides.
/// A promise that stands is left alone; one that is kept leaves a move behind, and with the last one
/// the clinic's task ends. 409 `slot_taken` when somebody is busy then, 410 `hold_over`
/// of a held time that has run out, 422 `time_in_gap` when the clocks jump over that time.
pub fn keep(tx: &mut Tx, id: AppointmentId) -> Result<Appointment, Error> {
    let row = appointment::find_row(tx, id)?;
    tx.allow(Action::KeepPromise, &row.facts())?;
    // Waited for before anything is locked: it is needed at the end.
    let task = OpenTask::of(tx, row.organization_id)?;
    let (zone, promised): (Zone, String) = appointments::table
        .find(id)
        .select((appointments::time_zone, appointments::local_start))
        .get_result(tx.conn)?;
    let Some(proposed) = parted(row.starts_at, zone, read_local(&promised)?) else {
        task.end(tx)?;
        return appointment::show(tx, id);
    };
    let is_ahead = matches!(
        row.status,
        AppointmentStatus::Proposed | AppointmentStatus::Pending | AppointmentStatus::Booked
    );
    if !is_ahead {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if row.is_dead(tx.now) {
        return Err(Error::from(&problem::HOLD_OVER));
    }
    let start = proposed.ok_or_else(|| Error::from(&problem::TIME_IN_GAP))?;
    if start <= tx.now {
        return Err(Error::from(&problem::IN_THE_PAST));
    }
    let later = start.since(row.starts_at);
    let shifted = |at: Instant| at.plus(later);
    occupy::bury_the_dead(tx, id, later)?;
    let moved = diesel::update(
        appointments::table
            .filter(appointments::id.eq(id))
            .filter(appointments::version.eq(row.version)),
    )
    .set((
        appointments::starts_at.eq(start),
        appointments::ends_at.eq(shifted(row.ends_at)),
        appointments::busy_from.eq(shifted(row.busy_from)),
        appointments::busy_to.eq(shifted(row.busy_to)),
        appointments::local_start.eq(zone::local(start, zone)),
        appointments::moves.eq(row.moves.saturating_add(1)),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(row.version.saturating_add(1)),
    ))
    .execute(tx.conn);
    match moved {
        Ok(0) => return Err(Error::from(&problem::CONFLICT)),
        Ok(_) => {}
        Err(error) if db::refusal(&error).as_deref() == Some("resource_busy") => {
            return Err(Error::from(&problem::SLOT_TAKEN));
        }
        Err(error) => return Err(error.into()),
    }
    let (there, by) = ((start, row.practitioner_id), tx.actor().account);
    reschedule::remember(tx, &row, there, Why::Wish(None), by)?;
    encounter::replan(tx, id, row.practitioner_id, start)?;
    tx.record(Action::KeepPromise, "Appointment", id.0, &row.facts());
    let kept = appointment::show(tx, id)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    message::keep_promise(tx, &kept, account)?;
    task.end(tx)?;
    Ok(kept)
}

/// A clinic's open task about its promises, if it has one, and the turn to end it.
struct OpenTask(Option<OrganizationId>);

impl OpenTask {
    fn of(tx: &mut Tx, clinic: OrganizationId) -> Result<Self, Error> {
        if !task::clinic::is_open(tx, clinic, TaskCode::Promises)? {
            return Ok(Self(None));
        }
        take_turns(tx.conn, &[Turn::Alone(clinic.0)])?;
        Ok(Self(Some(clinic)))
    }

    /// Ends it when none of the clinic's promises is broken any more. What was opened since has its own end.
    fn end(self, tx: &mut Tx) -> Result<(), Error> {
        match self.0 {
            Some(clinic) if stands(tx, clinic)? => {
                task::clinic::call_off(tx, clinic, TaskCode::Promises)
            }
            _ => Ok(()),
        }
    }
}

/// Whether no promise of a clinic is broken.
fn stands(tx: &mut Tx, clinic: OrganizationId) -> Result<bool, Error> {
    let mut after = None;
    loop {
        let (broken, next) = look(tx, Some(clinic), after, BATCH)?;
        match next {
            _ if !broken.is_empty() => return Ok(false),
            Some(_) => after = next,
            None => return Ok(true),
        }
    }
}

/// One look over the whole installation: each clinic with a broken promise has a task, and no other
/// has. Answers how many visits there are.
pub async fn tick(app: &Arc<App>) -> Result<usize, Error> {
    let broken = all_broken(app, |_looked| ()).await?;
    let visits: Vec<AppointmentId> = broken.iter().map(|visit| visit.id).collect();
    let count = visits.len();
    let (clinics, open) = look_as_system(app, move |tx| {
        tx.allow(Action::KeepPromise, &Facts::NONE)?;
        let mut clinics: Vec<OrganizationId> = Vec::new();
        for some in visits.chunks(IDS_MAX) {
            let whose = appointments::table
                .filter(among(appointments::id, some))
                .select(appointments::organization_id)
                .distinct();
            clinics.append(&mut whose.load(tx.conn)?);
        }
        clinics.sort_unstable();
        clinics.dedup();
        Ok((clinics, task::clinic::having(tx, TaskCode::Promises)?))
    })
    .await?;
    // Each in its own turn, and looked at again in it.
    for clinic in open.into_iter().filter(|clinic| !clinics.contains(clinic)) {
        as_system(app, move |tx| {
            tx.allow(Action::KeepPromise, &Facts::NONE)?;
            OpenTask::of(tx, clinic)?.end(tx)
        })
        .await?;
    }
    for clinic in clinics.iter().copied() {
        as_system(app, move |tx| {
            tx.allow(Action::KeepPromise, &Facts::NONE)?;
            task::clinic::open(tx, clinic, TaskCode::Promises, TaskWhy::Law)
        })
        .await?;
    }
    Ok(count)
}

/// Ends the tasks of clinics that have moved or called off the last such visit otherwise.
pub async fn recheck(app: &Arc<App>) -> Result<(), Error> {
    let open = look_as_system(app, |tx| {
        tx.allow(Action::KeepPromise, &Facts::NONE)?;
        task::clinic::having(tx, TaskCode::Promises)
    });
    for clinic in open.await? {
        as_system(app, move |tx| {
            tx.allow(Action::KeepPromise, &Facts::NONE)?;
            OpenTask::of(tx, clinic)?.end(tx)
        })
        .await?;
    }
    Ok(())
}

/// How a repair of many promises went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Visits that were moved.
    pub kept: Vec<AppointmentId>,
    /// Visits that a person must look at: their code and the problem's.
    pub left: Vec<(String, String)>,
}

/// Keeps the promises that can be kept, one by one; for the system itself. Those that go later
/// are moved from the last to the first, the others from the first to the last, so that
/// neighbours make room for each other.
pub async fn keep_all(app: &Arc<App>, mut broken: Vec<BrokenPromise>) -> Result<Repair, Error> {
    broken.sort_by_key(|visit| visit.start);
    let goes_later = |visit: &BrokenPromise| visit.proposed.is_some_and(|at| at > visit.start);
    let (mut later, earlier): (Vec<_>, Vec<_>) = broken.into_iter().partition(goes_later);
    later.reverse();
    let mut repair = Repair::default();
    for visit in later.into_iter().chain(earlier) {
        let id = visit.id;
        match as_system(app, move |tx| keep(tx, id)).await {
            Ok(_) => repair.kept.push(id),
            Err(Error::Refused(refusal)) => {
                repair.left.push((visit.code, refusal.problem.code.to_owned()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(repair)
}

/// Looks once a day, and after every start, until `stop`: the office finds what a newer law has moved
/// as a task, whoever runs the server in the log.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut rounds = tokio::time::interval(Duration::from_secs(WATCH_SECS));
    let mut looks = tokio::time::interval(Duration::from_secs(RECHECK_SECS));
    loop {
        tokio::select! {
            _ = rounds.tick() => match tick(&app).await {
                Ok(0) => {}
                Ok(visits) => tracing::warn!(
                    visits, tzdb = laws::version(),
                    "newer laws have moved visits from their promised time; \
                     `feldsher tz check` names them"
                ),
                Err(error) => tracing::error!(%error, "promised times could not be checked"),
            },
            _ = looks.tick() => if let Err(error) = recheck(&app).await {
                tracing::error!(%error, "the tasks about promised times could not be looked at");
            },
            _ = stop.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_stands_while_the_clock_shows_it() {
        let zone: Zone = "Europe/Volgograd".parse().unwrap();
        let nine = read_local("2026-11-24T09:00:00+03:00").unwrap();
        let at: Instant = "2026-11-24T06:00:00Z".parse().unwrap();
        assert_eq!(parted(at, zone, nine), None);
        // Booked while Volgograd was four hours ahead of UTC (2018 to 2020).
        let before: Instant = "2026-11-24T05:00:00Z".parse().unwrap();
        assert_eq!(parted(before, zone, nine), Some(Some(at)));
    }

    #[test]
    fn what_was_promised_in_a_gap_has_no_instant_any_more() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let half_past_two = read_local("2027-03-14T02:30:00-05:00").unwrap();
        let at: Instant = "2027-03-14T07:30:00Z".parse().unwrap();
        assert_eq!(parted(at, zone, half_past_two), Some(None));
    }
}
