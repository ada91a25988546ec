//! A line that gets bad and good again, in two real browsers: the picture goes, the voice stays, and
//! everybody is told why. The line itself is loopback; what is bad are the reports of one page.

use std::time::Duration;

use actix_web::rt;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

/// Half a minute of good reports, what was under way before, and a busy machine.
pub const UP_SECS_MAX: u64 = 120;

/// Every report that leaves the page says what the test wants it to say of the line, at first that it
/// is good: how busy the machine is must not count.
pub const FORGE: &str = "
    window.forged = { loss_in: 0, loss_out: 0, rtt: 60, mos: 4.2, room: 2e6 };
    const real = WebSocket.prototype.send;
    WebSocket.prototype.send = function send(text) {
      const message = JSON.parse(text);
      if (message.t === 'quality') Object.assign(message.body, window.forged);
      real.call(this, JSON.stringify(message));
    };";

/// What the voice takes of the line in kbit/s, with the heads of its packets (UDP, IP and the tag of
/// SRTP), over three seconds.
const VOICE_KBPS: &str = "
    const pc = watched.connections.findLast((one) => one.connectionState === 'connected');
    const voice = async () => [...(await pc.getStats()).values()].find((one) => one.type === 'outbound-rtp' && one.kind === 'audio');
    const then = await voice();
    await new Promise((done) => { setTimeout(done, 3000); });
    const now = await voice();
    const bytes = now.bytesSent - then.bytesSent + now.headerBytesSent - then.headerBytesSent + 38 * (now.packetsSent - then.packetsSent);
    return (bytes * 8) / (now.timestamp - then.timestamp);";

#[actix_web::test]
async fn a_bad_line_takes_the_picture_and_leaves_the_voice_and_a_good_one_gives_it_back() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("patient", Device::Phone, "ru").await;
    let doctor = desk.page("doctor", Device::Desk, "en").await;
    let encounter = they_talk(&clinic, &patient, &doctor).await;

    for page in [&patient, &doctor] {
        let bytes = "Number(document.querySelector('#call-bytes').dataset.bytes)";
        let first = page.wait_at_most(45, &format!("{bytes} > 0 && {bytes}")).await;
        page.wait_for(&format!("{bytes} > {first}")).await;
    }

    saving_data_is_heard_by_both_and_stills_come_instead(&patient, &doctor).await;

    for page in [&patient, &doctor] {
        assert_eq!(page.eval("document.querySelector('#call-rung').dataset.rung").await, "video");
    }
    // Twelve in a hundred lost: more than stills bear, less than the voice does.
    patient.eval("void (window.forged.loss_in = 0.12)").await;
    for page in [&patient, &doctor] {
        rung(page, "audio", "loss").await;
        the_voice_alone_flows(page).await;
        let kbps = page.run(VOICE_KBPS).await.as_f64().unwrap();
        assert!(kbps > 1.0 && kbps < 40.0, "the voice takes {kbps} kbit/s");
    }
    let told = doctor.text("#call-rung").await;
    assert!(told.contains("so that the voice stays clear"), "{told}");
    let told = patient.text("#call-rung").await;
    assert!(told.contains("чтобы голос был ясным"), "{told}");
    they_write_and_send_a_voice_note(&patient, &doctor).await;
    patient.assert_fits().await;
    patient.drawn("call-voice", false).await;
    let (page, far) = (&patient, &doctor);
    what_is_refused_is_told_and_what_has_gone_is_not_said_again(page, far, &encounter).await;

    patient.eval("void (window.forged.loss_in = 0)").await;
    for step in ["audio_stills", "small_video"] {
        for page in [&patient, &doctor] {
            rung(page, step, "recovered").await;
        }
    }
    for page in [&patient, &doctor] {
        media_flows(page).await;
    }

    the_timeline_tells_it(&doctor, &encounter).await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

pub async fn they_talk(clinic: &Clinic, patient: &Page, doctor: &Page) -> String {
    patient_signs_in(patient, clinic, &clinic.everybody("patient")[0]).await;
    patient.run(FORGE).await;
    let visit = book(patient).await;
    let encounter = text(&visit["encounter"]["id"]);
    patient.goto_hash(&format!("#/visit/{encounter}")).await;
    patient.click("#enter-waiting-room").await;
    patient.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    patient.click("#join").await;
    patient.see("#call-state[data-state=waiting]").await;
    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(doctor, &format!("{}/doctor", clinic.url), who).await;
    doctor.run(FORGE).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.click("#waiting-list .admit").await;
    for page in [patient, doctor] {
        page.see("#call-state[data-state=in_call]").await;
        media_flows(page).await;
    }
    encounter
}

async fn rung(page: &Page, rung: &str, why: &str) {
    let seen = format!("watched.seen('#call-rung[data-rung={rung}][data-why={why}]')");
    page.wait_at_most(UP_SECS_MAX, &seen).await;
}

async fn saving_data_is_heard_by_both_and_stills_come_instead(patient: &Page, doctor: &Page) {
    patient.click("#data-saver").await;
    for page in [patient, doctor] {
        rung(page, "audio_stills", "data_saver").await;
        let stills = "Number(document.querySelector('#tiles .still').dataset.at)";
        page.wait_for(&format!("{stills} > 0 && watched.seen('#tiles .still')")).await;
    }
    patient.drawn("call-stills", false).await;
    patient.click("#data-saver").await;
    for page in [patient, doctor] {
        page.wait_for("document.querySelector('#call-rung').dataset.rung === 'video'").await;
        media_flows(page).await;
    }
}

/// Sound goes on coming in and no picture does.
async fn the_voice_alone_flows(page: &Page) {
    // What was on its way when the step came may still arrive.
    rt::time::sleep(Duration::from_secs(2)).await;
    let before = page.eval("watched.media()").await;
    rt::time::sleep(Duration::from_secs(3)).await;
    let after = page.eval("watched.media()").await;
    let grown = |kind: &str| after[kind].as_i64().unwrap() - before[kind].as_i64().unwrap();
    assert_eq!(grown("made"), 0, "it is the same connection");
    assert!(grown("audio") > 20, "{before} {after}");
    assert_eq!(grown("frames"), 0, "{before} {after}");
}

async fn they_write_and_send_a_voice_note(patient: &Page, doctor: &Page) {
    patient.write("#talk-text", "Вас слышно").await;
    patient.click("#talk-send").await;
    assert!(doctor.text("#talk-log li").await.contains("Вас слышно"));
    what_the_far_side_does_not_get_goes_by_the_server(patient, doctor).await;
    a_note_is_not_recorded_behind_a_microphone_that_is_off(doctor).await;
    doctor.click("#talk-note").await;
    rt::time::sleep(Duration::from_millis(1500)).await;
    doctor.click("#talk-note").await;
    let note = "document.querySelector('#talk-log audio')";
    patient.wait_for(&format!("{note}?.src.startsWith('blob:')")).await;
    patient.wait_for(&format!("{note}.readyState > 0 && !{note}.error")).await;
    let notes = "document.querySelectorAll('#talk-log audio').length";
    assert_eq!(patient.eval(notes).await, 1, "what was broken off was not sent");
}

/// Who turns the microphone off in the middle of a note has not meant to say what follows.
async fn a_note_is_not_recorded_behind_a_microphone_that_is_off(doctor: &Page) {
    doctor.click("#talk-note").await;
    doctor.see("#talk-note[aria-pressed=true]").await;
    rt::time::sleep(Duration::from_secs(1)).await;
    doctor.click("#mic").await;
    doctor.see("#talk-note[aria-pressed=false]").await;
    let said = "document.querySelector('#talk-log').lastChild.innerText";
    doctor.wait_for(&format!("{said}.includes('was broken off and not sent')")).await;
    doctor.click("#mic").await;
    doctor.wait_for("!watched.seen('#call-muted')").await;
}

/// The doctor's page hears nothing that comes over the side channel, until it is given what was held.
const DEAF: &str = "
    const source = document.querySelector('script[type=module]').src;
    const { Side } = await import(source.replace(/[^/]+$/, 'side.js'));
    const real = Side.prototype.receive;
    const held = [];
    Side.prototype.receive = function receive(data) { held.push([this, data]); };
    window.hears = (late = true) => {
      Side.prototype.receive = real;
      if (late) for (const [side, data] of held) side.receive(data);
    };";

/// To whoever writes, a page without power looks like this one: the channel is open, and nobody says to
/// have got what was written.
async fn what_the_far_side_does_not_get_goes_by_the_server(patient: &Page, doctor: &Page) {
    doctor.run(DEAF).await;
    patient.write("#talk-text", "Мне плохо").await;
    patient.click("#talk-send").await;
    let shown = "document.querySelector('#talk-log').innerText.includes('Мне плохо')";
    patient.wait_for(shown).await;
    let visit = text(&patient.eval("location.hash.split('/').at(-1)").await);
    let kept = patient.ask(&format!("/v1/encounters/{visit}/messages")).await;
    let is_kept = |one: &Value| one["text"] == "Мне плохо";
    assert!(kept["items"].as_array().unwrap().iter().any(is_kept), "{kept}");
    // The doctor reads it there, though the connection stands.
    let count = "[...document.querySelectorAll('#talk-log li')].filter((line) => line.innerText.includes('Мне плохо')).length";
    doctor.wait_for(&format!("{count} === 1")).await;
    // Got late after all, it stands there once: what was said after it has come as well.
    doctor.run("window.hears();").await;
    patient.write("#talk-text", "Уже лучше").await;
    patient.click("#talk-send").await;
    doctor.wait_for("document.querySelector('#talk-log').innerText.includes('Уже лучше')").await;
    assert_eq!(doctor.eval(count).await, 1);
}

/// The second piece of what is written by the server is refused, as whoever writes too fast is.
const TOO_FAST: &str = "
    const real = window.fetch;
    let pieces = 0;
    window.fetch = async (path, options) => {
      if (options?.method !== 'POST' || !String(path).endsWith('/messages')) return real(path, options);
      pieces += 1;
      if (pieces !== 2) return real(path, options);
      window.fetch = real;
      return new Response(JSON.stringify({ code: 'too_many_attempts', status: 429 }), { status: 429 });
    };";

async fn what_is_refused_is_told_and_what_has_gone_is_not_said_again(
    patient: &Page,
    doctor: &Page,
    visit: &str,
) {
    doctor.run(DEAF).await;
    patient.run(TOO_FAST).await;
    let [first, second] = ["а".repeat(500), "б".repeat(400)];
    patient.write("#talk-text", &format!("{first}{second}")).await;
    patient.click("#talk-send").await;
    patient
        .wait_for("document.querySelector('#talk-log').innerText.includes('Слишком много попыток')")
        .await;
    let field = patient.eval("document.querySelector('#talk-text').value").await;
    assert_eq!(field, second.as_str(), "only what has not gone is to be sent again");
    doctor.run("window.hears(false);").await;
    patient.click("#talk-send").await;
    let told = |what: &str| {
        format!(
            "[...document.querySelectorAll('#talk-log li')].filter((line) => line.innerText.includes('{what}')).length"
        )
    };
    for what in [&first, &second] {
        doctor.wait_for(&format!("{} === 1", told(what))).await;
    }
    let kept = patient.ask(&format!("/v1/encounters/{visit}/messages")).await;
    let is_first = |one: &&Value| one["text"] == first.as_str();
    assert_eq!(kept["items"].as_array().unwrap().iter().filter(is_first).count(), 1, "{kept}");
}

/// Two hundred seconds in four hundred pixels, of somebody who was let in, lost her seat, came anew and
/// was held; and of somebody who waited in vain.
const LANES: &str = "
    const source = document.querySelector('script[type=module]').src;
    const { timeline } = await import(source.replace(/[^/]+$/, 'timeline.js'));
    const at = (seconds) => new Date(Date.UTC(2026, 10, 24, 2, 0, seconds)).toISOString();
    const mark = (kind, seconds) => ({ kind, at: at(seconds) });
    const stay = (from, to, why) => ({ joined_at: at(from), left_at: at(to), why });
    const people = [
      { id: 'a', role: 'patient', name: 'Asha', stays: [stay(0, 60, 'lost'), stay(100, 200, 'left')], marks: [mark('admitted', 20), mark('silent', 50), mark('held', 150)] },
      { id: 'b', role: 'relative', name: 'Vera', stays: [stay(0, 100, 'left')], marks: [] },
    ];
    const outcome = { modality: 'none', technical_failure: false, audio_only_share: 0, connected_secs: 0, reconnects: 0, failures: [], noshow_advice: null };
    const node = timeline({ people, edges: [], outcome, ended_at: at(200), ended_as: null }, 'UTC');
    node.style.width = '400px';
    document.body.append(node);
    await new Promise((done) => { setTimeout(done, 300); });
    const boxes = [...node.querySelectorAll('svg rect')].map((one) => [one.getAttribute('class'), ...['x', 'width'].map((name) => Math.round(one.getAttribute(name) / node.querySelector('svg').getAttribute('width') * 20) * 10)]);
    node.remove();
    return boxes;";

/// Where each band begins and how long it is, in seconds.
async fn every_stay_is_drawn_for_itself(page: &Page) {
    let drawn = page.run(LANES).await;
    let expected = json!([
        ["tl-here", 0, 60],
        ["tl-waits", 0, 20],
        ["tl-here", 100, 100],
        ["tl-waits", 150, 50],
        ["tl-silent", 50, 10],
        ["tl-here", 0, 100],
        ["tl-waits", 0, 100],
    ]);
    assert_eq!(drawn, expected);
}

async fn the_timeline_tells_it(doctor: &Page, encounter: &str) {
    let path = format!("/v1/encounters/{encounter}/call");
    let recorded = |record: &Value| {
        let spans = record["edges"][0]["rungs"].as_array().cloned().unwrap_or_default();
        spans.iter().any(|span| span["rung"] == "small_video" && span["why"] == "recovered")
    };
    let mut record = Value::Null;
    for _ in 0..20 {
        record = doctor.ask(&path).await;
        if recorded(&record) {
            break;
        }
        rt::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(recorded(&record), "{record}");
    let forms: Vec<_> =
        record["people"].as_array().unwrap().iter().map(|one| one["browser"].clone()).collect();
    assert_eq!(forms, [json!("chromium"), json!("chromium")]);

    doctor.click("#to-timeline").await;
    doctor.see("#timeline svg .tl-band[data-rung=audio]").await;
    every_stay_is_drawn_for_itself(doctor).await;
    let rows = "document.querySelectorAll('#timeline-table tr[data-kind=rung]').length";
    assert!(doctor.eval(rows).await.as_i64() >= Some(5), "every step is in the table as well");
    doctor.assert_fits().await;
    doctor.drawn("timeline", true).await;
    doctor.becomes(Device::Phone).await;
    doctor.wait_for("document.querySelector('#timeline svg').clientWidth <= 360").await;
    doctor.assert_fits().await;
    doctor.drawn("timeline-phone", false).await;
    doctor.becomes(Device::Desk).await;
}
