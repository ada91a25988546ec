use chrono::{Datelike, NaiveDateTime, Timelike};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::base::zone::offset_secs;
use crate::base::zone::{Wall, resolve, wall};
use crate::schedule::diary::{Day, Diary};
use crate::schedule::time_of_day::Weekday;
use crate::schedule::wall_clock::{DAY_SECS, instant, next_change};

const SERVICE: ServiceId = ServiceId(Uuid::from_u128(1));
const OTHER: ServiceId = ServiceId(Uuid::from_u128(2));
const VILLAGE: LocationId = LocationId(Uuid::from_u128(3));

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span { start: at(from), end: at(to) }
}

fn time(minutes: i32) -> TimeOfDay {
    TimeOfDay::of_minutes(minutes).unwrap()
}

fn rule(weekday: Weekday, from: &str, to: &str) -> Rule {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let (valid_from, valid_to, location, service) = (None, None, None, None);
    Rule { weekday, from, to, valid_from, valid_to, every_weeks: 1, location, service }
}

/// The same hours on every day of the week.
fn daily(from: &str, to: &str) -> Vec<Rule> {
    Weekday::ALL.iter().map(|weekday| rule(*weekday, from, to)).collect()
}

fn hours(zone: Zone, rules: &[Rule]) -> Hours {
    let (closed, extra, absent) = (Vec::new(), Vec::new(), Vec::new());
    Hours { zone, rules: rules.to_vec(), closed, extra, absent }
}

/// So many minutes, at any time.
fn terms(minutes: i64) -> Terms {
    Terms {
        service: SERVICE,
        duration: TimeDelta::minutes(minutes),
        before: TimeDelta::zero(),
        after: TimeDelta::zero(),
        align_minutes: 0,
        daily_cap: 0,
        bookable: span("1970-01-01T00:00:00Z", "2199-01-01T00:00:00Z"),
    }
}

/// What a search offers: day by day of UTC, each worked out once.
fn offers(hours: &Hours, terms: &Terms, taken: &Taken, range: Span) -> Vec<Offer> {
    let taken = Taken { busy: merged(&taken.busy), days: taken.days.clone() };
    let diary = Diary::of(hours.clone(), range);
    let day = |day| {
        let first = diary.starts(terms, day);
        assert_eq!(*first, *diary.starts(terms, day), "what is kept is what was worked out");
        let bookable = bookable(&first, terms, range);
        bookable.filter(|offer| is_free(hours, terms, &taken, offer.start)).collect::<Vec<_>>()
    };
    Day::of_span(range).flat_map(day).collect()
}

fn starts(hours: &Hours, terms: &Terms, taken: &Taken, range: Span) -> Vec<Instant> {
    offers(hours, terms, taken, range).iter().map(|offer| offer.start).collect()
}

fn check(hours: &Hours, terms: &Terms, start: Instant, asker: Asker) -> Result<(), Refusal> {
    let clock = WallClock::of(hours.zone, terms.visit(start));
    check_start(hours, &clock, terms, &Taken::default(), (start, asker))
}

/// The starts on one date, as a clock in the zone shows them, with its offset.
fn starts_on(date: &str, zone: Zone, rules: &[Rule], minutes: i64) -> Vec<String> {
    let found = starts(&hours(zone, rules), &terms(minutes), &Taken::default(), around(date));
    shown_on(date, zone, &found)
}

fn around(date: &str) -> Span {
    let noon: Instant = at(&format!("{date}T12:00:00Z"));
    Span { start: noon.minus(TimeDelta::hours(48)), end: noon.plus(TimeDelta::hours(48)) }
}

fn shown_on(date: &str, zone: Zone, starts: &[Instant]) -> Vec<String> {
    let shown =
        starts.iter().map(|start| wall(*start, zone).format("%Y-%m-%d %H:%M%:z").to_string());
    shown.filter_map(|start| start.strip_prefix(date).map(|time| time.trim().to_owned())).collect()
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
    let second = check(&hours(zone, &night), &terms(20), at("2026-11-01T06:00:00Z"), Asker::Staff);
    assert_eq!(second, Err(Refusal::OutsideHours), "the second 01:00 is not working time");
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
    let hours = hours(zone, &rules);
    let asked = |start: &str, asker| check(&hours, &terms(20), at(start), asker);
    for start in ["2026-11-23T11:50:00+07:00", "2026-11-23T23:55:00+07:00"] {
        assert_eq!(asked(start, Asker::Staff), Ok(()));
        assert_eq!(asked(start, Asker::Patient), Err(Refusal::OffGrid), "it is not offered");
    }
    assert_eq!(asked("2026-11-23T12:20:00+07:00", Asker::Patient), Ok(()));
    for start in ["2026-11-24T00:55:00+07:00", "2026-11-23T08:59:59+07:00"] {
        assert_eq!(asked(start, Asker::Staff), Err(Refusal::OutsideHours));
        assert_eq!(asked(start, Asker::Patient), Err(Refusal::OutsideHours));
    }
}

/// Tuesdays from nine to eleven in Krasnoyarsk, which is 02:00Z to 04:00Z.
fn tuesdays() -> Hours {
    hours(zone("Asia/Krasnoyarsk"), &[rule(Weekday::Tuesday, "09:00", "11:00")])
}

fn on_tuesday(hours: &Hours, terms: &Terms, taken: &Taken) -> Vec<String> {
    let found = starts(hours, terms, taken, around("2026-11-24"));
    let shown = shown_on("2026-11-24", hours.zone, &found);
    shown.into_iter().map(|start| start.get(..5).unwrap().to_owned()).collect()
}

#[test]
fn what_is_taken_leaves_the_other_starts_where_they_were() {
    let busy = vec![
        span("2026-11-24T02:45:00Z", "2026-11-24T02:50:00Z"),
        span("2026-11-24T02:25:00Z", "2026-11-24T02:30:00Z"),
        span("2026-11-24T02:00:00Z", "2026-11-24T02:20:00Z"),
    ];
    let taken = Taken { busy, days: HashMap::new() };
    let range = span("2026-11-24T00:00:00Z", "2026-11-24T03:40:00Z");
    let free = starts(&tuesdays(), &terms(20), &taken, range);
    assert_eq!(free, [at("2026-11-24T03:00:00Z"), at("2026-11-24T03:20:00Z")]);
    assert!(starts(&tuesdays(), &terms(0), &taken, range).is_empty());
}

#[test]
fn what_is_kept_around_a_visit_is_clear_of_other_visits_but_may_leave_working_time() {
    let mut terms = terms(20);
    terms.before = TimeDelta::minutes(30);
    terms.after = TimeDelta::minutes(10);
    let none = Taken::default();
    assert_eq!(
        on_tuesday(&tuesdays(), &terms, &none),
        ["09:00", "09:20", "09:40", "10:00", "10:20", "10:40"]
    );
    let busy = vec![span("2026-11-24T02:40:00Z", "2026-11-24T03:00:00Z")];
    let taken = Taken { busy, days: HashMap::new() };
    // Ten minutes before 09:40, half an hour after 10:00.
    assert_eq!(on_tuesday(&tuesdays(), &terms, &taken), ["09:00", "10:40"]);
}

#[test]
fn aligned_visits_begin_on_the_minutes_of_the_wall_clock() {
    let mut hours = tuesdays();
    hours.rules = vec![rule(Weekday::Tuesday, "09:10", "10:30")];
    let mut terms = terms(20);
    assert_eq!(on_tuesday(&hours, &terms, &Taken::default()), ["09:10", "09:30", "09:50", "10:10"]);
    terms.align_minutes = 15;
    assert_eq!(on_tuesday(&hours, &terms, &Taken::default()), ["09:15", "09:30", "09:45", "10:00"]);
    let start = at("2026-11-24T09:20:00+07:00");
    assert_eq!(check(&hours, &terms, start, Asker::Patient), Err(Refusal::OffGrid));
    assert_eq!(check(&hours, &terms, start, Asker::Staff), Ok(()));
    // A clock that is half an hour off the world's has full hours of its own.
    let kolkata = Hours { zone: zone("Asia/Kolkata"), ..hours };
    terms.align_minutes = 60;
    assert_eq!(on_tuesday(&kolkata, &terms, &Taken::default()), ["10:00"]);
}

#[test]
fn a_day_that_has_its_visits_is_offered_no_more_but_the_next_one_is() {
    let mut hours = tuesdays();
    hours.rules = daily("23:00", "24:00");
    let mut terms = terms(20);
    terms.daily_cap = 2;
    let days =
        HashMap::from([("2026-11-24".parse().unwrap(), 2), ("2026-11-25".parse().unwrap(), 1)]);
    let taken = Taken { busy: Vec::new(), days };
    let found = starts(&hours, &terms, &taken, around("2026-11-24"));
    assert!(shown_on("2026-11-24", hours.zone, &found).is_empty());
    assert_eq!(shown_on("2026-11-25", hours.zone, &found).len(), 3);
    let start = at("2026-11-24T23:00:00+07:00");
    let clock = WallClock::of(hours.zone, terms.visit(start));
    for (asker, expected) in [
        (Asker::Patient, Err(Refusal::DayFull)),
        (Asker::Staff, Err(Refusal::DayFull)),
        (Asker::Triage, Ok(())),
    ] {
        assert_eq!(check_start(&hours, &clock, &terms, &taken, (start, asker)), expected);
    }
}

#[test]
fn notice_and_horizon_bind_all_but_those_who_cannot_wait() {
    let mut terms = terms(20);
    terms.bookable = span("2026-11-24T02:30:00Z", "2026-11-24T03:20:00Z");
    assert_eq!(on_tuesday(&tuesdays(), &terms, &Taken::default()), ["09:40", "10:00"]);
    for (start, refusal) in [
        ("2026-11-24T09:20:00+07:00", Refusal::TooSoon),
        ("2026-11-24T10:20:00+07:00", Refusal::TooFar),
    ] {
        assert_eq!(check(&tuesdays(), &terms, at(start), Asker::Patient), Err(refusal));
        assert_eq!(check(&tuesdays(), &terms, at(start), Asker::Staff), Err(refusal));
        assert_eq!(check(&tuesdays(), &terms, at(start), Asker::Triage), Ok(()));
    }
}

#[test]
fn hours_kept_for_another_service_are_not_offered() {
    let mut hours = tuesdays();
    hours.rules[0].service = Some(OTHER);
    assert!(on_tuesday(&hours, &terms(20), &Taken::default()).is_empty());
    let start = at("2026-11-24T09:00:00+07:00");
    assert_eq!(check(&hours, &terms(20), start, Asker::Staff), Err(Refusal::OutsideHours));
    hours.rules[0].service = Some(SERVICE);
    hours.rules[0].location = Some(VILLAGE);
    let range = around("2026-11-24");
    let found = offers(&hours, &terms(20), &Taken::default(), range);
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|offer| offer.location == Some(VILLAGE)));
}

#[test]
fn a_closed_day_wins_over_weekly_hours_extra_hours_over_it_and_an_absence_over_all() {
    let day = "2026-11-24".parse().unwrap();
    let mut hours = tuesdays();
    hours.closed = vec![Closed { first: day, last: day, from: time(570), to: time(24 * 60) }];
    assert_eq!(on_tuesday(&hours, &terms(20), &Taken::default()), ["09:00"], "from 09:30 on");
    let extra = span("2026-11-24T10:30:00+07:00", "2026-11-24T11:30:00+07:00");
    hours.extra = vec![Window { span: extra, location: Some(VILLAGE), service: None }];
    assert_eq!(
        on_tuesday(&hours, &terms(20), &Taken::default()),
        ["09:00", "10:30", "10:50", "11:10"]
    );
    let start = at("2026-11-24T10:35:00+07:00");
    assert_eq!(check(&hours, &terms(20), start, Asker::Staff), Ok(()));
    hours.absent = vec![span("2026-11-24T10:50:00+07:00", "2026-11-24T11:00:00+07:00")];
    assert_eq!(on_tuesday(&hours, &terms(20), &Taken::default()), ["09:00", "10:30", "11:10"]);
    assert_eq!(check(&hours, &terms(20), start, Asker::Staff), Err(Refusal::OutsideHours));
}

#[test]
fn a_closed_day_is_the_day_of_each_practitioner() {
    let day = "2026-11-24".parse().unwrap();
    let closed = vec![Closed { first: day, last: day, from: time(0), to: time(24 * 60) }];
    for name in ["Europe/Kaliningrad", "Asia/Kamchatka", "Pacific/Kiritimati", "America/Adak"] {
        let zone = zone(name);
        let hours = Hours { closed: closed.clone(), ..hours(zone, &daily("00:00", "24:00")) };
        let found = starts(&hours, &terms(60), &Taken::default(), around("2026-11-24"));
        assert!(shown_on("2026-11-24", zone, &found).is_empty(), "{name}");
        assert_eq!(
            shown_on("2026-11-25", zone, &found).first().and_then(|at| at.get(..5)),
            Some("00:00")
        );
        assert_eq!(
            shown_on("2026-11-23", zone, &found).last().and_then(|at| at.get(..5)),
            Some("23:00")
        );
    }
}

#[test]
fn nine_in_kaliningrad_is_seven_in_the_evening_in_kamchatka() {
    let (doctor, patient) = (zone("Europe/Kaliningrad"), zone("Asia/Kamchatka"));
    let hours = hours(doctor, &[rule(Weekday::Monday, "09:00", "12:00")]);
    let found = starts(&hours, &terms(60), &Taken::default(), around("2026-11-23"));
    assert_eq!(
        shown_on("2026-11-23", doctor, &found),
        ["09:00+02:00", "10:00+02:00", "11:00+02:00"]
    );
    assert_eq!(
        shown_on("2026-11-23", patient, &found),
        ["19:00+12:00", "20:00+12:00", "21:00+12:00"]
    );
}

#[test]
fn nine_o_clock_stays_nine_o_clock_when_the_law_moves_a_zone() {
    let hours = daily("09:00", "10:00");
    for (name, before, after, offsets) in [
        ("Europe/Kaliningrad", "2014-10-25", "2014-10-26", ("+03:00", "+02:00")),
        ("Europe/Moscow", "2014-10-25", "2014-10-26", ("+04:00", "+03:00")),
        ("Asia/Chita", "2014-10-25", "2014-10-26", ("+10:00", "+08:00")),
        ("Asia/Chita", "2016-03-26", "2016-03-27", ("+08:00", "+09:00")),
        ("Asia/Barnaul", "2016-03-26", "2016-03-27", ("+06:00", "+07:00")),
        ("Europe/Astrakhan", "2016-03-26", "2016-03-27", ("+03:00", "+04:00")),
        ("Europe/Ulyanovsk", "2016-03-26", "2016-03-27", ("+03:00", "+04:00")),
        ("Asia/Sakhalin", "2016-03-26", "2016-03-27", ("+10:00", "+11:00")),
        ("Asia/Magadan", "2016-04-23", "2016-04-24", ("+10:00", "+11:00")),
        ("Asia/Tomsk", "2016-05-28", "2016-05-29", ("+06:00", "+07:00")),
        ("Asia/Novosibirsk", "2016-07-23", "2016-07-24", ("+06:00", "+07:00")),
        ("Europe/Saratov", "2016-12-03", "2016-12-04", ("+03:00", "+04:00")),
        ("Europe/Volgograd", "2018-10-27", "2018-10-28", ("+03:00", "+04:00")),
        ("Europe/Volgograd", "2020-12-26", "2020-12-27", ("+04:00", "+03:00")),
        ("Asia/Qyzylorda", "2018-12-20", "2018-12-21", ("+06:00", "+05:00")),
        ("Asia/Almaty", "2024-02-29", "2024-03-01", ("+06:00", "+05:00")),
        ("Europe/Samara", "2014-10-25", "2014-10-26", ("+04:00", "+04:00")),
        ("Europe/Berlin", "2026-03-28", "2026-03-29", ("+01:00", "+02:00")),
        ("Europe/Chisinau", "2026-03-28", "2026-03-29", ("+02:00", "+03:00")),
        ("Europe/Chisinau", "2026-10-24", "2026-10-25", ("+03:00", "+02:00")),
    ] {
        for (date, offset) in [(before, offsets.0), (after, offsets.1)] {
            assert_eq!(
                starts_on(date, zone(name), &hours, 60),
                [format!("09:00{offset}")],
                "{name}"
            );
        }
    }
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
        let zone = Zone::from(tz);
        for transition in transitions(zone) {
            seen += 1;
            let near = |secs: i64| instant(transition + secs).unwrap();
            let range = Span { start: near(-3 * DAY_SECS / 2), end: near(3 * DAY_SECS / 2) };
            let windows = weekly(&rules, &WallClock::of(zone, range), range);
            let works = |at: Instant| {
                windows.iter().any(|window| window.span.start <= at && at < window.span.end)
            };
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

#[test]
fn nine_to_twelve_is_nine_to_twelve_around_every_transition_of_every_zone() {
    let (rules, terms, nothing) = (daily("09:00", "12:00"), terms(60), Taken::default());
    let (mut mondays, mut whole, mut odd) = (0, 0, 0);
    for tz in chrono_tz::TZ_VARIANTS {
        let zone = Zone::from(tz);
        let hours = hours(zone, &rules);
        for transition in transitions(zone) {
            let near = |days: i64| instant(transition + days * DAY_SECS).unwrap();
            let found = starts(&hours, &terms, &nothing, Span { start: near(-5), end: near(5) });
            let middle = wall(near(0), zone).date_naive();
            for date in (middle - Days::new(4)).iter_days().take(9) {
                let shown = [9, 10, 11, 12].map(|hour| {
                    match resolve(date.and_hms_opt(hour, 0, 0).unwrap(), zone) {
                        Wall::Once(at) => Some(at),
                        Wall::Gap | Wall::Fold(..) => None,
                    }
                });
                let on_date: Vec<Instant> = found
                    .iter()
                    .copied()
                    .filter(|start| wall(*start, zone).date_naive() == date)
                    .collect();
                let [Some(nine), Some(ten), Some(eleven), Some(twelve)] = shown else {
                    odd += 1;
                    continue;
                };
                if twelve.since(nine) == TimeDelta::hours(3) {
                    assert_eq!(on_date, [nine, ten, eleven], "{zone} {date}");
                    whole += 1;
                    mondays += i32::from(date.weekday() == chrono::Weekday::Mon);
                } else {
                    odd += 1;
                }
            }
        }
    }
    assert!(whole > 150_000 && mondays > 20_000, "{whole} days, {mondays} Mondays");
    assert!(odd < whole / 1000, "{odd} mornings with a transition");
}

/// What the plain way knows of a minute.
#[derive(Clone)]
struct Minute {
    at: Instant,
    shown: NaiveDateTime,
    /// The weekly window it belongs to: its date and rule.
    weekly: Option<(NaiveDate, usize)>,
    is_closed: bool,
    is_absent: bool,
    is_busy: bool,
}

/// The slow and plain way: minute by minute, what the wall clock shows.
struct Plain<'a> {
    hours: &'a Hours,
    terms: &'a Terms,
    taken: &'a Taken,
    /// The minute of `range.start` in `minutes`.
    zero: usize,
    minutes: Vec<Minute>,
}

const BEFORE: i64 = 3500;
const AFTER: i64 = 1500;

impl<'a> Plain<'a> {
    fn of(hours: &'a Hours, terms: &'a Terms, taken: &'a Taken, range: Span) -> Self {
        let length = range.end.since(range.start).num_minutes();
        let minutes = (-BEFORE..length + AFTER).map(|n| {
            let at = range.start.plus(TimeDelta::minutes(n));
            let end = at.plus(TimeDelta::minutes(1));
            let within = |span: &Span| span.start < end && at < span.end;
            let shown = wall(at, hours.zone).naive_local();
            let rule = hours.rules.iter().position(|rule| rule_holds(rule, shown));
            Minute {
                at,
                shown,
                weekly: rule.filter(|_| is_first(at, hours.zone)).map(|rule| (shown.date(), rule)),
                is_closed: hours.closed.iter().any(|closed| {
                    (closed.first..=closed.last).contains(&shown.date())
                        && (closed.from.minutes()..closed.to.minutes()).contains(&of_day(shown))
                }),
                is_absent: hours.absent.iter().any(within),
                is_busy: taken.busy.iter().any(within),
            }
        });
        let zero = usize::try_from(BEFORE).unwrap();
        Self { hours, terms, taken, zero, minutes: minutes.collect() }
    }

    fn serves(&self, service: Option<ServiceId>) -> bool {
        service.is_none() || service == Some(self.terms.service)
    }

    fn long(&self) -> usize {
        usize::try_from(self.terms.duration.num_minutes()).unwrap()
    }

    fn is_weekly(&self, minute: &Minute) -> bool {
        minute.weekly.is_some_and(|(_, rule)| self.serves(self.hours.rules[rule].service))
            && !minute.is_closed
            && !minute.is_absent
    }

    fn is_extra(&self, minute: &Minute) -> bool {
        !minute.is_absent
            && self.hours.extra.iter().any(|window| {
                self.serves(window.service)
                    && window.span.start <= minute.at
                    && minute.at < window.span.end
            })
    }

    /// Whether all of a visit from the nth minute on lies in working time.
    fn works(&self, n: usize) -> bool {
        self.minutes[n..n + self.long()]
            .iter()
            .all(|minute| self.is_weekly(minute) || self.is_extra(minute))
    }

    fn is_aligned(&self, n: usize, first: usize) -> bool {
        match self.terms.align_minutes {
            0 => (n - first).is_multiple_of(self.long()),
            align => of_day(self.minutes[n].shown) % align == 0,
        }
    }

    /// Whether a visit from the nth minute on lies in one window, on its grid.
    fn is_on_grid(&self, n: usize) -> bool {
        let visit = &self.minutes[n..n + self.long()];
        let window = self.minutes[n].weekly;
        let begin = || {
            let before = (0..n).rev().find(|before| self.minutes[*before].weekly != window);
            before.map_or(0, |before| before + 1)
        };
        let weekly = visit.iter().all(|minute| self.is_weekly(minute) && minute.weekly == window)
            && self.is_aligned(n, begin());
        weekly
            || self.hours.extra.iter().any(|window| {
                let Some(first) =
                    self.minutes.iter().position(|minute| minute.at == window.span.start)
                else {
                    return false;
                };
                let end = window.span.end;
                self.serves(window.service)
                    && first <= n
                    && visit.iter().all(|minute| minute.at < end && !minute.is_absent)
                    && self.is_aligned(n, first)
            })
    }

    fn is_offered(&self, n: usize) -> bool {
        let minutes = |of: TimeDelta| usize::try_from(of.num_minutes()).unwrap();
        let around = n - minutes(self.terms.before)..n + self.long() + minutes(self.terms.after);
        let day = self.minutes[n].shown.date();
        let visits = self.taken.days.get(&day).copied().unwrap_or_default();
        !self.minutes[around].iter().any(|minute| minute.is_busy)
            && (self.terms.daily_cap == 0 || visits < self.terms.daily_cap)
            && self.works(n)
            && self.is_on_grid(n)
    }
}

fn of_day(shown: NaiveDateTime) -> i32 {
    i32::try_from(shown.num_seconds_from_midnight() / 60).unwrap()
}

/// Whether a weekly rule holds at a time on the wall, counted in another way than the engine does.
fn rule_holds(rule: &Rule, shown: NaiveDateTime) -> bool {
    let monday = |date: NaiveDate| date.week(chrono::Weekday::Mon).first_day();
    let date = shown.date();
    let in_turn = rule.valid_from.is_none_or(|first| {
        let days = monday(date).signed_duration_since(monday(first)).num_days();
        days / 7 % i64::from(rule.every_weeks) == 0
    });
    rule.weekday.as_str() == date.weekday().to_string().to_lowercase()
        && rule.valid_from.is_none_or(|first| date >= first)
        && rule.valid_to.is_none_or(|last| date <= last)
        && in_turn
        && (rule.from.minutes()..rule.to.minutes()).contains(&of_day(shown))
}

fn some_service() -> impl Strategy<Value = Option<ServiceId>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(SERVICE)), 1 => Just(Some(OTHER))]
}

/// Rules of a week; dates are given in days from a date that is not known yet.
fn some_rules() -> impl Strategy<Value = Vec<(Rule, Option<(i64, i32)>)>> {
    let cycle = || prop::option::weighted(0.3, (-30..5_i64, 1..5_i32));
    let day = (0..1440_i32, 1..1440_i32, 0..700_i32);
    let kept = || (some_service(), cycle());
    prop::collection::vec(prop::option::weighted(0.8, (day, kept(), kept())), 7).prop_map(|days| {
        let mut rules = Vec::new();
        for (weekday, day) in Weekday::ALL.iter().zip(days) {
            let Some(((from, length, pause), first, second)) = day else { continue };
            let to = 1440.min(from + length);
            let mut push = |from: i32, to: i32, (service, cycle)| {
                let mut rule = rule(*weekday, "00:00", "24:00");
                (rule.from, rule.to, rule.service) = (time(from), time(to), service);
                rules.push((rule, cycle));
            };
            push(from, to, first);
            if to + pause < 1440 {
                push(to + pause, 1440, second);
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
            let zone = Zone::from(*tz.get(&chrono_tz::TZ_VARIANTS));
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

fn some_spans(longest: i64) -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((-300..3000_i64, 1..longest), 0..6)
}

/// Everything said of somebody's time near a range, and what a start must keep to.
fn some_case() -> impl Strategy<Value = (Span, Hours, Terms, Taken)> {
    let closed = prop::collection::vec((-2..4_i64, 0..3_i64, 0..1440_i32, 1..1440_i32), 0..3);
    let extra = prop::collection::vec((-1400..3000_i64, 1..1400_i64, some_service()), 0..3);
    let kept = (0..40_i64, 0..40_i64, prop::sample::select(vec![0, 5, 10, 15, 20, 30, 60]));
    let cap = (prop::sample::select(vec![0, 0, 1, 3]), prop::collection::vec(-1..4_i64, 0..6));
    (
        (some_range(), some_rules(), closed, extra),
        (some_spans(400), some_spans(200), 5..120_i64, kept, cap),
    )
        .prop_map(|((range, rules, closed, extra), (absent, busy, minutes, kept, cap))| {
            let (zone, range) = range;
            let today = wall(range.start, zone).date_naive();
            let date = |days: i64| today + TimeDelta::days(days);
            let from_start = |(from, length): (i64, i64)| {
                let start = range.start.plus(TimeDelta::minutes(from));
                Span { start, end: start.plus(TimeDelta::minutes(length)) }
            };
            let rules = rules.into_iter().map(|(mut rule, cycle)| {
                if let Some((from, weeks)) = cycle {
                    (rule.valid_from, rule.every_weeks) = (Some(date(from)), weeks);
                    rule.valid_to = Some(date(from + 40));
                }
                rule
            });
            let closed = closed.into_iter().map(|(first, days, from, length)| Closed {
                first: date(first),
                last: date(first + days),
                from: time(from),
                to: time(1440.min(from + length)),
            });
            let extra = extra.into_iter().map(|(from, length, service)| Window {
                span: from_start((from, length)),
                location: None,
                service,
            });
            let hours = Hours {
                zone,
                rules: rules.collect(),
                closed: closed.collect(),
                extra: extra.collect(),
                absent: absent.into_iter().map(from_start).collect(),
            };
            let terms = Terms {
                before: TimeDelta::minutes(kept.0),
                after: TimeDelta::minutes(kept.1),
                align_minutes: kept.2,
                daily_cap: cap.0,
                ..terms(minutes)
            };
            let mut days: HashMap<NaiveDate, i32> = HashMap::new();
            for day in cap.1 {
                *days.entry(date(day)).or_default() += 1;
            }
            let busy = busy.into_iter().map(from_start).collect();
            (range, hours, terms, Taken { busy, days })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn free_starts_are_those_found_minute_by_minute((range, hours, terms, taken) in some_case()) {
        let plain = Plain::of(&hours, &terms, &taken, range);
        let length = usize::try_from(range.end.since(range.start).num_minutes()).unwrap();
        let expected: Vec<Instant> = (plain.zero..plain.zero + length)
            .filter(|n| plain.is_offered(*n))
            .map(|n| plain.minutes[n].at)
            .collect();
        prop_assert_eq!(starts(&hours, &terms, &taken, range), expected);
    }

    #[test]
    fn a_start_can_be_booked_if_it_is_offered_and_by_staff_if_somebody_works(
        (range, hours, terms, taken) in some_case(),
        sample in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let plain = Plain::of(&hours, &terms, &taken, range);
        let length = usize::try_from(range.end.since(range.start).num_minutes()).unwrap();
        let offered = starts(&hours, &terms, &taken, range);
        let sampled = sample.iter().map(|index| plain.minutes[plain.zero + index.index(length)].at);
        for start in sampled.chain(offered.iter().copied().take(20)) {
            let n = plain.zero
                + usize::try_from(start.since(range.start).num_minutes()).unwrap();
            let clock = WallClock::of(hours.zone, terms.visit(start));
            let ask = |asker| check_start(&hours, &clock, &terms, &taken, (start, asker));
            let day = plain.minutes[n].shown.date();
            let is_full = terms.daily_cap > 0
                && taken.days.get(&day).is_some_and(|visits| *visits >= terms.daily_cap);
            let staff = match (plain.works(n), is_full) {
                (false, _) => Err(Refusal::OutsideHours),
                (true, true) => Err(Refusal::DayFull),
                (true, false) => Ok(()),
            };
            prop_assert_eq!(ask(Asker::Staff), staff);
            let patient = match (plain.works(n), plain.is_on_grid(n)) {
                (true, false) => Err(Refusal::OffGrid),
                _ => staff,
            };
            prop_assert_eq!(ask(Asker::Patient), patient);
            prop_assert_eq!(ask(Asker::Triage).is_ok(), plain.works(n));
            if offered.contains(&start) {
                prop_assert_eq!(ask(Asker::Patient), Ok(()));
            }
        }
    }
}
