//! Several processes over one PostgreSQL: who has the room of a visit, and how the others reach it.
//!
//! A room has one owner at a time. That is a row, good as long as the owner's heart beats by the
//! database's clock; the owner itself falls silent before the others may think it dead, and asks
//! before it speaks again. Whoever has a socket of a room elsewhere carries its frames there
//! (`far.rs`) over the bus (`bus.rs`). With the embedded database there is one process, which has
//! every room, and nothing here costs anything.

mod bus;
mod far;
mod news;
mod rows;
mod tenure;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::{Notify, mpsc, watch};
use tokio_postgres::Client;

pub use self::far::{Carriage, FarWire, Office, carry, number};
use self::news::{News, ToTell};
use self::tenure::{BEAT_MS, DEAD_MS};
pub use self::tenure::{Lease, Tenure};
use crate::base::app::App;
use crate::base::config::Config;
use crate::base::ctx::as_system;
use crate::base::db::DatabaseUrl;
use crate::base::db::link::{LinkError, link};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal::Seal;
use crate::base::tx;
use crate::call::event::Event;
use crate::call::{remember, seat};
use crate::encounter::EncounterId;

/// How often somebody looks for the owner of a room that changes hands.
const OWN_TRIES: usize = 3;
/// How long it waits before it tries to reach a lost server again, in milliseconds.
const AGAIN_MS: u64 = 250;
/// How many rooms are brought back in one transaction.
const BACK_LEN_MAX: usize = 200;
/// How many events may wait to be told to another node.
const NEWS_LEN_MAX: usize = 4096;
/// Every so many rounds of housekeeping what nobody reads is thrown away.
const TIDY_ROUNDS: u32 = 20;

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
    /// The rooms of this node; an entry that is also held elsewhere is in use.
    owned: Mutex<HashMap<EncounterId, Arc<()>>>,
    /// Rooms are taken and given up one after another.
    claiming: tokio::sync::Mutex<()>,
    /// The rooms that somebody waits to take: whoever's turn it is takes them all.
    wanted: Mutex<HashSet<EncounterId>>,
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
        let pin = owned.get(&encounter)?;
        Some(Lease { tenure: self.tenure(), _pin: Arc::clone(pin) })
    }

    fn hold(&self, tenure: &Arc<Tenure>, encounter: EncounterId) -> Lease {
        let mut owned = locked(&self.owned);
        // A life that has ended meanwhile has no rooms; its lease says so to whoever holds it.
        let pin = match tenure.is_over() {
            true => Arc::new(()),
            false => Arc::clone(owned.entry(encounter).or_default()),
        };
        Lease { tenure: Arc::clone(tenure), _pin: pin }
    }

    /// What somebody waits for, no more than can be brought back at once, and `encounter` with it.
    fn take_wanted(&self, encounter: EncounterId) -> Vec<EncounterId> {
        let mut wanted = locked(&self.wanted);
        wanted.remove(&encounter);
        let mut some: Vec<_> = wanted.iter().copied().take(BACK_LEN_MAX - 1).collect();
        for room in &some {
            wanted.remove(room);
        }
        some.push(encounter);
        some
    }

    /// Tells other nodes what a transaction here has changed, where it is theirs to hear.
    pub fn pass_on(&self, event: &tx::Event) {
        let Some(net) = &self.net else { return };
        match event {
            tx::Event::Admission(encounter, ..)
            | tx::Event::EncounterOver(encounter)
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
        return Ok(Whose::Ours(Lease { tenure: nodes.tenure(), _pin: Arc::default() }));
    };
    for _ in 0..OWN_TRIES {
        if let Some(lease) = nodes.held(encounter) {
            return Ok(Whose::Ours(lease));
        }
        locked(&nodes.wanted).insert(encounter);
        let turn = nodes.claiming.lock().await;
        if let Some(lease) = nodes.held(encounter) {
            locked(&nodes.wanted).remove(&encounter);
            return Ok(Whose::Ours(lease));
        }
        let tenure = nodes.tenure();
        if !tenure.sure().await {
            drop(turn);
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            continue;
        }
        let keeper = net.keeper()?;
        let wanted = nodes.take_wanted(encounter);
        let mine = rows::claim(&keeper, tenure.node, &wanted).await;
        let mine = mine.map_err(|error| down(&error))?;
        bring_back(app, &tenure, &mine).await?;
        if mine.contains(&encounter) {
            return Ok(Whose::Ours(nodes.hold(&tenure, encounter)));
        }
        let owner = rows::owner(&keeper, encounter).await.map_err(|error| down(&error))?;
        if let Some(owner) = owner.filter(|owner| *owner != tenure.node) {
            return Ok(Whose::Theirs(owner));
        }
    }
    Err(Error::from(&problem::OVERLOADED))
}

/// Puts the seats of rooms that were taken over back into them: whoever sat there may come back.
async fn bring_back(
    app: &Arc<App>,
    tenure: &Arc<Tenure>,
    rooms: &[EncounterId],
) -> Result<(), Error> {
    for some in rooms.chunks(BACK_LEN_MAX) {
        let asked = some.to_vec();
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
        let stopped = tokio::select! {
            () = live(&app, net, &mut to_tell) => false,
            _ = stop.changed() => true,
        };
        part(&app);
        if stopped {
            if let Ok(keeper) = net.keeper() {
                let node = app.rooms.nodes.tenure().node;
                rows::leave(&keeper, node).await.ok();
            }
            return;
        }
    }
}

/// What was this node's is another's by now: it says nothing more for its rooms.
fn part(app: &Arc<App>) {
    let nodes = &app.rooms.nodes;
    nodes.tenure().end();
    locked(&nodes.owned).clear();
    if let Some(office) = locked(&nodes.office).take() {
        office.break_off(None);
    }
    app.rooms.retain(|_| false);
}

/// One life: from a number to the end of it.
async fn live(app: &Arc<App>, net: &Net, to_tell: &mut ToTell) {
    let nodes = &app.rooms.nodes;
    let asked = Stopwatch::now();
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
    let reader = news::Reader { app: Arc::clone(app), office: Arc::clone(&office) };
    tokio::select! {
        () = beat(net, &office) => {}
        () = keep_house(app, net, &office) => {}
        () = bus::write(net.url.clone(), net.seal.clone(), node, outbox) => {}
        () = bus::read(net.url.clone(), net.seal.clone(), node, reader) => {}
        () = news::tell(app, net, to_tell) => {}
    }
}

fn every(millis: u64) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(Duration::from_millis(millis));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Says that this node lives, and ends those that do not, until another has ended this one.
async fn beat(net: &Net, office: &Office) {
    let tenure = &office.tenure;
    let mut beats = every(BEAT_MS);
    // Since when the database has been heard without a break, when there was one.
    let mut steady: Option<Stopwatch> = None;
    loop {
        beats.tick().await;
        let asked = Stopwatch::now();
        let done = async {
            let client = keep_link(net).await?;
            if !rows::beat(&client, tenure.node).await? {
                return Ok(false);
            }
            tenure.renew(asked);
            // Whoever was cut off from the database does not judge others by its own silence.
            let dead = Duration::from_millis(DEAD_MS);
            if steady.is_none_or(|since| since.elapsed() > dead) {
                let ended = rows::bury(&client, tenure.node).await?;
                if ended > 0 {
                    tracing::warn!(ended, "a node was not heard of any more, and is ended");
                }
            }
            office.know(rows::living(&client).await?);
            Ok::<_, LinkError>(true)
        };
        match done.await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(node = tenure.node, "the others have taken this node for dead");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not taken");
                *locked(&net.keeper) = None;
                steady = Some(Stopwatch::now());
            }
        }
    }
}

async fn keep_link(net: &Net) -> Result<Arc<Client>, LinkError> {
    let kept = locked(&net.keeper).clone();
    if let Some(client) = kept.filter(|client| !client.is_closed()) {
        return Ok(client);
    }
    let client = Arc::new(link(&net.url, Arc::new(Notify::new())).await?);
    *locked(&net.keeper) = Some(Arc::clone(&client));
    Ok(client)
}

/// Takes what nobody has any more and gives up what nobody needs, as long as this node lives.
async fn keep_house(app: &Arc<App>, net: &Net, office: &Arc<Office>) {
    let tenure = &office.tenure;
    let (mut ticks, mut rounds) = (every(BEAT_MS), 0_u32);
    let mut taken: Vec<EncounterId> = Vec::new();
    let mut is_new = true;
    loop {
        ticks.tick().await;
        if !tenure.sure().await {
            return;
        }
        office.tell_moved();
        let done = async {
            let keeper = net.keeper()?;
            let down = |error: LinkError| down(&error);
            let _turn = app.rooms.nodes.claiming.lock().await;
            if is_new {
                let orphans = rows::open_rooms(&keeper).await.map_err(down)?;
                taken.extend(rows::claim(&keeper, tenure.node, &orphans).await.map_err(down)?);
                is_new = false;
            }
            taken.extend(rows::adopt(&keeper, tenure.node).await.map_err(down)?);
            bring_back(app, tenure, &taken).await?;
            taken.clear();
            app.rooms.restored.send_replace(true);
            give_up_idle(app, &keeper, tenure).await.map_err(down)?;
            if rounds.is_multiple_of(TIDY_ROUNDS) {
                rows::tidy(&keeper).await.map_err(down)?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = done.await {
            let code = error.problem().code;
            tracing::warn!(code, "rooms without a node wait");
        }
        rounds = rounds.wrapping_add(1);
    }
}

/// Gives rooms up in which nobody is any more, and lets go of those that are not this node's.
async fn give_up_idle(app: &Arc<App>, keeper: &Client, tenure: &Tenure) -> Result<(), LinkError> {
    let rooms: HashSet<EncounterId> = app.rooms.names();
    let idle: Vec<EncounterId> = {
        let mut owned = locked(&app.rooms.nodes.owned);
        let is_idle = |(room, pin): &(&EncounterId, &Arc<()>)| {
            Arc::strong_count(pin) == 1 && !rooms.contains(room)
        };
        let idle: Vec<_> = owned.iter().filter(is_idle).map(|(room, _)| *room).collect();
        for room in &idle {
            owned.remove(room);
        }
        idle
    };
    app.rooms.retain(|room| app.rooms.nodes.holds(*room));
    if idle.is_empty() { Ok(()) } else { rows::release(keeper, tenure.node, &idle).await }
}
