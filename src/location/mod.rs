//! Villages, stations, clinics.

use diesel::prelude::*;

use crate::base::column::id;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::locations;
use crate::base::tx::Tx;
use crate::base::zone::Zone;

id!(
    /// A place (FHIR Location).
    LocationId
);

/// What the clocks of a place go by; where a place is no secret to those who are signed in.
/// 404 when there is none.
pub fn zone(tx: &mut Tx, id: LocationId) -> Result<Zone, Error> {
    locations::table
        .find(id)
        .select(locations::time_zone)
        .first(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}
