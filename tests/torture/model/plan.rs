//! Somebody is ill: what is proposed for their visits is done at once, and taken back. What is
//! proposed is seen, not foretold.

use std::collections::{BTreeMap, BTreeSet};

use feldsher::schedule::leave::apply::{self, UndoPlan};
use feldsher::schedule::leave::plan::{self, Act, IllnessPlan, PlanId, PlanIllness, PlanStatus};

use super::intervals::{
    Absence, Decided, Instead, OFFER_MINUTES, Outcome, Place, SERVICES, Standing, UNDO_MINUTES,
    Who, any_aids,
};
use super::{Game, Wrong, expect};

/// A plan that can be taken back.
#[derive(Debug, Clone)]
pub struct Applied {
    id: PlanId,
    /// The leave that it made.
    absence: usize,
    /// When, in minutes.
    at: i64,
    offered: BTreeSet<usize>,
}

impl Game<'_> {
    pub fn plan(&mut self, doctor: usize, (tick, ticks): (i64, i64)) -> Result<(), Wrong> {
        let stage = self.stage;
        let range = (tick, tick + ticks);
        let wanted = PlanIllness { from: stage.at(range.0), to: stage.at(range.1) };
        let who = stage.workers[doctor];
        let done: Result<IllnessPlan, String> = self.deed(|tx| {
            let made = plan::create(tx, who, wanted)?;
            apply::apply(tx, made.id, None)
        })?;
        let hits = self.model.hit(doctor, range);
        let booked: Vec<usize> = hits
            .into_iter()
            .filter(|visit| self.model.visits[visit].standing == Standing::Booked)
            .collect();
        let applied = match done {
            Ok(applied) => applied,
            // Whoever proposes does not ask who else is needed, and nothing may be left to offer.
            Err(code) if code == "plan_conflicts" && !booked.is_empty() => return Ok(()),
            Err(code) => return Err(format!("a plan for {booked:?} is refused with {code}")),
        };
        let until = applied.undo_until.map(|until| stage.minute(until));
        let at = self.model.now;
        if applied.status != PlanStatus::Applied || until != Some(at + UNDO_MINUTES) {
            return Err(format!("a plan is {}, to be undone until {until:?}", applied.status));
        }
        self.model.leave(self.number, doctor, range);
        let absence = applied.absence.ok_or("a plan without a leave")?;
        self.made.absences.insert(self.number, absence);
        let mut planned = Vec::new();
        let mut offered = BTreeSet::new();
        for one in &applied.proposals {
            let visit = self.made.visits.iter().find(|(_, id)| **id == one.appointment);
            // A time that is held for somebody who waits or chooses is left as it is.
            let Some(visit) = visit.map(|(number, _)| *number).filter(|one| booked.contains(one))
            else {
                if one.act != Act::Keep {
                    return Err(format!("a plan would {} what is not booked", one.act));
                }
                continue;
            };
            planned.push(visit);
            let from = self.model.visits[&visit].place.clone();
            // What was held in its place is free.
            self.model.instead.remove(&visit);
            let outcome = match (one.act, &one.practitioner, one.start) {
                (Act::Move, Some(doctor), Some(start)) => {
                    let (doctor, tick) = (stage.worker(doctor.id), stage.tick(start));
                    let aids = any_aids(from.service);
                    let place = Place { doctor, tick, aids, ..from.clone() };
                    if !self.model.works(doctor, place.span()) {
                        return Err(format!("visit {visit} is put to {place:?}, out of hours"));
                    }
                    self.visit(visit).place = place;
                    Outcome::Moved
                }
                (Act::Offer, ..) => {
                    let until = at + OFFER_MINUTES;
                    let instead = Instead { until, times: BTreeMap::new(), is_alone: false };
                    self.model.instead.insert(visit, instead);
                    offered.insert(visit);
                    Outcome::Offered { until }
                }
                (Act::Cancel, ..) => {
                    self.visit(visit).standing = Standing::Cancelled { can_return: false };
                    Outcome::Cancelled
                }
                (act, ..) => return Err(format!("a plan would {act} visit {visit}")),
            };
            let was = Standing::Booked;
            self.decided(self.number, visit, Decided { outcome, from, was });
        }
        planned.sort_unstable();
        if planned != booked {
            return Err(format!("a plan names {planned:?}, not {booked:?}"));
        }
        self.made.plan = Some(Applied { id: applied.id, absence: self.number, at, offered });
        self.made.counts.plans += 1;
        Ok(())
    }

    pub fn take_back(&mut self) -> Result<(), Wrong> {
        let Some(applied) = self.made.plan.clone() else { return Ok(()) };
        let id = applied.id;
        let done: Result<IllnessPlan, String> =
            self.deed(|tx| apply::undo(tx, id, &UndoPlan::default()))?;
        if self.model.now >= applied.at + UNDO_MINUTES {
            return expect(Err::<(), _>("undo_over"), &done);
        }
        if !self.model.absences.contains_key(&applied.absence) {
            return expect(Err::<(), _>("bad_state"), &done);
        }
        match &done {
            Err(code) if code == "plan_conflicts" => return self.is_in_the_way(&applied),
            Err(code) => return Err(format!("a plan is not taken back but refused with {code}")),
            Ok(undone) if undone.status != PlanStatus::Undone => {
                return Err(format!("a plan that was taken back is {}", undone.status));
            }
            Ok(_) => {}
        }
        let decided = self.model.absences[&applied.absence].decided.clone();
        self.forget(applied.absence);
        let now = self.model.now;
        for (visit, one) in decided {
            match one.outcome {
                Outcome::Moved => {
                    let aids = any_aids(one.from.service);
                    self.visit(visit).place = Place { aids, ..one.from };
                }
                Outcome::Cancelled => self.visit(visit).standing = one.back(now),
                Outcome::Replaced | Outcome::Offered { .. } => {}
            }
        }
        self.made.plan = None;
        self.made.counts.taken_back += 1;
        Ok(())
    }

    /// A plan that is not taken back: something must be in the way.
    fn is_in_the_way(&self, applied: &Applied) -> Result<(), Wrong> {
        let Absence { worker, decided, .. } = &self.model.absences[&applied.absence];
        let mut back = self.model.clone();
        back.absences.remove(&applied.absence);
        let mut patients = BTreeSet::new();
        for (visit, Decided { outcome, from, .. }) in decided {
            let now = &self.model.visits[visit];
            // One goes back before the other, so two of one patient can be in each other's way, and
            // so can those who share rooms.
            let is_tangled =
                !patients.insert(from.patient) || !SERVICES[from.service].needs.is_empty();
            let was_chosen = *outcome == Outcome::Moved && applied.offered.contains(visit);
            let was_changed = match outcome {
                Outcome::Moved => now.standing != Standing::Booked || now.place.doctor == *worker,
                Outcome::Cancelled => now.is_live(self.model.now),
                Outcome::Replaced | Outcome::Offered { .. } => false,
            };
            // Where it was moved to is not noted here: whoever moved it on may be meant.
            if is_tangled || was_chosen || was_changed || self.made.moved.contains(visit) {
                return Ok(());
            }
            back.visits.remove(visit);
            back.instead.remove(visit);
        }
        for (visit, one) in decided {
            let Decided { outcome, from, .. } = one;
            let goes_back = match outcome {
                Outcome::Moved => true,
                Outcome::Cancelled => one.back(self.model.now) != Standing::Lapsed,
                Outcome::Replaced | Outcome::Offered { .. } => false,
            };
            let is_free = back.is_free(Who::Worker(from.doctor), from.busy(), None)
                && back.is_free(Who::Patient(from.patient), from.span(), None);
            // It was promised: nobody asks for hours.
            if goes_back && !is_free {
                return Ok(());
            }
            back.visits.insert(*visit, self.model.visits[visit].clone());
            let visit = back.visits.get_mut(visit).expect("it");
            (visit.place, visit.standing) = (from.clone(), one.back(self.model.now));
        }
        Err(format!("{decided:?} could go back, and do not"))
    }
}
