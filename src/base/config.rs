//! The settings: what they are. `config/feldsher.toml` says what each means.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::base::column::text_enum;
use crate::base::{master_key, telemetry};
use crate::call::relay::url::RelayUrl;
use crate::message::gateway;

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../../config/feldsher.toml");

/// The shortest secret that is shared with a relay, in characters.
const TURN_SECRET_CHARS_MIN: usize = 32;

/// A value that is printed as `***`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}

/// Every setting.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listener.
    pub http: Http,
    /// The database and its threads.
    pub database: Database,
    /// Encryption at rest.
    pub seal: SealConfig,
    /// Sessions and limits of sign-in.
    pub sign_in: SignIn,
    /// The SMS gateway.
    pub sms: Sms,
    /// Rules of booking.
    pub booking: Booking,
    /// Zones.
    pub time: Time,
    /// Calendars elsewhere.
    pub calendar: Calendar,
    /// Rules of the visit.
    pub visit: Visit,
    /// STUN and TURN.
    pub ice: Ice,
    /// The link probe.
    pub probe: Probe,
    /// Logs.
    pub log: Log,
    /// Whether this process is a demonstration: its last SMS can be read at `/demo/sms`.
    /// The demo command and tests say so; no file and no variable can.
    #[serde(skip)]
    pub demo: bool,
    /// Where links in a demonstration's texts lead, since it has no public address.
    #[serde(skip)]
    pub demo_url: String,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Http {
    pub listen: String,
    pub public_url: String,
    pub allowed_origins: Vec<String>,
    pub workers: usize,
    pub trusted_proxies: usize,
    pub drain_secs: u64,
    pub shutdown_secs: u64,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Database {
    pub url: Secret,
    pub workers: usize,
    pub queue_len_max: usize,
}

/// `[seal]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct SealConfig {
    pub master_key: Secret,
}

/// `[sign_in]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct SignIn {
    pub access_token_minutes: u32,
    pub staff_session_minutes: u32,
    pub staff_idle_minutes: u32,
    pub patient_session_days: u32,
    pub patient_idle_days: u32,
    pub password_failures_max: u32,
    pub password_wait_minutes: u32,
    pub codes_per_number_day: u32,
    pub codes_per_address_hour: u32,
}

text_enum!(
    /// How an SMS leaves the house.
    SmsAdapter {
        /// Printed to the terminal.
        Terminal = "terminal",
        /// Appended to a file as JSON lines.
        File = "file",
        /// Sent to a gateway.
        Http = "http",
    }
);

/// `[sms]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Sms {
    pub adapter: SmsAdapter,
    pub path: PathBuf,
    pub http: SmsHttp,
}

/// `[sms.http]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct SmsHttp {
    pub url: String,
    pub content_type: String,
    pub body: String,
    pub authorization: Secret,
}

/// `[booking]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Booking {
    pub hold_minutes: u32,
    pub ahead_days_max: u32,
    pub holds_max: u32,
    pub request_hours: u32,
    pub offer_hours: u32,
    pub waitlist_minutes: u32,
    pub night_from_hour: u32,
    pub night_to_hour: u32,
    pub waitlist_max: u32,
    pub waitlist_offers_max: u32,
}

/// `[time]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Time {
    pub zoneinfo: PathBuf,
}

/// `[calendar]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Calendar {
    pub private_hosts: bool,
}

/// `[visit]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Visit {
    pub opens_before_minutes: u32,
    pub closes_after_minutes: u32,
    pub ring_secs: u32,
    pub ring_minutes: u32,
    pub ring_texts_max: u32,
    pub interrupted_minutes: u32,
    pub task_minutes: u32,
}

text_enum!(
    /// Which ways sound and picture may take.
    #[derive(Default)]
    IcePolicy {
        #[default]
        /// From browser to browser where that is possible, over a relay where it is not.
        All = "all",
        /// Over a relay only.
        Relay = "relay",
    }
);

/// `[ice]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Ice {
    pub stun_urls: Vec<String>,
    pub turn_urls: Vec<String>,
    pub turn_secret: Secret,
    pub turn_credential_secs: u32,
    pub turn_ca: PathBuf,
    pub policy: IcePolicy,
}

/// `[probe]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Probe {
    pub enabled: bool,
    pub addresses: Vec<String>,
    pub port_from: u16,
    pub port_to: u16,
    pub public_addresses: Vec<String>,
}

impl Probe {
    /// The first and the last port; `None`: any.
    pub fn ports(&self) -> Option<(u16, u16)> {
        (self.port_from > 0).then_some((self.port_from, self.port_to))
    }

    fn check(&self) -> anyhow::Result<()> {
        let are_addresses =
            |texts: &[String]| texts.iter().all(|text| text.parse::<std::net::IpAddr>().is_ok());
        if !are_addresses(&self.addresses) || self.addresses.is_empty() {
            bail!("probe.addresses must each be an address of this machine, like 0.0.0.0");
        }
        if !are_addresses(&self.public_addresses) {
            bail!("probe.public_addresses must each be an address, like 203.0.113.7");
        }
        let is_range = self.port_from >= 1024 && self.port_from <= self.port_to;
        if !is_range && (self.port_from, self.port_to) != (0, 0) {
            bail!("probe.port_from and probe.port_to must be a range from 1024 on, or both 0");
        }
        Ok(())
    }
}

text_enum!(
    /// What a log line looks like.
    LogFormat {
        /// One JSON object per line.
        Json = "json",
        /// For a person at a terminal.
        Text = "text",
    }
);

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/feldsher.toml says what each setting means")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// The settings that are secrets, and may therefore come from a file.
const SECRETS: &[&str] =
    &["database.url", "seal.master_key", "sms.http.authorization", "ice.turn_secret"];

impl Config {
    /// The compiled-in defaults alone.
    pub fn defaults() -> anyhow::Result<Self> {
        Self::layered(None, [])
    }

    /// Defaults, then `file`, then the environment. Every unknown key is an error.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::layered(file, std::env::vars())
    }

    /// As [`Config::load`], with the environment given.
    pub fn layered(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut settings = config::Config::builder()
            .add_source(config::File::from_str(DEFAULTS, config::FileFormat::Toml));
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the settings in {}", file.display()))?;
            settings = settings.add_source(config::File::from_str(&text, config::FileFormat::Toml));
        }
        for (name, value) in environment {
            if let Some((key, value)) = override_of(&name, value)? {
                let list = [
                    "http.allowed_origins",
                    "ice.stun_urls",
                    "ice.turn_urls",
                    "probe.addresses",
                    "probe.public_addresses",
                ];
                settings = if list.contains(&key.as_str()) {
                    let items: Vec<String> = value
                        .split(',')
                        .map(|item| item.trim().to_owned())
                        .filter(|item| !item.is_empty())
                        .collect();
                    settings.set_override(key, items)?
                } else {
                    settings.set_override(key, value)?
                };
            }
        }
        let config: Self =
            settings.build()?.try_deserialize().context("the settings are not valid")?;
        config.check()?;
        Ok(config)
    }

    /// What the types cannot say. Names the key at fault.
    fn check(&self) -> anyhow::Result<()> {
        if self.http.listen.parse::<std::net::SocketAddr>().is_err() {
            bail!("http.listen must be an address and a port, like 127.0.0.1:8080");
        }
        self.database
            .url
            .0
            .parse::<crate::base::db::DatabaseUrl>()
            .context("database.url is not valid")?;
        self.check_ranges()?;
        if !self.seal.master_key.0.is_empty() {
            master_key::decode(&self.seal.master_key.0).context("seal.master_key")?;
        }
        if self.sms.adapter == SmsAdapter::Http {
            gateway::check(&self.sms.http)?;
        }
        let secret = self.ice.turn_secret.0.chars().count();
        if !self.ice.turn_urls.is_empty() && secret == 0 {
            bail!("ice.turn_secret is needed when ice.turn_urls are set");
        }
        // Whoever has one name and its password can try secrets at home.
        if !self.ice.turn_urls.is_empty() && secret < TURN_SECRET_CHARS_MIN {
            bail!(
                "ice.turn_secret is too short: take at least {TURN_SECRET_CHARS_MIN} characters that \
                 nobody can guess, as `openssl rand -base64 32` prints them, here and in the relay"
            );
        }
        for url in &self.ice.turn_urls {
            url.parse::<RelayUrl>().with_context(|| format!("ice.turn_urls: {url}"))?;
        }
        if self.ice.policy == IcePolicy::Relay && self.ice.turn_urls.is_empty() {
            bail!("ice.turn_urls are needed when ice.policy is relay");
        }
        if !is_origin(&self.http.public_url) && !self.http.public_url.is_empty() {
            bail!("http.public_url must be like https://clinic.example");
        }
        if !self.http.allowed_origins.iter().all(|origin| is_origin(origin)) {
            bail!("http.allowed_origins must each be like https://clinic.example");
        }
        self.probe.check()?;
        telemetry::filter(&self.log.level)?;
        Ok(())
    }

    /// A number out of its range would show late, as a full queue or an ended session.
    fn check_ranges(&self) -> anyhow::Result<()> {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let Self { http, database, sign_in, booking, visit, ice, .. } = self;
        for (key, value, min, max) in [
            ("http.workers", wide(http.workers), 0, 1024),
            ("http.trusted_proxies", wide(http.trusted_proxies), 0, 16),
            ("http.drain_secs", http.drain_secs, 0, 600),
            ("http.shutdown_secs", http.shutdown_secs, 1, 600),
            ("database.workers", wide(database.workers), 1, 64),
            ("database.queue_len_max", wide(database.queue_len_max), 16, 1_000_000),
            ("sign_in.access_token_minutes", sign_in.access_token_minutes.into(), 1, 60),
            ("sign_in.staff_session_minutes", sign_in.staff_session_minutes.into(), 1, 527_040),
            ("sign_in.staff_idle_minutes", sign_in.staff_idle_minutes.into(), 1, 527_040),
            ("sign_in.patient_session_days", sign_in.patient_session_days.into(), 1, 366),
            ("sign_in.patient_idle_days", sign_in.patient_idle_days.into(), 1, 366),
            ("sign_in.password_failures_max", sign_in.password_failures_max.into(), 1, 1000),
            ("sign_in.password_wait_minutes", sign_in.password_wait_minutes.into(), 1, 1440),
            ("sign_in.codes_per_number_day", sign_in.codes_per_number_day.into(), 1, 1000),
            ("sign_in.codes_per_address_hour", sign_in.codes_per_address_hour.into(), 1, 1_000_000),
            ("booking.hold_minutes", booking.hold_minutes.into(), 1, 1440),
            ("booking.ahead_days_max", booking.ahead_days_max.into(), 1, 3660),
            ("booking.holds_max", booking.holds_max.into(), 1, 1000),
            ("booking.request_hours", booking.request_hours.into(), 1, 720),
            ("booking.offer_hours", booking.offer_hours.into(), 1, 168),
            ("booking.waitlist_minutes", booking.waitlist_minutes.into(), 1, 1440),
            ("booking.night_from_hour", booking.night_from_hour.into(), 0, 23),
            ("booking.night_to_hour", booking.night_to_hour.into(), 0, 23),
            ("booking.waitlist_max", booking.waitlist_max.into(), 1, 100),
            ("booking.waitlist_offers_max", booking.waitlist_offers_max.into(), 1, 1_000_000),
            ("visit.opens_before_minutes", visit.opens_before_minutes.into(), 0, 10_080),
            ("visit.closes_after_minutes", visit.closes_after_minutes.into(), 0, 10_080),
            ("visit.ring_secs", visit.ring_secs.into(), 5, 600),
            ("visit.ring_minutes", visit.ring_minutes.into(), 1, 120),
            ("visit.ring_texts_max", visit.ring_texts_max.into(), 0, 20),
            ("visit.interrupted_minutes", visit.interrupted_minutes.into(), 1, 120),
            ("visit.task_minutes", visit.task_minutes.into(), 5, 1440),
            ("ice.turn_credential_secs", ice.turn_credential_secs.into(), 60, 172_800),
        ] {
            if !(min..=max).contains(&value) {
                bail!("{key} must be from {min} to {max}");
            }
        }
        Ok(())
    }
}

/// Whether this is what a browser sends as `Origin`; a slash at the end is no harm.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.map(|host| host.strip_suffix('/').unwrap_or(host));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}

/// What a variable of the environment sets: the dotted key and its value.
fn override_of(name: &str, value: String) -> anyhow::Result<Option<(String, String)>> {
    if name == "DATABASE_URL" {
        return Ok(Some(("database.url".to_owned(), value)));
    }
    if name == "DATABASE_URL_FILE" {
        return Ok(Some(("database.url".to_owned(), read_secret(name, &value)?)));
    }
    if !name.starts_with("FELDSHER_") {
        return Ok(None);
    }
    let Some(key) = name.strip_prefix("FELDSHER__") else {
        bail!("{name} is not a setting; write FELDSHER__SECTION__KEY");
    };
    let key = key.to_ascii_lowercase().replace("__", ".");
    if let Some(secret) = key.strip_suffix("_file")
        && SECRETS.contains(&secret)
    {
        return Ok(Some((secret.to_owned(), read_secret(name, &value)?)));
    }
    if !is_known(&key) {
        bail!("{name} is not a setting: there is no {key}");
    }
    Ok(Some((key, value)))
}

fn read_secret(name: &str, path: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the file that {name} names"))?;
    Ok(text.trim().to_owned())
}

fn is_known(key: &str) -> bool {
    config::Config::builder()
        .add_source(config::File::from_str(DEFAULTS, config::FileFormat::Toml))
        .build()
        .is_ok_and(|defaults| defaults.get::<config::Value>(key).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> anyhow::Result<Config> {
        Config::layered(None, [(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_defaults_are_valid_and_the_environment_wins() {
        assert_eq!(Config::defaults().unwrap().booking.hold_minutes, 10);
        assert_eq!(with("FELDSHER__BOOKING__HOLD_MINUTES", "7").unwrap().booking.hold_minutes, 7);
        assert_eq!(
            with("DATABASE_URL", "postgres://x/y").unwrap().database.url.0,
            "postgres://x/y"
        );
        let origins = with("FELDSHER__HTTP__ALLOWED_ORIGINS", "https://a, https://b").unwrap();
        assert_eq!(origins.http.allowed_origins, ["https://a", "https://b"]);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for name in ["FELDSHER_LISTEN", "FELDSHER__HTTP__LISTN"] {
            let error = with(name, "x").unwrap_err();
            assert!(format!("{error:#}").contains(name), "{error:#}");
        }
        let file = std::env::temp_dir().join(format!("feldsher-{}.toml", std::process::id()));
        std::fs::write(&file, "[http]\nlistn = \"x\"\n").unwrap();
        let error = Config::layered(Some(&file), []).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert!(format!("{error:#}").contains("listn"), "{error:#}");
    }

    #[test]
    fn a_wrong_value_is_named() {
        for (name, value, named) in [
            ("FELDSHER__LOG__LEVEL", "feldsher=loud", "log.level"),
            ("FELDSHER__SEAL__MASTER_KEY", "c2hvcnQ=", "seal.master_key"),
            ("FELDSHER__HTTP__LISTEN", "8080", "http.listen"),
            ("FELDSHER__SMS__ADAPTER", "http", "sms.http.url"),
            ("FELDSHER__DATABASE__QUEUE_LEN_MAX", "0", "database.queue_len_max"),
            ("FELDSHER__SIGN_IN__PATIENT_SESSION_DAYS", "4294967295", "patient_session_days"),
            ("FELDSHER__ICE__TURN_CREDENTIAL_SECS", "0", "ice.turn_credential_secs"),
            ("FELDSHER__ICE__TURN_URLS", "turn:a.example", "ice.turn_secret"),
            ("FELDSHER__ICE__POLICY", "relay", "ice.turn_urls"),
            ("FELDSHER__ICE__POLICY", "direct", "policy"),
            ("FELDSHER__HTTP__PUBLIC_URL", "clinic.example", "http.public_url"),
            ("FELDSHER__HTTP__ALLOWED_ORIGINS", "https://a,b", "http.allowed_origins"),
        ] {
            let error = format!("{:#}", with(name, value).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
        assert!(with("FELDSHER__DEMO", "true").is_err(), "a demonstration is nobody's setting");
    }

    #[test]
    fn a_relay_whose_secret_can_be_guessed_is_refused() {
        let with_secret = |secret: &str| {
            let urls = ("FELDSHER__ICE__TURN_URLS".to_owned(), "turn:a.example".to_owned());
            Config::layered(
                None,
                [urls, ("FELDSHER__ICE__TURN_SECRET".to_owned(), secret.to_owned())],
            )
        };
        let error = format!("{:#}", with_secret("sesame, open yourself at once!!").unwrap_err());
        assert!(error.contains("ice.turn_secret") && !error.contains("sesame"), "{error}");
        with_secret("sesame, open yourself at once!!!").unwrap();
    }

    #[test]
    fn secrets_are_masked() {
        let config = with("FELDSHER__ICE__TURN_SECRET", "open sesame").unwrap();
        assert!(!format!("{config:?}").contains("sesame"));
        assert!(!serde_json::to_string(&config).unwrap().contains("sesame"));
    }
}
