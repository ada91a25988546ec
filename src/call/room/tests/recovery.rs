//! Section 9: sockets that break, seats that are kept, a server that starts again.

use super::*;

#[test]
fn a_failed_generation_is_reported_by_both_and_begun_anew_once() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].clone();
    let generation = edge.seen_by(id(ASHA)).unwrap().generation;
    for line in [doctor, asha] {
        story.say(line, "ice_restart_request", &edge.id, 0, generation, r#"{"why":"failed"}"#);
    }
    for line in [doctor, asha] {
        let heard = story.messages(line);
        assert_eq!(heard.len(), 1);
        assert_eq!(
            (&heard[0]["t"], &heard[0]["body"]["fresh"]),
            (&"negotiate".into(), &false.into())
        );
        assert!(heard[0]["gen"].as_u64().unwrap() > generation);
    }
    let body = format!(r#"{{"edge":"{}","why":"reload"}}"#, edge.id);
    story.frame(asha, &format!(r#"{{"v":1,"t":"negotiate_request","body":{body}}}"#));
    assert_eq!(story.messages(doctor)[0]["body"]["fresh"], true);
}

#[test]
fn a_cut_socket_comes_back_with_what_it_missed_and_nothing_is_negotiated() {
    let (mut story, doctor, asha) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.apply(Event::Lost(asha));
    story.pass(MENTION_SECS - 1);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "most cuts are shorter");
    story.pass(1);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "reconnecting");
    story.frame(doctor, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":false}}"#);
    let back = story.resume(ASHA, seen);
    let heard = story.messages(back);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "peer", "media_state", "snapshot"]);
    assert_eq!(heard[0]["body"]["epoch"], 2);
    assert_eq!(
        (&heard[0]["body"]["from_seq"], &heard[0]["body"]["to_seq"]),
        (&seen.into(), &(seen + 2).into())
    );
    assert_eq!(heard[3]["seq"], seen + 3);
    assert_eq!(heard[3]["body"]["edges"].as_array().unwrap().len(), 1);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "admitted");
}

#[test]
fn what_is_acknowledged_is_forgotten_and_cannot_be_asked_for_again() {
    let (mut story, _, asha) = Story::in_call();
    let last = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.frame(asha, &format!(r#"{{"v":1,"t":"ack","ack":{last},"body":{{}}}}"#));
    let back = story.resume(ASHA, last - 1);
    assert_eq!(story.closed[&asha], CloseCode::Superseded);
    let heard = story.messages(back);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "reset", "snapshot"]);
    assert_eq!(heard[1]["seq"], last, "numbered last_seq + 1");
}

#[test]
fn what_a_superseded_socket_says_no_longer_counts() {
    let (mut story, doctor, old) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    let new = story.resume(ASHA, seen);
    story.hear(doctor);
    story.frame(old, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":true}}"#);
    story.frame(old, r#"{"v":1,"t":"leave"}"#);
    story.apply(Event::Lost(old));
    assert_eq!(story.hear(doctor), Vec::<String>::new());
    assert_eq!(story.room.seated(new), Some(id(ASHA)));
}

#[test]
fn of_two_who_come_back_at_once_the_later_epoch_has_the_seat() {
    let (mut story, _, _) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.seats.get_mut(&ASHA).unwrap().1 = 2;
    let second = story.resume(ASHA, seen);
    story.seats.get_mut(&ASHA).unwrap().1 = 1;
    let first = story.resume(ASHA, seen);
    assert_eq!(story.closed[&first], CloseCode::Superseded);
    assert_eq!(story.room.seated(second), Some(id(ASHA)));
}

#[test]
fn a_doctor_s_seat_is_kept_a_minute_and_a_patient_s_three() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::Lost(doctor));
    story.apply(Event::Lost(asha));
    story.pass(PRACTITIONER_SEAT_SECS - 1);
    assert_eq!(story.gone, []);
    story.pass(1);
    assert_eq!(story.gone, [(id(DOCTOR), LeftWhy::Lost)]);
    story.pass(PATIENT_SEAT_SECS - PRACTITIONER_SEAT_SECS);
    assert_eq!(story.gone[1], (id(ASHA), LeftWhy::Lost));
    assert!(story.room.is_done(story.now));
}

#[test]
fn a_seat_is_kept_longer_while_the_other_side_reports_that_media_flow() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::Lost(asha));
    let edge = story.room.edges[0].id.clone();
    let quality = r#"{"rtt":1,"jitter":1,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4}"#;
    for _ in 0..(VOUCHED_SEAT_SECS / 5 - 1) {
        story.say(doctor, "quality", &edge, 0, 0, quality);
        story.pass(5);
    }
    assert_eq!(story.gone, []);
    story.pass(5);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Lost)], "not for ever");
}

#[test]
fn after_a_restart_of_the_server_media_go_on_and_numbers_too() {
    let (mut story, _, _) = Story::in_call();
    let before = story.room.generation;
    story.now = story.now.plus(TimeDelta::seconds(2));
    story.room = Room::new(Arc::default(), story.now);
    for who in [DOCTOR, ASHA] {
        let restore = Event::Restore(story.guest(who), story.credentials(who));
        story.apply(restore);
    }
    let doctor = story.resume(DOCTOR, 40);
    let heard = story.messages(doctor);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "reset", "snapshot"], "nothing is negotiated");
    assert_eq!((&heard[1]["seq"], &heard[2]["seq"]), (&41.into(), &42.into()));
    assert!(heard[2]["body"]["edges"][0]["gen"].as_u64().unwrap() > before);
    assert_eq!(heard[2]["body"]["roster"][1]["state"], "reconnecting");
    let asha = story.resume(ASHA, 1);
    assert_eq!(story.hear(asha), ["resumed", "reset", "snapshot"]);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "admitted");
}

#[test]
fn a_negotiation_lost_with_a_restart_is_begun_anew_for_who_comes_back() {
    let (mut story, _, _) = Story::in_call();
    story.now = story.now.plus(TimeDelta::seconds(2));
    story.room = Room::new(Arc::default(), story.now);
    let restore = Event::Restore(story.guest(ASHA), story.credentials(ASHA));
    story.apply(restore);
    let doctor = story.enter(DOCTOR);
    let (edge, generation) = story.last_negotiation(doctor);
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"o"}"#);
    story.hear(doctor);
    let asha = story.resume(ASHA, 2);
    assert_eq!(story.hear(asha), ["resumed", "reset", "snapshot", "negotiate"]);
    assert_eq!(story.hear(doctor), ["peer", "negotiate"]);
}

#[test]
fn whoever_comes_back_to_a_room_that_did_not_have_the_seat_is_not_silent_in_the_record() {
    let line_marks = |story: &Story| -> Vec<(ParticipantId, MarkKind)> {
        let of_lines = [MarkKind::Silent, MarkKind::Back];
        let marks = story.kept.iter().filter_map(|kept| match kept {
            Kept::Mark(mark) if of_lines.contains(&mark.kind) => {
                Some((mark.participant?, mark.kind))
            }
            _ => None,
        });
        marks.collect()
    };
    let silent = (id(ASHA), MarkKind::Silent);
    let back = (id(ASHA), MarkKind::Back);
    // The seat is given up, and somebody had taken it again by then.
    let (mut story, _, asha) = Story::in_call();
    story.apply(Event::Lost(asha));
    story.pass(MENTION_SECS);
    story.pass(PATIENT_SEAT_SECS);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Lost)]);
    story.resume(ASHA, 1);
    assert_eq!(line_marks(&story), [silent, back]);

    // The process that called her silent is dead, and the next could not bring the seat back.
    let (mut story, _, asha) = Story::in_call();
    story.apply(Event::Lost(asha));
    story.pass(MENTION_SECS);
    story.room = Room::new(Arc::default(), story.now);
    story.resume(ASHA, 1);
    assert_eq!(line_marks(&story), [silent, back]);
}
