//! The link probe over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::base::body::{Body, Empty, Path};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::call::probe::{self, Answered, Begun, Found, LinkProbe, Offer, ProbeId};
use crate::encounter::EncounterId;

/// Begins a probe of the line: which ways to try, with credentials that run out.
#[utoipa::path(
    tag = "encounters", operation_id = "begin_probe", params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = Begun),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`probe_off`; `too_early`, with `opens_at`; `bad_state`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
    )
)]
#[post("/v1/encounters/{id}/probes")]
pub async fn begin_probe(
    ctx: Ctx,
    id: Path<EncounterId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, nothing, move |tx, _| probe::begin(tx, id.0)).await
}

/// Answers an offer for one way. Another offer for the same way ends the connection before.
#[utoipa::path(
    tag = "encounters", operation_id = "answer_probe", request_body = Offer,
    params(("id" = EncounterId, Path), ("probe" = ProbeId, Path)),
    responses(
        (status = 200, body = Answered),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: measured, too old, or somebody else's"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_offer`"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`: connections of the same account still close"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json",
            description = "`overloaded`: too many measure at present"),
    )
)]
#[post("/v1/encounters/{id}/probes/{probe}/offers")]
pub async fn answer_probe(
    ctx: Ctx,
    path: Path<(EncounterId, ProbeId)>,
    offer: Body<Offer>,
) -> Result<HttpResponse, Error> {
    let (id, probe) = path.0;
    let (account, _) = ctx.read(move |tx| probe::under_way(tx, id, probe)).await?;
    let Offer { leg, sdp } = offer.value;
    let sdp = ctx.app.probes.answer((account, probe, leg), &sdp).await?;
    Ok(HttpResponse::Ok().json(Answered { sdp }))
}

/// Keeps what was measured, and says what the line will carry.
#[utoipa::path(
    tag = "encounters", operation_id = "finish_probe", request_body = Found,
    params(("id" = EncounterId, Path), ("probe" = ProbeId, Path)),
    responses(
        (status = 200, body = LinkProbe),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: measured, too old, or somebody else's"),
    )
)]
#[post("/v1/encounters/{id}/probes/{probe}/result")]
pub async fn finish_probe(
    ctx: Ctx,
    path: Path<(EncounterId, ProbeId)>,
    found: Body<Found>,
) -> Result<HttpResponse, Error> {
    let (id, probe) = path.0;
    ctx.once(StatusCode::OK, found, move |tx, found| probe::finish(tx, id, probe, found)).await
}

/// What was measured for a visit, the newest first.
#[utoipa::path(
    tag = "encounters", operation_id = "list_probes", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Page<LinkProbe>))
)]
#[get("/v1/encounters/{id}/probes")]
pub async fn list_probes(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| probe::kept::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}
