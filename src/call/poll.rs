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
use serde_json::Value;
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
    frames: mpsc::Sender<String>,
    state: Mutex<State>,
    changed: Notify,
    /// Whether somebody has asked since it was looked last.
    seen: AtomicBool,
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

    fn add(&self, name: &str, line: Arc<Polled>) -> Result<(), Error> {
        let mut lines = locked(&self.0);
        if lines.len() >= LINES_MAX {
            return Err(Error::from(&problem::OVERLOADED));
        }
        lines.insert(name.to_owned(), line);
        Ok(())
    }

    /// Forgets lines that have ended long enough ago.
    pub fn sweep(&self) {
        let limit = Duration::from_secs(ENDED_SECS_MAX);
        locked(&self.0).retain(|_, line| {
            locked(&line.state).ended.is_none_or(|(since, _)| since.elapsed() < limit)
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
    first: Value,
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
    frames: Vec<Value>,
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
        return fetch(&line, asked.value.after, None).await;
    }
    if app.rooms.is_stopping() {
        return Err(Error::from(&problem::OVERLOADED));
    }
    let opening = read_up_to::<Opening>(&request, body.into_inner(), STRANGER_BYTES_MAX).await?;
    let name = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let (frames, heard) = mpsc::channel(FRAMES_LEN_MAX);
    let line = Arc::new(Polled {
        frames,
        state: Mutex::default(),
        changed: Notify::new(),
        seen: AtomicBool::new(true),
    });
    app.rooms.polls.add(&name, Arc::clone(&line))?;
    // It is empty yet.
    line.frames.try_send(opening.value.first.to_string()).ok();
    let mut signs = tokio::time::interval(Duration::from_secs(SIGN_SECS));
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    signs.reset();
    let wire = PollWire { line: Arc::clone(&line), heard, signs };
    let address = ctx::client_address(&request, app.config.http.trusted_proxies);
    drop(actix_web::rt::spawn(socket::serve(Arc::clone(&app), address, wire)));
    fetch(&line, 0, Some(name.as_str())).await
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
    let frames: Vec<String> = frames.iter().map(Value::to_string).collect();
    line.take(number, frames)?;
    Ok(HttpResponse::NoContent().finish())
}

impl Polled {
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
    fn ready(&self, name: Option<&str>) -> Option<String> {
        let mut state = locked(&self.line.state);
        if state.turn != self.turn {
            return Some(text(name, state.batch, &VecDeque::new(), None));
        }
        if state.waiting.is_empty() && state.ended.is_none() {
            return None;
        }
        let frames = std::mem::take(&mut state.waiting);
        state.waiting_bytes = 0;
        state.batch = state.batch.saturating_add(1);
        let code = state.ended.map(|(_, code)| code.unwrap_or(LOST));
        let body = text(name, state.batch, &frames, code);
        state.kept = Some(body.clone());
        Some(body)
    }
}

/// Waits until something is said on a line; `name` is told to whoever has opened it.
async fn fetch(line: &Arc<Polled>, after: u64, name: Option<&str>) -> Result<HttpResponse, Error> {
    let waiting = match line.begin(after)? {
        Begun::Again(body) => return Ok(answer(body)),
        Begun::Turn(waiting) => waiting,
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
    loop {
        // From before the look on: what is said in between is not missed.
        let changed = line.changed.notified();
        if let Some(body) = waiting.ready(name) {
            return Ok(answer(body));
        }
        tokio::select! {
            () = changed => {}
            () = sleep_until(until) => {
                let batch = locked(&line.state).batch;
                return Ok(answer(text(name, batch, &VecDeque::new(), None)));
            }
        }
    }
}

/// The frames are JSON already.
fn text(name: Option<&str>, batch: u64, frames: &VecDeque<String>, code: Option<u16>) -> String {
    let name = name.map(|name| format!(r#""line":"{name}","#)).unwrap_or_default();
    let code = code.map(|code| format!(r#","close":{code}"#)).unwrap_or_default();
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    format!(r#"{{{name}"batch":{batch},"frames":[{}]{code}}}"#, frames.join(","))
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
            tokio::select! {
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
mod tests {
    use super::*;

    fn line() -> (Arc<Polled>, mpsc::Receiver<String>) {
        let (frames, heard) = mpsc::channel(FRAMES_LEN_MAX);
        let (state, changed) = (Mutex::default(), Notify::new());
        let polled = Polled { frames, state, changed, seen: AtomicBool::new(false) };
        (Arc::new(polled), heard)
    }

    fn turn(line: &Arc<Polled>, after: u64) -> Waiting {
        match line.begin(after).unwrap() {
            Begun::Turn(waiting) => waiting,
            Begun::Again(body) => panic!("{body}"),
        }
    }

    fn say(line: &Arc<Polled>, text: &str) {
        locked(&line.state).waiting.push_back(text.to_owned());
    }

    #[test]
    fn what_was_cut_off_is_handed_out_again_and_nothing_twice() {
        let (line, _heard) = line();
        say(&line, "1");
        assert_eq!(turn(&line, 0).ready(None).unwrap(), r#"{"batch":1,"frames":[1]}"#);
        say(&line, "2");
        let Begun::Again(again) = line.begin(0).unwrap() else { panic!("a new batch") };
        assert_eq!(again, r#"{"batch":1,"frames":[1]}"#);
        assert_eq!(turn(&line, 1).ready(None).unwrap(), r#"{"batch":2,"frames":[2]}"#);
        assert!(line.begin(0).is_err() && line.begin(3).is_err());
        assert_eq!(turn(&line, 2).ready(None), None);
    }

    #[test]
    fn a_later_request_takes_the_line_from_an_earlier_one() {
        let (line, _heard) = line();
        let (first, second) = (turn(&line, 0), turn(&line, 0));
        say(&line, "1");
        assert_eq!(first.ready(None).unwrap(), r#"{"batch":0,"frames":[]}"#);
        assert_eq!(second.ready(None).unwrap(), r#"{"batch":1,"frames":[1]}"#);
        drop((first, second));
        assert_eq!(locked(&line.state).open, 0);
    }

    #[test]
    fn frames_are_taken_once_in_order_and_within_bounds() {
        let (line, mut heard) = line();
        let frames = |text: &str| vec![text.to_owned()];
        line.take(1, frames("a")).unwrap();
        line.take(1, frames("a")).unwrap();
        assert!(line.take(3, frames("c")).is_err());
        line.take(2, frames("b")).unwrap();
        assert_eq!(
            (heard.try_recv().unwrap(), heard.try_recv().unwrap()),
            ("a".into(), "b".into())
        );
        assert!(heard.try_recv().is_err());
        assert!(line.take(3, vec!["x".to_owned(); 61]).is_err());
        assert!(line.take(3, frames(&"x".repeat(MESSAGE_BYTES_MAX + 1))).is_err());
        line.take(3, vec!["x".to_owned(); 60]).unwrap();
        line.take(4, vec!["x".to_owned(); 60]).unwrap();
        assert!(line.take(5, vec!["x".to_owned(); 60]).is_err(), "nobody works them through");
    }
}
