//! How soon a seat is back when the network is.

use crate::netsim::Host;
use crate::netsim::profile::LOOPBACK;
use crate::talk::{Talk, happens, now_ms, tell, wait};

/// A phone sees itself that its network has gone and come.
#[actix_web::test]
async fn a_seat_is_back_at_once_when_the_network_returns() {
    let mut talk = Talk::prepared(LOOPBACK).await;
    talk.at_the_door().await;
    talk.lets_in().await;
    let seats = talk.seats().await;
    for outage in [3, 12, 25] {
        talk.net.unplug(Host::Patient);
        wait(outage).await;
        // Something to be heard afterwards.
        talk.doctor.click("#mic").await;
        talk.doctor.click("#mic").await;
        let plugged = now_ms();
        talk.net.plug(Host::Patient);
        back(&talk, plugged, (3.0, 10.0), &format!("unplugged for {outage} s")).await;
        assert_eq!(talk.seats().await, seats);
    }
    talk.assert_clean().await;
}

/// Nobody says that the network has gone, nor that it has come.
#[actix_web::test]
async fn a_seat_is_back_soon_when_a_silent_network_returns() {
    let mut talk = Talk::prepared(LOOPBACK).await;
    talk.at_the_door().await;
    talk.lets_in().await;
    let seats = talk.seats().await;
    for outage in [3, 12, 25, 40] {
        talk.net.black(Host::Patient, true);
        wait(outage).await;
        talk.doctor.click("#mic").await;
        talk.doctor.click("#mic").await;
        let clear = now_ms();
        talk.net.black(Host::Patient, false);
        back(&talk, clear, (12.0, 20.0), &format!("silent for {outage} s")).await;
        assert_eq!(talk.seats().await, seats);
    }
    talk.assert_clean().await;
}

/// The seat and the sound are back within so many seconds.
async fn back(talk: &Talk, since: i64, (seat_secs, sound_secs): (f64, f64), what: &str) {
    // Over a new socket or, after a short silence, still over the old one.
    let seat = format!(
        "links.heard.find(({{ at, t }}) => at >= {since} && (t === 'resumed' || t === 'pong' || t === 'media_state'))?.at ?? null"
    );
    let seat = happens(&talk.patient, since, &seat).await;
    let mut sounds = Vec::new();
    for page in [&talk.patient, &talk.doctor] {
        sounds.push(happens(page, since, &format!("links.back({since}, 'audio')")).await);
        page.see("#call-state[data-state=in_call]").await;
    }
    let story = talk.patient.eval(&format!("links.story({since}, 45000, 8000)")).await;
    tell(
        "resume",
        talk.profile.name,
        &format!("{what}: seat {seat:.2} s, sound {sounds:.2?} s\n    {story}"),
    );
    assert!(seat <= seat_secs, "{what}: the seat after {seat} s");
    assert!(sounds.iter().all(|sound| *sound <= sound_secs), "{what}: sound after {sounds:?} s");
}
