//! Sealing: what must not be readable in a stolen file or backup.
//!
//! AES-256-GCM with a random nonce in front of the ciphertext. The associated data names the
//! place (table, column, row), so a sealed value moved to another row does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};
use zeroize::Zeroizing;

/// A sealed value did not open: wrong key, wrong place, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open")]
pub struct Unsealed;

/// Length of every key in bytes.
pub const KEY_BYTES: usize = 32;

/// The master key of this installation and what is derived from it.
#[derive(Clone)]
pub struct Seal {
    data: Key,
    index: hmac::Key,
}

/// One AES-256-GCM key.
#[derive(Clone)]
pub struct Key(std::sync::Arc<LessSafeKey>);

impl Key {
    /// A key from its 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, Unsealed> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_bad_length| Unsealed)?;
        Ok(Self(std::sync::Arc::new(LessSafeKey::new(key))))
    }

    /// Seals `plain` for `place`, e.g. `notes|body|<id>|<version>`.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_no_entropy| Unsealed)?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .map_err(|_failed| Unsealed)?;
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    /// Opens what was sealed for the same place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_bad_length| Unsealed)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut buffer)
            .map_err(|_forged| Unsealed)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl Seal {
    /// Derives the working keys from the 32 bytes of the master key.
    pub fn new(master: &[u8]) -> Result<Self, Unsealed> {
        if master.len() != KEY_BYTES {
            return Err(Unsealed);
        }
        let master = hmac::Key::new(hmac::HMAC_SHA256, master);
        let data = hmac::sign(&master, b"feldsher seal v1");
        let index = hmac::sign(&master, b"feldsher index v1");
        Ok(Self {
            data: Key::new(data.as_ref())?,
            index: hmac::Key::new(hmac::HMAC_SHA256, index.as_ref()),
        })
    }

    /// Seals a value with the installation's key.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.data.seal(place, plain)
    }

    /// Opens a value sealed with the installation's key.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
        self.data.open(place, sealed)
    }

    /// As [`Seal::open`], for a text that may not be there.
    pub fn open_text(
        &self,
        place: &str,
        sealed: Option<&[u8]>,
    ) -> Result<Option<String>, Unsealed> {
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.open(place, sealed)?;
        // Only texts are sealed as texts: what is none was not sealed here.
        std::str::from_utf8(&plain).map(|text| Some(text.to_owned())).map_err(|_bytes| Unsealed)
    }

    /// A keyed hash for look-ups of what is stored sealed, e.g. a phone number.
    pub fn index(&self, kind: &str, value: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

/// SHA-256 of bytes that are already unguessable (tokens) or public.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Bytes as people and other programs read them: two small hexadecimal digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], Unsealed> {
    let mut bytes = [0_u8; N];
    rand::fill(&mut bytes).map_err(|_no_entropy| Unsealed)?;
    Ok(bytes)
}

impl From<Unsealed> for crate::base::error::Error {
    fn from(_: Unsealed) -> Self {
        Self::Internal("a sealed value does not open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.seal("notes|body|1", b"rash").unwrap();
        assert_eq!(seal.open("notes|body|1", &sealed).unwrap().as_slice(), b"rash");
        assert!(seal.open("notes|body|2", &sealed).is_err());
        assert!(Seal::new(&[8; 32]).unwrap().open("notes|body|1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert!(seal.open("notes|body|1", &forged).is_err());
        }
        assert!(seal.open("notes|body|1", b"short").is_err());
    }
}
