//! Calendars (RFC 5545): a visit for the patient's calendar, a practitioner's busy times for
//! other programs, and busy times that other programs tell us.
//!
//! What leaves says when, never why or with whom.

pub mod busy;
pub mod event;
pub mod external;
pub mod feed;
pub mod fetch;
pub mod http;

use diesel::prelude::*;

use crate::access::table::Action;
use crate::appointment::{self, AppointmentId};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::schema::appointments;
use crate::base::tx::Tx;
use crate::calendar::event::{Event, Standing};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::schedule::leave::{lapsed, offer};

/// A visit as a file for a calendar. 404 when the visit is not the caller's to see.
pub fn of_appointment(tx: &mut Tx, id: AppointmentId) -> Result<String, Error> {
    let row = appointment::find_row(tx, id)?;
    tx.allow(Action::ReadAppointment, &row.facts())?;
    let (code, changed_at): (String, Instant) = appointments::table
        .find(id)
        .select((appointments::code, appointments::updated_at))
        .get_result(tx.conn)?;
    let event = Event {
        uid: uid(id),
        // RFC 5545 3.8.7.4: grows with every change, so that a calendar replaces what it has.
        sequence: i64::from(row.version.saturating_sub(1)),
        changed_at,
        start: row.starts_at,
        end: row.ends_at,
        standing: standing_of(tx, &row)?,
        summary: event::visit(tx.language).to_owned(),
        description: Some(event::how_to_join(tx.language, &code, &tx.config.http.public_url)),
    };
    Ok(event::file(&[event], true))
}

/// Whether the patient can count on a visit: not when nobody will be there, and nothing else is held.
fn standing_of(tx: &mut Tx, row: &appointment::Row) -> Result<Standing, Error> {
    if row.is_dead(tx.now) || lapsed::is_over(tx, row.id)? {
        return Ok(Standing::Cancelled);
    }
    Ok(if offer::is_open(tx, row.id)? { Standing::Tentative } else { standing(row.status) })
}

/// The name of a visit in every calendar; it stays when the visit is moved (RFC 5545 3.8.4.7).
fn uid(id: AppointmentId) -> String {
    format!("{id}@feldsher")
}

fn standing(status: AppointmentStatus) -> Standing {
    match status {
        AppointmentStatus::Proposed | AppointmentStatus::Pending => Standing::Tentative,
        AppointmentStatus::Cancelled | AppointmentStatus::Noshow => Standing::Cancelled,
        AppointmentStatus::Booked | AppointmentStatus::Arrived | AppointmentStatus::Fulfilled => {
            Standing::Confirmed
        }
    }
}
