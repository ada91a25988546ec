//! Free time, computed: weekly rules in wall time and extra hours, minus what the clinic keeps
//! closed, absences and visits. Pure.
//!
//! What happens when the clocks change is settled in `docs/decisions/0004-gap-and-fold.md`:
//! an hour that the clocks skip has no work, an hour they show twice has it the first time.
//! What wins over what, and which starts are offered: `docs/decisions/0011-offered-times.md`.

use std::collections::HashMap;

use chrono::{Days, NaiveDate, TimeDelta};

use crate::base::column::Instant;
use crate::base::zone::{self, Zone};
use crate::location::LocationId;
use crate::organization::ServiceId;
use crate::schedule::rules::Rule;
use crate::schedule::time_of_day::TimeOfDay;
use crate::schedule::wall_clock::{Span, WallClock};

/// The windows of a date lie within this distance of its midnight in UTC: clocks differ from UTC
/// by less than a day, and a day ends a day after it begins.
const DATE_REACH_DAYS: u64 = 2;

/// Wall time of some days in which a clinic is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
    /// From when on, on each of them.
    pub from: TimeOfDay,
    /// Until when.
    pub to: TimeOfDay,
}

/// Working time in one piece, and what it is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// When.
    pub span: Span,
    /// Where the practitioner sits.
    pub location: Option<LocationId>,
    /// The only service it is kept for.
    pub service: Option<ServiceId>,
}

/// When somebody works, as they and their clinic have said.
#[derive(Debug, Clone)]
pub struct Hours {
    /// Whose wall time the rules and closed days are.
    pub zone: Zone,
    /// The weekly hours.
    pub rules: Vec<Rule>,
    /// What of them the clinic keeps closed.
    pub closed: Vec<Closed>,
    /// Work besides them, whatever is closed.
    pub extra: Vec<Window>,
    /// When they are away, whatever else was said.
    pub absent: Vec<Span>,
}

impl Hours {
    /// Where their hours are kept, each as often as it is said; `None`: no place was said.
    pub fn places(&self) -> impl Iterator<Item = Option<LocationId>> + '_ {
        let extra = self.extra.iter().map(|window| window.location);
        self.rules.iter().map(|rule| rule.location).chain(extra)
    }
}

/// What a start must keep to.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What is booked.
    pub service: ServiceId,
    /// How long a visit takes.
    pub duration: TimeDelta,
    /// Kept clear of other visits before it.
    pub before: TimeDelta,
    /// Kept clear of other visits after it.
    pub after: TimeDelta,
    /// Starts are multiples of so many minutes of the wall clock; 0: counted from the beginning
    /// of each window, in steps of the duration.
    pub align_minutes: i32,
    /// The most visits of the service per local day; 0: as many as fit.
    pub daily_cap: i32,
    /// When it may begin at all: after the notice, within the horizon.
    pub bookable: Span,
}

impl Terms {
    fn visit(&self, start: Instant) -> Span {
        Span { start, end: start.plus(self.duration) }
    }
}

/// What visits take of somebody's time.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Visits with what they keep clear around them: disjoint, by start, see [`merged`].
    pub busy: Vec<Span>,
    /// How many visits of the service each local day has; asked for with a daily cap only.
    pub days: HashMap<NaiveDate, i32>,
}

/// A start that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// When.
    pub start: Instant,
    /// Where the practitioner sits then.
    pub location: Option<LocationId>,
}

/// Who asks for a start, and so what binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A patient: takes what is offered.
    Patient,
    /// Staff: any start whose visit lies in working time.
    Staff,
    /// Staff with somebody who cannot wait: as staff, without notice, horizon or cap.
    Triage,
}

/// Why a start cannot be booked, from the farthest to the nearest miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Nobody works then.
    OutsideHours,
    /// Beyond the horizon.
    TooFar,
    /// Within the notice.
    TooSoon,
    /// Not one of the offered starts.
    OffGrid,
    /// The day has all its visits of the service.
    DayFull,
}

/// The working time that touches `range`, whole, by start; closures and absences not regarded.
/// Windows of two rules that touch stay two: visits are counted from the start of each.
pub fn weekly(rules: &[Rule], clock: &WallClock, range: Span) -> Vec<Window> {
    let mut windows = Vec::new();
    for date in dates_near(range) {
        for rule in rules.iter().filter(|rule| rule.applies(date)) {
            let spans = wall_time(clock, date, rule.from, rule.to);
            let near = spans.into_iter().filter(|span| span.overlaps(range));
            windows.extend(near.map(|span| Window {
                span,
                location: rule.location,
                service: rule.service,
            }));
        }
    }
    windows.sort_unstable();
    windows
}

fn dates_near(range: Span) -> impl Iterator<Item = NaiveDate> {
    let reach = Days::new(DATE_REACH_DAYS);
    let first = range.start.utc().date_naive().checked_sub_days(reach);
    let last = range.end.utc().date_naive().checked_add_days(reach);
    let dates =
        first.zip(last).map(|(first, last)| first.iter_days().take_while(move |d| *d <= last));
    dates.into_iter().flatten()
}

fn wall_time(clock: &WallClock, date: NaiveDate, from: TimeOfDay, to: TimeOfDay) -> Vec<Span> {
    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    let secs = |time: TimeOfDay| midnight + 60 * i64::from(time.minutes());
    clock.pieces(secs(from), secs(to))
}

/// The time near `range` that a clinic keeps closed in the zone of the clock.
pub fn closed_time(closed: &[Closed], clock: &WallClock, range: Span) -> Vec<Span> {
    let mut spans = Vec::new();
    if closed.is_empty() {
        return spans;
    }
    for date in dates_near(range) {
        for rule in closed.iter().filter(|rule| rule.first <= date && date <= rule.last) {
            spans.extend(wall_time(clock, date, rule.from, rule.to));
        }
    }
    spans
}

/// The windows of a service that touch a range, each with what of it is no working time.
struct Plan {
    extra: Vec<Window>,
    weekly: Vec<Window>,
    /// When the practitioner is away.
    absent: Vec<Span>,
    /// That, and when the clinic is closed.
    shut: Vec<Span>,
}

impl Plan {
    fn of(hours: &Hours, clock: &WallClock, service: ServiceId, range: Span) -> Self {
        let is_kept = |window: &Window| window.service.is_none_or(|kept| kept == service);
        let mut weekly = weekly(&hours.rules, clock, range);
        weekly.retain(is_kept);
        let near = |window: &&Window| window.span.overlaps(range) && is_kept(window);
        let mut shut = closed_time(&hours.closed, clock, range);
        shut.extend(&hours.absent);
        Self {
            extra: hours.extra.iter().filter(near).copied().collect(),
            weekly,
            absent: merged(&hours.absent),
            shut: merged(&shut),
        }
    }

    /// Each window with what is no working time; extra hours first.
    fn windows(&self) -> impl Iterator<Item = (&Window, &[Span])> {
        let extra = self.extra.iter().map(|window| (window, self.absent.as_slice()));
        extra.chain(self.weekly.iter().map(|window| (window, self.shut.as_slice())))
    }

    /// Whether all of a span is working time.
    fn covers(&self, span: Span) -> bool {
        covers(&self.working(), span)
    }

    /// All of the working time as disjoint spans.
    fn working(&self) -> Vec<Span> {
        let left: Vec<Span> =
            self.windows().flat_map(|(window, off)| without(window.span, off)).collect();
        merged(&left)
    }
}

/// The starts on which visits of a window may begin, were nothing else in the way.
fn grid(window: Span, clock: &WallClock, terms: &Terms) -> Vec<Instant> {
    if terms.duration <= TimeDelta::zero() {
        return Vec::new();
    }
    let mut starts = Vec::new();
    if terms.align_minutes > 0 {
        starts = clock.marks(window, 60 * i64::from(terms.align_minutes));
    } else {
        let mut start = window.start;
        while start < window.end {
            starts.push(start);
            start = start.plus(terms.duration);
        }
    }
    starts.retain(|start| terms.visit(*start).end <= window.end);
    starts
}

/// The starts within `range` on the grid of a window, the visit wholly inside it and in nothing
/// that is closed, by start. What visits take, and whether it may be booked now, is not regarded.
pub fn starts(hours: &Hours, clock: &WallClock, terms: &Terms, range: Span) -> Vec<Offer> {
    let plan = Plan::of(hours, clock, terms.service, range);
    let mut starts = Vec::new();
    for (window, off) in plan.windows() {
        for start in grid(window.span, clock, terms) {
            if range.start <= start && start < range.end && is_clear(off, terms.visit(start)) {
                starts.push(Offer { start, location: window.location });
            }
        }
    }
    // Extra hours stand before weekly ones of the same start.
    starts.sort_by_key(|offer| offer.start);
    starts.dedup_by_key(|offer| offer.start);
    starts
}

/// Those of some starts, by start, on which a visit may be booked now within `range`.
pub fn bookable<'a>(
    starts: &'a [Offer],
    terms: &'a Terms,
    range: Span,
) -> impl Iterator<Item = Offer> + 'a {
    let first = range.start.max(terms.bookable.start);
    let end = range.end.min(terms.bookable.end);
    let from = starts.partition_point(|offer| offer.start < first);
    starts.iter().skip(from).take_while(move |offer| offer.start < end).copied()
}

/// Whether other visits leave room for one at `start`, and for what is kept clear around it.
pub fn is_free(hours: &Hours, terms: &Terms, taken: &Taken, start: Instant) -> bool {
    let Span { start, end } = terms.visit(start);
    let kept = Span { start: start.minus(terms.before), end: end.plus(terms.after) };
    is_clear(&taken.busy, kept) && !is_full(hours, terms, taken, start)
}

/// Whether a visit may begin at `start`; other visits count for the daily cap only: whether the
/// time is taken, the database says.
pub fn check_start(
    hours: &Hours,
    clock: &WallClock,
    terms: &Terms,
    taken: &Taken,
    (start, asker): (Instant, Asker),
) -> Result<(), Refusal> {
    let visit = terms.visit(start);
    let plan = Plan::of(hours, clock, terms.service, visit);
    let is_offered = || {
        plan.windows().any(|(window, off)| {
            is_clear(off, visit) && grid(window.span, clock, terms).contains(&start)
        })
    };
    if asker != Asker::Triage {
        check_reach(terms, start)?;
    }
    if !plan.covers(visit) {
        return Err(Refusal::OutsideHours);
    }
    if asker == Asker::Patient && !is_offered() {
        return Err(Refusal::OffGrid);
    }
    if asker != Asker::Triage && is_full(hours, terms, taken, start) {
        return Err(Refusal::DayFull);
    }
    Ok(())
}

/// All of somebody's working time for a service that touches a range, as disjoint spans by start.
pub fn working(hours: &Hours, clock: &WallClock, service: ServiceId, range: Span) -> Vec<Span> {
    Plan::of(hours, clock, service, range).working()
}

/// As [`working`], of whoever helps with a service, where they are at some place or have said none.
pub fn working_at(
    hours: &Hours,
    clock: &WallClock,
    service: ServiceId,
    range: Span,
    is_there: &dyn Fn(LocationId) -> bool,
) -> Vec<Span> {
    let mut plan = Plan::of(hours, clock, service, range);
    let is_there = |window: &Window| window.location.is_none_or(is_there);
    plan.extra.retain(is_there);
    plan.weekly.retain(is_there);
    plan.working()
}

/// Whether one of disjoint spans holds all of another.
pub fn covers(spans: &[Span], span: Span) -> bool {
    spans.iter().any(|piece| piece.start <= span.start && span.end <= piece.end)
}

/// Whether a start lies after the notice and within the horizon.
fn check_reach(terms: &Terms, start: Instant) -> Result<(), Refusal> {
    if start < terms.bookable.start {
        return Err(Refusal::TooSoon);
    }
    if terms.bookable.end <= start { Err(Refusal::TooFar) } else { Ok(()) }
}

fn is_full(hours: &Hours, terms: &Terms, taken: &Taken, start: Instant) -> bool {
    if terms.daily_cap <= 0 {
        return false;
    }
    let day = zone::wall(start, hours.zone).date_naive();
    taken.days.get(&day).is_some_and(|visits| *visits >= terms.daily_cap)
}

/// Whether nothing of disjoint spans, by start, overlaps a span.
pub fn is_clear(spans: &[Span], span: Span) -> bool {
    // Only the first that ends later can be in the way.
    let next = spans.partition_point(|other| other.end <= span.start);
    spans.get(next).is_none_or(|other| !other.overlaps(span))
}

/// What is left of a span without disjoint others, by start.
fn without(span: Span, others: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut start = span.start;
    for other in others.iter().filter(|other| other.overlaps(span)) {
        if start < other.start {
            left.push(Span { start, end: other.start });
        }
        start = start.max(other.end);
    }
    if start < span.end {
        left.push(Span { start, end: span.end });
    }
    left
}

/// The same time as disjoint spans, by start.
pub fn merged(spans: &[Span]) -> Vec<Span> {
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
