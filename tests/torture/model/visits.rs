//! Booking, confirming, moving, calling off and taking that back.

use feldsher::appointment::Appointment;
use feldsher::appointment::book::{self, BookAppointment};
use feldsher::appointment::change::{self, CancelAppointment};
use feldsher::appointment::reschedule::{self, RescheduleAppointment};
use serde_json::json;

use super::intervals::{HOLD_MINUTES, Place, Standing, Visit};
use super::{Game, Wrong, expect, nth};

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
