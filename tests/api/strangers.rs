//! What a stranger may write into headers, cursors and bodies, and what becomes of it.

use actix_web::http::Method;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use feldsher::base::body::{BODY_BYTES_MAX, STRANGER_BYTES_MAX};
use futures_util::stream;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::peer::PROTOCOL;
use crate::support::visit::encounter_of;
use crate::support::{Answer, Engine, House, World, client, key};

const CODES_MAX: u32 = 3;

/// A house behind one proxy, in which an address gets few codes.
async fn behind_a_proxy(engine: Engine) -> House {
    House::open_with(engine, |config| {
        config.http.trusted_proxies = 1;
        config.sign_in.codes_per_address_hour = CODES_MAX;
    })
    .await
}

/// Asks for a code to a number that nobody asked for before.
async fn ask_code(house: &House, number: u32, forwarded: &[String]) -> Answer {
    let stranger = house.client();
    let request =
        forwarded.iter().fold(stranger.request(Method::POST, "/v1/auth/code"), |request, line| {
            request.append_header(("X-Forwarded-For", line.as_str()))
        });
    let body = json!({"phone": format!("+7000001{number:04}")});
    stranger.send(request, Some(&body)).await
}

#[actix_web::test]
async fn behind_a_proxy_a_client_is_counted_by_the_address_that_the_proxy_saw() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = behind_a_proxy(engine).await;
        let from = |claimed: u32, seen: &str| [format!("1.1.1.{claimed}"), seen.to_owned()];
        for number in 0..CODES_MAX {
            ask_code(&house, number, &from(number, "9.9.9.9")).await.expect(202);
        }
        let one_line = [format!("1.1.1.77, {}", "9.9.9.9")];
        let counted = ask_code(&house, 10, &from(10, "9.9.9.9")).await;
        assert_eq!(counted.refused(429), "too_many_attempts");
        assert_eq!(ask_code(&house, 11, &one_line).await.refused(429), "too_many_attempts");
        ask_code(&house, 12, &from(12, "9.9.9.8")).await.expect(202);
        house.close().await;
    }
}

#[actix_web::test]
async fn a_whole_ipv6_network_is_counted_as_one_client() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = behind_a_proxy(engine).await;
        let from = |machine: u32| [format!("2001:db8:1:2:aaaa::{machine:x}")];
        for number in 0..CODES_MAX {
            ask_code(&house, number, &from(number)).await.expect(202);
        }
        assert_eq!(ask_code(&house, 10, &from(10)).await.refused(429), "too_many_attempts");
        let neighbour = ["2001:db8:1:3:aaaa::1".to_owned()];
        ask_code(&house, 11, &neighbour).await.expect(202);
        house.close().await;
    }
}

on_both! {
    async fn a_forged_cursor_is_refused_as_that(world: World) {
        let id = &world.asha.id;
        let forged = B64.encode(json!(["a\0b", id]).to_string());
        for list in ["patients", "organizations", "locations", "practitioners", "healthcare-services"] {
            let path = format!("/v1/{list}?cursor={forged}");
            let answer = world.registrar.client.get(&path).await;
            assert_eq!(answer.refused(400), "invalid_cursor", "{list}");
        }
    }
}

/// Sends without saying how long it is.
async fn in_pieces(world: &World, path: &str, body: &Value) -> Answer {
    let pieces: Vec<_> = body
        .to_string()
        .into_bytes()
        .chunks(4096)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let request = world.house.client().request(Method::POST, path);
    let request = request.insert_header(("Content-Type", "application/json"));
    client::read(request.send_stream(stream::iter(pieces)).await.unwrap()).await
}

on_both! {
    async fn a_body_without_a_token_is_small(world: World) {
        let stranger = world.house.client();
        let sized = |bytes: usize| {
            let empty = json!({"login": "lebedeva", "password": ""}).to_string().len();
            json!({"login": "lebedeva", "password": "x".repeat(bytes - empty)})
        };
        let path = "/v1/auth/password";
        let fits = stranger.post(path, &sized(STRANGER_BYTES_MAX)).await;
        assert_eq!(fits.refused(401), "wrong_credentials");
        let large = sized(STRANGER_BYTES_MAX + 1);
        assert_eq!(stranger.post(path, &large).await.refused(413), "too_large");
        assert_eq!(in_pieces(world, path, &large).await.refused(413), "too_large");
        let wish = |bytes: usize| json!({"service": world.service, "reason": "x".repeat(bytes)});
        let asha = &world.asha.client;
        for bytes in [STRANGER_BYTES_MAX, BODY_BYTES_MAX - 100] {
            let read = asha.once("/v1/appointments", &key(), &wish(bytes)).await;
            assert_eq!(read.refused(422), "invalid_body", "{bytes}");
        }
        let large = asha.once("/v1/appointments", &key(), &wish(BODY_BYTES_MAX)).await;
        assert_eq!(large.refused(413), "too_large");
    }
}

on_both! {
    async fn a_host_that_a_stranger_names_in_other_headers_is_not_ours(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(chrono::TimeDelta::minutes(6));
        let asha = &world.asha.client;
        let path = format!("/v1/encounters/{}/join", encounter_of(&booked));
        let own = format!("{}/v1/rtc", world.house.url.replacen("http", "ws", 1));
        for (name, value) in [
            ("X-Forwarded-Host", "evil.example"),
            ("Forwarded", "host=evil.example;proto=https"),
        ] {
            let request = asha.request(Method::POST, &path).insert_header((name, value));
            let joined = asha.send(request, Some(&json!({}))).await.expect(200);
            assert_eq!(joined["ws_url"], json!(own), "{name}");
            let foreign = awc::Client::new()
                .ws(format!("{}/v1/rtc", world.house.url))
                .origin("https://evil.example")
                .protocols([PROTOCOL])
                .set_header(name, value);
            match foreign.connect().await {
                Err(awc::error::WsClientError::InvalidResponseStatus(status)) => {
                    assert_eq!(status, 403, "{name}");
                }
                other => panic!("{name}: {:?}", other.map(drop)),
            }
        }
    }
}

on_both! {
    async fn what_a_stranger_names_is_said_back_in_short(world: World) {
        let body = json!({"x".repeat(5000): 1});
        let refused = world.house.client().post("/v1/auth/code", &body).await;
        assert_eq!(refused.refused(422), "invalid_body");
        let pointer = refused.body["errors"][0]["pointer"].as_str().unwrap();
        assert_eq!(pointer, format!("/{}", "x".repeat(100)));
        assert!(refused.text.len() < 1000, "{}", refused.text.len());
    }
}

on_both! {
    async fn a_name_cannot_turn_the_writing_round_or_break_the_line(world: World) {
        for sign in ["\u{202e}", "\u{2066}", "\u{2028}", "\u{2029}", "\n"] {
            let body = json!({
                "name": format!("Аша{sign}Кузнецова"), "birth_date": "1961-04-12",
                "location": world.village, "organization": world.clinic, "language": "ru",
            });
            let refused = world.registrar.client.once("/v1/patients", &key(), &body).await;
            assert_eq!(refused.refused(422), "invalid_body", "{sign:?}");
            assert_eq!(refused.body["errors"][0]["pointer"], "/name", "{sign:?}");
        }
    }
}
