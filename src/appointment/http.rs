//! Appointments over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::appointment::answer::{self, AnswerOffer, AnsweredOffer};
use crate::appointment::book::BookAppointment;
use crate::appointment::change::{
    CancelAppointment, DeclineAppointment, EditAppointment, MarkNoshow,
};
use crate::appointment::lookup::{self, Found, LookUp};
use crate::appointment::promise::{self, BrokenFilter, ClinicPromise};
use crate::appointment::reschedule::{self, RescheduleAppointment};
use crate::appointment::series::{self, BookSeries, Series};
use crate::appointment::{Appointment, AppointmentId, Filter, book, change, choice};
use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::problem;
use crate::organization::OrganizationId;

/// Books a visit, holds its time, or asks for it.
#[utoipa::path(
    tag = "appointments", operation_id = "book_appointment",
    request_body = BookAppointment,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request book once.")),
    responses(
        (status = 201, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`slot_taken`, `day_full`, `patient_busy` or `resource_busy`, with up to \
                three `alternatives`; `no_overbooking`, `too_many_holds`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`, `off_grid` or `too_soon`, with up to three `alternatives`; \
                `off_minute`, `not_today`, `in_the_past`, `too_far`, `service_inactive`, `naive_time`, `unknown_reference`"),
    )
)]
#[post("/v1/appointments")]
pub async fn book_appointment(
    ctx: Ctx,
    wanted: Body<BookAppointment>,
) -> Result<HttpResponse, Error> {
    let wish = wanted.value.clone();
    match ctx.only_once(StatusCode::CREATED, wanted, book::book).await {
        Err(refusal) if choice::is_elsewhere_free(&refusal) => {
            let free = ctx.read(move |tx| choice::alternatives(tx, &wish)).await?;
            Err(refusal.with("alternatives", free))
        }
        answer => answer,
    }
}

/// Says whether a visit is booked, to whoever knows its code and the patient's birth date.
#[utoipa::path(
    tag = "appointments", operation_id = "look_up_appointment", security(()),
    request_body = LookUp,
    responses(
        (status = 200, body = Found),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not_found`, whichever of the two is wrong"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`; `Retry-After` says when"),
    )
)]
#[post("/v1/appointments/lookup")]
pub async fn look_up_appointment(ctx: Ctx, wanted: Body<LookUp>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(lookup::look_up(&ctx, wanted.value).await?))
}

/// Shows offered times, or answers, for whoever has a booking code, or that of a wish on the waiting
/// list, and a birth date.
#[utoipa::path(
    tag = "appointments", operation_id = "answer_offer", security(()), request_body = AnswerOffer,
    responses(
        (status = 200, body = AnsweredOffer),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not_found`, whichever is wrong, or nothing was offered"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`offer_over`; with up to three `alternatives`"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`; `Retry-After` says when"),
    )
)]
#[post("/v1/offers/answer")]
pub async fn answer_offer(ctx: Ctx, wanted: Body<AnswerOffer>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(answer::answer(&ctx, wanted.value).await?))
}

/// Books several visits in a row, or says which of them could be booked.
#[utoipa::path(
    tag = "appointments", operation_id = "book_series", request_body = BookSeries,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request book once.")),
    responses(
        (status = 200, body = Series, description = "Each visit with what came of it"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `in_the_past`, `unknown_reference`"),
    )
)]
#[post("/v1/appointments/series")]
pub async fn book_series(ctx: Ctx, wanted: Body<BookSeries>) -> Result<HttpResponse, Error> {
    ctx.only_once(StatusCode::OK, wanted, |tx, wanted| series::book_series(tx, &wanted)).await
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
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`practitioner_gone`, with up to three `alternatives`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`: somebody is away then, or the clinic is closed; with up to three `alternatives`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`hold_over`, with up to three `alternatives`"),
    )
)]
#[post("/v1/appointments/{id}/confirm")]
pub async fn confirm_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let answer = ctx.once(StatusCode::OK, nothing, move |tx, _| change::confirm(tx, id.0)).await;
    with_alternatives(&ctx, id.0, None, answer).await
}

/// Adds the next free times for a visit to a refusal that says that the wished one, or its own, is gone, or
/// cannot be.
async fn with_alternatives(
    ctx: &Ctx,
    id: AppointmentId,
    wish: Option<RescheduleAppointment>,
    answer: Result<HttpResponse, Error>,
) -> Result<HttpResponse, Error> {
    match answer {
        Err(refusal) if choice::is_elsewhere_free(&refusal) || refusal.is(&problem::HOLD_OVER) => {
            let free = ctx.read(move |tx| reschedule::alternatives(tx, id, wish.as_ref())).await?;
            Err(refusal.with("alternatives", free))
        }
        answer => answer,
    }
}

/// Puts a visit that has not begun to another time, in place.
#[utoipa::path(
    tag = "appointments", operation_id = "reschedule_appointment",
    request_body = RescheduleAppointment,
    params(
        ("id" = AppointmentId, Path),
        ("If-Match" = Option<String>, Header, description = "Refuses when it was changed meanwhile."),
    ),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`slot_taken`, `patient_busy` or `resource_busy`, with up to three \
                `alternatives`; `bad_state`: it has begun or is over; `note_signed`: a note about it \
                is signed"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`, `off_grid` or `too_soon`, with up to three `alternatives`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`hold_over`, with up to three `alternatives`"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/appointments/{id}/reschedule")]
pub async fn reschedule_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    wanted: Body<RescheduleAppointment>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match_sent()?;
    let (id, wish) = (id.0, wanted.value.clone());
    let moved = ctx
        .once(StatusCode::OK, wanted, move |tx, wanted| {
            reschedule::reschedule(tx, id, version, &wanted)
        })
        .await;
    with_alternatives(&ctx, id, Some(wish), moved).await
}

/// Takes on a visit that was asked for.
#[utoipa::path(
    tag = "appointments", operation_id = "accept_appointment",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`hold_over`: nobody answered in time; with up to three `alternatives`"),
    )
)]
#[post("/v1/appointments/{id}/accept")]
pub async fn accept_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let answer = ctx.once(StatusCode::OK, nothing, move |tx, _| change::accept(tx, id.0)).await;
    with_alternatives(&ctx, id.0, None, answer).await
}

/// Does not take on a visit that was asked for.
#[utoipa::path(
    tag = "appointments", operation_id = "decline_appointment", request_body = DeclineAppointment,
    params(("id" = AppointmentId, Path)),
    responses((status = 200, body = Appointment))
)]
#[post("/v1/appointments/{id}/decline")]
pub async fn decline_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    why: Body<DeclineAppointment>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, why, move |tx, why| change::decline(tx, id.0, &why)).await
}

/// Notes that the patient has said that they will come.
#[utoipa::path(
    tag = "appointments", operation_id = "attend_appointment",
    params(("id" = AppointmentId, Path)),
    responses((status = 200, body = Appointment))
)]
#[post("/v1/appointments/{id}/attend")]
pub async fn attend_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| change::attend(tx, id.0)).await
}

/// Takes back that somebody did not come, or came, or that a visit to come was called off.
#[utoipa::path(
    tag = "appointments", operation_id = "undo_appointment",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`, `too_late`, `note_signed`, or `slot_taken`: its time was given \
                away, with up to three `alternatives`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`outside_hours`: it was called off, and somebody is away then or the clinic \
                closed, with up to three `alternatives`"),
    )
)]
#[post("/v1/appointments/{id}/undo")]
pub async fn undo_appointment(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let answer = ctx.once(StatusCode::OK, nothing, move |tx, _| change::undo(tx, id.0)).await;
    with_alternatives(&ctx, id.0, None, answer).await
}

/// Calls a visit off.
#[utoipa::path(
    tag = "appointments", operation_id = "cancel_appointment", request_body = CancelAppointment,
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: it has begun or is over; `note_signed`: a note about it is \
                signed"),
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

/// Records that a visit did not take place, and why.
#[utoipa::path(
    tag = "appointments", operation_id = "mark_noshow", request_body = MarkNoshow,
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_early`, `bad_state`, or `note_signed`: a note about it is signed"),
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

/// Lists a clinic's visits to come whose promised local time a newer law of time zones has moved.
#[utoipa::path(
    tag = "appointments", operation_id = "list_broken_promises",
    params(("id" = OrganizationId, Path), BrokenFilter),
    responses(
        (status = 200, body = crate::base::page::Page<ClinicPromise>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/broken-promises")]
pub async fn list_broken_promises(
    ctx: Ctx,
    id: Path<OrganizationId>,
    filter: Query<BrokenFilter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| promise::list(tx, id.0, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Moves a visit to the instant at which its promised local time is shown, and tells both sides.
#[utoipa::path(
    tag = "appointments", operation_id = "keep_promise",
    params(("id" = AppointmentId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`slot_taken`: somebody is busy then, with up to three `alternatives`; \
                `bad_state`: it has begun or is over"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`hold_over`, with up to three `alternatives`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`time_in_gap`: the clocks jump over the promised time"),
    )
)]
#[post("/v1/appointments/{id}/keep-promise")]
pub async fn keep_promise(
    ctx: Ctx,
    id: Path<AppointmentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let answer = ctx.once(StatusCode::OK, nothing, move |tx, _| promise::keep(tx, id.0)).await;
    with_alternatives(&ctx, id.0, None, answer).await
}
