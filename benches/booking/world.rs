//! A region of a hundred doctors, served by the product on one engine.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use actix_web::{rt, web};
use anyhow::{Context, anyhow};
use chrono::{DateTime, Days, TimeDelta};
use feldsher::account::session::{self, Method};
use feldsher::account::sign_in;
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::{Config, Secret, SmsAdapter};
use feldsher::base::ctx::as_system;
use feldsher::base::error::Error;
use feldsher::base::seal::sha256;
use feldsher::base::tx::Tx;
use feldsher::organization::{self, OrganizationId, service};
use feldsher::practitioner;
use feldsher::schedule::rules;
use feldsher::{location, patient, server};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::engine::Database;
use crate::load::Request;

/// Doctors of the region.
pub const DOCTORS: u64 = 100;
/// Each doctor has patients of their own, so that a patient is never asked to be in two places.
pub const PATIENTS_PER_DOCTOR: u64 = 20;
/// Twenty minutes each, around the clock.
pub const SLOTS_PER_DAY: u64 = 72;
/// How far ahead bookings go.
const DAYS: u64 = 170;
/// Times of one doctor.
pub const TIMES: u64 = SLOTS_PER_DAY * DAYS;
const CLINICS: u64 = 5;
const SERVICES_PER_CLINIC: u64 = 4;
const VISIT_MINUTES: i64 = 20;

/// When all doctors work: the days, from when on, until when.
pub type Rota = (&'static [&'static str], &'static str, &'static str);
/// Every hour of the week.
pub const AROUND_THE_CLOCK: Rota =
    (&["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "00:00", "24:00");
/// Twenty-four visits of twenty minutes a day.
pub const OFFICE_HOURS: Rota = (&["mon", "tue", "wed", "thu", "fri"], "09:00", "17:00");

/// A doctor who is signed in.
pub struct Doctor {
    /// The practitioner's id.
    pub id: String,
    /// What they offer.
    pub service: String,
    /// An access token.
    pub token: String,
}

/// The people and the time from which on they can be booked.
pub struct People {
    /// The doctors.
    pub doctors: Vec<Doctor>,
    /// An access token of each patient.
    pub patients: Vec<String>,
    /// The first bookable time.
    pub first: DateTime<chrono::Utc>,
}

/// One wish: whose time is asked for, and by whom. `n` counts bookings; every `n` is another
/// time, in an order that jumps through doctors and months.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Which doctor.
    pub doctor: u64,
    /// Which of the doctor's times.
    pub time: u64,
    /// Which patient.
    pub patient: u64,
}

impl Wish {
    /// The `n`th.
    pub fn number(n: u64) -> Self {
        // A prime that divides neither number: a permutation of all times of all doctors.
        let at = n.wrapping_mul(700_001) % (DOCTORS * TIMES);
        let (doctor, time) = (at % DOCTORS, at / DOCTORS);
        Self { doctor, time, patient: doctor * PATIENTS_PER_DOCTOR + time % PATIENTS_PER_DOCTOR }
    }
}

impl People {
    /// When a doctor's `time`th time begins.
    pub fn start(&self, time: u64) -> DateTime<chrono::Utc> {
        let times = i64::try_from(time).unwrap_or_default();
        self.first + TimeDelta::minutes(VISIT_MINUTES * times)
    }
}

/// The product, serving on one engine.
pub struct World {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who is there.
    pub people: Arc<People>,
    /// Its database.
    pub database: Database,
    /// Counts bookings, so that none is asked for twice.
    pub next: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<anyhow::Result<()>>,
}

impl World {
    /// Makes the region and serves it. Nobody sends the confirmations: a gateway's speed is its
    /// own.
    pub fn build(database: Database, workers: Option<usize>, rota: Rota) -> anyhow::Result<Self> {
        let (ready, wait) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (url, directory) = (database.url(), database.directory().to_owned());
        let served = std::thread::spawn(move || {
            rt::System::new().block_on(async move {
                let app = open(url, &directory, workers).await?;
                let people = populate(&app, rota).await?;
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let address = listener.local_addr()?;
                let server = server::start(web::Data::from(Arc::clone(&app)), listener)?;
                let handle = server.handle();
                let serving = rt::spawn(server);
                ready.send((address, people))?;
                drop(stopped.await);
                handle.stop(true).await;
                serving.await??;
                Ok(())
            })
        });
        match wait.recv() {
            Ok((address, people)) => Ok(Self {
                address,
                people: Arc::new(people),
                database,
                next: Arc::new(AtomicU64::new(0)),
                stop,
                served,
            }),
            Err(_) => Err(joined(served).err().unwrap_or_else(|| anyhow!("nothing was served"))),
        }
    }

    /// Stops serving and removes the database.
    pub fn close(self) -> anyhow::Result<()> {
        drop(self.stop);
        joined(self.served)
    }

    /// Stops serving; the database stays as long as what is returned.
    pub fn stop(self) -> anyhow::Result<Database> {
        drop(self.stop);
        joined(self.served)?;
        Ok(self.database)
    }

    /// A request that books a time of its own.
    pub fn booking(&self) -> Request {
        let (people, next) = (Arc::clone(&self.people), Arc::clone(&self.next));
        Arc::new(move || {
            let wish = Wish::number(next.fetch_add(1, Ordering::Relaxed));
            booking(&people, wish, wish.patient)
        })
    }

    /// A request that wants a time which is taken.
    pub fn late_booking(&self) -> Request {
        let people = Arc::clone(&self.people);
        let (taken, asked) = (self.next.load(Ordering::Relaxed).max(1), AtomicU64::new(0));
        Arc::new(move || {
            let wish = Wish::number(asked.fetch_add(1, Ordering::Relaxed) % taken);
            // The next doctor's patient.
            let patients = DOCTORS * PATIENTS_PER_DOCTOR;
            booking(&people, wish, (wish.patient + PATIENTS_PER_DOCTOR) % patients)
        })
    }

    /// A request for a doctor's free times of a week.
    pub fn free_times(&self) -> Request {
        let (people, asked) = (Arc::clone(&self.people), AtomicU64::new(0));
        Arc::new(move || {
            let wish = Wish::number(asked.fetch_add(1, Ordering::Relaxed));
            let from = people.start(wish.time - wish.time % SLOTS_PER_DAY);
            let to = from + Days::new(7);
            let doctor = people.doctors.get(index(wish.doctor));
            let (service, id) =
                doctor.map(|doctor| (&*doctor.service, &*doctor.id)).unwrap_or_default();
            let path = format!(
                "/v1/slots?service={service}&practitioner={id}&from={}&to={}&limit=100",
                wire(from),
                wire(to)
            );
            get(&path, people.patients.get(index(wish.patient)))
        })
    }

    /// A request for a doctor's day.
    pub fn day(&self) -> Request {
        let people = Arc::clone(&self.people);
        visits(&self.people, move |wish| {
            let from = people.start(wish.time - wish.time % SLOTS_PER_DAY);
            (from, from + Days::new(1))
        })
    }

    /// A request for a doctor's visits in the time before `end`, the same for every asker.
    pub fn time_before(&self, end: DateTime<chrono::Utc>, length: TimeDelta) -> Request {
        visits(&self.people, move |_| (end - length, end))
    }

    /// A request of every patient and doctor in turn: the first use of a token is written down.
    pub fn first_uses(&self) -> Vec<Vec<u8>> {
        let doctors = self.people.doctors.iter().map(|doctor| &doctor.token);
        self.people.patients.iter().chain(doctors).map(|token| get("/v1/me", Some(token))).collect()
    }
}

/// A request for the visits of one doctor after the other, in the time that belongs to a wish.
fn visits(
    people: &Arc<People>,
    time: impl Fn(&Wish) -> (DateTime<chrono::Utc>, DateTime<chrono::Utc>) + Send + Sync + 'static,
) -> Request {
    let (people, asked) = (Arc::clone(people), AtomicU64::new(0));
    Arc::new(move || {
        let wish = Wish::number(asked.fetch_add(1, Ordering::Relaxed));
        let (from, to) = time(&wish);
        let path = format!("/v1/appointments?from={}&to={}&limit=100", wire(from), wire(to));
        get(&path, people.doctors.get(index(wish.doctor)).map(|doctor| &doctor.token))
    })
}

/// Somebody looks at all free times once, as somebody always has before anybody books: working time
/// is in memory from then on.
pub fn first_search(people: &People) -> Vec<u8> {
    get("/v1/slots?specialty=general-practice&limit=100", people.patients.first())
}

fn joined(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    thread.join().map_err(|_panic| anyhow!("the server panicked"))?
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or_default()
}

/// An instant as the API reads it.
pub fn wire(at: DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A request that books a wish.
pub fn booking(people: &People, wish: Wish, patient: u64) -> Vec<u8> {
    let Some(doctor) = people.doctors.get(index(wish.doctor)) else { return Vec::new() };
    let body = json!({
        "service": doctor.service, "practitioner": doctor.id, "start": wire(people.start(wish.time)),
        "reason": "headache for three days",
    })
    .to_string();
    let token = people.patients.get(index(patient)).map(String::as_str).unwrap_or_default();
    format!(
        "POST /v1/appointments HTTP/1.1\r\nHost: feldsher\r\nAuthorization: Bearer {token}\r\n\
         Idempotency-Key: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        uuid::Uuid::new_v4(),
        body.len()
    )
    .into_bytes()
}

/// A request for a path.
pub fn get(path: &str, token: Option<&String>) -> Vec<u8> {
    let token = token.map(String::as_str).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: feldsher\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// The product as it ships, but for tokens that outlast the bench.
async fn open(url: String, directory: &Path, workers: Option<usize>) -> anyhow::Result<Arc<App>> {
    let mut config = Config::defaults()?;
    config.database.url = Secret(url);
    config.database.workers = workers.unwrap_or(config.database.workers);
    config.sign_in.access_token_minutes = 24 * 60;
    config.sms.adapter = SmsAdapter::File;
    config.sms.path = PathBuf::from("/dev/null");
    let (app, threads) = App::open(config, Some(directory), Arc::new(SystemClock)).await?;
    // The threads end when the last handle of the application is gone.
    drop(threads);
    Ok(app)
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| {
        tracing::error!(%error, "the region's own data do not fit");
        Error::Internal("the region's own data do not fit")
    })
}

async fn populate(app: &Arc<App>, rota: Rota) -> anyhow::Result<People> {
    let today = app.clock.now().utc().date_naive();
    let first = today
        .checked_add_days(Days::new(2))
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .context("no such day")?
        .and_utc();
    let mut doctors = Vec::new();
    let mut patients = Vec::new();
    for clinic_number in 0..CLINICS {
        let (clinic, village, services) =
            as_system(app, move |tx| clinic(tx, clinic_number)).await?;
        for at in 0..DOCTORS / CLINICS {
            let service =
                services.get(index(at % SERVICES_PER_CLINIC)).cloned().unwrap_or_default();
            let number = clinic_number * (DOCTORS / CLINICS) + at;
            doctors
                .push(as_system(app, move |tx| doctor(tx, clinic, service, number, rota)).await?);
            let home = village.clone();
            let family = as_system(app, move |tx| {
                let numbers = number * PATIENTS_PER_DOCTOR..(number + 1) * PATIENTS_PER_DOCTOR;
                numbers
                    .map(|number| somebody(tx, clinic, &home, number))
                    .collect::<Result<Vec<_>, _>>()
            });
            patients.extend(family.await?);
        }
    }
    Ok(People { doctors, patients, first })
}

fn clinic(tx: &mut Tx, number: u64) -> Result<(OrganizationId, String, Vec<String>), Error> {
    let zone = "Asia/Krasnoyarsk";
    let name = format!("Clinic {number}");
    let clinic = organization::create(tx, read(json!({"name": name, "time_zone": zone}))?)?.id;
    let village = json!({
        "name": format!("Village {number}"), "kind": "village", "organization": clinic,
        "time_zone": zone, "latitude": 58.1, "longitude": 93.4, "link_class": "2g",
    });
    let village = location::create(tx, read(village)?)?.id.to_string();
    let mut services = Vec::new();
    for at in 0..SERVICES_PER_CLINIC {
        let new = json!({
            "name": {"en": format!("Visit {at}"), "ru": format!("Приём {at}")},
            "organization": clinic, "specialty": "general-practice",
            "duration_minutes": VISIT_MINUTES, "modes": ["video", "audio"],
        });
        services.push(service::create(tx, read(new)?)?.id.to_string());
    }
    Ok((clinic, village, services))
}

fn doctor(
    tx: &mut Tx,
    clinic: OrganizationId,
    service: String,
    number: u64,
    (days, from, to): Rota,
) -> Result<Doctor, Error> {
    let new = json!({
        "name": format!("Doctor {number}"), "kind": "doctor", "organization": clinic,
        "specialty": "general-practice", "time_zone": "Asia/Krasnoyarsk", "services": [service],
        "login": format!("doctor{number}"),
    });
    let made = practitioner::create(tx, read(new)?)?;
    let hours: Vec<Value> =
        days.iter().map(|day| json!({"weekday": day, "from": from, "to": to})).collect();
    rules::replace(tx, made.id, 1, &read(json!({"rules": hours}))?)?;
    let token = made.sign_in_token.ok_or(Error::Internal("a login without a one-time token"))?;
    let pair = sign_in::redeem(tx, &sha256(token.as_bytes()), "nobody signs in with a password")?;
    Ok(Doctor { id: made.id.to_string(), service, token: pair.access_token })
}

fn somebody(
    tx: &mut Tx,
    clinic: OrganizationId,
    village: &str,
    number: u64,
) -> Result<String, Error> {
    let new = json!({
        "name": format!("Patient {number}"), "birth_date": "1961-04-12",
        "phone": format!("+7999{number:07}"), "location": village, "organization": clinic,
        "language": "ru",
    });
    let made = patient::create(tx, read(new)?)?;
    let account = patient::find_row(tx, made.id)?.account_id;
    let account = account.ok_or(Error::Internal("a patient without an account"))?;
    Ok(session::open(tx, account, Method::Code)?.access_token)
}
