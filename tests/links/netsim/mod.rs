//! A small network of its own for one test: the server here, a patient and a doctor each in a
//! network namespace, and between them lines that are as bad as a profile says.
//!
//! The kernels of many test machines have no netem, so each host has a TUN device and a thread of
//! the test carries the packets. Only root can make one.

pub mod line;
pub mod profile;
mod sky;
mod tests;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use tun_tap::{Iface, Mode};

use profile::Profile;
pub use sky::Tally;
use sky::{Port, Sky};

/// A name that Chromium does not take for a tunnel, which it would not call a network.
const DEVICE: &str = "link0";
const NAMESPACES: &str = "/run/netns";
const PREFIX: &str = "feldsher-link-";

static NEXT: AtomicU8 = AtomicU8::new(0);

/// Who is on the net, besides the server, which is the machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Patient,
    Doctor,
}

impl Host {
    /// Its place among the ports of the sky, where the server is the first.
    fn port(self) -> usize {
        match self {
            Host::Patient => 1,
            Host::Doctor => 2,
        }
    }
}

/// The net; it goes with the test, also with one that fails.
pub struct Net {
    server: Ipv4Addr,
    device: String,
    names: Vec<String>,
    sky: Option<Sky>,
}

impl Net {
    /// `patient` is the link of the patient; the doctor sits in a clinic in town.
    pub fn new(patient: Profile, seed: u64) -> Self {
        sweep();
        let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // 198.18.0.0/15 is for measurements like this one (RFC 2544); a third for each process.
        let third = u8::try_from(pid % 250).unwrap();
        let address = |last: u8| Ipv4Addr::new(198, 18, third, number.wrapping_mul(8) + last);
        let device = format!("fl{pid}n{number}");
        let mut net = Self { server: address(1), device, names: Vec::new(), sky: None };
        let here = made(&net.device).unwrap_or_else(|error| {
            panic!(
                "cannot make a TUN device ({error}): the tests of links need root and /dev/net/tun"
            )
        });
        up(None, &net.device, net.server);
        let mut ports =
            vec![Port { address: net.server, device: Arc::new(here), profile: profile::LOOPBACK }];
        for (last, who, profile) in [(2, "p", patient), (3, "d", profile::CLINIC)] {
            let name = format!("{PREFIX}{pid}-{number}-{who}");
            ip(&["netns", "add", &name]);
            net.names.push(name.clone());
            let address = address(last);
            // Made here and moved there: it stays in the hand of whoever made it.
            let device = Arc::new(made(&format!("{}{who}", net.device)).expect("a TUN device"));
            ip(&["link", "set", device.name(), "netns", &name, "name", DEVICE]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            up(Some(&name), DEVICE, address);
            ports.push(Port { address, device, profile });
            ip(&["-n", &name, "route", "add", "default", "dev", DEVICE]);
        }
        net.sky = Some(Sky::over(ports, seed));
        net
    }

    /// Where the server listens, as everybody on the net reaches it.
    pub fn server(&self) -> Ipv4Addr {
        self.server
    }

    /// A program that runs on a host, and of which the process is the one that is started.
    pub fn command(&self, host: Host, program: &Path) -> Command {
        entering(self.name(host), program)
    }

    /// An address of this machine that leads to a port which a program opened on a host's own
    /// loopback. It does not go over the lines.
    pub fn door(&self, host: Host, port: u16) -> SocketAddr {
        let (name, port) = (self.name(host).to_owned(), port.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = listener.local_addr().unwrap();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = entering(&name, Path::new("bash"))
                    .args(["-c", "exec 3<>/dev/tcp/127.0.0.1/$0 && { cat <&3 & exec cat >&3; }"])
                    .arg(&port)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn();
                carry(near, far.expect("bash in the namespace"));
            }
        });
        door
    }

    /// From now on a host has another link.
    pub fn becomes(&self, host: Host, profile: Profile) {
        self.sky().becomes(host.port(), profile);
    }

    /// Nothing comes through any more, in silence; or it does again.
    pub fn black(&self, host: Host, black: bool) {
        self.sky().black(host.port(), black);
    }

    /// The host itself sees that it has no network, as a phone in flight mode does.
    pub fn unplug(&self, host: Host) {
        ip(&["-n", self.name(host), "link", "set", DEVICE, "down"]);
    }

    pub fn plug(&self, host: Host) {
        ip(&["-n", self.name(host), "link", "set", DEVICE, "up"]);
        ip(&["-n", self.name(host), "route", "add", "default", "dev", DEVICE]);
    }

    pub fn tally(&self, host: Host) -> Tally {
        self.sky().tally(host.port())
    }

    fn sky(&self) -> &Sky {
        self.sky.as_ref().expect("a net that was made")
    }

    fn name(&self, host: Host) -> &str {
        &self.names[host.port() - 1]
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.sky.take());
        for name in &self.names {
            drop(Command::new("ip").args(["netns", "del", name]).status());
        }
        // As a rule it has gone with the last who held it.
        let last = ["link", "del", &self.device];
        drop(Command::new("ip").args(last).stderr(Stdio::null()).status());
    }
}

fn made(name: &str) -> io::Result<Iface> {
    Iface::without_packet_info(name, Mode::Tun)
}

/// Gives a device its address and switches it on.
fn up(namespace: Option<&str>, device: &str, address: Ipv4Addr) {
    let place = namespace.map_or(Vec::new(), |name| vec!["-n", name]);
    let address = format!("{address}/29");
    ip(&[&place[..], &["addr", "add", &address, "dev", device]].concat());
    ip(&[&place[..], &["link", "set", device, "up"]].concat());
}

/// Between a connection and what a program says and hears, until either ends.
fn carry(near: TcpStream, mut far: Child) {
    let (mut into, mut out) = (far.stdin.take().unwrap(), far.stdout.take().unwrap());
    let (mut from, mut to) = (near.try_clone().unwrap(), near);
    thread::spawn(move || pour(&mut from, &mut into));
    thread::spawn(move || {
        pour(&mut out, &mut to);
        drop(to.shutdown(Shutdown::Both));
        drop(far.wait());
    });
}

/// Each word goes on as it comes.
fn pour(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

fn entering(name: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace(name).display())).arg(program);
    command
}

fn namespace(name: &str) -> PathBuf {
    Path::new(NAMESPACES).join(name)
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().expect("ip, of Debian's iproute2");
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {words}", arguments.join(" "));
}

/// Removes what a process left behind that was killed.
fn sweep() {
    let Ok(names) = std::fs::read_dir(NAMESPACES) else { return };
    for name in names.map_while(Result::ok).filter_map(|entry| entry.file_name().into_string().ok())
    {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            drop(Command::new("ip").args(["netns", "del", &name]).status());
        }
    }
}
