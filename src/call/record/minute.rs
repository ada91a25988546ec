//! How one connection was, minute by minute.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::base::column::{self, Instant};
use crate::base::db::{Conn, statement};
use crate::base::error::Error;
use crate::base::schema::call_minutes;
use crate::base::tx::Tx;
use crate::encounter::{EncounterId, ParticipantId};

/// How long minutes are kept, in days: for the clinic that wants to know why a call was bad. The
/// marks are few, belong to the visit and stay with it.
pub const MINUTES_DAYS: i64 = 90;

/// How many reports of one side count in a minute; an honest page sends twelve.
pub(super) const REPORTS_MAX: i32 = 60;

/// How one connection was for one side, in one minute; its fields are those of [`MINUTE`], in order.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Minute {
    /// Its first instant.
    pub at: Instant,
    /// Which connection.
    pub edge: String,
    /// Who measured: it is the way to them.
    pub participant: ParticipantId,
    /// How many reports it is made of.
    pub reports: i32,
    /// Round trip in milliseconds, the middle and the bad end.
    pub rtt: (i32, i32),
    /// Lost on the way to them, in hundredths of a per cent.
    pub loss: (i32, i32),
    /// Received bits per second.
    pub bitrate: (i32, i32),
    /// Opinion score of the voice, in hundredths.
    pub mos: (i32, i32),
    /// Bytes sent.
    pub sent: i64,
    /// Bytes received.
    pub received: i64,
}

type Columns = (
    call_minutes::at,
    call_minutes::edge,
    call_minutes::participant_id,
    call_minutes::reports,
    (call_minutes::rtt_p50, call_minutes::rtt_p95),
    (call_minutes::loss_p50, call_minutes::loss_p95),
    (call_minutes::bitrate_p50, call_minutes::bitrate_p5),
    (call_minutes::mos_p50, call_minutes::mos_p5),
    call_minutes::sent,
    call_minutes::received,
);
/// The columns of a [`Minute`].
pub(super) const MINUTE: Columns = (
    call_minutes::at,
    call_minutes::edge,
    call_minutes::participant_id,
    call_minutes::reports,
    (call_minutes::rtt_p50, call_minutes::rtt_p95),
    (call_minutes::loss_p50, call_minutes::loss_p95),
    (call_minutes::bitrate_p50, call_minutes::bitrate_p5),
    (call_minutes::mos_p50, call_minutes::mos_p5),
    call_minutes::sent,
    call_minutes::received,
);

impl Minute {
    /// Two pieces of one minute as one: the middle is that of the longer piece, the bad end the worse
    /// of the two.
    fn joined(&self, other: &Self) -> Self {
        let longer = if self.reports >= other.reports { self } else { other };
        Self {
            reports: self.reports.saturating_add(other.reports).min(REPORTS_MAX),
            rtt: (longer.rtt.0, self.rtt.1.max(other.rtt.1)),
            loss: (longer.loss.0, self.loss.1.max(other.loss.1)),
            bitrate: (longer.bitrate.0, self.bitrate.1.min(other.bitrate.1)),
            mos: (longer.mos.0, self.mos.1.min(other.mos.1)),
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
            ..self.clone()
        }
    }
}

/// Of one minute there are several pieces where a connection ended and began again in it, or where
/// another process went on: the row is all of them together.
pub(super) fn write_minute(
    tx: &mut Tx,
    encounter: EncounterId,
    minute: &Minute,
) -> Result<(), Error> {
    let known: Option<(column::Uuid, Minute)> = call_minutes::table
        .filter(call_minutes::encounter_id.eq(encounter))
        .filter(call_minutes::edge.eq(&minute.edge))
        .filter(call_minutes::participant_id.eq(minute.participant))
        .filter(call_minutes::at.eq(minute.at))
        .select((call_minutes::id, MINUTE))
        .first(tx.conn)
        .optional()?;
    let whole = match &known {
        Some((_, piece)) => minute.joined(piece),
        None => minute.clone(),
    };
    let values = (
        call_minutes::reports.eq(whole.reports),
        call_minutes::rtt_p50.eq(whole.rtt.0),
        call_minutes::rtt_p95.eq(whole.rtt.1),
        call_minutes::loss_p50.eq(whole.loss.0),
        call_minutes::loss_p95.eq(whole.loss.1),
        call_minutes::bitrate_p50.eq(whole.bitrate.0),
        call_minutes::bitrate_p5.eq(whole.bitrate.1),
        call_minutes::mos_p50.eq(whole.mos.0),
        call_minutes::mos_p5.eq(whole.mos.1),
        call_minutes::sent.eq(whole.sent),
        call_minutes::received.eq(whole.received),
    );
    if let Some((id, _)) = known {
        diesel::update(call_minutes::table.find(id)).set(values).execute(tx.conn)?;
        return Ok(());
    }
    diesel::insert_into(call_minutes::table)
        .values((
            call_minutes::id.eq(column::Uuid::new(minute.at)),
            call_minutes::encounter_id.eq(encounter),
            call_minutes::edge.eq(&minute.edge),
            call_minutes::participant_id.eq(minute.participant),
            call_minutes::at.eq(minute.at),
            values,
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Removes some minutes that were kept long enough.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    let before = now.minus(TimeDelta::days(MINUTES_DAYS));
    Sweep { before: &before }.execute(conn)
}

statement!(
    /// A piece of the minutes from before an instant.
    Sweep
    "DELETE FROM call_minutes WHERE id IN (SELECT id FROM call_minutes
     WHERE at < " before: column::sql::Moment = Instant;
    " LIMIT 500)"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pieces_of_a_minute_are_one_whose_bad_end_is_the_worse() {
        let piece = |reports: i32, rtt: (i32, i32), bitrate: (i32, i32)| Minute {
            at: "2026-11-24T02:00:00Z".parse().unwrap(),
            edge: "e1".to_owned(),
            participant: ParticipantId(uuid::Uuid::nil()),
            reports,
            rtt,
            loss: (0, 10),
            bitrate,
            mos: (400, 300),
            sent: 10,
            received: 20,
        };
        let (short, long) = (piece(2, (90, 900), (5, 4)), piece(9, (50, 60), (7, 1)));
        let whole = short.joined(&long);
        assert_eq!((whole.reports, whole.rtt, whole.bitrate), (11, (50, 900), (7, 1)));
        assert_eq!((whole.sent, whole.received), (20, 40));
        assert_eq!(long.joined(&short), whole);
        assert_eq!(piece(55, (1, 1), (1, 1)).joined(&long).reports, 60, "as the schema has it");
    }
}
