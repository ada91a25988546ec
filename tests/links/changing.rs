//! A line that gets bad in the middle of a call and good again: the ladder goes down with it and up.

use serde_json::Value;

use crate::netsim::Host;
use crate::netsim::profile::{CLINIC, VILLAGE_2G};
use crate::page::Page;
use crate::talk::{SECS_MAX, Talk, flow, happens, may_happen, now_ms, secs, tell, wait, whole};

/// How long the call stands on each line, in seconds.
const GOOD_SECS: u64 = 10;
const BAD_SECS: u64 = 40;
/// From the change of the line until both are on a lower rung, in seconds: some four times what
/// docs/links.md says.
const DOWN_SECS_MAX: f64 = 40.0;
/// From its return until both have a picture again, in seconds: each step up waits until the line
/// was good for half a minute, or for longer after a second fall.
const UP_SECS_MAX: u64 = 200;

#[actix_web::test]
async fn a_call_goes_down_the_ladder_with_the_line_and_up_again() {
    let mut talk = Talk::prepared(CLINIC).await;
    talk.at_the_door().await;
    let began = talk.lets_in().await;
    tell("begin", CLINIC.name, &format!("{began:.1?}"));
    wait(GOOD_SECS).await;
    for page in [&talk.patient, &talk.doctor] {
        assert_eq!(rung(page).await, "video");
    }

    let worse = now_ms();
    talk.net.becomes(Host::Patient, VILLAGE_2G);
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let down = happens(page, worse, &format!("links.came('rung', {worse})")).await;
        tell(
            "down",
            VILLAGE_2G.name,
            &format!("the {side} hears of the first step after {down:.1} s"),
        );
        assert!(down <= DOWN_SECS_MAX, "the {side}: {down}");
    }
    wait(BAD_SECS).await;
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let went = steps(page, worse).await;
        tell("steps", VILLAGE_2G.name, &format!("{side}: {went:.1?}"));
        assert!(["audio_stills", "audio"].contains(&&*rung(page).await), "the {side}: {went:?}");
    }
    // The voice has what the picture gave up.
    let from = now_ms();
    wait(15).await;
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let heard = flow(page, from).await;
        tell("sound", VILLAGE_2G.name, &format!("{side} {heard:.2?}"));
        assert!(heard.least > 0, "{side}: five seconds without a sound: {heard:?}");
        page.see("#call-state[data-state=in_call]").await;
    }

    let better = now_ms();
    talk.net.becomes(Host::Patient, CLINIC);
    for (side, page) in [("patient", &talk.patient), ("doctor", &talk.doctor)] {
        let picture =
            format!("links.rungs({better}).find(({{ more }}) => /video/.test(more))?.at ?? null");
        let step = may_happen(page, UP_SECS_MAX, better, &picture).await;
        let went = steps(page, better).await;
        tell("steps", "clinic again", &format!("{side}: {went:.1?}"));
        let step = step.unwrap_or_else(|| panic!("the {side} has no picture again: {went:?}"));
        let since = now_ms();
        let seen = format!("links.back({since}, 'frames')");
        let moves = may_happen(page, SECS_MAX, since, &seen).await;
        tell("up", "clinic again", &format!("{side}: the step after {step:.1} s"));
        assert!(moves.is_some(), "{side}: the picture does not move");
        assert!(went.iter().all(|(_, step)| step.ends_with("recovered")), "{side}: {went:?}");
    }
    talk.assert_clean().await;
}

async fn rung(page: &Page) -> String {
    let rung = page.eval("document.querySelector('#call-rung').dataset.rung").await;
    rung.as_str().unwrap_or_default().to_owned()
}

/// What a page heard of the ladder after an instant: after how many seconds, and the rung with its
/// reason.
async fn steps(page: &Page, since: i64) -> Vec<(f64, String)> {
    let heard = page.eval(&format!("links.rungs({since})")).await;
    let step =
        |one: &Value| (secs(since, whole(&one["at"])), one["more"].to_string().replace('"', ""));
    heard.as_array().unwrap().iter().map(step).collect()
}
