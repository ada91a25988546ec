//! Who takes part in a visit, as everybody in it must know: who belongs to the patient, who sits at
//! whose device, who is aside, and whether the door is locked.

use crate::base::error::Error;
use crate::base::tx::{Event, Tx};
use crate::encounter::{
    Admission, EncounterId, ParticipantId, ParticipantRole, ParticipantRow, ParticipantState,
    count_change, find_row, participants,
};

/// The people of a visit and its door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// Counts the changes of the visit; of two, the higher is the newer.
    pub rev: i32,
    /// Nobody new comes in.
    pub locked: bool,
    /// Everybody who is asked to come, here or not.
    pub people: Vec<Companion>,
}

/// Somebody who is asked to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Companion {
    /// Their part in the visit.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
    /// At whose device they sit, if not at one of their own.
    pub sits_with: Option<ParticipantId>,
    /// In the side room.
    pub aside: bool,
    /// Whether they are let in: a room that was not told so hears it with the next party.
    pub admission: Admission,
}

impl Party {
    /// The party of a visit whose rows are at hand; whoever was sent out is not of it.
    pub fn new((rev, locked): (i32, bool), people: &[ParticipantRow]) -> Self {
        Self { rev, locked, people: standing(people).map(companion).collect() }
    }

    /// Whether somebody is in the side room.
    pub fn is_aside(&self, id: ParticipantId) -> bool {
        self.people.iter().any(|one| one.id == id && one.aside)
    }

    /// Who of the patient's side is not here yet, by role. Whoever sits at another's device is here
    /// when that one is.
    pub fn awaited(&self, is_here: impl Fn(ParticipantId) -> bool) -> Vec<ParticipantRole> {
        self.by_presence(is_here, false)
    }

    /// Who of the patient's side is here, by role.
    pub fn here(&self, is_here: impl Fn(ParticipantId) -> bool) -> Vec<ParticipantRole> {
        self.by_presence(is_here, true)
    }

    fn by_presence(
        &self,
        is_here: impl Fn(ParticipantId) -> bool,
        wanted: bool,
    ) -> Vec<ParticipantRole> {
        let here = |one: &Companion| is_here(one.id) || one.sits_with.is_some_and(&is_here);
        // The patient first, whoever was written down first.
        let roles = ParticipantRole::ALL.iter().copied().filter(|role| is_of_patient(*role));
        roles
            .flat_map(|role| self.people.iter().filter(move |one| one.role == role))
            .filter(|one| here(one) == wanted)
            .map(|one| one.role)
            .collect()
    }
}

/// Whether somebody comes for the patient, so that the doctor waits for all of them.
pub fn is_of_patient(role: ParticipantRole) -> bool {
    match role {
        ParticipantRole::Patient
        | ParticipantRole::Relative
        | ParticipantRole::Feldsher
        | ParticipantRole::Interpreter => true,
        ParticipantRole::Practitioner | ParticipantRole::Specialist | ParticipantRole::Trainee => {
            false
        }
    }
}

/// Whether somebody's coming is the patient's coming: the patient's own, or, for a patient who
/// cannot sign in (a child, who has no telephone), that of the relative or the feldsher with them.
pub fn comes_as_patient(role: ParticipantRole, people: &[ParticipantRow]) -> bool {
    // Who has only looked at the page has not come; whoever sits with somebody has.
    let has_part = |one: &ParticipantRow| {
        let has_come = one.state != ParticipantState::Invited || one.sits_with.is_some();
        one.role == ParticipantRole::Patient && has_come
    };
    has_patients_place(role, people.iter().any(has_part))
}

/// Whether somebody has the patient's place: the patient, or whoever is there for one who has no part
/// of their own; `own` says that they have.
pub fn has_patients_place(role: ParticipantRole, own: bool) -> bool {
    match role {
        ParticipantRole::Patient => true,
        ParticipantRole::Relative | ParticipantRole::Feldsher => !own,
        ParticipantRole::Practitioner
        | ParticipantRole::Specialist
        | ParticipantRole::Interpreter
        | ParticipantRole::Trainee => false,
    }
}

/// The party of a visit. The caller has made the access decision.
pub fn of(tx: &mut Tx, id: EncounterId) -> Result<Party, Error> {
    let row = find_row(tx, id)?;
    let people = participants(tx, id)?;
    Ok(Party::new((row.room_rev, row.locked), &people))
}

/// Tells the room who takes part now. The caller holds the visit's lock.
pub(super) fn tell(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    count_change(tx, id)?;
    let party = of(tx, id)?;
    tx.tell(Event::PartyChanged(id, party));
    Ok(())
}

/// Tells the room what was decided about somebody. The caller holds the visit's lock.
pub(super) fn tell_decision(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
    admission: Admission,
) -> Result<(), Error> {
    let rev = count_change(tx, id)?;
    tx.tell(Event::Admission(id, participant, admission, rev));
    Ok(())
}

/// Those who are still asked to come.
pub(super) fn standing(people: &[ParticipantRow]) -> impl Iterator<Item = &ParticipantRow> {
    people.iter().filter(|one| one.state != ParticipantState::Removed)
}

/// Some of those who are still asked to come, and with them whoever sits at their device.
pub(super) fn with_those_beside(
    people: &[ParticipantRow],
    goes: impl Fn(&ParticipantRow) -> bool,
) -> Vec<&ParticipantRow> {
    let hosts: Vec<ParticipantId> =
        people.iter().filter(|one| goes(one)).map(|one| one.id).collect();
    let is_beside = |one: &ParticipantRow| one.sits_with.is_some_and(|host| hosts.contains(&host));
    standing(people).filter(|one| goes(one) || is_beside(one)).collect()
}

fn companion(row: &ParticipantRow) -> Companion {
    let conducts = row.role == ParticipantRole::Practitioner;
    let admission = match row.state {
        ParticipantState::Removed => Admission::Removed,
        ParticipantState::Denied => Admission::Denied,
        // Whoever was let in and has left is let in when they come back.
        _ if conducts || row.admitted_at.is_some() => Admission::Admitted,
        _ => Admission::Held,
    };
    Companion { id: row.id, role: row.role, sits_with: row.sits_with, aside: row.aside, admission }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn one(number: u128, role: ParticipantRole, sits_with: Option<u128>) -> Companion {
        let id = |number| ParticipantId(Uuid::from_u128(number));
        let (sits_with, aside) = (sits_with.map(id), false);
        Companion { id: id(number), role, sits_with, aside, admission: Admission::Held }
    }

    #[test]
    fn the_party_says_who_is_let_in() {
        use ParticipantState::{Admitted, Denied, Invited, Left, Removed, Waiting};
        let now: crate::base::column::Instant = "2026-11-24T02:00:00Z".parse().unwrap();
        let row = |state, is_let_in: bool| ParticipantRow {
            id: ParticipantId(Uuid::from_u128(1)),
            encounter_id: EncounterId(Uuid::from_u128(2)),
            account_id: crate::account::AccountId(Uuid::from_u128(3)),
            role: ParticipantRole::Relative,
            name: "Asha".to_owned(),
            state,
            waiting_since: None,
            admitted_at: is_let_in.then_some(now),
            sits_with: None,
            aside: false,
            brought: false,
        };
        let people = [
            row(Admitted, true),
            row(Left, true),
            row(Left, false),
            row(Invited, false),
            row(Waiting, false),
            row(Denied, false),
            row(Removed, false),
            ParticipantRow { role: ParticipantRole::Practitioner, ..row(Invited, false) },
        ];
        let party = Party::new((1, false), &people);
        let said: Vec<Admission> = party.people.iter().map(|one| one.admission).collect();
        let (inside, outside) = (Admission::Admitted, Admission::Held);
        assert_eq!(
            said,
            [inside, inside, outside, outside, outside, Admission::Denied, inside],
            "whoever has left is let in when they come back"
        );
    }

    #[test]
    fn whoever_comes_for_the_patient_is_waited_for_together() {
        use ParticipantRole::{Feldsher, Interpreter, Patient, Practitioner, Specialist};
        let people = vec![
            one(1, Patient, None),
            one(2, Practitioner, None),
            one(3, Interpreter, None),
            one(4, Feldsher, Some(1)),
            one(5, Specialist, None),
        ];
        let party = Party { rev: 0, locked: false, people };
        let only = |number| move |id: ParticipantId| id.0.as_u128() == number;
        assert_eq!(party.awaited(only(9)), [Patient, Feldsher, Interpreter]);
        assert_eq!(party.awaited(only(1)), [Interpreter], "the feldsher sits beside the patient");
        assert_eq!(party.here(only(1)), [Patient, Feldsher]);
        assert_eq!(party.here(only(3)), [Interpreter]);
    }
}
