//! The visit itself: who is here, who may come in, how it ends.

pub mod admission;
pub mod arrange;
pub mod claim;
pub mod claimable;
pub mod delay;
pub mod door;
pub mod finish;
pub mod guest;
pub mod http;
pub mod interruption;
pub mod invitation;
pub mod lifecycle;
pub mod notice;
pub mod office;
pub mod party;
pub mod presence;
pub mod queue;
pub mod show;
pub mod wait;

use diesel::prelude::*;

use crate::access::Facts;
use crate::account::AccountId;
use crate::appointment::change::set_status;
use crate::appointment::{self, AppointmentId};
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::{direct, kept};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{encounter_participants, encounters};
use crate::base::tx::{Event, Tx};
use crate::encounter::lifecycle::{
    Act, AppointmentStatus, By, EncounterStatus, State, Times, When,
};
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::record;
use crate::ring;
use crate::schedule::leave;
use crate::schedule::wall_clock::Span;
use crate::task;

id!(
    /// A visit (FHIR Encounter).
    EncounterId
);
id!(
    /// Somebody's part in a visit (FHIR Encounter.participant).
    ParticipantId
);

text_enum!(
    /// What somebody is in a visit.
    ParticipantRole {
        /// Receives care.
        Patient = "patient",
        /// Gives care, and decides who comes in.
        Practitioner = "practitioner",
        /// Stands by the patient.
        Relative = "relative",
        /// Is with the patient in a village that has no doctor.
        Feldsher = "feldsher",
        /// A second doctor, who is asked.
        Specialist = "specialist",
        /// Translates.
        Interpreter = "interpreter",
        /// Learns: hears and sees, and sends nothing.
        Trainee = "trainee",
    }
);

text_enum!(
    /// Where somebody is.
    ParticipantState {
        /// Has asked for a ticket, is not here yet.
        Invited = "invited",
        /// Here, waits to be let in.
        Waiting = "waiting",
        /// Here and let in.
        Admitted = "admitted",
        /// Was here, is gone for now.
        Left = "left",
        /// Was turned away.
        Denied = "denied",
        /// Is no longer asked; only another invitation brings them back.
        Removed = "removed",
    }
);

impl ParticipantState {
    /// The states of whoever is in the visit, waiting or let in.
    pub const HERE: [Self; 2] = [Self::Waiting, Self::Admitted];

    /// Whether somebody is in the visit.
    pub fn is_here(self) -> bool {
        Self::HERE.contains(&self)
    }
}

text_enum!(
    /// How a finished visit went.
    Outcome {
        /// As it should.
        Completed = "completed",
        /// The line or a device failed; nobody's fault.
        TechnicalFailure = "technical_failure",
        /// The patient did not come.
        PatientAbsent = "patient_absent",
        /// The practitioner did not come.
        PractitionerAbsent = "practitioner_absent",
        /// It went on by telephone.
        ConvertedToPhone = "converted_to_phone",
        /// It goes on in writing, answered later.
        ConvertedToDeferred = "converted_to_deferred",
    }
);

/// What the practitioner decided about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Admitted,
    /// Back to the waiting room.
    Held,
    /// Not now.
    Denied,
    /// Not any more: the invitation is taken back.
    Removed,
}

/// A row of `encounters`.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct EncounterRow {
    /// Its id.
    pub id: EncounterId,
    /// Its appointment.
    pub appointment_id: AppointmentId,
    /// Where it stands.
    pub status: EncounterStatus,
    /// Whose visit it is.
    pub patient_id: PatientId,
    /// Who conducts it.
    pub practitioner_id: PractitionerId,
    /// At which clinic.
    pub organization_id: OrganizationId,
    /// When it is planned to begin.
    pub starts_at: Instant,
    /// Nobody new comes in.
    pub locked: bool,
    /// Counts what the room is told.
    pub room_rev: i32,
}

/// A row of `encounter_participants`.
#[derive(Debug, Clone, Queryable)]
pub struct ParticipantRow {
    /// Its id.
    pub id: ParticipantId,
    /// The visit.
    pub encounter_id: EncounterId,
    /// Who.
    pub account_id: AccountId,
    /// As what.
    pub role: ParticipantRole,
    /// The name others see.
    pub name: String,
    /// Where.
    pub state: ParticipantState,
    /// Since when they wait.
    pub waiting_since: Option<Instant>,
    /// When they were let in; empty while they must wait.
    pub admitted_at: Option<Instant>,
    /// At whose device they sit, if not at one of their own.
    pub sits_with: Option<ParticipantId>,
    /// In the side room.
    pub aside: bool,
    /// The patient has asked them to come.
    pub brought: bool,
}

type EncounterColumns = (
    encounters::id,
    encounters::appointment_id,
    encounters::status,
    encounters::patient_id,
    encounters::practitioner_id,
    encounters::organization_id,
    encounters::starts_at,
    encounters::locked,
    encounters::room_rev,
);
const ENCOUNTER: EncounterColumns = (
    encounters::id,
    encounters::appointment_id,
    encounters::status,
    encounters::patient_id,
    encounters::practitioner_id,
    encounters::organization_id,
    encounters::starts_at,
    encounters::locked,
    encounters::room_rev,
);
type ParticipantColumns = (
    encounter_participants::id,
    encounter_participants::encounter_id,
    encounter_participants::account_id,
    encounter_participants::role,
    encounter_participants::name,
    encounter_participants::state,
    encounter_participants::waiting_since,
    encounter_participants::admitted_at,
    encounter_participants::sits_with_id,
    encounter_participants::aside,
    encounter_participants::brought,
);
const PARTICIPANT: ParticipantColumns = (
    encounter_participants::id,
    encounter_participants::encounter_id,
    encounter_participants::account_id,
    encounter_participants::role,
    encounter_participants::name,
    encounter_participants::state,
    encounter_participants::waiting_since,
    encounter_participants::admitted_at,
    encounter_participants::sits_with_id,
    encounter_participants::aside,
    encounter_participants::brought,
);

/// What the access decision must know of a visit.
pub fn facts(row: &EncounterRow) -> Facts {
    Facts {
        organization: Some(row.organization_id),
        patient: Some(row.patient_id),
        practitioner: Some(row.practitioner_id),
        ..Facts::NONE
    }
}

/// The row of a visit. 404 when there is none.
pub fn find_row(tx: &mut Tx, id: EncounterId) -> Result<EncounterRow, Error> {
    encounters::table
        .find(id)
        .select(ENCOUNTER)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// The row of a visit, as it stays until this transaction ends: who comes, who leaves and who is
/// let in follow one another, and each sees what the one before it did. The appointment is locked
/// first, as by everything else that moves a visit.
pub fn lock_row(tx: &mut Tx, id: EncounterId) -> Result<EncounterRow, Error> {
    let row = find_row(tx, id)?;
    appointment::lock(tx, row.appointment_id)?;
    find_row(tx, id)
}

/// Counts a change that the room is told of: what is committed first may be told last. The caller
/// holds the visit's lock.
pub(crate) fn count_change(tx: &mut Tx, id: EncounterId) -> Result<i32, Error> {
    diesel::update(encounters::table.find(id))
        .set(encounters::room_rev.eq(encounters::room_rev + 1))
        .execute(tx.conn)?;
    Ok(find_row(tx, id)?.room_rev)
}

/// The visit of an appointment; every appointment has one.
pub fn of_appointment(tx: &mut Tx, id: AppointmentId) -> Result<EncounterRow, Error> {
    Ok(encounters::table
        .filter(encounters::appointment_id.eq(id))
        .select(ENCOUNTER)
        .get_result(tx.conn)?)
}

/// When the talk of a visit began, when the visit ended, and how.
pub type Ending = (Option<Instant>, Option<Instant>, Option<Outcome>);

/// How a visit went, as far as it went.
pub fn how_it_ended(tx: &mut Tx, id: EncounterId) -> Result<Ending, Error> {
    Ok(encounters::table
        .find(id)
        .select((encounters::started_at, encounters::ended_at, encounters::outcome))
        .get_result(tx.conn)?)
}

/// Everybody who has, or had, a part in a visit.
pub fn participants(tx: &mut Tx, id: EncounterId) -> Result<Vec<ParticipantRow>, Error> {
    Ok(encounter_participants::table
        .filter(encounter_participants::encounter_id.eq(id))
        .order(encounter_participants::id)
        .select(PARTICIPANT)
        .load(tx.conn)?)
}

/// One participant of this visit and no other. 404 when there is none.
pub fn find_participant(
    tx: &mut Tx,
    encounter: EncounterId,
    id: ParticipantId,
) -> Result<ParticipantRow, Error> {
    encounter_participants::table
        .filter(encounter_participants::encounter_id.eq(encounter))
        .filter(encounter_participants::id.eq(id))
        .select(PARTICIPANT)
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// Makes the visit of a new appointment. The caller has made the access decision.
pub fn plan(
    tx: &mut Tx,
    appointment: AppointmentId,
    patient: PatientId,
    practitioner: PractitionerId,
    organization: OrganizationId,
    starts_at: Instant,
) -> Result<EncounterId, Error> {
    let id = EncounterId::new(tx.now);
    let row = diesel::insert_into(encounters::table).values((
        encounters::id.eq(id),
        encounters::appointment_id.eq(appointment),
        encounters::status.eq(EncounterStatus::Planned),
        encounters::patient_id.eq(patient),
        encounters::practitioner_id.eq(practitioner),
        encounters::organization_id.eq(organization),
        encounters::starts_at.eq(starts_at),
        encounters::updated_at.eq(tx.now),
    ));
    direct!(tx.conn, |conn| kept!(row).execute(conn))?;
    tx.tell(Event::QueueMoved(practitioner));
    Ok(id)
}

/// Puts the visit of an appointment to another time, and in other hands.
/// The caller has made the access decision.
pub fn replan(
    tx: &mut Tx,
    appointment: AppointmentId,
    practitioner: PractitionerId,
    starts_at: Instant,
) -> Result<(), Error> {
    let visit = of_appointment(tx, appointment)?;
    diesel::update(encounters::table.find(visit.id))
        .set((
            encounters::practitioner_id.eq(practitioner),
            encounters::starts_at.eq(starts_at),
            encounters::locked.eq(false),
            encounters::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    arrange::bring_all_back(tx, visit.id)?;
    if practitioner != visit.practitioner_id {
        guest::forget_former(tx, visit.id)?;
    }
    if starts_at != visit.starts_at {
        guest::tell_time(tx, visit.id)?;
    }
    tx.tell(Event::QueueMoved(visit.practitioner_id));
    tx.tell(Event::QueueMoved(practitioner));
    // Whoever came too early, or is no longer asked, leaves.
    if is_entered(tx, visit.id)? { finish::put_off(tx, visit.id) } else { Ok(()) }
}

/// Whether anybody is in a visit now, waiting or let in.
pub fn is_entered(tx: &mut Tx, id: EncounterId) -> Result<bool, Error> {
    Ok(participants(tx, id)?.iter().any(|somebody| somebody.state.is_here()))
}

/// Where an act would lead, refused as by [`advance`]. The caller holds the visit's lock.
pub(crate) fn foresee(
    tx: &mut Tx,
    appointment: &appointment::Row,
    visit: &EncounterRow,
    act: Act,
) -> Result<State, Error> {
    let from = (appointment.status, visit.status);
    if lifecycle::next(from, act).is_none() {
        return Err(Error::from(&problem::BAD_STATE));
    }
    let is_theirs = |by| !matches!(by, By::Deeds(deeds) if !tx.was_allowed(deeds));
    let (line, to) = lifecycle::lines(from, act)
        .find(|(line, _)| is_theirs(line.by))
        .ok_or(Error::Internal("a visit was moved by a deed that its table does not name"))?;
    let ended = match line.when {
        When::DayAfterEnd => how_it_ended(tx, visit.id)?.1,
        _ => None,
    };
    let (start, planned) = (appointment.starts_at, appointment.ends_at);
    // Whoever was told to come later has not missed anything yet.
    let end = match line.when {
        When::UntilEnd | When::UntilEndOrByClinic if planned <= tx.now => {
            notice::times(tx, visit.id, (start, planned))?.over_at()
        }
        _ => planned,
    };
    let held_until = appointment.hold_expires_at;
    let by_clinic = tx.person().map_or(true, |person| person.works_in(appointment.organization_id));
    line.when.check(Times { start, end, held_until, ended, by_clinic }, tx.now)?;
    if lifecycle::is_settled_by_a_note(from, to) && record::is_signed(tx, visit.id)? {
        let may_know = record::may_list(tx, visit)?;
        let why = if may_know { &problem::NOTE_SIGNED } else { &problem::BAD_STATE };
        return Err(Error::from(why));
    }
    Ok(to)
}

/// Moves an appointment and its visit along the table of [`lifecycle`].
/// 409 `bad_state` when the table has no such move, what its line says of the time, and `note_signed`
/// when a signed note says otherwise (`bad_state` to whoever may not know that); `outcome` belongs to
/// an end. The caller has made the access decision, for one of the line's deeds.
pub fn advance(
    tx: &mut Tx,
    id: AppointmentId,
    act: Act,
    outcome: Option<Outcome>,
) -> Result<(AppointmentStatus, EncounterStatus), Error> {
    appointment::lock(tx, id)?;
    let encounter = of_appointment(tx, id)?;
    let appointment = appointment::find_row(tx, id)?;
    let from = (appointment.status, encounter.status);
    let to = foresee(tx, &appointment, &encounter, act)?;
    set_status(tx, &appointment, to.0, act)?;
    tx.tell(Event::QueueMoved(encounter.practitioner_id));
    if lifecycle::is_over(from.1) {
        leave::open_again(tx, &appointment)?;
        tx.tell(Event::EncounterReopened(encounter.id));
    }
    guest::follow(tx, encounter.id, act)?;
    ring::follow(tx, encounter.id, act)?;
    task::follow(tx, encounter.id, act)?;
    if to.0 == AppointmentStatus::Cancelled {
        let span = Span { start: appointment.busy_from, end: appointment.busy_to };
        tx.free_up(appointment.practitioner_id, span);
    }
    if from.1 == to.1 {
        return Ok(to);
    }
    let row = encounters::table
        .filter(encounters::id.eq(encounter.id))
        .filter(encounters::status.eq(from.1));
    let (now, none) = (Some(tx.now), None::<Instant>);
    let stamp = |status| if to.1 == status { now } else { none };
    let ended = stamp(EncounterStatus::Finished).or(stamp(EncounterStatus::Cancelled));
    let times = (appointment.starts_at, appointment.ends_at);
    let times = notice::times(tx, encounter.id, times)?;
    let due_at = interruption::due_at(to.1, times, tx.now, &tx.config.visit);
    let outcome = match to.1 {
        EncounterStatus::Finished => Some(outcome.unwrap_or(Outcome::Completed)),
        _ => None,
    };
    // Whose visit was ended by mistake was not cut off, until the talk goes on.
    let is_reopened = to.1 == EncounterStatus::Onleave && lifecycle::is_over(from.1);
    let moved = diesel::update(row)
        .set((
            encounters::status.eq(to.1),
            encounters::reopened_at.eq(is_reopened.then_some(tx.now)),
            encounters::outcome.eq(outcome),
            encounters::ended_at.eq(ended),
            encounters::see_to_at.eq(due_at),
            encounters::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    if moved == 0 {
        return Err(Error::from(&problem::CONFLICT));
    }
    if to.1 == EncounterStatus::Arrived || matches!(act, Act::Undo | Act::Expect | Act::Move) {
        diesel::update(encounters::table.find(encounter.id))
            .set(encounters::arrived_at.eq(stamp(EncounterStatus::Arrived)))
            .execute(tx.conn)?;
    }
    if act == Act::Admit {
        diesel::update(encounters::table.find(encounter.id))
            .set(encounters::started_at.eq(now))
            .execute(tx.conn)?;
    }
    Ok(to)
}
