//! Who works in a clinic and as what. A membership ends at once and takes the access with it.

use diesel::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::caller::{MembershipState, Role};
use crate::access::table::Action;
use crate::account::{self, AccountId, NewAccount};
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::{Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{accounts, memberships, organizations};
use crate::base::tx::Tx;
use crate::organization::{self, OrganizationId};
use crate::practitioner;
use crate::practitioner::gone::{self, Affected, Of};
use crate::schedule::leave::vain;
use crate::task;

/// What a member of a clinic signs in with: 3 to 64 of `a-z 0-9 . _ -`, capitals made small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login(String);

/// A text that is no login. The display form does not quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login has 3 to 64 Latin letters, digits, dots, hyphens and underscores")]
pub struct NotALogin;

impl Login {
    /// The login.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Login {
    type Err = NotALogin;

    fn from_str(text: &str) -> Result<Self, NotALogin> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (3..=64).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotALogin)
        }
    }
}

impl<'de> Deserialize<'de> for Login {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Login {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Za-z0-9._-]{3,64}$"))
            .into()
    }
}
impl ToSchema for Login {}

/// A membership as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub account: Named<AccountId>,
    /// As what.
    pub role: Role,
    /// Whether it is in force.
    pub state: MembershipState,
    /// Counts the changes; the `ETag`.
    pub version: i32,
    /// Sets the first password, once. Only in the answer that made the account; a repetition of
    /// that request answers it again, from a store that is sealed and forgets after 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_token: Option<String>,
}

text_enum!(
    /// What a member can be taken on as here; who gives care is added as a practitioner.
    OfficeRole {
        /// Runs the schedules and the telephone.
        Registrar = "registrar",
        /// Runs the clinic.
        ClinicAdmin = "clinic_admin",
    }
);

/// Somebody to be taken on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Their name.
    pub name: Name,
    /// As what.
    pub role: OfficeRole,
    /// What they will sign in with.
    pub login: Login,
    /// The language of texts to them; left out: the caller's.
    pub language: Option<Language>,
}

/// Takes somebody on in the clinic's office, with an account of their own.
/// 409 `already_exists` when the login is taken.
pub fn create(tx: &mut Tx, clinic: OrganizationId, new: NewMember) -> Result<Member, Error> {
    let facts = Facts::of_organization(clinic);
    tx.allow(Action::CreateMember, &facts)?;
    organization::show(tx, clinic)?;
    let role = match new.role {
        OfficeRole::Registrar => Role::Registrar,
        OfficeRole::ClinicAdmin => Role::ClinicAdmin,
    };
    let (account, token) = invite(tx, clinic, role, &new.name, &new.login, new.language)?;
    tx.record(Action::CreateMember, "Member", account.0, &facts);
    Ok(Member { sign_in_token: Some(token), ..show(tx, clinic, account, role)? })
}

/// Makes an account with a membership in force and the token of its first sign-in; the caller
/// has made the access decision.
pub(crate) fn invite(
    tx: &mut Tx,
    clinic: OrganizationId,
    role: Role,
    name: &Name,
    login: &Login,
    language: Option<Language>,
) -> Result<(AccountId, String), Error> {
    let new = NewAccount {
        name: name.as_str().to_owned(),
        language: language.unwrap_or(tx.language),
        login: Some(login.as_str().to_owned()),
        phone: None,
        password_hash: None,
        system_admin: false,
    };
    let account = account::create(tx, new).map_err(|error| {
        if error.is(&problem::ALREADY_EXISTS) {
            return Error::field(&problem::ALREADY_EXISTS, "/login");
        }
        error
    })?;
    diesel::insert_into(memberships::table)
        .values((
            memberships::account_id.eq(account),
            memberships::organization_id.eq(clinic),
            memberships::role.eq(role),
            memberships::state.eq(MembershipState::Active),
            memberships::version.eq(1),
            memberships::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let token = account::issue_one_time_token(tx, account)?;
    Ok((account, token))
}

/// Which members a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the members of a clinic in every state, the longest-serving first.
/// Index: memberships_by_organization.
pub fn list(tx: &mut Tx, clinic: OrganizationId, wanted: &Filter) -> Result<Page<Member>, Error> {
    tx.allow(Action::ReadMember, &Facts::of_organization(clinic))?;
    organization::show(tx, clinic)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(AccountId, Role)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = shown()
        .filter(memberships::organization_id.eq(clinic))
        .order((memberships::account_id, memberships::role))
        .limit(limit.saturating_add(1))
        .into_boxed();
    if let Some((account, role)) = after {
        query = query.filter(
            memberships::account_id
                .gt(account)
                .or(memberships::account_id.eq(account).and(memberships::role.gt(role))),
        );
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    let items = rows.into_iter().map(assemble).collect();
    Ok(Page::cut(items, limit, |member: &Member| (member.account.id, member.role)))
}

text_enum!(
    /// What can be made of a membership.
    NewState {
        /// In force again.
        Active = "active",
        /// Ended.
        Disabled = "disabled",
    }
);

/// What can be changed about a membership.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMember {
    /// Whether it is in force.
    pub state: NewState,
}

/// A membership, and the visits that its end leaves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditedMember {
    /// As it is now.
    #[serde(flatten)]
    pub member: Member,
    /// The visits to come of whoever gives no care there any more, or in which they help.
    #[serde(flatten)]
    pub left: Affected,
}

/// Ends a membership, or begins it again. Visits to come of whoever gives no care there any more are named, and
/// a task. Whoever loses one is signed out everywhere; without
/// any left, they cannot sign in. 409 `last_admin` for the clinic's last administrator.
pub fn edit(
    tx: &mut Tx,
    (clinic, account, role): (OrganizationId, AccountId, Role),
    version: i32,
    change: &EditMember,
) -> Result<EditedMember, Error> {
    let facts = Facts::of_organization(clinic);
    tx.allow(Action::EditMember, &facts)?;
    task::clinic::take_turn(tx, clinic)?;
    lock(tx, clinic)?;
    let before = show(tx, clinic, account, role)?;
    if before.version != version {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    let (state, ends) = match change.state {
        NewState::Active => (MembershipState::Active, false),
        NewState::Disabled => (MembershipState::Disabled, true),
    };
    let people = practitioner::of_account(tx, clinic, account)?;
    if before.state == state {
        let left = gone::follow(tx, clinic, Of::People(&people))?;
        return Ok(EditedMember { member: before, left });
    }
    let in_force = before.state == MembershipState::Active;
    if ends && in_force && role == Role::ClinicAdmin && count_admins(tx, clinic)? <= 1 {
        return Err(Error::from(&problem::LAST_ADMIN));
    }
    let had_another = has_any(tx, account)?;
    diesel::update(memberships::table.find((account, clinic, role)))
        .set((memberships::state.eq(state), memberships::version.eq(version.saturating_add(1))))
        .execute(tx.conn)?;
    if ends {
        sign_out(tx, account)?;
        // Whoever gives no care there any more gives none that is offered or held of their time.
        if !people.is_empty() {
            vain::hours_changed(tx, clinic)?;
        }
    } else if !had_another {
        account::enable(tx, account)?;
    }
    tx.record(Action::EditMember, "Member", account.0, &facts);
    let left = gone::follow(tx, clinic, Of::People(&people))?;
    Ok(EditedMember { member: show(tx, clinic, account, role)?, left })
}

/// Changes of one clinic's members wait for one another, so that two administrators who end
/// each other's membership at once cannot both succeed. 404 when there is no such clinic.
fn lock(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    let locked = diesel::update(organizations::table.find(clinic))
        .set(organizations::name.eq(organizations::name))
        .execute(tx.conn)?;
    if locked == 0 { Err(Error::from(&problem::NOT_FOUND)) } else { Ok(()) }
}

fn count_admins(tx: &mut Tx, clinic: OrganizationId) -> Result<i64, Error> {
    Ok(memberships::table
        .filter(memberships::organization_id.eq(clinic))
        .filter(memberships::role.eq(Role::ClinicAdmin))
        .filter(memberships::state.eq(MembershipState::Active))
        .count()
        .get_result(tx.conn)?)
}

/// Whether any membership of the account is in force.
fn has_any(tx: &mut Tx, account: AccountId) -> Result<bool, Error> {
    let active = memberships::table
        .filter(memberships::account_id.eq(account))
        .filter(memberships::state.eq(MembershipState::Active));
    Ok(diesel::select(diesel::dsl::exists(active)).get_result(tx.conn)?)
}

/// Ends the sessions of somebody who lost a membership, and with the last one the account.
/// A clinic has no say in whether an administrator of the installation may sign in.
fn sign_out(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    let system_admin: bool =
        accounts::table.find(account).select(accounts::system_admin).get_result(tx.conn)?;
    if system_admin || has_any(tx, account)? {
        account::end_sessions(tx, account)
    } else {
        account::disable(tx, account)
    }
}

type Row = ((AccountId, String), Role, MembershipState, i32);

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    memberships::table.inner_join(accounts::table).select((
        (accounts::id, accounts::name),
        memberships::role,
        memberships::state,
        memberships::version,
    ))
}

fn show(
    tx: &mut Tx,
    clinic: OrganizationId,
    account: AccountId,
    role: Role,
) -> Result<Member, Error> {
    let row: Option<Row> = shown()
        .filter(memberships::account_id.eq(account))
        .filter(memberships::organization_id.eq(clinic))
        .filter(memberships::role.eq(role))
        .get_result(tx.conn)
        .optional()?;
    row.map(assemble).ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

fn assemble((account, role, state, version): Row) -> Member {
    let account = Named { id: account.0, name: account.1 };
    Member { account, role, state, version, sign_in_token: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_latin_and_small() {
        assert_eq!("N.Orlova-2_b".parse::<Login>().unwrap().as_str(), "n.orlova-2_b");
        for wrong in ["", "ab", "орлова", "a b c", "a@b.c", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Login>(), Err(NotALogin), "{wrong}");
        }
    }
}
