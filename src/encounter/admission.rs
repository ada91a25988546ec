//! The way into a visit: the ticket, and the practitioner's word.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::account::token::TicketClaims;
use crate::base::column::{self, Instant};
use crate::base::db::{Conn, statement};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, rtc_tickets};
use crate::base::tx::Tx;
use crate::call::ice::{self, IceServer};
use crate::consent::standing;
use crate::encounter::arrange;
use crate::encounter::door::Closed;
use crate::encounter::guest;
use crate::encounter::show::{Participant, show};
use crate::encounter::{
    Admission, EncounterId, EncounterRow, ParticipantId, ParticipantRole, ParticipantRow,
    ParticipantState, count_change, facts, find_participant, lock_row, participants, party,
    presence,
};

/// How long a ticket can be used, in seconds.
pub const TICKET_SECS: i64 = 120;
/// Tickets per participant within the life of one.
const TICKETS_MAX: i64 = 20;

/// What a browser needs to enter the call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Joined {
    /// Where the WebSocket is.
    pub ws_url: String,
    /// Opens it once, within two minutes; sent in the first frame, never in a URL.
    pub ticket: String,
    /// STUN and TURN servers, with credentials that run out.
    pub ice_servers: Vec<IceServer>,
    /// The caller's part in the visit.
    pub participant: JoinedAs,
}

/// The caller's part in the visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JoinedAs {
    /// The id.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
}

/// How somebody asks for a ticket.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Nobody has asked for their seat yet: the page only opens the way before they do, and they
    /// are not shown as coming in.
    #[serde(default)]
    pub ahead: bool,
}

/// Hands out a ticket to the visit. 409 `too_early` with `opens_at`, 410 `visit_over`.
pub fn join(tx: &mut Tx, id: EncounterId, wish: Join, ws_url: String) -> Result<Joined, Error> {
    // Locked first: whose visit it is may change at this moment.
    let row = lock_row(tx, id)?;
    let asked = guest::facts_for(tx, &row)?;
    tx.allow(Action::JoinEncounter, &asked)?;
    check_door(tx, id)?;
    let participant = take_part(tx, &row)?;
    arrange::check_lock(&row, &participant)?;
    let open = rtc_tickets::table
        .filter(rtc_tickets::participant_id.eq(participant.id))
        .filter(rtc_tickets::expires_at.gt(tx.now))
        .count()
        .get_result::<i64>(tx.conn)?;
    if open >= TICKETS_MAX {
        return Err(Error::from(&problem::TOO_MANY_ATTEMPTS).retry_after(30));
    }
    let session = tx.person()?.session;
    let jti = column::Uuid::new(tx.now);
    diesel::insert_into(rtc_tickets::table)
        .values((
            rtc_tickets::id.eq(jti),
            rtc_tickets::participant_id.eq(participant.id),
            rtc_tickets::expires_at.eq(tx.now.plus(TimeDelta::seconds(TICKET_SECS))),
            rtc_tickets::ahead.eq(wish.ahead),
        ))
        .execute(tx.conn)?;
    let claims = TicketClaims { participant: participant.id, encounter: id, session, jti: jti.0 };
    let ticket = tx.app.tokens.issue_ticket(&claims, tx.now)?;
    let ice_servers = ice::servers(&tx.config.ice, participant.id.0, tx.now);
    tx.record(Action::JoinEncounter, "Encounter", id.0, &facts(&row));
    let participant = JoinedAs { id: participant.id, role: participant.role };
    Ok(Joined { ws_url, ticket, ice_servers, participant })
}

/// Throws away a piece of the tickets that have run out. Index: rtc_tickets_by_expiry.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    Sweep { over: &now }.execute(conn)
}

statement!(
    /// A ticket that is gone is refused like one that was used.
    Sweep
    "DELETE FROM rtc_tickets WHERE id IN (SELECT id FROM rtc_tickets
     WHERE expires_at <= " over: column::sql::Moment = Instant;
    " LIMIT 500)"
);

/// Whether one can come in. 409 `too_early` with `opens_at`, 410 `visit_over`.
pub(crate) fn check_door(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let door = show(tx, id)?.door;
    match door.reason {
        None => Ok(()),
        Some(Closed::TooEarly) => {
            Err(Error::from(&problem::TOO_EARLY).with("opens_at", door.opens_at))
        }
        Some(Closed::OnHold) => Err(Error::from(&problem::BAD_STATE)),
        Some(Closed::Over | Closed::Cancelled) => Err(Error::from(&problem::VISIT_OVER)),
    }
}

/// The caller's row in the visit, made when they come for the first time.
fn take_part(tx: &mut Tx, row: &EncounterRow) -> Result<ParticipantRow, Error> {
    let person = tx.person()?.clone();
    let here = participants(tx, row.id)?;
    let conducts = person.active_practitioner() == Some(row.practitioner_id);
    if let Some(found) = here.into_iter().find(|found| found.account_id == person.account) {
        // Who was asked for advice may conduct the visit by now, and who conducted it once, again.
        let is_new =
            found.role != ParticipantRole::Practitioner || found.state == ParticipantState::Removed;
        if conducts && is_new {
            let state = match found.state {
                ParticipantState::Removed => ParticipantState::Invited,
                state => state,
            };
            diesel::update(encounter_participants::table.find(found.id))
                .set((
                    encounter_participants::state.eq(state),
                    encounter_participants::role.eq(ParticipantRole::Practitioner),
                    encounter_participants::sits_with_id.eq(None::<ParticipantId>),
                    encounter_participants::updated_at.eq(tx.now),
                ))
                .execute(tx.conn)?;
            // Whoever comes brings it to the room.
            count_change(tx, row.id)?;
            return find_participant(tx, row.id, found.id);
        }
        return Ok(found);
    }
    let role = if conducts { ParticipantRole::Practitioner } else { ParticipantRole::Patient };
    let id = ParticipantId::new(tx.now);
    diesel::insert_into(encounter_participants::table)
        .values((
            encounter_participants::id.eq(id),
            encounter_participants::encounter_id.eq(row.id),
            encounter_participants::account_id.eq(person.account),
            encounter_participants::role.eq(role),
            encounter_participants::name.eq(&person.name),
            encounter_participants::state.eq(ParticipantState::Invited),
            encounter_participants::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    count_change(tx, row.id)?;
    find_participant(tx, row.id, id)
}

/// Whom a practitioner's word is about.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The participant.
    pub participant: ParticipantId,
}

/// Lets somebody in who waits; they stay let in when their line breaks. 409 `consent_missing` for
/// somebody whom the patient has not agreed to.
pub fn admit(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
) -> Result<Participant, Error> {
    standing::wait_for_a_withdrawal(tx, id)?;
    let (row, guest) = somebody(tx, id, participant)?;
    match guest.state {
        // Whoever was to tell the room may be dead, and whoever presses again sees them wait.
        ParticipantState::Admitted => {
            party::tell(tx, id)?;
            return Ok(guest.into());
        }
        ParticipantState::Waiting => {}
        _ => return Err(Error::from(&problem::BAD_STATE)),
    }
    standing::check(tx, &row, (guest.role, guest.brought))?;
    set(tx, participant, ParticipantState::Admitted, Some(tx.now))?;
    presence::settle(tx, &row)?;
    party::tell_decision(tx, id, participant, Admission::Admitted)?;
    tx.record(Action::Admit, "Encounter", id.0, &facts(&row));
    Ok(find_participant(tx, id, participant)?.into())
}

/// Sends somebody back to the waiting room.
pub fn hold(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
) -> Result<Participant, Error> {
    let (row, guest) = somebody(tx, id, participant)?;
    match guest.state {
        ParticipantState::Waiting => {
            party::tell(tx, id)?;
            return Ok(guest.into());
        }
        ParticipantState::Admitted => {}
        _ => return Err(Error::from(&problem::BAD_STATE)),
    }
    set(tx, participant, ParticipantState::Waiting, None)?;
    presence::settle(tx, &row)?;
    party::tell_decision(tx, id, participant, Admission::Held)?;
    bring_back(tx, &row, &guest)?;
    tx.record(Action::Admit, "Encounter", id.0, &facts(&row));
    Ok(find_participant(tx, id, participant)?.into())
}

/// Turns somebody away for now; they may ask again while the door is open.
pub fn deny(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
) -> Result<Participant, Error> {
    let (row, guest) = somebody(tx, id, participant)?;
    if !guest.state.is_here() {
        return Err(Error::from(&problem::BAD_STATE));
    }
    set(tx, participant, ParticipantState::Denied, None)?;
    presence::settle(tx, &row)?;
    party::tell_decision(tx, id, participant, Admission::Denied)?;
    bring_back(tx, &row, &guest)?;
    tx.record(Action::Admit, "Encounter", id.0, &facts(&row));
    Ok(find_participant(tx, id, participant)?.into())
}

/// Whoever is sent to wait is no longer aside: let in again, they are with the others.
fn bring_back(tx: &mut Tx, row: &EncounterRow, who: &ParticipantRow) -> Result<(), Error> {
    if who.aside {
        diesel::update(encounter_participants::table.find(who.id))
            .set(encounter_participants::aside.eq(false))
            .execute(tx.conn)?;
        party::tell(tx, row.id)?;
    }
    Ok(())
}

/// Somebody other than the practitioner, in a visit that is open.
fn somebody(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
) -> Result<(EncounterRow, ParticipantRow), Error> {
    // Locked first: whose visit it is may change at this moment, and only that one decides.
    let row = lock_row(tx, id)?;
    tx.allow(Action::Admit, &facts(&row))?;
    let guest = find_participant(tx, id, participant)?;
    if guest.role == ParticipantRole::Practitioner || presence::is_over(row.status) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    Ok((row, guest))
}

fn set(
    tx: &mut Tx,
    id: ParticipantId,
    state: ParticipantState,
    admitted_at: Option<Instant>,
) -> Result<(), Error> {
    let waiting_since = (state == ParticipantState::Waiting).then_some(tx.now);
    diesel::update(encounter_participants::table.find(id))
        .set((
            encounter_participants::state.eq(state),
            encounter_participants::admitted_at.eq(admitted_at),
            encounter_participants::waiting_since.eq(waiting_since),
            encounter_participants::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}
