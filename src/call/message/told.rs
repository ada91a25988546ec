//! What the server says of a room: who is there, which connections there are, what went wrong.

use serde::Serialize;

use super::{Edge, MediaState, Readiness};
use crate::base::column::Instant;
use crate::call::ladder::RungView;
use crate::call::plan::Media;
use crate::encounter::show::Standing;
use crate::encounter::{ParticipantId, ParticipantRole};

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
