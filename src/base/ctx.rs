//! One request: who sent it, in which language, and how its deed is run.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ETag, EntityTag};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;

use crate::access::Facts;
use crate::access::caller::{self, Caller};
use crate::access::table::Action;
use crate::account::token::Claims;
use crate::account::{SessionId, session};
use crate::audit;
use crate::base::app::App;
use crate::base::body::Body;
use crate::base::db::Conn;
use crate::base::error::{Denied, Error};
use crate::base::idempotency::{self, Answer, Once};
use crate::base::language::Language;
use crate::base::problem;
use crate::base::seal::{hex, sha256};
use crate::base::tx::{Event, Sees, Tx};
use crate::call;

/// The id of a request, as logs and problems quote it.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// One request.
#[derive(Clone)]
pub struct Ctx {
    /// What all requests share.
    pub app: Arc<App>,
    /// Whose token was sent, verified; `None` without a token.
    pub claims: Option<Claims>,
    /// The language of the answer.
    pub language: Language,
    /// The network address of the client, for limits only.
    pub address: String,
    request: HttpRequest,
}

impl FromRequest for Ctx {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl Ctx {
    fn of(request: &HttpRequest) -> Result<Self, Error> {
        let app = request
            .app_data::<web::Data<App>>()
            .ok_or(Error::Internal("the application is not mounted"))?;
        let app = Arc::clone(app);
        let claims = match bearer(request)? {
            None => None,
            Some(token) => Some(app.tokens.verify_access(token, app.clock.now())?),
        };
        let language = Language::of_header(header_text(request, header::ACCEPT_LANGUAGE.as_str()));
        let address = client_address(request, app.config.http.trusted_proxies);
        Ok(Self { app, claims, language, address, request: request.clone() })
    }

    /// The request itself, for headers.
    pub fn request(&self) -> &HttpRequest {
        &self.request
    }

    /// Runs a deed that only reads.
    pub async fn read<T, F>(&self, deed: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
    {
        self.prove().await;
        let work = self.work(deed, Sees::Snapshot);
        let done = self.app.db.read(move |conn| work(conn).map(|(value, _events)| value)).await?;
        done.inspect_err(|error| remember_denial(&self.app, error))
    }

    /// Runs a deed that changes something: whole or not at all. It ends even when the client
    /// has gone away meanwhile.
    pub async fn write<T, F>(&self, deed: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
    {
        self.prove().await;
        let work = self.work(deed, Sees::Latest);
        let app = Arc::clone(&self.app);
        let task = actix_web::rt::spawn(async move {
            match app.db.write(work).await? {
                Ok((value, events)) => {
                    publish(&app, events);
                    Ok(value)
                }
                Err(error) => {
                    remember_denial(&app, &error);
                    Err(error)
                }
            }
        });
        task.await.map_err(|_cancelled| Error::Internal("a deed was cancelled"))?
    }

    /// The first request with an access token proves that the tokens arrived.
    async fn prove(&self) {
        if let Some(claims) = &self.claims {
            session::prove(&self.app, claims).await;
        }
    }

    /// Runs a deed at most once per `Idempotency-Key` and answers with its JSON.
    /// Without the header it simply runs.
    pub async fn once<B, T, F>(
        &self,
        status: StatusCode,
        body: Body<B>,
        deed: F,
    ) -> Result<HttpResponse, Error>
    where
        B: Clone + Send + 'static,
        T: Serialize + Send + 'static,
        F: FnOnce(&mut Tx, B) -> Result<T, Error> + Clone + Send + 'static,
    {
        let once = self.idempotency_key(&body.fingerprint)?;
        let status = status.as_u16();
        let value = body.value;
        let (answer, replayed) = self
            .write(move |tx| {
                // A caller who is not signed in has no keys: the deed itself refuses.
                let once = once.filter(|_| tx.person().is_ok());
                if let Some(once) = &once
                    && let Some(answer) = idempotency::take(tx, once)?
                {
                    // Whoever may no longer do it does not hear what came of it either.
                    match tx.rehearse(|tx| deed(tx, value)) {
                        Err(refused) if refused.denial().is_some() => return Err(refused),
                        Ok(_) | Err(_) => return Ok((answer, true)),
                    }
                }
                let done = deed(tx, value)?;
                let body = serde_json::to_value(done)
                    .map_err(|_unserializable| Error::Internal("an answer is not JSON"))?;
                let answer = Answer { status, body };
                if let Some(once) = &once {
                    idempotency::keep(tx, once, &answer)?;
                }
                Ok((answer, false))
            })
            .await?;
        Ok(respond(&answer, replayed))
    }

    /// As [`Ctx::once`], but the key is required. 400 `idempotency_key_missing`.
    pub async fn only_once<B, T, F>(
        &self,
        status: StatusCode,
        body: Body<B>,
        deed: F,
    ) -> Result<HttpResponse, Error>
    where
        B: Clone + Send + 'static,
        T: Serialize + Send + 'static,
        F: FnOnce(&mut Tx, B) -> Result<T, Error> + Clone + Send + 'static,
    {
        if self.claims.is_none() {
            return Err(Error::from(&problem::UNAUTHORIZED));
        }
        if header_text(&self.request, "Idempotency-Key").is_none() {
            return Err(Error::from(&problem::IDEMPOTENCY_KEY_MISSING));
        }
        self.once(status, body, deed).await
    }

    /// The version in `If-Match`. 428 without it, 412 when it is none of ours.
    pub fn if_match(&self) -> Result<i32, Error> {
        let value = header_text(&self.request, header::IF_MATCH.as_str())
            .ok_or_else(|| Error::from(&problem::PRECONDITION_REQUIRED))?;
        value
            .trim()
            .trim_matches('"')
            .parse()
            .map_err(|_not_a_version| Error::from(&problem::STALE_VERSION))
    }

    /// The version in `If-Match`, where it need not be sent. 412 when it is none of ours.
    pub fn if_match_sent(&self) -> Result<Option<i32>, Error> {
        match self.request.headers().contains_key(header::IF_MATCH) {
            true => self.if_match().map(Some),
            false => Ok(None),
        }
    }

    fn idempotency_key(&self, fingerprint: &[u8]) -> Result<Option<Once>, Error> {
        let Some(value) = self.request.headers().get("Idempotency-Key") else { return Ok(None) };
        let key = value
            .to_str()
            .map_err(|_not_text| Error::from(&problem::IDEMPOTENCY_KEY_INVALID))?
            .trim_matches('"');
        idempotency::check(key)?;
        Ok(Some(Once {
            key: key.to_owned(),
            route: format!("{} {}", self.request.method(), self.request.path()),
            fingerprint: fingerprint.to_vec(),
        }))
    }

    fn work<T, F>(
        &self,
        deed: F,
        sees: Sees,
    ) -> impl FnOnce(&mut Conn) -> Result<(T, Vec<Event>), Error> + Clone + Send + 'static
    where
        F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
    {
        let session = self.claims.as_ref().map(|claims| claims.session);
        work(&self.app, session, self.language, deed, sees)
    }
}

/// A deed of whoever a sign-in session belongs to, as the database threads take it.
fn work<T, F>(
    app: &Arc<App>,
    session: Option<SessionId>,
    language: Language,
    deed: F,
    sees: Sees,
) -> impl FnOnce(&mut Conn) -> Result<(T, Vec<Event>), Error> + Clone + Send + 'static
where
    F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
{
    let app = Arc::clone(app);
    move |conn| {
        let caller = match session {
            None => Caller::Nobody,
            Some(session) => caller::of_session(conn, session, app.clock.now())?,
        };
        run(Tx::new(conn, &app, app.clock.now(), caller, language).seeing(sees), deed)
    }
}

/// Runs a deed of the system itself: background work, the command line, sockets.
pub async fn as_system<T, F>(app: &Arc<App>, deed: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
{
    let shared = Arc::clone(app);
    let (value, events) =
        app.db.write(move |conn| run(of_system(conn, &shared, Sees::Latest), deed)).await??;
    publish(app, events);
    Ok(value)
}

/// Sees to some things one after the other, each in a transaction of the system of its own: one that fails
/// holds up no other. What each deed returned, or the first error in the end.
pub async fn each_as_system<I, T, F>(
    app: &Arc<App>,
    action: Action,
    all: Vec<I>,
    deed: F,
) -> Result<Vec<T>, Error>
where
    I: Clone + Send + 'static,
    T: Send + 'static,
    F: Fn(&mut Tx, I) -> Result<T, Error> + Clone + Send + 'static,
{
    let (mut done, mut failed) = (Vec::with_capacity(all.len()), None);
    for one in all {
        let deed = deed.clone();
        let seen_to = as_system(app, move |tx| {
            tx.allow(action, &Facts::NONE)?;
            deed(tx, one)
        });
        match seen_to.await {
            Ok(one) => done.push(one),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(done), Err)
}

/// As [`as_system`], for a deed that only reads.
pub async fn look_as_system<T, F>(app: &Arc<App>, deed: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
{
    let shared = Arc::clone(app);
    let look = move |conn: &mut Conn| run(of_system(conn, &shared, Sees::Snapshot), deed);
    app.db.read(look).await?.map(|(value, _events)| value)
}

/// Runs a deed of the person behind a sign-in session: what arrives on a socket.
/// 401 `session_over` once the session has ended.
pub async fn as_session<T, F>(app: &Arc<App>, session: SessionId, deed: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
{
    let work = work(app, Some(session), Language::English, deed, Sees::Latest);
    let done = app.db.write(work).await?;
    let (value, events) = done.inspect_err(|error| remember_denial(app, error))?;
    publish(app, events);
    Ok(value)
}

/// As [`as_session`], for a deed that only reads.
pub async fn look_as_session<T, F>(app: &Arc<App>, session: SessionId, deed: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx) -> Result<T, Error> + Clone + Send + 'static,
{
    let work = work(app, Some(session), Language::English, deed, Sees::Snapshot);
    let done = app.db.read(move |conn| work(conn).map(|(value, _events)| value)).await?;
    done.inspect_err(|error| remember_denial(app, error))
}

fn of_system<'a>(conn: &'a mut Conn, app: &'a App, sees: Sees) -> Tx<'a> {
    Tx::new(conn, app, app.clock.now(), Caller::System, Language::English).seeing(sees)
}

fn run<T>(
    mut tx: Tx,
    deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
) -> Result<(T, Vec<Event>), Error> {
    let anonymous = matches!(tx.caller, Caller::Nobody);
    let value = deed(&mut tx).map_err(|error| {
        // Without sign-in, what is not there and what is hidden must answer alike.
        if anonymous && error.is(&problem::NOT_FOUND) {
            return Error::from(&problem::UNAUTHORIZED);
        }
        error
    })?;
    Ok((value, tx.end()?))
}

fn publish(app: &Arc<App>, events: Vec<Event>) {
    for event in events {
        if event == Event::MessageQueued {
            app.outbox.notify_one();
        }
        app.rooms.nodes.pass_on(&event);
        let departures = app.rooms.hear(&event);
        if !departures.is_empty() {
            let app = Arc::clone(app);
            drop(actix_web::rt::spawn(
                async move { call::departure::remember(&app, departures).await },
            ));
        }
    }
}

/// A refusal undoes its transaction; that it happened is remembered in one of its own. Nobody
/// waits for it, so that a hidden object does not answer later than one that does not exist.
fn remember_denial(app: &Arc<App>, error: &Error) {
    let Some(Denied { actor, entry }) = error.denial().cloned() else { return };
    if actor.account.is_none() {
        return;
    }
    let (app, now) = (Arc::clone(app), app.clock.now());
    drop(actix_web::rt::spawn(async move {
        let kept = app.db.write(move |conn| audit::append(conn, now, actor, &[entry])).await;
        if !matches!(kept, Ok(Ok(()))) {
            tracing::error!("a refusal could not be written to the audit log");
        }
    }));
}

/// An answer with its `ETag` (the object's version) and whether it is a repetition.
pub fn respond(answer: &Answer, replayed: bool) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(version) = answer.body.get("version").and_then(Value::as_i64) {
        response.insert_header(ETag(EntityTag::new_strong(version.to_string())));
    }
    if replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    if status == StatusCode::NO_CONTENT { response.finish() } else { response.json(&answer.body) }
}

/// 200 with the object and its `ETag`.
pub fn ok(object: &impl Serialize) -> Result<HttpResponse, Error> {
    let body = serde_json::to_value(object)
        .map_err(|_unserializable| Error::Internal("an answer is not JSON"))?;
    Ok(respond(&Answer { status: 200, body }, false))
}

/// As [`ok`], but 304 without a body when the client has just this: its `ETag` is made of the answer
/// itself, weak because the same answer leaves compressed and plain.
pub fn unless_known(request: &HttpRequest, object: &impl Serialize) -> Result<HttpResponse, Error> {
    let body = serde_json::to_vec(object)
        .map_err(|_unserializable| Error::Internal("an answer is not JSON"))?;
    let tag: String = hex(&sha256(&body)).chars().take(16).collect();
    let tag = format!("W/\"{tag}\"");
    let known = header_text(request, header::IF_NONE_MATCH.as_str()).unwrap_or_default();
    let is_known = known.split(',').any(|one| one.trim() == tag);
    let tag = (header::ETAG, tag);
    Ok(if is_known {
        HttpResponse::NotModified().insert_header(tag).finish()
    } else {
        HttpResponse::Ok().insert_header(tag).content_type("application/json").body(body)
    })
}

fn header_text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn bearer(request: &HttpRequest) -> Result<Option<&str>, Error> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    let invalid = || Error::from(&problem::INVALID_TOKEN);
    if values.next().is_some() {
        return Err(invalid());
    }
    let text = value.to_str().map_err(|_not_text| invalid())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(invalid()) }
}

/// The peer's address, or the one that the outermost trusted proxy saw. A proxy may append to the
/// header's line or add a line below: only what stands last is its own word.
pub fn client_address(request: &HttpRequest, trusted_proxies: usize) -> String {
    let peer = request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    let lines = request.headers().get_all("X-Forwarded-For").filter_map(|line| line.to_str().ok());
    let forwarded: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let seen = trusted_proxies
        .checked_sub(1)
        .and_then(|back| forwarded.iter().rev().nth(back))
        .map_or(peer.as_str(), |address| address);
    subscriber(seen)
}

/// What one subscriber has: an IPv4 address, or the whole /64 network of an IPv6 address, which
/// any of its machines can leave for another address at will. Some proxies write the port beside it
/// (RFC 7239 6): every connection has another.
fn subscriber(address: &str) -> String {
    let with_port = address.parse::<SocketAddr>().map(|peer| peer.ip());
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match with_port.or_else(|_no_port| bare.parse()).map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
            format!("{network}/64")
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// The id that the middleware gave a request.
pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// The host that the client asked for. What a stranger may write into `X-Forwarded-Host` says
/// nothing; a server behind a proxy has a `public_url`.
pub fn host(request: &HttpRequest) -> &str {
    header_text(request, header::HOST.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn address(lines: &[&str], trusted_proxies: usize) -> String {
        let peer = "10.0.0.1:4000".parse().unwrap();
        let request = lines.iter().fold(TestRequest::default().peer_addr(peer), |request, line| {
            request.append_header(("X-Forwarded-For", *line))
        });
        client_address(&request.to_http_request(), trusted_proxies)
    }

    #[test]
    fn a_client_cannot_choose_the_address_that_it_is_counted_by() {
        assert_eq!(address(&["1.1.1.1"], 0), "10.0.0.1");
        assert_eq!(address(&["1.1.1.1, 9.9.9.9"], 1), "9.9.9.9");
        assert_eq!(address(&["1.1.1.1", "9.9.9.9"], 1), "9.9.9.9", "a proxy that adds a line");
        assert_eq!(address(&["1.1.1.1", "9.9.9.9, 10.0.0.2"], 2), "9.9.9.9");
        assert_eq!(address(&["9.9.9.9"], 2), "10.0.0.1", "fewer proxies than were trusted");
    }

    #[test]
    fn a_subscriber_has_one_ipv4_address_or_a_whole_ipv6_network() {
        assert_eq!(subscriber("2001:db8:1:2:aaaa::1"), subscriber("2001:db8:1:2:bbbb::2"));
        assert_ne!(subscriber("2001:db8:1:2::1"), subscriber("2001:db8:1:3::1"));
        assert_eq!(subscriber("::ffff:9.9.9.9"), "9.9.9.9");
        assert_eq!(subscriber("9.9.9.9:40001"), "9.9.9.9");
        assert_eq!(subscriber("[2001:db8:1:2::1]:443"), subscriber("2001:db8:1:2::1"));
        assert_eq!(subscriber("[2001:db8:1:2::1]"), subscriber("2001:db8:1:2::1"));
        assert_eq!(subscriber("unknown"), "unknown");
    }
}
