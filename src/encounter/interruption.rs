//! Interrupted is not finished: when the two are not together again in time, or the door closes,
//! somebody of the clinic must see to it, and both sides know.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::base::column::Instant;
use crate::base::config;
use crate::base::error::Error;
use crate::base::schema::encounters;
use crate::base::tx::Tx;
use crate::encounter::door::door;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantRole, ParticipantState, facts, lock_row, participants,
    show,
};
use crate::message::care;
use crate::patient;
use crate::practitioner;
use crate::task::job::ROUND_MAX;
use crate::task::{self, TaskCode, TaskWhy};

/// When somebody must see to a visit that is interrupted now: after a while, and not after its door
/// has closed.
pub(crate) fn due_at(times: (Instant, Instant), now: Instant, rules: &config::Visit) -> Instant {
    let state = (AppointmentStatus::Arrived, EncounterStatus::Onleave);
    let closes_at = door(state, times, now, rules).closes_at.max(now);
    now.plus(TimeDelta::minutes(i64::from(rules.interrupted_minutes))).min(closes_at)
}

/// The visits that are interrupted for too long. Index: encounters_interrupted.
pub(crate) fn due(tx: &mut Tx) -> Result<Vec<EncounterId>, Error> {
    Ok(encounters::table
        .filter(encounters::interrupted_due_at.le(tx.now))
        .order(encounters::interrupted_due_at)
        .limit(ROUND_MAX)
        .select(encounters::id)
        .load(tx.conn)?)
}

/// Makes a visit that is still interrupted a task of the clinic, and tells its patient. The caller
/// has made the access decision.
pub(crate) fn see_to(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let visit = lock_row(tx, id)?;
    let taken = encounters::table
        .filter(encounters::id.eq(id))
        .filter(encounters::interrupted_due_at.le(tx.now));
    let taken = diesel::update(taken)
        .set(encounters::interrupted_due_at.eq(None::<Instant>))
        .execute(tx.conn)?;
    if taken == 0 {
        return Ok(());
    }
    let door = show::show(tx, id)?.door;
    let why = if door.can_join { TaskWhy::Interrupted } else { TaskWhy::DoorClosed };
    let owner = practitioner::find_reach(tx, visit.practitioner_id)?.account;
    task::open(tx, &visit, TaskCode::Interrupted, why, owner)?;
    if door.can_join {
        tell_patient(tx, &visit, door.closes_at)?;
    }
    tx.record(Action::WatchVisits, "Encounter", id.0, &facts(&visit));
    Ok(())
}

/// Whoever is in the room sees it there.
fn tell_patient(tx: &mut Tx, visit: &EncounterRow, until: Instant) -> Result<(), Error> {
    let here = [ParticipantState::Waiting, ParticipantState::Admitted];
    let is_here = participants(tx, visit.id)?
        .iter()
        .any(|one| one.role == ParticipantRole::Patient && here.contains(&one.state));
    let patient = patient::find_row(tx, visit.patient_id)?;
    let (false, Some(account)) = (is_here, patient.account_id) else { return Ok(()) };
    let news = care::News { visit, until, zone: patient.time_zone, is_guest: false };
    care::tell_interrupted(tx, account, &news).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_a_while_and_never_after_the_door_has_closed() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let rules = config::Config::defaults().unwrap().visit;
        let times = (at("2026-11-24T02:00:00Z"), at("2026-11-24T02:20:00Z"));
        let due = |now: &str| due_at(times, at(now), &rules);
        assert_eq!(due("2026-11-24T02:05:00Z"), at("2026-11-24T02:15:00Z"));
        // It closes at 04:20.
        assert_eq!(due("2026-11-24T04:15:00Z"), at("2026-11-24T04:20:00Z"));
        assert_eq!(due("2026-11-24T04:30:00Z"), at("2026-11-24T04:30:00Z"));
    }
}
