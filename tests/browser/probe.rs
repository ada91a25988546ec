//! The link probe: a real browser measures against the real peer, directly and over a real relay;
//! and how surely it finds its way over a line that loses packets.

use std::time::Instant;

use actix_web::rt;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::{Clinic, Person};
use crate::devices::UNTRIED;
use crate::page::{Device, Page, quoted};
use crate::relay::book;
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::relay::{Coturn, LOOPBACK, SECRET};
use crate::support::{Engine, key, percentile};
use crate::three::{nobody, sign_in};

/// Whatever the operator asks for.
const LOUD: &str = "debug,feldsher=trace,webrtc=trace,webrtc::peer_connection::driver=trace,\
                    rtc=trace,rtc_ice=trace,rtc_dtls=trace,rtc_sctp=trace,turn=trace,stun=trace";
const RELATIVE: &str = "+79130000778";
/// How long a whole probe may take, in seconds.
const PROBE_SECS_MAX: u64 = 60;

/// Settings of a clinic whose peer is on this machine alone.
fn here(more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut settings = vec![("FELDSHER__PROBE__ADDRESSES", "127.0.0.1".to_owned())];
    settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    settings
}

/// A patient with a visit, on the screen of the probe; the visit.
async fn at_the_probe(page: &Page, clinic: &Clinic) -> Value {
    patient_signs_in(page, clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(page).await;
    page.goto_hash(&format!("#/visit/{}", text(&visit["encounter"]["id"]))).await;
    page.click("#to-probe").await;
    page.see("#start-probe").await;
    visit
}

async fn measures(page: &Page, visit: &Value) -> Value {
    page.click("#start-probe").await;
    let done = "document.querySelector('#probe-verdict')?.dataset.verdict";
    page.wait_at_most(PROBE_SECS_MAX, done).await;
    let path = format!("/v1/encounters/{}/probes", text(&visit["encounter"]["id"]));
    page.ask(&path).await["items"][0].clone()
}

fn state(probe: &Value, leg: &str) -> String {
    let legs = probe["legs"].as_array().unwrap();
    text(&legs.iter().find(|one| one["leg"] == leg).unwrap()["state"])
}

/// Within this machine nothing is lost on the way; how much passes, and how late, is the machine's
/// own business when it has much to do.
fn believable(probe: &Value) {
    let number = |name: &str| probe["measures"][name].as_i64().unwrap();
    for (name, range) in [
        ("up_kbits", 1..=1000),
        ("down_kbits", 1..=1000),
        ("loss_up_permille", 0..=29),
        ("loss_down_permille", 0..=29),
        ("rtt_p50_ms", 0..=5000),
    ] {
        assert!(range.contains(&number(name)), "{name}: {probe}");
    }
    println!("{}", probe["measures"]);
}

#[actix_web::test]
async fn a_patient_measures_the_line_and_the_doctor_reads_it_before_letting_them_in() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open_with(Engine::Sqlite, here(&[("FELDSHER__LOG__LEVEL", LOUD)])).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let page = phone.page("probe", Device::Phone, "ru").await;
    let visit = at_the_probe(&page, &clinic).await;

    page.click("#try-devices").await;
    page.see("#probe-microphone[data-state=ok]").await;
    page.see("#probe-camera[data-state=ok]").await;
    page.wait_for("document.querySelector('#mic-level').value > 0").await;
    page.click("#play-tone").await;
    page.click("#tone-heard").await;
    page.see("#probe-speaker[data-state=ok]").await;
    page.assert_fits().await;

    let probe = measures(&page, &visit).await;
    assert_eq!(state(&probe, "direct"), "connected", "{probe}");
    assert_eq!(text(&probe["measured_on"]), "direct", "{probe}");
    let all = json!({"camera": "ok", "microphone": "ok", "speaker": "ok"});
    assert_eq!(probe["devices"], all);
    believable(&probe);
    let advice = page.text("#probe-advice").await;
    let path = format!("/v1/encounters/{}/probes", text(&visit["encounter"]["id"]));
    assert_eq!(advice, text(&page.ask(&path).await["items"][0]["advice_text"]));
    page.assert_fits().await;
    page.drawn("probe", false).await;

    let encounter = text(&visit["encounter"]["id"]);
    page.click("#to-visit").await;
    page.click("#enter-waiting-room").await;
    page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    page.click("#join").await;
    page.see("#call-state[data-state=waiting]").await;

    let doctor = desk.page("probe-read", Device::Desk, "en").await;
    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), who).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.see("#waiting-list .admit").await;
    let line = doctor.text("#probe-line").await;
    let words = match text(&probe["verdict"]).as_str() {
        "video" => "Video and voice, measured ",
        "audio_photos" => "Voice and photos, measured ",
        "audio_lean" => "Voice only, measured ",
        _ => "Better by telephone, measured ",
    };
    assert!(line.starts_with(words) && line.ends_with(" ago directly"), "{line}");
    page.assert_content();
    doctor.assert_content();
    nothing_is_told(&clinic.log(), &clinic);
}

/// The log has no address, no key and no word of a session description.
fn nothing_is_told(log: &str, clinic: &Clinic) {
    assert!(log.contains("a probe's connection has ended"), "the log was loud: {log}");
    let server = clinic.url.trim_start_matches("http://");
    for line in log.lines() {
        let line = line.replace(server, "");
        for word in
            ["ice-pwd", "ice-ufrag", "candidate", "fingerprint", "a=", "typ host", "payload"]
        {
            assert!(!line.contains(word), "{word} in the log: {line}");
        }
        assert!(!line.contains("127.0.0.1"), "an address in the log: {line}");
        for library in ["webrtc", "rtc_", "quinn"] {
            assert!(!line.contains(library), "a library speaks: {line}");
        }
    }
}

#[actix_web::test]
async fn every_way_over_a_relay_is_tried_and_measured_where_it_is_the_only_one() {
    let _alone = ONE_STORY.lock().await;
    let coturn = Coturn::start(LOOPBACK);
    let [udp, tcp, _] = coturn.urls();
    let urls = format!("{udp},{tcp}");
    let relay =
        [("FELDSHER__ICE__TURN_URLS", urls.as_str()), ("FELDSHER__ICE__TURN_SECRET", SECRET)];
    let clinic = Clinic::open_with(Engine::Sqlite, here(&relay)).await;
    let browser = Chromium::start().await;
    let page = browser.page("probe-relay", Device::Phone, "en").await;
    let visit = at_the_probe(&page, &clinic).await;
    let probe = measures(&page, &visit).await;
    for leg in ["direct", "relay_udp", "relay_tls"] {
        assert_eq!(state(&probe, leg), "connected", "{probe}");
    }
    page.assert_content();
    drop(clinic);

    // Where calls go over the relay alone, nothing else is measured.
    let mut relayed = relay.to_vec();
    relayed.push(("FELDSHER__ICE__POLICY", "relay"));
    let clinic = Clinic::open_with(Engine::Sqlite, here(&relayed)).await;
    let page = browser.page("probe-relayed", Device::Phone, "en").await;
    let visit = at_the_probe(&page, &clinic).await;
    let probe = measures(&page, &visit).await;
    assert_eq!(state(&probe, "direct"), "untested", "{probe}");
    assert_eq!(text(&probe["measured_on"]), "relay_udp", "{probe}");
    believable(&probe);
    page.assert_content();
}

#[actix_web::test]
async fn where_nothing_passes_it_says_so_and_the_visit_stays_open() {
    let _alone = ONE_STORY.lock().await;
    let far = [("FELDSHER__PROBE__PUBLIC_ADDRESSES", "192.0.2.1")];
    let clinic = Clinic::open_with(Engine::Sqlite, here(&far)).await;
    let browser = Chromium::start().await;
    let page = browser.page("probe-nothing", Device::Phone, "en").await;
    let visit = at_the_probe(&page, &clinic).await;
    let probe = measures(&page, &visit).await;
    assert_eq!(state(&probe, "direct"), "failed", "{probe}");
    assert_eq!(text(&probe["verdict"]), "phone", "{probe}");
    let advice = page.text("#probe-advice").await;
    assert!(advice.contains("The doctor can telephone you"), "{advice}");
    page.click("#to-visit").await;
    page.see("#enter-waiting-room").await;
    page.assert_content();
}

#[actix_web::test]
async fn a_feldsher_measures_the_stations_line_and_whoever_comes_beside_tries_their_devices() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open_with(Engine::Sqlite, here(&[])).await;
    let browser = Chromium::start().await;
    let page = browser.page("probe-station", Device::Phone, "ru").await;
    let feldsher = clinic.everybody("feldsher").remove(0);
    let me = clinic.staff(&feldsher).await.get("/v1/me").await.expect(200);
    let organization = text(&me["practitioner"]["organization"]["id"]);

    // A visit at the feldsher's clinic.
    let patient = clinic.patient(&clinic.everybody("patient")[0]).await;
    let path = format!("/v1/practitioners?organization={organization}&limit=100");
    let doctors = patient.get(&path).await.expect(200);
    let doctors = doctors["items"].as_array().unwrap();
    let mut found = None;
    for doctor in doctors {
        let Some(service) = doctor["services"].as_array().and_then(|all| all.first()) else {
            continue;
        };
        let path = format!(
            "/v1/slots?service={}&practitioner={}&limit=1",
            text(&service["id"]),
            text(&doctor["id"])
        );
        let slots = patient.get(&path).await.expect(200);
        if let Some(slot) = slots["items"].as_array().unwrap().first() {
            found = Some(
                json!({"service": service["id"], "practitioner": doctor["id"], "start": slot["start"]}),
            );
            break;
        }
    }
    let wish = found.expect("a free time at the clinic");
    let visit = patient.once("/v1/appointments", &key(), &wish).await.expect(201);
    let encounter = text(&visit["encounter"]["id"]);
    let conducts = clinic
        .everybody("doctor")
        .into_iter()
        .find(|who| visit["practitioner"]["name"] == *who.name)
        .unwrap();
    let asked = json!({"role": "feldsher", "practitioner": me["practitioner"]["id"]});
    let path = format!("/v1/encounters/{encounter}/participants");
    let station = clinic.staff(&conducts).await.post(&path, &asked).await.expect(201);

    staff_signs_in(&page, &format!("{}/doctor", clinic.url), &feldsher).await;
    page.click(&format!("#invitations [data-encounter={}] .open-invitation", quoted(&encounter)))
        .await;
    page.click("#to-probe").await;
    let probe = measures(&page, &visit).await;
    assert_eq!(probe["side"], "feldsher", "{probe}");
    assert_eq!(state(&probe, "direct"), "connected", "{probe}");
    page.assert_fits().await;
    page.click("#to-visit").await;
    page.see("#guest-role[data-role=feldsher]").await;

    // A colleague of the doctor, on the page of the staff, and a relative on that of the patients.
    let staff = clinic.staff(&conducts).await;
    let colleague = doctors.iter().find(|one| one["name"] != *conducts.name).expect("a colleague");
    let asked = json!({"role": "specialist", "practitioner": colleague["id"]});
    staff.post(&path, &asked).await.expect(201);
    let everybody = clinic.everybody("doctor");
    let specialist = everybody.iter().find(|one| colleague["name"] == *one.name).unwrap();
    page.click("#sign-out").await;
    page.before(UNTRIED).await;
    staff_signs_in(&page, &format!("{}/doctor", clinic.url), specialist).await;
    let invitation =
        format!("#invitations [data-encounter={}] .open-invitation", quoted(&encounter));
    page.click(&invitation).await;
    page.see("#guest-role[data-role=specialist]").await;
    tries_the_devices(&page).await;
    page.assert_content();

    // Four devices can talk at once.
    let leaves = format!("{path}/{}/remove", text(&station["id"]));
    staff.post(&leaves, &json!({})).await.expect(200);
    let asked = json!({"role": "relative", "name": "Марья", "phone": RELATIVE, "language": "ru"});
    staff.post(&path, &asked).await.expect(201);
    let relative = browser.page("check-relative", Device::Phone, "ru").await;
    relative.before(UNTRIED).await;
    relative.goto(&format!("{}/#/guest/{encounter}", clinic.url)).await;
    sign_in(&relative, &clinic, &Person { phone: RELATIVE.to_owned(), ..nobody() }).await;
    relative.see("#guest-role[data-role=relative]").await;
    tries_the_devices(&relative).await;
    relative.assert_content();
}

/// Camera, microphone and loudspeaker are tried before one goes in, and go in with them.
async fn tries_the_devices(page: &Page) {
    page.click("#enter-as-guest").await;
    page.see("#device-state[data-state=ok]").await;
    page.see("#local-preview").await;
    page.wait_for("document.querySelector('#local-preview').videoWidth > 0").await;
    page.wait_for("document.querySelector('#mic-level').value > 0").await;
    page.click("#play-tone").await;
    page.click("#tone-heard").await;
    page.see("#tone-said").await;
    page.assert_fits().await;
    page.click("#join").await;
    page.see("#call-state[data-state=waiting]").await;
    let own = "document.querySelector('#local-video').srcObject.getTracks().map(({ kind, readyState }) => [kind, readyState]).sort()";
    assert_eq!(page.eval(own).await, json!([["audio", "live"], ["video", "live"]]));
}

/// How often a channel opens: `TEST_PROBES` times (12 without it) one after another. Without loss
/// it says little; `tests/lossy 10 tests/run browser opens_surely` loses a tenth each way.
#[actix_web::test]
async fn the_channel_opens_surely() {
    let _alone = ONE_STORY.lock().await;
    let count = std::env::var("TEST_PROBES").map_or(12, |count| count.parse().expect("a number"));
    let clinic = Clinic::open_with(Engine::Sqlite, here(&[])).await;
    let browser = Chromium::start().await;
    let page = browser.page("probe-surely", Device::Phone, "en").await;
    let visit = at_the_probe(&page, &clinic).await;
    let (mut first, mut opened, mut late, mut times) = (0, 0, 0, Vec::new());
    for turn in 0..count {
        let begun = Instant::now();
        let found = page.run(&finds(&text(&visit["encounter"]["id"]), turn % 15 == 0)).await;
        let took = begun.elapsed();
        let is_open = found["state"] == "connected";
        opened += u32::from(is_open);
        first += u32::from(is_open && found["tries"] == 1);
        late += u32::from(is_open && took.as_secs() >= 15);
        times.push(took.as_millis());
        if found["tries"] != 1 {
            println!("{turn}: {found} after {} ms", took.as_millis());
        }
    }
    times.sort_unstable();
    let at = |percent| percentile(&times, percent);
    println!(
        "{opened} of {count} opened, {first} at the first try, {late} of them after 15 s; \
         p50 {} ms, p95 {} ms, longest {} ms",
        at(50),
        at(95),
        at(100)
    );
    assert!(f64::from(opened - late) >= 0.99 * f64::from(count), "{opened} of {count}");
    rt::time::sleep(std::time::Duration::from_millis(100)).await;
}

/// One way is found, as the page does it, and given up; a probe serves some of them.
fn finds(encounter: &str, anew: bool) -> String {
    format!(
        "const source = document.querySelector('script[type=module]').src; \
         const at = (name) => import(source.replace(/[^/]+$/, name)); \
         const [api, {{ find }}] = await Promise.all([at('api.js'), at('probe.js')]); \
         const probes = '/v1/encounters/' + {} + '/probes'; \
         if ({anew}) window.begun = await api.post(probes); \
         const note = {{ stopped: false, lines: [], tell() {{}} }}; \
         const path = probes + '/' + window.begun.id; \
         const found = await find(path, window.begun.legs[0], note); \
         for (const line of note.lines) line.close(); \
         return {{ state: found.state, tries: found.tries, whys: found.whys, ms: found.ms }};",
        quoted(encounter)
    )
}
