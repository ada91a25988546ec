//! What every operation of the API has in common, said once for the OpenAPI document.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

/// The title of the document, and what belongs to no operation.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Feldsher",
        description = "Remote visits for villages that have no doctor.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(crate::base::error::ProblemDocument)),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
pub struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Adds what no operation needs to repeat: the words of a plain answer, the refusals that any of
/// them can give, and that signing in needs no token.
pub fn complete(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let takes_id = path.contains('{');
        if let Some(post) = &mut item.post {
            name_the_key(path, post);
        }
        for operation in operations(item) {
            complete_operation(operation, takes_id);
        }
    }
}

/// Every POST that makes or changes something honours the key; signing in and out need none.
fn name_the_key(path: &str, operation: &mut Operation) {
    const KEY: &str = "Idempotency-Key";
    let is_key = |one: &RefOr<Parameter>| matches!(one, RefOr::T(one) if one.name == KEY);
    let parameters = operation.parameters.get_or_insert_default();
    let keeps_nothing = path.starts_with("/v1/auth/")
        || path == "/v1/appointments/lookup"
        || path == "/v1/offers/answer"
        // A connection cannot be repeated.
        || path.ends_with("/probes/{probe}/offers");
    if keeps_nothing || parameters.iter().any(is_key) {
        return;
    }
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let key = ParameterBuilder::new()
        .name(KEY)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Makes a repeated request have one effect and one answer."))
        .schema(Some(text))
        .build();
    parameters.push(RefOr::T(key));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn complete_operation(operation: &mut Operation, takes_id: bool) {
    // `security(())` says that a token may be left out; a sign-in takes none at all.
    let is_public = operation.security.is_some();
    if is_public {
        operation.security = Some(Vec::new());
    }
    // A summary is one line, however the sentence was broken in the code.
    operation.summary = operation.summary.take().map(|text| text.replace('\n', " "));
    let takes_query = operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let takes_body = operation.request_body.is_some();
    let common = [
        (true, "default", "A refusal; `code` says which"),
        (!is_public, "401", "`unauthorized`, `invalid_token` or `session_over`"),
        (!is_public, "403", "`forbidden`: seen, but not the caller's to do"),
        (takes_id, "404", "`not_found`: not there, or not the caller's to see"),
        (takes_query || takes_body, "400", "What was sent cannot be read"),
        (takes_body, "413", "`too_large`"),
        (takes_body, "415", "`unsupported_media_type`"),
        (takes_body, "422", "A field is missing, unknown or wrong; `errors` names it"),
    ];
    let responses = &mut operation.responses.responses;
    for (_, status, description) in common.iter().filter(|(holds, ..)| *holds) {
        responses.entry((*status).to_owned()).or_insert_with(|| problem(description));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            words(status).clone_into(&mut response.description);
        }
    }
}

fn problem(description: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name("ProblemDocument");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build();
    RefOr::T(response)
}

/// What a status says when the operation says nothing of its own.
fn words(status: &str) -> &'static str {
    match status {
        "200" => "Done",
        "201" => "Made",
        "202" => "Taken; it is done later",
        "204" => "Done; there is nothing to say",
        "401" => "`unauthorized`, `invalid_token` or `session_over`",
        "403" => "`forbidden`: seen, but not the caller's to do",
        "404" => "`not_found`: not there, or not the caller's to see",
        "409" => "`bad_state` or `conflict`: not possible now",
        "412" => "`stale_version`: changed meanwhile",
        "422" => "A field is missing, unknown or wrong; `errors` names it",
        "428" => "`precondition_required`: send `If-Match`",
        _ => "A refusal; `code` says which",
    }
}
