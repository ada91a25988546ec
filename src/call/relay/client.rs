//! One allocation at a relay, as a browser has one (RFC 8656, with long-term credentials).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::call::relay::stun::{Class, Message, Method, TransactionId, attribute, is_signed, key};
use crate::call::relay::trouble::Trouble;
use crate::call::relay::wire::Wire;

/// How long an answer may take, in seconds.
const ANSWER_SECS_MAX: u64 = 5;
/// How long to wait for an answer to a datagram before it is sent again, the first time
/// (RFC 8489, 6.2.1).
const AGAIN_MS: u64 = 500;
/// How often a relay may ask for the same in other words: its nonce, and a newer nonce.
const ROUNDS_MAX: usize = 3;

/// A name and its password.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Says when it runs out.
    pub username: String,
    /// Made from the name and the secret.
    pub password: String,
}

/// What a relay wants to see with every request.
struct Proof {
    realm: String,
    nonce: String,
    key: Vec<u8>,
}

/// Somebody who speaks with a relay.
pub struct Client {
    wire: Wire,
    credential: Option<Credential>,
    proof: Option<Proof>,
    has_allocation: bool,
}

impl Client {
    /// A client that shows a credential when it is asked for one.
    pub fn new(wire: Wire, credential: Option<Credential>) -> Self {
        Self { wire, credential, proof: None, has_allocation: false }
    }

    /// Takes an allocation; answers the address at which others reach us through the relay.
    /// `ipv6` asks for one of IPv6.
    pub fn allocate(&mut self, ipv6: bool) -> Result<SocketAddr, Trouble> {
        let granted = self.ask(Method::Allocate, |wish| {
            // UDP, and three bytes that are kept for later.
            let wish = wish.with(attribute::REQUESTED_TRANSPORT, [17, 0, 0, 0]);
            if ipv6 { wish.with(attribute::REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]) } else { wish }
        });
        let granted = granted.map_err(|refusal| match refusal {
            Refusal::Code(403) => Trouble::Forbidden,
            other => other.into(),
        })?;
        self.has_allocation = true;
        if self.proof.is_none() {
            // It must not stay open on our account.
            self.release();
            return Err(Trouble::Open);
        }
        granted.address(attribute::XOR_RELAYED_ADDRESS).ok_or(Trouble::NotTurn)
    }

    /// Lets packets of an address through to us, and ours to it.
    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), Trouble> {
        let granted = self.ask(Method::CreatePermission, |wish| wish.with_peer(peer));
        granted.map(drop).map_err(|refusal| match refusal {
            Refusal::Code(403) => Trouble::PeerForbidden(peer.ip()),
            other => other.into(),
        })
    }

    /// Sends a packet through the relay. It may get lost.
    pub fn send(&mut self, peer: SocketAddr, packet: &[u8]) -> Result<(), Trouble> {
        let message = Message::new(Method::Send, Class::Indication, new_id())
            .with_peer(peer)
            .with(attribute::DATA, packet);
        self.wire.send(&message.write(None).ok_or(Trouble::NotTurn)?)
    }

    /// The next packet that came through the relay, and from whom; `None` when none has by then.
    pub fn receive(&mut self, until: Instant) -> Result<Option<(IpAddr, Vec<u8>)>, Trouble> {
        while let Some(bytes) = self.wire.receive(until)? {
            let packet = Message::read(&bytes).filter(|message| message.method == Method::Data);
            if let Some(message) = packet
                && let Some(from) = message.address(attribute::XOR_PEER_ADDRESS)
                && let Some(data) = message.get(attribute::DATA)
            {
                return Ok(Some((from.ip(), data.to_vec())));
            }
        }
        Ok(None)
    }

    /// Gives the allocation back, if there is one. What does not arrive runs out by itself.
    pub fn release(&mut self) {
        if !std::mem::take(&mut self.has_allocation) {
            return;
        }
        drop(self.ask(Method::Refresh, |wish| wish.with(attribute::LIFETIME, [0; 4])));
    }

    /// Asks, and shows the credential when the relay wants to see it. `fill` makes the question
    /// out of an empty one; it is asked for anew each time, as an address is hidden by the id.
    fn ask(
        &mut self,
        method: Method,
        fill: impl Fn(Message) -> Message,
    ) -> Result<Message, Refusal> {
        for _ in 0..ROUNDS_MAX {
            let wish = fill(Message::new(method, Class::Request, new_id()));
            let (bytes, answer) = self.exchange(wish)?;
            if answer.class == Class::Success {
                return match &self.proof {
                    // Whoever does not know the secret cannot sign, and browsers look.
                    Some(proof) if !is_signed(&bytes, &proof.key) => Err(Trouble::Secret.into()),
                    _ => Ok(answer),
                };
            }
            match answer.error_code().ok_or(Trouble::NotTurn)? {
                401 if self.proof.is_none() => self.prove(&answer)?,
                438 if self.proof.is_some() => self.prove(&answer)?,
                code => return Err(Refusal::Code(code)),
            }
        }
        Err(Refusal::Code(438))
    }

    fn prove(&mut self, answer: &Message) -> Result<(), Refusal> {
        let Some(Credential { username, password }) = &self.credential else {
            return Err(Refusal::Code(401));
        };
        let realm = answer.text(attribute::REALM).ok_or(Trouble::NotTurn)?.to_owned();
        let nonce = answer.text(attribute::NONCE).ok_or(Trouble::NotTurn)?.to_owned();
        let key = key(username, &realm, password);
        self.proof = Some(Proof { realm, nonce, key });
        Ok(())
    }

    /// Asks until there is an answer; what was said before our question is not one.
    fn exchange(&mut self, wish: Message) -> Result<(Vec<u8>, Message), Trouble> {
        let id = wish.id;
        let question = match (&self.proof, &self.credential) {
            (Some(Proof { realm, nonce, key }), Some(credential)) => wish
                .with(attribute::USERNAME, credential.username.as_bytes())
                .with(attribute::REALM, realm.as_bytes())
                .with(attribute::NONCE, nonce.as_bytes())
                .write(Some(key)),
            _ => wish.write(None),
        };
        let question = question.ok_or(Trouble::NotTurn)?;
        let end = Instant::now() + Duration::from_secs(ANSWER_SECS_MAX);
        let mut pause = Duration::from_millis(AGAIN_MS);
        let mut was_other = false;
        while Instant::now() < end {
            self.wire.send(&question)?;
            let until = if self.wire.loses() { end.min(Instant::now() + pause) } else { end };
            pause = pause.saturating_mul(2);
            while let Some(bytes) = self.wire.receive(until)? {
                match Message::read(&bytes) {
                    Some(message) if message.id == id => return Ok((bytes, message)),
                    Some(_) => {}
                    None => was_other = true,
                }
            }
        }
        Err(match was_other {
            true => Trouble::NotTurn,
            false if self.wire.loses() => Trouble::NoAnswer,
            false => Trouble::Silent,
        })
    }
}

/// A refusal whose meaning depends on what was asked.
enum Refusal {
    Code(u16),
    Trouble(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Code(300) => Self::Elsewhere,
            Refusal::Code(401) => Self::Secret,
            Refusal::Code(486) => Self::Quota,
            Refusal::Code(508) => Self::NoRelayAddress,
            Refusal::Code(code) => Self::Refused(code),
            Refusal::Trouble(trouble) => trouble,
        }
    }
}

fn new_id() -> TransactionId {
    let [id @ .., _, _, _, _] = uuid::Uuid::new_v4().into_bytes();
    id
}
