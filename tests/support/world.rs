//! Two clinics and their people, made through the public API.

use actix_web::http::Method;
use feldsher::account::{self, NewAccount};
use feldsher::base::config::Config;
use feldsher::base::ctx::as_system;
use feldsher::base::language::Language;
use serde_json::{Value, json};

use super::template::Template;
use super::{Client, Engine, House, key};

pub const PASSWORD: &str = "correct horse battery 9";
pub const ZONE: &str = "Asia/Krasnoyarsk";

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Person {
    pub client: Client,
    /// The patient's or practitioner's id.
    pub id: String,
    pub login: String,
    pub refresh_token: String,
}

pub struct World {
    pub house: House,
    pub admin: Person,
    pub doctor: Person,
    /// Of the same clinic.
    pub colleague: Person,
    /// Of the other clinic.
    pub stranger: Person,
    pub feldsher: Person,
    pub registrar: Person,
    pub asha: Person,
    pub boris: Person,
    pub clinic: String,
    pub other_clinic: String,
    pub village: String,
    /// 20 minutes, given by `doctor`.
    pub service: String,
    /// 45 minutes, given by `doctor`.
    pub long_service: String,
    /// Of the other clinic, given by `stranger`.
    pub other_service: String,
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

impl World {
    pub async fn build(engine: Engine) -> Self {
        Self::build_with(engine, |_| {}).await
    }

    /// In a house whose settings differ; how people come to be there is as in any other.
    pub async fn build_with(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let template = Template::of(engine);
        template.cast.enter(House::open_in(template.database.copy(), change).await)
    }

    pub async fn build_in(house: House) -> Self {
        let admin = first_admin(&house).await;
        let a = &admin.client;
        let clinic = id(&made(
            a,
            "/v1/organizations",
            json!({"name": "Таёжная больница", "time_zone": ZONE}),
        )
        .await);
        let other_clinic = id(&made(
            a,
            "/v1/organizations",
            json!({"name": "Вторая больница", "time_zone": ZONE}),
        )
        .await);
        let village = id(&made(
            a,
            "/v1/locations",
            json!({
                "name": "Кедровка", "kind": "village", "organization": clinic, "time_zone": ZONE,
                "latitude": 58.1, "longitude": 93.4, "link_class": "2g"
            }),
        )
        .await);
        let service = new_service(a, &clinic, "GP visit", 20).await;
        let long_service = new_service(a, &clinic, "Long visit", 45).await;
        let other_service = new_service(a, &other_clinic, "Elsewhere", 20).await;
        let both = [service.as_str(), long_service.as_str()];
        let doctor =
            practitioner(&house, a, &clinic, "Анна Лебедева", "doctor", "lebedeva", &both).await;
        let colleague =
            practitioner(&house, a, &clinic, "Пётр Гусев", "doctor", "gusev", &[]).await;
        let stranger = practitioner(
            &house,
            a,
            &other_clinic,
            "Олег Чужой",
            "doctor",
            "chuzhoy",
            &[&other_service],
        )
        .await;
        let feldsher =
            practitioner(&house, a, &clinic, "Вера Сойкина", "feldsher", "soykina", &[]).await;
        let registrar = member(&house, a, &clinic, "Нина Орлова", "registrar", "orlova").await;
        for who in [&doctor, &colleague, &stranger] {
            let path = format!("/v1/practitioners/{}/schedule", who.id);
            let rules: Vec<Value> = ["mon", "tue", "wed", "thu", "fri"]
                .iter()
                .map(|day| json!({"weekday": day, "from": "09:00", "to": "17:00"}))
                .collect();
            let version = who.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
            who.client
                .edit(Method::PUT, &path, version, &json!({"rules": rules}))
                .await
                .expect(200);
        }
        let asha =
            patient(&house, &registrar.client, &clinic, &village, "Аша Кузнецова", "+70000000001")
                .await;
        let boris =
            patient(&house, &registrar.client, &clinic, &village, "Борис Волков", "+70000000002")
                .await;
        Self {
            house,
            admin,
            doctor,
            colleague,
            stranger,
            feldsher,
            registrar,
            asha,
            boris,
            clinic,
            other_clinic,
            village,
            service,
            long_service,
            other_service,
        }
    }

    /// The body of a booking.
    pub fn wish(&self, start: &str) -> Value {
        json!({"service": self.service, "practitioner": self.doctor.id, "start": start})
    }

    /// A booked visit of Asha with the doctor.
    pub async fn booked(&self, start: &str) -> Value {
        self.asha.client.once("/v1/appointments", &key(), &self.wish(start)).await.expect(201)
    }
}

pub async fn made(client: &Client, path: &str, body: Value) -> Value {
    client.once(path, &key(), &body).await.expect(201)
}

async fn new_service(admin: &Client, clinic: &str, name: &str, minutes: u32) -> String {
    let body = json!({
        "name": {"en": name, "ru": name}, "organization": clinic, "specialty": "general-practice",
        "duration_minutes": minutes, "modes": ["video", "audio"]
    });
    id(&made(admin, "/v1/healthcare-services", body).await)
}

async fn first_admin(house: &House) -> Person {
    let token = as_system(&house.app, |tx| {
        let account = account::create(
            tx,
            NewAccount {
                name: "Администратор".to_owned(),
                language: Language::Russian,
                login: Some("admin".to_owned()),
                phone: None,
                password_hash: None,
                system_admin: true,
            },
        )?;
        // The system needs no permission; the transaction wants to know that it was asked.
        tx.allow(feldsher::access::table::Action::SignIn, &feldsher::access::Facts::NONE)?;
        account::issue_one_time_token(tx, account)
    })
    .await
    .unwrap();
    with_token(house, &token, "admin", String::new()).await
}

async fn with_token(house: &House, token: &str, login: &str, id: String) -> Person {
    let body = json!({"token": token, "password": PASSWORD});
    let tokens = house.client().post("/v1/auth/token", &body).await.expect(200);
    signed_in(house, &tokens, login, id)
}

pub fn signed_in(house: &House, tokens: &Value, login: &str, id: String) -> Person {
    Person {
        client: house.client().with_token(tokens["access_token"].as_str().unwrap()),
        id,
        login: login.to_owned(),
        refresh_token: tokens["refresh_token"].as_str().unwrap().to_owned(),
    }
}

pub async fn practitioner(
    house: &House,
    admin: &Client,
    clinic: &str,
    name: &str,
    kind: &str,
    login: &str,
    services: &[&str],
) -> Person {
    let body = json!({
        "name": name, "kind": kind, "organization": clinic, "time_zone": ZONE,
        "services": services, "login": login,
        "specialty": if kind == "doctor" { Some("general-practice") } else { None },
    });
    let made = made(admin, "/v1/practitioners", body).await;
    with_token(house, made["sign_in_token"].as_str().unwrap(), login, id(&made)).await
}

pub async fn member(
    house: &House,
    admin: &Client,
    clinic: &str,
    name: &str,
    role: &str,
    login: &str,
) -> Person {
    let path = format!("/v1/organizations/{clinic}/members");
    let made = made(admin, &path, json!({"name": name, "role": role, "login": login})).await;
    let account = made["account"]["id"].as_str().unwrap().to_owned();
    with_token(house, made["sign_in_token"].as_str().unwrap(), login, account).await
}

pub async fn patient(
    house: &House,
    registrar: &Client,
    clinic: &str,
    village: &str,
    name: &str,
    phone: &str,
) -> Person {
    let body = json!({
        "name": name, "birth_date": "1961-04-12", "phone": phone, "location": village,
        "organization": clinic, "language": "ru"
    });
    let made = made(registrar, "/v1/patients", body).await;
    sign_in_by_code(house, phone, id(&made)).await
}

pub async fn sign_in_by_code(house: &House, phone: &str, id: String) -> Person {
    let asked = house.client().post("/v1/auth/code", &json!({"phone": phone})).await.expect(202);
    let text = house.sms(phone).await;
    let code: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    let body = json!({"challenge_id": asked["challenge_id"], "code": code});
    let tokens = house.client().post("/v1/auth/code/verify", &body).await.expect(200);
    signed_in(house, &tokens, phone, id)
}

impl World {
    /// The same person after the access token has run out.
    pub async fn resigned(&self, who: &Person) -> Person {
        let body = json!({"refresh_token": who.refresh_token});
        let tokens = self.house.client().post("/v1/auth/refresh", &body).await.expect(200);
        signed_in(&self.house, &tokens, &who.login, who.id.clone())
    }
}
