//! The three ways to a relay: datagrams, a connection, a connection in TLS. They wait, but never
//! longer than they are told; whoever calls them stands on a thread of their own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, StreamOwned};

use crate::call::relay::stun;
use crate::call::relay::trouble::Trouble;
use crate::call::relay::url::{RelayUrl, Transport};

/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How long sending a message may take, in seconds.
const SEND_SECS_MAX: u64 = 5;

/// A way to a relay.
pub enum Wire {
    /// Datagrams.
    Udp(UdpSocket),
    /// A connection.
    Tcp(Timed),
    /// A connection in TLS.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A connection that waits until one moment, however many pieces come before it.
pub struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Wire {
    /// Opens a way to one of the addresses of a relay.
    pub fn open(
        relay: &RelayUrl,
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        until: Instant,
    ) -> Result<Self, Trouble> {
        let opened = match relay.transport {
            Transport::Udp => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let bound = UdpSocket::bind(any)
                    .and_then(|socket| socket.connect(address).map(|()| socket));
                bound.map(Self::Udp).map_err(|error| trouble(&error))
            }
            Transport::Tcp => connect(address, until).map(Self::Tcp),
            Transport::Tls => connect(address, until)
                .and_then(|stream| in_tls(stream, &relay.host, tls))
                .map(|tls| Self::Tls(Box::new(tls))),
        };
        opened.map_err(|trouble| match trouble {
            // A machine that speaks no IPv6 says so in its own ways.
            Trouble::Ours(_) if address.is_ipv6() => Trouble::NoWay,
            other => other,
        })
    }

    /// Whether what is sent may be lost on the way, so that it must be said again.
    pub fn loses(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Sends one message.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Trouble> {
        let until = Instant::now() + Duration::from_secs(SEND_SECS_MAX);
        let sent = match self {
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => {
                stream.until = until;
                stream.write_all(message)
            }
            Self::Tls(stream) => {
                stream.sock.until = until;
                stream.write_all(message).and_then(|()| stream.flush())
            }
        };
        sent.map_err(|error| trouble(&error))
    }

    /// The next message; `None` when none has come by then.
    pub fn receive(&mut self, until: Instant) -> Result<Option<Vec<u8>>, Trouble> {
        let received = match self {
            Self::Udp(socket) => receive_datagram(socket, until),
            Self::Tcp(stream) => {
                stream.until = until;
                receive_whole(stream)
            }
            Self::Tls(stream) => {
                stream.sock.until = until;
                receive_whole(stream.as_mut())
            }
        };
        match received {
            Ok(message) => message.map(Some).ok_or(Trouble::NotTurn),
            Err(error) if is_late(&error) => Ok(None),
            Err(error) => Err(trouble(&error)),
        }
    }
}

fn connect(address: SocketAddr, until: Instant) -> Result<Timed, Trouble> {
    let connected = left(until).and_then(|left| TcpStream::connect_timeout(&address, left));
    let stream = connected.map_err(|error| trouble(&error))?;
    // Questions are short and wait for their answers.
    stream.set_nodelay(true).map_err(|error| trouble(&error))?;
    Ok(Timed { stream, until })
}

fn in_tls(
    mut stream: Timed,
    host: &str,
    tls: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, Timed>, Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_invalid| Trouble::NoSuchName)?;
    let mut connection = ClientConnection::new(Arc::clone(tls), name)
        .map_err(|error| Trouble::Ours(error.to_string()))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| of_handshake(&error))?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn of_handshake(error: &io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => Trouble::Certificate(words(why)),
        Some(rustls::Error::InvalidMessage(_)) => Trouble::NotTls,
        Some(other) => Trouble::NoAgreement(other.to_string()),
        None if error.kind() == ErrorKind::UnexpectedEof => {
            Trouble::NoAgreement("it closed the connection".to_owned())
        }
        None if is_late(error) => Trouble::Silent,
        None => trouble(error),
    }
}

fn words(why: &CertificateError) -> String {
    let words = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has run out",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; or our clock is wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name"
        }
        CertificateError::UnknownIssuer => "nobody known has signed it, or its chain is not whole",
        other => return other.to_string(),
    };
    words.to_owned()
}

/// What is left of the time; at its end, an error like that of a socket that waited in vain.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn receive_datagram(socket: &UdpSocket, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    socket.set_read_timeout(Some(left(until)?))?;
    let length = socket.recv(&mut bytes)?;
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// One message of a connection, `None` when what comes is none.
fn receive_whole(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut message = vec![0; stun::HEAD_LEN];
    stream.read_exact(&mut message)?;
    let Some(length) = stun::length(&message) else { return Ok(None) };
    let mut rest = vec![0; length.saturating_sub(stun::HEAD_LEN)];
    stream.read_exact(&mut rest)?;
    message.append(&mut rest);
    Ok(Some(message))
}

fn trouble(error: &io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionRefused => Trouble::NobodyListens,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Trouble::NoAnswer,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Trouble::NoWay,
        ErrorKind::AddrNotAvailable => Trouble::NoWay,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Trouble::Closed
        }
        _ => Trouble::Ours(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_comes_in_pieces_is_one_message_and_silence_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        let mut wire = Wire::Tcp(connect(address, until).unwrap());
        let (mut far, _) = listener.accept().unwrap();
        let message =
            [b"\x01\x03\x00\x04\x21\x12\xa4\x42twelve bytes".as_slice(), b"four"].concat();
        for byte in &message {
            far.write_all(&[*byte]).unwrap();
        }
        assert_eq!(wire.receive(until), Ok(Some(message)));
        let soon = Instant::now() + Duration::from_millis(30);
        assert_eq!(wire.receive(soon), Ok(None));
        // One that drips does not make us wait longer.
        let mut slow = far.try_clone().unwrap();
        let drips = std::thread::spawn(move || {
            for byte in b"\x01\x03\xff\xf0\x21\x12\xa4\x42" {
                slow.write_all(&[*byte]).unwrap();
                std::thread::sleep(Duration::from_millis(60));
            }
        });
        let begun = Instant::now();
        assert_eq!(wire.receive(begun + Duration::from_millis(150)), Ok(None));
        assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
        drips.join().unwrap();
        let mut wire = Wire::Tcp(connect(address, until).unwrap());
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(b"HTTP/1.1 400 Bad Request").unwrap();
        assert_eq!(wire.receive(until), Err(Trouble::NotTurn));
        drop(far);
        assert_eq!(wire.receive(until), Err(Trouble::Closed));
    }

    #[test]
    fn whoever_takes_a_connection_and_says_nothing_is_behind_no_firewall() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls =
            Arc::new(crate::call::relay::trusting(&crate::base::config::Ice::default()).unwrap());
        let stream = connect(address, Instant::now() + Duration::from_millis(100)).unwrap();
        assert_eq!(in_tls(stream, "localhost", &tls).err(), Some(Trouble::Silent));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        for (why, said) in [
            (CertificateError::Expired, "run out"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "another name"),
            (CertificateError::UnknownIssuer, "nobody known"),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(why));
            let trouble = of_handshake(&error).to_string();
            assert!(trouble.contains(said) && trouble.contains("not trusted"), "{trouble}");
        }
    }
}
