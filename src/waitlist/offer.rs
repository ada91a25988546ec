//! Offering: whoever is first of those whom a free time suits gets it held until a deadline, and
//! nobody answers means that the next one is asked.
//!
//! A time that a deed frees is offered in that deed's own transaction ([`fill_freed`]). A task
//! ([`run`]) ends what nobody answered and finds times that became free without a deed.

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::prelude::*;

use crate::access::table::Action;
use crate::appointment::book::{self, InPlace};
use crate::appointment::occupy::{LANE, SECOND_LANE};
use crate::appointment::supply::Moving;
use crate::appointment::{self, AppointmentId, Priority, affected, taken};
use crate::base::column::Instant;
use crate::base::db::{self, Each, among, take_turns};
use crate::base::error::Error;
use crate::base::schema::{
    appointments, patients, practitioner_services, waitlist_entries, waitlist_offers,
};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::message::waitlist as message;
use crate::organization::terms::NeededResource;
use crate::organization::{self, Service, ServiceId};
use crate::patient::{self, PatientId, PatientRow};
use crate::practitioner::PractitionerId;
use crate::schedule;
use crate::schedule::free::Asker;
use crate::schedule::wall_clock::Span;
use crate::waitlist::order::{Turn, Wish};
use crate::waitlist::waking::{Hours, Night, after_waking};
use crate::waitlist::{
    EntryId, EntryRow, OfferId, OfferRow, QUEUE_MAX, VacancyStatus, WaitEnd, WaitStatus, is_active,
    lock_if_idle,
};

/// An offer that leaves less waking time than this is not made.
const LEAST_MINUTES: i64 = 10;
/// So many offers in a row that nobody answered end a wish. The schema says the same.
const LAPSES_MAX: i32 = 3;
/// How many free times are looked at, and so tried at most.
const LOOK_AT: usize = 200;
/// So many times are tried for one person of those that may be free for another.
const VAIN_MAX: usize = 10;
/// So many searches for one person alone, and tries in vain, are made in one transaction: whoever writes waits
/// for it. The task goes on in the next.
const PERSONAL_MAX: usize = 40;
/// A visit that reaches into a freed time begins at most so long before it, in hours.
const REACH_HOURS: i64 = 12;

/// Somebody who waits, and what suits them.
struct Waiting {
    row: EntryRow,
    patient: PatientRow,
    wish: Wish,
    /// How their visit is held, when it is the one that is brought forward.
    visit: Option<appointment::Row>,
}

/// What came of trying to offer a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// It is held.
    Made,
    /// Somebody else has it, or a room is missing.
    Gone,
    /// Somebody changes the wish at this moment.
    Busy,
}

/// Offers what was freed in a transaction. What goes wrong is left to the task, and the deed that
/// freed it stands.
pub(crate) fn fill_freed(tx: &mut Tx, freed: Vec<(PractitionerId, Span)>) {
    let filled = tx.by_itself(|tx| {
        tx.attempt(|tx| {
            for (practitioner, span) in spans_of_each(freed) {
                for service in wanted_of(tx, practitioner, span)? {
                    fill(tx, service, Some((practitioner, span)), &[])?;
                }
            }
            Ok(())
        })
    });
    if let Err(error) = filled {
        tracing::warn!(%error, "a freed time is offered a little later");
    }
}

/// Offers what is free of a service, within the deed that put somebody on its list.
pub(crate) fn fill_now(tx: &mut Tx, service: ServiceId) {
    let filled = tx.by_itself(|tx| tx.attempt(|tx| fill(tx, service, None, &[]).map(drop)));
    if let Err(error) = filled {
        tracing::warn!(%error, "a free time is offered a little later");
    }
}

/// One span for each practitioner, around all that was freed of their time.
fn spans_of_each(freed: Vec<(PractitionerId, Span)>) -> Vec<(PractitionerId, Span)> {
    let mut spans: Vec<(PractitionerId, Span)> = Vec::new();
    for (practitioner, span) in freed {
        match spans.iter_mut().find(|(known, _)| *known == practitioner) {
            Some((_, whole)) => {
                whole.start = whole.start.min(span.start);
                whole.end = whole.end.max(span.end);
            }
            None => spans.push((practitioner, span)),
        }
    }
    spans
}

/// For which services somebody waits whom a practitioner's time could suit.
/// Index: waitlist_entries_queue.
fn wanted_of(
    tx: &mut Tx,
    practitioner: PractitionerId,
    span: Span,
) -> Result<Vec<ServiceId>, Error> {
    let given = practitioner_services::table
        .filter(practitioner_services::practitioner_id.eq(practitioner))
        .select(practitioner_services::service_id);
    let earliest = span.start.minus(TimeDelta::hours(REACH_HOURS));
    Ok(waitlist_entries::table
        .filter(waitlist_entries::service_id.eq_any(given))
        .filter(waitlist_entries::status.eq(WaitStatus::Waiting))
        .filter(
            waitlist_entries::practitioner_id
                .is_null()
                .or(waitlist_entries::practitioner_id.eq(practitioner)),
        )
        .filter(waitlist_entries::latest_at.ge(earliest))
        .filter(waitlist_entries::earliest_at.lt(span.end))
        .select(waitlist_entries::service_id)
        .distinct()
        .order(waitlist_entries::service_id)
        .load(tx.conn)?)
}

/// Offers what is free of a service, or of somebody's time for it, to those whose turn it is.
/// Those who fill one list go one after the other. Whoever was `looked_at` is passed over.
pub(crate) fn fill(
    tx: &mut Tx,
    service: ServiceId,
    within: Option<(PractitionerId, Span)>,
    looked_at: &[EntryId],
) -> Result<Filled, Error> {
    // Whoever only used up what they freed waits for nobody's turn.
    if !is_wanted(tx, service, within, PERSONAL_MAX)? {
        return Ok(Filled::default());
    }
    take_turns(tx.conn, &[db::Turn::Alone(service.0)])?;
    let service = organization::find_service(tx, service)?;
    let mut queue = queue(tx, service.id)?;
    queue.retain(|waiting| !looked_at.contains(&waiting.row.id));
    let mut free = wanted_times(tx, &service, &queue, within, None)?;
    // Who translates for one cannot for another: a time that one cannot have suits the next.
    let is_personal = service.resources()?.contains(&NeededResource::Interpreter);
    let mut filled = Filled::default();
    let mut personal = 0_usize;
    let mut gone: Vec<(PractitionerId, Span)> = Vec::new();
    for waiting in &queue {
        if personal >= PERSONAL_MAX {
            filled.is_through = false;
            break;
        }
        filled.looked_at.push(waiting.row.id);
        let own = own_times(tx, &service, waiting, within, &free)?;
        personal = personal.saturating_add(usize::from(own.is_some()));
        let own: Option<Vec<(PractitionerId, Span)>> = own.map(|own| without(own, &gone));
        let mut in_vain: Vec<(PractitionerId, Span)> = Vec::new();
        while in_vain.len() < VAIN_MAX {
            let suits = |place: &(PractitionerId, Span)| {
                let until = waiting.wish.deadline(place.0, place.1);
                until.filter(|_| !in_vain.contains(place)).map(|until| (place.0, place.1, until))
            };
            let times = own.as_ref().unwrap_or(&free);
            let Some((practitioner, visit, until)) = times.iter().find_map(suits) else { break };
            let tried = offer(tx, &service, waiting, (practitioner, visit), until)?;
            // What could not be held is left out for everybody: the next look tries it again. But what
            // only this one seemed to have is left out for them alone.
            personal = personal.saturating_add(usize::from(tried == Tried::Gone));
            if tried == Tried::Gone && (is_personal || own.is_some()) {
                in_vain.push((practitioner, visit));
            } else if tried != Tried::Busy {
                gone.push((practitioner, visit));
                free = without(free, &gone);
            }
            if tried != Tried::Gone || personal >= PERSONAL_MAX {
                break;
            }
        }
    }
    Ok(filled)
}

/// How far a list was filled.
#[derive(Debug)]
pub(crate) struct Filled {
    /// Who was looked at.
    pub looked_at: Vec<EntryId>,
    /// Whether that was everybody.
    pub is_through: bool,
}

impl Default for Filled {
    fn default() -> Self {
        Self { looked_at: Vec::new(), is_through: true }
    }
}

/// Whether [`fill`] would find anything; writes nothing. After so many searches for one person alone it says
/// that it may.
pub(super) fn is_wanted(
    tx: &mut Tx,
    service: ServiceId,
    within: Option<(PractitionerId, Span)>,
    most: usize,
) -> Result<bool, Error> {
    let service = organization::find_service(tx, service)?;
    let queue = queue(tx, service.id)?;
    if !wanted_times(tx, &service, &queue, within, None)?.is_empty() {
        return Ok(true);
    }
    let mut searched = 0_usize;
    for waiting in &queue {
        if searched >= most {
            return Ok(true);
        }
        let own = own_times(tx, &service, waiting, within, &[])?;
        searched = searched.saturating_add(usize::from(own.is_some()));
        if own.is_some_and(|own| !own.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of some times those that touch none that are gone.
fn without(
    mut times: Vec<(PractitionerId, Span)>,
    gone: &[(PractitionerId, Span)],
) -> Vec<(PractitionerId, Span)> {
    times.retain(|(who, span)| !gone.iter().any(|(other, of)| other == who && of.overlaps(*span)));
    times
}

/// The free times for somebody whose visit is to be brought forward, where their own may be what fills
/// the day; `None`: they are those of everybody. Only its own day can be full of it, and only with the same
/// practitioner, so no other is searched again.
fn own_times(
    tx: &mut Tx,
    service: &Service,
    waiting: &Waiting,
    within: Option<(PractitionerId, Span)>,
    free: &[(PractitionerId, Span)],
) -> Result<Option<Vec<(PractitionerId, Span)>>, Error> {
    let Some(visit) = waiting.visit.filter(|_| service.terms.daily_cap > 0) else {
        return Ok(None);
    };
    let a_day = TimeDelta::hours(24);
    let near = Span { start: visit.starts_at.minus(a_day), end: visit.ends_at.plus(a_day) };
    let (who, span) = within.unwrap_or((visit.practitioner_id, near));
    let is_late = waiting.wish.earliest > near.end || waiting.wish.latest < near.start;
    if who != visit.practitioner_id || !span.overlaps(near) || is_late {
        return Ok(None);
    }
    let (queue, moving) = (std::slice::from_ref(waiting), Some(Moving::of(&visit)));
    let mut own = wanted_times(tx, service, queue, Some((who, span)), moving)?;
    let others: Vec<(PractitionerId, Span)> =
        free.iter().filter(|place| !own.contains(place)).copied().collect();
    own.extend(others);
    own.sort_unstable_by_key(|(who, visit)| (visit.start, *who));
    Ok(Some(own))
}

/// The free times that suit anybody, by start.
fn wanted_times(
    tx: &mut Tx,
    service: &Service,
    queue: &[Waiting],
    within: Option<(PractitionerId, Span)>,
    moving: Option<Moving>,
) -> Result<Vec<(PractitionerId, Span)>, Error> {
    let earliest = queue.iter().map(|waiting| waiting.wish.earliest).min();
    let latest = queue.iter().map(|waiting| waiting.wish.latest).max();
    let (Some(start), Some(end)) = (earliest, latest) else { return Ok(Vec::new()) };
    let moment = TimeDelta::microseconds(1);
    let mut range = Span { start: start.max(tx.now), end: end.plus(moment) };
    if let Some((_, span)) = within {
        range.start = range.start.max(span.start.minus(TimeDelta::hours(REACH_HOURS)));
        range.end = range.end.min(span.end.plus(TimeDelta::hours(REACH_HOURS)));
    }
    if range.start >= range.end || !service.active {
        return Ok(Vec::new());
    }
    // The hold of an offer that is over is dead, but its time is free only when the offer has ended.
    let ending: Vec<(PractitionerId, Instant)> = waitlist_offers::table
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .filter(waitlist_offers::expires_at.le(tx.now))
        .select((waitlist_offers::practitioner_id, waitlist_offers::starts_at))
        .load(tx.conn)?;
    let suits = |practitioner: PractitionerId, visit: Span| {
        !ending.contains(&(practitioner, visit.start))
            && queue.iter().any(|waiting| waiting.wish.deadline(practitioner, visit).is_some())
    };
    let practitioner = within.map(|(practitioner, _)| practitioner);
    schedule::free_within(tx, service, practitioner, (range, moving), (LOOK_AT, &suits))
}

/// Who waits for a service, whose turn it is first. Index: waitlist_entries_queue.
fn queue(tx: &mut Tx, service: ServiceId) -> Result<Vec<Waiting>, Error> {
    let mut rows: Vec<(EntryRow, PatientRow)> = waitlist_entries::table
        .inner_join(patients::table.on(patients::id.eq(waitlist_entries::patient_id)))
        .filter(waitlist_entries::service_id.eq(service))
        .filter(waitlist_entries::status.eq(WaitStatus::Waiting))
        .filter(waitlist_entries::latest_at.gt(tx.now))
        .order((
            waitlist_entries::priority.desc(),
            waitlist_entries::created_at,
            waitlist_entries::id,
        ))
        .limit(QUEUE_MAX)
        .select((EntryRow::as_select(), PatientRow::as_select()))
        .load(tx.conn)?;
    rows.sort_by_key(|(row, _)| Turn::key(&row.turn()));
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let patients: Vec<PatientId> = rows.iter().map(|(row, _)| row.patient_id).collect();
    let heard = heard(tx, &patients)?;
    let most = usize::try_from(tx.config.booking.waitlist_offers_max).unwrap_or(usize::MAX);
    let last = rows.iter().map(|(row, _)| row.latest_at).max().unwrap_or(tx.now);
    let reach = (tx.now, last.plus(TimeDelta::hours(REACH_HOURS)));
    let people: Vec<uuid::Uuid> = rows.iter().map(|(row, _)| row.patient_id.0).collect();
    let busy = taken::of_people(tx, &people, &[LANE, SECOND_LANE], reach)?;
    let mut clocks: HashMap<Zone, Hours> = HashMap::new();
    let mut queue = Vec::with_capacity(rows.len());
    for (row, patient) in rows {
        let visit = match row.appointment_id {
            Some(id) => Some(appointment::find_row(tx, id)?),
            None => None,
        };
        // What is over, or has begun, is not brought forward.
        if visit.is_some_and(|visit| visit.status != AppointmentStatus::Booked) {
            continue;
        }
        let own: Vec<&Heard> = heard.iter().filter(|one| one.patient == row.patient_id).collect();
        if own.iter().filter(|one| one.today).count() >= most {
            continue;
        }
        let zone = patient.time_zone;
        let hours = *clocks.entry(zone).or_insert_with(|| hours(tx, zone));
        let taken = busy.iter().filter(|(who, ..)| *who == row.patient_id.0);
        let wish = Wish {
            practitioner: row.practitioner_id,
            earliest: row.earliest_at,
            latest: row.latest_at,
            before: visit.map(|visit| visit.starts_at),
            parts: row.parts()?,
            notice: TimeDelta::minutes(i64::from(row.notice_minutes)),
            zone,
            hours,
            refused: own
                .iter()
                .filter(|one| one.refused && one.entry == row.id)
                .map(|one| (one.practitioner, one.start))
                .collect(),
            busy: taken.map(|(_, _, start, end)| Span { start: *start, end: *end }).collect(),
        };
        queue.push(Waiting { row, patient, wish, visit });
    }
    Ok(queue)
}

/// A time that a patient has been offered, whatever they waited for then.
struct Heard {
    entry: EntryId,
    patient: PatientId,
    practitioner: PractitionerId,
    start: Instant,
    /// Within the last 24 hours.
    today: bool,
    /// They did not want it.
    refused: bool,
}

/// What some patients were offered of late, or of times to come, and did not take, whatever they
/// waited for: who leaves the list and comes back is counted on. Indexes: waitlist_entries_by_patient,
/// waitlist_offers_by_entry.
fn heard(tx: &mut Tx, patients: &[PatientId]) -> Result<Vec<Heard>, Error> {
    let day_ago = tx.now.minus(TimeDelta::hours(24));
    type Row = (EntryId, PatientId, PractitionerId, Instant, Instant, VacancyStatus);
    let rows: Vec<Row> = waitlist_offers::table
        .inner_join(waitlist_entries::table)
        .filter(among(waitlist_entries::patient_id, patients))
        .filter(waitlist_offers::starts_at.gt(tx.now).or(waitlist_offers::offered_at.gt(day_ago)))
        .filter(waitlist_offers::status.ne(VacancyStatus::Standing))
        .filter(waitlist_offers::status.ne(VacancyStatus::Accepted))
        .select((
            waitlist_offers::entry_id,
            waitlist_entries::patient_id,
            waitlist_offers::practitioner_id,
            waitlist_offers::starts_at,
            waitlist_offers::offered_at,
            waitlist_offers::status,
        ))
        .load(tx.conn)?;
    let heard = |(entry, patient, practitioner, start, offered_at, status): Row| Heard {
        entry,
        patient,
        practitioner,
        start,
        today: offered_at > day_ago,
        refused: matches!(status, VacancyStatus::Declined | VacancyStatus::Lapsed),
    };
    Ok(rows.into_iter().map(heard).collect())
}

/// What an offer or a text that is made now must keep to in a zone.
pub(crate) fn hours(tx: &Tx, zone: Zone) -> Hours {
    let full = TimeDelta::minutes(i64::from(tx.config.booking.waitlist_minutes));
    Hours::of(tx.now, zone, night(tx), TimeDelta::minutes(LEAST_MINUTES), full)
}

/// When so much time has passed since an instant that was not night where somebody lives; of no
/// time at all, the next moment that is not night.
pub(crate) fn awake(tx: &Tx, since: Instant, zone: Zone, time: TimeDelta) -> Instant {
    after_waking(since, zone, night(tx), time)
}

fn night(tx: &Tx) -> Night {
    let booking = &tx.config.booking;
    Night { from_hour: booking.night_from_hour, to_hour: booking.night_to_hour }
}

/// Holds a time for somebody and tells them, if it can be had.
fn offer(
    tx: &mut Tx,
    service: &Service,
    waiting: &Waiting,
    (practitioner, visit): (PractitionerId, Span),
    until: Instant,
) -> Result<Tried, Error> {
    let idle = lock_if_idle(tx, waiting.row.id)?;
    if idle.is_none_or(|row| row.status != WaitStatus::Waiting) {
        return Ok(Tried::Busy);
    }
    let mode = match waiting.visit {
        Some(visit) => appointment::mode(tx, visit.id)?,
        None => {
            service.modes()?.first().copied().ok_or(Error::Internal("a service without a mode"))?
        }
    };
    let held = InPlace {
        service,
        patient: &waiting.patient,
        priority: waiting.visit.map_or(Priority::Routine, |visit| visit.priority),
        mode,
        until,
        asker: Asker::Patient,
        location: waiting.visit.and_then(|visit| visit.location_id),
        by: Some(waiting.row.created_by),
        moving: waiting.visit,
    };
    let Some(held) = book::hold_in_place(tx, held, practitioner, visit.start)? else {
        return Ok(Tried::Gone);
    };
    let id = OfferId::new(tx.now);
    let inserted = Each(
        diesel::insert_into(waitlist_offers::table)
            .values((
                waitlist_offers::id.eq(id),
                waitlist_offers::entry_id.eq(waiting.row.id),
                waitlist_offers::held_id.eq(held),
                waitlist_offers::practitioner_id.eq(practitioner),
                waitlist_offers::starts_at.eq(visit.start),
                waitlist_offers::status.eq(VacancyStatus::Standing),
                waitlist_offers::offered_at.eq(tx.now),
                waitlist_offers::expires_at.eq(until),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    if inserted == 0 {
        // An offer of that time is over, and the task has not ended it yet.
        affected::let_go(tx, held)?;
        return Ok(Tried::Gone);
    }
    set_status(tx, &waiting.row, WaitStatus::Offered, waiting.row.lapses)?;
    tx.record(Action::OfferVacancy, "WaitlistEntry", waiting.row.id.0, &waiting.row.facts());
    let vacancy = message::Vacancy {
        offer: id,
        code: &waiting.row.code,
        start: visit.start,
        until,
        zone: waiting.patient.time_zone,
        tell_at: waiting.wish.hours.tell_at,
    };
    message::tell_vacancy(tx, waiting.patient.account_id, &vacancy)?;
    Ok(Tried::Made)
}

fn set_status(tx: &mut Tx, row: &EntryRow, status: WaitStatus, lapses: i32) -> Result<(), Error> {
    diesel::update(waitlist_entries::table.find(row.id))
        .set((
            waitlist_entries::status.eq(status),
            waitlist_entries::lapses.eq(lapses),
            waitlist_entries::updated_at.eq(tx.now),
            waitlist_entries::version.eq(waitlist_entries::version + 1),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The offer that stands for a wish, whether its deadline has passed or not.
/// Index: waitlist_offers_one_each.
pub(crate) fn standing(tx: &mut Tx, entry: EntryId) -> Result<Option<OfferRow>, Error> {
    let found: Option<(OfferRow, Instant)> = waitlist_offers::table
        .inner_join(appointments::table.on(appointments::id.eq(waitlist_offers::held_id)))
        .filter(waitlist_offers::entry_id.eq(entry))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .select((OfferRow::as_select(), appointments::starts_at))
        .get_result(tx.conn)
        .optional()?;
    Ok(found.map(OfferRow::as_held))
}

/// The wish for which an appointment is held, if it is.
pub(crate) fn entry_of_hold(tx: &mut Tx, held: AppointmentId) -> Result<Option<EntryId>, Error> {
    Ok(waitlist_offers::table
        .filter(waitlist_offers::held_id.eq(held))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .select(waitlist_offers::entry_id)
        .get_result(tx.conn)
        .optional()?)
}

/// How many of some held times are held for whoever waits.
pub(crate) fn count_of(tx: &mut Tx, held: &[AppointmentId]) -> Result<i64, Error> {
    let offered = waitlist_offers::table
        .filter(among(waitlist_offers::held_id, held))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing));
    Ok(offered.select(count_star()).get_result(tx.conn)?)
}

/// Notes what became of the offer of a locked wish, if one stands; the wish waits again, and a
/// time that was not accepted is free. The third lapse in a row ends the wish, and its patient is
/// told.
pub(crate) fn take_back(tx: &mut Tx, row: EntryRow, to: VacancyStatus) -> Result<EntryRow, Error> {
    let Some(offer) = standing(tx, row.id)? else { return Ok(row) };
    if to != VacancyStatus::Accepted {
        affected::let_go(tx, offer.held_id)?;
    }
    diesel::update(waitlist_offers::table.find(offer.id))
        .set((waitlist_offers::status.eq(to), waitlist_offers::answered_at.eq(Some(tx.now))))
        .execute(tx.conn)?;
    message::forget_vacancy(tx, offer.id)?;
    let lapses = match to {
        VacancyStatus::Lapsed => row.lapses.saturating_add(1).min(LAPSES_MAX),
        VacancyStatus::Declined | VacancyStatus::Accepted => 0,
        VacancyStatus::Standing | VacancyStatus::Withdrawn => row.lapses,
    };
    set_status(tx, &row, WaitStatus::Waiting, lapses)?;
    let row = EntryRow { status: WaitStatus::Waiting, lapses, ..row };
    if lapses >= LAPSES_MAX {
        finish(tx, &row, WaitStatus::Expired, WaitEnd::Unanswered, None)?;
        return Ok(EntryRow { status: WaitStatus::Expired, ..row });
    }
    Ok(row)
}

/// Ends a locked wish for which no offer stands; `visit` is what it led to. Who hoped in vain is
/// told.
pub(crate) fn finish(
    tx: &mut Tx,
    row: &EntryRow,
    to: WaitStatus,
    why: WaitEnd,
    visit: Option<AppointmentId>,
) -> Result<(), Error> {
    diesel::update(waitlist_entries::table.find(row.id))
        .set((
            waitlist_entries::status.eq(to),
            waitlist_entries::ended_why.eq(Some(why)),
            waitlist_entries::appointment_id.eq(visit.or(row.appointment_id)),
            waitlist_entries::updated_at.eq(tx.now),
            waitlist_entries::version.eq(waitlist_entries::version + 1),
        ))
        .execute(tx.conn)?;
    if to == WaitStatus::Expired && why != WaitEnd::VisitOver {
        let patient = patient::find_row(tx, row.patient_id)?;
        let tell_at = hours(tx, patient.time_zone).tell_at;
        message::tell_end(tx, patient.account_id, (row.id, &row.code), tell_at)?;
    }
    Ok(())
}

/// The services for which somebody waits, after one of them, in order.
pub(super) fn waited_for(
    tx: &mut Tx,
    after: Option<ServiceId>,
    most: i64,
) -> Result<Vec<ServiceId>, Error> {
    let mut query = waitlist_entries::table
        .filter(is_active())
        .filter(waitlist_entries::status.eq(WaitStatus::Waiting))
        .select(waitlist_entries::service_id)
        .distinct()
        .order(waitlist_entries::service_id)
        .limit(most)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(waitlist_entries::service_id.gt(after));
    }
    Ok(query.load(tx.conn)?)
}
