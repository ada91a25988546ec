//! Which wishes somebody may see, as a list: the oldest first, or as they are asked.

use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::Deserialize;

use crate::access::Scope;
use crate::access::table::Action;
use crate::base::column::{Instant, text_enum};
use crate::base::error::Error;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::waitlist_entries;
use crate::base::tx::Tx;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::waitlist::order::Urgency;
use crate::waitlist::{Entry, EntryId, WaitStatus, is_active, show_all};

text_enum!(
    /// How a list of wishes is sorted.
    ListOrder {
        /// All of them, the oldest first.
        Oldest = "oldest",
        /// Those that have not ended, as they are asked: urgent ones first, then the oldest.
        Turn = "turn",
    }
);

/// Which wishes a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those for this service.
    pub service: Option<ServiceId>,
    /// Those in this state.
    pub status: Option<WaitStatus>,
    /// Those of this patient.
    pub patient: Option<PatientId>,
    /// Those at this clinic.
    pub organization: Option<OrganizationId>,
    /// How they are sorted; left out: `oldest`.
    pub order: Option<ListOrder>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists the wishes that the caller may see, the oldest first, or as they are asked.
/// Indexes: waitlist_entries_by_patient, waitlist_entries_by_organization, waitlist_entries_at.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Entry>, Error> {
    let Scope { all, patient, practitioner, organizations } = tx.scope(Action::ReadWaitlist)?;
    let limit = page::limit(wanted.limit)?;
    let mut query = waitlist_entries::table
        .select((waitlist_entries::id, waitlist_entries::created_at, waitlist_entries::priority))
        .limit(limit.saturating_add(1))
        .into_boxed();
    // One relation is one index; only who is several things at once pays for the union.
    query = match (all, patient, practitioner, organizations.is_empty()) {
        (true, ..) => query,
        (false, Some(patient), None, true) => {
            query.filter(waitlist_entries::patient_id.eq(patient))
        }
        (false, None, None, _) => {
            query.filter(waitlist_entries::organization_id.eq_any(organizations))
        }
        (false, patient, practitioner, _) => {
            let practitioner = practitioner.unwrap_or(PractitionerId(uuid::Uuid::nil()));
            query.filter(
                waitlist_entries::patient_id
                    .eq(patient.unwrap_or(PatientId(uuid::Uuid::nil())))
                    .or(waitlist_entries::practitioner_id.eq(practitioner))
                    .or(waitlist_entries::organization_id.eq_any(organizations)),
            )
        }
    };
    if let Some(service) = wanted.service {
        query = query.filter(waitlist_entries::service_id.eq(service));
    }
    if let Some(status) = wanted.status {
        query = query.filter(waitlist_entries::status.eq(status));
    }
    if let Some(patient) = wanted.patient {
        query = query.filter(waitlist_entries::patient_id.eq(patient));
    }
    if let Some(organization) = wanted.organization {
        query = query.filter(waitlist_entries::organization_id.eq(organization));
    }
    let by_turn = wanted.order == Some(ListOrder::Turn);
    let after: Option<Key> = page::cursor(wanted.cursor.as_deref())?;
    if let Some((urgency, at, id)) = after {
        if urgency.is_some() != by_turn {
            return Err(Error::from(&problem::INVALID_CURSOR));
        }
        let later = waitlist_entries::created_at
            .gt(at)
            .or(waitlist_entries::created_at.eq(at).and(waitlist_entries::id.gt(id)));
        query = match urgency {
            None => query.filter(later),
            Some(urgency) => query.filter(
                // As text too, `urgent` comes after `routine`.
                waitlist_entries::priority
                    .lt(urgency)
                    .or(waitlist_entries::priority.eq(urgency).and(later)),
            ),
        };
    }
    query = if by_turn {
        let turn = waitlist_entries::priority.desc();
        let turn = (turn, waitlist_entries::created_at, waitlist_entries::id);
        query.filter(is_active()).order(turn)
    } else {
        query.order((waitlist_entries::created_at, waitlist_entries::id))
    };
    let found: Vec<(EntryId, Instant, Urgency)> = query.load(tx.conn)?;
    let key = |(id, at, urgency): &(_, _, Urgency)| (by_turn.then_some(*urgency), *at, *id);
    let page: Page<(EntryId, Instant, Urgency)> = Page::cut(found, limit, key);
    let ids: Vec<EntryId> = page.items.iter().map(|(id, ..)| *id).collect();
    Ok(Page { items: show_all(tx, &ids)?, next: page.next })
}

/// Where a wish stands in a list; the urgency only where it decides.
type Key = (Option<Urgency>, Instant, EntryId);

/// How many wishes at a clinic have not ended, for whoever may see them all; otherwise `None`.
/// Index: waitlist_entries_at.
pub(crate) fn count_at(tx: &mut Tx, clinic: OrganizationId) -> Result<Option<i64>, Error> {
    let Scope { all, organizations, .. } = tx.scope(Action::ReadWaitlist)?;
    if !all && !organizations.contains(&clinic) {
        return Ok(None);
    }
    let waiting = waitlist_entries::table
        .filter(waitlist_entries::organization_id.eq(clinic))
        .filter(is_active())
        .select(count_star());
    Ok(Some(waiting.get_result(tx.conn)?))
}
