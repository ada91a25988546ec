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
    let probe = ProbeId(uuid::Uuid::from_u128(1));
    let who = (AccountId(uuid::Uuid::from_u128(1)), probe, Leg::Direct);
    let place = Arc::new(Places::default()).take(who, 1, &[]).unwrap();
    let ways = Ways { addresses: vec![on_this_machine()], public: Vec::new() };
    let offer = offer::without_addresses(&offer).unwrap();
    let answer = engine.answer(place, ways, offer).await.unwrap();
    browser.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    let agreed = comes_to_a_key(&mut heard, patience).await;
    browser.close().await.unwrap();
    agreed
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
