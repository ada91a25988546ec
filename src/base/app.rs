//! What every request shares, and how a process takes it all into its hands.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::account::SessionId;
use crate::account::password::Hasher;
use crate::account::token::{TicketClaims, Tokens};
use crate::base::clock::Clock;
use crate::base::column::Instant;
use crate::base::config::Config;
use crate::base::db::{Db, Threads};
use crate::base::error::Error;
use crate::base::laws;
use crate::base::master_key::{self, Opened};
use crate::base::seal::Seal;
use crate::call::Rooms;
use crate::call::nodes::Nodes;
use crate::call::probe::booth::Probes;
use crate::call::relay::Relays;
use crate::encounter::{EncounterId, ParticipantId};
use crate::message::inbox::Inbox;
use crate::schedule::diary::Diaries;

/// The running application. One per process.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The way to the database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Encryption at rest.
    pub seal: Seal,
    /// Access tokens and tickets.
    pub tokens: Tokens,
    /// Password hashing, a few at a time.
    pub hasher: Hasher,
    /// The live rooms of this process.
    pub rooms: Rooms,
    /// Where lines are measured before a visit.
    pub probes: Probes,
    /// Whether the relays of calls work.
    pub relays: Relays,
    /// Working time in memory.
    pub diaries: Diaries,
    /// The last SMS of a demonstration; empty anywhere else.
    pub inbox: Inbox,
    /// Rung when a message has been put into the outbox.
    pub outbox: Notify,
    stopping: AtomicBool,
}

impl App {
    /// Opens the database, finds the keys and proves that they work. Without a master key in
    /// the settings, it is kept in `directory`, or beside the embedded database.
    /// The threads end when the last handle of the application is gone.
    pub async fn open(
        config: Config,
        directory: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<(Arc<Self>, Threads)> {
        laws::use_directory(&config.time.zoneinfo)?;
        let (settings, directory) = (config.clone(), directory.map(Path::to_owned));
        // Opening waits for disk and network, and PostgreSQL's connection has its own runtime.
        let opening = move || master_key::open(&settings, directory.as_deref());
        let Opened { db, threads, seal } = tokio::task::spawn_blocking(opening).await??;
        let now = clock.now();
        let tokens = tokens(&db, &seal, now).await.context("cannot open the signing keys")?;
        self_test(&seal, &tokens, now).context("the cryptographic self-test failed")?;
        let nodes = Nodes::of(&config, &seal);
        let app = Self {
            db,
            seal,
            tokens,
            hasher: Hasher::new(),
            probes: Probes::new(&config.probe),
            rooms: Rooms::new(Arc::clone(&clock), config.ice.clone(), nodes),
            relays: Relays::default(),
            diaries: Diaries::default(),
            inbox: if config.demo { Inbox::open() } else { Inbox::closed() },
            outbox: Notify::new(),
            stopping: AtomicBool::new(false),
            clock,
            config,
        };
        Ok((Arc::new(app), threads))
    }

    /// Says "not ready" from now on, so that a balancer sends newcomers elsewhere.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the process has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

async fn tokens(db: &Db, seal: &Seal, now: Instant) -> Result<Tokens, Error> {
    let seal = seal.clone();
    db.write(move |conn| Tokens::open(conn, &seal, now)).await?
}

/// A wrong build of a cryptographic library would show at the first sign-in; it shows here.
fn self_test(seal: &Seal, tokens: &Tokens, now: Instant) -> anyhow::Result<()> {
    let sealed = seal.seal("self_test", b"feldsher")?;
    if seal.open("self_test", &sealed)?.as_slice() != b"feldsher" {
        bail!("what was sealed opened as something else");
    }
    let ticket = TicketClaims {
        participant: ParticipantId(Uuid::nil()),
        encounter: EncounterId(Uuid::nil()),
        session: SessionId(Uuid::nil()),
        jti: Uuid::nil(),
    };
    let token = tokens.issue_ticket(&ticket, now)?;
    if tokens.verify_ticket(&token, now)?.session != ticket.session {
        bail!("a ticket was read as another one");
    }
    Ok(())
}
