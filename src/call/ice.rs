//! STUN and TURN servers for one participant, with credentials that run out.
//!
//! The scheme is the one of draft-uberti-behave-turn-rest, which coturn's `use-auth-secret` and
//! most TURN servers know: the user name is `expiry:opaque`, the password its HMAC-SHA1.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::column::Instant;
use crate::base::config;
use crate::base::seal::hex;
use crate::call::relay::client::Credential;

/// An entry of `RTCConfiguration.iceServers` (W3C WebRTC 4.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// For TURN: when the credential runs out, and a name that says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The servers from the settings, with a credential for `participant`.
pub fn servers(settings: &config::Ice, participant: uuid::Uuid, now: Instant) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !settings.stun_urls.is_empty() {
        let urls = settings.stun_urls.clone();
        servers.push(IceServer { urls, username: None, credential: None });
    }
    if !settings.turn_urls.is_empty() {
        let expiry = expiry(now.utc().timestamp(), settings.turn_credential_secs.into());
        let Credential { username, password } =
            credential(&settings.turn_secret, participant, expiry);
        let urls = settings.turn_urls.clone();
        servers.push(IceServer { urls, username: Some(username), credential: Some(password) });
    }
    servers
}

/// When a name that is given out at `now` runs out, in seconds since 1970: not before `secs` have
/// passed, and at a multiple of them. Whoever asks again soon has the same name, and nobody more than
/// two that are good at once: so the relay's quota for one name is one for each participant.
fn expiry(now: i64, secs: i64) -> i64 {
    let secs = secs.max(1);
    now.div_euclid(secs).saturating_add(2).saturating_mul(secs)
}

/// A name for a relay that says when it runs out, in seconds since 1970, and its password.
pub fn credential(secret: &config::Secret, participant: uuid::Uuid, expiry: i64) -> Credential {
    let secret = secret.0.as_bytes();
    let username = format!("{expiry}:{}", opaque(secret, participant, expiry));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    Credential { username, password }
}

/// The relay's log must not tell who visits whom: the name says nothing and changes with the time.
fn opaque(secret: &[u8], participant: uuid::Uuid, expiry: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{participant}|{expiry}").as_bytes());
    hex(tag.as_ref()).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_runs_out_and_is_what_coturn_computes() {
        let settings = config::Ice {
            stun_urls: vec!["stun:turn.example.org".to_owned()],
            turn_urls: vec!["turns:turn.example.org:443?transport=tcp".to_owned()],
            turn_secret: config::Secret("north".to_owned()),
            turn_credential_secs: 600,
            ..config::Config::defaults().unwrap().ice
        };
        let now: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
        let servers = servers(&settings, uuid::Uuid::nil(), now);
        assert_eq!(servers.len(), 2);
        let username = servers[1].username.as_ref().unwrap();
        assert!(username.starts_with("1795486800:"), "{username}");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"north");
        let credential = STANDARD.decode(servers[1].credential.as_ref().unwrap()).unwrap();
        hmac::verify(&key, username.as_bytes(), &credential).unwrap();
        assert!(!username.contains(&uuid::Uuid::nil().to_string()));
    }

    #[test]
    fn who_joins_again_and_again_has_at_most_two_names_that_are_good_at_once() {
        let secs = 600;
        for now in 1_795_485_600..1_795_487_400 {
            let life = expiry(now, secs) - now;
            assert!(life >= secs && life <= 2 * secs, "{life}");
            // Everything that was given out by then and is still good.
            let mut good: Vec<i64> = (now - 2 * secs..=now).map(|at| expiry(at, secs)).collect();
            good.retain(|expiry| *expiry > now);
            good.dedup();
            assert!(good.len() <= 2, "{good:?}");
        }
    }
}
