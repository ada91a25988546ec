//! One socket: the first frame, the heartbeat, the limits, and the room behind it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError, Session};
use tokio::time::{sleep_until, timeout};

use crate::base::app::App;
use crate::base::ctx::{self, as_session, look_as_session, look_as_system};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::call::budget::Budget;
use crate::call::event::{CloseCode, Event, LineId};
use crate::call::line::{Inbox, Line, Order, line};
use crate::call::message::{
    ErrorCode, Frame, FromPeer, MESSAGE_BYTES_MAX, Misread, PROTOCOL, Resume, Side, read,
};
use crate::call::meter::{Meter, measured};
use crate::call::room::error;
use crate::call::seat::{self, Standing, Taken};
use crate::call::{place_of, remember};
use crate::encounter::finish::Finish;
use crate::encounter::guest::Aside;
use crate::encounter::{admission, finish, guest};

/// How long the first frame may take, in seconds.
pub const HELLO_SECS_MAX: u64 = 5;
/// How long a socket may be silent, in seconds; a client pings every five.
pub const SILENCE_SECS_MAX: u64 = 15;
/// How long writing one message to a slow network may take, in seconds.
const WRITE_SECS_MAX: u64 = 15;
/// Frames per second in the long run.
pub const FRAMES_PER_SECOND: f64 = 30.0;
/// Frames at once.
pub const FRAMES_BURST: f64 = 60.0;
/// Frames that no client should send, before the socket closes.
const MISTAKES_MAX: u32 = 20;

/// `GET /v1/rtc`: the signaling socket. Who comes is known from the first frame, never from the URL.
pub async fn open(
    request: HttpRequest,
    body: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Error> {
    check_origin(&request, &app)?;
    if app.rooms.is_stopping() {
        return Err(Error::from(&problem::OVERLOADED));
    }
    let (body, meter) = measured(&request, body)
        .await
        .map_err(|_unreadable| Error::Internal("a socket without its stream"))?;
    let (answer, session, stream) = actix_ws::handle_with_protocols(&request, body, &[PROTOCOL])
        .map_err(|_not_a_socket| Error::from(&problem::UPGRADE_REQUIRED))?;
    if !answer.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(Error::from(&problem::UPGRADE_REQUIRED));
    }
    let stream = stream
        .max_frame_size(MESSAGE_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_BYTES_MAX);
    let app = Arc::clone(&app);
    let address = ctx::client_address(&request, app.config.http.trusted_proxies);
    drop(actix_web::rt::spawn(serve(app, address, session, Hearing { stream, meter })));
    Ok(answer)
}

/// A browser names the page's origin; another site's page must not speak for its visitors.
fn check_origin(request: &HttpRequest, app: &App) -> Result<(), Error> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default().trim_end_matches('/');
    let http = &app.config.http;
    let own = if http.public_url.is_empty() {
        origin.split_once("://").is_some_and(|(_, host)| host == ctx::host(request))
    } else {
        http.public_url.trim_end_matches('/') == origin
    };
    if own || http.allowed_origins.iter().any(|allowed| allowed == origin) {
        Ok(())
    } else {
        Err(Error::from(&problem::FORBIDDEN))
    }
}

async fn serve(app: Arc<App>, address: String, mut session: Session, mut hearing: Hearing) {
    let first = timeout(Duration::from_secs(HELLO_SECS_MAX), hearing.next()).await;
    let frame = match first {
        Ok(Some(Ok(AggregatedMessage::Text(text)))) => read(&text),
        Ok(Some(Ok(AggregatedMessage::Close(_))) | None) => return,
        Ok(Some(Ok(_))) => Err(Misread::NotOurs),
        Ok(Some(Err(fault))) => return close(session, code_of_fault(&fault)).await,
        Err(_elapsed) => return close(session, CloseCode::HelloTimeout).await,
    };
    let Ok(frame) = frame else { return close(session, CloseCode::BadFrame).await };
    app.rooms.restored().await;
    // Whoever guesses is not looked up; whoever has a seat here is heard from everywhere.
    if let FromPeer::Resume(resume) = &frame.said
        && app.rooms.knocks.are_too_many(&address)
        && !app.rooms.knows(resume.sid)
    {
        return close(session, CloseCode::TooSlow).await;
    }
    let id = app.rooms.new_line();
    let (line, inbox) = line(id, app.clock.now());
    let seated = match frame.said {
        FromPeer::Hello(hello) => sit_down(&app, &hello.ticket, line).await,
        FromPeer::Resume(resume) => sit_down_again(&app, resume, line).await,
        _ => return close(session, CloseCode::BadFrame).await,
    };
    match seated {
        Ok(taken) => {
            let budget = Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
            let mut socket = Socket { app, taken, line: id, budget, mistakes: 0 };
            let code = socket.run(&mut session, hearing, inbox).await;
            socket.tell_room(Event::Lost(id)).await;
            if let Some(code) = code {
                close(session, code).await;
            }
        }
        Err(refused) => {
            log_fault(&refused);
            if code_of(&refused) == CloseCode::SignIn {
                app.rooms.knocks.count(&address);
            }
            let said = error(error_code(&refused), frame.id.as_deref());
            write(&mut session, said).await.ok();
            close(session, code_of(&refused)).await;
        }
    }
}

async fn sit_down(app: &Arc<App>, ticket: &str, line: Line) -> Result<Taken, Error> {
    let now = app.clock.now();
    let claims = app.tokens.verify_ticket(ticket, now)?;
    let participant = claims.participant;
    let mut taken = as_session(app, claims.session, move |tx| seat::take(tx, &claims)).await?;
    taken.guest.place = place_of(app, &taken).await;
    let ice = crate::call::ice::servers(&app.config.ice, participant.0, now);
    let enter = Event::Enter(taken.guest.clone(), line.id, taken.credentials.clone(), ice);
    remember(app, app.rooms.apply(taken.encounter, Some(line), enter)).await;
    Ok(taken)
}

async fn sit_down_again(app: &Arc<App>, asked: Resume, line: Line) -> Result<Taken, Error> {
    let (last_seq, shown) = (asked.last_seq, asked.clone());
    let session = look_as_system(app, move |tx| seat::session_of(tx, &shown)).await?;
    let mut taken = as_session(app, session, move |tx| seat::take_again(tx, &asked)).await?;
    taken.guest.place = place_of(app, &taken).await;
    let resume = Event::Resume(taken.guest.clone(), line.id, taken.credentials.clone(), last_seq);
    remember(app, app.rooms.apply(taken.encounter, Some(line), resume)).await;
    Ok(taken)
}

/// What a peer says.
struct Hearing {
    stream: AggregatedMessageStream,
    meter: Meter,
}

impl Hearing {
    async fn next(&mut self) -> Option<Result<AggregatedMessage, ProtocolError>> {
        let heard = self.stream.recv().await;
        self.meter.reset();
        heard
    }
}

struct Socket {
    app: Arc<App>,
    taken: Taken,
    line: LineId,
    budget: Budget,
    mistakes: u32,
}

/// Why a socket ends; the code to close with, if it is ours to close.
type Ended = Option<CloseCode>;

impl Socket {
    /// Lives until either side ends it.
    async fn run(
        &mut self,
        session: &mut Session,
        mut hearing: Hearing,
        mut inbox: Inbox,
    ) -> Ended {
        let silence = Duration::from_secs(SILENCE_SECS_MAX);
        let mut dead_at = tokio::time::Instant::now() + silence;
        loop {
            let done = tokio::select! {
                order = inbox.next() => self.obey(session, order).await,
                heard = hearing.next() => {
                    dead_at = tokio::time::Instant::now() + silence;
                    match heard {
                        Some(Ok(message)) => self.hear(session, message).await,
                        Some(Err(fault)) => Err(Some(code_of_fault(&fault))),
                        None => Err(None),
                    }
                }
                () = sleep_until(dead_at) => Err(None),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn obey(&self, session: &mut Session, order: Option<Order>) -> Result<(), Ended> {
        match order {
            Some(Order::Send(text)) => write(session, text).await,
            Some(Order::Check) => self.check().await,
            Some(Order::Close(code)) => Err(Some(code)),
            None => Err(Some(CloseCode::TooSlow)),
        }
    }

    /// The database has the last word on who may sit here, whatever this process has heard.
    async fn check(&self) -> Result<(), Ended> {
        let Taken { encounter, guest, credentials, .. } = &self.taken;
        let (encounter, id, session) = (*encounter, guest.id, credentials.session);
        let asked = credentials.clone();
        let look = move |tx: &mut Tx| seat::look(tx, encounter, id, &asked);
        match look_as_session(&self.app, session, look).await {
            Ok(Standing::Good) => {}
            Ok(Standing::Superseded) => return Err(Some(CloseCode::Superseded)),
            Ok(Standing::Over(why)) => self.tell_room(Event::Over(why)).await,
            Err(refused) => match code_of(&refused) {
                CloseCode::SignIn => self.tell_room(Event::SignedOut(session)).await,
                CloseCode::Forbidden | CloseCode::NoVisit => {
                    self.tell_room(Event::Barred(id)).await;
                }
                // The call goes on while the database rests; the next check is soon.
                _ => log_fault(&refused),
            },
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        session: &mut Session,
        message: AggregatedMessage,
    ) -> Result<(), Ended> {
        if !self.budget.spend() {
            return Err(Some(CloseCode::TooSlow));
        }
        let text = match message {
            AggregatedMessage::Text(text) => text,
            AggregatedMessage::Ping(payload) => {
                let pong = session.pong(&payload);
                return within_time(pong).await;
            }
            AggregatedMessage::Pong(_) => return Ok(()),
            AggregatedMessage::Close(_) => return Err(None),
            AggregatedMessage::Binary(_) => return Err(Some(CloseCode::BadFrame)),
        };
        let (code, id) = match read(&text) {
            Ok(frame) => match self.follow(frame).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            },
            Err(Misread::NotOurs) => return Err(Some(CloseCode::BadFrame)),
            Err(Misread::Unsupported(id)) => (ErrorCode::Unsupported, id),
            Err(Misread::BadRequest(id)) => (ErrorCode::BadRequest, id),
            Err(Misread::TooLarge(id)) => (ErrorCode::TooLarge, id),
        };
        if code.is_mistake() {
            self.mistakes = self.mistakes.saturating_add(1);
        }
        if self.mistakes > MISTAKES_MAX {
            return Err(Some(CloseCode::BadFrame));
        }
        write(session, error(code, id.as_deref())).await
    }

    /// What changes a visit is a deed of the person, with the policy's word, as over HTTP;
    /// the room hears of it after the commit. The rest is the room's own business.
    async fn follow(&self, frame: Frame) -> Result<(), (ErrorCode, Option<String>)> {
        let (app, visit) = (&self.app, self.taken.encounter);
        let session = self.taken.credentials.session;
        // A socket that lost its seat is not listened to, whatever it says.
        if !app.rooms.heeds(visit, self.line, frame.ack) {
            return Ok(());
        }
        let id = frame.id.clone();
        let done = match frame.said {
            FromPeer::Admit(whom) => {
                let deed = move |tx: &mut Tx| admission::admit(tx, visit, whom.participant);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::Hold(whom) => {
                let deed = move |tx: &mut Tx| admission::hold(tx, visit, whom.participant);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::Deny(whom) => {
                let deed = move |tx: &mut Tx| admission::deny(tx, visit, whom.participant);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::Remove(whom) => {
                let deed = move |tx: &mut Tx| guest::remove(tx, visit, whom.participant);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::Lock(lock) => {
                as_session(app, session, move |tx| guest::lock(tx, visit, lock)).await.map(drop)
            }
            FromPeer::Side(Side { participant, aside }) => {
                let wanted = Aside { aside };
                let deed = move |tx: &mut Tx| guest::put_aside(tx, visit, participant, wanted);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::End(end) => {
                let end = Finish { outcome: end.outcome };
                as_session(app, session, move |tx| finish::finish(tx, visit, end)).await.map(drop)
            }
            said => {
                self.tell_room(Event::Said(self.line, Frame { said, ..frame })).await;
                Ok(())
            }
        };
        let Err(refused) = done else { return Ok(()) };
        log_fault(&refused);
        if code_of(&refused) == CloseCode::SignIn {
            self.tell_room(Event::SignedOut(session)).await;
        }
        Err((error_code(&refused), id))
    }

    async fn tell_room(&self, event: Event) {
        let departures = self.app.rooms.apply(self.taken.encounter, None, event);
        remember(&self.app, departures).await;
    }
}

/// A network that takes nothing for so long is too slow.
async fn write(session: &mut Session, text: String) -> Result<(), Ended> {
    within_time(session.text(text)).await
}

async fn within_time(
    writing: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Result<(), Ended> {
    match timeout(Duration::from_secs(WRITE_SECS_MAX), writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err(None),
        Err(_elapsed) => Err(Some(CloseCode::TooSlow)),
    }
}

fn log_fault(refused: &Error) {
    if code_of(refused) == CloseCode::Internal {
        let code = refused.problem().code;
        tracing::error!(code, "something asked for on a socket failed");
    }
}

fn code_of(refused: &Error) -> CloseCode {
    // Nobody else has the seat: there is none as long as the door is locked.
    if refused.is(&problem::ROOM_LOCKED) {
        return CloseCode::Forbidden;
    }
    match refused.problem().status {
        401 => CloseCode::SignIn,
        403 => CloseCode::Forbidden,
        404 => CloseCode::NoVisit,
        409 => CloseCode::Superseded,
        410 => CloseCode::Over,
        _ => CloseCode::Internal,
    }
}

fn error_code(refused: &Error) -> ErrorCode {
    match refused.problem().status {
        401 | 403 => ErrorCode::Forbidden,
        404 => ErrorCode::PeerGone,
        409 | 410 | 422 => ErrorCode::BadState,
        _ => ErrorCode::Internal,
    }
}

fn code_of_fault(fault: &ProtocolError) -> CloseCode {
    match fault {
        ProtocolError::Overflow => CloseCode::TooLarge,
        // The meter, or a message of many pieces; what breaks the line itself hears no code.
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => {
            CloseCode::TooLarge
        }
        _ => CloseCode::BadFrame,
    }
}

async fn close(session: Session, code: CloseCode) {
    #[expect(clippy::as_conversions, reason = "the enum's numbers are the wire's numbers")]
    let number = code as u16;
    let reason = CloseReason { code: number.into(), description: None };
    within_time(session.close(Some(reason))).await.ok();
}
