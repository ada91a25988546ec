//! The negotiation of one connection between two people (JSEP, RFC 9429, without glare).
//!
//! One side makes the offers, the other answers. Every ICE generation has its own number; what
//! belongs to an older one is dropped.

use chrono::TimeDelta;

use crate::base::column::Instant;
use crate::call::ladder::Ladder;
use crate::call::message::Turn;
use crate::call::message::told::{EdgeRole, EdgeView, ErrorCode};
use crate::call::plan::Plan;
use crate::encounter::ParticipantId;

/// How many candidates one side may send per generation.
pub const CANDIDATES_MAX: u32 = 64;
/// How long an offer or answer may take, in seconds.
pub const ANSWER_SECS: i64 = 10;
/// How often one side may ask for a new negotiation in [`ASKED_SECS`]: each makes the other's
/// browser begin anew.
pub const ASKED_MAX: u32 = 10;
/// The time in which they are counted, in seconds.
pub const ASKED_SECS: i64 = 30;
/// How often the server begins anew by itself before it waits to be asked.
pub const RETRIES_MAX: u32 = 5;

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
    format!("e{:016x}", both & 0xffff_ffff_ffff_ffff)
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
    /// What flows, seen from the offerer.
    pub plan: Plan,
    neg: u32,
    generation: u64,
    phase: Phase,
    candidates: (u32, u32),
    asked: (Asked, Asked),
    retries: u32,
    /// What both sides send.
    pub ladder: Ladder,
    wished: (Asked, Asked),
}

/// How often one side has asked, and since when that is counted.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    times: u32,
    since: Option<Instant>,
}

impl Asked {
    fn count(&mut self, now: Instant) -> Result<(), ErrorCode> {
        let over = |since| now.since(since) >= TimeDelta::seconds(ASKED_SECS);
        if self.since.is_none_or(over) {
            *self = Self { times: 0, since: Some(now) };
        }
        self.times = self.times.saturating_add(1);
        if self.times > ASKED_MAX { Err(ErrorCode::RateLimited) } else { Ok(()) }
    }
}

impl Edge {
    /// An edge between two people.
    pub fn new(
        offerer: ParticipantId,
        answerer: ParticipantId,
        plan: Plan,
        generation: u64,
        phase: Phase,
    ) -> Self {
        Self {
            id: name_of(offerer, answerer),
            offerer,
            answerer,
            plan,
            neg: 0,
            generation,
            phase,
            candidates: (0, 0),
            asked: (Asked::default(), Asked::default()),
            retries: 0,
            ladder: Ladder::default(),
            wished: (Asked::default(), Asked::default()),
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
        let Plan { there, back } = self.plan;
        let (send, receive) = if polite { (back, there) } else { (there, back) };
        let (id, generation) = (self.id.clone(), self.generation);
        let mut ladder = self.ladder.view([self.offerer, self.answerer]);
        if let Some(ladder) = &mut ladder {
            ladder.send = ladder.send.within(send);
        }
        Some(EdgeView { id, peer, role, polite, send, receive, generation, ladder })
    }

    /// The number of the present generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Which end somebody is: 0 makes the offers.
    pub fn side(&self, id: ParticipantId) -> usize {
        usize::from(id != self.offerer)
    }

    /// Somebody asks for another rung: each makes both sides change what they send.
    pub fn count_wish(&mut self, from: ParticipantId, now: Instant) -> Result<(), ErrorCode> {
        let offers = from == self.offerer;
        if offers { self.wished.0.count(now) } else { self.wished.1.count(now) }
    }

    /// Begins a new generation.
    pub fn restart(&mut self, generation: u64, now: Instant) {
        self.neg = 0;
        self.generation = generation;
        self.phase = Phase::AwaitsOffer(now);
        self.candidates = (0, 0);
    }

    /// The server begins anew by itself: counted, so that it does not go on for ever.
    pub fn count_retry(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    /// Somebody asks for a new negotiation: whether there is a reason, which a failure of an
    /// older generation is not.
    pub fn ask(
        &mut self,
        from: ParticipantId,
        failed: Option<u64>,
        now: Instant,
    ) -> Result<bool, ErrorCode> {
        if failed.is_some_and(|failed| failed < self.generation) {
            return Ok(false);
        }
        let offers = from == self.offerer;
        let asked = if offers { &mut self.asked.0 } else { &mut self.asked.1 };
        asked.count(now)?;
        self.retries = 0;
        Ok(true)
    }

    /// Somebody has come back: what is under way has its time again.
    pub fn wait_anew(&mut self, now: Instant) {
        self.retries = 0;
        match &mut self.phase {
            Phase::AwaitsOffer(since) | Phase::AwaitsAnswer(since) => *since = now,
            Phase::Up => {}
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Who is at the other end.
    pub fn other(&self, id: ParticipantId) -> ParticipantId {
        if self.offerer == id { self.answerer } else { self.offerer }
    }

    /// An offer: only from the offerer, only of this generation, only a newer one.
    /// Returns who must hear it.
    pub fn offer(
        &mut self,
        from: ParticipantId,
        turn: Turn,
        now: Instant,
    ) -> Result<ParticipantId, ErrorCode> {
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
    pub fn answer(
        &mut self,
        from: ParticipantId,
        turn: Turn,
    ) -> Result<Option<ParticipantId>, ErrorCode> {
        if from != self.answerer {
            return Err(ErrorCode::BadState);
        }
        let current = turn == Turn { neg: self.neg, generation: self.generation };
        if !current || !matches!(self.phase, Phase::AwaitsAnswer(_)) {
            return Ok(None);
        }
        self.phase = Phase::Up;
        self.retries = 0;
        Ok(Some(self.offerer))
    }

    /// A candidate of this generation; `None` when it is late.
    pub fn candidate(
        &mut self,
        from: ParticipantId,
        turn: Turn,
    ) -> Result<Option<ParticipantId>, ErrorCode> {
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
        let (Phase::AwaitsOffer(since) | Phase::AwaitsAnswer(since)) = self.phase else {
            return false;
        };
        self.retries < RETRIES_MAX && now.since(since) >= TimeDelta::seconds(ANSWER_SECS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::plan::Media;

    const SPEAKS: Media = Media { audio: true, video: false };
    const LISTENS: Media = Media { audio: false, video: false };
    const PLAN: Plan = Plan { there: SPEAKS, back: LISTENS };

    fn id(number: u128) -> ParticipantId {
        ParticipantId(uuid::Uuid::from_u128(number))
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(1_795_485_600_000_000 + seconds * 1_000_000).unwrap()
    }

    fn turn(neg: u32, generation: u64) -> Turn {
        Turn { neg, generation }
    }

    fn edge() -> Edge {
        let mut edge = Edge::new(id(1), id(2), PLAN, 9, Phase::Up);
        edge.restart(10, at(0));
        edge
    }

    #[test]
    fn an_offer_and_its_answer_open_the_edge() {
        let mut edge = edge();
        assert_eq!(edge.offer(id(1), turn(1, 10), at(1)), Ok(id(2)));
        assert_eq!(edge.phase(), Phase::AwaitsAnswer(at(1)));
        assert_eq!(edge.answer(id(2), turn(1, 10)), Ok(Some(id(1))));
        assert_eq!(edge.phase(), Phase::Up);
    }

    #[test]
    fn only_the_offerer_offers_and_only_the_answerer_answers() {
        let mut edge = edge();
        assert_eq!(edge.offer(id(2), turn(1, 10), at(0)), Err(ErrorCode::BadState));
        edge.offer(id(1), turn(1, 10), at(0)).unwrap();
        assert_eq!(edge.answer(id(1), turn(1, 10)), Err(ErrorCode::BadState));
    }

    #[test]
    fn an_offer_of_another_generation_or_no_newer_than_the_last_is_stale() {
        let mut edge = edge();
        for stale in [turn(1, 9), turn(1, 11), turn(0, 10)] {
            assert_eq!(edge.offer(id(1), stale, at(0)), Err(ErrorCode::StaleNegotiation));
        }
        edge.offer(id(1), turn(7, 10), at(0)).unwrap();
        assert_eq!(edge.offer(id(1), turn(7, 10), at(0)), Err(ErrorCode::StaleNegotiation));
        assert_eq!(edge.offer(id(1), turn(8, 10), at(0)), Ok(id(2)));
    }

    #[test]
    fn a_newer_offer_takes_the_place_of_an_unanswered_one() {
        let mut edge = edge();
        edge.offer(id(1), turn(1, 10), at(0)).unwrap();
        edge.offer(id(1), turn(2, 10), at(1)).unwrap();
        assert_eq!(edge.answer(id(2), turn(1, 10)), Ok(None), "late, and dropped without a word");
        assert_eq!(edge.answer(id(2), turn(2, 10)), Ok(Some(id(1))));
        assert_eq!(edge.answer(id(2), turn(2, 10)), Ok(None), "one offer has one answer");
    }

    #[test]
    fn candidates_pass_by_generation_until_there_are_too_many() {
        let mut edge = edge();
        assert_eq!(edge.candidate(id(1), turn(1, 9)), Ok(None), "of a generation that is over");
        for _ in 0..CANDIDATES_MAX {
            assert_eq!(edge.candidate(id(1), turn(1, 10)), Ok(Some(id(2))));
        }
        assert_eq!(edge.candidate(id(1), turn(1, 10)), Err(ErrorCode::RateLimited));
        assert_eq!(edge.candidate(id(2), turn(1, 10)), Ok(Some(id(1))), "each side has its own");
        edge.restart(11, at(5));
        assert_eq!(edge.candidate(id(1), turn(1, 11)), Ok(Some(id(2))), "a generation later");
    }

    #[test]
    fn a_failure_of_an_older_generation_is_no_reason_to_begin_anew() {
        let mut edge = edge();
        assert_eq!(edge.ask(id(1), None, at(0)), Ok(true));
        assert_eq!(edge.ask(id(1), Some(10), at(0)), Ok(true));
        edge.restart(11, at(0));
        assert_eq!(edge.ask(id(2), Some(10), at(0)), Ok(false), "the other side has asked already");
    }

    #[test]
    fn nobody_makes_the_other_begin_anew_without_end() {
        let mut edge = edge();
        for _ in 0..ASKED_MAX {
            assert_eq!(edge.ask(id(2), None, at(0)), Ok(true));
        }
        assert_eq!(edge.ask(id(2), None, at(ASKED_SECS - 1)), Err(ErrorCode::RateLimited));
        assert_eq!(edge.ask(id(1), None, at(ASKED_SECS - 1)), Ok(true), "each side has its own");
        assert_eq!(edge.ask(id(2), None, at(ASKED_SECS)), Ok(true), "and its own time");
    }

    #[test]
    fn a_negotiation_that_hangs_begins_anew_five_times_and_then_waits_to_be_asked() {
        let mut edge = edge();
        assert!(!edge.is_stuck(at(ANSWER_SECS - 1)));
        let mut now = 0;
        for retry in 0..RETRIES_MAX {
            now += ANSWER_SECS;
            assert!(edge.is_stuck(at(now)), "retry {retry}");
            edge.count_retry();
            edge.restart(11 + u64::from(retry), at(now));
        }
        assert!(!edge.is_stuck(at(now + 1000)));
        assert_eq!(edge.ask(id(1), None, at(now + 1000)), Ok(true));
        assert!(edge.is_stuck(at(now + 1000)));
    }

    #[test]
    fn both_ends_see_the_same_edge_from_their_own_side() {
        let edge = edge();
        let (here, there) = (edge.seen_by(id(1)).unwrap(), edge.seen_by(id(2)).unwrap());
        assert_eq!((here.peer, here.role, here.polite), (id(2), EdgeRole::Offerer, false));
        assert_eq!((there.peer, there.role, there.polite), (id(1), EdgeRole::Answerer, true));
        assert_eq!((here.send, here.receive), (SPEAKS, LISTENS));
        assert_eq!((there.send, there.receive), (LISTENS, SPEAKS));
        assert_eq!((here.id, here.generation), (there.id, there.generation));
        assert_eq!(edge.seen_by(id(3)), None);
        assert_eq!(
            edge.id,
            Edge::new(id(2), id(1), PLAN, 1, Phase::Up).id,
            "whoever is named first"
        );
    }
}
