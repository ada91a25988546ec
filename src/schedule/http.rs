//! Schedules and free times over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::organization::OrganizationId;
use crate::practitioner::PractitionerId;
use crate::schedule::absence::{Absence, AbsenceFilter, AbsenceId, AddAbsence, AddedAbsence};
use crate::schedule::board::{Board, BoardFilter};
use crate::schedule::closure::{AddClosure, Closure, ClosureFilter, ClosureId, HittingClosure};
use crate::schedule::extra::{AddExtraHours, ExtraHours, ExtraHoursFilter, ExtraHoursId};
use crate::schedule::rules::{Schedule, SetRules};
use crate::schedule::slots::{Slot, SlotFilter};
use crate::schedule::{absence, board, closure, extra, rules, slots};

/// Lists free times.
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
    let page = ctx.read(move |tx| slots::list(tx, &filter.0)).await?;
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
            description = "`invalid_body`: a rule runs backward, or two of one day overlap; \
                `unknown_reference`: no such place, or not a service of theirs"),
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

/// Lists a practitioner's extra hours, those to come first.
#[utoipa::path(
    tag = "schedules", operation_id = "list_extra_hours",
    params(("id" = PractitionerId, Path), ExtraHoursFilter),
    responses(
        (status = 200, body = crate::base::page::Page<ExtraHours>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/practitioners/{id}/extra-hours")]
pub async fn list_extra_hours(
    ctx: Ctx,
    id: Path<PractitionerId>,
    filter: Query<ExtraHoursFilter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| extra::list(tx, id.0, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Adds hours in which a practitioner works besides the weekly ones.
#[utoipa::path(
    tag = "schedules", operation_id = "add_extra_hours", request_body = AddExtraHours,
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 201, body = ExtraHours),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `in_the_past`, `naive_time`, `unknown_reference`"),
    )
)]
#[post("/v1/practitioners/{id}/extra-hours")]
pub async fn add_extra_hours(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<AddExtraHours>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, wanted, move |tx, wanted| extra::add(tx, id.0, &wanted)).await
}

/// Removes extra hours. Booked visits stay booked.
#[utoipa::path(
    tag = "schedules", operation_id = "remove_extra_hours",
    params(("id" = PractitionerId, Path), ("extra" = ExtraHoursId, Path)),
    responses(
        (status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[delete("/v1/practitioners/{id}/extra-hours/{extra}")]
pub async fn remove_extra_hours(
    ctx: Ctx,
    path: Path<(PractitionerId, ExtraHoursId)>,
) -> Result<HttpResponse, Error> {
    let (practitioner, id) = path.0;
    ctx.write(move |tx| extra::remove(tx, practitioner, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists when a clinic is closed, what is to come first.
#[utoipa::path(
    tag = "schedules", operation_id = "list_closures",
    params(("id" = OrganizationId, Path), ClosureFilter),
    responses(
        (status = 200, body = crate::base::page::Page<Closure>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/closures")]
pub async fn list_closures(
    ctx: Ctx,
    id: Path<OrganizationId>,
    filter: Query<ClosureFilter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| closure::list(tx, id.0, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Closes a clinic for some days and names the booked visits it hits.
#[utoipa::path(
    tag = "schedules", operation_id = "add_closure", request_body = AddClosure,
    params(("id" = OrganizationId, Path)),
    responses(
        (status = 201, body = HittingClosure),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `in_the_past`"),
    )
)]
#[post("/v1/organizations/{id}/closures")]
pub async fn add_closure(
    ctx: Ctx,
    id: Path<OrganizationId>,
    wanted: Body<AddClosure>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, wanted, move |tx, wanted| closure::add(tx, id.0, &wanted)).await
}

/// Shows a closure and the booked visits that it hits now.
#[utoipa::path(
    tag = "schedules", operation_id = "find_closure",
    params(("id" = OrganizationId, Path), ("closure" = ClosureId, Path)),
    responses(
        (status = 200, body = HittingClosure),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/closures/{closure}")]
pub async fn find_closure(
    ctx: Ctx,
    path: Path<(OrganizationId, ClosureId)>,
) -> Result<HttpResponse, Error> {
    let (clinic, id) = path.0;
    ctx::ok(&ctx.read(move |tx| closure::find(tx, clinic, id)).await?)
}

/// Opens a clinic again.
#[utoipa::path(
    tag = "schedules", operation_id = "remove_closure",
    params(("id" = OrganizationId, Path), ("closure" = ClosureId, Path)),
    responses(
        (status = 204),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[delete("/v1/organizations/{id}/closures/{closure}")]
pub async fn remove_closure(
    ctx: Ctx,
    path: Path<(OrganizationId, ClosureId)>,
) -> Result<HttpResponse, Error> {
    let (clinic, id) = path.0;
    ctx.write(move |tx| closure::remove(tx, clinic, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Shows some days of a clinic: who works when, and the visits that the caller may see.
#[utoipa::path(
    tag = "schedules", operation_id = "find_board",
    params(("id" = OrganizationId, Path), BoardFilter),
    responses(
        (status = 200, body = Board),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`range_too_wide`: more than 8 days or 3000 visits; \
                `unknown_reference`: nobody of the clinic; `naive_time`"),
    )
)]
#[get("/v1/organizations/{id}/board")]
pub async fn find_board(
    ctx: Ctx,
    id: Path<OrganizationId>,
    filter: Query<BoardFilter>,
) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| board::find(tx, id.0, filter.0)).await?)
}
