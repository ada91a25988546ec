//! Who comes first on the waiting list, and which times suit whom. Pure: the same people and times
//! always give the same order, and the order can be told.

use std::cmp::Reverse;

use chrono::{TimeDelta, Timelike};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::column::{Instant, text_enum};
use crate::base::language::Language;
use crate::base::zone::{self, Zone};
use crate::practitioner::PractitionerId;
use crate::schedule::slots::PartOfDay;
use crate::schedule::wall_clock::Span;
use crate::waitlist::EntryId;
use crate::waitlist::waking::Hours;

text_enum!(
    /// How soon somebody's wish must be met.
    Urgency {
        /// In its turn.
        Routine = "routine",
        /// Before all the others: triage said so.
        Urgent = "urgent",
    }
);

text_enum!(
    /// What decides who is asked first, in this order.
    Rule {
        /// Only those are asked whom the time suits.
        Suits = "first_whom_it_suits",
        /// Whoever triage called urgent goes before the others.
        Urgent = "urgent_first",
        /// Then whoever has waited longest.
        Longest = "longest_waiting",
    }
);

/// Somebody's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How soon it must be.
    pub urgency: Urgency,
    /// Since when they wait.
    pub since: Instant,
    /// Which wish.
    pub id: EntryId,
}

impl Turn {
    /// Smaller comes first. Ids grow with time and differ, so there is never a draw.
    pub fn key(&self) -> (Reverse<Urgency>, Instant, EntryId) {
        (Reverse(self.urgency), self.since, self.id)
    }
}

/// Where somebody stands on the waiting list of a service, and why. It names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// 1: the next free time that suits is offered here first.
    pub position: usize,
    /// How many are before.
    pub ahead: usize,
    /// How many of them are urgent.
    pub urgent_ahead: usize,
    /// What decides, the first rule first.
    pub order: Vec<Rule>,
    /// The same in words.
    pub explanation: String,
}

/// Who reads why a place is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever waits there.
    Patient,
    /// Somebody who looks after them.
    Staff,
}

/// Where a turn stands among all those of its service.
pub fn place(own: &Turn, all: &[Turn], (language, reader): (Language, Reader)) -> Place {
    let before = || all.iter().filter(|other| other.key() < own.key());
    let ahead = before().count();
    let urgent_ahead = before().filter(|other| other.urgency == Urgency::Urgent).count();
    let position = ahead.saturating_add(1);
    let here = match (language, reader, ahead) {
        (Language::English, Reader::Patient, 0) => "You are first.".to_owned(),
        (Language::English, Reader::Staff, 0) => "First in line.".to_owned(),
        (Language::English, Reader::Patient, _) => {
            format!("Your place is {position}; {ahead} before you, {urgent_ahead} of them urgent.")
        }
        (Language::English, Reader::Staff, _) => {
            format!("Place {position}; {ahead} before, {urgent_ahead} of them urgent.")
        }
        (Language::Russian, Reader::Patient, 0) => "Вы первые в очереди.".to_owned(),
        (Language::Russian, Reader::Staff, 0) => "Первое место в очереди.".to_owned(),
        (Language::Russian, Reader::Patient, _) => {
            format!("Ваше место — {position}. Перед вами: {ahead}, из них срочных: {urgent_ahead}.")
        }
        (Language::Russian, Reader::Staff, _) => {
            format!(
                "Место в очереди — {position}. Впереди: {ahead}, из них срочных: {urgent_ahead}."
            )
        }
    };
    let rule = match language {
        Language::English => {
            "A time that becomes free is offered to one person at a time: of those whom it suits, \
             urgent ones first, then whoever has waited longest."
        }
        Language::Russian => {
            "Освободившееся время предлагают по одному человеку: из тех, кому оно подходит, — \
             сначала срочным, потом тем, кто ждёт дольше."
        }
    };
    let explanation = format!("{here} {rule}");
    Place { position, ahead, urgent_ahead, order: Rule::ALL.to_vec(), explanation }
}

/// Which times suit somebody.
#[derive(Debug, Clone)]
pub struct Wish {
    /// With whom; `None`: with anybody.
    pub practitioner: Option<PractitionerId>,
    /// The visit begins at this instant or later.
    pub earliest: Instant,
    /// And at this one at the latest.
    pub latest: Instant,
    /// And before this one: the visit that is to be brought forward.
    pub before: Option<Instant>,
    /// In one of these parts of the day; empty: in any.
    pub parts: Vec<PartOfDay>,
    /// How long before the visit the answer must be there.
    pub notice: TimeDelta,
    /// Whose clock tells the part of the day.
    pub zone: Zone,
    /// What the clock says where they live.
    pub hours: Hours,
    /// Times that they were offered before.
    pub refused: Vec<(PractitionerId, Instant)>,
    /// When they have another visit.
    pub busy: Vec<Span>,
}

impl Wish {
    /// Until when a time can be held for them; `None` when it does not suit, or leaves too little
    /// time to answer. The deadline is never later than the notice before the visit.
    pub fn deadline(&self, practitioner: PractitionerId, visit: Span) -> Option<Instant> {
        let start = visit.start;
        let suits = self.practitioner.is_none_or(|wanted| wanted == practitioner)
            && (self.earliest..=self.latest).contains(&start)
            && self.before.is_none_or(|before| start < before)
            && (self.parts.is_empty() || self.parts.contains(&self.part(start)))
            && !self.refused.contains(&(practitioner, start))
            && !self.busy.iter().any(|busy| busy.overlaps(visit));
        if suits { self.hours.deadline(start.minus(self.notice)) } else { None }
    }

    fn part(&self, start: Instant) -> PartOfDay {
        PartOfDay::of_hour(zone::wall(start, self.zone).hour())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::waitlist::waking::Night;

    type Change = fn(&mut Wish);

    const NIGHT: Night = Night { from_hour: 22, to_hour: 8 };

    fn at(minute: i64) -> Instant {
        "2026-11-24T09:00:00+07:00".parse::<Instant>().unwrap().plus(TimeDelta::minutes(minute))
    }

    fn turn(number: u128, urgency: Urgency, since: i64) -> Turn {
        Turn { urgency, since: at(since), id: EntryId(Uuid::from_u128(number)) }
    }

    fn doctor(number: u128) -> PractitionerId {
        PractitionerId(Uuid::from_u128(number))
    }

    fn visit(start: i64) -> Span {
        Span { start: at(start), end: at(start + 20) }
    }

    fn wish() -> Wish {
        let zone: Zone = "Asia/Krasnoyarsk".parse().unwrap();
        let (least, full) = (TimeDelta::minutes(10), TimeDelta::minutes(30));
        Wish {
            practitioner: None,
            earliest: at(0),
            latest: at(600),
            before: None,
            parts: Vec::new(),
            notice: TimeDelta::minutes(60),
            zone,
            hours: Hours::of(at(0), zone, NIGHT, least, full),
            refused: Vec::new(),
            busy: Vec::new(),
        }
    }

    #[test]
    fn urgent_ones_go_first_and_then_whoever_has_waited_longest() {
        use Urgency::{Routine, Urgent};
        let mut all =
            [turn(1, Routine, 0), turn(2, Routine, 5), turn(3, Urgent, 9), turn(4, Urgent, 7)];
        all.sort_by_key(Turn::key);
        let ids: Vec<u128> = all.iter().map(|turn| turn.id.0.as_u128()).collect();
        assert_eq!(ids, [4, 3, 1, 2]);
        let last = place(&all[3], &all, (Language::English, Reader::Patient));
        assert_eq!((last.position, last.ahead, last.urgent_ahead), (4, 3, 2));
        assert!(last.explanation.contains("place is 4"), "{}", last.explanation);
        let first = place(&all[0], &all, (Language::Russian, Reader::Staff));
        assert_eq!((first.position, first.ahead, first.urgent_ahead), (1, 0, 0));
        assert!(!first.explanation.contains("Вы "), "{}", first.explanation);
    }

    #[test]
    fn a_time_suits_by_everything_that_was_wished_for() {
        assert_eq!(wish().deadline(doctor(1), visit(300)), Some(at(30)));
        let cases: [(&str, Change); 7] = [
            ("another doctor", |wish| wish.practitioner = Some(doctor(2))),
            ("too early", |wish| wish.earliest = at(301)),
            ("too late", |wish| wish.latest = at(299)),
            ("no earlier than the visit there is", |wish| wish.before = Some(at(300))),
            ("another part of the day", |wish| wish.parts = vec![PartOfDay::Morning]),
            ("offered before", |wish| wish.refused = vec![(doctor(1), at(300))]),
            ("another visit then", |wish| wish.busy = vec![visit(310)]),
        ];
        for (why, change) in cases {
            let mut wish = wish();
            change(&mut wish);
            assert_eq!(wish.deadline(doctor(1), visit(300)), None, "{why}");
        }
        // 14:00 is the afternoon, and what was refused with one doctor can be taken with another.
        let mut other = wish();
        other.parts = vec![PartOfDay::Afternoon];
        other.refused = vec![(doctor(2), at(300))];
        assert!(other.deadline(doctor(1), visit(300)).is_some());
        // Seventy minutes ahead leave ten before the notice begins; sixty-nine do not.
        assert_eq!(wish().deadline(doctor(1), visit(70)), Some(at(10)));
        assert_eq!(wish().deadline(doctor(1), visit(69)), None);
    }

    fn urgency() -> impl Strategy<Value = Urgency> {
        prop_oneof![Just(Urgency::Routine), Just(Urgency::Urgent)]
    }

    proptest! {
        #[test]
        fn everybody_has_a_place_of_their_own_and_waiting_never_costs_one(
            wishes in prop::collection::vec((urgency(), 0_i64..50), 1..30),
        ) {
            let all: Vec<Turn> = wishes.iter().zip(1_u128..)
                .map(|((urgency, since), number)| turn(number, *urgency, *since)).collect();
            let of = |turn: &Turn| place(turn, &all, (Language::English, Reader::Staff)).position;
            let mut places: Vec<usize> = all.iter().map(of).collect();
            places.sort_unstable();
            prop_assert_eq!(places, (1..=all.len()).collect::<Vec<_>>());
            for one in &all {
                for other in &all {
                    if one.urgency == other.urgency && one.since < other.since {
                        prop_assert!(of(one) < of(other));
                    }
                    if one.urgency > other.urgency {
                        prop_assert!(of(one) < of(other));
                    }
                }
            }
        }

        #[test]
        fn an_offer_ends_before_the_notice_and_leaves_ten_waking_minutes(
            start in 0_i64..3000, notice in 0_i64..600, now in 0_i64..1440,
        ) {
            let mut wish = wish();
            wish.latest = at(10_000);
            wish.notice = TimeDelta::minutes(notice);
            let (least, full) = (TimeDelta::minutes(10), TimeDelta::minutes(30));
            wish.hours = Hours::of(at(now), wish.zone, NIGHT, least, full);
            if let Some(until) = wish.deadline(doctor(1), visit(start)) {
                prop_assert!(until <= at(start - notice));
                prop_assert!(until >= at(now + 10));
                prop_assert!(until <= wish.hours.full);
            } else {
                prop_assert!(at(start - notice) < wish.hours.least);
            }
        }
    }
}
