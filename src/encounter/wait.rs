//! How long somebody still waits for a practitioner: a range, from what is measured. Pure.
//!
//! Visits in front follow one another. Nobody is seen before their planned time, nor before the
//! practitioner has said to be free; the early end of the range takes short visits, the late end
//! long ones.

use chrono::TimeDelta;

use crate::base::column::Instant;

/// With fewer measured visits than this the planned length is the better guess.
pub const MEASURED_MIN: usize = 5;
/// How much longer a visit may last that is already longer than most, in minutes.
const OVERRUN_MINUTES: i64 = 5;
/// Ranges are told in steps of so many minutes: what is finer is not known.
pub const STEP_MINUTES: i64 = 5;

/// How long visits of a kind last: the middle half of them lies between these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// A quarter is shorter.
    pub short: TimeDelta,
    /// A quarter is longer.
    pub long: TimeDelta,
}

impl Lengths {
    /// Of visits of which too few were measured: as long as planned.
    pub fn planned(length: TimeDelta) -> Self {
        let length = length.max(TimeDelta::zero());
        Self { short: length, long: length }
    }

    /// The quartiles of what was measured (nearest rank); `None` when that is too little.
    pub fn measured(mut lengths: Vec<TimeDelta>) -> Option<Self> {
        lengths.retain(|length| *length >= TimeDelta::zero());
        if lengths.len() < MEASURED_MIN {
            return None;
        }
        lengths.sort_unstable();
        let rank = |quarters: usize| (lengths.len() * quarters).div_ceil(4).checked_sub(1);
        let at = |quarters| rank(quarters).and_then(|rank| lengths.get(rank)).copied();
        Some(Self { short: at(1)?, long: at(3)? })
    }
}

/// Where a visit in front stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The practitioner has been with this patient since then, perhaps with a break.
    Running(Instant),
    /// The patient is here and waits.
    Here,
    /// The patient is not here yet.
    Expected,
}

/// A visit in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// When it is planned to begin.
    pub start: Instant,
    /// Where it stands.
    pub standing: Standing,
    /// How long such visits last.
    pub lengths: Lengths,
}

/// When a visit will begin: probably between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Hardly before.
    pub earliest: Instant,
    /// Probably before.
    pub latest: Instant,
}

/// When a visit that is planned for `start` will begin at `now`, with these in front of it, those
/// that run first, the others in their order. `free_at` is when the practitioner has said to be
/// free for whoever comes next.
pub fn range(ahead: &[Ahead], start: Instant, free_at: Option<Instant>, now: Instant) -> Range {
    let (mut early, mut late) = (now, now);
    for visit in ahead {
        let Standing::Running(since) = visit.standing else { continue };
        let passed = now.since(since).max(TimeDelta::zero());
        let short = (visit.lengths.short - passed).max(TimeDelta::zero());
        let long = (visit.lengths.long - passed).max(TimeDelta::minutes(OVERRUN_MINUTES));
        (early, late) = (early.plus(short.min(long)), late.plus(long));
    }
    if let Some(free_at) = free_at {
        (early, late) = (early.max(free_at), late.max(free_at));
    }
    for visit in ahead {
        match visit.standing {
            Standing::Running(_) => continue,
            // Whoever should be here and is not may never come; until they do, nobody waits for
            // them, and if they do, everybody.
            Standing::Expected if visit.start <= now => {}
            Standing::Expected | Standing::Here => {
                early = early.max(visit.start).plus(visit.lengths.short);
            }
        }
        late = late.max(visit.start).plus(visit.lengths.long);
    }
    Range { earliest: early.max(start), latest: late.max(start) }
}

impl Range {
    /// In steps that are told to people, wider rather than narrower; never before `start`.
    pub fn told(self, start: Instant) -> Self {
        let step = TimeDelta::minutes(STEP_MINUTES).num_microseconds().unwrap_or(1);
        let down = |at: Instant| at.micros().div_euclid(step) * step;
        let at = |micros| Instant::from_micros(micros).unwrap_or(self.latest);
        let earliest = at(down(self.earliest)).max(start.min(self.earliest));
        let floor = down(self.latest);
        let latest = if floor == self.latest.micros() { floor } else { floor + step };
        Self { earliest, latest: at(latest).max(earliest) }
    }

    /// The same as minutes from `now`, in steps, wider rather than narrower.
    pub fn minutes_from(self, now: Instant) -> (i64, i64) {
        let minutes = |at: Instant| at.since(now).max(TimeDelta::zero());
        let low = minutes(self.earliest).num_minutes() / STEP_MINUTES * STEP_MINUTES;
        let seconds = minutes(self.latest).num_seconds();
        let high = (seconds + STEP_MINUTES * 60 - 1) / (STEP_MINUTES * 60) * STEP_MINUTES;
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Instant {
        let nine: Instant = "2026-11-23T02:00:00Z".parse().unwrap();
        nine.plus(TimeDelta::minutes(minute))
    }

    fn minutes(count: i64) -> TimeDelta {
        TimeDelta::minutes(count)
    }

    fn visit(start: i64, standing: Standing, short: i64, long: i64) -> Ahead {
        let lengths = Lengths { short: minutes(short), long: minutes(long) };
        Ahead { start: at(start), standing, lengths }
    }

    #[test]
    fn the_time_that_has_passed_counts_and_the_plan_holds() {
        let ahead = [visit(0, Standing::Running(at(2)), 12, 25), visit(20, Standing::Here, 12, 25)];
        // Ten minutes in: 2 to 15 more, then 12 to 25 from 9:20 at the earliest.
        let Range { earliest, latest } = range(&ahead, at(40), None, at(12));
        assert_eq!((earliest, latest), (at(40), at(52)));
        // It lasts: nobody knows how long, but five minutes more are likely.
        let Range { earliest, latest } = range(&ahead, at(40), None, at(40));
        assert_eq!((earliest, latest), (at(52), at(70)));
    }

    #[test]
    fn what_the_practitioner_says_holds_for_whoever_comes_next_and_a_gap_swallows_it() {
        let ahead = [visit(0, Standing::Here, 20, 20), visit(20, Standing::Here, 20, 20)];
        let late = Some(at(30));
        assert_eq!(range(&ahead[..0], at(0), late, at(0)).latest, at(30));
        assert_eq!(range(&ahead, at(40), late, at(0)).earliest, at(70));
        assert_eq!(
            range(&ahead, at(120), late, at(0)).latest,
            at(120),
            "after the gap all is well"
        );
    }

    #[test]
    fn whoever_has_not_come_is_not_counted_on() {
        let ahead = [visit(0, Standing::Expected, 15, 25)];
        let Range { earliest, latest } = range(&ahead, at(20), None, at(21));
        assert_eq!((earliest, latest), (at(21), at(46)));
    }

    #[test]
    fn quartiles_need_enough_visits() {
        let five = [10, 50, 20, 40, 30].map(minutes).to_vec();
        assert_eq!(Lengths::measured(five[..4].to_vec()), None);
        let found = Lengths::measured(five).unwrap();
        assert_eq!((found.short, found.long), (minutes(20), minutes(40)));
    }

    #[test]
    fn what_is_told_is_in_steps_and_never_before_the_plan() {
        let told = Range { earliest: at(41), latest: at(52) }.told(at(41));
        assert_eq!((told.earliest, told.latest), (at(41), at(55)));
        let told = Range { earliest: at(43), latest: at(55) }.told(at(20));
        assert_eq!((told.earliest, told.latest), (at(40), at(55)));
        assert_eq!(told.minutes_from(at(28)), (10, 30));
        assert_eq!(told.minutes_from(at(60)), (0, 0));
    }

    fn some_visit() -> impl Strategy<Value = Ahead> {
        let standing = prop_oneof![
            (-60..120_i64).prop_map(|since| Standing::Running(at(since))),
            Just(Standing::Here),
            Just(Standing::Expected),
        ];
        (-60..240_i64, standing, 0..60_i64, 0..60_i64)
            .prop_map(|(start, standing, short, more)| visit(start, standing, short, short + more))
    }

    fn queue() -> impl Strategy<Value = Vec<Ahead>> {
        prop::collection::vec(some_visit(), 0..8)
    }

    proptest! {
        #[test]
        fn a_range_is_a_range_and_keeps_to_the_plan(
            ahead in queue(), start in -60..240_i64, free in prop::option::of(-60..240_i64), now in 0..120_i64,
        ) {
            let found = range(&ahead, at(start), free.map(at), at(now));
            prop_assert!(found.earliest <= found.latest);
            prop_assert!(found.earliest >= at(start) && found.earliest >= at(now));
            if let Some(free) = free {
                prop_assert!(found.earliest >= at(free));
            }
            let told = found.told(at(start));
            prop_assert!(told.earliest <= found.earliest && told.latest >= found.latest);
            prop_assert!(told.earliest >= at(start));
            let (low, high) = told.minutes_from(at(now));
            prop_assert!(0 <= low && low <= high && low % STEP_MINUTES == 0 && high % STEP_MINUTES == 0);
        }

        #[test]
        fn more_people_in_front_never_shorten_it_and_fewer_never_lengthen_it(
            ahead in queue(), more in some_visit(), place in 0..8_usize,
            start in -60..240_i64, free in prop::option::of(-60..240_i64), now in 0..120_i64,
        ) {
            let without = range(&ahead, at(start), free.map(at), at(now));
            let mut longer = ahead;
            longer.insert(place.min(longer.len()), more);
            let with = range(&longer, at(start), free.map(at), at(now));
            prop_assert!(with.earliest >= without.earliest && with.latest >= without.latest);
        }

        #[test]
        fn a_later_word_of_the_practitioner_never_makes_it_earlier(
            ahead in queue(), start in -60..240_i64, free in -60..240_i64, later in 0..60_i64, now in 0..120_i64,
        ) {
            let unsaid = range(&ahead, at(start), None, at(now));
            let said = range(&ahead, at(start), Some(at(free)), at(now));
            let more = range(&ahead, at(start), Some(at(free + later)), at(now));
            prop_assert!(unsaid.earliest <= said.earliest && said.earliest <= more.earliest);
            prop_assert!(unsaid.latest <= said.latest && said.latest <= more.latest);
            prop_assert!(more.latest <= said.latest.plus(minutes(later)), "by no more than was said");
        }

        #[test]
        fn longer_visits_never_shorten_it(
            ahead in queue(), longer in prop::collection::vec((0..30_i64, 0..30_i64), 8),
            start in -60..240_i64, now in 0..120_i64,
        ) {
            let usual = range(&ahead, at(start), None, at(now));
            let grown: Vec<Ahead> = ahead.iter().zip(&longer).map(|(visit, (short, long))| {
                let Lengths { short: was, long: most } = visit.lengths;
                let lengths =
                    Lengths { short: was + minutes(*short), long: most + minutes(short + long) };
                Ahead { lengths, ..*visit }
            }).collect();
            let grown = range(&grown, at(start), None, at(now));
            prop_assert!(grown.earliest >= usual.earliest && grown.latest >= usual.latest);
        }
    }
}
