//! Leave, and what becomes of the visits that it hits; hours besides the weekly ones.

use std::collections::BTreeMap;

use feldsher::appointment::taken::Hit;
use feldsher::schedule::absence::{self, AbsenceStatus, AddAbsence};
use feldsher::schedule::closure::{self, AddClosure};
use feldsher::schedule::extra::{self, AddExtraHours};
use feldsher::schedule::leave::offer::{self, ChooseTime};
use feldsher::schedule::leave::settle::{self, DecideOutcomes};
use feldsher::schedule::leave::{self as leaves, SettledAbsence};
use serde_json::{Value, json};

use super::intervals::{
    Absence, DOCTORS, Decided, Held, Instead, Model, OFFER_MINUTES, Outcome, Place, Range,
    Standing, TIMES_MAX, Visit, overlap,
};
use super::seen::Seen;
use super::stage::{Stage, time};
use super::step::Fate;
use super::{Game, Wrong, expect, nth};

/// What a decision comes to.
enum Change {
    Place(Place),
    Offer,
    CallOff,
}

impl Model {
    /// Somebody is away: what is held of their time for those who wait is withdrawn.
    pub fn leave(&mut self, number: usize, worker: usize, range: Range) {
        for waiting in self.waiting.values_mut() {
            let is_hit =
                |held: &Held| held.place.doctor == worker && overlap(held.place.span(), range);
            if waiting.offer.as_ref().is_some_and(is_hit) {
                (waiting.offer, waiting.has_declined) = (None, false);
            }
        }
        // So is what is held of it in place of visits; with the last of them nothing is decided.
        let now = self.now;
        let is_hit = |place: &Place| place.needs(worker) && overlap(place.span(), range);
        for instead in self.instead.values_mut().filter(|instead| instead.until > now) {
            instead.times.retain(|_, place| !is_hit(place));
        }
        let gone = |instead: &Instead| instead.until > now && instead.times.is_empty();
        let none: Vec<usize> = self
            .instead
            .iter()
            .filter(|(_, instead)| gone(instead))
            .map(|(visit, _)| *visit)
            .collect();
        for visit in none {
            self.instead.remove(&visit);
            for absence in self.absences.values_mut() {
                let offered = |one: &Decided| matches!(one.outcome, Outcome::Offered { .. });
                if absence.decided.get(&visit).is_some_and(offered) {
                    absence.decided.remove(&visit);
                }
            }
        }
        self.absences.insert(number, Absence { worker, range, decided: BTreeMap::new() });
    }

    /// Hours are gone: what is held in them for those who wait is withdrawn.
    fn withdraw_vain(&mut self) {
        let hours = self.clone();
        let is_vain = |held: &Held| {
            held.until > hours.now && !hours.works(held.place.doctor, held.place.span())
        };
        for waiting in self.waiting.values_mut() {
            if waiting.offer.as_ref().is_some_and(is_vain) {
                (waiting.offer, waiting.has_declined) = (None, false);
            }
        }
    }

    fn can_be_offered(&self, service: usize, patient: usize) -> bool {
        (0..DOCTORS).any(|doctor| !self.offered(doctor, service, Some(patient)).is_empty())
    }
}

impl Game<'_> {
    pub fn leave(&mut self, worker: usize, (tick, ticks): (i64, i64)) -> Result<(), Wrong> {
        let stage = self.stage;
        let range = (tick, tick + ticks);
        let wanted = AddAbsence { from: stage.at(range.0), to: stage.at(range.1), reason: None };
        let who = stage.workers[worker];
        let added = self
            .deed(|tx| absence::add(tx, who, &wanted))?
            .map_err(|code| format!("a leave is refused with {code}"))?;
        self.model.leave(self.number, worker, range);
        self.made.absences.insert(self.number, added.absence.id);
        let inside = self.model.inside(worker, range).into_iter();
        let expected: Vec<(i64, usize)> = inside.map(|place| (place.tick, place.patient)).collect();
        hits(stage, "a leave", expected.clone(), (&added.affected, added.affected_count))?;
        let is_complete = added.absence.status == AbsenceStatus::Complete;
        if is_complete == expected.is_empty() {
            Ok(())
        } else {
            Err(format!("a leave that hits {expected:?} is {}", added.absence.status))
        }
    }

    pub fn settle(&mut self, hit: usize, fate: &Fate) -> Result<(), Wrong> {
        let hits = self.model.absences.iter().flat_map(|(number, absence)| {
            let hits = self.model.hit(absence.worker, absence.range).into_iter();
            hits.map(|visit| (*number, visit))
        });
        let hits: Vec<(usize, usize)> = hits.collect();
        let Some(nth) = hit.checked_rem(hits.len()) else { return Ok(()) };
        let (at, visit) = hits[nth];
        let worker = self.model.absences[&at].worker;
        let expected = self.fate(worker, visit, fate);
        let Visit { place: from, standing: was } = self.model.visits[&visit].clone();
        let id = self.made.absences[&at];
        let mut outcome = json!({"appointment": self.made.visits[&visit], "outcome": name(fate)});
        if let Fate::Moved { doctor, tick } = fate {
            outcome["start"] = json!(self.stage.at(*tick));
            outcome["practitioner"] =
                doctor.map_or(Value::Null, |doctor| json!(self.stage.workers[doctor]));
        }
        let wanted: DecideOutcomes =
            serde_json::from_value(json!({"outcomes": [outcome]})).unwrap();
        let done: Result<SettledAbsence, String> =
            self.deed(|tx| settle::decide(tx, id, &wanted))?;
        expect(expected.as_ref().map_err(|code| *code), &done)?;
        let Ok(change) = expected else { return Ok(()) };
        self.model.instead.remove(&visit);
        let outcome = match (change, fate) {
            (Change::Place(place), _) => {
                self.visit(visit).place = place;
                if matches!(fate, Fate::Replaced) { Outcome::Replaced } else { Outcome::Moved }
            }
            (Change::Offer, _) => {
                let until = self.model.now + OFFER_MINUTES;
                let instead = Instead { until, times: BTreeMap::new(), is_alone: true };
                self.model.instead.insert(visit, instead);
                Outcome::Offered { until }
            }
            (Change::CallOff, _) => {
                self.visit(visit).standing = Standing::Cancelled { can_return: false };
                Outcome::Cancelled
            }
        };
        self.decided(at, visit, Decided { outcome, from, was });
        Ok(())
    }

    pub fn decided(&mut self, absence: usize, visit: usize, decided: Decided) {
        let absence = self.model.absences.get_mut(&absence).expect("a leave of the model");
        absence.decided.insert(visit, decided);
    }

    /// What would become of a visit in the leave of somebody, or why it cannot.
    fn fate(&self, worker: usize, visit: usize, fate: &Fate) -> Result<Change, &'static str> {
        // What was held in its place is free.
        let mut free = self.model.clone();
        free.instead.remove(&visit);
        let place = &free.visits[&visit].place;
        match fate {
            Fate::Moved { doctor, tick } => {
                free.reschedule(visit, *doctor, *tick).map(Change::Place)
            }
            Fate::Replaced => {
                if place.doctor == worker {
                    return Err("invalid_body");
                }
                let aids = free.replaced(visit, worker).ok_or("resource_busy")?;
                Ok(Change::Place(Place { aids, ..place.clone() }))
            }
            Fate::Offered => {
                if free.visits[&visit].standing != Standing::Booked {
                    return Err("bad_state");
                }
                let any = free.can_be_offered(place.service, place.patient);
                if any { Ok(Change::Offer) } else { Err("nothing_to_offer") }
            }
            Fate::CalledOff => Ok(Change::CallOff),
        }
    }

    pub fn complete(&mut self, absence: usize) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.absences, absence) else { return Ok(()) };
        let (id, expected) = (self.made.absences[&at], self.model.complete(at));
        let done = self.deed(|tx| leaves::complete(tx, id))?;
        expect(expected, &done)?;
        let Ok(settled) = done else { return Ok(()) };
        if (settled.status, settled.open_count) != (AbsenceStatus::Complete, 0) {
            return Err(format!("{} with {} open", settled.status, settled.open_count));
        }
        self.lapse(at);
        Ok(())
    }

    /// Offers of a leave that nobody answered are over, and nothing was decided.
    pub fn lapse(&mut self, absence: usize) {
        let now = self.model.now;
        let absence = self.model.absences.get_mut(&absence).expect("a leave of the model");
        let is_over =
            |one: &Decided| matches!(one.outcome, Outcome::Offered { until } if until <= now);
        let over = absence.decided.iter().filter(|(_, one)| is_over(one));
        let over: Vec<usize> = over.map(|(visit, _)| *visit).collect();
        for visit in over {
            absence.decided.remove(&visit);
            self.model.instead.remove(&visit);
        }
    }

    pub fn choose(&mut self, visit: usize, number: i32) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.instead, visit) else { return Ok(()) };
        let leaves = self.model.absences.iter();
        let by: Vec<usize> = leaves
            .filter(|(_, absence)| absence.decided.contains_key(&at))
            .map(|(number, _)| *number)
            .collect();
        // The last word counts, and of two in one minute nobody knows which that is.
        let [absence] = by[..] else { return Ok(()) };
        let instead = &self.model.instead[&at];
        let chosen = instead.times.get(&number).cloned();
        let mut free = self.model.clone();
        free.instead.remove(&at);
        let expected = match chosen {
            _ if instead.until <= self.model.now => Err("offer_over"),
            None => Err("unknown_reference"),
            Some(time) => free.reschedule(at, Some(time.doctor), time.tick),
        };
        let id = self.made.visits[&at];
        let done = self.deed(|tx| offer::choose(tx, id, ChooseTime { number }))?;
        expect(expected.as_ref().map_err(|code| *code), &done)?;
        if let Ok(place) = expected {
            self.model.instead.remove(&at);
            self.visit(at).place = place;
            let absence = self.model.absences.get_mut(&absence).expect("a leave of the model");
            absence.decided.get_mut(&at).expect("an offer").outcome = Outcome::Moved;
        }
        Ok(())
    }

    pub fn come_back(&mut self, absence: usize) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.absences, absence) else { return Ok(()) };
        let id = self.made.absences[&at];
        let who = self.stage.workers[self.model.absences[&at].worker];
        let done = self.deed(|tx| absence::remove(tx, who, id))?;
        expect(Ok::<_, &str>(()), &done)?;
        self.forget(at);
        Ok(())
    }

    /// A leave is taken away, with what was held for its visits.
    pub fn forget(&mut self, absence: usize) {
        let gone = self.model.absences.remove(&absence).expect("a leave of the model");
        for visit in gone.decided.keys() {
            self.model.instead.remove(visit);
        }
        self.made.absences.remove(&absence);
    }

    pub fn extra(&mut self, worker: usize, (tick, ticks): (i64, i64)) -> Result<(), Wrong> {
        let (from, to) = (self.stage.at(tick), self.stage.at(tick + ticks));
        let wanted = AddExtraHours { from, to, service: None, location: None };
        let who = self.stage.workers[worker];
        let added = self
            .deed(|tx| extra::add(tx, who, &wanted))?
            .map_err(|code| format!("extra hours are refused with {code}"))?;
        self.model.extra.insert(self.number, (worker, (tick, tick + ticks)));
        self.made.extra.insert(self.number, added.id);
        Ok(())
    }

    /// The clinic is closed for some time of the day.
    pub fn close(&mut self, (tick, ticks): (i64, i64)) -> Result<(), Wrong> {
        let (stage, range) = (self.stage, (tick, tick + ticks));
        let wanted: AddClosure = serde_json::from_value(json!({
            "name": {"en": "Model", "ru": "Модель"}, "from_date": stage.date(),
            "to_date": stage.date(), "from": time(range.0), "to": time(range.1),
        }))
        .unwrap();
        let clinic = stage.clinic;
        let added = self
            .deed(|tx| closure::add(tx, clinic, &wanted))?
            .map_err(|code| format!("a closure is refused with {code}"))?;
        self.model.closures.insert(self.number, range);
        self.made.closures.insert(self.number, added.closure.id);
        self.model.withdraw_vain();
        let taken = self.model.taken(None).into_iter();
        let hit = |place: &&Place| self.model.is_shut_out(place.doctor, place.span(), range);
        let expected = taken.filter(hit).map(|place| (place.tick, place.patient)).collect();
        hits(stage, "a closure", expected, (&added.affected, added.affected_count))
    }

    pub fn open(&mut self, closure: usize) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.closures, closure) else { return Ok(()) };
        let (id, clinic) = (self.made.closures[&at], self.stage.clinic);
        let done = self.deed(|tx| closure::remove(tx, clinic, id))?;
        expect(Ok::<_, &str>(()), &done)?;
        self.model.closures.remove(&at);
        Ok(())
    }

    pub fn less(&mut self, extra: usize) -> Result<(), Wrong> {
        let Some(at) = nth(&self.model.extra, extra) else { return Ok(()) };
        let (id, who) = (self.made.extra[&at], self.stage.workers[self.model.extra[&at].0]);
        let done = self.deed(|tx| extra::remove(tx, who, id))?;
        expect(Ok::<_, &str>(()), &done)?;
        self.model.extra.remove(&at);
        self.model.withdraw_vain();
        Ok(())
    }

    /// Learns which times are held in place of visits, and whether they may be.
    pub fn see_instead(&mut self, seen: &Seen) -> Result<(), Wrong> {
        let unseen = self.model.instead.iter().filter(|(_, instead)| instead.times.is_empty());
        let unseen: Vec<usize> = unseen.map(|(visit, _)| *visit).collect();
        for visit in unseen {
            let Place { service, patient, .. } = self.model.visits[&visit].place;
            let id = self.made.visits[&visit];
            let mut times = BTreeMap::new();
            for held in seen.instead.iter().filter(|held| held.visit == id) {
                let time = (held.held, held.doctor, held.start);
                let time = seen.place(self.stage, (service, patient), time)?;
                if !self.model.could_begin(time.doctor, service, time.tick)
                    || !self.model.fits(&time, None)
                {
                    return Err(format!("{time:?} is held in place of {visit}, and is not free"));
                }
                times.insert(held.number, time);
                self.model.instead.get_mut(&visit).expect("it").times.clone_from(&times);
            }
            let is_all = !self.model.instead[&visit].is_alone
                || times.len() == TIMES_MAX
                || !self.model.can_be_offered(service, patient);
            if times.is_empty() || times.len() > TIMES_MAX || !is_all {
                return Err(format!("{times:?} are held in place of {visit}"));
            }
        }
        Ok(())
    }
}

/// Compares which visits are said to be in the way of something with when and whose they are.
fn hits(
    stage: &Stage,
    what: &str,
    mut expected: Vec<(i64, usize)>,
    (said, count): (&[Hit], i64),
) -> Result<(), Wrong> {
    let mut found: Vec<(i64, usize)> =
        said.iter().map(|hit| (stage.tick(hit.start), stage.patient(hit.patient.id))).collect();
    expected.sort_unstable();
    found.sort_unstable();
    let count = usize::try_from(count).unwrap();
    if found == expected && count == expected.len() {
        return Ok(());
    }
    Err(format!("{what} is said to hit {count}: {found:?}, not {expected:?}"))
}

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Moved { .. } => "moved",
        Fate::Replaced => "replaced",
        Fate::Offered => "offered",
        Fate::CalledOff => "cancelled",
    }
}
