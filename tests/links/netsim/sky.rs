//! What lies between the hosts: packets come from one device, go up its line and down the line of
//! whoever they are for, and out of that device. One thread holds all lines and one clock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tun_tap::Iface;

use super::line::{Fate, Line, Why};
use super::profile::Profile;

const PACKET_BYTES_MAX: usize = 1500;
const IDLE: Duration = Duration::from_secs(1);

/// One host as the sky sees it.
pub struct Port {
    pub address: Ipv4Addr,
    pub device: Arc<Iface>,
    pub profile: Profile,
}

/// What became of the packets of one host so far, both ways.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub carried: u64,
    pub lost: u64,
    /// Dropped before a full queue.
    pub full: u64,
    /// Dropped in a silence or a blackout.
    pub silenced: u64,
}

enum Word {
    Packet { from: usize, bytes: Vec<u8> },
    Profile { port: usize, profile: Profile },
    Black { port: usize, black: bool },
    Tell { port: usize, to: Sender<Tally> },
    End,
}

/// A handle on the thread that carries.
pub struct Sky {
    words: Sender<Word>,
    over: Arc<AtomicBool>,
    carrier: Option<thread::JoinHandle<()>>,
}

impl Sky {
    pub fn over(ports: Vec<Port>, seed: u64) -> Self {
        let (words, heard) = mpsc::channel();
        let over = Arc::<AtomicBool>::default();
        for (from, port) in ports.iter().enumerate() {
            let (device, words, over) =
                (Arc::clone(&port.device), words.clone(), Arc::clone(&over));
            thread::spawn(move || listen(from, &device, &words, &over));
        }
        let carrier = Carrier::new(ports, seed);
        let carrier = thread::spawn(move || carrier.run(&heard));
        Self { words, over, carrier: Some(carrier) }
    }

    pub fn becomes(&self, port: usize, profile: Profile) {
        self.say(Word::Profile { port, profile });
    }

    /// Nothing comes to this host or goes from it, and nobody tells it.
    pub fn black(&self, port: usize, black: bool) {
        self.say(Word::Black { port, black });
    }

    pub fn tally(&self, port: usize) -> Tally {
        let (to, told) = mpsc::channel();
        self.say(Word::Tell { port, to });
        told.recv().expect("the carrier runs")
    }

    fn say(&self, word: Word) {
        self.words.send(word).expect("the carrier runs");
    }
}

impl Drop for Sky {
    fn drop(&mut self) {
        self.over.store(true, atomic::Ordering::SeqCst);
        drop(self.words.send(Word::End));
        if let Some(carrier) = self.carrier.take() {
            drop(carrier.join());
        }
    }
}

/// Reads one device until it is gone.
fn listen(from: usize, device: &Iface, words: &Sender<Word>, over: &AtomicBool) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    while !over.load(atomic::Ordering::SeqCst) {
        match device.recv(&mut buffer) {
            Ok(read) => {
                let bytes = buffer[..read].to_vec();
                if words.send(Word::Packet { from, bytes }).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A device that is switched off for a while, or about to go for good.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

struct Carrier {
    begun: Instant,
    lanes: Vec<Lane>,
    under_way: BinaryHeap<Reverse<Leg>>,
    count: u64,
}

struct Lane {
    port: Port,
    up: Line,
    down: Line,
    black: bool,
    tally: Tally,
}

/// A packet on its way to the end of one line.
struct Leg {
    due: Duration,
    /// Of two that are due at once the earlier goes first.
    number: u64,
    going: Going,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Going {
    Up { from: usize, to: usize },
    Down { to: usize },
}

impl Carrier {
    fn new(ports: Vec<Port>, seed: u64) -> Self {
        let lane = |(number, port): (u64, Port)| Lane {
            up: Line::new(port.profile.up, seed.wrapping_add(number * 2)),
            down: Line::new(port.profile.down, seed.wrapping_add(number * 2 + 1)),
            black: false,
            tally: Tally::default(),
            port,
        };
        Self {
            begun: Instant::now(),
            lanes: (0..).zip(ports).map(lane).collect(),
            under_way: BinaryHeap::new(),
            count: 0,
        }
    }

    fn run(mut self, words: &Receiver<Word>) {
        loop {
            let now = self.begun.elapsed();
            while self.under_way.peek().is_some_and(|Reverse(leg)| leg.due <= now) {
                if let Some(Reverse(leg)) = self.under_way.pop() {
                    self.ends(leg);
                }
            }
            let next = self
                .under_way
                .peek()
                .map_or(IDLE, |Reverse(leg)| leg.due.saturating_sub(self.begun.elapsed()));
            match words.recv_timeout(next) {
                Ok(Word::Packet { from, bytes }) => self.comes(from, bytes),
                Ok(Word::Profile { port, profile }) => {
                    let lane = &mut self.lanes[port];
                    lane.up.becomes(profile.up);
                    lane.down.becomes(profile.down);
                }
                Ok(Word::Black { port, black }) => self.lanes[port].black = black,
                Ok(Word::Tell { port, to }) => drop(to.send(self.lanes[port].tally)),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn comes(&mut self, from: usize, bytes: Vec<u8>) {
        let Some(address) = destination(&bytes) else { return };
        let Some(to) = self.lanes.iter().position(|lane| lane.port.address == address) else {
            return;
        };
        self.goes(Going::Up { from, to }, self.begun.elapsed(), bytes);
    }

    fn goes(&mut self, going: Going, now: Duration, bytes: Vec<u8>) {
        let (Going::Up { from: at, .. } | Going::Down { to: at }) = going;
        let Lane { up, down, black, tally, .. } = &mut self.lanes[at];
        let line = if matches!(going, Going::Up { .. }) { up } else { down };
        let fate = if *black {
            Fate::Lost(Why::Silence)
        } else {
            line.carry(now, u32::try_from(bytes.len()).unwrap())
        };
        match fate {
            Fate::Arrives(due) => {
                self.count += 1;
                self.under_way.push(Reverse(Leg { due, number: self.count, going, bytes }));
            }
            Fate::Lost(Why::Silence) => tally.silenced += 1,
            Fate::Lost(Why::Full) => tally.full += 1,
            Fate::Lost(Why::Air) => tally.lost += 1,
        }
    }

    fn ends(&mut self, leg: Leg) {
        let Leg { due, going, bytes, .. } = leg;
        let (Going::Up { from: at, .. } | Going::Down { to: at }) = going;
        let lane = &mut self.lanes[at];
        if lane.black {
            lane.tally.silenced += 1;
            return;
        }
        lane.tally.carried += 1;
        match going {
            Going::Up { to, .. } => self.goes(Going::Down { to }, due, bytes),
            // A device that is switched off takes nothing, as a cable that is pulled.
            Going::Down { .. } => drop(lane.port.device.send(&bytes)),
        }
    }
}

/// Whom an IPv4 packet is for.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| bytes.into())
}

impl Ord for Leg {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Leg {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Leg {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Leg {}
