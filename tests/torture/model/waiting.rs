//! The waiting list beside the model: what is held for those who wait is seen, not foretold, and
//! must keep to the rules that everybody can read.

use feldsher::waitlist::answer;
use feldsher::waitlist::join::{self, JoinWaitlist};
use feldsher::waitlist::{EntryId, WaitStatus};
use serde_json::json;

use super::intervals::{
    DOCTORS, FIRST_DAY, Held, Model, PATIENTS, Place, SERVICES, Standing, Visit, Waiting, Who,
};
use super::seen::Seen;
use super::step::Step;
use super::{Game, Wrong, expect, nth};

/// So many offers in a row that nobody answered end a wish.
const LAPSES_MAX: i32 = 3;

impl Game<'_> {
    /// Somebody comes onto the list.
    pub fn wish(&mut self, service: usize, doctor: Option<usize>, who: usize) -> Result<(), Wrong> {
        let (stage, patient) = (self.stage, PATIENTS + who);
        let wanted: JoinWaitlist = serde_json::from_value(json!({
            "service": stage.services[service], "patient": stage.patients[patient],
            "practitioner": doctor.map(|doctor| stage.workers[doctor]),
            "earliest": stage.at(FIRST_DAY.0), "latest": stage.at(FIRST_DAY.1), "notice_minutes": 0,
        }))
        .unwrap();
        let waits = |waiting: &Waiting| (waiting.service, waiting.patient) == (service, patient);
        let expected = match self.model.waiting.values().any(waits) {
            true => Err("already_exists"),
            false => Ok(()),
        };
        let done = self.deed(|tx| join::join(tx, &wanted))?;
        expect(expected, &done)?;
        if let Ok(entry) = done {
            let since = self.model.now;
            let (asked, offer) = (Vec::new(), None);
            let has_declined = false;
            let waiting = Waiting { since, service, patient, doctor, asked, offer, has_declined };
            self.model.waiting.insert(self.number, waiting);
            self.made.wishes.insert(self.number, entry.id);
        }
        Ok(())
    }

    /// Somebody takes what is held for them, or leaves it.
    pub fn answer(&mut self, wish: usize, accept: bool) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.waiting, wish) else { return Ok(()) };
        let id = self.made.wishes[&at];
        let held = self.model.waiting[&at].offer.clone();
        let held = held.filter(|held| held.until > self.model.now);
        let expected = held.ok_or("offer_over or bad_state");
        if !accept {
            let done = self.deed(|tx| answer::decline(tx, id))?;
            let waiting = &self.model.waiting[&at];
            if waiting.offer.is_none() && waiting.has_declined {
                // Saying it twice is saying it once.
                return expect(Ok::<_, &str>(()), &done);
            }
            expect(expected.as_ref().map_err(|code| *code), &done)?;
            if let Ok(held) = expected {
                let waiting = self.waiting(at);
                waiting.asked.push((held.place.doctor, held.place.tick));
                (waiting.offer, waiting.has_declined) = (None, true);
            }
            return Ok(());
        }
        // Their hours can have changed since.
        let expected = expected.and_then(|held| {
            let works = self.model.works(held.place.doctor, held.place.span());
            if works { Ok(held) } else { Err("offer_over") }
        });
        let done = self.deed(|tx| answer::accept(tx, id))?;
        expect(expected.as_ref().map_err(|code| *code), &done)?;
        if let (Ok(held), Ok(visit)) = (expected, done) {
            self.model.waiting.remove(&at);
            let visited = Visit { place: held.place, standing: Standing::Booked };
            self.model.visits.insert(self.number, visited);
            self.made.visits.insert(self.number, visit.id);
            self.made.counts.taken += 1;
        }
        Ok(())
    }

    pub fn withdraw(&mut self, wish: usize) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.waiting, wish) else { return Ok(()) };
        let id = self.made.wishes[&at];
        let done = self.deed(|tx| join::withdraw(tx, id))?;
        expect(Ok::<_, &str>(()), &done)?;
        self.model.waiting.remove(&at);
        Ok(())
    }

    fn waiting(&mut self, at: usize) -> &mut Waiting {
        self.model.waiting.get_mut(&at).expect("a wish of the model")
    }

    /// Sees what is held for whom after a step, and whether that may be.
    pub fn watch(&mut self, seen: &Seen, before: &Model, step: &Step) -> Result<(), Wrong> {
        let mut idle = Vec::new();
        let mut fresh = Vec::new();
        for number in self.model.waiting.keys().copied().collect::<Vec<_>>() {
            let wish = seen.wish(self.made.wishes[&number])?;
            match wish.status {
                WaitStatus::Waiting => idle.push(number),
                WaitStatus::Offered => {}
                WaitStatus::Expired if wish.lapses >= LAPSES_MAX => {
                    self.model.waiting.remove(&number);
                    self.made.counts.unanswered += 1;
                    continue;
                }
                other => return Err(format!("wish {number} is {other}")),
            }
            let now = self.model.now;
            let waiting = &self.model.waiting[&number];
            let (service, patient) = (waiting.service, waiting.patient);
            let old = waiting.offer.clone();
            let is_old = |old: &Held| {
                wish.offer.is_some_and(|new| {
                    let there = (self.stage.worker(new.doctor), self.stage.tick(new.start));
                    there == (old.place.doctor, old.place.tick)
                        && self.stage.minute(new.until) == old.until
                })
            };
            if old.as_ref().is_some_and(is_old) {
                continue;
            }
            if let Some(old) = old {
                if old.until > now {
                    return Err(format!("what was held for wish {number} is gone: {old:?}"));
                }
                let waiting = self.waiting(number);
                waiting.asked.push((old.place.doctor, old.place.tick));
                waiting.has_declined = false;
                self.made.counts.lapsed += 1;
            }
            let mut offer = None;
            if let Some(new) = wish.offer {
                let time = (new.held, new.doctor, new.start);
                let place = seen.place(self.stage, (service, patient), time)?;
                offer = Some(Held { place, until: self.stage.minute(new.until) });
                fresh.push(number);
                self.waiting(number).has_declined = false;
            }
            self.waiting(number).offer = offer;
        }
        self.made.counts.held += fresh.len();
        for number in fresh {
            self.may_be_held(number, &idle)?;
        }
        self.nobody_waits_beside(before, &idle, step)
    }

    /// Whose turn it is: whoever has waited longest.
    fn turn(&self, wish: usize) -> (i64, EntryId) {
        (self.model.waiting[&wish].since, self.made.wishes[&wish])
    }

    fn may_be_held(&self, number: usize, idle: &[usize]) -> Result<(), Wrong> {
        let mut others = self.model.clone();
        let offer = others.waiting.get_mut(&number).expect("a wish of the model").offer.take();
        let Some(Held { place, until }) = offer else { return Ok(()) };
        let could_help = others.aids(place.service, place.tick, None);
        let aids = could_help.is_some_and(|could| place.aids.are_among(&could));
        let is_free = others.offered(place.doctor, place.service, None).contains(&place.tick);
        if until <= self.model.now
            || !aids
            || !is_free
            || !others.suits(number, place.doctor, place.tick)
        {
            return Err(format!("wish {number} has {place:?}, which is not free or does not suit"));
        }
        let is_passed_over = |other: &&usize| {
            self.model.waiting[other].service == place.service
                && self.turn(**other) < self.turn(number)
                && others.suits(**other, place.doctor, place.tick)
        };
        idle.iter().find(is_passed_over).map_or(Ok(()), |longer| {
            Err(format!("wish {longer} waits longer than {number} for {place:?}"))
        })
    }

    /// What was freed, or was free when somebody came, is held for whom it suits.
    fn nobody_waits_beside(
        &self,
        before: &Model,
        idle: &[usize],
        step: &Step,
    ) -> Result<(), Wrong> {
        let model = &self.model;
        let ended = |doctor: usize| {
            let now = model.taken(None);
            let is_gone = |place: &&Place| {
                let same = |other: &&Place| {
                    (other.doctor, other.tick, other.service, other.patient)
                        == (place.doctor, place.tick, place.service, place.patient)
                };
                // All wish for the first day, and what ends on the second is too far from it.
                let is_near = place.tick <= FIRST_DAY.1;
                place.doctor == doctor && is_near && !now.iter().any(same)
            };
            before.taken(None).iter().any(is_gone)
        };
        // What nobody answered is nobody's until that has been noticed.
        let over: Vec<(usize, i64)> = model
            .waiting
            .values()
            .filter_map(|waiting| waiting.offer.as_ref())
            .filter(|held| held.until <= model.now)
            .map(|held| (held.place.doctor, held.place.tick))
            .collect();
        for (doctor, service) in
            (0..DOCTORS).flat_map(|doctor| (0..SERVICES.len()).map(move |one| (doctor, one)))
        {
            let is_filled = match step {
                Step::Wish { service: wished, .. } => {
                    *wished == service && before.waiting.len() < model.waiting.len()
                }
                Step::Sweep => true,
                Step::Cancel { .. }
                | Step::Move { .. }
                | Step::Settle { .. }
                | Step::Choose { .. }
                | Step::Answer { .. }
                | Step::Withdraw { .. } => ended(doctor),
                _ => false,
            };
            if !is_filled {
                continue;
            }
            let free = model.offered(doctor, service, None).into_iter();
            for tick in free.filter(|tick| !over.contains(&(doctor, *tick))) {
                let waits = |number: &&usize| {
                    model.waiting[number].service == service && model.suits(**number, doctor, tick)
                };
                if let Some(number) = idle.iter().find(waits) {
                    return Err(format!("wish {number} waits beside {tick} of doctor {doctor}"));
                }
            }
        }
        Ok(())
    }
}

impl Model {
    /// Whether a time would suit somebody who waits, were it free.
    fn suits(&self, number: usize, doctor: usize, tick: i64) -> bool {
        let waiting = &self.waiting[&number];
        let span = (tick, tick + SERVICES[waiting.service].visit);
        (FIRST_DAY.0..=FIRST_DAY.1).contains(&tick)
            && waiting.doctor.is_none_or(|wanted| wanted == doctor)
            && !waiting.asked.contains(&(doctor, tick))
            && self.is_free(Who::Patient(waiting.patient), span, None)
    }
}
