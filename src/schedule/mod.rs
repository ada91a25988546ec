//! schedule

// ---- stub
use crate::appointment::Named;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::Service;
use crate::practitioner::PractitionerId;
/// A free time.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Slot { pub start: Instant, pub end: Instant, pub local_start: String, pub time_zone: Zone, pub practitioner: Named<PractitionerId> }
/// stub
pub fn is_working(_tx: &mut Tx, _p: PractitionerId, _start: Instant, _end: Instant) -> Result<bool, Error> { Err(Error::Internal("stub")) }
/// stub
pub fn next_free(_tx: &mut Tx, _s: &Service, _p: Option<PractitionerId>, _after: Instant, _zone: Zone, _n: usize) -> Result<Vec<Slot>, Error> { Err(Error::Internal("stub")) }
