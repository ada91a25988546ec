use std::collections::BTreeSet;
use std::slice::from_ref;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const MONDAY: i64 = 1_795_392_000_000_000;

fn at(minute: i64) -> Instant {
    Instant::from_micros(MONDAY + minute * 60_000_000).unwrap()
}

fn span(from: i64, to: i64) -> Span {
    Span { start: at(from), end: at(to) }
}

fn doctor(number: u128) -> PractitionerId {
    PractitionerId(Uuid::from_u128(number))
}

fn stand_in(number: u128) -> StandIn {
    let (practitioner, hours) = (doctor(number), Vec::new());
    StandIn { practitioner, same_language: true, same_zone: true, hours }
}

fn visit(number: u128, priority: Priority, start: i64) -> Visit {
    Visit {
        id: AppointmentId(Uuid::from_u128(number)),
        patient: PatientId(Uuid::from_u128(number)),
        priority,
        span: span(start, start + 20),
        before: TimeDelta::zero(),
        after: TimeDelta::zero(),
        day: span(0, 1440),
        patient_busy: Vec::new(),
        stand_ins: vec![stand_in(1), stand_in(2)],
    }
}

/// Who works at these times, and how much they have to do.
struct Free(u128, Vec<(i64, i64)>, i64);

fn free(number: u128, hours: &[(i64, i64)], load: i64) -> Free {
    Free(number, hours.to_vec(), load)
}

fn place(number: u128, start: i64) -> Option<Place> {
    Some(Place { practitioner: doctor(number), start: at(start) })
}

fn run(visits: &[Visit], people: &[Free]) -> Vec<Proposal> {
    let mut visits = visits.to_vec();
    for Free(number, hours, _) in people {
        let hours: Vec<Span> = hours.iter().map(|(from, to)| span(*from, *to)).collect();
        for one in visits.iter_mut().flat_map(|visit| &mut visit.stand_ins) {
            if one.practitioner == doctor(*number) {
                one.hours.clone_from(&hours);
            }
        }
    }
    let taken = people.iter().map(|Free(number, _, load)| Candidate {
        practitioner: doctor(*number),
        taken: Vec::new(),
        load: *load,
    });
    place_all(&visits, &taken.collect::<Vec<_>>())
}

fn place_all(visits: &[Visit], candidates: &[Candidate]) -> Vec<Proposal> {
    assign(visits, candidates, (at(480), at(510)))
}

#[test]
fn who_keeps_the_time_goes_before_who_has_less_to_do_and_load_decides_between_equals() {
    let both = [free(1, &[(540, 1020)], 5), free(2, &[(540, 1020)], 2)];
    let given = run(&[visit(10, Priority::Routine, 600)], &both);
    assert_eq!(given[0].place, place(2, 600));
    let why = [Why::SameTime, Why::SameLanguage, Why::SameZone, Why::LeastLoad];
    assert_eq!(given[0].why, why);
    let one_is_late = [free(1, &[(540, 1020)], 5), free(2, &[(605, 1020)], 2)];
    let given = run(&[visit(10, Priority::Routine, 600)], &one_is_late);
    assert_eq!(given[0].place, place(1, 600));
    assert_eq!(given[0].why, [Why::SameTime, Why::SameLanguage, Why::SameZone]);
}

#[test]
fn language_goes_before_zone_and_zone_before_load() {
    let all = [free(1, &[(540, 1020)], 0), free(2, &[(540, 1020)], 9)];
    let mut wanted = visit(10, Priority::Routine, 600);
    wanted.stand_ins[0].same_language = false;
    assert_eq!(run(&[wanted.clone()], &all)[0].place, place(2, 600));
    wanted.stand_ins[0].same_language = true;
    wanted.stand_ins[0].same_zone = false;
    assert_eq!(run(&[wanted.clone()], &all)[0].place, place(2, 600));
    wanted.stand_ins.truncate(1);
    let alone = run(&[wanted], &all);
    assert_eq!(alone[0].place, place(1, 600));
    assert_eq!(alone[0].why, [Why::SameTime, Why::SameLanguage, Why::OtherZone]);
}

#[test]
fn the_nearest_time_of_the_day_is_found_and_no_other_day() {
    let later = [free(1, &[(640, 1020)], 0)];
    let wanted = visit(10, Priority::Routine, 600);
    assert_eq!(run(from_ref(&wanted), &later)[0].place, place(1, 640));
    let earlier = [free(1, &[(540, 610), (700, 1020)], 0)];
    let given = run(from_ref(&wanted), &earlier);
    assert_eq!(given[0].place, place(1, 590));
    assert_eq!(given[0].why, [Why::SameDay, Why::SameLanguage, Why::SameZone]);
    let tomorrow = [free(1, &[(1441, 1800)], 0)];
    let given = run(from_ref(&wanted), &tomorrow);
    assert_eq!((given[0].place, &given[0].why[..]), (None, &[Why::NobodyFree][..]));
    let nobody = Visit { stand_ins: Vec::new(), ..wanted };
    assert_eq!(run(&[nobody], &tomorrow)[0].why, [Why::NobodyElse]);
}

#[test]
fn who_must_change_their_time_is_given_notice_and_who_keeps_it_needs_none() {
    let wanted = visit(10, Priority::Routine, 490);
    let all_day = [free(1, &[(0, 1020)], 0)];
    assert_eq!(run(from_ref(&wanted), &all_day)[0].place, place(1, 490));
    let busy_then = [free(1, &[(0, 480), (500, 1020)], 0)];
    assert_eq!(run(&[wanted], &busy_then)[0].place, place(1, 510));
}

#[test]
fn the_more_urgent_chooses_first_and_buffers_are_kept() {
    let one = [free(1, &[(600, 640)], 0)];
    let mut routine = visit(10, Priority::Routine, 600);
    let urgent = visit(11, Priority::Urgent, 620);
    let stat = visit(12, Priority::Stat, 600);
    let given = run(&[routine.clone(), urgent.clone(), stat.clone()], &one);
    assert_eq!(
        [given[0].place, given[1].place, given[2].place],
        [None, place(1, 620), place(1, 600)]
    );
    assert_eq!(given[2].why[0], Why::Triage);
    routine.before = TimeDelta::minutes(5);
    let given = run(&[routine, stat], &[free(1, &[(600, 660)], 0)]);
    assert_eq!(given[0].place, place(1, 625), "five minutes after the visit before");
}

#[test]
fn a_patient_is_not_in_two_places_even_where_buffers_are_longer_than_the_other_visit() {
    let mut wanted = visit(10, Priority::Routine, 600);
    wanted.before = TimeDelta::minutes(30);
    wanted.after = TimeDelta::minutes(30);
    wanted.patient_busy = vec![span(590, 610)];
    let given = run(&[wanted], &[free(1, &[(0, 1440)], 0)]);
    assert_eq!(given[0].place, place(1, 610));
}

#[derive(Debug, Clone)]
struct Scene {
    visits: Vec<Visit>,
    candidates: Vec<Candidate>,
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        5 => Just(Priority::Routine),
        1 => Just(Priority::Urgent),
        1 => Just(Priority::Asap),
        1 => Just(Priority::Stat)
    ]
}

prop_compose! {
    fn any_visit(number: u128)(
        patient in 1..6_u128, priority in priority(), start in 90..230_i64, len in 1..10_i64,
        buffers in (0..4_i64, 0..4_i64), busy in prop::collection::vec((80..240_i64, 1..12_i64), 0..3),
        who in prop::collection::vec(
            (any::<bool>(), any::<bool>(), any::<bool>(), prop::collection::btree_set(80..240_i64, 0..8)),
            4,
        ),
    ) -> Visit {
        let stand_ins = who.iter().zip(1..).filter(|((gives, ..), _)| *gives);
        Visit {
            id: AppointmentId(Uuid::from_u128(number)),
            patient: PatientId(Uuid::from_u128(patient)),
            priority,
            span: span(start * 5, (start + len) * 5),
            before: TimeDelta::minutes(buffers.0 * 5),
            after: TimeDelta::minutes(buffers.1 * 5),
            day: span(100 * 5, 230 * 5),
            patient_busy: busy.iter().map(|(from, len)| span(from * 5, (from + len) * 5)).collect(),
            stand_ins: stand_ins.map(|((_, same_language, same_zone, cuts), number)| StandIn {
                practitioner: doctor(number), same_language: *same_language, same_zone: *same_zone,
                hours: pairs(cuts),
            }).collect(),
        }
    }
}

fn pairs(cuts: &BTreeSet<i64>) -> Vec<Span> {
    let cuts: Vec<i64> = cuts.iter().copied().collect();
    cuts.chunks_exact(2).map(|pair| span(pair[0] * 5, pair[1] * 5)).collect()
}

prop_compose! {
    fn any_candidate(number: u128)(
        cuts in prop::collection::btree_set(80..240_i64, 0..6), load in 0..9_i64,
    ) -> Candidate {
        Candidate { practitioner: doctor(number), taken: pairs(&cuts), load }
    }
}

prop_compose! {
    fn scene()(
        visits in (0..12_u128).prop_flat_map(|many| {
            (0..many).map(|at| any_visit(100 + at)).collect::<Vec<_>>()
        }),
        candidates in (any_candidate(1), any_candidate(2), any_candidate(3), any_candidate(4)),
    ) -> Scene {
        let (one, two, three, four) = candidates;
        Scene { visits, candidates: vec![one, two, three, four] }
    }
}

fn placed(scene: &Scene, given: &[Proposal]) -> Vec<(Visit, Place)> {
    let both = scene.visits.iter().zip(given);
    both.filter_map(|(visit, given)| given.place.map(|place| (visit.clone(), place))).collect()
}

fn own(visit: &Visit, place: Place) -> Span {
    Span { start: place.start, end: place.start.plus(length(visit)) }
}

fn busy_at(visit: &Visit, start: Instant) -> Span {
    let end = start.plus(length(visit));
    Span { start: start.minus(visit.before), end: end.plus(visit.after) }
}

/// Whether somebody who gives the service works then and has nothing else.
fn could_work(scene: &Scene, visit: &Visit, place: Place) -> bool {
    let (own, busy) = (own(visit, place), busy_at(visit, place.start));
    let one = visit.stand_ins.iter().find(|one| one.practitioner == place.practitioner);
    let works = |hours: &Span| hours.start <= own.start && own.end <= hours.end;
    let candidate = scene.candidates.iter().find(|one| one.practitioner == place.practitioner);
    one.is_some_and(|one| one.hours.iter().any(works))
        && !candidate.is_some_and(|one| one.taken.iter().any(|taken| taken.overlaps(busy)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn nobody_is_in_two_places_and_nobody_works_outside_their_hours(scene in scene()) {
        let given = place_all(&scene.visits, &scene.candidates);
        prop_assert_eq!(given.len(), scene.visits.len());
        let placed = placed(&scene, &given);
        for (turn, (visit, place)) in placed.iter().enumerate() {
            let busy = busy_at(visit, place.start);
            prop_assert!(could_work(&scene, visit, *place), "{visit:?} {place:?}");
            prop_assert!(!visit.patient_busy.iter().any(|busy| busy.overlaps(own(visit, *place))));
            let kept = place.start == visit.span.start && place.start > at_now();
            let moved = place.start >= at(510) && own(visit, *place).end <= visit.day.end
                && place.start >= visit.day.start;
            prop_assert!(kept || moved);
            for (other, there) in &placed[..turn] {
                let apart = there.practitioner != place.practitioner
                    || !busy_at(other, there.start).overlaps(busy);
                prop_assert!(apart, "{visit:?} {other:?}");
                let two_people = other.patient != visit.patient
                    || !own(other, *there).overlaps(own(visit, *place));
                prop_assert!(two_people, "{visit:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_urgent_visit_fares_as_if_there_were_no_routine_ones(scene in scene()) {
        let all = place_all(&scene.visits, &scene.candidates);
        for least in [Priority::Urgent, Priority::Asap, Priority::Stat] {
            let alone: Vec<Visit> =
                scene.visits.iter().filter(|visit| visit.priority >= least).cloned().collect();
            let among: Vec<Proposal> = scene.visits.iter().zip(&all)
                .filter(|(visit, _)| visit.priority >= least)
                .map(|(_, given)| given.clone())
                .collect();
            prop_assert_eq!(place_all(&alone, &scene.candidates), among);
        }
    }

    #[test]
    fn the_order_in_which_visits_and_doctors_are_named_does_not_matter(
        scene in scene(), turn in 0..12_usize,
    ) {
        let given = place_all(&scene.visits, &scene.candidates);
        let mut turned = scene.clone();
        let many = turned.visits.len().max(1);
        turned.visits.rotate_left(turn % many);
        turned.candidates.rotate_left(turn % 4);
        for visit in &mut turned.visits {
            visit.stand_ins.reverse();
            visit.patient_busy.reverse();
        }
        for proposal in place_all(&turned.visits, &turned.candidates) {
            prop_assert!(given.contains(&proposal));
        }
    }

    #[test]
    fn who_is_placed_nowhere_has_no_place_that_is_left(scene in scene()) {
        let given = place_all(&scene.visits, &scene.candidates);
        let placed = placed(&scene, &given);
        let left = scene.visits.iter().zip(&given).filter(|(_, given)| given.place.is_none());
        for (visit, _) in left {
            for minute in (510..1200).step_by(5) {
                let start = at(minute);
                let here = Place { practitioner: doctor(1), start };
                let inside = start >= visit.day.start && own(visit, here).end <= visit.day.end;
                let patient = visit.patient_busy.iter().any(|busy| busy.overlaps(own(visit, here)))
                    || placed.iter().any(|(other, place)| other.patient == visit.patient
                        && own(other, *place).overlaps(own(visit, here)));
                if !inside || patient {
                    continue;
                }
                for one in &visit.stand_ins {
                    let there = Place { practitioner: one.practitioner, start };
                    let taken = placed.iter().any(|(other, place)| place.practitioner == one.practitioner
                        && busy_at(other, place.start).overlaps(busy_at(visit, start)));
                    prop_assert!(taken || !could_work(&scene, visit, there), "{visit:?} could be at {start}");
                }
            }
        }
    }
}

fn at_now() -> Instant {
    at(480)
}
