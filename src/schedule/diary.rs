//! Working time in memory: what has been said of it is read once, and holds until somebody says
//! something else. Visits are not part of it; they are read each time.
//!
//! The schema puts a new mark on every change of what is kept here (`schedule_revisions`), in the
//! transaction that makes it. What a process keeps belongs to one mark; a transaction that sees
//! another does without. See `docs/decisions/0013-working-time-in-memory.md`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::base::column::{self, Instant};
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::schema::schedule_revisions;
use crate::base::tx::Tx;
use crate::organization::ServiceId;
use crate::practitioner::PractitionerId;
use crate::schedule::free::{self, Hours, Offer, Terms};
use crate::schedule::wall_clock::{DAY_SECS, Span, WallClock, instant};

/// How far back the kept hours reach from when they were read, in days.
const BACK_DAYS: i64 = 2;
/// How far ahead they reach, in days: the longest horizon of a service (the schema knows it too),
/// the longest visit, and time to grow old.
const AHEAD_DAYS: i64 = 366 + 34;
/// How many days of starts a diary holds; when there are more, they are forgotten: five services
/// for a month.
const DAYS_MAX: usize = 160;

/// When somebody works, and the starts of visits that follow from it.
#[derive(Debug)]
pub struct Diary {
    /// What has been said.
    pub hours: Hours,
    /// What of it was read: all that touches this.
    reach: Span,
    starts: Mutex<Starts>,
}

/// The starts of a service, of a length and on a grid, on a day.
type Starts = HashMap<(ServiceId, TimeDelta, i32, Day), Arc<[Offer]>>;

impl Diary {
    /// A diary of all that was said of a range.
    pub fn of(hours: Hours, reach: Span) -> Self {
        Self { hours, reach, starts: Mutex::default() }
    }

    /// The starts of a day of UTC, whatever has been booked.
    pub fn starts(&self, terms: &Terms, day: Day) -> Arc<[Offer]> {
        // The terms are the caller's, who may have read them before they changed.
        let key = (terms.service, terms.duration, terms.align_minutes, day);
        if let Some(known) = lock(&self.starts).get(&key) {
            return Arc::clone(known);
        }
        let span = day.span();
        let clock = WallClock::of(self.hours.zone, span);
        let starts: Arc<[Offer]> = free::starts(&self.hours, &clock, terms, span).into();
        let mut kept = lock(&self.starts);
        if kept.len() >= DAYS_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&starts));
        starts
    }
}

/// A day of UTC, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Day(i64);

impl Day {
    /// The day of an instant.
    pub fn of(at: Instant) -> Self {
        Self(at.utc().timestamp().div_euclid(DAY_SECS))
    }

    /// The day after.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// From midnight to midnight.
    pub fn span(self) -> Span {
        let at = |day: i64| instant(day.saturating_mul(DAY_SECS)).unwrap_or(Instant::MAX);
        Span { start: at(self.0), end: at(self.0.saturating_add(1)) }
    }

    /// The days that touch a span, from first to last.
    pub fn of_span(span: Span) -> impl Iterator<Item = Self> {
        let mut day = Self::of(span.start);
        std::iter::from_fn(move || {
            let this = day;
            day = day.next();
            (this.span().start < span.end).then_some(this)
        })
    }
}

/// The diaries that a process keeps.
#[derive(Debug, Default)]
pub struct Diaries(Mutex<Kept>);

/// What was said last; another with every change.
type Revision = column::Uuid;

#[derive(Debug, Default)]
struct Kept {
    /// `None`: nothing has been read yet.
    revision: Option<Revision>,
    diaries: HashMap<PractitionerId, Arc<Diary>>,
}

impl Diaries {
    /// All of some diaries, when each is kept under this revision and reaches far enough.
    fn find(
        &self,
        revision: Revision,
        ids: &[PractitionerId],
        range: Span,
    ) -> Option<HashMap<PractitionerId, Arc<Diary>>> {
        let kept = lock(&self.0);
        let reaches =
            |diary: &&Arc<Diary>| diary.reach.start <= range.start && range.end <= diary.reach.end;
        let known = ids.iter().map(|id| {
            let diary = kept.diaries.get(id).filter(reaches)?;
            Some((*id, Arc::clone(diary)))
        });
        if kept.revision == Some(revision) { known.collect() } else { None }
    }

    /// Keeps diaries that were read on one snapshot, and forgets those of another.
    fn keep(&self, revision: Revision, read: &HashMap<PractitionerId, Arc<Diary>>) {
        let mut kept = lock(&self.0);
        if kept.revision != Some(revision) {
            *kept = Kept { revision: Some(revision), diaries: HashMap::new() };
        }
        kept.diaries.extend(read.iter().map(|(id, diary)| (*id, Arc::clone(diary))));
    }
}

fn revision(conn: &mut Conn) -> Result<Revision, Error> {
    Ok(schedule_revisions::table.select(schedule_revisions::revision).get_result(conn)?)
}

/// The diaries of some practitioners near a range: those in memory when they still hold, or what
/// `read` reads of a range.
pub(super) fn find(
    tx: &mut Tx,
    ids: &[PractitionerId],
    range: Span,
    read: impl FnOnce(&mut Tx, Span) -> Result<HashMap<PractitionerId, Hours>, Error>,
) -> Result<HashMap<PractitionerId, Arc<Diary>>, Error> {
    let whole = Span {
        start: tx.now.minus(TimeDelta::days(BACK_DAYS)),
        end: tx.now.plus(TimeDelta::days(AHEAD_DAYS)),
    };
    let is_near = whole.start <= range.start && range.end <= whole.end;
    let revision = revision(tx.conn)?;
    if let Some(known) = tx.app.diaries.find(revision, ids, range) {
        return Ok(known);
    }
    // What a transaction changed itself is not true for others yet: only a snapshot is kept.
    let keeps = is_near && tx.is_snapshot();
    let reach = if keeps { whole } else { range };
    let hours = read(tx, reach)?;
    let diaries: HashMap<PractitionerId, Arc<Diary>> =
        hours.into_iter().map(|(id, hours)| (id, Arc::new(Diary::of(hours, reach)))).collect();
    if keeps {
        tx.app.diaries.keep(revision, &diaries);
    }
    Ok(diaries)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole at every moment.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
