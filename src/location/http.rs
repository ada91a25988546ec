//! Places over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::location::edit::{self, EditLocation, EditedLocation};
use crate::location::{Filter, Location, LocationId, NewLocation};

/// Adds a place.
#[utoipa::path(
    tag = "locations", operation_id = "create_location", request_body = NewLocation,
    responses(
        (status = 201, body = Location),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `unknown_reference`, `unknown_time_zone`"),
    )
)]
#[post("/v1/locations")]
pub async fn create_location(ctx: Ctx, new: Body<NewLocation>) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, super::create).await
}

/// Lists places by name.
#[utoipa::path(
    tag = "locations", operation_id = "list_locations", params(Filter),
    responses((status = 200, body = Page<Location>))
)]
#[get("/v1/locations")]
pub async fn list_locations(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one place.
#[utoipa::path(
    tag = "locations", operation_id = "find_location",
    params(("id" = LocationId, Path)),
    responses(
        (status = 200, body = Location),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/locations/{id}")]
pub async fn find_location(ctx: Ctx, id: Path<LocationId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| super::find(tx, id.0)).await?)
}

/// Changes a place.
#[utoipa::path(
    tag = "locations", operation_id = "edit_location", request_body = EditLocation,
    params(("id" = LocationId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = EditedLocation),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `unknown_time_zone`"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/locations/{id}")]
pub async fn edit_location(
    ctx: Ctx,
    id: Path<LocationId>,
    change: Body<EditLocation>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    ctx::ok(&ctx.write(move |tx| edit::edit(tx, id.0, version, &change.value)).await?)
}
