//! What the absence of a practitioner, or of a helper, does to visits: which it hits, how they are
//! called off for it and brought back, and how a time is held in place of one. Every function here is
//! for a deed that has decided on access itself.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::account::AccountId;
use crate::appointment::occupy::{self, LANE, SECOND_LANE};
use crate::appointment::taken::OCCUPIED_HOURS_MAX;
use crate::appointment::{
    self, AppointmentId, CancellationCode, Priority, find_row, promise, sealed,
};
use crate::base::column::{Instant, Uuid};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, occupancies, patients};
use crate::base::tx::Tx;
use crate::encounter;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::organization::ServiceId;
use crate::organization::service::Mode;
use crate::patient::{self, PatientId};
use crate::practitioner::PractitionerId;
use crate::task::{self, TaskCode, TaskWhy};
use crate::waitlist::follow;

/// A visit as whoever finds it another place must know it.
#[derive(Debug, Clone, Queryable)]
pub struct Affected {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// Where it stands.
    pub status: AppointmentStatus,
    /// What was booked.
    pub service: ServiceId,
    /// With whom.
    pub practitioner: PractitionerId,
    /// For whom.
    pub patient: PatientId,
    /// Their name.
    pub patient_name: String,
    /// Their account.
    pub account: Option<AccountId>,
    /// When it begins.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// From when it takes the practitioner's time.
    pub busy_from: Instant,
    /// Until when.
    pub busy_to: Instant,
    /// How soon it must be.
    pub priority: Priority,
    /// How it shall be held.
    pub mode: Mode,
    /// The promised local time.
    pub local_start: String,
    /// The zone of that time.
    pub time_zone: String,
}

#[diesel::dsl::auto_type(no_type_alias)]
fn affected() -> _ {
    appointments::table.inner_join(patients::table).select((
        appointments::id,
        appointments::code,
        appointments::status,
        appointments::service_id,
        appointments::practitioner_id,
        appointments::patient_id,
        patients::name,
        patients::account_id,
        appointments::starts_at,
        appointments::ends_at,
        appointments::busy_from,
        appointments::busy_to,
        appointments::priority,
        appointments::mode,
        appointments::local_start,
        appointments::time_zone,
    ))
}

/// The visits in which a practitioner takes part, also as feldsher or interpreter of somebody else,
/// that touch a range and are not over, the first `most` by start: booked, begun, or held and not
/// yet dead. Index: occupancies_live.
pub fn within(
    tx: &mut Tx,
    practitioner: PractitionerId,
    (from, to): (Instant, Instant),
    most: i64,
) -> Result<Vec<Affected>, Error> {
    use AppointmentStatus::{Arrived, Booked};
    let visits = affected()
        .inner_join(occupancies::table.on(occupancies::appointment_id.eq(appointments::id)))
        .filter(occupancies::resource_id.eq(Uuid(practitioner.0)))
        // An urgent visit has two rows: the first lane knows all but second visits.
        .filter(among(occupancies::lane, vec![LANE, SECOND_LANE]))
        .filter(occupancies::lane.eq(LANE).or(appointments::overbooked))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(occupancies::starts_at.lt(to))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::ends_at.gt(from))
        .filter(
            appointments::status
                .eq_any([Booked, Arrived])
                .or(appointments::hold_expires_at.gt(tx.now)),
        )
        .order((appointments::starts_at, appointments::id))
        .limit(most);
    Ok(visits.load(tx.conn)?)
}

/// Some visits, by start.
pub fn of(tx: &mut Tx, ids: &[AppointmentId]) -> Result<Vec<Affected>, Error> {
    let visits = affected()
        .filter(among(appointments::id, ids))
        .order((appointments::starts_at, appointments::id));
    Ok(visits.load(tx.conn)?)
}

/// What of a visit a move forgets.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Stood {
    /// Whether it lies beside another.
    pub overbooked: bool,
    /// Since when its patient has said that they will come.
    pub confirmed_at: Option<Instant>,
}

/// How a visit stands, before it is decided about.
pub fn stood(tx: &mut Tx, id: AppointmentId) -> Result<Stood, Error> {
    Ok(appointments::table
        .find(id)
        .select((appointments::overbooked, appointments::confirmed_at))
        .get_result(tx.conn)?)
}

/// Calls a visit off because its practitioner is away.
pub fn call_off(tx: &mut Tx, id: AppointmentId, reason: Option<&str>) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    if follow::gives_back(tx, &row, false)? {
        return Ok(());
    }
    follow::calling_off(tx, id, false)?;
    encounter::advance(tx, id, Act::Cancel, None)?;
    let reason = sealed(tx, id, "cancellation", reason)?;
    diesel::update(appointments::table.find(id))
        .set((
            appointments::cancellation_sealed.eq(reason),
            appointments::cancellation_code.eq(CancellationCode::Leave),
        ))
        .execute(tx.conn)?;
    let visit = encounter::of_appointment(tx, id)?;
    encounter::finish::over(tx, visit.id)
}

/// Brings back a visit that was called off because its practitioner was away, as what it was: what was
/// only held, or asked for, is so again until `held_until`, and when that has passed it is over. Says
/// whether it is back. 409 `bad_state` when it was called off for another reason, `slot_taken` when its
/// time was given away.
pub fn reinstate(
    tx: &mut Tx,
    id: AppointmentId,
    held_until: Option<Instant>,
) -> Result<bool, Error> {
    use AppointmentStatus::{Pending, Proposed};
    let (code, was): (Option<CancellationCode>, Option<AppointmentStatus>) = appointments::table
        .find(id)
        .select((appointments::cancellation_code, appointments::cancelled_from))
        .get_result(tx.conn)?;
    let act = match was {
        Some(Pending) => Act::HoldAgain,
        Some(Proposed) => Act::AskAgain,
        _ => Act::Reinstate,
    };
    match code {
        Some(CancellationCode::Leave) => {}
        // A time that was held for somebody who waits went back to the list.
        Some(CancellationCode::Expired) if act != Act::Reinstate => return Ok(false),
        _ => return Err(Error::from(&problem::BAD_STATE)),
    }
    if act == Act::Reinstate {
        return stand_again(tx, id, act).map(|()| true);
    }
    let Some(until) = held_until.filter(|until| *until > tx.now) else {
        diesel::update(appointments::table.find(id))
            .set((
                appointments::cancellation_code.eq(CancellationCode::Expired),
                appointments::updated_at.eq(tx.now),
                appointments::version.eq(appointments::version + 1),
            ))
            .execute(tx.conn)?;
        return Ok(false);
    };
    stand_again(tx, id, act)?;
    diesel::update(appointments::table.find(id))
        .set(appointments::hold_expires_at.eq(until))
        .execute(tx.conn)?;
    Ok(true)
}

/// Lets what was called off stand again, by whichever act, on the patient's present clock. 409
/// `slot_taken` when its time was given away.
pub(super) fn stand_again(tx: &mut Tx, id: AppointmentId, act: Act) -> Result<(), Error> {
    appointment::lock(tx, id)?;
    occupy::bury_the_dead(tx, id, TimeDelta::zero())?;
    tx.attempt(|tx| encounter::advance(tx, id, act, None))?;
    diesel::update(appointments::table.find(id))
        .set(appointments::cancellation_sealed.eq(None::<Vec<u8>>))
        .execute(tx.conn)?;
    go_by_their_clock(tx, id)
}

/// Puts a visit that comes again on its patient's present clock: while it was over nobody did. The
/// caller has waited for the clinic's turn.
pub(crate) fn go_by_their_clock(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    let zone = patient::keep_zone(tx, &patient)?;
    diesel::update(appointments::table.find(id))
        .set(appointments::time_zone.eq(zone))
        .execute(tx.conn)?;
    // Their clock was put right meanwhile, and shows another time than was promised.
    let local: String =
        appointments::table.find(id).select(appointments::local_start).get_result(tx.conn)?;
    let parted = promise::parted(row.starts_at, zone, promise::read_local(&local)?);
    if parted.is_some() && promise::is_to_come(row.status, row.starts_at, parted.flatten(), tx.now)
    {
        task::clinic::open(tx, row.organization_id, TaskCode::Promises, TaskWhy::Zone)?;
    }
    Ok(())
}

/// Lets a held time go, if it is still held.
pub fn let_go(tx: &mut Tx, held: AppointmentId) -> Result<(), Error> {
    match encounter::advance(tx, held, Act::Expire, None) {
        Ok(_) => Ok(()),
        Err(error) if error.is(&problem::BAD_STATE) || error.is(&problem::CONFLICT) => Ok(()),
        Err(error) => Err(error),
    }
}
