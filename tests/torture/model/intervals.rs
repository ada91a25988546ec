//! The model: intervals in lists, and rules that a person can check by reading them.

use std::collections::BTreeMap;

/// Times are multiples of this, from the opening on.
pub const TICK_MINUTES: i64 = 10;
/// The weekly hours lie within so many.
pub const DAY_TICKS: i64 = 48;
/// The next day begins so much later, and has the same weekly hours; it is reached by series, and by what
/// is offered elsewhere.
pub const NEXT_DAY: i64 = 144;
/// Nobody works outside of this on the first day, whatever extra hours are said.
pub const FIRST_DAY: Range = (-12, 80);
/// Nor outside of this on both.
pub const REACH: Range = (-12, 80 + NEXT_DAY);
pub const HOLD_MINUTES: i64 = 10;
pub const HOLDS_MAX: usize = 3;
/// How long a patient may choose among the times that are held in place of a visit.
pub const OFFER_MINUTES: i64 = 60;
/// How long a plan can be taken back.
pub const UNDO_MINUTES: i64 = 10;
/// So many times at most are held in place of a visit.
pub const TIMES_MAX: usize = 3;
/// Doctors are the first of those who work, then interpreters, then feldshers.
pub const DOCTORS: usize = 2;
pub const INTERPRETERS_END: usize = 4;
pub const WORKERS: usize = 6;
pub const ROOMS: usize = 2;
pub const DEVICES: usize = 1;
pub const PATIENTS: usize = 3;
/// So many others only wait.
pub const WAITERS: usize = 3;

/// What can be booked.
#[derive(Clone, Copy)]
pub struct Service {
    pub visit: i64,
    /// Kept free of the doctor's time before and after.
    pub before: i64,
    pub after: i64,
    /// What it needs besides the doctor, one of each kind.
    pub needs: &'static [Kind],
}

pub const SERVICES: [Service; 3] = [
    Service { visit: 2, before: 0, after: 1, needs: &[] },
    Service {
        visit: 3,
        before: 1,
        after: 0,
        needs: &[Kind::Room, Kind::Interpreter, Kind::Feldsher],
    },
    // At the station, where there is one device.
    Service { visit: 2, before: 0, after: 0, needs: &[Kind::Device, Kind::Feldsher] },
];

/// A kind of what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Room,
    Device,
    Interpreter,
    Feldsher,
}

impl Kind {
    /// Who and what there is of it.
    fn all(self) -> Vec<Who> {
        match self {
            Self::Room => (0..ROOMS).map(Who::Room).collect(),
            Self::Device => (0..DEVICES).map(Who::Device).collect(),
            Self::Interpreter => (DOCTORS..INTERPRETERS_END).map(Who::Worker).collect(),
            Self::Feldsher => (INTERPRETERS_END..WORKERS).map(Who::Worker).collect(),
        }
    }
}

pub type Range = (i64, i64);

pub fn overlap(a: Range, b: Range) -> bool {
    a.0 < b.1 && b.0 < a.1
}

/// Whose time it is, or of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Worker(usize),
    Patient(usize),
    Room(usize),
    Device(usize),
}

/// Who and what helps, one of each kind: see [`kinds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aids {
    Nobody,
    These(Vec<Who>),
    /// One of each, as will be seen.
    OneOf(Vec<Vec<Who>>),
}

/// Who and what there is of each kind that a service needs.
pub fn kinds(service: usize) -> Vec<Vec<Who>> {
    SERVICES[service].needs.iter().map(|kind| kind.all()).collect()
}

/// Whoever helps in a visit that is put somewhere by others.
pub fn any_aids(service: usize) -> Aids {
    match SERVICES[service].needs {
        [] => Aids::Nobody,
        _ => Aids::OneOf(kinds(service)),
    }
}

impl Aids {
    /// Whether these are among those.
    pub fn are_among(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::Nobody, Self::Nobody) => true,
            (Self::These(these), Self::OneOf(kinds)) => {
                these.len() == kinds.len()
                    && these.iter().zip(kinds).all(|(one, kind)| kind.contains(one))
            }
            _ => false,
        }
    }
}

/// Where something lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub service: usize,
    pub doctor: usize,
    pub patient: usize,
    pub tick: i64,
    pub aids: Aids,
}

impl Place {
    pub fn span(&self) -> Range {
        (self.tick, self.tick + SERVICES[self.service].visit)
    }

    /// What it takes of the doctor's time.
    pub fn busy(&self) -> Range {
        let Service { before, after, .. } = SERVICES[self.service];
        (self.tick - before, self.span().1 + after)
    }

    /// Whose time it takes, and when.
    pub fn takes(&self) -> Vec<(Who, Range)> {
        let mut takes = vec![
            (Who::Worker(self.doctor), self.busy()),
            (Who::Patient(self.patient), self.span()),
        ];
        if let Aids::These(these) = &self.aids {
            takes.extend(these.iter().map(|who| (*who, self.span())));
        }
        takes
    }

    /// Whether somebody takes part.
    pub fn needs(&self, worker: usize) -> bool {
        let helps = |these: &[Who]| these.contains(&Who::Worker(worker));
        self.doctor == worker || matches!(&self.aids, Aids::These(these) if helps(these))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Held {
        until: i64,
    },
    Booked,
    /// Called off: with a way back, or because of a leave or before it was booked.
    Cancelled {
        can_return: bool,
    },
    /// Called off after the hold had run out: whether it counts as the one or the other depends
    /// on whether somebody needed the time in between.
    Lapsed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    pub place: Place,
    pub standing: Standing,
}

impl Visit {
    pub fn is_live(&self, now: i64) -> bool {
        match self.standing {
            Standing::Held { until } => until > now,
            Standing::Booked => true,
            Standing::Cancelled { .. } | Standing::Lapsed => false,
        }
    }
}

/// A time that is held for somebody who waits; `until` in minutes since the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub place: Place,
    pub until: i64,
}

/// Somebody who waits: with whom, which times they have been asked about, what is held for them.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// When they came, in minutes.
    pub since: i64,
    pub service: usize,
    pub patient: usize,
    pub doctor: Option<usize>,
    pub asked: Vec<(usize, i64)>,
    /// What is held, also when nobody answered in time and nothing has ended it yet.
    pub offer: Option<Held>,
    /// The last that was held for them, they left.
    pub has_declined: bool,
}

/// What became of a visit that a leave hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Moved,
    Replaced,
    Cancelled,
    Offered { until: i64 },
}

/// The same, and where the visit was and how it stood.
#[derive(Debug, Clone)]
pub struct Decided {
    pub outcome: Outcome,
    pub from: Place,
    pub was: Standing,
}

impl Decided {
    /// How a visit stands that was called off, when that is taken back: what was held is no longer held
    /// than it was.
    pub fn back(&self, now: i64) -> Standing {
        match self.was {
            Standing::Held { until } if until <= now => Standing::Lapsed,
            was => was,
        }
    }
}

/// A leave, with what was decided by visit.
#[derive(Debug, Clone)]
pub struct Absence {
    pub worker: usize,
    pub range: Range,
    pub decided: BTreeMap<usize, Decided>,
}

/// Times that are held in place of a visit, as they are numbered; none, when they are yet to be
/// seen.
#[derive(Debug, Clone)]
pub struct Instead {
    pub until: i64,
    /// By number.
    pub times: BTreeMap<i32, Place>,
    /// Nothing else was put anywhere at that moment: what is not held was not free.
    pub is_alone: bool,
}

/// What should be; times in ticks, `now` in minutes since the beginning.
#[derive(Debug, Default, Clone)]
pub struct Model {
    pub now: i64,
    /// The weekly hours of this day, by worker.
    pub hours: Vec<Vec<Range>>,
    pub extra: BTreeMap<usize, (usize, Range)>,
    /// When the clinic is closed; extra hours are worked all the same.
    pub closures: BTreeMap<usize, Range>,
    pub absences: BTreeMap<usize, Absence>,
    pub visits: BTreeMap<usize, Visit>,
    /// By visit.
    pub instead: BTreeMap<usize, Instead>,
    pub waiting: BTreeMap<usize, Waiting>,
}

impl Model {
    /// All that takes time, but for one visit.
    pub fn taken(&self, but: Option<usize>) -> Vec<&Place> {
        let visits = self
            .visits
            .iter()
            .filter(|(id, visit)| Some(**id) != but && visit.is_live(self.now))
            .map(|(_, visit)| &visit.place);
        let instead = self.instead.values().filter(|held| held.until > self.now);
        let instead = instead.flat_map(|held| held.times.values());
        let waiting = self.waiting.values().filter_map(|waiting| waiting.offer.as_ref());
        let waiting = waiting.filter(|held| held.until > self.now).map(|held| &held.place);
        visits.chain(instead).chain(waiting).collect()
    }

    pub fn is_free(&self, who: Who, range: Range, but: Option<usize>) -> bool {
        let takes = |place: &&Place| {
            place.takes().into_iter().any(|(other, taken)| other == who && overlap(taken, range))
        };
        !self.taken(but).iter().any(takes)
    }

    fn extra(&self, worker: usize) -> impl Iterator<Item = Range> + '_ {
        let own = self.extra.values().filter(move |(who, _)| *who == worker);
        own.map(|(_, range)| *range)
    }

    fn is_closed(&self, range: Range) -> bool {
        self.closures.values().any(|closed| overlap(*closed, range))
    }

    /// Whether a visit is hit by what is closed then.
    pub fn is_shut_out(&self, doctor: usize, span: Range, closed: Range) -> bool {
        let is_worked = |(from, to): Range| from <= span.0 && span.1 <= to;
        overlap(closed, span) && !self.extra(doctor).any(is_worked)
    }

    fn is_away(&self, worker: usize, range: Range) -> bool {
        let mut own = self.absences.values().filter(|absence| absence.worker == worker);
        own.any(|absence| overlap(absence.range, range))
    }

    /// Whether somebody works through all of a range.
    pub fn works(&self, worker: usize, range: Range) -> bool {
        let holds = |(from, to): Range, tick| from <= tick && tick < to;
        let weekly = |tick| self.hours[worker].iter().any(|window| holds(*window, tick));
        let works = |tick| {
            (weekly(tick) && !self.is_closed((tick, tick + 1)))
                || self.extra(worker).any(|window| holds(window, tick))
        };
        (range.0..range.1).all(works) && !self.is_away(worker, range)
    }

    /// Whether a visit could be offered there, were nothing else in the way.
    pub fn could_begin(&self, doctor: usize, service: usize, tick: i64) -> bool {
        let span = (tick, tick + SERVICES[service].visit);
        self.is_on_grid(doctor, service, tick) && !self.is_away(doctor, span)
    }

    fn is_on_grid(&self, doctor: usize, service: usize, tick: i64) -> bool {
        let long = SERVICES[service].visit;
        let fits = |(from, to): Range| {
            from <= tick && tick + long <= to && (tick - from).rem_euclid(long) == 0
        };
        let is_open = !self.is_closed((tick, tick + long));
        (is_open && self.hours[doctor].iter().any(|window| fits(*window)))
            || self.extra(doctor).any(fits)
    }

    /// Who and what could help then; nothing, when somebody or something is missing.
    pub fn aids(&self, service: usize, tick: i64, but: Option<usize>) -> Option<Aids> {
        let Service { visit, needs, .. } = SERVICES[service];
        if needs.is_empty() {
            return Some(Aids::Nobody);
        }
        let span = (tick, tick + visit);
        let free: Vec<Vec<Who>> =
            kinds(service).into_iter().map(|kind| self.who_can_help(kind, span, but)).collect();
        free.iter().all(|kind| !kind.is_empty()).then_some(Aids::OneOf(free))
    }

    fn who_can_help(&self, mut kind: Vec<Who>, span: Range, but: Option<usize>) -> Vec<Who> {
        kind.retain(|who| {
            let is_there = match who {
                Who::Worker(worker) => self.works(*worker, span),
                Who::Patient(_) | Who::Room(_) | Who::Device(_) => true,
            };
            is_there && self.is_free(*who, span, but)
        });
        kind
    }

    /// With whom a visit could be booked, and with what, or why not.
    pub fn book(
        &self,
        (service, patient, tick): (usize, usize, i64),
        doctor: Option<usize>,
        hold: bool,
    ) -> Result<(Vec<usize>, Aids), &'static str> {
        let held = |visit: &&Visit| {
            visit.place.patient == patient
                && matches!(visit.standing, Standing::Held { until } if until > self.now)
        };
        if hold && self.visits.values().filter(held).count() >= HOLDS_MAX {
            return Err("too_many_holds");
        }
        let wanted = Place { service, doctor: 0, patient, tick, aids: Aids::Nobody };
        let mut doctors = doctor.map_or((0..DOCTORS).collect(), |doctor| vec![doctor]);
        doctors.retain(|doctor| self.works(*doctor, wanted.span()));
        if doctors.is_empty() {
            return Err("outside_hours");
        }
        let aids = self.aids(service, tick, None).ok_or("resource_busy")?;
        doctors.retain(|doctor| self.is_free(Who::Worker(*doctor), wanted.busy(), None));
        if doctors.is_empty() {
            return Err("slot_taken");
        }
        if !self.is_free(Who::Patient(patient), wanted.span(), None) {
            return Err("patient_busy");
        }
        Ok((doctors, aids))
    }

    /// Where a visit would lie after a move, or why it cannot be moved.
    pub fn reschedule(
        &self,
        id: usize,
        doctor: Option<usize>,
        tick: i64,
    ) -> Result<Place, &'static str> {
        let Visit { place, standing } = &self.visits[&id];
        match standing {
            Standing::Cancelled { .. } => return Err("bad_state"),
            Standing::Lapsed => return Err("bad_state or hold_over"),
            Standing::Held { until } if *until <= self.now => return Err("hold_over"),
            Standing::Held { .. } | Standing::Booked => {}
        }
        let doctor = doctor.unwrap_or(place.doctor);
        let there = Place { doctor, tick, ..place.clone() };
        if !self.works(doctor, there.span()) {
            return Err("outside_hours");
        }
        let aids = self.exchanged(id, tick).ok_or("resource_busy")?;
        if !self.is_free(Who::Patient(place.patient), there.span(), Some(id)) {
            return Err("patient_busy");
        }
        if !self.is_free(Who::Worker(doctor), there.busy(), Some(id)) {
            return Err("slot_taken");
        }
        Ok(Place { aids, ..there })
    }

    /// Who and what helps in a visit after a move: whoever does now, if they can, otherwise one who
    /// is free both then and now.
    fn exchanged(&self, id: usize, tick: i64) -> Option<Aids> {
        let place = &self.visits[&id].place;
        let Aids::These(these) = &place.aids else { return Some(Aids::Nobody) };
        let Some(Aids::OneOf(kinds)) = self.aids(place.service, tick, Some(id)) else {
            return None;
        };
        let mut chosen = Vec::new();
        for (one, mut kind) in these.iter().zip(kinds) {
            match kind.contains(one) {
                true => kind = vec![*one],
                false => kind.retain(|other| self.is_free(*other, place.span(), Some(id))),
            }
            chosen.push(kind);
        }
        chosen.iter().all(|kind| !kind.is_empty()).then_some(Aids::OneOf(chosen))
    }

    /// Who and what helps when somebody else takes the part of a helper, if anybody can.
    pub fn replaced(&self, id: usize, worker: usize) -> Option<Aids> {
        let Visit { place, .. } = &self.visits[&id];
        let Aids::These(these) = &place.aids else { return None };
        let away = Who::Worker(worker);
        let mut chosen = Vec::new();
        for (one, kind) in these.iter().zip(kinds(place.service)) {
            let mut kind = if *one == away {
                self.who_can_help(kind, place.span(), Some(id))
            } else {
                vec![*one]
            };
            kind.retain(|other| *other != away);
            chosen.push(kind);
        }
        chosen.iter().all(|kind| !kind.is_empty()).then_some(Aids::OneOf(chosen))
    }

    pub fn confirm(&self, id: usize) -> Result<(), &'static str> {
        match self.visits[&id].standing {
            Standing::Booked => Ok(()),
            Standing::Held { until } if until > self.now => self.is_attended(id),
            Standing::Held { .. } | Standing::Cancelled { .. } | Standing::Lapsed => {
                Err("hold_over")
            }
        }
    }

    /// Nobody asks for the hours of the week once a time was given, but nobody is promised whoever is away,
    /// nor a clinic that is closed.
    fn is_attended(&self, id: usize) -> Result<(), &'static str> {
        let Visit { place, .. } = &self.visits[&id];
        let away = |worker: usize| place.needs(worker) && self.is_away(worker, place.span());
        let shut = |closed: &Range| self.is_shut_out(place.doctor, place.span(), *closed);
        let is_lost = (0..WORKERS).any(away) || self.closures.values().any(shut);
        if is_lost { Err("outside_hours") } else { Ok(()) }
    }

    /// Whether what was called off can stand again.
    pub fn undo(&self, id: usize) -> Result<(), &'static str> {
        let Visit { place, standing } = &self.visits[&id];
        if *standing != (Standing::Cancelled { can_return: true }) {
            return Err("bad_state");
        }
        self.is_attended(id)?;
        if self.fits(place, Some(id)) { Ok(()) } else { Err("slot_taken") }
    }

    /// Whether nothing else takes any of the time.
    pub fn fits(&self, place: &Place, but: Option<usize>) -> bool {
        place.takes().into_iter().all(|(who, range)| self.is_free(who, range, but))
    }

    /// The starts that are offered for a doctor and a service, by trying every one.
    pub fn offered(&self, doctor: usize, service: usize, patient: Option<usize>) -> Vec<i64> {
        let place = |tick| Place { service, doctor, patient: 0, tick, aids: Aids::Nobody };
        (REACH.0..REACH.1)
            .filter(|tick| self.could_begin(doctor, service, *tick))
            .filter(|tick| self.is_free(Who::Worker(doctor), place(*tick).busy(), None))
            .filter(|tick| {
                let span = place(*tick).span();
                patient.is_none_or(|patient| self.is_free(Who::Patient(patient), span, None))
            })
            .filter(|tick| self.aids(service, *tick, None).is_some())
            .collect()
    }

    /// The visits that a leave hits: of whoever conducts or helps, booked or held.
    pub fn hit(&self, worker: usize, range: Range) -> Vec<usize> {
        let is_hit = |visit: &Visit| {
            visit.is_live(self.now)
                && visit.place.needs(worker)
                && overlap(visit.place.span(), range)
        };
        self.visits.iter().filter(|(_, visit)| is_hit(visit)).map(|(id, _)| *id).collect()
    }

    /// All that lies in a leave: those visits, and times that are held for others.
    pub fn inside(&self, worker: usize, range: Range) -> Vec<&Place> {
        let is_inside = |place: &&Place| place.needs(worker) && overlap(place.span(), range);
        self.taken(None).into_iter().filter(is_inside).collect()
    }

    /// Whether each visit in a leave has an outcome.
    pub fn complete(&self, absence: usize) -> Result<(), &'static str> {
        let Absence { worker, range, decided } = &self.absences[&absence];
        let is_offered = |id: &usize| {
            decided.get(id).is_some_and(|one| match one.outcome {
                Outcome::Offered { until } => until > self.now,
                _ => false,
            })
        };
        let hit = self.hit(*worker, *range);
        let all_decided = hit.iter().all(is_offered);
        // Times that are held for others have no outcome here.
        let nothing_else = self.inside(*worker, *range).len() == hit.len();
        if all_decided && nothing_else { Ok(()) } else { Err("visits_open") }
    }

    /// Two that take the same time, which nobody may.
    pub fn clash(&self) -> Option<(Place, Place)> {
        let taken = self.taken(None);
        for (at, one) in taken.iter().enumerate() {
            let in_the_way = |other: &&&Place| {
                one.takes().into_iter().any(|(who, range)| {
                    other
                        .takes()
                        .into_iter()
                        .any(|(whom, taken)| who == whom && overlap(range, taken))
                })
            };
            if let Some(other) = taken.iter().skip(at + 1).find(in_the_way) {
                return Some(((*one).clone(), (*other).clone()));
            }
        }
        None
    }
}
