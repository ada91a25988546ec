//! What a clinic's administrator sets up: rooms, devices, and the terms of a service.

use actix_web::http::Method;
use chrono::Duration;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page};
use crate::stage::{DOCTOR, MINUTES, PATIENTS, Stage, card, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::{Client, Engine, key};

#[actix_web::test]
async fn an_administrator_sets_up_rooms_devices_and_terms_on_a_small_phone() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("setup", Device::Phone, "ru").await;
    let who = clinic.everybody("clinic_admin").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    page.assert_fits().await;
    page.click("#office [href='#/setup']").await;
    page.see("#things [data-resource]").await;
    page.assert_fits().await;

    // Without a name nothing is added.
    page.click("#thing-add").await;
    page.see("#problem[data-code=incomplete]").await;
    page.choose("#thing-kind", "device").await;
    page.write("#thing-name", "Спирометр").await;
    page.press("Enter").await;
    page.wait_for("document.querySelector('#setup-note').innerText.includes('Спирометр')").await;
    let new = thing(&page, "Спирометр").await;
    assert_eq!((&new["kind"], &new["active"]), (&json!("device"), &json!(true)));
    // It is switched off and on with one key, and the focus stays.
    let turn = format!("#turn-{}", text(&new["id"]));
    for active in [false, true] {
        page.focus(&turn).await;
        page.press("Enter").await;
        page.see(&format!("[data-resource={}][data-active='{active}']", new["id"])).await;
        assert_eq!(thing(&page, "Спирометр").await["active"], active);
        page.wait_for(&format!("document.activeElement.matches({:?})", turn)).await;
    }

    let stage = Stage::set(&clinic, &page).await;
    what_is_switched_off_leaves_nobody_without(&page, &stage).await;
    that_it_took_place_is_taken_back(&page, &stage, &clinic).await;
    whose_doctor_is_gone_is_put_into_other_hands(&page, &stage, &clinic.staff(&who).await).await;
    page.goto_hash("#/setup").await;
    page.see("#things [data-resource]").await;

    let service = service(&page).await;
    let id = text(&service["id"]);
    page.click(&format!("[data-service={}] summary", service["id"])).await;
    page.choose(&format!("#daily_cap-{id}"), "999").await;
    page.click(&format!("#save-{id}")).await;
    page.see(&format!("#daily_cap-{id}[aria-invalid=true]")).await;
    page.choose(&format!("#daily_cap-{id}"), "12").await;
    page.choose(&format!("#buffer_after_minutes-{id}"), "5").await;
    page.assert_fits().await;
    page.drawn("setup-phone", false).await;
    page.click(&format!("#save-{id}")).await;
    page.wait_for("document.querySelector('#setup-note').innerText.startsWith('Сохранено')").await;
    let now = self::service(&page).await;
    assert_eq!(
        (&now["booking"]["daily_cap"], &now["booking"]["buffer_after_minutes"]),
        (&json!(12), &json!(5))
    );
    assert_eq!(now["booking"]["overbook"], service["booking"]["overbook"], "the rest stays");
    // The clinic's clock is put right; what is no zone is said at its field.
    let own = "#places > details:first-child";
    page.click(&format!("{own} > summary")).await;
    for (zone, said) in
        [("Asia/Atlantis", "[aria-invalid=true]"), ("Asia/Irkutsk", ":not([aria-invalid])")]
    {
        page.choose(&format!("{own} [list=zones]"), zone).await;
        page.click(&format!("{own} [type=submit]")).await;
        page.see(&format!("{own} [list=zones]{said}")).await;
        page.assert_fits().await;
    }
    page.wait_for("document.querySelector('#setup-note').innerText.startsWith('Сохранено: ')")
        .await;
    page.becomes(Device::Desk).await;
    page.assert_fits().await;
    page.drawn("setup", false).await;

    // Nobody else of the office has it among their screens.
    let other = Chromium::start().await;
    let clerk = other.page("no-setup", Device::Desk, "en").await;
    let registrar = clinic.everybody("registrar").remove(0);
    staff_signs_in(&clerk, &format!("{}/board#/setup", clinic.url), &registrar).await;
    clerk.see("#setup-readonly").await;
    let tab = "document.querySelector(\"#office [href='#/setup']\") === null";
    assert_eq!(clerk.eval(tab).await, true);
    page.assert_content();
    clerk.assert_content();
    assert!(clinic.stop().await.success());
}

/// A device is switched off, and the visit that had it is left: the clinic has a task until another is
/// found for it.
async fn what_is_switched_off_leaves_nobody_without(page: &Page, stage: &Stage) {
    let service = text(&service(page).await["id"]);
    let first = format!("/v1/slots?first=true&service={service}");
    let slot = stage.registrar.get(&first).await.expect(200)["items"][0].clone();
    let wish = json!({
        "service": service, "practitioner": slot["practitioner"]["id"], "start": slot["start"],
        "patient": stage.patient(1),
    });
    let visit = stage.registrar.once("/v1/appointments", &key(), &wish).await.expect(201);
    let recorder = thing(page, "Sosnovka station, ECG recorder").await;
    page.click(&format!("#turn-{}", text(&recorder["id"]))).await;
    page.see("#setup-note a").await;
    let said = page.text("#setup-note").await;
    assert!(said.contains("Без замены остались приёмы: 1."), "{said}");
    page.assert_fits().await;
    page.click("#setup-note a").await;

    let row = format!("#stranded [data-stranded={}]", visit["id"]);
    let said = page.text(&row).await;
    for part in
        [PATIENTS[1], visit["code"].as_str().unwrap(), "Прибор «Sosnovka station, ECG recorder»"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let again = format!("#again-{}", text(&visit["id"]));
    page.click(&again).await;
    page.see(&format!("{row} .problem[data-code]")).await;
    page.assert_fits().await;
    page.drawn("things-phone", false).await;
    assert_eq!(stage.visit(&visit).await["start"], visit["start"], "it stands where it stood");
    page.becomes(Device::Desk).await;
    page.assert_fits().await;
    page.drawn("things", false).await;
    page.becomes(Device::Phone).await;
    page.click(&format!("{row} a")).await;
    page.wait_for(&format!("document.activeElement?.dataset.appointment === {}", visit["id"]))
        .await;

    let task = "#tasks [data-code=things]";
    page.goto_hash("#/tasks").await;
    page.see(task).await;
    page.assert_fits().await;
    page.drawn("things-task", false).await;
    page.click(&format!("{task} a")).await;
    let new = json!({
        "kind": "device", "name": "ЭКГ из города", "organization": recorder["organization"]["id"],
        "location": recorder["location"]["id"],
    });
    page.post("/v1/resources", &new).await;
    page.focus(&again).await;
    page.press("Enter").await;
    page.wait_for(&format!("!document.querySelector({:?})", row)).await;
    page.wait_for("document.activeElement?.id === 'stranded-lead'").await;
    let said = page.text("#stranded-lead").await;
    assert!(
        said.contains("У всех приёмов есть всё") && said.contains("Задача закроется"),
        "{said}"
    );
    let has = stage.visit(&visit).await["participants"].to_string();
    assert!(has.contains("ЭКГ из города") && !has.contains("ECG recorder"), "{has}");
}

/// A visit was said to be over, and it was another that was meant: whoever runs the clinic has it as
/// booked again.
async fn that_it_took_place_is_taken_back(page: &Page, stage: &Stage, clinic: &Clinic) {
    let visit = stage.book(0, &stage.doctor, stage.free_row(1).await).await;
    let her = clinic.everybody("doctor").into_iter().find(|who| who.name == DOCTOR);
    let doctor = clinic.staff(&her.expect("the doctor")).await;
    let path = format!("/v1/encounters/{}/convert", text(&visit["encounter"]["id"]));
    doctor.post(&path, &json!({"to": "phone"})).await.expect(200);
    page.goto_hash(&format!("#/day/{}/{}", stage.day, text(&visit["id"]))).await;
    page.see(&format!("{}[data-status=fulfilled]", card(&visit))).await;
    page.click(&card(&visit)).await;
    page.click("#visit-reopen").await;
    page.assert_fits().await;
    page.drawn("reopen-phone", false).await;
    // No is an answer.
    page.click("#visit-reopen-no").await;
    page.wait_for("document.activeElement?.id === 'visit-reopen'").await;
    assert_eq!(stage.visit(&visit).await["status"], "fulfilled");
    page.press("Enter").await;
    page.wait_for("document.activeElement?.id === 'visit-reopen-yes'").await;
    page.press("Enter").await;
    page.see(&format!("{}[data-status=booked]", card(&visit))).await;
    assert!(page.text("#toast").await.contains(PATIENTS[0]));
    assert_eq!(stage.visit(&visit).await["status"], "booked");
}

/// A doctor no longer gives a service: the clinic has a task, which leads to the visits. One is put into other
/// hands, another called off; given back, the service leaves nobody.
async fn whose_doctor_is_gone_is_put_into_other_hands(page: &Page, stage: &Stage, chief: &Client) {
    let start = stage.free_row(2).await;
    let moved = stage.book(0, &stage.doctor, start).await;
    let off = stage.book(1, &stage.doctor, start + Duration::minutes(MINUTES)).await;
    let path = format!("/v1/practitioners/{}", stage.doctor);
    let gives = async |services: Vec<Value>| {
        let version = chief.get(&path).await.expect(200)["version"].as_i64().unwrap();
        let services = json!({ "services": services });
        chief.edit(Method::PATCH, &path, version, &services).await.expect(200)
    };
    let before = chief.get(&path).await.expect(200)["services"].as_array().unwrap().clone();
    let all: Vec<Value> = before.iter().map(|service| service["id"].clone()).collect();
    let but = all.iter().filter(|id| **id != stage.service).cloned().collect();
    assert!(gives(but).await["affected_count"].as_i64().unwrap() >= 2);

    let task = "#tasks [data-code=practitioners]";
    page.goto_hash("#/tasks").await;
    page.see(task).await;
    page.assert_fits().await;
    page.click(&format!("{task} a")).await;
    let row = |visit: &Value| format!("#unattended [data-unattended={}]", visit["id"]);
    let said = page.text(&row(&moved)).await;
    for part in [PATIENTS[0], moved["code"].as_str().unwrap(), "больше не ведёт такие приёмы"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    page.assert_fits().await;
    page.drawn("gone-phone", false).await;
    // Nothing is moved before a look, and whoever looks away is where they were.
    let find = format!("#find-{}", text(&moved["id"]));
    page.click(&find).await;
    page.see("#move-conflict[data-code=practitioner_gone]").await;
    page.assert_fits().await;
    page.drawn("gone-others-phone", false).await;
    page.press("Escape").await;
    page.wait_for(&format!("document.activeElement?.matches({find:?})")).await;
    assert_eq!(stage.visit(&moved).await["version"], moved["version"]);
    page.press("Enter").await;
    page.click("#move-alternatives button").await;
    page.see("#move-free").await;
    page.click("#move-apply").await;
    page.wait_for(&format!("!document.querySelector({:?})", row(&moved))).await;
    assert_ne!(stage.visit(&moved).await["practitioner"]["id"], json!(stage.doctor));

    page.becomes(Device::Desk).await;
    page.assert_fits().await;
    page.drawn("gone", false).await;
    page.becomes(Device::Phone).await;
    page.click(&format!("#off-{}", text(&off["id"]))).await;
    page.assert_fits().await;
    page.click(&format!("#off-{}-yes", text(&off["id"]))).await;
    page.wait_for(&format!("!document.querySelector({:?})", row(&off))).await;
    assert_eq!(stage.visit(&off).await["cancellation_code"], "clinic");
    assert_eq!(gives(all).await["affected_count"], 0);
    page.goto_hash("#/tasks").await;
    let drawn = "document.querySelector('#tasks-count:not([hidden]), #tasks-none:not([hidden])')";
    page.wait_for(&format!("{drawn} && !document.querySelector({task:?})")).await;
}

async fn thing(page: &Page, name: &str) -> Value {
    let all = page.ask("/v1/resources?limit=100").await;
    let all = all["items"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

/// The service that needs a room and a device.
async fn service(page: &Page) -> Value {
    let all = page.ask("/v1/healthcare-services?limit=100").await;
    let all = all["items"].as_array().unwrap();
    all.iter().find(|one| one["resources"] == json!(["room", "device"])).unwrap().clone()
}
