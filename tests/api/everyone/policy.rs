//! The policy alone: every act by everyone on everything, and lists that agree with it.

use feldsher::access::caller::{Caller, Membership, MembershipState, Person, Role};
use feldsher::access::table::Action;
use feldsher::access::{Decision, Facts, decide, scope};
use feldsher::account::{AccountId, SessionId};
use feldsher::organization::OrganizationId;
use feldsher::patient::PatientId;
use feldsher::practitioner::PractitionerId;
use proptest::prelude::*;
use uuid::Uuid;

use super::documents::reviewed;

const HERE: u128 = 1;
const ELSEWHERE: u128 = 2;

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn organization(number: u128) -> OrganizationId {
    OrganizationId(uuid(number))
}

fn person(account: u128) -> Person {
    Person {
        account: AccountId(uuid(account)),
        session: SessionId(uuid(account)),
        name: String::new(),
        patient: None,
        practitioner: None,
        memberships: Vec::new(),
        system_admin: false,
    }
}

fn member(account: u128, role: Role, clinic: u128, state: MembershipState) -> Person {
    let organization = organization(clinic);
    let gives_care = matches!(role, Role::Doctor | Role::Feldsher);
    Person {
        practitioner: gives_care.then_some((PractitionerId(uuid(account)), organization)),
        memberships: vec![Membership { organization, role, state }],
        ..person(account)
    }
}

/// Everyone who can ask; a practitioner has the number of their account.
fn callers() -> Vec<(&'static str, Caller)> {
    use MembershipState::{Active, Disabled, Invited};
    let patient = |number| Person { patient: Some(PatientId(uuid(number))), ..person(number) };
    let people = [
        ("patient", patient(10)),
        ("other patient", patient(11)),
        ("conducting doctor", member(20, Role::Doctor, HERE, Active)),
        ("author", member(21, Role::Doctor, HERE, Active)),
        ("treating doctor", member(22, Role::Doctor, ELSEWHERE, Active)),
        ("colleague", member(23, Role::Doctor, HERE, Active)),
        ("feldsher", member(24, Role::Feldsher, HERE, Active)),
        ("registrar", member(30, Role::Registrar, HERE, Active)),
        ("clinic_admin", member(31, Role::ClinicAdmin, HERE, Active)),
        ("system_admin", Person { system_admin: true, ..person(32) }),
        ("guest", person(60)),
        ("doctor elsewhere", member(40, Role::Doctor, ELSEWHERE, Active)),
        ("registrar elsewhere", member(41, Role::Registrar, ELSEWHERE, Active)),
        ("clinic_admin elsewhere", member(42, Role::ClinicAdmin, ELSEWHERE, Active)),
        ("invited conducting doctor", member(20, Role::Doctor, HERE, Invited)),
        ("disabled conducting doctor", member(20, Role::Doctor, HERE, Disabled)),
        ("disabled author", member(21, Role::Doctor, HERE, Disabled)),
        ("disabled registrar", member(30, Role::Registrar, HERE, Disabled)),
        ("no membership", person(50)),
    ];
    let people = people.map(|(name, person)| (name, Caller::Person(Box::new(person))));
    let others = [("nobody", Caller::Nobody), ("Feldsher itself", Caller::System)];
    people.into_iter().chain(others).collect()
}

/// Every kind of object: what is known of it decides whom it is related to.
fn objects(caller: &str) -> Vec<(&'static str, Facts)> {
    let visit = Facts {
        organization: Some(organization(HERE)),
        patient: Some(PatientId(uuid(10))),
        practitioner: Some(PractitionerId(uuid(20))),
        guest: caller == "guest",
        ..Facts::NONE
    };
    let treats = caller == "treating doctor";
    let note = Facts { author: Some(PractitionerId(uuid(21))), treats, ..visit };
    let patient = Facts { practitioner: None, treats, ..visit };
    let account = Facts { account: Some(AccountId(uuid(10))), ..Facts::NONE };
    vec![
        ("nothing", Facts::NONE),
        ("clinic", Facts::of_organization(organization(HERE))),
        ("account", account),
        ("patient", patient),
        ("visit", visit),
        ("note", note),
        ("record", Facts { organization: None, ..patient }),
        ("schedule", Facts { patient: None, ..visit }),
    ]
}

#[test]
fn every_decision_is_the_reviewed_one() {
    let mut lines = Vec::new();
    for action in Action::ALL {
        let kinds = objects("").len();
        for kind in 0..kinds {
            let (mut allowed, mut forbidden, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
            let mut object = "";
            for (name, caller) in callers() {
                if matches!(caller, Caller::System) {
                    continue;
                }
                let facts;
                (object, facts) = objects(name)[kind];
                match decide(&caller, *action, &facts) {
                    Decision::Allow => allowed.push(name),
                    Decision::Forbid => forbidden.push(name),
                    Decision::Hide => hidden.push(name),
                    Decision::SignIn => assert_eq!(name, "nobody", "{action:?}"),
                }
            }
            let mut line = format!("{} on {object}", action.as_str());
            for (word, names) in [("may", allowed), ("403", forbidden), ("404", hidden)] {
                // All but nobody, who hears 401, and Feldsher itself, which may do everything.
                let everyone = callers().len() - 2;
                match names.len() {
                    0 => {}
                    length if length >= everyone => line += &format!("\n    {word}: everyone"),
                    _ => line += &format!("\n    {word}: {}", names.join(", ")),
                }
            }
            lines.push(line);
        }
    }
    lines.sort();
    let head = "# Who may do what to what, and what the others hear: 403 or 404.\n\
                # Generated and compared by tests/api/everyone/policy.rs. Everyone is whoever is signed in;\n\
                # who is not hears 401, but for signing in. Feldsher itself may do everything.\n";
    reviewed("tests/api/access.txt", &format!("{head}{}\n", lines.join("\n")));
}

#[test]
fn no_ended_membership_and_no_missing_relation_allows_anything_of_a_clinic() {
    let open = [
        Action::SignIn,
        Action::SignOut,
        Action::ReadMe,
        Action::ReadAccessLog,
        Action::ReadOrganization,
        Action::ReadLocation,
        Action::ReadService,
        Action::ReadPractitioner,
        Action::ReadClosure,
        Action::ReadSlots,
        Action::ReadFeed,
        Action::ReadResource,
        Action::LookUp,
        Action::AnswerOffer,
        Action::ReadConsentForms,
    ];
    let powerless = |name: &str| name.contains("disabled") || name.contains("invited");
    for (name, caller) in callers() {
        if !powerless(name) && name != "no membership" && name != "nobody" {
            continue;
        }
        for action in Action::ALL.iter().filter(|action| !open.contains(action)) {
            for (object, facts) in objects(name) {
                let decision = decide(&caller, *action, &facts);
                assert_ne!(decision, Decision::Allow, "{name} {action:?} {object}");
            }
        }
    }
}

/// The acts that lists are made by.
const LISTED: [Action; 6] = [
    Action::ReadTask,
    Action::ReadPatient,
    Action::ReadAppointment,
    Action::ReadWaitlist,
    Action::ReadEncounter,
    Action::ReadWaitingRoom,
];

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Doctor),
        Just(Role::Feldsher),
        Just(Role::Registrar),
        Just(Role::ClinicAdmin)
    ]
}

fn state() -> impl Strategy<Value = MembershipState> {
    use MembershipState::{Active, Disabled, Invited};
    prop_oneof![3 => Just(Active), 1 => Just(Invited), 1 => Just(Disabled)]
}

fn anybody() -> impl Strategy<Value = Person> {
    let memberships = prop::collection::vec((1..4_u128, role(), state()), 0..4);
    let practitioner = prop::option::of((1..4_u128, 1..4_u128));
    (prop::option::of(1..4_u128), practitioner, memberships, any::<bool>()).prop_map(
        |(patient, practitioner, memberships, system_admin)| Person {
            patient: patient.map(|number| PatientId(uuid(number))),
            practitioner: practitioner
                .map(|(number, clinic)| (PractitionerId(uuid(number)), organization(clinic))),
            memberships: memberships
                .into_iter()
                .map(|(clinic, role, state)| Membership {
                    organization: organization(clinic),
                    role,
                    state,
                })
                .collect(),
            system_admin,
            ..person(99)
        },
    )
}

/// A clinic, a patient, a practitioner and whether that practitioner treats the patient.
fn world() -> impl Strategy<Value = Vec<(u128, u128, u128)>> {
    prop::collection::vec((1..4_u128, 1..4_u128, 1..4_u128), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_list_holds_exactly_what_may_be_read_one_by_one(person in anybody(), visits in world()) {
        let me = person.active_practitioner();
        let caller = Caller::Person(Box::new(person));
        for action in LISTED {
            let scope = scope(&caller, action);
            for (clinic, patient, practitioner) in &visits {
                let conducts = PractitionerId(uuid(*practitioner));
                let facts = Facts {
                    organization: Some(organization(*clinic)),
                    patient: Some(PatientId(uuid(*patient))),
                    practitioner: (action != Action::ReadPatient).then_some(conducts),
                    treats: me == Some(conducts),
                    ..Facts::NONE
                };
                let listed = scope.all
                    || scope.patient.is_some_and(|patient| Some(patient) == facts.patient)
                    || scope.practitioner.is_some_and(|practitioner| practitioner == conducts)
                    || scope.organizations.contains(&organization(*clinic));
                let allowed = decide(&caller, action, &facts) == Decision::Allow;
                prop_assert_eq!(listed, allowed, "{:?} {:?}", action, scope);
            }
        }
    }
}
