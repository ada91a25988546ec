//! Consents over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::body::{Body, Empty, Path};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::consent::form::{self, ConsentForm};
use crate::consent::give::{self, GivePatientConsent, GiveVisitConsent};
use crate::consent::{self, Consent, ConsentId, VisitConsents};
use crate::encounter::EncounterId;
use crate::patient::PatientId;

/// Lists the forms that count now, in the caller's language.
#[utoipa::path(
    tag = "consents", operation_id = "list_consent_forms",
    responses((status = 200, body = Page<ConsentForm>))
)]
#[get("/v1/consent-forms")]
pub async fn list_consent_forms(ctx: Ctx) -> Result<HttpResponse, Error> {
    let forms = ctx.read(|tx| {
        tx.allow(Action::ReadConsentForms, &Facts::NONE)?;
        Ok(Page::whole(form::all(tx.language)))
    });
    Ok(forms.await?.answer(ctx.request()))
}

/// Lists the consents of a visit, and says whether it could be recorded.
#[utoipa::path(
    tag = "consents", operation_id = "list_encounter_consents",
    params(("id" = EncounterId, Path)),
    responses((status = 200, body = VisitConsents))
)]
#[get("/v1/encounters/{id}/consents")]
pub async fn list_encounter_consents(
    ctx: Ctx,
    id: Path<EncounterId>,
) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| consent::list_of_encounter(tx, id.0)).await?)
}

/// Consents to something for one visit.
#[utoipa::path(
    tag = "consents", operation_id = "give_encounter_consent", request_body = GiveVisitConsent,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = Consent),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json",
            description = "Only the person can say this"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`consent_form_old`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
    )
)]
#[post("/v1/encounters/{id}/consents")]
pub async fn give_encounter_consent(
    ctx: Ctx,
    id: Path<EncounterId>,
    new: Body<GiveVisitConsent>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, move |tx, new| give::for_encounter(tx, id.0, new)).await
}

/// Lists what a patient has consented to.
#[utoipa::path(
    tag = "consents", operation_id = "list_patient_consents", params(("id" = PatientId, Path)),
    responses((status = 200, body = Page<Consent>))
)]
#[get("/v1/patients/{id}/consents")]
pub async fn list_patient_consents(ctx: Ctx, id: Path<PatientId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| consent::list_of_patient(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Consents to something for all visits of a patient.
#[utoipa::path(
    tag = "consents", operation_id = "give_patient_consent", request_body = GivePatientConsent,
    params(("id" = PatientId, Path)),
    responses(
        (status = 201, body = Consent),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`consent_form_old`"),
    )
)]
#[post("/v1/patients/{id}/consents")]
pub async fn give_patient_consent(
    ctx: Ctx,
    id: Path<PatientId>,
    new: Body<GivePatientConsent>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, move |tx, new| give::for_patient(tx, id.0, new)).await
}

/// Withdraws a consent, at once and for good.
#[utoipa::path(
    tag = "consents", operation_id = "withdraw_consent", params(("id" = ConsentId, Path)),
    responses(
        (status = 200, body = Consent),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/consents/{id}/withdraw")]
pub async fn withdraw_consent(
    ctx: Ctx,
    id: Path<ConsentId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| give::withdraw(tx, id.0)).await
}
