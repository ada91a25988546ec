//! Clinics, their services and members over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::access::caller::Role;
use crate::account::AccountId;
use crate::base::body::{Body, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::organization::member::{self, EditMember, EditedMember, Member, NewMember};
use crate::organization::service::{
    self, EditHealthcareService, EditedHealthcareService, HealthcareService, NewHealthcareService,
};
use crate::organization::{
    EditOrganization, Filter, NewOrganization, Organization, OrganizationId, ServiceId,
};

/// Founds a clinic.
#[utoipa::path(
    tag = "organizations", operation_id = "create_organization", request_body = NewOrganization,
    responses(
        (status = 201, body = Organization),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/organizations")]
pub async fn create_organization(
    ctx: Ctx,
    new: Body<NewOrganization>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, super::create).await
}

/// Lists the clinics by name.
#[utoipa::path(
    tag = "organizations", operation_id = "list_organizations", params(Filter),
    responses((status = 200, body = Page<Organization>))
)]
#[get("/v1/organizations")]
pub async fn list_organizations(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one clinic.
#[utoipa::path(
    tag = "organizations", operation_id = "find_organization",
    params(("id" = OrganizationId, Path)),
    responses(
        (status = 200, body = Organization),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}")]
pub async fn find_organization(ctx: Ctx, id: Path<OrganizationId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| super::find(tx, id.0)).await?)
}

/// Changes a clinic.
#[utoipa::path(
    tag = "organizations", operation_id = "edit_organization", request_body = EditOrganization,
    params(("id" = OrganizationId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = Organization),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/organizations/{id}")]
pub async fn edit_organization(
    ctx: Ctx,
    id: Path<OrganizationId>,
    change: Body<EditOrganization>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    ctx::ok(&ctx.write(move |tx| super::edit(tx, id.0, version, &change.value)).await?)
}

/// Takes somebody on in the office of a clinic.
#[utoipa::path(
    tag = "organizations", operation_id = "create_member", request_body = NewMember,
    params(("id" = OrganizationId, Path)),
    responses(
        (status = 201, body = Member),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`already_exists`: the login is taken"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/organizations/{id}/members")]
pub async fn create_member(
    ctx: Ctx,
    id: Path<OrganizationId>,
    new: Body<NewMember>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, move |tx, new| member::create(tx, id.0, new)).await
}

/// Lists the members of a clinic.
#[utoipa::path(
    tag = "organizations", operation_id = "list_members",
    params(("id" = OrganizationId, Path), member::Filter),
    responses(
        (status = 200, body = Page<Member>),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/organizations/{id}/members")]
pub async fn list_members(
    ctx: Ctx,
    id: Path<OrganizationId>,
    filter: Query<member::Filter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| member::list(tx, id.0, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Ends a membership, or begins it again.
#[utoipa::path(
    tag = "organizations", operation_id = "edit_member", request_body = EditMember,
    params(
        ("id" = OrganizationId, Path), ("account" = AccountId, Path), ("role" = Role, Path),
        ("If-Match" = String, Header),
    ),
    responses(
        (status = 200, body = EditedMember),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`last_admin`"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/organizations/{id}/members/{account}/{role}")]
pub async fn edit_member(
    ctx: Ctx,
    whose: Path<(OrganizationId, AccountId, Role)>,
    change: Body<EditMember>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| member::edit(tx, whose.0, version, &change.value)).await?;
    ctx::ok(&edited)
}

/// Offers a service.
#[utoipa::path(
    tag = "healthcare-services", operation_id = "create_healthcare_service",
    request_body = NewHealthcareService,
    responses(
        (status = 201, body = HealthcareService),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/healthcare-services")]
pub async fn create_healthcare_service(
    ctx: Ctx,
    new: Body<NewHealthcareService>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, service::create).await
}

/// Lists what can be booked, by name.
#[utoipa::path(
    tag = "healthcare-services", operation_id = "list_healthcare_services",
    params(service::Filter),
    responses((status = 200, body = Page<HealthcareService>))
)]
#[get("/v1/healthcare-services")]
pub async fn list_healthcare_services(
    ctx: Ctx,
    filter: Query<service::Filter>,
) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| service::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one service.
#[utoipa::path(
    tag = "healthcare-services", operation_id = "find_healthcare_service",
    params(("id" = ServiceId, Path)),
    responses(
        (status = 200, body = HealthcareService),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/healthcare-services/{id}")]
pub async fn find_healthcare_service(ctx: Ctx, id: Path<ServiceId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| service::find(tx, id.0)).await?)
}

/// Changes a service.
#[utoipa::path(
    tag = "healthcare-services", operation_id = "edit_healthcare_service",
    request_body = EditHealthcareService,
    params(("id" = ServiceId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = EditedHealthcareService),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/healthcare-services/{id}")]
pub async fn edit_healthcare_service(
    ctx: Ctx,
    id: Path<ServiceId>,
    change: Body<EditHealthcareService>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| service::edit(tx, id.0, version, &change.value)).await?;
    ctx::ok(&edited)
}
