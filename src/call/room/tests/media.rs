//! Section 8: media state, quality and the ladder.

use super::*;

#[test]
fn a_silent_microphone_is_shown_for_what_it_is() {
    let (mut story, doctor, asha) = Story::in_call();
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":false,"video":true}}"#);
    let heard = story.messages(doctor);
    assert_eq!(heard[0]["body"]["participant"]["media"]["audio"], false);
    assert_eq!(
        (&heard[1]["t"], &heard[1]["body"]["audio"]),
        (&"media_state".into(), &false.into())
    );
    let quality = r#"{"rtt":1,"jitter":1,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4}"#;
    let edge = story.room.edges[0].id.clone();
    story.say(asha, "quality", &edge, 0, 0, quality);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "it is not relayed");
    story.say(asha, "quality", "e0", 0, 0, quality);
    assert_eq!(story.refused(asha), "peer_gone");
}

fn loss(share: f64) -> String {
    format!(r#"{{"rtt":80,"jitter":5,"loss_in":{share},"loss_out":0,"bitrate":1,"mos":4}}"#)
}

#[test]
fn a_bad_line_takes_the_picture_of_both_away_and_a_good_one_brings_it_back() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    for _ in 0..2 {
        story.say(asha, "quality", &edge, 0, 0, &loss(0.05));
        story.pass(5);
    }
    for line in [doctor, asha] {
        let heard = story.messages(line);
        let rung = heard.iter().find(|message| message["t"] == "rung").unwrap();
        let body = &rung["body"];
        assert_eq!((&body["edge"], &body["step"]), (&edge.clone().into(), &1.into()));
        assert_eq!((&body["rung"], &body["why"]), (&"small_video".into(), &"loss".into()));
        assert_eq!(body["send"]["video"]["width"], 320);
    }
    for _ in 0..12 {
        for line in [doctor, asha] {
            story.say(line, "quality", &edge, 0, 0, &loss(0.0));
        }
        story.pass(5);
    }
    let heard = story.messages(doctor);
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (&heard[0]["body"]["rung"], &heard[0]["body"]["why"]),
        (&"video".into(), &"recovered".into())
    );
}

#[test]
fn what_whoever_sends_no_picture_thinks_of_its_room_takes_nobody_s_picture() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let thin = r#"{"rtt":80,"jitter":5,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4,"room":32000}"#;
    let report = |story: &mut Story, times| {
        for _ in 0..times {
            story.say(asha, "quality", &edge, 0, 0, thin);
            story.pass(5);
        }
    };
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":false}}"#);
    report(&mut story, 4);
    assert!(!story.hear(doctor).contains(&"rung".to_owned()));
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":true}}"#);
    report(&mut story, 2);
    assert!(story.hear(doctor).contains(&"rung".to_owned()));
}

#[test]
fn whoever_comes_back_learns_the_rung_and_a_new_negotiation_does_not_withdraw_it() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let generation = story.room.edges[0].generation();
    let before = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.say(doctor, "fallback", &edge, 0, 0, r#"{"rung":"audio","why":"data_saver"}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["why"]), (&"rung".into(), &"data_saver".into()));
    assert_eq!(heard[0]["body"]["by"], Value::from(id(DOCTOR).to_string()));
    let view = story.room.edges[0].seen_by(id(ASHA)).unwrap().ladder.unwrap();
    assert_eq!((view.step, view.send.video), (1, None));
    story.say(doctor, "negotiate_request", &edge, 0, generation, "{}");
    assert!(story.room.edges[0].generation() > generation);
    let seat = story.room.seat(id(ASHA)).unwrap();
    let told = seat.mailbox.clone().replay(before, story.now);
    assert!(told.unwrap().iter().any(|text| text.contains(r#""t":"rung""#)));
    let doctors = story.messages(doctor);
    assert!(doctors.iter().any(|message| message["t"] == "rung"), "whoever asked hears it too");
}

#[test]
fn wishes_without_end_are_refused() {
    let (mut story, doctor, _) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let ask = |rung: &str| format!(r#"{{"rung":"{rung}"}}"#);
    for _ in 0..5 {
        story.say(doctor, "fallback", &edge, 0, 0, &ask("audio"));
        story.say(doctor, "fallback", &edge, 0, 0, &ask("video"));
    }
    story.hear(doctor);
    story.say(doctor, "fallback", &edge, 0, 0, &ask("audio"));
    assert_eq!(story.refused(doctor), "rate_limited");
}

#[test]
fn the_record_says_when_an_edge_began_went_down_and_ended_and_why() {
    let (mut story, _, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let generation = story.room.edges[0].generation();
    story.say(asha, "quality", &edge, 0, 0, &loss(0.2));
    story.say(asha, "ice_restart_request", &edge, 0, generation, "{}");
    story.say(asha, "leave", "", 0, 0, "{}");
    let marks: Vec<(MarkKind, Option<MarkWhy>)> = story
        .kept
        .iter()
        .filter_map(|kept| match kept {
            Kept::Mark(mark) => Some((mark.kind, mark.why)),
            Kept::Minute(_) => None,
        })
        .collect();
    let expected = [
        (MarkKind::Admitted, None),
        (MarkKind::Begun, None),
        (MarkKind::Rung, Some(MarkWhy::Loss)),
        (MarkKind::Up, None),
        (MarkKind::Restart, None),
        (MarkKind::Ended, Some(MarkWhy::Left)),
    ];
    assert_eq!(marks, expected);
    let minutes = story.kept.iter().filter(|kept| matches!(kept, Kept::Minute(_)));
    assert_eq!(minutes.count(), 1, "the minute that ran is closed with the edge");
}

/// An interpreter whose own line carries nothing has no say on how doctor and patient go on.
#[test]
fn the_telephone_is_between_the_practitioner_and_the_patient() {
    let (mut story, doctor, _asha) = Story::in_call();
    let words = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    let nothing = r#"{"rung":"text","why":"no_media"}"#;
    let (theirs, own): (Vec<_>, Vec<_>) =
        story.room.edges.iter().partition(|edge| edge.joins(id(INTERPRETER)));
    let theirs: Vec<String> = theirs.into_iter().map(|edge| edge.id.clone()).collect();
    let own = own[0].id.clone();
    assert_eq!(theirs.len(), 2);
    for (line, edge) in [(words, &theirs[0]), (words, &theirs[1]), (doctor, &own)] {
        story.say(line, "fallback", edge, 0, 0, nothing);
    }
    story.pass(31);
    let proposed = |story: &mut Story, line| {
        let heard = story.messages(line);
        heard.iter().any(|one| one["body"]["phone"]["proposed"] == true)
    };
    for edge in &theirs {
        story.say(words, "fallback", edge, 0, 0, nothing);
    }
    assert!(!proposed(&mut story, words));
    story.say(doctor, "fallback", &own, 0, 0, nothing);
    assert!(proposed(&mut story, doctor));
    for edge in &theirs {
        story.say(words, "fallback", edge, 0, 0, r#"{"rung":"phone"}"#);
        assert_eq!(story.refused(words), "bad_state");
    }
}
