//! "I am running late": said once by the practitioner, or by the clinic for them, and told to
//! everybody behind whose visit it really moves.

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::dsl::max;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::{Instant, id};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{accounts, delay_notices, encounter_participants, practitioner_delays};
use crate::base::tx::{Event, Tx};
use crate::encounter::queue::{Queue, Visit};
use crate::encounter::wait::{Range, STEP_MINUTES};
use crate::encounter::{EncounterId, ParticipantRole, ParticipantState};
use crate::message::late::{self, News};
use crate::patient;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::rules;
use crate::waitlist::offer;

id!(
    /// One word of a practitioner about being late.
    DelayId
);

/// The least that can be said, in minutes.
pub const MINUTES_MIN: i32 = 5;
/// The most; whoever is later than that calls visits off, or moves them.
pub const MINUTES_MAX: i32 = 180;
/// Whoever was told once hears again only when it differs by so much, in minutes.
const AGAIN_MINUTES: i64 = 10;

/// The word of a practitioner who is late.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareDelay {
    /// How late whoever comes next will be seen, from 5 to 180; 0: on time again.
    pub minutes: i32,
    /// Only say what would come of it.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a practitioner has said last about being late.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delay {
    /// By how many minutes; 0: not late, or no more.
    pub minutes: i32,
    /// Whoever comes next is not seen before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_at: Option<Instant>,
    /// When it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_at: Option<Instant>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<Named<AccountId>>,
}

/// What came of it, or would.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Declaration {
    /// What is known now.
    #[serde(flatten)]
    pub delay: Delay,
    /// How many visits of today have not begun.
    pub to_come: usize,
    /// How many of their patients are told: those whose visit it moves.
    pub told: usize,
    /// How many of these hear it by SMS, because they are not there.
    pub by_sms: usize,
    /// How many of these are not there and have no telephone: somebody must call on them.
    pub unreached: usize,
}

/// What counts at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// By how many minutes.
    pub minutes: i32,
    /// Whoever comes next is not seen before.
    pub free_at: Instant,
}

/// What counts at present; a time that has passed says nothing any more. The caller has made the
/// access decision.
pub fn current(tx: &mut Tx, practitioner: PractitionerId) -> Result<Option<Declared>, Error> {
    let newest: Option<(i32, Option<Instant>)> = practitioner_delays::table
        .filter(practitioner_delays::practitioner_id.eq(practitioner))
        .order(practitioner_delays::number.desc())
        .select((practitioner_delays::minutes, practitioner_delays::free_at))
        .first(tx.conn)
        .optional()?;
    let Some((minutes, Some(free_at))) = newest else { return Ok(None) };
    Ok((free_at > tx.now).then_some(Declared { minutes, free_at }))
}

/// What a practitioner has said last about being late.
pub fn find(tx: &mut Tx, practitioner: PractitionerId) -> Result<Delay, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ReadSchedule, &facts)?;
    show(tx, practitioner)
}

fn show(tx: &mut Tx, practitioner: PractitionerId) -> Result<Delay, Error> {
    type Row = (i32, Option<Instant>, Instant, (AccountId, String));
    let newest: Option<Row> = practitioner_delays::table
        .inner_join(accounts::table)
        .filter(practitioner_delays::practitioner_id.eq(practitioner))
        .order(practitioner_delays::number.desc())
        .select((
            practitioner_delays::minutes,
            practitioner_delays::free_at,
            practitioner_delays::declared_at,
            (accounts::id, accounts::name),
        ))
        .first(tx.conn)
        .optional()?;
    Ok(match newest {
        Some((minutes, Some(free_at), at, (id, name))) if free_at > tx.now => Delay {
            minutes,
            free_at: Some(free_at),
            declared_at: Some(at),
            declared_by: Some(Named { id, name }),
        },
        _ => Delay { minutes: 0, free_at: None, declared_at: None, declared_by: None },
    })
}

/// Says how late whoever comes next will be seen, or that it is on time again, and tells those
/// behind whose visit it moves: each once, and again only when it differs by ten minutes. A dry run
/// answers the same and changes nothing.
pub fn declare(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: DeclareDelay,
) -> Result<Declaration, Error> {
    if wanted.dry_run {
        tx.rehearse(|tx| really(tx, practitioner, wanted.minutes))
    } else {
        really(tx, practitioner, wanted.minutes)
    }
}

fn really(tx: &mut Tx, practitioner: PractitionerId, minutes: i32) -> Result<Declaration, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::DeclareDelay, &facts)?;
    if minutes != 0 && !(MINUTES_MIN..=MINUTES_MAX).contains(&minutes) {
        return Err(Error::field(&problem::INVALID_BODY, "/minutes"));
    }
    // Two words at once follow one another, so that nobody is told twice.
    practitioner::lock(tx, practitioner)?;
    let before = current(tx, practitioner)?.map(|declared| declared.free_at);
    let queue = Queue::of(tx, practitioner, tx.now)?;
    let next = queue.as_ref().and_then(|queue| queue.to_come().next()).map(Visit::start);
    let late = TimeDelta::minutes(i64::from(minutes));
    let free_at = (minutes > 0).then(|| next.unwrap_or(tx.now).plus(late));
    let last: Option<i32> = practitioner_delays::table
        .filter(practitioner_delays::practitioner_id.eq(practitioner))
        .select(max(practitioner_delays::number))
        .get_result(tx.conn)?;
    let id = DelayId::new(tx.now);
    diesel::insert_into(practitioner_delays::table)
        .values((
            practitioner_delays::id.eq(id),
            practitioner_delays::practitioner_id.eq(practitioner),
            practitioner_delays::number.eq(last.unwrap_or(0).saturating_add(1)),
            practitioner_delays::minutes.eq(minutes),
            practitioner_delays::free_at.eq(free_at),
            practitioner_delays::declared_by.eq(tx.person()?.account),
            practitioner_delays::declared_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let mut done = Declaration {
        delay: show(tx, practitioner)?,
        to_come: 0,
        told: 0,
        by_sms: 0,
        unreached: 0,
    };
    if let Some(queue) = &queue {
        tell_all(tx, queue, (id, before, free_at), &mut done)?;
    }
    tx.tell(Event::QueueMoved(practitioner));
    tx.record(Action::DeclareDelay, "Practitioner", practitioner.0, &facts);
    Ok(done)
}

/// What a patient was told last.
#[derive(Debug, Clone, Copy)]
struct Notice {
    delay: DelayId,
    latest: Instant,
}

fn tell_all(
    tx: &mut Tx,
    queue: &Queue,
    (id, before, free_at): (DelayId, Option<Instant>, Option<Instant>),
    done: &mut Declaration,
) -> Result<(), Error> {
    let visits: Vec<&Visit> = queue.to_come().collect();
    let ids: Vec<EncounterId> = visits.iter().map(|visit| visit.encounter).collect();
    let notices = notices(tx, &ids)?;
    let here = here(tx, &ids)?;
    done.to_come = visits.len();
    for visit in visits {
        let of = |free_at| queue.range(visit.encounter, free_at, tx.now);
        let (Some(was), Some(now)) = (of(before), of(free_at)) else { continue };
        let Some(plain) = of(None) else { continue };
        let heard = notices
            .get(&visit.encounter)
            .filter(|(start, _)| *start == visit.start())
            .map(|(_, notice)| *notice);
        let moved = match heard {
            None => now.latest.since(was.latest) >= TimeDelta::minutes(STEP_MINUTES),
            Some(heard) => {
                now.latest.since(heard.latest).abs() >= TimeDelta::minutes(AGAIN_MINUTES)
            }
        };
        if !moved {
            continue;
        }
        done.told += 1;
        keep_notice(tx, visit, id, now)?;
        // What has not left yet was never heard.
        let unheard = match heard {
            Some(heard) => late::withdraw(tx, (heard.delay, visit.encounter))?,
            None => false,
        };
        if here.contains(&visit.encounter) || (unheard && now.latest == plain.latest) {
            continue;
        }
        let sooner = heard.is_some_and(|heard| now.latest < heard.latest) && !unheard;
        match send(tx, visit, id, (now, sooner))? {
            true => done.by_sms += 1,
            false => done.unreached += 1,
        }
    }
    Ok(())
}

/// `false` when the patient has no telephone.
fn send(
    tx: &mut Tx,
    visit: &Visit,
    delay: DelayId,
    (range, sooner): (Range, bool),
) -> Result<bool, Error> {
    let patient = patient::find_row(tx, visit.patient)?;
    let told = range.told(visit.start());
    let news = News {
        delay,
        encounter: visit.encounter,
        appointment: visit.appointment,
        code: &visit.code,
        start: visit.start(),
        times: (told.earliest, told.latest),
        zone: visit.time_zone,
        sooner,
        tell_at: offer::hours(tx, patient.time_zone).tell_at,
    };
    late::tell(tx, patient.account_id, &news)
}

fn notices(
    tx: &mut Tx,
    visits: &[EncounterId],
) -> Result<HashMap<EncounterId, (Instant, Notice)>, Error> {
    let rows: Vec<(EncounterId, DelayId, Instant, Instant)> = delay_notices::table
        .filter(delay_notices::encounter_id.eq_any(visits))
        .select((
            delay_notices::encounter_id,
            delay_notices::delay_id,
            delay_notices::starts_at,
            delay_notices::latest_at,
        ))
        .load(tx.conn)?;
    let notices = rows.into_iter();
    Ok(notices.map(|(id, delay, start, latest)| (id, (start, Notice { delay, latest }))).collect())
}

fn keep_notice(tx: &mut Tx, visit: &Visit, delay: DelayId, told: Range) -> Result<(), Error> {
    let values = (
        delay_notices::delay_id.eq(delay),
        delay_notices::starts_at.eq(visit.start()),
        delay_notices::latest_at.eq(told.latest),
        delay_notices::told_at.eq(tx.now),
    );
    let row = delay_notices::table.find(visit.encounter);
    if diesel::update(row).set(values).execute(tx.conn)? == 0 {
        diesel::insert_into(delay_notices::table)
            .values((delay_notices::encounter_id.eq(visit.encounter), values))
            .execute(tx.conn)?;
    }
    Ok(())
}

/// The visits whose patient is there, and sees it on the page.
fn here(tx: &mut Tx, visits: &[EncounterId]) -> Result<Vec<EncounterId>, Error> {
    Ok(encounter_participants::table
        .filter(encounter_participants::encounter_id.eq_any(visits))
        .filter(encounter_participants::role.eq(ParticipantRole::Patient))
        .filter(
            encounter_participants::state
                .eq_any([ParticipantState::Waiting, ParticipantState::Admitted]),
        )
        .select(encounter_participants::encounter_id)
        .load(tx.conn)?)
}
