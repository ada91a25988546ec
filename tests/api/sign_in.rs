//! Signing in: with a password, with a code, and staying signed in on a bad line.

use actix_web::http::Method;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use chrono::TimeDelta;
use feldsher::account::token::Tokens;
use feldsher::account::{self, SignsInWith};
use feldsher::base::ctx::as_system;
use feldsher::base::problem;
use feldsher::base::retention;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::world::{PASSWORD, member, signed_in};
use crate::support::{Answer, Engine, Person, World, key};

async fn with_password(world: &World, login: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    world.house.client().post("/v1/auth/password", &body).await
}

async fn refresh(world: &World, token: &str) -> Answer {
    world.house.client().post("/v1/auth/refresh", &json!({"refresh_token": token})).await
}

async fn me(world: &World, tokens: &Value) -> Answer {
    let token = tokens["access_token"].as_str().unwrap();
    world.house.client().with_token(token).get("/v1/me").await
}

fn next(tokens: &Value) -> &str {
    tokens["refresh_token"].as_str().unwrap()
}

async fn ask_code(world: &World, phone: &str) -> Answer {
    world.house.client().post("/v1/auth/code", &json!({"phone": phone})).await
}

async fn try_code(world: &World, challenge: &Value, code: &str) -> Answer {
    let body = json!({"challenge_id": challenge["challenge_id"], "code": code});
    world.house.client().post("/v1/auth/code/verify", &body).await
}

/// Asks for a code and waits until it has arrived: not an earlier one.
async fn arrived_code(world: &World, phone: &str) -> (Value, String) {
    let before = world.house.app.inbox.newest_first().len();
    let asked = ask_code(world, phone).await.expect(202);
    while world.house.app.inbox.newest_first().len() == before {
        actix_web::rt::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let text = world.house.sms(phone).await;
    (asked, text.chars().filter(char::is_ascii_digit).take(6).collect())
}

/// What a stranger could tell two answers apart by.
fn seen(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    (answer.status.as_u16(), body)
}

on_both! {
    async fn whatever_is_wrong_with_a_password_sign_in_the_answer_is_the_same(world: World) {
        let invited = json!({"name": "Новый сотрудник", "role": "registrar", "login": "invited"});
        let path = format!("/v1/organizations/{}/members", world.clinic);
        world.admin.client.once(&path, &key(), &invited).await.expect(201);
        let shut = member(&world.house, &world.admin.client, &world.clinic, "Бывший", "registrar", "shut").await;
        let path = format!("{path}/{}/registrar", shut.id);
        let ended = json!({"state": "disabled"});
        let version = 1;
        world.admin.client.edit(Method::PATCH, &path, version, &ended).await.expect(200);
        let wrong = with_password(world, "lebedeva", "another horse battery 9").await;
        assert_eq!(wrong.refused(401), "wrong_credentials");
        for (login, password) in [
            ("nobody", PASSWORD),
            ("invited", PASSWORD),
            ("shut", PASSWORD),
            ("+70000000001", PASSWORD),
            ("", ""),
            ("lebedeva", &"x".repeat(5000)),
        ] {
            assert_eq!(seen(&with_password(world, login, password).await), seen(&wrong), "{login}");
        }
        let tokens = with_password(world, " LEBEDEVA ", PASSWORD).await.expect(200);
        assert_eq!(tokens["expires_in"], 600);
        assert_eq!(me(world, &tokens).await.expect(200)["practitioner"]["id"], json!(world.doctor.id));
        let old = shut.client.get("/v1/me").await;
        assert_eq!(old.refused(401), "session_over");
        assert_eq!(refresh(world, &shut.refresh_token).await.refused(401), "session_over");
    }
}

on_both! {
    async fn ten_wrong_passwords_make_a_login_wait_and_nobody_else(world: World) {
        for _ in 0..10 {
            let wrong = with_password(world, "lebedeva", "another horse battery 9").await;
            assert_eq!(wrong.refused(401), "wrong_credentials");
        }
        let waits = with_password(world, "lebedeva", PASSWORD).await;
        assert_eq!(waits.refused(429), "too_many_attempts");
        let seconds: i64 = waits.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&seconds), "{seconds}");
        with_password(world, "gusev", PASSWORD).await.expect(200);
        world.house.advance(TimeDelta::seconds(seconds));
        with_password(world, "lebedeva", PASSWORD).await.expect(200);
    }
}

on_both! {
    async fn whoever_goes_on_guessing_waits_longer(world: World) {
        let mut waits = Vec::new();
        for _ in 0..2 {
            for _ in 0..10 {
                let wrong = with_password(world, "lebedeva", "another horse battery 9").await;
                assert_eq!(wrong.refused(401), "wrong_credentials");
            }
            let refused = with_password(world, "lebedeva", PASSWORD).await;
            assert_eq!(refused.refused(429), "too_many_attempts");
            waits.push(refused.header("retry-after").unwrap().parse::<i64>().unwrap());
            world.house.advance(TimeDelta::seconds(waits[waits.len() - 1]));
        }
        assert!(waits[1] > waits[0], "{waits:?}");
        with_password(world, "lebedeva", PASSWORD).await.expect(200);
    }
}

on_both! {
    async fn right_passwords_are_not_counted(world: World) {
        for _ in 0..12 {
            with_password(world, "lebedeva", PASSWORD).await.expect(200);
        }
        let many = world.house.count("SELECT count(*) AS n FROM rate_counters WHERE hits > 2");
        assert_eq!(many, 0, "the address is not held up either");
    }
}

on_both! {
    async fn an_unknown_number_is_answered_like_a_patient_s(world: World) {
        world.house.advance(TimeDelta::minutes(2));
        let known = ask_code(world, "+7 (000) 000-00-01").await.expect(202);
        let unknown = ask_code(world, "+79999999999").await.expect(202);
        assert_eq!(known["expires_in"], unknown["expires_in"]);
        assert_eq!(try_code(world, &unknown, "000000").await.refused(401), "wrong_code");
        for phone in ["+70000000001", "+79999999999"] {
            let again = ask_code(world, phone).await;
            assert_eq!(again.refused(429), "too_many_attempts");
            assert_eq!(again.header("retry-after"), Some("60"));
        }
        assert_eq!(ask_code(world, "89131234567").await.refused(422), "invalid_phone");
        let sent = world.house.count("SELECT count(*) AS n FROM outbox_messages");
        assert_eq!(sent, 3, "two at the start, one now, none to the unknown number");
    }
}

on_both! {
    async fn a_code_works_once_for_its_own_challenge_and_five_tries(world: World) {
        world.house.advance(TimeDelta::minutes(2));
        let (first, code) = arrived_code(world, "+70000000001").await;
        let (other, boris) = arrived_code(world, "+70000000002").await;
        assert_eq!(try_code(world, &other, &code).await.refused(401), "wrong_code");
        try_code(world, &first, &code).await.expect(200);
        assert_eq!(try_code(world, &first, &code).await.refused(401), "wrong_code");
        let wrong = if boris == "000000" { "000001" } else { "000000" };
        for _ in 0..4 {
            assert_eq!(try_code(world, &other, wrong).await.refused(401), "wrong_code");
        }
        assert_eq!(try_code(world, &other, &boris).await.refused(401), "wrong_code");
        let failures = world.house.count("SELECT CAST(max(failures) AS bigint) AS n FROM accounts");
        assert_eq!(failures, 5, "every wrong try is kept although it was refused");
    }
}

on_both! {
    async fn a_new_code_is_no_fresh_start_for_a_guesser(world: World) {
        let failures = || world.house.count("SELECT CAST(max(failures) AS bigint) AS n FROM accounts");
        world.house.advance(TimeDelta::minutes(2));
        for round in 1..=3 {
            let (asked, code) = arrived_code(world, "+70000000001").await;
            let wrong = if code == "000000" { "000001" } else { "000000" };
            assert_eq!(try_code(world, &asked, wrong).await.refused(401), "wrong_code");
            assert_eq!(try_code(world, &asked, wrong).await.refused(401), "wrong_code");
            assert_eq!(failures(), 2 * round);
            world.house.advance(TimeDelta::seconds(61));
        }
        let (asked, code) = arrived_code(world, "+70000000001").await;
        try_code(world, &asked, &code).await.expect(200);
        assert_eq!(failures(), 0, "the patient is no guesser");
    }
}

on_both! {
    async fn the_code_arrives_in_the_patient_s_language_and_in_one_sms(world: World) {
        world.house.advance(TimeDelta::minutes(2));
        arrived_code(world, "+70000000001").await;
        let sms = world.house.sms("+70000000001").await;
        let digits: String = sms.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits.len(), 6, "{sms}");
        assert!(sms.contains("код") || sms.contains("Код"), "{sms}");
        assert!(sms.chars().count() <= 70, "{sms}");
        assert!(!sms.contains("Аша") && !sms.contains("Кузнецова"), "{sms}");
    }
}

on_both! {
    async fn a_code_is_good_for_five_minutes(world: World) {
        world.house.advance(TimeDelta::minutes(2));
        let (asked, code) = arrived_code(world, "+70000000001").await;
        world.house.advance(TimeDelta::minutes(5));
        assert_eq!(try_code(world, &asked, &code).await.refused(401), "wrong_code");
    }
}

on_both! {
    async fn a_number_gets_five_codes_an_hour_and_a_hundred_wrong_ones_end_it(world: World) {
        world.house.advance(TimeDelta::minutes(60));
        for _ in 0..5 {
            ask_code(world, "+70000000001").await.expect(202);
            world.house.advance(TimeDelta::minutes(2));
        }
        assert_eq!(ask_code(world, "+70000000001").await.refused(429), "too_many_attempts");
        world.house.execute("UPDATE accounts SET failures = 100 WHERE phone_index IS NOT NULL").unwrap();
        world.house.advance(TimeDelta::minutes(60));
        let sent = world.house.count("SELECT count(*) AS n FROM outbox_messages");
        ask_code(world, "+70000000001").await.expect(202);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM outbox_messages"), sent);
    }
}

on_both! {
    async fn a_number_that_was_guessed_at_is_opened_again_by_the_clinic_or_the_command_line(world: World) {
        let audited = |action: &str| world.house.count(&format!(
            "SELECT count(*) AS n FROM audit_events WHERE action = '{action}' AND outcome = 'done'"
        ));
        let sent = || world.house.count("SELECT count(*) AS n FROM outbox_messages");
        let shut = async || {
            world.house.execute("UPDATE accounts SET failures = 100 WHERE phone_index IS NOT NULL").unwrap();
            world.house.advance(TimeDelta::minutes(2));
            let before = sent();
            ask_code(world, "+70000000001").await.expect(202);
            assert_eq!(sent(), before);
            world.house.advance(TimeDelta::minutes(2));
        };
        shut().await;
        let path = format!("/v1/patients/{}/enable", world.asha.id);
        let opened = world.registrar.client.post(&path, &json!({})).await.expect(200);
        assert_eq!(opened["id"], json!(world.asha.id));
        let (asked, code) = arrived_code(world, "+70000000001").await;
        try_code(world, &asked, &code).await.expect(200);
        assert_eq!(audited("patient.enable"), 1);

        shut().await;
        let enable = async |phone: &str| {
            let known = SignsInWith::Phone(phone.parse().unwrap());
            as_system(&world.house.app, move |tx| account::enable_by(tx, &known)).await
        };
        assert!(enable("+70000000099").await.unwrap_err().is(&problem::NOT_FOUND));
        enable("+70000000001").await.unwrap();
        let (asked, code) = arrived_code(world, "+70000000001").await;
        try_code(world, &asked, &code).await.expect(200);
        assert_eq!(audited("account.enable"), 1);
    }
}

on_both! {
    async fn the_command_line_opens_the_account_of_staff_by_its_login(world: World) {
        world.house.execute("UPDATE accounts SET state = 'disabled' WHERE login = 'orlova'").unwrap();
        assert_eq!(with_password(world, "orlova", PASSWORD).await.refused(401), "wrong_credentials");
        let known = SignsInWith::Login("Orlova".to_owned());
        as_system(&world.house.app, move |tx| account::enable_by(tx, &known)).await.unwrap();
        with_password(world, "orlova", PASSWORD).await.expect(200);
    }
}

on_both! {
    async fn a_one_time_token_sets_one_password_once(world: World) {
        let path = format!("/v1/organizations/{}/members", world.clinic);
        let body = json!({"name": "Ольга Кузнецова", "role": "registrar", "login": "kuznetsova"});
        let made = world.admin.client.once(&path, &key(), &body).await.expect(201);
        let redeem = async |token: &Value, password: &str| {
            let body = json!({"token": token, "password": password});
            world.house.client().post("/v1/auth/token", &body).await
        };
        let token = &made["sign_in_token"];
        for weak in ["short", "kuznetsova-kuznetsova", "Ольга Кузнецова 1", "qwertyuiopasdfgh"] {
            let refused = redeem(token, weak).await;
            assert_eq!(refused.refused(422), "weak_password");
            assert_eq!(refused.body["errors"][0]["pointer"], "/password");
        }
        let (one, two) = futures_util::join!(redeem(token, PASSWORD), redeem(token, PASSWORD));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 410]);
        assert_eq!(redeem(token, PASSWORD).await.refused(410), "token_used");
        assert_eq!(redeem(&json!("unknown"), PASSWORD).await.refused(410), "token_used");
        with_password(world, "kuznetsova", PASSWORD).await.expect(200);
    }
}

on_both! {
    async fn a_one_time_token_runs_out_after_three_days(world: World) {
        let path = format!("/v1/organizations/{}/members", world.clinic);
        let body = json!({"name": "Ольга Кузнецова", "role": "registrar", "login": "kuznetsova"});
        let made = world.admin.client.once(&path, &key(), &body).await.expect(201);
        world.house.advance(TimeDelta::hours(72));
        let body = json!({"token": made["sign_in_token"], "password": PASSWORD});
        let late = world.house.client().post("/v1/auth/token", &body).await;
        assert_eq!(late.refused(410), "token_used");
    }
}

on_both! {
    async fn a_lost_answer_is_given_again_and_only_one_branch_goes_on(world: World) {
        let first = &world.asha.refresh_token;
        let lost = refresh(world, first).await.expect(200);
        world.house.advance(TimeDelta::minutes(3));
        let arrived = refresh(world, first).await.expect(200);
        me(world, &arrived).await.expect(200);
        let later = refresh(world, next(&arrived)).await.expect(200);
        me(world, &later).await.expect(200);
        // Whoever comes with the lost answer now holds a copy: it ends for both.
        assert_eq!(refresh(world, next(&lost)).await.refused(401), "session_over");
        assert_eq!(me(world, &later).await.refused(401), "session_over");
        assert_eq!(refresh(world, next(&later)).await.refused(401), "session_over");
    }
}

on_both! {
    async fn a_used_token_whose_answer_arrived_ends_the_session(world: World) {
        let first = &world.asha.refresh_token;
        let second = refresh(world, first).await.expect(200);
        me(world, &second).await.expect(200);
        assert_eq!(refresh(world, first).await.refused(401), "session_over");
        assert_eq!(me(world, &second).await.refused(401), "session_over");
        assert_eq!(refresh(world, next(&second)).await.refused(401), "session_over");
        world.boris.client.get("/v1/me").await.expect(200);
    }
}

on_both! {
    async fn many_tabs_that_refresh_at_once_stay_signed_in(world: World) {
        let mut token = world.asha.refresh_token.clone();
        for round in 0..5 {
            let answers = join_all((0..8).map(|_| refresh(world, &token))).await;
            let pairs: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200)).collect();
            let seen = join_all(pairs.iter().map(|pair| me(world, pair))).await;
            assert!(seen.iter().all(|answer| answer.status == 200), "round {round}");
            // Whichever answer was stored last is the one that goes on.
            token = next(&pairs[round]).to_owned();
        }
        refresh(world, &token).await.expect(200);
    }
}

/// One device on a bad line: every time it asks twice at once, and keeps what arrives.
async fn on_a_bad_line(world: &World, mut tokens: Value, lost: usize) -> Value {
    for round in 0..10 {
        let token = next(&tokens).to_owned();
        let (one, two) = futures_util::join!(refresh(world, &token), refresh(world, &token));
        let (one, two) = (one.expect(200), two.expect(200));
        tokens = match (round + lost) % 3 {
            0 => one,
            1 => two,
            // Both answers were lost: it asks once more.
            _ => refresh(world, &token).await.expect(200),
        };
        me(world, &tokens).await.expect(200);
    }
    tokens
}

on_both! {
    async fn in_200_double_refreshes_with_lost_answers_nobody_honest_is_signed_out(world: World) {
        let mut devices = Vec::new();
        for login in ["lebedeva", "gusev", "chuzhoy", "soykina"] {
            for _ in 0..5 {
                devices.push(with_password(world, login, PASSWORD).await.expect(200));
            }
        }
        let lines = devices.into_iter().enumerate().map(|(lost, tokens)| on_a_bad_line(world, tokens, lost));
        for tokens in join_all(lines).await {
            me(world, &tokens).await.expect(200);
            refresh(world, next(&tokens)).await.expect(200);
        }
    }
}

on_both! {
    async fn staff_sign_in_again_every_working_day_however_busy_they_are(world: World) {
        let whole = i64::from(world.house.app.config.sign_in.staff_session_minutes);
        let mut tokens = refresh(world, &world.doctor.refresh_token).await.expect(200);
        let mut passed = 0;
        while passed + 25 < whole {
            world.house.advance(TimeDelta::minutes(25));
            passed += 25;
            tokens = refresh(world, next(&tokens)).await.expect(200);
            me(world, &tokens).await.expect(200);
        }
        world.house.advance(TimeDelta::minutes(whole - passed));
        assert_eq!(me(world, &tokens).await.status, 401);
        assert_eq!(refresh(world, next(&tokens)).await.refused(401), "session_over");
    }
}

on_both! {
    async fn staff_are_signed_out_after_half_an_hour_and_patients_after_a_week(world: World) {
        world.house.advance(TimeDelta::minutes(29));
        let doctor = refresh(world, &world.doctor.refresh_token).await.expect(200);
        world.house.advance(TimeDelta::minutes(30));
        assert_eq!(refresh(world, next(&doctor)).await.refused(401), "session_over");
        world.house.advance(TimeDelta::days(6));
        let mut asha = refresh(world, &world.asha.refresh_token).await.expect(200);
        for _ in 0..3 {
            world.house.advance(TimeDelta::days(6));
            asha = refresh(world, next(&asha)).await.expect(200);
        }
        world.house.advance(TimeDelta::days(6));
        assert_eq!(refresh(world, next(&asha)).await.refused(401), "session_over", "thirty days");
        assert_eq!(refresh(world, "unknown").await.refused(401), "invalid_token");
    }
}

on_both! {
    async fn what_is_over_is_thrown_away_and_a_copied_token_is_known_as_long_as_it_can_harm(world: World) {
        let count = |of: &str| world.house.count(&format!("SELECT count(*) AS n FROM {of}"));
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(TimeDelta::minutes(6));
        crate::support::peer::ticket(&world.asha.client, &encounter_of(&booked)).await;
        let staff = "refresh_tokens JOIN sessions ON sessions.id = session_id WHERE method <> 'code'";
        let second = refresh(world, &world.asha.refresh_token).await.expect(200);
        me(world, &second).await.expect(200);
        let everything = [staff, "sign_in_challenges", "rtc_tickets", "rate_counters"];
        retention::sweep(&world.house.app).await;
        assert!(everything.iter().all(|of| count(of) > 0), "what is fresh stays");

        world.house.advance(TimeDelta::days(3));
        retention::sweep(&world.house.app).await;
        assert_eq!(everything.map(count), [0; 4]);
        assert_eq!(refresh(world, &world.doctor.refresh_token).await.status, 401);
        // The copy of a used token comes after days, in a session that goes on.
        assert_eq!(refresh(world, &world.asha.refresh_token).await.refused(401), "session_over");
        assert_eq!(refresh(world, next(&second)).await.refused(401), "session_over");

        world.house.advance(TimeDelta::days(6));
        retention::sweep(&world.house.app).await;
        assert_eq!(count("refresh_tokens"), 0);
        assert_eq!(refresh(world, next(&second)).await.status, 401);
    }
}

on_both! {
    async fn signing_out_ends_this_session_and_no_other(world: World) {
        world.house.advance(TimeDelta::minutes(2));
        let (asked, code) = arrived_code(world, &world.asha.login).await;
        let other = try_code(world, &asked, &code).await.expect(200);
        let left = world.asha.client.post("/v1/auth/logout", &json!({})).await;
        assert_eq!(left.status, 204);
        assert_eq!(world.asha.client.get("/v1/me").await.refused(401), "session_over");
        assert_eq!(refresh(world, &world.asha.refresh_token).await.refused(401), "session_over");
        me(world, &other).await.expect(200);
        let nobody = world.house.client().post("/v1/auth/logout", &json!({})).await;
        assert_eq!(nobody.refused(401), "unauthorized");
    }
}

on_both! {
    async fn everyone_learns_who_they_are(world: World) {
        let asha = world.asha.client.get("/v1/me").await.expect(200);
        assert_eq!(asha["account"]["language"], "ru");
        assert_eq!(asha["patient"]["id"], json!(world.asha.id));
        assert_eq!(asha["patient"]["time_zone"], "Asia/Krasnoyarsk");
        assert_eq!(asha["patient"]["location"]["id"], json!(world.village));
        assert_eq!(asha["memberships"], json!([]));
        assert!(asha.get("practitioner").is_none());
        let doctor = world.doctor.client.get("/v1/me").await.expect(200);
        assert_eq!(doctor["practitioner"]["kind"], "doctor");
        assert_eq!(doctor["practitioner"]["organization"]["id"], json!(world.clinic));
        assert_eq!(doctor["memberships"][0]["role"], "doctor");
        assert_eq!(doctor["memberships"][0]["organization"]["name"], "Таёжная больница");
        assert!(doctor.get("patient").is_none());
        assert_eq!(doctor["system_admin"], false);
        let registrar = world.registrar.client.get("/v1/me").await.expect(200);
        assert_eq!(registrar["memberships"][0]["role"], "registrar");
        assert!(registrar.get("patient").is_none() && registrar.get("practitioner").is_none());
        assert_eq!(registrar["system_admin"], false);
        assert_eq!(world.admin.client.get("/v1/me").await.expect(200)["system_admin"], true);
    }
}

on_both! {
    async fn our_public_keys_can_be_fetched_and_kept(world: World) {
        let keys = world.house.client().get("/.well-known/jwks.json").await;
        assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
        let keys = keys.expect(200)["keys"].as_array().unwrap().clone();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["crv"], "Ed25519");
        assert!(keys[0].get("d").is_none(), "the private half stays here");

        // Anybody can verify our tokens with nothing but these keys.
        let token = world.asha.client.token.as_ref().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, payload) = signed.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&B64.decode(part).unwrap()).unwrap();
        let head = json(head);
        assert_eq!((&head["alg"], &head["kid"]), (&json!("EdDSA"), &keys[0]["kid"]));
        let claims = json(payload);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        let said = claims.to_string();
        assert!(!said.contains("Аша") && !said.contains("7000"), "{said}");
        let public = B64.decode(keys[0]["x"].as_str().unwrap()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, public);
        let signature = B64.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        let forged = signed.replacen('.', ".e", 1);
        assert!(key.verify(forged.as_bytes(), &signature).is_err());
    }
}

on_both! {
    async fn processes_that_start_together_sign_with_the_same_key(world: World) {
        world.house.execute("DELETE FROM token_keys").unwrap();
        let opened = join_all((0..8).map(|_| {
            let (app, seal) = (std::sync::Arc::clone(&world.house.app), world.house.app.seal.clone());
            async move {
                let now = app.clock.now();
                app.db.write(move |conn| Tokens::open(conn, &seal, now)).await.unwrap().unwrap()
            }
        }))
        .await;
        let first = opened[0].jwks();
        assert!(opened.iter().all(|tokens| tokens.jwks() == first));
        assert_eq!(world.house.count("SELECT count(*) AS n FROM token_keys"), 1);
    }
}

on_both! {
    async fn no_secret_of_a_sign_in_is_kept_readable(world: World) {
        let person: Person = signed_in(
            &world.house,
            &with_password(world, "lebedeva", PASSWORD).await.expect(200),
            "lebedeva",
            world.doctor.id.clone(),
        );
        let kept = "SELECT count(*) AS n FROM idempotency_keys WHERE route LIKE '%auth%'";
        assert_eq!(world.house.count(kept), 0);
        let hashed = "SELECT count(*) AS n FROM accounts WHERE password_hash IS NOT NULL AND \
                      password_hash NOT LIKE '$argon2id$v=19$m=47104,t=1,p=1$%'";
        assert_eq!(world.house.count(hashed), 0);
        let short = "SELECT count(*) AS n FROM refresh_tokens WHERE length(token_hash) <> 32";
        assert_eq!(world.house.count(short), 0);
        assert!(person.refresh_token.len() >= 43);
    }
}
