//! Section 3: who takes a seat, and what they see.

use super::*;

#[test]
fn what_a_line_was_found_to_carry_is_said_with_the_first_negotiation() {
    let mut story = Story::begin();
    story.carries.insert(ASHA, Rung::Audio);
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    for line in [asha, doctor] {
        let asked = story.heard[&line].iter().rfind(|one| one["t"] == "negotiate").unwrap();
        let ladder = &asked["body"]["ladder"];
        assert_eq!((&ladder["rung"], &ladder["why"]), (&"audio".into(), &"probed".into()));
        assert_eq!(ladder["send"]["video"], serde_json::Value::Null);
    }
}

#[test]
fn a_patient_waits_and_knows_whether_the_doctor_is_here() {
    let mut story = Story::begin();
    let asha = story.enter(ASHA);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&Value::from("welcome"), &Value::from(1)));
    assert_eq!(heard[0]["body"]["epoch"], 1);
    assert_eq!(heard[0]["body"]["resume_ms"], 180_000);
    assert_eq!(heard[1]["body"]["practitioner_here"], false);
    let doctor = story.enter(DOCTOR);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["op"]), (&"peer".into(), &"joined".into()));
    assert_eq!(heard[1]["body"]["practitioner_here"], true);
    story.frame(doctor, r#"{"v":1,"t":"leave"}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["op"]), (&"peer".into(), &"left".into()));
    assert_eq!(heard[1]["body"]["practitioner_here"], false);
}

#[test]
fn the_newest_device_wins_and_begins_with_number_one() {
    let (mut story, doctor, phone) = Story::in_call();
    let tablet = story.enter(ASHA);
    assert_eq!(story.closed[&phone], CloseCode::Superseded);
    let heard = story.messages(tablet);
    assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&"welcome".into(), &1.into()));
    assert_eq!(heard[1]["body"]["fresh"], true, "new edges for a new seat");
    assert_eq!(story.hear(doctor), ["peer", "negotiate"], "she is seen all the while");
    assert_eq!(story.gone, [], "nobody has left");
}

#[test]
fn whoever_waits_sees_the_doctor_and_no_other_patient() {
    let mut story = Story::begin();
    story.enter(SISTER);
    let asha = story.enter(ASHA);
    story.enter(DOCTOR);
    let heard = story.messages(asha);
    let names: Vec<_> = heard[0]["body"]["roster"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1);
    assert!(heard.iter().all(|one| !one.to_string().contains(&id(SISTER).0.to_string())));
}

#[test]
fn the_room_has_a_last_seat() {
    let mut story = Story::begin();
    for who in (1..).take(ENDPOINTS_MAX) {
        story.enter(who);
    }
    let late = story.enter(ASHA);
    assert_eq!(story.closed[&late], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Denied)], "the database must not think she waits");
    let again = story.enter(1);
    assert!(!story.closed.contains_key(&again), "who sits here can change the device");
    for who in (10..).take(PEOPLE_MAX - ENDPOINTS_MAX) {
        story.sitting.insert(who, id(1));
        let beside = story.enter(who);
        assert!(
            !story.closed.contains_key(&beside),
            "whoever sits beside somebody takes no device"
        );
    }
    story.sitting.insert(20, id(1));
    let one_more = story.enter(20);
    assert_eq!(story.closed[&one_more], CloseCode::Forbidden);
}
