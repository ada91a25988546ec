//! What nodes tell one another: rows in the database, and a ring (`NOTIFY`) that says there are some.
//!
//! A message has a number per sender and receiver. It is written until it stands there, read until
//! it is removed, and told once: in order, none twice. Only a crash of the database server can lose
//! some; that shows, and every line that passed between the two nodes is then come back to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::every;
use super::tenure::Tenure;
use crate::base::db::link::{LinkError, link};
use crate::base::seal::{Seal, Unsealed};
use crate::call::event::News;
use crate::encounter::{EncounterId, ParticipantId};
use crate::practitioner::PractitionerId;

/// How many messages may wait to be written.
const OUT_LEN_MAX: usize = 8192;
/// How many bytes may wait to be written.
const OUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of both is kept for what is not said on a line: whoever floods one keeps no node from
/// hearing that somebody has signed out.
const OUT_LEN_KEPT: usize = 1024;
const OUT_BYTES_KEPT: usize = 1024 * 1024;
/// How many messages are written, or read, at once.
const BATCH_LEN_MAX: usize = 256;
/// How many bytes are written at once.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long it waits before it tries to reach a lost server again, in milliseconds.
const AGAIN_MS: u64 = 250;
/// How long one statement may take, in seconds.
const STATEMENT_SECS_MAX: u64 = 5;
/// How often it is looked for messages without being rung, in milliseconds.
const LOOK_MS: u64 = 1000;
/// How many looks in a row may find a way blocked, before the node gives up.
const BLOCKED_LOOKS_MAX: u32 = 8;
const PLACE: &str = "rtc_posts|body";

/// The number of a line on the node that has its socket.
pub type FarLine = u64;

/// What one node tells another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Post {
    /// Somebody came here for a room of yours; their first frame.
    Open {
        /// The line's number here.
        line: FarLine,
        /// The first frame.
        text: String,
    },
    /// They say something more.
    Frame {
        /// The line's number here.
        line: FarLine,
        /// A frame.
        text: String,
    },
    /// Their line is silent, and lives.
    Sign {
        /// The line's number here.
        line: FarLine,
    },
    /// Their line is gone.
    Lost {
        /// The line's number here.
        line: FarLine,
    },
    /// Write this to a line of yours.
    Send {
        /// The line's number there.
        line: FarLine,
        /// A message.
        text: String,
    },
    /// Close a line of yours.
    Close {
        /// The line's number there.
        line: FarLine,
        /// A close code.
        code: u16,
    },
    /// The room that a line of yours was opened for is not here.
    NotMine {
        /// The line's number there.
        line: FarLine,
    },
    /// It was decided about somebody in a room of yours.
    Decided {
        /// The visit.
        encounter: EncounterId,
        /// About whom.
        participant: ParticipantId,
    },
    /// A visit of yours has ended.
    Over {
        /// The visit.
        encounter: EncounterId,
    },
    /// That a visit of yours had ended was a mistake.
    Reopened {
        /// The visit.
        encounter: EncounterId,
    },
    /// Who takes part in a visit of yours has changed.
    PartyChanged {
        /// The visit.
        encounter: EncounterId,
    },
    /// There is news in a visit of yours.
    News {
        /// The visit.
        encounter: EncounterId,
        /// What.
        news: News,
    },
    /// A sign-in has ended.
    SignedOut {
        /// Which.
        session: crate::account::SessionId,
    },
    /// Something changed in the days of these practitioners.
    Moved {
        /// Whose days.
        practitioners: Vec<PractitionerId>,
    },
}

impl Post {
    /// Whether somebody far away decides how large it is and how often it comes.
    fn is_of_a_line(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Frame { .. } | Self::Send { .. })
    }
}

/// The way out: bounded in messages and bytes, and never waited for.
#[derive(Debug, Clone)]
pub struct Out {
    posts: mpsc::Sender<(i64, Vec<u8>)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Its other end.
#[derive(Debug)]
pub struct Outbox {
    posts: mpsc::Receiver<(i64, Vec<u8>)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// A way out.
pub fn way_out() -> (Out, Outbox) {
    let (sender, posts) = mpsc::channel(OUT_LEN_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    (
        Out { posts: sender, waiting_bytes: Arc::clone(&waiting_bytes) },
        Outbox { posts, waiting_bytes },
    )
}

impl Out {
    /// Tells a node something; `false` when too much waits already.
    pub fn tell(&self, node: i64, post: &Post) -> bool {
        // Numbers and texts: there is nothing in them that JSON cannot say.
        let Ok(body) = serde_json::to_vec(post) else { return false };
        let size = body.len();
        let (len_kept, bytes_kept) =
            if post.is_of_a_line() { (OUT_LEN_KEPT, OUT_BYTES_KEPT) } else { (0, 0) };
        let waiting = self.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let taken = waiting.saturating_add(size).saturating_add(bytes_kept) <= OUT_BYTES_MAX
            && self.posts.capacity() > len_kept
            && self.posts.try_send((node, body)).is_ok();
        if !taken {
            self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        }
        taken
    }
}

impl Outbox {
    /// What waits, at least one message; `None` when nobody can say anything any more.
    pub(super) async fn batch(&mut self) -> Option<Vec<(i64, Vec<u8>)>> {
        let first = self.posts.recv().await?;
        let mut bytes = first.1.len();
        let mut batch = vec![first];
        while batch.len() < BATCH_LEN_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = self.posts.try_recv() else { break };
            bytes = bytes.saturating_add(next.1.len());
            batch.push(next);
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(batch)
    }
}

/// How the two ways of the bus fare. A node that is heard by the server and can hear or tell nobody
/// must not keep its rooms.
#[derive(Debug, Default)]
pub struct Ways {
    /// Counts the rounds of reading that succeeded, and what was written.
    read: AtomicU64,
    written: AtomicU64,
    /// Whether something waits to be written.
    is_writing: AtomicBool,
}

/// What was seen of the ways when it was looked last.
#[derive(Debug, Default)]
struct Looked {
    read: u64,
    written: u64,
    blocked: u32,
}

impl Ways {
    /// Ends when one of them has been blocked for a while, in which the server heard this node.
    pub async fn watch(&self, tenure: &Tenure) {
        let (mut looks, mut last) = (every(LOOK_MS), Looked::default());
        while last.blocked < BLOCKED_LOOKS_MAX {
            looks.tick().await;
            self.look(&mut last, tenure.speaks());
        }
    }

    fn look(&self, last: &mut Looked, is_heard: bool) {
        let read = self.read.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        let is_deaf = read == last.read;
        let is_mute = self.is_writing.load(Ordering::Relaxed) && written == last.written;
        let blocked =
            if is_heard && (is_deaf || is_mute) { last.blocked.saturating_add(1) } else { 0 };
        *last = Looked { read, written, blocked };
    }
}

/// Rows as the statement that writes them takes them.
#[derive(Debug, Default)]
struct Rows {
    receivers: Vec<i64>,
    numbers: Vec<i64>,
    bodies: Vec<Vec<u8>>,
}

/// Writes what is to be told, batch by batch, until nobody can say anything any more.
pub async fn write(url: String, seal: Seal, node: i64, mut outbox: Outbox, ways: &Ways) {
    let mut numbers: HashMap<i64, i64> = HashMap::new();
    let mut kept: Option<(Client, Statement)> = None;
    while let Some(batch) = outbox.batch().await {
        let mut rows = Rows::default();
        for (receiver, body) in batch {
            let number = numbers.entry(receiver).or_default();
            *number = number.saturating_add(1);
            let Ok(body) = seal.seal(&place(node, receiver, *number), &body) else {
                tracing::error!("a message to another node could not be sealed");
                *number = number.saturating_sub(1);
                continue;
            };
            rows.receivers.push(receiver);
            rows.numbers.push(*number);
            rows.bodies.push(body);
        }
        ways.is_writing.store(true, Ordering::Relaxed);
        // Under the same numbers until it is known that they stand there.
        while let Err(error) = insert(&url, &mut kept, node, &rows).await {
            tracing::warn!(%error, "messages to other nodes wait");
            kept = None;
            if outbox.posts.is_closed() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
        ways.written.fetch_add(1, Ordering::Relaxed);
        ways.is_writing.store(false, Ordering::Relaxed);
    }
}

fn place(sender: i64, receiver: i64, number: i64) -> String {
    format!("{PLACE}|{sender}|{receiver}|{number}")
}

async fn insert(
    url: &str,
    kept: &mut Option<(Client, Statement)>,
    node: i64,
    rows: &Rows,
) -> Result<(), LinkError> {
    let sql = "WITH posted AS (
            INSERT INTO rtc_posts (receiver, sender, number, body)
            SELECT receiver, $1::bigint, number, body
            FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) AS post (receiver, number, body)
            ON CONFLICT DO NOTHING RETURNING receiver)
        SELECT pg_notify('rtc_node_' || receiver, count(*)::text) FROM posted GROUP BY receiver";
    if kept.is_none() {
        let client = link(url, Arc::new(Notify::new())).await?;
        client.batch_execute("SET synchronous_commit = off; SET statement_timeout = '5s'").await?;
        let statement = client.prepare(sql).await?;
        *kept = Some((client, statement));
    }
    let Some((client, statement)) = kept else { return Ok(()) };
    let Rows { receivers, numbers, bodies } = rows;
    let values: [&(dyn ToSql + Sync); 4] = [&node, receivers, numbers, bodies];
    let limit = Duration::from_secs(STATEMENT_SECS_MAX);
    tokio::time::timeout(limit, client.query(&*statement, &values)).await??;
    Ok(())
}

/// What the reading of a node's messages comes upon.
pub trait Reader {
    /// A message of another node.
    fn told(&self, sender: i64, post: Post);
    /// Messages of a node are lost; `None`: of any.
    fn lost(&self, sender: Option<i64>);
}

/// How far the reading of a node's messages has come.
#[derive(Debug, Default)]
struct Progress {
    /// The last number of each sender.
    last: HashMap<i64, i64>,
    /// Whether it has begun.
    begun: bool,
}

/// Reads what is told to a node, until it is dropped.
pub async fn read(url: String, seal: Seal, node: i64, reader: impl Reader, ways: &Ways) {
    let mut progress = Progress::default();
    loop {
        let Err(error) = listen(&url, &seal, node, &mut progress, &reader, ways).await;
        tracing::warn!(%error, "messages of other nodes wait");
        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
    }
}

/// One connection's life; it ends with an error.
async fn listen(
    url: &str,
    seal: &Seal,
    node: i64,
    progress: &mut Progress,
    reader: &impl Reader,
    ways: &Ways,
) -> Result<Infallible, LinkError> {
    let rung = Arc::new(Notify::new());
    let client = link(url, Arc::clone(&rung)).await?;
    let limit = Duration::from_secs(STATEMENT_SECS_MAX);
    let set_up = format!("SET statement_timeout = '5s'; LISTEN rtc_node_{node}");
    client.batch_execute(&set_up).await?;
    // A row of its own that nobody removes: a crash of the server empties the table, and it with it.
    let mark = "INSERT INTO rtc_posts (receiver, sender, number, body) VALUES ($1, $1, 0, '')
        ON CONFLICT DO NOTHING";
    let was_emptied = client.execute(mark, &[&node]).await? > 0;
    if std::mem::replace(&mut progress.begun, true) && was_emptied {
        reader.lost(None);
    }
    let fetch = client
        .prepare(
            "SELECT sender, number, body FROM rtc_posts WHERE receiver = $1 AND number > 0
             ORDER BY sender, number LIMIT 256",
        )
        .await?;
    let remove = client
        .prepare("DELETE FROM rtc_posts WHERE receiver = $1 AND sender = $2 AND number <= $3")
        .await?;
    let mut looks = every(LOOK_MS);
    loop {
        tokio::select! {
            () = rung.notified() => {}
            _ = looks.tick() => {}
        }
        loop {
            let rows = tokio::time::timeout(limit, client.query(&fetch, &[&node])).await??;
            let mut read: HashMap<i64, i64> = HashMap::new();
            for row in &rows {
                let (sender, number): (i64, i64) = (row.get(0), row.get(1));
                read.insert(sender, number);
                take(seal, node, (sender, number), row.get(2), &mut progress.last, reader);
            }
            for (sender, number) in &read {
                let values: [&(dyn ToSql + Sync); 3] = [&node, sender, number];
                tokio::time::timeout(limit, client.execute(&remove, &values)).await??;
            }
            ways.read.fetch_add(1, Ordering::Relaxed);
            if rows.len() < BATCH_LEN_MAX {
                break;
            }
        }
    }
}

fn take(
    seal: &Seal,
    node: i64,
    (sender, number): (i64, i64),
    body: &[u8],
    last: &mut HashMap<i64, i64>,
    reader: &impl Reader,
) {
    let told = last.entry(sender).or_default();
    if number <= *told {
        return;
    }
    if number > told.saturating_add(1) {
        reader.lost(Some(sender));
    }
    *told = number;
    let opened: Result<_, Unsealed> = seal.open(&place(sender, node, number), body);
    match opened.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(post)) => reader.told(sender, post),
        Ok(Err(_)) | Err(_) => {
            tracing::error!(sender, "a message of another node cannot be read");
            reader.lost(Some(sender));
        }
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
