//! Notes over HTTP.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, get, patch, post};

use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::encounter::EncounterId;
use crate::patient::PatientId;
use crate::record::body::WriteNote;
use crate::record::write::{self, AddAddendum};
use crate::record::{Addendum, Note, NoteId, Wanted};

/// Begins a note about a visit.
#[utoipa::path(
    tag = "records", operation_id = "create_note", request_body = WriteNote,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = Note),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: the visit has not begun; `already_exists`: the `note` that is still a draft"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/notes")]
pub async fn create_note(
    ctx: Ctx,
    id: Path<EncounterId>,
    first: Body<WriteNote>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, first, move |tx, first| write::create(tx, id.0, first)).await
}

/// Lists the notes of a visit that the caller may read: drafts of their own, and signed ones.
#[utoipa::path(
    tag = "records", operation_id = "list_encounter_notes", params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Page<Note>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/encounters/{id}/notes")]
pub async fn list_encounter_notes(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.write(move |tx| super::list_of_encounter(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Lists the notes of a patient that the caller may read, the newest first.
#[utoipa::path(
    tag = "records", operation_id = "list_patient_notes", params(("id" = PatientId, Path), Wanted),
    responses(
        (status = 200, body = Page<Note>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/patients/{id}/notes")]
pub async fn list_patient_notes(
    ctx: Ctx,
    id: Path<PatientId>,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, Error> {
    let page = ctx.write(move |tx| super::list_of_patient(tx, id.0, &wanted.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Shows one note.
#[utoipa::path(
    tag = "records", operation_id = "find_note", params(("id" = NoteId, Path)),
    responses(
        (status = 200, body = Note),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/notes/{id}")]
pub async fn find_note(ctx: Ctx, id: Path<NoteId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.write(move |tx| super::find(tx, id.0)).await?)
}

/// Changes the given sections of a draft.
#[utoipa::path(
    tag = "records", operation_id = "edit_note", request_body = WriteNote,
    params(("id" = NoteId, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, body = Note),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`note_signed`"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[patch("/v1/notes/{id}")]
pub async fn edit_note(
    ctx: Ctx,
    id: Path<NoteId>,
    change: Body<WriteNote>,
) -> Result<HttpResponse, Error> {
    let version = ctx.if_match()?;
    ctx::ok(&ctx.write(move |tx| write::edit(tx, id.0, version, change.value)).await?)
}

/// Signs a note; it never changes again.
#[utoipa::path(
    tag = "records", operation_id = "sign_note",
    params(("id" = NoteId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Note),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`note_empty`"),
    )
)]
#[post("/v1/notes/{id}/sign")]
pub async fn sign_note(
    ctx: Ctx,
    id: Path<NoteId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let sent = ctx.request().headers().contains_key(header::IF_MATCH);
    let version = if sent { Some(ctx.if_match()?) } else { None };
    ctx.once(StatusCode::OK, nothing, move |tx, _| write::sign(tx, id.0, version)).await
}

/// Adds to a signed note.
#[utoipa::path(
    tag = "records", operation_id = "add_addendum", request_body = AddAddendum,
    params(("id" = NoteId, Path)),
    responses(
        (status = 201, body = Addendum),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: it is still a draft, or has a hundred addenda"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/notes/{id}/addenda")]
pub async fn add_addendum(
    ctx: Ctx,
    id: Path<NoteId>,
    addition: Body<AddAddendum>,
) -> Result<HttpResponse, Error> {
    let status = StatusCode::CREATED;
    ctx.once(status, addition, move |tx, addition| write::add_addendum(tx, id.0, &addition)).await
}
