//! A call over each link, and thirty seconds without any link in the middle of it.

use crate::netsim::Host;
use crate::netsim::profile::{BAD_WIFI, EDGE_3G, Profile, SATELLITE, VILLAGE_2G};
use crate::talk::{Flow, Talk, flow, may_happen, now_ms, secs, tell, wait};

/// How long a call is listened to before the link goes.
const LISTEN_SECS: u64 = 40;
const BLACKOUT_SECS: u64 = 30;
/// How long sound, and then a picture, may need to come back.
const SOUND_SECS_MAX: u64 = 45;
const PICTURE_SECS_MAX: u64 = 20;
/// Both pages must have noticed by then.
const NOTICE_SECS: i64 = 20;

/// What each may take at most, in seconds: some four times what docs/links.md says of the profile,
/// since the machine has other work as well.
struct Limits {
    /// From "admit" until both have the other's description, and until both hear.
    answered: f64,
    sound: f64,
    /// From the return of the network until both hear again, and until the seat is back.
    sound_back: f64,
    seat_back: f64,
}

const ON_WIFI: Limits = Limits { answered: 4.0, sound: 6.0, sound_back: 12.0, seat_back: 10.0 };
const ON_2G: Limits = Limits { answered: 10.0, sound: 18.0, sound_back: 30.0, seat_back: 12.0 };
const ON_3G: Limits = Limits { answered: 6.0, sound: 8.0, sound_back: 20.0, seat_back: 12.0 };
const BY_SATELLITE: Limits =
    Limits { answered: 6.0, sound: 18.0, sound_back: 20.0, seat_back: 12.0 };

#[actix_web::test]
async fn a_call_on_bad_wifi_outlives_a_blackout() {
    a_call_outlives_a_blackout(BAD_WIFI, &ON_WIFI, 15).await;
}

#[actix_web::test]
async fn a_call_from_a_village_outlives_a_blackout() {
    a_call_outlives_a_blackout(VILLAGE_2G, &ON_2G, LISTEN_SECS).await;
}

#[actix_web::test]
async fn a_call_from_the_edge_of_3g_outlives_a_blackout() {
    a_call_outlives_a_blackout(EDGE_3G, &ON_3G, LISTEN_SECS).await;
}

#[actix_web::test]
async fn a_call_over_a_satellite_outlives_a_blackout() {
    a_call_outlives_a_blackout(SATELLITE, &BY_SATELLITE, LISTEN_SECS).await;
}

async fn a_call_outlives_a_blackout(profile: Profile, limits: &Limits, listen_secs: u64) {
    let mut talk = Talk::prepared(profile).await;
    talk.at_the_door().await;
    let began = talk.lets_in().await;
    tell("begin", profile.name, &format!("page {:.1} s, {began:.1?}", talk.page_secs));
    assert!(began.agreed <= limits.answered, "{began:?}");
    assert!(began.sound.iter().all(|sound| *sound <= limits.sound), "{began:?}");

    let from = now_ms();
    wait(listen_secs).await;
    sound_flows(&talk, from).await;
    let (seats, visits) = (talk.seats().await, talk.visits().await);
    assert_eq!(visits.1, "in-progress");

    let black = now_ms();
    talk.net.black(Host::Patient, true);
    wait(BLACKOUT_SECS).await;
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let shown = page.eval(&format!("links.shown({})", black + NOTICE_SECS * 1000)).await;
        let honest = ["recovering", "reconnecting", "peer_lost"].map(serde_json::Value::from);
        assert!(honest.contains(&shown), "the {side}'s page says {shown} in the middle of nothing");
    }
    let clear = now_ms();
    talk.net.black(Host::Patient, false);
    let mut back = Vec::new();
    for page in [&talk.patient, &talk.doctor] {
        let came = |kind: &str| format!("links.back({clear}, '{kind}')");
        let sound = may_happen(page, SOUND_SECS_MAX, clear, &came("audio")).await;
        // On a thin line the page may go on with the voice alone.
        back.push((sound, may_happen(page, PICTURE_SECS_MAX, clear, &came("frames")).await));
    }
    let resumed = talk.patient.eval(&format!("links.came('resumed', {clear})")).await;
    let resumed = resumed.as_i64().map(|at| secs(clear, at));
    tell(
        "blackout",
        profile.name,
        &format!("sound and picture {back:.1?} s, resumed after {resumed:.1?} s"),
    );

    for page in [&talk.patient, &talk.doctor] {
        let story = page.eval(&format!("links.story({clear}, 30000, 20000)")).await;
        tell("story", profile.name, story.as_str().unwrap());
    }
    for (page, (sound, _)) in [&talk.patient, &talk.doctor].into_iter().zip(&back) {
        assert!(sound.is_some_and(|sound| sound <= limits.sound_back), "sound back: {sound:?}");
        page.see("#call-state[data-state=in_call]").await;
    }

    assert!(resumed.is_some_and(|seat| seat <= limits.seat_back), "the seat back: {resumed:?}");

    let from = now_ms();
    wait(10).await;
    sound_flows(&talk, from).await;
    assert_eq!(talk.seats().await, seats, "the same seats");
    assert_eq!(talk.visits().await, visits, "the same visit goes on, and no other was made");
    talk.assert_clean().await;
    tell("packets", profile.name, &format!("{:?}", talk.net.tally(Host::Patient)));
}

async fn sound_flows(talk: &Talk, from: i64) {
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let story = page.eval(&format!("links.story({from}, 15000, 60000)")).await;
        tell("story", talk.profile.name, story.as_str().unwrap());
        let Flow { least, rate, concealed, frames } = flow(page, from).await;
        let share = concealed * 100.0;
        tell(
            "sound",
            talk.profile.name,
            &format!(
                "{side} hears {rate:.1} packets/s, made up {share:.1} %, {frames:.1} pictures/s, least {least} in 5 s"
            ),
        );
        assert!(least > 0, "{side}: five seconds without a sound");
    }
}
