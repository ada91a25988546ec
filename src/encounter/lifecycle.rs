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
    /// While the time is held, or the request waits, and no longer than until its planned end: 410
    /// `hold_over` afterwards.
    Held,
    /// While the door is open, which is asked where somebody takes a seat.
    DoorOpen,
    /// From the planned start on: 409 `too_early` before.
    FromStart,
    /// Until it should be over, as planned or as late as its patient was told to come: 409 `visit_past`
    /// afterwards. What it was is not made another by that.
    UntilEnd,
    /// The same, but for the clinic, which finds another time for whoever was not seen.
    UntilEndOrByClinic,
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
    /// When it should be over.
    pub end: Instant,
    /// Until when it is held, or its request waits.
    pub held_until: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// Whether it is the deed of somebody of its clinic.
    pub by_clinic: bool,
}

impl When {
    /// Until when something can be put right; `None` where that is not what is said.
    pub fn last_moment(self, times: Times) -> Option<Instant> {
        let a_day_after = |at: Instant| at.plus(TimeDelta::hours(CORRECTION_HOURS));
        match self {
            Self::UntilStart => Some(times.start),
            Self::DayAfterStart => Some(a_day_after(times.start)),
            Self::DayAfterEnd => Some(a_day_after(times.ended.unwrap_or(times.start))),
            _ => None,
        }
    }

    /// Refuses what comes too early or too late.
    pub fn check(self, times: Times, now: Instant) -> Result<(), Error> {
        match self {
            Self::Always | Self::DoorOpen => Ok(()),
            Self::Held if times.held_until.is_none_or(|until| now < until) && now < times.end => {
                Ok(())
            }
            Self::Held => Err(Error::from(&problem::HOLD_OVER)),
            Self::UntilEndOrByClinic if times.by_clinic => Ok(()),
            Self::UntilEnd | Self::UntilEndOrByClinic if times.end <= now => {
                Err(Error::from(&problem::VISIT_PAST))
            }
            Self::UntilEnd | Self::UntilEndOrByClinic => Ok(()),
            Self::FromStart if now < times.start => {
                Err(Error::from(&problem::TOO_EARLY).with("opens_at", times.start))
            }
            Self::FromStart => Ok(()),
            Self::UntilStart | Self::DayAfterStart | Self::DayAfterEnd => {
                match self.last_moment(times) {
                    Some(until) if until <= now => Err(Error::from(&problem::TOO_LATE)),
                    _ => Ok(()),
                }
            }
        }
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
/// Who decides about a visit whose practitioner is away, or was offered another time, comes late at times.
const SETTLERS: By = By::Deeds(&[Action::SettleLeave, Action::AnswerOffer, Action::AcceptVacancy]);
const MOVERS: By = By::Deeds(&[
    Action::MoveAppointment,
    Action::SettleLeave,
    Action::AnswerOffer,
    Action::AcceptVacancy,
]);
const CANCELLERS: By = By::Deeds(&[Action::CancelAppointment, Action::SettleLeave]);

/// To come: neither called off nor begun, and nobody waits.
const MOVED: &[(State, State)] = &[(PROPOSED, PROPOSED), (PENDING, PENDING), (BOOKED, BOOKED)];
const CALLED_OFF: &[(State, State)] =
    &[(PROPOSED, CANCELLED), (PENDING, CANCELLED), (BOOKED, CANCELLED)];

/// Every move there is.
pub const TABLE: &[Line] = &[
    line(Act::Confirm, CONFIRMERS, When::Held, &[(PENDING, BOOKED)]),
    line(Act::Accept, By::Deeds(&[Action::AnswerRequest]), When::Held, &[(PROPOSED, BOOKED)]),
    line(Act::Decline, By::Deeds(&[Action::AnswerRequest]), When::Held, &[(PROPOSED, CANCELLED)]),
    line(Act::Expire, By::Itself, When::Always, &[(PROPOSED, CANCELLED), (PENDING, CANCELLED)]),
    line(Act::Move, SETTLERS, When::Always, MOVED),
    line(Act::Move, By::Deeds(&[Action::MoveAppointment]), When::UntilEndOrByClinic, MOVED),
    // Whoever waits has come, and is seen late perhaps: no planned end makes that untrue.
    line(Act::Move, MOVERS, When::Always, &[(WAITING, BOOKED)]),
    line(Act::Attend, By::Deeds(&[Action::Attend]), When::UntilEnd, &[(BOOKED, BOOKED)]),
    line(Act::Cancel, By::Deeds(&[Action::SettleLeave]), When::Always, CALLED_OFF),
    line(Act::Cancel, By::Deeds(&[Action::CancelAppointment]), When::UntilEnd, CALLED_OFF),
    line(Act::Cancel, CANCELLERS, When::Always, &[(WAITING, CANCELLED)]),
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

/// The lines by which `act` is done in `state`, one for each kind of deeds, and where it leads.
pub fn lines(state: State, act: Act) -> impl Iterator<Item = (&'static Line, State)> {
    TABLE.iter().filter(move |line| line.act == act).flat_map(move |line| {
        let moves = line.moves.iter().filter(move |(from, _)| *from == state);
        moves.map(move |(_, to)| (line, *to))
    })
}

/// Where `act` leads from `state`; `None` when it cannot be done there.
pub fn next(state: State, act: Act) -> Option<State> {
    lines(state, act).next().map(|(_, to)| to)
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
        for (from, act, to) in moves() {
            let all: Vec<(&Line, State)> = lines(from, act).collect();
            assert!(all.iter().all(|(_, there)| *there == to), "{from:?} {act} leads to two");
            for (at, (line, _)) in all.iter().enumerate() {
                let By::Deeds(deeds) = line.by else { continue };
                let others = all.iter().take(at).map(|(other, _)| other.by);
                let again = others.filter_map(|by| match by {
                    By::Deeds(others) => deeds.iter().find(|deed| others.contains(deed)),
                    _ => None,
                });
                assert_eq!(again.count(), 0, "{from:?} {act} is there twice for one deed");
            }
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
        let end = at("2026-11-24T02:20:00Z");
        let ended = Some(ended);
        let times = Times { start, end, held_until: None, ended, by_clinic: false };
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
        let for_long = Times { held_until: Some(at("2026-11-26T02:00:00Z")), ..times };
        let just_before = at("2026-11-24T02:19:59Z");
        assert!(When::Held.check(for_long, just_before).is_ok());
        assert!(When::Held.check(for_long, end).unwrap_err().is(&problem::HOLD_OVER));
        for when in [When::UntilEnd, When::UntilEndOrByClinic] {
            assert!(when.check(times, just_before).is_ok());
            assert!(when.check(times, end).unwrap_err().is(&problem::VISIT_PAST));
        }
        let clinic = Times { by_clinic: true, ..times };
        assert!(When::UntilEndOrByClinic.check(clinic, end).is_ok());
        assert!(When::UntilEnd.check(clinic, end).unwrap_err().is(&problem::VISIT_PAST));
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
