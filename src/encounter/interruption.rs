//! Nobody is left alone: when two who were interrupted are not together again in time, or the door
//! closes on them or on a patient who waited, somebody of the clinic must see to it, and both sides
//! know.

use std::collections::HashSet;

use chrono::TimeDelta;
use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::Instant;
use crate::base::config;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters};
use crate::base::tx::Tx;
use crate::encounter::door::{Times, door};
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantRole, ParticipantRow, ParticipantState, facts, find_row,
    lock_row, participants, show,
};
use crate::message::care;
use crate::patient;
use crate::practitioner;
use crate::task::job::ROUND_MAX;
use crate::task::{self, TaskCode, TaskWhy};

/// For how long it is worth telling a patient that the clinic will call, in hours.
const UNSEEN_HOURS: i64 = 12;

/// When somebody must see to a visit that has become `status` now: one that is interrupted after a
/// while, and not after its door has closed; one whose patient waits when the door closes. `None`: it
/// needs nobody.
pub(crate) fn due_at(
    status: EncounterStatus,
    times: Times,
    now: Instant,
    rules: &config::Visit,
) -> Option<Instant> {
    let state = (AppointmentStatus::Arrived, status);
    let closes_at = || door(state, times, now, rules).closes_at.max(now);
    match status {
        EncounterStatus::Arrived => Some(closes_at()),
        EncounterStatus::Onleave => Some(now.plus(minutes(rules)).min(closes_at())),
        EncounterStatus::Planned
        | EncounterStatus::InProgress
        | EncounterStatus::Finished
        | EncounterStatus::Cancelled => None,
    }
}

/// The visits to which somebody must see now. Index: encounters_see_to.
pub(crate) fn due(tx: &mut Tx) -> Result<Vec<EncounterId>, Error> {
    Ok(encounters::table
        .filter(encounters::see_to_at.le(tx.now))
        .order(encounters::see_to_at)
        .limit(ROUND_MAX)
        .select(encounters::id)
        .load(tx.conn)?)
}

/// Which of some visits are interrupted and no longer keep their practitioner: nobody is in them, and they
/// broke off so long ago that nobody is expected back. The clinic sees to them, and the practitioner is free
/// for others. The caller has made the access decision.
pub(super) fn left(
    tx: &mut Tx,
    visits: impl Iterator<Item = (EncounterId, EncounterStatus)>,
) -> Result<HashSet<EncounterId>, Error> {
    let interrupted: Vec<EncounterId> = visits
        .filter(|(_, status)| *status == EncounterStatus::Onleave)
        .map(|(id, _)| id)
        .collect();
    if interrupted.is_empty() {
        return Ok(HashSet::new());
    }
    let is_entered = exists(
        encounter_participants::table
            .filter(encounter_participants::encounter_id.eq(encounters::id))
            .filter(encounter_participants::state.eq_any(ParticipantState::HERE)),
    );
    let left: Vec<EncounterId> = encounters::table
        .filter(among(encounters::id, interrupted))
        .filter(not(is_entered))
        .filter(encounters::see_to_at.is_null().or(encounters::see_to_at.le(tx.now)))
        .select(encounters::id)
        .load(tx.conn)?;
    Ok(left.into_iter().collect())
}

/// Makes a visit that is still interrupted, or that nobody began, a task of the clinic, and tells its
/// patient. The caller has made the access decision.
pub(crate) fn see_to(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let visit = lock_row(tx, id)?;
    let taken =
        encounters::table.filter(encounters::id.eq(id)).filter(encounters::see_to_at.le(tx.now));
    let taken =
        diesel::update(taken).set(encounters::see_to_at.eq(None::<Instant>)).execute(tx.conn)?;
    if taken == 0 {
        return Ok(());
    }
    let door = show::show(tx, id)?.door;
    if visit.status == EncounterStatus::Arrived && door.can_join {
        // It was put to another time meanwhile, or another has taken it.
        diesel::update(encounters::table.find(id))
            .set(encounters::see_to_at.eq(Some(door.closes_at)))
            .execute(tx.conn)?;
        return Ok(());
    }
    if visit.status == EncounterStatus::Arrived {
        unseen(tx, &visit)?;
    } else {
        interrupted(tx, &visit)?;
    }
    tx.record(Action::WatchVisits, "Encounter", id.0, &facts(&visit));
    Ok(())
}

fn interrupted(tx: &mut Tx, visit: &EncounterRow) -> Result<(), Error> {
    let door = show::show(tx, visit.id)?.door;
    let why = if door.can_join { TaskWhy::Interrupted } else { TaskWhy::DoorClosed };
    let owner = practitioner::find_reach(tx, visit.practitioner_id)?.account;
    task::open(tx, visit, TaskCode::Interrupted, why, owner)?;
    // Whoever is in the room sees it there.
    if !door.can_join || is_patient_here(tx, visit)? {
        return Ok(());
    }
    let reopened_at: Option<Instant> =
        encounters::table.find(visit.id).select(encounters::reopened_at).get_result(tx.conn)?;
    // Nobody was cut off who has not come back since the visit was ended by mistake.
    let tell = if reopened_at.is_some() { care::tell_still_open } else { care::tell_interrupted };
    tell_patient(tx, visit, door.closes_at, tell)
}

/// Somebody has seen to an interrupted visit and has not ended it: unless it goes on in time, it is a task
/// again. Once nobody can come in any more it must be ended: 409 `visit_not_ended`. The caller holds the
/// visit's lock and has made the access decision.
pub(crate) fn goes_on(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let visit = find_row(tx, id)?;
    if visit.status != EncounterStatus::Onleave {
        return Ok(());
    }
    let door = show::show(tx, id)?.door;
    if !door.can_join {
        return Err(Error::from(&problem::VISIT_NOT_ENDED));
    }
    let soon = tx.now.plus(minutes(&tx.config.visit));
    diesel::update(encounters::table.find(id))
        .set(encounters::see_to_at.eq(Some(soon.min(door.closes_at))))
        .execute(tx.conn)?;
    Ok(())
}

/// For how long a visit is interrupted before somebody must see to it.
fn minutes(rules: &config::Visit) -> TimeDelta {
    TimeDelta::minutes(i64::from(rules.interrupted_minutes))
}

/// The patient waited and nobody came: the office calls, since the practitioner did not.
fn unseen(tx: &mut Tx, visit: &EncounterRow) -> Result<(), Error> {
    task::open(tx, visit, TaskCode::Unseen, TaskWhy::DoorClosed, None)?;
    let until = tx.now.plus(TimeDelta::hours(UNSEEN_HOURS));
    tell_patient(tx, visit, until, care::tell_unseen)
}

fn is_patient_here(tx: &mut Tx, visit: &EncounterRow) -> Result<bool, Error> {
    let people = participants(tx, visit.id)?;
    let patient = |one: &ParticipantRow| one.role == ParticipantRole::Patient;
    Ok(people.iter().any(|one| patient(one) && one.state.is_here()))
}

type Tell = fn(&mut Tx, AccountId, &care::News) -> Result<bool, Error>;

pub(super) fn tell_patient(
    tx: &mut Tx,
    visit: &EncounterRow,
    until: Instant,
    tell: Tell,
) -> Result<(), Error> {
    let patient = patient::find_row(tx, visit.patient_id)?;
    let Some(account) = patient.account_id else { return Ok(()) };
    let news = care::News { visit, until, zone: patient.time_zone, is_guest: false };
    tell(tx, account, &news).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_a_while_and_never_after_the_door_has_closed() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let rules = config::Config::defaults().unwrap().visit;
        let (start, end) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T02:20:00Z"));
        let times = Times { start, end, told: None };
        let due = |status, now: &str| due_at(status, times, at(now), &rules);
        let broken = |now: &str| due(EncounterStatus::Onleave, now).unwrap();
        assert_eq!(broken("2026-11-24T02:05:00Z"), at("2026-11-24T02:15:00Z"));
        // It closes at 04:20.
        assert_eq!(broken("2026-11-24T04:15:00Z"), at("2026-11-24T04:20:00Z"));
        assert_eq!(broken("2026-11-24T04:30:00Z"), at("2026-11-24T04:30:00Z"));
        let waits = due(EncounterStatus::Arrived, "2026-11-24T02:05:00Z");
        assert_eq!(waits, Some(at("2026-11-24T04:20:00Z")), "who waits is seen to at the very end");
        for other in
            [EncounterStatus::Planned, EncounterStatus::InProgress, EncounterStatus::Finished]
        {
            assert_eq!(due(other, "2026-11-24T02:05:00Z"), None);
        }
    }
}
