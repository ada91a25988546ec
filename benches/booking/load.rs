//! Clients that keep their connection and ask again as soon as they are answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::net::TcpStream;

/// How many ask at once.
pub const CLIENTS: usize = 64;

/// Makes the next request, head and body.
pub type Request = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// What came back.
#[derive(Debug, Default)]
pub struct Sample {
    /// Answers per second.
    pub per_second: f64,
    /// The median of how long an answer took, in milliseconds.
    pub p50: f64,
    /// One of a hundred took longer.
    pub p99: f64,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u32>,
}

impl Sample {
    /// What is to be said of things that took so long each, within the time they were measured.
    pub fn of(mut took: Vec<Duration>, measured: Duration) -> Self {
        took.sort_unstable();
        let at = |percent: usize| {
            let longer = took.get(took.len() * percent / 100).copied().unwrap_or_default();
            longer.as_secs_f64() * 1000.0
        };
        let count = u32::try_from(took.len()).unwrap_or(u32::MAX);
        Self {
            per_second: f64::from(count) / measured.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            statuses: BTreeMap::new(),
        }
    }

    /// Fails unless every answer had this status.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        if self.statuses.keys().any(|found| *found != status) || self.statuses.is_empty() {
            bail!("answers by status: {:?}, expected {status} only", self.statuses);
        }
        Ok(self)
    }
}

/// Asks for `warm`, then for `measured`, and tells of the latter.
pub fn drive(
    address: SocketAddr,
    warm: Duration,
    measured: Duration,
    request: &Request,
) -> anyhow::Result<Sample> {
    drive_by(CLIENTS, address, (warm, measured), request)
}

/// As [`drive`], by so many clients.
pub fn drive_by(
    clients_count: usize,
    address: SocketAddr,
    (warm, measured): (Duration, Duration),
    request: &Request,
) -> anyhow::Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(async {
        let begin = Instant::now() + warm;
        let end = begin + measured;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..clients_count {
            let request = Arc::clone(request);
            clients.spawn(async move {
                let mut client = Client::connect(address).await?;
                let mut answers = Vec::new();
                while Instant::now() < end {
                    let asked = Instant::now();
                    let status = client.ask(&request()).await?;
                    let answered = Instant::now();
                    if asked >= begin && answered <= end {
                        answers.push((status, answered.duration_since(asked)));
                    }
                }
                anyhow::Ok(answers)
            });
        }
        let mut all = Vec::new();
        while let Some(answers) = clients.join_next().await {
            all.extend(answers??);
        }
        anyhow::Ok(all)
    })?;
    Ok(summed(&answers, measured))
}

/// Sends every request once, over one connection; each must be answered with `expected`.
pub fn send_all(address: SocketAddr, requests: &[Vec<u8>], expected: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(address).await?;
        for request in requests {
            let status = client.ask(request).await?;
            if status != expected {
                bail!("answered {status}, expected {expected}");
            }
        }
        Ok(())
    })
}

/// What is answered to a request: head and body.
pub fn answer_to(address: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(address).await?;
        let status = client.ask(request).await?;
        if status != 200 {
            bail!("answered {status}, expected 200");
        }
        Ok(client.received)
    })
}

/// How often a piece of work could be done in a row, and how long it took.
pub fn repeat(
    (warm, measured): (Duration, Duration),
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Sample> {
    let begin = Instant::now() + warm;
    let end = begin + measured;
    let mut done = Vec::new();
    while Instant::now() < end {
        let started = Instant::now();
        work()?;
        let ended = Instant::now();
        if started >= begin && ended <= end {
            done.push((200, ended.duration_since(started)));
        }
    }
    Ok(summed(&done, measured))
}

fn summed(answers: &[(u16, Duration)], measured: Duration) -> Sample {
    let mut statuses = BTreeMap::new();
    for (status, _) in answers {
        *statuses.entry(*status).or_insert(0) += 1;
    }
    let took = answers.iter().map(|(_, took)| *took).collect();
    Sample { statuses, ..Sample::of(took, measured) }
}

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 << 10) })
    }

    /// The status of the answer, once the whole of it is here.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.send(request).await?;
        self.received.clear();
        loop {
            if let Some((status, length)) = whole(&self.received)?
                && self.received.len() >= length
            {
                return Ok(status);
            }
            self.stream.readable().await?;
            let mut chunk = [0; 16 << 10];
            match self.stream.try_read(&mut chunk) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => {
                    self.received.extend_from_slice(chunk.get(..length).unwrap_or_default());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn send(&self, mut request: &[u8]) -> anyhow::Result<()> {
        while !request.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(request) {
                Ok(sent) => request = request.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Status and whole length of the answer, once its head is here.
fn whole(received: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(head) = received.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(received.get(..head).unwrap_or_default())?;
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let status = status.context("an answer without a status")?;
    let length = length.context("an answer without a length")?;
    Ok(Some((status, head + 4 + length)))
}
