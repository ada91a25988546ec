//! A plan is carried out in one step, and taken back in one step.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::affected::{self, Affected};
use crate::appointment::reschedule::{RescheduleAppointment, put_elsewhere};
use crate::appointment::{self, AppointmentId, needed};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::illness_plans;
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message::outbox;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::absence::{self, AbsenceStatus};
use crate::schedule::free::Asker;
use crate::schedule::leave::assign::Place;
use crate::schedule::leave::plan::{
    Act, IllnessPlan, PlanConflict, PlanId, PlanRow, PlanStatus, advance, proposals, row, show,
};
use crate::schedule::leave::settle::{Deed, Told, settle, take_all_turns};
use crate::schedule::leave::{
    AbsenceRow, Outcome, OutcomeRow, facts, find_row, forget, inside, outcomes, set_status,
    undecided,
};

/// How long an applied plan can be taken back, in minutes.
const UNDO_MINUTES: i64 = 10;

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
    advance(tx, &plan, version.unwrap_or(plan.version), PlanStatus::Draft)?;
    let range = (plan.starts_at, plan.ends_at);
    let (absence, _) = absence::insert(tx, plan.practitioner, range, None)?;
    set_status(tx, absence, AbsenceStatus::Open)?;
    let absence = find_row(tx, absence)?;
    let undo_until = tx.now.plus(TimeDelta::minutes(UNDO_MINUTES));
    let told = settle_all(tx, &plan, &absence, &facts)?;
    told.tell(tx, &message_key(id), undo_until)?;
    let left = inside(tx, &absence)?;
    let decided = outcomes(tx, absence.id)?;
    if undecided(tx, &left, &decided).is_empty() {
        set_status(tx, absence.id, AbsenceStatus::Complete)?;
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
    plan: &PlanRow,
    absence: &AbsenceRow,
    facts: &Facts,
) -> Result<Told, Error> {
    let by = tx.person()?.account;
    let rows = proposals(tx, plan.id)?;
    let mut visits: Vec<Affected> = inside(tx, absence)?;
    visits.sort_by_key(|visit| (std::cmp::Reverse(visit.priority), visit.start, visit.id));
    take_all_turns(tx, facts, &visits, rows.iter().filter_map(|row| row.practitioner))?;
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

/// Takes an applied plan back, all of it or nothing: every visit is where it was, the absence is
/// gone, and nobody hears of it; only what was no more than held, and is not any more, stays called
/// off. 410 `undo_over` after ten minutes; 409 `plan_conflicts` names what is in the way. Undoing twice
/// is once.
pub fn undo(tx: &mut Tx, id: PlanId) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let facts = facts(tx, plan.practitioner)?;
    tx.allow(Action::SettleLeave, &facts)?;
    match plan.status {
        PlanStatus::Undone => return show(tx, id),
        PlanStatus::Draft => return Err(Error::from(&problem::BAD_STATE)),
        PlanStatus::Applied => {}
    }
    if plan.undo_until.is_none_or(|until| until <= tx.now) {
        return Err(Error::from(&problem::UNDO_OVER));
    }
    advance(tx, &plan, plan.version, PlanStatus::Undone)?;
    let Some(absence) = plan.absence else { return Err(Error::from(&problem::BAD_STATE)) };
    let absence = find_row(tx, absence)?;
    let decided = outcomes(tx, absence.id)?;
    let planned = proposals(tx, id)?;
    let ids: Vec<AppointmentId> = decided.iter().map(|one| one.appointment).collect();
    let visits = affected::of(tx, &ids)?;
    take_all_turns(tx, &facts, &visits, decided.iter().filter_map(|one| one.to_practitioner))?;
    forget(tx, &absence)?;
    let mut conflicts = Vec::new();
    for one in &decided {
        let offered =
            planned.iter().any(|row| row.appointment == one.appointment && row.act == Act::Offer);
        if offered && one.outcome == Outcome::Moved {
            let code = "offer_taken";
            conflicts.push(PlanConflict { appointment: one.appointment, code });
        } else if let Err(error) = tx.attempt(|tx| put_back(tx, one, plan.practitioner, &facts)) {
            conflicts.push(match conflict(one.appointment, error)? {
                PlanConflict { appointment, code: "conflict" } => {
                    PlanConflict { appointment, code: "changed_meanwhile" }
                }
                other => other,
            });
        }
    }
    if !conflicts.is_empty() {
        return Err(in_the_way(&conflicts));
    }
    let mut patients: Vec<PatientId> = visits.iter().map(|visit| visit.patient).collect();
    patients.sort_unstable();
    patients.dedup();
    for patient in patients {
        outbox::withdraw(tx, &format!("{}|{patient}", message_key(id)))?;
    }
    tx.record(Action::SettleLeave, "IllnessPlan", id.0, &facts);
    show(tx, id)
}

/// Puts a visit back where it was before the plan.
fn put_back(
    tx: &mut Tx,
    was: &OutcomeRow,
    ill: PractitionerId,
    facts: &Facts,
) -> Result<(), Error> {
    let row = appointment::find_row(tx, was.appointment)?;
    let patient = Facts { patient: Some(row.patient_id), ..*facts };
    match was.outcome {
        Outcome::Offered => return Ok(()),
        Outcome::Replaced => {
            let there = (row.practitioner_id, row.starts_at);
            let helper = was.to_helper.filter(|_| there == (was.from_practitioner, was.from_start));
            let helper = helper.ok_or_else(|| Error::from(&problem::CONFLICT))?;
            needed::replace(tx, &row, helper.0, Some(ill.0))?;
        }
        Outcome::Cancelled => {
            // What was no more than held, and is not any more, went nowhere.
            if !affected::reinstate(tx, was.appointment, was.held_until)? {
                return Ok(());
            }
        }
        Outcome::Moved => {
            let there = (Some(row.practitioner_id), Some(row.starts_at));
            if there != (was.to_practitioner, was.to_start)
                || row.status != AppointmentStatus::Booked
            {
                return Err(Error::from(&problem::CONFLICT));
            }
            let back = RescheduleAppointment {
                start: was.from_start,
                practitioner: Some(was.from_practitioner),
                reason: None,
                dry_run: false,
            };
            let by = tx.person()?.account;
            put_elsewhere(tx, &row, &back, (by, Asker::Triage))?;
        }
    }
    tx.record(Action::MoveAppointment, "Appointment", was.appointment.0, &patient);
    Ok(())
}
