//! iCalendar files as we write them (RFC 5545).

use calcard::common::PartialDateTime;
use calcard::icalendar::{
    ICalendar, ICalendarClassification, ICalendarComponent, ICalendarComponentType,
    ICalendarMethod, ICalendarProperty, ICalendarStatus, ICalendarTransparency, ICalendarValue,
};

use crate::base::column::Instant;
use crate::base::language::Language;

const PRODUCT: &str = "-//Feldsher//Feldsher//EN";

/// Whether the time is taken for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Confirmed,
    /// It is held, and may be let go.
    Tentative,
    /// It is not any more.
    Cancelled,
}

/// One event of a calendar.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name in every calendar.
    pub uid: String,
    /// Counts its changes.
    pub sequence: i64,
    /// When it was last changed.
    pub changed_at: Instant,
    /// When it begins.
    pub start: Instant,
    /// When it ends.
    pub end: Instant,
    /// Whether it is certain.
    pub standing: Standing,
    /// Its title.
    pub summary: String,
    /// What else a person reads.
    pub description: Option<String>,
}

/// As a component (RFC 5545 3.6.5).
const UTC: &str = "BEGIN:VTIMEZONE\r\nTZID:Etc/UTC\r\nBEGIN:STANDARD\r\n\
    DTSTART:19700101T000000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0000\r\nTZNAME:UTC\r\n\
    END:STANDARD\r\nEND:VTIMEZONE\r\n";

/// A calendar of these events. A single visit is a message to its reader's calendar and has a
/// method (RFC 5546 3.2); a feed has none. Where nothing is taken, there is the zone of all our times
/// alone: a calendar holds one component at least (RFC 5545 3.6), and every reader knows this one.
pub fn file(events: &[Event], is_message: bool) -> String {
    if events.is_empty() {
        return format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODUCT}\r\n{UTC}END:VCALENDAR\r\n"
        );
    }
    let mut calendar = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    let text = |text: &str| ICalendarValue::Text(text.to_owned());
    calendar.add_property(ICalendarProperty::Version, text("2.0"));
    calendar.add_property(ICalendarProperty::Prodid, text(PRODUCT));
    if is_message {
        let is_off = events.iter().all(|event| event.standing == Standing::Cancelled);
        let method = if is_off { ICalendarMethod::Cancel } else { ICalendarMethod::Publish };
        calendar.add_property(ICalendarProperty::Method, ICalendarValue::Method(method));
    }
    let mut components = vec![calendar];
    for event in events {
        if let (Ok(at), Some(calendar)) = (u32::try_from(components.len()), components.first_mut())
        {
            calendar.component_ids.push(at);
        }
        components.push(component(event));
    }
    ICalendar { components }.to_string()
}

fn component(event: &Event) -> ICalendarComponent {
    let mut written = ICalendarComponent::new(ICalendarComponentType::VEvent);
    written.add_uid(&event.uid);
    written.add_sequence(event.sequence);
    written.add_dtstamp(time(event.changed_at));
    for (name, at) in [
        (ICalendarProperty::Dtstart, event.start),
        (ICalendarProperty::Dtend, event.end),
        (ICalendarProperty::LastModified, event.changed_at),
    ] {
        written.add_property(name, ICalendarValue::PartialDateTime(Box::new(time(at))));
    }
    let status = match event.standing {
        Standing::Confirmed => ICalendarStatus::Confirmed,
        Standing::Tentative => ICalendarStatus::Tentative,
        Standing::Cancelled => ICalendarStatus::Cancelled,
    };
    written.add_property(ICalendarProperty::Status, ICalendarValue::Status(status));
    let transparency = match event.standing {
        Standing::Cancelled => ICalendarTransparency::Transparent,
        Standing::Confirmed | Standing::Tentative => ICalendarTransparency::Opaque,
    };
    let transparency = ICalendarValue::Transparency(transparency);
    written.add_property(ICalendarProperty::Transp, transparency);
    let private = ICalendarValue::Classification(ICalendarClassification::Private);
    written.add_property(ICalendarProperty::Class, private);
    written.add_property(ICalendarProperty::Summary, ICalendarValue::Text(event.summary.clone()));
    if let Some(description) = &event.description {
        let description = ICalendarValue::Text(description.clone());
        written.add_property(ICalendarProperty::Description, description);
    }
    written
}

fn time(at: Instant) -> PartialDateTime {
    PartialDateTime::from_utc_timestamp(at.utc().timestamp())
}

/// What a visit is called in a calendar that others may see.
pub fn visit(language: Language) -> &'static str {
    match language {
        Language::English => "Remote visit",
        Language::Russian => "Приём по видеосвязи",
    }
}

/// What a taken time is called in a feed.
pub fn busy(language: Language) -> &'static str {
    match language {
        Language::English => "Busy",
        Language::Russian => "Занято",
    }
}

/// How the patient comes to the visit.
pub fn how_to_join(language: Language, code: &str, public_url: &str) -> String {
    match language {
        Language::English => format!("Code {code}. {public_url}").trim_end().to_owned(),
        Language::Russian => format!("Код {code}. {public_url}").trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use icalendar::{Calendar, CalendarDateTime, Component, DatePerhapsTime};

    use super::*;

    fn event(standing: Standing) -> Event {
        Event {
            uid: "0199-1@feldsher".to_owned(),
            sequence: 3,
            changed_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            start: "2026-11-24T02:00:00Z".parse().unwrap(),
            end: "2026-11-24T02:20:00Z".parse().unwrap(),
            standing,
            summary: visit(Language::Russian).to_owned(),
            description: Some("Код AB12CD; вход, как обычно: https://feldsher.example/, длинная строка, которую надо перенести".to_owned()),
        }
    }

    #[test]
    fn another_program_reads_what_we_write() {
        let text = file(&[event(Standing::Confirmed)], true);
        let read = Calendar::from_str(&text).unwrap();
        let [icalendar::CalendarComponent::Event(read)] = &read.components[..] else {
            panic!("{text}")
        };
        let utc = |text: &str| {
            let at = chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
            Some(DatePerhapsTime::DateTime(CalendarDateTime::Utc(at)))
        };
        assert_eq!(read.get_uid(), Some("0199-1@feldsher"));
        assert_eq!(read.get_sequence(), Some(3));
        assert_eq!(read.get_start(), utc("2026-11-24T02:00:00Z"));
        assert_eq!(read.get_end(), utc("2026-11-24T02:20:00Z"));
        assert_eq!(read.get_summary(), Some("Приём по видеосвязи"));
        assert_eq!(read.property_value("STATUS"), Some("CONFIRMED"));
        assert_eq!(read.property_value("CLASS"), Some("PRIVATE"));
    }

    #[test]
    fn lines_are_short_and_end_as_the_standard_says() {
        let text = file(&[event(Standing::Confirmed)], true);
        assert!(text.contains("\r\nMETHOD:PUBLISH\r\n"), "{text}");
        for line in text.split("\r\n") {
            // RFC 5545 3.1: at most 75 octets without the line break.
            assert!(line.len() <= 75, "{} {line}", line.len());
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn what_was_called_off_is_taken_out_of_the_calendar() {
        let text = file(&[event(Standing::Cancelled)], true);
        assert!(text.contains("METHOD:CANCEL"), "{text}");
        assert!(text.contains("STATUS:CANCELLED"), "{text}");
        let feed = file(&[event(Standing::Confirmed), event(Standing::Tentative)], false);
        assert!(!feed.contains("METHOD"), "{feed}");
        assert_eq!(Calendar::from_str(&feed).unwrap().components.len(), 2);
    }
}
