//! For tests: a SQLite database of its own, with room for what is written only to fill the log.

use std::io;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;

use super::executor::Disk;
use super::open::{self, Reached, reach};
use super::{DatabaseUrl, Db, Threads};

pub(super) struct House {
    pub(super) place: PathBuf,
    pub(super) db: Db,
    threads: Threads,
}

impl House {
    /// One whose disk is the test's: `sync` is told where it lies.
    pub(super) fn new(
        name: &str,
        mut sync: impl FnMut(&Path) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let place = std::env::temp_dir().join(format!("feldsher-{name}-{}", std::process::id()));
        let Reached::Sqlite(path, lock, mut writer) =
            reach(&DatabaseUrl::Sqlite(place.join("feldsher.db"))).unwrap()
        else {
            panic!("it is SQLite");
        };
        writer.batch_execute("CREATE TABLE filling (body BLOB)").unwrap();
        let own = place.clone();
        // The tests outlive their disk.
        let disk = Disk { sync: Box::new(move || sync(&own)), failed: Box::new(|| ()) };
        let (db, threads) = open::start_sqlite(&path, (lock, writer), (2, 64), disk).unwrap();
        Self { place, db, threads }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.place.join("feldsher.db")
    }

    pub(super) fn close(self) {
        drop(self.db);
        self.threads.join();
        std::fs::remove_dir_all(&self.place).unwrap();
    }
}
