//! Who is asking: read anew in every transaction, so a revoked right ends with its row.

use diesel::prelude::*;

use crate::account::{AccountId, AccountState, SessionId};
use crate::base::column::{Instant, text_enum};
use crate::base::db::{Conn, direct};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{accounts, memberships, patients, practitioners, sessions};
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

text_enum!(
    /// What a member does in a clinic.
    Role {
        /// Sees patients by video.
        Doctor = "doctor",
        /// Serves a village.
        Feldsher = "feldsher",
        /// Runs the schedules and the telephone.
        Registrar = "registrar",
        /// Runs the clinic.
        ClinicAdmin = "clinic_admin",
    }
);

text_enum!(
    /// The state of a membership; only an active one grants anything.
    MembershipState {
        /// Not yet accepted.
        Invited = "invited",
        /// In force.
        Active = "active",
        /// Ended.
        Disabled = "disabled",
    }
);

/// Whoever asks for a deed.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Not signed in.
    Nobody,
    /// Signed in.
    Person(Box<Person>),
    /// Feldsher itself: the command line and background work.
    System,
}

/// A signed-in person and what they are here.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account.
    pub account: AccountId,
    /// The sign-in session of this request.
    pub session: SessionId,
    /// The name shown to others.
    pub name: String,
    /// The patient this person is, if any.
    pub patient: Option<PatientId>,
    /// The practitioner this person is, if any, and the clinic they practise in.
    pub practitioner: Option<(PractitionerId, OrganizationId)>,
    /// Memberships in every state.
    pub memberships: Vec<Membership>,
    /// Administers the installation.
    pub system_admin: bool,
}

/// A role in a clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The clinic.
    pub organization: OrganizationId,
    /// The role there.
    pub role: Role,
    /// Whether it is in force.
    pub state: MembershipState,
}

impl Person {
    /// Whether an active membership gives `role` in `organization`.
    pub fn has_role(&self, role: Role, organization: OrganizationId) -> bool {
        self.memberships.contains(&Membership {
            organization,
            role,
            state: MembershipState::Active,
        })
    }

    /// Whether they book for the patients of a clinic, as one of its staff.
    pub fn books_in(&self, organization: OrganizationId) -> bool {
        [Role::Feldsher, Role::Registrar, Role::ClinicAdmin]
            .into_iter()
            .any(|role| self.has_role(role, organization))
    }

    /// Whether they are of a clinic's staff, as whatever.
    pub fn works_in(&self, organization: OrganizationId) -> bool {
        self.memberships.iter().any(|member| {
            member.organization == organization && member.state == MembershipState::Active
        })
    }

    /// The clinics where an active membership gives `role`.
    pub fn organizations(&self, role: Role) -> impl Iterator<Item = OrganizationId> {
        self.memberships
            .iter()
            .filter(move |member| member.role == role && member.state == MembershipState::Active)
            .map(|member| member.organization)
    }

    /// The practitioner this person is, as long as a clinic employs them as one.
    pub fn active_practitioner(&self) -> Option<PractitionerId> {
        self.practitioner
            .filter(|(_, organization)| {
                self.has_role(Role::Doctor, *organization)
                    || self.has_role(Role::Feldsher, *organization)
            })
            .map(|(practitioner, _)| practitioner)
    }
}

type Row = (
    (AccountId, String, bool, AccountState, i32, i32, Instant, Option<Instant>),
    Option<PatientId>,
    Option<(PractitionerId, OrganizationId)>,
    Option<(OrganizationId, Role, MembershipState)>,
);

/// The person behind a sign-in session, in one query. 401 `session_over` when it has ended.
/// It joins the tables of four nouns on purpose: every request passes here.
pub fn of_session(conn: &mut Conn, session: SessionId, now: Instant) -> Result<Caller, Error> {
    let person = sessions::table
        .inner_join(accounts::table)
        .left_join(patients::table.on(patients::account_id.eq(accounts::id.nullable())))
        .left_join(practitioners::table.on(practitioners::account_id.eq(accounts::id.nullable())))
        .left_join(memberships::table.on(memberships::account_id.eq(accounts::id)))
        .filter(sessions::id.eq(session))
        .select((
            (
                accounts::id,
                accounts::name,
                accounts::system_admin,
                accounts::state,
                accounts::security_version,
                sessions::security_version,
                sessions::expires_at,
                sessions::revoked_at,
            ),
            patients::id.nullable(),
            (practitioners::id, practitioners::organization_id).nullable(),
            (memberships::organization_id, memberships::role, memberships::state).nullable(),
        ));
    let rows: Vec<Row> = direct!(conn, |conn| person.load(conn))?;
    let over = || Error::from(&problem::SESSION_OVER);
    let memberships = rows
        .iter()
        .filter_map(|(_, _, _, member)| *member)
        .map(|(organization, role, state)| Membership { organization, role, state })
        .collect();
    let (
        (account, name, system_admin, state, current, seen, expires_at, revoked_at),
        patient,
        practitioner,
        _,
    ) = rows.into_iter().next().ok_or_else(over)?;
    let ended = revoked_at.is_some() || expires_at <= now || current != seen;
    if ended || state != AccountState::Active {
        return Err(over());
    }
    Ok(Caller::Person(Box::new(Person {
        account,
        session,
        name,
        patient,
        practitioner,
        memberships,
        system_admin,
    })))
}
