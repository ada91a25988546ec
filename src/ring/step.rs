//! What time makes of a ring: it rings again, a text goes out, the clinic has a task. Each step is
//! one transaction that looks first whether it is still due, so that a restart loses nothing and two
//! processes do nothing twice.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::schema::rings;
use crate::base::tx::{Event, Tx};
use crate::call::record;
use crate::encounter::guest::is_guest;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::{
    self, EncounterRow, ParticipantRole, ParticipantState, facts, find_participant, lock_row,
    participants, show,
};
use crate::message::care;
use crate::patient;
use crate::practitioner;
use crate::ring::{RingId, RingRow, RingState, answered, find_row, ring_time};
use crate::task::job::ROUND_MAX;
use crate::task::{self, TaskCode, TaskWhy};

/// The rings whose next step is due. Index: rings_due.
pub(crate) fn due(tx: &mut Tx) -> Result<Vec<RingId>, Error> {
    Ok(rings::table
        .filter(rings::due_at.le(tx.now))
        .order(rings::due_at)
        .limit(ROUND_MAX)
        .select(rings::id)
        .load(tx.conn)?)
}

/// Takes the next step of a ring, if it is still due. The caller has made the access decision.
pub(crate) fn step(tx: &mut Tx, id: RingId) -> Result<(), Error> {
    let visit = find_row(tx, id)?.encounter_id;
    let visit = lock_row(tx, visit)?;
    let ring = find_row(tx, id)?;
    let Some(due_at) = ring.due_at.filter(|due_at| *due_at <= tx.now) else { return Ok(()) };
    let somebody = find_participant(tx, visit.id, ring.participant_id)?;
    if somebody.state == ParticipantState::Admitted
        && visit.status == EncounterStatus::InProgress
        && !record::show::is_missed(tx, visit.id, somebody.id)?
    {
        // They are in and look: nobody calls somebody who is in the talk.
        return answered(tx, visit.id, somebody.id);
    }
    // A process that was away for a while does not ring where nobody waits any more.
    let is_stale = tx.now.since(due_at) >= ring_time(tx);
    match (ring.state, ring.attempt) {
        (RingState::Ringing, 1) if !is_stale => again(tx, &ring)?,
        (RingState::Ringing, _) => give_up(tx, &visit, &ring)?,
        _ => call_back(tx, &visit, &ring, TaskWhy::NoAnswer)?,
    }
    tx.tell(Event::CareMoved(visit.id));
    tx.record(Action::WatchVisits, "Encounter", visit.id.0, &facts(&visit));
    Ok(())
}

fn again(tx: &mut Tx, ring: &RingRow) -> Result<(), Error> {
    diesel::update(rings::table.find(ring.id))
        .set((rings::attempt.eq(2), rings::due_at.eq(Some(tx.now.plus(ring_time(tx))))))
        .execute(tx.conn)?;
    tx.tell(Event::Ringing(ring.encounter_id, ring.participant_id, ring.id));
    Ok(())
}

/// Nobody answered twice: a text, and time to come; without a text there is nothing to wait for.
fn give_up(tx: &mut Tx, visit: &EncounterRow, ring: &RingRow) -> Result<(), Error> {
    let door = show::show(tx, visit.id)?.door;
    let is_open = door.can_join;
    let until = tx.now.plus(TimeDelta::minutes(i64::from(tx.config.visit.ring_minutes)));
    // Nobody is told to come through a door that has closed by then.
    let until = if is_open { until.min(door.closes_at) } else { until };
    let may_text = is_open && texts(tx, visit)? < i64::from(tx.config.visit.ring_texts_max);
    let told = may_text && tell(tx, visit, ring, until)?;
    let told_at = told.then_some(tx.now);
    diesel::update(rings::table.find(ring.id))
        .set((
            rings::state.eq(RingState::NoAnswer),
            rings::due_at.eq(Some(until)),
            rings::told_at.eq(told_at),
        ))
        .execute(tx.conn)?;
    if !is_open {
        return call_back(tx, visit, ring, TaskWhy::NoAnswer);
    }
    if may_text && !told {
        return call_back(tx, visit, ring, TaskWhy::NoTelephone);
    }
    Ok(())
}

/// How many texts there were in this visit. Index: rings_by_encounter.
fn texts(tx: &mut Tx, visit: &EncounterRow) -> Result<i64, Error> {
    let told =
        rings::table.filter(rings::encounter_id.eq(visit.id)).filter(rings::told_at.is_not_null());
    Ok(told.count().get_result(tx.conn)?)
}

/// `false` when no text can reach them.
fn tell(tx: &mut Tx, visit: &EncounterRow, ring: &RingRow, until: Instant) -> Result<bool, Error> {
    let somebody = find_participant(tx, visit.id, ring.participant_id)?;
    let zone = patient::find_row(tx, visit.patient_id)?.time_zone;
    let news = care::News { visit, until, zone, is_guest: is_guest(somebody.role) };
    care::tell_rung(tx, somebody.account_id, ring.id, &news)
}

/// Whoever rang; but for a doctor from whom another has taken the visit meanwhile, that one: the first
/// does not see it any more.
fn answers_for(tx: &mut Tx, visit: &EncounterRow, ring: &RingRow) -> Result<AccountId, Error> {
    let conducts = practitioner::find_reach(tx, visit.practitioner_id)?.account;
    let people = participants(tx, visit.id)?;
    let mut standing = people.iter().filter(|one| one.state != ParticipantState::Removed);
    let has_a_part = standing.any(|one| one.account_id == ring.rung_by);
    if has_a_part || !practitioner::is_doctor(tx, ring.rung_by)? {
        return Ok(ring.rung_by);
    }
    Ok(conducts.unwrap_or(ring.rung_by))
}

/// The clinic calls its patient. Whoever was only asked to come is the business of whoever rang them.
fn call_back(tx: &mut Tx, visit: &EncounterRow, ring: &RingRow, why: TaskWhy) -> Result<(), Error> {
    let role = find_participant(tx, visit.id, ring.participant_id)?.role;
    let task = if role == ParticipantRole::Patient {
        let visit = encounter::find_row(tx, visit.id)?;
        let owner = answers_for(tx, &visit, ring)?;
        Some(task::open(tx, &visit, TaskCode::Callback, why, Some(owner))?)
    } else {
        None
    };
    diesel::update(rings::table.find(ring.id))
        .set((rings::due_at.eq(None::<Instant>), rings::task_id.eq(task)))
        .execute(tx.conn)?;
    Ok(())
}
