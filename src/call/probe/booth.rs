//! Where a process measures: its places, its ports, and the peer that answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::account::AccountId;
use crate::base::config;
use crate::base::error::Error;
use crate::base::problem;
use crate::call::probe::echo::{Engine, Trouble, Ways};
use crate::call::probe::places::{Full, Places};
use crate::call::probe::{Leg, ProbeId, offer};

/// Connections at once, for each core.
pub const PLACES_PER_CORE: usize = 50;
/// Ports that are tried before the answer is "busy".
const PORTS_TRIED: usize = 5;
/// When to come back where every place is taken, in seconds.
const FULL_SECS: u32 = 20;
/// When to come back where one's own connections still close, in seconds.
const CLOSING_SECS: u32 = 2;

/// The probes of this process.
pub struct Probes {
    settings: config::Probe,
    places: Arc<Places>,
    /// Started by the first who measures: its threads cost nothing where nobody does.
    engine: Mutex<Option<Arc<Engine>>>,
}

impl Probes {
    /// No connection yet.
    pub fn new(settings: &config::Probe) -> Self {
        let places = Arc::new(Places::default());
        Self { settings: settings.clone(), places, engine: Mutex::new(None) }
    }

    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.places.count()
    }

    /// Ends every connection.
    pub fn stop(&self) {
        self.places.clear();
    }

    /// Answers an offer. 422 `invalid_offer`; 429 while the account's own connections still close; 503
    /// `overloaded` when every place is taken.
    pub async fn answer(
        &self,
        (account, probe, leg): (AccountId, ProbeId, Leg),
        offer: &str,
    ) -> Result<String, Error> {
        let invalid = || Error::field(&problem::INVALID_OFFER, "/sdp");
        let offer = offer::without_addresses(offer).ok_or_else(invalid)?;
        let engine = self.engine()?;
        let mut without = Vec::new();
        while without.len() < PORTS_TRIED {
            let place = self.places.take((account, probe, leg), self.places_max(), &without);
            let place = match place {
                Ok(place) => place,
                Err(Full::All) => break,
                Err(Full::Account) => {
                    return Err(Error::from(&problem::TOO_MANY_ATTEMPTS).retry_after(CLOSING_SECS));
                }
            };
            let number = place.number;
            match engine.answer(place, self.ways(number), offer.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Offer) => return Err(invalid()),
                Err(Trouble::Broken) => return Err(Error::Internal("the probe's peer broke")),
                // Another program has this port.
                Err(Trouble::Port) => without.push(number),
            }
        }
        if without.is_empty() {
            tracing::info!("every place for probes is taken");
        } else {
            tracing::warn!("no port for a probe: see probe.addresses, port_from and port_to");
        }
        Err(Error::from(&problem::OVERLOADED).retry_after(FULL_SECS))
    }

    fn engine(&self) -> Result<Arc<Engine>, Error> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engine.as_ref() {
            return Ok(Arc::clone(engine));
        }
        let started = Engine::start();
        let started = started.map_err(|_full| Error::Internal("no threads for probes"))?;
        Ok(Arc::clone(engine.insert(Arc::new(started))))
    }

    fn places_max(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let places = cores.saturating_mul(PLACES_PER_CORE);
        match self.settings.ports() {
            Some((from, to)) => places.min(usize::from(to.saturating_sub(from)).saturating_add(1)),
            None => places,
        }
    }

    /// The place's number is its port's number, so that no two take the same.
    fn ways(&self, number: usize) -> Ways {
        let port = match self.settings.ports() {
            Some((from, _)) => from.saturating_add(u16::try_from(number).unwrap_or(u16::MAX)),
            None => 0,
        };
        let ips = |texts: &[String]| -> Vec<IpAddr> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        let addresses = ips(&self.settings.addresses);
        Ways {
            addresses: addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            public: ips(&self.settings.public_addresses),
        }
    }
}
