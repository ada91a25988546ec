//! A plan is carried out in one step, and taken back in one step.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::affected::{self, Affected, Stood};
use crate::appointment::reschedule::{self, Was};
use crate::appointment::{self, AppointmentId, CancellationCode, needed};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::illness_plans;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message::leave::{Fate, News};
use crate::message::outbox;
use crate::patient::PatientId;
use crate::schedule::absence::{self, AbsenceId, AbsenceStatus};
use crate::schedule::leave::assign::Place;
use crate::schedule::leave::plan::{
    Act, IllnessPlan, PlanConflict, PlanId, PlanRow, PlanStatus, ProposalRow, advance, proposals,
    row, show,
};
use crate::schedule::leave::settle::{Deed, Told, is_same, settle, take_all_turns};
use crate::schedule::leave::{
    AbsenceRow, Outcome, OutcomeRow, VISITS_MAX, close, facts, find_row, forget, inside, lapsed,
    open_again, outcomes, set_status, undecided,
};
use crate::task;
use crate::waitlist::follow;

/// How long an applied plan can be taken back, in minutes.
const UNDO_MINUTES: i64 = 10;
/// The most visits that are left out when a plan is taken back.
const LEFT_MAX: usize = 200;
/// Somebody has changed a visit since.
const CHANGED: &str = "changed_meanwhile";

/// Does what a plan says, all of it or nothing: the absence, and what becomes of each visit.
/// 409 `plan_conflicts` names what no longer fits, and visits booked since; the plan can then be
/// edited. Patients hear of it once it can no longer be taken back. Applying twice is once.
pub fn apply(tx: &mut Tx, id: PlanId, version: Option<i32>) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let facts = facts(tx, plan.practitioner)?;
    tx.allow(Action::SettleLeave, &facts)?;
    match plan.status {
        PlanStatus::Applied => return show(tx, id),
        PlanStatus::Undone => return Err(Error::from(&problem::BAD_STATE)),
        PlanStatus::Draft => {}
    }
    let range = (plan.starts_at, plan.ends_at);
    let rows = proposals(tx, id)?;
    let seen = affected::within(tx, plan.practitioner, range, VISITS_MAX)?;
    take_all_turns(tx, &facts, &seen, rows.iter().filter_map(|row| row.practitioner))?;
    if row(tx, id)?.status == PlanStatus::Applied {
        return show(tx, id);
    }
    advance(tx, &plan, version.unwrap_or(plan.version), PlanStatus::Draft)?;
    let (absence, _) = absence::insert(tx, plan.practitioner, range, None)?;
    set_status(tx, absence, AbsenceStatus::Open)?;
    let absence = find_row(tx, absence)?;
    let undo_until = tx.now.plus(TimeDelta::minutes(UNDO_MINUTES));
    let told = settle_all(tx, &absence, &rows, &seen)?;
    told.tell(tx, &message_key(id), undo_until)?;
    let left = inside(tx, &absence)?;
    let decided = outcomes(tx, absence.id)?;
    if undecided(tx, &left, &decided).is_empty() {
        // Who books does not wait for a plan: what has come at this moment leaves the absence open.
        close(tx, absence.id)?;
    }
    diesel::update(illness_plans::table.find(id))
        .set((
            illness_plans::status.eq(PlanStatus::Applied),
            illness_plans::absence_id.eq(Some(absence.id)),
            illness_plans::applied_at.eq(Some(tx.now)),
            illness_plans::undo_until.eq(Some(undo_until)),
        ))
        .execute(tx.conn)?;
    tx.record(Action::SettleLeave, "IllnessPlan", id.0, &facts);
    show(tx, id)
}

fn message_key(id: PlanId) -> String {
    format!("illness|{id}")
}

fn settle_all(
    tx: &mut Tx,
    absence: &AbsenceRow,
    rows: &[ProposalRow],
    seen: &[Affected],
) -> Result<Told, Error> {
    let by = tx.person()?.account;
    let mut visits: Vec<Affected> = inside(tx, absence)?;
    visits.sort_by_key(|visit| (std::cmp::Reverse(visit.priority), visit.start, visit.id));
    let mut told = Told::default();
    let mut conflicts = Vec::new();
    for visit in &visits {
        let appointment = visit.id;
        let Some(row) = rows.iter().find(|row| row.appointment == appointment) else {
            // A time that is only held was promised to nobody: it leaves the absence open.
            if visit.status == AppointmentStatus::Booked {
                conflicts.push(PlanConflict { appointment, code: "not_in_plan" });
            }
            continue;
        };
        if !seen.iter().any(|known| is_same(known, visit)) {
            conflicts.push(PlanConflict { appointment, code: CHANGED });
            continue;
        }
        let deed = match (row.act, row.practitioner, row.starts_at) {
            (Act::Move, Some(practitioner), Some(start)) => {
                Deed::Move(Place { practitioner, start })
            }
            (Act::Replace, ..) => Deed::Replace(None),
            (Act::Offer, ..) => Deed::Offer,
            (Act::Cancel, ..) => Deed::CallOff,
            _ => continue,
        };
        match tx.attempt(|tx| settle(tx, absence, visit, deed, None, by)) {
            Ok(news) => told.add(visit, news),
            Err(error) => conflicts.push(conflict(appointment, error)?),
        }
    }
    if conflicts.is_empty() { Ok(told) } else { Err(in_the_way(&conflicts)) }
}

/// A refusal as a conflict; what failed on our side stays an error.
fn conflict(appointment: AppointmentId, error: Error) -> Result<PlanConflict, Error> {
    match error {
        Error::Refused(refusal) => Ok(PlanConflict { appointment, code: refusal.problem.code }),
        error => Err(error),
    }
}

fn in_the_way(conflicts: &[PlanConflict]) -> Error {
    Error::from(&problem::PLAN_CONFLICTS).with("conflicts", conflicts)
}

/// What of a plan shall not be taken back.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoPlan {
    /// Visits that stay where they are now: those that a refusal has named. At most 200.
    #[serde(default)]
    pub except: Vec<AppointmentId>,
}

/// Takes an applied plan back, all of it or nothing: every visit is where it was, as it was, the absence
/// is gone, and nobody hears of it; only what was no more than held, and is not any more, stays as it is.
/// 410 `undo_over` after ten minutes; 409 `plan_conflicts` names what is in the way: visits that somebody
/// has changed since, or whose time was given away. Whoever has read that can leave these out: they stay,
/// and whoever has not heard yet where they are is told at once. Undoing twice is once.
pub fn undo(tx: &mut Tx, id: PlanId, wanted: &UndoPlan) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let facts = facts(tx, plan.practitioner)?;
    tx.allow(Action::SettleLeave, &facts)?;
    if wanted.except.len() > LEFT_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/except"));
    }
    let seen = match to_undo(tx, &plan)? {
        Some(absence) => outcomes(tx, absence)?,
        None => return show(tx, id),
    };
    let ids: Vec<AppointmentId> = seen.iter().map(|one| one.appointment).collect();
    let visits = affected::of(tx, &ids)?;
    take_all_turns(tx, &facts, &visits, seen.iter().filter_map(|one| one.to_practitioner))?;
    let plan = row(tx, id)?;
    let Some(absence) = to_undo(tx, &plan)? else { return show(tx, id) };
    advance(tx, &plan, plan.version, PlanStatus::Undone)?;
    let absence = find_row(tx, absence)?;
    let decided = outcomes(tx, absence.id)?;
    for (at, left) in wanted.except.iter().enumerate() {
        if !decided.iter().any(|one| one.appointment == *left) {
            return Err(Error::field(&problem::UNKNOWN_REFERENCE, &format!("/except/{at}")));
        }
    }
    let offered: Vec<AppointmentId> = proposals(tx, id)?
        .into_iter()
        .filter(|row| row.act == Act::Offer)
        .map(|row| row.appointment)
        .collect();
    forget(tx, &absence)?;
    let (left, back): (Vec<OutcomeRow>, Vec<OutcomeRow>) =
        decided.into_iter().partition(|one| wanted.except.contains(&one.appointment));
    let undoing = Undoing { plan, facts, seen, offered };
    undoing.put_all_back(tx, back)?;
    let mut patients: Vec<PatientId> = visits.iter().map(|visit| visit.patient).collect();
    patients.sort_unstable();
    patients.dedup();
    for patient in patients {
        outbox::withdraw(tx, &format!("{}|{patient}", message_key(id)))?;
    }
    undoing.tell_of(tx, &left)?;
    tx.record(Action::SettleLeave, "IllnessPlan", id.0, &facts);
    show(tx, id)
}

/// The absence of an applied plan that can still be taken back; `None` when that has been done.
fn to_undo(tx: &Tx, plan: &PlanRow) -> Result<Option<AbsenceId>, Error> {
    match plan.status {
        PlanStatus::Undone => return Ok(None),
        PlanStatus::Draft => return Err(Error::from(&problem::BAD_STATE)),
        PlanStatus::Applied => {}
    }
    if plan.undo_until.is_none_or(|until| until <= tx.now) {
        return Err(Error::from(&problem::UNDO_OVER));
    }
    plan.absence.map(Some).ok_or_else(|| Error::from(&problem::BAD_STATE))
}

/// A plan that is being taken back.
struct Undoing {
    plan: PlanRow,
    facts: Facts,
    /// What had been decided when the turns were asked for.
    seen: Vec<OutcomeRow>,
    /// To whom the plan has offered other times.
    offered: Vec<AppointmentId>,
}

impl Undoing {
    /// Puts every visit back. Two can be in each other's way until one has gone: whoever could not go
    /// back is tried again as long as others do.
    fn put_all_back(&self, tx: &mut Tx, mut open: Vec<OutcomeRow>) -> Result<(), Error> {
        loop {
            let before = open.len();
            let mut conflicts = Vec::new();
            let mut stuck = Vec::new();
            for one in open {
                if let Err(error) = tx.attempt(|tx| self.put_back(tx, &one)) {
                    conflicts.push(match conflict(one.appointment, error)? {
                        PlanConflict { appointment, code: "conflict" } => {
                            let is_taken = self.is_taken_offer(&one);
                            let code = if is_taken { "offer_taken" } else { CHANGED };
                            PlanConflict { appointment, code }
                        }
                        other => other,
                    });
                    stuck.push(one);
                }
            }
            match stuck.len() {
                0 => return Ok(()),
                left if left == before => return Err(in_the_way(&conflicts)),
                _ => open = stuck,
            }
        }
    }

    /// Whether the patient has chosen one of the times that the plan has offered.
    fn is_taken_offer(&self, one: &OutcomeRow) -> bool {
        one.outcome == Outcome::Moved && self.offered.contains(&one.appointment)
    }

    /// Puts a visit back where it was before the plan.
    fn put_back(&self, tx: &mut Tx, was: &OutcomeRow) -> Result<(), Error> {
        use AppointmentStatus::{Arrived, Booked, Pending, Proposed};
        let is_known = |known: &OutcomeRow| {
            (known.appointment, known.to_practitioner) == (was.appointment, was.to_practitioner)
        };
        if self.is_taken_offer(was) || !self.seen.iter().any(is_known) {
            return Err(Error::from(&problem::CONFLICT));
        }
        let row = appointment::find_row(tx, was.appointment)?;
        let there = (row.practitioner_id, row.starts_at);
        match was.outcome {
            Outcome::Offered => return Ok(()),
            Outcome::Replaced => {
                let is_there = there == (was.from_practitioner, was.from_start);
                let helper = was.to_helper.filter(|_| is_there);
                let helper = helper.ok_or_else(|| Error::from(&problem::CONFLICT))?;
                needed::replace(tx, &row, helper.0, Some(self.plan.practitioner.0))?;
                lapsed::look_again(tx, row.id)?;
            }
            Outcome::Cancelled => {
                // What was no more than held, and is not any more, went nowhere.
                if !affected::reinstate(tx, was.appointment, was.held_until)? {
                    return Ok(());
                }
                if let Some(since) = self.plan.applied_at {
                    follow::called_off_no_more(tx, &row, since)?;
                }
            }
            Outcome::Moved => {
                let stood = was.from_status.unwrap_or(Booked);
                let was_held = matches!(stood, Pending | Proposed);
                if was_held && (row.is_dead(tx.now) || row.status == AppointmentStatus::Cancelled) {
                    return Ok(());
                }
                // Who waited already went back to coming when they were moved.
                let stands = if stood == Arrived { Booked } else { stood };
                if (Some(there.0), Some(there.1)) != (was.to_practitioner, was.to_start)
                    || row.status != stands
                {
                    return Err(Error::from(&problem::CONFLICT));
                }
                let by = tx.person()?.account;
                let (start, practitioner) = (was.from_start, was.from_practitioner);
                let stood = Stood { overbooked: was.overbooked, confirmed_at: was.confirmed_at };
                reschedule::put_back(tx, &row, &Was { start, practitioner, stood }, by)?;
                // It can lie in another leave, which was there before the plan.
                let row = appointment::find_row(tx, row.id)?;
                open_again(tx, &row)?;
                if let Some(since) = self.plan.applied_at {
                    follow::moved_no_more(tx, &row, since)?;
                }
            }
        }
        // What was to be told of it before the plan is so again.
        let is_back = matches!(was.outcome, Outcome::Moved | Outcome::Cancelled);
        if let Some(applied_at) = self.plan.applied_at.filter(|_| is_back) {
            task::untold_again(tx, row.id, applied_at)?;
        }
        let patient = Facts { patient: Some(row.patient_id), ..self.facts };
        tx.record(Action::MoveAppointment, "Appointment", was.appointment.0, &patient);
        Ok(())
    }

    /// Tells of visits that stay as the plan has put them. Of what somebody has changed since, they have
    /// heard.
    fn tell_of(&self, tx: &mut Tx, left: &[OutcomeRow]) -> Result<(), Error> {
        use AppointmentStatus::{Arrived, Booked, Pending};
        let ids: Vec<AppointmentId> = left.iter().map(|one| one.appointment).collect();
        let mut told = Told::default();
        for visit in affected::of(tx, &ids)? {
            let Some(was) = left.iter().find(|one| one.appointment == visit.id) else { continue };
            let row = appointment::find_row(tx, visit.id)?;
            let is_there = (Some(visit.practitioner), Some(visit.start))
                == (was.to_practitioner, was.to_start);
            let fate = match was.outcome {
                Outcome::Moved if self.is_taken_offer(was) => None,
                Outcome::Moved => {
                    let is_promised = matches!(row.status, Booked | Arrived);
                    (is_there && is_promised).then_some(Fate::Moved)
                }
                Outcome::Cancelled => {
                    let by_leave = row.cancellation_code == Some(CancellationCode::Leave);
                    let is_known = was.from_status != Some(Pending);
                    (by_leave && is_known).then_some(Fate::CalledOff)
                }
                Outcome::Replaced | Outcome::Offered => None,
            };
            let news = fate.map(|fate| News {
                appointment: visit.id,
                code: visit.code.clone(),
                start: visit.start,
                local_start: visit.local_start.clone(),
                fate,
            });
            told.add(&visit, news);
        }
        told.tell(tx, &format!("left|{}", self.plan.id), tx.now)
    }
}
