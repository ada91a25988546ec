//! What PostgreSQL itself can do: the statements of a booking, sent by pgbench.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use feldsher::base::db::{self, DatabaseUrl};

use crate::engine::{Database, Engine, elsewhere};

const REGION: &str = include_str!("pgbench_region.sql");
const SCRIPT: &str = include_str!("pgbench.sql");
/// More than a client can do in one run: runs do not ask for the same times.
const BOOKINGS_PER_RUN_AND_CLIENT: u32 = 10_000;

/// pgbench, on a database of its own beside the product's.
pub struct Pgbench {
    program: PathBuf,
    database: Database,
    script: PathBuf,
    runs: u32,
}

impl Pgbench {
    /// Makes the region in an empty database.
    pub fn build() -> anyhow::Result<Self> {
        let program = program().context("pgbench is not here: Debian's postgresql has it")?;
        let database = Engine::Postgres.create("pgbench")?;
        let url: DatabaseUrl = database.url().parse()?;
        elsewhere(move || Ok(db::migrate(&url)?))?;
        database.execute(REGION)?;
        let script = database.directory().join("booking.sql");
        std::fs::write(&script, SCRIPT)?;
        Ok(Self { program, database, script, runs: 0 })
    }

    /// Bookings per second of so many clients.
    pub fn run(&mut self, clients: u32, measured: Duration) -> anyhow::Result<f64> {
        let counter = self.runs * BOOKINGS_PER_RUN_AND_CLIENT;
        self.runs += 1;
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", measured.as_secs().max(1)))
            .arg(format!("--define=counter={counter}"))
            .arg("--file")
            .arg(&self.script)
            .arg(self.database.url())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || complained.contains("aborted") {
            bail!("pgbench failed: {complained}");
        }
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        Ok(tps.context("pgbench told no rate")?.parse()?)
    }
}

fn program() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").into_iter();
    let directories = in_path.flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    directories.chain(debian).map(|bin| bin.join("pgbench")).find(|file| file.is_file())
}
