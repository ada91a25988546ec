//! What became of calls of every kind.

use chrono::TimeDelta;

use super::*;

fn id(number: u128) -> ParticipantId {
    ParticipantId(uuid::Uuid::from_u128(number))
}

fn at(seconds: i64) -> Instant {
    let base: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
    base.plus(TimeDelta::seconds(seconds))
}

fn mark(kind: MarkKind, seconds: i64) -> Mark {
    let edge = Some("e1".to_owned());
    let (participant, peer) = (Some(id(1)), Some(id(2)));
    Mark { edge, participant, peer, ..Mark::new(kind, at(seconds)) }
}

fn rung(rung: Rung, why: MarkWhy, seconds: i64) -> Mark {
    Mark { rung: Some(rung), why: Some(why), ..mark(MarkKind::Rung, seconds) }
}

const BOTH: Presence = Presence { patient_came: true, practitioner_came: true, line_lost: false };

fn judged(marks: &[Mark], presence: Presence, end: Option<Outcome>) -> CallOutcome {
    outcome(&stretches(marks, Some(at(700))), presence, end, at(700))
}

#[test]
fn time_counts_only_while_sound_flows_and_on_the_rung_where_it_flowed() {
    let marks = [
        mark(MarkKind::Begun, 0),
        mark(MarkKind::Up, 10),
        rung(Rung::Audio, MarkWhy::Loss, 110),
        mark(MarkKind::Restart, 210),
        mark(MarkKind::Up, 310),
        Mark { why: Some(MarkWhy::Finished), ..mark(MarkKind::Ended, 610) },
    ];
    let judged = judged(&marks, BOTH, Some(Outcome::Completed));
    assert_eq!((judged.modality, judged.connected_secs), (Modality::Audio, 500));
    assert_eq!((judged.audio_only_share, judged.reconnects), (0.8, 1));
    assert_eq!((judged.technical_failure, judged.noshow_advice), (false, None));
}

#[test]
fn whoever_comes_back_goes_on_with_the_same_talk() {
    let with_third = |kind, seconds| Mark {
        edge: Some("e2".to_owned()),
        peer: Some(id(3)),
        ..mark(kind, seconds)
    };
    let marks = [
        mark(MarkKind::Begun, 0),
        mark(MarkKind::Up, 0),
        mark(MarkKind::Ended, 100),
        with_third(MarkKind::Begun, 100),
        with_third(MarkKind::Up, 100),
        with_third(MarkKind::Ended, 260),
        mark(MarkKind::Begun, 300),
        rung(Rung::Audio, MarkWhy::Loss, 300),
        mark(MarkKind::Up, 300),
        mark(MarkKind::Ended, 500),
    ];
    let judged = judged(&marks, BOTH, Some(Outcome::Completed));
    assert_eq!((judged.modality, judged.connected_secs), (Modality::Audio, 300));
    assert_eq!(judged.audio_only_share, 0.66);
}

#[test]
fn two_who_never_heard_each_other_speak_for_the_patient() {
    let marks = [mark(MarkKind::Begun, 0), mark(MarkKind::Rebuilt, 30)];
    let judged = judged(&marks, BOTH, None);
    assert_eq!(judged.modality, Modality::None);
    assert_eq!(judged.failures, [Failure::NeverConnected]);
    assert_eq!(judged.noshow_advice, Some(NoshowCause::Link));
}

#[test]
fn whoever_waited_alone_did_not_miss_the_visit_and_whoever_never_came_did() {
    let came = Presence { patient_came: true, ..Presence::default() };
    assert_eq!(judged(&[], came, None).noshow_advice, Some(NoshowCause::Practitioner));
    let nobody = judged(&[], Presence::default(), None);
    assert_eq!((nobody.technical_failure, nobody.noshow_advice), (false, None));
}

#[test]
fn a_line_that_carried_no_voice_at_the_end_is_a_failure_and_a_wish_is_not() {
    let ended = |why| {
        let marks = [mark(MarkKind::Begun, 0), mark(MarkKind::Up, 1), rung(Rung::Text, why, 60)];
        judged(&marks, BOTH, Some(Outcome::Completed)).failures
    };
    assert_eq!(ended(MarkWhy::Loss), [Failure::NoVoice]);
    assert_eq!(ended(MarkWhy::Asked), []);
}

#[test]
fn a_broken_line_counts_unless_the_visit_was_completed_all_the_same() {
    let lost = Presence { line_lost: true, ..BOTH };
    assert_eq!(judged(&[], lost, None).failures, [Failure::LineLost]);
    assert_eq!(judged(&[], lost, Some(Outcome::Completed)).failures, []);
    let said = judged(&[], BOTH, Some(Outcome::TechnicalFailure));
    assert_eq!(said.failures, [Failure::Said]);
}

#[test]
fn what_happened_at_one_instant_is_told_in_the_order_in_which_it_can_have_happened() {
    let marks = [
        Mark { rung: Some(Rung::Audio), ..mark(MarkKind::Up, 0) },
        rung(Rung::Audio, MarkWhy::Loss, 0),
        mark(MarkKind::Begun, 0),
    ];
    let stretches = stretches(&marks, Some(at(60)));
    assert_eq!((stretches.len(), stretches[0].ups.len()), (1, 1));
    let last = stretches[0].rungs.last().unwrap();
    assert_eq!((last.rung, last.why), (Rung::Audio, MarkWhy::Loss));
}

#[test]
fn a_server_that_died_leaves_a_stretch_without_a_reason() {
    let marks = [mark(MarkKind::Begun, 0), mark(MarkKind::Up, 5), mark(MarkKind::Begun, 60)];
    let stretches = stretches(&marks, None);
    assert_eq!(stretches.len(), 2);
    assert_eq!((stretches[0].ended_at, stretches[0].why), (Some(at(60)), None));
    assert_eq!(stretches[1].ended_at, None);
}
