//! The few messages of STUN and TURN that a client of a relay says and hears
//! (RFC 8489, RFC 8656), as bytes. Whatever bytes come in, nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::hmac;
use md5::{Digest, Md5};

/// The head of every message, in bytes.
pub const HEAD_LEN: usize = 20;
const COOKIE: u32 = 0x2112_a442;
const INTEGRITY_LEN: usize = 20;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the RFCs")]
pub enum Method {
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
}

/// What a message wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An answer.
    Request,
    /// Nothing.
    Indication,
    /// It is the answer to a request that was granted.
    Success,
    /// It is the answer to a request that was refused.
    Failure,
}

/// The attributes we know, by their numbers.
pub mod attribute {
    #![expect(missing_docs, reason = "the names of the RFCs")]
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
}

/// Joins a question and its answer.
pub type TransactionId = [u8; 12];

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub method: Method,
    /// What it wants.
    pub class: Class,
    /// Which question it belongs to.
    pub id: TransactionId,
    /// Numbers and values, in their order.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

impl Message {
    /// A message without attributes.
    pub fn new(method: Method, class: Class, id: TransactionId) -> Self {
        Self { method, class, id, attributes: Vec::new() }
    }

    /// The same with one attribute more.
    pub fn with(mut self, number: u16, value: impl Into<Vec<u8>>) -> Self {
        self.attributes.push((number, value.into()));
        self
    }

    /// The same with the address of a peer.
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        let value = write_address(peer, &self.id);
        self.with(attribute::XOR_PEER_ADDRESS, value)
    }

    /// As bytes, signed when there is a key; `None` when it is longer than a message can be.
    pub fn write(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        for (number, value) in &self.attributes {
            write_attribute(&mut body, *number, value)?;
        }
        let Some(key) = key else { return self.framed(&body, 0) };
        // The signature counts itself into the length, and nothing that follows it.
        let unsigned = self.framed(&body, 4 + INTEGRITY_LEN)?;
        write_attribute(&mut body, attribute::MESSAGE_INTEGRITY, &sign(key, &unsigned))?;
        self.framed(&body, 0)
    }

    fn framed(&self, body: &[u8], to_come: usize) -> Option<Vec<u8>> {
        let length = u16::try_from(body.len().checked_add(to_come)?).ok()?;
        let mut bytes = Vec::with_capacity(HEAD_LEN.saturating_add(body.len()));
        bytes.extend(kind(self.method, self.class).to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(COOKIE.to_be_bytes());
        bytes.extend(self.id);
        bytes.extend(body);
        Some(bytes)
    }

    /// Reads a message; `None` when the bytes are none that we know.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let (method, class) = unkind(take_u16(&mut rest)?)?;
        let length = usize::from(take_u16(&mut rest)?);
        if take(&mut rest, 4)? != COOKIE.to_be_bytes() {
            return None;
        }
        let id = take(&mut rest, 12)?.try_into().ok()?;
        if rest.len() != length {
            return None;
        }
        let mut attributes = Vec::new();
        while !rest.is_empty() {
            let number = take_u16(&mut rest)?;
            let length = usize::from(take_u16(&mut rest)?);
            attributes.push((number, take(&mut rest, length)?.to_vec()));
            take(&mut rest, padding(length))?;
        }
        Some(Self { method, class, id, attributes })
    }

    /// The value of an attribute.
    pub fn get(&self, number: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(known, _)| *known == number);
        found.map(|(_, value)| value.as_slice())
    }

    /// The value of an attribute that is text.
    pub fn text(&self, number: u16) -> Option<&str> {
        std::str::from_utf8(self.get(number)?).ok()
    }

    /// The address in an attribute that hides it from well-meaning middle boxes.
    pub fn address(&self, number: u16) -> Option<SocketAddr> {
        read_address(self.get(number)?, &self.id)
    }

    /// Why a request was refused: 300 to 699.
    pub fn error_code(&self) -> Option<u16> {
        let [_, _, hundreds, rest] = self.get(attribute::ERROR_CODE)?.first_chunk::<4>()?;
        Some(u16::from(hundreds & 7).saturating_mul(100).saturating_add(u16::from(*rest)))
    }
}

/// Whether bytes that [`Message::read`] takes carry the signature of somebody who has the key.
pub fn is_signed(bytes: &[u8], key: &[u8]) -> bool {
    signed_part(bytes).is_some_and(|(part, tag)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        hmac::verify(&key, &part, tag).is_ok()
    })
}

/// What is signed, with the length as it was when it was signed; and the signature.
fn signed_part(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = bytes.get(HEAD_LEN..)?;
    loop {
        let before = bytes.len().checked_sub(rest.len())?;
        let number = take_u16(&mut rest)?;
        let length = usize::from(take_u16(&mut rest)?);
        let value = take(&mut rest, length)?;
        if number == attribute::MESSAGE_INTEGRITY {
            let counted = before.checked_sub(HEAD_LEN)?.checked_add(4 + INTEGRITY_LEN)?;
            let mut part = bytes.get(..2)?.to_vec();
            part.extend(u16::try_from(counted).ok()?.to_be_bytes());
            part.extend(bytes.get(4..before)?);
            return Some((part, value));
        }
        take(&mut rest, padding(length))?;
    }
}

/// The key of a long-term credential (RFC 8489, 9.2.2), as every relay knows it.
pub fn key(username: &str, realm: &str, password: &str) -> Vec<u8> {
    Md5::digest(format!("{username}:{realm}:{password}")).to_vec()
}

/// The length of the message that begins with this head, its head included.
pub fn length(head: &[u8]) -> Option<usize> {
    let mut rest = head;
    unkind(take_u16(&mut rest)?)?;
    HEAD_LEN.checked_add(usize::from(take_u16(&mut rest)?))
}

fn sign(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    hmac::sign(&key, bytes).as_ref().to_vec()
}

fn kind(method: Method, class: Class) -> u16 {
    let method = match method {
        Method::Allocate => 0x0003,
        Method::Refresh => 0x0004,
        Method::Send => 0x0006,
        Method::Data => 0x0007,
        Method::CreatePermission => 0x0008,
    };
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Failure => 0x0110,
    };
    method | class
}

fn unkind(kind: u16) -> Option<(Method, Class)> {
    let class = match kind & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Failure,
    };
    let method = match kind & !0x0110 {
        0x0003 => Method::Allocate,
        0x0004 => Method::Refresh,
        0x0006 => Method::Send,
        0x0007 => Method::Data,
        0x0008 => Method::CreatePermission,
        _ => return None,
    };
    Some((method, class))
}

fn write_attribute(body: &mut Vec<u8>, number: u16, value: &[u8]) -> Option<()> {
    body.extend(number.to_be_bytes());
    body.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
    body.extend(value);
    body.extend(std::iter::repeat_n(0, padding(value.len())));
    Some(())
}

fn write_address(address: SocketAddr, id: &TransactionId) -> Vec<u8> {
    let family = if address.is_ipv4() { 1 } else { 2 };
    let mut value = vec![0, family];
    value.extend(port_mask(address.port()).to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => value.extend(masked(ip.octets(), id)),
        IpAddr::V6(ip) => value.extend(masked(ip.octets(), id)),
    }
    value
}

fn read_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let mut rest = value;
    let &[_, family] = take(&mut rest, 2)?.first_chunk::<2>()?;
    let port = port_mask(take_u16(&mut rest)?);
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(masked(<[u8; 4]>::try_from(rest).ok()?, id))),
        2 => IpAddr::V6(Ipv6Addr::from(masked(<[u8; 16]>::try_from(rest).ok()?, id))),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn port_mask(port: u16) -> u16 {
    let [high, low, ..] = COOKIE.to_be_bytes();
    port ^ u16::from_be_bytes([high, low])
}

fn masked<const LEN: usize>(mut octets: [u8; LEN], id: &TransactionId) -> [u8; LEN] {
    let mask = COOKIE.to_be_bytes().into_iter().chain(*id);
    for (octet, mask) in octets.iter_mut().zip(mask) {
        *octet ^= mask;
    }
    octets
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn methods() -> impl Strategy<Value = Method> {
        prop_oneof![
            Just(Method::Allocate),
            Just(Method::Refresh),
            Just(Method::Send),
            Just(Method::Data),
            Just(Method::CreatePermission),
        ]
    }

    fn classes() -> impl Strategy<Value = Class> {
        prop_oneof![
            Just(Class::Request),
            Just(Class::Indication),
            Just(Class::Success),
            Just(Class::Failure),
        ]
    }

    fn messages() -> impl Strategy<Value = Message> {
        // Integrity is the writer's own.
        let number = any::<u16>().prop_filter("ours", |n| *n != attribute::MESSAGE_INTEGRITY);
        let value = prop::collection::vec(any::<u8>(), 0..50);
        let attributes = prop::collection::vec((number, value), 0..8);
        (methods(), classes(), any::<[u8; 12]>(), attributes)
            .prop_map(|(method, class, id, attributes)| Message { method, class, id, attributes })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_its_signature_holds(
            message in messages(), key in prop::collection::vec(any::<u8>(), 0..40), at in any::<usize>(),
        ) {
            let plain = message.write(None).unwrap();
            prop_assert_eq!(length(&plain), Some(plain.len()));
            prop_assert_eq!(Message::read(&plain), Some(message.clone()));
            prop_assert!(!is_signed(&plain, &key));
            let mut signed = message.write(Some(&key)).unwrap();
            let read = Message::read(&signed).unwrap();
            prop_assert_eq!(read.attributes.len(), message.attributes.len() + 1);
            prop_assert!(is_signed(&signed, &key));
            prop_assert!(!is_signed(&signed, b"another key"));
            // A byte of the length changes what is read, not what is signed.
            let at = 4 + at % (signed.len() - 4);
            signed[at] ^= 0x41;
            prop_assert!(!is_signed(&signed, &key));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
            let try_all = |bytes: &[u8]| {
                length(bytes);
                is_signed(bytes, b"key");
                if let Some(message) = Message::read(bytes) {
                    message.error_code();
                    for number in 0..0x20 {
                        message.address(number);
                        message.text(number);
                    }
                }
            };
            try_all(&bytes);
            // The same behind a head that is right, whole and cut off.
            let mut headed = kind(Method::Allocate, Class::Failure).to_be_bytes().to_vec();
            headed.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
            headed.extend(COOKIE.to_be_bytes());
            headed.extend([7; 12]);
            headed.extend(&bytes);
            try_all(&headed);
            try_all(&headed[..cut % headed.len()]);
        }

        #[test]
        fn an_address_comes_back(ip in any::<IpAddr>(), port in any::<u16>(), id in any::<[u8; 12]>()) {
            let address = SocketAddr::new(ip, port);
            let message = Message::new(Method::Send, Class::Indication, id).with_peer(address);
            prop_assert_eq!(message.address(attribute::XOR_PEER_ADDRESS), Some(address));
        }
    }

    /// RFC 5769, 2.4: a long-term credential, whose name is not plain ASCII.
    #[test]
    fn the_key_and_the_signature_are_those_of_the_rfc() {
        let name = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
        let mut request = b"\x00\x01\x00\x60\x21\x12\xa4\x42".to_vec();
        request.extend(b"\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e");
        request.extend([b"\x00\x06\x00\x12", name.as_bytes(), b"\x00\x00"].concat());
        request.extend(b"\x00\x15\x00\x1cf//499k954d6OL34oL9FSTvy64sA");
        request.extend(b"\x00\x14\x00\x0bexample.org\x00\x00\x08\x00\x14");
        request.extend(b"\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8");
        request.extend(b"\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8\x96\x66");
        assert!(is_signed(&request, &key(name, "example.org", "TheMatrIX")));
        assert!(!is_signed(&request, &key(name, "example.org", "TheMatrix")));
    }
}
