//! The visits of those who live where the zone was wrong.

use diesel::prelude::*;

use crate::appointment::AppointmentId;
use crate::appointment::promise::{IDS_MAX, PROMISED, earliest, is_to_come, parted, read_local};
use crate::base::column::Instant;
use crate::base::db::{Conn, Turn, among, take_turns};
use crate::base::error::Error;
use crate::base::schema::{appointments, patients};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::location::LocationId;
use crate::organization::{self, OrganizationId};
use crate::task::{self, TaskCode, TaskWhy};

type Promise = (AppointmentId, OrganizationId, AppointmentStatus, Instant, String);

#[diesel::dsl::auto_type(no_type_alias)]
fn promised(home: LocationId, now: Instant) -> _ {
    let after: Instant = earliest(now);
    let standing: [AppointmentStatus; 4] = PROMISED;
    let residents = patients::table.filter(patients::location_id.eq(home)).select(patients::id);
    appointments::table
        .filter(appointments::patient_id.eq_any(residents))
        .filter(appointments::starts_at.gt(after))
        .filter(appointments::status.eq_any(standing))
        // A hold that has run out promises nothing, and whoever needs its time ends it.
        .filter(appointments::hold_expires_at.is_null().or(appointments::hold_expires_at.gt(now)))
        // As a move does: the visit before what is held in its place.
        .order((appointments::hold_expires_at.is_not_null(), appointments::id))
        .select((
            appointments::id,
            appointments::organization_id,
            appointments::status,
            appointments::starts_at,
            appointments::local_start,
        ))
}

/// What those who live at a place are promised, as it stays until this transaction ends.
/// Index: appointments_by_patient.
fn promises(tx: &mut Tx, home: LocationId) -> Result<Vec<Promise>, Error> {
    let promised = promised(home, tx.now);
    Ok(match tx.conn {
        Conn::Postgres(conn) => promised.for_update().load(conn)?,
        // SQLite has one writer.
        Conn::Sqlite(conn) => promised.load(conn)?,
    })
}

/// Takes what must be in hand before the clocks of those who live at a place change, in the order of every
/// move: the turns, then the visits. Whoever books for one of them at this moment comes before the change,
/// or after it ([`patient::keep_zone`](crate::patient::keep_zone)).
pub(crate) fn make_ready(tx: &mut Tx, home: LocationId) -> Result<(), Error> {
    // Of all clinics: a patient can have their first visit at any of them at this moment, and then it is
    // too late to wait for its turn. It is a matter of moments, and of years.
    let turns = organization::ids(tx)?.into_iter().map(|clinic| Turn::Alone(clinic.0));
    take_turns(tx.conn, &turns.collect::<Vec<_>>())?;
    promises(tx, home).map(drop)
}

/// The zone of a place was put right: the visits to come of those who live there are promised by its
/// clock, at the time that was said, also those of today that are still to come by it. Each clinic with
/// one that has parted from it has a task; whose they are, one entry a visit. Makes no access decision;
/// after [`make_ready`].
pub(crate) fn put_right(
    tx: &mut Tx,
    home: LocationId,
    zone: Zone,
) -> Result<Vec<OrganizationId>, Error> {
    let promises = promises(tx, home)?;
    let (mut ahead, mut broken) = (Vec::new(), Vec::new());
    for (id, clinic, status, start, promised) in promises {
        let parted = parted(start, zone, read_local(&promised)?);
        if !is_to_come(status, start, parted.flatten(), tx.now) {
            continue;
        }
        ahead.push(id);
        if parted.is_some() {
            broken.push(clinic);
        }
    }
    for some in ahead.chunks(IDS_MAX) {
        diesel::update(appointments::table.filter(among(appointments::id, some)))
            .set((
                appointments::time_zone.eq(zone),
                appointments::updated_at.eq(tx.now),
                appointments::version.eq(appointments::version + 1),
            ))
            .execute(tx.conn)?;
    }
    let mut clinics = broken.clone();
    clinics.sort_unstable();
    clinics.dedup();
    for clinic in clinics {
        task::clinic::open(tx, clinic, TaskCode::Promises, TaskWhy::Zone)?;
    }
    Ok(broken)
}
