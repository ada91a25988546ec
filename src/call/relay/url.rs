//! The address of a relay as browsers take it (RFC 7065).

use std::fmt;
use std::str::FromStr;

/// How one speaks to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection in clear: what is relayed is encrypted in itself.
    Tcp,
    /// A connection in TLS.
    Tls,
}

/// `turn:host:port?transport=udp` and its sisters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// A name or an address, without brackets.
    pub host: String,
    /// 3478, or 5349 for `turns:`, where none is named.
    pub port: u16,
    /// UDP, or TLS for `turns:`, where none is named.
    pub transport: Transport,
    text: String,
}

/// Why a text is no address of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must each be like turn:turn.clinic.example:3478?transport=udp (or tcp), or \
     turns:turn.clinic.example:443?transport=tcp"
)]
pub struct NotARelay;

impl FromStr for RelayUrl {
    type Err = NotARelay;

    fn from_str(text: &str) -> Result<Self, NotARelay> {
        let (scheme, rest) = text.split_once(':').ok_or(NotARelay)?;
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let transport = match (scheme, query) {
            ("turn", None | Some("transport=udp")) => Transport::Udp,
            ("turn", Some("transport=tcp")) => Transport::Tcp,
            // No browser speaks DTLS to a relay.
            ("turns", None | Some("transport=tcp")) => Transport::Tls,
            _ => return Err(NotARelay),
        };
        let usual = if transport == Transport::Tls { 5349 } else { 3478 };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(NotARelay)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(NotARelay)?,
            None if port.is_empty() => usual,
            None => return Err(NotARelay),
        };
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || ".-_:".contains(sign);
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(NotARelay);
        }
        Ok(Self { host: host.to_owned(), port, transport, text: text.to_owned() })
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_browsers_take_is_read_and_nothing_else() {
        for (text, host, port, transport) in [
            ("turn:turn.example", "turn.example", 3478, Transport::Udp),
            ("turn:10.0.0.1:80?transport=udp", "10.0.0.1", 80, Transport::Udp),
            ("turn:turn.example?transport=tcp", "turn.example", 3478, Transport::Tcp),
            ("turns:turn.example", "turn.example", 5349, Transport::Tls),
            ("turns:[2001:db8::1]:443?transport=tcp", "2001:db8::1", 443, Transport::Tls),
            ("turn:[::1]", "::1", 3478, Transport::Udp),
        ] {
            let url: RelayUrl = text.parse().unwrap();
            assert_eq!((&*url.host, url.port, url.transport), (host, port, transport), "{text}");
            assert_eq!(url.to_string(), text);
        }
        for wrong in [
            "",
            "turn",
            "turn:",
            "turn:host:",
            "turn:host:0",
            "turn:host:65536",
            "turn:user@host",
            "turn://host",
            "turn:host/path",
            "turn:[::1",
            "turn:[::1]x",
            "turn:host?transport=tls",
            "turn:host?transport=udp&x=1",
            "turns:host?transport=udp",
            "stun:host",
            "https://host",
        ] {
            assert_eq!(wrong.parse::<RelayUrl>(), Err(NotARelay), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(turns?:)?[\\[\\]:?=a-z0-9é.]{0,20}") {
            if let Ok(url) = text.parse::<RelayUrl>() {
                prop_assert!(!url.host.is_empty() && url.port > 0);
            }
        }
    }
}
