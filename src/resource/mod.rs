//! Rooms and devices of a clinic, one visit at a time each.

pub mod http;
pub mod stranded;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken::{self, Hit};
use crate::base::column::{id, text_enum};
use crate::base::error::Error;
use crate::base::name::{Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{locations, organizations, resources};
use crate::base::tx::Tx;
use crate::location::{self, LocationId};
use crate::organization::{self, OrganizationId};
use crate::task;

id!(
    /// A room or a device.
    ResourceId
);

text_enum!(
    /// What a resource is.
    PhysicalKind {
        /// A room, at the clinic or the station.
        Room = "room",
        /// A device, such as an ECG recorder.
        Device = "device",
    }
);

/// A room or a device as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: PhysicalKind,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub organization: Named<OrganizationId>,
    /// Where it is.
    pub location: Named<LocationId>,
    /// Whether visits can have it.
    pub active: bool,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// A room or a device, and the visits that a change of it hits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditedResource {
    /// As it is now.
    #[serde(flatten)]
    pub resource: Resource,
    /// When it is out of use now, or elsewhere: how many visits to come were given another of its kind
    /// at the same place. A hundred are looked at here; where it is out of use, the others follow within
    /// minutes.
    pub replaced: usize,
    /// Those for which none was free: the first 100 that the caller may see, by start. They keep it
    /// until they are moved; a move, also to the same time, gives them another one. The clinic's office
    /// has a task to see to them as long as it is out of use.
    pub affected: Vec<Hit>,
    /// How many there are.
    pub affected_count: i64,
}

/// A room or a device to be added.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewResource {
    /// What it is.
    pub kind: PhysicalKind,
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it is.
    pub location: LocationId,
}

/// Adds a room or a device to a clinic.
pub fn create(tx: &mut Tx, new: &NewResource) -> Result<Resource, Error> {
    let facts = Facts::of_organization(new.organization);
    tx.allow(Action::CreateResource, &facts)?;
    organization::check(tx, new.organization)?;
    check_location(tx, new.location)?;
    let id = ResourceId::new(tx.now);
    diesel::insert_into(resources::table)
        .values((
            resources::id.eq(id),
            resources::organization_id.eq(new.organization),
            resources::location_id.eq(new.location),
            resources::kind.eq(new.kind),
            resources::name.eq(new.name.as_str()),
            resources::active.eq(true),
            resources::version.eq(1),
            resources::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::CreateResource, "Resource", id.0, &facts);
    show(tx, id)
}

fn check_location(tx: &mut Tx, id: LocationId) -> Result<(), Error> {
    match location::find_row(tx, id)? {
        Some(_) => Ok(()),
        None => Err(Error::field(&problem::UNKNOWN_REFERENCE, "/location")),
    }
}

/// What shall be different about a room or a device. What is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditResource {
    /// Its name.
    pub name: Option<Name>,
    /// Where it is from now on.
    pub location: Option<LocationId>,
    /// Whether visits can have it.
    pub active: Option<bool>,
}

/// Changes a room or a device. Visits to come that it fails when it is out of use, or elsewhere, get
/// another where one is free; the others are named, and a task. 412 when somebody has changed it meanwhile.
pub fn edit(
    tx: &mut Tx,
    id: ResourceId,
    version: i32,
    change: &EditResource,
) -> Result<EditedResource, Error> {
    let before = show(tx, id)?;
    let facts = Facts::of_organization(before.organization.id);
    tx.allow(Action::EditResource, &facts)?;
    if let Some(location) = change.location {
        check_location(tx, location)?;
    }
    task::clinic::take_turn(tx, before.organization.id)?;
    let row = resources::table.filter(resources::id.eq(id)).filter(resources::version.eq(version));
    let changed = diesel::update(row)
        .set((
            resources::name.eq(change.name.as_ref().map_or(before.name.as_str(), Name::as_str)),
            resources::location_id.eq(change.location.unwrap_or(before.location.id)),
            resources::active.eq(change.active.unwrap_or(before.active)),
            resources::version.eq(version.saturating_add(1)),
        ))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditResource, "Resource", id.0, &facts);
    let resource = show(tx, id)?;
    let fails = !resource.active || resource.location.id != before.location.id;
    let failed = if fails { stranded::failed_by(tx, id)? } else { Vec::new() };
    let (replaced, left) = stranded::rehouse(tx, failed)?;
    stranded::follow(tx, before.organization.id)?;
    let (affected, affected_count) = taken::named_at(tx, before.organization.id, left)?;
    Ok(EditedResource { resource, replaced, affected, affected_count })
}

/// Which rooms and devices a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those at this place.
    pub location: Option<LocationId>,
    /// Those of this kind.
    pub kind: Option<PhysicalKind>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists rooms and devices by name. Indexes: resources_by_name, resources_by_organization.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Resource>, Error> {
    tx.allow(Action::ReadResource, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, ResourceId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query =
        shown().order((resources::name, resources::id)).limit(limit.saturating_add(1)).into_boxed();
    if let Some(organization) = wanted.organization {
        query = query.filter(resources::organization_id.eq(organization));
    }
    if let Some(location) = wanted.location {
        query = query.filter(resources::location_id.eq(location));
    }
    if let Some(kind) = wanted.kind {
        query = query.filter(resources::kind.eq(kind));
    }
    if let Some((name, id)) = after {
        query = query.filter(
            resources::name.gt(name.clone()).or(resources::name.eq(name).and(resources::id.gt(id))),
        );
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    let items = rows.into_iter().map(assemble).collect();
    Ok(Page::cut(items, limit, |resource| (resource.name.clone(), resource.id)))
}

/// The rooms or devices of a clinic that visits can have, and where they are; for a deed that has
/// decided on access itself. Index: resources_by_organization.
pub fn of_kind(
    tx: &mut Tx,
    clinic: OrganizationId,
    kind: PhysicalKind,
) -> Result<Vec<(ResourceId, LocationId)>, Error> {
    Ok(resources::table
        .filter(resources::organization_id.eq(clinic))
        .filter(resources::kind.eq(kind))
        .filter(resources::active)
        .select((resources::id, resources::location_id))
        .load(tx.conn)?)
}

type Row =
    ((ResourceId, PhysicalKind, String, bool, i32), (OrganizationId, String), (LocationId, String));

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    resources::table
        .inner_join(organizations::table.on(organizations::id.eq(resources::organization_id)))
        .inner_join(locations::table.on(locations::id.eq(resources::location_id)))
        .select((
            (
                resources::id,
                resources::kind,
                resources::name,
                resources::active,
                resources::version,
            ),
            (organizations::id, organizations::name),
            (locations::id, locations::name),
        ))
}

fn show(tx: &mut Tx, id: ResourceId) -> Result<Resource, Error> {
    let row: Option<Row> = shown().filter(resources::id.eq(id)).get_result(tx.conn).optional()?;
    row.map(assemble).ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

fn assemble((own, clinic, place): Row) -> Resource {
    let (id, kind, name, active, version) = own;
    Resource {
        id,
        kind,
        name,
        organization: Named { id: clinic.0, name: clinic.1 },
        location: Named { id: place.0, name: place.1 },
        active,
        version,
    }
}
