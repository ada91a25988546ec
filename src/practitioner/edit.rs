//! What the office changes about somebody who gives care: what they do, where their clock stands,
//! how they are reached.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::phone::Phone;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{practitioner_services, practitioners};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::ServiceId;
use crate::practitioner::gone::{self, Affected, Of};
use crate::practitioner::{
    Practitioner, PractitionerId, SpokenLanguage, check_services, find_row, phone_place, show,
    written,
};
use crate::task;
use crate::waitlist::follow;

/// What can be changed about a practitioner; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditPractitioner {
    /// The languages they speak with patients.
    pub languages: Option<Vec<SpokenLanguage>>,
    /// What they can be booked for from now on: services of the same clinic. Visits that are booked
    /// stay until they are moved or called off.
    pub services: Option<Vec<ServiceId>>,
    /// The IANA zone of their working hours, which from now on are meant on its clock. Visits that
    /// are booked keep their instants.
    pub time_zone: Option<Zone>,
    /// The number of texts to them (E.164); empty removes it.
    pub phone: Option<String>,
}

/// A practitioner, and the visits that a change of their services leaves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditedPractitioner {
    /// As they are now.
    #[serde(flatten)]
    pub practitioner: Practitioner,
    /// The visits to come that they no longer give.
    #[serde(flatten)]
    pub left: Affected,
}

/// Changes a practitioner. Visits to come of a service that they no longer give are named, and a task.
/// 412 when somebody has done so meanwhile, 422 `unknown_reference` on a
/// service of another clinic, `invalid_phone`.
pub fn edit(
    tx: &mut Tx,
    id: PractitionerId,
    version: i32,
    change: &EditPractitioner,
) -> Result<EditedPractitioner, Error> {
    let row = find_row(tx, id)?;
    let facts = Facts::of_organization(row.organization_id);
    tx.allow(Action::EditPractitioner, &facts)?;
    if change.services.is_some() {
        task::clinic::take_turn(tx, row.organization_id)?;
    }
    let languages = change.languages.as_deref().map(written).transpose()?;
    let services = match &change.services {
        Some(services) => Some(check_services(tx, row.organization_id, services.clone())?),
        None => None,
    };
    let phone = match change.phone.as_deref().map(str::trim) {
        Some("") => Some(None),
        Some(number) => {
            let number: Phone = number
                .parse()
                .map_err(|_not_a_number| Error::field(&problem::INVALID_PHONE, "/phone"))?;
            Some(Some(number.sealed(tx.seal, &phone_place(id))?))
        }
        None => None,
    };
    let at_stake = follow::offered_with(tx, id)?;
    let moves = change.time_zone.is_some_and(|zone| zone != row.time_zone);
    let changed = diesel::update(
        practitioners::table
            .filter(practitioners::id.eq(id))
            .filter(practitioners::version.eq(version)),
    )
    .set((
        languages.map(|languages| practitioners::languages.eq(languages)),
        change.time_zone.map(|zone| practitioners::time_zone.eq(zone)),
        phone.map(|phone| practitioners::phone_sealed.eq(phone)),
        practitioners::schedule_version.eq(practitioners::schedule_version + i32::from(moves)),
        practitioners::version.eq(version.saturating_add(1)),
    ))
    .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    let gives_others = services.is_some();
    if let Some(services) = services {
        give(tx, id, &services)?;
    }
    tx.record(Action::EditPractitioner, "Practitioner", id.0, &facts);
    // What is held of their time in place of other visits the background takes back: it locks absences, which
    // come before practitioners.
    follow::changed(tx, at_stake)?;
    let left = match gives_others {
        true => gone::follow(tx, row.organization_id, Of::People(&[id]))?,
        false => Affected::default(),
    };
    Ok(EditedPractitioner { practitioner: show(tx, id)?, left })
}

/// From now on they can be booked for these services and for no others.
fn give(tx: &mut Tx, id: PractitionerId, services: &[ServiceId]) -> Result<(), Error> {
    diesel::delete(
        practitioner_services::table
            .filter(practitioner_services::practitioner_id.eq(id))
            .filter(practitioner_services::service_id.ne_all(services)),
    )
    .execute(tx.conn)?;
    super::add_services(tx, id, services)
}
