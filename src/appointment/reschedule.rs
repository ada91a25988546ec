//! A visit is put to another time, in place: the same id, code, link, reason and visit.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::affected::Stood;
use crate::appointment::change::is_offered;
use crate::appointment::choice::{
    self, check_minute, check_start, find_service, free_for, working_for,
};
use crate::appointment::needed;
use crate::appointment::occupy::{self, Claim, LANE, ResourceKind, SECOND_LANE};
use crate::appointment::supply::{Moving, Sought};
use crate::appointment::{
    Appointment, AppointmentId, Priority, Row, check_reason, count_change, find_row, hours, lock,
    sealed, show, taken, unsealed,
};
use crate::base::column::{Instant, Uuid};
use crate::base::db::{Turn, among, take_turns};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{accounts, appointment_moves, appointments, practitioners};
use crate::base::tx::Tx;
use crate::base::zone;
use crate::encounter::claimable::Because;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::encounter::{self, presence};
use crate::message;
use crate::organization::Service;
use crate::patient::{self, PatientRow};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::free::Asker;
use crate::schedule::leave::{lapsed, offer};
use crate::schedule::slots::Slot;
use crate::schedule::wall_clock::Span;
use crate::task;
use crate::waitlist::follow;

/// Where a visit shall be put.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RescheduleAppointment {
    /// When, RFC 3339 with an offset.
    pub start: Instant,
    /// With whom; left out: with the same.
    pub practitioner: Option<PractitionerId>,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// As a second visit into a time that is taken. Staff only, where the services of both allow it.
    #[serde(default)]
    pub overbook: bool,
    /// Only say what would come of it.
    #[serde(default)]
    pub dry_run: bool,
    /// The place was held for this visit until now: it is first there, whoever came beside it.
    #[serde(skip)]
    pub was_held: bool,
}

/// One move of a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Move {
    /// When it was moved.
    pub at: Instant,
    /// Who moved it; left out: Feldsher itself, to keep a promised time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Named<AccountId>>,
    /// When it was to begin before.
    pub from_start: Instant,
    /// When it was to begin then.
    pub to_start: Instant,
    /// With whom it was before.
    pub from_practitioner: Named<PractitionerId>,
    /// With whom it was then.
    pub to_practitioner: Named<PractitionerId>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why somebody else took the patient, who waited; left out: it was moved by somebody's wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
}

/// Puts a visit that has not begun to another time. It gives its own time up first, so it can be
/// moved over itself. 409 `slot_taken`, `patient_busy` or `resource_busy`; [`alternatives`] says
/// what is free instead. 412 when `version` was sent and is not the present one. A dry run answers
/// the same, the visit as it would be, and changes nothing.
pub fn reschedule(
    tx: &mut Tx,
    id: AppointmentId,
    version: Option<i32>,
    wanted: &RescheduleAppointment,
) -> Result<Appointment, Error> {
    if wanted.dry_run {
        tx.rehearse(|tx| in_place(tx, id, version, wanted))
    } else {
        in_place(tx, id, version, wanted)
    }
}

fn in_place(
    tx: &mut Tx,
    id: AppointmentId,
    version: Option<i32>,
    wanted: &RescheduleAppointment,
) -> Result<Appointment, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::MoveAppointment, &row.facts())?;
    check_reason(wanted.reason.as_deref())?;
    if wanted.start != row.starts_at {
        check_minute(wanted.start)?;
    }
    if wanted.overbook {
        let patient = patient::find_row(tx, row.patient_id)?;
        let facts = patient::facts_of(tx, &patient)?;
        tx.allow(Action::BookOver, &Facts { organization: row.facts().organization, ..facts })?;
    }
    let row = in_turn(tx, &row, wanted.practitioner.unwrap_or(row.practitioner_id))?;
    if version.is_some_and(|version| version != row.version) {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    follow::moving(tx, id, wanted.start)?;
    // Whoever moves it has chosen: what was held in its place is free.
    lock(tx, id)?;
    offer::withdraw(tx, id)?;
    let by = tx.person()?.account;
    let asker = choice::asker(tx, row.patient_id, row.organization_id);
    let (moved, patient) = put_elsewhere(tx, &row, wanted, (by, asker))?;
    tx.record(Action::MoveAppointment, "Appointment", id.0, &row.facts());
    // Who stays where they were promised, in another room perhaps, hears nothing.
    let is_elsewhere = moved.moved != row.moves;
    if is_elsewhere && matches!(row.status, AppointmentStatus::Booked | AppointmentStatus::Arrived)
    {
        message::tell_move(tx, &moved, patient.account_id)?;
    }
    Ok(moved)
}

/// As [`reschedule`], for a deed that has decided on access itself and tells the patient in its
/// own words. The caller has waited for its turn ([`in_turn`]), and nothing is held in its place.
pub(crate) fn put_elsewhere(
    tx: &mut Tx,
    row: &Row,
    wanted: &RescheduleAppointment,
    (by, asker): (AccountId, Asker),
) -> Result<(Appointment, PatientRow), Error> {
    let id = row.id;
    check_movable(tx, row)?;
    check_start(tx, wanted.start)?;
    let service = find_service(tx, row.service_id)?;
    let mut new = Times::of(row, wanted.start);
    let practitioner = wanted.practitioner.unwrap_or(row.practitioner_id);
    let when = (new.start, asker);
    let working = working_for(tx, &service, Some(practitioner), when, Some(Moving::of(row)))
        .map_err(|error| gone(row, practitioner, error))?;
    let practitioner =
        working.first().ok_or_else(|| Error::field(&problem::OUTSIDE_HOURS, "/start"))?;
    let patient = patient::find_row(tx, row.patient_id)?;
    lock(tx, id)?;
    // A patient who waits can be in other hands by now.
    if find_row(tx, id)?.practitioner_id != row.practitioner_id {
        return Err(Error::from(&problem::CONFLICT));
    }
    if is_there(tx, row, (new.start, practitioner.id), &patient)? {
        stay(tx, row, &service, (&patient, practitioner))?;
        return Ok((show(tx, id)?, patient));
    }
    let row = &step_back(tx, row)?;
    if row.resources > 0 {
        let there = Span { start: new.start, end: new.end };
        needed::exchange(tx, row, &service, &patient, (there, practitioner))?;
    }
    new.stood.overbooked = lies_beside(tx, row, wanted, &service, (new, practitioner.id))?;
    put(tx, row, new, practitioner, &patient)?;
    encounter::replan(tx, id, practitioner.id, new.start)?;
    tx.free_up(row.practitioner_id, Span { start: row.busy_from, end: row.busy_to });
    let why = Why::Wish(wanted.reason.as_deref());
    remember(tx, row, (new.start, practitioner.id), why, Some(by))?;
    Ok((show(tx, id)?, patient))
}

/// Whoever would have a visit at another time with the same practitioner, who has left or no longer gives the
/// service, hears that: there are others.
fn gone(row: &Row, practitioner: PractitionerId, error: Error) -> Error {
    let is_gone = error.is(&problem::UNKNOWN_REFERENCE) && practitioner == row.practitioner_id;
    if is_gone { Error::field(&problem::PRACTITIONER_GONE, "/practitioner") } else { error }
}

/// Whether a visit is where it shall be, at the time that its patient was promised.
fn is_there(
    tx: &mut Tx,
    row: &Row,
    to: (Instant, PractitionerId),
    patient: &PatientRow,
) -> Result<bool, Error> {
    if (row.starts_at, row.practitioner_id) != to {
        return Ok(false);
    }
    let zone = patient::keep_zone(tx, patient)?;
    let promised: String =
        appointments::table.find(row.id).select(appointments::local_start).get_result(tx.conn)?;
    Ok(promised == zone::local(row.starts_at, zone))
}

/// Leaves a visit where it is; what it has besides practitioner and patient is exchanged where that is
/// out of use or elsewhere.
fn stay(
    tx: &mut Tx,
    row: &Row,
    service: &Service,
    (patient, practitioner): (&PatientRow, &PractitionerRow),
) -> Result<(), Error> {
    if row.resources == 0 {
        return Ok(());
    }
    let there = Span { start: row.starts_at, end: row.ends_at };
    needed::exchange(tx, row, service, patient, (there, practitioner))?;
    count_change(tx, row)
}

/// Whether a visit will be the second one at its new time. Who did not say so comes beside nobody: 409
/// `slot_taken`; who did, only where both services allow it: 409 `no_overbooking`.
fn lies_beside(
    tx: &mut Tx,
    row: &Row,
    wanted: &RescheduleAppointment,
    service: &Service,
    (new, practitioner): (Times, PractitionerId),
) -> Result<bool, Error> {
    if row.priority != Priority::Routine {
        return match wanted.overbook {
            true => Err(Error::field(&problem::INVALID_BODY, "/overbook")),
            false => Ok(false),
        };
    }
    let (kind, resource) = (ResourceKind::Practitioner, practitioner.0);
    let (from, to) = (new.busy_from, new.busy_to);
    let grid = Claim { kind, resource, lane: LANE, from, to };
    let is_clear = occupy::is_free(tx, row.id, &Claim { lane: SECOND_LANE, ..grid })?;
    if !wanted.overbook {
        return if is_clear || wanted.was_held {
            Ok(false)
        } else {
            Err(Error::from(&problem::SLOT_TAKEN))
        };
    }
    let may = service.terms.overbook && taken::allow_second(tx, practitioner, row.id, (from, to))?;
    if !may {
        return Err(Error::from(&problem::NO_OVERBOOKING));
    }
    // Beside what is left of a pair, it is the first.
    Ok(is_clear && !occupy::is_free(tx, row.id, &grid)?)
}

/// Where a visit was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Was {
    /// When it was to begin.
    pub start: Instant,
    /// With whom.
    pub practitioner: PractitionerId,
    /// How it stood there.
    pub stood: Stood,
}

/// Puts a visit back where it was, as it was. It was promised, so nobody asks for hours, closures or
/// caps; 409 `slot_taken`, `patient_busy`, `resource_busy` when its time is not free any more. The caller
/// has decided on access and waited for its turn.
pub(crate) fn put_back(tx: &mut Tx, row: &Row, was: &Was, by: AccountId) -> Result<(), Error> {
    let id = row.id;
    lock(tx, id)?;
    offer::withdraw(tx, id)?;
    let new = Times { stood: was.stood, ..Times::of(row, was.start) };
    let patient = patient::find_row(tx, row.patient_id)?;
    let practitioner = practitioner::find_row(tx, was.practitioner)?;
    if row.resources > 0 {
        let service = find_service(tx, row.service_id)?;
        let there = Span { start: new.start, end: new.end };
        match needed::exchange(tx, row, &service, &patient, (there, &practitioner)) {
            // Whose hours have changed since was promised all the same.
            Err(error) if error.is(&problem::RESOURCE_BUSY) && needed::keeps(tx, row, there)? => {}
            done => done?,
        }
    }
    put(tx, row, new, &practitioner, &patient)?;
    encounter::replan(tx, id, practitioner.id, new.start)?;
    tx.free_up(row.practitioner_id, Span { start: row.busy_from, end: row.busy_to });
    remember(tx, row, (new.start, practitioner.id), Why::Wish(None), Some(by))
}

/// The next free times for a visit that could not be put where somebody wished, or whose hold is
/// over.
pub fn alternatives(
    tx: &mut Tx,
    id: AppointmentId,
    wanted: Option<&RescheduleAppointment>,
) -> Result<Vec<Slot>, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadAppointment, &row.facts())?;
    let service = find_service(tx, row.service_id)?;
    let patient = patient::find_row(tx, row.patient_id)?;
    let after = wanted
        .map_or(row.starts_at.minus(chrono::TimeDelta::microseconds(1)), |wanted| wanted.start);
    let practitioner = wanted.and_then(|wanted| wanted.practitioner);
    let practitioner = practitioner.unwrap_or(row.practitioner_id);
    // Whoever is gone has no time: others have.
    let offering = practitioner::of_service(tx, service.id, Some(practitioner))?;
    let practitioner = (!offering.is_empty()).then_some(practitioner);
    let moving = (!row.is_dead(tx.now)).then(|| Moving::of(&row));
    let sought = Sought { moving, ..Sought::of(&patient, row.location_id) };
    free_for(tx, &service, practitioner, &sought, after)
}

/// The new times of a visit: as long as it was, with the same buffers, on the grid, and not confirmed
/// by its patient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) busy_from: Instant,
    pub(super) busy_to: Instant,
    pub(super) stood: Stood,
}

/// Why a visit is elsewhere now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    /// Somebody wished it, and may have said why.
    Wish(Option<&'a str>),
    /// Its patient waited for somebody who was not free.
    Taken(Because),
}

impl Times {
    pub(super) fn of(row: &Row, start: Instant) -> Self {
        let end = start.plus(row.ends_at.since(row.starts_at));
        Self {
            start,
            end,
            busy_from: start.minus(row.starts_at.since(row.busy_from)),
            busy_to: end.plus(row.busy_to.since(row.ends_at)),
            stood: Stood { overbooked: false, confirmed_at: None },
        }
    }
}

fn check_movable(tx: &mut Tx, row: &Row) -> Result<(), Error> {
    if row.is_dead(tx.now) {
        return Err(Error::from(&problem::HOLD_OVER));
    }
    let visit = encounter::of_appointment(tx, row.id)?;
    encounter::foresee(tx, row, &visit, Act::Move)?;
    // A time that is offered is answered, not moved.
    if row.status == AppointmentStatus::Pending && is_offered(tx, row.id)? {
        return Err(Error::from(&problem::BAD_STATE));
    }
    Ok(())
}

/// Waits for whoever else moves the visit, and reads it again. 409 `conflict` when it is in other hands
/// by then.
pub(crate) fn in_turn(tx: &mut Tx, row: &Row, to: PractitionerId) -> Result<Row, Error> {
    wait_for_turn(tx, row, to)?;
    let found = find_row(tx, row.id)?;
    match found.practitioner_id == row.practitioner_id {
        true => Ok(found),
        false => Err(Error::from(&problem::CONFLICT)),
    }
}

/// Lets those who put a visit elsewhere, or into other hands, go one after the other. It comes before
/// anything is locked: the wish to bring the visit forward, the visit, what is held in its place.
pub(super) fn wait_for_turn(tx: &mut Tx, row: &Row, to: PractitionerId) -> Result<(), Error> {
    let mut turns = [row.practitioner_id.0, to.0, row.patient_id.0].to_vec();
    turns.extend((row.resources > 0).then_some(row.organization_id.0));
    Ok(take_turns(tx.conn, &turns.into_iter().map(Turn::Alone).collect::<Vec<_>>())?)
}

/// Whoever waits for a visit that is moved is expected again.
fn step_back(tx: &mut Tx, row: &Row) -> Result<Row, Error> {
    if row.status == AppointmentStatus::Arrived {
        let visit = encounter::of_appointment(tx, row.id)?;
        encounter::advance(tx, row.id, Act::Move, None)?;
        presence::forget_admission(tx, visit.id)?;
    }
    find_row(tx, row.id)
}

/// Changes the row; its occupancies follow, and the schema refuses them where they collide.
pub(super) fn put(
    tx: &mut Tx,
    row: &Row,
    new: Times,
    practitioner: &PractitionerRow,
    patient: &PatientRow,
) -> Result<(), Error> {
    let lanes: &[i32] = match (row.priority, new.stood.overbooked) {
        (Priority::Routine, false) => &[LANE],
        (Priority::Routine, true) => &[SECOND_LANE],
        _ => &[LANE, SECOND_LANE],
    };
    let doctor = Claim {
        kind: ResourceKind::Practitioner,
        resource: practitioner.id.0,
        lane: LANE,
        from: new.busy_from,
        to: new.busy_to,
    };
    let person = Claim {
        kind: ResourceKind::Patient,
        resource: row.patient_id.0,
        from: new.start,
        to: new.end,
        ..doctor
    };
    for claim in
        [person].into_iter().chain(lanes.iter().map(|lane| Claim { lane: *lane, ..doctor }))
    {
        if !occupy::is_free(tx, row.id, &claim)? {
            return Err(Error::from(match claim.kind {
                ResourceKind::Patient => &problem::PATIENT_BUSY,
                _ => &problem::SLOT_TAKEN,
            }));
        }
    }
    // Somebody can have been faster: the schema decides.
    tx.attempt(|tx| update(tx, row, new, practitioner, patient))?;
    let visit = encounter::of_appointment(tx, row.id)?;
    task::moved(tx, visit.id)?;
    lapsed::look_again(tx, row.id)
}

fn update(
    tx: &mut Tx,
    row: &Row,
    new: Times,
    practitioner: &PractitionerRow,
    patient: &PatientRow,
) -> Result<(), Error> {
    let zone = patient::keep_zone(tx, patient)?;
    let held_until = held_until(tx, row, new.end)?;
    let moved = diesel::update(
        appointments::table
            .filter(appointments::id.eq(row.id))
            .filter(appointments::version.eq(row.version)),
    )
    .set((
        appointments::practitioner_id.eq(practitioner.id),
        appointments::starts_at.eq(new.start),
        appointments::ends_at.eq(new.end),
        appointments::busy_from.eq(new.busy_from),
        appointments::busy_to.eq(new.busy_to),
        appointments::overbooked.eq(new.stood.overbooked),
        appointments::time_zone.eq(zone.to_string()),
        appointments::local_start.eq(zone::local(new.start, zone)),
        appointments::confirmed_at.eq(new.stood.confirmed_at),
        appointments::hold_expires_at.eq(held_until),
        appointments::moves.eq(row.moves.saturating_add(1)),
        appointments::updated_at.eq(tx.now),
        appointments::version.eq(row.version.saturating_add(1)),
    ))
    .execute(tx.conn)?;
    if moved == 0 { Err(Error::from(&problem::CONFLICT)) } else { Ok(()) }
}

/// What is only held, or asked for, is answered before it is over. A request that was moved to an early time
/// and away again has the time that the clinic had before.
fn held_until(tx: &mut Tx, row: &Row, end: Instant) -> Result<Option<Instant>, Error> {
    let Some(until) = row.hold_expires_at else { return Ok(None) };
    if row.status != AppointmentStatus::Proposed {
        return Ok(Some(until.min(end)));
    }
    let asked_at: Instant =
        appointments::table.find(row.id).select(appointments::created_at).get_result(tx.conn)?;
    Ok(Some(until.max(asked_at.plus(hours(tx.config.booking.request_hours))).min(end)))
}

/// Writes the move of a visit down that was where `row` says.
pub(super) fn remember(
    tx: &mut Tx,
    row: &Row,
    (start, practitioner): (Instant, PractitionerId),
    why: Why,
    by: Option<AccountId>,
) -> Result<(), Error> {
    let number = row.moves.saturating_add(1);
    let (reason, because) = match why {
        Why::Wish(reason) => (reason, None),
        Why::Taken(because) => (None, Some(because)),
    };
    diesel::insert_into(appointment_moves::table)
        .values((
            appointment_moves::id.eq(Uuid::new(tx.now)),
            appointment_moves::appointment_id.eq(row.id),
            appointment_moves::number.eq(number),
            appointment_moves::from_starts_at.eq(row.starts_at),
            appointment_moves::to_starts_at.eq(start),
            appointment_moves::from_practitioner_id.eq(row.practitioner_id),
            appointment_moves::to_practitioner_id.eq(practitioner),
            appointment_moves::reason_sealed.eq(sealed(tx, row.id, &place(number), reason)?),
            appointment_moves::moved_by.eq(by),
            appointment_moves::moved_at.eq(tx.now),
            appointment_moves::because.eq(because),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn place(number: i32) -> String {
    format!("move {number}")
}

/// What was said to the patients when some visits were moved last, of those where something was.
pub(crate) fn last_words(
    tx: &mut Tx,
    ids: Vec<AppointmentId>,
) -> Result<Vec<(AppointmentId, String)>, Error> {
    let lines: Vec<(AppointmentId, i32, Option<Vec<u8>>)> = appointment_moves::table
        .filter(among(appointment_moves::appointment_id, ids))
        .order((appointment_moves::appointment_id, appointment_moves::number.desc()))
        .select((
            appointment_moves::appointment_id,
            appointment_moves::number,
            appointment_moves::reason_sealed,
        ))
        .load(tx.conn)?;
    let (mut words, mut seen) = (Vec::new(), None);
    for (id, number, reason) in lines {
        if seen.replace(id) != Some(id)
            && let Some(word) = unsealed(tx, id, &place(number), reason)?
        {
            words.push((id, word));
        }
    }
    Ok(words)
}

/// Where a visit was before, the first move first.
pub(crate) fn moves(tx: &mut Tx, id: AppointmentId) -> Result<Vec<Move>, Error> {
    type Line = (
        (i32, Instant, Instant, Instant),
        (PractitionerId, PractitionerId),
        (Option<Vec<u8>>, Option<Because>),
        Option<(AccountId, String)>,
    );
    let lines: Vec<Line> = appointment_moves::table
        .left_join(accounts::table.on(appointment_moves::moved_by.eq(accounts::id.nullable())))
        .filter(appointment_moves::appointment_id.eq(id))
        .order(appointment_moves::number)
        .select((
            (
                appointment_moves::number,
                appointment_moves::moved_at,
                appointment_moves::from_starts_at,
                appointment_moves::to_starts_at,
            ),
            (appointment_moves::from_practitioner_id, appointment_moves::to_practitioner_id),
            (appointment_moves::reason_sealed, appointment_moves::because),
            (accounts::id, accounts::name).nullable(),
        ))
        .load(tx.conn)?;
    let people: Vec<PractitionerId> = lines.iter().flat_map(|line| [line.1.0, line.1.1]).collect();
    let names: Vec<(PractitionerId, String)> = practitioners::table
        .filter(practitioners::id.eq_any(people))
        .select((practitioners::id, practitioners::name))
        .load(tx.conn)?;
    let named = |id: PractitionerId| {
        let name = names.iter().find(|(other, _)| *other == id);
        Named { id, name: name.map(|(_, name)| name.clone()).unwrap_or_default() }
    };
    let shown = |((number, at, from_start, to_start), (from, to), why, by): Line| {
        let (reason, because) = why;
        Ok(Move {
            at,
            by: by.map(|(id, name)| Named { id, name }),
            from_start,
            to_start,
            from_practitioner: named(from),
            to_practitioner: named(to),
            reason: unsealed(tx, id, &place(number), reason)?,
            because,
        })
    };
    lines.into_iter().map(shown).collect()
}
