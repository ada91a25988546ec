//! Clinics and the services they offer.

pub mod member;

use crate::base::column::id;

id!(
    /// A clinic (FHIR Organization).
    OrganizationId
);
id!(
    /// Something that can be booked (FHIR HealthcareService).
    ServiceId
);

// ---- stub
use crate::base::error::Error;
use crate::base::tx::Tx;
/// stub
pub struct Service { pub id: ServiceId, pub organization_id: OrganizationId, pub name_en: String, pub name_ru: String, pub specialty: String, pub duration_minutes: i32 }
/// stub
pub fn find_service(_tx: &mut Tx, _id: ServiceId) -> Result<Service, Error> { Err(Error::Internal("stub")) }
