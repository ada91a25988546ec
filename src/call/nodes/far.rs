//! A line whose socket is on one node and whose room is on another. The node with the socket carries
//! frames and knows nothing of them; the one with the room treats the line like its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::mpsc;
use tokio::time::sleep_until;
use uuid::Uuid;

use super::bus::{FarLine, Out, Post};
use super::tenure::Tenure;
use crate::account::SessionId;
use crate::call::budget::Budget;
use crate::call::event::{CloseCode, LineId};
use crate::call::farewell;
use crate::call::line::QUEUE_LEN_MAX;
use crate::call::socket::{FRAMES_BURST, FRAMES_PER_SECOND, SILENCE_SECS_MAX};
use crate::call::wire::{Ended, Heard, Wire};
use crate::practitioner::PractitionerId;

/// How many frames of a far line may wait here.
const FRAMES_LEN_MAX: usize = 256;
/// What may be said on a carried line at once, in bytes: more than a call that begins has to say.
const CARRIED_BYTES_BURST: f64 = 512.0 * 1024.0;
/// And per second in the long run.
const CARRIED_BYTES_PER_SECOND: f64 = 64.0 * 1024.0;
/// How many lines are carried for one ticket or seat: those that a bad network has cut die a little
/// later than the next is there.
const CARRIED_LEN_MAX: usize = 3;
/// How often it is told that a line which says nothing lives, at most, in milliseconds: often enough
/// that the room does not take it for dead, see [`SILENCE_SECS_MAX`].
const SIGN_MS: u64 = 4000;

/// How long a node that comes is told which sign-ins have ended, in seconds: some heartbeats.
const ENDED_SECS: u64 = 5;
/// How many of them are remembered.
const ENDED_LEN_MAX: usize = 4096;

/// What the node with the room says for a line of ours.
#[derive(Debug)]
enum Said {
    Send(String),
    Close(u16),
    NotMine,
    /// This process stops.
    Bye,
}

#[derive(Debug)]
struct Carried {
    owner: i64,
    /// The ticket or the seat that was shown for it.
    shown: Uuid,
    said: mpsc::Sender<Said>,
}

/// One node's dealings with the others, as long as its number is good.
#[derive(Debug)]
pub struct Office {
    pub(super) tenure: Arc<Tenure>,
    pub(super) out: Out,
    /// Lines whose sockets are here.
    carried: Mutex<HashMap<FarLine, Carried>>,
    /// Lines whose rooms are here, by the node that has the socket.
    hosted: Mutex<HashMap<(i64, FarLine), mpsc::Sender<Heard>>>,
    /// The other nodes that live.
    others: Mutex<HashSet<i64>>,
    /// Sign-ins that have ended of late: a node that came meanwhile was not told.
    ended: Mutex<VecDeque<(Stopwatch, SessionId)>>,
    /// Whose day has changed since the others were told last.
    moved: Mutex<HashSet<PractitionerId>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves behind here is at worst a line that its client comes back to.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Office {
    /// A node without dealings.
    pub(super) fn new(tenure: Arc<Tenure>, out: Out) -> Self {
        Self {
            tenure,
            out,
            carried: Mutex::default(),
            hosted: Mutex::default(),
            others: Mutex::default(),
            ended: Mutex::default(),
            moved: Mutex::default(),
        }
    }

    /// Who lives besides this node: lines to and from the others are broken off.
    /// Those who came are told which sign-ins have ended of late; answers whom that did not reach.
    pub(super) fn know(&self, living: impl IntoIterator<Item = i64>) -> Vec<(SessionId, Vec<i64>)> {
        let mut others = locked(&self.others);
        let mut now: HashSet<i64> = living.into_iter().collect();
        now.remove(&self.tenure.node);
        let came: Vec<i64> = now.difference(&others).copied().collect();
        *others = now;
        locked(&self.carried).retain(|_, line| others.contains(&line.owner));
        locked(&self.hosted).retain(|(from, _), _| others.contains(from));
        drop(others);
        let mut ended = locked(&self.ended);
        ended.retain(|(at, _)| at.elapsed() < Duration::from_secs(ENDED_SECS));
        let untold = |(_, session): &(Stopwatch, SessionId)| {
            let untold = self.tell_each(&came, &Post::SignedOut { session: *session });
            (!untold.is_empty()).then_some((*session, untold))
        };
        ended.iter().filter_map(untold).collect()
    }

    /// Tells the others that a sign-in has ended; whom that did not reach.
    pub(super) fn sign_out(&self, session: SessionId) -> Vec<i64> {
        // Before the others are looked up: whoever comes in between is told with the next heartbeat.
        let mut ended = locked(&self.ended);
        if ended.len() >= ENDED_LEN_MAX {
            ended.pop_front();
        }
        ended.push_back((Stopwatch::now(), session));
        drop(ended);
        let others: Vec<i64> = locked(&self.others).iter().copied().collect();
        self.tell_each(&others, &Post::SignedOut { session })
    }

    /// Tells those of these who live; whom that did not reach.
    pub(super) fn tell_each(&self, nodes: &[i64], post: &Post) -> Vec<i64> {
        let living: Vec<i64> = {
            let others = locked(&self.others);
            nodes.iter().copied().filter(|node| others.contains(node)).collect()
        };
        living.into_iter().filter(|node| !self.out.tell(*node, post)).collect()
    }

    /// Messages from or to a node are lost: its lines begin anew. `None`: those of every node.
    pub(super) fn break_off(&self, node: Option<i64>) {
        let keeps = |other: i64| node.is_some_and(|node| node != other);
        locked(&self.carried).retain(|_, line| keeps(line.owner));
        locked(&self.hosted).retain(|(from, _), _| keeps(*from));
    }

    /// Tells every other node.
    pub(super) fn tell_all(&self, post: &Post) {
        for node in locked(&self.others).iter() {
            if !self.out.tell(*node, post) {
                tracing::error!(node, "another node could not be told what happened");
            }
        }
    }

    /// Something changed in a practitioner's day.
    pub(super) fn day_moved(&self, practitioner: PractitionerId) {
        locked(&self.moved).insert(practitioner);
    }

    /// Tells the others whose days have changed.
    pub(super) fn tell_moved(&self) {
        let practitioners: Vec<_> = locked(&self.moved).drain().collect();
        if !practitioners.is_empty() {
            self.tell_all(&Post::Moved { practitioners });
        }
    }

    /// A line more that is carried. Whether what was shown for it is still good is known where the room
    /// is: of many that show the same, the oldest end.
    fn take_up(&self, line: FarLine, new: Carried) {
        let mut carried = locked(&self.carried);
        let mut same: Vec<FarLine> =
            carried.iter().filter(|(_, one)| one.shown == new.shown).map(|(at, _)| *at).collect();
        same.sort_unstable();
        let too_many = same.len().saturating_sub(CARRIED_LEN_MAX - 1);
        for oldest in same.into_iter().take(too_many) {
            if let Some(old) = carried.remove(&oldest) {
                old.said.try_send(Said::Close(number(CloseCode::Restart))).ok();
            }
        }
        carried.insert(line, new);
    }

    /// Says goodbye on every line that is carried.
    pub fn stop(&self) {
        for (_, line) in locked(&self.carried).drain() {
            line.said.try_send(Said::Bye).ok();
        }
    }

    /// What another node says about lines.
    pub(super) fn told(self: &Arc<Self>, sender: i64, post: Post) -> Told {
        match post {
            Post::Open { line, text } => {
                let (frames, heard) = mpsc::channel(FRAMES_LEN_MAX);
                locked(&self.hosted).insert((sender, line), frames);
                let office = Arc::clone(self);
                let wire = FarWire { office, from: sender, line, heard, is_closed: false };
                return Told::Opened(wire, text);
            }
            Post::Frame { line, text } => self.hand_in(sender, line, Heard::Text(text)),
            Post::Sign { line } => self.hand_in(sender, line, Heard::Sign),
            Post::Lost { line } => {
                locked(&self.hosted).remove(&(sender, line));
            }
            Post::Send { line, text } => self.pass(sender, line, Said::Send(text)),
            Post::Close { line, code } => self.pass(sender, line, Said::Close(code)),
            Post::NotMine { line } => self.pass(sender, line, Said::NotMine),
            news => return Told::News(news),
        }
        Told::Done
    }

    /// What was heard on a line elsewhere. One that is not here, or says more than is worked
    /// through, begins anew.
    fn hand_in(&self, sender: i64, line: FarLine, heard: Heard) {
        let mut hosted = locked(&self.hosted);
        if hosted.get(&(sender, line)).is_some_and(|line| line.try_send(heard).is_ok()) {
            return;
        }
        if hosted.remove(&(sender, line)).is_some() {
            tracing::warn!(sender, "a line of another node says more than is worked through");
        }
        self.out.tell(sender, &Post::Close { line, code: number(CloseCode::Restart) });
    }

    /// Never waits: a socket that does not keep up is cut off, and resumes.
    fn pass(&self, sender: i64, line: FarLine, said: Said) {
        let mut carried = locked(&self.carried);
        let Some(known) = carried.get(&line).filter(|known| known.owner == sender) else { return };
        if known.said.try_send(said).is_err() {
            carried.remove(&line);
        }
    }
}

/// What came of a message.
pub(super) enum Told {
    /// It was about a line, and is dealt with.
    Done,
    /// Somebody came; their first frame.
    Opened(FarWire, String),
    /// It is about no line.
    News(Post),
}

/// The number of a close code on the wire.
pub fn number(code: CloseCode) -> u16 {
    #[expect(clippy::as_conversions, reason = "the enum's numbers are the wire's numbers")]
    let number = code as u16;
    number
}

/// How the carrying of a line ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Carriage {
    /// The room is elsewhere by now, and nothing has been said: try again.
    Moved,
    /// It is over; the code to close with.
    Ended(Option<u16>),
}

/// Carries a line to the node that has its room, until either side ends it; `text` is its first
/// frame, with which a ticket or a seat was `shown`.
pub async fn carry<W: Wire>(
    office: &Arc<Office>,
    wire: &mut W,
    (owner, line): (i64, LineId),
    text: &str,
    shown: Uuid,
) -> Carriage {
    let (said, mut orders) = mpsc::channel(QUEUE_LEN_MAX);
    office.take_up(line, Carried { owner, shown, said });
    let now = tokio::time::Instant::now();
    let budget = Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
    let bytes = Budget::full(CARRIED_BYTES_BURST, CARRIED_BYTES_PER_SECOND);
    let mut carrier = Carrier { office, owner, line, budget, bytes, told_at: now };
    if !carrier.tell(&Post::Open { line, text: text.to_owned() }) {
        return Carriage::Ended(Some(number(CloseCode::TooSlow)));
    }
    let silence = Duration::from_secs(SILENCE_SECS_MAX);
    let mut dead_at = now + silence;
    let mut spoke = false;
    loop {
        let done = tokio::select! {
            order = orders.recv() => match order {
                Some(Said::Send(text)) => {
                    spoke = true;
                    wire.write(text).await
                }
                Some(Said::Close(code)) => return Carriage::Ended(Some(code)),
                // Its node has died, or has given the room up.
                Some(Said::NotMine) | None if !spoke => return Carriage::Moved,
                Some(Said::NotMine | Said::Bye) | None => {
                    let bye = wire.write(farewell(line)).await;
                    bye.and(Err(Some(CloseCode::Restart)))
                }
            },
            heard = wire.hear() => {
                dead_at = tokio::time::Instant::now() + silence;
                carrier.heard(wire, heard).await
            }
            () = sleep_until(dead_at) => Err(None),
        };
        if let Err(ended) = done {
            return Carriage::Ended(ended.map(number));
        }
    }
}

/// The carrying of one line; its end is told to the node that has the room.
struct Carrier<'a> {
    office: &'a Arc<Office>,
    owner: i64,
    line: FarLine,
    budget: Budget,
    bytes: Budget,
    /// When that node was last told something of it.
    told_at: tokio::time::Instant,
}

impl Carrier<'_> {
    fn tell(&self, post: &Post) -> bool {
        self.office.out.tell(self.owner, post)
    }

    async fn heard<W: Wire>(&mut self, wire: &mut W, heard: Heard) -> Result<(), Ended> {
        if !self.budget.spend() {
            return Err(Some(CloseCode::TooSlow));
        }
        match heard {
            Heard::Text(text) => {
                if !self.bytes.spend_all(u32::try_from(text.len()).unwrap_or(u32::MAX)) {
                    return Err(Some(CloseCode::TooSlow));
                }
                self.pass_on(&Post::Frame { line: self.line, text })
            }
            Heard::Ping(payload) => {
                self.show_life()?;
                wire.echo(payload).await
            }
            Heard::Sign => self.show_life(),
            Heard::Gone => Err(None),
            Heard::Broken(code) => Err(Some(code)),
        }
    }

    fn pass_on(&mut self, post: &Post) -> Result<(), Ended> {
        self.told_at = tokio::time::Instant::now();
        if self.tell(post) { Ok(()) } else { Err(Some(CloseCode::TooSlow)) }
    }

    /// Where the room is, silence is death as well.
    fn show_life(&mut self) -> Result<(), Ended> {
        if self.told_at.elapsed() < Duration::from_millis(SIGN_MS) {
            return Ok(());
        }
        self.pass_on(&Post::Sign { line: self.line })
    }
}

impl Drop for Carrier<'_> {
    fn drop(&mut self) {
        locked(&self.office.carried).remove(&self.line);
        // When it cannot be told, the line falls silent there.
        self.tell(&Post::Lost { line: self.line });
    }
}

/// The far end of a line that is carried here by another node. However its serving ends, the socket
/// over there hears of it.
#[derive(Debug)]
pub struct FarWire {
    office: Arc<Office>,
    from: i64,
    line: FarLine,
    heard: mpsc::Receiver<Heard>,
    /// Whether its end was told.
    is_closed: bool,
}

impl FarWire {
    /// Sends the line on: its room is not here.
    pub fn send_on(mut self) {
        self.end(&Post::NotMine { line: self.line });
    }

    fn end(&mut self, post: &Post) {
        self.is_closed = true;
        // When it cannot be told, the line is told so when it shows that it lives.
        self.office.out.tell(self.from, post);
    }
}

impl Wire for FarWire {
    async fn hear(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Gone)
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        let post = Post::Send { line: self.line, text };
        if self.office.out.tell(self.from, &post) { Ok(()) } else { Err(Some(CloseCode::TooSlow)) }
    }

    fn is_near(&self) -> bool {
        false
    }

    async fn is_gone(&mut self) -> bool {
        self.heard.is_closed()
    }

    async fn close(mut self, code: u16) {
        self.end(&Post::Close { line: self.line, code });
    }
}

impl Drop for FarWire {
    fn drop(&mut self) {
        locked(&self.office.hosted).remove(&(self.from, self.line));
        if !self.is_closed {
            self.end(&Post::Close { line: self.line, code: number(CloseCode::Restart) });
        }
    }
}

#[cfg(test)]
#[path = "far_tests.rs"]
mod tests;
