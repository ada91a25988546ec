//! The life of a visit: one table for the appointment and its encounter.
//!
//! The codes are FHIR R4's (AppointmentStatus, EncounterStatus). What is not in the table
//! cannot happen; the database refuses to reopen what has ended.

use crate::base::column::text_enum;

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
        /// That somebody did not come, or came, was a mistake.
        Undo = "undo",
        /// That it was called off is taken back.
        Reinstate = "reinstate",
        /// The visit goes on by telephone, or in writing.
        Convert = "convert",
    }
);

/// The states of an appointment and of its encounter; they move together.
pub type State = (AppointmentStatus, EncounterStatus);

/// Every move there is: from, act, to.
pub const TABLE: &[(State, Act, State)] = {
    use Act as Do;
    use AppointmentStatus as A;
    use EncounterStatus as E;
    &[
        ((A::Proposed, E::Planned), Do::Accept, (A::Booked, E::Planned)),
        ((A::Proposed, E::Planned), Do::Decline, (A::Cancelled, E::Cancelled)),
        ((A::Proposed, E::Planned), Do::Expire, (A::Cancelled, E::Cancelled)),
        ((A::Proposed, E::Planned), Do::Cancel, (A::Cancelled, E::Cancelled)),
        ((A::Proposed, E::Planned), Do::Move, (A::Proposed, E::Planned)),
        ((A::Pending, E::Planned), Do::Move, (A::Pending, E::Planned)),
        ((A::Booked, E::Planned), Do::Move, (A::Booked, E::Planned)),
        ((A::Booked, E::Planned), Do::Attend, (A::Booked, E::Planned)),
        ((A::Noshow, E::Cancelled), Do::Undo, (A::Booked, E::Planned)),
        ((A::Arrived, E::Arrived), Do::Undo, (A::Booked, E::Planned)),
        ((A::Cancelled, E::Cancelled), Do::Reinstate, (A::Booked, E::Planned)),
        ((A::Pending, E::Planned), Do::Confirm, (A::Booked, E::Planned)),
        ((A::Pending, E::Planned), Do::Expire, (A::Cancelled, E::Cancelled)),
        ((A::Pending, E::Planned), Do::Cancel, (A::Cancelled, E::Cancelled)),
        ((A::Booked, E::Planned), Do::Cancel, (A::Cancelled, E::Cancelled)),
        ((A::Booked, E::Planned), Do::Noshow, (A::Noshow, E::Cancelled)),
        ((A::Booked, E::Planned), Do::Arrive, (A::Arrived, E::Arrived)),
        ((A::Booked, E::Planned), Do::Convert, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::Arrived), Do::Move, (A::Booked, E::Planned)),
        ((A::Arrived, E::Arrived), Do::Cancel, (A::Cancelled, E::Cancelled)),
        ((A::Arrived, E::Arrived), Do::Noshow, (A::Noshow, E::Cancelled)),
        ((A::Arrived, E::Arrived), Do::Admit, (A::Arrived, E::InProgress)),
        ((A::Arrived, E::Arrived), Do::Finish, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::Arrived), Do::Convert, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::InProgress), Do::Interrupt, (A::Arrived, E::Onleave)),
        ((A::Arrived, E::InProgress), Do::Finish, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::InProgress), Do::Convert, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::Onleave), Do::Resume, (A::Arrived, E::InProgress)),
        ((A::Arrived, E::Onleave), Do::Finish, (A::Fulfilled, E::Finished)),
        ((A::Arrived, E::Onleave), Do::Convert, (A::Fulfilled, E::Finished)),
    ]
};

/// Where `act` leads from `state`; `None` when it cannot be done there.
pub fn next(state: State, act: Act) -> Option<State> {
    TABLE.iter().find(|(from, with, _)| *from == state && *with == act).map(|(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(state: State) -> bool {
        matches!(state.1, EncounterStatus::Finished | EncounterStatus::Cancelled)
    }

    #[test]
    fn the_table_is_a_function_and_nothing_but_a_correction_leaves_an_end() {
        for (at, (from, act, to)) in TABLE.iter().enumerate() {
            let same = TABLE.iter().position(|(f, a, _)| f == from && a == act);
            assert_eq!(same, Some(at), "{from:?} {act} is there twice");
            let corrects = matches!(act, Act::Undo | Act::Reinstate);
            assert!(!over(*from) || corrects, "{from:?} is an end");
            // Whoever waits in vain can be moved, and is expected again.
            let stays =
                matches!(act, Act::Move | Act::Attend) && from.0 != AppointmentStatus::Arrived;
            assert_eq!(from == to, stays, "{from:?} {act}");
        }
    }

    #[test]
    fn every_state_is_reached_from_a_request_a_hold_or_a_booking_and_can_end() {
        let mut reached = vec![
            (AppointmentStatus::Proposed, EncounterStatus::Planned),
            (AppointmentStatus::Pending, EncounterStatus::Planned),
            (AppointmentStatus::Booked, EncounterStatus::Planned),
        ];
        let mut at = 0;
        while let Some(state) = reached.get(at).copied() {
            at += 1;
            for act in Act::ALL {
                if let Some(to) = next(state, *act).filter(|to| !reached.contains(to)) {
                    reached.push(to);
                }
            }
            let can_end =
                over(state) || Act::ALL.iter().any(|act| next(state, *act).is_some_and(over));
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
    fn what_was_called_off_or_took_place_stays_so_but_for_a_correction() {
        for (from, act, _) in TABLE {
            assert!(from.0 != AppointmentStatus::Fulfilled);
            assert!(from.0 != AppointmentStatus::Cancelled || *act == Act::Reinstate);
            assert!(from.0 != AppointmentStatus::Noshow || *act == Act::Undo);
        }
    }

    #[test]
    fn only_the_practitioner_s_acts_end_a_visit_that_has_begun() {
        for (from, act, to) in TABLE {
            if matches!(from.1, EncounterStatus::InProgress | EncounterStatus::Onleave) && over(*to)
            {
                assert!(matches!(act, Act::Finish | Act::Convert));
            }
        }
    }
}
