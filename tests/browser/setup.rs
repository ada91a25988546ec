//! What a clinic's administrator sets up: rooms, devices, and the terms of a service.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page};
use crate::stage::{staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

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
