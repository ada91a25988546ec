//! Booking, confirming, moving, calling off and taking that back.

use feldsher::appointment::Appointment;
use feldsher::appointment::book::{self, BookAppointment};
use feldsher::appointment::change::{self, CancelAppointment};
use feldsher::appointment::reschedule::{self, RescheduleAppointment};
use feldsher::appointment::series::{self, BookSeries, Occurrence, OccurrenceResult};
use serde_json::json;

use super::intervals::{HOLD_MINUTES, NEXT_DAY, Place, REACH, Standing, Visit};
use super::{Game, Wrong, expect, nth};

/// So many visits are booked in a row: on both days, and on one on which nobody works.
const SERIES: usize = 3;
/// So many free times are said instead of one that is not.
const ALTERNATIVES: usize = 3;

impl Game<'_> {
    pub fn book(
        &mut self,
        (service, patient, tick): (usize, usize, i64),
        doctor: Option<usize>,
        hold: bool,
    ) -> Result<(), Wrong> {
        let stage = self.stage;
        let wanted: BookAppointment = serde_json::from_value(json!({
            "service": stage.services[service],
            "practitioner": doctor.map(|doctor| stage.workers[doctor]),
            "patient": stage.patients[patient], "start": stage.at(tick), "hold": hold,
        }))
        .unwrap();
        let expected = self.model.book((service, patient, tick), doctor, hold);
        let done = self.deed(|tx| book::book(tx, wanted))?;
        expect(expected.as_ref().map_err(|code| *code), &done)?;
        let (Ok((free, aids)), Ok(booked)) = (expected, done) else { return Ok(()) };
        let doctor = stage.worker(booked.practitioner.id);
        if !free.contains(&doctor) {
            return Err("booked with somebody who is not free".to_owned());
        }
        let standing = match hold {
            true => Standing::Held { until: self.model.now + HOLD_MINUTES },
            false => Standing::Booked,
        };
        let place = Place { service, doctor, patient, tick, aids };
        self.model.visits.insert(self.number, Visit { place, standing });
        self.made.visits.insert(self.number, booked.id);
        Ok(())
    }

    /// Several visits in a row, a day apart: what cannot be booked says why, and what is free instead.
    pub fn series(
        &mut self,
        (service, patient, tick): (usize, usize, i64),
        doctor: usize,
        dry: bool,
    ) -> Result<(), Wrong> {
        let stage = self.stage;
        let wanted: BookSeries = serde_json::from_value(json!({
            "service": stage.services[service], "practitioner": stage.workers[doctor],
            "patient": stage.patients[patient], "start": stage.at(tick), "every_days": 1,
            "count": SERIES, "dry_run": dry,
        }))
        .unwrap();
        let done = self.deed(|tx| series::book_series(tx, &wanted))?;
        let made = done.map_err(|code| format!("a series is refused with {code}"))?;
        if made.items.len() != SERIES {
            return Err(format!("a series has {} visits", made.items.len()));
        }
        let mut booked = 0;
        for (at, item) in made.items.iter().enumerate() {
            let tick = tick + i64::try_from(at).unwrap() * NEXT_DAY;
            if item.start != Some(stage.at(tick)) {
                return Err(format!("visit {at} of a series begins at {:?}", item.start));
            }
            match self.model.book((service, patient, tick), Some(doctor), false) {
                Err(code) => {
                    let said = (item.result, item.code, item.appointment.is_some());
                    let refused = |code| said == (OccurrenceResult::Conflict, Some(code), false);
                    // On the last day nobody works, and it is nearly too far away.
                    let is_too_far = tick > REACH.1 && refused("too_far");
                    if !refused(code) && !is_too_far {
                        return Err(format!("visit {at} of a series is {said:?}, and not {code}"));
                    }
                    self.instead_of(item, (service, patient, tick), doctor)?;
                    self.made.counts.conflicts += 1;
                }
                Ok(_) if dry => {
                    if (item.result, item.code) != (OccurrenceResult::Free, None) {
                        return Err(format!("visit {at} of a series could be, is {:?}", item.code));
                    }
                }
                Ok((_, aids)) => {
                    let visit = item.appointment.as_ref().ok_or_else(|| {
                        format!("visit {at} of a series is not booked: {:?}", item.code)
                    })?;
                    // Steps are far fewer than this.
                    let number = self.number + at * 10_000;
                    let place = Place { service, doctor, patient, tick, aids };
                    self.model.visits.insert(number, Visit { place, standing: Standing::Booked });
                    self.made.visits.insert(number, visit.id);
                    booked += 1;
                }
            }
        }
        self.made.counts.in_a_row += booked;
        if made.id.is_some() == (booked > 0) { Ok(()) } else { Err("a series of nothing".into()) }
    }

    /// Whether the next free times are said instead of one that cannot be had.
    fn instead_of(
        &self,
        item: &Occurrence,
        (service, patient, tick): (usize, usize, i64),
        doctor: usize,
    ) -> Result<(), Wrong> {
        let mut free = self.model.offered(doctor, service, Some(patient));
        free.retain(|other| *other >= tick);
        free.truncate(ALTERNATIVES);
        let said = item.alternatives.iter().map(|slot| self.stage.tick(slot.start));
        let said: Vec<i64> = said.collect();
        if said == free {
            Ok(())
        } else {
            Err(format!("instead of {tick} are said {said:?}, and free are {free:?}"))
        }
    }

    pub fn confirm(&mut self, visit: usize) -> Result<(), Wrong> {
        let likely = |visit: &Visit| matches!(visit.standing, Standing::Held { .. });
        let Some(at) = self.pick(visit, likely) else { return Ok(()) };
        let (id, expected) = (self.made.visits[&at], self.model.confirm(at));
        let done = self.deed(|tx| change::confirm(tx, id))?;
        expect(expected, &done)?;
        if done.is_ok() {
            self.visit(at).standing = Standing::Booked;
        }
        Ok(())
    }

    pub fn cancel(&mut self, visit: usize) -> Result<(), Wrong> {
        let now = self.model.now;
        let Some(at) = self.pick(visit, |visit| visit.is_live(now)) else { return Ok(()) };
        let id = self.made.visits[&at];
        let why = CancelAppointment::default();
        let done = self.deed(|tx| change::cancel(tx, id, &why))?;
        expect(Ok::<_, &str>(()), &done)?;
        let visit = self.visit(at);
        let was_called_off = matches!(visit.standing, Standing::Cancelled { .. });
        visit.standing = match visit.standing {
            Standing::Held { until } if until <= now => Standing::Lapsed,
            Standing::Held { .. } => Standing::Cancelled { can_return: false },
            Standing::Booked => Standing::Cancelled { can_return: true },
            over => over,
        };
        if !was_called_off {
            self.model.instead.remove(&at);
        }
        Ok(())
    }

    pub fn undo(&mut self, visit: usize) -> Result<(), Wrong> {
        let likely = |visit: &Visit| visit.standing == Standing::Cancelled { can_return: true };
        let Some(at) = self.pick(visit, likely) else { return Ok(()) };
        let (id, expected) = (self.made.visits[&at], self.model.undo(at));
        let done = self.deed(|tx| change::undo(tx, id))?;
        expect(expected, &done)?;
        if done.is_ok() {
            self.visit(at).standing = Standing::Booked;
        }
        Ok(())
    }

    pub fn put(&mut self, visit: usize, doctor: Option<usize>, tick: i64) -> Result<(), Wrong> {
        let now = self.model.now;
        let Some(at) = self.pick(visit, |visit| visit.is_live(now)) else { return Ok(()) };
        let wanted: RescheduleAppointment = serde_json::from_value(json!({
            "start": self.stage.at(tick),
            "practitioner": doctor.map(|doctor| self.stage.workers[doctor]),
        }))
        .unwrap();
        // Whoever moves it has chosen: what is held in its place is free.
        let mut free = self.model.clone();
        free.instead.remove(&at);
        let (id, expected) = (self.made.visits[&at], free.reschedule(at, doctor, tick));
        let done: Result<Appointment, String> =
            self.deed(|tx| reschedule::reschedule(tx, id, None, &wanted))?;
        expect(expected.as_ref().map_err(|code| *code), &done)?;
        if let (Ok(place), Ok(_)) = (expected, done) {
            self.model.instead.remove(&at);
            self.visit(at).place = place;
        }
        Ok(())
    }

    /// One of the visits: mostly of those with whom something can be done, and else of all.
    fn pick(&self, visit: usize, likely: impl Fn(&Visit) -> bool) -> Option<usize> {
        let visits = self.model.visits.iter().filter(|(_, visit)| likely(visit));
        let likely: Vec<usize> = visits.map(|(number, _)| *number).collect();
        match visit.checked_rem(likely.len()).filter(|_| !visit.is_multiple_of(4)) {
            Some(nth) => Some(likely[nth]),
            None => nth(&self.model.visits, visit),
        }
    }

    pub fn visit(&mut self, at: usize) -> &mut Visit {
        self.model.visits.get_mut(&at).expect("a visit of the model")
    }
}
