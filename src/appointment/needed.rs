//! What a visit needs besides its practitioner and patient: one free one of each kind, all or none.

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::appointment::occupy::{self, Claim, LANE, ResourceKind};
use crate::appointment::supply::{self, Busy, Duty, Moving, Sought, Supply};
use crate::appointment::{AppointmentId, Row, count_change};
use crate::base::column::{self, Instant};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{locations, occupancies, practitioners, resources};
use crate::base::tx::Tx;
use crate::location::LocationId;
use crate::organization::terms::NeededResource;
use crate::organization::{self, Service};
use crate::patient::{self, PatientRow};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::wall_clock::Span;

/// Somebody or something else that takes part in a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Other {
    /// As what.
    pub kind: ResourceKind,
    /// Who, or what: a resource's id or a practitioner's.
    pub id: uuid::Uuid,
    /// The name.
    pub name: String,
    /// Where a room or a device is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Named<LocationId>>,
}

/// Who and what else could take part in a visit, as it is known before anything is taken.
#[derive(Debug)]
pub(crate) struct Look {
    supply: Supply,
    duty: Duty,
    busy: Busy,
    visit: Span,
}

/// What was taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// How many.
    pub count: i32,
    /// Where.
    pub location: Option<LocationId>,
}

/// Looks who and what else could take part in a visit; `None` when it needs nobody and nothing.
/// 422 `unknown_reference` when a named one is none of those needed.
pub(crate) fn look(
    tx: &mut Tx,
    service: &Service,
    sought: &Sought,
    visit: Span,
) -> Result<Option<Look>, Error> {
    let supply = Supply::of(tx, service, sought, visit)?;
    let unknown = supply.as_ref().map_or(sought.named.first().map(|_| 0), |one| one.unknown);
    if let Some(at) = unknown {
        let pointer = format!("/resources/{at}");
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer));
    }
    let Some(supply) = supply else { return Ok(None) };
    let duty = supply.duty(visit);
    let busy = supply::busy(tx, &supply.ids(), (visit.start, visit.end), sought.moving)?;
    Ok(Some(Look { supply, duty, busy, visit }))
}

impl Look {
    /// Whether there is one of each kind for a visit with a practitioner.
    pub(crate) fn serves(&self, practitioner: &PractitionerRow) -> bool {
        self.sites(practitioner).next().is_some()
    }

    fn sites<'a>(&'a self, with: &'a PractitionerRow) -> impl Iterator<Item = usize> + 'a {
        self.supply.serving(self.visit, with, (&self.duty, &self.busy))
    }

    /// What of a kind is free at a site, the least used of the day first.
    fn choice(
        &self,
        tx: &mut Tx,
        (site, kind): (usize, NeededResource),
        with: &PractitionerRow,
    ) -> Result<Vec<uuid::Uuid>, Error> {
        let known = (&self.duty, &self.busy);
        let mut found = self.supply.free_at(site, kind, self.visit, with, known);
        if found.len() > 1 {
            let loads = loads(tx, &found, self.visit.start)?;
            found.sort_by_key(|id| {
                let load = loads.iter().find(|(resource, _)| resource == id);
                (load.map_or(0, |(_, visits)| *visits), *id)
            });
        }
        Ok(found)
    }

    fn claim(&self, kind: NeededResource, resource: uuid::Uuid) -> Claim {
        let Span { start: from, end: to } = self.visit;
        Claim { kind: occupied_as(kind), resource, lane: LANE, from, to }
    }
}

/// Takes one of each kind, all at one place. 409 `resource_busy` when all of a kind are taken.
pub(crate) fn take(
    tx: &mut Tx,
    id: AppointmentId,
    look: &Look,
    practitioner: &PractitionerRow,
) -> Result<Taken, Error> {
    for site in look.sites(practitioner) {
        match tx.attempt(|tx| take_at(tx, id, look, (site, practitioner))) {
            Ok(count) => return Ok(Taken { count, location: look.supply.location(site) }),
            // Somebody was faster: the next place.
            Err(error) if error.is(&problem::RESOURCE_BUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::from(&problem::RESOURCE_BUSY))
}

fn take_at(
    tx: &mut Tx,
    id: AppointmentId,
    look: &Look,
    (site, practitioner): (usize, &PractitionerRow),
) -> Result<i32, Error> {
    let mut count = 0;
    for kind in look.supply.needed() {
        let mut taken = false;
        for resource in look.choice(tx, (site, kind), practitioner)? {
            taken = occupy::take(tx, id, look.claim(kind, resource))?;
            if taken {
                break;
            }
        }
        if !taken {
            return Err(Error::from(&problem::RESOURCE_BUSY));
        }
        count += 1;
    }
    Ok(count)
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

fn occupied_as(kind: NeededResource) -> ResourceKind {
    match kind {
        NeededResource::Room => ResourceKind::Room,
        NeededResource::Device => ResourceKind::Device,
        NeededResource::Feldsher => ResourceKind::Feldsher,
        NeededResource::Interpreter => ResourceKind::Interpreter,
    }
}

/// Before a visit is moved: whatever is taken at the new time gives its part to another of its
/// kind at the same place that is free both then and now. 409 `resource_busy` when there is none.
pub(crate) fn exchange(
    tx: &mut Tx,
    row: &Row,
    service: &Service,
    patient: &PatientRow,
    (visit, practitioner): (Span, &PractitionerRow),
) -> Result<(), Error> {
    let now = Moving::of(row);
    let sought = Sought { moving: Some(now), ..Sought::of(patient, row.location_id) };
    // A service that needs less than before lets what a visit has be.
    let Some(look) = look(tx, service, &sought, visit)? else { return Ok(()) };
    let held = supply::held(tx, row.id)?;
    let is_held = |id: &uuid::Uuid| held.iter().any(|(_, other)| other == id);
    for site in look.sites(practitioner) {
        let mut changes = Vec::new();
        let mut missing = false;
        for (kind, resource) in &held {
            let Some(needed) = needed_as(*kind) else { continue };
            let mut choice = look.choice(tx, (site, needed), practitioner)?;
            // What it has comes first; what it has of another kind is not free.
            choice.retain(|id| id == resource || !is_held(id));
            choice.sort_by_key(|id| id != resource);
            let mut found = None;
            for id in choice {
                let then = look.claim(needed, id);
                let Span { start: from, end: to } = now.span;
                let is_free = occupy::is_free(tx, row.id, &then)?
                    && (id == *resource
                        || occupy::is_free(tx, row.id, &Claim { from, to, ..then })?);
                if is_free {
                    found = Some(id);
                    break;
                }
            }
            match found {
                Some(id) if id == *resource => {}
                Some(id) => changes.push((*resource, id)),
                None => missing = true,
            }
        }
        if !missing {
            for (from, to) in changes {
                give(tx, row.id, from, to)?;
            }
            return Ok(());
        }
    }
    Err(Error::from(&problem::RESOURCE_BUSY))
}

/// Whether all that a visit has besides its practitioner and patient is free at another time.
pub(crate) fn keeps(tx: &mut Tx, row: &Row, there: Span) -> Result<bool, Error> {
    let Span { start: from, end: to } = there;
    for (kind, resource) in supply::held(tx, row.id)? {
        let claim = Claim { kind, resource, lane: LANE, from, to };
        if needed_as(kind).is_some() && !occupy::is_free(tx, row.id, &claim)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn needed_as(kind: ResourceKind) -> Option<NeededResource> {
    NeededResource::ALL.iter().copied().find(|needed| occupied_as(*needed) == kind)
}

/// Gives the part of one to another of its kind.
fn give(tx: &mut Tx, id: AppointmentId, from: uuid::Uuid, to: uuid::Uuid) -> Result<(), Error> {
    let row = occupancies::table
        .filter(occupancies::appointment_id.eq(id))
        .filter(occupancies::resource_id.eq(column::Uuid(from)));
    diesel::update(row).set(occupancies::resource_id.eq(column::Uuid(to))).execute(tx.conn)?;
    Ok(())
}

/// Who could take the part of somebody who cannot help in a visit, at its time and place, the
/// least used of the day first; nobody when they do not help there.
pub(crate) fn replacements(
    tx: &mut Tx,
    row: &Row,
    from: uuid::Uuid,
) -> Result<(Option<Claim>, Vec<uuid::Uuid>), Error> {
    let held = supply::held(tx, row.id)?;
    let kind = held.iter().find(|(_, id)| *id == from).and_then(|(kind, _)| needed_as(*kind));
    let Some(kind) = kind else { return Ok((None, Vec::new())) };
    let service = organization::find_service(tx, row.service_id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    let practitioner = practitioner::find_row(tx, row.practitioner_id)?;
    let now = Moving::of(row);
    let sought = Sought { moving: Some(now), ..Sought::of(&patient, row.location_id) };
    let Some(look) = look(tx, &service, &sought, now.span)? else { return Ok((None, Vec::new())) };
    let mut found = Vec::new();
    for site in look.supply.all_sites() {
        for id in look.choice(tx, (site, kind), &practitioner)? {
            if id != from && !found.contains(&id) {
                found.push(id);
            }
        }
    }
    Ok((Some(look.claim(kind, from)), found))
}

/// Gives the part of somebody who cannot help in a visit to another, in place: to whom is named, or
/// to whoever is free. 409 `bad_state` when they do not help there, `resource_busy` when nobody, or
/// not the one who is named, can. The caller has made the access decision.
pub(crate) fn replace(
    tx: &mut Tx,
    row: &Row,
    from: uuid::Uuid,
    to: Option<uuid::Uuid>,
) -> Result<uuid::Uuid, Error> {
    let (part, found) = replacements(tx, row, from)?;
    let part = part.ok_or_else(|| Error::from(&problem::BAD_STATE))?;
    for id in found.into_iter().filter(|id| to.is_none_or(|to| to == *id)) {
        if occupy::is_free(tx, row.id, &Claim { resource: id, ..part })? {
            tx.attempt(|tx| give(tx, row.id, from, id))?;
            count_change(tx, row)?;
            return Ok(id);
        }
    }
    Err(Error::from(&problem::RESOURCE_BUSY))
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
    let things: Vec<(column::Uuid, String, LocationId, String)> = resources::table
        .inner_join(locations::table.on(locations::id.eq(resources::location_id)))
        .filter(among(resources::id, ids.clone()))
        .select((resources::id, resources::name, locations::id, locations::name))
        .load(tx.conn)?;
    let people: Vec<(PractitionerId, String)> = practitioners::table
        .filter(among(practitioners::id, ids))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    let others = lines.into_iter().map(|(visit, kind, id)| {
        let thing = things.iter().find(|(other, ..)| *other == id);
        let person = people.iter().find(|(other, _)| other.0 == id.0);
        let name = thing.map(|(_, name, ..)| name).or(person.map(|(_, name)| name));
        let location = thing.map(|(_, _, place, name)| Named { id: *place, name: name.clone() });
        (visit, Other { kind, id: id.0, name: name.cloned().unwrap_or_default(), location })
    });
    Ok(others.collect())
}

/// How far around its start the visits of a day are counted.
pub const HALF_DAY: TimeDelta = TimeDelta::hours(12);
