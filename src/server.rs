//! The route table: every path of the API in one place, and how the server starts and stops.

use std::any::Any;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use diesel::RunQueryDsl;
use serde_json::json;
use tokio::net::TcpSocket;
use utoipa::OpenApi;
use utoipa::openapi::PathItem;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::account;
use crate::appointment;
use crate::audit;
use crate::base::app;
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::http::frame;
use crate::base::problem;
use crate::calendar;
use crate::call;
use crate::chat;
use crate::consent;
use crate::encounter;
use crate::location;
use crate::openapi::{self, Document};
use crate::organization;
use crate::patient;
use crate::practitioner;
use crate::record;
use crate::resource;
use crate::ring;
use crate::schedule::{self, leave};
use crate::task;
use crate::waitlist;
use crate::web as pages;

/// How long a client may take to send the head of a request.
const HEAD_SECS_MAX: u64 = 10;
/// Connections without a request are closed after this.
const KEEP_ALIVE_SECS: u64 = 75;
/// How long what was sent may wait to be taken.
const UNTAKEN_SECS_MAX: u64 = 30;
/// Connections per worker; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// Connections that wait in the system's queue; further ones are refused by it.
const BACKLOG_LEN_MAX: u32 = 1024;
/// How long the database may take to answer before this process is not ready.
const READY_SECS_MAX: u64 = 1;

/// Mounts and describes every operation of the API.
pub fn routes(api: &mut ServiceConfig) {
    account_routes(api);
    place_routes(api);
    schedule_routes(api);
    appointment_routes(api);
    waitlist_routes(api);
    encounter_routes(api);
    care_routes(api);
    record_routes(api);
    calendar_routes(api);
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
    api.service(organization::http::create_organization)
        .service(organization::http::list_organizations)
        .service(organization::http::find_organization)
        .service(organization::http::edit_organization)
        .service(organization::http::create_member)
        .service(organization::http::list_members)
        .service(organization::http::edit_member)
        .service(organization::http::create_healthcare_service)
        .service(organization::http::list_healthcare_services)
        .service(organization::http::find_healthcare_service)
        .service(organization::http::edit_healthcare_service)
        .service(resource::http::create_resource)
        .service(resource::http::list_resources)
        .service(resource::http::edit_resource)
        .service(resource::http::list_stranded_visits)
        .service(practitioner::http::list_unattended_visits)
        .service(location::http::create_location)
        .service(location::http::list_locations)
        .service(location::http::find_location)
        .service(location::http::edit_location)
        .service(practitioner::http::create_practitioner)
        .service(practitioner::http::list_practitioners)
        .service(practitioner::http::find_practitioner)
        .service(practitioner::http::edit_practitioner)
        .service(patient::http::create_patient)
        .service(patient::http::list_patients)
        .service(patient::http::find_patient)
        .service(patient::http::edit_patient)
        .service(patient::http::enable_patient);
}

fn schedule_routes(api: &mut ServiceConfig) {
    api.service(schedule::http::list_slots)
        .service(schedule::http::find_schedule)
        .service(schedule::http::replace_schedule)
        .service(schedule::http::list_absences)
        .service(schedule::http::add_absence)
        .service(schedule::http::remove_absence)
        .service(schedule::http::list_extra_hours)
        .service(schedule::http::add_extra_hours)
        .service(schedule::http::remove_extra_hours)
        .service(schedule::http::list_closures)
        .service(schedule::http::add_closure)
        .service(schedule::http::find_closure)
        .service(schedule::http::remove_closure)
        .service(schedule::http::find_board)
        .service(leave::http::find_absence)
        .service(leave::http::decide_outcomes)
        .service(leave::http::complete_absence)
        .service(leave::http::plan_illness)
        .service(leave::http::find_illness_plan)
        .service(leave::http::edit_illness_plan)
        .service(leave::http::apply_illness_plan)
        .service(leave::http::undo_illness_plan)
        .service(leave::http::find_offer)
        .service(leave::http::choose_time);
}

fn appointment_routes(api: &mut ServiceConfig) {
    api.service(appointment::http::book_appointment)
        .service(appointment::http::look_up_appointment)
        .service(appointment::http::answer_offer)
        .service(appointment::http::book_series)
        // They are no ids of appointments.
        .route("/v1/appointments/lookup", web::route().to(nothing_here))
        .route("/v1/appointments/series", web::route().to(nothing_here))
        .service(appointment::http::list_appointments)
        .service(appointment::http::find_appointment)
        .service(appointment::http::edit_appointment)
        .service(appointment::http::confirm_appointment)
        .service(appointment::http::cancel_appointment)
        .service(appointment::http::reschedule_appointment)
        .service(appointment::http::accept_appointment)
        .service(appointment::http::decline_appointment)
        .service(appointment::http::attend_appointment)
        .service(appointment::http::undo_appointment)
        .service(appointment::http::mark_noshow)
        .service(appointment::http::list_broken_promises)
        .service(appointment::http::keep_promise);
}

fn waitlist_routes(api: &mut ServiceConfig) {
    api.service(waitlist::http::join_waitlist)
        .service(waitlist::http::list_waitlist)
        .service(waitlist::http::find_waitlist_entry)
        .service(waitlist::http::accept_vacancy)
        .service(waitlist::http::decline_vacancy)
        .service(waitlist::http::withdraw_from_waitlist);
}

fn encounter_routes(api: &mut ServiceConfig) {
    api.service(encounter::http::find_encounter)
        .service(encounter::http::join_encounter)
        .service(encounter::http::find_waiting)
        .service(encounter::http::list_waiting_room)
        .service(encounter::http::list_waiting)
        .service(encounter::http::admit_participant)
        .service(encounter::http::hold_participant)
        .service(encounter::http::deny_participant)
        .service(encounter::http::invite_participant)
        .service(encounter::http::list_participants)
        .service(encounter::http::remove_participant)
        .service(encounter::http::put_participant_aside)
        .service(encounter::http::lock_encounter)
        .service(encounter::http::find_invitation)
        .service(encounter::http::list_invitations)
        .service(encounter::http::finish_encounter)
        .service(encounter::http::reopen_encounter)
        .service(encounter::http::convert_encounter)
        .service(encounter::http::list_calls)
        .service(call::probe::http::begin_probe)
        .service(call::probe::http::answer_probe)
        .service(call::probe::http::finish_probe)
        .service(call::probe::http::list_probes)
        .service(call::record::http::find_call)
        .service(encounter::http::find_claimable)
        .service(encounter::http::list_unseen)
        .service(encounter::http::claim_visit)
        .service(encounter::http::list_claims)
        .service(encounter::http::find_delay)
        .service(encounter::http::declare_delay);
}

fn care_routes(api: &mut ServiceConfig) {
    api.service(ring::http::ring_participant)
        .service(ring::http::list_rings)
        .service(ring::http::answer_ring)
        .service(task::http::list_tasks)
        .service(task::http::take_task)
        .service(task::http::complete_task)
        .service(chat::http::list_messages)
        .service(chat::http::write_message)
        .service(chat::http::list_chats)
        .service(consent::http::list_consent_forms)
        .service(consent::http::list_encounter_consents)
        .service(consent::http::give_encounter_consent)
        .service(consent::http::list_patient_consents)
        .service(consent::http::give_patient_consent)
        .service(consent::http::withdraw_consent);
}

fn record_routes(api: &mut ServiceConfig) {
    api.service(record::http::create_note)
        .service(record::http::list_encounter_notes)
        .service(record::http::list_patient_notes)
        .service(record::http::find_note)
        .service(record::http::edit_note)
        .service(record::http::sign_note)
        .service(record::http::add_addendum)
        .service(audit::http::list_access_log);
}

fn calendar_routes(api: &mut ServiceConfig) {
    api.service(calendar::http::appointment_calendar)
        .service(calendar::http::find_calendar_feed)
        .service(calendar::http::create_calendar_feed)
        .service(calendar::http::remove_calendar_feed)
        .service(calendar::http::read_calendar_feed)
        .service(calendar::http::find_external_calendar)
        .service(calendar::http::set_external_calendar)
        .service(calendar::http::remove_external_calendar);
}

/// What is not described as API: documents about it, health, the pages.
pub fn plain_routes(app: &mut web::ServiceConfig) {
    app.route("/openapi.json", web::get().to(openapi_json))
        .route("/.well-known/jwks.json", web::get().to(account::http::jwks))
        .route("/health/live", web::get().to(live))
        .route("/health/ready", web::get().to(ready))
        .route("/v1/rtc", web::get().to(call::socket::open))
        .route("/v1/rtc/poll", web::post().to(call::poll::poll))
        .route("/v1/rtc/send", web::post().to(call::poll::send))
        .configure(pages::routes)
        .default_service(web::route().to(nothing_here));
}

/// What a demonstration has besides: the SMS that nobody's phone receives.
pub fn demo_routes(app: &mut web::ServiceConfig) {
    app.route("/demo/sms", web::get().to(demo_sms)).configure(pages::demo_routes);
}

/// The OpenAPI document of everything that [`routes`] mounts.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(routes)
        .split_for_parts();
    openapi::complete(&mut document);
    document
}

async fn openapi_json() -> Result<HttpResponse, Error> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    match TEXT.get_or_init(|| openapi().to_json().ok()) {
        Some(text) => Ok(HttpResponse::Ok().content_type("application/json").body(text.as_str())),
        None => Err(Error::Internal("the OpenAPI document is not JSON")),
    }
}

/// The process runs.
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

/// The process can do its work: the database answers, and nobody has told us to stop.
async fn ready(app: web::Data<app::App>) -> Result<HttpResponse, Error> {
    if app.is_stopping() {
        return Err(Error::from(&problem::OVERLOADED));
    }
    let asked = app.db.read(|conn: &mut Conn| Ok(diesel::sql_query("SELECT 1").execute(conn)?));
    let answered: Result<usize, Error> =
        match tokio::time::timeout(Duration::from_secs(READY_SECS_MAX), asked).await {
            Ok(answered) => answered?,
            Err(_elapsed) => return Err(Error::from(&problem::OVERLOADED)),
        };
    answered?;
    // Whoever came here would wait until the others have heard of this process.
    if !app.rooms.nodes.tenure().speaks() {
        return Err(Error::from(&problem::OVERLOADED));
    }
    // A relay that fails is no reason to send people elsewhere: most calls need none.
    Ok(HttpResponse::Ok().json(match app.relays.standing() {
        Some(relays) => json!({"status": "ready", "relays": relays}),
        None => json!({"status": "ready"}),
    }))
}

async fn demo_sms(app: web::Data<app::App>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"items": app.inbox.newest_first()}))
}

/// Nothing is mounted here, or not for this method.
async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Error> {
    match request.resource_map().match_pattern(request.path()) {
        Some(route) => Err(Error::from(&problem::METHOD_NOT_ALLOWED).allow(methods(&route))),
        None => Err(Error::from(&problem::NOT_FOUND)),
    }
}

/// The methods of a route. What is not described as API is only read, but for lines over HTTP.
fn methods(route: &str) -> &'static str {
    if route.starts_with("/v1/rtc/") {
        return "POST";
    }
    static DESCRIBED: OnceLock<HashMap<String, String>> = OnceLock::new();
    let described = DESCRIBED.get_or_init(|| {
        let paths = openapi().paths.paths.into_iter();
        paths.map(|(route, item)| (route, methods_of(&item))).collect()
    });
    described.get(route).map_or("GET, HEAD", String::as_str)
}

fn methods_of(item: &PathItem) -> String {
    let known = [
        ("GET, HEAD", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    let there = known.iter().filter(|(_, operation)| operation.is_some());
    there.map(|(method, _)| *method).collect::<Vec<_>>().join(", ")
}

/// Takes the address; nobody is answered yet. How many may wait belongs to the socket, so it is
/// said here: the server would apply it only to sockets of its own making.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The connections of the process before linger; they do not keep the address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG_LEN_MAX)?.into_std()
}

/// What a connection needs on a bad line.
fn tune(connection: &dyn Any) {
    let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else { return };
    // A short message does not wait until the one before it was acknowledged: that is a round trip.
    let mut tuned = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(stream);
        // Whoever takes nothing of what was sent keeps neither the connection nor what waits for
        // them: without this the system would ask for ever whether there is room now.
        let limit = Duration::from_secs(UNTAKEN_SECS_MAX);
        tuned = tuned.and(socket.set_tcp_user_timeout(Some(limit)));
        // A lone message that is lost again and again is not waited for twice as long each time.
        tuned = tuned.and(socket.set_tcp_thin_linear_timeouts(true));
    }
    if tuned.is_err() {
        tracing::warn!("a connection could not be made ready for a bad line");
    }
}

/// Starts answering. The returned future runs until the server is stopped by its handle.
pub fn start(shared: web::Data<app::App>, listener: TcpListener) -> std::io::Result<Server> {
    let http = shared.config.http.clone();
    let mut server = HttpServer::new(move || {
        let (app, _document) = App::new().into_utoipa_app().configure(routes).split_for_parts();
        let demo = shared.config.demo;
        app.app_data(web::Data::clone(&shared))
            .configure(plain_routes)
            .configure(|app| {
                if demo {
                    demo_routes(app)
                }
            })
            .wrap(from_fn(frame))
            .wrap(Compress::default())
    })
    .on_connect(|connection, _| tune(connection))
    .client_request_timeout(Duration::from_secs(HEAD_SECS_MAX))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECS))
    .max_connections(CONNECTIONS_MAX)
    .shutdown_timeout(http.shutdown_secs)
    .disable_signals();
    if http.workers > 0 {
        server = server.workers(http.workers);
    }
    Ok(server.listen(listener)?.run())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_crowd_that_comes_at_once_waits_and_is_not_turned_away() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_secs(1);
        let crowd: Result<Vec<_>, _> =
            (0..300).map(|_| std::net::TcpStream::connect_timeout(&address, patience)).collect();
        assert_eq!(crowd.unwrap().len(), 300);
    }
}
