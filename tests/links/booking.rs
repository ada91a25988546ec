//! Booking over 2G, and the link goes just when the person presses "book".

use std::time::Duration;

use actix_web::rt;

use crate::netsim::Host;
use crate::netsim::line::Dice;
use crate::netsim::profile::{LOOPBACK, VILLAGE_2G};
use crate::talk::{Talk, now_ms, percentile, runs, secs, tell};

const BLACKOUT: Duration = Duration::from_secs(30);
/// From the press to the code on the screen, the blackout included.
const SECS_MAX: f64 = 90.0;

#[actix_web::test]
async fn a_booking_from_a_village_outlives_a_blackout_and_is_one() {
    let talk = Talk::prepared(VILLAGE_2G).await;
    let page = &talk.patient;
    let mut dice = Dice(3);
    let (mut took, mut pressed) = (Vec::new(), Vec::new());
    for run in 0..runs(3) {
        let before = count(&talk).await;
        page.click("#book-visit").await;
        page.click("#services [data-id]").await;
        page.click("#first-free").await;
        page.click("#book").await;
        let begun = now_ms();
        // Before the request has left, while it is under way, or after it has arrived.
        rt::time::sleep(Duration::from_secs_f64(dice.roll() * 1.5)).await;
        talk.net.black(Host::Patient, true);
        rt::time::sleep(BLACKOUT).await;
        talk.net.black(Host::Patient, false);
        pressed.push(until_booked(&talk).await);
        took.push(secs(begun, now_ms()));
        let id = page.eval("document.querySelector('#confirmation').dataset.appointment").await;
        assert!(id.is_string(), "{id}");
        assert_eq!(count(&talk).await, before + 1, "run {run}: one visit, neither none nor two");
        page.click("#to-home").await;
        page.see("#upcoming").await;
    }
    let (half, most) = (percentile(&took, 50), percentile(&took, 95));
    tell(
        "booking",
        VILLAGE_2G.name,
        &format!("p50 {half:.1} s, p95 {most:.1} s of {took:.1?}, presses {pressed:?}"),
    );
    assert!(took.iter().all(|took| *took <= SECS_MAX), "{took:?}");
    page.assert_content();
}

/// A person who is told that there is no connection presses again; how often it took.
async fn until_booked(talk: &Talk) -> u32 {
    let page = &talk.patient;
    let done = "watched.seen('#booking-code') ? 'done' : !document.querySelector('#book').disabled && 'again'";
    for presses in 1..=5 {
        if page.wait_at_most(crate::talk::SECS_MAX, done).await == "done" {
            return presses;
        }
        page.click("#book").await;
    }
    panic!("five presses and no visit");
}

/// How many visits she has; only the booking itself is to go over the bad link.
async fn count(talk: &Talk) -> usize {
    talk.net.becomes(Host::Patient, LOOPBACK);
    let count = talk.count().await;
    talk.net.becomes(Host::Patient, VILLAGE_2G);
    count
}
