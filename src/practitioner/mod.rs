//! Who gives care: doctors and feldshers.

use crate::base::column::id;

id!(
    /// A doctor or feldsher (FHIR Practitioner).
    PractitionerId
);

// ---- stub
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::{OrganizationId, ServiceId};
/// stub
#[derive(Debug, Clone)]
pub struct PractitionerRow { pub id: PractitionerId, pub organization_id: OrganizationId, pub name: String, pub time_zone: Zone }
/// stub
pub fn find_row(_tx: &mut Tx, _id: PractitionerId) -> Result<PractitionerRow, Error> { Err(Error::Internal("stub")) }
/// stub
pub fn of_service(_tx: &mut Tx, _id: ServiceId) -> Result<Vec<PractitionerRow>, Error> { Err(Error::Internal("stub")) }
