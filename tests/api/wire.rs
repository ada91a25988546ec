//! The live visit over real WebSockets, as `docs/signaling.md` tells it.

mod cut;
mod end;
mod flood;
mod hostile;
mod ladder;
mod limits;
mod meeting;
mod poll;
mod restart;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::peer::{Edge, Peer};
use crate::support::{Client, World};

/// No kinds of messages.
const NOTHING: [&str; 0] = [];

/// Asha's visit in a quarter of an hour: its door is open.
async fn visit(world: &World) -> String {
    let booked = world.booked("2026-11-23T09:20:00+07:00").await;
    world.house.advance(TimeDelta::minutes(6));
    booked["encounter"]["id"].as_str().unwrap().to_owned()
}

/// Asha and the doctor, both let in, and each one's part in the connection between them.
struct Call {
    visit: String,
    doctor: Peer,
    asha: Peer,
    doctors: Edge,
    ashas: Edge,
}

async fn call(world: &World) -> Call {
    let visit = visit(world).await;
    let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
    tick(world);
    let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
    tick(world);
    doctor.say("admit", json!({"participant": asha.id})).await;
    let doctors = Edge::of(&doctor.hear_of("negotiate").await);
    let ashas = Edge::of(&asha.hear_of("negotiate").await);
    Call { visit, doctor, asha, doctors, ashas }
}

/// Lets a second pass: what people do one after another does not happen at one instant.
fn tick(world: &World) {
    world.house.advance(TimeDelta::seconds(1));
}

/// Offer and answer pass, so that the connection is as good as up.
async fn describe(call: &mut Call) {
    call.doctor.say_on(&call.doctors, "offer", sdp("of the doctor")).await;
    call.asha.hear_of("offer").await;
    call.asha.say_on(&call.ashas, "answer", sdp("of Asha")).await;
    call.doctor.hear_of("answer").await;
}

fn sdp(whose: &str) -> Value {
    json!({"sdp": format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={whose} \"\u{2603}\"\r\n")})
}

/// Where the visit stands, as everybody in it can read.
async fn status(client: &Client, visit: &str) -> String {
    let shown = client.get(&format!("/v1/encounters/{visit}")).await.expect(200);
    shown["status"].as_str().unwrap().to_owned()
}

/// Who was in the call and why they left.
async fn stays(client: &Client, visit: &str) -> Vec<(String, Option<String>)> {
    let shown = client.get(&format!("/v1/encounters/{visit}/calls")).await.expect(200);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let stays = shown["items"].as_array().unwrap().iter();
    stays.map(|stay| (text(&stay["participant"]["role"]).unwrap(), text(&stay["why"]))).collect()
}

/// Waits until a departure is written down: a socket is told of it before the database is.
async fn written(world: &World, why: &str, times: i64) {
    let sql = format!("SELECT count(*) AS n FROM call_events WHERE why = '{why}'");
    for _ in 0..400 {
        if world.house.count(&sql) == times {
            return;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{times} times {why}: not written down");
}

/// Somebody's entry in a roster, or in what was said of them.
fn entry<'a>(roster: &'a Value, id: &str) -> &'a Value {
    let found = roster.as_array().unwrap().iter().find(|entry| entry["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {roster}"))
}
