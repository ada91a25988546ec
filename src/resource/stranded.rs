//! Visits to come whose room or device has been put out of use: each is given another of its kind at the
//! same place at once, where one is free. The others are a task of the clinic until the last of them was
//! moved, or called off, or can have what it holds again.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken::{self, Hit, is_kept};
use crate::appointment::{self, AppointmentId, needed};
use crate::base::app::App;
use crate::base::column;
use crate::base::ctx::{as_system, look_as_system};
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{appointments, occupancies, resources};
use crate::base::tx::Tx;
use crate::organization::OrganizationId;
use crate::resource::{PhysicalKind, ResourceId};
use crate::task::{self, TaskCode, TaskWhy};

/// How many visits the list names.
const SHOWN_MAX: i64 = 100;
/// How often it looks whether a clinic's task still has a visit, in seconds.
const RECHECK_SECS: u64 = 60;

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
    let found = holding(tx, clinic, SHOWN_MAX)?;
    let mut visits = taken::of_ids(tx, found.iter().map(|(visit, ..)| *visit).collect())?;
    for (id, thing, name, kind) in found {
        if let Some(at) = visits.iter().position(|visit| visit.id == id) {
            let visit = visits.swap_remove(at);
            items.push(StrandedVisit { visit, resource: Named { id: thing, name }, kind });
        }
    }
    Ok(Page { items, next: None })
}

type Held = (AppointmentId, ResourceId, String, PhysicalKind);

fn holding(tx: &mut Tx, clinic: OrganizationId, most: i64) -> Result<Vec<Held>, Error> {
    let held = occupancies::table
        .inner_join(resources::table.on(resources::id.eq(occupancies::resource_id)))
        .inner_join(appointments::table.on(appointments::id.eq(occupancies::appointment_id)))
        .filter(resources::organization_id.eq(clinic))
        .filter(resources::active.eq(false))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(tx.now))
        .filter(is_kept(tx.now))
        .order((occupancies::starts_at, appointments::id))
        .limit(most)
        .select((appointments::id, resources::id, resources::name, resources::kind));
    Ok(held.load(tx.conn)?)
}

/// Gives the visits to come that hold something another of its kind, where one is free; how many had
/// one. The caller has made the access decision, and put it out of use.
pub(super) fn rehouse(tx: &mut Tx, id: ResourceId) -> Result<usize, Error> {
    let visits: Vec<AppointmentId> = occupancies::table
        .inner_join(appointments::table.on(appointments::id.eq(occupancies::appointment_id)))
        .filter(occupancies::resource_id.eq(column::Uuid(id.0)))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(tx.now))
        .filter(is_kept(tx.now))
        .order(occupancies::starts_at)
        .select(appointments::id)
        .load(tx.conn)?;
    let mut rehoused = 0;
    for visit in visits {
        let row = appointment::find_row(tx, visit)?;
        match needed::replace(tx, &row, id.0, None) {
            Ok(_) => {
                rehoused += 1;
                tx.record(Action::EditResource, "Appointment", visit.0, &row.facts());
            }
            // None is free then, or its service needs none any more.
            Err(error) if error.is(&problem::RESOURCE_BUSY) || error.is(&problem::BAD_STATE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rehoused)
}

/// Lets nobody else take or give what a clinic has, until this transaction ends.
pub(super) fn take_turn(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    Ok(take_turns(tx.conn, &[Turn::Alone(clinic.0)])?)
}

/// A clinic has a task as long as a visit to come holds what is out of use. The caller has made the
/// access decision.
pub(super) fn follow(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    let is_open = task::clinic::is_open(tx, clinic, TaskCode::Things)?;
    match (holding(tx, clinic, 1)?.is_empty(), is_open) {
        (false, false) => task::clinic::open(tx, clinic, TaskCode::Things, TaskWhy::OutOfUse),
        (true, true) => task::clinic::call_off(tx, clinic, TaskCode::Things),
        (false, true) | (true, false) => Ok(()),
    }
}

/// Ends the tasks of clinics that have moved or called off the last such visit.
pub async fn recheck(app: &Arc<App>) -> Result<(), Error> {
    let open = look_as_system(app, |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        task::clinic::having(tx, TaskCode::Things)
    });
    for clinic in open.await? {
        as_system(app, move |tx| {
            tx.allow(Action::WatchVisits, &Facts::NONE)?;
            follow(tx, clinic)
        })
        .await?;
    }
    Ok(())
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut looks = tokio::time::interval(Duration::from_secs(RECHECK_SECS));
    loop {
        tokio::select! {
            _ = looks.tick() => if let Err(error) = recheck(&app).await {
                tracing::error!(%error, "the tasks about rooms and devices could not be looked at");
            },
            _ = stop.changed() => return,
        }
    }
}
