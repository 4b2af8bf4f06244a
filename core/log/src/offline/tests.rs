//! A note outlasts a power cut, whatever room there was for it.

use super::*;
use crate::sim::{Faults, SimDisk};

const WHY: &str = "damaged";

/// A disk with a partition's directory and room for so many bytes.
fn disk(bytes_free: Option<u64>) -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/t-0/00000000000000000000.log"), b"");
    disk.set_faults(Faults { bytes_free, ..Faults::default() });
    disk
}

/// What a note says after a power cut that takes all that is not durable; `None` if there is none.
fn noted_with(bytes_free: Option<u64>) -> Option<String> {
    let (disk, dir) = (disk(bytes_free), Path::new("/logs/t-0"));
    note(&disk, dir, WHY).unwrap();
    disk.restart(0);
    let bytes = disk.peek(&dir.join(FILE_NAME));
    assert_eq!(is_noted(&disk, dir), Ok(bytes.is_some()));
    Some(String::from_utf8(bytes?).unwrap())
}

#[test]
fn a_note_says_why() {
    assert_eq!(noted_with(None).as_deref(), Some("damaged\n"));
}

#[test]
fn a_full_volume_takes_a_note_without_the_reason() {
    for bytes_free in 0..=WHY.len() as u64 {
        assert_eq!(noted_with(Some(bytes_free)).as_deref(), Some(""), "{bytes_free}");
    }
    assert_eq!(noted_with(Some(WHY.len() as u64 + 1)).as_deref(), Some("damaged\n"));
}
