//! What every answer has: a request id, safe headers, a problem in the caller's language,
//! one log line.

use std::time::Instant as Stopwatch;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::base::ctx::RequestId;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;

/// Headers of every answer; a handler that sets one itself keeps its own.
const HEADERS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("permissions-policy", "camera=(self), microphone=(self), geolocation=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Wraps every request.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Stopwatch::now();
    let id = uuid::Uuid::new_v4().simple().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    if method == Method::HEAD {
        // The same answer without its body, which the connection leaves out.
        request.head_mut().method = Method::GET;
    }
    // No copy of the request may be alive here: the router needs it to itself.
    let response = next.call(request).await?;
    let mut response = match response.response().error() {
        Some(error) => {
            let answer = answer(error, response.request(), &id);
            ServiceResponse::new(response.request().clone(), answer)
        }
        None => response.map_into_boxed_body(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    // The template of the route, never the path: ids and queries stay out of the log.
    let route = response.request().match_pattern().unwrap_or_else(|| "-".to_owned());
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(
        request_id = %id, %method, route, status = response.status().as_u16(), milliseconds,
        "{method} {route} {}", response.status().as_u16()
    );
    Ok(response)
}

/// The problem document of any error, ours or actix's.
fn answer(error: &actix_web::Error, request: &HttpRequest, id: &str) -> HttpResponse {
    let header = request.headers().get(header::ACCEPT_LANGUAGE);
    let language = Language::of_header(header.and_then(|value| value.to_str().ok()));
    if let Some(error) = error.as_error::<Error>() {
        let mut answer = error.answer(language, id);
        if answer.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(challenge(request, error));
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        return answer;
    }
    let problem = match error.as_response_error().status_code().as_u16() {
        404 => &problem::NOT_FOUND,
        405 => &problem::METHOD_NOT_ALLOWED,
        408 => &problem::BODY_TIMEOUT,
        413 => &problem::TOO_LARGE,
        status if status < 500 => &problem::INVALID_QUERY,
        _ => {
            tracing::error!(request_id = id, "a request failed outside its handler");
            &problem::INTERNAL
        }
    };
    Error::from(problem).answer(language, id)
}

/// How to sign in (RFC 6750, 3): a token that was shown and refused is said to be at fault, so
/// that a client asks for the next one.
fn challenge(request: &HttpRequest, refused: &Error) -> &'static str {
    let shown = request.headers().contains_key(header::AUTHORIZATION);
    if shown && (refused.is(&problem::INVALID_TOKEN) || refused.is(&problem::SESSION_OVER)) {
        r#"Bearer realm="feldsher", error="invalid_token""#
    } else {
        r#"Bearer realm="feldsher""#
    }
}
