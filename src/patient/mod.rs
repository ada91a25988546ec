//! Who receives care.

pub mod http;

use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::access::caller::Caller;
use crate::access::table::Action;
use crate::access::{self, Decision, Facts, Scope};
use crate::account::phone::Phone;
use crate::account::{self, AccountId, NewAccount};
use crate::appointment;
use crate::base::column::id;
use crate::base::db::{Conn, among, direct};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::{self, NAME_CHARS_MAX, Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{locations, organizations, patient_keys, patients};
use crate::base::seal::{self, KEY_BYTES};
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::location::{self, LinkClass, LocationId, LocationKind, LocationRow};
use crate::organization::{self, OrganizationId};
use crate::practitioner::{self, PractitionerId, SpokenLanguage};

id!(
    /// A patient (FHIR Patient).
    PatientId
);

/// Nobody alive was born before this day.
const BORN_MIN: Option<NaiveDate> = NaiveDate::from_ymd_opt(1900, 1, 1);
/// How many last digits of a phone tell two patients apart without giving the number away.
const PHONE_ENDING_LEN: usize = 4;

/// Where a patient lives.
#[derive(Debug, Clone, Serialize, Queryable, ToSchema)]
pub struct Home {
    /// The place.
    pub id: LocationId,
    /// Its name.
    pub name: String,
    /// The best link that most people there have.
    pub link_class: LinkClass,
}

/// A patient as the API shows them (FHIR R4 Patient).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Patient {
    /// Their id.
    pub id: PatientId,
    /// Their name.
    pub name: String,
    /// The day they were born.
    pub birth_date: NaiveDate,
    /// Where they live.
    pub location: Home,
    /// The clinic that registered them.
    pub organization: Named<OrganizationId>,
    /// The IANA zone of the clocks where they live.
    pub time_zone: Zone,
    /// The languages they speak (FHIR Patient.communication); empty when nobody has said.
    pub languages: Vec<String>,
    /// Counts the changes; the `ETag`.
    pub version: i32,
    /// How to call them: for themselves and their clinic only. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The last digits of the phone, for others who treat them. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_ending: Option<String>,
}

/// A patient to be registered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPatient {
    /// Their name.
    pub name: Name,
    /// The day they were born, from 1900 to today.
    pub birth_date: NaiveDate,
    /// The phone they will sign in with by code. One patient per phone: the others of a family
    /// are registered without one.
    pub phone: Option<Phone>,
    /// The village they live in; their times are shown in its zone.
    pub location: LocationId,
    /// The clinic that registers them.
    pub organization: OrganizationId,
    /// The language of messages to that phone; left out: the caller's.
    pub language: Option<Language>,
    /// The languages they speak; left out: nobody has said.
    #[serde(default)]
    pub languages: Vec<SpokenLanguage>,
}

/// Registers a patient of the clinic and makes the key of their record.
/// 409 `already_exists` when the phone belongs to somebody else.
pub fn create(tx: &mut Tx, new: NewPatient) -> Result<Patient, Error> {
    tx.allow(Action::CreatePatient, &Facts::of_organization(new.organization))?;
    organization::check(tx, new.organization)?;
    let home = check_home(tx, new.location)?;
    let today = zone::wall(tx.now, home.time_zone).date_naive();
    if !may_be_born(new.birth_date, today) {
        return Err(Error::field(&problem::INVALID_BODY, "/birth_date"));
    }
    let languages = spoken(&new.languages)?;
    let account = make_account(tx, &new)?;
    let id = PatientId::new(tx.now);
    diesel::insert_into(patients::table)
        .values((
            patients::id.eq(id),
            patients::account_id.eq(account),
            patients::organization_id.eq(new.organization),
            patients::location_id.eq(home.id),
            patients::name.eq(new.name.as_str()),
            patients::name_folded.eq(new.name.folded()),
            patients::birth_date.eq(new.birth_date),
            patients::time_zone.eq(home.time_zone),
            patients::languages.eq(languages),
            patients::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    make_key(tx, id)?;
    let facts = Facts { organization: Some(new.organization), patient: Some(id), ..Facts::NONE };
    tx.record(Action::CreatePatient, "Patient", id.0, &facts);
    show(tx, id, &facts)
}

/// The column's form; nobody must say what a patient speaks.
fn spoken(languages: &[SpokenLanguage]) -> Result<String, Error> {
    if languages.is_empty() { Ok(String::new()) } else { practitioner::written(languages) }
}

/// What can be changed about a patient.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditPatient {
    /// The languages they speak; none: nobody knows.
    pub languages: Vec<SpokenLanguage>,
}

/// Changes a patient. 412 when somebody has done so meanwhile.
pub fn edit(
    tx: &mut Tx,
    id: PatientId,
    version: i32,
    change: &EditPatient,
) -> Result<Patient, Error> {
    let facts = facts(tx, id)?;
    tx.allow(Action::EditPatient, &facts)?;
    let languages = spoken(&change.languages)?;
    let row = patients::table.filter(patients::id.eq(id)).filter(patients::version.eq(version));
    let changed = diesel::update(row)
        .set((patients::languages.eq(languages), patients::version.eq(version.saturating_add(1))))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    tx.record(Action::EditPatient, "Patient", id.0, &facts);
    show(tx, id, &facts)
}

/// Whether patients of another clinic live at a place. Makes no access decision.
pub(crate) fn of_others_live_at(
    tx: &mut Tx,
    home: LocationId,
    clinic: Option<OrganizationId>,
) -> Result<bool, Error> {
    let mut others = patients::table
        .filter(patients::location_id.eq(home))
        .select(patients::organization_id)
        .distinct()
        .load::<OrganizationId>(tx.conn)?
        .into_iter();
    Ok(others.any(|other| Some(other) != clinic))
}

/// The clocks of everybody who lives at a place go by another zone. Makes no access decision.
pub(crate) fn set_zone(tx: &mut Tx, home: LocationId, zone: Zone) -> Result<(), Error> {
    diesel::update(patients::table.filter(patients::location_id.eq(home)))
        .set((patients::time_zone.eq(zone), patients::version.eq(patients::version + 1)))
        .execute(tx.conn)?;
    Ok(())
}

/// A region is no address: 422 `unknown_reference` on `/location`, as for a place not there.
fn check_home(tx: &mut Tx, id: LocationId) -> Result<LocationRow, Error> {
    location::keep_row(tx, id)?
        .filter(|place| place.kind != LocationKind::Region)
        .ok_or_else(|| Error::field(&problem::UNKNOWN_REFERENCE, "/location"))
}

fn may_be_born(on: NaiveDate, today: NaiveDate) -> bool {
    BORN_MIN.is_some_and(|first| first <= on) && on <= today
}

fn make_account(tx: &mut Tx, new: &NewPatient) -> Result<Option<AccountId>, Error> {
    let Some(phone) = new.phone.clone() else { return Ok(None) };
    let (name, language) = (new.name.as_str(), new.language.unwrap_or(tx.language));
    if let Some(known) = account::take_unclaimed(tx, &phone, name, language)? {
        return Ok(Some(known));
    }
    let account = NewAccount {
        name: name.to_owned(),
        language,
        login: None,
        phone: Some(phone),
        password_hash: None,
        system_admin: false,
    };
    match account::create(tx, account) {
        Ok(account) => Ok(Some(account)),
        Err(error) if error.is(&problem::ALREADY_EXISTS) => {
            Err(Error::field(&problem::ALREADY_EXISTS, "/phone"))
        }
        Err(error) => Err(error),
    }
}

/// The key that seals what is written about this patient. Without it nothing of that can be
/// read again, in any backup: a record is erased by deleting its key.
fn make_key(tx: &mut Tx, id: PatientId) -> Result<(), Error> {
    let key = Zeroizing::new(seal::random::<KEY_BYTES>()?);
    diesel::insert_into(patient_keys::table)
        .values((
            patient_keys::patient_id.eq(id),
            patient_keys::key_sealed.eq(tx.seal.seal(&key_place(id), key.as_slice())?),
            patient_keys::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The key of a patient's record; the caller has made the access decision.
pub fn key(tx: &mut Tx, id: PatientId) -> Result<seal::Key, Error> {
    let sealed: Vec<u8> = patient_keys::table
        .find(id)
        .select(patient_keys::key_sealed)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let key = tx.seal.open(&key_place(id), &sealed)?;
    Ok(seal::Key::new(&key)?)
}

fn key_place(id: PatientId) -> String {
    format!("patient_keys|key|{id}")
}

/// Shows one patient. 404 when they are not there or not the caller's to see.
pub fn find(tx: &mut Tx, id: PatientId) -> Result<Patient, Error> {
    let facts = facts(tx, id)?;
    tx.allow(Action::ReadPatient, &facts)?;
    show(tx, id, &facts)
}

/// Lets a patient's number sign in again that too many wrong codes have shut. Who has no number
/// has nothing to open, and stays as they are.
pub fn enable(tx: &mut Tx, id: PatientId) -> Result<Patient, Error> {
    let row = find_row(tx, id)?;
    let facts = facts_of(tx, &row)?;
    tx.allow(Action::EnablePatient, &facts)?;
    if let Some(account) = row.account_id {
        account::enable(tx, account)?;
    }
    tx.record(Action::EnablePatient, "Patient", id.0, &facts);
    show(tx, id, &facts)
}

/// Which patients a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those whose name begins so; capitals and `ё` do not matter.
    pub query: Option<String>,
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those who live here.
    pub location: Option<LocationId>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the patients that the caller may see, by name. Indexes: patients_by_organization,
/// appointments_by_practitioner.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Patient>, Error> {
    let Scope { all, patient, practitioner, organizations } = tx.scope(Action::ReadPatient)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, PatientId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = patients::table
        .select((patients::id, patients::name_folded))
        .order((patients::name_folded, patients::id))
        .limit(limit.saturating_add(1))
        .into_boxed();
    // One relation is one index; only who is several things at once pays for the union.
    query = match (all, patient, practitioner, organizations.is_empty()) {
        (true, ..) => query,
        (false, Some(patient), None, true) => query.filter(patients::id.eq(patient)),
        (false, None, Some(practitioner), true) => {
            query.filter(patients::id.eq_any(appointment::treated_by(practitioner)))
        }
        (false, None, None, _) => query.filter(patients::organization_id.eq_any(organizations)),
        (false, patient, practitioner, _) => {
            let practitioner = practitioner.unwrap_or(PractitionerId(uuid::Uuid::nil()));
            query.filter(
                patients::id
                    .eq(patient.unwrap_or(PatientId(uuid::Uuid::nil())))
                    .or(patients::id.eq_any(appointment::treated_by(practitioner)))
                    .or(patients::organization_id.eq_any(organizations)),
            )
        }
    };
    if let Some(begins) = &wanted.query {
        let (first, last) = prefix_range(begins)?;
        query = query.filter(patients::name_folded.ge(first));
        query = query.filter(patients::name_folded.lt(last));
    }
    if let Some(organization) = wanted.organization {
        query = query.filter(patients::organization_id.eq(organization));
    }
    if let Some(location) = wanted.location {
        query = query.filter(patients::location_id.eq(location));
    }
    if let Some((folded, id)) = after {
        query = query.filter(
            patients::name_folded
                .gt(folded.clone())
                .or(patients::name_folded.eq(folded).and(patients::id.gt(id))),
        );
    }
    let found: Vec<(PatientId, String)> = query.load(tx.conn)?;
    let page = Page::cut(found, limit, |(id, folded)| (folded.clone(), *id));
    let ids: Vec<PatientId> = page.items.iter().map(|(id, _)| *id).collect();
    let rows: Vec<Shown> = shown()
        .filter(among(patients::id, ids))
        .order((patients::name_folded, patients::id))
        .load(tx.conn)?;
    Ok(Page { items: rows.into_iter().map(assemble).collect(), next: page.next })
}

/// The texts that begin with a prefix lie between it and it with the last of all characters
/// behind it: both engines compare byte by byte, so one look into the index finds them.
fn prefix_range(prefix: &str) -> Result<(String, String), Error> {
    if prefix.chars().count() > NAME_CHARS_MAX {
        return Err(Error::field(&problem::INVALID_QUERY, "/query"));
    }
    let first = name::fold(prefix);
    let last = format!("{first}{}", char::MAX);
    Ok((first, last))
}

/// What booking and messages must know of a patient.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = patients)]
pub struct PatientRow {
    /// Their id.
    pub id: PatientId,
    /// Their account, when they can sign in.
    pub account_id: Option<AccountId>,
    /// The clinic that registered them.
    pub organization_id: OrganizationId,
    /// Where they live.
    pub location_id: LocationId,
    /// Their name.
    pub name: String,
    /// The zone of the clocks where they live.
    pub time_zone: Zone,
    /// The languages they speak, as the column has them.
    languages: String,
}

impl PatientRow {
    /// The codes of the languages they speak; none when nobody has said.
    pub(crate) fn languages(&self) -> Vec<String> {
        listed(&self.languages)
    }
}

/// The codes of a column of languages.
pub(crate) fn listed(languages: &str) -> Vec<String> {
    languages.split_whitespace().map(str::to_owned).collect()
}

/// The row of a patient; the caller has made the access decision. 404 when there is none.
pub fn find_row(tx: &mut Tx, id: PatientId) -> Result<PatientRow, Error> {
    let row = patients::table.find(id).select((
        patients::id,
        patients::account_id,
        patients::organization_id,
        patients::location_id,
        patients::name,
        patients::time_zone,
        patients::languages,
    ));
    direct!(tx.conn, |conn| row.get_result(conn))
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// What a patient's clocks go by, as it stays until this transaction ends: whoever promises them a time
/// by it and whoever puts it right go one after the other. For a deed that is about to write it down.
pub(crate) fn keep_zone(tx: &mut Tx, patient: &PatientRow) -> Result<Zone, Error> {
    let Conn::Postgres(conn) = tx.conn else {
        // SQLite has one writer: it is as it was read.
        return Ok(patient.time_zone);
    };
    let zone = patients::table.find(patient.id).select(patients::time_zone);
    Ok(zone.for_share().get_result(conn)?)
}

/// What the access decision must know of a patient. 404 when there is none.
pub fn facts(tx: &mut Tx, id: PatientId) -> Result<Facts, Error> {
    let row = find_row(tx, id)?;
    facts_of(tx, &row)
}

/// What the access decision must know of a patient whose row is at hand.
pub fn facts_of(tx: &mut Tx, row: &PatientRow) -> Result<Facts, Error> {
    let (id, organization) = (row.id, row.organization_id);
    let practitioner = match &tx.caller {
        Caller::Person(person) => person.active_practitioner(),
        Caller::Nobody | Caller::System => None,
    };
    let treats = match practitioner {
        Some(practitioner) => appointment::treats(tx, practitioner, id)?,
        None => false,
    };
    Ok(Facts { organization: Some(organization), patient: Some(id), treats, ..Facts::NONE })
}

type Shown = ((PatientId, String, NaiveDate, Zone, String, i32), Home, (OrganizationId, String));

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    patients::table.inner_join(locations::table).inner_join(organizations::table).select((
        (
            patients::id,
            patients::name,
            patients::birth_date,
            patients::time_zone,
            patients::languages,
            patients::version,
        ),
        (locations::id, locations::name, locations::link_class),
        (organizations::id, organizations::name),
    ))
}

fn assemble((own, location, clinic): Shown) -> Patient {
    let (id, name, birth_date, time_zone, languages, version) = own;
    Patient {
        id,
        name,
        birth_date,
        location,
        organization: Named { id: clinic.0, name: clinic.1 },
        time_zone,
        languages: listed(&languages),
        version,
        phone: None,
        phone_ending: None,
    }
}

/// A patient that the caller may see, with as much of the phone as they may see.
fn show(tx: &mut Tx, id: PatientId, facts: &Facts) -> Result<Patient, Error> {
    let row: Option<Shown> = shown().filter(patients::id.eq(id)).get_result(tx.conn).optional()?;
    let mut patient = assemble(row.ok_or_else(|| Error::from(&problem::NOT_FOUND))?);
    let Some(account) = find_row(tx, id)?.account_id else { return Ok(patient) };
    let Some(phone) = account::contact(tx, account)?.phone else { return Ok(patient) };
    match access::decide(&tx.caller, Action::ReadPhone, facts) {
        Decision::Allow => patient.phone = Some(phone.as_str().to_owned()),
        Decision::SignIn | Decision::Forbid | Decision::Hide => {
            patient.phone_ending = Some(ending(phone.as_str()));
        }
    }
    Ok(patient)
}

fn ending(phone: &str) -> String {
    let before = phone.chars().count().saturating_sub(PHONE_ENDING_LEN);
    phone.chars().skip(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_born_between_1900_and_today() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let today = day("2026-11-23");
        assert!(may_be_born(today, today));
        assert!(may_be_born(day("1900-01-01"), today));
        assert!(!may_be_born(day("1899-12-31"), today));
        assert!(!may_be_born(day("2026-11-24"), today));
    }

    #[test]
    fn a_prefix_finds_exactly_the_names_that_begin_with_it() {
        let (first, last) = prefix_range(" Кузн ").unwrap();
        let found = |name: &str| {
            let folded = name.parse::<Name>().unwrap().folded();
            first <= folded && folded < last
        };
        assert!(found("Кузн") && found("КУЗНЕЦОВА Аша") && found("кузняшка"));
        assert!(!found("Куз") && !found("Кузмина") && !found("Аша Кузнецова"));
        assert!(prefix_range(&"я".repeat(201)).is_err());
    }

    #[test]
    fn others_see_the_last_digits_of_a_phone_only() {
        assert_eq!(ending("+79131234567"), "4567");
        assert_eq!(ending("12"), "12");
    }
}
