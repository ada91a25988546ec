//! A call over the relay alone, from the edge of 3G.

use serde_json::json;

use crate::netsim::profile::EDGE_3G;
use crate::support::relay::{Coturn, LOOPBACK, SECRET};
use crate::talk::{Talk, flow, now_ms, tell, wait};

#[actix_web::test]
async fn a_call_from_the_edge_of_3g_goes_over_the_relay_by_udp() {
    call_over("udp", 10.0).await;
}

#[actix_web::test]
async fn a_call_from_the_edge_of_3g_goes_over_the_relay_by_tcp() {
    call_over("tcp", 45.0).await;
}

/// From "admit" both hear within `sound_secs`: some four times what docs/links.md says.
async fn call_over(protocol: &'static str, sound_secs: f64) {
    let mut relay = None;
    let mut talk = Talk::prepared_with(EDGE_3G, |net| {
        let listens = format!("--listening-ip={}", net.server());
        let coturn = Coturn::start(&[LOOPBACK, &[&listens]].concat());
        let url = format!("turn:{}:{}?transport={protocol}", net.server(), coturn.port);
        relay = Some(coturn);
        vec![
            ("FELDSHER__ICE__TURN_URLS", url),
            ("FELDSHER__ICE__TURN_SECRET", SECRET.to_owned()),
            ("FELDSHER__ICE__POLICY", "relay".to_owned()),
        ]
    })
    .await;
    talk.at_the_door().await;
    let began = talk.lets_in().await;
    tell("relay", protocol, &format!("{began:.1?}"));
    assert!(began.sound.iter().all(|sound| *sound <= sound_secs), "{began:?}");
    let from = now_ms();
    wait(30).await;
    for page in [&talk.patient, &talk.doctor] {
        let went = flow(page, from).await;
        tell("relay", protocol, &format!("{went:.2?}"));
        assert!(went.least > 0, "five seconds without a sound");
        let way = page.eval("watched.way()").await;
        let relayed = json!({"near": "relay", "far": "relay", "over": protocol, "direct": false});
        assert_eq!(way, relayed);
    }
    talk.assert_clean().await;
}
