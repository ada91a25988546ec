//! What the people of a visit see of it.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::{AppointmentId, Priority};
use crate::base::column::{Instant, text_enum};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{
    appointments, call_events, encounter_participants, encounters, healthcare_services, patients,
    practitioners,
};
use crate::base::tx::Tx;
use crate::call::record;
use crate::encounter::door::{Door, door};
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};
use crate::encounter::party::{Party, comes_as_patient};
use crate::encounter::presence::CallEventKind;
use crate::encounter::{
    EncounterId, Outcome, ParticipantId, ParticipantRole, ParticipantRow, ParticipantState, facts,
    find_row, notice, participants, queue,
};
use crate::organization::ServiceId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;

/// Somebody in a visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Participant {
    /// Their id in this visit.
    pub id: ParticipantId,
    /// As what they are here.
    pub role: ParticipantRole,
    /// The name others see.
    pub name: String,
    /// Where they are.
    pub state: ParticipantState,
    /// Since when they wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Instant>,
    /// How far they have come: one word for people to read (`docs/signaling.md`, "Where somebody
    /// is").
    pub standing: Standing,
    /// At whose device they sit, if not at one of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sits_with: Option<ParticipantId>,
}

text_enum!(
    /// How far somebody has come.
    Standing {
        /// Is asked to come.
        Invited = "invited",
        /// Has a ticket in hand.
        Joining = "joining",
        /// Here, looks at camera and microphone.
        Testing = "testing",
        /// Here, waits to be let in.
        Ready = "ready",
        /// Let in, with the others.
        InCall = "in_call",
        /// Let in, in the side room.
        InSideRoom = "in_side_room",
        /// The line is silent; the seat is kept.
        Disconnected = "disconnected",
        /// Was here, and is gone or was turned away.
        Left = "left",
        /// Is no longer asked.
        Removed = "removed",
    }
);

impl Participant {
    /// The same, when they have a ticket in hand.
    pub fn coming(mut self, comes: bool) -> Self {
        if comes && self.standing == Standing::Invited {
            self.standing = Standing::Joining;
        }
        self
    }
}

impl From<ParticipantRow> for Participant {
    fn from(row: ParticipantRow) -> Self {
        let waits = row.state == ParticipantState::Waiting;
        Self {
            id: row.id,
            role: row.role,
            name: row.name,
            state: row.state,
            waiting_since: row.waiting_since.filter(|_| waits),
            standing: match row.state {
                ParticipantState::Invited => Standing::Invited,
                ParticipantState::Waiting => Standing::Ready,
                ParticipantState::Admitted if row.aside => Standing::InSideRoom,
                ParticipantState::Admitted => Standing::InCall,
                ParticipantState::Left | ParticipantState::Denied => Standing::Left,
                ParticipantState::Removed => Standing::Removed,
            },
            sits_with: row.sits_with,
        }
    }
}

/// An id alone.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Reference<T> {
    /// The id.
    pub id: T,
}

/// A visit as the API shows it (FHIR R4 Encounter).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Encounter {
    /// Its id.
    pub id: EncounterId,
    /// Where it stands.
    pub status: EncounterStatus,
    /// Its appointment.
    pub appointment: Reference<AppointmentId>,
    /// When it is planned to begin.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// The promised local time.
    pub local_start: String,
    /// The IANA zone of the promise.
    pub time_zone: String,
    /// Who conducts it.
    pub practitioner: Named<PractitionerId>,
    /// Whose it is.
    pub patient: Named<PatientId>,
    /// What was booked.
    pub service: Named<ServiceId>,
    /// Whether one can come in.
    #[serde(flatten)]
    pub door: Door,
    /// How it went, once finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who has, or had, a part in it.
    pub participants: Vec<Participant>,
    /// Nobody new comes in.
    pub locked: bool,
    /// Whether the patient and whoever comes for them are here.
    pub patient_side: PatientSide,
}

/// The patient and whoever comes for them: relative, feldsher, interpreter. The doctor waits for
/// all of them together.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PatientSide {
    /// Everybody is here.
    pub ready: bool,
    /// Who is here.
    pub here: Vec<ParticipantRole>,
    /// Who is not here yet.
    pub awaited: Vec<ParticipantRole>,
}

/// Whose line is `silent` is not here, whatever their seat says.
fn patient_side(party: &Party, people: &[ParticipantRow], silent: &[ParticipantId]) -> PatientSide {
    let here = |id| {
        let state = people.iter().find(|one| one.id == id).map(|one| one.state);
        !silent.contains(&id) && state.is_some_and(ParticipantState::is_here)
    };
    let mut awaited = party.awaited(here);
    // Whoever has never come has no part yet.
    if !people.iter().any(|one| comes_as_patient(one.role, people)) {
        awaited.insert(0, ParticipantRole::Patient);
    }
    PatientSide { ready: awaited.is_empty(), here: party.here(here), awaited }
}

type Shown = (
    (EncounterId, EncounterStatus, Option<Outcome>),
    (i32, bool),
    (AppointmentId, AppointmentStatus, Instant, Instant, String, String),
    (PractitionerId, String),
    (PatientId, String),
    (ServiceId, String, String),
);

/// Shows a visit.
pub fn find(tx: &mut Tx, id: EncounterId) -> Result<Encounter, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadEncounter, &facts(&row))?;
    show(tx, id)
}

/// A visit that the caller may see.
pub(crate) fn show(tx: &mut Tx, id: EncounterId) -> Result<Encounter, Error> {
    let found: Option<Shown> = encounters::table
        .inner_join(
            appointments::table
                .inner_join(practitioners::table)
                .inner_join(patients::table)
                .inner_join(healthcare_services::table),
        )
        .filter(encounters::id.eq(id))
        .select((
            (encounters::id, encounters::status, encounters::outcome),
            (encounters::room_rev, encounters::locked),
            (
                appointments::id,
                appointments::status,
                appointments::starts_at,
                appointments::ends_at,
                appointments::local_start,
                appointments::time_zone,
            ),
            (practitioners::id, practitioners::name),
            (patients::id, patients::name),
            (healthcare_services::id, healthcare_services::name_en, healthcare_services::name_ru),
        ))
        .get_result(tx.conn)
        .optional()?;
    let ((id, status, outcome), (rev, locked), appointment, practitioner, patient, service) =
        found.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let (appointment_id, appointment_status, start, end, local_start, time_zone) = appointment;
    let times = notice::times(tx, id, (start, end))?;
    let people = participants(tx, id)?;
    let party = Party::new((rev, locked), &people);
    let silent = if people.iter().any(|one| one.state.is_here()) {
        record::show::silent(tx, &[id])?
    } else {
        Vec::new()
    };
    Ok(Encounter {
        id,
        status,
        appointment: Reference { id: appointment_id },
        start,
        end,
        local_start,
        time_zone,
        practitioner: Named { id: practitioner.0, name: practitioner.1 },
        patient: Named { id: patient.0, name: patient.1 },
        service: Named { id: service.0, name: tx.language.choose(service.1, service.2) },
        door: door((appointment_status, status), times, tx.now, &tx.config.visit),
        outcome,
        locked,
        patient_side: patient_side(&party, &people, &silent),
        participants: people.into_iter().map(Participant::from).collect(),
    })
}

/// Who waits in one visit.
pub fn waiting_room(tx: &mut Tx, id: EncounterId) -> Result<Page<Participant>, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadWaitingRoom, &facts(&row))?;
    let mut people = participants(tx, id)?;
    people.retain(|person| person.state == ParticipantState::Waiting);
    Ok(Page::whole(people.into_iter().map(Participant::from).collect()))
}

/// A patient who waits for the calling practitioner.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WaitingPatient {
    /// The visit.
    pub encounter: Reference<EncounterId>,
    /// Its appointment.
    pub appointment: Reference<AppointmentId>,
    /// Their part in the visit; what `admit` takes.
    pub participant: Reference<ParticipantId>,
    /// Who waits.
    pub patient: Named<PatientId>,
    /// When the visit is planned to begin.
    pub start: Instant,
    /// How urgent it is.
    pub priority: Priority,
    /// Since when.
    pub since: Option<Instant>,
    /// Always `waiting`.
    pub state: ParticipantState,
}

type WaitingRow = (
    (EncounterId, AppointmentId),
    (EncounterStatus, Instant, Priority),
    (PatientId, String),
    (ParticipantId, Option<Instant>),
    ParticipantRole,
);

/// Everybody who waits for the calling practitioner, in the order of their places in the queue.
/// Index: encounters_waiting. Empty for everybody else.
pub fn all_waiting(tx: &mut Tx) -> Result<Page<WaitingPatient>, Error> {
    let scope = tx.scope(Action::ReadWaitingRoom)?;
    let Some(practitioner) = scope.practitioner else { return Ok(Page::whole(Vec::new())) };
    let open = [EncounterStatus::Arrived, EncounterStatus::InProgress, EncounterStatus::Onleave];
    let rows: Vec<WaitingRow> = encounters::table
        .inner_join(appointments::table.inner_join(patients::table))
        .inner_join(encounter_participants::table)
        .filter(encounters::practitioner_id.eq(practitioner))
        .filter(among(encounters::status, open))
        .filter(encounters::arrived_at.is_not_null())
        .filter(encounter_participants::state.eq(ParticipantState::Waiting))
        .order((encounter_participants::waiting_since, encounter_participants::id))
        .limit(100)
        .select((
            (encounters::id, encounters::appointment_id),
            (encounters::status, appointments::starts_at, appointments::priority),
            (patients::id, patients::name),
            (encounter_participants::id, encounter_participants::waiting_since),
            encounter_participants::role,
        ))
        .load(tx.conn)?;
    let mut rows = one_of_each(rows);
    rows.sort_by_key(|((encounter, _), (status, start, priority), ..)| {
        let begun = matches!(status, EncounterStatus::InProgress | EncounterStatus::Onleave);
        (queue::turn(begun, *priority != Priority::Routine, *start, tx.now), *encounter)
    });
    let items = rows.into_iter().map(|(visit, (_, start, priority), patient, (id, since), _)| {
        let (encounter, appointment) = visit;
        WaitingPatient {
            encounter: Reference { id: encounter },
            appointment: Reference { id: appointment },
            participant: Reference { id },
            patient: Named { id: patient.0, name: patient.1 },
            start,
            priority,
            since,
            state: ParticipantState::Waiting,
        }
    });
    Ok(Page::whole(items.collect()))
}

/// A visit is named once, with its patient rather than with who comes along.
fn one_of_each(mut rows: Vec<WaitingRow>) -> Vec<WaitingRow> {
    let mut known = Vec::new();
    let is_patient = |row: &WaitingRow| row.4 == ParticipantRole::Patient;
    let patients: Vec<EncounterId> =
        rows.iter().filter(|row| is_patient(row)).map(|row| row.0.0).collect();
    rows.retain(|row| {
        let visit = row.0.0;
        let shown = is_patient(row) || !patients.contains(&visit);
        let first = shown && !known.contains(&visit);
        if first {
            known.push(visit);
        }
        first
    });
    rows
}

/// One stay of somebody in the call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallStay {
    /// Who.
    pub participant: CallParticipant,
    /// When they came.
    pub joined_at: Instant,
    /// When they left; empty while they are here.
    pub left_at: Option<Instant>,
    /// Why they left: `left`, `lost`, `signed_out`, `finished`, `time_over`, `denied`.
    pub why: Option<String>,
}

/// Who a line of the call log is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallParticipant {
    /// As what they were here.
    pub role: ParticipantRole,
    /// Their name.
    pub name: String,
}

/// Who was in the call, when, and why they left.
pub fn calls(tx: &mut Tx, id: EncounterId) -> Result<Page<CallStay>, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadCalls, &facts(&row))?;
    Ok(Page::whole(stays(tx, id)?.into_iter().map(|(_, stay)| stay).collect()))
}

/// The same, by participant. The caller has made the access decision.
pub(crate) fn stays(tx: &mut Tx, id: EncounterId) -> Result<Vec<(ParticipantId, CallStay)>, Error> {
    type Line = (ParticipantId, ParticipantRole, String, Instant, CallEventKind, Option<String>);
    let lines: Vec<Line> = call_events::table
        .inner_join(encounter_participants::table)
        .filter(call_events::encounter_id.eq(id))
        .order(call_events::seq)
        .limit(1000)
        .select((
            encounter_participants::id,
            encounter_participants::role,
            encounter_participants::name,
            call_events::at,
            call_events::kind,
            call_events::why,
        ))
        .load(tx.conn)?;
    let mut stays: Vec<(ParticipantId, CallStay)> = Vec::new();
    for (participant, role, name, at, kind, why) in lines {
        let open =
            stays.iter_mut().rfind(|(id, stay)| *id == participant && stay.left_at.is_none());
        match (kind, open) {
            (CallEventKind::Joined, None) => {
                let participant_shown = CallParticipant { role, name };
                let stay = CallStay {
                    participant: participant_shown,
                    joined_at: at,
                    left_at: None,
                    why: None,
                };
                stays.push((participant, stay));
            }
            (CallEventKind::Left, Some((_, stay))) => {
                stay.left_at = Some(at);
                stay.why = why;
            }
            (CallEventKind::Joined, Some(_)) | (CallEventKind::Left, None) => {}
        }
    }
    Ok(stays)
}
