//! The waiting list beside the model: what is held for those who wait is seen, not foretold, and
//! must keep to the rules that everybody can read.

use feldsher::appointment::Appointment;
use feldsher::base::db::Conn;
use feldsher::base::error::Error;
use feldsher::waitlist::answer;
use feldsher::waitlist::join::{self, JoinWaitlist};
use feldsher::waitlist::{self, Entry, WaitStatus};
use serde_json::json;

use super::intervals::{
    DAY_TICKS, DOCTORS, Held, Model, PATIENTS, Standing, Step, VISIT_TICKS, Visit, Waiting,
};
use super::{Made, Stage, expect, nth};

/// Somebody comes onto the list.
pub fn wish(
    stage: &Stage,
    conn: &mut Conn,
    (model, made): (&mut Model, &mut Made),
    number: usize,
    (doctor, who): (Option<usize>, usize),
) -> Result<Result<(), String>, Error> {
    let patient = PATIENTS + who;
    let wanted: JoinWaitlist = serde_json::from_value(json!({
        "service": stage.service, "patient": stage.patients[patient],
        "practitioner": doctor.map(|doctor| stage.doctors[doctor]),
        "earliest": stage.at(0), "latest": stage.at(DAY_TICKS), "notice_minutes": 0,
    }))
    .unwrap();
    let expected = match model.waiting.values().any(|waiting| waiting.patient == patient) {
        true => Err("already_exists"),
        false => Ok(()),
    };
    let done: Result<Entry, String> = stage.deed(conn, model, |tx| join::join(tx, &wanted))?;
    if let Err(wrong) = expect(expected, &done) {
        return Ok(Err(wrong));
    }
    if let Ok(entry) = done {
        let waiting = Waiting { patient, doctor, asked: Vec::new(), offer: None };
        model.waiting.insert(number, waiting);
        made.wishes.insert(number, entry.id);
    }
    Ok(Ok(()))
}

/// Somebody takes what is held for them, or leaves it.
pub fn answer(
    stage: &Stage,
    conn: &mut Conn,
    (model, made): (&mut Model, &mut Made),
    number: usize,
    (wish, accept): (usize, bool),
) -> Result<Result<(), String>, Error> {
    let Some(at) = nth(&model.waiting, wish) else { return Ok(Ok(())) };
    let id = made.wishes[&at];
    let held = model.waiting[&at].offer.filter(|held| held.until > model.now);
    let expected = held.ok_or("offer_over or bad_state");
    if !accept {
        let done = stage.deed(conn, model, |tx| answer::decline(tx, id))?;
        if let Err(wrong) = expect(expected, &done) {
            return Ok(Err(wrong));
        }
        if let Ok(held) = expected {
            let waiting = model.waiting.get_mut(&at).unwrap();
            waiting.asked.push((held.doctor, held.tick));
            waiting.offer = None;
        }
        return Ok(Ok(()));
    }
    let done: Result<Appointment, String> = stage.deed(conn, model, |tx| answer::accept(tx, id))?;
    if let Err(wrong) = expect(expected, &done) {
        return Ok(Err(wrong));
    }
    if let (Ok(held), Ok(visit)) = (expected, done) {
        let Held { doctor, tick, .. } = held;
        let patient = model.waiting.remove(&at).unwrap().patient;
        let standing = Standing::Booked;
        model.visits.insert(number, Visit { doctor, patient, tick, standing });
        made.visits.insert(number, visit.id);
        model.held_and_taken.1 += 1;
    }
    Ok(Ok(()))
}

/// Sees what is held for whom after a step, and whether that may be.
pub fn watch(
    stage: &Stage,
    conn: &mut Conn,
    (before, model): (&Model, &mut Model),
    made: &Made,
    step: &Step,
) -> Result<Result<(), String>, Error> {
    let mut idle = Vec::new();
    let mut fresh = Vec::new();
    for number in model.waiting.keys().copied().collect::<Vec<_>>() {
        let id = made.wishes[&number];
        let entry = match stage.deed(conn, model, |tx| waitlist::find(tx, id))? {
            Ok(entry) => entry,
            Err(code) => return Ok(Err(format!("a wish is refused with {code}"))),
        };
        match entry.status {
            WaitStatus::Waiting => idle.push(number),
            WaitStatus::Offered => {}
            WaitStatus::Expired if entry.lapses >= 3 => {
                model.waiting.remove(&number);
                continue;
            }
            other => return Ok(Err(format!("a wish is {other}"))),
        }
        let held = entry.offer.map(|offer| Held {
            doctor: stage.doctors.iter().position(|id| *id == offer.practitioner.id).unwrap(),
            tick: stage.tick(offer.start),
            until: offer.expires_at.since(stage.begin).num_minutes(),
        });
        let held = held.filter(|held| held.until > model.now);
        let old = model.waiting[&number].offer;
        if held != old {
            if let Some(old) = old {
                if old.until <= model.now {
                    model.waiting.get_mut(&number).unwrap().asked.push((old.doctor, old.tick));
                } else if model.works(old.doctor, old.tick) {
                    return Ok(Err(format!("what was held for somebody is gone: {old:?}")));
                }
            }
            fresh.extend(held.map(|held| (number, held)));
        }
        model.waiting.get_mut(&number).unwrap().offer = held;
    }
    model.held_and_taken.0 += fresh.len();
    let may_be = fresh.iter().try_for_each(|(number, held)| fits(model, *number, *held, &idle));
    Ok(may_be.and_then(|()| nobody_waits_beside(before, model, &idle, step)))
}

fn fits(model: &Model, number: usize, held: Held, idle: &[usize]) -> Result<(), String> {
    let Held { doctor, tick, .. } = held;
    let mut others = model.clone();
    others.waiting.get_mut(&number).unwrap().offer = None;
    if !others.offered(doctor).contains(&tick) || !others.suits(number, doctor, tick) {
        return Err(format!("wish {number} has {held:?}, which is not free or does not suit"));
    }
    let longer = idle.iter().find(|other| **other < number && others.suits(**other, doctor, tick));
    longer.map_or(Ok(()), |longer| {
        Err(format!("wish {longer} waits longer than {number} for {held:?}"))
    })
}

/// What was freed, or was free when somebody came, is held for whom it suits.
fn nobody_waits_beside(
    before: &Model,
    model: &Model,
    idle: &[usize],
    step: &Step,
) -> Result<(), String> {
    let ended = |doctor: usize| {
        before.visits.iter().any(|(id, visit)| {
            visit.doctor == doctor
                && visit.is_live(before.now)
                && !model.visits[id].is_live(model.now)
        })
    };
    for doctor in 0..DOCTORS {
        let is_filled = match step {
            Step::Wish { .. } => before.waiting.len() < model.waiting.len(),
            Step::Cancel { .. } => ended(doctor),
            _ => false,
        };
        for tick in model.offered(doctor).into_iter().filter(|_| is_filled) {
            if let Some(number) = idle.iter().find(|number| model.suits(**number, doctor, tick)) {
                return Err(format!("wish {number} waits beside {tick} of doctor {doctor}"));
            }
        }
    }
    Ok(())
}

impl Model {
    /// Whether a time would suit somebody who waits, were it free.
    fn suits(&self, number: usize, doctor: usize, tick: i64) -> bool {
        let waiting = &self.waiting[&number];
        waiting.doctor.is_none_or(|wanted| wanted == doctor)
            && !waiting.asked.contains(&(doctor, tick))
            && tick + VISIT_TICKS <= DAY_TICKS
            && self.patient_is_free(waiting.patient, tick, None)
    }
}
