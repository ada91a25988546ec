//! "My visits" on a small phone: moved, called off, answered when the doctor is away.

use actix_web::http::Method;
use chrono::Duration;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{
    DOCTOR, MINUTES, PATIENTS, SECOND, Stage, card, instant, patient_signs_in, text, written,
};
use crate::story::ONE_STORY;
use crate::support::{Engine, key};

#[actix_web::test]
async fn a_patient_moves_calls_off_and_chooses_another_time() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("my-visits", Device::Phone, "ru").await;
    let everybody = clinic.everybody("patient");
    let who = everybody.into_iter().find(|who| who.name == PATIENTS[0]).expect("the patient");
    patient_signs_in(&page, &clinic, &who).await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(6).await;
    let booked = stage.book(0, &stage.doctor, start).await;
    page.reload().await;

    shown(&page, &booked).await;
    let booked = will_come(&page, &stage, &booked).await;
    filters(&page, &stage).await;
    by_language(&page, &stage, &clinic).await;
    let moved = a_move(&page, &stage, &booked).await;
    an_offer(&page, &stage, &moved).await;
    called_off(&page, &stage, &moved).await;
    behind_many(&page, &stage).await;
    page.assert_content();
    assert!(clinic.stop().await.success());
}

/// A visit to come is there also for whoever has held and given back a hundred times.
async fn behind_many(page: &Page, stage: &Stage) {
    let start = stage.free_row(1).await;
    let mut hold = json!({
        "service": stage.service, "practitioner": stage.doctor, "start": written(start),
        "patient": stage.patient(0),
    });
    hold["hold"] = json!(true);
    for _ in 0..101 {
        let held = stage.registrar.once("/v1/appointments", &key(), &hold).await.expect(201);
        let path = format!("/v1/appointments/{}/cancel", text(&held["id"]));
        stage.registrar.once(&path, &key(), &json!({})).await.expect(200);
    }
    let booked = stage.book(0, &stage.doctor, start).await;
    page.reload().await;
    page.see(&format!("#upcoming {}", card(&booked))).await;
}

async fn shown(page: &Page, booked: &Value) {
    let said = page.text(&format!("#upcoming {}", card(booked))).await;
    let clock: String = text(&booked["local_start"]).chars().skip(11).take(5).collect();
    for part in [clock.as_str(), DOCTOR, booked["code"].as_str().unwrap(), "вы записаны"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    page.assert_fits().await;
    page.drawn("my-visits", true).await;
    // The calendar's file is really made.
    page.run(
        "window.made = []; const real = URL.createObjectURL; \
         URL.createObjectURL = (blob) => { window.made.push(blob); return real.call(URL, blob); };",
    )
    .await;
    page.click(&format!("#calendar-{}", text(&booked["id"]))).await;
    page.wait_for("window.made[0]?.text().then((text) => text.startsWith('BEGIN:VCALENDAR'))")
        .await;
}

/// One press says that they will come, and the page says so from then on.
async fn will_come(page: &Page, stage: &Stage, booked: &Value) -> Value {
    page.click(&format!("#attend-{}", text(&booked["id"]))).await;
    page.see(&format!("{} .attending", card(booked))).await;
    page.assert_fits().await;
    page.reload().await;
    page.see(&format!("{} .attending", card(booked))).await;
    // And which languages they speak, by which a doctor is looked for.
    page.click("#my-languages summary").await;
    page.click("#my-languages .languages button").await;
    page.click("#my-languages [value=evn]").await;
    page.assert_fits().await;
    page.click("#my-languages [type=submit]").await;
    page.see("#my-languages [data-languages=evn]").await;
    let now = stage.visit(booked).await;
    assert!(now["confirmed_at"].is_string());
    now
}

/// Narrowing free times, and the first that is free.
async fn filters(page: &Page, stage: &Stage) {
    page.click("#book-visit").await;
    page.click(&format!("#services [data-id={}]", quoted(&stage.service))).await;
    page.see("#first-free").await;
    page.choose("#doctor", &stage.second).await;
    page.choose("#part-of-day", "evening").await;
    page.wait_for(
        "document.querySelector('#first-free')?.innerText.match(/(1[7-9]|2[0-3]):\\d\\d/)",
    )
    .await;
    let hours = "[...document.querySelectorAll('#slots .times button')]\
                 .every((one) => Number(one.innerText.slice(0, 2)) >= 17)";
    page.wait_for(&format!("document.querySelector('#slots .times button') && {hours}")).await;
    page.wait_for("document.querySelectorAll('#slots h3').length === 1").await;
    assert_eq!(page.text("#slots h3").await.trim(), SECOND);
    page.assert_fits().await;
    page.drawn("patient-filters", false).await;
    page.goto_hash("#/").await;
}

/// Where doctors differ in it, the search begins with the patient's own language, and goes on without
/// it where nobody who speaks it is free.
async fn by_language(page: &Page, stage: &Stage, clinic: &Clinic) {
    let admin = clinic.staff(&clinic.everybody("clinic_admin")[0]).await;
    let path = format!("/v1/practitioners/{}", stage.second);
    let second = admin.get(&path).await.expect(200);
    // This one speaks it, and has no hours yet.
    let colleague = json!({
        "name": "Aset Oleneva", "kind": "doctor", "organization": second["organization"]["id"],
        "time_zone": second["time_zone"], "services": [stage.service], "languages": ["evn"],
    });
    admin.once("/v1/practitioners", &key(), &colleague).await.expect(201);
    let opens = async || {
        page.click("#book-visit").await;
        page.click(&format!("#services [data-id={}]", quoted(&stage.service))).await;
        page.see("#first-free").await;
        page.click(&format!("#days [data-day={}]", quoted(&stage.day))).await;
    };
    let found = async |doctors: &[&str]| {
        let names =
            "[...document.querySelectorAll('#slots h3')].map((one) => one.innerText.trim()).sort()";
        page.wait_for(&format!(
            "JSON.stringify({names}) === {}",
            quoted(&json!(doctors).to_string())
        ))
        .await;
    };
    let language = "document.querySelector('#language').value";
    opens().await;
    found(&[DOCTOR, SECOND]).await;
    assert_eq!(page.eval(language).await, "", "nobody who speaks it is free");
    page.goto_hash("#/").await;

    let version = second["version"].as_i64().unwrap();
    let speaks = json!({"languages": ["ru", "evn"]});
    admin.edit(Method::PATCH, &path, version, &speaks).await.expect(200);
    opens().await;
    found(&[SECOND]).await;
    assert_eq!(page.eval(language).await, "evn");
    // Browsers have no name for it.
    let named = "document.querySelector('#language').selectedOptions[0].text";
    assert_eq!(page.eval(named).await, "эвенкийский");
    page.assert_fits().await;
    page.drawn("patient-language", false).await;
    page.choose("#language", "").await;
    found(&[DOCTOR, SECOND]).await;
    page.choose("#language", "evn").await;
    found(&[SECOND]).await;
    page.goto_hash("#/").await;
}

async fn a_move(page: &Page, stage: &Stage, booked: &Value) -> Value {
    page.click(&format!("{} .move-visit", card(booked))).await;
    page.see("#slots [data-start]").await;
    let first = page.text("#slots h3").await;
    assert_eq!(first.trim(), DOCTOR, "whom the patient has comes first");
    let slot = |start, doctor: &str| {
        let start = quoted(&written(start));
        format!("#slots [data-start={start}][data-practitioner={}]", quoted(doctor))
    };
    page.click(&format!("#days [data-day={}]", quoted(&stage.day))).await;
    let taken = instant(&booked["start"]) + Duration::minutes(2 * MINUTES);
    page.click(&slot(taken, &stage.doctor)).await;
    page.see("#move-visit").await;
    page.assert_fits().await;
    page.drawn("patient-move", true).await;
    // Somebody is faster.
    stage.book(1, &stage.doctor, taken).await;
    page.click("#move-visit").await;
    page.see("#alternatives [data-start]").await;
    let now = stage.visit(booked).await;
    assert_eq!((&now["start"], &now["version"]), (&booked["start"], &booked["version"]));
    page.assert_fits().await;
    page.drawn("patient-move-taken", false).await;
    let instead = "document.querySelector('#alternatives [data-start]').dataset.start";
    let instead = page.eval(instead).await;
    page.click("#alternatives [data-start]").await;
    page.click("#move-visit").await;
    page.see("#moved").await;
    let moved = stage.visit(booked).await;
    assert_eq!(moved["start"], instead);
    assert_eq!(moved["code"], booked["code"]);
    assert_eq!(moved["moves"].as_array().unwrap().len(), 1);
    page.click("#to-home").await;
    let there = format!("#upcoming {}[data-start={}]", card(booked), quoted(&text(&instead)));
    page.see(&there).await;
    moved
}

/// The doctor is away; the clinic offers times, and the patient takes one.
async fn an_offer(page: &Page, stage: &Stage, visit: &Value) {
    let doctor = text(&visit["practitioner"]["id"]);
    let start = instant(&visit["start"]);
    let absences = format!("/v1/practitioners/{doctor}/absences");
    let away = json!({"from": written(start), "to": written(start + Duration::minutes(MINUTES))});
    let absence = stage.registrar.once(&absences, &key(), &away).await.expect(201);
    let outcomes = format!("/v1/absences/{}/outcomes", text(&absence["id"]));
    let offered = json!({"outcomes": [{"appointment": visit["id"], "outcome": "offered"}]});
    stage.registrar.once(&outcomes, &key(), &offered).await.expect(200);
    page.reload().await;
    page.see(&format!("#upcoming {} .offer", card(visit))).await;
    let cards = "document.querySelectorAll('#upcoming article').length";
    assert_eq!(page.eval(cards).await, 1, "held times are no visits of their own");
    page.assert_fits().await;
    page.drawn("patient-offer-home", false).await;
    page.click(".choose-time").await;
    page.see("#offered [data-number]").await;
    page.assert_fits().await;
    page.drawn("patient-offer", false).await;
    nothing_is_held_any_more(page, stage, visit).await;
    stage.registrar.once(&outcomes, &key(), &offered).await.expect(200);
    page.reload().await;
    page.see(&format!("#upcoming {} .offer", card(visit))).await;
    page.click(".choose-time").await;
    page.see("#offered [data-number]").await;
    let chosen = "document.querySelector('#offered [data-number]').dataset.start";
    let chosen = page.eval(chosen).await;
    page.click("#offered [data-number]").await;
    page.see("#moved").await;
    let now = stage.visit(visit).await;
    assert_eq!((&now["start"], &now["status"]), (&chosen, &json!("booked")));
    assert!(now.get("offer_expires_at").is_none());
    let who = text(&now["practitioner"]["name"]);
    assert!(who == DOCTOR || who == SECOND, "{who}");
    page.click("#to-home").await;
}

/// The clinic closes for these days, while the patient looks at the times; and opens again.
async fn nothing_is_held_any_more(page: &Page, stage: &Stage, visit: &Value) {
    let day = |ahead: i64| {
        let date = instant(&visit["start"]) + Duration::days(ahead);
        date.format("%F").to_string()
    };
    let closures = format!("/v1/organizations/{}/closures", text(&visit["organization"]["id"]));
    let closed = json!({"name": {"en": "Repair", "ru": "Ремонт"},
        "from_date": day(-2), "to_date": day(14)});
    let closed = stage.registrar.once(&closures, &key(), &closed).await.expect(201);
    page.click("#offered [data-number]").await;
    page.see("#offer-over").await;
    page.assert_fits().await;
    page.click("#to-home").await;
    page.see(&format!("#upcoming {} .offer-over", card(visit))).await;
    page.see(&format!("#upcoming {} [data-status=offer_over]", card(visit))).await;
    page.assert_fits().await;
    page.drawn("patient-offer-over", false).await;
    page.goto_hash(&format!("#/visit/{}", text(&visit["encounter"]["id"]))).await;
    page.see("#offer-over").await;
    page.assert_fits().await;
    page.goto_hash("#/").await;
    let path = format!("{closures}/{}", text(&closed["id"]));
    let opens = stage.registrar.request(Method::DELETE, &path);
    assert_eq!(stage.registrar.send(opens, None).await.status, 204);
    // They may move it at once.
    page.click(&format!("#upcoming {} .choose-time", card(visit))).await;
    page.see("#days [data-day]").await;
    page.goto_hash("#/").await;
}

async fn called_off(page: &Page, stage: &Stage, visit: &Value) {
    let id = text(&visit["id"]);
    page.click(&format!("#cancel-{id}")).await;
    page.write(&format!("#why-{id}"), "Уехала к сестре").await;
    page.assert_fits().await;
    page.click(&format!("#cancel-{id}-yes")).await;
    page.see(&format!("#past {}[data-status=cancelled]", card(visit))).await;
    let off = stage.visit(visit).await;
    assert_eq!(
        (&off["status"], &off["cancellation_code"]),
        (&json!("cancelled"), &json!("patient"))
    );
    assert_eq!(off["cancellation_reason"], "Уехала к сестре");
    // What was only offered, and not taken, is no visit that was called off.
    let off = "[...document.querySelectorAll('#past > [data-status=cancelled]')].map((one) => one.dataset.appointment)";
    assert_eq!(page.eval(off).await, json!([id]));
    page.click("#lapsed summary").await;
    page.see("#lapsed [data-status=cancelled]").await;
    page.assert_fits().await;
    page.click("#lapsed summary").await;
    page.becomes(Device::Desk).await;
    page.assert_fits().await;
    page.drawn("my-visits-desk", false).await;
}
