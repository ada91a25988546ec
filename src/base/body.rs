//! Reading a request: JSON bodies and queries, with every mistake answered by name.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::error::{Error, FieldError};
use crate::base::problem::{self, Problem};
use crate::base::seal::sha256;

/// The largest JSON body taken, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The largest body taken from somebody who shows no token: a sign-in is small, and ten thousand
/// strangers must not fill the memory.
pub const STRANGER_BYTES_MAX: usize = 16 * 1024;
/// How much of a member's name a problem says back.
const KEY_CHARS_MAX: usize = 100;
/// How long a body may take to arrive, in seconds; actix itself would wait for ever.
pub const BODY_SECS_MAX: u64 = 30;

/// A JSON body that fits its type, and the fingerprint that tells a repeated request from another.
#[derive(Debug)]
pub struct Body<T> {
    /// What was sent.
    pub value: T,
    /// SHA-256 of the canonical form (sorted keys, no spaces).
    pub fingerprint: Vec<u8>,
}

/// A body that says nothing: `{}`, or no body at all.
#[derive(Debug, Clone, Copy, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(read_up_to(request, payload.take(), bytes_max(request)))
    }
}

/// Reads a JSON body of so many bytes at most.
pub fn read_up_to<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    bytes_max: usize,
) -> impl Future<Output = Result<Body<T>, Error>> + use<T> {
    let declared = check_headers(request, bytes_max);
    async move {
        declared?;
        let reading = collect(payload, bytes_max);
        let limit = Duration::from_secs(BODY_SECS_MAX);
        let bytes = tokio::time::timeout(limit, reading)
            .await
            .map_err(|_elapsed| Error::from(&problem::BODY_TIMEOUT))??;
        parse(if bytes.is_empty() { b"{}" } else { &bytes })
    }
}

/// A token that does not hold is refused before the body is read.
fn bytes_max(request: &HttpRequest) -> usize {
    let known = request.headers().contains_key(header::AUTHORIZATION);
    if known { BODY_BYTES_MAX } else { STRANGER_BYTES_MAX }
}

fn check_headers(request: &HttpRequest, bytes_max: usize) -> Result<(), Error> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > bytes_max) {
        return Err(Error::from(&problem::TOO_LARGE));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json");
    let is_empty =
        length.unwrap_or(0) == 0 && !request.headers().contains_key(header::TRANSFER_ENCODING);
    if is_json || (kind.is_none() && is_empty) {
        Ok(())
    } else {
        Err(Error::from(&problem::UNSUPPORTED_MEDIA_TYPE))
    }
}

async fn collect(mut payload: Payload, bytes_max: usize) -> Result<web::BytesMut, Error> {
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_broken| Error::from(&problem::MALFORMED_JSON))?;
        if bytes.len().saturating_add(chunk.len()) > bytes_max {
            return Err(Error::from(&problem::TOO_LARGE));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Error> {
    let canonical: Value =
        serde_json::from_slice(bytes).map_err(|_syntax| Error::from(&problem::MALFORMED_JSON))?;
    // serde would also take a list of a command's fields, in their order.
    if !canonical.is_object() {
        let detail = "the body must be a JSON object".to_owned();
        let field = FieldError { pointer: String::new(), code: problem::INVALID_BODY.code, detail };
        return Err(Error::from(&problem::INVALID_BODY).with_errors(vec![field]));
    }
    if let Some(pointer) = nul_in(&canonical) {
        return Err(Error::field(&problem::INVALID_BODY, &pointer));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let text = error.inner().to_string();
        let (problem, detail) = explain(&text);
        Error::from(problem).with_errors(vec![FieldError { pointer, code: problem.code, detail }])
    })?;
    Ok(Body { value, fingerprint: sha256(canonical.to_string().as_bytes()) })
}

/// Where a text holds U+0000, which PostgreSQL keeps in no text and no person types.
pub fn nul_in(value: &Value) -> Option<String> {
    let below = |name: &str, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        nul_in(value).map(|pointer| format!("/{name}{pointer}"))
    };
    match value {
        Value::String(text) if text.contains('\0') => Some(String::new()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| below(&at.to_string(), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| below(name, member)),
        _ => None,
    }
}

/// Our own types refuse with a problem code; whatever else serde says is an invalid body.
fn explain(text: &str) -> (&'static Problem, String) {
    let said = text.split(" at line ").next().unwrap_or(text);
    let problem = problem::ALL.iter().copied().find(|problem| problem.code == said);
    match problem {
        Some(problem) => {
            (problem, problem.detail(crate::base::language::Language::English).to_owned())
        }
        None => (&problem::INVALID_BODY, shorten(said)),
    }
}

/// serde quotes the wrong value; a value may be a name or an illness, so it is not sent back.
fn shorten(said: &str) -> String {
    let mut quoted = false;
    said.chars()
        .take(300)
        .filter(|&c| {
            if c == '"' {
                quoted = !quoted;
            }
            !quoted && c != '"'
        })
        .collect()
}

/// serde's path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => {
                let key: String = key.chars().take(KEY_CHARS_MAX).collect();
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('-'),
        }
    }
    pointer
}

/// The query of a list; unknown and repeated parameters are refused.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        if request.query_string().contains("%00") {
            return std::future::ready(Err(Error::from(&problem::INVALID_QUERY)));
        }
        // A plus sign in an offset ("+07:00") is meant as a plus, not as a space.
        let query = request.query_string().replace('+', "%2B");
        let parsed = web::Query::<T>::from_query(&query);
        std::future::ready(parsed.map(|query| Self(query.into_inner())).map_err(|error| {
            let text = match &error {
                actix_web::error::QueryPayloadError::Deserialize(inner) => inner.to_string(),
                _ => String::new(),
            };
            let (problem, detail) = explain(&text);
            let problem = if problem.code == problem::INVALID_BODY.code {
                &problem::INVALID_QUERY
            } else {
                problem
            };
            let field = FieldError { pointer: String::new(), code: problem.code, detail };
            Error::from(problem).with_errors(vec![field])
        }))
    }
}

/// An id in the path; what is not an id names nothing.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let found = web::Path::<T>::from_request(request, payload).into_inner();
        std::future::ready(
            found
                .map(|path| Self(path.into_inner()))
                .map_err(|_not_an_id| Error::from(&problem::NOT_FOUND)),
        )
    }
}
