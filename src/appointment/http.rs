//! Appointments over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::appointment::book::BookAppointment;
use crate::appointment::change::{CancelAppointment, EditAppointment, MarkNoshow};
use crate::appointment::{Appointment, AppointmentId, Filter, book, change};
use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::problem;

/// Books a visit, or holds its time.
#[utoipa::path(
    tag = "appointments", operation_id = "book_appointment",
    request_body = BookAppointment,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request book once.")),
    responses(
        (status = 201, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`slot_taken`, `day_full` or `patient_busy`, with up to three `alternatives`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`, `off_grid`, `in_the_past`, `too_soon`, `too_far`, \
                `service_inactive`, `naive_time`, `unknown_reference`"),
    )
)]
#[post("/v1/appointments")]
pub async fn book_appointment(
    ctx: Ctx,
    wanted: Body<BookAppointment>,
) -> Result<HttpResponse, Error> {
    let wish = wanted.value.clone();
    match ctx.only_once(StatusCode::CREATED, wanted, book::book).await {
        Err(refusal)
            if refusal.is(&problem::SLOT_TAKEN)
                || refusal.is(&problem::DAY_FULL)
                || refusal.is(&problem::PATIENT_BUSY) =>
        {
            let free = ctx.read(move |tx| book::alternatives(tx, &wish)).await?;
            Err(refusal.with("alternatives", free))
        }
        answer => answer,
    }
}

/// Lists the appointments that the caller may see, by start.
#[utoipa::path(
    tag = "appointments", operation_id = "list_appointments", params(Filter),
    responses((status = 200, body = crate::base::page::Page<Appointment>))
)]
#[get("/v1/appointments")]
pub async fn list_appointments(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one appointment.
#[utoipa::path(
    tag = "appointments", operation_id = "find_appointment",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/appointments/{id}")]
pub async fn find_appointment(ctx: Ctx, id: Path<AppointmentId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| super::find(tx, id.0)).await?)
}

/// Changes the reason of a visit.
#[utoipa::path(
    tag = "appointments", operation_id = "edit_appointment", request_body = EditAppointment,
    params(("id" = AppointmentId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = Appointment),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/appointments/{id}")]
pub async fn edit_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    change: Body<EditAppointment>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| change::edit(tx, id.0, version, &change.value)).await?;
    ctx::ok(&edited)
}

/// Takes a held time for good.
#[utoipa::path(
    tag = "appointments", operation_id = "confirm_appointment",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`hold_over`"),
    )
)]
#[post("/v1/appointments/{id}/confirm")]
pub async fn confirm_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| change::confirm(tx, id.0)).await
}

/// Calls a visit off.
#[utoipa::path(
    tag = "appointments", operation_id = "cancel_appointment", request_body = CancelAppointment,
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: it has begun or is over"),
    )
)]
#[post("/v1/appointments/{id}/cancel")]
pub async fn cancel_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    why: Body<CancelAppointment>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, why, move |tx, why| change::cancel(tx, id.0, &why)).await
}

/// Records that the patient did not come.
#[utoipa::path(
    tag = "appointments", operation_id = "mark_noshow", request_body = MarkNoshow,
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_early` or `bad_state`"),
    )
)]
#[post("/v1/appointments/{id}/noshow")]
pub async fn mark_noshow(
    ctx: Ctx,
    id: Path<AppointmentId>,
    missed: Body<MarkNoshow>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, missed, move |tx, missed| change::mark_noshow(tx, id.0, &missed)).await
}
