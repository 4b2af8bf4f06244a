//! Puts an archive from `testdata` on a simulated disk.

use std::{io::Read, path::Path};

use dohle_log::sim::SimDisk;
use flate2::read::GzDecoder;

use crate::opened::DIR;

const BLOCK_SIZE: usize = 512;

/// The disk with the directory of that name in `testdata`.
pub(crate) fn disk_of(name: &str) -> SimDisk {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{name}.tar.gz"));
    let packed = std::fs::read(path).unwrap();
    let mut archive = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut archive).unwrap();
    let disk = SimDisk::new();
    let mut rest = archive.as_slice();
    // A head of one block for each file: its name, its size in octal digits, its type.
    while let Some((head, behind)) = rest.split_at_checked(BLOCK_SIZE) {
        let Some(name) = text(&head[..100]).strip_prefix("./") else { break };
        let size = usize::from_str_radix(text(&head[124..136]).trim(), 8).unwrap();
        // The metadata's log is not a partition like others: the whole node is opened on it elsewhere.
        if head[156] == b'0' && !name.starts_with("__cluster_metadata") {
            disk.plant(&Path::new(DIR).join(name), &behind[..size]);
        }
        rest = &behind[size.div_ceil(BLOCK_SIZE) * BLOCK_SIZE..];
    }
    disk
}

fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap()
}
