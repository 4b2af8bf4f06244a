//! A frame is one that this log has written under its secret, whatever bytes the file holds; what was
//! written under another one, or under none, is found as long as it is needed.

use super::*;

const V1_CAPACITY: u64 = 32 * ALIGN;

/// A file as the version before left it, byte by byte: its blocks have no salt, nor have its frames.
fn unsalted(frames: &[&[u8]]) -> Vec<u8> {
    let mut block = b"DohleWAL\0\0\0\0".to_vec();
    block.extend(1_u32.to_be_bytes());
    for word in [6, V1_CAPACITY, V1_CAPACITY] {
        block.extend(word.to_be_bytes());
    }
    block.extend(1_u128.to_be_bytes());
    let crc = crc32c::crc32c(&block[12..]);
    block[8..12].copy_from_slice(&crc.to_be_bytes());
    let mut file = block;
    file.resize(DATA_START as usize, 0);
    for (number, batches) in frames.iter().enumerate() {
        let mut frame = b"DWFr\0\0\0\0".to_vec();
        frame.extend((48 + batches.len() as u32).to_be_bytes());
        frame.extend(1_u32.to_be_bytes());
        frame.extend((V1_CAPACITY + number as u64 * ALIGN).to_be_bytes());
        frame.extend(1_u128.to_be_bytes());
        frame.extend(0_u32.to_be_bytes());
        frame.extend((batches.len() as u32).to_be_bytes());
        frame.extend_from_slice(batches);
        let crc = crc32c::crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_be_bytes());
        frame.resize(ALIGN as usize, 0);
        file.append(&mut frame);
    }
    file
}

fn path() -> std::path::PathBuf {
    Path::new(DIR).join(FILE_NAME)
}

fn open_with(disk: &SimDisk, salt: u8) -> Result<(Wal<SimFile>, Unflushed<SimFile>), WalError> {
    Wal::open(disk, Path::new(DIR), OpenWal { salt: [salt; SALT_SIZE], ..HOW })
}

/// A record of which the second page is what a frame of the next lap would be.
fn record_with_frame(position: u64, salt: Salt) -> Vec<u8> {
    let mut forged = frame(key(1, 0), b"never sent");
    forged.seal(position, salt);
    let heads = format::FRAME_HEAD_SIZE + format::ENTRY_HEAD_SIZE;
    let mut record = vec![7; ALIGN as usize - heads];
    record.extend_from_slice(forged.bytes());
    record.resize(2 * ALIGN as usize - heads, 0);
    record
}

/// What is found after the record's lap is over and a frame of the next one lies before it.
fn found_behind(salt: u8, record: &[u8]) -> Result<Vec<Vec<u8>>, WalError> {
    let disk = disk();
    let (mut wal, _) = open_with(&disk, salt).unwrap();
    wal.append(&mut frame(key(2, 0), record)).unwrap();
    wal.sync().unwrap();
    wal.release(wal.end()).unwrap();
    wal.sync().unwrap();
    wal.append(&mut frame(key(1, 0), b"sent")).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.end(), CAPACITY + ALIGN);
    disk.restart(0);
    open_with(&disk, salt).map(|(_, unflushed)| found(&unflushed, key(1, 0)))
}

#[test]
fn bytes_of_a_record_are_no_frame_to_come() {
    // Right behind the last frame, and further on, as if one were damaged in between.
    for position in [CAPACITY + ALIGN, CAPACITY + 5 * ALIGN] {
        let place = position - CAPACITY;
        for salt in [Salt::NONE, Salt::new([1; SALT_SIZE])] {
            let mut record = record_with_frame(position, salt);
            let before = vec![7; (place - ALIGN) as usize];
            record.splice(..0, before);
            assert_eq!(found_behind(9, &record), Ok(vec![b"sent".to_vec()]));
        }
        // The attempt is a real one: who knows the salt succeeds.
        for (number, salt) in [(0, Salt::NONE), (1, Salt::new([1; SALT_SIZE]))] {
            let mut record = record_with_frame(position, salt);
            let before = vec![7; (place - ALIGN) as usize];
            record.splice(..0, before);
            assert_ne!(found_behind(number, &record), Ok(vec![b"sent".to_vec()]));
        }
    }
}

#[test]
fn a_file_of_the_version_before_is_taken_in_and_salted_when_it_is_empty() {
    let disk = disk();
    disk.plant(&path(), &unsalted(&[b"first", b"second"]));
    let shown = |disk: &SimDisk| {
        let file = disk.open(&path(), OpenMode::Read).unwrap();
        let mut frames = WalFrames::new(&file).unwrap();
        let is_salted = frames.blocks().map(|block| block.map(|block| block.is_salted));
        let mut count = 0;
        while frames.next_frame().unwrap().is_some() {
            count += 1;
        }
        (is_salted, count)
    };
    assert_eq!(shown(&disk), ([Some(false), None], 2));
    let (mut wal, unflushed) = open_with(&disk, 9).unwrap();
    assert_eq!(found(&unflushed, key(1, 0)), [b"first".to_vec(), b"second".to_vec()]);
    // As long as those are needed it goes on without.
    wal.append(&mut frame(key(1, 0), b"third")).unwrap();
    wal.sync().unwrap();
    assert_eq!(shown(&disk).1, 3);
    disk.kill();
    let (mut wal, unflushed) = open_with(&disk, 10).unwrap();
    assert_eq!(found(&unflushed, key(1, 0)).len(), 3);
    wal.release(wal.end()).unwrap();
    wal.sync().unwrap();
    wal.append(&mut frame(key(1, 0), b"fourth")).unwrap();
    wal.sync().unwrap();
    assert_eq!(shown(&disk), ([Some(true); 2], 1));
    disk.restart(0);
    assert_eq!(found(&open_with(&disk, 11).unwrap().1, key(1, 0)), [b"fourth".to_vec()]);
}

/// Processes one after the other, each with a salt of its own, the first on a file without one, and the
/// power cut behind each call. What was synced and not released is there, whichever of the blocks is
/// damaged besides, or the damage is told.
#[test]
fn another_salt_loses_nothing_that_was_synced() {
    let run = |disk: &SimDisk, synced: &mut Vec<(u8, u64)>, released: &mut u64| {
        let mut number = 0;
        for salt in 9..12 {
            let (mut wal, _) = open_with(disk, salt)?;
            let mut end = wal.end();
            for round in 0..5 {
                assert!(wal.append(&mut frame(key(1, 0), &[number; 100]))?, "there is room");
                wal.sync()?;
                end = wal.end();
                synced.push((number, end));
                number += 1;
                if round == 2 && salt != 10 {
                    // All of them, so that the next frame is the first under another salt.
                    *released = end;
                    wal.release(end)?;
                    wal.sync()?;
                }
            }
            assert_eq!(wal.end(), end);
            disk.kill();
        }
        Ok::<(), WalError>(())
    };
    let planted = || {
        let disk = disk();
        disk.plant(&path(), &unsalted(&[b"former"]));
        disk
    };
    let (whole, mut all) = (planted(), Vec::new());
    run(&whole, &mut all, &mut 0).unwrap();
    assert_eq!(all.len(), 15);
    let mut told = 0;
    for power_after in 0..=whole.changes() {
        let disk = planted();
        disk.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
        let (mut synced, mut released) = (Vec::new(), 0);
        let _ = run(&disk, &mut synced, &mut released);
        for (seed, damaged) in (0..4).flat_map(|seed| [None, Some(0), Some(1)].map(|b| (seed, b))) {
            let disk = disk.fork();
            disk.restart(seed);
            if let Some(block) = damaged {
                disk.flip(&path(), 8 * (block * ALIGN + 40));
            }
            let context = format!("after call {power_after}, seed {seed}, block {damaged:?}");
            let unflushed = match open_with(&disk, 20) {
                Ok((_, unflushed)) => unflushed,
                Err(WalError::Damaged { .. }) if damaged.is_some() => {
                    told += 1;
                    continue;
                }
                Err(error) => panic!("{context}: {error}"),
            };
            let values = found(&unflushed, key(1, 0));
            for (number, end) in &synced {
                let is_there = values.contains(&vec![*number; 100]);
                assert!(*end <= released || is_there, "{context}: {number} lost");
            }
        }
    }
    assert!(told > 0, "the damage is tried");
}
