//! Visits to come whose room or device has been put out of use: each is given another of its kind at the
//! same place at once, where one is free. The others are a task of the clinic until the last of them was
//! moved, or called off, or can have what it holds again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::promise::PROMISED;
use crate::appointment::taken::{self, Hit, is_kept};
use crate::appointment::{self, AppointmentId, needed};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::ctx::{each_as_system, look_as_system};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::problem::{self, Problem};
use crate::base::schema::{appointments, occupancies, resources};
use crate::base::tx::Tx;
use crate::location::{self, LocationId};
use crate::organization::OrganizationId;
use crate::resource::{PhysicalKind, ResourceId};
use crate::task::{self, TaskCode, TaskWhy};

/// How many visits the list names.
const SHOWN_MAX: i64 = 100;
/// How often it looks whether a clinic's task still has a visit, in seconds.
const RECHECK_SECS: u64 = 60;
/// The same in microseconds.
const RECHECK_MICROS: i64 = 60_000_000;
/// For how many visits one deed looks for another room or device.
const REHOUSED_MAX: usize = 100;
/// What leaves a visit with what it has.
static LEFT: [&Problem; 4] =
    [&problem::RESOURCE_BUSY, &problem::BAD_STATE, &problem::SLOT_TAKEN, &problem::CONFLICT];

/// A visit to come, and what it holds that is out of use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StrandedVisit {
    /// The visit.
    #[serde(flatten)]
    pub visit: Hit,
    /// What is out of use.
    pub resource: Named<ResourceId>,
    /// What that is.
    pub kind: PhysicalKind,
}

/// The visits to come of a clinic that hold a room or a device which is out of use: the first hundred by
/// start. A move, also to the same time, gives each another. Indexes: resources_by_organization,
/// occupancies_live.
pub fn list(tx: &mut Tx, clinic: OrganizationId) -> Result<Page<StrandedVisit>, Error> {
    tx.allow(Action::ReadStranded, &Facts::of_organization(clinic))?;
    let mut items = Vec::new();
    let found = holding(tx, Of::Clinic(clinic), Some(SHOWN_MAX))?;
    let mut visits = taken::of_ids(tx, found.iter().map(|held| held.visit).collect())?;
    for Held { visit: id, thing, kind } in found {
        if let Some(at) = visits.iter().position(|visit| visit.id == id) {
            let visit = visits.swap_remove(at);
            items.push(StrandedVisit { visit, resource: thing, kind });
        }
    }
    Ok(Page { items, next: None })
}

/// Whose rooms and devices.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// Those of a clinic that are out of use.
    Clinic(OrganizationId),
    /// This one, out of use or elsewhere.
    Thing(ResourceId),
}

type Row =
    (AppointmentId, Option<LocationId>, (ResourceId, String, PhysicalKind, LocationId, bool));

/// A visit to come, and what it holds and cannot have.
#[derive(Debug, Clone)]
pub(super) struct Held {
    visit: AppointmentId,
    thing: Named<ResourceId>,
    kind: PhysicalKind,
}

/// The visits to come, booked, waited for or held, that hold what is out of use, or is no longer where
/// they take place; by start.
fn holding(tx: &mut Tx, of: Of, most: Option<i64>) -> Result<Vec<Held>, Error> {
    let mut held = occupancies::table
        .inner_join(resources::table.on(resources::id.eq(occupancies::resource_id)))
        .inner_join(appointments::table.on(appointments::id.eq(occupancies::appointment_id)))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(tx.now))
        .filter(appointments::status.eq_any(PROMISED))
        .filter(is_kept(tx.now))
        .order((occupancies::starts_at, appointments::id))
        .select((
            appointments::id,
            appointments::location_id,
            (
                resources::id,
                resources::name,
                resources::kind,
                resources::location_id,
                resources::active,
            ),
        ))
        .into_boxed();
    held = match of {
        Of::Clinic(clinic) => {
            held.filter(resources::organization_id.eq(clinic)).filter(resources::active.eq(false))
        }
        Of::Thing(id) => held.filter(resources::id.eq(id)),
    };
    if let Some(most) = most {
        held = held.limit(most);
    }
    let rows: Vec<Row> = held.load(tx.conn)?;
    let mut sites: HashMap<LocationId, Vec<LocationId>> = HashMap::new();
    let mut found = Vec::with_capacity(rows.len());
    for (visit, place, (id, name, kind, stands, active)) in rows {
        if let Some(place) = place.filter(|_| active) {
            let site = match sites.entry(place) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(location::within(tx, place)?),
            };
            if site.contains(&stands) {
                continue;
            }
        }
        found.push(Held { visit, thing: Named { id, name }, kind });
    }
    Ok(found)
}

/// The visits to come that a room or a device fails, which is out of use or elsewhere now. The caller has
/// made the access decision.
pub(super) fn failed_by(tx: &mut Tx, id: ResourceId) -> Result<Vec<Held>, Error> {
    holding(tx, Of::Thing(id), None)
}

/// Gives the first hundred of some visits another of its kind each, where one is free; how many had one,
/// and which are left. The caller has made the access decision, and [taken the turn](task::clinic::take_turn).
pub(super) fn rehouse(
    tx: &mut Tx,
    visits: Vec<Held>,
) -> Result<(usize, Vec<AppointmentId>), Error> {
    let (mut rehoused, mut left) = (0, Vec::new());
    for (at, held) in visits.into_iter().enumerate() {
        let id = held.visit;
        if at >= REHOUSED_MAX {
            left.push(id);
            continue;
        }
        // Each for itself: one that is moved or given away at this moment holds up no other.
        let replaced = tx.attempt(|tx| {
            let row = appointment::find_row(tx, id)?;
            needed::replace(tx, &row, held.thing.id.0, None)?;
            Ok(row.facts())
        });
        match replaced {
            Ok(facts) => {
                rehoused += 1;
                tx.record(Action::EditResource, "Appointment", id.0, &facts);
            }
            // None is free then, or its service needs none any more.
            Err(error) if LEFT.iter().copied().any(|problem| error.is(problem)) => left.push(id),
            Err(error) => return Err(error),
        }
    }
    Ok((rehoused, left))
}

/// A clinic has a task as long as a visit to come holds what is out of use. The caller has made the
/// access decision, and [taken the turn](task::clinic::take_turn).
pub(super) fn follow(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    let is_any_left = !holding(tx, Of::Clinic(clinic), Some(1))?.is_empty();
    task::clinic::keep(tx, clinic, (TaskCode::Things, TaskWhy::OutOfUse), is_any_left)
}

/// The clinics with a task, or with a visit to come that holds what is out of use.
fn concerned(tx: &mut Tx) -> Result<Vec<OrganizationId>, Error> {
    let mut clinics = task::clinic::having(tx, TaskCode::Things)?;
    let with_some: Vec<OrganizationId> = resources::table
        .filter(resources::active.eq(false))
        .select(resources::organization_id)
        .distinct()
        .load(tx.conn)?;
    for clinic in with_some {
        if !clinics.contains(&clinic) && !holding(tx, Of::Clinic(clinic), Some(1))?.is_empty() {
            clinics.push(clinic);
        }
    }
    Ok(clinics)
}

/// Sees to the clinics that have such visits: gives them what has become free since, a hundred in turn,
/// and opens or ends the task. A visit that was called off can have come back to what was put out of use
/// meanwhile. One clinic that fails holds up no other.
pub async fn recheck(app: &Arc<App>) -> Result<(), Error> {
    let clinics = look_as_system(app, |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        concerned(tx)
    });
    let see_to = |tx: &mut Tx, clinic| {
        task::clinic::take_turn(tx, clinic)?;
        let visits = holding(tx, Of::Clinic(clinic), None)?;
        let parts = visits.len().div_ceil(REHOUSED_MAX).max(1);
        let round = usize::try_from(tx.now.micros() / RECHECK_MICROS).unwrap_or(0);
        let part = visits.chunks(REHOUSED_MAX).nth(round % parts).unwrap_or_default();
        rehouse(tx, part.to_vec())?;
        follow(tx, clinic)
    };
    each_as_system(app, Action::WatchVisits, clinics.await?, see_to).await.map(drop)
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(RECHECK_SECS), stop, async || {
        if let Err(error) = recheck(&app).await {
            tracing::error!(%error, "the tasks about rooms and devices could not be looked at");
        }
    })
    .await;
}
