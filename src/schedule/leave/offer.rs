//! Other times for a visit whose practitioner is away: held for the patient until a deadline, and
//! chosen once. The visit keeps its id, code and link.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::affected::{self, Affected};
use crate::appointment::answer::{AnsweredOffer, NamelessTime};
use crate::appointment::book::{self, InPlace};
use crate::appointment::choice;
use crate::appointment::reschedule::{self, RescheduleAppointment, put_elsewhere};
use crate::appointment::supply::{Moving, Sought};
use crate::appointment::{self, Appointment, AppointmentId, Row};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::Instant;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{absence_outcomes, appointments, offered_times, practitioners};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message;
use crate::organization;
use crate::patient;
use crate::practitioner::PractitionerId;
use crate::schedule;
use crate::schedule::absence::AbsenceId;
use crate::schedule::free::Asker;
use crate::schedule::leave::{OUTCOME, Outcome, OutcomeRow, lapsed, vain};
use crate::schedule::slots::Slot;
use crate::waitlist::{self, follow};

/// How many times are offered.
const TIMES: usize = 3;
/// So much time to answer an offer leaves at least, the hours of the night not counted.
const WAKING_MINUTES: i64 = 60;
/// An offer ends so long before the earliest of its times.
const ANSWER_MINUTES: i64 = 30;
/// Times are offered so far apart where there is room: three in a row are one choice.
const APART_HOURS: i64 = 2;
/// How many free times are looked at, and how many are tried.
const LOOK_AT: usize = 200;
const TRIES_MAX: usize = 24;
/// How often offers that nobody answered are looked for.
const TICK_SECS: u64 = 5;

/// A time that a patient can choose.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OfferedTime {
    /// What to choose it by: 1, 2 or 3.
    pub number: i32,
    /// When it begins.
    pub start: Instant,
    /// The same as a clock where the patient lives shows it.
    pub local_start: String,
    /// The IANA zone of that clock.
    pub time_zone: String,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
}

/// The times that are held in place of a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Offer {
    /// The visit that has no practitioner any more.
    pub appointment: AppointmentId,
    /// Until when one can choose.
    pub expires_at: Instant,
    /// Those still held, by start.
    pub times: Vec<OfferedTime>,
}

/// Holds up to three times for the patient of a visit. Returns until when.
/// 409 `nothing_to_offer` when nothing is free. The caller has made the access decision.
pub(crate) fn make(tx: &mut Tx, absence: AbsenceId, visit: &Affected) -> Result<Instant, Error> {
    if visit.status != AppointmentStatus::Booked {
        return Err(Error::from(&problem::BAD_STATE));
    }
    let service = organization::find_service(tx, visit.service)?;
    let patient = patient::find_row(tx, visit.patient)?;
    let zone = patient.time_zone;
    let answered = waitlist::offer::awake(tx, tx.now, zone, TimeDelta::minutes(WAKING_MINUTES));
    let earliest = answered.plus(TimeDelta::minutes(ANSWER_MINUTES));
    let row = appointment::find_row(tx, visit.id)?;
    let location = row.location_id;
    // It is as long as it was, whatever its service says by now.
    let sought = Sought { moving: Some(Moving::of(&row)), ..Sought::of(&patient, location) };
    let when = (earliest, zone, LOOK_AT);
    let free = schedule::next_free_for(tx, &service, None, &sought, when)?;
    let Some(first) = free.first() else { return Err(Error::from(&problem::NOTHING_TO_OFFER)) };
    let deadline = tx.now.plus(TimeDelta::hours(i64::from(tx.config.booking.offer_hours)));
    // When the visit should have begun it is the office's matter, however late the offer was made.
    let until = deadline
        .min(first.start.minus(TimeDelta::minutes(ANSWER_MINUTES)))
        .min(visit.start.max(answered));
    let (priority, mode) = (visit.priority, visit.mode);
    let (asker, by) = (Asker::Triage, None);
    let (service, patient) = (&service, &patient);
    let moving = Some(row);
    let held = InPlace { service, patient, priority, mode, until, asker, location, by, moving };
    let mut chosen: Vec<(Instant, AppointmentId)> = Vec::new();
    let mut tried: Vec<(Instant, PractitionerId)> = Vec::new();
    for apart in [TimeDelta::hours(APART_HOURS), TimeDelta::minutes(1)] {
        for slot in &free {
            let place = (slot.start, slot.practitioner.id);
            let near = chosen.iter().any(|(start, _)| slot.start.since(*start).abs() < apart);
            if chosen.len() >= TIMES || tried.len() >= TRIES_MAX || near || tried.contains(&place) {
                continue;
            }
            tried.push(place);
            let taken = book::hold_in_place(tx, held, slot.practitioner.id, slot.start)?;
            chosen.extend(taken.map(|id| (slot.start, id)));
        }
    }
    if chosen.is_empty() {
        return Err(Error::from(&problem::NOTHING_TO_OFFER));
    }
    chosen.sort_unstable();
    for ((_, id), number) in chosen.iter().zip(1_i32..) {
        diesel::insert_into(offered_times::table)
            .values((
                offered_times::held_id.eq(id),
                offered_times::absence_id.eq(absence),
                offered_times::appointment_id.eq(visit.id),
                offered_times::number.eq(number),
            ))
            .execute(tx.conn)?;
    }
    Ok(until)
}

/// Lets go what is held in place of a visit; nothing when nothing is. Whoever moves the visit has
/// locked it before.
pub(crate) fn withdraw(tx: &mut Tx, appointment: AppointmentId) -> Result<(), Error> {
    let of_visit = offered_times::table.filter(offered_times::appointment_id.eq(appointment));
    let held: Vec<AppointmentId> =
        of_visit.select(offered_times::held_id).order(offered_times::held_id).load(tx.conn)?;
    for id in held {
        affected::let_go(tx, id)?;
    }
    diesel::delete(of_visit).execute(tx.conn)?;
    Ok(())
}

/// Whether the patient of a visit can choose another time. Makes no access decision.
pub(crate) fn is_open(tx: &mut Tx, visit: AppointmentId) -> Result<bool, Error> {
    Ok(!which_are_open(tx, vec![visit])?.is_empty())
}

/// For which of some visits their patients can choose another time. Makes no access decision.
/// Index: offered_times_by_appointment.
pub(crate) fn which_are_open(
    tx: &mut Tx,
    visits: Vec<AppointmentId>,
) -> Result<Vec<AppointmentId>, Error> {
    let held = offered_times::table
        .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
        .filter(among(offered_times::appointment_id, visits))
        .filter(appointments::hold_expires_at.gt(tx.now))
        .select(offered_times::appointment_id)
        .distinct();
    Ok(held.load(tx.conn)?)
}

/// Whether an appointment is a time that is held in place of another.
pub(crate) fn is_offered(tx: &mut Tx, held: AppointmentId) -> Result<bool, Error> {
    let offered = offered_times::table.find(held);
    Ok(diesel::select(diesel::dsl::exists(offered)).get_result(tx.conn)?)
}

/// Says of some visits whether their patients can choose another time, and of times that are held
/// in whose place. Makes no access decision. Indexes: absence_outcomes_by_appointment, and the key
/// of offered_times.
pub(crate) fn mark(tx: &mut Tx, visits: &mut [Appointment]) -> Result<(), Error> {
    use AppointmentStatus::{Booked, Pending};
    let ids = |status, visits: &[Appointment]| -> Vec<AppointmentId> {
        visits.iter().filter(|visit| visit.status == status).map(|visit| visit.id).collect()
    };
    let (booked, pending) = (ids(Booked, visits), ids(Pending, visits));
    if !booked.is_empty() {
        let offers: Vec<(AppointmentId, Option<Instant>)> = absence_outcomes::table
            .filter(among(absence_outcomes::appointment_id, booked))
            .filter(absence_outcomes::outcome.eq(Outcome::Offered))
            .filter(absence_outcomes::expires_at.gt(tx.now))
            // Nothing is held any more for whoever has gone elsewhere meanwhile.
            .filter(diesel::dsl::exists(
                offered_times::table
                    .filter(offered_times::appointment_id.eq(absence_outcomes::appointment_id)),
            ))
            .select((absence_outcomes::appointment_id, absence_outcomes::expires_at))
            .load(tx.conn)?;
        for visit in visits.iter_mut() {
            let offer = offers.iter().find(|(id, _)| *id == visit.id);
            visit.offer_expires_at = offer.and_then(|(_, until)| *until);
        }
    }
    if !pending.is_empty() {
        let held: Vec<(AppointmentId, AppointmentId)> = offered_times::table
            .filter(among(offered_times::held_id, pending))
            .select((offered_times::held_id, offered_times::appointment_id))
            .load(tx.conn)?;
        for visit in visits.iter_mut() {
            visit.held_for = held.iter().find(|(id, _)| *id == visit.id).map(|(_, of)| *of);
        }
    }
    lapsed::mark(tx, visits)
}

/// How many of some held times are held in place of other visits.
pub(crate) fn count_of(tx: &mut Tx, held: &[AppointmentId]) -> Result<i64, Error> {
    let offered = offered_times::table.filter(among(offered_times::held_id, held));
    Ok(offered.select(count_star()).get_result(tx.conn)?)
}

type Line = (AppointmentId, i32, Instant, String, String, PractitionerId, String);

#[diesel::dsl::auto_type(no_type_alias)]
fn times(now: Instant) -> _ {
    offered_times::table
        .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
        .inner_join(practitioners::table.on(practitioners::id.eq(appointments::practitioner_id)))
        .filter(appointments::hold_expires_at.gt(now))
        .select((
            offered_times::appointment_id,
            offered_times::number,
            appointments::starts_at,
            appointments::local_start,
            appointments::time_zone,
            practitioners::id,
            practitioners::name,
        ))
}

fn time(line: Line) -> (AppointmentId, OfferedTime) {
    let (visit, number, start, local_start, time_zone, id, name) = line;
    let practitioner = Named { id, name };
    (visit, OfferedTime { number, start, local_start, time_zone, practitioner })
}

/// What is still held for the visits of an absence.
pub(crate) fn of_absence(
    tx: &mut Tx,
    absence: AbsenceId,
) -> Result<Vec<(AppointmentId, OfferedTime)>, Error> {
    let lines: Vec<Line> = times(tx.now)
        .filter(offered_times::absence_id.eq(absence))
        .order((offered_times::appointment_id, offered_times::number))
        .load(tx.conn)?;
    Ok(lines.into_iter().map(time).collect())
}

/// Shows what is held in place of a visit. 404 when nothing was offered, 410 `offer_over` when
/// nobody chose in time.
pub fn find(tx: &mut Tx, id: AppointmentId) -> Result<Offer, Error> {
    let row = appointment::find_row(tx, id)?;
    tx.allow(Action::ReadAppointment, &row.facts())?;
    show(tx, id)
}

fn show(tx: &mut Tx, id: AppointmentId) -> Result<Offer, Error> {
    let (_, outcome) = standing(tx, id)?;
    let lines: Vec<Line> = times(tx.now)
        .filter(offered_times::appointment_id.eq(id))
        .order(offered_times::number)
        .load(tx.conn)?;
    let times = lines.into_iter().map(|line| time(line).1).collect();
    let expires_at = outcome.expires_at.unwrap_or(tx.now);
    Ok(Offer { appointment: id, expires_at, times })
}

/// The offer of a visit that is neither answered nor over. 404 when nothing was offered, 410
/// `offer_over` when it is over and nothing else was decided since,
/// 409 `bad_state` when something else was decided since.
fn standing(tx: &mut Tx, id: AppointmentId) -> Result<(AbsenceId, OutcomeRow), Error> {
    let decided: Vec<(AbsenceId, OutcomeRow)> = absence_outcomes::table
        .filter(absence_outcomes::appointment_id.eq(id))
        .order(absence_outcomes::decided_at.desc())
        .select((absence_outcomes::absence_id, OUTCOME))
        .load(tx.conn)?;
    let Some(last) = decided.first().copied() else {
        // What was offered and is over is forgotten, but for that.
        let over = lapsed::is_over(tx, id)?;
        return Err(Error::from(if over { &problem::OFFER_OVER } else { &problem::NOT_FOUND }));
    };
    match last.1.expires_at {
        // Another absence, into which it was moved, was the last to offer something.
        None if lapsed::is_over(tx, id)? => Err(Error::from(&problem::OFFER_OVER)),
        None => Err(Error::from(&problem::BAD_STATE)),
        Some(until) if until <= tx.now => Err(Error::from(&problem::OFFER_OVER)),
        Some(_) => Ok(last),
    }
}

/// Which time a patient chooses.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseTime {
    /// Its number in the offer.
    pub number: i32,
}

/// Puts a visit to a time that was held for it, and lets the others go. 410 `offer_over` when the
/// deadline has passed, or nobody works at that time any more.
pub fn choose(tx: &mut Tx, id: AppointmentId, wanted: ChooseTime) -> Result<Appointment, Error> {
    let row = appointment::find_row(tx, id)?;
    tx.allow(Action::MoveAppointment, &row.facts())?;
    // What is chosen was offered, and may be chosen for as long as it is, also past the visit's end.
    tx.allow(Action::AnswerOffer, &Facts::NONE)?;
    let by = tx.person()?.account;
    let moved = take(tx, &row, wanted.number, by)?;
    tx.record(Action::MoveAppointment, "Appointment", id.0, &row.facts());
    Ok(moved)
}

fn take(tx: &mut Tx, row: &Row, number: i32, by: AccountId) -> Result<Appointment, Error> {
    let (.., practitioner) = chosen(tx, row.id, number)?;
    let row = &reschedule::in_turn(tx, row, practitioner)?;
    // Whoever moved it meanwhile has let them all go, and may have offered others.
    let (absence, start, practitioner) = match chosen(tx, row.id, number)? {
        found if found.2 == practitioner => found,
        _ => return Err(Error::from(&problem::OFFER_OVER)),
    };
    // Who waits to be earlier may be so now.
    follow::moving(tx, row.id, start)?;
    appointment::lock(tx, row.id)?;
    withdraw(tx, row.id)?;
    let to = RescheduleAppointment {
        start,
        practitioner: Some(practitioner),
        reason: None,
        overbook: false,
        dry_run: false,
        was_held: true,
    };
    // Hours can have changed since it was offered.
    let put = put_elsewhere(tx, row, &to, (by, Asker::Triage));
    let (moved, patient) = put.map_err(choice::gone)?;
    diesel::update(absence_outcomes::table.find((absence, row.id)))
        .set((
            absence_outcomes::outcome.eq(Outcome::Moved),
            absence_outcomes::to_practitioner_id.eq(Some(practitioner)),
            absence_outcomes::to_starts_at.eq(Some(start)),
            absence_outcomes::expires_at.eq(None::<Instant>),
        ))
        .execute(tx.conn)?;
    message::tell_move(tx, &moved, patient.account_id)?;
    Ok(moved)
}

/// Which of the times that are held in place of a visit has a number.
fn chosen(
    tx: &mut Tx,
    id: AppointmentId,
    number: i32,
) -> Result<(AbsenceId, Instant, PractitionerId), Error> {
    // Where none is left, there is none any more: whoever chooses has seen one.
    let over = |error: Error| match error.is(&problem::NOT_FOUND) {
        true => Error::from(&problem::OFFER_OVER),
        false => error,
    };
    let (absence, _) = standing(tx, id).map_err(over)?;
    let chosen: Option<(Instant, PractitionerId)> = offered_times::table
        .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
        .filter(offered_times::appointment_id.eq(id))
        .filter(offered_times::number.eq(number))
        .filter(appointments::hold_expires_at.gt(tx.now))
        .select((appointments::starts_at, appointments::practitioner_id))
        .get_result(tx.conn)
        .optional()?;
    let Some((start, practitioner)) = chosen else {
        let held = offered_times::table.filter(offered_times::appointment_id.eq(id));
        let any: bool = diesel::select(diesel::dsl::exists(held)).get_result(tx.conn)?;
        let was_offered = usize::try_from(number).is_ok_and(|number| (1..=TIMES).contains(&number));
        // Whoever moved the visit meanwhile has let them all go, and hours that changed some of them.
        return Err(match any && !was_offered {
            true => Error::field(&problem::UNKNOWN_REFERENCE, "/number"),
            false => Error::from(&problem::OFFER_OVER),
        });
    };
    Ok((absence, start, practitioner))
}

/// Shows what is held in place of a visit (`None`), or chooses, for whoever has its booking code and
/// the birth date.
pub(crate) fn answer_of(
    tx: &mut Tx,
    id: AppointmentId,
    number: Option<i32>,
) -> Result<AnsweredOffer, Error> {
    tx.allow(Action::AnswerOffer, &Facts::NONE)?;
    let row = appointment::find_row(tx, id)?;
    let Some(number) = number else {
        let offer = show(tx, id)?;
        let times = offer.times.into_iter().map(|time| NamelessTime {
            number: Some(time.number),
            local_start: time.local_start,
            time_zone: time.time_zone,
        });
        let expires_at = Some(offer.expires_at);
        return Ok(AnsweredOffer {
            expires_at,
            times: times.collect(),
            ..AnsweredOffer::default()
        });
    };
    let account = patient::find_row(tx, row.patient_id)?.account_id;
    let by = match account {
        Some(account) => account,
        // Who has no account of their own acts for whoever made the offer.
        None => standing(tx, id)?.1.decided_by,
    };
    let moved = take(tx, &row, number, by)?;
    tx.record(Action::AnswerOffer, "Appointment", id.0, &row.facts());
    let (local_start, time_zone) = (moved.local_start, moved.time_zone);
    let chosen = Some(NamelessTime { number: None, local_start, time_zone });
    Ok(AnsweredOffer { chosen, ..AnsweredOffer::default() })
}

/// The next free times for whoever would have chosen too late.
pub fn alternatives(tx: &mut Tx, id: AppointmentId) -> Result<Vec<Slot>, Error> {
    let row = appointment::find_row(tx, id)?;
    tx.allow(Action::ReadAppointment, &row.facts())?;
    free_for(tx, &row)
}

/// The same for whoever has the booking code and the birth date: no names either.
pub(crate) fn nameless_alternatives(
    tx: &mut Tx,
    id: AppointmentId,
) -> Result<Vec<NamelessTime>, Error> {
    tx.allow(Action::AnswerOffer, &Facts::NONE)?;
    let row = appointment::find_row(tx, id)?;
    Ok(free_for(tx, &row)?.into_iter().map(NamelessTime::from).collect())
}

/// With whom is not asked: whose visit it was is away.
fn free_for(tx: &mut Tx, row: &Row) -> Result<Vec<Slot>, Error> {
    let service = organization::find_service(tx, row.service_id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    let sought = Sought { moving: Some(Moving::of(row)), ..Sought::of(&patient, row.location_id) };
    choice::free_for(tx, &service, None, &sought, tx.now)
}

/// Ends offers that nobody answered, and takes back times that cannot be had any more, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(TICK_SECS), stop, async || {
        if let Err(error) = vain::tick(&app).await {
            tracing::error!(%error, "offered times that are gone could not be taken back");
        }
        if let Err(error) = lapsed::lapse_due(&app).await {
            tracing::error!(%error, "offers that are over could not be ended");
        }
        if let Err(error) = lapsed::tick(&app).await {
            tracing::error!(%error, "visits whose offers are over could not be looked after");
        }
    })
    .await;
}
