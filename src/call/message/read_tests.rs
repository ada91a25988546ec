//! Frames as they come, good and bad.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const KINDS: [&str; 23] = [
    "hello",
    "resume",
    "ack",
    "ping",
    "presence",
    "offer",
    "answer",
    "candidate",
    "end_of_candidates",
    "negotiate_request",
    "ice_restart_request",
    "media_state",
    "quality",
    "fallback",
    "rung_ack",
    "admit",
    "hold",
    "deny",
    "remove",
    "lock",
    "side",
    "leave",
    "end",
];

fn misread(text: &str) -> Misread {
    read(text).unwrap_err()
}

fn frame(t: &str, body: &str) -> String {
    format!(r#"{{"v":1,"id":"c1","t":"{t}","edge":"e1","neg":1,"gen":7,"body":{body}}}"#)
}

#[test]
fn every_kind_of_the_specification_is_understood() {
    let participant = r#"{"participant":"019dab12-0000-7000-8000-0000000000a1"}"#;
    for (t, body) in [
        ("hello", r#"{"ticket":"eyJ","caps":["trickle"],"client":"web","tz":"Asia/Tomsk"}"#),
        (
            "resume",
            r#"{"sid":"019dab13-0000-7000-8000-000000000001","secret":"q","epoch":1,"last_seq":118}"#,
        ),
        ("ack", "{}"),
        ("ping", r#"{"rtt":84}"#),
        ("presence", r#"{"state":"device_check"}"#),
        ("offer", r#"{"sdp":"v=0"}"#),
        ("answer", r#"{"sdp":"v=0"}"#),
        (
            "candidate",
            r#"{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"h2Kx"}"#,
        ),
        ("end_of_candidates", "{}"),
        ("negotiate_request", r#"{"edge":"e1","why":"rebuild"}"#),
        ("ice_restart_request", r#"{"edge":"e1","why":"disconnected"}"#),
        ("media_state", r#"{"audio":true,"video":false}"#),
        (
            "quality",
            r#"{"rtt":84,"jitter":6,"loss_in":0.012,"loss_out":0.0,"bitrate":412000,"mos":4.2}"#,
        ),
        (
            "quality",
            r#"{"rtt":84,"jitter":6,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4.2,"transport":"relay/udp","room":300000,"sent":1,"received":2,"rung":"audio_stills"}"#,
        ),
        ("fallback", r#"{"rung":"audio","why":"data_saver"}"#),
        ("fallback", r#"{"rung":"phone"}"#),
        ("rung_ack", r#"{"step":3}"#),
        ("admit", participant),
        ("hold", participant),
        ("deny", participant),
        ("remove", participant),
        ("lock", r#"{"locked":true}"#),
        ("side", r#"{"participant":"019dab12-0000-7000-8000-0000000000a1","aside":true}"#),
        ("leave", r#"{"reason":"user"}"#),
        ("end", r#"{"outcome":"completed"}"#),
    ] {
        let read = read(&frame(t, body)).unwrap();
        assert_eq!(read.id.as_deref(), Some("c1"), "{t}");
    }
}

#[test]
fn what_is_not_this_protocol_is_told_from_what_is_only_wrong() {
    for text in ["", "[]", "{}", "hello", r#"{"v":2,"t":"ping"}"#, r#"{"v":1,"t":"ping","to":"x"}"#]
    {
        assert_eq!(misread(text), Misread::NotOurs, "{text}");
    }
    let id = || Some("c1".to_owned());
    assert_eq!(misread(&frame("dance", "{}")), Misread::Unsupported(id()));
    assert_eq!(misread(&frame("ping", r#"{"new":1}"#)), Misread::BadRequest(id()));
    assert_eq!(
        misread(r#"{"v":1,"id":"c1","t":"offer","body":{"sdp":""}}"#),
        Misread::BadRequest(id())
    );
}

#[test]
fn every_part_has_its_limit() {
    let id = || Some("c1".to_owned());
    let long = |length| "x".repeat(length);
    let sdp = |length| frame("offer", &format!(r#"{{"sdp":"{}"}}"#, long(length)));
    assert!(read(&sdp(SDP_BYTES_MAX)).is_ok());
    assert_eq!(misread(&sdp(SDP_BYTES_MAX + 1)), Misread::TooLarge(id()));
    let candidate = |length| frame("candidate", &format!(r#"{{"candidate":"{}"}}"#, long(length)));
    assert!(read(&candidate(CANDIDATE_BYTES_MAX)).is_ok());
    assert_eq!(misread(&candidate(CANDIDATE_BYTES_MAX + 1)), Misread::TooLarge(id()));
    let why = |length| frame("negotiate_request", &format!(r#"{{"why":"{}"}}"#, long(length)));
    assert!(read(&why(TEXT_LEN_MAX)).is_ok());
    assert_eq!(misread(&why(TEXT_LEN_MAX + 1)), Misread::TooLarge(id()));
    let named = |length| format!(r#"{{"v":1,"t":"ping","id":"{}"}}"#, long(length));
    assert!(read(&named(ID_LEN_MAX)).is_ok());
    assert_eq!(misread(&named(ID_LEN_MAX + 1)), Misread::TooLarge(None));
    let nested = |depth| frame("ping", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(misread(&nested(JSON_DEPTH_MAX - 1)), Misread::BadRequest(id()));
    assert_eq!(misread(&nested(JSON_DEPTH_MAX)), Misread::NotOurs);
    assert_eq!(misread(&nested(30_000)), Misread::NotOurs, "and the stack is safe");
}

#[test]
fn a_report_of_what_cannot_be_is_refused() {
    let report = |rtt: f64, loss: f64, mos: f64| {
        let body = format!(
            r#"{{"rtt":{rtt},"jitter":6,"loss_in":{loss},"loss_out":0,"bitrate":1,"mos":{mos}}}"#
        );
        read(&frame("quality", &body))
    };
    assert!(report(84.0, 1.0, 4.5).is_ok());
    for wrong in [report(-1.0, 0.0, 4.0), report(84.0, 1.1, 4.0), report(84.0, 0.0, 9.0)] {
        assert!(matches!(wrong, Err(Misread::BadRequest(_))));
    }
    let asked = |rung: &str| read(&frame("fallback", &format!(r#"{{"rung":"{rung}"}}"#)));
    assert!(asked("text").is_ok());
    assert!(matches!(asked("semaphore"), Err(Misread::BadRequest(_))));
}

#[test]
fn a_number_that_no_browser_can_count_to_is_refused() {
    let resume = |last: u64| {
        frame(
            "resume",
            &format!(
                r#"{{"sid":"019dab13-0000-7000-8000-000000000001","secret":"q","epoch":1,"last_seq":{last}}}"#
            ),
        )
    };
    assert!(read(&resume(NUMBER_MAX)).is_ok());
    assert!(matches!(misread(&resume(NUMBER_MAX + 1)), Misread::BadRequest(_)));
    assert!(matches!(misread(&resume(u64::MAX)), Misread::BadRequest(_)));
}

#[test]
fn what_is_passed_on_is_passed_on_word_for_word() {
    let body = "{ \"sdp\" : \"v=0\\r\\n\\u0433\" }";
    let text = format!(r#"{{"body": {body} ,"v":1,"t":"offer","edge":"e1"}}"#);
    let FromPeer::Offer(_, _, said) = read(&text).unwrap().said else { panic!("an offer") };
    assert_eq!(said.as_str(), body);
    let twice = frame("offer", r#"{"sdp":"a","sdp":"b"}"#);
    assert!(matches!(misread(&twice), Misread::BadRequest(_)), "the other side reads the last");
    let hidden = r#"{"v":1,"t":"offer","edge":"e1","b\u006fdy":{"sdp":"v=0"}}"#;
    assert_eq!(misread(hidden), Misread::NotOurs);
    let twice = r#"{"v":1,"t":"ping","body":{},"b\u006fdy":{}}"#;
    assert_eq!(misread(twice), Misread::NotOurs);
    let broken = frame("offer", r#"{"sdp":"\ud800"}"#);
    assert!(matches!(misread(&broken), Misread::BadRequest(_)), "half a character");
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![
            Just("sdp".to_owned()),
            Just("candidate".to_owned()),
            Just("participant".to_owned()),
            Just("edge".to_owned()),
            "[a-z_]{1,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Nearly a frame: one of ours with wrong parts, cut, or with a byte changed.
fn nearly() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        9 => prop::sample::select(KINDS.to_vec()).prop_map(str::to_owned),
        1 => ".{0,20}",
    ];
    let parts = (kind, json(), json(), any::<u8>(), prop::option::of(any::<u64>()));
    (parts, 0_usize..400, any::<u8>(), 0_u8..4).prop_map(|(parts, at, byte, damage)| {
        let (kind, body, edge, v, number) = parts;
        let v = if damage == 3 { v } else { 1 };
        let frame = serde_json::json!({
            "v": v, "t": kind, "body": body, "edge": edge.as_str(), "gen": number, "ack": number,
        });
        let mut bytes = frame.to_string().into_bytes();
        let at = at % bytes.len();
        match damage {
            1 => bytes.truncate(at),
            2 => bytes[at] = byte,
            _ => {}
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_malformed_frame_is_refused_and_never_a_fault(text in prop_oneof![nearly(), ".{0,80}"]) {
        match read(&text) {
            Ok(frame) => prop_assert!(frame.id.is_none_or(|id| id.len() <= ID_LEN_MAX)),
            Err(
                Misread::NotOurs
                | Misread::Unsupported(_)
                | Misread::BadRequest(_)
                | Misread::TooLarge(_),
            ) => {}
        }
    }
}
