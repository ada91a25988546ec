//! Times that are held in place of a visit and cannot be had any more: whoever would give it is away too,
//! the clinic is closed then, or hours have changed. Each is let go, and nobody hears of it; a visit for
//! which nothing is held any more has no outcome again, its absence is open, and its offer is over
//! ([`lapsed`]).

use std::sync::Arc;

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::supply::Moving;
use crate::appointment::taken::OCCUPIED_HOURS_MAX;
use crate::appointment::{self, AppointmentId, affected, choice};
use crate::base::app::App;
use crate::base::column::{Instant, Uuid};
use crate::base::ctx::{as_system, look_as_system};
use crate::base::error::Error;
use crate::base::schema::{
    absence_outcomes, appointments, occupancies, offered_times, practitioners,
};
use crate::base::tx::Tx;
use crate::organization::OrganizationId;
use crate::practitioner::PractitionerId;
use crate::schedule::absence::{AbsenceId, AbsenceStatus};
use crate::schedule::free::Asker;
use crate::schedule::leave::{Outcome, lapsed, set_status};
use crate::waitlist::follow;

/// A time that is held in place of a visit.
#[derive(Debug, Clone, Copy, Queryable)]
pub(crate) struct Held {
    visit: AppointmentId,
    id: AppointmentId,
    absence: AbsenceId,
    practitioner: PractitionerId,
    start: Instant,
}

/// Somebody is away: what is held of their time in place of other visits cannot be had any more. Absences
/// of visits that lose all of it are open; what is named is to be taken back ([`take_back`]), after wishes.
/// Index: occupancies_live.
pub(crate) fn away(
    tx: &mut Tx,
    practitioner: PractitionerId,
    (from, to): (Instant, Instant),
) -> Result<Vec<Held>, Error> {
    let mut gone: Vec<Held> = offered_times::table
        .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
        .inner_join(occupancies::table.on(occupancies::appointment_id.eq(offered_times::held_id)))
        .filter(occupancies::resource_id.eq(Uuid(practitioner.0)))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(occupancies::starts_at.lt(to))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::ends_at.gt(from))
        .filter(appointments::hold_expires_at.gt(tx.now))
        .order((offered_times::appointment_id, offered_times::held_id))
        .select((
            offered_times::appointment_id,
            offered_times::held_id,
            offered_times::absence_id,
            appointments::practitioner_id,
            appointments::starts_at,
        ))
        .load(tx.conn)?;
    // An urgent visit takes two lanes, and is found twice.
    gone.dedup_by_key(|one| one.id);
    open_absences(tx, &gone)?;
    Ok(gone)
}

/// Whether it was still held.
fn let_go(tx: &mut Tx, held: AppointmentId, visit: AppointmentId) -> Result<bool, Error> {
    affected::let_go(tx, held)?;
    // The visit was put elsewhere meanwhile.
    if diesel::delete(offered_times::table.find(held)).execute(tx.conn)? == 0 {
        return Ok(false);
    }
    let left = offered_times::table.filter(offered_times::appointment_id.eq(visit));
    if diesel::select(diesel::dsl::exists(left)).get_result(tx.conn)? {
        return Ok(true);
    }
    let of_visit = absence_outcomes::table
        .filter(absence_outcomes::appointment_id.eq(visit))
        .filter(absence_outcomes::outcome.eq(Outcome::Offered));
    let open: Vec<AbsenceId> = of_visit.select(absence_outcomes::absence_id).load(tx.conn)?;
    for absence in open {
        set_status(tx, absence, AbsenceStatus::Open)?;
        diesel::delete(absence_outcomes::table.find((absence, visit))).execute(tx.conn)?;
        lapsed::note(tx, absence, visit)?;
    }
    Ok(true)
}

/// A clinic is closed then, or extra hours of somebody there are gone: what is offered of that time, to
/// whoever waits or in place of a visit, is taken back. Weekly rules lock their practitioner first, so
/// their offers are left to the background, as are imported calendars.
pub(crate) fn hours_changed(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    let gone = in_vain(tx, Some(clinic))?;
    open_absences(tx, &gone)?;
    follow::hours_changed(tx, clinic)?;
    take_back(tx, &gone)
}

/// Takes back what cannot be had any more and nobody has taken back.
fn take_back_due(tx: &mut Tx) -> Result<(), Error> {
    tx.allow(Action::LapseOffer, &Facts::NONE)?;
    let gone = in_vain(tx, None)?;
    open_absences(tx, &gone)?;
    take_back(tx, &gone)
}

/// Takes them back, if there are any: looking for them keeps nobody from writing.
pub async fn tick(app: &Arc<App>) -> Result<(), Error> {
    let gone = look_as_system(app, |tx| {
        tx.allow(Action::LapseOffer, &Facts::NONE)?;
        Ok(in_vain(tx, None)?.len())
    });
    if gone.await? > 0 {
        as_system(app, take_back_due).await?;
    }
    Ok(())
}

/// The times, of one clinic's practitioners or all, that could not be chosen any more, by visit.
fn in_vain(tx: &mut Tx, clinic: Option<OrganizationId>) -> Result<Vec<Held>, Error> {
    let mut held = offered_times::table
        .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
        .inner_join(practitioners::table.on(practitioners::id.eq(appointments::practitioner_id)))
        .filter(appointments::hold_expires_at.gt(tx.now))
        .order((offered_times::appointment_id, offered_times::held_id))
        .select((
            offered_times::appointment_id,
            offered_times::held_id,
            offered_times::absence_id,
            appointments::practitioner_id,
            appointments::starts_at,
        ))
        .into_boxed();
    if let Some(clinic) = clinic {
        held = held.filter(practitioners::organization_id.eq(clinic));
    }
    let held: Vec<Held> = held.load(tx.conn)?;
    let mut gone = Vec::new();
    for one in held {
        if !is_worked(tx, &one)? {
            gone.push(one);
        }
    }
    Ok(gone)
}

/// Whether the visit could be put there, as far as hours go: what is asked when it is chosen.
fn is_worked(tx: &mut Tx, held: &Held) -> Result<bool, Error> {
    let visit = appointment::find_row(tx, held.visit)?;
    let (when, moving) = ((held.start, Asker::Triage), Some(Moving::of(&visit)));
    let service = choice::find_service(tx, visit.service_id);
    let working = service.and_then(|service| {
        choice::working_for(tx, &service, Some(held.practitioner), when, moving)
    });
    match working {
        Ok(working) => Ok(!working.is_empty()),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens the absences of visits that lose all that is held for them: before wishes and visits are locked.
fn open_absences(tx: &mut Tx, gone: &[Held]) -> Result<(), Error> {
    let mut lost = Vec::new();
    for visit in gone.chunk_by(|one, next| one.visit == next.visit) {
        let Some(first) = visit.first() else { continue };
        let of_visit = offered_times::table.filter(offered_times::appointment_id.eq(first.visit));
        let held: i64 = of_visit.count().get_result(tx.conn)?;
        if usize::try_from(held).is_ok_and(|held| held <= visit.len()) {
            lost.push(first.absence);
        }
    }
    lost.sort_unstable();
    lost.dedup();
    for absence in lost {
        set_status(tx, absence, AbsenceStatus::Open)?;
    }
    Ok(())
}

/// Lets them go; a visit for which nothing is held any more has no outcome again.
pub(crate) fn take_back(tx: &mut Tx, gone: &[Held]) -> Result<(), Error> {
    for one in gone {
        // Whoever chooses at this moment is first, or finds it gone.
        appointment::lock(tx, one.visit)?;
        if !let_go(tx, one.id, one.visit)? {
            continue;
        }
        let facts = appointment::find_row(tx, one.visit)?.facts();
        tx.record(Action::LapseOffer, "Appointment", one.visit.0, &facts);
    }
    Ok(())
}
