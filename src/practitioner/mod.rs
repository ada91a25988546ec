//! Who gives care: doctors and feldshers, and those who translate.

pub mod edit;
pub mod gone;
pub mod http;

use diesel::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::caller::{MembershipState, Role};
use crate::access::table::Action;
use crate::account::phone::Phone;
use crate::account::{AccountId, AccountState};
use crate::base::column::{id, text_enum};
use crate::base::db::{Each, among, direct};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::{Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{
    accounts, healthcare_services, memberships, organizations, practitioner_services, practitioners,
};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::member::{self, Login};
use crate::organization::service::Specialty;
use crate::organization::{self, OrganizationId, ServiceId};

id!(
    /// A doctor or feldsher (FHIR Practitioner).
    PractitionerId
);

text_enum!(
    /// What kind of care somebody gives.
    PractitionerKind {
        /// Sees patients by video.
        Doctor = "doctor",
        /// Serves a village.
        Feldsher = "feldsher",
        /// Translates; has no sign-in of their own.
        Interpreter = "interpreter",
    }
);

/// The most services of one practitioner.
const SERVICES_MAX: usize = 50;
/// The most languages of one person.
const LANGUAGES_MAX: usize = 20;

/// A language that somebody speaks: its primary code (BCP 47), such as `ru` or `kk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenLanguage(String);

/// A text that is no code of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a language is a code of 2 or 3 small letters, like ru")]
pub struct NotALanguage;

impl SpokenLanguage {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SpokenLanguage {
    type Err = NotALanguage;

    fn from_str(text: &str) -> Result<Self, NotALanguage> {
        if (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALanguage)
        }
    }
}

impl<'de> Deserialize<'de> for SpokenLanguage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for SpokenLanguage {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z]{2,3}$"))
            .into()
    }
}
impl ToSchema for SpokenLanguage {}

/// A practitioner as the API shows them (FHIR R4 Practitioner with its PractitionerRole).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Practitioner {
    /// Their id.
    pub id: PractitionerId,
    /// Their name.
    pub name: String,
    /// What kind of care they give.
    pub kind: PractitionerKind,
    /// The code of their specialty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specialty: Option<String>,
    /// The clinic they work in.
    pub organization: Named<OrganizationId>,
    /// The IANA zone of their working hours.
    pub time_zone: Zone,
    /// What they can be booked for.
    pub services: Vec<Named<ServiceId>>,
    /// The languages they speak with patients.
    pub languages: Vec<String>,
    /// Counts the changes; the `ETag`.
    pub version: i32,
    /// Sets the first password, once. Only in the answer that made the account; a repetition of
    /// that request answers it again, from a store that is sealed and forgets after 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_token: Option<String>,
}

/// A practitioner to be added.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPractitioner {
    /// Their name.
    pub name: Name,
    /// What kind of care they give.
    pub kind: PractitionerKind,
    /// The code of their specialty.
    pub specialty: Option<Specialty>,
    /// The clinic they work in.
    pub organization: OrganizationId,
    /// The IANA zone of their working hours.
    pub time_zone: Zone,
    /// What they can be booked for: services of the same clinic.
    #[serde(default)]
    pub services: Vec<ServiceId>,
    /// The languages they speak with patients; left out: the language of texts to them.
    pub languages: Option<Vec<SpokenLanguage>>,
    /// What they will sign in with; without one they have no account yet.
    pub login: Option<Login>,
    /// The language of texts to them; left out: the caller's.
    pub language: Option<Language>,
    /// The number of texts to them (E.164); they do not sign in with it, and it is not shown.
    pub phone: Option<Phone>,
}

/// Adds a practitioner, with an account and a membership in force when a login is given.
/// 409 `already_exists` when the login is taken.
pub fn create(tx: &mut Tx, new: NewPractitioner) -> Result<Practitioner, Error> {
    let facts = Facts::of_organization(new.organization);
    tx.allow(Action::CreatePractitioner, &facts)?;
    organization::check(tx, new.organization)?;
    let services = check_services(tx, new.organization, new.services)?;
    let languages = match &new.languages {
        Some(languages) => written(languages)?,
        None => new.language.unwrap_or(tx.language).to_string(),
    };
    let role = match new.kind {
        PractitionerKind::Doctor => Some(Role::Doctor),
        PractitionerKind::Feldsher => Some(Role::Feldsher),
        PractitionerKind::Interpreter => None,
    };
    let (account, sign_in_token) = match (&new.login, role) {
        (None, _) => (None, None),
        (Some(_), None) => return Err(Error::field(&problem::INVALID_BODY, "/login")),
        (Some(login), Some(role)) => {
            let clinic = new.organization;
            let (id, token) = member::invite(tx, clinic, role, &new.name, login, new.language)?;
            (Some(id), Some(token))
        }
    };
    let id = PractitionerId::new(tx.now);
    let phone =
        new.phone.as_ref().map(|phone| phone.sealed(tx.seal, &phone_place(id))).transpose()?;
    diesel::insert_into(practitioners::table)
        .values((
            practitioners::id.eq(id),
            practitioners::account_id.eq(account),
            practitioners::organization_id.eq(new.organization),
            practitioners::name.eq(new.name.as_str()),
            practitioners::kind.eq(new.kind),
            practitioners::specialty.eq(new.specialty.as_ref().map(Specialty::as_str)),
            practitioners::time_zone.eq(new.time_zone),
            practitioners::languages.eq(languages),
            practitioners::phone_sealed.eq(phone),
            practitioners::schedule_version.eq(1),
            practitioners::version.eq(1),
            practitioners::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    add_services(tx, id, &services)?;
    tx.record(Action::CreatePractitioner, "Practitioner", id.0, &facts);
    Ok(Practitioner { sign_in_token, ..show(tx, id)? })
}

/// They can be booked for these services as well.
fn add_services(tx: &mut Tx, id: PractitionerId, services: &[ServiceId]) -> Result<(), Error> {
    for service in services {
        let given = Each(
            diesel::insert_into(practitioner_services::table)
                .values((
                    practitioner_services::practitioner_id.eq(id),
                    practitioner_services::service_id.eq(service),
                ))
                .on_conflict_do_nothing(),
        );
        given.execute(tx.conn)?;
    }
    Ok(())
}

/// Each service once; 422 `unknown_reference` on the first that the clinic does not offer.
fn check_services(
    tx: &mut Tx,
    organization: OrganizationId,
    wanted: Vec<ServiceId>,
) -> Result<Vec<ServiceId>, Error> {
    if wanted.len() > SERVICES_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/services"));
    }
    let offered: Vec<ServiceId> = healthcare_services::table
        .filter(healthcare_services::organization_id.eq(organization))
        .filter(healthcare_services::id.eq_any(&wanted))
        .select(healthcare_services::id)
        .load(tx.conn)?;
    match wanted.iter().position(|service| !offered.contains(service)) {
        None => Ok(offered),
        Some(at) => {
            let pointer = format!("/services/{at}");
            Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer))
        }
    }
}

/// The column's form: each code once, in the order given; one to twenty.
pub(crate) fn written(languages: &[SpokenLanguage]) -> Result<String, Error> {
    if languages.is_empty() || languages.len() > LANGUAGES_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/languages"));
    }
    let mut codes: Vec<&str> = Vec::new();
    for language in languages {
        if !codes.contains(&language.as_str()) {
            codes.push(language.as_str());
        }
    }
    Ok(codes.join(" "))
}

/// Shows one practitioner. 404 when there is none.
pub fn find(tx: &mut Tx, id: PractitionerId) -> Result<Practitioner, Error> {
    tx.allow(Action::ReadPractitioner, &Facts::NONE)?;
    show(tx, id)
}

/// Which practitioners a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those who give this service.
    pub service: Option<ServiceId>,
    /// Those of this specialty.
    #[param(value_type = Option<String>)]
    pub specialty: Option<Specialty>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists, by name, those who give care now: nobody whose membership or account has ended.
/// Indexes: practitioners_by_name, practitioners_by_organization, practitioner_services_by_service.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Practitioner>, Error> {
    tx.allow(Action::ReadPractitioner, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, PractitionerId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = practitioners::table
        .filter(in_force())
        .select((practitioners::id, practitioners::name))
        .order((practitioners::name, practitioners::id))
        .limit(limit.saturating_add(1))
        .into_boxed();
    if let Some(organization) = wanted.organization {
        query = query.filter(practitioners::organization_id.eq(organization));
    }
    if let Some(service) = wanted.service {
        query = query.filter(practitioners::id.eq_any(giving(service)));
    }
    if let Some(specialty) = &wanted.specialty {
        query = query.filter(practitioners::specialty.eq(specialty.as_str()));
    }
    if let Some((name, id)) = after {
        query = query.filter(
            practitioners::name
                .gt(name.clone())
                .or(practitioners::name.eq(name).and(practitioners::id.gt(id))),
        );
    }
    let found: Vec<(PractitionerId, String)> = query.load(tx.conn)?;
    let page = Page::cut(found, limit, |(id, name)| (name.clone(), *id));
    let ids = page.items.iter().map(|(id, _)| *id).collect();
    Ok(Page { items: show_all(tx, ids)?, next: page.next })
}

/// Those who give care in a clinic now, by name, and of its others those named in `also`; the
/// caller has made the access decision. Index: practitioners_by_organization.
pub(crate) fn of_clinic(
    tx: &mut Tx,
    clinic: OrganizationId,
    also: &[PractitionerId],
) -> Result<Vec<Practitioner>, Error> {
    let ids: Vec<PractitionerId> = practitioners::table
        .filter(practitioners::organization_id.eq(clinic))
        .filter(in_force().or(practitioners::id.eq_any(also)))
        .select(practitioners::id)
        .load(tx.conn)?;
    show_all(tx, ids)
}

/// What booking and schedules must know of a practitioner.
#[derive(Debug, Clone, Queryable)]
pub struct PractitionerRow {
    /// Their id.
    pub id: PractitionerId,
    /// The clinic they work in.
    pub organization_id: OrganizationId,
    /// Their name.
    pub name: String,
    /// The zone of their working hours.
    pub time_zone: Zone,
    /// The languages they speak, as the column has them.
    languages: String,
}

impl PractitionerRow {
    /// Whether they speak a language with patients.
    pub fn speaks(&self, language: &SpokenLanguage) -> bool {
        self.speaks_code(language.as_str())
    }

    /// Whether they speak the language of a code.
    pub(crate) fn speaks_code(&self, language: &str) -> bool {
        self.spoken().any(|code| code == language)
    }

    /// The codes of the languages they speak.
    pub(crate) fn spoken(&self) -> impl Iterator<Item = &str> {
        self.languages.split_whitespace()
    }
}

/// The row of a practitioner; the caller has made the access decision. 404 when there is none.
pub fn find_row(tx: &mut Tx, id: PractitionerId) -> Result<PractitionerRow, Error> {
    row()
        .filter(practitioners::id.eq(id))
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Somebody who gives care at a clinic and can sign in.
#[derive(Debug, Clone, Queryable)]
pub struct Colleague {
    /// Their account.
    pub account: Option<AccountId>,
    /// The name shown to others.
    pub name: String,
    /// What kind of care they give.
    pub kind: PractitionerKind,
}

/// Whoever gives care at a clinic now, under this id; `None` when nobody does, or they cannot sign
/// in. The caller has made the access decision.
pub fn colleague(
    tx: &mut Tx,
    id: PractitionerId,
    organization: OrganizationId,
) -> Result<Option<Colleague>, Error> {
    Ok(practitioners::table
        .filter(practitioners::id.eq(id))
        .filter(practitioners::organization_id.eq(organization))
        .filter(practitioners::account_id.is_not_null())
        .filter(in_force())
        .select((practitioners::account_id, practitioners::name, practitioners::kind))
        .get_result(tx.conn)
        .optional()?)
}

/// Those of some practitioners who have an account; the caller has made the access decision.
pub(crate) fn who_can_sign_in(
    tx: &mut Tx,
    people: Vec<PractitionerId>,
) -> Result<Vec<PractitionerId>, Error> {
    Ok(practitioners::table
        .filter(among(practitioners::id, people))
        .filter(practitioners::account_id.is_not_null())
        .select(practitioners::id)
        .load(tx.conn)?)
}

/// As whom an account gives care in a clinic. The caller has made the access decision.
pub(crate) fn of_account(
    tx: &mut Tx,
    clinic: OrganizationId,
    account: AccountId,
) -> Result<Vec<PractitionerId>, Error> {
    Ok(practitioners::table
        .filter(practitioners::account_id.eq(account))
        .filter(practitioners::organization_id.eq(clinic))
        .select(practitioners::id)
        .load(tx.conn)?)
}

/// Whether an account is a doctor's. The caller has made the access decision.
pub(crate) fn is_doctor(tx: &mut Tx, account: AccountId) -> Result<bool, Error> {
    let doctors = practitioners::table
        .filter(practitioners::account_id.eq(account))
        .filter(practitioners::kind.eq(PractitionerKind::Doctor));
    Ok(doctors.count().get_result::<i64>(tx.conn)? > 0)
}

/// How a message reaches a practitioner.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Their account, if they have one.
    pub account: Option<AccountId>,
    /// The zone of their clocks.
    pub time_zone: Zone,
    /// The number of texts to them, if they gave one.
    pub phone: Option<Phone>,
}

fn phone_place(id: PractitionerId) -> String {
    format!("practitioners|phone|{id}")
}

/// How a message reaches a practitioner; the caller has made the access decision.
/// 404 when there is none.
pub fn find_reach(tx: &mut Tx, id: PractitionerId) -> Result<Reach, Error> {
    let (account, time_zone, sealed) = practitioners::table
        .find(id)
        .select((practitioners::account_id, practitioners::time_zone, practitioners::phone_sealed))
        .get_result::<(Option<AccountId>, Zone, Option<Vec<u8>>)>(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let phone = Phone::unsealed(tx.seal, &phone_place(id), sealed.as_deref())?;
    Ok(Reach { account, time_zone, phone })
}

/// Who can be booked for a service now, or whether this one can.
/// Index: practitioner_services_by_service.
pub fn of_service(
    tx: &mut Tx,
    id: ServiceId,
    only: Option<PractitionerId>,
) -> Result<Vec<PractitionerRow>, Error> {
    let serving = row()
        .filter(practitioners::id.eq_any(giving(id)))
        .filter(in_force())
        .order(practitioners::id);
    Ok(match only {
        Some(only) => {
            let only = serving.filter(practitioners::id.eq(only));
            direct!(tx.conn, |conn| only.load(conn))?
        }
        None => direct!(tx.conn, |conn| serving.load(conn))?,
    })
}

/// The feldshers, or the interpreters, of a clinic whose membership is in force; for a deed that
/// has decided on access itself. Index: practitioners_by_organization.
pub fn of_kind(
    tx: &mut Tx,
    clinic: OrganizationId,
    kind: PractitionerKind,
) -> Result<Vec<PractitionerRow>, Error> {
    Ok(row()
        .filter(practitioners::organization_id.eq(clinic))
        .filter(practitioners::kind.eq(kind))
        .filter(in_force())
        .order(practitioners::id)
        .load(tx.conn)?)
}

/// Who can be booked for each of some services now, or for what of them this one can.
/// Index: practitioner_services_by_service.
pub fn of_services(
    tx: &mut Tx,
    services: &[ServiceId],
    only: Option<PractitionerId>,
) -> Result<Vec<(ServiceId, PractitionerRow)>, Error> {
    let mut serving = practitioner_services::table
        .inner_join(practitioners::table)
        .filter(among(practitioner_services::service_id, services.to_vec()))
        .filter(in_force())
        .order((practitioners::id, practitioner_services::service_id))
        .select((
            practitioner_services::service_id,
            (
                practitioners::id,
                practitioners::organization_id,
                practitioners::name,
                practitioners::time_zone,
                practitioners::languages,
            ),
        ))
        .into_boxed();
    if let Some(only) = only {
        serving = serving.filter(practitioners::id.eq(only));
    }
    Ok(serving.load(tx.conn)?)
}

/// What a practitioner can be booked for; the caller has made the access decision.
pub fn services_of(tx: &mut Tx, id: PractitionerId) -> Result<Vec<ServiceId>, Error> {
    Ok(practitioner_services::table
        .filter(practitioner_services::practitioner_id.eq(id))
        .select(practitioner_services::service_id)
        .load(tx.conn)?)
}

/// Makes whoever else does the same for this practitioner wait until this transaction ends, so
/// that what is counted stays true.
pub fn lock(tx: &mut Tx, id: PractitionerId) -> Result<(), Error> {
    diesel::update(practitioners::table.filter(practitioners::id.eq(id)))
        .set(practitioners::version.eq(practitioners::version))
        .execute(tx.conn)?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn row() -> _ {
    practitioners::table.select((
        practitioners::id,
        practitioners::organization_id,
        practitioners::name,
        practitioners::time_zone,
        practitioners::languages,
    ))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn giving(service: ServiceId) -> _ {
    practitioner_services::table
        .filter(practitioner_services::service_id.eq(service))
        .select(practitioner_services::practitioner_id)
}

/// Has no account yet, or one that may sign in and whose membership in the clinic is in force.
#[diesel::dsl::auto_type(no_type_alias)]
fn in_force() -> _ {
    let (doctor, feldsher): (Role, Role) = (Role::Doctor, Role::Feldsher);
    let active: MembershipState = MembershipState::Active;
    let disabled: AccountState = AccountState::Disabled;
    let employed = memberships::table
        .inner_join(accounts::table)
        .filter(memberships::account_id.nullable().eq(practitioners::account_id))
        .filter(memberships::organization_id.eq(practitioners::organization_id))
        .filter(memberships::role.eq(doctor).or(memberships::role.eq(feldsher)))
        .filter(memberships::state.eq(active))
        .filter(accounts::state.ne(disabled));
    practitioners::account_id.is_null().or(diesel::dsl::exists(employed))
}

fn show(tx: &mut Tx, id: PractitionerId) -> Result<Practitioner, Error> {
    show_all(tx, vec![id])?.pop().ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

type Shown = (
    (PractitionerId, String, PractitionerKind, Option<String>, Zone, String, i32),
    (OrganizationId, String),
);

fn show_all(tx: &mut Tx, ids: Vec<PractitionerId>) -> Result<Vec<Practitioner>, Error> {
    let services: Vec<(PractitionerId, ServiceId, String, String)> = practitioner_services::table
        .inner_join(healthcare_services::table)
        .filter(among(practitioner_services::practitioner_id, ids.clone()))
        .order(healthcare_services::id)
        .select((
            practitioner_services::practitioner_id,
            healthcare_services::id,
            healthcare_services::name_en,
            healthcare_services::name_ru,
        ))
        .load(tx.conn)?;
    let rows: Vec<Shown> = practitioners::table
        .inner_join(organizations::table)
        .filter(among(practitioners::id, ids))
        .order((practitioners::name, practitioners::id))
        .select((
            (
                practitioners::id,
                practitioners::name,
                practitioners::kind,
                practitioners::specialty,
                practitioners::time_zone,
                practitioners::languages,
                practitioners::version,
            ),
            (organizations::id, organizations::name),
        ))
        .load(tx.conn)?;
    let language = tx.language;
    let given = |practitioner: PractitionerId| {
        let own = services.iter().filter(move |(giver, ..)| *giver == practitioner);
        own.map(move |(_, id, name_en, name_ru)| Named {
            id: *id,
            name: language.choose(name_en, name_ru).clone(),
        })
    };
    let shown = |(own, clinic): Shown| {
        let (id, name, kind, specialty, time_zone, languages, version) = own;
        Practitioner {
            id,
            name,
            kind,
            specialty,
            organization: Named { id: clinic.0, name: clinic.1 },
            time_zone,
            services: given(id).collect(),
            languages: languages.split_whitespace().map(str::to_owned).collect(),
            version,
            sign_in_token: None,
        }
    };
    Ok(rows.into_iter().map(shown).collect())
}
