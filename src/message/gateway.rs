//! The ways out: the terminal, a file, or any SMS gateway that takes a POST.
//!
//! These functions wait for disk and network; `sender` calls them off the async threads.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};

use crate::base::column::Instant;
use crate::base::config::{Sms, SmsAdapter, SmsHttp};

/// How long a gateway may take for its whole answer, in seconds.
const ANSWER_SECS_MAX: u64 = 10;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Why a message did not leave. Says nothing of the message itself.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// The gateway refused it.
    #[error("the gateway answered {0}")]
    Refused(u16),
    /// The gateway did not answer.
    #[error("the gateway did not answer: {0}")]
    Unreachable(&'static str),
    /// The terminal or the file could not be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The settings are not usable.
    #[error("{0}")]
    Setting(String),
}

/// Sends one SMS by the adapter that the settings name.
pub fn send(sms: &Sms, to: &str, text: &str, at: Instant) -> Result<(), Undelivered> {
    match sms.adapter {
        SmsAdapter::Terminal => print(to, text),
        SmsAdapter::File => append(&sms.path, to, text, at),
        SmsAdapter::Http => post(&sms.http, to, text),
    }
}

/// What a gateway's settings must be. Names the key at fault.
pub fn check(http: &SmsHttp) -> anyhow::Result<()> {
    let uri: Uri = match http.url.parse() {
        Ok(uri) if !http.url.is_empty() => uri,
        _ => bail!("sms.http.url must be the gateway's address when sms.adapter is http"),
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if here => {}
        _ => bail!("sms.http.url must begin with https:// (http:// to this machine only)"),
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        bail!("sms.http.url must not hold a password; use sms.http.authorization");
    }
    if escape_of(&http.content_type).is_none() {
        bail!("sms.http.content_type must be {JSON} or {FORM}");
    }
    if !(http.body.contains("{to}") && http.body.contains("{text}")) {
        bail!("sms.http.body must hold {{to}} and {{text}}");
    }
    Ok(())
}

fn print(to: &str, text: &str) -> Result<(), Undelivered> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "SMS to {to}: {text}")?;
    Ok(out.flush()?)
}

fn append(path: &Path, to: &str, text: &str, at: Instant) -> Result<(), Undelivered> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let line = format!("{}\n", json!({"to": to, "text": text, "at": at}));
    Ok(options.open(path)?.write_all(line.as_bytes())?)
}

fn post(http: &SmsHttp, to: &str, text: &str) -> Result<(), Undelivered> {
    check(http).map_err(|error| Undelivered::Setting(error.to_string()))?;
    let body = fill(http, to, text)
        .ok_or_else(|| Undelivered::Setting("sms.http.content_type is unknown".to_owned()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::WebPki)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(ANSWER_SECS_MAX)))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .build()
        .into();
    let mut request = agent.post(&http.url).header("Content-Type", &http.content_type);
    if !http.authorization.0.is_empty() {
        request = request.header("Authorization", &http.authorization.0);
    }
    let answer = request.send(body).map_err(|error| Undelivered::Unreachable(kind_of(&error)))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(Undelivered::Refused(status)),
    }
}

/// ureq's errors can quote the address, which may be a secret of the operator's.
fn kind_of(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "too slow",
        ureq::Error::HostNotFound => "no such host",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "no connection",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "its certificate is not valid",
        _ => "it does not speak HTTP as we do",
    }
}

type Escape = fn(&str) -> String;

fn escape_of(content_type: &str) -> Option<Escape> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        Some(escape_json)
    } else if essence.eq_ignore_ascii_case(FORM) {
        Some(escape_form)
    } else {
        None
    }
}

/// The number goes in first: it holds no braces, so no text can pose as a placeholder.
fn fill(http: &SmsHttp, to: &str, text: &str) -> Option<String> {
    let escape = escape_of(&http.content_type)?;
    Some(http.body.replace("{to}", &escape(to)).replace("{text}", &escape(text)))
}

/// For the inside of a JSON string.
fn escape_json(text: &str) -> String {
    let quoted = json!(text).to_string();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

/// Percent-encoding: everything but unreserved characters (RFC 3986).
fn escape_form(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpListener;

    use super::*;
    use crate::base::config::{Config, Secret};

    fn http(url: &str, content_type: &str, body: &str) -> SmsHttp {
        SmsHttp {
            url: url.to_owned(),
            content_type: content_type.to_owned(),
            body: body.to_owned(),
            authorization: Secret("Bearer open-sesame".to_owned()),
        }
    }

    /// A gateway that hears one request, answers `status`, and tells what it heard.
    fn gateway(status: &'static str) -> (String, std::thread::JoinHandle<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let mut line = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(line.read_line(&mut head).unwrap() > 0, "{head}");
            }
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            line.read_exact(&mut body).unwrap();
            let answer = format!(
                "HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            );
            line.get_mut().write_all(answer.as_bytes()).unwrap();
            (lower, String::from_utf8(body).unwrap())
        });
        (url, heard)
    }

    #[test]
    fn a_gateway_hears_the_text_escaped_for_its_content_type() {
        let text = "он сказал \"да\" {to} & 100%\n";
        let (url, heard) = gateway("200 OK");
        let template = r#"{"to": "{to}", "text": "{text}"}"#;
        post(&http(&url, "application/json; charset=utf-8", template), "+70000000001", text)
            .unwrap();
        let (head, body) = heard.join().unwrap();
        assert!(head.contains("authorization: bearer open-sesame"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({"to": "+70000000001", "text": text}));
        let form = http("https://x", FORM, "to={to}&text={text}");
        assert_eq!(
            fill(&form, "+7", "да & нет").unwrap(),
            "to=%2B7&text=%D0%B4%D0%B0%20%26%20%D0%BD%D0%B5%D1%82"
        );
        let quoted = http("https://x", JSON, template);
        let filled = fill(&quoted, "+7", "\"\"end\"").unwrap();
        let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(read["text"], "\"\"end\"");
    }

    #[test]
    fn a_refusal_or_a_redirect_is_a_failure() {
        for (status, number) in [("500 Oops", 500), ("302 Found", 302)] {
            let (url, heard) = gateway(status);
            let said = post(&http(&url, JSON, "{to}{text}"), "+70000000001", "123456");
            assert!(matches!(said, Err(Undelivered::Refused(said)) if said == number), "{said:?}");
            heard.join().unwrap();
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{closed}/secret-path");
        let error = post(&http(&url, JSON, "{to}{text}"), "+70000000001", "123456").unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("secret-path") && !said.contains("123456"), "{said}");
    }

    #[test]
    fn a_gateway_beyond_this_machine_needs_https() {
        let with = |url: &str| check(&http(url, JSON, "{to}{text}"));
        for good in ["https://gateway.example/send", "http://127.0.0.1:8000/", "http://[::1]/"] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in ["", "http://gateway.example/", "ftp://x/", "send", "https://me:pw@x.example/"] {
            assert!(with(bad).is_err(), "{bad}");
        }
        assert!(check(&http("https://x", "text/xml", "{to}{text}")).is_err());
        assert!(check(&http("https://x", JSON, "{to}")).is_err());
    }

    #[test]
    fn the_file_adapter_appends_lines() {
        let path = std::env::temp_dir().join(format!("feldsher-sms-{}.jsonl", std::process::id()));
        let mut sms = Config::defaults().unwrap().sms;
        (sms.adapter, sms.path) = (SmsAdapter::File, path.clone());
        let at = "2026-11-23T02:00:00Z".parse().unwrap();
        send(&sms, "+70000000001", "one", at).unwrap();
        send(&sms, "+70000000001", "two", at).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lines.lines().count(), 2);
        assert!(lines.contains("\"two\""), "{lines}");
    }
}
