//! When the clock of an offer runs: while it is day where the patient lives. Pure.

use chrono::{Days, NaiveTime, TimeDelta};

use crate::base::column::Instant;
use crate::base::zone::{self, Zone};
use crate::schedule::wall_clock::{Span, WallClock};

const DAY_MINUTES: i64 = 24 * 60;
/// Days that are looked at besides those that the waiting itself needs: the night that has begun
/// yesterday, and the one after.
const SPARE_DAYS: i64 = 3;

/// The hours of the wall clock in which nobody is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// When it begins; the same as its end: there is none.
    pub from_hour: u32,
    /// When it ends.
    pub to_hour: u32,
}

impl Night {
    fn minutes(self) -> (i64, i64) {
        let (from, to) = (i64::from(self.from_hour) * 60, i64::from(self.to_hour) * 60);
        (from, if to < from { to + DAY_MINUTES } else { to })
    }
}

/// The first instant by which so much time has passed since `now` that was not night; of no time
/// at all, the next moment that is not night.
pub fn after_waking(now: Instant, zone: Zone, night: Night, time: TimeDelta) -> Instant {
    let (from, to) = night.minutes();
    if from == to {
        return now.plus(time);
    }
    let awake_each_day = (DAY_MINUTES - (to - from)).max(1);
    let days = SPARE_DAYS + time.num_minutes() / awake_each_day;
    let clock = WallClock::of(zone, Span { start: now, end: now.plus(TimeDelta::days(days)) });
    let today = zone::wall(now, zone).date_naive();
    let (mut at, mut left) = (now, time);
    let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    for date in yesterday.iter_days().take(usize::try_from(days + 1).unwrap_or(usize::MAX)) {
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let pieces = clock.pieces(midnight + from * 60, midnight + to * 60);
        // An hour that the clocks show twice lies in the night both times.
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { continue };
        if last.end <= at {
            continue;
        }
        if first.start > at {
            let awake = first.start.since(at);
            if left <= awake {
                return at.plus(left);
            }
            left -= awake;
        }
        at = last.end;
    }
    at.plus(left)
}

/// What the clock says where somebody lives: computed once for everybody who lives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// From when on somebody may be told.
    pub tell_at: Instant,
    /// An answer that must be there before this leaves too little time.
    pub least: Instant,
    /// When the time for an answer ends.
    pub full: Instant,
}

impl Hours {
    /// Of an offer that is made now: `least` and `full` are how much waking time it leaves.
    pub fn of(now: Instant, zone: Zone, night: Night, least: TimeDelta, full: TimeDelta) -> Self {
        let after = |time| after_waking(now, zone, night, time);
        Self { tell_at: after(TimeDelta::zero()), least: after(least.min(full)), full: after(full) }
    }

    /// Until when a time is held that must be answered before `latest`; `None` when that leaves
    /// too little.
    pub fn deadline(&self, latest: Instant) -> Option<Instant> {
        (latest >= self.least).then(|| self.full.min(latest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NIGHT: Night = Night { from_hour: 22, to_hour: 8 };

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn minutes(count: i64) -> TimeDelta {
        TimeDelta::minutes(count)
    }

    fn after(now: &str, count: i64) -> Instant {
        after_waking(at(now), zone("Asia/Krasnoyarsk"), NIGHT, minutes(count))
    }

    #[test]
    fn the_clock_stands_still_from_ten_to_eight() {
        assert_eq!(after("2026-11-24T12:00:00+07:00", 30), at("2026-11-24T12:30:00+07:00"));
        assert_eq!(after("2026-11-24T21:50:00+07:00", 10), at("2026-11-24T22:00:00+07:00"));
        assert_eq!(after("2026-11-24T21:50:00+07:00", 30), at("2026-11-25T08:20:00+07:00"));
        assert_eq!(after("2026-11-24T23:00:00+07:00", 30), at("2026-11-25T08:30:00+07:00"));
        assert_eq!(after("2026-11-25T03:00:00+07:00", 0), at("2026-11-25T08:00:00+07:00"));
        assert_eq!(after("2026-11-25T08:00:00+07:00", 0), at("2026-11-25T08:00:00+07:00"));
        // Fourteen hours a day: a whole day of waking time ends on the second.
        assert_eq!(after("2026-11-24T08:00:00+07:00", 24 * 60), at("2026-11-25T18:00:00+07:00"));
    }

    #[test]
    fn a_night_in_which_the_clocks_change_is_still_one_night() {
        let berlin = zone("Europe/Berlin");
        for (now, end) in [
            ("2026-10-24T23:00:00+02:00", "2026-10-25T08:30:00+01:00"),
            ("2026-03-28T23:00:00+01:00", "2026-03-29T08:30:00+02:00"),
        ] {
            assert_eq!(after_waking(at(now), berlin, NIGHT, minutes(30)), at(end));
        }
    }

    #[test]
    fn what_leaves_too_little_time_is_no_offer() {
        let now = at("2026-11-24T23:00:00+07:00");
        let hours = Hours::of(now, zone("Asia/Krasnoyarsk"), NIGHT, minutes(10), minutes(30));
        assert_eq!(hours.tell_at, at("2026-11-25T08:00:00+07:00"));
        assert_eq!(hours.deadline(at("2026-11-25T08:09:00+07:00")), None);
        let short = at("2026-11-25T08:10:00+07:00");
        assert_eq!(hours.deadline(short), Some(short));
        assert_eq!(hours.deadline(at("2026-12-01T00:00:00+07:00")), Some(hours.full));
    }

    fn is_night(at: Instant, zone: Zone, night: Night) -> bool {
        use chrono::Timelike;
        let hour = zone::wall(at, zone).hour();
        let Night { from_hour: from, to_hour: to } = night;
        if from <= to { from <= hour && hour < to } else { hour >= from || hour < to }
    }

    proptest! {
        #[test]
        fn the_time_that_passes_is_day_where_the_patient_lives(
            offset in 0_i64..60 * 24 * 400, time in 0_i64..300, from in 0_u32..24, to in 0_u32..24,
            place in 0_usize..4,
        ) {
            let zones = ["Asia/Krasnoyarsk", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"];
            let (zone, night) = (zone(zones[place]), Night { from_hour: from, to_hour: to });
            let now = at("2026-01-01T00:00:00Z").plus(minutes(offset));
            let end = after_waking(now, zone, night, minutes(time));
            let mut awake = 0;
            let mut minute = now;
            while minute < end {
                // An hour that is shown twice counts as the first time it was shown.
                awake += i64::from(!is_night(minute, zone, night));
                minute = minute.plus(minutes(1));
            }
            // Only a night that begins or ends inside a changed hour may differ, and by that hour.
            prop_assert!((awake - time).abs() <= 60, "{awake} of {time}");
            if place == 0 || place == 2 {
                prop_assert_eq!(awake, time);
                prop_assert!(time > 0 || !is_night(end, zone, night));
            }
        }
    }
}
