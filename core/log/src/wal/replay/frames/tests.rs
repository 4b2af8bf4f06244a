//! What is shown is what a start after a crash would take in, and in the order in which it was written.

use std::{io::IoSlice, path::Path};

use dohle_base::Uuid;

use super::*;
use crate::{
    disk::{Disk, OpenMode},
    sim::{SimDisk, SimFile},
    wal::{FILE_NAME, Frame, OpenWal, Wal},
};

const DIR: &str = "/logs";
const CAPACITY: u64 = 8 * ALIGN;

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), b"");
    disk
}

fn open(disk: &SimDisk) -> Wal<SimFile> {
    let how = OpenWal { capacity: CAPACITY, left_clean: false, boot: 5, salt: [9; 12] };
    Wal::open(disk, Path::new(DIR), how).unwrap().0
}

fn file(disk: &SimDisk) -> SimFile {
    disk.open(&Path::new(DIR).join(FILE_NAME), OpenMode::Read).unwrap()
}

fn append(wal: &mut Wal<SimFile>, entries: &[(u128, i32, &[u8])]) {
    let mut frame = Frame::default();
    for (topic, partition, bytes) in entries {
        let key = (TopicId(Uuid(*topic)), PartitionId(*partition));
        assert!(frame.push(key, &[IoSlice::new(bytes)]));
    }
    assert!(wal.append(&mut frame).unwrap());
    wal.sync().unwrap();
}

fn all(file: &SimFile) -> Result<Vec<WalFrame>, WalError> {
    let mut frames = WalFrames::new(file)?;
    std::iter::from_fn(|| frames.next_frame().transpose()).collect()
}

/// A topic, and bytes of it.
type Content = (u128, Vec<u8>);

/// Positions of frames, and what is in them.
fn shown(disk: &SimDisk) -> Vec<(u64, Vec<Content>)> {
    let file = file(disk);
    let frames = all(&file).unwrap().into_iter().map(|frame| {
        assert_eq!(frame.start, DATA_START + frame.position % CAPACITY);
        let entries = frame.entries.iter().map(|entry| {
            let WalContent::Batches { start, size } = entry.content else { unreachable!() };
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, start).unwrap();
            (entry.topic.0.0, bytes)
        });
        (frame.position, entries.collect())
    });
    frames.collect()
}

#[test]
fn frames_are_shown_from_the_tail_on_over_the_end_of_a_lap() {
    let disk = disk();
    let mut wal = open(&disk);
    let blocks = WalFrames::new(&file(&disk)).unwrap().blocks();
    let block = blocks.iter().flatten().max_by_key(|block| block.sequence).unwrap();
    assert_eq!((block.capacity, block.tail, block.boot), (CAPACITY, 0, 5));
    assert_eq!(shown(&disk), []);

    // Not in the order of their keys.
    append(&mut wal, &[(9, 0, b"first"), (1, 0, b"second"), (9, 0, b"third")]);
    let large = vec![7; 2 * ALIGN as usize];
    append(&mut wal, &[(2, 1, &large)]);
    let first = vec![(9, b"first".to_vec()), (1, b"second".to_vec()), (9, b"third".to_vec())];
    assert_eq!(shown(&disk), [(0, first), (ALIGN, vec![(2, large.clone())])]);

    wal.release(ALIGN).unwrap();
    wal.sync().unwrap();
    append(&mut wal, &[(3, 0, &large)]);
    // It does not fit before the end of the lap.
    wal.release(4 * ALIGN).unwrap();
    wal.sync().unwrap();
    append(&mut wal, &[(4, 0, &large)]);
    let expected = [(4 * ALIGN, vec![(3, large.clone())]), (CAPACITY, vec![(4, large.clone())])];
    assert_eq!(shown(&disk), expected);
    let mut frames = WalFrames::new(&file(&disk)).unwrap();
    while frames.next_frame().unwrap().is_some() {}
    assert_eq!(frames.end(), wal.end());
}

#[test]
fn any_bytes_are_shown_or_refused() {
    let disk = disk();
    let mut wal = open(&disk);
    for _ in 0..3 {
        append(&mut wal, &[(1, 0, b"one"), (2, 0, b"two")]);
    }
    let whole = {
        let file = file(&disk);
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let planted = |bytes: &[u8]| {
        let disk = self::disk();
        disk.plant(&Path::new(DIR).join(FILE_NAME), bytes);
        all(&file(&disk)).map(|frames| frames.len())
    };
    assert_eq!(planted(&whole), Ok(3));
    assert_eq!(planted(&[]), Ok(0), "a new file");
    for size in (0..whole.len()).step_by(97) {
        // What is behind the last whole frame is what a crash leaves.
        assert!(planted(&whole[..size]).is_ok_and(|count| count <= 3) || size < ALIGN as usize);
    }
    let damage = |bytes: &[u8]| match planted(bytes) {
        Err(WalError::Damaged { position, reason, .. }) => (position, reason),
        other => panic!("{other:?}"),
    };
    let mut changed = whole.clone();
    changed[(DATA_START + 50) as usize] ^= 1;
    let valid_at = DATA_START + ALIGN;
    assert_eq!(damage(&changed), (DATA_START, WalDamage::Frame { valid_at }));
    let mut without_blocks = whole.clone();
    without_blocks[8] ^= 1;
    without_blocks[ALIGN as usize + 8] ^= 1;
    assert_eq!(damage(&without_blocks), (0, WalDamage::NoBlock));
}

/// A block whose checksum is right and whose numbers nobody wrote.
#[test]
fn blocks_that_cannot_be_true_are_none() {
    for (capacity, tail) in [(u64::MAX - 4095, 0), ((1 << 63) + ALIGN, u64::MAX - 4095)] {
        let disk = disk();
        let path = Path::new(DIR).join(FILE_NAME);
        let file = disk.open(&path, OpenMode::Create).unwrap();
        let block =
            Block { sequence: 0, capacity, tail, boot: 1, salt: Salt::NONE, is_left: false };
        block.write(&file).unwrap();
        let mut frames = WalFrames::new(&file).unwrap();
        assert_eq!(frames.blocks(), [None, None]);
        assert!(frames.next_frame().is_err());
    }
}
