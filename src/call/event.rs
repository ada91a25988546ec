//! What happens to a room, and what is to be done about it.

use serde::{Deserialize, Serialize};

use crate::account::SessionId;
use crate::base::column::Instant;
use crate::call::message::Frame;
use crate::call::record::Kept;
use crate::call::rung::Rung;
use crate::encounter::party::Party;
use crate::encounter::presence::LeftWhy;
use crate::encounter::queue::Queued;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};
use crate::ring::RingId;

/// One socket, as long as it lives.
pub type LineId = u64;

/// Why a socket is closed (`docs/signaling.md`, "Close codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification says what each means")]
pub enum CloseCode {
    Done = 1000,
    Restart = 1012,
    BadFrame = 4400,
    SignIn = 4401,
    Forbidden = 4403,
    NoVisit = 4404,
    HelloTimeout = 4408,
    Superseded = 4409,
    Over = 4410,
    TooLarge = 4413,
    TooSlow = 4429,
    Internal = 4500,
}

/// Somebody who takes a seat.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Their part in the visit.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
    /// The name others see.
    pub name: String,
    /// Whether they are let in.
    pub admitted: bool,
    /// Since when they wait.
    pub since: Option<Instant>,
    /// Their place in the practitioner's day, while they wait.
    pub place: Option<Queued>,
    /// At whose device they sit, if not at one of their own.
    pub sits_with: Option<ParticipantId>,
    /// Who takes part, as it stood when they sat down.
    pub party: Party,
    /// The most that their line carried when it was measured before the visit.
    pub carries: Rung,
}

/// A seat in the database, and what a client must know to take it again.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The seat.
    pub sid: uuid::Uuid,
    /// Its secret; only said when the seat is new.
    pub secret: Option<String>,
    /// Counts the sockets of the seat.
    pub epoch: i32,
    /// The sign-in session that the seat rests on.
    pub session: SessionId,
}

/// Why a room closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverWhy {
    /// The visit was finished, called off, or goes on by telephone.
    Finished,
    /// Its time has run out.
    TimeOver,
}

/// Something new that is not the room's own business: the people in it hear that there is, and ask
/// for it over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Somebody is rung who has a seat and does not look.
    Ringing(ParticipantId, RingId),
    /// What the clinic does about this visit has changed.
    Care,
    /// Something was written.
    Chat,
}

/// What happens to a room.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody came with a ticket.
    Enter(Guest, LineId, Credentials),
    /// Somebody came back with the secret of their seat; the last number that arrived.
    Resume(Guest, LineId, Credentials, u64),
    /// Somebody was here when the process stopped, and may come back.
    Restore(Guest, Credentials),
    /// A peer said something.
    Said(LineId, Frame),
    /// A socket is gone.
    Lost(LineId),
    /// The practitioner decided; which change of the visit that was ([`Party::rev`]).
    Decided(ParticipantId, Admission, i32),
    /// Who takes part is another, or the door was locked or opened.
    Party(Party),
    /// The place of this visit in the practitioner's day.
    Queued(Option<Queued>),
    /// There is something new that is asked for over HTTP.
    News(News),
    /// A sign-in ended; whoever sits on it goes.
    SignedOut(SessionId),
    /// Somebody lost the right to be here.
    Barred(ParticipantId),
    /// The visit has ended.
    Over(OverWhy),
    /// That it had ended was a mistake.
    Reopened,
    /// Time has passed.
    Tick,
}

impl Event {
    /// Whether a room must hear it even when nobody sits there yet: somebody may be on the way,
    /// and what was decided meanwhile must not be lost on them.
    pub fn opens_room(&self) -> bool {
        matches!(
            self,
            Self::Enter(..)
                | Self::Resume(..)
                | Self::Restore(..)
                | Self::Decided(..)
                | Self::Party(_)
                | Self::Over(_)
        )
    }
}

/// What is to be done about it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this to a socket.
    Send(LineId, String),
    /// Close a socket.
    Close(LineId, CloseCode),
    /// The seat is empty, as it was taken this many times: remember it.
    Gone(ParticipantId, uuid::Uuid, i32, LeftWhy),
    /// Write it into the record of the call, when there is time.
    Keep(Kept),
}
