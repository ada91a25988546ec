//! The visits of those who live where the zone was wrong.

use diesel::prelude::*;

use crate::appointment::AppointmentId;
use crate::appointment::promise::{IDS_MAX, PROMISED, earliest, is_to_come, parted, read_local};
use crate::base::column::Instant;
use crate::base::db::{Turn, among, take_turns};
use crate::base::error::Error;
use crate::base::schema::{appointments, patients};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::location::LocationId;
use crate::organization::OrganizationId;
use crate::task::{self, TaskCode, TaskWhy};

/// The zone of a place was put right: the visits to come of those who live there are promised by its
/// clock, at the time that was said, also those of today that are still to come by it. Each clinic with
/// one that has parted from it has a task; whose they are, one entry a visit. Makes no access decision.
/// Index: appointments_by_patient.
pub(crate) fn put_right(
    tx: &mut Tx,
    home: LocationId,
    zone: Zone,
) -> Result<Vec<OrganizationId>, Error> {
    type Promise =
        (AppointmentId, OrganizationId, AppointmentStatus, Instant, String, Option<Instant>);
    let residents = patients::table.filter(patients::location_id.eq(home)).select(patients::id);
    let promises: Vec<Promise> = appointments::table
        .filter(appointments::patient_id.eq_any(residents))
        .filter(appointments::starts_at.gt(earliest(tx.now)))
        .filter(appointments::status.eq_any(PROMISED))
        .select((
            appointments::id,
            appointments::organization_id,
            appointments::status,
            appointments::starts_at,
            appointments::local_start,
            appointments::hold_expires_at,
        ))
        .load(tx.conn)?;
    let (mut ahead, mut broken) = (Vec::new(), Vec::new());
    for (id, clinic, status, start, promised, held_until) in promises {
        let parted = parted(start, zone, read_local(&promised)?);
        if !is_to_come(status, start, parted.flatten(), tx.now) {
            continue;
        }
        ahead.push(id);
        // A hold that has run out promises nothing.
        if parted.is_some() && held_until.is_none_or(|until| until > tx.now) {
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
    let turns: Vec<Turn> = clinics.iter().map(|clinic| Turn::Alone(clinic.0)).collect();
    take_turns(tx.conn, &turns)?;
    for clinic in clinics {
        task::clinic::open(tx, clinic, TaskCode::Promises, TaskWhy::Zone)?;
    }
    Ok(broken)
}
