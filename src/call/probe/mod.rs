//! The link probe: what a line will carry, measured before the visit against a peer of our own.
//!
//! The page begins a probe, sends an offer for each way, measures, and says what it has found; the
//! verdict is the server's. A probe never stands between anybody and their visit.

pub mod booth;
pub mod echo;
pub mod frame;
pub mod http;
pub mod kept;
pub mod offer;
pub mod places;
pub mod verdict;
pub mod watch;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::table::Action;
use crate::account::AccountId;
use crate::base::column::{Instant, id, text_enum};
use crate::base::config::{self, IcePolicy};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::link_probes;
use crate::base::tx::Tx;
use crate::call::ice::{self, IceServer};
use crate::call::probe::verdict::{Advice, Devices, Measures, Verdict, advice, verdict};
use crate::call::relay::url::{RelayUrl, Transport};
use crate::encounter::door::Closed;
use crate::encounter::show::show;
use crate::encounter::{EncounterId, EncounterRow, facts, find_row};

id!(
    /// One probe of a line.
    ProbeId
);

text_enum!(
    /// A way from the browser to the other side.
    Leg {
        /// From machine to machine.
        Direct = "direct",
        /// Over a relay, in datagrams.
        RelayUdp = "relay_udp",
        /// Over a relay, in TLS (or TCP, where the clinic has no TLS relay).
        RelayTls = "relay_tls",
    }
);

text_enum!(
    /// What became of a way.
    LegState {
        /// It carries.
        Connected = "connected",
        /// It was tried in vain.
        Failed = "failed",
        /// It was not tried.
        Untested = "untested",
    }
);

text_enum!(
    /// Who measured.
    Side {
        /// The patient.
        Patient = "patient",
        /// A feldsher, at the station.
        Feldsher = "feldsher",
    }
);

/// How long before the start of a visit its line can be probed, in hours: all of the day before.
pub const AHEAD_HOURS: i64 = 48;
/// How long a probe may take, in minutes.
pub const PROBE_MINUTES: i64 = 10;
/// Probes of one account in an hour.
pub const PROBES_PER_HOUR: i64 = 20;
/// The longest time that is believed, in milliseconds.
const MS_MAX: i32 = 60_000;
/// The highest rate that is believed, in kbit/s.
const KBITS_MAX: i32 = 100_000;

/// What a page needs to measure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Begun {
    /// The probe.
    pub id: ProbeId,
    /// The ways to try, each with what `RTCPeerConnection` takes.
    pub legs: Vec<LegToTry>,
}

/// A way to try.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LegToTry {
    /// Which.
    pub leg: Leg,
    /// `iceTransportPolicy`.
    pub policy: IcePolicy,
    /// `iceServers`.
    pub ice_servers: Vec<IceServer>,
}

/// An offer for one way.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// For which way.
    pub leg: Leg,
    /// The session description: one data channel, and nothing else.
    pub sdp: String,
}

/// The answer to an offer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Answered {
    /// The session description, with all candidates.
    pub sdp: String,
}

/// What became of one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegFound {
    /// Which.
    pub leg: Leg,
    /// What became of it.
    pub state: LegState,
    /// How long it took until the channel was open, in milliseconds; only when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<i32>,
}

/// What a page has found.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Each way that there is, once.
    pub legs: Vec<LegFound>,
    /// On which way `measures` were taken.
    pub measured_on: Option<Leg>,
    /// What was measured; left out where nothing passed.
    pub measures: Option<Measures>,
    /// Camera, microphone, loudspeaker.
    pub devices: Devices,
}

/// A probe as people see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkProbe {
    /// Its id.
    pub id: ProbeId,
    /// Who measured.
    pub side: Side,
    /// When.
    pub measured_at: Instant,
    /// What became of each way.
    pub legs: Vec<LegFound>,
    /// On which way was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_on: Option<Leg>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measures: Option<Measures>,
    /// How a voice will sound, from 1 to 4.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f64>,
    /// Camera, microphone, loudspeaker.
    pub devices: Devices,
    /// What the line will carry.
    pub verdict: Verdict,
    /// What to do.
    pub advice: Advice,
    /// The same as a sentence in the caller's language.
    pub advice_text: &'static str,
}

/// Begins a probe. 409 `probe_off`, `too_early` with `opens_at`; 410 `visit_over`; 429.
pub fn begin(tx: &mut Tx, encounter: EncounterId) -> Result<Begun, Error> {
    let row = find_row(tx, encounter)?;
    tx.allow(Action::ProbeLink, &facts(&row))?;
    if !tx.config.probe.enabled {
        return Err(Error::from(&problem::PROBE_OFF));
    }
    check_time(tx, encounter, row.starts_at)?;
    let person = tx.person()?;
    let account = person.account;
    let side = if person.patient == Some(row.patient_id) { Side::Patient } else { Side::Feldsher };
    let recent = link_probes::table
        .filter(link_probes::account_id.eq(account))
        .filter(link_probes::begun_at.gt(tx.now.minus(TimeDelta::hours(1))))
        .count()
        .get_result::<i64>(tx.conn)?;
    if recent >= PROBES_PER_HOUR {
        return Err(Error::from(&problem::TOO_MANY_ATTEMPTS).retry_after(300));
    }
    let id = ProbeId::new(tx.now);
    diesel::insert_into(link_probes::table)
        .values((
            link_probes::id.eq(id),
            link_probes::encounter_id.eq(encounter),
            link_probes::account_id.eq(account),
            link_probes::side.eq(side),
            link_probes::begun_at.eq(tx.now),
            link_probes::direct.eq(LegState::Untested),
            link_probes::relay_udp.eq(LegState::Untested),
            link_probes::relay_tls.eq(LegState::Untested),
        ))
        .execute(tx.conn)?;
    tx.record(Action::ProbeLink, "Encounter", encounter.0, &facts(&row));
    Ok(Begun { id, legs: legs(&tx.config.ice, account, tx.now) })
}

/// The ways that a call could take here, with servers whose names say nothing of anybody.
fn legs(settings: &config::Ice, account: AccountId, now: Instant) -> Vec<LegToTry> {
    let over = |wanted: &[Transport]| -> Vec<IceServer> {
        let is_wanted = |url: &String| {
            url.parse::<RelayUrl>().is_ok_and(|relay| wanted.contains(&relay.transport))
        };
        let mut servers = ice::servers(settings, account.0, now);
        servers.iter_mut().for_each(|server| server.urls.retain(is_wanted));
        servers.retain(|server| !server.urls.is_empty());
        servers
    };
    let mut legs = Vec::new();
    // Where calls go over the relay only, no other way says anything of a call.
    if settings.policy == IcePolicy::All {
        legs.push(LegToTry { leg: Leg::Direct, policy: IcePolicy::All, ice_servers: Vec::new() });
    }
    let tls = over(&[Transport::Tls]);
    let tls = if tls.is_empty() { over(&[Transport::Tcp]) } else { tls };
    for (leg, ice_servers) in [(Leg::RelayUdp, over(&[Transport::Udp])), (Leg::RelayTls, tls)] {
        if !ice_servers.is_empty() {
            legs.push(LegToTry { leg, policy: IcePolicy::Relay, ice_servers });
        }
    }
    legs
}

fn check_time(tx: &mut Tx, encounter: EncounterId, starts_at: Instant) -> Result<(), Error> {
    let opens_at = starts_at.minus(TimeDelta::hours(AHEAD_HOURS));
    match show(tx, encounter)?.door.reason {
        Some(Closed::OnHold) => Err(Error::from(&problem::BAD_STATE)),
        Some(Closed::Over | Closed::Cancelled) => Err(Error::from(&problem::VISIT_OVER)),
        Some(Closed::TooEarly) if tx.now < opens_at => {
            Err(Error::from(&problem::TOO_EARLY).with("opens_at", opens_at))
        }
        None | Some(Closed::TooEarly) => Ok(()),
    }
}

/// Whose probe this is, while it goes on, and of which visit. 409 `bad_state` when it is somebody
/// else's, has been measured, or was begun too long ago.
pub fn under_way(
    tx: &mut Tx,
    encounter: EncounterId,
    probe: ProbeId,
) -> Result<(AccountId, EncounterRow), Error> {
    let row = find_row(tx, encounter)?;
    tx.allow(Action::ProbeLink, &facts(&row))?;
    let found: Option<(AccountId, Instant, Option<Instant>)> = link_probes::table
        .find(probe)
        .filter(link_probes::encounter_id.eq(encounter))
        .select((link_probes::account_id, link_probes::begun_at, link_probes::measured_at))
        .get_result(tx.conn)
        .optional()?;
    let (account, begun_at, measured_at) = found.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let is_over = tx.now > begun_at.plus(TimeDelta::minutes(PROBE_MINUTES));
    if account != tx.person()?.account || measured_at.is_some() || is_over {
        return Err(Error::from(&problem::BAD_STATE));
    }
    Ok((account, row))
}

/// Keeps what was found, with the verdict. 409 `bad_state` as in [`under_way`].
pub fn finish(
    tx: &mut Tx,
    encounter: EncounterId,
    probe: ProbeId,
    found: Found,
) -> Result<LinkProbe, Error> {
    let (_, row) = under_way(tx, encounter, probe)?;
    check(&found)?;
    let measures = found.measures;
    let verdict = verdict(measures.as_ref());
    let mos = measures.map(|measures| (measures.mos() * 100.0).round() / 100.0);
    let of = |leg| {
        let found = found.legs.iter().find(|found| found.leg == leg);
        found.map_or((LegState::Untested, None), |found| (found.state, found.ms))
    };
    let [direct, relay_udp, relay_tls] = [Leg::Direct, Leg::RelayUdp, Leg::RelayTls].map(of);
    let running = link_probes::table.find(probe).filter(link_probes::measured_at.is_null());
    let changed = diesel::update(running)
        .set((
            (
                link_probes::direct.eq(direct.0),
                link_probes::direct_ms.eq(direct.1),
                link_probes::relay_udp.eq(relay_udp.0),
                link_probes::relay_udp_ms.eq(relay_udp.1),
                link_probes::relay_tls.eq(relay_tls.0),
                link_probes::relay_tls_ms.eq(relay_tls.1),
            ),
            (
                link_probes::measured_at.eq(tx.now),
                link_probes::measured_on.eq(found.measured_on),
                link_probes::rtt_p50_ms.eq(measures.map(|one| one.rtt_p50_ms)),
                link_probes::rtt_p95_ms.eq(measures.map(|one| one.rtt_p95_ms)),
                link_probes::jitter_ms.eq(measures.map(|one| one.jitter_ms)),
                link_probes::loss_up_permille.eq(measures.map(|one| one.loss_up_permille)),
                link_probes::loss_down_permille.eq(measures.map(|one| one.loss_down_permille)),
                link_probes::up_kbits.eq(measures.map(|one| one.up_kbits)),
                link_probes::down_kbits.eq(measures.map(|one| one.down_kbits)),
                link_probes::mos.eq(mos),
            ),
            (
                link_probes::camera.eq(found.devices.camera),
                link_probes::microphone.eq(found.devices.microphone),
                link_probes::speaker.eq(found.devices.speaker),
                link_probes::verdict.eq(verdict),
                link_probes::advice.eq(advice(verdict, &found.devices)),
            ),
        ))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::BAD_STATE));
    }
    tx.record(Action::ProbeLink, "Encounter", encounter.0, &facts(&row));
    let kept = kept::measured(tx, encounter)?.into_iter().find(|one| one.id == probe);
    kept.ok_or(Error::Internal("a probe is gone that was just measured"))
}

/// What a page says that cannot be. 422 with the field.
fn check(found: &Found) -> Result<(), Error> {
    let wrong = |pointer: &str| Err(Error::field(&problem::INVALID_BODY, pointer));
    for (at, one) in found.legs.iter().enumerate() {
        let is_twice = found.legs.iter().filter(|other| other.leg == one.leg).count() > 1;
        let has_time = one.ms.is_some_and(|ms| (0..=MS_MAX).contains(&ms));
        let fits = if one.state == LegState::Connected { has_time } else { one.ms.is_none() };
        if is_twice || !fits {
            return wrong(&format!("/legs/{at}"));
        }
    }
    let carries =
        |leg| found.legs.iter().any(|one| one.leg == leg && one.state == LegState::Connected);
    let Some(measures) = &found.measures else {
        return if found.measured_on.is_none() { Ok(()) } else { wrong("/measured_on") };
    };
    if !found.measured_on.is_some_and(carries) {
        return wrong("/measured_on");
    }
    for (name, value, max) in [
        ("rtt_p50_ms", measures.rtt_p50_ms, MS_MAX),
        ("rtt_p95_ms", measures.rtt_p95_ms, MS_MAX),
        ("jitter_ms", measures.jitter_ms, MS_MAX),
        ("loss_up_permille", measures.loss_up_permille, 1000),
        ("loss_down_permille", measures.loss_down_permille, 1000),
        ("up_kbits", measures.up_kbits, KBITS_MAX),
        ("down_kbits", measures.down_kbits, KBITS_MAX),
    ] {
        if !(0..=max).contains(&value) {
            return wrong(&format!("/measures/{name}"));
        }
    }
    if measures.rtt_p95_ms < measures.rtt_p50_ms {
        return wrong("/measures/rtt_p95_ms");
    }
    Ok(())
}
