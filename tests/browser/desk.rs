//! The doctor's desk while a call runs: the patient stays in sight of whoever writes, and the keyboard
//! keeps its place while people come and go. And a call where no socket lives.

use serde_json::json;

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

/// A patient who waits, and the doctor who has opened the visit.
async fn at_the_door(clinic: &Clinic, patient: &Page, doctor: &Page) {
    patient_signs_in(patient, clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(patient).await;
    let encounter = text(&visit["encounter"]["id"]);
    patient.goto_hash(&format!("#/visit/{encounter}")).await;
    the_patient_waits(patient).await;
    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(doctor, &format!("{}/doctor", clinic.url), who).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.see("#waiting-list .admit").await;
}

async fn the_patient_waits(page: &Page) {
    page.click("#enter-waiting-room").await;
    page.see("#device-state[data-state=ok]").await;
    page.click("#join").await;
    page.see("#call-state[data-state=waiting]").await;
}

async fn both_talk(pages: [&Page; 2]) {
    for page in pages {
        page.see("#call-state[data-state=in_call]").await;
        media_flows(page).await;
    }
}

#[actix_web::test]
async fn the_doctor_sees_the_patient_while_writing_and_the_keyboard_keeps_its_place() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("desk-patient", Device::Phone, "ru").await;
    let doctor = desk.page("desk", Device::Desk, "en").await;
    doctor.before(SAID).await;
    at_the_door(&clinic, &patient, &doctor).await;

    doctor.focus("#waiting-list .admit").await;
    doctor.press("Enter").await;
    both_talk([&patient, &doctor]).await;
    focus_is_on(&doctor, "#stage").await;
    let said = text(&doctor.eval("window.said.join(' | ')").await);
    assert!(!said.contains("has let you in"), "the patient's words on the doctor's page: {said}");

    for device in [Device::Desk, Device::Phone] {
        doctor.becomes(device).await;
        for section in ["subjective", "plan"] {
            the_patient_is_in_sight(&doctor, &format!("#note-{section}")).await;
        }
        doctor.assert_fits().await;
        doctor.drawn(&format!("note-and-patient-{device:?}"), false).await;
        doctor.click("#stage-back").await;
        doctor.wait_for("watched.seen('#mic') && !document.querySelector('#stage.afar')").await;
        focus_is_on(&doctor, "#mic").await;
    }
    doctor.becomes(Device::Desk).await;
    a_window_of_its_own(&doctor).await;

    // Whoever leaves takes neither the question nor its answer along.
    doctor.click("#finish").await;
    doctor.click("#finish-outcome [value=technical_failure]").await;
    focus_is_on(&doctor, "#finish-outcome [value=technical_failure]").await;
    patient.click("#leave").await;
    patient.see("#enter-waiting-room").await;
    doctor.wait_for("!document.querySelector('.hold')").await;
    focus_is_on(&doctor, "#finish-outcome [value=technical_failure]:checked").await;
    doctor.click("#finish-cancel").await;

    // Back to the waiting room, and in again, without a mouse.
    patient.click("#enter-waiting-room").await;
    patient.see("#device-state[data-state=ok]").await;
    patient.click("#join").await;
    both_talk([&patient, &doctor]).await;
    doctor.see(".hold").await;
    doctor.focus(".hold").await;
    doctor.press("Enter").await;
    patient.see("#call-state[data-state=waiting]").await;
    focus_is_on(&doctor, "#waiting-list .admit").await;
    doctor.press("Enter").await;
    both_talk([&patient, &doctor]).await;
    focus_is_on(&doctor, "#stage").await;

    // It is finished by mistake: the same room opens again.
    doctor.click("#finish").await;
    doctor.click("#finish-confirm").await;
    patient.see("#visit-over").await;
    // Whoever waits for the note asks less and less often, and at once when they look again.
    patient.eval(HURRIED).await;
    patient.wait_for("window.pauses.filter((ms) => ms === 300_000).length > 1").await;
    patient.eval("window.setTimeout = window.unhurried; 0").await;
    // One that was asked already may end beside the one that is asked now.
    let pauses = patient.eval("[...new Set(window.pauses)]").await;
    assert_eq!(pauses, json!([10_000, 20_000, 40_000, 80_000, 160_000, 300_000]));
    patient.eval(MISSED_ONCE).await;
    doctor.click("#reopen").await;
    doctor.assert_fits().await;
    doctor.click("#reopen-yes").await;
    doctor.see("#finish").await;
    patient.eval(LOOKS_AGAIN).await;
    // The patient's page says so by itself, though the first question about it failed.
    patient.see("#visit-left").await;
    assert_eq!(patient.eval("window.missed").await, json!(1));
    patient.assert_fits().await;
    patient.click("#enter-waiting-room").await;
    patient.see("#device-state[data-state=ok]").await;
    patient.click("#join").await;
    both_talk([&patient, &doctor]).await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

/// Long waits of a page are noted, and over at once; then somebody looks at it.
const HURRIED: &str = "window.pauses = []; window.unhurried = window.setTimeout; \
    window.setTimeout = (act, ms, ...rest) => { \
        if (ms < 5_000) return window.unhurried(act, ms, ...rest); \
        pauses.push(ms); \
        return window.unhurried(act, 20, ...rest); \
    }; document.dispatchEvent(new Event('visibilitychange')); 0";

/// Somebody comes back to a page.
pub const LOOKS_AGAIN: &str = "document.dispatchEvent(new Event('visibilitychange')); 0";

/// The next time that a page fetches a visit, the server fails.
const MISSED_ONCE: &str = "(() => { const real = window.fetch; window.missed = 0; \
    window.fetch = (path, ...rest) => { \
        if (window.missed || !/encounters\\/[^/]+$/.test(path)) return real(path, ...rest); \
        window.missed = 1; \
        return Promise.resolve(new Response('{}', { status: 500 })); \
    }; })()";

/// Every sentence that has stood in the line of truth.
const SAID: &str = "window.said = []; new MutationObserver(() => { \
    const line = document.querySelector('#call-state')?.textContent; \
    if (line && said.at(-1) !== line) said.push(line); \
}).observe(document, { subtree: true, childList: true, characterData: true });";

async fn focus_is_on(page: &Page, selector: &str) {
    page.wait_for(&format!("document.activeElement?.matches({})", quoted(selector))).await;
}

/// While a field of the note has the focus, most of the patient's picture is to be seen, nothing of
/// another lies on it, and it lies not on the field.
async fn the_patient_is_in_sight(page: &Page, field: &str) {
    page.see("#people [data-role=patient]").await;
    page.click(field).await;
    focus_is_on(page, field).await;
    let seen = format!(
        "(() => {{ const tile = document.querySelector('#tiles [data-role=patient] video').getBoundingClientRect(); \
         const field = document.querySelector({}).getBoundingClientRect(); \
         const [top, bottom] = [Math.max(tile.top, 0), Math.min(tile.bottom, innerHeight)]; \
         const most = tile.width > 100 && tile.left >= 0 && tile.right <= innerWidth && bottom - top > 0.6 * tile.height; \
         const apart = tile.bottom <= field.top || tile.top >= field.bottom || tile.right <= field.left || tile.left >= field.right; \
         return most && apart && Boolean(document.elementFromPoint(tile.left + tile.width / 2, (top + bottom) / 2)?.closest('#stage')); }})()",
        quoted(field)
    );
    page.wait_for(&seen).await;
}

/// Where the browser has such windows, the picture goes on in one, and comes back.
async fn a_window_of_its_own(page: &Page) {
    if page.eval("!window.documentPictureInPicture").await == true {
        assert_eq!(page.eval("watched.seen('#stage-window')").await, false);
        return;
    }
    page.click("#stage-window").await;
    let far = "documentPictureInPicture.window?.document.querySelector('.tile video')";
    page.wait_for(&format!("{far} && !{far}.paused")).await;
    page.eval("documentPictureInPicture.window.close()").await;
    page.wait_for("document.querySelector('#stage #tiles .tile video')?.paused === false").await;
}

/// A network on the way that ends every socket.
const NO_SOCKETS: &str = "window.tried = 0; \
    window.WebSocket = class extends EventTarget { \
      static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3; \
      readyState = 0; \
      constructor() { super(); window.tried += 1; setTimeout(() => this.end()); } \
      send() {} \
      close() { this.end(); } \
      end() { \
        if (this.readyState === 3) return; \
        this.readyState = 3; \
        const event = new CloseEvent('close', { code: 1006 }); \
        this.dispatchEvent(event); \
        this.onclose?.(event); \
      } \
    };";

#[actix_web::test]
async fn where_no_socket_lives_a_patient_waits_is_let_in_and_talks_over_plain_http() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("plain-patient", Device::Phone, "ru").await;
    let doctor = desk.page("plain-doctor", Device::Desk, "en").await;
    for page in [&patient, &doctor] {
        page.before(NO_SOCKETS).await;
    }
    at_the_door(&clinic, &patient, &doctor).await;
    doctor.click("#waiting-list .admit").await;
    both_talk([&patient, &doctor]).await;
    let polls =
        "performance.getEntriesByType('resource').some((one) => one.name.endsWith('/v1/rtc/poll'))";
    for page in [&patient, &doctor] {
        assert_eq!(page.eval(polls).await, true);
        assert!(page.eval("tried").await.as_i64() >= Some(1), "a socket is tried first");
    }
    // What is said later comes that way too, and a reload comes back.
    patient.reload().await;
    both_talk([&patient, &doctor]).await;
    assert_eq!(patient.eval("tried").await, 0, "the tab knows that sockets die here");
    doctor.click(".hold").await;
    patient.see("#call-state[data-state=waiting]").await;
    doctor.click("#waiting-list .admit").await;
    both_talk([&patient, &doctor]).await;
    patient.click("#leave").await;
    doctor.see("#call-state[data-state=alone]").await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}
