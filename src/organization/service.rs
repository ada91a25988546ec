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
use crate::organization::{self, OrganizationId, ServiceId};

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
}

/// Offers a service in a clinic. Nobody gives it until a practitioner does.
pub fn create(tx: &mut Tx, new: NewHealthcareService) -> Result<HealthcareService, Error> {
    let facts = Facts::of_organization(new.organization);
    tx.allow(Action::CreateService, &facts)?;
    organization::check(tx, new.organization)?;
    if !DURATION_MINUTES.contains(&new.duration_minutes) {
        return Err(Error::field(&problem::INVALID_BODY, "/duration_minutes"));
    }
    let modes =
        written(&new.modes).ok_or_else(|| Error::field(&problem::INVALID_BODY, "/modes"))?;
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
            healthcare_services::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::CreateService, "HealthcareService", id.0, &facts);
    show(tx, id)
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

type Row = ((ServiceId, String, String, String, i32, String), (OrganizationId, String));

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
        (organizations::id, organizations::name),
    ))
}

fn show(tx: &mut Tx, id: ServiceId) -> Result<HealthcareService, Error> {
    let row: Option<Row> =
        shown().filter(healthcare_services::id.eq(id)).get_result(tx.conn).optional()?;
    assemble(tx, row.ok_or_else(|| Error::from(&problem::NOT_FOUND))?)
}

fn assemble(tx: &Tx, row: Row) -> Result<HealthcareService, Error> {
    let ((id, name_en, name_ru, specialty, duration_minutes, modes), clinic) = row;
    Ok(HealthcareService {
        id,
        name: match tx.language {
            Language::English => name_en,
            Language::Russian => name_ru,
        },
        organization: Named { id: clinic.0, name: clinic.1 },
        specialty,
        duration_minutes,
        modes: read(&modes)?,
    })
}

/// The column's form: codes in the order of declaration, each once. `None` for no mode at all.
fn written(modes: &[Mode]) -> Option<String> {
    let known = Mode::ALL.iter().filter(|mode| modes.contains(mode));
    let codes: Vec<&str> = known.map(|mode| mode.as_str()).collect();
    if codes.is_empty() { None } else { Some(codes.join(" ")) }
}

fn read(modes: &str) -> Result<Vec<Mode>, Error> {
    let codes: Result<Vec<Mode>, _> = modes.split_whitespace().map(str::parse).collect();
    codes.map_err(|_unknown| Error::Internal("a service has an unknown mode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_kept_once_each_and_read_back() {
        let text = written(&[Mode::Audio, Mode::Video, Mode::Audio]).unwrap();
        assert_eq!(text, "video audio");
        assert_eq!(read(&text).unwrap(), [Mode::Video, Mode::Audio]);
        assert_eq!(written(&[]), None);
        assert!(read("video smoke").is_err());
    }

    #[test]
    fn a_specialty_is_a_code() {
        assert!("general-practice".parse::<Specialty>().is_ok());
        for wrong in ["", "a", "General", "сердце", "a b", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Specialty>(), Err(NotASpecialty), "{wrong}");
        }
    }
}
