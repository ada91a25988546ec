//! Busy times in a calendar that another program wrote. Pure.

use calcard::common::PartialDateTime;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarFreeBusyType,
    ICalendarProperty, ICalendarStatus, ICalendarTransparency, ICalendarValue,
};

use calcard::{Entry, Parser};
use chrono::TimeDelta;

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
                end_repetitions(&mut calendar, range.end);
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
        let span = Span { start: Instant::from_utc(start), end: Instant::from_utc(end) };
        if span.start < span.end && span.overlaps(range) {
            spans.push(span);
        }
    }
    Ok(())
}

/// RFC 5545 3.8.2.7 and 3.8.1.11: neither transparent nor cancelled; of free-busy data, busy.
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
            !says(ICalendarProperty::Transp, transparent)
                && !says(
                    ICalendarProperty::Status,
                    ICalendarValue::Status(ICalendarStatus::Cancelled),
                )
        }
        ICalendarComponentType::VFreebusy => !says(
            ICalendarProperty::Busytype,
            ICalendarValue::BusyType(ICalendarFreeBusyType::Free),
        ),
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
