//! Several processes over one PostgreSQL: who has the room of a visit, and how the others reach it.
//!
//! A room has one owner at a time. That is a row, good as long as the owner's heart beats; the owner
//! itself falls silent before the others may think it dead, asks before it speaks again, and looks
//! every few seconds whether the row still says so. Whoever has a socket of a room elsewhere carries its frames there
//! (`far.rs`) over the bus (`bus.rs`). With the embedded database there is one process, which has
//! every room, and nothing here costs anything.

mod bus;
mod far;
mod heart;
mod house;
mod news;
mod rows;
mod tenure;

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_postgres::Client;

pub use self::far::{Carriage, FarWire, Office, carry, number};
use self::news::{News, ToTell};
use self::rows::Taken;
pub use self::tenure::{Lease, Tenure};
use self::tenure::{Moment, Pin};
use crate::base::app::App;
use crate::base::config::Config;
use crate::base::ctx::as_system;
use crate::base::db::DatabaseUrl;
use crate::base::db::link::{LinkError, link};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal::Seal;
use crate::base::tx;
use crate::call::departure::remember;
use crate::call::event::Event;
use crate::call::seat;
use crate::encounter::EncounterId;

/// How often somebody looks for the owner of a room that changes hands.
const OWN_TRIES: usize = 3;
/// How long it waits before it tries to reach a lost server again, in milliseconds.
const AGAIN_MS: u64 = 250;
/// How many rooms are brought back in one transaction.
const BACK_LEN_MAX: usize = 200;
/// How many events may wait to be told to another node.
const NEWS_LEN_MAX: usize = 4096;

/// Which node has a room.
pub enum Whose {
    /// This one.
    Ours(Lease),
    /// Another one.
    Theirs(i64),
}

/// What this process has to do with others.
#[derive(Debug)]
pub struct Nodes {
    net: Option<Net>,
    tenure: Mutex<Arc<Tenure>>,
    office: Mutex<Option<Arc<Office>>>,
    /// The rooms of this node.
    owned: Mutex<HashMap<EncounterId, Owned>>,
    /// Rooms are taken and given up one after another.
    claiming: tokio::sync::Mutex<()>,
    /// The rooms that somebody waits to take: whoever's turn it is takes them all.
    wanted: Mutex<HashSet<EncounterId>>,
}

/// A room of this node.
#[derive(Debug)]
struct Owned {
    /// The number of its taking.
    fence: i64,
    /// Held elsewhere as well, it is in use.
    pin: Arc<Pin>,
}

/// The way to the others.
struct Net {
    url: String,
    seal: Seal,
    keeper: Mutex<Option<Arc<Client>>>,
    news: mpsc::Sender<News>,
    to_tell: Mutex<Option<ToTell>>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.write_str("Net")
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::new(None, Tenure::alone())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of these is replaced as a whole, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nodes {
    fn new(net: Option<Net>, tenure: Tenure) -> Self {
        Self {
            net,
            tenure: Mutex::new(Arc::new(tenure)),
            office: Mutex::default(),
            owned: Mutex::default(),
            claiming: tokio::sync::Mutex::default(),
            wanted: Mutex::default(),
        }
    }

    /// As the database of the settings wants it.
    pub fn of(config: &Config, seal: &Seal) -> Self {
        match config.database.url.0.parse() {
            Ok(DatabaseUrl::Postgres(url)) => {
                let (news, to_tell) = mpsc::channel(NEWS_LEN_MAX);
                let to_tell = Mutex::new(Some(ToTell { waiting: to_tell, present: None }));
                let seal = seal.clone();
                let net = Net { url, seal, keeper: Mutex::default(), news, to_tell };
                Self::new(Some(net), Tenure::unborn())
            }
            Ok(DatabaseUrl::Sqlite(_)) | Err(_) => Self::default(),
        }
    }

    /// Whether there can be no others.
    pub fn is_alone(&self) -> bool {
        self.net.is_none()
    }

    /// The present life of this process.
    pub fn tenure(&self) -> Arc<Tenure> {
        Arc::clone(&locked(&self.tenure))
    }

    /// The dealings with the others, while there are any.
    pub fn office(&self) -> Option<Arc<Office>> {
        locked(&self.office).clone()
    }

    /// Whether this node has a room.
    pub fn holds(&self, encounter: EncounterId) -> bool {
        self.is_alone() || locked(&self.owned).contains_key(&encounter)
    }

    fn held(&self, encounter: EncounterId) -> Option<Lease> {
        let owned = locked(&self.owned);
        let pin = Arc::clone(&owned.get(&encounter)?.pin);
        Some(Lease { tenure: self.tenure(), pin })
    }

    fn hold(&self, tenure: &Arc<Tenure>, (encounter, fence): Taken) {
        let mut owned = locked(&self.owned);
        // A life that has ended meanwhile has no rooms.
        if tenure.is_over() || owned.get(&encounter).is_some_and(|one| one.fence == fence) {
            return;
        }
        let old = owned.insert(encounter, Owned { fence, pin: Arc::default() });
        if let Some(old) = old {
            // It was another's in between.
            old.pin.take_away();
        }
    }

    /// What somebody waits for, no more than can be brought back at once, and `encounter` with it.
    fn take_wanted(&self, encounter: EncounterId) -> Vec<EncounterId> {
        let owned = locked(&self.owned);
        let mut wanted = locked(&self.wanted);
        // Whoever wanted these did not wait so long, or has got them.
        wanted.retain(|room| *room != encounter && !owned.contains_key(room));
        let mut some: Vec<_> = wanted.iter().copied().take(BACK_LEN_MAX - 1).collect();
        for room in &some {
            wanted.remove(room);
        }
        some.push(encounter);
        some
    }

    /// Lets go of the rooms that are not written down as this node's, as they were taken; which they
    /// were, and which are written down and not here.
    fn compare(&self, written: &[Taken]) -> (Vec<EncounterId>, Vec<EncounterId>) {
        let written: HashMap<EncounterId, i64> = written.iter().copied().collect();
        let mut owned = locked(&self.owned);
        let lost: Vec<_> = owned
            .extract_if(|room, one| written.get(room) != Some(&one.fence))
            .map(|(room, one)| {
                one.pin.take_away();
                room
            })
            .collect();
        let found = written.into_keys().filter(|room| !owned.contains_key(room)).collect();
        (lost, found)
    }

    /// The rooms that nobody is in, as they were taken, which from now on are not this node's.
    fn let_go(&self, in_use: &HashSet<EncounterId>) -> Vec<Taken> {
        let is_idle = |room: &EncounterId, one: &mut Owned| {
            Arc::strong_count(&one.pin) == 1 && !in_use.contains(room)
        };
        let mut owned = locked(&self.owned);
        owned.extract_if(is_idle).map(|(room, one)| (room, one.fence)).collect()
    }

    /// Tells other nodes what a transaction here has changed, where it is theirs to hear.
    pub fn pass_on(&self, event: &tx::Event) {
        let Some(net) = &self.net else { return };
        match event {
            tx::Event::Admission(encounter, ..)
            | tx::Event::EncounterOver(encounter)
            | tx::Event::EncounterReopened(encounter)
            | tx::Event::PartyChanged(encounter, _)
            | tx::Event::Ringing(encounter, ..)
            | tx::Event::CareMoved(encounter)
            | tx::Event::Wrote(encounter)
                if self.holds(*encounter) && self.tenure().speaks() => {}
            tx::Event::MessageQueued => {}
            tx::Event::QueueMoved(practitioner) => {
                if let Some(office) = self.office() {
                    office.day_moved(*practitioner);
                }
            }
            // At once: it asks nobody, and waits for nothing that the database must say first.
            tx::Event::SessionEnded(session) if let Some(office) = self.office() => {
                let untold = office.sign_out(*session);
                if !untold.is_empty() {
                    net.hand_over(News::SignedOut(*session, untold));
                }
            }
            event => net.hand_over(News::Tell(event.clone())),
        }
    }
}

impl Net {
    fn hand_over(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::error!("other nodes could not be told what happened: too much waits");
        }
    }

    /// The connection on which rooms are taken.
    fn keeper(&self) -> Result<Arc<Client>, Error> {
        let keeper = locked(&self.keeper).clone();
        keeper.filter(|client| !client.is_closed()).ok_or_else(|| Error::from(&problem::OVERLOADED))
    }
}

fn down(error: &LinkError) -> Error {
    tracing::warn!(%error, "it is not known who has a room");
    Error::from(&problem::OVERLOADED)
}

/// Finds out who has a room, and takes it when nobody has; where many come at once, together with
/// theirs, for one commit. 503 while the database does not answer.
pub async fn own(app: &Arc<App>, encounter: EncounterId) -> Result<Whose, Error> {
    let nodes = &app.rooms.nodes;
    let Some(net) = &nodes.net else {
        return Ok(Whose::Ours(Lease { tenure: nodes.tenure(), pin: Arc::default() }));
    };
    for _ in 0..OWN_TRIES {
        if let Some(lease) = nodes.held(encounter) {
            return Ok(Whose::Ours(lease));
        }
        // Before it is anybody's turn: the others must not wait for this.
        if !nodes.tenure().sure().await {
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            continue;
        }
        locked(&nodes.wanted).insert(encounter);
        let _turn = nodes.claiming.lock().await;
        if let Some(lease) = nodes.held(encounter) {
            locked(&nodes.wanted).remove(&encounter);
            return Ok(Whose::Ours(lease));
        }
        let tenure = nodes.tenure();
        if !tenure.speaks() {
            continue;
        }
        let keeper = net.keeper()?;
        let wanted = nodes.take_wanted(encounter);
        let mine = rows::claim(&keeper, tenure.node, &wanted).await;
        let mine = mine.map_err(|error| down(&error))?;
        bring_back(app, &tenure, &mine).await?;
        if let Some(lease) = nodes.held(encounter) {
            return Ok(Whose::Ours(lease));
        }
        let owner = rows::owner(&keeper, encounter).await.map_err(|error| down(&error))?;
        if let Some(owner) = owner.filter(|owner| *owner != tenure.node) {
            return Ok(Whose::Theirs(owner));
        }
    }
    Err(Error::from(&problem::OVERLOADED))
}

/// Puts the seats of rooms that were taken over back into them: whoever sat there may come back.
async fn bring_back(app: &Arc<App>, tenure: &Arc<Tenure>, taken: &[Taken]) -> Result<(), Error> {
    for some in taken.chunks(BACK_LEN_MAX) {
        let asked: Vec<EncounterId> = some.iter().map(|(room, _)| *room).collect();
        let seats = as_system(app, move |tx| seat::left_behind(tx, Some(&asked))).await?;
        for (encounter, guest, credentials) in seats {
            let restore = Event::Restore(guest, credentials);
            remember(app, app.rooms.apply(encounter, None, restore)).await;
        }
        // Only now: whoever came back earlier would see a room without the others.
        for room in some {
            app.rooms.nodes.hold(tenure, *room);
        }
    }
    Ok(())
}

/// One of the nodes, until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(net) = &app.rooms.nodes.net else { return };
    let Some(mut to_tell) = locked(&net.to_tell).take() else { return };
    loop {
        let ended = tokio::select! {
            whole = whole(live(&app, net, &mut to_tell)) => Some(whole),
            _ = stop.changed() => None,
        };
        let node = app.rooms.nodes.tenure().node;
        part(&app);
        // The others need not wait until they miss it.
        if let Ok(keeper) = net.keeper() {
            rows::leave(&keeper, node).await.ok();
        }
        match ended {
            None => return,
            Some(true) => {}
            Some(false) => {
                tracing::error!(node, "a life of this node broke off; it begins another");
                // What was being told may be what broke it.
                to_tell.present = None;
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            }
        }
    }
}

/// Whether a life came to its end; `false` when it panicked.
async fn whole(life: impl Future<Output = ()>) -> bool {
    let mut life = pin!(life);
    poll_fn(|ctx| match catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(ctx))) {
        Ok(polled) => polled.map(|()| true),
        Err(_panic) => Poll::Ready(false),
    })
    .await
}

/// What was this node's is another's by now: it says nothing more for its rooms, and writes nothing
/// down about them.
fn part(app: &Arc<App>) {
    let nodes = &app.rooms.nodes;
    nodes.tenure().end();
    locked(&nodes.owned).clear();
    if let Some(office) = locked(&nodes.office).take() {
        office.break_off(None);
    }
    app.rooms.lose(|_| true);
}

/// One life: from a number to the end of it.
async fn live(app: &Arc<App>, net: &Net, to_tell: &mut ToTell) {
    let nodes = &app.rooms.nodes;
    let asked = Moment::now();
    let entered = async {
        let client = Arc::new(link(&net.url, Arc::new(Notify::new())).await?);
        let node = rows::enter(&client).await?;
        Ok::<_, LinkError>((client, node))
    };
    let (client, node) = match entered.await {
        Ok(entered) => entered,
        Err(error) => {
            tracing::warn!(%error, "this node is not known to the others yet");
            return tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    };
    *locked(&net.keeper) = Some(client);
    let (out, outbox) = bus::way_out();
    let tenure = Arc::new(Tenure::of(node, asked));
    let office = Arc::new(Office::new(Arc::clone(&tenure), out));
    let unborn = std::mem::replace(&mut *locked(&nodes.tenure), Arc::clone(&tenure));
    *locked(&nodes.office) = Some(Arc::clone(&office));
    unborn.end();
    tracing::info!(node, "this process is node {node}");
    let ways = bus::Ways::default();
    let reader = news::Reader { app: Arc::clone(app), office: Arc::clone(&office) };
    tokio::select! {
        () = heart::beat(net, &office) => {}
        () = house::keep(app, net, &office) => {}
        () = bus::write(net.url.clone(), net.seal.clone(), node, outbox, &ways) => {}
        () = bus::read(net.url.clone(), net.seal.clone(), node, reader, &ways) => {}
        () = ways.watch(&tenure) => {
            tracing::error!(node, "other nodes cannot be heard or told; this node begins anew");
        }
        () = news::tell(app, net, to_tell) => {}
    }
}

fn every(millis: u64) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(Duration::from_millis(millis));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: u128) -> EncounterId {
        EncounterId(uuid::Uuid::from_u128(number))
    }

    fn nodes(taken: &[Taken]) -> (Nodes, Arc<Tenure>) {
        let nodes = Nodes::default();
        let tenure = Arc::new(Tenure::of(7, Moment::now()));
        for one in taken {
            nodes.hold(&tenure, *one);
        }
        (nodes, tenure)
    }

    #[test]
    fn a_room_is_held_as_long_as_it_is_written_down_as_it_was_taken() {
        let (nodes, _) = nodes(&[(room(1), 11), (room(2), 12), (room(3), 13)]);
        let [kept, gone, newer] = [1, 2, 3].map(|number| nodes.held(room(number)).unwrap());
        // The second is not there, the third was somebody else's in between, the fourth is new.
        let (mut lost, mut found) = nodes.compare(&[(room(1), 11), (room(3), 23), (room(4), 24)]);
        lost.sort_unstable();
        found.sort_unstable();
        assert_eq!((lost, found), (vec![room(2), room(3)], vec![room(3), room(4)]));
        let lives = [&kept.pin, &gone.pin, &newer.pin].map(|pin| pin.is_good());
        assert_eq!(lives, [true, false, false], "whoever holds a lease learns of it");
        assert!(nodes.held(room(1)).is_some() && nodes.held(room(3)).is_none());
    }

    #[test]
    fn what_nobody_uses_is_let_go_of_as_it_was_taken_last() {
        let (nodes, tenure) = nodes(&[(room(1), 11), (room(2), 12), (room(3), 13)]);
        let in_use = nodes.held(room(2)).unwrap();
        nodes.hold(&tenure, (room(3), 33));
        assert_eq!(nodes.let_go(&HashSet::from([room(1)])), [(room(3), 33)]);
        drop(in_use);
        let mut idle = nodes.let_go(&HashSet::new());
        idle.sort_unstable();
        assert_eq!(idle, [(room(1), 11), (room(2), 12)]);
        tenure.end();
        nodes.hold(&tenure, (room(1), 41));
        assert!(nodes.let_go(&HashSet::new()).is_empty(), "a life that is over takes nothing");
    }

    #[actix_web::test]
    async fn a_life_that_panics_is_not_the_end_of_the_task() {
        assert!(whole(tokio::task::yield_now()).await);
        let broken = async {
            tokio::task::yield_now().await;
            panic!("in the middle of it")
        };
        assert!(!whole(broken).await);
    }
}
