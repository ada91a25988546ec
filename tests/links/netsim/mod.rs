//! A small network of its own for one test: the server here, a patient and a doctor each in a
//! network namespace, and between them lines that are as bad as a profile says.
//!
//! The kernels of many test machines have no netem, so each host has a TUN device and a thread of
//! the test carries the packets. Only root can make one.

pub mod line;
pub mod profile;
mod sky;

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_tap::{Iface, Mode};

use crate::wire::pour;
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
        let inside = format!("{}/29", net.server);
        ip(&["addr", "add", &inside, "dev", &net.device]);
        ip(&["link", "set", &net.device, "up"]);
        let mut ports =
            vec![Port { address: net.server, device: Arc::new(here), profile: profile::LOOPBACK }];
        for (last, who, profile) in [(2, "patient", patient), (3, "doctor", profile::CLINIC)] {
            let name = format!("{PREFIX}{pid}-{number}-{who}");
            ip(&["netns", "add", &name]);
            net.names.push(name.clone());
            let address = address(last);
            let device = within(&name, || {
                std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
                made(DEVICE)
            });
            let device = Arc::new(device.expect("a TUN device in the namespace"));
            ports.push(Port { address, device, profile });
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "addr", "add", &format!("{address}/29"), "dev", DEVICE]);
            ip(&["-n", &name, "link", "set", DEVICE, "up"]);
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
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", namespace(self.name(host)).display())).arg(program);
        command
    }

    /// An address of this machine that leads to a port which a program opened on a host's own
    /// loopback. It does not go over the lines.
    pub fn door(&self, host: Host, port: u16) -> SocketAddr {
        let name = self.name(host).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = listener.local_addr().unwrap();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if let Ok(far) = within(&name, move || TcpStream::connect(("127.0.0.1", port))) {
                    pour(near.try_clone().unwrap(), far.try_clone().unwrap());
                    pour(far, near);
                }
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
        drop(Command::new("ip").args(["link", "del", &self.device]).status());
    }
}

/// A device in the namespace of this thread.
fn made(name: &str) -> io::Result<Iface> {
    Iface::without_packet_info(name, Mode::Tun)
}

/// Does something on a thread that is in a namespace. What it opens stays there.
fn within<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = File::open(namespace(name))?;
    let there = thread::spawn(move || {
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    });
    there.join().expect("nothing panics there")
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
