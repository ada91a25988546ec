//! The waiting list over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::appointment::Appointment;
use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::problem;
use crate::waitlist::join::{self, JoinWaitlist};
use crate::waitlist::list::{self, Filter};
use crate::waitlist::{Entry, EntryId, answer, find};

/// Puts a patient on the waiting list of a service. A time that suits and is free is offered at
/// once.
#[utoipa::path(
    tag = "waitlist", operation_id = "join_waitlist", request_body = JoinWaitlist,
    responses(
        (status = 201, body = Entry, description = "`status` is `offered` when a time was free"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`already_exists`, `too_many_wishes`; `bad_state`: the visit is not to come"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_far`, `in_the_past`, `service_inactive`, `unknown_reference`"),
    )
)]
#[post("/v1/waitlist")]
pub async fn join_waitlist(ctx: Ctx, wanted: Body<JoinWaitlist>) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, wanted, |tx, wanted| join::join(tx, &wanted)).await
}

/// Lists the wishes that the caller may see, the oldest first, or as they are asked.
#[utoipa::path(
    tag = "waitlist", operation_id = "list_waitlist", params(Filter),
    responses((status = 200, body = crate::base::page::Page<Entry>))
)]
#[get("/v1/waitlist")]
pub async fn list_waitlist(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| list::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows a wish, its place in the order and why, and what is offered.
#[utoipa::path(
    tag = "waitlist", operation_id = "find_waitlist_entry",
    params(("id" = EntryId, Path)),
    responses((status = 200, body = Entry))
)]
#[get("/v1/waitlist/{id}")]
pub async fn find_waitlist_entry(ctx: Ctx, id: Path<EntryId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| find(tx, id.0)).await?)
}

/// Takes the time that is offered.
#[utoipa::path(
    tag = "waitlist", operation_id = "accept_vacancy",
    params(("id" = EntryId, Path)),
    responses(
        (status = 200, body = Appointment),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: nothing was offered, or the wish has ended"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`offer_over`, with up to three `alternatives`"),
    )
)]
#[post("/v1/waitlist/{id}/accept")]
pub async fn accept_vacancy(
    ctx: Ctx,
    id: Path<EntryId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let id = id.0;
    match ctx.once(StatusCode::OK, nothing, move |tx, _| answer::accept(tx, id)).await {
        Err(refusal) if refusal.is(&problem::OFFER_OVER) => {
            let free = ctx.read(move |tx| answer::alternatives(tx, id)).await?;
            Err(refusal.with("alternatives", free))
        }
        answer => answer,
    }
}

/// Leaves the time that is offered to the next, and waits on.
#[utoipa::path(
    tag = "waitlist", operation_id = "decline_vacancy",
    params(("id" = EntryId, Path)),
    responses(
        (status = 200, body = Entry),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: nothing was offered, or the wish has ended"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`offer_over`"),
    )
)]
#[post("/v1/waitlist/{id}/decline")]
pub async fn decline_vacancy(
    ctx: Ctx,
    id: Path<EntryId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| answer::decline(tx, id.0)).await
}

/// Waits no longer.
#[utoipa::path(
    tag = "waitlist", operation_id = "withdraw_from_waitlist",
    params(("id" = EntryId, Path)),
    responses(
        (status = 200, body = Entry),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: the wish has ended otherwise"),
    )
)]
#[post("/v1/waitlist/{id}/withdraw")]
pub async fn withdraw_from_waitlist(
    ctx: Ctx,
    id: Path<EntryId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| join::withdraw(tx, id.0)).await
}
