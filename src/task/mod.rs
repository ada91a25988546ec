//! What somebody of the clinic must still do so that nobody is forgotten: call a patient back who was
//! not reached or not seen, answer one in writing, or see to a visit that broke off, or to visits that
//! are no longer at their promised time (FHIR R4 Task).
//!
//! Feldsher itself opens a task, one of a kind for a visit, or for a clinic; a person takes it and says
//! how it ended. It is called off by itself when the two meet after all, or when nothing is left to do.

pub mod clinic;
pub mod http;
pub mod job;
pub mod list;
mod open;
pub mod work;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::AppointmentId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::{Each, among};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{accounts, appointments, encounters, patients, practitioners, tasks};
use crate::base::tx::{Event, Tx};
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::encounter::show::Reference;
use crate::encounter::{self, EncounterId, EncounterRow};
use crate::message::NEWS_HOURS_MIN;
use crate::organization::{self, OrganizationId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::leave::offer;
pub(crate) use crate::task::open::IsOpen;
use crate::task::open::IsUntold;
use crate::waitlist;

id!(
    /// Something that somebody of the clinic must do (FHIR Task).
    TaskId
);

text_enum!(
    /// What is to be done.
    TaskCode {
        /// Call a person back who was rung and did not come.
        Callback = "callback",
        /// See to a visit that broke off: it is resumed, or goes on by telephone or in writing.
        Interrupted = "interrupted",
        /// Call a patient who waited and was not seen, and find another time.
        Unseen = "unseen",
        /// Answer a patient in writing: the visit goes on so, and they wait for it.
        Deferred = "deferred",
        /// See to the clinic's visits that are no longer at their promised local time.
        Promises = "promises",
        /// See to the clinic's visits that hold a room or a device which is out of use.
        Things = "things",
        /// Call a patient who was to choose another time and has not, or can no longer.
        Unanswered = "unanswered",
        /// Tell a patient whom no text reaches what has become of their visit.
        Untold = "untold",
        /// Answer a request that soon runs out.
        Request = "request",
        /// See to the clinic's visits whose practitioner is no longer there for them.
        Practitioners = "practitioners",
    }
);

text_enum!(
    /// FHIR R4 TaskStatus, as far as we use it.
    TaskStatus {
        /// Nobody has taken it yet.
        Requested = "requested",
        /// Somebody has.
        Accepted = "accepted",
        /// They have tried, and must try again.
        InProgress = "in-progress",
        /// Done.
        Completed = "completed",
        /// No longer needed: the two have met, or the visit has ended.
        Cancelled = "cancelled",
    }
);

/// The states of a task that is still to be done.
pub const OPEN: [TaskStatus; 3] =
    [TaskStatus::Requested, TaskStatus::Accepted, TaskStatus::InProgress];

text_enum!(
    /// Why there is a task. A code, so that nothing about anybody's health stands in it.
    TaskWhy {
        /// They were rung, got a text, and did not come.
        NoAnswer = "no_answer",
        /// They were rung, and have no telephone for a text.
        NoTelephone = "no_telephone",
        /// The visit was interrupted for too long.
        Interrupted = "interrupted",
        /// The door closed while the visit was interrupted, or before it began.
        DoorClosed = "door_closed",
        /// The visit goes on in writing.
        Deferred = "deferred",
        /// A law of time zones has changed.
        Law = "law",
        /// The zone of a place was wrong.
        Zone = "zone",
        /// A room or a device was put out of use.
        OutOfUse = "out_of_use",
        /// Nobody has chosen one of the offered times while they were held.
        OfferOver = "offer_over",
        /// Nobody has answered, and the time is not held much longer.
        RunsOut = "runs_out",
        /// A practitioner has left the clinic, or no longer gives the service.
        Gone = "gone",
    }
);

text_enum!(
    /// How a task ended.
    TaskOutcome {
        /// The person was reached.
        Reached = "reached",
        /// Their visit was put to another time.
        Moved = "moved",
        /// It goes on in writing, later.
        Deferred = "deferred",
    }
);

/// The visit of a task, as whoever calls its patient must know it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskVisit {
    /// Where its appointment stands now.
    pub status: AppointmentStatus,
    /// The promised local time, RFC 3339 with the offset of that zone.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
    /// Whether its patient can choose another time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offered: bool,
}

/// A task as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What is to be done.
    pub code: TaskCode,
    /// Where it stands.
    pub status: TaskStatus,
    /// The clinic that must see to it.
    pub organization: Reference<OrganizationId>,
    /// For whom; left out, as the next three, when it is about several visits.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub patient: Option<Named<PatientId>>,
    /// About which visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus: Option<Reference<EncounterId>>,
    /// How it stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit: Option<TaskVisit>,
    /// Whose visit it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Named<PractitionerId>>,
    /// Who answers for it; left out: the clinic's office.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Named<AccountId>>,
    /// Why there is a task.
    pub why: TaskWhy,
    /// By when it must be done.
    pub due_at: Instant,
    /// How often the person was called and not reached.
    pub attempts: i32,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<TaskOutcome>,
    /// Since when there is one.
    pub created_at: Instant,
}

/// A row of `tasks`.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// What is to be done.
    pub code: TaskCode,
    /// Where it stands.
    pub status: TaskStatus,
    /// The clinic.
    pub organization_id: OrganizationId,
    /// For whom; `None`, as the next two, when it is about several visits.
    pub patient_id: Option<PatientId>,
    /// Whose visit it is.
    pub practitioner_id: Option<PractitionerId>,
    /// About which visit.
    pub encounter_id: Option<EncounterId>,
    /// Who answers for it.
    pub owner_id: Option<AccountId>,
    /// Why.
    pub why: TaskWhy,
    /// How often in vain.
    pub attempts: i32,
    /// How it ended.
    pub outcome: Option<TaskOutcome>,
    /// By when.
    pub due_at: Instant,
    /// Since when.
    pub created_at: Instant,
    /// When it last changed.
    pub updated_at: Instant,
}

impl TaskRow {
    /// What the access decision must know of it. Not whose it is: the patient sees their visit, which
    /// says what they need of it.
    pub fn facts(&self) -> Facts {
        Facts {
            organization: Some(self.organization_id),
            practitioner: self.practitioner_id,
            ..Facts::NONE
        }
    }

    /// Whether it is still to be done.
    pub fn is_open(&self) -> bool {
        OPEN.contains(&self.status)
    }
}

/// The row of a task. 404 when there is none.
pub(crate) fn find_row(tx: &mut Tx, id: TaskId) -> Result<TaskRow, Error> {
    tasks::table
        .find(id)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Opens a task, unless there is one of its kind for the visit; its id. The caller has made the
/// access decision and holds the visit's lock.
pub fn open(
    tx: &mut Tx,
    visit: &EncounterRow,
    code: TaskCode,
    why: TaskWhy,
    owner: Option<AccountId>,
) -> Result<TaskId, Error> {
    let due_at = match code {
        TaskCode::Deferred => tx.now.plus(TimeDelta::hours(DUE_HOURS)),
        TaskCode::Unanswered | TaskCode::Untold => by_day(tx, visit)?,
        _ => tx.now.plus(due_in(tx)),
    };
    open_due(tx, visit, (code, why), owner, due_at)
}

/// As [`open`], due at a time of its own.
pub(crate) fn open_due(
    tx: &mut Tx,
    visit: &EncounterRow,
    (code, why): (TaskCode, TaskWhy),
    owner: Option<AccountId>,
    due_at: Instant,
) -> Result<TaskId, Error> {
    let id = TaskId::new(tx.now);
    let inserted = Each(
        diesel::insert_into(tasks::table)
            .values((
                tasks::id.eq(id),
                tasks::code.eq(code),
                tasks::status.eq(TaskStatus::Requested),
                tasks::organization_id.eq(visit.organization_id),
                tasks::patient_id.eq(visit.patient_id),
                tasks::practitioner_id.eq(visit.practitioner_id),
                tasks::encounter_id.eq(visit.id),
                tasks::owner_id.eq(owner),
                tasks::why.eq(why),
                tasks::attempts.eq(0),
                tasks::due_at.eq(due_at),
                tasks::created_at.eq(tx.now),
                tasks::updated_at.eq(tx.now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    tx.tell(Event::CareMoved(visit.id));
    if inserted == 1 {
        return Ok(id);
    }
    Ok(of_visit(visit.id).filter(tasks::code.eq(code)).select(tasks::id).get_result(tx.conn)?)
}

type OpenOf = diesel::dsl::Filter<
    diesel::dsl::Filter<tasks::table, diesel::dsl::Eq<tasks::encounter_id, EncounterId>>,
    IsOpen,
>;

/// How soon it is due where nobody sits and waits, in hours.
const DUE_HOURS: i64 = 24;

/// How soon a call is due, and due again.
fn due_in(tx: &Tx) -> TimeDelta {
    TimeDelta::minutes(i64::from(tx.config.visit.task_minutes))
}

/// When somebody is to be called who does not sit and wait: by day, where the clinic is, and before the
/// visit should have begun.
fn by_day(tx: &mut Tx, visit: &EncounterRow) -> Result<Instant, Error> {
    let zone = organization::show(tx, visit.organization_id)?.time_zone;
    let called = waitlist::offer::awake(tx, tx.now, zone, due_in(tx));
    Ok(called.min(visit.starts_at).max(tx.now))
}

/// The open tasks about a visit. Index: tasks_one_open.
fn of_visit(id: EncounterId) -> OpenOf {
    tasks::table.filter(tasks::encounter_id.eq(id)).filter(IsOpen)
}

/// What the people of a visit must know of its open tasks: what they are about and when they are due.
/// The caller has made the access decision.
pub fn open_of(tx: &mut Tx, id: EncounterId) -> Result<Vec<(TaskCode, Instant)>, Error> {
    let open = of_visit(id).select((tasks::code, tasks::due_at)).order(tasks::created_at);
    Ok(open.load(tx.conn)?)
}

/// A visit has moved on: what was to be done about it may be needless now. When the two are together
/// nothing is left to do, nor when the visit has ended; only that a patient did not come does not end
/// the promise to call them. What was asked for is answered when it is taken on, put elsewhere or over. The
/// caller holds the visit's lock.
pub(crate) fn follow(tx: &mut Tx, visit: EncounterId, act: Act) -> Result<(), Error> {
    match act {
        Act::Admit
        | Act::Resume
        | Act::Finish
        | Act::Convert
        | Act::Cancel
        | Act::Decline
        | Act::Reopen
        | Act::Expect => needless(tx, visit, TaskCode::ALL),
        Act::Move => moved(tx, visit),
        Act::Accept | Act::Expire => needless(tx, visit, &[TaskCode::Request, TaskCode::Untold]),
        // Whoever says that they come, or is there, knows of it; what is not so any more is not told.
        Act::Confirm
        | Act::Attend
        | Act::Noshow
        | Act::Arrive
        | Act::Interrupt
        | Act::Undo
        | Act::Reinstate
        | Act::HoldAgain
        | Act::AskAgain => needless(tx, visit, &[TaskCode::Untold]),
    }
}

/// A visit has another place: whoever had to choose one need not any more, where it was before is no news,
/// and a request waits anew. The caller holds the visit's lock.
pub(crate) fn moved(tx: &mut Tx, visit: EncounterId) -> Result<(), Error> {
    needless(tx, visit, &[TaskCode::Unanswered, TaskCode::Untold, TaskCode::Request])
}

/// Ends the open tasks of some kinds about a visit: nothing is left to do. The caller holds the visit's
/// lock.
pub(crate) fn needless(tx: &mut Tx, visit: EncounterId, codes: &[TaskCode]) -> Result<(), Error> {
    let needless = of_visit(visit).filter(tasks::code.eq_any(codes));
    let ended = diesel::update(needless)
        .set((tasks::status.eq(TaskStatus::Cancelled), tasks::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    if ended > 0 {
        tx.tell(Event::CareMoved(visit));
    }
    Ok(())
}

/// The tasks to tell a patient of a visit that is over by now. That it was called off, or not answered, can
/// have happened at its very end: that is news for as long as in a text.
#[diesel::dsl::auto_type(no_type_alias)]
fn in_vain(now: Instant) -> _ {
    let untold: IsUntold = IsUntold;
    let called_off: AppointmentStatus = AppointmentStatus::Cancelled;
    let old: Instant = now.minus(TimeDelta::hours(NEWS_HOURS_MIN));
    tasks::table
        .inner_join(encounters::table.inner_join(appointments::table))
        .filter(untold)
        .filter(appointments::ends_at.le(now))
        .filter(appointments::status.ne(called_off).or(tasks::created_at.le(old)))
}

/// Patients who were to be told of a visit that is over by now. Index: tasks_untold.
pub(crate) fn told_in_vain(tx: &mut Tx, most: i64) -> Result<Vec<EncounterId>, Error> {
    Ok(in_vain(tx.now).limit(most).select(encounters::id).load(tx.conn)?)
}

/// Ends the task to tell a patient of a visit, which is over. The caller has made the access decision.
pub(crate) fn too_late_to_tell(tx: &mut Tx, visit: EncounterId) -> Result<(), Error> {
    let row = encounter::lock_row(tx, visit)?;
    // It can have another time by now.
    let still = in_vain(tx.now).filter(tasks::encounter_id.eq(visit));
    if diesel::select(diesel::dsl::exists(still)).get_result(tx.conn)? {
        needless(tx, visit, &[TaskCode::Untold])?;
        tx.record(Action::WatchVisits, "Encounter", visit.0, &encounter::facts(&row));
    }
    Ok(())
}

/// Whom the office was to tell of a visit before a change is to be told again: the change, which was made at
/// `at` and called that off, is taken back. What has ended stays so, and whoever had taken it has another. The
/// caller holds the visit's lock.
pub(crate) fn untold_again(tx: &mut Tx, visit: AppointmentId, at: Instant) -> Result<(), Error> {
    let visit = encounter::of_appointment(tx, visit)?;
    let ended = tasks::table
        .filter(tasks::encounter_id.eq(visit.id))
        .filter(tasks::code.eq(TaskCode::Untold))
        .filter(tasks::status.eq(TaskStatus::Cancelled))
        .filter(tasks::updated_at.eq(at))
        .order(tasks::id.desc())
        .select((tasks::why, tasks::owner_id));
    type Ended = (TaskWhy, Option<AccountId>);
    let Some((why, owner)) = ended.first::<Ended>(tx.conn).optional()? else { return Ok(()) };
    open(tx, &visit, TaskCode::Untold, why, owner).map(drop)
}

/// A patient can read what was signed about their visit: whoever was to write to them has. The caller
/// has made the access decision.
pub(crate) fn answered(tx: &mut Tx, visit: EncounterId) -> Result<(), Error> {
    let by = tx.person()?.account;
    let written = diesel::update(of_visit(visit).filter(tasks::code.eq(TaskCode::Deferred)))
        .set((
            tasks::status.eq(TaskStatus::Completed),
            tasks::outcome.eq(Some(TaskOutcome::Reached)),
            tasks::owner_id.eq(Some(by)),
            tasks::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    if written > 0 {
        tx.tell(Event::CareMoved(visit));
    }
    Ok(())
}

/// Tasks that the caller may see, in the order of `ids`.
pub(crate) fn show_all(tx: &mut Tx, ids: &[TaskId]) -> Result<Vec<Task>, Error> {
    type Shown = (TaskRow, Option<String>, Option<String>);
    let rows: Vec<Shown> = tasks::table
        .left_join(patients::table)
        .left_join(practitioners::table)
        .filter(tasks::id.eq_any(ids))
        .select((tasks::all_columns, patients::name.nullable(), practitioners::name.nullable()))
        .load(tx.conn)?;
    let owners: Vec<AccountId> = rows.iter().filter_map(|(row, ..)| row.owner_id).collect();
    let names: Vec<(AccountId, String)> = accounts::table
        .filter(accounts::id.eq_any(owners))
        .select((accounts::id, accounts::name))
        .load(tx.conn)?;
    let visits =
        visits_of(tx, &rows.iter().filter_map(|(row, ..)| row.encounter_id).collect::<Vec<_>>())?;
    let task = |(row, patient, practitioner): &Shown| Task {
        id: row.id,
        code: row.code,
        status: row.status,
        organization: Reference { id: row.organization_id },
        patient: named(row.patient_id, patient),
        focus: row.encounter_id.map(|id| Reference { id }),
        visit: visits
            .iter()
            .find(|(of, _)| row.encounter_id == Some(*of))
            .map(|(_, it)| it.clone()),
        practitioner: named(row.practitioner_id, practitioner),
        owner: row.owner_id.and_then(|owner| {
            let (id, name) = names.iter().find(|(id, _)| *id == owner)?;
            Some(Named { id: *id, name: name.clone() })
        }),
        why: row.why,
        due_at: row.due_at,
        attempts: row.attempts,
        outcome: row.outcome,
        created_at: row.created_at,
    };
    let found = |id: &TaskId| rows.iter().find(|(row, ..)| row.id == *id).map(task);
    Ok(ids.iter().filter_map(found).collect())
}

/// How the visits of some tasks stand now.
fn visits_of(tx: &mut Tx, ids: &[EncounterId]) -> Result<Vec<(EncounterId, TaskVisit)>, Error> {
    type Line = (EncounterId, AppointmentId, AppointmentStatus, String, String);
    let lines: Vec<Line> = encounters::table
        .inner_join(appointments::table)
        .filter(among(encounters::id, ids))
        .select((
            encounters::id,
            appointments::id,
            appointments::status,
            appointments::local_start,
            appointments::time_zone,
        ))
        .load(tx.conn)?;
    let booked = lines.iter().filter(|line| line.2 == AppointmentStatus::Booked);
    let offered = offer::which_are_open(tx, booked.map(|line| line.1).collect())?;
    let visit = |(of, id, status, local_start, time_zone): Line| {
        let offered = offered.contains(&id);
        (of, TaskVisit { status, local_start, time_zone, offered })
    };
    Ok(lines.into_iter().map(visit).collect())
}

fn named<I>(id: Option<I>, name: &Option<String>) -> Option<Named<I>> {
    id.zip(name.clone()).map(|(id, name)| Named { id, name })
}

/// One task that the caller may see.
pub(crate) fn show(tx: &mut Tx, id: TaskId) -> Result<Task, Error> {
    show_all(tx, &[id])?.pop().ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::sqlite::{Sqlite, SqliteConnection};

    use super::*;
    use crate::base::db;
    use crate::task::work::TaskResult;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    #[test]
    fn what_is_still_to_be_done_is_found_without_reading_what_is_done() {
        let place = std::env::temp_dir().join(format!("feldsher-tasks-{}", std::process::id()));
        let file = place.join("feldsher.db");
        db::migrate(&db::DatabaseUrl::Sqlite(file.clone())).unwrap();
        let mut conn = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        conn.batch_execute("PRAGMA query_only = on").unwrap();
        let visit = EncounterId(uuid::Uuid::nil());
        let now: Instant = "2026-11-23T02:00:00Z".parse().unwrap();
        let of_visit = of_visit(visit).filter(tasks::code.eq_any(TaskCode::ALL));
        let having = clinic::open_ones(TaskCode::Things).select(tasks::organization_id);
        let in_vain = in_vain(now).limit(50).select(encounters::id);
        let texts = [
            diesel::debug_query::<Sqlite, _>(&of_visit.select(tasks::id)).to_string(),
            diesel::debug_query::<Sqlite, _>(&having).to_string(),
            diesel::debug_query::<Sqlite, _>(&in_vain).to_string(),
        ];
        // Any of them holds open tasks alone.
        let indexes = ["INDEX tasks_one_open", "INDEX tasks_one_of_clinic", "INDEX tasks_untold"];
        for text in texts {
            let explain = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}"));
            let steps: Vec<Step> = explain.load(&mut conn).unwrap();
            let of_tasks = |step: &&Step| step.detail.contains(" tasks");
            let of_tasks: Vec<&str> =
                steps.iter().filter(of_tasks).map(|step| step.detail.as_str()).collect();
            let is_fast = |step: &&str| indexes.iter().any(|index| step.contains(index));
            assert!(!of_tasks.is_empty() && of_tasks.iter().all(is_fast), "{text}: {of_tasks:?}");
        }
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn the_pages_have_words_for_every_task() {
        let rows = include_str!("../web/pages/task-list.js");
        let desk = include_str!("../web/pages/doctor-care.js");
        let named = |words: &str, name: String| assert!(words.contains(&name), "no words: {name}");
        for code in TaskCode::ALL {
            named(rows, format!("'tasks.code.{code}':"));
            named(desk, format!("'care.task.{code}':"));
        }
        TaskWhy::ALL.iter().for_each(|why| named(rows, format!("'tasks.why.{why}':")));
        TaskResult::ALL.iter().for_each(|result| named(rows, format!("'tasks.{result}':")));
    }
}
