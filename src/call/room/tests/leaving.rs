//! Sections 10 and 11: leaving, the end, and errors.

use super::*;

#[test]
fn leaving_is_not_ending_and_the_patient_stays_let_in() {
    let (mut story, doctor, asha) = Story::in_call();
    story.frame(doctor, r#"{"v":1,"t":"leave","body":{"reason":"user"}}"#);
    assert_eq!(story.closed[&doctor], CloseCode::Done);
    assert_eq!(story.messages(asha)[0]["body"]["op"], "left");
    let doctor = story.enter(DOCTOR);
    assert_eq!(story.hear(asha), ["peer", "negotiate"]);
    assert_eq!(story.hear(doctor), ["welcome", "negotiate"]);
}

#[test]
fn the_end_is_told_to_everybody_also_to_who_waits() {
    let (mut story, doctor, asha) = Story::in_call();
    let sister = story.enter(SISTER);
    for line in [doctor, asha, sister] {
        story.hear(line);
    }
    story.apply(Event::Over(OverWhy::TimeOver));
    for line in [doctor, asha, sister] {
        let heard = story.messages(line);
        assert_eq!(
            (&heard[0]["t"], &heard[0]["body"]["reason"]),
            (&"ended".into(), &"time_over".into())
        );
        assert_eq!(story.closed[&line], CloseCode::Over);
    }
    assert_eq!(story.gone.len(), 3);
    let late = story.enter(ASHA);
    assert_eq!(story.closed[&late], CloseCode::Over, "who was on the way does not sit alone");
    story.pass(MEMORY_SECS);
    assert!(story.room.is_done(story.now));
}

#[test]
fn a_visit_that_was_ended_by_mistake_lets_people_in_again() {
    let (mut story, ..) = Story::in_call();
    story.apply(Event::Over(OverWhy::Finished));
    let early = story.enter(ASHA);
    assert_eq!(story.closed[&early], CloseCode::Over);
    story.apply(Event::Reopened);
    let asha = story.enter(ASHA);
    assert!(!story.closed.contains_key(&asha));
    assert_eq!(story.hear(asha).first().map(String::as_str), Some("welcome"));
}

#[test]
fn signing_out_ends_the_socket_and_the_seat_at_once() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::SignedOut(SessionId(Uuid::from_u128(ASHA))));
    assert_eq!(story.closed[&asha], CloseCode::SignIn);
    assert_eq!(story.messages(doctor)[0]["body"]["op"], "left");
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::SignedOut)]);
    story.apply(Event::Barred(id(DOCTOR)));
    assert_eq!(story.closed[&doctor], CloseCode::Forbidden);
}

#[test]
fn an_error_quotes_the_frame_it_is_about() {
    let (mut story, _, asha) = Story::in_call();
    story.frame(asha, r#"{"v":1,"id":"c17","t":"hello","body":{"ticket":"t"}}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["re"], &heard[0]["body"]["code"]), (&"c17".into(), &"bad_state".into()));
    assert_eq!(heard[0]["seq"], Value::Null, "errors are not numbered");
    assert_eq!(read("{}"), Err(Misread::NotOurs));
}

#[test]
fn a_page_that_says_without_end_that_it_is_away_does_not_fill_the_record() {
    let (mut story, _, asha) = Story::in_call();
    for turn in 0..5001 {
        let state = if turn % 2 == 0 { "away" } else { "ready" };
        story.frame(asha, &format!(r#"{{"v":1,"t":"presence","body":{{"state":"{state}"}}}}"#));
    }
    story.pass(59);
    let said_late = |story: &Story| {
        let is_away = |kept: &Kept| matches!(kept, Kept::Mark(mark) if mark.kind == MarkKind::Away);
        story.kept.iter().filter(|kept| is_away(kept)).count()
    };
    let before = said_late(&story);
    story.pass(2);
    assert_eq!(said_late(&story), before + 1, "what they said last is known");
    story.pass(120);
    story.decide(ASHA, Admission::Removed);
    let marks = story.kept.iter().filter_map(|kept| match kept {
        Kept::Mark(mark) => Some(mark),
        Kept::Minute(_) => None,
    });
    let (said, rest): (Vec<_>, Vec<_>) =
        marks.partition(|mark| matches!(mark.kind, MarkKind::Ready | MarkKind::Away));
    assert_eq!(said.len(), 61);
    let last = rest.last().unwrap();
    assert_eq!((last.kind, last.why), (MarkKind::Ended, Some(MarkWhy::Removed)));
}
