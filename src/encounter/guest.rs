//! Others who take part in a visit: asked to come by the patient or by the clinic, let in like the
//! patient, and sent out again.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::caller::{Caller, MembershipState};
use crate::access::table::Action;
use crate::account::limit::{self, Limit};
use crate::account::phone::Phone;
use crate::account::{self, AccountId};
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::name::Name;
use crate::base::page::Page;
use crate::base::problem;
use crate::base::schema::{encounter_participants, rtc_sessions, rtc_tickets};
use crate::base::tx::Tx;
use crate::consent::form::ConsentKind;
use crate::consent::standing;
use crate::encounter::door::Closed;
use crate::encounter::lifecycle::Act;
use crate::encounter::show::{Participant, show};
use crate::encounter::{
    Admission, EncounterId, EncounterRow, ParticipantId, ParticipantRole, ParticipantRow,
    ParticipantState, facts, find_participant, find_row, lock_row, participants, party, presence,
};
use crate::message;
use crate::patient;
use crate::practitioner::{self, Colleague, PractitionerId, PractitionerKind};
use crate::ring;

/// How many devices talk in one visit: each sends to each of the others, and a village line
/// carries three pictures at most.
pub const ENDPOINTS_MAX: usize = 4;
/// How many people take part in one visit, the patient and the practitioner included.
pub const PEOPLE_MAX: usize = 6;
/// How many invitations one visit sends in a day: each is a text to a telephone.
const OF_VISIT: Limit = limit_of("invite.visit.day", 12);
/// How many one person sends in a day, in all visits.
const BY_PERSON: Limit = limit_of("invite.person.day", 30);
/// How many texts reach one telephone in a day, from all visits and everybody.
const TO_ACCOUNT: Limit = limit_of("invite.account.day", 4);

const fn limit_of(name: &'static str, hits_max: u32) -> Limit {
    Limit { name, hits_max, window: TimeDelta::days(1) }
}

text_enum!(
    /// As what somebody can be asked to come.
    GuestRole {
        /// Stands by the patient.
        Relative = "relative",
        /// Is with the patient in a village that has no doctor.
        Feldsher = "feldsher",
        /// A second doctor, who is asked.
        Specialist = "specialist",
        /// Translates.
        Interpreter = "interpreter",
        /// Learns: hears and sees, and sends nothing.
        Trainee = "trainee",
    }
);

impl GuestRole {
    fn role(self) -> ParticipantRole {
        match self {
            Self::Relative => ParticipantRole::Relative,
            Self::Feldsher => ParticipantRole::Feldsher,
            Self::Specialist => ParticipantRole::Specialist,
            Self::Interpreter => ParticipantRole::Interpreter,
            Self::Trainee => ParticipantRole::Trainee,
        }
    }
}

/// Somebody who is asked to come.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// As what.
    pub role: GuestRole,
    /// The name that the others see; left out: the practitioner's own.
    pub name: Option<Name>,
    /// The telephone they sign in with: a relative, an interpreter.
    pub phone: Option<Phone>,
    /// Somebody of the visit's clinic who gives care there; instead of a telephone.
    pub practitioner: Option<PractitionerId>,
    /// At whose device they sit; left out: at one of their own.
    pub sits_with: Option<ParticipantId>,
    /// The language of the text to that telephone; left out: the caller's.
    pub language: Option<Language>,
}

/// What the access decision must know of a visit, with whether the caller is asked to come to it.
pub fn facts_for(tx: &mut Tx, row: &EncounterRow) -> Result<Facts, Error> {
    let Caller::Person(person) = &tx.caller else { return Ok(facts(row)) };
    let account = person.account;
    let employed = person.memberships.iter().any(|member| {
        member.organization == row.organization_id && member.state == MembershipState::Active
    });
    let role: Option<ParticipantRole> = encounter_participants::table
        .filter(encounter_participants::encounter_id.eq(row.id))
        .filter(encounter_participants::account_id.eq(account))
        .filter(encounter_participants::state.ne(ParticipantState::Removed))
        .select(encounter_participants::role)
        .get_result(tx.conn)
        .optional()?;
    // Who is of this clinic is a guest as long as they are; kin need no post.
    let of_clinic = person.memberships.iter().any(|one| one.organization == row.organization_id);
    let guest = role.is_some_and(|role| match is_kin(role) {
        true => employed || !of_clinic,
        false => is_staff(role) && employed,
    });
    Ok(Facts { guest, ..facts(row) })
}

fn is_kin(role: ParticipantRole) -> bool {
    matches!(role, ParticipantRole::Relative | ParticipantRole::Interpreter)
}

fn is_staff(role: ParticipantRole) -> bool {
    match role {
        ParticipantRole::Feldsher | ParticipantRole::Specialist | ParticipantRole::Trainee => true,
        ParticipantRole::Patient
        | ParticipantRole::Practitioner
        | ParticipantRole::Relative
        | ParticipantRole::Interpreter => false,
    }
}

/// Whether somebody is here by invitation, and not because the visit is theirs.
pub fn is_guest(role: ParticipantRole) -> bool {
    is_kin(role) || is_staff(role)
}

/// Asks somebody to come, and tells them by SMS. Whoever was sent out may be asked again.
/// 409 `room_locked`, `room_full`, `already_exists`, `consent_missing`; 410 `visit_over`; 422 where role, telephone and
/// practitioner do not fit, `unknown_reference` where somebody named is not there; 429 after too
/// many in a day.
pub fn invite(tx: &mut Tx, id: EncounterId, wanted: &Invite) -> Result<Participant, Error> {
    standing::wait_for_a_withdrawal(tx, id)?;
    // Locked first: whose visit it is may change at this moment.
    let row = lock_row(tx, id)?;
    let action = inviting(wanted.role.role(), wanted.practitioner.is_some());
    tx.allow(action, &facts(&row))?;
    check_open(tx, &row)?;
    let (account, name) = whom(tx, &row, wanted)?;
    expect_principals(tx, &row)?;
    let people = participants(tx, id)?;
    let known = people.iter().find(|one| one.account_id == account).cloned();
    if known.as_ref().is_some_and(|known| known.state != ParticipantState::Removed) {
        return Err(Error::from(&problem::ALREADY_EXISTS));
    }
    check_place(&people, wanted.sits_with)?;
    let by = tx.person()?.account;
    let brought = patient::find_row(tx, row.patient_id)?.account_id == Some(by);
    // Who sits at another's device is let in with them.
    if wanted.sits_with.is_some() {
        standing::check(tx, &row, (wanted.role.role(), brought))?;
    }
    limit::take(tx, &OF_VISIT, &id.to_string())?;
    limit::take(tx, &BY_PERSON, &by.to_string())?;
    let (role, sits_with) = (wanted.role.role(), wanted.sits_with);
    let guest = NewGuest { account, role, name, sits_with, brought };
    let participant = put(tx, id, known.map(|known| known.id), guest)?;
    let visit = show(tx, id)?;
    // The invitation stands also where the telephone has heard enough today.
    let is_staff = wanted.practitioner.is_some();
    if is_staff || limit::take(tx, &TO_ACCOUNT, &account.to_string()).is_ok() {
        message::guest::tell(tx, account, (&visit, participant))?;
    }
    party::tell(tx, id)?;
    tx.record(action, "Encounter", id.0, &facts(&row));
    Ok(find_participant(tx, id, participant)?.into())
}

/// Whoever is asked to a visit hears that it will be at another time.
pub(super) fn tell_time(tx: &mut Tx, id: EncounterId) -> Result<(), Error> {
    let visit = show(tx, id)?;
    for (account, participant) in asked(tx, id)? {
        message::guest::tell(tx, account, (&visit, participant))?;
    }
    Ok(())
}

/// Whoever is asked to a visit hears that it will not be.
pub(super) fn follow(tx: &mut Tx, id: EncounterId, act: Act) -> Result<(), Error> {
    if !matches!(act, Act::Cancel | Act::Decline) {
        return Ok(());
    }
    let visit = show(tx, id)?;
    for (account, participant) in asked(tx, id)? {
        message::guest::tell_off(tx, account, (&visit, participant))?;
    }
    Ok(())
}

fn asked(tx: &mut Tx, id: EncounterId) -> Result<Vec<(AccountId, ParticipantId)>, Error> {
    let people = participants(tx, id)?;
    let guests = party::standing(&people).filter(|one| is_guest(one.role));
    Ok(guests.map(|one| (one.account_id, one.id)).collect())
}

/// The patient brings who helps them; who comes from the clinic is the clinic's to say.
fn inviting(role: ParticipantRole, from_clinic: bool) -> Action {
    if is_kin(role) && !from_clinic { Action::InviteKin } else { Action::InviteStaff }
}

fn check_open(tx: &mut Tx, row: &EncounterRow) -> Result<(), Error> {
    match show(tx, row.id)?.door.reason {
        None | Some(Closed::TooEarly) => {}
        Some(Closed::OnHold) => return Err(Error::from(&problem::BAD_STATE)),
        Some(Closed::Over | Closed::Cancelled) => return Err(Error::from(&problem::VISIT_OVER)),
    }
    if row.locked { Err(Error::from(&problem::ROOM_LOCKED)) } else { Ok(()) }
}

/// Whose account it is, and the name that the others see.
fn whom(tx: &mut Tx, row: &EncounterRow, wanted: &Invite) -> Result<(AccountId, String), Error> {
    let wrong = |field| Error::field(&problem::INVALID_BODY, field);
    let role = wanted.role.role();
    match (&wanted.phone, wanted.practitioner) {
        (Some(_), Some(_)) => Err(wrong("/phone")),
        (None, None) => Err(wrong(if is_kin(role) { "/phone" } else { "/practitioner" })),
        (Some(phone), None) => {
            if !is_kin(role) {
                return Err(wrong("/practitioner"));
            }
            let name = wanted.name.as_ref().ok_or_else(|| wrong("/name"))?.as_str();
            let language = wanted.language.unwrap_or(tx.language);
            let account = account::of_phone(tx, phone.clone(), name, language)?;
            Ok((account, name.to_owned()))
        }
        (None, Some(id)) => {
            let colleague = practitioner::colleague(tx, id, row.organization_id)?
                .filter(|found| fits(found, wanted.role));
            let Some(Colleague { account: Some(account), name, .. }) = colleague else {
                return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
            };
            Ok((account, wanted.name.as_ref().map_or(name, |name| name.as_str().to_owned())))
        }
    }
}

fn fits(found: &Colleague, role: GuestRole) -> bool {
    match role {
        GuestRole::Relative => false,
        GuestRole::Feldsher => found.kind == PractitionerKind::Feldsher,
        GuestRole::Specialist => found.kind == PractitionerKind::Doctor,
        GuestRole::Interpreter | GuestRole::Trainee => true,
    }
}

/// The patient and the practitioner have their parts before others are asked to sit beside them.
fn expect_principals(tx: &mut Tx, row: &EncounterRow) -> Result<(), Error> {
    let patient = patient::find_row(tx, row.patient_id)?;
    let doctor = practitioner::find_reach(tx, row.practitioner_id)?.account;
    let people = participants(tx, row.id)?;
    let has = |role| party::standing(&people).any(|one| one.role == role);
    let known = |account| people.iter().find(|one| one.account_id == account).map(|one| one.id);
    if let (Some(account), false) = (patient.account_id, has(ParticipantRole::Patient)) {
        let (role, name) = (ParticipantRole::Patient, patient.name);
        put(tx, row.id, None, NewGuest::principal(account, role, name))?;
    }
    if let (Some(account), false) = (doctor, has(ParticipantRole::Practitioner)) {
        let name = account::contact(tx, account)?.name;
        let role = ParticipantRole::Practitioner;
        put(tx, row.id, known(account), NewGuest::principal(account, role, name))?;
    }
    Ok(())
}

/// A place for one more: the patient and the practitioner have theirs, whether they are here or not.
fn check_place(people: &[ParticipantRow], beside: Option<ParticipantId>) -> Result<(), Error> {
    let guests = || party::standing(people).filter(|one| is_guest(one.role));
    if let Some(host) = beside {
        let is_host = |one: &ParticipantRow| one.id == host && one.sits_with.is_none();
        if !party::standing(people).any(is_host) {
            return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/sits_with"));
        }
    }
    let with_device = guests().filter(|one| one.sits_with.is_none()).count();
    let no_device = beside.is_none() && with_device.saturating_add(2) >= ENDPOINTS_MAX;
    if no_device || guests().count().saturating_add(2) >= PEOPLE_MAX {
        return Err(Error::from(&problem::ROOM_FULL));
    }
    Ok(())
}

/// Who conducted a visit that is another's now has no part in it, and can be asked like anybody
/// else.
pub(super) fn forget_former(tx: &mut Tx, encounter: EncounterId) -> Result<(), Error> {
    let people = participants(tx, encounter)?;
    let is_former = |one: &ParticipantRow| one.role == ParticipantRole::Practitioner;
    for one in party::with_those_beside(&people, is_former) {
        send_out(tx, encounter, one)?;
    }
    Ok(())
}

/// Whoever conducts a visit now is expected there.
pub(super) fn expect_practitioner(
    tx: &mut Tx,
    encounter: EncounterId,
    (account, name): (AccountId, String),
) -> Result<(), Error> {
    let role = ParticipantRole::Practitioner;
    put(tx, encounter, None, NewGuest::principal(account, role, name)).map(drop)
}

struct NewGuest {
    account: AccountId,
    role: ParticipantRole,
    name: String,
    sits_with: Option<ParticipantId>,
    /// By the patient.
    brought: bool,
}

impl NewGuest {
    /// Somebody whose visit it is.
    fn principal(account: AccountId, role: ParticipantRole, name: String) -> Self {
        Self { account, role, name, sits_with: None, brought: false }
    }
}

/// Writes somebody down who is asked to come, for the first time or again.
fn put(
    tx: &mut Tx,
    encounter: EncounterId,
    known: Option<ParticipantId>,
    new: NewGuest,
) -> Result<ParticipantId, Error> {
    let values = (
        encounter_participants::role.eq(new.role),
        encounter_participants::name.eq(new.name),
        encounter_participants::state.eq(ParticipantState::Invited),
        encounter_participants::sits_with_id.eq(new.sits_with),
        encounter_participants::aside.eq(false),
        encounter_participants::brought.eq(new.brought),
        encounter_participants::updated_at.eq(tx.now),
    );
    if let Some(id) = known {
        let row = encounter_participants::table.find(id);
        diesel::update(row).set(values).execute(tx.conn)?;
        return Ok(id);
    }
    let id = ParticipantId::new(tx.now);
    diesel::insert_into(encounter_participants::table)
        .values((
            encounter_participants::id.eq(id),
            encounter_participants::encounter_id.eq(encounter),
            encounter_participants::account_id.eq(new.account),
            values,
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// Everybody who has, or had, a part in a visit.
pub fn list(tx: &mut Tx, id: EncounterId) -> Result<Page<Participant>, Error> {
    let row = find_row(tx, id)?;
    tx.allow(Action::ReadEncounter, &facts(&row))?;
    let people = participants(tx, id)?;
    let coming = with_ticket(tx, &people)?;
    let items = people.into_iter().map(|one| {
        let comes = coming.contains(&one.id);
        Participant::from(one).coming(comes)
    });
    Ok(Page::whole(items.collect()))
}

/// Who has a ticket in hand, and asked for it to come in. Index: rtc_tickets_by_participant.
fn with_ticket(tx: &mut Tx, people: &[ParticipantRow]) -> Result<Vec<ParticipantId>, Error> {
    let ids: Vec<ParticipantId> = people.iter().map(|one| one.id).collect();
    Ok(rtc_tickets::table
        .filter(rtc_tickets::participant_id.eq_any(ids))
        .filter(rtc_tickets::used_at.is_null())
        .filter(rtc_tickets::expires_at.gt(tx.now))
        .filter(rtc_tickets::ahead.eq(false))
        .select(rtc_tickets::participant_id)
        .load(tx.conn)?)
}

/// Takes an invitation back: who is in goes at once, with whoever sits at their device; a ticket in
/// hand is worth nothing, and there is no new one before the next invitation. Saying it twice is
/// saying it once. 409 `bad_state` for the patient and the practitioner, who stay.
pub fn remove(
    tx: &mut Tx,
    id: EncounterId,
    participant: ParticipantId,
) -> Result<Participant, Error> {
    let row = lock_row(tx, id)?;
    let action = match find_participant(tx, id, participant) {
        Ok(guest) => inviting(guest.role, !is_kin(guest.role)),
        // Who may not take back hears that before they hear whether there is anybody.
        Err(_missing) => Action::InviteKin,
    };
    tx.allow(action, &facts(&row))?;
    let guest = find_participant(tx, id, participant)?;
    if !is_guest(guest.role) || presence::is_over(row.status) {
        return Err(Error::from(&problem::BAD_STATE));
    }
    if guest.state == ParticipantState::Removed {
        return Ok(guest.into());
    }
    send_out_with(tx, &row, |one| one.id == participant)?;
    tx.record(action, "Encounter", id.0, &facts(&row));
    Ok(find_participant(tx, id, participant)?.into())
}

/// Sends out whoever may be in a visit only with this consent, unless the patient agrees in another
/// way.
/// The caller has made the access decision.
pub(crate) fn send_out_all(
    tx: &mut Tx,
    id: EncounterId,
    without: ConsentKind,
) -> Result<(), Error> {
    let row = lock_row(tx, id)?;
    if presence::is_over(row.status) || standing::stands(tx, &row, without)? {
        return Ok(());
    }
    let needs_it = |one: &ParticipantRow| standing::needed(one.role, one.brought) == Some(without);
    send_out_with(tx, &row, needs_it)
}

/// Sends some out, and with them whoever sits at their device.
fn send_out_with(
    tx: &mut Tx,
    row: &EncounterRow,
    goes: impl Fn(&ParticipantRow) -> bool,
) -> Result<(), Error> {
    let people = participants(tx, row.id)?;
    for one in party::with_those_beside(&people, goes) {
        send_out(tx, row.id, one)?;
    }
    presence::settle(tx, row)?;
    party::tell(tx, row.id)
}

/// Somebody has no part in a visit any more: their seat and their tickets are worth nothing.
pub(super) fn send_out(tx: &mut Tx, id: EncounterId, guest: &ParticipantRow) -> Result<(), Error> {
    diesel::update(encounter_participants::table.find(guest.id))
        .set((
            encounter_participants::state.eq(ParticipantState::Removed),
            encounter_participants::admitted_at.eq(None::<crate::base::column::Instant>),
            encounter_participants::waiting_since.eq(None::<crate::base::column::Instant>),
            encounter_participants::aside.eq(false),
            encounter_participants::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let tickets = rtc_tickets::table
        .filter(rtc_tickets::participant_id.eq(guest.id))
        .filter(rtc_tickets::used_at.is_null());
    diesel::update(tickets).set(rtc_tickets::used_at.eq(Some(tx.now))).execute(tx.conn)?;
    let seats = rtc_sessions::table
        .filter(rtc_sessions::participant_id.eq(guest.id))
        .filter(rtc_sessions::ended_at.is_null());
    diesel::update(seats).set(rtc_sessions::ended_at.eq(Some(tx.now))).execute(tx.conn)?;
    ring::forget(tx, guest.id)?;
    presence::note_removal(tx, id, guest)?;
    party::tell_decision(tx, id, guest.id, Admission::Removed)
}
