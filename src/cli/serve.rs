//! `feldsher serve`: from the settings to the last answer.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use anyhow::{Context, bail};
use feldsher::base::app::App;
use feldsher::base::background::Background;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::Config;
use feldsher::base::db::Threads;
use feldsher::server;

use crate::cli::{complain, wait};

/// How long background tasks may take to stop.
const BACKGROUND_SECS_MAX: u64 = 15;
/// How long the database may take to close.
const DATABASE_SECS_MAX: u64 = 10;

/// Serves until a signal.
pub fn serve(config: Config) -> anyhow::Result<()> {
    wait(async {
        let listener = listen(config.http.listen.parse()?, "http.listen")?;
        let mut signals = Signals::new()?;
        let (app, threads) = App::open(config, None, Arc::new(SystemClock)).await?;
        let address = listener.local_addr()?;
        run(app, threads, listener, &mut signals, || {
            tracing::info!(%address, "serving on http://{address}");
            Ok(())
        })
        .await
    })
}

/// Takes the address; nobody is answered yet. `setting` is what to change when it is taken.
pub fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    match server::listen(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is taken by another program; choose another with {setting}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

/// Serves until a signal, then stops in the order in which nothing is lost. A second signal
/// ends the process at once: what was acknowledged is on the disk.
pub async fn run(
    app: Arc<App>,
    threads: Threads,
    listener: TcpListener,
    signals: &mut Signals,
    announce: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let background = Background::start(&app);
    let server = server::start(web::Data::from(Arc::clone(&app)), listener)?;
    let handle = server.handle();
    let mut serving = actix_web::rt::spawn(server);
    announce()?;
    tokio::select! {
        ended = &mut serving => {
            ended.context("the server panicked")?.context("the server failed")?;
            bail!("the server ended by itself");
        }
        () = signals.next() => {}
    }
    tracing::info!("stopping; a second signal ends the process at once");
    let stopping = async {
        let http = &app.config.http;
        app.begin_stop();
        tokio::time::sleep(Duration::from_secs(http.drain_secs)).await;
        app.rooms.stop();
        app.probes.stop();
        handle.stop(true).await;
        background.stop(Duration::from_secs(BACKGROUND_SECS_MAX)).await;
        drop(serving.await);
    };
    tokio::select! {
        () = stopping => {}
        () = signals.next() => at_once(),
    }
    drop(app);
    let closed = close(threads);
    tokio::select! {
        () = closed => {}
        () = signals.next() => at_once(),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the database threads: the last changes are in the file, the file is closed.
pub async fn close(threads: Threads) {
    let (closed, wait) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: the runtime would wait for one of its own without end.
    std::thread::spawn(move || {
        threads.join();
        drop(closed);
    });
    if tokio::time::timeout(Duration::from_secs(DATABASE_SECS_MAX), wait).await.is_err() {
        tracing::warn!("the database was still in use at the end; nothing acknowledged is lost");
    }
}

fn at_once() {
    complain("feldsher: stopped at once");
    std::process::exit(1);
}

/// The signals that ask us to stop.
#[cfg(unix)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens from now on.
    pub fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that ask us to stop.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
