//! Busy times in a calendar that another program wrote. Pure.

mod own_zones;
mod rules;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarFreeBusyType,
    ICalendarParameter, ICalendarParameterName, ICalendarParameterValue, ICalendarPeriod,
    ICalendarProperty, ICalendarStatus, ICalendarTransparency, ICalendarValue,
};

use calcard::{Entry, Parser};
use chrono::{NaiveDateTime, TimeDelta, TimeZone};

use crate::base::column::Instant;
use crate::base::zone::Zone;
use crate::schedule::wall_clock::Span;

/// The most times that the recurrences of a calendar are followed.
const TIMES_MAX: usize = 50_000;
/// The most busy times that are taken from one calendar.
pub const BUSY_MAX: usize = 2_000;

/// Why a text is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no calendar.
    #[error("not_a_calendar")]
    NotACalendar,
    /// It holds more than we follow.
    #[error("calendar_too_large")]
    TooMuch,
    /// Its times go by a clock that nobody knows.
    #[error("unknown_time_zone")]
    UnknownZone,
}

/// The times within `range` that a calendar says are taken, by start, overlapping ones as one.
/// Times without a zone, and whole days, are meant in `zone`.
pub fn busy(text: &str, zone: Zone, range: Span) -> Result<Vec<Span>, Unreadable> {
    let mut parser = Parser::new(text);
    let mut spans = Vec::new();
    let mut is_calendar = false;
    loop {
        match parser.entry() {
            Entry::ICalendar(mut calendar) => {
                is_calendar = true;
                rules::check(&calendar)?;
                end_repetitions(&mut calendar, range.end);
                own_zones::name(&mut calendar, range)?;
                go_by_their_clock(&mut calendar, zone.built_in(range.start).into());
                read(&calendar, zone, range, &mut spans)?;
            }
            Entry::Eof => break,
            Entry::VCard(_) => return Err(Unreadable::NotACalendar),
            // A line that nobody understands says nothing about time.
            _ if is_calendar => {}
            _ => return Err(Unreadable::NotACalendar),
        }
    }
    if !is_calendar {
        return Err(Unreadable::NotACalendar);
    }
    let spans = crate::schedule::free::merged(&spans);
    if spans.len() > BUSY_MAX { Err(Unreadable::TooMuch) } else { Ok(spans) }
}

/// Ends what repeats for ever, or for longer than it matters. The end is a day late, whatever the
/// event's zone is.
fn end_repetitions(calendar: &mut ICalendar, end: Instant) {
    let end = PartialDateTime::from_utc_timestamp(end.plus(TimeDelta::days(1)).utc().timestamp());
    let entries = calendar.components.iter_mut().flat_map(|component| &mut component.entries);
    for value in entries.flat_map(|entry| &mut entry.values) {
        if let ICalendarValue::RecurrenceRule(rule) = value
            && rule.count.is_none()
            && rule.until.as_ref().is_none_or(|until| after(until, &end))
        {
            rule.until = Some(end.clone());
        }
    }
}

/// Lets what repeats go by the clock that it was written for: in UTC what is written so, and an end that
/// is written in UTC (RFC 5545 3.3.10) ends by the clock of the event, since the reader follows
/// repetitions on the wall.
fn go_by_their_clock(calendar: &mut ICalendar, zone: Tz) {
    let zones = calendar.build_owned_tz_resolver().with_default(zone);
    for component in &mut calendar.components {
        let begins = |entry: &&mut ICalendarEntry| entry.name == ICalendarProperty::Dtstart;
        let Some(start) = component.entries.iter_mut().find(begins) else { continue };
        let is_utc = matches!(start.values.first(), Some(ICalendarValue::PartialDateTime(at)) if at.tz_hour.is_some());
        let clock = if is_utc { Tz::UTC } else { zones.resolve_or_default(start.tz_id()) };
        if is_utc {
            start.params.push(ICalendarParameter {
                name: ICalendarParameterName::Tzid,
                value: ICalendarParameterValue::Text("UTC".to_owned()),
            });
        }
        for value in component.entries.iter_mut().flat_map(|entry| &mut entry.values) {
            let ICalendarValue::RecurrenceRule(rule) = value else { continue };
            let Some(until) = rule.until.as_ref().filter(|until| until.tz_hour.is_some()) else {
                continue;
            };
            if let Some(until) = until.to_date_time() {
                let until = Tz::UTC.from_utc_datetime(&until.date_time);
                rule.until = Some(on_the_wall(until.with_timezone(&clock).naive_local()));
            }
        }
    }
}

fn on_the_wall(at: NaiveDateTime) -> PartialDateTime {
    let mut wall = PartialDateTime::from_utc_timestamp(at.and_utc().timestamp());
    (wall.tz_hour, wall.tz_minute) = (None, None);
    wall
}

/// Whether the date of one is after that of the other.
fn after(one: &PartialDateTime, other: &PartialDateTime) -> bool {
    (one.year, one.month, one.day) > (other.year, other.month, other.day)
}

fn read(
    calendar: &ICalendar,
    zone: Zone,
    range: Span,
    spans: &mut Vec<Span>,
) -> Result<(), Unreadable> {
    let expanded = calendar.expand_dates(zone.built_in(range.start), TIMES_MAX);
    if expanded.events.len() >= TIMES_MAX {
        return Err(Unreadable::TooMuch);
    }
    for event in expanded.events {
        let component =
            usize::try_from(event.comp_id).ok().and_then(|at| calendar.components.get(at));
        if !component.is_some_and(takes_time) {
            continue;
        }
        let start = event.start.to_utc();
        let end = match event.end {
            TimeOrDelta::Time(end) => end.to_utc(),
            TimeOrDelta::Delta(length) => start.checked_add_signed(length).unwrap_or(start),
        };
        spans.push(Span { start: Instant::from_utc(start), end: Instant::from_utc(end) });
    }
    for component in &calendar.components {
        if component.component_type == ICalendarComponentType::VFreebusy {
            let periods = component.entries.iter().filter(|entry| is_busy(entry));
            spans.extend(periods.flat_map(|entry| &entry.values).filter_map(period));
        }
    }
    spans.retain(|span| span.start < span.end && span.overlaps(range));
    if spans.len() >= TIMES_MAX { Err(Unreadable::TooMuch) } else { Ok(()) }
}

/// RFC 5545 3.8.2.6: of free-busy data, the periods that are not said to be free.
fn is_busy(entry: &ICalendarEntry) -> bool {
    let free = ICalendarParameterValue::Fbtype(ICalendarFreeBusyType::Free);
    entry.name == ICalendarProperty::Freebusy
        && !entry.parameters(&ICalendarParameterName::Fbtype).any(|said| *said == free)
}

/// A period, which is in UTC.
fn period(value: &ICalendarValue) -> Option<Span> {
    let ICalendarValue::Period(period) = value else { return None };
    let at = |time: &PartialDateTime| {
        time.to_date_time_with_tz(Tz::UTC).map(|at| Instant::from_utc(at.to_utc()))
    };
    match period {
        ICalendarPeriod::Range { start, end } => Some(Span { start: at(start)?, end: at(end)? }),
        ICalendarPeriod::Duration { start, duration } => {
            let (start, length) = (at(start)?, duration.to_time_delta()?);
            let end = start.utc().checked_add_signed(length)?;
            Some(Span { start, end: Instant::from_utc(end) })
        }
    }
}

/// RFC 5545 3.8.2.7 and 3.8.1.11: neither transparent nor cancelled. What begins at a time and does not
/// say how long it is ends when it begins (3.6.1); a day lasts a day.
fn takes_time(component: &ICalendarComponent) -> bool {
    let says = |name: ICalendarProperty, value: ICalendarValue| {
        component
            .entries
            .iter()
            .any(|entry| entry.name == name && entry.values.first() == Some(&value))
    };
    match component.component_type {
        ICalendarComponentType::VEvent => {
            let transparent = ICalendarValue::Transparency(ICalendarTransparency::Transparent);
            let has =
                |name: ICalendarProperty| component.entries.iter().find(|entry| entry.name == name);
            let is_day = matches!(
                has(ICalendarProperty::Dtstart).and_then(|entry| entry.values.first()),
                Some(ICalendarValue::PartialDateTime(at)) if at.hour.is_none()
            );
            let lasts = is_day
                || has(ICalendarProperty::Dtend).is_some()
                || has(ICalendarProperty::Duration).is_some();
            lasts
                && !says(ICalendarProperty::Transp, transparent)
                && !says(
                    ICalendarProperty::Status,
                    ICalendarValue::Status(ICalendarStatus::Cancelled),
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range() -> Span {
        Span {
            start: "2026-11-23T00:00:00Z".parse().unwrap(),
            end: "2026-12-07T00:00:00Z".parse().unwrap(),
        }
    }

    fn read_events(events: &str) -> Result<Vec<String>, Unreadable> {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n{}END:VCALENDAR\r\n",
            events
                .trim_start()
                .lines()
                .map(|line| format!("{}\r\n", line.trim()))
                .collect::<String>()
        );
        let zone = "Asia/Krasnoyarsk".parse().unwrap();
        let spans = busy(&text, zone, range())?;
        Ok(spans.iter().map(|span| format!("{}/{}", span.start, span.end)).collect())
    }

    #[test]
    fn an_event_takes_its_time_wherever_it_was_written() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART:20261124T020000Z
            DTEND:20261124T030000Z
            END:VEVENT
            BEGIN:VEVENT
            UID:2
            DTSTART;TZID=Europe/Kaliningrad:20261125T120000
            DURATION:PT45M
            END:VEVENT
            BEGIN:VEVENT
            UID:3
            DTSTART:20261126T090000
            DTEND:20261126T093000
            END:VEVENT
            BEGIN:VEVENT
            UID:4
            DTSTART;VALUE=DATE:20261127
            END:VEVENT",
        );
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-24T02:00:00Z/2026-11-24T03:00:00Z",
                "2026-11-25T10:00:00Z/2026-11-25T10:45:00Z",
                "2026-11-26T02:00:00Z/2026-11-26T02:30:00Z",
                "2026-11-26T17:00:00Z/2026-11-27T17:00:00Z",
            ]
        );
    }

    #[test]
    fn what_is_free_cancelled_or_elsewhere_in_time_takes_none() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART:20261124T020000Z
            DTEND:20261124T030000Z
            TRANSP:TRANSPARENT
            END:VEVENT
            BEGIN:VEVENT
            UID:2
            DTSTART:20261124T040000Z
            DTEND:20261124T050000Z
            STATUS:CANCELLED
            END:VEVENT
            BEGIN:VEVENT
            UID:3
            DTSTART:20251124T040000Z
            DTEND:20251124T050000Z
            END:VEVENT
            BEGIN:VTODO
            UID:4
            DTSTART:20261124T060000Z
            DUE:20261124T070000Z
            END:VTODO",
        );
        assert_eq!(read.unwrap(), Vec::<String>::new());
    }

    #[test]
    fn repetitions_are_followed_with_their_exceptions() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART;TZID=Asia/Krasnoyarsk:20261102T090000
            DTEND;TZID=Asia/Krasnoyarsk:20261102T100000
            RRULE:FREQ=WEEKLY;BYDAY=MO,WE
            EXDATE;TZID=Asia/Krasnoyarsk:20261125T090000
            END:VEVENT
            BEGIN:VEVENT
            UID:1
            RECURRENCE-ID;TZID=Asia/Krasnoyarsk:20261130T090000
            DTSTART;TZID=Asia/Krasnoyarsk:20261130T140000
            DTEND;TZID=Asia/Krasnoyarsk:20261130T150000
            END:VEVENT",
        );
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-23T02:00:00Z/2026-11-23T03:00:00Z",
                "2026-11-30T07:00:00Z/2026-11-30T08:00:00Z",
                "2026-12-02T02:00:00Z/2026-12-02T03:00:00Z",
            ]
        );
    }

    #[test]
    fn what_repeats_in_utc_is_followed_in_utc_with_its_exceptions() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART:20261124T050000Z
            DTEND:20261124T060000Z
            RRULE:FREQ=DAILY;UNTIL=20261128T050000Z
            EXDATE:20261125T050000Z
            END:VEVENT
            BEGIN:VEVENT
            UID:1
            RECURRENCE-ID:20261127T050000Z
            DTSTART:20261127T080000Z
            DTEND:20261127T090000Z
            END:VEVENT",
        );
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-24T05:00:00Z/2026-11-24T06:00:00Z",
                "2026-11-26T05:00:00Z/2026-11-26T06:00:00Z",
                "2026-11-27T08:00:00Z/2026-11-27T09:00:00Z",
                "2026-11-28T05:00:00Z/2026-11-28T06:00:00Z",
            ]
        );
    }

    #[test]
    fn an_end_in_utc_ends_a_repetition_by_the_clock_of_its_event() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART;TZID=Asia/Krasnoyarsk:20261124T090000
            DURATION:PT1H
            RRULE:FREQ=DAILY;UNTIL=20261126T020000Z
            END:VEVENT
            BEGIN:VEVENT
            UID:2
            DTSTART;TZID=America/New_York:20261130T200000
            DURATION:PT1H
            RRULE:FREQ=DAILY;UNTIL=20261202T000000Z
            END:VEVENT",
        );
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-24T02:00:00Z/2026-11-24T03:00:00Z",
                "2026-11-25T02:00:00Z/2026-11-25T03:00:00Z",
                "2026-11-26T02:00:00Z/2026-11-26T03:00:00Z",
                "2026-12-01T01:00:00Z/2026-12-01T02:00:00Z",
            ]
        );
    }

    #[test]
    fn of_free_busy_data_the_periods_that_are_busy_are_taken() {
        let read = read_events(
            "BEGIN:VFREEBUSY
            DTSTART:20261124T000000Z
            DTEND:20261204T000000Z
            FREEBUSY;FBTYPE=BUSY:20261124T030000Z/20261124T040000Z,20261125T030000Z/PT1H
            FREEBUSY:20261126T030000Z/20261126T040000Z
            FREEBUSY;FBTYPE=FREE:20261127T030000Z/20261127T040000Z
            END:VFREEBUSY",
        );
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-24T03:00:00Z/2026-11-24T04:00:00Z",
                "2026-11-25T03:00:00Z/2026-11-25T04:00:00Z",
                "2026-11-26T03:00:00Z/2026-11-26T04:00:00Z",
            ]
        );
    }

    const OWN: &str = "BEGIN:VTIMEZONE
            TZID:Clinic Time
            BEGIN:STANDARD
            DTSTART:19701025T030000
            TZOFFSETFROM:+0200
            TZOFFSETTO:+0100
            RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
            END:STANDARD
            BEGIN:DAYLIGHT
            DTSTART:19700329T020000
            TZOFFSETFROM:+0100
            TZOFFSETTO:+0200
            RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
            END:DAYLIGHT
            END:VTIMEZONE
            BEGIN:VTIMEZONE
            TZID:(UTC+03:00) Station
            BEGIN:STANDARD
            DTSTART:16010101T000000
            TZOFFSETFROM:+0300
            TZOFFSETTO:+0300
            END:STANDARD
            END:VTIMEZONE
            ";

    #[test]
    fn a_zone_that_the_file_describes_is_the_one_with_the_same_clock() {
        let read = read_events(&format!(
            "{OWN}BEGIN:VEVENT
            UID:1
            DTSTART;TZID=Clinic Time:20261124T100000
            DURATION:PT1H
            RRULE:FREQ=DAILY;COUNT=2
            END:VEVENT
            BEGIN:VEVENT
            UID:2
            DTSTART;TZID=\"(UTC+03:00) Station\":20261126T100000
            DURATION:PT1H
            END:VEVENT"
        ));
        assert_eq!(
            read.unwrap(),
            [
                "2026-11-24T09:00:00Z/2026-11-24T10:00:00Z",
                "2026-11-25T09:00:00Z/2026-11-25T10:00:00Z",
                "2026-11-26T07:00:00Z/2026-11-26T08:00:00Z",
            ]
        );
    }

    #[test]
    fn times_by_a_clock_that_nobody_knows_are_not_guessed() {
        let event = "BEGIN:VEVENT
            UID:1
            DTSTART;TZID=Nowhere/Land:20261124T100000
            DURATION:PT1H
            END:VEVENT";
        assert_eq!(read_events(event), Err(Unreadable::UnknownZone));
    }

    #[test]
    fn what_does_not_say_how_long_it_is_takes_no_time() {
        let read = read_events("BEGIN:VEVENT\nUID:1\nDTSTART:20261124T030000Z\nEND:VEVENT");
        assert_eq!(read.unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_repeats_for_ever_is_followed_as_far_as_it_matters() {
        let read = read_events(
            "BEGIN:VEVENT
            UID:1
            DTSTART;TZID=Asia/Krasnoyarsk:20150105T090000
            DURATION:PT15M
            RRULE:FREQ=DAILY
            END:VEVENT
            BEGIN:VEVENT
            UID:2
            DTSTART;VALUE=DATE:20150107
            RRULE:FREQ=WEEKLY;UNTIL=20991231
            END:VEVENT",
        )
        .unwrap();
        // Fourteen mornings; the two whole Wednesdays begin the evening before, in UTC, and hold
        // the mornings of theirs.
        assert_eq!(read.len(), 14, "{read:?}");
        assert_eq!(read.first().unwrap(), "2026-11-23T02:00:00Z/2026-11-23T02:15:00Z");
        assert_eq!(read.last().unwrap(), "2026-12-06T02:00:00Z/2026-12-06T02:15:00Z");
    }

    #[test]
    fn what_never_ends_is_refused_and_so_is_another_kind_of_file() {
        let endless = "BEGIN:VEVENT
            UID:1
            DTSTART:20261101T000000Z
            DURATION:PT1S
            RRULE:FREQ=SECONDLY
            END:VEVENT";
        assert_eq!(read_events(endless), Err(Unreadable::TooMuch));
        let zone = "Asia/Krasnoyarsk".parse().unwrap();
        for text in ["", "<html></html>", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:x\r\nEND:VCARD\r\n"] {
            assert_eq!(busy(text, zone, range()), Err(Unreadable::NotACalendar), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in "(BEGIN:VCALENDAR\r\n)?(BEGIN:VEVENT\r\nDTSTART:2026112[0-9]T[0-9]{6}Z?\r\n)?(RRULE:FREQ=(DAILY|WEEKLY|MONTHLY);(COUNT|INTERVAL|BYDAY|UNTIL)=[-0-9A-Z]{0,6}\r\n)?[ -~\r\n]{0,80}(\r\nEND:VEVENT\r\nEND:VCALENDAR)?") {
            let read = busy(&text, "Asia/Krasnoyarsk".parse().unwrap(), range());
            if let Ok(spans) = read {
                prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
