//! Seats in the database: what a ticket opens and a secret opens again, whatever process asks.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::account::token::TicketClaims;
use crate::account::{SessionId, session};
use crate::base::column::{self, Instant};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters, rtc_sessions, rtc_tickets};
use crate::base::seal::{random, sha256};
use crate::base::tx::Tx;
use crate::call::departure::Departure;
use crate::call::event::{Credentials, Guest, OverWhy};
use crate::call::message::Resume;
use crate::call::probe::kept;
use crate::call::probe::verdict::Verdict;
use crate::call::rung::Rung;
use crate::encounter::arrange::check_lock;
use crate::encounter::door::Closed;
use crate::encounter::guest::facts_for;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::{
    EncounterId, ParticipantId, ParticipantRow, ParticipantState, facts, find_participant,
    find_row, lock_row, show,
};
use crate::encounter::{party, presence};
use crate::practitioner::PractitionerId;

/// A seat that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The visit.
    pub encounter: EncounterId,
    /// Whose day it is in.
    pub practitioner: PractitionerId,
    /// Who sits there.
    pub guest: Guest,
    /// How to come back.
    pub credentials: Credentials,
}

/// Who comes with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// Somebody.
    Person,
    /// A page that lies in the background and lost its seat: nobody has touched it.
    PageAlone,
}

/// Takes a seat with a ticket, which works once. Earlier seats of the participant end.
/// 401 when the ticket was used or has run out, 410 when the visit is over.
pub fn take(tx: &mut Tx, ticket: &TicketClaims, comes: Comes) -> Result<Taken, Error> {
    // Locked first: whoever is sent out or locked out meanwhile does not slip in.
    let row = lock_row(tx, ticket.encounter)?;
    let asked = facts_for(tx, &row)?;
    tx.allow(Action::JoinEncounter, &asked)?;
    let used = diesel::update(
        rtc_tickets::table
            .filter(rtc_tickets::id.eq(column::Uuid(ticket.jti)))
            .filter(rtc_tickets::participant_id.eq(ticket.participant))
            .filter(rtc_tickets::used_at.is_null())
            .filter(rtc_tickets::expires_at.gt(tx.now)),
    )
    .set(rtc_tickets::used_at.eq(Some(tx.now)))
    .execute(tx.conn)?;
    if used == 0 {
        return Err(Error::from(&problem::INVALID_TOKEN));
    }
    check_open(tx, ticket.encounter)?;
    check_lock(&row, &find_participant(tx, ticket.encounter, ticket.participant)?)?;
    stand_up(tx, ticket.participant)?;
    let sid = next_sid(tx, ticket.participant)?;
    let secret = URL_SAFE_NO_PAD.encode(random::<32>()?);
    diesel::insert_into(rtc_sessions::table)
        .values((
            rtc_sessions::id.eq(sid),
            rtc_sessions::encounter_id.eq(ticket.encounter),
            rtc_sessions::participant_id.eq(ticket.participant),
            rtc_sessions::sign_in_session_id.eq(ticket.session),
            rtc_sessions::secret_hash.eq(sha256(secret.as_bytes())),
            rtc_sessions::epoch.eq(1),
            rtc_sessions::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let guest = match comes {
        Comes::Person => presence::enter(tx, ticket.encounter, ticket.participant)?,
        Comes::PageAlone => presence::be_here(tx, ticket.encounter, ticket.participant)?,
    };
    let credentials =
        Credentials { sid: sid.0, secret: Some(secret), epoch: 1, session: ticket.session };
    let practitioner = row.practitioner_id;
    let guest = seated(tx, guest)?;
    Ok(Taken { encounter: ticket.encounter, practitioner, guest, credentials })
}

/// The visit of a seat and the sign-in session that it rests on, for whoever has its secret; the
/// first half of [`take_again`]. It only reads, so that a stranger's guess does not keep the writer
/// busy.
pub fn place_of(tx: &mut Tx, asked: &Resume) -> Result<(EncounterId, SessionId), Error> {
    // The system looks up whose rights are asked next.
    tx.allow(Action::SignIn, &crate::access::Facts::NONE)?;
    let found: Option<(EncounterId, SessionId, Vec<u8>)> = rtc_sessions::table
        .find(column::Uuid(asked.sid))
        .select((
            rtc_sessions::encounter_id,
            rtc_sessions::sign_in_session_id,
            rtc_sessions::secret_hash,
        ))
        .get_result(tx.conn)
        .optional()?;
    let (encounter, session, secret_hash) =
        found.ok_or_else(|| Error::from(&problem::INVALID_TOKEN))?;
    check_secret(asked, &secret_hash)?;
    Ok((encounter, session))
}

fn check_secret(asked: &Resume, secret_hash: &[u8]) -> Result<(), Error> {
    let secret = sha256(asked.secret.as_bytes());
    verify_slices_are_equal(&secret, secret_hash)
        .map_err(|_different| Error::from(&problem::INVALID_TOKEN))
}

type SeatRow = (EncounterId, ParticipantId, SessionId, Vec<u8>, i32, Option<Instant>);

/// Takes a seat again with its secret and epoch; the older socket is fenced off by the new
/// epoch. 401 when the secret is wrong or the seat was given up, 409 when a newer one has been
/// taken, 410 when it is over.
pub fn take_again(tx: &mut Tx, asked: &Resume) -> Result<Taken, Error> {
    let found: Option<SeatRow> = rtc_sessions::table
        .find(column::Uuid(asked.sid))
        .select((
            rtc_sessions::encounter_id,
            rtc_sessions::participant_id,
            rtc_sessions::sign_in_session_id,
            rtc_sessions::secret_hash,
            rtc_sessions::epoch,
            rtc_sessions::ended_at,
        ))
        .get_result(tx.conn)
        .optional()?;
    let invalid = || Error::from(&problem::INVALID_TOKEN);
    let (encounter, participant, session, secret_hash, epoch, ended_at) =
        found.ok_or_else(invalid)?;
    let row = find_row(tx, encounter)?;
    let known = facts_for(tx, &row)?;
    tx.allow(Action::JoinEncounter, &known)?;
    check_secret(asked, &secret_hash)?;
    // A lower epoch is good: the answer to a resume may be lost with its socket, more than once.
    if asked.epoch > epoch {
        return Err(invalid());
    }
    let row = lock_row(tx, row.id)?;
    check_open(tx, encounter)?;
    check_awake(tx, row.status, session)?;
    let state = find_participant(tx, encounter, participant)?.state;
    if ended_at.is_some() || is_sent_away(state) {
        let elsewhere = ended_at.is_some() && has_seat(tx, participant)?;
        return Err(if elsewhere { Error::from(&problem::CONFLICT) } else { invalid() });
    }
    let epoch = next_epoch(tx, asked.sid)?;
    let guest = presence::be_here(tx, encounter, participant)?;
    let credentials = Credentials { sid: asked.sid, secret: None, epoch, session };
    let practitioner = row.practitioner_id;
    let guest = seated(tx, guest)?;
    Ok(Taken { encounter, practitioner, guest, credentials })
}

/// Two who come back at once with the same secret both succeed; the later one has the seat.
fn next_epoch(tx: &mut Tx, sid: uuid::Uuid) -> Result<i32, Error> {
    let open = rtc_sessions::table
        .filter(rtc_sessions::id.eq(column::Uuid(sid)))
        .filter(rtc_sessions::ended_at.is_null());
    let moved: Option<(i32, column::Uuid)> = diesel::update(open)
        .set(rtc_sessions::epoch.eq(rtc_sessions::epoch + 1))
        .returning((rtc_sessions::epoch, rtc_sessions::id))
        .get_result(tx.conn)
        .optional()?;
    moved.map(|(epoch, _)| epoch).ok_or_else(|| Error::from(&problem::CONFLICT))
}

/// Turned away or sent out: only a new ticket brings them back into the waiting room.
fn is_sent_away(state: ParticipantState) -> bool {
    matches!(state, ParticipantState::Denied | ParticipantState::Removed)
}

fn has_seat(tx: &mut Tx, id: ParticipantId) -> Result<bool, Error> {
    let open = rtc_sessions::table
        .filter(rtc_sessions::participant_id.eq(id))
        .filter(rtc_sessions::ended_at.is_null());
    Ok(open.count().get_result::<i64>(tx.conn)? > 0)
}

/// How a seat stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it should, at this change of the visit ([`party::Party::rev`]).
    Good(i32),
    /// Somebody else sits there by now, or it was given up.
    Superseded,
    /// The visit was put to another time, and nobody has told the room.
    PutOff,
    /// The visit is over.
    Over(OverWhy),
}

/// Looks whether whoever sits on a socket still may. Refused when their sign-in has ended, they
/// have lost the right to join, or they were turned away.
pub fn look(
    tx: &mut Tx,
    encounter: EncounterId,
    id: ParticipantId,
    seat: &Credentials,
) -> Result<Standing, Error> {
    let row = find_row(tx, encounter)?;
    let known = facts_for(tx, &row)?;
    tx.allow(Action::JoinEncounter, &known)?;
    let state = find_participant(tx, encounter, id)?.state;
    if is_sent_away(state) {
        return Err(Error::from(&problem::FORBIDDEN));
    }
    if presence::is_over(row.status) {
        return Ok(Standing::Over(OverWhy::Finished));
    }
    if show::show(tx, encounter)?.door.reason == Some(Closed::Over) {
        return Ok(Standing::Over(OverWhy::TimeOver));
    }
    check_awake(tx, row.status, seat.session)?;
    let mine = rtc_sessions::table
        .filter(rtc_sessions::id.eq(column::Uuid(seat.sid)))
        .filter(rtc_sessions::epoch.eq(seat.epoch))
        .filter(rtc_sessions::ended_at.is_null());
    let sits = mine.count().get_result::<i64>(tx.conn)? > 0;
    Ok(match sits {
        true if state.is_here() => Standing::Good(row.room_rev),
        true => Standing::PutOff,
        false => Standing::Superseded,
    })
}

/// Gives a seat up: whoever sat there has left, or their line did not come back. A seat that was
/// taken anew meanwhile is not theirs to give: then it answers with its epoch.
pub fn give_up(tx: &mut Tx, departure: Departure) -> Result<Option<i32>, Error> {
    let Departure { encounter, participant, sid, epoch, why } = departure;
    let row = lock_row(tx, encounter)?;
    tx.allow(Action::JoinEncounter, &facts(&row))?;
    let ended = diesel::update(
        rtc_sessions::table
            .filter(rtc_sessions::id.eq(column::Uuid(sid)))
            .filter(rtc_sessions::epoch.le(epoch))
            .filter(rtc_sessions::ended_at.is_null()),
    )
    .set(rtc_sessions::ended_at.eq(Some(tx.now)))
    .execute(tx.conn)?;
    if ended > 0 {
        presence::leave(tx, encounter, participant, why)?;
        return Ok(None);
    }
    Ok(rtc_sessions::table
        .find(column::Uuid(sid))
        .filter(rtc_sessions::ended_at.is_null())
        .select(rtc_sessions::epoch)
        .get_result(tx.conn)
        .optional()?)
}

/// Every seat that was taken when the process stopped, or those of some visits.
pub fn left_behind(
    tx: &mut Tx,
    of: Option<&[EncounterId]>,
) -> Result<Vec<(EncounterId, Guest, Credentials)>, Error> {
    tx.scope(Action::ReadEncounter)?;
    type Row = (column::Uuid, EncounterId, ParticipantId, SessionId, i32);
    let over = [EncounterStatus::Finished, EncounterStatus::Cancelled];
    let mut seats = rtc_sessions::table
        .inner_join(encounters::table.on(encounters::id.eq(rtc_sessions::encounter_id)))
        .inner_join(
            encounter_participants::table
                .on(encounter_participants::id.eq(rtc_sessions::participant_id)),
        )
        .filter(rtc_sessions::ended_at.is_null())
        .filter(encounters::status.ne_all(over))
        .filter(encounter_participants::state.eq_any(ParticipantState::HERE))
        .order(rtc_sessions::id)
        .select((
            rtc_sessions::id,
            rtc_sessions::encounter_id,
            rtc_sessions::participant_id,
            rtc_sessions::sign_in_session_id,
            rtc_sessions::epoch,
        ))
        .into_boxed();
    if let Some(of) = of {
        seats = seats.filter(rtc_sessions::encounter_id.eq_any(of));
    }
    let seats: Vec<Row> = seats.load(tx.conn)?;
    let mut restored = Vec::new();
    for (sid, encounter, participant, session, epoch) in seats {
        // Read first: a decision in between is then newer than what the seat has heard, and counts.
        let party = party::of(tx, encounter)?;
        let found = find_participant(tx, encounter, participant)?;
        let guest = Guest { party, ..seated(tx, found)? };
        let credentials = Credentials { sid: sid.0, secret: None, epoch, session };
        restored.push((encounter, guest, credentials));
    }
    Ok(restored)
}

/// The visit is locked, so that nobody else takes a seat of the participant now.
fn next_sid(tx: &mut Tx, id: ParticipantId) -> Result<column::Uuid, Error> {
    let latest: Option<column::Uuid> = rtc_sessions::table
        .filter(rtc_sessions::participant_id.eq(id))
        .order(rtc_sessions::id.desc())
        .select(rtc_sessions::id)
        .first(tx.conn)
        .optional()?;
    Ok(name_after(latest, tx.now))
}

/// A name for a seat that is above those of every earlier seat of the participant: a room hears of
/// seats late and in another order, and the higher name is the later seat, whatever the clocks of
/// the processes say.
pub(in crate::call) fn name_after(latest: Option<column::Uuid>, now: Instant) -> column::Uuid {
    let after =
        latest.and_then(|latest| latest.made_at()).map(|at| at.plus(TimeDelta::milliseconds(1)));
    column::Uuid::new(after.map_or(now, |after| after.max(now)))
}

fn stand_up(tx: &mut Tx, id: ParticipantId) -> Result<(), Error> {
    diesel::update(
        rtc_sessions::table
            .filter(rtc_sessions::participant_id.eq(id))
            .filter(rtc_sessions::ended_at.is_null()),
    )
    .set(rtc_sessions::ended_at.eq(Some(tx.now)))
    .execute(tx.conn)?;
    Ok(())
}

fn check_open(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    match show::show(tx, id)?.door.reason {
        None => Ok(()),
        Some(Closed::TooEarly) => Err(Error::from(&problem::TOO_EARLY)),
        Some(_) => Err(Error::from(&problem::VISIT_OVER)),
    }
}

/// A socket does not keep a sign-in alive: what ends without use ends here as well. Only a talk
/// is not cut off; it has an end of its own.
fn check_awake(tx: &mut Tx, visit: EncounterStatus, session: SessionId) -> Result<(), Error> {
    if visit != EncounterStatus::InProgress && session::is_idle(tx, session)? {
        return Err(Error::from(&problem::SESSION_OVER));
    }
    Ok(())
}

/// Somebody who sits down, who else takes part, and what their line carries.
fn seated(tx: &mut Tx, row: ParticipantRow) -> Result<Guest, Error> {
    let found = kept::fresh(tx, &row)?;
    Ok(Guest {
        carries: found.map_or(Rung::Video, Verdict::rung),
        id: row.id,
        role: row.role,
        name: row.name,
        admitted: row.state == ParticipantState::Admitted,
        since: row.waiting_since,
        place: None,
        sits_with: row.sits_with,
        party: party::of(tx, row.encounter_id)?,
    })
}
