//! A browser that follows `docs/signaling.md`, as far as the room sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::column::Instant;
use crate::call::event::LineId;
use crate::call::message::{Frame, FromPeer, Quality, Turn, Verbatim};
use crate::encounter::ParticipantId;

/// An `RTCPeerConnection`, as far as the protocol sees it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) peer: Uuid,
    pub(super) offerer: bool,
    pub(super) generation: u64,
    pub(super) neg: u32,
    /// The offer that both sides agreed on.
    pub(super) agreed: Option<String>,
    pub(super) offered: Option<String>,
    pub(super) since: Instant,
}

/// A browser that follows `docs/signaling.md`.
pub(super) struct Client {
    pub(super) id: ParticipantId,
    pub(super) line: Option<LineId>,
    pub(super) last_seq: u64,
    pub(super) connections: BTreeMap<String, Connection>,
    /// Whom the page shows, and who of them is silent.
    pub(super) roster: BTreeSet<Uuid>,
    pub(super) away: Vec<Uuid>,
    pub(super) locked: Option<bool>,
    /// On the way to the client, and from it.
    pub(super) down: VecDeque<String>,
    pub(super) up: VecDeque<Frame>,
}

impl Client {
    pub(super) fn new(id: ParticipantId) -> Self {
        Self {
            id,
            line: None,
            last_seq: 0,
            connections: BTreeMap::new(),
            roster: BTreeSet::new(),
            away: Vec::new(),
            locked: None,
            down: VecDeque::new(),
            up: VecDeque::new(),
        }
    }

    /// What was on the way is lost with the socket.
    pub(super) fn lose_line(&mut self) {
        self.line = None;
        self.down.clear();
        self.up.clear();
    }

    pub(super) fn say(&mut self, said: FromPeer) {
        let ack = Some(self.last_seq);
        self.up.push_back(Frame { id: None, ack, said });
    }

    pub(super) fn hear(&mut self, text: &str, now: Instant, offer: String) {
        if let Some(seq) = seq_of(text) {
            if seq <= self.last_seq {
                return;
            }
            self.last_seq = seq;
        }
        if kind_of(text) == "peer" {
            return self.see(text);
        }
        if !matches!(
            kind_of(text),
            "welcome" | "waiting" | "snapshot" | "negotiate" | "offer" | "answer" | "lock"
        ) {
            return;
        }
        let message: &Value = &serde_json::from_str(text).unwrap();
        let body = &message["body"];
        self.locked = body["locked"].as_bool().or(self.locked);
        match message["t"].as_str().unwrap() {
            "welcome" => {
                self.connections.clear();
                self.take_over(body, now);
            }
            "waiting" => self.connections.clear(),
            "snapshot" => self.take_over(body, now),
            "negotiate" => self.negotiate(message, now, offer),
            "offer" => {
                let (edge, turn) = place(message);
                let Some(connection) = self.connections.get_mut(&edge) else { return };
                let sdp = body["sdp"].as_str().unwrap().to_owned();
                if turn.generation < connection.generation || connection.offerer {
                    return;
                }
                (connection.generation, connection.neg) = (turn.generation, turn.neg);
                connection.agreed = Some(sdp.clone());
                self.say(FromPeer::Candidate(edge.clone(), turn, candidate()));
                self.say(FromPeer::Answer(edge, turn, description(&sdp)));
            }
            "answer" => {
                let (edge, turn) = place(message);
                let Some(connection) = self.connections.get_mut(&edge) else { return };
                let current = Turn { neg: connection.neg, generation: connection.generation };
                let sdp = body["sdp"].as_str().map(str::to_owned);
                if turn == current && sdp == connection.offered {
                    connection.agreed = sdp;
                }
            }
            _ => {}
        }
    }

    fn see(&mut self, text: &str) {
        let peer: Uuid = text_of(text, "id").unwrap().parse().unwrap();
        let state = text_of(text, "state").unwrap();
        let left = text_of(text, "op") == Some("left");
        if left {
            self.roster.remove(&peer);
        } else {
            self.roster.insert(peer);
        }
        let inside = !left && matches!(state, "admitted" | "reconnecting");
        if !inside {
            self.connections.retain(|_, connection| connection.peer != peer);
        }
        self.away.retain(|one| *one != peer);
        if inside && state == "reconnecting" {
            self.away.push(peer);
        }
    }

    fn negotiate(&mut self, message: &Value, now: Instant, offer: String) {
        let body = &message["body"];
        let (edge, turn) = place(message);
        let peer = body["peer"].as_str().unwrap().parse().unwrap();
        let offerer = body["role"] == "offerer";
        let neg = self.connections.get(&edge).map_or(0, |connection| connection.neg);
        let turn = Turn { neg: neg + u32::from(offerer), generation: turn.generation };
        let connection = Connection {
            peer,
            offerer,
            generation: turn.generation,
            neg: turn.neg,
            agreed: None,
            offered: offerer.then(|| offer.clone()),
            since: now,
        };
        self.connections.insert(edge.clone(), connection);
        if offerer {
            self.say(FromPeer::Offer(edge.clone(), turn, description(&offer)));
            self.say(FromPeer::Candidate(edge, turn, candidate()));
        }
    }

    /// The snapshot names the edges there are: what is not there is closed, what is new is asked
    /// for, what is broken as well.
    fn take_over(&mut self, body: &Value, now: Instant) {
        let edges = body["edges"].as_array().unwrap();
        self.connections.retain(|edge, _| edges.iter().any(|known| known["id"] == **edge));
        self.away.clear();
        self.roster.clear();
        for one in body["roster"].as_array().unwrap() {
            self.roster.insert(one["id"].as_str().unwrap().parse().unwrap());
            if one["state"] == "reconnecting" {
                self.away.push(one["id"].as_str().unwrap().parse().unwrap());
            }
        }
        for known in edges {
            let edge = known["id"].as_str().unwrap().to_owned();
            let generation = known["gen"].as_u64().unwrap();
            let offerer = known["role"] == "offerer";
            if let Some(connection) = self.connections.get_mut(&edge) {
                (connection.generation, connection.offerer) = (generation, offerer);
                if connection.agreed.is_none() {
                    self.say(FromPeer::IceRestartRequest(edge, Some(generation)));
                }
                continue;
            }
            let peer = known["peer"].as_str().unwrap().parse().unwrap();
            let connection = Connection {
                peer,
                offerer,
                generation,
                neg: 0,
                agreed: None,
                offered: None,
                since: now,
            };
            self.connections.insert(edge.clone(), connection);
            self.say(FromPeer::NegotiateRequest(edge, None));
        }
    }
}

pub(super) const NEGOTIATION: [&str; 5] =
    ["negotiate", "offer", "answer", "candidate", "end_of_candidates"];

/// The number of a message, without reading all of it.
pub(super) fn seq_of(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(r#""seq":"#)?;
    rest.split(',').next()?.parse().ok()
}

pub(super) fn kind_of(text: &str) -> &str {
    text_of(text, "t").unwrap()
}

pub(super) fn text_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!(r#""{name}":""#))?;
    rest.split('"').next()
}

fn place(message: &Value) -> (String, Turn) {
    let turn = Turn {
        neg: message["neg"].as_u64().unwrap() as u32,
        generation: message["gen"].as_u64().unwrap(),
    };
    (message["edge"].as_str().unwrap().to_owned(), turn)
}

pub(super) fn description(sdp: &str) -> Verbatim {
    Verbatim::of(&json!({"sdp": sdp}))
}

pub(super) fn candidate() -> Verbatim {
    Verbatim::of(&json!({"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"}))
}

pub(super) fn quality() -> Quality {
    Quality {
        rtt: 80.0,
        jitter: 5.0,
        loss_in: 0.0,
        loss_out: 0.0,
        bitrate: 400_000.0,
        mos: 4.2,
        ..Quality::default()
    }
}
