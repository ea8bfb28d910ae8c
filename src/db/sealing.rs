//! Seals the stores' credentials and the secrets of the operator's apps: AES-256-GCM under a key that is not in the database,
//! with whose they are as associated data ([`Owner`]), so that a sealed text copied to another row does not open.
//!
//! A sealed text is: version (1 byte), key id (4), nonce (12), ciphertext and tag. While the key is being replaced, what
//! the previous key sealed still opens; [`Sealer::reseal_for`] seals it under the present one.
use crate::domain::{SellerId, StoreId, WebhookId};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Why sealing or opening failed. Reveals nothing about the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed under another key.
    #[error("the credentials were sealed under another key; was credential_key changed?")]
    OtherKey,
    /// Altered, truncated or copied from another owner.
    #[error("the sealed credentials do not open")]
    Damaged,
    /// The machine provides no random numbers.
    #[error("no random numbers are available")]
    NoRandomness,
}

/// Whose secrets are sealed. A sealed text opens for its own owner only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A seller's store.
    Store(SellerId, StoreId),
    /// The operator's app on this platform.
    App(&'a str),
    /// An authorization under way, by the digest of its state.
    Authorization(&'a [u8; 32]),
    /// A seller's webhook.
    Webhook(SellerId, WebhookId),
}

impl Owner<'_> {
    /// No two owners have the same: a store's has 32 bytes, and those of the others begin with a word and a line break.
    fn associated(self) -> Vec<u8> {
        match self {
            Self::Store(seller, store) => [seller.bytes(), store.bytes()].concat(),
            Self::App(platform) => [b"the operator's app on the platform\n", platform.as_bytes()].concat(),
            Self::Authorization(state) => [&b"authorization under way\n"[..], state].concat(),
            Self::Webhook(seller, webhook) => [b"a webhook of a seller\n".to_vec(), seller.bytes(), webhook.bytes()].concat(),
        }
    }
}

/// Seals and opens credentials. Cheap to clone; its `Debug` output contains no key.
#[derive(Clone)]
pub struct Sealer {
    present: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    cipher: Aes256Gcm,
    id: [u8; 4],
}

impl Key {
    fn from_base64(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| "must be 32 bytes in base64".to_owned())?;
        if bytes.len() != KEY_BYTES {
            return Err(format!("must be {KEY_BYTES} bytes in base64, these are {}", bytes.len()));
        }
        let cipher = Aes256Gcm::new_from_slice(&bytes).map_err(|_| "must be 32 bytes in base64".to_owned())?;
        let digest: [u8; 32] = Sha256::new().chain_update(b"stocktide credential key id").chain_update(&bytes).finalize().into();
        let [a, b, c, d, ..] = digest;
        Ok(Self { cipher, id: [a, b, c, d] })
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// Uses a key of 32 bytes in base64.
    ///
    /// # Errors
    /// What is wrong with it, without repeating the key.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        Ok(Self { present: Key::from_base64(text)?, previous: None })
    }

    /// Also opens what this earlier key sealed.
    ///
    /// # Errors
    /// Those of [`Self::from_base64`].
    pub fn and_previous(self, text: &str) -> Result<Self, String> {
        Ok(Self { previous: Some(Key::from_base64(text)?), ..self })
    }

    /// Whether one of its keys sealed this.
    pub fn has_key_of(&self, sealed: &[u8]) -> bool {
        std::iter::once(&self.present).chain(&self.previous).any(|key| sealed.get(1..1 + key.id.len()) == Some(&key.id[..]))
    }

    /// Seals under the present key what the previous one sealed; `None` if it is already sealed under the present key.
    ///
    /// # Errors
    /// Those of [`Self::open_for`] and [`Self::seal_for`].
    pub fn reseal_for(&self, owner: Owner<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if sealed.get(1..1 + self.present.id.len()) == Some(&self.present.id[..]) {
            return Ok(None);
        }
        self.seal_for(owner, &self.open_for(owner, sealed)?).map(Some)
    }

    /// Seals `plain` for one store.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn seal(&self, seller: SellerId, store: StoreId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_for(Owner::Store(seller, store), plain)
    }

    /// Seals `plain` for its owner.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn seal_for(&self, owner: Owner<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let aad = owner.associated();
        let Key { cipher, id } = &self.present;
        let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &aad }).map_err(|_| SealError::Damaged)?;
        Ok([&[VERSION][..], id, &nonce, &sealed].concat())
    }

    /// Opens what [`Self::seal`] returned for the same store.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] or [`SealError::Damaged`].
    pub fn open(&self, seller: SellerId, store: StoreId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.open_for(Owner::Store(seller, store), sealed)
    }

    /// Opens what [`Self::seal_for`] returned for the same owner.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] or [`SealError::Damaged`].
    pub fn open_for(&self, owner: Owner<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Damaged)?;
        let (key_id, rest) = rest.split_at_checked(self.present.id.len()).ok_or(SealError::Damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
        if *version != VERSION {
            return Err(SealError::Damaged);
        }
        let mut keys = std::iter::once(&self.present).chain(&self.previous);
        let key = keys.find(|key| key.id == key_id).ok_or(SealError::OtherKey)?;
        let aad = owner.associated();
        key.cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &aad }).map_err(|_| SealError::Damaged)
    }
}

/// The key in this file; `None` if there is no such file.
///
/// # Errors
/// Why it cannot be read, for people.
pub fn read_key_file(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Creates the file, readable by its owner only, with a new key, and returns the key.
///
/// # Errors
/// What went wrong, for people.
pub fn create_key_file(path: &Path) -> Result<String, String> {
    let mut key = [0u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|e| format!("no random numbers are available: {e}"))?;
    let text = STANDARD.encode(key);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        // Another process created it first: its key is used.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return read_key_file(path)?.ok_or_else(|| unusable(path, &error));
        }
        Err(error) => return Err(unusable(path, &error)),
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| unusable(path, &error))?;
    Ok(text)
}

fn unusable(path: &Path, error: &std::io::Error) -> String {
    format!("the credential key file {} cannot be used: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn sealed_text_opens_only_for_its_own_store_and_under_its_own_key() {
        let ids = |n| (SellerId(Uuid::from_u128(n)), StoreId(Uuid::from_u128(n + 1)));
        let sealer = Sealer::from_base64(&STANDARD.encode([7u8; 32])).unwrap();
        let other = Sealer::from_base64(&STANDARD.encode([8u8; 32])).unwrap();
        let (seller, store) = ids(1);
        let sealed = sealer.seal(seller, store, b"secret").unwrap();
        assert_ne!(sealed, sealer.seal(seller, store, b"secret").unwrap());
        assert_eq!(sealer.open(seller, store, &sealed).unwrap(), b"secret");
        assert_eq!(sealer.open(ids(5).0, ids(5).1, &sealed), Err(SealError::Damaged));
        assert_eq!(other.open(seller, store, &sealed), Err(SealError::OtherKey));
        assert_eq!(sealer.open(seller, store, &sealed[..20]), Err(SealError::Damaged));
        assert_eq!(sealer.open(seller, store, b""), Err(SealError::Damaged));
        assert!(Sealer::from_base64("AAAA").is_err());
    }

    #[test]
    fn while_the_key_is_replaced_old_seals_open_and_can_be_renewed_under_the_present_key() {
        let (seller, store) = (SellerId(Uuid::from_u128(1)), StoreId(Uuid::from_u128(2)));
        let [old_key, new_key] = [7u8, 8].map(|byte| STANDARD.encode([byte; 32]));
        let sealed = Sealer::from_base64(&old_key).unwrap().seal(seller, store, b"secret").unwrap();
        let both = Sealer::from_base64(&new_key).unwrap().and_previous(&old_key).unwrap();
        assert_eq!(both.open(seller, store, &sealed).unwrap(), b"secret");
        let owner = Owner::Store(seller, store);
        let resealed = both.reseal_for(owner, &sealed).unwrap().unwrap();
        assert_eq!(both.reseal_for(owner, &resealed).unwrap(), None);
        assert_eq!(Sealer::from_base64(&new_key).unwrap().open(seller, store, &resealed).unwrap(), b"secret");
        assert_eq!(both.reseal_for(Owner::Store(seller, StoreId(Uuid::from_u128(3))), &sealed), Err(SealError::Damaged));
        let app = both.seal_for(Owner::App("shopify"), b"secret").unwrap();
        assert_eq!(both.open_for(Owner::App("shopify"), &app).unwrap(), b"secret");
        for other in [Owner::App("ebay"), owner, Owner::Authorization(&[0; 32])] {
            assert_eq!(both.open_for(other, &app), Err(SealError::Damaged), "{other:?}");
        }
    }

    #[test]
    fn a_key_file_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert_eq!(read_key_file(&path), Ok(None));
        let key = create_key_file(&path).unwrap();
        assert!(Sealer::from_base64(&key).is_ok());
        assert_eq!((read_key_file(&path), create_key_file(&path)), (Ok(Some(key.clone())), Ok(key)));
    }
}
