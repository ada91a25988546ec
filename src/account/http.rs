//! Signing in over HTTP. No answer here is kept for repetition: it holds secrets.

use actix_web::{HttpResponse, get, post};

use crate::account::code::{self, Challenge, SendCode, VerifyCode};
use crate::account::me::{self, Me};
use crate::account::session::{self, Refresh, TokenPair};
use crate::account::sign_in::{self, PasswordSignIn, TokenSignIn};
use crate::base::body::{Body, Empty};
use crate::base::ctx::Ctx;
use crate::base::error::{Error, ProblemDocument};

/// How long others may keep our public keys, in seconds.
const JWKS_KEPT: &str = "public, max-age=300";

/// Signs in with login and password: for those who work here.
#[utoipa::path(
    tag = "sign-in", operation_id = "sign_in_with_password", security(()),
    request_body = PasswordSignIn,
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json",
            description = "`wrong_credentials`, whatever is wrong"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`; `Retry-After` says when"),
    )
)]
#[post("/v1/auth/password")]
pub async fn sign_in_with_password(
    ctx: Ctx,
    wanted: Body<PasswordSignIn>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(sign_in::by_password(&ctx, wanted.value).await?))
}

/// Sends a sign-in code to a patient's phone. An unknown number is answered alike.
#[utoipa::path(
    tag = "sign-in", operation_id = "send_code", security(()), request_body = SendCode,
    responses(
        (status = 202, body = Challenge),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_phone`"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_many_attempts`; `Retry-After` says when"),
    )
)]
#[post("/v1/auth/code")]
pub async fn send_code(ctx: Ctx, wanted: Body<SendCode>) -> Result<HttpResponse, Error> {
    let address = ctx.address.clone();
    let challenge = ctx.write(move |tx| code::send(tx, &wanted.value, &address)).await?;
    Ok(HttpResponse::Accepted().json(challenge))
}

/// Signs in with the code that arrived.
#[utoipa::path(
    tag = "sign-in", operation_id = "verify_code", security(()), request_body = VerifyCode,
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json",
            description = "`wrong_code`: wrong, too old, used, or tried too often"),
    )
)]
#[post("/v1/auth/code/verify")]
pub async fn verify_code(ctx: Ctx, wanted: Body<VerifyCode>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(code::verify(&ctx, wanted.value).await?))
}

/// Sets the first password with a one-time token, and signs in.
#[utoipa::path(
    tag = "sign-in", operation_id = "sign_in_with_token", security(()),
    request_body = TokenSignIn,
    responses(
        (status = 200, body = TokenPair),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`token_used`: used, too old, or none of ours"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`weak_password`"),
    )
)]
#[post("/v1/auth/token")]
pub async fn sign_in_with_token(
    ctx: Ctx,
    wanted: Body<TokenSignIn>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(sign_in::by_token(&ctx, wanted.value).await?))
}

/// Exchanges a refresh token for the next pair of tokens. It works once; when the answer was
/// lost, ask again with the same token.
#[utoipa::path(
    tag = "sign-in", operation_id = "refresh_tokens", security(()), request_body = Refresh,
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json",
            description = "`session_over`, or `invalid_token` when it is none of ours"),
    )
)]
#[post("/v1/auth/refresh")]
pub async fn refresh_tokens(ctx: Ctx, wanted: Body<Refresh>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(session::refresh(&ctx, wanted.value).await?))
}

/// Ends this sign-in: its tokens and sockets.
#[utoipa::path(
    tag = "sign-in", operation_id = "sign_out", request_body = Empty,
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/auth/logout")]
pub async fn sign_out(ctx: Ctx, _nothing: Body<Empty>) -> Result<HttpResponse, Error> {
    ctx.write(session::sign_out).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Says who the caller is.
#[utoipa::path(
    tag = "sign-in", operation_id = "read_me",
    responses(
        (status = 200, body = Me),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/me")]
pub async fn read_me(ctx: Ctx) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(ctx.read(me::read).await?))
}

/// The public keys that verify our access tokens (RFC 7517).
pub async fn jwks(ctx: Ctx) -> HttpResponse {
    HttpResponse::Ok().insert_header(("Cache-Control", JWKS_KEPT)).json(ctx.app.tokens.jwks())
}
