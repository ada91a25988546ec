//! Rooms and devices over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::organization::OrganizationId;
use crate::resource::stranded::{self, StrandedVisit};
use crate::resource::{EditResource, EditedResource, Filter, NewResource, Resource, ResourceId};

/// Adds a room or a device to a clinic.
#[utoipa::path(
    tag = "resources", operation_id = "create_resource", request_body = NewResource,
    responses((status = 201, body = Resource))
)]
#[post("/v1/resources")]
pub async fn create_resource(ctx: Ctx, new: Body<NewResource>) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, |tx, new| super::create(tx, &new)).await
}

/// Lists rooms and devices by name.
#[utoipa::path(
    tag = "resources", operation_id = "list_resources", params(Filter),
    responses((status = 200, body = Page<Resource>))
)]
#[get("/v1/resources")]
pub async fn list_resources(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Changes a room or a device.
#[utoipa::path(
    tag = "resources", operation_id = "edit_resource", request_body = EditResource,
    params(("id" = ResourceId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = EditedResource),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/resources/{id}")]
pub async fn edit_resource(
    ctx: Ctx,
    id: Path<ResourceId>,
    change: Body<EditResource>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    ctx::ok(&ctx.write(move |tx| super::edit(tx, id.0, version, &change.value)).await?)
}

/// The visits to come that hold a room or a device which is out of use.
#[utoipa::path(
    tag = "resources", operation_id = "list_stranded_visits",
    params(("id" = OrganizationId, Path)),
    responses(
        (status = 200, body = Page<StrandedVisit>),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/stranded-visits")]
pub async fn list_stranded_visits(
    ctx: Ctx,
    id: Path<OrganizationId>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| stranded::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}
