//! Wrong, hostile and slow input: a clear problem each, never a 500, nothing lost.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_both;
use crate::support::{Engine, World, key};

async fn raw(world: &World, body: &'static str, kind: &str) -> crate::support::Answer {
    let request = world
        .asha
        .client
        .request(Method::POST, "/v1/appointments")
        .insert_header(("Idempotency-Key", key()))
        .insert_header(("Content-Type", kind.to_owned()));
    crate::support::client::read(request.send_body(body).await.unwrap()).await
}

on_both! {
    async fn a_wrong_body_is_named_with_the_field_at_fault(world: World) {
        let start = "2026-11-24T09:00:00+07:00";
        let cases: Vec<(Value, u16, &str, &str)> = vec![
            (json!({"service": world.service, "start": "2026-11-24T09:00:00"}), 422, "naive_time", "/start"),
            (json!({"service": world.service, "start": "2026-11-24"}), 422, "naive_time", "/start"),
            (json!({"service": world.service, "start": "tomorrow"}), 422, "invalid_time", "/start"),
            (json!({"service": world.service, "start": "2026-11-20T09:00:00+07:00"}), 422, "in_the_past", "/start"),
            (json!({"service": world.service, "start": "2028-11-24T09:00:00+07:00"}), 422, "too_far", "/start"),
            (json!({"service": world.service}), 422, "invalid_body", ""),
            (json!({"service": "x", "start": start}), 422, "invalid_body", "/service"),
            (json!({"service": world.service, "start": start, "price": 1}), 422, "invalid_body", "/price"),
            (json!({"service": world.doctor.id, "start": start}), 422, "unknown_reference", "/service"),
            (json!({"service": world.service, "start": start, "practitioner": world.colleague.id}), 422, "unknown_reference", "/practitioner"),
            (json!({"service": world.service, "start": start, "patient": world.boris.id}), 422, "unknown_reference", "/patient"),
            (json!({"service": world.service, "start": start, "reason": "ж".repeat(2001)}), 422, "invalid_body", "/reason"),
            (json!([1, 2]), 422, "invalid_body", ""),
            (json!({"service": world.service, "start": start, "reason": "a\0b"}), 422, "invalid_body", "/reason"),
        ];
        for (body, status, code, pointer) in cases {
            let answer = world.asha.client.once("/v1/appointments", &key(), &body).await;
            assert_eq!(answer.refused(status), code, "{body}");
            let named = answer.body["errors"][0]["pointer"].as_str();
            assert_eq!(named, Some(pointer), "{}", answer.text);
            assert!(answer.body["request_id"].as_str().is_some_and(|id| !id.is_empty()));
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM appointments"), 0);
    }
}

on_both! {
    async fn what_is_not_json_is_refused_as_that(world: World) {
        assert_eq!(raw(world, "{\"service\": ", "application/json").await.refused(400), "malformed_json");
        assert_eq!(raw(world, "\u{0}\u{1}", "application/json").await.refused(400), "malformed_json");
        assert_eq!(raw(world, "a=b", "application/x-www-form-urlencoded").await.refused(415), "unsupported_media_type");
        let twice = r#"{"start": "2026-11-24T09:00:00+07:00", "start": "2026-11-24T09:20:00+07:00"}"#;
        assert_eq!(raw(world, twice, "application/json").await.refused(422), "invalid_body");
        let deep: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
        assert_eq!(raw(world, deep, "application/json").await.refused(400), "malformed_json");
    }
}

on_both! {
    async fn a_time_inside_a_clock_change_does_not_exist(world: World) {
        // New York loses 02:00 to 03:00 on 14 March 2027; the doctor works through the night.
        let body = json!({
            "name": "Ночной врач", "kind": "doctor", "organization": world.clinic,
            "specialty": "general-practice", "time_zone": "America/New_York",
            "services": [world.service], "login": "night"
        });
        let made = crate::support::world::made(&world.admin.client, "/v1/practitioners", body).await;
        let id = made["id"].as_str().unwrap();
        let path = format!("/v1/practitioners/{id}/schedule");
        let rules = json!({"rules": [{"weekday": "sun", "from": "01:00", "to": "04:00"}]});
        let version = world.registrar.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
        world.registrar.client.edit(Method::PUT, &path, version, &rules).await.expect(200);
        let slots = format!(
            "/v1/slots?service={}&practitioner={id}&from=2027-03-14T05:00:00Z&to=2027-03-14T12:00:00Z",
            world.service
        );
        let items = world.asha.client.get(&slots).await.expect(200)["items"].as_array().unwrap().clone();
        let starts: Vec<_> = items.iter().map(|slot| slot["start"].as_str().unwrap()).collect();
        assert_eq!(starts, [
            "2027-03-14T06:00:00Z", "2027-03-14T06:20:00Z", "2027-03-14T06:40:00Z",
            "2027-03-14T07:00:00Z", "2027-03-14T07:20:00Z", "2027-03-14T07:40:00Z",
        ], "01:00 to 02:00 and 03:00 to 04:00 local, nothing between");
        let wish = json!({"service": world.service, "practitioner": id, "start": "2027-03-14T02:40:00-05:00"});
        let booked = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        assert_eq!(booked["start"], "2027-03-14T07:40:00Z", "an offset names a real instant: 03:40 local");
        let naive = json!({"service": world.service, "practitioner": id, "start": "2027-03-14T02:30:00"});
        let refused = world.asha.client.once("/v1/appointments", &key(), &naive).await;
        assert_eq!(refused.refused(422), "naive_time");
    }
}

on_both! {
    async fn ten_megabytes_are_refused_and_the_server_goes_on(world: World) {
        let big = json!({"service": world.service, "reason": "x".repeat(10 << 20)});
        let sent = world.asha.client.request(Method::POST, "/v1/appointments")
            .insert_header(("Idempotency-Key", key())).send_json(&big).await;
        // The answer may come before the whole body has been taken; both ends may close first.
        if let Ok(answer) = sent {
            assert_eq!(crate::support::client::read(answer).await.refused(413), "too_large");
        }
        world.asha.client.get("/v1/me").await.expect(200);
    }
}

on_both! {
    async fn a_body_that_never_ends_is_let_go(world: World) {
        let mut line = TcpStream::connect(world.house.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /v1/appointments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Idempotency-Key: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
            world.asha.client.token.as_ref().unwrap(), key()
        );
        line.write_all(head.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let mut piece = [0_u8; 4096];
        let waited = tokio::time::timeout(Duration::from_secs(40), async {
            while !String::from_utf8_lossy(&heard).contains("body_timeout") {
                match line.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => heard.extend_from_slice(&piece[..count]),
                }
            }
        });
        waited.await.expect("an answer within forty seconds");
        let text = String::from_utf8_lossy(&heard);
        assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_timeout"), "{text}");
    }
}

on_both! {
    async fn a_forged_token_opens_nothing(world: World) {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
        let good = world.asha.client.token.clone().unwrap();
        let parts: Vec<&str> = good.split('.').collect();
        let payload = String::from_utf8(B64.decode(parts[1]).unwrap()).unwrap();
        let none = B64.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        let forged = [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()),
            format!("{}.{}.{}", parts[0], B64.encode(payload.replace("exp", "ex")), parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            "x".to_owned(),
            String::new(),
        ];
        for token in forged {
            let answer = world.house.client().with_token(&token).get("/v1/me").await;
            assert_eq!(answer.refused(401), "invalid_token", "{token}");
        }
        world.house.advance(chrono::TimeDelta::minutes(11));
        let expired = world.asha.client.get("/v1/me").await;
        assert_eq!(expired.refused(401), "invalid_token");
        assert_eq!(world.house.client().get("/v1/me").await.refused(401), "unauthorized");
    }
}

on_both! {
    async fn a_client_is_told_that_its_token_is_at_fault(world: World) {
        let (plain, at_fault) =
            (Some(r#"Bearer realm="feldsher""#), Some(r#"Bearer realm="feldsher", error="invalid_token""#));
        let stranger = world.house.client();
        let forged = stranger.with_token("x").get("/v1/me").await;
        assert_eq!((forged.status.as_u16(), forged.header("www-authenticate")), (401, at_fault));
        world.asha.client.post("/v1/auth/logout", &json!({})).await.expect(204);
        let over = world.asha.client.get("/v1/me").await;
        assert_eq!(over.header("www-authenticate"), at_fault);
        assert_eq!(over.refused(401), "session_over");
        let nobody = stranger.get("/v1/me").await;
        assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate")), (401, plain));
        let wrong = json!({"login": "lebedeva", "password": "x"});
        let wrong = stranger.post("/v1/auth/password", &wrong).await;
        assert_eq!((wrong.status.as_u16(), wrong.header("www-authenticate")), (401, plain));
        let unknown = stranger.post("/v1/auth/refresh", &json!({"refresh_token": "x"})).await;
        assert_eq!((unknown.status.as_u16(), unknown.header("www-authenticate")), (401, plain));
    }
}

on_both! {
    async fn unknown_paths_methods_and_parameters_are_problems_too(world: World) {
        let asha = &world.asha.client;
        assert_eq!(asha.get("/v1/nothing").await.refused(404), "not_found");
        assert_eq!(asha.get("/v1/appointments/not-an-id").await.refused(404), "not_found");
        assert_eq!(asha.get("/v1/appointments?colour=red").await.refused(400), "invalid_query");
        let nul = world.registrar.client.get("/v1/patients?query=%00").await;
        assert_eq!(nul.refused(400), "invalid_query");
        let nul = json!({"login": "a\0b", "password": "x"});
        let nul = world.house.client().post("/v1/auth/password", &nul).await;
        assert_eq!(nul.refused(422), "invalid_body");
        assert_eq!(asha.get("/v1/appointments?from=2026-11-24T09:00:00").await.refused(422), "naive_time");
        let wrong = asha.send(asha.request(Method::DELETE, "/v1/appointments"), None).await;
        assert_eq!(wrong.refused(405), "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some("GET, HEAD, POST"));
        let page = asha.send(asha.request(Method::POST, "/doctor"), None).await;
        assert_eq!(page.refused(405), "method_not_allowed");
        assert_eq!(page.header("allow"), Some("GET, HEAD"));
        for path in ["/", "/health/live", "/v1/me"] {
            let head = asha.send(asha.request(Method::HEAD, path), None).await;
            assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
        }
        let plain = asha.get("/v1/rtc").await;
        // The client takes what follows `Connection: Upgrade` for another protocol: no body here.
        assert_eq!(plain.status, 426);
        assert_eq!(plain.header("upgrade"), Some("websocket"));
        assert_eq!(plain.header("content-type"), Some("application/problem+json"));
        let russian = asha.in_language("ru").get("/v1/nothing").await;
        assert_eq!(russian.body["title"], "Не найдено");
        let keyless = asha.post("/v1/appointments", &world.wish("2026-11-24T09:00:00+07:00")).await;
        assert_eq!(keyless.refused(400), "idempotency_key_missing");
    }
}

on_both! {
    async fn every_answer_carries_safe_headers(world: World) {
        for path in ["/", "/doctor", "/openapi.json", "/v1/me", "/v1/nothing", "/health/live"] {
            let answer = world.asha.client.get(path).await;
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
            assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{path}");
            assert!(answer.header("x-request-id").is_some(), "{path}");
            assert!(answer.header("server").is_none(), "{path}");
        }
    }
}
