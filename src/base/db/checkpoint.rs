//! SQLite's log: what was committed is brought into the file beside the writer, not by it.
//!
//! SQLite itself does it in the commit that fills a thousand pages, and whoever waits for that
//! commit waits for the file's `fsync` too. Beside many bookings that was a third of the writer's
//! time. Here a thread of its own does it (<https://sqlite.org/wal.html#ckpt>, `PASSIVE`), which
//! neither waits for anybody nor is waited for.

use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use flume::Sender;

use super::Conn;
use super::durable::Teller;
use super::executor::spawn;

/// How many pages wait in the log before they are brought into the file: SQLite's own number.
const PAGES_MIN: i32 = 1000;
/// From so many pages on (64 MiB) the writer brings in the rest itself: only when nothing is left
/// does the log begin anew, and beside somebody who writes without a pause something always is.
const PAGES_MAX: i32 = 16_384;

/// What the writer tells that there is something new in the log.
#[derive(Debug)]
pub(super) struct Bell(Sender<()>);

impl Bell {
    /// Says so; nobody waits.
    pub(super) fn ring(&self) {
        // One that has not been heard yet is for both.
        self.0.try_send(()).ok();
    }
}

/// Starts the thread; it ends with the bell. What `teller` does not know to be sound stays where it is.
pub(super) fn start(
    writer: &mut Conn,
    mut own: Conn,
    teller: Teller,
) -> std::io::Result<(Bell, JoinHandle<()>)> {
    let rest = format!("PRAGMA wal_autocheckpoint = {PAGES_MAX}");
    writer.batch_execute(&rest).map_err(std::io::Error::other)?;
    let (ring, heard) = flume::bounded(1);
    let handle = spawn("db-checkpoint", move || {
        while heard.recv().is_ok() {
            if let Err(error) = teller.check().and_then(|()| bring_in(&mut own)) {
                tracing::warn!(%error, "the log was not brought into the database; it is tried again");
            }
        }
    })?;
    Ok((Bell(ring), handle))
}

/// What SQLite says of its log, in pages.
#[derive(QueryableByName)]
struct Log {
    #[diesel(sql_type = Integer)]
    log: i32,
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

fn bring_in(conn: &mut Conn) -> QueryResult<()> {
    let Log { log, checkpointed } =
        diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(conn)?;
    if log < PAGES_MAX && log.saturating_sub(checkpointed) >= PAGES_MIN {
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, Instant};

    use diesel::sqlite::SqliteConnection;

    use super::*;
    use crate::base::db::executor::Disk;
    use crate::base::db::house::House;
    use crate::base::db::{DatabaseUrl, Reached, reach};

    /// With the disk as it is.
    fn house(name: &str) -> House {
        House::new(name, |place| File::open(place.join("feldsher.db-wal"))?.sync_data())
    }

    /// Commits so many times a hundred pages.
    async fn fill(house: &House, times: u32) {
        for _ in 0..times {
            let deed = |conn: &mut Conn| {
                conn.batch_execute(
                    "DELETE FROM filling; INSERT INTO filling VALUES (zeroblob(409600))",
                )
            };
            house.db.write(deed).await.unwrap().unwrap();
        }
    }

    fn log(house: &House) -> Log {
        let mut other = SqliteConnection::establish(&house.file().to_string_lossy()).unwrap();
        diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(&mut other).unwrap()
    }

    #[actix_web::test]
    async fn what_was_committed_is_brought_in_by_another_than_the_writer() {
        let house = house("log-beside");
        // Fewer than the writer would bring in by itself.
        fill(&house, 40).await;
        let begin = Instant::now();
        loop {
            let Log { log, checkpointed } = log(&house);
            if log - checkpointed < PAGES_MIN {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{checkpointed} of {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        house.close();
    }

    #[test]
    fn what_a_failed_disk_has_in_its_log_is_not_brought_into_the_file() {
        let place = std::env::temp_dir().join(format!("feldsher-log-doubt-{}", std::process::id()));
        let file = place.join("feldsher.db");
        let Reached::Sqlite(_, _lock, mut writer) =
            reach(&DatabaseUrl::Sqlite(file.clone())).unwrap()
        else {
            panic!("it is SQLite");
        };
        writer.batch_execute("CREATE TABLE filling (body BLOB)").unwrap();
        let other = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        let sync = || Err(std::io::Error::other("no disk"));
        let disk = Disk { sync: Box::new(sync), failed: Box::new(|| ()) };
        let (teller, to_disk) = Teller::start(disk, 64).unwrap();
        let (bell, thread) = start(&mut writer, Conn::Sqlite(other), teller.clone()).unwrap();
        teller.begin();
        teller.made(Vec::new(), Ok(()));
        let begin = Instant::now();
        while teller.check().is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = std::fs::metadata(&file).unwrap().len();
        writer.batch_execute("INSERT INTO filling VALUES (zeroblob(8000000))").unwrap();
        bell.ring();
        drop((bell, teller));
        thread.join().unwrap();
        to_disk.join().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), before);
        drop(writer);
        std::fs::remove_dir_all(place).unwrap();
    }

    #[actix_web::test]
    async fn whoever_writes_without_a_pause_does_not_make_the_log_longer_without_end() {
        let house = house("log-long");
        fill(&house, 600).await;
        let log = std::fs::metadata(house.place.join("feldsher.db-wal")).unwrap().len();
        let most = u64::try_from(PAGES_MAX).unwrap() * 4096 * 5 / 4;
        assert!(log < most, "{log} bytes, more than {most}");
        house.close();
    }
}
