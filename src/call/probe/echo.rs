//! The peer that answers a browser's probe. The only file that knows the `webrtc` crate.
//!
//! What that crate does unasked and is kept from: it works on threads of its own, so that no
//! request waits for it; it is always closed, since a dropped connection lives on; it looks for
//! nobody by multicast; it never writes to the log (`base/telemetry.rs`).

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceConnectionState,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use crate::call::probe::frame::{Answer, MESSAGE_BYTES_MAX, Step, Tally};
use crate::call::probe::offer;
use crate::call::probe::places::Place;
use crate::call::probe::watch::{End, Watch};

/// What a connection is encrypted with: suites that authenticate what they encrypt (AEAD), for the
/// kind of certificate that the library makes. Left to itself it takes AES-CBC as well.
const SUITES: [CipherSuiteId; 2] = [
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
];
/// Threads that all probes share.
const THREADS: usize = 2;
/// How long an answer may take to be made, in seconds.
const ANSWER_SECS_MAX: u64 = 5;
/// How often the packets of a ramp are sent and the clock is looked at, in milliseconds.
const TICK_MS: u64 = 10;
/// Of what a browser sends, so much may wait unread, in bytes: the largest step for a second.
const UNREAD_BYTES_MAX: u32 = 128 * 1024;
/// Events of a connection that may wait.
const NOTICES_MAX: usize = 64;

/// Where a connection listens.
#[derive(Debug, Clone)]
pub struct Ways {
    /// Addresses of this machine; an unspecified one stands for all of its family.
    pub addresses: Vec<SocketAddr>,
    /// What browsers are told instead, where a NAT stands before this machine.
    pub public: Vec<IpAddr>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The offer cannot be read or answered.
    Offer,
    /// The port is taken, or the address is not this machine's.
    Port,
    /// The library has panicked, or there is none any more.
    Broken,
}

/// The threads of all probes.
pub struct Engine {
    runtime: Option<Runtime>,
}

impl Engine {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("probe").enable_all();
        Ok(Self { runtime: Some(builder.build()?) })
    }

    /// Answers an offer, and keeps the connection in `place` until it ends.
    pub async fn answer(&self, place: Place, ways: Ways, offer: String) -> Result<String, Trouble> {
        let Some(runtime) = &self.runtime else { return Err(Trouble::Broken) };
        let (tell, told) = oneshot::channel();
        drop(runtime.spawn(serve(place, ways, offer, tell)));
        told.await.unwrap_or(Err(Trouble::Broken))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where the application ends; the threads end by themselves.
            runtime.shutdown_background();
        }
    }
}

/// What the library says of a connection.
enum Notice {
    Gathered,
    Found,
    Lost,
    Channel(Arc<dyn DataChannel>),
}

/// Hears the library, on its own task: it only passes on.
struct Ears(mpsc::Sender<Notice>);

impl Ears {
    fn tell(&self, notice: Notice) {
        // There are a handful of them in the life of a connection; more say nothing new.
        drop(self.0.try_send(notice));
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Ears {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(Notice::Gathered);
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        match state {
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                self.tell(Notice::Found);
            }
            RTCIceConnectionState::Failed | RTCIceConnectionState::Closed => {
                self.tell(Notice::Lost);
            }
            _ => {}
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed) {
            self.tell(Notice::Lost);
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.tell(Notice::Channel(channel));
    }
}

/// A connection that is closed whatever happens.
struct Connection(Option<Arc<dyn PeerConnection>>);

impl Connection {
    async fn close(mut self) {
        if let Some(peer) = self.0.take() {
            // A connection that cannot be closed is closed.
            drop(peer.close().await);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Some(peer), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn(async move { drop(peer.close().await) }));
        }
    }
}

/// The whole life of one connection.
async fn serve(
    mut place: Place,
    ways: Ways,
    offer: String,
    tell: oneshot::Sender<Result<String, Trouble>>,
) {
    let begun = Instant::now();
    let (notices, mut heard) = mpsc::channel(NOTICES_MAX);
    let public = ways.public.clone();
    let connection = match connect(ways, notices).await {
        Ok(connection) => connection,
        Err(trouble) => {
            drop(place);
            drop(tell.send(Err(trouble)));
            return;
        }
    };
    let answered = tokio::select! {
        answered = answer(&connection, offer, &mut heard) => answered,
        _ = &mut place.stopped => Err(Trouble::Offer),
        () = tokio::time::sleep(Duration::from_secs(ANSWER_SECS_MAX)) => Err(Trouble::Offer),
    };
    // The library has a setting for it, and does not heed it.
    let answered = answered.map(|answer| offer::under_addresses(&answer, &public));
    let is_answered = answered.is_ok();
    // Whoever asked may have gone: then nobody will come either.
    if tell.send(answered).is_ok() && is_answered {
        let end = talk(begun, &mut heard, &mut place.stopped).await;
        tracing::debug!(end = end.as_str(), "a probe's connection has ended");
    }
    connection.close().await;
}

async fn connect(ways: Ways, notices: mpsc::Sender<Notice>) -> Result<Connection, Trouble> {
    let on_loopback = ways.addresses.iter().any(|address| address.ip().is_loopback());
    let secs = |secs| Some(Duration::from_secs(secs));
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(on_loopback)
        .with_dtls_cipher_suites(SUITES.to_vec())
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MESSAGE_BYTES_MAX.into()))
        .with_sctp_max_receive_buffer_size(UNREAD_BYTES_MAX)
        .with_ice_timeouts(secs(5), secs(10), secs(2));
    let builder = PeerConnectionBuilder::new()
        .with_setting_engine(settings.build())
        .with_handler(Arc::new(Ears(notices)))
        .with_udp_addrs(ways.addresses);
    // Boxed, for it is large.
    let built = Box::pin(builder.build()).await;
    // It says why with addresses in it: not for the log.
    let peer = built.map_err(|_taken| Trouble::Port)?;
    Ok(Connection(Some(Arc::new(peer))))
}

async fn answer(
    connection: &Connection,
    offer: String,
    heard: &mut mpsc::Receiver<Notice>,
) -> Result<String, Trouble> {
    let Some(peer) = &connection.0 else { return Err(Trouble::Offer) };
    let refused = |_unreadable| Trouble::Offer;
    let offer = RTCSessionDescription::offer(offer).map_err(refused)?;
    peer.set_remote_description(offer).await.map_err(refused)?;
    let answer = peer.create_answer(None).await.map_err(refused)?;
    peer.set_local_description(answer).await.map_err(refused)?;
    while let Some(notice) = heard.recv().await {
        match notice {
            Notice::Gathered => break,
            Notice::Lost => return Err(Trouble::Offer),
            Notice::Found | Notice::Channel(_) => {}
        }
    }
    let answer = peer.local_description().await.ok_or(Trouble::Offer)?;
    Ok(answer.sdp)
}

/// Answers what comes over the channel until the connection is to end.
async fn talk(
    begun: Instant,
    heard: &mut mpsc::Receiver<Notice>,
    stopped: &mut oneshot::Receiver<()>,
) -> End {
    let (mut watch, mut tally) = (Watch::default(), Tally::default());
    let mut channel: Option<Arc<dyn DataChannel>> = None;
    let mut ramp: Option<(Instant, Step)> = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    loop {
        let mut packets = Vec::new();
        tokio::select! {
            _ = &mut *stopped => return End::Closed,
            notice = heard.recv() => match notice {
                Some(Notice::Found) => watch.found(begun.elapsed()),
                Some(Notice::Channel(first)) if channel.is_none() => {
                    watch.opened();
                    channel = Some(first);
                }
                Some(Notice::Gathered) => {}
                // The library keeps what comes over a channel that nobody reads, and nobody counts it.
                Some(Notice::Channel(_)) => return End::Another,
                Some(Notice::Lost) | None => return End::Closed,
            },
            event = next(channel.as_ref()) => match event {
                Some(DataChannelEvent::OnMessage(message)) => {
                    watch.carried(message.data.len());
                    match tally.take(&message.data, begun.elapsed()) {
                        Answer::Silence => {}
                        Answer::Send(packet) => packets.push(packet),
                        // One at a time: a second question is not heard.
                        Answer::Ramp(step) => { ramp.get_or_insert((Instant::now(), step)); }
                    }
                }
                Some(DataChannelEvent::OnClose) | None => return End::Closed,
                Some(_) => {}
            },
            _ = ticks.tick() => {}
        }
        if let Some((since, step)) = &mut ramp {
            packets.extend(step.due(since.elapsed()));
        }
        ramp = ramp.filter(|(_, step)| !step.is_done());
        for packet in packets {
            watch.carried(packet.len());
            let Some(channel) = &channel else { break };
            if channel.send(packet.as_slice().into()).await.is_err() {
                return End::Closed;
            }
        }
        if let Some(end) = watch.end(begun.elapsed()) {
            return end;
        }
    }
}

async fn next(channel: Option<&Arc<dyn DataChannel>>) -> Option<DataChannelEvent> {
    match channel {
        Some(channel) => channel.poll().await,
        None => pending().await,
    }
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
