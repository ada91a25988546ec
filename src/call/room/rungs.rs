//! The ladder and the record of a room: what is said of the line, and what is kept of it.

use chrono::TimeDelta;

use super::{Line, Room};
use crate::base::column::Instant;
use crate::call::edge::Edge;
use crate::call::event::{Effect, Event, OverWhy};
use crate::call::message::told::ErrorCode;
use crate::call::message::{Fallback, FromPeer, Quality, Readiness};
use crate::call::record::trace::Trace;
use crate::call::record::{Kept, Mark, MarkKind, MarkWhy};
use crate::call::rung::{Reading, Rung, WishWhy};
use crate::encounter::party::has_patients_place;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};

/// How often the record says at once of somebody that they are ready or away, while the room stands.
const READINESS_MAX: u32 = 60;
/// After that, how far apart it says what they said last, in seconds.
const READINESS_SECS: i64 = 60;

/// What the record has said of somebody's page.
#[derive(Debug, Clone)]
pub(super) struct ReadinessKept {
    whose: ParticipantId,
    times: u32,
    last: Instant,
    /// What it has not said yet.
    unsaid: Option<MarkKind>,
}

/// What an event means for the record, known before the room has worked through it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause {
    /// Why edges end, if some do.
    end: MarkWhy,
    /// How edges begin anew, if some do.
    restart: MarkKind,
    /// Only time has passed: minutes may be over.
    is_tick: bool,
    /// It is only passed on, and changes nothing that is kept.
    is_relayed: bool,
}

impl Cause {
    pub(super) fn of(event: &Event) -> Self {
        let restart = match event {
            Event::Said(_, frame) if matches!(frame.said, FromPeer::IceRestartRequest(..)) => {
                MarkKind::Restart
            }
            _ => MarkKind::Rebuilt,
        };
        let end = match event {
            Event::Enter(..) | Event::Resume(..) => MarkWhy::Replaced,
            Event::Said(_, frame) if matches!(frame.said, FromPeer::Leave) => MarkWhy::Left,
            Event::Barred(_) => MarkWhy::Denied,
            Event::SignedOut(_) => MarkWhy::SignedOut,
            Event::Over(OverWhy::Finished) => MarkWhy::Finished,
            Event::Over(OverWhy::TimeOver) => MarkWhy::TimeOver,
            Event::Tick => MarkWhy::Lost,
            _ => MarkWhy::Plan,
        };
        let is_relayed = match event {
            Event::Said(_, frame) => matches!(
                frame.said,
                FromPeer::Ack
                    | FromPeer::Ping
                    | FromPeer::Offer(..)
                    | FromPeer::Answer(..)
                    | FromPeer::Candidate(..)
                    | FromPeer::EndOfCandidates(..)
                    | FromPeer::MediaState(_)
            ),
            _ => false,
        };
        Self { end, restart, is_tick: matches!(event, Event::Tick), is_relayed }
    }
}

impl Room {
    /// A report: it vouches for the other side, moves the ladder and makes up the minute.
    pub(super) fn report(
        &mut self,
        id: ParticipantId,
        name: &str,
        said: &Quality,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        let shows = self.seat(id).and_then(|seat| seat.media).is_none_or(|media| media.video);
        let edge = self.edge_as_it_is(id, name)?;
        let (side, other) = (edge.side(id), edge.other(id));
        let plan = if side == 0 { edge.plan.there } else { edge.plan.back };
        let mut reading = Reading::from(said);
        if !shows || !plan.video {
            // Whoever sends no picture has not tried how much room there is for one.
            reading.room = None;
        }
        let stepped = edge.ladder.report(side, reading, said.rung, now);
        if let Some(seat) = self.seat_mut(other) {
            seat.vouched_at = Some(now);
        }
        // An edge that has just begun is followed first, so that there is a trace to add to.
        self.follow_edges(MarkWhy::Plan, MarkKind::Rebuilt, now);
        let edge = self.edges.iter().find(|edge| edge.id == name);
        let trace = self.traces.iter_mut().find(|trace| trace.edge == name);
        if let (Some(edge), Some(trace)) = (edge, trace) {
            let kept = trace.report(edge, side, said, now);
            self.keep(kept);
        }
        if stepped {
            self.tell_rung(name, now);
        }
        Ok(())
    }

    /// Somebody asks for another rung.
    pub(super) fn wish(
        &mut self,
        id: ParticipantId,
        name: &str,
        wish: Fallback,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        let other = self.edge(id, name)?.other(id);
        let alone = self.seat(other).is_none_or(|seat| matches!(seat.line, Line::Silent { .. }));
        let edge = self.edge_as_it_is(id, name)?;
        edge.count_wish(id, now)?;
        if wish.rung == Rung::Phone && !edge.ladder.may_phone() {
            return Err(ErrorCode::BadState);
        }
        let side = edge.side(id);
        let why = wish.why.unwrap_or(WishWhy::Asked);
        if edge.ladder.wish(side, wish.rung, why, alone, now) {
            self.tell_rung(name, now);
        }
        Ok(())
    }

    /// The edge, whose ladder knows who is in the room now: the practitioner telephones the patient, or
    /// whoever is there for one who is not in the room themself; nobody else.
    fn edge_as_it_is(&mut self, id: ParticipantId, name: &str) -> Result<&mut Edge, ErrorCode> {
        use ParticipantRole::{Patient, Practitioner};
        let other = self.edge(id, name)?.other(id);
        let role = |id| self.seat(id).map(|seat| seat.guest.role);
        let ends = [role(id), role(other)];
        let own = self.seats.iter().any(|seat| seat.guest.role == Patient);
        let answers = ends.into_iter().flatten().any(|role| has_patients_place(role, own));
        let may_phone = ends.contains(&Some(Practitioner)) && answers;
        let edge = self.edge(id, name)?;
        edge.ladder.let_phone(may_phone);
        Ok(edge)
    }

    /// Somebody has carried out a step.
    pub(super) fn acknowledge_rung(
        &mut self,
        id: ParticipantId,
        name: &str,
        step: u32,
    ) -> Result<(), ErrorCode> {
        let edge = self.edge(id, name)?;
        let side = edge.side(id);
        edge.ladder.acknowledge(side, step);
        Ok(())
    }

    /// Tells both sides where their edge stands. It is no part of a negotiation, and a new one does
    /// not withdraw it.
    fn tell_rung(&mut self, name: &str, now: Instant) {
        let Some(edge) = self.edges.iter().find(|edge| edge.id == name) else { return };
        let ends = [edge.offerer, edge.answerer];
        let Some(view) = edge.ladder.view(ends) else { return };
        for (end, plan) in ends.into_iter().zip([edge.plan.there, edge.plan.back]) {
            let body = serde_json::json!({
                "edge": name, "step": view.step, "rung": view.rung, "why": view.why,
                "by": view.by, "phone": view.phone, "send": view.send.within(plan),
            });
            self.tell(end, "rung", &body, now);
        }
    }

    pub(super) fn keep_readiness(&mut self, id: ParticipantId, said: Readiness, now: Instant) {
        let kind = match said {
            Readiness::DeviceCheck => MarkKind::Checking,
            Readiness::Ready => MarkKind::Ready,
            Readiness::Away => MarkKind::Away,
        };
        // A page that says it without end does not fill the record; what it said last is not lost.
        match self.readiness_kept.iter_mut().find(|kept| kept.whose == id) {
            Some(kept) if kept.times >= READINESS_MAX => {
                kept.unsaid = Some(kind);
                return;
            }
            Some(kept) => (kept.times, kept.last) = (kept.times + 1, now),
            None => self.readiness_kept.push(ReadinessKept {
                whose: id,
                times: 1,
                last: now,
                unsaid: None,
            }),
        }
        self.keep(vec![Kept::Mark(Mark::of(kind, id, now))]);
    }

    /// What was said last of pages that say it without end.
    fn keep_unsaid(&mut self, now: Instant) {
        let due = now.minus(TimeDelta::seconds(READINESS_SECS));
        let mut marks = Vec::new();
        for kept in self.readiness_kept.iter_mut().filter(|kept| kept.last <= due) {
            if let Some(kind) = kept.unsaid.take() {
                kept.last = now;
                marks.push(Kept::Mark(Mark::of(kind, kept.whose, now)));
            }
        }
        self.keep(marks);
    }

    /// Writes into the record what an event has changed, by comparing with what was known.
    pub(super) fn follow(&mut self, cause: Cause, now: Instant) {
        if cause.is_relayed {
            return;
        }
        self.follow_edges(cause.end, cause.restart, now);
        if cause.is_tick {
            self.keep_unsaid(now);
            let over: Vec<Kept> =
                self.traces.iter_mut().flat_map(|trace| trace.minutes(false, now)).collect();
            self.keep(over);
        }
        let missed: Vec<ParticipantId> = self.ids(|seat| seat.is_missed());
        if missed != self.missed {
            let before = std::mem::replace(&mut self.missed, missed.clone());
            for id in &missed {
                if !before.contains(id) {
                    self.keep(vec![Kept::Mark(Mark::of(MarkKind::Silent, *id, now))]);
                }
            }
            for id in before {
                if !missed.contains(&id) && self.seat(id).is_some() {
                    self.keep(vec![Kept::Mark(Mark::of(MarkKind::Back, id, now))]);
                }
            }
        }
    }

    fn follow_edges(&mut self, end: MarkWhy, restart: MarkKind, now: Instant) {
        let mut kept = Vec::new();
        let mut followed = Vec::new();
        for mut trace in std::mem::take(&mut self.traces) {
            let edge = self.edges.iter().find(|edge| edge.id == trace.edge);
            let Some(edge) = edge else {
                kept.extend(trace.end(end, now));
                continue;
            };
            kept.extend(trace.follow(edge, restart, now));
            followed.push(trace);
        }
        for edge in &self.edges {
            if !followed.iter().any(|trace| trace.edge == edge.id) {
                let (trace, mark) = Trace::of(edge, now);
                kept.push(Kept::Mark(mark));
                followed.push(trace);
            }
        }
        self.traces = followed;
        self.keep(kept);
    }

    /// Some edges have ended, for another reason than what has happened would say.
    pub(super) fn end_traces(
        &mut self,
        which: impl Fn(&Trace) -> bool,
        why: MarkWhy,
        now: Instant,
    ) {
        let (ended, stay) =
            std::mem::take(&mut self.traces).into_iter().partition(|one| which(one));
        self.traces = stay;
        let ended: Vec<Trace> = ended;
        let kept = ended.into_iter().flat_map(|trace| trace.end(why, now)).collect();
        self.keep(kept);
    }

    /// Writes once of somebody that they are let in, or not, however often the room hears it.
    pub(super) fn keep_admission(&mut self, id: ParticipantId, said: Admission, now: Instant) {
        let kind = match said {
            Admission::Admitted => MarkKind::Admitted,
            Admission::Held => MarkKind::Held,
            Admission::Denied => MarkKind::Denied,
            // Of whom nobody asks any more the record has the end of their connections.
            Admission::Removed => return self.admissions_kept.retain(|(whose, _)| *whose != id),
        };
        match self.admissions_kept.iter_mut().find(|(whose, _)| *whose == id) {
            Some((_, known)) if *known == kind => return,
            Some((_, known)) => *known = kind,
            None => self.admissions_kept.push((id, kind)),
        }
        self.keep(vec![Kept::Mark(Mark::of(kind, id, now))]);
    }

    /// Somebody who was turned away has come anew: they may be turned away once more.
    pub(super) fn begin_record(&mut self, id: ParticipantId) {
        self.admissions_kept.retain(|(whose, kind)| *whose != id || *kind != MarkKind::Denied);
    }

    /// The minutes that run: for a process that stops.
    pub fn close_record(&mut self, now: Instant) -> Vec<Kept> {
        self.traces.iter_mut().flat_map(|trace| trace.minutes(true, now)).collect()
    }

    fn keep(&mut self, kept: Vec<Kept>) {
        self.effects.extend(kept.into_iter().map(Effect::Keep));
    }
}
