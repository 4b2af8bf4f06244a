//! Damage in what was flushed long ago is found before anything of it counts, and what is appended meanwhile is
//! none.

use std::{cell::Cell, fs};

use super::*;
use crate::{
    durability::tests::{append, is_committed_soon, node_within},
    open_files::OpenFiles,
};

#[test]
fn a_damaged_batch_is_told_with_its_place() {
    let node = node_within(OpenFiles::within(1_000, 100, 2), 1);
    let partition = &node.partitions[0];
    (1..4).for_each(|end| assert_eq!(append(partition), Offset(end)));
    assert!(is_committed_soon(partition, Offset(3)));
    node.flush();
    assert!(load(partition, || true).is_ok());
    let name = format!("{}-{}", partition.topic(), partition.index());
    let path = node.dir.path.join(name).join(format!("{:020}.log", 0));
    let sound = fs::read(&path).unwrap();
    let size = sound.len() / 3;
    // The last byte of a batch; its first offset, which no checksum covers; its format; a log that is cut short.
    let rows = [(2 * size - 1, 1, size), (size + 7, 1, size), (2 * size + 16, 0x40, 2 * size)];
    for (at, bits, begins) in rows {
        let mut damaged = sound.clone();
        damaged[at] ^= bits;
        fs::write(&path, damaged).unwrap();
        let error = load(partition, || true).err().unwrap().to_string();
        let place = format!("{} is damaged at {begins}: ", path.display());
        assert!(error.starts_with(&place), "{at}: {error}");
    }
    fs::write(&path, sound).unwrap();
    assert!(load(partition, || true).is_ok());
}

#[test]
fn what_is_appended_meanwhile_is_read_as_well() {
    let node = node_within(OpenFiles::within(1_000, 100, 2), 1);
    let partition = &node.partitions[0];
    append(partition);
    let asked = Cell::new(0);
    let is_wanted = || {
        asked.set(asked.get() + 1);
        if asked.get() <= 3 {
            append(partition);
        }
        true
    };
    assert!(load(partition, is_wanted).is_ok());
    assert_eq!(asked.get(), 4, "a slice for the first record, and one for each of those appended");
}
