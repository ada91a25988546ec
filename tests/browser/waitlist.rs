//! The waiting list on a small phone: joining it and reading one's place, taking the time that is
//! held, and answering from the link in the SMS without signing in.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page};
use crate::stage::patient_signs_in;
use crate::support::{Client, Engine, key};

/// A service and a free start of it, days ahead where there are such, so that no deadline depends on
/// the hour at which this runs.
async fn free_time(client: &Client) -> (Value, Value) {
    let services = client.get("/v1/healthcare-services?limit=100").await.expect(200);
    for service in services["items"].as_array().unwrap() {
        let path = format!("/v1/slots?limit=100&service={}", service["id"].as_str().unwrap());
        let from = (chrono::DateTime::from_timestamp(now_secs(), 0).unwrap() + TimeDelta::days(3))
            .format("%FT%TZ");
        let path = format!("{path}&from={from}");
        let slots = client.get(&path).await.expect(200);
        if let Some(slot) = slots["items"].as_array().unwrap().last() {
            return (service.clone(), slot.clone());
        }
    }
    panic!("the region has no free time");
}

fn now_secs() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

fn wish(service: &Value, start: &str) -> Value {
    let at = DateTime::parse_from_rfc3339(start).unwrap();
    let until = (at + TimeDelta::minutes(1)).to_rfc3339();
    json!({"service": service["id"], "earliest": start, "latest": until, "notice_minutes": 0})
}

#[actix_web::test]
async fn a_patient_waits_is_offered_a_time_and_answers_on_a_small_phone() {
    let clinic = Clinic::open(Engine::Sqlite).await;
    let people = clinic.everybody("patient");
    let phone = Chromium::start().await;
    let page = phone.page("waiting patient", Device::Phone, "ru").await;
    let holder = clinic.patient(&people[1]).await;
    let (service, slot) = free_time(&holder).await;
    let start = slot["start"].as_str().unwrap();
    let taken = json!({"service": service["id"], "practitioner": slot["practitioner"]["id"], "start": start});
    let taken = holder.once("/v1/appointments", &key(), &taken).await.expect(201);

    // From the page of free times into the waiting list: the form can be sent as it stands.
    patient_signs_in(&page, &clinic, &people[0]).await;
    page.click("#book-visit").await;
    page.click("#services [data-id]").await;
    page.click("#wait").await;
    page.see("#join-waitlist").await;
    page.assert_fits().await;
    page.drawn("waitlist-join", false).await;
    page.click("#wait-parts input[value=evening]").await;
    page.click("#join-waitlist").await;
    page.see("#wishes [data-wish]").await;
    let card = page.text("#wishes [data-wish]").await;
    assert!(card.contains("Ваше место") || card.contains("Держим для вас"), "{card}");
    page.assert_fits().await;
    let first = page.ask("/v1/waitlist").await["items"][0].clone();
    let leave = |entry: &Value| format!("leave-{}", entry["id"].as_str().unwrap());
    if first["status"] == "waiting" {
        page.click(&format!("#{}", leave(&first))).await;
        page.click(&format!("#{}-yes", leave(&first))).await;
    } else {
        let path = format!("/v1/waitlist/{}/withdraw", first["id"].as_str().unwrap());
        page.post(&path, &json!({})).await;
        page.reload().await;
    }
    page.wait_for(
        "document.querySelector('#upcoming, #no-visits') && !document.querySelector('#wishes')",
    )
    .await;

    // What somebody else gives back is held, with a clock, and taken with one press.
    let entry = page.post("/v1/waitlist", &wish(&service, start)).await;
    let offered = entry["status"] == "offered";
    if !offered {
        page.reload().await;
        let place = page.text("#wishes [data-status=waiting]").await;
        page.drawn("waitlist-place", false).await;
        assert!(place.contains("Ваше место: 1") && place.contains("Вы первые"), "{place}");
        let cancel = format!("/v1/appointments/{}/cancel", taken["id"].as_str().unwrap());
        holder.once(&cancel, &key(), &json!({})).await.expect(200);
        until_offered(&page, &entry).await;
    }
    // The page that lies open has it when it is looked at again.
    page.eval("document.dispatchEvent(new Event('visibilitychange'))").await;
    let card = page.text("#wishes [data-status=offered]").await;
    assert!(card.contains("Держим для вас до") && card.contains("осталось"), "{card}");
    page.assert_fits().await;
    page.drawn("waitlist-offer", false).await;
    page.click("#wishes .accept").await;
    page.wait_for("!document.querySelector('#wishes') && document.querySelector('#upcoming')")
        .await;
    let mine = page.ask("/v1/appointments?status=booked&limit=100").await;
    let booked = mine["items"].as_array().unwrap().iter().find(|visit| visit["start"] == start);
    let booked = booked.expect("the visit is booked").clone();
    // A visit that is booked can be wished for earlier.
    page.see(&format!("#earlier-{}", booked["id"].as_str().unwrap())).await;
    page.click(&format!("#earlier-{}", booked["id"].as_str().unwrap())).await;
    page.see("#join-waitlist").await;
    page.assert_fits().await;
    page.click("#back").await;
    page.see("#upcoming").await;

    // The link from the SMS, on a telephone where nobody is signed in.
    let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
    page.post(&cancel, &json!({})).await;
    let entry = page.post("/v1/waitlist", &wish(&service, start)).await;
    until_offered(&page, &entry).await;
    let me = page.ask(&format!("/v1/patients/{}", booked["patient"]["id"].as_str().unwrap())).await;
    let other = Chromium::start().await;
    let link = other.page("somebody with a link", Device::Phone, "ru").await;
    link.goto(&format!("{}/#offer={}", clinic.url, entry["code"].as_str().unwrap())).await;
    link.drawn("waitlist-link", false).await;
    link.choose("#born", me["birth_date"].as_str().unwrap()).await;
    link.click("#show-offer").await;
    let shown = link.text("#offer").await;
    assert!(shown.contains("осталось"), "{shown}");
    for name in [&slot["practitioner"]["name"], &service["name"], &me["name"]] {
        assert!(!shown.contains(name.as_str().unwrap()), "no names: {shown}");
    }
    link.assert_fits().await;
    link.drawn("waitlist-link-offer", false).await;
    link.click("#offer .accept").await;
    link.see("#booking-code").await;
    link.drawn("waitlist-link-taken", false).await;
    let code = link.text("#booking-code").await;
    let mine = page.ask("/v1/appointments?status=booked&limit=100").await;
    let codes: Vec<&Value> =
        mine["items"].as_array().unwrap().iter().map(|visit| &visit["code"]).collect();
    assert!(codes.iter().any(|known| **known == code.trim()), "{code}: {codes:?}");
    page.assert_content();
    link.assert_content();
}

/// Mostly it is at once; when somebody was just looking through the list, it is at the next look.
async fn until_offered(page: &Page, entry: &Value) {
    let path = format!("/v1/waitlist/{}", entry["id"].as_str().unwrap());
    for _ in 0..150 {
        if page.ask(&path).await["status"] == "offered" {
            return;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("never offered: {}", page.ask(&path).await);
}
