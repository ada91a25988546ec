//! A line that is slow beyond measure, or carries no sound at all, and what the page makes of it.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;
use crate::wire::Wire;

/// What a socket is to say is swallowed while `window.slow` is set: to the server that is a first
/// frame that does not come in time.
const SWALLOW: &str = "
    window.sockets = [];
    window.codes = [];
    const Real = WebSocket;
    window.WebSocket = class WebSocket extends Real {
      constructor(...given) {
        super(...given);
        window.sockets.push(this);
        this.addEventListener('close', ({ code }) => window.codes.push(code));
      }
      send(text) {
        (this.said ??= []).push(JSON.parse(text).t);
        if (!window.slow) super.send(text);
      }
    };";

/// Five tries of eight seconds each until the voice is given up, and a busy machine.
const LADDER_SECS_MAX: u64 = 150;
const SEAT: &str = "JSON.parse(sessionStorage.getItem('feldsher.seat.patient'))";
const WAITS: &str = "#call-state[data-state=waiting]";

#[actix_web::test]
async fn a_first_frame_that_comes_too_late_costs_nobody_the_seat() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let phone = Chromium::start().await;
    let page = phone.page("slow", Device::Phone, "ru").await;
    page.before(SWALLOW).await;
    patient_signs_in(&page, &clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(&page).await;
    // Whoever presses at once finds the way in open: it was opened while they read the page.
    page.goto_hash(&format!("#/visit/{}", text(&visit["encounter"]["id"]))).await;
    page.wait_for("window.sockets.some(({ said }) => said?.[0] === 'prepare')").await;
    waits(&page, &visit).await;
    let seat = page.eval(SEAT).await;
    let said = "window.sockets.filter(({ said }) => said).map(({ said }) => said.filter((t) => t !== 'ping').slice(0, 2))";
    assert_eq!(page.eval(said).await, json!([["prepare", "hello"]]), "one ticket and one message");

    page.eval("window.slow = true, window.feldsher.call.dropSocket()").await;
    page.wait_for("document.querySelector('#call-state').dataset.state === 'reconnecting'").await;
    // The server has waited in vain; then the frame comes with a request.
    page.see(WAITS).await;
    let codes = page.eval("window.codes").await;
    assert!(codes.as_array().unwrap().contains(&json!(4408)), "{codes}");
    let now = page.eval(SEAT).await;
    assert_eq!(now["sid"], seat["sid"], "it is the same seat");
    assert_eq!(now["secret"], seat["secret"]);

    // Where there is no such visit any more there is nothing to come back to; the tab remembers that
    // sockets were of no use here, and shall try one.
    let forget = "Object.keys(sessionStorage).filter((key) => key.startsWith('feldsher.nosocket.')).map((key) => sessionStorage.removeItem(key)).length";
    assert_eq!(page.eval(forget).await, 1);
    page.reload().await;
    page.see(WAITS).await;
    page.eval("window.sockets.at(-1).onclose({ code: 4404 })").await;
    page.see("#enter-waiting-room").await;
    assert_eq!(page.eval(SEAT).await, Value::Null);
    assert_eq!(page.eval("window.sockets.length").await, 1, "nobody knocks again");
    page.assert_content();
}

/// Two browsers on networks that let nothing through between them, and no relay.
const APART: &str = "
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class RTCPeerConnection extends Real {
      constructor(given) { super({ ...given, iceTransportPolicy: 'relay' }); }
    };";

#[actix_web::test]
async fn whom_no_way_for_sound_is_found_for_is_told_so_and_can_write() {
    let _alone = ONE_STORY.lock().await;
    let mut clinic = Clinic::open(Engine::Sqlite).await;
    let desk_wire = Wire::to(&clinic.url);
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let page = phone.page("apart", Device::Phone, "ru").await;
    let doctor = desk.page("apart-doctor", Device::Desk, "en").await;
    for page in [&page, &doctor] {
        page.before(APART).await;
    }
    patient_signs_in(&page, &clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(&page).await;
    let encounter = waits(&page, &visit).await;
    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", desk_wire.url()), who).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.click("#waiting-list .admit").await;

    let told = "document.querySelector('#call-state').innerText.includes";
    page.wait_for(&format!("{told}('ищем дальше')")).await;
    doctor.wait_for(&format!("{told}('go on looking')")).await;
    page.see("#talk-send").await;
    for page in [&page, &doctor] {
        assert_eq!(
            page.eval("watched.seen('#talk-note')").await,
            json!(false),
            "it would not arrive"
        );
    }
    page.assert_fits().await;
    page.drawn("call-apart", false).await;
    page.write("#talk-text", "Ничего не слышно").await;
    page.click("#talk-send").await;
    assert!(doctor.text("#talk-log li").await.contains("Ничего не слышно"));
    doctor.write("#talk-text", "I will call your telephone").await;
    doctor.click("#talk-send").await;
    let answer =
        "[...document.querySelectorAll('#talk-log li')].at(-1)?.innerText.includes('telephone')";
    page.wait_for(answer).await;
    // What the ladder says at its end is true as well.
    page.wait_at_most(LADDER_SECS_MAX, "watched.seen('#call-rung[data-rung=text]')").await;
    let words = page.text("#call-rung").await;
    assert!(words.contains("через сервер"), "{words}");

    // Of a line that was written meanwhile the dead process would have told.
    desk_wire.cut();
    doctor.wait_for("document.querySelector('#call-state').dataset.state === 'reconnecting'").await;
    page.write("#talk-text", "Перезвоните").await;
    page.click("#talk-send").await;
    page.wait_for("document.querySelector('#talk-log').innerText.includes('Перезвоните')").await;
    clinic.kill();
    clinic.start_again().await;
    desk_wire.mend();
    let told = "document.querySelector('#talk-log').innerText.includes('Перезвоните')";
    doctor.wait_for(told).await;
    for page in [&page, &doctor] {
        page.assert_content();
    }
}

/// Enters the waiting room of a visit; its id.
async fn waits(page: &Page, visit: &Value) -> String {
    let encounter = text(&visit["encounter"]["id"]);
    page.goto_hash(&format!("#/visit/{encounter}")).await;
    page.click("#enter-waiting-room").await;
    page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    page.click("#join").await;
    page.see(WAITS).await;
    encounter
}
