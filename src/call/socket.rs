//! One socket: the first frame, the heartbeat, the limits, and the room behind it.

mod meet;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::{Instant as Moment, sleep_until};

use self::meet::{host, in_time, meet, refuse, whose};
use crate::base::app::App;
use crate::base::ctx::{self, as_session, look_as_session};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::call::budget::Budget;
use crate::call::departure::remember;
use crate::call::event::{CloseCode, Credentials, Event, LineId, OverWhy};
use crate::call::farewell;
use crate::call::gather::{gather, settle_end};
use crate::call::line::{Inbox, Order};
use crate::call::message::read::{Misread, read};
use crate::call::message::told::ErrorCode;
use crate::call::message::{Frame, FromPeer, MESSAGE_BYTES_MAX, PROTOCOL, Side};
use crate::call::meter::measured;
use crate::call::nodes::{FarWire, Lease, Whose, number, own};
use crate::call::room::error;
use crate::call::seat::{self, Standing, Taken};
use crate::call::wire::{Ended, Heard, Socketed, Wire};
use crate::encounter::arrange::{self, Aside};
use crate::encounter::finish::Finish;
use crate::encounter::{EncounterId, ParticipantId, admission, finish, guest};

/// How long the first frame may take, in seconds.
pub const HELLO_SECS_MAX: u64 = 5;
/// How long a socket may be silent, in seconds; a client pings every five.
pub const SILENCE_SECS_MAX: u64 = 15;
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
    drop(actix_web::rt::spawn(serve(app, address, Socketed::new(session, stream, meter))));
    Ok(answer)
}

/// A browser names the page's origin; another site's page must not speak for its visitors.
pub(super) fn check_origin(request: &HttpRequest, app: &App) -> Result<(), Error> {
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

/// Serves a line from its first frame to its end.
pub(super) async fn serve<W: Wire>(app: Arc<App>, address: String, mut wire: W) {
    // What it takes to find a seat is large, and given back before the sitting begins.
    let met = Box::pin(meet(&app, &address, &mut wire)).await;
    drop(address);
    let code = match met {
        Ok((socket, inbox)) => socket.live(&mut wire, inbox).await.map(number),
        Err(code) => code,
    };
    if let Some(code) = code {
        wire.close(code).await;
    }
}

/// Serves a line whose socket is on another node; `text` is its first frame.
pub(super) async fn serve_from_afar(app: Arc<App>, mut wire: FarWire, text: String) {
    let Ok(frame) = read(&text) else { return wire.close(number(CloseCode::BadFrame)).await };
    let found = match Box::pin(whose(&app, &frame.said)).await {
        Ok(Some(seat)) => match Box::pin(in_time(own(&app, seat.encounter))).await {
            Ok(Whose::Ours(lease)) => Ok((seat, lease)),
            Ok(Whose::Theirs(_)) => return wire.send_on(),
            Err(refused) => Err(refused),
        },
        Ok(None) => return wire.close(number(CloseCode::BadFrame)).await,
        Err(refused) => Err(refused),
    };
    let seated = match found {
        Ok((seat, lease)) => Box::pin(host(&app, None, &mut wire, frame, seat, lease)).await,
        Err(refused) => Err(refuse(&mut wire, &refused, frame.id.as_deref()).await),
    };
    let ended = match seated {
        Ok((socket, inbox)) => socket.live(&mut wire, inbox).await,
        Err(ended) => ended,
    };
    // It may be alive over there: whatever ended here, it begins anew.
    wire.close(number(ended.unwrap_or(CloseCode::Restart))).await;
}

/// Somebody who sits, and what the room has to say to them.
type Seated = (Socket, Inbox);

/// What a socket must know of its seat, as long as it is open.
struct Seat {
    encounter: EncounterId,
    participant: ParticipantId,
    credentials: Credentials,
}

impl Seat {
    fn of(taken: Taken) -> Self {
        let Taken { encounter, guest, credentials, .. } = taken;
        // The room has told it.
        let credentials = Credentials { secret: None, ..credentials };
        Self { encounter, participant: guest.id, credentials }
    }
}

struct Socket {
    app: Arc<App>,
    seat: Seat,
    line: LineId,
    lease: Lease,
    budget: Budget,
    mistakes: u32,
}

/// What a line comes upon next.
enum Next {
    Order(Option<Order>),
    Heard(Heard),
    Silence,
}

impl Socket {
    /// Lives until either side ends it.
    async fn live<W: Wire>(mut self, wire: &mut W, inbox: Inbox) -> Ended {
        let ended = self.run(wire, inbox).await;
        self.tell_room(Event::Lost(self.line)).await;
        ended
    }

    async fn run<W: Wire>(&mut self, wire: &mut W, mut inbox: Inbox) -> Ended {
        let limit = Duration::from_secs(SILENCE_SECS_MAX);
        let mut dead_at = Moment::now() + limit;
        // Set anew when it rings, and not with every frame.
        let mut alarm = pin!(sleep_until(dead_at));
        loop {
            let next = tokio::select! {
                order = inbox.next() => Next::Order(order),
                heard = wire.hear() => {
                    dead_at = Moment::now() + limit;
                    Next::Heard(heard)
                }
                () = alarm.as_mut() => {
                    if Moment::now() < dead_at {
                        alarm.as_mut().reset(dead_at);
                        continue;
                    }
                    Next::Silence
                }
            };
            // Another node may have the room by now: then nothing more is said for it here.
            if !self.lease.speaks() && !Box::pin(self.lease.sure()).await {
                wire.write(farewell(self.line)).await.ok();
                return Some(CloseCode::Restart);
            }
            let done = match next {
                Next::Order(order) => self.obey(wire, order).await,
                Next::Heard(heard) => self.hear(wire, heard).await,
                Next::Silence => Err(None),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn obey<W: Wire>(&self, wire: &mut W, order: Option<Order>) -> Result<(), Ended> {
        match order {
            Some(Order::Send(text)) => wire.write(text).await,
            // Rare, and large: a seat that only sits has no place for it.
            Some(Order::Check) => Box::pin(self.check()).await,
            Some(Order::Close(code)) => Err(Some(code)),
            None => Err(Some(CloseCode::TooSlow)),
        }
    }

    /// The database has the last word on who may sit here, whatever this process has heard.
    async fn check(&self) -> Result<(), Ended> {
        let Seat { encounter, participant, credentials } = &self.seat;
        let (encounter, id, session) = (*encounter, *participant, credentials.session);
        let asked = credentials.clone();
        let look = move |tx: &mut Tx| seat::look(tx, encounter, id, &asked);
        match look_as_session(&self.app, session, look).await {
            // Of what was decided, whoever was to tell the room may have died.
            Ok(Standing::Good(rev)) if self.app.rooms.is_behind(encounter, rev) => {
                gather(&self.app, encounter).await.unwrap_or_else(|refused| log_fault(&refused));
            }
            Ok(Standing::Good(_)) => {}
            Ok(Standing::Superseded) => return Err(Some(CloseCode::Superseded)),
            // Read anew: it may have been opened again since this look.
            Ok(Standing::Over(OverWhy::Finished)) => settle_end(&self.app, encounter).await,
            Ok(Standing::Over(why)) => self.tell_room(Event::Over(why)).await,
            Ok(Standing::PutOff) => {
                self.tell_room(Event::Over(OverWhy::Finished)).await;
                self.tell_room(Event::Reopened).await;
            }
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

    async fn hear<W: Wire>(&mut self, wire: &mut W, heard: Heard) -> Result<(), Ended> {
        // What another node has carried here was counted there, and can come in one piece.
        if wire.is_near() && !self.budget.spend() {
            return Err(Some(CloseCode::TooSlow));
        }
        let text = match heard {
            Heard::Text(text) => text,
            Heard::Ping(payload) => return wire.echo(payload).await,
            Heard::Sign => return Ok(()),
            Heard::Gone => return Err(None),
            Heard::Broken(code) => return Err(Some(code)),
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
        wire.write(error(code, id.as_deref())).await
    }

    /// What changes a visit is a deed of the person, with the policy's word, as over HTTP;
    /// the room hears of it after the commit. The rest is the room's own business.
    async fn follow(&self, frame: Frame) -> Result<(), (ErrorCode, Option<String>)> {
        if frame.said.is_deed() {
            return Box::pin(self.decide(frame)).await;
        }
        self.tell_room(Event::Said(self.line, frame)).await;
        Ok(())
    }

    async fn decide(&self, frame: Frame) -> Result<(), (ErrorCode, Option<String>)> {
        let (app, visit) = (&self.app, self.seat.encounter);
        let session = self.seat.credentials.session;
        // A socket that lost its seat is not listened to, whatever it says.
        if !app.rooms.heeds(visit, self.line, frame.ack) {
            return Ok(());
        }
        let id = frame.id;
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
                as_session(app, session, move |tx| arrange::lock(tx, visit, lock)).await.map(drop)
            }
            FromPeer::Side(Side { participant, aside }) => {
                let wanted = Aside { aside };
                let deed = move |tx: &mut Tx| arrange::put_aside(tx, visit, participant, wanted);
                as_session(app, session, deed).await.map(drop)
            }
            FromPeer::End(end) => {
                let end = Finish { outcome: end.outcome };
                as_session(app, session, move |tx| finish::finish(tx, visit, end)).await.map(drop)
            }
            // The rest is no deed.
            _ => Ok(()),
        };
        let Err(refused) = done else { return Ok(()) };
        log_fault(&refused);
        if code_of(&refused) == CloseCode::SignIn {
            self.tell_room(Event::SignedOut(session)).await;
        }
        Err((error_code(&refused), id))
    }

    async fn tell_room(&self, event: Event) {
        let departures = self.app.rooms.apply(self.seat.encounter, None, event);
        if !departures.is_empty() {
            Box::pin(remember(&self.app, departures)).await;
        }
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
    if refused.is(&problem::CONSENT_MISSING) {
        return ErrorCode::ConsentMissing;
    }
    match refused.problem().status {
        401 | 403 => ErrorCode::Forbidden,
        404 => ErrorCode::PeerGone,
        409 | 410 | 422 => ErrorCode::BadState,
        _ => ErrorCode::Internal,
    }
}
