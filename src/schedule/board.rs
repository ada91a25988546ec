//! The board: a clinic's days, practitioner by practitioner, in one answer. Working time is
//! computed here, so that no page needs to know of rules, cycles and clocks that jump.

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::board::{self, BoardVisit, Which};
use crate::base::column::{Instant, text_enum};
use crate::base::db::among;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::absences;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::calendar::external;
use crate::location::LocationId;
use crate::organization::{self, OrganizationId, ServiceId};
use crate::practitioner::{self, Practitioner, PractitionerId, PractitionerKind};
use crate::schedule::absence::{AbsenceId, AbsenceStatus};
use crate::schedule::free::{self, Closed, Window};
use crate::schedule::rules::{self, Rule};
use crate::schedule::wall_clock::{Span, WallClock};
use crate::schedule::{closure, extra, grouped};
use crate::waitlist;

/// The widest range: a week, and an hour that the clocks may add.
const RANGE_DAYS_MAX: i64 = 8;
/// The most visits of one answer.
const VISITS_MAX: i64 = 3000;
/// How many of those that were called off are shown.
const CALLED_OFF_MAX: i64 = 200;

text_enum!(
    /// Where working time comes from.
    WorkKind {
        /// A weekly rule.
        Weekly = "weekly",
        /// Extra hours, also while the clinic is closed.
        Extra = "extra",
    }
);

/// Which days a board shall show.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BoardFilter {
    /// From when, RFC 3339 with an offset.
    pub from: Instant,
    /// Until when, at most 8 days later.
    pub to: Instant,
    /// Only this practitioner.
    pub practitioner: Option<PractitionerId>,
}

/// A clinic's days.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Board {
    /// Whose.
    pub organization: Named<OrganizationId>,
    /// The IANA zone of the clinic.
    pub time_zone: Zone,
    /// The server's time.
    pub server_time: Instant,
    /// Who gives care there, by name, and whoever has a visit within the range.
    pub practitioners: Vec<BoardPractitioner>,
    /// The visits that touch the range and that the caller may see, by start; none that was
    /// called off.
    pub visits: Vec<BoardVisit>,
    /// Those that had been promised and were called off, by start, at most 200: that can have been a mistake.
    pub called_off: Vec<BoardVisit>,
    /// Whether there are more of those: a shorter range names them.
    pub called_off_more: bool,
    /// How many wait for a time at the clinic; left out for whoever may not see who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<i64>,
}

/// Somebody's time on the board.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardPractitioner {
    /// Their id.
    pub id: PractitionerId,
    /// Their name.
    pub name: String,
    /// What kind of care they give.
    pub kind: PractitionerKind,
    /// The IANA zone of their working hours.
    pub time_zone: Zone,
    /// What they can be booked for.
    pub services: Vec<Named<ServiceId>>,
    /// When they work, whole, closures and absences not regarded.
    pub working: Vec<Work>,
    /// When their clinic is closed.
    pub closed: Vec<Stretch>,
    /// When they are away.
    pub absent: Vec<Away>,
    /// When they help in visits of others, or a calendar elsewhere says that they are busy.
    pub busy: Vec<Stretch>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Stretch {
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
}

/// Working time in one piece.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Work {
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
    /// Where it comes from.
    pub kind: WorkKind,
    /// Where they sit then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
    /// The only service it is kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
}

/// A time in which somebody is away.
#[derive(Debug, Clone, Copy, Serialize, Queryable, ToSchema)]
pub struct Away {
    /// The absence.
    pub id: AbsenceId,
    /// When it begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
    /// Whether each visit that it hits has an outcome, as it was last said.
    pub status: AbsenceStatus,
}

/// Shows some days of a clinic: the hours of everybody to its staff, visits to whom they concern.
/// 404 to anybody else; 422 `range_too_wide` beyond 8 days or 3000 visits.
pub fn find(tx: &mut Tx, clinic: OrganizationId, wanted: BoardFilter) -> Result<Board, Error> {
    tx.allow(Action::ReadSchedule, &Facts::of_organization(clinic))?;
    let clinic = organization::show(tx, clinic)?;
    let range = Span { start: wanted.from, end: wanted.to };
    let length = wanted.to.since(wanted.from);
    if length <= TimeDelta::zero() || length > TimeDelta::days(RANGE_DAYS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    let span = (range.start, range.end);
    let most = VISITS_MAX.saturating_add(1);
    let visits = board::visits(tx, clinic.id, wanted.practitioner, span, (Which::Standing, most))?;
    if i64::try_from(visits.len()).is_ok_and(|many| many > VISITS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    let off = (Which::CalledOff, CALLED_OFF_MAX.saturating_add(1));
    let mut called_off = board::visits(tx, clinic.id, wanted.practitioner, span, off)?;
    let shown = usize::try_from(CALLED_OFF_MAX).unwrap_or(usize::MAX);
    let called_off_more = called_off.len() > shown;
    called_off.truncate(shown);
    let busy: Vec<PractitionerId> = visits.iter().map(|visit| visit.practitioner).collect();
    let mut people = practitioner::of_clinic(tx, clinic.id, &busy)?;
    people.retain(|one| wanted.practitioner.is_none_or(|only| only == one.id));
    if people.is_empty() && wanted.practitioner.is_some() {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    Ok(Board {
        organization: Named { id: clinic.id, name: clinic.name },
        time_zone: clinic.time_zone,
        server_time: tx.now,
        practitioners: times_of(tx, clinic.id, people, range)?,
        visits,
        called_off,
        called_off_more,
        waiting: waitlist::list::count_at(tx, clinic.id)?,
    })
}

/// What has been said of the time of some practitioners. Six queries.
fn times_of(
    tx: &mut Tx,
    clinic: OrganizationId,
    people: Vec<Practitioner>,
    range: Span,
) -> Result<Vec<BoardPractitioner>, Error> {
    let ids: Vec<PractitionerId> = people.iter().map(|one| one.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let closed: Vec<Closed> =
        closure::of(tx, &[clinic], range)?.into_iter().map(|(_, closed)| closed).collect();
    let mut rules: HashMap<PractitionerId, Vec<Rule>> = grouped(rules::of(tx, &ids)?);
    let mut extra: HashMap<PractitionerId, Vec<Window>> = grouped(extra::of(tx, &ids, range)?);
    let mut absent: HashMap<PractitionerId, Vec<Away>> = grouped(absences_of(tx, &ids, range)?);
    let mut busy = board::helping(tx, &ids, (range.start, range.end))?;
    busy.extend(external::busy_of(tx, &ids, range.start, range.end)?);
    let busy = busy.into_iter().map(|(who, start, end)| (who, Span { start, end }));
    let mut busy: HashMap<PractitionerId, Vec<Span>> = grouped(busy);
    let shown = people.into_iter().map(|one| {
        let clock = WallClock::of(one.time_zone, range);
        let weekly = free::weekly(&rules.remove(&one.id).unwrap_or_default(), &clock, range);
        let extra = extra.remove(&one.id).unwrap_or_default();
        let mut working: Vec<Work> =
            weekly.iter().map(|window| work(window, WorkKind::Weekly)).collect();
        working.extend(extra.iter().map(|window| work(window, WorkKind::Extra)));
        working.sort_by_key(|work| (work.from, work.to));
        let mut shut = free::closed_time(&closed, &clock, range);
        shut.retain(|span| span.overlaps(range));
        BoardPractitioner {
            working,
            closed: stretches(&shut),
            absent: absent.remove(&one.id).unwrap_or_default(),
            busy: stretches(&busy.remove(&one.id).unwrap_or_default()),
            id: one.id,
            name: one.name,
            kind: one.kind,
            time_zone: one.time_zone,
            services: one.services,
        }
    });
    Ok(shown.collect())
}

fn stretches(spans: &[Span]) -> Vec<Stretch> {
    let stretch = |span: Span| Stretch { from: span.start, to: span.end };
    free::merged(spans).into_iter().map(stretch).collect()
}

fn work(window: &Window, kind: WorkKind) -> Work {
    let Window { span, location, service } = *window;
    Work { from: span.start, to: span.end, kind, location, service }
}

/// The absences that touch a range. Index: absences_by_practitioner.
fn absences_of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    range: Span,
) -> Result<Vec<(PractitionerId, Away)>, Error> {
    Ok(absences::table
        .filter(among(absences::practitioner_id, practitioners))
        .filter(absences::starts_at.lt(range.end))
        .filter(absences::ends_at.gt(range.start))
        .order((absences::starts_at, absences::id))
        .select((
            absences::practitioner_id,
            (absences::id, absences::starts_at, absences::ends_at, absences::status),
        ))
        .load(tx.conn)?)
}
