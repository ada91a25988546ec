//! Absences: a day off, a holiday, an illness. What is booked then stays booked until somebody
//! decides what becomes of it, so making an absence names the visits it hits, and it stays open
//! until each of them has an outcome (see [`leave`](crate::schedule::leave)).

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::access::{self, Decision};
use crate::appointment::taken::{self, Hit};
use crate::appointment::{self, affected};
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::absences;
use crate::base::tx::Tx;
use crate::message;
use crate::patient;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::leave::{self, lapsed, vain};
use crate::schedule::rules;
use crate::schedule::wall_clock::Span;
use crate::waitlist::follow;

id!(
    /// A time in which a practitioner does not work.
    AbsenceId
);

text_enum!(
    /// Where an absence stands. Its times are not offered in either state.
    AbsenceStatus {
        /// It hits visits of which nobody has said what becomes of them.
        Open = "open",
        /// Each visit that it hit has an outcome.
        Complete = "complete",
    }
);

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// A time off.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAbsence {
    /// When it begins, RFC 3339 with an offset.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
    /// Why; shown to those only who may change the schedule.
    pub reason: Option<String>,
}

/// A time in which a practitioner does not work.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Absence {
    /// Its id.
    pub id: AbsenceId,
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
    /// Why, if the caller may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether each visit that it hits has an outcome.
    pub status: AbsenceStatus,
}

/// A new absence and the visits it hits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AddedAbsence {
    /// The absence.
    #[serde(flatten)]
    pub absence: Absence,
    /// The first 100 booked visits within it that the caller may see, by start. They stay booked.
    pub affected: Vec<Hit>,
    /// How many there are.
    pub affected_count: i64,
}

/// Adds an absence: its times are not offered any more. Names the visits it hits.
pub fn add(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &AddAbsence,
) -> Result<AddedAbsence, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::EditSchedule, &facts)?;
    if wanted.to <= wanted.from {
        return Err(Error::field(&problem::INVALID_BODY, "/to"));
    }
    if wanted.to <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/to"));
    }
    let reason = wanted.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        return Err(Error::field(&problem::INVALID_BODY, "/reason"));
    }
    leave::wait_to_change(tx, &facts)?;
    let (id, status) = insert(tx, practitioner, (wanted.from, wanted.to), reason)?;
    let (affected, affected_count) = taken::hits(tx, practitioner, wanted.from, wanted.to)?;
    tx.record(Action::EditSchedule, "Absence", id.0, &facts);
    let reason = reason.map(str::to_owned);
    let absence = Absence { id, from: wanted.from, to: wanted.to, reason, status };
    Ok(AddedAbsence { absence, affected, affected_count })
}

/// Puts an absence down; open when it hits visits. The caller has made the access decision, and waited
/// for the turn ([`leave::wait_to_change`]).
pub(crate) fn insert(
    tx: &mut Tx,
    practitioner: PractitionerId,
    (from, to): (Instant, Instant),
    reason: Option<&str>,
) -> Result<(AbsenceId, AbsenceStatus), Error> {
    let gone = vain::away(tx, practitioner, (from, to))?;
    follow::away(tx, practitioner, (from, to))?;
    vain::take_back(tx, &gone)?;
    let hits = affected::within(tx, practitioner, (from, to), 1)?;
    let status = if hits.is_empty() { AbsenceStatus::Complete } else { AbsenceStatus::Open };
    let id = AbsenceId::new(tx.now);
    let sealed = reason.map(|text| tx.seal.seal(&place(id), text.as_bytes())).transpose()?;
    diesel::insert_into(absences::table)
        .values((
            absences::id.eq(id),
            absences::practitioner_id.eq(practitioner),
            absences::starts_at.eq(from),
            absences::ends_at.eq(to),
            absences::reason_sealed.eq(sealed),
            absences::status.eq(status),
            absences::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok((id, status))
}

/// Removes an absence: its times are offered again, and times that were held for its visits are
/// let go, whose patients hear that these stand; what was moved or called off stays so. 404 when there is
/// none, the second time too.
pub fn remove(tx: &mut Tx, practitioner: PractitionerId, id: AbsenceId) -> Result<(), Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::EditSchedule, &facts)?;
    leave::wait_to_change(tx, &facts)?;
    let absence = leave::find_row(tx, id)?;
    if absence.practitioner_id != practitioner {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    let waiting = leave::waiting(tx, &absence)?;
    lapsed::carry_over(tx, absence.id, &waiting)?;
    leave::forget(tx, &absence)?;
    for id in waiting {
        // It can lie in another absence.
        if lapsed::is_over(tx, id)? {
            continue;
        }
        let visit = appointment::show(tx, id)?;
        let account = patient::find_row(tx, visit.patient.id)?.account_id;
        message::tell_booked_again(tx, &visit, account)?;
    }
    tx.record(Action::EditSchedule, "Absence", id.0, &facts);
    Ok(())
}

/// Which absences a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AbsenceFilter {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists a practitioner's absences, those to come before those that are over: the one that ends
/// last is first. Index: absences_by_practitioner.
pub fn list(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &AbsenceFilter,
) -> Result<Page<Absence>, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ReadSchedule, &facts)?;
    let may_edit = access::decide(&tx.caller, Action::EditSchedule, &facts) == Decision::Allow;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(Instant, AbsenceId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = absences::table
        .filter(absences::practitioner_id.eq(practitioner))
        .order((absences::ends_at.desc(), absences::id.desc()))
        .limit(limit.saturating_add(1))
        .select((
            absences::id,
            absences::starts_at,
            absences::ends_at,
            absences::reason_sealed,
            absences::status,
        ))
        .into_boxed();
    if let Some((at, id)) = after {
        query = query
            .filter(absences::ends_at.lt(at).or(absences::ends_at.eq(at).and(absences::id.lt(id))));
    }
    type Line = (AbsenceId, Instant, Instant, Option<Vec<u8>>, AbsenceStatus);
    let rows: Vec<Line> = query.load(tx.conn)?;
    let page = Page::cut(rows, limit, |(id, _, to, ..)| (*to, *id));
    let mut items = Vec::with_capacity(page.items.len());
    for (id, from, to, sealed, status) in page.items {
        let reason = if may_edit { unsealed(tx, id, sealed)? } else { None };
        items.push(Absence { id, from, to, reason, status });
    }
    Ok(Page { items, next: page.next })
}

/// The absences of some practitioners that touch a range; no access decision.
/// Index: absences_by_practitioner.
pub(crate) fn of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    range: Span,
) -> Result<Vec<(PractitionerId, Span)>, Error> {
    let absences = absences::table
        .filter(absences::starts_at.lt(range.end))
        .filter(absences::ends_at.gt(range.start))
        .select((absences::practitioner_id, absences::starts_at, absences::ends_at));
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    let rows: Vec<(PractitionerId, Instant, Instant)> = match practitioners {
        [one] => absences.filter(absences::practitioner_id.eq(one)).load(tx.conn)?,
        many => absences.filter(absences::practitioner_id.eq_any(many)).load(tx.conn)?,
    };
    let span = |(practitioner, start, end)| (practitioner, Span { start, end });
    Ok(rows.into_iter().map(span).collect())
}

fn place(id: AbsenceId) -> String {
    format!("absences|reason|{id}")
}

/// The reason of an absence, readable.
pub(crate) fn unsealed(
    tx: &Tx,
    id: AbsenceId,
    sealed: Option<Vec<u8>>,
) -> Result<Option<String>, Error> {
    Ok(tx.seal.open_text(&place(id), sealed.as_deref())?)
}
