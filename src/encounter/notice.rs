//! What the patients behind a practitioner who is late have heard, and what they are told now: each
//! once, again only when it differs, and by SMS only so often.

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::base::column::Instant;
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::schema::delay_notices;
use crate::base::tx::Tx;
use crate::encounter::EncounterId;
use crate::encounter::delay::{Declaration, DelayId};
use crate::encounter::door::Times;
use crate::encounter::queue::{self, Queue, Visit};
use crate::encounter::wait::{Range, STEP_MINUTES};
use crate::message::late::{self, News};
use crate::message::outbox::MessageState;
use crate::message::{Promise, Word};
use crate::patient;
use crate::waitlist::offer;

/// Whoever was told once hears again only when it differs by so much, in minutes.
const AGAIN_MINUTES: i64 = 10;
/// How many texts about being late one visit is worth while its time stands; the schema holds the
/// same.
const TEXTS_MAX: i32 = 4;

/// What a patient was told last.
#[derive(Debug, Clone, Copy)]
struct Notice {
    /// Of which word.
    delay: DelayId,
    /// For which planned time.
    start: Instant,
    /// By when the visit will begin; `None`: it was taken back before anybody heard it.
    latest: Option<Instant>,
    known: Known,
}

/// What a patient knew before the last word.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// By when the visit will begin; `None`: only the plan.
    latest: Option<Instant>,
    /// Whether that is uncertain: a text may have come, or not.
    in_doubt: bool,
    /// How many texts there were, without those that were taken back.
    texts: i32,
}

/// What a patient knows before anything is told.
const PLAN: Known = Known { latest: None, in_doubt: false, texts: 0 };

/// Tells whoever waits behind what a word means for their visit, if that is news to them, and
/// counts them. The caller has made the access decision.
pub fn tell_all(
    tx: &mut Tx,
    (queue, here): (&Queue, &[EncounterId]),
    (id, free_at): (DelayId, Option<Instant>),
    done: &mut Declaration,
) -> Result<(), Error> {
    let notices = notices(tx, queue)?;
    for visit in queue.to_come() {
        done.to_come += 1;
        let range = |free_at| queue.range(visit.encounter, free_at, tx.now);
        let (Some(plan), Some(now)) = (range(None), range(free_at)) else { continue };
        let last = notices.get(&visit.encounter).filter(|last| last.start == visit.start());
        let (mut known, taken_back) = match last {
            None => (PLAN, false),
            Some(last) => match known(tx, visit, last, now)? {
                Some(known) => known,
                None => continue,
            },
        };
        let mut notice = Notice { delay: id, start: visit.start(), latest: known.latest, known };
        if known.in_doubt || is_news(known.latest, plan, now) {
            done.told += 1;
            if !here.contains(&visit.encounter) {
                let sooner = known.latest.is_some_and(|known| now.latest < known);
                if known.texts < TEXTS_MAX && send(tx, visit, id, (now, sooner))? {
                    known.texts += 1;
                    done.by_sms += 1;
                } else {
                    done.unreached += 1;
                }
            }
            notice = Notice { latest: Some(now.latest), known, ..notice };
        } else if !taken_back {
            continue;
        }
        keep(tx, visit.encounter, &notice)?;
    }
    Ok(())
}

/// Whether a word still is what the patient of a visit was told last. The caller has made the access
/// decision.
pub fn stands(tx: &mut Tx, word: Word) -> Result<bool, Error> {
    let told: Option<DelayId> = delay_notices::table
        .find(word.encounter)
        .select(delay_notices::delay_id)
        .first(tx.conn)
        .optional()?;
    Ok(told == Some(word.delay))
}

/// By when the patients of some visits were told that these begin, since the practitioner is late.
pub struct Promises(HashMap<EncounterId, (Instant, Instant)>);

impl Promises {
    /// Of these visits. The caller has made the access decision.
    pub fn of(tx: &mut Tx, visits: &[EncounterId]) -> Result<Self, Error> {
        let rows: Vec<(EncounterId, Instant, Option<Instant>)> = delay_notices::table
            .filter(among(delay_notices::encounter_id, visits))
            .select((
                delay_notices::encounter_id,
                delay_notices::starts_at,
                delay_notices::latest_at,
            ))
            .load(tx.conn)?;
        let told = |(id, start, latest): (_, _, Option<Instant>)| Some((id, (start, latest?)));
        Ok(Self(rows.into_iter().filter_map(told).collect()))
    }

    /// The times of a visit; what was told of another planned time does not count.
    pub fn times(&self, id: EncounterId, (start, end): (Instant, Instant)) -> Times {
        let told = self.0.get(&id).filter(|(of, _)| *of == start).map(|(_, latest)| *latest);
        Times { start, end, told }
    }
}

/// The times of one visit. The caller has made the access decision.
pub fn times(tx: &mut Tx, id: EncounterId, planned: (Instant, Instant)) -> Result<Times, Error> {
    Ok(Promises::of(tx, &[id])?.times(id, planned))
}

/// The visits of a queue whose patient is there, and sees it on the page. The caller has made the
/// access decision.
pub fn here(tx: &mut Tx, queue: &Queue) -> Result<Vec<EncounterId>, Error> {
    queue::patients_here(tx, &ids(queue))
}

fn ids(queue: &Queue) -> Vec<EncounterId> {
    queue.to_come().map(|visit| visit.encounter).collect()
}

/// What a patient has heard by now, and whether a text was taken back that had not left; `None` when
/// one that says nearly the same still waits to leave.
fn known(
    tx: &mut Tx,
    visit: &Visit,
    last: &Notice,
    now: Range,
) -> Result<Option<(Known, bool)>, Error> {
    let Some(told) = last.latest else { return Ok(Some((last.known, false))) };
    let text = Word { delay: last.delay, encounter: visit.encounter };
    let state = late::state(tx, text)?;
    if state == Some(MessageState::Pending) {
        if differs(told, now) < TimeDelta::minutes(AGAIN_MINUTES) {
            return Ok(None);
        }
        if late::withdraw(tx, text)? {
            let texts = last.known.texts.saturating_sub(1);
            return Ok(Some((Known { texts, ..last.known }, true)));
        }
    }
    // A gateway that did not take a text, as it says, may have sent it all the same.
    let in_doubt = matches!(state, Some(MessageState::Pending | MessageState::Failed));
    Ok(Some((Known { latest: Some(told), in_doubt, texts: last.known.texts }, false)))
}

fn is_news(known: Option<Instant>, plan: Range, now: Range) -> bool {
    match known {
        None => differs(plan.latest, now) >= TimeDelta::minutes(STEP_MINUTES),
        Some(known) => differs(known, now) >= TimeDelta::minutes(AGAIN_MINUTES),
    }
}

fn differs(known: Instant, now: Range) -> TimeDelta {
    now.latest.since(known).abs()
}

/// `false` when no SMS can reach them in time.
fn send(
    tx: &mut Tx,
    visit: &Visit,
    delay: DelayId,
    (range, sooner): (Range, bool),
) -> Result<bool, Error> {
    let patient = patient::find_row(tx, visit.patient)?;
    let told = range.told(visit.start());
    let word = Word { delay, encounter: visit.encounter };
    let news = News {
        word,
        promise: Promise {
            appointment: visit.appointment,
            starts_at: visit.start(),
            word: Some(word),
        },
        code: &visit.code,
        times: (told.earliest, told.latest),
        zone: visit.time_zone,
        sooner,
        tell_at: offer::hours(tx, patient.time_zone).tell_at,
    };
    late::tell(tx, patient.account_id, &news)
}

fn notices(tx: &mut Tx, queue: &Queue) -> Result<HashMap<EncounterId, Notice>, Error> {
    type Row = (EncounterId, DelayId, Instant, Option<Instant>, (Option<Instant>, bool, i32));
    let rows: Vec<Row> = delay_notices::table
        .filter(delay_notices::encounter_id.eq_any(ids(queue)))
        .select((
            delay_notices::encounter_id,
            delay_notices::delay_id,
            delay_notices::starts_at,
            delay_notices::latest_at,
            (delay_notices::known_at, delay_notices::in_doubt, delay_notices::texts),
        ))
        .load(tx.conn)?;
    let notice = |(id, delay, start, told, (latest, in_doubt, texts)): Row| {
        (id, Notice { delay, start, latest: told, known: Known { latest, in_doubt, texts } })
    };
    Ok(rows.into_iter().map(notice).collect())
}

fn keep(tx: &mut Tx, encounter: EncounterId, notice: &Notice) -> Result<(), Error> {
    let values = (
        delay_notices::delay_id.eq(notice.delay),
        delay_notices::starts_at.eq(notice.start),
        delay_notices::latest_at.eq(notice.latest),
        delay_notices::known_at.eq(notice.known.latest),
        delay_notices::in_doubt.eq(notice.known.in_doubt),
        delay_notices::texts.eq(notice.known.texts),
        delay_notices::told_at.eq(tx.now),
    );
    let row = delay_notices::table.find(encounter);
    if diesel::update(row).set(values).execute(tx.conn)? == 0 {
        diesel::insert_into(delay_notices::table)
            .values((delay_notices::encounter_id.eq(encounter), values))
            .execute(tx.conn)?;
    }
    Ok(())
}
