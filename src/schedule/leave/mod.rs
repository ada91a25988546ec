//! Leave and illness: what becomes of the visits that an absence hits.
//!
//! Each is moved, is offered other times, or is called off, or another takes the part of a helper;
//! until then the absence is open.
//! "The doctor is ill" proposes all of it at once ([`plan`]): a preview first, then one step, and
//! ten minutes in which that step can be taken back.

pub mod apply;
pub mod assign;
pub mod http;
pub mod lapsed;
pub mod offer;
pub mod plan;
pub mod preview;
pub mod settle;
pub mod vain;

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::{self, AccountId};
use crate::appointment::affected::{self, Affected};
use crate::appointment::{self, AppointmentId, Priority};
use crate::base::column::{Instant, text_enum};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{absence_outcomes, absences, illness_plans};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::patient::PatientId;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::absence::{self, AbsenceId, AbsenceStatus};
use crate::schedule::leave::offer::OfferedTime;
use crate::schedule::rules;

/// The most visits of one absence that are looked at.
const VISITS_MAX: i64 = 1000;
/// How many visits an answer names.
const SHOWN_MAX: usize = 200;

text_enum!(
    /// What became of a visit.
    Outcome {
        /// It has another time or another practitioner, and kept its code and link.
        Moved = "moved",
        /// Somebody else helps in place of the feldsher or interpreter who is away; all else stays.
        Replaced = "replaced",
        /// Its patient has other times to choose from.
        Offered = "offered",
        /// It was called off, and its patient told.
        Cancelled = "cancelled",
    }
);

/// A row of `absences`.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct AbsenceRow {
    /// Its id.
    pub id: AbsenceId,
    /// Who is away.
    pub practitioner_id: PractitionerId,
    /// From when.
    pub starts_at: Instant,
    /// Until when.
    pub ends_at: Instant,
    /// Where it stands, as it was last said.
    pub status: AbsenceStatus,
}

/// A row of `absence_outcomes`.
#[derive(Debug, Clone, Copy, Queryable)]
pub(crate) struct OutcomeRow {
    pub appointment: AppointmentId,
    pub outcome: Outcome,
    pub from_practitioner: PractitionerId,
    pub from_start: Instant,
    pub to_practitioner: Option<PractitionerId>,
    pub to_start: Option<Instant>,
    pub to_helper: Option<PractitionerId>,
    pub expires_at: Option<Instant>,
    pub decided_by: AccountId,
    /// Until when it was held, or asked for, when it was called off.
    pub held_until: Option<Instant>,
    /// How it stood before; `None`: booked.
    pub from_status: Option<AppointmentStatus>,
    /// Whether it lay beside another.
    pub overbooked: bool,
    /// Since when its patient had said that they will come.
    pub confirmed_at: Option<Instant>,
}

/// A visit that an absence hits, or hit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HitVisit {
    /// The appointment.
    pub id: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// Where it stands now.
    pub status: AppointmentStatus,
    /// How soon it must be.
    pub priority: Priority,
    /// With whom it is now.
    pub practitioner: Named<PractitionerId>,
    /// Whether the one who is away only helps there, as feldsher or interpreter.
    pub helps: bool,
    /// Who helps instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helper: Option<Named<PractitionerId>>,
    /// When it begins now.
    pub start: Instant,
    /// The promised local time of it.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
    /// For whom.
    pub patient: Named<PatientId>,
    /// The patient has no telephone: somebody must tell them what becomes of it.
    pub unreached: bool,
    /// What became of it; left out while nobody has decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was to begin before that.
    pub from_start: Instant,
    /// Until when the patient can choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// What the patient can choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<OfferedTime>,
}

/// An absence and what became of the visits it hits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettledAbsence {
    /// Its id.
    pub id: AbsenceId,
    /// Who is away.
    pub practitioner: Named<PractitionerId>,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `open` while a visit lies in it that has no outcome, whatever was said before.
    pub status: AbsenceStatus,
    /// How many visits have no outcome.
    pub open_count: usize,
    /// The first 200, those without an outcome first, then by start.
    pub visits: Vec<HitVisit>,
}

/// The row of an absence; the caller makes the access decision. 404 when there is none.
pub fn find_row(tx: &mut Tx, id: AbsenceId) -> Result<AbsenceRow, Error> {
    absences::table
        .find(id)
        .select((
            absences::id,
            absences::practitioner_id,
            absences::starts_at,
            absences::ends_at,
            absences::status,
        ))
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// What the access decision must know of somebody's leave.
pub(crate) fn facts(tx: &mut Tx, practitioner: PractitionerId) -> Result<Facts, Error> {
    Ok(rules::facts(&practitioner::find_row(tx, practitioner)?))
}

/// Shows an absence with its visits. 404 when it is not there or not the caller's to see.
pub fn find(tx: &mut Tx, id: AbsenceId) -> Result<SettledAbsence, Error> {
    let row = find_row(tx, id)?;
    let facts = facts(tx, row.practitioner_id)?;
    tx.allow(Action::ReadLeave, &facts)?;
    show(tx, &row)
}

/// Says that every visit has its outcome. 409 `visits_open` names those that have none: also one
/// that was booked at the very moment the absence was made.
pub fn complete(tx: &mut Tx, id: AbsenceId) -> Result<SettledAbsence, Error> {
    let row = find_row(tx, id)?;
    let facts = facts(tx, row.practitioner_id)?;
    tx.allow(Action::SettleLeave, &facts)?;
    lapsed::lapse_of(tx, &row)?;
    let absence = find_row(tx, id)?;
    let mut shown = show(tx, &absence)?;
    if shown.open_count == 0 && !close(tx, id)? {
        shown = show(tx, &absence)?;
    }
    if shown.open_count > 0 {
        let open = shown.visits.into_iter().filter(|visit| visit.outcome.is_none());
        let refusal = Error::from(&problem::VISITS_OPEN);
        return Err(refusal.with("visits", open.collect::<Vec<_>>()));
    }
    if row.status != AbsenceStatus::Complete {
        tx.record(Action::SettleLeave, "Absence", id.0, &facts);
    }
    let absence = find_row(tx, id)?;
    show(tx, &absence)
}

/// Completes an absence of which nobody has found an open visit; whether it is complete now: a visit that
/// has been booked since keeps it open.
pub(crate) fn close(tx: &mut Tx, id: AbsenceId) -> Result<bool, Error> {
    match tx.attempt(|tx| set_status(tx, id, AbsenceStatus::Complete)) {
        Ok(()) => Ok(true),
        Err(error) if error.is(&problem::VISITS_OPEN) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn set_status(tx: &mut Tx, id: AbsenceId, to: AbsenceStatus) -> Result<(), Error> {
    diesel::update(absences::table.find(id)).set(absences::status.eq(to)).execute(tx.conn)?;
    Ok(())
}

/// Whoever saves or removes an absence, and whoever brings a visit back, go one after the other: so the one
/// finds the visit, or the other the absence. Before anything is locked.
pub(crate) fn wait_to_change(tx: &mut Tx, facts: &Facts) -> Result<(), Error> {
    settle::take_all_turns(tx, facts, &[], std::iter::empty())
}

/// As [`wait_to_change`], for whoever brings a visit back; a promise of it that broke meanwhile is the
/// clinic's task as well.
pub(crate) fn wait_to_bring_back(tx: &mut Tx, visit: &appointment::Row) -> Result<(), Error> {
    let people = visit.who_takes_part(tx)?;
    let clinic = Facts::of_organization(visit.organization_id);
    settle::take_all_turns(tx, &clinic, &[], people.into_iter())
}

/// A visit that had ended is to come again, or goes on: a leave that it lies in, of whoever takes part in
/// it, is open again. Makes no access decision.
pub(crate) fn open_again(tx: &mut Tx, visit: &appointment::Row) -> Result<(), Error> {
    // Also one that is open: whoever would complete it at this moment waits, and sees the visit.
    let touched = absences::table
        .filter(among(absences::practitioner_id, visit.who_takes_part(tx)?))
        .filter(absences::starts_at.lt(visit.ends_at))
        .filter(absences::ends_at.gt(visit.starts_at));
    diesel::update(touched).set(absences::status.eq(AbsenceStatus::Open)).execute(tx.conn)?;
    lapsed::look_again(tx, visit.id)
}

/// The visits to come of an absence whose patients were told to choose another time, and have not, or
/// that it was too late for that.
pub(crate) fn waiting(tx: &mut Tx, absence: &AbsenceRow) -> Result<Vec<AppointmentId>, Error> {
    let mut waiting = Vec::new();
    for row in outcomes(tx, absence.id)? {
        if row.outcome == Outcome::Offered
            && row.from_start > tx.now
            && offer::is_open(tx, row.appointment)?
        {
            waiting.push(row.appointment);
        }
    }
    let lapsed = lapsed::of_absence(tx, absence.id)?;
    for visit in lapsed::which_are_over(tx, lapsed)? {
        if appointment::find_row(tx, visit)?.starts_at > tx.now {
            waiting.push(visit);
        }
    }
    Ok(waiting)
}

/// Takes an absence away with all that was noted of it. The caller has made the access decision.
pub(crate) fn forget(tx: &mut Tx, absence: &AbsenceRow) -> Result<(), Error> {
    set_status(tx, absence.id, AbsenceStatus::Open)?;
    lapsed::forget(tx, absence.id)?;
    for outcome in outcomes(tx, absence.id)? {
        offer::withdraw(tx, outcome.appointment)?;
        // It can lie in another absence, whose offer is over.
        lapsed::look_again(tx, outcome.appointment)?;
    }
    let noted = absence_outcomes::table.filter(absence_outcomes::absence_id.eq(absence.id));
    diesel::delete(noted).execute(tx.conn)?;
    diesel::update(illness_plans::table.filter(illness_plans::absence_id.eq(absence.id)))
        .set(illness_plans::absence_id.eq(None::<AbsenceId>))
        .execute(tx.conn)?;
    diesel::delete(absences::table.find(absence.id)).execute(tx.conn)?;
    Ok(())
}

/// Whether a leave decided about a visit. Makes no access decision.
pub(crate) fn has_settled(tx: &mut Tx, visit: AppointmentId) -> Result<bool, Error> {
    let decided = absence_outcomes::table.filter(absence_outcomes::appointment_id.eq(visit));
    Ok(diesel::select(diesel::dsl::exists(decided)).get_result(tx.conn)?)
}

/// What was decided about the visits of an absence.
pub(crate) fn outcomes(tx: &mut Tx, id: AbsenceId) -> Result<Vec<OutcomeRow>, Error> {
    Ok(absence_outcomes::table
        .filter(absence_outcomes::absence_id.eq(id))
        .order(absence_outcomes::appointment_id)
        .select(OUTCOME)
        .load(tx.conn)?)
}

type OutcomeColumns = (
    absence_outcomes::appointment_id,
    absence_outcomes::outcome,
    absence_outcomes::from_practitioner_id,
    absence_outcomes::from_starts_at,
    absence_outcomes::to_practitioner_id,
    absence_outcomes::to_starts_at,
    absence_outcomes::to_helper_id,
    absence_outcomes::expires_at,
    absence_outcomes::decided_by,
    absence_outcomes::held_until,
    absence_outcomes::from_status,
    absence_outcomes::overbooked,
    absence_outcomes::confirmed_at,
);
pub(crate) const OUTCOME: OutcomeColumns = (
    absence_outcomes::appointment_id,
    absence_outcomes::outcome,
    absence_outcomes::from_practitioner_id,
    absence_outcomes::from_starts_at,
    absence_outcomes::to_practitioner_id,
    absence_outcomes::to_starts_at,
    absence_outcomes::to_helper_id,
    absence_outcomes::expires_at,
    absence_outcomes::decided_by,
    absence_outcomes::held_until,
    absence_outcomes::from_status,
    absence_outcomes::overbooked,
    absence_outcomes::confirmed_at,
);

/// The visits that lie in an absence now, by start.
pub(crate) fn inside(tx: &mut Tx, absence: &AbsenceRow) -> Result<Vec<Affected>, Error> {
    let range = (absence.starts_at, absence.ends_at);
    affected::within(tx, absence.practitioner_id, range, VISITS_MAX)
}

/// Those of the visits inside that nobody has decided about, or whose offer nobody answered.
pub(crate) fn undecided(
    tx: &Tx,
    inside: &[Affected],
    outcomes: &[OutcomeRow],
) -> Vec<AppointmentId> {
    let is_offered = |id| {
        let of = |row: &&OutcomeRow| row.appointment == id && row.outcome == Outcome::Offered;
        let row = outcomes.iter().find(of);
        row.is_some_and(|row| row.expires_at.is_some_and(|until| until > tx.now))
    };
    let open = inside.iter().filter(|visit| !is_offered(visit.id));
    open.map(|visit| visit.id).collect()
}

pub(crate) fn show(tx: &mut Tx, absence: &AbsenceRow) -> Result<SettledAbsence, Error> {
    let practitioner = practitioner::find_row(tx, absence.practitioner_id)?;
    let mut visits = inside(tx, absence)?;
    let outcomes = outcomes(tx, absence.id)?;
    let undecided = undecided(tx, &visits, &outcomes);
    let gone: Vec<AppointmentId> = outcomes
        .iter()
        .map(|row| row.appointment)
        .filter(|id| !visits.iter().any(|visit| visit.id == *id))
        .collect();
    visits.extend(affected::of(tx, &gone)?);
    visits.sort_by_key(|visit| (!undecided.contains(&visit.id), visit.start, visit.id));
    visits.truncate(SHOWN_MAX);
    let offered = offer::of_absence(tx, absence.id)?;
    let accounts = visits.iter().filter_map(|visit| visit.account).collect();
    let reached = account::with_phone(tx, accounts)?;
    let mut names = Names::default();
    let mut shown = Vec::with_capacity(visits.len());
    for visit in visits {
        let decided = outcomes.iter().find(|row| row.appointment == visit.id);
        let decided = decided.filter(|_| !undecided.contains(&visit.id));
        let practitioner = names.of(tx, visit.practitioner)?;
        let conducts = decided.map_or(visit.practitioner, |row| row.from_practitioner);
        let helper = match decided.and_then(|row| row.to_helper) {
            Some(helper) => Some(names.of(tx, helper)?),
            None => None,
        };
        let own = offered.iter().filter(|(id, _)| *id == visit.id);
        let own = own.filter(|_| decided.is_some_and(|row| row.outcome == Outcome::Offered));
        shown.push(HitVisit {
            id: visit.id,
            code: visit.code,
            status: visit.status,
            priority: visit.priority,
            practitioner,
            helps: conducts != absence.practitioner_id,
            helper,
            start: visit.start,
            local_start: visit.local_start,
            time_zone: visit.time_zone,
            patient: Named { id: visit.patient, name: visit.patient_name },
            unreached: !visit.account.is_some_and(|account| reached.contains(&account)),
            outcome: decided.map(|row| row.outcome),
            from_start: decided.map_or(visit.start, |row| row.from_start),
            expires_at: decided.and_then(|row| row.expires_at),
            offered: own.map(|(_, time)| time.clone()).collect(),
        });
    }
    let sealed = absences::table
        .find(absence.id)
        .select(absences::reason_sealed)
        .get_result::<Option<Vec<u8>>>(tx.conn)?;
    let status = if undecided.is_empty() { absence.status } else { AbsenceStatus::Open };
    Ok(SettledAbsence {
        id: absence.id,
        practitioner: Named { id: practitioner.id, name: practitioner.name },
        from: absence.starts_at,
        to: absence.ends_at,
        reason: absence::unsealed(tx, absence.id, sealed)?,
        status,
        open_count: undecided.len(),
        visits: shown,
    })
}

/// The names of practitioners, each read once.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<(PractitionerId, String)>);

impl Names {
    pub(crate) fn of(
        &mut self,
        tx: &mut Tx,
        id: PractitionerId,
    ) -> Result<Named<PractitionerId>, Error> {
        if let Some((_, name)) = self.0.iter().find(|(known, _)| *known == id) {
            return Ok(Named { id, name: name.clone() });
        }
        let name = practitioner::find_row(tx, id)?.name;
        self.0.push((id, name.clone()));
        Ok(Named { id, name })
    }
}
