//! Tasks over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post};

use crate::base::body::{Body, Path, Query};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::task::list::{self, Filter};
use crate::task::work::{self, CompleteTask, TakeTask};
use crate::task::{Task, TaskId};

/// Lists the tasks that the caller may see, what is due first.
#[utoipa::path(
    tag = "tasks", operation_id = "list_tasks", params(Filter),
    responses((status = 200, body = Page<Task>))
)]
#[get("/v1/tasks")]
pub async fn list_tasks(ctx: Ctx, filter: Query<Filter>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| list::list(tx, &filter.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Takes a task: whoever does answers for it.
#[utoipa::path(
    tag = "tasks", operation_id = "take_task", request_body = TakeTask,
    params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = Task),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`task_taken`: somebody else has, and it was not taken over"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`task_over`"),
    )
)]
#[post("/v1/tasks/{id}/take")]
pub async fn take_task(
    ctx: Ctx,
    id: Path<TaskId>,
    how: Body<TakeTask>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, how, move |tx, how| work::take(tx, id.0, how)).await
}

/// Says how a task went; who was not reached stays one.
#[utoipa::path(
    tag = "tasks", operation_id = "complete_task", request_body = CompleteTask,
    params(("id" = TaskId, Path)),
    responses(
        (status = 200, body = Task),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`task_taken`: it is not yours; `bad_state`: the visit cannot be converted"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`task_over`"),
    )
)]
#[post("/v1/tasks/{id}/complete")]
pub async fn complete_task(
    ctx: Ctx,
    id: Path<TaskId>,
    end: Body<CompleteTask>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, end, move |tx, end| work::complete(tx, id.0, end)).await
}
