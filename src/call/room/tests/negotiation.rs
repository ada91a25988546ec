//! Sections 6 and 7: offers, answers and candidates.

use super::*;

#[test]
fn an_offer_an_answer_and_candidates_are_relayed_with_their_sender() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    let (edge, generation) = story.last_negotiation(doctor);
    story.hear(asha);
    story.say(doctor, "candidate", &edge, 1, generation, r#"{"candidate":"early"}"#);
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"o"}"#);
    story.say(doctor, "end_of_candidates", &edge, 1, generation, "{}");
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["candidate", "offer", "end_of_candidates"], "at once and in order");
    for one in heard {
        assert_eq!(one["from"], id(DOCTOR).0.to_string());
        assert_eq!((&one["edge"], &one["neg"]), (&edge.clone().into(), &1.into()));
    }
}

#[test]
fn there_is_no_glare() {
    let (mut story, doctor, asha) = Story::in_call();
    let (edge, generation) =
        (story.room.edges[0].id.clone(), story.room.edges[0].seen_by(id(ASHA)).unwrap().generation);
    story.say(asha, "offer", &edge, 9, generation, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(asha), "bad_state");
    story.say(doctor, "answer", &edge, 1, generation, r#"{"sdp":"a"}"#);
    assert_eq!(story.refused(doctor), "bad_state");
    story.say(doctor, "offer", &edge, 2, generation - 1, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(doctor), "stale_negotiation");
    story.say(doctor, "offer", "e0", 2, generation, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(doctor), "peer_gone");
    assert_eq!(story.hear(asha), Vec::<String>::new());
}

#[test]
fn a_negotiation_that_hangs_is_begun_anew_five_times_while_both_are_here() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    story.hear(doctor);
    for _ in 0..RETRIES_MAX {
        story.pass(ANSWER_SECS);
        assert_eq!(story.hear(doctor), ["negotiate"]);
    }
    story.pass(ANSWER_SECS);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "now it waits to be asked");
    story.apply(Event::Lost(asha));
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.resume(ASHA, seen);
    story.pass(ANSWER_SECS);
    assert_eq!(story.hear(doctor), ["negotiate"], "somebody has come back");
}

#[test]
fn nobody_is_asked_again_while_the_other_side_has_no_socket() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    story.apply(Event::Lost(asha));
    story.hear(doctor);
    story.pass(ANSWER_SECS * 3);
    assert_eq!(story.hear(doctor), ["peer"]);
}
