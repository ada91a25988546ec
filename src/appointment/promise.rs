//! The local time that a patient was promised, kept whatever the law does to the clocks.
//!
//! A visit keeps its instant, its zone and the wall time that was promised. When a newer tz
//! database moves the zone, instant and wall time part. The wall time is the promise: it stands
//! on the slip of paper and in the SMS, so the instant is what is moved.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Timelike};
use diesel::prelude::*;
use tokio::sync::watch;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::broken::{BATCH, look};
pub use crate::appointment::broken::{
    BrokenFilter, BrokenPromise, ClinicPromise, all_broken, list,
};
use crate::appointment::reschedule::{self, Why};
use crate::appointment::{self, Appointment, AppointmentId, occupy};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::Instant;
use crate::base::ctx::{as_system, look_as_system};
use crate::base::db::{self, among};
use crate::base::error::Error;
use crate::base::laws;
use crate::base::problem;
use crate::base::schema::appointments;
use crate::base::tx::Tx;
use crate::base::zone::{self, Wall, Zone};
use crate::encounter;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message;
use crate::organization::OrganizationId;
use crate::patient;
use crate::schedule::leave::lapsed;
use crate::task::{self, TaskCode, TaskWhy};

/// How many visits one query names.
pub(super) const IDS_MAX: usize = 1_000;
/// How often it looks whether a task about promises still has one, in seconds.
const RECHECK_SECS: u64 = 60;
/// At every how many of these looks a server looks by itself for what laws have moved: once a day.
const WATCH_LOOKS: u64 = 24 * 60;

/// How far two clocks can be apart, in hours: from UTC-12 to UTC+14.
const CLOCKS_HOURS_MAX: i64 = 26;

/// What a visit is in as long as its time is promised.
pub(crate) const PROMISED: [AppointmentStatus; 4] = [
    AppointmentStatus::Proposed,
    AppointmentStatus::Pending,
    AppointmentStatus::Booked,
    AppointmentStatus::Arrived,
];

/// What newer laws make of a promise; `None` while it stands.
pub(super) fn parted(
    start: Instant,
    zone: Zone,
    promised: NaiveDateTime,
) -> Option<Option<Instant>> {
    // What was promised is told and kept without parts of a second.
    let whole = |time: NaiveDateTime| time.with_nanosecond(0).unwrap_or(time);
    if !zone.is_known() || whole(zone::wall(start, zone).naive_local()) == whole(promised) {
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
    // The visit before what is dead and in its way.
    appointment::lock(tx, id)?;
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
    // The promised time is as it was, and so is what is to be told of it; whether the doctor is away then is
    // another matter.
    lapsed::look_again(tx, id)?;
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
        task::clinic::take_turn(tx, clinic)?;
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
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut looks = 0_u64;
    every(Duration::from_secs(RECHECK_SECS), stop, async || {
        if looks.is_multiple_of(WATCH_LOOKS) {
            match tick(&app).await {
                Ok(0) => {}
                Ok(visits) => tracing::warn!(
                    visits,
                    tzdb = laws::version(),
                    "newer laws have moved visits from their promised time; \
                     `feldsher tz check` names them"
                ),
                Err(error) => tracing::error!(%error, "promised times could not be checked"),
            }
        }
        looks = looks.wrapping_add(1);
        if let Err(error) = recheck(&app).await {
            tracing::error!(%error, "the tasks about promised times could not be looked at");
        }
    })
    .await;
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
        // Nor does a part of a second part them: only whole ones are promised.
        assert_eq!(parted(at.plus(TimeDelta::milliseconds(500)), zone, nine), None);
        assert_ne!(parted(at.plus(TimeDelta::seconds(1)), zone, nine), None);
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
