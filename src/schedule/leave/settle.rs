//! Deciding what becomes of a visit that an absence hits: the same ways, one by one or by a
//! plan. Whoever calls has decided on access.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::affected::{self, Affected};
use crate::appointment::promise::PROMISED;
use crate::appointment::reschedule::{self, RescheduleAppointment, put_elsewhere};
use crate::appointment::{self, AppointmentId, check_reason, needed};
use crate::base::column::Instant;
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::absence_outcomes;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message::leave::{Fate, News, tell};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::absence::{AbsenceId, AbsenceStatus};
use crate::schedule::free::Asker;
use crate::schedule::leave::assign::Place;
use crate::schedule::leave::{
    AbsenceRow, Outcome, SettledAbsence, facts, find_row, inside, lapsed, offer, set_status, show,
};
use crate::schedule::slots::Slot;
use crate::waitlist::follow;

/// The most visits decided about at once.
const OUTCOMES_MAX: usize = 200;

/// What shall become of one visit.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideOutcome {
    /// Which.
    pub appointment: AppointmentId,
    /// What.
    pub outcome: Outcome,
    /// With whom, when it is moved; left out: with the same.
    pub practitioner: Option<PractitionerId>,
    /// When, when it is moved; left out: at the same time.
    pub start: Option<Instant>,
    /// Who helps instead, when another shall; left out: whoever is free.
    pub helper: Option<PractitionerId>,
    /// Why it is moved or called off, in the caller's words.
    pub reason: Option<String>,
}

/// What shall become of some visits: of all of them, or nothing changes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideOutcomes {
    /// One for each visit, at most 200.
    pub outcomes: Vec<DecideOutcome>,
}

/// Decides about visits of an absence; each patient is told once. A refusal names the
/// `appointment` at fault, and nothing is changed.
pub fn decide(
    tx: &mut Tx,
    id: AbsenceId,
    wanted: &DecideOutcomes,
) -> Result<SettledAbsence, Error> {
    let absence = find_row(tx, id)?;
    let facts = facts(tx, absence.practitioner_id)?;
    tx.allow(Action::SettleLeave, &facts)?;
    if wanted.outcomes.is_empty() || wanted.outcomes.len() > OUTCOMES_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/outcomes"));
    }
    let by = tx.person()?.account;
    let seen = inside(tx, &absence)?;
    let places = wanted.outcomes.iter().filter_map(|one| one.practitioner);
    take_all_turns(tx, &facts, &seen, places)?;
    set_status(tx, id, AbsenceStatus::Open)?;
    let mut inside = inside(tx, &absence)?;
    // A visit that has come meanwhile, or is in other hands, is decided about another time.
    inside.retain(|visit| seen.iter().any(|known| is_same(known, visit)));
    let mut told = Told::default();
    for (at, one) in wanted.outcomes.iter().enumerate() {
        let pointer = |field: &str| format!("/outcomes/{at}/{field}");
        let Some(visit) = inside.iter().find(|visit| visit.id == one.appointment) else {
            return Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer("appointment")));
        };
        if wanted.outcomes.iter().take(at).any(|other| other.appointment == one.appointment) {
            return Err(Error::field(&problem::INVALID_BODY, &pointer("appointment")));
        }
        check_reason(one.reason.as_deref())?;
        let names_a_place = one.practitioner.is_some() || one.start.is_some();
        if names_a_place != (one.outcome == Outcome::Moved) {
            return Err(Error::field(&problem::INVALID_BODY, &pointer("outcome")));
        }
        let helps = visit.practitioner != absence.practitioner_id;
        if one.outcome == Outcome::Replaced && !helps {
            return Err(Error::field(&problem::INVALID_BODY, &pointer("outcome")));
        }
        if one.helper.is_some() && one.outcome != Outcome::Replaced {
            return Err(Error::field(&problem::INVALID_BODY, &pointer("helper")));
        }
        let deed = match one.outcome {
            Outcome::Replaced => Deed::Replace(one.helper),
            Outcome::Moved => Deed::Move(Place {
                practitioner: one.practitioner.unwrap_or(visit.practitioner),
                start: one.start.unwrap_or(visit.start),
            }),
            Outcome::Offered => Deed::Offer,
            Outcome::Cancelled => Deed::CallOff,
        };
        let news = settle(tx, &absence, visit, deed, one.reason.as_deref(), by)
            .map_err(|error| error.with("appointment", visit.id))?;
        told.add(visit, news);
    }
    told.tell(tx, &format!("leave|{id}|{}", tx.now.micros()), tx.now)?;
    tx.record(Action::SettleLeave, "Absence", id.0, &facts);
    show(tx, &absence)
}

/// The next free times of the visit that could not be moved to where somebody wished. It is a deed of its
/// own, as after any refused booking. Nothing when it was none of them that was at fault.
pub fn alternatives(
    tx: &mut Tx,
    wanted: &DecideOutcomes,
    at_fault: Option<&Value>,
) -> Result<Vec<Slot>, Error> {
    let is_it = |one: &&DecideOutcome| {
        one.outcome == Outcome::Moved && Some(&json!(one.appointment)) == at_fault
    };
    let Some(one) = wanted.outcomes.iter().find(is_it) else {
        tx.scope(Action::ReadAppointment)?;
        return Ok(Vec::new());
    };
    let row = appointment::find_row(tx, one.appointment)?;
    let to = RescheduleAppointment {
        start: one.start.unwrap_or(row.starts_at),
        practitioner: one.practitioner,
        reason: None,
        overbook: false,
        dry_run: false,
        was_held: false,
    };
    let mut free = reschedule::alternatives(tx, row.id, Some(&to))?;
    // What another of them shall have is not free for this one.
    let is_wished = |slot: &Slot, one: &DecideOutcome| {
        one.start == Some(slot.start) && one.practitioner == Some(slot.practitioner.id)
    };
    free.retain(|slot| !wanted.outcomes.iter().any(|one| is_wished(slot, one)));
    Ok(free)
}

/// Whether a visit is in the hands in which it was when the turns were asked for.
pub(super) fn is_same(known: &Affected, visit: &Affected) -> bool {
    let who = |visit: &Affected| (visit.id, visit.practitioner, visit.patient);
    who(known) == who(visit)
}

/// Lets those who would move the same visits go one after the other: whoever moves many asks for
/// all turns at once, so that nobody waits in a circle.
pub(crate) fn take_all_turns(
    tx: &mut Tx,
    facts: &Facts,
    visits: &[Affected],
    places: impl Iterator<Item = PractitionerId>,
) -> Result<(), Error> {
    let mut subjects: Vec<uuid::Uuid> = places.map(|id| id.0).collect();
    subjects.extend(visits.iter().flat_map(|visit| [visit.patient.0, visit.practitioner.0]));
    subjects.extend(facts.practitioner.map(|id| id.0));
    subjects.extend(facts.organization.map(|id| id.0));
    let turns: Vec<Turn> = subjects.into_iter().map(Turn::Alone).collect();
    Ok(take_turns(tx.conn, &turns)?)
}

/// What is done with a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is put there.
    Move(Place),
    /// Somebody else helps, whoever is named or free.
    Replace(Option<PractitionerId>),
    /// Its patient chooses.
    Offer,
    /// It is called off.
    CallOff,
}

/// Does it, and notes it as the outcome; what was decided before is taken back. The absence must
/// be open.
pub(crate) fn settle(
    tx: &mut Tx,
    absence: &AbsenceRow,
    visit: &Affected,
    deed: Deed,
    reason: Option<&str>,
    by: AccountId,
) -> Result<Option<News>, Error> {
    use AppointmentStatus::{Arrived, Booked, Pending};
    // Who waits to be earlier may be so now, also by this way.
    if let Deed::Move(place) = deed {
        follow::moving(tx, visit.id, place.start)?;
    }
    // Who is called off gives up a wish first, and then the visit.
    if deed != Deed::CallOff {
        appointment::lock(tx, visit.id)?;
        offer::withdraw(tx, visit.id)?;
    }
    diesel::delete(absence_outcomes::table.find((absence.id, visit.id))).execute(tx.conn)?;
    if matches!(deed, Deed::Offer | Deed::Replace(_)) {
        lapsed::look_again(tx, visit.id)?;
    }
    let row = appointment::find_row(tx, visit.id)?;
    // Whoever calls it off at this moment was first.
    if !PROMISED.contains(&row.status) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    let stood = affected::stood(tx, visit.id)?;
    let (mut start, mut local_start) = (visit.start, visit.local_start.clone());
    let mut helper = None;
    let mut held_until = None;
    let (outcome, place, expires_at, fate, action) = match deed {
        Deed::Replace(to) => {
            let away = absence.practitioner_id.0;
            let to = needed::replace(tx, &row, away, to.map(|to| to.0))?;
            helper = Some(PractitionerId(to));
            (Outcome::Replaced, None, None, None, Action::SettleLeave)
        }
        Deed::Move(place) => {
            let to = RescheduleAppointment {
                start: place.start,
                practitioner: Some(place.practitioner),
                reason: reason.map(str::to_owned),
                overbook: false,
                dry_run: false,
                was_held: false,
            };
            let (moved, _) = put_elsewhere(tx, &row, &to, (by, Asker::Triage))?;
            (start, local_start) = (moved.start, moved.local_start);
            let action = Action::MoveAppointment;
            // As of any move: a time that was only held, or asked for, was no promise.
            let is_promised = matches!(row.status, Booked | Arrived);
            (Outcome::Moved, Some(place), None, is_promised.then_some(Fate::Moved), action)
        }
        Deed::Offer => {
            let until = offer::make(tx, absence.id, visit)?;
            // In a calendar it is tentative from now on.
            appointment::count_change(tx, &row)?;
            let action = Action::SettleLeave;
            (Outcome::Offered, None, Some(until), Some(Fate::Offered(until)), action)
        }
        Deed::CallOff => {
            affected::call_off(tx, visit.id, reason)?;
            offer::withdraw(tx, visit.id)?;
            held_until = row.hold_expires_at;
            let action = Action::CancelAppointment;
            // Nobody has told them yet of a time that was only held.
            let is_known = row.status != Pending;
            (Outcome::Cancelled, None, None, is_known.then_some(Fate::CalledOff), action)
        }
    };
    diesel::insert_into(absence_outcomes::table)
        .values((
            absence_outcomes::absence_id.eq(absence.id),
            absence_outcomes::appointment_id.eq(visit.id),
            absence_outcomes::outcome.eq(outcome),
            absence_outcomes::from_practitioner_id.eq(visit.practitioner),
            absence_outcomes::from_starts_at.eq(visit.start),
            absence_outcomes::to_practitioner_id.eq(place.map(|place| place.practitioner)),
            absence_outcomes::to_starts_at.eq(place.map(|place| place.start)),
            absence_outcomes::to_helper_id.eq(helper),
            absence_outcomes::expires_at.eq(expires_at),
            absence_outcomes::decided_by.eq(by),
            absence_outcomes::decided_at.eq(tx.now),
            absence_outcomes::held_until.eq(held_until),
            absence_outcomes::from_status.eq(Some(row.status)),
            absence_outcomes::overbooked.eq(stood.overbooked),
            absence_outcomes::confirmed_at.eq(stood.confirmed_at),
        ))
        .execute(tx.conn)?;
    tx.record(action, "Appointment", visit.id.0, &row.facts());
    let code = visit.code.clone();
    // Who helps is no news to a patient: time, place and doctor are as promised.
    Ok(fate.map(|fate| News { appointment: visit.id, code, start, local_start, fate }))
}

/// What each patient shall hear, together.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<PatientId, (Option<AccountId>, Vec<News>)>);

impl Told {
    pub(crate) fn add(&mut self, visit: &Affected, news: Option<News>) {
        let Some(news) = news else { return };
        let of_patient = self.0.entry(visit.patient);
        of_patient.or_insert_with(|| (visit.account, Vec::new())).1.push(news);
    }

    /// One message for each patient; `key` and the patient make its key.
    pub(crate) fn tell(mut self, tx: &mut Tx, key: &str, due_at: Instant) -> Result<(), Error> {
        for (patient, (account, news)) in &mut self.0 {
            news.sort_by_key(|one| one.start);
            tell(tx, *account, news, &format!("{key}|{patient}"), due_at)?;
        }
        Ok(())
    }
}
