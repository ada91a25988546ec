//! The registrar's desk: a time is held, a second patient is put beside another, somebody urgent goes
//! between, a series is looked at before it is booked, and the search is narrowed.

use actix_web::http::Method;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{
    DOCTOR, MINUTES, PATIENTS, SECOND, Stage, card, instant, patient_signs_in, staff_signs_in,
    text, written,
};
use crate::story::ONE_STORY;
use crate::support::{Client, Engine, key};

/// A visit takes twenty minutes, and the last hour of a day has no room for what is put off.
const LATEST_HOUR: i64 = 22;

#[actix_web::test]
async fn the_desk_books_urgent_beside_held_and_in_a_row() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("desk", Device::Desk, "en").await;
    let who = clinic.everybody("registrar").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(5).await;
    let taken = stage.book(0, &stage.doctor, start).await;
    let desk = Desk { stage, page, start, taken };

    desk.a_time_is_held_while_the_caller_asks_at_home().await;
    desk.a_second_patient_is_put_beside_another_where_it_is_allowed().await;
    desk.somebody_urgent_goes_between_the_others().await;
    desk.a_series_says_what_comes_of_every_date().await;
    desk.the_search_is_narrowed_and_the_first_free_time_is_one_press().await;
    desk.a_card_names_the_room_and_the_device().await;
    let admin = clinic.staff(&clinic.everybody("clinic_admin")[0]).await;
    desk.the_search_begins_with_the_patients_language(&admin).await;
    desk.a_guessed_language_gives_way_for_the_first_free_time(&admin).await;
    desk.page.assert_content();
    assert!(clinic.stop().await.success());
}

/// Says by `who` which languages a patient or a practitioner speaks.
async fn speaks(who: &Client, path: &str, languages: &[&str]) {
    let version = who.get(path).await.expect(200)["version"].as_i64().unwrap();
    let body = json!({"languages": languages});
    who.edit(Method::PATCH, path, version, &body).await.expect(200);
}

struct Desk {
    stage: Stage,
    page: Page,
    /// The first of five starts in a row that were free.
    start: DateTime<Utc>,
    taken: Value,
}

impl Desk {
    fn after(&self, slots: i64) -> DateTime<Utc> {
        self.start + Duration::minutes(MINUTES * slots)
    }

    /// Opens the form for somebody, with the first doctor of the general service.
    async fn opens(&self, name: &str) {
        let page = &self.page;
        page.click("#board-book").await;
        page.write("#booking-search", name).await;
        page.click("#booking-patients [data-patient]").await;
        page.choose("#booking-service", &self.stage.service).await;
        page.choose("#booking-doctor", &self.stage.doctor).await;
    }

    /// The form goes when the server has answered; a word about it stays.
    async fn is_done(&self) {
        let gone = "!document.querySelector('dialog') && document.querySelector('#toast')";
        self.page.wait_for(gone).await;
    }

    async fn booked(&self, patient: usize) -> Vec<Value> {
        let path = format!(
            "/v1/appointments?patient={}&status=booked&limit=100",
            self.stage.patient(patient)
        );
        let visits = self.stage.registrar.get(&path).await.expect(200);
        visits["items"].as_array().unwrap().clone()
    }

    async fn a_time_is_held_while_the_caller_asks_at_home(&self) {
        let page = &self.page;
        self.opens("maria").await;
        page.choose("#booking-day", &self.stage.day).await;
        let time = format!("#booking-times [data-start={}]", quoted(&written(self.after(1))));
        page.click(&time).await;
        page.click("#booking-hold").await;
        let said = page.text("#booking-held").await;
        assert!(said.contains("Held until") && said.contains(" left"), "{said}");
        let id = page.eval("document.querySelector('#booking-held').dataset.appointment").await;
        let held = self.stage.visit(&json!({"id": id})).await;
        assert_eq!(held["status"], "pending");
        assert!(said.contains(&text(&held["code"])), "the code is read out: {said}");
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-held-phone", false).await;
        page.becomes(Device::Desk).await;
        page.focus("#booking-take").await;
        page.press("Enter").await;
        self.is_done().await;
        assert_eq!(self.stage.visit(&held).await["status"], "booked");
        page.see(&card(&held)).await;
    }

    async fn a_second_patient_is_put_beside_another_where_it_is_allowed(&self) {
        let page = &self.page;
        self.opens("oksana").await;
        let over = "#booking-way input[value=over]";
        // Where a service is never booked over, it says so.
        let other = "[...document.querySelectorAll('#booking-service option')] \
                     .find((one) => one.textContent.startsWith('Heart doctor')).value";
        let other = text(&page.eval(other).await);
        page.choose("#booking-service", &other).await;
        page.wait_for(&format!("document.querySelector({}).disabled", quoted(over))).await;
        let why = page.text("#booking-way-hint").await;
        assert!(why.contains("never booked over"), "{why}");
        page.choose("#booking-service", &self.stage.service).await;
        page.choose("#booking-doctor", &self.stage.doctor).await;
        page.click(over).await;
        page.choose("#booking-day", &self.stage.day).await;
        let beside = format!("#booking-times [data-beside={}]", self.taken["id"]);
        page.see(&beside).await;
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-over-phone", false).await;
        page.becomes(Device::Desk).await;
        page.drawn("desk-over", false).await;
        page.click(&beside).await;
        page.see("#booking-summary[data-way=over]").await;
        let said = page.text("#booking-summary").await;
        assert!(said.contains(PATIENTS[0]), "beside whom is said: {said}");
        page.click("#booking-do").await;
        self.is_done().await;
        let visits = self.booked(2).await;
        let second = visits.iter().find(|visit| instant(&visit["start"]) == self.start).unwrap();
        assert_eq!(second["overbooked"], true);
        // A third would be too many: it is shown, and cannot be pressed.
        self.opens("boris").await;
        page.click(over).await;
        page.choose("#booking-day", &self.stage.day).await;
        let disabled = format!("document.querySelector({})?.disabled", quoted(&beside));
        page.wait_for(&disabled).await;
        let why = page.text(&beside).await;
        assert!(why.contains("two already"), "{why}");
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }

    async fn somebody_urgent_goes_between_the_others(&self) {
        let page = &self.page;
        let now = instant(&page.eval("new Date().toISOString()").await);
        let hour = (now - (self.stage.begins - Duration::days(1))).num_hours();
        self.opens("oksana").await;
        page.click("#booking-way input[value=urgent]").await;
        page.see("#booking-times [data-start], #booking-times [data-full]").await;
        page.drawn("desk-urgent", false).await;
        if hour > LATEST_HOUR {
            page.click("#booking .sheet-close").await;
            return;
        }
        page.click("#booking-times [data-start]").await;
        page.choose("#booking-priority", "asap").await;
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-urgent-phone", false).await;
        page.becomes(Device::Desk).await;
        page.click("#booking-do").await;
        self.is_done().await;
        let visits = self.booked(2).await;
        let urgent = visits.iter().find(|visit| visit["priority"] == "asap").expect("urgent");
        assert!(instant(&urgent["start"]) < self.stage.begins, "today: {urgent}");
        // The board went there, and marks it.
        page.see(&format!("{}[data-urgent=asap]", card(urgent))).await;
        let cancel = format!("/v1/appointments/{}/cancel", text(&urgent["id"]));
        self.stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);
    }

    async fn a_series_says_what_comes_of_every_date(&self) {
        let page = &self.page;
        let (first, in_the_way) = (self.after(3), self.after(3) + Duration::days(2));
        // Somebody else has the third date, whoever it is.
        let wish = json!({
            "service": self.stage.service, "practitioner": self.stage.doctor,
            "start": written(in_the_way), "patient": self.stage.patient(2),
        });
        drop(self.stage.registrar.once("/v1/appointments", &key(), &wish).await);
        let before = self.booked(0).await.len();
        self.opens("darya").await;
        page.choose("#booking-day", &self.stage.day).await;
        page.click(&format!("#booking-times [data-start={}]", quoted(&written(first)))).await;
        page.choose("#booking-repeat", "d1").await;
        page.choose("#booking-count", "4").await;
        page.click("#booking-do").await;
        page.see("#series li:nth-child(3)[data-result=conflict]").await;
        let why = page.text("#series li:nth-child(3)").await;
        assert!(why.contains("not possible"), "{why}");
        assert_eq!(self.booked(0).await.len(), before, "only looked at");
        let free = "document.querySelectorAll('#series [data-result=free]').length";
        let free = usize::try_from(page.eval(free).await.as_u64().unwrap()).unwrap();
        assert!(free >= 1, "the first is free");
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-series-phone", false).await;
        page.becomes(Device::Desk).await;
        page.click("#series-do").await;
        page.see("#series-close").await;
        assert_eq!(self.booked(0).await.len(), before + free);
        // What did not fit goes to another time, and says so.
        page.drawn("desk-series", false).await;
        page.click("#series li:nth-child(3) [data-start]").await;
        page.see("#series li:nth-child(3)[data-result=booked]").await;
        assert_eq!(self.booked(0).await.len(), before + free + 1);
        page.click("#series-close").await;
        self.is_done().await;
    }

    async fn the_search_is_narrowed_and_the_first_free_time_is_one_press(&self) {
        let page = &self.page;
        self.opens("darya").await;
        page.choose("#booking-day", &self.stage.day).await;
        page.click("#booking-more summary").await;
        page.wait_for("document.querySelector('#booking-language option[value=en]')").await;
        page.choose("#booking-language", "en").await;
        page.choose("#booking-mode", "audio").await;
        page.choose("#booking-part", "evening").await;
        let shown = "[...document.querySelectorAll('#booking-times .times [data-start]')]";
        page.wait_for(&format!(
            "{shown}.length > 0 && {shown}.every((one) => Number(one.textContent.slice(0, 2)) >= 17)"
        ))
        .await;
        page.choose("#booking-order", "same_practitioner").await;
        page.wait_for(&format!("{shown}.length > 0")).await;
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-search-phone", false).await;
        page.becomes(Device::Desk).await;
        page.drawn("desk-search", false).await;
        page.click("#booking-first").await;
        page.see("#booking-summary").await;
        let mode = page.eval("document.querySelector('#booking-as').value").await;
        assert_eq!(mode, "audio", "it is held as it was looked for");
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }

    /// Nobody who speaks the patient's language is free within a month, though somebody is later.
    async fn a_guessed_language_gives_way_for_the_first_free_time(&self, admin: &Client) {
        let (page, registrar) = (&self.page, &self.stage.registrar);
        let second = format!("/v1/practitioners/{}", self.stage.second);
        speaks(admin, &second, &["ru", "evn"]).await;
        let patient = format!("/v1/patients/{}", self.stage.patient(0));
        speaks(registrar, &patient, &["evn"]).await;
        let today = self.stage.begins - Duration::days(1);
        let away = json!({"from": written(today), "to": written(today + Duration::days(40))});
        registrar.once(&format!("{second}/absences"), &key(), &away).await.expect(201);
        let begins = self.stage.begins + Duration::days(44) + Duration::hours(10);
        let extra = json!({"from": written(begins), "to": written(begins + Duration::hours(2))});
        registrar.once(&format!("{second}/extra-hours"), &key(), &extra).await.expect(201);
        page.click("#board-book").await;
        page.write("#booking-search", "darya").await;
        page.click("#booking-patients [data-patient]").await;
        page.choose("#booking-service", &self.stage.service).await;
        let tomorrow: chrono::NaiveDate = self.stage.day.parse().unwrap();
        let later = (tomorrow + Duration::days(44)).to_string();
        page.choose("#booking-day", &later).await;
        // The day is another search, which begins anew.
        page.choose("#booking-service", &self.stage.service).await;
        let theirs =
            format!("#booking-times .times [data-practitioner={}]", quoted(&self.stage.second));
        page.see(&theirs).await;
        let language = "document.querySelector('#booking-language').value";
        assert_eq!(page.eval(language).await, "evn");
        page.click("#booking-first").await;
        page.see("#booking-summary").await;
        assert_eq!(page.eval(language).await, "");
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }

    async fn a_card_names_the_room_and_the_device(&self) {
        let (page, registrar) = (&self.page, &self.stage.registrar);
        let services = registrar.get("/v1/healthcare-services?limit=100").await.expect(200);
        let services = services["items"].as_array().unwrap();
        let needs = |service: &&Value| service["resources"] == json!(["room", "device"]);
        let service = services.iter().find(needs).expect("a service at the station");
        let first = format!("/v1/slots?first=true&service={}", text(&service["id"]));
        let slot = registrar.get(&first).await.expect(200)["items"][0].clone();
        let wish = json!({
            "service": service["id"], "practitioner": slot["practitioner"]["id"],
            "start": slot["start"], "patient": self.stage.patient(1),
        });
        let visit = registrar.once("/v1/appointments", &key(), &wish).await.expect(201);
        let day: String = text(&visit["local_start"]).chars().take(10).collect();
        page.goto_hash(&format!("#/day/{day}/{}", text(&visit["id"]))).await;
        page.see(&card(&visit)).await;
        page.wait_for(&format!("document.activeElement.dataset.appointment === {}", visit["id"]))
            .await;
        page.click(&card(&visit)).await;
        page.see("#visit-others li").await;
        let said = page.text("#visit-others").await;
        for thing in ["room 1", "ECG recorder"] {
            assert!(said.contains(thing), "{thing} is not in {said}");
        }
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("desk-visit-phone", false).await;
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }

    /// It is let go where nobody who speaks it is free, and kept where somebody is.
    async fn the_search_begins_with_the_patients_language(&self, admin: &Client) {
        let (page, registrar) = (&self.page, &self.stage.registrar);
        let patient = format!("/v1/patients/{}", self.stage.patient(1));
        speaks(registrar, &patient, &["evn"]).await;
        let second = format!("/v1/practitioners/{}", self.stage.second);
        let known = admin.get(&second).await.expect(200);
        // This one speaks it, and has no hours yet.
        let colleague = json!({
            "name": "Aset Oleneva", "kind": "doctor", "organization": known["organization"]["id"],
            "time_zone": known["time_zone"], "services": [self.stage.service], "languages": ["evn"],
        });
        admin.once("/v1/practitioners", &key(), &colleague).await.expect(201);
        let opens = async || {
            page.click("#board-book").await;
            page.choose("#booking-service", &self.stage.service).await;
            page.choose("#booking-day", &self.stage.day).await;
            page.write("#booking-search", "maria").await;
            page.click("#booking-patients [data-patient]").await;
        };
        let found = async |doctors: &[&str]| {
            let names = "[...document.querySelectorAll('#booking-times h3')].map((one) => one.innerText).sort()";
            let doctors = quoted(&json!(doctors).to_string());
            page.wait_for(&format!("JSON.stringify({names}) === {doctors}")).await;
        };
        let language = "document.querySelector('#booking-language').value";
        opens().await;
        found(&[DOCTOR, SECOND]).await;
        assert_eq!(page.eval(language).await, "", "nobody who speaks it is free");
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;

        speaks(admin, &second, &["ru", "evn"]).await;
        opens().await;
        found(&[SECOND]).await;
        assert_eq!(page.eval(language).await, "evn");
        page.choose("#booking-language", "").await;
        found(&[DOCTOR, SECOND]).await;
        page.choose("#booking-language", "evn").await;
        found(&[SECOND]).await;
        page.click("#booking-first").await;
        let said = page.text("#booking-summary").await;
        assert!(said.contains(SECOND), "{said}");
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }
}

#[actix_web::test]
async fn a_law_moves_the_clocks_and_the_desk_keeps_what_was_promised() {
    let _alone = ONE_STORY.lock().await;
    let mut clinic = Clinic::open(Engine::Postgres).await;
    let browser = Chromium::start().await;
    let page = browser.page("promises", Device::Phone, "ru").await;
    let who = clinic.everybody("registrar").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(6).await;
    let at = |slots: i64| start + Duration::minutes(MINUTES * slots);
    let visits = [
        stage.book(0, &stage.doctor, at(0)).await,
        stage.book(1, &stage.doctor, at(1)).await,
        stage.book(2, &stage.doctor, at(2)).await,
    ];
    // The third promise cannot be kept: somebody has that time.
    stage.book(0, &stage.doctor, at(5)).await;
    let promised = |visit: &Value| {
        // As if it had been booked while the clocks were an hour further.
        (instant(&visit["start"]) + Duration::hours(8)).format("%FT%T+08:00").to_string()
    };
    for visit in &visits {
        let (local, code) = (promised(visit), text(&visit["code"]));
        let sql = format!("UPDATE appointments SET local_start = '{local}' WHERE code = '{code}'");
        clinic.execute(&sql).unwrap();
    }
    // The server looks when it starts.
    clinic.kill();
    clinic.start_again().await;
    page.goto_hash("#/tasks").await;
    page.see("#tasks [data-code=promises]").await;
    page.assert_fits().await;
    page.drawn("promises-task", false).await;
    page.click("#tasks [data-code=promises] a").await;
    let row = |visit: &Value| format!("#promises [data-promise={}]", visit["id"]);
    for visit in &visits {
        let said = page.text(&row(visit)).await;
        let clock = |local: &str| local.chars().skip(11).take(5).collect::<String>();
        let (was, shown) = (clock(&promised(visit)), clock(&text(&visit["local_start"])));
        assert!(said.contains(&was) && said.contains(&shown), "{was}, {shown}: {said}");
        assert!(said.contains(&text(&visit["patient"]["name"])), "{said}");
    }
    page.assert_fits().await;
    page.drawn("promises-phone", false).await;
    page.becomes(Device::Desk).await;
    page.assert_fits().await;
    page.drawn("promises", false).await;

    // One key keeps a promise; the next one is under the finger.
    for (visit, to) in [(&visits[0], at(3)), (&visits[1], at(4))] {
        page.focus(&format!("#keep-{}", text(&visit["id"]))).await;
        page.press("Enter").await;
        page.wait_for(&format!("!document.querySelector({})", quoted(&row(visit)))).await;
        let now = stage.visit(visit).await;
        assert_eq!(instant(&now["start"]), to);
        assert_eq!(now["moves"].as_array().unwrap().len(), 1);
    }
    let focused = "document.activeElement.classList.contains('keep')";
    page.wait_for(focused).await;
    page.press("Enter").await;
    page.see(&format!("{} [data-code=slot_taken]", row(&visits[2]))).await;
    assert_eq!(stage.visit(&visits[2]).await["start"], visits[2]["start"], "nothing was moved");
    page.click(&format!("{} a", row(&visits[2]))).await;
    page.see(&card(&visits[2])).await;
    // Somebody else makes way, and the last promise ends the task.
    let path = format!("/v1/appointments?patient={}&status=booked&limit=100", stage.patient(0));
    let others = stage.registrar.get(&path).await.expect(200);
    let other = others["items"].as_array().unwrap();
    let other = other.iter().find(|visit| instant(&visit["start"]) == at(5)).expect("booked");
    let cancel = format!("/v1/appointments/{}/cancel", text(&other["id"]));
    stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);
    page.goto_hash("#/promises").await;
    page.click(&format!("#keep-{}", text(&visits[2]["id"]))).await;
    page.wait_for("!document.querySelector('#promises [data-promise]')").await;
    let said = page.text("#promises-lead").await;
    assert!(said.contains("Все приёмы стоят"), "{said}");
    page.goto_hash("#/tasks").await;
    page.wait_for(
        "['none', 'count'].some((one) => document.querySelector(`#tasks-${one}`)?.hidden === false)",
    )
    .await;
    assert_eq!(
        page.eval("document.querySelector('#tasks [data-code=promises]')").await,
        json!(null)
    );

    that_somebody_came_is_taken_back(&clinic, &page, &stage, &visits[0]).await;
    page.assert_content();
}

/// The wrong patient was marked as here: one press puts it right.
async fn that_somebody_came_is_taken_back(
    clinic: &Clinic,
    page: &Page,
    stage: &Stage,
    visit: &Value,
) {
    let code = text(&visit["code"]);
    let sql = format!(
        "UPDATE appointments SET status = 'arrived' WHERE code = '{code}';
         UPDATE encounters SET status = 'arrived'
         WHERE appointment_id = (SELECT id FROM appointments WHERE code = '{code}')"
    );
    clinic.execute(&sql).unwrap();
    page.goto_hash(&format!("#/day/{}/{}", stage.day, text(&visit["id"]))).await;
    page.see(&format!("{}[data-status=arrived]", card(visit))).await;
    page.click(&card(visit)).await;
    page.click("#visit-undo").await;
    page.wait_for("!document.querySelector('dialog')").await;
    page.see(&format!("{}[data-status=booked]", card(visit))).await;
    assert_eq!(stage.visit(visit).await["status"], "booked");
}

#[actix_web::test]
async fn a_code_and_a_birth_date_say_whether_it_went_through_and_a_visit_has_a_next_one() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    // Of the region's people this one has been seen by the doctor on duty.
    let who = clinic.everybody("patient").remove(0);
    let her = clinic.everybody("doctor").remove(0);

    let doctor = desk.page("follows", Device::Desk, "en").await;
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), &her).await;
    doctor.see("#day-title").await;
    let held = doctor.ask("/v1/appointments?status=fulfilled&limit=100").await;
    let held = held["items"].as_array().unwrap();
    let before = held.iter().find(|visit| visit["patient"]["name"] == who.name.as_str());
    let before = before.expect("a visit that took place").clone();
    doctor.goto_hash(&format!("#/visit/{}", text(&before["encounter"]["id"]))).await;
    doctor.focus("#follow-up").await;
    doctor.press("Enter").await;
    doctor.click("#follow [data-days='7']").await;
    doctor.click("#follow-times [data-start]").await;
    doctor.write("#follow-reason", "Bring the diary").await;
    doctor.drawn("follow-up", false).await;
    doctor.click("#follow-book").await;
    doctor.see("#follow-ups [data-follow]").await;
    let id = doctor.eval("document.querySelector('[data-follow]').dataset.follow").await;
    let after = doctor.ask(&format!("/v1/appointments/{}", text(&id))).await;
    assert_eq!(after["follows"], before["id"]);
    assert_eq!(after["practitioner"], before["practitioner"]);
    // It is there when the page is opened again, and the next visit says what it follows.
    doctor.reload().await;
    doctor.see(&format!("[data-follow={id}]")).await;
    doctor.becomes(Device::Phone).await;
    doctor.assert_fits().await;
    doctor.drawn("follow-up-phone", false).await;
    doctor.goto_hash(&format!("#/visit/{}", text(&after["encounter"]["id"]))).await;
    let said = doctor.text("#follows").await;
    assert!(said.contains("Follow-up of the visit of"), "{said}");

    // Nobody is signed in here.
    let page = phone.page("lookup", Device::Phone, "ru").await;
    page.goto(&clinic.url).await;
    page.see("#phone").await;
    page.click("#look-up").await;
    page.click("#lookup-do").await;
    page.see("#lookup-code[aria-invalid=true]").await;
    let (code, born) = (text(&after["code"]), birth_date(&doctor, &after).await);
    // As it is read out and typed: in two parts, and small.
    let (first, last): (String, String) =
        (code.chars().take(3).collect(), code.chars().skip(3).collect());
    page.write("#lookup-code", &format!("{} {last}", first.to_lowercase())).await;
    page.choose("#lookup-born", "1900-01-01").await;
    page.click("#lookup-do").await;
    page.see("#problem[data-code=not_there]").await;
    page.choose("#lookup-born", &born).await;
    page.focus("#lookup-do").await;
    page.press("Enter").await;
    let said = page.text("#lookup-found [data-status=booked]").await;
    let clock: String = text(&after["local_start"]).chars().skip(11).take(5).collect();
    assert!(said.contains("Да, запись есть") && said.contains(&clock), "{said}");
    assert!(!said.contains(&who.name) && !said.contains(&her.name), "no names: {said}");
    page.assert_fits().await;
    page.drawn("lookup-phone", false).await;
    page.click("#lookup-home").await;
    page.see("#phone").await;

    patient_signs_in(&page, &clinic, &who).await;
    let card_of = |visit: &Value, part: &str| format!("#{part} {}", card(visit));
    let said = page.text(&format!("{} .follows", card_of(&after, "upcoming"))).await;
    assert!(said.contains("Повторный после приёма"), "{said}");
    let said = page.text(&format!("{} .followed", card_of(&before, "past"))).await;
    assert!(said.contains(&clock), "{said}");
    page.assert_fits().await;
    page.drawn("follow-up-patient", false).await;
    page.assert_content();
    doctor.assert_content();
    assert!(clinic.stop().await.success());
}

async fn birth_date(doctor: &Page, visit: &Value) -> String {
    let patient = format!("/v1/patients/{}", text(&visit["patient"]["id"]));
    text(&doctor.ask(&patient).await["birth_date"])
}
