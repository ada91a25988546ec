//! Extra hours: work outside the weekly hours, such as a Saturday before a holiday.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::base::column::{Instant, id};
use crate::base::error::Error;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::extra_hours;
use crate::base::tx::Tx;
use crate::location::{self, LocationId};
use crate::organization::ServiceId;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::free::Window;
use crate::schedule::leave::{self, vain};
use crate::schedule::rules;
use crate::schedule::wall_clock::Span;

id!(
    /// A time in which a practitioner works besides the weekly hours.
    ExtraHoursId
);

/// The longest extra hours in one piece.
const HOURS_MAX: i64 = 24;

/// Work besides the weekly hours.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddExtraHours {
    /// When it begins, RFC 3339 with an offset, on a whole minute.
    pub from: Instant,
    /// When it ends, at most 24 hours later.
    pub to: Instant,
    /// The only service it is kept for; any, when left out.
    pub service: Option<ServiceId>,
    /// Where the practitioner sits then.
    pub location: Option<LocationId>,
}

/// A time in which a practitioner works besides the weekly hours.
#[derive(Debug, Clone, Serialize, Queryable, ToSchema)]
pub struct ExtraHours {
    /// Its id.
    pub id: ExtraHoursId,
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
    /// The only service it is kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// Where the practitioner sits then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
}

/// Adds extra hours: their times are offered, though the clinic be closed, unless the
/// practitioner is away.
pub fn add(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &AddExtraHours,
) -> Result<ExtraHours, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::EditSchedule, &facts)?;
    let is_minute = |at: Instant| at.micros().rem_euclid(60_000_000) == 0;
    if !is_minute(wanted.from) {
        return Err(Error::field(&problem::INVALID_BODY, "/from"));
    }
    let length = wanted.to.since(wanted.from);
    let fits = length > TimeDelta::zero() && length <= TimeDelta::hours(HOURS_MAX);
    if !is_minute(wanted.to) || !fits {
        return Err(Error::field(&problem::INVALID_BODY, "/to"));
    }
    if wanted.to <= tx.now {
        return Err(Error::field(&problem::IN_THE_PAST, "/to"));
    }
    check_references(tx, practitioner, wanted)?;
    let id = ExtraHoursId::new(tx.now);
    diesel::insert_into(extra_hours::table)
        .values((
            extra_hours::id.eq(id),
            extra_hours::practitioner_id.eq(practitioner),
            extra_hours::starts_at.eq(wanted.from),
            extra_hours::ends_at.eq(wanted.to),
            extra_hours::location_id.eq(wanted.location),
            extra_hours::service_id.eq(wanted.service),
            extra_hours::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::EditSchedule, "ExtraHours", id.0, &facts);
    let AddExtraHours { from, to, service, location } = *wanted;
    Ok(ExtraHours { id, from, to, service, location })
}

fn check_references(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &AddExtraHours,
) -> Result<(), Error> {
    let unknown = |pointer: &str| Err(Error::field(&problem::UNKNOWN_REFERENCE, pointer));
    if let Some(service) = wanted.service
        && !practitioner::services_of(tx, practitioner)?.contains(&service)
    {
        return unknown("/service");
    }
    if let Some(location) = wanted.location
        && location::find_row(tx, location)?.is_none()
    {
        return unknown("/location");
    }
    Ok(())
}

/// Removes extra hours; what is booked in them stays booked. 404 when there are none.
pub fn remove(tx: &mut Tx, practitioner: PractitionerId, id: ExtraHoursId) -> Result<(), Error> {
    let row = practitioner::find_row(tx, practitioner)?;
    let facts = rules::facts(&row);
    tx.allow(Action::EditSchedule, &facts)?;
    leave::wait_to_change(tx, &facts)?;
    let hours = extra_hours::table
        .filter(extra_hours::id.eq(id))
        .filter(extra_hours::practitioner_id.eq(practitioner));
    if diesel::delete(hours).execute(tx.conn)? == 0 {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    tx.record(Action::EditSchedule, "ExtraHours", id.0, &facts);
    vain::hours_changed(tx, row.organization_id)
}

/// Which extra hours a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExtraHoursFilter {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists a practitioner's extra hours: those that end last are first.
/// Index: extra_hours_by_practitioner.
pub fn list(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &ExtraHoursFilter,
) -> Result<Page<ExtraHours>, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ReadSchedule, &facts)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(Instant, ExtraHoursId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query = extra_hours::table
        .filter(extra_hours::practitioner_id.eq(practitioner))
        .order((extra_hours::ends_at.desc(), extra_hours::id.desc()))
        .limit(limit.saturating_add(1))
        .select((
            extra_hours::id,
            extra_hours::starts_at,
            extra_hours::ends_at,
            extra_hours::service_id,
            extra_hours::location_id,
        ))
        .into_boxed();
    if let Some((at, id)) = after {
        query = query.filter(
            extra_hours::ends_at.lt(at).or(extra_hours::ends_at.eq(at).and(extra_hours::id.lt(id))),
        );
    }
    let rows: Vec<ExtraHours> = query.load(tx.conn)?;
    Ok(Page::cut(rows, limit, |hours| (hours.to, hours.id)))
}

type Row = (PractitionerId, Instant, Instant, Option<LocationId>, Option<ServiceId>);

/// The extra hours of some practitioners that touch a range; no access decision.
/// Index: extra_hours_by_practitioner.
pub(crate) fn of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    range: Span,
) -> Result<Vec<(PractitionerId, Window)>, Error> {
    let hours = extra_hours::table
        .filter(extra_hours::starts_at.lt(range.end))
        .filter(extra_hours::ends_at.gt(range.start))
        .select((
            extra_hours::practitioner_id,
            extra_hours::starts_at,
            extra_hours::ends_at,
            extra_hours::location_id,
            extra_hours::service_id,
        ));
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    let rows: Vec<Row> = match practitioners {
        [one] => hours.filter(extra_hours::practitioner_id.eq(one)).load(tx.conn)?,
        many => hours.filter(extra_hours::practitioner_id.eq_any(many)).load(tx.conn)?,
    };
    let window = |(practitioner, start, end, location, service)| {
        (practitioner, Window { span: Span { start, end }, location, service })
    };
    Ok(rows.into_iter().map(window).collect())
}
