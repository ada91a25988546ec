//! What is written in a visit, over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::chat::list::{Filter, OpenChat};
use crate::chat::{self, ChatMessage, Wanted, WriteMessage};
use crate::encounter::EncounterId;

/// Lists what was written in a visit and the caller may read, in order.
#[utoipa::path(
    tag = "chat", operation_id = "list_messages",
    params(("id" = EncounterId, Path), Wanted),
    responses((status = 200, body = Page<ChatMessage>))
)]
#[get("/v1/encounters/{id}/messages")]
pub async fn list_messages(
    ctx: Ctx,
    id: Path<EncounterId>,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, Error> {
    // Reading leaves a row in the audit log.
    let page = ctx.write(move |tx| chat::list(tx, id.0, &wanted.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Writes a line to those who wait, to the practitioner, or to the clinic's office.
#[utoipa::path(
    tag = "chat", operation_id = "write_message", request_body = WriteMessage,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = ChatMessage),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_early`, `chat_full`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`: ten lines a minute"),
    )
)]
#[post("/v1/encounters/{id}/messages")]
pub async fn write_message(
    ctx: Ctx,
    id: Path<EncounterId>,
    new: Body<WriteMessage>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, new, move |tx, new| chat::write(tx, id.0, &new)).await
}

/// Lists the visits in which the office has been written to and has not answered.
#[utoipa::path(
    tag = "chat", operation_id = "list_chats", params(Filter),
    responses((status = 200, body = Page<OpenChat>))
)]
#[get("/v1/chats")]
pub async fn list_chats(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| chat::list::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}
