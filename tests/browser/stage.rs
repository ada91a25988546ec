//! What the pages of scheduling are tried on: tomorrow at the region's first clinic, which has two
//! doctors for the same service who work on every day of the week. What is free there is asked
//! for, so that the tests hold at every hour.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::clinic::{Clinic, Person};
use crate::page::{Page, quoted};
use crate::support::{Client, key};

/// The doctor on duty, and who stands in for her.
pub const DOCTOR: &str = "Anna Lebedeva";
pub const SECOND: &str = "Irina Sedova";
/// Patients of the clinic who have no visits to come.
pub const PATIENTS: [&str; 3] = ["Darya Lapina", "Maria Tolkacheva", "Oksana Belova"];
/// Each visit takes so many minutes.
pub const MINUTES: i64 = 20;

pub struct Stage {
    pub registrar: Client,
    pub service: String,
    pub doctor: String,
    pub second: String,
    /// Tomorrow, as the clinic's clocks count it.
    pub day: String,
    pub begins: DateTime<Utc>,
    patients: Vec<String>,
}

impl Stage {
    /// `page` must show a page of the product: it is asked which day it is.
    pub async fn set(clinic: &Clinic, page: &Page) -> Self {
        let registrar = clinic.staff(&clinic.everybody("registrar")[0]).await;
        let me = registrar.get("/v1/me").await.expect(200);
        let organization = text(&me["memberships"][0]["organization"]["id"]);
        let doctors =
            registrar.get(&format!("/v1/practitioners?organization={organization}")).await;
        let doctors = doctors.expect(200);
        let doctor = named(&doctors, DOCTOR);
        let service = text(&doctor["services"][0]["id"]);
        let zone = text(&doctor["time_zone"]);
        let everybody = registrar.get("/v1/patients?limit=100").await.expect(200);
        let when = format!(
            "const source = document.querySelector('script[type=module]').src; \
             const time = await import(source.replace(/[^/]+$/, 'time.js')); \
             const zone = {}; \
             const key = time.shiftDay(time.dayKey(time.now(), zone), 1); \
             return [key, time.rfc3339(time.startOfDay(key, zone))];",
            quoted(&zone)
        );
        let day = page.run(&when).await;
        Self {
            service,
            doctor: text(&doctor["id"]),
            second: text(&named(&doctors, SECOND)["id"]),
            patients: PATIENTS.map(|name| text(&named(&everybody, name)["id"])).to_vec(),
            day: text(&day[0]),
            begins: instant(&day[1]),
            registrar,
        }
    }

    /// The first of `count` starts in a row that both doctors have free, from ten in the morning.
    pub async fn free_row(&self, count: usize) -> DateTime<Utc> {
        let one = self.free(&self.doctor).await;
        let other = self.free(&self.second).await;
        let step = |at: usize| Duration::minutes(MINUTES * i64::try_from(at).unwrap());
        let fits = |start: &&DateTime<Utc>| {
            (0..count).all(|at| {
                let start = **start + step(at);
                one.contains(&start) && other.contains(&start)
            })
        };
        *one.iter().find(fits).expect("a quiet hour tomorrow")
    }

    async fn free(&self, doctor: &str) -> Vec<DateTime<Utc>> {
        let (from, to) = (self.begins + Duration::hours(10), self.begins + Duration::hours(20));
        let path = format!(
            "/v1/slots?service={}&practitioner={doctor}&from={}&to={}&limit=100",
            self.service,
            written(from),
            written(to)
        );
        let slots = self.registrar.get(&path).await.expect(200);
        slots["items"].as_array().unwrap().iter().map(|slot| instant(&slot["start"])).collect()
    }

    /// Books for one of the three.
    pub async fn book(&self, patient: usize, doctor: &str, start: DateTime<Utc>) -> Value {
        let wish = json!({
            "service": self.service, "practitioner": doctor, "start": written(start),
            "patient": self.patients[patient],
        });
        self.registrar.once("/v1/appointments", &key(), &wish).await.expect(201)
    }

    /// The id of one of the three.
    pub fn patient(&self, number: usize) -> &str {
        &self.patients[number]
    }

    /// The visit as the API knows it now.
    pub async fn visit(&self, booked: &Value) -> Value {
        let path = format!("/v1/appointments/{}", text(&booked["id"]));
        self.registrar.get(&path).await.expect(200)
    }
}

/// Signs somebody of the staff in at a page.
pub async fn staff_signs_in(page: &Page, url: &str, who: &Person) {
    page.goto(url).await;
    page.write("#login", &who.login).await;
    page.write("#password", &who.password).await;
    page.click("#sign-in").await;
}

/// Signs a patient in.
pub async fn patient_signs_in(page: &Page, clinic: &Clinic, who: &Person) {
    page.goto(&clinic.url).await;
    page.write("#phone", &who.phone).await;
    page.click("#send-code").await;
    page.see("#code").await;
    page.write("#code", &clinic.code_for(&who.phone).await).await;
    page.click("#verify").await;
    page.see("#upcoming, #no-visits").await;
}

/// A visit's card on a page, as a selector.
pub fn card(visit: &Value) -> String {
    format!("[data-appointment={}]", quoted(visit["id"].as_str().unwrap()))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

pub fn instant(value: &Value) -> DateTime<Utc> {
    text(value).parse().expect("an instant")
}

pub fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let all = list["items"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}
