//! Three people in one visit: a patient, a doctor, and an interpreter whom the doctor asks to come.

use serde_json::json;

use crate::chromium::Chromium;
use crate::clinic::{Clinic, Person};
use crate::devices::{MICROPHONES, UNTRIED, choose, hears};
use crate::ladder::FORGE;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

const INTERPRETER: &str = "+79130000777";

#[actix_web::test]
async fn an_interpreter_is_asked_to_come_speaks_with_both_and_is_sent_out() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browsers = [Chromium::start().await, Chromium::start().await, Chromium::start().await];
    let patient = browsers[0].page("patient", Device::Phone, "ru").await;
    let doctor = browsers[1].page("doctor", Device::Desk, "en").await;
    let third = browsers[2].page("interpreter", Device::Phone, "ru").await;
    for page in [&patient, &doctor, &third] {
        page.before(FORGE).await;
    }
    // The interpreter has tried no device today.
    third.before(UNTRIED).await;

    patient_signs_in(&patient, &clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(&patient).await;
    let encounter = text(&visit["encounter"]["id"]);
    patient.goto_hash(&format!("#/visit/{encounter}")).await;
    patient.see("#invite").await;
    patient.click("#enter-waiting-room").await;
    patient.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    patient.click("#join").await;
    patient.see("#call-state[data-state=waiting]").await;

    // The doctor asks the interpreter to come.
    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), who).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.see("#patient-side[data-ready=true]").await;
    doctor.click("#invite summary").await;
    doctor.choose("#invite-role", "interpreter").await;
    doctor.write("#invite-name", "Айгуль").await;
    doctor.write("#invite-phone", INTERPRETER).await;
    doctor.click("#invite-send").await;
    doctor.see("#people [data-role=interpreter][data-standing=invited]").await;
    doctor.see("#patient-side[data-ready=false]").await;
    doctor.becomes(Device::Phone).await;
    doctor.assert_fits().await;
    doctor.becomes(Device::Desk).await;

    // The link of the SMS leads through the sign-in to the visit, and no further.
    third.goto(&format!("{}/#/guest/{encounter}", clinic.url)).await;
    let person = Person { phone: INTERPRETER.to_owned(), ..nobody() };
    sign_in(&third, &clinic, &person).await;
    third.see("#guest-role[data-role=interpreter]").await;
    third.assert_fits().await;
    the_interpreter_tries_the_microphone_once(&third).await;
    // The doctor rings, and to answer is to come in.
    doctor.see("#patient-side[data-ready=false]").await;
    doctor.click("#people [data-role=interpreter] .ring").await;
    third.see("#ring-card[data-state=ringing] #answer-ring").await;
    // It is not the patient who is rung.
    doctor.run("await new Promise((done) => { setTimeout(done, 1500); });").await;
    assert_eq!(doctor.eval("document.querySelector('#care-ring').hidden").await, true);
    third.assert_fits().await;
    third.drawn("ring-guest", false).await;
    third.click("#answer-ring").await;
    third.see("#call-state[data-state=waiting]").await;
    assert_eq!(third.eval("watched.connections.length").await, 0, "nothing flows before the door");
    doctor.see("#patient-side[data-ready=true]").await;

    for role in ["patient", "interpreter"] {
        let list = doctor.ask(&format!("/v1/encounters/{encounter}/participants")).await;
        let list = list["items"].as_array().unwrap();
        let one = list.iter().find(|one| one["role"] == role).unwrap();
        let entry =
            format!("#waiting-list [data-participant={}] .admit", quoted(&text(&one["id"])));
        doctor.click(&entry).await;
        if role == "interpreter" {
            // Whom the clinic asks to come hears nobody before the patient agrees.
            doctor.see("#problem[data-code=consent_missing]").await;
            doctor.click("#agree-third_party").await;
            doctor.see("#consents [data-kind=third_party][data-given=true]").await;
            doctor.click(&entry).await;
        }
    }
    for page in [&patient, &doctor, &third] {
        page.see("#call-state[data-state=in_call]").await;
        everybody_is_heard(page, 2).await;
        page.wait_for("document.querySelectorAll('#tiles .tile').length === 2").await;
        page.assert_fits().await;
    }
    // Patient and doctor see each other; the interpreter sends and gets the voice alone.
    for page in [&patient, &doctor] {
        page.wait_for("watched.edges().then(([voice, both]) => voice.video === 0 && voice.videoSent === 0 && both.video > 0 && both.videoSent > 0)").await;
    }
    let silent =
        "watched.edges().then((all) => all.map(({ video, videoSent }) => [video, videoSent]))";
    assert_eq!(third.eval(silent).await, json!([[0, 0], [0, 0]]));

    stills_stand_on_the_tile_of_whoever_sends_them(&patient, &doctor).await;

    // A reload comes back to both of them, and forgets nothing of what the line has cost.
    let bytes = "JSON.parse(sessionStorage.getItem('feldsher.seat.guest')).bytes";
    third.wait_for(&format!("{bytes} > 10000")).await;
    let spent = third.eval(bytes).await;
    third.reload().await;
    third.see("#call-state[data-state=in_call]").await;
    assert_eq!(third.eval(&format!("{bytes} >= {spent}")).await, true);
    everybody_is_heard(&third, 2).await;

    the_telephone_is_between_doctor_and_patient(&doctor).await;

    // Whoever vanishes is said to, also while others are there.
    third.goto(&format!("{}/assets/favicon.svg", clinic.url)).await;
    doctor
        .wait_for(
            "document.querySelector('#call-state').innerText.includes('Connection lost: Айгуль')",
        )
        .await;
    doctor.see("#tiles [data-role=interpreter] .remote-note").await;
    assert_eq!(doctor.text("#tiles [data-role=interpreter] .remote-note").await, "connection lost");
    doctor.see("#patient-side[data-ready=false]").await;
    third.goto(&format!("{}/#/guest/{encounter}", clinic.url)).await;
    third.see("#call-state[data-state=in_call]").await;
    everybody_is_heard(&third, 2).await;

    // Aside, nobody hears the interpreter, and the others go on.
    let entry = "#people [data-role=interpreter]";
    doctor.click(&format!("{entry} .aside")).await;
    third.wait_for("watched.edges().then((all) => all.length === 0)").await;
    third.see("#call-state[data-state=side]").await;
    for page in [&patient, &doctor] {
        everybody_is_heard(page, 1).await;
    }
    doctor.see(&format!("{entry}[data-standing=in_side_room]")).await;
    doctor.click(&format!("{entry} .aside")).await;
    for page in [&patient, &doctor, &third] {
        everybody_is_heard(page, 2).await;
    }

    doctor.click("#lock").await;
    doctor.see("#locked").await;
    doctor.click(&format!("{entry} .remove")).await;
    doctor.click(&format!("{entry} .remove-yes")).await;
    third.see("#guest-removed").await;
    for page in [&patient, &doctor] {
        everybody_is_heard(page, 1).await;
        page.see("#call-state[data-state=in_call]").await;
    }

    // The doctor is not taken for gone by whoever was sent aside.
    let entry = "#people [data-role=patient]";
    doctor.click(&format!("{entry} .aside")).await;
    patient.see("#call-state[data-state=side]").await;
    doctor.see("#call-state[data-state=parted]").await;
    doctor.click(&format!("{entry} .aside")).await;
    for page in [&patient, &doctor] {
        page.see("#call-state[data-state=in_call]").await;
    }
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

/// A guest tries what they will need, which for an interpreter is the voice alone, and takes it along;
/// they are not asked again.
async fn the_interpreter_tries_the_microphone_once(page: &Page) {
    page.click("#enter-as-guest").await;
    page.see("#device-state[data-state=ok]").await;
    page.wait_for("document.querySelector('#mic-level').value > 0").await;
    for needless in ["#voice-only", "#local-preview"] {
        assert_eq!(page.eval(&format!("watched.seen({})", quoted(needless))).await, false);
    }
    page.click("#choose-devices summary").await;
    choose(page, "audioinput", MICROPHONES[1]).await;
    let preview = "document.querySelector('#local-preview').srcObject";
    page.wait_for(&hears(preview, MICROPHONES[1])).await;
    page.assert_fits().await;
    page.drawn("guest-check", false).await;
    page.click("#join").await;
    for again in [false, true] {
        if again {
            page.click("#enter-as-guest").await;
        }
        page.see("#call-state[data-state=waiting]").await;
        let own = "document.querySelector('#local-video').srcObject";
        page.wait_for(&hears(own, MICROPHONES[1])).await;
        if again {
            // An answer that does not come says nothing of whether one is expected.
            page.run(
                "const real = window.fetch;
                 window.fetch = async (...given) => {
                   if (!String(given[0]).endsWith('/invitation')) return real(...given);
                   window.fetch = real;
                   return new Response('{}', { status: 500 });
                 };",
            )
            .await;
        }
        page.click("#leave").await;
        page.see("#visit-left").await;
        page.see("#enter-as-guest").await;
    }
}

/// The server says of a connection that nothing comes through, and that the other side would like the
/// telephone.
const PROPOSES: &str = "
    const { edges } = JSON.parse(sessionStorage.getItem('feldsher.seat.doctor'));
    const real = WebSocket.prototype.send;
    WebSocket.prototype.send = function send(text) { window.line = this; real.call(this, text); };
    while (!window.line) await new Promise((done) => { setTimeout(done, 100); });
    WebSocket.prototype.send = real;
    const roleOf = (id) => document.querySelector(`#tiles [data-participant=\"${id}\"]`).dataset.role;
    window.proposes = (role, yes) => {
      const { id: edge, peer } = edges.find((one) => roleOf(one.peer) === role);
      const body = { edge, step: 90 + Number(yes), rung: yes ? 'text' : 'audio', why: 'no_media', by: null, phone: yes ? { proposed: true, agreed: [peer] } : null, send: { audio_bps: yes ? 0 : 16000, video: null, still_secs: null } };
      window.line.onmessage({ data: JSON.stringify({ v: 1, t: 'rung', body }) });
    };";

async fn the_telephone_is_between_doctor_and_patient(doctor: &Page) {
    doctor.run(PROPOSES).await;
    doctor.run("window.proposes('interpreter', true);").await;
    doctor.wait_for("document.querySelector('#call-rung').innerText.startsWith('Айгуль: ')").await;
    assert_eq!(doctor.eval("watched.seen('#call-phone')").await, false, "nobody telephones her");
    doctor.run("window.proposes('interpreter', false); window.proposes('patient', true);").await;
    doctor.see("#call-phone #phone-yes").await;
    doctor.run("window.proposes('patient', false);").await;
    doctor.wait_for("!watched.seen('#call-phone')").await;
}

/// Nothing is said of the picture that an interpreter never had, and it hides nobody else's.
async fn stills_stand_on_the_tile_of_whoever_sends_them(patient: &Page, doctor: &Page) {
    let still = "#tiles .tile:not([data-role=interpreter]) .still";
    for page in [patient, doctor] {
        page.wait_for("document.querySelector('#call-rung').hidden").await;
    }
    patient.click("#data-saver").await;
    for page in [patient, doctor] {
        page.wait_for(&format!("watched.seen({})", quoted(still))).await;
    }
    patient.click("#data-saver").await;
    for page in [patient, doctor] {
        page.wait_for(&format!("!watched.seen({})", quoted(still))).await;
    }
}

pub fn nobody() -> Person {
    let (name, login, password, phone) = Default::default();
    Person { name, login, password, phone }
}

pub async fn sign_in(page: &Page, clinic: &Clinic, who: &Person) {
    page.write("#phone", &who.phone).await;
    page.click("#send-code").await;
    page.see("#code").await;
    page.write("#code", &clinic.code_for(&who.phone).await).await;
    page.click("#verify").await;
}

/// As many connections as there must be, and over each of them the voice goes on coming in.
async fn everybody_is_heard(page: &Page, count: usize) {
    page.wait_for(&format!(
        "watched.edges().then((all) => all.length === {count} && all.every(({{ audio }}) => audio > 0))"
    ))
    .await;
    let then = page.eval("watched.edges()").await;
    page.wait_for(&format!(
        "watched.edges().then((now) => {{ const then = JSON.parse({}); return now.length === {count} \
         && now.every(({{ audio }}, at) => audio > then[at].audio + 20); }})",
        quoted(&then.to_string())
    ))
    .await;
}
