//! How the people of a visit are arranged: the door is locked behind them, some go aside.

use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters};
use crate::base::tx::Tx;
use crate::encounter::guest::is_guest;
use crate::encounter::show::{Encounter, Participant, show};
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantId, ParticipantRow, ParticipantState, facts,
    find_participant, lock_row, party, presence,
};

/// Whether the door is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Nobody new comes in.
    pub locked: bool,
}

/// Locks the door, or opens it: while it is locked nobody is asked to come, and no guest comes in
/// for the first time. Whoever was in comes back, and the patient is never shut out.
pub fn lock(tx: &mut Tx, id: EncounterId, lock: Lock) -> Result<Encounter, Error> {
    // Locked first: whose visit it is may change at this moment.
    let row = lock_row(tx, id)?;
    tx.allow(Action::ArrangeRoom, &facts(&row))?;
    if presence::is_over(row.status) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if row.locked != lock.locked {
        diesel::update(encounters::table.find(id))
            .set((encounters::locked.eq(lock.locked), encounters::updated_at.eq(tx.now)))
            .execute(tx.conn)?;
        party::tell(tx, id)?;
        tx.record(Action::ArrangeRoom, "Encounter", id.0, &facts(&row));
    }
    show(tx, id)
}

/// 409 `room_locked` for a guest who was not in yet, while the door is locked.
pub fn check_lock(row: &EncounterRow, who: &ParticipantRow) -> Result<(), Error> {
    let was_in = !matches!(who.state, ParticipantState::Invited | ParticipantState::Denied);
    if row.locked && is_guest(who.role) && !was_in {
        return Err(Error::from(&problem::ROOM_LOCKED));
    }
    Ok(())
}

/// Whether somebody is in the side room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Aside {
    /// In the side room, or back with the others.
    pub aside: bool,
}

/// Sends somebody who is in to the side room, or back: those in it talk with each other, and the
/// others with each other. 409 `bad_state` when they are not let in.
pub fn put_aside(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
    wanted: Aside,
) -> Result<Participant, Error> {
    // Locked first: whose visit it is may change at this moment.
    let row = lock_row(tx, id)?;
    tx.allow(Action::ArrangeRoom, &facts(&row))?;
    let who = find_participant(tx, id, participant)?;
    if who.state != ParticipantState::Admitted || presence::is_over(row.status) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if who.aside != wanted.aside {
        diesel::update(encounter_participants::table.find(participant))
            .set((
                encounter_participants::aside.eq(wanted.aside),
                encounter_participants::updated_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        party::tell(tx, id)?;
        tx.record(Action::ArrangeRoom, "Encounter", id.0, &facts(&row));
    }
    Ok(find_participant(tx, id, participant)?.into())
}

/// Nobody is in the side room any more: the visit is at another time, or another's. The caller tells
/// the room.
pub(super) fn bring_all_back(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let aside = encounter_participants::table
        .filter(encounter_participants::encounter_id.eq(id))
        .filter(encounter_participants::aside.eq(true));
    diesel::update(aside).set(encounter_participants::aside.eq(false)).execute(tx.conn)?;
    Ok(())
}
