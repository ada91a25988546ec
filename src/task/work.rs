//! Working a task: somebody takes it, tries, and says how it ended.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::tasks;
use crate::base::tx::{Event, Tx};
use crate::encounter;
use crate::encounter::finish::{self, ConvertTo};
use crate::encounter::interruption;
use crate::encounter::lifecycle::EncounterStatus;
use crate::ring;
use crate::task::{
    self, Task, TaskCode, TaskId, TaskOutcome, TaskRow, TaskStatus, due_in, find_row, show,
};

/// Whoever takes a task.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeTask {
    /// Also when somebody else has taken it.
    #[serde(default)]
    pub over: bool,
}

text_enum!(
    /// What came of working a task.
    TaskResult {
        /// The person was reached.
        Reached = "reached",
        /// Their visit was put to another time.
        Moved = "moved",
        /// It goes on in writing, later.
        Deferred = "deferred",
        /// They were not reached: the task stays open and is due again later.
        NotReached = "not_reached",
    }
);

/// What came of working a task.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteTask {
    /// How it went.
    pub outcome: TaskResult,
    /// Ends the visit as well, when it broke off: `phone` with `reached`, `deferred` with `deferred`.
    /// Left out: the visit stays as it is, and is a task again unless it goes on.
    pub convert: Option<ConvertTo>,
}

/// Takes a task: whoever does answers for it. Saying it twice is saying it once. 409
/// `already_exists` when somebody else has taken it, unless it is taken over.
pub fn take(tx: &mut Tx, id: TaskId, how: TakeTask) -> Result<Task, Error> {
    let row = locked(tx, id)?;
    let me = tx.person()?.account;
    if row.status != TaskStatus::Requested {
        if row.owner_id == Some(me) {
            return show(tx, id);
        }
        if !how.over {
            return Err(Error::from(&problem::TASK_TAKEN));
        }
    }
    let status = match row.status {
        TaskStatus::Requested => TaskStatus::Accepted,
        other => other,
    };
    diesel::update(tasks::table.find(id))
        .set((tasks::status.eq(status), tasks::owner_id.eq(Some(me)), tasks::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    done(tx, &row);
    show(tx, id)
}

/// Says how a task went. Who was not reached stays a task, which is due again later. A visit that broke
/// off and is not ended with its task must go on while its door is open, else it is a task again. 409
/// `task_taken` when it is not the caller's, 409 `bad_state` for the end of a visit that did not break
/// off or goes on, and for a task that ends by itself, 409 `visit_not_ended` when the door has closed
/// on a visit that is not ended with it.
pub fn complete(tx: &mut Tx, id: TaskId, end: CompleteTask) -> Result<Task, Error> {
    let row = locked(tx, id)?;
    let me = tx.person()?.account;
    if row.owner_id != Some(me) {
        return Err(Error::from(&problem::TASK_TAKEN));
    }
    if row.encounter_id.is_none() || row.code == TaskCode::Request {
        // Nobody was to be reached: it ends with the last visit that it is about, or with the answer.
        return Err(Error::from(&problem::BAD_STATE));
    }
    let outcome = match (end.outcome, end.convert) {
        (TaskResult::Reached, None | Some(ConvertTo::Phone)) => Some(TaskOutcome::Reached),
        // Who waits for words is not told to wait for them, and what broke off is not moved: it is
        // ended, and another visit booked.
        (TaskResult::Deferred, None) if row.code == TaskCode::Deferred => {
            return Err(Error::field(&problem::INVALID_BODY, "/outcome"));
        }
        (TaskResult::Moved, None) if row.code == TaskCode::Interrupted => {
            return Err(Error::field(&problem::INVALID_BODY, "/outcome"));
        }
        (TaskResult::Deferred, None | Some(ConvertTo::Deferred)) => Some(TaskOutcome::Deferred),
        (TaskResult::Moved, None) => Some(TaskOutcome::Moved),
        (TaskResult::NotReached, None) => None,
        _ => return Err(Error::field(&problem::INVALID_BODY, "/convert")),
    };
    if end.convert.is_some() {
        check_interrupted(tx, &row)?;
    }
    match outcome {
        Some(outcome) => {
            diesel::update(tasks::table.find(id))
                .set((
                    tasks::status.eq(TaskStatus::Completed),
                    tasks::outcome.eq(Some(outcome)),
                    tasks::updated_at.eq(tx.now),
                ))
                .execute(tx.conn)?;
            ring::called_back(tx, id)?;
        }
        None => {
            diesel::update(tasks::table.find(id))
                .set((
                    tasks::status.eq(TaskStatus::InProgress),
                    tasks::attempts.eq(tasks::attempts + 1),
                    tasks::due_at.eq(tx.now.plus(due_in(tx))),
                    tasks::updated_at.eq(tx.now),
                ))
                .execute(tx.conn)?;
        }
    }
    match (end.convert, row.encounter_id) {
        (Some(to), Some(visit)) => finish::convert_unasked(tx, visit, to)?,
        (None, Some(visit)) if row.code == TaskCode::Interrupted && outcome.is_some() => {
            interruption::goes_on(tx, visit)?;
        }
        _ => {}
    }
    done(tx, &row);
    show(tx, id)
}

/// Whoever works a task ends the visit only where it broke off and nobody talks: a talk is ended by
/// its practitioner alone.
fn check_interrupted(tx: &mut Tx, row: &TaskRow) -> Result<(), Error> {
    let visit = row.encounter_id.filter(|_| row.code == TaskCode::Interrupted);
    let visit = visit.ok_or_else(|| Error::from(&problem::BAD_STATE))?;
    match encounter::find_row(tx, visit)?.status {
        EncounterStatus::Onleave => Ok(()),
        _ => Err(Error::from(&problem::BAD_STATE)),
    }
}

/// The row of an open task that the caller may work, as it stays until this transaction ends.
fn locked(tx: &mut Tx, id: TaskId) -> Result<TaskRow, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::WorkTask, &row.facts())?;
    match row.encounter_id {
        Some(visit) => {
            encounter::lock_row(tx, visit)?;
        }
        None => task::clinic::take_turn(tx, row.organization_id)?,
    }
    let row = find_row(tx, id)?;
    if row.is_open() { Ok(row) } else { Err(Error::from(&problem::TASK_OVER)) }
}

fn done(tx: &mut Tx, row: &TaskRow) {
    if let Some(visit) = row.encounter_id {
        tx.tell(Event::CareMoved(visit));
    }
    tx.record(Action::WorkTask, "Task", row.id.0, &row.facts());
}
