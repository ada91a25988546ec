//! One connection while it lives: what the record will say of it.

use chrono::{TimeDelta, Timelike};

use super::minute::REPORTS_MAX;
use super::{Kept, Mark, MarkKind, MarkWhy, Minute, Way};
use crate::base::column::Instant;
use crate::call::edge::Edge;
use crate::call::message::Quality;
use crate::encounter::ParticipantId;

/// How often the record says by which way a connection goes: a page that names another with each
/// report does not fill it.
const WAYS_MAX: u32 = 30;

/// A connection and the minutes that run at its two ends. Side 0 makes the offers.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The edge's name.
    pub edge: String,
    ends: [ParticipantId; 2],
    generation: u64,
    step: u32,
    is_up: bool,
    ways: [Option<Way>; 2],
    ways_kept: u32,
    running: [Option<Running>; 2],
}

/// A minute that is not over.
#[derive(Debug, Clone)]
struct Running {
    at: Instant,
    reports: Vec<[i32; 4]>,
    sent: i64,
    received: i64,
}

impl Trace {
    /// Begins with the edge.
    pub fn of(edge: &Edge, now: Instant) -> (Self, Mark) {
        let trace = Self {
            edge: edge.id.clone(),
            ends: [edge.offerer, edge.answerer],
            generation: edge.generation(),
            step: edge.ladder.step(),
            is_up: false,
            ways: [None; 2],
            ways_kept: 0,
            running: [None, None],
        };
        let mark = Mark {
            participant: Some(edge.offerer),
            peer: Some(edge.answerer),
            ..trace.mark(MarkKind::Begun, now)
        };
        (trace, mark)
    }

    /// Whether somebody is at one of its ends.
    pub fn joins(&self, id: ParticipantId) -> bool {
        self.ends.contains(&id)
    }

    fn mark(&self, kind: MarkKind, now: Instant) -> Mark {
        Mark { edge: Some(self.edge.clone()), ..Mark::new(kind, now) }
    }

    /// What has changed since the edge was last looked at; `restart` says how, when it has begun
    /// anew.
    pub fn follow(&mut self, edge: &Edge, restart: MarkKind, now: Instant) -> Vec<Kept> {
        let mut kept = Vec::new();
        if edge.generation() != self.generation {
            self.generation = edge.generation();
            self.is_up = false;
            self.ways = [None; 2];
            kept.push(Kept::Mark(self.mark(restart, now)));
        }
        if edge.ladder.step() != self.step {
            self.step = edge.ladder.step();
            let rung = Some(edge.ladder.rung());
            let why = Some(edge.ladder.why().into());
            kept.push(Kept::Mark(Mark { rung, why, ..self.mark(MarkKind::Rung, now) }));
        }
        kept
    }

    /// A report of one side.
    pub fn report(&mut self, edge: &Edge, side: usize, said: &Quality, now: Instant) -> Vec<Kept> {
        let mut kept = Vec::new();
        if !self.is_up {
            self.is_up = true;
            let rung = Some(edge.ladder.rung());
            kept.push(Kept::Mark(Mark { rung, ..self.mark(MarkKind::Up, now) }));
        }
        let Some(end) = self.ends.get(side).copied() else { return kept };
        if !said.transport.is_empty() {
            let way = said.transport.parse().unwrap_or(Way::Other);
            if let Some(known) = self.ways.get_mut(side)
                && known.replace(way) != Some(way)
                && self.ways_kept < WAYS_MAX
            {
                self.ways_kept = self.ways_kept.saturating_add(1);
                let mark = Mark { participant: Some(end), ..self.mark(MarkKind::Path, now) };
                kept.push(Kept::Mark(Mark { way: Some(way), ..mark }));
            }
        }
        let minute = minute_of(now);
        let Some(running) = self.running.get_mut(side) else { return kept };
        if running.as_ref().is_some_and(|running| running.at != minute)
            && let Some(over) = running.take()
        {
            kept.push(Kept::Minute(over.close(&self.edge, end)));
        }
        let empty = || Running { at: minute, reports: Vec::new(), sent: 0, received: 0 };
        let running = running.get_or_insert_with(empty);
        if running.count() < REPORTS_MAX {
            running.take_in(said);
        }
        kept
    }

    /// The minutes that are over; with `all` also those that run.
    pub fn minutes(&mut self, all: bool, now: Instant) -> Vec<Kept> {
        let minute = minute_of(now);
        let mut kept = Vec::new();
        for (running, end) in self.running.iter_mut().zip(self.ends) {
            if running.as_ref().is_some_and(|running| all || running.at < minute)
                && let Some(over) = running.take()
            {
                kept.push(Kept::Minute(over.close(&self.edge, end)));
            }
        }
        kept
    }

    /// The end of the edge.
    pub fn end(mut self, why: MarkWhy, now: Instant) -> Vec<Kept> {
        let mut kept = self.minutes(true, now);
        kept.push(Kept::Mark(Mark { why: Some(why), ..self.mark(MarkKind::Ended, now) }));
        kept
    }
}

impl Running {
    fn count(&self) -> i32 {
        i32::try_from(self.reports.len()).unwrap_or(i32::MAX)
    }

    fn take_in(&mut self, said: &Quality) {
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.sent = self.sent.saturating_add(bytes(said.sent));
        self.received = self.received.saturating_add(bytes(said.received));
        self.reports.push([
            whole(said.rtt),
            whole(said.loss_in * 10_000.0),
            whole(said.bitrate),
            whole(said.mos * 100.0),
        ]);
    }

    fn close(self, edge: &str, participant: ParticipantId) -> Minute {
        let column = |at: usize| -> Vec<i32> {
            let mut values: Vec<i32> =
                self.reports.iter().filter_map(|report| report.get(at).copied()).collect();
            values.sort_unstable();
            values
        };
        let (rtt, loss, bitrate, mos) = (column(0), column(1), column(2), column(3));
        Minute {
            at: self.at,
            edge: edge.to_owned(),
            participant,
            reports: self.count(),
            rtt: (rank(&rtt, 50), rank(&rtt, 95)),
            loss: (rank(&loss, 50), rank(&loss, 95)),
            bitrate: (rank(&bitrate, 50), rank(&bitrate, 5)),
            mos: (rank(&mos, 50), rank(&mos, 5)),
            sent: self.sent,
            received: self.received,
        }
    }
}

fn minute_of(now: Instant) -> Instant {
    let utc = now.utc();
    let into = TimeDelta::seconds(i64::from(utc.second()))
        + TimeDelta::nanoseconds(i64::from(utc.nanosecond()));
    now.minus(into)
}

/// The nearest-rank percentile of values in order; 0 of none.
fn rank(values: &[i32], percent: usize) -> i32 {
    let at = values.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or_default()
}

#[expect(clippy::as_conversions, reason = "the wire lets only finite, bounded numbers pass")]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::plan::{Media, Plan};

    const BOTH: Media = Media { audio: true, video: true };
    const PLAN: Plan = Plan { there: BOTH, back: BOTH };

    use crate::call::edge::Phase;

    fn id(number: u128) -> ParticipantId {
        ParticipantId(uuid::Uuid::from_u128(number))
    }

    fn at(seconds: i64) -> Instant {
        let base: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
        base.plus(TimeDelta::seconds(seconds))
    }

    fn quality(rtt: f64) -> Quality {
        let transport = "relay/udp".to_owned();
        Quality { rtt, mos: 4.0, sent: 10, received: 20, transport, ..Quality::default() }
    }

    fn minutes(kept: &[Kept]) -> Vec<&Minute> {
        let mut found = Vec::new();
        for one in kept {
            if let Kept::Minute(minute) = one {
                found.push(minute);
            }
        }
        found
    }

    #[test]
    fn a_minute_is_one_row_whose_figures_are_those_of_its_reports() {
        let edge = Edge::new(id(1), id(2), PLAN, 7, Phase::Up);
        let (mut trace, begun) = Trace::of(&edge, at(0));
        assert_eq!((begun.participant, begun.peer), (Some(id(1)), Some(id(2))));
        let first = trace.report(&edge, 1, &quality(100.0), at(5));
        assert_eq!(first.len(), 2, "it is up, and by which way: {first:?}");
        for second in 2..12 {
            let rtt = if second == 11 { 900.0 } else { 100.0 };
            assert!(trace.report(&edge, 1, &quality(rtt), at(second * 5)).is_empty());
        }
        let next = trace.report(&edge, 1, &quality(50.0), at(61));
        let [minute] = minutes(&next)[..] else { panic!("{next:?}") };
        assert_eq!((minute.at, minute.participant, minute.reports), (at(0), id(2), 11));
        assert_eq!((minute.rtt, minute.mos), ((100, 900), (400, 400)));
        assert_eq!((minute.sent, minute.received), (110, 220));
        assert!(trace.minutes(false, at(70)).is_empty(), "the minute runs");
        assert_eq!(minutes(&trace.minutes(false, at(120))).len(), 1, "whoever fell silent");
        assert_eq!(trace.end(MarkWhy::Left, at(121)).len(), 1);
    }

    #[test]
    fn a_flood_of_reports_costs_no_memory() {
        let edge = Edge::new(id(1), id(2), PLAN, 7, Phase::Up);
        let (mut trace, _) = Trace::of(&edge, at(0));
        for _ in 0..10_000 {
            trace.report(&edge, 0, &quality(1.0), at(1));
        }
        let kept = trace.minutes(true, at(2));
        assert_eq!(minutes(&kept)[0].reports, 60);
    }

    #[test]
    fn a_page_that_names_another_way_each_time_does_not_fill_the_record() {
        let edge = Edge::new(id(1), id(2), PLAN, 7, Phase::Up);
        let (mut trace, _) = Trace::of(&edge, at(0));
        let mut ways = 0;
        for turn in 0..1000 {
            let transport = if turn % 2 == 0 { "host/udp" } else { "relay/udp" }.to_owned();
            let said = Quality { transport, ..quality(1.0) };
            let kept = trace.report(&edge, 0, &said, at(1));
            ways += kept
                .iter()
                .filter(|one| matches!(one, Kept::Mark(mark) if mark.kind == MarkKind::Path))
                .count();
        }
        assert_eq!(ways, 30);
    }

    #[test]
    fn the_bad_end_is_the_worst_of_few_and_a_rank_of_many() {
        assert_eq!(rank(&[], 50), 0);
        assert_eq!((rank(&[7], 5), rank(&[7], 95)), (7, 7));
        let hundred: Vec<i32> = (1..=100).collect();
        assert_eq!((rank(&hundred, 50), rank(&hundred, 95), rank(&hundred, 5)), (50, 95, 5));
    }
}
