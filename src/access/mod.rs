//! Who may do what: one table that a clinic can read, one pure decision.
//!
//! A deed names its [`Action`] and the [`Facts`] of the object; the answer follows from how the
//! caller is related to it. No relation, no access.

pub mod caller;
pub mod table;

use crate::access::caller::{Caller, Role};
use crate::access::table::Action;
use crate::account::AccountId;
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

/// How a caller can be related to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Anybody, signed in or not.
    Anyone,
    /// Whoever is signed in.
    SignedIn,
    /// The patient whom the object is about.
    Myself,
    /// The practitioner whose schedule, appointment or encounter it is.
    Conducts,
    /// Whoever is asked to come to the visit.
    Guest,
    /// Whoever of the patient's own clinic booked it, also at another clinic.
    Booker,
    /// Who wrote it.
    Author,
    /// A practitioner who has, or had, a visit with the patient.
    Treats,
    /// An active doctor of the object's clinic.
    Doctor,
    /// An active feldsher of the object's clinic.
    Feldsher,
    /// An active registrar of the object's clinic.
    Registrar,
    /// An active administrator of the object's clinic.
    ClinicAdmin,
    /// An administrator of the installation.
    SystemAdmin,
}

impl Relation {
    /// Every relation, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::Anyone,
        Self::SignedIn,
        Self::Myself,
        Self::Conducts,
        Self::Guest,
        Self::Booker,
        Self::Author,
        Self::Treats,
        Self::Doctor,
        Self::Feldsher,
        Self::Registrar,
        Self::ClinicAdmin,
        Self::SystemAdmin,
    ];

    fn role(self) -> Option<Role> {
        match self {
            Self::Doctor => Some(Role::Doctor),
            Self::Feldsher => Some(Role::Feldsher),
            Self::Registrar => Some(Role::Registrar),
            Self::ClinicAdmin => Some(Role::ClinicAdmin),
            _ => None,
        }
    }
}

/// What the decision must know of an object. A field left out relates nobody by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The clinic it belongs to.
    pub organization: Option<OrganizationId>,
    /// The patient it is about.
    pub patient: Option<PatientId>,
    /// The practitioner who conducts it.
    pub practitioner: Option<PractitionerId>,
    /// Who wrote it.
    pub author: Option<PractitionerId>,
    /// The account it belongs to.
    pub account: Option<AccountId>,
    /// Whether the calling practitioner has, or had, a visit with the patient.
    pub treats: bool,
    /// Whether the caller is asked to come to this visit.
    pub guest: bool,
    /// Who booked it, and the clinic of its patient.
    pub booked: Option<(AccountId, OrganizationId)>,
}

impl Facts {
    /// An act that has no object yet, or a public one.
    pub const NONE: Self = Self {
        organization: None,
        patient: None,
        practitioner: None,
        author: None,
        account: None,
        treats: false,
        guest: false,
        booked: None,
    };

    /// An object of a clinic.
    pub fn of_organization(organization: OrganizationId) -> Self {
        Self { organization: Some(organization), ..Self::NONE }
    }
}

/// The answer of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// 401: nobody is signed in.
    SignIn,
    /// 403: the caller may see the object, but not do this.
    Forbid,
    /// 404: for this caller the object does not exist.
    Hide,
}

/// Decides. Pure: the same caller, action and facts always give the same answer.
pub fn decide(caller: &Caller, action: Action, facts: &Facts) -> Decision {
    if permits(caller, action, facts) {
        return Decision::Allow;
    }
    match (caller, action.sight()) {
        (Caller::Nobody, _) => Decision::SignIn,
        (_, None) => Decision::Forbid,
        (_, Some(sight)) if permits(caller, sight, facts) => Decision::Forbid,
        (_, Some(_)) => Decision::Hide,
    }
}

fn permits(caller: &Caller, action: Action, facts: &Facts) -> bool {
    match caller {
        Caller::System => true,
        _ => action.granted_to().iter().any(|relation| holds(caller, *relation, facts)),
    }
}

fn holds(caller: &Caller, relation: Relation, facts: &Facts) -> bool {
    let Caller::Person(person) = caller else { return relation == Relation::Anyone };
    let practitioner = person.active_practitioner();
    match relation {
        Relation::Anyone | Relation::SignedIn => true,
        Relation::Myself => {
            (person.patient.is_some() && person.patient == facts.patient)
                || facts.account == Some(person.account)
        }
        Relation::Conducts => practitioner.is_some() && practitioner == facts.practitioner,
        Relation::Guest => facts.guest,
        Relation::Booker => facts
            .booked
            .is_some_and(|(account, clinic)| account == person.account && person.books_in(clinic)),
        Relation::Author => practitioner.is_some() && practitioner == facts.author,
        Relation::Treats => practitioner.is_some() && facts.treats,
        Relation::SystemAdmin => person.system_admin,
        Relation::Doctor | Relation::Feldsher | Relation::Registrar | Relation::ClinicAdmin => {
            match (relation.role(), facts.organization) {
                (Some(role), Some(organization)) => person.has_role(role, organization),
                _ => false,
            }
        }
    }
}

/// Which objects of a kind a caller may list: those that match any of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Everything there is.
    pub all: bool,
    /// Those about this patient.
    pub patient: Option<PatientId>,
    /// Those that this practitioner conducts, or wrote, or whose patient is in treatment.
    pub practitioner: Option<PractitionerId>,
    /// Those of these clinics.
    pub organizations: Vec<OrganizationId>,
}

/// The same table, read for a list: a caller may list what they may read one by one.
pub fn scope(caller: &Caller, action: Action) -> Scope {
    let mut scope = Scope::default();
    let person = match caller {
        Caller::System => return Scope { all: true, ..scope },
        Caller::Nobody => return scope,
        Caller::Person(person) => person,
    };
    for relation in action.granted_to() {
        match relation {
            Relation::Anyone | Relation::SignedIn => scope.all = true,
            Relation::SystemAdmin => scope.all |= person.system_admin,
            Relation::Myself => scope.patient = person.patient,
            // Invitations are listed by the account that was asked, what was booked elsewhere by its
            // patient.
            Relation::Guest | Relation::Booker => {}
            Relation::Conducts | Relation::Author | Relation::Treats => {
                scope.practitioner = person.active_practitioner();
            }
            Relation::Doctor | Relation::Feldsher | Relation::Registrar | Relation::ClinicAdmin => {
                let Some(role) = relation.role() else { continue };
                for organization in person.organizations(role) {
                    if !scope.organizations.contains(&organization) {
                        scope.organizations.push(organization);
                    }
                }
            }
        }
    }
    scope
}
