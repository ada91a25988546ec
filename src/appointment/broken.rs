//! Promises that have parted from their instants: the clinic's list of them, and all of them.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::AppointmentId;
use crate::appointment::promise::{PROMISED, earliest, is_to_come, parted, read_local};
use crate::appointment::taken::is_kept;
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::ctx::as_system;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::schema::{appointments, patients, practitioners};
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

/// How many visits one look reads.
pub(super) const BATCH: i64 = 1_000;

/// A visit whose promised local time and instant have parted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BrokenPromise {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// The instant it is kept at.
    pub start: Instant,
    /// The IANA zone of the promise.
    pub time_zone: Zone,
    /// The local time that was promised.
    pub promised: String,
    /// What a clock there will show instead.
    pub shown: String,
    /// The instant that keeps the promise; none when the clocks jump over that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Instant>,
}

/// A broken promise as the clinic's office sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClinicPromise {
    /// The visit and its times.
    #[serde(flatten)]
    pub promise: BrokenPromise,
    /// For whom.
    pub patient: Named<PatientId>,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
}

/// Which broken promises a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BrokenFilter {
    /// How many visits are looked at for one page, 1 to 100 times ten; a page may be empty and
    /// still have a next one.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// The visits to come of a clinic whose promise a newer law has broken, by start.
pub fn list(
    tx: &mut Tx,
    organization: OrganizationId,
    wanted: &BrokenFilter,
) -> Result<Page<ClinicPromise>, Error> {
    tx.allow(Action::KeepPromise, &Facts::of_organization(organization))?;
    let limit = page::limit(wanted.limit)?.saturating_mul(10);
    let after: Option<Position> = page::cursor(wanted.cursor.as_deref())?;
    let (broken, next) = look(tx, Some(organization), after, limit)?;
    let next = next.and_then(|position| page::encode(&position));
    Ok(Page { items: named(tx, broken)?, next })
}

/// Names the two sides of each visit.
fn named(tx: &mut Tx, broken: Vec<BrokenPromise>) -> Result<Vec<ClinicPromise>, Error> {
    type Sides = (AppointmentId, (PatientId, String), (PractitionerId, String));
    let ids: Vec<AppointmentId> = broken.iter().map(|visit| visit.id).collect();
    let sides: Vec<Sides> = appointments::table
        .inner_join(patients::table)
        .inner_join(practitioners::table)
        .filter(appointments::id.eq_any(ids))
        .select((
            appointments::id,
            (patients::id, patients::name),
            (practitioners::id, practitioners::name),
        ))
        .load(tx.conn)?;
    let mut sides: HashMap<AppointmentId, Sides> =
        sides.into_iter().map(|side| (side.0, side)).collect();
    let mut items = Vec::new();
    for promise in broken {
        if let Some((_, patient, practitioner)) = sides.remove(&promise.id) {
            let patient = Named { id: patient.0, name: patient.1 };
            let practitioner = Named { id: practitioner.0, name: practitioner.1 };
            items.push(ClinicPromise { promise, patient, practitioner });
        }
    }
    Ok(items)
}

/// Where a look stands.
pub(super) type Position = (Instant, AppointmentId);

/// Looks at some visits to come, and says where to go on. Index: appointments_by_organization.
pub(super) fn look(
    tx: &mut Tx,
    organization: Option<OrganizationId>,
    after: Option<Position>,
    limit: i64,
) -> Result<(Vec<BrokenPromise>, Option<Position>), Error> {
    let mut query = appointments::table
        .filter(appointments::starts_at.gt(earliest(tx.now)))
        .filter(appointments::status.eq_any(PROMISED))
        // A hold that has run out promises nothing.
        .filter(is_kept(tx.now))
        .order((appointments::starts_at, appointments::id))
        .limit(limit)
        .select((
            appointments::id,
            appointments::code,
            appointments::status,
            appointments::starts_at,
            appointments::time_zone,
            appointments::local_start,
        ))
        .into_boxed();
    if let Some(organization) = organization {
        query = query.filter(appointments::organization_id.eq(organization));
    }
    if let Some((at, id)) = after {
        query = query.filter(
            appointments::starts_at
                .gt(at)
                .or(appointments::starts_at.eq(at).and(appointments::id.gt(id))),
        );
    }
    type Promise = (AppointmentId, String, AppointmentStatus, Instant, Zone, String);
    let rows: Vec<Promise> = query.load(tx.conn)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| is_full).map(|(id, _, _, start, ..)| (*start, *id));
    let mut broken = Vec::new();
    for (id, code, status, start, time_zone, promised) in rows {
        let parted = parted(start, time_zone, read_local(&promised)?);
        if let Some(proposed) = parted.filter(|at| is_to_come(status, start, *at, tx.now)) {
            let shown = zone::local(start, time_zone);
            broken.push(BrokenPromise { id, code, start, time_zone, promised, shown, proposed });
        }
    }
    Ok((broken, next))
}

/// Every broken promise of the installation; `progress` hears how many visits were looked at.
/// For the system itself.
pub async fn all_broken(
    app: &Arc<App>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<BrokenPromise>, Error> {
    let (mut found, mut after, mut looked) = (Vec::new(), None, 0_usize);
    loop {
        let (mut broken, next) = as_system(app, move |tx| {
            tx.allow(Action::KeepPromise, &Facts::NONE)?;
            look(tx, None, after, BATCH)
        })
        .await?;
        found.append(&mut broken);
        looked = looked.saturating_add(usize::try_from(BATCH).unwrap_or(0));
        progress(looked);
        match next {
            Some(_) => after = next,
            None => return Ok(found),
        }
    }
}
