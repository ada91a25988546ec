//! What a clinic has of what a service needs besides practitioner and patient, and which of it is
//! free at a start. The search, the alternatives of a refusal and booking all ask here, so that
//! none offers what another refuses.
//!
//! A room, a device and a feldsher of one visit are at one place: the visit's, where that is
//! known. An interpreter can be anywhere, and speaks with both sides.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::appointment::occupy::{LANE, ResourceKind, SECOND_LANE};
use crate::appointment::{AppointmentId, Row, taken};
use crate::base::column::{self, Instant};
use crate::base::error::Error;
use crate::base::schema::occupancies;
use crate::base::tx::Tx;
use crate::location::{self, LocationId};
use crate::organization::terms::NeededResource;
use crate::organization::{Service, ServiceId};
use crate::patient::PatientRow;
use crate::practitioner::{self, PractitionerKind, PractitionerRow};
use crate::resource::{self, PhysicalKind};
use crate::schedule;
use crate::schedule::diary::Diary;
use crate::schedule::free;
use crate::schedule::wall_clock::{Span, WallClock};

/// Where a visit shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// There, or it cannot be.
    At(LocationId),
    /// There if it can be, otherwise wherever the clinic has all that it needs.
    Near(LocationId),
    /// Nobody has said.
    Anywhere,
}

/// A visit that is put elsewhere: what it takes now is free for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving {
    /// Which.
    pub id: AppointmentId,
    /// When it is now.
    pub span: Span,
    /// Of what: its length and what it keeps clear are its own, whatever the service says by now.
    pub service: ServiceId,
    /// What it keeps clear before it, and after.
    pub clear: (TimeDelta, TimeDelta),
}

impl Moving {
    /// The visit of a row.
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            id: row.id,
            span: Span { start: row.starts_at, end: row.ends_at },
            service: row.service_id,
            clear: (row.starts_at.since(row.busy_from), row.busy_to.since(row.ends_at)),
        }
    }
}

/// Who shall be seen, where, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'a> {
    /// Whom; `None`: nobody has said.
    pub patient: Option<&'a PatientRow>,
    /// Where.
    pub place: Where,
    /// These rooms, devices and people, and no others of their kinds.
    pub named: &'a [uuid::Uuid],
    /// The visit that is moved, if one is.
    pub moving: Option<Moving>,
}

impl<'a> Sought<'a> {
    /// A patient's visit: at a place, or else as near as it can be to where they live.
    pub(crate) fn of(patient: &'a PatientRow, location: Option<LocationId>) -> Self {
        let place = location.map_or(Where::Near(patient.location_id), Where::At);
        Self { patient: Some(patient), place, named: &[], moving: None }
    }
}

/// A room, a device, a feldsher or an interpreter.
#[derive(Debug)]
struct Aid {
    id: uuid::Uuid,
    /// Where it stands; `None` of people.
    stands: Option<LocationId>,
    /// Who it is, and when they work; `None` of things.
    person: Option<(PractitionerRow, Arc<Diary>)>,
}

#[derive(Debug)]
struct Kind {
    needed: NeededResource,
    aids: Vec<Aid>,
}

/// Where all that stands or works at a place can come from for one visit.
#[derive(Debug)]
pub(crate) struct Site {
    /// The place.
    pub(crate) location: Option<LocationId>,
    /// It and what lies in it.
    within: Vec<LocationId>,
}

/// What a clinic has of what a service needs.
#[derive(Debug)]
pub(crate) struct Supply {
    service: ServiceId,
    /// What the patient speaks; empty when nobody has said.
    spoken: Vec<String>,
    kinds: Vec<Kind>,
    /// Where it can be, the first choice first.
    sites: Vec<Site>,
    /// The first of those named that is none of what is needed.
    pub(crate) unknown: Option<usize>,
}

/// When the people of a supply work at each of its sites, or anywhere for those who need not be
/// there, within a range.
pub(crate) type Duty = HashMap<(uuid::Uuid, Option<usize>), Vec<Span>>;

/// What is taken of some time of people and things, each as [`free::merged`] says.
pub(crate) type Busy = HashMap<uuid::Uuid, Vec<Span>>;

impl Supply {
    /// What the clinic has for visits of a service within a range; `None` when it needs nothing.
    /// The caller has made the access decision.
    pub(crate) fn of(
        tx: &mut Tx,
        service: &Service,
        sought: &Sought,
        range: Span,
    ) -> Result<Option<Self>, Error> {
        let mut needed = service.resources()?;
        if needed.is_empty() {
            return Ok(None);
        }
        // One order for all, so that nobody waits in a circle.
        needed.sort_unstable();
        let mut kinds = Vec::with_capacity(needed.len());
        for needed in needed {
            kinds.push(Kind { needed, aids: aids(tx, service, needed, range)? });
        }
        let is_known = |id| kinds.iter().any(|kind| kind.aids.iter().any(|aid| aid.id == id));
        let unknown = sought.named.iter().position(|id| !is_known(*id));
        for kind in &mut kinds {
            if kind.aids.iter().any(|aid| sought.named.contains(&aid.id)) {
                kind.aids.retain(|aid| sought.named.contains(&aid.id));
            }
        }
        let sites = sites(tx, &kinds, sought.place)?;
        let spoken = sought.patient.map(PatientRow::languages).unwrap_or_default();
        let mut supply = Self { service: service.id, spoken, kinds, sites, unknown };
        if let Some(moving) = sought.moving {
            supply.keep_exchangeable(tx, moving)?;
        }
        Ok(Some(supply))
    }

    /// A visit that is moved changes its helpers before it goes: those that are not its own must
    /// be free where it lies now, too.
    fn keep_exchangeable(&mut self, tx: &mut Tx, moving: Moving) -> Result<(), Error> {
        let held = held(tx, moving.id)?;
        let then = (moving.span.start, moving.span.end);
        let taken = taken::of_people(tx, &self.ids(), &[LANE], then)?;
        let is_taken = |id| taken.iter().any(|(who, visit, ..)| *who == id && *visit != moving.id);
        for kind in &mut self.kinds {
            let is_held = |id| held.iter().any(|(_, other)| *other == id);
            kind.aids.retain(|aid| is_held(aid.id) || !is_taken(aid.id));
        }
        Ok(())
    }

    /// Whatever can be taken.
    pub(crate) fn ids(&self) -> Vec<uuid::Uuid> {
        self.kinds.iter().flat_map(|kind| kind.aids.iter().map(|aid| aid.id)).collect()
    }

    /// When its people work within a range.
    pub(crate) fn duty(&self, range: Span) -> Duty {
        let mut duty = Duty::new();
        let mut clocks = HashMap::new();
        for kind in &self.kinds {
            for aid in &kind.aids {
                let Some((_, diary)) = &aid.person else { continue };
                let hours = &diary.hours;
                let clock =
                    clocks.entry(hours.zone).or_insert_with(|| WallClock::of(hours.zone, range));
                let mut add = |site: Option<usize>, is_there: &dyn Fn(LocationId) -> bool| {
                    let spans = free::working_at(hours, clock, self.service, range, is_there);
                    duty.insert((aid.id, site), spans);
                };
                if kind.needed == NeededResource::Interpreter {
                    add(None, &|_| true);
                    continue;
                }
                for (at, site) in self.sites.iter().enumerate() {
                    if hours.places().all(|place| place.is_some_and(|place| !site.holds(place))) {
                        continue;
                    }
                    add(Some(at), &|place| site.holds(place));
                }
            }
        }
        duty
    }

    /// The sites at which one of each kind is free for a visit with a practitioner, the first
    /// choice first.
    pub(crate) fn serving<'a>(
        &'a self,
        visit: Span,
        practitioner: &'a PractitionerRow,
        (duty, busy): (&'a Duty, &'a Busy),
    ) -> impl Iterator<Item = usize> + 'a {
        self.all_sites().filter(move |at| {
            let mut kinds = self.kinds.iter();
            kinds.all(|kind| {
                let mut aids = kind.aids.iter();
                aids.any(|aid| self.is_free(kind, aid, *at, visit, practitioner, (duty, busy)))
            })
        })
    }

    /// What of a kind is free at a site.
    pub(crate) fn free_at(
        &self,
        site: usize,
        needed: NeededResource,
        visit: Span,
        practitioner: &PractitionerRow,
        known: (&Duty, &Busy),
    ) -> Vec<uuid::Uuid> {
        let kinds = self.kinds.iter().filter(|kind| kind.needed == needed);
        let free = kinds.flat_map(|kind| {
            let is_free =
                move |aid: &&Aid| self.is_free(kind, aid, site, visit, practitioner, known);
            kind.aids.iter().filter(is_free)
        });
        free.map(|aid| aid.id).collect()
    }

    /// The kinds that are needed, in the order in which they are taken.
    pub(crate) fn needed(&self) -> Vec<NeededResource> {
        self.kinds.iter().map(|kind| kind.needed).collect()
    }

    /// Every site, the first choice first.
    pub(crate) fn all_sites(&self) -> std::ops::Range<usize> {
        0..self.sites.len()
    }

    /// Where a site is.
    pub(crate) fn location(&self, site: usize) -> Option<LocationId> {
        self.sites.get(site).and_then(|site| site.location)
    }

    fn is_free(
        &self,
        kind: &Kind,
        aid: &Aid,
        at: usize,
        visit: Span,
        practitioner: &PractitionerRow,
        (duty, busy): (&Duty, &Busy),
    ) -> bool {
        let works = |site| {
            let spans = duty.get(&(aid.id, site));
            spans.is_some_and(|spans| free::covers(spans, visit))
        };
        let is_there = match (kind.needed, &aid.person) {
            (NeededResource::Interpreter, Some((person, _))) => {
                works(None) && self.translates(person, practitioner)
            }
            (_, Some(_)) => works(Some(at)),
            (_, None) => {
                let site = self.sites.get(at);
                aid.stands.is_some_and(|place| site.is_some_and(|site| site.holds(place)))
            }
        };
        is_there
            && aid.id != practitioner.id.0
            && busy.get(&aid.id).is_none_or(|taken| free::is_clear(taken, visit))
    }

    /// Whether somebody speaks with the practitioner, and with the patient in a language that the
    /// practitioner lacks, if there is one.
    fn translates(&self, person: &PractitionerRow, practitioner: &PractitionerRow) -> bool {
        let mut foreign =
            self.spoken.iter().filter(|code| !practitioner.speaks_code(code)).peekable();
        practitioner.spoken().any(|code| person.speaks_code(code))
            && (foreign.peek().is_none() || foreign.any(|code| person.speaks_code(code)))
    }
}

impl Site {
    fn holds(&self, place: LocationId) -> bool {
        self.within.contains(&place)
    }
}

/// What a clinic has of a kind.
fn aids(
    tx: &mut Tx,
    service: &Service,
    needed: NeededResource,
    range: Span,
) -> Result<Vec<Aid>, Error> {
    let clinic = service.organization_id;
    if let Some(kind) = physical(needed) {
        let things = resource::of_kind(tx, clinic, kind)?.into_iter();
        let aid = |(id, place): (resource::ResourceId, _)| Aid {
            id: id.0,
            stands: Some(place),
            person: None,
        };
        return Ok(things.map(aid).collect());
    }
    let people = practitioner::of_kind(tx, clinic, profession(needed))?;
    let mut diaries = schedule::diaries_of(tx, &people.iter().collect::<Vec<_>>(), range)?;
    let aid = |person: PractitionerRow| {
        let diary = diaries.remove(&person.id)?;
        Some(Aid { id: person.id.0, stands: None, person: Some((person, diary)) })
    };
    Ok(people.into_iter().filter_map(aid).collect())
}

/// Where a visit can be, the first choice first.
fn sites(tx: &mut Tx, kinds: &[Kind], place: Where) -> Result<Vec<Site>, Error> {
    let mut sites = Vec::new();
    let is_placed = |kind: &&Kind| kind.needed != NeededResource::Interpreter;
    let placed = kinds.iter().filter(is_placed);
    if placed.clone().next().is_none() {
        let location = if let Where::At(location) = place { Some(location) } else { None };
        return Ok(vec![Site { location, within: Vec::new() }]);
    }
    if let Where::At(location) | Where::Near(location) = place {
        sites.push(Site { location: Some(location), within: location::within(tx, location)? });
    }
    let mut others: Vec<LocationId> = Vec::new();
    if !matches!(place, Where::At(_)) {
        for aid in placed.flat_map(|kind| &kind.aids) {
            others.extend(aid.stands);
            let works = aid.person.iter().flat_map(|(_, diary)| diary.hours.places());
            others.extend(works.flatten());
        }
    }
    others.retain(|place| !sites.iter().any(|site| site.holds(*place)));
    others.sort_unstable();
    others.dedup();
    let other = |place| Site { location: Some(place), within: vec![place] };
    sites.extend(others.into_iter().map(other));
    if sites.is_empty() {
        sites.push(Site { location: None, within: Vec::new() });
    }
    Ok(sites)
}

/// The rooms, devices and people that a visit holds besides practitioner and patient.
pub(crate) fn held(
    tx: &mut Tx,
    id: AppointmentId,
) -> Result<Vec<(ResourceKind, uuid::Uuid)>, Error> {
    let rows: Vec<(ResourceKind, column::Uuid)> = occupancies::table
        .filter(occupancies::appointment_id.eq(id))
        .filter(occupancies::resource_kind.ne(ResourceKind::Practitioner))
        .filter(occupancies::resource_kind.ne(ResourceKind::Patient))
        .order(occupancies::resource_kind)
        .select((occupancies::resource_kind, occupancies::resource_id))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(kind, id)| (kind, id.0)).collect())
}

/// What is taken of some people and things within a range, but for a visit that is moved. A second visit
/// that stands alone takes its time as any other does.
pub(crate) fn busy(
    tx: &mut Tx,
    ids: &[uuid::Uuid],
    (from, to): (Instant, Instant),
    moving: Option<Moving>,
) -> Result<Busy, Error> {
    let mut busy = Busy::new();
    for (who, visit, start, end) in taken::of_people(tx, ids, &[LANE, SECOND_LANE], (from, to))? {
        if moving.is_none_or(|moving| moving.id != visit) {
            busy.entry(who).or_default().push(Span { start, end });
        }
    }
    for spans in busy.values_mut() {
        *spans = free::merged(spans);
    }
    Ok(busy)
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
