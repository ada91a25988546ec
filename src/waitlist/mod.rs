//! The waiting list: who wishes for a time that is not free yet, whose turn it is, and what is
//! offered to whom. A time that becomes free is held for one person after the other
//! ([`offer`]); the order is told to everybody who waits ([`order`]).

pub mod answer;
pub mod follow;
pub mod http;
pub mod join;
pub mod list;
pub mod offer;
pub mod order;
pub mod task;
pub mod waking;

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::AccountId;
use crate::appointment::AppointmentId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::db::{Conn, among};
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::problem;
use crate::base::schema::{
    appointments, healthcare_services, organizations, patients, practitioners, waitlist_entries,
    waitlist_offers,
};
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::organization::{OrganizationId, ServiceId};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::slots::PartOfDay;
use crate::waitlist::order::{Place, Reader, Turn, Urgency};

id!(
    /// A wish on the waiting list.
    EntryId
);
id!(
    /// A time that was offered to somebody on the waiting list.
    OfferId
);

text_enum!(
    /// Where a wish stands.
    WaitStatus {
        /// Nothing was free yet.
        Waiting = "waiting",
        /// A time is held until it is answered.
        Offered = "offered",
        /// There is a visit.
        Booked = "booked",
        /// The patient waits no longer.
        Withdrawn = "withdrawn",
        /// It came to nothing.
        Expired = "expired",
    }
);

text_enum!(
    /// What became of a time that was offered.
    VacancyStatus {
        /// It is held, and not yet answered.
        Standing = "standing",
        /// It was taken.
        Accepted = "accepted",
        /// It was left to the next.
        Declined = "declined",
        /// Nobody answered in time.
        Lapsed = "lapsed",
        /// It is not to be had any more, by no fault of the patient.
        Withdrawn = "withdrawn",
    }
);

text_enum!(
    /// Why a wish has ended.
    WaitEnd {
        /// An offer was accepted.
        Accepted = "accepted",
        /// The patient has a visit by another way.
        BookedOtherwise = "booked_otherwise",
        /// The patient, or somebody for them, withdrew it.
        Withdrawn = "withdrawn",
        /// The visit that was to be brought forward is no longer to come.
        VisitOver = "visit_over",
        /// The time that was wished for has passed.
        WindowOver = "window_over",
        /// Three offers in a row were not answered.
        Unanswered = "unanswered",
    }
);

/// The most people of one list that are looked at; a list that long is another problem.
const QUEUE_MAX: i64 = 500;

/// A time that is held for whoever waits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Vacancy {
    /// The appointment that holds the time; with the offer accepted, it can be the visit.
    pub held: AppointmentId,
    /// When the visit would begin.
    pub start: Instant,
    /// The same as a clock where the patient lives shows it, RFC 3339.
    pub local_start: String,
    /// The IANA zone of that clock.
    pub time_zone: Zone,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
    /// Until when it can be accepted.
    pub expires_at: Instant,
    /// The same as a clock where the patient lives shows it.
    pub local_expires_at: String,
}

/// A wish on the waiting list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Six characters that a person can read out on the phone.
    pub code: String,
    /// Where it stands.
    pub status: WaitStatus,
    /// Why it has ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_why: Option<WaitEnd>,
    /// Who waits.
    pub patient: Named<PatientId>,
    /// For what.
    pub service: Named<ServiceId>,
    /// At which clinic.
    pub organization: Named<OrganizationId>,
    /// With whom; left out: with anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Named<PractitionerId>>,
    /// The visit that is to be brought forward, or that it led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appointment: Option<AppointmentId>,
    /// The visit begins at this instant or later.
    pub earliest: Instant,
    /// And at this one at the latest.
    pub latest: Instant,
    /// In one of these parts of the day where the patient lives; empty: in any.
    pub parts_of_day: Vec<PartOfDay>,
    /// How long before the visit the answer must be there, in minutes.
    pub notice_minutes: i32,
    /// How soon it must be met.
    pub priority: Urgency,
    /// How many offers in a row were not answered; the third ends it.
    pub lapses: i32,
    /// Since when.
    pub created_at: Instant,
    /// Where it stands in the order, and why; left out when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What is held now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<Vacancy>,
    /// Counts the changes.
    pub version: i32,
}

/// A row of `waitlist_entries`.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = waitlist_entries)]
pub(crate) struct EntryRow {
    pub id: EntryId,
    pub code: String,
    pub status: WaitStatus,
    pub patient_id: PatientId,
    pub service_id: ServiceId,
    pub organization_id: OrganizationId,
    pub practitioner_id: Option<PractitionerId>,
    pub appointment_id: Option<AppointmentId>,
    pub earliest_at: Instant,
    pub latest_at: Instant,
    pub parts_of_day: String,
    pub notice_minutes: i32,
    pub priority: Urgency,
    pub lapses: i32,
    pub ended_why: Option<WaitEnd>,
    pub created_by: AccountId,
    pub created_at: Instant,
    pub version: i32,
}

impl EntryRow {
    pub fn is_active(&self) -> bool {
        matches!(self.status, WaitStatus::Waiting | WaitStatus::Offered)
    }

    pub fn turn(&self) -> Turn {
        Turn { urgency: self.priority, since: self.created_at, id: self.id }
    }

    pub fn parts(&self) -> Result<Vec<PartOfDay>, Error> {
        let parts = self.parts_of_day.split_whitespace().map(str::parse);
        let parts: Result<_, _> = parts.collect();
        parts.map_err(|_unknown| Error::Internal("a kept part of the day is none"))
    }

    /// What an audit row names.
    pub fn facts(&self) -> Facts {
        Facts {
            organization: Some(self.organization_id),
            patient: Some(self.patient_id),
            practitioner: self.practitioner_id,
            ..Facts::NONE
        }
    }
}

/// A row of `waitlist_offers`.
#[derive(Debug, Clone, Copy, Queryable, Selectable)]
#[diesel(table_name = waitlist_offers)]
pub(crate) struct OfferRow {
    pub id: OfferId,
    pub entry_id: EntryId,
    pub held_id: AppointmentId,
    pub practitioner_id: PractitionerId,
    pub starts_at: Instant,
    pub expires_at: Instant,
}

impl OfferRow {
    /// Held times keep their promised local time when a law moves the clocks, and so does the offer.
    fn as_held((offer, starts_at): (Self, Instant)) -> Self {
        Self { starts_at, ..offer }
    }
}

/// The wishes that have not ended.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn is_active() -> _ {
    let (waiting, offered): (WaitStatus, WaitStatus) = (WaitStatus::Waiting, WaitStatus::Offered);
    waitlist_entries::status.eq(waiting).or(waitlist_entries::status.eq(offered))
}

/// The row of a wish. 404 when there is none.
pub(crate) fn find_row(tx: &mut Tx, id: EntryId) -> Result<EntryRow, Error> {
    waitlist_entries::table
        .find(id)
        .select(EntryRow::as_select())
        .get_result(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

/// The row of a wish, as it stays until this transaction ends. Whoever changes a wish or answers
/// its offer locks it first, before any time: so nobody waits in a circle.
pub(crate) fn lock_row(tx: &mut Tx, id: EntryId) -> Result<EntryRow, Error> {
    if let Conn::Postgres(conn) = tx.conn {
        let row = waitlist_entries::table.find(id).select(waitlist_entries::id);
        row.for_update().get_result::<EntryId>(conn).optional()?;
    }
    find_row(tx, id)
}

/// As [`lock_row`], but waits for nobody: `None` when somebody changes it at this moment.
pub(crate) fn lock_if_idle(tx: &mut Tx, id: EntryId) -> Result<Option<EntryRow>, Error> {
    if let Conn::Postgres(conn) = tx.conn {
        let row = waitlist_entries::table.find(id).select(waitlist_entries::id);
        let locked: Option<EntryId> = row.for_update().skip_locked().get_result(conn).optional()?;
        if locked.is_none() {
            return Ok(None);
        }
    }
    find_row(tx, id).map(Some)
}

/// Shows a wish. 404 when it is not there or not the caller's to see.
pub fn find(tx: &mut Tx, id: EntryId) -> Result<Entry, Error> {
    let row = find_row(tx, id)?;
    let facts = row.facts();
    tx.allow(Action::ReadWaitlist, &facts)?;
    show(tx, id)
}

/// A wish that the caller may see.
pub(crate) fn show(tx: &mut Tx, id: EntryId) -> Result<Entry, Error> {
    show_all(tx, &[id])?.pop().ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

type Shown = (EntryRow, (String, Zone), (String, String), String, Option<(PractitionerId, String)>);

/// In the order of the ids.
fn show_all(tx: &mut Tx, ids: &[EntryId]) -> Result<Vec<Entry>, Error> {
    let mut rows: Vec<Shown> = waitlist_entries::table
        .inner_join(patients::table.on(patients::id.eq(waitlist_entries::patient_id)))
        .inner_join(
            healthcare_services::table.on(healthcare_services::id.eq(waitlist_entries::service_id)),
        )
        .inner_join(
            organizations::table.on(organizations::id.eq(waitlist_entries::organization_id)),
        )
        .left_join(
            practitioners::table
                .on(practitioners::id.nullable().eq(waitlist_entries::practitioner_id)),
        )
        .filter(among(waitlist_entries::id, ids))
        .select((
            EntryRow::as_select(),
            (patients::name, patients::time_zone),
            (healthcare_services::name_en, healthcare_services::name_ru),
            organizations::name,
            (practitioners::id, practitioners::name).nullable(),
        ))
        .load(tx.conn)?;
    rows.sort_by_key(|(row, ..)| ids.iter().position(|id| *id == row.id));
    let standing = standing_of(tx, ids)?;
    let reader = tx.person().ok().and_then(|person| person.patient);
    let mut queues: Vec<(ServiceId, Vec<Turn>)> = Vec::new();
    let mut entries = Vec::with_capacity(rows.len());
    for (row, (patient, zone), service, clinic, practitioner) in rows {
        if row.is_active() && !queues.iter().any(|(service, _)| *service == row.service_id) {
            queues.push((row.service_id, turns(tx, row.service_id)?));
        }
        let queue = queues.iter().find(|(service, _)| *service == row.service_id);
        let queue = queue.filter(|_| row.is_active());
        let offer = standing.iter().find(|(offer, _)| offer.entry_id == row.id);
        let own = reader == Some(row.patient_id);
        let reader = if own { Reader::Patient } else { Reader::Staff };
        entries.push(Entry {
            id: row.id,
            status: row.status,
            ended_why: row.ended_why,
            patient: Named { id: row.patient_id, name: patient },
            service: Named { id: row.service_id, name: tx.language.choose(service.0, service.1) },
            organization: Named { id: row.organization_id, name: clinic },
            practitioner: practitioner.map(|(id, name)| Named { id, name }),
            appointment: row.appointment_id,
            earliest: row.earliest_at,
            latest: row.latest_at,
            parts_of_day: row.parts()?,
            notice_minutes: row.notice_minutes,
            priority: row.priority,
            lapses: row.lapses,
            created_at: row.created_at,
            place: queue.map(|(_, turns)| order::place(&row.turn(), turns, (tx.language, reader))),
            offer: offer.map(|(offer, name)| vacancy(offer, name, zone)),
            version: row.version,
            code: row.code,
        });
    }
    Ok(entries)
}

fn vacancy(offer: &OfferRow, practitioner: &str, zone: Zone) -> Vacancy {
    let name = practitioner.to_owned();
    Vacancy {
        held: offer.held_id,
        start: offer.starts_at,
        local_start: zone::local(offer.starts_at, zone),
        time_zone: zone,
        practitioner: Named { id: offer.practitioner_id, name },
        expires_at: offer.expires_at,
        local_expires_at: zone::local(offer.expires_at, zone),
    }
}

/// What stands for some wishes, whether its deadline has passed or not, and with whom.
fn standing_of(tx: &mut Tx, ids: &[EntryId]) -> Result<Vec<(OfferRow, String)>, Error> {
    let found: Vec<(OfferRow, Instant, String)> = waitlist_offers::table
        .inner_join(practitioners::table.on(practitioners::id.eq(waitlist_offers::practitioner_id)))
        .inner_join(appointments::table.on(appointments::id.eq(waitlist_offers::held_id)))
        .filter(among(waitlist_offers::entry_id, ids))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .select((OfferRow::as_select(), appointments::starts_at, practitioners::name))
        .load(tx.conn)?;
    let as_held = |(offer, start, name)| (OfferRow::as_held((offer, start)), name);
    Ok(found.into_iter().map(as_held).collect())
}

/// Everybody's turn on the list of a service. Index: waitlist_entries_queue.
fn turns(tx: &mut Tx, service: ServiceId) -> Result<Vec<Turn>, Error> {
    let turns: Vec<(Urgency, Instant, EntryId)> = waitlist_entries::table
        .filter(waitlist_entries::service_id.eq(service))
        .filter(is_active())
        .select((waitlist_entries::priority, waitlist_entries::created_at, waitlist_entries::id))
        .load(tx.conn)?;
    Ok(turns.into_iter().map(|(urgency, since, id)| Turn { urgency, since, id }).collect())
}
