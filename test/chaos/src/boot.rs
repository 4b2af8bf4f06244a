//! What a machine is after a power cut and not after the end of a process: another run of itself.
//!
//! Linux tells them apart by a file. In the mount namespace of the run, so for the node and nobody else, one of our own
//! lies over it, and has another number after each power cut.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dohle_base::Rng;

use crate::{node::Node, volume};

/// Where Linux tells it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where a node writes down in which run of the machine it has read its logs.
const WRITE_AHEAD: &str = "dohle.wal";
/// Behind its blocks are only frames.
const BLOCKS: u64 = 8192;
/// How late that may be after a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which run of the machine the node is told of.
pub(crate) struct Boot {
    file: PathBuf,
    current: u128,
    rng: Rng,
    /// The log directories.
    data: Vec<PathBuf>,
}

impl Boot {
    /// The first run, of a file in `dir`. Within a mount namespace of our own only.
    pub(crate) fn first(dir: &Path, data: &[PathBuf], seed: u64) -> Result<Self> {
        let rng = Rng::from_seed(seed ^ u64::MAX);
        let (file, data) = (dir.join("boot_id"), data.to_vec());
        let mut boot = Self { file, current: 0, rng, data };
        boot.another()?;
        volume::run(Command::new("mount").arg("--bind").arg(&boot.file).arg(BOOT_ID))?;
        Ok(boot)
    }

    /// The machine starts anew: nobody is there who could read while this is written.
    pub(crate) fn another(&mut self) -> Result<()> {
        let halves = (self.rng.next_u64(), self.rng.next_u64());
        self.current = u128::from(halves.0) << 64 | u128::from(halves.1);
        fs::write(&self.file, shown(self.current)).context("the boot id")
    }

    /// The node that serves was told of this run of the machine: each of its directories says so. Without that a
    /// power cut would be the end of a process to it, and the run would try something else than it says.
    pub(crate) async fn check(&self, node: &mut Node) -> Result<()> {
        let begun = Instant::now();
        for dir in &self.data {
            let path = dir.join(WRITE_AHEAD);
            while !holds(&path, self.current)? {
                let is_over = begun.elapsed() > PATIENCE;
                ensure!(
                    !is_over,
                    "vacuous: {} does not know {}",
                    path.display(),
                    shown(self.current)
                );
                ensure!(node.is_alive(), "the node is gone");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

/// As Linux writes it.
fn shown(id: u128) -> String {
    let digits = format!("{id:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    format!("{}\n", parts.join("-"))
}

/// Whether one of the blocks of a write-ahead log has this number in it.
fn holds(path: &Path, id: u128) -> Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BLOCKS).read_to_end(&mut bytes)?;
    Ok(bytes.windows(size_of::<u128>()).any(|part| part == id.to_be_bytes()))
}
