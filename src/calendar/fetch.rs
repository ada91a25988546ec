//! Fetching a calendar that a practitioner names: bounded, and never from our own network.
//!
//! These functions wait for the network; `external` calls them off the async threads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::base::column::text_enum;

/// The largest calendar that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;
/// How long it may take to arrive, in seconds.
const SECS_MAX: u64 = 20;
const REDIRECTS_MAX: u32 = 3;
/// The longest address, in bytes.
const URL_BYTES_MAX: usize = 2000;

text_enum!(
    /// Why a calendar could not be taken over; a stable code.
    Trouble {
        /// The server's name is unknown.
        NoSuchHost = "no_such_host",
        /// The address belongs to a private network.
        PrivateAddress = "private_address",
        /// No connection, or a broken one.
        Unreachable = "unreachable",
        /// It took too long.
        TooSlow = "too_slow",
        /// The server's certificate does not hold.
        Certificate = "bad_certificate",
        /// The server answered with an error.
        Refused = "refused",
        /// It holds more than we take.
        TooLarge = "calendar_too_large",
        /// It is no calendar.
        NotACalendar = "not_a_calendar",
        /// It goes by a clock that nobody knows.
        UnknownZone = "unknown_time_zone",
    }
);

/// Whether a text can be the address of a calendar. `private_hosts`: the operator allows servers
/// of the clinic's own network, also without TLS.
pub fn is_address(url: &str, private_hosts: bool) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let is_scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => private_hosts,
        _ => false,
    };
    let has_password = uri.authority().is_some_and(|host| host.as_str().contains('@'));
    url.len() <= URL_BYTES_MAX
        && is_scheme
        && !has_password
        && uri.host().is_some_and(|host| !host.is_empty())
}

/// The calendar at an address.
pub fn fetch(url: &str, private_hosts: bool) -> Result<String, Trouble> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::WebPki)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(SECS_MAX)))
        .max_redirects(REDIRECTS_MAX)
        .https_only(!private_hosts)
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .user_agent("Feldsher")
        .build();
    let guard = Guard { inner: DefaultResolver::default(), private_hosts };
    let agent = Agent::with_parts(config, DefaultConnector::default(), guard);
    let request = agent.get(url).header("Accept", "text/calendar");
    let mut answer = request.call().map_err(|error| trouble(&error))?;
    if !answer.status().is_success() {
        return Err(Trouble::Refused);
    }
    let body = answer.body_mut().with_config().limit(BYTES_MAX).lossy_utf8(true);
    body.read_to_string().map_err(|error| trouble(&error))
}

/// Asks for the address of a name, once, and refuses those of private networks: the connection
/// is made to the very address that was checked, so a name cannot change its meaning in between.
#[derive(Debug)]
struct Guard {
    inner: DefaultResolver,
    private_hosts: bool,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.inner.resolve(uri, config, timeout)?;
        if self.private_hosts || addresses.iter().all(|address| is_public(address.ip())) {
            Ok(addresses)
        } else {
            Err(ureq::Error::Other(Box::new(Private)))
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("an address of a private network")]
struct Private;

fn trouble(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::Other(other) if other.is::<Private>() => Trouble::PrivateAddress,
        ureq::Error::HostNotFound => Trouble::NoSuchHost,
        ureq::Error::Timeout(_) => Trouble::TooSlow,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Trouble::Certificate,
        ureq::Error::BodyExceedsLimit(_) => Trouble::TooLarge,
        ureq::Error::TooManyRedirects => Trouble::Refused,
        _ => Trouble::Unreachable,
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries,
/// RFC 6890): nothing else is fetched.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // This network, loopback, multicast and beyond.
        (0 | 127 | 224.., ..) => true,
        // Shared by a provider's customers; protocol assignments; benchmarks.
        (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => true,
        // 6to4 relays.
        (192, 88, 99) => true,
        _ => false,
    };
    !is_special && !address.is_private() && !address.is_link_local() && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Teredo, 6to4 and documentation carry or pretend another address.
        [0x2001, 0, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] => false,
        // Global unicast.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one request with these bytes.
    fn server(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/busy.ics", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut line, _) = listener.accept().unwrap();
            let mut request = [0; 2048];
            let _read = line.read(&mut request).unwrap();
            // The reader may have seen enough before the end.
            line.write_all(&answer).ok();
        });
        url
    }

    fn ok(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn only_the_public_internet_is_asked() {
        for public in ["8.8.8.8", "93.184.216.34", "2a00:1450:4010:c05::71", "100.63.0.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn an_address_is_https_and_holds_no_password() {
        assert!(is_address("https://calendar.example/me.ics?key=1", false));
        assert!(is_address("http://10.0.0.5/me.ics", true));
        for wrong in [
            "http://calendar.example/me.ics",
            "ftp://calendar.example/me.ics",
            "file:///etc/passwd",
            "https://user:word@calendar.example/",
            "webcal://calendar.example/",
            "me.ics",
            "",
        ] {
            assert!(!is_address(wrong, false), "{wrong}");
        }
        assert!(!is_address(&format!("https://a.example/{}", "x".repeat(2000)), false));
    }

    #[test]
    fn our_own_network_is_refused_unless_the_operator_allows_it() {
        let url = server(ok("BEGIN:VCALENDAR"));
        assert_eq!(fetch(&url, true).as_deref(), Ok("BEGIN:VCALENDAR"));
        let port = url.rsplit(':').next().unwrap().to_owned();
        let literal = format!("https://127.0.0.1:{port}");
        assert_eq!(fetch(&literal, false), Err(Trouble::PrivateAddress));
        assert_eq!(fetch("https://localhost/", false), Err(Trouble::PrivateAddress));
        assert_eq!(fetch("https://[::1]/", false), Err(Trouble::PrivateAddress));
    }

    #[test]
    fn a_large_calendar_is_not_read_to_its_end_and_an_error_is_no_calendar() {
        let url = server(ok(&"x".repeat(1024 * 1024 + 1)));
        assert_eq!(fetch(&url, true), Err(Trouble::TooLarge));
        let url = server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
        assert_eq!(fetch(&url, true), Err(Trouble::Refused));
    }
}
