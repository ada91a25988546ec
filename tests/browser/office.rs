//! What the office looks after besides the day: who waits for a time, and when the clinic is
//! closed. What is free is asked for, so that the hour does not matter.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{DOCTOR, PATIENTS, Stage, card, instant, staff_signs_in, text, written};
use crate::story::ONE_STORY;
use crate::support::{Engine, key};

#[actix_web::test]
async fn the_office_looks_after_its_waiting_list_on_sqlite() {
    a_waiting_list(Engine::Sqlite).await;
}

#[actix_web::test]
async fn the_office_looks_after_its_waiting_list_on_postgres() {
    a_waiting_list(Engine::Postgres).await;
}

async fn a_waiting_list(engine: Engine) {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(engine).await;
    let browser = Chromium::start().await;
    let page = browser.page("office", Device::Desk, "en").await;
    let who = clinic.everybody("registrar").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    assert_eq!(page.text("#waiting").await, "0");
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(1).await;
    let taken = stage.book(2, &stage.doctor, start).await;
    let mut office = Office { stage, page, start, taken };

    office.nobody_waits_yet().await;
    let [first, urgent] = office.two_wait_in_their_order().await;
    office.what_becomes_free_is_held_for_the_first(&urgent).await;
    office.filters_narrow_the_list(&urgent).await;
    office.a_line_that_is_cut_is_said(&urgent).await;
    office.a_time_is_taken_for_somebody_who_telephones(&urgent).await;
    office.keys_take_a_wish_off_the_list(&first).await;
    office.whoever_telephones_is_put_on_the_list().await;
    office.a_visit_can_be_wished_for_earlier().await;
    office.page.assert_content();
}

struct Office {
    stage: Stage,
    page: Page,
    /// A time at which the doctor was free.
    start: DateTime<Utc>,
    /// The visit that was booked into it.
    taken: Value,
}

fn row(entry: &Value) -> String {
    format!("[data-entry={}]", quoted(&text(&entry["id"])))
}

fn act(entry: &Value, word: &str) -> String {
    format!("#{word}-{}", text(&entry["id"]))
}

impl Office {
    /// Somebody wishes for the one time that is taken.
    async fn waits(&self, patient: usize, priority: &str) -> Value {
        let wish = json!({
            "service": self.stage.service, "practitioner": self.stage.doctor, "notice_minutes": 0,
            "patient": self.stage.patient(patient), "priority": priority,
            "earliest": written(self.start), "latest": written(self.start + Duration::minutes(1)),
        });
        let entry = self.stage.registrar.once("/v1/waitlist", &key(), &wish).await.expect(201);
        assert_eq!(entry["status"], "waiting", "{entry}");
        entry
    }

    async fn entry(&self, entry: &Value) -> Value {
        let path = format!("/v1/waitlist/{}", text(&entry["id"]));
        self.stage.registrar.get(&path).await.expect(200)
    }

    /// Whose rows are shown, from top to bottom.
    async fn rows(&self) -> Value {
        let rows = "[...document.querySelectorAll('[data-entry]')].map((row) => row.dataset.entry)";
        self.page.eval(rows).await
    }

    async fn nobody_waits_yet(&self) {
        self.page.click("#office [href='#/waitlist']").await;
        let empty = self.page.text("#wl-none").await;
        assert!(empty.contains("Nobody is waiting"), "{empty}");
        self.page.assert_fits().await;
    }

    async fn two_wait_in_their_order(&self) -> [Value; 2] {
        let page = &self.page;
        let first = self.waits(0, "routine").await;
        let urgent = self.waits(1, "urgent").await;
        page.reload().await;
        page.see(&row(&first)).await;
        assert_eq!(self.rows().await, json!([urgent["id"], first["id"]]));
        assert_eq!(page.text("#waiting").await, "2");
        let shown = page.text(&row(&first)).await;
        let clock = "const source = document.querySelector('script[type=module]').src; \
                     const time = await import(source.replace(/[^/]+$/, 'time.js')); \
                     return time.clock({start}, 'Asia/Krasnoyarsk');";
        let clock = clock.replace("{start}", &quoted(&written(self.start)));
        let clock = text(&page.run(&clock).await);
        for said in ["2", PATIENTS[0], DOCTOR, clock.as_str(), "nothing offered yet"] {
            assert!(shown.contains(said), "{said} is not in {shown}");
        }
        page.click(&format!("{} summary", row(&first))).await;
        let why = page.text(&format!("{} .explanation", row(&first))).await;
        assert!(why.contains("Place 2; 1 before, 1 of them urgent."), "{why}");
        page.see(&format!("{} .reach a", row(&first))).await;
        page.drawn("office-waitlist", false).await;
        [first, urgent]
    }

    async fn what_becomes_free_is_held_for_the_first(&self, urgent: &Value) {
        let cancel = format!("/v1/appointments/{}/cancel", text(&self.taken["id"]));
        self.stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);
        // The list looks by itself.
        self.page.see(&format!("{}[data-status=offered]", row(urgent))).await;
        let shown = self.page.text(&row(urgent)).await;
        assert!(shown.contains("Held until") && shown.contains(" left"), "{shown}");
        let left = format!("{} .left", row(urgent));
        let before = self.page.text(&left).await;
        let counts =
            format!("document.querySelector({}).innerText !== {}", quoted(&left), quoted(&before));
        self.page.wait_for(&counts).await;
        self.page.assert_fits().await;
        self.page.drawn("waitlist-office", true).await;
    }

    async fn filters_narrow_the_list(&self, urgent: &Value) {
        let page = &self.page;
        page.choose("#wl-status", "offered").await;
        page.wait_for("document.querySelectorAll('[data-entry]').length === 1").await;
        assert_eq!(self.rows().await, json!([urgent["id"]]));
        page.choose("#wl-status", "").await;
        page.wait_for("document.querySelectorAll('[data-entry]').length === 2").await;
        let other = "[...document.querySelectorAll('#wl-service option')] \
                     .map((one) => one.value).find((one) => one && one !== {})";
        let other = page.eval(&other.replace("{}", &quoted(&self.stage.service))).await;
        page.choose("#wl-service", &text(&other)).await;
        page.see("#wl-none").await;
        page.choose("#wl-service", &self.stage.service.clone()).await;
        page.see(&row(urgent)).await;
        assert_eq!(page.text("#waiting").await, "2", "the number is that of all who wait");
    }

    /// What is not known is said; what was known stays, and the list goes on by itself.
    async fn a_line_that_is_cut_is_said(&self, urgent: &Value) {
        let page = &self.page;
        page.eval(
            "window.reached = window.fetch; window.fetch = () => Promise.reject(new TypeError())",
        )
        .await;
        page.choose("#wl-status", "").await;
        page.see("#problem[data-code=stale]").await;
        page.see(&row(urgent)).await;
        page.eval("window.fetch = window.reached").await;
        page.choose("#wl-status", "").await;
        page.wait_for("document.querySelector('#problem').hidden").await;
        page.see(&row(urgent)).await;
    }

    async fn a_time_is_taken_for_somebody_who_telephones(&mut self, urgent: &Value) {
        let page = &self.page;
        page.click(&act(urgent, "accept")).await;
        page.wait_for(&format!("!document.querySelector({})", quoted(&row(urgent)))).await;
        let note = page.text("#wl-note").await;
        let ended = self.entry(urgent).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("booked"), &json!("accepted")));
        let visit = self.stage.visit(&json!({"id": ended["appointment"]})).await;
        assert_eq!(instant(&visit["start"]), self.start);
        assert!(note.contains(PATIENTS[1]) && note.contains(&text(&visit["code"])), "{note}");
        self.taken = visit;
    }

    async fn keys_take_a_wish_off_the_list(&self, first: &Value) {
        let page = &self.page;
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("office-waitlist-phone", false).await;
        let withdraw = act(first, "withdraw");
        page.focus(&withdraw).await;
        page.press("Enter").await;
        let focused = "`#${document.activeElement.id}`";
        assert_eq!(page.eval(focused).await, format!("{withdraw}-yes"));
        page.assert_fits().await;
        // No is an answer: nothing has changed, and the focus is where it was.
        page.click(&format!("{withdraw}-no")).await;
        assert_eq!(page.eval(focused).await, withdraw);
        assert_eq!(self.entry(first).await["status"], "waiting");
        page.press("Enter").await;
        page.press("Enter").await;
        page.see("#wl-none").await;
        assert_eq!(self.entry(first).await["status"], "withdrawn");
        page.choose("#wl-service", "").await;
        page.wait_for("document.querySelector('#waiting').innerText === '0'").await;
    }

    /// On a small screen: a time that is free already is offered while the patient is on the line.
    async fn whoever_telephones_is_put_on_the_list(&self) {
        let page = &self.page;
        page.click("#wl-add").await;
        page.click("#join-do").await;
        let who = page.text("#join-problem").await;
        assert!(who.contains("patient first"), "{who}");
        page.write("#join-search", "oksana").await;
        page.click("#join-patients [data-patient]").await;
        page.choose("#join-service", &self.stage.service.clone()).await;
        let doctor = format!("#join-doctor option[value={}]", quoted(&self.stage.doctor));
        page.wait_for(&format!("document.querySelector({})", quoted(&doctor))).await;
        page.choose("#join-doctor", &self.stage.doctor.clone()).await;
        page.choose("#join-notice", "60").await;
        page.click("#join-urgent").await;
        page.assert_fits().await;
        page.drawn("office-join-phone", false).await;
        page.focus("#join-do").await;
        page.press("Enter").await;
        page.see("[data-entry]").await;
        let list = format!("/v1/waitlist?order=turn&patient={}", self.stage.patient(2));
        let entry = self.stage.registrar.get(&list).await.expect(200)["items"][0].clone();
        assert_eq!(
            (&entry["practitioner"]["id"], &entry["notice_minutes"], &entry["priority"]),
            (&json!(self.stage.doctor), &json!(60), &json!("urgent"))
        );
        assert_eq!(entry["status"], "offered", "the doctor has free times: {entry}");
        let note = page.text("#wl-note").await;
        assert!(note.contains(PATIENTS[2]) && note.contains("Ask whether it suits"), "{note}");
        page.assert_fits().await;
        page.drawn("office-offered-phone", false).await;
        // Twice for the same service is once too often.
        page.click("#wl-add").await;
        page.write("#join-search", "oksana").await;
        page.click("#join-patients [data-patient]").await;
        page.choose("#join-service", &self.stage.service.clone()).await;
        page.click("#join-do").await;
        page.see("#join-problem[data-code=already_exists]").await;
        page.click("#join .sheet-close").await;

        page.click(&act(&entry, "decline")).await;
        page.wait_for("document.querySelector('#wl-note').innerText.includes('keeps the place')")
            .await;
        let now = self.entry(&entry).await;
        assert_ne!(now["offer"]["held"], entry["offer"]["held"], "that time is the next one's");
        let withdraw = format!("/v1/waitlist/{}/withdraw", text(&entry["id"]));
        self.stage.registrar.once(&withdraw, &key(), &json!({})).await.expect(200);
    }

    /// From the visit on the board to its line on the list, and back to the board.
    async fn a_visit_can_be_wished_for_earlier(&self) {
        let page = &self.page;
        page.becomes(Device::Desk).await;
        let there = format!("#/day/{}/{}", self.stage.day, text(&self.taken["id"]));
        page.goto_hash(&there).await;
        page.see(&card(&self.taken)).await;
        let focused = "document.activeElement.dataset.appointment";
        page.wait_for(&format!("{focused} === {}", self.taken["id"])).await;
        page.press("Enter").await;
        page.press("Escape").await;
        page.click(&card(&self.taken)).await;
        page.click("#visit-earlier").await;
        page.see("#join-who").await;
        page.drawn("office-join", false).await;
        page.click("#join-do").await;
        page.see("[data-entry]").await;
        let focused = page.eval("document.activeElement.dataset.entry").await;
        let entry = self.entry(&json!({"id": focused})).await;
        assert_eq!(entry["appointment"], self.taken["id"]);
        let shown = page.text(&row(&entry)).await;
        assert!(shown.contains("bring forward"), "{shown}");
        page.click("#office [href='#/']").await;
        page.see(".lane").await;
        page.wait_for("document.querySelector('#waiting').innerText === '1'").await;
        // When no free time suits, booking leads on to the list, with the patient.
        page.click("#board-book").await;
        page.write("#booking-search", "darya").await;
        page.click("#booking-patients [data-patient]").await;
        page.click("#booking-wait").await;
        page.see("#join-who").await;
        let who = page.eval("document.querySelector('#join-who').dataset.patient").await;
        assert_eq!(who, self.stage.patient(0));
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
    }
}

#[actix_web::test]
async fn the_clinic_closes_and_every_visit_in_that_time_leads_to_the_board() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("closures", Device::Desk, "ru").await;
    let who = clinic.everybody("registrar").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(1).await;
    let visit = stage.book(0, &stage.doctor, start).await;
    page.click("#office [href='#/closures']").await;
    page.see("#closures .none").await;

    // What is wrong is marked, and nothing is closed.
    page.write("#closure-name", "Ремонт").await;
    page.choose("#closure-first", &stage.day).await;
    page.choose("#closure-last", "2020-01-01").await;
    page.click("#closure-add").await;
    page.see("#closure-last[aria-invalid=true]").await;
    assert!(page.text("#closure-problem").await.contains("последний день"));
    page.drawn("office-closures", false).await;
    page.choose("#closure-last", &stage.day).await;
    page.click("#closure-add").await;

    // Every visit that it hits is named, and leads to the board.
    page.see(&format!("#hits {}", card(&visit))).await;
    let shown = page.text(&format!("#hits {}", card(&visit))).await;
    assert!(shown.contains(PATIENTS[0]) && shown.contains(&text(&visit["code"])), "{shown}");
    let open = |count: &Value| text(count).parse::<i64>().unwrap();
    let many = "document.querySelector('#hit-count').dataset.open";
    let before = open(&page.eval(many).await);
    page.assert_fits().await;
    page.drawn("office-closure", false).await;
    page.becomes(Device::Phone).await;
    page.assert_fits().await;
    page.drawn("office-closure-phone", false).await;
    page.focus(&format!("#hits {} a", card(&visit))).await;
    page.press("Enter").await;
    page.see(&format!(".lane {}", card(&visit))).await;
    let focused = "document.activeElement.dataset.appointment";
    page.wait_for(&format!("{focused} === {}", visit["id"])).await;
    assert_eq!(page.eval("document.querySelector('#day').value").await, stage.day);
    let cancel = format!("/v1/appointments/{}/cancel", text(&visit["id"]));
    stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);

    // Back, one fewer is left; the times are closed until the closure is removed.
    page.eval("history.back()").await;
    page.see("#hit-count").await;
    page.wait_for(&format!("{many} === '{}'", before - 1)).await;
    page.click("#back").await;
    page.see("#closures [data-closure]").await;
    page.assert_fits().await;
    page.drawn("office-closures-phone", false).await;
    let slots = format!(
        "/v1/slots?service={}&practitioner={}&from={}&to={}",
        stage.service,
        stage.doctor,
        written(start),
        written(start + Duration::minutes(1))
    );
    let free = async || stage.registrar.get(&slots).await.expect(200)["items"].clone();
    assert_eq!(free().await, json!([]));
    let id = text(&page.eval("document.querySelector('[data-closure]').dataset.closure").await);
    page.click(&format!("#remove-{id}")).await;
    page.click(&format!("#remove-{id}-no")).await;
    assert_eq!(free().await, json!([]), "no is an answer");
    page.click(&format!("#remove-{id}")).await;
    page.click(&format!("#remove-{id}-yes")).await;
    page.see("#closures .none").await;
    assert_eq!(free().await.as_array().unwrap().len(), 1);

    // A part of each day, far from every visit, says that it hits none.
    page.choose("#closure-first", &far(&stage)).await;
    page.write("#closure-name", "Санитарный час").await;
    page.write("#closure-from", "13").await;
    page.write("#closure-to", "14").await;
    page.click("#closure-add").await;
    let line = page.text("#closures [data-closure]").await;
    assert!(line.contains("Санитарный час") && line.contains("с 13:00 до 14:00"), "{line}");

    // The waiting list in the longer of the two languages, on a small phone.
    let wish = json!({"service": stage.service, "patient": stage.patient(1)});
    let entry = stage.registrar.once("/v1/waitlist", &key(), &wish).await.expect(201);
    assert_eq!(entry["status"], "offered", "{entry}");
    page.goto_hash(&format!("#/waitlist/{}", text(&entry["id"]))).await;
    let shown = page.text(&row(&entry)).await;
    for said in [PATIENTS[1], "любой врач", "Держим до", "осталось"] {
        assert!(shown.contains(said), "{said} is not in {shown}");
    }
    page.click(&format!("{} summary", row(&entry))).await;
    let why = page.text(&format!("{} .explanation", row(&entry))).await;
    assert!(why.starts_with("Первое место в очереди."), "{why}");
    page.click(&act(&entry, "withdraw")).await;
    page.assert_fits().await;
    page.drawn("office-waitlist-phone-ru", false).await;

    // A feldsher sees a closure, and changes nothing.
    let other = Chromium::start().await;
    let reader = other.page("reader", Device::Phone, "ru").await;
    let feldsher = clinic.everybody("feldsher").remove(0);
    staff_signs_in(&reader, &format!("{}/board#/closures", clinic.url), &feldsher).await;
    reader.see("#closures-readonly").await;
    reader.see("#closures li").await;
    reader.assert_fits().await;
    let tools = "document.querySelector('#closure-add, [id^=remove-]')";
    assert_eq!(reader.eval(&format!("{tools} === null")).await, true);
    page.assert_content();
    reader.assert_content();
}

/// A day on which the demo has booked nothing.
fn far(stage: &Stage) -> String {
    (stage.begins + Duration::days(50)).format("%F").to_string()
}
