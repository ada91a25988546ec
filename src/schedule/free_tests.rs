use proptest::prelude::*;

use super::*;
use crate::base::zone::{Wall, resolve, wall};
use crate::schedule::rules::Weekday;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span { start: at(from), end: at(to) }
}

fn rule(weekday: Weekday, from: &str, to: &str) -> Rule {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    Rule { weekday, from, to, valid_from: None, valid_to: None }
}

/// The same hours on every day of the week.
fn daily(from: &str, to: &str) -> Vec<Rule> {
    Weekday::ALL.iter().map(|weekday| rule(*weekday, from, to)).collect()
}

/// The starts on one date, as a clock in the zone shows them, with its offset.
fn starts_on(date: &str, zone: Zone, rules: &[Rule], minutes: i64) -> Vec<String> {
    let noon: Instant = at(&format!("{date}T12:00:00Z"));
    let range =
        Span { start: noon.minus(TimeDelta::hours(48)), end: noon.plus(TimeDelta::hours(48)) };
    let windows = windows(rules, &WallClock::of(zone, range), range);
    starts(&windows, &[], TimeDelta::minutes(minutes), range)
        .into_iter()
        .map(|start| wall(start, zone).format("%Y-%m-%d %H:%M%:z").to_string())
        .filter_map(|start| start.strip_prefix(date).map(|time| time.trim().to_owned()))
        .collect()
}

#[test]
fn an_hour_that_new_york_skips_has_no_work() {
    let zone = zone("America/New_York");
    let night = [rule(Weekday::Sunday, "01:00", "04:00")];
    assert_eq!(
        starts_on("2027-03-14", zone, &night, 20),
        ["01:00-05:00", "01:20-05:00", "01:40-05:00", "03:00-04:00", "03:20-04:00", "03:40-04:00",]
    );
    assert_eq!(starts_on("2027-03-14", zone, &night, 45), ["01:00-05:00", "01:45-05:00"]);
    let within = [rule(Weekday::Sunday, "02:15", "02:45")];
    assert!(starts_on("2027-03-14", zone, &within, 5).is_empty());
    let begins_within = [rule(Weekday::Sunday, "02:30", "04:00")];
    assert_eq!(starts_on("2027-03-14", zone, &begins_within, 30), ["03:00-04:00", "03:30-04:00"]);
}

#[test]
fn an_hour_that_new_york_repeats_has_work_the_first_time() {
    let zone = zone("America/New_York");
    let night = [rule(Weekday::Sunday, "00:30", "03:00")];
    assert_eq!(
        starts_on("2026-11-01", zone, &night, 30),
        ["00:30-04:00", "01:00-04:00", "01:30-04:00", "02:00-05:00", "02:30-05:00",]
    );
    // No visit runs on through the repeated hour.
    assert_eq!(starts_on("2026-11-01", zone, &night, 60), ["00:30-04:00", "02:00-05:00"]);
    let visit = span("2026-11-01T06:00:00Z", "2026-11-01T06:20:00Z");
    let windows = windows(&night, &WallClock::of(zone, visit), visit);
    assert!(!covers(&windows, visit), "the second 01:00 is not working time");
}

#[test]
fn moscow_went_back_an_hour_in_2014() {
    let zone = zone("Europe/Moscow");
    assert_eq!(
        starts_on("2014-10-26", zone, &daily("00:00", "03:00"), 60),
        ["00:00+04:00", "01:00+04:00", "02:00+03:00",]
    );
    assert_eq!(
        starts_on("2014-10-25", zone, &daily("09:00", "11:00"), 60),
        ["09:00+04:00", "10:00+04:00"]
    );
    assert_eq!(
        starts_on("2014-10-27", zone, &daily("09:00", "11:00"), 60),
        ["09:00+03:00", "10:00+03:00"]
    );
}

#[test]
fn kazakhstan_became_one_zone_in_2024() {
    let hours = daily("09:00", "10:00");
    let almaty = zone("Asia/Almaty");
    assert_eq!(starts_on("2024-02-29", almaty, &hours, 60), ["09:00+06:00"]);
    assert_eq!(starts_on("2024-03-01", almaty, &hours, 60), ["09:00+05:00"]);
    // Midnight became 23:00: the last hour of 29 February was repeated and had its work before.
    let late = daily("22:00", "24:00");
    assert_eq!(starts_on("2024-02-29", almaty, &late, 60), ["22:00+06:00", "23:00+06:00"]);
    let kyzylorda = zone("Asia/Qyzylorda");
    assert_eq!(starts_on("2024-02-29", kyzylorda, &hours, 60), ["09:00+05:00"]);
    assert_eq!(starts_on("2024-03-01", kyzylorda, &hours, 60), ["09:00+05:00"]);
    assert_eq!(starts_on("2018-12-20", kyzylorda, &hours, 60), ["09:00+06:00"]);
    assert_eq!(starts_on("2018-12-21", kyzylorda, &hours, 60), ["09:00+05:00"]);
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    let zone = zone("Australia/Lord_Howe");
    assert_eq!(
        starts_on("2026-10-04", zone, &daily("01:00", "04:00"), 60),
        ["01:00+10:30", "02:30+11:00"]
    );
    assert_eq!(
        starts_on("2026-04-05", zone, &daily("01:00", "04:00"), 30),
        ["01:00+11:00", "01:30+11:00", "02:00+10:30", "02:30+10:30", "03:00+10:30", "03:30+10:30",]
    );
}

#[test]
fn apia_had_no_30_december_in_2011() {
    let zone = zone("Pacific/Apia");
    let hours = daily("09:00", "10:00");
    assert_eq!(starts_on("2011-12-29", zone, &hours, 60), ["09:00-10:00"]);
    assert!(starts_on("2011-12-30", zone, &hours, 60).is_empty());
    assert_eq!(starts_on("2011-12-31", zone, &hours, 60), ["09:00+14:00"]);
}

#[test]
fn volgograd_went_to_samara_time_and_back() {
    let zone = zone("Europe/Volgograd");
    let hours = daily("01:00", "03:00");
    assert_eq!(starts_on("2018-10-28", zone, &hours, 60), ["01:00+03:00"], "02:00 was skipped");
    assert_eq!(starts_on("2020-12-26", zone, &hours, 60), ["01:00+04:00", "02:00+04:00"]);
    assert_eq!(starts_on("2020-12-27", zone, &hours, 60), ["01:00+04:00", "02:00+03:00"]);
}

#[test]
fn a_rule_holds_on_its_first_and_its_last_date() {
    let zone = zone("Asia/Krasnoyarsk");
    let mut monday = rule(Weekday::Monday, "09:00", "10:00");
    monday.valid_from = Some("2026-11-23".parse().unwrap());
    monday.valid_to = monday.valid_from;
    let rules = [monday];
    assert!(starts_on("2026-11-16", zone, &rules, 60).is_empty());
    assert_eq!(starts_on("2026-11-23", zone, &rules, 60), ["09:00+07:00"]);
    assert!(starts_on("2026-11-30", zone, &rules, 60).is_empty());
}

#[test]
fn a_visit_may_run_from_one_window_into_the_next_and_past_midnight() {
    let zone = zone("Asia/Krasnoyarsk");
    let rules = [
        rule(Weekday::Monday, "09:00", "12:00"),
        rule(Weekday::Monday, "12:00", "24:00"),
        rule(Weekday::Tuesday, "00:00", "01:00"),
    ];
    let works = |from: &str, to: &str| {
        let visit = span(from, to);
        covers(&windows(&rules, &WallClock::of(zone, visit), visit), visit)
    };
    assert!(works("2026-11-23T11:50:00+07:00", "2026-11-23T12:10:00+07:00"));
    assert!(works("2026-11-23T23:55:00+07:00", "2026-11-24T00:15:00+07:00"));
    assert!(!works("2026-11-24T00:55:00+07:00", "2026-11-24T01:15:00+07:00"));
    assert!(!works("2026-11-23T08:59:59+07:00", "2026-11-23T09:20:00+07:00"));
}

#[test]
fn what_is_taken_leaves_the_other_starts_where_they_were() {
    let windows = [span("2026-11-24T02:00:00Z", "2026-11-24T04:00:00Z")];
    let taken = [
        span("2026-11-24T02:45:00Z", "2026-11-24T02:50:00Z"),
        span("2026-11-24T02:25:00Z", "2026-11-24T02:30:00Z"),
        span("2026-11-24T02:00:00Z", "2026-11-24T02:20:00Z"),
    ];
    let range = span("2026-11-24T00:00:00Z", "2026-11-24T03:40:00Z");
    let free = starts(&windows, &taken, TimeDelta::minutes(20), range);
    assert_eq!(free, [at("2026-11-24T03:00:00Z"), at("2026-11-24T03:20:00Z")]);
    assert!(starts(&windows, &[], TimeDelta::zero(), range).is_empty());
}

/// The transitions of a zone from 1990 to 2035: the first second of each.
fn transitions(zone: Zone) -> Vec<i64> {
    let end = at("2036-01-01T00:00:00Z").utc().timestamp();
    let mut at = at("1990-01-01T00:00:00Z").utc().timestamp();
    let mut found = Vec::new();
    while at < end {
        let week = end.min(at + 7 * DAY_SECS);
        if offset_secs(zone, at) == offset_secs(zone, week) {
            at = week;
        } else {
            at = next_change(zone, at, week);
            found.push(at);
        }
    }
    found
}

/// Whether a clock in the zone shows this second for the first time, asked of chrono.
fn is_first(at: Instant, zone: Zone) -> bool {
    match resolve(wall(at, zone).naive_local(), zone) {
        Wall::Once(only) => only == at,
        Wall::Fold(first, _) => first == at,
        Wall::Gap => false,
    }
}

#[test]
fn round_every_transition_of_every_zone_work_is_what_the_clock_shows_first() {
    let rules = daily("00:00", "24:00");
    let mut seen = 0;
    for tz in chrono_tz::TZ_VARIANTS {
        let zone = Zone(tz);
        for transition in transitions(zone) {
            seen += 1;
            let near = |secs: i64| instant(transition + secs).unwrap();
            let range = Span { start: near(-3 * DAY_SECS / 2), end: near(3 * DAY_SECS / 2) };
            let windows = windows(&rules, &WallClock::of(zone, range), range);
            let works = |at: Instant| windows.iter().any(|span| span.start <= at && at < span.end);
            for quarter in -14..=14 {
                for beside in [-1, 0] {
                    let at = near(quarter * 900 + beside);
                    assert_eq!(works(at), is_first(at, zone), "{zone} {at}");
                }
            }
        }
    }
    assert!(seen > 20_000, "{seen} transitions");
}

/// The slow and plain way: minute by minute, what the wall clock shows.
fn by_minutes(
    zone: Zone,
    rules: &[Rule],
    taken: &[Span],
    duration: i64,
    range: Span,
) -> Vec<Instant> {
    let minute = |n: i64| range.start.plus(TimeDelta::minutes(n));
    // A window may begin a day (and a repeated hour or two) before the range.
    let length = range.end.since(range.start).num_minutes();
    let window_at = |at: Instant| {
        let shown = wall(at, zone).naive_local();
        let rule = rules.iter().position(|rule| {
            let minutes = i64::from(chrono::Timelike::num_seconds_from_midnight(&shown) / 60);
            rule.applies(shown.date())
                && i64::from(rule.from.minutes()) <= minutes
                && minutes < i64::from(rule.to.minutes())
        });
        rule.filter(|_| is_first(at, zone)).map(|rule| (shown.date(), rule))
    };
    let minutes: Vec<i64> = (-2000..length + 500).collect();
    let shown: Vec<_> = minutes.iter().map(|n| window_at(minute(*n))).collect();
    let is_taken: Vec<bool> = minutes
        .iter()
        .map(|n| {
            let this = Span { start: minute(*n), end: minute(*n + 1) };
            taken.iter().any(|span| span.overlaps(this))
        })
        .collect();
    let mut found = Vec::new();
    let mut begin = 0;
    while begin < minutes.len() {
        let mut end = begin;
        while end < minutes.len() && shown[end].is_some() && shown[end] == shown[begin] {
            end += 1;
        }
        let step = usize::try_from(duration).unwrap();
        let mut start = begin;
        while start + step <= end {
            let is_inside = (0..length).contains(&minutes[start]);
            if is_inside && !is_taken[start..start + step].contains(&true) {
                found.push(minute(minutes[start]));
            }
            start += step;
        }
        begin = end.max(begin + 1);
    }
    found
}

fn some_rules() -> impl Strategy<Value = Vec<Rule>> {
    let day = (0..1440_i32, 1..1440_i32, 0..700_i32);
    prop::collection::vec(prop::option::weighted(0.8, day), 7).prop_map(|days| {
        let time = |minutes: i32| crate::schedule::rules::TimeOfDay::of_minutes(minutes).unwrap();
        let mut rules = Vec::new();
        for (weekday, day) in Weekday::ALL.iter().zip(days) {
            let Some((from, length, pause)) = day else { continue };
            let to = 1440.min(from + length);
            rules.push(Rule {
                weekday: *weekday,
                from: time(from),
                to: time(to),
                valid_from: None,
                valid_to: None,
            });
            if to + pause < 1440 {
                rules.push(Rule {
                    weekday: *weekday,
                    from: time(to + pause),
                    to: time(1440),
                    valid_from: None,
                    valid_to: None,
                });
            }
        }
        rules
    })
}

fn some_range() -> impl Strategy<Value = (Zone, Span)> {
    (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..46 * 365_i64,
        -2000..200_i64,
        60..3000_i64,
    )
        .prop_map(|(tz, transition, day, before, length)| {
            let zone = Zone(*tz.get(&chrono_tz::TZ_VARIANTS));
            let changes = transitions(zone);
            let near = if changes.is_empty() {
                at("1990-01-01T00:00:00Z").utc().timestamp() + day * DAY_SECS
            } else {
                *transition.get(&changes)
            };
            let start = instant((near / 60 + before) * 60).unwrap();
            (zone, Span { start, end: start.plus(TimeDelta::minutes(length)) })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn free_starts_are_those_found_minute_by_minute(
        (zone, range) in some_range(),
        rules in some_rules(),
        taken in prop::collection::vec((-300..3000_i64, 1..400_i64), 0..8),
        duration in 5..120_i64,
    ) {
        let taken: Vec<Span> = taken
            .into_iter()
            .map(|(from, length)| {
                let start = range.start.plus(TimeDelta::minutes(from));
                Span { start, end: start.plus(TimeDelta::minutes(length)) }
            })
            .collect();
        let windows = windows(&rules, &WallClock::of(zone, range), range);
        let found = starts(&windows, &taken, TimeDelta::minutes(duration), range);
        prop_assert_eq!(found, by_minutes(zone, &rules, &taken, duration, range));
    }

    #[test]
    fn a_mondays_nine_o_clock_stays_nine_o_clock((zone, range) in some_range()) {
        let rules = [rule(Weekday::Monday, "09:00", "12:00")];
        let weeks = Span { start: range.start, end: range.start.plus(TimeDelta::days(60)) };
        let windows = windows(&rules, &WallClock::of(zone, weeks), weeks);
        for start in starts(&windows, &[], TimeDelta::minutes(180), weeks) {
            prop_assert_eq!(wall(start, zone).format("%a %H:%M").to_string(), "Mon 09:00");
        }
    }
}
