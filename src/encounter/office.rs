//! Who waits at a clinic, as its office sees it: for whom, how long, and who could see them instead.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::appointment::{Priority, handover};
use crate::base::column::Instant;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::schema::{encounters, patients};
use crate::base::tx::Tx;
use crate::encounter::EncounterId;
use crate::encounter::claimable::{self, Because, Waits};
use crate::encounter::show::Reference;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule;
use crate::schedule::wall_clock::Span;

/// Whoever waits for a visit that begins later than this is in no hurry, in hours.
const AHEAD_HOURS: i64 = 2;
/// How many who are at work and free are looked at.
const TAKERS_MAX: usize = 30;

/// Of which clinic.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfClinic {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
}

/// A patient who is there, and whom nobody has let in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WaitingThere {
    /// The visit.
    pub encounter: Reference<EncounterId>,
    /// Who waits.
    pub patient: Named<PatientId>,
    /// When it was to begin.
    pub start: Instant,
    /// How long it is planned to last.
    pub minutes: i64,
    /// Since when they are here.
    pub since: Instant,
    /// What was booked.
    pub service: Named<ServiceId>,
    /// For whom they wait.
    pub practitioner: Named<PractitionerId>,
    /// Why that one does not see them; left out: they do, or may be on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
    /// How soon it must be.
    pub priority: Priority,
    /// Whether their line is silent at present; their seat is kept.
    pub silent: bool,
    /// Who is at work and free, gives the service and has the time; nobody while their own
    /// practitioner sees them.
    pub takers: Vec<Named<PractitionerId>>,
}

/// Lists who waits at the clinics whose office the caller belongs to, the first planned first.
pub fn list(tx: &mut Tx, wanted: &OfClinic) -> Result<Page<WaitingThere>, Error> {
    let Scope { organizations: mut clinics, .. } = tx.scope(Action::ClaimVisit)?;
    if let Some(only) = wanted.organization {
        clinics.retain(|clinic| *clinic == only);
    }
    if clinics.is_empty() {
        return Ok(Page::whole(Vec::new()));
    }
    let until = tx.now.plus(TimeDelta::hours(AHEAD_HOURS));
    let waiting = claimable::waiting(tx, clinics, until, None)?;
    if waiting.is_empty() {
        return Ok(Page::whole(Vec::new()));
    }
    let mut patients = patients_of(tx, &waiting)?;
    let mut takers = takers(tx, &waiting)?;
    let shown = |one: Waits| {
        Some(WaitingThere {
            encounter: Reference { id: one.encounter },
            patient: patients.remove(&one.encounter)?,
            start: one.times.0,
            minutes: one.minutes(),
            since: one.since,
            because: one.because,
            priority: one.priority,
            silent: one.silent,
            service: one.service,
            practitioner: one.practitioner,
            takers: takers.remove(&one.encounter).unwrap_or_default(),
        })
    };
    Ok(Page::whole(waiting.into_iter().filter_map(shown).collect()))
}

fn patients_of(
    tx: &mut Tx,
    waiting: &[Waits],
) -> Result<HashMap<EncounterId, Named<PatientId>>, Error> {
    let visits: Vec<EncounterId> = waiting.iter().map(|one| one.encounter).collect();
    let rows: Vec<(EncounterId, PatientId, String)> = encounters::table
        .inner_join(patients::table.on(patients::id.eq(encounters::patient_id)))
        .filter(among(encounters::id, visits))
        .select((encounters::id, patients::id, patients::name))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(visit, id, name)| (visit, Named { id, name })).collect())
}

/// Who could see those who wait in vain.
fn takers(
    tx: &mut Tx,
    waiting: &[Waits],
) -> Result<HashMap<EncounterId, Vec<Named<PractitionerId>>>, Error> {
    let in_vain: Vec<&Waits> = waiting.iter().filter(|one| one.because.is_some()).collect();
    let services: HashSet<ServiceId> = in_vain.iter().map(|one| one.service.id).collect();
    if services.is_empty() {
        return Ok(HashMap::new());
    }
    let services: Vec<ServiceId> = services.into_iter().collect();
    let giving = practitioner::of_services(tx, &services, None)?;
    let people: Vec<PractitionerId> = giving.iter().map(|(_, row)| row.id).collect();
    let reached = practitioner::who_can_sign_in(tx, people.clone())?;
    let engaged = claimable::engaged(tx, people)?;
    let moment = Span { start: tx.now, end: tx.now.plus(TimeDelta::microseconds(1)) };
    let mut free: HashMap<ServiceId, Vec<PractitionerRow>> = HashMap::new();
    for (service, row) in giving {
        if reached.contains(&row.id) && !engaged.contains(&row.id) {
            free.entry(service).or_default().push(row);
        }
    }
    let mut commitments = HashMap::new();
    let mut found: HashMap<EncounterId, Vec<Named<PractitionerId>>> = HashMap::new();
    for (service, rows) in free {
        let working = schedule::working_time(tx, service, &rows, moment)?;
        for row in rows {
            if working.get(&row.id).is_none_or(Vec::is_empty) {
                continue;
            }
            if !commitments.contains_key(&row.id) {
                if commitments.len() >= TAKERS_MAX {
                    continue;
                }
                commitments.insert(row.id, handover::commitments(tx, row.id)?);
            }
            let Some(taken) = commitments.get(&row.id) else { continue };
            let wants = |one: &&&Waits| one.service.id == service && one.practitioner.id != row.id;
            for one in in_vain.iter().filter(wants).filter(|one| one.fits_into(taken, tx.now)) {
                let named = Named { id: row.id, name: row.name.clone() };
                found.entry(one.encounter).or_default().push(named);
            }
        }
    }
    for named in found.values_mut() {
        named.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    }
    Ok(found)
}
