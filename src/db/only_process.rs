//! Keeps a second service off an SQLite database. SQLite itself would let both write, but each would send what it finds due.
//!
//! The lock is on a file of its own beside the database, since closing any other descriptor of the database would end SQLite's own
//! locks. The system ends it with the process, however that ends.
use super::DatabaseUrl;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;

/// The right to be the service of an SQLite database, until this is dropped.
#[derive(Debug)]
pub struct OnlyProcess {
    _locked: Option<File>,
}

impl OnlyProcess {
    /// For this database; `None` if another process has the right. On PostgreSQL, where leases decide who does what, everybody
    /// gets it. So does everybody where files cannot be locked, or not be created: then a service starts without.
    pub fn of(url: &DatabaseUrl) -> Option<Self> {
        let Some(path) = url.file() else { return Some(Self { _locked: None }) };
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot make sure that no other service uses the same database");
                return Some(Self { _locked: None });
            }
        };
        match file.try_lock() {
            Ok(()) => Some(Self { _locked: Some(file) }),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, path = %path.display(), "cannot make sure that no other service uses the same database");
                Some(Self { _locked: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_gets_the_right_to_a_file_and_the_next_one_after_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}", dir.path().join("a.db").display())).unwrap();
        let first = OnlyProcess::of(&url);
        assert!(first.is_some() && OnlyProcess::of(&url).is_none());
        drop(first);
        assert!(OnlyProcess::of(&url).is_some());
    }

    #[test]
    fn on_a_server_and_in_a_folder_that_is_not_there_nobody_is_refused() {
        for url in ["postgres://127.0.0.1/stocktide", "sqlite:///no/such/folder/a.db"] {
            let url = DatabaseUrl::parse(url).unwrap();
            assert!([OnlyProcess::of(&url), OnlyProcess::of(&url)].iter().all(Option::is_some));
        }
    }
}
