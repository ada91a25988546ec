//! What is decided outside is told late, in another order, or never: sections 5 and 9.

use super::*;

#[test]
fn an_older_word_that_comes_later_changes_nothing() {
    let (mut story, doctor, asha) = Story::in_call();
    let rev = story.party.rev;
    let companions = |aside: bool| {
        let mut asha = companion(ASHA, ParticipantRole::Patient, false);
        asha.aside = aside;
        vec![companion(DOCTOR, ParticipantRole::Practitioner, false), asha]
    };
    let party = |rev, aside| Event::Party(Party { rev, locked: false, people: companions(aside) });
    story.apply(party(rev + 4, true));
    assert_eq!(story.room.edges.len(), 0);
    story.apply(party(rev + 3, false));
    assert_eq!(story.room.edges.len(), 0, "she stays aside");
    story.apply(Event::Decided(id(ASHA), Admission::Removed, rev + 6));
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, rev + 5));
    assert_eq!(story.closed[&asha], CloseCode::Forbidden);
    // Asked to come again, she waits as it is written, whatever was said before.
    story.admitted.retain(|one| *one != ASHA);
    let mut people = companions(false);
    people[1] = held(ASHA, ParticipantRole::Patient);
    story.party = Party { rev: rev + 8, locked: false, people };
    let again = story.enter(ASHA);
    assert!(!story.room.is_admitted(id(ASHA)));
    assert_eq!(story.hear(again), ["welcome", "waiting"]);
    story.hear(doctor);
}

#[test]
fn whoever_conducts_the_visit_sits_beside_nobody_also_when_their_coming_is_heard_of_late() {
    let (mut story, ..) = Story::in_call();
    let asha = companion(ASHA, ParticipantRole::Patient, false);
    let specialist =
        Companion { sits_with: Some(id(ASHA)), ..held(SISTER, ParticipantRole::Specialist) };
    let conducts = companion(SISTER, ParticipantRole::Practitioner, false);
    let doctor = companion(DOCTOR, ParticipantRole::Practitioner, false);
    story.apply(Event::Party(told(4, &[asha, doctor])));
    story.sitting.insert(SISTER, id(ASHA));
    story.party = told(5, &[asha, doctor, specialist]);
    // They took the seat, and then the visit; the room hears of the visit first.
    story.apply(Event::Party(told(7, &[asha, conducts])));
    story.enter(SISTER);
    let joined: Vec<_> =
        story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer)).collect();
    assert_eq!(joined, [(id(SISTER), id(ASHA))]);
}

#[test]
fn a_seat_from_before_somebody_was_sent_out_is_none() {
    let (mut story, doctor, asha) = Story::in_call();
    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let interpreter = companion(INTERPRETER, ParticipantRole::Interpreter, false);
    story.admitted.push(INTERPRETER);
    story.seats.insert(INTERPRETER, (Uuid::from_u128(900), 1));
    story.party = told(5, &[both[0], both[1], interpreter]);
    story.apply(Event::Party(told(7, &both)));
    story.hear(doctor);
    let restore = Event::Restore(story.guest(INTERPRETER), story.credentials(INTERPRETER));
    story.apply(restore);
    story.apply(Event::Decided(id(INTERPRETER), Admission::Removed, 6));
    assert_eq!(story.room.present(), [id(ASHA), id(DOCTOR)]);
    for (line, last_seq) in [(story.resume(INTERPRETER, 9), 9), (story.enter(INTERPRETER), 0)] {
        let heard = story.messages(line);
        assert_eq!(heard.len(), 1, "nothing of the room: {heard:?}");
        assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&"removed".into(), &(last_seq + 1).into()));
        assert_eq!(story.closed[&line], CloseCode::Forbidden);
    }
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed); 2]);
    assert_eq!(story.hear(doctor), [""; 0], "nobody has come");
    assert_eq!(story.hear(asha), [""; 0]);
}

#[test]
fn whoever_was_sent_out_and_asked_again_unheard_waits() {
    let (mut story, doctor, _) = Story::in_call();
    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let sister = companion(SISTER, ParticipantRole::Relative, false);
    story.party = told(3, &[both[0], both[1], sister]);
    story.admitted.push(SISTER);
    let line = story.enter(SISTER);
    assert!(story.room.is_admitted(id(SISTER)));
    story.hear(line);
    // Sent out with 6 and 7, of which nobody hears.
    let again = told(8, &[both[0], both[1], held(SISTER, ParticipantRole::Relative)]);
    story.apply(Event::Party(again.clone()));
    assert!(!story.room.is_admitted(id(SISTER)));
    assert!(!story.room.edges.iter().any(|edge| edge.joins(id(SISTER))));
    assert!(story.hear(line).contains(&"waiting".to_owned()));
    story.apply(Event::Decided(id(SISTER), Admission::Admitted, 5));
    assert!(!story.room.is_admitted(id(SISTER)), "an older word");
    // Also whoever was on the way.
    story.enter(SISTER);
    assert!(!story.room.is_admitted(id(SISTER)), "read before");
    story.apply(Event::Decided(id(SISTER), Admission::Admitted, 9));
    assert!(story.room.is_admitted(id(SISTER)));
    story.hear(doctor);
}

#[test]
fn whoever_was_let_in_unheard_is_let_in_with_the_next_that_is_told() {
    let mut story = Story::begin();
    let people = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        held(ASHA, ParticipantRole::Patient),
    ];
    story.party = told(3, &people);
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.hear(doctor);
    story.hear(asha);
    // Let in with 4, of which nobody hears; with 5 the doctor has locked the door.
    assert!(story.room.is_behind(4));
    let inside = [people[0], companion(ASHA, ParticipantRole::Patient, false)];
    let locked = Party { locked: true, ..told(5, &inside) };
    story.apply(Event::Party(locked.clone()));
    assert!(story.room.is_admitted(id(ASHA)));
    assert_eq!(story.hear(asha), ["lock", "admitted", "snapshot", "negotiate"]);
    assert!(!story.room.is_behind(5));
    story.apply(Event::Decided(id(ASHA), Admission::Held, 3));
    assert!(story.room.is_admitted(id(ASHA)), "an older word");
    // Told twice, nothing is new.
    story.hear(doctor);
    story.apply(Event::Party(locked));
    assert_eq!((story.hear(asha).len(), story.hear(doctor).len()), (0, 0));
    // Whoever was on the way with what was read before is let in too.
    let again = story.enter(ASHA);
    assert!(story.room.is_admitted(id(ASHA)));
    story.hear(again);

    // Also when what was read later came first.
    let mut story = Story::begin();
    story.party = told(4, &inside);
    story.enter(DOCTOR);
    story.party = told(3, &people);
    story.enter(ASHA);
    assert!(story.room.is_admitted(id(ASHA)));
    story.apply(Event::Decided(id(ASHA), Admission::Held, 2));
    assert!(story.room.is_admitted(id(ASHA)), "an older word");
}

#[test]
fn the_record_says_of_what_is_made_good_what_it_says_of_what_is_told() {
    let (mut story, ..) = Story::in_call();
    let marks = |story: &mut Story| {
        let kept = std::mem::take(&mut story.kept).into_iter();
        let marks = kept.filter_map(|kept| match kept {
            Kept::Mark(mark) if mark.kind != MarkKind::Rebuilt => Some((mark.kind, mark.why)),
            _ => None,
        });
        marks.collect::<Vec<_>>()
    };
    marks(&mut story);
    // The doctor held her, let her in again and sent her out; whoever was to tell it died each time.
    let since = story.now;
    story.admitted.retain(|one| *one != ASHA);
    story.party.rev += 1;
    let mut held = story.guest(ASHA);
    story.now = story.now.plus(TimeDelta::seconds(2));
    held.since = Some(since);
    let line = story.new_line();
    story.seats.get_mut(&ASHA).unwrap().1 += 1;
    story.apply(Event::Resume(held, line, story.credentials(ASHA), 0));
    let told = marks(&mut story);
    assert!(told.contains(&(MarkKind::Ended, Some(MarkWhy::Held))), "{told:?}");
    assert!(told.contains(&(MarkKind::Held, None)), "{told:?}");
    assert_eq!(story.room.seat(id(ASHA)).unwrap().guest.since, Some(since), "not since now");

    story.admitted.push(ASHA);
    story.party.rev += 1;
    story.resume(ASHA, 0);
    let told = marks(&mut story);
    assert!(told.contains(&(MarkKind::Admitted, None)), "{told:?}");
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, story.party.rev));
    assert_eq!(marks(&mut story), [], "told late, and known");

    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let rev = story.party.rev;
    story.apply(Event::Party(self::told(rev + 1, &both)));
    story.apply(Event::Party(self::told(rev + 2, &both[..1])));
    assert_eq!(marks(&mut story), [(MarkKind::Ended, Some(MarkWhy::Removed))]);
}

#[test]
fn whoever_comes_back_brings_what_the_room_was_not_told() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    let people = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
        companion(INTERPRETER, ParticipantRole::Interpreter, false),
    ];
    story.party.people = people.to_vec();
    story.apply(Event::Party(story.party.clone()));
    for line in [doctor, asha, interpreter] {
        story.hear(line);
    }
    // Who was to tell the room of these is dead: she waits again, the door is locked, and nobody
    // asks the interpreter to come any more.
    story.admitted.retain(|one| *one != ASHA);
    let waits = vec![people[0], held(ASHA, ParticipantRole::Patient)];
    story.party = Party { rev: story.party.rev + 3, locked: true, people: waits };
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    let asha = story.resume(ASHA, seen);
    let heard = story.hear(asha);
    assert_eq!(heard.first().map(String::as_str), Some("resumed"));
    assert!(["lock", "waiting"].iter().all(|t| heard.iter().any(|one| one == t)), "{heard:?}");
    assert!(!story.room.is_admitted(id(ASHA)));
    assert_eq!(story.room.edges.len(), 0);
    assert_eq!(story.closed[&interpreter], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed)]);
    let told = story.messages(doctor);
    assert!(told.iter().any(|one| one["body"]["participant"]["state"] == "waiting"), "{told:?}");
    // Told late, the word that let her in before is older than what she brought.
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, story.party.rev - 1));
    assert!(!story.room.is_admitted(id(ASHA)));

    // And the other way: she comes back let in, and to whoever conducts the visit now.
    story.admitted.push(ASHA);
    let mut people = people[..2].to_vec();
    people[0].role = ParticipantRole::Specialist;
    people.push(companion(TRAINEE, ParticipantRole::Practitioner, false));
    story.party = Party { rev: story.party.rev + 1, locked: false, people };
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.hear(doctor);
    let asha = story.resume(ASHA, seen);
    let heard = story.hear(asha);
    assert!(
        ["admitted", "negotiate"].iter().all(|t| heard.iter().any(|one| one == t)),
        "{heard:?}"
    );
    assert_eq!(story.room.role(id(DOCTOR)), Some(ParticipantRole::Specialist));
    assert_eq!(story.room.edges.len(), 1);
}

#[test]
fn what_is_read_with_whoever_comes_back_undoes_nothing_that_was_decided_since() {
    let (mut story, _, _) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.decide(ASHA, Admission::Held);
    // Read between the two words: she was let in then, and is not now.
    story.party.rev += 1;
    story.admitted.push(ASHA);
    story.apply(Event::Decided(id(ASHA), Admission::Held, story.party.rev + 1));
    let asha = story.resume(ASHA, seen);
    assert!(!story.hear(asha).contains(&"admitted".to_owned()));
    assert!(!story.room.is_admitted(id(ASHA)));
}

#[test]
fn of_whoever_conducts_the_visit_or_was_sent_out_no_earlier_word_that_is_told_late_counts() {
    let mut story = Story::begin();
    let people = |doctor| {
        let all = [
            held(ASHA, ParticipantRole::Patient),
            companion(doctor, ParticipantRole::Practitioner, false),
            held(INTERPRETER, ParticipantRole::Interpreter),
        ];
        all.to_vec()
    };
    story.party.people = people(DOCTOR);
    for who in [ASHA, DOCTOR, TRAINEE, INTERPRETER] {
        story.enter(who);
    }
    let told = |rev, doctor, count: usize| {
        let people = people(doctor)[..count].to_vec();
        Event::Party(Party { rev, locked: false, people })
    };
    story.apply(told(5, TRAINEE, 2));
    assert_eq!(story.gone, [(id(DOCTOR), LeftWhy::Removed), (id(INTERPRETER), LeftWhy::Removed)]);
    story.apply(Event::Decided(id(TRAINEE), Admission::Held, 4));
    assert!(story.room.is_admitted(id(TRAINEE)));
    story.apply(Event::Decided(id(INTERPRETER), Admission::Admitted, 3));
    // Asked to come again meanwhile; the seat is from before.
    story.apply(told(6, TRAINEE, 3));
    story.admitted.push(INTERPRETER);
    story.party.rev = 2;
    story.enter(INTERPRETER);
    assert!(!story.room.is_admitted(id(INTERPRETER)));
}
