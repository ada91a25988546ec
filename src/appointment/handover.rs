//! A visit whose patient waits is put into other hands at once, in place: the next free
//! practitioner of the clinic takes it.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::account::AccountId;
use crate::appointment::choice::find_service;
use crate::appointment::needed;
use crate::appointment::occupy::{self, Claim, LANE, ResourceKind, SECOND_LANE};
use crate::appointment::reschedule::{self, Times, Why};
use crate::appointment::taken::{self, OCCUPIED_HOURS_MAX};
use crate::appointment::{AppointmentId, Priority, find_row, lock};
use crate::base::column::Instant;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::schema::{appointment_moves, appointments, practitioners};
use crate::base::tx::Tx;
use crate::encounter::claimable::Because;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::patient;
use crate::practitioner::{PractitionerId, PractitionerRow};
use crate::schedule::leave::offer;
use crate::schedule::wall_clock::Span;
use crate::waitlist::follow;

/// What of a practitioner's time is taken from now on; visits that have ended take none of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commitments {
    grid: Vec<Span>,
    second: Vec<Span>,
}

impl Commitments {
    /// Whether there is room for a visit; one that is urgent wants nothing beside it.
    pub(crate) fn leave_room(&self, visit: Span, priority: Priority) -> bool {
        let clear = |taken: &[Span]| taken.iter().all(|span| !span.overlaps(visit));
        clear(&self.grid) && (priority == Priority::Routine || clear(&self.second))
    }
}

/// What of a practitioner's time is taken from now on, as far ahead as one visit can reach.
/// Makes no access decision. Index: occupancies_live.
pub(crate) fn commitments(tx: &mut Tx, of: PractitionerId) -> Result<Commitments, Error> {
    let range = (tx.now, tx.now.plus(TimeDelta::hours(OCCUPIED_HOURS_MAX)));
    let mut lanes = [LANE, SECOND_LANE].map(|lane| (lane, Vec::new()));
    for (lane, spans) in &mut lanes {
        let rows = taken::of_people(tx, &[of.0], &[*lane], range)?;
        let ids: Vec<AppointmentId> = rows.iter().map(|(_, visit, ..)| *visit).collect();
        let ended: Vec<AppointmentId> = appointments::table
            .filter(among(appointments::id, ids))
            .filter(appointments::status.eq(AppointmentStatus::Fulfilled))
            .filter(appointments::busy_from.lt(tx.now))
            .select(appointments::id)
            .load(tx.conn)?;
        let taken = rows.into_iter().filter(|(_, visit, ..)| !ended.contains(visit));
        spans.extend(taken.map(|(.., start, end)| Span { start, end }));
    }
    let [(_, grid), (_, second)] = lanes;
    Ok(Commitments { grid, second })
}

/// The time that a visit takes of whoever takes it over now: its length, and what is kept clear
/// after it. What is kept clear before it has passed.
pub(crate) fn from_now((start, end, busy_to): (Instant, Instant, Instant), now: Instant) -> Span {
    let end = now.plus(end.since(start)).plus(busy_to.since(end));
    Span { start: now, end }
}

/// Puts a visit into other hands, to begin now: the same appointment, code and visit, and the
/// patient stays where they are. 409 `slot_taken`, `patient_busy`, `resource_busy` as for any move.
/// The caller has made the access decision, and holds the visit's lock after [`make_ready`].
pub(crate) fn hand_over(
    tx: &mut Tx,
    id: AppointmentId,
    to: &PractitionerRow,
    because: Because,
    by: AccountId,
) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    let service = find_service(tx, row.service_id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    give_back_the_rest(tx, to.id)?;
    let new = Times { busy_from: tx.now, ..Times::of(&row, tx.now) };
    if row.resources > 0 {
        let there = Span { start: new.start, end: new.end };
        needed::exchange(tx, &row, &service, &patient, (there, to))?;
    }
    reschedule::put(tx, &row, new, to, &patient)?;
    tx.free_up(row.practitioner_id, Span { start: row.busy_from, end: row.busy_to });
    reschedule::remember(tx, &row, (new.start, to.id), Why::Taken(because), Some(by))
}

/// Takes what must be in hand before a visit changes hands, in the order of every other move: whoever
/// would move it meanwhile waits, the wish to bring it forward is met, the visit is locked, and nobody
/// chooses among other times any more.
pub(crate) fn make_ready(tx: &mut Tx, id: AppointmentId, to: PractitionerId) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    reschedule::wait_for_turn(tx, &row, to)?;
    follow::moving(tx, id, tx.now)?;
    lock(tx, id)?;
    offer::withdraw(tx, id)
}

/// A visit that ended early gives the rest of its time back: its practitioner sees somebody else.
/// Index: appointments_by_practitioner.
fn give_back_the_rest(tx: &mut Tx, practitioner: PractitionerId) -> Result<(), Error> {
    let earliest = tx.now.minus(TimeDelta::hours(OCCUPIED_HOURS_MAX));
    diesel::update(
        appointments::table
            .filter(appointments::practitioner_id.eq(practitioner))
            .filter(appointments::starts_at.gt(earliest))
            .filter(appointments::status.eq(AppointmentStatus::Fulfilled))
            .filter(appointments::busy_from.lt(tx.now))
            .filter(appointments::busy_to.gt(tx.now)),
    )
    .set((
        appointments::busy_to.eq(tx.now),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(appointments::version + 1),
    ))
    .execute(tx.conn)?;
    Ok(())
}

/// A visit that is not over after all needs its whole time. 409 `slot_taken` when the practitioner sees
/// somebody else in the rest of it.
pub(crate) fn take_the_rest_back(tx: &mut Tx, id: AppointmentId) -> Result<(), Error> {
    let row = find_row(tx, id)?;
    if row.busy_to >= row.ends_at {
        return Ok(());
    }
    for lane in [LANE, SECOND_LANE] {
        let (kind, resource) = (ResourceKind::Practitioner, row.practitioner_id.0);
        let rest = Claim { kind, resource, lane, from: row.busy_to, to: row.ends_at };
        occupy::release_expired(tx, &rest)?;
    }
    diesel::update(appointments::table.find(id))
        .set(appointments::busy_to.eq(row.ends_at))
        .execute(tx.conn)?;
    Ok(())
}

/// One visit that was taken over.
#[derive(Debug, Clone)]
pub(crate) struct Handover {
    /// When.
    pub(crate) at: Instant,
    /// When it was to begin.
    pub(crate) start: Instant,
    /// Whose it was.
    pub(crate) from: Named<PractitionerId>,
    /// Whose it is.
    pub(crate) to: Named<PractitionerId>,
    /// Why.
    pub(crate) because: Because,
}

type Line = (Instant, Instant, PractitionerId, PractitionerId, Option<Because>);
const LINE: (
    appointment_moves::moved_at,
    appointment_moves::from_starts_at,
    appointment_moves::from_practitioner_id,
    appointment_moves::to_practitioner_id,
    appointment_moves::because,
) = (
    appointment_moves::moved_at,
    appointment_moves::from_starts_at,
    appointment_moves::from_practitioner_id,
    appointment_moves::to_practitioner_id,
    appointment_moves::because,
);

/// What a practitioner has taken over since an instant, and what was taken from them, the last
/// first, a hundred at most. Makes no access decision. Index: appointment_moves_taken.
pub(crate) fn handovers(
    tx: &mut Tx,
    of: PractitionerId,
    since: Instant,
) -> Result<Vec<Handover>, Error> {
    let lines: Vec<Line> = appointment_moves::table
        .filter(appointment_moves::because.is_not_null())
        .filter(appointment_moves::moved_at.ge(since))
        .filter(
            appointment_moves::from_practitioner_id
                .eq(of)
                .or(appointment_moves::to_practitioner_id.eq(of)),
        )
        .order((appointment_moves::moved_at.desc(), appointment_moves::id.desc()))
        .limit(100)
        .select(LINE)
        .load(tx.conn)?;
    named(tx, lines)
}

/// Who has taken a visit over, if that was the last that was done with its time. Makes no access
/// decision.
pub(crate) fn last_handover(tx: &mut Tx, id: AppointmentId) -> Result<Option<Handover>, Error> {
    let line: Option<Line> = appointment_moves::table
        .filter(appointment_moves::appointment_id.eq(id))
        .order(appointment_moves::number.desc())
        .select(LINE)
        .first(tx.conn)
        .optional()?;
    Ok(named(tx, line.into_iter().collect())?.pop())
}

fn named(tx: &mut Tx, lines: Vec<Line>) -> Result<Vec<Handover>, Error> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let people: Vec<PractitionerId> =
        lines.iter().flat_map(|(_, _, from, to, _)| [*from, *to]).collect();
    let names: Vec<(PractitionerId, String)> = practitioners::table
        .filter(among(practitioners::id, people))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    let named = |id: PractitionerId| {
        let name = names.iter().find(|(other, _)| *other == id);
        Named { id, name: name.map(|(_, name)| name.clone()).unwrap_or_default() }
    };
    let handover = |(at, start, from, to, because): Line| {
        let (from, to) = (named(from), named(to));
        because.map(|because| Handover { at, start, from, to, because })
    };
    Ok(lines.into_iter().filter_map(handover).collect())
}
