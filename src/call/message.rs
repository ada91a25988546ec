//! The wire of `feldsher.rtc.v1`: what a peer may say and what it hears. `docs/signaling.md` is
//! the specification.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::column::Instant;
use crate::encounter::finish::FinishOutcome;
use crate::encounter::{ParticipantId, ParticipantRole};

/// The WebSocket subprotocol.
pub const PROTOCOL: &str = "feldsher.rtc.v1";
/// The largest frame, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The largest session description, in bytes.
pub const SDP_BYTES_MAX: usize = 48 * 1024;
/// The largest ICE candidate, in bytes.
pub const CANDIDATE_BYTES_MAX: usize = 1024;
/// How deep the JSON of a frame may be nested.
pub const JSON_DEPTH_MAX: usize = 8;
/// The largest number that every JSON reader keeps exactly (RFC 8259, section 6).
const NUMBER_MAX: u64 = (1 << 53) - 1;
const ID_LEN_MAX: usize = 32;
const TEXT_LEN_MAX: usize = 200;

/// Which negotiation of an edge a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Counts the offers of a generation.
    pub neg: u32,
    /// Counts the ICE generations.
    pub generation: u64,
}

/// A frame from a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The peer's own name for it; an error quotes it.
    pub id: Option<String>,
    /// Everything up to this number has arrived.
    pub ack: Option<u64>,
    /// What it says.
    pub said: FromPeer,
}

/// What a peer may say.
#[derive(Debug, Clone, PartialEq)]
pub enum FromPeer {
    /// I have a ticket.
    Hello(Hello),
    /// I was here before.
    Resume(Resume),
    /// Nothing but the envelope's `ack`.
    Ack,
    /// Are you there?
    Ping,
    /// I am still setting up, ready, or not at the screen.
    Presence(Presence),
    /// A session description, from the offerer.
    Offer(Edge, Turn, String),
    /// A session description, from the other side.
    Answer(Edge, Turn, String),
    /// An ICE candidate.
    Candidate(Edge, Turn, Candidate),
    /// There are no more candidates of this generation.
    EndOfCandidates(Edge, Turn),
    /// Start this edge anew; the generation that failed, when there was one.
    NegotiateRequest(Edge, Option<u64>),
    /// The path broke; the generation that failed.
    IceRestartRequest(Edge, Option<u64>),
    /// What I send.
    MediaState(MediaState),
    /// How it sounds and looks.
    Quality(Edge, Quality),
    /// Let somebody in.
    Admit(About),
    /// Send somebody back to wait.
    Hold(About),
    /// Turn somebody away.
    Deny(About),
    /// I leave; the visit goes on being open.
    Leave,
    /// The visit is over.
    End(End),
}

/// The name of an edge.
pub type Edge = String;

/// Opens a new seat.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// What `join` handed out.
    pub ticket: String,
    /// What the client can do; for later versions.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Which client it is; for support.
    #[serde(default)]
    pub client: Option<String>,
    /// The client's IANA zone.
    #[serde(default)]
    pub tz: Option<String>,
}

/// Takes a seat again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The seat.
    pub sid: uuid::Uuid,
    /// Its secret.
    pub secret: String,
    /// The epoch of the last `welcome` or `resumed`.
    pub epoch: i32,
    /// The last number that arrived.
    pub last_seq: u64,
}

/// How ready somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Looks at camera and microphone.
    DeviceCheck,
    /// Here and listening.
    Ready,
    /// The page is in the background.
    Away,
}

/// Says how ready one is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// How ready.
    pub state: Readiness,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    sdp: String,
}

/// An ICE candidate, as `RTCIceCandidate.toJSON()` writes it (W3C WebRTC 4.8.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate line.
    pub candidate: String,
    /// Which media section, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// Which media section, by number.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// Which ICE generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    edge: Option<String>,
    #[serde(default)]
    why: Option<String>,
}

/// What somebody sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaState {
    /// The microphone is on.
    pub audio: bool,
    /// The camera is on.
    pub video: bool,
    /// A screen is shared.
    #[serde(default)]
    pub screen: bool,
}

/// A report on one edge, every five seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Round trip, in milliseconds.
    pub rtt: f64,
    /// Jitter, in milliseconds.
    pub jitter: f64,
    /// Share of packets lost on the way here, 0 to 1.
    pub loss_in: f64,
    /// Share of packets lost on the way there, 0 to 1.
    pub loss_out: f64,
    /// Received, in bits per second.
    pub bitrate: f64,
    /// Mean opinion score of the voice, 1 to 4.5 (ITU-T G.107).
    pub mos: f64,
    /// The kind of path, such as `host/udp` or `relay/tcp`.
    #[serde(default)]
    pub transport: String,
}

/// Whom a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The participant.
    pub participant: ParticipantId,
    /// Said to the person; not kept.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Farewell {
    #[serde(default)]
    reason: Option<String>,
}

/// Ends the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How it went; left out: `completed`.
    #[serde(default)]
    pub outcome: Option<FinishOutcome>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PingBody {
    #[serde(default, rename = "rtt")]
    _rtt: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    v: u8,
    t: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    edge: Option<String>,
    #[serde(default)]
    neg: Option<u32>,
    #[serde(default, rename = "gen")]
    generation: Option<u64>,
    #[serde(default)]
    ack: Option<u64>,
    #[serde(default)]
    body: Option<Value>,
}

/// Why a frame was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// Not this protocol at all: the socket closes with 4400.
    NotOurs,
    /// A kind that this version does not know: an error, nothing more.
    Unsupported(Option<String>),
    /// A known kind with a wrong body.
    BadRequest(Option<String>),
    /// A part is larger than it may be.
    TooLarge(Option<String>),
}

/// Reads a text frame.
pub fn read(text: &str) -> Result<Frame, Misread> {
    if is_too_deep(text) {
        return Err(Misread::NotOurs);
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(|_syntax| Misread::NotOurs)?;
    if envelope.v != 1 {
        return Err(Misread::NotOurs);
    }
    let id = envelope.id.clone();
    if id.as_ref().is_some_and(|id| id.len() > ID_LEN_MAX) {
        return Err(Misread::TooLarge(None));
    }
    let said = said(&envelope).map_err(|error| match error {
        Misread::Unsupported(_) => Misread::Unsupported(id.clone()),
        Misread::BadRequest(_) => Misread::BadRequest(id.clone()),
        Misread::TooLarge(_) => Misread::TooLarge(id.clone()),
        Misread::NotOurs => Misread::NotOurs,
    })?;
    Ok(Frame { id, ack: envelope.ack, said })
}

fn said(envelope: &Envelope) -> Result<FromPeer, Misread> {
    let turn = Turn {
        neg: envelope.neg.unwrap_or_default(),
        generation: envelope.generation.unwrap_or_default(),
    };
    Ok(match envelope.t.as_str() {
        "hello" => FromPeer::Hello(body(envelope)?),
        "resume" => FromPeer::Resume(resume(envelope)?),
        "ack" => body::<Empty>(envelope).map(|_| FromPeer::Ack)?,
        "ping" => body::<PingBody>(envelope).map(|_| FromPeer::Ping)?,
        "presence" => FromPeer::Presence(body(envelope)?),
        "offer" => FromPeer::Offer(edge(envelope)?, turn, description(envelope)?),
        "answer" => FromPeer::Answer(edge(envelope)?, turn, description(envelope)?),
        "candidate" => FromPeer::Candidate(edge(envelope)?, turn, candidate(envelope)?),
        "end_of_candidates" => {
            body::<Empty>(envelope)?;
            FromPeer::EndOfCandidates(edge(envelope)?, turn)
        }
        "negotiate_request" => FromPeer::NegotiateRequest(asked(envelope)?, envelope.generation),
        "ice_restart_request" => FromPeer::IceRestartRequest(asked(envelope)?, envelope.generation),
        "media_state" => FromPeer::MediaState(body(envelope)?),
        "quality" => FromPeer::Quality(edge(envelope)?, body(envelope)?),
        "admit" => FromPeer::Admit(about(envelope)?),
        "hold" => FromPeer::Hold(about(envelope)?),
        "deny" => FromPeer::Deny(about(envelope)?),
        "leave" => {
            short(body::<Farewell>(envelope)?.reason.as_deref())?;
            FromPeer::Leave
        }
        "end" => FromPeer::End(body(envelope)?),
        _ => return Err(Misread::Unsupported(None)),
    })
}

fn body<T: DeserializeOwned>(envelope: &Envelope) -> Result<T, Misread> {
    let value = envelope.body.clone().unwrap_or_else(|| Value::Object(Map::new()));
    serde_json::from_value(value).map_err(|_wrong| Misread::BadRequest(None))
}

fn resume(envelope: &Envelope) -> Result<Resume, Misread> {
    let resume: Resume = body(envelope)?;
    if resume.last_seq > NUMBER_MAX { Err(Misread::BadRequest(None)) } else { Ok(resume) }
}

fn edge(envelope: &Envelope) -> Result<Edge, Misread> {
    named(envelope.edge.clone())
}

fn named(edge: Option<Edge>) -> Result<Edge, Misread> {
    let edge = edge.ok_or(Misread::BadRequest(None))?;
    if edge.len() > ID_LEN_MAX { Err(Misread::TooLarge(None)) } else { Ok(edge) }
}

/// A request may name its edge in the envelope or in the body.
fn asked(envelope: &Envelope) -> Result<Edge, Misread> {
    let request: Request = body(envelope)?;
    short(request.why.as_deref())?;
    named(request.edge.or_else(|| envelope.edge.clone()))
}

fn about(envelope: &Envelope) -> Result<About, Misread> {
    let about: About = body(envelope)?;
    short(about.reason.as_deref())?;
    Ok(about)
}

fn short(text: Option<&str>) -> Result<(), Misread> {
    match text {
        Some(text) if text.chars().count() > TEXT_LEN_MAX => Err(Misread::TooLarge(None)),
        _ => Ok(()),
    }
}

fn description(envelope: &Envelope) -> Result<String, Misread> {
    let Description { sdp } = body(envelope)?;
    if sdp.len() > SDP_BYTES_MAX { Err(Misread::TooLarge(None)) } else { Ok(sdp) }
}

fn candidate(envelope: &Envelope) -> Result<Candidate, Misread> {
    let candidate: Candidate = body(envelope)?;
    let parts = [
        Some(&candidate.candidate),
        candidate.sdp_mid.as_ref(),
        candidate.username_fragment.as_ref(),
    ];
    if parts.iter().flatten().any(|part| part.len() > CANDIDATE_BYTES_MAX) {
        return Err(Misread::TooLarge(None));
    }
    Ok(candidate)
}

/// Counts brackets outside strings, before anything is parsed.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth = depth.saturating_add(1);
                if depth > JSON_DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Somebody in the room, as the others see them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peer {
    /// Their part in the visit.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
    /// Their name.
    pub name: String,
    /// Where they are.
    pub state: SeatState,
    /// Since when they wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// How ready they say they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Readiness>,
    /// What they send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaState>,
}

/// Where somebody is, as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Waits to be let in.
    Waiting,
    /// Waits, but the line is silent.
    Away,
    /// Is let in.
    Admitted,
    /// Is let in, but the line is silent; media may still flow.
    Reconnecting,
}

/// What changed about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerChange {
    /// They came.
    Joined,
    /// They are elsewhere now, or say or send something else.
    State,
    /// They left.
    Left,
}

/// A connection between two people, as one of them sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgeView {
    /// Its name.
    pub id: Edge,
    /// Who is on the other side.
    pub peer: ParticipantId,
    /// `offerer` makes the offers.
    pub role: EdgeRole,
    /// Gives way when two offers meet.
    pub polite: bool,
    /// The current generation.
    #[serde(rename = "gen")]
    pub generation: u64,
}

/// Who makes the offers of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRole {
    /// This side.
    Offerer,
    /// The other side.
    Answerer,
}

/// What went wrong with something that a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A wrong body.
    BadRequest,
    /// Not possible now.
    BadState,
    /// Not known to this version.
    Unsupported,
    /// Not let in.
    NotAdmitted,
    /// Belongs to a negotiation that is over.
    StaleNegotiation,
    /// The other side is not here.
    PeerGone,
    /// Too much at once.
    RateLimited,
    /// Larger than it may be.
    TooLarge,
    /// Not yours to do.
    Forbidden,
    /// Our fault.
    Internal,
}

impl ErrorCode {
    /// Whether a client that follows the protocol never hears it; too many of them end a socket.
    pub fn is_mistake(self) -> bool {
        matches!(self, Self::BadRequest | Self::Unsupported | Self::TooLarge | Self::Forbidden)
    }

    /// Whether saying it again later can help.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::PeerGone | Self::Internal)
    }
}
