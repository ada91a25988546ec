//! Zones that a calendar describes itself, under names of its own: each is the zone that has the same
//! clock at the time that matters. Pure.

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarParameterName,
    ICalendarParameterValue, ICalendarProperty, ICalendarValue,
};
use chrono::{Offset, TimeDelta, TimeZone};

use super::Unreadable;
use crate::base::column::Instant;
use crate::schedule::wall_clock::Span;

/// The most times that a clock is changed by one rule of a zone.
const CHANGES_MAX: usize = 1_000;
/// The most zones that one calendar describes.
const ZONES_MAX: usize = 20;

/// When a clock is changed, and how far it is ahead of UTC from then on, in seconds.
struct Change {
    at: i64,
    before: i32,
    after: i32,
}

/// Gives times by a zone that only this calendar knows the name of the zone that it is.
pub(super) fn name(calendar: &mut ICalendar, range: Span) -> Result<(), Unreadable> {
    let mut own: Vec<(String, Option<chrono_tz::Tz>)> = Vec::new();
    for zone in calendar.timezones().filter(|zone| zone.timezone().is_none()).take(ZONES_MAX) {
        if let Some(name) = text(zone, &ICalendarProperty::Tzid) {
            own.push((name, same_clock(calendar, zone, range)));
        }
    }
    let known = calendar.build_owned_tz_resolver();
    let is_time = |component: &&mut ICalendarComponent| {
        component.component_type != ICalendarComponentType::VTimezone
    };
    for component in calendar.components.iter_mut().filter(is_time) {
        for parameter in component.entries.iter_mut().flat_map(|entry| &mut entry.params) {
            let ICalendarParameterValue::Text(name) = &mut parameter.value else { continue };
            if parameter.name != ICalendarParameterName::Tzid {
                continue;
            }
            match own.iter().find(|(own, _)| own == name) {
                Some((_, Some(zone))) => zone.name().clone_into(name),
                None if known.resolve(name).is_some() => {}
                Some((_, None)) | None => return Err(Unreadable::UnknownZone),
            }
        }
    }
    Ok(())
}

fn text(component: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    let mut entries = component.entries.iter().filter(|entry| entry.name == *name);
    entries.find_map(|entry| match entry.values.first() {
        Some(ICalendarValue::Text(text)) => Some(text.clone()),
        _ => None,
    })
}

/// The zone whose clock is as far from UTC on every day of a range.
fn same_clock(
    calendar: &ICalendar,
    zone: &ICalendarComponent,
    range: Span,
) -> Option<chrono_tz::Tz> {
    let changes = changes(calendar, zone);
    let mut days = Vec::new();
    let mut at = range.start;
    while at < range.end {
        days.push((at, ahead(&changes, at)?));
        at = at.plus(TimeDelta::days(1));
    }
    let agrees = |zone: &&chrono_tz::Tz| {
        days.iter().all(|(at, ahead)| {
            let offset = zone.offset_from_utc_datetime(&at.utc().naive_utc());
            offset.fix().local_minus_utc() == *ahead
        })
    };
    chrono_tz::TZ_VARIANTS.iter().find(agrees).copied()
}

/// How far a clock is ahead of UTC then.
fn ahead(changes: &[Change], at: Instant) -> Option<i32> {
    let secs = at.utc().timestamp();
    let last = changes.iter().rfind(|change| change.at <= secs);
    last.map(|change| change.after).or_else(|| changes.first().map(|change| change.before))
}

/// When the clock of a zone is changed, in order.
fn changes(calendar: &ICalendar, zone: &ICalendarComponent) -> Vec<Change> {
    let mut changes = Vec::new();
    for id in &zone.component_ids {
        let rule = usize::try_from(*id).ok().and_then(|at| calendar.components.get(at));
        let Some(rule) = rule else { continue };
        let offset = |name| {
            let mut entries = rule.entries.iter().filter(|entry| entry.name == name);
            entries.find_map(|entry| match entry.values.first() {
                Some(ICalendarValue::PartialDateTime(offset)) => secs(offset),
                _ => None,
            })
        };
        let (Some(before), Some(after)) =
            (offset(ICalendarProperty::Tzoffsetfrom), offset(ICalendarProperty::Tzoffsetto))
        else {
            continue;
        };
        // The reader follows what repeats of events only.
        let event = ICalendarComponent {
            component_type: ICalendarComponentType::VEvent,
            entries: rule.entries.clone(),
            component_ids: Vec::new(),
        };
        let alone = ICalendar { components: vec![event] };
        for onset in alone.expand_dates(Tz::UTC, CHANGES_MAX).events {
            let at = onset.start.to_utc().timestamp().saturating_sub(i64::from(before));
            changes.push(Change { at, before, after });
        }
    }
    changes.sort_by_key(|change| change.at);
    changes
}

fn secs(offset: &PartialDateTime) -> Option<i32> {
    let hours = i32::from(offset.tz_hour?);
    let secs = hours * 3600 + i32::from(offset.tz_minute.unwrap_or(0)) * 60;
    Some(if offset.tz_minus { -secs } else { secs })
}
