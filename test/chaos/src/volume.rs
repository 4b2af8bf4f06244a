//! A file system in a file that loses its power: ext4 on a loop device.
//!
//! `cut` is the kernel's own: `EXT4_IOC_SHUTDOWN` without a flush of the journal stops the file system
//! where it is. What was not synced is gone with the page cache when it is mounted the next time,
//! except for what the system had written back by itself; `write_back_some` lets it do so.

use std::{
    fs::File,
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dohle_base::Rng;
use rustix::{
    fs::{Advice, fadvise},
    ioctl::{Setter, ioctl, opcode},
};

/// `_IOR('X', 125, u32)`.
const EXT4_IOC_SHUTDOWN: u32 = opcode::read::<u32>(b'X', 125);
/// All that was written gets to the device before.
const FLUSH: u32 = 0;
/// Nothing more gets to the device, the journal included.
const NO_LOG_FLUSH: u32 = 2;

/// How late a system may be.
const PATIENCE: Duration = Duration::from_secs(30);

/// An ext4 file system on a file.
pub(crate) struct Volume {
    image: PathBuf,
    mount: PathBuf,
    is_mounted: bool,
}

/// What this machine lacks, if it does.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root to mount a file system of its own".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("needs loop devices, /dev/loop-control is missing".to_owned());
    }
    let tools = ["mkfs.ext4", "mount", "umount", "unshare", "setpriv"];
    let missing = tools.iter().find(|tool| Command::new(tool).arg("-V").output().is_err());
    missing.map(|tool| format!("needs the command {tool}"))
}

impl Volume {
    /// Makes one of so many bytes in `dir`, and mounts it.
    pub(crate) fn make(dir: &Path, name: &str, size: u64) -> Result<Self> {
        let image = dir.join(format!("{name}.ext4"));
        File::create(&image).and_then(|file| file.set_len(size)).context("the image")?;
        let mount = dir.join(name);
        std::fs::create_dir_all(&mount)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let mut volume = Self { image, mount, is_mounted: false };
        volume.mount("data=ordered")?;
        Ok(volume)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    pub(crate) fn mount(&mut self, options: &str) -> Result<()> {
        let options = format!("loop,{options}");
        insist(Command::new("mount").args(["-o", &options]).arg(&self.image).arg(&self.mount))?;
        self.is_mounted = true;
        Ok(())
    }

    /// What had files open there must have ended.
    pub(crate) fn unmount(&mut self) -> Result<()> {
        insist(Command::new("umount").arg(&self.mount))?;
        self.is_mounted = false;
        Ok(())
    }

    /// Stops the file system: nothing gets to the image any more.
    pub(crate) fn cut(&self) -> Result<()> {
        self.shut_down(NO_LOG_FLUSH)
    }

    /// The same, but what was written before is on the disk, synced or not.
    pub(crate) fn cut_flushed(&self) -> Result<()> {
        self.shut_down(FLUSH)
    }

    /// From here on whoever reads, writes or syncs a file is told `EIO`.
    fn shut_down(&self, how: u32) -> Result<()> {
        let root = File::open(&self.mount)?;
        // SAFETY: the request takes a pointer to a u32 that the kernel reads, as `Setter` gives it.
        #[expect(unsafe_code, reason = "there is no other way to this request")]
        unsafe { ioctl(&root, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(how)) }
            .context("EXT4_IOC_SHUTDOWN")
    }

    /// Lets the system write back some unsynced pages, and sometimes one file whole, as it does by
    /// itself when time passes.
    pub(crate) fn write_back_some(&self, rng: &mut Rng) -> Result<()> {
        for path in files(&self.mount)? {
            // It may be gone since.
            let Ok(file) = File::open(&path) else { continue };
            let size = file.metadata()?.len();
            if size == 0 || rng.below(2) == 0 {
                continue;
            }
            let start = rng.below(size);
            // This advice begins to write the dirty pages of the range.
            fadvise(&file, start, NonZeroU64::new(1 + rng.below(size)), Advice::DontNeed)?;
            if rng.below(20) == 0 {
                file.sync_all()?;
            }
        }
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // The namespace takes the rest along.
            let _ = Command::new("umount").arg("--lazy").arg(&self.mount).status();
        }
    }
}

/// All files below a directory.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut unseen) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = unseen.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => unseen.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs a command until it succeeds: a busy system may be a moment late to close the files of a process that has
/// ended, or to let go of the loop device of a mount that has.
fn insist(command: &mut Command) -> Result<()> {
    let begun = Instant::now();
    loop {
        match run(command) {
            Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}
