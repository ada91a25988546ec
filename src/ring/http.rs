//! Ringing over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::base::body::{Body, Empty, Path};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::encounter::EncounterId;
use crate::ring::{self, Ring, RingId, RingSomebody};

/// Rings somebody who is not in the room: it rings twice, then a text goes out, then the clinic is
/// asked to call them back.
#[utoipa::path(
    tag = "encounters", operation_id = "ring_participant", request_body = RingSomebody,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = Ring, description = "The ring that is under way, if there is one"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: they are in the room; `nobody_to_ring`; `too_early`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
    )
)]
#[post("/v1/encounters/{id}/rings")]
pub async fn ring_participant(
    ctx: Ctx,
    id: Path<EncounterId>,
    whom: Body<RingSomebody>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, whom, move |tx, whom| ring::ring(tx, id.0, whom)).await
}

/// Who was rung in a visit, the last ring first.
#[utoipa::path(
    tag = "encounters", operation_id = "list_rings", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Page<Ring>))
)]
#[get("/v1/encounters/{id}/rings")]
pub async fn list_rings(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| ring::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// "I am here": whoever was rung says so from the waiting room; to join answers as well.
#[utoipa::path(
    tag = "encounters", operation_id = "answer_ring",
    params(("id" = EncounterId, Path), ("ring" = RingId, Path)),
    responses(
        (status = 200, body = Ring),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/rings/{ring}/answer")]
pub async fn answer_ring(
    ctx: Ctx,
    path: Path<(EncounterId, RingId)>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let (visit, id) = path.0;
    ctx.once(StatusCode::OK, nothing, move |tx, _| ring::answer(tx, visit, id)).await
}
