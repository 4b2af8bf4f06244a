//! The real disk: positioned reads and writes, so that a file has no cursor to share.
//!
//! A call that a signal interrupts is made again. Files are synced by `fdatasync`, which includes
//! the size; directories by `fsync`.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, IoSlice},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use dohle_base::Timestamp;

use dohle_log::{
    Disk, DiskFile, IoError,
    disk::{DirEntry, OpenMode, Operation},
};
use rustix::{
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    io::{Errno, pwritev, retry_on_intr},
};

/// The most parts of a write. Source: `IOV_MAX` of Linux.
const PARTS_MAX: usize = 1024;

/// What the system says where the time of a file cannot be set. Source: errno(3): `EPERM`, `ENOSYS`,
/// `EOPNOTSUPP`.
const NO_TIMES: [i32; 3] = [1, 38, 95];

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

/// An open file. Clones share it.
#[derive(Clone, Debug)]
pub struct OsFile {
    open: Arc<OpenFile>,
}

/// What the clones of an [`OsFile`] share: one of the process's file handles; `as_fd` is for `sendfile`.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    path: PathBuf,
}

/// How many there are. The system limits them for the process as a whole.
static OPEN_FILES: AtomicUsize = AtomicUsize::new(0);

/// How many files this process has open through [`OsDisk`].
pub fn open_files() -> usize {
    OPEN_FILES.load(Ordering::Relaxed)
}

impl OpenFile {
    fn new(file: File, path: PathBuf) -> Arc<Self> {
        OPEN_FILES.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { file, path })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        OPEN_FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl OsFile {
    /// The open file, to be sent from by whoever holds it.
    pub fn shared(&self) -> Arc<OpenFile> {
        Arc::clone(&self.open)
    }

    fn failed(&self, operation: Operation) -> impl FnOnce(io::Error) -> IoError {
        move |error| IoError::new(operation, &self.open.path, &error)
    }
}

fn failed(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> IoError {
    move |error| {
        // A file in the place of a directory: what was meant is not there.
        let error = match error.kind() {
            io::ErrorKind::NotADirectory => io::ErrorKind::NotFound.into(),
            _ => error,
        };
        IoError::new(operation, path, &error)
    }
}

impl Disk for OsDisk {
    type File = OsFile;

    fn open(&self, path: &Path, mode: OpenMode) -> Result<OsFile, IoError> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create(mode == OpenMode::Create);
        let file = options.truncate(false).open(path).map_err(failed(Operation::Open, path))?;
        Ok(OsFile { open: OpenFile::new(file, path.to_owned()) })
    }

    fn size_of(&self, path: &Path) -> Result<u64, IoError> {
        fs::metadata(path).map(|metadata| metadata.len()).map_err(failed(Operation::Size, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        fs::rename(from, to).map_err(failed(Operation::Rename, from))
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        fs::remove_file(path).map_err(failed(Operation::Remove, path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), IoError> {
        fs::remove_dir(path).map_err(failed(Operation::Remove, path))
    }

    fn seal(&self, path: &Path) -> Result<(), IoError> {
        let read_only = Permissions::from_mode(0o400);
        fs::set_permissions(path, read_only).map_err(failed(Operation::Seal, path))
    }

    fn create_dir(&self, path: &Path) -> Result<(), IoError> {
        fs::create_dir(path).map_err(failed(Operation::CreateDir, path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed(Operation::List, dir))? {
            let entry = entry.map_err(failed(Operation::List, dir))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let mut kind = entry.file_type().map_err(failed(Operation::List, dir))?;
            if kind.is_symlink() {
                // A partition may have been moved elsewhere by hand.
                kind = match fs::metadata(entry.path()) {
                    Ok(metadata) => metadata.file_type(),
                    Err(_) => kind,
                };
            }
            entries.push(DirEntry { name, is_dir: kind.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        let file = File::open(dir).map_err(failed(Operation::Open, dir))?;
        file.sync_all().map_err(failed(Operation::SyncDir, dir))
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        loop {
            match self.open.file.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(self.failed(Operation::Read)),
            }
        }
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        let buffers = buffers.get(..PARTS_MAX).unwrap_or(buffers);
        let written = retry_on_intr(|| pwritev(&self.open.file, buffers, position));
        written.map_err(|errno: Errno| self.failed(Operation::Write)(errno.into()))
    }

    fn size(&self) -> Result<u64, IoError> {
        let metadata = self.open.file.metadata().map_err(self.failed(Operation::Size))?;
        Ok(metadata.len())
    }

    fn modified(&self) -> Result<Option<Timestamp>, IoError> {
        let metadata = self.open.file.metadata().map_err(self.failed(Operation::Size))?;
        let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Ok(since.and_then(|since| i64::try_from(since.as_millis()).ok()).map(Timestamp))
    }

    fn set_modified(&self, at: Timestamp) -> Result<(), IoError> {
        let since = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
        let set = UNIX_EPOCH.checked_add(since).map(|at| self.open.file.set_modified(at));
        match set.unwrap_or(Ok(())) {
            // The file system does not let us, or knows no such thing.
            Err(error) if error.raw_os_error().is_some_and(|errno| NO_TIMES.contains(&errno)) => {
                Ok(())
            }
            set => set.map_err(self.failed(Operation::SetModified)),
        }
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        self.open.file.set_len(size).map_err(self.failed(Operation::Truncate))
    }

    fn reserve(&self, start: u64, end: u64) -> Result<(), IoError> {
        let (keep_size, size) = (FallocateFlags::KEEP_SIZE, end.saturating_sub(start));
        match retry_on_intr(|| fallocate(&self.open.file, keep_size, start, size)) {
            // The file system knows no such thing.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(self.failed(Operation::Reserve)(errno.into())),
        }
    }

    fn sync(&self) -> Result<(), IoError> {
        self.open.file.sync_data().map_err(self.failed(Operation::Sync))
    }

    fn drop_cache(&self) -> Result<(), IoError> {
        // All of it: a part would keep the pages at its ends.
        fadvise(&self.open.file, 0, None, Advice::DontNeed)
            .map_err(|errno| self.failed(Operation::DropCache)(errno.into()))
    }

    fn path(&self) -> &Path {
        &self.open.path
    }
}
