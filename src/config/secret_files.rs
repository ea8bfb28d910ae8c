//! The credential key and the files that hold secrets.
use super::{Config, ConfigError, CredentialKey, wrong};
use crate::db::sealing::{Sealer, create_key_file, read_key_file};
use crate::db::{self, fleet};
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};

impl Config {
    /// The sealer for stores' credentials. A missing key file is created, and a warning is logged, unless the database holds
    /// credentials, which no new key would decrypt.
    ///
    /// # Errors
    /// If the key file cannot be read or created, does not contain a key, or has been lost.
    pub fn sealer(&self) -> Result<Sealer, ConfigError> {
        let sealer = self.current_sealer()?;
        match &self.credential_key_previous {
            Some(key) => sealer.and_previous(key.expose_secret()).map_err(|e| wrong("credential_key_previous", e)),
            None => Ok(sealer),
        }
    }

    fn current_sealer(&self) -> Result<Sealer, ConfigError> {
        match &self.credential_key {
            CredentialKey::Given(key) => Sealer::from_base64(key.expose_secret()).map_err(|e| wrong("credential_key", e)),
            CredentialKey::File(path) => {
                let unusable = |error| wrong("credential_key_file", error);
                let key = match read_key_file(path).map_err(unusable)? {
                    Some(key) => key,
                    None => self.new_key(path).map_err(unusable)?,
                };
                Sealer::from_base64(&key).map_err(unusable)
            }
        }
    }

    fn new_key(&self, path: &Path) -> Result<String, String> {
        // Opening a database that does not exist would create it.
        if self.db.url.file().is_none_or(Path::exists) {
            let found = db::Conn::establish(&self.db.url).and_then(|mut conn| fleet::has_credentials(&mut conn));
            if found.map_err(|error| format!("the file {} is missing, and the database does not answer: {error}", path.display()))? {
                let path = path.display();
                return Err(format!(
                    "the file {path} is missing, but the database has credentials that only its key decrypts: put the file back. If it is lost for good, \
                     create a new one (openssl rand -base64 32 > {path}; chmod 600 {path}); the sellers then have to enter their credentials again"
                ));
            }
        }
        let key = create_key_file(path)?;
        tracing::warn!(path = %path.display(), "created a new credential key; keep a copy of this file, separate from backups of the database: without it, the stores' credentials cannot be decrypted");
        Ok(key)
    }

    /// The files with secrets that others than their owner may read or write, each with its permissions: the database, the
    /// key file, and a settings file with a secret in it.
    pub fn files_open_to_others(&self) -> Vec<(PathBuf, String)> {
        let key = match &self.credential_key {
            CredentialKey::File(path) => Some(path.clone()),
            CredentialKey::Given(_) => None,
        };
        let files = self.db.url.file().map(Path::to_owned).into_iter().chain(key).chain(self.file_with_secrets.clone());
        files.filter_map(|file| db::open_to_others(&file).map(|mode| (file, mode))).collect()
    }
}
