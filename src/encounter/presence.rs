//! Who is really here: what sockets report, kept in the database so that it survives them.

use diesel::dsl::max;
use diesel::prelude::*;

use crate::base::column::{self, Instant, text_enum};
use crate::base::error::Error;
use crate::base::schema::{call_events, encounter_participants};
use crate::base::tx::{Event, Tx};
use crate::consent::standing;
pub use crate::encounter::lifecycle::is_over;
use crate::encounter::lifecycle::{Act, EncounterStatus};
use crate::encounter::party::comes_as_patient;
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantId, ParticipantRole, ParticipantRow, ParticipantState,
    advance, find_participant, find_row, lock_row, participants,
};
use crate::ring;

text_enum!(
    /// A line of the call log.
    CallEventKind {
        /// Somebody came.
        Joined = "joined",
        /// Somebody left.
        Left = "left",
    }
);

text_enum!(
    /// Why somebody is no longer in the call.
    LeftWhy {
        /// They pressed the button.
        Left = "left",
        /// Their line broke and did not come back.
        Lost = "lost",
        /// They signed out, or their sign-in ended.
        SignedOut = "signed_out",
        /// The visit has ended.
        Finished = "finished",
        /// The visit's time has run out.
        TimeOver = "time_over",
        /// They were turned away.
        Denied = "denied",
        /// Their invitation was taken back.
        Removed = "removed",
    }
);

/// Somebody has come: what rings for them is answered. A patient who was let in before stays let in;
/// otherwise they wait. The caller has made the access decision.
pub fn enter(
    tx: &mut Tx,
    encounter: EncounterId,
    id: ParticipantId,
) -> Result<ParticipantRow, Error> {
    let here = be_here(tx, encounter, id)?;
    ring::answered(tx, encounter, id)?;
    Ok(here)
}

/// As [`enter`], of a page that comes by itself, as every page does when its line is back: nobody has
/// touched anything, and what rings rings on.
pub fn be_here(
    tx: &mut Tx,
    encounter: EncounterId,
    id: ParticipantId,
) -> Result<ParticipantRow, Error> {
    let row = lock_row(tx, encounter)?;
    let found = find_participant(tx, encounter, id)?;
    let was_here = found.state.is_here();
    if !was_here {
        let practitioner = found.role == ParticipantRole::Practitioner;
        // Whom the patient must agree to stays let in only as long as they do.
        let is_welcome = standing::missing(tx, &row, (found.role, found.brought))?.is_none();
        let (state, admitted_at, since) = match found.admitted_at.filter(|_| is_welcome) {
            Some(at) => (ParticipantState::Admitted, Some(at), None),
            None if practitioner => (ParticipantState::Admitted, Some(tx.now), None),
            None => (ParticipantState::Waiting, None, Some(tx.now)),
        };
        diesel::update(encounter_participants::table.find(id))
            .set((
                encounter_participants::state.eq(state),
                encounter_participants::admitted_at.eq(admitted_at),
                encounter_participants::waiting_since.eq(since),
                encounter_participants::updated_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        log(tx, encounter, id, CallEventKind::Joined, None)?;
        moved_queue(tx, &row, &found);
    }
    let people = participants(tx, encounter)?;
    if comes_as_patient(found.role, &people) && row.status == EncounterStatus::Planned {
        advance(tx, row.appointment_id, Act::Arrive, None)?;
    }
    settle(tx, &row)?;
    find_participant(tx, encounter, id)
}

/// Somebody has left, or their line did not come back. The visit goes on being open.
pub fn leave(
    tx: &mut Tx,
    encounter: EncounterId,
    id: ParticipantId,
    why: LeftWhy,
) -> Result<(), Error> {
    let row = lock_row(tx, encounter)?;
    let found = find_participant(tx, encounter, id)?;
    let is_here = found.state.is_here();
    if is_here {
        diesel::update(encounter_participants::table.find(id))
            .set((
                encounter_participants::state.eq(ParticipantState::Left),
                encounter_participants::waiting_since.eq(None::<Instant>),
                encounter_participants::updated_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
    }
    if is_here {
        moved_queue(tx, &row, &found);
    }
    if is_here || found.state == ParticipantState::Denied {
        log(tx, encounter, id, CallEventKind::Left, Some(why))?;
    }
    settle(tx, &row)
}

/// A patient who comes or goes makes the wait of those behind another; of a practitioner who is
/// nowhere nobody knows how long it is.
fn moved_queue(tx: &mut Tx, row: &EncounterRow, who: &ParticipantRow) {
    if matches!(who.role, ParticipantRole::Patient | ParticipantRole::Practitioner) {
        tx.tell(Event::QueueMoved(row.practitioner_id));
    }
}

/// Makes the visit's status tell who is here: in progress while the practitioner and an admitted
/// patient are, interrupted when one of them is not.
pub(crate) fn settle(tx: &mut Tx, row: &EncounterRow) -> Result<(), Error> {
    let status = find_row(tx, row.id)?.status;
    let people = participants(tx, row.id)?;
    let inside = || people.iter().filter(|one| one.state == ParticipantState::Admitted);
    let together = inside().any(|one| one.role == ParticipantRole::Practitioner)
        && inside().any(|one| comes_as_patient(one.role, &people));
    let act = match (status, together) {
        (EncounterStatus::Arrived, true) => Act::Admit,
        (EncounterStatus::Onleave, true) => Act::Resume,
        (EncounterStatus::InProgress, false) => Act::Interrupt,
        _ => return Ok(()),
    };
    advance(tx, row.appointment_id, act, None).map(|_state| ())
}

/// Writes down that somebody who was here was sent out. The caller holds the visit's lock.
pub(super) fn note_removal(
    tx: &mut Tx,
    encounter: EncounterId,
    who: &ParticipantRow,
) -> Result<(), Error> {
    if who.state.is_here() {
        log(tx, encounter, who.id, CallEventKind::Left, Some(LeftWhy::Removed))?;
    }
    Ok(())
}

/// Everybody leaves a visit that has ended.
pub(crate) fn clear(tx: &mut Tx, encounter: EncounterId) -> Result<(), Error> {
    for found in participants(tx, encounter)? {
        if found.state.is_here() {
            diesel::update(encounter_participants::table.find(found.id))
                .set((
                    encounter_participants::state.eq(ParticipantState::Left),
                    encounter_participants::waiting_since.eq(None::<Instant>),
                    encounter_participants::updated_at.eq(tx.now),
                ))
                .execute(tx.conn)?;
            log(tx, encounter, found.id, CallEventKind::Left, Some(LeftWhy::Finished))?;
        }
    }
    Ok(())
}

/// Whoever was let in to a visit that is moved waits again when its new time comes.
pub(crate) fn forget_admission(tx: &mut Tx, encounter: EncounterId) -> Result<(), Error> {
    diesel::update(
        encounter_participants::table
            .filter(encounter_participants::encounter_id.eq(encounter))
            .filter(encounter_participants::admitted_at.is_not_null()),
    )
    .set((
        encounter_participants::admitted_at.eq(None::<Instant>),
        encounter_participants::updated_at.eq(tx.now),
    ))
    .execute(tx.conn)?;
    Ok(())
}

/// The next line of the call log. The caller holds the visit's lock, so that lines have an order
/// even when two are written in one instant.
fn log(
    tx: &mut Tx,
    encounter: EncounterId,
    participant: ParticipantId,
    kind: CallEventKind,
    why: Option<LeftWhy>,
) -> Result<(), Error> {
    let last: Option<i32> = call_events::table
        .filter(call_events::encounter_id.eq(encounter))
        .select(max(call_events::seq))
        .get_result(tx.conn)?;
    diesel::insert_into(call_events::table)
        .values((
            call_events::id.eq(column::Uuid::new(tx.now)),
            call_events::encounter_id.eq(encounter),
            call_events::seq.eq(last.unwrap_or(0).saturating_add(1)),
            call_events::participant_id.eq(participant),
            call_events::at.eq(tx.now),
            call_events::kind.eq(kind),
            call_events::why.eq(why),
        ))
        .execute(tx.conn)?;
    Ok(())
}
