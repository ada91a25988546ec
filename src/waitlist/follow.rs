//! What other deeds mean for the waiting list: whoever books, moves or calls off a visit, or is
//! away, changes what somebody waits for. Each looks here before it touches any time, so that
//! wishes are always locked first. Whoever calls has decided on access.

use diesel::prelude::*;

use crate::access::table::Action;
use crate::appointment::{self, AppointmentId, Row};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::schema::{appointments, waitlist_entries, waitlist_offers};
use crate::base::tx::Tx;
use crate::message::waitlist as message;
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::{self, PatientId};
use crate::practitioner::PractitionerId;
use crate::schedule::free::Asker;
use crate::waitlist::answer::check_works;
use crate::waitlist::join::{active_of, again};
use crate::waitlist::offer::{entry_of_hold, finish, hours, standing, take_back};
use crate::waitlist::{EntryId, EntryRow, VacancyStatus, WaitEnd, WaitStatus, is_active, lock_row};

/// A wish that a booking meets. Say so with [`met`] when the visit is there.
#[must_use = "a wish that is met ends"]
pub(crate) struct Met(Option<EntryRow>);

/// Lets go what is held for a patient who takes a time of the service by another way, if it lies
/// where they wished for one.
pub(crate) fn make_way(
    tx: &mut Tx,
    patient: PatientId,
    service: ServiceId,
    start: Instant,
) -> Result<Met, Error> {
    let Some(id) = active_of(tx, patient, service)? else { return Ok(Met(None)) };
    let row = lock_row(tx, id)?;
    if !row.is_active() || !(row.earliest_at..=row.latest_at).contains(&start) {
        return Ok(Met(None));
    }
    take_back(tx, row, VacancyStatus::Withdrawn).map(|row| Met(Some(row)))
}

/// Ends the wish that a visit meets.
pub(crate) fn met(tx: &mut Tx, wish: &Met, visit: AppointmentId) -> Result<(), Error> {
    let Met(Some(row)) = wish else { return Ok(()) };
    finish(tx, row, WaitStatus::Booked, WaitEnd::BookedOtherwise, Some(visit))?;
    tx.record(Action::LeaveWaitlist, "WaitlistEntry", row.id.0, &row.facts());
    Ok(())
}

/// The wish to bring a visit forward, locked. Index: waitlist_entries_by_appointment.
fn to_bring_forward(tx: &mut Tx, visit: AppointmentId) -> Result<Option<EntryRow>, Error> {
    let id: Option<EntryId> = waitlist_entries::table
        .filter(waitlist_entries::appointment_id.eq(visit))
        .filter(is_active())
        .select(waitlist_entries::id)
        .get_result(tx.conn)
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    Ok(Some(lock_row(tx, id)?).filter(EntryRow::is_active))
}

/// Ends the wish to bring a visit forward that is put to an early enough time by another way.
pub(crate) fn moving(tx: &mut Tx, visit: AppointmentId, start: Instant) -> Result<(), Error> {
    let Some(row) = to_bring_forward(tx, visit)? else { return Ok(()) };
    if start > row.latest_at {
        return Ok(());
    }
    appointment::lock(tx, visit)?;
    let row = take_back(tx, row, VacancyStatus::Withdrawn)?;
    met(tx, &Met(Some(row)), visit)
}

/// A visit is called off. Who called it off themselves waits no longer for it to be brought
/// forward; who lost it waits on, for any visit.
pub(crate) fn calling_off(
    tx: &mut Tx,
    visit: AppointmentId,
    by_patient: bool,
) -> Result<(), Error> {
    let Some(row) = to_bring_forward(tx, visit)? else { return Ok(()) };
    if by_patient {
        appointment::lock(tx, visit)?;
        let row = take_back(tx, row, VacancyStatus::Withdrawn)?;
        finish(tx, &row, WaitStatus::Withdrawn, WaitEnd::VisitOver, None)?;
        tx.record(Action::LeaveWaitlist, "WaitlistEntry", row.id.0, &row.facts());
        return Ok(());
    }
    diesel::update(waitlist_entries::table.find(row.id))
        .set((
            waitlist_entries::appointment_id.eq(None::<AppointmentId>),
            waitlist_entries::updated_at.eq(tx.now),
            waitlist_entries::version.eq(waitlist_entries::version + 1),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// A plan is taken back that had put a visit to an early enough time at `since`: whoever waited for that
/// waits on, at their old place. A wish that has ended stays ended, so this is another of the same words;
/// none, when they wish for the service anew already.
pub(crate) fn moved_no_more(tx: &mut Tx, visit: &Row, since: Instant) -> Result<(), Error> {
    let ended: Option<EntryRow> = waitlist_entries::table
        .filter(waitlist_entries::appointment_id.eq(visit.id))
        .filter(waitlist_entries::status.eq(WaitStatus::Booked))
        .filter(waitlist_entries::ended_why.eq(WaitEnd::BookedOtherwise))
        .filter(waitlist_entries::updated_at.eq(since))
        .select(EntryRow::as_select())
        .get_result(tx.conn)
        .optional()?;
    match ended {
        Some(was) if was.latest_at > tx.now => again(tx, was),
        _ => Ok(()),
    }
}

/// A plan is taken back that had called a visit off at `since`: whoever waited for it to be brought forward
/// waits for that again, and no longer for any visit.
pub(crate) fn called_off_no_more(tx: &mut Tx, visit: &Row, since: Instant) -> Result<(), Error> {
    let lost = waitlist_entries::table
        .filter(waitlist_entries::patient_id.eq(visit.patient_id))
        .filter(waitlist_entries::service_id.eq(visit.service_id))
        .filter(waitlist_entries::appointment_id.is_null())
        .filter(waitlist_entries::updated_at.eq(since))
        .filter(is_active());
    diesel::update(lost)
        .set((
            waitlist_entries::appointment_id.eq(visit.id),
            waitlist_entries::updated_at.eq(tx.now),
            waitlist_entries::version.eq(waitlist_entries::version + 1),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Somebody gives back a time that is held for whoever waits: that declines the offer. `false`
/// when the appointment is no such time.
pub(crate) fn gives_back(tx: &mut Tx, held: &Row, by_patient: bool) -> Result<bool, Error> {
    let Some(id) = entry_of_hold(tx, held.id)? else { return Ok(false) };
    let row = lock_row(tx, id)?;
    if standing(tx, id)?.is_none_or(|offer| offer.held_id != held.id) {
        return Ok(false);
    }
    if by_patient {
        take_back(tx, row, VacancyStatus::Declined)?;
    } else {
        // The office has given it back for them: it is not offered to them again.
        take_from(tx, row, VacancyStatus::Declined)?;
    }
    Ok(true)
}

/// A practitioner is away: what is offered of that time is withdrawn, and whoever has heard of it
/// is told. They keep their place.
pub(crate) fn away(
    tx: &mut Tx,
    practitioner: PractitionerId,
    (from, to): (Instant, Instant),
) -> Result<(), Error> {
    let offered: Vec<EntryId> = waitlist_offers::table
        .inner_join(appointments::table.on(appointments::id.eq(waitlist_offers::held_id)))
        .filter(waitlist_offers::practitioner_id.eq(practitioner))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        // Where it is held: a newer law can have moved it since it was offered.
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::ends_at.gt(from))
        .order(waitlist_offers::entry_id)
        .select(waitlist_offers::entry_id)
        .load(tx.conn)?;
    for id in offered {
        let row = lock_row(tx, id)?;
        take_from(tx, row, VacancyStatus::Withdrawn)?;
    }
    Ok(())
}

/// The wishes, at one clinic or all, for which something is offered that cannot be had any more: hours
/// have changed, the clinic is closed, or the visit is earlier already. Writes nothing.
/// Index: waitlist_offers_due.
pub(crate) fn in_vain(tx: &mut Tx, clinic: Option<OrganizationId>) -> Result<Vec<EntryId>, Error> {
    let mut offered = waitlist_offers::table
        .inner_join(waitlist_entries::table)
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .filter(waitlist_offers::expires_at.gt(tx.now))
        .order(waitlist_offers::entry_id)
        .select(EntryRow::as_select())
        .into_boxed();
    if let Some(clinic) = clinic {
        offered = offered.filter(waitlist_entries::organization_id.eq(clinic));
    }
    let rows: Vec<EntryRow> = offered.load(tx.conn)?;
    let mut ids = Vec::new();
    for row in rows {
        if is_in_vain(tx, &row)? {
            ids.push(row.id);
        }
    }
    Ok(ids)
}

fn is_in_vain(tx: &mut Tx, row: &EntryRow) -> Result<bool, Error> {
    let Some(offer) = standing(tx, row.id)? else { return Ok(false) };
    match check_works(tx, row, &offer, Asker::Triage) {
        Ok(()) => Ok(false),
        Err(Error::Refused(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Takes such an offer back; whoever has heard of it is told, and keeps their place.
pub(crate) fn withdraw_vain(tx: &mut Tx, id: EntryId) -> Result<(), Error> {
    let row = lock_row(tx, id)?;
    // Another can have been made since.
    if is_in_vain(tx, &row)? { take_from(tx, row, VacancyStatus::Withdrawn) } else { Ok(()) }
}

/// A clinic is closed then, or extra hours of somebody there are gone: what is offered of that time is
/// withdrawn.
pub(crate) fn hours_changed(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    for id in in_vain(tx, Some(clinic))? {
        withdraw_vain(tx, id)?;
    }
    Ok(())
}

/// The wishes for which something is offered that a change may take away, locked: before whatever the
/// change itself locks. Say so with [`changed`] when it is made.
#[must_use = "what is not true any more is taken back"]
pub(crate) struct AtStake(Vec<EntryId>);

/// What is offered of somebody's time. Index: waitlist_offers_due.
pub(crate) fn offered_with(tx: &mut Tx, practitioner: PractitionerId) -> Result<AtStake, Error> {
    let ids =
        offered(tx.now).filter(waitlist_offers::practitioner_id.eq(practitioner)).load(tx.conn)?;
    at_stake(tx, ids)
}

/// What is offered of a service. Index: waitlist_offers_due.
pub(crate) fn offered_of(tx: &mut Tx, service: ServiceId) -> Result<AtStake, Error> {
    let ids = offered(tx.now).filter(waitlist_entries::service_id.eq(service)).load(tx.conn)?;
    at_stake(tx, ids)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn offered(now: Instant) -> _ {
    let standing: VacancyStatus = VacancyStatus::Standing;
    waitlist_offers::table
        .inner_join(waitlist_entries::table)
        .filter(waitlist_offers::status.eq(standing))
        // What nobody answered lapses by itself.
        .filter(waitlist_offers::expires_at.gt(now))
        .order(waitlist_offers::entry_id)
        .select(waitlist_offers::entry_id)
}

fn at_stake(tx: &mut Tx, ids: Vec<EntryId>) -> Result<AtStake, Error> {
    for id in &ids {
        lock_row(tx, *id)?;
    }
    Ok(AtStake(ids))
}

/// Takes back what cannot be had any more, in the same deed; whoever has heard of it is told.
pub(crate) fn changed(tx: &mut Tx, AtStake(ids): AtStake) -> Result<(), Error> {
    for id in ids {
        withdraw_vain(tx, id)?;
    }
    Ok(())
}

/// Takes back what is offered for a locked wish; whoever has heard of it is told.
fn take_from(tx: &mut Tx, row: EntryRow, to: VacancyStatus) -> Result<(), Error> {
    let Some(offer) = standing(tx, row.id)? else { return Ok(()) };
    let was_told = !message::forget_vacancy(tx, offer.id)?;
    let row = take_back(tx, row, to)?;
    tx.record(Action::OfferVacancy, "WaitlistEntry", row.id.0, &row.facts());
    if was_told {
        let patient = patient::find_row(tx, row.patient_id)?;
        let tell_at = hours(tx, patient.time_zone).tell_at;
        message::tell_gone(tx, patient.account_id, (offer.id, &row.code), tell_at)?;
    }
    Ok(())
}
