//! The clinic's board as its registrar uses it: by key, by pointer and by finger, always with a
//! look before it is done, and a way back.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{
    DOCTOR, MINUTES, PATIENTS, SECOND, Stage, card, instant, staff_signs_in, text, written,
};
use crate::story::ONE_STORY;
use crate::support::{Client, Engine, key};

#[actix_web::test]
async fn the_office_runs_its_day_on_the_board_on_sqlite() {
    a_day_at_the_office(Engine::Sqlite).await;
}

#[actix_web::test]
async fn the_office_runs_its_day_on_the_board_on_postgres() {
    a_day_at_the_office(Engine::Postgres).await;
}

async fn a_day_at_the_office(engine: Engine) {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(engine).await;
    let browser = Chromium::start().await;
    let page = browser.page("board", Device::Desk, "en").await;
    let who = clinic.everybody("registrar").remove(0);
    staff_signs_in(&page, &format!("{}/board", clinic.url), &who).await;
    page.see(".lane").await;
    page.assert_fits().await;
    let stage = Stage::set(&clinic, &page).await;
    let start = stage.free_row(6).await;
    let moved = stage.book(0, &stage.doctor, start).await;
    let other = stage.book(1, &stage.doctor, start + Duration::minutes(3 * MINUTES)).await;
    let her = clinic.everybody("doctor").into_iter().find(|who| who.name == DOCTOR);
    let doctor = clinic.staff(&her.expect("the doctor")).await;
    let mut office = Office { stage, page, doctor, start, moved, other };
    office.page.choose("#day", &office.stage.day.clone()).await;
    office.page.see(&card(&office.moved)).await;

    office.a_card_says_who_when_and_on_whose_clock().await;
    office.keys_move_a_visit_and_one_press_puts_it_back().await;
    office.letting_go_changes_nothing().await;
    office.a_conflict_changes_nothing_and_says_what_is_free().await;
    office.a_pointer_moves_a_visit_to_another_doctor().await;
    office.a_finger_moves_a_visit_on_a_phone().await;
    office.somebody_telephones_and_is_booked().await;
    office.a_visit_is_confirmed_and_called_off().await;
    office.who_asks_for_a_visit_is_answered().await;
    office.the_doctor_is_ill_and_well_again().await;
    office.the_board_follows_what_others_do().await;
    office.a_visit_that_did_not_take_place_has_a_cause().await;
    office.a_visit_that_took_place_has_a_next_one().await;
    office.page.assert_content();
}

struct Office {
    stage: Stage,
    page: Page,
    /// Whose visits they are.
    doctor: Client,
    /// The first of six starts in a row that were free.
    start: DateTime<Utc>,
    moved: Value,
    other: Value,
}

impl Office {
    fn after(&self, slots: i64) -> DateTime<Utc> {
        self.start + Duration::minutes(MINUTES * slots)
    }

    /// Waits until the card stands at a time, which the API says too.
    async fn stands_at(&self, visit: &Value, doctor: &str, start: DateTime<Utc>) {
        let there = format!(
            ".col[data-column={}] {}[data-start={}]",
            quoted(doctor),
            card(visit),
            quoted(&written(start))
        );
        self.page.wait_for(&format!("document.querySelector({})", quoted(&there))).await;
        let now = self.stage.visit(visit).await;
        assert_eq!(instant(&now["start"]), start);
        assert_eq!(now["practitioner"]["id"], doctor);
        assert_eq!(now["code"], visit["code"], "the code stays");
    }

    async fn a_card_says_who_when_and_on_whose_clock(&self) {
        let label = "document.querySelector({}).getAttribute('aria-label')";
        let label = label.replace("{}", &quoted(&card(&self.moved)));
        let label = text(&self.page.eval(&label).await);
        let clock: String = text(&self.moved["local_start"]).chars().skip(11).take(5).collect();
        for said in [PATIENTS[0], DOCTOR, clock.as_str(), "booked", "Krasnoyarsk"] {
            assert!(label.contains(said), "{said} is not in {label}");
        }
        let shown = self.page.text(&card(&self.moved)).await;
        assert!(shown.contains(PATIENTS[0]) && shown.contains(&clock), "{shown}");
        self.page.drawn("board-day", false).await;
    }

    async fn keys_move_a_visit_and_one_press_puts_it_back(&self) {
        let page = &self.page;
        page.focus(&card(&self.moved)).await;
        page.press("Enter").await;
        page.see("#carry").await;
        for _ in 0..4 {
            page.press("ArrowDown").await;
        }
        page.press("Enter").await;
        page.see("#move-free").await;
        let now = self.stage.visit(&self.moved).await;
        assert_eq!(now["version"], self.moved["version"], "a preview changes nothing");
        page.drawn("board-preview", false).await;
        page.press("Enter").await;
        page.see("#toast-undo").await;
        self.stands_at(&self.moved, &self.stage.doctor, self.after(1)).await;
        let focused = "document.activeElement.dataset.appointment";
        assert_eq!(page.eval(focused).await, self.moved["id"], "the focus stays with the visit");
        page.click("#toast-undo").await;
        page.click("#move-apply").await;
        self.stands_at(&self.moved, &self.stage.doctor, self.start).await;
    }

    async fn letting_go_changes_nothing(&self) {
        let page = &self.page;
        let before = self.stage.visit(&self.moved).await;
        page.focus(&card(&self.moved)).await;
        page.press("Enter").await;
        page.press("ArrowDown").await;
        page.press("ArrowRight").await;
        let said = page.text("#carry").await;
        assert!(said.contains(SECOND), "{said}");
        page.press("Escape").await;
        page.wait_for("document.querySelector('#carry').hidden").await;
        let focused = "document.activeElement.dataset.appointment";
        assert_eq!(page.eval(focused).await, self.moved["id"]);
        assert_eq!(self.stage.visit(&self.moved).await, before);
    }

    /// Where to take a card with the pointer, and where a start of a doctor's day lies.
    async fn way(&self, visit: &Value, doctor: &str, slots: f64) -> ((f64, f64), (f64, f64)) {
        let body = format!(
            "const card = document.querySelector({card}); \
             card.scrollIntoView({{ block: 'center' }}); \
             await new Promise((done) => requestAnimationFrame(done)); \
             const box = card.getBoundingClientRect(); \
             const lane = document.querySelector('.col[data-column={doctor}] .lane'); \
             const there = lane.getBoundingClientRect(); \
             const x = box.left + box.width / 2; const y = box.top + 12; \
             return [x, y, there.left + there.width / 2, y + {slots} * 40];",
            card = quoted(&card(visit)),
            doctor = quoted(doctor),
        );
        let way = self.page.run(&body).await;
        let number = |at: usize| way[at].as_f64().unwrap();
        ((number(0), number(1)), (number(2), number(3)))
    }

    async fn a_conflict_changes_nothing_and_says_what_is_free(&self) {
        let page = &self.page;
        let before = self.stage.visit(&self.moved).await;
        let (from, to) = self.way(&self.moved, &self.stage.doctor, 3.0).await;
        page.drag(from, to, false).await;
        page.see("#move-conflict[data-code=slot_taken]").await;
        let said = page.text("#move-conflict").await;
        assert!(said.contains(PATIENTS[1]), "who is there is said: {said}");
        page.drawn("board-move", true).await;
        let free = "document.querySelectorAll('#move-alternatives [data-start]').length";
        assert!(page.eval(free).await.as_i64() >= Some(1));
        assert_eq!(self.stage.visit(&self.moved).await, before);

        let first = "document.querySelector('#move-alternatives [data-start]').dataset.start";
        let first = instant(&page.eval(first).await);
        page.click("#move-alternatives [data-start]").await;
        page.see("#move-free").await;
        assert_eq!(self.stage.visit(&self.moved).await, before, "still only a preview");
        page.click("#move-keep").await;
        page.wait_for("!document.querySelector('dialog')").await;
        assert_ne!(first, self.after(3));
        self.stands_at(&self.moved, &self.stage.doctor, self.start).await;
    }

    async fn a_pointer_moves_a_visit_to_another_doctor(&self) {
        let page = &self.page;
        let (from, to) = self.way(&self.moved, &self.stage.second, 1.0).await;
        page.drag(from, to, false).await;
        page.see("#move-free").await;
        let change = page.text("#move-change").await;
        assert!(change.contains(DOCTOR) && change.contains(SECOND), "{change}");
        page.click("#move-apply").await;
        self.stands_at(&self.moved, &self.stage.second, self.after(1)).await;
        page.drawn("board", true).await;
    }

    async fn a_finger_moves_a_visit_on_a_phone(&self) {
        let page = &self.page;
        page.becomes(Device::Phone).await;
        page.choose("#column", &self.stage.second).await;
        page.see(&card(&self.moved)).await;
        page.assert_fits().await;
        let columns =
            "[...document.querySelectorAll('.col')].filter((one) => one.offsetWidth).length";
        assert_eq!(page.eval(columns).await, 1, "one doctor at a time");
        page.drawn("board-phone", false).await;
        let (from, to) = self.way(&self.moved, &self.stage.second, 1.0).await;
        page.drag(from, to, true).await;
        page.click("#move-apply").await;
        self.stands_at(&self.moved, &self.stage.second, self.after(2)).await;

        // The same without dragging, and to the other doctor.
        page.click(&card(&self.moved)).await;
        page.see("#visit").await;
        page.assert_fits().await;
        page.click("#visit-move").await;
        for _ in 0..8 {
            page.click("#carry-earlier").await;
        }
        page.click("#carry-left").await;
        page.assert_fits().await;
        page.drawn("board-carry-phone", false).await;
        page.click("#carry-preview").await;
        page.click("#move-apply").await;
        self.stands_at(&self.moved, &self.stage.doctor, self.start).await;
        page.becomes(Device::Desk).await;
    }

    async fn somebody_telephones_and_is_booked(&self) {
        let page = &self.page;
        page.click("#board-book").await;
        page.write("#booking-search", "oksana").await;
        page.click("#booking-patients [data-patient]").await;
        page.choose("#booking-service", &self.stage.service).await;
        page.choose("#booking-doctor", &self.stage.second).await;
        let start = written(self.after(4));
        let time = format!("#booking-times [data-start={}]", quoted(&start));
        page.click(&time).await;
        page.write("#booking-reason", "Asked by telephone").await;
        page.drawn("board-booking", false).await;
        page.click("#booking-do").await;
        page.see("#toast").await;
        let there = format!(
            ".col[data-column={}] [data-start={}]",
            quoted(&self.stage.second),
            quoted(&start)
        );
        let label = page.text(&there).await;
        assert!(label.contains(PATIENTS[2]), "{label}");
    }

    async fn a_visit_is_confirmed_and_called_off(&self) {
        let page = &self.page;
        let start = written(self.after(4));
        let booked = format!(
            ".col[data-column={}] [data-start={}]",
            quoted(&self.stage.second),
            quoted(&start)
        );
        let id = format!("document.querySelector({}).dataset.appointment", quoted(&booked));
        let visit = json!({"id": page.eval(&id).await});
        page.click(&card(&visit)).await;
        page.click("#visit-attend").await;
        page.wait_for("!document.querySelector('dialog')").await;
        assert!(self.stage.visit(&visit).await.get("confirmed_at").is_some());
        self.is_called_off(&visit).await;
        // It was the wrong card: one press on a key brings it back, at once or out of what was called off.
        page.wait_for("document.activeElement.id === 'toast-undo'").await;
        page.press("Enter").await;
        page.see(&card(&visit)).await;
        assert_eq!(self.stage.visit(&visit).await["status"], "booked");
        self.is_called_off(&visit).await;
        page.becomes(Device::Phone).await;
        page.focus("#called-off summary").await;
        page.press("Enter").await;
        let back = format!("[data-off={}] button", quoted(&text(&visit["id"])));
        page.see(&back).await;
        page.assert_fits().await;
        page.drawn("board-called-off-phone", false).await;
        page.focus(&back).await;
        page.press("Enter").await;
        page.becomes(Device::Desk).await;
        page.see(&card(&visit)).await;
        assert_eq!(self.stage.visit(&visit).await["status"], "booked");
        self.is_called_off(&visit).await;
        let off = self.stage.visit(&visit).await;
        assert_eq!(
            (&off["status"], &off["cancellation_code"]),
            (&json!("cancelled"), &json!("patient"))
        );
        assert_eq!(off["cancellation_reason"], "No bus");
    }

    async fn is_called_off(&self, visit: &Value) {
        let page = &self.page;
        page.click(&card(visit)).await;
        page.click("#visit-cancel").await;
        page.click("#cancel-code input[value=patient]").await;
        page.write("#cancel-reason", "No bus").await;
        page.click("#cancel-yes").await;
        page.wait_for(&format!("!document.querySelector({})", quoted(&card(visit)))).await;
    }

    /// What was asked for stands among the tasks with its end, until somebody has answered.
    async fn who_asks_for_a_visit_is_answered(&self) {
        let page = &self.page;
        let wish = json!({"service": self.stage.service, "practitioner": self.stage.second,
            "patient": self.stage.patient(2), "start": written(self.after(4)), "request": true});
        let asked = self.stage.registrar.once("/v1/appointments", &key(), &wish).await.expect(201);
        page.click("#office [href='#/tasks']").await;
        let row = format!("[data-request={}]", quoted(&text(&asked["id"])));
        let said = page.text(&row).await;
        assert!(said.contains(PATIENTS[2]) && said.contains("to be answered until"), "{said}");
        page.wait_for("Number(document.querySelector('#to-do').textContent) > 0").await;
        // It soon runs out: the same row is the task, and says who answers for it.
        page.see(&format!("{row}[data-task]")).await;
        let said = page.text(&row).await;
        assert!(
            said.contains("runs out soon") && said.contains("Nobody has taken it yet"),
            "{said}"
        );
        let twice = "document.querySelectorAll('#tasks [data-code=request]').length";
        assert_eq!(page.eval(twice).await, 0, "one thing is one row");
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("board-requests-phone", false).await;
        page.focus(&format!("{row} .take")).await;
        page.press("Enter").await;
        page.see(&format!("{row}[data-status=accepted]")).await;
        let said = page.text(&row).await;
        assert!(said.contains("Answers for it:"), "{said}");
        let accept = format!("#accept-{}", text(&asked["id"]));
        page.wait_for(&format!("document.activeElement.matches({})", quoted(&accept))).await;
        page.assert_fits().await;
        page.becomes(Device::Desk).await;
        page.click(&accept).await;
        page.wait_for(&format!("!document.querySelector({})", quoted(&row))).await;
        assert_eq!(self.stage.visit(&asked).await["status"], "booked");
        // Another is declined, after a question.
        let wish = json!({"service": self.stage.service, "practitioner": self.stage.second,
            "patient": self.stage.patient(2), "start": written(self.after(5)), "request": true});
        let other = self.stage.registrar.once("/v1/appointments", &key(), &wish).await.expect(201);
        page.click("#office [href='#/waitlist']").await;
        page.click("#office [href='#/tasks']").await;
        page.click(&format!("#decline-{}", text(&other["id"]))).await;
        page.click(&format!("#decline-{}-yes", text(&other["id"]))).await;
        let row = format!("[data-request={}]", quoted(&text(&other["id"])));
        page.wait_for(&format!("!document.querySelector({})", quoted(&row))).await;
        assert_eq!(self.stage.visit(&other).await["cancellation_code"], "declined");
        let cancel = format!("/v1/appointments/{}/cancel", text(&asked["id"]));
        self.stage.registrar.once(&cancel, &key(), &json!({})).await.expect(200);
        self.who_has_no_telephone_is_told().await;
        page.click("#office [href='#/']").await;
        page.see(&card(&self.moved)).await;
    }

    /// Whom no text reaches, the office tells, and says so.
    async fn who_has_no_telephone_is_told(&self) {
        let (page, registrar) = (&self.page, &self.stage.registrar);
        let known = format!("/v1/patients/{}", self.stage.patient(2));
        let known = registrar.get(&known).await.expect(200);
        let clinic = self.stage.visit(&self.moved).await["organization"]["id"].clone();
        let silent = json!({"name": "Silent Guest", "birth_date": "1950-02-03",
            "location": known["location"]["id"], "organization": clinic});
        let silent = registrar.once("/v1/patients", &key(), &silent).await.expect(201);
        let wish = json!({"service": self.stage.service, "practitioner": self.stage.second,
            "patient": silent["id"], "start": written(self.after(4))});
        let booked = registrar.once("/v1/appointments", &key(), &wish).await.expect(201);
        let cancel = format!("/v1/appointments/{}/cancel", text(&booked["id"]));
        registrar.once(&cancel, &key(), &json!({})).await.expect(200);
        let said = page.text("#tasks [data-code=untold]").await;
        for words in ["Silent Guest", "is called off", "no number for a text"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        page.assert_fits().await;
        page.drawn("board-untold", false).await;
        page.click("#tasks [data-code=untold] .take").await;
        page.click("#tasks [data-code=untold][data-status=accepted] .how").await;
        page.click("#tasks [data-code=untold] [data-outcome=reached]").await;
        page.wait_for("!document.querySelector('#tasks [data-code=untold]')").await;
    }

    async fn the_doctor_is_ill_and_well_again(&self) {
        let page = &self.page;
        page.click(&format!(".person[data-person={}]", quoted(&self.stage.doctor))).await;
        page.click("#person-ill").await;
        page.click("#ill-plan").await;
        let line = |visit: &Value| format!("#proposals {}", card(visit));
        page.see(&format!("{}[data-act=move]", line(&self.moved))).await;
        let said = page.text(&line(&self.moved)).await;
        assert!(said.contains(SECOND) && said.contains("at the same time"), "{said}");
        // One visit is decided otherwise.
        let act = format!("#act-{}", text(&self.other["id"]));
        page.choose(&act, "offer").await;
        page.see(&format!("{}[data-act=offer]", line(&self.other))).await;
        page.drawn("board-ill", false).await;
        assert_eq!(self.stage.visit(&self.moved).await["practitioner"]["id"], self.stage.doctor);
        page.click("#plan-apply").await;
        page.see("#plan-applied").await;
        self.stands_at(&self.moved, &self.stage.second, self.start).await;
        assert!(self.stage.visit(&self.other).await.get("offer_expires_at").is_some());
        let left = page.text("#undo-left").await;
        assert!(left.starts_with("9:") || left.starts_with("10:"), "{left}");
        page.reload().await;
        // Somebody has moved one of them on: it is named, and the others are taken back without it.
        let path = format!("/v1/appointments/{}/reschedule", text(&self.moved["id"]));
        let move_to = async |start: Duration, doctor: &str| {
            let body = json!({"start": (self.start + start).to_rfc3339(), "practitioner": doctor});
            self.stage.registrar.once(&path, &key(), &body).await.expect(200);
        };
        move_to(Duration::minutes(60), &self.stage.second).await;
        page.click("#plan-undo").await;
        page.see("#plan-stuck [data-conflict=changed_meanwhile]").await;
        page.click("#plan-undo-rest").await;
        page.wait_for("!document.querySelector('#plan-applied')").await;
        move_to(Duration::zero(), &self.stage.doctor).await;
        self.stands_at(&self.moved, &self.stage.doctor, self.start).await;
        assert!(self.stage.visit(&self.other).await.get("offer_expires_at").is_none());
    }

    /// The board looks by itself, and takes neither the focus nor the place away.
    async fn the_board_follows_what_others_do(&mut self) {
        let page = &self.page;
        page.focus(&card(&self.moved)).await;
        let place = "[document.querySelector('.grid-scroll').scrollTop, \
                     document.activeElement.dataset.appointment]";
        let before = page.eval(place).await;
        let path = format!("/v1/appointments/{}/cancel", text(&self.other["id"]));
        self.stage.registrar.once(&path, &key(), &json!({})).await.expect(200);
        page.wait_for(&format!("!document.querySelector({})", quoted(&card(&self.other)))).await;
        assert_eq!(page.eval(place).await, before);
    }

    /// Nobody comes, since the line is down; and then it was another visit that was meant.
    async fn a_visit_that_did_not_take_place_has_a_cause(&self) {
        let page = &self.page;
        page.click("#today").await;
        // The next whole minute, but not this very moment.
        let now = page.eval("Date.now()").await.as_i64().unwrap() / 1000 + 4;
        let soon = DateTime::from_timestamp(now + 60 - now.rem_euclid(60), 0).unwrap();
        let visit = self.stage.book(2, &self.stage.doctor, soon).await;
        page.click(&card(&visit)).await;
        page.see("#visit").await;
        let begun = format!("Date.now() > {}", soon.timestamp_millis() + 500);
        page.wait_at_most(70, &begun).await;
        // What can be done is what could be done when the dialog was opened.
        page.click(".sheet-close").await;
        page.click(&card(&visit)).await;
        page.click("#visit-noshow").await;
        page.click("#noshow-code input[value=link]").await;
        page.click("#noshow-yes").await;
        page.see(&format!("{}[data-status=noshow]", card(&visit))).await;
        let missed = self.stage.visit(&visit).await;
        assert_eq!(
            (&missed["status"], &missed["noshow_cause"]),
            (&json!("noshow"), &json!("link"))
        );
        page.click(&card(&visit)).await;
        page.click("#visit-undo").await;
        page.see(&format!("{}[data-status=booked]", card(&visit))).await;
        assert_eq!(self.stage.visit(&visit).await["status"], "booked");
    }

    /// It went on by telephone, and the patient is to come again: the office books that from the card.
    async fn a_visit_that_took_place_has_a_next_one(&self) {
        let page = &self.page;
        let path = format!("/v1/encounters/{}/convert", text(&self.moved["encounter"]["id"]));
        self.doctor.post(&path, &json!({"to": "phone"})).await.expect(200);
        page.choose("#day", &self.stage.day).await;
        page.see(&format!("{}[data-status=fulfilled]", card(&self.moved))).await;
        page.click(&card(&self.moved)).await;
        page.focus("#follow-up").await;
        page.press("Enter").await;
        page.click("#follow [data-days='7']").await;
        page.see("#follow-times [data-start]").await;
        page.becomes(Device::Phone).await;
        page.assert_fits().await;
        page.drawn("board-follow-up-phone", false).await;
        page.becomes(Device::Desk).await;
        page.click("#follow-times [data-start]").await;
        page.write("#follow-reason", "Bring the diary").await;
        page.drawn("board-follow-up", false).await;
        page.click("#follow-book").await;
        page.see("#follow-ups [data-follow]").await;
        let next = page.eval("document.querySelector('#follow-ups [data-follow]').dataset.follow");
        let next = self.stage.visit(&json!({"id": next.await})).await;
        assert_eq!(next["follows"], self.moved["id"]);
        for same in ["patient", "practitioner", "service"] {
            assert_eq!(next[same], self.moved[same]);
        }
        assert!(instant(&next["start"]) > self.stage.begins + Duration::days(5), "{next}");
        // The doctor and whoever runs the clinic take back that it took place; the office does not.
        let reopen = "document.querySelector('#visit-reopen')";
        assert_eq!(page.eval(reopen).await, json!(null));
        page.press("Escape").await;
        page.wait_for("!document.querySelector('dialog')").await;
        assert_eq!(page.eval("document.activeElement.dataset.appointment").await, self.moved["id"]);
    }
}
