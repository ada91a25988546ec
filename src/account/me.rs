//! Who am I: what a page needs to know of the person who signed in.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::caller::{MembershipState, Role};
use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::Named;
use crate::base::schema::{
    accounts, locations, memberships, organizations, patients, practitioners,
};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::location::LocationId;
use crate::organization::OrganizationId;
use crate::patient::{self, PatientId};
use crate::practitioner::PractitionerId;

text_enum!(
    /// What a practitioner is.
    MyKind {
        /// Sees patients by video.
        Doctor = "doctor",
        /// Serves a village.
        Feldsher = "feldsher",
    }
);

/// The person who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Who signs in.
    pub account: MyAccount,
    /// The patient they are, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<MyPatient>,
    /// The practitioner they are, if a clinic employs them as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<MyPractitioner>,
    /// Their roles in clinics that are in force.
    pub memberships: Vec<MyMembership>,
    /// Administers the installation.
    pub system_admin: bool,
}

/// Who signs in.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyAccount {
    /// The id.
    pub id: AccountId,
    /// The name shown to others.
    pub name: String,
    /// The language of messages to them.
    pub language: Language,
}

/// The patient that a person is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyPatient {
    /// The id.
    pub id: PatientId,
    /// The name.
    pub name: String,
    /// The zone of their village.
    pub time_zone: Zone,
    /// Where they live.
    pub location: Named<LocationId>,
    /// The clinic that looks after them.
    pub organization: Named<OrganizationId>,
    /// The languages they speak; empty when nobody has said.
    pub languages: Vec<String>,
}

/// The practitioner that a person is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyPractitioner {
    /// The id.
    pub id: PractitionerId,
    /// The name shown to patients.
    pub name: String,
    /// Doctor or feldsher.
    pub kind: MyKind,
    /// The zone of their working hours.
    pub time_zone: Zone,
    /// The clinic they work for.
    pub organization: Named<OrganizationId>,
}

/// A role in a clinic.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyMembership {
    /// The clinic.
    pub organization: Named<OrganizationId>,
    /// The role there.
    pub role: Role,
}

/// Says who the caller is.
pub fn read(tx: &mut Tx) -> Result<Me, Error> {
    tx.allow(Action::ReadMe, &Facts::NONE)?;
    let person = tx.person()?.clone();
    let (name, language) = accounts::table
        .find(person.account)
        .select((accounts::name, accounts::language))
        .get_result::<(String, Language)>(tx.conn)?;
    Ok(Me {
        account: MyAccount { id: person.account, name, language },
        patient: person.patient.map(|id| my_patient(tx, id)).transpose()?,
        practitioner: person.active_practitioner().map(|id| practitioner(tx, id)).transpose()?,
        memberships: memberships_of(tx, person.account)?,
        system_admin: person.system_admin,
    })
}

fn my_patient(tx: &mut Tx, id: PatientId) -> Result<MyPatient, Error> {
    type Row = (String, Zone, String, (LocationId, String), (OrganizationId, String));
    let (name, time_zone, languages, location, organization) = patients::table
        .inner_join(locations::table.on(locations::id.eq(patients::location_id)))
        .inner_join(organizations::table.on(organizations::id.eq(patients::organization_id)))
        .filter(patients::id.eq(id))
        .select((
            patients::name,
            patients::time_zone,
            patients::languages,
            (locations::id, locations::name),
            (organizations::id, organizations::name),
        ))
        .get_result::<Row>(tx.conn)?;
    Ok(MyPatient {
        id,
        name,
        time_zone,
        location: named(location),
        organization: named(organization),
        languages: patient::listed(&languages),
    })
}

fn practitioner(tx: &mut Tx, id: PractitionerId) -> Result<MyPractitioner, Error> {
    let (name, kind, time_zone, organization) = practitioners::table
        .inner_join(organizations::table.on(organizations::id.eq(practitioners::organization_id)))
        .filter(practitioners::id.eq(id))
        .select((
            practitioners::name,
            practitioners::kind,
            practitioners::time_zone,
            (organizations::id, organizations::name),
        ))
        .get_result::<(String, MyKind, Zone, (OrganizationId, String))>(tx.conn)?;
    Ok(MyPractitioner { id, name, kind, time_zone, organization: named(organization) })
}

fn memberships_of(tx: &mut Tx, account: AccountId) -> Result<Vec<MyMembership>, Error> {
    let rows: Vec<(Role, (OrganizationId, String))> = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::account_id.eq(account))
        .filter(memberships::state.eq(MembershipState::Active))
        .order((organizations::name, organizations::id, memberships::role))
        .select((memberships::role, (organizations::id, organizations::name)))
        .load(tx.conn)?;
    let show = |(role, organization)| MyMembership { organization: named(organization), role };
    Ok(rows.into_iter().map(show).collect())
}

fn named<T>((id, name): (T, String)) -> Named<T> {
    Named { id, name }
}
