//! The clients: one socket each, all on one thread, the same for the product, the bare echo and
//! the peer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::rt;
use anyhow::{Context, anyhow, bail};
use awc::error::WsProtocolError;
use awc::ws::{Frame, Message};
use feldsher::call::message::PROTOCOL;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};

trait Wire:
    Stream<Item = Result<Frame, WsProtocolError>>
    + futures_util::Sink<Message, Error = WsProtocolError>
    + Unpin
{
}
impl<T> Wire for T where
    T: Stream<Item = Result<Frame, WsProtocolError>>
        + futures_util::Sink<Message, Error = WsProtocolError>
        + Unpin
{
}

type Tongue = SplitSink<Box<dyn Wire>, Message>;
type Ear = SplitStream<Box<dyn Wire>>;

/// How long anything may take that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands at a place in a message; null where there is nothing.
pub fn at<'a>(said: &'a Value, place: &str) -> &'a Value {
    said.pointer(place).unwrap_or(&Value::Null)
}

/// One socket.
pub struct Socket {
    tongue: Tongue,
    ear: Ear,
}

impl Socket {
    /// Opens one.
    pub async fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let request = awc::Client::builder()
            .timeout(PATIENCE)
            .finish()
            .ws(format!("ws://{address}{path}"))
            .protocols([PROTOCOL]);
        let connected = request.connect().await.map_err(|error| anyhow!("{error}"))?;
        let wire: Box<dyn Wire> = Box::new(connected.1);
        let (tongue, ear) = wire.split();
        Ok(Self { tongue, ear })
    }

    /// Says something.
    pub async fn say(&mut self, frame: &Value) -> anyhow::Result<()> {
        say(&mut self.tongue, frame.to_string()).await
    }

    /// The next thing said.
    pub async fn hear(&mut self) -> anyhow::Result<Value> {
        rt::time::timeout(PATIENCE, hear(&mut self.ear)).await?
    }

    /// The next thing said of a kind.
    pub async fn hear_of(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let said = self.hear().await?;
            if at(&said, "/t") == kind {
                return Ok(said);
            }
        }
    }
}

async fn say(tongue: &mut Tongue, text: String) -> anyhow::Result<()> {
    tongue.send(Message::Text(text.into())).await.map_err(|error| anyhow!("{error}"))
}

async fn hear(ear: &mut Ear) -> anyhow::Result<Value> {
    loop {
        match ear.next().await {
            Some(Ok(Frame::Text(text))) => return Ok(serde_json::from_slice(&text)?),
            Some(Ok(Frame::Close(why))) => bail!("closed: {why:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => bail!("{error}"),
            None => bail!("the connection ended"),
        }
    }
}

/// A seat in a room of the product.
pub struct Seat {
    /// Its socket.
    pub socket: Socket,
    /// Who sits there.
    pub participant: String,
    /// What a `resume` needs.
    pub sid: Value,
    secret: Value,
    epoch: Value,
    last_seq: u64,
}

impl Seat {
    /// Takes a seat with a ticket.
    pub async fn take(address: SocketAddr, ticket: &str) -> anyhow::Result<Self> {
        let mut socket = Socket::open(address, "/v1/rtc").await?;
        let hello = json!({"v": 1, "t": "hello", "body": {"ticket": ticket, "client": "bench"}});
        socket.say(&hello).await?;
        let welcome = socket.hear_of("welcome").await?;
        let body = at(&welcome, "/body");
        let participant = at(body, "/participant/id").as_str().context("a seat without a name")?;
        Ok(Self {
            socket,
            participant: participant.to_owned(),
            sid: at(body, "/sid").clone(),
            secret: at(body, "/secret").clone(),
            epoch: at(body, "/epoch").clone(),
            last_seq: 1,
        })
    }

    /// The next thing said of a kind; remembers how far it has come.
    pub async fn hear_of(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let said = self.socket.hear().await?;
            self.last_seq = at(&said, "/seq").as_u64().unwrap_or(self.last_seq).max(self.last_seq);
            if at(&said, "/t") == kind {
                return Ok(said);
            }
        }
    }

    /// The socket is cut without a word, and the seat asked for again.
    pub async fn resume(self, address: SocketAddr) -> anyhow::Result<Self> {
        drop(self.socket);
        let mut socket = Socket::open(address, "/v1/rtc").await?;
        let Self { participant, sid, secret, epoch, last_seq, .. } = self;
        let body = json!({"sid": sid, "secret": secret, "epoch": epoch, "last_seq": last_seq});
        socket.say(&json!({"v": 1, "t": "resume", "body": body})).await?;
        let resumed = socket.hear_of("resumed").await?;
        let epoch = at(&resumed, "/body/epoch").clone();
        let mut seat = Self { socket, participant, sid, secret, epoch, last_seq };
        seat.hear_of("snapshot").await?;
        Ok(seat)
    }

    /// Keeps the seat alive, listens and acknowledges what it has heard, until the task is dropped.
    pub fn keep(self, every: Duration) -> rt::task::JoinHandle<()> {
        let Self { socket: Socket { mut tongue, mut ear }, last_seq: mut last, .. } = self;
        rt::spawn(async move {
            let mut ticks = rt::time::interval(every);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        let ping = json!({"v": 1, "t": "ping", "ack": last, "body": {}});
                        if say(&mut tongue, ping.to_string()).await.is_err() { return; }
                    }
                    heard = hear(&mut ear) => {
                        let Ok(said) = heard else { return };
                        last = at(&said, "/seq").as_u64().unwrap_or(last);
                    }
                }
            }
        })
    }
}

/// How the two ends of a pair put a description on the wire, and find it there.
#[derive(Debug, Clone)]
pub enum Words {
    /// The product: offers and answers of an edge.
    Product { edge: String, generation: Value },
    /// PeerJS: to whom.
    PeerJs { to: String },
    /// The echo.
    Bare,
}

impl Words {
    fn frame(&self, is_offer: bool, number: u64, sdp: &str) -> String {
        let kind = if is_offer { "offer" } else { "answer" };
        match self {
            Self::Product { edge, generation } => json!({
                "v": 1, "t": kind, "edge": edge, "neg": number, "gen": generation,
                "body": {"sdp": sdp},
            })
            .to_string(),
            Self::PeerJs { to } => {
                json!({"type": kind.to_uppercase(), "dst": to, "payload": {"sdp": sdp}}).to_string()
            }
            Self::Bare => json!({"t": kind, "body": {"sdp": sdp}}).to_string(),
        }
    }
}

/// A stopwatch and what it has seen, shared by all clients.
pub struct Watch {
    origin: Instant,
    begin: Instant,
    end: Instant,
    took: RefCell<Vec<Duration>>,
}

impl Watch {
    /// Measures after `warm` for `measured`.
    pub fn new(warm: Duration, measured: Duration) -> Rc<Self> {
        let origin = Instant::now();
        let begin = origin + warm;
        Rc::new(Self { origin, begin, end: begin + measured, took: RefCell::default() })
    }

    /// When measuring begins and ends.
    pub fn times(&self) -> (Instant, Instant) {
        (self.begin, self.end)
    }

    /// How long each message was on its way.
    pub fn took(&self) -> Vec<Duration> {
        self.took.borrow().clone()
    }

    /// A description of `bytes` that says when it was written.
    fn sdp(&self, bytes: usize) -> String {
        format!("{:020}{}", self.origin.elapsed().as_nanos(), "x".repeat(bytes.saturating_sub(20)))
    }

    fn note(&self, said: &Value) {
        let now = Instant::now();
        let sdp = at(said, "/body/sdp").as_str().or(at(said, "/payload/sdp").as_str());
        let written = sdp.and_then(|sdp| sdp.get(..20)).and_then(|nanos| nanos.parse().ok());
        let Some(written) = written.map(|nanos| self.origin + Duration::from_nanos(nanos)) else {
            return;
        };
        if written >= self.begin && now <= self.end {
            self.took.borrow_mut().push(now.duration_since(written));
        }
    }
}

/// Offers so often; listens to the answers until the time is over.
pub fn offerer(
    socket: Socket,
    words: Words,
    (every, delay): (Duration, Duration),
    bytes: usize,
    watch: &Rc<Watch>,
) -> rt::task::JoinHandle<anyhow::Result<()>> {
    let watch = Rc::clone(watch);
    let Socket { mut tongue, mut ear } = socket;
    rt::spawn(async move {
        rt::time::sleep(delay).await;
        let mut ticks = rt::time::interval(every);
        let (mut number, mut last) = (0, None);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if Instant::now() >= watch.end {
                        return Ok(());
                    }
                    number += 1;
                    let frame = words.frame(true, number, &watch.sdp(bytes));
                    say(&mut tongue, acknowledging(frame, last)).await?;
                }
                said = hear(&mut ear) => {
                    let said = said?;
                    last = at(&said, "/seq").as_u64().or(last);
                    watch.note(&said);
                }
            }
        }
    })
}

/// Offers again as soon as it was answered, but no oftener than so, until the time is over.
pub fn keen(
    socket: Socket,
    words: Words,
    least: Duration,
    bytes: usize,
    watch: &Rc<Watch>,
) -> rt::task::JoinHandle<anyhow::Result<()>> {
    let watch = Rc::clone(watch);
    let Socket { mut tongue, mut ear } = socket;
    rt::spawn(async move {
        let (mut number, mut last) = (0, None);
        while Instant::now() < watch.end {
            let next = Instant::now() + least;
            number += 1;
            let frame = words.frame(true, number, &watch.sdp(bytes));
            say(&mut tongue, acknowledging(frame, last)).await?;
            loop {
                // Whoever has answered before may not hear an offer that came after the end.
                let Ok(said) = tokio::time::timeout_at(watch.end.into(), hear(&mut ear)).await
                else {
                    return Ok(());
                };
                let said = said?;
                last = at(&said, "/seq").as_u64().or(last);
                watch.note(&said);
                if has_description(&said) {
                    break;
                }
            }
            rt::time::sleep_until(next.into()).await;
        }
        Ok(())
    })
}

/// Whether it is part of a negotiation, and not what else a room has to say.
fn has_description(said: &Value) -> bool {
    !at(said, "/body/sdp").is_null() || !at(said, "/payload/sdp").is_null()
}

/// Answers every offer until it is dropped.
pub fn answerer(
    socket: Socket,
    words: Words,
    bytes: usize,
    watch: &Rc<Watch>,
) -> rt::task::JoinHandle<anyhow::Result<()>> {
    let watch = Rc::clone(watch);
    let Socket { mut tongue, mut ear } = socket;
    rt::spawn(async move {
        let mut last = None;
        loop {
            let said = hear(&mut ear).await?;
            last = at(&said, "/seq").as_u64().or(last);
            watch.note(&said);
            if at(&said, "/t") == "offer" || at(&said, "/type") == "OFFER" {
                let number = at(&said, "/neg").as_u64().unwrap_or_default();
                let frame = words.frame(false, number, &watch.sdp(bytes));
                say(&mut tongue, acknowledging(frame, last)).await?;
            }
        }
    })
}

/// What was heard is acknowledged with what is said next, as a page does.
fn acknowledging(frame: String, last: Option<u64>) -> String {
    match last {
        Some(last) => frame.replacen("{", &format!("{{\"ack\":{last},"), 1),
        None => frame,
    }
}
