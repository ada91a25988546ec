//! Sections 4 and 5: waiting and being let in.

use super::*;

#[test]
fn the_place_in_the_queue_is_told_to_who_waits_and_anew_when_it_changes() {
    let mut story = Story::begin();
    let asha = story.enter(ASHA);
    assert!(story.messages(asha)[1]["body"].get("position").is_none(), "nobody knows yet");
    let place = |position, late_minutes| {
        let (earliest, latest) = (story_time(20), story_time(40));
        let (latest, late_declared_at) = (Some(latest), None);
        Some(Queued { position, earliest, latest, late_minutes, late_declared_at, measured: true })
    };
    story.apply(Event::Queued(place(3, None)));
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["position"]), (&"waiting".into(), &3.into()));
    assert_eq!(heard[0]["body"]["eta"]["latest"], "2026-11-24T02:40:00Z");
    assert!(heard[0]["body"].get("late_minutes").is_none());
    story.apply(Event::Queued(place(3, None)));
    story.frame(asha, r#"{"v":1,"t":"presence","body":{"state":"ready"}}"#);
    assert_eq!(story.hear(asha), Vec::<String>::new(), "nothing new, nothing said");
    story.apply(Event::Queued(place(2, Some(30))));
    let heard = story.messages(asha);
    assert_eq!(
        (&heard[0]["body"]["position"], &heard[0]["body"]["late_minutes"]),
        (&2.into(), &30.into())
    );
    // Who comes later waits for the same visit; who is let in hears no more of it.
    let sister = story.enter(SISTER);
    assert_eq!(story.messages(sister)[1]["body"]["position"], 2);
    let doctor = story.enter(DOCTOR);
    story.hear(doctor);
    story.apply(Event::Queued(place(1, None)));
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "it is no news to the practitioner");
}

fn story_time(minute: i64) -> Instant {
    let two: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
    two.plus(TimeDelta::minutes(minute))
}

#[test]
fn not_a_byte_of_a_session_description_passes_before_both_are_let_in() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(SISTER, Admission::Admitted);
    let sister = story.enter(SISTER);
    let (edge, generation) = story.last_negotiation(doctor);
    story.hear(asha);
    story.hear(doctor);
    for t in ["offer", "answer"] {
        story.say(asha, t, &edge, 1, generation, r#"{"sdp":"v=0"}"#);
        assert_eq!(story.refused(asha), "not_admitted");
    }
    story.say(asha, "candidate", &edge, 1, generation, r#"{"candidate":"c"}"#);
    assert_eq!(story.refused(asha), "not_admitted");
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"v=0"}"#);
    assert_eq!(story.hear(asha), Vec::<String>::new(), "the two inside talk; she hears nothing");
    assert!(story.hear(sister).contains(&"offer".to_owned()));
}

#[test]
fn both_sides_hear_which_ways_their_connection_may_take_each_time_it_is_made() {
    for (policy, word) in [(IcePolicy::All, "all"), (IcePolicy::Relay, "relay")] {
        let mut story = Story::begin();
        let ice = config::Ice { policy, ..config::Ice::default() };
        story.room = Room::new(Arc::new(ice), story.now);
        let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
        story.decide(ASHA, Admission::Admitted);
        let (edge, generation) = story.last_negotiation(doctor);
        let body = format!(r#"{{"edge":"{edge}"}}"#);
        story.say(asha, "ice_restart_request", &edge, 0, generation, &body);
        for line in [asha, doctor] {
            let heard = story.messages(line);
            let said: Vec<_> = heard.iter().filter(|one| one["t"] == "negotiate").collect();
            assert_eq!(said.len(), 2);
            assert!(said.iter().all(|one| one["body"]["ice_policy"] == word), "{said:?}");
        }
    }
}

#[test]
fn whoever_has_sat_here_for_long_hears_of_relays_with_passwords_that_are_still_good() {
    let mut story = Story::begin();
    let ice = config::Ice {
        turn_urls: vec!["turn:turn.example".to_owned()],
        turn_secret: config::Secret("north".to_owned()),
        turn_credential_secs: 60,
        ..config::Ice::default()
    };
    story.room = Room::new(Arc::new(ice), story.now);
    let is_good = |said: &Value, now: Instant| {
        let name = said["body"]["ice_servers"][0]["username"].as_str().unwrap();
        name.split_once(':').unwrap().0.parse::<i64>().unwrap() > now.utc().timestamp()
    };
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    let welcome = story.messages(asha).remove(0);
    assert!(is_good(&welcome, story.now));
    story.pass(1800);
    assert!(!is_good(&welcome, story.now), "what she heard when she came is good no more");
    story.decide(ASHA, Admission::Admitted);
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|said| said["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["admitted", "snapshot", "negotiate"]);
    assert!(heard[1..].iter().all(|said| is_good(said, story.now)), "{heard:?}");
    let (edge, generation) = story.last_negotiation(doctor);
    story.negotiated(doctor, asha);
    story.pass(1800);
    assert!(!heard[1..].iter().any(|said| is_good(said, story.now)));
    story.hear(asha);
    story.hear(doctor);
    let body = format!(r#"{{"edge":"{edge}"}}"#);
    story.say(asha, "ice_restart_request", &edge, 0, generation, &body);
    for line in [asha, doctor] {
        let again = story.messages(line).remove(0);
        assert_eq!((&again["t"], &again["body"]["fresh"]), (&"negotiate".into(), &false.into()));
        assert!(is_good(&again, story.now));
    }
    story.pass(1800);
    story.apply(Event::Lost(asha));
    let asha = story.resume(ASHA, 1);
    let snapshot = story.messages(asha).into_iter().find(|said| said["t"] == "snapshot");
    assert!(is_good(&snapshot.unwrap(), story.now));
}

#[test]
fn the_one_let_in_hears_it_in_the_order_of_the_specification() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.hear(asha);
    story.hear(doctor);
    story.decide(ASHA, Admission::Admitted);
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["admitted", "snapshot", "negotiate"]);
    assert_eq!(heard[1]["body"]["edges"], serde_json::json!([]));
    assert_eq!(
        (&heard[2]["body"]["role"], &heard[2]["body"]["polite"]),
        (&"answerer".into(), &true.into())
    );
    let heard = story.messages(doctor);
    assert_eq!(heard[0]["body"]["participant"]["state"], "admitted");
    assert_eq!(
        (&heard[1]["body"]["role"], &heard[1]["body"]["fresh"]),
        (&"offerer".into(), &true.into())
    );
}

#[test]
fn being_held_ends_the_edges_and_what_was_on_the_way_is_withdrawn() {
    let (mut story, doctor, asha) = Story::in_call();
    let (edge, generation) = (story.room.edges[0].id.clone(), story.room.generation);
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.apply(Event::Lost(asha));
    story.say(doctor, "offer", &edge, 2, generation, r#"{"sdp":"secret"}"#);
    story.decide(ASHA, Admission::Held);
    assert_eq!(story.room.edges.len(), 0);
    let asha = story.resume(ASHA, seen);
    let heard = story.messages(asha);
    assert!(heard.iter().all(|one| !one.to_string().contains("secret")), "{heard:?}");
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "withdrawn", "waiting", "snapshot", "snapshot"]);
    assert_eq!(heard[3]["body"]["edges"], serde_json::json!([]));
    let state = story.messages(doctor).last().unwrap()["body"]["participant"]["state"].clone();
    assert_eq!(state, "waiting");
}

#[test]
fn whoever_is_turned_away_hears_it_and_is_gone() {
    let (mut story, doctor, asha) = Story::in_call();
    story.decide(ASHA, Admission::Denied);
    assert_eq!(story.hear(asha), ["denied"]);
    assert_eq!(story.closed[&asha], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Denied)]);
    assert_eq!(story.hear(doctor), ["peer"]);
    let asha = story.enter(ASHA);
    assert_eq!(story.hear(asha), ["welcome", "waiting"], "she may ask again");
}

#[test]
fn a_word_that_is_told_late_or_twice_does_not_reach_who_has_come_again_since() {
    let (mut story, _, _) = Story::in_call();
    story.decide(ASHA, Admission::Denied);
    let again = story.enter(ASHA);
    story.apply(Event::Decided(id(ASHA), Admission::Denied, story.party.rev));
    assert_eq!(story.hear(again), ["welcome", "waiting"]);
    assert!(!story.closed.contains_key(&again));
}

#[test]
fn of_two_seats_taken_at_once_the_later_one_counts_whichever_is_heard_of_first() {
    let mut story = Story::begin();
    let newer = story.enter(ASHA);
    let (guest, line) = (story.guest(ASHA), story.new_line());
    let older = Credentials { sid: Uuid::from_u128(1), ..story.credentials(ASHA) };
    story.apply(Event::Enter(guest, line, older));
    assert_eq!(story.closed, BTreeMap::from([(line, CloseCode::Superseded)]));
    assert_eq!(story.room.seated(newer), Some(id(ASHA)));
}

#[test]
fn a_word_said_while_somebody_is_between_two_sockets_is_not_lost() {
    let mut story = Story::begin();
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, 1));
    assert!(!story.room.is_done(story.now), "an empty room remembers for a while");
    let asha = story.enter(ASHA);
    assert_eq!(story.hear(asha), ["welcome"]);
    assert!(story.room.is_admitted(id(ASHA)));
}
