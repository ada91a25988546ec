//! Leave, illness and offered times over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::appointment::choice::is_elsewhere_free;
use crate::appointment::{Appointment, AppointmentId};
use crate::base::body::{Body, Empty, Path};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::problem;
use crate::practitioner::PractitionerId;
use crate::schedule::absence::AbsenceId;
use crate::schedule::leave::apply::UndoPlan;
use crate::schedule::leave::offer::{ChooseTime, Offer};
use crate::schedule::leave::plan::{EditPlan, IllnessPlan, PlanId, PlanIllness};
use crate::schedule::leave::settle::DecideOutcomes;
use crate::schedule::leave::{SettledAbsence, apply, complete, find, offer, plan, settle};

/// Shows an absence and what became of each visit that it hits.
#[utoipa::path(
    tag = "leave", operation_id = "find_absence",
    params(("id" = AbsenceId, Path)),
    responses((status = 200, body = SettledAbsence))
)]
#[get("/v1/absences/{id}")]
pub async fn find_absence(ctx: Ctx, id: Path<AbsenceId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| find(tx, id.0)).await?)
}

/// Decides what becomes of visits that an absence hits: of all that are named, or of none.
#[utoipa::path(
    tag = "leave", operation_id = "decide_outcomes", request_body = DecideOutcomes,
    params(("id" = AbsenceId, Path)),
    responses(
        (status = 200, body = SettledAbsence),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`slot_taken`, `patient_busy`, `resource_busy`, `bad_state` or \
                `nothing_to_offer`; `appointment` says which, and what cannot be moved to a time has up \
                to three `alternatives`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`; as above"),
    )
)]
#[post("/v1/absences/{id}/outcomes")]
pub async fn decide_outcomes(
    ctx: Ctx,
    id: Path<AbsenceId>,
    wanted: Body<DecideOutcomes>,
) -> Result<HttpResponse, Error> {
    let wish = wanted.value.clone();
    let decided =
        ctx.once(StatusCode::OK, wanted, move |tx, wanted| settle::decide(tx, id.0, &wanted)).await;
    match decided {
        Err(refusal) if is_elsewhere_free(&refusal) => {
            let which = refusal.member("appointment").cloned();
            let free = ctx.read(move |tx| settle::alternatives(tx, &wish, which.as_ref())).await;
            // Whoever may not look for them hears what was refused all the same.
            Err(refusal.with("alternatives", free.unwrap_or_default()))
        }
        answer => answer,
    }
}

/// Says that every visit that an absence hits has its outcome.
#[utoipa::path(
    tag = "leave", operation_id = "complete_absence",
    params(("id" = AbsenceId, Path)),
    responses(
        (status = 200, body = SettledAbsence),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visits_open`; `visits` names those without an outcome"),
    )
)]
#[post("/v1/absences/{id}/complete")]
pub async fn complete_absence(
    ctx: Ctx,
    id: Path<AbsenceId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| complete(tx, id.0)).await
}

/// Proposes what shall become of the visits of somebody who is ill. Nothing is moved yet.
#[utoipa::path(
    tag = "leave", operation_id = "plan_illness", request_body = PlanIllness,
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 201, body = IllnessPlan),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`range_too_wide`: more than 7 days or 200 visits; `in_the_past`"),
    )
)]
#[post("/v1/practitioners/{id}/illness-plans")]
pub async fn plan_illness(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<PlanIllness>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, wanted, move |tx, wanted| plan::create(tx, id.0, wanted)).await
}

/// Shows a plan.
#[utoipa::path(
    tag = "leave", operation_id = "find_illness_plan",
    params(("id" = PlanId, Path)),
    responses((status = 200, body = IllnessPlan))
)]
#[get("/v1/illness-plans/{id}")]
pub async fn find_illness_plan(ctx: Ctx, id: Path<PlanId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| plan::find(tx, id.0)).await?)
}

/// Changes single proposals of a plan that was not applied.
#[utoipa::path(
    tag = "leave", operation_id = "edit_illness_plan", request_body = EditPlan,
    params(("id" = PlanId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = IllnessPlan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: it was applied"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/illness-plans/{id}")]
pub async fn edit_illness_plan(
    ctx: Ctx,
    id: Path<PlanId>,
    change: Body<EditPlan>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| plan::edit(tx, id.0, version, &change.value)).await?;
    ctx::ok(&edited)
}

/// Does what a plan says, all of it or nothing.
#[utoipa::path(
    tag = "leave", operation_id = "apply_illness_plan",
    params(
        ("id" = PlanId, Path),
        ("If-Match" = Option<String>, Header, description = "Refuses when it was changed meanwhile."),
    ),
    responses(
        (status = 200, body = IllnessPlan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`plan_conflicts`; `conflicts` names each visit that no longer fits, \
                and why"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/illness-plans/{id}/apply")]
pub async fn apply_illness_plan(
    ctx: Ctx,
    id: Path<PlanId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match_sent()?;
    ctx.once(StatusCode::OK, nothing, move |tx, _| apply::apply(tx, id.0, version)).await
}

/// Takes an applied plan back within ten minutes, all of it but for visits that are named.
#[utoipa::path(
    tag = "leave", operation_id = "undo_illness_plan", request_body = UndoPlan,
    params(("id" = PlanId, Path)),
    responses(
        (status = 200, body = IllnessPlan),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`plan_conflicts`; `conflicts` names what is in the way, and can be left \
                out"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`undo_over`"),
    )
)]
#[post("/v1/illness-plans/{id}/undo")]
pub async fn undo_illness_plan(
    ctx: Ctx,
    id: Path<PlanId>,
    wanted: Body<UndoPlan>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, wanted, move |tx, wanted| apply::undo(tx, id.0, &wanted)).await
}

/// Shows the times that are held in place of a visit whose practitioner is away.
#[utoipa::path(
    tag = "leave", operation_id = "find_offer",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Offer),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`offer_over`; with up to three `alternatives`"),
    )
)]
#[get("/v1/appointments/{id}/offer")]
pub async fn find_offer(ctx: Ctx, id: Path<AppointmentId>) -> Result<HttpResponse, Error> {
    match ctx.read(move |tx| offer::find(tx, id.0)).await {
        Ok(offer) => ctx::ok(&offer),
        Err(refusal) => Err(with_alternatives(&ctx, id.0, refusal).await),
    }
}

/// Chooses one of the times that are held in place of a visit.
#[utoipa::path(
    tag = "leave", operation_id = "choose_time", request_body = ChooseTime,
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`offer_over`; with up to three `alternatives`"),
    )
)]
#[post("/v1/appointments/{id}/offer")]
pub async fn choose_time(
    ctx: Ctx,
    id: Path<AppointmentId>,
    wanted: Body<ChooseTime>,
) -> Result<HttpResponse, Error> {
    let chosen =
        ctx.once(StatusCode::OK, wanted, move |tx, wanted| offer::choose(tx, id.0, wanted)).await;
    match chosen {
        Err(refusal) => Err(with_alternatives(&ctx, id.0, refusal).await),
        chosen => chosen,
    }
}

/// Whoever comes too late for what was held hears what is free.
async fn with_alternatives(ctx: &Ctx, id: AppointmentId, refusal: Error) -> Error {
    if !refusal.is(&problem::OFFER_OVER) {
        return refusal;
    }
    let free = ctx.read(move |tx| offer::alternatives(tx, id)).await;
    refusal.with("alternatives", free.unwrap_or_default())
}
