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
    let (tell, mut heard) = mpsc::channel(16);
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_dtls_cipher_suites(suites.to_vec());
    let browser = PeerConnectionBuilder::new()
        .with_setting_engine(settings.build())
        .with_handler(Arc::new(Browser(tell)))
        .with_udp_addrs(vec![on_this_machine()]);
    let browser = Box::pin(browser.build()).await.unwrap();
    let _channel = browser.create_data_channel("probe", None).await.unwrap();
    let offer = browser.create_offer(None).await.unwrap();
    browser.set_local_description(offer).await.unwrap();
    hears(&mut heard, &["gathered"]).await;
    let offer = twist(browser.local_description().await.unwrap().sdp);

    let engine = Engine::start().unwrap();
    let probe = ProbeId(uuid::Uuid::from_u128(1));
    let who = (AccountId(uuid::Uuid::from_u128(1)), probe, Leg::Direct);
    let place = Arc::new(Places::default()).take(who, 1, &[]).unwrap();
    let ways = Ways { addresses: vec![on_this_machine()], public: Vec::new() };
    let offer = offer::without_addresses(&offer).unwrap();
    let answer = engine.answer(place, ways, offer).await.unwrap();
    browser.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    let mut word = hears(&mut heard, &["found", "agreed"]).await;
    if word == "found" {
        let end = hears(&mut heard, &["agreed", "refused"]);
        word = tokio::time::timeout(patience, end).await.unwrap_or("refused");
    }
    browser.close().await.unwrap();
    word == "agreed"
}

const CBC: CipherSuiteId = CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha;

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
