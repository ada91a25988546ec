//! One room and the sockets of those in it.

use std::sync::Arc;

use chrono::TimeDelta;

use super::CHECK_SECS;
use crate::base::column::Instant;
use crate::call::departure::Departure;
use crate::call::event::{Effect, Event, LineId};
use crate::call::line::{Line, Order};
use crate::call::record::ledger::Ledger;
use crate::call::room::Room;
use crate::encounter::EncounterId;

/// A room in memory, and the ways to those in it.
pub(super) struct Live {
    pub(super) room: Room,
    pub(super) lines: Vec<Line>,
    pub(super) ledger: Arc<Ledger>,
}

impl Live {
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.lines.is_empty() && self.room.is_done(now)
    }

    pub(super) fn carry_out(
        &mut self,
        encounter: EncounterId,
        event: Event,
        now: Instant,
    ) -> Vec<Departure> {
        if let Event::Lost(gone) = &event {
            let gone = *gone;
            self.lines.retain(|line| line.id != gone);
        }
        let mut departures = Vec::new();
        for effect in self.room.apply(event, now) {
            match effect {
                Effect::Send(to, text) => self.order(to, Order::Send(text)),
                Effect::Close(to, code) => {
                    self.order(to, Order::Close(code));
                    self.lines.retain(|line| line.id != to);
                }
                Effect::Gone(participant, sid, epoch, why) => {
                    departures.push(Departure { encounter, participant, sid, epoch, why });
                }
                Effect::Keep(kept) => self.ledger.keep(encounter, kept),
            }
        }
        departures
    }

    /// Never waits: a socket that does not keep up is cut off, and resumes.
    pub(super) fn order(&mut self, to: LineId, order: Order) {
        let Some(line) = self.lines.iter().find(|line| line.id == to) else { return };
        if !line.order(order) {
            self.lines.retain(|line| line.id != to);
        }
    }

    pub(super) fn send_to_check(&mut self, now: Instant) {
        let due = |line: &&mut Line| now.since(line.checked_at) >= TimeDelta::seconds(CHECK_SECS);
        for line in self.lines.iter_mut().filter(due) {
            line.checked_at = now;
            line.order(Order::Check);
        }
    }
}
