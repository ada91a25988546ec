//! What an administrator puts right about a place. When its zone was wrong, the clocks there always
//! showed another time than Feldsher thought: what its people were promised stays, and visits that are
//! no longer at it become a task, as when a law moves the clocks.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::wrong_zone;
use crate::base::error::Error;
use crate::base::name::Name;
use crate::base::problem;
use crate::base::schema::locations;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::location::{LinkClass, Location, LocationId, check_coordinates, show};
use crate::organization::OrganizationId;
use crate::patient;

/// What shall be different about a place. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditLocation {
    /// Its name.
    pub name: Option<Name>,
    /// The IANA zone of its clocks, and so of the people who live there. The local times that they were
    /// promised stay.
    pub time_zone: Option<Zone>,
    /// Degrees north of the equator, -90 to 90; goes with `longitude`.
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich, -180 to 180; goes with `latitude`.
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: Option<f64>,
    /// The best link that most people there have.
    pub link_class: Option<LinkClass>,
}

/// A place, and how many visits a change of its zone has parted from their promise.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditedLocation {
    /// As it is now.
    #[serde(flatten)]
    pub location: Location,
    /// Visits to come that are not at their promised local time any more: the clinics' offices have a
    /// task to see to them. A clinic's administrator is told of their clinic's.
    pub broken_promises: usize,
}

/// Changes a place. 412 when somebody has done so meanwhile, 403 when a clinic's administrator changes the
/// zone of a place where patients of another clinic live.
pub fn edit(
    tx: &mut Tx,
    id: LocationId,
    version: i32,
    change: &EditLocation,
) -> Result<EditedLocation, Error> {
    let before = show(tx, id)?;
    let organization = before.organization.as_ref().map(|clinic| clinic.id);
    let facts = Facts { organization, ..Facts::NONE };
    tx.allow(Action::EditLocation, &facts)?;
    check_coordinates(change.latitude, change.longitude)
        .map_err(|pointer| Error::field(&problem::INVALID_BODY, pointer))?;
    let zone = change.time_zone.unwrap_or(before.time_zone);
    let everywhere = tx.person()?.system_admin;
    if zone != before.time_zone && !everywhere && patient::of_others_live_at(tx, id, organization)?
    {
        return Err(Error::from(&problem::FORBIDDEN));
    }
    let row = locations::table.filter(locations::id.eq(id)).filter(locations::version.eq(version));
    let changed = diesel::update(row)
        .set((
            locations::name.eq(change.name.as_ref().map_or(before.name.as_str(), Name::as_str)),
            locations::time_zone.eq(zone),
            locations::latitude.eq(change.latitude.or(before.latitude)),
            locations::longitude.eq(change.longitude.or(before.longitude)),
            locations::link_class.eq(change.link_class.unwrap_or(before.link_class)),
            locations::version.eq(version.saturating_add(1)),
        ))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    let broken_promises = if zone == before.time_zone {
        0
    } else {
        wrong_zone::make_ready(tx, id)?;
        patient::set_zone(tx, id, zone)?;
        let broken = wrong_zone::put_right(tx, id, zone)?;
        // What another clinic has booked is not told.
        let of_caller = |clinic: &&OrganizationId| everywhere || organization == Some(**clinic);
        broken.iter().filter(of_caller).count()
    };
    tx.record(Action::EditLocation, "Location", id.0, &facts);
    Ok(EditedLocation { location: show(tx, id)?, broken_promises })
}
