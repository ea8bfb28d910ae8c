//! The files of an SQLite database: created for their owner only, and watched while the service runs.
//!
//! A database that is moved, deleted or replaced under a running service is the worst kind of silent loss: the open
//! connections go on writing to files that no one will ever open again, and every commit succeeds. So it is noted which files
//! they have opened, and compared with what the paths lead to before each commit and before a connection is opened or used.
//! SQLite gives the log and its index the permissions of the database.
use super::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What is said once the files are not those that were opened.
pub const REPLACED: &str = "the database file was removed or replaced while the service was running; put it back, or restart the service";

/// Device and inode.
type Identity = (u64, u64);

/// What the path leads to at the moment; `None` if to nothing. Other systems than Unix have no inodes: there, only a missing
/// file is noticed.
fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(&found), std::os::unix::fs::MetadataExt::ino(&found)));
    #[cfg(not(unix))]
    return found.is_file().then_some((0, 0));
}

/// The database that a pool's connections belong to: the file that was there when the pool was made, otherwise the one that
/// its first connection opened. On PostgreSQL there is no file to compare.
#[derive(Debug, Default)]
pub(super) struct SameDatabase {
    file: Option<PathBuf>,
    first: OnceLock<Identity>,
    open: Mutex<Open>,
}

/// The open connections, and the write-ahead log and its index that they share. SQLite creates these with the first
/// connection and deletes them with the last one.
#[derive(Debug, Default)]
struct Open {
    connections: usize,
    beside: [Option<Identity>; 2],
}

impl SameDatabase {
    /// The database in this file, if there is one.
    pub(super) fn of(file: Option<&Path>) -> Self {
        let first = OnceLock::new();
        if let Some(found) = file.and_then(identity) {
            first.set(found).ok();
        }
        Self { file: file.map(Path::to_owned), first, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the paths still lead to its files.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with [`REPLACED`].
    pub(super) fn check(&self) -> Result<()> {
        let (Some(first), Some(file)) = (self.first.get(), &self.file) else { return Ok(()) };
        if identity(file) != Some(*first) {
            return Err(replaced());
        }
        let mut open = self.open();
        if open.connections > 0 {
            for (ending, known) in ["-wal", "-shm"].into_iter().zip(&mut open.beside) {
                let found = identity(&beside(file, ending));
                if known.is_some() && found != *known {
                    return Err(replaced());
                }
                *known = found;
            }
        }
        Ok(())
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The files of one connection, as long as it is open. Has to be dropped before the connection is closed, which may delete
/// files.
#[derive(Debug)]
pub(super) struct OpenFiles(Arc<SameDatabase>);

impl OpenFiles {
    /// Opens the database with `open`, which has to run a statement. A new file can be read by its owner only.
    ///
    /// # Errors
    /// Those of `open`; [`Error::Unavailable`] if the file cannot be created, or is not the one that it was before.
    pub(super) fn of<T>(same: &Arc<SameDatabase>, open: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        // First, so that what was removed is not replaced by an empty database.
        same.check()?;
        let found = match &same.file {
            None => None,
            Some(file) => {
                create_for_owner(file)?;
                identity(file)
            }
        };
        let opened = open()?;
        if let Some(found) = found {
            same.first.set(found).ok();
        }
        let files = Self(Arc::clone(same));
        same.open().connections += 1;
        same.check()?;
        Ok((opened, files))
    }

    /// See [`SameDatabase::check`].
    pub(super) fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        let mut open = self.0.open();
        open.connections = open.connections.saturating_sub(1);
        if open.connections == 0 {
            open.beside = Default::default();
        }
    }
}

fn replaced() -> Error {
    Error::Unavailable(REPLACED.to_owned())
}

/// Creates an empty file, which SQLite takes for a new database, readable by its owner only.
fn create_for_owner(file: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::Unavailable(format!("{}: {error}", file.display()))),
        _ => Ok(()),
    }
}

/// The permissions of a file with secrets, if they let anybody but its owner in; such as `644`.
pub fn open_to_others(path: &Path) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = std::fs::metadata("/proc/self").map(|process| process.uid()).ok();
        let mode = found.mode() & 0o777;
        is_open(mode, found.uid(), own).then(|| format!("{mode:o}"))
    }
    #[cfg(not(unix))]
    (!found.permissions().readonly()).then(|| "writable".to_owned())
}

/// Whether others than its owner may open a file. A file of root that only a group may read is how Kubernetes hands a secret
/// to a service that runs as another user.
#[cfg(unix)]
fn is_open(mode: u32, owner: u32, own: Option<u32>) -> bool {
    let is_handed_over = owner == 0 && own.is_some_and(|own| own != 0) && mode & 0o037 == 0;
    mode & 0o077 != 0 && !is_handed_over
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_root_hands_to_the_group_of_the_service_is_not_open_to_others() {
        for (mode, owner, own, open) in [
            (0o600, 1000, Some(1000), false),
            (0o640, 1000, Some(1000), true),
            (0o440, 0, Some(1000), false),
            (0o444, 0, Some(1000), true),
            (0o460, 0, Some(1000), true),
            (0o440, 0, Some(0), true),
            (0o440, 0, None, true),
        ] {
            assert_eq!(is_open(mode, owner, own), open, "{mode:o}, {owner}, {own:?}");
        }
    }
}
