//! schedule

// ---- stub
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::organization::Service;
use crate::practitioner::PractitionerId;
/// stub
#[derive(serde::Serialize)]
pub struct Slot { pub start: Instant, pub end: Instant }
/// stub
pub fn is_working(_tx: &mut Tx, _p: PractitionerId, _start: Instant, _end: Instant) -> Result<bool, Error> { Err(Error::Internal("stub")) }
/// stub
pub fn next_free(_tx: &mut Tx, _s: &Service, _p: Option<PractitionerId>, _after: Instant, _zone: crate::base::zone::Zone, _n: usize) -> Result<Vec<Slot>, Error> { Err(Error::Internal("stub")) }
