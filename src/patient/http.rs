//! Patients over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post};

use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::patient::{EditPatient, Filter, NewPatient, Patient, PatientId};

/// Registers a patient.
#[utoipa::path(
    tag = "patients", operation_id = "create_patient", request_body = NewPatient,
    responses(
        (status = 201, body = Patient),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`already_exists`: the phone belongs to a patient"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`, `unknown_reference`, `invalid_phone`"),
    )
)]
#[post("/v1/patients")]
pub async fn create_patient(ctx: Ctx, new: Body<NewPatient>) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, super::create).await
}

/// Lists the patients that the caller may see, by name.
#[utoipa::path(
    tag = "patients", operation_id = "list_patients", params(Filter),
    responses((status = 200, body = Page<Patient>))
)]
#[get("/v1/patients")]
pub async fn list_patients(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| super::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one patient.
#[utoipa::path(
    tag = "patients", operation_id = "find_patient",
    params(("id" = PatientId, Path)),
    responses(
        (status = 200, body = Patient),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/patients/{id}")]
pub async fn find_patient(ctx: Ctx, id: Path<PatientId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| super::find(tx, id.0)).await?)
}

/// Changes a patient.
#[utoipa::path(
    tag = "patients", operation_id = "edit_patient", request_body = EditPatient,
    params(("id" = PatientId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = Patient),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/patients/{id}")]
pub async fn edit_patient(
    ctx: Ctx,
    id: Path<PatientId>,
    change: Body<EditPatient>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    let edited = ctx.write(move |tx| super::edit(tx, id.0, version, &change.value)).await?;
    ctx::ok(&edited)
}

/// Lets a patient's number sign in again that too many wrong codes have shut.
#[utoipa::path(
    tag = "patients", operation_id = "enable_patient", request_body = Empty,
    params(("id" = PatientId, Path)),
    responses(
        (status = 200, body = Patient),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/patients/{id}/enable")]
pub async fn enable_patient(
    ctx: Ctx,
    id: Path<PatientId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| super::enable(tx, id.0)).await
}
