//! Offers in place of a visit that are over: nobody chose in time, or the last of the times was taken
//! back. The visit still lies in the absence: it does not take place as it was booked, whoever reads it
//! sees so, its patient hears it once, and the office has a task to call them, until it is moved, called
//! off, offered other times, or the absence is gone.

use std::sync::Arc;

use diesel::prelude::*;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::{self, Appointment, AppointmentId, Row};
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::ctx::{each_as_system, look_as_system};
use crate::base::db::{Each, among};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{
    absence_outcomes, absences, appointments, encounters, illness_plans, lapsed_offers,
    occupancies, offered_times,
};
use crate::base::tx::Tx;
use crate::encounter;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::message::leave::{Fate, News, tell};
use crate::patient;
use crate::schedule::absence::{AbsenceId, AbsenceStatus};
use crate::schedule::leave::plan::PlanStatus;
use crate::schedule::leave::{AbsenceRow, Outcome, find_row, inside, offer, set_status};
use crate::task::{self, TaskCode, TaskWhy};

/// How many absences, and visits, are looked at in one round.
const ROUND_MAX: i64 = 50;

/// Ends the offers of an absence that nobody answered: their visits are open again, and so is it.
pub(crate) fn lapse_of(tx: &mut Tx, absence: &AbsenceRow) -> Result<(), Error> {
    let due: Vec<AppointmentId> = absence_outcomes::table
        .filter(absence_outcomes::absence_id.eq(absence.id))
        .filter(absence_outcomes::outcome.eq(Outcome::Offered))
        .filter(absence_outcomes::expires_at.le(tx.now))
        .order(absence_outcomes::appointment_id)
        .select(absence_outcomes::appointment_id)
        .load(tx.conn)?;
    if due.is_empty() {
        return Ok(());
    }
    let inside = inside(tx, absence)?;
    if inside.iter().any(|visit| due.contains(&visit.id)) {
        set_status(tx, absence.id, AbsenceStatus::Open)?;
    }
    for id in due {
        // Whoever chooses at this moment is too late, or was first; another process may end it as well.
        appointment::lock(tx, id)?;
        let still = absence_outcomes::table
            .find((absence.id, id))
            .filter(absence_outcomes::outcome.eq(Outcome::Offered))
            .filter(absence_outcomes::expires_at.le(tx.now));
        if diesel::delete(still).execute(tx.conn)? == 0 {
            continue;
        }
        offer::withdraw(tx, id)?;
        note(tx, absence.id, id)?;
        let facts = appointment::find_row(tx, id)?.facts();
        tx.record(Action::LapseOffer, "Appointment", id.0, &facts);
    }
    Ok(())
}

/// The absences with offers that nobody answered in time. Index: absence_outcomes_offered.
fn lapsing(tx: &mut Tx) -> Result<Vec<AbsenceId>, Error> {
    Ok(absence_outcomes::table
        .filter(absence_outcomes::outcome.eq(Outcome::Offered))
        .filter(absence_outcomes::expires_at.le(tx.now))
        .select(absence_outcomes::absence_id)
        .distinct()
        .limit(ROUND_MAX)
        .load(tx.conn)?)
}

/// Ends all offers that nobody answered in time, those of an absence together. Returns of how many
/// absences. One that fails holds up no other.
pub async fn lapse_due(app: &Arc<App>) -> Result<usize, Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::LapseOffer, &Facts::NONE)?;
        lapsing(tx)
    });
    let lapse = |tx: &mut Tx, id| match find_row(tx, id) {
        Ok(absence) => lapse_of(tx, &absence),
        // It was taken away meanwhile, with all that was noted of it.
        Err(error) if error.is(&problem::NOT_FOUND) => Ok(()),
        Err(error) => Err(error),
    };
    Ok(each_as_system(app, Action::LapseOffer, due.await?, lapse).await?.len())
}

/// An offer is over. The caller has taken away the outcome that says it stands.
pub(super) fn note(tx: &mut Tx, absence: AbsenceId, visit: AppointmentId) -> Result<(), Error> {
    let over = (lapsed_offers::lapsed_at.eq(tx.now), lapsed_offers::seen_to.eq(false));
    let before = lapsed_offers::table.find((visit, absence));
    if diesel::update(before).set(over).execute(tx.conn)? == 1 {
        return Ok(());
    }
    let key = (lapsed_offers::appointment_id.eq(visit), lapsed_offers::absence_id.eq(absence));
    Each(diesel::insert_into(lapsed_offers::table).values((key, over))).execute(tx.conn)?;
    Ok(())
}

/// Something was decided about a visit, or it is somewhere else: the task about its offer ends, and is
/// opened again in the background where it is needed still. Nothing, for nearly all visits. Whoever moves
/// it holds its lock.
pub(crate) fn look_again(tx: &mut Tx, visit: AppointmentId) -> Result<(), Error> {
    let of_visit = lapsed_offers::table.filter(lapsed_offers::appointment_id.eq(visit));
    let known = diesel::update(of_visit).set(lapsed_offers::seen_to.eq(false)).execute(tx.conn)?;
    if known == 0 {
        return Ok(());
    }
    let encounter = encounter::of_appointment(tx, visit)?.id;
    task::needless(tx, encounter, &[TaskCode::Unanswered])
}

/// The visits of an absence whose offers are over.
pub(super) fn of_absence(tx: &mut Tx, absence: AbsenceId) -> Result<Vec<AppointmentId>, Error> {
    Ok(lapsed_offers::table
        .filter(lapsed_offers::absence_id.eq(absence))
        .order(lapsed_offers::appointment_id)
        .select(lapsed_offers::appointment_id)
        .load(tx.conn)?)
}

/// The absence goes: its visits take place as they were booked, unless they lie in another.
pub(super) fn forget(tx: &mut Tx, absence: AbsenceId) -> Result<(), Error> {
    let visits = of_absence(tx, absence)?;
    let over = which_are_over(tx, visits.clone())?;
    for visit in visits {
        appointment::lock(tx, visit)?;
        look_again(tx, visit)?;
        diesel::delete(lapsed_offers::table.find((visit, absence))).execute(tx.conn)?;
        if over.contains(&visit) {
            count_change(tx, visit)?;
        }
    }
    Ok(())
}

/// Whether a visit with this status can be one that does not take place as it was booked: nobody talks in it
/// yet, though its patient may sit and wait.
pub(crate) fn can_be_over(status: AppointmentStatus) -> bool {
    matches!(status, AppointmentStatus::Booked | AppointmentStatus::Arrived)
}

/// The other absence in which a visit lies, of whoever takes part in it; the longest.
fn another(tx: &mut Tx, visit: &Row, not: AbsenceId) -> Result<Option<AbsenceId>, Error> {
    Ok(absences::table
        .filter(among(absences::practitioner_id, visit.who_takes_part(tx)?))
        .filter(absences::starts_at.lt(visit.ends_at))
        .filter(absences::ends_at.gt(visit.starts_at))
        .filter(absences::id.ne(not))
        .order((absences::ends_at.desc(), absences::id))
        .select(absences::id)
        .first(tx.conn)
        .optional()?)
}

/// An absence goes, and some of its visits lie in another, as when its times were put right: those do not
/// take place all the same. What was over is so still, with its task, and what was offered is over.
/// `waiting`: the visits whose patients were to choose.
pub(crate) fn carry_over(
    tx: &mut Tx,
    absence: AbsenceId,
    waiting: &[AppointmentId],
) -> Result<(), Error> {
    let known = of_absence(tx, absence)?;
    let over = which_are_over(tx, known)?;
    let mut visits = [over.as_slice(), waiting].concat();
    visits.sort_unstable();
    visits.dedup();
    for id in visits {
        appointment::lock(tx, id)?;
        let visit = appointment::find_row(tx, id)?;
        let Some(other) = another(tx, &visit, absence)? else { continue };
        if !over.contains(&id) {
            note(tx, other, id)?;
            continue;
        }
        let there = lapsed_offers::table.find((id, other));
        if !diesel::select(diesel::dsl::exists(there)).get_result::<bool>(tx.conn)? {
            diesel::update(lapsed_offers::table.find((id, absence)))
                .set(lapsed_offers::absence_id.eq(other))
                .execute(tx.conn)?;
        }
    }
    Ok(())
}

/// Which of some visits do not take place as they were booked: they lie in an absence of somebody who
/// takes part, and what was offered instead is over. Makes no access decision. Index: the key of
/// lapsed_offers.
pub(crate) fn which_are_over(
    tx: &mut Tx,
    visits: Vec<AppointmentId>,
) -> Result<Vec<AppointmentId>, Error> {
    if visits.is_empty() {
        return Ok(visits);
    }
    let takes_part = occupancies::table
        .filter(occupancies::appointment_id.eq(appointments::id))
        .filter(occupancies::resource_id.eq(absences::practitioner_id));
    let waits = appointments::status
        .eq(AppointmentStatus::Arrived)
        .and(encounters::status.eq(EncounterStatus::Arrived));
    let is_held = offered_times::table
        .filter(offered_times::appointment_id.eq(absence_outcomes::appointment_id));
    let offered = absence_outcomes::table
        .filter(absence_outcomes::appointment_id.eq(appointments::id))
        .filter(absence_outcomes::outcome.eq(Outcome::Offered))
        .filter(absence_outcomes::expires_at.gt(tx.now))
        .filter(diesel::dsl::exists(is_held));
    Ok(lapsed_offers::table
        .inner_join(absences::table)
        .inner_join(appointments::table.inner_join(encounters::table))
        .filter(among(lapsed_offers::appointment_id, visits))
        .filter(appointments::status.eq(AppointmentStatus::Booked).or(waits))
        .filter(appointments::starts_at.lt(absences::ends_at))
        .filter(appointments::ends_at.gt(absences::starts_at))
        .filter(diesel::dsl::exists(takes_part))
        .filter(diesel::dsl::not(diesel::dsl::exists(offered)))
        .select(lapsed_offers::appointment_id)
        .distinct()
        .load(tx.conn)?)
}

/// Whether a visit does not take place as it was booked, and nothing is offered instead any more.
pub(crate) fn is_over(tx: &mut Tx, visit: AppointmentId) -> Result<bool, Error> {
    Ok(!which_are_over(tx, vec![visit])?.is_empty())
}

/// Says so of visits that are shown.
pub(super) fn mark(tx: &mut Tx, visits: &mut [Appointment]) -> Result<(), Error> {
    let awaited = visits.iter().filter(|visit| can_be_over(visit.status));
    let over = which_are_over(tx, awaited.map(|visit| visit.id).collect())?;
    visits.iter_mut().for_each(|visit| visit.offer_over = over.contains(&visit.id));
    Ok(())
}

/// The visits that somebody must look at: first whose offer has been over longest.
/// Index: lapsed_offers_due.
fn due(tx: &mut Tx) -> Result<Vec<AppointmentId>, Error> {
    Ok(lapsed_offers::table
        .filter(lapsed_offers::seen_to.eq(false))
        .order((lapsed_offers::lapsed_at, lapsed_offers::appointment_id))
        .limit(ROUND_MAX)
        .select(lapsed_offers::appointment_id)
        .load(tx.conn)?)
}

/// Makes a visit whose offer is over a task of the office, and tells its patient; nothing when it has
/// another place by now, or somebody has seen to it.
fn see_to(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    appointment::lock(tx, id)?;
    let of_visit = lapsed_offers::table.filter(lapsed_offers::appointment_id.eq(id));
    let since: Option<Instant> = of_visit
        .order(lapsed_offers::lapsed_at.desc())
        .select(lapsed_offers::lapsed_at)
        .first(tx.conn)
        .optional()?;
    let taken = diesel::update(of_visit.filter(lapsed_offers::seen_to.eq(false)))
        .set(lapsed_offers::seen_to.eq(true))
        .execute(tx.conn)?;
    let Some(since) = since.filter(|_| taken > 0) else { return Ok(()) };
    if !is_over(tx, id)? {
        return Ok(());
    }
    let encounter = encounter::of_appointment(tx, id)?;
    // Who was to be told of the times hears in the same call that they are gone.
    task::needless(tx, encounter.id, &[TaskCode::Untold])?;
    task::open(tx, &encounter, TaskCode::Unanswered, TaskWhy::OfferOver, None)?;
    count_change(tx, id)?;
    let visit = appointment::show(tx, id)?;
    let account = patient::find_row(tx, visit.patient.id)?.account_id;
    let news = News::of(&visit, Fate::OfferOver);
    let due_at = not_before(tx, id)?;
    // Too late to be told by a text, it is the office's matter alone.
    if visit.start > due_at {
        tell(tx, account, &[news], &format!("offer over|{id}|{}", since.micros()), due_at)?;
    }
    tx.record(Action::WatchVisits, "Encounter", encounter.id.0, &encounter::facts(&encounter));
    Ok(())
}

/// Nobody hears of a plan while it can be taken back. Index: illness_plans_by_absence.
fn not_before(tx: &mut Tx, visit: AppointmentId) -> Result<Instant, Error> {
    let of_absence = illness_plans::absence_id.eq(lapsed_offers::absence_id.nullable());
    let until: Option<Option<Instant>> = lapsed_offers::table
        .inner_join(illness_plans::table.on(of_absence))
        .filter(lapsed_offers::appointment_id.eq(visit))
        .filter(illness_plans::status.eq(PlanStatus::Applied))
        .order(illness_plans::undo_until.desc())
        .select(illness_plans::undo_until)
        .first(tx.conn)
        .optional()?;
    Ok(until.flatten().map_or(tx.now, |until| until.max(tx.now)))
}

/// It is another visit for whoever has it in their calendar. The caller holds its lock.
fn count_change(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    let row = appointment::find_row(tx, id)?;
    appointment::count_change(tx, &row)
}

/// One look. It reads first, so that a quiet hour keeps nobody from writing; each visit is a transaction
/// of its own, so that one that fails holds up no other.
pub async fn tick(app: &Arc<App>) -> Result<(), Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        due(tx)
    });
    each_as_system(app, Action::WatchVisits, due.await?, see_to).await.map(drop)
}
