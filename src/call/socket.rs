//! One socket: the first frame, the heartbeat, the limits, and the room behind it.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, Session};
use tokio::sync::mpsc;

use crate::base::app::App;
use crate::base::ctx::{as_session, as_system};
use crate::base::error::Error;
use crate::base::problem;
use crate::call::message::{
    ErrorCode, Frame, FromPeer, MESSAGE_BYTES_MAX, Misread, PROTOCOL, read,
};
use crate::call::room::{CloseCode, Event, LineId, error};
use crate::call::seat::{self, Taken};
use crate::call::{Line, Order, QUEUE_LEN_MAX, remember};
use crate::encounter::finish::Finish;
use crate::encounter::{EncounterId, admission, finish};

/// How long the first frame may take, in seconds.
pub const HELLO_SECS_MAX: u64 = 5;
/// How long a socket may be silent, in seconds; a client pings every five.
pub const SILENCE_SECS_MAX: u64 = 15;
/// Frames per second in the long run.
pub const FRAMES_PER_SECOND: f64 = 30.0;
/// Frames at once.
pub const FRAMES_BURST: f64 = 60.0;
/// Misunderstood frames before the socket closes.
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
    let (answer, session, stream) =
        actix_ws::handle_with_protocols(&request, body, &[PROTOCOL]).map_err(|_not_a_socket| {
            Error::from(&problem::UPGRADE_REQUIRED)
        })?;
    if !answer.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(Error::from(&problem::UPGRADE_REQUIRED));
    }
    let stream = stream
        .max_frame_size(MESSAGE_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_BYTES_MAX);
    let app = Arc::clone(&app);
    drop(actix_web::rt::spawn(serve(app, session, stream)));
    Ok(answer)
}

/// A browser names the page's origin; another site's page must not speak for its visitors.
fn check_origin(request: &HttpRequest, app: &App) -> Result<(), Error> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default().trim_end_matches('/');
    let http = &app.config.http;
    let own = if http.public_url.is_empty() {
        let connection = request.connection_info();
        origin.split_once("://").is_some_and(|(_, host)| host == connection.host())
    } else {
        http.public_url.trim_end_matches('/') == origin
    };
    if own || http.allowed_origins.iter().any(|allowed| allowed == origin) {
        Ok(())
    } else {
        Err(Error::from(&problem::FORBIDDEN))
    }
}

async fn serve(app: Arc<App>, mut session: Session, mut stream: AggregatedMessageStream) {
    let first = tokio::time::timeout(Duration::from_secs(HELLO_SECS_MAX), stream.recv()).await;
    let frame = match first {
        Ok(Some(Ok(AggregatedMessage::Text(text)))) => read(&text),
        Ok(Some(Ok(AggregatedMessage::Close(_))) | None) => return,
        Ok(Some(Ok(_))) => Err(Misread::NotOurs),
        Ok(Some(Err(fault))) => return close(session, code_of_fault(&fault)).await,
        Err(_elapsed) => return close(session, CloseCode::HelloTimeout).await,
    };
    let Ok(frame) = frame else { return close(session, CloseCode::BadFrame).await };
    let (orders, inbox) = mpsc::channel(QUEUE_LEN_MAX);
    let line_id = app.rooms.new_line();
    let seated = match frame.said {
        FromPeer::Hello(hello) => sit_down(&app, &hello.ticket, line_id, orders).await,
        FromPeer::Resume(resume) => sit_down_again(&app, resume, line_id, orders).await,
        _ => return close(session, CloseCode::BadFrame).await,
    };
    match seated {
        Ok(taken) => {
            let mut socket = Socket { app, taken, line: line_id, budget: Budget::full(), mistakes: 0 };
            let code = socket.run(&mut session, stream, inbox).await;
            let departures = socket.app.rooms.apply(
                socket.taken.encounter,
                None,
                Event::Lost(line_id),
            );
            remember(&socket.app, departures).await;
            if let Some(code) = code {
                close(session, code).await;
            }
        }
        Err(refused) => {
            let code = code_of(&refused);
            if code == CloseCode::Internal {
                tracing::error!(error = %refused, "a socket could not be seated");
            }
            let said = error(error_code(&refused), frame.id.as_deref());
            drop(session.text(said).await);
            close(session, code).await;
        }
    }
}

async fn sit_down(
    app: &Arc<App>,
    ticket: &str,
    line: LineId,
    orders: mpsc::Sender<Order>,
) -> Result<Taken, Error> {
    let now = app.clock.now();
    let claims = app.tokens.verify_ticket(ticket, now)?;
    let participant = claims.participant;
    let taken = as_session(app, claims.session, move |tx| seat::take(tx, &claims)).await?;
    let ice = crate::call::ice::servers(&app.config.ice, participant.0, now);
    let line = Line { id: line, session: taken.session, orders };
    let enter = Event::Enter(taken.guest.clone(), line.id, taken.credentials.clone(), ice);
    let departures = app.rooms.apply(taken.encounter, Some(line), enter);
    remember(app, departures).await;
    Ok(taken)
}

async fn sit_down_again(
    app: &Arc<App>,
    asked: crate::call::message::Resume,
    line: LineId,
    orders: mpsc::Sender<Order>,
) -> Result<Taken, Error> {
    let (sid, last_seq) = (asked.sid, asked.last_seq);
    let session = as_system(app, move |tx| seat::session_of(tx, sid)).await?;
    let taken = as_session(app, session, move |tx| seat::take_again(tx, &asked)).await?;
    let line = Line { id: line, session, orders };
    let resume = Event::Resume(taken.guest.clone(), line.id, taken.credentials.clone(), last_seq);
    let departures = app.rooms.apply(taken.encounter, Some(line), resume);
    remember(app, departures).await;
    Ok(taken)
}

struct Socket {
    app: Arc<App>,
    taken: Taken,
    line: LineId,
    budget: Budget,
    mistakes: u32,
}

impl Socket {
    /// Lives until either side ends it; returns the code to close with, if it is ours to close.
    async fn run(
        &mut self,
        session: &mut Session,
        mut stream: AggregatedMessageStream,
        mut inbox: mpsc::Receiver<Order>,
    ) -> Option<CloseCode> {
        let silence = Duration::from_secs(SILENCE_SECS_MAX);
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Send(text)) => session.text(text).await.ok()?,
                    Some(Order::Close(code)) => return Some(code),
                    None => return Some(CloseCode::TooSlow),
                },
                heard = tokio::time::timeout(silence, stream.recv()) => match heard {
                    Ok(Some(Ok(message))) => {
                        if let Err(code) = self.hear(session, message).await {
                            return code;
                        }
                    }
                    Ok(Some(Err(fault))) => return Some(code_of_fault(&fault)),
                    Ok(None) | Err(_) => return None,
                },
            }
        }
    }

    async fn hear(
        &mut self,
        session: &mut Session,
        message: AggregatedMessage,
    ) -> Result<(), Option<CloseCode>> {
        let text = match message {
            AggregatedMessage::Text(text) => text,
            AggregatedMessage::Ping(payload) => {
                return session.pong(&payload).await.map_err(|_closed| None);
            }
            AggregatedMessage::Pong(_) => return Ok(()),
            AggregatedMessage::Close(_) => return Err(None),
            AggregatedMessage::Binary(_) => return Err(Some(CloseCode::BadFrame)),
        };
        if !self.budget.spend() {
            return Err(Some(CloseCode::TooSlow));
        }
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
        self.mistakes = self.mistakes.saturating_add(1);
        if self.mistakes > MISTAKES_MAX {
            return Err(Some(CloseCode::BadFrame));
        }
        session.text(error(code, id.as_deref())).await.map_err(|_closed| None)
    }

    /// What changes a visit is a deed of the person, with the policy's word, as over HTTP;
    /// the room hears of it after the commit. The rest is the room's own business.
    async fn follow(&self, frame: Frame) -> Result<(), (ErrorCode, Option<String>)> {
        let (app, session, visit) = (&self.app, self.taken.session, self.taken.encounter);
        let id = frame.id.clone();
        let done = match frame.said {
            FromPeer::Admit(whom) => {
                as_session(app, session, move |tx| admission::admit(tx, visit, whom.participant).map(drop)).await
            }
            FromPeer::Hold(whom) => {
                as_session(app, session, move |tx| admission::hold(tx, visit, whom.participant).map(drop)).await
            }
            FromPeer::Deny(whom) => {
                as_session(app, session, move |tx| admission::deny(tx, visit, whom.participant).map(drop)).await
            }
            FromPeer::End(end) => {
                let end = Finish { outcome: end.outcome };
                as_session(app, session, move |tx| finish::finish(tx, visit, end).map(drop)).await
            }
            said => {
                let departures = self.said(visit, Frame { said, ..frame });
                remember(app, departures).await;
                Ok(())
            }
        };
        done.map_err(|refused| {
            if matches!(refused, Error::Internal(_) | Error::Database(_)) {
                tracing::error!(error = %refused, "a decision on a socket failed");
            }
            (error_code(&refused), id)
        })
    }

    fn said(&self, visit: EncounterId, frame: Frame) -> Vec<crate::call::Departure> {
        self.app.rooms.apply(visit, None, Event::Said(self.line, frame))
    }
}

/// A token bucket over frames.
struct Budget {
    left: f64,
    at: Stopwatch,
}

impl Budget {
    fn full() -> Self {
        Self { left: FRAMES_BURST, at: Stopwatch::now() }
    }

    fn spend(&mut self) -> bool {
        let now = Stopwatch::now();
        let earned = now.duration_since(self.at).as_secs_f64() * FRAMES_PER_SECOND;
        self.left = (self.left + earned).min(FRAMES_BURST) - 1.0;
        self.at = now;
        self.left >= 0.0
    }
}

fn code_of(refused: &Error) -> CloseCode {
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

fn code_of_fault(fault: &actix_ws::ProtocolError) -> CloseCode {
    match fault {
        actix_ws::ProtocolError::Overflow => CloseCode::TooLarge,
        _ => CloseCode::BadFrame,
    }
}

async fn close(session: Session, code: CloseCode) {
    #[expect(clippy::as_conversions, reason = "the enum's numbers are the wire's numbers")]
    let number = code as u16;
    let reason = CloseReason { code: number.into(), description: None };
    drop(session.close(Some(reason)).await);
}
