//! "Did it go through?": whoever has lost the line asks with a booking code and a birth date.

use chrono::{NaiveDate, TimeDelta};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::limit::{self, Limit};
use crate::appointment::AppointmentId;
use crate::base::column::Instant;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{appointments, patients};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::schedule::leave::{lapsed, offer};
use crate::waitlist::{self, EntryId};

/// Questions about one code in an hour: a birth date is not to be guessed.
const PER_CODE: Limit = Limit { name: "lookup-code", hits_max: 5, window: TimeDelta::hours(1) };
/// Questions from one network address in an hour.
const PER_ADDRESS: Limit =
    Limit { name: "lookup-address", hits_max: 30, window: TimeDelta::hours(1) };
/// Longer than any code; what is longer is none.
const CODE_LEN_MAX: usize = 32;

/// What the asker knows.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// The booking code; capitals and spaces do not matter.
    pub code: String,
    /// The day the patient was born.
    pub birth_date: NaiveDate,
}

/// What the asker hears: nothing that names anybody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Found {
    /// Where the appointment stands.
    pub status: AppointmentStatus,
    /// The promised local time, RFC 3339 with the offset of that zone.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
    /// Whether the doctor is away then, and another time is to be chosen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offered: bool,
    /// Whether the doctor is away then and no other time is held any more: it does not take place as it
    /// was booked, and the clinic calls.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offer_over: bool,
}

/// Answers whether a visit is booked. 404 when code and birth date do not belong together,
/// whichever of them is wrong; 429 when the code or the address was asked about too often.
pub async fn look_up(ctx: &Ctx, wanted: LookUp) -> Result<Found, Error> {
    let address = ctx.address.clone();
    // A refusal would undo the count of the try, so the deed answers instead.
    let found = ctx.write(move |tx| attempt(tx, &wanted, &address)).await?;
    found.ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// What a code and a birth date name together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// A visit.
    pub visit: Option<AppointmentId>,
    /// A wish on the waiting list: its codes look the same.
    pub wish: Option<EntryId>,
}

/// What a code and a birth date name together, if anything; counts the try as a question.
pub(crate) fn identify(tx: &mut Tx, wanted: &LookUp, address: &str) -> Result<Known, Error> {
    tx.allow(Action::LookUp, &Facts::NONE)?;
    let letters = wanted.code.chars().filter(|letter| !letter.is_whitespace());
    let code: String = letters.take(CODE_LEN_MAX).collect::<String>().to_ascii_uppercase();
    limit::take(tx, &PER_ADDRESS, address)?;
    limit::take(tx, &PER_CODE, &code)?;
    let line: Option<(AppointmentId, NaiveDate)> = appointments::table
        .inner_join(patients::table)
        .filter(appointments::code.eq(&code))
        .select((appointments::id, patients::birth_date))
        .get_result(tx.conn)
        .optional()?;
    let visit = line.filter(|(_, born)| *born == wanted.birth_date).map(|(id, _)| id);
    let wish = waitlist::answer::of_code(tx, &code, wanted.birth_date)?;
    Ok(Known { visit, wish })
}

fn attempt(tx: &mut Tx, wanted: &LookUp, address: &str) -> Result<Option<Found>, Error> {
    let Some(id) = identify(tx, wanted, address)?.visit else { return Ok(None) };
    let (status, held_until, local_start, time_zone) = appointments::table
        .find(id)
        .select((
            appointments::status,
            appointments::hold_expires_at,
            appointments::local_start,
            appointments::time_zone,
        ))
        .get_result::<(AppointmentStatus, Option<Instant>, String, String)>(tx.conn)?;
    let dead = held_until.is_some_and(|until| until <= tx.now);
    let status = if dead { AppointmentStatus::Cancelled } else { status };
    let offered = status == AppointmentStatus::Booked && offer::is_open(tx, id)?;
    let offer_over = lapsed::is_over(tx, id)?;
    Ok(Some(Found { status, local_start, time_zone, offered, offer_over }))
}
