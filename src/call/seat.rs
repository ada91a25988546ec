//! Seats in the database: what a ticket opens and a secret opens again, whatever process asks.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::account::SessionId;
use crate::account::token::TicketClaims;
use crate::base::column::{self, Instant};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters, rtc_sessions, rtc_tickets};
use crate::base::seal::{random, sha256};
use crate::base::tx::Tx;
use crate::call::message::Resume;
use crate::call::room::{Credentials, Guest};
use crate::encounter::door::Closed;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::presence::{self, LeftWhy};
use crate::encounter::{
    EncounterId, ParticipantId, ParticipantRow, ParticipantState, facts, find_row, show,
};

/// A seat that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The visit.
    pub encounter: EncounterId,
    /// Who sits there.
    pub guest: Guest,
    /// How to come back.
    pub credentials: Credentials,
    /// The sign-in session it rests on.
    pub session: SessionId,
}

/// Takes a seat with a ticket, which works once. Earlier seats of the participant end.
/// 401 when the ticket was used or has run out, 410 when the visit is over.
pub fn take(tx: &mut Tx, ticket: &TicketClaims) -> Result<Taken, Error> {
    let row = find_row(tx, ticket.encounter)?;
    tx.allow(Action::JoinEncounter, &facts(&row))?;
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
    stand_up(tx, ticket.participant)?;
    let sid = column::Uuid::new(tx.now);
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
    let guest = presence::enter(tx, ticket.encounter, ticket.participant)?;
    Ok(Taken {
        encounter: ticket.encounter,
        guest: Guest::from(guest),
        credentials: Credentials { sid: sid.0, secret: Some(secret), epoch: 1 },
        session: ticket.session,
    })
}

/// The sign-in session that a seat rests on; the first half of [`take_again`].
pub fn session_of(tx: &mut Tx, sid: uuid::Uuid) -> Result<SessionId, Error> {
    // The system looks up whose rights are asked next.
    tx.allow(Action::SignIn, &crate::access::Facts::NONE)?;
    rtc_sessions::table
        .find(column::Uuid(sid))
        .select(rtc_sessions::sign_in_session_id)
        .first(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::INVALID_TOKEN))
}

type SeatRow = (EncounterId, ParticipantId, SessionId, Vec<u8>, i32, Option<Instant>);

/// Takes a seat again with its secret and epoch; the older socket is fenced off by the new
/// epoch. 401 when the secret is wrong, 409 when somebody was faster, 410 when it is over.
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
        .first(tx.conn)
        .optional()?;
    let (encounter, participant, session, secret_hash, epoch, ended_at) =
        found.ok_or_else(|| Error::from(&problem::INVALID_TOKEN))?;
    let row = find_row(tx, encounter)?;
    tx.allow(Action::JoinEncounter, &facts(&row))?;
    let secret = sha256(asked.secret.as_bytes());
    if verify_slices_are_equal(&secret, &secret_hash).is_err() {
        return Err(Error::from(&problem::INVALID_TOKEN));
    }
    check_open(tx, encounter)?;
    if ended_at.is_some() {
        return Err(Error::from(&problem::CONFLICT));
    }
    // The answer to an earlier resume may have been lost with its socket: the epoch before the
    // present one is still good, the seat's secret is what proves who asks.
    if asked.epoch > epoch {
        return Err(Error::from(&problem::INVALID_TOKEN));
    }
    let next = epoch.saturating_add(1);
    let moved = diesel::update(
        rtc_sessions::table
            .filter(rtc_sessions::id.eq(column::Uuid(asked.sid)))
            .filter(rtc_sessions::epoch.eq(epoch)),
    )
    .set(rtc_sessions::epoch.eq(next))
    .execute(tx.conn)?;
    if moved == 0 {
        return Err(Error::from(&problem::CONFLICT));
    }
    let guest = presence::enter(tx, encounter, participant)?;
    Ok(Taken {
        encounter,
        guest: Guest::from(guest),
        credentials: Credentials { sid: asked.sid, secret: None, epoch: next },
        session,
    })
}

/// Gives a seat up: whoever sat there has left, or their line did not come back.
pub fn give_up(tx: &mut Tx, encounter: EncounterId, id: ParticipantId, why: LeftWhy) -> Result<(), Error> {
    let row = find_row(tx, encounter)?;
    tx.allow(Action::JoinEncounter, &facts(&row))?;
    stand_up(tx, id)?;
    presence::leave(tx, encounter, id, why)
}

/// Everybody who was here when the process stopped, by visit.
pub fn left_behind(tx: &mut Tx) -> Result<Vec<(EncounterId, Guest)>, Error> {
    tx.scope(Action::ReadEncounter)?;
    let open = [EncounterStatus::Arrived, EncounterStatus::InProgress, EncounterStatus::Onleave];
    let ids: Vec<EncounterId> = encounters::table
        .inner_join(encounter_participants::table)
        .filter(encounters::status.eq_any(open).or(encounters::status.eq(EncounterStatus::Planned)))
        .filter(
            encounter_participants::state
                .eq(ParticipantState::Waiting)
                .or(encounter_participants::state.eq(ParticipantState::Admitted)),
        )
        .select(encounters::id)
        .distinct()
        .load(tx.conn)?;
    let mut guests = Vec::new();
    for id in ids {
        for row in crate::encounter::participants(tx, id)? {
            if matches!(row.state, ParticipantState::Waiting | ParticipantState::Admitted) {
                guests.push((id, Guest::from(row)));
            }
        }
    }
    Ok(guests)
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

impl From<ParticipantRow> for Guest {
    fn from(row: ParticipantRow) -> Self {
        Self {
            id: row.id,
            role: row.role,
            name: row.name,
            admitted: row.state == ParticipantState::Admitted,
            since: row.waiting_since,
        }
    }
}
