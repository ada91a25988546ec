//! Where somebody waits for the office's answer: for the board.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::table::Action;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::schema::{chat_messages, encounters, patients, practitioners};
use crate::base::tx::Tx;
use crate::chat::{ANSWER_HOURS, Audience, Side};
use crate::encounter::EncounterId;
use crate::encounter::show::Reference;
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

/// How many lines are looked at.
const LINES_MAX: i64 = 1000;

/// A visit in which somebody waits for the office's answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OpenChat {
    /// The visit.
    pub encounter: Reference<EncounterId>,
    /// Whose it is.
    pub patient: Named<PatientId>,
    /// Who conducts it.
    pub practitioner: Named<PractitionerId>,
    /// Since when nobody has answered.
    pub since: Instant,
    /// How many lines.
    pub unanswered: u32,
}

/// Of which clinic.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
}

type Line = (EncounterId, Side, Instant, (PatientId, String), (PractitionerId, String));

/// Lists the visits in which the patient has written to the office and neither the office nor the
/// practitioner has answered there, the longest wait first. It names nobody to whom the words are not shown. Index: chat_messages_by_organization.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<OpenChat>, Error> {
    let Scope { organizations, .. } = tx.scope(Action::ReadChat)?;
    let mut clinics = organizations;
    if let Some(only) = wanted.organization {
        clinics.retain(|clinic| *clinic == only);
    }
    if clinics.is_empty() {
        return Ok(Page::whole(Vec::new()));
    }
    let lines: Vec<Line> = chat_messages::table
        .inner_join(
            encounters::table
                .inner_join(patients::table.on(patients::id.eq(encounters::patient_id)))
                .inner_join(
                    practitioners::table.on(practitioners::id.eq(encounters::practitioner_id)),
                ),
        )
        .filter(chat_messages::organization_id.eq_any(clinics))
        .filter(chat_messages::audience.eq(Audience::Office))
        .filter(chat_messages::created_at.gt(tx.now.minus(TimeDelta::hours(ANSWER_HOURS))))
        .order((chat_messages::created_at.desc(), chat_messages::seq.desc()))
        .limit(LINES_MAX)
        .select((
            encounters::id,
            chat_messages::side,
            chat_messages::created_at,
            (patients::id, patients::name),
            (practitioners::id, practitioners::name),
        ))
        .load(tx.conn)?;
    let (mut open, mut answered): (Vec<OpenChat>, Vec<EncounterId>) = (Vec::new(), Vec::new());
    // From the last line back, up to an answer; what the practitioner writes there is one.
    for (encounter, side, at, patient, practitioner) in lines {
        if answered.contains(&encounter) {
            continue;
        }
        if side != Side::Patient {
            answered.push(encounter);
            continue;
        }
        match open.iter_mut().find(|chat| chat.encounter.id == encounter) {
            Some(chat) => {
                chat.since = at;
                chat.unanswered = chat.unanswered.saturating_add(1);
            }
            None => open.push(OpenChat {
                encounter: Reference { id: encounter },
                patient: Named { id: patient.0, name: patient.1 },
                practitioner: Named { id: practitioner.0, name: practitioner.1 },
                since: at,
                unanswered: 1,
            }),
        }
    }
    open.sort_by_key(|chat| chat.since);
    open.truncate(100);
    Ok(Page::whole(open))
}
