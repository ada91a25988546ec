//! Calendars over HTTP.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpResponse, delete, get, post, put};

use crate::appointment::AppointmentId;
use crate::base::body::{Body, Empty, Path};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};
use crate::base::problem;
use crate::calendar::external::{self, ExternalCalendar, SetExternalCalendar};
use crate::calendar::feed::{self, CalendarFeed, FeedState};
use crate::practitioner::PractitionerId;

const ICALENDAR: &str = "text/calendar; charset=utf-8";

/// A visit as a file for a calendar (RFC 5545): its name stays when the visit is moved.
#[utoipa::path(
    tag = "calendars", operation_id = "appointment_calendar",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = String, content_type = "text/calendar"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/appointments/{id}/calendar.ics")]
pub async fn appointment_calendar(
    ctx: Ctx,
    id: Path<AppointmentId>,
) -> Result<HttpResponse, Error> {
    let file = ctx.read(move |tx| super::of_appointment(tx, id.0)).await?;
    Ok(HttpResponse::Ok()
        .content_type(ICALENDAR)
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"visit.ics\""))
        .body(file))
}

/// Whether other programs can read a practitioner's busy times.
#[utoipa::path(
    tag = "calendars", operation_id = "find_calendar_feed",
    params(("id" = PractitionerId, Path)),
    responses((status = 200, body = FeedState),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[get("/v1/practitioners/{id}/calendar-feed")]
pub async fn find_calendar_feed(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(ctx.read(move |tx| feed::state(tx, id.0)).await?))
}

/// Makes a secret address under which other programs read a practitioner's busy times; the one
/// before is dead from then on.
#[utoipa::path(
    tag = "calendars", operation_id = "create_calendar_feed", request_body = Empty,
    params(("id" = PractitionerId, Path)),
    responses((status = 201, body = CalendarFeed),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[post("/v1/practitioners/{id}/calendar-feed")]
pub async fn create_calendar_feed(
    ctx: Ctx,
    id: Path<PractitionerId>,
    _nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    // Not kept with an Idempotency-Key: a lost address is replaced, not repeated.
    Ok(HttpResponse::Created().json(ctx.write(move |tx| feed::create(tx, id.0)).await?))
}

/// Ends the secret address.
#[utoipa::path(
    tag = "calendars", operation_id = "remove_calendar_feed",
    params(("id" = PractitionerId, Path)),
    responses((status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[delete("/v1/practitioners/{id}/calendar-feed")]
pub async fn remove_calendar_feed(
    ctx: Ctx,
    id: Path<PractitionerId>,
) -> Result<HttpResponse, Error> {
    ctx.write(move |tx| feed::remove(tx, id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The busy times behind a secret address: when, and nothing else.
#[utoipa::path(
    tag = "calendars", operation_id = "read_calendar_feed", security(()),
    params(("token" = String, Path)),
    responses(
        (status = 200, body = String, content_type = "text/calendar"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/calendars/{token}/busy.ics")]
pub async fn read_calendar_feed(ctx: Ctx, token: Path<String>) -> Result<HttpResponse, Error> {
    let file = ctx.read(move |tx| feed::read(tx, &token.0)).await?;
    let file = file.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    Ok(HttpResponse::Ok()
        .content_type(ICALENDAR)
        .insert_header((CACHE_CONTROL, "private, max-age=300"))
        .body(file))
}

/// How it stands with a practitioner's calendar elsewhere.
#[utoipa::path(
    tag = "calendars", operation_id = "find_external_calendar",
    params(("id" = PractitionerId, Path)),
    responses((status = 200, body = ExternalCalendar),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[get("/v1/practitioners/{id}/external-calendar")]
pub async fn find_external_calendar(
    ctx: Ctx,
    id: Path<PractitionerId>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(ctx.read(move |tx| external::find(tx, id.0)).await?))
}

/// Takes over the busy times of a calendar elsewhere, every hour.
#[utoipa::path(
    tag = "calendars", operation_id = "set_external_calendar",
    request_body = SetExternalCalendar, params(("id" = PractitionerId, Path)),
    responses((status = 200, body = ExternalCalendar),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[put("/v1/practitioners/{id}/external-calendar")]
pub async fn set_external_calendar(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<SetExternalCalendar>,
) -> Result<HttpResponse, Error> {
    let set = ctx.write(move |tx| external::set(tx, id.0, &wanted.value)).await?;
    Ok(HttpResponse::Ok().json(set))
}

/// Lets go of the calendar elsewhere, and of the times it took.
#[utoipa::path(
    tag = "calendars", operation_id = "remove_external_calendar",
    params(("id" = PractitionerId, Path)),
    responses((status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"))
)]
#[delete("/v1/practitioners/{id}/external-calendar")]
pub async fn remove_external_calendar(
    ctx: Ctx,
    id: Path<PractitionerId>,
) -> Result<HttpResponse, Error> {
    ctx.write(move |tx| external::remove(tx, id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
