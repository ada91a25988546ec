//! A browser's end of the signaling socket, without sound and picture. `docs/signaling.md` is
//! what it keeps to: it hears numbers without a gap, and says what it is told to say.

use std::time::Duration;

use awc::error::{WsClientError, WsProtocolError as Fault};
use awc::ws::{Frame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use serde_json::{Value, json};

use super::Client;

pub const PROTOCOL: &str = "feldsher.rtc.v1";

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(30);

pub trait Wire: Stream<Item = Result<Frame, Fault>> + Sink<Message, Error = Fault> + Unpin {}
impl<T: Stream<Item = Result<Frame, Fault>> + Sink<Message, Error = Fault> + Unpin> Wire for T {}

/// What a page keeps in order to come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    pub sid: Value,
    pub secret: Value,
    pub epoch: i64,
    pub last_seq: u64,
}

/// One socket.
pub struct Peer {
    wire: Box<dyn Wire>,
    /// Their part in the visit.
    pub id: String,
    pub seat: Seat,
}

/// What `join` hands out.
pub async fn ticket(client: &Client, encounter: &str) -> String {
    let path = format!("/v1/encounters/{encounter}/join");
    let joined = client.post(&path, &json!({})).await.expect(200);
    joined["ticket"].as_str().unwrap().to_owned()
}

/// The status with which an upgrade was refused, or the socket.
pub async fn dial(url: &str, origin: Option<&str>, protocol: Option<&str>) -> Result<Peer, u16> {
    let client = awc::Client::builder().timeout(PATIENCE).finish();
    let mut request = client.ws(format!("{url}/v1/rtc")).max_frame_size(1 << 20);
    if let Some(origin) = origin {
        request = request.origin(origin);
    }
    if let Some(protocol) = protocol {
        request = request.protocols([protocol]);
    }
    match request.connect().await {
        Ok((_answer, wire)) => Ok(Peer::over(wire)),
        Err(WsClientError::InvalidResponseStatus(status)) => Err(status.as_u16()),
        Err(other) => panic!("{other}"),
    }
}

impl Peer {
    /// On something that carries frames.
    pub fn over(wire: impl Wire + 'static) -> Self {
        let seat = Seat { sid: Value::Null, secret: Value::Null, epoch: 0, last_seq: 0 };
        Self { wire: Box::new(wire), id: String::new(), seat }
    }

    /// An open socket on which nothing was said yet.
    pub async fn dial(url: &str) -> Self {
        dial(url, None, Some(PROTOCOL)).await.expect("an upgrade")
    }

    /// Takes a new seat. The second is the `welcome`.
    pub async fn enter(client: &Client, encounter: &str) -> (Self, Value) {
        let ticket = ticket(client, encounter).await;
        let mut peer = Self::dial(&client.url).await;
        peer.say("hello", json!({"ticket": ticket, "client": "test"})).await;
        let welcome = peer.hear().await;
        assert_eq!((&welcome["t"], &welcome["seq"]), (&json!("welcome"), &json!(1)));
        peer.take_seat(&welcome);
        (peer, welcome)
    }

    /// Remembers a `welcome`.
    pub fn take_seat(&mut self, welcome: &Value) {
        let body = &welcome["body"];
        self.id = body["participant"]["id"].as_str().unwrap().to_owned();
        self.seat.sid = body["sid"].clone();
        self.seat.secret = body["secret"].clone();
        self.seat.epoch = body["epoch"].as_i64().unwrap();
    }

    /// A new socket that asks for an old seat; the answer is still to be heard.
    pub async fn resume(url: &str, seat: &Seat) -> Self {
        let mut peer = Self::dial(url).await;
        peer.seat = seat.clone();
        let Seat { sid, secret, epoch, last_seq } = seat;
        let body = json!({"sid": sid, "secret": secret, "epoch": epoch, "last_seq": last_seq});
        peer.say("resume", body).await;
        peer
    }

    /// Comes back to a seat. The second is `resumed`.
    pub async fn come_back(url: &str, seat: &Seat) -> (Self, Value) {
        let mut peer = Self::resume(url, seat).await;
        let resumed = peer.hear().await;
        assert_eq!(resumed["t"], "resumed", "{resumed}");
        peer.id = resumed["body"]["participant"]["id"].as_str().unwrap().to_owned();
        peer.seat.epoch = resumed["body"]["epoch"].as_i64().unwrap();
        (peer, resumed)
    }

    pub async fn say(&mut self, kind: &str, body: Value) {
        self.send(json!({"v": 1, "t": kind, "body": body})).await;
    }

    /// Says something about an edge.
    pub async fn say_on(&mut self, edge: &Edge, kind: &str, body: Value) {
        let Edge { name, neg, generation, .. } = edge;
        self.send(json!({
            "v": 1, "t": kind, "edge": name, "neg": neg, "gen": generation, "body": body
        }))
        .await;
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_raw(Message::Text(frame.to_string().into())).await;
    }

    /// Whatever happens to it: the other side may have closed meanwhile.
    pub async fn send_raw(&mut self, message: Message) {
        drop(self.wire.send(message).await);
    }

    /// The next thing said; the numbers have no gap.
    pub async fn hear(&mut self) -> Value {
        match self.next().await {
            Ok(message) => message,
            Err(code) => panic!("closed with {code:?}"),
        }
    }

    /// The next thing said of a kind; what comes before it is worked through.
    pub async fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["t"] == kind {
                return message;
            }
        }
    }

    /// Everything that was said up to now.
    pub async fn hear_all(&mut self) -> Vec<Value> {
        self.say("ping", json!({})).await;
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await;
            if message["t"] == "pong" {
                return heard;
            }
            heard.push(message);
        }
    }

    /// The code of the next error; what comes before it is worked through.
    pub async fn refused(&mut self) -> String {
        self.hear_of("error").await["body"]["code"].as_str().unwrap().to_owned()
    }

    /// What was said until the close, and its code; none when the line broke.
    pub async fn hear_out(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut heard = Vec::new();
        loop {
            match self.next().await {
                Ok(message) => heard.push(message),
                Err(code) => return (heard, code),
            }
        }
    }

    /// Whether the socket is alive: says `ping` and works through what comes until the answer.
    pub async fn lives(&mut self) -> bool {
        self.say("ping", json!({})).await;
        loop {
            match self.next().await {
                Ok(message) if message["t"] == "pong" => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The code with which the server closes.
    pub async fn closed(&mut self) -> Option<u16> {
        self.hear_out().await.1
    }

    /// The line breaks without a word.
    pub fn cut(self) -> Seat {
        self.seat
    }

    /// The next thing said, or the code of the close; none when the line broke.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            let heard = actix_web::rt::time::timeout(PATIENCE, self.wire.next()).await;
            match heard.expect("something is said in time") {
                Some(Ok(Frame::Text(bytes))) => {
                    let message: Value = serde_json::from_slice(&bytes).unwrap();
                    self.count(&message);
                    return Ok(message);
                }
                Some(Ok(Frame::Close(reason))) => {
                    return Err(reason.map(|reason| u16::from(reason.code)));
                }
                Some(Ok(Frame::Ping(payload))) => self.send_raw(Message::Pong(payload)).await,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    fn count(&mut self, message: &Value) {
        assert_eq!(message["v"], 1, "{message}");
        if let Some(seq) = message["seq"].as_u64() {
            assert_eq!(seq, self.seat.last_seq + 1, "a gap before {message}");
            self.seat.last_seq = seq;
        }
    }
}

/// One side's part in a connection, as `negotiate` or `snapshot` tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub name: Value,
    pub generation: u64,
    pub neg: u64,
    pub offers: bool,
    pub fresh: bool,
}

impl Edge {
    pub fn of(negotiate: &Value) -> Self {
        let body = &negotiate["body"];
        assert_eq!(body["gen"], negotiate["gen"]);
        assert_eq!(body["polite"], json!(body["role"] == "answerer"));
        Self {
            name: negotiate["edge"].clone(),
            generation: negotiate["gen"].as_u64().unwrap(),
            neg: 1,
            offers: body["role"] == "offerer",
            fresh: body["fresh"].as_bool().unwrap(),
        }
    }

    pub fn with_neg(&self, neg: u64) -> Self {
        Self { neg, ..self.clone() }
    }

    pub fn with_generation(&self, generation: u64) -> Self {
        Self { generation, ..self.clone() }
    }
}

/// The kinds of messages, in order.
pub fn kinds(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["t"].as_str().unwrap()).collect()
}
