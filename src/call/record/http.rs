//! The record of a call over HTTP.

use actix_web::{HttpResponse, get};

use super::show::{self, CallRecord};
use crate::base::body::Path;
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::encounter::EncounterId;

/// How the call of a visit went: who was there with what, by which ways, on which rungs and why,
/// how good each minute was, and what became of it.
#[utoipa::path(
    tag = "encounters", operation_id = "find_call", params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = CallRecord),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/encounters/{id}/call")]
pub async fn find_call(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| show::find(tx, id.0)).await?)
}
