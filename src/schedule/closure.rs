//! Closures: the days, or hours of days, on which a clinic is closed, such as holidays.

use std::collections::HashMap;

use chrono::{Datelike, Days, NaiveDate, TimeDelta};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken::{self, Hit, Planned};
use crate::base::column::{Instant, id};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::closures;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::service::Names;
use crate::organization::{self, OrganizationId};
use crate::practitioner::{PractitionerId, PractitionerRow};
use crate::schedule::extra;
use crate::schedule::free::{self, Closed, Window};
use crate::schedule::leave::{self, vain};
use crate::schedule::time_of_day::TimeOfDay;
use crate::schedule::wall_clock::{Span, WallClock};

id!(
    /// Days on which a clinic is closed.
    ClosureId
);

/// The longest closure, in days.
const DAYS_MAX: i64 = 62;

/// Days on which a clinic shall be closed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddClosure {
    /// What people are told, in both languages.
    pub name: Names,
    /// The first day, in the zone of each practitioner.
    pub from_date: NaiveDate,
    /// The last day, at most 62 days in all.
    pub to_date: NaiveDate,
    /// From when on, on each of the days; left out: the whole day.
    pub from: Option<TimeOfDay>,
    /// Until when; left out: the end of the day.
    pub to: Option<TimeOfDay>,
}

/// Days on which a clinic is closed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Closure {
    /// Its id.
    pub id: ClosureId,
    /// Its name.
    pub name: String,
    /// The first day, in the zone of each practitioner.
    pub from_date: NaiveDate,
    /// The last day.
    pub to_date: NaiveDate,
    /// From when on, on each of the days.
    pub from: TimeOfDay,
    /// Until when.
    pub to: TimeOfDay,
}

/// A closure and the visits it hits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HittingClosure {
    /// The closure.
    #[serde(flatten)]
    pub closure: Closure,
    /// The first 100 booked visits within it that the caller may see, by start. They stay booked.
    pub affected: Vec<Hit>,
    /// How many there are.
    pub affected_count: i64,
}

/// Closes a clinic: weekly hours of those days are not offered any more, extra hours are. Names
/// the visits it hits.
pub fn add(
    tx: &mut Tx,
    clinic: OrganizationId,
    wanted: &AddClosure,
) -> Result<HittingClosure, Error> {
    let facts = Facts::of_organization(clinic);
    tx.allow(Action::EditClosure, &facts)?;
    organization::show(tx, clinic)?;
    let closed = check(tx, wanted)?;
    // Whoever brings a visit back at this moment comes before the closure, and is named, or after it.
    leave::wait_to_change(tx, &facts)?;
    let id = ClosureId::new(tx.now);
    diesel::insert_into(closures::table)
        .values((
            closures::id.eq(id),
            closures::organization_id.eq(clinic),
            closures::name_en.eq(wanted.name.en.as_str()),
            closures::name_ru.eq(wanted.name.ru.as_str()),
            closures::from_date.eq(closed.first),
            closures::to_date.eq(closed.last),
            closures::from_minute.eq(closed.from),
            closures::to_minute.eq(closed.to),
            closures::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::EditClosure, "Closure", id.0, &facts);
    vain::hours_changed(tx, clinic)?;
    let Names { en, ru } = &wanted.name;
    let names = (en.as_str().to_owned(), ru.as_str().to_owned());
    let closure = shown(tx.language, id, names, closed);
    hitting(tx, clinic, closure, closed)
}

/// Shows a closure and the visits that it hits now. 404 when the clinic is not closed then.
pub fn find(tx: &mut Tx, clinic: OrganizationId, id: ClosureId) -> Result<HittingClosure, Error> {
    tx.allow(Action::ReadClosure, &Facts::of_organization(clinic))?;
    let row: Option<Row> = closures::table
        .filter(closures::id.eq(id))
        .filter(closures::organization_id.eq(clinic))
        .select(ROW)
        .get_result(tx.conn)
        .optional()?;
    let row = row.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let (id, names, first, last, from, to) = row;
    let closed = Closed { first, last, from, to };
    let closure = shown(tx.language, id, names, closed);
    hitting(tx, clinic, closure, closed)
}

fn hitting(
    tx: &mut Tx,
    clinic: OrganizationId,
    closure: Closure,
    closed: Closed,
) -> Result<HittingClosure, Error> {
    let hits = hits(tx, clinic, closed)?;
    let affected_count = i64::try_from(hits.len()).unwrap_or(i64::MAX);
    Ok(HittingClosure { closure, affected: taken::named(tx, &hits)?, affected_count })
}

fn check(tx: &Tx, wanted: &AddClosure) -> Result<Closed, Error> {
    let wrong = |pointer: &str| Err(Error::field(&problem::INVALID_BODY, pointer));
    if !(1970..=2200).contains(&wanted.from_date.year()) {
        return wrong("/from_date");
    }
    let days = wanted.to_date.signed_duration_since(wanted.from_date).num_days();
    if !(0..DAYS_MAX).contains(&days) {
        return wrong("/to_date");
    }
    // Somewhere on Earth the day is not over for another day.
    let over = wanted.to_date.checked_add_days(Days::new(2));
    if over.is_some_and(|over| over <= tx.now.utc().date_naive()) {
        return Err(Error::field(&problem::IN_THE_PAST, "/to_date"));
    }
    let closed = Closed {
        first: wanted.from_date,
        last: wanted.to_date,
        from: wanted.from.unwrap_or(TimeOfDay::MIDNIGHT),
        to: wanted.to.unwrap_or(TimeOfDay::END),
    };
    if closed.from < closed.to { Ok(closed) } else { wrong("/to") }
}

/// The instants of some days, wherever on Earth they are lived through.
fn around(closed: Closed) -> Span {
    let midnight =
        |date: NaiveDate| Instant::from_utc(date.and_time(chrono::NaiveTime::MIN).and_utc());
    Span {
        start: midnight(closed.first).minus(TimeDelta::days(1)),
        end: midnight(closed.last).plus(TimeDelta::days(2)),
    }
}

/// The visits within closed time, but for those in extra hours.
fn hits(tx: &mut Tx, clinic: OrganizationId, closed: Closed) -> Result<Vec<Planned>, Error> {
    let range = around(closed);
    let mut visits = taken::of_clinic(tx, clinic, (range.start, range.end))?;
    let mut practitioners: Vec<PractitionerId> =
        visits.iter().map(|visit| visit.practitioner).collect();
    practitioners.sort_unstable();
    practitioners.dedup();
    let extra: Vec<(PractitionerId, Window)> = extra::of(tx, &practitioners, range)?;
    let mut closed_in: HashMap<Zone, Vec<Span>> = HashMap::new();
    visits.retain(|visit| {
        let span = Span { start: visit.start, end: visit.end };
        let closed = closed_in.entry(visit.zone).or_insert_with(|| {
            free::closed_time(&[closed], &WallClock::of(visit.zone, range), range)
        });
        let is_extra = extra.iter().any(|(who, window)| {
            *who == visit.practitioner
                && window.span.start <= span.start
                && span.end <= window.span.end
        });
        !is_extra && closed.iter().any(|closed| closed.overlaps(span))
    });
    Ok(visits)
}

/// Whether a clinic is closed in some of a visit's time, as its practitioner's clock shows it; their extra
/// hours are worked all the same. Makes no access decision.
pub(crate) fn covers(tx: &mut Tx, who: &PractitionerRow, visit: Span) -> Result<bool, Error> {
    let closed = of(tx, &[who.organization_id], visit)?;
    if closed.is_empty() {
        return Ok(false);
    }
    let is_worked = |(_, window): &(PractitionerId, Window)| {
        window.span.start <= visit.start && visit.end <= window.span.end
    };
    if extra::of(tx, &[who.id], visit)?.iter().any(is_worked) {
        return Ok(false);
    }
    let closed: Vec<Closed> = closed.into_iter().map(|(_, closed)| closed).collect();
    let clock = WallClock::of(who.time_zone, visit);
    Ok(free::closed_time(&closed, &clock, visit).iter().any(|span| span.overlaps(visit)))
}

/// Opens a clinic again. 404 when it was not closed then, the second time too.
pub fn remove(tx: &mut Tx, clinic: OrganizationId, id: ClosureId) -> Result<(), Error> {
    let facts = Facts::of_organization(clinic);
    tx.allow(Action::EditClosure, &facts)?;
    let closure =
        closures::table.filter(closures::id.eq(id)).filter(closures::organization_id.eq(clinic));
    if diesel::delete(closure).execute(tx.conn)? == 0 {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    tx.record(Action::EditClosure, "Closure", id.0, &facts);
    Ok(())
}

/// Which closures a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClosureFilter {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

type Row = (ClosureId, (String, String), NaiveDate, NaiveDate, TimeOfDay, TimeOfDay);

const ROW: (
    closures::id,
    (closures::name_en, closures::name_ru),
    closures::from_date,
    closures::to_date,
    closures::from_minute,
    closures::to_minute,
) = (
    closures::id,
    (closures::name_en, closures::name_ru),
    closures::from_date,
    closures::to_date,
    closures::from_minute,
    closures::to_minute,
);

/// Lists when a clinic is closed: what ends last is first. Index: closures_by_organization.
pub fn list(
    tx: &mut Tx,
    clinic: OrganizationId,
    wanted: &ClosureFilter,
) -> Result<Page<Closure>, Error> {
    tx.allow(Action::ReadClosure, &Facts::of_organization(clinic))?;
    organization::show(tx, clinic)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(NaiveDate, ClosureId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = closures::table
        .filter(closures::organization_id.eq(clinic))
        .order((closures::to_date.desc(), closures::id.desc()))
        .limit(limit.saturating_add(1))
        .select(ROW)
        .into_boxed();
    if let Some((date, id)) = after {
        query = query.filter(
            closures::to_date.lt(date).or(closures::to_date.eq(date).and(closures::id.lt(id))),
        );
    }
    let rows: Vec<Row> = query.load(tx.conn)?;
    let page = Page::cut(rows, limit, |(id, _, _, last, ..)| (*last, *id));
    let language = tx.language;
    Ok(page.map(|(id, names, first, last, from, to)| {
        shown(language, id, names, Closed { first, last, from, to })
    }))
}

fn shown(
    language: Language,
    id: ClosureId,
    (name_en, name_ru): (String, String),
    closed: Closed,
) -> Closure {
    Closure {
        id,
        name: language.choose(name_en, name_ru),
        from_date: closed.first,
        to_date: closed.last,
        from: closed.from,
        to: closed.to,
    }
}

/// What some clinics keep closed near a range; no access decision.
/// Index: closures_by_organization.
pub(crate) fn of(
    tx: &mut Tx,
    clinics: &[OrganizationId],
    range: Span,
) -> Result<Vec<(OrganizationId, Closed)>, Error> {
    // A date on a wall is at most a day off that of UTC.
    let day = Days::new(1);
    let first = range.start.utc().date_naive().checked_sub_days(day);
    let last = range.end.utc().date_naive().checked_add_days(day);
    let Some((first, last)) = first.zip(last) else { return Ok(Vec::new()) };
    let closed = closures::table
        .filter(closures::to_date.ge(first))
        .filter(closures::from_date.le(last))
        .select((
            closures::organization_id,
            closures::from_date,
            closures::to_date,
            closures::from_minute,
            closures::to_minute,
        ));
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    let rows: Vec<(OrganizationId, NaiveDate, NaiveDate, TimeOfDay, TimeOfDay)> = match clinics {
        [one] => closed.filter(closures::organization_id.eq(one)).load(tx.conn)?,
        many => closed.filter(closures::organization_id.eq_any(many)).load(tx.conn)?,
    };
    let closed = |(clinic, first, last, from, to)| (clinic, Closed { first, last, from, to });
    Ok(rows.into_iter().map(closed).collect())
}
