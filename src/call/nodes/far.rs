//! A line whose socket is on one node and whose room is on another. The node with the socket carries
//! frames and knows nothing of them; the one with the room treats the line like its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::bus::{FarLine, Out, Post};
use super::tenure::Tenure;
use crate::call::budget::Budget;
use crate::call::event::{CloseCode, LineId};
use crate::call::farewell;
use crate::call::line::QUEUE_LEN_MAX;
use crate::call::socket::{FRAMES_BURST, FRAMES_PER_SECOND, SILENCE_SECS_MAX};
use crate::call::wire::{Ended, Heard, Wire};
use crate::practitioner::PractitionerId;

/// How many frames of a far line may wait here.
const FRAMES_LEN_MAX: usize = 256;

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
    hosted: Mutex<HashMap<(i64, FarLine), mpsc::Sender<String>>>,
    /// The other nodes that live.
    others: Mutex<HashSet<i64>>,
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
            moved: Mutex::default(),
        }
    }

    /// Who lives besides this node: lines to and from the others are broken off.
    pub(super) fn know(&self, living: impl IntoIterator<Item = i64>) {
        let mut others = locked(&self.others);
        *others = living.into_iter().filter(|node| *node != self.tenure.node).collect();
        locked(&self.carried).retain(|_, line| others.contains(&line.owner));
        locked(&self.hosted).retain(|(from, _), _| others.contains(from));
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
                return Told::Opened(FarWire { office, from: sender, line, heard }, text);
            }
            Post::Frame { line, text } => {
                let mut hosted = locked(&self.hosted);
                let taken =
                    hosted.get(&(sender, line)).is_some_and(|frames| frames.try_send(text).is_ok());
                if !taken && hosted.remove(&(sender, line)).is_some() {
                    tracing::warn!(
                        sender,
                        "a line of another node says more than is worked through"
                    );
                }
                if !taken {
                    let code = number(CloseCode::Restart);
                    self.out.tell(sender, &Post::Close { line, code });
                }
            }
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
/// frame.
pub async fn carry<W: Wire>(
    office: &Arc<Office>,
    wire: &mut W,
    owner: i64,
    line: LineId,
    text: &str,
) -> Carriage {
    let (said, mut orders) = mpsc::channel(QUEUE_LEN_MAX);
    locked(&office.carried).insert(line, Carried { owner, said });
    let carrier = Carrier { office, owner, line };
    if !carrier.tell(&Post::Open { line, text: text.to_owned() }) {
        return Carriage::Ended(Some(number(CloseCode::TooSlow)));
    }
    let mut budget = Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
    let silence = Duration::from_secs(SILENCE_SECS_MAX);
    let mut dead_at = tokio::time::Instant::now() + silence;
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
                carrier.heard(wire, heard, &mut budget).await
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
    line: LineId,
}

impl Carrier<'_> {
    fn tell(&self, post: &Post) -> bool {
        self.office.out.tell(self.owner, post)
    }

    async fn heard<W: Wire>(
        &self,
        wire: &mut W,
        heard: Heard,
        budget: &mut Budget,
    ) -> Result<(), Ended> {
        if !budget.spend() {
            return Err(Some(CloseCode::TooSlow));
        }
        match heard {
            Heard::Text(text) => match self.tell(&Post::Frame { line: self.line, text }) {
                true => Ok(()),
                false => Err(Some(CloseCode::TooSlow)),
            },
            Heard::Ping(payload) => wire.echo(payload).await,
            Heard::Sign => Ok(()),
            Heard::Gone => Err(None),
            Heard::Broken(code) => Err(Some(code)),
        }
    }
}

impl Drop for Carrier<'_> {
    fn drop(&mut self) {
        locked(&self.office.carried).remove(&self.line);
        // When it cannot be told, the line falls silent there.
        self.tell(&Post::Lost { line: self.line });
    }
}

/// The far end of a line that is carried here by another node.
#[derive(Debug)]
pub struct FarWire {
    office: Arc<Office>,
    from: i64,
    line: FarLine,
    heard: mpsc::Receiver<String>,
}

impl FarWire {
    /// Sends the line on: its room is not here.
    pub fn send_on(self) {
        self.office.out.tell(self.from, &Post::NotMine { line: self.line });
    }
}

impl Wire for FarWire {
    async fn hear(&mut self) -> Heard {
        self.heard.recv().await.map_or(Heard::Gone, Heard::Text)
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        let post = Post::Send { line: self.line, text };
        if self.office.out.tell(self.from, &post) { Ok(()) } else { Err(Some(CloseCode::TooSlow)) }
    }

    fn is_near(&self) -> bool {
        false
    }

    async fn close(self, code: u16) {
        // When it cannot be told, the socket hears nothing more and comes back.
        self.office.out.tell(self.from, &Post::Close { line: self.line, code });
    }
}

impl Drop for FarWire {
    fn drop(&mut self) {
        locked(&self.office.hosted).remove(&(self.from, self.line));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant as Stopwatch;

    use super::super::bus::way_out;
    use super::*;

    /// A socket of a test: what it is to hear, and what was written to it.
    struct Socket {
        heard: mpsc::Receiver<Heard>,
        written: Vec<String>,
    }

    impl Wire for Socket {
        async fn hear(&mut self) -> Heard {
            self.heard.recv().await.unwrap_or(Heard::Gone)
        }

        async fn write(&mut self, text: String) -> Result<(), Ended> {
            self.written.push(text);
            Ok(())
        }

        async fn close(self, _code: u16) {}
    }

    fn office() -> (Arc<Office>, super::super::bus::Outbox) {
        let (out, outbox) = way_out();
        let tenure = Arc::new(Tenure::of(1, Stopwatch::now()));
        (Arc::new(Office::new(tenure, out)), outbox)
    }

    /// Carries a line to node 2 until its end, while `meanwhile` happens.
    async fn carried(
        office: &Arc<Office>,
        meanwhile: impl AsyncFnOnce(mpsc::Sender<Heard>),
    ) -> (Carriage, Vec<String>) {
        let (says, heard) = mpsc::channel(100);
        let mut socket = Socket { heard, written: Vec::new() };
        let kept = says.clone();
        let ended = tokio::select! {
            ended = carry(office, &mut socket, 2, 7, "hello") => ended,
            () = async {
                tokio::task::yield_now().await;
                meanwhile(says).await;
                kept.closed().await;
            } => panic!("its socket is there all the time"),
        };
        assert!(locked(&office.carried).is_empty());
        (ended, socket.written)
    }

    #[actix_web::test]
    async fn a_line_that_was_not_answered_tries_again_when_its_owner_dies() {
        let (office, _outbox) = office();
        office.know([1, 2]);
        let dies = async |_says: mpsc::Sender<Heard>| office.know([1]);
        assert_eq!(carried(&office, dies).await, (Carriage::Moved, Vec::new()));
    }

    #[actix_web::test]
    async fn a_line_that_was_answered_is_told_to_come_back_when_its_owner_dies() {
        let (office, _outbox) = office();
        let text = "welcome".to_owned();
        let dies = async |_says: mpsc::Sender<Heard>| {
            office.told(2, Post::Send { line: 7, text });
            // What another node says for it is not heard.
            office.told(3, Post::Close { line: 7, code: 4403 });
            office.break_off(Some(3));
            tokio::task::yield_now().await;
            office.break_off(Some(2));
        };
        let (ended, written) = carried(&office, dies).await;
        assert_eq!(ended, Carriage::Ended(Some(1012)));
        assert_eq!(written.len(), 2);
        assert!(written[0] == "welcome" && written[1].contains(r#""action":"resume""#));
    }

    #[actix_web::test]
    async fn a_flood_is_stopped_at_the_node_that_has_the_socket() {
        let (office, _outbox) = office();
        let floods = async |says: mpsc::Sender<Heard>| {
            while says.send(Heard::Text("{}".to_owned())).await.is_ok() {}
        };
        let (ended, _) = carried(&office, floods).await;
        assert_eq!(ended, Carriage::Ended(Some(4429)));
    }

    #[actix_web::test]
    async fn a_room_that_is_not_told_of_a_frame_has_the_line_begin_anew() {
        let (office, _outbox) = office();
        let Told::Opened(mut wire, first) =
            office.told(2, Post::Open { line: 9, text: "hello".to_owned() })
        else {
            panic!("nobody came")
        };
        assert_eq!(first, "hello");
        office.told(2, Post::Frame { line: 9, text: "one".to_owned() });
        assert!(matches!(wire.hear().await, Heard::Text(text) if text == "one"));
        for _ in 0..=FRAMES_LEN_MAX {
            office.told(2, Post::Frame { line: 9, text: "more".to_owned() });
        }
        assert!(locked(&office.hosted).is_empty(), "it says more than is worked through");
        let mut frames = 0;
        while let Heard::Text(_) = wire.hear().await {
            frames += 1;
        }
        assert_eq!(frames, FRAMES_LEN_MAX);
    }
}
