//! Free time, computed: weekly rules in wall time, minus absences and visits. Pure.
//!
//! What happens when the clocks change is settled in `docs/decisions/0004-gap-and-fold.md`:
//! an hour that the clocks skip has no work, an hour they show twice has it the first time.

use chrono::{DateTime, Days, NaiveDate, Offset, TimeDelta, TimeZone};

use crate::base::column::Instant;
use crate::base::zone::Zone;
use crate::schedule::rules::Rule;

const DAY_SECS: i64 = 24 * 60 * 60;
/// The windows of a date lie within this distance of its midnight in UTC: clocks differ from UTC
/// by less than a day, and a day ends a day after it begins.
const DATE_REACH_DAYS: u64 = 2;
/// A clock is known this far around the range it is made for, so that every date whose windows
/// touch the range is whole.
const CLOCK_MARGIN_SECS: i64 = 5 * DAY_SECS;
/// No zone changes its clocks twice within this time and ends where it began.
const PROBE_SECS: i64 = 6 * 60 * 60;

/// A stretch of time; its end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
}

impl Span {
    /// Whether some instant belongs to both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The clock on the wall of a zone over some weeks: between two changes it runs evenly.
#[derive(Debug)]
pub struct WallClock {
    stretches: Vec<Stretch>,
}

/// Seconds that the clock shows for the first time, and how far it then is ahead of UTC.
#[derive(Debug)]
struct Stretch {
    wall_start: i64,
    wall_end: i64,
    offset: i64,
}

impl WallClock {
    /// The clock of `zone`, known for `range` and some days around it.
    pub fn of(zone: Zone, range: Span) -> Self {
        let mut at = range.start.utc().timestamp().saturating_sub(CLOCK_MARGIN_SECS);
        let end = range.end.utc().timestamp().saturating_add(CLOCK_MARGIN_SECS);
        let mut stretches = Vec::new();
        let mut shown_until = i64::MIN;
        while at < end {
            let offset = offset_secs(zone, at);
            let until = next_change(zone, at, end);
            // Set back, the clock repeats itself: what it has shown before is not shown anew.
            let (wall_start, wall_end) = (shown_until.max(at + offset), until + offset);
            if wall_start < wall_end {
                stretches.push(Stretch { wall_start, wall_end, offset });
                shown_until = wall_end;
            }
            at = until;
        }
        Self { stretches }
    }

    /// The instants at which the clock first shows the times from `from` to `to`, both in
    /// seconds of wall time; in one piece, unless an hour is repeated in between.
    fn pieces(&self, from: i64, to: i64) -> Vec<Span> {
        let mut pieces: Vec<Span> = Vec::new();
        for stretch in &self.stretches {
            let (start, end) = (from.max(stretch.wall_start), to.min(stretch.wall_end));
            if start >= end {
                continue;
            }
            let (Some(start), Some(end)) =
                (instant(start - stretch.offset), instant(end - stretch.offset))
            else {
                continue;
            };
            match pieces.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => pieces.push(Span { start, end }),
            }
        }
        pieces
    }
}

fn instant(secs: i64) -> Option<Instant> {
    DateTime::from_timestamp(secs, 0).map(Instant::from_utc)
}

fn offset_secs(zone: Zone, at: i64) -> i64 {
    let Some(at) = DateTime::from_timestamp(at, 0) else { return 0 };
    i64::from(zone.0.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// The first second after `at`, and at the latest `end`, that has another offset than `at`.
fn next_change(zone: Zone, at: i64, end: i64) -> i64 {
    let here = offset_secs(zone, at);
    let mut same = at;
    while same < end {
        let mut other = end.min(same + PROBE_SECS);
        if offset_secs(zone, other) == here {
            same = other;
            continue;
        }
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if offset_secs(zone, middle) == here {
                same = middle;
            } else {
                other = middle;
            }
        }
        return other;
    }
    end
}

/// The working time that touches `range`, whole, by start. Windows of two rules that touch stay
/// two: visits are counted from the start of each.
pub fn windows(rules: &[Rule], clock: &WallClock, range: Span) -> Vec<Span> {
    let reach = Days::new(DATE_REACH_DAYS);
    let first = range.start.utc().date_naive().checked_sub_days(reach);
    let last = range.end.utc().date_naive().checked_add_days(reach);
    let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
    let mut windows = Vec::new();
    for date in first.iter_days().take_while(|date| *date <= last) {
        for rule in rules.iter().filter(|rule| rule.applies(date)) {
            let midnight = midnight_secs(date);
            let from = midnight + 60 * i64::from(rule.from.minutes());
            let to = midnight + 60 * i64::from(rule.to.minutes());
            windows.extend(clock.pieces(from, to).into_iter().filter(|span| span.overlaps(range)));
        }
    }
    windows.sort_unstable();
    windows
}

fn midnight_secs(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

/// Whether `visit` lies within working time; windows that touch count as one.
pub fn covers(windows: &[Span], visit: Span) -> bool {
    merged(windows).iter().any(|span| span.start <= visit.start && visit.end <= span.end)
}

/// The starts within `range` at which a visit of `duration` fits: counted from the start of each
/// window, wholly inside it, and clear of everything that is taken.
pub fn starts(windows: &[Span], taken: &[Span], duration: TimeDelta, range: Span) -> Vec<Instant> {
    let mut starts = Vec::new();
    if duration <= TimeDelta::zero() {
        return starts;
    }
    let taken = merged(taken);
    for window in windows {
        let mut visit = Span { start: window.start, end: window.start.plus(duration) };
        while visit.end <= window.end && visit.start < range.end {
            // The taken spans are disjoint: only the first that ends later can be in the way.
            let next = taken.partition_point(|span| span.end <= visit.start);
            let is_free = taken.get(next).is_none_or(|span| !span.overlaps(visit));
            if is_free && visit.start >= range.start {
                starts.push(visit.start);
            }
            visit = Span { start: visit.end, end: visit.end.plus(duration) };
        }
    }
    starts
}

/// The same time as disjoint spans, by start.
pub(crate) fn merged(spans: &[Span]) -> Vec<Span> {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
#[path = "free_tests.rs"]
mod tests;
