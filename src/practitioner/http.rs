//! Practitioners over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::organization::OrganizationId;
use crate::practitioner::edit::{self, EditPractitioner, EditedPractitioner};
use crate::practitioner::gone::{self, UnattendedVisit};
use crate::practitioner::{Filter, NewPractitioner, Practitioner, PractitionerId};

/// Adds a practitioner.
#[utoipa::path(
    tag = "practitioners", operation_id = "create_practitioner", request_body = NewPractitioner,
    responses(
        (status = 201, body = Practitioner),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`already_exists`: the login is taken"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `unknown_reference`, `unknown_time_zone`"),
    )
)]
#[post("/v1/practitioners")]
pub async fn create_practitioner(
    ctx: Ctx,
    new: Body<NewPractitioner>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, super::create).await
}

/// Lists who gives care, by name.
#[utoipa::path(
    tag = "practitioners", operation_id = "list_practitioners", params(Filter),
    responses((status = 200, body = Page<Practitioner>))
)]
#[get("/v1/practitioners")]
pub async fn list_practitioners(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one practitioner.
#[utoipa::path(
    tag = "practitioners", operation_id = "find_practitioner",
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 200, body = Practitioner),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/practitioners/{id}")]
pub async fn find_practitioner(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| super::find(tx, id.0)).await?)
}

/// Changes a practitioner.
#[utoipa::path(
    tag = "practitioners", operation_id = "edit_practitioner", request_body = EditPractitioner,
    params(("id" = PractitionerId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = EditedPractitioner),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `unknown_reference`, `unknown_time_zone`, `invalid_phone`"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/practitioners/{id}")]
pub async fn edit_practitioner(
    ctx: Ctx,
    id: Path<PractitionerId>,
    change: Body<EditPractitioner>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| edit::edit(tx, id.0, version, &change.value)).await?;
    ctx::ok(&edited)
}

/// The visits to come in which somebody is missing: who has left, or no longer gives the service.
#[utoipa::path(
    tag = "practitioners", operation_id = "list_unattended_visits",
    params(("id" = OrganizationId, Path)),
    responses(
        (status = 200, body = Page<UnattendedVisit>),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/unattended-visits")]
pub async fn list_unattended_visits(
    ctx: Ctx,
    id: Path<OrganizationId>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| gone::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}
