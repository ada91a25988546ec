//! Who receives care.

use crate::base::column::id;

id!(
    /// A patient (FHIR Patient).
    PatientId
);

// ---- stub
use crate::base::error::Error;
use crate::base::tx::Tx;
/// stub
pub struct PatientRow { pub id: PatientId, pub account_id: Option<crate::account::AccountId>, pub organization_id: crate::organization::OrganizationId, pub location_id: crate::location::LocationId, pub name: String, pub time_zone: crate::base::zone::Zone }
/// stub
pub fn find_row(_tx: &mut Tx, _id: PatientId) -> Result<PatientRow, Error> { Err(Error::Internal("stub")) }
/// stub
pub fn facts(_tx: &mut Tx, _id: PatientId) -> Result<crate::access::Facts, Error> { Err(Error::Internal("stub")) }
/// stub
pub fn key(_tx: &mut Tx, id: PatientId) -> Result<crate::base::seal::Key, Error> { Ok(crate::base::seal::Key::new(&crate::base::seal::sha256(id.0.as_bytes()))?) }
