//! The matrix, the OpenAPI document and the mounted routes name the same operations.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::introspection::IntrospectionTree;
use actix_web::test::{TestRequest, call_and_read_body, init_service};
use actix_web::{App, web};
use feldsher::encounter::Outcome;
use feldsher::server;
use serde_json::Value;
use utoipa_actix_web::AppExt;

use super::rows::rows;

/// Routes that are no operation of the API. This list may only shrink, but for pages.
const PLAIN: [&str; 10] = [
    "GET /",
    "GET /.well-known/jwks.json",
    "GET /assets/{name}",
    "GET /assets/{release}/{name}",
    "GET /board",
    "GET /doctor",
    "GET /favicon.ico",
    "GET /health/live",
    "GET /health/ready",
    "GET /openapi.json",
];
/// The live room decides by the ticket in the first frame, over a WebSocket or plain HTTP.
const ROOM: [&str; 3] = ["GET /v1/rtc", "POST /v1/rtc/poll", "POST /v1/rtc/send"];

fn described() -> BTreeMap<String, Value> {
    let document = serde_json::to_value(server::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation.clone())
        })
    });
    operations.collect()
}

async fn mounted() -> BTreeSet<String> {
    let tell = |tree: web::Data<IntrospectionTree>| async move { tree.report_as_json() };
    let (app, _) = App::new().into_utoipa_app().configure(server::routes).split_for_parts();
    let app = app.configure(server::plain_routes).route("/mounted", web::get().to(tell));
    let app = init_service(app).await;
    let body = call_and_read_body(&app, TestRequest::with_uri("/mounted").to_request()).await;
    let report: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let mut found = BTreeSet::new();
    for item in &report {
        let path = item["full_path"].as_str().unwrap();
        for method in item["methods"].as_array().unwrap() {
            found.insert(format!("{} {path}", method.as_str().unwrap()));
        }
    }
    assert!(found.remove("GET /mounted"), "{report:?}");
    found
}

#[actix_web::test]
async fn every_route_has_a_row_in_the_matrix_and_a_place_in_the_document() {
    let matrix: BTreeSet<String> =
        rows().iter().map(|row| format!("{} {}", row.operation.0, row.operation.1)).collect();
    let described: BTreeSet<String> = described().into_keys().collect();
    let mut mounted = mounted().await;
    for plain in PLAIN.iter().chain(&ROOM) {
        assert!(mounted.remove(*plain), "{plain} is listed, but not mounted");
    }
    let differ = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.symmetric_difference(b).cloned().collect()
    };
    assert_eq!(differ(&mounted, &matrix), [""; 0], "mounted, or in the matrix, but not both");
    assert_eq!(differ(&described, &matrix), [""; 0], "described, or in the matrix, but not both");
}

#[test]
fn every_operation_is_described_as_a_client_needs_it() {
    let public: BTreeSet<String> = rows()
        .iter()
        .filter(|row| row.public)
        .map(|row| format!("{} {}", row.operation.0, row.operation.1))
        .collect();
    let operations = described();
    let mut ids = BTreeSet::new();
    for (name, operation) in &operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is used twice");
        let verb_noun = id.contains('_') && id.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(verb_noun, "{name}: {id}");
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && !summary.contains('\n'), "{name}: {summary}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        assert!(responses.contains_key("default"), "{name}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|s| !s.is_empty()), "{name}");
            // Nothing has changed: such an answer has no body.
            if !status.starts_with('2') && status != "304" {
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/ProblemDocument", "{name} {status}");
            }
        }
        if public.contains(name) {
            assert_eq!(operation["security"], serde_json::json!([]), "{name}");
        } else {
            assert!(operation.get("security").is_none(), "{name}");
            assert!(responses.contains_key("401"), "{name}");
        }
    }
    assert!(ids.len() > 50, "{}", ids.len());
}

#[test]
fn the_document_names_codes_as_they_stand_in_json() {
    let document = serde_json::to_value(server::openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut codes = 0;
    for (name, schema) in schemas {
        for code in schema["enum"].as_array().into_iter().flatten() {
            let code = code.as_str().unwrap();
            let in_json = code.chars().all(|c| !c.is_ascii_uppercase());
            assert!(in_json && !code.is_empty(), "{name}: {code}");
            codes += 1;
        }
    }
    assert!(codes > 50, "{codes}");
    let ends: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(schemas["Outcome"]["enum"], serde_json::json!(ends), "of a visit");
    let access = &schemas["AccessOutcome"]["enum"];
    assert_eq!(access, &serde_json::json!(["done", "refused"]), "of a line of the access log");
}
