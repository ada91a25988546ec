//! How long it takes to come into a room over a bad link, again and again.

use crate::netsim::profile::{
    BAD_WIFI, EDGE_3G, LOOPBACK, LOSS_10, LOSS_20, Profile, SATELLITE, VILLAGE_2G,
};
use crate::talk::{Talk, percentile, runs, tell, whole};

#[actix_web::test]
async fn on_one_machine_nobody_waits() {
    joins_again_and_again(LOOPBACK).await;
}

#[actix_web::test]
async fn a_station_with_3g_joins_in_time() {
    joins_again_and_again(EDGE_3G).await;
}

#[actix_web::test]
async fn a_satellite_joins_in_time() {
    joins_again_and_again(SATELLITE).await;
}

#[actix_web::test]
async fn bad_wifi_joins_in_time() {
    joins_again_and_again(BAD_WIFI).await;
}

#[actix_web::test]
async fn a_village_joins_in_time() {
    joins_again_and_again(VILLAGE_2G).await;
}

#[actix_web::test]
async fn everybody_connects_when_a_tenth_is_lost() {
    joins_again_and_again(LOSS_10).await;
}

#[actix_web::test]
async fn everybody_connects_when_a_fifth_is_lost() {
    joins_again_and_again(LOSS_20).await;
}

/// From the press on "join" with a new ticket and a new seat. Whoever was let in stays let in.
async fn joins_again_and_again(profile: Profile) {
    let mut talk = Talk::prepared(profile).await;
    talk.at_the_door().await;
    let first = talk.lets_in().await;
    tell("first", profile.name, &format!("{first:.1?}"));
    let (mut agreed, mut sound, mut picture) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs(5) {
        talk.patient.click("#leave").await;
        talk.doctor.see("#call-state[data-state=alone]").await;
        talk.joins().await;
        let pressed = whole(&talk.patient.eval("links.pressed()").await);
        let began = talk.began(pressed).await;
        agreed.push(began.agreed);
        sound.push(began.sound[0].max(began.sound[1]));
        picture.push(began.picture[0].max(began.picture[1]));
    }
    for (what, values) in [("offer and answer", &agreed), ("sound", &sound), ("picture", &picture)]
    {
        let (half, most) = (percentile(values, 50), percentile(values, 95));
        tell(
            "join",
            profile.name,
            &format!("{what} p50 {half:.1} s, p95 {most:.1} s of {values:.1?}"),
        );
    }
    talk.assert_clean().await;
}
