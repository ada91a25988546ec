//! What a clock on the wall of a zone shows for the first time, and when. Pure.
//!
//! See `docs/decisions/0004-gap-and-fold.md`.

use chrono::DateTime;

use crate::base::column::Instant;
use crate::base::zone::{PROBE_SECS, Zone, offset_secs};

/// Seconds of a day.
pub(super) const DAY_SECS: i64 = 24 * 60 * 60;
/// A clock is known this far around the range it is made for, so that every date whose windows
/// touch the range is whole.
const CLOCK_MARGIN_SECS: i64 = 5 * DAY_SECS;

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

/// A time, in seconds since 1970, in which the clock is so far ahead of UTC.
#[derive(Debug)]
struct Stretch {
    start: i64,
    end: i64,
    offset: i64,
    /// Until which wall time the clock has shown all before; set back, it repeats itself.
    shown_until: i64,
}

impl WallClock {
    /// The clock of `zone`, known for `range` and some days around it.
    pub fn of(zone: Zone, range: Span) -> Self {
        let mut start = range.start.utc().timestamp().saturating_sub(CLOCK_MARGIN_SECS);
        let end = range.end.utc().timestamp().saturating_add(CLOCK_MARGIN_SECS);
        let mut stretches = Vec::new();
        let mut shown_until = i64::MIN;
        while start < end {
            let offset = offset_secs(zone, start);
            let until = next_change(zone, start, end);
            stretches.push(Stretch { start, end: until, offset, shown_until });
            shown_until = shown_until.max(until + offset);
            start = until;
        }
        Self { stretches }
    }

    /// The instants at which the clock first shows the times from `from` to `to`, both in
    /// seconds of wall time; in one piece, unless an hour is repeated in between.
    pub(crate) fn pieces(&self, from: i64, to: i64) -> Vec<Span> {
        let mut pieces: Vec<Span> = Vec::new();
        for Stretch { start, end, offset, shown_until } in &self.stretches {
            let (start, end) = (from.max(start + offset).max(*shown_until), to.min(end + offset));
            if start >= end {
                continue;
            }
            let (Some(start), Some(end)) = (instant(start - offset), instant(end - offset)) else {
                continue;
            };
            match pieces.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => pieces.push(Span { start, end }),
            }
        }
        pieces
    }

    /// What the clock shows at an instant of its range: the hour, 0 to 23.
    pub(super) fn hour(&self, at: Instant) -> u32 {
        let at = at.utc().timestamp();
        let stretch = self.stretches.iter().find(|stretch| at < stretch.end);
        let shown = at.saturating_add(stretch.map_or(0, |stretch| stretch.offset));
        let hour = shown.rem_euclid(DAY_SECS).div_euclid(60 * 60);
        u32::try_from(hour).unwrap_or_default()
    }

    /// The instants of a span at which the clock shows a multiple of `step` seconds.
    pub(super) fn marks(&self, span: Span, step: i64) -> Vec<Instant> {
        let (from, to) = (secs_ceil(span.start), secs_ceil(span.end));
        let mut marks = Vec::new();
        for Stretch { start, end, offset, .. } in &self.stretches {
            let (from, to) = (from.max(*start) + offset, to.min(*end) + offset);
            let over = from.checked_rem_euclid(step).unwrap_or_default();
            let mut shown = if over == 0 { from } else { from + step - over };
            while shown < to {
                marks.extend(instant(shown - offset));
                shown += step;
            }
        }
        marks
    }
}

fn secs_ceil(at: Instant) -> i64 {
    let secs = at.utc().timestamp();
    if at.utc().timestamp_subsec_micros() == 0 { secs } else { secs + 1 }
}

pub(super) fn instant(secs: i64) -> Option<Instant> {
    DateTime::from_timestamp(secs, 0).map(Instant::from_utc)
}

/// The first second after `at`, and at the latest `end`, that has another offset than `at`.
pub(super) fn next_change(zone: Zone, at: i64, end: i64) -> i64 {
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
