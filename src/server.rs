//! The route table: every path of the API in one place, and how the server starts and stops.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use utoipa::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::account;
use crate::appointment;
use crate::base::app;
use crate::base::error::Error;
use crate::base::http::frame;
use crate::base::problem;
use crate::encounter;

/// How long a client may take to send the head of a request.
const HEAD_SECS_MAX: u64 = 10;
/// Connections without a request are closed after this.
const KEEP_ALIVE_SECS: u64 = 75;

/// Mounts and describes every operation of the API.
pub fn routes(api: &mut ServiceConfig) {
    account_routes(api);
    place_routes(api);
    schedule_routes(api);
    appointment_routes(api);
    encounter_routes(api);
    record_routes(api);
}

fn account_routes(api: &mut ServiceConfig) {
    api.service(account::http::sign_in_with_password)
        .service(account::http::send_code)
        .service(account::http::verify_code)
        .service(account::http::sign_in_with_token)
        .service(account::http::refresh_tokens)
        .service(account::http::sign_out)
        .service(account::http::read_me);
}

fn place_routes(api: &mut ServiceConfig) {
    let _ = api;
}

fn schedule_routes(api: &mut ServiceConfig) {
    let _ = api;
}

fn appointment_routes(api: &mut ServiceConfig) {
    api.service(appointment::http::book_appointment)
        .service(appointment::http::list_appointments)
        .service(appointment::http::find_appointment)
        .service(appointment::http::edit_appointment)
        .service(appointment::http::confirm_appointment)
        .service(appointment::http::cancel_appointment)
        .service(appointment::http::mark_noshow);
}

fn encounter_routes(api: &mut ServiceConfig) {
    api.service(encounter::http::find_encounter)
        .service(encounter::http::join_encounter)
        .service(encounter::http::list_waiting_room)
        .service(encounter::http::list_waiting)
        .service(encounter::http::admit_participant)
        .service(encounter::http::hold_participant)
        .service(encounter::http::deny_participant)
        .service(encounter::http::finish_encounter)
        .service(encounter::http::convert_encounter)
        .service(encounter::http::list_calls);
}

fn record_routes(api: &mut ServiceConfig) {
    let _ = api;
}

/// What is not described as API: documents about it, health, the pages.
pub fn plain_routes(app: &mut web::ServiceConfig) {
    app.route("/openapi.json", web::get().to(openapi_json))
        .route("/.well-known/jwks.json", web::get().to(account::http::jwks))
        .default_service(web::route().to(nothing_here));
}

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
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document of everything that [`routes`] mounts.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(routes)
        .split_for_parts();
    document
}

async fn openapi_json() -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| openapi().to_json().unwrap_or_default());
    HttpResponse::Ok().content_type("application/json").body(text.as_str())
}

/// Nothing is mounted here, or not for this method.
async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Error> {
    if request.resource_map().match_pattern(request.path()).is_some() {
        return Err(Error::from(&problem::METHOD_NOT_ALLOWED));
    }
    Err(Error::from(&problem::NOT_FOUND))
}

/// Starts listening. The returned future runs until the server is stopped by its handle.
pub fn start(shared: web::Data<app::App>, listener: TcpListener) -> std::io::Result<Server> {
    let http = shared.config.http.clone();
    let mut server = HttpServer::new(move || {
        let (app, _document) = App::new().into_utoipa_app().configure(routes).split_for_parts();
        app.app_data(web::Data::clone(&shared))
            .configure(plain_routes)
            .wrap(from_fn(frame))
            .wrap(Compress::default())
    })
    .client_request_timeout(Duration::from_secs(HEAD_SECS_MAX))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECS))
    .shutdown_timeout(http.shutdown_secs)
    .disable_signals();
    if http.workers > 0 {
        server = server.workers(http.workers);
    }
    Ok(server.listen(listener)?.run())
}
