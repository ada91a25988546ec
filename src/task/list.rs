//! Which tasks somebody may see, as a list: what is due first comes first.

use diesel::prelude::*;
use serde::Deserialize;

use crate::access::Scope;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::{Instant, text_enum};
use crate::base::error::Error;
use crate::base::page::{self, Page};
use crate::base::schema::tasks;
use crate::base::tx::Tx;
use crate::encounter::EncounterId;
use crate::organization::OrganizationId;
use crate::practitioner::PractitionerId;
use crate::task::{IsOpen, Task, TaskId, TaskStatus, show_all};

text_enum!(
    /// In which state listed tasks are.
    Wanted {
        /// Any in which something is still to be done.
        Open = "open",
        /// Nobody has taken it yet.
        Requested = "requested",
        /// Somebody has.
        Accepted = "accepted",
        /// They have tried, and must try again.
        InProgress = "in-progress",
        /// Done.
        Completed = "completed",
        /// No longer needed.
        Cancelled = "cancelled",
    }
);

impl Wanted {
    /// The one state; `None` for all in which something is still to be done.
    fn status(self) -> Option<TaskStatus> {
        match self {
            Self::Open => None,
            Self::Requested => Some(TaskStatus::Requested),
            Self::Accepted => Some(TaskStatus::Accepted),
            Self::InProgress => Some(TaskStatus::InProgress),
            Self::Completed => Some(TaskStatus::Completed),
            Self::Cancelled => Some(TaskStatus::Cancelled),
        }
    }
}

/// Which tasks a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Those in this state; left out: `open`.
    pub status: Option<Wanted>,
    /// Those for which this account answers.
    pub owner: Option<AccountId>,
    /// Those about this visit.
    pub encounter: Option<EncounterId>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the tasks that the caller may see, what is due first. Indexes: tasks_by_organization,
/// tasks_by_practitioner, tasks_one_open.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Task>, Error> {
    let Scope { all, practitioner, organizations, .. } = tx.scope(Action::ReadTask)?;
    let limit = page::limit(wanted.limit)?;
    let mut query = tasks::table
        .select((tasks::id, tasks::due_at))
        .order((tasks::due_at, tasks::id))
        .limit(limit.saturating_add(1))
        .into_boxed();
    query = match wanted.status.and_then(Wanted::status) {
        Some(status) => query.filter(tasks::status.eq(status)),
        None => query.filter(IsOpen),
    };
    let nobody = PractitionerId(uuid::Uuid::nil());
    query = match (all, practitioner, organizations.is_empty()) {
        (true, ..) => query,
        (false, practitioner, true) => {
            query.filter(tasks::practitioner_id.eq(practitioner.unwrap_or(nobody)))
        }
        (false, None, false) => query.filter(tasks::organization_id.eq_any(organizations)),
        (false, Some(practitioner), false) => query.filter(
            tasks::practitioner_id
                .eq(practitioner)
                .or(tasks::organization_id.eq_any(organizations)),
        ),
    };
    if let Some(organization) = wanted.organization {
        query = query.filter(tasks::organization_id.eq(organization));
    }
    if let Some(owner) = wanted.owner {
        query = query.filter(tasks::owner_id.eq(owner));
    }
    if let Some(encounter) = wanted.encounter {
        query = query.filter(tasks::encounter_id.eq(encounter));
    }
    if let Some((at, id)) = page::cursor::<(Instant, TaskId)>(wanted.cursor.as_deref())? {
        query = query.filter(tasks::due_at.gt(at).or(tasks::due_at.eq(at).and(tasks::id.gt(id))));
    }
    let found: Vec<(TaskId, Instant)> = query.load(tx.conn)?;
    let page: Page<(TaskId, Instant)> = Page::cut(found, limit, |(id, at)| (*at, *id));
    let ids: Vec<TaskId> = page.items.iter().map(|(id, _)| *id).collect();
    Ok(Page { items: show_all(tx, &ids)?, next: page.next })
}
