//! A real coturn on this machine, with the file that we ship and nobody's rights.

use std::fs::{File, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use feldsher::base::clock::{Clock, SystemClock};
use feldsher::base::config::{Config, Secret};
use feldsher::base::seal::sha256;
use feldsher::call::ice;
use feldsher::call::relay::client::Client;
use feldsher::call::relay::trouble::Trouble;
use feldsher::call::relay::trusting;
use feldsher::call::relay::url::RelayUrl;
use feldsher::call::relay::wire::Wire;

/// What the tests' relays share with Feldsher.
pub const SECRET: &str = "a secret of the tests, as long as one must be";
/// What lets a relay send to itself on this machine, which the shipped file forbids.
pub const LOOPBACK: &[&str] = &["--allow-loopback-peers", "--allowed-peer-ip=127.0.0.1"];
const NOBODY: u32 = 65_534;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running relay; it ends with the test.
pub struct Coturn {
    /// UDP and TCP.
    pub port: u16,
    pub tls_port: u16,
    directory: PathBuf,
    process: Child,
}

impl Coturn {
    /// The shipped file; what belongs to one machine, and `overrides`, on the command line.
    pub fn start(overrides: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!(
            "feldsher-relay-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
        certificate(&directory, "cert", "IP:127.0.0.1");
        certificate(&directory, "stranger", "DNS:relay.example");
        for _ in 0..5 {
            // Between choosing a port and listening there, another test may take it.
            let (port, tls_port) = (free_port(), free_port());
            let mut process = spawn(&directory, port, tls_port, overrides);
            if answers(&mut process, port) && answers(&mut process, tls_port) {
                let coturn = Self { port, tls_port, directory, process };
                coturn.warm_up();
                return coturn;
            }
            drop(process.kill());
            drop(process.wait());
        }
        let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        panic!("coturn did not start; tests/run installs it\n{log}");
    }

    /// It refuses the first who come until its database is made.
    fn warm_up(&self) {
        let [_, url, _] = self.urls();
        let relay: RelayUrl = url.parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let settings = Config::defaults().unwrap().ice;
        let tls = Arc::new(trusting(&settings).unwrap());
        let expiry = SystemClock.now().utc().timestamp() + 600;
        for _ in 0..100 {
            let until = Instant::now() + Duration::from_secs(5);
            let wire = Wire::open(&relay, address, &tls, until).unwrap();
            let secret = Secret(SECRET.to_owned());
            let credential = ice::credential(&secret, uuid::Uuid::new_v4(), expiry);
            let mut client = Client::new(wire, Some(credential));
            let allocated = client.allocate(false);
            client.release();
            if allocated != Err(Trouble::Secret) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("coturn refuses the tests' secret\n{}", self.log());
    }

    /// The certificate that it shows, `cert`, or one of another name that it can be told to show,
    /// `stranger`. Nobody else trusts them.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.directory.join(name).with_extension("pem")
    }

    /// The print of the key that its certificate is for, as Chromium takes it: SHA-256 in base64.
    pub fn print_of_key(&self) -> String {
        let read = Command::new("openssl")
            .args(["x509", "-noout", "-pubkey", "-in"])
            .arg(self.certificate("cert"))
            .output()
            .expect("openssl reads a certificate");
        let pem = String::from_utf8(read.stdout).unwrap();
        let key: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.encode(sha256(&STANDARD.decode(key).unwrap()))
    }

    /// What it has written down so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap()
    }

    /// By UDP, TCP and TLS.
    pub fn urls(&self) -> [String; 3] {
        let Self { port, tls_port, .. } = self;
        [
            format!("turn:127.0.0.1:{port}?transport=udp"),
            format!("turn:127.0.0.1:{port}?transport=tcp"),
            format!("turns:127.0.0.1:{tls_port}?transport=tcp"),
        ]
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn spawn(directory: &Path, port: u16, tls_port: u16, overrides: &[&str]) -> Child {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/coturn.conf");
    // Nobody cannot look into everybody's house.
    let settings = directory.join("coturn.conf");
    std::fs::copy(shipped, &settings).unwrap();
    let log = File::create(directory.join("log")).unwrap();
    let mut command = Command::new("turnserver");
    command
        .arg("-c")
        .arg(settings)
        .arg(format!("--static-auth-secret={SECRET}"))
        .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
        .arg(format!("--listening-port={port}"))
        .arg(format!("--tls-listening-port={tls_port}"))
        .arg(format!("--cert={}", directory.join("cert.pem").display()))
        .arg(format!("--pkey={}", directory.join("cert.key").display()))
        .arg(format!("--userdb={}", directory.join("users").display()))
        .arg(format!("--pidfile={}", directory.join("pid").display()))
        .args(overrides)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.spawn().expect("coturn starts; tests/run installs it")
}

/// Makes `name.pem` and `name.key` for a host.
fn certificate(directory: &Path, name: &str, host: &str) {
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-keyout", &key, "-out", &pem, "-subj", "/CN=relay"])
        .args(["-days", "2", "-addext", &format!("subjectAltName={host}")])
        .args(["-addext", "basicConstraints=critical,CA:false"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .expect("openssl makes a certificate");
    assert!(made.success());
    std::fs::set_permissions(directory.join(key), Permissions::from_mode(0o644)).unwrap();
}

/// A port that is free for connections and for datagrams.
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn answers(process: &mut Child, port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
