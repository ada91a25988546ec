//! What a clinic offers: consultations that can be booked (FHIR HealthcareService).

use diesel::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::{Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{healthcare_services, organizations};
use crate::base::tx::Tx;
use crate::organization::terms::{BookingTerms, LegalKind, NeededResource};
use crate::organization::{self, OrganizationId, ServiceId};
use crate::practitioner::gone::{self, Affected, Of};
use crate::task;
use crate::waitlist::follow;

text_enum!(
    /// How a visit can be held.
    Mode {
        /// Picture and voice.
        Video = "video",
        /// Voice alone.
        Audio = "audio",
        /// An ordinary telephone call.
        Phone = "phone",
        /// Written messages, both at once.
        Chat = "chat",
        /// Written or recorded now, answered later.
        Deferred = "deferred",
    }
);

/// The shortest and the longest visit, in minutes; the schema says the same.
const DURATION_MINUTES: std::ops::RangeInclusive<i32> = 5..=480;

/// The code of a medical specialty, such as `general-practice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specialty(String);

/// A text that is no code of a specialty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a specialty is a code of 2 to 64 small letters, digits and hyphens")]
pub struct NotASpecialty;

impl Specialty {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Specialty {
    type Err = NotASpecialty;

    fn from_str(text: &str) -> Result<Self, NotASpecialty> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (2..=64).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASpecialty)
        }
    }
}

impl<'de> Deserialize<'de> for Specialty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Specialty {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z0-9-]{2,64}$"))
            .into()
    }
}
impl ToSchema for Specialty {}

/// A service as the API shows it, named in the caller's language.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HealthcareService {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
    /// The clinic that offers it.
    pub organization: Named<OrganizationId>,
    /// The specialty it asks for.
    pub specialty: String,
    /// How long a visit takes.
    pub duration_minutes: i32,
    /// How a visit can be held.
    pub modes: Vec<Mode>,
    /// Between whom a visit is held, as the law sees it.
    pub legal_kind: LegalKind,
    /// What a visit needs besides practitioner and patient.
    pub resources: Vec<NeededResource>,
    /// On which terms it is booked.
    pub booking: BookingTerms,
    /// Whether it can be booked now.
    pub active: bool,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// A name in both languages.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// English.
    pub en: Name,
    /// Russian.
    pub ru: Name,
}

/// A service to be offered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHealthcareService {
    /// Its name in both languages.
    pub name: Names,
    /// The clinic that offers it.
    pub organization: OrganizationId,
    /// The specialty it asks for.
    pub specialty: Specialty,
    /// How long a visit takes, 5 to 480.
    #[schema(minimum = 5, maximum = 480)]
    pub duration_minutes: i32,
    /// How a visit can be held; at least one way.
    pub modes: Vec<Mode>,
    /// Between whom a visit is held; left out: a practitioner and a patient.
    pub legal_kind: Option<LegalKind>,
    /// What a visit needs besides practitioner and patient.
    #[serde(default)]
    pub resources: Vec<NeededResource>,
    /// On which terms it is booked.
    #[serde(default)]
    pub booking: BookingTerms,
}

/// Offers a service in a clinic. Nobody gives it until a practitioner does.
pub fn create(tx: &mut Tx, new: NewHealthcareService) -> Result<HealthcareService, Error> {
    let facts = Facts::of_organization(new.organization);
    tx.allow(Action::CreateService, &facts)?;
    organization::check(tx, new.organization)?;
    check_duration(new.duration_minutes)?;
    let modes = check_modes(&new.modes)?;
    new.booking.check()?;
    let id = ServiceId::new(tx.now);
    diesel::insert_into(healthcare_services::table)
        .values((
            healthcare_services::id.eq(id),
            healthcare_services::organization_id.eq(new.organization),
            healthcare_services::name_en.eq(new.name.en.as_str()),
            healthcare_services::name_ru.eq(new.name.ru.as_str()),
            healthcare_services::specialty.eq(new.specialty.as_str()),
            healthcare_services::duration_minutes.eq(new.duration_minutes),
            healthcare_services::modes.eq(modes),
            healthcare_services::legal_kind
                .eq(new.legal_kind.unwrap_or(LegalKind::PractitionerPatient)),
            healthcare_services::resources.eq(written(&new.resources)),
            new.booking,
            healthcare_services::active.eq(true),
            healthcare_services::version.eq(1),
            healthcare_services::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::CreateService, "HealthcareService", id.0, &facts);
    show(tx, id)
}

/// What shall be different about a service. What is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditHealthcareService {
    /// Its name in both languages.
    pub name: Option<Names>,
    /// How long a visit takes from now on, 5 to 480; what is booked keeps its length.
    #[schema(minimum = 5, maximum = 480)]
    pub duration_minutes: Option<i32>,
    /// How a visit can be held; at least one way.
    pub modes: Option<Vec<Mode>>,
    /// What a visit needs besides practitioner and patient.
    pub resources: Option<Vec<NeededResource>>,
    /// On which terms it is booked, all of them.
    pub booking: Option<BookingTerms>,
    /// Whether it can be booked; what is booked stays booked.
    pub active: Option<bool>,
}

/// A service, and the visits that a change of it leaves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditedHealthcareService {
    /// As it is now.
    #[serde(flatten)]
    pub service: HealthcareService,
    /// The visits to come of it, when the clinic no longer offers it.
    #[serde(flatten)]
    pub left: Affected,
}

/// Changes a service; visits that are booked stay as they are. Those of a service that can be booked no more
/// are named, and a task. 412 when somebody has changed it meanwhile.
pub fn edit(
    tx: &mut Tx,
    id: ServiceId,
    version: i32,
    change: &EditHealthcareService,
) -> Result<EditedHealthcareService, Error> {
    let service = organization::find_service(tx, id)?;
    let clinic = service.organization_id;
    let facts = Facts::of_organization(clinic);
    tx.allow(Action::EditService, &facts)?;
    if change.active.is_some() {
        task::clinic::take_turn(tx, clinic)?;
    }
    let duration = change.duration_minutes.unwrap_or(service.duration_minutes);
    check_duration(duration)?;
    let modes = check_modes(change.modes.as_ref().unwrap_or(&service.modes()?))?;
    let resources = change.resources.as_ref().unwrap_or(&service.resources()?).clone();
    let booking = change.booking.unwrap_or(service.terms);
    booking.check()?;
    let (name_en, name_ru) = match &change.name {
        Some(name) => (name.en.as_str().to_owned(), name.ru.as_str().to_owned()),
        None => (service.name_en, service.name_ru),
    };
    let at_stake = follow::offered_of(tx, id)?;
    let changed = diesel::update(
        healthcare_services::table
            .filter(healthcare_services::id.eq(id))
            .filter(healthcare_services::version.eq(version)),
    )
    .set((
        healthcare_services::name_en.eq(name_en),
        healthcare_services::name_ru.eq(name_ru),
        healthcare_services::duration_minutes.eq(duration),
        healthcare_services::modes.eq(modes),
        healthcare_services::resources.eq(written(&resources)),
        booking,
        healthcare_services::active.eq(change.active.unwrap_or(service.active)),
        healthcare_services::version.eq(version.saturating_add(1)),
    ))
    .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditService, "HealthcareService", id.0, &facts);
    follow::changed(tx, at_stake)?;
    let left = match change.active {
        Some(_) => gone::follow(tx, clinic, Of::Service(id))?,
        None => Affected::default(),
    };
    Ok(EditedHealthcareService { service: show(tx, id)?, left })
}

fn check_duration(minutes: i32) -> Result<(), Error> {
    if DURATION_MINUTES.contains(&minutes) {
        return Ok(());
    }
    Err(Error::field(&problem::INVALID_BODY, "/duration_minutes"))
}

fn check_modes(modes: &[Mode]) -> Result<String, Error> {
    if modes.is_empty() {
        return Err(Error::field(&problem::INVALID_BODY, "/modes"));
    }
    Ok(written(modes))
}

/// Shows one service. 404 when there is none.
pub fn find(tx: &mut Tx, id: ServiceId) -> Result<HealthcareService, Error> {
    tx.allow(Action::ReadService, &Facts::NONE)?;
    show(tx, id)
}

/// Which services a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those of this specialty.
    #[param(value_type = Option<String>)]
    pub specialty: Option<Specialty>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists services by their name in the caller's language. Indexes: healthcare_services_by_name_*.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<HealthcareService>, Error> {
    tx.allow(Action::ReadService, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, ServiceId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = shown().limit(limit.saturating_add(1)).into_boxed();
    if let Some(organization) = wanted.organization {
        query = query.filter(healthcare_services::organization_id.eq(organization));
    }
    if let Some(specialty) = &wanted.specialty {
        query = query.filter(healthcare_services::specialty.eq(specialty.as_str()));
    }
    query = match tx.language {
        Language::English => query.order((healthcare_services::name_en, healthcare_services::id)),
        Language::Russian => query.order((healthcare_services::name_ru, healthcare_services::id)),
    };
    if let Some((name, id)) = after {
        let later = healthcare_services::id.gt(id);
        query = match tx.language {
            Language::English => query.filter(
                healthcare_services::name_en
                    .gt(name.clone())
                    .or(healthcare_services::name_en.eq(name).and(later)),
            ),
            Language::Russian => query.filter(
                healthcare_services::name_ru
                    .gt(name.clone())
                    .or(healthcare_services::name_ru.eq(name).and(later)),
            ),
        };
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    let items: Result<Vec<_>, _> = rows.into_iter().map(|row| assemble(tx, row)).collect();
    Ok(Page::cut(items?, limit, |service| (service.name.clone(), service.id)))
}

type Row = (
    (ServiceId, String, String, String, i32, String),
    (LegalKind, String, BookingTerms, bool, i32),
    (OrganizationId, String),
);

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    healthcare_services::table.inner_join(organizations::table).select((
        (
            healthcare_services::id,
            healthcare_services::name_en,
            healthcare_services::name_ru,
            healthcare_services::specialty,
            healthcare_services::duration_minutes,
            healthcare_services::modes,
        ),
        (
            healthcare_services::legal_kind,
            healthcare_services::resources,
            (
                healthcare_services::buffer_before_minutes,
                healthcare_services::buffer_after_minutes,
                healthcare_services::align_minutes,
                healthcare_services::lead_minutes,
                healthcare_services::horizon_days,
                healthcare_services::daily_cap,
                healthcare_services::overbook,
            ),
            healthcare_services::active,
            healthcare_services::version,
        ),
        (organizations::id, organizations::name),
    ))
}

fn show(tx: &mut Tx, id: ServiceId) -> Result<HealthcareService, Error> {
    let row: Option<Row> =
        shown().filter(healthcare_services::id.eq(id)).get_result(tx.conn).optional()?;
    assemble(tx, row.ok_or_else(|| Error::from(&problem::NOT_FOUND))?)
}

fn assemble(tx: &Tx, row: Row) -> Result<HealthcareService, Error> {
    let (own, (legal_kind, resources, booking, active, version), clinic) = row;
    let (id, name_en, name_ru, specialty, duration_minutes, modes) = own;
    Ok(HealthcareService {
        id,
        name: tx.language.choose(name_en, name_ru),
        organization: Named { id: clinic.0, name: clinic.1 },
        specialty,
        duration_minutes,
        modes: read_list(&modes)?,
        legal_kind,
        resources: read_list(&resources)?,
        booking,
        active,
        version,
    })
}

/// A code of a closed list.
pub(crate) trait Listed: Copy + PartialEq + std::str::FromStr + 'static {
    /// The whole list, in its order.
    const LIST: &'static [Self];
    /// The code.
    fn code(self) -> &'static str;
}
impl Listed for Mode {
    const LIST: &'static [Self] = Self::ALL;
    fn code(self) -> &'static str {
        self.as_str()
    }
}
impl Listed for NeededResource {
    const LIST: &'static [Self] = Self::ALL;
    fn code(self) -> &'static str {
        self.as_str()
    }
}

/// The column's form: codes in the order of declaration, each once.
fn written<T: Listed>(items: &[T]) -> String {
    let known = T::LIST.iter().filter(|item| items.contains(item));
    known.map(|item| item.code()).collect::<Vec<_>>().join(" ")
}

/// The codes that a column holds.
pub(crate) fn read_list<T: Listed>(text: &str) -> Result<Vec<T>, Error> {
    let codes: Result<Vec<T>, _> = text.split_whitespace().map(str::parse).collect();
    codes.map_err(|_unknown| Error::Internal("a service has an unknown code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_kept_once_each_and_read_back() {
        let text = written(&[Mode::Audio, Mode::Video, Mode::Audio]);
        assert_eq!(text, "video audio");
        assert_eq!(read_list::<Mode>(&text).unwrap(), [Mode::Video, Mode::Audio]);
        assert!(check_modes(&[]).is_err());
        assert!(read_list::<Mode>("video smoke").is_err());
    }

    #[test]
    fn a_specialty_is_a_code() {
        assert!("general-practice".parse::<Specialty>().is_ok());
        for wrong in ["", "a", "General", "сердце", "a b", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Specialty>(), Err(NotASpecialty), "{wrong}");
        }
    }
}
