//! Who touched my record: the audit log as the patient reads it.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::caller::Role;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::audit::Outcome;
use crate::base::column::{self, Instant};
use crate::base::error::Error;
use crate::base::page::{self, Page};
use crate::base::schema::{accounts, audit_events, memberships};
use crate::base::tx::Tx;
use crate::organization::OrganizationId;

/// Which part of the log is wanted.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Who did something.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Who {
    /// The name; Feldsher's own when nobody had to ask.
    pub name: String,
    /// What they are in the clinic: `doctor`, `feldsher`, `registrar`, `clinic_admin`;
    /// left out for patients and for the system itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// One line of the log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Access {
    /// When.
    pub at: Instant,
    /// Who.
    pub who: Who,
    /// Whether it was the patient.
    #[serde(rename = "self")]
    pub myself: bool,
    /// What, as in the table of `docs/security.md`.
    pub action: String,
    /// Whether it was done or refused.
    pub outcome: Outcome,
    /// What it was done to; left out when it was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object_kind: String,
    /// Which one; left out when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub object_id: Option<uuid::Uuid>,
}

type Line = (
    (Instant, i32, i64),
    Option<AccountId>,
    String,
    (String, Option<column::Uuid>, Option<OrganizationId>),
    Outcome,
);

/// Lists who touched the record of the calling patient, the newest first; refusals too. Reading
/// the log is a line of it. Empty for those who are no patient. Index: audit_events_by_patient.
pub fn list(tx: &mut Tx, wanted: &Wanted) -> Result<Page<Access>, Error> {
    tx.allow(Action::ReadAccessLog, &Facts::NONE)?;
    let person = tx.person()?;
    let (me, patient) = (person.account, person.patient);
    let limit = page::limit(wanted.limit)?;
    let after: Option<(Instant, i32, i64)> = page::cursor(wanted.cursor.as_deref())?;
    let Some(patient) = patient else { return Ok(Page::whole(Vec::new())) };
    let mut query = audit_events::table
        .filter(audit_events::patient_id.eq(patient))
        .select((
            (audit_events::at, audit_events::chain, audit_events::seq),
            audit_events::actor_id,
            audit_events::action,
            (audit_events::object_kind, audit_events::object_id, audit_events::organization_id),
            audit_events::outcome,
        ))
        .order((audit_events::at.desc(), audit_events::chain.desc(), audit_events::seq.desc()))
        .limit(limit.saturating_add(1))
        .into_boxed();
    if let Some((at, chain, seq)) = after {
        let same_time = audit_events::chain
            .lt(chain)
            .or(audit_events::chain.eq(chain).and(audit_events::seq.lt(seq)));
        query = query.filter(audit_events::at.lt(at).or(audit_events::at.eq(at).and(same_time)));
    }
    let lines: Vec<Line> = query.load(tx.conn)?;
    let page = Page::cut(lines, limit, |(place, ..)| *place);
    let people = People::of(tx, page.items.iter().filter_map(|line| line.1).collect())?;
    let facts = Facts { patient: Some(patient), ..Facts::NONE };
    tx.record(Action::ReadAccessLog, "Patient", patient.0, &facts);
    Ok(page.map(|((at, ..), actor, action, (object_kind, object_id, organization), outcome)| {
        let object_id = object_id.map(|id| id.0);
        let who = people.who(actor, organization);
        Access { at, who, myself: actor == Some(me), action, outcome, object_kind, object_id }
    }))
}

/// The names and roles of those who appear on a page.
struct People {
    names: HashMap<AccountId, String>,
    roles: Vec<(AccountId, OrganizationId, Role)>,
}

impl People {
    fn of(tx: &mut Tx, mut actors: Vec<AccountId>) -> Result<Self, Error> {
        actors.sort_unstable();
        actors.dedup();
        let names: Vec<(AccountId, String)> = accounts::table
            .filter(accounts::id.eq_any(actors.clone()))
            .select((accounts::id, accounts::name))
            .load(tx.conn)?;
        // A role that has ended meanwhile is still what they were.
        let roles = memberships::table
            .filter(memberships::account_id.eq_any(actors))
            .order((memberships::account_id, memberships::created_at, memberships::role))
            .select((memberships::account_id, memberships::organization_id, memberships::role))
            .load(tx.conn)?;
        Ok(Self { names: names.into_iter().collect(), roles })
    }

    fn who(&self, actor: Option<AccountId>, organization: Option<OrganizationId>) -> Who {
        let Some(actor) = actor else { return Who { name: "Feldsher".to_owned(), role: None } };
        let mine = || self.roles.iter().filter(|(account, ..)| *account == actor);
        let role = mine()
            .find(|(_, clinic, _)| Some(*clinic) == organization)
            .or_else(|| mine().next())
            .map(|(_, _, role)| *role);
        Who { name: self.names.get(&actor).cloned().unwrap_or_default(), role }
    }
}
