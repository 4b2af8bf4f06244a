//! The seam to the storage: bytes and effects cross here, nothing of what a log is.
//!
//! Calls are synchronous and small, so that a simulated disk can count them, fail them and lose
//! what was not synced. Two implementations: `sim::SimDisk` here and `OsDisk` in `host/os`; both
//! pass `conformance`.
//!
//! What survives a power cut:
//! - the bytes of a file up to its last `sync`, and any subset of the writes since;
//! - the names in a directory up to its last `sync_dir`, and any of the changes since.
//!
//! Deliberately not here: memory maps, locks, clocks, permissions, asynchronous calls.

use std::{
    io::{ErrorKind, IoSlice},
    path::{Path, PathBuf},
};

use dohle_base::Timestamp;

/// Why a disk call failed: what was tried, on which path, and what the system said.
///
/// After a failed `sync` the log directory is dead: what was written may be gone although a later
/// `sync` succeeds and a read still finds it, in the system's cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {}: {kind}{}", path.display(), errno.map_or(String::new(), |e| format!(" (errno {e})")))]
pub struct IoError {
    /// What was tried.
    pub operation: Operation,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said, in portable terms.
    pub kind: ErrorKind,
    /// What the system said, in its own number; none if the fault was made up here.
    pub errno: Option<i32>,
}

/// What was tried when a disk call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening or creating a file.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Asking for the size.
    Size,
    /// Setting the size.
    Truncate,
    /// Setting room aside.
    Reserve,
    /// Making a file's bytes durable.
    Sync,
    /// Letting go of what is cached of a file.
    DropCache,
    /// Making a directory's names durable.
    SyncDir,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Listing a directory.
    List,
    /// Making a directory.
    CreateDir,
    /// Making a file read-only.
    Seal,
    /// Setting the time of the last change.
    SetModified,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Size => "size of",
            Self::Truncate => "truncate",
            Self::Reserve => "reserve room in",
            Self::Sync => "sync",
            Self::DropCache => "drop the cache of",
            Self::SyncDir => "sync directory",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
            Self::CreateDir => "create directory",
            Self::Seal => "make read-only",
            Self::SetModified => "set the time of",
        })
    }
}

impl IoError {
    /// An error of the system, told of `path`.
    pub fn new(operation: Operation, path: &Path, source: &std::io::Error) -> Self {
        let (kind, errno) = (source.kind(), source.raw_os_error());
        Self { operation, path: path.to_owned(), kind, errno }
    }

    /// An error that no system call reported.
    pub fn of_kind(operation: Operation, path: &Path, kind: ErrorKind) -> Self {
        Self { operation, path: path.to_owned(), kind, errno: None }
    }

    /// Whether there is no such file or directory.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether a sync failed: what it should have made durable may be lost, whatever the reason.
    pub fn is_of_sync(&self) -> bool {
        matches!(self.operation, Operation::Sync | Operation::SyncDir)
    }

    /// Whether the volume or its quota is full, or the file as large as the process may make it: space
    /// may come back, the data there is sound. Never after a failed sync: a file system that finds out so
    /// late that there is no room may have dropped the bytes.
    pub fn is_full(&self) -> bool {
        match self.kind {
            _ if self.is_of_sync() => false,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => true,
            // Said by the system, not by a limit of ours on what is read.
            ErrorKind::FileTooLarge => self.errno.is_some(),
            _ => false,
        }
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// For reading and writing; made if it is missing, kept as it is if not.
    Create,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory.
    pub name: String,
    /// Whether it names a directory.
    pub is_dir: bool,
}

/// A volume to keep logs on.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` if it is missing and `mode` does not make it.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Self::File, IoError>;

    /// Bytes in a file that need not be open for it.
    ///
    /// # Errors
    /// `NotFound` if it is missing.
    fn size_of(&self, path: &Path) -> Result<u64, IoError> {
        self.open(path, OpenMode::Read)?.size()
    }

    /// Gives a file or directory another name, in one step. A file of that name is replaced.
    ///
    /// # Errors
    /// `NotFound` if there is no `from`.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError>;

    /// Removes a file's name. Handles that are open stay good.
    ///
    /// # Errors
    /// `NotFound` if it is missing.
    fn remove(&self, path: &Path) -> Result<(), IoError>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound` if it is missing, `DirectoryNotEmpty` if it is not empty.
    fn remove_dir(&self, path: &Path) -> Result<(), IoError>;

    /// Makes a directory in one that exists.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one.
    fn create_dir(&self, path: &Path) -> Result<(), IoError>;

    /// The names in a directory, in ascending order. Names that are not UTF-8 are left out: nothing
    /// that a log needs is named so.
    ///
    /// # Errors
    /// `NotFound` if the directory is missing.
    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// After any the directory is dead.
    fn sync_dir(&self, dir: &Path) -> Result<(), IoError>;

    /// Makes a file that is complete read-only, for its owner alone. A disk without permissions has
    /// nothing to do.
    ///
    /// # Errors
    /// What the system says.
    fn seal(&self, path: &Path) -> Result<(), IoError> {
        let _ = path;
        Ok(())
    }
}

/// An open file. Clones share it; it closes with the last one.
pub trait DiskFile: Clone + Send + Sync + 'static {
    /// Reads into `buffer` from `position` on; fewer bytes than it holds only at the end of the
    /// file or when interrupted, none only at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError>;

    /// Writes some of `buffers`, one behind another, from `position` on, and says how many bytes:
    /// at least one if any were given. A gap before `position` reads as zeros.
    ///
    /// # Errors
    /// What the system says; `WriteZero` never.
    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> Result<u64, IoError>;

    /// When its bytes were last changed; `None` if the disk does not tell.
    ///
    /// # Errors
    /// What the system says.
    fn modified(&self) -> Result<Option<Timestamp>, IoError> {
        Ok(None)
    }

    /// Lets the file say so of its last change: its bytes are those of another one. A disk without such
    /// times has nothing to do.
    ///
    /// # Errors
    /// What the system says.
    fn set_modified(&self, at: Timestamp) -> Result<(), IoError> {
        let _ = at;
        Ok(())
    }

    /// Cuts the file to `size` bytes, or fills it up with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, size: u64) -> Result<(), IoError>;

    /// Sets aside room for bytes from `start` to `end`, which may lie behind the end of the file:
    /// neither its size nor its bytes change. `truncate` to its size gives back what was not used.
    /// A disk that cannot do so has nothing to do.
    ///
    /// # Errors
    /// What the system says; some room may have been set aside.
    fn reserve(&self, start: u64, end: u64) -> Result<(), IoError> {
        let _ = (start, end);
        Ok(())
    }

    /// Makes bytes and size durable.
    ///
    /// # Errors
    /// After any the directory is dead.
    fn sync(&self) -> Result<(), IoError>;

    /// Lets go of what the system caches of the file: what is read next comes from the disk, but for
    /// bytes that are yet to be written there. A disk without a cache has nothing to do.
    ///
    /// # Errors
    /// What the system says.
    fn drop_cache(&self) -> Result<(), IoError> {
        Ok(())
    }

    /// The path under which the file was opened.
    fn path(&self) -> &Path;

    /// Fills as much of `buffer` as the file has from `position` on and says how much.
    ///
    /// # Errors
    /// As `read_at`.
    fn read_up_to(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, position + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Fills `buffer` from `position` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before, else as `read_at`.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<(), IoError> {
        if self.read_up_to(buffer, position)? == buffer.len() {
            return Ok(());
        }
        Err(IoError::of_kind(Operation::Read, self.path(), ErrorKind::UnexpectedEof))
    }

    /// Writes all of `buffers` from `position` on. One call unless the system writes less than it was
    /// given.
    ///
    /// # Errors
    /// As `write_at`; some bytes may have been written.
    fn write_all_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<(), IoError> {
        let size = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        let mut written = if size == 0 { 0 } else { self.write_at(buffers, position)? };
        let (mut copy, mut done) = (Vec::new(), 0);
        while written < size {
            if written == done {
                return Err(IoError::of_kind(Operation::Write, self.path(), ErrorKind::WriteZero));
            }
            done = written;
            copy.clear();
            copy.extend_from_slice(buffers);
            let mut rest = &mut copy[..];
            IoSlice::advance_slices(&mut rest, done);
            written += self.write_at(rest, position + done as u64)?;
        }
        Ok(())
    }
}

/// The whole of a small file; `None` if it is missing.
///
/// # Errors
/// `FileTooLarge` if it is larger than `size_max`: a damaged side file must not fill the memory.
pub fn read_file<D: Disk>(
    disk: &D,
    path: &Path,
    size_max: usize,
) -> Result<Option<Vec<u8>>, IoError> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let too_large = || IoError::of_kind(Operation::Read, path, ErrorKind::FileTooLarge);
    let size = usize::try_from(file.size()?).ok().filter(|&size| size <= size_max);
    let mut bytes = vec![0; size.ok_or_else(too_large)?];
    let read = file.read_up_to(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// From now on what is read of a file is what the disk has of it, as after a start of the machine:
/// what a failed sync has left in the system's cache alone is gone.
///
/// # Errors
/// What had to be written first could not be, or the system does not say what the disk has.
pub(crate) fn turn_to_disk<F: DiskFile>(file: &F) -> Result<(), IoError> {
    // The cache keeps what is to be written.
    file.sync()?;
    file.drop_cache()
}

/// Puts `bytes` in the place of a file, durably and in one step: after a power cut there is the old
/// file or the new one, whole.
///
/// # Errors
/// The old file is still there.
pub fn replace_file<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<(), IoError> {
    write_beside(disk, path, bytes)?.sync()?;
    disk.rename(&beside(path), path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}

/// Writes what is to take the place of a file beside it, not synced.
pub(crate) fn write_beside<D: Disk>(
    disk: &D,
    path: &Path,
    bytes: &[u8],
) -> Result<D::File, IoError> {
    let file = disk.open(&beside(path), OpenMode::Create)?;
    file.truncate(0)?;
    file.write_all_at(&[IoSlice::new(bytes)], 0)?;
    Ok(file)
}

/// Where what is to take the place of a file is written.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    PathBuf::from(temporary)
}

/// Removes a file; that it is gone already is as good.
///
/// # Errors
/// All but `NotFound`.
pub fn remove_if_there<D: Disk>(disk: &D, path: &Path) -> Result<(), IoError> {
    match disk.remove(path) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Removes a directory and all that is in it.
///
/// # Errors
/// What is left stays; to try again is safe.
pub fn remove_tree<D: Disk>(disk: &D, dir: &Path) -> Result<(), IoError> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            remove_tree(disk, &path)?;
        } else {
            remove_if_there(disk, &path)?;
        }
    }
    disk.remove_dir(dir)
}
