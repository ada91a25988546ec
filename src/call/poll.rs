//! A line over plain HTTP, for links on which sockets die: the same frames, the same seat.
//!
//! Frames come down in the answer to a request that waits, and go up in requests of their own. Each
//! way has a number, so that what was cut off can be asked for, and sent, once more.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Interval, MissedTickBehavior, sleep_until};

use crate::base::app::App;
use crate::base::body::{STRANGER_BYTES_MAX, read_up_to};
use crate::base::ctx;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal::random;
use crate::call::event::CloseCode;
use crate::call::line::{QUEUE_BYTES_MAX, QUEUE_LEN_MAX};
use crate::call::message::MESSAGE_BYTES_MAX;
use crate::call::socket::{self, FRAMES_BURST, check_origin};
use crate::call::verbatim::Said;
use crate::call::wire::{Ended, Heard, Wire};

/// The header that names the line. Not a part of the address: addresses end up in logs.
pub const LINE_HEADER: &str = "Rtc-Line";
/// How long a request waits for something to be said, in seconds.
pub const WAIT_SECS_MAX: u64 = 25;
/// The largest body of a request that sends frames, in bytes.
pub const SEND_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// How many frames may wait to be worked through.
const FRAMES_LEN_MAX: usize = 128;
/// How many lines there may be at once.
const LINES_MAX: usize = 10_000;
/// How many of them from one network address.
pub const ADDRESS_LINES_MAX: usize = 256;
/// How often it is looked whether somebody still asks, in seconds.
const SIGN_SECS: u64 = 5;
/// What is said of a line that was lost, as of a socket that broke.
const LOST: u16 = 1006;
/// How long what a line said last is kept for whoever did not get it, in seconds.
const ENDED_SECS_MAX: u64 = 30;

/// The lines over HTTP of this process, by their secret names.
#[derive(Debug, Default)]
pub struct Polls(Mutex<HashMap<String, Arc<Polled>>>);

/// One line.
#[derive(Debug)]
struct Polled {
    /// Where it comes from.
    address: String,
    frames: mpsc::Sender<String>,
    state: Mutex<State>,
    changed: Notify,
    /// Whether somebody has asked since it was looked last.
    seen: AtomicBool,
    /// Whether whoever opened it went without having been told its name: nobody can ask any more.
    forsaken: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// What waits to be fetched.
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// The number of the last batch handed out, and the batch, until the next is asked for.
    batch: u64,
    kept: Option<String>,
    /// The number of the last frames taken.
    sent: u64,
    /// Counts the requests that wait; the last one has the line.
    turn: u64,
    /// How many requests wait.
    open: u32,
    /// The line has ended: since when, and with what code.
    ended: Option<(Stopwatch, Option<u16>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves behind is at worst a line that its client comes back to.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Polls {
    fn find(&self, request: &HttpRequest) -> Result<Arc<Polled>, Error> {
        let name = request.headers().get(LINE_HEADER).and_then(|name| name.to_str().ok());
        let found = name.and_then(|name| locked(&self.0).get(name).map(Arc::clone));
        found.ok_or_else(|| Error::from(&problem::NOT_FOUND))
    }

    /// 429 when too many come from one address, 503 when there are too many in all.
    fn add(&self, name: &str, line: Arc<Polled>) -> Result<(), Error> {
        let mut lines = locked(&self.0);
        let from_there = |lines: &HashMap<String, Arc<Polled>>| {
            lines.values().filter(|known| known.address == line.address).count()
        };
        if from_there(&lines) >= ADDRESS_LINES_MAX {
            // What they said last is kept for a while, but not at the cost of new ones.
            lines.retain(|_, known| known.address != line.address || !known.has_ended());
            if from_there(&lines) >= ADDRESS_LINES_MAX {
                return Err(Error::from(&problem::TOO_MANY_ATTEMPTS));
            }
        }
        if lines.len() >= LINES_MAX {
            return Err(Error::from(&problem::OVERLOADED));
        }
        lines.insert(name.to_owned(), line);
        Ok(())
    }

    /// Forgets lines that have ended, when nobody can ask about them or long enough ago.
    pub fn sweep(&self) {
        let limit = Duration::from_secs(ENDED_SECS_MAX);
        locked(&self.0).retain(|_, line| {
            let ended = locked(&line.state).ended;
            let kept = if line.is_forsaken() { Duration::ZERO } else { limit };
            ended.is_none_or(|(since, _)| since.elapsed() < kept)
        });
    }

    /// How many there are.
    pub fn line_count(&self) -> usize {
        locked(&self.0).len()
    }
}

/// Opens a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    /// The first frame: `hello` or `resume`.
    first: Said,
}

/// Asks what was said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    /// The number of the last batch that arrived.
    after: u64,
}

/// Says something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    /// Counts these requests from 1.
    number: u64,
    frames: Vec<Said>,
}

/// `POST /v1/rtc/poll`: opens a line with its first frame, or waits for what is said on it.
pub async fn poll(
    request: HttpRequest,
    body: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Error> {
    check_origin(&request, &app)?;
    if request.headers().contains_key(LINE_HEADER) {
        let line = app.rooms.polls.find(&request)?;
        let asked = read_up_to::<Asking>(&request, body.into_inner(), STRANGER_BYTES_MAX).await?;
        return fetch(&line, asked.value.after).await;
    }
    if app.rooms.is_stopping() {
        return Err(Error::from(&problem::OVERLOADED));
    }
    let opening = read_up_to::<Opening>(&request, body.into_inner(), STRANGER_BYTES_MAX).await?;
    let name = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let address = ctx::client_address(&request, app.config.http.trusted_proxies);
    let (line, heard) = Polled::new(address.clone());
    app.rooms.polls.add(&name, Arc::clone(&line))?;
    // It is empty yet.
    line.frames.try_send(opening.value.first.text()).ok();
    let mut signs = tokio::time::interval(Duration::from_secs(SIGN_SECS));
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    signs.reset();
    let wire = PollWire { line: Arc::clone(&line), heard, signs };
    let opening = Opened { polls: &app.rooms.polls, line, name, is_told: false };
    drop(actix_web::rt::spawn(socket::serve(Arc::clone(&app), address, wire)));
    opening.answered().await
}

/// A line whose name nobody knows yet. It is told with the first thing that is said on it: whoever
/// has not been heard can say nothing more, and what ends at once is not kept.
struct Opened<'a> {
    polls: &'a Polls,
    line: Arc<Polled>,
    name: String,
    is_told: bool,
}

impl Opened<'_> {
    async fn answered(mut self) -> Result<HttpResponse, Error> {
        let Begun::Turn(waiting) = self.line.begin(0)? else {
            return Err(Error::Internal("a new line was asked before"));
        };
        let Some(batch) = waiting.batch().await else {
            return Err(Error::from(&problem::OVERLOADED));
        };
        self.is_told = batch.code.is_none();
        Ok(answer(batch.text(self.is_told.then_some(self.name.as_str()))))
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.line.forsaken.store(true, Ordering::Relaxed);
            self.line.changed.notify_waiters();
        }
        if !self.is_told && self.line.has_ended() {
            locked(&self.polls.0).remove(&self.name);
        }
    }
}

/// `POST /v1/rtc/send`: frames for a line.
pub async fn send(
    request: HttpRequest,
    body: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Error> {
    check_origin(&request, &app)?;
    let line = app.rooms.polls.find(&request)?;
    let sent = read_up_to::<Sending>(&request, body.into_inner(), SEND_BYTES_MAX).await?;
    let Sending { number, frames } = sent.value;
    let frames: Vec<String> = frames.iter().map(Said::text).collect();
    line.take(number, frames)?;
    Ok(HttpResponse::NoContent().finish())
}

impl Polled {
    /// A line, and what comes up on it.
    fn new(address: String) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (frames, heard) = mpsc::channel(FRAMES_LEN_MAX);
        let (state, changed) = (Mutex::default(), Notify::new());
        let (seen, forsaken) = (AtomicBool::new(true), AtomicBool::new(false));
        (Arc::new(Self { address, frames, state, changed, seen, forsaken }), heard)
    }

    fn has_ended(&self) -> bool {
        locked(&self.state).ended.is_some()
    }

    fn is_forsaken(&self) -> bool {
        self.forsaken.load(Ordering::Relaxed)
    }

    /// Takes frames once, however often they are sent.
    fn take(&self, number: u64, frames: Vec<String>) -> Result<(), Error> {
        #[expect(clippy::as_conversions, reason = "a small whole number")]
        let most = FRAMES_BURST as usize;
        if frames.len() > most || frames.iter().any(|frame| frame.len() > MESSAGE_BYTES_MAX) {
            return Err(Error::from(&problem::TOO_LARGE));
        }
        let mut state = locked(&self.state);
        if state.ended.is_some() {
            return Err(Error::from(&problem::NOT_FOUND));
        }
        if number <= state.sent {
            return Ok(());
        }
        if number > state.sent.saturating_add(1) {
            return Err(Error::from(&problem::CONFLICT));
        }
        if self.frames.capacity() < frames.len() {
            return Err(Error::from(&problem::OVERLOADED));
        }
        state.sent = number;
        for frame in frames {
            // There is room for it; a line that ends at this moment is come back to.
            self.frames.try_send(frame).ok();
        }
        Ok(())
    }

    /// The line as one request has it; a later request takes it away.
    fn begin(self: &Arc<Self>, after: u64) -> Result<Begun, Error> {
        let mut state = locked(&self.state);
        self.seen.store(true, Ordering::Relaxed);
        if after == state.batch {
            state.kept = None;
        } else {
            let again = after.saturating_add(1) == state.batch;
            let kept = state.kept.clone().filter(|_| again);
            return kept.map(Begun::Again).ok_or_else(|| Error::from(&problem::CONFLICT));
        }
        state.turn = state.turn.saturating_add(1);
        state.open = state.open.saturating_add(1);
        self.changed.notify_waiters();
        Ok(Begun::Turn(Waiting { line: Arc::clone(self), turn: state.turn }))
    }
}

enum Begun {
    /// What was handed out before, and may not have arrived.
    Again(String),
    Turn(Waiting),
}

/// A request that waits.
struct Waiting {
    line: Arc<Polled>,
    turn: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = locked(&self.line.state);
        state.open = state.open.saturating_sub(1);
        self.line.seen.store(true, Ordering::Relaxed);
    }
}

impl Waiting {
    /// What was said; `None` while nothing was.
    fn ready(&self) -> Option<Batch> {
        let mut state = locked(&self.line.state);
        if state.turn != self.turn {
            return Some(Batch::empty(state.batch));
        }
        if state.waiting.is_empty() && state.ended.is_none() {
            return None;
        }
        let frames = std::mem::take(&mut state.waiting);
        state.waiting_bytes = 0;
        state.batch = state.batch.saturating_add(1);
        let code = state.ended.map(|(_, code)| code.unwrap_or(LOST));
        let batch = Batch { number: state.batch, frames, code };
        state.kept = Some(batch.text(None));
        Some(batch)
    }

    /// Waits until something is said on the line; `None` when nothing was for too long.
    async fn batch(&self) -> Option<Batch> {
        let until = tokio::time::Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
        loop {
            // From before the look on: what is said in between is not missed.
            let changed = self.line.changed.notified();
            if let Some(batch) = self.ready() {
                return Some(batch);
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(until) => return None,
            }
        }
    }
}

/// What is handed out at once.
#[derive(Debug)]
struct Batch {
    number: u64,
    frames: VecDeque<String>,
    /// The line has ended with this.
    code: Option<u16>,
}

impl Batch {
    fn empty(number: u64) -> Self {
        Self { number, frames: VecDeque::new(), code: None }
    }

    /// As it goes over the wire, with the name of the line for whoever has opened it. The frames are
    /// JSON already.
    fn text(&self, name: Option<&str>) -> String {
        let name = name.map(|name| format!(r#""line":"{name}","#)).unwrap_or_default();
        let code = self.code.map(|code| format!(r#","close":{code}"#)).unwrap_or_default();
        let frames: Vec<&str> = self.frames.iter().map(String::as_str).collect();
        format!(r#"{{{name}"batch":{},"frames":[{}]{code}}}"#, self.number, frames.join(","))
    }
}

/// Waits until something is said on a line.
async fn fetch(line: &Arc<Polled>, after: u64) -> Result<HttpResponse, Error> {
    let waiting = match line.begin(after)? {
        Begun::Again(body) => return Ok(answer(body)),
        Begun::Turn(waiting) => waiting,
    };
    let nothing = || Batch::empty(locked(&line.state).batch);
    Ok(answer(waiting.batch().await.unwrap_or_else(nothing).text(None)))
}

fn answer(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(body)
}

/// The far end of a line over HTTP.
struct PollWire {
    line: Arc<Polled>,
    heard: mpsc::Receiver<String>,
    signs: Interval,
}

impl Wire for PollWire {
    async fn hear(&mut self) -> Heard {
        loop {
            let changed = self.line.changed.notified();
            if self.line.is_forsaken() {
                return Heard::Gone;
            }
            tokio::select! {
                () = changed => {}
                frame = self.heard.recv() => return frame.map_or(Heard::Gone, Heard::Text),
                _ = self.signs.tick() => {
                    let is_open = locked(&self.line.state).open > 0;
                    if self.line.seen.swap(false, Ordering::Relaxed) || is_open {
                        return Heard::Sign;
                    }
                }
            }
        }
    }

    async fn is_gone(&mut self) -> bool {
        self.line.is_forsaken()
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        let mut state = locked(&self.line.state);
        state.waiting_bytes = state.waiting_bytes.saturating_add(text.len());
        state.waiting.push_back(text);
        if state.waiting.len() > QUEUE_LEN_MAX || state.waiting_bytes > QUEUE_BYTES_MAX {
            return Err(Some(CloseCode::TooSlow));
        }
        self.line.changed.notify_waiters();
        Ok(())
    }

    async fn close(self, code: u16) {
        locked(&self.line.state).ended = Some((Stopwatch::now(), Some(code)));
    }
}

impl Drop for PollWire {
    fn drop(&mut self) {
        let mut state = locked(&self.line.state);
        state.ended.get_or_insert((Stopwatch::now(), None));
        self.line.changed.notify_waiters();
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
