//! Ringing somebody who is not in the room: a row with a state, so that nobody is rung in vain and
//! forgotten. It rings twice, then a text goes out, then the clinic has a task to call its patient back;
//! whoever was only asked to come is nobody's task.
//!
//! The steps that time takes are in [`step`]; whoever comes has answered.

pub mod http;
pub mod step;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{encounter_participants, rings};
use crate::base::tx::{Event, Tx};
use crate::encounter::lifecycle::Act;
use crate::encounter::show::Reference;
use crate::encounter::{
    self, EncounterId, EncounterRow, ParticipantId, ParticipantRole, ParticipantRow,
    ParticipantState, admission, facts, find_participant, lock_row, participants,
};
use crate::patient;
use crate::task::TaskId;

id!(
    /// Somebody was rung.
    RingId
);

text_enum!(
    /// Where a ring stands.
    RingState {
        /// It rings, the first or the second time.
        Ringing = "ringing",
        /// They came, or said that they are here.
        Answered = "answered",
        /// They did not: a text went out, and then a task.
        NoAnswer = "no_answer",
        /// The clinic has called them back.
        CalledBack = "called_back",
        /// There is nothing to answer any more: the visit is over.
        Gone = "gone",
    }
);

/// How often one person is rung in one visit at most.
const RINGS_MAX: i64 = 12;

/// Whom to ring.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RingSomebody {
    /// Their part in the visit; left out: the patient.
    pub participant: Option<ParticipantId>,
}

/// A ring as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ring {
    /// Its id.
    pub id: RingId,
    /// Who is rung.
    pub participant: Reference<ParticipantId>,
    /// Where it stands.
    pub state: RingState,
    /// 1 or 2: how often it has rung.
    pub attempt: i32,
    /// Since when.
    pub rung_at: Instant,
    /// When the next step comes: it rings again, a text goes out, or the clinic is asked to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Instant>,
    /// When a text was sent after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Instant>,
    /// The clinic's task to call them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Reference<TaskId>>,
}

/// A row of `rings`.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct RingRow {
    /// Its id.
    pub id: RingId,
    /// The visit.
    pub encounter_id: EncounterId,
    /// Who is rung.
    pub participant_id: ParticipantId,
    /// By whom.
    pub rung_by: AccountId,
    /// Where it stands.
    pub state: RingState,
    /// How often it has rung.
    pub attempt: i32,
    /// Since when.
    pub rung_at: Instant,
    /// When the next step is due.
    pub due_at: Option<Instant>,
    /// When a text was put into the outbox.
    pub told_at: Option<Instant>,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// The task that came of it.
    pub task_id: Option<TaskId>,
}

impl From<RingRow> for Ring {
    fn from(row: RingRow) -> Self {
        Self {
            id: row.id,
            participant: Reference { id: row.participant_id },
            state: row.state,
            attempt: row.attempt,
            rung_at: row.rung_at,
            due_at: row.due_at,
            told_at: row.told_at,
            task: row.task_id.map(|id| Reference { id }),
        }
    }
}

pub(crate) fn find_row(tx: &mut Tx, id: RingId) -> Result<RingRow, Error> {
    rings::table
        .find(id)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// How long it rings.
fn ring_time(tx: &Tx) -> TimeDelta {
    TimeDelta::seconds(i64::from(tx.config.visit.ring_secs))
}

/// Rings somebody who does not come, or is let in and does not look: their page lies in the
/// background, or their line is silent. Who is being rung already is not rung twice. 409 `bad_state`
/// for whoever was sent out, and for the practitioner; 409 `nobody_to_ring` for a patient who cannot
/// sign in; 409 `too_early` and 410 `visit_over` while the door is shut.
pub fn ring(tx: &mut Tx, id: EncounterId, whom: RingSomebody) -> Result<Ring, Error> {
    let row = lock_row(tx, id)?;
    tx.allow(Action::Ring, &facts(&row))?;
    admission::check_door(tx, id)?;
    let somebody = match whom.participant {
        Some(participant) => find_participant(tx, id, participant)?,
        None => patient_of(tx, &row)?,
    };
    let is_gone = somebody.state == ParticipantState::Removed;
    if is_gone || somebody.role == ParticipantRole::Practitioner {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if let Some(ringing) = newest_of(tx, somebody.id)?.filter(|it| it.state == RingState::Ringing) {
        return Ok(ringing.into());
    }
    let rung = rings::table.filter(rings::participant_id.eq(somebody.id));
    if rung.count().get_result::<i64>(tx.conn)? >= RINGS_MAX {
        return Err(Error::from(&problem::TOO_MANY_ATTEMPTS));
    }
    // What an earlier ring would still bring comes of this one.
    settle(tx, somebody.id, RingState::Gone)?;
    let ring = RingId::new(tx.now);
    diesel::insert_into(rings::table)
        .values((
            rings::id.eq(ring),
            rings::encounter_id.eq(id),
            rings::participant_id.eq(somebody.id),
            rings::rung_by.eq(tx.person()?.account),
            rings::state.eq(RingState::Ringing),
            rings::attempt.eq(1),
            rings::rung_at.eq(tx.now),
            rings::due_at.eq(Some(tx.now.plus(ring_time(tx)))),
        ))
        .execute(tx.conn)?;
    tx.tell(Event::Ringing(id, somebody.id, ring));
    tx.tell(Event::CareMoved(id));
    tx.record(Action::Ring, "Encounter", id.0, &facts(&row));
    Ok(find_row(tx, ring)?.into())
}

/// The patient's part in a visit, made when they have not come yet.
fn patient_of(tx: &mut Tx, row: &EncounterRow) -> Result<ParticipantRow, Error> {
    let patient = patient::find_row(tx, row.patient_id)?;
    let account = patient.account_id.ok_or_else(|| Error::from(&problem::NOBODY_TO_RING))?;
    let here = participants(tx, row.id)?;
    if let Some(found) = here.into_iter().find(|found| found.account_id == account) {
        return Ok(found);
    }
    let id = ParticipantId::new(tx.now);
    diesel::insert_into(encounter_participants::table)
        .values((
            encounter_participants::id.eq(id),
            encounter_participants::encounter_id.eq(row.id),
            encounter_participants::account_id.eq(account),
            encounter_participants::role.eq(ParticipantRole::Patient),
            encounter_participants::name.eq(&patient.name),
            encounter_participants::state.eq(ParticipantState::Invited),
            encounter_participants::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    encounter::count_change(tx, row.id)?;
    find_participant(tx, row.id, id)
}

/// "I am here": the answer of somebody who is in the waiting room already and was not looking.
pub fn answer(tx: &mut Tx, visit: EncounterId, id: RingId) -> Result<Ring, Error> {
    let row = encounter::find_row(tx, visit)?;
    let ring = rings::table.find(id).filter(rings::encounter_id.eq(visit));
    let ring: Option<RingRow> = ring.get_result(tx.conn).optional()?;
    let account = match ring {
        Some(ring) => Some(find_participant(tx, visit, ring.participant_id)?.account_id),
        None => None,
    };
    // Only whoever was rung can say that they are here, not the patient for them.
    tx.allow(Action::AnswerRing, &Facts { account, patient: None, ..facts(&row) })?;
    let ring = ring.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    lock_row(tx, visit)?;
    answered(tx, visit, ring.participant_id)?;
    tx.record(Action::AnswerRing, "Encounter", visit.0, &facts(&row));
    Ok(find_row(tx, id)?.into())
}

/// Who was rung in a visit, the last ring first. Index: rings_by_encounter.
pub fn list(tx: &mut Tx, id: EncounterId) -> Result<Page<Ring>, Error> {
    let row = encounter::find_row(tx, id)?;
    tx.allow(Action::ReadEncounter, &facts(&row))?;
    let rows: Vec<RingRow> = rings::table
        .filter(rings::encounter_id.eq(id))
        .order((rings::rung_at.desc(), rings::id.desc()))
        .limit(100)
        .load(tx.conn)?;
    Ok(Page::whole(rows.into_iter().map(Ring::from).collect()))
}

/// The last ring of a participant. The caller has made the access decision.
pub fn newest_of(tx: &mut Tx, id: ParticipantId) -> Result<Option<RingRow>, Error> {
    Ok(rings::table
        .filter(rings::participant_id.eq(id))
        .order((rings::rung_at.desc(), rings::id.desc()))
        .first(tx.conn)
        .optional()?)
}

/// The last ring of a visit that was for this account. Index: rings_by_encounter. The caller has made
/// the access decision.
pub fn newest_for(
    tx: &mut Tx,
    visit: EncounterId,
    account: AccountId,
) -> Result<Option<Ring>, Error> {
    let newest: Option<RingRow> = rings::table
        .inner_join(encounter_participants::table)
        .filter(rings::encounter_id.eq(visit))
        .filter(encounter_participants::account_id.eq(account))
        .order((rings::rung_at.desc(), rings::id.desc()))
        .select(rings::all_columns)
        .first(tx.conn)
        .optional()?;
    Ok(newest.map(Ring::from))
}

/// Somebody has come, or has said that they are here: what rings for them is answered, also when the
/// text has gone out. A task that came of it stays until the two are together.
pub(crate) fn answered(tx: &mut Tx, visit: EncounterId, id: ParticipantId) -> Result<(), Error> {
    if settle(tx, id, RingState::Answered)? > 0 {
        tx.tell(Event::CareMoved(visit));
    }
    Ok(())
}

/// The clinic has reached whoever did not answer.
pub(crate) fn called_back(tx: &mut Tx, task: TaskId) -> Result<(), Error> {
    let rung =
        rings::table.filter(rings::task_id.eq(task)).filter(rings::state.eq(RingState::NoAnswer));
    diesel::update(rung)
        .set((rings::state.eq(RingState::CalledBack), rings::ended_at.eq(Some(tx.now))))
        .execute(tx.conn)?;
    Ok(())
}

/// Somebody was sent out: what rings for them, rings no more.
pub(crate) fn forget(tx: &mut Tx, id: ParticipantId) -> Result<(), Error> {
    settle(tx, id, RingState::Gone).map(drop)
}

/// A visit has moved on: nobody need answer any more when it is over.
pub(crate) fn follow(tx: &mut Tx, visit: EncounterId, act: Act) -> Result<(), Error> {
    match act {
        Act::Finish | Act::Convert | Act::Cancel | Act::Decline | Act::Move => {
            let open = rings::table
                .filter(rings::encounter_id.eq(visit))
                .filter(rings::due_at.is_not_null());
            diesel::update(open).set(ended(RingState::Gone, tx.now)).execute(tx.conn)?;
            Ok(())
        }
        // Whoever was told that the clinic calls back is called back.
        Act::Noshow => {
            let ringing = rings::table
                .filter(rings::encounter_id.eq(visit))
                .filter(rings::state.eq(RingState::Ringing));
            diesel::update(ringing).set(ended(RingState::Gone, tx.now)).execute(tx.conn)?;
            Ok(())
        }
        Act::Admit
        | Act::Resume
        | Act::Confirm
        | Act::Accept
        | Act::Attend
        | Act::Expire
        | Act::Arrive
        | Act::Interrupt
        | Act::Undo
        | Act::Reinstate
        | Act::HoldAgain
        | Act::AskAgain
        | Act::Reopen
        | Act::Expect => Ok(()),
    }
}

/// Ends the rings of somebody whose next step is still to come. How many.
fn settle(tx: &mut Tx, id: ParticipantId, to: RingState) -> Result<usize, Error> {
    let open =
        rings::table.filter(rings::participant_id.eq(id)).filter(rings::due_at.is_not_null());
    Ok(diesel::update(open).set(ended(to, tx.now)).execute(tx.conn)?)
}

type Ended = (
    diesel::dsl::Eq<rings::state, RingState>,
    diesel::dsl::Eq<rings::due_at, Option<Instant>>,
    diesel::dsl::Eq<rings::ended_at, Option<Instant>>,
);

fn ended(to: RingState, now: Instant) -> Ended {
    (rings::state.eq(to), rings::due_at.eq(None), rings::ended_at.eq(Some(now)))
}
