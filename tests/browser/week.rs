//! The doctor's week: seven days at a look, hours, extra hours, and a leave whose visits are all
//! settled before it is complete.

use actix_web::http::Method;
use chrono::Duration;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{MINUTES, PATIENTS, SECOND, Stage, card, instant, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

#[actix_web::test]
async fn a_doctor_plans_the_week_and_settles_a_leave() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("week", Device::Desk, "en").await;
    let everybody = clinic.everybody("doctor");
    let who = everybody.into_iter().find(|who| who.name == SECOND).expect("the second doctor");
    staff_signs_in(&page, &format!("{}/doctor", clinic.url), &who).await;
    page.see("#to-week").await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(3).await;
    let mut visits = Vec::new();
    for at in 0..3 {
        let start = start + Duration::minutes(MINUTES * i64::try_from(at).unwrap());
        visits.push(stage.book(at, &stage.second, start).await);
    }

    seven_days(&page, &stage, &visits).await;
    hours(&page, &stage).await;
    a_leave(&page, &stage, &visits).await;
    page.assert_content();
    assert!(clinic.stop().await.success());
}

async fn seven_days(page: &Page, stage: &Stage, visits: &[Value]) {
    page.click("#to-week").await;
    page.see(".col").await;
    assert_eq!(page.eval("document.querySelectorAll('.col').length").await, 7);
    if page.eval(&format!("!document.querySelector('[data-column={}]')", quoted(&stage.day))).await
        == true
    {
        // Tomorrow is Monday.
        page.click("#next-week").await;
    }
    let column = format!(".col[data-column={}]", quoted(&stage.day));
    for (visit, patient) in visits.iter().zip(PATIENTS) {
        let said = page.text(&format!("{column} {}", card(visit))).await;
        assert!(said.contains(patient), "{said}");
    }
    let head = page.text(&format!("{column} .col-head")).await;
    assert!(head.contains("07:00–22:00"), "{head}");
    page.assert_fits().await;
    page.drawn("week", true).await;
    page.becomes(Device::Phone).await;
    page.choose("#column", &stage.day).await;
    page.see(&card(&visits[0])).await;
    page.assert_fits().await;
    page.drawn("week-phone", false).await;
    page.becomes(Device::Desk).await;
}

async fn schedule(stage: &Stage) -> Value {
    let path = format!("/v1/practitioners/{}/schedule", stage.second);
    stage.registrar.get(&path).await.expect(200)
}

/// A rule says that its hours are worked at another clinic's place, which is in no list here.
async fn works_elsewhere(stage: &Stage) -> String {
    let (mine, all) = (stage.second.as_str(), "/v1/locations?limit=100");
    let me = stage.registrar.get(&format!("/v1/practitioners/{mine}")).await.expect(200);
    let places = stage.registrar.get(all).await.expect(200);
    let is_strange = |place: &&Value| place["organization"]["id"] != me["organization"]["id"];
    let strange = places["items"].as_array().unwrap().iter().find(is_strange);
    let strange = text(&strange.expect("a place of another clinic")["id"]);
    let before = schedule(stage).await;
    let (path, version) = (format!("/v1/practitioners/{mine}/schedule"), &before["version"]);
    let mut rules = before["rules"].clone();
    rules[0]["location"] = json!(strange);
    let rules = json!({"rules": rules});
    let edited = stage.registrar.edit(Method::PUT, &path, version.as_i64().unwrap(), &rules).await;
    edited.expect(200);
    strange
}

async fn hours(page: &Page, stage: &Stage) {
    let strange = works_elsewhere(stage).await;
    page.click("#to-hours").await;
    page.see("#rules .rule").await;
    page.assert_fits().await;
    let before = schedule(stage).await["rules"].as_array().unwrap().len();
    // Late on every second Sunday; first with a mistake, which is marked and saves nothing.
    page.click("#rule-add").await;
    let field = |name: &str| format!("#rules .rule:last-child [data-field={name}]");
    page.choose(&field("weekday"), "sun").await;
    page.choose(&field("from"), "2230").await;
    page.choose(&field("to"), "22").await;
    page.choose(&field("every_weeks"), "2").await;
    page.click("#rules-save").await;
    page.see("#rules-problem").await;
    page.see("#rules .rule:last-child[data-wrong]").await;
    assert_eq!(schedule(stage).await["rules"].as_array().unwrap().len(), before);
    page.choose(&field("to"), "24:00").await;
    page.drawn("hours", false).await;
    page.click("#rules-save").await;
    page.see("#saved").await;
    let rules = schedule(stage).await["rules"].clone();
    let rules = rules.as_array().unwrap();
    assert_eq!(rules.len(), before + 1);
    let late = rules.iter().find(|rule| rule["from"] == "22:30").expect("the new hours");
    assert_eq!((&late["to"], &late["every_weeks"]), (&json!("24:00"), &json!(2)));
    let kept = rules.iter().filter(|rule| rule["location"] == strange.as_str()).count();
    assert_eq!(kept, 1, "what stood in a rule is saved with it: {rules:?}");

    page.choose("#extra-from", &format!("{}T05:00", stage.day)).await;
    page.choose("#extra-to", &format!("{}T06:30", stage.day)).await;
    page.click("#extra-add").await;
    page.see("#extra [data-extra]").await;
    let path = format!("/v1/practitioners/{}/extra-hours", stage.second);
    let extra = stage.registrar.get(&path).await.expect(200);
    assert_eq!(instant(&extra["items"][0]["from"]), stage.begins + Duration::hours(5));
    page.click("#extra [data-extra] button").await;
    page.wait_for("!document.querySelector('#extra [data-extra]')").await;
    assert_eq!(stage.registrar.get(&path).await.expect(200)["items"], json!([]));
    page.becomes(Device::Phone).await;
    page.assert_fits().await;
    page.becomes(Device::Desk).await;
}

async fn a_leave(page: &Page, stage: &Stage, visits: &[Value]) {
    // What the page proposes is the whole of tomorrow.
    page.write("#leave-reason", "Training").await;
    page.click("#leave-add").await;
    page.see("#hits .hit").await;
    let absence = page.eval("location.hash.split('/').pop()").await;
    let path = format!("/v1/absences/{}", text(&absence));
    let open = stage.registrar.get(&path).await.expect(200);
    assert_eq!(open["status"], "open");
    assert_eq!(instant(&open["from"]), stage.begins);
    assert_eq!(open["reason"], "Training");
    assert_eq!(page.eval("document.querySelector('#leave-complete').hidden").await, true);

    let decide = async |visit: &Value, outcome: &str, message: &str| {
        let id = text(&visit["id"]);
        page.choose(&format!("#outcome-{id}"), outcome).await;
        if outcome == "moved" {
            page.see(&format!("#where-{id}")).await;
        }
        if !message.is_empty() {
            page.write(&format!("#message-{id}"), message).await;
        }
        page.click(&format!("#settle-{id}")).await;
        let settled = format!(".hit{}[data-outcome={outcome}]", card(visit));
        page.see(&settled).await;
    };
    decide(&visits[0], "moved", "").await;
    page.drawn("leave", true).await;
    decide(&visits[1], "offered", "").await;
    decide(&visits[2], "cancelled", "Please book again").await;
    page.becomes(Device::Phone).await;
    page.assert_fits().await;
    page.drawn("leave-phone", false).await;
    page.becomes(Device::Desk).await;
    // Whoever else the region had booked for that day.
    let rest = stage.registrar.get(&path).await.expect(200);
    let rest: Vec<Value> = rest["visits"].as_array().unwrap().clone();
    for visit in rest.iter().filter(|visit| visit.get("outcome").is_none()) {
        decide(visit, "cancelled", "").await;
    }

    let moved = stage.visit(&visits[0]).await;
    assert_ne!(moved["practitioner"]["id"], stage.second.as_str());
    assert_eq!(moved["start"], visits[0]["start"], "the nearest time is the same time");
    let offered = stage.visit(&visits[1]).await;
    assert!(offered.get("offer_expires_at").is_some(), "{offered}");
    let off = stage.visit(&visits[2]).await;
    assert_eq!((&off["status"], &off["cancellation_code"]), (&json!("cancelled"), &json!("leave")));
    assert_eq!(off["cancellation_reason"], "Please book again");
    page.click("#leave-complete").await;
    page.see("#open-count[data-status=complete]").await;
    assert_eq!(stage.registrar.get(&path).await.expect(200)["status"], "complete");
}
