//! Taking time: the rows that make double booking impossible.
//!
//! The `occupancies` rows are the lock: the database refuses a second live one for the same
//! resource, lane and time. The code here only asks, and makes dead holds give way.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::Integer;

use crate::appointment::taken::OCCUPIED_HOURS_MAX;
use crate::appointment::{AppointmentId, expiry};
use crate::base::column::sql::{Moment, Uid};
use crate::base::column::{self, Instant, text_enum};
use crate::base::db::{self, Each, statement};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, occupancies};
use crate::base::tx::Tx;

text_enum!(
    /// What a visit holds for itself.
    ResourceKind {
        /// Who conducts it.
        Practitioner = "practitioner",
        /// Whom it is for.
        Patient = "patient",
        /// A room.
        Room = "room",
        /// A device.
        Device = "device",
        /// A feldsher beside the patient.
        Feldsher = "feldsher",
        /// Somebody who translates.
        Interpreter = "interpreter",
    }
);

/// Where the visits of the grid lie.
pub const LANE: i32 = 0;
/// Where a second visit at the same time lies.
pub const SECOND_LANE: i32 = 1;

/// Where nothing lies.
const NO_LANE: i32 = -1;

/// A resource's time that a visit wants.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// As what.
    pub kind: ResourceKind,
    /// Whose time, or of what.
    pub resource: uuid::Uuid,
    /// Beside what.
    pub lane: i32,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// Takes a practitioner's and a patient's time with one statement. Says which of the two it got. The
/// practitioner's is taken beside nobody, unless it is a second visit.
pub fn take_both(
    tx: &mut Tx,
    id: AppointmentId,
    practitioner: Claim,
    patient: Claim,
) -> Result<Vec<ResourceKind>, Error> {
    // What lies in the second lane may be all that is left of a pair: only who says so comes beside it.
    let other = if practitioner.lane == LANE { SECOND_LANE } else { NO_LANE };
    let earliest = practitioner.from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX));
    let taken = TakeBoth {
        id: &id,
        practitioner: &column::Uuid(practitioner.resource),
        lane: &practitioner.lane,
        busy_from: &practitioner.from,
        busy_to: &practitioner.to,
        beside: &column::Uuid(practitioner.resource),
        other: &other,
        earliest: &earliest,
        until: &practitioner.to,
        since: &practitioner.from,
        same: &id,
        patient: &column::Uuid(patient.resource),
        start: &patient.from,
        end: &patient.to,
    }
    .execute(tx.conn);
    match taken {
        Ok(2) => return Ok(vec![ResourceKind::Practitioner, ResourceKind::Patient]),
        Ok(_) => {}
        // SQLite's guard is a trigger, which undoes its whole statement, and no more.
        Err(error) if is_busy(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let rows = occupancies::table.filter(occupancies::appointment_id.eq(id));
    Ok(rows.select(occupancies::resource_kind).load(tx.conn)?)
}

statement!(
    // PostgreSQL would deadlock two plain inserts for one doctor; DO NOTHING waits and yields.
    TakeBoth
    "INSERT INTO occupancies
       (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
     SELECT " id: Uid = AppointmentId,
    ", 'practitioner', " practitioner: Uid = column::Uuid,
    ", " lane: Integer = i32,
    ", " busy_from: Moment = Instant,
    ", " busy_to: Moment = Instant,
    ", true WHERE NOT EXISTS (SELECT 1 FROM occupancies WHERE resource_id = " beside: Uid = column::Uuid,
    " AND lane = " other: Integer = i32,
    " AND live AND starts_at > " earliest: Moment = Instant,
    " AND starts_at < " until: Moment = Instant,
    " AND ends_at > " since: Moment = Instant,
    ") UNION ALL SELECT " same: Uid = AppointmentId,
    ", 'patient', " patient: Uid = column::Uuid,
    ", 0, " start: Moment = Instant,
    ", " end: Moment = Instant;
    ", true WHERE true ON CONFLICT DO NOTHING"
);

/// Takes a resource's time; `false` when it is taken. Holds that have run out give way.
pub fn take(tx: &mut Tx, id: AppointmentId, claim: Claim) -> Result<bool, Error> {
    if try_take(tx, id, claim)? {
        return Ok(true);
    }
    take_from_the_dead(tx, id, claim)
}

/// Takes a time that was taken a moment ago, if only by holds that have run out.
pub fn take_from_the_dead(tx: &mut Tx, id: AppointmentId, claim: Claim) -> Result<bool, Error> {
    if release_expired(tx, &claim)? == 0 {
        return Ok(false);
    }
    try_take(tx, id, claim)
}

/// Takes a practitioner's time in both lanes or in none.
pub fn take_both_lanes(tx: &mut Tx, id: AppointmentId, claim: Claim) -> Result<bool, Error> {
    let both = tx.attempt(|tx| {
        for lane in [LANE, SECOND_LANE] {
            if !take(tx, id, Claim { lane, ..claim })? {
                return Err(Error::from(&problem::SLOT_TAKEN));
            }
        }
        Ok(())
    });
    match both {
        Ok(()) => Ok(true),
        Err(error) if error.is(&problem::SLOT_TAKEN) => Ok(false),
        Err(error) => Err(error),
    }
}

fn try_take(tx: &mut Tx, id: AppointmentId, claim: Claim) -> Result<bool, Error> {
    let inserted = Each(
        diesel::insert_into(occupancies::table)
            .values((
                occupancies::appointment_id.eq(id),
                occupancies::resource_kind.eq(claim.kind),
                occupancies::resource_id.eq(column::Uuid(claim.resource)),
                occupancies::lane.eq(claim.lane),
                occupancies::starts_at.eq(claim.from),
                occupancies::ends_at.eq(claim.to),
                occupancies::live.eq(true),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn);
    match inserted {
        Ok(rows) => Ok(rows == 1),
        Err(error) if is_busy(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the schema refused a time because it is taken.
pub fn is_busy(error: &diesel::result::Error) -> bool {
    db::refusal(error).as_deref() == Some("resource_busy")
}

/// Ends the holds and requests on a resource that nobody answered in time. Returns how many.
pub fn release_expired(tx: &mut Tx, claim: &Claim) -> Result<usize, Error> {
    let earliest = claim.from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX));
    let expired: Vec<AppointmentId> = appointments::table
        .inner_join(occupancies::table.on(occupancies::appointment_id.eq(appointments::id)))
        .filter(occupancies::resource_id.eq(column::Uuid(claim.resource)))
        .filter(occupancies::lane.eq(claim.lane))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(earliest))
        .filter(occupancies::starts_at.lt(claim.to))
        .filter(occupancies::ends_at.gt(claim.from))
        .filter(appointments::hold_expires_at.le(tx.now))
        .order(appointments::id)
        .select(appointments::id)
        .load(tx.conn)?;
    for id in &expired {
        match expiry::expire(tx, *id) {
            Ok(_) => {}
            // Another booking has just ended the same hold.
            Err(error) if error.is(&problem::CONFLICT) || error.is(&problem::BAD_STATE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(expired.len())
}

/// Whether no other visit holds a resource at some time. Holds that have run out give way.
pub fn is_free(tx: &mut Tx, but: AppointmentId, claim: &Claim) -> Result<bool, Error> {
    Ok(!is_taken(tx, but, claim)?
        || (release_expired(tx, claim)? > 0 && !is_taken(tx, but, claim)?))
}

/// Ends the holds and requests that have run out and lie where a visit is to lie: where it lay, or
/// `later` than that.
pub fn bury_the_dead(tx: &mut Tx, id: AppointmentId, later: TimeDelta) -> Result<(), Error> {
    type Row = (ResourceKind, column::Uuid, i32, Instant, Instant);
    let rows: Vec<Row> = occupancies::table
        .filter(occupancies::appointment_id.eq(id))
        .select((
            occupancies::resource_kind,
            occupancies::resource_id,
            occupancies::lane,
            occupancies::starts_at,
            occupancies::ends_at,
        ))
        .load(tx.conn)?;
    for (kind, column::Uuid(resource), lane, from, to) in rows {
        let (from, to) = (from.plus(later), to.plus(later));
        release_expired(tx, &Claim { kind, resource, lane, from, to })?;
    }
    Ok(())
}

fn is_taken(tx: &mut Tx, but: AppointmentId, claim: &Claim) -> Result<bool, Error> {
    let earliest = claim.from.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX));
    let others = occupancies::table
        .filter(occupancies::resource_id.eq(column::Uuid(claim.resource)))
        .filter(occupancies::lane.eq(claim.lane))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(earliest))
        .filter(occupancies::starts_at.lt(claim.to))
        .filter(occupancies::ends_at.gt(claim.from))
        .filter(occupancies::appointment_id.ne(but));
    Ok(diesel::select(diesel::dsl::exists(others)).get_result(tx.conn)?)
}
