//! What the operating system gives: files, clocks, entropy, the lock of a log directory.
//!
//! The cores take all of it as values or behind traits; here it is made of system calls. No network
//! (`host/net`), no tasks, and no signals: the runtime of the server hears those.

mod boot;
mod clock;
mod disk;
mod entropy;
mod limits;
mod lock;
mod volume;

pub use boot::boot_id;
pub use clock::Clock;
pub use disk::{OpenFile, OsDisk, OsFile, open_files};
pub use entropy::{random, seed, seeded_rng};
pub use limits::raise_open_files;
pub use lock::{DirLock, LockError};
pub use volume::{Volume, VolumeSync, share_volume, volume_id, volume_of};
