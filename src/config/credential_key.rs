//! Where the credential key comes from: a setting, or a file that is created for a new database.
use crate::db::sealing::{Sealer, create_key_file, read_key_file};
use crate::db::{Conn, DatabaseUrl, fleet};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};

/// The source of the key.
#[derive(Debug, Clone)]
pub(super) enum CredentialKey {
    Given(SecretString),
    File(PathBuf),
}

impl CredentialKey {
    /// The setting that names the source.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            Self::Given(_) => "credential_key",
            Self::File(_) => "credential_key_file",
        }
    }

    /// The file that holds the key.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Given(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The sealer for the credentials in this database. A missing key file is created, and a warning is logged, unless the
    /// database holds credentials, which no new key would decrypt.
    ///
    /// # Errors
    /// What is wrong, to be read after the name of the setting.
    pub(super) fn sealer(&self, database: &DatabaseUrl) -> Result<Sealer, String> {
        match self {
            Self::Given(key) => Sealer::from_base64(key.expose_secret()),
            Self::File(path) => Sealer::from_base64(&match read_key_file(path)? {
                Some(key) => key,
                None => new_key(path, database)?,
            }),
        }
    }
}

fn new_key(path: &Path, database: &DatabaseUrl) -> Result<String, String> {
    // Opening a database that does not exist would create it.
    if database.file().is_none_or(Path::exists) {
        let found = Conn::establish(database).and_then(|mut conn| fleet::has_credentials(&mut conn));
        let path = path.display();
        if found.map_err(|error| format!("the file {path} is missing, and the database does not answer: {error}"))? {
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
