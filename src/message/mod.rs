//! message

// ---- stub
use crate::base::error::Error;
use crate::base::tx::Tx;
/// stub
pub fn confirm_booking(_tx: &mut Tx, _id: crate::appointment::AppointmentId) -> Result<(), Error> { Ok(()) }
