//! message

// ---- stub
use chrono::TimeDelta;
use crate::account::phone::Phone;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::tx::Tx;
/// stub: the confirmation SMS of a booking, to the patient.
pub fn confirm_booking(_tx: &mut Tx, _id: crate::appointment::AppointmentId) -> Result<(), Error> { Ok(()) }
/// stub: the SMS that carries a sign-in code.
pub fn send_code(_tx: &mut Tx, _to: &Phone, _code: &str, _language: Language) -> Result<(), Error> { Ok(()) }
/// stub: puts an SMS into the outbox; `key` makes a repetition harmless, `life` is how long it is worth sending.
pub fn queue(_tx: &mut Tx, _to: &Phone, _text: &str, _key: &str, _life: TimeDelta) -> Result<(), Error> { Ok(()) }
