//! What "the doctor is ill" proposes: reads who could take over, and lets
//! [`assign`](crate::schedule::leave::assign) choose. Nothing is changed here, and the caller has
//! decided on access.

use std::collections::HashMap;

use chrono::{NaiveTime, TimeDelta};

use crate::account;
use crate::appointment::affected::Affected;
use crate::appointment::occupy::{LANE, SECOND_LANE};
use crate::appointment::{self, AppointmentId, needed, taken};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::base::zone::{self, Wall, Zone};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::{self, ServiceId};
use crate::patient;
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::leave::assign::{self, Candidate, Place, StandIn, Visit, Why};
use crate::schedule::leave::plan::Act;
use crate::schedule::wall_clock::Span;
use crate::schedule::{next_free, working_time};

/// A visit that gets another time is not put nearer than this: ten minutes in which all can be
/// undone, and the time in which its patient hears of it.
const NOTICE_MINUTES: i64 = 30;
/// Nobody is put to another time earlier or later in their own day.
const DAY_HOURS: (u32, u32) = (7, 21);

/// What is proposed for a visit.
#[derive(Debug, Clone)]
pub(crate) struct Proposed {
    pub visit: AppointmentId,
    pub from_start: Instant,
    pub act: Act,
    pub place: Option<Place>,
    pub why: Vec<Why>,
}

/// Proposes for each visit of an ill practitioner what shall become of it, in the order of the
/// visits.
pub(crate) fn propose(
    tx: &mut Tx,
    ill: &PractitionerRow,
    until: Instant,
    visits: &[Affected],
) -> Result<Vec<Proposed>, Error> {
    let is_booked = |visit: &&Affected| visit.status == AppointmentStatus::Booked;
    let (booked, helped): (Vec<&Affected>, Vec<&Affected>) =
        visits.iter().filter(is_booked).partition(|visit| visit.practitioner == ill.id);
    let mut helpable = HashMap::new();
    for visit in helped {
        let row = appointment::find_row(tx, visit.id)?;
        let (_, others) = needed::replacements(tx, &row, ill.id.0)?;
        helpable.insert(visit.id, !others.is_empty());
    }
    let givers = givers(tx, ill, &booked)?;
    let asked = asked(tx, ill, &booked, &givers)?;
    let candidates = candidates(tx, &givers, &asked)?;
    let notice = tx.now.plus(TimeDelta::minutes(NOTICE_MINUTES));
    let given = assign::assign(&asked, &candidates, (tx.now, notice));
    let mut other_days: HashMap<ServiceId, bool> = HashMap::new();
    let mut proposed = Vec::with_capacity(visits.len());
    for visit in visits {
        let given = given.iter().find(|given| given.visit == visit.id);
        let (act, place, mut why) = match given {
            None if helpable.get(&visit.id) == Some(&true) => {
                (Act::Replace, None, vec![Why::AnotherHelper])
            }
            None if helpable.contains_key(&visit.id) => (Act::Cancel, None, vec![Why::NoHelper]),
            None if visit.status == AppointmentStatus::Arrived => {
                (Act::Keep, None, vec![Why::HasBegun])
            }
            None => (Act::Keep, None, vec![Why::NotBooked]),
            Some(given) if given.place.is_some() => (Act::Move, given.place, given.why.clone()),
            Some(given) => (Act::Cancel, None, given.why.clone()),
        };
        let mut act = act;
        if act == Act::Cancel {
            let any = match other_days.get(&visit.service) {
                Some(any) => *any,
                None => has_other_days(tx, visit.service, ill.time_zone, until)?,
            };
            other_days.insert(visit.service, any);
            why.push(if any { Why::OtherDays } else { Why::NoOtherDays });
            act = if any { Act::Offer } else { Act::Cancel };
        }
        proposed.push(Proposed { visit: visit.id, from_start: visit.start, act, place, why });
    }
    Ok(proposed)
}

/// Whether the service has a free time after the illness: of the ill one too, who is well then.
fn has_other_days(
    tx: &mut Tx,
    service: ServiceId,
    zone: Zone,
    until: Instant,
) -> Result<bool, Error> {
    let service = organization::find_service(tx, service)?;
    Ok(!next_free(tx, &service, None, until.max(tx.now), zone, 1)?.is_empty())
}

/// Who else gives each of the services.
fn givers(
    tx: &mut Tx,
    ill: &PractitionerRow,
    visits: &[&Affected],
) -> Result<HashMap<ServiceId, Vec<PractitionerRow>>, Error> {
    let mut givers = HashMap::new();
    for visit in visits {
        if givers.contains_key(&visit.service) {
            continue;
        }
        let mut offering = practitioner::of_service(tx, visit.service, None)?;
        offering.retain(|one| one.id != ill.id);
        givers.insert(visit.service, offering);
    }
    Ok(givers)
}

fn asked(
    tx: &mut Tx,
    ill: &PractitionerRow,
    visits: &[&Affected],
    givers: &HashMap<ServiceId, Vec<PractitionerRow>>,
) -> Result<Vec<Visit>, Error> {
    let days: Vec<Span> = visits.iter().map(|visit| day_of(visit)).collect();
    let promised = visits.iter().map(|visit| Span { start: visit.start, end: visit.end });
    let range = around(&days.iter().copied().chain(promised).collect::<Vec<_>>());
    let mut hours: HashMap<ServiceId, HashMap<PractitionerId, Vec<Span>>> = HashMap::new();
    for (service, offering) in givers {
        if let Some(range) = range {
            hours.insert(*service, working_time(tx, *service, offering, range)?);
        }
    }
    let patients: Vec<uuid::Uuid> = visits.iter().map(|visit| visit.patient.0).collect();
    let busy = match range {
        Some(range) => taken::of_people(tx, &patients, &[LANE], (range.start, range.end))?,
        None => Vec::new(),
    };
    let mut asked = Vec::with_capacity(visits.len());
    for (visit, day) in visits.iter().zip(days) {
        let languages = spoken(tx, visit)?;
        let offering = givers.get(&visit.service).map_or(&[][..], Vec::as_slice);
        let hours = hours.get(&visit.service);
        let stand_ins = offering.iter().map(|one| StandIn {
            practitioner: one.id,
            same_language: languages.iter().any(|code| one.speaks_code(code)),
            same_zone: shows_the_same(one.time_zone, ill.time_zone, visit.start),
            hours: hours.and_then(|hours| hours.get(&one.id)).cloned().unwrap_or_default(),
        });
        let elsewhere = busy
            .iter()
            .filter(|(patient, id, ..)| *patient == visit.patient.0 && *id != visit.id)
            .map(|(_, _, start, end)| Span { start: *start, end: *end });
        asked.push(Visit {
            id: visit.id,
            patient: visit.patient,
            priority: visit.priority,
            span: Span { start: visit.start, end: visit.end },
            before: visit.start.since(visit.busy_from),
            after: visit.busy_to.since(visit.end),
            day,
            patient_busy: elsewhere.collect(),
            stand_ins: stand_ins.collect(),
        });
    }
    Ok(asked)
}

/// What the patient of a visit speaks; as long as nobody has said, the language of texts to them.
fn spoken(tx: &mut Tx, visit: &Affected) -> Result<Vec<String>, Error> {
    let languages = patient::find_row(tx, visit.patient)?.languages();
    match visit.account {
        Some(account) if languages.is_empty() => {
            Ok(vec![account::contact(tx, account)?.language.to_string()])
        }
        _ => Ok(languages),
    }
}

fn candidates(
    tx: &mut Tx,
    givers: &HashMap<ServiceId, Vec<PractitionerRow>>,
    visits: &[Visit],
) -> Result<Vec<Candidate>, Error> {
    let reach = |visit: &Visit| Span {
        start: visit.day.start.min(visit.span.start).minus(visit.before),
        end: visit.day.end.max(visit.span.end).plus(visit.after),
    };
    let Some(range) = around(&visits.iter().map(reach).collect::<Vec<_>>()) else {
        return Ok(Vec::new());
    };
    let mut ids: Vec<uuid::Uuid> = givers.values().flatten().map(|one| one.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let taken = taken::of_people(tx, &ids, &[LANE, SECOND_LANE], (range.start, range.end))?;
    let candidate = |id: uuid::Uuid| {
        let own = || taken.iter().filter(move |(other, ..)| *other == id);
        // An urgent visit takes two lanes and is one.
        let mut visits: Vec<AppointmentId> = own().map(|(_, visit, ..)| *visit).collect();
        visits.sort_unstable();
        visits.dedup();
        Candidate {
            practitioner: PractitionerId(id),
            taken: own().map(|(_, _, start, end)| Span { start: *start, end: *end }).collect(),
            load: i64::try_from(visits.len()).unwrap_or(i64::MAX),
        }
    };
    Ok(ids.into_iter().map(candidate).collect())
}

fn around(spans: &[Span]) -> Option<Span> {
    let start = spans.iter().map(|span| span.start).min()?;
    let end = spans.iter().map(|span| span.end).max()?;
    Some(Span { start, end })
}

fn shows_the_same(one: Zone, other: Zone, at: Instant) -> bool {
    zone::wall(at, one).naive_local() == zone::wall(at, other).naive_local()
}

/// The hours of the promised day, on the clock of the promise, in which one can be put.
fn day_of(visit: &Affected) -> Span {
    let zone = Zone::of_stored(&visit.time_zone);
    let date = zone::wall(visit.start, zone).date_naive();
    let at = |hour| match NaiveTime::from_hms_opt(hour, 0, 0).map(|time| date.and_time(time)) {
        None => visit.start,
        Some(wall) => match zone::resolve(wall, zone) {
            Wall::Once(at) | Wall::Fold(at, _) => at,
            Wall::Gap => visit.start,
        },
    };
    Span { start: at(DAY_HOURS.0), end: at(DAY_HOURS.1) }
}
