//! A real Chromium with nothing of ours in it: a fresh profile, a fake camera and microphone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::rt;
use serde_json::json;

use crate::cdp::Cdp;
use crate::page::{Device, Page};

const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// It opens our own pages only, so it needs no sandbox; and it must not look for a network.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    // A camera that shows a moving picture, a microphone that beeps, and nobody asks.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    // The two browsers meet on this machine, which may have no network and no multicast.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints",
];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running browser; it ends with the test.
pub struct Chromium {
    process: Child,
    profile: PathBuf,
    cdp: Cdp,
}

impl Chromium {
    /// Starts a browser and waits until it listens.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Chromium::start`], with some flags more.
    pub async fn start_with(flags: &[&str]) -> Self {
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(program());
        command.args(flags);
        Self::start_by(command, here).await
    }

    /// As [`Chromium::start`], where `command` starts it elsewhere and `reach` says by which
    /// address a port that it opens there is reached from here.
    pub async fn start_by(mut command: Command, reach: impl Fn(u16) -> SocketAddr) -> Self {
        let name = format!(
            "feldsher-browser-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let profile = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&profile).unwrap();
        let process = command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        // Held from here on, so that a failure below still ends the process.
        let mut started = Started { process: Some(process), profile };
        let (port, path) = started.address().await;
        let cdp = Cdp::connect(&format!("ws://{}{path}", reach(port))).await;
        let process = started.process.take().unwrap();
        Self { process, profile: std::mem::take(&mut started.profile), cdp }
    }

    /// Opens an empty page that looks as `device` does and speaks `language`; in a window of its own,
    /// since a page behind another one has slow clocks and says that nobody looks at it.
    pub async fn page(&self, name: &'static str, device: Device, language: &str) -> Page {
        let wish = json!({"url": "about:blank", "newWindow": true});
        let made = self.cdp.call("", "Target.createTarget", wish).await;
        let wish = json!({"targetId": made["targetId"], "flatten": true});
        let attached = self.cdp.call("", "Target.attachToTarget", wish).await;
        let session = attached["sessionId"].as_str().unwrap();
        Page::open(self.cdp.clone(), session, name, device, language).await
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        end(&mut self.process, &self.profile);
    }
}

struct Started {
    process: Option<Child>,
    profile: PathBuf,
}

impl Started {
    /// The browser writes the port and path it listens on into its profile.
    async fn address(&mut self) -> (u16, String) {
        let file = self.profile.join("DevToolsActivePort");
        for _ in 0..600 {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n') {
                return (port.parse().unwrap(), path.trim().to_owned());
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            assert_eq!(ended, None, "Chromium ended before it listened");
            rt::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("Chromium did not listen within a minute");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            end(process, &self.profile);
        }
    }
}

fn end(process: &mut Child, profile: &Path) {
    drop(process.kill());
    drop(process.wait());
    // Its helpers end a moment later, and write until then.
    for _ in 0..50 {
        if std::fs::remove_dir_all(profile).is_ok() || !profile.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `CHROMIUM` in the environment, or the first known name in `PATH`.
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = NAMES.iter().find_map(|name| {
        directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file())
    });
    found.expect("no Chromium: run ./tests/run, which installs it, or name yours in CHROMIUM")
}
