//! Visits to come in which somebody is expected who is no longer there for them: the doctor, or whoever
//! helps, has left the clinic, no longer gives the service, or the clinic offers it no more. They are a task
//! of the clinic until the last of them was moved, called off or held, or whoever is missing is there again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::occupy::ResourceKind;
use crate::appointment::promise::PROMISED;
use crate::appointment::taken::{self, Hit, OCCUPIED_HOURS_MAX, VISIT_HOURS_MAX, is_kept};
use crate::appointment::{self, AppointmentId};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::{self, Instant, text_enum};
use crate::base::ctx::{each_as_system, look_as_system};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{
    appointments, encounters, healthcare_services, occupancies, practitioner_services,
    practitioners,
};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::EncounterStatus;
use crate::organization::{self, OrganizationId, ServiceId};
use crate::practitioner::{self, PractitionerId, in_force};
use crate::task::{self, TaskCode, TaskWhy};

/// How many visits the list names.
const SHOWN_MAX: i64 = 100;
/// How often it looks whether a clinic's task still has a visit, in seconds.
const RECHECK_SECS: u64 = 60;
/// Every so many looks it looks at all clinics.
const WIDE_LOOKS: u32 = 10;
/// Nobody talks in it yet.
const NOT_BEGUN: [EncounterStatus; 2] = [EncounterStatus::Planned, EncounterStatus::Arrived];

text_enum!(
    /// Why somebody is no longer there for a visit.
    Absent {
        /// They have left the clinic, or may not sign in any more.
        Left = "left",
        /// They no longer give the service.
        Service = "service",
        /// The clinic no longer offers the service.
        Inactive = "inactive",
    }
);

/// Somebody who is expected in a visit and is no longer there for it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Missing {
    /// Who.
    #[serde(flatten)]
    pub practitioner: Named<PractitionerId>,
    /// As what: `practitioner`, whose visit it is, `feldsher` or `interpreter`.
    pub kind: ResourceKind,
    /// Why.
    pub why: Absent,
}

/// A visit to come in which somebody is missing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UnattendedVisit {
    /// The visit.
    #[serde(flatten)]
    pub visit: Hit,
    /// Who is missing.
    pub missing: Vec<Missing>,
}

/// The visits to come that a change leaves without somebody.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Affected {
    /// The first 100 that the caller may see, by start. They stay as they are until they are moved or called
    /// off; the clinic's office has a task to see to them.
    pub affected: Vec<Hit>,
    /// How many there are.
    pub affected_count: i64,
}

/// The visits to come of a clinic in which somebody is missing: the first hundred by start. Indexes:
/// practitioners_by_organization, occupancies_live, appointments_by_organization.
pub fn list(tx: &mut Tx, clinic: OrganizationId) -> Result<Page<UnattendedVisit>, Error> {
    tx.allow(Action::ReadUnattended, &Facts::of_organization(clinic))?;
    let mut found = of_clinic(tx, clinic, Some(SHOWN_MAX))?;
    found.truncate(usize::try_from(SHOWN_MAX).unwrap_or(usize::MAX));
    let people: Vec<PractitionerId> =
        found.iter().flat_map(|one| one.missing.iter().map(|(who, ..)| *who)).collect();
    let names: Vec<(PractitionerId, String)> = practitioners::table
        .filter(among(practitioners::id, people))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    let visits = taken::of_ids(tx, found.iter().map(|one| one.visit).collect())?;
    let missing = |(id, kind, why): &(PractitionerId, ResourceKind, Absent)| {
        let name = names.iter().find(|(other, _)| other == id).map(|(_, name)| name.clone());
        let practitioner = Named { id: *id, name: name.unwrap_or_default() };
        Missing { practitioner, kind: *kind, why: *why }
    };
    let items = visits.into_iter().filter_map(|visit| {
        let one = found.iter().find(|one| one.visit == visit.id)?;
        Some(UnattendedVisit { visit, missing: one.missing.iter().map(missing).collect() })
    });
    Ok(Page { items: items.collect(), next: None })
}

/// A visit to come, and who of it is missing.
#[derive(Debug, Clone)]
struct Unattended {
    visit: AppointmentId,
    service: ServiceId,
    missing: Vec<(PractitionerId, ResourceKind, Absent)>,
}

type Row = ((Instant, AppointmentId, ServiceId), (PractitionerId, ResourceKind, Absent));

/// The visits to come of a clinic, booked, asked for or held, in which somebody is missing, by start: all, or at
/// least the first `most`.
fn of_clinic(
    tx: &mut Tx,
    clinic: OrganizationId,
    most: Option<i64>,
) -> Result<Vec<Unattended>, Error> {
    let mut found: BTreeMap<(Instant, AppointmentId), Unattended> = BTreeMap::new();
    let mut rows = of_who_left(tx, clinic, most)?;
    rows.extend(of_what_is_not_given(tx, clinic, most)?);
    for ((start, visit, service), who) in rows {
        let one = found.entry((start, visit)).or_insert_with(|| {
            let missing = Vec::new();
            Unattended { visit, service, missing }
        });
        // An urgent visit takes two lanes, and who has left need not be said to give nothing.
        let is_known = one.missing.iter().any(|(other, ..)| *other == who.0);
        // That the clinic offers it no more tells that nobody else can be found either.
        if !is_known || who.2 == Absent::Inactive {
            one.missing.push(who);
        }
    }
    Ok(found.into_values().collect())
}

/// Those of people who have left, whose visit it is or who help. Index: occupancies_live.
fn of_who_left(tx: &mut Tx, clinic: OrganizationId, most: Option<i64>) -> Result<Vec<Row>, Error> {
    let left: Vec<PractitionerId> = practitioners::table
        .filter(practitioners::organization_id.eq(clinic))
        .filter(not(in_force()))
        .select(practitioners::id)
        .load(tx.conn)?;
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<column::Uuid> = left.iter().map(|id| column::Uuid(id.0)).collect();
    let mut held = occupancies::table
        .inner_join(appointments::table.on(appointments::id.eq(occupancies::appointment_id)))
        .inner_join(encounters::table.on(encounters::appointment_id.eq(appointments::id)))
        .filter(among(occupancies::resource_id, ids))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.gt(tx.now.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX))))
        .filter(appointments::ends_at.gt(tx.now))
        .filter(appointments::status.eq_any(PROMISED))
        .filter(is_kept(tx.now))
        .filter(encounters::status.eq_any(NOT_BEGUN))
        .order((appointments::starts_at, appointments::id))
        .select((
            (appointments::starts_at, appointments::id, appointments::service_id),
            (occupancies::resource_id, occupancies::resource_kind),
        ))
        .into_boxed();
    if let Some(most) = most {
        // Each takes two lanes at most, and has three people at most.
        held = held.limit(most.saturating_mul(6));
    }
    type Held = ((Instant, AppointmentId, ServiceId), (column::Uuid, ResourceKind));
    let rows: Vec<Held> = held.load(tx.conn)?;
    let row = |(visit, (who, kind)): Held| (visit, (PractitionerId(who.0), kind, Absent::Left));
    Ok(rows.into_iter().map(row).collect())
}

/// Those of a service that their practitioner no longer gives, or the clinic no longer offers.
/// Index: appointments_by_organization.
fn of_what_is_not_given(
    tx: &mut Tx,
    clinic: OrganizationId,
    most: Option<i64>,
) -> Result<Vec<Row>, Error> {
    let given = practitioner_services::table
        .filter(practitioner_services::practitioner_id.eq(appointments::practitioner_id))
        .filter(practitioner_services::service_id.eq(appointments::service_id));
    let mut visits = appointments::table
        .inner_join(encounters::table.on(encounters::appointment_id.eq(appointments::id)))
        .inner_join(
            healthcare_services::table.on(healthcare_services::id.eq(appointments::service_id)),
        )
        .filter(appointments::organization_id.eq(clinic))
        .filter(appointments::starts_at.gt(tx.now.minus(TimeDelta::hours(VISIT_HOURS_MAX))))
        .filter(appointments::ends_at.gt(tx.now))
        .filter(appointments::status.eq_any(PROMISED))
        .filter(is_kept(tx.now))
        .filter(encounters::status.eq_any(NOT_BEGUN))
        .filter(healthcare_services::active.eq(false).or(not(exists(given))))
        .order((appointments::starts_at, appointments::id))
        .select((
            (appointments::starts_at, appointments::id, appointments::service_id),
            (appointments::practitioner_id, healthcare_services::active),
        ))
        .into_boxed();
    if let Some(most) = most {
        visits = visits.limit(most);
    }
    type Given = ((Instant, AppointmentId, ServiceId), (PractitionerId, bool));
    let rows: Vec<Given> = visits.load(tx.conn)?;
    let row = |(visit, (who, active)): Given| {
        let why = if active { Absent::Service } else { Absent::Inactive };
        (visit, (who, ResourceKind::Practitioner, why))
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Whose visits a change can leave without somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'a> {
    /// Those of some people, or in which they help.
    People(&'a [PractitionerId]),
    /// Those of a service.
    Service(ServiceId),
}

/// Opens or ends the clinic's task after a change, and names the visits that it leaves. The caller has made the
/// access decision, and [taken the turn](task::clinic::take_turn).
pub(crate) fn follow(tx: &mut Tx, clinic: OrganizationId, of: Of) -> Result<Affected, Error> {
    let all = of_clinic(tx, clinic, None)?;
    keep_task(tx, clinic, !all.is_empty())?;
    let left = all.into_iter().filter(|one| match of {
        Of::People(people) => one.missing.iter().any(|(who, ..)| people.contains(who)),
        Of::Service(service) => {
            one.service == service && one.missing.iter().any(|(.., why)| *why == Absent::Inactive)
        }
    });
    let left = left.map(|one| one.visit).collect();
    let (affected, affected_count) = taken::named_at(tx, clinic, left)?;
    Ok(Affected { affected, affected_count })
}

fn keep_task(tx: &mut Tx, clinic: OrganizationId, is_any_left: bool) -> Result<(), Error> {
    task::clinic::keep(tx, clinic, (TaskCode::Practitioners, TaskWhy::Gone), is_any_left)
}

/// That a visit can be promised as far as its people go: 409 `practitioner_gone` when its practitioner has left
/// or no longer gives its service, `resource_busy` when somebody who helps has left.
pub(crate) fn check_there(tx: &mut Tx, row: &appointment::Row) -> Result<(), Error> {
    let doctor = row.practitioner_id;
    if practitioner::of_service(tx, row.service_id, Some(doctor))?.is_empty() {
        return Err(Error::from(&problem::PRACTITIONER_GONE));
    }
    let mut helpers = row.who_takes_part(tx)?;
    helpers.retain(|who| *who != doctor);
    let left =
        practitioners::table.filter(among(practitioners::id, helpers)).filter(not(in_force()));
    match diesel::select(exists(left)).get_result(tx.conn)? {
        true => Err(Error::from(&problem::RESOURCE_BUSY)),
        false => Ok(()),
    }
}

/// The clinics with a task, or from which somebody has left; at a wide look, all.
fn concerned(tx: &mut Tx, is_wide: bool) -> Result<Vec<OrganizationId>, Error> {
    let with_task = task::clinic::having(tx, TaskCode::Practitioners)?;
    let mut others: Vec<OrganizationId> = match is_wide {
        true => organization::ids(tx)?,
        false => practitioners::table
            .filter(not(in_force()))
            .select(practitioners::organization_id)
            .distinct()
            .load(tx.conn)?,
    };
    others.retain(|clinic| !with_task.contains(clinic));
    let mut clinics = with_task;
    for clinic in others {
        // Who has left is found with few reads; what is not given any more, by reading all visits to come.
        let is_any_left = match is_wide {
            true => !of_clinic(tx, clinic, Some(1))?.is_empty(),
            false => !of_who_left(tx, clinic, Some(1))?.is_empty(),
        };
        if is_any_left {
            clinics.push(clinic);
        }
    }
    Ok(clinics)
}

/// Opens and ends the tasks: visits are moved, called off and over, and some were booked, or came again, while
/// somebody left. A wide look also finds those whose service was taken away meanwhile. One clinic that fails
/// holds up no other.
pub async fn recheck(app: &Arc<App>, is_wide: bool) -> Result<(), Error> {
    let clinics = look_as_system(app, move |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        concerned(tx, is_wide)
    });
    let see_to = |tx: &mut Tx, clinic| {
        task::clinic::take_turn(tx, clinic)?;
        let is_any_left = !of_clinic(tx, clinic, Some(1))?.is_empty();
        keep_task(tx, clinic, is_any_left)
    };
    each_as_system(app, Action::WatchVisits, clinics.await?, see_to).await.map(drop)
}

/// Looks again and again, until `stop`; the first look is a wide one.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut looks = 0_u32;
    every(Duration::from_secs(RECHECK_SECS), stop, async || {
        let is_wide = looks.is_multiple_of(WIDE_LOOKS);
        looks = looks.wrapping_add(1);
        if let Err(error) = recheck(&app, is_wide).await {
            tracing::error!(%error, "the tasks about who has left could not be looked at");
        }
    })
    .await;
}
