//! The devices of a call: tried and chosen before it, changed in it, pulled out and put back; and
//! how a call speaks to somebody who does not see it.

use serde_json::json;

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

/// Chromium's fake devices by name: it has two microphones and two loudspeakers beside the default.
pub const MICROPHONES: [&str; 2] = ["Fake Audio Input 1", "Fake Audio Input 2"];
const SPEAKER: &str = "Fake Audio Output 1";

/// The devices were not tried here, whatever the other tests take for granted.
pub const UNTRIED: &str =
    "if (location.protocol === 'http:') localStorage.removeItem('feldsher.tried')";

/// The picture of oneself is made of what is sent.
const OWN: &str = "document.querySelector('#local-video').srcObject";

#[actix_web::test]
async fn devices_are_tried_chosen_changed_and_replaced_when_they_go_away() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("devices", Device::Phone, "ru").await;
    let doctor = desk.page("devices-desk", Device::Desk, "en").await;
    doctor.before(UNTRIED).await;

    patient_signs_in(&patient, &clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(&patient).await;
    let encounter = text(&visit["encounter"]["id"]);
    patient.goto_hash(&format!("#/visit/{encounter}")).await;
    patient.click("#enter-waiting-room").await;
    the_patient_chooses(&patient).await;
    patient.click("#join").await;
    patient.see("#call-state[data-state=waiting]").await;
    patient.assert_fits().await;

    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), who).await;
    the_doctor_tries_once(&doctor, &encounter).await;

    // Whoever looks after their devices is seen to do so.
    patient.click("#open-devices").await;
    doctor.see("#people [data-role=patient][data-standing=testing]").await;
    patient.assert_fits().await;
    patient.drawn("call-devices", false).await;
    patient.click("#devices-done").await;
    doctor.see("#people [data-role=patient][data-standing=ready]").await;
    who_waits_and_does_not_look_can_be_rung(&patient, &doctor).await;

    doctor.click("#waiting-list .admit").await;
    for page in [&patient, &doctor] {
        page.see("#call-state[data-state=in_call]").await;
    }
    who_began_with_the_voice_alone_turns_the_camera_on(&patient, &doctor).await;
    for page in [&patient, &doctor] {
        media_flows(page).await;
        page.assert_fits().await;
    }
    the_choice_is_kept_and_changed(&patient).await;
    media_flows(&doctor).await;
    a_microphone_goes_away(&patient, &doctor).await;
    media_flows(&doctor).await;
    it_is_said_who_and_what(&patient, &doctor, who.name.as_str()).await;
    a_note_of_somebody_muted_is_heard(&patient).await;
    signing_out_asks(&patient).await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

/// Has a page lie in the background, or brings it to the front.
pub fn hidden(yes: bool) -> String {
    format!(
        "Object.defineProperty(document, 'hidden', {{ value: {yes}, configurable: true }}); \
         document.dispatchEvent(new Event('visibilitychange'));"
    )
}

/// The page lies in the background; the doctor knows before they let anybody in.
async fn who_waits_and_does_not_look_can_be_rung(patient: &Page, doctor: &Page) {
    doctor.wait_for("!watched.seen('#ring')").await;
    patient.run(&hidden(true)).await;
    doctor.see("#waiting-list .absent").await;
    doctor.see("#ring").await;
    patient.run(&hidden(false)).await;
    doctor.wait_for("!watched.seen('#waiting-list .absent') && !watched.seen('#ring')").await;
}

/// Chooses a device by its name in a list.
pub async fn choose(page: &Page, kind: &str, label: &str) {
    let option = format!(
        "[...(document.querySelector('#device-{kind}')?.options ?? [])].find((one) => one.label === {})?.value ?? null",
        quoted(label)
    );
    let id = text(&page.wait_at_most(45, &option).await);
    page.choose(&format!("#device-{kind}"), &id).await;
}

pub fn hears(stream: &str, label: &str) -> String {
    format!("{stream}?.getAudioTracks()[0]?.label === {}", quoted(label))
}

async fn the_patient_chooses(page: &Page) {
    page.see("#device-state[data-state=ok]").await;
    page.wait_for("document.querySelector('#mic-level').value > 0").await;
    page.click("#play-tone").await;
    page.click("#tone-silent").await;
    // Who heard nothing is led to the choice.
    choose(page, "audioinput", MICROPHONES[1]).await;
    let preview = "document.querySelector('#local-preview').srcObject";
    page.wait_for(&hears(preview, MICROPHONES[1])).await;
    choose(page, "audiooutput", SPEAKER).await;
    page.click("#play-tone").await;
    page.click("#tone-heard").await;
    page.see("#tone-said").await;
    page.assert_fits().await;
    page.drawn("patient-check-devices", false).await;
    page.click("#voice-only").await;
    page.wait_for(&format!("{preview}?.getVideoTracks().length === 0")).await;
    page.see("#device-state[data-state=ok]").await;
}

/// The first visit of the day asks, and never again; and it asks nobody who comes back.
async fn the_doctor_tries_once(page: &Page, encounter: &str) {
    page.click(&format!("#waiting-room [data-encounter={}] .open-visit", quoted(encounter))).await;
    page.see("#device-check #device-state[data-state=ok]").await;
    for device in [Device::Phone, Device::Desk] {
        page.becomes(device).await;
        page.assert_fits().await;
    }
    page.drawn("doctor-check", false).await;
    page.click("#join").await;
    page.see("#waiting-list .admit").await;
    page.click("#back").await;
    page.click(&format!("#waiting-room [data-encounter={}] .open-visit", quoted(encounter))).await;
    page.see("#waiting-list .admit").await;
    page.see("#stage").await;
}

/// No camera was open, and the connection stands: it stays the same one.
async fn who_began_with_the_voice_alone_turns_the_camera_on(patient: &Page, doctor: &Page) {
    let heard = "watched.media().then(({ audio, frames }) => audio > 0 && frames === 0)";
    doctor.wait_for(heard).await;
    let made = "watched.connections.length";
    let before = doctor.eval(made).await;
    assert_eq!(patient.eval(&format!("{OWN}.getVideoTracks().length")).await, 0);
    patient.wait_for("document.querySelector('#camera').ariaPressed === 'false'").await;
    a_camera_that_does_not_open_changes_nothing(patient).await;
    whoever_thinks_better_of_it_is_not_seen(patient).await;
    patient.click("#camera").await;
    patient.see("#call-device[data-state=taken]").await;
    patient.wait_for("document.querySelector('#camera').ariaPressed === 'true'").await;
    patient.wait_for("document.querySelector('#audio-only').ariaPressed === 'false'").await;
    patient.see("#local-video").await;
    doctor.wait_for("watched.media().then(({ frames }) => frames > 0)").await;
    assert_eq!(doctor.eval(made).await, before);
}

const VOICE_ALONE: &str = "document.querySelector('#audio-only').ariaPressed === 'true' \
     && JSON.parse(sessionStorage.getItem('feldsher.seat.patient')).wish.voiceOnly";
const ANOTHER_DEVICE: &str = "navigator.mediaDevices.dispatchEvent(new Event('devicechange'));";

async fn a_camera_that_does_not_open_changes_nothing(page: &Page) {
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));")
        .await;
    page.click("#camera").await;
    page.see("#call-device[data-state=absent]").await;
    page.wait_for(VOICE_ALONE).await;
    // Nobody wants a camera now: one that is plugged in stays closed.
    page.run(&format!("delete navigator.mediaDevices.getUserMedia; {ANOTHER_DEVICE}")).await;
}

async fn whoever_thinks_better_of_it_is_not_seen(page: &Page) {
    let late = "const { mediaDevices } = navigator; window.late = []; \
         mediaDevices.getUserMedia = async (...given) => { \
           delete mediaDevices.getUserMedia; \
           const stream = await mediaDevices.getUserMedia(...given); \
           window.late.push(...stream.getTracks()); \
           await new Promise((go) => { window.go = go; }); \
           return stream; \
         };";
    page.run(late).await;
    page.click("#camera").await;
    page.wait_for("document.querySelector('#audio-only').ariaPressed === 'false'").await;
    page.wait_for("Boolean(window.go)").await;
    assert_eq!(page.eval(&format!("{OWN}.getVideoTracks().length")).await, 0);
    page.click("#audio-only").await;
    page.wait_for(VOICE_ALONE).await;
    page.run("window.go();").await;
    page.wait_for("window.late.length === 1 && window.late[0].readyState === 'ended'").await;
    assert_eq!(page.eval(&format!("{OWN}.getVideoTracks().length")).await, 0);
    assert_eq!(page.eval("document.querySelector('#call-device').dataset.state").await, "absent");
}

async fn the_choice_is_kept_and_changed(page: &Page) {
    page.wait_for(&hears(OWN, MICROPHONES[1])).await;
    let sink = "document.querySelector('#tiles video').sinkId";
    let chosen = "JSON.parse(localStorage.getItem('feldsher.devices')).audiooutput";
    page.wait_for(&format!("{sink} === {chosen}")).await;
    page.click("#open-devices").await;
    choose(page, "audioinput", MICROPHONES[0]).await;
    page.see("#call-device[data-state=taken]").await;
    page.wait_for(&hears(OWN, MICROPHONES[0])).await;
    page.assert_fits().await;
    page.click("#devices-done").await;
    assert_eq!(page.eval("document.activeElement.id").await, "open-devices");
}

/// As the browser does when a device is pulled out.
const PULL: &str = "const [track] = document.querySelector('#local-video').srcObject.getAudioTracks(); \
                    track.stop(); track.dispatchEvent(new Event('ended'));";

async fn a_microphone_goes_away(patient: &Page, doctor: &Page) {
    patient.run(PULL).await;
    // There are others: one of them speaks for it.
    patient.see("#call-device[data-state=instead]").await;
    patient.wait_for(&format!("{OWN}.getAudioTracks()[0]?.readyState === 'live'")).await;
    let silent = "watched.seen('#tiles [data-role=patient] .muted')";
    doctor.wait_for(&format!("!{silent}")).await;
    // Now there is none.
    let none = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'));";
    patient.run(&format!("{none} {PULL}")).await;
    patient.see("#call-device[data-state=gone]").await;
    assert!(patient.text("#call-device").await.contains("вас не слышно"));
    patient.see("#call-muted").await;
    patient.wait_for("document.querySelector('#mic').ariaPressed === 'false'").await;
    doctor.wait_for(silent).await;
    patient.assert_fits().await;
    // It is plugged in again.
    patient.run(&format!("delete navigator.mediaDevices.getUserMedia; {ANOTHER_DEVICE}")).await;
    patient.see("#call-device[data-state=taken]").await;
    patient.wait_for("!watched.seen('#call-muted')").await;
    doctor.wait_for(&format!("!{silent}")).await;
    // A telephone call takes it, and gives it back.
    let by_phone = |yes| {
        format!(
            "const [track] = {OWN}.getAudioTracks(); \
             Object.defineProperty(track, 'muted', {{ value: {yes}, configurable: true }}); \
             track.dispatchEvent(new Event({yes} ? 'mute' : 'unmute'));"
        )
    };
    patient.run(&by_phone(true)).await;
    doctor.wait_for(silent).await;
    patient.run(&by_phone(false)).await;
    doctor.wait_for(&format!("!{silent}")).await;
}

async fn it_is_said_who_and_what(patient: &Page, doctor: &Page, name: &str) {
    let switch = "(() => { const { innerText, ariaPressed } = document.querySelector('#mic'); return [innerText.trim(), ariaPressed]; })()";
    assert_eq!(patient.eval(switch).await, json!(["Микрофон", "true"]));
    patient.click("#mic").await;
    patient.wait_for("watched.seen('#call-muted')").await;
    assert_eq!(patient.eval(switch).await, json!(["Микрофон", "false"]));
    patient.assert_fits().await;
    let label = "document.querySelector('#tiles video').ariaLabel";
    assert_eq!(patient.eval(label).await, format!("{name}, Врач"));
    assert_eq!(patient.eval("document.querySelector('#local-video').ariaLabel").await, "Вы");
    assert!(text(&doctor.eval(label).await).ends_with(", Patient"));
}

/// The microphone beeps; how soon is the browser's own business.
async fn a_note_of_somebody_muted_is_heard(page: &Page) {
    let record = "const source = document.querySelector('script[type=module]').src; \
         const { record } = await import(source.replace(/[^/]+$/, 'side.js')); \
         const [track] = document.querySelector('#local-video').srcObject.getAudioTracks(); \
         const note = record(track); \
         await new Promise((done) => setTimeout(done, 2000)); \
         note.stop(); \
         const { bytes } = await note.done; \
         const sound = await new AudioContext().decodeAudioData(bytes).catch(() => null); \
         return !track.enabled && sound !== null && Math.max(...sound.getChannelData(0)) > 0.01;";
    page.wait_for(&format!("(async () => {{ {record} }})()")).await;
    page.click("#mic").await;
    page.wait_for("!watched.seen('#call-muted')").await;
}

async fn signing_out_asks(page: &Page) {
    let out = "document.querySelector('#sign-out').innerText";
    assert_ne!(page.eval(out).await, page.eval("document.querySelector('#leave').innerText").await);
    page.run("window.confirm = (words) => { window.asked = words; return false; };").await;
    page.click("#sign-out").await;
    page.wait_for("window.asked").await;
    page.see("#call-state[data-state=in_call]").await;
    page.click("#leave").await;
    page.see("#visit-left").await;
    assert_eq!(page.eval(out).await, "Выйти");
}
