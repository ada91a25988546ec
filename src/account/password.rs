//! Passwords: what is strong enough, and argon2id a few hashes at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal;

/// The fewest characters: a password is the only factor.
pub const CHARS_MIN: usize = 15;
/// The longest password taken, in bytes; checked before anything is hashed.
pub const BYTES_MAX: usize = 1024;

/// Memory of one hash in KiB, passes and lanes (OWASP ASVS 5.0, appendix C).
const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 1;
const LANES: u32 = 1;

/// Hashes that run at once: each fills a core and 46 MiB.
const AT_ONCE_MAX: usize = 2;
/// Hashes that may wait; the next one is answered 503.
const WAITING_MAX: usize = 32;

/// What comparing a password with its hash said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It is another password, or there is nothing to compare it with.
    No,
    /// It is the password.
    Yes,
    /// It is the password, but the hash was made with weaker settings: hash it anew.
    YesButOld,
}

/// The hashing pool.
pub struct Hasher {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// A pool with nothing to do.
    pub fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            waiting: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// The argon2id hash of a password in PHC form. 503 when too many wait.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(password, |password| {
            let salt = seal::random::<16>()?;
            let hash: PasswordHash = argon2()?
                .hash_password_with_salt(password, &salt)
                .map_err(|_failed| Error::Internal("a password could not be hashed"))?;
            Ok(hash.to_string())
        })
        .await?
    }

    /// Compares a password with a hash. Without one the same work is done for nothing, so that
    /// an unknown login does not answer sooner. 503 when too many wait.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<Match, Error> {
        self.run(password, move |password| match hash {
            Some(hash) => compare(password, &hash),
            None => {
                let mut nothing = [0_u8; 32];
                argon2()?
                    .hash_password_into(password, &[0_u8; 16], &mut nothing)
                    .map_err(|_failed| Error::Internal("a password could not be hashed"))?;
                Ok(Match::No)
            }
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        password: String,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let password = Zeroizing::new(password);
        if password.len() > BYTES_MAX {
            return Err(Error::field(&problem::INVALID_BODY, "/password"));
        }
        let place = self.place().await?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(password.as_bytes());
            // Given back here, not when the client goes away: the core is busy until now.
            drop(place);
            done
        });
        done.await.map_err(|_panicked| Error::Internal("a password could not be hashed"))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        let waits = Waits::begin(&self.waiting)?;
        let place = places.acquire_owned().await;
        drop(waits);
        place.map_err(|_closed| Error::Internal("the hashing pool is closed"))
    }
}

/// A place in the queue, given back also when the client goes away.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn begin(waiting: &Arc<AtomicUsize>) -> Result<Self, Error> {
        let entered = waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < WAITING_MAX).then(|| count.saturating_add(1))
        });
        match entered {
            Ok(_) => Ok(Self(Arc::clone(waiting))),
            Err(_) => Err(Error::from(&problem::OVERLOADED).retry_after(2)),
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|_invalid| Error::Internal("argon2 does not take its settings"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn compare(password: &[u8], hash: &str) -> Result<Match, Error> {
    let broken = || Error::Internal("a kept password hash does not parse");
    let hash = PasswordHash::new(hash).map_err(|_unparsable| broken())?;
    match argon2()?.verify_password(password, &hash) {
        Ok(()) if is_old(&hash) => Ok(Match::YesButOld),
        Ok(()) => Ok(Match::Yes),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Match::No),
        Err(_) => Err(broken()),
    }
}

fn is_old(hash: &PasswordHash) -> bool {
    let Ok(params) = Params::try_from(hash) else { return true };
    hash.algorithm.as_str() != "argon2id"
        || params.m_cost() < MEMORY_KIB
        || params.t_cost() < PASSES
}

/// Words that begin most guesses, longer before shorter; a password must hold enough beside them.
const WORDS: &str = "\
    password passw0rd p@ssword p@ssw0rd пароль gfhjkm parol secret секрет welcome привет ghbdtn \
    privet letmein changeme default qwerty йцукен qazwsx 1q2w3e q1w2e3 zaq12wsx asdfgh фывапр \
    administrator admin администратор админ root user login guest test master monkey dragon \
    football baseball superman batman sunshine princess shadow iloveyou trustno1 люблю любовь \
    k.,jdm natasha наташа россия russia spartak спартак zenit doctor доктор врач feldsher \
    фельдшер nurse hospital больница поликлиника clinic клиника medical medicine медицина \
    patient пациент telemedicine телемедицина village деревня winter spring summer autumn зима \
    весна лето осень 2024 2025 2026 2027";
/// Neighbours on the keyboard.
const ROWS: &[&str] = &[
    "1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю.",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
];
/// What must be left beside the words that anybody would try.
const CHARS_LEFT_MIN: usize = 8;
const DISTINCT_MIN: usize = 6;
/// Context shorter than this is in too many good passwords.
const CONTEXT_CHARS_MIN: usize = 4;

/// Refuses a password that is short or easy to guess; `context` is what belongs to the person,
/// such as login and name. 422 `weak_password`.
pub fn check(password: &str, context: &[&str]) -> Result<(), Error> {
    if password.len() > BYTES_MAX {
        return Err(Error::field(&problem::INVALID_BODY, "/password"));
    }
    if is_weak(password, context) {
        return Err(Error::field(&problem::WEAK_PASSWORD, "/password"));
    }
    Ok(())
}

fn is_weak(password: &str, context: &[&str]) -> bool {
    let folded = password.to_lowercase();
    let chars: Vec<char> = folded.chars().collect();
    if password.chars().count() < CHARS_MIN || is_repetition(&chars) {
        return true;
    }
    let mut distinct = chars.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let predictable = chars.windows(2).filter(|pair| is_step(pair)).count();
    distinct.len() < DISTINCT_MIN
        || predictable.saturating_mul(2) > chars.len()
        || chars_left(folded, context) < CHARS_LEFT_MIN
}

/// Whether it is one short piece over and over.
fn is_repetition(chars: &[char]) -> bool {
    let half = chars.len() / 2;
    (1..=half).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b))
}

/// Whether the second of two characters follows from the first: the same, the next, a neighbour.
fn is_step(pair: &[char]) -> bool {
    let [a, b] = pair else { return false };
    let apart = u32::from(*a).abs_diff(u32::from(*b));
    let alphanumeric = a.is_alphanumeric() && b.is_alphanumeric();
    apart == 0
        || (apart == 1 && alphanumeric)
        || ROWS.iter().any(|row| {
            let at = |wanted: &char| row.chars().position(|c| c == *wanted);
            matches!((at(a), at(b)), (Some(a), Some(b)) if a.abs_diff(b) == 1)
        })
}

/// How many characters remain when every word that anybody would try is taken out.
fn chars_left(mut folded: String, context: &[&str]) -> usize {
    let words = context
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).chain([*text]))
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= CONTEXT_CHARS_MIN)
        .chain(WORDS.split_whitespace().map(str::to_owned));
    for word in words {
        folded = folded.replace(&word, "");
    }
    folded.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_anybody_would_try_is_weak() {
        let weak = [
            "",
            "short",
            "fourteen chars",
            "aaaaaaaaaaaaaaaaaaaa",
            "abababababababab",
            "passwordpassword",
            "password12345678",
            "123456789012345",
            "qwertyuiopasdfgh",
            "йцукенгшщзхъфыва",
            "abcdefghijklmnop",
            "1qaz2wsx3edc4rfv",
            "feldsher feldsher 1",
            "Администратор2026",
            "doctor-lebedeva-1",
            "Lebedeva Anna 2026",
            "xyzxyzxyzxyzxyzx",
            "пароль пароль 12",
            "!!!!!!!!!!!!!!!!",
        ];
        for password in weak {
            assert!(is_weak(password, &["lebedeva", "Anna Lebedeva"]), "{password}");
        }
    }

    #[test]
    fn a_long_phrase_is_strong_whatever_it_is_made_of() {
        let strong = [
            "correct horse battery 9",
            "тайга пахнет смолой утром",
            "mK7!vq2Zp0#wLs9",
            "три оленя у старой мельницы",
            "seventeen wet otters",
        ];
        for password in strong {
            assert!(!is_weak(password, &["lebedeva", "Anna Lebedeva", "admin"]), "{password}");
        }
        let long = "ж".repeat(BYTES_MAX);
        assert!(check(&long, &[]).unwrap_err().is(&problem::INVALID_BODY));
    }

    #[actix_web::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = Hasher::new();
        let hash = hasher.hash("correct horse battery 9".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{hash}");
        let verify = |password: &str, hash: Option<&str>| {
            hasher.verify(password.to_owned(), hash.map(str::to_owned))
        };
        assert_eq!(verify("correct horse battery 9", Some(&hash)).await.unwrap(), Match::Yes);
        assert_eq!(verify("correct horse battery 8", Some(&hash)).await.unwrap(), Match::No);
        assert_eq!(verify("correct horse battery 9", None).await.unwrap(), Match::No);
        assert!(verify(&"x".repeat(BYTES_MAX + 1), Some(&hash)).await.is_err());
        assert!(verify("correct horse battery 9", Some("plain")).await.is_err());
    }

    #[actix_web::test]
    async fn a_hash_of_weaker_settings_is_to_be_made_anew() {
        let weaker = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(19_456, 2, 1, None).unwrap(),
        );
        let old: PasswordHash = weaker.hash_password_with_salt(b"old", &[7; 16]).unwrap();
        let verdict = Hasher::new().verify("old".to_owned(), Some(old.to_string())).await;
        assert_eq!(verdict.unwrap(), Match::YesButOld);
    }

    #[actix_web::test]
    async fn a_rush_of_sign_ins_waits_in_a_bounded_queue() {
        let hasher = Hasher::new();
        let waiting: Vec<_> =
            (0..WAITING_MAX).map(|_| Waits::begin(&hasher.waiting).unwrap()).collect();
        let _both = Arc::clone(&hasher.places).acquire_many_owned(2).await.unwrap();
        let refused = hasher.hash("correct horse battery 9".to_owned()).await.unwrap_err();
        assert!(refused.is(&problem::OVERLOADED));
        drop(waiting);
        assert_eq!(hasher.waiting.load(Ordering::Acquire), 0);
    }
}
