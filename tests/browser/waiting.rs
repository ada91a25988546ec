//! The wait: a patient on a small phone sees their place and the range, hears that the doctor is
//! late, and is moved from there; the doctor says it only after seeing how many will be told.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::{Clinic, Person};
use crate::devices::hidden;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::signing_out::whoever_signs_out_without_a_line_leaves_nothing_behind;
use crate::stage::{
    DOCTOR, PATIENTS, Stage, instant, patient_signs_in, staff_signs_in, text, written,
};
use crate::story::ONE_STORY;
use crate::support::{Engine, key};

/// A doctor of the same clinic whose clocks are five hours behind: one of the two has some hours of
/// today left, whenever this runs.
const FAR: &str = "Vera Polozova";

struct Today {
    doctor: Person,
    id: String,
    /// The patient's own visit, behind another, and how it was booked.
    own: Value,
    wish: Value,
}

#[actix_web::test]
async fn a_patient_sees_the_wait_change_and_moves_and_the_doctor_sees_whom_it_hits() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let page = phone.page("waiting", Device::Phone, "ru").await;
    let everybody = clinic.everybody("patient");
    let who = everybody.into_iter().find(|who| who.name == PATIENTS[0]).expect("the patient");
    patient_signs_in(&page, &clinic, &who).await;
    let stage = Stage::set(&clinic, &page).await;
    let today = today(&clinic, &stage, &page).await;

    whoever_waits_is_asked_once_for_each_word(&page).await;
    the_lobby(&page, &today).await;
    the_room(&page).await;
    the_room_says_the_place(&page).await;
    let doctor = desk.page("late", Device::Desk, "en").await;
    the_doctor_says_it(&doctor, &clinic, &stage, &today).await;
    the_patient_moves(&page, &stage, &today).await;
    let again = stage.registrar.once("/v1/appointments", &key(), &today.wish).await.expect(201);
    page.goto_hash(&format!("#/visit/{}", encounter(&again))).await;
    the_room(&page).await;
    another_tab_takes_the_kept_seat(&page, &encounter(&again)).await;
    the_office_moves_the_visit_of_a_kept_seat(&page, &stage, &again).await;
    the_room(&page).await;
    doctor.run(&hidden(true)).await;
    doctor.goto_hash(&format!("#/visit/{}", encounter(&again))).await;
    who_is_let_in_while_they_look_elsewhere_is_brought_back(&page, &doctor, &again).await;
    a_doctor_whose_page_lies_in_the_background_is_neither_heard_nor_seen(&page, &doctor).await;
    a_page_that_comes_back_by_itself_says_what_others_have_of_it(&page, &doctor, &clinic).await;
    doctor.click(".holds button").await;
    page.wait_for(&state("waiting")).await;
    let next = clinic.everybody("patient").into_iter().find(|one| one.name == PATIENTS[2]).unwrap();
    let tab = phone.page("waiting-tab", Device::Phone, "ru").await;
    let tabs = (&page, &tab);
    whoever_signs_out_without_a_line_leaves_nothing_behind(tabs, &clinic, &stage, &again, &next)
        .await;
    tab.assert_content();
    page.assert_content();
    doctor.assert_content();
    assert!(clinic.stop().await.success());
}

/// Two visits behind one another, as soon as somebody who works today is free.
async fn today(clinic: &Clinic, stage: &Stage, page: &Page) -> Today {
    let now = instant(&page.eval("new Date().toISOString()").await);
    let doctors = stage.registrar.get("/v1/practitioners?limit=100").await.expect(200);
    let far = doctors["items"].as_array().unwrap().iter().find(|one| one["name"] == FAR).unwrap();
    // They have their clinic's day; here they work around the clock.
    let path = format!("/v1/practitioners/{}/schedule", text(&far["id"]));
    let before = stage.registrar.get(&path).await.expect(200);
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let rules = days.map(|day| json!({"weekday": day, "from": "00:00", "to": "24:00"}));
    let version = before["version"].as_i64().unwrap();
    let all_day = json!({ "rules": rules });
    stage.registrar.edit(actix_web::http::Method::PUT, &path, version, &all_day).await.expect(200);

    let left = stage.begins - now;
    let (name, id, services) = if left > Duration::hours(4) {
        (DOCTOR, stage.doctor.clone(), vec![stage.service.clone()])
    } else {
        // One of what they give needs an interpreter, who may not be there at this hour.
        let given = far["services"].as_array().unwrap().iter();
        (FAR, text(&far["id"]), given.map(|one| text(&one["id"])).collect())
    };
    let mut found = None;
    for service in services {
        let from = now + Duration::minutes(5);
        let free = free_times(stage, &service, &id, (from, now + Duration::hours(3))).await;
        if free.len() > 1 {
            found = Some((service, free));
        }
    }
    let (service, free) = found.expect("two times in the next hours");
    let everybody = stage.registrar.get("/v1/patients?limit=100").await.expect(200);
    let mut booked = Vec::new();
    for (patient, start) in [(PATIENTS[1], free[0]), (PATIENTS[0], free[1])] {
        let all = everybody["items"].as_array().unwrap();
        let patient = all.iter().find(|one| one["name"] == patient).unwrap();
        // Urgent, but not before its time: it has the place of its start.
        let wish = json!({"service": service, "practitioner": id, "start": written(start),
            "patient": patient["id"], "priority": "urgent"});
        booked.push((
            wish.clone(),
            stage.registrar.once("/v1/appointments", &key(), &wish).await.expect(201),
        ));
    }
    let doctor = clinic.everybody("doctor").into_iter().find(|who| who.name == name).unwrap();
    let (wish, own) = booked.remove(1);
    Today { doctor, id, wish, own }
}

async fn free_times(
    stage: &Stage,
    service: &str,
    doctor: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Vec<DateTime<Utc>> {
    let path = format!(
        "/v1/slots?service={service}&practitioner={doctor}&from={}&to={}&limit=100",
        written(from),
        written(to)
    );
    let slots = stage.registrar.get(&path).await.expect(200);
    slots["items"].as_array().unwrap().iter().map(|slot| instant(&slot["start"])).collect()
}

fn encounter(visit: &Value) -> String {
    text(&visit["encounter"]["id"])
}

/// The range moves with time and with those in front; only a word of the doctor's asks again.
async fn whoever_waits_is_asked_once_for_each_word(page: &Page) {
    let asked = "
        const source = document.querySelector('script[type=module]').src;
        const { waitCard } = await import(source.replace(/[^/]+$/, 'waiting.js'));
        const card = waitCard({ time_zone: 'UTC', appointment: { id: 'one' } });
        const at = (minute) => `2026-11-24T02:${minute}:00Z`;
        const asks = (latest, said) => {
          const queue = { position: 2, earliest: at(20), latest: at(latest), late_minutes: 30, late_declared_at: at(said) };
          card.draw({ queue });
          return !card.node.querySelector('#wait-choice').hidden;
        };
        const first = asks(30, 10);
        card.node.querySelector('#wait-here').click();
        return [first, asks(35, 10), asks(35, 15)];";
    assert_eq!(page.run(asked).await, json!([true, false, true]));
    let said = page
        .run(
            "const source = document.querySelector('script[type=module]').src;
             const { waitWords } = await import(source.replace(/[^/]+$/, 'waiting.js'));
             const earliest = new Date().toISOString();
             return waitWords({ position: 1, earliest }, 'UTC').join(' ');",
        )
        .await;
    assert_eq!(said, "Вы следующий.", "of an end that nobody knows nothing is said");
}

async fn the_lobby(page: &Page, today: &Today) {
    page.goto_hash(&format!("#/visit/{}", encounter(&today.own))).await;
    page.see("#wait-card").await;
    let known = page.ask(&format!("/v1/encounters/{}/waiting", encounter(&today.own))).await;
    let position = known["queue"]["position"].as_i64().unwrap();
    assert!(position >= 2, "{known}");
    let said = page.text("#wait").await;
    assert!(said.contains(&format!("Перед вами: {}", position - 1)), "{said}");
    assert!(said.contains("Врач примет вас примерно") && !said.contains(PATIENTS[1]), "{said}");
    assert!(!page.eval("watched.seen('#wait-choice')").await.as_bool().unwrap_or_default());
    page.assert_fits().await;
    page.drawn("waiting-lobby", false).await;
}

async fn the_room(page: &Page) {
    page.click("#enter-waiting-room").await;
    page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    page.click("#join").await;
    page.wait_for(&state("waiting")).await;
}

async fn the_room_says_the_place(page: &Page) {
    let said = page.text("#call-queue").await;
    assert!(said.contains("Перед вами:") && !said.contains("задерживается"), "{said}");
    page.assert_fits().await;
    page.drawn("waiting-room", false).await;
}

async fn the_doctor_says_it(page: &Page, clinic: &Clinic, stage: &Stage, today: &Today) {
    staff_signs_in(page, &format!("{}/doctor", clinic.url), &today.doctor).await;
    page.see(&format!("[data-encounter={}] .tag.urgent", quoted(&encounter(&today.own)))).await;
    page.click("#late-say").await;
    page.choose("#late-minutes", "180").await;
    page.see("#late-preview[data-minutes='180'] #late-told").await;
    let path = format!("/v1/practitioners/{}/delay", today.id);
    let would = json!({"minutes": 180, "dry_run": true});
    let would = stage.registrar.once(&path, &key(), &would).await.expect(200);
    let told = would["told"].as_i64().unwrap();
    assert!(told >= 2, "{would}");
    let said = page.text("#late-told").await;
    assert!(said.contains(&format!("{told} of {}", would["to_come"])), "{said}");
    let known = stage.registrar.get(&path).await.expect(200);
    assert_eq!(known["minutes"], 0, "nothing is said before it is confirmed");
    page.assert_fits().await;
    page.drawn("late-preview", false).await;
    page.click("#late-tell").await;
    page.see("#late-said[data-minutes='180']").await;
    page.assert_fits().await;
    // Whoever nobody could tell is still named when the word is out: that is when one telephones.
    let unreached = would["unreached"].as_i64().unwrap();
    let shown = "Number(document.querySelector('#late [data-unreached]')?.dataset.unreached ?? 0)";
    assert_eq!(page.eval(shown).await, json!(unreached));
    page.click("#late-say").await;
    page.see("#late-preview[data-minutes='180']").await;
    page.click("#late-cancel").await;
    let known = stage.registrar.get(&path).await.expect(200);
    assert_eq!(
        (&known["minutes"], &known["declared_by"]["name"]),
        (&json!(180), &json!(today.doctor.name))
    );
}

/// Looking is not leaving: the practitioner goes on seeing who waits, and the way back asks nothing.
async fn whoever_looks_at_other_times_keeps_the_seat(page: &Page, stage: &Stage, today: &Today) {
    let path = format!("/v1/encounters/{}", encounter(&today.own));
    let before = stage.registrar.get(&path).await.expect(200);
    page.click("#call-move").await;
    page.see("#seat-kept").await;
    page.see("#slots [data-start]").await;
    page.assert_fits().await;
    let meanwhile = stage.registrar.get(&path).await.expect(200);
    let patient = |visit: &Value| {
        let people = visit["participants"].as_array().unwrap();
        people.iter().find(|one| one["role"] == "patient").cloned().unwrap()
    };
    assert_eq!(patient(&meanwhile)["state"], "waiting", "{meanwhile}");
    page.click("#back").await;
    page.see("#call-state[data-state=waiting]").await;
    let after = stage.registrar.get(&path).await.expect(200);
    assert_eq!(patient(&after)["waiting_since"], patient(&before)["waiting_since"]);
}

async fn the_patient_moves(page: &Page, stage: &Stage, today: &Today) {
    // The socket tells it; nothing is pressed and nothing asked for.
    page.wait_for("document.querySelector('#call-queue')?.innerText.includes('задерживается')")
        .await;
    let late = page.ask(&format!("/v1/encounters/{}/waiting", encounter(&today.own))).await;
    assert_eq!(late["queue"]["late_minutes"], 180);
    page.see("#call-move").await;
    page.assert_fits().await;
    page.drawn("waiting-late", false).await;
    whoever_looks_at_other_times_keeps_the_seat(page, stage, today).await;
    // Whoever leaves the room is asked there; who says that they wait is left in peace.
    page.click("#leave").await;
    page.see("#wait-card[data-late='180'] #wait-choice").await;
    page.assert_fits().await;
    page.drawn("waiting-choice", false).await;
    page.click("#wait-here").await;
    page.wait_for("!watched.seen('#wait-choice')").await;
    page.reload().await;
    page.see("#wait-move").await;
    the_room(page).await;
    page.click("#call-move").await;
    page.see("#seat-kept").await;
    page.see("#slots [data-start]").await;
    // Tomorrow, where no word about today counts.
    page.click(&format!("#days [data-day={}]", quoted(&stage.day))).await;
    // Shortly before midnight the visit itself is tomorrow's first.
    let own = quoted(&text(&today.own["start"]));
    page.click(&format!("#slots [data-start]:not([data-start={own}])")).await;
    // The seat hears of the move before the page does, and the page stays with its own answer.
    page.run(&slow("/reschedule", "return answer.then(later);")).await;
    page.click("#move-visit").await;
    page.see("#moved").await;
    assert!(
        text(&page.eval("location.hash").await).starts_with("#/move/"),
        "nobody is called back"
    );
    let moved = stage.visit(&today.own).await;
    assert_eq!((&moved["status"], &moved["code"]), (&json!("booked"), &today.own["code"]));
    assert_ne!(moved["start"], today.own["start"]);
    page.click("#to-home").await;
    page.see("#upcoming").await;
}

fn state(wanted: &str) -> String {
    format!("document.querySelector('#call-state')?.dataset.state === {}", quoted(wanted))
}

/// Requests to addresses that end so come late, by `how`.
fn slow(end: &str, how: &str) -> String {
    format!(
        "const real = window.fetch;
         const later = (what) => new Promise((done) => {{ setTimeout(() => done(what), 1500); }});
         window.fetch = (path, options) => {{
           const answer = real(path, options);
           if (!String(path).endsWith({})) return answer;
           {how}
         }};",
        quoted(end)
    )
}

/// Whoever looks at other times meanwhile is brought back, and reads why the seat is gone.
async fn another_tab_takes_the_kept_seat(page: &Page, visit: &str) {
    page.click("#call-move").await;
    page.see("#seat-kept").await;
    let other = format!(
        "const source = document.querySelector('script[type=module]').src;
         const {{ join, socketUrl, PROTOCOL }} = await import(source.replace(/[^/]+$/, 'doorway.js'));
         const {{ ws_url: url, ticket }} = await join({})();
         const socket = new WebSocket(socketUrl(url), PROTOCOL);
         socket.onopen = () => socket.send(JSON.stringify({{ v: 1, t: 'hello', body: {{ ticket }} }}));",
        quoted(visit)
    );
    page.run(&other).await;
    page.see("#elsewhere").await;
    page.assert_fits().await;
    page.click("#continue-here").await;
    page.wait_for(&state("waiting")).await;
}

async fn looks_at_other_times(page: &Page, visit: &Value) {
    page.goto_hash(&format!("#/move/{}", text(&visit["id"]))).await;
    page.see("#seat-kept").await;
}

async fn the_office_moves_the_visit_of_a_kept_seat(page: &Page, stage: &Stage, visit: &Value) {
    looks_at_other_times(page, visit).await;
    let (service, doctor) = (text(&visit["service"]["id"]), text(&visit["practitioner"]["id"]));
    let tomorrow = (stage.begins + Duration::hours(12), stage.begins + Duration::hours(20));
    let free = free_times(stage, &service, &doctor, tomorrow).await;
    let wish = json!({"practitioner": doctor, "start": written(*free.last().unwrap())});
    let path = format!("/v1/appointments/{}/reschedule", text(&visit["id"]));
    stage.registrar.once(&path, &key(), &wish).await.expect(200);
    page.see("#visit-left").await;
    assert!(page.text("#visit-left").await.contains("перенесён на другое время"));
}

/// What a page gives to its connections, and whether the call was on the screen by then.
const GIVES: &str = "
    window.gives = [];
    const { prototype } = RTCRtpSender;
    const real = prototype.replaceTrack;
    prototype.replaceTrack = function (track) {
      if (track) window.gives.push([track.kind, Boolean(document.querySelector('#stage'))]);
      return real.call(this, track);
    };
    window.own = document.querySelector('#local-video').srcObject;";
const OPEN: &str = "window.own.getTracks().map((track) => track.enabled)";

/// Nobody is heard or seen before the call is before their eyes, however long their page takes.
async fn who_is_let_in_while_they_look_elsewhere_is_brought_back(
    page: &Page,
    doctor: &Page,
    visit: &Value,
) {
    page.run(GIVES).await;
    assert_eq!(page.eval(OPEN).await, json!([true, true]));
    looks_at_other_times(page, visit).await;
    assert_eq!(page.eval(OPEN).await, json!([false, false]), "nobody looks into the camera");
    let fetched = format!("/v1/encounters/{}", encounter(visit));
    page.run(&slow(&fetched, "return answer.then(later);")).await;
    doctor.click("#waiting-list .admit").await;
    page.see("#call-let-in").await;
    page.wait_for("document.activeElement?.id === 'call-let-in'").await;
    assert!(page.text("#call-let-in").await.contains("видно и слышно"));
    page.assert_fits().await;
    page.drawn("waiting-let-in", false).await;
    page.wait_for(&state("in_call")).await;
    media_flows(doctor).await;
    assert_eq!(page.eval(OPEN).await, json!([true, true]));
    let gives = page.eval("window.gives").await;
    let gives = gives.as_array().unwrap();
    assert!(gives.contains(&json!(["audio", true])), "{gives:?}");
    assert!(gives.iter().all(|given| given[1] == true), "before it was seen: {gives:?}");
    // Whatever is pressed, it has been read.
    page.click("#mic").await;
    page.wait_for("!watched.seen('#call-let-in')").await;
}

/// They may be in another call in the tab before it.
async fn a_doctor_whose_page_lies_in_the_background_is_neither_heard_nor_seen(
    page: &Page,
    doctor: &Page,
) {
    let open = "document.querySelector('#local-video').srcObject.getTracks().map((track) => track.enabled)";
    let given =
        "watched.connections.flatMap((pc) => pc.getSenders()).filter(({ track }) => track).length";
    assert_eq!(doctor.eval(open).await, json!([false, false]));
    assert_eq!(doctor.eval(given).await, 0);
    doctor.run(&hidden(false)).await;
    assert!(doctor.text("#call-let-in").await.contains("You can now be seen and heard"));
    assert_eq!(doctor.eval(open).await, json!([true, true]));
    doctor.assert_fits().await;
    media_flows(page).await;
}

/// The tab was thrown away while its patient waited, and they were let in: it comes back with their
/// devices as they left them, and says so.
async fn a_page_that_comes_back_by_itself_says_what_others_have_of_it(
    page: &Page,
    doctor: &Page,
    clinic: &Clinic,
) {
    page.see("#call-muted").await;
    doctor.click(".holds button").await;
    page.wait_for(&state("waiting")).await;
    let hash = text(&page.eval("location.hash").await);
    page.goto("about:blank").await;
    doctor.click("#waiting-list .admit").await;
    page.goto(&format!("{}/{hash}", clinic.url)).await;
    page.see("#call-let-in").await;
    let said = page.text("#call-let-in").await;
    assert!(said.contains("видно, но не слышно"), "{said}");
    let silent = "document.querySelector('#local-video').srcObject.getAudioTracks()[0].enabled";
    assert_eq!(page.eval(silent).await, json!(false), "whoever was muted is");
    page.wait_for(&state("in_call")).await;
}
