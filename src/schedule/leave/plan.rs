//! "The doctor is ill": a plan for all visits of some time. It is made as a preview, can be
//! edited, is applied in one step, and can be taken back for ten minutes.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::appointment::affected;
use crate::appointment::{self, AppointmentId, Priority};
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{illness_plans, illness_proposals};
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::patient::PatientId;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::absence::AbsenceId;
use crate::schedule::leave::assign::{Place, Why};
use crate::schedule::leave::preview::{self, Proposed};
use crate::schedule::leave::{Names, facts};

id!(
    /// A plan for the visits of somebody who is ill.
    PlanId
);

text_enum!(
    /// Where a plan stands.
    PlanStatus {
        /// Nothing was moved yet.
        Draft = "draft",
        /// Done; it can be taken back until `undo_until`.
        Applied = "applied",
        /// Done and taken back.
        Undone = "undone",
    }
);

text_enum!(
    /// What a plan does with a visit.
    Act {
        /// Puts it to another practitioner or time.
        Move = "move",
        /// Lets somebody else help in place of the one who is ill.
        Replace = "replace",
        /// Lets its patient choose among times that are held.
        Offer = "offer",
        /// Calls it off.
        Cancel = "cancel",
        /// Nothing: somebody decides later.
        Keep = "keep",
    }
);

/// The longest time that one plan covers, in days.
const PLAN_DAYS_MAX: i64 = 7;
/// The most visits of one plan.
const VISITS_MAX: i64 = 200;

/// When somebody is ill.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanIllness {
    /// From when, RFC 3339 with an offset.
    pub from: Instant,
    /// Until when, at most 7 days later.
    pub to: Instant,
}

/// What a plan does with a visit, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownProposal {
    /// The visit.
    pub appointment: AppointmentId,
    /// Its booking code.
    pub code: String,
    /// Where it stands now.
    pub status: AppointmentStatus,
    /// How soon it must be.
    pub priority: Priority,
    /// For whom.
    pub patient: Named<PatientId>,
    /// When it was to begin as the plan was made.
    pub from_start: Instant,
    /// The same on the patient's clock.
    pub from_local_start: String,
    /// The IANA zone of that clock.
    pub time_zone: String,
    /// What the plan does with it.
    pub act: Act,
    /// With whom it is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Named<PractitionerId>>,
    /// When it begins then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Instant>,
    /// The same on the patient's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_start: Option<String>,
    /// Why, as codes.
    pub why: Vec<Why>,
}

/// A plan for the visits of somebody who is ill.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IllnessPlan {
    /// Its id.
    pub id: PlanId,
    /// Who is ill.
    pub practitioner: Named<PractitionerId>,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// Where it stands.
    pub status: PlanStatus,
    /// The absence that applying it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absence: Option<AbsenceId>,
    /// Until when it can be taken back; patients hear of it after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Instant>,
    /// What it does, the most urgent visit first, then by start.
    pub proposals: Vec<ShownProposal>,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// A proposal that no longer fits, or something in the way of taking a plan back.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanConflict {
    /// The visit.
    pub appointment: AppointmentId,
    /// What is in the way: the code of the refusal, or `not_in_plan`, `changed_meanwhile`,
    /// `offer_taken`.
    pub code: &'static str,
}

#[derive(Debug, Clone, Copy, Queryable)]
pub(super) struct PlanRow {
    pub(super) id: PlanId,
    pub(super) practitioner: PractitionerId,
    pub(super) starts_at: Instant,
    pub(super) ends_at: Instant,
    pub(super) status: PlanStatus,
    pub(super) absence: Option<AbsenceId>,
    pub(super) applied_at: Option<Instant>,
    pub(super) undo_until: Option<Instant>,
    pub(super) version: i32,
}

#[derive(Debug, Clone, Queryable)]
pub(super) struct ProposalRow {
    pub(super) appointment: AppointmentId,
    pub(super) act: Act,
    pub(super) practitioner: Option<PractitionerId>,
    pub(super) starts_at: Option<Instant>,
    pub(super) from_start: Instant,
    pub(super) why: String,
}

pub(super) fn row(tx: &mut Tx, id: PlanId) -> Result<PlanRow, Error> {
    illness_plans::table
        .find(id)
        .select((
            illness_plans::id,
            illness_plans::practitioner_id,
            illness_plans::starts_at,
            illness_plans::ends_at,
            illness_plans::status,
            illness_plans::absence_id,
            illness_plans::applied_at,
            illness_plans::undo_until,
            illness_plans::version,
        ))
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

pub(super) fn proposals(tx: &mut Tx, id: PlanId) -> Result<Vec<ProposalRow>, Error> {
    Ok(illness_proposals::table
        .filter(illness_proposals::plan_id.eq(id))
        .select((
            illness_proposals::appointment_id,
            illness_proposals::act,
            illness_proposals::practitioner_id,
            illness_proposals::starts_at,
            illness_proposals::from_starts_at,
            illness_proposals::why,
        ))
        .load(tx.conn)?)
}

/// Makes a plan as a preview: nothing is moved, nobody is told.
pub fn create(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: PlanIllness,
) -> Result<IllnessPlan, Error> {
    let facts = facts(tx, practitioner)?;
    tx.allow(Action::SettleLeave, &facts)?;
    if wanted.to <= wanted.from {
        return Err(Error::field(&problem::INVALID_BODY, "/to"));
    }
    if wanted.to <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/to"));
    }
    if wanted.to.since(wanted.from) > TimeDelta::days(PLAN_DAYS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    let range = (wanted.from, wanted.to);
    let visits = affected::within(tx, practitioner, range, VISITS_MAX.saturating_add(1))?;
    if i64::try_from(visits.len()).is_ok_and(|many| many > VISITS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    let ill = practitioner::find_row(tx, practitioner)?;
    let proposed = preview::propose(tx, &ill, wanted.to, &visits)?;
    let id = PlanId::new(tx.now);
    diesel::insert_into(illness_plans::table)
        .values((
            illness_plans::id.eq(id),
            illness_plans::practitioner_id.eq(practitioner),
            illness_plans::starts_at.eq(wanted.from),
            illness_plans::ends_at.eq(wanted.to),
            illness_plans::status.eq(PlanStatus::Draft),
            illness_plans::created_by.eq(tx.person()?.account),
            illness_plans::created_at.eq(tx.now),
            illness_plans::version.eq(1),
        ))
        .execute(tx.conn)?;
    for one in &proposed {
        put(tx, id, one)?;
    }
    tx.record(Action::SettleLeave, "IllnessPlan", id.0, &facts);
    show(tx, id)
}

fn put(tx: &mut Tx, plan: PlanId, one: &Proposed) -> Result<(), Error> {
    let why: Vec<&str> = one.why.iter().map(|why| why.as_str()).collect();
    diesel::insert_into(illness_proposals::table)
        .values((
            illness_proposals::plan_id.eq(plan),
            illness_proposals::appointment_id.eq(one.visit),
            illness_proposals::act.eq(one.act),
            illness_proposals::practitioner_id.eq(one.place.map(|place| place.practitioner)),
            illness_proposals::starts_at.eq(one.place.map(|place| place.start)),
            illness_proposals::from_starts_at.eq(one.from_start),
            illness_proposals::why.eq(why.join(" ")),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Shows a plan. 404 when it is not there or not the caller's to see.
pub fn find(tx: &mut Tx, id: PlanId) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let facts = facts(tx, plan.practitioner)?;
    tx.allow(Action::ReadLeave, &facts)?;
    show(tx, id)
}

pub(super) fn show(tx: &mut Tx, id: PlanId) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let mut rows = proposals(tx, id)?;
    let ids: Vec<AppointmentId> = rows.iter().map(|row| row.appointment).collect();
    let visits = affected::of(tx, &ids)?;
    let visit = |id| visits.iter().find(|visit| visit.id == id);
    rows.sort_by_key(|row| {
        let priority = visit(row.appointment).map(|visit| visit.priority);
        (std::cmp::Reverse(priority), row.from_start, row.appointment)
    });
    let mut names = Names::default();
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(visit) = visit(row.appointment) else { continue };
        let zone = Zone::of_stored(&visit.time_zone);
        let practitioner = match row.practitioner {
            Some(id) => Some(names.of(tx, id)?),
            None => None,
        };
        let why = row.why.split_whitespace().map(str::parse).collect::<Result<Vec<Why>, _>>();
        shown.push(ShownProposal {
            appointment: visit.id,
            code: visit.code.clone(),
            status: visit.status,
            priority: visit.priority,
            patient: Named { id: visit.patient, name: visit.patient_name.clone() },
            from_start: row.from_start,
            from_local_start: zone::local(row.from_start, zone),
            time_zone: visit.time_zone.clone(),
            act: row.act,
            practitioner,
            start: row.starts_at,
            local_start: row.starts_at.map(|start| zone::local(start, zone)),
            why: why.map_err(|_unknown| Error::Internal("a stored reason is none"))?,
        });
    }
    Ok(IllnessPlan {
        id,
        practitioner: names.of(tx, plan.practitioner)?,
        from: plan.starts_at,
        to: plan.ends_at,
        status: plan.status,
        absence: plan.absence,
        undo_until: plan.undo_until,
        proposals: shown,
        version: plan.version,
    })
}

/// Another word on one visit of a plan.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditProposal {
    /// Which.
    pub appointment: AppointmentId,
    /// What shall become of it.
    pub act: Act,
    /// With whom, when it is moved; left out: with the same.
    pub practitioner: Option<PractitionerId>,
    /// When, when it is moved; left out: at the same time.
    pub start: Option<Instant>,
}

/// Other words on some visits of a plan; the others stay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditPlan {
    /// At most 200; a visit that was booked since the plan was made can be named too.
    pub proposals: Vec<EditProposal>,
}

/// Changes single proposals of a plan that was not applied. 412 when somebody was faster.
pub fn edit(
    tx: &mut Tx,
    id: PlanId,
    version: i32,
    change: &EditPlan,
) -> Result<IllnessPlan, Error> {
    let plan = row(tx, id)?;
    let facts = facts(tx, plan.practitioner)?;
    tx.allow(Action::SettleLeave, &facts)?;
    if plan.status != PlanStatus::Draft {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if i64::try_from(change.proposals.len()).is_ok_and(|many| many > VISITS_MAX) {
        return Err(Error::field(&problem::INVALID_BODY, "/proposals"));
    }
    advance(tx, &plan, version, PlanStatus::Draft)?;
    let known = proposals(tx, id)?;
    let range = (plan.starts_at, plan.ends_at);
    let inside = affected::within(tx, plan.practitioner, range, VISITS_MAX.saturating_add(1))?;
    for (at, one) in change.proposals.iter().enumerate() {
        let pointer = |field: &str| format!("/proposals/{at}/{field}");
        let from_start = known
            .iter()
            .find(|row| row.appointment == one.appointment)
            .map(|row| row.from_start)
            .or_else(|| {
                inside.iter().find(|visit| visit.id == one.appointment).map(|visit| visit.start)
            })
            .ok_or_else(|| Error::field(&problem::UNKNOWN_REFERENCE, &pointer("appointment")))?;
        let names_a_place = one.practitioner.is_some() || one.start.is_some();
        if names_a_place != (one.act == Act::Move) {
            return Err(Error::field(&problem::INVALID_BODY, &pointer("act")));
        }
        let place = (one.act == Act::Move).then(|| Place {
            practitioner: one.practitioner.unwrap_or(plan.practitioner),
            start: one.start.unwrap_or(from_start),
        });
        if let Some(place) = place {
            let service = appointment::find_row(tx, one.appointment)?.service_id;
            if practitioner::of_service(tx, service, Some(place.practitioner))?.is_empty() {
                let pointer = pointer("practitioner");
                return Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer));
            }
        }
        diesel::delete(illness_proposals::table.find((id, one.appointment))).execute(tx.conn)?;
        let (visit, why) = (one.appointment, vec![Why::Edited]);
        put(tx, id, &Proposed { visit, from_start, act: one.act, place, why })?;
    }
    tx.record(Action::SettleLeave, "IllnessPlan", id.0, &facts);
    show(tx, id)
}

/// The guarded change of a plan's row: 412 when it is no longer the version that was read.
pub(super) fn advance(
    tx: &mut Tx,
    plan: &PlanRow,
    version: i32,
    to: PlanStatus,
) -> Result<(), Error> {
    let changed = diesel::update(
        illness_plans::table
            .filter(illness_plans::id.eq(plan.id))
            .filter(illness_plans::status.eq(plan.status))
            .filter(illness_plans::version.eq(version)),
    )
    .set((illness_plans::status.eq(to), illness_plans::version.eq(version.saturating_add(1))))
    .execute(tx.conn)?;
    if changed == 0 { Err(Error::from(&problem::STALE_VERSION)) } else { Ok(()) }
}
