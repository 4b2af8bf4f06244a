//! Is it really this process that listens there?
//!
//! A broker that did not get its port leaves the load to whoever has it, and the numbers to chance.
//! So a load that is told whose cost to report makes sure before it sends anything.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail};

/// The state of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// # Errors
/// The process does not run or does not listen on the port.
pub(crate) fn check(pid: u32, port: u16) -> Result<()> {
    let sockets = sockets_of(pid)?;
    let mut listening = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        listening.extend(inodes_listening(&fs::read_to_string(table).unwrap_or_default(), port));
    }
    if sockets.is_disjoint(&listening) {
        bail!("process {pid} does not listen on port {port}; nothing was sent");
    }
    Ok(())
}

fn sockets_of(pid: u32) -> Result<BTreeSet<u64>> {
    let dir = format!("/proc/{pid}/fd");
    let mut sockets = BTreeSet::new();
    for file in fs::read_dir(&dir).with_context(|| format!("broker process {pid}"))? {
        // Files come and go while one looks.
        let Ok(target) = fs::read_link(file?.path()) else { continue };
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(sockets)
}

/// Of each line: number, local address and port in hexadecimal, remote, state, five others, inode.
fn inodes_listening(table: &str, port: u16) -> BTreeSet<u64> {
    let port = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[_, local, _, state, _, _, _, _, _, inode, ..] = &fields[..] else { return None };
        (local.ends_with(&port) && state == LISTEN).then(|| inode.parse().ok()).flatten()
    };
    table.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests;
