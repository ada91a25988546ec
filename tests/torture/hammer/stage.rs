//! The clinic that the hammer falls on: so little of everything that all are in each other's way.

use actix_web::http::Method;
use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use feldsher::base::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::server::MASTER_KEY;
use crate::support::engine::Database;
use crate::support::world::{made, member};
use crate::support::{Engine, House, World};

const DOCTORS: usize = 8;
const STAFF: usize = 5;
const PATIENTS: usize = 40;
/// So many of them sign in and book for themselves.
const OWN_PHONES: usize = 6;
pub const BIRTH_DATE: &str = "1980-01-01";
/// The grid: visits begin on these.
pub const SLOT_MINUTES: i64 = 20;
/// How many slots there are, up to 22:00.
pub const SLOTS: i64 = 48;

/// What can be booked.
pub struct Offering {
    pub id: String,
    /// What a visit needs besides its doctor and patient.
    pub needs: &'static [&'static str],
}

pub struct Stage {
    pub engine: Engine,
    /// Logins of those who book for everybody.
    pub staff: Vec<String>,
    pub doctors: Vec<String>,
    pub patients: Vec<String>,
    /// Telephone numbers of the first patients.
    pub phones: Vec<String>,
    /// A plain visit, a longer one with buffers, two that need rooms and others.
    pub services: Vec<Offering>,
    /// Two of each, rooms first.
    pub rooms: Vec<String>,
    /// When the first slot begins: 06:00 of a day that has just begun where the clinic is.
    pub open: DateTime<Utc>,
}

/// A zone in which it is past four in the morning, so that all of the day is still to come.
fn early_zone(now: DateTime<Utc>) -> String {
    let ahead = (4 - i64::from(now.hour()) + 36) % 24 - 12;
    // POSIX counts westward.
    format!("Etc/GMT{:+}", -ahead)
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

impl Stage {
    pub async fn set(engine: Engine) -> (Database, Self) {
        let house = House::open_with(engine, |config| {
            MASTER_KEY.clone_into(&mut config.seal.master_key.0);
        });
        let world = World::build_in(house.await).await;
        let now = SystemClock.now().utc();
        let zone = early_zone(now);
        let open = now.duration_trunc(TimeDelta::hours(1)).unwrap() + TimeDelta::hours(2);
        let mut stage = Self {
            engine,
            staff: Vec::new(),
            doctors: Vec::new(),
            patients: Vec::new(),
            phones: Vec::new(),
            services: Vec::new(),
            rooms: Vec::new(),
            open,
        };
        stage.services(&world).await;
        stage.people(&world, &zone).await;
        stage.patients(&world, &zone).await;
        (world.house.leave().await, stage)
    }

    async fn services(&mut self, world: &World) {
        for (name, minutes, needs, booking) in [
            ("Plain", 20, &[][..], json!({"overbook": true})),
            ("Long", 40, &[][..], json!({"buffer_after_minutes": 10, "overbook": true})),
            ("Team", 20, &["interpreter", "room", "feldsher"][..], json!({})),
            ("Device", 40, &["device", "room"][..], json!({"buffer_before_minutes": 10})),
        ] {
            let body = json!({
                "name": {"en": name, "ru": name}, "organization": world.clinic,
                "specialty": "general-practice", "duration_minutes": minutes,
                "modes": ["video"], "resources": needs, "booking": booking,
            });
            let made = made(&world.admin.client, "/v1/healthcare-services", body).await;
            self.services.push(Offering { id: id(&made), needs });
        }
        for (kind, name) in [("room", "А"), ("room", "Б"), ("device", "А"), ("device", "Б")] {
            let body = json!({"kind": kind, "name": name, "organization": world.clinic,
                "location": world.village});
            let made = made(&world.admin.client, "/v1/resources", body).await;
            self.rooms.extend((kind == "room").then(|| id(&made)));
        }
    }

    async fn people(&mut self, world: &World, zone: &str) {
        let services: Vec<&str> = self.services.iter().map(|one| one.id.as_str()).collect();
        let kinds = [("doctor", DOCTORS), ("feldsher", 2), ("interpreter", 2)];
        for (kind, count) in kinds {
            for _ in 0..count {
                let mut body = json!({"name": "Молотов", "kind": kind, "time_zone": zone,
                    "organization": world.clinic});
                if kind == "doctor" {
                    body["services"] = json!(services);
                    body["specialty"] = json!("general-practice");
                }
                let who = id(&made(&world.admin.client, "/v1/practitioners", body).await);
                let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
                let rules = days.map(|day| json!({"weekday": day, "from": "00:00", "to": "24:00"}));
                let path = format!("/v1/practitioners/{who}/schedule");
                let registrar = &world.registrar.client;
                let body = json!({ "rules": rules });
                registrar.edit(Method::PUT, &path, 1, &body).await.expect(200);
                self.doctors.extend((kind == "doctor").then_some(who));
            }
        }
        for number in 0..STAFF {
            let (house, admin) = (&world.house, &world.admin.client);
            let login = format!("hammer{number}");
            let role = "registrar";
            self.staff
                .push(member(house, admin, &world.clinic, "Кузнец", role, &login).await.login);
        }
    }

    async fn patients(&mut self, world: &World, zone: &str) {
        let place = json!({"name": "Наковальня", "kind": "village", "organization": world.clinic,
            "time_zone": zone, "link_class": "2g"});
        let place = id(&made(&world.admin.client, "/v1/locations", place).await);
        for number in 0..PATIENTS {
            let mut body = json!({"name": format!("Пациент {number}"), "birth_date": BIRTH_DATE,
                "location": place, "organization": world.clinic, "language": "ru"});
            if number < OWN_PHONES {
                let phone = format!("+7000000010{number}");
                body["phone"] = json!(phone);
                self.phones.push(phone);
            }
            let made = made(&world.registrar.client, "/v1/patients", body).await;
            self.patients.push(id(&made));
        }
    }

    /// The instant of a slot.
    pub fn at(&self, slot: i64) -> String {
        let at = self.open + TimeDelta::minutes(SLOT_MINUTES * slot);
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// The first slot that is still well ahead.
    pub fn first_slot(&self) -> i64 {
        let ahead = SystemClock.now().utc() + TimeDelta::minutes(10) - self.open;
        (ahead.num_minutes() / SLOT_MINUTES + 1).max(0)
    }
}
