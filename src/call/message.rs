//! The wire of `feldsher.rtc.v1`: what a peer may say and what it hears. `docs/signaling.md` is
//! the specification.

pub mod read;
pub mod told;

use serde::{Deserialize, Serialize};

use crate::call::rung::{Rung, WishWhy};
use crate::encounter::ParticipantId;
use crate::encounter::arrange::Lock;
use crate::encounter::finish::FinishOutcome;

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
    /// The page lies in the background and comes by itself.
    #[serde(default)]
    pub away: bool,
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

/// Ends the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How it went; left out: `completed`.
    #[serde(default)]
    pub outcome: Option<FinishOutcome>,
}
