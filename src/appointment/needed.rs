//! What a visit needs besides its practitioner and patient: one free one of each kind, all or none.

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::appointment::AppointmentId;
use crate::appointment::occupy::{self, Claim, LANE, ResourceKind};
use crate::base::column::{self, Instant};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{occupancies, practitioners, resources};
use crate::base::tx::Tx;
use crate::location::LocationId;
use crate::organization::Service;
use crate::organization::terms::NeededResource;
use crate::practitioner::{self, PractitionerId, PractitionerKind};
use crate::resource::{self, PhysicalKind};
use crate::schedule;

/// Somebody or something else that takes part in a visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Other {
    /// As what.
    pub kind: ResourceKind,
    /// Who, or what: a resource's id or a practitioner's.
    pub id: uuid::Uuid,
    /// The name.
    pub name: String,
}

/// Where and when the others are needed, and which of them were named.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// When the visit begins.
    pub start: Instant,
    /// When it ends.
    pub end: Instant,
    /// Where, if it can be there.
    pub location: LocationId,
    /// These and no others.
    pub named: &'a [uuid::Uuid],
}

/// Takes one of each kind that the service needs. Returns how many. 409 `resource_busy` when all
/// of a kind are taken; 422 `unknown_reference` when a named one is none of those needed.
pub fn take(tx: &mut Tx, id: AppointmentId, service: &Service, need: Need) -> Result<i32, Error> {
    let mut kinds = service.resources()?;
    // One order for all, so that nobody waits in a circle.
    kinds.sort_unstable();
    let mut known = vec![false; need.named.len()];
    let mut count = 0;
    for kind in kinds {
        let candidates = candidates(tx, service, kind, &need)?;
        let named: Vec<uuid::Uuid> = need
            .named
            .iter()
            .zip(&mut known)
            .filter(|(named, _)| candidates.contains(named))
            .map(|(named, known)| {
                *known = true;
                *named
            })
            .collect();
        let choice = if named.is_empty() { candidates } else { named };
        if !take_first(tx, id, kind, &choice, &need)? {
            return Err(Error::from(&problem::RESOURCE_BUSY));
        }
        count += 1;
    }
    if let Some(at) = known.iter().position(|known| !known) {
        let pointer = format!("/resources/{at}");
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer));
    }
    Ok(count)
}

fn take_first(
    tx: &mut Tx,
    id: AppointmentId,
    kind: NeededResource,
    choice: &[uuid::Uuid],
    need: &Need,
) -> Result<bool, Error> {
    for resource in choice {
        let claim = claim(occupied_as(kind), *resource, need);
        if occupy::take(tx, id, claim)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn claim(kind: ResourceKind, resource: uuid::Uuid, need: &Need) -> Claim {
    Claim { kind, resource, lane: LANE, from: need.start, to: need.end }
}

/// Those of a kind that the clinic has, and people of that kind who work then: those at the place
/// first, then the least used of the day.
fn candidates(
    tx: &mut Tx,
    service: &Service,
    kind: NeededResource,
    need: &Need,
) -> Result<Vec<uuid::Uuid>, Error> {
    let clinic = service.organization_id;
    let mut found: Vec<(bool, uuid::Uuid)> = match physical(kind) {
        Some(kind) => resource::of_kind(tx, clinic, kind)?
            .into_iter()
            .map(|(id, place)| (place != need.location, id.0))
            .collect(),
        None => {
            let people = practitioner::of_kind(tx, clinic, profession(kind))?;
            let working = schedule::on_duty(tx, &people, service, (need.start, need.end))?;
            working.into_iter().map(|id| (false, id.0)).collect()
        }
    };
    if found.len() > 1 {
        let ids: Vec<uuid::Uuid> = found.iter().map(|(_, id)| *id).collect();
        let loads = loads(tx, &ids, need.start)?;
        found.sort_by_key(|(elsewhere, id)| {
            let load = loads.iter().find(|(resource, _)| resource == id);
            (*elsewhere, load.map_or(0, |(_, visits)| *visits), *id)
        });
    }
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

/// How many visits each of some rooms, devices or people has within twelve hours of `start`.
fn loads(
    tx: &mut Tx,
    resources: &[uuid::Uuid],
    start: Instant,
) -> Result<Vec<(uuid::Uuid, i64)>, Error> {
    let ids: Vec<column::Uuid> = resources.iter().map(|id| column::Uuid(*id)).collect();
    let counted: Vec<(column::Uuid, i64)> = occupancies::table
        .filter(among(occupancies::resource_id, ids))
        .filter(occupancies::lane.eq(LANE))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.ge(start.minus(HALF_DAY)))
        .filter(occupancies::starts_at.lt(start.plus(HALF_DAY)))
        .group_by(occupancies::resource_id)
        .select((occupancies::resource_id, count_star()))
        .load(tx.conn)?;
    Ok(counted.into_iter().map(|(id, visits)| (id.0, visits)).collect())
}

fn physical(kind: NeededResource) -> Option<PhysicalKind> {
    match kind {
        NeededResource::Room => Some(PhysicalKind::Room),
        NeededResource::Device => Some(PhysicalKind::Device),
        NeededResource::Feldsher | NeededResource::Interpreter => None,
    }
}

fn profession(kind: NeededResource) -> PractitionerKind {
    match kind {
        NeededResource::Interpreter => PractitionerKind::Interpreter,
        _ => PractitionerKind::Feldsher,
    }
}

fn occupied_as(kind: NeededResource) -> ResourceKind {
    match kind {
        NeededResource::Room => ResourceKind::Room,
        NeededResource::Device => ResourceKind::Device,
        NeededResource::Feldsher => ResourceKind::Feldsher,
        NeededResource::Interpreter => ResourceKind::Interpreter,
    }
}

fn needed_as(kind: ResourceKind) -> Option<NeededResource> {
    NeededResource::ALL.iter().copied().find(|needed| occupied_as(*needed) == kind)
}

/// Before a visit is moved: whatever is taken at the new time gives its part to another of its
/// kind that is free both then and now. 409 `resource_busy` when there is none.
pub fn exchange(
    tx: &mut Tx,
    id: AppointmentId,
    service: &Service,
    old: (Instant, Instant),
    new: Need,
) -> Result<(), Error> {
    let held: Vec<(ResourceKind, column::Uuid)> = occupancies::table
        .filter(occupancies::appointment_id.eq(id))
        .filter(occupancies::resource_kind.ne(ResourceKind::Practitioner))
        .filter(occupancies::resource_kind.ne(ResourceKind::Patient))
        .order(occupancies::resource_kind)
        .select((occupancies::resource_kind, occupancies::resource_id))
        .load(tx.conn)?;
    for (kind, column::Uuid(resource)) in held {
        let Some(needed) = needed_as(kind) else { continue };
        let candidates = candidates(tx, service, needed, &new)?;
        let wanted = claim(kind, resource, &new);
        if candidates.contains(&resource) && occupy::is_free(tx, id, &wanted)? {
            continue;
        }
        let mut other = None;
        for candidate in candidates.into_iter().filter(|candidate| *candidate != resource) {
            let then = claim(kind, candidate, &new);
            let now = Claim { from: old.0, to: old.1, ..then };
            if occupy::is_free(tx, id, &then)? && occupy::is_free(tx, id, &now)? {
                other = Some(candidate);
                break;
            }
        }
        let other = other.ok_or_else(|| Error::from(&problem::RESOURCE_BUSY))?;
        let row = occupancies::table
            .filter(occupancies::appointment_id.eq(id))
            .filter(occupancies::resource_id.eq(column::Uuid(resource)));
        diesel::update(row)
            .set(occupancies::resource_id.eq(column::Uuid(other)))
            .execute(tx.conn)?;
    }
    Ok(())
}

/// Who and what else takes part in some visits.
pub fn of_visits(
    tx: &mut Tx,
    visits: &[AppointmentId],
) -> Result<Vec<(AppointmentId, Other)>, Error> {
    type Line = (AppointmentId, ResourceKind, column::Uuid);
    let lines: Vec<Line> = occupancies::table
        .filter(among(occupancies::appointment_id, visits))
        .filter(occupancies::resource_kind.ne(ResourceKind::Practitioner))
        .filter(occupancies::resource_kind.ne(ResourceKind::Patient))
        .order(occupancies::resource_kind)
        .select((occupancies::appointment_id, occupancies::resource_kind, occupancies::resource_id))
        .load(tx.conn)?;
    let ids: Vec<column::Uuid> = lines.iter().map(|(_, _, id)| *id).collect();
    let mut names: Vec<(column::Uuid, String)> = resources::table
        .filter(among(resources::id, ids.clone()))
        .select((resources::id, resources::name))
        .load(tx.conn)?;
    let people: Vec<(PractitionerId, String)> = practitioners::table
        .filter(among(practitioners::id, ids))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    names.extend(people.into_iter().map(|(id, name)| (column::Uuid(id.0), name)));
    let name = |id| names.iter().find(|(other, _)| *other == id).map(|(_, name)| name.clone());
    let others = lines.into_iter().map(|(visit, kind, id)| {
        (visit, Other { kind, id: id.0, name: name(id).unwrap_or_default() })
    });
    Ok(others.collect())
}

/// How far around its start the visits of a day are counted.
pub const HALF_DAY: TimeDelta = TimeDelta::hours(12);
