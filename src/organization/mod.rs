//! Clinics and the services they offer.

use crate::base::column::id;

id!(
    /// A clinic (FHIR Organization).
    OrganizationId
);
id!(
    /// Something that can be booked (FHIR HealthcareService).
    ServiceId
);
