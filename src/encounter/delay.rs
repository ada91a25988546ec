//! "I am running late": said once by the practitioner, or by the clinic for them, and told to
//! everybody behind whose visit it really moves.

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
use crate::base::schema::{accounts, practitioner_delays};
use crate::base::tx::{Event, Tx};
use crate::encounter::queue::Queue;
use crate::encounter::{EncounterId, notice};
use crate::practitioner::{self, PractitionerId};
use crate::schedule::rules;

id!(
    /// One word of a practitioner about being late.
    DelayId
);

/// The least that can be said, in minutes.
pub const MINUTES_MIN: i32 = 5;
/// The most; whoever is later than that calls visits off, or moves them.
pub const MINUTES_MAX: i32 = 180;

/// The word of a practitioner who is late.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareDelay {
    /// How late whoever comes next will be seen, from 5 to 180, counted from their planned time or,
    /// when that has passed, from now; 0: on time again.
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
    /// How many of these are not there and hear nothing by SMS: they have no telephone, had as many
    /// texts as may be, or nothing can leave before their visit. Somebody must call on them.
    pub unreached: usize,
}

/// What counts at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// By how many minutes.
    pub minutes: i32,
    /// Whoever comes next is not seen before.
    pub free_at: Instant,
    /// When it was said.
    pub declared_at: Instant,
}

/// What counts at present. The caller has made the access decision.
pub fn current(tx: &mut Tx, practitioner: PractitionerId) -> Result<Option<Declared>, Error> {
    Ok(newest(tx, practitioner)?.map(|(declared, ..)| declared))
}

type Newest = (Declared, Named<AccountId>);

/// What counts at present, when it was said and by whom; a time that has passed says nothing any
/// more.
fn newest(tx: &mut Tx, practitioner: PractitionerId) -> Result<Option<Newest>, Error> {
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
    let Some((minutes, Some(free_at), declared_at, (id, name))) = newest else { return Ok(None) };
    let declared = Declared { minutes, free_at, declared_at };
    Ok((free_at > tx.now).then_some((declared, Named { id, name })))
}

/// What a practitioner has said last about being late.
pub fn find(tx: &mut Tx, practitioner: PractitionerId) -> Result<Delay, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ReadSchedule, &facts)?;
    show(tx, practitioner)
}

fn show(tx: &mut Tx, practitioner: PractitionerId) -> Result<Delay, Error> {
    Ok(match newest(tx, practitioner)? {
        Some((Declared { minutes, free_at, declared_at }, by)) => Delay {
            minutes,
            free_at: Some(free_at),
            declared_at: Some(declared_at),
            declared_by: Some(by),
        },
        None => Delay { minutes: 0, free_at: None, declared_at: None, declared_by: None },
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
    let queue = Queue::of(tx, practitioner, tx.now)?;
    let here = match &queue {
        Some(queue) => notice::here(tx, queue)?,
        None => Vec::new(),
    };
    let next = next(queue.as_ref(), &here, tx.now);
    let late = TimeDelta::minutes(i64::from(minutes));
    let free_at = (minutes > 0).then(|| next.plus(late));
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
        notice::tell_all(tx, (queue, &here), (id, free_at), &mut done)?;
    }
    tx.tell(Event::QueueMoved(practitioner));
    tx.record(Action::DeclareDelay, "Practitioner", practitioner.0, &facts);
    Ok(done)
}

/// When whoever comes next should be seen: never before now, and whoever should have come and has
/// not is not waited for, unless they were told to come later.
fn next(queue: Option<&Queue>, here: &[EncounterId], now: Instant) -> Instant {
    let coming = queue.and_then(|queue| {
        queue.to_come().find(|visit| visit.is_still_to_come(now) || here.contains(&visit.encounter))
    });
    coming.map_or(now, |visit| visit.start().max(now))
}
