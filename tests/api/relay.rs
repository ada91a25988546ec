//! The relay of calls: a real coturn with the file that we ship, and what `feldsher relay check`
//! says of one that does not work.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feldsher::base::clock::{Clock, SystemClock};
use feldsher::base::config::{Config, Ice, Secret};
use feldsher::call::ice;
use feldsher::call::relay::client::{Client, Credential};
use feldsher::call::relay::stun::{Class, Message, attribute};
use feldsher::call::relay::trouble::Trouble;
use feldsher::call::relay::url::RelayUrl;
use feldsher::call::relay::wire::Wire;
use feldsher::call::relay::{check, trusting};

use crate::support::relay::{Coturn, LOOPBACK, SECRET, free_port};
use crate::support::{Engine, House};

/// What another relay has.
const OTHER_SECRET: &str = "another secret of the tests, as long as one is";

/// What belongs to nobody in the internet, and what does.
const PRIVATE: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.251",
    "240.0.0.1",
    "255.255.255.255",
];
const PUBLIC: &[&str] = &["8.8.8.8", "93.184.216.34", "100.63.0.1", "172.32.0.1", "198.20.0.1"];
const PRIVATE_V6: &[&str] = &[
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];
const PUBLIC_V6: &[&str] = &["2a00:1450:4010:c05::71", "2001:4860:4860::8888"];

fn settings(urls: &[String], secret: &str, trusted: Option<PathBuf>) -> Ice {
    Ice {
        turn_urls: urls.to_vec(),
        turn_secret: Secret(secret.to_owned()),
        turn_ca: trusted.unwrap_or_default(),
        ..Config::defaults().unwrap().ice
    }
}

/// What a participant is given who joins now, or joined some time ago.
fn credential(settings: &Ice, hours_ago: i64) -> Credential {
    let then = SystemClock.now().plus(chrono::TimeDelta::hours(-hours_ago));
    let server = ice::servers(settings, uuid::Uuid::new_v4(), then).pop().unwrap();
    Credential { username: server.username.unwrap(), password: server.credential.unwrap() }
}

fn client(url: &str, settings: &Ice, credential: Option<Credential>) -> Client {
    let relay: RelayUrl = url.parse().unwrap();
    let place = SocketAddr::from(([127, 0, 0, 1], relay.port));
    let tls = Arc::new(trusting(settings).unwrap());
    let until = Instant::now() + Duration::from_secs(5);
    Client::new(Wire::open(&relay, place, &tls, until).unwrap(), credential)
}

/// What `feldsher relay check` prints, and whether it is content.
fn told(settings: &Ice) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_feldsher"))
        .args(["relay", "check"])
        .env("FELDSHER__ICE__TURN_URLS", settings.turn_urls.join(","))
        .env("FELDSHER__ICE__TURN_SECRET", &settings.turn_secret.0)
        .env("FELDSHER__ICE__TURN_CA", &settings.turn_ca)
        .output()
        .unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(text).unwrap())
}

/// It says so for each of the relays, and fails.
fn fails(settings: &Ice, words: &str) {
    let (is_content, said) = told(settings);
    assert!(!is_content, "{said}");
    assert_eq!(said.matches(words).count(), settings.turn_urls.len(), "{words}: {said}");
    assert!(!said.contains(&settings.turn_secret.0), "a secret is not printed: {said}");
}

#[test]
fn coturn_knows_every_line_of_the_shipped_file_and_writes_down_nobody() {
    let coturn = Coturn::start(LOOPBACK);
    let ours = settings(&coturn.urls(), SECRET, Some(coturn.certificate("cert")));
    let before = coturn.log();
    assert!(before.contains("Version Coturn"), "{before}");
    assert!(!before.contains("Bad configuration"), "{before}");
    let (is_content, said) = told(&ours);
    assert!(is_content, "{said}{}", coturn.log());
    assert_eq!(said.matches("works: a packet came back").count(), 3, "{said}");
    std::thread::sleep(Duration::from_millis(500));
    let after = coturn.log();
    assert_eq!(after.strip_prefix(&before), Some(""), "a call leaves no line");
}

#[test]
fn a_participants_credential_is_taken_over_udp_tcp_and_tls_and_no_other() {
    let coturn = Coturn::start(&[]);
    let ours = settings(&coturn.urls(), SECRET, Some(coturn.certificate("cert")));
    let theirs = settings(&coturn.urls(), OTHER_SECRET, Some(coturn.certificate("cert")));
    for url in coturn.urls() {
        let mut guest = client(&url, &ours, Some(credential(&ours, 0)));
        let relayed = guest.allocate(false).unwrap();
        assert_eq!(relayed.ip(), IpAddr::from([127, 0, 0, 1]));
        assert!(relayed.port() >= 49_152, "{relayed}: a port of the range");
        guest.release();
        for wrong in [None, Some(credential(&ours, 5)), Some(credential(&theirs, 0))] {
            let refused = client(&url, &ours, wrong).allocate(false);
            assert_eq!(refused, Err(Trouble::Secret), "{url}");
        }
    }
}

#[test]
fn who_joins_again_and_again_gets_no_more_of_the_relay_than_who_joins_once() {
    let coturn = Coturn::start(&["--user-quota=2"]);
    let [url, ..] = coturn.urls();
    let ours = settings(&coturn.urls(), SECRET, None);
    let secs = i64::from(ours.turn_credential_secs);
    let (asha, boris) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    // Minutes apart, in the stretch of time that runs now.
    let begun = SystemClock.now().utc().timestamp() / secs * secs;
    let joined = |who, minutes: i64| {
        let now = feldsher::base::column::Instant::from_micros((begun + 60 * minutes) * 1_000_000);
        let server = ice::servers(&ours, who, now.unwrap()).pop().unwrap();
        Credential { username: server.username.unwrap(), password: server.credential.unwrap() }
    };
    let mut open = Vec::new();
    let mut allocates = |who, minutes| {
        let mut client = client(&url, &ours, Some(joined(who, minutes)));
        let allocated = client.allocate(false).map(drop);
        open.push(client);
        allocated
    };
    assert_eq!([allocates(asha, 0), allocates(asha, 1)], [Ok(()), Ok(())]);
    assert_eq!(allocates(asha, 2), Err(Trouble::Quota));
    assert_eq!(allocates(boris, 2), Ok(()), "another participant has a quota of their own");
}

#[test]
fn the_shipped_file_lets_packets_out_to_the_internet_and_nowhere_else() {
    let has_ipv6 = UdpSocket::bind("[::1]:0").is_ok();
    let coturn = Coturn::start(if has_ipv6 { &["--relay-ip=::1"] } else { &[] });
    let [url, ..] = coturn.urls();
    let ours = settings(&coturn.urls(), SECRET, None);
    let mut lists = vec![(false, PRIVATE, PUBLIC)];
    if has_ipv6 {
        lists.push((true, PRIVATE_V6, PUBLIC_V6));
    }
    for (ipv6, private, public) in lists {
        let mut guest = client(&url, &ours, Some(credential(&ours, 0)));
        assert_eq!(guest.allocate(ipv6).unwrap().is_ipv6(), ipv6);
        for address in private {
            let ip: IpAddr = address.parse().unwrap();
            let refused = guest.permit(SocketAddr::new(ip, 443));
            assert!(matches!(refused, Err(Trouble::PeerForbidden(_))), "{ip}: {refused:?}");
        }
        for address in public {
            let ip: IpAddr = address.parse().unwrap();
            assert_eq!(guest.permit(SocketAddr::new(ip, 443)), Ok(()), "{ip}");
        }
    }
}

#[test]
fn the_check_says_in_words_what_is_wrong_with_a_coturn() {
    let coturn = Coturn::start(LOOPBACK);
    let mut ours = settings(&coturn.urls(), OTHER_SECRET, Some(coturn.certificate("cert")));
    fails(&ours, "`static-auth-secret` there and ice.turn_secret here differ");

    ours = settings(&coturn.urls()[2..], SECRET, None);
    fails(&ours, "its certificate is not trusted (nobody known has signed it");
    let shown = ["--cert=stranger.pem", "--pkey=stranger.key"];
    let other = Coturn::start(&shown);
    ours = settings(&other.urls()[2..], SECRET, Some(other.certificate("stranger")));
    fails(&ours, "its certificate is not trusted (it is for another name)");

    // A clock that is a day behind makes names that have run out before they are used.
    ours = settings(&coturn.urls(), SECRET, Some(coturn.certificate("cert")));
    let yesterday = SystemClock.now().plus(chrono::TimeDelta::days(-1));
    let tls = Arc::new(trusting(&ours).unwrap());
    let relay = ours.turn_urls[0].parse().unwrap();
    assert_eq!(check(&relay, &ours, &tls, yesterday), Err(Trouble::Clock));

    let only_port = format!("={}", free_port());
    let ports = [format!("--min-port{only_port}"), format!("--max-port{only_port}")];
    let lost = ["--external-ip=203.0.113.9", "--allowed-peer-ip=203.0.113.9"];
    for (overrides, words) in [
        (vec![], "it may not send to 127.0.0.1"),
        (vec!["--user-quota=1"], "its quota is used up"),
        (vec!["--total-quota=1"], "its quota is used up"),
        (ports.iter().map(String::as_str).collect(), "it has no relay port left"),
        (lost.to_vec(), "a packet sent through it did not come back"),
    ] {
        let coturn = Coturn::start(&overrides);
        fails(&settings(&coturn.urls()[..1], SECRET, None), words);
    }
}

#[test]
fn the_check_says_in_words_when_there_is_no_coturn() {
    let nowhere = free_port();
    let both = |port: u16| {
        [format!("turn:127.0.0.1:{port}"), format!("turn:127.0.0.1:{port}?transport=tcp")]
    };
    fails(&settings(&both(nowhere), SECRET, None), "nobody listens at this port");
    let nobody = ["turn:relay.invalid".to_owned()];
    fails(&settings(&nobody, SECRET, None), "its name does not resolve");
    let (is_content, said) = told(&settings(&[], SECRET, None));
    assert!(!is_content && said.contains("ice.turn_urls is empty"), "{said}");

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("turn:{}", silent.local_addr().unwrap());
    fails(&settings(&[url], SECRET, None), "nobody answers");

    let web = web_server();
    let urls = [format!("turn:127.0.0.1:{web}?transport=tcp")];
    fails(&settings(&urls, SECRET, None), "what answers is no TURN relay");
    let urls = [format!("turns:127.0.0.1:{web}?transport=tcp")];
    fails(&settings(&urls, SECRET, None), "what answers does not speak TLS");

    for (code, words) in [
        (None, "it relays for anybody, without a password"),
        (Some(300), "it sends us elsewhere (300)"),
        (Some(403), "it refuses us (403)"),
        (Some(437), "it refuses with the error 437"),
    ] {
        let url = format!("turn:127.0.0.1:{}", strange_relay(code));
        fails(&settings(&[url], SECRET, None), words);
    }
}

#[actix_web::test]
async fn a_server_looks_at_its_relays_by_itself_and_is_ready_all_the_same() {
    let coturn = Coturn::start(LOOPBACK);
    let [udp, ..] = coturn.urls();
    let gone = format!("turn:127.0.0.1:{}", free_port());
    let house = House::open_with(Engine::Sqlite, |config| {
        config.ice = settings(&[udp, gone], SECRET, None);
        // The clock of the house stands, and that of the relay goes on: nine years of it.
        config.ice.turn_credential_secs = 300_000_000;
    })
    .await;
    let client = house.client();
    for _ in 0..300 {
        let ready = client.get("/health/ready").await.expect(200);
        if ready["relays"].is_object() {
            let standing = serde_json::json!({"working": 1, "failing": 1});
            assert_eq!(ready["relays"], standing);
            house.close().await;
            return;
        }
        actix_web::rt::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not look");
}

/// Another program at the port of a relay.
fn web_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 512];
            let _read = stream.read(&mut request).unwrap_or_default();
            // The reader may have seen enough before the end.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").ok();
        }
    });
    port
}

/// A relay that grants everything, or answers every question with one error.
fn strange_relay(code: Option<u16>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let Some(asked) = Message::read(&bytes[..length]) else { continue };
            let answer = match code {
                None => Message::new(asked.method, Class::Success, asked.id),
                Some(code) => {
                    let part = |part: u16| u8::try_from(part).unwrap();
                    let code = [0, 0, part(code / 100), part(code % 100)];
                    let answer = Message::new(asked.method, Class::Failure, asked.id);
                    answer.with(attribute::ERROR_CODE, code)
                }
            };
            socket.send_to(&answer.write(None).unwrap(), from).unwrap();
        }
    });
    port
}
