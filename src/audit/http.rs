//! The access log over HTTP.

use actix_web::{HttpResponse, get};

use crate::audit::access_log::{self, Access, Wanted};
use crate::base::body::Query;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::page::Page;

/// Who touched my record, the newest first.
#[utoipa::path(
    tag = "records", operation_id = "list_access_log", params(Wanted),
    responses((status = 200, body = Page<Access>))
)]
#[get("/v1/me/access-log")]
pub async fn list_access_log(ctx: Ctx, wanted: Query<Wanted>) -> Result<HttpResponse, Error> {
    // Reading the log is written into it.
    let page = ctx.write(move |tx| access_log::list(tx, &wanted.0)).await?;
    Ok(page.answer(ctx.request()))
}
