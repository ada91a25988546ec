//! Bad tokens, one by one: each was accepted by somebody's server once.

use super::*;
use crate::base::db;

const NOW: &str = "2026-11-23T02:00:00Z";
const LIFE: TimeDelta = TimeDelta::minutes(10);

fn now() -> Instant {
    NOW.parse().unwrap()
}

fn claims() -> Claims {
    Claims {
        account: AccountId::new(now()),
        session: SessionId::new(now()),
        security_version: 1,
        id: Uuid::new_v4(),
    }
}

fn ticket_claims() -> TicketClaims {
    TicketClaims {
        participant: ParticipantId::new(now()),
        encounter: EncounterId::new(now()),
        session: SessionId::new(now()),
        jti: Uuid::new_v4(),
    }
}

/// A ring with one fresh key of each state, without a database.
fn ring() -> (Tokens, Vec<Ed25519KeyPair>) {
    let states = [KeyState::Active, KeyState::Next, KeyState::Retiring, KeyState::Retired];
    let pairs: Vec<_> = states.iter().map(|_| Ed25519KeyPair::generate().unwrap()).collect();
    let keys: Vec<Key> = states
        .iter()
        .zip(&pairs)
        .map(|(state, pair)| {
            let public = pair.public_key().as_ref().to_vec();
            Key::from(Row {
                kid: thumbprint(&public),
                state: *state,
                private_sealed: Vec::new(),
                public_key: public,
            })
        })
        .collect();
    let private = pairs[0].to_pkcs8().unwrap();
    let tokens = Tokens {
        kid: keys[0].kid.clone(),
        signing: EncodingKey::from_ed_der(private.as_ref()),
        pair: Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap(),
        keys,
        proven: Mutex::new([HashSet::new(), HashSet::new()]),
    };
    (tokens, pairs)
}

fn good_header(tokens: &Tokens) -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": tokens.kid})
}

fn good_payload() -> Value {
    let at = now().utc().timestamp();
    json!({
        "iss": "feldsher", "aud": "feldsher-api", "sub": Uuid::new_v4(), "sid": Uuid::new_v4(),
        "sv": 1, "jti": Uuid::new_v4(), "iat": at, "nbf": at, "exp": at + 600,
    })
}

fn signed(pair: &Ed25519KeyPair, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

#[track_caller]
fn assert_refused(tokens: &Tokens, token: &str, what: &str) {
    let error = tokens.verify_access(token, now()).expect_err(what);
    assert!(error.is(&problem::INVALID_TOKEN), "{what}: {error}");
}

#[test]
fn a_good_token_says_who_it_is_until_it_runs_out() {
    let (tokens, _) = ring();
    let claims = claims();
    let token = tokens.issue_access(&claims, now(), LIFE).unwrap();
    let seen = tokens.verify_access(&token, now()).unwrap();
    assert_eq!((seen.account, seen.session), (claims.account, claims.session));
    assert_eq!((seen.security_version, seen.id), (1, claims.id));
    let at = |seconds| now().plus(TimeDelta::seconds(seconds));
    assert!(tokens.verify_access(&token, at(-60)).is_ok(), "a clock may be a minute behind");
    assert!(tokens.verify_access(&token, at(-61)).is_err());
    assert!(tokens.verify_access(&token, at(604)).is_ok());
    assert!(tokens.verify_access(&token, at(605)).is_err());
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    let mut names: Vec<_> = payload.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "nbf", "sid", "sub", "sv"]);
}

#[test]
fn the_hand_made_token_of_the_corpus_is_good_so_each_refusal_has_its_own_reason() {
    let (tokens, pairs) = ring();
    let token = signed(&pairs[0], &good_header(&tokens).to_string(), &good_payload().to_string());
    assert!(tokens.verify_access(&token, now()).is_ok());
}

#[test]
fn a_wrong_header_is_refused() {
    let (tokens, pairs) = ring();
    let good = good_header(&tokens);
    let kid_of = |at: usize| thumbprint(pairs[at].public_key().as_ref());
    let headers = [
        with(good.clone(), "alg", json!("none")),
        with(good.clone(), "alg", json!("None")),
        with(good.clone(), "alg", json!("HS256")),
        with(good.clone(), "alg", json!("ES256")),
        with(good.clone(), "alg", json!("RS256")),
        with(good.clone(), "alg", json!("eddsa")),
        with(good.clone(), "alg", json!(["EdDSA"])),
        without(good.clone(), "alg"),
        with(good.clone(), "typ", json!("JWT")),
        with(good.clone(), "typ", json!("rtc-ticket+jwt")),
        with(good.clone(), "typ", json!("refresh+jwt")),
        with(good.clone(), "typ", json!("AT+JWT")),
        without(good.clone(), "typ"),
        with(good.clone(), "kid", json!("unknown")),
        with(good.clone(), "kid", json!("")),
        with(good.clone(), "kid", json!(7)),
        with(good.clone(), "kid", json!(kid_of(1))),
        with(good.clone(), "kid", json!(kid_of(3))),
        without(good.clone(), "kid"),
        with(good.clone(), "crit", json!(["exp"])),
        with(good.clone(), "crit", json!([])),
        with(good.clone(), "b64", json!(false)),
        with(good.clone(), "jku", json!("https://evil.example/jwks.json")),
        with(good.clone(), "x5u", json!("https://evil.example/cert")),
        with(good.clone(), "x5c", json!(["AAAA"])),
        with(good.clone(), "cty", json!("JWT")),
        with(good.clone(), "zip", json!("DEF")),
        with(good.clone(), "jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": tokens.keys[1].x})),
        json!([]),
        json!("EdDSA"),
    ];
    for header in headers {
        let token = signed(&pairs[0], &header.to_string(), &good_payload().to_string());
        assert_refused(&tokens, &token, &header.to_string());
    }
}

#[test]
fn a_wrong_claim_is_refused() {
    let (tokens, pairs) = ring();
    let good = good_payload();
    let at = now().utc().timestamp();
    let mut payloads: Vec<Value> = ["iss", "aud", "sub", "sid", "sv", "jti", "iat", "nbf", "exp"]
        .iter()
        .flat_map(|name| {
            [
                without(good.clone(), name),
                with(good.clone(), name, Value::Null),
                with(good.clone(), name, json!({})),
                with(good.clone(), name, json!(true)),
            ]
        })
        .collect();
    payloads.extend([
        with(good.clone(), "iss", json!("feldsher.example")),
        with(good.clone(), "iss", json!(["feldsher"])),
        with(good.clone(), "iss", json!(5)),
        with(good.clone(), "aud", json!("feldsher-rtc")),
        with(good.clone(), "aud", json!(["feldsher-api", "other"])),
        with(good.clone(), "aud", json!("")),
        with(good.clone(), "sub", json!("admin")),
        with(good.clone(), "sv", json!("1")),
        with(good.clone(), "exp", json!(at - 5)),
        with(good.clone(), "exp", json!(at - 600)),
        with(good.clone(), "exp", json!(-1)),
        with(good.clone(), "exp", json!((at + 600).to_string())),
        with(good.clone(), "exp", json!(1e300)),
        with(good.clone(), "nbf", json!(at + 61)),
        with(good.clone(), "nbf", json!(4_102_444_800_i64)),
        with(good.clone(), "nbf", json!("now")),
        json!([]),
    ]);
    for payload in payloads {
        let token = signed(&pairs[0], &good_header(&tokens).to_string(), &payload.to_string());
        assert_refused(&tokens, &token, &payload.to_string());
    }
    let twice = good.to_string().replacen('{', r#"{"exp":1,"#, 1);
    let token = signed(&pairs[0], &good_header(&tokens).to_string(), &twice);
    assert_refused(&tokens, &token, "exp twice");
}

#[test]
fn a_token_signed_otherwise_is_refused() {
    let (tokens, pairs) = ring();
    let (header, payload) = (good_header(&tokens), good_payload().to_string());
    let token = signed(&pairs[0], &header.to_string(), &payload);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let stranger = Ed25519KeyPair::generate().unwrap();
    assert_refused(&tokens, &signed(&stranger, &header.to_string(), &payload), "foreign key");
    let symmetric = with(header.clone(), "alg", json!("HS256")).to_string();
    for key in [tokens.keys[0].public.clone(), tokens.keys[0].x.clone().into_bytes(), vec![0]] {
        let body =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(&symmetric), URL_SAFE_NO_PAD.encode(&payload));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let tag = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, body.as_bytes()));
        assert_refused(&tokens, &format!("{body}.{tag}"), "the public key as an HMAC secret");
    }
    let standard = base64::engine::general_purpose::STANDARD;
    let forms = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{signature}."),
        format!(".{message}.{signature}"),
        format!("{message}.{signature}.{signature}"),
        format!("{message}.{signature}="),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode([0_u8; 64])),
        format!("{message}.{}", standard.encode(pairs[0].sign(message.as_bytes()))),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace('.', ".\u{0}"),
        token.to_uppercase(),
        "x".repeat(TOKEN_BYTES_MAX + 1),
    ];
    for form in forms {
        assert_refused(&tokens, &form, &form);
    }
}

#[test]
fn no_bit_of_a_token_can_be_changed_and_no_end_cut_off() {
    let (tokens, _) = ring();
    let token = tokens.issue_access(&claims(), now(), LIFE).unwrap();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert_refused(&tokens, &changed, &format!("byte {at} bit {bit}"));
        }
        assert_refused(&tokens, token.get(..at).unwrap(), &format!("cut at {at}"));
    }
}

#[test]
fn one_kind_of_token_is_never_taken_for_another() {
    let (tokens, _) = ring();
    let access = tokens.issue_access(&claims(), now(), LIFE).unwrap();
    let wanted = ticket_claims();
    let ticket = tokens.issue_ticket(&wanted, now()).unwrap();
    assert_refused(&tokens, &ticket, "a ticket");
    assert!(tokens.verify_ticket(&access, now()).is_err());
    let seen = tokens.verify_ticket(&ticket, now()).unwrap();
    assert_eq!((seen.participant, seen.encounter), (wanted.participant, wanted.encounter));
    assert_eq!((seen.session, seen.jti), (wanted.session, wanted.jti));
    let late = now().plus(TimeDelta::seconds(TICKET_SECS + 5));
    assert!(tokens.verify_ticket(&ticket, late).is_err());
}

#[test]
fn keys_on_their_way_in_and_out_verify_and_a_retired_one_only_documents() {
    let (tokens, pairs) = ring();
    for (at, good) in [(0, true), (1, true), (2, true), (3, false)] {
        let kid = thumbprint(pairs[at].public_key().as_ref());
        let header = with(good_header(&tokens), "kid", json!(kid)).to_string();
        let token = signed(&pairs[at], &header, &good_payload().to_string());
        assert_eq!(tokens.verify_access(&token, now()).is_ok(), good, "key {at}");
        let signature = pairs[at].sign(&document(b"note"));
        assert!(tokens.verify_signature(&kid, b"note", signature.as_ref()), "key {at}");
    }
    let published = tokens.jwks()["keys"].as_array().unwrap().clone();
    assert_eq!(published.len(), 3);
    assert!(published.iter().all(|key| key.get("d").is_none()));
}

#[test]
fn a_signed_document_verifies_and_is_no_token() {
    let (tokens, _) = ring();
    let (kid, signature) = tokens.sign(b"note").unwrap();
    assert!(tokens.verify_signature(&kid, b"note", &signature));
    assert!(!tokens.verify_signature(&kid, b"n0te", &signature));
    assert!(!tokens.verify_signature("other", b"note", &signature));
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(good_header(&tokens).to_string()),
        URL_SAFE_NO_PAD.encode(good_payload().to_string())
    );
    let (_, signature) = tokens.sign(message.as_bytes()).unwrap();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_refused(&tokens, &token, "a document that looks like a token");
}

#[test]
fn the_key_id_is_the_thumbprint_of_rfc_8037() {
    // RFC 8037, appendix A.3.
    let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn what_was_proven_is_remembered_and_memory_stays_bounded() {
    let (tokens, _) = ring();
    let first = Uuid::new_v4();
    assert!(!tokens.is_proven(first));
    tokens.remember_proven(first);
    assert!(tokens.is_proven(first));
    for _ in 0..PROVEN_MAX * 2 {
        tokens.remember_proven(Uuid::new_v4());
    }
    assert!(!tokens.is_proven(first));
    let sizes = tokens.proven.lock().unwrap().iter().map(HashSet::len).sum::<usize>();
    assert!(sizes <= PROVEN_MAX * 2);
}

#[actix_web::test]
async fn a_database_opened_again_has_the_same_key_and_another_master_key_opens_nothing() {
    let directory = std::env::temp_dir().join(format!("feldsher-token-{}", std::process::id()));
    let url = db::DatabaseUrl::Sqlite(directory.join("token.db"));
    let (database, threads) = db::open(&url, 1, 16).unwrap();
    let open = async |master: u8| {
        database
            .write(move |conn| Tokens::open(conn, &Seal::new(&[master; 32]).unwrap(), now()))
            .await
            .unwrap()
    };
    let first = open(7).await.unwrap();
    let token = first.issue_access(&claims(), now(), LIFE).unwrap();
    let second = open(7).await.unwrap();
    assert_eq!(first.kid, second.kid);
    assert!(second.verify_access(&token, now()).is_ok());
    assert!(open(8).await.is_err());
    drop(database);
    threads.join();
    std::fs::remove_dir_all(directory).unwrap();
}
