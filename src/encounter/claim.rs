//! The next free practitioner takes a patient who waits for a colleague: the visit changes hands
//! where it is, the patient keeps their seat, and the colleague has no say in it any more.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::{self, handover};
use crate::base::column::Instant;
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters};
use crate::base::tx::{Event, Tx};
use crate::encounter::arrange;
use crate::encounter::claimable::{self, Because, Claimable, Unseen, who_waits};
use crate::encounter::guest;
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::queue::day_of;
use crate::encounter::show::{Encounter, show};
use crate::encounter::{
    EncounterId, EncounterRow, ParticipantId, ParticipantRole, ParticipantRow, ParticipantState,
    facts, find_row, lock_row, participants, party,
};
use crate::organization::ServiceId;
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::wall_clock::Span;
use crate::schedule::{self, rules};

/// Whom a free practitioner takes.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimVisit {
    /// The visit; left out: of those who wait, whoever is next.
    pub encounter: Option<EncounterId>,
}

/// Gives a practitioner the visit of a patient who waits for a colleague who is not free. It begins
/// now; appointment, code, seat and whoever else was asked to come stay.
/// 409 `not_free` when the practitioner is with somebody, is waited for, or has a visit too soon,
/// `nobody_waits` when nobody waits whom they could take, `already_taken` when somebody was quicker,
/// `bad_state` when nobody waits in the visit that is named, or its own practitioner is there;
/// 422 `unknown_reference` when it is not of the clinic, or for a service that the practitioner
/// does not give.
pub fn claim(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: ClaimVisit,
) -> Result<Encounter, Error> {
    let me = practitioner::find_row(tx, practitioner)?;
    tx.allow(Action::ClaimVisit, &rules::facts(&me))?;
    let (account, name) = at_hand(tx, &me)?;
    // Two claims of one practitioner follow one another: the second finds them in a visit's time.
    // Their account's turn is nobody else's here: it comes before all that a move waits for.
    take_turns(tx.conn, &[Turn::Alone(account.0)])?;
    let found = claimable::find(tx, &me)?;
    let is_own = tx.person()?.active_practitioner() == Some(practitioner);
    let to = Taker { me, account, name, is_own };
    match wanted.encounter {
        Some(id) => take_this(tx, &to, &found, id),
        None => take_next(tx, &to, &found),
    }
}

/// Who takes somebody over.
struct Taker {
    me: PractitionerRow,
    account: AccountId,
    name: String,
    /// They ask themselves, so they are there, whatever their hours are.
    is_own: bool,
}

impl Taker {
    /// Whether they are at work: nobody is sent to somebody who has gone home.
    fn is_at_work(&self, tx: &mut Tx, service: ServiceId) -> Result<bool, Error> {
        let moment = Span { start: tx.now, end: tx.now.plus(TimeDelta::microseconds(1)) };
        let who = std::slice::from_ref(&self.me);
        Ok(self.is_own
            || schedule::working_time(tx, service, who, moment)?
                .values()
                .any(|spans| !spans.is_empty()))
    }
}

/// The practitioner's account, and the name that others see. 409 `not_free` for somebody who cannot
/// sign in.
fn at_hand(tx: &mut Tx, me: &PractitionerRow) -> Result<(AccountId, String), Error> {
    let colleague = practitioner::colleague(tx, me.id, me.organization_id)?;
    match colleague.map(|found| (found.account, found.name)) {
        Some((Some(account), name)) => Ok((account, name)),
        _ => Err(Error::from(&problem::NOT_FREE)),
    }
}

fn take_this(
    tx: &mut Tx,
    to: &Taker,
    found: &Claimable,
    id: EncounterId,
) -> Result<Encounter, Error> {
    let Some(unseen) = found.items.iter().find(|unseen| unseen.encounter.id == id) else {
        return Err(why_not(tx, &to.me, id)?);
    };
    if !unseen.fits {
        return Err(Error::from(&problem::NOT_FREE));
    }
    take(tx, to, unseen)
}

/// Whoever comes first in the order and fits into the practitioner's time.
fn take_next(tx: &mut Tx, to: &Taker, found: &Claimable) -> Result<Encounter, Error> {
    let mut busy = !found.free || found.items.iter().any(|unseen| !unseen.fits);
    for unseen in found.items.iter().filter(|unseen| unseen.fits) {
        match take(tx, to, unseen) {
            Ok(taken) => return Ok(taken),
            // Somebody was quicker, or what else the visit needs is taken: the next one.
            Err(error) if error.problem().status == 409 => busy |= error.is(&problem::NOT_FREE),
            Err(error) => return Err(error),
        }
    }
    Err(Error::from(if busy { &problem::NOT_FREE } else { &problem::NOBODY_WAITS }))
}

/// Why a visit that is named cannot be taken.
fn why_not(tx: &mut Tx, me: &PractitionerRow, id: EncounterId) -> Result<Error, Error> {
    let unknown = || Error::field(&problem::UNKNOWN_REFERENCE, "/encounter");
    let row = match find_row(tx, id) {
        Ok(row) if row.organization_id == me.organization_id => row,
        Ok(_) => return Ok(unknown()),
        Err(error) if error.is(&problem::NOT_FOUND) => return Ok(unknown()),
        Err(error) => return Err(error),
    };
    let service = appointment::find_row(tx, row.appointment_id)?.service_id;
    if !practitioner::services_of(tx, me.id)?.contains(&service) {
        return Ok(unknown());
    }
    let people = participants(tx, id)?;
    let is_in = people.iter().any(|one| {
        one.role != ParticipantRole::Practitioner && one.state == ParticipantState::Admitted
    });
    let taken = handover::last_handover(tx, row.appointment_id)?.is_some();
    let with_somebody = match row.status {
        EncounterStatus::InProgress | EncounterStatus::Onleave => true,
        EncounterStatus::Arrived => is_in || taken || row.practitioner_id == me.id,
        EncounterStatus::Planned | EncounterStatus::Finished | EncounterStatus::Cancelled => false,
    };
    Ok(Error::from(if with_somebody { &problem::ALREADY_TAKEN } else { &problem::BAD_STATE }))
}

/// Takes one visit, whole or not at all.
fn take(tx: &mut Tx, to: &Taker, unseen: &Unseen) -> Result<Encounter, Error> {
    tx.attempt(|tx| {
        handover::make_ready(tx, unseen.appointment, to.me.id)?;
        let row = lock_row(tx, unseen.encounter.id)?;
        let people = participants(tx, row.id)?;
        let waits = row.status == EncounterStatus::Arrived && who_waits(&people).is_some();
        if !waits || row.practitioner_id != unseen.practitioner.id {
            return Err(Error::from(&problem::ALREADY_TAKEN));
        }
        if !to.is_at_work(tx, unseen.service.id)? {
            return Err(Error::from(&problem::NOT_FREE));
        }
        let by = tx.person()?.account;
        match handover::hand_over(tx, row.appointment_id, &to.me, unseen.because, by) {
            Err(error) if error.is(&problem::SLOT_TAKEN) => {
                return Err(Error::from(&problem::NOT_FREE));
            }
            done => done?,
        }
        change_hands(tx, &row, to)?;
        tx.record(Action::ClaimVisit, "Encounter", row.id.0, &facts(&row));
        show(tx, row.id)
    })
}

/// The visit is the new practitioner's, and whoever was in the room for the one before goes.
fn change_hands(tx: &mut Tx, row: &EncounterRow, to: &Taker) -> Result<(), Error> {
    diesel::update(encounters::table.find(row.id))
        .set((
            encounters::practitioner_id.eq(to.me.id),
            encounters::starts_at.eq(tx.now),
            encounters::locked.eq(false),
            encounters::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let people = participants(tx, row.id)?;
    let is_former = |one: &ParticipantRow| {
        one.role == ParticipantRole::Practitioner && one.account_id != to.account
    };
    let gone = party::with_those_beside(&people, is_former).into_iter();
    for one in gone.filter(|one| one.account_id != to.account) {
        guest::send_out(tx, row.id, one)?;
    }
    arrange::bring_all_back(tx, row.id)?;
    let people = participants(tx, row.id)?;
    match people.iter().find(|one| one.account_id == to.account) {
        None => guest::expect_practitioner(tx, row.id, (to.account, to.name.clone()))?,
        Some(known) => conducts(tx, known)?,
    }
    party::tell(tx, row.id)?;
    tx.tell(Event::CareMoved(row.id));
    tx.tell(Event::QueueMoved(row.practitioner_id));
    tx.tell(Event::QueueMoved(to.me.id));
    Ok(())
}

/// Who was asked for advice, or conducted the visit before, conducts it now; whoever is in the room
/// is let in.
fn conducts(tx: &mut Tx, known: &ParticipantRow) -> Result<(), Error> {
    let (state, admitted_at) = match known.state {
        ParticipantState::Waiting => (ParticipantState::Admitted, Some(tx.now)),
        ParticipantState::Removed | ParticipantState::Denied => (ParticipantState::Invited, None),
        state => (state, known.admitted_at),
    };
    diesel::update(encounter_participants::table.find(known.id))
        .set((
            encounter_participants::role.eq(ParticipantRole::Practitioner),
            encounter_participants::state.eq(state),
            encounter_participants::admitted_at.eq(admitted_at),
            encounter_participants::waiting_since.eq(None::<Instant>),
            encounter_participants::sits_with_id.eq(None::<ParticipantId>),
            encounter_participants::aside.eq(false),
            encounter_participants::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// A patient whom another practitioner has taken. Names no patient.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Claimed {
    /// When.
    pub at: Instant,
    /// When the visit was to begin.
    pub start: Instant,
    /// Whose it was.
    pub from: Named<PractitionerId>,
    /// Who has taken it.
    pub to: Named<PractitionerId>,
    /// Why the first did not see them.
    pub because: Because,
}

/// Lists what a practitioner has taken over today, and what was taken from them, the last first.
pub fn list(tx: &mut Tx, practitioner: PractitionerId) -> Result<Page<Claimed>, Error> {
    let row = practitioner::find_row(tx, practitioner)?;
    tx.allow(Action::ReadClaims, &rules::facts(&row))?;
    let today = day_of(tx.now, row.time_zone).start;
    let items = handover::handovers(tx, practitioner, today)?.into_iter().map(|one| Claimed {
        at: one.at,
        start: one.start,
        from: one.from,
        to: one.to,
        because: one.because,
    });
    Ok(Page::whole(items.collect()))
}

/// Who sees a patient instead of the practitioner for whom they waited, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TakenOver {
    /// Who sees them.
    pub by: Named<PractitionerId>,
    /// For whom they waited.
    pub from: Named<PractitionerId>,
    /// Why that one does not.
    pub because: Because,
}

/// Who has taken a visit over, for its patient, until they are let in. The caller has made the
/// access decision.
pub(super) fn taken_over(tx: &mut Tx, row: &EncounterRow) -> Result<Option<TakenOver>, Error> {
    if row.status != EncounterStatus::Arrived {
        return Ok(None);
    }
    let last = handover::last_handover(tx, row.appointment_id)?;
    Ok(last.map(|one| TakenOver { by: one.to, from: one.from, because: one.because }))
}
