//! The visit.

use crate::base::column::id;

id!(
    /// A visit (FHIR Encounter).
    EncounterId
);
