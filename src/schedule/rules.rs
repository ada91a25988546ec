//! Weekly working hours: wall time in the practitioner's zone, whatever the clocks do meanwhile.

use chrono::{Datelike, Days, NaiveDate};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::column::id;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{practitioners, schedule_rules};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::location::{self, LocationId};
use crate::organization::ServiceId;
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::time_of_day::{TimeOfDay, Weekday};
use crate::waitlist::follow;

id!(
    /// A rule of a schedule.
    RuleId
);

/// Working hours of one day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The day.
    pub weekday: Weekday,
    /// The first minute of work.
    pub from: TimeOfDay,
    /// The end of work.
    pub to: TimeOfDay,
    /// The first date on which the rule holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<NaiveDate>,
    /// The last date on which the rule holds; for ever, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<NaiveDate>,
    /// Every week, when left out; 2: every second week, and so on to 8. More than 1 needs
    /// `valid_from`, whose week (from Monday) is the first in which the rule holds.
    #[serde(default = "every_week", skip_serializing_if = "is_every_week")]
    #[schema(minimum = 1, maximum = 8)]
    pub every_weeks: i32,
    /// Where the practitioner sits then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
    /// The only service that the hours are kept for; any, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
}

fn every_week() -> i32 {
    1
}

fn is_every_week(weeks: &i32) -> bool {
    *weeks == 1
}

/// The longest cycle, in weeks; the schema says the same.
const CYCLE_WEEKS_MAX: i32 = 8;
const WEEK_DAYS: i32 = 7;
/// Any two cycles meet within this, if they meet at all: 7 and 8 weeks do in 56.
const CYCLES_MEET_WEEKS: u64 = 56;

/// Weeks, from Monday on, since a Monday long ago.
fn week_number(date: NaiveDate) -> i32 {
    // Day 1 of the common era was a Monday.
    (date.num_days_from_ce() - 1).div_euclid(WEEK_DAYS)
}

impl Rule {
    /// Whether the rule holds on a date of the practitioner's calendar.
    pub fn applies(&self, date: NaiveDate) -> bool {
        self.weekday == Weekday::of(date)
            && self.valid_from.is_none_or(|first| first <= date)
            && self.valid_to.is_none_or(|last| date <= last)
            && self.is_in_turn(date)
    }

    /// Whether the week of a date is one in which the rule holds.
    fn is_in_turn(&self, date: NaiveDate) -> bool {
        let Some(first) = self.valid_from else { return true };
        let weeks = week_number(date) - week_number(first);
        weeks.checked_rem_euclid(self.every_weeks).is_none_or(|over| over == 0)
    }

    /// Whether some minute of some day belongs to both rules.
    fn overlaps(&self, other: &Self) -> bool {
        self.weekday == other.weekday
            && self.from < other.to
            && other.from < self.to
            && self.meets(other)
    }

    /// Whether both rules of one weekday hold on some date.
    fn meets(&self, other: &Self) -> bool {
        let Some(first) = self.valid_from.max(other.valid_from) else {
            // Neither begins, so both hold every week, and one of them ends last.
            return true;
        };
        let until = Days::new(CYCLES_MEET_WEEKS * 7);
        let Some(end) = first.checked_add_days(until) else { return true };
        let dates = first.iter_days().take_while(|date| *date < end);
        dates.into_iter().any(|date| self.applies(date) && other.applies(date))
    }
}

/// The most rules of one schedule.
pub const RULES_MAX: usize = 100;

/// The rules that a schedule shall have from now on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRules {
    /// All of them, at most 100; those of one day must not overlap.
    pub rules: Vec<Rule>,
}

/// When somebody works (FHIR Schedule).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Schedule {
    /// Who.
    pub practitioner: Named<PractitionerId>,
    /// The IANA zone of the wall times.
    pub time_zone: Zone,
    /// The weekly rules, by day and time.
    pub rules: Vec<Rule>,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// What the access decision must know of a practitioner's schedule.
pub(crate) fn facts(practitioner: &PractitionerRow) -> Facts {
    Facts {
        organization: Some(practitioner.organization_id),
        practitioner: Some(practitioner.id),
        ..Facts::NONE
    }
}

/// Shows a practitioner's weekly rules. 404 when the schedule is not the caller's to see.
pub fn find(tx: &mut Tx, id: PractitionerId) -> Result<Schedule, Error> {
    let practitioner = practitioner::find_row(tx, id)?;
    tx.allow(Action::ReadSchedule, &facts(&practitioner))?;
    show(tx, practitioner)
}

/// Replaces a practitioner's weekly rules; visits that are booked stay booked.
/// 412 when somebody has changed them meanwhile.
pub fn replace(
    tx: &mut Tx,
    id: PractitionerId,
    version: i32,
    wanted: &SetRules,
) -> Result<Schedule, Error> {
    let practitioner = practitioner::find_row(tx, id)?;
    let facts = facts(&practitioner);
    tx.allow(Action::EditSchedule, &facts)?;
    check(&wanted.rules)?;
    check_references(tx, id, &wanted.rules)?;
    let at_stake = follow::offered_with(tx, id)?;
    let changed = diesel::update(
        practitioners::table
            .filter(practitioners::id.eq(id))
            .filter(practitioners::schedule_version.eq(version)),
    )
    .set(practitioners::schedule_version.eq(version.saturating_add(1)))
    .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::STALE_VERSION));
    }
    diesel::delete(schedule_rules::table.filter(schedule_rules::practitioner_id.eq(id)))
        .execute(tx.conn)?;
    for rule in &wanted.rules {
        diesel::insert_into(schedule_rules::table)
            .values((
                schedule_rules::id.eq(RuleId::new(tx.now)),
                schedule_rules::practitioner_id.eq(id),
                schedule_rules::weekday.eq(rule.weekday),
                schedule_rules::from_minute.eq(rule.from),
                schedule_rules::to_minute.eq(rule.to),
                schedule_rules::valid_from.eq(rule.valid_from),
                schedule_rules::valid_to.eq(rule.valid_to),
                schedule_rules::every_weeks.eq(rule.every_weeks),
                schedule_rules::location_id.eq(rule.location),
                schedule_rules::service_id.eq(rule.service),
            ))
            .execute(tx.conn)?;
    }
    tx.record(Action::EditSchedule, "Schedule", id.0, &facts);
    follow::changed(tx, at_stake)?;
    show(tx, practitioner)
}

fn show(tx: &mut Tx, practitioner: PractitionerRow) -> Result<Schedule, Error> {
    let version = practitioners::table
        .find(practitioner.id)
        .select(practitioners::schedule_version)
        .get_result(tx.conn)?;
    let mut rules: Vec<Rule> =
        of(tx, &[practitioner.id])?.into_iter().map(|(_, rule)| rule).collect();
    rules.sort_by_key(|rule| (rule.weekday, rule.from, rule.valid_from));
    Ok(Schedule {
        practitioner: Named { id: practitioner.id, name: practitioner.name },
        time_zone: practitioner.time_zone,
        rules,
        version,
    })
}

/// The rules of some practitioners; no access decision. Index: schedule_rules_by_practitioner.
pub(crate) fn of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
) -> Result<Vec<(PractitionerId, Rule)>, Error> {
    let rules = schedule_rules::table.select((
        schedule_rules::practitioner_id,
        (
            schedule_rules::weekday,
            schedule_rules::from_minute,
            schedule_rules::to_minute,
            schedule_rules::valid_from,
            schedule_rules::valid_to,
            schedule_rules::every_weeks,
            schedule_rules::location_id,
            schedule_rules::service_id,
        ),
    ));
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    Ok(match practitioners {
        [one] => rules.filter(schedule_rules::practitioner_id.eq(one)).load(tx.conn)?,
        many => rules.filter(schedule_rules::practitioner_id.eq_any(many)).load(tx.conn)?,
    })
}

/// 422 `unknown_reference` on the first place that is not there, or service that the practitioner
/// does not give.
fn check_references(tx: &mut Tx, id: PractitionerId, rules: &[Rule]) -> Result<(), Error> {
    let given = practitioner::services_of(tx, id)?;
    let wanted = rules.iter().filter_map(|rule| rule.location).collect();
    let places = location::names(tx, wanted)?;
    let is_known = |at: LocationId| places.iter().any(|place| place.id == at);
    for (index, rule) in rules.iter().enumerate() {
        let wrong = if rule.location.is_some_and(|at| !is_known(at)) {
            "location"
        } else if rule.service.is_some_and(|service| !given.contains(&service)) {
            "service"
        } else {
            continue;
        };
        let pointer = format!("/rules/{index}/{wrong}");
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, &pointer));
    }
    Ok(())
}

fn check(rules: &[Rule]) -> Result<(), Error> {
    let wrong = |pointer: String| Err(Error::field(&problem::INVALID_BODY, &pointer));
    if rules.len() > RULES_MAX {
        return wrong("/rules".to_owned());
    }
    let is_far =
        |date: Option<NaiveDate>| date.is_some_and(|date| !(1970..=2200).contains(&date.year()));
    for (index, rule) in rules.iter().enumerate() {
        if rule.from >= rule.to {
            return wrong(format!("/rules/{index}/to"));
        }
        if is_far(rule.valid_from) {
            return wrong(format!("/rules/{index}/valid_from"));
        }
        if !(1..=CYCLE_WEEKS_MAX).contains(&rule.every_weeks) {
            return wrong(format!("/rules/{index}/every_weeks"));
        }
        if rule.every_weeks > 1 && rule.valid_from.is_none() {
            return wrong(format!("/rules/{index}/valid_from"));
        }
        let is_reversed = rule.valid_from.zip(rule.valid_to).is_some_and(|(from, to)| to < from);
        if is_far(rule.valid_to) || is_reversed {
            return wrong(format!("/rules/{index}/valid_to"));
        }
        if rules.iter().take(index).any(|earlier| earlier.overlaps(rule)) {
            return wrong(format!("/rules/{index}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        serde_json::from_str::<SetRules>(&format!(r#"{{"rules": [{text}]}}"#)).unwrap().rules
    }

    #[test]
    fn rules_of_one_day_may_touch_but_not_overlap_while_both_are_valid() {
        let morning = r#"{"weekday": "mon", "from": "09:00", "to": "12:00"}"#;
        let good = [
            r#"{"weekday": "mon", "from": "12:00", "to": "24:00"}"#,
            r#"{"weekday": "tue", "from": "09:00", "to": "12:00"}"#,
        ];
        for other in good {
            assert!(check(&rules(&format!("{morning}, {other}"))).is_ok(), "{other}");
        }
        let overlap = r#"{"weekday": "mon", "from": "11:59", "to": "13:00"}"#;
        let refused = check(&rules(&format!("{morning}, {overlap}"))).unwrap_err();
        assert!(refused.is(&problem::INVALID_BODY));

        let spring =
            r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "valid_to": "2026-05-31"}"#;
        let summer =
            r#"{"weekday": "mon", "from": "08:00", "to": "11:00", "valid_from": "2026-06-01"}"#;
        let early =
            r#"{"weekday": "mon", "from": "08:00", "to": "11:00", "valid_from": "2026-05-25"}"#;
        assert!(check(&rules(&format!("{spring}, {summer}"))).is_ok());
        assert!(check(&rules(&format!("{spring}, {early}"))).is_err());
    }

    #[test]
    fn fortnightly_rules_in_opposite_weeks_do_not_overlap() {
        let every = |weeks: i32, from: &str| {
            format!(
                r#"{{"weekday": "mon", "from": "09:00", "to": "12:00",
                    "every_weeks": {weeks}, "valid_from": "{from}"}}"#
            )
        };
        let fits = |one: &str, other: &str| check(&rules(&format!("{one}, {other}"))).is_ok();
        // 2 and 9 November are Mondays.
        assert!(fits(&every(2, "2026-11-02"), &every(2, "2026-11-09")));
        assert!(!fits(&every(2, "2026-11-02"), &every(2, "2026-11-16")));
        // The week counts, not the day: the 4th lies in the week of the 2nd.
        assert!(fits(&every(2, "2026-11-04"), &every(2, "2026-11-09")));
        assert!(!fits(&every(2, "2026-11-04"), &every(2, "2026-11-02")));
        assert!(fits(&every(4, "2026-11-02"), &every(2, "2026-11-09")));
        assert!(!fits(&every(3, "2026-11-02"), &every(2, "2026-11-09")), "they meet in time");
        assert!(!fits(&every(7, "2026-11-02"), &every(8, "2026-11-09")));
        assert!(!fits(
            &every(2, "2026-11-02"),
            r#"{"weekday": "mon", "from": "11:00", "to": "13:00"}"#
        ));
        let ends = r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "every_weeks": 3,
            "valid_from": "2026-11-02", "valid_to": "2026-11-22"}"#;
        assert!(fits(ends, &every(2, "2026-11-09")), "it ends before they meet");
    }

    #[test]
    fn a_cycle_counts_from_the_week_in_which_it_begins() {
        let one = rules(
            r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "every_weeks": 3,
                "valid_from": "2026-11-05"}"#,
        );
        let dates = ["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23", "2026-12-14"];
        let held: Vec<bool> =
            dates.iter().map(|date| one[0].applies(date.parse().unwrap())).collect();
        assert_eq!(held, [false, false, false, true, true]);
        for bad in [
            r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "every_weeks": 2}"#,
            r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "every_weeks": 0}"#,
            r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "every_weeks": 9,
                "valid_from": "2026-11-05"}"#,
        ] {
            assert!(check(&rules(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_runs_forward_and_a_schedule_has_at_most_a_hundred() {
        let backward = r#"{"weekday": "mon", "from": "12:00", "to": "12:00"}"#;
        assert!(check(&rules(backward)).is_err());
        let reversed = r#"{"weekday": "mon", "from": "09:00", "to": "12:00",
            "valid_from": "2026-06-02", "valid_to": "2026-06-01"}"#;
        assert!(check(&rules(reversed)).is_err());
        let far = r#"{"weekday": "mon", "from": "09:00", "to": "12:00", "valid_to": "9999-01-01"}"#;
        assert!(check(&rules(far)).is_err());
        let many: Vec<String> = (0..=100)
            .map(|n| {
                let (hour, minute) = (n / 20, n % 20 * 3);
                let to = format!("{hour:02}:{:02}", minute + 1);
                format!(r#"{{"weekday": "mon", "from": "{hour:02}:{minute:02}", "to": "{to}"}}"#)
            })
            .collect();
        assert!(check(&rules(&many[..100].join(", "))).is_ok());
        assert!(check(&rules(&many.join(", "))).is_err());
    }
}
