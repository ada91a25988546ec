//! The database threads and the bounded queues in front of them.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::DatabaseErrorKind;
use diesel::{Connection, QueryResult};
use flume::{Receiver, Sender, TrySendError};
use tokio::sync::oneshot;

use super::checkpoint::{self, Bell};
use super::durable::Teller;
use super::open::RECONNECT_WAIT;
use super::{Conn, PgRust};

/// How many deeds share one SQLite commit at most.
const GROUP_LEN_MAX: usize = 32;
/// How often a deed is done again that gave way to another.
const AGAIN_MAX: usize = 3;

/// What happened to a deed on its way through the database.
#[derive(Debug)]
pub enum QueueFull {
    /// Too many deeds are waiting; try again soon.
    Full,
    /// The threads have stopped, or the deed panicked.
    Stopped,
}

/// A deed on its way: runs inside a transaction, answers after the commit.
pub(super) trait Job: Send {
    /// Runs the deed; an error means that its part of the transaction is undone. It may be run
    /// again when that was for the sake of another.
    fn run(&mut self, conn: &mut Conn) -> Result<(), Undo>;
    /// Whether the deed itself was reached, whatever came of it.
    fn has_begun(&self) -> bool;
    /// Tells the waiting request, once it is known whether the commit held.
    fn reply(self: Box<Self>, fate: Result<(), diesel::result::Error>);
}

/// Why a job's part of the transaction is undone. The cause is kept in the job.
#[derive(Debug)]
pub(super) enum Undo {
    Refused,
    Diesel(diesel::result::Error),
}

impl From<diesel::result::Error> for Undo {
    fn from(error: diesel::result::Error) -> Self {
        Self::Diesel(error)
    }
}

struct Deed<T, E, F> {
    /// Does it; nothing when it cannot be done another time.
    work: F,
    outcome: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Deed<T, E, F>
where
    T: Send,
    E: From<diesel::result::Error> + Send,
    F: FnMut(&mut Conn) -> Option<Result<T, E>> + Send,
{
    fn run(&mut self, conn: &mut Conn) -> Result<(), Undo> {
        // A panic must not take the only writer with it; the caller hears "stopped" (500).
        // What an earlier run said is not so any more.
        self.outcome = None;
        match catch_unwind(AssertUnwindSafe(|| (self.work)(conn))) {
            Ok(None) => Ok(()),
            Ok(Some(outcome)) => {
                let undo = outcome.is_err();
                self.outcome = Some(outcome);
                if undo { Err(Undo::Refused) } else { Ok(()) }
            }
            Err(_panic) => {
                tracing::error!("a deed panicked; its changes are undone");
                Err(Undo::Refused)
            }
        }
    }

    fn has_begun(&self) -> bool {
        self.outcome.is_some()
    }

    fn reply(self: Box<Self>, fate: Result<(), diesel::result::Error>) {
        // A refusal rests on what it has seen, as much as an answer does.
        let outcome = match fate {
            Ok(()) => self.outcome,
            Err(error) => Some(Err(E::from(error))),
        };
        if let Some(outcome) = outcome {
            // The request may have gone away meanwhile; its deed stands.
            drop(self.answer.send(outcome));
        }
    }
}

/// The way to the database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    read: Sender<Box<dyn Job>>,
    write: Sender<Box<dyn Job>>,
}

impl Db {
    /// Runs `deed` on one snapshot; it must not write.
    pub async fn read<T, E, F>(&self, deed: F) -> Result<Result<T, E>, QueueFull>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let mut deed = Some(deed);
        Self::run(&self.read, move |conn: &mut Conn| deed.take().map(|deed| deed(conn))).await
    }

    /// Runs `deed` in one transaction: whole when it returns `Ok`, not at all when it fails.
    /// The answer comes after the commit is on disk. A copy is done instead when the server had
    /// to end the transaction in favour of another.
    pub async fn write<T, E, F>(&self, deed: F) -> Result<Result<T, E>, QueueFull>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Clone + Send + 'static,
    {
        Self::run(&self.write, move |conn: &mut Conn| Some(deed.clone()(conn))).await
    }

    async fn run<T, E, F>(queue: &Sender<Box<dyn Job>>, work: F) -> Result<Result<T, E>, QueueFull>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + Send + 'static,
        F: FnMut(&mut Conn) -> Option<Result<T, E>> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let job = Box::new(Deed { work, outcome: None, answer });
        match queue.try_send(job) {
            Ok(()) => wait.await.map_err(|_dropped| QueueFull::Stopped),
            Err(TrySendError::Full(_)) => Err(QueueFull::Full),
            Err(TrySendError::Disconnected(_)) => Err(QueueFull::Stopped),
        }
    }
}

/// The running database threads. They end when every [`Db`] is gone and the queues are empty.
pub struct Threads {
    handles: Vec<JoinHandle<()>>,
    // Released last: only then may another process open the file.
    _lock: Option<File>,
}

impl Threads {
    /// Waits until all queued deeds are done and the connections are closed.
    pub fn join(self) {
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

pub(super) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// What belongs to this process alone while it has an embedded database open.
pub(super) struct Own {
    pub(super) writer: Conn,
    pub(super) checkpointer: Conn,
    pub(super) readers: Vec<Conn>,
    pub(super) lock: File,
}

/// How the log comes to disk, and what is done when it does not.
pub(super) struct Disk {
    pub(super) sync: Box<dyn FnMut() -> std::io::Result<()> + Send>,
    pub(super) failed: Box<dyn FnMut() + Send>,
}

pub(super) fn start_sqlite(
    own: Own,
    queue_len_max: usize,
    disk: Disk,
) -> std::io::Result<(Db, Threads)> {
    let Own { mut writer, checkpointer, readers, lock } = own;
    let (write, write_jobs) = flume::bounded::<Box<dyn Job>>(queue_len_max);
    let (read, read_jobs) = flume::bounded::<Box<dyn Job>>(queue_len_max);
    // Its commits are brought to disk by another, before anybody hears of them.
    writer.batch_execute("PRAGMA synchronous = NORMAL").map_err(std::io::Error::other)?;
    let (teller, disk) = Teller::start(disk, queue_len_max)?;
    let (bell, checkpoints) = checkpoint::start(&mut writer, checkpointer, teller.clone())?;
    let to_tell = teller.clone();
    let writes = spawn("db-writer", move || run_writer(writer, &write_jobs, &to_tell, bell))?;
    let mut handles = vec![writes, checkpoints, disk];
    for mut reader in readers {
        let (jobs, teller) = (read_jobs.clone(), teller.clone());
        handles.push(spawn("db-reader", move || {
            while let Ok(mut job) = jobs.recv() {
                let fate = snapshot(&mut reader, job.as_mut());
                teller.seen(vec![job], fate);
            }
        })?);
    }
    Ok((Db { read, write }, Threads { handles, _lock: Some(lock) }))
}

/// Group commit: whatever has queued up shares a commit, and its way to the disk.
fn run_writer(mut conn: Conn, jobs: &Receiver<Box<dyn Job>>, teller: &Teller, bell: Bell) {
    while let Ok(first) = jobs.recv() {
        let mut done: Vec<Box<dyn Job>> = Vec::new();
        let mut has_changed = false;
        let mut next = Some(first);
        let mut fate = teller.check().and_then(|()| begin_immediate(&mut conn));
        while let Some(mut job) = next.take() {
            if fate.is_ok() {
                fate = savepoint(&mut conn, job.as_mut()).map(|kept| has_changed |= kept);
            }
            done.push(job);
            if fate.is_ok() && done.len() < GROUP_LEN_MAX {
                next = jobs.try_recv().ok();
            }
        }
        if has_changed {
            teller.begin();
        }
        fate = match fate {
            Ok(()) => Conn::commit_transaction(&mut conn),
            Err(error) => {
                roll_back(&mut conn);
                Err(error)
            }
        };
        if let Err(error) = &fate {
            tracing::error!(%error, "a group of changes could not be committed");
            roll_back(&mut conn);
        }
        if has_changed {
            teller.made(done, fate);
        } else {
            teller.seen(done, fate);
        }
        bell.ring();
    }
    drop(bell);
    if teller.check().is_err() {
        return;
    }
    if let Err(error) = conn.batch_execute("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the last checkpoint failed; the next start repeats it");
    }
}

/// diesel's errors cannot be cloned; every deed of a lost group hears the same sentence.
pub(super) fn again(error: &diesel::result::Error) -> diesel::result::Error {
    lost_on_the_way(&error.to_string())
}

pub(super) fn lost_on_the_way(why: &str) -> diesel::result::Error {
    diesel::result::Error::DatabaseError(
        DatabaseErrorKind::UnableToSendCommand,
        Box::new(why.to_owned()),
    )
}

fn roll_back(conn: &mut Conn) {
    let open = <Conn as TransactionManager<Conn>>::transaction_manager_status_mut(conn)
        .transaction_depth();
    if matches!(open, Ok(Some(_)) | Err(_))
        && let Err(error) = Conn::rollback_transaction(conn)
    {
        tracing::error!(%error, "rollback failed");
    }
}

/// Runs `work` in a transaction that is the writing one from its first statement on.
pub(super) fn writing<T, E: From<diesel::result::Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    begin_immediate(conn)?;
    match work(conn) {
        Ok(made) => {
            Conn::commit_transaction(conn)?;
            Ok(made)
        }
        Err(error) => {
            roll_back(conn);
            Err(error)
        }
    }
}

fn begin_immediate(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        // Deferred would fail with a busy snapshot at the first write.
        Conn::Sqlite(conn) => {
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        }
        Conn::Postgres(_) => Conn::begin_transaction(conn),
    }
}

/// Runs one job of a group; a failing job undoes only itself. Whether it was kept; an error ends the
/// whole group.
fn savepoint(conn: &mut Conn, job: &mut dyn Job) -> QueryResult<bool> {
    match conn.transaction(|conn| job.run(conn)) {
        Ok(()) => Ok(true),
        Err(Undo::Refused) => Ok(false),
        Err(Undo::Diesel(error)) => Err(error),
    }
}

fn snapshot(conn: &mut Conn, job: &mut dyn Job) -> QueryResult<()> {
    match conn {
        Conn::Postgres(conn) => conn.begin_snapshot()?,
        Conn::Sqlite(_) => Conn::begin_transaction(conn)?,
    }
    // Nothing was written, so whatever the deed said, there is nothing to undo.
    let ran = job.run(conn);
    let ended = match ran {
        Ok(()) => Conn::commit_transaction(conn),
        Err(_) => Conn::rollback_transaction(conn),
    };
    if ended.is_err() {
        roll_back(conn);
    }
    ended
}

pub(super) fn start_postgres(
    url: &str,
    workers: usize,
    queue_len_max: usize,
) -> std::io::Result<(Db, Threads)> {
    let (write, write_jobs) = flume::bounded::<Box<dyn Job>>(queue_len_max);
    let (read, read_jobs) = flume::bounded::<Box<dyn Job>>(queue_len_max);
    let mut handles = Vec::new();
    // Reads have their own workers, so a rush of bookings does not stop the waiting room.
    let readers = (workers / 3).max(1);
    for number in 0..workers {
        let url = url.to_owned();
        let (jobs, writes) =
            if number < readers { (read_jobs.clone(), false) } else { (write_jobs.clone(), true) };
        handles.push(spawn("db-worker", move || run_worker(&url, &jobs, writes))?);
    }
    if workers == 1 {
        let (url, jobs) = (url.to_owned(), write_jobs);
        handles.push(spawn("db-worker", move || run_worker(&url, &jobs, true))?);
    }
    Ok((Db { read, write }, Threads { handles, _lock: None }))
}

fn run_worker(url: &str, jobs: &Receiver<Box<dyn Job>>, writes: bool) {
    let mut kept: Option<Conn> = None;
    while let Ok(mut job) = jobs.recv() {
        if let Some(conn) = &mut kept {
            let (fate, well) = attempt(conn, job.as_mut(), writes);
            // The server may have been away since the last deed; of this one nothing was begun then.
            if well || job.has_begun() || !is_broken(conn) {
                job.reply(fate);
                if !well && is_broken(conn) {
                    kept = None;
                }
                continue;
            }
        }
        kept = match reach(url) {
            Ok(mut conn) => {
                let (fate, well) = attempt(&mut conn, job.as_mut(), writes);
                job.reply(fate);
                (well || !is_broken(&mut conn)).then_some(conn)
            }
            Err(error) => {
                tracing::error!(%error, "the database server does not answer");
                job.reply(Err(lost(&error)));
                std::thread::sleep(RECONNECT_WAIT);
                None
            }
        };
    }
}

/// Runs a job in a transaction of its own, and says whether the connection is surely well.
fn attempt(conn: &mut Conn, job: &mut dyn Job, writes: bool) -> (QueryResult<()>, bool) {
    if writes {
        match in_turn(conn, job) {
            Ok(()) => (Ok(()), true),
            Err(Undo::Refused) => (Ok(()), false),
            Err(Undo::Diesel(error)) => (Err(error), false),
        }
    } else {
        let fate = snapshot(conn, job);
        let well = fate.is_ok();
        (fate, well)
    }
}

/// Runs a job in a transaction, and once more when it had to give way to another: two that wait
/// for one another are found by the server after a second, and one of them is ended.
fn in_turn(conn: &mut Conn, job: &mut dyn Job) -> Result<(), Undo> {
    if let Conn::Postgres(conn) = conn {
        // The last run of an earlier deed is not asked any more.
        conn.take_gave_way();
    }
    for _ in 0..AGAIN_MAX {
        let ran = conn.transaction(|conn| job.run(conn));
        let gave_way = match conn {
            Conn::Postgres(conn) => conn.take_gave_way(),
            Conn::Sqlite(_) => false,
        };
        if ran.is_ok() || !gave_way {
            return ran;
        }
        tracing::warn!("two deeds waited for one another; one of them is done again");
    }
    conn.transaction(|conn| job.run(conn))
}

fn reach(url: &str) -> Result<Conn, diesel::ConnectionError> {
    let mut conn = PgRust::establish(url)?;
    conn.batch_execute(
        "SET statement_timeout = '10s'; SET lock_timeout = '5s';
         SET idle_in_transaction_session_timeout = '15s';
         SELECT set_config('synchronous_commit', 'on', false)
           WHERE current_setting('synchronous_commit') = 'off'",
    )
    .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(Conn::Postgres(conn))
}

fn lost(error: &diesel::ConnectionError) -> diesel::result::Error {
    diesel::result::Error::DatabaseError(
        DatabaseErrorKind::ClosedConnection,
        Box::new(error.to_string()),
    )
}

/// A connection whose transaction state is unknown, or that no longer answers, is replaced.
fn is_broken(conn: &mut Conn) -> bool {
    if <Conn as TransactionManager<Conn>>::is_broken_transaction_manager(conn) {
        return true;
    }
    match conn {
        Conn::Postgres(conn) => conn.is_closed(),
        Conn::Sqlite(_) => false,
    }
}
