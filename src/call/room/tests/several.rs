//! Section 5, three and more: what flows between them, the side room, who is sent out.

use super::*;

#[test]
fn each_hears_what_flows_to_and_from_each_of_the_others() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    let trainee = story.enter(TRAINEE);
    story.decide(INTERPRETER, Admission::Admitted);
    story.decide(TRAINEE, Admission::Admitted);
    let flows = |story: &mut Story, line, peer: u128| {
        let heard = story.heard[&line].clone();
        let of =
            |one: &&Value| one["t"] == "negotiate" && one["body"]["peer"] == id(peer).0.to_string();
        let body = &heard.iter().rfind(of).unwrap()["body"];
        let way = |way: &str| {
            (body[way]["audio"].as_bool().unwrap(), body[way]["video"].as_bool().unwrap())
        };
        (way("send"), way("receive"))
    };
    let (nothing, voice, both) = ((false, false), (true, false), (true, true));
    assert_eq!(flows(&mut story, doctor, INTERPRETER), (voice, voice));
    assert_eq!(flows(&mut story, interpreter, ASHA), (voice, voice));
    assert_eq!(flows(&mut story, doctor, TRAINEE), (both, nothing));
    assert_eq!(flows(&mut story, trainee, DOCTOR), (nothing, both));
    assert_eq!(flows(&mut story, trainee, INTERPRETER), (nothing, voice));
    assert_eq!(story.room.edges.len(), 6);
    story.hear(asha);
}

#[test]
fn whoever_sits_at_another_s_device_is_seen_and_has_no_connection() {
    let (mut story, doctor, _) = Story::in_call();
    story.sitting.insert(SISTER, id(ASHA));
    let sister = story.enter(SISTER);
    story.decide(SISTER, Admission::Admitted);
    assert_eq!(story.room.edges.len(), 1);
    let told = story.messages(doctor);
    assert_eq!(told.last().unwrap()["body"]["participant"]["sits_with"], id(ASHA).0.to_string());
    assert_eq!(story.hear(sister), ["welcome", "waiting", "admitted", "snapshot"]);
}

#[test]
fn somebody_who_is_sent_out_hears_it_and_is_gone_at_once() {
    let (mut story, doctor, _) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    story.hear(doctor);
    story.hear(interpreter);
    story.decide(INTERPRETER, Admission::Removed);
    assert_eq!(story.hear(interpreter), ["removed"]);
    assert_eq!(story.closed[&interpreter], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed)]);
    assert_eq!(story.hear(doctor), ["peer"]);
    assert_eq!(story.room.edges.len(), 1);
    // A ticket that was taken before finds no way past what was decided since.
    story.admitted.push(INTERPRETER);
    story.party.rev -= 1;
    let late = story.enter(INTERPRETER);
    assert_eq!(story.hear(late), ["removed"], "nothing of the room, and no seat");
    assert_eq!(story.closed[&late], CloseCode::Forbidden);
}

#[test]
fn who_is_aside_talks_with_who_is_aside_and_with_nobody_else() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    assert_eq!(story.room.edges.len(), 3);
    for line in [doctor, asha, interpreter] {
        story.hear(line);
    }
    let mut rev = story.party.rev;
    let mut party = |aside: &[u128], locked| {
        rev += 1;
        let people = [
            (DOCTOR, ParticipantRole::Practitioner),
            (ASHA, ParticipantRole::Patient),
            (INTERPRETER, ParticipantRole::Interpreter),
        ];
        let people = people.map(|(who, role)| companion(who, role, aside.contains(&who)));
        Event::Party(Party { rev, locked, people: people.to_vec() })
    };
    story.apply(party(&[INTERPRETER], false));
    assert_eq!(story.room.edges.len(), 1);
    let heard = story.messages(interpreter);
    assert_eq!((heard.len(), &heard[0]["t"]), (1, &Value::from("snapshot")));
    assert_eq!(heard[0]["body"]["edges"], serde_json::json!([]));
    let told = story.messages(doctor);
    assert_eq!(told[0]["body"]["participant"]["standing"], "in_side_room");
    assert_eq!(told[1]["body"]["edges"].as_array().unwrap().len(), 1);
    story.apply(party(&[INTERPRETER, DOCTOR], false));
    let joined = story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer));
    assert_eq!(joined.collect::<Vec<_>>(), [(id(DOCTOR), id(INTERPRETER))]);
    story.apply(party(&[], false));
    assert_eq!(story.room.edges.len(), 3);
    story.hear(asha);
    story.apply(party(&[], true));
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["locked"]), (&"lock".into(), &true.into()));
    assert_eq!(heard.len(), 1, "nobody moved");
}

#[test]
fn whoever_was_asked_for_advice_conducts_the_visit_and_the_former_practitioner_goes() {
    let mut story = Story::begin();
    let (asha, doctor, other) = (story.enter(ASHA), story.enter(DOCTOR), story.enter(TRAINEE));
    let conducts = |who, rev| {
        let people = vec![
            held(ASHA, ParticipantRole::Patient),
            companion(who, ParticipantRole::Practitioner, false),
        ];
        Event::Party(Party { rev, locked: false, people })
    };
    for line in [asha, doctor, other] {
        story.hear(line);
    }
    story.decide(DOCTOR, Admission::Removed);
    story.party.rev += 1;
    story.apply(conducts(TRAINEE, story.party.rev));
    assert_eq!(story.messages(doctor)[0]["t"], "removed");
    let heard = story.messages(other);
    let snapshot = heard.iter().find(|one| one["t"] == "snapshot").unwrap();
    assert_eq!(snapshot["body"]["participant"]["role"], "practitioner");
    story.decide(ASHA, Admission::Admitted);
    let joined = |story: &Story| {
        let edges = story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer));
        edges.collect::<Vec<_>>()
    };
    assert_eq!(joined(&story), [(id(TRAINEE), id(ASHA))]);

    // Taken back: what was said of the first one counts no more.
    story.decide(ASHA, Admission::Held);
    story.decide(TRAINEE, Admission::Removed);
    story.party.rev += 1;
    story.apply(conducts(DOCTOR, story.party.rev));
    story.admitted.push(DOCTOR);
    story.enter(DOCTOR);
    story.decide(ASHA, Admission::Admitted);
    assert_eq!(joined(&story), [(id(DOCTOR), id(ASHA))]);
}

#[test]
fn whoever_waits_hears_who_else_of_their_side_is_not_here() {
    let mut story = Story::begin();
    story.party.people =
        vec![held(ASHA, ParticipantRole::Patient), held(INTERPRETER, ParticipantRole::Interpreter)];
    let asha = story.enter(ASHA);
    let awaited = |heard: Vec<Value>| heard.last().unwrap()["body"]["awaited"].clone();
    assert_eq!(awaited(story.messages(asha)), serde_json::json!(["interpreter"]));
    story.enter(INTERPRETER);
    assert_eq!(awaited(story.messages(asha)), serde_json::json!([]));
}
