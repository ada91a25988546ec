//! Whether a visit may be recorded: only while everybody who is there has consented, and at present
//! never, because nothing records. The schema holds the same (`recordings_consented`).

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::account::AccountId;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::schema::consents;
use crate::base::tx::Tx;
use crate::consent::form::{self, ConsentKind};
use crate::encounter::show::Reference;
use crate::encounter::{
    EncounterId, ParticipantId, ParticipantRole, ParticipantRow, ParticipantState, participants,
};

text_enum!(
    /// Why a visit cannot be recorded.
    NotRecorded {
        /// Nobody is there.
        NobodyHere = "nobody_here",
        /// Somebody who is there has not consented, or no longer does.
        ConsentMissing = "consent_missing",
        /// Everybody has, but this version of Feldsher records nothing.
        Off = "off",
    }
);

/// Whether a visit can be recorded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Recording {
    /// Whether it can. A page shows no switch unless this is true.
    pub possible: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<NotRecorded>,
    /// Who is there and has not consented.
    pub missing: Vec<Reference<ParticipantId>>,
}

/// Nothing records yet; the guard is here before the first recording.
const IS_BUILT: bool = false;

/// Whether a visit can be recorded now. The caller has made the access decision.
pub fn of_visit(tx: &mut Tx, id: EncounterId) -> Result<Recording, Error> {
    let standing = standing(tx, id)?;
    let because = match &standing {
        None => Some(NotRecorded::NobodyHere),
        Some(missing) if !missing.is_empty() => Some(NotRecorded::ConsentMissing),
        Some(_) if !IS_BUILT => Some(NotRecorded::Off),
        Some(_) => None,
    };
    let missing = standing.unwrap_or_default().into_iter().map(|id| Reference { id }).collect();
    Ok(Recording { possible: because.is_none(), because, missing })
}

/// Whether everybody who is there has consented to be recorded, with a consent that counts. The
/// caller has made the access decision.
pub fn recording_allowed(tx: &mut Tx, id: EncounterId) -> Result<bool, Error> {
    Ok(standing(tx, id)?.is_some_and(|missing| missing.is_empty()))
}

/// Whose consent is missing; `None` when nobody is there, or the patient has no part of their own and
/// so nobody can consent for them.
fn standing(tx: &mut Tx, id: EncounterId) -> Result<Option<Vec<ParticipantId>>, Error> {
    let people = participants(tx, id)?;
    let hosts: Vec<_> = people.iter().filter(|one| is_here(one.state)).map(|one| one.id).collect();
    if hosts.is_empty() || !people.iter().any(|one| one.role == ParticipantRole::Patient) {
        return Ok(None);
    }
    // Who sits at the device of somebody who is here is seen and heard, without ever signing in.
    let is_beside = |one: &ParticipantRow| {
        one.state == ParticipantState::Invited
            && one.sits_with.is_some_and(|host| hosts.contains(&host))
    };
    let here = people.into_iter().filter(|one| is_here(one.state) || is_beside(one));
    let version = form::current(ConsentKind::Recording, Language::English).version;
    let agreed: Vec<Option<AccountId>> = consents::table
        .filter(consents::encounter_id.eq(id))
        .filter(consents::kind.eq(ConsentKind::Recording))
        .filter(consents::form_version.eq(version))
        .filter(consents::withdrawn_at.is_null())
        .select(consents::person_id)
        .load(tx.conn)?;
    let missing = here.filter(|one| !agreed.contains(&Some(one.account_id)));
    Ok(Some(missing.map(|one| one.id).collect()))
}

/// Whoever waits can be let in at any moment, and counts as well.
fn is_here(state: ParticipantState) -> bool {
    match state {
        ParticipantState::Waiting | ParticipantState::Admitted => true,
        ParticipantState::Invited
        | ParticipantState::Left
        | ParticipantState::Denied
        | ParticipantState::Removed => false,
    }
}
