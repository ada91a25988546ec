//! Nobody is missed, in the pages: the doctor rings, the patient's small phone rings and answers;
//! they and the office write to one another; who does not answer is called back by the office.

use serde_json::json;

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page, quoted};
use crate::stage::{DOCTOR, PATIENTS, Stage, patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;

#[actix_web::test]
async fn who_is_rung_answers_writes_and_is_called_back_when_they_do_not() {
    let _alone = ONE_STORY.lock().await;
    // Long enough for the slow look of a page without a socket, short enough to be waited for.
    let settings = vec![
        ("FELDSHER__VISIT__RING_SECS", "25".to_owned()),
        ("FELDSHER__VISIT__RING_MINUTES", "1".to_owned()),
    ];
    let clinic = Clinic::open_with(Engine::Sqlite, settings).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let page = phone.page("rung", Device::Phone, "ru").await;
    let who = clinic.everybody("patient").into_iter().find(|who| who.name == PATIENTS[0]);
    patient_signs_in(&page, &clinic, &who.expect("the patient")).await;
    let stage = Stage::set(&clinic, &page).await;
    let booked = stage.book(0, &stage.doctor, stage.free_row(1).await).await;
    let visit = text(&booked["encounter"]["id"]);
    page.goto_hash(&format!("#/visit/{visit}")).await;
    page.see("#enter-waiting-room").await;

    let doctor = desk.page("rings", Device::Desk, "en").await;
    let her = clinic.everybody("doctor").into_iter().find(|who| who.name == DOCTOR).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), &her).await;
    doctor.see("#screen h1").await;
    doctor.goto_hash(&format!("#/visit/{visit}")).await;
    the_ring_is_answered(&doctor, &page).await;

    let office = desk.page("office-tasks", Device::Desk, "en").await;
    let clerk = clinic.everybody("registrar").remove(0);
    staff_signs_in(&office, &format!("{}/board", clinic.url), &clerk).await;
    they_write(&doctor, &page, &office).await;
    nobody_answers(&doctor, &page, &office).await;
    what_was_asked_is_answered_when_the_visit_is_over(&doctor, &page, &office, &visit).await;

    office.becomes(Device::Phone).await;
    office.assert_fits().await;
    for shown in [&page, &doctor, &office] {
        shown.assert_content();
    }
    assert!(clinic.stop().await.success());
}

fn state(of: &str, wanted: &str) -> String {
    format!("document.querySelector({})?.dataset.state === {}", quoted(of), quoted(wanted))
}

async fn the_ring_is_answered(doctor: &Page, page: &Page) {
    doctor.click("#ring").await;
    doctor.wait_for(&state("#care-ring", "ringing")).await;
    doctor.assert_fits().await;
    doctor.drawn("care-ringing", false).await;
    page.see("#ring-card[data-state='ringing'] #answer-ring").await;
    page.assert_fits().await;
    page.drawn("ring-lobby", false).await;
    page.click("#answer-ring").await;
    page.wait_for(&state("#call-state", "waiting")).await;
    page.wait_for("document.querySelector('#ring-card').hidden").await;
    doctor.wait_for(&state("#care-ring", "answered")).await;
    doctor.see("#waiting-list .admit").await;
    assert_eq!(doctor.eval("watched.seen('#ring')").await, json!(false), "there is nobody to ring");
}

async fn they_write(doctor: &Page, page: &Page, office: &Page) {
    page.click("#chat > summary").await;
    page.write("#chat-text", "Мне не видно кнопку").await;
    page.click("#chat-send").await;
    page.see("#chat-lines [data-from='patient']").await;
    page.assert_fits().await;
    page.drawn("chat-patient", false).await;
    // The socket says so: the doctor's page asks for it at once.
    doctor.see("#chat-new").await;
    doctor.click("#chat > summary").await;
    let said = doctor.text("#chat-lines [data-from='patient'] .prewrap").await;
    assert_eq!(said, "Мне не видно кнопку");
    doctor.write("#chat-text", "Она внизу").await;
    doctor.click("#chat-send").await;
    page.see("#chat-lines [data-from='practitioner']").await;

    page.choose("#chat-to", "office").await;
    page.write("#chat-text", "Я опоздаю").await;
    page.click("#chat-send").await;
    office.see("#to-do").await;
    office.goto_hash("#/tasks").await;
    office.click(".open-chat").await;
    office.see("#chat-lines [data-from='patient']").await;
    let lines = office.eval("document.querySelectorAll('#chat-lines > li').length").await;
    assert_eq!(lines, json!(1), "what is for the doctor is not the office's");
    office.write("#chat-text", "Ждём вас").await;
    office.click("#chat-send").await;
    page.see("#chat-lines [data-from='office']").await;
    office.assert_fits().await;
    office.drawn("office-chat", false).await;
}

/// What was written can be read, and the office answers what it was asked some time before.
async fn what_was_asked_is_answered_when_the_visit_is_over(
    doctor: &Page,
    page: &Page,
    office: &Page,
    visit: &str,
) {
    let end = format!("/v1/encounters/{visit}/finish");
    doctor.post(&end, &json!({})).await;
    page.see("#visit-over").await;
    page.see("#chat-over").await;
    page.wait_for("document.querySelectorAll('#chat-lines > li').length === 4").await;
    assert_eq!(page.eval("watched.seen('#chat-text')").await, json!(false), "one only reads");
    page.assert_fits().await;
    let answer = json!({"text": "Позвоним завтра", "to": "office"});
    let messages = format!("/v1/encounters/{visit}/messages");
    office.post(&messages, &answer).await;
    // Whoever looks again does not wait for the next slow look.
    page.eval("document.dispatchEvent(new Event('visibilitychange'))").await;
    page.wait_for("document.querySelectorAll('#chat-lines > li').length === 5").await;
    let said = page.text("#chat-lines > li:last-child .prewrap").await;
    assert_eq!(said, "Позвоним завтра");
}

/// Whoever rang answers for the call-back: it stands on their day, and a call in vain comes again.
async fn the_doctor_has_a_list_of_their_own(doctor: &Page) {
    let visit = doctor.eval("location.hash").await;
    doctor.goto_hash("#/").await;
    doctor.see("#my-tasks .task[data-code='callback'] .take").await;
    doctor.becomes(Device::Phone).await;
    doctor.assert_fits().await;
    doctor.drawn("doctor-tasks", false).await;
    doctor.becomes(Device::Desk).await;
    doctor.click("#my-tasks .take").await;
    doctor.click("#my-tasks .task[data-status='accepted'] .how").await;
    doctor.click("#my-tasks [data-outcome='not_reached']").await;
    doctor.see("#my-tasks .task[data-status='in-progress'] .how").await;
    doctor.see("#tasks-note").await;
    doctor.goto_hash(&text(&visit)).await;
    doctor.see("#care-tasks [data-task='callback']").await;
}

async fn nobody_answers(doctor: &Page, page: &Page, office: &Page) {
    page.click("#leave").await;
    page.see("#visit-left").await;
    doctor.click("#ring").await;
    page.see("#answer-ring").await;
    page.wait_at_most(60, &state("#ring-card", "missed")).await;
    assert!(page.text("#ring-words").await.contains("перезвонит"));
    page.wait_at_most(120, &state("#ring-card", "callback")).await;
    page.assert_fits().await;
    page.drawn("ring-callback", false).await;
    doctor.see("#care-tasks [data-task='callback']").await;
    the_doctor_has_a_list_of_their_own(doctor).await;
    office.see(".task[data-code='callback'] .take").await;
    office.assert_fits().await;
    office.drawn("office-tasks", false).await;
    // With the keyboard alone.
    office.focus(".task .take").await;
    office.press("Enter").await;
    office.see(".task[data-status='in-progress'] .how").await;
    // Another button by now: the row keeps the focus.
    office.wait_for("document.activeElement?.classList.contains('how')").await;
    office.press("Enter").await;
    office.wait_for("document.activeElement?.dataset.outcome === 'reached'").await;
    office.press("Enter").await;
    office.see("#tasks-note").await;
    office.see("#tasks-none").await;
    page.wait_for("document.querySelector('#ring-card').hidden").await;
    doctor.wait_for(&state("#care-ring", "called_back")).await;
}
