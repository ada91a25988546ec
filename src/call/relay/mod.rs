//! Whether the relays work: a packet is sent through each, as a caller's browser would send it,
//! and what is wrong is said in words.
//!
//! A check waits for the network on a thread of its own, so that neither the start nor the end of
//! the process waits for it.

pub mod client;
pub mod stun;
pub mod trouble;
pub mod url;
pub mod wire;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use crate::base::app::App;
use crate::base::background::every;
use crate::base::column;
use crate::base::config;
use crate::call::ice;
use crate::call::relay::client::{Client, Credential};
use crate::call::relay::trouble::Trouble;
use crate::call::relay::url::RelayUrl;
use crate::call::relay::wire::Wire;

/// How often a running server looks at its relays, in seconds.
const CHECK_SECS: u64 = 900;
/// How long the whole look at one relay may take, in seconds.
const WHOLE_SECS_MAX: u64 = 40;
/// How long a connection and its TLS may take, in seconds.
const OPEN_SECS_MAX: u64 = 5;
/// How long to wait after a refusal before it counts, in seconds.
const REFUSED_SECS: u64 = 1;
/// How often a packet is sent before it counts as lost, and how long each may take.
const PACKETS: u32 = 4;
const PACKET_MS_MAX: u64 = 500;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// A life that hardly any wrong clock makes too short, in seconds: a year, since coturn counts in
/// 32 bits.
const LONG_SECS: i64 = 31_536_000;

/// A packet came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Through {
    /// How long it was under way, there and back.
    pub round_trip: Duration,
}

/// What became of a packet sent through one relay.
#[derive(Debug)]
pub struct Verdict {
    /// The relay, as the settings name it.
    pub url: String,
    /// What is wrong, if anything.
    pub outcome: Result<Through, Trouble>,
}

impl Verdict {
    /// In words, without the address.
    pub fn words(&self) -> String {
        match &self.outcome {
            Ok(Through { round_trip }) => {
                format!("works: a packet came back after {} ms", round_trip.as_millis())
            }
            Err(trouble) => trouble.to_string(),
        }
    }
}

/// How many relays do what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// A packet came back.
    pub working: usize,
    /// None did.
    pub failing: usize,
}

/// What is known about the relays of a running server.
#[derive(Default)]
pub struct Relays {
    standing: Mutex<Option<Standing>>,
}

impl Relays {
    /// As of the last look; `None` before the first, and where there is no relay.
    pub fn standing(&self) -> Option<Standing> {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, verdicts: &[Verdict]) {
        let working = verdicts.iter().filter(|verdict| verdict.outcome.is_ok()).count();
        let standing = Standing { working, failing: verdicts.len().saturating_sub(working) };
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }
}

/// Looks at the relays now and again until `stop`, and writes down what has changed.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    if app.config.ice.turn_urls.is_empty() {
        return;
    }
    let mut known: Vec<Option<Trouble>> = Vec::new();
    every(Duration::from_secs(CHECK_SECS), stop.clone(), async || {
        // A relay may take long to answer.
        let checked = tokio::select! {
            checked = check_all(&app.config.ice, app.clock.now()) => checked,
            _ = stop.changed() => return,
        };
        match checked {
            Ok(verdicts) => {
                app.relays.found(&verdicts);
                tell(&verdicts, &known);
                known = verdicts.into_iter().map(|verdict| verdict.outcome.err()).collect();
            }
            Err(error) => tracing::error!("the relays could not be looked at: {error:#}"),
        }
    })
    .await;
}

/// One sentence for each relay that is no longer as it was.
fn tell(verdicts: &[Verdict], known: &[Option<Trouble>]) {
    for (at, verdict) in verdicts.iter().enumerate() {
        let now = verdict.outcome.as_ref().err();
        if known.get(at).is_some_and(|before| before.as_ref() == now) {
            continue;
        }
        let (url, words) = (&verdict.url, verdict.words());
        match now {
            None => tracing::info!(relay = %url, "the relay {url} {words}"),
            Some(_) => tracing::warn!(relay = %url, "the relay {url} does not work: {words}"),
        }
    }
}

/// Sends a packet through every relay of the settings, through all at once.
pub async fn check_all(
    settings: &config::Ice,
    now: column::Instant,
) -> anyhow::Result<Vec<Verdict>> {
    let tls = Arc::new(trusting(settings)?);
    let mut asked = Vec::new();
    for url in &settings.turn_urls {
        let relay: RelayUrl = url.parse().context("ice.turn_urls")?;
        let (tell, told) = oneshot::channel();
        let (settings, tls) = (settings.clone(), Arc::clone(&tls));
        std::thread::Builder::new().name("relay check".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            drop(tell.send(check(&relay, &settings, &tls, now)));
        })?;
        asked.push((url.clone(), told));
    }
    let mut verdicts = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(WHOLE_SECS_MAX);
    for (url, told) in asked {
        let outcome = match tokio::time::timeout_at(end, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_ended)) => Err(Trouble::Ours("the check ended without a word".to_owned())),
            Err(_elapsed) => Err(Trouble::NoAnswer),
        };
        verdicts.push(Verdict { url, outcome });
    }
    Ok(verdicts)
}

/// Whose certificates hold: those that browsers trust, and the operator's own authority.
pub fn trusting(settings: &config::Ice) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let own = &settings.turn_ca;
    if !own.as_os_str().is_empty() {
        let what = || format!("ice.turn_ca: no certificate can be read in {}", own.display());
        for certificate in CertificateDer::pem_file_iter(own).with_context(what)? {
            roots.add(certificate.with_context(what)?).with_context(what)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let config = builder.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Sends a packet through one relay, with a credential like a caller's. Waits for the network.
pub fn check(
    relay: &RelayUrl,
    settings: &config::Ice,
    tls: &Arc<ClientConfig>,
    now: column::Instant,
) -> Result<Through, Trouble> {
    let found = (relay.host.as_str(), relay.port).to_socket_addrs();
    let mut addresses: Vec<SocketAddr> = found.map_err(|_unknown| Trouble::NoSuchName)?.collect();
    addresses.truncate(ADDRESSES_MAX);
    let tried: Vec<Result<Through, Trouble>> =
        addresses.into_iter().map(|address| check_at(relay, address, settings, tls, now)).collect();
    // A network that this machine is not on says nothing of the relay: browsers may be on it.
    let mut told: Vec<_> = tried.iter().filter(|one| **one != Err(Trouble::NoWay)).collect();
    // One address that fails is enough, since some browser takes that one.
    told.sort_by_key(|one| one.is_ok());
    told.first().copied().or(tried.first()).cloned().unwrap_or(Err(Trouble::NoSuchName))
}

fn check_at(
    relay: &RelayUrl,
    address: SocketAddr,
    settings: &config::Ice,
    tls: &Arc<ClientConfig>,
    now: column::Instant,
) -> Result<Through, Trouble> {
    let try_for = |life_secs| round(relay, address, tls, credential(settings, now, life_secs));
    let life_secs = i64::from(settings.turn_credential_secs);
    match try_for(life_secs) {
        Err(Trouble::Secret) => {}
        outcome => return outcome,
    }
    // A coturn that was started a moment ago refuses everybody until its database is made.
    std::thread::sleep(Duration::from_secs(REFUSED_SECS));
    match try_for(life_secs) {
        // Refused like a wrong one: whether it is the clock, a long life shows.
        Err(Trouble::Secret) if try_for(LONG_SECS) != Err(Trouble::Secret) => Err(Trouble::Clock),
        outcome => outcome,
    }
}

fn credential(settings: &config::Ice, now: column::Instant, life_secs: i64) -> Credential {
    let expiry = now.utc().timestamp().saturating_add(life_secs);
    ice::credential(&settings.turn_secret, uuid::Uuid::new_v4(), expiry)
}

/// From one allocation to another and back.
fn round(
    relay: &RelayUrl,
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    credential: Credential,
) -> Result<Through, Trouble> {
    let enter = || -> Result<Client, Trouble> {
        let until = Instant::now() + Duration::from_secs(OPEN_SECS_MAX);
        let wire = Wire::open(relay, address, tls, until)?;
        Ok(Client::new(wire, Some(credential.clone())))
    };
    let (mut near, mut far) = (enter()?, enter()?);
    let outcome = there_and_back(&mut near, &mut far);
    near.release();
    far.release();
    outcome
}

fn there_and_back(near: &mut Client, far: &mut Client) -> Result<Through, Trouble> {
    let near_at = near.allocate(false)?;
    let far_at = far.allocate(false)?;
    near.permit(far_at)?;
    far.permit(near_at)?;
    // Nobody else can have sent this.
    let word = uuid::Uuid::new_v4().into_bytes();
    for _ in 0..PACKETS {
        let begun = Instant::now();
        near.send(far_at, &word)?;
        if hears(far, &word)? {
            far.send(near_at, &word)?;
            if hears(near, &word)? {
                return Ok(Through { round_trip: begun.elapsed() });
            }
        }
    }
    Err(Trouble::Lost)
}

fn hears(client: &mut Client, word: &[u8]) -> Result<bool, Trouble> {
    let until = Instant::now() + Duration::from_millis(PACKET_MS_MAX);
    while let Some((_, packet)) = client.receive(until)? {
        if packet == word {
            return Ok(true);
        }
    }
    Ok(false)
}
