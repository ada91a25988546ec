//! The connections between those in a room: which there must be, and when one is negotiated.

use serde_json::json;

use super::{Line, Room, Seat};
use crate::base::column::Instant;
use crate::call::edge::{Edge, Phase};
use crate::call::ladder::Ladder;
use crate::call::message::Turn;
use crate::call::message::told::ErrorCode;
use crate::call::plan::{self, Plan};
use crate::encounter::{ParticipantId, ParticipantRole};

impl Room {
    pub(super) fn edge(&mut self, id: ParticipantId, name: &str) -> Result<&mut Edge, ErrorCode> {
        if !self.is_admitted(id) {
            return Err(ErrorCode::NotAdmitted);
        }
        let found = self.edges.iter_mut().find(|edge| edge.id == name && edge.joins(id));
        found.ok_or(ErrorCode::PeerGone)
    }

    pub(super) fn wants(&self, edge: &Edge) -> bool {
        let (Some(one), Some(other)) = (self.seat(edge.offerer), self.seat(edge.answerer)) else {
            return false;
        };
        self.plan(one, other).is_some()
    }

    /// What flows between two; nothing to or from who waits, sits at another's device, or is on the
    /// other side of the side room's door.
    pub(super) fn plan(&self, one: &Seat, other: &Seat) -> Option<Plan> {
        let talks = |seat: &Seat| seat.guest.admitted && seat.guest.sits_with.is_none();
        let together = self.is_aside(one.guest.id) == self.is_aside(other.guest.id);
        if !talks(one) || !talks(other) || !together {
            return None;
        }
        plan::between(one.guest.role, other.guest.role)
    }

    /// Somebody's connections end, and what was said of them is not said again.
    pub(super) fn cut_edges(&mut self, id: ParticipantId) {
        let (cut, kept) =
            std::mem::take(&mut self.edges).into_iter().partition(|edge| edge.joins(id));
        self.edges = kept;
        for edge in cut {
            self.withdraw(&edge);
        }
    }

    pub(super) fn withdraw(&mut self, edge: &Edge) {
        for end in [edge.offerer, edge.answerer] {
            if let Some(seat) = self.seat_mut(end) {
                seat.mailbox.withdraw(&edge.id);
            }
        }
    }

    /// Whoever has no line cannot answer: asking them again would only fill their mailbox.
    pub(super) fn begin_stuck_anew(&mut self, now: Instant) {
        let up = self.ids(|seat| matches!(seat.line, Line::Up(_)));
        let mut stuck = Vec::new();
        for edge in self.edges.iter_mut().filter(|edge| edge.is_stuck(now)) {
            if up.contains(&edge.offerer) && up.contains(&edge.answerer) {
                edge.count_retry();
                stuck.push(edge.id.clone());
            }
        }
        for name in stuck {
            self.negotiate(&name, true, now);
        }
    }

    /// Every two who have something to send each other have an edge; new ones are negotiated.
    pub(super) fn connect(&mut self, now: Instant) {
        if self.arranging {
            return;
        }
        for (one, other, plan) in self.missing_edges() {
            let generation = self.next_generation();
            let mut edge = Edge::new(one, other, plan, generation, Phase::Up);
            let ends = [one, other].into_iter().filter_map(|end| self.seat(end));
            if let Some(carries) = ends.map(|seat| seat.guest.carries).min() {
                edge.ladder = Ladder::begun(carries);
            }
            let name = edge.id.clone();
            self.edges.push(edge);
            self.negotiate(&name, true, now);
        }
    }

    /// Pairs without an edge, the offerer first: the practitioner, else the lower id.
    pub(super) fn missing_edges(&self) -> Vec<(ParticipantId, ParticipantId, Plan)> {
        let mut inside: Vec<&Seat> = self.seats.iter().filter(|seat| seat.guest.admitted).collect();
        inside
            .sort_by_key(|seat| (seat.guest.role != ParticipantRole::Practitioner, seat.guest.id));
        let mut pairs = Vec::new();
        for (at, one) in inside.iter().enumerate() {
            for other in inside.iter().skip(at.saturating_add(1)) {
                let (from, to) = (one.guest.id, other.guest.id);
                if self.edges.iter().any(|edge| edge.joins(from) && edge.joins(to)) {
                    continue;
                }
                pairs.extend(self.plan(one, other).map(|plan| (from, to, plan)));
            }
        }
        pairs
    }

    /// Opens the next generation of an edge and tells both sides their part in it.
    pub(super) fn negotiate(&mut self, name: &str, fresh: bool, now: Instant) {
        let generation = self.next_generation();
        let Some(edge) = self.edges.iter_mut().find(|edge| edge.id == name) else { return };
        edge.restart(generation, now);
        let edge = edge.clone();
        self.withdraw(&edge);
        let (turn, policy) = (Turn { neg: 0, generation }, self.ice.policy);
        for view in [edge.seen_by(edge.offerer), edge.seen_by(edge.answerer)].into_iter().flatten()
        {
            let id = edge.other(view.peer);
            let body = json!({
                "peer": view.peer, "role": view.role, "polite": view.polite, "gen": generation,
                "fresh": fresh, "ice_policy": policy, "send": view.send, "receive": view.receive,
                "ladder": view.ladder, "ice_servers": self.ice_servers(id, now),
            });
            self.post(id, "negotiate", None, Some((name, turn)), &body.to_string(), now);
        }
    }

    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }
}
