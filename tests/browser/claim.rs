//! The next free doctor: a patient waits on a small phone, a colleague sees that somebody does and
//! takes them with one key, and all three read what has happened.

use actix_web::http::Method;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{
    DOCTOR, PATIENTS, SECOND, Stage, instant, patient_signs_in, staff_signs_in, text, written,
};
use crate::story::ONE_STORY;
use crate::support::{Engine, key};

#[actix_web::test]
async fn a_colleague_takes_who_waits_and_everybody_reads_it() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Postgres).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let (page, _stage, visit) = in_the_waiting_room(&clinic, &phone, "taken").await;

    let second = signs_in(&desk, &clinic, "takes", SECOND, Device::Phone).await;
    second.see(&format!("#claimable [data-encounter={}]", quoted(&visit))).await;
    let said = second.text("#claims").await;
    assert!(said.contains(DOCTOR) && !said.contains(PATIENTS[0]), "{said}");
    second.assert_fits().await;
    second.drawn("claim-day", false).await;
    second.focus("#claim:enabled").await;
    second.press("Enter").await;
    second.wait_for(&format!("location.hash === '#/visit/{visit}'")).await;
    second
        .wait_for(&format!(
            "document.querySelector('#patient-name')?.textContent === {}",
            quoted(PATIENTS[0])
        ))
        .await;

    page.wait_for("document.querySelector('#taken-over')?.hidden === false").await;
    let said = page.text("#taken-over").await;
    assert!(
        said.contains("Вас примет") && said.contains(SECOND) && said.contains(DOCTOR),
        "{said}"
    );
    page.assert_fits().await;
    page.drawn("claim-patient", false).await;
    second.click("#waiting-list .admit").await;
    page.wait_for(&state("in_call")).await;
    page.wait_for("document.querySelector('#taken-over').hidden").await;

    // Whoever is signed in is so in all tabs of a browser.
    let own = Chromium::start().await;
    let first = signs_in(&own, &clinic, "taken-from", DOCTOR, Device::Phone).await;
    first.see("#claims-seen").await;
    let said = first.text("#screen").await;
    assert!(said.contains(SECOND), "{said}");
    first.assert_fits().await;
    first.drawn("claim-lost", false).await;
    first.click("#claims-seen").await;
    first.wait_for("!document.querySelector('#claims-seen')").await;
    for shown in [&page, &second, &first] {
        shown.assert_content();
    }
    assert!(clinic.stop().await.success());
}

#[actix_web::test]
async fn the_office_gives_who_waits_to_a_colleague_who_is_free() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Postgres).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let (page, stage, visit) = in_the_waiting_room(&clinic, &phone, "given").await;
    works_at_every_hour(&stage, &stage.second).await;

    let office = desk.page("gives", Device::Phone, "en").await;
    let clerk = clinic.everybody("registrar").remove(0);
    staff_signs_in(&office, &format!("{}/board", clinic.url), &clerk).await;
    office.see("#to-do").await;
    office.goto_hash("#/tasks").await;
    let entry = format!("#waits [data-encounter={}]", quoted(&visit));
    office.see(&format!("{entry} .give")).await;
    let said = office.text(&entry).await;
    assert!(said.contains(PATIENTS[0]) && said.contains(DOCTOR), "{said}");
    office.assert_fits().await;
    office.drawn("office-waits", false).await;
    office.choose(&format!("{entry} .taker"), &stage.second).await;
    office.click(&format!("{entry} .give")).await;
    office.see(&format!("{entry}[data-because='']")).await;
    assert!(office.text(&entry).await.contains(SECOND));

    page.wait_for("document.querySelector('#taken-over')?.hidden === false").await;
    assert!(page.text("#taken-over").await.contains(SECOND));
    for shown in [&page, &office] {
        shown.assert_content();
    }
    assert!(clinic.stop().await.success());
}

/// A patient waits for a doctor who should have been there some minutes ago.
async fn in_the_waiting_room(
    clinic: &Clinic,
    phone: &Chromium,
    tab: &'static str,
) -> (Page, Stage, String) {
    let page = phone.page(tab, Device::Phone, "ru").await;
    let everybody = clinic.everybody("patient");
    let who = everybody.into_iter().find(|who| who.name == PATIENTS[0]).expect("the patient");
    patient_signs_in(&page, clinic, &who).await;
    let stage = Stage::set(clinic, &page).await;
    let booked = stage.book(0, &stage.doctor, stage.free_row(1).await).await;
    let now = instant(&page.eval("new Date().toISOString()").await);
    is_due(clinic, &booked, now);
    has_time(&stage, &stage.second, now).await;
    let visit = text(&booked["encounter"]["id"]);
    page.goto_hash(&format!("#/visit/{visit}")).await;
    page.click("#enter-waiting-room").await;
    page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    page.click("#join").await;
    page.wait_for(&state("waiting")).await;
    (page, stage, visit)
}

/// Whatever the hour of the test is, the doctor is at work.
async fn works_at_every_hour(stage: &Stage, doctor: &str) {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let rules = days.map(|day| json!({"weekday": day, "from": "00:00", "to": "24:00"}));
    let path = format!("/v1/practitioners/{doctor}/schedule");
    let version = stage.registrar.get(&path).await.expect(200)["version"].as_i64().unwrap();
    stage.registrar.edit(Method::PUT, &path, version, &json!({"rules": rules})).await.expect(200);
}

fn state(wanted: &str) -> String {
    format!("document.querySelector('#call-state')?.dataset.state === {}", quoted(wanted))
}

async fn signs_in(
    desk: &Chromium,
    clinic: &Clinic,
    tab: &'static str,
    name: &str,
    on: Device,
) -> Page {
    let page = desk.page(tab, on, "en").await;
    let who = clinic.everybody("doctor").into_iter().find(|who| who.name == name).unwrap();
    staff_signs_in(&page, &format!("{}/doctor", clinic.url), &who).await;
    page.see("#day-title").await;
    page
}

/// Tomorrow's visit should have begun some minutes ago.
fn is_due(clinic: &Clinic, booked: &Value, now: DateTime<Utc>) {
    let start = instant(&booked["start"]);
    let code = text(&booked["code"]);
    // Somebody of the region may have had a visit at that time.
    let done = (4..40).any(|minutes| {
        let by = (start - (now - Duration::minutes(minutes))).num_microseconds().unwrap();
        let by = format!("interval '{by} microseconds'");
        let sql = format!(
            "UPDATE appointments SET starts_at = starts_at - {by}, ends_at = ends_at - {by},
               busy_from = busy_from - {by}, busy_to = busy_to - {by} WHERE code = '{code}';
             UPDATE encounters SET starts_at = starts_at - {by}
             WHERE appointment_id = (SELECT id FROM appointments WHERE code = '{code}')"
        );
        clinic.execute(&sql).is_ok()
    });
    assert!(done, "nowhere to put the visit");
}

/// The doctor's next hour is free.
async fn has_time(stage: &Stage, doctor: &str, now: DateTime<Utc>) {
    let path = format!(
        "/v1/appointments?practitioner={doctor}&status=booked&from={}&to={}&limit=100",
        written(now - Duration::hours(1)),
        written(now + Duration::hours(1))
    );
    for visit in stage.registrar.get(&path).await.expect(200)["items"].as_array().unwrap() {
        let cancel = format!("/v1/appointments/{}/cancel", text(&visit["id"]));
        stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);
    }
}
