//! The wire of `feldsher.rtc.v1`: what a peer may say and what it hears. `docs/signaling.md` is
//! the specification.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::base::column::Instant;
use crate::call::ladder::RungView;
use crate::call::plan::Media;
use crate::call::rung::{Rung, WishWhy};
use crate::call::scan::body_of;
use crate::encounter::arrange::Lock;
use crate::encounter::finish::FinishOutcome;
use crate::encounter::show::Standing;
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
    /// I have a ticket, and come in a while.
    Prepare(Prepare),
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
    Offer(Edge, Turn, Verbatim),
    /// A session description, from the other side.
    Answer(Edge, Turn, Verbatim),
    /// An ICE candidate.
    Candidate(Edge, Turn, Verbatim),
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
    /// I want less, or more again, on this edge.
    Fallback(Edge, Fallback),
    /// I have carried out what was said of the rung.
    RungAck(Edge, u32),
    /// Let somebody in.
    Admit(About),
    /// Send somebody back to wait.
    Hold(About),
    /// Turn somebody away.
    Deny(About),
    /// Take somebody's invitation back.
    Remove(About),
    /// Let nobody new in, or again.
    Lock(Lock),
    /// Send somebody to the side room, or back.
    Side(Side),
    /// I leave; the visit goes on being open.
    Leave,
    /// The visit is over.
    End(End),
}

impl FromPeer {
    /// Whether it changes the visit itself: that is not the room's to do, which hears what came of
    /// it.
    pub fn is_deed(&self) -> bool {
        matches!(
            self,
            Self::Admit(_)
                | Self::Hold(_)
                | Self::Deny(_)
                | Self::Remove(_)
                | Self::Lock(_)
                | Self::Side(_)
                | Self::End(_)
        )
    }
}

/// The name of an edge.
pub type Edge = String;

/// Keeps a socket open for somebody who is about to come.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// What `join` handed out; it is not used up.
    pub ticket: String,
}

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

/// A body that was found good and is passed on word for word, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim(Box<str>);

impl Verbatim {
    /// A body of a test.
    #[cfg(test)]
    pub fn of(body: &serde_json::Value) -> Self {
        Self(body.to_string().into())
    }

    /// What was said.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A session description, as `RTCSessionDescription.sdp` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description<'a> {
    #[serde(borrow)]
    sdp: Cow<'a, str>,
}

/// An ICE candidate, as `RTCIceCandidate.toJSON()` writes it (W3C WebRTC 4.8.1): the candidate line,
/// which media section by name and by number, and which ICE generation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    candidate: Cow<'a, str>,
    #[serde(borrow, default)]
    sdp_mid: Option<Cow<'a, str>>,
    #[serde(default, rename = "sdpMLineIndex")]
    _sdp_m_line_index: Option<u16>,
    #[serde(borrow, default)]
    username_fragment: Option<Cow<'a, str>>,
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
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
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
    /// What the browser estimates it could send, in bits per second.
    #[serde(default)]
    pub room: Option<f64>,
    /// Sent since the last report, in bytes.
    #[serde(default)]
    pub sent: u64,
    /// Received since the last report, in bytes.
    #[serde(default)]
    pub received: u64,
    /// The rung on which this side is.
    #[serde(default)]
    pub rung: Option<Rung>,
}

impl Quality {
    /// Whether the numbers can be of a connection.
    fn is_sound(&self) -> bool {
        let within = |value: f64, most: f64| (0.0..=most).contains(&value);
        within(self.rtt, 600_000.0)
            && within(self.jitter, 600_000.0)
            && within(self.loss_in, 1.0)
            && within(self.loss_out, 1.0)
            && within(self.bitrate, 1e10)
            && within(self.mos, 5.0)
            && within(self.room.unwrap_or_default(), 1e10)
            && self.sent.max(self.received) <= NUMBER_MAX
            && self.transport.len() <= ID_LEN_MAX
    }
}

/// Asks for a rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The most that this side wants; `phone`: it agrees to go on by telephone.
    pub rung: Rung,
    /// Left out: the person asked.
    #[serde(default)]
    pub why: Option<WishWhy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RungDone {
    step: u32,
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

/// Sends somebody to the side room, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The participant.
    pub participant: ParticipantId,
    /// In the side room.
    pub aside: bool,
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
struct Envelope<'a> {
    v: u8,
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    edge: Option<Cow<'a, str>>,
    #[serde(default)]
    neg: Option<u32>,
    #[serde(default, rename = "gen")]
    generation: Option<u64>,
    #[serde(default)]
    ack: Option<u64>,
    /// Read when it is known what it must be.
    #[serde(default)]
    body: Option<IgnoredAny>,
}

/// An envelope and what is in it.
struct Letter<'a> {
    envelope: Envelope<'a>,
    body: &'a str,
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
    let found = body_of(text, JSON_DEPTH_MAX).map_err(|_too_deep| Misread::NotOurs)?;
    let mut envelope: Envelope = serde_json::from_str(text).map_err(|_syntax| Misread::NotOurs)?;
    if envelope.v != 1 {
        return Err(Misread::NotOurs);
    }
    let body = match (envelope.body, found) {
        (None, _) => "{}",
        (Some(_), Some(body)) => body.trim_ascii(),
        // Its name is spelled with escapes, as nobody does.
        (Some(_), None) => return Err(Misread::NotOurs),
    };
    let (id, ack) = (envelope.id.take(), envelope.ack);
    if id.as_ref().is_some_and(|id| id.len() > ID_LEN_MAX) {
        return Err(Misread::TooLarge(None));
    }
    match said(&Letter { envelope, body }) {
        Ok(said) => Ok(Frame { id, ack, said }),
        Err(Misread::Unsupported(_)) => Err(Misread::Unsupported(id)),
        Err(Misread::BadRequest(_)) => Err(Misread::BadRequest(id)),
        Err(Misread::TooLarge(_)) => Err(Misread::TooLarge(id)),
        Err(Misread::NotOurs) => Err(Misread::NotOurs),
    }
}

fn said(letter: &Letter<'_>) -> Result<FromPeer, Misread> {
    let envelope = &letter.envelope;
    let turn = Turn {
        neg: envelope.neg.unwrap_or_default(),
        generation: envelope.generation.unwrap_or_default(),
    };
    Ok(match envelope.t.as_ref() {
        "prepare" => FromPeer::Prepare(body(letter)?),
        "hello" => FromPeer::Hello(body(letter)?),
        "resume" => FromPeer::Resume(resume(letter)?),
        "ack" => body::<Empty>(letter).map(|_| FromPeer::Ack)?,
        "ping" => body::<PingBody>(letter).map(|_| FromPeer::Ping)?,
        "presence" => FromPeer::Presence(body(letter)?),
        "offer" => FromPeer::Offer(edge(letter)?, turn, description(letter)?),
        "answer" => FromPeer::Answer(edge(letter)?, turn, description(letter)?),
        "candidate" => FromPeer::Candidate(edge(letter)?, turn, candidate(letter)?),
        "end_of_candidates" => {
            body::<Empty>(letter)?;
            FromPeer::EndOfCandidates(edge(letter)?, turn)
        }
        "negotiate_request" => FromPeer::NegotiateRequest(asked(letter)?, envelope.generation),
        "ice_restart_request" => FromPeer::IceRestartRequest(asked(letter)?, envelope.generation),
        "media_state" => FromPeer::MediaState(body(letter)?),
        "quality" => FromPeer::Quality(edge(letter)?, quality(letter)?),
        "fallback" => FromPeer::Fallback(edge(letter)?, body(letter)?),
        "rung_ack" => FromPeer::RungAck(edge(letter)?, body::<RungDone>(letter)?.step),
        "admit" => FromPeer::Admit(about(letter)?),
        "hold" => FromPeer::Hold(about(letter)?),
        "deny" => FromPeer::Deny(about(letter)?),
        "remove" => FromPeer::Remove(about(letter)?),
        "lock" => FromPeer::Lock(body(letter)?),
        "side" => FromPeer::Side(body(letter)?),
        "leave" => {
            short(body::<Farewell>(letter)?.reason.as_deref())?;
            FromPeer::Leave
        }
        "end" => FromPeer::End(body(letter)?),
        _ => return Err(Misread::Unsupported(None)),
    })
}

fn body<'a, T: Deserialize<'a>>(letter: &Letter<'a>) -> Result<T, Misread> {
    serde_json::from_str(letter.body).map_err(|_wrong| Misread::BadRequest(None))
}

fn resume(letter: &Letter<'_>) -> Result<Resume, Misread> {
    let resume: Resume = body(letter)?;
    if resume.last_seq > NUMBER_MAX { Err(Misread::BadRequest(None)) } else { Ok(resume) }
}

fn quality(letter: &Letter<'_>) -> Result<Quality, Misread> {
    let quality: Quality = body(letter)?;
    if quality.is_sound() { Ok(quality) } else { Err(Misread::BadRequest(None)) }
}

fn edge(letter: &Letter<'_>) -> Result<Edge, Misread> {
    named(letter.envelope.edge.as_deref())
}

fn named(edge: Option<&str>) -> Result<Edge, Misread> {
    let edge = edge.ok_or(Misread::BadRequest(None))?;
    if edge.len() > ID_LEN_MAX { Err(Misread::TooLarge(None)) } else { Ok(edge.to_owned()) }
}

/// A request may name its edge in the envelope or in the body.
fn asked(letter: &Letter<'_>) -> Result<Edge, Misread> {
    let request: Request = body(letter)?;
    short(request.why.as_deref())?;
    named(request.edge.as_deref().or(letter.envelope.edge.as_deref()))
}

fn about(letter: &Letter<'_>) -> Result<About, Misread> {
    let about: About = body(letter)?;
    short(about.reason.as_deref())?;
    Ok(about)
}

fn short(text: Option<&str>) -> Result<(), Misread> {
    match text {
        Some(text) if text.chars().count() > TEXT_LEN_MAX => Err(Misread::TooLarge(None)),
        _ => Ok(()),
    }
}

fn description(letter: &Letter<'_>) -> Result<Verbatim, Misread> {
    let description: Description<'_> = body(letter)?;
    let too_large = description.sdp.len() > SDP_BYTES_MAX;
    if too_large { Err(Misread::TooLarge(None)) } else { Ok(Verbatim(letter.body.into())) }
}

fn candidate(letter: &Letter<'_>) -> Result<Verbatim, Misread> {
    let candidate: Candidate<'_> = body(letter)?;
    let parts = [
        Some(&candidate.candidate),
        candidate.sdp_mid.as_ref(),
        candidate.username_fragment.as_ref(),
    ];
    if parts.iter().flatten().any(|part| part.len() > CANDIDATE_BYTES_MAX) {
        return Err(Misread::TooLarge(None));
    }
    Ok(Verbatim(letter.body.into()))
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
    /// How far they have come, in one word for people.
    pub standing: Standing,
    /// At whose device they sit; they have no connection of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sits_with: Option<ParticipantId>,
    /// In the side room.
    pub aside: bool,
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
    /// What this side sends.
    pub send: Media,
    /// What the other side sends.
    pub receive: Media,
    /// The current generation.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// What both send; missing while nobody has said where this edge is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ladder: Option<RungView>,
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
    /// The patient has not agreed to them.
    ConsentMissing,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const KINDS: [&str; 23] = [
        "hello",
        "resume",
        "ack",
        "ping",
        "presence",
        "offer",
        "answer",
        "candidate",
        "end_of_candidates",
        "negotiate_request",
        "ice_restart_request",
        "media_state",
        "quality",
        "fallback",
        "rung_ack",
        "admit",
        "hold",
        "deny",
        "remove",
        "lock",
        "side",
        "leave",
        "end",
    ];

    fn misread(text: &str) -> Misread {
        read(text).unwrap_err()
    }

    fn frame(t: &str, body: &str) -> String {
        format!(r#"{{"v":1,"id":"c1","t":"{t}","edge":"e1","neg":1,"gen":7,"body":{body}}}"#)
    }

    #[test]
    fn every_kind_of_the_specification_is_understood() {
        let participant = r#"{"participant":"019dab12-0000-7000-8000-0000000000a1"}"#;
        for (t, body) in [
            ("hello", r#"{"ticket":"eyJ","caps":["trickle"],"client":"web","tz":"Asia/Tomsk"}"#),
            (
                "resume",
                r#"{"sid":"019dab13-0000-7000-8000-000000000001","secret":"q","epoch":1,"last_seq":118}"#,
            ),
            ("ack", "{}"),
            ("ping", r#"{"rtt":84}"#),
            ("presence", r#"{"state":"device_check"}"#),
            ("offer", r#"{"sdp":"v=0"}"#),
            ("answer", r#"{"sdp":"v=0"}"#),
            (
                "candidate",
                r#"{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"h2Kx"}"#,
            ),
            ("end_of_candidates", "{}"),
            ("negotiate_request", r#"{"edge":"e1","why":"rebuild"}"#),
            ("ice_restart_request", r#"{"edge":"e1","why":"disconnected"}"#),
            ("media_state", r#"{"audio":true,"video":false}"#),
            (
                "quality",
                r#"{"rtt":84,"jitter":6,"loss_in":0.012,"loss_out":0.0,"bitrate":412000,"mos":4.2}"#,
            ),
            (
                "quality",
                r#"{"rtt":84,"jitter":6,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4.2,"transport":"relay/udp","room":300000,"sent":1,"received":2,"rung":"audio_stills"}"#,
            ),
            ("fallback", r#"{"rung":"audio","why":"data_saver"}"#),
            ("fallback", r#"{"rung":"phone"}"#),
            ("rung_ack", r#"{"step":3}"#),
            ("admit", participant),
            ("hold", participant),
            ("deny", participant),
            ("remove", participant),
            ("lock", r#"{"locked":true}"#),
            ("side", r#"{"participant":"019dab12-0000-7000-8000-0000000000a1","aside":true}"#),
            ("leave", r#"{"reason":"user"}"#),
            ("end", r#"{"outcome":"completed"}"#),
        ] {
            let read = read(&frame(t, body)).unwrap();
            assert_eq!(read.id.as_deref(), Some("c1"), "{t}");
        }
    }

    #[test]
    fn what_is_not_this_protocol_is_told_from_what_is_only_wrong() {
        for text in
            ["", "[]", "{}", "hello", r#"{"v":2,"t":"ping"}"#, r#"{"v":1,"t":"ping","to":"x"}"#]
        {
            assert_eq!(misread(text), Misread::NotOurs, "{text}");
        }
        let id = || Some("c1".to_owned());
        assert_eq!(misread(&frame("dance", "{}")), Misread::Unsupported(id()));
        assert_eq!(misread(&frame("ping", r#"{"new":1}"#)), Misread::BadRequest(id()));
        assert_eq!(
            misread(r#"{"v":1,"id":"c1","t":"offer","body":{"sdp":""}}"#),
            Misread::BadRequest(id())
        );
    }

    #[test]
    fn every_part_has_its_limit() {
        let id = || Some("c1".to_owned());
        let long = |length| "x".repeat(length);
        let sdp = |length| frame("offer", &format!(r#"{{"sdp":"{}"}}"#, long(length)));
        assert!(read(&sdp(SDP_BYTES_MAX)).is_ok());
        assert_eq!(misread(&sdp(SDP_BYTES_MAX + 1)), Misread::TooLarge(id()));
        let candidate =
            |length| frame("candidate", &format!(r#"{{"candidate":"{}"}}"#, long(length)));
        assert!(read(&candidate(CANDIDATE_BYTES_MAX)).is_ok());
        assert_eq!(misread(&candidate(CANDIDATE_BYTES_MAX + 1)), Misread::TooLarge(id()));
        let why = |length| frame("negotiate_request", &format!(r#"{{"why":"{}"}}"#, long(length)));
        assert!(read(&why(TEXT_LEN_MAX)).is_ok());
        assert_eq!(misread(&why(TEXT_LEN_MAX + 1)), Misread::TooLarge(id()));
        let named = |length| format!(r#"{{"v":1,"t":"ping","id":"{}"}}"#, long(length));
        assert!(read(&named(ID_LEN_MAX)).is_ok());
        assert_eq!(misread(&named(ID_LEN_MAX + 1)), Misread::TooLarge(None));
        let nested = |depth| frame("ping", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(misread(&nested(JSON_DEPTH_MAX - 1)), Misread::BadRequest(id()));
        assert_eq!(misread(&nested(JSON_DEPTH_MAX)), Misread::NotOurs);
        assert_eq!(misread(&nested(30_000)), Misread::NotOurs, "and the stack is safe");
    }

    #[test]
    fn a_report_of_what_cannot_be_is_refused() {
        let report = |rtt: f64, loss: f64, mos: f64| {
            let body = format!(
                r#"{{"rtt":{rtt},"jitter":6,"loss_in":{loss},"loss_out":0,"bitrate":1,"mos":{mos}}}"#
            );
            read(&frame("quality", &body))
        };
        assert!(report(84.0, 1.0, 4.5).is_ok());
        for wrong in [report(-1.0, 0.0, 4.0), report(84.0, 1.1, 4.0), report(84.0, 0.0, 9.0)] {
            assert!(matches!(wrong, Err(Misread::BadRequest(_))));
        }
        let asked = |rung: &str| read(&frame("fallback", &format!(r#"{{"rung":"{rung}"}}"#)));
        assert!(asked("text").is_ok());
        assert!(matches!(asked("semaphore"), Err(Misread::BadRequest(_))));
    }

    #[test]
    fn a_number_that_no_browser_can_count_to_is_refused() {
        let resume = |last: u64| {
            frame(
                "resume",
                &format!(
                    r#"{{"sid":"019dab13-0000-7000-8000-000000000001","secret":"q","epoch":1,"last_seq":{last}}}"#
                ),
            )
        };
        assert!(read(&resume(NUMBER_MAX)).is_ok());
        assert!(matches!(misread(&resume(NUMBER_MAX + 1)), Misread::BadRequest(_)));
        assert!(matches!(misread(&resume(u64::MAX)), Misread::BadRequest(_)));
    }

    #[test]
    fn what_is_passed_on_is_passed_on_word_for_word() {
        let body = "{ \"sdp\" : \"v=0\\r\\n\\u0433\" }";
        let text = format!(r#"{{"body": {body} ,"v":1,"t":"offer","edge":"e1"}}"#);
        let FromPeer::Offer(_, _, said) = read(&text).unwrap().said else { panic!("an offer") };
        assert_eq!(said.as_str(), body);
        let twice = frame("offer", r#"{"sdp":"a","sdp":"b"}"#);
        assert!(matches!(misread(&twice), Misread::BadRequest(_)), "the other side reads the last");
        let hidden = r#"{"v":1,"t":"offer","edge":"e1","b\u006fdy":{"sdp":"v=0"}}"#;
        assert_eq!(misread(hidden), Misread::NotOurs);
        let twice = r#"{"v":1,"t":"ping","body":{},"b\u006fdy":{}}"#;
        assert_eq!(misread(twice), Misread::NotOurs);
        let broken = frame("offer", r#"{"sdp":"\ud800"}"#);
        assert!(matches!(misread(&broken), Misread::BadRequest(_)), "half a character");
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let name = prop_oneof![
                Just("sdp".to_owned()),
                Just("candidate".to_owned()),
                Just("participant".to_owned()),
                Just("edge".to_owned()),
                "[a-z_]{1,8}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Nearly a frame: one of ours with wrong parts, cut, or with a byte changed.
    fn nearly() -> impl Strategy<Value = String> {
        let kind = prop_oneof![
            9 => prop::sample::select(KINDS.to_vec()).prop_map(str::to_owned),
            1 => ".{0,20}",
        ];
        let parts = (kind, json(), json(), any::<u8>(), prop::option::of(any::<u64>()));
        (parts, 0_usize..400, any::<u8>(), 0_u8..4).prop_map(|(parts, at, byte, damage)| {
            let (kind, body, edge, v, number) = parts;
            let v = if damage == 3 { v } else { 1 };
            let frame = serde_json::json!({
                "v": v, "t": kind, "body": body, "edge": edge.as_str(), "gen": number, "ack": number,
            });
            let mut bytes = frame.to_string().into_bytes();
            let at = at % bytes.len();
            match damage {
                1 => bytes.truncate(at),
                2 => bytes[at] = byte,
                _ => {}
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_malformed_frame_is_refused_and_never_a_fault(text in prop_oneof![nearly(), ".{0,80}"]) {
            match read(&text) {
                Ok(frame) => prop_assert!(frame.id.is_none_or(|id| id.len() <= ID_LEN_MAX)),
                Err(
                    Misread::NotOurs
                    | Misread::Unsupported(_)
                    | Misread::BadRequest(_)
                    | Misread::TooLarge(_),
                ) => {}
            }
        }
    }
}
