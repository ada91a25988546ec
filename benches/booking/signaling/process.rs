//! The servers that are measured: processes of their own, so that their processor time and memory
//! are theirs alone.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use feldsher::base::master_key;

use crate::engine::Database;

/// The clock ticks of a second in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;
const READY_SECS_MAX: u64 = 60;
/// The version of the peer that is measured.
const PEERJS: &str = "peer@1.0.2";

/// A running server; it ends when this is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _directory: Option<Directory>,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// The product as it ships, on the region's database; its door stands open all day.
    pub fn product(database: &Database) -> anyhow::Result<Self> {
        let address = free_address()?;
        let child = Command::new(env!("CARGO_BIN_EXE_feldsher"))
            .arg("serve")
            .current_dir(database.directory())
            .env("DATABASE_URL", database.url())
            // Beside PostgreSQL it is not looked for.
            .env(
                "FELDSHER__SEAL__MASTER_KEY_FILE",
                database.directory().join(master_key::FILE_NAME),
            )
            .env("FELDSHER__HTTP__LISTEN", address.to_string())
            .env("FELDSHER__VISIT__OPENS_BEFORE_MINUTES", "10080")
            .env("FELDSHER__SMS__ADAPTER", "file")
            .env("FELDSHER__SMS__PATH", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Self { address, child, _directory: None }.ready()
    }

    /// A bare WebSocket echo on the same stack: this program again.
    pub fn echo() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(super::echo::ARGUMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().context("an echo without a voice")?;
        BufReader::new(said).read_line(&mut line)?;
        let address = line.trim().parse().context("the echo did not start")?;
        Self { address, child, _directory: None }.ready()
    }

    /// The PeerJS server, out of npm's registry; `None` where there is no npm.
    pub fn peerjs() -> anyhow::Result<Option<Self>> {
        let directory =
            std::env::temp_dir().join(format!("feldsher_peerjs_{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let directory = Directory(directory);
        let installed = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", PEERJS])
            .current_dir(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !installed.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let address = free_address()?;
        let script = format!(
            "require('peer').PeerServer({{port: {}, host: '127.0.0.1', path: '/', \
             concurrent_limit: 20000}})",
            address.port()
        );
        let child = Command::new("node")
            .args(["-e", &script])
            .current_dir(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Self { address, child, _directory: Some(directory) }.ready().map(Some)
    }

    fn ready(mut self) -> anyhow::Result<Self> {
        let begin = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("a server ended before it was ready: {status}");
            }
            if begin.elapsed() > Duration::from_secs(READY_SECS_MAX) {
                bail!("a server was not ready in {READY_SECS_MAX} s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }

    /// The processor time it has used so far, in seconds.
    pub fn cpu_secs(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(self.proc("stat"))?;
        // The name before may hold spaces.
        let (_, rest) = text.rsplit_once(')').context("no such process")?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
    }

    /// The memory it holds, in kilobytes.
    pub fn rss_kb(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(self.proc("status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().next());
        Ok(figure.context("no such process")?.parse()?)
    }

    fn proc(&self, what: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(what)
    }
}

/// Below the range from which clients take their own ports.
fn free_address() -> anyhow::Result<SocketAddr> {
    let from = 20_000 + u16::try_from(std::process::id() % 10_000)?;
    (from..from.saturating_add(2000))
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no port is free")
}
