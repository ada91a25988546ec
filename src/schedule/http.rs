//! Schedules and free times over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::practitioner::PractitionerId;
use crate::schedule::absence::{Absence, AbsenceFilter, AbsenceId, AddAbsence, AddedAbsence};
use crate::schedule::rules::{Schedule, SetRules};
use crate::schedule::{Slot, SlotFilter, absence, rules};

/// Lists free times, by start.
#[utoipa::path(
    tag = "schedules", operation_id = "list_slots", params(SlotFilter),
    responses(
        (status = 200, body = crate::base::page::Page<Slot>),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`range_too_wide`, `naive_time`, `unknown_reference`"),
    )
)]
#[get("/v1/slots")]
pub async fn list_slots(ctx: Ctx, filter: Query<SlotFilter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list_slots(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows a practitioner's weekly working hours.
#[utoipa::path(
    tag = "schedules", operation_id = "find_schedule",
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 200, body = Schedule),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/practitioners/{id}/schedule")]
pub async fn find_schedule(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| rules::find(tx, id.0)).await?)
}

/// Replaces a practitioner's weekly working hours. Booked visits stay booked.
#[utoipa::path(
    tag = "schedules", operation_id = "replace_schedule", request_body = SetRules,
    params(("id" = PractitionerId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = Schedule),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`: a rule runs backward, or two of one day overlap"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[put("/v1/practitioners/{id}/schedule")]
pub async fn replace_schedule(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<SetRules>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let saved = ctx.write(move |tx| rules::replace(tx, id.0, version, &wanted.value)).await?;
    ctx::ok(&saved)
}

/// Lists a practitioner's absences, those to come first.
#[utoipa::path(
    tag = "schedules", operation_id = "list_absences",
    params(("id" = PractitionerId, Path), AbsenceFilter),
    responses(
        (status = 200, body = crate::base::page::Page<Absence>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/practitioners/{id}/absences")]
pub async fn list_absences(
    ctx: Ctx,
    id: Path<PractitionerId>,
    filter: Query<AbsenceFilter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| absence::list(tx, id.0, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Adds an absence and names the booked visits it hits.
#[utoipa::path(
    tag = "schedules", operation_id = "add_absence", request_body = AddAbsence,
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 201, body = AddedAbsence),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `in_the_past`, `naive_time`"),
    )
)]
#[post("/v1/practitioners/{id}/absences")]
pub async fn add_absence(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<AddAbsence>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, wanted, move |tx, wanted| absence::add(tx, id.0, &wanted)).await
}

/// Removes an absence.
#[utoipa::path(
    tag = "schedules", operation_id = "remove_absence",
    params(("id" = PractitionerId, Path), ("absence" = AbsenceId, Path)),
    responses(
        (status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[delete("/v1/practitioners/{id}/absences/{absence}")]
pub async fn remove_absence(
    ctx: Ctx,
    path: Path<(PractitionerId, AbsenceId)>,
) -> Result<HttpResponse, Error> {
    let (practitioner, id) = path.0;
    ctx.write(move |tx| absence::remove(tx, practitioner, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
