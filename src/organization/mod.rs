//! Clinics, the services they offer, and who works in them.

pub mod http;
pub mod member;
pub mod service;
pub mod terms;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::column::id;
use crate::base::db::direct;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::Name;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{healthcare_services, organizations};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::service::{Mode, Specialty, read_list};
use crate::organization::terms::{BookingTerms, LegalKind, NeededResource};

id!(
    /// A clinic (FHIR Organization).
    OrganizationId
);
id!(
    /// Something that can be booked (FHIR HealthcareService).
    ServiceId
);

/// A clinic as the API shows it (FHIR R4 Organization).
#[derive(Debug, Clone, Serialize, Queryable, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The IANA zone of its own clocks.
    pub time_zone: Zone,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// A clinic to be founded.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    /// Its name.
    pub name: Name,
    /// The IANA zone of its own clocks.
    pub time_zone: Zone,
}

const SHOWN: (
    organizations::id,
    organizations::name,
    organizations::time_zone,
    organizations::version,
) = (organizations::id, organizations::name, organizations::time_zone, organizations::version);

/// Founds a clinic. It has no members yet.
pub fn create(tx: &mut Tx, new: NewOrganization) -> Result<Organization, Error> {
    tx.allow(Action::CreateOrganization, &Facts::NONE)?;
    let id = OrganizationId::new(tx.now);
    diesel::insert_into(organizations::table)
        .values((
            organizations::id.eq(id),
            organizations::name.eq(new.name.as_str()),
            organizations::time_zone.eq(new.time_zone),
            organizations::version.eq(1),
            organizations::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let facts = Facts::of_organization(id);
    tx.record(Action::CreateOrganization, "Organization", id.0, &facts);
    show(tx, id)
}

/// Shows one clinic. 404 when there is none.
pub fn find(tx: &mut Tx, id: OrganizationId) -> Result<Organization, Error> {
    tx.allow(Action::ReadOrganization, &Facts::of_organization(id))?;
    show(tx, id)
}

/// What shall be different about a clinic. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditOrganization {
    /// Its name.
    pub name: Option<Name>,
    /// The IANA zone of its own clocks, by which its office reads the day. Working hours go by each
    /// practitioner's own zone, and visits by their patient's.
    pub time_zone: Option<Zone>,
}

/// Changes a clinic. 412 when somebody has done so meanwhile.
pub fn edit(
    tx: &mut Tx,
    id: OrganizationId,
    version: i32,
    change: &EditOrganization,
) -> Result<Organization, Error> {
    let before = show(tx, id)?;
    let facts = Facts::of_organization(id);
    tx.allow(Action::EditOrganization, &facts)?;
    let row = organizations::table
        .filter(organizations::id.eq(id))
        .filter(organizations::version.eq(version));
    let changed = diesel::update(row)
        .set((
            organizations::name.eq(change.name.as_ref().map_or(before.name.as_str(), Name::as_str)),
            organizations::time_zone.eq(change.time_zone.unwrap_or(before.time_zone)),
            organizations::version.eq(version.saturating_add(1)),
        ))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditOrganization, "Organization", id.0, &facts);
    show(tx, id)
}

/// Which clinics a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the clinics by name. Index: organizations_by_name.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Organization>, Error> {
    tx.allow(Action::ReadOrganization, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, OrganizationId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = organizations::table
        .select(SHOWN)
        .order((organizations::name, organizations::id))
        .limit(limit.saturating_add(1))
        .into_boxed();
    if let Some((name, id)) = after {
        query = query.filter(
            organizations::name
                .gt(name.clone())
                .or(organizations::name.eq(name).and(organizations::id.gt(id))),
        );
    }
    let found: Vec<Organization> = query.load(tx.conn)?;
    Ok(Page::cut(found, limit, |clinic| (clinic.name.clone(), clinic.id)))
}

/// A clinic; the caller has made the access decision. 404 when there is none.
pub(crate) fn show(tx: &mut Tx, id: OrganizationId) -> Result<Organization, Error> {
    organizations::table
        .find(id)
        .select(SHOWN)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Every clinic; the caller has made the access decision.
pub(crate) fn ids(tx: &mut Tx) -> Result<Vec<OrganizationId>, Error> {
    Ok(organizations::table.select(organizations::id).load(tx.conn)?)
}

/// That the clinic a body names is there: 422 `unknown_reference` on `/organization` if not.
pub(crate) fn check(tx: &mut Tx, id: OrganizationId) -> Result<(), Error> {
    match show(tx, id) {
        Ok(_) => Ok(()),
        Err(error) if error.is(&problem::NOT_FOUND) => {
            Err(Error::field(&problem::UNKNOWN_REFERENCE, "/organization"))
        }
        Err(error) => Err(error),
    }
}

/// What booking must know of a service.
#[derive(Debug, Clone, Queryable)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// The clinic that offers it.
    pub organization_id: OrganizationId,
    /// Its name in English.
    pub name_en: String,
    /// Its name in Russian.
    pub name_ru: String,
    /// The specialty it asks for.
    pub specialty: String,
    /// How long a visit takes.
    pub duration_minutes: i32,
    /// How a visit can be held, as the column has it.
    modes: String,
    /// Between whom.
    pub legal_kind: LegalKind,
    /// What it needs besides, as the column has it.
    resources: String,
    /// Whether it can be booked now.
    pub active: bool,
    /// On which terms.
    pub terms: BookingTerms,
}

impl Service {
    /// Its name in a language.
    pub fn name(&self, language: Language) -> String {
        language.choose(&self.name_en, &self.name_ru).clone()
    }

    /// How long a visit takes.
    pub fn duration(&self) -> TimeDelta {
        minutes(self.duration_minutes)
    }

    /// What is kept clear before a visit, and after it.
    pub fn buffers(&self) -> (TimeDelta, TimeDelta) {
        (minutes(self.terms.buffer_before_minutes), minutes(self.terms.buffer_after_minutes))
    }

    /// How a visit can be held.
    pub fn modes(&self) -> Result<Vec<Mode>, Error> {
        read_list(&self.modes)
    }

    /// What a visit needs besides practitioner and patient.
    pub fn resources(&self) -> Result<Vec<NeededResource>, Error> {
        read_list(&self.resources)
    }
}

fn minutes(count: i32) -> TimeDelta {
    TimeDelta::minutes(i64::from(count))
}

/// The row of a service; the caller has made the access decision. 404 when there is none.
pub fn find_service(tx: &mut Tx, id: ServiceId) -> Result<Service, Error> {
    let row = service_row().filter(healthcare_services::id.eq(id));
    direct!(tx.conn, |conn| row.get_result(conn))
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// What can be booked now of a specialty, in any clinic; the caller has made the access decision.
/// Index: healthcare_services_by_specialty.
pub fn of_specialty(tx: &mut Tx, specialty: &Specialty) -> Result<Vec<Service>, Error> {
    Ok(service_row()
        .filter(healthcare_services::specialty.eq(specialty.as_str()))
        .filter(healthcare_services::active)
        .order(healthcare_services::id)
        .load(tx.conn)?)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn service_row() -> _ {
    healthcare_services::table.select((
        healthcare_services::id,
        healthcare_services::organization_id,
        healthcare_services::name_en,
        healthcare_services::name_ru,
        healthcare_services::specialty,
        healthcare_services::duration_minutes,
        healthcare_services::modes,
        healthcare_services::legal_kind,
        healthcare_services::resources,
        healthcare_services::active,
        (
            healthcare_services::buffer_before_minutes,
            healthcare_services::buffer_after_minutes,
            healthcare_services::align_minutes,
            healthcare_services::lead_minutes,
            healthcare_services::horizon_days,
            healthcare_services::daily_cap,
            healthcare_services::overbook,
        ),
    ))
}
