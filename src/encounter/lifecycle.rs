//! The life of a visit: one table for the appointment and its encounter. Each act has one or more
//! lines in it: by which deeds it is done, until when, and from which state to which.
//!
//! The codes are FHIR R4's (AppointmentStatus, EncounterStatus). What is not in the table
//! cannot happen, nor by another deed, nor at another time: [`crate::encounter::advance`] asks it for
//! all three. The database refuses to reopen what has ended, but for the corrections that are here.
//! `docs/lifecycle.md` is generated from it.

use chrono::TimeDelta;

use crate::access::table::Action;
use crate::base::column::{Instant, text_enum};
use crate::base::error::Error;
use crate::base::problem;

text_enum!(
    /// FHIR R4 AppointmentStatus, as far as we use it.
    AppointmentStatus {
        /// Asked for; the clinic has not yet answered.
        Proposed = "proposed",
        /// Held for a few minutes, not yet confirmed.
        Pending = "pending",
        /// Promised to the patient.
        Booked = "booked",
        /// The patient is here: waits, or talks.
        Arrived = "arrived",
        /// The visit took place.
        Fulfilled = "fulfilled",
        /// Called off.
        Cancelled = "cancelled",
        /// The patient did not come.
        Noshow = "noshow",
    }
);

text_enum!(
    /// FHIR R4 EncounterStatus, as far as we use it.
    EncounterStatus {
        /// Nobody is here yet.
        Planned = "planned",
        /// The patient waits.
        Arrived = "arrived",
        /// Patient and practitioner talk.
        InProgress = "in-progress",
        /// Interrupted: somebody has left for a while, or the patient was sent back to wait.
        Onleave = "onleave",
        /// Over.
        Finished = "finished",
        /// Did not take place.
        Cancelled = "cancelled",
    }
);

text_enum!(
    /// What moves a visit from one state to the next.
    Act {
        /// The held time is taken for good.
        Confirm = "confirm",
        /// The clinic takes on a visit that was asked for.
        Accept = "accept",
        /// The clinic does not.
        Decline = "decline",
        /// Put to another time or another practitioner; nothing has begun yet, though the patient may
        /// wait.
        Move = "move",
        /// The patient has said that they will come.
        Attend = "attend",
        /// Nobody confirmed the held time, or answered the request.
        Expire = "expire",
        /// Called off.
        Cancel = "cancel",
        /// The patient did not come, or left before anybody could see them.
        Noshow = "noshow",
        /// The patient enters the waiting room.
        Arrive = "arrive",
        /// The patient is let in.
        Admit = "admit",
        /// Somebody has left, or the patient is sent back to wait.
        Interrupt = "interrupt",
        /// Both are here again.
        Resume = "resume",
        /// The practitioner ends the visit.
        Finish = "finish",
        /// That somebody did not come, or came, was a mistake, or that it was called off.
        Undo = "undo",
        /// Whoever was away is there after all: what that called off stands again.
        Reinstate = "reinstate",
        /// The same of a time that was only held.
        HoldAgain = "hold_again",
        /// The same of a visit that was only asked for.
        AskAgain = "ask_again",
        /// That the talk had ended was a mistake: it is interrupted.
        Reopen = "reopen",
        /// It was ended by mistake before there was a talk: the patient is expected again.
        Expect = "expect",
        /// The visit goes on by telephone, or in writing.
        Convert = "convert",
    }
);

/// The states of an appointment and of its encounter; they move together.
pub type State = (AppointmentStatus, EncounterStatus);

/// Whose deed an act is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Of whoever may do one of these (`access::table`).
    Deeds(&'static [Action]),
    /// Of whoever comes, goes, is let in or sent out; what is decided at the door decides.
    Coming,
    /// Nobody's: it follows from the clock, or from a time that somebody else needs or gives back.
    Itself,
}

/// When an act can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At any time.
    Always,
    /// While the time is held, or the request waits: 410 `hold_over` afterwards.
    Held,
    /// While the door is open, which is asked where somebody takes a seat.
    DoorOpen,
    /// From the planned start on: 409 `too_early` before.
    FromStart,
    /// Until the planned start: 409 `too_late` afterwards.
    UntilStart,
    /// Until a day after the planned start: 409 `too_late` afterwards.
    DayAfterStart,
    /// Until a day after the end: 409 `too_late` afterwards.
    DayAfterEnd,
}

/// How long after its start, or its end, something can be corrected, in hours.
const CORRECTION_HOURS: i64 = 24;

/// What an act's time is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the visit is planned to begin.
    pub start: Instant,
    /// Until when it is held, or its request waits.
    pub held_until: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
}

impl When {
    /// Refuses what comes too early or too late.
    pub fn check(self, times: Times, now: Instant) -> Result<(), Error> {
        let a_day_after = |at: Instant| at.plus(TimeDelta::hours(CORRECTION_HOURS));
        let until = match self {
            Self::Always | Self::DoorOpen => return Ok(()),
            Self::Held if times.held_until.is_some_and(|until| until <= now) => {
                return Err(Error::from(&problem::HOLD_OVER));
            }
            Self::Held => return Ok(()),
            Self::FromStart if now < times.start => {
                return Err(Error::from(&problem::TOO_EARLY).with("opens_at", times.start));
            }
            Self::FromStart => return Ok(()),
            Self::UntilStart => times.start,
            Self::DayAfterStart => a_day_after(times.start),
            Self::DayAfterEnd => a_day_after(times.ended.unwrap_or(times.start)),
        };
        if now < until { Ok(()) } else { Err(Error::from(&problem::TOO_LATE)) }
    }
}

/// An act, by which deeds and when it is done, and what it makes of a visit.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The act.
    pub act: Act,
    /// Whose deed it is.
    pub by: By,
    /// When.
    pub when: When,
    /// From which state to which.
    pub moves: &'static [(State, State)],
}

const PROPOSED: State = (AppointmentStatus::Proposed, EncounterStatus::Planned);
const PENDING: State = (AppointmentStatus::Pending, EncounterStatus::Planned);
const BOOKED: State = (AppointmentStatus::Booked, EncounterStatus::Planned);
const WAITING: State = (AppointmentStatus::Arrived, EncounterStatus::Arrived);
const TALKING: State = (AppointmentStatus::Arrived, EncounterStatus::InProgress);
const BROKEN_OFF: State = (AppointmentStatus::Arrived, EncounterStatus::Onleave);
const FINISHED: State = (AppointmentStatus::Fulfilled, EncounterStatus::Finished);
const CANCELLED: State = (AppointmentStatus::Cancelled, EncounterStatus::Cancelled);
const MISSED: State = (AppointmentStatus::Noshow, EncounterStatus::Cancelled);

const CONFIRMERS: By =
    By::Deeds(&[Action::ConfirmAppointment, Action::AcceptVacancy, Action::AnswerOffer]);
const MOVERS: By = By::Deeds(&[
    Action::MoveAppointment,
    Action::SettleLeave,
    Action::AnswerOffer,
    Action::AcceptVacancy,
]);

/// Every move there is.
pub const TABLE: &[Line] = &[
    line(Act::Confirm, CONFIRMERS, When::Held, &[(PENDING, BOOKED)]),
    line(Act::Accept, By::Deeds(&[Action::AnswerRequest]), When::Held, &[(PROPOSED, BOOKED)]),
    line(Act::Decline, By::Deeds(&[Action::AnswerRequest]), When::Always, &[(PROPOSED, CANCELLED)]),
    line(Act::Expire, By::Itself, When::Always, &[(PROPOSED, CANCELLED), (PENDING, CANCELLED)]),
    line(
        Act::Move,
        MOVERS,
        When::Always,
        &[(PROPOSED, PROPOSED), (PENDING, PENDING), (BOOKED, BOOKED), (WAITING, BOOKED)],
    ),
    line(Act::Attend, By::Deeds(&[Action::Attend]), When::Always, &[(BOOKED, BOOKED)]),
    line(
        Act::Cancel,
        By::Deeds(&[Action::CancelAppointment, Action::SettleLeave]),
        When::Always,
        &[(PROPOSED, CANCELLED), (PENDING, CANCELLED), (BOOKED, CANCELLED), (WAITING, CANCELLED)],
    ),
    line(
        Act::Noshow,
        By::Deeds(&[Action::MarkNoshow, Action::FinishEncounter]),
        When::FromStart,
        &[(BOOKED, MISSED), (WAITING, MISSED)],
    ),
    line(Act::Arrive, By::Coming, When::DoorOpen, &[(BOOKED, WAITING)]),
    line(Act::Admit, By::Coming, When::DoorOpen, &[(WAITING, TALKING)]),
    line(Act::Interrupt, By::Coming, When::Always, &[(TALKING, BROKEN_OFF)]),
    line(Act::Resume, By::Coming, When::DoorOpen, &[(BROKEN_OFF, TALKING)]),
    line(
        Act::Finish,
        By::Deeds(&[Action::FinishEncounter]),
        When::Always,
        &[(WAITING, FINISHED), (TALKING, FINISHED), (BROKEN_OFF, FINISHED)],
    ),
    line(
        Act::Convert,
        By::Deeds(&[Action::FinishEncounter, Action::WorkTask]),
        When::Always,
        &[(BOOKED, FINISHED), (WAITING, FINISHED), (TALKING, FINISHED), (BROKEN_OFF, FINISHED)],
    ),
    // Corrections. Each is audited, as what it corrects was.
    line(
        Act::Undo,
        By::Deeds(&[Action::UndoAppointment]),
        When::DayAfterStart,
        &[(MISSED, BOOKED), (WAITING, BOOKED)],
    ),
    line(
        Act::Undo,
        By::Deeds(&[Action::UndoAppointment]),
        When::UntilStart,
        &[(CANCELLED, BOOKED)],
    ),
    line(Act::Reinstate, By::Deeds(&[Action::SettleLeave]), When::Always, &[(CANCELLED, BOOKED)]),
    line(Act::HoldAgain, By::Deeds(&[Action::SettleLeave]), When::Always, &[(CANCELLED, PENDING)]),
    line(Act::AskAgain, By::Deeds(&[Action::SettleLeave]), When::Always, &[(CANCELLED, PROPOSED)]),
    line(
        Act::Reopen,
        By::Deeds(&[Action::ReopenEncounter]),
        When::DayAfterEnd,
        &[(FINISHED, BROKEN_OFF)],
    ),
    line(
        Act::Expect,
        By::Deeds(&[Action::ReopenEncounter]),
        When::DayAfterEnd,
        &[(FINISHED, BOOKED)],
    ),
];

const fn line(act: Act, by: By, when: When, moves: &'static [(State, State)]) -> Line {
    Line { act, by, when, moves }
}

impl Act {
    /// Whether it puts right what was written down wrongly.
    pub fn is_correction(self) -> bool {
        matches!(
            self,
            Self::Undo
                | Self::Reinstate
                | Self::HoldAgain
                | Self::AskAgain
                | Self::Reopen
                | Self::Expect
        )
    }
}

/// Whether a visit has ended.
pub fn is_over(status: EncounterStatus) -> bool {
    matches!(status, EncounterStatus::Finished | EncounterStatus::Cancelled)
}

/// Whether a signed note forbids to go from one state to another. It says that the visit took place: who
/// has come is not expected again, nor missed, nor called off, and what has ended goes on no more.
pub fn is_settled_by_a_note(from: State, to: State) -> bool {
    use EncounterStatus::{Arrived, Cancelled, Finished, InProgress, Onleave, Planned};
    match from.1 {
        Arrived | InProgress | Onleave => matches!(to.1, Planned | Cancelled),
        Finished => true,
        Planned | Cancelled => false,
    }
}

/// The line by which `act` is done in `state`, and where it leads; `None` when it cannot be done
/// there.
pub fn find(state: State, act: Act) -> Option<(&'static Line, State)> {
    let lines = TABLE.iter().filter(|line| line.act == act);
    let mut moves =
        lines.flat_map(|line| line.moves.iter().map(move |(from, to)| (line, from, to)));
    moves.find(|(_, from, _)| **from == state).map(|(line, _, to)| (line, *to))
}

/// Where `act` leads from `state`; `None` when it cannot be done there.
pub fn next(state: State, act: Act) -> Option<State> {
    find(state, act).map(|(_, to)| to)
}

/// Every move: from, act, to.
pub fn moves() -> impl Iterator<Item = (State, Act, State)> {
    TABLE.iter().flat_map(|line| line.moves.iter().map(|(from, to)| (*from, line.act, *to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_function_and_nothing_but_a_correction_leaves_an_end() {
        for (at, (from, act, to)) in moves().enumerate() {
            let same = moves().position(|(f, a, _)| f == from && a == act);
            assert_eq!(same, Some(at), "{from:?} {act} is there twice");
            assert!(!is_over(from.1) || act.is_correction(), "{from:?} is an end");
            // Whoever waits in vain can be moved, and is expected again.
            let stays =
                matches!(act, Act::Move | Act::Attend) && from.0 != AppointmentStatus::Arrived;
            assert_eq!(from == to, stays, "{from:?} {act}");
        }
        assert!(TABLE.iter().all(|line| line.by != By::Deeds(&[])), "somebody does it");
    }

    #[test]
    fn every_state_is_reached_from_a_request_a_hold_or_a_booking_and_can_end() {
        let mut reached = vec![PROPOSED, PENDING, BOOKED];
        let mut at = 0;
        while let Some(state) = reached.get(at).copied() {
            at += 1;
            for act in Act::ALL {
                if let Some(to) = next(state, *act).filter(|to| !reached.contains(to)) {
                    reached.push(to);
                }
            }
            let can_end = is_over(state.1)
                || Act::ALL.iter().any(|act| next(state, *act).is_some_and(|to| is_over(to.1)));
            assert!(can_end, "{state:?} has no way out");
        }
        for status in AppointmentStatus::ALL {
            assert!(reached.iter().any(|(appointment, _)| appointment == status), "{status}");
        }
        for status in EncounterStatus::ALL {
            assert!(reached.iter().any(|(_, encounter)| encounter == status), "{status}");
        }
    }

    #[test]
    fn what_is_corrected_has_a_last_moment() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let (start, ended) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T05:00:00Z"));
        let times = Times { start, held_until: None, ended: Some(ended) };
        for line in TABLE.iter().filter(|line| line.act.is_correction()) {
            let last = match line.act {
                // A plan has its own ten minutes.
                Act::Reinstate | Act::HoldAgain | Act::AskAgain => continue,
                Act::Undo if line.when == When::UntilStart => "2026-11-24T01:59:59Z",
                Act::Undo => "2026-11-25T01:59:59Z",
                _ => "2026-11-25T04:59:59Z",
            };
            assert!(line.when.check(times, at(last)).is_ok(), "{}", line.act);
            let late = at(last).plus(TimeDelta::seconds(1));
            let refused = line.when.check(times, late).unwrap_err();
            assert!(refused.is(&problem::TOO_LATE), "{}", line.act);
        }
        let early = When::FromStart.check(times, at("2026-11-24T01:59:59Z")).unwrap_err();
        assert!(early.is(&problem::TOO_EARLY));
        let held = Times { held_until: Some(start), ..times };
        assert!(When::Held.check(held, start).unwrap_err().is(&problem::HOLD_OVER));
    }

    #[test]
    fn only_the_practitioner_s_acts_end_a_visit_that_has_begun() {
        for (from, act, to) in moves() {
            if [TALKING, BROKEN_OFF].contains(&from) && is_over(to.1) {
                assert!(matches!(act, Act::Finish | Act::Convert));
            }
        }
    }
}
