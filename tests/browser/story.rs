//! The main job from end to end: a village patient books a visit, talks to the doctor, and reads
//! the signed note, while pages are reloaded and lines are cut.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::chromium::Chromium;
use crate::clinic::{Clinic, Person};
use crate::desk::LOOKS_AGAIN;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::support::{Client, Engine};
use crate::wire::Wire;

/// Two calls at once would starve each other of processor and say nothing about either.
pub static ONE_STORY: Mutex<()> = Mutex::const_new(());

const REASON: &str = "Кашель вторую неделю";
const SUBJECTIVE: &str = "Cough for two weeks, worse at night. No fever.";
const OBJECTIVE: &str = "Speaks in full sentences, breathing quiet. Seen by video.";
const ASSESSMENT: &str = "Acute bronchitis, mild.";
const PLAN: &str = "Tea, rest, salbutamol when needed. Come again in seven days.";

/// The page takes its connection for broken.
const BREAK: &str = "
    const pc = watched.connections.findLast((one) => one.connectionState === 'connected');
    Object.defineProperty(pc, 'connectionState', { value: 'failed', configurable: true });
    pc.dispatchEvent(new Event('connectionstatechange'));
    delete pc.connectionState;";

#[actix_web::test]
async fn a_village_patient_books_talks_and_reads_the_signed_note_on_sqlite() {
    whole_story(Engine::Sqlite).await;
}

#[actix_web::test]
async fn a_village_patient_books_talks_and_reads_the_signed_note_on_postgres() {
    whole_story(Engine::Postgres).await;
}

async fn whole_story(engine: Engine) {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(engine).await;
    let (wire, desk_wire) = (Wire::to(&clinic.url), Wire::to(&clinic.url));
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("patient", Device::Phone, "ru").await;
    let doctor = desk.page("doctor", Device::Desk, "en").await;
    let person = clinic.everybody("patient").remove(0);
    let mut told =
        Told { clinic, wire, desk_wire, patient, doctor, person, visit: Value::Null, engine };

    told.the_patient_signs_in().await;
    told.the_patient_books().await;
    told.the_doctor_finds_the_visit().await;
    told.the_patient_waits_and_is_let_in().await;
    told.a_reload_comes_back_to_the_same_seat().await;
    told.a_cut_line_does_not_touch_sound_and_picture().await;
    told.a_killed_server_does_not_touch_them_either().await;
    if engine == Engine::Postgres {
        told.of_two_processes_the_one_that_has_the_room_is_killed().await;
        told.what_breaks_after_that_is_mended().await;
    }
    told.the_doctor_leaves_and_returns().await;
    told.the_doctor_writes().await;
    told.a_reload_of_the_doctors_page_loses_no_word().await;
    told.the_doctor_finishes_and_signs().await;
    told.the_patient_reads().await;
    told.nobody_else_reads().await;

    told.patient.assert_content();
    told.doctor.assert_content();
    assert!(told.clinic.stop().await.success(), "the server stops as it was asked to");
}

struct Told {
    clinic: Clinic,
    wire: Wire,
    /// The doctor's.
    desk_wire: Wire,
    patient: Page,
    doctor: Page,
    person: Person,
    /// The booked appointment as the API answers it to the patient.
    visit: Value,
    engine: Engine,
}

impl Told {
    fn encounter(&self) -> &str {
        self.visit["encounter"]["id"].as_str().unwrap()
    }

    /// The day and the hour that were promised, as the village counts them.
    fn promised(&self) -> (String, String) {
        let (day, time) = self.visit["local_start"].as_str().unwrap().split_once('T').unwrap();
        (day.to_owned(), time.chars().take(5).collect())
    }

    /// The doctor who was named at the booking.
    fn their_doctor(&self) -> Person {
        let name = self.visit["practitioner"]["name"].as_str().unwrap();
        let doctors = self.clinic.everybody("doctor");
        doctors.into_iter().find(|who| who.name == name).expect("the doctor is in the table")
    }

    /// The doctors of all the patient's visits, by name.
    async fn who_treat(&self) -> BTreeSet<String> {
        let visits = self.patient.ask("/v1/appointments?limit=100").await;
        let visits = visits["items"].as_array().unwrap().iter();
        visits.map(|visit| visit["practitioner"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The visit as the doctor's own page may see it, past what the page has drawn.
    async fn status(&self) -> Value {
        self.doctor.ask(&format!("/v1/encounters/{}", self.encounter())).await["status"].clone()
    }

    async fn the_patient_signs_in(&self) {
        let page = &self.patient;
        page.goto(&self.wire.url()).await;
        speaks(page, "ru", "Номер телефона").await;
        page.click("#lang").await;
        speaks(page, "en", "Phone number").await;
        page.click("#lang").await;
        speaks(page, "ru", "Номер телефона").await;
        page.write("#phone", &self.person.phone).await;
        self.picture(page, "patient-sign-in").await;
        page.click("#send-code").await;
        page.see("#code").await;
        self.picture(page, "patient-code").await;
        page.write("#code", &self.clinic.code_for(&self.person.phone).await).await;
        page.click("#verify").await;
        page.see("#upcoming, #no-visits").await;
        self.picture(page, "patient-home").await;
    }

    async fn the_patient_books(&mut self) {
        let page = &self.patient;
        page.click("#book-visit").await;
        page.see("#services [data-id]").await;
        self.picture(page, "patient-services").await;
        page.click("#services [data-id]").await;
        page.see("#slots [data-start]").await;
        let named = page.text("#slots h3").await;
        self.picture(page, "patient-times").await;
        let first =
            page.eval("({ ...document.querySelector('#slots [data-start]').dataset })").await;
        page.click("#slots [data-start]").await;
        page.write("#reason", REASON).await;
        self.picture(page, "patient-confirm").await;
        page.click("#book").await;
        let code = page.text("#booking-code").await;
        let when = page.text("#booking-when").await;
        self.picture(page, "patient").await;

        let id = page.eval("document.querySelector('#confirmation').dataset.appointment").await;
        let visit = page.ask(&format!("/v1/appointments/{}", id.as_str().unwrap())).await;
        assert_eq!(visit["code"], code.trim(), "the code on the screen");
        assert_eq!(visit["start"], first["start"], "the time that was pressed");
        assert_eq!(visit["practitioner"]["name"], named.trim(), "the doctor who was named");
        self.visit = visit;
        let (_, clock) = self.promised();
        assert!(when.contains(&clock), "the village's time {clock} is not in {when:?}");
    }

    async fn the_doctor_finds_the_visit(&self) {
        let who = self.their_doctor();
        let page = &self.doctor;
        page.goto(&format!("{}/doctor", self.desk_wire.url())).await;
        page.see("#login").await;
        self.picture(page, "doctor-sign-in").await;
        page.write("#login", &who.login).await;
        page.write("#password", &who.password).await;
        page.click("#sign-in").await;
        page.see("#nobody-waiting").await;
        // The visit is today or on the next day with a free time.
        page.choose("#day", &self.promised().0).await;
        let entry = format!("#appointments [data-encounter={}]", quoted(self.encounter()));
        let line = page.text(&entry).await;
        assert!(line.contains(&self.person.name) && line.contains(REASON), "{line}");
        self.picture(page, "doctor-day").await;
    }

    async fn the_patient_waits_and_is_let_in(&self) {
        let encounter = quoted(self.encounter());
        let page = &self.patient;
        page.click("#to-visit").await;
        page.see("#enter-waiting-room").await;
        self.picture(page, "patient-visit").await;
        page.click("#enter-waiting-room").await;
        page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
        self.picture(page, "patient-check").await;
        page.click("#join").await;
        state(page, "waiting").await;
        self.picture(page, "patient-waiting").await;

        let desk = &self.doctor;
        let waiting = desk.text(&format!("#waiting-room [data-encounter={encounter}]")).await;
        assert!(waiting.contains(&self.person.name), "{waiting}");
        desk.click(&format!("#waiting-room [data-encounter={encounter}] .open-visit")).await;
        desk.see("#waiting-list .admit").await;
        self.picture(desk, "doctor-door").await;
        assert_eq!(
            desk.eval("watched.connections.length").await,
            0,
            "nothing flows before the door"
        );
        assert_eq!(
            page.eval("watched.connections.length").await,
            0,
            "nothing flows before the door"
        );
        desk.click("#waiting-list .admit").await;
        self.both_talk().await;
        assert_eq!(self.status().await, "in-progress");
        self.picture(page, "patient-call").await;
    }

    async fn both_talk(&self) {
        for page in [&self.patient, &self.doctor] {
            state(page, "in_call").await;
            media_flows(page).await;
        }
    }

    async fn a_reload_comes_back_to_the_same_seat(&self) {
        let before = self.seats().await;
        self.patient.reload().await;
        self.both_talk().await;
        self.the_seats_are_the_same(&before).await;
    }

    /// What each page remembers of its seat.
    async fn seats(&self) -> [Value; 2] {
        let seat = |side| format!("JSON.parse(sessionStorage.getItem('feldsher.seat.{side}'))");
        [self.patient.eval(&seat("patient")).await, self.doctor.eval(&seat("doctor")).await]
    }

    async fn the_seats_are_the_same(&self, before: &[Value; 2]) {
        let after = self.seats().await;
        for (after, before) in after.iter().zip(before) {
            assert_eq!((&after["me"], &after["sid"]), (&before["me"], &before["sid"]));
        }
        assert!(after[0]["epoch"].as_i64() > before[0]["epoch"].as_i64(), "{before:?} {after:?}");
        assert_eq!(self.status().await, "in-progress");
    }

    async fn a_cut_line_does_not_touch_sound_and_picture(&self) {
        for outage in [Duration::ZERO, Duration::from_secs(7)] {
            let (seats, media) = (self.seats().await, self.media().await);
            self.wire.cut();
            state(&self.patient, "reconnecting").await;
            if outage > Duration::ZERO {
                media_flows(&self.patient).await;
                media_flows(&self.doctor).await;
                rt::time::sleep(outage).await;
                self.patient.see("#call-state[data-state=reconnecting]").await;
            }
            self.wire.mend();
            self.both_talk().await;
            self.the_seats_are_the_same(&seats).await;
            self.nothing_was_lost(&media).await;
        }
    }

    async fn a_killed_server_does_not_touch_them_either(&mut self) {
        let (seats, media) = (self.seats().await, self.media().await);
        self.clinic.kill();
        for page in [&self.patient, &self.doctor] {
            state(page, "reconnecting").await;
            media_flows(page).await;
        }
        self.clinic.start_again().await;
        self.both_talk().await;
        self.the_seats_are_the_same(&seats).await;
        self.nothing_was_lost(&media).await;
    }

    /// A browser at each process; the doctor's has the room.
    async fn of_two_processes_the_one_that_has_the_room_is_killed(&mut self) {
        let (seats, media) = (self.seats().await, self.media().await);
        let other = self.clinic.start_another().await;
        self.wire.lead_to(&other);
        self.wire.cut();
        state(&self.patient, "reconnecting").await;
        self.wire.mend();
        self.both_talk().await;
        self.the_seats_are_the_same(&seats).await;
        let seats = self.seats().await;
        self.clinic.kill_the_first();
        state(&self.doctor, "reconnecting").await;
        for page in [&self.patient, &self.doctor] {
            media_flows(page).await;
        }
        self.desk_wire.lead_to(&other);
        let sides = [("patient", &self.patient), ("doctor", &self.doctor)];
        for ((side, page), seat) in sides.into_iter().zip(&seats) {
            let epoch = format!("JSON.parse(sessionStorage.getItem('feldsher.seat.{side}')).epoch");
            page.wait_for(&format!("{epoch} > {}", seat["epoch"])).await;
        }
        self.both_talk().await;
        self.the_seats_are_the_same(&seats).await;
        self.nothing_was_lost(&media).await;
    }

    /// A process that has taken a room over counts negotiations from another number: whoever asks it
    /// for one must have learned that.
    async fn what_breaks_after_that_is_mended(&self) {
        let name = "/a=ice-ufrag:(\\S+)/.exec(watched.connections.at(-1).remoteDescription.sdp)[1]";
        let before = self.patient.eval(name).await;
        self.patient.run(BREAK).await;
        self.patient.wait_for(&format!("{name} !== {before}")).await;
        self.both_talk().await;
    }

    async fn media(&self) -> [Value; 2] {
        let media = "watched.media()";
        [self.patient.eval(media).await, self.doctor.eval(media).await]
    }

    /// The same connections as before, which have missed nothing meanwhile.
    async fn nothing_was_lost(&self, before: &[Value; 2]) {
        for (after, before) in self.media().await.iter().zip(before) {
            assert_eq!((&after["made"], &after["lost"]), (&before["made"], &before["lost"]));
            for kind in ["audio", "video", "frames"] {
                assert!(after[kind].as_i64() > before[kind].as_i64(), "{kind}: {before} {after}");
            }
        }
    }

    async fn the_doctor_leaves_and_returns(&self) {
        self.doctor.click("#leave").await;
        self.doctor.see("#call-left[data-why=left]").await;
        state(&self.patient, "alone").await;
        let status = self.status().await;
        assert!(status == "in-progress" || status == "onleave", "not finished: {status}");
        self.doctor.click("#rejoin").await;
        self.both_talk().await;
        assert_eq!(self.status().await, "in-progress");
    }

    async fn the_doctor_writes(&self) {
        let page = &self.doctor;
        let sections = [("subjective", SUBJECTIVE), ("objective", OBJECTIVE), ("plan", PLAN)];
        for (section, text) in sections {
            page.write(&format!("#note-{section}"), text).await;
        }
        page.wait_for("document.querySelector('#note-state').dataset.state === 'saved'").await;
        let path = format!("/v1/encounters/{}/notes", self.encounter());
        let notes = page.ask(&path).await;
        assert_eq!(notes["items"][0]["status"], "draft");
        assert_eq!(notes["items"][0]["plan"], PLAN);
        let seen = self.patient.ask(&path).await;
        assert_eq!(seen["items"], json!([]), "a draft is the doctor's own");
        self.picture(page, "doctor").await;
    }

    /// Neither what the server has already nor what was typed a moment ago.
    async fn a_reload_of_the_doctors_page_loses_no_word(&self) {
        let page = &self.doctor;
        let seats = self.seats().await;
        page.write("#note-assessment", ASSESSMENT).await;
        page.reload().await;
        for (section, text) in [("plan", PLAN), ("assessment", ASSESSMENT)] {
            page.see(&format!("#note-{section}")).await;
            let field = format!("document.querySelector('#note-{section}').value");
            page.wait_for(&format!("{field} === {}", quoted(text))).await;
        }
        page.wait_for("document.querySelector('#note-state').dataset.state === 'saved'").await;
        let notes = page.ask(&format!("/v1/encounters/{}/notes", self.encounter())).await;
        assert_eq!(notes["items"].as_array().unwrap().len(), 1);
        assert_eq!(notes["items"][0]["assessment"], ASSESSMENT);
        // First the page that was away: until its new connection stands, the other has the old one.
        state(page, "in_call").await;
        media_flows(page).await;
        self.both_talk().await;
        let after = self.seats().await;
        assert_eq!((&after[1]["me"], &after[1]["sid"]), (&seats[1]["me"], &seats[1]["sid"]));
    }

    async fn the_doctor_finishes_and_signs(&self) {
        let page = &self.doctor;
        page.click("#finish").await;
        page.click("#finish-confirm").await;
        page.see("#visit-finished").await;
        assert_eq!(self.status().await, "finished");
        self.patient.see("#visit-over").await;
        self.picture(&self.patient, "patient-over").await;
        page.click("#sign-note").await;
        self.picture(page, "doctor-sign").await;
        page.click("#sign-note-yes").await;
        page.see("#note[data-status=signed] #note-signature").await;
        let editors = "document.querySelectorAll('textarea[id^=note-]').length";
        assert_eq!(page.eval(editors).await, 0, "a signed note is not edited");
        assert_eq!(page.text("#note [data-section=subjective] h2").await, "Subjective");
        self.picture(page, "doctor-signed").await;
    }

    async fn the_patient_reads(&self) {
        let page = &self.patient;
        page.eval(LOOKS_AGAIN).await;
        page.click("#read-note").await;
        let note = page.text("#note").await;
        for text in [SUBJECTIVE, OBJECTIVE, ASSESSMENT, PLAN] {
            assert!(note.contains(text), "{text} is not in {note}");
        }
        let signature = page.text("#note-signature").await;
        let signer = self.visit["practitioner"]["name"].as_str().unwrap();
        assert!(signature.contains(signer), "{signature}");
        self.picture(page, "patient-note").await;
    }

    /// The signed note stays as it is, and behind the door it answers like one that is not there.
    async fn nobody_else_reads(&self) {
        let clinic = &self.clinic;
        let notes = self.doctor.ask(&format!("/v1/encounters/{}/notes", self.encounter())).await;
        let note = &notes["items"][0];
        let path = format!("/v1/notes/{}", note["id"].as_str().unwrap());
        let author = clinic.staff(&self.their_doctor()).await;
        let clinics = clinics_of(&author).await;
        let another_patient = clinic.patient(&clinic.everybody("patient")[1]).await;
        let registrar = clinic.staff(&clinic.everybody("registrar")[0]).await;
        let mut strangers = vec![another_patient, registrar];
        // Whoever had a visit with the patient treats them, wherever they work.
        let treat = self.who_treat().await;
        for doctor in clinic.everybody("doctor") {
            if treat.contains(&doctor.name) {
                continue;
            }
            let doctor = clinic.staff(&doctor).await;
            if clinics_of(&doctor).await.is_disjoint(&clinics) {
                strangers.push(doctor);
            }
        }
        assert!(strangers.len() > 2, "the region has a doctor of another clinic");
        for stranger in &strangers {
            assert_eq!(stranger.get(&path).await.refused(404), "not_found");
        }
        assert_eq!(clinic.client().get(&path).await.status, 401);

        let version = note["version"].as_i64().unwrap();
        let edit = author.edit(Method::PATCH, &path, version, &json!({"plan": "Other."})).await;
        assert_eq!(edit.refused(409), "note_signed");
        assert_eq!(author.get(&path).await.expect(200)["plan"], PLAN);
    }

    /// Draws a page when asked to, from one of the two runs: a few for the documents, the others
    /// beside what was built.
    async fn picture(&self, page: &Page, name: &str) {
        if self.engine == Engine::Sqlite {
            page.drawn(name, ["patient", "patient-call", "doctor"].contains(&name)).await;
        }
    }
}

/// Waits until the page stands there in a language.
async fn speaks(page: &Page, language: &str, label: &str) {
    let spoken = format!(
        "document.documentElement.lang === {} \
         && document.querySelector('label[for=phone]')?.innerText === {}",
        quoted(language),
        quoted(label)
    );
    page.wait_for(&spoken).await;
}

/// The clinics in which somebody of the staff works.
async fn clinics_of(who: &Client) -> BTreeSet<String> {
    let me = who.get("/v1/me").await.expect(200);
    let memberships = me["memberships"].as_array().unwrap();
    memberships.iter().map(|one| one["organization"]["id"].to_string()).collect()
}

/// Waits until the line above the pictures says so.
async fn state(page: &Page, state: &str) {
    page.see(&format!("#call-state[data-state={state}]")).await;
}
