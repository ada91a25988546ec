//! What the database holds, as the model must know it: what it may choose is seen here and must
//! be one of what the model allows; all else must be what the model says.

use std::collections::BTreeMap;

use diesel::prelude::*;
use feldsher::appointment::AppointmentId;
use feldsher::appointment::occupy::ResourceKind;
use feldsher::base::column::{self, Instant};
use feldsher::base::db::Conn;
use feldsher::base::schema::{
    appointments, occupancies, offered_times, waitlist_entries, waitlist_offers,
};
use feldsher::base::tx::Sees;
use feldsher::practitioner::PractitionerId;
use feldsher::schedule::slots::{self, SlotFilter};
use feldsher::waitlist::{EntryId, VacancyStatus, WaitStatus};
use serde_json::json;

use super::intervals::{Aids, DOCTORS, Kind, Model, NEXT_DAY, Place, REACH, SERVICES, Who, kinds};
use super::stage::Stage;
use super::{Made, Wrong};

/// What a visit, or a held time, takes of somebody or something.
#[derive(Debug, Clone, Copy)]
struct Taken {
    appointment: AppointmentId,
    kind: ResourceKind,
    of: uuid::Uuid,
    start: Instant,
    end: Instant,
}

/// A wish as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub status: WaitStatus,
    pub lapses: i32,
    /// What was offered and not answered yet, whether it is too late or not.
    pub offer: Option<Vacancy>,
}

#[derive(Debug, Clone, Copy)]
pub struct Vacancy {
    pub held: AppointmentId,
    pub doctor: PractitionerId,
    pub start: Instant,
    pub until: Instant,
}

/// A time that is held in place of a visit.
#[derive(Debug, Clone, Copy)]
pub struct Instead {
    pub visit: AppointmentId,
    pub number: i32,
    pub held: AppointmentId,
    pub doctor: PractitionerId,
    pub start: Instant,
}

/// What the database holds of the day.
pub struct Seen {
    taken: Vec<Taken>,
    wishes: BTreeMap<EntryId, Wish>,
    pub instead: Vec<Instead>,
}

fn text(error: diesel::result::Error) -> String {
    error.to_string()
}

impl Seen {
    pub fn of(stage: &Stage, conn: &mut Conn, model: &Model, made: &Made) -> Result<Self, Wrong> {
        let now = stage.now(model);
        // Everything of the day, also what no sequence has made.
        let taken: Vec<(AppointmentId, ResourceKind, column::Uuid, Instant, Instant)> =
            occupancies::table
                .inner_join(
                    appointments::table.on(appointments::id.eq(occupancies::appointment_id)),
                )
                .filter(occupancies::live)
                .filter(appointments::starts_at.ge(stage.at(REACH.0)))
                .filter(appointments::starts_at.lt(stage.at(REACH.1)))
                .filter(
                    appointments::hold_expires_at
                        .is_null()
                        .or(appointments::hold_expires_at.gt(now)),
                )
                .select((
                    occupancies::appointment_id,
                    occupancies::resource_kind,
                    occupancies::resource_id,
                    occupancies::starts_at,
                    occupancies::ends_at,
                ))
                .load(conn)
                .map_err(text)?;
        let taken = taken.into_iter().map(|(appointment, kind, of, start, end)| Taken {
            appointment,
            kind,
            of: of.0,
            start,
            end,
        });
        let ids: Vec<EntryId> = model.waiting.keys().map(|number| made.wishes[number]).collect();
        let mut wishes = BTreeMap::new();
        if !ids.is_empty() {
            let rows: Vec<(EntryId, WaitStatus, i32)> = waitlist_entries::table
                .filter(waitlist_entries::id.eq_any(ids.clone()))
                .select((waitlist_entries::id, waitlist_entries::status, waitlist_entries::lapses))
                .load(conn)
                .map_err(text)?;
            wishes.extend(
                rows.into_iter()
                    .map(|(id, status, lapses)| (id, Wish { status, lapses, offer: None })),
            );
            let rows: Vec<(EntryId, AppointmentId, PractitionerId, Instant, Instant)> =
                waitlist_offers::table
                    .filter(waitlist_offers::entry_id.eq_any(ids))
                    .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
                    .select((
                        waitlist_offers::entry_id,
                        waitlist_offers::held_id,
                        waitlist_offers::practitioner_id,
                        waitlist_offers::starts_at,
                        waitlist_offers::expires_at,
                    ))
                    .load(conn)
                    .map_err(text)?;
            for (id, held, doctor, start, until) in rows {
                if let Some(wish) = wishes.get_mut(&id) {
                    wish.offer = Some(Vacancy { held, doctor, start, until });
                }
            }
        }
        let mut instead = Vec::new();
        if !model.instead.is_empty() {
            let visits: Vec<AppointmentId> =
                model.instead.keys().map(|number| made.visits[number]).collect();
            let rows: Vec<(AppointmentId, i32, AppointmentId, PractitionerId, Instant)> =
                offered_times::table
                    .inner_join(appointments::table.on(appointments::id.eq(offered_times::held_id)))
                    .filter(offered_times::appointment_id.eq_any(visits))
                    .filter(appointments::hold_expires_at.gt(now))
                    .order(offered_times::number)
                    .select((
                        offered_times::appointment_id,
                        offered_times::number,
                        offered_times::held_id,
                        appointments::practitioner_id,
                        appointments::starts_at,
                    ))
                    .load(conn)
                    .map_err(text)?;
            instead.extend(rows.into_iter().map(|(visit, number, held, doctor, start)| Instead {
                visit,
                number,
                held,
                doctor,
                start,
            }));
        }
        Ok(Self { taken: taken.collect(), wishes, instead })
    }

    pub fn wish(&self, id: EntryId) -> Result<Wish, Wrong> {
        self.wishes.get(&id).copied().ok_or_else(|| format!("wish {id} is gone"))
    }

    /// Who and what helps in a visit.
    pub fn aids(&self, stage: &Stage, service: usize, id: AppointmentId) -> Result<Aids, Wrong> {
        let of = |kind: &Kind| {
            let kind = match kind {
                Kind::Room => ResourceKind::Room,
                Kind::Device => ResourceKind::Device,
                Kind::Interpreter => ResourceKind::Interpreter,
                Kind::Feldsher => ResourceKind::Feldsher,
            };
            let mut own = self.taken.iter().filter(|row| row.appointment == id);
            own.find(|row| row.kind == kind).map(|row| row.of)
        };
        let held: Vec<Option<uuid::Uuid>> = SERVICES[service].needs.iter().map(of).collect();
        if held.is_empty() {
            return Ok(Aids::Nobody);
        }
        let who = |(held, kind): (Option<uuid::Uuid>, Vec<Who>)| {
            kind.into_iter().find(|who| Some(stage.id_of(*who)) == held)
        };
        let these: Option<Vec<Who>> = held.iter().copied().zip(kinds(service)).map(who).collect();
        these
            .map(Aids::These)
            .ok_or_else(|| format!("a visit lacks one of what it needs: {held:?}"))
    }

    /// What a held time takes.
    pub fn place(
        &self,
        stage: &Stage,
        (service, patient): (usize, usize),
        (held, doctor, start): (AppointmentId, PractitionerId, Instant),
    ) -> Result<Place, Wrong> {
        let aids = self.aids(stage, service, held)?;
        Ok(Place { service, doctor: stage.worker(doctor), patient, tick: stage.tick(start), aids })
    }

    /// Learns who helps where the model left it open.
    pub fn adopt(&self, stage: &Stage, model: &mut Model, made: &Made) -> Result<(), Wrong> {
        for (number, visit) in &mut model.visits {
            if !matches!(visit.place.aids, Aids::OneOf(_)) {
                continue;
            }
            let seen = self.aids(stage, visit.place.service, made.visits[number])?;
            if !seen.are_among(&visit.place.aids) {
                return Err(format!("visit {number} has {seen:?} of {:?}", visit.place.aids));
            }
            visit.place.aids = seen;
        }
        Ok(())
    }

    /// Whether the time that the database says is taken is the model's.
    pub fn compare(&self, stage: &Stage, model: &Model) -> Result<(), Wrong> {
        let found = self.taken.iter().map(|row| (row.of, row.start, row.end));
        let mut found: Vec<(uuid::Uuid, Instant, Instant)> = found.collect();
        let mut expected: Vec<(uuid::Uuid, Instant, Instant)> = Vec::new();
        for place in model.taken(None) {
            let takes = place.takes().into_iter();
            expected.extend(
                takes.map(|(who, (from, to))| (stage.id_of(who), stage.at(from), stage.at(to))),
            );
        }
        found.sort_unstable();
        expected.sort_unstable();
        if found == expected {
            return Ok(());
        }
        let only = |of: &[(uuid::Uuid, Instant, Instant)],
                    not: &[(uuid::Uuid, Instant, Instant)]| {
            let mut not = not.to_vec();
            let mut only = of.to_vec();
            only.retain(|row| match not.iter().position(|other| other == row) {
                Some(at) => {
                    not.swap_remove(at);
                    false
                }
                None => true,
            });
            let name = |id: uuid::Uuid| {
                let worker = (0..stage.workers.len()).map(Who::Worker);
                let patient = (0..stage.patients.len()).map(Who::Patient);
                let room = (0..stage.rooms.len()).map(Who::Room);
                let device = (0..stage.devices.len()).map(Who::Device);
                worker.chain(patient).chain(room).chain(device).find(|who| stage.id_of(*who) == id)
            };
            let shown =
                only.into_iter().map(|(id, from, to)| (name(id), stage.tick(from), stage.tick(to)));
            shown.collect::<Vec<_>>()
        };
        Err(format!(
            "taken are also {:?}, and should be also {:?}",
            only(&found, &expected),
            only(&expected, &found)
        ))
    }
}

/// Whether what is offered is what trying every time finds, for somebody or for nobody in
/// particular.
pub fn offered(
    stage: &Stage,
    conn: &mut Conn,
    model: &Model,
    (service, patient, sees): (usize, Option<usize>, Sees),
) -> Result<(), Wrong> {
    let mut found: Vec<(i64, usize)> = Vec::new();
    // Each day for itself: one page holds a day.
    let noon = REACH.0 + NEXT_DAY;
    for (from, to) in [(REACH.0, noon), (noon, REACH.1)] {
        let wanted: SlotFilter = serde_json::from_value(json!({
            "service": stage.services[service], "limit": 100,
            "patient": patient.map(|patient| stage.patients[patient]),
            "from": stage.at(from), "to": stage.at(to),
        }))
        .unwrap();
        let page = stage
            .deed_that(sees, conn, model, |tx| slots::list(tx, &wanted))?
            .map_err(|code| format!("free times are refused with {code}"))?;
        found.extend(
            page.items
                .iter()
                .map(|slot| (stage.tick(slot.start), stage.worker(slot.practitioner.id))),
        );
    }
    let mut expected: Vec<(i64, usize)> = (0..DOCTORS)
        .flat_map(|doctor| {
            let ticks = model.offered(doctor, service, patient).into_iter();
            ticks.map(move |tick| (tick, doctor))
        })
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "of service {service} for {patient:?} are offered {found:?}, should be {expected:?}"
    ))
}
