//! The negotiation of one connection between two people (JSEP, RFC 9429, without glare).
//!
//! One side makes the offers, the other answers. Every ICE generation has its own number; what
//! belongs to an older one is dropped.

use chrono::TimeDelta;

use crate::base::column::Instant;
use crate::call::message::{EdgeRole, EdgeView, ErrorCode, Turn};
use crate::call::room::ANSWER_SECS;
use crate::encounter::ParticipantId;

/// How many candidates one side may send per generation.
pub const CANDIDATES_MAX: u32 = 64;
/// How often the server starts anew by itself before it waits to be asked.
const RESTARTS_MAX: u32 = 5;

/// Where a negotiation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The offerer has been asked.
    AwaitsOffer(Instant),
    /// The offer is on its way.
    AwaitsAnswer(Instant),
    /// Offer and answer have been exchanged; whether media flows, the peers know.
    Up,
}

/// The same two people have the same edge, whatever happened in between: a client recognizes its
/// connection after a restart of the server.
fn name_of(one: ParticipantId, other: ParticipantId) -> String {
    let both = one.0.as_u128() ^ other.0.as_u128();
    format!("e{:08x}", both & 0xffff_ffff)
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Its name in messages.
    pub id: String,
    /// Makes the offers, and does not give way.
    pub offerer: ParticipantId,
    /// Answers.
    pub answerer: ParticipantId,
    neg: u32,
    generation: u64,
    phase: Phase,
    candidates: (u32, u32),
    restarts: u32,
}

impl Edge {
    /// An edge between two people.
    pub fn new(offerer: ParticipantId, answerer: ParticipantId, generation: u64, phase: Phase) -> Self {
        Self {
            id: name_of(offerer, answerer),
            offerer,
            answerer,
            neg: 0,
            generation,
            phase,
            candidates: (0, 0),
            restarts: 0,
        }
    }

    /// Whether somebody is at one of its ends.
    pub fn joins(&self, id: ParticipantId) -> bool {
        self.offerer == id || self.answerer == id
    }

    /// The edge as one side sees it.
    pub fn seen_by(&self, id: ParticipantId) -> Option<EdgeView> {
        let (peer, role) = match id {
            id if id == self.offerer => (self.answerer, EdgeRole::Offerer),
            id if id == self.answerer => (self.offerer, EdgeRole::Answerer),
            _ => return None,
        };
        let polite = role == EdgeRole::Answerer;
        Some(EdgeView { id: self.id.clone(), peer, role, polite, generation: self.generation })
    }

    /// Begins a new generation.
    pub fn restart(&mut self, generation: u64, now: Instant) {
        self.neg = 0;
        self.generation = generation;
        self.phase = Phase::AwaitsOffer(now);
        self.candidates = (0, 0);
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Whether a failure report is about the present generation, or about none.
    pub fn is_current(&self, failed: Option<u64>) -> bool {
        failed.is_none_or(|failed| failed >= self.generation)
    }

    /// An offer: only from the offerer, only of this generation, only a newer one.
    /// Returns who must hear it.
    pub fn offer(&mut self, from: ParticipantId, turn: Turn, now: Instant) -> Result<ParticipantId, ErrorCode> {
        if from != self.offerer {
            return Err(ErrorCode::BadState);
        }
        if turn.generation != self.generation || turn.neg <= self.neg {
            return Err(ErrorCode::StaleNegotiation);
        }
        self.neg = turn.neg;
        self.phase = Phase::AwaitsAnswer(now);
        Ok(self.answerer)
    }

    /// An answer to the present offer; `None` when it is late, which is nobody's fault.
    pub fn answer(&mut self, from: ParticipantId, turn: Turn) -> Result<Option<ParticipantId>, ErrorCode> {
        if from != self.answerer {
            return Err(ErrorCode::BadState);
        }
        let current = turn == Turn { neg: self.neg, generation: self.generation };
        if !current || !matches!(self.phase, Phase::AwaitsAnswer(_)) {
            return Ok(None);
        }
        self.phase = Phase::Up;
        self.restarts = 0;
        Ok(Some(self.offerer))
    }

    /// A candidate of this generation; `None` when it is late.
    pub fn candidate(&mut self, from: ParticipantId, turn: Turn) -> Result<Option<ParticipantId>, ErrorCode> {
        if turn.generation != self.generation {
            return Ok(None);
        }
        let (count, other) = if from == self.offerer {
            (&mut self.candidates.0, self.answerer)
        } else {
            (&mut self.candidates.1, self.offerer)
        };
        *count = count.saturating_add(1);
        if *count > CANDIDATES_MAX { Err(ErrorCode::RateLimited) } else { Ok(Some(other)) }
    }

    /// Whether an offer or an answer has been waited for too long.
    pub fn is_stuck(&self, now: Instant) -> bool {
        let (Phase::AwaitsOffer(since) | Phase::AwaitsAnswer(since)) = self.phase else { return false };
        self.restarts < RESTARTS_MAX && now.since(since) >= TimeDelta::seconds(ANSWER_SECS)
    }
}
