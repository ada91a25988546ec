//! Who receives care.

use crate::base::column::id;

id!(
    /// A patient (FHIR Patient).
    PatientId
);
