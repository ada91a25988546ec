//! What somebody sees of the visit to which they are asked: when and where it is and with which
//! doctor. Nothing of the patient but the name, and no reason, service, note or other visit.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters, organizations};
use crate::base::tx::Tx;
use crate::encounter::door::Door;
use crate::encounter::guest::{facts_for, is_guest};
use crate::encounter::lifecycle::EncounterStatus;
use crate::encounter::show::{Reference, show};
use crate::encounter::{
    EncounterId, ParticipantId, ParticipantRole, ParticipantState, find_row, participants,
};
use crate::organization::OrganizationId;
use crate::ring::{self, Ring};

/// How many invitations are listed.
const LISTED_MAX: i64 = 50;

/// An invitation to a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    /// The visit.
    pub encounter: Reference<EncounterId>,
    /// The caller's part in it.
    pub participant: Reference<ParticipantId>,
    /// As what they are asked to come.
    pub role: ParticipantRole,
    /// Where they are.
    pub state: ParticipantState,
    /// At whose device they sit, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sits_with: Option<String>,
    /// Where the visit stands.
    pub status: EncounterStatus,
    /// When it is planned to begin.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// The promised local time.
    pub local_start: String,
    /// The IANA zone of the promise.
    pub time_zone: String,
    /// The doctor's name.
    pub practitioner: String,
    /// The clinic's name.
    pub organization: String,
    /// Nobody new comes in.
    pub locked: bool,
    /// When they were rung last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<Ring>,
    /// Whether one can come in.
    #[serde(flatten)]
    pub door: Door,
}

/// The invitation to one visit. 404 for whoever is not asked to come.
pub fn find(tx: &mut Tx, id: EncounterId) -> Result<Invitation, Error> {
    let row = find_row(tx, id)?;
    let facts = facts_for(tx, &row)?;
    tx.allow(Action::ReadInvitation, &facts)?;
    view(tx, id)
}

/// The caller's invitations to visits that are not over, the next one first.
pub fn list(tx: &mut Tx) -> Result<Page<Invitation>, Error> {
    tx.scope(Action::ReadInvitation)?;
    let account = tx.person()?.account;
    let over = [EncounterStatus::Finished, EncounterStatus::Cancelled];
    let rows: Vec<(EncounterId, ParticipantRole)> = encounter_participants::table
        .inner_join(encounters::table)
        .filter(encounter_participants::account_id.eq(account))
        .filter(encounter_participants::state.ne(ParticipantState::Removed))
        .filter(encounters::status.ne_all(over))
        .order((encounters::starts_at, encounters::id))
        .limit(LISTED_MAX)
        .select((encounters::id, encounter_participants::role))
        .load(tx.conn)?;
    let mut found = Vec::new();
    for (id, role) in rows {
        let row = find_row(tx, id)?;
        if is_guest(role) && facts_for(tx, &row)?.guest {
            let invitation = view(tx, id)?;
            if invitation.door.closes_at > tx.now {
                found.push(invitation);
            }
        }
    }
    Ok(Page::whole(found))
}

fn view(tx: &mut Tx, id: EncounterId) -> Result<Invitation, Error> {
    let row = find_row(tx, id)?;
    let account = tx.person()?.account;
    let people = participants(tx, id)?;
    let mine = people.iter().find(|one| one.account_id == account);
    let mine = mine.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let host = mine.sits_with.and_then(|host| people.iter().find(|one| one.id == host));
    let organization: String = organizations::table
        .find::<OrganizationId>(row.organization_id)
        .select(organizations::name)
        .get_result(tx.conn)?;
    let visit = show(tx, id)?;
    Ok(Invitation {
        encounter: Reference { id },
        participant: Reference { id: mine.id },
        role: mine.role,
        state: mine.state,
        sits_with: host.map(|host| host.name.clone()),
        status: visit.status,
        start: visit.start,
        end: visit.end,
        local_start: visit.local_start,
        time_zone: visit.time_zone,
        practitioner: visit.practitioner.name,
        organization,
        locked: row.locked,
        ring: ring::newest_for(tx, id, account)?,
        door: visit.door,
    })
}
