//! Whether one can come in now, and what to say when not. Pure.

use chrono::TimeDelta;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::column::{Instant, text_enum};
use crate::base::config;
use crate::encounter::lifecycle::{AppointmentStatus, EncounterStatus};

text_enum!(
    /// Why one cannot come in.
    Closed {
        /// Not yet; `opens_at` says when.
        TooEarly = "too_early",
        /// The visit has ended, or its time is over.
        Over = "over",
        /// It was called off.
        Cancelled = "cancelled",
        /// The time is only held; confirm it first.
        OnHold = "on_hold",
    }
);

/// The longest a visit whose patient has come stays open after its planned end, in hours.
const RUNNING_HOURS_MAX: i64 = 2;

/// What the door of a visit goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it is planned to begin.
    pub start: Instant,
    /// When it is planned to end.
    pub end: Instant,
    /// By when it will begin, as its patient was told when the practitioner was late.
    pub told: Option<Instant>,
}

impl Times {
    /// When it should be over: as planned, or as late as it was told to begin.
    pub fn over_at(self) -> Instant {
        let length = self.end.since(self.start);
        self.told.map_or(self.end, |told| self.end.max(told.plus(length)))
    }
}

/// The state of the door at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Door {
    /// Whether one can come in now.
    pub can_join: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Closed>,
    /// When it opens, or opened.
    pub opens_at: Instant,
    /// When it closes, or closed; while the patient and the practitioner talk this moves on.
    pub closes_at: Instant,
    /// The server's time, so that a page with a wrong clock counts down rightly.
    pub server_time: Instant,
    /// Ask again after this many seconds.
    pub poll_after: u32,
}

/// The door of a visit at `now`.
pub fn door(
    (appointment, encounter): (AppointmentStatus, EncounterStatus),
    times: Times,
    now: Instant,
    rules: &config::Visit,
) -> Door {
    let opens_at = times.start.minus(TimeDelta::minutes(i64::from(rules.opens_before_minutes)));
    let has_come = matches!(
        encounter,
        EncounterStatus::Arrived | EncounterStatus::InProgress | EncounterStatus::Onleave
    );
    let grace = TimeDelta::minutes(i64::from(rules.closes_after_minutes));
    // A patient who has come is not sent away because the doctor is late, nor one who comes when
    // they were told to.
    let after = if has_come { grace.max(TimeDelta::hours(RUNNING_HOURS_MAX)) } else { grace };
    let closes_at = times.over_at().plus(after);
    // A talk is not cut off by the clock: it ends when one of the two leaves, or is signed out.
    let talks = encounter == EncounterStatus::InProgress;
    let closes_at = if talks { closes_at.max(now.plus(grace)) } else { closes_at };
    let reason = match (appointment, encounter) {
        (AppointmentStatus::Proposed | AppointmentStatus::Pending, _) => Some(Closed::OnHold),
        (AppointmentStatus::Cancelled | AppointmentStatus::Noshow, _) => Some(Closed::Cancelled),
        (_, EncounterStatus::Cancelled) => Some(Closed::Cancelled),
        (_, EncounterStatus::Finished) => Some(Closed::Over),
        _ if now < opens_at => Some(Closed::TooEarly),
        _ if now >= closes_at && !talks => Some(Closed::Over),
        _ => None,
    };
    let poll_after = match reason {
        None => 5,
        Some(Closed::TooEarly) => {
            let seconds = opens_at.since(now).num_seconds().clamp(1, 60);
            u32::try_from(seconds).unwrap_or(60)
        }
        Some(Closed::OnHold) => 10,
        Some(Closed::Over | Closed::Cancelled) => 300,
    };
    Door { can_join: reason.is_none(), reason, opens_at, closes_at, server_time: now, poll_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn asked(now: &str, appointment: AppointmentStatus, encounter: EncounterStatus) -> Door {
        let rules = config::Config::defaults().unwrap().visit;
        door((appointment, encounter), times(None), at(now), &rules)
    }

    fn times(told: Option<&str>) -> Times {
        let (start, end) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T02:30:00Z"));
        Times { start, end, told: told.map(at) }
    }

    #[test]
    fn the_door_opens_a_quarter_before_and_says_so_earlier() {
        use {AppointmentStatus::Booked, EncounterStatus::Planned};
        let early = asked("2026-11-24T01:44:59Z", Booked, Planned);
        assert_eq!(
            (early.can_join, early.reason, early.poll_after),
            (false, Some(Closed::TooEarly), 1)
        );
        assert_eq!(early.opens_at, at("2026-11-24T01:45:00Z"));
        assert!(asked("2026-11-24T01:45:00Z", Booked, Planned).can_join);
        assert!(asked("2026-11-24T02:59:59Z", Booked, Planned).can_join);
        assert_eq!(asked("2026-11-24T03:00:00Z", Booked, Planned).reason, Some(Closed::Over));
    }

    #[test]
    fn a_patient_who_has_come_is_not_cut_off_by_the_clock() {
        use AppointmentStatus::Arrived;
        for status in [EncounterStatus::Arrived, EncounterStatus::Onleave] {
            assert!(asked("2026-11-24T04:29:00Z", Arrived, status).can_join, "{status}");
            assert!(!asked("2026-11-24T04:31:00Z", Arrived, status).can_join, "{status}");
        }
    }

    #[test]
    fn a_talk_is_never_cut_off_by_the_clock() {
        use AppointmentStatus::Arrived;
        for now in ["2026-11-24T02:10:00Z", "2026-11-24T04:31:00Z", "2026-11-25T02:00:00Z"] {
            let talk = asked(now, Arrived, EncounterStatus::InProgress);
            assert!(talk.can_join && talk.closes_at > at(now), "{now}");
        }
    }

    #[test]
    fn who_comes_as_late_as_they_were_told_to_finds_the_door_open() {
        use {AppointmentStatus::Booked, EncounterStatus::Planned};
        let rules = config::Config::defaults().unwrap().visit;
        let late = |now: &str, state, told: &str| {
            let found = door(state, times(Some(told)), at(now), &rules);
            (found.can_join, found.closes_at)
        };
        let planned = (Booked, Planned);
        let told = "2026-11-24T05:00:00Z";
        // Half an hour's visit from then on, and the half hour that everybody has.
        let closes_at = at("2026-11-24T06:00:00Z");
        assert_eq!(late("2026-11-24T05:59:59Z", planned, told), (true, closes_at));
        assert_eq!(late("2026-11-24T06:00:00Z", planned, told), (false, closes_at));
        let waits = (AppointmentStatus::Arrived, EncounterStatus::Arrived);
        assert!(late("2026-11-24T07:29:59Z", waits, told).0);
        assert!(!late("2026-11-24T07:30:00Z", waits, told).0);
        // That it is on time again takes nothing away.
        let on_time = late("2026-11-24T02:59:59Z", planned, "2026-11-24T02:00:00Z");
        assert_eq!(on_time, (true, at("2026-11-24T03:00:00Z")));
    }

    #[test]
    fn what_is_over_stays_shut() {
        use AppointmentStatus as A;
        use EncounterStatus as E;
        let now = "2026-11-24T02:10:00Z";
        assert_eq!(asked(now, A::Fulfilled, E::Finished).reason, Some(Closed::Over));
        assert_eq!(asked(now, A::Cancelled, E::Cancelled).reason, Some(Closed::Cancelled));
        assert_eq!(asked(now, A::Pending, E::Planned).reason, Some(Closed::OnHold));
    }
}
