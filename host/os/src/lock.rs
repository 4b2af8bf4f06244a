//! The lock of a log directory: one process at a time.
//!
//! A POSIX record lock (`F_SETLK`) for writing over the whole of `.lock`, as Java takes it, so that
//! a Kafka broker and this one keep each other out. Such a lock belongs to the process: it goes
//! when the process ends, however that happens, and also when the process closes *any* handle of
//! the file. So nothing else here may open `.lock`; within the process a table keeps a directory
//! from being locked twice, which the system would allow.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use dohle_log::{IoError, disk::Operation};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
};

const FILE_NAME: &str = ".lock";

/// The directories that this process has locked.
static LOCKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A locked log directory; unlocked when dropped. The file stays, as after a crash.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    path: PathBuf,
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockError {
    /// Another process uses the directory, or this one does already.
    InUse {
        /// The lock's file.
        path: PathBuf,
    },
    /// The file cannot be made or locked at all.
    Io(IoError),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse { path } => write!(f, "another process holds the lock {}", path.display()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl DirLock {
    /// Locks a directory, which must exist. Does not wait.
    ///
    /// # Errors
    /// `InUse` if another has the lock.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(FILE_NAME);
        let failed = |error: &io::Error| LockError::Io(IoError::new(Operation::Open, &path, error));
        // The same directory under another name is the same.
        let dir = dir.canonicalize().map_err(|error| failed(&error))?;
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        if locked.contains(&dir) {
            return Err(LockError::InUse { path });
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| failed(&error))?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::ACCESS | Errno::AGAIN) => return Err(LockError::InUse { path }),
            Err(errno) => return Err(failed(&errno.into())),
        }
        locked.insert(dir.clone());
        Ok(Self { dir, path, _file: file })
    }

    /// Unlocks the directory and removes the file, as a clean stop does.
    ///
    /// # Errors
    /// The file stays; the directory is unlocked all the same.
    pub fn release(self) -> Result<(), IoError> {
        std::fs::remove_file(&self.path)
            .map_err(|error| IoError::new(Operation::Remove, &self.path, &error))
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        LOCKED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// Set for the copy of this test program that tries the lock from another process.
    const OTHER: &str = "DOHLE_TEST_LOCK_DIR";

    #[test]
    fn a_directory_is_locked_once_in_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        let again = DirLock::take(&dir.path().join(".")).unwrap_err();
        assert!(matches!(again, LockError::InUse { .. }));
        drop(lock);
        let lock = DirLock::take(dir.path()).unwrap();
        lock.release().unwrap();
        assert!(!dir.path().join(".lock").exists());
        assert!(matches!(DirLock::take(&dir.path().join("no")), Err(LockError::Io(_))));
    }

    #[test]
    fn another_process_is_kept_out() {
        if let Ok(dir) = env::var(OTHER) {
            let error = DirLock::take(Path::new(&dir)).unwrap_err();
            assert!(matches!(error, LockError::InUse { .. }), "{error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let other = || {
            let name = "lock::tests::another_process_is_kept_out";
            let mut command = Command::new(env::current_exe().unwrap());
            command.args([name, "--exact"]).env(OTHER, dir.path());
            command.output().unwrap().status.success()
        };
        assert!(!other(), "nobody has the lock, so the other process gets it");
        let _lock = DirLock::take(dir.path()).unwrap();
        assert!(other());
    }
}
