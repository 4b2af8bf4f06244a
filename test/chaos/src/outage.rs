//! What takes a node down.

use anyhow::Result;
use dohle_base::Rng;

use crate::{boot::Boot, node::Node, volume::Volume};

/// How a node goes.
pub(crate) enum Outage {
    /// The process alone.
    Kill,
    /// All that was not synced goes with it, and the machine starts anew.
    PowerCut { volumes: Vec<Volume>, boot: Boot },
}

impl Outage {
    /// Takes the node down, and brings the disk back.
    pub(crate) fn strike(&mut self, node: &mut Node, rng: &mut Rng) -> Result<()> {
        let Self::PowerCut { volumes, boot } = self else { return node.kill() };
        if rng.below(2) == 0 {
            volumes.iter().try_for_each(|volume| volume.write_back_some(rng))?;
        }
        // A sync that is under way while ext4 is shut down may say that all is well although its
        // transaction was dropped; so it does about once in twenty times. Nobody is told after the
        // power went, so whoever could tell is stopped first, and has stopped.
        node.freeze()?;
        volumes.iter().try_for_each(Volume::cut)?;
        node.kill()?;
        for volume in volumes {
            volume.unmount()?;
            // With the second one sizes get to the disk before the bytes do.
            let options = ["data=ordered", "data=writeback"];
            volume.mount(options[rng.below(2) as usize])?;
        }
        boot.another()
    }

    /// Takes down a node that does not serve yet: after a power cut it may be the process alone that goes, and the
    /// next start must not take the power cut for that.
    pub(crate) fn strike_start(&mut self, node: &mut Node, rng: &mut Rng) -> Result<()> {
        if rng.below(2) == 0 { node.kill() } else { self.strike(node, rng) }
    }

    /// The node that serves has seen what became of the machine.
    pub(crate) async fn check(&self, node: &mut Node) -> Result<()> {
        match self {
            Self::Kill => Ok(()),
            Self::PowerCut { boot, .. } => boot.check(node).await,
        }
    }
}
