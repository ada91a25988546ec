//! Villages, stations, clinics.

use crate::base::column::id;

id!(
    /// A place (FHIR Location).
    LocationId
);
