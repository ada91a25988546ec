//! The wait: a patient on a small phone sees their place and the range, hears that the doctor is
//! late, and is moved from there; the doctor says it only after seeing how many will be told.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::{Clinic, Person};
use crate::page::{Device, Page, quoted};
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
    /// The visit in front, and the patient's own.
    own: Value,
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
    let doctor = desk.page("late", Device::Desk, "en").await;
    the_doctor_says_it(&doctor, &clinic, &stage, &today).await;
    the_patient_moves(&page, &stage, &today).await;
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
        let path = format!(
            "/v1/slots?service={service}&practitioner={id}&from={}&to={}&limit=100",
            written(now + Duration::minutes(5)),
            written(now + Duration::hours(3))
        );
        let slots = stage.registrar.get(&path).await.expect(200);
        let free: Vec<DateTime<Utc>> =
            slots["items"].as_array().unwrap().iter().map(|slot| instant(&slot["start"])).collect();
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
        let wish = json!({"service": service, "practitioner": id, "start": written(start), "patient": patient["id"]});
        booked.push(stage.registrar.once("/v1/appointments", &key(), &wish).await.expect(201));
    }
    let doctor = clinic.everybody("doctor").into_iter().find(|who| who.name == name).unwrap();
    Today { doctor, id, own: booked.remove(1) }
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
    page.wait_for("document.querySelector('#call-state')?.dataset.state === 'waiting'").await;
    let said = page.text("#call-queue").await;
    assert!(said.contains("Перед вами:") && !said.contains("задерживается"), "{said}");
    page.assert_fits().await;
    page.drawn("waiting-room", false).await;
}

async fn the_doctor_says_it(page: &Page, clinic: &Clinic, stage: &Stage, today: &Today) {
    staff_signs_in(page, &format!("{}/doctor", clinic.url), &today.doctor).await;
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
    page.click("#wait-move").await;
    page.see("#slots [data-start]").await;
    // Tomorrow, where no word about today counts.
    page.click(&format!("#days [data-day={}]", quoted(&stage.day))).await;
    // Shortly before midnight the visit itself is tomorrow's first.
    let own = quoted(&text(&today.own["start"]));
    page.click(&format!("#slots [data-start]:not([data-start={own}])")).await;
    page.click("#move-visit").await;
    page.see("#moved").await;
    let moved = stage.visit(&today.own).await;
    assert_eq!((&moved["status"], &moved["code"]), (&json!("booked"), &today.own["code"]));
    assert_ne!(moved["start"], today.own["start"]);
    page.click("#to-home").await;
    page.see("#upcoming").await;
}
