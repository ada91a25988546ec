//! When what was committed may be told: once it is on disk.
//!
//! SQLite's writer commits into the log and goes on with the next group; a thread of its own brings the log
//! to disk, and only then does anybody hear of what was committed: whoever changed it, and whoever has read it
//! meanwhile. So an answer means what it means with `synchronous = FULL`, and nobody's work waits for a disk
//! that works for somebody else (<https://sqlite.org/pragma.html#pragma_synchronous>: with `NORMAL` the file
//! stays whole after a loss of power, and the last commits may be gone).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use diesel::result::Error;
use flume::{Receiver, Sender};

use super::executor::{Disk, Job, again, lost_on_the_way, spawn};

/// How many groups of the writer's wait while one is brought to disk, before the writer waits as well.
const WAITING_MAX: usize = 1;

/// Where the log stands, as numbers of commits.
#[derive(Debug, Default)]
struct Marks {
    /// The last that was begun: nothing later can have been seen.
    begun: AtomicU64,
    /// The last that was made.
    made: AtomicU64,
    /// The last of which it is known that it is on disk.
    on_disk: AtomicU64,
    /// It could not be brought to disk: what the disk has is unknown, and it may well say "done" when asked
    /// again.
    broken: AtomicBool,
}

/// What everybody hears from then on, until the next start has read the log.
const BROKEN: &str = "the log could not be brought to disk";

/// Deeds whose answers wait for the disk.
struct Waiting {
    jobs: Vec<Box<dyn Job>>,
    fate: Result<(), Error>,
    /// The last commit that they can have seen.
    seen: u64,
    /// Whether they are the writer's.
    is_written: bool,
}

/// The way to whoever tells. Cheap to clone.
#[derive(Clone)]
pub(super) struct Teller {
    queue: Sender<Waiting>,
    /// Where the writer waits for its turn, and nobody else: readers go on reading.
    turns: Sender<()>,
    marks: Arc<Marks>,
}

impl Teller {
    /// Starts the thread, which ends with the last teller. So many answers may wait for the disk.
    pub(super) fn start(disk: Disk, answers_max: usize) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, heard) = flume::bounded(answers_max);
        let (turns, taken) = flume::bounded(WAITING_MAX);
        let marks = Arc::new(Marks::default());
        let own = Arc::clone(&marks);
        let handle = spawn("db-disk", move || bring_to_disk(&heard, &taken, &own, disk))?;
        Ok((Self { queue, turns, marks }, handle))
    }

    /// An error when nothing more may be written.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.marks.broken.load(Ordering::SeqCst) { Err(lost_on_the_way(BROKEN)) } else { Ok(()) }
    }

    /// The writer begins a commit.
    pub(super) fn begin(&self) {
        self.marks.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// The writer has made, or not made, the commit that it began; nothing more is asked of these deeds.
    pub(super) fn made(&self, jobs: Vec<Box<dyn Job>>, fate: Result<(), Error>) {
        let seen = self.marks.begun.load(Ordering::SeqCst);
        self.marks.made.store(seen, Ordering::SeqCst);
        // Without the thread nobody is told below.
        self.turns.send(()).ok();
        self.tell(Waiting { jobs, fate, seen, is_written: true });
    }

    /// Answers deeds that have changed nothing: at once, unless they can have seen what is not on disk yet.
    pub(super) fn seen(&self, jobs: Vec<Box<dyn Job>>, fate: Result<(), Error>) {
        let seen = self.marks.begun.load(Ordering::SeqCst);
        if seen <= self.marks.on_disk.load(Ordering::SeqCst) {
            reply(jobs, &fate);
        } else {
            self.tell(Waiting { jobs, fate, seen, is_written: false });
        }
    }

    fn tell(&self, waiting: Waiting) {
        // The thread ends only when nobody is left to ask it.
        if let Err(error) = self.queue.send(waiting) {
            reply(error.into_inner().jobs, &Err(lost_on_the_way("the log's thread has ended")));
        }
    }
}

fn reply(jobs: Vec<Box<dyn Job>>, fate: &Result<(), Error>) {
    for job in jobs {
        job.reply(match fate {
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        });
    }
}

fn bring_to_disk(heard: &Receiver<Waiting>, turns: &Receiver<()>, marks: &Marks, mut disk: Disk) {
    while let Ok(first) = heard.recv() {
        let mut waiting = vec![first];
        waiting.extend(heard.try_iter());
        for _ in waiting.iter().filter(|one| one.is_written) {
            // The writer goes on while these are brought to disk.
            turns.try_recv().ok();
        }
        let seen = waiting.iter().map(|one| one.seen).max().unwrap_or_default();
        // What was made before this moment is in the log, and goes to disk with it.
        let made = marks.made.load(Ordering::SeqCst);
        let is_broken = marks.broken.load(Ordering::SeqCst);
        if !is_broken && seen > marks.on_disk.load(Ordering::SeqCst) {
            match (disk.sync)() {
                Ok(()) => marks.on_disk.store(made, Ordering::SeqCst),
                Err(error) => {
                    tracing::error!(%error, "{BROKEN}: the process ends, and nobody is answered");
                    marks.broken.store(true, Ordering::SeqCst);
                    (disk.failed)();
                }
            }
        }
        let is_broken = marks.broken.load(Ordering::SeqCst);
        for Waiting { jobs, fate, .. } in waiting {
            reply(jobs, &if is_broken { Err(lost_on_the_way(BROKEN)) } else { fate });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::time::Duration;

    use actix_web::rt::time::sleep;
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sql_types::BigInt;
    use diesel::sqlite::SqliteConnection;
    use futures_util::future::{Either, join, join_all, select};

    use super::*;
    use crate::base::db::house::House;
    use crate::base::db::{Conn, DatabaseUrl, OpenError, QueueFull, open};

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }

    async fn write(house: &House) -> Result<QueryResult<()>, QueueFull> {
        let deed = |conn: &mut Conn| conn.batch_execute("INSERT INTO filling VALUES (x'07')");
        house.db.write(deed).await
    }

    async fn count(house: &House) -> Result<QueryResult<i64>, QueueFull> {
        let deed = |conn: &mut Conn| {
            diesel::sql_query("SELECT count(*) AS n FROM filling")
                .get_result(conn)
                .map(|Count { n }| n)
        };
        house.db.read(deed).await
    }

    fn rows(file: &Path) -> i64 {
        let mut conn = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        let count = diesel::sql_query("SELECT count(*) AS n FROM filling");
        count.get_result(&mut conn).map(|Count { n }| n).unwrap()
    }

    /// What a loss of power would leave: the files as they were when the log last went to disk.
    fn picture(place: &Path) -> io::Result<()> {
        std::fs::create_dir_all(place.join("left"))?;
        for name in ["feldsher.db", "feldsher.db-wal"] {
            std::fs::copy(place.join(name), place.join("left").join(name))?;
        }
        Ok(())
    }

    #[actix_web::test]
    async fn what_is_answered_outlives_a_loss_of_power() {
        let house = House::new("disk-power", picture);
        for wave in 1..=6_i64 {
            let many = join_all((0..40).map(|_| write(&house))).await;
            assert!(many.into_iter().all(|done| done.unwrap().is_ok()));
            let left = house.place.join("left");
            assert_eq!(rows(&left.join("feldsher.db")), 40 * wave);
            std::fs::remove_dir_all(left).unwrap();
        }
        house.close();
    }

    #[actix_web::test]
    async fn nobody_hears_of_what_is_not_on_disk() {
        let (go, wait) = mpsc::channel::<()>();
        let (at_disk, came) = mpsc::channel::<()>();
        let (wait, came) = (Mutex::new(wait), Mutex::new(came));
        let house = House::new("disk-slow", move |_| {
            at_disk.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
            Ok(())
        });
        assert_eq!(count(&house).await.unwrap().unwrap(), 0, "nothing was written yet");
        {
            let writing = write(&house);
            let reading = async {
                // The commit is made, and on its way to the disk.
                while came.lock().unwrap().try_recv().is_err() {
                    sleep(Duration::from_millis(1)).await;
                }
                count(&house).await
            };
            let both = Box::pin(join(writing, reading));
            let a_while = Box::pin(sleep(Duration::from_millis(100)));
            let Either::Right((_, both)) = select(both, a_while).await else {
                panic!("somebody heard of what is not on disk");
            };
            // One for what was written; whoever has read it may ask for another.
            go.send(()).unwrap();
            go.send(()).unwrap();
            let (written, read) = both.await;
            written.unwrap().unwrap();
            assert_eq!(read.unwrap().unwrap(), 1);
        }
        assert_eq!(count(&house).await.unwrap().unwrap(), 1, "on disk is on disk");
        house.close();
    }

    #[actix_web::test]
    async fn after_a_disk_that_failed_nothing_is_told_until_the_next_start() {
        let mut times = 0;
        let house = House::new("disk-broken", move |_| {
            times += 1;
            if times == 2 { Err(io::Error::other("no disk")) } else { Ok(()) }
        });
        write(&house).await.unwrap().unwrap();
        assert_eq!(count(&house).await.unwrap().unwrap(), 1);
        for _ in 0..3 {
            assert!(write(&house).await.unwrap().is_err());
            assert!(count(&house).await.unwrap().is_err());
            let refused = house.db.read(|_| Err::<(), _>(Error::NotFound)).await.unwrap();
            assert_ne!(refused, Err(Error::NotFound), "it may be there");
        }
        // The second may be there, nothing after it.
        assert_eq!(rows(&house.file()), 2);
        house.close();
    }

    #[actix_web::test]
    async fn readers_go_on_reading_while_what_they_have_seen_goes_to_disk() {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let house = House::new("disk-readers", move |_| {
            wait.lock().unwrap().recv().ok();
            Ok(())
        });
        let ran = Arc::new(AtomicU64::new(0));
        let reads = (0..40).map(|_| {
            let ran = Arc::clone(&ran);
            house.db.read(move |_| {
                ran.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Error>(())
            })
        });
        let reads = async {
            sleep(Duration::from_millis(50)).await;
            join_all(reads).await
        };
        let written_and_read = Box::pin(join(write(&house), reads));
        let all_ran = Box::pin(async {
            while ran.load(Ordering::SeqCst) < 40 {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let Either::Right(((), both)) = select(written_and_read, all_ran).await else {
            panic!("somebody heard of what is not on disk");
        };
        drop(go);
        let (written, read) = both.await;
        written.unwrap().unwrap();
        assert!(read.into_iter().all(|one| one.unwrap().is_ok()));
        house.close();
    }

    #[cfg(unix)]
    #[actix_web::test]
    async fn the_log_that_goes_to_disk_is_that_of_the_file_behind_a_link() {
        let place = std::env::temp_dir().join(format!("feldsher-disk-link-{}", std::process::id()));
        let (near, far) = (place.join("near"), place.join("far"));
        std::fs::create_dir_all(&near).unwrap();
        std::fs::create_dir_all(&far).unwrap();
        let (link, file) = (near.join("feldsher.db"), far.join("real.db"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let (db, threads) = open(&DatabaseUrl::Sqlite(link.clone()), 1, 64).unwrap();
        let deed = |conn: &mut Conn| conn.batch_execute("CREATE TABLE filling (body BLOB)");
        db.write(deed).await.unwrap().unwrap();
        let names = std::fs::read_dir(&near).unwrap().count();
        assert_eq!(names, 1, "nothing lies beside the link");
        assert!(std::fs::metadata(far.join("real.db-wal")).unwrap().len() > 0);
        for name in [&link, &file] {
            let second = open(&DatabaseUrl::Sqlite(name.clone()), 1, 64);
            assert!(matches!(second, Err(OpenError::InUse(_))), "by whatever name it comes");
        }
        drop(db);
        threads.join();
        std::fs::remove_dir_all(place).unwrap();
    }
}
