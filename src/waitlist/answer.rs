//! Answering an offer: taking the time, or leaving it to the next; signed in, or with a code.

use chrono::NaiveDate;
use diesel::prelude::*;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::answer::{AnsweredOffer, NamelessTime};
use crate::appointment::reschedule::{self, RescheduleAppointment, put_elsewhere};
use crate::appointment::supply::Moving;
use crate::appointment::{self, Appointment, affected, choice};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{patients, waitlist_entries, waitlist_offers};
use crate::base::tx::Tx;
use crate::base::zone;
use crate::encounter;
use crate::encounter::lifecycle::Act;
use crate::message;
use crate::organization;
use crate::patient;
use crate::schedule::free::Asker;
use crate::schedule::leave;
use crate::schedule::slots::Slot;
use crate::waitlist::{
    Entry, EntryId, EntryRow, OfferRow, VacancyStatus, WaitEnd, WaitStatus, find_row, lock_row,
    offer, show,
};

/// Takes the time that is offered: it is booked, or the visit that was to be brought forward is
/// moved there, in place. Accepting twice is once. 410 `offer_over` when the deadline has passed
/// or the time cannot be had any more, 409 `bad_state` when nothing was offered.
pub fn accept(tx: &mut Tx, id: EntryId) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    let facts = row.facts();
    tx.allow(Action::AcceptVacancy, &facts)?;
    if let Some(visit) = row.appointment_id {
        // It moves this visit, or answers with it.
        let visit = appointment::find_row(tx, visit)?.facts();
        let act = if row.is_active() { Action::MoveAppointment } else { Action::ReadAppointment };
        tx.allow(act, &visit)?;
    }
    let by = tx.person()?.account;
    let visit = take(tx, id, by)?;
    tx.record(Action::AcceptVacancy, "WaitlistEntry", id.0, &facts);
    Ok(visit)
}

/// Leaves the time that is offered to the next; the wish keeps its place for other times.
/// Declining twice is once. 410 `offer_over` when the deadline has passed, 409 `bad_state` when
/// nothing was offered.
pub fn decline(tx: &mut Tx, id: EntryId) -> Result<Entry, Error> {
    let row = find_row(tx, id)?;
    let facts = row.facts();
    tx.allow(Action::DeclineVacancy, &facts)?;
    leave(tx, id)?;
    tx.record(Action::DeclineVacancy, "WaitlistEntry", id.0, &facts);
    show(tx, id)
}

/// The next free times for whoever answered too late.
pub fn alternatives(tx: &mut Tx, id: EntryId) -> Result<Vec<Slot>, Error> {
    let row = find_row(tx, id)?;
    let facts = row.facts();
    tx.allow(Action::ReadWaitlist, &facts)?;
    free_for(tx, &row)
}

fn free_for(tx: &mut Tx, row: &EntryRow) -> Result<Vec<Slot>, Error> {
    let service = organization::find_service(tx, row.service_id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    choice::free_after(tx, &service, row.practitioner_id, &patient, row.earliest_at)
}

fn take(tx: &mut Tx, id: EntryId, by: AccountId) -> Result<Appointment, Error> {
    let known = find_row(tx, id)?;
    let visit = match (known.is_active(), known.appointment_id, offer::standing(tx, id)?) {
        (true, Some(visit), Some(offer)) => {
            let visit = appointment::find_row(tx, visit)?;
            Some((reschedule::in_turn(tx, &visit, offer.practitioner_id)?, offer.id))
        }
        _ => None,
    };
    let row = lock_row(tx, id)?;
    if let (WaitStatus::Booked, Some(WaitEnd::Accepted), Some(visit)) =
        (row.status, row.ended_why, row.appointment_id)
    {
        return appointment::show(tx, visit);
    }
    let offer = open_offer(tx, &row)?;
    check_works(tx, &row, &offer, Asker::Triage).map_err(choice::gone)?;
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    let visit = match row.appointment_id {
        None => {
            encounter::advance(tx, offer.held_id, Act::Confirm, None).map_err(|error| {
                // The hold was given back, or somebody who needed the time found it dead.
                let over = [&problem::BAD_STATE, &problem::CONFLICT, &problem::HOLD_OVER];
                if over.into_iter().any(|problem| error.is(problem)) {
                    Error::from(&problem::OFFER_OVER)
                } else {
                    error
                }
            })?;
            let booked = appointment::show(tx, offer.held_id)?;
            message::confirm_booking(tx, &booked, account)?;
            booked
        }
        Some(id) => {
            // Offered again, or of another visit, since the turn was asked for.
            let visit = visit.filter(|(visit, of)| (visit.id, *of) == (id, offer.id));
            let (visit, _) = visit.ok_or_else(|| Error::from(&problem::CONFLICT))?;
            appointment::lock(tx, id)?;
            affected::let_go(tx, offer.held_id)?;
            // Times that are held in its place for another reason are free.
            leave::offer::withdraw(tx, id)?;
            let (start, practitioner) = (offer.starts_at, Some(offer.practitioner_id));
            let to = RescheduleAppointment {
                start,
                practitioner,
                reason: None,
                overbook: false,
                dry_run: false,
                was_held: true,
            };
            let (moved, _) = put_elsewhere(tx, &visit, &to, (by, Asker::Triage))?;
            message::tell_move(tx, &moved, account)?;
            moved
        }
    };
    let row = offer::take_back(tx, row, VacancyStatus::Accepted)?;
    offer::finish(tx, &row, WaitStatus::Booked, WaitEnd::Accepted, Some(visit.id))?;
    Ok(visit)
}

fn leave(tx: &mut Tx, id: EntryId) -> Result<(), Error> {
    let row = lock_row(tx, id)?;
    if row.status == WaitStatus::Waiting && last(tx, id)? == Some(VacancyStatus::Declined) {
        return Ok(());
    }
    open_offer(tx, &row)?;
    offer::take_back(tx, row, VacancyStatus::Declined)?;
    Ok(())
}

/// The offer of a locked wish that can still be answered.
fn open_offer(tx: &mut Tx, row: &EntryRow) -> Result<OfferRow, Error> {
    let Some(offer) = offer::standing(tx, row.id)? else {
        let over = row.status == WaitStatus::Waiting || row.status == WaitStatus::Expired;
        let was = last(tx, row.id)?.filter(|_| over);
        let problem = if was.is_some() { &problem::OFFER_OVER } else { &problem::BAD_STATE };
        return Err(Error::from(problem));
    };
    if offer.expires_at <= tx.now {
        return Err(Error::from(&problem::OFFER_OVER));
    }
    Ok(offer)
}

/// What became of the last offer of a wish, if none stands. Index: waitlist_offers_by_entry.
fn last(tx: &mut Tx, id: EntryId) -> Result<Option<VacancyStatus>, Error> {
    Ok(waitlist_offers::table
        .filter(waitlist_offers::entry_id.eq(id))
        // One can be made in the instant in which the one before is declined.
        .order((waitlist_offers::offered_at.desc(), waitlist_offers::answered_at.desc()))
        .select(waitlist_offers::status)
        .first(tx.conn)
        .optional()?)
}

/// Whether whoever would give the visit still works then, and a visit that was to be brought forward
/// would still be: either can have changed since.
pub(crate) fn check_works(
    tx: &mut Tx,
    row: &EntryRow,
    offer: &OfferRow,
    asker: Asker,
) -> Result<(), Error> {
    let service = organization::find_service(tx, row.service_id)?;
    let moving = match row.appointment_id {
        None => None,
        Some(id) => {
            let visit = appointment::find_row(tx, id)?;
            if visit.starts_at <= offer.starts_at {
                return Err(Error::from(&problem::OFFER_OVER));
            }
            Some(Moving::of(&visit))
        }
    };
    let when = (offer.starts_at, asker);
    choice::working_for(tx, &service, Some(offer.practitioner_id), when, moving).map(drop)
}

/// Which wish a code and a birth date name together, if any; whoever calls counts the try.
pub(crate) fn of_code(
    tx: &mut Tx,
    code: &str,
    birth_date: NaiveDate,
) -> Result<Option<EntryId>, Error> {
    Ok(waitlist_entries::table
        .inner_join(patients::table.on(patients::id.eq(waitlist_entries::patient_id)))
        .filter(waitlist_entries::code.eq(code))
        .filter(patients::birth_date.eq(birth_date))
        .select(waitlist_entries::id)
        .get_result(tx.conn)
        .optional()?)
}

/// Shows the offer of a wish (`None`), takes it or leaves it, for whoever has its code and the
/// birth date: nothing in the answer names anybody. 404 when nothing was offered.
pub(crate) fn answer_of(
    tx: &mut Tx,
    id: EntryId,
    accept: Option<bool>,
) -> Result<AnsweredOffer, Error> {
    tx.allow(Action::AnswerOffer, &Facts::NONE)?;
    let row = find_row(tx, id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    match accept {
        None => {
            let offer = open_offer(tx, &row).map_err(|error| {
                let nothing = error.is(&problem::BAD_STATE) && row.is_active();
                if nothing { Error::from(&problem::NOT_FOUND) } else { error }
            })?;
            let time = NamelessTime {
                number: Some(1),
                local_start: zone::local(offer.starts_at, patient.time_zone),
                time_zone: patient.time_zone.to_string(),
            };
            let (expires_at, times) = (Some(offer.expires_at), vec![time]);
            let can_decline = true;
            Ok(AnsweredOffer { expires_at, times, can_decline, ..AnsweredOffer::default() })
        }
        Some(true) => {
            // Who has no account of their own acts for whoever put them on the list.
            let by = patient.account_id.unwrap_or(row.created_by);
            let visit = take(tx, id, by)?;
            tx.record(Action::AnswerOffer, "WaitlistEntry", id.0, &row.facts());
            let (local_start, time_zone) = (visit.local_start, visit.time_zone);
            let chosen = Some(NamelessTime { number: None, local_start, time_zone });
            Ok(AnsweredOffer { chosen, code: Some(visit.code), ..AnsweredOffer::default() })
        }
        Some(false) => {
            leave(tx, id)?;
            tx.record(Action::AnswerOffer, "WaitlistEntry", id.0, &row.facts());
            Ok(AnsweredOffer { declined: true, ..AnsweredOffer::default() })
        }
    }
}

/// The next free times for whoever answered too late with a code: no names either.
pub(crate) fn nameless_alternatives(tx: &mut Tx, id: EntryId) -> Result<Vec<NamelessTime>, Error> {
    tx.allow(Action::AnswerOffer, &Facts::NONE)?;
    let row = find_row(tx, id)?;
    Ok(free_for(tx, &row)?.into_iter().map(NamelessTime::from).collect())
}
