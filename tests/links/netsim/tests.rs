//! The net itself: what it got wrong, every figure would have wrong too.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::profile::{LOOPBACK, Profile, SATELLITE};
use super::{Host, NAMESPACES, Net};
use crate::talk::ONE_LINK;

/// Somebody in the namespace who says back what is said.
struct Echo {
    line: BufReader<TcpStream>,
    process: std::process::Child,
}

impl Echo {
    fn of(net: &Net, host: Host) -> Self {
        let listener = TcpListener::bind((net.server(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let process = net
            .command(host, Path::new("bash"))
            .args(["-c", "exec 3<>/dev/tcp/$0/$1; while read -r word <&3; do echo $word >&3; done"])
            .args([address.ip().to_string(), address.port().to_string()])
            .spawn()
            .unwrap();
        let (line, _) = listener.accept().unwrap();
        line.set_nodelay(true).unwrap();
        Self { line: BufReader::new(line), process }
    }

    /// How long a word takes there and back; none came within `patience`.
    fn hears(&mut self, patience: Duration) -> Option<Duration> {
        self.line.get_ref().set_read_timeout(Some(patience)).unwrap();
        let begun = Instant::now();
        self.line.get_mut().write_all(b"word\n").unwrap();
        let mut heard = String::new();
        self.line.read_line(&mut heard).is_ok_and(|read| read > 0).then(|| begun.elapsed())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[actix_web::test]
async fn a_word_takes_as_long_as_the_link_says_and_none_comes_through_a_blackout() {
    let _alone = ONE_LINK.lock().await;
    let calm = |of: Profile| Profile {
        down: super::line::Shape { loss: 0.0, ..of.down },
        up: super::line::Shape { loss: 0.0, ..of.up },
        ..of
    };
    let net = Net::new(calm(SATELLITE), 1);
    let mut echo = Echo::of(&net, Host::Patient);
    let patience = Duration::from_secs(20);
    let around = echo.hears(patience).unwrap().as_millis();
    // Twice 325 ± 15 ms; the machine may be busy, but nothing may be early.
    assert!((620..1500).contains(&around), "{around} ms");

    net.becomes(Host::Patient, LOOPBACK);
    let around = echo.hears(patience).unwrap();
    assert!(around < Duration::from_millis(500), "{around:?}");
    net.black(Host::Patient, true);
    assert_eq!(echo.hears(Duration::from_secs(1)), None);
    net.black(Host::Patient, false);
    // The word that was lost is said again, by TCP.
    assert!(echo.hears(patience).is_some());
    assert!(net.tally(Host::Patient).silenced > 0);
}

#[actix_web::test]
async fn a_net_leaves_nothing_behind() {
    let _alone = ONE_LINK.lock().await;
    let net = Net::new(LOOPBACK, 1);
    let (names, device) = (net.names.clone(), net.device.clone());
    let is_there = |name: &String| Path::new(NAMESPACES).join(name).exists();
    let device_is_there = || Path::new("/sys/class/net").join(&device).exists();
    assert!(names.len() == 2 && names.iter().all(is_there) && device_is_there());
    drop(net);
    assert!(!names.iter().any(is_there) && !device_is_there());
}
