//! With whom the echo agrees on a key, and with whom it does not (OWASP ASVS 5.0, 17.2.2 and 17.2.8).

use std::net::UdpSocket;

use super::*;
use crate::account::AccountId;
use crate::call::probe::places::Places;
use crate::call::probe::{Leg, ProbeId};

/// Longer than anything takes that comes about at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever is refused is not always told so: without a key for so long, once the way is found, there is
/// none. On a busy machine this lets something bad pass, and never fails something good.
const REFUSED: Duration = Duration::from_secs(3);

/// What becomes of a connection, as a browser hears it.
struct Browser(mpsc::Sender<&'static str>);

#[async_trait]
impl PeerConnectionEventHandler for Browser {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.try_send("gathered").ok();
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        if state == RTCIceConnectionState::Connected {
            self.0.try_send("found").ok();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let heard = match state {
            RTCPeerConnectionState::Connected => "agreed",
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => "refused",
            _ => return,
        };
        self.0.try_send(heard).ok();
    }
}

fn on_this_machine() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The first of these words that is heard.
async fn hears(heard: &mut mpsc::Receiver<&'static str>, wanted: &[&str]) -> &'static str {
    let hears = async {
        loop {
            let word = heard.recv().await.expect("a word");
            if wanted.contains(&word) {
                return word;
            }
        }
    };
    tokio::time::timeout(PATIENCE, hears).await.expect("it comes about")
}

async fn agree(suites: &[CipherSuiteId], twist: impl FnOnce(String) -> String) {
    assert!(agrees(suites, twist, PATIENCE).await, "{suites:?}");
}

async fn disagree(suites: &[CipherSuiteId], twist: impl FnOnce(String) -> String) {
    assert!(!agrees(suites, twist, REFUSED).await, "{suites:?}");
}

/// Whether a browser that knows `suites` comes to a key with the echo, when `twist` has changed what
/// it said of itself on the way. The way itself is always found.
async fn agrees(
    suites: &[CipherSuiteId],
    twist: impl FnOnce(String) -> String,
    patience: Duration,
) -> bool {
    let (browser, mut heard) = knowing(suites).await;
    let _channel = browser.create_data_channel("probe", None).await.unwrap();
    let offer = browser.create_offer(None).await.unwrap();
    let offer = twist(described(&browser, &mut heard, offer).await);

    let engine = Engine::start().unwrap();
    let answer = answered(&engine, &Arc::new(Places::default()), &offer).await;
    browser.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    let agreed = comes_to_a_key(&mut heard, patience).await;
    browser.close().await.unwrap();
    agreed
}

/// What the echo says to an offer, in the only place that there is.
async fn answered(engine: &Engine, places: &Arc<Places>, offer: &str) -> String {
    let probe = ProbeId(uuid::Uuid::from_u128(1));
    let who = (AccountId(uuid::Uuid::from_u128(1)), probe, Leg::Direct);
    let place = places.take(who, 1, &[]).unwrap();
    let ways = Ways { addresses: vec![on_this_machine()], public: Vec::new() };
    let offer = offer::without_addresses(offer).unwrap();
    engine.answer(place, ways, offer).await.unwrap()
}

/// A browser that knows `suites`, and what is heard of its connection.
async fn knowing(suites: &[CipherSuiteId]) -> (impl PeerConnection, mpsc::Receiver<&'static str>) {
    let (tell, heard) = mpsc::channel(16);
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_dtls_cipher_suites(suites.to_vec());
    let browser = PeerConnectionBuilder::new()
        .with_setting_engine(settings.build())
        .with_handler(Arc::new(Browser(tell)))
        .with_udp_addrs(vec![on_this_machine()]);
    (Box::pin(browser.build()).await.unwrap(), heard)
}

/// What a browser says of itself once it knows where it can be reached.
async fn described(
    browser: &impl PeerConnection,
    heard: &mut mpsc::Receiver<&'static str>,
    description: RTCSessionDescription,
) -> String {
    browser.set_local_description(description).await.unwrap();
    hears(heard, &["gathered"]).await;
    browser.local_description().await.unwrap().sdp
}

async fn comes_to_a_key(heard: &mut mpsc::Receiver<&'static str>, patience: Duration) -> bool {
    let mut word = hears(heard, &["found", "agreed"]).await;
    if word == "found" {
        let end = hears(heard, &["agreed", "refused"]);
        word = tokio::time::timeout(patience, end).await.unwrap_or("refused");
    }
    word == "agreed"
}

const CBC: CipherSuiteId = CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha;

/// Without this, the echo's refusal of CBC could be the library's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_browsers_that_know_nothing_but_cbc_agree_with_each_other() {
    let (near, mut near_heard) = knowing(&[CBC]).await;
    let (far, mut far_heard) = knowing(&[CBC]).await;
    let _channel = near.create_data_channel("probe", None).await.unwrap();
    let offer = near.create_offer(None).await.unwrap();
    let offer = described(&near, &mut near_heard, offer).await;
    far.set_remote_description(RTCSessionDescription::offer(offer).unwrap()).await.unwrap();
    let answer = far.create_answer(None).await.unwrap();
    let answer = described(&far, &mut far_heard, answer).await;
    near.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    assert!(comes_to_a_key(&mut near_heard, PATIENCE).await);
    near.close().await.unwrap();
    far.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_echo_takes_suites_that_authenticate_and_no_others() {
    for suite in SUITES {
        agree(&[suite], |offer| offer).await;
    }
    disagree(&[CBC], |offer| offer).await;
    agree(&[CBC, SUITES[0]], |offer| offer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_another_certificate_than_was_announced_is_refused() {
    let twist = |offer: String| {
        let (before, print) = offer.split_once("a=fingerprint:sha-256 ").unwrap();
        let mut letters = print.chars();
        let other = if letters.next() == Some('0') { '1' } else { '0' };
        format!("{before}a=fingerprint:sha-256 {other}{}", letters.as_str())
    };
    disagree(&SUITES, twist).await;
    agree(&SUITES, |offer| offer).await;
}

/// What the peer would understand of an offer.
fn understood(offer: String) -> String {
    match RTCSessionDescription::offer(offer).and_then(|offer| offer.unmarshal()) {
        Ok(read) => format!("{read:?}"),
        Err(_) => String::new(),
    }
}

#[test]
fn no_address_is_understood_however_it_was_written() {
    let session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let media =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";
    let candidate = "candidate:1 1 udp 2113937151 10.0.0.5 53 typ host";
    let mut dangerous = 0;
    for before in ["", "\r", "\n\r", "\r\r", " ", "\t", "\u{a0}", "\u{2028}"] {
        for after in ["=", "= ", "=\t", "=\u{a0}", "=\u{3000} ", " =", "=\r"] {
            let line = format!("{before}a{after}{candidate}\r\n");
            for offer in [format!("{session}{media}{line}"), format!("{session}{line}{media}")] {
                dangerous += usize::from(understood(offer.clone()).contains("10.0.0.5"));
                let kept = offer::without_addresses(&offer).unwrap_or_default();
                assert!(!kept.contains("10.0.0.5"), "{offer:?}");
                assert!(kept.is_empty() || !understood(kept).is_empty(), "{offer:?}");
            }
        }
    }
    assert!(dangerous > 2, "the peer reads more than one spelling: {dangerous}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_channel_ends_the_connection() {
    let (browser, mut heard) = knowing(&SUITES).await;
    let first = browser.create_data_channel("probe", None).await.unwrap();
    let offer = browser.create_offer(None).await.unwrap();
    let offer = described(&browser, &mut heard, offer).await;
    let engine = Engine::start().unwrap();
    let places = Arc::new(Places::default());
    let answer = answered(&engine, &places, &offer).await;
    assert!(answer.contains(&format!("a=max-message-size:{MESSAGE_BYTES_MAX}\r\n")), "{answer}");
    browser.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    assert!(comes_to_a_key(&mut heard, PATIENCE).await);
    let until = |wanted: fn(&DataChannelEvent) -> bool| {
        let first = Arc::clone(&first);
        async move { while first.poll().await.is_some_and(|event| !wanted(&event)) {} }
    };
    let opens = until(|event| matches!(event, DataChannelEvent::OnOpen));
    tokio::time::timeout(PATIENCE, opens).await.unwrap();
    let began = Instant::now();
    let _second = browser.create_data_channel("another", None).await.unwrap();
    while places.count() > 0 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Left alone, it would have gone on until its time is over.
    assert!(began.elapsed() < Duration::from_millis(crate::call::probe::watch::WHOLE_MS_MAX / 2));
    browser.close().await.unwrap();
}
