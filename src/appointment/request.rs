//! A request that soon runs out is a task of its clinic's office: there is somebody who answers for it, and
//! a time by which they can still do so. It ends by itself with the request's answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use tokio::sync::watch;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::{AppointmentId, Priority, find_row, lock};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::Instant;
use crate::base::ctx::{each_as_system, look_as_system};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::schema::{appointment_moves, appointments, encounters, tasks};
use crate::base::tx::Tx;
use crate::encounter;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::task::{self, IsOpen, TaskCode, TaskWhy};

/// How often it looks.
const TICK_SECS: u64 = 5;
/// How many tasks it opens in one look.
const OPENS_MAX: usize = 100;
/// Of the time that a request waits, so much passes before it is a task: one third.
const PATIENCE: i32 = 3;
/// So long before its end it is one in any case, in hours.
const SOON_HOURS: i64 = 12;

/// From when on a request is a task: after a third of its time, or twelve hours before it runs out, whichever
/// is first; an urgent one, and one that waits less than that, at once.
fn soon_from(asked_at: Instant, until: Instant, priority: Priority) -> Instant {
    if priority != Priority::Routine {
        return asked_at;
    }
    let third = asked_at.plus(until.since(asked_at) / PATIENCE);
    third.min(until.minus(TimeDelta::hours(SOON_HOURS))).max(asked_at)
}

/// By when it must be answered: half of what is left, so that an office that is late can still act.
fn due_at(now: Instant, until: Instant) -> Instant {
    now.plus(until.since(now) / 2)
}

/// A request that waits, with its end.
type Waiting = (AppointmentId, Instant);

/// The requests, or whether this one, that soon run out and of which there is no open task. One that was moved
/// waits from then on. Indexes: appointments_holds, tasks_one_open.
fn soon_over(tx: &mut Tx, only: Option<AppointmentId>) -> Result<Vec<Waiting>, Error> {
    type Row = (AppointmentId, Instant, Option<Instant>, Priority, i32);
    let has_task = tasks::table
        .filter(tasks::encounter_id.eq(encounters::id.nullable()))
        .filter(tasks::code.eq(TaskCode::Request))
        .filter(IsOpen);
    let mut asked = appointments::table
        .inner_join(encounters::table)
        .filter(appointments::hold_expires_at.is_not_null())
        .filter(appointments::hold_expires_at.gt(tx.now))
        .filter(appointments::status.eq(AppointmentStatus::Proposed))
        .filter(not(exists(has_task)))
        .select((
            appointments::id,
            appointments::created_at,
            appointments::hold_expires_at,
            appointments::priority,
            appointments::moves,
        ))
        .into_boxed();
    if let Some(only) = only {
        asked = asked.filter(appointments::id.eq(only));
    }
    let rows: Vec<Row> = asked.load(tx.conn)?;
    let moved: Vec<AppointmentId> =
        rows.iter().filter(|(.., moves)| *moves > 0).map(|(id, ..)| *id).collect();
    let moves: Vec<(AppointmentId, Instant)> = appointment_moves::table
        .filter(among(appointment_moves::appointment_id, moved))
        .order((appointment_moves::appointment_id, appointment_moves::number))
        .select((appointment_moves::appointment_id, appointment_moves::moved_at))
        .load(tx.conn)?;
    let moved_at: HashMap<AppointmentId, Instant> = moves.into_iter().collect();
    let soon = rows.into_iter().filter_map(|(id, asked_at, until, priority, _)| {
        let since = moved_at.get(&id).copied().unwrap_or(asked_at);
        let until = until.filter(|until| soon_from(since, *until, priority) <= tx.now)?;
        Some((id, until))
    });
    Ok(soon.collect())
}

/// Makes a request a task that soon runs out; not one that was answered, or moved, meanwhile.
fn see_to(tx: &mut Tx, id: AppointmentId) -> Result<bool, Error> {
    lock(tx, id)?;
    let Some((_, until)) = soon_over(tx, Some(id))?.pop() else { return Ok(false) };
    let visit = encounter::of_appointment(tx, id)?;
    let due_at = due_at(tx.now, until);
    task::open_due(tx, &visit, (TaskCode::Request, TaskWhy::RunsOut), None, due_at)?;
    let facts = find_row(tx, id)?.facts();
    tx.record(Action::WatchVisits, "Appointment", id.0, &facts);
    Ok(true)
}

/// One look: opens the tasks that are due, each by itself. Returns how many. It reads first, so that a quiet
/// hour keeps nobody from writing; several processes may do it at once.
pub async fn tick(app: &Arc<App>) -> Result<usize, Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        soon_over(tx, None)
    });
    let soon = due.await?.into_iter().take(OPENS_MAX).map(|(id, _)| id).collect();
    let opened = each_as_system(app, Action::WatchVisits, soon, see_to).await?;
    Ok(opened.into_iter().filter(|opened| *opened).count())
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(TICK_SECS), stop, async || {
        if let Err(error) = tick(&app).await {
            tracing::error!(%error, "requests that soon run out could not be looked after");
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_task_while_there_is_time_to_answer_it() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let asked = at("2026-11-23T00:00:00Z");
        for (until, soon) in [
            // Two days: after a third of them. One day: the same. Fifteen hours: twelve before the end.
            ("2026-11-25T00:00:00Z", "2026-11-23T16:00:00Z"),
            ("2026-11-24T00:00:00Z", "2026-11-23T08:00:00Z"),
            ("2026-11-23T15:00:00Z", "2026-11-23T03:00:00Z"),
            // Shorter ones at once, and not before they were asked for.
            ("2026-11-23T12:00:00Z", "2026-11-23T00:00:00Z"),
            ("2026-11-23T00:30:00Z", "2026-11-23T00:00:00Z"),
        ] {
            let from = soon_from(asked, at(until), Priority::Routine);
            assert_eq!(from, at(soon), "{until}");
            assert_eq!(soon_from(asked, at(until), Priority::Urgent), asked);
            let due = due_at(from, at(until));
            assert!(from < due && due < at(until), "{until}: due {due}");
        }
    }
}
