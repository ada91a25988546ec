//! Who gives care: doctors and feldshers.

use crate::base::column::id;

id!(
    /// A doctor or feldsher (FHIR Practitioner).
    PractitionerId
);
