//! What a rule of repetition may cost us. A reader follows one period of a rule as a whole, and one that
//! never comes for a hundred thousand periods (RFC 5545 3.3.10 allows both), before it sees that nothing
//! comes of it.

use calcard::icalendar::{ICalendar, ICalendarFrequency, ICalendarRecurrenceRule, ICalendarValue};

use crate::calendar::busy::Unreadable;

/// Who is busy more often in a day than each quarter of an hour is busy all day.
const TIMES_A_DAY_MAX: usize = 96;
/// No list of a rule is longer than a leap year.
const LIST_LEN_MAX: usize = 366;
/// How many rules of a calendar may be such that perhaps nothing ever comes of them: each can cost a
/// hundredth of a second.
const RARE_MAX: usize = 100;

/// Refuses a calendar whose repetitions would cost more than a calendar is worth.
pub(super) fn check(calendar: &ICalendar) -> Result<(), Unreadable> {
    let entries = calendar.components.iter().flat_map(|component| &component.entries);
    let rules = entries.flat_map(|entry| &entry.values).filter_map(|value| match value {
        ICalendarValue::RecurrenceRule(rule) => Some(rule),
        _ => None,
    });
    let mut rare = 0_usize;
    for rule in rules {
        let times = [&rule.byhour, &rule.byminute, &rule.bysecond];
        let a_day = times.iter().fold(1_usize, |all, list| all.saturating_mul(list.len().max(1)));
        if a_day > TIMES_A_DAY_MAX || longest_list(rule) > LIST_LEN_MAX {
            return Err(Unreadable::TooMuch);
        }
        rare = rare.saturating_add(usize::from(may_never_come(rule)));
    }
    if rare > RARE_MAX { Err(Unreadable::TooMuch) } else { Ok(()) }
}

fn longest_list(rule: &ICalendarRecurrenceRule) -> usize {
    let days = rule.byday.len().max(rule.bymonthday.len()).max(rule.byyearday.len());
    days.max(rule.byweekno.len()).max(rule.bymonth.len()).max(rule.bysetpos.len())
}

/// Whether what a rule asks for may not exist, such as the thirtieth of February. Weekdays, dates that some
/// month has, and the first to the fifth of a weekday come again and again.
fn may_never_come(rule: &ICalendarRecurrenceRule) -> bool {
    let has_times =
        !(rule.byhour.is_empty() && rule.byminute.is_empty() && rule.bysecond.is_empty());
    let has_days =
        !(rule.byday.is_empty() && rule.bymonthday.is_empty() && rule.bymonth.is_empty());
    if !(rule.byyearday.is_empty() && rule.byweekno.is_empty() && rule.bysetpos.is_empty()) {
        return true;
    }
    use ICalendarFrequency::{Daily, Hourly, Minutely, Monthly, Secondly, Weekly, Yearly};
    match rule.freq {
        Hourly | Minutely | Secondly => has_times || has_days,
        Weekly | Daily | Monthly | Yearly => {
            let counted = rule.byday.iter().filter_map(|day| day.ordwk);
            let is_common = counted.clone().all(|number| (1..=5).contains(&number.abs()));
            let is_counted = counted.count() > 0;
            !is_common || (is_counted && !rule.bymonthday.is_empty()) || !has_a_date(rule)
        }
    }
}

/// Whether one of the months has one of the days.
fn has_a_date(rule: &ICalendarRecurrenceRule) -> bool {
    let length = |month: u8| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let months = rule.bymonth.iter().map(|month| length(month.month())).max().unwrap_or(31);
    let is_there = |day: &i8| *day != 0 && day.unsigned_abs() <= months;
    rule.bymonthday.is_empty() && months > 0 || rule.bymonthday.iter().any(is_there)
}

#[cfg(test)]
mod tests {
    use calcard::{Entry, Parser};

    use super::*;

    fn calendar(rules: &[&str]) -> ICalendar {
        let events: String = rules
            .iter()
            .enumerate()
            .map(|(uid, rule)| {
                format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20260101T000000Z\r\nDURATION:PT1S\r\nRRULE:{rule}\r\nEND:VEVENT\r\n")
            })
            .collect();
        let text =
            format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n");
        match Parser::new(&text).entry() {
            Entry::ICalendar(calendar) => calendar,
            _ => panic!("no calendar: {text}"),
        }
    }

    fn numbers(to: u32) -> String {
        (0..to).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn a_rule_of_every_second_is_not_followed() {
        let second = format!(
            "FREQ=YEARLY;BYMONTH=1,2;BYDAY=MO,TU;BYHOUR={};BYMINUTE={};BYSECOND={}",
            numbers(24),
            numbers(60),
            numbers(60)
        );
        assert_eq!(check(&calendar(&[&second])), Err(Unreadable::TooMuch));
        let quarter = format!("FREQ=DAILY;BYHOUR={};BYMINUTE=0,15,30,45", numbers(24));
        assert_eq!(check(&calendar(&[&quarter])), Ok(()));
        let long = format!("FREQ=YEARLY;BYSETPOS={}", numbers(400));
        assert_eq!(check(&calendar(&[&long])), Err(Unreadable::TooMuch));
    }

    #[test]
    fn rules_that_may_never_come_are_counted_and_common_ones_are_not() {
        for never in [
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=YEARLY;BYMONTH=4,6,9,11;BYMONTHDAY=31",
            "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
            "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20",
            "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=SECONDLY;BYHOUR=3",
        ] {
            assert_eq!(check(&calendar(&[never; RARE_MAX])), Ok(()), "{never}");
            assert_eq!(
                check(&calendar(&[never; RARE_MAX + 1])),
                Err(Unreadable::TooMuch),
                "{never}"
            );
        }
        for common in [
            "FREQ=WEEKLY;BYDAY=MO,WE,FR",
            "FREQ=MONTHLY;BYDAY=-1FR",
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=-1",
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "FREQ=HOURLY;INTERVAL=3",
            "FREQ=DAILY;BYHOUR=9,14",
        ] {
            assert_eq!(check(&calendar(&[common; RARE_MAX + 1])), Ok(()), "{common}");
        }
    }
}
