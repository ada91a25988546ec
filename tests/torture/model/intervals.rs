//! The model: intervals in lists, and rules that a person can check by reading them.

use std::collections::BTreeMap;

use proptest::prelude::*;

/// Times are multiples of this, from the opening on.
pub const TICK_MINUTES: i64 = 10;
pub const DAY_TICKS: i64 = 48;
pub const VISIT_TICKS: i64 = 2;
/// Kept free after each visit.
pub const BUFFER_TICKS: i64 = 1;
pub const HOLD_MINUTES: i64 = 10;
pub const HOLDS_MAX: usize = 3;
pub const DOCTORS: usize = 2;
pub const PATIENTS: usize = 3;
/// So many others only wait.
pub const WAITERS: usize = 3;

#[derive(Debug, Clone)]
pub enum Step {
    Book {
        doctor: Option<usize>,
        patient: usize,
        tick: i64,
        hold: bool,
    },
    Confirm {
        visit: usize,
    },
    Cancel {
        visit: usize,
    },
    Move {
        visit: usize,
        doctor: Option<usize>,
        tick: i64,
    },
    Leave {
        doctor: usize,
        tick: i64,
        ticks: i64,
    },
    Return {
        absence: usize,
    },
    Wait {
        minutes: i64,
    },
    /// A patient who does not book comes onto the waiting list.
    Wish {
        doctor: Option<usize>,
        who: usize,
    },
    /// Somebody on the list takes what is held for them, or leaves it.
    Answer {
        wish: usize,
        accept: bool,
    },
    /// The process ends and another one opens the same database.
    Restart,
}

pub fn step() -> impl Strategy<Value = Step> {
    let tick = -2..DAY_TICKS + 2;
    let doctor = || prop::option::of(0..DOCTORS);
    prop_oneof![
        8 => (doctor(), 0..PATIENTS, tick.clone(), any::<bool>())
            .prop_map(|(doctor, patient, tick, hold)| Step::Book { doctor, patient, tick, hold }),
        3 => (0..30_usize).prop_map(|visit| Step::Confirm { visit }),
        2 => (0..30_usize).prop_map(|visit| Step::Cancel { visit }),
        4 => (0..30_usize, doctor(), tick.clone())
            .prop_map(|(visit, doctor, tick)| Step::Move { visit, doctor, tick }),
        1 => (0..DOCTORS, tick, 1..8_i64)
            .prop_map(|(doctor, tick, ticks)| Step::Leave { doctor, tick, ticks }),
        1 => (0..4_usize).prop_map(|absence| Step::Return { absence }),
        3 => (1..8_i64).prop_map(|minutes| Step::Wait { minutes }),
        3 => (doctor(), 0..WAITERS).prop_map(|(doctor, who)| Step::Wish { doctor, who }),
        2 => (0..WAITERS, any::<bool>())
            .prop_map(|(wish, accept)| Step::Answer { wish, accept }),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Held {
        until: i64,
    },
    Booked,
    Cancelled,
    /// Called off after the hold had run out: whether it counts as the one or the other depends
    /// on whether somebody needed the time in between.
    Lapsed,
}

#[derive(Debug, Clone)]
pub struct Visit {
    pub doctor: usize,
    pub patient: usize,
    pub tick: i64,
    pub standing: Standing,
}

impl Visit {
    pub fn is_live(&self, now: i64) -> bool {
        match self.standing {
            Standing::Held { until } => until > now,
            Standing::Booked => true,
            Standing::Cancelled | Standing::Lapsed => false,
        }
    }
}

/// A time that is held for somebody who waits; `until` in minutes since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub doctor: usize,
    pub tick: i64,
    pub until: i64,
}

/// Somebody who waits: with whom, which times they have been asked about, what is held for them.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub patient: usize,
    pub doctor: Option<usize>,
    pub asked: Vec<(usize, i64)>,
    pub offer: Option<Held>,
}

/// What should be; times in ticks, `now` in minutes since the beginning.
#[derive(Debug, Default, Clone)]
pub struct Model {
    pub now: i64,
    pub visits: BTreeMap<usize, Visit>,
    pub waiting: BTreeMap<usize, Waiting>,
    /// How many times were held for those who wait, and how many of them were taken.
    pub held_and_taken: (usize, usize),
    pub absences: BTreeMap<usize, (usize, i64, i64)>,
}

pub fn overlap(a: (i64, i64), b: (i64, i64)) -> bool {
    a.0 < b.1 && b.0 < a.1
}

impl Model {
    pub fn works(&self, doctor: usize, tick: i64) -> bool {
        let visit = (tick, tick + VISIT_TICKS);
        visit.0 >= 0
            && visit.1 <= DAY_TICKS
            && !self
                .absences
                .values()
                .any(|(who, from, to)| *who == doctor && overlap(visit, (*from, *to)))
    }

    pub fn doctor_is_free(&self, doctor: usize, tick: i64, but: Option<usize>) -> bool {
        let wanted = (tick, tick + VISIT_TICKS + BUFFER_TICKS);
        let mut held = self.waiting.values().filter_map(|waiting| waiting.offer);
        let is_held = held.any(|held| {
            held.until > self.now
                && held.doctor == doctor
                && overlap(wanted, (held.tick, held.tick + VISIT_TICKS + BUFFER_TICKS))
        });
        !is_held
            && !self.visits.iter().any(|(id, visit)| {
                Some(*id) != but
                    && visit.doctor == doctor
                    && visit.is_live(self.now)
                    && overlap(wanted, (visit.tick, visit.tick + VISIT_TICKS + BUFFER_TICKS))
            })
    }

    pub fn patient_is_free(&self, patient: usize, tick: i64, but: Option<usize>) -> bool {
        let wanted = (tick, tick + VISIT_TICKS);
        !self.visits.iter().any(|(id, visit)| {
            Some(*id) != but
                && visit.patient == patient
                && visit.is_live(self.now)
                && overlap(wanted, (visit.tick, visit.tick + VISIT_TICKS))
        })
    }

    /// With whom a visit could be booked, or why not.
    pub fn book(
        &self,
        doctor: Option<usize>,
        patient: usize,
        tick: i64,
        hold: bool,
    ) -> Result<Vec<usize>, &'static str> {
        let held = |visit: &&Visit| {
            visit.patient == patient
                && matches!(visit.standing, Standing::Held { until } if until > self.now)
        };
        if hold && self.visits.values().filter(held).count() >= HOLDS_MAX {
            return Err("too_many_holds");
        }
        let asked = doctor.map_or((0..DOCTORS).collect(), |doctor| vec![doctor]);
        let working: Vec<usize> =
            asked.into_iter().filter(|doctor| self.works(*doctor, tick)).collect();
        if working.is_empty() {
            return Err("outside_hours");
        }
        let free: Vec<usize> =
            working.into_iter().filter(|doctor| self.doctor_is_free(*doctor, tick, None)).collect();
        if free.is_empty() {
            return Err("slot_taken");
        }
        if self.patient_is_free(patient, tick, None) { Ok(free) } else { Err("patient_busy") }
    }

    pub fn reschedule(
        &self,
        id: usize,
        doctor: Option<usize>,
        tick: i64,
    ) -> Result<usize, &'static str> {
        let visit = &self.visits[&id];
        match visit.standing {
            Standing::Cancelled => return Err("bad_state"),
            Standing::Lapsed => return Err("bad_state or hold_over"),
            Standing::Held { until } if until <= self.now => return Err("hold_over"),
            Standing::Held { .. } | Standing::Booked => {}
        }
        let doctor = doctor.unwrap_or(visit.doctor);
        if !self.works(doctor, tick) {
            return Err("outside_hours");
        }
        if !self.patient_is_free(visit.patient, tick, Some(id)) {
            return Err("patient_busy");
        }
        if self.doctor_is_free(doctor, tick, Some(id)) { Ok(doctor) } else { Err("slot_taken") }
    }

    pub fn confirm(&self, id: usize) -> Result<(), &'static str> {
        match self.visits[&id].standing {
            Standing::Booked => Ok(()),
            Standing::Held { until } if until > self.now => Ok(()),
            Standing::Held { .. } | Standing::Cancelled | Standing::Lapsed => Err("hold_over"),
        }
    }

    /// The starts that are offered for a doctor: every twenty minutes of the working day.
    pub fn offered(&self, doctor: usize) -> Vec<i64> {
        (0..DAY_TICKS)
            .step_by(usize::try_from(VISIT_TICKS).unwrap())
            .filter(|tick| self.works(doctor, *tick) && self.doctor_is_free(doctor, *tick, None))
            .collect()
    }
}
