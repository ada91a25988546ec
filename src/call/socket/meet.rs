//! From the first frame to a seat: who comes, which node has the room, and who is refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    FRAMES_BURST, FRAMES_PER_SECOND, HELLO_SECS_MAX, SILENCE_SECS_MAX, Seat, Seated, Socket,
    code_of, error_code, log_fault,
};
use crate::account::SessionId;
use crate::account::token::TicketClaims;
use crate::base::app::App;
use crate::base::ctx::{as_session, look_as_system};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::call::budget::Budget;
use crate::call::departure::remember;
use crate::call::event::{CloseCode, Event};
use crate::call::line::{Line, line};
use crate::call::message::read::read;
use crate::call::message::{Frame, FromPeer, Resume};
use crate::call::nodes::{Carriage, Lease, Whose, carry, number, own};
use crate::call::places::place_of;
use crate::call::record::{Device, Kept, Mark};
use crate::call::room::{error, unnumbered};
use crate::call::seat::{self, Comes, Taken};
use crate::call::wire::{Ended, Heard, Wire};
use crate::encounter::{EncounterId, admission};

/// How long whoever has shown a ticket may take, in seconds: as long as the ticket is good.
const PREPARE_SECS_MAX: u64 = admission::TICKET_SECS.unsigned_abs();
/// How often whoever has not come yet is asked whether the process stops, in seconds.
const LOOK_SECS: u64 = 1;
/// How long it may take until it is known who has a room, in seconds.
const FIND_SECS_MAX: u64 = 5;

/// From the first frame to the seat; else the code to close with, if it is ours to close.
pub(super) async fn meet<W: Wire>(
    app: &Arc<App>,
    address: &str,
    wire: &mut W,
) -> Result<Seated, Option<u16>> {
    let (text, frame) = first_frame(app, address, wire).await?;
    let restored = async {
        app.rooms.restored().await;
        Ok(())
    };
    if let Err(refused) = in_time(restored).await {
        return Err(refuse(wire, &refused, frame.id.as_deref()).await.map(number));
    }
    // Whoever guesses is not looked up; whoever has a seat here is heard from everywhere.
    if let FromPeer::Resume(resume) = &frame.said
        && app.rooms.knocks.are_too_many(address)
        && !app.rooms.knows(resume.sid)
    {
        return Err(Some(number(CloseCode::TooSlow)));
    }
    let refused = match whose(app, &frame.said).await {
        Ok(Some(seat)) => match find_room(app, wire, &seat, &text).await {
            Ok(Found::Here(lease)) => {
                let seated = host(app, Some(address), wire, frame, seat, lease).await;
                return seated.map_err(|ended| ended.map(number));
            }
            Ok(Found::Carried(code)) => return Err(code),
            Err(refused) => refused,
        },
        Ok(None) => return Err(Some(number(CloseCode::BadFrame))),
        Err(refused) => refused,
    };
    count_knock(app, address, &refused);
    Err(refuse(wire, &refused, frame.id.as_deref()).await.map(number))
}

/// The frame that asks for a place. Whoever shows a good ticket first may take their time: they
/// look at themselves in the mirror, and their way in is open when they press the button.
async fn first_frame<W: Wire>(
    app: &Arc<App>,
    address: &str,
    wire: &mut W,
) -> Result<(String, Frame), Option<u16>> {
    let now = tokio::time::Instant::now;
    let mut prepared = None;
    let mut dead_at = now() + Duration::from_secs(HELLO_SECS_MAX);
    let mut budget = Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
    loop {
        let step = Duration::from_secs(LOOK_SECS).min(dead_at.saturating_duration_since(now()));
        let text = match timeout(step, wire.hear()).await {
            Ok(Heard::Text(text)) => text,
            Ok(Heard::Gone) => return Err(None),
            Ok(Heard::Broken(code)) => return Err(Some(number(code))),
            Ok(Heard::Ping(_) | Heard::Sign) if prepared.is_some() => continue,
            Ok(Heard::Ping(_) | Heard::Sign) => return Err(Some(number(CloseCode::BadFrame))),
            Err(_elapsed) if app.rooms.is_stopping() => {
                return Err(Some(number(CloseCode::Restart)));
            }
            Err(_elapsed) if now() < dead_at => continue,
            Err(_elapsed) => return Err(Some(number(CloseCode::HelloTimeout))),
        };
        if !budget.spend() {
            return Err(Some(number(CloseCode::TooSlow)));
        }
        let Ok(frame) = read(&text) else { return Err(Some(number(CloseCode::BadFrame))) };
        let until = match (&frame.said, prepared) {
            (FromPeer::Prepare(asked), None) => {
                if let Err(refused) = app.tokens.verify_ticket(&asked.ticket, app.clock.now()) {
                    count_knock(app, address, &refused);
                    return Err(refuse(wire, &refused, frame.id.as_deref()).await.map(number));
                }
                // Whoever comes later needs another ticket, and has an old one refused.
                now() + Duration::from_secs(PREPARE_SECS_MAX)
            }
            (FromPeer::Ping, Some(until)) => until,
            // Whether a socket lives is asked before a seat is moved to it; nobody waits longer for that.
            (FromPeer::Ping, None) => dead_at,
            _ => return Ok((text, frame)),
        };
        if prepared.is_some() || frame.said != FromPeer::Ping {
            prepared = Some(until);
            dead_at = until.min(now() + Duration::from_secs(SILENCE_SECS_MAX));
        }
        let pong = unnumbered("pong", None, &json!({"server_time": app.clock.now()}));
        wire.write(pong).await.map_err(|ended| ended.map(number))?;
    }
}

/// The place that a first frame asks for.
pub(super) struct Place {
    pub(super) encounter: EncounterId,
    claim: Claim,
}

impl Place {
    /// The ticket or the seat.
    fn shown(&self) -> Uuid {
        match &self.claim {
            Claim::Ticket(claims, ..) => claims.jti,
            Claim::Seat(asked, _) => asked.sid,
        }
    }
}

/// What it is asked for with.
enum Claim {
    /// And what they come with.
    Ticket(TicketClaims, Comes, Device),
    Seat(Resume, SessionId),
}

/// Where somebody wants to sit; `None` when they do not say.
pub(super) async fn whose(app: &Arc<App>, said: &FromPeer) -> Result<Option<Place>, Error> {
    match said {
        FromPeer::Hello(hello) => {
            let claims = app.tokens.verify_ticket(&hello.ticket, app.clock.now())?;
            let device = Device::read(hello.client.as_deref());
            let comes = if hello.away { Comes::PageAlone } else { Comes::Person };
            let encounter = claims.encounter;
            Ok(Some(Place { encounter, claim: Claim::Ticket(claims, comes, device) }))
        }
        FromPeer::Resume(asked) => {
            let shown = asked.clone();
            let look = move |tx: &mut Tx| seat::place_of(tx, &shown);
            let (encounter, session) = look_as_system(app, look).await?;
            Ok(Some(Place { encounter, claim: Claim::Seat(asked.clone(), session) }))
        }
        _ => Ok(None),
    }
}

/// Where a room was found.
enum Found {
    Here(Lease),
    /// Elsewhere, and the line was carried there until its end; the code to close with.
    Carried(Option<u16>),
}

/// Finds the room, and carries the line to it when another node has it. While it changes hands
/// because a node has died, whoever has not been answered yet waits.
async fn find_room<W: Wire>(
    app: &Arc<App>,
    wire: &mut W,
    place: &Place,
    text: &str,
) -> Result<Found, Error> {
    loop {
        let node = match in_time(own(app, place.encounter)).await? {
            Whose::Ours(lease) => return Ok(Found::Here(lease)),
            Whose::Theirs(node) => node,
        };
        let Some(office) = app.rooms.nodes.office() else {
            return Err(Error::from(&problem::OVERLOADED));
        };
        // Another number each time: nothing that is said of the line before is about this one.
        let line = app.rooms.new_line();
        match carry(&office, wire, (node, line), text, place.shown()).await {
            Carriage::Moved => {}
            Carriage::Ended(code) => return Ok(Found::Carried(code)),
        }
    }
}

/// Nobody waits without end for what another must do first.
pub(super) async fn in_time<T>(found: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let limit = Duration::from_secs(FIND_SECS_MAX);
    timeout(limit, found).await.unwrap_or_else(|_elapsed| Err(Error::from(&problem::OVERLOADED)))
}

/// Seats somebody in a room that this node has; `address` is where they come from, when they come
/// here.
pub(super) async fn host<W: Wire>(
    app: &Arc<App>,
    address: Option<&str>,
    wire: &mut W,
    frame: Frame,
    place: Place,
    lease: Lease,
) -> Result<Seated, Ended> {
    // Whoever did not wait for this has come another way by now, and would be thrown out there.
    if wire.is_gone().await {
        return Err(None);
    }
    let id = app.rooms.new_line();
    let (line, inbox) = line(id, app.clock.now());
    let seated = match place.claim {
        Claim::Ticket(claims, comes, device) => sit_down(app, (claims, comes), device, line).await,
        Claim::Seat(asked, session) => sit_down_again(app, asked, session, line).await,
    };
    match seated {
        Ok(taken) => {
            let (app, seat) = (Arc::clone(app), Seat::of(taken));
            let budget = Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
            Ok((Socket { app, seat, line: id, lease, budget, mistakes: 0 }, inbox))
        }
        Err(refused) => {
            if let Some(address) = address {
                count_knock(app, address, &refused);
            }
            Err(refuse(wire, &refused, frame.id.as_deref()).await)
        }
    }
}

fn count_knock(app: &App, address: &str, refused: &Error) {
    if code_of(refused) == CloseCode::SignIn {
        app.rooms.knocks.count(address);
    }
}

pub(super) async fn refuse<W: Wire>(wire: &mut W, refused: &Error, re: Option<&str>) -> Ended {
    log_fault(refused);
    wire.write(error(error_code(refused), re)).await.ok();
    Some(code_of(refused))
}

async fn sit_down(
    app: &Arc<App>,
    (claims, comes): (TicketClaims, Comes),
    device: Device,
    line: Line,
) -> Result<Taken, Error> {
    let now = app.clock.now();
    let participant = claims.participant;
    let mut taken =
        as_session(app, claims.session, move |tx| seat::take(tx, &claims, comes)).await?;
    taken.guest.place = place_of(app, &taken).await;
    // Before what the room says of them: whoever comes in a page that nobody looks at is away.
    let device = Mark::device(participant, device, now);
    app.rooms.ledger.keep(taken.encounter, Kept::Mark(device));
    let enter = Event::Enter(taken.guest.clone(), line.id, taken.credentials.clone());
    remember(app, app.rooms.apply(taken.encounter, Some(line), enter)).await;
    Ok(taken)
}

async fn sit_down_again(
    app: &Arc<App>,
    asked: Resume,
    session: SessionId,
    line: Line,
) -> Result<Taken, Error> {
    let last_seq = asked.last_seq;
    let mut taken = as_session(app, session, move |tx| seat::take_again(tx, &asked)).await?;
    taken.guest.place = place_of(app, &taken).await;
    let resume = Event::Resume(taken.guest.clone(), line.id, taken.credentials.clone(), last_seq);
    remember(app, app.rooms.apply(taken.encounter, Some(line), resume)).await;
    Ok(taken)
}
